"""The "undeliverable mail" notification (3.6, Example 7)."""

from __future__ import annotations

import email
import email.policy
import email.utils
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path as File
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp821 import (
    NULL_PATH,
    Command,
    Data,
    Domain,
    Helo,
    LocalProtocolError,
    Mail,
    Path,
    Rcpt,
    Receiver,
    Replied,
    Reply,
    Sender,
)
from smtp821.mail.notification import (
    HEADER_BOUND,
    Failure,
    Notification,
    header_of,
    undeliverable,
)
from smtp821.testing.strategies import any_text, domains, forward_paths, paths

EXAMPLE_7: Final = next(
    example["lines"]
    for example in json.loads(
        (File(__file__).parent / "data" / "scenarios.json").read_text("utf-8")
    )["section3_examples"]
    if example["example"] == 7
)
HOST: Final = Domain("HOSTY.ARPA")
AT: Final = datetime(1981, 10, 23, 11, 22, 33, tzinfo=UTC)
JOE: Final = Path("<@HOSTX.ARPA:JOE@HOSTW.ARPA>")
SAM: Final = Path("<SAM@HOSTZ.ARPA>")
LOST: Final = Failure(SAM, Reply(550, "No Such User"), Domain("HOSTZ.ARPA"))
HEADER: Final = (
    b"Date: 23 Oct 1981 11:22:33 +0000\r\n"
    b"From: SMTP@HOSTY.ARPA\r\n"
    b"To: JOE@HOSTW.ARPA\r\n"
    b"Subject: Mail System Problem\r\n"
)


def about(*failures: Failure, reverse_path: Path = JOE, **options: Any) -> Notification:
    """The notification of HOSTY about failures, which there is to be."""
    result = undeliverable(reverse_path, failures, **{"host": HOST, "at": AT, **options})
    assert result is not None
    return result


def text_of(reason: Reply | str, host: str | None = None) -> str:
    """What is said below the header about one failure, for a reason."""
    message = about(Failure(SAM, reason, None if host is None else Domain(host))).message
    assert message.startswith(HEADER)
    return message[len(HEADER) :].decode("ascii")


# Example 7.


@pytest.mark.clause("3.6-11", "4.1.1.DATA-11")
def test_example_7() -> None:
    """The message of the RFC, byte for byte but for the zone, which RFC 822 wants in the date."""
    result = about(LOST, strict=True)
    commands = [line[3:] for line in EXAMPLE_7 if line.startswith("C:")]
    assert [str(Mail(result.reverse_path)), str(Rcpt(result.forward_path))] == commands[:2]
    printed = [line.replace("23 Oct 81 11:22:33", "23 OCT 81 11:22:33 UT") for line in commands[3:]]
    assert [*result.message.decode("ascii").split("\r\n")[:-1], "."] == printed


@pytest.mark.clause("3.6-12", "3.6-13", "4.1.1.MAIL-04")
def test_the_envelope() -> None:
    """It goes back by the reverse-path as it came, route and all, and can cause no other (3.6)."""
    result = about(LOST)
    assert (result.reverse_path, result.forward_path) == (NULL_PATH, JOE)
    assert undeliverable(result.reverse_path, [LOST], host=HOST, at=AT) is None


# What is said.


def test_a_reply() -> None:
    """Who said what, if that is known."""
    begin = "\r\n  Sorry JOE, your message to SAM@HOSTZ.ARPA lost.\r\n"
    assert text_of(Reply(550, "No Such User"), "HOSTZ.ARPA") == (
        f'{begin}  HOSTZ.ARPA said this:\r\n   "550 No Such User"\r\n'
    )
    assert text_of(Reply(550, "No Such User")) == (
        f'{begin}  The reply was this:\r\n   "550 No Such User"\r\n'
    )
    assert text_of(Reply(552, ["Too large", "Try", ""]), "A") == (
        f'{begin}  A said this:\r\n   "552-Too large\r\n    552-Try\r\n    552 "\r\n'
    )


def test_no_reply() -> None:
    """Where none came, what happened; in one line or several."""
    begin = "\r\n  Sorry JOE, your message to SAM@HOSTZ.ARPA lost.\r\n"
    assert text_of("HOSTZ.ARPA could not be reached.") == (
        f"{begin}  This happened:\r\n   HOSTZ.ARPA could not be reached.\r\n"
    )
    assert text_of("one\ntwo") == f"{begin}  This happened:\r\n   one\r\n   two\r\n"
    assert text_of("") == f"{begin}  This happened:\r\n   \r\n"


