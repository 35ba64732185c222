"""Large messages into servers: six kinds of mail data, encoded before, sent whole by one client.

A server that needs seconds for 1 MB gets messages of 1 MB instead of 20: it says so.
"""

from __future__ import annotations

from functools import partial

from .. import bodies
from ..environment import Environment
from ..load import Connection
from ..results import Case, Measure, rates
from ..rounds import Failed, Settings, compare
from ..subjects import SINK, Server, serving
from .common import MB, fed, missing, series

__all__ = ["measure"]

_PATIENCE = 4.0  # seconds for a message, or it is made smaller


def measure(environment: Environment, settings: Settings) -> list[Measure]:
    """Messages of 20 MB."""
    size = 1 * MB if settings.quick else 20 * MB
    kinds = [bodies.ORDINARY, bodies.LONE_CRS] if settings.quick else list(bodies.KINDS)
    cases = []
    with (
        serving(environment) as (servers, without),
        serving(
            environment,
            [name for name in servers if name.startswith("smtp821")],
            options=("lone-crs",),
        ) as (lenient, _),
    ):
        for kind in kinds:
            chosen = servers | lenient if kind == bodies.LONE_CRS else servers
            jobs, notes = {}, {}
            for server in chosen.values():
                small = size > MB and _seconds(server, kind) * size / MB > _PATIENCE
                length = MB if small else size
                jobs[server.name] = fed(server, partial(_feed, server.port, kind, length))
                if small:
                    notes[server.name] = "messages of 1 MB"
            outcomes = compare(jobs, settings, kind, most=1000)
            found = series(outcomes, rates, 1 / MB, notes)
            cases.append(Case(kind, (*found, *missing(without))))
    return [
        Measure(
            "bodies",
            f"Servers: messages of {size // MB} MB",
            "MB/s",
            tuple(cases),
            SINK,
            about="Columns: what the mail data consists of. Octets are counted as they are sent.",
        )
    ]


def _feed(port: int, kind: str, size: int, count: int) -> int:
    """Send so many messages over one connection; gives their octets."""
    wire = bodies.wire(kind, size)
    with Connection(port) as connection:
        for _ in range(count):
            connection.message([wire])
    return count * len(wire)


def _seconds(server: Server, kind: str) -> float:
    """How long a message of 1 MB takes; for ever, where it does not get through."""
    try:
        return fed(server, partial(_feed, server.port, kind, MB))(1).wall
    except (Failed, OSError):
        return float("inf")
