"""Bounded memory and linear time, whatever a peer sends and however it arrives.

Nothing here looks at a clock. Work is counted in function calls, and in octets of memory taken
while it is done: if both stay in step with the input, no octet is copied more than a bounded
number of times.
"""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable, Iterator
from types import FrameType

import attrs
import pytest

from smtp821 import (
    NEED_COMMAND,
    NEED_DATA,
    NEED_REPLY,
    RFC821,
    RFC821_LENIENT,
    Closed,
    Data,
    DotEncoder,
    EndOfData,
    Limits,
    MailData,
    Policy,
    Rcpt,
    Receiver,
    Rejected,
    Replied,
    Reply,
    Sender,
    State,
    Verb,
)
from smtp821.testing.pair import accept, pull

from .driving import HOST, exchange, receiver_in, sender_in

KIB = 1024
MIB = 1024 * KIB
READ = 64 * KIB
LINE = 512

UNLIMITED = attrs.evolve(RFC821, limits=Limits(recipients=None))


def calls(work: Callable[[], object]) -> int:
    """How many functions a piece of work calls, Python's own included."""
    count = 0

    def profile(_: FrameType, event: str, __: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def peak(work: Callable[[], object]) -> int:
    """How much memory a piece of work takes, at most, besides what there was before."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        work()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def taken(steps: Iterator[object]) -> int:
    """How much memory the steps of a piece of work take, each at most, all together."""
    total = 0
    tracemalloc.start()
    try:
        while True:
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            if next(steps, steps) is steps:
                return total
            total += tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


Feed = Callable[[bytes], object]


def to_receiver(receiver: Receiver) -> Feed:
    """One read into a receiver: every event is pulled and answered, and the output is sent."""

    def feed(data: bytes) -> None:
        receiver.receive_data(data)
        while (event := receiver.next_event()) is not NEED_DATA:
            if event is NEED_REPLY:
                accept(receiver)
        receiver.data_to_send()

    return feed


def to_sender(sender: Sender) -> Feed:
    """One read into a sender that waits for a reply, and goes on waiting."""

    def feed(data: bytes) -> None:
        sender.receive_data(data)
        assert sender.next_event() is NEED_DATA

    return feed


def waiting_sender() -> Sender:
    """A sender that waits for its greeting, of which the code has come."""
    sender = Sender()
    sender.receive_data(b"220 ")
    assert sender.next_event() is NEED_DATA
    return sender


PLACES: dict[str, Callable[[], Feed]] = {
    "command": lambda: to_receiver(receiver_in(State.READY)),
    "mail data": lambda: to_receiver(receiver_in(State.DATA)),
    "lenient command": lambda: to_receiver(receiver_in(State.READY, RFC821_LENIENT)),
    "lenient mail data": lambda: to_receiver(receiver_in(State.DATA, RFC821_LENIENT)),
    "reply": lambda: to_sender(waiting_sender()),
}

# --- single octets ------------------------------------------------------------------------------


def in_octets(place: str, filling: bytes, size: int = 64_000) -> None:
    """Feed so many reads of one octet; check that the last thousand cost what the first did."""
    feed = PLACES[place]()
    size -= size % 1000
    stream = (filling * size)[:size]  # never empty, which would be the end of file

    def some(start: int) -> None:
        for at in range(start, start + 1000):
            feed(stream[at : at + 1])

    some(0)
    early = calls(lambda: some(1000))
    for start in range(2000, size - 2000, 1000):
        some(start)
    assert calls(lambda: some(size - 2000)) <= early * 1.1
    assert peak(lambda: some(size - 1000)) < 8 * KIB


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("filling", [b"x", b"\r", b"\n."])
def test_a_line_without_end_in_single_octets(place: str, filling: bytes) -> None:
    """4.5.3: 64,000 reads of one octet cost the same at the end as at the beginning."""
    in_octets(place, filling)


@pytest.mark.parametrize("place", ["command", "mail data", "lenient mail data"])
@pytest.mark.parametrize("filling", [b"\r\n", b"\r\n..", b"NOOP\r\n", b"\r\n\r"])
def test_many_lines_in_single_octets(place: str, filling: bytes) -> None:
    """4.1.1, 4.5.2: and so do lines, be they commands, refused, or mail data with its dots."""
    in_octets(place, filling)


# --- no CRLF, for ever --------------------------------------------------------------------------


def flooding(feed: Feed, filling: bytes) -> int:
    """How much memory 16 MiB take in fresh reads of 64 KiB, the read itself included."""
    pattern = bytearray((filling * READ)[:READ])

    def work() -> None:
        for _ in range(16 * MIB // READ):
            feed(bytes(pattern))

    return peak(work)


@pytest.mark.clause("4.5.3-01")
def test_mail_data_without_line_ends_is_passed_on() -> None:
    """4.5.3-01: mail data has no limit of its own; it is passed on as it comes."""
    receiver, size = receiver_in(State.DATA), 0
    for _ in range(16 * MIB // READ):
        receiver.receive_data(b"x" * READ)
        event = receiver.next_event()
        assert isinstance(event, MailData)
        assert len(event.data) == READ
        assert receiver.next_event() is NEED_DATA
        size += len(event.data)
    events, output = exchange(receiver, b"\r\n.\r\n")
    assert output == b"250 OK\r\n"
    assert isinstance(events[-1], EndOfData)
    assert events[-1].size == size + 2 == 16 * MIB + 2


@pytest.mark.clause("AMB-45")
def test_too_much_mail_data_is_swallowed() -> None:
    """4.5.3, AMB-45: sixteen mebibytes over the limit cost nothing, and get one 552 at the end."""
    small = attrs.evolve(RFC821, limits=Limits(message=1000))
    receiver = receiver_in(State.DATA, small)
    assert exchange(receiver, b"x" * 2000) == ([MailData(b"x" * 1000)], b"")
    assert flooding(to_receiver(receiver), b"QUIT\r\n..") < LINE + 4 * READ + 8 * KIB
    events, output = exchange(receiver, b"\r\n.\r\nNOOP\r\n")
    assert output == b"552 Too much mail data\r\n250 OK\r\n"
    assert events[0] == Rejected(Reply(552, "Too much mail data"), Verb.END_OF_DATA, b"")


@pytest.mark.parametrize("filling", [b"x" * 76 + b"\r\n", b"..\r\n", b"\r\n", b".\r\r\n"])
def test_a_large_message_takes_no_memory(filling: bytes) -> None:
    """4.5.2: with all its dots, a message costs the reader of it a few reads, however large."""
    assert flooding(PLACES["mail data"](), filling) < LINE + 4 * READ + 8 * KIB


def test_a_large_message_is_sent_with_little_memory() -> None:
    """4.5.2: a sender keeps nothing of what it has given to be sent."""
    sender = sender_in(State.DATA)

    def feed(data: bytes) -> None:
        sender.send_data(data)
        sender.data_to_send()

    assert flooding(feed, b"..\r\n") < LINE + 5 * READ + 8 * KIB


# --- much at once, and late ---------------------------------------------------------------------

TRANSACTION = b"MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\n..\r\n.\r\n"
EMPTY = b"MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\n.\r\n"


def late(start: State, stream: bytes, size: int) -> Iterator[object]:
    """Feed a stream in pieces of a size, pull nothing before the end, then pull and answer."""
    receiver = receiver_in(start)
    for at in range(0, len(stream), size):
        receiver.receive_data(stream[at : at + size])
    yield receiver
    while (event := receiver.next_event()) is not NEED_DATA:
        if event is NEED_REPLY:
            accept(receiver)
        yield event


def exhaust(steps: Iterator[object]) -> Callable[[], object]:
    """All the steps as one piece of work."""
    return lambda: [None for _ in steps]


@pytest.mark.parametrize("size", [1, 4096])
@pytest.mark.parametrize(
    ("start", "unit"),
    [
        (State.READY, b"NOOP\r\n"),
        (State.READY, b"\r\n"),
        (State.READY, b"x" * 700 + b"\r\n"),
        (State.READY, TRANSACTION + EMPTY),
        (State.DATA, b"Hello\r\n"),
        (State.DATA, b"..\r\n"),
        (State.DATA, b"\r"),
    ],
)
def test_what_waits_to_be_pulled_costs_in_proportion(start: State, unit: bytes, size: int) -> None:
    """Pulling late is linear: twice the input makes twice the work."""
    half, whole = (unit * (count * KIB // len(unit)) for count in (12, 24))
    once, twice = (calls(exhaust(late(start, stream, size))) for stream in (half, whole))
    assert twice <= 2.1 * once + 100
    once, twice = (taken(late(start, stream, size)) for stream in (half, whole))
    assert twice <= 4.5 * once  # up to 64 KiB each octet may be copied with each message ...


def test_messages_that_wait_cost_in_proportion() -> None:
    """... but not beyond: what waits behind a message is not copied whole with each message."""
    unit = TRANSACTION + EMPTY + b"x" * 60 + b"\r\n"
    half, whole = (unit * (count * KIB // len(unit)) for count in (256, 512))
    once, twice = (taken(late(State.READY, stream, len(stream))) for stream in (half, whole))
    assert twice <= 2.5 * once
    events = list(late(State.READY, half, len(half)))
    assert sum(isinstance(event, EndOfData) for event in events) == 2 * half.count(unit)
    assert sum(isinstance(event, Rejected) for event in events) == half.count(unit)


@pytest.mark.parametrize("size", [1, 7, 512])
def test_a_reply_that_waits_costs_in_proportion(size: int) -> None:
    """The same for a reply of many lines, read when all of it is there."""

    def work(count: int) -> Callable[[], object]:
        stream = b"220-" + b"x" * 60 + b"\r\n"
        stream = stream * count + b"220 x\r\n"

        def read() -> None:
            sender = Sender()
            for at in range(0, len(stream), size):
                sender.receive_data(stream[at : at + size])
            assert isinstance(sender.next_event(), Replied)

        return read

    assert calls(work(1000)) <= 2.2 * calls(work(500)) + 100
    assert peak(work(1000)) <= 2.2 * peak(work(500)) + READ


# --- many recipients ----------------------------------------------------------------------------


@pytest.mark.clause("3.1-08")
def test_a_hundred_thousand_recipients_are_received() -> None:
    """4.5.3-01: with no limit on recipients, the last thousand cost what the first did."""
    receiver = receiver_in(State.MAIL, UNLIMITED)
    feed = to_receiver(receiver)

    def some(start: int) -> Iterator[object]:
        for number in range(start, start + 1000):
            yield feed(b"RCPT TO:<user%d@BBN-UNIX.ARPA>\r\n" % number)

    list(some(0))
    early = calls(lambda: list(some(1000)))
    for start in range(2000, 98_000, 1000):
        list(some(start))
    assert calls(lambda: list(some(98_000))) <= early * 1.1
    assert taken(some(99_000)) < 8 * MIB
    assert receiver.envelope is not None
    assert len(receiver.envelope.forward_paths) == 100_000
    assert str(receiver.envelope.forward_paths[-1]) == "<user99999@BBN-UNIX.ARPA>"


def test_twenty_thousand_recipients_are_sent() -> None:
    """4.5.3-01: the same for a sender."""
    sender = sender_in(State.MAIL, UNLIMITED)

    def some(start: int) -> Iterator[object]:
        for number in range(start, start + 1000):
            sender.send(Rcpt(f"<user{number}@BBN-UNIX.ARPA>"))
            sender.receive_data(b"250 OK\r\n")
            yield sender.data_to_send(), sender.next_event()

    list(some(0))
    early = calls(lambda: list(some(1000)))
    for start in range(2000, 18_000, 1000):
        list(some(start))
    assert calls(lambda: list(some(18_000))) <= early * 1.1
    assert taken(some(19_000)) < 8 * MIB
    assert sender.envelope is not None
    assert len(sender.envelope.forward_paths) == 20_000
    sender.send(Data())
    assert sender.next_event() is not NEED_COMMAND


# --- much to send -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "filling", [b"\r\n", b"..\r\n", b"x" * 998 + b"\r\n", b"x" * 600 + b"\r\n"]
)
def test_encoding_costs_in_proportion(filling: bytes) -> None:
    """4.5.2, 4.5.3: looking for long lines takes steps in proportion to the data."""

    def work(size: int) -> Callable[[], object]:
        encoder = DotEncoder(Policy.CONVERT, Policy.REFUSE, 1000)
        data = filling * (size // len(filling))
        return lambda: encoder.encode(data)

    assert calls(work(2 * MIB)) <= 2.2 * calls(work(MIB)) + 10
    assert calls(work(MIB)) <= MIB // 100
    assert peak(work(MIB)) <= 4 * MIB


def test_what_comes_behind_the_end_takes_no_memory() -> None:
    """4.1.1 QUIT: once a session is over, what still comes is not kept."""
    receiver = Receiver(HOST)
    pull(receiver)
    receiver.receive_data(b"QUIT\r\n")
    assert isinstance(pull(receiver)[-1], Closed)

    def work() -> None:
        for _ in range(16 * MIB // READ):
            receiver.receive_data(bytearray(READ))

    assert peak(work) < LINE + 2 * READ + 8 * KIB
