"""A protocol as a value: the tables, sizes and policies that a Receiver or Sender obeys.

`RFC821` keeps to the RFC as docs/rfc821-notes.md reads it. `RFC821_LENIENT` also takes what
people type and today's mailers send. Any other is made from these with `attrs.evolve`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from .commands import Syntax, Verb, syntax_table
from .dots import Policy
from .grammar import LOOSE, STRICT, Grammar
from .limits import Limits
from .sequencing import (
    ADDITIONS,
    MOVES,
    ORDER,
    SEQUENCING,
    TRANSITIONS,
    Move,
    Outcome,
    State,
    moves,
)

__all__ = ["HTTP_WORDS", "RFC821", "RFC821_LENIENT", "Dialect"]

# 4.5.1: what every receiver implements.
MINIMUM: Final = frozenset(
    {Verb.HELO, Verb.MAIL, Verb.RCPT, Verb.DATA, Verb.RSET, Verb.NOOP, Verb.QUIT}
)

# First words of lines that another protocol sends; for `Dialect.foreign_words`.
HTTP_WORDS: Final = frozenset(
    {b"CONNECT", b"DELETE", b"GET", b"HEAD", b"OPTIONS", b"PATCH", b"POST", b"PUT", b"TRACE"}
)


def _no_conversion(_: object, field: attrs.Attribute[Policy], value: Policy) -> None:
    if value is Policy.CONVERT:
        raise ValueError(f"{field.name}: a receiver never converts mail data (4.5.2)")


def _beyond_the_minimum(_: object, __: object, off: frozenset[Verb]) -> None:
    if off & MINIMUM:
        raise ValueError(f"every receiver implements {', '.join(sorted(off & MINIMUM))} (4.5.1)")


@attrs.frozen(kw_only=True, eq=False)
class Dialect:
    """What is spoken. Raises ValueError for what no dialect of RFC 821 can be."""

    name: str
    """For people."""
    grammar: Grammar = STRICT
    """The syntax of command lines (4.1.2)."""
    limits: Limits = attrs.field(factory=Limits)
    """The sizes (4.5.3)."""
    sequencing: Mapping[Verb, Mapping[Outcome, tuple[int, ...]]] = SEQUENCING
    """The reply codes of each command, by class (4.3)."""
    additions: Mapping[Verb, Mapping[int, str]] = ADDITIONS
    """Reply codes that the rows of 4.3 leave out, each with the reason it is needed."""
    order: Mapping[State, frozenset[Verb]] = ORDER
    """Which commands are legal in which state; others are answered 503 (4.1.1)."""
    transitions: Mapping[tuple[State, Verb, Outcome], State] = TRANSITIONS
    """What moves the session (4.1.1, 4.4)."""
    off: frozenset[Verb] = attrs.field(
        default=frozenset({Verb.TURN}), validator=_beyond_the_minimum
    )
    """Commands that a receiver answers 502, without asking the application (4.5.1, AMB-24)."""
    bare_newlines: Policy = attrs.field(default=Policy.PASS, validator=_no_conversion)
    """Received CR or LF that is no part of a CRLF: data, or 554 at the end (AMB-36)."""
    eight_bit: Policy = attrs.field(default=Policy.REFUSE, validator=_no_conversion)
    """Octets over 127 in mail data, received or sent: data, or refused with 554 (AMB-39)."""
    line_feeds: Policy = Policy.CONVERT
    """A CR or LF alone in mail data that is to be sent (AMB-36)."""
    early_talkers: Policy = attrs.field(default=Policy.PASS, validator=_no_conversion)
    """Bytes before the greeting, or behind DATA before 354: input, or 421 (AMB-47)."""
    foreign_words: frozenset[bytes] = frozenset()
    """First words, in upper case, that get 421 at once: they are not SMTP's."""

    syntaxes: Mapping[bytes, Syntax] = attrs.field(init=False, repr=False)
    """How to read each command, by its word in upper case."""
    codes: Mapping[Verb, frozenset[int]] = attrs.field(init=False, repr=False)
    """All the codes that may answer each command."""
    moves: Mapping[tuple[State, Verb, int], Move] = attrs.field(init=False, repr=False)
    """What a reply leads to, by state, command, and its first digit or 421."""

    @syntaxes.default
    def _syntaxes(self) -> Mapping[bytes, Syntax]:
        return syntax_table(self.grammar)

    @codes.default
    def _codes(self) -> Mapping[Verb, frozenset[int]]:
        return {
            verb: frozenset(code for codes in row.values() for code in codes).union(
                self.additions.get(verb, {})
            )
            for verb, row in self.sequencing.items()
        }

    @moves.default
    def _moves(self) -> Mapping[tuple[State, Verb, int], Move]:
        return MOVES if self.transitions is TRANSITIONS else moves(self.transitions)

    def row_class(self, verb: Verb, code: int) -> Outcome | None:
        """The class that the table in 4.3 puts a code in; None where it is not in the row.

        `outcome` gives the class by the first digit instead (4.4, AMB-31).
        """
        for class_, codes in self.sequencing[verb].items():
            if code in codes:
                return class_
        return Outcome.ERROR if code in self.codes[verb] else None

    def offering(self, verbs: Iterable[Verb]) -> Dialect:
        """This dialect with just these commands, and the minimum of 4.5.1, implemented."""
        offered = MINIMUM.union(verbs)
        commands = {syntax.verb for syntax in self.syntaxes.values()}
        return attrs.evolve(self, off=frozenset(commands - offered))


RFC821: Final = Dialect(name="RFC 821")

# The sizes of today's names and lines: RFC 1035 2.3.4 (domains), RFC 5321 4.5.3.1 (the rest are
# floors there), and mail data with lines of any length, which costs nothing. A path still fits
# the line of a 251 or 551.
_ROOMY: Final = Limits(user=128, domain=255, path=448, command_line=1024, text_line=None)

RFC821_LENIENT: Final = Dialect(
    name="RFC 821, lenient",
    grammar=LOOSE,
    limits=_ROOMY,
    bare_newlines=Policy.REFUSE,
    eight_bit=Policy.PASS,
)
