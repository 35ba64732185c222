"""This library on asyncio."""

from __future__ import annotations

from smtp821.asyncio import Client

from ..worker import answer
from .sending import HOST, MESSAGE, RECIPIENT, SENDER, port
from .tasks import ways


async def connection(count: int) -> None:
    """Send over one connection."""
    async with Client(HOST, port(), helo="load.example") as client:
        for _ in range(count):
            delivery = await client.send(f"<{SENDER}>", [f"<{RECIPIENT}>"], MESSAGE)
            assert delivery.recipients[0].reply is not None
            assert delivery.recipients[0].reply.code == 250


if __name__ == "__main__":
    answer(ways(connection))
