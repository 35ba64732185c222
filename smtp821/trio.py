"""trio: a server with a task for each connection, and a client.

Only I/O is here: a Wire over a stream, the tasks, and the listener. The sessions over them are
those of `smtp821.server` and `smtp821.client`.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import trio

from .client import AsyncClient
from .conversation import Conversation
from .handler import Handler
from .host import listen
from .protocol.dialect import RFC821_LENIENT, Dialect
from .protocol.errors import SMTPError
from .server import converse
from .service import GRACE, Service
from .timeouts import Timeouts
from .wire import LINGER, READ, Wire

__all__ = ["Client", "Server", "serve"]

_log = logging.getLogger("smtp821")


@contextlib.asynccontextmanager
async def serve(
    handler: Callable[[str], Handler],
    *,
    host: str = "127.0.0.1",
    port: int = 8025,
    listener: socket.socket | None = None,
    domain: str,
    dialect: Dialect = RFC821_LENIENT,
    max_connections: int | None = 1000,
    max_per_peer: int | None = None,
    timeouts: Timeouts = Timeouts(),  # noqa: B008 (a frozen value)
    tls: ssl.SSLContext | None = None,
    transcript: Callable[[str, str], object] | None = None,
) -> AsyncIterator[Server]:
    """Listen, and serve every connection, as long as the context lasts; then stop.

    The parameters are those of `smtp821.sockets.serve`; methods of the handler may be async.
    Raises OSError where it cannot listen, LocalProtocolError for a domain that is none, and what
    the body raises, as it is.
    """
    service = Service(
        handler,
        domain,
        dialect,
        max_connections=max_connections,
        max_per_peer=max_per_peer,
        transcript=transcript,
    )
    listener = listener or listen(host, port)
    listener.setblocking(False)
    failure: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            server = Server(service, listener, timeouts, tls, nursery)
            try:
                yield server
            except trio.Cancelled:
                raise
            except BaseException as error:  # the nursery would hand it on in a group
                failure = error
            finally:
                await server.stop()
    finally:
        if failure is not None:
            raise failure


class Server:
    """A server that is running; `serve` makes it."""

    def __init__(
        self,
        service: Service,
        listener: socket.socket,
        timeouts: Timeouts,
        tls: ssl.SSLContext | None,
        nursery: trio.Nursery,
    ) -> None:
        self.service = service
        self.timeouts = timeouts
        self.tls = tls
        self._listener = listener
        self.address: tuple[str, int] = listener.getsockname()[:2]
        """Host and port that the server listens at."""
        self._nursery = nursery
        self._connections: set[_Connection] = set()
        self._nobody_left = trio.Event()
        self._stopped = trio.Event()
        nursery.start_soon(self._accept)

    async def wait(self) -> None:
        """Wait until the server has stopped."""
        await self._stopped.wait()

    async def stop(self, grace: float = GRACE) -> None:
        """Begin nothing new, let the mail in hand finish, say 421 to the rest (4.2.1); then close.

        grace: seconds that transactions in progress have before they are told 421 too. Who
        connects meanwhile is told 421. If it is cancelled, it stops at once.
        """
        try:
            self.service.stopping = True
            await self._end(grace)
            self.service.grace_is_over = True
            await self._end(LINGER)
        finally:
            _close(self._listener)
            for connection in self._connections:
                connection.abort()
            self._stopped.set()
        await self._end(LINGER)

    def leave(self, connection: _Connection) -> None:
        """Give the place of a connection to another."""
        self.service.leave(connection.host)
        self._connections.discard(connection)
        if not self._connections:
            self._nobody_left.set()

    async def _accept(self) -> None:
        """Take connections until the listener is closed."""
        while True:
            try:
                await trio.lowlevel.wait_readable(self._listener)
                sock, address = self._listener.accept()
            except trio.ClosedResourceError:
                return
            except (BlockingIOError, ConnectionError):
                continue
            except OSError as error:  # out of descriptors: wait for some to be closed
                _log.error("cannot take a connection: %s", error)
                await trio.sleep(0.1)
                continue
            connection = _Connection(self, sock, *address[:2])
            if refusal := self.service.enter(connection.host):
                self._nursery.start_soon(connection.turn_away, refusal)
            else:
                self._connections.add(connection)
                self._nursery.start_soon(connection.run)

    async def _end(self, seconds: float) -> None:
        """Let all connections see that they may have to end, and give them time for it."""
        for connection in self._connections:
            connection.wake()
        if self._nobody_left.is_set():  # who waits for it already goes on waiting
            self._nobody_left = trio.Event()
        if self._connections:
            with trio.move_on_after(seconds):
                await self._nobody_left.wait()


class _Connection:
    """One connection of a server: a socket, and the task that holds a conversation over it."""

    def __init__(self, server: Server, sock: socket.socket, host: str, port: int) -> None:
        self.host = host
        self._peer = f"{host}:{port}"
        self._server = server
        self._wire = _Wire(sock)
        self._conversation: Conversation | None = None
        self._scope = trio.CancelScope()

    def wake(self) -> None:
        """Let it see that it is to end, if it waits for the peer and the time has come."""
        conversation = self._conversation
        if conversation is None:
            self.abort()
        elif self._server.service.ends(conversation):
            self._wire.wake()

    def abort(self) -> None:
        """End the connection whatever it is at."""
        self._scope.cancel()

    async def turn_away(self, refusal: bytes) -> None:
        """Say why there is no place, where that needs no handshake, and close."""
        with contextlib.suppress(OSError):
            if self._server.tls is None:
                await self._wire.write(refusal, LINGER)
        self._wire.close()

    async def run(self) -> None:
        """Hold the conversation, from the handshake to the end of file."""
        try:
            with self._scope:
                await self._run()
        except (OSError, SMTPError) as error:
            _log.info("%s: %s", self._peer, error)
        except Exception:
            _log.exception("%s: the session was lost", self._peer)
        finally:
            self._wire.close()
            self._server.leave(self)

    async def _run(self) -> None:
        server = self._server
        if server.tls is not None:
            await self._wire.secure(server.tls, server.timeouts.receiver)
        self._conversation = conversation = server.service.converse(self._peer)
        await converse(
            self._wire, conversation, server.timeouts, Client._send_in_turn, server.service
        )


class Client(AsyncClient):
    """A session with a server, in the role of the sender; one command at a time."""

    async def _connect(self, host: str, port: int, tls: ssl.SSLContext | None) -> Wire:
        seconds = self.timeouts.opening
        with _within(seconds):
            stream = await trio.open_tcp_stream(host, port)
        wire = _Wire(socket.socket(fileno=stream.socket.detach()))
        if tls is not None:
            try:
                await wire.secure(tls, seconds, host)
            except BaseException:
                wire.close()
                raise
        return wire

    async def _in_thread(self, function: Callable[..., str], *arguments: Any) -> str:
        return await trio.to_thread.run_sync(function, *arguments, abandon_on_cancel=True)


class _Wire:
    """A socket as a Wire, with a stream of trio over it only where that speaks TLS.

    A read waits for its turn, once; a write is not waited for unless it has to be, or is one of
    many: that halves the passes through the scheduler that a command takes.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        with contextlib.suppress(OSError):  # it is no TCP
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = sock
        self._stream: trio.SSLStream[_Below] | None = None
        self._reading = trio.CancelScope()
        self._woken = False
        self._wrote = False  # and nothing was read since

    @property
    def address(self) -> str:
        """The address of this end."""
        return str(self._socket.getsockname()[0])

    async def read(self, seconds: float) -> bytes:
        """What comes next."""
        self._wrote = False
        if not self._woken:
            with trio.move_on_after(seconds) as self._reading:
                if self._stream is not None:
                    with _errors():
                        return bytes(await self._stream.receive_some(READ))
                while True:
                    await trio.lowlevel.wait_readable(self._socket)
                    try:
                        return self._socket.recv(READ)
                    except BlockingIOError:  # it was not so after all
                        continue
            if not self._woken:
                raise TimeoutError
        return b""

    async def heard(self) -> bytes | None:
        """What is there already."""
        stream = self._stream
        if stream is not None:
            with _errors(), stream.transport_stream.not_waiting():
                return bytes(await stream.receive_some(READ))
        else:
            with contextlib.suppress(BlockingIOError):
                return self._socket.recv(READ)
        return None

    async def write(self, data: bytes, seconds: float) -> None:
        """Write all of it."""
        if self._stream is not None:
            with _errors(), _within(seconds):
                await self._stream.send_all(data)
            return
        if self._wrote:  # in the middle of a message: let others run, whatever its source is
            await trio.lowlevel.checkpoint()
        self._wrote = True
        if (sent := self._send(data)) < len(data):
            rest = memoryview(data)[sent:]
            with _within(seconds):
                while rest:
                    await trio.lowlevel.wait_writable(self._socket)
                    rest = rest[self._send(rest) :]

    async def finish(self) -> None:
        """Shut down the way out; TLS has words of its own for that."""
        if self._stream is None:
            self._socket.shutdown(socket.SHUT_WR)
            return
        with _errors(), _within(LINGER), self._stream.transport_stream.not_waiting():
            await self._stream.unwrap()  # its answer need not be awaited

    def close(self) -> None:
        """Close the socket."""
        _close(self._socket)

    def shield(self) -> contextlib.AbstractContextManager[object]:
        """A cancellation ends every await, but in here, for as long as that may take."""
        return trio.CancelScope(deadline=trio.current_time() + LINGER, shield=True)

    async def secure(self, tls: ssl.SSLContext, seconds: float, server: str | None = None) -> None:
        """Speak TLS from now on, as a client of this server if one is named. Raises OSError."""
        below = trio.SocketStream(trio.socket.from_stdlib_socket(self._socket))
        self._stream = stream = trio.SSLStream(
            _Below(below),
            tls,
            server_hostname=server,
            server_side=server is None,
            https_compatible=True,
        )
        with _errors(), _within(seconds):
            await stream.do_handshake()

    def wake(self) -> None:
        """Let who reads, now or later, get the end of file."""
        self._woken = True
        self._reading.cancel()

    def _send(self, data: bytes | memoryview) -> int:
        """Write as much of it as is taken now."""
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0


