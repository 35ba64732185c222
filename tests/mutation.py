"""Mutation testing: does a test fail for each small change of the protocol?

mutmut makes the changed functions, in a copy of the project below `build/`, and notes which test
calls which. This runs the tests against them, each in a child of one process that has collected all
tests: first those of the module's own test module, then the others that come by, quick ones first,
until one fails. What survives is tried once more in a new process, for some functions do their
work on import. What survives that has to stand in `mutants.toml`, with the reason why it changes
nothing.

    python tests/mutation.py --make       # once, and after each change of the library
    python tests/mutation.py              # or with patterns: '*.lines.*' '*.dots.*'

It shows "+" for each that is killed, and ends with the score of each module; its exit code is 1 if
a survivor is not listed, or if what is listed is no survivor.
"""

from __future__ import annotations

import argparse
import ast
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).parent.parent
SOURCE: Final = ROOT / "build" / "mutation"
COPY: Final = SOURCE / "mutants"
COPIED: Final = ("smtp821", "tests", "docs", "examples", "bench", "pyproject.toml", "README.md")
CHILDREN: Final = 2
LONGEST: Final = 0.2  # seconds of a test; what only longer ones find is to be found by a quick one
MEMORY: Final = 1 << 30  # octets; a mutant that takes more would take all


class Mutant(NamedTuple):
    """One changed function."""

    key: str
    """What mutmut calls it; the number at its end means nothing in the next version."""
    module: str
    function: str
    was: str
    now: str


UNCHANGED: Final = Mutant("unchanged", "", "", "", "")  # which has to survive


