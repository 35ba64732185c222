"""A protocol as a value: what a Dialect holds, derives and refuses to be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, cast

import attrs
import pytest

from smtp821 import (
    ADDITIONS,
    COMMANDS,
    HTTP_WORDS,
    ORDER,
    RFC821,
    RFC821_LENIENT,
    SEQUENCING,
    TRANSITIONS,
    Dialect,
    Limits,
    Outcome,
    Policy,
    Verb,
)
from smtp821.protocol.dialect import MINIMUM
from smtp821.protocol.grammar import LOOSE, STRICT
from smtp821.protocol.sequencing import MOVES, moves

DATA: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "data" / "sequencing.json").read_text("utf-8")
)
MINIMUM_WORDS: Final = ("HELO", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "QUIT")


@pytest.mark.clause("3.8-04")
def test_the_strict_dialect_is_the_rfc() -> None:
    """RFC821: the tables as they are, the sizes of 4.5.3, TURN off (AMB-24)."""
    assert RFC821.sequencing is SEQUENCING
    assert RFC821.additions is ADDITIONS
    assert RFC821.order is ORDER
    assert RFC821.transitions is TRANSITIONS
    assert RFC821.grammar is STRICT
    assert RFC821.limits == Limits()
    assert RFC821.off == {Verb.TURN}
    assert RFC821.foreign_words == frozenset()


def test_the_policies_of_the_strict_dialect() -> None:
    """AMB-36, AMB-39, AMB-47: all 128 characters delivered, no 8-bit data, early bytes kept."""
    assert RFC821.bare_newlines is Policy.PASS
    assert RFC821.eight_bit is Policy.REFUSE
    assert RFC821.line_feeds is Policy.CONVERT
    assert RFC821.early_talkers is Policy.PASS


def test_the_lenient_dialect_has_the_same_tables() -> None:
    """RFC821_LENIENT differs in syntax, sizes and policies, not in sequence or codes."""
    assert RFC821_LENIENT.grammar is LOOSE
    assert RFC821_LENIENT.codes == RFC821.codes
    assert RFC821_LENIENT.order is ORDER
    assert RFC821_LENIENT.transitions is TRANSITIONS
    assert RFC821_LENIENT.off == RFC821.off
    assert RFC821_LENIENT.bare_newlines is Policy.REFUSE
    assert RFC821_LENIENT.eight_bit is Policy.PASS


def test_the_lenient_sizes_are_no_smaller() -> None:
    """4.5.3: sizes are floors for receiving, so a lenient dialect only raises them."""
    strict, roomy = attrs.asdict(RFC821.limits), attrs.asdict(RFC821_LENIENT.limits)
    for name, size in roomy.items():
        assert size is None or size >= strict[name], name
    raised = {"user": 128, "domain": 255, "path": 448, "command_line": 1024, "text_line": None}
    assert {name: size for name, size in roomy.items() if size != strict[name]} == raised


@pytest.mark.clause("AMB-21")
@pytest.mark.parametrize("verb", Verb)
def test_the_codes_of_each_command(verb: Verb) -> None:
    """4.3: all the codes of the row, and those that the text adds."""
    key = "DATA.end-of-data" if verb is Verb.END_OF_DATA else verb.value
    listed = {code for codes in DATA["table"][key].values() for code in codes}
    assert RFC821.codes[verb] == listed | set(ADDITIONS.get(verb, ()))


@pytest.mark.clause("AMB-31")
@pytest.mark.parametrize("verb", Verb)
def test_the_class_of_every_code(verb: Verb) -> None:
    """AMB-31: the class of the table in 4.3; an added code is an error, another has no class."""
    key = "DATA.end-of-data" if verb is Verb.END_OF_DATA else verb.value
    classes = dict.fromkeys(ADDITIONS.get(verb, ()), Outcome.ERROR)
    for name, codes in DATA["table"][key].items():
        classes |= {code: Outcome(name) for code in codes if name != "P"}
    for code in range(200, 600):
        assert RFC821.row_class(verb, code) is classes.get(code), code


@pytest.mark.clause("3.3-12", "4.5.1-01")
def test_the_minimum_is_that_of_the_rfc() -> None:
    """4.5.1: seven commands that every receiver implements."""
    assert sorted(verb.value for verb in MINIMUM) == sorted(MINIMUM_WORDS)


@pytest.mark.clause("4.5.1-01")
@pytest.mark.parametrize("word", MINIMUM_WORDS)
def test_the_minimum_cannot_be_switched_off(word: str) -> None:
    """4.5.1: a dialect without one of the seven is none, and says which one is missing."""
    with pytest.raises(ValueError, match=rf"every receiver implements {word} \(4\.5\.1\)"):
        Dialect(name="too small", off=frozenset({Verb(word), Verb.TURN}))


def test_more_than_one_of_the_minimum() -> None:
    """4.5.1: all that is missing is named."""
    with pytest.raises(ValueError) as caught:
        attrs.evolve(RFC821, off=frozenset({Verb.QUIT, Verb.EXPN, Verb.MAIL}))
    assert str(caught.value) == "every receiver implements MAIL, QUIT (4.5.1)"


@pytest.mark.clause("3.3-12")
def test_everything_else_can_be_switched_off() -> None:
    """4.5.1: what is not in the minimum may be off, alone or together."""
    rest = {cls.verb for cls in COMMANDS} - MINIMUM
    assert Dialect(name="bare", off=frozenset(rest)).off == rest
    assert Dialect(name="full", off=frozenset()).off == frozenset()


def test_offering_nothing_is_the_minimum() -> None:
    """4.5.1: with nothing offered the minimum is left, whatever was off before."""
    assert RFC821.offering(()).off == {cls.verb for cls in COMMANDS} - MINIMUM


def test_offering_some() -> None:
    """offering() switches on what it names, TURN included, and off all the rest."""
    offered = RFC821.offering([Verb.HELP, Verb.TURN, Verb.MAIL])
    assert offered.off == {Verb.SEND, Verb.SOML, Verb.SAML, Verb.VRFY, Verb.EXPN}
    assert RFC821.off == {Verb.TURN}


def test_offering_keeps_the_rest_of_a_dialect() -> None:
    """offering() changes what is off, and nothing else."""
    offered = RFC821_LENIENT.offering([Verb.VRFY])
    assert offered.name == RFC821_LENIENT.name
    assert offered.limits is RFC821_LENIENT.limits
    assert offered.bare_newlines is Policy.REFUSE


@pytest.mark.parametrize("name", ["bare_newlines", "eight_bit", "early_talkers"])
def test_a_receiver_never_converts(name: str) -> None:
    """4.5.2: CONVERT is for sending; as a policy of receiving it is refused by name."""
    with pytest.raises(ValueError, match=f"{name}: a receiver never converts"):
        attrs.evolve(RFC821, **cast(Any, {name: Policy.CONVERT}))


@pytest.mark.parametrize("policy", Policy)
def test_a_sender_may_convert(policy: Policy) -> None:
    """AMB-36: every policy is one for the line feeds that a sender is given."""
    assert attrs.evolve(RFC821, line_feeds=policy).line_feeds is policy


def test_a_dialect_made_from_another_derives_its_own_tables() -> None:
    """Codes and syntaxes follow the tables that a dialect is made with."""
    refusing = attrs.evolve(RFC821, additions={Verb.CONNECT: {554: "RFC 5321 3.1"}})
    assert refusing.codes[Verb.CONNECT] == {220, 421, 554}
    assert refusing.row_class(Verb.CONNECT, 554) is Outcome.ERROR
    assert refusing.codes[Verb.MAIL] == RFC821.codes[Verb.MAIL] - {503}
    assert RFC821.codes[Verb.CONNECT] == {220, 421}


def test_dialects_of_the_same_transitions_share_their_moves() -> None:
    """4.4: the table is made once, for it is the same; other transitions have another."""
    assert RFC821.moves is RFC821_LENIENT.moves is MOVES
    staying = attrs.evolve(RFC821, transitions={})
    assert staying.moves == moves({})


def test_the_syntaxes_follow_the_grammar() -> None:
    """A dialect with another grammar reads lines otherwise (AMB-11)."""
    loose = attrs.evolve(RFC821, grammar=LOOSE)
    tail = b" FROM:a@b.c"
    assert isinstance(RFC821.syntaxes[b"MAIL"].parse(tail, RFC821.limits), str)
    assert not isinstance(loose.syntaxes[b"MAIL"].parse(tail, loose.limits), str)


def test_the_words_of_the_syntaxes() -> None:
    """4.1.1: fourteen command words, in upper case."""
    assert set(RFC821.syntaxes) == {cls.verb.value.encode("ascii") for cls in COMMANDS}
    assert len(RFC821.syntaxes) == 14


def test_a_dialect_does_not_change() -> None:
    """A dialect is a frozen value with keyword arguments only."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        RFC821.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        Dialect("positional")  # type: ignore[call-arg]


def test_each_dialect_is_itself() -> None:
    """A dialect is compared by identity, and can be a key."""
    other = attrs.evolve(RFC821)
    assert {RFC821: 1, other: 2}[RFC821] == 1
    assert other != RFC821


def test_what_is_derived_is_not_shown() -> None:
    """The repr of a dialect has what it was made with."""
    assert "foreign_words=" in repr(RFC821)
    assert "syntaxes=" not in repr(RFC821)
    assert "codes=" not in repr(RFC821)


def test_foreign_words_are_no_command_words() -> None:
    """No word of HTTP is one of SMTP, so none can be taken for a command."""
    assert all(word.isupper() and word not in RFC821.syntaxes for word in HTTP_WORDS)
    assert {b"GET", b"POST", b"CONNECT"} <= HTTP_WORDS
