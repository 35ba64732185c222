"""The inside of a program that does work when asked, and says what it took.

It says what its tasks are called, as JSON; then it answers each line "COUNT TASK" on its standard
input with the units of work done, the seconds they took, and those on the processor.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping

__all__ = ["Task", "Tasks", "answer"]

Task = Callable[[int], float]
"""Does so many units; gives how many they were, in the unit of the measure."""

Tasks = Mapping[str, Task]


def answer(tasks: Tasks) -> None:
    """Do what is asked for until nothing more is."""
    _say(tasks=list(tasks))
    for line in sys.stdin:
        count, _, task = line.strip().partition(" ")
        try:
            wall, cpu = time.perf_counter(), time.process_time()
            done = tasks[task](int(count))
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        except Exception as error:
            _say(failure=f"{type(error).__name__}: {error}")
        else:
            _say(count=done, wall=wall, cpu=cpu)


def _say(**answer: object) -> None:
    print(json.dumps(answer), flush=True)
