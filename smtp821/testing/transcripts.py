"""Dialogues in the form of Appendix F: recorded, parsed, replayed in either role, compared.

A transcript is text, a row for each line that was said: `S: ` and what the sender said, or `R: `
and what the receiver did. `smtp821.transcript` prints it, as every adapter does for its option
`transcript`; `parse` makes a `Dialogue` of it, which prints as the same text. `replay` says one
side of a dialogue to whatever plays the other and gives the dialogue that came of it; `differences`
and `check` compare two of them, row by row.
"""

from __future__ import annotations

import contextlib
import difflib
import enum
import itertools
import re
import ssl
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, Final

import attrs

from ..client import AsyncClient
from ..protocol.dialect import RFC821, Dialect
from ..protocol.dots import DotDecoder
from ..protocol.errors import LocalProtocolError
from ..protocol.events import NEED_COMMAND, Closed, Pause, Turned
from ..protocol.sender import Sender
from ..protocol.sequencing import State
from ..transcript import Transcript, printable
from ..wire import Wire, run
from .pair import Cut, pieces, whole

__all__ = [
    "Dialogue",
    "Line",
    "Peer",
    "Role",
    "Speaker",
    "TranscriptError",
    "check",
    "differences",
    "parse",
    "replay",
    "replay_client",
]

Peer = Callable[[bytes], bytes]
"""What plays a role: takes bytes from the other side (b"" is the end of file), gives its answer.

Called first with the first bytes of the other side; the greeting is part of what it gives then.
"""


class Role(enum.StrEnum):
    """Who says a line."""

    SENDER = "S"
    RECEIVER = "R"


@attrs.frozen
class Line:
    """A row of a transcript; `str` gives its text."""

    role: Role
    """Who said it."""
    data: bytes
    """What was said, without CRLF."""
    goes_on: bool = False
    """Whether more of the line is in a later row of the same role, or it was never ended."""

    @property
    def wire(self) -> bytes:
        """What was said, with the CRLF if it is the end of a line."""
        return self.data if self.goes_on else self.data + b"\r\n"

    def __str__(self) -> str:
        return f"{self.role}: {printable(self.data)}{self.goes_on * _GOES_ON}"


@attrs.frozen
class Dialogue:
    """What two sides said to each other; `str` gives the text of the transcript."""

    lines: tuple[Line, ...]

    @classmethod
    def of(cls, said: Iterable[tuple[Role, bytes]]) -> Dialogue:
        """The dialogue of what was said, in that order and in any cut."""
        rows: list[str] = []
        transcript = Transcript(rows.append)
        show = {Role.SENDER: transcript.sender, Role.RECEIVER: transcript.receiver}
        for role, data in said:
            show[role](data)
        transcript.end()
        return parse(rows)

    def said(self, role: Role) -> bytes:
        """All that one side said, as it went over the channel."""
        return b"".join(line.wire for line in self.lines if line.role is role)

    def blocks(self) -> list[tuple[Role, bytes]]:
        """What was said, in turns: as much as one side says before the other does."""
        groups = itertools.groupby(self.lines, key=lambda line: line.role)
        return [(role, b"".join(line.wire for line in lines)) for role, lines in groups]

    def __str__(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)


# Reading.


class TranscriptError(ValueError):
    """A text that is no transcript."""

    def __init__(self, line: int, column: int, expected: str, found: str) -> None:
        super().__init__(f"line {line}, column {column}: expected {expected}, found {found!a}")
        self.line = line
        """The line of the text, from 1."""
        self.column = column
        """The character of the line, from 1."""
        self.expected = expected
        """What could stand there."""


_GOES_ON: Final = "\\"
_HEAD: Final = re.compile(r"[ \t]*([SR]):(?: |$)")
_PART: Final = re.compile(r"[ -\[\]-~]+|\\(?:[\\tnr]|x[0-9A-Fa-f]{2})")


def parse(text: str | Iterable[str]) -> Dialogue:
    """The dialogue of a transcript: a text, or its lines without their ends.

    Rows may be indented, and empty ones are passed over. Behind "S: " or "R: " stands printable
    ASCII, with \\\\, \\t, \\n, \\r and \\xHH for a backslash and what is not printable; a backslash
    at the end says that the line goes on. Dots are as they go over the channel: at the begin of a
    line of mail data, doubled (4.5.2). Raises TranscriptError.
    """
    rows = text.split("\n") if isinstance(text, str) else text
    numbered = enumerate(rows, 1)
    return Dialogue(tuple(_line(number, row) for number, row in numbered if row.strip(" \t")))


