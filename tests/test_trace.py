"""Trace lines (4.1.1 DATA, 4.1.2 <stamp>): made, and read."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path as File
from typing import Any, Final

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp821 import Domain, LocalProtocolError, Path
from smtp821.mail.trace import TimeStamp, daytime, parse_return_path, return_path_line
from smtp821.protocol.grammar import BY_THE_LETTER, STRICT
from smtp821.testing.strategies import domains, paths, reverse_paths

PRODUCTIONS: Final[Mapping[str, Mapping[str, list[Any]]]] = json.loads(
    (File(__file__).parent / "data" / "grammar_examples.json").read_text("utf-8")
)["productions"]
STAMPS: Final = PRODUCTIONS["time-stamp-line"]
RETURN_PATHS: Final = PRODUCTIONS["return-path-line"]
FOUR_DIGITS: Final = "Received: FROM ABC.ARPA BY XYZ.ARPA ; 22 OCT 1981 09:23:59 PDT\r\n"
PACIFIC: Final = timezone(timedelta(hours=-8))
PACIFIC_SUMMER: Final = timezone(timedelta(hours=-7))


def read(text: str) -> TimeStamp:
    """The time stamp in a line."""
    return TimeStamp.parse(text.encode("ascii"))


def stamp(**changes: Any) -> TimeStamp:
    """A time stamp, with changes."""
    plain = TimeStamp(
        from_domain=Domain("ABC.ARPA"),
        by_domain=Domain("XYZ.ARPA"),
        at=datetime(1981, 10, 22, 9, 23, 59, tzinfo=PACIFIC_SUMMER),
    )
    return attrs.evolve(plain, **changes)


# The examples of the RFC.


@pytest.mark.clause("4.1.1.DATA-09")
def test_example_8() -> None:
    """A message that came by two relays: its return path, and a stamp of each host (p23)."""
    route = parse_return_path(
        b"Return-Path: <@GHI.ARPA,@DEF.ARPA,@ABC.ARPA:JOE@ABC.ARPA>\r\n"
    )  # fmt: skip
    stamps = [
        read("Received: from GHI.ARPA by JKL.ARPA ; 27 Oct 81 15:27:39 PST\r\n"),
        read("Received: from DEF.ARPA by GHI.ARPA ; 27 Oct 81 15:15:13 PST\r\n"),
        read("Received: from ABC.ARPA by DEF.ARPA ; 27 Oct 81 15:01:59 PST\r\n"),
    ]
    assert route.route == tuple(stamp.from_domain for stamp in stamps)
    assert [stamp.by_domain.text for stamp in stamps] == ["JKL.ARPA", "GHI.ARPA", "DEF.ARPA"]
    assert [stamp.at for stamp in stamps] == [
        datetime(1981, 10, 27, 15, 27, 39, tzinfo=PACIFIC),
        datetime(1981, 10, 27, 15, 15, 13, tzinfo=PACIFIC),
        datetime(1981, 10, 27, 15, 1, 59, tzinfo=PACIFIC),
    ]


@pytest.mark.clause("4.1.2-32")
def test_example_9() -> None:
    """A return path line, byte for byte (p33)."""
    line = b"Return-Path: <@CHARLIE.ARPA,@BAKER.ARPA:JOE@ABLE.ARPA>\r\n"
    path = Path("<@CHARLIE.ARPA,@BAKER.ARPA:JOE@ABLE.ARPA>")
    assert return_path_line(path) == line
    assert parse_return_path(line) == path


@pytest.mark.clause("4.1.2-33", "AMB-50")
def test_example_10() -> None:
    """The two time stamp lines (p33), the second unfolded, and without brackets (AMB-50)."""
    first = read("Received: FROM ABC.ARPA BY XYZ.ARPA ; 22 OCT 81 09:23:59 PDT\r\n")
    assert first == stamp()
    second = read(
        "Received: from ABC.ARPA by XYZ.ARPA via TELENET with X25"
        " id M12345 for Smith@PDQ.ARPA ; 22 OCT 81 09:23:59 PDT\r\n"
    )
    path = Path("<Smith@PDQ.ARPA>")
    assert second == stamp(via="TELENET", protocol="X25", id="M12345", path=path)


@pytest.mark.clause("4.1.2-34", "AMB-50")
def test_example_10_written() -> None:
    """What is written is the form of 4.1.2: in UT, one line, FOR with its brackets (AMB-50)."""
    path = Path("<Smith@PDQ.ARPA>")
    line = stamp(via="TELENET", protocol="X25", id="M12345", path=path).line(strict=True)
    assert line == (
        b"Received: from ABC.ARPA by XYZ.ARPA via TELENET with X25 id M12345 "
        b"for <Smith@PDQ.ARPA> ; 22 OCT 81 16:23:59 UT\r\n"
    )


# The grammar's examples.


@pytest.mark.parametrize("text", STAMPS["valid"])
def test_valid_stamps(text: str) -> None:
    """Whatever 4.1.2 derives is read, and written again it says the same."""
    parsed = read(text)
    assert TimeStamp.parse(parsed.line()) == parsed
    assert TimeStamp.parse(parsed.line(strict=True)) == parsed


@pytest.mark.clause("4.1.2-33", "4.1.2-34")
@pytest.mark.parametrize("text", [text for text in STAMPS["invalid"] if text != FOUR_DIGITS])
def test_invalid_stamps(text: str) -> None:
    """What 4.1.2 does not derive is refused, but for years of four digits (AMB-49)."""
    with pytest.raises(LocalProtocolError, match="is not a time stamp line"):
        read(text)


@pytest.mark.clause("AMB-49")
def test_four_digits_of_the_year() -> None:
    """RFC 1123 5.2.14 wants them (AMB-49)."""
    assert FOUR_DIGITS in STAMPS["invalid"]
    assert read(FOUR_DIGITS) == stamp()


@pytest.mark.parametrize("text", [contested["text"] for contested in STAMPS["contested"]])
def test_contested_stamps(text: str) -> None:
    """What the RFC's own examples, and later RFCs, write is read (AMB-49, AMB-50)."""
    assert read(text).from_domain == Domain("ABC.ARPA")


