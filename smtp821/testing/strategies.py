"""Hypothesis strategies: paths, commands, lines, replies, mail data, and ways to cut bytes up.

Values are valid by the strict grammar (4.1.2) and within the sizes of 4.5.3; lines and streams
come valid, nearly valid and hostile.
"""

from __future__ import annotations

import itertools
import string

from hypothesis import strategies as st

from smtp821 import (
    Code,
    Command,
    Data,
    Domain,
    Expn,
    Helo,
    Help,
    Mail,
    Mailbox,
    Noop,
    Path,
    Quit,
    Rcpt,
    Reply,
    Rset,
    Saml,
    Send,
    Soml,
    Turn,
    Vrfy,
)

__all__ = [
    "ODD_REPLIES",
    "any_text",
    "chunkings",
    "client_streams",
    "command_lines",
    "commands",
    "domains",
    "forward_paths",
    "hostile_lines",
    "long_lines",
    "mail_data",
    "mailboxes",
    "nearly_valid_lines",
    "paths",
    "pieces",
    "reply_streams",
    "reply_values",
    "reverse_paths",
    "valid_lines",
]

CRLF = b"\r\n"
PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
LET_DIG = string.ascii_letters + string.digits
C = "".join(sorted(set(PRINTABLE) - set('<>()[]\\.,;:@" ')))
Q = "".join(sorted(set(PRINTABLE) - set('"\\')))


def _text(alphabet: str, min_size: int, max_size: int) -> st.SearchStrategy[str]:
    return st.text(st.sampled_from(alphabet), min_size=min_size, max_size=max_size)


