"""TURN (3.8): both ends change roles, and mail goes the other way over the same channel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import pytest

from smtp821 import (
    NEED_COMMAND,
    NEED_DATA,
    RFC821,
    Closed,
    Connected,
    EndOfData,
    Envelope,
    Event,
    Helo,
    LocalProtocolError,
    MailData,
    Outcome,
    Path,
    Pause,
    Quit,
    Receiver,
    Rejected,
    RemoteProtocolError,
    Replied,
    Reply,
    Sender,
    State,
    Turn,
    Turned,
    Verb,
)

from .walks import EXAMPLES, WHOLE, cut, receiver_at, sender_at

HERE: Final = "USC-ISIF.ARPA"  # the name of the end that begins as the sender
OFFERING: Final = RFC821.offering([Verb.TURN])

Carry = Callable[[bytes], Iterator[bytes]]


def whole(data: bytes) -> Iterator[bytes]:
    """Carry bytes in one read."""
    return cut(data)


def bytewise(data: bytes) -> Iterator[bytes]:
    """Carry bytes in as many reads as there are bytes."""
    return cut(data, *[1] * len(data))


CARRIES: Final = [whole, bytewise]


def read(end: Receiver | Sender, data: bytes, carry: Carry) -> Event | Pause:
    """Let one end read what the other said; the event that it makes, behind pieces of mail."""
    event: Event | Pause = NEED_DATA
    for piece in carry(data):
        if isinstance(event, MailData):
            event = end.next_event()
        assert event is NEED_DATA
        end.receive_data(piece)
        event = end.next_event()
    return event


def exchange(
    sender: Sender, receiver: Receiver, carry: Carry, say: Callable[[], None], code: int
) -> tuple[bytes, bytes]:
    """One command, or the end of a message, and its reply, in memory; the bytes of both."""
    say()
    question = sender.data_to_send()
    event = read(receiver, question, carry)
    while isinstance(event, MailData):
        event = receiver.next_event()
    assert not isinstance(event, Pause)
    receiver.reply(code)
    reply = receiver.data_to_send()
    replied = read(sender, reply, carry)
    assert isinstance(replied, Replied)
    assert replied.reply.code == code
    assert (sender.state, sender.envelope) == (receiver.state, receiver.envelope)
    return question, reply


def at_turn() -> tuple[Sender, Receiver]:
    """Both ends, ready, with TURN offered."""
    return sender_at(State.READY, OFFERING), receiver_at(State.READY, OFFERING)


def turn(carry: Carry) -> tuple[Sender, Receiver]:
    """The ends after TURN was accepted: the one that sends now, and the one that receives."""
    sender, receiver = at_turn()
    said = exchange(sender, receiver, carry, partial(sender.send, Turn()), 250)
    assert said == (b"TURN\r\n", b"250 OK\r\n")
    assert sender.next_event() == receiver.next_event() == Turned()
    return receiver.turned(), sender.turned(HERE)


# --- Accepted ---------------------------------------------------------------------------------


@pytest.mark.clause("3.8-01", "3.8-02", "4.1.1.TURN-01", "4.1.1.TURN-02")
@pytest.mark.parametrize("carry", CARRIES)
def test_both_ends_begin_anew(carry: Carry) -> None:
    """4.1.1 TURN: as if the channel had just been opened, the old sender greets with 220."""
    sender, receiver = turn(carry)
    for end in (sender, receiver):
        assert end.state is State.OPENING
        assert end.envelope is None
        assert end.dialect is OFFERING
        assert end.data_to_send() == b""
    with pytest.raises(LocalProtocolError, match="CONNECTION ESTABLISHMENT is to come first"):
        sender.send(Helo("a.b"))
    assert sender.next_event() is NEED_DATA
    assert receiver.next_event() == Connected()
    receiver.accept()
    greeting = receiver.data_to_send()
    assert greeting == b"220 USC-ISIF.ARPA Simple Mail Transfer Service Ready\r\n"
    assert isinstance(read(sender, greeting, carry), Replied)
    assert sender.next_event() is NEED_COMMAND


def greet(sender: Sender, receiver: Receiver, carry: Carry) -> None:
    """The greeting and HELO, in the roles that the two have now."""
    receiver.next_event()
    receiver.accept()
    read(sender, receiver.data_to_send(), carry)
    exchange(sender, receiver, carry, partial(sender.send, Helo("BBN-UNIX.ARPA")), 250)


@pytest.mark.clause("3.8-02")
@pytest.mark.parametrize("carry", CARRIES)
def test_a_transaction_the_other_way(carry: Carry) -> None:
    """3.8: the receiver of before sends mail, over the channel that it did not open."""
    sender, receiver = turn(carry)
    greet(sender, receiver, carry)
    for verb, code in ((Verb.MAIL, 250), (Verb.RCPT, 250), (Verb.DATA, 354)):
        exchange(sender, receiver, carry, partial(sender.send, EXAMPLES[verb]), code)
    sender.send_data(b".message\r\n")
    assert exchange(sender, receiver, carry, sender.end_data, 250) == (
        b"..message\r\n.\r\n",
        b"250 OK\r\n",
    )
    said = exchange(sender, receiver, carry, partial(sender.send, Quit()), 221)
    assert said == (b"QUIT\r\n", b"221 USC-ISIF.ARPA Service closing transmission channel\r\n")
    assert sender.next_event() == receiver.next_event() == Closed()


def test_the_message_that_arrives() -> None:
    """3.8: it is complete, and its envelope is of the session after TURN."""
    sender, receiver = turn(whole)
    greet(sender, receiver, whole)
    for verb, code in ((Verb.MAIL, 250), (Verb.RCPT, 250), (Verb.DATA, 354)):
        exchange(sender, receiver, whole, partial(sender.send, EXAMPLES[verb]), code)
    sender.send_data(b".message\r\n")
    sender.end_data()
    assert read(receiver, sender.data_to_send(), whole) == MailData(b".message\r\n")
    envelope = Envelope(Verb.MAIL, Path("<Smith@Alpha.ARPA>"), (Path("<Jones@Beta.ARPA>"),))
    assert receiver.next_event() == EndOfData(envelope, 10, False)


@pytest.mark.parametrize("carry", CARRIES)
def test_the_roles_may_be_changed_back(carry: Carry) -> None:
    """3.8: the new sender may ask for TURN in its turn."""
    sender, receiver = turn(carry)
    greet(sender, receiver, carry)
    exchange(sender, receiver, carry, partial(sender.send, Turn()), 250)
    back, again = receiver.turned(), sender.turned("BBN-UNIX.ARPA")
    greet(back, again, carry)
    assert back.state is again.state is State.READY


def test_the_old_ends_say_nothing_more() -> None:
    """3.8: that session is over; only its other role is to be had."""
    sender, receiver = sender_at(State.TURNED), receiver_at(State.TURNED)
    with pytest.raises(LocalProtocolError, match="not legal in state TURNED; nothing is"):
        sender.send(Quit())
    with pytest.raises(LocalProtocolError, match="the session is over: it is TURNED"):
        receiver.shutdown()
    with pytest.raises(LocalProtocolError, match="no reply is owed"):
        receiver.reply(250)
    assert sender.data_to_send() == receiver.data_to_send() == b""


# --- Refused ----------------------------------------------------------------------------------


@pytest.mark.clause("3.8-03", "3.8-04", "4.1.1.TURN-03", "AMB-24")
@pytest.mark.parametrize("carry", CARRIES)
def test_turn_is_off_by_default(carry: Carry) -> None:
    """AMB-24: 502 without asking the application; both ends keep their roles."""
    sender, receiver = sender_at(State.READY, RFC821), receiver_at(State.READY, RFC821)
    sender.send(Turn())
    assert read(receiver, sender.data_to_send(), carry) == Rejected(Reply(502), Verb.TURN, b"TURN")
    refusal = receiver.data_to_send()
    assert refusal == b"502 Command not implemented\r\n"
    event = read(sender, refusal, carry)
    assert event == Replied(Verb.TURN, Reply(502), Turn())
    assert sender.state is receiver.state is State.READY
    exchange(sender, receiver, carry, partial(sender.send, EXAMPLES[Verb.MAIL]), 250)


@pytest.mark.clause("4.1.1.TURN-01")
@pytest.mark.parametrize("code", [500, 502, 503])
def test_an_application_may_refuse(code: int) -> None:
    """3.8: "must refuse by 502", or with the errors of its row; the session goes on."""
    sender, receiver = at_turn()
    exchange(sender, receiver, whole, partial(sender.send, Turn()), code)
    assert sender.state is receiver.state is State.READY
    with pytest.raises(LocalProtocolError, match="once TURN is answered 250"):
        receiver.turned()
    with pytest.raises(LocalProtocolError, match="once TURN is answered 250"):
        sender.turned(HERE)
    exchange(sender, receiver, whole, partial(sender.send, EXAMPLES[Verb.MAIL]), 250)


@pytest.mark.clause("AMB-25")
@pytest.mark.parametrize("state", [State.INITIAL, State.MAIL, State.RCPT])
def test_turn_out_of_sequence(state: State) -> None:
    """AMB-25: 503 before HELO and inside a transaction; a sender does not even ask."""
    receiver = receiver_at(state, OFFERING)
    event = read(receiver, b"TURN\r\n", whole)
    assert event == Rejected(Reply(503), Verb.TURN, b"TURN")
    assert receiver.state is state
    with pytest.raises(LocalProtocolError, match=f"TURN is not legal in state {state}"):
        sender_at(state, OFFERING).send(Turn())


def test_421_to_turn() -> None:
    """4.2.1: the channel is closed, and no role is changed."""
    sender, receiver = at_turn()
    exchange(sender, receiver, whole, partial(sender.send, Turn()), 421)
    assert sender.next_event() == receiver.next_event() == Closed()


def test_the_end_of_file_instead_of_an_answer() -> None:
    """4.1.1 QUIT: a TURN that was not answered has not happened."""
    sender, _ = at_turn()
    sender.send(Turn())
    assert read(sender, b"250 OK\r", whole) is NEED_DATA
    sender.receive_data(b"")
    assert sender.next_event() == Closed(Verb.TURN)


# --- Bytes before their time ------------------------------------------------------------------


@pytest.mark.parametrize("early", [b"NOOP\r\n", b"220 USC-ISIF.ARPA\r\n", b"2", b"\r\n"])
@pytest.mark.parametrize("carry", CARRIES)
def test_the_receiver_carries_nothing_over(early: bytes, carry: Carry) -> None:
    """3.8: what stands behind TURN belongs to neither session; in one read or byte by byte."""
    receiver, data = receiver_at(State.READY, OFFERING), b"TURN\r\n" + early
    for piece in carry(data):
        receiver.receive_data(piece)
        if receiver.next_event() == Turn():
            receiver.accept()
    assert receiver.data_to_send() == b"250 OK\r\n"
    assert receiver.next_event() == Turned()
    for _ in range(2):
        with pytest.raises(RemoteProtocolError, match="bytes behind TURN") as info:
            receiver.turned()
        assert info.value.reply is not None
        assert info.value.reply.code == 421


@pytest.mark.parametrize("early", [b"HELO BBN-UNIX.ARPA\r\n", b"250 OK\r\n", b"2", b"\r\n"])
@pytest.mark.parametrize("carry", CARRIES)
@pytest.mark.parametrize("watching", [False, True])
def test_the_sender_carries_nothing_over(early: bytes, carry: Carry, watching: bool) -> None:
    """3.8: the same behind the reply to TURN, whether or not the events are asked for first."""
    sender = sender_at(State.READY, OFFERING)
    sender.send(Turn())
    event = read(sender, b"250 OK\r\n", carry)
    assert isinstance(event, Replied)
    assert event.outcome is Outcome.SUCCESS
    for piece in carry(early):
        sender.receive_data(piece)
    if watching:
        with pytest.raises(RemoteProtocolError):
            sender.next_event()
    for _ in range(2):
        with pytest.raises(RemoteProtocolError):
            sender.turned(HERE)


@pytest.mark.parametrize("early", [b"HELO BBN-UNIX.ARPA\r\n", b"2"])
def test_the_sender_in_one_read(early: bytes) -> None:
    """3.8: bytes that came in the same read as the reply to TURN."""
    sender = sender_at(State.READY, OFFERING)
    sender.send(Turn())
    sender.receive_data(b"250 OK\r\n" + early)
    assert isinstance(sender.next_event(), Replied)
    with pytest.raises(RemoteProtocolError):
        sender.next_event()
    with pytest.raises(RemoteProtocolError):
        sender.turned(HERE)


def test_a_closing_notice_behind_turn() -> None:
    """AMB-28: 421 is read even then, and ends it all."""
    sender = sender_at(State.TURNED, WHOLE)
    event = read(sender, b"421 BBN-UNIX.ARPA bye\r\n", whole)
    assert isinstance(event, Replied)
    assert event.outcome is Outcome.CLOSING
    assert sender.next_event() == Closed()
    with pytest.raises(LocalProtocolError, match="once TURN is answered 250"):
        sender.turned(HERE)
