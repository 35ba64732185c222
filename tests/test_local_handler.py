"""Mail for local users: judged, traced, made safe, and only then answered 250."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path as File
from typing import Any, Final

import pytest

from smtp821 import (
    RFC821,
    RFC821_LENIENT,
    Dialect,
    Limits,
    Receiver,
    Reply,
    Saml,
    Send,
    Soml,
    Verb,
)
from smtp821.conversation import Conversation
from smtp821.local_handler import LocalHandler
from smtp821.local_host import LocalHost
from smtp821.maildir import Maildir
from smtp821.protocol.dialect import MINIMUM
from smtp821.terminal import Terminal

from .driving import codes

HOST: Final = LocalHost.from_config(
    {
        "domain": "ISI.ARPA",
        "mailboxes": {"smith": "Fred Smith", "jones": "", "x" * 64: ""},
        "lists": {"friends": ["smith@ISI.ARPA", "jones@ISI.ARPA", "a@far.example"]},
        "forwards": {
            "crispin": {"path": "<Admin.MRC@SU-SCORE.ARPA>", "reply": 251},
            "postel": {"path": "<postel@USC-ISIF.ARPA>", "reply": 551},
        },
    }
)
NOON: Final = datetime(1982, 8, 13, 12, 0, 0, tzinfo=UTC)
TRACE: Final = (
    b"Return-Path: <JOE@ABC.ARPA>\r\n"
    b"Received: from ABC.ARPA by ISI.ARPA with SMTP ; 13 Aug 1982 12:00:00 +0000\r\n"
)
HELO, DATA, QUIT = b"HELO ABC.ARPA\r\n", b"DATA\r\n", b"QUIT\r\n"
MAIL: Final = b"MAIL FROM:<JOE@ABC.ARPA>\r\n"
SMITH, JONES = b"RCPT TO:<smith@ISI.ARPA>\r\n", b"RCPT TO:<Jones@isi.arpa>\r\n"
TEXT: Final = b"Hello\r\n.dot\r\n"
MESSAGE: Final = b"Hello\r\n..dot\r\n.\r\n"


class Kept:
    """A draft in memory, which does as its store is told."""

    def __init__(self, store: Keeper, mailboxes: Sequence[str], head: bytes) -> None:
        self._store, self._mailboxes, self._data = store, tuple(mailboxes), head

    def write(self, data: bytes) -> None:
        """Keep it in memory."""
        self._store.did("write")
        self._data += data

    def commit(self) -> None:
        """The store has it."""
        self._store.did("commit")
        self._store.messages.append((self._mailboxes, self._data))

    def abort(self) -> None:
        """Forget it."""
        self._store.did("abort")


class Keeper:
    """A store in memory.

    fails: what one of its methods raises; too_long: the mailbox that it cannot keep.
    """

    def __init__(self, **fails: Exception) -> None:
        self.fails = fails
        self.calls: list[str] = []
        self.messages: list[tuple[tuple[str, ...], bytes]] = []

    def did(self, name: str) -> None:
        """Remember a call, and fail if told so."""
        self.calls.append(name)
        if error := self.fails.get(name):
            raise error

    def can_keep(self, mailbox: str) -> bool:
        """Whatever is not too long."""
        return len(mailbox) < 60

    def begin(self, mailboxes: Sequence[str], head: bytes) -> Kept:
        """Begin a message."""
        self.did("begin")
        return Kept(self, mailboxes, head)


class Talk:
    """A session with a LocalHandler, up to its HELO."""

    def __init__(
        self,
        store: Any,
        terminal: Any = None,
        *,
        dialect: Dialect = RFC821,
        peer: str = "10.0.0.27:4021",
        helo: bytes = HELO,
        **options: Any,
    ) -> None:
        self.handler = LocalHandler(
            peer, HOST, store, terminal=terminal, clock=lambda: NOON, **options
        )
        receiver = Receiver("ISI.ARPA", dialect.offering(self.handler.offers()))
        self._conversation = Conversation(self.handler, receiver)
        self.say(helo)

    def say(self, *lines: bytes) -> list[bytes]:
        """Say lines; the replies to them."""
        output = b""
        for line in (b"", *lines):
            if line:
                self._conversation.receive_data(line)
            self._conversation.advance()
            output += self._conversation.data_to_send()
        return output.splitlines(keepends=True)

    def hang_up(self) -> None:
        """End the session without a word."""
        self._conversation.receive_data(b"")
        self._conversation.advance()


def one(store: Any, terminal: Any = None, *, opening: bytes = MAIL) -> bytes:
    """Give one message for Smith over; the reply to it."""
    return Talk(store, terminal).say(opening, SMITH, DATA, MESSAGE)[-1]


# A message.


@pytest.mark.clause("4.1.1.RCPT-05", "4.1.1.DATA-06", "4.1.1.DATA-08", "4.1.1.DATA-09", "4.1.2-35")
def test_a_message(caplog: pytest.LogCaptureFixture) -> None:
    """A message is kept behind its return path and time stamp (4.1.1 DATA, 4.1.2)."""
    store = Keeper()
    replies = Talk(store).say(MAIL, SMITH, JONES, DATA, MESSAGE, QUIT)
    assert [reply[:3] for reply in replies] == [b"250", b"250", b"250", b"354", b"250", b"221"]
    assert store.messages == [(("smith", "jones"), TRACE + TEXT)]
    assert store.calls == ["begin", "write", "commit"]
    assert caplog.records == []


@pytest.mark.clause("3.1-11")
def test_250_only_when_it_is_safe() -> None:
    """The reply to the message waits for the store (4.1.1 DATA)."""
    store = Keeper()
    talk = Talk(store)
    talk.say(MAIL, SMITH, DATA, b"Hello\r\n..dot")
    assert "commit" not in store.calls
    assert talk.say(b"\r\n.\r\n") == [b"250 OK\r\n"]
    assert store.calls[-1] == "commit"


@pytest.mark.clause("3.1-04")
def test_two_messages_in_a_session() -> None:
    """Each has its own sender and its own recipients (3.1)."""
    store = Keeper()
    other = b"MAIL FROM:<@GHI.ARPA:ANN@DEF.ARPA>\r\n"
    Talk(store).say(MAIL, SMITH, DATA, MESSAGE, other, JONES, DATA, b".\r\n")
    assert store.messages == [
        (("smith",), TRACE + TEXT),
        (("jones",), TRACE.replace(b"<JOE@ABC.ARPA>", b"<@GHI.ARPA:ANN@DEF.ARPA>")),
    ]


@pytest.mark.parametrize("between", [b"RSET\r\n", b"HELO ABC.ARPA\r\n"])
def test_an_aborted_transaction_leaves_nothing(between: bytes) -> None:
    """RSET and HELO clear the recipients (4.1.1)."""
    store = Keeper()
    Talk(store).say(MAIL, SMITH, between, MAIL, JONES, DATA, MESSAGE)
    assert [mailboxes for mailboxes, _ in store.messages] == [("jones",)]


def test_a_notification() -> None:
    """A null reverse-path is written as one (3.6)."""
    store = Keeper()
    Talk(store).say(b"MAIL FROM:<>\r\n", SMITH, DATA, MESSAGE)
    assert store.messages[0][1].startswith(b"Return-Path: <>\r\n")


@pytest.mark.clause("3.1-13", "3.6-09")
@pytest.mark.parametrize(
    "text",
    [
        b"From: ANN@DEF.ARPA\r\nTo: jones@ISI.ARPA\r\n\r\nBody\r\n",
        b"To: <@ISI.ARPA:smith@ISI.ARPA>\r\nReceived: nonsense\r\n",
        b"\r\nno header\r\n",
    ],
)
def test_the_header_is_no_envelope(text: bytes) -> None:
    """What the message says of itself leads nowhere, and is not touched (3.1, 3.6)."""
    store = Keeper()
    assert Talk(store).say(MAIL, SMITH, DATA, text, b".\r\n")[-1] == b"250 OK\r\n"
    assert store.messages == [(("smith",), TRACE + text)]


def test_everybody_has_it_once() -> None:
    """Who is reached in two ways gets one copy."""
    store = Keeper()
    Talk(store).say(MAIL, SMITH, b"RCPT TO:<friends@ISI.ARPA>\r\n", SMITH, DATA, MESSAGE)
    assert [mailboxes for mailboxes, _ in store.messages] == [("smith", "jones")]


@pytest.mark.clause("2-03", "4.1.1-03")
@pytest.mark.parametrize(
    ("path", "reply"),
    [
        (b"<nobody@ISI.ARPA>", b"550 No such user here\r\n"),
        (b"<smith@far.example>", b"550 That host is not here, and I do not relay\r\n"),
        (
            b"<postel@ISI.ARPA>",
            b"551 User not local; please try <postel@USC-ISIF.ARPA>\r\n",
        ),
        (b"<%s@ISI.ARPA>" % (b"x" * 64), b"553 Requested action not taken: mailbox name not"),
    ],
)
def test_refused_recipients(path: bytes, reply: bytes) -> None:
    """Who is not here, or cannot be kept, is refused at RCPT, and gets nothing (3.1, 3.2)."""
    store = Keeper()
    refused, *_ = Talk(store).say(MAIL, b"RCPT TO:%s\r\n" % path, SMITH, DATA, MESSAGE)[1:]
    assert refused.startswith(reply)
    assert [mailboxes for mailboxes, _ in store.messages] == [("smith",)]


@pytest.mark.clause("3.2-02")
def test_a_forward_is_kept_here() -> None:
    """251: this host takes the mail, and keeps it in the mailbox of that name (3.2)."""
    store = Keeper()
    replies = Talk(store).say(MAIL, b"RCPT TO:<Crispin@ISI.ARPA>\r\n", DATA, MESSAGE)
    assert replies[1] == b"251 User not local; will forward to <Admin.MRC@SU-SCORE.ARPA>\r\n"
    assert [mailboxes for mailboxes, _ in store.messages] == [("crispin",)]


@pytest.mark.clause("3.3-07", "4.1.1.VRFY-01", "4.1.1.EXPN-01")
def test_vrfy_and_expn() -> None:
    """The host answers for its users and lists (3.3)."""
    assert Talk(Keeper()).say(b"VRFY fred\r\n", b"EXPN friends\r\n") == [
        b"250 Fred Smith <smith@ISI.ARPA>\r\n",
        b"250-Fred Smith <smith@ISI.ARPA>\r\n",
        b"250-<jones@ISI.ARPA>\r\n",
        b"250 <a@far.example>\r\n",
    ]


# The time stamp.


@pytest.mark.clause("4.1.1.DATA-06")
@pytest.mark.parametrize(
    ("peer", "helo", "dialect", "name"),
    [
        ("10.0.0.27:4021", b"HELO ABC.ARPA\r\n", RFC821, b"ABC.ARPA"),
        ("10.0.0.27:4021", b"HELO [1.2.3.4]\r\n", RFC821, b"[1.2.3.4]"),
        ("10.0.0.27:4021", b"HELO me@home\r\n", RFC821_LENIENT, b"[10.0.0.27]"),
        ("10.0.0.27:4021", b"HELO ;evil\r\n", RFC821_LENIENT, b"[10.0.0.27]"),
        ("::1:4021", b"HELO me@home\r\n", RFC821_LENIENT, b"unknown"),
        ("10.0.0.27:4021", b"HELO a.b\r\nHELO me@home\r\n", RFC821_LENIENT, b"[10.0.0.27]"),
        ("10.0.0.27:4021", b"HELO a.b\r\nHELO c.d\r\n", RFC821, b"c.d"),
    ],
)
def test_who_sent_it(peer: str, helo: bytes, dialect: Dialect, name: bytes) -> None:
    """The stamp has the name of HELO where it is a domain, and else the address."""
    store = Keeper()
    Talk(store, peer=peer, helo=helo, dialect=dialect).say(MAIL, SMITH, DATA, b".\r\n")
    assert store.messages[0][1] == TRACE.replace(b"from ABC.ARPA", b"from " + name)


def test_the_strict_stamp() -> None:
    """In the form of RFC 821: two digits of the year, and UT (AMB-49)."""
    store = Keeper()
    Talk(store, strict=True).say(MAIL, SMITH, DATA, b".\r\n")
    assert store.messages[0][1].endswith(b"with SMTP ; 13 AUG 82 12:00:00 UT\r\n")


def test_the_clock_has_a_zone(tmp_path: File) -> None:
    """Without a clock of one's own the time is now, with the zone of the host."""
    handler = LocalHandler("10.0.0.27:4021", HOST, Maildir(tmp_path))
    conversation = Conversation(handler, Receiver("ISI.ARPA"))
    conversation.receive_data(b"".join((HELO, MAIL, SMITH, DATA, MESSAGE)))
    conversation.advance()
    assert codes(conversation.data_to_send())[-1] == 250
    (message,) = (tmp_path / "smith" / "new").iterdir()
    lines = message.read_bytes().splitlines()
    assert lines[0] == b"Return-Path: <JOE@ABC.ARPA>"
    assert lines[1].startswith(b"Received: from ABC.ARPA by ISI.ARPA with SMTP ; ")
    assert lines[2:] == [b"Hello", b".dot"]


