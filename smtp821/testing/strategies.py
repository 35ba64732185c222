"""Hypothesis strategies for all that SMTP is made of, from domains to whole dialogues.

Values are valid by the strict grammar (4.1.2) and within the sizes of a `Limits` (4.5.3), to the
last octet of them. What is *nearly valid* is one step away from a valid text, by a step that
always leaves the grammar; no parser is asked. What is *hostile* promises nothing: it may be
anything, now and then even valid. Dialogues are walks over the tables of a dialect.
"""

from __future__ import annotations

import itertools
import string
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, TypeVar

import attrs
from hypothesis import strategies as st

from ..protocol.commands import (
    COMMANDS,
    Command,
    Data,
    Expn,
    Helo,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    Saml,
    Send,
    Soml,
    Turn,
    Verb,
    Vrfy,
)
from ..protocol.dialect import RFC821, Dialect
from ..protocol.dots import DotEncoder, Policy
from ..protocol.limits import Limits
from ..protocol.paths import NULL_PATH, Domain, Mailbox, Path
from ..protocol.receiver import Receiver
from ..protocol.replies import Code, Reply
from ..protocol.sequencing import ORDINARY, Outcome, State, outcome
from .pair import DOMAIN, Answer
from .transcripts import Dialogue, Role

__all__ = [
    # 4.1.2
    "domains",
    "mailboxes",
    "paths",
    "reverse_paths",
    "forward_paths",
    "nearly_valid_domains",
    "nearly_valid_mailboxes",
    "nearly_valid_paths",
    "hostile_domains",
    "hostile_mailboxes",
    "hostile_paths",
    # 4.1.1
    "commands",
    "command_lines",
    "valid_lines",
    "nearly_valid_lines",
    "hostile_lines",
    "long_lines",
    "client_streams",
    # 4.2
    "replies",
    "reply_streams",
    "ODD_REPLIES",
    # 4.5.2
    "mail_data",
    "clean_mail_data",
    # 4.3, 4.4
    "dialogues",
    "Step",
    "Walk",
    # of anything
    "any_text",
    "pieces",
    "chunkings",
]

T = TypeVar("T")

Bytes = st.SearchStrategy[bytes]
Texts = st.SearchStrategy[str]

_LIMITS: Final = RFC821.limits

CRLF: Final = b"\r\n"
PRINTABLE: Final = "".join(map(chr, range(0x20, 0x7F)))
LET_DIG: Final = string.ascii_letters + string.digits
C: Final = "".join(sorted(set(PRINTABLE) - set('<>()[]\\.,;:@" ')))
Q: Final = "".join(sorted(set(PRINTABLE) - set('"\\')))


