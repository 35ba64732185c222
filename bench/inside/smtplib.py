"""CPython's smtplib: its client over a socket that is none."""

from __future__ import annotations

import smtplib
from functools import partial
from typing import Any

from .. import bodies
from ..worker import answer
from .script import COMMANDS, RECIPIENT, SENDER, TEXT, reply_to, size


class Answering:
    """A socket, and its file, that answer what is sent."""

    def __init__(self) -> None:
        self.reply = b""
        self.octets = 0

    def sendall(self, data: bytes) -> None:
        self.octets = len(data)
        self.reply = reply_to(data)

    def readline(self, _: int) -> bytes:
        return self.reply

    def close(self) -> None:
        """Nothing is open."""


def begin() -> tuple[smtplib.SMTP, Answering]:
    """A session."""
    client: Any = smtplib.SMTP(local_hostname="load.example")
    client.sock = client.file = answering = Answering()
    client.helo()
    return client, answering


def noop(count: int) -> int:
    """Commands and replies."""
    client, _ = begin()
    for _ in range(count):
        client.noop()
    return count


def messages(body: bytes, count: int) -> int:
    """So many transactions; gives the octets of mail data."""
    client, answering = begin()
    octets = 0
    for _ in range(count):
        client.mail(SENDER)
        client.rcpt(RECIPIENT)
        client.data(body)
        octets += answering.octets
    return octets


def transaction(count: int) -> int:
    """Transactions."""
    messages(TEXT, count)
    return count * COMMANDS


def encode(kind: str, count: int) -> int:
    """Transactions of a body."""
    return messages(bodies.message(kind, size()), count)


if __name__ == "__main__":
    encoding = {f"encode {kind}": partial(encode, kind) for kind in bodies.KINDS}
    answer({"transaction": transaction, "noop": noop, **encoding})
