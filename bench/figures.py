"""What is done with numbers: medians with the least and the most, ratios, and straight lines.

A machine's speed drifts, so numbers are compared within a round, where they are neighbours in time:
the ratio of two series is the median of the ratios of each round, not the ratio of two medians.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, median

import attrs

__all__ = ["Line", "Sample", "Spread", "fit", "growth", "ratio", "spread"]


@attrs.frozen
class Sample:
    """One timing: so many units of work, in so many seconds; cpu of them on the processor."""

    count: float
    wall: float
    cpu: float | None = None

    @property
    def rate(self) -> float:
        """Units in a second."""
        return self.count / max(self.wall, 1e-9)

    @property
    def cost(self) -> float:
        """Seconds for a unit."""
        return self.wall / self.count

    @property
    def cpu_cost(self) -> float | None:
        """Seconds on the processor for a unit."""
        return None if self.cpu is None else self.cpu / self.count


@attrs.frozen
class Spread:
    """Several values of the same: the median, and between what they lie."""

    median: float
    least: float
    most: float


def spread(values: Sequence[float]) -> Spread:
    """The spread of some values, of which there is one at least."""
    return Spread(median(values), min(values), max(values))


def ratio(values: Sequence[float], base: Sequence[float]) -> Spread | None:
    """How many times the base, round by round; None where there is nothing to compare."""
    pairs = [a / b for a, b in zip(values, base, strict=False) if b]
    return spread(pairs) if pairs else None


@attrs.frozen
class Line:
    """A straight line through points: y = start + slope * x.

    explained: the part of the variance that the line explains (R squared), 1 if all is on it.
    """

    start: float
    slope: float
    explained: float


def fit(points: Sequence[tuple[float, float]]) -> Line | None:
    """The line of least squares of the relative errors; None for less than two places of x.

    Relative, for the points of a curve that spans orders of magnitude are known to so many per
    cent, each of them: else the last point alone would decide.
    """
    if len({x for x, _ in points}) < 2 or any(y <= 0 for _, y in points):
        return None
    weights = [1 / (y * y) for _, y in points]
    total = sum(weights)
    mean_x = sum(w * x for w, (x, _) in zip(weights, points, strict=True)) / total
    mean_y = sum(w * y for w, (_, y) in zip(weights, points, strict=True)) / total
    xx = sum(w * (x - mean_x) ** 2 for w, (x, _) in zip(weights, points, strict=True))
    xy = sum(w * (x - mean_x) * (y - mean_y) for w, (x, y) in zip(weights, points, strict=True))
    slope = xy / xx
    start = mean_y - slope * mean_x
    plain = fmean(y for _, y in points)
    rest = sum((y - start - slope * x) ** 2 for x, y in points)
    whole = sum((y - plain) ** 2 for _, y in points)
    return Line(start, slope, 1 - rest / whole if whole else 1.0)


def growth(points: Sequence[tuple[float, float]]) -> float | None:
    """The exponent e of the curve y ~ x**e through the last half of the points: 1 is linear.

    The last half, for at its beginning every curve is flat: what is paid once hides the rest.
    """
    tail = [(math.log(x), math.log(y)) for x, y in points[len(points) // 2 :] if x > 0 and y > 0]
    if len(tail) < 2:
        return None
    mean_x, mean_y = fmean(x for x, _ in tail), fmean(y for _, y in tail)
    xx = sum((x - mean_x) ** 2 for x, _ in tail)
    return sum((x - mean_x) * (y - mean_y) for x, y in tail) / xx if xx else None
