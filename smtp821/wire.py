"""What an adapter gives to those that hold a session over it: a connection, and nothing else.

The sessions of a client (`client`) and of a server (`server`) are written once, as coroutines over
a Wire. An event loop awaits them; blocking sockets run them with `run`, for there a Wire never
suspends: it blocks.
"""

from __future__ import annotations

from collections.abc import Coroutine
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol, TypeVar

__all__ = ["LINGER", "READ", "Wire", "run"]

READ: Final = 1 << 16
"""Octets read at a time."""

LINGER: Final = 2.0
"""Seconds that a peer has to read what was said last, and close."""

T = TypeVar("T")


class Wire(Protocol):
    """One connection, seen from one of its ends. Times are in seconds, from now."""

    @property
    def address(self) -> str:
        """The address of this end, without the port."""

    async def read(self, seconds: float) -> bytes:
        """What comes next, READ octets at most; b"" at the end of file. Raises OSError."""

    async def heard(self) -> bytes | None:
        """As `read`, of what is there already; None if nothing is. Raises OSError."""

    async def write(self, data: bytes, seconds: float) -> None:
        """Write all of it; while the other side does not read, wait. Raises OSError."""

    async def finish(self) -> None:
        """Say that nothing more will be written, where that can be said. Raises OSError."""

    def close(self) -> None:
        """Close the connection; it never raises, and may be called again."""

    def shield(self) -> AbstractContextManager[object]:
        """A context in which a cancellation that has come does not end what is awaited."""


def run(session: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that blocks instead of suspending itself.

    One that does suspend itself has met something that needs an event loop, an async method of a
    handler perhaps: there it is thrown a TypeError.
    """
    try:
        session.send(None)
        while True:
            session.throw(TypeError("what is awaited needs smtp821.asyncio or smtp821.trio"))
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
