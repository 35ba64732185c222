"""Transparency (4.5.2): mail data as it is, and as it goes over the channel.

Chunk in, chunk out. The end of mail data, and the dots to take away or to double, are found by
searching whole chunks for CR LF dot, never line by line. What the last octets of a chunk mean can
depend on the next chunk: a decoder keeps back up to four of them (the longest beginning of
CR LF dot CR LF), an encoder a final CR. Both begin as if behind a CRLF, which is that of the DATA
line, so that a dot that comes first is no special case.
"""

from __future__ import annotations

import enum
import re
from io import IncrementalNewlineDecoder

from .errors import LocalProtocolError

__all__ = ["DotDecoder", "DotEncoder", "Policy", "bare_newline", "eight_bit"]

_END = b"\r\n.\r\n"
_SOUND = (None, "\r\n")  # the kinds of line ends that mail data may have
_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_EIGHT_BIT = re.compile(rb"[\x80-\xff]")


class Policy(enum.StrEnum):
    """What becomes of octets in mail data that RFC 821 leaves in doubt."""

    PASS = "pass"
    """They are data like any other."""
    REFUSE = "refuse"
    """The message is refused."""
    CONVERT = "convert"
    """A lone LF becomes CRLF, a lone CR is refused. For sending only."""


def bare_newline(data: bytes) -> int:
    """Where the first CR or LF stands in data that is no part of a CRLF; -1 where there is none.

    data: must not end in a CR whose LF may follow, nor begin with an LF whose CR went before.

    CPython's reader of text files knows in one pass which kinds of line ends there are, in a
    quarter of the time of three counts; only where some are bare does it matter where.
    """
    decoder = IncrementalNewlineDecoder(None, translate=False)
    decoder.decode(data.decode("latin-1"), final=True)
    return -1 if decoder.newlines in _SOUND else _index(_BARE, data)


def eight_bit(data: bytes) -> int:
    """Where the first octet with its high bit set stands in data; -1 where there is none."""
    return -1 if data.isascii() else _index(_EIGHT_BIT, data)


def _index(pattern: re.Pattern[bytes], data: bytes) -> int:
    found = pattern.search(data)
    return found.start() if found else -1


def _dotted(data: bytes) -> bool:
    """Whether a line but the first begins with a dot.

    Most data has none, and to be sure of that CPython takes half the time from the end.
    """
    return data.rfind(b"\r\n.") >= 0


def _kept_back(data: bytes) -> int:
    """How many octets at the end of data may begin the end of mail data."""
    for size in (4, 3, 2, 1):
        if data.endswith(_END[:size]):
            return size
    return 0


class DotDecoder:
    """The receiver's side: takes dots away and finds the end."""

    __slots__ = ("_carry", "_leading", "rest")

    rest: bytes | None
    """None until the end of mail data has come; then the bytes that came behind it."""

    def __init__(self) -> None:
        self._carry = b"\r\n"  # that of the DATA line ...
        self._leading = 2  # ... which is no mail data
        self.rest = None

    def decode(self, data: bytes) -> bytes:
        """The mail data in the bytes that came next; it is never cut between a CR and its LF.

        Once the end has come `rest` is set, and the decoder has done its work.
        """
        if self._carry:
            data = self._carry + data
        dotted = _dotted(data)
        end = data.find(_END) if dotted else -1
        if end >= 0:
            self.rest = data[end + len(_END) :]
            data = data[: end + 2]
            dotted = _dotted(data)  # by a line before the last, that is
        elif kept := _kept_back(data):
            self._carry, data = data[-kept:], data[:-kept]
        else:
            self._carry = b""
        if dotted:
            data = data.replace(b"\r\n.", b"\r\n")
        if data and self._leading:
            data, self._leading = data[self._leading :], 0
        return data


class DotEncoder:
    """The sender's side: doubles dots, and sees to it that only lines in CRLF leave.

    line_feeds: what becomes of a CR or LF that is no part of a CRLF.
    eight_bit: what becomes of octets with the high bit set.
    text_line: the longest line in octets with its CRLF, or None; the doubled dot is not counted.
    """

    __slots__ = ("_column", "_eight_bit", "_held", "_limit", "_line_feeds", "_offset")

    def __init__(self, line_feeds: Policy, eight_bit: Policy, text_line: int | None) -> None:
        self._line_feeds = line_feeds
        self._eight_bit = eight_bit
        self._limit = text_line
        self._held = b""  # a final CR, until the LF that may follow is seen
        self._column = 0  # octets since the last CRLF
        self._offset = 0  # octets of mail data before the chunk in hand: for messages

    def encode(self, data: bytes) -> bytes:
        """The next chunk of mail data, as it goes over the channel.

        Raises LocalProtocolError for data that must not be sent, with nothing changed.
        """
        size = len(data)
        if self._held:
            data = self._held + data
        held = b"\r" if data.endswith(b"\r") else b""
        if held:
            data = data[:-1]
        data = self._clean(data)
        column = self._column_after(data)
        stuffed = data.replace(b"\r\n.", b"\r\n..") if _dotted(data) else data
        if self._column == 0 and data.startswith(b"."):
            stuffed = b"." + stuffed
        self._held, self._column = held, column
        self._offset += size
        return stuffed

    def end(self) -> bytes:
        """The end of mail data, behind a CRLF if the data has none at its end (AMB-37).

        Raises LocalProtocolError where the data ends in a CR that must not be sent, or that
        makes its line too long.
        """
        if self._held and self._line_feeds is not Policy.PASS:
            raise LocalProtocolError("the mail data ends in a CR without its LF")
        return self._held + (_END if self._column_after(self._held) else b".\r\n")

    def _clean(self, data: bytes) -> bytes:
        """The data with its lone LFs made CRLF, unless the policy has it otherwise."""
        if self._eight_bit is Policy.REFUSE and (at := eight_bit(data)) >= 0:
            raise self._refusal(at, "an octet with its high bit set (4.5.2)")
        if self._line_feeds is Policy.PASS or (at := bare_newline(data)) < 0:
            return data
        if self._line_feeds is Policy.REFUSE:
            raise self._refusal(at, "a CR or LF that is no part of a CRLF")
        data = data.replace(b"\r\n", b"\n")
        if (at := data.find(b"\r")) >= 0:
            raise self._refusal(at, "a CR without its LF")
        return data.replace(b"\n", b"\r\n")

    def _column_after(self, data: bytes) -> int:
        """How far the last line has come behind this data, if none is over the limit.

        It jumps from the last CRLF in reach to the last one in reach from there: a step for about
        a thousand octets, however short the lines.
        """
        start, limit, rfind = -self._column, self._limit, data.rfind
        if limit is not None:
            enough = len(data) - limit + 2
            while start < enough:
                cut = rfind(b"\r\n", start if start > 0 else 0, start + limit)
                if cut < 0:
                    raise self._refusal(max(start, 0), f"a line of over {limit} octets (4.5.3)")
                start = cut + 2
        last = rfind(b"\r\n")
        return len(data) - (last + 2 if last >= 0 else start)

    def _refusal(self, at: int, what: str) -> LocalProtocolError:
        offset = self._offset - len(self._held) + at
        return LocalProtocolError(f"mail data has {what}, at about offset {offset}")