@pytest.mark.parametrize("text", RETURN_PATHS["valid"])
def test_valid_return_paths(text: str) -> None:
    """Read and written again it is the same line, but for the case of its name."""
    line = return_path_line(parse_return_path(text.encode("ascii")))
    assert line.decode("ascii") == "Return-Path" + text[len("Return-Path") :]


@pytest.mark.clause("4.1.2-32")
@pytest.mark.parametrize("text", RETURN_PATHS["invalid"])
def test_invalid_return_paths(text: str) -> None:
    """What 4.1.2 does not derive is refused."""
    with pytest.raises(LocalProtocolError, match="is not a return path line"):
        parse_return_path(text.encode("ascii"))


@pytest.mark.parametrize("line", [b"", b"\r\n", b"\xff\xfe\r\n", b"Received: \xe9\r\n", b"x" * 500])
def test_any_other_line(line: bytes) -> None:
    """Lines of anything else are refused, and quoted in part only."""
    for parse in (TimeStamp.parse, parse_return_path):
        with pytest.raises(LocalProtocolError) as error:
            parse(line)
        assert len(str(error.value)) < 200


def test_a_long_line_is_quoted_in_part() -> None:
    """Of any other line the error has the beginning."""
    for parse, kind in [(TimeStamp.parse, "time stamp"), (parse_return_path, "return path")]:
        with pytest.raises(LocalProtocolError) as error:
            parse(b"x" * 100)
        assert str(error.value) == f"{b'x' * 80!r} is not a {kind} line (4.1.2)"
    line = b"Received: FROM a BY b VIA " + b"x" * 100 + b" ; 29 FEB 81 00:00:00 UT\r\n"
    with pytest.raises(LocalProtocolError) as error:
        TimeStamp.parse(line)
    assert str(error.value) == f"{line[:80]!r} has no date of the calendar"


# The return path.


def test_the_return_path_of_a_notification() -> None:
    """A null reverse-path stays one (3.6)."""
    assert return_path_line(Path("<>")) == b"Return-Path: <>\r\n"
    assert parse_return_path(b"Return-Path: <>\r\n").is_null


@pytest.mark.clause("4.1.2-32")
@given(reverse_paths())
def test_any_return_path(path: Path) -> None:
    """Every reverse-path makes a line that 4.1.2 derives, and comes back to the letter."""
    line = return_path_line(path)
    assert STRICT.pattern("return-path-line").fullmatch(line.decode("ascii"))
    assert parse_return_path(line).text == path.text