# What can go wrong.

FULL: Final = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
QUOTA: Final = OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
BROKEN: Final = OSError(errno.EIO, os.strerror(errno.EIO))
LOCAL_ERROR: Final = b"451 Requested action aborted: local error in processing\r\n"
NO_STORAGE: Final = b"452 Requested action not taken: insufficient system storage\r\n"


@pytest.mark.clause("4.1.1.DATA-05", "4.2.1-10", "E-05")
@pytest.mark.parametrize("step", ["write", "commit"])
@pytest.mark.parametrize(
    ("error", "reply"), [(FULL, NO_STORAGE), (QUOTA, NO_STORAGE), (BROKEN, LOCAL_ERROR)]
)
def test_a_store_that_fails(step: str, error: OSError, reply: bytes) -> None:
    """452 where there is no room, else 451 (4.2.2); what was written is dropped."""
    store = Keeper(**{step: error})
    talk = Talk(store)
    assert talk.say(MAIL, SMITH, DATA, b"Hello\r\n", b"you\r\n.\r\n")[-1] == reply
    assert store.messages == []
    assert store.calls[-1] == "abort"
    store.fails.clear()
    assert talk.say(MAIL, JONES, DATA, MESSAGE)[-1] == b"250 OK\r\n"
    assert store.messages == [(("jones",), TRACE + TEXT)]


