"""Where accepted mail is kept: a Maildir for each local mailbox.

A message is written once, into the `tmp` of its first mailbox, and flushed to the disk; then it
is renamed into `new`, and linked into the `new` of the other mailboxes; then the folders are
flushed. Only after that may the receiver say 250: whatever happens next, the message is there.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import socket
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["Draft", "Maildir", "folder_name"]

_COUNTER = itertools.count(1)
_LONGEST_NAME = 200  # of a folder, in octets; most file systems take 255


def folder_name(mailbox: str) -> str:
    """The name of the folder for a mailbox: its own, where that is safe, in lower case.

    Other characters than letters, digits and "+-_=.@~" are written as %XX, and so is a dot that
    comes first; so no name leads out of the folder, or hides in it.
    """
    return re.sub(r"^\.", "%2E", urllib.parse.quote(mailbox.lower(), safe="+=@"))


class Maildir:
    """The Maildirs under one folder, which is made when mail comes.

    root: the folder; each mailbox has a Maildir in it, of the name `folder_name` gives.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def can_keep(self, mailbox: str) -> bool:
        """Whether a folder can have the name of this mailbox."""
        return 0 < len(folder_name(mailbox)) <= _LONGEST_NAME

    def begin(self, mailboxes: Sequence[str], head: bytes) -> Draft:
        """Begin a message for these mailboxes, with its first lines. Raises OSError."""
        folders = [self._root / folder_name(mailbox) for mailbox in mailboxes]
        for folder in folders:
            _make(folder)
        draft = Draft(folders)
        draft.write(head)
        return draft


class Draft:
    """A message that is being written; it is nowhere to be seen until `commit`."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._name = _unique_name()
        self._path = folders[0] / "tmp" / self._name
        self._file = self._path.open("xb")

    def write(self, data: bytes) -> None:
        """Add mail data, which is kept with its lines ended by LF (never cut inside a CRLF)."""
        self._file.write(data.replace(b"\r\n", b"\n"))

    def commit(self) -> None:
        """Make the message safe, then seen; in all its mailboxes, or (OSError) in none."""
        seen: list[Path] = []
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            for folder in self._folders[1:]:
                os.link(self._path, folder / "new" / self._name)
                seen.append(folder / "new" / self._name)
            self._path.rename(self._folders[0] / "new" / self._name)
            seen.append(self._folders[0] / "new" / self._name)
            for folder in self._folders:
                _flush(folder / "new")
        except OSError:
            for path in seen:
                path.unlink(missing_ok=True)
            self.abort()
            raise

    def abort(self) -> None:
        """Drop what was written; it never raises."""
        with contextlib.suppress(OSError):  # the disk may be full: what is buffered cannot go
            self._file.close()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


def _unique_name() -> str:
    """A file name that no other message ever has: time, process, count and host."""
    host = re.sub(r"[^A-Za-z0-9.-]", "_", socket.gethostname())
    return f"{time.time():.6f}.P{os.getpid()}Q{next(_COUNTER)}.{host}"


def _make(folder: Path) -> None:
    """Make a Maildir, and see to it that it is there after a crash."""
    for name in ("cur", "new", "tmp"):
        for part in _missing(folder / name):
            part.mkdir(mode=0o700, exist_ok=True)
            _flush(part.parent)


def _missing(folder: Path) -> Iterator[Path]:
    """The folder and those above it that do not exist yet, the outermost first."""
    if not folder.is_dir():
        yield from _missing(folder.parent)
        yield folder


def _flush(folder: Path) -> None:
    """Flush a folder to the disk, where the system can do that."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # Windows opens no folders, and flushes them by itself
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
