"""Replies (4.2, Appendix E): the codes, the value, and both directions of the wire."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path as File
from typing import Any, Final

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp821 import (
    STANDARD_TEXTS,
    Category,
    Code,
    Limits,
    LocalProtocolError,
    Path,
    RemoteProtocolError,
    Reply,
    Severity,
)
from smtp821.protocol.lines import LineReader
from smtp821.protocol.replies import ReplyReader

SEQUENCING: Final[Mapping[str, Any]] = json.loads(
    (File(__file__).parent / "data" / "sequencing.json").read_text("utf-8")
)
LIMITS: Final = Limits()
WIDTH: Final = 506  # of a text: 512 without code, separator and CRLF
TABLE: Final[Mapping[int, tuple[str, Severity, Category, str | None]]] = {
    # code: name, first digit, second digit, text without the receiver's name (4.2.1);
    # 251 and 551 have none of their own, for a path belongs in it
    211: ("SYSTEM_STATUS", Severity.COMPLETED, Category.INFORMATION, "System status"),
    214: ("HELP_MESSAGE", Severity.COMPLETED, Category.INFORMATION, "Help message"),
    220: (
        "SERVICE_READY",
        Severity.COMPLETED,
        Category.CONNECTION,
        "Simple Mail Transfer Service Ready",
    ),
    221: (
        "CLOSING_CHANNEL",
        Severity.COMPLETED,
        Category.CONNECTION,
        "Service closing transmission channel",
    ),
    250: ("OKAY", Severity.COMPLETED, Category.MAIL_SYSTEM, "OK"),
    251: ("WILL_FORWARD", Severity.COMPLETED, Category.MAIL_SYSTEM, None),
    354: (
        "START_MAIL_INPUT",
        Severity.INTERMEDIATE,
        Category.MAIL_SYSTEM,
        "Start mail input; end with <CRLF>.<CRLF>",
    ),
    421: (
        "NOT_AVAILABLE",
        Severity.TRANSIENT,
        Category.CONNECTION,
        "Service not available, closing transmission channel",
    ),
    450: (
        "MAILBOX_BUSY",
        Severity.TRANSIENT,
        Category.MAIL_SYSTEM,
        "Requested mail action not taken: mailbox unavailable",
    ),
    451: (
        "LOCAL_ERROR",
        Severity.TRANSIENT,
        Category.MAIL_SYSTEM,
        "Requested action aborted: local error in processing",
    ),
    452: (
        "INSUFFICIENT_STORAGE",
        Severity.TRANSIENT,
        Category.MAIL_SYSTEM,
        "Requested action not taken: insufficient system storage",
    ),
    500: (
        "UNRECOGNIZED",
        Severity.PERMANENT,
        Category.SYNTAX,
        "Syntax error, command unrecognized",
    ),
    501: (
        "ARGUMENT_SYNTAX",
        Severity.PERMANENT,
        Category.SYNTAX,
        "Syntax error in parameters or arguments",
    ),
    502: ("NOT_IMPLEMENTED", Severity.PERMANENT, Category.SYNTAX, "Command not implemented"),
    503: ("BAD_SEQUENCE", Severity.PERMANENT, Category.SYNTAX, "Bad sequence of commands"),
    504: (
        "PARAMETER_NOT_IMPLEMENTED",
        Severity.PERMANENT,
        Category.SYNTAX,
        "Command parameter not implemented",
    ),
    550: (
        "MAILBOX_UNAVAILABLE",
        Severity.PERMANENT,
        Category.MAIL_SYSTEM,
        "Requested action not taken: mailbox unavailable",
    ),
    551: ("NOT_LOCAL", Severity.PERMANENT, Category.MAIL_SYSTEM, None),
    552: (
        "STORAGE_EXCEEDED",
        Severity.PERMANENT,
        Category.MAIL_SYSTEM,
        "Requested mail action aborted: exceeded storage allocation",
    ),
    553: (
        "NAME_NOT_ALLOWED",
        Severity.PERMANENT,
        Category.MAIL_SYSTEM,
        "Requested action not taken: mailbox name not allowed",
    ),
    554: ("TRANSACTION_FAILED", Severity.PERMANENT, Category.MAIL_SYSTEM, "Transaction failed"),
}
FORWARDS: Final = {
    251: "User not local; will forward to {}",
    551: "User not local; please try {}",
}


def read(pieces: Iterable[bytes], limits: Limits = LIMITS) -> list[Reply]:
    """All the replies there are, asked for behind each piece."""
    lines = LineReader(limits.reply_line)
    reader = ReplyReader(lines, limits)
    replies: list[Reply] = []
    for piece in pieces:
        lines.feed(piece)
        replies += iter(reader.next_reply, None)
    return replies


def octets(data: bytes) -> list[bytes]:
    """The data in pieces of one octet."""
    return [data[at : at + 1] for at in range(len(data))]


# The codes (4.2.1, 4.2.2).


@pytest.mark.clause("4.2.2-01", "E-09", "AMB-30")
def test_the_codes() -> None:
    """4.2.2: the 21 codes, each with its name; nothing else may be sent."""
    assert {code.value: code.name for code in Code} == {c: row[0] for c, row in TABLE.items()}
    assert set(STANDARD_TEXTS) == set(TABLE) == {int(code) for code in SEQUENCING["codes"]}


def test_the_codes_of_the_sequences() -> None:
    """4.3: every code that answers a command is one of them, and the other way round."""
    rows = SEQUENCING["table"].values()
    assert {code for row in rows for codes in row.values() for code in codes} == set(TABLE)


@pytest.mark.clause("4.2.1-09", "4.2.1-10", "E-01", "E-07")
@pytest.mark.parametrize("code", TABLE)
def test_code(code: int) -> None:
    """4.2.1, Appendix E: the digits and the text of each code."""
    _, severity, category, text = TABLE[code]
    reply = Reply(code, "" if text is None else ())
    assert reply.severity is severity
    assert reply.category is category
    assert (reply.severity, reply.category) == (code // 100, code // 10 % 10)
    assert reply.text == (text or "")


@pytest.mark.clause("4.2.1-07")
@pytest.mark.parametrize("code", TABLE)
def test_standard_text(code: int) -> None:
    """4.2.1: 220, 221 and 421 begin with the receiver's name, 251 and 551 carry a path."""
    text = STANDARD_TEXTS[code]
    assert text.startswith("{domain} ") == (code in (220, 221, 421))
    assert text.endswith("{forward-path}") == (code in (251, 551))


