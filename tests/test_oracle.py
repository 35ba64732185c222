"""The library against the oracle of tests/oracle: two readings of RFC 821 that share no line.

First every edge of the tables and every short path, one after the other; then dialogues that
Hypothesis makes up, legal, illegal and hostile, in any cut. The oracle hears one octet after the
other; so whatever the cut, the library has to come to what byte by byte gives.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path as File
from typing import Final

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp821 import (
    NEED_DATA,
    NEED_REPLY,
    ORDER,
    RFC821,
    RFC821_LENIENT,
    TRANSITIONS,
    Closed,
    Command,
    Connected,
    Dialect,
    Domain,
    EndOfData,
    Envelope,
    Event,
    Limits,
    LocalProtocolError,
    Mail,
    Mailbox,
    MailData,
    Outcome,
    Path,
    Pause,
    Rcpt,
    Receiver,
    Rejected,
    RemoteProtocolError,
    Replied,
    Sender,
    State,
    Turned,
    Verb,
)
from smtp821.protocol.grammar import AMENDED, BNF, BY_THE_LETTER, LOOSE, STRICT, Grammar
from smtp821.testing import strategies as given_by

from .driving import EVERYTHING, HOST, legal_reply, split_replies
from .mutants import (
    BelievesTooSoon,
    DoublesDotsBehindLF,
    DoublesNoDot,
    DropsADot,
    EndsAtALoneLF,
    EndsBetweenLFs,
    EndsLinesAtCR,
    EndsWithoutCRLF,
    ForgetsToClear,
    MissesAnLF,
    Repeats,
    RepliesNever,
    RepliesTwice,
    SpeaksWhenCut,
    SwallowsReplies,
)
from .oracle.commands import CODES, may_answer
from .oracle.paths import derives
from .oracle.receiver import Receiver as NaiveReceiver
from .oracle.sender import Sender as NaiveSender
from .walks import EXAMPLES, LINES, WAYS

Happened = list[tuple[object, ...]]

# --- independence -------------------------------------------------------------------------------

ORACLE: Final = sorted((File(__file__).parent / "oracle").glob("*.py"))


@pytest.mark.parametrize("file", ORACLE, ids=lambda file: file.stem)
def test_the_oracle_shares_nothing(file: File) -> None:
    """It imports no more than itself and the names of types, and no pattern language either."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            raise AssertionError(f"{file.name}:{node.lineno}")
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            assert node.module in ("__future__", "collections.abc"), f"{file.name}:{node.lineno}"
        if isinstance(node, ast.ImportFrom) and node.level:
            assert node.level == 1, f"{file.name}:{node.lineno}"
            assert node.module in ("commands", "paths"), f"{file.name}:{node.lineno}"


# --- the table of 4.3 ---------------------------------------------------------------------------


@pytest.mark.parametrize("verb", Verb)
def test_the_same_codes_answer_a_command(verb: Verb) -> None:
    """4.3: of all the codes there could be, those and no others."""
    legal = {code for code in range(1000) if may_answer(code, verb.value)}
    assert EVERYTHING.codes[verb] == legal


# --- paths --------------------------------------------------------------------------------------

PRODUCTIONS: Final = [
    "reverse-path", "forward-path", "path", "a-d-l", "at-domain", "domain", "element", "mailbox",
    "local-part", "name", "dot-string", "string", "quoted-string", "qtext", "char", "dotnum",
    "number", "snum", "q", "x",
]  # fmt: skip


def texts(alphabet: Iterable[str], longest: int) -> Iterator[str]:
    """Every text of so many pieces, or fewer."""
    pieces = list(alphabet)
    for size in range(longest + 1):
        yield from map("".join, itertools.product(pieces, repeat=size))


def octets(data: bytes) -> list[bytes]:
    """The same in pieces of one octet."""
    return [data[at : at + 1] for at in range(len(data))]


def agree(production: str, text: str) -> None:
    """The grammar of the library and that of the oracle derive the same, in both readings."""
    letter = BY_THE_LETTER.pattern(production).fullmatch(text) is not None
    assert derives(production, text) == letter, (production, text)
    strict = STRICT.pattern(production).fullmatch(text) is not None
    assert derives(production, text, amended=True) == strict, (production, text)


