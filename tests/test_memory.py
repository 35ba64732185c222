"""Memory does not grow with the size of a message: bench/memory.py measures it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from .black_box import every_adapter
from .programs import ROOT
from .serving import ENVIRONMENT, TIMEOUT

LARGE = 32 << 20
MORE = 4 << 10  # KiB


@every_adapter
def test_constant_memory(adapter: str) -> None:
    """4.5.3 bounds no message: 32 MiB take less than 4 MiB more than 1 KiB, in either role."""
    pytest.importorskip("resource", reason="the system does not tell the peak of a process")
    command = [sys.executable, str(ROOT / "bench" / "memory.py"), "--adapter", adapter]
    result = subprocess.run(
        [*command, "--size", str(LARGE), "--timeout", str(TIMEOUT)],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=3 * TIMEOUT,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    _, *rows = [line.split() for line in result.stdout.splitlines()]
    assert [row[:2] for row in rows] == [[adapter, "server"], [adapter, "client"]]
    for *_, before, after, more, _ in rows:
        assert int(after) - int(before) == int(more) < MORE