def _either(*choices: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    """One of these, each as often as the others.

    `one_of` would choose among all that they themselves choose from, so that the kinds of paths
    alone would outnumber all other lines; and what prints it would print all of them.
    """

    @st.composite
    def either(draw: st.DrawFn) -> T:
        return draw(choices[draw(st.integers(0, len(choices) - 1))])

    return either()


def _text(alphabet: str, min_size: int, max_size: int) -> Texts:
    return st.text(st.sampled_from(alphabet), min_size=min_size, max_size=max_size)


def _concatenated(*parts: Texts) -> Texts:
    return st.tuples(*parts).map("".join)


# 4.1.2: domains, mailboxes, paths.

_names = _either(
    st.sampled_from(("ARPA", "USC-ISIF", "x", "UK", "3com")),
    _concatenated(_text(LET_DIG, 1, 1), _text(LET_DIG + "-", 0, 6), _text(LET_DIG, 1, 1)),
)
_numbers = st.integers(0, 2**32 - 1).map("#{}".format)
_dotnums = st.tuples(*[st.integers(0, 255)] * 4).map(lambda n: "[{}.{}.{}.{}]".format(*n))
_short_domains = _either(
    _names.filter(lambda name: not name.isdecimal()),
    st.lists(_either(_names, _numbers, _dotnums), min_size=1, max_size=3)
    .map(".".join)
    .filter(lambda text: not set(text) <= set(string.digits + ".")),
)
_quoted_pairs = st.sampled_from(PRINTABLE).map("\\{}".format)
_strings = st.lists(_either(st.sampled_from(C), _quoted_pairs), min_size=1, max_size=8)
_dot_strings = st.lists(_strings.map("".join), min_size=1, max_size=3).map(".".join)
_qtexts = st.lists(_either(st.sampled_from(Q), _quoted_pairs), min_size=1, max_size=20)
_short_users = _either(
    st.sampled_from(("Smith", "Joe\\,Smith", '"Joe,Smith"', "a.b")),
    _dot_strings,
    _qtexts.map(lambda parts: '"{}"'.format("".join(parts))),
)
_short_routes = st.lists(_short_domains.map("@{}".format), min_size=1, max_size=3).map(",".join)


def _seldom(usual: Texts, *others: str) -> Texts:
    """The usual texts, and now and then one of the others: those that are as long as may be."""
    return _either(usual, usual, usual, st.sampled_from(others))


def _of_size(unit: str, size: int) -> str:
    """A list of names of a size: units, of which the last may end in more letters."""
    count, more = divmod(size, len(unit))
    return (unit * count)[:-1] + "x" * (more + 1)


def _domain_texts(limits: Limits) -> Texts:
    return _seldom(_short_domains, _of_size("Long-Name.", limits.domain))


def _user_texts(limits: Limits) -> Texts:
    return _seldom(_short_users, "u" * limits.user, '"{}"'.format(" " * (limits.user - 2)))


def _mailbox_texts(limits: Limits) -> Texts:
    return _concatenated(_user_texts(limits), st.just("@"), _domain_texts(limits))


def _path_texts(limits: Limits) -> Texts:
    mailbox = _mailbox_texts(limits)
    routed = _concatenated(_short_routes, st.just(":"), mailbox)
    longest = _of_size("@Long-Name,", limits.path - len("<:u@x>"))
    usual = _either(mailbox, routed).filter(lambda text: len(text) <= limits.path - 2)
    return _seldom(usual, f"{longest}:u@x").map("<{}>".format)


def domains(limits: Limits = _LIMITS) -> st.SearchStrategy[Domain]:
    """Names, numbers and addresses of hosts, and dotted lists of them."""
    return _domain_texts(limits).map(Domain)


def mailboxes(limits: Limits = _LIMITS) -> st.SearchStrategy[Mailbox]:
    """Users at hosts; local parts are dotted, quoted, or full of backslashes."""
    return _mailbox_texts(limits).map(Mailbox)


def paths(limits: Limits = _LIMITS) -> st.SearchStrategy[Path]:
    """Paths to a mailbox, with a source route or without, no longer than may be sent."""
    return _path_texts(limits).map(Path)


def reverse_paths(limits: Limits = _LIMITS) -> st.SearchStrategy[Path]:
    """The same, and the null path."""
    return _either(st.just(NULL_PATH), paths(limits))


def forward_paths(limits: Limits = _LIMITS) -> st.SearchStrategy[Path]:
    """The same as `paths`, and <Postmaster> in any case."""
    postmasters = ("<Postmaster>", "<POSTMASTER>", "<postmaster>")
    return _either(st.sampled_from(postmasters).map(Path), paths(limits))


# One step out of the grammar. Each leaves it whatever the valid text was: by the letter, amended,
# and lenient. A domain has no blank, "@", "_", control character or octet over 127 anywhere, no
# dot or hyphen at either end, and no bracket around a name.

_Step = Callable[[str], str]
_DOMAIN_STEPS: Final[tuple[_Step, ...]] = (
    "{}.".format, ".{}".format, "-{}".format, "{}-".format, "{0}..{0}".format, "{} ".format,
    " {}".format, "{}_x".format, "{}\0".format, "{}@x".format, "[{}]".format, "[{}".format,
    "{}]".format, "\xe9{}".format, "{},x".format, "{}\r\n".format,
)  # fmt: skip
_BROKEN_DOMAINS: Final = (
    "", "10.0.0.27", "[256.0.0.1]", "[1.2.3]", "[1.2.3.4.5]", "[]", "#", "#12a", ".", "-",
)  # fmt: skip

# In front of a local part no special stands, nor a dot; nor does a lone backslash stand behind it.
_USER_STEPS: Final[tuple[_Step, ...]] = (
    *(f"{special}{{}}".format for special in '<>()[],;:@ ."\0\xe9'),
    "{}.".format, "{}..x".format, "{} x".format, "{}\\".format, "{}\"".format, "{}\r\n".format,
)  # fmt: skip
_BROKEN_USERS: Final = ("", '""', '"', "\\", ".", " ")

# A path is one mailbox in one pair of brackets, behind a colon if there is a route.
_PATH_STEPS: Final[tuple[_Step, ...]] = (
    lambda path: path[1:], lambda path: path[:-1], "<{}>".format, "{}x".format, "{} ".format,
    " {}".format, "{0}{0}".format, "{}\r\n".format, lambda path: f"{path[:-1]} >",
    *(lambda path, head=head: f"<{head}{path[1:]}"
      for head in (" ", ",", ":", "@:", "@a,:", "@a;", "@a ", "a:", "@a:x:")),
)  # fmt: skip
_BROKEN_PATHS: Final = ("", "<", ">", "< >", "<@>", "<:>", "<@a>", "<@a:>", "<@a,b:c@d>", "<a>")


def _stepped(texts: Texts, steps: tuple[_Step, ...], *others: str) -> Texts:
    stepped = st.builds(lambda text, step: step(text), texts, st.sampled_from(steps))
    return _seldom(stepped, *others)


def nearly_valid_domains(limits: Limits = _LIMITS) -> Texts:
    """Texts that are no domain, by one character or a few."""
    return _stepped(_domain_texts(limits), _DOMAIN_STEPS, *_BROKEN_DOMAINS)


def nearly_valid_mailboxes(limits: Limits = _LIMITS) -> Texts:
    """Texts that are no mailbox: of their two parts one is none, or is not there."""
    users, hosts, at = _user_texts(limits), _domain_texts(limits), st.just("@")
    return _either(
        _concatenated(_stepped(users, _USER_STEPS, *_BROKEN_USERS), at, hosts),
        _concatenated(users, at, nearly_valid_domains(limits)),
        users,
    )


def nearly_valid_paths(limits: Limits = _LIMITS) -> Texts:
    """Texts that are no path, neither reverse nor forward: one step from one, or in brackets.

    A mailbox without any brackets is a path to lenient dialects, and is not among them.
    """
    bracketed = nearly_valid_mailboxes(limits).map("<{}>".format)
    return _either(
        _stepped(_path_texts(limits), _PATH_STEPS, *_BROKEN_PATHS),
        bracketed.filter(lambda text: text.lower() != "<postmaster>"),
    )


_FRAGMENTS: Final = (
    "\r\n", "\r", "\n", "\0", "\t", "\x1b", "\x7f", "\x85", "\u2028", "\ud800", "\u017f", "é",
    "<", ">", "@", " ", "a", "Smith", "<a@b>", "RCPT TO:<c@d>", "QUIT", "250 ",
)  # fmt: skip
_UNITS: Final = (
    "\\", '"', ".", ",", ":", "@", "<", ">", "(", "[", "#", "a", "9", "a.", "@a,", "\\a", "-",
)  # fmt: skip
_floods = st.builds(
    lambda unit, size, end: unit * (size // len(unit)) + end,
    st.sampled_from(_UNITS),
    st.sampled_from((1, 63, 64, 65, 256, 257, 510, 512, 2000)),
    st.sampled_from(("", "a", '"', "\\", "@x")),
)


def any_text() -> Texts:
    """Texts that a program might pass on from somewhere else: with line ends, controls, brackets,
    characters that become such when they are cut to an octet; and long ones.
    """
    return _either(
        _text(PRINTABLE, 0, 30),
        st.text(max_size=40),
        st.lists(st.sampled_from(_FRAGMENTS), max_size=8).map("".join),
        _text(PRINTABLE, 500, 700),
    )


def hostile_domains() -> Texts:
    """What somebody might give for a domain who means harm: floods, line ends, any text."""
    return _either(
        _floods,
        any_text(),
        st.lists(st.sampled_from(_FRAGMENTS + _UNITS), max_size=12).map("".join),
    )


def hostile_mailboxes() -> Texts:
    """The same for a mailbox; mostly there is an "@" in it."""
    part = _either(hostile_domains(), st.sampled_from(("a", '"a"', "a.b", "")))
    return _either(_concatenated(part, st.just("@"), part), part)


def hostile_paths() -> Texts:
    """The same for a path; mostly it is in brackets."""
    routes = _either(st.just(""), _concatenated(st.just("@"), hostile_domains(), st.just(":")))
    inner = _either(_concatenated(routes, hostile_mailboxes()), hostile_mailboxes())
    return _either(inner.map("<{}>".format), inner.map("<{}>".format), inner)


# 4.1.1: commands.


_ALL: Final = tuple(command.verb for command in COMMANDS)


def commands(limits: Limits = _LIMITS, verbs: Iterable[Verb] = _ALL) -> st.SearchStrategy[Command]:
    """Commands that may be sent, of all fourteen kinds or of some."""
    found = _commands(limits)
    return _either(*[found[verb] for verb in verbs])


def _commands(limits: Limits) -> Mapping[Verb, st.SearchStrategy[Command]]:
    longest = "x" * (limits.command_line - len("VRFY \r\n"))
    arguments = _seldom(_text(PRINTABLE, 1, 40).map(str.strip).filter(bool), longest)
    reverse = reverse_paths(limits)
    return {
        Verb.HELO: domains(limits).map(Helo),
        **{kind.verb: reverse.map(kind) for kind in (Mail, Send, Soml, Saml)},
        Verb.RCPT: forward_paths(limits).map(Rcpt),
        Verb.VRFY: arguments.map(Vrfy),
        Verb.EXPN: arguments.map(Expn),
        Verb.HELP: _either(st.none(), arguments).map(Help),
        **{command.verb: st.just(command) for command in (Data(), Rset(), Noop(), Quit(), Turn())},
    }


# Lines as they come from a client, CRLF included.


@st.composite
def _spelled_otherwise(draw: st.DrawFn, lines: Bytes) -> bytes:
    """A command in another case, with more spaces: as good as the ordinary spelling (4.1.2)."""
    word, space, argument = draw(lines)[:-2].partition(b" ")
    turn = draw(st.sampled_from((bytes.upper, bytes.lower, bytes.swapcase, bytes.title)))
    spaces = draw(st.sampled_from((b" ", b"   "))) if space else b""
    return turn(word) + spaces + argument + draw(st.sampled_from((b"", b"  "))) + CRLF


@st.composite
def _typed(draw: st.DrawFn, lines: Bytes) -> bytes:
    """A command as a person types it: blanks behind the colon, no brackets (AMB-10, AMB-11)."""
    head, colon, path = draw(lines)[:-2].partition(b":")
    if not colon or head.upper() not in _WITH_PATH:
        return head + colon + path + draw(_blanks) + CRLF
    if b"@" in path and not path.startswith(b"<@") and draw(st.booleans()):
        path = path[1:-1]
    return head + colon + draw(_blanks) + path + draw(_blanks) + CRLF


_WITH_PATH: Final = (b"MAIL FROM", b"SEND FROM", b"SOML FROM", b"SAML FROM", b"RCPT TO")
_blanks = st.sampled_from((b"", b"", b" ", b"\t "))


def valid_lines(limits: Limits = _LIMITS, *, lenient: bool = False) -> Bytes:
    """Command lines, in any case and with as many spaces as there may be.

    lenient: those too that only a lenient dialect takes, as people type them.
    """
    lines = commands(limits).map(bytes)
    spelled = _spelled_otherwise(lines)
    found = _either(lines, spelled, _typed(lines)) if lenient else _either(lines, spelled)
    return found.filter(lambda line: len(line) <= limits.command_line)


_octets = st.sampled_from(
    [b"", b"\t", b"\r", b"\n", b"\r\n", b"\0", b"\x7f", b"\x80", b"\xff", b"\xc3\xa9"]
    + [bytes([octet]) for octet in b' <>@:,.;"\\#[]-axZ09']
)


@st.composite
def _mutated(draw: st.DrawFn, lines: Bytes) -> bytes:
    line = draw(lines)[:-2]
    for _ in range(draw(st.integers(1, 2))):
        start = draw(st.integers(0, len(line)))
        stop = start + draw(st.sampled_from((0, 1, 4)))
        line = line[:start] + draw(_octets) + line[stop:]
    return line + CRLF


def nearly_valid_lines(limits: Limits = _LIMITS) -> Bytes:
    """Command lines with an octet or a few put in, taken out or replaced; a few stay valid."""
    return _mutated(valid_lines(limits))


_hostile_lines = _either(
    st.binary(max_size=40).map(lambda data: data + CRLF),
    st.sampled_from(
        [
            b"",
            b".",
            b"..",
            b"\r",
            b"\n",
            b"EHLO x",
            b"GET / HTTP/1.1",
            b"HELO",
            b"MAIL",
            b"MAIL FROM:",
            b"MAIL FROM:<a@b> SIZE=1",
            b"MAIL FROM:a@b",
            b"MAIL form:<a@b>",
            b"RCPT TO:<>",
            b"RCPT TO: <a@b>",
            b"RCPT TO:<a@b>\nRCPT TO:<c@d>",
            b"RCPT TO:<@a>",
            b"DATA now",
            b"DATA\r",
            b"DATA\n.",
            b"NOOP now",
            b"QUIT\0",
            b"QUITE",
            b"RSET \t",
            b"V\xc5\xbfFY x",
            b"HELP " + b"x" * 505,
            b"HELP " + b"x" * 506,
            b"HELP " + b"x" * 600,
            b"HELO " + b"x" * 65,
            b"RCPT TO:<" + b"u" * 65 + b"@x>",
            b"RCPT TO:<" + b"@x" * 200 + b":a@b>",
            b"x" * 1021 + b"\r",
            b"x" * 1100,
        ]
    ).map(lambda line: line + CRLF),
)

_long_lines = st.builds(
    lambda word, filling, size, end: (word + filling * size)[:size] + end + CRLF,
    st.sampled_from((b"", b"HELP ", b"NOOP", b"VRFY ")),
    st.sampled_from((b"x", b"\r", b"\n", b"x\r")),
    _either(st.integers(505, 515), st.integers(1018, 1028), st.integers(500, 3000)),
    st.sampled_from((b"", b"\r", b".")),
)


def hostile_lines() -> Bytes:
    """Lines that mean harm, other protocols, or nothing."""
    return _hostile_lines


def long_lines() -> Bytes:
    """Lines about as long as may be (512 octets, or 1024), and much longer."""
    return _long_lines


def command_lines(limits: Limits = _LIMITS) -> Bytes:
    """Lines of all these kinds."""
    valid = valid_lines(limits)
    return _either(valid, valid, nearly_valid_lines(limits), _hostile_lines, _long_lines)


# 4.5.2: mail data. Every hazard of dots and line ends, in every neighbourhood.

_MORSELS = (
    b"\r\n", b"\r\n", b"\r\n.", b"\r\n..", b"\r", b"\n", b".", b"..", b"a", b"Hello",
    b"\r\n.\n", b"\n.\r\n", b"\n.\n", b"\r.\r", b"\r\n.\r", b"\r\r\n", b"\n\r", b"\r\n\0.",
    b" ", b"\0", b"\x7f", b"\x8d\x8a.", b"\xff", b"\xc3\xa9", b"QUIT\r\n", b"x" * 70,
)  # fmt: skip
_mail_data = _either(
    st.lists(st.sampled_from(_MORSELS), max_size=12).map(b"".join),
    st.binary(max_size=60),
    st.sampled_from((b"", CRLF, b".", b"..", b".\r\n", b"..\r\n", b"a" * 998 + CRLF)),
)


def mail_data() -> Bytes:
    """Messages with every hazard of dots, CR, LF, NUL and octets over 127; or wire data as well."""
    return _mail_data


def clean_mail_data(limits: Limits = _LIMITS) -> Bytes:
    """Messages that every Sender sends as they are, and every Receiver takes: ASCII in lines that
    end in CRLF, none over `limits.text_line` octets; many have dots where they matter.
    """
    longest = (limits.text_line or 5000) - len(CRLF)
    usual = _either(
        st.sampled_from(("", ".", "..", "...", ". ", ".x", "Hello", "QUIT", "RSET", "\0", "\t")),
        st.text(st.characters(max_codepoint=127, exclude_characters="\r\n"), max_size=20),
    )
    lines = _seldom(usual, "x" * longest, "." + "x" * (longest - 1))
    return st.lists(lines, max_size=6).map(
        lambda rows: "".join(f"{row}\r\n" for row in rows).encode()
    )


_endings = st.sampled_from((b".\r\n", b"\r\n.\r\n", b"\r\n.\r\n", b"\n.\n", b""))


@st.composite
def _transactions(draw: st.DrawFn, reverse: Bytes, forward: Bytes, others: Bytes) -> bytes:
    """A transaction, here and there with something in it that does not belong there."""
    lines = [draw(reverse), *draw(st.lists(forward, min_size=1, max_size=3)), b"DATA\r\n"]
    if draw(st.integers(0, 2)) == 0:
        lines.insert(draw(st.integers(0, len(lines) - 1)), draw(others))
    return b"".join((*lines, draw(_mail_data), draw(_endings)))


def client_streams(limits: Limits = _LIMITS) -> Bytes:
    """What a client might send in a session, in order or not, benign or not."""
    others = command_lines(limits)
    reverse = commands(limits, [Verb.MAIL]).map(bytes)
    forward = commands(limits, [Verb.RCPT]).map(bytes)
    transactions = _transactions(reverse, forward, others)
    return st.tuples(
        st.sampled_from((b"HELO USC-ISIF.ARPA\r\n", b"HELO x\r\n", b"helo [10.0.0.27]\r\n", b"")),
        st.lists(_either(transactions, transactions, others), max_size=5).map(b"".join),
        st.sampled_from((b"", b"", b"QUIT\r\n", b"QUIT\r\nNOOP\r\n", b"NOOP", b"NOOP\r")),
    ).map(b"".join)


# 4.2: replies.

_reply_texts = st.lists(_text(PRINTABLE, 0, 60), min_size=1, max_size=4)


def replies(
    codes: Collection[int] = tuple(Code), limits: Limits = _LIMITS
) -> st.SearchStrategy[Reply]:
    """Replies of these codes, of one line or more; those of 251 and 551 carry a path (3.2)."""
    moved = [code for code in codes if code in _FORWARD]
    others = [code for code in codes if code not in _FORWARD]
    return _either(
        *[st.builds(Reply, st.sampled_from(others), _reply_texts)] * bool(others),
        *[st.builds(Reply.forward, st.sampled_from(moved), paths(limits))] * bool(moved),
    )


_FORWARD: Final = (Code.WILL_FORWARD, Code.NOT_LOCAL)


def _on_the_wire(code: int, lines: list[str]) -> bytes:
    head = "".join(f"{code}-{line}\r\n" for line in lines[:-1])
    return f"{head}{code} {lines[-1]}\r\n".encode("latin-1")


_sound_replies = st.builds(
    _on_the_wire, _either(st.sampled_from(Code).map(int), st.integers(200, 599)), _reply_texts
)
ODD_REPLIES: Final = (
    b"250\r\n",
    b"354\r\n",
    b"250-\r\n250\r\n",
    b"250-one\r\n250-two\r\n250 three\r\n",
    b"250 caf\xe9 \xe2\x80\xa8\r\n",
    b"250 \x1b[2J\0\r\n",
    b"250 a\tb\r\n",
    b"421 closing\r\n",
    b"421-closing\r\n",
    b"250 one\r\n250 two\r\n",
    b"354 go\r\n250 OK\r\n",
    b"250-one\r\n550 two\r\n",
    b"250OK\r\n",
    b"250_OK\r\n",
    b"25\r\n",
    b"2500 OK\r\n",
    b"199 OK\r\n",
    b"600 OK\r\n",
    b"\xb2\xb5\xb0 OK\r\n",
    b" 250 OK\r\n",
    b"\r\n",
    b"250 one\ntwo\r\n",
    b"250 one\n250 two\r\n",
    b"250 one\r\r\n",
    b"250 OK\n",
    b"250 OK",
    b"250-",
    b"250 " + b"x" * 506 + CRLF,
    b"250 " + b"x" * 507 + CRLF,
    b"250 " + b"x" * 507 + b"\r" + CRLF,
    b"250-x\r\n" * 1023 + b"250 x\r\n",
    b"250-x\r\n" * 1024,
)
"""Replies that are at the edge of Appendix E, or over it, and what comes behind replies."""
_odd_replies = st.sampled_from(ODD_REPLIES)
_common_replies = st.sampled_from((b"220 BBN-UNIX.ARPA\r\n", b"250 OK\r\n", b"354 go\r\n"))
_replies = _either(_common_replies, _common_replies, _sound_replies, _odd_replies)
_reply_streams = _either(
    _replies,
    _replies,
    st.tuples(_replies, _either(_replies, st.binary(max_size=20))).map(b"".join),
    st.binary(max_size=60),
)


def reply_streams() -> Bytes:
    """What a server might say to one command: a reply, mostly; an odd one, more than one, noise."""
    return _reply_streams


# 4.3, 4.4: dialogues, as walks over the tables.


@attrs.frozen
class Step:
    """What is said to a receiver, and its reply."""

    said: bytes
    """On its way: a command line with CRLF, mail data with dots doubled and its end, or b""."""
    reply: Reply
    """What is answered."""
    state: State
    """Where the session stands then."""
    verb: Verb | None = None
    """What is answered; None where that is no command."""
    command: Command | None = None
    """The command, where it is one."""
    message: bytes | None = None
    """The mail data as it is, where it is that."""
    legal: bool = True
    """Whether it is in order; if not, the receiver answers without its application."""


@attrs.frozen
class Walk:
    """A dialogue from the greeting on; it may stop anywhere."""

    dialect: Dialect
    """Whose tables it follows."""
    domain: str
    """The name of the receiver."""
    steps: tuple[Step, ...]

    @property
    def dialogue(self) -> Dialogue:
        """It as a transcript."""
        limits = self.dialect.limits
        return Dialogue.of(
            said
            for step in self.steps
            for said in (
                (Role.SENDER, step.said),
                (Role.RECEIVER, step.reply.to_bytes(limits)),
            )
        )

    @property
    def messages(self) -> list[bytes]:
        """The messages that were answered with success."""
        return [
            step.message
            for step in self.steps
            if step.message is not None and step.reply.code // 100 == 2
        ]

    def answer(self) -> Answer:
        """An application that answers each legal step as the dialogue does, for one session."""
        left = iter([step.reply for step in self.steps if step.legal])

        def reply(receiver: Receiver) -> None:
            receiver.reply(next(left))

        return reply


# Lines that are no command, and lines of commands that are wrong in any grammar.
_UNKNOWN: Final = (b"", b"EHLO x", b"XYZZY", b"QUITE", b"DATA\r", b".", b"MAILFROM:<a@b>", b" NOOP")
_WRONG: Final[Mapping[Verb, bytes]] = {
    Verb.HELO: b"HELO",
    Verb.MAIL: b"MAIL FROM:<a b@c>",
    Verb.RCPT: b"RCPT TO:<@a>",
    Verb.DATA: b"DATA now",
    Verb.RSET: b"RSET now",
    Verb.QUIT: b"QUIT now",
}
_BEGINNING_WITH_THE_NAME: Final = (Code.SERVICE_READY, Code.CLOSING_CHANNEL, Code.NOT_AVAILABLE)


def dialogues(
    dialect: Dialect = RFC821,
    *,
    legal: bool = True,
    domain: str = DOMAIN,
    max_steps: int = 20,
    messages: Bytes | None = None,
) -> st.SearchStrategy[Walk]:
    """Whole dialogues, each step of which is one that the tables of the dialect have.

    legal: whether every command is in order, and implemented; the replies may be any that 4.3 has
        for it. If not, some are out of order, unknown, malformed or not implemented, and answered
        as the protocol says by itself (AMB-01).
    messages: the mail data; left out, `clean_mail_data`.
    """
    sources = _Sources(
        _commands(dialect.limits),
        clean_mail_data(dialect.limits) if messages is None else messages,
        paths(dialect.limits),
    )

    @st.composite
    def walks(draw: st.DrawFn) -> Walk:
        walker = _Walker(draw, dialect, domain, sources)
        for _ in range(draw(st.integers(1, max_steps))):
            if not dialect.order[walker.state]:
                break
            if legal or not walker.may_err() or draw(st.integers(0, 2)):
                walker.go()
            else:
                walker.err()
        return Walk(dialect, domain, tuple(walker.steps))

    return walks()


@attrs.frozen
class _Sources:
    """What dialogues are made of."""

    commands: Mapping[Verb, st.SearchStrategy[Command]]
    messages: Bytes
    paths: st.SearchStrategy[Path]


class _Walker:
    """Where a walk stands, and the next step."""

    def __init__(self, draw: st.DrawFn, dialect: Dialect, domain: str, sources: _Sources) -> None:
        self._draw, self._dialect, self._domain, self._sources = draw, dialect, domain, sources
        self._recipients = self._errors = 0
        self.state = State.OPENING
        self.steps: list[Step] = []

    def go(self) -> None:
        """A legal step."""
        verb, command, message = self._verb(), None, None
        if verb is Verb.END_OF_DATA:
            message = self._draw(self._sources.messages)
            said = _stuffed(message)
        elif verb is Verb.CONNECT:
            said = b""
        else:
            command = self._draw(self._sources.commands[verb])
            said = bytes(command)
        reply = self._reply(verb)
        result = outcome(verb, reply.code)
        self.state = self._dialect.transitions.get((self.state, verb, result), self.state)
        if verb is Verb.RCPT and result is Outcome.SUCCESS:
            self._recipients += 1
        elif self.state in (State.READY, State.MAIL):
            self._recipients = 0
        self.steps.append(Step(said, reply, self.state, verb, command, message))

    def _verb(self) -> Verb:
        """One of the commands that are legal; most lead on."""
        dialect = self._dialect
        full = {Verb.RCPT} if self._recipients == dialect.limits.recipients else set()
        verbs = sorted(dialect.order[self.state] - dialect.off - full)
        onward = [verb for verb in verbs if self._leads_on(verb)]
        keep_on: bool = self._draw(_mostly)
        return self._draw(st.sampled_from(onward if onward and keep_on else verbs))

    def _leads_on(self, verb: Verb) -> bool:
        after = [
            self._dialect.transitions.get((self.state, verb, result), State.OPENING)
            for result in (Outcome.SUCCESS, Outcome.INTERMEDIATE)
        ]
        return any(_ORDER[self.state] < _ORDER[state] <= _ORDER[State.DATA] for state in after)

    def _reply(self, verb: Verb) -> Reply:
        """The ordinary reply, or any that 4.3 has."""
        code = ORDINARY[verb]
        if not self._draw(_mostly):
            code = self._draw(st.sampled_from(sorted(self._dialect.codes[verb])))
        if code in _FORWARD:
            return Reply.forward(code, self._draw(self._sources.paths))
        text = self._draw(st.sampled_from((Reply(code).text, "x", "")))
        if code in _BEGINNING_WITH_THE_NAME or (verb is Verb.HELO and code == Code.OKAY):
            text = f"{self._domain} {text}"
        return Reply(code, (text, *self._draw(_more_lines)))

    def may_err(self) -> bool:
        """Whether a mistake is answered by the protocol alone, with no more than a refusal."""
        limit = self._dialect.limits.errors
        return Verb.QUIT in self._dialect.order[self.state] and limit != self._errors

    def err(self) -> None:
        """A step that is not legal; or one that is, where the command cannot be got wrong."""
        verb = self._draw(st.sampled_from([None, *_ALL]))
        dialect = self._dialect
        if verb is None:
            line = self._draw(st.sampled_from(_UNKNOWN))
            self._refused(line + CRLF, Code.UNRECOGNIZED, verb)
        elif verb in dialect.off or verb not in dialect.order[self.state]:
            line = bytes(self._draw(self._sources.commands[verb]))
            code = Code.NOT_IMPLEMENTED if verb in dialect.off else Code.BAD_SEQUENCE
            self._refused(line, code, verb)
        elif verb in _WRONG:
            self._refused(_WRONG[verb] + CRLF, Code.ARGUMENT_SYNTAX, verb)
        else:
            self.go()

    def _refused(self, said: bytes, code: Code, verb: Verb | None) -> None:
        self._errors += 1
        self.steps.append(Step(said, Reply(code), self.state, verb, legal=False))


_ORDER: Final = {state: number for number, state in enumerate(State)}
_mostly = st.sampled_from((True, True, True, False))
_more_lines = _either(st.just(()), st.just(()), st.lists(_text(PRINTABLE, 0, 20), max_size=2))


def _stuffed(message: bytes) -> bytes:
    """Mail data on its way, whatever it is."""
    encoder = DotEncoder(Policy.PASS, Policy.PASS, None)
    return encoder.encode(message) + encoder.end()


# Bytes as a network might cut them.


@st.composite
def pieces(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """Data cut into pieces, none of them empty: anywhere, or all of one size."""
    size = len(data)
    step = draw(st.sampled_from((0, 0, 0, 0, 1, 2, 3, 100, 512)))
    if step:
        return [data[at : at + step] for at in range(0, size, step)]
    cuts = {0, size, *draw(st.lists(st.integers(0, size), max_size=10))}
    return [data[start:stop] for start, stop in itertools.pairwise(sorted(cuts))]


@st.composite
def chunkings(draw: st.DrawFn, data: bytes) -> list[list[bytes]]:
    """Data cut into pieces, and those gathered in batches: of one each, or of any number."""
    parts = draw(pieces(data))
    ends = draw(st.integers(0, 2 ** len(parts) - 1)) if draw(st.booleans()) else -1
    batches: list[list[bytes]] = [[]]
    for number, part in enumerate(parts):
        batches[-1].append(part)
        if ends >> number & 1:
            batches.append([])
    return [batch for batch in batches if batch]
