"""Text from anywhere, as the argument of a command and as the text of a reply.

Whatever the text, a command is one line of the strict grammar, or a LocalProtocolError with which
nothing was written and nothing has changed; and a reply is one well-formed reply of its code. The
texts are full of what has a meaning to SMTP, and of letters that become it where somebody keeps
only their last eight bits. `--deep` tries 20,000 texts for each test, the ordinary run 150.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smtp821 import (
    COMMANDS,
    NEED_COMMAND,
    NEED_DATA,
    NEED_REPLY,
    RFC821,
    RFC821_LENIENT,
    STANDARD_TEXTS,
    Code,
    Command,
    Dialect,
    Domain,
    LocalProtocolError,
    Mail,
    Path,
    Rcpt,
    Receiver,
    Reply,
    Sender,
    State,
    TransactionCommand,
    Verb,
)
from smtp821.protocol.grammar import STRICT, Grammar
from smtp821.testing.pair import accept, pull

from .driving import EVERYTHING, HOST, receiver_in, sender_in, split_replies

COMMON: Final = settings.default
assert COMMON is not None
EXAMPLES: Final = 20_000 if COMMON.max_examples > 100 else 150
Count = Callable[[str, int], None]
many = settings(COMMON, max_examples=EXAMPLES)

# Texts.

SPECIAL: Final = '\r\n\0<>@:,\\". \t\x7f'
# 10, 13 and the like in the last eight bits of a letter, or where NFKC puts one for another.
TRUNCATED: Final = "".join(
    chr(page << 8 | ord(octet))
    for page in (0x01, 0x02, 0x56, 0xFF, 0x1F6)
    for octet in "\r\n\0<>@:"
)
LOOKALIKE: Final = "\x85\u2028\u2029\u2024\ufe52\uff0e\uff1c\uff1e\uff20\ufe6b\u037e\ua789\u2000"
WORDS: Final = (
    "\r\n", "\r\n.\r\n", "\n.\n", "<a@b>", "<@a,@b:c@d>", "a@b", '"a b"@c', "\r\nRCPT TO:<c@d>",
    "\r\nDATA\r\n", "QUIT", "250 ", "250-", "\r\n250 OK\r\n", "\u560d\u560a", "\u010d\u010aQUIT",
    "\ud80d\udc0a", "x" * 64, "x" * 250, "x" * 500, "[1.2.3.4]", "#1",
)  # fmt: skip
texts = st.lists(
    st.one_of(
        st.sampled_from(SPECIAL),
        st.sampled_from(SPECIAL),
        st.sampled_from(TRUNCATED + LOOKALIKE),
        st.sampled_from("abcXYZ019-"),
        st.sampled_from(WORDS),
        st.characters(),
    ),
    max_size=12,
).map("".join)
"""Any text, most of it such as could end a line, a path or a word."""
some_texts = st.lists(texts, min_size=1, max_size=3)

FORMS: Final[tuple[Callable[[str], str], ...]] = (
    str,
    "<{}>".format,
    "<{}@x>".format,
    '<"{}"@x>'.format,
    "<a@{}>".format,
    "<@{}:a@b>".format,
    "<a@b>{}".format,
    "a{}a".format,
)
"""Where in an argument the text is."""
SOUND: Final = (
    "USC-ISIF.ARPA", "[10.0.0.27]", "Smith", "<Smith@USC-ISIF.ARPA>", "<@ONE,@TWO:JOE@THREE>",
    '<"Joe, Smith"@x>', "<Joe\\,Smith@x>", "<>", "<Postmaster>",
)  # fmt: skip


@st.composite
def changed(draw: st.DrawFn) -> str:
    """A sound argument with one thing put into it, or in the place of one of its letters."""
    sound = draw(st.sampled_from(SOUND))
    at = draw(st.integers(0, len(sound)))
    there = draw(st.one_of(st.sampled_from(SPECIAL + TRUNCATED), st.sampled_from(WORDS), texts))
    return sound[:at] + there + sound[at + draw(st.integers(0, 1)) :]


arguments = st.one_of(
    st.builds(lambda text, form: form(text), texts, st.sampled_from(FORMS)),
    changed(),
    st.sampled_from(SOUND),
)


def test_letters_that_truncate() -> None:
    """They are no ASCII, and keeping their last octet would make them what they must not be."""
    assert {ord(letter) & 0xFF for letter in TRUNCATED} == set(b"\r\n\0<>@:")
    assert {"\u010d", "\u010a", "\u560d", "\u560a"} <= set(TRUNCATED)
    assert not any(letter.isascii() for letter in TRUNCATED + LOOKALIKE)


# Commands.

WITH_ARGUMENT: Final[list[Any]] = [cls for cls in COMMANDS if attrs.fields(cls)]
WHERE: Final = {Verb.HELO: State.INITIAL, Verb.RCPT: State.MAIL, Verb.DATA: State.RCPT}
DIALECTS: Final = (EVERYTHING, RFC821_LENIENT.offering(Verb))
SENDERS: Final = {
    (verb, dialect.name): sender_in(WHERE.get(verb, State.READY), dialect)
    for verb in (cls.verb for cls in WITH_ARGUMENT)
    for dialect in DIALECTS
}
every_command = pytest.mark.parametrize("cls", WITH_ARGUMENT, ids=lambda cls: cls.__name__)
either_dialect = st.sampled_from(DIALECTS)


def forged(cls: Any, argument: object) -> Any:
    """A value of one field that nobody has checked."""
    value = cls.__new__(cls)
    object.__setattr__(value, attrs.fields(cls)[0].name, argument)
    return value


def write(command: Command, dialect: Dialect) -> bytes | None:
    """The line that a sender writes, once; None if it has refused, and is as it was."""
    sender = SENDERS[command.verb, dialect.name]
    state, envelope = sender.state, sender.envelope
    try:
        sender.send(command)
    except LocalProtocolError:
        assert sender.data_to_send() == b""
        assert (sender.state, sender.envelope, sender.awaiting) == (state, envelope, None)
        assert sender.next_event() is NEED_COMMAND
        return None
    line = sender.data_to_send()
    assert sender.awaiting is command.verb
    assert sender.next_event() is NEED_DATA
    sender.receive_data(b"550 no\r\n")  # which leaves it where it was, for the next text
    sender.next_event()
    assert (sender.state, sender.envelope) == (state, envelope)
    return line


def is_one_line(line: bytes, verb: Verb, dialect: Dialect, grammar: Grammar) -> None:
    """See that this is one line of a grammar, and that a receiver reads it so."""
    assert len(line) <= dialect.limits.command_line
    assert line.index(b"\r\n") == len(line) - 2
    assert line[:-2].isascii()
    assert line[:-2].decode().isprintable()
    assert grammar.pattern(f"command:{verb}").fullmatch(line.decode("ascii"))
    receiver = receiver_in(WHERE.get(verb, State.READY), dialect)
    receiver.receive_data(line)
    command = receiver.next_event()
    assert isinstance(command, Command)
    assert bytes(command) == line
    assert receiver.next_event() is NEED_REPLY


@every_command
@many
@given(argument=arguments, dialect=either_dialect)
def test_any_text_in_a_command(cls: Any, argument: str, dialect: Dialect, count: Count) -> None:
    """4.1.2: one line of the strict grammar that says just this, or a refusal at the door."""
    count(f"texts as the argument of {cls.verb}", 1)
    try:
        command = cls(argument)
    except LocalProtocolError:
        return
    if line := write(command, dialect):
        count("arguments that became a line", 1)
        is_one_line(line, cls.verb, dialect, STRICT)
        assert argument in line.decode("ascii")


@every_command
@many
@given(argument=arguments, dialect=either_dialect)
def test_any_text_in_a_value_that_nobody_checked(
    cls: Any, argument: str, dialect: Dialect, count: Count
) -> None:
    """4.1.2: what is sent is read first, as a receiver would: forged, it is one line as well."""
    count("texts in forged values", 1)
    for value in (argument, forged(Domain, argument), forged(Path, argument)):
        if line := write(forged(cls, value), dialect):
            is_one_line(line, cls.verb, dialect, dialect.grammar)


@many
@given(mailbox=texts, route=st.lists(texts, max_size=2))
def test_any_text_in_the_parts_of_a_path(mailbox: str, route: list[str], count: Count) -> None:
    """3.6: a path of parts is of these parts, or is none: no text becomes two hosts, or a user."""
    count("texts as the parts of a path", 1)
    for local in (mailbox, f"{mailbox}@x", f"a@{mailbox}"):
        try:
            path = Path.of(local, *route)
        except LocalProtocolError:
            continue
        assert path.mailbox is not None
        assert (str(path.mailbox), [str(host) for host in path.route]) == (local, route)
        for command in (Mail(path), Rcpt(path)):
            if line := write(command, EVERYTHING):
                is_one_line(line, command.verb, EVERYTHING, STRICT)


# Replies.


def written(reply: Reply, dialect: Dialect) -> bytes:
    """What is to be written of a reply: its lines, made safe by a slow and simple rule."""
    width = dialect.limits.reply_line - 6
    lines: list[str] = []
    for text in reply.lines:
        for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
            safe = "".join(letter if " " <= letter <= "~" else "?" for letter in line)
            lines += [safe[at : at + width] for at in range(0, len(safe), width)] or [""]
    marks = ["-"] * (len(lines) - 1) + [" "]
    return b"".join(
        f"{reply.code}{mark}{line}\r\n".encode("ascii")
        for mark, line in zip(marks, lines, strict=True)
    )


def is_one_reply(wire: bytes, code: int) -> None:
    """See that this is one well-formed reply of a code, and that a sender reads it so."""
    assert split_replies(wire) == [wire]
    assert {line[:3] for line in wire.splitlines()} == {b"%d" % code}
    sender = sender_in(State.READY)
    sender.send(Mail("<>"))
    sender.receive_data(wire)
    if code != Code.START_MAIL_INPUT:
        event: Any = sender.next_event()
        assert event.reply.code == code
        assert sender.next_event() is not NEED_DATA


@many
@given(code=st.sampled_from(Code), lines=some_texts, dialect=either_dialect)
def test_any_text_in_a_reply(code: Code, lines: list[str], dialect: Dialect, count: Count) -> None:
    """4.2, 4.5.3, Appendix E: printable ASCII, in lines of 512 octets, under one code."""
    count("texts of a reply", 1)
    reply = Reply(code, lines)
    wire = reply.to_bytes(dialect.limits)
    assert wire == written(reply, dialect)
    is_one_reply(wire, code)


RECEIVERS: Final = {
    Verb.CONNECT: b"",
    Verb.HELO: b"HELO x\r\n",
    Verb.MAIL: b"HELO x\r\nMAIL FROM:<>\r\n",
    Verb.RCPT: b"HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\n",
    Verb.DATA: b"HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\n",
    Verb.END_OF_DATA: b"HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\n.\r\n",
    **{
        cls.verb: b"HELO x\r\n" + bytes(cls("<>"))
        for cls in COMMANDS
        if issubclass(cls, TransactionCommand)
    },
    Verb.VRFY: b"VRFY x\r\n",
    Verb.EXPN: b"EXPN x\r\n",
    Verb.HELP: b"HELP\r\n",
    Verb.NOOP: b"NOOP\r\n",
    Verb.RSET: b"RSET\r\n",
    Verb.QUIT: b"QUIT\r\n",
}
"""What brings a receiver to owe a reply to each."""


def owing(verb: Verb) -> Receiver:
    """A receiver that owes a reply."""
    receiver = Receiver(HOST, EVERYTHING)
    if verb is not Verb.CONNECT:
        receiver.receive_data(RECEIVERS[verb])
    while receiver.next_event() is not NEED_REPLY or receiver.reply_owed is not verb:
        if receiver.reply_owed not in (None, verb):
            accept(receiver)
    receiver.data_to_send()
    return receiver


@many
@given(verb=st.sampled_from(sorted(RECEIVERS)), data=st.data(), lines=some_texts)
def test_any_text_in_an_answer(
    verb: Verb, data: st.DataObject, lines: list[str], count: Count
) -> None:
    """4.2, 4.3: an application's text becomes one reply of its code, or is refused, unwritten."""
    count("texts of an answer", 1)
    receiver = owing(verb)
    state = receiver.state
    code = data.draw(st.sampled_from(sorted(EVERYTHING.codes[verb])))
    try:
        receiver.reply(code, *lines)
    except LocalProtocolError:
        assert code in (Code.WILL_FORWARD, Code.NOT_LOCAL)  # which has to carry a path
        assert (receiver.data_to_send(), receiver.state) == (b"", state)
        assert receiver.reply_owed is verb
        return
    assert receiver.reply_owed is None
    is_one_reply(receiver.data_to_send(), code)


