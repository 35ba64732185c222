"""Blocking sockets: a server with a thread for each connection, and a client.

Only I/O is here: a Wire over a socket, the threads, and the listener. The sessions over them are
those of `smtp821.server` and `smtp821.client`.
"""

from __future__ import annotations

import contextlib
import logging
import select
import selectors
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

from .client import AsyncClient, Follow
from .conversation import Conversation
from .delivery import Delivery, Source
from .handler import Handler
from .host import listen
from .protocol.commands import Command, Verb
from .protocol.dialect import RFC821, RFC821_LENIENT, Dialect
from .protocol.errors import SMTPError
from .protocol.paths import Path
from .protocol.replies import Reply
from .server import converse
from .service import GRACE, Service
from .timeouts import Timeouts
from .wire import LINGER, READ, Wire, run

__all__ = ["Client", "Server", "serve"]

_log = logging.getLogger("smtp821")

_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_LONGEST = 1e6  # seconds that a system can wait, or more
_GLANCE = 0.25  # seconds between two looks at whether to wake up, where TLS hides the socket


def serve(
    handler: Callable[[str], Handler],
    *,
    host: str = "127.0.0.1",
    port: int = 8025,
    listener: socket.socket | None = None,
    domain: str,
    dialect: Dialect = RFC821_LENIENT,
    max_connections: int | None = 100,
    max_per_peer: int | None = None,
    timeouts: Timeouts = Timeouts(),  # noqa: B008 (a frozen value)
    tls: ssl.SSLContext | None = None,
    transcript: Callable[[str, str], object] | None = None,
) -> Server:
    """Listen, and serve every connection until the Server that is returned is stopped.

    handler: makes the Handler of a connection from the peer's address.
    host, port: where to listen; port 0 lets the system choose.
    listener: a socket that listens already, instead of host and port; closed in the end.
    domain: the official name of this host, for its greeting.
    dialect: what is spoken, and within what limits.
    max_connections, max_per_peer: how many at once, in all and from one address, None for any
        number; one more is told 421 and closed.
    timeouts: how long to wait for the peer; `receiver` before it is told 421.
    tls: speaks TLS from the first octet on, if given.
    transcript: takes the peer's address and the text of every line that is said, if given.

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
    return Server(service, listener or listen(host, port), timeouts, tls)


class Server:
    """A server that is running; `serve` makes it. As a context manager it stops at the end."""

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
        self._listener = listener
        self.address: tuple[str, int] = listener.getsockname()[:2]
        """Host and port that the server listens at."""
        self._lock = threading.Lock()
        self._connections: set[_Connection] = set()
        self._ending: list[_Connection] = []  # that their threads have done with, or nearly
        self._waker, self._wake = socket.socketpair()
        self._closing = threading.Event()
        self._acceptor = threading.Thread(target=self._accept, name="smtp821 listener", daemon=True)
        self._acceptor.start()

    def wait(self) -> None:
        """Wait until the server has stopped."""
        self._acceptor.join()

    def stop(self, grace: float = GRACE) -> None:
        """Begin nothing new, let the mail in hand finish, say 421 to the rest (4.2.1); then close.

        grace: seconds that transactions in progress have before they are told 421 too. Who
        connects meanwhile is told 421.
        """
        self.service.stopping = True
        self._end(self._may_end, socket.SHUT_RD, grace)
        self.service.grace_is_over = True
        self._end(self._may_end, socket.SHUT_RD, LINGER)
        self._end(self._may_end, socket.SHUT_RDWR, LINGER)  # they do not even read
        self._closing.set()
        with contextlib.suppress(OSError):  # it may have seen by itself that it is to end
            self._wake.send(b"!")
        self._acceptor.join()
        self._wake.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def leave(self, connection: _Connection) -> None:
        """Give the place of a connection to another."""
        with self._lock:
            self.service.leave(connection.host)
            self._connections.discard(connection)
            self._ending = [ending for ending in self._ending if ending.is_alive()]
            self._ending.append(connection)

    def _accept(self) -> None:
        """Take connections until woken by `stop`."""
        with self._waker, self._listener, selectors.DefaultSelector() as selector:
            self._listener.setblocking(False)
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._waker, selectors.EVENT_READ)
            while not self._closing.is_set():
                selector.select()
                try:
                    sock, address = self._listener.accept()
                except (BlockingIOError, ConnectionError):
                    continue
                except OSError as error:  # out of descriptors: wait for some to be closed
                    _log.error("cannot take a connection: %s", error)
                    self._closing.wait(0.1)
                    continue
                self._begin(_Connection(self, sock, *address[:2]))

    def _begin(self, connection: _Connection) -> None:
        """Give a connection its thread, or turn it away."""
        with self._lock:
            if refusal := self.service.enter(connection.host):
                return connection.turn_away(refusal)
            self._connections.add(connection)
        try:
            connection.start()
        except RuntimeError as error:  # there can be no more threads
            _log.error("cannot serve %s: %s", connection.peer, error)
            connection.turn_away(self.service.full)
            self.leave(connection)

    def _may_end(self, connection: _Connection) -> bool:
        conversation = connection.conversation
        return conversation is None or self.service.ends(conversation)

    def _end(self, which: Callable[[_Connection], bool], how: int, seconds: float) -> None:
        """Shut down some of the connections, and give all of them time to end."""
        with self._lock:
            connections = [*self._connections, *self._ending]
        for connection in filter(which, connections):
            connection.shut_down(how)
        deadline = time.monotonic() + seconds
        for connection in connections:
            connection.join(max(0.0, deadline - time.monotonic()))


class _Connection:
    """One connection of a server: a socket, and the thread that holds a conversation over it."""

    def __init__(self, server: Server, sock: socket.socket, host: str, port: int) -> None:
        self.host = host
        self.peer = f"{host}:{port}"
        self.conversation: Conversation | None = None
        self._server = server
        self._wire = _Wire(sock)
        self._thread = threading.Thread(target=self._run, name="smtp821 connection", daemon=True)

    def start(self) -> None:
        """Start the thread. Raises RuntimeError."""
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether the thread is."""
        return self._thread.is_alive()

    def join(self, seconds: float) -> None:
        """Wait for the end."""
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def shut_down(self, how: int) -> None:
        """Wake the thread up if it waits for the peer: nothing more is read, or (both) written."""
        self._wire.shut_down(how)

    def turn_away(self, refusal: bytes) -> None:
        """Say why there is no place, where that needs no handshake, and close."""
        if self._server.tls is None:
            self._wire.say_at_once(refusal)
        self._wire.close()

    def _run(self) -> None:
        server = self._server
        try:
            if server.tls is not None:
                self._wire.secure(server.tls, server.timeouts.receiver)
            self.conversation = server.service.converse(self.peer)
            run(
                converse(
                    self._wire,
                    self.conversation,
                    server.timeouts,
                    _Session._send_in_turn,
                    server.service,
                )
            )
        except (OSError, SMTPError) as error:
            _log.info("%s: %s", self.peer, error)
        except Exception:
            _log.exception("%s: the session was lost", self.peer)
        finally:
            self._wire.close()
            server.leave(self)


