"""What a run has found, and its form as JSON.

A run has measures; a measure has cases (the columns of its table), or points of a curve; a case has
a series of values for each subject (the rows), one value for each round.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs

from .figures import Sample, Spread, ratio, spread

__all__ = ["Case", "Curve", "Measure", "Run", "Series", "costs", "rates", "read", "write"]


@attrs.frozen
class Series:
    """The values of one subject, one for each round.

    cpu: seconds on the processor for a unit of work, where they are known.
    count: units of work in a sample.
    note: what is to be known of it; without values, why there are none.
    """

    subject: str
    values: tuple[float, ...] = ()
    cpu: tuple[float, ...] = ()
    count: float = 0
    note: str = ""

    @property
    def spread(self) -> Spread | None:
        """Median, least and most."""
        return spread(self.values) if self.values else None


@attrs.frozen
class Case:
    """One column of a table.

    x: where it stands on the axis of a curve.
    base: what its subjects are compared with, if not the base of the measure.
    """

    name: str
    series: tuple[Series, ...]
    x: float | None = None
    base: str = ""

    def of(self, subject: str) -> Series | None:
        """The series of a subject, if it has values."""
        found = [s for s in self.series if s.subject == subject and s.values]
        return found[0] if found else None

    def times(self, subject: str, base: str) -> Spread | None:
        """How many times the base the subject is, round by round."""
        one, other = self.of(subject), self.of(base)
        return ratio(one.values, other.values) if one and other else None


@attrs.frozen
class Curve:
    """How a measure is to be drawn: the name of its axis, and why the curve is as it is."""

    axis: str
    reason: str


@attrs.frozen
class Measure:
    """One table.

    base: the subject that the others are compared with.
    more: whether more is better.
    """

    name: str
    title: str
    unit: str
    cases: tuple[Case, ...]
    base: str = ""
    more: bool = True
    about: str = ""
    curve: Curve | None = None

    def case(self, name: str) -> Case | None:
        """The case of that name."""
        return next((case for case in self.cases if case.name == name), None)

    @property
    def subjects(self) -> list[str]:
        """All who took part, in the order of the first case that has them."""
        return list(dict.fromkeys(s.subject for case in self.cases for s in case.series))


@attrs.frozen
class Run:
    """A whole run: where and how, who was missing, and what was found."""

    machine: dict[str, Any]
    settings: dict[str, Any]
    versions: dict[str, str]
    missing: dict[str, str]
    measures: tuple[Measure, ...]

    def measure(self, name: str) -> Measure | None:
        """The measure of that name."""
        return next((measure for measure in self.measures if measure.name == name), None)


def rates(subject: str, samples: Sequence[Sample], scale: float = 1.0, note: str = "") -> Series:
    """Samples as units in a second."""
    return _series(subject, samples, [sample.rate * scale for sample in samples], note)


def costs(subject: str, samples: Sequence[Sample], scale: float = 1e6, note: str = "") -> Series:
    """Samples as what a unit costs, in microseconds if no other scale is given."""
    return _series(subject, samples, [sample.cost * scale for sample in samples], note)


def _series(subject: str, samples: Sequence[Sample], values: Iterable[float], note: str) -> Series:
    cpu = tuple(cost for sample in samples if (cost := sample.cpu_cost) is not None)
    return Series(subject, tuple(values), cpu, samples[0].count if samples else 0, note)


def write(run: Run, file: Path) -> None:
    """Write a run as JSON."""
    file.write_text(json.dumps(attrs.asdict(run), indent=1) + "\n", encoding="utf-8")


def read(file: Path) -> Run:
    """Read a run. Raises OSError, and ValueError or KeyError for what is none."""
    data = json.loads(file.read_text(encoding="utf-8"))
    return Run(**{**data, "measures": tuple(_measure(measure) for measure in data["measures"])})


def _measure(data: dict[str, Any]) -> Measure:
    curve = data["curve"] and Curve(**data["curve"])
    return Measure(**{**data, "curve": curve, "cases": tuple(_case(c) for c in data["cases"])})


def _case(data: dict[str, Any]) -> Case:
    series = (
        Series(**{**s, "values": tuple(s["values"]), "cpu": tuple(s["cpu"])})
        for s in data["series"]
    )
    return Case(data["name"], tuple(series), data["x"], data["base"])
