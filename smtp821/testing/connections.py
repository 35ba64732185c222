"""Connections to a server under test: bytes in, bytes out, one step at a time.

Three kinds: to a function, to a Handler in this process, to whatever listens at an address. What
drives a server (`machine`) knows only `Connection`.
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Callable
from typing import Final, Protocol

from ..conversation import Conversation
from ..handler import Handler
from ..protocol.dialect import RFC821, Dialect
from ..protocol.events import NEED_DATA, Closed, Turned
from ..protocol.receiver import Receiver
from ..wire import READ, run

__all__ = ["CallableConnection", "Connection", "HandlerConnection", "SocketConnection"]

# What ends a reply, or something that is none: a line that does not say that another follows.
_LAST_LINE: Final = re.compile(rb"(?:\A|\r\n)(?![0-9]{3}-)[^\r\n]*\r\n\Z")


class Connection(Protocol):
    """One connection to a server, open when it is made."""

    def exchange(self, data: bytes, *, awaited: bool) -> bytes:
        """Say something to the server; what it says up to where it waits for more.

        data: b"" for nothing, as at the beginning, where the greeting is awaited.
        awaited: whether a reply is owed; without one it need not be waited for.
        """

    def closed(self) -> bool | None:
        """Whether the server has closed the connection, or is about to; None: not known."""

    def close(self) -> None:
        """Close the connection from this end; it may be called again."""


class CallableConnection:
    """A function that is given what is said to the server, and gives what the server says.

    feed: called once with b"" at the beginning, for the greeting; then with every piece.
    closed: says whether the server has closed the connection; left out, that is not known.
    """

    def __init__(
        self, feed: Callable[[bytes], bytes], closed: Callable[[], bool | None] = lambda: None
    ) -> None:
        self._feed = feed
        self._closed = closed

    def exchange(self, data: bytes, *, awaited: bool) -> bytes:
        """Call the function."""
        return self._feed(data)

    def closed(self) -> bool | None:
        """What the other function says."""
        return self._closed()

    def close(self) -> None:
        """Nothing: a function has no end."""


class HandlerConnection:
    """A Handler of this library, with the Receiver in front of it, in memory.

    handler: answers; methods may be async, if they never wait for anything.
    domain, dialect: as for `serve`; of the dialect, what the handler does not offer is off.
    """

    def __init__(
        self, handler: Handler, domain: str = "local.example", dialect: Dialect = RFC821
    ) -> None:
        receiver = Receiver(domain, dialect.offering(handler.offers()))
        self.conversation = Conversation(handler, receiver)
        self._over = False

    def exchange(self, data: bytes, *, awaited: bool) -> bytes:
        """Let the Receiver read, and the Handler answer."""
        if data:
            self.conversation.receive_data(data)
        self._advance()
        return self.conversation.data_to_send()

    def closed(self) -> bool:
        """Whether the session is over."""
        return self._over

    def close(self) -> None:
        """Let the connection break, of which the Handler hears."""
        if not self._over:
            self.conversation.lost()
            self._advance()

    def _advance(self) -> None:
        while (turn := self.conversation.advance()) is not NEED_DATA:
            if isinstance(turn, (Closed, Turned)):
                self._over = True
                return
            run(self.conversation.settle(turn))  # type: ignore[arg-type]  # no other Pause


class SocketConnection:
    """A socket, to a server that listens somewhere.

    host, port: where. timeout: seconds that a reply may take, or the closing of the connection;
    what does not come until then is missing.

    Raises OSError where nobody listens. What is not awaited is read only if it is there already:
    a reply too many is seen in this step or in one of the next, at the latest when QUIT is
    answered and the connection closed.
    """

    def __init__(self, host: str, port: int, timeout: float = 10.0) -> None:
        self._sock = socket.create_connection((host, port), timeout)
        self._timeout = timeout
        self._unread = b""

    def exchange(self, data: bytes, *, awaited: bool) -> bytes:
        """Send, and receive a reply with what is behind it."""
        came, self._unread = self._unread, b""
        with contextlib.suppress(ConnectionError):  # then there is nothing to be read either
            self._sock.sendall(data)
        while awaited and not _LAST_LINE.search(came):
            more = self._read(self._timeout)
            if not more:
                return came
            came += more
        return came + (self._read(0) or b"")

    def closed(self) -> bool:
        """Whether the end of file comes; what comes instead is kept for the next step."""
        more = self._read(self._timeout)
        self._unread += more or b""
        return more == b""

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    def _read(self, seconds: float) -> bytes | None:
        """What comes next; b"" at the end of file, None if nothing does."""
        self._sock.settimeout(seconds)
        try:
            return self._sock.recv(READ)
        except ConnectionError:
            return b""
        except (TimeoutError, BlockingIOError):
            return None
        finally:
            self._sock.settimeout(self._timeout)
