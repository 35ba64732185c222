"""Six kinds of mail data: what mail looks like, and what costs a server most.

`message` is mail data as a program has it, `wire` the same as it goes over the channel (4.5.2),
without the line that ends it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

__all__ = ["KINDS", "LONE_CRS", "ORDINARY", "message", "wire"]

ORDINARY: Final = "76-character lines"
LONE_CRS: Final = "lone CRs"

KINDS: Final[Mapping[str, bytes]] = {
    ORDINARY: b"x" * 76 + b"\r\n",
    "every line dotted": b"." + b"x" * 75 + b"\r\n",
    "only empty lines": b"\r\n",
    "only `..` lines": b".\r\n",
    "900-character lines": b"x" * 900 + b"\r\n",
    LONE_CRS: b"x\r" * 38 + b"x\r\n",
}
"""A line of each kind, as it is in the message."""


@lru_cache(8)
def message(kind: str, size: int) -> bytes:
    """Mail data of a kind, whole lines: not less octets than `size`."""
    line = KINDS[kind]
    return line * -(-size // len(line))


@lru_cache(8)
def wire(kind: str, size: int) -> bytes:
    """Mail data of a kind as it is sent: not less octets than `size`, dots doubled."""
    line = KINDS[kind]
    line = b"." + line if line.startswith(b".") else line
    return line * -(-size // len(line))
