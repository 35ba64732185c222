"""Trace lines (4.1.1 DATA, 4.1.2): what a receiver puts before the mail data it accepts.

A time stamp line ("Received:") for every host on the way, and at the last one, where the message
leaves SMTP, a return path line before them. Made here and read here; the clock is the caller's.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final, Self

import attrs

from ..protocol.errors import LocalProtocolError
from ..protocol.grammar import STRICT
from ..protocol.paths import Domain, Path

__all__ = ["TimeStamp", "daytime", "parse_return_path", "return_path_line"]

_MONTHS: Final = (
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
)  # fmt: skip

# The zones of RFC 822 5.1, to which 4.1.2 refers, as hours from UT.
_ZONES: Final = {
    "UT": 0, "GMT": 0, "Z": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5,
    "MST": -7, "MDT": -6, "PST": -8, "PDT": -7,
}  # fmt: skip

_STAMP = re.compile(
    STRICT.expand(
        "(?i:Received:) (?i:FROM) (?P<from_domain>{domain}) (?i:BY) (?P<by_domain>{domain}) "
        "(?:(?i:VIA) (?P<via>{string}) )?(?:(?i:WITH) (?P<protocol>{string}) )?"
        "(?:(?i:ID) (?P<id>{string}) )?(?:(?i:FOR) (?P<path>{path}|{mailbox}) )?"
        "; (?P<dd>{dd}) (?P<mon>{mon}) (?P<yy>{yy}) "
        "(?P<hh>{hh}):(?P<mm>{mm}):(?P<ss>{ss}) (?P<zone>{zone}){CRLF}"
    )
)


def return_path_line(reverse_path: Path) -> bytes:
    """The first line of a delivered message: "Return-Path: <...>" and CRLF (4.1.2)."""
    return f"Return-Path: {reverse_path}\r\n".encode("ascii")


def parse_return_path(line: bytes) -> Path:
    """The reverse-path in a return path line with its CRLF.

    Raises LocalProtocolError for any other line.
    """
    text = line.decode("latin-1")
    if not STRICT.pattern("return-path-line").fullmatch(text):
        raise LocalProtocolError(f"{line[:80]!r} is not a return path line (4.1.2)")
    return Path(text.partition(":")[2].strip())


def daytime(at: datetime, *, strict: bool = False) -> str:
    """A time, to the second, as lines of a header have it (4.1.2 <daytime>).

    strict: in the form of RFC 821, "22 OCT 81 16:23:59 UT"; else in that of RFC 1123 5.2.14, with
        four digits of the year and a numeric zone, "22 Oct 1981 09:23:59 -0700" (AMB-49).
    Raises LocalProtocolError for a time without a zone.
    """
    _aware(None, None, at)
    at = at.astimezone(UTC) if strict else at
    month = _MONTHS[at.month - 1]
    date = f"{at.day} {month if strict else month.title()} "
    date += f"{at.year % 100:02}" if strict else f"{at.year:04}"
    zone = "UT" if strict else f"{at:%z}"[:5]
    return f"{date} {at:%H:%M:%S} {zone}"


def _aware(_: object, __: object, value: datetime) -> None:
    if value.utcoffset() is None:
        raise LocalProtocolError("a time stamp needs a time with its zone")


@attrs.frozen(kw_only=True)
class TimeStamp:
    """One time stamp line: who gave the message to whom, and when (4.1.1 DATA, 4.1.2 <stamp>).

    Raises LocalProtocolError for a time without a zone, and for what such a line cannot hold.
    """

    from_domain: Domain
    """The host that sent the message."""
    by_domain: Domain
    """The host that took it, and made this line."""
    at: datetime = attrs.field(validator=_aware)
    """When; to the second."""
    via: str | None = None
    """The link it came over, by its registered name ("TCP")."""
    protocol: str | None = None
    """The protocol it came by ("SMTP"); the word in the line is WITH."""
    id: str | None = None
    """What the host calls the message."""
    path: Path | None = None
    """Whom it is for; the word in the line is FOR."""

    def __attrs_post_init__(self) -> None:
        word = STRICT.pattern("string")
        for text in (self.via, self.protocol, self.id):
            if text is not None and not word.fullmatch(text):
                raise LocalProtocolError(f"{text!a} is not one word of 4.1.2 <string>")
        if self.path is not None and self.path.mailbox is None:
            raise LocalProtocolError(f"FOR takes a path to a mailbox, not {self.path}")

    def line(self, *, strict: bool = False) -> bytes:
        """The line, with its CRLF.

        strict: the form of the time, as for `daytime`.
        """
        words = [f"from {self.from_domain} by {self.by_domain}"]
        optional = {"via": self.via, "with": self.protocol, "id": self.id, "for": self.path}
        words += [f"{word} {value}" for word, value in optional.items() if value is not None]
        at = daytime(self.at, strict=strict)
        return f"Received: {' '.join(words)} ; {at}\r\n".encode("ascii")

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """The time stamp in a line with its CRLF, in either form.

        Two digits of a year are of 1970 to 2069; a zone without a known offset is UT; the hour 24
        is midnight of the next day. Raises LocalProtocolError for any other line.
        """
        match = _STAMP.fullmatch(line.decode("latin-1"))
        if match is None:
            raise LocalProtocolError(f"{line[:80]!r} is not a time stamp line (4.1.2)")
        part = match.groupdict()
        path = part["path"]
        if path is not None and not path.startswith("<"):
            path = f"<{path}>"
        return cls(
            from_domain=Domain(part["from_domain"]),
            by_domain=Domain(part["by_domain"]),
            at=_moment(part, line),
            via=part["via"],
            protocol=part["protocol"],
            id=part["id"],
            path=None if path is None else Path(path),
        )


def _moment(part: dict[str, str], line: bytes) -> datetime:
    year = int(part["yy"])
    if len(part["yy"]) == 2:
        year += 2000 if year < 70 else 1900
    month = _MONTHS.index(part["mon"].upper()) + 1
    try:
        day = datetime(year, month, int(part["dd"]), tzinfo=_zone(part["zone"]))
        since = timedelta(hours=int(part["hh"]), minutes=int(part["mm"]), seconds=int(part["ss"]))
        return day + since
    except (ValueError, OverflowError):
        raise LocalProtocolError(f"{line[:80]!r} has no date of the calendar") from None


def _zone(text: str) -> timezone:
    if text[0] in "+-":
        minutes = int(text[1:3]) * 60 + int(text[3:5])
        return timezone(timedelta(minutes=minutes if text[0] == "+" else -minutes))
    return timezone(timedelta(hours=_ZONES.get(text.upper(), 0)))
