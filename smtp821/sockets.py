"""Blocking sockets: a server with a thread for each connection, and a client.

Only I/O is here. What a server says is decided by a Conversation, how a message is sent by the
plan of `deliver`; this module moves their bytes, and knows how long to wait for more.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from types import TracebackType
from typing import Any, Self

from .conversation import Conversation
from .delivery import MESSAGE, Delivery, Message, SessionLost, SessionRefused, Source, deliver
from .exchange import Exchange
from .handler import Handler
from .hostname import own_name
from .protocol.commands import Command, Data, Helo, Quit, Turn, Verb
from .protocol.dialect import RFC821, RFC821_LENIENT, Dialect
from .protocol.errors import LocalProtocolError, SMTPError
from .protocol.events import Closed, Pause, Turned
from .protocol.paths import Domain, Path
from .protocol.replies import Reply, Severity
from .protocol.sender import Sender
from .service import Service
from .transcript import Transcript

__all__ = ["Client", "Server", "serve"]

_log = logging.getLogger("smtp821")

_READ = 1 << 16  # octets read at a time
_LINGER = 2.0  # seconds that a peer has to read what was said last, and close


def serve(
    handler: Callable[[str], Handler],
    *,
    host: str = "127.0.0.1",
    port: int = 8025,
    domain: str,
    dialect: Dialect = RFC821_LENIENT,
    max_connections: int = 100,
    idle_timeout: float = 300.0,
    transcript: Callable[[str, str], object] | None = None,
) -> Server:
    """Listen, and serve every connection until the Server that is returned is stopped.

    handler: makes the Handler of a connection from the peer's address.
    host, port: where to listen; port 0 lets the system choose.
    domain: the official name of this host, for its greeting.
    max_connections: how many at once; one more is told 421 and closed.
    idle_timeout: seconds that a peer may be silent before it is told 421.
    transcript: takes the peer's address and the text of every line that is said, if given.

    Raises OSError where it cannot listen, LocalProtocolError for a domain that is none.
    """
    service = Service(handler, domain, dialect, transcript)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=128)
    return Server(listener, service, max_connections, idle_timeout)


class _Stop:
    """How far a server has come with stopping; its connections look here before they read."""

    def __init__(self) -> None:
        self.begun = threading.Event()  # no transaction is begun any more
        self.grace_over = threading.Event()  # and none is finished

    def ends(self, conversation: Conversation) -> bool:
        """Whether a session is to be ended now."""
        return self.begun.is_set() and (self.grace_over.is_set() or not conversation.in_transaction)


class Server:
    """A server that is running; `serve` makes it. As a context manager it stops at the end."""

    def __init__(
        self,
        listener: socket.socket,
        service: Service,
        max_connections: int,
        idle_timeout: float,
    ) -> None:
        self._listener = listener
        self._service = service
        self._max_connections = max_connections
        self._idle_timeout = idle_timeout
        self.address: tuple[str, int] = listener.getsockname()[:2]
        """Host and port that the server listens at."""
        self._lock = threading.Lock()
        self._connections: set[_Connection] = set()
        self._ending: list[_Connection] = []  # that their threads have done with, or nearly
        self._stop = _Stop()
        self._waker, self._wake = socket.socketpair()
        self._acceptor = threading.Thread(target=self._accept, name="smtp821 listener", daemon=True)
        self._acceptor.start()

    def wait(self) -> None:
        """Wait until no more connections are taken, because of `stop`."""
        self._acceptor.join()

    def stop(self, grace: float = 30.0) -> None:
        """Take no more connections, let the mail in hand finish, say 421 to the rest (4.2.1).

        grace: seconds that transactions in progress have before they are told 421 too.
        """
        self._stop.begun.set()
        with contextlib.suppress(OSError):  # it may have seen by itself that it is to end
            self._wake.send(b"!")
        self._acceptor.join()
        self._wake.close()
        self._end(lambda connection: not connection.in_transaction, socket.SHUT_RD, grace)
        self._stop.grace_over.set()
        self._end(lambda connection: True, socket.SHUT_RD, _LINGER)
        self._end(lambda connection: True, socket.SHUT_RDWR, _LINGER)  # they do not even read

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _accept(self) -> None:
        """Take connections until woken by `stop`."""
        with self._waker, self._listener, selectors.DefaultSelector() as selector:
            self._listener.setblocking(False)
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._waker, selectors.EVENT_READ)
            while not self._stop.begun.is_set():
                selector.select()
                try:
                    sock, address = self._listener.accept()
                except (BlockingIOError, ConnectionError):
                    continue
                except OSError as error:  # out of descriptors: wait for some to be closed
                    _log.error("cannot take a connection: %s", error)
                    self._stop.begun.wait(0.1)
                    continue
                self._begin(sock, f"{address[0]}:{address[1]}")

    def _begin(self, sock: socket.socket, peer: str) -> None:
        """Give a connection its thread, or turn it away."""
        connection = _Connection(sock, peer, self._service, self._idle_timeout)
        with self._lock:
            if len(self._connections) < self._max_connections:
                try:
                    connection.start(self._stop, self._forget)
                except RuntimeError as error:  # there can be no more threads
                    _log.error("cannot serve %s: %s", peer, error)
                else:
                    self._connections.add(connection)
                    return
        with sock, contextlib.suppress(OSError):
            sock.setblocking(False)
            sock.send(self._service.full)

    def _forget(self, connection: _Connection) -> None:
        """Give the place of a connection to another."""
        with self._lock:
            self._connections.discard(connection)
            self._ending = [ending for ending in self._ending if ending.is_alive()]
            self._ending.append(connection)

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

    def __init__(
        self, sock: socket.socket, peer: str, service: Service, idle_timeout: float
    ) -> None:
        self._sock = sock
        self._peer = peer
        self._service = service
        self._idle_timeout = idle_timeout
        self._conversation: Conversation | None = None

    @property
    def in_transaction(self) -> bool:
        """Whether mail is in hand."""
        return self._conversation is not None and self._conversation.in_transaction

    def start(self, stop: _Stop, ended: Callable[[_Connection], object]) -> None:
        """Start the thread; `ended` is called when it has done. Raises RuntimeError."""
        self._stop, self._ended = stop, ended
        self._thread = threading.Thread(target=self._run, name="smtp821 connection", daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether the thread is."""
        return self._thread.is_alive()

    def join(self, seconds: float) -> None:
        """Wait for the end."""
        self._thread.join(seconds)

    def shut_down(self, how: int) -> None:
        """Wake the thread up if it waits for the peer: nothing more is read, or (both) written."""
        with contextlib.suppress(OSError):  # the connection may just have ended
            self._sock.shutdown(how)

    def _run(self) -> None:
        with self._sock:
            try:
                self._sock.settimeout(self._idle_timeout)
                self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._conversation = self._service.converse(self._peer)
                _converse(self._sock, self._conversation, self._stop)
            except (OSError, SMTPError) as error:
                _log.info("%s: %s", self._peer, error)
            except Exception:
                _log.exception("%s: the session was lost", self._peer)
            finally:
                self._ended(self)