@pytest.mark.clause("4.1.1.DATA-12")
def test_several_recipients() -> None:
    """All in one, in their order; 4.1.1 DATA leaves it open, so the caller has the choice."""
    other = Failure(Path("<Postmaster>"), "The mailbox is full.")
    routed = Failure(Path('<@HOSTX:"A. User"@B>'), Reply(553, "no"))
    assert about(LOST, other, routed).message == HEADER + (
        b"\r\n"
        b"  Sorry JOE, your message to SAM@HOSTZ.ARPA lost.\r\n"
        b"  HOSTZ.ARPA said this:\r\n"
        b'   "550 No Such User"\r\n'
        b"\r\n"
        b"  Sorry JOE, your message to Postmaster lost.\r\n"
        b"  This happened:\r\n"
        b"   The mailbox is full.\r\n"
        b"\r\n"
        b'  Sorry JOE, your message to "A. User"@B lost.\r\n'
        b"  The reply was this:\r\n"
        b'   "553 no"\r\n'
    )


def test_what_a_peer_must_not_do() -> None:
    """Its text stays in its place, printable, whatever it is."""
    evil = Reply(550, "No\r\n.\r\nTo: all@x\x1b[2J\0 caf\xe9 \u2028 \ud800")
    assert text_of(evil).splitlines()[3:] == [
        '   "550-No', "    550-.", '    550 To: all@x?[2J? caf? ? ?"',
    ]  # fmt: skip


def test_a_reply_without_end() -> None:
    """Of a long reply the beginning is quoted; a line that no host takes is folded (4.5.3)."""
    lines = text_of(Reply(550, ["x"] * 1000)).splitlines()[3:]
    assert lines == ['   "550-x', *["    550-x"] * 31, '    550 ..."']
    assert len(text_of(Reply(550, ["x"] * 32)).splitlines()[3:]) == 32
    folded = text_of("y" * 2000).split("\r\n")[3:-1]
    assert [len(line) <= 998 for line in folded] == [True] * 3
    assert "".join(line.strip() for line in folded) == "y" * 2000


def test_a_long_line_of_a_reply() -> None:
    """It is quoted as two lines of one reply, each with its code, and not folded (4.5.3)."""
    lines = text_of(Reply(550, "x" * 990)).split("\r\n")[3:-1]
    assert lines == ['   "550-' + "x" * 989, '    550 x"']


def test_a_quoted_originator_is_written_as_it_came() -> None:
    """A backslash that quotes nothing special stays where it is."""
    message = about(LOST, reverse_path=Path('<"a\\bc"@HOSTW>')).message
    assert b'\r\nTo: "a\\bc"@HOSTW\r\n' in message
    assert b"  Sorry abc, your message" in message


def test_a_recipient_of_any_length() -> None:
    """A path that could never be sent is told of all the same."""
    far = Path(f"<{'x' * 3000}@HOSTZ>")
    lines = about(Failure(far, "It is too long.")).message.split(b"\r\n")
    assert max(map(len, lines)) == 998
    assert b"".join(lines[5:9]) == b"  Sorry JOE, your message to %b@HOSTZ lost." % (b"x" * 3000)


# The header.


@pytest.mark.parametrize(
    ("at", "strict", "date"),
    [
        (AT, False, b"23 Oct 1981 11:22:33 +0000"),
        (AT, True, b"23 OCT 81 11:22:33 UT"),
        (AT.astimezone(timezone(timedelta(hours=-7))), False, b"23 Oct 1981 04:22:33 -0700"),
        (AT.astimezone(timezone(timedelta(hours=-7))), True, b"23 OCT 81 11:22:33 UT"),
    ],
)
def test_date(at: datetime, strict: bool, date: bytes) -> None:
    """In the form of RFC 1123, or of RFC 821 (AMB-49)."""
    assert about(LOST, at=at, strict=strict).message.startswith(b"Date: " + date + b"\r\nFrom: ")


@pytest.mark.parametrize(
    ("reverse_path", "to", "user"),
    [
        ("<@A,@B:Joe@C>", "Joe@C", "Joe"),
        ('<"Joe,Smith"@C>', '"Joe,Smith"@C', "Joe,Smith"),
        ("<Joe\\,Smith@C>", '"Joe,Smith"@C', "Joe,Smith"),
        ('<a\\"\\\\b@C>', '"a\\"\\\\b"@C', 'a"\\b'),
        ("<joe@[10.0.0.27]>", "joe@[10.0.0.27]", "joe"),
    ],
)
def test_to(reverse_path: str, to: str, user: str) -> None:
    """The mailbox, without the route (3.6), as RFC 822 writes it."""
    lines = about(LOST, reverse_path=Path(reverse_path)).message.decode("ascii").split("\r\n")
    assert lines[2] == f"To: {to}"
    assert lines[5] == f"  Sorry {user}, your message to SAM@HOSTZ.ARPA lost."


