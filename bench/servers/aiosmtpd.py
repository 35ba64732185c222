"""aiosmtpd: a handler with handle_DATA, on the event loop of asyncio."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from aiosmtpd.smtp import SMTP


class Counting:
    """Accepts all, and counts."""

    messages = 0
    octets = 0

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Count the message."""
        self.messages += 1
        self.octets += len(envelope.content)
        return "250 OK"


async def main() -> None:
    """Serve until the process is ended."""
    handler = Counting()
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(handler, hostname="bench.example", data_size_limit=None),
        "127.0.0.1",
        int(sys.argv[1]),
        backlog=1024,
    )
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
