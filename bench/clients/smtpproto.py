"""smtpproto's client, which is anyio's, on asyncio. It takes messages as objects only."""

from __future__ import annotations

import asyncio
import email
import email.policy
from functools import partial

from smtpproto.client import AsyncSMTPClient

from ..worker import answer
from .sending import HOST, MESSAGE, RECIPIENT, SENDER, port, shares


async def connection(count: int) -> None:
    """Send over one connection."""
    message = email.message_from_bytes(MESSAGE, policy=email.policy.SMTP)
    client = AsyncSMTPClient(HOST, port(), domain="load.example")
    async with client.connect() as session:
        for _ in range(count):
            await session.send_message(message, sender=SENDER, recipients=[RECIPIENT])


async def together(connections: int, count: int) -> None:
    """Send over some connections at once."""
    async with asyncio.TaskGroup() as group:
        for share in shares(count, connections):
            group.create_task(connection(share))


def run(connections: int, count: int) -> int:
    """Send."""
    asyncio.run(together(connections, count))
    return count


if __name__ == "__main__":
    answer({"1": partial(run, 1), "10": partial(run, 10)})
