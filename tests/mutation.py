"""Mutation testing: does a test fail for each small change of the protocol?

mutmut makes the changed functions, into `mutants/`, and notes which test calls which. This runs the
tests against them, in a copy of one process that has collected all tests: first those of the
module's own test module, then the others that come by, quick ones first, until one fails. What
survives is tried once more in a new process, for some functions do their work on import. What
survives that has to stand in `mutants.toml`, with the reason why it changes nothing.

    mutmut run 'smtp821.protocol.errors.*'      # once, and after each change of the library
    python tests/mutation.py                    # or with patterns: '*.lines.*' '*.dots.*'

It ends with the score of each module; its exit code is 1 if a survivor is not listed, or if what
is listed is no survivor.
"""

from __future__ import annotations

import argparse
import difflib
import fnmatch
import itertools
import json
import os
import resource
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
COPY = ROOT / "mutants"
CHILDREN = 2
LONGEST = 0.2  # seconds of a test; for what only longer ones find there has to be a quick one
MEMORY = 1 << 30  # octets; a mutant that takes more would take all


class Mutant(NamedTuple):
    """One changed function."""

    key: str
    """What mutmut calls it; its number at the end changes with the function."""
    module: str
    function: str
    was: str
    now: str


def main() -> int:
    """Run the mutants that the arguments select."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("patterns", nargs="*", default=["*"])
    parser.add_argument("--fresh", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--own", action="store_true", help="the module's own tests only")
    options = parser.parse_args()
    patterns = options.patterns
    if not options.fresh:
        shutil.copytree(ROOT / "tests", COPY / "tests", dirs_exist_ok=True)
    chosen = [each for each in mutants() if any(fnmatch.fnmatch(each.key, p) for p in patterns)]
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]
    arguments = configuration["pytest_add_cli_args"]
    tests = configuration["pytest_add_cli_args_test_selection"]
    run = Run(chosen, options.own, options.fresh)
    os.chdir(COPY)
    sys.path.insert(0, str(COPY))
    code = pytest.main([*arguments, "-p", "no:terminal", "--assert=plain", *tests], plugins=[run])
    if code != pytest.ExitCode.OK:
        return int(code)
    return report(chosen, run.survivors)


def mutants() -> Iterator[Mutant]:
    """All there are, in the order of the source."""
    for meta in sorted((COPY / "smtp821").glob("*/*.py.meta")):
        source = meta.with_suffix("")
        lines = source.read_text().splitlines()
        spans = json.loads(source.with_suffix(".py.spans").read_text())["spans"]
        for key in json.loads(meta.read_text())["exit_code_by_key"]:
            path, _, name = key.rpartition(".")
            original = name.rpartition("_")[0]
            first, last = spans[f"{original}_orig"]
            before = lines[first:last]
            first, last = spans[name]
            after = [line.replace(name, f"{original}_orig") for line in lines[first:last]]
            was, now = difference(before, after)
            function = original.removesuffix("__mutmut")[2:].replace("ǁ", ".")
            yield Mutant(key, path.removeprefix("smtp821."), function, was, now)


def difference(before: list[str], after: list[str]) -> tuple[str, str]:
    """The lines that only one of them has."""
    changes = list(difflib.ndiff(before, after))
    was = " ".join(line[2:].strip() for line in changes if line.startswith("- "))
    now = " ".join(line[2:].strip() for line in changes if line.startswith("+ "))
    return was, now


class Run:
    """A plugin that runs the collected tests once for each mutant, in a process of its own."""

    def __init__(self, chosen: list[Mutant], own: bool, fresh: bool) -> None:
        self.chosen = chosen
        self.own = own
        self.fresh = fresh
        self.survivors: list[Mutant] = []
        stats = json.loads((COPY / "mutmut-stats.json").read_text())
        self._callers: dict[str, list[str]] = stats["tests_by_mangled_function_name"]
        self._seconds: dict[str, float] = stats["duration_by_test"]

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of the loop of pytest."""
        running: dict[int, Mutant] = {}
        for mutant in self.chosen:
            if len(running) == CHILDREN:
                self._wait(running)
            if not self.fresh and (pid := os.fork()):
                running[pid] = mutant
                continue
            tests = self._tests(session.items, mutant)
            seconds = 5 + sum(self._seconds.get(test.nodeid, 0) for test in tests)
            run_tests(session, mutant, tests, round(seconds))
        while running:
            self._wait(running)
        return True

    def _tests(self, items: list[pytest.Item], mutant: Mutant) -> list[pytest.Item]:
        """The tests that call the function, and those that are new: quick ones first."""
        callers = set(self._callers.get(mutant.key.rsplit("__mutmut_", 1)[0], ()))
        own = f"tests/test_{mutant.module.rsplit('.', 1)[1]}.py"
        tests = [
            item
            for item in items
            if item.nodeid not in self._seconds
            or (
                (item.nodeid in callers or (self.fresh and item.nodeid.split("::")[0] == own))
                and self._seconds[item.nodeid] < LONGEST
            )
        ]
        if self.own:
            tests = [i for i in tests if i.nodeid.split("::")[0] == own]
        return sorted(
            tests,
            key=lambda item: (item.nodeid.split("::")[0] != own, self._seconds.get(item.nodeid, 0)),
        )

    def _wait(self, running: dict[int, Mutant]) -> None:
        pid, status = os.wait()
        mutant = running.pop(pid)
        print(mutant.key, status, file=sys.stderr, flush=True)
        if status == 0:
            self.survivors.append(mutant)


