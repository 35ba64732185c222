"""The fourteen commands (4.1.1) as values, and how lines become values."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Final

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp821 import (
    COMMANDS,
    RFC821,
    RFC821_LENIENT,
    Command,
    Data,
    Domain,
    Expn,
    Helo,
    Help,
    Limits,
    LocalProtocolError,
    Mail,
    Noop,
    Path,
    Quit,
    Rcpt,
    Rejected,
    Rset,
    Saml,
    Send,
    Soml,
    State,
    TransactionCommand,
    Turn,
    Verb,
    Vrfy,
)
from smtp821.protocol.commands import USAGE, Syntax, syntax_table
from smtp821.protocol.grammar import BY_THE_LETTER, LOOSE, STRICT
from smtp821.protocol.paths import trusted

from .driving import receiver_in

LIMITS: Final = Limits()
ROUTE: Final = "<@ONE,@TWO:JOE@THREE>"

# Each command, and the line that it is (4.1.2).
LINES: Final[list[tuple[Command, bytes]]] = [
    (Helo("USC-ISIF.ARPA"), b"HELO USC-ISIF.ARPA\r\n"),
    (Helo("#123"), b"HELO #123\r\n"),
    (Helo("[10.0.0.27]"), b"HELO [10.0.0.27]\r\n"),
    (Mail("<Smith@Alpha.ARPA>"), b"MAIL FROM:<Smith@Alpha.ARPA>\r\n"),
    (Mail("<>"), b"MAIL FROM:<>\r\n"),
    (Mail(ROUTE), b"MAIL FROM:<@ONE,@TWO:JOE@THREE>\r\n"),
    (Mail('<"Joe Smith"@abc>'), b'MAIL FROM:<"Joe Smith"@abc>\r\n'),
    (Send("<EAK@MIT-MC.ARPA>"), b"SEND FROM:<EAK@MIT-MC.ARPA>\r\n"),
    (Soml("<EAK@MIT-MC.ARPA>"), b"SOML FROM:<EAK@MIT-MC.ARPA>\r\n"),
    (Saml("<EAK@MIT-MC.ARPA>"), b"SAML FROM:<EAK@MIT-MC.ARPA>\r\n"),
    (Rcpt("<Jones@Beta.ARPA>"), b"RCPT TO:<Jones@Beta.ARPA>\r\n"),
    (Rcpt(ROUTE), b"RCPT TO:<@ONE,@TWO:JOE@THREE>\r\n"),
    (Rcpt("<Postmaster>"), b"RCPT TO:<Postmaster>\r\n"),
    (Data(), b"DATA\r\n"),
    (Rset(), b"RSET\r\n"),
    (Vrfy("Crispin"), b"VRFY Crispin\r\n"),
    (Vrfy("Sam Q. Smith <sam@abc>"), b"VRFY Sam Q. Smith <sam@abc>\r\n"),
    (Expn("Example-People"), b"EXPN Example-People\r\n"),
    (Help(), b"HELP\r\n"),
    (Help(None), b"HELP\r\n"),
    (Help("MAIL"), b"HELP MAIL\r\n"),
    (Noop(), b"NOOP\r\n"),
    (Quit(), b"QUIT\r\n"),
    (Turn(), b"TURN\r\n"),
]

# For each kind that has an argument: how it is made, its field, and an argument.
MAKERS: Final[list[tuple[Callable[[str], Command], str, str]]] = [
    (Helo, "domain", "USC-ISIF.ARPA"),
    (Mail, "reverse_path", "<Smith@Alpha.ARPA>"),
    (Send, "reverse_path", "<Smith@Alpha.ARPA>"),
    (Soml, "reverse_path", "<Smith@Alpha.ARPA>"),
    (Saml, "reverse_path", "<Smith@Alpha.ARPA>"),
    (Rcpt, "forward_path", "<Smith@Alpha.ARPA>"),
    (Vrfy, "string", "Smith"),
    (Expn, "string", "Smith"),
    (Help, "string", "MAIL"),
]
PLAIN: Final[list[type[Command]]] = [Data, Rset, Noop, Quit, Turn]


def parse(line: bytes, limits: Limits = LIMITS) -> Command | str:
    """What the strict syntax makes of a line without its CRLF."""
    return RFC821.syntaxes[line[:4].upper()].parse(line[4:], limits)


# Values, in and out.


def test_the_fourteen() -> None:
    """4.1.1: the commands, in the order of 4.1.2."""
    words = "HELO MAIL RCPT DATA RSET SEND SOML SAML VRFY EXPN HELP NOOP QUIT TURN"
    assert [command.verb.value for command in COMMANDS] == words.split()
    assert {command.verb for command in COMMANDS} | {Verb.CONNECT, Verb.END_OF_DATA} == set(Verb)
    assert {type(command) for command, _ in LINES} == set(COMMANDS)


@pytest.mark.clause("2-10", "4.1.2-07", "4.1.2-08", "4.1.2-09", "4.1.2-11", "4.1.2-12", "4.1.2-13")
@pytest.mark.parametrize(("command", "line"), LINES)
def test_print(command: Command, line: bytes) -> None:
    """4.1.2: a command prints to its line, without CRLF as text and with it as bytes."""
    assert bytes(command) == line
    assert str(command) == line[:-2].decode("ascii")
    assert line.startswith(command.verb.value.encode("ascii"))


@pytest.mark.clause("3.6-01", "3.6-13", "4.1.1.MAIL-02", "4.1.1.MAIL-04")
@pytest.mark.parametrize(("command", "line"), LINES)
@pytest.mark.parametrize("grammar", [STRICT, LOOSE])
def test_parse_what_was_printed(command: Command, line: bytes, grammar: Any) -> None:
    """4.1.2: the line of a command is read as that command."""
    read = syntax_table(grammar)[line[:4]].parse(line[4:-2], LIMITS)
    assert read == command
    assert type(read) is type(command)
    assert bytes(read) == line


@pytest.mark.parametrize(("make", "field", "argument"), MAKERS)
def test_argument(make: Callable[[str], Command], field: str, argument: str) -> None:
    """4.1.1: the argument is kept as it was written."""
    assert str(getattr(make(argument), field)) == argument
    assert [f.name for f in attrs.fields(type(make(argument)))] == [field]


@pytest.mark.parametrize("make", PLAIN)
def test_no_argument(make: Callable[..., Command]) -> None:
    """4.1.1: DATA, RSET, NOOP, QUIT and TURN take none."""
    assert make() == make()
    with pytest.raises(TypeError):
        make("argument")


def test_converters() -> None:
    """A path or a domain may be given as a value or as its text."""
    assert Helo(Domain("abc")) == Helo("abc")
    assert isinstance(Helo("abc").domain, Domain)
    for kind in (Mail, Send, Soml, Saml):
        assert kind(Path("<a@b>")) == kind("<a@b>")
        assert isinstance(kind("<a@b>").reverse_path, Path)
    assert Rcpt(Path("<a@b>")) == Rcpt("<a@b>")
    assert isinstance(Rcpt("<a@b>").forward_path, Path)


def test_transaction_commands() -> None:
    """3.4: four commands begin a transaction; the others do not."""
    kinds = [command for command in COMMANDS if issubclass(command, TransactionCommand)]
    assert kinds == [Mail, Send, Soml, Saml]


def test_usage() -> None:
    """4.1.2: every command says how it is written, as the RFC prints it."""
    assert set(USAGE) == {command.verb for command in COMMANDS}
    assert USAGE[Verb.MAIL] == "MAIL FROM:<reverse-path>"
    for command in COMMANDS:
        usage = USAGE[command.verb]
        assert usage.startswith(command.verb.value)
        assert ("<" in usage) == (command not in PLAIN)


# Equality, hashes, frozenness.


@pytest.mark.parametrize(("command", "line"), LINES)
def test_values(command: Command, line: bytes) -> None:
    """Commands are compared by kind and argument, can be keys, and do not change."""
    copy = parse(line[:-2])
    assert isinstance(copy, Command)
    assert hash(copy) == hash(command)
    equal = [other for other, _ in LINES if other == command]
    assert {bytes(other) for other in equal} == {line}
    assert type(command).__name__ in repr(command)
    for name in ("verb", "string", "domain", "reverse_path", "forward_path", "other"):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(command, name, None)


def test_kinds_are_unequal() -> None:
    """The same argument does not make commands equal."""
    same_path: list[Command] = [kind("<a@b>") for kind in (Mail, Send, Soml, Saml)]
    assert len({*same_path, Rcpt("<a@b>")}) == 5
    assert len({kind("x") for kind in (Vrfy, Expn, Help)}) == 3
    assert len({kind() for kind in PLAIN}) == 5
    assert len({Help(), Help("HELP")}) == 2


def test_domains_have_no_case() -> None:
    """2: commands are equal where their domains differ in case alone."""
    assert Helo("ABC") == Helo("abc")
    assert hash(Mail("<a@B>")) == hash(Mail("<a@b>"))
    assert Rcpt("<A@b>") != Rcpt("<a@b>")
    assert Rcpt("<postmaster>") == Rcpt("<Postmaster>")


# What must not be sent.


@pytest.mark.clause("2-09", "A-03")
@pytest.mark.parametrize(("make", "argument"), [(make, argument) for make, _, argument in MAKERS])
def test_nothing_unprintable(make: Callable[[str], Command], argument: str) -> None:
    """AMB-16: no control character and nothing but ASCII comes into a command."""
    bad = [*map(chr, [*range(32), *range(127, 256)]), "\u2028", "\u0661", "\ud800", "\r\nQUIT"]
    for character, at in itertools.product(bad, (0, 1, 2, len(argument) - 1, len(argument))):
        with pytest.raises(LocalProtocolError) as caught:
            make(argument[:at] + character + argument[at:])
        assert str(caught.value).isascii()
        assert str(caught.value).isprintable()


@pytest.mark.clause("AMB-16")
@pytest.mark.parametrize("make", [Mail, Send, Soml, Saml, Rcpt])
@pytest.mark.parametrize("path", ['<"a{}b"@c>', '<"{}"@c>', '<"\\{}"@c>', "<a\\{}b@c>"])
def test_nothing_unprintable_is_quoted(make: Callable[[str], Command], path: str) -> None:
    """AMB-16: quotes and backslashes do not help."""
    for character in map(chr, [*range(32), *range(127, 256)]):
        with pytest.raises(LocalProtocolError):
            make(path.format(character))


@pytest.mark.clause("2-05", "AMB-14")
@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (Helo, ""),
        (Helo, "a b"),
        (Helo, "under_score"),
        (Helo, "1.2.3.4"),
        (Mail, ""),
        (Mail, "a@b"),
        (Mail, "<a>"),
        (Mail, "<Postmaster>"),
        (Mail, "<a@b> SIZE=1"),
        (Send, "<Postmaster>"),
        (Soml, "<Postmaster>"),
        (Saml, "<Postmaster>"),
        (Rcpt, ""),
        (Rcpt, "<>"),
        (Rcpt, "a@b"),
        (Rcpt, "<a@b>,<c@d>"),
        (Rcpt, "Postmaster"),
        (Vrfy, ""),
        (Vrfy, " "),
        (Vrfy, " a"),
        (Vrfy, "a "),
        (Expn, ""),
        (Expn, " a"),
        (Help, ""),
        (Help, " a"),
        (Help, "a "),
    ],
)
def test_no_such_argument(make: Callable[[str], Command], argument: str) -> None:
    """AMB-14, AMB-15, 3.3: what is no argument of the command is refused."""
    with pytest.raises(LocalProtocolError):
        make(argument)


@pytest.mark.parametrize("make", [make for make, _, _ in MAKERS])
@pytest.mark.parametrize("argument", [None, 1, b"abc", b"<a@b>", Path("<a@b>"), Domain("abc")])
def test_no_such_kind_of_argument(make: Callable[[Any], Command], argument: object) -> None:
    """What is of another kind is refused with the same error, and says what would do."""
    right: dict[type, list[Any]] = {
        Domain: [Helo],
        Path: [Mail, Send, Soml, Saml, Rcpt],
        type(None): [Help],
    }
    if make in right.get(type(argument), []):
        assert make(argument)
    else:
        with pytest.raises(LocalProtocolError, match=r"^[A-Z]{4} takes .*, not "):
            make(argument)


def test_what_a_lenient_receiver_read_is_not_sent() -> None:
    """AMB-08: a domain that only a lenient reader made is checked when it is to be sent."""
    domain = trusted(Domain, "text", "under_score\r\nQUIT")
    with pytest.raises(LocalProtocolError, match=r"^HELO takes a domain"):
        Helo(domain)
    with pytest.raises(LocalProtocolError, match=r"^RCPT takes a forward-path"):
        Rcpt(trusted(Path, "text", "<a b>"))


def test_only_ascii_is_written() -> None:
    """2, 4.1.1: whatever a command says of itself, its line is ASCII."""

    class Odd(Noop):
        def __str__(self) -> str:
            return "NOOP \xe9"

    with pytest.raises(UnicodeEncodeError):
        bytes(Odd())


# Reading.


@pytest.mark.clause("4.1.2-03", "4.1.2-06", "AMB-12")
@pytest.mark.parametrize(
    ("line", "read"),
    [
        (b"HELO  abc  ", Helo("abc")),
        (b"helo #1", Helo("#1")),
        (b"MAIL   from:<a@b>  ", Mail("<a@b>")),
        (b"RCPT tO:<a@b>", Rcpt("<a@b>")),
        (b"RCPT TO:<pOsTmAsTeR>", Rcpt("<Postmaster>")),
        (b"VRFY  a  b  ", Vrfy("a  b")),
        (b"EXPN " + b"x" * 505, Expn("x" * 505)),
        (b"HELP", Help()),
        (b"HELP  ", Help()),
        (b"HELP a", Help("a")),
        (b"NOOP  ", Noop()),
    ],
)
def test_parse(line: bytes, read: Command) -> None:
    """4.1.1, AMB-12: one or more spaces before the argument, any number behind it."""
    assert parse(line) == read


@pytest.mark.clause("2-09", "4.1.1.RCPT-02", "AMB-10", "AMB-35")
@pytest.mark.parametrize(
    "line",
    [
        b"HELO",
        b"HELO ",
        b"HELO a_b",
        b"MAIL",
        b"MAIL FROM:",
        b"MAIL FROM: <a@b>",
        b"MAIL FROM:<a@b> X",
        b"MAIL TO:<a@b>",
        b"RCPT TO:<>",
        b"RCPT TO:<a@b\r>",
        b"RCPT TO:<\xe9@b>",
        b"VRFY",
        b"VRFY \xe9",
        b"VRFY a\0",
        b"VRFY a\n",
        b"HELP\t",
        b"NOOP x",
        b"DATA\r",
        b"QUIT\n",
    ],
)
def test_syntax_error(line: bytes) -> None:
    """4.3: what is wrong with an argument is said in the words of 501."""
    assert parse(line) == "Syntax error in parameters or arguments"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"HELO " + b"a" * 32 + b"." + b"b" * 32, "Domain too long"),
        (b"MAIL FROM:<" + b"u" * 65 + b"@abc>", "User name too long"),
        (b"MAIL FROM:<u@" + b"a" * 32 + b"." + b"b" * 32 + b">", "Domain too long"),
        (b"RCPT TO:<@" + b"h" * 60 + b",@h" * 70 + b":u@h>", "Path too long"),
        (b"RCPT TO:<" + b"@h," * 70 + b"@" + b"h" * 60 + b":u@h>", "Path too long"),
    ],
)
def test_too_long(line: bytes, words: str) -> None:
    """4.5.3: what is too long is said in the words of 501; with room it is read."""
    assert parse(line) == words
    assert isinstance(parse(line, RFC821_LENIENT.limits), Command)


def test_strings_have_no_limit_but_that_of_the_line() -> None:
    """4.5.3: the argument of VRFY, EXPN and HELP is as long as the line lets it be."""
    assert parse(b"VRFY " + b"x" * 10_000) == Vrfy("x" * 10_000)


@pytest.mark.clause("AMB-07", "AMB-10", "AMB-11", "AMB-12")
@pytest.mark.parametrize(
    ("line", "read"),
    [
        (b"MAIL FROM: <a@b>", Mail("<a@b>")),
        (b"MAIL FROM:a@b", Mail("<a@b>")),
        (b"MAIL FROM:\t a@b \t", Mail("<a@b>")),
        (b"RCPT TO:a@b", Rcpt("<a@b>")),
        (b'RCPT TO:"<a>"@b', Rcpt('<"<a>"@b>')),
        (b"RCPT TO: <Postmaster>", Rcpt("<Postmaster>")),
        (b"NOOP x y", Noop()),
        (b"QUIT \t", Quit()),
    ],
)
def test_parse_leniently(line: bytes, read: Command) -> None:
    """AMB-07, AMB-10 to AMB-12: what people type becomes what the RFC has."""
    assert syntax_table(LOOSE)[line[:4]].parse(line[4:], LIMITS) == read
    assert bytes(read) != line + b"\r\n"


@pytest.mark.clause("AMB-08")
def test_parse_any_host_name_leniently() -> None:
    """AMB-08: a lenient receiver takes any name, and keeps it."""
    read = RFC821_LENIENT.syntaxes[b"HELO"].parse(b" my_pc!", LIMITS)
    assert isinstance(read, Helo)
    assert read.domain.text == "my_pc!"
    assert RFC821_LENIENT.syntaxes[b"HELO"].parse(b" " + b"_" * 65, LIMITS) == "Domain too long"


@pytest.mark.parametrize("grammar", [BY_THE_LETTER, STRICT, LOOSE])
def test_syntax_table(grammar: Any) -> None:
    """4.1.1: each word has its syntax, and knows whether an argument may follow it."""
    table = syntax_table(grammar)
    assert list(table) == [command.verb.value.encode("ascii") for command in COMMANDS]
    for command, syntax in zip(COMMANDS, table.values(), strict=True):
        assert isinstance(syntax, Syntax)
        assert (syntax.command, syntax.verb) == (command, command.verb)
        assert syntax.takes_argument == (command not in PLAIN)


@pytest.mark.parametrize("command", PLAIN)
def test_a_plain_command_is_made_once(command: type[Command]) -> None:
    """What never differs is the same value each time."""
    syntax = Syntax(command, STRICT)
    read = syntax.parse(b"", LIMITS)
    assert read == command()
    assert syntax.parse(b"", LIMITS) is read


# Words, in any case.

WAYS: Final = {Verb.RCPT: State.MAIL, Verb.DATA: State.RCPT}
ALL_ON: Final = attrs.evolve(RFC821, off=frozenset())


def patterns(word: str) -> list[str]:
    """A word in every pattern of upper and lower case."""
    return ["".join(letters) for letters in itertools.product(*((c, c.lower()) for c in word))]


def receive(verb: Verb, line: bytes) -> object:
    """What a receiver makes of a line, where the verb is legal."""
    receiver = receiver_in(WAYS.get(verb, State.READY), ALL_ON)
    receiver.receive_data(line)
    return receiver.next_event()


@pytest.mark.clause("2-06", "4.1.2-01")
@pytest.mark.parametrize("command", COMMANDS)
def test_case_of_words(command: type[Command]) -> None:
    """2: command words are read in each of the sixteen patterns of case."""
    expected, line = next(row for row in LINES if type(row[0]) is command)
    words = patterns(command.verb.value)
    assert len(set(words)) == 16
    for word in words:
        assert receive(command.verb, word.encode("ascii") + line[4:]) == expected


@pytest.mark.clause("4.1.2-02")
@pytest.mark.parametrize("command", [Mail, Send, Soml, Saml, Rcpt])
def test_case_of_keywords(command: type[Command]) -> None:
    """2: FROM and TO are read in each pattern of case."""
    expected, line = next(row for row in LINES if type(row[0]) is command)
    head, colon, tail = line.partition(b":")
    for keyword in patterns(head[5:].decode("ascii")):
        assert receive(command.verb, head[:5] + keyword.encode() + colon + tail) == expected


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b" ",
        b"N",
        b"NOO",
        b"NOOPS",
        b"NOOP.",
        b"N00P",
        b" NOOP",
        b"\0NOOP",
        b"EHLO x",
        b"HELOx",
    ],
)
def test_no_word(line: bytes) -> None:
    """AMB-09, AMB-56, AMB-57: what does not begin with one of the fourteen words gets 500."""
    event = receive(Verb.NOOP, line + b"\r\n")
    assert isinstance(event, Rejected)
    assert (event.reply.code, event.verb, event.line) == (500, None, line)


def test_letters_that_only_look_alike() -> None:
    """2: the case of ASCII letters means nothing; others are no letters of a word."""
    for word in ("\u212aOOP".encode(), "R\u017fET".encode(), b"\xf1OOP", b"QU\xecT"):
        event = receive(Verb.NOOP, word + b"\r\n")
        assert isinstance(event, Rejected)
        assert event.reply.code == 500


# Properties.

TEXTS: Final = st.from_regex(r"[!-~]([ -~]{0,80}[!-~])?", fullmatch=True)


@pytest.mark.clause("3.3-11")
@given(st.sampled_from([Vrfy, Expn, Help]), TEXTS)
def test_any_string(kind: Callable[[str], Command], text: str) -> None:
    """3.3: any printable string goes over the channel and is the same at the other end."""
    command = kind(text)
    assert parse(bytes(command)[:-2]) == command


@given(st.sampled_from([make for make, _, _ in MAKERS]), st.text())
def test_any_argument(make: Callable[[str], Command], text: str) -> None:
    """Whatever the argument is, a command is one line of printable ASCII, or an error."""
    try:
        line = bytes(make(text))
    except LocalProtocolError:
        return
    assert line.endswith(b"\r\n")
    assert line[:-2].decode("ascii").isprintable()
    assert parse(line[:-2]) == make(text)


@given(st.sampled_from(COMMANDS), st.binary(max_size=60))
def test_any_tail(command: type[Command], tail: bytes) -> None:
    """Whatever follows a word, it is read as that command, or what is wrong is said."""
    word = command.verb.value.encode("ascii")
    for dialect in (RFC821, RFC821_LENIENT):
        read = dialect.syntaxes[word].parse(tail, LIMITS)
        assert isinstance(read, (str, command))
