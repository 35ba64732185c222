"""Curves: what a message costs a server against its size, its recipients, and what is beside it.

The cost is the server's time on the processor where the system tells it, else time on the wall. The
line through the points is of least squares of relative errors; how it grows at its end says whether
it is a line at all: an exponent of 1 is linear, of 0 constant, of 2 quadratic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import attrs

from .. import bodies
from ..environment import Environment
from ..figures import Sample
from ..load import Connection, Crowd
from ..results import Case, Curve, Measure, Series, costs
from ..rounds import Failed, Job, Settings, compare
from ..subjects import AIOSMTPD, ASYNCIO, SINK, SOCKETS, TRIO, Server, serving
from .common import fed, missing

__all__ = ["measure"]

_WHO = (ASYNCIO, TRIO, SOCKETS, AIOSMTPD, SINK)

NOBODY: Final[Mapping[str, str]] = {}

Feed = Callable[[Server, int, int], float]
"""Gives a server so many units of work, at a place of the axis; gives how many they were."""


def measure(environment: Environment, settings: Settings) -> list[Measure]:
    """Four curves."""
    quick = settings.quick
    settings = attrs.evolve(settings, seconds=settings.seconds / 3)

    def sized(server: Server, octets: int, count: int) -> float:
        wire = bodies.wire(bodies.ORDINARY, octets)
        with Connection(server.port) as connection:
            for _ in range(count):
                connection.message([wire])
        return count

    def addressed(server: Server, recipients: int, count: int) -> float:
        with Connection(server.port) as connection:
            for _ in range(count):
                connection.message([b"x\r\n"], recipients)
        return count

    def pipelined(server: Server, depth: int, count: int) -> float:
        with Connection(server.port) as connection:
            connection.noops(count * depth, depth)
        return count

    def places(quick_ones: list[int], all_of_them: list[int]) -> list[int]:
        return quick_ones if quick else all_of_them

    with serving(environment, _WHO) as (servers, without):

        def curve(
            name: str, title: str, axis: str, reason: str, xs: list[int], feed: Feed, unit: str
        ) -> Measure:
            cases = []
            for x in xs:
                jobs = {s.name: _cpu(fed(s, partial(feed, s, x))) for s in servers.values()}
                cases.append(case_of(name, x, jobs))
            return Measure(
                name, title, f"us a {unit}", tuple(cases), ASYNCIO, more=False,
                curve=Curve(axis, reason),
            )  # fmt: skip

        def crowded(xs: list[int]) -> Measure:
            cases = []
            for x in xs:
                crowds, jobs, failed = {}, {}, {}
                for name, server in servers.items():
                    try:
                        crowds[name] = crowd = Crowd(server.port, x)
                    except (Failed, OSError) as error:
                        failed[name] = str(error)
                    else:
                        jobs[name] = _cpu(fed(server, crowd.messages))
                try:
                    cases.append(case_of("connections", x, jobs, failed))
                finally:
                    for crowd in crowds.values():
                        crowd.close()
            return Measure(
                "connections", "Scaling: a message, by the connections at once", "us a message",
                tuple(cases), ASYNCIO, more=False,
                curve=Curve(
                    "connections",
                    "Connections share nothing, so a message costs the same beside others; an "
                    "event loop that finds several ready at a time asks less often. With a thread "
                    "for each connection there is a switch for each read.",
                ),
            )  # fmt: skip

        def case_of(
            name: str, x: int, jobs: Mapping[str, Job], failed: Mapping[str, str] = NOBODY
        ) -> Case:
            outcomes = compare(jobs, settings, f"{name}, {x}", most=200_000)
            found = [
                Series(n, note=o.failure) if o.failure else costs(n, o.samples)
                for n, o in outcomes.items()
            ]
            return Case(str(x), (*found, *missing({**without, **failed})), x)

        return [
            curve(
                "size", "Scaling: a message, by its size", "octets",
                "A message costs its four commands, and for each octet one search and one copy.",
                places([1 << 10, 1 << 16, 1 << 20], [1 << n for n in range(10, 25, 2)]),
                sized, "message",
            ),
            curve(
                "recipients", "Scaling: a message, by its recipients", "recipients",
                "A recipient costs a command and its reply, and is kept once.",
                places([1, 10, 100], [1, 3, 10, 30, 100, 300, 1000]),
                addressed, "message",
            ),
            curve(
                "depth", "Scaling: NOOPs in one write, by how many they are", "commands at a time",
                "A read and a write are paid once for all of them; the rest is the command's own, "
                "however many wait behind it.",
                places([1, 10, 100], [1, 3, 10, 30, 100, 300, 1000]),
                pipelined, "batch",
            ),
            crowded(places([1, 10], [1, 3, 10, 30, 100, 300, 1000])),
        ]  # fmt: skip


def _cpu(job: Job) -> Job:
    """A job whose time is that on the processor."""

    def timed(count: int) -> Sample:
        sample = job(count)
        if sample.cpu is not None and sample.cpu <= 0:
            raise Failed("too little work to be seen")
        return Sample(sample.count, sample.cpu or sample.wall, sample.cpu)

    return timed
