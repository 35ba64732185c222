"""CPython's smtpd: a channel over a socket that is none."""

from __future__ import annotations

import warnings
from typing import Any

warnings.simplefilter("ignore", DeprecationWarning)

import smtpd  # noqa: E402

from ..worker import answer  # noqa: E402
from .script import Feed, receiving  # noqa: E402


class Kept:
    """A socket that gives what it is fed, and keeps what is sent."""

    def __init__(self) -> None:
        self.data = b""
        self.out = b""

    def getpeername(self) -> tuple[str, int]:
        return ("127.0.0.1", 1)

    def setblocking(self, _: bool) -> None:
        """It does not block."""

    def fileno(self) -> int:
        return 1 << 20

    def recv(self, _: int) -> bytes:
        return self.data

    def send(self, data: bytes) -> int:
        self.out += data
        return len(data)


class Server:
    """What a channel asks of its server."""

    def process_message(self, *_: Any, **__: Any) -> None:
        """Accept it."""


def begin() -> Feed:
    """A session."""
    sock = Kept()
    channel: Any = smtpd.SMTPChannel(Server(), sock, ("127.0.0.1", 1), data_size_limit=0, map={})  # type: ignore[arg-type]

    def feed(data: bytes) -> bytes:
        sock.data, sock.out = data, b""
        channel.handle_read()
        return sock.out

    return feed


if __name__ == "__main__":
    answer(receiving(begin))