# For each production what its texts are made of, and how many of these pieces to put together.
SHORT: Final = [
    ("snum", "0123456789a", 3),
    ("snum", "0125", 4),
    ("number", "09a#", 5),
    ("name", "aZ0-.", 5),
    ("name", ["a", "-", "0" * 30, "b" * 31], 4),
    ("dotnum", ["0", "255", "256", "1", "."], 7),
    ("element", "a1-#[].", 5),
    ("element", ["[", "]", "1.2.3", ".4", ".256", "#1", "a"], 5),
    ("domain", "a1-#.", 6),
    ("domain", ["a", "1", ".", "[1.2.3.4]", "#", "-"], 5),
    ("at-domain", "@a1.-", 5),
    ("a-d-l", ["@", "a", ",", ".", ":", "@b"], 6),
    ("string", 'a\\" .\r', 5),
    ("qtext", 'a\\" .\r', 5),
    ("dot-string", 'a\\".@', 6),
    ("quoted-string", 'a\\" \n', 6),
    ("local-part", 'a\\". ', 6),
    ("mailbox", 'a1@."\\', 6),
    ("mailbox", ["a", "@", ".", '"', "\\", " ", "#1", "[1.2.3.4]", "<"], 4),
    ("path", '<>a@":', 6),
    ("path", ["<", ">", "a@b", "@a", "@", ",", ":", "c"], 5),
    ("reverse-path", ["<", ">", "a@b", "@a", ":", "Postmaster"], 5),
    ("forward-path", ["<", ">", "a@b", "@a", ":", "Postmaster", "POSTMASTER", "p"], 4),
]


@pytest.mark.parametrize(("production", "alphabet", "longest"), SHORT)
def test_every_short_text_is_derived_by_both_or_none(
    production: str, alphabet: Iterable[str], longest: int, deep: bool
) -> None:
    """4.1.2: all texts over a small alphabet, up to a length."""
    for text in texts(alphabet, longest + deep):
        agree(production, text)


CHARACTERS: Final = (*range(256), 0x130, 0x131, 0x17F, 0x212A, 0x660, 0xFF21, 0x1F600)
PLACES: Final = ("{}", "a{}b", '"{}"', "\\{}", "<{}@b>", "<a@b{}>", '<"\\{}"@b>', "<@{}:a@b>")


@pytest.mark.parametrize("production", PRODUCTIONS)
def test_each_character_in_each_place(production: str) -> None:
    """4.1.2 <c>, <q>, <x>, <special>: 0 to 255 and some beyond, alone and in the midst."""
    for code in CHARACTERS:
        for text in PLACES:
            agree(production, text.format(chr(code)))


PATH_PIECES: Final = st.sampled_from(
    (
        "<", ">", "@", ",", ":", ".", '"', "\\", "#", "[", "]", " ", "-", "a", "Z", "0", "255",
        "b@c", "@one", "@two,", '"a b"', "[1.2.3.4]", "Postmaster", "\r\n", "\0", "\x7f", "\x80",
        "\u017f",
    )
)  # fmt: skip


@given(st.lists(PATH_PIECES, max_size=12).map("".join))
def test_any_text_is_derived_by_both_or_none(text: str) -> None:
    """The same of longer texts, and in brackets."""
    for production in PRODUCTIONS:
        agree(production, text)
        agree(production, f"<{text}>")


@given(given_by.paths().map(str), st.data())
def test_a_path_with_a_slip_is_derived_by_both_or_none(text: str, data: st.DataObject) -> None:
    """The same of paths that are right but for one place."""
    start = data.draw(st.integers(0, len(text)))
    stop = start + data.draw(st.sampled_from((0, 1, 1, 3)))
    slipped = text[:start] + data.draw(PATH_PIECES) + text[stop:]
    for path in (text, slipped):
        agree("path", path)
        agree("reverse-path", path)
        agree("forward-path", path)


@pytest.mark.parametrize(
    ("kind", "production"), [(Domain, "domain"), (Mailbox, "mailbox"), (Path, "any-path")]
)
@given(st.one_of(given_by.any_text(), given_by.paths().map(lambda path: str(path)[1:-1])))
def test_values_are_made_of_what_is_derived(
    kind: Callable[[str], object], production: str, text: str
) -> None:
    """4.1.2: a Domain, a Mailbox or a Path is made of such a text, and of no other."""
    names = ["reverse-path", "forward-path"] if production == "any-path" else [production]
    for candidate in (text, f"<{text}>", text.rpartition("@")[2]):
        right = any(derives(name, candidate, amended=True) for name in names)
        try:
            made = str(kind(candidate)) == candidate
        except LocalProtocolError:
            made = False
        assert made == right, candidate


# --- the receiver -------------------------------------------------------------------------------

Decide = Callable[[str], int]
"""What an application answers to a command, by its word."""


def in_turn(numbers: Sequence[int]) -> Decide:
    """An application that takes the codes of 4.3 as the numbers say: mostly the first, success."""
    left = iter(numbers)

    def decide(word: str) -> int:
        number = next(left, 0)
        codes = [*CODES[word], 421]
        return codes[number % len(codes)]

    return decide


def always(word: str) -> int:
    """An application that accepts everything."""
    return CODES[word][0]


# Reply number 0 is success; the others are the rest of the row.
NUMBERS: Final = st.lists(st.sampled_from([0] * 12 + list(range(1, 14))), max_size=12)