def test_a_failure_is_met_once() -> None:
    """Behind the first piece that cannot be written no other is tried."""
    store = Keeper(write=FULL)
    Talk(store).say(MAIL, SMITH, DATA, b"one\r\n", b"two\r\n", b"three\r\n.\r\n")
    assert store.calls == ["begin", "write", "abort"]


@pytest.mark.clause("3.1-15", "E-05")
def test_a_store_that_cannot_begin() -> None:
    """451 to DATA, which has no 452 (4.3); then the client may try again."""
    store = Keeper(begin=FULL)
    talk = Talk(store)
    assert talk.say(MAIL, SMITH, DATA)[-1] == LOCAL_ERROR
    store.fails.clear()
    assert talk.say(DATA, MESSAGE)[-1] == b"250 OK\r\n"


def test_the_failure_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever runs the server is told why; the peer is not."""
    assert b"Input/output" not in one(Keeper(commit=BROKEN))
    assert "Input/output error" in caplog.text


@pytest.mark.parametrize("step", ["begin", "write", "commit"])
def test_a_store_with_a_mistake(step: str) -> None:
    """Whatever else a store raises is 451 too, and the next message is taken."""
    store = Keeper(**{step: ValueError("a mistake")})
    talk = Talk(store)
    replies = talk.say(MAIL, SMITH, DATA, *([] if step == "begin" else [MESSAGE]))
    assert replies[-1] == LOCAL_ERROR
    store.fails.clear()
    assert talk.say(b"RSET\r\n", MAIL, SMITH, DATA, MESSAGE)[-1] == b"250 OK\r\n"
    assert [data for _, data in store.messages] == [TRACE + TEXT]
    assert ("abort" in store.calls) == (step != "begin")


def test_a_message_that_is_cut_short() -> None:
    """Without its end a message is no message (4.1.1 QUIT); the ones before are."""
    store = Keeper()
    talk = Talk(store)
    talk.say(MAIL, SMITH, DATA, MESSAGE, MAIL, SMITH, DATA, b"Hello\r\n.")
    talk.hang_up()
    assert store.messages == [(("smith",), TRACE + TEXT)]
    assert store.calls[-1] == "abort"


@pytest.mark.parametrize(
    ("dialect", "message", "code"),
    [
        (RFC821, b"caf\xc3\xa9\r\n.\r\n", 554),
        (RFC821_LENIENT, b"bare\nLF\r\n.\r\n", 554),
        (Dialect(name="small", limits=Limits(message=20)), b"x" * 21 + b"\r\n.\r\n", 552),
    ],
)
def test_a_message_that_the_protocol_refuses(dialect: Dialect, message: bytes, code: int) -> None:
    """What the dialect refuses is not kept, though a part of it was written (4.5.2, 4.5.3)."""
    store = Keeper()
    talk = Talk(store, dialect=dialect)
    assert talk.say(MAIL, SMITH, DATA, b"Hello\r\n", message)[-1][:3] == b"%d" % code
    assert (store.messages, store.calls[-1]) == ([], "abort")
    assert talk.say(MAIL, SMITH, DATA, MESSAGE)[-1] == b"250 OK\r\n"


def test_a_wrong_command_in_a_transaction_changes_nothing() -> None:
    """What is answered 500 in the middle of a transaction leaves it as it is (4.1.1)."""
    store = Keeper()
    assert Talk(store).say(MAIL, b"XYZZY\r\n", SMITH, b"MAIL\r\n", DATA, MESSAGE)[-1][:3] == b"250"
    assert [mailboxes for mailboxes, _ in store.messages] == [("smith",)]


# To terminals (3.4).

KINDS: Final = (Verb.SEND, Verb.SOML, Verb.SAML)


def test_without_a_terminal() -> None:
    """Where nobody is at a terminal SEND, SOML and SAML are not implemented: 502."""
    talk = Talk(Keeper())
    assert talk.handler.offers() == MINIMUM | {Verb.HELP, Verb.VRFY, Verb.EXPN}
    lines = [b"%s FROM:<JOE@ABC.ARPA>\r\n" % kind.encode() for kind in KINDS]
    assert talk.say(*lines) == [b"502 Command not implemented\r\n"] * 3


@pytest.mark.parametrize("command", [Send("<>"), Soml("<>"), Saml("<>")])
def test_without_a_terminal_whatever_the_dialect(command: Any) -> None:
    """The handler itself refuses too, where the dialect would let them pass: no mail is lost."""
    handler = LocalHandler("peer", HOST, Keeper())
    assert getattr(handler, command.verb.value.lower())(command) == Reply(502)


@pytest.mark.clause("3.4-02", "3.4-04", "3.4-05", "4.1.1.SEND-01", "4.1.1.SOML-01", "4.1.1.SAML-01")
@pytest.mark.parametrize(
    ("kind", "in_mailbox", "at_terminal"),
    [
        (Verb.MAIL, True, False),
        (Verb.SEND, False, True),
        (Verb.SOML, False, True),
        (Verb.SAML, True, True),
    ],
)
def test_where_it_goes(kind: Verb, in_mailbox: bool, at_terminal: bool) -> None:
    """SEND to the terminal, SOML to it where there is one, SAML to it and the mailbox (3.4)."""
    store, terminal = Keeper(), Keeper()
    opening = b"%s FROM:<JOE@ABC.ARPA>\r\n" % kind.encode()
    assert one(store, terminal, opening=opening) == b"250 OK\r\n"
    message = (("smith",), TRACE + TEXT)
    assert store.messages == [message] * in_mailbox
    assert terminal.messages == [message] * at_terminal


def test_with_a_terminal_all_is_offered() -> None:
    """All but TURN."""
    handler = LocalHandler("peer", HOST, Keeper(), terminal=Keeper())
    assert set(Verb) - handler.offers() == {Verb.CONNECT, Verb.END_OF_DATA, Verb.TURN}


SAML: Final = b"SAML FROM:<JOE@ABC.ARPA>\r\n"


@pytest.mark.clause("3.4-05")
@pytest.mark.parametrize("error", [BROKEN, ValueError("closed file")])
def test_saml_and_a_terminal_that_is_gone(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """Success of SAML means the mailbox (3.4): 250 once, or the client would send it again."""
    store, terminal = Keeper(), Keeper(commit=error)
    assert one(store, terminal, opening=SAML) == b"250 OK\r\n"
    assert len(store.messages) == 1
    assert terminal.calls[-2:] == ["commit", "abort"]
    assert f"a message could not be shown: {error}" in caplog.text


@pytest.mark.clause("3.4-05")
def test_saml_and_a_mailbox_that_fails() -> None:
    """What is not in the mailbox is not shown: it will come again."""
    store, terminal = Keeper(commit=BROKEN), Keeper()
    assert one(store, terminal, opening=SAML) == LOCAL_ERROR
    assert terminal.messages == []
    assert terminal.calls[-1] == "abort"


@pytest.mark.clause("3.4-02")
def test_send_and_a_terminal_that_is_gone() -> None:
    """Success of SEND means the terminal (3.4)."""
    store, terminal = Keeper(), Keeper(commit=BROKEN)
    assert one(store, terminal, opening=b"SEND FROM:<JOE@ABC.ARPA>\r\n") == LOCAL_ERROR
    assert (store.messages, terminal.messages) == ([], [])


def test_a_terminal_that_cannot_begin() -> None:
    """What the mailbox has begun is dropped with the rest."""
    store, terminal = Keeper(), Keeper(begin=BROKEN)
    assert Talk(store, terminal).say(SAML, SMITH, DATA)[-1] == LOCAL_ERROR
    assert store.calls == ["begin", "abort"]


# With the stores there are.


def test_a_maildir_and_a_terminal(tmp_path: File) -> None:
    """A message by SAML, in the mailbox and at the terminal."""
    screen = io.StringIO()
    assert one(Maildir(tmp_path), Terminal(screen), opening=SAML) == b"250 OK\r\n"
    (message,) = (tmp_path / "smith" / "new").iterdir()
    text = (TRACE + TEXT).replace(b"\r\n", b"\n")
    assert message.read_bytes() == text
    assert screen.getvalue() == f"Message for smith\n{text.decode()}\n"


def test_a_maildir_without_room(tmp_path: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full is 452, and leaves nothing; the next message finds room."""

    def full(file: int) -> None:
        raise FULL

    store = Maildir(tmp_path)
    talk = Talk(store)
    talk.say(MAIL, SMITH, JONES)
    store.begin(["smith", "jones"], b"").abort()  # the folders are there
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert talk.say(DATA, MESSAGE)[-1] == NO_STORAGE
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert talk.say(MAIL, SMITH, JONES, DATA, MESSAGE)[-1] == b"250 OK\r\n"
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 2
