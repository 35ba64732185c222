"""The least that a client can send to, where there is no smtp-sink: it only answers.

It knows two things: a line that is DATA, and the end of mail data. Everything else is answered 250.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Final

_END: Final = b"\r\n.\r\n"


class Sink(asyncio.Protocol):
    """One connection."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._rest = b""
        self._in_data = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        out = b""
        while data:
            if self._in_data:
                end = data.find(_END)
                if end < 0:
                    data = data[-4:]
                    break
                data, self._in_data = data[end + len(_END) :], False
                out += b"250 OK\r\n"
            else:
                line, found, rest = data.partition(b"\r\n")
                if not found:
                    break
                verb = line[:4].upper()
                self._in_data = verb == b"DATA"
                # the line break before mail data belongs to the first line's dot
                data = b"\r\n" + rest if self._in_data else rest
                out += _REPLIES.get(verb, b"250 OK\r\n")
                if verb == b"QUIT":
                    self._transport.write(out)
                    self._transport.close()
                    return
        self._rest = data
        self._transport.write(out)


_REPLIES: Final = {b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n", b"EHLO": b"500 no\r\n"}


async def main() -> None:
    """Serve until the process is ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Sink, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
