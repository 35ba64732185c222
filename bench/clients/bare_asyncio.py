"""asyncio without a protocol: what is to be said is known, whatever comes is a reply."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from ..worker import answer
from .sending import HELLO, HOST, QUIT, TRANSACTION, port
from .tasks import ways


class Bare(asyncio.BufferedProtocol):
    """One connection, called back for each reply."""

    _transport: asyncio.Transport
    _buffer = memoryview(bytearray(1 << 16))

    def __init__(self, count: int) -> None:
        self._steps: Iterator[bytes] = iter((HELLO, *TRANSACTION * count, QUIT))
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, _sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, _nbytes: int) -> None:
        if step := next(self._steps, b""):
            self._transport.write(step)
        elif not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionResetError())


async def connection(count: int) -> None:
    """Send over one connection."""
    loop = asyncio.get_running_loop()
    transport, bare = await loop.create_connection(lambda: Bare(count), HOST, port())
    await bare.done
    transport.close()


if __name__ == "__main__":
    answer(ways(connection))