CRLF: Final = b"\r\n"
HAZARDS: Final = "\r\n.a\x8d"
ENDS: Final = (b" ", b"  ", b"\t", b" \t ", b"\r", b"\n", b"\0", b" x", b"\x80", b"x")
TAILS: Final = (
    b"", b" ", b"\t", b" \t", b" a", b"\ta", b" a b", b" \ta", b" <>", b" \xe9", b" a\tb", b"a",
)  # fmt: skip
PATHS: Final = (
    b"", b"<>", b"<a@b>", b" <a@b>", b"\t<a@b>", b"a@b", b" a@b", b"a", b"<a>", b"@b:a@b",
    b"<@b:a@b>", b"<@b,@c:a@b>", b"<Postmaster>", b"Postmaster", b"<a@b> SIZE=1", b"<a@b>\t",
    b'<"a b"@c>', b'"a b"@c', b'"a b"@c ', b"<a@1.2.3.4>", b"<a@[1.2.3.4]>", b"<a@#1>",
    b"<a\\ @b>", b"<\xe9@b>", b"<a@b", b"a@b>", b"<<a@b>>",
)  # fmt: skip
PATH_WORDS: Final = (b"FROM", b"TO", b"From", b"tO", b"FRO", b"FROM ", b"TO\t")
PATH_TAILS: Final = [b" %s:%s" % (word, path) for word in PATH_WORDS for path in PATHS]
LONG: Final = [
    (word, filling, size - len(word), end)
    for word in (b"", b"HELP ", b"VRFY ", b"NOOP ", b"DATA")
    for filling in (b"x", b" ", b"\r", b"\n")
    for size in (509, 510, 511, 512, 1021, 1022, 1023, 1024, 1500)
    for end in (b"", b"\r")
]

SMALL: Final = attrs.evolve(EVERYTHING, limits=Limits(recipients=1, message=12, errors=2))
SMALL_LENIENT: Final = attrs.evolve(
    RFC821_LENIENT, limits=attrs.evolve(RFC821_LENIENT.limits, recipients=1, message=12, errors=2)
)
DIALECTS: Final[dict[str, Dialect]] = {
    "strict": RFC821,
    "lenient": RFC821_LENIENT,
    "everything": EVERYTHING,
    "minimum": RFC821.offering(()),
    "small": SMALL,
    "small and lenient": SMALL_LENIENT,
}


def naive_receiver(dialect: Dialect, decide: Decide) -> NaiveReceiver:
    """The oracle for a dialect."""
    return NaiveReceiver(
        lambda word, argument: decide(word),
        lenient=dialect.grammar is LOOSE,
        off=tuple(verb.value for verb in dialect.off),
        recipients=dialect.limits.recipients,
        octets=dialect.limits.message,
        errors=dialect.limits.errors,
    )


def argument(command: Command) -> str:
    """The argument of a command, as it is written."""
    (*values,) = attrs.asdict(command, recurse=False).values()
    return "" if values in ([], [None]) else str(values[0])


def transaction(envelope: Envelope | None) -> tuple[str, str, list[str]] | None:
    """An envelope as the oracle tells it."""
    if envelope is None:
        return None
    return envelope.kind.value, str(envelope.reverse_path), list(map(str, envelope.forward_paths))


class Driven:
    """A Receiver of the library under the same application, and what happened, as the oracle."""

    def __init__(self, dialect: Dialect, decide: Decide, kind: type[Receiver] = Receiver) -> None:
        self.receiver = kind(HOST, dialect)
        self.decide = decide
        self.happened: Happened = []
        self.text = b""
        self.output = b""
        self.pull()

    def hear(self, data: bytes) -> None:
        """Take bytes, and all that comes of them."""
        self.receiver.receive_data(data)
        self.pull()

    def pull(self) -> None:
        """Every event, each command answered, until more data is needed or the session is over."""
        over = bool(self.happened) and self.happened[-1][0] in ("closed", "turned")
        while not over and (event := self.receiver.next_event()) is not NEED_DATA:
            if event is NEED_REPLY:
                self.receiver.reply(legal_reply(self.decide(self.asked)))
            else:
                assert not isinstance(event, Pause)
                self.tell(event)
                over = isinstance(event, (Closed, Turned))
        self.output += self.receiver.data_to_send()

    def tell(self, event: Event) -> None:
        """Say in the oracle's words what happened."""
        if isinstance(event, MailData):
            self.text += event.data
        elif isinstance(event, (Connected, Command, EndOfData)):
            self.tell_question(event)
        elif isinstance(event, Rejected):
            if event.verb is Verb.END_OF_DATA:
                self.tell_text()
            verb = event.verb.value if event.verb else None
            line = event.line.decode("latin-1")
            self.happened.append(("refused", verb, line, event.reply.code))
        elif isinstance(event, Turned):
            self.happened.append(("turned",))
        else:
            assert isinstance(event, Closed)
            self.text = b""  # of a message that has no end
            self.happened.append(("closed", transaction(event.cancelled)))

    def tell_question(self, event: Connected | Command | EndOfData) -> None:
        """Something is to be answered by the application."""
        if isinstance(event, EndOfData):
            self.tell_text()
        self.asked = event.verb.value
        text = argument(event) if isinstance(event, Command) else ""
        self.happened.append(("asked", self.asked, text))
        if isinstance(event, EndOfData):
            found = transaction(event.envelope)
            self.happened.append(("message", found, event.size, event.eight_bit))

    def tell_text(self) -> None:
        """The mail data of a message that has come to its end."""
        if self.text:
            self.happened.append(("text", self.text.decode("latin-1")))
        self.text = b""


