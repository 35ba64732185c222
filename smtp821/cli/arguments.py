"""Arguments that the commands have in common, and what is said of a wrong one."""

from __future__ import annotations

import argparse
from pathlib import Path as FilePath
from typing import NoReturn

from ..protocol.errors import LocalProtocolError
from ..protocol.paths import Domain, Path

__all__ = [
    "Parser",
    "UsageError",
    "count",
    "domain",
    "file",
    "forward_path",
    "host",
    "port",
    "reverse_path",
    "seconds",
]

_LONGEST = 1e9  # seconds; far more is more than a system can wait for


class UsageError(Exception):
    """The command cannot do what was asked; the message says why."""


class Parser(argparse.ArgumentParser):
    """A parser whose complaint about a wrong argument is one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end with status 2."""
        line = " ".join(message.splitlines())
        self.exit(2, f"{self.prog}: {line} (see {self.prog} --help)\n")


def port(text: str) -> int:
    """A port, 0 to 65535."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!a}")
    return int(text)


def count(text: str) -> int:
    """A number over 0."""
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"a number over 0 is needed, not {text!a}")
    return int(text)


def seconds(text: str) -> float:
    """A time."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= _LONGEST:
        raise argparse.ArgumentTypeError(f"a time in seconds is needed, not {text!a}")
    return value


def host(text: str) -> str:
    """The name or the address of a host, if it can be one."""
    try:
        if text.encode("idna"):
            return text
    except UnicodeError:
        pass
    raise argparse.ArgumentTypeError(f"{text!a} is not the name of a host")


def file(text: str) -> FilePath:
    """The path of a file or a folder."""
    if not text:
        raise argparse.ArgumentTypeError("a path is needed, not ''")
    return FilePath(text)


def domain(text: str) -> str:
    """The name of a host as SMTP has it."""
    try:
        return Domain(text).text
    except LocalProtocolError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def reverse_path(text: str) -> Path:
    """A reverse-path; its brackets may be left out."""
    path = _path(text)
    if path.is_postmaster:
        raise argparse.ArgumentTypeError(f"{text!a} has no host to send a notification to")
    return path


def forward_path(text: str) -> Path:
    """A forward-path; its brackets may be left out."""
    path = _path(text)
    if path.is_null:
        raise argparse.ArgumentTypeError(f"{text!a} leads to nobody")
    return path


def _path(text: str) -> Path:
    try:
        return Path(text if text.startswith("<") else f"<{text}>")
    except LocalProtocolError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
