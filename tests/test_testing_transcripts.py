"""Transcripts in the form of Appendix F: written and read, replayed in either role, compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp821 import (
    Connected,
    EndOfData,
    Handler,
    LocalProtocolError,
    MailData,
    Noop,
    Quit,
    Rcpt,
    Receiver,
    Rejected,
    RemoteProtocolError,
    Reply,
    SessionLost,
    SessionRefused,
    Status,
)
from smtp821.client import AsyncClient
from smtp821.testing.pair import Cut, Host, Pair, bytewise, whole
from smtp821.testing.strategies import mail_data
from smtp821.testing.transcripts import (
    Dialogue,
    Line,
    Role,
    Speaker,
    TranscriptError,
    check,
    differences,
    parse,
    replay,
    replay_client,
)
from smtp821.transcript import Transcript

from .test_scenarios import DATA, MISNAMED, ONE_RECIPIENT, SCENARIOS
from .test_scenarios import Dialogue as OnPaper

SENDER, RECEIVER = Role.SENDER, Role.RECEIVER
every_cut = pytest.mark.parametrize("cut", [whole, bytewise, lambda _: 7])

SESSION: Final = """\
R: 220 BETA.ARPA ready
S: HELO ALPHA.ARPA
R: 250 BETA.ARPA
S: MAIL FROM:<Smith@ALPHA.ARPA>
R: 250 OK
S: RCPT TO:<Jones@BETA.ARPA>
R: 250 OK
S: DATA
R: 354 go
S: Hello
S: ..dot
S: .
R: 250-kept
R: 250 OK
S: QUIT
R: 221 BETA.ARPA bye
"""
SMITH, JONES = "<Smith@ALPHA.ARPA>", "<Jones@BETA.ARPA>"


class Desk(Handler):
    """Takes mail, and answers as in SESSION, or with another reply at its end."""

    def __init__(self, kept: Reply | None = None) -> None:
        super().__init__("test")
        self.kept = kept or Reply(250, ("kept", "OK"))

    def connected(self, event: Connected) -> Reply:
        """Greet."""
        return Reply(220, "ready")

    def rcpt(self, command: Rcpt) -> None:
        """Everybody is known."""

    def data(self, command: object) -> Reply:
        """Go on."""
        return Reply(354, "go")

    def end_of_data(self, event: EndOfData) -> Reply:
        """It is kept, or not."""
        return self.kept

    def quit(self, command: Quit) -> Reply:
        """Take leave."""
        return Reply(221, "bye")


def desk(kept: Reply | None = None) -> Host:
    """The end that has it."""
    return Host(Desk(kept), domain="BETA.ARPA")


# --- Reading ----------------------------------------------------------------------------------


def test_a_transcript_is_read() -> None:
    """Appendix F: a row for each line, with who said it; and it prints as it was."""
    dialogue = parse(SESSION)
    assert dialogue.lines[:3] == (
        Line(RECEIVER, b"220 BETA.ARPA ready"),
        Line(SENDER, b"HELO ALPHA.ARPA"),
        Line(RECEIVER, b"250 BETA.ARPA"),
    )
    assert str(dialogue) == SESSION
    assert parse(SESSION.splitlines()) == dialogue
    assert dialogue.said(RECEIVER).startswith(b"220 BETA.ARPA ready\r\n250 BETA.ARPA\r\n250 OK")
    assert dialogue.blocks()[8:12] == [
        (RECEIVER, b"354 go\r\n"),
        (SENDER, b"Hello\r\n..dot\r\n.\r\n"),
        (RECEIVER, b"250-kept\r\n250 OK\r\n"),
        (SENDER, b"QUIT\r\n"),
    ]


def test_what_a_run_has_shown_is_read() -> None:
    """The rows of a transcript, as a list of them or as a text, are what both sides said."""
    rows: list[str] = []
    pair = Pair(desk(), transcript=Transcript(rows.append))
    pair.command(Noop())
    assert parse(rows) == Dialogue.of(
        [(RECEIVER, b"220 BETA.ARPA ready\r\n"), (SENDER, b"NOOP\r\n"), (RECEIVER, b"250 OK\r\n")]
    )


def test_indentation_and_empty_rows_mean_nothing() -> None:
    """A transcript may stand in the text of a program; blanks at the end of a row do count."""
    dialogue = parse("\n  S: NOOP \n\n\tR: 250 OK\n    \n  S:\n  S: \n  S:  x\n")
    assert [(line.role, line.data) for line in dialogue.lines] == [
        (SENDER, b"NOOP "),
        (RECEIVER, b"250 OK"),
        (SENDER, b""),
        (SENDER, b""),
        (SENDER, b" x"),
    ]
    assert parse("") == parse([]) == Dialogue(())
    assert str(Dialogue(())) == ""


@pytest.mark.parametrize(
    ("row", "data", "goes_on"),
    [
        (r"S: a\\b", rb"a\b", False),
        (r"S: \t\r\n\x00\x1b\xfF", b"\t\r\n\0\x1b\xff", False),
        (r"S: \x5cn", rb"\n", False),
        (r"S: ends in \\", b"ends in \\", False),
        ("S: goes on\\", b"goes on", True),
        ("S: goes on \\\\\\", b"goes on \\", True),
        ("S: \\", b"", True),
    ],
)
def test_escapes(row: str, data: bytes, goes_on: bool) -> None:
    """What is not printable ASCII is escaped; a backslash at the end says that more follows."""
    assert parse(row).lines == (Line(SENDER, data, goes_on),)


def test_the_parts_of_a_line() -> None:
    """They are put together again, whatever the other side says between them."""
    dialogue = parse("S: NO\\\nR: 421 closing\nS: OP\nR: 2\\\nS: Q\\")
    assert dialogue.said(SENDER) == b"NOOP\r\nQ"
    assert dialogue.said(RECEIVER) == b"421 closing\r\n2"


ESCAPES: Final = "\\\\, \\t, \\n, \\r or \\xHH, or the end of the row behind a backslash"


@pytest.mark.parametrize(
    ("text", "line", "column", "expected", "found"),
    [
        ("C: NOOP", 1, 1, '"S: " or "R: "', "'C: '"),
        ("S: NOOP\n\n  250 OK", 3, 3, '"S: " or "R: "', "'250'"),
        ("S:NOOP", 1, 1, '"S: " or "R: "', "'S:N'"),
        ("s: NOOP", 1, 1, '"S: " or "R: "', "'s: '"),
        ("S: NOOP\nR", 2, 1, '"S: " or "R: "', "'R'"),
        ("S: a\\qb", 1, 5, ESCAPES, "'\\\\qb'"),
        ("S: a\\x1", 1, 5, ESCAPES, "'\\\\x1'"),
        ("S: a\\x1g2", 1, 5, ESCAPES, "'\\\\x1g'"),
        ("R: 250 caf\xe9", 1, 11, "printable ASCII, or an escape", "'\\xe9'"),
        ("R: 250\tOK", 1, 7, "printable ASCII, or an escape", "'\\t'"),
        ("R: 250 OK\r\n", 1, 10, "printable ASCII, or an escape", "'\\r'"),
        ("S: \u2028", 1, 4, "printable ASCII, or an escape", "'\\u2028'"),
    ],
)
def test_what_is_no_transcript(
    text: str, line: int, column: int, expected: str, found: str
) -> None:
    """The error says where, and what could stand there."""
    with pytest.raises(TranscriptError) as raised:
        parse(text)
    error = raised.value
    assert (error.line, error.column, error.expected) == (line, column, expected)
    assert str(error) == f"line {line}, column {column}: expected {expected}, found {found}"


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing but a TranscriptError is raised; what is read prints as something that is read."""
    try:
        dialogue = parse(text)
    except TranscriptError:
        return
    assert parse(str(dialogue)) == dialogue


