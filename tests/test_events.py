"""What next_event gives: values, and the pauses that say whose turn it is."""

from __future__ import annotations

from typing import Final, get_args

import attrs
import pytest

from smtp821 import (
    NEED_COMMAND,
    NEED_DATA,
    NEED_REPLY,
    SEQUENCING,
    Closed,
    Command,
    Connected,
    EndOfData,
    Envelope,
    Event,
    MailData,
    Noop,
    Outcome,
    Path,
    Pause,
    Rejected,
    Replied,
    Reply,
    State,
    Turned,
    Verb,
    outcome,
)

from .walks import LINES, ask, receiver_at, sender_at

ENVELOPE: Final = Envelope(Verb.MAIL, Path("<>"), (Path("<Jones@Beta.ARPA>"),))
EVENTS: Final[list[Event]] = [
    Connected(),
    MailData(b"Hello\r\n"),
    EndOfData(ENVELOPE, 7, False),
    Rejected(Reply(500), None, b"EHLO x"),
    Replied(Verb.MAIL, Reply(250)),
    Turned(),
    Closed(Verb.MAIL, ENVELOPE),
]


def test_every_kind_of_event_is_here() -> None:
    """An Event is a command, or one of the others above."""
    assert set(get_args(Event)) == {Command, *map(type, EVENTS)}


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_events_are_values(event: Event) -> None:
    """They are compared by what they say, can be keys, and do not change."""
    same = attrs.evolve(event)
    assert same == event
    assert hash(same) == hash(event)
    assert [other for other in EVENTS if other == event] == [event]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.verb = None  # type: ignore[misc, union-attr]


def test_what_owes_a_reply_has_its_verb() -> None:
    """4.3: the greeting and the end of mail data have rows of their own, as commands have."""
    assert Connected.verb is Verb.CONNECT
    assert EndOfData.verb is Verb.END_OF_DATA
    assert {Connected.verb, EndOfData.verb} <= SEQUENCING.keys()


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("code", [220, 250, 354, 421, 450, 550])
def test_the_outcome_of_a_reply(verb: Verb, code: int) -> None:
    """4.4: what a reply means is a matter of its first digit, and of what it answers."""
    assert Replied(verb, Reply(code, "text")).outcome is outcome(verb, code)


def test_the_outcome_of_a_notice() -> None:
    """AMB-28: what answers nothing is the notice of closing."""
    assert Replied(None, Reply(421, "text")).outcome is Outcome.CLOSING


def test_a_session_that_ends_well_has_nothing_to_tell() -> None:
    """4.1.1 QUIT: by default nothing was unanswered, and nothing cancelled."""
    assert (Closed().awaiting, Closed().cancelled) == (None, None)


def test_the_pauses() -> None:
    """Whose turn it is: the peer's, the application's, the program's."""
    assert set(Pause) == {NEED_DATA, NEED_REPLY, NEED_COMMAND}
    receiver = receiver_at(State.READY)
    assert receiver.next_event() is NEED_DATA
    assert ask(receiver, LINES[Verb.NOOP]) == Noop()
    assert receiver.next_event() is NEED_REPLY
    assert sender_at(State.READY).next_event() is NEED_COMMAND