def compare(driven: Driven, naive: NaiveReceiver) -> None:
    """The same happened, the same was answered, and the same is left."""
    assert driven.happened == naive.happened
    replies = split_replies(driven.output)
    assert [int(reply[:3]) for reply in replies] == naive.codes
    for reply in replies:
        if reply[:3] in (b"220", b"221", b"421"):  # 4.3: the host's name is the first word
            assert reply[4:].split()[0] == HOST.encode()
    assert driven.receiver.state == naive.where()
    assert transaction(driven.receiver.envelope) == naive.transaction()
    assert driven.receiver.reply_owed is None
    begun = naive.line[1:] if naive.line[:1] == "." else naive.line
    assert (naive.mail_data + begun).startswith(driven.text.decode("latin-1"))


def both(
    dialect: Dialect,
    pieces: Iterable[bytes],
    numbers: Sequence[int],
    *,
    shut_down: int = -1,
    kind: type[Receiver] = Receiver,
) -> None:
    """Hold one session against the oracle: in the midst, and at the end of file.

    shut_down: before which piece both say 421 unasked. kind: what to hold against it.
    """
    driven = Driven(dialect, in_turn(numbers), kind)
    naive = naive_receiver(dialect, in_turn(numbers))
    for number, piece in enumerate(pieces):
        if number == shut_down and driven.receiver.state not in (State.CLOSED, State.TURNED):
            driven.receiver.shutdown()
            naive.shut_down()
            driven.pull()
        if piece:  # none would be the end of file
            driven.hear(piece)
        for octet in piece:
            naive.hear(octet)
        compare(driven, naive)
    driven.hear(b"")
    naive.hear_no_more()
    compare(driven, naive)


READING: Final = [state for state in WAYS if Verb.HELO in ORDER[state]]
"""The states in which commands are read."""


@pytest.mark.parametrize("name", DIALECTS)
def test_a_receiver_gives_each_greeting(name: str) -> None:
    """4.3: 220, or 421 and nothing more."""
    for number in range(len(CODES[Verb.CONNECT])):
        both(DIALECTS[name], [LINES[Verb.HELO], LINES[Verb.QUIT]], [number])


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("state", [*READING, State.DATA])
@pytest.mark.parametrize("verb", LINES)
def test_a_receiver_gives_each_command_each_reply(name: str, state: State, verb: Verb) -> None:
    """4.3 and 4.1.1: every state, every command, every code of its row, whole and in octets."""
    before = b"".join(LINES[said] for said, _ in WAYS[state][1:])
    stream = before + LINES[verb] + b"NOOP\r\n.\r\nRSET\r\n"
    for number in range(len(CODES[verb.value]) + 1):
        numbers = [0] * len(WAYS[state]) + [number]
        both(DIALECTS[name], [stream], numbers)
        both(DIALECTS[name], octets(stream), numbers)


# What may stand in place of a command: each rule of 4.1.1, 4.1.2 and 4.5.3 kept and broken.
CURATED: Final = [
    *LINES.values(),
    *(line.lower() for line in LINES.values()),
    *(line.replace(b" ", b"   ") for line in LINES.values()),
    *(line[:-2] + end + CRLF for line in LINES.values() for end in ENDS),
    *(line[:4] + tail + CRLF for line in LINES.values() for tail in TAILS),
    *(word + tail + CRLF for word in (b"MAIL", b"RCPT") for tail in PATH_TAILS),
    *(b"%s%s%s%s" % (word, filling * size, end, CRLF) for word, filling, size, end in LONG),
    b"HELO " + b"a" * 63 + b"\r\n",
    b"HELO " + b"a" * 64 + b"\r\n",
    b"HELO " + b".".join([b"a" * 31, b"b" * 32]) + b"\r\n",
    b"HELO " + b".".join([b"a" * 32, b"b" * 32]) + b"\r\n",
    b"EHLO a\r\n", b"NOOPS\r\n", b"NOO\r\n", b" NOOP\r\n", b"\r\n", b".\r\n", b"..\r\n", b"\n\r\n",
    b"NO\xd3P\r\n", b"NOOP\0\r\n", b"\xe9\xe8\xe7\xe6\r\n", b"\xdf\xdf\xff\xb5\r\n",
]  # fmt: skip


@pytest.mark.parametrize("name", ["strict", "lenient", "minimum"])
@pytest.mark.parametrize("state", READING)
def test_a_receiver_judges_lines(name: str, state: State) -> None:
    """4.1.1, 4.1.2, 4.5.3, AMB-01: each rule of a command line kept and broken, in every state."""
    before = b"".join(LINES[said] for said, _ in WAYS[state][1:])
    for line in CURATED:
        both(DIALECTS[name], [before, line, b"RSET\r\n"], [])


