"""The strategies give what they say: valid, nearly valid, hostile; and dialogues by the tables."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import attrs
import pytest
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st

from smtp821 import (
    COMMANDS,
    RFC821,
    RFC821_LENIENT,
    TRANSITIONS,
    Code,
    Command,
    Domain,
    Limits,
    LocalProtocolError,
    Mailbox,
    MailData,
    Outcome,
    Path,
    Quit,
    Rejected,
    State,
    Verb,
    outcome,
)
from smtp821.protocol.grammar import BY_THE_LETTER, LOOSE, STRICT
from smtp821.protocol.paths import excess
from smtp821.testing import strategies as given_by
from smtp821.testing.pair import Host
from smtp821.testing.strategies import Walk
from smtp821.testing.transcripts import Role, Speaker, check, replay

from .driving import split_replies
from .walks import WHOLE

ROOMY: Final = RFC821_LENIENT.limits
every_limits = pytest.mark.parametrize("limits", [Limits(), ROOMY], ids=["RFC 821", "roomy"])


def samples(strategy: st.SearchStrategy[Any], runs: int = 25, size: int = 25) -> list[Any]:
    """Values of a strategy, the same in every run of the tests: so many lists of a size, in one.

    A run of two examples has the simplest first; the second is drawn afresh, where the later ones
    of a longer run repeat much of those before.
    """
    found: list[Any] = []

    @settings(max_examples=2, phases=[Phase.generate], database=None)
    @given(st.lists(strategy, min_size=size, max_size=size))
    def collect(values: list[Any]) -> None:
        found.extend(values)

    for run in range(runs):
        seed(run)(collect)()
    return found


def unmet(
    strategy: st.SearchStrategy[Any], *conditions: Callable[[Any], object], runs: int = 25
) -> list[int]:
    """The numbers of the conditions that no value of a strategy meets."""
    found = samples(strategy, runs)
    return [at for at, meets in enumerate(conditions) if not any(map(meets, found))]


def having(*marks: Any) -> list[Callable[[Any], object]]:
    """The conditions that each of these is in a value."""
    return [partial(contains, mark) for mark in marks]


def contains(mark: Any, value: Any) -> bool:
    """Whether it is in a value."""
    return mark in value


def longer(size: int, value: str | bytes) -> bool:
    """Whether a value is longer than that."""
    return len(value) > size


def matching(*patterns: bytes) -> list[Callable[[Any], object]]:
    """The conditions that each of these patterns is found."""
    return [re.compile(pattern).search for pattern in patterns]


def test_strategies_print_short() -> None:
    """Hypothesis warns of a strategy that prints long, and that would be an error here."""
    for name in given_by.__all__:
        if name.islower():
            function: Callable[..., object] = getattr(given_by, name)
            strategy = function(b"bytes") if name in ("pieces", "chunkings") else function()
            assert len(repr(strategy)) < 3000, name


# --- Domains, mailboxes, paths ----------------------------------------------------------------


@every_limits
@given(st.data())
def test_values_are_valid_and_may_be_sent(limits: Limits, data: st.DataObject) -> None:
    """4.1.2, 4.5.3: strict grammar, within the sizes."""
    domain = data.draw(given_by.domains(limits))
    assert STRICT.pattern("domain").fullmatch(domain.text)
    assert excess(domain, limits, sent=True) is None
    mailbox = data.draw(given_by.mailboxes(limits))
    assert STRICT.pattern("mailbox").fullmatch(mailbox.text)
    assert len(mailbox.local_part) <= limits.user
    for strategy, production in (
        (given_by.paths, "path"),
        (given_by.reverse_paths, "reverse-path"),
        (given_by.forward_paths, "forward-path"),
    ):
        path = data.draw(strategy(limits))
        assert STRICT.pattern(production).fullmatch(path.text)
        assert excess(path, limits, sent=True) is None


@every_limits
def test_values_are_of_any_size(limits: Limits) -> None:
    """4.5.3: up to the last character that may be."""
    assert limits.domain in {len(domain.text) for domain in samples(given_by.domains(limits), 4)}
    users = samples(given_by.mailboxes(limits), 4)
    assert limits.user in {len(mailbox.local_part) for mailbox in users}
    assert limits.path in {len(path.text) for path in samples(given_by.paths(limits), 4)}


def test_values_are_of_every_kind() -> None:
    """4.1.2: each alternative of the productions is met."""
    assert unmet(given_by.domains().map(str), *having("#", "[", ".", "-")) == []
    users = given_by.mailboxes().map(lambda mailbox: mailbox.local_part)
    assert unmet(users, *having('"', "\\", ".", " ", '\\"', "\\@")) == []
    assert {len(path.route) for path in samples(given_by.paths(), 8)} >= {0, 1, 2, 3}
    assert any(path.is_null for path in samples(given_by.reverse_paths(), 4))
    assert any(path.is_postmaster for path in samples(given_by.forward_paths(), 4))


GRAMMARS: Final = (BY_THE_LETTER, STRICT, LOOSE)


@given(given_by.nearly_valid_domains())
def test_nearly_valid_domains_are_none(text: str) -> None:
    """4.1.2: not by the letter, nor as it is read here."""
    assert not any(grammar.pattern("domain").fullmatch(text) for grammar in GRAMMARS)
    with pytest.raises(LocalProtocolError):
        Domain(text)


@given(given_by.nearly_valid_mailboxes())
def test_nearly_valid_mailboxes_are_none(text: str) -> None:
    """4.1.2: not by the letter, nor as it is read here."""
    assert not any(grammar.pattern("mailbox").fullmatch(text) for grammar in GRAMMARS)
    with pytest.raises(LocalProtocolError):
        Mailbox(text)


@given(given_by.nearly_valid_paths())
def test_nearly_valid_paths_are_none(text: str) -> None:
    """4.1.2: neither a reverse-path nor a forward-path, to nobody, however lenient."""
    for production in ("path", "reverse-path", "forward-path"):
        assert not any(grammar.pattern(production).fullmatch(text) for grammar in GRAMMARS)
    with pytest.raises(LocalProtocolError):
        Path(text)


@every_limits
@pytest.mark.parametrize(
    "kind",
    [
        given_by.nearly_valid_domains,
        given_by.nearly_valid_mailboxes,
        given_by.nearly_valid_paths,
    ],
)
def test_what_is_nearly_valid_is_near(
    kind: Callable[[Limits], st.SearchStrategy[str]], limits: Limits
) -> None:
    """Some texts are as long as the valid ones; some have a dot too many, a blank, an octet."""
    too_long = partial(longer, limits.domain)
    assert unmet(kind(limits), too_long, *having("..", " ", "\0", "\xe9", "\r\n")) == []


@pytest.mark.parametrize(
    "strategy",
    [given_by.hostile_domains(), given_by.hostile_mailboxes(), given_by.hostile_paths()],
    ids=["domains", "mailboxes", "paths"],
)
def test_hostile_texts_mean_harm(strategy: st.SearchStrategy[str]) -> None:
    """Line ends, controls, octets and characters that are none, and floods."""
    marks = having("\r\n", "\n", "\0", "\ud800", "\u017f", "\\" * 63, "@a,@a,")
    assert unmet(strategy, partial(longer, 1999), *marks) == []


@given(given_by.hostile_domains(), given_by.hostile_mailboxes(), given_by.hostile_paths())
def test_hostile_texts_are_values_or_errors(domain: str, mailbox: str, path: str) -> None:
    """4.1.2: whatever is given, it is a value of that text, or a LocalProtocolError."""
    kinds: tuple[tuple[Any, str], ...] = ((Domain, domain), (Mailbox, mailbox), (Path, path))
    for kind, text in kinds:
        with contextlib.suppress(LocalProtocolError):
            assert str(kind(text)) == text


# --- Commands and their lines -----------------------------------------------------------------


@every_limits
@given(st.data())
def test_commands_may_be_sent(limits: Limits, data: st.DataObject) -> None:
    """4.1.2, 4.5.3: each is the line of its own grammar, and no longer than may be."""
    command = data.draw(given_by.commands(limits))
    line = bytes(command)
    assert STRICT.pattern(f"command:{command.verb}").fullmatch(line.decode())
    assert len(line) <= limits.command_line


def test_all_commands_are_there() -> None:
    """4.1.1: all fourteen."""
    assert {type(command) for command in samples(given_by.commands())} == set(COMMANDS)


@pytest.mark.parametrize("kind", COMMANDS)
def test_only_commands_that_are_asked_for(kind: type[Command]) -> None:
    """4.1.1: of one kind, or of some."""
    commands = samples(given_by.commands(verbs=[kind.verb, Verb.NOOP]), 2)
    assert {command.verb for command in commands} == {kind.verb, Verb.NOOP}


def matches(line: bytes, *, strict: bool) -> bool:
    """Whether a line is a command by one of the grammars."""
    grammar = STRICT if strict else LOOSE
    text = line.decode("latin-1")
    return any(grammar.pattern(f"command:{kind.verb}").fullmatch(text) for kind in COMMANDS)


@every_limits
@given(st.data())
def test_valid_lines_are_valid(limits: Limits, data: st.DataObject) -> None:
    """4.1.2: as strict as the strict grammar, or as lenient as the lenient one."""
    assert matches(data.draw(given_by.valid_lines(limits)), strict=True)
    line = data.draw(given_by.valid_lines(limits, lenient=True))
    assert matches(line, strict=False)
    assert len(line) <= limits.command_line


def test_lenient_lines_are_typed_by_people() -> None:
    """AMB-10 to AMB-12: blanks, no brackets, any case."""
    patterns = (
        rb"(?i)from:[ \t]", rb"(?i)to:[^<\t ]", rb"\t \r\n", rb"\A[a-z]{4}\b", rb"\A[A-Z]{4}   "
    )  # fmt: skip
    assert unmet(given_by.valid_lines(lenient=True), *matching(*patterns)) == []


@given(
    given_by.command_lines(),
    given_by.nearly_valid_lines(),
    given_by.hostile_lines(),
    given_by.long_lines(),
)
def test_lines_have_an_end(line: bytes, near: bytes, hostile: bytes, long: bytes) -> None:
    """Every line ends in CRLF."""
    assert all(one.endswith(b"\r\n") for one in (line, near, hostile, long))


def test_command_lines_are_of_every_kind() -> None:
    """Valid and not, long and too long, and what is hostile."""
    missing = unmet(
        given_by.command_lines(),
        lambda line: matches(line, strict=True),
        lambda line: not matches(line, strict=False),
        lambda line: len(line) == 512,
        lambda line: 512 < len(line) < 520,
        lambda line: len(line) > 1024,
        lambda line: b"\r" in line[:-2],
        lambda line: b"\n" in line[:-2],
        lambda line: not line.isascii(),
        lambda line: line.startswith((b"EHLO", b"GET ")),
    )
    assert missing == []


def test_client_streams_are_of_every_kind() -> None:
    """With transactions in order and not, and any end."""
    patterns = (rb"\A[^Hh]", rb"DATA\r\n", rb"\r\n\.\r\n", rb"QUIT\r\n\Z", rb"NOOP\r?\Z")
    assert unmet(given_by.client_streams(), *matching(*patterns), runs=8) == []


# --- Replies ----------------------------------------------------------------------------------


@every_limits
@given(st.data())
def test_replies_are_well_formed(limits: Limits, data: st.DataObject) -> None:
    """Appendix E: each is one reply, of its code; 251 and 551 carry a path (3.2)."""
    reply = data.draw(given_by.replies(limits=limits))
    (wire,) = split_replies(reply.to_bytes(Limits()))
    assert int(wire[:3]) == reply.code
    if reply.code in (251, 551):
        assert reply.forward_path is not None


@pytest.mark.parametrize("codes", [[250], [251], [250, 551], sorted(Code)])
def test_replies_of_some_codes(codes: list[int]) -> None:
    """All those that are asked for, and no others."""
    assert {reply.code for reply in samples(given_by.replies(codes), 12)} == set(codes)


def test_replies_have_any_number_of_lines() -> None:
    """4.2: one, or more."""
    assert {len(reply.lines) for reply in samples(given_by.replies(), 8)} == {1, 2, 3, 4}


def test_reply_streams_are_of_every_kind() -> None:
    """A reply, a reply and more, an odd one, none."""
    patterns = (
        rb"\A250 OK\r\n\Z", rb"\A354", rb"\A[2-5]\d\d-[^\r]*\r\n[2-5]\d\d ", rb"\A[^2-5]",
        rb"OK\Z", rb"\r\n250 OK\r\n\Z", rb"\A\Z",
    )  # fmt: skip
    assert unmet(given_by.reply_streams(), *matching(*patterns)) == []


# --- Mail data --------------------------------------------------------------------------------


def test_mail_data_has_every_hazard() -> None:
    """4.5.2: what ends mail data, what nearly does, and what does to others."""
    hazards = (
        b"\r\n.\r\n", b"\r\n.", b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r\r\n", b"\n\r",
        b"\0", b"\x8d\x8a.", b"\xff", b"..", b"QUIT\r\n",
    )  # fmt: skip
    assert unmet(given_by.mail_data(), *having(*hazards)) == []


def test_mail_data_begins_and_ends_in_any_way() -> None:
    """4.5.2: at its two ends a dot means most."""
    edges = (rb"\.", rb"\.\.", rb"\.\r\n", rb"\r\n", rb"\r", rb"\n", rb"a")
    patterns = [pattern % edge for pattern in (rb"\A%b", rb"%b\Z") for edge in edges]
    assert unmet(given_by.mail_data(), *matching(*patterns)) == []


@pytest.mark.parametrize("limit", [1000, 2000, None])
@given(st.data())
def test_clean_mail_data_is_clean(limit: int | None, data: st.DataObject) -> None:
    """4.5.2, 4.5.3: ASCII, in lines that end in CRLF, none too long."""
    message = data.draw(given_by.clean_mail_data(Limits(text_line=limit)))
    assert message.isascii()
    assert message == b"" or message.endswith(b"\r\n")
    lines = message.split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    assert all(len(line) + 2 <= (limit or 5000) for line in lines)


def test_clean_mail_data_is_of_every_kind() -> None:
    """Nothing, dots where they matter, lines as long as may be."""
    patterns = (
        rb"\A\Z", rb"\A\.", rb"\r\n\.\r\n", rb"\0", rb"(?:\A|\n)x{998}\r\n",
        rb"(?:\A|\n)\.x{997}\r\n",
    )  # fmt: skip
    assert unmet(given_by.clean_mail_data(), *matching(*patterns)) == []


# --- Dialogues --------------------------------------------------------------------------------

DIALECTS: Final = {
    "RFC 821": RFC821,
    "lenient": RFC821_LENIENT,
    "all of the tables": WHOLE,
    "small": attrs.evolve(RFC821, limits=Limits(recipients=1, errors=1)),
}
LEGAL: Final = {name: given_by.dialogues(DIALECTS[name], domain="BETA.ARPA") for name in DIALECTS}
ILLEGAL: Final = {name: given_by.dialogues(DIALECTS[name], legal=False) for name in DIALECTS}
every_dialect = pytest.mark.parametrize("name", DIALECTS)


def edges(walk: Walk) -> set[tuple[State, Verb, Outcome]]:
    """The rows of the table that a walk has taken."""
    before = [State.OPENING, *(step.state for step in walk.steps)]
    return {
        (state, step.verb, outcome(step.verb, step.reply.code))
        for state, step in zip(before, walk.steps, strict=False)
        if step.legal and step.verb is not None
    }


@every_dialect
@given(st.data())
def test_a_legal_dialogue_is_what_a_receiver_says(name: str, data: st.DataObject) -> None:
    """4.3, 4.4: with an application that answers so, a Receiver has just this dialogue."""
    walk = data.draw(LEGAL[name])
    assert all(step.legal for step in walk.steps)
    host = Host(walk.answer(), domain=walk.domain, dialect=walk.dialect)
    check(walk.dialogue, replay(walk.dialogue, host))
    assert not any(isinstance(event, Rejected) for event in host.events)
    messages = [step.message for step in walk.steps if step.message is not None]
    received = b"".join(event.data for event in host.events if isinstance(event, MailData))
    assert received == b"".join(messages)


@every_dialect
@given(st.data())
def test_a_legal_dialogue_is_what_a_sender_says(name: str, data: st.DataObject) -> None:
    """4.3, 4.4: told the commands, a Sender has just this dialogue, and comes to the same state."""
    walk = data.draw(LEGAL[name])
    speaker = Speaker(walk.dialogue, walk.dialect)
    for who, said in walk.dialogue.blocks():
        if who is Role.RECEIVER:
            speaker(said)
    assert speaker.sender.state is walk.steps[-1].state
    speaker = Speaker(walk.dialogue, walk.dialect)
    check(walk.dialogue, replay(walk.dialogue, speaker, Role.SENDER))


@every_dialect
@given(st.data())
def test_an_illegal_dialogue_is_what_a_receiver_says(name: str, data: st.DataObject) -> None:
    """AMB-01: what is out of order, unknown, malformed or not there, it answers by itself."""
    walk = data.draw(ILLEGAL[name])
    host = Host(walk.answer(), domain=walk.domain, dialect=walk.dialect)
    check(walk.dialogue, replay(walk.dialogue, host))
    rejected = [event for event in host.events if isinstance(event, Rejected)]
    assert [(event.verb, event.reply, event.line + b"\r\n") for event in rejected] == [
        (step.verb, step.reply, step.said) for step in walk.steps if not step.legal
    ]


def test_dialogues_take_every_row() -> None:
    """4.3, 4.4: some dialogue takes each transition, and is closed by 421 in each state.

    REFUSED is rare, and 421 there more so.
    """
    found = set().union(*map(edges, samples(given_by.dialogues(WHOLE), 60, 12)))
    closing = Outcome.CLOSING
    assert {row for row in TRANSITIONS.keys() - found if row[2] is not closing} == set()
    closed = {state for state, _, result in found if result is closing} | {State.REFUSED}
    assert closed == {state for state, _, result in TRANSITIONS if result is closing}


def test_dialogues_have_every_mistake() -> None:
    """4.2.1: each of the refusals that are a receiver's own."""
    steps = [
        step for walk in samples(given_by.dialogues(legal=False), 10, 10) for step in walk.steps
    ]
    assert {step.reply.code for step in steps if not step.legal} == {500, 501, 502, 503}
    assert {step.verb for step in steps if not step.legal} > {None, Verb.TURN, Verb.RCPT}


