"""Too much of anything, and anything anywhere: one defined answer, bounded memory, linear work.

It goes on where test_bounds.py stops, with its means: every octet at every position of a command
line; 64 MiB without the end that is waited for; single octets without an end; a mebibyte of what a
parser might read again and again. Work is compared in calls and in octets of memory taken, and
where a single call does it all, in the time of the processor beside that of a plain search.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import attrs
import pytest

from smtp821 import (
    NEED_DATA,
    RFC821,
    RFC821_LENIENT,
    Closed,
    Command,
    Dialect,
    Domain,
    DotDecoder,
    DotEncoder,
    Expn,
    Helo,
    Limits,
    LocalProtocolError,
    Mailbox,
    Noop,
    Path,
    Policy,
    Receiver,
    Rejected,
    RemoteProtocolError,
    Reply,
    State,
    Verb,
)
from smtp821.testing.pair import pull

from .driving import EVERYTHING, codes, exchange, receiver_in, sender_in
from .test_bounds import (
    KIB,
    LINE,
    MIB,
    PLACES,
    READ,
    Feed,
    calls,
    in_octets,
    peak,
    to_receiver,
    waiting_sender,
)
from .walks import LINES

Count = Callable[[str, int], None]

HEADS: Final = KIB  # what Python itself takes for a few objects, whatever their size
FLOOD: Final = 64 * MIB

# Every octet, everywhere in a line.

STATES: Final = {Verb.HELO: State.INITIAL, Verb.RCPT: State.MAIL, Verb.DATA: State.RCPT}
COMMAND_LINES: Final = {verb: line for verb, line in LINES.items() if verb is not Verb.END_OF_DATA}
OFFERING: Final = {"strict": EVERYTHING, "lenient": RFC821_LENIENT.offering(Verb)}


def variations(line: bytes) -> list[bytes]:
    """A line with each octet in each place: in front of what is there, and instead of it."""
    found = []
    for at in range(len(line)):
        for octet in range(256):
            put = bytes([octet])
            found += [line[:at] + put + line[at:], line[:at] + put + line[at + 1 :]]
    return found


def refuse(receiver: Receiver) -> None:
    """Refuse any command, so that all stays as it is: each has 500 in its row (4.3)."""
    receiver.reply(500)


@pytest.mark.parametrize("name", OFFERING)
@pytest.mark.parametrize("verb", COMMAND_LINES)
def test_every_octet_at_every_position(verb: Verb, name: str, deep: bool, count: Count) -> None:
    """4.1.2, 4.2: whatever has become of the line, each CRLF makes one event and one reply.

    The command is what it was written, or it is refused with 500, 501, 502 or 503.
    """
    dialect = OFFERING[name]
    receiver = receiver_in(STATES.get(verb, State.READY), dialect)
    before = receiver.state, receiver.envelope
    sample = 1 if deep or name == "strict" else 5
    for line in variations(LINES[verb])[::sample]:
        receiver.receive_data(line + b"\r\n")
        events = pull(receiver, refuse)
        ended = (line + b"\r\n").split(b"\r\n")[:-1]
        answers = codes(receiver.data_to_send())
        assert len(events) == len(answers) == len(ended)
        for event, text, code in zip(events, ended, answers, strict=True):
            if isinstance(event, Rejected):
                assert (event.line, event.reply.code) == (text, code)
                assert code in (500, 501, 502, 503)
            else:
                assert isinstance(event, Command)
                assert text[:4].upper().decode() == event.verb
                assert is_said(str(event)[4:], text[4:], lenient=name == "lenient")
        assert (receiver.state, receiver.envelope) == before
        count(f"lines with an octet put in or replaced, {name}", 1)


def is_said(argument: str, text: bytes, *, lenient: bool) -> bool:
    """Whether an argument is that of a line, but for case, blanks, and (lenient) brackets."""
    said, plain = text.decode("latin-1").strip(" \t").upper(), argument.strip().upper()
    if lenient and plain != said:
        said, plain = (re.sub(r"[<> \t]", "", one) for one in (said, plain))
        return said.startswith(plain)  # NOOP takes anything, which means nothing (AMB-07)
    return plain == said


# 64 MiB, and no end.

every_dialect = pytest.mark.parametrize(
    "dialect", [RFC821, RFC821_LENIENT], ids=lambda dialect: dialect.name
)


def flood(feed: Feed, filling: bytes) -> int:
    """How much memory 64 MiB take in fresh reads of 64 KiB, the read itself included."""
    pattern = bytearray(filling * (READ // len(filling)))

    def work() -> None:
        for _ in range(FLOOD // READ):
            feed(bytes(pattern))

    return peak(work)


@pytest.mark.parametrize("filling", [b"x", b"\r", b"\n", b".", b"\\", b"@a,", b"\x80"])
@every_dialect
def test_a_command_without_end(dialect: Dialect, filling: bytes) -> None:
    """4.5.3: memory for a line, the read and 64 KiB; one 500, once its end has come."""
    receiver, limit = receiver_in(State.READY, dialect), dialect.limits.command_line
    assert flood(to_receiver(receiver), filling) <= limit + READ + 64 * KIB + HEADS
    receiver.receive_data(b"x\r\nNOOP\r\n")
    rejected, noop = pull(receiver)
    assert isinstance(rejected, Rejected)
    assert rejected.line == (filling * limit)[: limit - 1]
    assert noop == Noop()
    assert receiver.data_to_send() == b"500 Line too long\r\n250 OK\r\n"


def test_a_command_without_end_at_the_end_of_file() -> None:
    """4.1.1: a line that the end of file cuts off is none: no reply, and the session is over."""
    receiver = receiver_in(State.READY)
    flood(to_receiver(receiver), b"x")
    assert exchange(receiver, b"") == ([Closed()], b"")


@pytest.mark.parametrize(
    ("filling", "strict", "lenient"),
    [
        (b"x", b"250 OK", b"250 OK"),
        (b".", b"250 OK", b"250 OK"),
        (b"\r", b"250 OK", b"554 Mail data has a CR or LF that is no CRLF"),
        (b"\n", b"250 OK", b"554 Mail data has a CR or LF that is no CRLF"),
        (b"\n.", b"250 OK", b"554 Mail data has a CR or LF that is no CRLF"),
        (b"\x80", b"554 Mail data has octets over 127", b"250 OK"),
    ],
)
@every_dialect
def test_mail_data_without_line_ends(
    filling: bytes, strict: bytes, lenient: bytes, dialect: Dialect
) -> None:
    """4.5.2: three times one read, as docs/design.md has it, and one answer behind the end."""
    receiver = receiver_in(State.DATA, dialect)
    assert flood(to_receiver(receiver), filling) <= 3 * READ + HEADS
    _, output = exchange(receiver, b"x\r\n.\r\nNOOP\r\n")
    answer = strict if dialect is RFC821 else lenient
    assert output == answer + b"\r\n250 OK\r\n"


@pytest.mark.parametrize("filling", [b"x", b"\r", b"\n", b".", b"-", b"\x80"])
def test_a_reply_line_without_end(filling: bytes) -> None:
    """4.5.3: memory as for a command; it is an error, once its end has come, and no reply."""
    sender = waiting_sender()

    def feed(data: bytes) -> None:
        sender.receive_data(data)
        assert sender.next_event() is NEED_DATA

    assert flood(feed, filling) <= LINE + READ + 64 * KIB + HEADS
    sender.receive_data(b"x\r\n250 OK\r\n")
    for _ in range(2):
        with pytest.raises(RemoteProtocolError, match="a reply line of over 512 octets"):
            sender.next_event()
    assert sender.state is State.CLOSED


def test_a_reply_line_without_end_at_the_end_of_file() -> None:
    """4.1.1: the command is not answered then."""
    sender = waiting_sender()
    for _ in range(FLOOD // READ):
        sender.receive_data(b"x" * READ)
        assert sender.next_event() is NEED_DATA
    sender.receive_data(b"")
    assert sender.next_event() == Closed(Verb.CONNECT)


@pytest.mark.parametrize("line", [b"250-\r\n", b"250-x\r\n", b"250-" + b"x" * 506 + b"\r\n"])
def test_a_reply_without_end(line: bytes) -> None:
    """Appendix E: memory for the lines of a reply, the read and 64 KiB; then it is an error."""
    limits = RFC821.limits
    sender = sender_in(State.READY)
    sender.send(Noop())
    errors: list[str] = []

    def feed(data: bytes) -> None:
        sender.receive_data(data)
        if not errors:
            try:
                assert sender.next_event() is NEED_DATA
            except RemoteProtocolError as error:
                errors.append(str(error))

    per_line = limits.reply_line + 64  # a str has a head, and a place in a list
    bound = limits.reply_lines * per_line + READ + 64 * KIB + HEADS
    assert flood(feed, line) <= bound
    assert errors == ["a reply of over 1024 lines"]
    assert sender.state is State.CLOSED


# Octet by octet.

OCTETS: Final = {"command": b"x", "mail data": b"\r\n.", "lenient mail data": b"a", "reply": b"\r"}


@pytest.mark.parametrize("place", OCTETS)
def test_octet_by_octet(place: str, deep: bool) -> None:
    """4.5.3: 4 MiB in single octets, or 256 KiB: the last thousand cost what the first did."""
    in_octets(place, OCTETS[place], 4 * MIB if deep else 256 * KIB)


# A mebibyte of what could be read again and again.

FILLINGS: Final = (b"\r", b"\n", b".", b"\r\n.", b"\\", b"@a,")
LARGE: Final = attrs.evolve(
    RFC821,
    name="anything goes",
    limits=Limits(command_line=2 * MIB, reply_line=2 * MIB, path=2 * MIB, text_line=None),
    line_feeds=Policy.PASS,
)


def filled(filling: bytes, size: int) -> bytes:
    """So much of it."""
    return (filling * (size // len(filling) + 1))[:size]


def reads(make: Callable[[], Feed], stream: bytes) -> Callable[[], None]:
    """Make something, and feed it a stream in reads of 4 KiB."""

    def work() -> None:
        feed = make()
        for at in range(0, len(stream), 4 * KIB):
            feed(stream[at : at + 4 * KIB])

    return work


def to_any_sender() -> Feed:
    """One read into a sender that waits for a reply, as long as there is any sense in it."""
    sender = waiting_sender()

    def feed(data: bytes) -> None:
        sender.receive_data(data)
        with contextlib.suppress(RemoteProtocolError):
            sender.next_event()

    return feed


def out_of_a_sender() -> Feed:
    """A chunk of a message, out of a sender that lets all pass."""
    sender = sender_in(State.DATA, LARGE)

    def feed(data: bytes) -> None:
        sender.send_data(data)
        sender.data_to_send()

    return feed


FLOODED: Final[dict[str, Callable[[], Feed]]] = {
    **{name: make for name, make in PLACES.items() if name != "reply"},
    "reply": to_any_sender,
    "message sent": out_of_a_sender,
}


@pytest.mark.parametrize("filling", FILLINGS)
@pytest.mark.parametrize("place", FLOODED)
def test_a_mebibyte_in_reads(place: str, filling: bytes, deep: bool) -> None:
    """4.5.3: twice the input makes twice the calls, and takes no more memory; or of 32 KiB."""
    size = MIB if deep else 32 * KIB
    half, whole = (reads(FLOODED[place], filled(filling, size // part)) for part in (2, 1))
    assert calls(whole) <= 2.1 * calls(half) + 100
    assert peak(whole) <= peak(half) + 8 * KIB


def as_a_line(filling: bytes, size: int) -> Callable[[], object]:
    """A command line of that size, for a receiver that has no bound."""
    line = b"RCPT TO:<a" + filled(filling, size) + b"\r\n"

    def work() -> None:
        receiver = receiver_in(State.MAIL, LARGE)
        receiver.receive_data(line)
        pull(receiver)

    return work


def as_a_reply(filling: bytes, size: int) -> Callable[[], object]:
    """A reply line of that size, for a sender that has no bound."""
    line = b"551 <a" + filled(filling, size) + b"\r\n"

    def work() -> None:
        sender = sender_in(State.MAIL, LARGE)
        sender.send(Expn("x"))
        sender.receive_data(line)
        try:
            event: Any = sender.next_event()
            assert event.reply.forward_path is None
        except RemoteProtocolError:
            assert sender.state is State.CLOSED

    return work


def as_a_value(make: Callable[[str], object], form: str = "{}") -> Any:
    """A text of that size, for what a program makes of it."""

    def prepare(filling: bytes, size: int) -> Callable[[], object]:
        text = form.format(filled(filling, size).decode())

        def work() -> None:
            try:
                make(text)
            except LocalProtocolError:
                return

        return work

    return prepare


def as_data(make: Callable[[bytes], object]) -> Any:
    """Mail data of that size, at once."""
    return lambda filling, size: partial(make, filled(filling, size))


def convert(data: bytes) -> None:
    """Encode it with the care of the strict dialect."""
    try:
        DotEncoder(Policy.CONVERT, Policy.REFUSE, 1000).encode(data)
    except LocalProtocolError:
        return


PARSED: Final[dict[str, Callable[[bytes, int], Callable[[], object]]]] = {
    "a command line": as_a_line,
    "a reply line": as_a_reply,
    "a domain": as_a_value(Domain),
    "HELO": as_a_value(Helo, "a{}"),
    "a mailbox": as_a_value(Mailbox, "a{}@b"),
    "a quoted mailbox": as_a_value(Mailbox, '"{}"@b'),
    "a path": as_a_value(Path, "<@a,{}@a:b@c>"),
    "the parts of a path": as_a_value(lambda text: Path(text).route, "<@a,{}@a:b@c>"),
    "a text for a reply": as_a_value(lambda text: Reply(250, text).to_bytes(Limits())),
    "a path in a reply": as_a_value(lambda text: Reply(551, text).forward_path, "<{}"),
    "decoding": as_data(lambda data: DotDecoder().decode(data)),
    "encoding": as_data(lambda data: DotEncoder(Policy.PASS, Policy.PASS, None).encode(data)),
    "converting": as_data(convert),
}


def processor_time(work: Callable[[], object]) -> float:
    """The time of the processor for a piece of work, at its best of three."""
    times = []
    for _ in range(3):
        before = time.thread_time()
        work()
        times.append(time.thread_time() - before)
    return min(times)


@pytest.mark.parametrize("filling", FILLINGS)
@pytest.mark.parametrize("what", PARSED)
def test_a_mebibyte_at_once(what: str, filling: bytes, deep: bool) -> None:
    """4.1.2: four times the text takes about four times as long, where sixteen were quadratic.

    The ordinary run compares 16 and 64 KiB. What takes no longer than a plain search through the
    smaller text is too quick to be compared.
    """
    size = MIB if deep else 64 * KIB
    small, large = PARSED[what](filling, size // 4), PARSED[what](filling, size)
    pattern, text = re.compile(r"(?:[^x]|y)*+"), "a" * (size // 4)
    plain = processor_time(lambda: pattern.fullmatch(text))
    assert processor_time(large) <= 8 * max(processor_time(small), plain)