@pytest.mark.parametrize("name", ["strict", "lenient"])
def test_a_receiver_judges_short_mail_data(name: str, deep: bool) -> None:
    """4.5.2, AMB-36, AMB-39: all strings of up to four hazards as mail data, in two parts."""
    before = b"".join(LINES[said] for said, _ in WAYS[State.DATA][1:])
    for text in texts(HAZARDS, 6 if deep else 4):
        wire = text.encode("latin-1") + b"\r\n.\r\nNOOP\r\n"
        cut = len(text) // 2
        both(DIALECTS[name], [before + wire[:cut], wire[cut:]], [])


@pytest.mark.parametrize("name", DIALECTS)
@given(st.data(), given_by.client_streams(), NUMBERS)
def test_a_receiver_in_any_dialogue(
    name: str, data: st.DataObject, stream: bytes, numbers: list[int]
) -> None:
    """Legal, illegal and hostile streams, any replies of 4.3, any cut."""
    both(DIALECTS[name], data.draw(given_by.pieces(stream)), numbers)


@given(st.data(), given_by.client_streams(), NUMBERS, st.integers(0, 10))
def test_a_receiver_that_shuts_down(
    data: st.DataObject, stream: bytes, numbers: list[int], when: int
) -> None:
    """4.2.1: 421 at any moment, and nothing is read behind it."""
    pieces = data.draw(given_by.pieces(stream))
    both(EVERYTHING, pieces, numbers, shut_down=when)


@pytest.mark.parametrize("name", ["strict", "lenient", "small"])
@given(st.data(), st.lists(given_by.command_lines(), max_size=6).map(b"".join), NUMBERS)
def test_a_receiver_in_the_midst_of_noise(
    name: str, data: st.DataObject, stream: bytes, numbers: list[int]
) -> None:
    """The same of lines that nobody put in an order, behind each beginning of a session."""
    state = data.draw(st.sampled_from([State.READY, State.MAIL, State.RCPT, State.DATA]))
    before = b"".join(LINES[said] for said, _ in WAYS[state][1:])
    both(DIALECTS[name], [before, *data.draw(given_by.pieces(stream))], numbers)


# Readings of the RFC that are not the oracle's.
ASTRAY: Final[dict[str, Dialect]] = {
    "nothing": RFC821,
    "MAIL begins anew (AMB-02)": attrs.evolve(
        RFC821,
        order={**ORDER, State.RCPT: ORDER[State.RCPT] | {Verb.MAIL}},
        transitions={**TRANSITIONS, (State.RCPT, Verb.MAIL, Outcome.SUCCESS): State.MAIL},
    ),
    "RSET clears nothing": attrs.evolve(
        RFC821,
        transitions={
            row: after for row, after in TRANSITIONS.items() if row[:2] != (State.MAIL, Verb.RSET)
        },
    ),
    "lines of 513": attrs.evolve(RFC821, limits=Limits(command_line=513)),
    "TAB for a space": attrs.evolve(RFC821, grammar=Grammar(BNF, AMENDED, {"blanks": "[ \t]*"})),
}


@pytest.mark.parametrize("name", ASTRAY)
def test_another_reading_is_seen(name: str) -> None:
    """The comparison can fail: a dialect that is read otherwise does not pass for RFC821."""
    ways = [[LINES[said] for said, _ in WAYS[state][1:]] for state in (State.MAIL, State.RCPT)]
    streams = [[*way, line] for way in ways for line in LINES.values()]
    streams += [[LINES[Verb.HELO], line] for line in CURATED]
    differing = 0
    for pieces in streams:
        driven, naive = Driven(ASTRAY[name], always), naive_receiver(RFC821, always)
        for piece in pieces:
            driven.hear(piece)
            for octet in piece:
                naive.hear(octet)
        there = (driven.happened, driven.receiver.state)
        differing += there != (naive.happened, naive.where())
    assert (differing == 0) == (name == "nothing")


def hold_receiver(kind: type[Receiver]) -> None:
    """A Receiver against the oracle in every message of up to four hazards, whole and in octets."""
    before = b"".join(LINES[said] for said, _ in WAYS[State.DATA][1:])
    for text in texts("\r\n.a", 4):
        wire = text.encode() + b"\r\n.\r\nNOOP\r\nNO"
        both(RFC821, [before, wire], [], kind=kind)
        both(RFC821, [before, *octets(wire)], [], kind=kind)


RECEIVERS_THAT_ERR: Final = [
    DropsADot,
    EndsAtALoneLF,
    EndsBetweenLFs,
    EndsLinesAtCR,
    ForgetsToClear,
    MissesAnLF,
    RepliesTwice,
    RepliesNever,
    SpeaksWhenCut,
]


@pytest.mark.parametrize("mutant", RECEIVERS_THAT_ERR)
def test_a_receiver_that_errs_is_seen(mutant: type[Receiver]) -> None:
    """The comparison can fail: each mistake shows."""
    with pytest.raises(AssertionError):
        hold_receiver(mutant)


