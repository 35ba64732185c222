"""asyncio: a server and a client, both called by the event loop as bytes come.

Only I/O is here. The server's connections drive their conversations by direct calls, for that is
the fastest form: a handler that answers at once is called directly; a task is made only for an
answer that is awaited, and nothing more is read until it has come. The client's session is that of
`smtp821.client`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, cast

from .client import AsyncClient
from .conversation import Conversation
from .handler import Handler
from .host import listen
from .protocol.dialect import RFC821_LENIENT, Dialect
from .protocol.errors import SMTPError
from .protocol.events import Closed, Pause, Turned
from .server import IDLE
from .service import GRACE, Service
from .timeouts import Timeouts
from .wire import LINGER, READ, Wire

__all__ = ["Client", "Server", "serve"]

_log = logging.getLogger("smtp821")

_AT_ONCE = 100  # connections that are taken before others have their turn


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

    The parameters are those of `smtp821.sockets.serve`; methods of the handler may be async. If
    the context is cancelled, mail in hand has no time to finish.
    Raises OSError where it cannot listen, LocalProtocolError for a domain that is none.
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
    server = Server(service, listener, timeouts, tls)
    grace = GRACE
    try:
        yield server
    except asyncio.CancelledError:
        grace = 0.0
        raise
    finally:
        await server.stop(grace)


class Server:
    """A server that is running; `serve` makes it."""

    def __init__(
        self,
        service: Service,
        listener: socket.socket,
        timeouts: Timeouts,
        tls: ssl.SSLContext | None,
    ) -> None:
        self.service = service
        self.timeouts = timeouts
        self.tls = tls
        self.buffer = memoryview(bytearray(READ))  # for all: it is emptied as soon as filled
        self.address: tuple[str, int] = listener.getsockname()[:2]
        """Host and port that the server listens at."""
        self._connections: set[_Connection] = set()
        self._nobody_left = asyncio.Event()
        self._stopped = asyncio.Event()
        self._taking: set[asyncio.Task[Any]] = set()
        self._acceptor = asyncio.get_running_loop().create_task(self._accept(listener))
        self._acceptor.add_done_callback(lambda _: listener.close())

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
            self._acceptor.cancel()
            try:
                await asyncio.wait([self._acceptor, *self._taking])
                await self._abort()
                await self._abort()  # handlers that are told of the end, and do not come to theirs
            finally:
                self._stopped.set()

    def enter(self, connection: _Connection) -> bytes:
        """Let a connection in; or, if there is no place, what it is to be told."""
        refusal = self.service.enter(connection.host)
        if not refusal:
            self._connections.add(connection)
        return refusal

    def leave(self, connection: _Connection) -> None:
        """Give the place of a connection to another."""
        if connection in self._connections:
            self._connections.remove(connection)
            self.service.leave(connection.host)
        if not self._connections:
            self._nobody_left.set()

    async def _accept(self, listener: socket.socket) -> None:
        """Take connections until cancelled.

        The `create_server` of asyncio would listen again, with a backlog of its own, and say that
        it is out of descriptors as many times as that has places.
        """
        while True:
            try:
                await self._wait_for_one(listener)
                for _ in range(_AT_ONCE):  # those that wait too: to ask the loop takes longer
                    self._take(*listener.accept())
                await asyncio.sleep(0)
            except (BlockingIOError, ConnectionError):
                continue
            except OSError as error:  # out of descriptors: wait for some to be closed
                _log.error("cannot take a connection: %s", error)
                await asyncio.sleep(0.1)

    async def _wait_for_one(self, listener: socket.socket) -> None:
        """Wait for a connection to take.

        `sock_accept` would lose one that it has just taken, if it is cancelled then.
        """
        loop = asyncio.get_running_loop()
        there: asyncio.Future[None] = loop.create_future()
        try:
            loop.add_reader(listener, _wake, there)
        except NotImplementedError:  # on Windows, where it loses none
            return self._take(*await loop.sock_accept(listener))
        try:
            await there
        finally:
            loop.remove_reader(listener)

    def _take(self, sock: socket.socket, address: tuple[Any, ...]) -> None:
        """Make a connection of a socket."""
        loop = asyncio.get_running_loop()
        make = partial(_Connection, self, *address[:2])
        task = loop.create_task(loop.connect_accepted_socket(make, sock))
        self._taking.add(task)
        task.add_done_callback(self._taken)

    def _taken(self, task: asyncio.Task[Any]) -> None:
        self._taking.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _log.info("a connection was lost at once: %s", error)

    async def _end(self, seconds: float) -> None:
        """Let all connections see that they may have to end, and give them time for it."""
        for connection in tuple(self._connections):
            connection.wake()
        await self._wait_for_all(seconds)

    async def _abort(self) -> None:
        """End all connections whatever they are at."""
        for connection in tuple(self._connections):
            connection.abort()
        await self._wait_for_all(LINGER)

    async def _wait_for_all(self, seconds: float) -> None:
        """Wait until there is no connection, but no longer than this."""
        self._nobody_left.clear()
        if self._connections:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._nobody_left.wait()


class _Connection(asyncio.BufferedProtocol):
    """One connection of a server: a transport, and the conversation over it."""

    _transport: asyncio.Transport
    _conversation: Conversation

    def __init__(self, server: Server, host: str, port: int) -> None:
        self.host = host
        self._peer = f"{host}:{port}"
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None  # the handler, or a handshake, at work
        self._early = b""  # what came with the end of a handshake
        self._turned: _Wire | None = None  # what the handler sends over (3.8)
        self._stuck = False  # the peer does not read what is written
        self._lost = False  # there is nobody to read it
        self._heard_all = False  # the peer will say nothing more
        self._over = True  # the conversation is, or has not begun
        self._progress = 0
        self._heard = 0.0
        self._clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the conversation, if there is a place for it."""
        self._transport = cast(asyncio.Transport, transport)
        tls = self._server.tls
        if refusal := self._server.enter(self):
            if tls is None:  # else there would have to be a handshake first
                self._transport.write(refusal)
            self._transport.close()
        elif tls is not None:
            self._transport.pause_reading()
            self._task = self._loop.create_task(self._secure(tls))
        else:
            self._begin()

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Where to read to."""
        return self._server.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Go on with what was read."""
        data = bytes(self._server.buffer[:nbytes])
        if self._over:
            if self._task is not None:  # the handshake is, but nobody has noticed yet
                self._early += data
            return
        conversation = self._conversation
        conversation.receive_data(data)
        self.go()
        if conversation.progress != self._progress:
            self._progress = conversation.progress
            self._heard = self._loop.time()

    def eof_received(self) -> bool:
        """Go on, for replies may still be owed; the transport stays open for them."""
        self._heard_all = True
        if self._over:
            return False
        self._conversation.receive_data(b"")
        self.go()
        return self._transport.can_write_eof()

    def pause_writing(self) -> None:
        """Read no more from a peer that does not read."""
        self._stuck = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self._stuck = False
        self._go_on_reading()

    def connection_lost(self, _error: Exception | None) -> None:
        """Let the handler hear of it, once it has done what it is at."""
        self._lost, self._stuck = True, False
        self._stop_clock()
        if self._over:
            self._server.leave(self)
        else:
            self._conversation.lost()
            self.go()

    def wake(self) -> None:
        """Let it see that it is to end, if the time has come."""
        if self._turned is not None:
            self._turned.eof_received()
        elif self._over and self._task is not None:  # in the middle of a handshake
            self.abort()
        else:
            self.go()

    def abort(self) -> None:
        """End the connection whatever it is at."""
        if not self._over:
            self._conversation.lost()  # or it would go on with what was read already
        if self._task is not None:
            self._task.cancel()
        self._transport.abort()

    def go(self) -> None:
        """Go on with the conversation, as far as it goes without more bytes, or an answer."""
        try:
            self._go()
        except Exception:
            _log.exception("%s: the session was lost", self._peer)
            self.abort()

    def _begin(self) -> None:
        self._conversation = self._server.service.converse(self._peer)
        self._over = False
        self._heard = self._loop.time()
        self._set_clock(self._server.timeouts.receiver, self._look_at_the_clock)
        if self._early:
            self._conversation.receive_data(self._early)
        self.go()

    async def _secure(self, tls: ssl.SSLContext) -> None:
        """Speak TLS from now on, and begin the conversation."""
        seconds = self._server.timeouts.receiver
        try:
            transport = await self._loop.start_tls(
                self._transport,
                self,
                tls,
                server_side=True,
                ssl_handshake_timeout=seconds,
                ssl_shutdown_timeout=LINGER,
            )
        except (OSError, asyncio.CancelledError) as error:
            _log.info("%s: %s", self._peer, error)
            self._transport.abort()
            self._server.leave(self)
            return
        self._task = None
        if transport is not None:
            self._transport = transport
            self._begin()

    def _go(self) -> None:
        while not (self._over or self._stuck or self._task):
            pause = self._conversation.advance()
            data = self._conversation.data_to_send()
            if data and not self._lost:
                self._transport.write(data)
            if isinstance(pause, Pause):
                if not self._server.service.ends(self._conversation):
                    return
                self._conversation.shutdown()
            elif isinstance(pause, Closed):
                self._over = True
                self._close_gently()
            elif isinstance(pause, Turned):
                self._turned = wire = _Wire()  # at once, so that it misses nothing
                wire.connection_made(self._transport)
                self._transport.set_protocol(wire)
                self._task = self._loop.create_task(self._send_in_turn(wire))
            else:
                if not self._lost:
                    self._transport.pause_reading()
                self._task = self._loop.create_task(self._await(pause))

    async def _await(self, answer: Awaitable[Any]) -> None:
        """Await an answer of the handler, then go on."""
        try:
            await self._conversation.settle(answer)
        except asyncio.CancelledError:
            self._conversation.fail(RuntimeError("the server has stopped"))
        self._task = None
        self._heard = self._loop.time()
        self._go_on_reading()

    def _go_on_reading(self) -> None:
        if not (self._stuck or self._lost or self._task):
            self._transport.resume_reading()
        self.go()

    async def _send_in_turn(self, wire: _Wire) -> None:
        """Let the handler send over a connection whose roles were exchanged (3.8)."""
        self._stop_clock()
        try:
            await Client._send_in_turn(wire, self._conversation, self._server.timeouts)
        except (SMTPError, OSError) as error:
            _log.info("%s: %s", self._peer, error)
        except asyncio.CancelledError:
            self._conversation.fail(RuntimeError("the server has stopped"))
        wire.close()
        self._task, self._lost = None, True
        self._conversation.lost()
        self.go()

    def _look_at_the_clock(self) -> None:
        """Send a silent peer away, and come back when another could have been silent so long."""
        seconds = self._server.timeouts.receiver
        left = self._heard + seconds - self._loop.time()
        if self._task is not None:
            left = seconds  # it is not the peer who is silent
        if left > 0:
            self._set_clock(left, self._look_at_the_clock)
        elif self._stuck:
            self._transport.abort()
        else:
            self._conversation.shutdown(IDLE)
            self.go()

    def _set_clock(self, seconds: float, call: Callable[[], object]) -> None:
        """Have something called in so many seconds, instead of what was to be called."""
        self._stop_clock()
        self._clock = self._loop.call_later(seconds, call)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()

    def _close_gently(self) -> None:
        """Let the peer read the last reply: a close with input unread would take it back."""
        self._stop_clock()
        if self._lost:
            self._server.leave(self)
        elif self._transport.can_write_eof() and not self._heard_all:
            with contextlib.suppress(OSError):  # it is gone, as will be heard in a moment
                self._transport.write_eof()
            self._transport.resume_reading()
            self._set_clock(LINGER, self._transport.abort)
        else:
            self._transport.close()