class _Wire:
    """A socket as a Wire: its coroutines block, and never suspend themselves.

    The socket itself does not block: to wait for it with `poll`, and only where one has to, takes
    half the system calls of a socket with a timeout.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._readable = _waiting_for(sock, reading=True)
        self._secured = False  # TLS has shaken hands
        self._woken = False
        sock.setblocking(False)
        with contextlib.suppress(OSError):  # it is no TCP
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def address(self) -> str:
        """The address of this end."""
        return str(self._sock.getsockname()[0])

    async def read(self, seconds: float) -> bytes:
        """What comes next."""
        if self._secured:
            return self._read_secured(seconds)
        while self._readable(seconds):
            try:
                return self._sock.recv(READ)
            except BlockingIOError:  # it was not so after all
                continue
        raise TimeoutError

    async def heard(self) -> bytes | None:
        """What is there already."""
        if not (self._secured or self._readable(0)):  # mostly; an exception takes longer
            return None
        try:
            return self._sock.recv(READ)
        except _NOT_NOW:
            return None

    async def write(self, data: bytes, seconds: float) -> None:
        """Write all of it."""
        if (sent := self._send(data)) == len(data):
            return
        rest, deadline = memoryview(data)[sent:], time.monotonic() + seconds
        writable = _waiting_for(self._sock, reading=False)
        while rest:
            if not writable(max(0.0, deadline - time.monotonic())):
                raise TimeoutError
            rest = rest[self._send(rest) :]

    async def finish(self) -> None:
        """Shut down the way out; TLS has words of its own for that."""
        if isinstance(self._sock, ssl.SSLSocket):
            with contextlib.suppress(ssl.SSLWantReadError):  # its answer need not be awaited
                self._sock.unwrap()
        else:
            self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    def shield(self) -> contextlib.AbstractContextManager[object]:
        """Nothing can be cancelled here."""
        return contextlib.nullcontext()

    def secure(self, tls: ssl.SSLContext, seconds: float, server: str | None = None) -> None:
        """Speak TLS from now on, as a client of this server if one is named. Raises OSError."""
        self._sock.settimeout(seconds)
        self._sock = sock = _wrapped(self._sock, tls, server)
        sock.do_handshake()
        sock.setblocking(False)
        self._secured = True

    def shut_down(self, how: int) -> None:
        """Wake up who reads, or (both) writes, from another thread."""
        self._woken = True
        if how == socket.SHUT_RD and self._secured:
            return  # it could not write any more then; who reads looks for it
        with contextlib.suppress(OSError):  # the connection may just have ended
            socket.socket.shutdown(self._sock, how)

    def say_at_once(self, data: bytes) -> None:
        """Write it if that is possible without waiting."""
        with contextlib.suppress(OSError):
            self._send(data)

    def _read_secured(self, seconds: float) -> bytes:
        deadline = time.monotonic() + seconds
        while not self._woken:
            try:
                return self._sock.recv(READ)
            except _NOT_NOW:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError from None
                self._readable(min(left, _GLANCE))
        return b""

    def _send(self, data: bytes | memoryview) -> int:
        """Write as much of it as is taken now."""
        try:
            return self._sock.send(data)
        except _NOT_NOW:
            return 0


def _wrapped(sock: socket.socket, tls: ssl.SSLContext, server: str | None) -> ssl.SSLSocket:
    """A socket with TLS, before the handshake. Raises OSError, with the socket closed then."""
    try:
        return tls.wrap_socket(
            sock,
            server_side=server is None,
            server_hostname=server,
            do_handshake_on_connect=False,
        )
    except OSError as error:
        # Where the peer is gone by now, ssl forgets the socket that it has taken over already.
        for frame, _ in traceback.walk_tb(error.__traceback__):
            forgotten = frame.f_locals.get("self")
            if isinstance(forgotten, ssl.SSLSocket):
                forgotten.close()
        sock.close()
        raise


def _waiting_for(sock: socket.socket, *, reading: bool) -> Callable[[float], object]:
    """Waits, for so many seconds, until a socket can be read, or written; whether it can."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(sock, select.POLLIN if reading else select.POLLOUT)
        wait = poll.poll
        return lambda seconds: wait(min(seconds, _LONGEST) * 1000)
    to_read, to_write = ([sock], []) if reading else ([], [sock])
    return lambda seconds: any(select.select(to_read, to_write, [], seconds))


