"""Transparency (4.5.2), in both directions and in any cut."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp821 import DotDecoder, DotEncoder, LocalProtocolError, Policy
from smtp821.protocol.dots import bare_newline, eight_bit

PASS, REFUSE, CONVERT = Policy.PASS, Policy.REFUSE, Policy.CONVERT
SHORT: Final = [
    bytes(octets) for size in range(7) for octets in itertools.product(b"\r\n.a", repeat=size)
]
BEHIND: Final = b"NOOP\r\n"


# 4.5.2 once more, as slow and plain as it can be said: by lines, which end in CRLF only.


def plain_encode(message: bytes) -> bytes:
    """Each line with its dot doubled, then the line with the single dot."""
    *lines, last = message.split(b"\r\n")
    if last:
        lines.append(last)
    stuffed = [b"." + line if line.startswith(b".") else line for line in lines]
    return b"\r\n".join([*stuffed, b".", b""])


def plain_decode(wire: bytes) -> tuple[bytes, bytes]:
    """The message up to the line with the single dot, and what is behind that line."""
    message = b""
    while True:
        line, _, wire = wire.partition(b"\r\n")
        if line == b".":
            return message, wire
        message += line.removeprefix(b".") + b"\r\n"


def plain_convert(message: bytes) -> bytes | None:
    """The message with each LF that stands alone made CRLF; None where a CR stands alone."""
    parts = message.split(b"\r\n")
    if any(b"\r" in part for part in parts):
        return None
    return b"\r\n".join(part.replace(b"\n", b"\r\n") for part in parts)


# The encoder and the decoder, fed in pieces.


def cuts(data: bytes) -> Iterator[list[bytes]]:
    """The data whole, octet by octet, and cut once at every place."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    for at in range(1, len(data)):
        yield [data[:at], data[at:]]


def encode(
    pieces: Iterable[bytes],
    line_feeds: Policy = PASS,
    eight: Policy = PASS,
    text_line: int | None = None,
) -> bytes | None:
    """The pieces as they go over the channel; None where they are refused."""
    encoder = DotEncoder(line_feeds, eight, text_line)
    try:
        return b"".join([*map(encoder.encode, pieces), encoder.end()])
    except LocalProtocolError:
        return None


def decode(pieces: list[bytes]) -> tuple[list[bytes], bytes]:
    """The chunks of the message, none of them empty, and what came behind its end."""
    decoder = DotDecoder()
    chunks = []
    for index, piece in enumerate(pieces):
        chunks.append(decoder.decode(piece))
        if decoder.rest is not None:
            return list(filter(None, chunks)), b"".join((decoder.rest, *pieces[index + 1 :]))
    raise AssertionError("the mail data did not end")


def state(encoder: DotEncoder) -> list[object]:
    """All that an encoder knows."""
    return [getattr(encoder, name) for name in DotEncoder.__slots__]


# Receiving.


