"""The fourteen commands (4.1.1) as values, and how lines become values.

A value prints to the one line that a sender writes, and is what a receiver makes of such a line.
The syntax of each line stands in grammar.py; here each word meets its class.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

import attrs

from .errors import LocalProtocolError
from .grammar import STRICT, Grammar
from .limits import FLOOR, Limits
from .paths import Domain, Path, excess, maker

__all__ = [
    "COMMANDS",
    "USAGE",
    "Command",
    "Data",
    "Expn",
    "Helo",
    "Help",
    "Mail",
    "Noop",
    "Quit",
    "Rcpt",
    "Rset",
    "Saml",
    "Send",
    "Soml",
    "Syntax",
    "TransactionCommand",
    "Turn",
    "Verb",
    "Vrfy",
]


class Verb(enum.StrEnum):
    """What is answered by exactly one reply: the rows of the table in 4.3."""

    CONNECT = "CONNECTION ESTABLISHMENT"
    HELO = "HELO"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    END_OF_DATA = "END OF DATA"
    RSET = "RSET"
    SEND = "SEND"
    SOML = "SOML"
    SAML = "SAML"
    VRFY = "VRFY"
    EXPN = "EXPN"
    HELP = "HELP"
    NOOP = "NOOP"
    QUIT = "QUIT"
    TURN = "TURN"


@attrs.frozen
class Command:
    """One command; `str` gives its line without CRLF, `bytes` the line with it."""

    verb: ClassVar[Verb]

    def __str__(self) -> str:
        return self.verb.value

    def __bytes__(self) -> bytes:
        return f"{self}\r\n".encode("ascii")


def _path(value: Path | str) -> Path:
    return Path(value) if isinstance(value, str) else value


def _domain(value: Domain | str) -> Domain:
    return Domain(value) if isinstance(value, str) else value


def _of(kind: type, production: str, example: str) -> Any:
    """A validator: an instance of `kind` whose text is derivable from the production."""

    def check(instance: Command, _: object, value: object) -> None:
        if not isinstance(value, kind) or not STRICT.pattern(production).fullmatch(str(value)):
            raise LocalProtocolError(f"{instance.verb} takes {example}, not {value!a}")

    return check


@attrs.frozen
class Helo(Command):
    """HELO: the sender's host names itself (4.1.1). Raises LocalProtocolError for no domain."""

    verb: ClassVar[Verb] = Verb.HELO
    domain: Domain = attrs.field(
        converter=_domain, validator=_of(Domain, "domain", 'a domain, "USC-ISIF.ARPA"')
    )

    def __str__(self) -> str:
        return f"HELO {self.domain}"


@attrs.frozen
class TransactionCommand(Command):
    """What MAIL, SEND, SOML and SAML have in common: each begins a transaction (3.4)."""

    reverse_path: Path = attrs.field(
        converter=_path,
        validator=_of(Path, "reverse-path", 'a reverse-path, "<a@b.c>" or "<>"'),
    )

    def __str__(self) -> str:
        return f"{self.verb.value} FROM:{self.reverse_path}"


class Mail(TransactionCommand):
    """MAIL: begins a transaction that delivers to mailboxes (4.1.1).

    reverse_path: a Path or its text; "<>" for a notification. Raises LocalProtocolError.
    """

    __slots__ = ()
    verb: ClassVar[Verb] = Verb.MAIL


class Send(TransactionCommand):
    """SEND: begins a transaction that delivers to terminals (3.4). Else as Mail."""

    __slots__ = ()
    verb: ClassVar[Verb] = Verb.SEND


class Soml(TransactionCommand):
    """SOML: delivers to the terminal, or else to the mailbox (3.4). Else as Mail."""

    __slots__ = ()
    verb: ClassVar[Verb] = Verb.SOML


class Saml(TransactionCommand):
    """SAML: delivers to the mailbox, and to the terminal too (3.4). Else as Mail."""

    __slots__ = ()
    verb: ClassVar[Verb] = Verb.SAML


@attrs.frozen
class Rcpt(Command):
    """RCPT: one recipient (4.1.1).

    forward_path: a Path or its text, never null. Raises LocalProtocolError.
    """

    verb: ClassVar[Verb] = Verb.RCPT
    forward_path: Path = attrs.field(
        converter=_path,
        validator=_of(Path, "forward-path", 'a forward-path, "<a@b.c>" or "<@relay:a@b.c>"'),
    )

    def __str__(self) -> str:
        return f"RCPT TO:{self.forward_path}"


@attrs.frozen
class _StringCommand(Command):
    string: str = attrs.field(
        validator=_of(str, "text", "printable ASCII text without blanks around it")
    )

    def __str__(self) -> str:
        return f"{self.verb.value} {self.string}"


class Vrfy(_StringCommand):
    """VRFY: who is this user? (3.3) Raises LocalProtocolError where `string` cannot be sent."""

    __slots__ = ()
    verb: ClassVar[Verb] = Verb.VRFY


