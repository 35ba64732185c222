"""What the measures share: jobs over servers and workers, and series out of their outcomes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from .. import load
from ..environment import Environment
from ..figures import Sample
from ..processes import Worker
from ..results import Series
from ..rounds import Job, Outcome
from ..subjects import Server

__all__ = ["MB", "OUT", "asked", "fed", "feeder", "missing", "series"]

MB: Final = 1_000_000
OUT: Final = 20_000
"""Messages in a sample where each has its connection: no more, for ports are few."""
_SETTLE: Final = 0.005  # seconds: the system counts what a process has used when it waits


def fed(server: Server, feed: Callable[[int], float]) -> Job:
    """A job that gives a server work, and measures its process.

    feed: does so many units; gives how many they are in the unit of the measure.
    """

    def job(count: int) -> Sample:
        cpu = server.program.cpu()
        began = time.perf_counter()
        units = feed(count)
        wall = time.perf_counter() - began
        time.sleep(_SETTLE)
        after = server.program.cpu()
        used = after - cpu if after is not None and cpu is not None else None
        return Sample(units, wall, used)

    return job


def asked(worker: Worker, task: str) -> Job:
    """A job that a worker does."""
    return partial(worker.sample, task)


def feeder(environment: Environment) -> Callable[..., None]:
    """What sends small messages: smtp-source, or else this process."""
    if environment.has("smtp-source"):
        return partial(load.smtp_source, "smtp-source")
    return load.messages


def series(
    outcomes: Mapping[str, Outcome],
    make: Callable[..., Series],
    scale: float,
    notes: Mapping[str, str] | None = None,
) -> list[Series]:
    """The series of some outcomes; those that failed have a note instead of values."""
    notes = notes or {}
    return [
        Series(name, note=outcome.failure)
        if outcome.failure
        else make(name, outcome.samples, scale, notes.get(name, ""))
        for name, outcome in outcomes.items()
    ]


def missing(without: Mapping[str, str]) -> list[Series]:
    """Empty series of those that take no part."""
    return [Series(name, note=why) for name, why in without.items()]
