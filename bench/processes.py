"""Programs that are measured: begun on a core of their own, and asked what they have used.

Where the system lets a process choose its cores, a program that is measured has the first, and
whatever gives it work, this process and what it begins, has the others. The time on the processor
is that of the whole process, all its threads, those that have ended too.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, Final, Self

from .environment import ROOT
from .figures import Sample
from .machine import cores
from .rounds import Failed

__all__ = ["LOAD", "SUBJECT", "Program", "Worker", "free_port", "pin"]

_ALL: Final = cores()
SUBJECT: Final = frozenset(_ALL[:1])
"""The core of what is measured."""
LOAD: Final = frozenset(_ALL[1:] or _ALL)
"""The cores of the rest."""

START: Final = 20.0  # seconds for a program to be there
HOST: Final = "127.0.0.1"


def pin(which: frozenset[int]) -> None:
    """Keep this process, and those that it begins from now on, on these cores."""
    if which and sys.platform == "linux":
        os.sched_setaffinity(0, which)


@contextlib.contextmanager
def _pinned(which: frozenset[int]) -> Iterator[None]:
    if sys.platform != "linux":
        yield
        return
    before = os.sched_getaffinity(0)
    pin(which)
    try:
        yield
    finally:
        pin(frozenset(before))


def free_port() -> int:
    """A port that nothing listens at."""
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        return int(sock.getsockname()[1])


class Program:
    """A process that runs until it is stopped. As a context manager it is stopped at the end."""

    def __init__(
        self,
        command: Sequence[str],
        variables: Mapping[str, str],
        *,
        asked: bool = False,
    ) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed by stop)
        pipe = subprocess.PIPE if asked else subprocess.DEVNULL
        with _pinned(frozenset(_ALL)):  # it begins wherever there is time
            self.process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=self._errors, cwd=ROOT, env=variables
            )
        self._clock = _clock_of(self.process.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it, and wait for its end."""
        self.end()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        for stream in (self.process.stdin, self.process.stdout, self._errors):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def end(self) -> None:
        """Tell it to end, and do not wait."""
        self.process.terminate()

    def keep_on(self, which: frozenset[int]) -> None:
        """Keep it, all its threads and those that they begin, on these cores."""
        if not which or sys.platform != "linux":
            return
        for thread in os.listdir(f"/proc/{self.process.pid}/task"):  # noqa: PTH208
            with contextlib.suppress(OSError):  # it may just have ended
                os.sched_setaffinity(int(thread), which)

    def cpu(self) -> float | None:
        """Seconds on the processor up to now; None where the system does not say, or it ended."""
        if self._clock is None:
            return None
        try:
            return time.clock_gettime(self._clock)
        except OSError:
            return None

    def memory(self, field: str = "VmRSS") -> int | None:
        """Octets of memory that are its own now (VmRSS), or were at most (VmHWM); None as above."""
        try:
            with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:  # noqa: PTH123
                lines = [line.split() for line in status if line.startswith(f"{field}:")]
        except OSError:
            return None
        return int(lines[0][1]) * 1024 if lines else None

    def listens(self, port: int) -> None:
        """Wait until it greets at this port. Raises Failed."""
        deadline = time.monotonic() + START
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with socket.create_connection((HOST, port), 5) as sock:
                    if sock.recv(512).startswith(b"220"):
                        return
            except OSError:
                pass
            time.sleep(0.02)
        raise Failed(f"it does not listen{self.complaint()}")

    def complaint(self) -> str:
        """The last line that it wrote to its standard error, behind a colon."""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f": {lines[-1]}" if lines else ""


class Worker(Program):
    """A program of `bench.worker`: it does so many units of a task when asked."""

    def __init__(self, command: Sequence[str], variables: Mapping[str, str]) -> None:
        super().__init__(command, variables, asked=True)
        self.tasks: list[str] = []

    def is_ready(self) -> None:
        """Wait until it has said what its tasks are called. Raises Failed."""
        self.tasks = self._answer(START)["tasks"]

    def sample(self, task: str, count: int, seconds: float = 120.0) -> Sample:
        """Do it. Raises Failed, also when it takes too long: it is ended then."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(f"{count} {task}\n".encode())
            self.process.stdin.flush()
        except OSError:
            raise Failed(f"it has ended{self.complaint()}") from None
        answer = self._answer(seconds)
        if "failure" in answer:
            raise Failed(str(answer["failure"]))
        return Sample(answer["count"], answer["wall"], answer["cpu"])

    def _answer(self, seconds: float) -> dict[str, Any]:
        assert self.process.stdout is not None
        clock = threading.Timer(seconds, self.process.kill)
        clock.daemon = True
        clock.start()
        line = self.process.stdout.readline()
        clock.cancel()
        if not line:
            self.process.wait(5)
            raise Failed(f"it has ended{self.complaint()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _clock_of(process: int) -> int | None:
    """The clock of the processor time of another process, as Linux numbers them."""
    return (~process << 3) | 2 if sys.platform == "linux" else None
