"""The process in which libFuzzer runs: `python -m tests.fuzz.searching TARGET OPTIONS`."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["smtp821"]):
    from .targets import TARGETS

if __name__ == "__main__":
    atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]].run)
    atheris.Fuzz()
