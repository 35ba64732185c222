"""How often, and in which order.

Each job is first done with more and more units until it takes long enough to tell how many make a
sample; that warms it up too. Then come the rounds, A B C A B C: what slows the machine down for a
while slows neighbours alike, and the ratio within a round stays.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Mapping
from typing import Final

import attrs

from .figures import Sample

__all__ = ["Failed", "Job", "Outcome", "Settings", "calibrated", "compare"]

Job = Callable[[int], Sample]
"""Does so many units of work, and says what it took. Raises Failed or OSError."""

_STEP: Final = 16  # at most so many times more units from one try to the next


class Failed(Exception):
    """A subject could not do its work; why."""


@attrs.frozen(kw_only=True)
class Settings:
    """How much is done.

    quick: see that everything works; the numbers mean little.
    rounds: of each case.
    seconds: of each sample, about.
    say: takes a line of progress.
    """

    quick: bool = False
    rounds: int = 5
    seconds: float = 1.0
    say: Callable[[str], object] = print


@attrs.frozen
class Outcome:
    """The samples of a job, or why there are none."""

    samples: tuple[Sample, ...] = ()
    failure: str = ""


def calibrated(job: Job, seconds: float, least: int = 1, most: int = 1_000_000_000) -> int:
    """How many units of work take about so many seconds; done on the way, so it is warm then."""
    count = least
    while True:
        wall = max(job(count).wall, 1e-7)
        if wall >= seconds / 4 or count >= most:
            break
        count = min(most, max(count + 1, math.ceil(count * min(_STEP, seconds / 2 / wall))))
    return max(least, min(most, round(count * seconds / wall)))


def compare(
    jobs: Mapping[str, Job],
    settings: Settings,
    what: str,
    *,
    least: int = 1,
    most: int = 1_000_000_000,
) -> dict[str, Outcome]:
    """Do all the jobs in rounds; gives the samples of each, or why there are none.

    least, most: units of work in a sample.
    """
    settings.say(f"{what}: {', '.join(jobs)}")
    counts: dict[str, int] = {}
    samples: dict[str, list[Sample]] = {name: [] for name in jobs}
    failures: dict[str, str] = {}

    def attempt(name: str, work: Callable[[], None]) -> None:
        try:
            work()
        except (Failed, OSError, EOFError) as error:
            failures[name] = str(error) or type(error).__name__
            settings.say(f"  {name}: {failures[name]}")

    def warm_up(name: str) -> None:
        counts[name] = calibrated(jobs[name], settings.seconds, least, most)

    def measure(name: str) -> None:
        samples[name].append(jobs[name](counts[name]))

    for name in jobs:
        attempt(name, lambda name=name: warm_up(name))  # type: ignore[misc]
    for _ in range(settings.rounds):
        gc.collect()
        for name in jobs:
            if name not in failures:
                attempt(name, lambda name=name: measure(name))  # type: ignore[misc]
    return {
        name: Outcome(failure=failures[name]) if name in failures else Outcome(tuple(done))
        for name, done in samples.items()
    }
