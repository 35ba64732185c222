"""The dialogue as Appendix F prints it: `S:` for what the sender says, `R:` for the receiver.

Bytes go in as they come, lines go out when they are whole. What is not printable ASCII is shown
as an escape, so that a transcript is safe to look at, whoever the peer is.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Transcript"]

_LONGEST = 1000  # octets of a line that are kept while its end is waited for


class Transcript:
    """Makes the lines of one session.

    write: takes each line, without a line end.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._begun = {"S": b"", "R": b""}

    def sender(self, data: bytes) -> None:
        """Show what the sender-SMTP sent."""
        self._show("S", data)

    def receiver(self, data: bytes) -> None:
        """Show what the receiver-SMTP sent."""
        self._show("R", data)

    def _show(self, role: str, data: bytes) -> None:
        *lines, rest = (self._begun[role] + data).split(b"\r\n")
        while len(rest) > _LONGEST:
            lines.append(rest[:_LONGEST])
            rest = rest[_LONGEST:]
        self._begun[role] = rest
        for line in lines:
            self._write(f"{role}: {printable(line)}")


def printable(line: bytes) -> str:
    """The line as printable ASCII: "\\x1b" for an ESC, "\\\\" for a backslash."""
    return line.decode("latin-1").encode("unicode_escape").decode("ascii")
