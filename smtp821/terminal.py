"""Delivery to the terminal (3.4): the message is shown when it is complete."""

from __future__ import annotations

import re
import tempfile
import threading
from collections.abc import Sequence
from typing import TextIO

__all__ = ["Terminal"]

_IN_MEMORY = 1 << 20  # octets of a message that wait in memory; a longer one waits in a file
_PIECE = 1 << 16
_UNSAFE = re.compile(r"[^\t\n -~]")


class Terminal:
    """Shows messages to all users; everybody is active at this one terminal.

    stream: where they are shown.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def can_keep(self, mailbox: str) -> bool:
        """Whoever it is for can see it."""
        return True

    def begin(self, mailboxes: Sequence[str], head: bytes) -> TerminalDraft:
        """Begin a message for these users. Raises OSError."""
        draft = TerminalDraft(self._stream, self._lock)
        draft.write(f"Message for {', '.join(mailboxes)}\n".encode())
        draft.write(head)
        return draft


class TerminalDraft:
    """A message that waits for its end before it is shown, and for others that are shown now."""

    def __init__(self, stream: TextIO, lock: threading.Lock) -> None:
        self._stream = stream
        self._lock = lock
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 (closed at the end)

    def write(self, data: bytes) -> None:
        """Add mail data."""
        self._file.write(data.replace(b"\r\n", b"\n"))

    def commit(self) -> None:
        """Show the message, with "?" for what could do things to a terminal. Raises OSError."""
        self._file.seek(0)
        with self._lock:
            while piece := self._file.read(_PIECE):
                self._stream.write(_UNSAFE.sub("?", piece.decode("latin-1")))
            self._stream.write("\n")
            self._stream.flush()
        self._file.close()

    def abort(self) -> None:
        """Drop what was written."""
        self._file.close()
