"""What is sent to servers: bytes made before, by this process, or by smtp-source.

A server is to be what is measured, so what gives it work is to be light: mail data is encoded once
and sent whole, dialogues are bytes that wait for so many replies. smtp-source, in C, feeds the
small messages where it is installed; else `messages` here does the same, reply by reply.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from statistics import median
from typing import Final

from .rounds import Failed

__all__ = ["SIZE", "Connection", "Crowd", "hold", "messages", "smtp_source"]

HOST: Final = "127.0.0.1"
SIZE: Final = 1024
"""Octets of a small message."""
TIME: Final = 120.0
_LINE: Final = b"x" * 62 + b"\r\n"
_HELLO: Final = b"HELO load.example\r\n"
_MAIL: Final = b"MAIL FROM:<from@load.example>\r\n"
_RCPT: Final = b"RCPT TO:<to@bench.example>\r\n"
_MESSAGE: Final = _LINE * (SIZE // len(_LINE)) + b".\r\n"
_ONE: Final = (_MAIL, _RCPT, b"DATA\r\n", _MESSAGE)
_BATCH: Final = 250  # connections that may wait to be accepted


def smtp_source(program: str, port: int, count: int, sessions: int, *, each: bool) -> None:
    """Let smtp-source send so many messages over so many connections at a time. Raises Failed.

    each: a connection for each message.
    """
    how = [] if each else ["-d"]
    command = [program, *how, "-s", str(sessions), "-m", str(count), "-l", str(SIZE), "-C", "20"]
    command += ["-M", "load.example", "-f", "from@load.example", "-t", "to@bench.example"]
    try:
        subprocess.run([*command, f"{HOST}:{port}"], capture_output=True, timeout=TIME, check=True)
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines()
        raise Failed(lines[-1] if lines else f"exit status {error.returncode}") from None
    except subprocess.TimeoutExpired:
        raise Failed(f"not done in {TIME:g} seconds") from None


class Connection:
    """A connection to a server, which blocks."""

    def __init__(self, port: int, *, hello: bool = True) -> None:
        self.sock = socket.create_connection((HOST, port), TIME)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._unread = b""
        self.replies(1)
        if hello:
            self.ask(_HELLO)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def ask(self, data: bytes, count: int = 1) -> bytes:
        """Send bytes, and wait for so many replies; gives the last."""
        self.sock.sendall(data)
        return self.replies(count)

    def replies(self, count: int) -> bytes:
        """Wait for so many replies; gives the last. Raises Failed."""
        while True:
            lines = self._unread.split(b"\r\n")
            done = [line for line in lines[:-1] if line[3:4] != b"-"]
            if len(done) >= count:
                self._unread = b""
                if len(done) > count:
                    raise Failed(f"a reply too many: {done[-1].decode(errors='replace')}")
                return done[-1]
            data = self.sock.recv(65536)
            if not data:
                raise Failed("the server closed the connection")
            self._unread += data

    def message(self, wire: Iterable[bytes], recipients: int = 1) -> None:
        """Send a message in its pieces, which end in CRLF, dots doubled. Raises Failed."""
        expect(self.ask(_MAIL), b"250")
        expect(self.ask(_RCPT * recipients, recipients), b"250")
        expect(self.ask(b"DATA\r\n"), b"354")
        for piece in wire:
            self.sock.sendall(piece)
        expect(self.ask(b".\r\n"), b"250")

    def noops(self, count: int, depth: int = 1) -> None:
        """Send so many NOOPs, so many at a time."""
        batch = b"NOOP\r\n" * depth
        for _ in range(count // depth):
            self.ask(batch, depth)

    def latency(self, count: int) -> float:
        """The median of the times from a NOOP to its reply, in seconds."""
        times = []
        for _ in range(count):
            began = time.perf_counter()
            self.ask(b"NOOP\r\n")
            times.append(time.perf_counter() - began)
        return median(times)


def expect(reply: bytes, code: bytes) -> None:
    """Raise Failed where a reply is not what the work needs."""
    if not reply.startswith(code):
        raise Failed(f"answered {reply.decode(errors='replace')}")


@contextlib.contextmanager
def hold(port: int, count: int) -> Iterator[list[socket.socket]]:
    """So many connections that have said HELO, and say nothing more. Raises Failed, OSError."""
    with contextlib.ExitStack() as stack:
        held: list[socket.socket] = []
        while len(held) < count:
            batch = [_connect(port, stack) for _ in range(min(_BATCH, count - len(held)))]
            for sock in batch:
                _line(sock)
                sock.sendall(_HELLO)
            for sock in batch:
                _line(sock)
            held += batch
        yield held


def _connect(port: int, stack: contextlib.ExitStack) -> socket.socket:
    return stack.enter_context(socket.create_connection((HOST, port), 30))


def _line(sock: socket.socket) -> None:
    data = b""
    while not data.endswith(b"\n"):
        more = sock.recv(4096)
        if not more:
            raise Failed("the server closed the connection")
        data += more


class _Session:
    """One connection of `messages`: what it says next, when the reply has come."""

    def __init__(self, sock: socket.socket, script: Iterable[bytes]) -> None:
        self.sock = sock
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._script = iter(script)
        self._reply = b""

    def go_on(self) -> bool:
        """Read, and say the next; False when all has been said, or the server has gone."""
        data = self.sock.recv(4096)
        if not data:
            return False
        self._reply += data
        if not data.endswith(b"\n") or self._reply.splitlines()[-1][3:4] == b"-":
            return True
        if self._reply[:1] not in b"23":
            raise Failed(f"answered {self._reply.decode(errors='replace').strip()}")
        self._reply = b""
        if (line := next(self._script, None)) is None:
            return False
        self.sock.sendall(line)
        return True


def messages(port: int, count: int, sessions: int, *, each: bool) -> None:
    """Send so many small messages over so many connections at a time. Raises Failed, OSError.

    each: a connection for each message.
    """
    share = [count // sessions + (i < count % sessions) for i in range(sessions)]
    waiting = [1] * count if each else [n for n in share if n]
    waiting.reverse()
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as stack:

        def begin() -> None:
            sock = stack.enter_context(socket.create_connection((HOST, port), TIME))
            session = _Session(sock, (_HELLO, *(_ONE * waiting.pop()), b"QUIT\r\n"))
            selector.register(sock, selectors.EVENT_READ, session)

        def over(session: _Session) -> None:
            session.sock.close()
            if waiting:
                begin()

        while waiting and len(selector.get_map()) < sessions:
            begin()
        _talk(selector, over)


def _talk(selector: selectors.BaseSelector, over: Callable[[_Session], object]) -> None:
    """Let all the sessions of a selector talk to their end. Raises Failed."""
    deadline = time.monotonic() + TIME
    while selector.get_map():
        ready = selector.select(5)
        if not ready or time.monotonic() > deadline:
            raise Failed(f"not done in {TIME:g} seconds, or no answer in 5")
        for key, _ in ready:
            if not key.data.go_on():
                selector.unregister(key.fileobj)
                over(key.data)


class Crowd:
    """So many connections that stay open, over which messages go at the same time."""

    def __init__(self, port: int, count: int) -> None:
        self._stack = contextlib.ExitStack()
        try:
            self._socks = self._stack.enter_context(hold(port, count))
        except BaseException:
            self._stack.close()
            raise

    def close(self) -> None:
        """Close them."""
        self._stack.close()

    def messages(self, each: int) -> int:
        """So many messages over each; gives how many they were. Raises Failed, OSError."""
        with selectors.DefaultSelector() as selector:
            for sock in self._socks:
                first, *rest = _ONE * each
                selector.register(sock, selectors.EVENT_READ, _Session(sock, rest))
                sock.sendall(first)
            _talk(selector, lambda _: None)
        return each * len(self._socks)
