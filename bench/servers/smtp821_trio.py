"""This library on trio."""

from __future__ import annotations

import trio

from smtp821.trio import serve

from .counting import Counting, dialect, port


async def main() -> None:
    """Serve until the process is ended."""
    async with serve(
        Counting, port=port(), domain="bench.example", dialect=dialect(), max_connections=None
    ) as server:
        await server.wait()


if __name__ == "__main__":
    trio.run(main)
