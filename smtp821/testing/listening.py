"""Sessions without I/O at a port: one thread serves all connections.

What is said comes in pieces, each of which is written by itself, so a client can be shown what it
is to get in two reads. A session that raises OSError has its connection reset.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
from collections.abc import Callable
from time import monotonic
from typing import Final, Protocol, cast

from ..wire import READ

__all__ = ["Loop", "Session"]

_GRACE: Final = 0.25  # seconds in which clients may leave when a server stops


class Session(Protocol):
    """What talks to one client."""

    def receive_data(self, data: bytes) -> None:
        """Take what the client has written; b"" is the end of file."""

    def next_piece(self) -> bytes | None:
        """What is said next; None while the client is to speak, b"" at the end. Raises OSError."""

    def lost(self) -> None:
        """Hear that the connection is closed."""


class Loop:
    """The thread that serves all connections of a server.

    begin: begins a session with a client, whose address it is given.
    listener: where they connect; it is closed at the end.
    """

    def __init__(self, begin: Callable[[str], Session], listener: socket.socket) -> None:
        self._begin = begin
        self._listener = listener
        self._waker, self._wake = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        for sock, call in ((listener, self._accept), (self._waker, self._end)):
            sock.setblocking(False)
            self._selector.register(sock, selectors.EVENT_READ, call)
        self._failure: BaseException | None = None
        self._deadline: float | None = None  # for all that is left, once it is to end
        self._thread = threading.Thread(target=self._run, name="smtp821 script", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, if that was not done before. Raises what went wrong in a session."""
        self._wake.close()
        self._thread.join()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _run(self) -> None:
        try:
            self._serve()
        except BaseException as failure:
            self._failure = failure
        finally:
            connections = (key.fileobj for key in self._selector.get_map().values())
            for sock in (*connections, self._listener, self._waker):
                cast(socket.socket, sock).close()
            self._selector.close()

    def _serve(self) -> None:
        """Call what has something to do, until woken, and a little longer."""
        while (left := self._time_left()) is None or left > 0:
            for key, events in self._selector.select(left):
                key.data(events)

    def _time_left(self) -> float | None:
        if self._deadline is None:
            return None
        return self._deadline - monotonic() if self._selector.get_map() else 0.0

    def _end(self, _events: int) -> None:
        """Take no more connections, and let those that are there hear their last reply."""
        self._deadline = monotonic() + _GRACE
        self._selector.unregister(self._listener)
        self._selector.unregister(self._waker)

    def _accept(self, _events: int) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            sock, address = self._listener.accept()
            _Connection(sock, self._begin(f"{address[0]}:{address[1]}"), self._selector)


class _Connection:
    """A session over a socket; each time that it can be written to, a piece is."""

    def __init__(
        self, sock: socket.socket, session: Session, selector: selectors.BaseSelector
    ) -> None:
        self._sock, self._session, self._selector = sock, session, selector
        self._unsent = memoryview(b"")
        self._over = False  # nothing more is said
        self._reading, self._writing = selectors.EVENT_READ, selectors.EVENT_WRITE  # or 0
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(sock, self._reading | self._writing, self._go)

    def _go(self, events: int) -> None:
        try:
            with contextlib.suppress(BlockingIOError):
                if events & selectors.EVENT_READ:
                    self._read()
                if events & selectors.EVENT_WRITE:
                    self._write()
        except OSError:  # the client has gone, or the script wants it so
            self._break()
            return
        if wanted := self._reading | self._writing:
            self._selector.modify(self._sock, wanted, self._go)
        else:
            self._close()

    def _read(self) -> None:
        data = self._sock.recv(READ)
        if not data:
            self._reading = 0
        if not self._over:
            self._session.receive_data(data)
            self._writing = selectors.EVENT_WRITE

    def _write(self) -> None:
        if not self._unsent:
            piece = self._session.next_piece()
            if not piece:
                self._writing = 0
                if piece is not None:  # the client reads the end of file, and then closes
                    self._over = True
                    self._sock.shutdown(socket.SHUT_WR)
                return
            self._unsent = memoryview(piece)
        self._unsent = self._unsent[self._sock.send(self._unsent) :]

    def _break(self) -> None:
        """Have the client find the connection reset."""
        with contextlib.suppress(OSError):  # some systems do not want to hear of it any more
            linger = struct.pack("ii", 1, 0)
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._close()

    def _close(self) -> None:
        self._session.lost()
        self._selector.unregister(self._sock)
        self._sock.close()
