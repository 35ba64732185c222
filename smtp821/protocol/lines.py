"""Input as lines that end in CRLF, and in nothing else (4.1.1, 4.1.2).

Bytes wait in pieces until a line is asked for, and are joined only when those already joined
hold no further CRLF; so a line costs one search however it was cut up. A line over the limit is
thrown away while it arrives, up to the CRLF that ends it, where reading is back in step (4.5.3).
"""

from __future__ import annotations

__all__ = ["LineReader"]

_MOST = 65536  # octets that `take` gives at once


class LineReader:
    """The bytes that came from the peer and were not read yet.

    limit: the longest line, in octets with its CRLF. Memory stays within the limit and what the
        last `feed` calls brought.
    """

    __slots__ = ("_joined", "_overlong", "_pieces", "_start", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._joined = b""
        self._start = 0
        self._pieces: list[bytes] = []
        self._overlong: bytes | None = None  # how the line that is being thrown away began

    def feed(self, data: bytes) -> None:
        """Add what came from the peer, in any cut."""
        if self._pieces or self._start < len(self._joined):
            self._pieces.append(data)
        else:
            self._joined, self._start = data, 0

    def waits(self) -> bool:
        """Whether anything is left to read, a started line included."""
        return self._start < len(self._joined) or bool(self._pieces) or self._overlong is not None

    def next_line(self) -> bytes | None:
        """The next line without its CRLF, or None while it has no end.

        A line over the limit comes cut to limit - 1 octets: one more than a line within the
        limit can have, so that its length tells.
        """
        while True:
            end = self._joined.find(b"\r\n", self._start)
            if end >= 0:
                line = self._joined[self._start : end]
                self._start = end + 2
                if self._overlong is None and len(line) < self.limit - 1:
                    return line
                return self._cut(line)
            if not self._pieces:
                return None
            self._join()

    def take(self) -> bytes:
        """What is left to read, up to 64 KiB at once: for mail data, which is not read by lines.

        More would be copied once for every short message that is given back but for its start.
        """
        if self._pieces and len(self._joined) - self._start < _MOST:
            self._join_to(self._joined[self._start :])
        data = self._joined[self._start : self._start + _MOST]
        self._start += len(data)
        if self._start == len(self._joined):
            self._joined, self._start = b"", 0
        return data

    def give_back(self, data: bytes) -> None:
        """Put back, to be read first, the end of what `take` gave last."""
        if self._start:
            self._start -= len(data)
        else:
            self._joined = data + self._joined

    def _cut(self, line: bytes) -> bytes:
        if self._overlong is not None:
            line, self._overlong = self._overlong + line, None
        return line[: self.limit - 1]

    def _join(self) -> None:
        rest = self._joined[self._start :]
        if len(rest) >= self.limit:
            # Too long whatever follows. Of its end only a CR matters: an LF may come.
            if self._overlong is None:
                self._overlong = rest[: self.limit - 1]
            rest = rest[-1:] if rest.endswith(b"\r") else b""
        self._join_to(rest)

    def _join_to(self, rest: bytes) -> None:
        self._joined = b""  # so that it is not there beside what takes its place
        if len(self._pieces) == 1 and not rest:
            self._joined = self._pieces[0]
        else:
            self._joined = b"".join((rest, *self._pieces))
        self._pieces.clear()
        self._start = 0
