"""The command line as processes: a server to talk to, and programs at a terminal."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final

import pytest

TIMEOUT: Final = 20.0  # seconds that anything may take before a test fails
SMTP821: Final = (sys.executable, "-m", "smtp821")
ENVIRONMENT: Final = {**os.environ, "PYTHONUTF8": "1", "TZ": "UTC"}


def on_posix() -> pytest.MarkDecorator:
    """The mark of a test that needs signals or terminals as POSIX has them."""
    return pytest.mark.skipif(os.name != "posix", reason="needs the signals of POSIX")


class Lines:
    """The lines that a process writes to a pipe, each when it comes."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._stream:
            self._queue.put(line.removesuffix("\n"))
        self._queue.put(None)

    def next(self) -> str | None:
        """The next line; None if there will be none. Raises queue.Empty if it does not come."""
        return self._queue.get(timeout=TIMEOUT)

    def until(self, last: str) -> list[str]:
        """The lines up to and with this one."""
        lines: list[str] = []
        while last not in lines:
            line = self.next()
            assert line is not None, f"ended without {last!r}: {lines}"
            lines.append(line)
        return lines

    def rest(self) -> list[str]:
        """The lines up to the end, for which it waits."""
        return list(iter(self.next, None))

    def close(self) -> None:
        """Close the pipe, whose process has ended."""
        self._thread.join(TIMEOUT)
        self._stream.close()


class Serving:
    """A `serve` that runs.

    process: it; host, port: its address, from its first line; maildir: its folder;
    output, errors: what it prints behind that.
    """

    def __init__(self, process: subprocess.Popen[str], maildir: Path) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self.process, self.maildir = process, maildir
        self.output, self.errors = Lines(process.stdout), Lines(process.stderr)
        self.first_line, self.host, self.port = "", "", 0

    def begin(self) -> None:
        """Wait until it serves."""
        self.first_line = self.output.next() or ""
        self.host, _, port = self.first_line.rpartition(":")
        assert port.isdigit(), [self.first_line, *self.errors.rest()]
        self.port = int(port)

    def signal(self, number: int) -> None:
        """Send a signal to the process."""
        self.process.send_signal(number)

    def ended(self) -> int:
        """Wait for the end; gives the exit status."""
        return self.process.wait(TIMEOUT)

    def stop(self) -> int:
        """Ask it to stop; gives the exit status."""
        self.signal(signal.SIGTERM)
        return self.ended()

    def stored(self, mailbox: str = "user") -> list[bytes]:
        """The messages in a Maildir, in the order of their names."""
        folder = self.maildir / mailbox / "new"
        return [path.read_bytes() for path in sorted(folder.iterdir())] if folder.is_dir() else []


@contextlib.contextmanager
def serving(*arguments: str, folder: Path) -> Iterator[Serving]:
    """A server in a process of its own, at a port the system picks; it is ended at the end.

    folder: where it runs; its mail is in `mail` there, if the arguments say nothing else.
    """
    process = subprocess.Popen(
        [*SMTP821, "serve", "--port", "0", *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    server = Serving(process, folder / "mail")
    try:
        server.begin()
        yield server
    finally:
        process.kill()
        server.ended()
        server.output.close()
        server.errors.close()


class Peer:
    """A sender-SMTP of bytes: one connection."""

    def __init__(self, host: str, port: int) -> None:
        self._sock = socket.create_connection((host.strip("[]"), port), TIMEOUT)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._sock.makefile("rb")

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self._sock.close()

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._sock.sendall(data)

    def reply(self) -> bytes:
        """The next reply, all its lines; b"" at the end of file."""
        lines = [self._file.readline()]
        while lines[-1][3:4] == b"-":
            lines.append(self._file.readline())
        return b"".join(lines)

    def ask(self, line: bytes) -> bytes:
        """The reply to a line."""
        self.send(line + b"\r\n")
        return self.reply()

    def dialogue(self, *pairs: tuple[bytes, int]) -> None:
        """Send each line, and see that its reply has the code."""
        for line, code in pairs:
            assert (line, self.ask(line)[:3]) == (line, b"%d" % code)


@contextlib.contextmanager
def peer_of(server: Serving, *, hello: bool = True) -> Iterator[Peer]:
    """A connection to the server, with greeting and (if wanted) HELO behind it."""
    with Peer(server.host, server.port) as peer:
        assert peer.reply()[:4] == b"220 "
        if hello:
            peer.dialogue((b"HELO here.example", 250))
        yield peer


def deliver(peer: Peer, message: bytes, *forward_paths: bytes) -> bytes:
    """Hand a message over (lines in CRLF, no dots first); gives the reply that decides."""
    peer.dialogue((b"MAIL FROM:<me@here.example>", 250))
    for path in forward_paths:
        peer.dialogue((b"RCPT TO:" + path, 250))
    peer.dialogue((b"DATA", 354))
    return peer.ask(message + b".")


class AtTerminal:
    """A program with a terminal as its standard input, output and error."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        pty = pytest.importorskip("pty", reason="there are no terminals here")
        self._master, slave = pty.openpty()
        # A process that is begun in the background may ignore Ctrl-C, and its children with it.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            self.process = subprocess.Popen(
                command, cwd=folder, env=ENVIRONMENT, stdin=slave, stdout=slave, stderr=slave
            )
        finally:
            signal.signal(signal.SIGINT, before)
            os.close(slave)
        self._unread = b""

    def __enter__(self) -> AtTerminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(TIMEOUT)
        os.close(self._master)

    def type(self, line: str) -> None:
        """Type a line."""
        os.write(self._master, f"{line}\n".encode())

    def type_control(self, letter: str) -> None:
        """Type a letter with the control key."""
        os.write(self._master, bytes([ord(letter) - ord("@")]))

    def until(self, pattern: bytes) -> bytes:
        """What is printed up to the first match of a pattern, and with it."""
        deadline = time.monotonic() + TIMEOUT
        while not (found := re.search(pattern, self._unread)):
            assert self._read_more(deadline), f"ended, or stood still: {self._unread!r}"
        text, self._unread = self._unread[: found.end()], self._unread[found.end() :]
        return text

    def rest(self) -> bytes:
        """What is printed up to the end of the program, for which it waits."""
        deadline = time.monotonic() + TIMEOUT
        while self._read_more(deadline):
            pass
        self.process.wait(TIMEOUT)
        return self._unread

    def _read_more(self, deadline: float) -> bool:
        if not select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return False
        try:
            data = os.read(self._master, 1 << 16)
        except OSError:  # how Linux says that nobody has the terminal open any more
            return False
        self._unread += data
        return bool(data)