# Time.


@pytest.mark.clause("4.1.2-37", "AMB-49")
def test_the_two_forms() -> None:
    """RFC 821's in UT with two digits of the year, else RFC 1123's with four (AMB-49)."""
    assert stamp(protocol="SMTP").line(strict=True) == (
        b"Received: from ABC.ARPA by XYZ.ARPA with SMTP ; 22 OCT 81 16:23:59 UT\r\n"
    )
    assert stamp(protocol="SMTP").line() == (
        b"Received: from ABC.ARPA by XYZ.ARPA with SMTP ; 22 Oct 1981 09:23:59 -0700\r\n"
    )


def test_the_date_in_universal_time() -> None:
    """The strict form is in UT, where it can be another day, or year."""
    late = datetime(1999, 12, 31, 23, 30, 0, tzinfo=PACIFIC)
    assert stamp(at=late).line(strict=True).endswith(b" ; 1 JAN 00 07:30:00 UT\r\n")
    assert stamp(at=late).line().endswith(b" ; 31 Dec 1999 23:30:00 -0800\r\n")


def test_the_zone_of_this_host_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """UT is UT wherever the line is made."""
    at = datetime(1981, 10, 22, 9, 23, 59, tzinfo=PACIFIC_SUMMER)
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "EST5")
        time.tzset()
        assert daytime(at, strict=True) == "22 OCT 81 16:23:59 UT"
        assert daytime(at) == "22 Oct 1981 09:23:59 -0700"
    time.tzset()


@pytest.mark.clause("4.1.2-36")
def test_the_time_by_itself() -> None:
    """A <daytime>, in either form: for other lines of a header (AMB-49)."""
    at = datetime(1981, 10, 2, 9, 23, 59, 999_999, tzinfo=PACIFIC_SUMMER)
    assert daytime(at) == "2 Oct 1981 09:23:59 -0700"
    assert daytime(at, strict=True) == "2 OCT 81 16:23:59 UT"


def test_a_zone_with_seconds() -> None:
    """An offset is written in hours and minutes (RFC 1123 5.2.14), whatever it is."""
    zone = timezone(timedelta(hours=1, minutes=2, seconds=3))
    assert stamp(at=datetime(1880, 1, 1, tzinfo=zone)).line().endswith(b" 00:00:00 +0102\r\n")


@pytest.mark.clause("4.1.2-37")
@pytest.mark.parametrize(
    ("zone", "offset"),
    [
        ("UT", 0), ("GMT", 0), ("Z", 0), ("EST", -5), ("EDT", -4), ("CST", -6), ("CDT", -5),
        ("MST", -7), ("MDT", -6), ("PST", -8), ("PDT", -7), ("pdt", -7), ("+0000", 0),
        ("-0330", -3.5), ("+0545", 5.75), ("+1400", 14), ("A", 0), ("CET", 0), ("XST", 0),
    ],
)  # fmt: skip
def test_zones(zone: str, offset: float) -> None:
    """The zones of RFC 822, to which 4.1.2 refers, and numbers; what nobody knows is UT."""
    at = read(f"Received: FROM a BY b ; 22 OCT 81 09:23:59 {zone}\r\n").at
    assert at.utcoffset() == timedelta(hours=offset)


@pytest.mark.parametrize(("yy", "year"), [("70", 1970), ("99", 1999), ("00", 2000), ("69", 2069)])
def test_centuries(yy: str, year: int) -> None:
    """Two digits are of the years in which there was, or may be, mail."""
    assert read(f"Received: FROM a BY b ; 1 JAN {yy} 00:00:00 UT\r\n").at.year == year


@pytest.mark.clause("AMB-49")
def test_hour_24() -> None:
    """4.1.2 has hours up to 24: that is midnight at the end of the day (AMB-49)."""
    at = read("Received: FROM a BY b ; 31 DEC 81 24:00:00 UT\r\n").at
    assert at == datetime(1982, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["29 FEB 81", "31 JUN 82", "1 JAN 0000", "31 DEC 9999"]
)  # fmt: skip
def test_days_that_are_not(text: str) -> None:
    """A day that no calendar has is refused, though 4.1.2 derives it."""
    with pytest.raises(LocalProtocolError, match="date of the calendar"):
        read(f"Received: FROM a BY b ; {text} 24:00:00 UT\r\n")


