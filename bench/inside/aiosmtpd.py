"""aiosmtpd: its protocol on an event loop, with a transport that keeps what is written."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from aiosmtpd.smtp import SMTP

from ..servers.aiosmtpd import Counting
from ..worker import answer
from .script import HELLO, script, tasks


class Kept(asyncio.Transport):
    """Keeps what is written, and whether reading is to wait."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.out = b""
        self.paused = False

    def write(self, data: Any) -> None:
        self.out += data

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        """Nothing is open."""


async def do(task: str, count: int) -> int:
    """Do a task."""
    steps, units = script(task, count)
    transport = Kept()
    protocol: Any = SMTP(Counting(), hostname="bench.example", data_size_limit=None)
    protocol.connection_made(transport)

    async def feed(data: bytes, answered: bool) -> None:
        transport.out = b""
        protocol.data_received(data)
        while transport.paused or (answered and not transport.out):
            await asyncio.sleep(0)

    while not transport.out:
        await asyncio.sleep(0)
    await feed(HELLO, True)
    for data, answered in steps:
        await feed(data, answered)
    protocol._handler_coroutine.cancel()
    protocol._timeout_handle.cancel()
    return units


def run(task: str, count: int) -> int:
    """Do a task, on a loop of its own."""
    return asyncio.run(do(task, count))


if __name__ == "__main__":
    answer({task: partial(run, task) for task in tasks()})
