"""aiosmtplib, on asyncio."""

from __future__ import annotations

import asyncio
from functools import partial

import aiosmtplib

from ..worker import answer
from .sending import HOST, MESSAGE, RECIPIENT, SENDER, port, shares


async def connection(count: int) -> None:
    """Send over one connection."""
    client = aiosmtplib.SMTP(
        hostname=HOST, port=port(), local_hostname="load.example", start_tls=False
    )
    async with client:
        for _ in range(count):
            await client.sendmail(SENDER, [RECIPIENT], MESSAGE)


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