@pytest.mark.clause("E-01", "E-07", "AMB-30")
@pytest.mark.parametrize(
    ("code", "severity", "category"),
    [
        (200, Severity.COMPLETED, Category.SYNTAX),
        (235, Severity.COMPLETED, Category.UNSPECIFIED_3),
        (349, Severity.INTERMEDIATE, Category.UNSPECIFIED_4),
        (460, Severity.TRANSIENT, None),
        (599, Severity.PERMANENT, None),
    ],
)
def test_codes_of_others(code: int, severity: Severity, category: Category | None) -> None:
    """AMB-30, Appendix E: codes that the RFC does not have go by their digits."""
    reply = Reply(code, "text")
    assert (reply.severity, reply.category) == (severity, category)


# The value.


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("one", ("one",)),
        ("", ("",)),
        (["one", "two"], ("one", "two")),
        (("one",), ("one",)),
        (iter(["one", "", "three"]), ("one", "", "three")),
        ([], ("OK",)),
        ((), ("OK",)),
    ],
)
def test_lines(lines: str | Iterable[str], expected: tuple[str, ...]) -> None:
    """4.2: a reply has one line of text or more; without any it has those of 4.2.1."""
    reply = Reply(250, lines)
    assert reply.lines == expected
    assert reply.text == "\n".join(expected)
    assert str(reply) == "250 " + "\n".join(expected)


def test_reply_is_a_value() -> None:
    """Replies are compared by code and text, can be keys, and do not change."""
    assert Reply(250) == Reply(Code.OKAY, "OK") == Reply(250, ["OK"])
    assert hash(Reply(250)) == hash(Reply(250, "OK"))
    assert Reply(250, "no") != Reply(250)
    assert Reply(251, "OK") != Reply(250)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Reply(250).code = 550  # type: ignore[misc]