class _Below(trio.abc.Stream):
    """What is below TLS: a stream that can be told not to wait for input.

    Only so can one look at what TLS has, without waiting for the rest of it, or for more.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._waits = True

    @contextlib.contextmanager
    def not_waiting(self) -> Iterator[None]:
        """A context that ends where one would have to wait for input."""
        self._waits = False
        try:
            with contextlib.suppress(trio.WouldBlock):
                yield
        finally:
            self._waits = True

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Write all of it."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until something could be written."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """What comes next."""
        if not (self._waits or self._stream.socket.is_readable()):
            raise trio.WouldBlock
        return bytes(await self._stream.receive_some(max_bytes))

    async def aclose(self) -> None:
        """Close it."""
        await self._stream.aclose()


def _close(sock: socket.socket) -> None:
    """Close a socket, and wake up who waits for it."""
    if sock.fileno() >= 0:
        trio.lowlevel.notify_closing(sock)
        sock.close()


@contextlib.contextmanager
def _within(seconds: float) -> Iterator[None]:
    """A time for what is awaited. Raises TimeoutError."""
    with trio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise TimeoutError


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    """Raise what trio says of a connection that is gone as the OSError that it was."""
    try:
        yield
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        cause = error.__cause__
        raise cause if isinstance(cause, OSError) else ConnectionError(str(error)) from None