@pytest.mark.clause("4.5.2-02", "4.5.2-03", "G-01")
@pytest.mark.parametrize(
    ("wire", "message"),
    [
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\r\n"),
        (b"a\r\n.\r\n", b"a\r\n"),
        (b"..\r\n.\r\n", b".\r\n"),
        (b".a\r\n.\r\n", b"a\r\n"),
        (b"...\r\n.\r\n", b"..\r\n"),
        (b"a\r\n..b\r\n.\r\n", b"a\r\n.b\r\n"),
        (b"a\r\n.b\r\n.\r\n", b"a\r\nb\r\n"),
        (b"a.b.\r\n.\r\n", b"a.b.\r\n"),
        (b"..\r\n..\r\n..\r\n.\r\n", b".\r\n.\r\n.\r\n"),
        # CR or LF alone end no line, and no mail data (AMB-36)
        (b"a\n.\n.\r\n.\r\n", b"a\n.\n.\r\n"),
        (b"a\r.\r.\r\n.\r\n", b"a\r.\r.\r\n"),
        (b"a\n.\r\n.\r\n", b"a\n.\r\n"),
        (b"a\r\n.\n.\r\n.\r\n", b"a\r\n\n.\r\n"),
        (b"a\r\n.\r.\r\n.\r\n", b"a\r\n\r.\r\n"),
        (b"a\r\r\n.\r\n", b"a\r\r\n"),
        (b"a\r\n.\r\r\n.\r\n", b"a\r\n\r\r\n"),
        (b"a\r\n\r.\r\n.\r\n", b"a\r\n\r.\r\n"),
        (b".\r\r\n.\r\n", b"\r\r\n"),
        (b".\n\r\n.\r\n", b"\n\r\n"),
        # other octets mean nothing (4.5.2: "all the 128 ASCII character codes")
        (b"\0\x1a\x7f\x80\xff\r\n..\xff\r\n.\r\n", b"\0\x1a\x7f\x80\xff\r\n.\xff\r\n"),
        (b". \r\n.\r\n", b" \r\n"),
    ],
)
def test_decode(wire: bytes, message: bytes) -> None:
    """4.5.2: a line's first dot is taken away; a line of one dot alone is the end."""
    for pieces in cuts(wire + BEHIND):
        chunks, rest = decode(pieces)
        assert (b"".join(chunks), rest) == (message, BEHIND)


def test_decode_every_short_input() -> None:
    """4.5.2: all inputs of up to six octets CR, LF, dot and "a", in every cut."""
    for octets in SHORT:
        wire = octets + b"\r\n.\r\n" + BEHIND
        expected = plain_decode(wire)
        for pieces in cuts(wire):
            chunks, rest = decode(pieces)
            assert (b"".join(chunks), rest) == expected, pieces
            assert not any(
                one.endswith(b"\r") and other.startswith(b"\n")
                for one, other in itertools.pairwise(chunks)
            ), pieces


def test_decode_keeps_back_little() -> None:
    """4.5.2: all is given at once, but for what may begin the end."""
    for octets in SHORT:
        decoder = DotDecoder()
        given_at_once = decoder.decode(b"a" + octets)
        if decoder.rest is None:
            begun = [size for size in (1, 2, 3, 4) if octets.endswith(b"\r\n.\r\n"[:size])]
            kept = decoder.decode(b"x\r\n.\r\n").removesuffix(b"x\r\n")
            assert given_at_once + kept == plain_decode(b"a" + octets + b"x\r\n.\r\n")[0][:-3]
            assert len(kept) <= max(begun, default=0)


def test_decode_gives_what_cannot_begin_the_end() -> None:
    """4.5.2: data that ends in no part of the end is given whole."""
    decoder = DotDecoder()
    for data in (b"abc", b"\n", b".", b"a\r\nb", b".\r\n.b"):
        assert decoder.decode(data) == data.replace(b"\n.b", b"\nb")


def test_decode_the_first_end() -> None:
    """4.5.2: the end is the first there is, whatever what follows looks like."""
    decoder = DotDecoder()
    assert decoder.decode(b"a\r\n.\r\nMAIL\r\n.\r\n") == b"a\r\n"
    assert decoder.rest == b"MAIL\r\n.\r\n"


def test_decode_nothing() -> None:
    """Nothing comes of nothing, before the message and in it."""
    decoder = DotDecoder()
    assert decoder.decode(b"") == b""
    assert decoder.decode(b"a\r") == b"a"
    assert decoder.decode(b"") == b""
    assert decoder.decode(b"\n.\r\n") == b"\r\n"
    assert decoder.rest == b""


def test_decode_is_done_at_once() -> None:
    """The end is known with its last octet, not later."""
    decoder = DotDecoder()
    for octet in b"a\r\n.\r":
        decoder.decode(bytes([octet]))
        assert decoder.rest is None
    assert decoder.decode(b"\n") == b"\r\n"
    assert decoder.rest == b""


