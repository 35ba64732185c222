"""DotDecoder and DotEncoder alone, in pieces of 64 KiB, as RFC 821 has them to be."""

from __future__ import annotations

from functools import partial

from smtp821 import RFC821, DotDecoder, DotEncoder

from .. import bodies
from ..worker import answer
from .script import pieces, size


def decode(kind: str, count: int) -> int:
    """Decode so many bodies."""
    body = bodies.wire(kind, size())
    reads = [*pieces(body), b".\r\n"]
    for _ in range(count):
        decoder = DotDecoder()
        for read in reads:
            decoder.decode(read)
        assert decoder.rest == b""
    return count * len(body)


def encode(kind: str, count: int) -> int:
    """Encode so many bodies."""
    body = pieces(bodies.message(kind, size()))
    octets = 0
    for _ in range(count):
        encoder = DotEncoder(RFC821.line_feeds, RFC821.eight_bit, RFC821.limits.text_line)
        for piece in body:
            octets += len(encoder.encode(piece))
        encoder.end()
    return octets


if __name__ == "__main__":
    answer(
        {f"decode {kind}": partial(decode, kind) for kind in bodies.KINDS}
        | {f"encode {kind}": partial(encode, kind) for kind in bodies.KINDS}
    )