octets = st.one_of(
    st.binary(max_size=30),
    mail_data(),
    st.sampled_from([b"\r\n", b"\r", b"\n", b"\\", b"\\\r\n", b"250-a\r\n250 b\r\n"]),
    st.integers(990, 2010).map(lambda size: b"x" * size),
)
turns = st.lists(st.tuples(st.sampled_from(Role), octets), max_size=8)


@given(turns)
def test_any_octets_come_back(said: list[tuple[Role, bytes]]) -> None:
    """Printed, read and printed again, a dialogue is the same; each side said what it said."""
    dialogue = Dialogue.of(said)
    text = str(dialogue)
    assert text.replace("\n", "").isprintable()
    assert text.isascii()
    assert parse(text) == dialogue
    assert str(parse(text)) == text
    for role in Role:
        assert dialogue.said(role) == b"".join(data for who, data in said if who is role)
    assert Dialogue.of(dialogue.blocks()).said(SENDER) == dialogue.said(SENDER)


@given(st.lists(st.builds(Line, st.sampled_from(Role), octets, st.booleans()), max_size=8))
def test_any_lines_come_back(lines: list[Line]) -> None:
    """Whatever lines a program makes, they are read as what they are."""
    dialogue = Dialogue(tuple(lines))
    assert parse(str(dialogue)) == dialogue


