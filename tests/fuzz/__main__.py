"""Let atheris look for inputs that a target does not stand: `python -m tests.fuzz TARGET`.

The search runs in a process of its own, for libFuzzer ends the one that it is in. What it found
is printed when it is over; an input that failed is kept, and `--run FILE` runs it alone.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

ROOT: Final = Path(__file__).parent.parent.parent
FINDINGS: Final = ROOT / ".fuzz"
LONGEST: Final = 4096  # octets of an input
MISSING: Final = "atheris is missing: pip install --editable '.[test,fuzz]'"


@attrs.frozen
class Result:
    """What a search came to."""

    target: str
    executions: int
    seconds: int
    seeds: int
    """Inputs that it began with."""
    new: int
    """Inputs found that take another way through the code."""
    failures: tuple[Path, ...]
    """Inputs that the target did not stand."""
    log: str
    """What libFuzzer said."""

    def __str__(self) -> str:
        return (
            f"{self.target}: {self.executions:,} executions in {self.seconds} s, from {self.seeds} "
            f"seeds; {self.new} inputs with new coverage; {len(self.failures)} failures"
        )


def search(target: str, seconds: int) -> Result:
    """Fuzz one target for a while."""
    from .targets import TARGETS

    FINDINGS.mkdir(exist_ok=True)
    before = set(FINDINGS.glob(f"{target}-*"))
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder)
        seeds = list(TARGETS[target].corpus())
        for number, seed in enumerate(seeds):
            (corpus / f"seed-{number:04}").write_bytes(seed)
        options = (
            f"-max_total_time={seconds}", f"-max_len={LONGEST}", "-timeout=20",
            "-print_final_stats=1", f"-artifact_prefix={FINDINGS}/{target}-", folder,
        )  # fmt: skip
        log = _atheris(target, *options)
        new = len(list(corpus.iterdir())) - len(seeds)
    failures = tuple(sorted(set(FINDINGS.glob(f"{target}-*")) - before))
    count = re.search(r"stat::number_of_executed_units: *([0-9]+)", log)
    return Result(target, int(count[1]) if count else 0, seconds, len(seeds), new, failures, log)


def _atheris(target: str, *options: str) -> str:
    """Run the search; what libFuzzer says."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.searching", target, *options],
        cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": "0"}, text=True, errors="replace",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    return run.stdout


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 if nothing failed."""
    from .targets import TARGETS

    parser = argparse.ArgumentParser("python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=[*TARGETS, "all"])
    parser.add_argument("--seconds", type=int, default=60, help="how long to look (default: 60)")
    parser.add_argument("--run", type=Path, metavar="FILE", help="run one input, and nothing else")
    chosen = parser.parse_args(arguments)
    targets = [*TARGETS] if chosen.target == "all" else [chosen.target]
    if chosen.run is not None:
        for target in targets:
            TARGETS[target].run(chosen.run.read_bytes())
        return 0
    if importlib.util.find_spec("atheris") is None:
        print(MISSING, file=sys.stderr)
        return 2
    failed = False
    for target in targets:
        result = search(target, chosen.seconds)
        print(result, flush=True)
        if result.failures or not result.executions:
            failed = True
            print(result.log, *result.failures, sep="\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
