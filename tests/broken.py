"""Servers that are broken, each in one way, for what is to find that; and one that is sound."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

import attrs

from smtp821 import (
    ORDER,
    RFC821,
    TRANSITIONS,
    Data,
    Dialect,
    EndOfData,
    Envelope,
    Expn,
    Handler,
    MailData,
    Outcome,
    Policy,
    Rcpt,
    Reply,
    State,
    TransactionCommand,
    Turn,
    Verb,
    Vrfy,
)
from smtp821.testing.connections import Connection, HandlerConnection
from smtp821.testing.model import Kind

HOST: Final = "local.example"
PASSING: Final = attrs.evolve(RFC821, eight_bit=Policy.PASS)


class Everything(Handler):
    """Takes all mail, implements all commands, and keeps the last message."""

    last: tuple[Envelope, bytes] | None = None

    def __init__(self, peer: str) -> None:
        super().__init__(peer)
        self.begun = bytearray()

    def rcpt(self, command: Rcpt) -> Reply | None:
        """Everybody is known."""
        return None

    def data(self, command: Data) -> Reply | None:
        """A message begins."""
        self.begun.clear()
        return None

    def mail_data(self, event: MailData) -> None:
        """A piece of it."""
        self.begun += event.data

    def end_of_data(self, event: EndOfData) -> Reply | None:
        """It is kept."""
        type(self).last = event.envelope, bytes(self.begun)
        return None

    def soml(self, command: TransactionCommand) -> None:
        """As MAIL."""
        return

    send = saml = soml

    def vrfy(self, command: Vrfy) -> Reply:
        """There is one user."""
        return Reply(250, "A. User <user@local.example>")

    def expn(self, command: Expn) -> Reply:
        """There is one list."""
        return Reply(250, ("<a@x>", "B <@ONE:b@x>"))

    def turn(self, command: Turn) -> None:
        """The roles may change."""
        return


Hear = Callable[["Broken", bytes], bytes]
Speak = Callable[["Broken", bytes, bytes], bytes]


class Broken:
    """A sound server behind something that is not.

    hear: what is made of what is said, before the server has it.
    speak: what is made of what it was given, and what it answers.
    """

    def __init__(
        self,
        dialect: Dialect = PASSING,
        hear: Hear = lambda self, said: said,
        speak: Speak = lambda self, said, came: came,
    ) -> None:
        self.server = HandlerConnection(Everything("peer"), HOST, dialect)
        self.hear, self.speak = hear, speak
        self.mute = False

    @property
    def state(self) -> State:
        """Where the server stands."""
        return self.server.conversation.receiver.state

    def exchange(self, data: bytes, *, awaited: bool) -> bytes:
        """Through both."""
        heard = self.hear(self, data)
        return self.speak(self, data, self.server.exchange(heard, awaited=awaited))

    def closed(self) -> bool | None:
        """As the server does."""
        return self.server.closed()

    def close(self) -> None:
        """End."""
        self.server.close()


class LeftOpen(Broken):
    """Does not close the connection."""

    def closed(self) -> bool:
        """No."""
        return False


class Lost(Broken):
    """Closes the connection when it hears of something unknown, without a word."""

    def exchange(self, data: bytes, *, awaited: bool) -> bytes:
        """What it hears of is answered, or the end."""
        came = super().exchange(data, awaited=awaited)
        return b"" if came.startswith(b"500") else came

    def closed(self) -> bool:
        """Yes."""
        return True


def to(word: bytes, pattern: bytes, replacement: bytes) -> Speak:
    """Change the replies to a command."""

    def speak(self: Broken, said: bytes, came: bytes) -> bytes:
        if not said.upper().startswith(word):
            return came
        return re.sub(pattern, replacement, came)

    return speak


def out_of_order(*verbs: Verb, states: tuple[State, ...]) -> Dialect:
    """A dialect that takes commands where they are out of sequence."""
    order = {**ORDER, **{state: ORDER[state] | set(verbs) for state in states}}
    moves = {
        (Verb.MAIL, Outcome.SUCCESS): State.MAIL,
        (Verb.RCPT, Outcome.SUCCESS): State.RCPT,
        (Verb.DATA, Outcome.INTERMEDIATE): State.DATA,
    }
    more = {
        (state, verb, result): after
        for (verb, result), after in moves.items()
        for state in states
        if verb in verbs
    }
    return attrs.evolve(PASSING, order=order, transitions={**more, **TRANSITIONS})


def without(*edges: tuple[State, Verb]) -> Dialect:
    """A dialect that lacks transitions of success."""
    transitions = {
        edge: after
        for edge, after in TRANSITIONS.items()
        if edge[:2] not in edges or edge[2] is Outcome.CLOSING
    }
    return attrs.evolve(PASSING, transitions=transitions)


def in_data(change: Callable[[bytes], bytes]) -> Hear:
    """Change mail data."""
    return lambda self, said: change(said) if self.state is State.DATA else said


def answered_line_by_line(self: Broken, said: bytes, came: bytes) -> bytes:
    """A reply to each line of mail data."""
    if self.state is State.DATA and not came and said.endswith(b"\n"):
        return b"250 OK\r\n"
    return came


def at_once(self: Broken, said: bytes) -> bytes:
    """A line is taken to be complete before its end has come."""
    if self.state is not State.DATA and said[:4].upper() in (b"NOOP", b"HELP"):
        return said.rstrip(b"\r\n") + b"\r\n"
    return said


def only_upper_case(self: Broken, said: bytes) -> bytes:
    """Words of commands are not known in lower case."""
    return b"X" + said if self.state is not State.DATA and said[:1].islower() else said


def at_line_feeds(self: Broken, said: bytes) -> bytes:
    """A line ends at LF, whatever goes before it."""
    if self.state is State.DATA or said == b"\n":
        return said
    return re.sub(rb"(?<!\r)\n", b"\r\n", said)


def in_two(self: Broken, said: bytes) -> bytes:
    """A line that is too long is read as two."""
    if self.state is State.DATA or len(said) <= 600:
        return said
    return said[:510] + b"\r\n" + said[510:]


def deaf_behind_a_piece(self: Broken, said: bytes) -> bytes:
    """The end of mail data is seen only if it comes in one piece."""
    if self.state is not State.DATA:
        return said
    return said if said.endswith(b"\r\n.\r\n") or said == b".\r\n" else said.replace(b"\n", b"\r")


# What comes of it where the end of mail data is seen too early or too late, or not: one of these.
ASTRAY: Final = {Kind.NO_REPLY, Kind.SECOND_REPLY, Kind.UNASKED, Kind.DELIVERY}

BROKEN: Final[Mapping[str, tuple[Callable[[], Connection], set[Kind]]]] = {
    "a greeting of another code": (
        lambda: Broken(speak=lambda self, said, came: came.replace(b"220", b"250")),
        {Kind.CODE},
    ),
    "a greeting without a name": (
        lambda: Broken(speak=lambda self, said, came: came.replace(b"220 local.", b"220 _")),
        {Kind.TEXT},
    ),
    "another name in the reply to HELO": (
        lambda: Broken(speak=to(b"HELO", rb"local.example", b"other.example")),
        {Kind.TEXT},
    ),
    "a wrong code": (lambda: Broken(speak=to(b"NOOP", b"250", b"251")), {Kind.CODE}),
    "a success for an unknown word": (lambda: Broken(speak=to(b"", b"500", b"250")), {Kind.CODE}),
    "a refusal of what is needed": (
        lambda: Broken(speak=to(b"RSET", b"250 OK", b"502 no")), {Kind.CODE},
    ),
    "two replies": (lambda: Broken(speak=to(b"RSET", b"(.*\r\n)", rb"\1\1")), {Kind.SECOND_REPLY}),
    "no reply": (lambda: Broken(speak=to(b"RSET", b".*\r\n", b"")), {Kind.NO_REPLY}),
    "a reply without its end": (lambda: Broken(speak=to(b"NOOP", b"\r\n", b"")), {Kind.MALFORMED}),
    "a reply in lines of LF": (lambda: Broken(speak=to(b"NOOP", b"\r\n", b"\n")), {Kind.MALFORMED}),
    "a reply of octets over 127": (
        lambda: Broken(speak=to(b"HELP", b"Commands", b"Bef\xe9hle")), {Kind.MALFORMED},
    ),
    "lines of different codes": (
        lambda: Broken(speak=to(b"EXPN", b"250 ", b"251 ")), {Kind.MALFORMED},
    ),
    "no mailbox for VRFY": (lambda: Broken(speak=to(b"VRFY", b"<.*>", b"")), {Kind.TEXT}),
    "no path in 251": (
        lambda: Broken(speak=to(b"RCPT", b"250 OK", b"251 forwarded")), {Kind.TEXT},
    ),
    "a reply in mail data": (lambda: Broken(speak=answered_line_by_line), {Kind.UNASKED}),
    "a reply before the line ends": (lambda: Broken(hear=at_once), {Kind.UNASKED}),
    "mail data that LF.LF ends": (
        lambda: Broken(hear=in_data(lambda data: data.replace(b"\n.\n", b"\r\n.\r\n"))),
        ASTRAY,
    ),
    "mail data that CR.CR ends": (
        lambda: Broken(hear=in_data(lambda data: data.replace(b"\r.\r", b"\r\n.\r\n"))),
        ASTRAY,
    ),
    "mail data that is read as commands": (
        lambda: Broken(hear=in_data(lambda data: data.replace(b"\r\nQUIT", b"\r\n.\r\nQUIT"))),
        {Kind.UNASKED, Kind.SECOND_REPLY},
    ),
    "mail data whose end is missed in pieces": (
        lambda: Broken(hear=deaf_behind_a_piece), ASTRAY,
    ),
    "a dot that is not taken away": (
        lambda: Broken(hear=in_data(lambda data: data.replace(b"\r\n..", b"\r\n..."))),
        {Kind.DELIVERY},
    ),
    "a dot of the first line that is not taken away": (
        lambda: Broken(hear=in_data(lambda data: b"." + data if data[:2] == b".." else data)),
        {Kind.DELIVERY},
    ),
    "line ends that are converted": (
        lambda: Broken(hear=in_data(lambda data: re.sub(rb"(?<!\r)\n", b"\r\n", data))),
        ASTRAY,
    ),
    "octets that lose their high bit": (
        lambda: Broken(hear=in_data(lambda data: bytes(octet & 127 for octet in data))),
        ASTRAY,
    ),
    "octets that are lost": (
        lambda: Broken(hear=in_data(lambda data: data.replace(b"\0", b""))), {Kind.DELIVERY},
    ),
    "RSET that keeps the transaction": (
        lambda: Broken(without((State.MAIL, Verb.RSET), (State.RCPT, Verb.RSET))), {Kind.CODE},
    ),
    "HELO that keeps the transaction": (
        lambda: Broken(without((State.MAIL, Verb.HELO), (State.RCPT, Verb.HELO))), {Kind.CODE},
    ),
    "HELO that is not kept in mind": (
        lambda: Broken(without((State.INITIAL, Verb.HELO))), {Kind.CODE},
    ),
    "MAIL without HELO": (
        lambda: Broken(out_of_order(Verb.MAIL, states=(State.INITIAL,))), {Kind.CODE},
    ),
    "RCPT without MAIL": (
        lambda: Broken(out_of_order(Verb.RCPT, states=(State.READY,))), {Kind.CODE},
    ),
    "DATA without RCPT": (
        lambda: Broken(out_of_order(Verb.DATA, states=(State.MAIL,))), {Kind.CODE},
    ),
    "recipients kept behind a second MAIL": (
        lambda: Broken(attrs.evolve(
            PASSING, order={**ORDER, State.RCPT: ORDER[State.RCPT] | {Verb.MAIL}}
        )),
        {Kind.CODE, Kind.DELIVERY},
    ),
    "words in upper case only": (lambda: Broken(hear=only_upper_case), {Kind.CODE}),
    "LF as the end of a line": (
        lambda: Broken(hear=at_line_feeds), {Kind.SECOND_REPLY, Kind.UNASKED},
    ),
    "a long line in two": (lambda: Broken(hear=in_two), {Kind.SECOND_REPLY}),
    "junk behind a path": (
        lambda: Broken(hear=lambda self, said: said.replace(b"> SIZE=1", b">")), {Kind.CODE},
    ),
    "open behind QUIT": (LeftOpen, {Kind.OPEN}),
    "closed without a word": (Lost, {Kind.LOST}),
}  # fmt: skip
