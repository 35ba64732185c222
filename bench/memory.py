"""How much memory a message takes, by its size: the peak of each role, on each adapter.

    python bench/memory.py [--size OCTETS]

A `smtp821 serve --discard` and a `smtp821 send` are begun for each adapter, twice: for a message of
1 KiB, and for one of the size. The message comes through a pipe, so it is nowhere as a whole. The
peak is what the system says of a process that has ended (resident set, ru_maxrss). On Linux that is
never less than what the process that began it had; so this one stays small, and imports little.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Final

ADAPTERS: Final = ("sockets", "asyncio", "trio")
SMALL: Final = 1 << 10
LINE: Final = 64  # octets, with CRLF
LINES: Final = 1 << 10
BLOCK: Final = (b"." * 62 + b"\r\n" + (b"x" * 62 + b"\r\n") * 3) * (LINES // 4)
SHOWN: Final = 1 << 28  # octets from one line of progress to the next: whole blocks
UNIT: Final = 1024 if sys.platform == "darwin" else 1  # of ru_maxrss, in KiB


class Failed(Exception):
    """The message did not get through; why."""


def main(arguments: list[str] | None = None) -> int:
    """Measure, and print a table; gives the exit status."""
    parser = argparse.ArgumentParser(description="Peak memory of a message, by its size.")
    add = parser.add_argument
    add("--size", type=int, default=1 << 30, help="octets of the message (default: 1 GiB)")
    add("--adapter", choices=ADAPTERS, action="append", help="only this one (default: all)")
    add("--timeout", type=float, default=1800.0, help="seconds for one message (default: 1800)")
    options = parser.parse_args(arguments)
    row = "{:<10}{:<10}{:>12}{:>12}{:>12}{:>10}"
    print(row.format("adapter", "role", "small KiB", "large KiB", "more KiB", "seconds"))
    for adapter in options.adapter or ADAPTERS:
        try:
            small, _ = transfer(adapter, SMALL, options.timeout)
            large, seconds = transfer(adapter, options.size, options.timeout)
        except Failed as failure:
            print(f"memory.py: {adapter}: {failure}", file=sys.stderr)
            return 1
        for role in ("server", "client"):
            before, after = small[role], large[role]
            print(row.format(adapter, role, before, after, after - before, f"{seconds:.1f}"))
            sys.stdout.flush()
    return 0


def transfer(adapter: str, size: int, timeout: float) -> tuple[dict[str, int], float]:
    """Send a message of this size, and a line more at most; gives the peak of each role in KiB.

    And the seconds that it took. Raises Failed.
    """
    lines = -(-size // LINE)
    server = begin("serve", "--adapter", adapter, "--port", "0", "--discard")
    client: subprocess.Popen[bytes] | None = None
    clock = threading.Timer(timeout, server.kill)  # the client ends with it
    clock.daemon = True
    clock.start()
    try:
        assert server.stdout is not None
        port = server.stdout.readline().rpartition(b":")[2].decode().strip()
        paths = ("--from", "me@here.example", "--to", "user@localhost", "--helo", "here.example")
        client = begin("send", "--adapter", adapter, "--port", port, "--timeout", "60", *paths)
        began = time.monotonic()
        feed(client, lines, f"{adapter}, {size} octets")
        peaks = {"client": peak(client, "<user@localhost>: accepted, 250 OK")}
        seconds = time.monotonic() - began
        server.send_signal(signal.SIGTERM)
        peaks["server"] = peak(server, f"1 messages, {lines * LINE} octets")
    finally:
        clock.cancel()
        for process in (client, server):
            if process is not None and process.returncode is None:
                process.kill()
                process.wait()
    return peaks, seconds


def begin(*command: str) -> subprocess.Popen[bytes]:
    """Begin a command of `smtp821`."""
    return subprocess.Popen(
        [sys.executable, "-m", "smtp821", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def feed(client: subprocess.Popen[bytes], lines: int, name: str) -> None:
    """Write a message of so many lines, and show how far it is. Raises Failed."""
    assert client.stdin is not None
    written = 0
    try:
        while lines:
            count = min(lines, LINES)
            client.stdin.write(BLOCK[: count * LINE])
            lines -= count
            written += count * LINE
            if written % SHOWN == 0:
                print(f"{name}: {written >> 20} MiB", file=sys.stderr, flush=True)
        client.stdin.close()
    except OSError as error:
        raise Failed(f"it was not taken: {error}") from None


def peak(process: subprocess.Popen[bytes], printed: str) -> int:
    """Wait for the end of a process that is to print this; its peak in KiB. Raises Failed."""
    assert process.stdout is not None
    assert process.stderr is not None
    output = (process.stdout.read() + process.stderr.read()).decode("utf-8", "replace")
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0 or printed not in output:
        raise Failed(f"status {process.returncode}, {output!r}")
    return usage.ru_maxrss // UNIT


if __name__ == "__main__":
    sys.exit(main())
