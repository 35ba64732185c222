"""What a run was made on: numbers of different machines, or builds of Python, say nothing together.

A Python that was built without profile-guided optimisation searches bytes several times slower.
"""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
import time
import timeit
from pathlib import Path
from typing import Any

__all__ = ["cores", "facts", "load", "raise_descriptors"]


def facts() -> dict[str, Any]:
    """The machine, the system and the Python."""
    flags = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    return {
        "made": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "processor": _processor(),
        "cores": len(cores()) or os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "compiler": platform.python_compiler(),
        "profile-guided by its flags": "--enable-optimizations" in flags,
        "link-time": "--with-lto" in flags,
        "bytes.find, MB/s": _finding(),
        "free-threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "load before": load(),
    }


def cores() -> list[int]:
    """The cores that this process may run on; none where that cannot be said."""
    if sys.platform != "linux":
        return []
    return sorted(os.sched_getaffinity(0))


def load() -> float | None:
    """How many processes wanted to run, of late."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def raise_descriptors() -> int:
    """Let this process, and those that it begins, have all the descriptors it may; how many."""
    try:
        import resource
    except ImportError:
        return 512
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = max(soft, 65536)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def _finding() -> int:
    """How fast this Python searches bytes: that tells its builds apart when their flags do not."""
    data = (b"x" * 76 + b"\r\n") * (1 << 14)
    best = min(timeit.repeat(lambda: data.find(b"\r\n."), number=1, repeat=20))
    return round(len(data) / best / 1e6)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
