"""Input as lines that end in CRLF, and in nothing else (4.1.1, 4.1.2, 4.5.3)."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Iterable
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp821.protocol.lines import LineReader

LIMIT: Final = 512


def read(pieces: Iterable[bytes], limit: int = LIMIT) -> list[bytes]:
    """All the lines there are, asked for behind each piece."""
    reader = LineReader(limit)
    lines = []
    for piece in pieces:
        reader.feed(piece)
        lines += read_all(reader)
    return lines


def read_all(reader: LineReader) -> list[bytes]:
    """The lines that are complete."""
    return list(iter(reader.next_line, None))


def expected(data: bytes, limit: int) -> list[bytes]:
    """The lines of the data, those over the limit cut to one octet more than may be."""
    return [line[: limit - 1] for line in data.split(b"\r\n")[:-1]]


def octets(data: bytes) -> list[bytes]:
    """The data in pieces of one octet."""
    return [bytes([octet]) for octet in data]


def held(reader: LineReader) -> int:
    """How many octets the reader keeps."""
    return len(reader._joined) + sum(map(len, reader._pieces)) + len(reader._overlong or b"")


# What ends a line.


@pytest.mark.clause("4.1.1-01", "4.1.2-26", "G-02", "AMB-35")
@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"NOOP", []),
        (b"NOOP\r", []),
        (b"NOOP\n", []),
        (b"NOOP\r\n", [b"NOOP"]),
        (b"\r\n", [b""]),
        (b"\r\n\r\n", [b"", b""]),
        (b"NOOP\r\nQUIT\r\n", [b"NOOP", b"QUIT"]),
        (b"NOOP\r\nQUI", [b"NOOP"]),
        (b"NOOP\nQUIT\r\n", [b"NOOP\nQUIT"]),
        (b"NOOP\rQUIT\r\n", [b"NOOP\rQUIT"]),
        (b"NOOP\n\rQUIT\r\n", [b"NOOP\n\rQUIT"]),
        (b"NOOP\r\r\n", [b"NOOP\r"]),
        (b"NOOP\r\n\n", [b"NOOP"]),
        (b"\n\r\n", [b"\n"]),
        (b"\r\r\r\n", [b"\r\r"]),
        (b"NO\0P\xff\x85\x0b\x0c\r\n", [b"NO\0P\xff\x85\x0b\x0c"]),
    ],
)
def test_only_crlf_ends_a_line(data: bytes, lines: list[bytes]) -> None:
    """4.1.1, AMB-35: a lone CR or LF is an octet of the line like any other."""
    assert read([data]) == lines
    assert read(octets(data)) == lines


@pytest.mark.parametrize("limit", [4, 5, 100])
def test_every_short_input_in_every_cut(limit: int) -> None:
    """4.5.3: all inputs of up to seven octets CR, LF and "a" give the same lines in any cut."""
    for size in range(8):
        for data in map(bytes, itertools.product(b"\r\na", repeat=size)):
            lines = expected(data, limit)
            assert read([data], limit) == lines
            assert read(octets(data), limit) == lines
            for cut in range(1, size):
                assert read([data[:cut], data[cut:]], limit) == lines


@given(
    st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b"a", b"bb", b"ccccc", b"\0\xff"])),
    st.lists(st.integers(1, 9)),
    st.integers(3, 9),
)
def test_any_input_in_any_cut(items: list[bytes], sizes: list[int], limit: int) -> None:
    """4.5.3: any input gives the same lines in any cut."""
    data = b"".join(items)
    ends = [0, *itertools.accumulate(sizes), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(ends)]
    assert read([piece for piece in pieces if piece], limit) == expected(data[: ends[-1]], limit)


def test_pieces_may_wait() -> None:
    """Lines need not be asked for behind each piece."""
    reader = LineReader(LIMIT)
    for octet in octets(b"NOOP\r\nRSET\r\nQU"):
        reader.feed(octet)
    assert read_all(reader) == [b"NOOP", b"RSET"]
    reader.feed(b"IT\r\n")
    assert read_all(reader) == [b"QUIT"]
    for piece in (b"NOOP\r\n", b"RS", b"ET\r\n"):
        reader.feed(piece)
    assert read_all(reader) == [b"NOOP", b"RSET"]


# Lines that are too long.


@pytest.mark.clause("4.5.3-09", "AMB-43")
@pytest.mark.parametrize(
    ("octets_with_crlf", "length"), [(2, 0), (511, 509), (512, 510), (513, 511), (514, 511)]
)
def test_limit(octets_with_crlf: int, length: int) -> None:
    """4.5.3, AMB-43: 512 octets with CRLF are a line; one more shows in the length."""
    line = b"x" * (octets_with_crlf - 2) + b"\r\n"
    data = line + b"NOOP\r\n"
    for cut in range(len(data) + 1):
        assert read([data[:cut], data[cut:]]) == [b"x" * length, b"NOOP"]
    assert read(octets(data)) == [b"x" * length, b"NOOP"]


@pytest.mark.clause("4.5.3-21")
@pytest.mark.parametrize("filling", [b"x", b"\r", b"\n", b"x\r", b"x\n", b"x\r\r", b"\nx"])
def test_back_in_step_behind_a_long_line(filling: bytes) -> None:
    """4.5.3: what is too long ends where its CRLF is, and the next line is read."""
    line = (filling * 5000)[:5000] + b"!"
    data = line + b"\r\nNOOP\r\n"
    for size in (1, 2, 3, 7, 511, 512, 513, 1024, 5003, len(data)):
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        assert read(pieces) == [line[: LIMIT - 1], b"NOOP"]


def test_long_line_that_ends_in_cr() -> None:
    """4.5.3: the CR of a CRLF is recognised though the line before it was thrown away."""
    for size in range(505, 520):
        assert read([b"x" * size + b"\r", b"\nNOOP\r\n"]) == [b"x" * min(size, 511), b"NOOP"]
        assert read([b"x" * size + b"\r", b"\r", b"\n\r\n"]) == [
            (b"x" * size + b"\r")[:511],
            b"",
        ]


@pytest.mark.parametrize("filling", [b"x", b"\r", b"\n", b"x\r"])
@pytest.mark.parametrize("size", [1, 100, 511, 512, 1000, 65536])
def test_memory_has_a_bound(size: int, filling: bytes) -> None:
    """4.5.3: a line without end costs the limit twice at most, besides the last piece."""
    reader = LineReader(LIMIT)
    piece = (filling * size)[:size]
    for _ in range(min(1_000_000 // size, 20_000)):
        reader.feed(piece)
        assert reader.next_line() is None
        assert held(reader) <= 2 * (LIMIT - 1) + size
    assert reader.waits()
    reader.feed(b"!\r\nNOOP\r\n")
    start = (piece * LIMIT)[: LIMIT - 1]
    assert read_all(reader) == [start, b"NOOP"]


@pytest.mark.parametrize("filling", [b"x", b"\r"])
def test_a_read_is_not_held_three_times(filling: bytes) -> None:
    """4.5.3: while a line without end is read, the last read is let go before it is joined."""
    reader, read = LineReader(LIMIT), bytearray(filling * 65536)
    tracemalloc.start()
    try:
        for _ in range(10):
            reader.feed(bytes(read))
            assert reader.next_line() is None
        assert tracemalloc.get_traced_memory()[1] < 2 * len(read) + 8192
    finally:
        tracemalloc.stop()


def test_what_is_thrown_away_is_not_copied() -> None:
    """4.5.3: a piece of a line that is too long is searched where it is."""
    reader = LineReader(LIMIT)
    for octet in b"xyz":
        piece = bytes([octet]) * 600
        reader.feed(piece)
        assert reader.next_line() is None
        assert reader._joined is piece
    reader.feed(b"z" * 600 + b"\r")
    assert reader.next_line() is None
    reader.feed(b"!")
    assert reader.next_line() is None
    assert held(reader) == LIMIT - 1 + len(b"\r!")


def test_nothing_is_kept_of_lines_that_were_read() -> None:
    """A session of many lines holds no more than the last piece."""
    reader = LineReader(LIMIT)
    for _ in range(1000):
        reader.feed(b"NOOP\r\nRS")
        reader.feed(b"ET\r\n")
        assert read_all(reader) == [b"NOOP", b"RSET"]
        assert held(reader) <= len(b"NOOP\r\nRSET\r\n")


def test_lines_are_not_moved_one_by_one() -> None:
    """A hundred thousand lines of one piece are read from it where they stand."""
    reader = LineReader(LIMIT)
    reader.feed(b"NOOP\r\n" * 100_000)
    assert reader.next_line() == b"NOOP"
    whole = reader._joined
    for _ in range(99_999):
        assert reader.next_line() == b"NOOP"
        assert reader._joined is whole
    assert not reader.waits()


# Mail data, which is not read by lines.


def test_take() -> None:
    """4.1.1 DATA: what follows the DATA line is taken whole, and nothing is left."""
    reader = LineReader(LIMIT)
    reader.feed(b"DATA\r\nline\r\n")
    reader.feed(b".\r")
    reader.feed(b"\nQUIT\r\n")
    assert reader.next_line() == b"DATA"
    assert reader.take() == b"line\r\n.\r\nQUIT\r\n"
    assert reader.take() == b""
    assert held(reader) == 0
    assert not reader.waits()
    assert reader.next_line() is None


def test_take_before_a_line() -> None:
    """Pieces that were never joined are taken too, and larger ones than a line may be."""
    reader = LineReader(LIMIT)
    reader.feed(b"x" * 400)
    reader.feed(b"y" * 400)
    assert reader.take() == b"x" * 400 + b"y" * 400


def test_take_what_stands_behind_a_line() -> None:
    """4.1.1 DATA: the rest of one piece is taken, once."""
    reader = LineReader(LIMIT)
    reader.feed(b"DATA\r\nline\r\n")
    assert reader.next_line() == b"DATA"
    assert reader.take() == b"line\r\n"
    assert not reader.waits()
    assert reader.take() == b""


def test_take_as_much_as_there_is() -> None:
    """Up to 64 KiB come at once, from more pieces than one, whatever was read before them."""
    reader = LineReader(50_000)
    reader.feed(b"x" * 40_000 + b"\r\n" + b"y" * 10)
    reader.feed(b"z" * 10)
    assert reader.next_line() == b"x" * 40_000
    assert reader.take() == b"y" * 10 + b"z" * 10


def test_take_does_not_move_what_is_left() -> None:
    """A piece of 64 KiB or more is taken from where it is, whatever came behind it."""
    reader, piece = LineReader(LIMIT), bytes(65536)
    reader.feed(piece)
    reader.feed(b"x")
    assert reader.take() is piece
    reader, piece = LineReader(LIMIT), bytes(300_000)
    reader.feed(piece)
    reader.feed(b"x")
    assert reader.take() == bytes(65536)
    assert reader._joined is piece


@pytest.mark.parametrize("size", [1000, 65535, 65536, 65537, 300_000])
@pytest.mark.parametrize("back", [0, 1, 999])
def test_take_and_give_back_much(size: int, back: int) -> None:
    """However much there is, and however much is given back each time, it comes in its order."""
    data = bytes(at * at % 251 for at in range(300_000))
    reader = LineReader(LIMIT)
    taken = []
    for at in range(0, len(data), size):
        reader.feed(data[at : at + size])
        some = reader.take()
        end = len(some) - back
        reader.give_back(some[end:])
        taken.append(some[:end])
    taken += iter(reader.take, b"")
    assert b"".join(taken) == data
    assert not reader.waits()


def test_give_back() -> None:
    """4.1.1 DATA: what came behind the end of mail data is read next, before what came since."""
    reader = LineReader(LIMIT)
    reader.feed(b".\r\nRSET\r\nQU")
    data = reader.take()
    reader.feed(b"IT\r\n")
    reader.give_back(data[3:])
    assert read_all(reader) == [b"RSET", b"QUIT"]
    assert not reader.waits()


def test_give_back_nothing() -> None:
    """Where nothing came behind the end of mail data there is nothing to read."""
    reader = LineReader(LIMIT)
    reader.feed(b".\r\n")
    assert reader.take() == b".\r\n"
    reader.give_back(b"")
    assert not reader.waits()
    assert reader.next_line() is None


# Whether anything is left.


def test_truth() -> None:
    """A reader is true while it has octets, read or not, be it of a line that is too long."""
    reader = LineReader(4)
    assert not reader.waits()
    reader.feed(b"ab\r\nc")
    assert reader.waits()
    assert reader.next_line() == b"ab"
    assert reader.waits()
    assert reader.next_line() is None
    assert reader.waits()
    reader.feed(b"\r\n")
    assert reader.next_line() == b"c"
    assert not reader.waits()


def test_truth_between_pieces() -> None:
    """A reader is true while a piece waits behind lines that were all read."""
    reader = LineReader(LIMIT)
    reader.feed(b"NOOP\r\n")
    reader.feed(b"QU")
    assert reader.next_line() == b"NOOP"
    assert reader.waits()


def test_truth_in_a_long_line() -> None:
    """A line that is being thrown away is something left to read."""
    reader = LineReader(4)
    for _ in range(3):
        reader.feed(b"abcdef")
        assert reader.next_line() is None
        assert reader.waits()
    reader.feed(b"\r\n")
    assert reader.next_line() == b"abc"
    assert not reader.waits()
