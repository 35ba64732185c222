"""The targets: each takes any octets, and raises where something does not hold.

An input has a head, which decides how the rest of it is cut, and which of some choices is made;
so whatever decides how a run goes is in the input. What has to hold, for all of them: only
documented events and errors come of it, the cut makes no difference, memory has a bound.

A target is a row of `TARGETS`: a function, and the texts that its seeds are made of.
"""

from __future__ import annotations

import functools
import gc
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import attrs

from smtp821 import (
    NEED_COMMAND,
    NEED_DATA,
    RFC821,
    RFC821_LENIENT,
    Closed,
    Command,
    Connected,
    Data,
    Dialect,
    Domain,
    EndOfData,
    Event,
    Expn,
    Grammar,
    Helo,
    Limits,
    LocalProtocolError,
    Mail,
    Mailbox,
    MailData,
    Noop,
    Path,
    Policy,
    Quit,
    Rcpt,
    Receiver,
    Rejected,
    RemoteProtocolError,
    Replied,
    Reply,
    Rset,
    Sender,
    State,
    Turn,
    Turned,
    Verb,
)
from smtp821.protocol.grammar import STRICT
from smtp821.protocol.lines import LineReader
from smtp821.protocol.replies import ReplyReader
from smtp821.testing.pair import Answer, accept, joined, pull
from smtp821.testing.transcripts import Dialogue, Role, TranscriptError, differences, parse

from ..driving import refuse_every, split_replies
from ..test_oracle import DIALECTS as ORACLE_DIALECTS
from ..test_oracle import both
from . import seeds

HEAD: Final = 6  # octets: two choices, and four sizes of pieces
SHARED: Final = (
    *(type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType),
    *(Dialect, Grammar),
)
SLACK: Final = 1 << 16  # octets beyond the bound: the parts of what was read
TURN: Final = b"\xff"  # between what a peer says before one command, and before the next

Judge = Callable[[bytes], None]


@attrs.frozen
class Target:
    """What is run on any input, and what to begin with."""

    run: Judge
    seeds: Callable[[], Iterable[bytes]]
    """Inputs without their head."""

    def corpus(self) -> Iterator[bytes]:
        """The seeds as inputs: each whole, and in pieces."""
        for number, seed in enumerate(dict.fromkeys(self.seeds())):
            yield bytes((number % len(DIALECTS), 0, 0, 0, 0, 0)) + seed
            yield bytes((number % len(DIALECTS), number % 4, 1, 2, 5, 3)) + seed


# Dialects that differ in what they refuse, and one whose bounds are soon reached.
DIALECTS: Final[tuple[Dialect, ...]] = (
    RFC821,
    RFC821_LENIENT,
    attrs.evolve(
        RFC821.offering(Verb), bare_newlines=Policy.REFUSE, foreign_words=frozenset({b"GET"})
    ),
    attrs.evolve(
        RFC821_LENIENT,
        eight_bit=Policy.REFUSE,
        limits=Limits(recipients=1, message=100, errors=3, reply_lines=2),
    ),
)


def held(root: object) -> int:
    """Octets and characters that an object holds, in whatever it refers to.

    What all sessions share is left out: classes, functions, modules, the tables of a dialect.
    """
    seen, todo, total = {id(root)}, [root], 0
    while todo:
        for one in gc.get_referents(todo.pop()):
            if id(one) in seen or isinstance(one, SHARED):
                continue
            seen.add(id(one))
            if isinstance(one, (bytes, bytearray, str)):
                total += len(one)
            else:
                todo.append(one)
    return total


def head(data: bytes) -> tuple[bytes, bytes]:
    """The head of an input, filled up with zeros, and the rest."""
    return data[:HEAD].ljust(HEAD, b"\0"), data[HEAD:]


def cut(sizes: bytes, stream: bytes) -> list[bytes]:
    """A stream in pieces of these sizes, over and over; 0 is what is left."""
    pieces = []
    number = 0
    while stream:
        size = sizes[number % len(sizes)] or len(stream)
        pieces.append(stream[:size])
        stream = stream[size:]
        number += 1
    return pieces


# The receiver.