@given(st.data())
def test_a_dialogue_can_be_bounded(data: st.DataObject) -> None:
    """So many steps at most, with the name and the messages that are wanted."""
    messages = st.just(b".\n")
    walk = data.draw(given_by.dialogues(domain="X.ARPA", max_steps=5, messages=messages))
    assert 1 <= len(walk.steps) <= 5
    assert walk.domain == "X.ARPA"
    assert walk.steps[0].said == b""
    assert {step.message for step in walk.steps} <= {None, b".\n"}


@pytest.mark.parametrize(
    ("message", "said"), [(b"a\n.\n", b"a\n.\n\r\n.\r\n"), (b".", b"..\r\n.\r\n")]
)
def test_messages_with_hazards(message: bytes, said: bytes) -> None:
    """4.5.2: they are said with their dots doubled, whatever else is in them."""
    walks = samples(given_by.dialogues(messages=st.just(message)), 10, 10)
    steps = [step for walk in walks for step in walk.steps if step.message is not None]
    assert {(step.said, step.verb, step.command) for step in steps} == {
        (said, Verb.END_OF_DATA, None)
    }
    for walk in walks:
        answers = [step.reply.code for step in walk.steps if step.message is not None]
        assert walk.messages == [message] * answers.count(250)


def test_a_walk_knows_its_commands() -> None:
    """A step has its command, its reply, and where that leads."""
    walks = samples(given_by.dialogues(), 10, 10)
    quits = [step for walk in walks for step in walk.steps if step.verb is Verb.QUIT]
    assert {step.said for step in quits} == {b"QUIT\r\n"}
    assert {step.command for step in quits} == {Quit()}
    assert all((step.reply.code in (221, 421)) == (step.state is State.CLOSED) for step in quits)
    for walk in walks:
        greeting = walk.steps[0]
        assert (greeting.verb, greeting.said, greeting.command) == (Verb.CONNECT, b"", None)