# Sending.


@pytest.mark.clause("4.5.2-01", "AMB-37", "AMB-38")
@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (b"", b".\r\n"),
        (b"\r\n", b"\r\n.\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b"a\r\n", b"a\r\n.\r\n"),
        (b".", b"..\r\n.\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b"..", b"...\r\n.\r\n"),
        (b"a\r\n.\r\nb", b"a\r\n..\r\nb\r\n.\r\n"),
        (b"a\r\n.b\r\n..c\r\n", b"a\r\n..b\r\n...c\r\n.\r\n"),
        (b"a.\r\nb.c\r\n", b"a.\r\nb.c\r\n.\r\n"),
        (b".\r\n.\r\n.", b"..\r\n..\r\n..\r\n.\r\n"),
        (b"\0\x7f", b"\0\x7f\r\n.\r\n"),
    ],
)
@pytest.mark.parametrize("line_feeds", Policy)
def test_encode(message: bytes, wire: bytes, line_feeds: Policy) -> None:
    """4.5.2, AMB-37, AMB-38: a line's first dot is doubled; a last CRLF is added if missing."""
    for pieces in cuts(message):
        assert encode(pieces, line_feeds) == wire


@pytest.mark.clause("AMB-36")
@pytest.mark.parametrize(
    ("message", "passed", "converted"),
    [
        (b"a\nb", b"a\nb\r\n.\r\n", b"a\r\nb\r\n.\r\n"),
        (b"a\n", b"a\n\r\n.\r\n", b"a\r\n.\r\n"),
        (b"\n", b"\n\r\n.\r\n", b"\r\n.\r\n"),
        (b"\n.\n", b"\n.\n\r\n.\r\n", b"\r\n..\r\n.\r\n"),
        (b"a\n.\r\nb", b"a\n.\r\nb\r\n.\r\n", b"a\r\n..\r\nb\r\n.\r\n"),
        (b"a\r\n\n.", b"a\r\n\n.\r\n.\r\n", b"a\r\n\r\n..\r\n.\r\n"),
        (b"a\rb", b"a\rb\r\n.\r\n", None),
        (b"a\r", b"a\r\r\n.\r\n", None),
        (b"\r", b"\r\r\n.\r\n", None),
        (b"\r.", b"\r.\r\n.\r\n", None),
        (b"a\r\r\n.", b"a\r\r\n..\r\n.\r\n", None),
        (b"a\n\r.\r\n", b"a\n\r.\r\n.\r\n", None),
        (b"a\n\rb", b"a\n\rb\r\n.\r\n", None),
    ],
)
def test_encode_bare_newlines(message: bytes, passed: bytes, converted: bytes | None) -> None:
    """AMB-36: a CR or LF alone passes, is refused, or (LF) is made CRLF, as the policy says."""
    for pieces in cuts(message):
        assert encode(pieces, PASS) == passed
        assert encode(pieces, REFUSE) is None
        assert encode(pieces, CONVERT) == converted


@pytest.mark.clause("4.5.2-01")
def test_encode_every_short_message() -> None:
    """4.5.2: all messages of up to six octets CR, LF, dot and "a", in every cut and policy."""
    for message in SHORT:
        converted = plain_convert(message)
        expected = {
            PASS: plain_encode(message),
            REFUSE: plain_encode(message) if converted == message else None,
            CONVERT: None if converted is None else plain_encode(converted),
        }
        for pieces in cuts(message):
            for line_feeds, wire in expected.items():
                assert encode(pieces, line_feeds) == wire, (line_feeds, pieces)


