"""What both roles share: bytes taken in any form, bytes to send given once, the end of file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp821 import (
    NEED_DATA,
    NEED_REPLY,
    RFC821,
    RFC821_LENIENT,
    Closed,
    Dialect,
    LocalProtocolError,
    Noop,
    Receiver,
    Replied,
    Sender,
    State,
    Verb,
)
from smtp821.protocol.channel import Channel

from .walks import HOST, answered, cut, receiver_at, sender_at

ROLES: Final[tuple[Callable[[State], Channel], ...]] = (receiver_at, sender_at)


@pytest.mark.parametrize("dialect", [RFC821, RFC821_LENIENT])
def test_a_channel_begins_at_the_opening(dialect: Dialect) -> None:
    """4.3: whatever is spoken, the session begins with nothing said on either side."""
    for channel in (Channel(dialect, 512), Receiver(HOST, dialect), Sender(dialect)):
        assert channel.dialect is dialect
        assert channel.state is State.OPENING
        assert channel.envelope is None
        assert channel.data_to_send() == b""


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_come_in_any_form(kind: type) -> None:
    """bytes, bytearray and memoryview mean the same, in both roles."""
    receiver, sender = receiver_at(State.READY), sender_at(State.READY)
    receiver.receive_data(kind(b"NOOP\r\n"))
    assert receiver.next_event() == Noop()
    sender.send(Noop())
    sender.receive_data(kind(b"250 OK\r\n"))
    event = sender.next_event()
    assert isinstance(event, Replied)
    assert str(event.reply) == "250 OK"


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_mail_data_is_given_in_any_form(kind: type) -> None:
    """The same for what a sender is given to send."""
    sender = sender_at(State.DATA)
    sender.send_data(kind(b".x\r\n"))
    assert sender.data_to_send() == b"..x\r\n"


def test_bytes_are_copied() -> None:
    """A buffer may be used again as soon as it was taken."""
    receiver, buffer = receiver_at(State.READY), bytearray(b"NOOP\r\n")
    receiver.receive_data(memoryview(buffer)[:4])
    receiver.receive_data(memoryview(buffer)[4:])
    buffer[:] = b"QUIT\r\n"
    assert receiver.next_event() == Noop()


@pytest.mark.parametrize("empty", [b"", bytearray(), memoryview(b"")])
def test_no_bytes_are_the_end_of_file(empty: bytes | bytearray | memoryview) -> None:
    """As every transport says it, in each of the forms."""
    receiver, sender = receiver_at(State.READY), sender_at(State.READY)
    receiver.receive_data(empty)
    sender.receive_data(empty)
    assert receiver.next_event() == sender.next_event() == Closed()


@pytest.mark.parametrize("more", [b"", b"NOOP\r\n"])
@pytest.mark.parametrize("at", ROLES)
def test_nothing_follows_the_end_of_file(at: Callable[[State], Channel], more: bytes) -> None:
    """A second end of file, or bytes behind it, are the caller's mistake."""
    channel = at(State.READY)
    channel.receive_data(b"")
    with pytest.raises(LocalProtocolError) as caught:
        channel.receive_data(more)
    assert str(caught.value) == 'receive_data(b"") was the end of file; nothing follows it'
    assert channel.state is State.READY


def test_what_was_read_before_the_end_of_file_counts() -> None:
    """4.1.1 QUIT: commands and replies that are complete are not lost by the end behind them."""
    receiver = receiver_at(State.READY)
    receiver.receive_data(b"NOOP\r\n")
    receiver.receive_data(b"")
    assert receiver.next_event() == Noop()
    assert receiver.next_event() is NEED_REPLY
    receiver.accept()
    assert receiver.next_event() == Closed()
    assert receiver.data_to_send() == b"250 OK\r\n"
    sender = sender_at(State.READY)
    sender.send(Noop())
    sender.receive_data(b"250 OK\r\n")
    sender.receive_data(b"")
    assert isinstance(sender.next_event(), Replied)
    assert sender.next_event() == Closed()


def test_what_is_to_be_sent_is_given_once() -> None:
    """data_to_send() gives each octet once, all that has gathered, in order."""
    receiver = receiver_at(State.READY)
    receiver.receive_data(b"NOOP\r\nXYZZY\r\n")
    receiver.next_event()
    receiver.accept()
    receiver.next_event()
    assert receiver.data_to_send() == b"250 OK\r\n500 Syntax error, command unrecognized\r\n"
    assert receiver.data_to_send() == b""


def test_what_follows_the_end_of_a_session_is_not_kept() -> None:
    """4.1.1 QUIT: bytes behind QUIT, or behind 421, are neither read nor stored."""
    receiver = receiver_at(State.READY)
    receiver.shutdown()
    receiver.receive_data(b"x" * 100_000)
    assert not receiver._input.waits()
    sender = sender_at(State.READY)
    assert isinstance(answered(sender, b"421 bye\r\n"), Replied)
    sender.receive_data(b"x" * 100_000)
    assert not sender._input.waits()
    assert receiver.next_event() == sender.next_event() == Closed()


def test_an_end_of_file_behind_the_end_is_no_error() -> None:
    """The peer closes after 221 or 421; that is how a session ends."""
    for channel in (receiver_at(State.CLOSED), sender_at(State.CLOSED)):
        channel.receive_data(b"")
        assert channel.next_event() == Closed()


def test_the_state_is_read_only() -> None:
    """state, envelope and dialect are looked at, never set."""
    channel = Channel(RFC821, 512)
    for name in ("state", "envelope", "dialect"):
        with pytest.raises(AttributeError):
            setattr(channel, name, None)


@given(sizes=st.lists(st.integers(1, 9), max_size=9))
def test_any_cut_is_the_same(sizes: list[int]) -> None:
    """However the bytes were cut up, the same comes out."""
    receiver = receiver_at(State.READY)
    for piece in cut(b"HELP\r\nNOOP\r\nQUIT\r\n", *sizes):
        receiver.receive_data(piece)
    verbs = []
    while receiver.next_event() not in (NEED_DATA, Closed()):
        verbs.append(receiver.reply_owed)
        receiver.accept()
    assert verbs == [Verb.HELP, Verb.NOOP, Verb.QUIT]


@pytest.mark.parametrize("wrong", [5, "NOOP\r\n", None, [b"NOOP\r\n"]])
def test_nothing_but_bytes_is_taken(wrong: Any) -> None:
    """What is not bytes is the caller's mistake; a number is not a length of zeros."""
    receiver, sender = receiver_at(State.READY), sender_at(State.DATA)
    for take in (receiver.receive_data, sender.receive_data, sender.send_data):
        with pytest.raises(LocalProtocolError, match="bytes"):
            take(wrong)
    assert receiver.next_event() is NEED_DATA
    assert sender.data_to_send() == b""
