"""What the commands print: results on standard output, everything else on standard error.

Output that nobody can take any more (a closed pipe, a full disk) is given up, and the command goes
on: a server is not stopped by it, and what became of a message is in the exit status.
"""

from __future__ import annotations

import os
import sys
from typing import TextIO

__all__ = ["address", "finish", "reason", "say", "show"]


def show(text: str) -> None:
    """Print a result, at once."""
    _print(text, sys.stdout, "\n")


def say(text: str, end: str = "\n") -> None:
    """Print a remark or a complaint, at once."""
    _print(text, sys.stderr, end)


def finish() -> None:
    """See to it that nothing is left to be written, which could fail at the end of the program."""
    _print("", sys.stdout, "")


def address(host: str, port: int) -> str:
    """Host and port as one word: "127.0.0.1:25", "[::1]:25"."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def reason(error: BaseException | None) -> str:
    """What went wrong, in words and without the number of the error."""
    return (isinstance(error, OSError) and error.strerror) or str(error)


def _print(text: str, stream: TextIO | None, end: str) -> None:
    if stream is None:  # it was closed before the program began
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    printable = text.encode(encoding, "backslashreplace").decode(encoding)
    try:
        print(printable, file=stream, end=end, flush=True)
    except OSError as error:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 (it is no path on Windows)
            os.dup2(nowhere.fileno(), stream.fileno())
        if stream is sys.stdout:
            say(f"smtp821: standard output: {reason(error)}")
