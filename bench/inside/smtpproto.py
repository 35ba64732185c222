"""smtpproto: its state machine. It takes messages as objects only, made once before."""

from __future__ import annotations

import email
import email.message
import email.policy
from functools import lru_cache, partial

from smtpproto.protocol import SMTPClientProtocol

from .. import bodies
from ..worker import answer
from .script import COMMANDS, RECIPIENT, SENDER, TEXT, reply_to, size


def begin() -> SMTPClientProtocol:
    """A session."""
    protocol = SMTPClientProtocol()
    protocol.feed_bytes(b"220 bench.example\r\n")
    protocol.send_greeting("load.example")
    exchange(protocol)
    return protocol


def exchange(protocol: SMTPClientProtocol) -> int:
    """What was said leaves, and its reply comes; gives the octets that left."""
    data = protocol.get_outgoing_data()
    protocol.feed_bytes(reply_to(data))
    return len(data)


def noop(count: int) -> int:
    """Commands and replies."""
    protocol = begin()
    for _ in range(count):
        protocol.noop()
        exchange(protocol)
    return count


@lru_cache(8)
def parsed(body: bytes) -> email.message.EmailMessage:
    """A message as an object."""
    return email.message_from_bytes(body, policy=email.policy.SMTP)


def messages(body: bytes, count: int) -> int:
    """So many transactions; gives the octets of mail data."""
    protocol = begin()
    message = parsed(body)
    octets = 0
    for _ in range(count):
        protocol.mail(SENDER)
        exchange(protocol)
        protocol.recipient(RECIPIENT)
        exchange(protocol)
        protocol.start_data()
        exchange(protocol)
        protocol.data(message)
        octets += exchange(protocol)
    return octets


def transaction(count: int) -> int:
    """Transactions."""
    messages(TEXT, count)
    return count * COMMANDS


def encode(kind: str, count: int) -> int:
    """Transactions of a body, behind the headers that it would be taken for else."""
    return messages(b"Subject: bench\r\n\r\n" + bodies.message(kind, size()), count)


if __name__ == "__main__":
    encoding = {f"encode {kind}": partial(encode, kind) for kind in bodies.KINDS}
    answer({"transaction": transaction, "noop": noop, **encoding})