def receiver(data: bytes) -> None:
    """Anything that a client can say to a Receiver, whatever the application answers."""
    choices, stream = head(data)
    dialect = DIALECTS[choices[0] % len(DIALECTS)]
    answer = choices[1] % 4 + 1
    whole = received(dialect, [stream] if stream else [], answer)
    assert received(dialect, cut(choices[2:], stream), answer) == whole
    events, output = whole
    owed = [e for e in events if isinstance(e, (Command, Connected, EndOfData, Rejected))]
    assert len(split_replies(output)) == len(owed)  # one for each, well-formed (4.2)
    assert len(owed) <= stream.count(b"\r\n") + 1


def received(dialect: Dialect, pieces: list[bytes], answer: int) -> tuple[list[Event], bytes]:
    """What a Receiver makes of pieces, and of the end of file: the events, and its output."""
    receiver = Receiver("BBN-UNIX.ARPA", dialect)
    answers: Answer = refuse_every(answer) if answer > 1 else accept
    events = pull(receiver, answers)
    output = [receiver.data_to_send()]
    for number, piece in enumerate((*pieces, b"")):
        if isinstance(events[-1], (Closed, Turned)):
            break
        receiver.receive_data(piece)
        new = pull(receiver, answers)
        longest = max((len(e.data) for e in new if isinstance(e, MailData)), default=0)
        assert longest <= len(piece) + 4
        events += new
        output.append(receiver.data_to_send())
        if not number % 16:
            names = sum(len(path.text) for path in getattr(receiver.envelope, "forward_paths", ()))
            bound = dialect.limits.command_line + 3 * len(piece) + names
            assert held(receiver) <= bound + SLACK
    return joined(events), b"".join(output)


# The sender.

COMMANDS: Final[tuple[Command, ...]] = (
    Helo("x"), Mail("<a@x>"), Rcpt("<b@y>"), Rcpt("<c@y>"), Data(), Rset(), Noop(), Expn("z"),
    Turn(), Quit(),
)  # fmt: skip


def sender(data: bytes) -> None:
    """Anything that a server can say to a Sender, turn by turn."""
    choices, stream = head(data)
    dialect = DIALECTS[choices[0] % len(DIALECTS)]
    turns = stream.split(TURN)
    whole = sent(dialect, [[turn] for turn in turns], choices[1])
    assert sent(dialect, [cut(choices[2:], turn) for turn in turns], choices[1]) == whole


def sent(dialect: Dialect, turns: list[list[bytes]], start: int) -> list[object]:
    """What comes of it: the events, what is written, and the errors, in words."""
    sender = Sender(dialect)
    seen: list[object] = []
    limits = dialect.limits
    try:
        for number, pieces in enumerate((*turns, [b""])):
            for piece in pieces:
                if piece or number == len(turns):
                    sender.receive_data(piece)
            seen += heard(sender)
            bound = limits.reply_line * limits.reply_lines + 3 * sum(map(len, pieces))
            assert held(sender) <= bound + SLACK
            if seen and isinstance(seen[-1], (Closed, Turned)):
                break
            said(sender, start + number, seen)
    except RemoteProtocolError as error:
        seen.append(str(error))
    assert sender.data_to_send() == b""
    return seen


def heard(sender: Sender) -> Iterator[object]:
    """The events that there are, up to the first that comes again and again."""
    while (event := sender.next_event()) not in (NEED_COMMAND, NEED_DATA):
        yield event
        if isinstance(event, (Closed, Turned)):
            return
        assert isinstance(event, Replied)
        assert 200 <= event.reply.code <= 599


def said(sender: Sender, number: int, seen: list[object]) -> None:
    """Say the next thing, if it is the time for it; keep what was written, or the refusal."""
    try:
        if sender.state is State.DATA:
            sender.send_data(b".a\r\n")
            sender.end_data()
        else:
            sender.send(COMMANDS[number % len(COMMANDS)])
    except LocalProtocolError as error:
        seen.append(str(error))
        assert not sender.data_to_send()
    written = sender.data_to_send()
    assert not written or written.endswith(b"\r\n")
    seen.append(written)


# The reader of replies.


