"""This library on trio."""

from __future__ import annotations

from functools import partial

import trio

from smtp821.trio import Client

from ..worker import answer
from .sending import HOST, MESSAGE, RECIPIENT, SENDER, port, shares


async def connection(count: int) -> None:
    """Send over one connection."""
    async with Client(HOST, port(), helo="load.example") as client:
        for _ in range(count):
            delivery = await client.send(f"<{SENDER}>", [f"<{RECIPIENT}>"], MESSAGE)
            assert delivery.recipients[0].reply is not None
            assert delivery.recipients[0].reply.code == 250


async def together(connections: int, count: int) -> None:
    """Send over some connections at once."""
    async with trio.open_nursery() as nursery:
        for share in shares(count, connections):
            nursery.start_soon(connection, share)


def run(connections: int, count: int) -> int:
    """Send."""
    trio.run(together, connections, count)
    return count


if __name__ == "__main__":
    answer({"1": partial(run, 1), "10": partial(run, 10)})