class Client(AsyncClient):
    """A session with a server, in the role of the sender; one command at a time."""

    async def _connect(self, host: str, port: int, tls: ssl.SSLContext | None) -> Wire:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self.timeouts.opening):
            linger = LINGER if tls is not None else None
            connecting = loop.create_connection(
                _Wire, host, port, ssl=tls, ssl_shutdown_timeout=linger
            )
            return (await connecting)[1]

    async def _in_thread(self, function: Callable[..., str], *arguments: Any) -> str:
        return await asyncio.to_thread(function, *arguments)


class _Wire(asyncio.BufferedProtocol):
    """A transport as a Wire: what comes is kept until it is read, and wakes who waits for it."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._buffer = memoryview(bytearray(READ))
        self._unread = bytearray()
        self._ended = False  # the other side will say nothing more
        self._lost = False  # nobody will read anything
        self._error: Exception | None = None
        self._stuck = False  # the other side does not read
        self._wrote = False  # and nothing was read since
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._clock: asyncio.TimerHandle | None = None
        self._until = 0.0  # when what is awaited has taken too long

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self._transport = cast(asyncio.Transport, transport)

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Where to read to."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what came; too much that nobody reads stops the reading."""
        self._unread += self._buffer[:nbytes]
        if len(self._unread) > READ:
            self._transport.pause_reading()
        _wake(self._reader)

    def eof_received(self) -> bool:
        """The other side has said all."""
        self._ended = True
        _wake(self._reader)
        return self._transport.can_write_eof()

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone, and whoever waits is to see it."""
        if error is not None and self._transport.get_extra_info("sslcontext") is None:
            sock = self._transport.get_extra_info("socket")
            # What was said before it broke; TypeError, where a loop has sockets of another kind.
            with contextlib.suppress(OSError, TypeError), sock.dup() as twin:
                self._unread += twin.recv(READ)
        self._stop_clock()
        self._ended = self._lost = True
        self._error = error
        _wake(self._reader)
        _wake(self._writer)

    def pause_writing(self) -> None:
        """The other side does not read fast enough."""
        self._stuck = True

    def resume_writing(self) -> None:
        """The other side has read."""
        self._stuck = False
        _wake(self._writer)

    # What a session calls.

    @property
    def address(self) -> str:
        """The address of this end."""
        return str(self._transport.get_extra_info("sockname")[0])

    async def read(self, seconds: float) -> bytes:
        """What comes next."""
        self._wrote = False
        if not (self._unread or self._ended):
            self._transport.resume_reading()
            self._reader = self._loop.create_future()
            try:
                await self._within(seconds, self._reader)
            finally:
                self._reader = None
        return self._take()

    async def heard(self) -> bytes | None:
        """What is there already."""
        return self._take() if self._unread or self._ended else None

    async def write(self, data: bytes, seconds: float) -> None:
        """Write all of it."""
        if self._wrote:  # in the middle of a message: let others run, whatever its source is
            await asyncio.sleep(0)
        self._wrote = True
        self._transport.write(data)
        # A connection that has just broken is closing: nothing but waiting shows why.
        if (self._stuck or self._transport.is_closing()) and not self._lost:
            self._writer = self._loop.create_future()
            try:
                await self._within(seconds, self._writer)
            finally:
                self._writer = None
        if self._lost:
            raise self._error or ConnectionResetError("the other side closed the connection")

    async def finish(self) -> None:
        """Shut down the way out, where the transport can."""
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def close(self) -> None:
        """Close the connection; at once if what was written is not taken."""
        self._stop_clock()
        if self._stuck:
            self._transport.abort()
        else:
            self._transport.close()

    def shield(self) -> contextlib.AbstractContextManager[object]:
        """A cancellation ends one await, and no other."""
        return contextlib.nullcontext()

    def _take(self) -> bytes:
        if self._error is not None and not self._unread:
            raise self._error
        data = bytes(self._unread)
        self._unread.clear()
        return data

    async def _within(self, seconds: float, event: asyncio.Future[None]) -> None:
        """Wait for an event. Raises TimeoutError.

        One clock serves for many waits: it is set anew only where it would ring too late, and
        when it rings it looks for how long what is awaited then may still take.
        """
        self._until = self._loop.time() + seconds
        if self._clock is None or self._clock.when() > self._until:
            self._set_clock()
        await event

    def _set_clock(self) -> None:
        self._stop_clock()
        self._clock = self._loop.call_at(self._until, self._ring)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _ring(self) -> None:
        self._clock = None
        event = self._reader or self._writer
        if event is not None and self._loop.time() < self._until:
            self._set_clock()
        elif event is not None and not event.done():
            event.set_exception(TimeoutError())


def _wake(event: asyncio.Future[None] | None) -> None:
    if event is not None and not event.done():
        event.set_result(None)
