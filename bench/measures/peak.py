"""The most memory that a server ever has, against the size of a message.

A server is begun for each subject, and gets one message of each size, the small ones first; the
peak is what the system remembers of it, so a later size shows only what it adds. The message is
never whole on the side that sends it. What this library's clients take is measured by
`python bench/memory.py`, through the command line.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .. import bodies
from ..environment import Environment
from ..load import Connection
from ..results import Case, Measure, Series
from ..rounds import Failed, Settings
from ..subjects import AIOSMTPD, SERVERS, SINK, serving
from .common import MB

__all__ = ["measure"]

_PIECE: Final = bodies.wire(bodies.ORDINARY, MB)
_MOST: Final = 100 * MB  # for those that keep a message in memory


def measure(environment: Environment, settings: Settings) -> list[Measure]:
    """The growth over the smallest message, in MB."""
    sizes = [1, 10] if settings.quick else [1, 10, 100, 1000]
    found: dict[int, list[Series]] = {size: [] for size in sizes}
    for subject in SERVERS:
        settings.say(f"peak memory: {subject.name}")
        flat = subject.name.startswith("smtp821") or subject.name == SINK
        with serving(environment, [subject.name]) as (servers, without):
            note = without.get(subject.name, "")
            for size in sizes:
                if not note and not flat and size * MB > _MOST:
                    note = f"not {size} MB: it keeps messages"
                try:
                    if note:
                        raise Failed(note)
                    server = servers[subject.name]
                    with Connection(server.port) as connection:
                        connection.message(Pieces(size))
                    peak = server.program.memory("VmHWM")
                    if peak is None:
                        raise Failed("the system does not say")
                except (Failed, OSError) as error:
                    found[size].append(Series(subject.name, note=str(error)))
                else:
                    found[size].append(Series(subject.name, (peak / MB,), count=1))
    return [
        Measure(
            "peak", "Peak memory of a server, by the size of the message", "MB",
            tuple(Case(f"{size} MB", tuple(found[size]), size) for size in sizes),
            AIOSMTPD, more=False,
            about="Resident memory at its highest, from the begin of the process.",
        )
    ]  # fmt: skip


class Pieces:
    """A message of so many MB, made as it is sent."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(self._size):
            yield _PIECE
