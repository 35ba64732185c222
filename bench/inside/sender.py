"""Sender: commands, the lines that leave, and the replies that come."""

from __future__ import annotations

from functools import partial

from smtp821 import Data, Helo, Mail, Noop, Path, Rcpt, Sender

from .. import bodies
from ..worker import answer
from .script import COMMANDS, RECIPIENT, SENDER, TEXT, pieces, reply_to, size

FROM, TO = Path(f"<{SENDER}>"), Path(f"<{RECIPIENT}>")


def begin() -> Sender:
    """A session."""
    sender = Sender()
    sender.receive_data(b"220 bench.example\r\n")
    sender.next_event()
    sender.send(Helo("load.example"))
    exchange(sender)
    return sender


def exchange(sender: Sender) -> None:
    """What was said leaves, and its reply comes."""
    sender.receive_data(reply_to(sender.data_to_send()))
    sender.next_event()


def message(sender: Sender, body: list[bytes]) -> int:
    """One transaction; gives the octets of its mail data."""
    sender.send(Mail(FROM))
    exchange(sender)
    sender.send(Rcpt(TO))
    exchange(sender)
    sender.send(Data())
    exchange(sender)
    octets = 0
    for piece in body:
        sender.send_data(piece)
        octets += len(sender.data_to_send())
    sender.end_data()
    exchange(sender)
    return octets


def noop(count: int) -> int:
    """Commands and replies."""
    sender = begin()
    for _ in range(count):
        sender.send(Noop())
        exchange(sender)
    return count


def transaction(count: int) -> int:
    """Transactions."""
    sender = begin()
    for _ in range(count):
        message(sender, [TEXT])
    return count * COMMANDS


def encode(kind: str, count: int) -> int:
    """Transactions of a body."""
    body = pieces(bodies.message(kind, size()))
    sender = begin()
    return sum(message(sender, body) for _ in range(count))


if __name__ == "__main__":
    encoding = {f"encode {kind}": partial(encode, kind) for kind in bodies.KINDS}
    answer({"transaction": transaction, "noop": noop, **encoding})