# --- Ways to cut bytes up ---------------------------------------------------------------------


@given(st.data(), st.binary(max_size=100))
def test_pieces_are_the_whole(data: st.DataObject, whole: bytes) -> None:
    """Nothing is lost, and no piece is empty: that would be the end of file."""
    parts = data.draw(given_by.pieces(whole))
    assert b"".join(parts) == whole
    assert all(parts)


@given(st.data(), st.binary(max_size=100))
def test_chunkings_are_the_whole(data: st.DataObject, whole: bytes) -> None:
    """The same in batches, none of which is empty."""
    batches = data.draw(given_by.chunkings(whole))
    assert b"".join(itertools.chain.from_iterable(batches)) == whole
    assert all(batches)
    assert all(part for batch in batches for part in batch)


def test_cuts_are_of_every_kind() -> None:
    """One piece, single octets, and anything between."""
    sizes = [[*map(len, parts)] for parts in samples(given_by.pieces(b"0123456789"))]
    for wanted in ([10], [1] * 10, [2] * 5):
        assert wanted in sizes
    assert {size[0] for size in sizes} == set(range(1, 11))
    batches = samples(given_by.chunkings(b"0123456789"))
    assert any(len(parts) > 1 for parts in itertools.chain.from_iterable(batches))
    assert [[b"0123456789"]] in batches


def test_any_text_has_what_must_not_be_passed_on() -> None:
    """Line ends, controls, and what is no ASCII."""
    marks = having("\r\n", "\0", "\ud800", "RCPT TO:<c@d>", "\xe9")
    assert unmet(given_by.any_text(), partial(longer, 499), *marks) == []