@pytest.mark.clause("4.1.1.DATA-02", "4.5.2-05", "4.5.2-06", "A-03", "AMB-39")
@pytest.mark.parametrize("line_feeds", Policy)
def test_encode_eight_bit(line_feeds: Policy) -> None:
    """4.5.2, AMB-39: octets over 127 pass or are refused, and are never changed."""
    for octet in range(256):
        message = b"a." + bytes([octet]) + b"\r\n" if octet not in b"\r\n" else b""
        for pieces in cuts(message):
            assert encode(pieces, line_feeds, PASS) == message + b".\r\n"
            expected = message + b".\r\n" if octet < 128 else None
            assert encode(pieces, line_feeds, REFUSE) == expected


# The longest line (4.5.3).

DOTTED: Final = [b"", b"."]


@pytest.mark.clause("4.5.3-14")
@pytest.mark.parametrize("line_feeds", Policy)
@pytest.mark.parametrize("before", [b"", b"a\r\n", b".\r\n", b"a" * 998 + b"\r\n"])
@pytest.mark.parametrize("dot", DOTTED)
@pytest.mark.parametrize("end", [b"", b"\r\n", b"\r\nb\r\n"])
def test_text_line(dot: bytes, before: bytes, end: bytes, line_feeds: Policy) -> None:
    """4.5.3, AMB-44: 1000 octets with CRLF are a line, the doubled dot not counted."""
    line = dot + b"a" * (998 - len(dot))
    tail = end or b"\r\n"
    for message, expected in (
        (before + line + end, plain_encode(before)[:-3] + dot + line + tail + b".\r\n"),
        (before + line + b"a" + end, None),
    ):
        for size in (1, 7, 499, 997, 998, 999, 1000, 1001, 5000):
            pieces = [message[at : at + size] for at in range(0, len(message), size)]
            assert encode(pieces, line_feeds, PASS, 1000) == expected


@pytest.mark.clause("AMB-44")
def test_text_line_on_the_wire() -> None:
    """4.5.3, AMB-44: with its doubled dot the longest line has 1001 octets."""
    wire = encode([b"." + b"a" * 997 + b"\r\n"], text_line=1000)
    assert wire == b".." + b"a" * 997 + b"\r\n.\r\n"
    assert wire.index(b"\n") + 1 == 1001


def test_text_line_of_every_short_message() -> None:
    """4.5.3: with a limit of four octets, all short messages in every cut and policy."""
    for message in SHORT:
        converted = plain_convert(message)
        expected = {
            PASS: message,
            REFUSE: message if converted == message else None,
            CONVERT: converted,
        }
        for line_feeds, sent in expected.items():
            wire = None
            if sent is not None and max(map(len, sent.split(b"\r\n"))) <= 2:
                wire = plain_encode(sent)
            for pieces in cuts(message):
                assert encode(pieces, line_feeds, PASS, 4) == wire, (line_feeds, pieces)


def test_no_limit_of_text_lines() -> None:
    """4.5.3: without a limit a line of a million octets goes through."""
    line = b"a" * 1_000_000
    assert encode([line, line]) == line + line + b"\r\n.\r\n"


def test_many_lines_in_one_chunk() -> None:
    """4.5.3: short lines and a long one among them are told apart, however many there are."""
    lines = b"".join(b"a" * size + b"\r\n" for size in range(999))
    assert encode([lines], text_line=1000) == lines + b".\r\n"
    for at in (0, 10, 500, 998):
        longer = lines.replace(b"\n" + b"a" * at + b"\r", b"\n" + b"a" * 999 + b"\r", 1)
        longer = longer if at else b"a" * 999 + lines
        assert encode([longer], text_line=1000) is None


# What is refused.