def _converse(sock: socket.socket, conversation: Conversation, stop: _Stop) -> None:
    """Drive a conversation to its end, over a socket with a timeout.

    Raises OSError, and SMTPError where the peer did not keep the protocol in the other role.
    """
    try:
        while True:
            pause = _advance(conversation)
            if data := conversation.data_to_send():
                sock.sendall(data)
            if isinstance(pause, Closed):
                return _close_gently(sock)
            if isinstance(pause, Turned):
                return _send_in_turn(sock, conversation)
            if stop.ends(conversation):
                conversation.shutdown()
                continue
            try:
                data = sock.recv(_READ)
            except TimeoutError:
                conversation.shutdown("Idle for too long, closing transmission channel")
                continue
            if not data and stop.begun.is_set():
                conversation.shutdown()
            else:
                conversation.receive_data(data)
    finally:
        conversation.lost()
        _advance(conversation)


def _advance(conversation: Conversation) -> Pause | Closed | Turned:
    """As `Conversation.advance`, with a handler that can answer at once, or not at all."""
    while isinstance(pause := conversation.advance(), Awaitable):
        _fail_async(conversation, pause)
    return pause


def _fail_async(conversation: Conversation, answer: Awaitable[Any]) -> None:
    """Refuse an answer that there is no event loop for."""
    if isinstance(answer, Coroutine):
        answer.close()
    conversation.fail(TypeError("async methods need smtp821.asyncio or smtp821.trio"))