def replies(data: bytes) -> None:
    """Anything, as replies: each that is read can be written, and is the same when read again."""
    choices, stream = head(data)
    limits = DIALECTS[choices[0] % len(DIALECTS)].limits
    whole = read(limits, [stream])
    assert read(limits, cut(choices[2:], stream)) == whole
    for reply in whole:
        if isinstance(reply, Reply):
            assert 200 <= reply.code <= 599
            assert 1 <= len(reply.lines) <= limits.reply_lines
            again = read(limits, [reply.to_bytes(limits)])
            assert [getattr(one, "code", one) for one in again] == [reply.code]


def read(limits: Limits, pieces: list[bytes]) -> list[Reply | str]:
    """The replies in the pieces, and the error that ends them."""
    lines = LineReader(limits.reply_line)
    reader = ReplyReader(lines, limits)
    found: list[Reply | str] = []
    try:
        for piece in pieces:
            lines.feed(piece)
            while (reply := reader.next_reply()) is not None:
                found.append(reply)
            bound = limits.reply_line * (limits.reply_lines + 1) + len(piece)
            assert held(reader) <= bound + SLACK
    except RemoteProtocolError as error:
        found.append(str(error))
    return found


# Paths, and command lines.


def paths(data: bytes) -> None:
    """Any text, as a domain, a mailbox, a path, and as each command line.

    What is taken keeps its text, has its parts, and is taken again when put together from them.
    """
    text = data[HEAD:].decode("latin-1")
    for kind, production in ((Domain, "domain"), (Mailbox, "mailbox"), (Path, "any-path")):
        derived = STRICT.pattern(production).fullmatch(text) is not None
        try:
            assert str(kind(text)) == text
            assert derived
        except LocalProtocolError:
            assert not derived
    if STRICT.pattern("path").fullmatch(text):
        taken_apart(Path(text))
    for dialect in DIALECTS:
        for word, syntax in dialect.syntaxes.items():
            tail = data[HEAD:].removeprefix(word)
            command = syntax.parse(tail, dialect.limits)
            if isinstance(command, Command):
                line = bytes(command)
                assert line.isascii()
                assert line.count(b"\r\n") == 1
                assert syntax.parse(line[4:-2], dialect.limits) == command


def taken_apart(path: Path) -> None:
    """See that the parts of a path make that path."""
    assert path.mailbox is not None
    assert Path.of(path.mailbox.text, *(host.text for host in path.route)).text == path.text
    assert f"{path.mailbox.local_part}@{path.mailbox.domain}" == path.mailbox.text
    assert len(path.mailbox.user) <= len(path.mailbox.local_part)


# Transcripts.


def transcripts(data: bytes) -> None:
    """Any text, as a transcript: what is read prints, reads again, and says what it said."""
    text = data[HEAD:].decode("latin-1")
    try:
        dialogue = parse(text)
    except TranscriptError as error:
        if error.line > text.count("\n") + 1:  # it has to be a line that there is
            raise
        return
    assert parse(str(dialogue)) == dialogue
    assert differences(dialogue, dialogue) == []
    again = Dialogue.of(dialogue.blocks())
    assert [again.said(role) for role in Role] == [dialogue.said(role) for role in Role]


# The Receiver beside the oracle.


def oracle(data: bytes) -> None:
    """Anything that a client can say, to a Receiver and to RFC 821 read naively."""
    choices, stream = head(data)
    dialect = ORACLES[choices[0] % len(ORACLES)]
    numbers = [0] * (choices[1] % 8) + [choices[1] // 8]  # success, then another answer once
    both(dialect, cut(choices[2:], stream), numbers, kind=Receiver)


ORACLES: Final = tuple(ORACLE_DIALECTS.values())

TARGETS: Final[Mapping[str, Target]] = {
    "receiver": Target(receiver, seeds.client_streams),
    "sender": Target(sender, functools.partial(seeds.server_streams, TURN)),
    "replies": Target(replies, functools.partial(seeds.server_streams, b"")),
    "paths": Target(paths, seeds.command_texts),
    "transcripts": Target(transcripts, seeds.transcripts),
    "oracle": Target(oracle, seeds.client_streams),
}