def _line(number: int, row: str) -> Line:
    head = _HEAD.match(row)
    if head is None:
        at = len(row) - len(row.lstrip(" \t"))
        raise TranscriptError(number, at + 1, '"S: " or "R: "', row[at : at + 3])
    at, goes_on, text = head.end(), False, ""
    while at < len(row):
        part = _PART.match(row, at)
        if part is None:
            goes_on = row[at:] == _GOES_ON
            if not goes_on:
                raise _misread(number, at, row)
            break
        text, at = text + part[0], part.end()
    data = text.encode("ascii").decode("unicode_escape").encode("latin-1")
    return Line(Role(head[1]), data, goes_on)


def _misread(number: int, at: int, row: str) -> TranscriptError:
    if row[at] == _GOES_ON:
        escapes = "\\\\, \\t, \\n, \\r or \\xHH, or the end of the row behind a backslash"
        return TranscriptError(number, at + 1, escapes, row[at : at + 4])
    return TranscriptError(number, at + 1, "printable ASCII, or an escape", row[at])


# Replaying.


def replay(
    dialogue: Dialogue, peer: Peer, role: Role = Role.RECEIVER, *, cut: Cut = whole
) -> Dialogue:
    """Say one side of a dialogue to a peer that plays the other; gives what came of it.

    peer: plays the role. `smtp821.testing.pair.Host` makes a receiver of a Handler, `Speaker` a
        sender; a function around anything else will do.
    cut: in which pieces the bytes arrive.

    In the end the peer is given the end of file. What it says to a turn, however that was cut,
    stands behind the turn; but a receiver's first reply, where it is to come first, stands first.
    """
    said: list[tuple[Role, bytes]] = []
    blocks = dialogue.blocks()
    greeted = not blocks or blocks[0][0] is not role
    for who, data in [*blocks, (None, b"")]:
        if who is role:
            continue
        answer = b"".join(map(peer, pieces(data, cut) if who is not None else [b""]))
        if not greeted:
            greeting, answer = _first_reply(answer)
            said.append((role, greeting))
            greeted = True
        if who is not None:
            said.append((who, data))
        said.append((role, answer))
    return Dialogue.of(said)


def _first_reply(data: bytes) -> tuple[bytes, bytes]:
    """A reply, with all its lines, and what is behind it."""
    end = 0
    for line in data.split(b"\r\n")[:-1]:
        end += len(line) + len(b"\r\n")
        if line[3:4] != b"-":
            break
    return data[:end], data[end:]


class Speaker:
    """A Sender that says what the sender says in a dialogue: a Peer for `replay`.

    dialogue: its commands are read as a Receiver of the dialect would read them, and its mail
        data is undone of dots; both are then said as the Sender says them.

    A call raises LocalProtocolError where the dialogue has something that no Sender can say, and
    RemoteProtocolError where the other side does not keep the protocol.
    """

    def __init__(self, dialogue: Dialogue, dialect: Dialect = RFC821) -> None:
        self.sender = Sender(dialect)
        self._unsaid = dialogue.said(Role.SENDER)

    def __call__(self, data: bytes) -> bytes:
        """Take bytes from the receiver (b"" is the end of file), and give those for it."""
        self.sender.receive_data(data)
        while True:
            event = self.sender.next_event()
            if event is NEED_COMMAND and self._unsaid:
                self._speak()
            elif isinstance(event, (Pause, Closed, Turned)):
                return self.sender.data_to_send()

    def _speak(self) -> None:
        """Say what comes next."""
        if self.sender.state is State.DATA:
            decoder = DotDecoder()
            self.sender.send_data(decoder.decode(self._unsaid))
            if decoder.rest is None:
                raise LocalProtocolError("the mail data of the dialogue has no end (4.1.1 DATA)")
            self.sender.end_data()
            self._unsaid = decoder.rest
            return
        line, end, self._unsaid = self._unsaid.partition(b"\r\n")
        dialect = self.sender.dialect
        syntax = dialect.syntaxes.get(line[:4].upper())
        command = syntax.parse(line[4:], dialect.limits) if syntax and end else None
        if command is None or isinstance(command, str):
            raise LocalProtocolError(f"{printable(line)} is no command that a Sender can say")
        self.sender.send(command)