# The header of the message that failed.


def test_the_original_header() -> None:
    """It is put behind what is said, without the body."""
    original = b"Received: from a by b\r\n ; today\r\nSubject:  Hello\r\n\r\nBody: no\r\n"
    assert about(LOST, original=original).message == about(LOST).message + (
        b"\r\n  The header of your message:\r\n\r\n"
        b"Received: from a by b\r\n ; today\r\nSubject:  Hello\r\n"
    )


def test_an_original_header_of_odd_octets() -> None:
    """Octets that not every host takes are "?", lines that none takes are folded (4.5.2, 4.5.3)."""
    original = b"Subject: \xff\0\t\x7f\rX\n.\r\nLong: %b\r\n" % (b"x" * 1000)
    assert about(LOST, original=original).message.endswith(
        b"\r\n\r\nSubject: ??\t??X?.\r\nLong: %b\r\n%b\r\n" % (b"x" * 992, b"x" * 8)
    )


@pytest.mark.parametrize(
    "original", [b"", b"\r\n", b"\r\nA: b\r\n", b"Blah blah\r\n", b"A: no end"]
)
def test_no_original_header(original: bytes) -> None:
    """Where there is none, nothing is said of it."""
    assert about(LOST, original=original) == about(LOST)


@pytest.mark.parametrize(
    ("beginning", "header"),
    [
        (b"", b""),
        (b"A: 1\r\nB: 2\r\n\r\nC: 3\r\n", b"A: 1\r\nB: 2\r\n"),
        (b"A: 1\r\nB: 2\r\n", b"A: 1\r\nB: 2\r\n"),
        (b"A: 1\r\nB: 2\r", b"A: 1\r\n"),
        (b"A:\r\n\t1\r\n 2\r\nB", b"A:\r\n\t1\r\n 2\r\n"),
        (b"A : 1\r\n.b:\r\n", b"A : 1\r\n.b:\r\n"),
        (b" A: 1\r\n", b""),
        (b"A: 1\r\nHello, world: no field\r\n", b"A: 1\r\n"),
        (b"A: 1\n\nB: 2\rC: 3\r\r\nD\r\n", b"A: 1\n\nB: 2\rC: 3\r\r\n"),
        (b"A: \xe9\0\r\nB\xe9: 2\r\n", b"A: \xe9\0\r\n"),
        (b": 1\r\n", b""),
    ],
)
def test_header_of(beginning: bytes, header: bytes) -> None:
    """Fields and their continuations, in whole lines ended by CRLF and nothing else."""
    assert header_of(beginning) == header


_TWO_FIELDS: Final = b"A: 1\r\nB:\r\n 2\r\n"


@pytest.mark.parametrize(
    ("bound", "kept"), [(-1, 0), (0, 0), (5, 0), (6, 6), (9, 6), (10, 10), (13, 10), (14, 14)]
)
def test_bound(bound: int, kept: int) -> None:
    """A header longer than the bound is cut at a line end."""
    assert header_of(_TWO_FIELDS, bound) == _TWO_FIELDS[:kept]
    short = about(LOST, original=_TWO_FIELDS[:kept])
    assert about(LOST, original=_TWO_FIELDS, header_bound=bound) == short


def test_the_ordinary_bound() -> None:
    """8192 octets, whatever the size of the message."""
    line = b"X-Line: %b\r\n" % (b"x" * 54)
    assert (len(line), HEADER_BOUND) == (64, 8192)
    assert header_of(line * 10_000) == line * 128
    assert about(LOST, original=line * 10_000).message.count(line) == 128


@given(st.lists(st.sampled_from((b"A: b", b"\r\n", b"\r", b"\n", b" ", b":", b"A", b"\xff"))))
def test_any_beginning(parts: list[bytes]) -> None:
    """What is given back is a beginning, in whole lines; and more of it makes no less."""
    data = b"".join(parts)
    header = header_of(data)
    assert data.startswith(header)
    assert header == b"" or header.endswith(b"\r\n")
    assert b"\r\n\r\n" not in header
    assert header_of(data + b"\r\nA: b").startswith(header)


# What cannot be told.


def test_no_failures() -> None:
    """There is nothing to say, to anybody."""
    for reverse_path in (JOE, NULL_PATH):
        with pytest.raises(LocalProtocolError) as error:
            undeliverable(reverse_path, [], host=HOST, at=AT)
        assert str(error.value) == "a notification needs a failure to speak of"


