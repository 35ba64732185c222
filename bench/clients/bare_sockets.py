"""Blocking sockets without a protocol: what is to be said is known, whatever comes is a reply."""

from __future__ import annotations

import socket

from ..worker import answer
from .sending import HELLO, HOST, QUIT, TRANSACTION, port


def one(count: int) -> int:
    """Send over one connection."""
    with socket.create_connection((HOST, port())) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.recv(1 << 16)
        for step in (HELLO, *TRANSACTION * count, QUIT):
            sock.sendall(step)
            assert sock.recv(1 << 16)
    return count


if __name__ == "__main__":
    answer({"1": one})
