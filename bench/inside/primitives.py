"""What bounds decoding and encoding: one search and one replacement over the same bytes."""

from __future__ import annotations

from functools import partial

from .. import bodies
from ..worker import answer
from .script import pieces, size


def decode(kind: str, count: int) -> int:
    """Search each piece for the end of mail data, and take dots away."""
    body = bodies.wire(kind, size())
    reads = pieces(body)
    for _ in range(count):
        for read in reads:
            read.find(b"\r\n.\r\n")
            read.replace(b"\r\n.", b"\r\n")
    return count * len(body)


def encode(kind: str, count: int) -> int:
    """Double the dots of each piece."""
    body = pieces(bodies.message(kind, size()))
    octets = 0
    for _ in range(count):
        for piece in body:
            octets += len(piece.replace(b"\r\n.", b"\r\n.."))
    return octets


if __name__ == "__main__":
    answer(
        {f"decode {kind}": partial(decode, kind) for kind in bodies.KINDS}
        | {f"encode {kind}": partial(encode, kind) for kind in bodies.KINDS}
    )