def test_postmaster_is_no_originator() -> None:
    """MAIL has no such path (AMB-15)."""
    with pytest.raises(LocalProtocolError, match="<Postmaster> is no reverse-path"):
        about(LOST, reverse_path=Path("<Postmaster>"))


def test_a_null_recipient() -> None:
    """Nothing can have been sent there (AMB-14)."""
    with pytest.raises(LocalProtocolError, match="<> is no forward-path"):
        Failure(NULL_PATH, "")


def test_a_time_without_its_zone() -> None:
    """Nobody could tell when it was."""
    with pytest.raises(LocalProtocolError, match="with its zone"):
        about(LOST, at=datetime(1981, 10, 23))


@pytest.mark.parametrize("size", [994 - len("@B"), 995 - len("@B")])
def test_a_mailbox_too_long_for_a_line(size: int) -> None:
    """A line of a header is not folded inside a mailbox: up to 1000 octets, then there is none."""
    reverse_path = Path(f"<{'x' * size}@B>")
    if size + len("To: @B") <= 998:
        assert b"\r\nTo: %b@B\r\n" % (b"x" * size) in about(LOST, reverse_path=reverse_path).message
        return
    message = rf"^To: {'x' * 76}\.\.\.: too long for a line \(4\.5\.3\)$"
    with pytest.raises(LocalProtocolError, match=message):
        about(LOST, reverse_path=reverse_path)


# Properties.

_replies = st.builds(
    Reply, st.integers(200, 599), st.lists(any_text(), min_size=1, max_size=3).map(tuple)
)
_failures = st.lists(
    st.builds(
        Failure, forward_paths(), st.one_of(_replies, any_text()), st.one_of(st.none(), domains())
    ),
    min_size=1,
    max_size=3,
)
_originals = st.one_of(
    st.just(b"Subject: hello\r\nTo: x\r\n\r\n"),
    st.lists(
        st.sampled_from((b"A: b", b"\r\n", b"\r", b"\n", b".", b"\r\n.\r\n", b" ", b"\xff\0"))
    ).map(b"".join),
    st.integers(990, 2010).map(lambda size: b"A: %b\r\nB: c\r\n" % (b"x" * size)),
)


def delivered(notification: Notification) -> bytes:
    """The message, as a strict Receiver takes it from a strict Sender."""
    sender, receiver = Sender(), Receiver("HOSTX.ARPA")
    taken: list[bytes] = []

    def exchange(command: Command | bytes | None) -> int:
        if isinstance(command, bytes):
            sender.send_data(command)
            sender.end_data()
        elif command is not None:
            sender.send(command)
        if data := sender.data_to_send():
            receiver.receive_data(data)
        while receiver.reply_owed is None:
            event = receiver.next_event()
            taken.append(getattr(event, "data", b""))
        receiver.accept()
        sender.receive_data(receiver.data_to_send())
        replied = sender.next_event()
        assert isinstance(replied, Replied)
        return replied.reply.code

    envelope = Mail(notification.reverse_path), Rcpt(notification.forward_path)
    steps = [None, Helo("HOSTY.ARPA"), *envelope, Data(), notification.message]
    assert [exchange(step) for step in steps] == [220, 250, 250, 250, 354, 250]
    return b"".join(piece for piece in taken if piece)


@given(paths(), _failures, _originals, domains(), st.booleans())
def test_any_notification(
    reverse_path: Path, failures: list[Failure], original: bytes, host: Domain, strict: bool
) -> None:
    """Whatever it speaks of, it can be sent by the letter, and its header is four fields."""
    result = about(
        *failures, reverse_path=reverse_path, original=original, host=host, strict=strict
    )
    assert delivered(result) == result.message
    lines = result.message.split(b"\r\n")
    assert lines.pop() == b""
    assert max(map(len, lines)) <= 998
    assert all(line.isascii() and line.replace(b"\t", b"").decode().isprintable() for line in lines)
    assert lines.index(b"") == 4
    read = email.message_from_bytes(result.message, policy=email.policy.default)
    assert read.keys() == ["Date", "From", "To", "Subject"]
    assert read.defects == []
    assert email.utils.parsedate_to_datetime(read["Date"]) == AT
    assert read["Subject"] == "Mail System Problem"


def test_read_by_the_standard_library() -> None:
    """Its addresses are addresses, and its body is the text."""
    reverse_path = Path("<Joe\\,Smith@HOSTW.ARPA>")
    message = about(LOST, reverse_path=reverse_path).message
    read: Any = email.message_from_bytes(message, policy=email.policy.default)
    assert read["From"].addresses[0].addr_spec == "SMTP@HOSTY.ARPA"
    assert read["To"].addresses[0].username == "Joe,Smith"
    assert read.get_content().startswith("  Sorry Joe,Smith, your message")