# --- Replaying to a receiver ------------------------------------------------------------------


@every_cut
def test_a_handler_answers_as_it_did(cut: Cut) -> None:
    """What comes of it is the same dialogue, however its bytes arrive."""
    assert str(replay(parse(SESSION), desk(), cut=cut)) == SESSION


def test_a_handler_answers_otherwise() -> None:
    """Each row that is not as it was is shown, among those that are."""
    actual = replay(parse(SESSION), desk(Reply(452, "full")))
    shown = differences(parse(SESSION), actual)
    assert shown[:2] == ["  R: 220 BETA.ARPA ready", "  S: HELO ALPHA.ARPA"]
    assert shown[-7:] == [
        "  S: ..dot",
        "  S: .",
        "- R: 250-kept",
        "- R: 250 OK",
        "+ R: 452 full",
        "  S: QUIT",
        "  R: 221 BETA.ARPA bye",
    ]
    with pytest.raises(AssertionError) as raised:
        check(parse(SESSION), actual)
    assert str(raised.value) == "\n".join(["the dialogues differ:", *shown])


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ("R: 220 BETA.ARPA ready\n", [b"220 BETA.ARPA ready\r\n"]),
        ("R: 220-a\nR: 220 b\nS: x\nR: 500 c\n", [b"220-a\r\n220 b\r\n500 c\r\n", b""]),
        ("S: x\nR: 220 a\nR: 500 c\n", [b"220 a\r\n500 c\r\n", b""]),
        ("S: x\nS: y\nR: 250 a\nR: 250 b\n", [b"250 a\r\n250 b\r\n", b""]),
        ("R: 2\\\n", [b"2"]),
        ("S: x\n", [b"", b""]),
        ("", [b""]),
    ],
)
def test_a_function_is_a_peer(text: str, answers: list[bytes]) -> None:
    """Bytes in, bytes out, and at last the end of file; a greeting stands where it is to stand."""
    given_answers = iter(answers)
    heard: list[bytes] = []

    def peer(data: bytes) -> bytes:
        heard.append(data)
        return next(given_answers)

    assert str(replay(parse(text), peer)) == text
    assert b"".join(heard) == parse(text).said(SENDER)
    assert heard[-1] == b""
    assert next(given_answers, None) is None


def test_what_a_peer_says_in_the_end_is_seen() -> None:
    """What it says to the end of file stands behind all the rest; so does what has no end."""
    answers = iter([b"250 OK\r\n", b"421 gone\r\n4"])
    actual = replay(parse("S: x\nR: 250 OK\n"), lambda _: next(answers))
    assert str(actual) == "S: x\nR: 250 OK\nR: 421 gone\nR: 4\\\n"


