"""The most memory that a server ever has, against the size of a message.

Servers are begun afresh, and get one message of each size, the small ones first; the peak is what
the system remembers of it, so a later size shows only what it adds. The message is never whole on
the side that sends it. Both roles of this library, through its command line, are measured by
`bench/memory.py`, where it is.
"""

from __future__ import annotations

import subprocess
from itertools import repeat
from typing import Final

from .. import bodies
from ..environment import ROOT, Environment
from ..load import Connection
from ..results import Case, Measure, Series
from ..rounds import Failed, Settings
from ..subjects import AIOSMTPD, SINK, serving
from .common import MB, missing

__all__ = ["measure"]

_PIECE: Final = bodies.wire(bodies.ORDINARY, MB)
_MOST: Final = 100 * MB  # for those that keep a message in memory


def measure(environment: Environment, settings: Settings) -> list[Measure]:
    """The growth over the smallest message, in MB."""
    sizes = [1, 10] if settings.quick else [1, 10, 100, 1000]
    found: dict[int, list[Series]] = {size: [] for size in sizes}
    with serving(environment) as (servers, without):
        for name, server in servers.items():
            settings.say(f"peak memory: {name}")
            keeps = not name.startswith("smtp821") and name != SINK
            note = ""
            for size in sizes:
                if not note and keeps and size * MB > _MOST:
                    note = f"not {size} MB: it may keep all of it"
                try:
                    if note:
                        raise Failed(note)
                    with Connection(server.port) as connection:
                        connection.message(repeat(_PIECE, size))
                    peak = server.program.memory("VmHWM")
                    if peak is None:
                        raise Failed("the system does not say")
                except (Failed, OSError) as error:
                    note = str(error)
                    found[size].append(Series(name, note=note))
                else:
                    found[size].append(Series(name, (peak / MB,), count=1))
    for series in found.values():
        series.extend(missing(without))
    return [
        Measure(
            "peak", "Peak memory of a server, by the size of the message", "MB",
            tuple(Case(f"{size} MB", tuple(found[size]), size) for size in sizes),
            AIOSMTPD, more=False,
            about="Resident memory at its highest, from the begin of the process.",
        ),
        *_roles(environment, settings),
    ]  # fmt: skip


def _roles(environment: Environment, settings: Settings) -> list[Measure]:
    """The peak of both roles of this library, each in its process, by `bench/memory.py`."""
    script = ROOT / "bench" / "memory.py"
    if not script.exists() or settings.quick:
        return []
    settings.say("peak memory: both roles, 1 KiB and 1 GiB")
    done = subprocess.run(
        [environment.python, str(script)],
        cwd=ROOT, env=environment.variables, capture_output=True, text=True, timeout=3600,
        check=False,
    )  # fmt: skip
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    if done.returncode or not rows:
        settings.say(f"  {done.stderr.strip()}")
        return []
    small = [Series(f"{adapter}, {role}", (int(kib) / 1024,)) for adapter, role, kib, *_ in rows]
    large = [Series(f"{adapter}, {role}", (int(kib) / 1024,)) for adapter, role, _, kib, *_ in rows]
    return [
        Measure(
            "roles", "Peak memory of this library, in both roles", "MiB",
            (Case("1 KiB", tuple(small)), Case("1 GiB", tuple(large))), more=False,
            about="`smtp821 serve` and `smtp821 send`, each in its process, with one message.",
        )
    ]  # fmt: skip
