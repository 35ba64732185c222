"""How the tests drive a Receiver and a Sender, and how they read what a Receiver wrote."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import attrs

from smtp821 import (
    RFC821,
    SEQUENCING,
    STANDARD_TEXTS,
    Closed,
    Code,
    Dialect,
    Envelope,
    Event,
    MailData,
    Outcome,
    Path,
    Receiver,
    Reply,
    Sender,
    State,
    Turned,
    Verb,
)
from smtp821.testing.pair import Answer, Host, Pair, accept, joined, pull

HOST = "BBN-UNIX.ARPA"
CLIENT = "USC-ISIF.ARPA"

# All fourteen commands are implemented; everything else is as in RFC821.
EVERYTHING = RFC821.offering(Verb)

# What brings a Receiver that accepts everything into a state, the greeting given.
LEADING_TO = {
    State.INITIAL: b"",
    State.READY: b"HELO USC-ISIF.ARPA\r\n",
    State.MAIL: b"HELO USC-ISIF.ARPA\r\nMAIL FROM:<Smith@USC-ISIF.ARPA>\r\n",
    State.RCPT: (
        b"HELO USC-ISIF.ARPA\r\nMAIL FROM:<Smith@USC-ISIF.ARPA>\r\n"
        b"RCPT TO:<Jones@BBN-UNIX.ARPA>\r\n"
    ),
    State.DATA: (
        b"HELO USC-ISIF.ARPA\r\nMAIL FROM:<Smith@USC-ISIF.ARPA>\r\n"
        b"RCPT TO:<Jones@BBN-UNIX.ARPA>\r\nDATA\r\n"
    ),
}

# The receiver's side.


def refusal(verb: Verb) -> int | None:
    """A code that refuses a command and closes nothing; None for the greeting, which has none."""
    row = SEQUENCING[verb]
    codes = (*row.get(Outcome.FAILURE, ()), *row.get(Outcome.ERROR, ()))
    return next((code for code in codes if code != Code.NOT_AVAILABLE), None)


def refuse_every(n: int) -> Answer:
    """Accept, but for every n-th command."""
    count = 0

    def answer(receiver: Receiver) -> None:
        nonlocal count
        count += 1
        assert receiver.reply_owed is not None
        code = refusal(receiver.reply_owed)
        if count % n or code is None:
            accept(receiver)
        else:
            receiver.reply(code)

    return answer


def receiver_in(state: State, dialect: Dialect = RFC821) -> Receiver:
    """A Receiver that has come into a state, its output already taken."""
    receiver = Receiver(HOST, dialect)
    pull(receiver)
    if LEADING_TO[state]:
        receiver.receive_data(LEADING_TO[state])
        pull(receiver)
    receiver.data_to_send()
    assert receiver.state is state
    return receiver


def exchange(receiver: Receiver, data: bytes, answer: Answer = accept) -> tuple[list[Event], bytes]:
    """What a Receiver makes of data: the events, with mail data joined, and its output."""
    receiver.receive_data(data)
    return joined(pull(receiver, answer)), receiver.data_to_send()


def mail_data(events: Iterable[Event]) -> bytes:
    """All the mail data there is in events."""
    return b"".join(event.data for event in events if isinstance(event, MailData))


@attrs.frozen
class Session:
    """All that can be seen of a receiver's session."""

    events: list[Event]
    output: bytes
    state: State
    reply_owed: Verb | None
    envelope: Envelope | None


def serve(dialect: Dialect, batches: Iterable[Sequence[bytes]], answer: Answer = accept) -> Session:
    """One session from the greeting to the end of file.

    batches: the input; the pieces of a batch are fed one after the other, then events are pulled.
    """
    receiver = Receiver(HOST, dialect)
    events = pull(receiver, answer)
    output = [receiver.data_to_send()]
    for batch in (*batches, [b""]):
        if isinstance(events[-1], (Closed, Turned)):
            break
        for piece in batch:
            receiver.receive_data(piece)
        events += pull(receiver, answer)
        output.append(receiver.data_to_send())
    return Session(
        joined(events), b"".join(output), receiver.state, receiver.reply_owed, receiver.envelope
    )


# The sender's side.


def sender_in(state: State, dialect: Dialect = RFC821) -> Sender:
    """A Sender that has come into a state by talking to a Receiver, its output already taken."""
    pair = Pair(Host(domain=HOST, dialect=dialect), Sender(dialect))
    pair.settle()
    for line in LEADING_TO[state].splitlines():
        command = dialect.syntaxes[line[:4]].parse(line[4:], dialect.limits)
        assert not isinstance(command, str)
        pair.command(command)
    assert pair.sender.state is state
    return pair.sender


# Replies on the wire.

_REPLY = re.compile(
    rb"(?:([2-5][0-9]{2})-[ -~]*\r\n(?:\1-[ -~]*\r\n)*\1|([2-5][0-9]{2})) [ -~]*\r\n"
)


def split_replies(output: bytes) -> list[bytes]:
    """The replies in what a Receiver wrote, each with its lines; they are checked on the way.

    Every octet belongs to a reply as in Appendix E, its code is one of 4.2.2, and no line has
    over 512 octets (4.5.3).
    """
    replies, at = [], 0
    while at < len(output):
        match = _REPLY.match(output, at)
        assert match is not None, output[at:]
        code = int(match[1] or match[2])
        assert code in STANDARD_TEXTS
        assert all(len(line) <= 512 for line in match[0].splitlines(keepends=True))
        replies.append(match[0])
        at = match.end()
    return replies


def codes(output: bytes) -> list[int]:
    """The codes of the replies in what a Receiver wrote."""
    return [int(reply[:3]) for reply in split_replies(output)]


def legal_reply(code: int) -> Reply:
    """A reply of a code, with a path where the code wants one (3.2)."""
    if code in (Code.WILL_FORWARD, Code.NOT_LOCAL):
        return Reply.forward(code, Path("<Jones@USC-ISI.ARPA>"))
    return Reply(code)