def test_a_receiver_that_does_not_err() -> None:
    """And it is the mistake that shows."""
    hold_receiver(Receiver)


# --- the sender ---------------------------------------------------------------------------------


class Spoken:
    """A Sender of the library, and what happened, told as the oracle tells it."""

    def __init__(self, dialect: Dialect, kind: type[Sender] = Sender) -> None:
        self.sender = kind(dialect)
        self.happened: Happened = []
        self.output = b""

    def hear(self, data: bytes) -> None:
        """Take bytes, and all that comes of them."""
        self.sender.receive_data(data)
        over = bool(self.happened) and self.happened[-1][0] in ("closed", "broken")
        if self.happened[-1:] == [("turned",)]:
            self.happened.pop()  # it is said again as long as nothing follows
        while not over:
            try:
                event = self.sender.next_event()
            except RemoteProtocolError:
                self.happened.append(("broken",))
                break
            if isinstance(event, Pause):
                break
            over = isinstance(event, (Closed, Turned))
            self.tell(event)

    def tell(self, event: Replied | Turned | Closed) -> None:
        """Say in the oracle's words what happened."""
        if isinstance(event, Replied):
            verb = event.verb.value if event.verb else None
            self.happened.append(("replied", verb, event.reply.code, len(event.reply.lines)))
        elif isinstance(event, Turned):
            self.happened.append(("turned",))
        else:
            unanswered = event.awaiting.value if event.awaiting else None
            self.happened.append(("closed", unanswered, transaction(event.cancelled)))

    def attempt(self, act: Callable[[], None]) -> str:
        """Do what a user does; which fault it was, or "" for none."""
        before = (self.sender.state, self.sender.awaiting, self.sender.envelope)
        try:
            act()
        except LocalProtocolError:
            fault = "local"
        except RemoteProtocolError:
            fault = "remote"
        else:
            self.output += self.sender.data_to_send()
            return ""
        assert (self.sender.state, self.sender.awaiting, self.sender.envelope) == before
        assert self.sender.data_to_send() == b""
        return fault


Act = tuple[str, Command | bytes | None]


def do(spoken: Spoken, naive: NaiveSender, act: Act) -> None:
    """Let both do one thing, and hold them against each other."""
    name, what = act
    if name == "hear":
        assert isinstance(what, bytes)
        spoken.hear(what)  # b"" is the end of file
        for octet in what:
            naive.hear(octet)
        if not what:
            naive.hear_no_more()
    else:
        fault, faults = _speak(spoken, naive, act)
        assert fault in (faults or {""}), (act, faults)
    _compare_senders(spoken, naive)


def _speak(spoken: Spoken, naive: NaiveSender, act: Act) -> tuple[str, set[str]]:
    name, what = act
    if isinstance(what, Command):
        return spoken.attempt(lambda: spoken.sender.send(what)), naive.say(str(what))
    if name == "text":
        assert isinstance(what, bytes)
        faults = naive.text(what.decode("latin-1"))
        return spoken.attempt(lambda: spoken.sender.send_data(what)), faults
    return spoken.attempt(spoken.sender.end_data), naive.end()


def _compare_senders(spoken: Spoken, naive: NaiveSender) -> None:
    if naive.turned and naive.broken:
        _compare_after_turn(spoken, naive)
        return
    assert spoken.happened == naive.happened
    assert spoken.sender.state == naive.where()
    if not naive.closed:
        assert spoken.sender.awaiting == naive.waiting_for
        assert transaction(spoken.sender.envelope) == naive.transaction()
    on_the_way = naive.on_the_wire() if naive.mail_data else ""
    said = spoken.output.decode("latin-1")
    assert said.startswith(naive.written)
    assert (naive.written + on_the_way).startswith(said)


def _compare_after_turn(spoken: Spoken, naive: NaiveSender) -> None:
    """Something came behind the reply to TURN: the end, whether or not it was a whole 421."""
    *before, turned, broken = naive.happened
    assert (turned, broken) == (("turned",), ("broken",))
    count = len(before)
    assert spoken.happened[:count] == before
    kinds = [what[:3] for what in spoken.happened[count:]]
    assert kinds in ([broken], [("replied", None, 421), ("closed", None, None)])
    assert spoken.sender.state is State.CLOSED


def naive_sender(dialect: Dialect) -> NaiveSender:
    """The oracle for a dialect."""
    recipients = dialect.limits.recipients
    assert recipients is not None
    return NaiveSender(lenient=dialect.grammar is LOOSE, recipients=recipients)


def session(dialect: Dialect, acts: Iterable[Act], kind: type[Sender] = Sender) -> None:
    """A session of both, held against each other after each act."""
    spoken, naive = Spoken(dialect, kind), naive_sender(dialect)
    for act in acts:
        do(spoken, naive, act)