# --- Replaying to a sender --------------------------------------------------------------------


@every_cut
def test_a_sender_speaks_as_it_did(cut: Cut) -> None:
    """A Sender says the commands of the dialogue, and its mail data with dots doubled."""
    assert str(replay(parse(SESSION), Speaker(parse(SESSION)), SENDER, cut=cut)) == SESSION


def test_a_sender_speaks_in_its_own_way() -> None:
    """A command is read, and said as a Sender says it."""
    typed = parse("R: 220 x\nS: noop  \nR: 250 OK\n")
    actual = replay(typed, Speaker(typed), SENDER)
    assert differences(typed, actual) == [
        "  R: 220 x",
        "- S: noop  ",
        "+ S: NOOP",
        "  R: 250 OK",
    ]


def test_a_sender_that_has_nothing_more_to_say() -> None:
    """It waits; and a dialogue may end in the middle of anything."""
    dialogue = parse("R: 220 x\nS: NOOP\nR: 250 OK\n")
    speaker = Speaker(dialogue)
    assert speaker(b"220 x\r\n") == b"NOOP\r\n"
    assert speaker(b"250 OK\r\n") == b""
    assert speaker(b"") == b""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("XYZZY \\x1b", r"XYZZY \\x1b is no command that a Sender can say"),
        ("HELO", "HELO is no command"),
        ("NOOP\\", "NOOP is no command"),
        ("DATA", "DATA is not legal in state INITIAL"),
    ],
)
def test_what_no_sender_can_say(line: str, message: str) -> None:
    """It is an error of the dialogue, or of its order."""
    dialogue = parse(f"R: 220 x\nS: {line}")
    with pytest.raises(LocalProtocolError, match=message):
        replay(dialogue, Speaker(dialogue), SENDER)


def test_mail_data_without_an_end() -> None:
    """What stands behind 354 is mail data, up to its end."""
    dialogue = parse(SESSION.partition("S: .\n")[0])
    with pytest.raises(LocalProtocolError, match="has no end"):
        replay(dialogue, Speaker(dialogue), SENDER)


def test_a_receiver_that_is_out_of_step() -> None:
    """A reply that nothing awaits ends the replay, as it ends the session."""
    dialogue = parse("R: 220 x\nR: 250 y\nS: NOOP\n")
    with pytest.raises(RemoteProtocolError):
        replay(dialogue, Speaker(dialogue), SENDER)


# --- Replaying to a client --------------------------------------------------------------------


async def send(client: AsyncClient) -> None:
    """What has been said in SESSION."""
    async with client:
        delivery = await client.send(SMITH, [JONES], b"Hello\r\n.dot\r\n")
    assert delivery.status is Status.ACCEPTED


@every_cut
def test_a_client_speaks_as_it_did(cut: Cut) -> None:
    """What a program does with a client is what it did, octet by octet."""
    actual = replay_client(parse(SESSION), send, helo="ALPHA.ARPA", cut=cut)
    assert str(actual) == SESSION


def test_a_client_speaks_otherwise() -> None:
    """What it says is shown beside what it was to say."""
    actual = replay_client(parse(SESSION), send, helo="GAMMA.ARPA")
    changed = [row for row in differences(parse(SESSION), actual) if not row.startswith("  ")]
    assert changed == ["- S: HELO ALPHA.ARPA", "+ S: HELO GAMMA.ARPA"]


def test_a_client_that_finds_its_own_name() -> None:
    """What takes its time, it waits for."""

    async def script(client: AsyncClient) -> None:
        name = await client._in_thread(lambda *parts: ".".join(parts), "ALPHA", "ARPA")
        assert name == "ALPHA.ARPA"
        await send(client)

    check(parse(SESSION), replay_client(parse(SESSION), script, helo="ALPHA.ARPA"))


