"""smtpproto's client, which is anyio's, on asyncio. It takes messages as objects only."""

from __future__ import annotations

import email
import email.policy

from smtpproto.client import AsyncSMTPClient

from ..worker import answer
from .sending import HOST, MESSAGE, RECIPIENT, SENDER, port
from .tasks import ways


async def connection(count: int) -> None:
    """Send over one connection."""
    message = email.message_from_bytes(MESSAGE, policy=email.policy.SMTP)
    client = AsyncSMTPClient(HOST, port(), domain="load.example")
    async with client.connect() as session:
        for _ in range(count):
            await session.send_message(message, sender=SENDER, recipients=[RECIPIENT])


if __name__ == "__main__":
    answer(ways(connection))
