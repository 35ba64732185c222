"""What clients under asyncio have in common: a task for each of their connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from .sending import shares

__all__ = ["Connection", "ways"]

Connection = Callable[[int], Coroutine[Any, Any, None]]
"""Sends so many messages over one connection."""


async def together(connection: Connection, connections: int, count: int) -> None:
    """Send over some connections at once."""
    async with asyncio.TaskGroup() as group:
        for share in shares(count, connections):
            group.create_task(connection(share))


def ways(connection: Connection) -> dict[str, Callable[[int], int]]:
    """What a client answers to: over one connection, and over ten."""

    def run(connections: int, count: int) -> int:
        asyncio.run(together(connection, connections, count))
        return count

    return {"1": partial(run, 1), "10": partial(run, 10)}