REFUSED: Final[list[tuple[bytes, Policy, bytes, str]]] = [
    # what went before, policy, what is refused, what the error says
    (b"ab\r\n", REFUSE, b"c\nd", "a CR or LF that is no part of a CRLF, at about offset 5"),
    (b"ab\r\n", REFUSE, b"c\rd", "a CR or LF that is no part of a CRLF, at about offset 5"),
    (b"ab\r", REFUSE, b".c", "a CR or LF that is no part of a CRLF, at about offset 2"),
    (b"ab\r", CONVERT, b".c", "a CR without its LF, at about offset 2"),
    (b"ab\r\n", CONVERT, b"c\rd\re", "a CR without its LF, at about offset 5"),
    (b"ab\r\n", CONVERT, b"\rc", "a CR without its LF, at about offset 4"),
    (b"ab\r", CONVERT, b"\n\r\r", "a CR without its LF, at about offset 3"),
    (b"ab", PASS, b"c\xff", r"an octet with its high bit set \(4.5.2\), at about offset 3"),
    (b"", PASS, b"\x80", r"an octet with its high bit set \(4.5.2\), at about offset 0"),
    (b"ab\r", PASS, b"\n\x80", r"an octet with its high bit set \(4.5.2\), at about offset 4"),
    (b"ab\r\n", PASS, b"c" * 999, r"a line of over 1000 octets \(4.5.3\), at about offset 4"),
    (b"ab", PASS, b"c" * 997, r"a line of over 1000 octets \(4.5.3\), at about offset 2"),
    (
        b"ab\r",
        PASS,
        b"\n" + b"c" * 999 + b"\r",
        r"a line of over 1000 octets \(4.5.3\), at about offset 4",
    ),
]


@pytest.mark.parametrize(("before", "policy", "refused", "message"), REFUSED)
def test_refused_chunk_changes_nothing(
    before: bytes, policy: Policy, refused: bytes, message: str
) -> None:
    """A refused chunk is as if it had never been given, and another may take its place."""
    encoder = DotEncoder(policy, REFUSE, 1000)
    sent = encoder.encode(before)
    known = state(encoder)
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match=f"^mail data has {message}$"):
            encoder.encode(refused)
        assert state(encoder) == known
    good = b"\n.x\r\n.y" if before.endswith(b"\r") else b".x\r\n.y"
    sent += encoder.encode(good) + encoder.end()
    assert sent == plain_encode(before + good)


def test_offset_behind_many_chunks() -> None:
    """The error counts from the beginning of the message, in octets as they were given."""
    encoder = DotEncoder(REFUSE, REFUSE, 1000)
    for _ in range(3):
        encoder.encode(b".ab\r\n")
    with pytest.raises(LocalProtocolError) as caught:
        encoder.encode(b"c\xff")
    assert str(caught.value).endswith(", at about offset 16")


def test_refused_end_changes_nothing() -> None:
    """AMB-36: a last CR that must not be sent is refused; its LF may still come."""
    for policy in (REFUSE, CONVERT):
        encoder = DotEncoder(policy, REFUSE, 1000)
        sent = encoder.encode(b"ab\r")
        with pytest.raises(
            LocalProtocolError, match=r"^the mail data ends in a CR without its LF$"
        ):
            encoder.end()
        assert sent + encoder.encode(b"\n") + encoder.end() == b"ab\r\n.\r\n"


def test_last_cr_counts() -> None:
    """4.5.3: a last CR that passes is an octet of its line."""
    encoder = DotEncoder(PASS, REFUSE, 1000)
    assert encoder.encode(b"a" * 998 + b"\r") == b"a" * 998
    with pytest.raises(LocalProtocolError, match=r"a line of over 1000 octets"):
        encoder.end()
    assert encoder.encode(b"\n") + encoder.end() == b"\r\n.\r\n"
    assert encode([b"a" * 997 + b"\r"], text_line=1000) == b"a" * 997 + b"\r\r\n.\r\n"


# What the policies look for.


def test_bare_newline() -> None:
    """AMB-36: the first CR without LF, or LF without CR, if there is any."""
    for data in SHORT:
        bare = [
            at
            for at, octet in enumerate(data)
            if (octet == 13 and data[at + 1 : at + 2] != b"\n")
            or (octet == 10 and (at == 0 or data[at - 1] != 13))
        ]
        assert bare_newline(data) == (bare[0] if bare else -1)