@many
@given(code=st.sampled_from((Code.WILL_FORWARD, Code.NOT_LOCAL)), argument=arguments)
def test_any_text_in_a_forward_path(code: Code, argument: str, count: Count) -> None:
    """3.2: a reply carries the path that it was given, whole, or there is no such reply."""
    count("texts as the path of a reply", 1)
    try:
        path = Path(argument)
        reply = Reply.forward(code, path)
    except LocalProtocolError:
        return
    wire = reply.to_bytes(RFC821.limits)
    assert (
        wire == f"{code} {STANDARD_TEXTS[code]}\r\n".replace("{forward-path}", argument).encode()
        or len(argument) > 400
    )
    is_one_reply(wire, code)


@many
@given(lines=st.lists(texts, max_size=3), dialect=either_dialect)
def test_any_text_in_a_farewell(lines: list[str], dialect: Dialect, count: Count) -> None:
    """4.2.1: and so is what is said unasked."""
    count("texts of a farewell", 1)
    receiver = Receiver(HOST, dialect)
    pull(receiver)
    receiver.data_to_send()
    receiver.shutdown(*lines)
    is_one_reply(receiver.data_to_send(), Code.NOT_AVAILABLE)


def test_every_argument_is_tried() -> None:
    """Nine of the fourteen commands have an argument; each verb but TURN is answered here."""
    assert len(WITH_ARGUMENT) == 9
    assert set(RECEIVERS) == set(Verb) - {Verb.TURN}
    assert isinstance(SENDERS[Verb.HELO, EVERYTHING.name], Sender)