def on_the_way_to(state: State) -> list[Act]:
    """What leads a sender into a state."""
    acts: list[Act] = []
    for verb, code in WAYS[state]:
        if verb in EXAMPLES:
            acts.append(("send", EXAMPLES[verb]))
        acts.append(("hear", b"%d text\r\n" % code))
    return acts


AFTERWARDS: Final[list[Act]] = [
    ("send", EXAMPLES[Verb.NOOP]),
    ("hear", b"250 OK\r\n"),
    ("send", EXAMPLES[Verb.QUIT]),
    ("hear", b""),
]


REPLY_CODES: Final = sorted(
    {code for row in CODES.values() for code in row}
    | {0, 100, 199, 200, 299, 300, 399, 400, 499, 500, 599, 600, 999}
)


@pytest.mark.parametrize("state", WAYS)
@pytest.mark.parametrize("verb", Verb)
def test_a_sender_gets_each_reply_to_each_command(state: State, verb: Verb) -> None:
    """4.3, 4.4: every state, every command, legal or not, every code of 4.2.2 and others."""
    act: Act = ("send", EXAMPLES[verb]) if verb in EXAMPLES else ("end", None)
    say = [] if verb is Verb.CONNECT else [act]
    for code in REPLY_CODES:
        for more in ("", f"{code:03}-text\r\n"):
            reply = f"{more}{code:03} text\r\n".encode()
            bitwise: list[Act] = [("hear", octet) for octet in octets(reply)]
            for heard in ([("hear", reply)], bitwise):
                session(EVERYTHING, [*on_the_way_to(state), *say, *heard, *AFTERWARDS])


@pytest.mark.parametrize("verb", [Verb.CONNECT, Verb.NOOP, Verb.DATA, Verb.END_OF_DATA])
def test_a_sender_reads_odd_replies(verb: Verb) -> None:
    """Appendix E, AMB-30 to AMB-34: each hazard of a reply, whole and in octets."""
    state = {Verb.CONNECT: State.OPENING, Verb.NOOP: State.READY, Verb.DATA: State.RCPT}
    act: Act = ("send", EXAMPLES[verb]) if verb in EXAMPLES else ("end", None)
    say = [] if verb is Verb.CONNECT else [act]
    for reply in given_by.ODD_REPLIES:
        way = [*on_the_way_to(state.get(verb, State.DATA)), *say]
        session(EVERYTHING, [*way, ("hear", reply), *AFTERWARDS])
        bitwise: list[Act] = [("hear", octet) for octet in octets(reply)]
        session(EVERYTHING, [*way, *bitwise, *AFTERWARDS])


@pytest.mark.parametrize("dialect", [RFC821, RFC821_LENIENT], ids=["strict", "lenient"])
def test_a_sender_sends_short_mail_data(dialect: Dialect, deep: bool) -> None:
    """4.5.2, AMB-36, AMB-37, AMB-39: all strings of up to four hazards, whole and in octets."""
    way = on_the_way_to(State.DATA)
    for text in texts(HAZARDS, 6 if deep else 4):
        data = text.encode("latin-1")
        whole: list[Act] = [("text", data)]
        bitwise: list[Act] = [("text", octet) for octet in octets(data)]
        for acts in (whole, bitwise):
            session(dialect, [*way, *acts, ("end", None), ("hear", b"250 OK\r\n")])


@pytest.mark.parametrize("dialect", [RFC821, RFC821_LENIENT], ids=["strict", "lenient"])
@pytest.mark.parametrize("line", [b"a", b".", b"a\r\n"])
def test_a_sender_keeps_to_the_size_of_text_lines(dialect: Dialect, line: bytes) -> None:
    """4.5.3: lines about a thousand octets long, in one piece, two, or three."""
    for size in range(995, 1002):
        data = line[:1] * size + line[1:]
        for end in (b"", b"\r\n", b"\n", b"\r", b"\r\nb\n"):
            wire = data + end
            for cut in (0, 500, size - 1, size, size + 1):
                acts: list[Act] = [("text", wire[:cut]), ("text", wire[cut:]), ("end", None)]
                session(dialect, [*on_the_way_to(State.DATA), *acts, ("hear", b"250 OK\r\n")])


LONG_PATHS: Final = [
    *("<" + "u" * size + "@x>" for size in (63, 64, 65, 128, 129)),
    *("<u@" + ".".join(["x" * 60, "y" * size]) + ">" for size in (2, 3, 4, 63)),
    *("<" + ",".join(["@a"] * size) + ":u@x>" for size in range(80, 90)),
    *("<" + ",".join(["@abc"] * size) + ":u@x>" for size in range(48, 52)),
    *(
        "<" + ",".join(["@a"] * 60) + ":" + "u" * 64 + "@" + "x" * size + ">"
        for size in range(6, 14)
    ),
]


