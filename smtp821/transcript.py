"""The dialogue as Appendix F prints it: `S:` for what the sender says, `R:` for the receiver.

Bytes go in as they come, lines go out when they are whole. What is not printable ASCII is shown
as an escape, so that a transcript is safe to look at, whoever the peer is. A line that is shown in
parts has a backslash at the end of each but the last; so the bytes can be read back.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Transcript"]

_WIDTH = 1000  # octets of a line that are shown as one; the rest of it comes in further lines


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

    def end(self) -> None:
        """Show what has begun and was never ended."""
        for role, rest in self._begun.items():
            self._parts(role, rest)
            self._begun[role] = b""

    def _show(self, role: str, data: bytes) -> None:
        *lines, rest = (self._begun[role] + data).split(b"\r\n")
        for line in lines:
            last = max(0, len(line) - 1) // _WIDTH * _WIDTH
            self._parts(role, line[:last])
            self._write(f"{role}: {printable(line[last:])}")
        whole = max(0, len(rest) - 2) // _WIDTH * _WIDTH  # of the last octet, a CR may be the end
        self._parts(role, rest[:whole])
        self._begun[role] = rest[whole:]

    def _parts(self, role: str, data: bytes) -> None:
        """Show the parts of a line that goes on behind them."""
        for at in range(0, len(data), _WIDTH):
            self._write(f"{role}: {printable(data[at : at + _WIDTH])}\\")


def printable(line: bytes) -> str:
    """The line as printable ASCII: "\\x1b" for an ESC, "\\\\" for a backslash."""
    return line.decode("latin-1").encode("unicode_escape").decode("ascii")