@pytest.mark.clause("AMB-30")
@pytest.mark.parametrize(
    "code", [-250, 0, 25, 100, 199, 600, 999, 2500, "250", 250.0, None, b"250"]
)
def test_no_code(code: Any) -> None:
    """AMB-30: what is below 200 or above 599 is no reply code."""
    with pytest.raises(LocalProtocolError, match="is no reply code; 200 to 599 are"):
        Reply(code, "text")


@pytest.mark.parametrize("lines", [b"OK", [b"OK"], [1], ["OK", None], [["OK"]]])
def test_no_text(lines: Any) -> None:
    """4.2: the text of a reply is lines of str."""
    with pytest.raises(LocalProtocolError, match="the text of a reply is lines of str"):
        Reply(250, lines)


@pytest.mark.parametrize("code", [200, 252, 299, 300, 400, 521, 599])
def test_no_standard_text(code: int) -> None:
    """4.2: other codes are replies, but have to be given a text."""
    assert Reply(code, "text").code == code
    with pytest.raises(LocalProtocolError, match=f"^{code} has no standard text"):
        Reply(code)


@pytest.mark.parametrize("code", [251, 551])
def test_no_standard_path(code: int) -> None:
    """3.2: 251 and 551 have to be given a path."""
    with pytest.raises(LocalProtocolError, match=f"^{code} carries a forward-path"):
        Reply(code)


# The path of 251 and 551 (3.2).


@pytest.mark.clause("3.2-06", "E-14")
@pytest.mark.parametrize(("code", "text"), FORWARDS.items())
@pytest.mark.parametrize(
    "path",
    [
        "<Jones@USC-ISI.ARPA>",
        "<@ONE,@TWO:JOE@THREE>",
        "<Joe\\,Smith@[10.0.0.27]>",
        '<"<a@b>"@#123>',
        '<"\\\\\\""@abc>',
        f"<@{'h' * 60},@{'h' * 60},@{'h' * 60}:{'u' * 60}@h>",
    ],
)
def test_forward(code: int, text: str, path: str) -> None:
    """3.2: the path is in the text, and is found there again, at this end and at the other."""
    reply = Reply.forward(code, Path(path))
    assert reply == Reply(code, text.format(path))
    assert reply.forward_path is not None
    assert reply.forward_path.text == path
    (received,) = read([reply.to_bytes(LIMITS)])
    assert received == reply
    assert received.forward_path == Path(path)


@pytest.mark.parametrize("path", ["<>", "<Postmaster>"])
def test_forward_to_no_mailbox(path: str) -> None:
    """3.2: a path that a sender cannot try is no forward-path."""
    with pytest.raises(LocalProtocolError, match=f"^{path} leads to no mailbox"):
        Reply.forward(551, Path(path))


@pytest.mark.parametrize("lines", [5, [b"OK"], ("OK", None)])
def test_text_that_is_no_text(lines: Any) -> None:
    """4.2: the text of a reply is lines of str."""
    with pytest.raises(LocalProtocolError, match="lines of str"):
        Reply(250, lines)


@pytest.mark.parametrize("code", [250, 550, 553, 200, 0])
def test_forward_of_another_code(code: int) -> None:
    """3.2: no other code carries a path."""
    with pytest.raises(LocalProtocolError, match=f"^{code} carries no forward-path"):
        Reply.forward(code, Path("<a@b>"))


@pytest.mark.clause("E-14")
@pytest.mark.parametrize(
    ("lines", "path"),
    [
        ("<a@b>", "<a@b>"),
        ("try <a@b> or <c@d>", "<a@b>"),
        ("1 < 2: <c@d>.", "<c@d>"),
        ("<not a path> <c@d>", "<c@d>"),
        (["User not local;", "try <a@b>"], "<a@b>"),
        (["<a", "@b>"], None),
        ("a@b", None),
        ("<a@b", None),
        ("<>", None),
        ("<Postmaster>", None),
        ("", None),
        ("<a\ufffd@b>", None),
    ],
)
def test_forward_path(lines: str | list[str], path: str | None) -> None:
    """3.2: the first path in the text of a 251 or 551, or None; in no other code's."""
    for code in (251, 551):
        found = Reply(code, lines).forward_path
        assert (found and found.text) == path
    assert Reply(250, lines).forward_path is None
    assert Reply(553, lines).forward_path is None