def _send_in_turn(sock: socket.socket, conversation: Conversation) -> None:
    """Let the handler send over a connection whose roles were exchanged (3.8); closes it."""
    with Client._turned(sock, conversation) as client:
        if answer := conversation.turned(client):
            _fail_async(conversation, answer)


def _close_gently(sock: socket.socket) -> None:
    """Let the peer read the last reply: a close with input unread would take it back."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + _LINGER
        while (left := deadline - time.monotonic()) > 0:
            sock.settimeout(left)
            if not sock.recv(_READ):
                return


class Client:
    """A session with a server, in the role of the sender; one command at a time.

    host, port: the server.
    helo: the name of this host for HELO; left out, what the system says, or else its address.
    dialect: what may be sent.
    timeout: seconds to wait for anything.
    transcript: takes the text of every line that is said, if given.

    As a context manager it opens the session (greeting, HELO) and closes it (QUIT). Whatever
    goes wrong in the middle of a command closes the connection, so that no command can get the
    reply to another; after that every method raises SessionLost.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 25,
        *,
        helo: str | None = None,
        dialect: Dialect = RFC821,
        timeout: float = 300.0,
        transcript: Callable[[str], object] | None = None,
    ) -> None:
        self._address = host, port
        self._helo = helo and Domain(helo).text
        self.timeout: float | None = timeout
        """Seconds to wait for anything; what is set here holds from the next command on."""
        shown = Transcript(transcript) if transcript is not None else None
        self._exchange = Exchange(Sender(dialect), shown)
        self._sock: socket.socket | None = None
        self.greeting: Reply | None = None
        """The reply that opened the session; None before."""

    @property
    def _dialect(self) -> Dialect:
        return self._exchange.sender.dialect

    @classmethod
    def _turned(cls, sock: socket.socket, conversation: Conversation) -> Self:
        """A client over the connection of a conversation in which TURN was accepted (3.8).

        Raises RemoteProtocolError where the peer has spoken before its time.
        """
        receiver = conversation.receiver
        client = cls(helo=receiver.domain.text)
        client._exchange = Exchange(receiver.turned(), conversation.transcript)
        client._sock, client.timeout = sock, sock.gettimeout()
        return client

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def open(self) -> None:
        """Connect, wait for the greeting, and say HELO (3.5).

        Raises SessionRefused with the reply if the answer is no, SessionLost or
        RemoteProtocolError if the other side does not hold the session, OSError if there is none,
        LocalProtocolError if the session is open already.
        """
        if self._sock is None:
            self._sock = socket.create_connection(self._address, self.timeout)
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._exchange = Exchange(Sender(self._dialect), self._exchange.transcript)
        elif self._exchange.sender.awaiting is not Verb.CONNECT:
            raise LocalProtocolError("the session is open already")
        try:
            self.greeting = reply = self._reply()
            if reply.severity is Severity.COMPLETED:
                reply = self.command(Helo(self._helo or self._own_name()))
            if reply.severity is not Severity.COMPLETED:
                raise SessionRefused(reply)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Say QUIT where that is possible, and close the connection; it never raises."""
        if self._sock is not None:
            with contextlib.suppress(SMTPError, OSError):
                self.command(Quit())
        self._abandon()

    def command(self, command: Command) -> Reply:
        """Send one command and give its reply, whatever it is.

        Raises LocalProtocolError for a command that is not legal now, or at all (the session goes
        on); RemoteProtocolError, SessionLost or OSError (the connection is closed).
        """
        try:
            if notice := self._overheard():
                return notice
            self._exchange.send(command)
        except LocalProtocolError:
            raise
        except BaseException:
            self._abandon()
            raise
        return self._reply()

    def data(self, message: Source) -> Reply:
        """Send DATA and the message; gives the reply that decided.

        Raises as `command` does, and LocalProtocolError for mail data that must not be sent, after
        which the connection is closed: a message cannot be taken back once it has begun.
        """
        reply = self.command(Data())
        if reply.severity is not Severity.INTERMEDIATE:
            return reply
        return self._message(Message(message))

    def send(
        self,
        reverse_path: Path | str,
        forward_paths: Iterable[Path | str],
        message: Source,
        *,
        kind: Verb = Verb.MAIL,
    ) -> Delivery:
        """Send a message to its recipients; gives what became of each of them.

        reverse_path, forward_paths: Paths, or their texts with brackets.
        message: bytes, a binary file, or chunks of bytes; it is never read whole.
        kind: MAIL, or SEND, SOML, SAML (3.4).
        Raises LocalProtocolError for what must not be sent; what the other side does, a lost
        connection included, is in the result.
        """
        source = Message(message)
        plan = deliver(
            reverse_path,
            forward_paths,
            kind=kind,
            limits=self._dialect.limits,
            repeatable=source.repeatable,
        )
        try:
            step = next(plan)
            while True:
                try:
                    reply = self._message(source) if step is MESSAGE else self.command(step)
                except (SMTPError, OSError) as error:
                    step = plan.throw(error)
                else:
                    step = plan.send(reply)
        except StopIteration as done:
            delivery: Delivery = done.value
            return delivery

    def turn(self, handler: Handler, domain: str) -> Reply:
        """Ask to exchange the roles; if the answer is 250, receive until the other side quits.

        handler: answers as in a server; domain: the name of this host (3.8).
        Raises as `command` does.
        """
        name = Domain(domain).text  # before anything is sent
        reply = self.command(Turn())
        if self._sock is not None and reply.severity is Severity.COMPLETED:
            with self._sock as sock:
                self._sock = None
                conversation = self._exchange.turned(handler, name)
                _converse(sock, conversation, _Stop())
        return reply

    def _message(self, message: Message) -> Reply:
        """Send the mail data, which 354 has asked for, and wait for the reply."""
        try:
            if notice := self._stream(message):
                return notice
        except BaseException:
            self._abandon()
            raise
        return self._reply()

    def _stream(self, message: Message) -> Reply | None:
        """Send the mail data and its end; gives the 421 that cut it short, if one did."""
        try:
            for chunk in message.chunks():
                self._exchange.send_data(chunk)
                self._flush()
        except OSError:
            with contextlib.suppress(OSError, SessionLost):
                if notice := self._overheard():  # why it was not taken
                    return notice
            raise
        if notice := self._overheard():  # before the message is confirmed
            return notice
        self._exchange.end_data()
        return None

    def _reply(self) -> Reply:
        """Wait for the one reply that is awaited; whatever else comes closes the connection."""
        try:
            while (reply := self._exchange.reply()) is None:
                self._flush()
                self._exchange.receive_data(self._read())
        except BaseException:
            self._abandon()
            raise
        if self._exchange.over:
            self._abandon()
        return reply

    def _overheard(self) -> Reply | None:
        """Read what the other side has said out of turn, without waiting; the 421, if it is one."""
        sock = self._connected()
        sock.setblocking(False)
        try:
            self._exchange.receive_data(self._read())
        except BlockingIOError:
            return None
        finally:
            sock.settimeout(self.timeout)
        notice = self._exchange.overheard()
        if notice is not None:
            self._abandon()
        return notice

    def _connected(self) -> socket.socket:
        if self._sock is None:
            raise SessionLost("there is no connection")
        return self._sock

    def _flush(self) -> None:
        if data := self._exchange.data_to_send():
            self._connected().sendall(data)

    def _read(self) -> bytes:
        return self._connected().recv(_READ)

    def _abandon(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _own_name(self) -> str:
        return own_name(self._connected().getsockname()[0], self._dialect.limits)