def test_a_client_hears_the_end() -> None:
    """Behind the last turn the connection is at its end."""

    async def script(client: AsyncClient) -> None:
        async with client:
            with pytest.raises(SessionLost):
                await client.command(Noop())

    dialogue = parse("R: 220 x\nS: HELO a.b\nR: 250 x\nS: NOOP\n")
    check(dialogue, replay_client(dialogue, script, helo="a.b"))


def test_what_the_script_raises_comes_through() -> None:
    """A session that is refused is the script's to expect."""
    dialogue = parse("R: 421 x closing\n")
    with pytest.raises(SessionRefused):
        replay_client(dialogue, send, helo="a.b")


def test_a_client_that_turns() -> None:
    """3.8: behind TURN the client is the receiver, on the same wire."""

    async def script(client: AsyncClient) -> None:
        async with client:
            assert (await client.turn(Desk(), "ALPHA.ARPA")).code == 250

    dialogue = parse("R: 220 x\nS: HELO a.b\nR: 250 x\nS: TURN\nR: 250 OK\n")
    actual = replay_client(dialogue, script, helo="a.b")
    assert differences(dialogue, actual)[-1] == "+ S: 220 ALPHA.ARPA ready"


# --- Comparing --------------------------------------------------------------------------------


def test_the_same_has_no_differences() -> None:
    """Nor is it one how long lines are parted, or what is said around a part."""
    assert differences(parse(SESSION), parse(SESSION)) == []
    check(parse("S: " + "x" * 1500), parse(f"S: {'x' * 700}\\\nS: {'x' * 800}"))
    check(parse("S: NO\\\nS: OP\n"), parse("S: NOOP\n"))
    check(parse(""), parse(""))


def test_an_end_that_is_missing_is_a_difference() -> None:
    """A line that was never ended is not the line."""
    assert differences(parse("S: NOOP"), parse("S: NOOP\\")) == ["- S: NOOP", "+ S: NOOP\\"]


def test_only_codes_count() -> None:
    """Other words and other lines of the same reply are the same, if one wants; all are shown."""
    ours = parse("R: 220 a\nS: x\nR: 250-b\nR: 250 c\nS: y\nR: 250 d\n")
    theirs = parse("R: 220-A\nR: 220-B\nR: 220 C\nS: x\nR: 250 b\nS: y\nR: 251-D\nR: 251 e\n")
    assert len(differences(ours, theirs)) > 0
    assert differences(ours, theirs, codes_only=True) == [
        "  R: 220-A",
        "  R: 220-B",
        "  R: 220 C",
        "  S: x",
        "  R: 250 b",
        "  S: y",
        "- R: 250 d",
        "+ R: 251-D",
        "+ R: 251 e",
    ]
    check(parse("R: 250-a\nR: 250 b\n"), parse("R: 250\n"), codes_only=True)
    check(parse("S: 250-a\nS: 250 b\n"), parse("S: 250-a\nS: 250 b\n"), codes_only=True)


def test_a_reply_that_is_cut_off_is_a_difference() -> None:
    """Its last line is missing."""
    shown = differences(parse("R: 250 a\n"), parse("R: 250 a\nR: 250-b\n"), codes_only=True)
    assert shown == ["  R: 250 a", "+ R: 250-b"]


@given(turns, turns)
def test_the_rows_of_both_are_all_there(
    ours: list[tuple[Role, bytes]], theirs: list[tuple[Role, bytes]]
) -> None:
    """Without the rows that are only in one of them, the differences are the other."""
    expected, actual = Dialogue.of(ours), Dialogue.of(theirs)
    shown = differences(expected, actual)
    if not shown:
        assert Dialogue.of(expected.blocks()) == Dialogue.of(actual.blocks())
        return
    sides = {"-": expected, "+": actual}
    for mark, side in sides.items():
        rows = [row[2:] for row in shown if row[0] in (" ", mark)]
        assert parse(rows) == Dialogue.of(side.blocks())