def run_tests(
    session: pytest.Session, mutant: Mutant, tests: list[pytest.Item], seconds: int
) -> None:
    """In a child: end with 1 at the first test that fails, else with 0.

    seconds: of processor time; what takes longer runs forever.
    """
    code = 1
    try:
        os.environ["MUTANT_UNDER_TEST"] = mutant.key
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        for test, following in itertools.zip_longest(tests, tests[1:]):
            session.config.hook.pytest_runtest_protocol(item=test, nextitem=following)
            if session.testsfailed:
                break
        else:
            code = 0
    finally:
        os._exit(code)


def survives_import(mutant: Mutant) -> bool:
    """Whether a process in which it is in place from the start finds nothing either."""
    command = [sys.executable, __file__, "--fresh", mutant.key]
    environment = os.environ | {"MUTANT_UNDER_TEST": mutant.key}
    return (
        subprocess.run(command, env=environment, check=False, capture_output=True).returncode == 0
    )


def is_listed(mutant: Mutant, listed: dict[str, list[dict[str, str]]]) -> bool:
    """Whether it is one of those that change nothing."""
    place = f"{mutant.module}.{mutant.function}"
    return any(
        mutant.was.replace(each["was"], each["now"]) == mutant.now != mutant.was
        for each in listed["everywhere"]
    ) or any(
        (each["in"], each["was"], each["now"]) == (place, mutant.was, mutant.now)
        for each in listed["here"]
    )


def report(chosen: list[Mutant], survivors: Iterable[Mutant]) -> int:
    """Print what is not as it should be, and the score."""
    listed = tomllib.loads((ROOT / "tests" / "mutants.toml").read_text())
    total, killed, equivalent = Counter[str](), Counter[str](), Counter[str]()
    wrong = 0
    for mutant in chosen:
        known = is_listed(mutant, listed)
        survived = mutant in survivors and (known or survives_import(mutant))
        total[mutant.module] += 1
        killed[mutant.module] += not survived
        equivalent[mutant.module] += known
        if survived != known:
            wrong += 1
            what = "survives" if survived else "is listed, but killed"
            print(f"{mutant.key} {what}\n  - {mutant.was}\n  + {mutant.now}")
    for module in total:
        print(f"{module:24}{total[module]:5}{killed[module]:5}{equivalent[module]:5}")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