@pytest.mark.parametrize(
    "unit", ["<", "<a", "<a\\", '<"', "<@a,", "<a.", '<"\\<', "\\<a", "<a@[1."]
)
def test_hostile_forward_path(unit: str) -> None:
    """3.2: a hundred thousand beginnings of a path are searched in one go."""
    assert Reply(251, unit * 100_000).forward_path is None
    assert Reply(251, unit * 100_000 + ' <" "@b> <c@d>').forward_path == Path('<" "@b>')


# Onto the wire.


@pytest.mark.clause("E-11", "AMB-33")
@pytest.mark.parametrize(
    ("reply", "wire"),
    [
        (Reply(250), b"250 OK\r\n"),
        (Reply(250, ""), b"250 \r\n"),
        (Reply(250, ["one", "two"]), b"250-one\r\n250 two\r\n"),
        (Reply(250, ["", "", ""]), b"250-\r\n250-\r\n250 \r\n"),
        (Reply(214, ["123-234 text", "214 end"]), b"214-123-234 text\r\n214 214 end\r\n"),
        (Reply(250, " a  b "), b"250  a  b \r\n"),
        # text that would be something else on the wire
        (Reply(250, "a\r\nb"), b"250-a\r\n250 b\r\n"),
        (Reply(250, "a\nb\rc"), b"250-a\r\n250-b\r\n250 c\r\n"),
        (Reply(250, "a\n\rb"), b"250-a\r\n250-\r\n250 b\r\n"),
        (Reply(250, "\r\n"), b"250-\r\n250 \r\n"),
        (Reply(250, "OK\r\n550 no"), b"250-OK\r\n250 550 no\r\n"),
        (Reply(250, "a\0b\tc\x7fd\x1b[31m"), b"250 a?b?c?d?[31m\r\n"),
        (Reply(250, "caf\xe9 \u2028 \U0001f4e7 \ud800"), b"250 caf? ? ? ?\r\n"),
        (Reply(250, "\x85\x0b\x0c\x1c\x1d"), b"250 ?????\r\n"),
    ],
)
def test_to_bytes(reply: Reply, wire: bytes) -> None:
    """4.2, Appendix E: a reply on the wire is one reply, whatever its text is."""
    assert reply.to_bytes(LIMITS) == wire


@pytest.mark.clause("4.5.3-11")
@pytest.mark.parametrize(
    ("length", "widths"),
    [(505, [505]), (506, [506]), (507, [506, 1]), (1012, [506, 506]), (1013, [506, 506, 1])],
)
def test_long_lines_are_continued(length: int, widths: list[int]) -> None:
    """4.5.3: a reply line has at most 512 octets; longer text goes on on the next."""
    text = ("0123456789" * 102)[:length]
    wire = Reply(250, text).to_bytes(LIMITS)
    lines = wire.split(b"\r\n")[:-1]
    assert [len(line) - 4 for line in lines] == widths
    assert b"".join(line[4:] for line in lines).decode("ascii") == text
    assert max(map(len, lines)) + 2 <= 512
    assert [line[:4] for line in lines] == [b"250-"] * (len(lines) - 1) + [b"250 "]
    assert len(Reply(250, "x" * 506).to_bytes(LIMITS)) == 512


@pytest.mark.clause("E-11")
@pytest.mark.parametrize("count", [1, 2, 3, 4, 1000])
def test_number_of_lines(count: int) -> None:
    """A reply has at most `reply_lines` lines, and the last of them ends it."""
    limits = Limits(reply_lines=3)
    wire = Reply(250, [str(number) for number in range(count)]).to_bytes(limits)
    lines = wire.split(b"\r\n")[:-1]
    assert [line[4:] for line in lines] == [b"0", b"1", b"2"][:count]
    assert [line[3:4] for line in lines] == [b"-"] * (len(lines) - 1) + [b" "]
    assert len(Reply(250, "x" * 5000).to_bytes(limits)) == 3 * 512