def test_eight_bit() -> None:
    """AMB-39: the first octet with its high bit set, if there is any."""
    assert eight_bit(bytes(range(128))) == -1
    assert eight_bit(b"") == -1
    for octet in range(128, 256):
        assert eight_bit(b"ab" + bytes([octet]) + b"\xff") == 2


def test_policies() -> None:
    """The policies are known by their words."""
    assert [str(policy) for policy in Policy] == ["pass", "refuse", "convert"]
    assert Policy("convert") is CONVERT


# Properties.

ITEMS: Final = st.sampled_from([b"\r\n", b"\r\n.", b"\r", b"\n", b".", b"..", b"a", b"\0", b"\xff"])
MESSAGES: Final = st.one_of(st.lists(ITEMS, max_size=30).map(b"".join), st.binary())
SIZES: Final = st.lists(st.integers(0, 8), max_size=30)


def pieces_of(data: bytes, sizes: list[int]) -> list[bytes]:
    """The data in pieces of these sizes, some of them empty, and the rest."""
    ends = [0, *itertools.accumulate(sizes)]
    return [data[one:other] for one, other in itertools.pairwise(ends)] + [data[ends[-1] :]]


@pytest.mark.clause("4.5.2-04")
@given(MESSAGES, SIZES, SIZES)
def test_round_trip(message: bytes, sending: list[int], receiving: list[int]) -> None:
    """4.5.2: what is sent is what is received, in any cut at either side."""
    wire = encode(pieces_of(message, sending))
    assert wire == plain_encode(message)
    chunks, rest = decode(pieces_of(wire + BEHIND, receiving))
    ended = not message or message.endswith(b"\r\n")
    assert b"".join(chunks) == (message if ended else message + b"\r\n")
    assert rest == BEHIND


@given(MESSAGES, SIZES, st.sampled_from(Policy), st.sampled_from([PASS, REFUSE]))
def test_no_cut_matters_to_the_encoder(
    message: bytes, sizes: list[int], line_feeds: Policy, eight: Policy
) -> None:
    """4.5.2: any cut gives the same octets, or is refused as well."""
    whole = encode([message], line_feeds, eight, 8)
    assert encode(pieces_of(message, sizes), line_feeds, eight, 8) == whole


@pytest.mark.clause("3.1-12")
@given(MESSAGES, st.sampled_from(Policy))
def test_what_is_sent_ends_once(message: bytes, line_feeds: Policy) -> None:
    """4.5.2: whatever is sent, its only line of a single dot is the last one."""
    wire = encode([message], line_feeds)
    if wire is not None:
        lines = wire.split(b"\r\n")
        assert lines.index(b".") == len(lines) - 2
        assert lines[-1] == b""


@given(MESSAGES, SIZES)
def test_no_cut_matters_to_the_decoder(wire: bytes, sizes: list[int]) -> None:
    """4.5.2: any cut gives the same message and leaves the same octets behind it."""
    whole = wire + b"\r\n.\r\n" + BEHIND
    chunks, rest = decode(pieces_of(whole, sizes))
    assert (b"".join(chunks), rest) == plain_decode(whole)


@pytest.mark.parametrize("unit", [b"\r\n.", b"\r\n..", b"\r", b"\r\n", b".", b"a", b"\r\n.\r"])
def test_hostile_data(unit: bytes) -> None:
    """4.5.2: a megabyte of beginnings of the end is read through, whole and by the kilobyte."""
    wire = unit * (1_000_000 // len(unit))
    message = encode([wire])
    assert message is not None
    for size in (len(message), 1000):
        chunks, rest = decode([message[at : at + size] for at in range(0, len(message), size)])
        assert b"".join(chunks).removesuffix(b"\r\n") == wire.removesuffix(b"\r\n")
        assert rest == b""
