"""The dialogue as Appendix F prints it, and safe to look at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp821.testing.strategies import pieces
from smtp821.transcript import Transcript, printable


def shown(*data: bytes) -> list[str]:
    """The lines that are made of what a sender says."""
    lines: list[str] = []
    transcript = Transcript(lines.append)
    for piece in data:
        transcript.sender(piece)
    return lines


def test_both_sides() -> None:
    """`R:` is the receiver and `S:` the sender, a line each (Appendix F)."""
    lines: list[str] = []
    transcript = Transcript(lines.append)
    transcript.receiver(b"220 BBN-UNIX.ARPA ready\r\n")
    transcript.sender(b"HELO USC-ISIF.ARPA\r\n")
    transcript.receiver(b"250-one\r\n250 two\r\n")
    assert lines == [
        "R: 220 BBN-UNIX.ARPA ready",
        "S: HELO USC-ISIF.ARPA",
        "R: 250-one",
        "R: 250 two",
    ]


def test_lines_come_when_they_are_whole() -> None:
    """A line waits for its CRLF; only a CRLF ends it."""
    assert shown(b"NO") == []
    assert shown(b"NO", b"OP\r") == []
    assert shown(b"NO", b"OP\r", b"\n") == ["S: NOOP"]
    assert shown(b"a\nb\rc\r\n") == ["S: a\\nb\\rc"]


def test_the_sides_do_not_mix() -> None:
    """What one side has begun is not ended by the other."""
    lines: list[str] = []
    transcript = Transcript(lines.append)
    transcript.sender(b"NO")
    transcript.receiver(b"421 closing\r\n")
    transcript.sender(b"OP\r\n")
    assert lines == ["R: 421 closing", "S: NOOP"]


def test_nothing_is_no_line() -> None:
    """Empty data shows nothing; an empty line shows as one."""
    assert shown(b"", b"") == []
    assert shown(b"\r\n\r\n") == ["S: ", "S: "]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"NOOP", "NOOP"),
        (b"\x1b[2J", "\\x1b[2J"),
        (b"tab\there", "tab\\there"),
        (b"NUL\0DEL\x7f", "NUL\\x00DEL\\x7f"),
        (b"caf\xc3\xa9 \xff", "caf\\xc3\\xa9 \\xff"),
        (b"back\\slash", "back\\\\slash"),
        (b"\r\n", "\\r\\n"),
    ],
)
def test_what_is_not_printable_is_escaped(line: bytes, text: str) -> None:
    """No octet of a peer does anything to a terminal."""
    assert printable(line) == text


@given(st.binary(max_size=50))
def test_escapes_can_be_read_back(line: bytes) -> None:
    """An escape tells which octet it was; all that is shown is printable ASCII."""
    text = printable(line)
    assert text.isascii()
    assert text.isprintable()
    assert text.encode().decode("unicode_escape").encode("latin-1") == line


@pytest.mark.parametrize("size", [998, 999, 1000, 1001, 1002, 1999, 2000, 2001, 3500])
def test_long_lines_are_broken(size: int) -> None:
    """A line over a thousand octets is shown in parts, so that a line never waits for ever."""
    line = (b"0123456789" * 350)[:size]
    whole = shown(line + b"\r\n")
    assert "".join(text.removeprefix("S: ").removesuffix("\\") for text in whole).encode() == line
    assert [len(text) for text in whole[:-1]] == [len("S: \\") + 1000] * (len(whole) - 1)
    assert [text.endswith("\\") for text in whole] == [True] * (len(whole) - 1) + [False]
    assert 1 <= len(whole[-1]) - 3 <= 1000
    assert shown(line + b"\r", b"\n") == whole
    assert shown(*(bytes([octet]) for octet in line), b"\r\n") == whole


@pytest.mark.parametrize("size", [1, 999, 1000, 1001])
def test_the_end_shows_what_was_begun(size: int) -> None:
    """A line without an end is shown by the end of the session, as one that goes on."""
    lines: list[str] = []
    transcript = Transcript(lines.append)
    transcript.receiver(b"x" * size)
    transcript.sender(b"NOOP\r\nQUIT\r")
    transcript.end()
    transcript.end()
    assert lines[:2] == ["S: NOOP", "S: QUIT\\r\\"]
    assert [line.removeprefix("R: ") for line in lines[2:]] == [
        "x" * part + "\\" for part in (min(size, 1000), size - 1000) if part > 0
    ]


def test_memory_has_a_bound() -> None:
    """Of a line without an end only what is not shown yet is kept."""
    lines: list[str] = []
    transcript = Transcript(lines.append)
    for _ in range(1000):
        transcript.sender(b"x" * 1000)
    assert len(lines) == 999


@given(st.data(), st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b"a", b"x" * 999, b"y" * 1000])))
def test_any_cut_is_the_same(data: st.DataObject, morsels: list[bytes]) -> None:
    """However the bytes come, the lines are the same."""
    stream = b"".join(morsels)
    assert shown(*data.draw(pieces(stream))) == shown(stream)