class Expn(_StringCommand):
    """EXPN: who is on this list? (3.3) Raises LocalProtocolError where `string` cannot be sent."""

    __slots__ = ()
    verb: ClassVar[Verb] = Verb.EXPN


@attrs.frozen
class Help(Command):
    """HELP, about a topic or in general (4.1.1).

    string: the topic, or None. Raises LocalProtocolError where it cannot be sent.
    """

    verb: ClassVar[Verb] = Verb.HELP
    string: str | None = attrs.field(
        default=None,
        validator=attrs.validators.optional(
            _of(str, "text", "printable ASCII text without blanks around it")
        ),
    )

    def __str__(self) -> str:
        return "HELP" if self.string is None else f"HELP {self.string}"


class Data(Command):
    """DATA: mail data is to follow (4.1.1)."""

    __slots__ = ()
    verb: ClassVar[Verb] = Verb.DATA


class Rset(Command):
    """RSET: the transaction is aborted (4.1.1)."""

    __slots__ = ()
    verb: ClassVar[Verb] = Verb.RSET


class Noop(Command):
    """NOOP: nothing but an OK reply (4.1.1)."""

    __slots__ = ()
    verb: ClassVar[Verb] = Verb.NOOP


class Quit(Command):
    """QUIT: an OK reply, then the channel is closed (4.1.1)."""

    __slots__ = ()
    verb: ClassVar[Verb] = Verb.QUIT


class Turn(Command):
    """TURN: let us change roles (3.8)."""

    __slots__ = ()
    verb: ClassVar[Verb] = Verb.TURN


COMMANDS: Final[tuple[type[Command], ...]] = (
    Helo, Mail, Rcpt, Data, Rset, Send, Soml, Saml, Vrfy, Expn, Help, Noop, Quit, Turn,
)  # fmt: skip


class Syntax:
    """How one command is read: its class, and the pattern of what follows its word.

    takes_argument: whether anything but blanks may follow; a command that has an argument and
        takes none is judged before the sequence is (AMB-01).
    """

    __slots__ = (
        "_grammar",
        "_is_path",
        "_make",
        "_make_value",
        "_match",
        "_singleton",
        "command",
        "takes_argument",
        "verb",
    )

    def __init__(self, command: type[Command], grammar: Grammar) -> None:
        self.command = command
        self.verb = command.verb
        self._grammar = grammar
        self._match: Callable[[str], re.Match[str] | None] = self._first_match
        fields = attrs.fields(command)
        self.takes_argument = bool(fields)
        self._singleton = None if fields else command()
        field = fields[0].name if fields else ""
        kind = {"": None, "domain": Domain, "string": None}.get(field, Path)
        self._is_path = kind is Path
        self._make = maker(command, field) if fields else None
        self._make_value: Callable[[object], Any] | None = maker(kind, "text") if kind else None

    def _first_match(self, tail: str) -> re.Match[str] | None:
        """Match, with a pattern that is not made before it is needed: importing is to be quick."""
        self._match = self._grammar.pattern(f"tail:{self.verb.value}").fullmatch
        return self._match(tail)

    def parse(self, tail: bytes, limits: Limits) -> Command | str:
        """The command, or what is wrong with its argument, in words for a 501 reply.

        tail: the line behind the word, blanks included, without CRLF.
        """
        if not tail and self._singleton is not None:
            return self._singleton
        match = self._match(tail.decode("latin-1"))
        if match is None:
            return "Syntax error in parameters or arguments"
        if self._make is None:
            return self.command()
        text = match[1]
        if self._make_value is None:
            return self._make(text)
        if self._is_path and text[0] != "<":
            text = f"<{text}>"
        value = self._make_value(text)
        if len(text) > FLOOR and (too_long := excess(value, limits)):
            return too_long
        return self._make(value)


def syntax_table(grammar: Grammar) -> Mapping[bytes, Syntax]:
    """The syntax of all fourteen, by their words in upper case."""
    return {cls.verb.value.encode("ascii"): Syntax(cls, grammar) for cls in COMMANDS}


# How each command is written (4.1.2 p29), for people.
USAGE: Final[Mapping[Verb, str]] = {
    Verb.HELO: "HELO <domain>",
    Verb.MAIL: "MAIL FROM:<reverse-path>",
    Verb.RCPT: "RCPT TO:<forward-path>",
    Verb.DATA: "DATA",
    Verb.RSET: "RSET",
    Verb.SEND: "SEND FROM:<reverse-path>",
    Verb.SOML: "SOML FROM:<reverse-path>",
    Verb.SAML: "SAML FROM:<reverse-path>",
    Verb.VRFY: "VRFY <string>",
    Verb.EXPN: "EXPN <string>",
    Verb.HELP: "HELP [<string>]",
    Verb.NOOP: "NOOP",
    Verb.QUIT: "QUIT",
    Verb.TURN: "TURN",
}
