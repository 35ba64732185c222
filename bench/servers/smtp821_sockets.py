"""This library on blocking sockets, a thread for each connection."""

from __future__ import annotations

from smtp821.sockets import serve

from .counting import Counting, dialect, port

if __name__ == "__main__":
    serve(
        Counting, port=port(), domain="bench.example", dialect=dialect(), max_connections=None
    ).wait()