def test_a_zone_that_is_not() -> None:
    """An offset of more than a day is refused."""
    with pytest.raises(LocalProtocolError):
        read("Received: FROM a BY b ; 1 JAN 82 00:00:00 +9999\r\n")


# What a line cannot hold.


class Nowhere(tzinfo):
    """A zone that knows no offset."""

    def utcoffset(self, when: datetime | None) -> None:
        """Nobody knows."""

    def dst(self, when: datetime | None) -> None:
        """Nobody knows."""

    def tzname(self, when: datetime | None) -> None:
        """It has none."""


@pytest.mark.parametrize("zone", [None, Nowhere()])
def test_a_time_needs_its_zone(zone: tzinfo | None) -> None:
    """A time without a zone is refused: nobody could tell when it was."""
    with pytest.raises(LocalProtocolError, match=r"^a time stamp needs a time with its zone$"):
        stamp(at=datetime(1981, 10, 22, 9, 23, 59, tzinfo=zone))
    with pytest.raises(LocalProtocolError, match=r"^a time stamp needs a time with its zone$"):
        daytime(datetime(1981, 10, 22, 9, 23, 59, tzinfo=zone))


@pytest.mark.clause("4.1.2-35")
@pytest.mark.parametrize("field", ["via", "protocol", "id"])
@pytest.mark.parametrize(
    "text", ["", "two words", "a.b", "a\r\nX-Evil: yes", "caf\xe9", "<a>", ";"]
)
def test_words(field: str, text: str) -> None:
    """VIA, WITH and ID take one <string>; so nothing can be smuggled into a message."""
    with pytest.raises(LocalProtocolError, match="is not one word"):
        stamp(**{field: text})


@pytest.mark.parametrize("path", ["<>", "<Postmaster>"])
def test_for_needs_a_mailbox(path: str) -> None:
    """FOR takes a <path>, which ends in a mailbox (4.1.2)."""
    with pytest.raises(LocalProtocolError, match="FOR takes a path to a mailbox"):
        stamp(path=Path(path))


_words = st.one_of(st.none(), st.sampled_from(("SMTP", "TCP", "q1", "a\\ b", "-")))
_zones = st.integers(-23 * 60, 23 * 60).map(lambda m: timezone(timedelta(minutes=m)))
_stamps = st.builds(
    TimeStamp,
    from_domain=domains(),
    by_domain=domains(),
    at=st.datetimes(datetime(1970, 1, 2), datetime(2069, 12, 30), timezones=_zones).map(
        lambda at: at.replace(microsecond=0)
    ),
    via=_words,
    protocol=_words,
    id=_words,
    path=st.one_of(st.none(), paths()),
)


@pytest.mark.clause("4.1.2-33", "4.1.2-34", "4.1.2-36")
@given(_stamps, st.booleans())
def test_any_stamp(value: TimeStamp, strict: bool) -> None:
    """Every time stamp makes a line that 4.1.2 derives, and comes back as it was."""
    line = value.line(strict=strict)
    assert STRICT.pattern("time-stamp-line").fullmatch(line.decode("ascii"))
    assert TimeStamp.parse(line) == value


def test_the_strict_form_is_the_letters() -> None:
    """The strict form is derived by 4.1.2 to the letter."""
    line = stamp(via="TCP", protocol="SMTP", id="q1", path=Path("<a@abc>")).line(strict=True)
    assert BY_THE_LETTER.pattern("time-stamp-line").fullmatch(line.decode("ascii"))


_MORSELS = (
    "FROM ", "BY ", "VIA ", "WITH ", "ID ", "FOR ", "a ", "<a@b> ", "a@b ", "\\ ", "; ", ";",
    "31 FEB 82 ", "1 jan 82 ", "24:59:59 ", "09:23:59 ", "UT", "+9959", " ", "\0", "\xff", "\n",
)  # fmt: skip


@given(st.lists(st.sampled_from(_MORSELS), max_size=14).map("".join))
def test_any_line(text: str) -> None:
    """A line is a time stamp that can be written, or a LocalProtocolError, and nothing else."""
    line = f"Received: FROM a BY b {text}\r\n".encode("latin-1")
    try:
        value = TimeStamp.parse(line)
    except LocalProtocolError:
        return
    assert TimeStamp.parse(value.line()) == value
