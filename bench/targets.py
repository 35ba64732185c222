"""What is to be reached, as ratios within one run: how many times better than the base.

Better is more where more is better, and less where less is, so every target reads "at least".
"""

from __future__ import annotations

from typing import Final

import attrs

from . import bodies
from .figures import Spread, ratio
from .results import Case, Measure, Run, Series
from .subjects import (
    AIOSMTPD,
    ASYNCIO,
    CONVERSATION,
    DOTS,
    PRIMITIVES,
    RECEIVER,
    RECEIVER_LENIENT,
    SENDER,
    SINK,
    SOCKETS,
    SOURCE,
    TRIO,
    UVLOOP,
)

__all__ = ["TARGETS", "Target", "broken", "reached", "reached_on_cpu"]


@attrs.frozen
class Target:
    """One target.

    case: how the name of a case begins; the first one that does counts.
    base: the subject to be compared with; where there is none, base_case is that of the same
        subject, the last one if it is "-1".
    least: the ratio that is to be reached.
    """

    what: str
    measure: str
    case: str
    subject: str
    base: str
    least: float
    base_case: str = ""


_MANY: Final = "many a connection"
_ONE: Final = "one a connection"
_TEN: Final = "10 connections"
_OURS: Final = (ASYNCIO, UVLOOP, TRIO, SOCKETS)
_EXPECTED: Final = ("is missing", "connections")
_COMMAND: Final = "a transaction's"

TARGETS: Final = (
    Target("many messages per connection", "servers", _MANY, ASYNCIO, AIOSMTPD, 6),
    Target("many messages per connection", "servers", _MANY, ASYNCIO, SINK, 0.85),
    Target("a connection per message", "servers", _ONE, ASYNCIO, AIOSMTPD, 3.5),
    Target("a connection per message", "servers", _ONE, ASYNCIO, SINK, 0.8),
    Target("many messages per connection", "servers", _MANY, UVLOOP, SINK, 0.95),
    Target("a connection per message", "servers", _ONE, UVLOOP, SINK, 0.95),
    Target("many messages per connection", "servers", _MANY, TRIO, AIOSMTPD, 2.5),
    Target("many messages per connection", "servers", _MANY, SOCKETS, AIOSMTPD, 4),
    *(
        Target(f"20 MB, {kind}", "bodies", kind, name, SINK, 3 if kind == bodies.ORDINARY else 0.5)
        for kind in bodies.KINDS
        for name in _OURS
    ),
    Target("command and reply, in memory", "receiving", _COMMAND, RECEIVER, AIOSMTPD, 20),
    Target("command and reply, in memory", "receiving", _COMMAND, RECEIVER, "smtpd", 10),
    Target("command and reply, in memory", "receiving", _COMMAND, RECEIVER, "h11", 15),
    *(
        Target(f"decoding, {kind}", "decoding", kind, name, PRIMITIVES, 1 / most)
        for kind in bodies.KINDS
        for name, most in ((DOTS, 1.3), (RECEIVER, 1.3), (RECEIVER_LENIENT, 2.0))
        if (kind, name) != (bodies.LONE_CRS, RECEIVER_LENIENT)  # which refuses them
    ),
    *(
        Target(f"encoding, {kind}", "encoding", kind, DOTS, PRIMITIVES, 1 / 1.2)
        for kind in bodies.KINDS
        if kind != bodies.LONE_CRS  # those may not be sent
    ),
    Target("client, ten connections", "clients", _TEN, ASYNCIO, "aiosmtplib", 4),
    Target("client, ten connections", "clients", _TEN, ASYNCIO, SOURCE, 0.8),
    Target("client, one connection", "clients", "one", SOCKETS, "smtplib", 1.3),
    Target("memory of an idle connection", "idle", "", ASYNCIO, AIOSMTPD, 2),
    Target("NOOP beside idle connections", "latency", "-1", ASYNCIO, "", 1 / 1.5, "NOOP, alone"),
    *(
        Target("peak memory, largest message to smallest", "peak", "-1", name, "", 0.95, "1 MB")
        for name in _OURS
    ),
)


def reached(target: Target, run: Run) -> Spread | None:
    """How many times better the subject is; None where it was not measured."""
    if (found := _compared(target, run)) is None:
        return None
    measure, one, other = found
    if measure.more:
        return ratio(one.values, other.values)
    return ratio(other.values, one.values)


def reached_on_cpu(target: Target, run: Run) -> Spread | None:
    """The same by the time on the processor for a unit of work, where another sets the pace.

    That of small messages, and of clients: what feeds a server, or answers a client, takes as long.
    """
    found = _compared(target, run) if target.measure in ("servers", "bodies", "clients") else None
    return ratio(found[2].cpu, found[1].cpu) if found else None


def broken(run: Run) -> list[str]:
    """What of this library has no values where it should: a fault, of it or of the benchmarks."""
    ours = {*_OURS, RECEIVER, RECEIVER_LENIENT, CONVERSATION, SENDER, DOTS}
    faults = [
        f"{measure.name}, {case.name}, {series.subject}: {series.note}"
        for measure in run.measures
        for case in measure.cases
        if case.name != bodies.LONE_CRS  # which may not be sent
        for series in case.series
        if series.subject in ours and not series.values and not series.note.endswith(_EXPECTED)
    ]
    return faults + [f"{what}: {why}" for what, why in run.missing.items() if "all of it" in what]


def _compared(target: Target, run: Run) -> tuple[Measure, Series, Series] | None:
    """The measure, and the two series that are compared."""
    measure = run.measure(target.measure)
    case = _case(measure, target.case) if measure else None
    if measure is None or case is None or (one := case.of(target.subject)) is None:
        return None
    if target.base:
        other = case.of(target.base)
    else:
        beside = measure.case(target.base_case)
        other = beside.of(target.subject) if beside else None
    return None if other is None else (measure, one, other)


def _case(measure: Measure, begin: str) -> Case | None:
    """The first case whose name begins so; the last of all for "-1"."""
    if begin == "-1":
        return measure.cases[-1] if measure.cases else None
    return next((case for case in measure.cases if case.name.startswith(begin)), None)
