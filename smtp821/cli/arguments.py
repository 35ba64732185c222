"""Arguments that the commands have in common, and what is said of a wrong one."""

from __future__ import annotations

import argparse

from ..protocol.errors import LocalProtocolError
from ..protocol.paths import Path

__all__ = ["UsageError", "count", "path", "port", "seconds"]


class UsageError(Exception):
    """The command cannot do what was asked; the message is one line that says why."""


def port(text: str) -> int:
    """A port, 0 to 65535."""
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}")
    return int(text)


def count(text: str) -> int:
    """A number over 0."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"a number over 0 is needed, not {text!r}")
    return int(text)


def seconds(text: str) -> float:
    """A time."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"a time in seconds is needed, not {text!r}")
    return value


def path(text: str) -> Path:
    """A path; the brackets may be left out."""
    try:
        return Path(text if text.startswith("<") else f"<{text}>")
    except LocalProtocolError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
