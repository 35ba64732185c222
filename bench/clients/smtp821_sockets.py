"""This library on blocking sockets."""

from __future__ import annotations

from smtp821.sockets import Client

from ..worker import answer
from .sending import HOST, MESSAGE, RECIPIENT, SENDER, port


def one(count: int) -> int:
    """Send over one connection."""
    with Client(HOST, port(), helo="load.example") as client:
        for _ in range(count):
            delivery = client.send(f"<{SENDER}>", [f"<{RECIPIENT}>"], MESSAGE)
            assert delivery.recipients[0].reply is not None
            assert delivery.recipients[0].reply.code == 250
    return count


if __name__ == "__main__":
    answer({"1": one})
