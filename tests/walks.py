"""A command of each kind, a way to each state of the tables, and both roles taken along it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import attrs

from smtp821 import (
    ADDITIONS,
    RFC821,
    Command,
    Data,
    Dialect,
    Event,
    Expn,
    Helo,
    Help,
    Mail,
    Noop,
    Path,
    Pause,
    Quit,
    Rcpt,
    Receiver,
    Reply,
    Rset,
    Saml,
    Send,
    Sender,
    Soml,
    State,
    Turn,
    Verb,
    Vrfy,
)

HOST: Final = "BBN-UNIX.ARPA"

EXAMPLES: Final[Mapping[Verb, Command]] = {
    command.verb: command
    for command in (
        Helo("USC-ISIF.ARPA"), Mail("<Smith@Alpha.ARPA>"), Send("<EAK@MIT-MC.ARPA>"),
        Soml("<>"), Saml("<@ONE,@TWO:JOE@THREE>"), Rcpt("<Jones@Beta.ARPA>"), Data(), Rset(),
        Vrfy("Smith"), Expn("Example-People"), Help("MAIL"), Noop(), Quit(), Turn(),
    )
}  # fmt: skip
"""A command of each verb that is one; CONNECT and END_OF_DATA are none."""

LINES: Final[Mapping[Verb, bytes]] = {
    Verb.HELO: b"HELO USC-ISIF.ARPA\r\n",
    Verb.MAIL: b"MAIL FROM:<Smith@Alpha.ARPA>\r\n",
    Verb.SEND: b"SEND FROM:<EAK@MIT-MC.ARPA>\r\n",
    Verb.SOML: b"SOML FROM:<>\r\n",
    Verb.SAML: b"SAML FROM:<@ONE,@TWO:JOE@THREE>\r\n",
    Verb.RCPT: b"RCPT TO:<Jones@Beta.ARPA>\r\n",
    Verb.DATA: b"DATA\r\n",
    Verb.END_OF_DATA: b".\r\n",  # of an empty message (AMB-38)
    Verb.RSET: b"RSET\r\n",
    Verb.VRFY: b"VRFY Smith\r\n",
    Verb.EXPN: b"EXPN Example-People\r\n",
    Verb.HELP: b"HELP MAIL\r\n",
    Verb.NOOP: b"NOOP\r\n",
    Verb.QUIT: b"QUIT\r\n",
    Verb.TURN: b"TURN\r\n",
}
"""Those commands on the wire, and the end of an empty message."""

# All that the tables have: TURN implemented, and a greeting that refuses (RFC 5321 3.1).
WHOLE: Final[Dialect] = attrs.evolve(
    RFC821,
    name="all of the tables",
    off=frozenset(),
    additions={**ADDITIONS, Verb.CONNECT: {554: "RFC 5321 3.1: no mail is taken here"}},
)

_READY: Final = ((Verb.CONNECT, 220), (Verb.HELO, 250))
_RCPT: Final = (*_READY, (Verb.MAIL, 250), (Verb.RCPT, 250))
WAYS: Final[Mapping[State, tuple[tuple[Verb, int], ...]]] = {
    State.OPENING: (),
    State.REFUSED: ((Verb.CONNECT, 554),),
    State.INITIAL: _READY[:1],
    State.READY: _READY,
    State.MAIL: _RCPT[:3],
    State.RCPT: _RCPT,
    State.DATA: (*_RCPT, (Verb.DATA, 354)),
    State.TURNED: (*_READY, (Verb.TURN, 250)),
    State.CLOSED: (*_READY, (Verb.QUIT, 221)),
}
"""A way to each state: what was answered, and how."""


def answer(code: int) -> Reply:
    """A reply with a text of its own, and the path that 251 and 551 carry (3.2)."""
    if code in (251, 551):
        return Reply.forward(code, Path("<Jones@USC-ISI.ARPA>"))
    return Reply(code, "text")


def ask(receiver: Receiver, data: bytes) -> Event | Pause:
    """Feed bytes, and take the first event that they make."""
    receiver.receive_data(data)
    return receiver.next_event()


def answered(sender: Sender, data: bytes) -> Event | Pause:
    """Feed the bytes of a reply, and take the first event that they make."""
    sender.receive_data(data)
    return sender.next_event()


def step(receiver: Receiver, verb: Verb, code: int) -> bytes:
    """Let a receiver be asked, and answer; what it wrote."""
    if verb is not Verb.CONNECT:
        receiver.receive_data(LINES[verb])
    receiver.next_event()
    assert receiver.reply_owed is verb
    receiver.reply(answer(code))
    return receiver.data_to_send()


def say(sender: Sender, verb: Verb) -> bytes:
    """Let a sender say what a verb stands for; what it wrote."""
    if verb is Verb.END_OF_DATA:
        sender.end_data()
    elif verb is not Verb.CONNECT:
        sender.send(EXAMPLES[verb])
    return sender.data_to_send()


def receiver_at(state: State, dialect: Dialect = WHOLE) -> Receiver:
    """A receiver in a state, with nothing left to send."""
    receiver = Receiver(HOST, dialect)
    for verb, code in WAYS[state]:
        step(receiver, verb, code)
    assert receiver.state is state
    return receiver


def sender_at(state: State, dialect: Dialect = WHOLE) -> Sender:
    """A sender in a state, with nothing left to send."""
    sender = Sender(dialect)
    for verb, code in WAYS[state]:
        say(sender, verb)
        answered(sender, b"%d text\r\n" % code)
    assert sender.state is state
    return sender


def cut(data: bytes, *sizes: int) -> Iterator[bytes]:
    """The data in pieces of these sizes, and the rest, if any, in one."""
    start = 0
    for size in (*sizes, len(data)):
        if piece := data[start : start + size]:
            yield piece
        start += size