def replay_client(
    dialogue: Dialogue,
    script: Callable[[AsyncClient], Coroutine[Any, Any, object]],
    *,
    helo: str,
    dialect: Dialect = RFC821,
    cut: Cut = whole,
) -> Dialogue:
    """Let a client hear the receiver's side of a dialogue; gives what came of it.

    script: uses the client, which is still to be opened: `async with client: ...`. It may await
        what needs no event loop. Whatever it raises comes through.
    helo, dialect: those of the client.
    cut: in which pieces the bytes arrive.

    A turn of the receiver's arrives when the client reads, whatever it has said before; behind
    the last of them is the end of file.
    """
    wire = _Playback(dialogue, cut)
    run(script(_Client(wire, helo=helo, dialect=dialect)))
    return Dialogue.of(wire.said)


class _Playback:
    """A Wire on which the receiver's side of a dialogue is heard."""

    address = "127.0.0.1"

    def __init__(self, dialogue: Dialogue, cut: Cut) -> None:
        turns = (data for role, data in dialogue.blocks() if role is Role.RECEIVER)
        self._unheard = itertools.chain.from_iterable(pieces(data, cut) for data in turns)
        self.said: list[tuple[Role, bytes]] = []

    async def read(self, _seconds: float) -> bytes:
        """What comes next."""
        data = next(self._unheard, b"")
        self.said.append((Role.RECEIVER, data))
        return data

    async def heard(self) -> None:
        """Nothing is said out of turn."""

    async def write(self, data: bytes, _seconds: float) -> None:
        """Keep it."""
        self.said.append((Role.SENDER, data))

    async def finish(self) -> None:
        """Nobody is there to see it."""

    def close(self) -> None:
        """There is nothing to close."""

    def shield(self) -> contextlib.AbstractContextManager[object]:
        """Nothing is cancelled here."""
        return contextlib.nullcontext()


class _Client(AsyncClient):
    """A client over a wire that is there already."""

    def __init__(self, wire: Wire, *, helo: str, dialect: Dialect) -> None:
        super().__init__(helo=helo, dialect=dialect)
        self._to_be = wire

    async def _connect(self, host: str, port: int, tls: ssl.SSLContext | None) -> Wire:
        return self._to_be

    async def _in_thread(self, function: Callable[..., str], *arguments: Any) -> str:
        return function(*arguments)


# Comparing.


def differences(expected: Dialogue, actual: Dialogue, *, codes_only: bool = False) -> list[str]:
    """The two dialogues as one, a row each; [] where they are the same.

    "  " stands before a row of both, "- " before one that is only in what was expected, "+ "
    before one that is only in what there was. How long lines are parted into rows is no
    difference.
    codes_only: of a reply only its code counts, not its text, nor the number of its lines.
    """
    ours, theirs = (list(_rows(side, codes_only)) for side in (expected, actual))
    matcher = difflib.SequenceMatcher(
        None, [key for key, _ in ours], [key for key, _ in theirs], autojunk=False
    )
    shown: list[str] = []
    same = True
    for kind, start, stop, begin, end in matcher.get_opcodes():
        if kind == "equal":
            shown += [f"  {row}" for _, rows in theirs[begin:end] for row in rows]
            continue
        same = False
        shown += [f"- {row}" for _, rows in ours[start:stop] for row in rows]
        shown += [f"+ {row}" for _, rows in theirs[begin:end] for row in rows]
    return [] if same else shown


def check(expected: Dialogue, actual: Dialogue, *, codes_only: bool = False) -> None:
    """Raise AssertionError, with the differences, where there are any."""
    if rows := differences(expected, actual, codes_only=codes_only):
        raise AssertionError("\n".join(["the dialogues differ:", *rows]))


def _rows(dialogue: Dialogue, codes_only: bool) -> Iterator[tuple[str, list[str]]]:
    """What is compared, and the rows that show it."""
    rows: list[str] = []
    for line in Dialogue.of(dialogue.blocks()).lines:
        rows.append(str(line))
        of_reply = codes_only and line.role is Role.RECEIVER
        if of_reply and line.data[3:4] == b"-":
            continue
        yield (rows[-1][: len("R: 250")] if of_reply else rows[-1]), rows
        rows = []
    if rows:
        yield rows[-1], rows
