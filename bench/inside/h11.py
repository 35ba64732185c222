"""h11, of another protocol, as the measure of a sans-IO library: a request, and its response."""

from __future__ import annotations

from typing import Any

import h11

from ..worker import answer

REQUEST = (
    b"GET /index.html HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: load.example\r\n"
    b"Accept: */*\r\n\r\n"
)


def transaction(count: int) -> int:
    """Requests and responses, over one connection."""
    connection = h11.Connection(h11.SERVER)
    response: Any = h11.Response(status_code=200, headers=[("Content-Length", "0")])
    for _ in range(count):
        connection.receive_data(REQUEST)
        while not isinstance(connection.next_event(), h11.EndOfMessage):
            pass
        connection.send(response)
        connection.send(h11.EndOfMessage())
        connection.start_next_cycle()
    return count


if __name__ == "__main__":
    answer({"transaction": transaction})
