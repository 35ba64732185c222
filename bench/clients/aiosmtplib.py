"""aiosmtplib, on asyncio."""

from __future__ import annotations

import aiosmtplib

from ..worker import answer
from .sending import HOST, MESSAGE, RECIPIENT, SENDER, port
from .tasks import ways


async def connection(count: int) -> None:
    """Send over one connection."""
    client = aiosmtplib.SMTP(
        hostname=HOST, port=port(), local_hostname="load.example", start_tls=False
    )
    async with client:
        for _ in range(count):
            await client.sendmail(SENDER, [RECIPIENT], MESSAGE)


if __name__ == "__main__":
    answer(ways(connection))
