"""aiosmtplib: its protocol, with a transport that answers what is written."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from aiosmtplib.protocol import SMTPProtocol

from .. import bodies
from ..worker import answer
from .script import COMMANDS, RECIPIENT, SENDER, TEXT, reply_to, size


class Answering(asyncio.Transport):
    """Answers what is written."""

    octets = 0

    def __init__(self, protocol: Any) -> None:
        super().__init__({})
        self.protocol = protocol

    def write(self, data: Any) -> None:
        self.octets = len(data)
        self.protocol.data_received(reply_to(data))

    def is_closing(self) -> bool:
        return False


async def begin() -> tuple[Any, Answering]:
    """A session."""
    protocol: Any = SMTPProtocol()
    transport = Answering(protocol)
    protocol.connection_made(transport)
    protocol.data_received(b"220 bench.example\r\n")
    await protocol.read_response(timeout=60)
    return protocol, transport


async def noop(count: int) -> int:
    """Commands and replies."""
    protocol, _ = await begin()
    for _ in range(count):
        await protocol.execute_command(b"NOOP", timeout=60)
    return count


async def messages(body: bytes, count: int) -> int:
    """So many transactions; gives the octets of mail data."""
    protocol, transport = await begin()
    sender = f"FROM:<{SENDER}>".encode()
    recipient = f"TO:<{RECIPIENT}>".encode()
    octets = 0
    for _ in range(count):
        await protocol.execute_command(b"MAIL", sender, timeout=60)
        await protocol.execute_command(b"RCPT", recipient, timeout=60)
        await protocol.execute_data_command(body, timeout=60)
        octets += transport.octets
    return octets


async def transaction(count: int) -> int:
    """Transactions."""
    await messages(TEXT, count)
    return count * COMMANDS


async def encode(kind: str, count: int) -> int:
    """Transactions of a body."""
    return await messages(bodies.message(kind, size()), count)


def run(task: Callable[[int], Awaitable[int]], count: int) -> int:
    """Do a task, on a loop of its own."""

    async def main() -> int:
        return await task(count)

    return asyncio.run(main())


if __name__ == "__main__":
    encoding = {f"encode {kind}": partial(run, partial(encode, kind)) for kind in bodies.KINDS}
    answer({"transaction": partial(run, transaction), "noop": partial(run, noop), **encoding})