@pytest.mark.parametrize("dialect", [RFC821, RFC821_LENIENT], ids=["strict", "lenient"])
@pytest.mark.parametrize("path", LONG_PATHS)
def test_sizes_of_paths(dialect: Dialect, path: str) -> None:
    """4.5.3, AMB-41, AMB-42: what is sent, and what is received, about the sizes there are."""
    ways: list[tuple[State, Command]] = [(State.READY, Mail(path)), (State.MAIL, Rcpt(path))]
    for state, command in ways:
        session(dialect, [*on_the_way_to(state), ("send", command), ("hear", b"250 OK\r\n")])
        before = b"".join(LINES[said] for said, _ in WAYS[state][1:])
        both(dialect, [before + bytes(command) + b"RSET\r\n"], [])


@st.composite
def next_acts(draw: st.DrawFn, naive: NaiveSender) -> list[Act]:
    """What could come next: mostly what the protocol wants."""
    choice = draw(st.integers(0, 9))
    if choice == 0:
        return [draw(st.sampled_from(ANY_ACTS))]
    if choice == 1:
        return [("hear", piece) for piece in draw(given_by.pieces(draw(given_by.reply_streams())))]
    if naive.waiting_for is not None:
        code = draw(st.sampled_from(CODES[naive.waiting_for]))
        reply = draw(st.sampled_from((b"%d text\r\n", b"%d\r\n"))) % code
        return [("hear", piece) for piece in draw(given_by.pieces(reply))]
    if naive.where() == "DATA":
        data = draw(given_by.mail_data())
        pieces: list[Act] = [("text", piece) for piece in draw(given_by.pieces(data))]
        return [*pieces, ("end", None)]
    legal = [word for word in LEGAL if naive.in_order(word)]
    wanted = [verb for verb in ONWARD if verb.value in legal] if choice < 6 else []
    if wanted:
        return [("send", EXAMPLES[wanted[0]])]
    return [("send", draw(given_by.commands()))]


LEGAL: Final = [verb.value for verb in EXAMPLES]
ONWARD: Final = [Verb.DATA, Verb.RCPT, Verb.MAIL, Verb.HELO]
ANY_ACTS: Final[list[Act]] = [
    *(("send", command) for command in EXAMPLES.values()),
    ("text", b".a\r\n"), ("end", None), ("hear", b""), ("hear", b"421 closing\r\n"),
]  # fmt: skip


@pytest.mark.parametrize("name", ["strict", "lenient"])
@given(st.data())
def test_a_sender_in_any_dialogue(name: str, data: st.DataObject) -> None:
    """Legal acts and others, replies of 4.3 and others, any cut of them."""
    dialect = DIALECTS[name]
    spoken, naive = Spoken(dialect), naive_sender(dialect)
    for _ in range(data.draw(st.integers(1, 25))):
        for act in data.draw(next_acts(naive)):
            if act == ("hear", b"") and naive.closed:
                continue
            do(spoken, naive, act)
            if act == ("hear", b"") or naive.turned:
                return


def hold_sender(kind: type[Sender]) -> None:
    """A Sender against the oracle in every message of up to three hazards, in octets."""
    for text in texts("\r\n.a", 3):
        said: list[Act] = [("text", octet) for octet in octets(text.encode())]
        heard: list[Act] = [("hear", b"250"), ("hear", b" OK\r\n")]
        session(RFC821, [*on_the_way_to(State.DATA), *said, ("end", None), *heard], kind)


SENDERS_THAT_ERR: Final = [
    BelievesTooSoon,
    DoublesDotsBehindLF,
    DoublesNoDot,
    EndsWithoutCRLF,
    Repeats,
    SwallowsReplies,
]


@pytest.mark.parametrize("mutant", SENDERS_THAT_ERR)
def test_a_sender_that_errs_is_seen(mutant: type[Sender]) -> None:
    """The comparison can fail: each mistake shows."""
    with pytest.raises(AssertionError):
        hold_sender(mutant)


def test_a_sender_that_does_not_err() -> None:
    """And it is the mistake that shows."""
    hold_sender(Sender)


# --- the page -----------------------------------------------------------------------------------


def number_of_texts(alphabet: Iterable[str], longest: int) -> int:
    """How many texts of so many pieces, or fewer, there are."""
    return sum(len(list(alphabet)) ** size for size in range(longest + 1))


COUNTS: Final = {
    "short texts": sum(number_of_texts(alphabet, longest) for _, alphabet, longest in SHORT),
    "characters": len(PRODUCTIONS) * len(CHARACTERS) * len(PLACES),
    "answers": sum(len(CODES[verb]) + 1 for verb in LINES) * len(DIALECTS) * (len(READING) + 1),
    "lines": len(CURATED) * len(READING) * 3,
    "mail data": number_of_texts(HAZARDS, 4) * 2,
    "replies": len(WAYS) * len(Verb) * len(REPLY_CODES) * 2,
}


@pytest.mark.parametrize("what", COUNTS)
def test_the_page_has_the_numbers(what: str) -> None:
    """docs/testing.md says how much is enumerated."""
    page = (File(__file__).parent.parent / "docs" / "testing.md").read_text(encoding="utf-8")
    assert f"| {COUNTS[what]:,} |" in page, (what, COUNTS[what])
