"""asyncio without a protocol: it only answers. Clients send to it where there is no smtp-sink."""

from __future__ import annotations

import asyncio
import sys

from .answering import GREETING, Answering


class Bare(asyncio.BufferedProtocol):
    """One connection."""

    _transport: asyncio.Transport
    _buffer = memoryview(bytearray(1 << 16))  # for all: it is emptied as soon as filled

    def __init__(self) -> None:
        self._session = Answering()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(GREETING)

    def get_buffer(self, _sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if answer := self._session.feed(bytes(self._buffer[:nbytes])):
            self._transport.write(answer)
        if self._session.over:
            self._transport.close()


async def main() -> None:
    """Serve until the process is ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Bare, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
