"""The peers, in an environment of their own: `.bench/` in the project, which git ignores.

It holds a virtual environment of the Python that runs, and a folder of node's packages; Postfix's
smtp-source and smtp-sink come from the system. pip and npm fetch as they are configured here. Who
cannot be had is missing, with the reason, and the rest goes on: nothing here fails.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import venv
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import attrs

__all__ = ["FOLDER", "JAVASCRIPT", "PLOTTER", "ROOT", "Environment", "prepare"]

ROOT: Final = Path(__file__).parent.parent
FOLDER: Final = ROOT / ".bench"

OURS: Final = ("attrs", "trio")
PEERS: Final = ("aiosmtpd", "twisted", "aiosmtplib", "smtpproto", "uvloop", "h11")
PLOTTER: Final = "matplotlib"
JAVASCRIPT: Final = "smtp-server"
POSTFIX: Final = ("smtp-source", "smtp-sink")
STANDARD: Final = ("smtpd",)

_TIME: Final = 300.0  # seconds for pip, or npm
_PATIENCE: Final = 60.0  # seconds in which something should have been fetched
_PROBE: Final = """
import importlib.metadata as m, importlib.util as u, json, sys
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = m.version(name)
    except m.PackageNotFoundError:
        if name in sys.stdlib_module_names and u.find_spec(name):
            found[name] = "of Python " + sys.version.split()[0]
print(json.dumps(found))
"""


@attrs.frozen
class Environment:
    """What there is.

    python: the command that runs programs which import the peers, and this library.
    versions: of what was found, by name.
    missing: why something was not, by name.
    """

    python: str
    versions: dict[str, str]
    missing: dict[str, str]
    variables: dict[str, str]

    def has(self, name: str) -> bool:
        """Whether it is there."""
        return not name or name in self.versions


def prepare(say: Callable[[str], object], *, fetch: bool = True, plots: bool = True) -> Environment:
    """Find the peers; fetch first what is not there.

    fetch: whether pip and npm are asked at all; plots: whether what draws is wanted.
    """
    wanted = [*OURS, *PEERS, *([PLOTTER] if plots else [])]
    folder = FOLDER / f"venv-{_this_python()}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    missing: dict[str, str] = {}
    if fetch:
        missing |= _fetch_python(folder, python, wanted, say)
        missing |= _fetch_javascript(say)
    if not python.exists() or len(_probe(str(python), OURS)) < len(OURS):
        python = Path(sys.executable)
    versions = _probe(str(python), [*wanted, *STANDARD])
    versions |= _javascript() | _postfix()
    for name in (*wanted, *STANDARD, JAVASCRIPT, *POSTFIX):
        if name in versions:
            missing.pop(name, None)
        else:
            missing.setdefault(name, "not installed")
    for name, why in missing.items():
        say(f"missing: {name}: {why}")
    variables = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "NODE_PATH": str(FOLDER / "node_modules"),
        "PYTHONUNBUFFERED": "1",
    }
    return Environment(str(python), versions, missing, variables)


def _this_python() -> str:
    """A name for the Python that runs: another one, or another build of it, has another."""
    build = zlib.crc32(f"{sys.base_prefix} {sys.version}".encode())
    return f"{sys.version_info.major}.{sys.version_info.minor}-{build:08x}"


def _fetch_python(
    folder: Path, python: Path, wanted: Sequence[str], say: Callable[[str], object]
) -> dict[str, str]:
    """Make the virtual environment, and put into it what is not there; gives what failed."""
    if not python.exists():
        say(f"making {folder.relative_to(ROOT)}")
        try:
            venv.create(folder, with_pip=True)
        except (OSError, subprocess.CalledProcessError) as error:
            return dict.fromkeys(wanted, f"no virtual environment: {error}")
    found = _probe(str(python), wanted)
    needed = [name for name in wanted if name not in found]
    if not needed:
        return {}
    say(f"fetching {', '.join(needed)}")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--retries", "1", "--timeout", "10"]
    if _run([*pip, *needed]) is None:
        return {}
    deadline = time.monotonic() + _PATIENCE
    failed: dict[str, str] = {}
    for name in needed:  # each by itself: one may be at fault
        why = _run([*pip, name]) if time.monotonic() < deadline else "nothing could be fetched"
        if why is not None:
            failed[name] = why
    return failed


def _fetch_javascript(say: Callable[[str], object]) -> dict[str, str]:
    """Put the server in JavaScript where node finds it; gives what failed."""
    if _javascript():
        return {}
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return {JAVASCRIPT: "there is no node, or no npm"}
    say(f"fetching {JAVASCRIPT}")
    FOLDER.mkdir(exist_ok=True)
    quiet = ["--silent", "--no-audit", "--no-fund", "--fetch-retries", "1"]
    why = _run([npm, "install", *quiet, "--prefix", str(FOLDER), JAVASCRIPT])
    return {} if why is None else {JAVASCRIPT: why}


def _javascript() -> dict[str, str]:
    package = FOLDER / "node_modules" / JAVASCRIPT / "package.json"
    node = shutil.which("node")
    if node is None or not package.exists():
        return {}
    version = json.loads(package.read_text(encoding="utf-8"))["version"]
    on = _output([node, "--version"])
    return {JAVASCRIPT: f"{version} on node {on}"} if on else {}


def _postfix() -> dict[str, str]:
    version = _output(["postconf", "-h", "mail_version"]) if shutil.which("postconf") else ""
    return {name: version or "of the system" for name in POSTFIX if shutil.which(name)}


def _probe(python: str, names: Sequence[str]) -> dict[str, str]:
    """The versions of those that a Python can import."""
    text = _output([python, "-c", _PROBE, *names])
    found: dict[str, str] = json.loads(text) if text else {}
    return found


def _output(command: Sequence[str]) -> str:
    """What a command prints; nothing where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _run(command: Sequence[str]) -> str | None:
    """Run a command; the last line of what it says if it fails."""
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=_TIME, check=True, cwd=ROOT)
    except subprocess.CalledProcessError as error:
        complaint = str(error.stderr).strip().splitlines()
        return complaint[-1] if complaint else f"exit status {error.returncode}"
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return None
