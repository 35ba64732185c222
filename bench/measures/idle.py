"""Connections that say nothing: the memory of each, and whether others notice them.

Servers are begun afresh for each number of connections; each of them has said HELO. The latency is
the median of many NOOPs, one after the other, over one connection more, with the others and without
them in turns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..environment import Environment
from ..load import Connection, hold
from ..machine import raise_descriptors
from ..results import Case, Measure, Series
from ..rounds import Failed, Settings
from ..subjects import AIOSMTPD, SOCKETS, serving
from .common import missing

__all__ = ["measure"]

_SPARE: Final = 300  # descriptors for all else
_THREADS: Final = 1000  # connections for a server that has a thread for each
NONE: Final = "NOOP, alone"


def measure(environment: Environment, settings: Settings) -> list[Measure]:
    """Memory of 1000 and 5000 connections, and the latency beside them."""
    numbers = [200] if settings.quick else [1000, 5000]
    room = raise_descriptors() - _SPARE
    memory: list[Case] = []
    latency: dict[str, list[Series]] = {NONE: []}
    for number in numbers:
        found: list[Series] = []
        beside: list[Series] = []
        settings.say(f"idle connections: {number}")
        with serving(environment) as (servers, without):
            found += missing(without)
            for name, server in servers.items():
                if number > room or (name == SOCKETS and number > _THREADS):
                    found.append(Series(name, note=f"not {number} connections"))
                    continue
                try:
                    each, alone, crowd = _one(server.port, server.program.memory, number, settings)
                except (Failed, OSError) as error:
                    settings.say(f"  {name}: {error}")
                    found.append(Series(name, note=str(error)))
                    continue
                if each is not None:
                    found.append(Series(name, (each,)))
                beside.append(Series(name, tuple(crowd)))
                if number == numbers[-1] or name == SOCKETS:
                    latency[NONE].append(Series(name, tuple(alone)))
        memory.append(Case(f"{number} connections", tuple(found)))
        latency[f"NOOP, {number} idle"] = beside
    return [
        Measure(
            "idle", "Idle connections: memory of the server for each", "KiB", tuple(memory),
            AIOSMTPD, more=False,
            about="Resident memory with them less that without, by their number; a client that "
            "had come and gone before.",
        ),
        Measure(
            "latency", "Idle connections: a NOOP and its reply beside them", "us",
            tuple(Case(name, tuple(found)) for name, found in latency.items()),
            more=False,
            about="The median of many, each after the other.",
        ),
    ]  # fmt: skip


def _one(
    port: int, memory: Callable[[], int | None], number: int, settings: Settings
) -> tuple[float | None, list[float], list[float]]:
    """The memory of each connection in KiB; the latency without them and with them in us."""
    noops = 200 if settings.quick else 3000
    rounds = min(settings.rounds, 3)
    alone, crowd = [], []
    each: float | None = None
    with Connection(port) as connection:
        connection.latency(noops)  # warm
        for _ in range(rounds):
            alone.append(connection.latency(noops) * 1e6)
            before = memory()
            with hold(port, number):
                after = memory()
                if each is None and before is not None and after is not None:
                    each = (after - before) / number / 1024
                crowd.append(connection.latency(noops) * 1e6)
    return each, alone, crowd
