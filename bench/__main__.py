"""`python -m bench`: measure, print the tables, and write what was found."""

from __future__ import annotations

import argparse
import fnmatch
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from . import machine
from .document import PAGE, filled
from .environment import FOLDER, PLOTTER, ROOT, Environment, prepare
from .measures import GROUPS
from .processes import LOAD, SUBJECT, pin
from .results import Measure, Run, read, write
from .rounds import Failed, Settings
from .tables import page
from .targets import broken

_DESCRIPTION: Final = """\
Measure this library beside its peers: servers, clients, and what needs no socket. Everything is
measured side by side in one run, in rounds that take turns, so ratios hold though the machine's
speed drifts. The peers are fetched, by pip and npm as they are configured, into .bench/ in the
project; Postfix's smtp-source and smtp-sink are used if the system has them. Who is missing is left
out, and named. Only the loopback interface is used.
"""

_EPILOG: Final = """\
groups of measures, for --only:
  servers   messages of 1 KiB into servers, many and one per connection, over 1 and 200 at once
  bodies    messages of 20 MB, of six kinds of mail data
  clients   messages of 1 KiB from clients, over 1 and 10 connections
  inside    in memory: a command and its reply, decoding and encoding mail data
  idle      memory of a connection that says nothing; NOOP beside 5000 of them
  peak      peak memory of a server against the size of a message
  scaling   cost against size, recipients, commands at a time, connections; with slopes

It writes results.json, results.md and an SVG for each table into --out, and prints results.md.
A full run takes about half an hour, and wants a machine that does nothing else.

exit status:
  0  it was measured, perhaps without peers that are missing
  1  something of this library did not work; standard error has it
  2  it was asked for what there is not

examples:
  python -m bench --quick                          does it work?  (15 seconds)
  python -m bench --only servers --only clients    some of it
  python -m bench --write-docs .bench/results/results.json
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; gives the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="a little of everything; the numbers mean little")
    add("--only", metavar="PATTERN", action="append",
        help="only the groups of measures whose names match, as file names do")  # fmt: skip
    add("--rounds", metavar="N", type=int, help="rounds of each case (default: 5; quick: 1)")
    add("--seconds", metavar="S", type=float,
        help="of each sample, about (default: 1; quick: 0.02)")  # fmt: skip
    add("--out", metavar="DIR", type=Path,
        help="where to write (default: .bench/results; quick: .bench/quick)")  # fmt: skip
    add("--offline", action="store_true", help="fetch nothing; take what is there")
    add("--write-docs", metavar="FILE", type=Path,
        help="measure nothing: put the results in FILE into docs/performance.md")  # fmt: skip
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # ends what it began
    options.out = options.out or FOLDER / ("quick" if options.quick else "results")
    if options.write_docs is not None:
        return _write_docs(options.write_docs)
    chosen = [
        name
        for name in GROUPS
        if any(fnmatch.fnmatch(name, pattern) for pattern in options.only or ["*"])
    ]
    if not chosen:
        parser.error(f"no group matches; there are {', '.join(GROUPS)}")
    return _measure(options, chosen)


def _measure(options: argparse.Namespace, chosen: Sequence[str]) -> int:
    quick = options.quick
    settings = Settings(
        quick=quick,
        rounds=options.rounds or (1 if quick else 5),
        seconds=options.seconds or (0.02 if quick else 1.0),
        say=_Progress(),
    )
    facts = machine.facts()
    machine.raise_descriptors()
    environment = prepare(settings.say, fetch=not options.offline, plots=not quick)
    pin(LOAD)
    if SUBJECT == LOAD:
        settings.say("one core for all: the load takes from what is measured")
    measures: list[Measure] = []
    run = Run(facts, _settings(settings, chosen), environment.versions, environment.missing, ())
    options.out.mkdir(parents=True, exist_ok=True)
    for name in chosen:
        try:
            measures += GROUPS[name](environment, settings)
        except (Failed, OSError) as error:
            settings.say(f"{name}: {error}")
            run.missing[f"{name}, all of it"] = str(error)
        run = attrs.evolve(run, measures=tuple(measures))
        write(run, options.out / "results.json")  # what is there already is not lost
    text = page(run)
    (options.out / "results.md").write_text(text, encoding="utf-8")
    if environment.has(PLOTTER) and not quick:
        _plot(environment, options.out)
    print(text)
    settings.say(f"written to {options.out}")
    faults = broken(run)
    for fault in faults:
        settings.say(f"did not work: {fault}")
    return 1 if faults else 0


def _settings(settings: Settings, chosen: Sequence[str]) -> dict[str, Any]:
    return {
        "quick": settings.quick,
        "rounds": settings.rounds,
        "seconds": settings.seconds,
        "groups": list(chosen),
        "cores": {"measured": sorted(SUBJECT), "load": sorted(LOAD)},
    }


def _plot(environment: Environment, folder: Path) -> None:
    """Let matplotlib draw, where it is."""
    command = [environment.python, "-m", "bench.plots", str(folder / "results.json"), str(folder)]
    try:
        subprocess.run(
            command, cwd=ROOT, env=environment.variables, check=True, timeout=120,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        print(f"no plots: {error}", file=sys.stderr)


def _write_docs(file: Path) -> int:
    """Fill the page, and put the plots beside it."""
    try:
        run = read(file)
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"bench: {file} has no results: {error}", file=sys.stderr)
        return 2
    target = ROOT / PAGE
    pictures = target.parent / "performance"
    plots = ""
    for picture in sorted(file.parent.glob("*.svg")):
        pictures.mkdir(exist_ok=True)
        shutil.copyfile(picture, pictures / picture.name)
        plots = pictures.name
    text = filled(target.read_text(encoding="utf-8"), run, plots)
    target.write_text(text, encoding="utf-8")
    print(f"bench: {PAGE} has the results of {run.machine['made']}", file=sys.stderr)
    return 0


class _Progress:
    """Lines on standard error, with the seconds since it began."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, line: str) -> None:
        print(f"{time.monotonic() - self._began:7.1f}  {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