def test_safe_lines() -> None:
    """The text as it goes onto the wire, in lines of any width."""
    assert Reply(250, ["abcde", "", "f\r\ng\xe9"]).safe_lines(2) == [
        "ab", "cd", "e", "", "f", "g?",
    ]  # fmt: skip


# Off the wire.


@pytest.mark.clause("4.2-07", "E-12", "AMB-33")
@pytest.mark.parametrize(
    ("wire", "replies"),
    [
        (b"250 OK\r\n", [Reply(250)]),
        (b"250\r\n", [Reply(250, "")]),
        (b"250 \r\n", [Reply(250, "")]),
        (b"250-\r\n250\r\n", [Reply(250, ["", ""])]),
        (b"250-a\r\n250-\r\n250 b\r\n", [Reply(250, ["a", "", "b"])]),
        (b"250-250 a\r\n250-b\r\n250 250-c\r\n", [Reply(250, ["250 a", "b", "250-c"])]),
        (b"250-123-234 text\r\n250 6\r\n", [Reply(250, ["123-234 text", "6"])]),
        (b"250  two\r\n", [Reply(250, " two")]),
        (b"250 -\r\n", [Reply(250, "-")]),
        (b"250 a\tb\r\n", [Reply(250, "a\tb")]),
        (b"200 a\r\n", [Reply(200, "a")]),
        (b"399 a\r\n", [Reply(399, "a")]),
        (b"599 a\r\n", [Reply(599, "a")]),
        (b"250 a\r\n550 b\r\n", [Reply(250, "a"), Reply(550, "b")]),
        (b"250-a\r\n250 b\r\n550-c\r\n550 d\r\n", [Reply(250, ["a", "b"]), Reply(550, ["c", "d"])]),
        (b"250 a\r\n250-b", [Reply(250, "a")]),
        # not yet complete
        (b"", []),
        (b"250", []),
        (b"250 OK", []),
        (b"250 OK\r", []),
        (b"250 OK\n", []),
        (b"250-OK\r\n", []),
        (b"250-OK\r\n250", []),
        # what cannot be shown
        (b"250 a\0b\r\n", [Reply(250, "a\ufffdb")]),
        (b"250 \x1b[31m\x7f\r\n", [Reply(250, "\ufffd[31m\ufffd")]),
        (b"250 caf\xc3\xa9\r\n", [Reply(250, "caf\ufffd\ufffd")]),
        (b"250 \x80\x85\xa0\xff\r\n", [Reply(250, "\ufffd" * 4)]),
        (b"250-\xff\r\n250 \0\r\n", [Reply(250, ["\ufffd", "\ufffd"])]),
    ],
)
def test_read(wire: bytes, replies: list[Reply]) -> None:
    """4.2, Appendix E, AMB-33: replies are read as they are, in any cut."""
    assert read([wire]) == replies
    assert read(octets(wire)) == replies
    for cut in range(len(wire) + 1):
        assert read([wire[:cut], wire[cut:]]) == replies