def main() -> int:
    """Run the mutants that the arguments select."""
    parser = argparse.ArgumentParser(description="Run the tests against mutants.")
    parser.add_argument("patterns", nargs="*", default=["*"], help="of mutmut's names of mutants")
    parser.add_argument("--make", action="store_true", help="make the mutants, and do no more")
    parser.add_argument("--own", action="store_true", help="only tests of the module's own")
    parser.add_argument("--fresh", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        return make()
    chosen = [
        mutant
        for mutant in (UNCHANGED, *mutants())
        if any(fnmatch.fnmatch(mutant.key, pattern) for pattern in options.patterns)
    ]
    if not options.fresh:
        shutil.copytree(ROOT / "tests", COPY / "tests", dirs_exist_ok=True)
        if UNCHANGED not in chosen:
            chosen.insert(0, UNCHANGED)
    run = Run(chosen, own=options.own, fresh=options.fresh)
    code = run.start()
    return code if code else report(chosen, run.survivors)


def make() -> int:
    """Let mutmut do its work; gives its exit code."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    SOURCE.mkdir(parents=True)
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, SOURCE / name)
    for path in (SOURCE / "smtp821").glob("*/*.py"):
        path.write_text(undecorated(path.read_text("utf-8")), "utf-8")
    few = "smtp821.protocol.errors.*"  # mutmut wants to run some itself
    return subprocess.call([sys.executable, "-m", "mutmut", "run", few], cwd=SOURCE)


def undecorated(source: str) -> str:
    """The same module with `f = property(f)` behind a function for `@property` before it.

    For mutmut leaves functions with a decorator alone, but for class methods.
    """
    lines = source.splitlines()
    functions = [each for each in ast.walk(ast.parse(source)) if isinstance(each, ast.FunctionDef)]
    for function in sorted(functions, key=lambda each: each.lineno, reverse=True):
        if len(function.decorator_list) == 1:
            decorator = ast.unparse(function.decorator_list[0])
            if decorator not in ("classmethod", "staticmethod", "overload"):
                made = f"{function.name} = {decorator}({function.name})"
                lines.insert(function.end_lineno or 0, " " * function.col_offset + made)
                del lines[function.decorator_list[0].lineno - 1]
    return "\n".join(lines) + "\n"


def mutants() -> Iterator[Mutant]:
    """All that mutmut has made, in the order of the source."""
    for meta in sorted((COPY / "smtp821").glob("*/*.py.meta")):
        source = meta.with_suffix("")
        lines = source.read_text("utf-8").splitlines()
        spans = json.loads(source.with_suffix(".py.spans").read_text("utf-8"))["spans"]
        for key in json.loads(meta.read_text("utf-8"))["exit_code_by_key"]:
            path, _, name = key.rpartition(".")
            function = name.partition("__mutmut_")[0]
            original = f"{function}__mutmut_orig"
            was, now = (slice(*spans[each]) for each in (original, name))
            changed = [line.replace(name, original) for line in lines[now]]
            place = function[2:].replace("ǁ", ".")
            yield Mutant(
                key, path.removeprefix("smtp821."), place, *difference(lines[was], changed)
            )


def difference(before: list[str], after: list[str]) -> tuple[str, str]:
    """The lines that only one of them has."""
    changes = list(difflib.ndiff(before, after))
    was = " ".join(line[2:].strip() for line in changes if line.startswith("- "))
    now = " ".join(line[2:].strip() for line in changes if line.startswith("+ "))
    return was, now


class Run:
    """A plugin that runs the collected tests once for each mutant, in a process of its own.

    own: whether only tests of the module's own test module count.
    fresh: whether this process is for one mutant, which was in place before anything was imported.
    """

    def __init__(self, chosen: list[Mutant], *, own: bool, fresh: bool) -> None:
        self.chosen = chosen
        self.own = own
        self.fresh = fresh
        self.survivors: list[Mutant] = []
        stats = json.loads((COPY / "mutmut-stats.json").read_text("utf-8"))
        self._callers: dict[str, list[str]] = stats["tests_by_mangled_function_name"]
        self._seconds: dict[str, float] = stats["duration_by_test"]

    def start(self) -> int:
        """Let pytest collect the tests, and run them; gives its exit code."""
        settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mutmut"]
        arguments = [*settings["pytest_add_cli_args"], "-p", "no:terminal", "--assert=plain"]
        os.chdir(COPY)
        sys.path.insert(0, str(COPY))
        return int(
            pytest.main(
                [*arguments, *settings["pytest_add_cli_args_test_selection"]], plugins=[self]
            )
        )

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of the loop of pytest."""
        running: dict[int, Mutant] = {}
        for mutant in self.chosen:
            if len(running) == CHILDREN:
                self._wait(running)
            if self.fresh or not (pid := os.fork()):
                tests = self._tests(session.items, mutant)
                seconds = 5 + sum(self._seconds.get(test.nodeid, 0) for test in tests)
                run_tests(session, mutant, tests, round(seconds))
            running[pid] = mutant
        while running:
            self._wait(running)
        return True

    def _tests(self, items: list[pytest.Item], mutant: Mutant) -> list[pytest.Item]:
        """The tests that call the function, and those that are new: quick ones first."""
        callers = set(self._callers.get(mutant.key.partition("__mutmut_")[0], ()))
        own = f"tests/test_{mutant.module.rpartition('.')[2]}.py::"

        def serves(test: str) -> bool:
            if mutant is not UNCHANGED and self.own and not test.startswith(own):
                return False
            if test not in self._seconds or mutant is UNCHANGED:
                return True
            called = test in callers or (self.fresh and test.startswith(own))
            return called and self._seconds[test] < LONGEST

        return sorted(
            (item for item in items if serves(item.nodeid)),
            key=lambda item: (
                not item.nodeid.startswith(own),
                self._seconds.get(item.nodeid, 0),
            ),
        )

    def _wait(self, running: dict[int, Mutant]) -> None:
        pid, status = os.wait()
        mutant = running.pop(pid)
        print(end="+" if status else ".", file=sys.stderr, flush=True)
        if status == 0:
            self.survivors.append(mutant)


def run_tests(
    session: pytest.Session, mutant: Mutant, tests: list[pytest.Item], seconds: int
) -> None:
    """In a child: end it, with 1 at the first test that fails, else with 0.

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
    return subprocess.call(command, env=environment, stderr=subprocess.DEVNULL) == 0


def is_listed(mutant: Mutant, listed: dict[str, Any]) -> bool:
    """Whether it is one of those that change nothing."""
    this = (f"{mutant.module}.{mutant.function}", mutant.was, mutant.now)
    return any((each["in"], each["was"], each["now"]) == this for each in listed["here"]) or any(
        mutant.was.replace(each["was"], each["now"]) == mutant.now != mutant.was
        for each in listed["everywhere"]
    )


def report(chosen: list[Mutant], survivors: list[Mutant]) -> int:
    """Print what is not as it should be, and the score."""
    if UNCHANGED not in survivors or not survives_import(UNCHANGED):
        print("The tests fail where nothing is changed.")
        return 1
    listed = tomllib.loads((ROOT / "tests" / "mutants.toml").read_text("utf-8"))
    made, killed, equivalent = Counter[str](), Counter[str](), Counter[str]()
    wrong = 0
    for mutant in chosen[1:]:
        known = is_listed(mutant, listed)
        survived = mutant in survivors and (known or survives_import(mutant))
        for module in (mutant.module, "all"):
            made[module] += 1
            killed[module] += not survived
            equivalent[module] += known
        if survived != known:
            wrong += 1
            print(mutant.key, "survives" if survived else "is listed, but killed")
            print(f"  - {mutant.was}\n  + {mutant.now}")
    print("| module | mutants | killed | equivalent | killed of the others |")
    for module in sorted(made, key=lambda name: (name == "all", name)):
        rest = made[module] - equivalent[module]
        score = f"{100 * killed[module] / rest:.1f}%" if rest else ""
        print(f"| {module} | {made[module]} | {killed[module]} | {equivalent[module]} | {score} |")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
