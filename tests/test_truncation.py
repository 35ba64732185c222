"""Sessions that break off: each dialogue cut behind every octet, and then the end of file.

Nothing is a message unless its whole CRLF dot CRLF came, nothing a success unless the reply to it
was complete; what was answered before stays (4.1.1 DATA, QUIT). The dialogues are those of Appendix
F and from a telnet window, and one of two messages, in either role without I/O; and that one by a
client of each adapter. A server of each adapter is cut off in test_server.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs
import pytest

from smtp821 import (
    NEED_DATA,
    NEED_REPLY,
    RFC821,
    RFC821_LENIENT,
    Closed,
    Event,
    MailData,
    Pause,
    Receiver,
    Rejected,
    Replied,
    Sender,
    SMTPError,
    State,
    Verb,
)
from smtp821.delivery import Delivery, Status
from smtp821.testing.pair import joined

from .adapters import Adapter
from .dialogue import ANSWERS, JONES, MESSAGE, SMITH, TEXT, WHOLE
from .peers import GREETING, HELLO, OPENING, QUIT, Wire, client_of, playing
from .test_scenarios import (
    RECEIVED,
    SCENARIOS,
    TELNET,
    Dialogue,
    Exchange,
    expected_events,
    reply_bytes,
    speak,
    spoken,
)

Count = Callable[[str, int], None]


# In the role of the receiver.


@attrs.frozen
class Heard:
    """What a receiver has made of the beginning of a dialogue.

    kept: the messages that it was told to answer 250.
    """

    events: list[Event]
    output: bytes
    kept: list[bytes]


def hear(dialogue: Dialogue, size: int) -> Heard:
    """Let a receiver hear so many octets, then the end of file; it answers as on paper."""
    receiver = Receiver(dialogue.domain, dialogue.dialect)
    replies = iter(dialogue.exchanges)
    events: list[Event] = []
    kept: list[bytes] = []
    message = b""
    pieces = iter([dialogue.client[:size], b""] if size else [b""])
    while not events or not isinstance(events[-1], Closed):
        event = receiver.next_event()
        if event is NEED_DATA:
            receiver.receive_data(next(pieces))
        elif event is NEED_REPLY:
            owed, reply = receiver.reply_owed, next(replies).reply
            receiver.reply(reply)
            if owed is Verb.END_OF_DATA and reply.code == 250:
                kept, message = [*kept, message], b""
        else:
            assert not isinstance(event, Pause)
            events.append(event)
            message = message + event.data if isinstance(event, MailData) else message
        if isinstance(event, Rejected):  # that was answered already
            next(replies)
    return Heard(joined(events), receiver.data_to_send(), kept)


@attrs.frozen
class Expected:
    """What is to come of so many octets, by the lines on paper."""

    replies: int
    messages: list[bytes]


def whole_in(dialogue: Dialogue, size: int) -> Expected:
    """How many replies the whole lines in so many octets get, and the messages that are whole."""
    at, replies, messages = 0, 1, []
    for exchange in dialogue.exchanges[1:]:
        if exchange.message is None:
            at = dialogue.client.index(b"\r\n", at) + 2
        else:
            at = dialogue.client.index(b".\r\n" if not exchange.message else b"\r\n.\r\n", at)
            at += 5 if exchange.message else 3
        if at > size:
            break
        replies += 1
        if exchange.message is not None:
            messages.append(exchange.message)
    return Expected(replies, messages)


@pytest.mark.parametrize("dialogue", RECEIVED, ids=lambda dialogue: dialogue.name)
def test_a_receiver(dialogue: Dialogue, count: Count) -> None:
    """4.1.1: a reply to each whole line and message, none to the rest; no message but the whole."""
    whole = hear(dialogue, len(dialogue.client))
    assert whole.output == dialogue.server
    assert whole.events == expected_events(dialogue)
    for size in range(len(dialogue.client)):
        heard, expected = hear(dialogue, size), whole_in(dialogue, size)
        replies = dialogue.exchanges[: expected.replies]
        assert heard.output == b"".join(reply_bytes(exchange.reply) for exchange in replies)
        assert heard.kept == expected.messages
        *events, end = heard.events
        assert isinstance(end, Closed)
        if isinstance(events[-1], MailData):  # of a message that has no end
            assert end.cancelled is not None
            events.pop()
        assert events == whole.events[: len(events)]
        answered = sum(not isinstance(event, MailData) for event in events)
        assert answered == expected.replies
        count("dialogues cut for a receiver", 1)


def test_what_a_receiver_cancels() -> None:
    """4.1.1 QUIT: the end of file in a transaction cancels it, and says which it was."""
    typical = SCENARIOS[0]
    for size in range(len(typical.client)):
        end = hear(typical, size).events[-1]
        assert isinstance(end, Closed)
        begun = typical.client.index(b"MAIL")
        lines = typical.client[begun:size].split(b"\r\n")[:-1]
        is_over = b"\r\n.\r\n" in typical.client[:size]
        if not lines or is_over:
            assert end.cancelled is None
        else:
            assert end.cancelled is not None
            accepted = [line[8:].decode() for line in lines if line.startswith(b"RCPT")]
            accepted = [path for path in accepted if "Green" not in path]
            assert [str(path) for path in end.cancelled.forward_paths] == accepted


# In the role of the sender.


def ask(dialogue: Dialogue, size: int) -> tuple[list[Replied], Closed]:
    """Let a sender have its part, and hear so many octets of the answers, then the end of file."""
    sender = Sender(RFC821_LENIENT if dialogue in TELNET else RFC821)
    replied: list[Replied] = []
    for exchange in spoken(dialogue):
        speak(sender, exchange)
        reply = reply_bytes(exchange.reply)
        if size:
            sender.receive_data(reply[:size])
        if size < len(reply):
            assert sender.next_event() is NEED_DATA
            break
        size -= len(reply)
        event = sender.next_event()
        assert isinstance(event, Replied)
        replied.append(event)
    sender.receive_data(b"")
    closed = sender.next_event()
    assert isinstance(closed, Closed)
    assert sender.state is State.CLOSED
    return replied, closed


@pytest.mark.parametrize("dialogue", [*SCENARIOS, *TELNET], ids=lambda dialogue: dialogue.name)
def test_a_sender(dialogue: Dialogue, count: Count) -> None:
    """4.1.1 QUIT: each reply that came whole is one, and what it did not answer has none."""
    exchanges = spoken(dialogue)
    answers = [reply_bytes(exchange.reply) for exchange in exchanges]
    for size in range(sum(map(len, answers))):
        whole = sum(sum(map(len, answers[: n + 1])) <= size for n in range(len(answers)))
        replied, closed = ask(dialogue, size)
        assert [event.reply for event in replied] == [e.reply for e in exchanges[:whole]]
        assert closed.awaiting is verb_of(exchanges[whole])
        count("dialogues cut for a sender", 1)


def verb_of(exchange: Exchange) -> Verb:
    """What is answered in an exchange."""
    if exchange.message is not None:
        return Verb.END_OF_DATA
    return Verb(exchange.said[:4].upper()) if exchange.said else Verb.CONNECT


# By a client of each adapter.

TURNS: Final = (*OPENING, *WHOLE, *WHOLE, QUIT)
OPENED: Final = len(GREETING + HELLO)
CONFIRMED: Final = tuple(
    len(b"".join(said for _, said in TURNS[: n + 1]))
    for n, (heard, _) in enumerate(TURNS)
    if heard == MESSAGE
)
"""How many octets of the answers confirm the first message, and the second."""


def test_the_answers() -> None:
    """They are those of a session of two messages."""
    assert b"".join(said for _, said in TURNS) == ANSWERS
    assert len(CONFIRMED) == 2


def saying(size: int) -> Callable[[Wire], None]:
    """A server that closes the connection behind so many octets of its answers."""

    def script(wire: Wire) -> None:
        left = size
        for heard, said in TURNS:
            wire.hears(heard)
            wire.send(said[:left])
            left -= len(said)
            if left < 0:
                return

    return script


@pytest.mark.usefixtures("adapter")
def test_a_client(adapter: Adapter, count: Count) -> None:
    """4.1.1: a message is accepted if its 250 came whole, else it is not; what was, stays so."""
    for size in range(len(ANSWERS)):
        results: list[Delivery] = []
        with playing(saying(size)) as port:
            try:
                with client_of(port) as client:
                    results += [client.send(SMITH, [JONES], TEXT) for _ in range(2)]
            except SMTPError:
                assert size < OPENED
        accepted = sum(end <= size for end in CONFIRMED)
        expected = [Status.ACCEPTED] * accepted + [Status.TEMPORARY] * (2 - accepted)
        assert [result.status for result in results] == (expected if size >= OPENED else [])
        count(f"sessions cut for a client of smtp821.{adapter.name}", 1)
