"""The other end of a connection, played octet by octet, and a handler that remembers its session.

`playing` is a server that follows a script; `connected` is a sender-SMTP without a mind.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

from smtp821 import Command, EndOfData, Envelope, Event, Handler, MailData, Rcpt, Reply, Verb
from smtp821.protocol.events import Closed, Connected, Rejected
from smtp821.timeouts import Timeouts

from .adapters import TIMEOUT, Client, Server, client, serve

HOST: Final = "BETA.ARPA"
GREETING: Final = b"220 BETA.ARPA Simple Mail Transfer Service Ready\r\n"
HELLO: Final = b"250 BETA.ARPA\r\n"
OKAY: Final = b"250 OK\r\n"
START: Final = b"354 Start mail input; end with <CRLF>.<CRLF>\r\n"
BYE: Final = b"221 BETA.ARPA Service closing transmission channel\r\n"
NOT_AVAILABLE: Final = b"421 BETA.ARPA Service not available, closing transmission channel\r\n"


class Wire:
    """One end of a connection.

    tls: is spoken, if given; server_side: who says nothing of who it is.
    """

    def __init__(
        self, sock: socket.socket, tls: ssl.SSLContext | None = None, *, server_side: bool = False
    ) -> None:
        sock.settimeout(TIMEOUT)
        self.sock = sock
        if tls is not None:
            name = None if server_side else "localhost"
            with sock:  # in case that there is no handshake
                self.sock = tls.wrap_socket(sock, server_side=server_side, server_hostname=name)
        self._unread = b""

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.sock.sendall(data)

    def until(self, end: bytes) -> bytes:
        """What comes up to these bytes, and with them."""
        while end not in self._unread:
            assert self._read(), self._unread
        at = self._unread.index(end) + len(end)
        data, self._unread = self._unread[:at], self._unread[at:]
        return data

    def line(self) -> bytes:
        """The next line, with its CRLF."""
        return self.until(b"\r\n")

    def hears(self, data: bytes) -> None:
        """See that exactly these bytes come next."""
        while len(self._unread) < len(data) and data.startswith(self._unread):
            assert self._read(), self._unread
        assert self._unread[: len(data)] == data
        self._unread = self._unread[len(data) :]

    def rest(self) -> bytes:
        """All that comes, up to the end of file."""
        while self._read():
            pass
        return self._unread

    def remains(self) -> bytes:
        """As `rest`, or up to where the connection breaks."""
        with contextlib.suppress(ConnectionError):
            self.rest()
        return self._unread

    def finish(self) -> None:
        """Say that nothing more will be sent, if the other side is still there."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Break the connection, as a host does that has crashed."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def _read(self) -> bool:
        data = self.sock.recv(1 << 16)
        self._unread += data
        return bool(data)


# A server that follows a script, for a Client.

Script = Callable[[Wire], object]
Exchange = tuple[bytes, bytes]
"""What is to come from the client, and what is said to it."""

OPENING: Final[tuple[Exchange, ...]] = ((b"", GREETING), (b"HELO ALPHA.ARPA\r\n", HELLO))
QUIT: Final[Exchange] = (b"QUIT\r\n", BYE)


@contextlib.contextmanager
def playing(*scripts: Script, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve a connection for each script, one after the other; gives the port.

    tls: is spoken, if given. A script that fails makes the test fail.
    """
    failures: list[BaseException] = []

    def play() -> None:
        try:
            for script in scripts:
                with Wire(listener.accept()[0], tls, server_side=True) as wire:
                    script(wire)
        except BaseException as failure:
            failures.append(failure)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT)
        thread = threading.Thread(target=play, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join(TIMEOUT)
    if failures:
        raise failures[0]
    assert not thread.is_alive()


def turns(*dialogue: Exchange) -> Script:
    """A script of exactly these turns, behind which the client closes the connection."""

    def script(wire: Wire) -> None:
        for heard, said in dialogue:
            wire.hears(heard)
            wire.send(said)
        assert wire.rest() == b""

    return script


def session(*dialogue: Exchange) -> Script:
    """A script of one session: greeting and HELO, these turns, and QUIT."""
    return turns(*OPENING, *dialogue, QUIT)


def client_of(port: int, **options: Any) -> Client:
    """A client of the host ALPHA.ARPA, if nothing else is said, not opened yet."""
    return client(port, **{"helo": "ALPHA.ARPA", "timeouts": Timeouts.all(TIMEOUT)} | options)


# A server to be tested, and what is left of it.


class Catcher(Handler):
    """Takes mail for everybody, and keeps what it was shown."""

    def __init__(self, peer: str) -> None:
        super().__init__(peer)
        self.events: list[Event] = []

    def connected(self, event: Connected) -> Reply | None:
        """Remember it."""
        self.events.append(event)
        return None

    def rcpt(self, command: Rcpt) -> Reply | None:
        """Everybody is known here."""
        self.events.append(command)
        return None

    def mail_data(self, event: MailData) -> None:
        """Remember it."""
        self.events.append(event)

    def end_of_data(self, event: EndOfData) -> Reply | None:
        """The message is taken."""
        self.events.append(event)
        return None

    def rejected(self, event: Rejected) -> None:
        """Remember it."""
        self.events.append(event)

    def closed(self, event: Closed) -> None:
        """Remember it."""
        self.events.append(event)

    @property
    def messages(self) -> list[tuple[Envelope, bytes]]:
        """The messages that were taken."""
        taken, pieces = [], b""
        for event in self.events:
            if isinstance(event, MailData):
                pieces += event.data
            elif isinstance(event, EndOfData):
                taken.append((event.envelope, pieces))
                pieces = b""
        return taken

    @property
    def endings(self) -> list[Event]:
        """The events that say that the session is over; there is to be one, and it the last."""
        return [event for event in self.events if isinstance(event, Closed)]


class Catching:
    """A server whose handlers are kept, in the order in which their sessions begin.

    make: makes them; options: for `serve`.
    """

    def __init__(self, make: Callable[[str], Catcher] = Catcher, **options: Any) -> None:
        self._make = make
        self._handlers: queue.Queue[Catcher] = queue.Queue()
        self.server: Server = serve(self._handler, **{"port": 0, "domain": HOST} | options)

    def _handler(self, peer: str) -> Catcher:
        handler = self._make(peer)
        self._handlers.put(handler)
        return handler

    def __enter__(self) -> Catching:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop(grace=0.0)

    def handler(self) -> Catcher:
        """The handler of the next connection; waits until there is one."""
        return self._handlers.get(timeout=TIMEOUT)

    def none_left(self) -> bool:
        """Whether every handler there is was asked for."""
        return self._handlers.empty()

    def connect(self, tls: ssl.SSLContext | None = None) -> Wire:
        """A connection to the server."""
        return Wire(socket.create_connection(self.server.address, TIMEOUT), tls)


def say(wire: Wire, command: Command | bytes) -> bytes:
    """Send a line; the line it is answered with."""
    wire.send(command if isinstance(command, bytes) else bytes(command))
    return wire.line()


# The commands of a transaction, and their lines.

MAIL: Final = b"MAIL FROM:<Smith@ALPHA.ARPA>\r\n"
RCPT: Final = b"RCPT TO:<Jones@BETA.ARPA>\r\n"
DATA: Final = b"DATA\r\n"
RSET: Final = b"RSET\r\n"
TRANSACTION_VERBS: Final = (Verb.MAIL, Verb.SEND, Verb.SOML, Verb.SAML)
