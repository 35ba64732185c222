"""Where a message ends: every short string of what might end one, in every way that mail goes.

Each string of up to seven octets CR, LF, dot, NUL, "a" and 0x8D stands in mail data, alone and
behind a first line, and in front of a whole transaction, as if to smuggle that in. What is to come
of it is said by `reference`, which cuts at CRLF and at nothing else. The ordinary run takes
every 197th string, `--deep` takes all.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Final

import attrs
import pytest

from smtp821 import (
    NEED_COMMAND,
    NEED_DATA,
    RFC821,
    RFC821_LENIENT,
    Closed,
    Command,
    Data,
    Dialect,
    EndOfData,
    Event,
    Limits,
    LocalProtocolError,
    Mail,
    MailData,
    Policy,
    Rcpt,
    Receiver,
    Rejected,
    Sender,
    State,
    Verb,
)
from smtp821.testing.pair import pull

from .driving import codes, receiver_in, sender_in

ALPHABET: Final = b"\r\n.\0a\x8d"
LONGEST: Final = 7
EVERY: Final = 197  # that far apart are those of a sample: prime to the size of the alphabet
BEGINNING: Final = (b"MAIL FROM:<>", b"RCPT TO:<a@b>", b"DATA")
ENTER: Final = b"".join(line + b"\r\n" for line in BEGINNING)
SMUGGLED: Final = ENTER + b"x\r\n.\r\n"
BEFORE: Final = {"alone": b"", "behind a line": b"a\r\n"}

PASSING: Final = attrs.evolve(
    RFC821,
    name="everything passes",
    eight_bit=Policy.PASS,
    line_feeds=Policy.PASS,
    limits=Limits(text_line=None),
)
REFUSING: Final = attrs.evolve(PASSING, name="bare line ends refused", line_feeds=Policy.REFUSE)
DIALECTS: Final = {dialect.name: dialect for dialect in (PASSING, RFC821, RFC821_LENIENT)}

Count = Callable[[str, int], None]


def strings(deep: bool) -> Iterator[bytes]:
    """The strings, the empty one first; or a sample of them."""
    sizes = range(LONGEST + 1)
    letters = [bytes([octet]) for octet in ALPHABET]
    every = (b"".join(s) for size in sizes for s in itertools.product(letters, repeat=size))
    return every if deep else itertools.islice(every, 0, None, EVERY)


def test_how_many_strings_there_are() -> None:
    """6^7 = 279,936 of seven octets, and the shorter ones; the sample has every length."""
    sizes = [len(string) for string in strings(deep=True)]
    assert [sizes.count(size) for size in range(LONGEST + 1)] == [6**n for n in range(LONGEST + 1)]
    assert sizes.count(LONGEST) == 279_936
    sample = list(strings(deep=False))
    assert {string[-1:] for string in sample} == {bytes([octet]) for octet in ALPHABET} | {b""}


# What is to come of it.

Found = tuple[list[bytes], list[bytes]]
"""The messages, and the lines of commands behind the first of them."""


def reference(wire: bytes) -> Found:
    """What comes behind a 354, by lines that end in CRLF and in nothing else."""
    messages: list[bytes] = []
    text, commands, in_data = b"", [b""], True
    for line in wire.split(b"\r\n")[:-1]:
        if not in_data:
            commands.append(line)
            in_data = tuple(commands[-3:]) == BEGINNING
        elif line == b".":
            messages, text, in_data = [*messages, text], b"", False
        else:
            text += line.removeprefix(b".") + b"\r\n"
    return messages, commands[1:]


def is_clean(message: bytes) -> bool:
    """Whether every CR and LF is one of a CRLF."""
    return not set(b"\r\n") & set(b"".join(message.split(b"\r\n")))


def sent(dialect: Dialect, message: bytes) -> bytes | None:
    """What a sender is to make of a message; None where it must not send it (AMB-36, AMB-39)."""
    lines = message.split(b"\r\n")
    if dialect.eight_bit is Policy.REFUSE and not message.isascii():
        return None
    if dialect.line_feeds is not Policy.PASS and b"\r" in b"".join(lines):
        return None
    if dialect.line_feeds is Policy.REFUSE and b"\n" in b"".join(lines):
        return None
    if dialect.line_feeds is Policy.CONVERT:
        lines = b"\n".join(lines).split(b"\n")
    return b"\r\n".join(lines if lines[-1] == b"" else [*lines, b""])


def takes(dialect: Dialect, message: bytes) -> bool:
    """Whether a receiver is to take such a message (AMB-36, AMB-39)."""
    if dialect.eight_bit is Policy.REFUSE and not message.isascii():
        return False
    return dialect.bare_newlines is Policy.PASS or is_clean(message)


@pytest.mark.parametrize(
    ("wire", "messages", "commands"),
    [
        (b".\r\n", [b""], []),
        (b"\r\n.\r\n", [b"\r\n"], []),
        (b"a\n.\n" + SMUGGLED, [b"a\n.\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\nx\r\n"], []),
        (b"a\r\n.\r\n" + SMUGGLED, [b"a\r\n", b"x\r\n"], list(BEGINNING)),
        (b".\r\na" + SMUGGLED, [b""], [b"aMAIL FROM:<>", *BEGINNING[1:], b"x", b"."]),
        (b"..\r\n.a\r\n.\r\n\0\r\n", [b".\r\na\r\n"], [b"\0"]),
    ],
)
def test_the_reference(wire: bytes, messages: list[bytes], commands: list[bytes]) -> None:
    """4.5.2 as it is read by people."""
    assert reference(wire) == (messages, commands)


# Into a Receiver.


def found(events: list[Event]) -> tuple[list[bytes | None], list[bytes]]:
    """What a receiver has made of the same: None for a message that was refused, and commands."""
    messages: list[bytes | None] = []
    commands: list[bytes] = []
    text = b""
    for event in events:
        if isinstance(event, MailData):
            text += event.data
        elif isinstance(event, EndOfData):
            assert event.size == len(text)
            messages, text = [*messages, text], b""
        elif isinstance(event, Rejected) and event.verb is Verb.END_OF_DATA:
            messages, text = [*messages, None], b""
        elif isinstance(event, Rejected):
            commands.append(event.line)
        else:
            assert isinstance(event, Command)
            commands.append(bytes(event)[:-2])
    return messages, commands


def hear(receiver: Receiver, pieces: list[bytes]) -> list[Event]:
    """What comes of pieces, each a read."""
    events: list[Event] = []
    for piece in pieces:
        receiver.receive_data(piece)
        events += pull(receiver)
    return events


def cut_at_random(chance: random.Random, data: bytes) -> list[bytes]:
    """The data in up to four pieces, none of them empty."""
    cuts = sorted({0, len(data), *(chance.randint(0, len(data)) for _ in range(3))})
    return [data[start:stop] for start, stop in itertools.pairwise(cuts)]


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("name", DIALECTS)
def test_into_a_receiver(name: str, before: str, deep: bool, count: Count) -> None:
    """4.5.2, AMB-36: where a message ends, what is delivered, and how many messages there are.

    Each string comes whole, and cut at random, all in one session.
    """
    dialect, chance = DIALECTS[name], random.Random(name + before)
    receiver = receiver_in(State.READY, dialect)
    for string in strings(deep):
        wire = BEFORE[before] + string + SMUGGLED
        messages, commands = reference(wire)
        taken = [text if takes(dialect, text) else None for text in messages]
        at = len(wire) - len(SMUGGLED) + 4
        for reads in ([ENTER + wire], [ENTER, *cut_at_random(chance, wire[:at]), wire[at:]]):
            first, second, third, *events = hear(receiver, reads)
            assert (first, second, third) == (Mail("<>"), Rcpt("<a@b>"), Data())
            assert found(events) == (taken, commands), (string, reads)
            assert receiver.state is State.READY
            assert len(codes(receiver.data_to_send())) == 3 + len(messages) + len(commands)
        count("messages into a receiver", 2)


# Out through a Sender, and in through a Receiver.


def relay(receiver: Receiver, sender: Sender) -> None:
    """Carry what the Receiver says to the Sender, and have it read."""
    sender.receive_data(receiver.data_to_send())
    while sender.next_event() not in (NEED_COMMAND, NEED_DATA):
        pass


class Link:
    """A Sender and a Receiver that take one message after the other, in one session.

    chance: how what is sent is cut on its way.
    """

    def __init__(self, sending: Dialect, receiving: Dialect, chance: random.Random) -> None:
        self._dialects = sending, receiving
        self._chance = chance
        self._begin()

    def send(self, pieces: list[bytes]) -> list[bytes | None]:
        """What comes of a message, which is to be one message: [None] if it was refused there.

        [] if it was refused here. Then nothing of it has left, and the session is where it was;
        but of a message in pieces, or with a CR for its last octet, the beginning has left: it is
        never ended, and so is none (4.1.1 DATA).
        """
        try:
            for piece in pieces:
                self.sender.send_data(piece)
            self.sender.end_data()
        except LocalProtocolError:
            begun = self.sender.data_to_send()
            assert self.sender.awaiting is None
            if len(pieces) == 1 and not pieces[0].endswith(b"\r"):
                assert begun == b""
            else:
                events = hear(self.receiver, [begun, b""] if begun else [b""])
                assert found(events[:-1]) == ([], [])
                assert isinstance(events[-1], Closed)
                self._begin()
            return []
        events = hear(self.receiver, cut_at_random(self._chance, self.sender.data_to_send()))
        assert self.receiver.state is State.READY
        self._go_on()
        messages, commands = found(events)
        assert commands == []
        return messages

    def _begin(self) -> None:
        """A session, up to 354."""
        sending, receiving = self._dialects
        self.sender = sender_in(State.DATA, sending)
        self.receiver = receiver_in(State.DATA, receiving)

    def _go_on(self) -> None:
        """The reply, and the next transaction, up to its 354."""
        relay(self.receiver, self.sender)
        for command in (Mail("<>"), Rcpt("<a@b>"), Data()):
            self.sender.send(command)
            assert hear(self.receiver, [self.sender.data_to_send()]) == [command]
            relay(self.receiver, self.sender)
        assert self.sender.state is self.receiver.state is State.DATA


PAIRS: Final = [
    (PASSING, PASSING),
    (REFUSING, PASSING),
    (RFC821, RFC821),
    (RFC821_LENIENT, RFC821_LENIENT),
    (PASSING, RFC821_LENIENT),
]
every_pair = pytest.mark.parametrize(
    ("sending", "receiving"), PAIRS, ids=[f"{one.name} to {other.name}" for one, other in PAIRS]
)


def expected(sending: Dialect, receiving: Dialect, message: bytes) -> list[bytes | None]:
    """What is to come of a message that is sent: one message or none, and never another one."""
    there = sent(sending, message)
    if there is None:
        return []
    return [there if takes(receiving, there) else None]


@every_pair
@pytest.mark.parametrize("before", BEFORE)
def test_out_and_in(
    before: str, sending: Dialect, receiving: Dialect, deep: bool, count: Count
) -> None:
    """4.5.2, AMB-36: each string as a message, given whole and cut at random, comes out as one."""
    chance = random.Random(before)
    link = Link(sending, receiving, chance)
    for string in strings(deep):
        message = BEFORE[before] + string
        result = expected(sending, receiving, message)
        for pieces in ([message], cut_at_random(chance, message)):
            assert link.send(pieces) == result, (string, pieces)
        count("messages out through a sender, and in through a receiver", 2)


# In, out and in again.

RELAYS: Final = [
    (RFC821_LENIENT, RFC821_LENIENT),
    (PASSING, PASSING),
    (RFC821, REFUSING),
    (RFC821, RFC821),
]


@pytest.mark.parametrize(
    ("first", "second"), RELAYS, ids=[f"{one.name} to {other.name}" for one, other in RELAYS]
)
@pytest.mark.parametrize("before", BEFORE)
def test_through_a_relay(
    before: str, first: Dialect, second: Dialect, deep: bool, count: Count
) -> None:
    """3.6, 4.5.2: what a relay has taken, it sends on: one message, the same, or none of it.

    A lone LF alone is changed, to a CRLF, where the sender's dialect says so (AMB-36).
    """
    chance = random.Random(before)
    receiver, link = receiver_in(State.READY, first), Link(second, second, chance)
    for string in strings(deep):
        wire = BEFORE[before] + string + SMUGGLED
        events = hear(receiver, [ENTER, *cut_at_random(chance, wire)])
        receiver.data_to_send()
        for message in found(events[3:])[0]:
            if message is not None:
                result = link.send([message])
                assert result == expected(second, second, message), string
                assert result in ([], [message], [None]) or second is RFC821, string
                assert result == [message] or first is not RFC821_LENIENT, string
        count("messages through a relay", 1)