# --- Appendix F -------------------------------------------------------------------------------


def on_paper(session: dict[str, Any]) -> Dialogue:
    """A session of the scenarios as a transcript: its dots doubled (4.5.2)."""
    return Dialogue.of(
        (
            SENDER if line["who"] == "C" else RECEIVER,
            (b"." if line["kind"] == "data" and line["line"].startswith(".") else b"")
            + line["line"].encode()
            + b"\r\n",
        )
        for line in session["lines"]
    )


SESSIONS: Final = [session for entry in DATA["scenarios"] for session in entry["sessions"]]
every_session = pytest.mark.parametrize(
    ("session", "paper"),
    [pytest.param(*pair, id=pair[1].name) for pair in zip(SESSIONS, SCENARIOS, strict=True)],
)


class Clerk(Handler):
    """Answers as on paper; what the protocol refuses is answered already."""

    def __init__(self, replies: Iterator[Reply]) -> None:
        super().__init__("test")
        self._replies = replies

    def _answer(self, _event: object) -> Reply:
        return next(self._replies)

    _any: Callable[..., Any] = _answer
    connected = helo = mail = rcpt = data = rset = send = soml = saml = vrfy = expn = _any
    quit = end_of_data = _any

    def mail_data(self, event: MailData) -> None:
        """It is read."""

    def rejected(self, event: Rejected) -> None:
        """Go over the reply."""
        assert event.reply == next(self._replies)


@every_session
def test_appendix_f_is_a_transcript(session: dict[str, Any], paper: OnPaper) -> None:
    """Each scenario is read, printed and read, and is on the wire what it is on paper."""
    dialogue = on_paper(session)
    assert parse(str(dialogue)) == dialogue
    assert dialogue.said(SENDER).decode() == session["wire_client_bytes"]
    assert dialogue.said(RECEIVER).decode() == session["server_bytes"]
    assert dialogue.said(RECEIVER) == paper.server


@every_cut
@every_session
def test_appendix_f_to_a_receiver(session: dict[str, Any], paper: OnPaper, cut: Cut) -> None:
    """Each scenario, replayed to a Receiver and its handler, comes out as on paper.

    But where one host says 221 in the name of another, ours puts its own first.
    """
    replies = iter([exchange.reply for exchange in paper.exchanges])
    host = Host(Clerk(replies), domain=paper.domain, dialect=paper.dialect)
    shown = differences(on_paper(session), replay(on_paper(session), host, cut=cut))
    assert host.failures == []
    assert [row for row in shown if not row.startswith("  ")] == (
        [
            "- R: 221 USC-ISIE.ARPA Service closing transmission channel",
            "+ R: 221 BBN-VAX.ARPA USC-ISIE.ARPA Service closing transmission channel",
        ]
        if paper is MISNAMED
        else []
    )


@every_cut
@every_session
def test_appendix_f_to_a_sender(session: dict[str, Any], paper: OnPaper, cut: Cut) -> None:
    """Each scenario, replayed to a Sender, comes out as on paper."""
    dialogue = on_paper(session)
    check(dialogue, replay(dialogue, Speaker(dialogue), SENDER, cut=cut))


@every_session
def test_appendix_f_to_a_function(session: dict[str, Any], paper: OnPaper) -> None:
    """The same where a function answers: each reply on paper that is still to be given."""
    replies = iter(
        [
            exchange.reply
            for exchange in paper.exchanges
            if not (paper.dialect is ONE_RECIPIENT and exchange.reply.code == 552)
        ]
    )

    def answer(receiver: Receiver) -> None:
        receiver.reply(next(replies))

    host = Host(answer, domain=paper.domain, dialect=paper.dialect)
    check(on_paper(session), replay(on_paper(session), host), codes_only=paper is MISNAMED)