@pytest.mark.clause("E-03", "E-13", "E-15", "AMB-34")
@pytest.mark.parametrize(
    "wire",
    [
        b"25 OK\r\n",
        b"25\r\n",
        b"2500 OK\r\n",
        b"2500\r\n",
        b"OK\r\n",
        b"abc OK\r\n",
        b"2x0 OK\r\n",
        b"-250 OK\r\n",
        b"+25 OK\r\n",
        b"\xb2\xb50 OK\r\n",
        b"250_OK\r\n",
        b"250\tOK\r\n",
        b"250OK\r\n",
        b"250.\r\n",
        b"250\0\r\n",
        b"250-a\r\n251 b\r\n",
        b"250-a\r\n251-b\r\n",
        b"250-a\r\n550 b\r\n",
        b"250-a\r\nb\r\n250 c\r\n",
        b"250-a\r\n\r\n250 c\r\n",
        b"250-a\r\n 250 c\r\n",
        b"250 a\nb\r\n",
        b"250 a\rb\r\n",
        b"250 a\r\r\n",
        b"250 a\n\r\n",
        b"250\n\r\n",
        b"250\r\r\n",
        b"250-a\n250 b\r\n",
        b"250 a\n550 b\r\n",
        b"\n250 a\r\n",
        b"\r\n",
        b" \r\n",
        b" 250 OK\r\n",
        b"\t250 OK\r\n",
        b"000 a\r\n",
        b"100 a\r\n",
        b"199 a\r\n",
        b"600 a\r\n",
        b"999 a\r\n",
        b"250 " + b"x" * 507 + b"\r\n",
        b"x" * 511 + b"\r\n",
        b"250-a\r\n250 " + b"x" * 5000 + b"\r\n",
    ],
)
def test_malformed(wire: bytes) -> None:
    """Appendix E, AMB-34: what is no reply is refused, in any cut, and never taken for one."""
    for pieces in ([wire], octets(wire), [wire[: len(wire) // 2], wire[len(wire) // 2 :]]):
        with pytest.raises(RemoteProtocolError) as caught:
            read(pieces)
        assert str(caught.value).isascii()
        assert str(caught.value).isprintable()
        assert caught.value.reply is None


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        (b"x" * 50, f"a malformed reply line: {b'x' * 40!r}"),
        (b"250-a\r\n251 b", "code 251 inside a reply of code 250 (AMB-34)"),
        (b"250 " + b"x" * 507, "a reply line of over 512 octets"),
    ],
)
def test_what_is_malformed_is_told(wire: bytes, message: str) -> None:
    """Appendix E: the error says what came, and of a long line the beginning."""
    with pytest.raises(RemoteProtocolError) as caught:
        read([wire + b"\r\n"])
    assert str(caught.value) == message


def test_replies_before_a_malformed_one() -> None:
    """Appendix E: what came well-formed before is given before the error."""
    lines = LineReader(512)
    reader = ReplyReader(lines, LIMITS)
    lines.feed(b"250 a\r\n250-b\r\n250 c\r\nnonsense\r\n")
    assert reader.next_reply() == Reply(250, "a")
    assert reader.next_reply() == Reply(250, ["b", "c"])
    with pytest.raises(RemoteProtocolError, match="a malformed reply line: b'nonsense'"):
        reader.next_reply()


@pytest.mark.clause("4.5.3-12")
@pytest.mark.parametrize("limit", [512, 513, 1024])
def test_reply_line(limit: int) -> None:
    """4.5.3: a reply line of 512 octets is taken, and none above the limit."""
    limits = Limits(reply_line=limit)
    text = "x" * (limit - 6)
    for first in (b"", b"250-\r\n"):
        wire = first + b"250 " + text.encode("ascii") + b"\r\n"
        expected = [Reply(250, ["", text] if first else text)]
        assert read([wire], limits) == read(octets(wire), limits) == expected
        for pieces in ([wire[:-2] + b"x\r\n"], octets(wire[:-2] + b"x\r\n")):
            with pytest.raises(RemoteProtocolError, match=f"a reply line of over {limit} octets"):
                read(pieces, limits)


def test_reply_line_without_end() -> None:
    """4.5.3: a megabyte without CRLF is no reply, and is not kept."""
    lines = LineReader(512)
    reader = ReplyReader(lines, LIMITS)
    for _ in range(1000):
        lines.feed(b"250 " + b"x" * 996)
        assert reader.next_reply() is None
        assert len(lines._joined) + len(lines._overlong or b"") <= 2000
        assert reader
    lines.feed(b"\r\n")
    with pytest.raises(RemoteProtocolError, match="a reply line of over 512 octets"):
        reader.next_reply()


@pytest.mark.parametrize("limit", [1, 2, 1024])
def test_reply_lines(limit: int) -> None:
    """A reply may have as many lines as the limit says, and no more are kept."""
    limits = Limits(reply_lines=limit)
    wire = b"250-x\r\n" * (limit - 1) + b"250 x\r\n"
    for pieces in ([wire + wire], octets(wire + wire)):
        assert read(pieces, limits) == [Reply(250, ["x"] * limit)] * 2
    for pieces in ([b"250-x\r\n" + wire], octets(b"250-x\r\n" + wire)):
        with pytest.raises(RemoteProtocolError, match=f"a reply of over {limit} lines"):
            read(pieces, limits)


def test_reply_without_end() -> None:
    """A reply of lines without end is refused when the limit is reached, not later."""
    lines = LineReader(512)
    reader = ReplyReader(lines, LIMITS)
    lines.feed(b"250-x\r\n" * 1023)
    assert reader.next_reply() is None
    lines.feed(b"250-x\r\n")
    with pytest.raises(RemoteProtocolError, match="a reply of over 1024 lines"):
        reader.next_reply()


def test_begun() -> None:
    """A reply has begun and not ended, or another waits."""
    lines = LineReader(512)
    reader = ReplyReader(lines, LIMITS)
    assert not reader.begun()
    for piece, truth, reply in [
        (b"2", True, None),
        (b"50-a\r\n", True, None),
        (b"250 b\r\n", False, Reply(250, ["a", "b"])),
        (b"354 a\r\n250 b", True, Reply(354, "a")),
        (b"\r\n", False, Reply(250, "b")),
        (b"250 a\r\n250 b\r\n", True, Reply(250, "a")),
    ]:
        lines.feed(piece)
        assert reader.begun()
        assert reader.next_reply() == reply
        assert reader.begun() == truth
    assert reader.next_reply() == Reply(250, "b")
    assert not reader.begun()


# Properties.

CODES: Final = st.integers(200, 599)
TEXTS: Final = st.one_of(
    st.text(),
    st.lists(
        st.sampled_from(["\r", "\n", "\r\n", "\0", "\x85", "250 ", "250-", "x" * 300, "é"])
    ).map("".join),
)
LINES: Final = st.lists(TEXTS, min_size=1, max_size=5)


@pytest.mark.clause("2-09")
@given(CODES, LINES)
def test_one_reply_stays_one_reply(code: int, lines: list[str]) -> None:
    """4.2: whatever the text is, it is one well-formed reply of that code."""
    reply = Reply(code, lines)
    wire = reply.to_bytes(LIMITS)
    for line in wire.split(b"\r\n")[:-1]:
        assert re.fullmatch(rb"%d[ -][ -~]{0,506}" % code, line)
    assert read([wire]) == [Reply(code, reply.safe_lines(WIDTH))]
    assert Reply(code, reply.safe_lines(WIDTH)).to_bytes(LIMITS) == wire


@given(CODES, st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126)), min_size=1))
def test_printable_text_is_kept(code: int, lines: list[str]) -> None:
    """4.2: printable text comes through as it is."""
    reply = Reply(code, lines)
    assert read([reply.to_bytes(LIMITS)]) == [reply]


@given(
    st.lists(st.tuples(CODES, LINES), max_size=4),
    st.lists(st.integers(1, 20)),
)
def test_any_cut(replies: list[tuple[int, list[str]]], sizes: list[int]) -> None:
    """Appendix E: any cut of the octets gives the same replies."""
    wire = b"".join(Reply(code, lines).to_bytes(LIMITS) for code, lines in replies)
    ends = [0, *itertools.accumulate(sizes)]
    pieces = [wire[one:other] for one, other in itertools.pairwise(ends)] + [wire[ends[-1] :]]
    assert read(pieces) == read([wire])
    assert [reply.code for reply in read([wire])] == [code for code, _ in replies]


@given(
    st.lists(
        st.sampled_from([b"250", b"251", b" ", b"-", b"\r\n", b"\r", b"\n", b"x", b"\xff", b"\t"])
    ).map(b"".join)
)
def test_any_octets(wire: bytes) -> None:
    """Whatever a peer sends, it is replies or a RemoteProtocolError, the same in any cut."""
    results: list[object] = []
    for pieces in ([wire + b"\r\n"], octets(wire + b"\r\n")):
        try:
            results.append(read(pieces))
        except RemoteProtocolError as error:
            results.append(str(error))
    assert results[0] == results[1]
