"""What a server may answer at each step of a session: a model to hold any server against.

It is shown what was said to the server, piece by piece, and what came back. What may come is read
from the tables of a dialect: the codes (4.3), the order and the transitions (4.1.1). Where RFC 821
leaves a choice (docs/rfc821-notes.md) every answer to it is legal: a line can have several faults,
a refusal may be for any of them, and what accepts the line has to pass over all of them.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

import attrs

from ..protocol.commands import Command, Rcpt, TransactionCommand, Verb
from ..protocol.dialect import MINIMUM, RFC821, Dialect
from ..protocol.errors import LocalProtocolError
from ..protocol.grammar import LOOSE, STRICT
from ..protocol.limits import Limits
from ..protocol.paths import Domain
from ..protocol.replies import Code, Reply
from ..protocol.sequencing import IN_TRANSACTION, TRANSACTION_VERBS, Outcome, State, outcome
from ..protocol.session import Envelope

__all__ = ["Deviation", "Fault", "Kind", "Model", "Violation"]


class Kind(enum.Enum):
    """What a server can do wrong."""

    NO_REPLY = "no reply to what is owed one"
    SECOND_REPLY = "more than one reply"
    UNASKED = "a reply while none is owed"
    MALFORMED = "not a reply as Appendix E has it"
    CODE = "a code that is not legal here"
    TEXT = "a text without the name or the path that it has to have"
    LOST = "the connection closed without 221 or 421"
    OPEN = "the connection left open behind 221 or 421"
    DELIVERY = "another message delivered than the one that was sent"


class Fault(enum.Enum):
    """What can be wrong with what is said to a server, by the section that says so."""

    UNKNOWN = "its word is no command"
    EXTENDED = "its word is EHLO, which RFC 821 does not have"
    MALFORMED = "no grammar derives it"
    LAX = "only a lenient grammar derives it, or it exceeds a size: may be taken, may be refused"
    LONG = "the line is longer than a receiver has to take"
    OUT_OF_ORDER = "the command is out of sequence"
    NO_RECIPIENT = "the message has no recipient"

    @property
    def section(self) -> str:
        """The section of RFC 821 that rules it."""
        return _SECTIONS[self]


_SECTIONS: Final[Mapping[Fault, str]] = {
    Fault.UNKNOWN: "4.2.1",
    Fault.EXTENDED: "4.2.1",
    Fault.MALFORMED: "4.1.2",
    Fault.LAX: "4.1.2",
    Fault.LONG: "4.5.3",
    Fault.OUT_OF_ORDER: "4.1.1",
    Fault.NO_RECIPIENT: "3.1",
}


class Violation(AssertionError):
    """A server did what RFC 821 does not allow.

    kind: what it did; section: what it did not keep to; asked: what was said to it, as bytes;
    expected: what was legal, in words; came: what came instead, as bytes.
    """

    def __init__(self, kind: Kind, section: str, asked: bytes, expected: str, came: bytes) -> None:
        super().__init__(
            f"{kind.value} ({section}): to {_shown(asked)} expected {expected}; came {_shown(came)}"
        )
        self.kind = kind
        self.section = section
        self.asked = asked
        self.expected = expected
        self.came = came


def _codes(codes: Iterable[int]) -> frozenset[int]:
    return frozenset(codes)


@attrs.frozen
class Deviation:
    """What a server may do besides, for a reason that is given."""

    verb: Verb | None
    """The command; None for a word that is none."""
    codes: frozenset[int] = attrs.field(converter=_codes)
    """The codes that may answer it."""
    why: str
    """The reason, for people."""
    fault: Fault | None = None
    """With which fault of the command; None where it has none, or one that may be passed over."""
    kind: Kind = Kind.CODE
    """CODE: these codes are legal; TEXT: with these codes the text may be anything."""


@attrs.frozen
class _Question:
    """What was said, judged: what it is, what is wrong with it, and what may answer it."""

    verb: Verb | None
    command: Command | None = None
    faults: frozenset[Fault] = frozenset()
    codes: frozenset[int] = frozenset()

    @property
    def section(self) -> str:
        return ", ".join(sorted({fault.section for fault in self.faults})) or "4.3"


_NOTHING: Final = _Question(None)  # as yet: no reply is owed
_SHOWN: Final = 200  # octets

_NEEDED: Final = MINIMUM | {Verb.CONNECT, Verb.END_OF_DATA}  # of every server (4.5.1)
_BARE: Final = (Verb.DATA, Verb.RSET, Verb.NOOP, Verb.QUIT, Verb.TURN)  # take no argument
_ANSWERS: Final = (Outcome.INTERMEDIATE, Outcome.SUCCESS, Outcome.FAILURE)
_GO_ON: Final = (Outcome.INTERMEDIATE, Outcome.SUCCESS)

_END: Final = b"\r\n.\r\n"
_LINE: Final = re.compile(rb"([2-5][0-9]{2})(?:([ -])([\x00-\x09\x0b\x0c\x0e-\x7f]*))?")
_NAMING: Final = (Code.SERVICE_READY, Code.CLOSING_CHANNEL, Code.NOT_AVAILABLE)
_FORWARDING: Final = (Code.WILL_FORWARD, Code.NOT_LOCAL)
_STRINGS: Final = (Verb.VRFY, Verb.EXPN, Verb.HELP)
_HUGE: Final = Limits(user=10**9, domain=10**9, path=10**9, command_line=10**9)
_LAX: Final = attrs.evolve(RFC821, grammar=LOOSE).syntaxes

# 3.3: "[full name SP] <path>". Made when this module is, for it is for tests alone.
_MAILBOX_LINE: Final = re.compile(f"(?:[ -~]* )?{STRICT.expand('{path}')}", re.ASCII)


class Model:
    """One session of a server, as it ought to go.

    dialect: the tables to read, RFC821 by default. What its grammar derives a server has to take;
        what only the lenient one derives it may take. `off` means nothing here: whatever is
        beyond the minimum of 4.5.1 may be answered 500 or 502.
    tolerated: what else is not to be a Violation.
    """

    def __init__(self, dialect: Dialect = RFC821, tolerated: Iterable[Deviation] = ()) -> None:
        self.dialect = dialect
        self.tolerated = tuple(tolerated)
        self.state = State.OPENING
        """Where the session stands; the greeting comes first, then commands or mail data."""
        self.host: Domain | None = None
        """The name of the server, from its greeting."""
        self.envelope: Envelope | None = None
        """The transaction in progress, where it is known."""
        self.accepted: tuple[Envelope | None, bytes] | None = None
        """The last message that was answered 250: its envelope, and its mail data."""
        self._recipients = 0
        self._begun = b""  # a line, or mail data, that has no end yet

    def expect(self, said: bytes | Command) -> frozenset[int]:
        """The codes that may answer what is to be said; none: it has no end yet, or is mail data.

        said: a Command; or octets: a line with its CRLF, or mail data with its end, or a piece of
            either; b"" for nothing, which in the state OPENING stands for the connection.

        Raises ValueError for what ends more than one line, or mail data and more: the model
        judges one step at a time. The same after the session, and before the greeting.
        """
        return self._judge(bytes(said)).codes

    def observe(
        self, said: bytes | Command, came: bytes, closed: bool | None = None
    ) -> Reply | None:
        """Take what was said and what came, and move; the reply, or None where none came.

        said: as for `expect`; came: all that the server said then, b"" for nothing.
        closed: whether it has closed the connection; None where that is not known.

        A 421 may come at any time, also behind another reply (4.2.1, AMB-28). Raises Violation,
        with nothing changed, for whatever is not legal, and ValueError as `expect`.
        """
        said = bytes(said)
        question = self._judge(said)
        replies = _read(said, came, self.dialect.limits.reply_line)
        _count(said, question, replies, came, closed)
        for reply in replies:
            self._check(said, question, reply, came)
        _check_end(said, replies, came, closed)
        whole, self._begun = self._begun + said, b""
        if not question.codes:
            whole, self._begun = b"", whole
        for reply in replies:
            self._advance(question, reply, whole)
        return replies[-1] if replies else None

    def observe_delivery(self, envelope: Envelope | None, data: bytes) -> None:
        """Compare what the server delivered with what it accepted last.

        envelope: None where the server does not tell, and then not compared; data: the mail data,
        transparency undone. Raises Violation where they differ, or nothing was accepted.
        """
        if self.accepted is None:
            raise Violation(Kind.DELIVERY, "3.1", b"", "no message", data)
        sent_to, sent = self.accepted
        if data != sent:
            raise Violation(Kind.DELIVERY, "4.5.2", sent, _shown(sent), data)
        if envelope is not None and sent_to is not None and envelope != sent_to:
            raise Violation(Kind.DELIVERY, "3.1", sent, str(sent_to), str(envelope).encode())

    # Judging what is said.

    def _judge(self, said: bytes) -> _Question:
        if not self.dialect.order[self.state]:
            raise ValueError(f"the session is over: it is {self.state}")
        if self.state is State.OPENING:
            if said:
                raise ValueError("the greeting comes first (3.5)")
            return self._question(Verb.CONNECT, None)
        if self.state is State.DATA:
            return self._judge_data(self._begun + said)
        return self._judge_line(self._begun + said)

    def _judge_data(self, wire: bytes) -> _Question:
        end = _end_of_data(wire)
        if end < 0:
            return _NOTHING
        if end != len(wire):
            raise ValueError("one thing at a time: there is more behind the end of mail data")
        faults = () if self._recipients else (Fault.NO_RECIPIENT,)
        return self._question(Verb.END_OF_DATA, None, faults)

    def _judge_line(self, wire: bytes) -> _Question:
        line, crlf, more = wire.partition(b"\r\n")
        if more:
            raise ValueError("one thing at a time: there is more behind the line")
        return self._judge_command(line) if crlf else _NOTHING

    def _judge_command(self, line: bytes) -> _Question:
        """The faults are looked for one by one: none hides another (AMB-01)."""
        faults: set[Fault] = set()
        word, tail = line[:4].upper(), line[4:]
        if word == b"EHLO":
            faults.add(Fault.EXTENDED)
            word = b"HELO"
        if len(line) > self.dialect.limits.command_line - 2:
            faults.add(Fault.LONG)
        syntax = self.dialect.syntaxes.get(word)
        if syntax is None or tail[:1] not in (b"", b" ", b"\t"):
            faults.add(Fault.UNKNOWN)
        if syntax is None:
            return self._question(
                None, None, faults if _is_text(line) else {*faults, Fault.MALFORMED}
            )
        command = syntax.parse(tail, self.dialect.limits)
        if isinstance(command, str):
            command = _LAX[word].parse(tail, _HUGE)
            faults.add(Fault.MALFORMED if isinstance(command, str) else Fault.LAX)
        elif line.endswith(b" "):
            faults.add(Fault.LAX)  # AMB-12
        if syntax.verb not in self.dialect.order[self.state]:
            faults.add(Fault.OUT_OF_ORDER)
        return self._question(syntax.verb, None if isinstance(command, str) else command, faults)

    def _question(
        self, verb: Verb | None, command: Command | None, faults: Collection[Fault] = ()
    ) -> _Question:
        """With the codes: those that refuse for any fault, and what passes over all of them."""
        codes = {421}
        for fault in faults:
            codes |= self._refusals(fault, verb)
            codes |= {code for code in self._tolerated(verb, fault) if code >= 400}
        if verb is not None and verb not in _NEEDED:
            codes |= {500, 502}  # what need not be there may be unknown (4.5.1)
        stops = [fault for fault in faults if not self._may_pass_over(fault, verb)]
        if stops:
            codes |= frozenset.intersection(*(self._tolerated(verb, fault) for fault in stops))
        else:
            assert verb is not None  # a word that is none is UNKNOWN
            codes |= self._fine(verb)
        return _Question(verb, command, frozenset(faults), frozenset(codes))

    def _may_pass_over(self, fault: Fault, verb: Verb | None) -> bool:
        """Whether a server may take what has a fault as if it had none."""
        if fault is Fault.OUT_OF_ORDER:
            return verb in TRANSACTION_VERBS and self.state in IN_TRANSACTION  # AMB-02
        return fault in (Fault.EXTENDED, Fault.LAX, Fault.LONG)

    def _refusals(self, fault: Fault, verb: Verb | None) -> frozenset[int]:
        """The codes that refuse what has a fault."""
        if fault in (Fault.MALFORMED, Fault.LAX):
            return self._syntax_errors(verb)
        if fault is Fault.NO_RECIPIENT:
            return frozenset(self.dialect.sequencing[Verb.END_OF_DATA][Outcome.FAILURE])
        if fault is Fault.OUT_OF_ORDER:
            return frozenset({503, 554} if verb is Verb.DATA else {503})  # AMB-06
        return frozenset({500, 502} if fault is Fault.EXTENDED else {500})  # AMB-09

    def _fine(self, verb: Verb) -> frozenset[int]:
        """The codes that may answer a command that has no fault."""
        tolerated = self._tolerated(verb, None)
        if verb in _STRINGS:  # nothing restricts the argument: it may be refused for what it is
            return tolerated | self.dialect.codes[verb]
        row, additions = self.dialect.sequencing[verb], self.dialect.additions.get(verb, {})
        answers = {c for result in _ANSWERS for c in row.get(result, ())} | additions.keys()
        return tolerated | (answers - {501, 503}) | {421}

    def _syntax_errors(self, verb: Verb | None) -> frozenset[int]:
        if verb is Verb.RCPT:
            return frozenset({500, 501, 550, 553})  # as a mailbox that is none
        parameter = verb is not None and (verb in _BARE or 504 in self.dialect.codes[verb])
        return frozenset({500, 501, 504} if parameter else {500, 501})  # AMB-07

    def _tolerated(
        self, verb: Verb | None, fault: Fault | None, kind: Kind = Kind.CODE
    ) -> frozenset[int]:
        case = (verb, fault, kind)
        found = (d.codes for d in self.tolerated if (d.verb, d.fault, d.kind) == case)
        return frozenset().union(*found)

    # Judging what came.

    def _check(self, said: bytes, question: _Question, reply: Reply, came: bytes) -> None:
        """Raise Violation for an illegal code, or a text that lacks what it has to have."""
        if reply.code != Code.NOT_AVAILABLE and reply.code not in question.codes:
            expected = f"{_listed(question.codes)} in state {self.state}"
            raise Violation(Kind.CODE, question.section, said, expected, came)
        lack = self._lack(question.verb, reply)
        if lack is not None and not self._may_lack(question, reply.code):
            raise Violation(Kind.TEXT, lack[0], said, lack[1], came)

    def _may_lack(self, question: _Question, code: int) -> bool:
        faults = (None, *question.faults)
        return any(code in self._tolerated(question.verb, f, Kind.TEXT) for f in faults)

    def _lack(self, verb: Verb | None, reply: Reply) -> tuple[str, str] | None:
        """What the text of a reply lacks: the section that asks for it, and it in words."""
        okay = reply.code == Code.OKAY
        if reply.code in _NAMING or (verb is Verb.HELO and okay):
            name = _name_in(reply)
            if name is None or (self.host is not None and name != self.host):
                return "3.5", f"a text that begins with {self.host or 'the name of the host'}"
        if reply.code in _FORWARDING and reply.forward_path is None:
            return "3.2", "a text that has the forward-path"
        if verb in (Verb.VRFY, Verb.EXPN) and okay and not all(map(_is_mailbox, reply.lines)):
            return "3.3", "[full name SP] <mailbox> in each line"
        return None

    # Moving.

    def _advance(self, question: _Question, reply: Reply, whole: bytes) -> None:
        """Let a reply have its effect (4.1.1, 4.4).

        whole: what was answered: the line, or the mail data with its end.
        """
        if reply.code == Code.NOT_AVAILABLE:
            self.state, self.envelope = State.CLOSED, None
        elif question.verb is not None:
            result = outcome(question.verb, reply.code)
            if question.verb is Verb.CONNECT and result is Outcome.SUCCESS:
                self.host = _name_in(reply)
            if question.verb is Verb.END_OF_DATA and result is Outcome.SUCCESS:
                self.accepted = self.envelope, _undotted(whole)
            self._keep(question.verb, question.command, result)
            self.state = self._after(question.verb, result)
            if self.state not in IN_TRANSACTION:
                self.envelope, self._recipients = None, 0

    def _after(self, verb: Verb, result: Outcome) -> State:
        """The state that a reply leads to.

        A command that was out of sequence and is taken all the same leads where it always does:
        so a MAIL in a transaction begins another (AMB-02).
        """
        transitions = self.dialect.transitions
        if verb not in self.dialect.order[self.state] and result in _GO_ON:
            leads = {(v, r): after for (_, v, r), after in transitions.items()}
            return leads.get((verb, result), self.state)
        return transitions.get((self.state, verb, result), self.state)

    def _keep(self, verb: Verb, command: Command | None, result: Outcome) -> None:
        """Fill the buffers of a transaction (4.1.1)."""
        if result is not Outcome.SUCCESS:
            return
        if verb in TRANSACTION_VERBS:
            self._recipients = 0
            self.envelope = None
            if isinstance(command, TransactionCommand):
                self.envelope = Envelope(verb, command.reverse_path)
        elif verb is Verb.RCPT:
            self._recipients += 1
            self.envelope = _with(self.envelope, command)


def _with(envelope: Envelope | None, command: Command | None) -> Envelope | None:
    """The envelope with a recipient more; None where one of the two is not known."""
    if envelope is None or not isinstance(command, Rcpt):
        return None
    paths = (*envelope.forward_paths, command.forward_path)
    return attrs.evolve(envelope, forward_paths=paths)


def _read(said: bytes, came: bytes, limit: int) -> list[Reply]:
    """The replies in what came; raises Violation unless it is whole ones (Appendix E)."""
    replies: list[Reply] = []
    begun: list[re.Match[bytes]] = []
    *lines, rest = came.split(b"\r\n")
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None or len(line) > limit - 2 or (begun and match[1] != begun[0][1]):
            raise Violation(Kind.MALFORMED, "Appendix E", said, "a line of a reply", line)
        begun.append(match)
        if match[2] != b"-":
            texts = [(part[3] or b"").decode("ascii") for part in begun]
            replies.append(Reply(int(match[1]), texts))
            begun = []
    if begun or rest:
        raise Violation(Kind.MALFORMED, "Appendix E", said, "a reply that ends", came)
    return replies


def _count(
    said: bytes, question: _Question, replies: list[Reply], came: bytes, closed: bool | None
) -> None:
    """Raise Violation unless what is owed came, and behind it at most a 421."""
    owed = bool(question.codes)
    if len(replies) < owed:
        kind = Kind.LOST if closed else Kind.NO_REPLY
        raise Violation(kind, "4.2", said, _listed(question.codes), came)
    unasked = [reply.code for reply in replies[owed:]]
    if unasked not in ([], [421]) or (unasked and owed and replies[0].code == 421):
        kind = Kind.SECOND_REPLY if owed else Kind.UNASKED
        raise Violation(kind, "4.2", said, "one reply" if owed else "no reply", came)


def _check_end(said: bytes, replies: list[Reply], came: bytes, closed: bool | None) -> None:
    """Raise Violation where the connection is closed and should be open, or the reverse."""
    closing = bool(replies) and replies[-1].code in (Code.CLOSING_CHANNEL, Code.NOT_AVAILABLE)
    if closed and not closing:
        raise Violation(Kind.LOST, "4.1.1", said, "an open connection", came)
    if closing and closed is False:
        raise Violation(Kind.OPEN, "4.1.1", said, "a closed connection", came)


def _name_in(reply: Reply) -> Domain | None:
    """The name that a reply begins with, if it is one."""
    try:
        return Domain(reply.lines[0].partition(" ")[0])
    except LocalProtocolError:
        return None


def _is_mailbox(line: str) -> bool:
    return _MAILBOX_LINE.fullmatch(line) is not None


def _undotted(wire: bytes) -> bytes:
    """The message in mail data that came with its end (4.5.2); it begins behind a CRLF."""
    return (b"\r\n" + wire)[: -len(_END) + 2].replace(b"\r\n.", b"\r\n")[2:]


def _end_of_data(wire: bytes) -> int:
    """Where mail data ends, or -1; the CRLF of the DATA line counts (AMB-38)."""
    found = (b"\r\n" + wire).find(_END)
    return found + len(_END) - 2 if found >= 0 else -1


def _is_text(line: bytes) -> bool:
    return line.isascii() and line.decode("ascii").isprintable()


def _listed(codes: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(codes)))


def _shown(data: bytes) -> str:
    """Bytes for people, not too many."""
    return repr(data) if len(data) <= _SHOWN else f"{data[:_SHOWN]!r}..."
