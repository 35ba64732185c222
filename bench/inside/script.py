"""What receivers are given, and senders are answered."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain, repeat
from typing import Final

from .. import bodies
from ..worker import Tasks

__all__ = ["COMMANDS", "HELLO", "RECIPIENT", "SENDER", "TEXT", "Feed", "Script", "option", "pieces"]
__all__ += ["receiving", "reply_to", "script", "size"]

READ: Final = 1 << 16
HELLO: Final = b"HELO load.example\r\n"
SENDER: Final = "from@load.example"
RECIPIENT: Final = "to@bench.example"
TEXT: Final = b"Subject: bench\r\n\r\nHello.\r\n"
COMMANDS: Final = 4
"""Commands of a transaction that are answered: MAIL, RCPT, DATA, and the end of its data."""

_ENVELOPE: Final = (
    (f"MAIL FROM:<{SENDER}>\r\n".encode(), True),
    (f"RCPT TO:<{RECIPIENT}>\r\n".encode(), True),
    (b"DATA\r\n", True),
)

Script = Iterable[tuple[bytes, bool]]
"""What a server reads, one read after the other, and whether an answer is to follow it."""

Feed = Callable[[bytes], bytes]
"""Gives bytes to a receiver, and what it answers."""


def size() -> int:
    """How large a body is to be."""
    return int(sys.argv[1])


def option(name: str) -> bool:
    """Whether there is such an option."""
    return name in sys.argv[2:]


def pieces(data: bytes) -> list[bytes]:
    """Bytes as they are read."""
    return [data[at : at + READ] for at in range(0, len(data), READ)]


def script(task: str, count: int) -> tuple[Script, int]:
    """What a receiver is given for so many units of a task; and how many they are."""
    if task == "noop":
        return repeat((b"NOOP\r\n", True), count), count
    one: tuple[tuple[bytes, bool], ...]
    if task == "transaction":
        one = (*_ENVELOPE, (TEXT + b".\r\n", True))
        return chain.from_iterable(repeat(one, count)), count * COMMANDS
    body = bodies.wire(task.removeprefix("decode "), size())
    reads = tuple((piece, False) for piece in pieces(body))
    one = (*_ENVELOPE, *reads, (b".\r\n", True))
    return chain.from_iterable(repeat(one, count)), count * len(body)


def tasks() -> list[str]:
    """The tasks of a receiver."""
    return ["transaction", "noop", *(f"decode {kind}" for kind in bodies.KINDS)]


def receiving(begin: Callable[[], Feed]) -> Tasks:
    """The tasks of a receiver that answers at once.

    begin: makes a session, of which the greeting is over.
    """

    def do(task: str, count: int) -> int:
        steps, units = script(task, count)
        feed = begin()
        feed(HELLO)
        for data, answered in steps:
            if not feed(data) and answered:
                raise AssertionError(f"no answer to {data[:20]!r}")
        return units

    return {task: partial(do, task) for task in tasks()}


def reply_to(data: bytes) -> bytes:
    """What a server would say to a sender."""
    return b"354 Start mail input\r\n" if data[:4].upper() == b"DATA" else b"250 OK\r\n"