def _concatenated(*parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map("".join)


# 4.1.2: domains, mailboxes, paths.

_names = st.one_of(
    st.sampled_from(("ARPA", "USC-ISIF", "x", "UK", "3com")),
    _concatenated(_text(LET_DIG, 1, 1), _text(LET_DIG + "-", 0, 6), _text(LET_DIG, 1, 1)),
)
_numbers = st.integers(0, 2**32 - 1).map("#{}".format)
_dotnums = st.tuples(*[st.integers(0, 255)] * 4).map(lambda n: "[{}.{}.{}.{}]".format(*n))
_domain_texts = st.one_of(
    _names.filter(lambda name: not name.isdecimal()),
    st.lists(st.one_of(_names, _numbers, _dotnums), min_size=1, max_size=3)
    .map(".".join)
    .filter(lambda text: not set(text) <= set(string.digits + ".")),
)
_quoted_pairs = st.sampled_from(PRINTABLE).map("\\{}".format)
_strings = st.lists(st.one_of(st.sampled_from(C), _quoted_pairs), min_size=1, max_size=8)
_dot_strings = st.lists(_strings.map("".join), min_size=1, max_size=3).map(".".join)
_qtexts = st.lists(st.one_of(st.sampled_from(Q), _quoted_pairs), min_size=1, max_size=20)
_local_parts = st.one_of(
    st.sampled_from(("Smith", "Joe\\,Smith", '"Joe,Smith"', "a.b")),
    _dot_strings,
    _qtexts.map(lambda parts: '"{}"'.format("".join(parts))),
)
_mailbox_texts = _concatenated(_local_parts, st.just("@"), _domain_texts)
_routes = st.lists(_domain_texts.map("@{}".format), min_size=1, max_size=3).map(",".join)
_path_texts = st.one_of(
    _mailbox_texts, _concatenated(_routes, st.just(":"), _mailbox_texts)
).map("<{}>".format)  # fmt: skip

domains = _domain_texts.map(Domain)
mailboxes = _mailbox_texts.map(Mailbox)
paths = _path_texts.filter(lambda text: len(text) <= 256).map(Path)
reverse_paths = st.one_of(st.just(Path("<>")), paths)
forward_paths = st.one_of(
    st.sampled_from(("<Postmaster>", "<POSTMASTER>", "<postmaster>")).map(Path), paths
)

# 4.1.1: commands.

_arguments = _text(PRINTABLE, 1, 40).map(str.strip).filter(bool)

_simple = st.sampled_from((Data(), Rset(), Noop(), Quit(), Turn()))
commands: st.SearchStrategy[Command] = st.one_of(
    _simple,
    domains.map(Helo),
    *(reverse_paths.map(cls) for cls in (Mail, Send, Soml, Saml)),
    forward_paths.map(Rcpt),
    _arguments.map(Vrfy),
    _arguments.map(Expn),
    st.one_of(st.none(), _arguments).map(Help),
)

# Lines as they come from a client, CRLF included.


@st.composite
def _spelled_otherwise(draw: st.DrawFn) -> bytes:
    """A command in another case, with more spaces: as good as the ordinary spelling (4.1.2)."""
    line = bytes(draw(commands))[:-2]
    word, space, argument = line.partition(b" ")
    turn = draw(st.sampled_from((bytes.upper, bytes.lower, bytes.swapcase, bytes.title)))
    spaces = draw(st.sampled_from((b" ", b"   "))) if space else b""
    return turn(word) + spaces + argument + draw(st.sampled_from((b"", b"  "))) + CRLF


valid_lines = st.one_of(commands.map(bytes), _spelled_otherwise())

_octets = st.sampled_from(
    [b"", b"\t", b"\r", b"\n", b"\r\n", b"\0", b"\x7f", b"\x80", b"\xff", b"\xc3\xa9"]
    + [bytes([octet]) for octet in b' <>@:,.;"\\#[]-axZ09']
)


@st.composite
def nearly_valid_lines(draw: st.DrawFn) -> bytes:
    """A command line with an octet or a piece put in, taken out or replaced."""
    line = draw(valid_lines)[:-2]
    for _ in range(draw(st.integers(1, 2))):
        start = draw(st.integers(0, len(line)))
        stop = start + draw(st.sampled_from((0, 1, 4)))
        line = line[:start] + draw(_octets) + line[stop:]
    return line + CRLF


hostile_lines = st.one_of(
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

long_lines = st.builds(
    lambda word, filling, size, end: (word + filling * size)[:size] + end + CRLF,
    st.sampled_from((b"", b"HELP ", b"NOOP", b"VRFY ")),
    st.sampled_from((b"x", b"\r", b"\n", b"x\r")),
    st.one_of(st.integers(505, 515), st.integers(1018, 1028), st.integers(500, 3000)),
    st.sampled_from((b"", b"\r", b".")),
)

command_lines = st.one_of(
    valid_lines, valid_lines, nearly_valid_lines(), hostile_lines, long_lines
)  # fmt: skip

# 4.5.2: mail data. Every hazard of dots and line ends, in every neighbourhood.

_MORSELS = (
    b"\r\n", b"\r\n", b"\r\n.", b"\r\n..", b"\r", b"\n", b".", b"..", b"a", b"Hello",
    b"\r\n.\n", b"\n.\r\n", b"\n.\n", b"\r.\r", b"\r\n.\r", b"\r\r\n", b"\n\r", b"\r\n\0.",
    b" ", b"\0", b"\x7f", b"\x8d\x8a.", b"\xff", b"\xc3\xa9", b"QUIT\r\n", b"x" * 70,
)  # fmt: skip
mail_data = st.one_of(
    st.lists(st.sampled_from(_MORSELS), max_size=12).map(b"".join),
    st.binary(max_size=60),
    st.sampled_from((b"", CRLF, b".", b"..", b".\r\n", b"..\r\n", b"a" * 998 + CRLF)),
)
_endings = st.sampled_from((b".\r\n", b"\r\n.\r\n", b"\r\n.\r\n", b"\n.\n", b""))


@st.composite
def _transactions(draw: st.DrawFn) -> bytes:
    """A transaction, here and there with something in it that does not belong there."""
    reverse, forward = reverse_paths.map(Mail).map(bytes), forward_paths.map(Rcpt).map(bytes)
    lines = [draw(reverse), *draw(st.lists(forward, min_size=1, max_size=3)), b"DATA\r\n"]
    if draw(st.integers(0, 2)) == 0:
        lines.insert(draw(st.integers(0, len(lines) - 1)), draw(command_lines))
    return b"".join((*lines, draw(mail_data), draw(_endings)))


client_streams = st.tuples(
    st.sampled_from((b"HELO USC-ISIF.ARPA\r\n", b"HELO x\r\n", b"helo [10.0.0.27]\r\n", b"")),
    st.lists(st.one_of(_transactions(), _transactions(), command_lines), max_size=5).map(b"".join),
    st.sampled_from((b"", b"", b"QUIT\r\n", b"QUIT\r\nNOOP\r\n", b"NOOP", b"NOOP\r")),
).map(b"".join)
"""What a client might send in a session, in order or not, benign or not."""


# 4.2: replies.

_reply_texts = st.lists(_text(PRINTABLE, 0, 60), min_size=1, max_size=4)
reply_values = st.builds(
    Reply,
    st.sampled_from(sorted(set(Code) - {Code.WILL_FORWARD, Code.NOT_LOCAL})),
    _reply_texts,
)


def _on_the_wire(code: int, lines: list[str]) -> bytes:
    head = "".join(f"{code}-{line}\r\n" for line in lines[:-1])
    return f"{head}{code} {lines[-1]}\r\n".encode("latin-1")


_sound_replies = st.builds(
    _on_the_wire, st.one_of(st.sampled_from(Code).map(int), st.integers(200, 599)), _reply_texts
)
ODD_REPLIES = (
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
_odd_replies = st.sampled_from(ODD_REPLIES)
_common_replies = st.sampled_from((b"220 BBN-UNIX.ARPA\r\n", b"250 OK\r\n", b"354 go\r\n"))
_replies = st.one_of(_common_replies, _common_replies, _sound_replies, _odd_replies)
reply_streams = st.one_of(
    _replies,
    _replies,
    st.tuples(_replies, st.one_of(_replies, st.binary(max_size=20))).map(b"".join),
    st.binary(max_size=60),
)

# Texts that a program might pass on from somewhere else.

_FRAGMENTS = (
    "\r\n", "\r", "\n", "\0", "\t", "\x1b", "\x7f", "\x85", "\u2028", "\ud800", "\u017f", "é",
    "<", ">", "@", " ", "a", "Smith", "<a@b>", "RCPT TO:<c@d>", "QUIT", "250 ",
)  # fmt: skip
any_text = st.one_of(
    _text(PRINTABLE, 0, 30),
    st.text(max_size=40),
    st.lists(st.sampled_from(_FRAGMENTS), max_size=8).map("".join),
    _text(PRINTABLE, 500, 700),
)

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