class _Session(AsyncClient):
    """The session of a Client, whose coroutines block."""

    async def _connect(self, host: str, port: int, tls: ssl.SSLContext | None) -> Wire:
        wire = _Wire(socket.create_connection((host, port), self.timeouts.opening))
        try:
            if tls is not None:
                wire.secure(tls, self.timeouts.opening, host)
        except BaseException:
            wire.close()
            raise
        return wire

    async def _in_thread(self, function: Callable[..., str], *arguments: Any) -> str:
        return function(*arguments)

    @classmethod
    async def _send_in_turn(
        cls, wire: Wire, conversation: Conversation, timeouts: Timeouts
    ) -> None:
        with Client._over(cls._turned(wire, conversation, timeouts)) as client:
            if answer := conversation.turned(client):
                await conversation.settle(answer)


class Client:
    """A session with a server, in the role of the sender; one command at a time.

    The parameters, and what each method does and raises, are those of `smtp821.client.AsyncClient`;
    here they block.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 25,
        *,
        helo: str | None = None,
        dialect: Dialect = RFC821,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 (a frozen value)
        tls: ssl.SSLContext | None = None,
        transcript: Callable[[str], object] | None = None,
    ) -> None:
        self._session = _Session(
            host, port, helo=helo, dialect=dialect, timeouts=timeouts, tls=tls,
            transcript=transcript,
        )  # fmt: skip

    @classmethod
    def _over(cls, session: _Session) -> Self:
        client = cls()
        client._session = session
        return client

    @property
    def greeting(self) -> Reply | None:
        """The reply that opened the session; None before."""
        return self._session.greeting

    @property
    def timeouts(self) -> Timeouts:
        """How long to wait; what is set here holds from the next command on."""
        return self._session.timeouts

    @timeouts.setter
    def timeouts(self, timeouts: Timeouts) -> None:
        self._session.timeouts = timeouts

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        run(self._session.__aexit__(kind, error, traceback))

    def open(self) -> None:
        """Connect, wait for the greeting, and say HELO (3.5)."""
        run(self._session.open())

    def close(self) -> None:
        """Say QUIT where that is possible, and close the connection; it never raises."""
        run(self._session.close())

    def command(self, command: Command) -> Reply:
        """Send one command and give its reply, whatever it is."""
        return run(self._session.command(command))

    def data(self, message: Source) -> Reply:
        """Send DATA and the message; gives the reply that decided."""
        return run(self._session.data(message))

    def send(
        self,
        reverse_path: Path | str,
        forward_paths: Iterable[Path | str],
        message: Source,
        *,
        kind: Verb = Verb.MAIL,
        follow: Follow | None = None,
    ) -> Delivery:
        """Send a message to its recipients; gives what became of each of them."""
        return run(
            self._session.send(reverse_path, forward_paths, message, kind=kind, follow=follow)
        )

    def turn(self, handler: Handler, domain: str) -> Reply:
        """Ask to exchange the roles; if the answer is 250, receive until the other side quits."""
        return run(self._session.turn(handler, domain))
