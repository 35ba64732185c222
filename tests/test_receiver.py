"""The receiver-SMTP: what it makes of every input, and what it may answer."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable
from typing import Final

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp821 import (
    COMMANDS,
    HTTP_WORDS,
    NEED_DATA,
    NEED_REPLY,
    ORDER,
    RFC821,
    RFC821_LENIENT,
    SEQUENCING,
    Closed,
    Connected,
    Data,
    Dialect,
    EndOfData,
    Envelope,
    Event,
    Limits,
    LocalProtocolError,
    Mail,
    MailData,
    Noop,
    Outcome,
    Path,
    Pause,
    Policy,
    Quit,
    Rcpt,
    Receiver,
    Rejected,
    RemoteProtocolError,
    Reply,
    Rset,
    State,
    Turned,
    Verb,
)
from smtp821.testing.pair import joined

from .walks import EXAMPLES, HOST, LINES, WHOLE, answer, ask, cut, receiver_at, step

SMITH: Final = Path("<Smith@Alpha.ARPA>")
JONES: Final = Path("<Jones@Beta.ARPA>")
ENVELOPE: Final = Envelope(Verb.MAIL, SMITH, (JONES,))
WORDS: Final = [cls.verb for cls in COMMANDS]
NO_ARGUMENT: Final = (Verb.DATA, Verb.RSET, Verb.NOOP, Verb.QUIT, Verb.TURN)

# The states in which commands are read, and those in which a session is alive.
COMMAND_STATES: Final = (State.REFUSED, State.INITIAL, State.READY, State.MAIL, State.RCPT)
LIVE_STATES: Final = (State.OPENING, *COMMAND_STATES, State.DATA)

# A state in which each verb can be asked.
ASKED_IN: Final = {
    **dict.fromkeys(Verb, State.READY),
    Verb.CONNECT: State.OPENING,
    Verb.HELO: State.INITIAL,
    Verb.RCPT: State.MAIL,
    Verb.DATA: State.RCPT,
    Verb.END_OF_DATA: State.DATA,
}

UNRECOGNIZED: Final = b"500 Syntax error, command unrecognized\r\n"
TOO_LONG: Final = b"500 Line too long\r\n"
SYNTAX: Final = b"501 Syntax error in parameters or arguments\r\n"
OFF: Final = b"502 Command not implemented\r\n"
SEQUENCE: Final = b"503 Bad sequence of commands\r\n"
NOT_AVAILABLE: Final = b"421 BBN-UNIX.ARPA Service not available, closing transmission channel\r\n"


def asked(verb: Verb, dialect: Dialect = WHOLE) -> Receiver:
    """A receiver that owes the reply to a verb."""
    receiver = receiver_at(ASKED_IN[verb], dialect)
    if verb is not Verb.CONNECT:
        receiver.receive_data(LINES[verb])
    receiver.next_event()
    assert receiver.reply_owed is verb
    return receiver


def accept(receiver: Receiver) -> None:
    """Give the ordinary reply to anything."""
    if receiver.reply_owed in (Verb.VRFY, Verb.EXPN):
        receiver.accept("<Smith@BBN-UNIX.ARPA>")
    else:
        receiver.accept()


def pull(receiver: Receiver, reply: Callable[[Receiver], None] = accept) -> list[Event]:
    """The events up to the point where more bytes are needed, each answered."""
    events: list[Event] = []
    while (event := receiver.next_event()) is not NEED_DATA:
        if event is NEED_REPLY:
            reply(receiver)
            continue
        assert not isinstance(event, Pause)
        events.append(event)
        if isinstance(event, (Closed, Turned)):
            break
    return events


def converse(
    receiver: Receiver, pieces: Iterable[bytes], reply: Callable[[Receiver], None] = accept
) -> tuple[list[Event], bytes]:
    """What comes of the pieces, fed one after the other: events, mail data joined, and output."""
    events = pull(receiver, reply)
    for piece in pieces:
        if receiver.state not in (State.TURNED, State.CLOSED):
            receiver.receive_data(piece)
            events += pull(receiver, reply)
    return joined(events), receiver.data_to_send()


def bytewise(data: bytes) -> list[bytes]:
    """The data, an octet at a time."""
    return list(cut(data, *[1] * len(data)))


# --- The opening ------------------------------------------------------------------------------

NOTHING_OWED: Final = r"^no reply is owed; every command gets exactly one \(4\.2\)$"


@pytest.mark.clause("2-01", "4.3-02")
def test_the_greeting_is_owed_first() -> None:
    """4.3: the receiver greets when the connection is made, and says nothing before."""
    receiver = Receiver(HOST)
    assert receiver.next_event() == Connected()
    assert receiver.reply_owed is Verb.CONNECT
    assert receiver.next_event() is NEED_REPLY
    assert receiver.data_to_send() == b""
    receiver.accept()
    assert receiver.data_to_send() == b"220 BBN-UNIX.ARPA Simple Mail Transfer Service Ready\r\n"
    assert receiver.state is State.INITIAL
    assert receiver.next_event() is NEED_DATA


@pytest.mark.clause("4.3-05")
@pytest.mark.parametrize("domain", ["", "two words", "-x", "a\r\nb", "1.2.3.4"])
def test_a_receiver_has_a_name(domain: str) -> None:
    """4.2.1: its name is the first word of its greeting, so it has to be one."""
    with pytest.raises(LocalProtocolError, match="is not a Domain"):
        Receiver(domain)


def test_what_comes_before_the_greeting_waits_for_it() -> None:
    """AMB-47: by default early bytes are input like any other, judged after the greeting."""
    receiver = Receiver(HOST)
    assert ask(receiver, b"HELO a.b\r\n") == Connected()
    assert receiver.next_event() is NEED_REPLY
    receiver.accept()
    assert str(receiver.next_event()) == "HELO a.b"


@pytest.mark.clause("4.3-04")
def test_a_greeting_may_refuse_with_421() -> None:
    """4.3: 421 instead of a greeting closes at once."""
    receiver = Receiver(HOST)
    receiver.next_event()
    receiver.reply(421)
    assert receiver.data_to_send() == NOT_AVAILABLE
    assert receiver.next_event() == Closed()


@pytest.mark.clause("AMB-29")
@pytest.mark.parametrize("verb", [verb for verb in WORDS if verb is not Verb.QUIT])
def test_after_another_refusal_only_quit_is_legal(verb: Verb) -> None:
    """AMB-29: a dialect whose greeting may be 554 then answers all but QUIT with 503."""
    receiver = receiver_at(State.REFUSED)
    event = ask(receiver, LINES[verb])
    assert event == Rejected(Reply(503), verb, LINES[verb][:-2])
    assert receiver.data_to_send() == SEQUENCE
    assert ask(receiver, b"QUIT\r\n") == Quit()
    receiver.accept()
    assert receiver.next_event() == Closed()


# --- Exactly one reply, of a legal code -------------------------------------------------------


def written(verb: Verb, code: int) -> bytes:
    """How the replies of these tests look: named where the RFC names them (4.2.1, 3.5)."""
    if code in (251, 551):
        verdict = "will forward to" if code == 251 else "please try"
        return b"%d User not local; %s <Jones@USC-ISI.ARPA>\r\n" % (code, verdict.encode())
    named = code in (220, 221, 421) or (verb is Verb.HELO and code == 250)
    return b"%d %stext\r\n" % (code, b"BBN-UNIX.ARPA " if named else b"")


@pytest.mark.clause("3.3-09", "3.3-10", "4.2.1-06", "4.2.1-09", "4.2.1-10")
@pytest.mark.parametrize(
    ("verb", "code"), [(verb, code) for verb in Verb for code in sorted(WHOLE.codes[verb])]
)
def test_every_legal_reply_is_written_exactly(verb: Verb, code: int) -> None:
    """4.3: each code of the row, and then nothing more is owed."""
    receiver = asked(verb)
    receiver.reply(answer(code))
    assert receiver.data_to_send() == written(verb, code)
    assert receiver.reply_owed is None
    with pytest.raises(LocalProtocolError, match=NOTHING_OWED):
        receiver.reply(code, "again")
    assert receiver.data_to_send() == b""


@pytest.mark.clause("4.2.2-01", "4.3-06", "E-08", "E-09", "AMB-21", "AMB-30")
@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("bare", [False, True], ids=["with text", "without text"])
def test_every_other_code_is_refused(verb: Verb, bare: bool) -> None:
    """4.3: the error names the codes that are legal; nothing is written, the reply stays owed."""
    receiver = asked(verb)
    state, envelope = receiver.state, receiver.envelope
    legal = ", ".join(str(code) for code in sorted(WHOLE.codes[verb]))
    message = f"is no reply to {verb}; {legal} are (4.3)"
    for code in {*range(200, 600), 0, 99, 199, 600, -250} - WHOLE.codes[verb]:
        with pytest.raises(LocalProtocolError, match=re.escape(f"{code} {message}")):
            receiver.reply(code, *(() if bare else ("text",)))
    assert receiver.data_to_send() == b""
    assert receiver.reply_owed is verb
    assert (receiver.state, receiver.envelope) == (state, envelope)


@pytest.mark.clause("3.2-02", "3.2-03")
@pytest.mark.parametrize("verb", [Verb.RCPT, Verb.VRFY])
@pytest.mark.parametrize("code", [251, 551])
def test_a_forwarding_reply_carries_a_path(verb: Verb, code: int) -> None:
    """3.2: 251 and 551 without a path are refused, with a text or without one."""
    receiver = asked(verb)
    with pytest.raises(LocalProtocolError, match=r"Reply\.forward"):
        receiver.reply(code)
    with pytest.raises(LocalProtocolError, match=r"Reply\.forward"):
        receiver.reply(code, "User not local")
    assert receiver.reply_owed is verb
    receiver.reply(code, "try <Smith@USC-ISIF.ARPA>")
    assert receiver.data_to_send() == b"%d try <Smith@USC-ISIF.ARPA>\r\n" % code


@pytest.mark.clause("2-01")
def test_nothing_is_owed_without_a_command() -> None:
    """4.2: a reply, or an accept(), without a command is an error, in any state."""
    for state in State:
        receiver = receiver_at(state)
        with pytest.raises(LocalProtocolError, match=NOTHING_OWED):
            receiver.reply(250)
        with pytest.raises(LocalProtocolError, match=NOTHING_OWED):
            receiver.accept()
        assert receiver.data_to_send() == b""
        assert receiver.state is state


ORDINARY_REPLIES: Final = {
    **dict.fromkeys(Verb, b"250 OK\r\n"),
    Verb.CONNECT: b"220 BBN-UNIX.ARPA Simple Mail Transfer Service Ready\r\n",
    Verb.HELO: b"250 BBN-UNIX.ARPA\r\n",
    Verb.DATA: b"354 Start mail input; end with <CRLF>.<CRLF>\r\n",
    Verb.HELP: b"214 Commands: HELO MAIL RCPT DATA RSET SEND SOML SAML VRFY EXPN HELP NOOP QUIT"
    b" TURN\r\n",
    Verb.QUIT: b"221 BBN-UNIX.ARPA Service closing transmission channel\r\n",
}


@pytest.mark.clause(
    "3.1-03", "3.1-06", "4.1.1.HELO-02", "4.1.1.RSET-02", "4.1.1.NOOP-01", "4.2.1-06", "4.2.1-11"
)
@pytest.mark.parametrize("verb", [verb for verb in Verb if verb not in (Verb.VRFY, Verb.EXPN)])
def test_the_ordinary_reply_to_each_verb(verb: Verb) -> None:
    """4.2.1, Appendix F: accept() gives the success of the row, in the standard words."""
    receiver = asked(verb)
    receiver.accept()
    assert receiver.data_to_send() == ORDINARY_REPLIES[verb]


@pytest.mark.clause("4.2-06", "E-08")
@pytest.mark.parametrize("verb", Verb)
def test_the_ordinary_reply_in_other_words(verb: Verb) -> None:
    """Appendix E: the text is free, in several lines too; the code is not."""
    receiver = asked(verb)
    receiver.accept("text", "more")
    code = int(ORDINARY_REPLIES[verb][:3])
    assert receiver.data_to_send() == written(verb, code).replace(b" ", b"-", 1) + (
        b"%d more\r\n" % code
    )


@pytest.mark.clause("3.3-01", "3.3-02")
@pytest.mark.parametrize("verb", [Verb.VRFY, Verb.EXPN])
def test_an_inquiry_succeeds_with_mailboxes(verb: Verb) -> None:
    """3.3: the success of VRFY and EXPN has to name a mailbox, so there is no ordinary one."""
    receiver = asked(verb)
    with pytest.raises(LocalProtocolError, match="succeeds with mailboxes"):
        receiver.accept()
    assert receiver.reply_owed is verb
    receiver.accept("Fred Smith <Smith@USC-ISIF.ARPA>")
    assert receiver.data_to_send() == b"250 Fred Smith <Smith@USC-ISIF.ARPA>\r\n"


def test_the_ordinary_reply_has_to_be_legal() -> None:
    """4.3: where a dialect does not have it for a command, accept() is refused as reply() is."""
    rows = {**SEQUENCING, Verb.NOOP: {Outcome.ERROR: (500,)}}
    receiver = asked(Verb.NOOP, attrs.evolve(WHOLE, sequencing=rows))
    with pytest.raises(LocalProtocolError, match="250 is no reply to NOOP; 500, 501 are"):
        receiver.accept()
    assert receiver.reply_owed is Verb.NOOP
    assert receiver.data_to_send() == b""


def test_help_names_what_is_offered() -> None:
    """4.1.1 HELP: the commands that the dialect implements, and no other."""
    receiver = asked(Verb.HELP, RFC821.offering([Verb.HELP]))
    receiver.accept()
    assert receiver.data_to_send() == b"214 Commands: HELO MAIL RCPT DATA RSET HELP NOOP QUIT\r\n"


@pytest.mark.clause("3.5-03", "4.1.1.HELO-02", "4.2.1-07", "4.3-05")
@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("ready", b"BBN-UNIX.ARPA ready"),
        ("BBN-UNIX.ARPA ready", b"BBN-UNIX.ARPA ready"),
        ("bbn-unix.arpa ready", b"bbn-unix.arpa ready"),
        ("BBN-UNIX.ARPA", b"BBN-UNIX.ARPA"),
        ("BBN-UNIX.ARPAX ready", b"BBN-UNIX.ARPA BBN-UNIX.ARPAX ready"),
        ("ready BBN-UNIX.ARPA", b"BBN-UNIX.ARPA ready BBN-UNIX.ARPA"),
        ("", b"BBN-UNIX.ARPA "),
    ],
)
@pytest.mark.parametrize(
    ("verb", "code"), [(Verb.CONNECT, 220), (Verb.HELO, 250), (Verb.QUIT, 221), (Verb.NOOP, 421)]
)
def test_some_replies_begin_with_the_name(verb: Verb, code: int, text: str, line: bytes) -> None:
    """4.2.1, 3.5: 220, 221, 421 and 250 to HELO begin with the host name, once."""
    receiver = asked(verb)
    receiver.reply(code, text)
    assert receiver.data_to_send() == b"%d %s\r\n" % (code, line)


def test_only_the_first_line_is_named() -> None:
    """3.5, Appendix E: in a reply of several lines the name is the first word of the first."""
    receiver = asked(Verb.HELO)
    receiver.reply(250, "hello", "there")
    assert receiver.data_to_send() == b"250-BBN-UNIX.ARPA hello\r\n250 there\r\n"


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("a\r\n221 bye", b"550-a\r\n550 221 bye\r\n"),
        ("a\nb\rc", b"550-a\r\n550-b\r\n550 c\r\n"),
        ("nul\0tab\tdel\x7f", b"550 nul?tab?del?\r\n"),
        ("M\u00fcller \u2028", b"550 M?ller ?\r\n"),
        ("x" * 508, b"550-" + b"x" * 506 + b"\r\n550 xx\r\n"),
        ("", b"550 \r\n"),
    ],
)
def test_unsafe_text_is_made_safe(text: str, output: bytes) -> None:
    """4.2, 4.5.3: whatever the text, it is one reply of the same code, in ASCII, within 512."""
    receiver = asked(Verb.RCPT)
    receiver.reply(550, text)
    assert receiver.data_to_send() == output


@pytest.mark.clause("4.2-02", "4.5.3-11")
@given(lines=st.lists(st.text(max_size=600), min_size=1, max_size=4))
def test_any_text_is_one_reply(lines: list[str]) -> None:
    """4.2: no text of an application can break out of its reply."""
    receiver = asked(Verb.RCPT)
    receiver.reply(550, *lines)
    output = receiver.data_to_send()
    assert re.fullmatch(rb"(550-[ -~]{0,506}\r\n)*550 [ -~]{0,506}\r\n", output)


# --- The order of checks ----------------------------------------------------------------------


@pytest.mark.clause(
    "3.1-03",
    "3.1-16",
    "4.1.1.HELO-04",
    "4.1.1.HELO-05",
    "4.1.1.RSET-02",
    "4.1.1.NOOP-01",
    "4.1.1.ORDER-01",
    "4.1.1.ORDER-03",
    "4.2.1-04",
    "AMB-02",
    "AMB-03",
    "AMB-04",
    "AMB-05",
    "AMB-06",
)
@pytest.mark.parametrize("state", COMMAND_STATES)
@pytest.mark.parametrize("verb", WORDS)
def test_every_command_in_every_state(state: State, verb: Verb) -> None:
    """4.1.1 p27: in sequence it is the application's; out of sequence it is 503, same state."""
    receiver = receiver_at(state)
    envelope = receiver.envelope
    event = ask(receiver, LINES[verb])
    if verb in ORDER[state]:
        assert event == EXAMPLES[verb]
        assert receiver.reply_owed is verb
        assert receiver.data_to_send() == b""
    else:
        assert event == Rejected(Reply(503), verb, LINES[verb][:-2])
        assert receiver.reply_owed is None
        assert receiver.data_to_send() == SEQUENCE
    assert (receiver.state, receiver.envelope) == (state, envelope)


MALFORMED: Final = {
    Verb.HELO: b"HELO two words",
    Verb.MAIL: b"MAIL FROM:Smith@Alpha.ARPA",
    Verb.RCPT: b"RCPT TO:<>",
    Verb.DATA: b"DATA now",
    Verb.RSET: b"RSET \t",
    Verb.SEND: b"SEND TO:<a@b.c>",
    Verb.SOML: b"SOML",
    Verb.SAML: b"SAML FROM:<a@b.c> x",
    Verb.VRFY: b"VRFY ",
    Verb.EXPN: b"EXPN\tlist",
    Verb.HELP: b"HELP \x07",
    Verb.NOOP: b"NOOP x",
    Verb.QUIT: b"QUIT \xff",
    Verb.TURN: b"TURN \x00",
}


@pytest.mark.clause(
    "4.1.1.HELO-06",
    "4.1.1.MAIL-05",
    "4.1.1.RCPT-02",
    "4.1.2-10",
    "4.2.1-02",
    "AMB-01",
    "AMB-07",
    "AMB-55",
)
@pytest.mark.parametrize("state", COMMAND_STATES)
@pytest.mark.parametrize("verb", WORDS)
def test_every_malformed_command_in_every_state(state: State, verb: Verb) -> None:
    """AMB-01: 501 for an argument where there is none, then 503, then 501; the state stays."""
    receiver = receiver_at(state)
    envelope = receiver.envelope
    code = 501 if verb in NO_ARGUMENT or verb in ORDER[state] else 503
    assert ask(receiver, MALFORMED[verb] + b"\r\n") == Rejected(Reply(code), verb, MALFORMED[verb])
    assert receiver.data_to_send() == (SYNTAX if code == 501 else SEQUENCE)
    assert (receiver.state, receiver.envelope) == (state, envelope)


@pytest.mark.clause("4.2.1-03", "AMB-01", "AMB-24")
@pytest.mark.parametrize("state", COMMAND_STATES)
@pytest.mark.parametrize("verb", sorted({*WORDS} - {*NO_ARGUMENT, Verb.HELO, Verb.MAIL, Verb.RCPT}))
@pytest.mark.parametrize("malformed", [False, True])
def test_what_is_off_is_502_in_every_state(state: State, verb: Verb, malformed: bool) -> None:
    """AMB-01, AMB-24: 502 comes before the argument and the sequence are looked at."""
    receiver = receiver_at(state, attrs.evolve(WHOLE, off=frozenset({verb, Verb.TURN})))
    line = MALFORMED[verb] if malformed else LINES[verb][:-2]
    assert ask(receiver, line + b"\r\n") == Rejected(Reply(502), verb, line)
    assert ask(receiver, b"TURN now\r\n") == Rejected(Reply(502), Verb.TURN, b"TURN now")
    assert receiver.data_to_send() == OFF * 2


@pytest.mark.clause("4.1.1-02", "4.2.1-01", "AMB-09", "AMB-35", "AMB-56", "AMB-57")
@pytest.mark.parametrize("state", COMMAND_STATES)
@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"X",
        b"XYZZY",
        b"EHLO a.b",
        b" NOOP",
        b"NOO",
        b"NOOPX",
        b"NOOP\x00",
        b"\tNOOP",
        b"MAILFROM:<a@b.c>",
        b"NO\rOP",
        b"NOOP\nQUIT",
        b"N\xc3\x96OP",
        b"354 go",
        b"GET / HTTP/1.0",
    ],
)
def test_what_is_no_command_is_500_in_every_state(state: State, line: bytes) -> None:
    """4.2.1, AMB-09, AMB-35, AMB-56, AMB-57: an unknown word, before anything else is judged."""
    receiver = receiver_at(state)
    assert ask(receiver, line + b"\r\n") == Rejected(Reply(500), None, line)
    assert receiver.data_to_send() == UNRECOGNIZED
    assert receiver.state is state


@pytest.mark.clause("4.2.1-01", "4.5.3-17", "AMB-01")
@pytest.mark.parametrize("line", [b"x" * 511, b"DATA " + b"x" * 506, b"RCPT TO:<" + b"x" * 9000])
def test_too_long_comes_first(line: bytes) -> None:
    """AMB-01, 4.5.3: 500 for the length, whatever the word, its argument and the sequence."""
    receiver = receiver_at(State.INITIAL)
    assert ask(receiver, line + b"\r\n") == Rejected(Reply(500, "Line too long"), None, line[:511])
    assert receiver.data_to_send() == TOO_LONG


@pytest.mark.parametrize("line", [b"noop", b"NoOp", b"noop  "])
def test_words_in_any_case(line: bytes) -> None:
    """4.1.2 p27: command words are the same in upper and lower case; AMB-12: blanks behind."""
    assert ask(receiver_at(State.INITIAL), line + b"\r\n") == Noop()


@pytest.mark.clause("4.1.1.ORDER-04")
@pytest.mark.parametrize("state", [State.INITIAL, State.READY, State.MAIL, State.RCPT])
@pytest.mark.parametrize("anew", [b"", b"RSET\r\nHELO a.b\r\n"], ids=["going on", "anew"])
def test_an_error_leaves_no_trace(state: State, anew: bytes) -> None:
    """4.1.1 p27: after 500, 501, 502 and 503 a session goes on as if they had not been."""
    plain, disturbed = receiver_at(state, RFC821), receiver_at(state, RFC821)
    for line in (b"XYZZY", b"DATA now", b"HELO -", b"TURN", b"MAIL FROM:x", b"RCPT TO:<>"):
        assert isinstance(ask(disturbed, line + b"\r\n"), Rejected)
    disturbed.data_to_send()
    assert (disturbed.state, disturbed.envelope) == (state, plain.envelope)
    rest = anew + b"MAIL FROM:<>\r\nRCPT TO:<a@b.c>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n"
    assert converse(disturbed, [rest]) == converse(plain, [rest])


@pytest.mark.clause("4.1.1-01", "4.1.2-05", "4.1.2-26")
@pytest.mark.parametrize("verb", WORDS)
def test_nothing_happens_before_crlf(verb: Verb) -> None:
    """4.1.2 p28: no action before the CRLF, and neither CR nor LF alone is one."""
    receiver = receiver_at(ASKED_IN[verb])
    for octet in bytewise(LINES[verb][:-1]):
        assert ask(receiver, octet) is NEED_DATA
    assert receiver.data_to_send() == b""
    assert ask(receiver, b"\n") == EXAMPLES[verb]


@given(line=st.binary(max_size=600))
def test_no_reply_echoes_the_peer(line: bytes) -> None:
    """Whatever comes, what is answered without the application is one of a few fixed replies."""
    receiver = receiver_at(State.INITIAL, RFC821)
    known = {UNRECOGNIZED, TOO_LONG, SYNTAX, OFF, SEQUENCE, b"501 Domain too long\r\n"}
    event = ask(receiver, line.replace(b"\r\n", b"") + b"\r\n")
    if isinstance(event, Rejected):
        assert receiver.data_to_send() in known
    else:
        assert receiver.data_to_send() == b""


TRANSACTION: Final = (Verb.MAIL, Verb.RCPT, Verb.DATA)


@pytest.mark.clause("3.1-01", "3.1-15", "3.1-16", "4.1.1.ORDER-03", "4.2.1-04")
@pytest.mark.parametrize("verbs", list(itertools.product(TRANSACTION, repeat=3)))
def test_only_one_order_leads_to_mail_data(verbs: tuple[Verb, ...]) -> None:
    """3.1: of all orders of three, MAIL, RCPT, DATA alone leads to 354; what is amiss is 503."""
    receiver = receiver_at(State.READY)
    outputs = [converse(receiver, [LINES[verb]])[1] for verb in verbs]
    for verb, output in zip(verbs, outputs, strict=True):
        assert output in (ORDINARY_REPLIES[verb], SEQUENCE)
    assert (ORDINARY_REPLIES[Verb.DATA] in outputs) is (verbs == TRANSACTION)


@pytest.mark.clause("3.1-02", "4.1.1.HELO-03", "4.1.1.RSET-01", "4.1.1.ORDER-02", "AMB-54")
@pytest.mark.parametrize("clearing", [b"RSET\r\n", b"HELO a.b\r\n", b"DATA\r\nx\r\n.\r\n"])
def test_mail_begins_without_recipients(clearing: bytes) -> None:
    """3.1: neither before the next MAIL nor behind it is there a recipient of the last one."""
    for opening in (b"", LINES[Verb.MAIL]):
        receiver = receiver_at(State.RCPT)
        events, output = converse(receiver, [clearing + opening + b"DATA\r\n"])
        assert events[-1] == Rejected(Reply(503), Verb.DATA, b"DATA")
        assert output.endswith(SEQUENCE)
        assert receiver.envelope == (Envelope(Verb.MAIL, SMITH) if opening else None)


@pytest.mark.clause("3.2-02", "3.2-03")
def test_who_is_elsewhere_is_no_recipient() -> None:
    """3.2: 551 refuses, so that with it alone DATA is out of sequence; 251 accepts."""
    receiver = receiver_at(State.MAIL)
    step(receiver, Verb.RCPT, 551)
    assert ask(receiver, b"DATA\r\n") == Rejected(Reply(503), Verb.DATA, b"DATA")
    step(receiver, Verb.RCPT, 251)
    assert ask(receiver, b"DATA\r\n") == Data()
    assert receiver.envelope == ENVELOPE


@pytest.mark.clause(
    "4.1.1.VRFY-02", "4.1.1.EXPN-02", "4.1.1.HELP-02", "4.1.1.NOOP-02", "4.1.1.ORDER-01"
)
@pytest.mark.parametrize("verb", [Verb.VRFY, Verb.EXPN, Verb.HELP, Verb.NOOP])
def test_an_inquiry_between_the_steps(verb: Verb) -> None:
    """4.1.1 p27: at any time, before HELO too; the transaction around it goes on to its end."""
    receiver = receiver_at(State.INITIAL)
    lines = [LINES[Verb.HELO], *(LINES[step] for step in TRANSACTION), b"x\r\n.\r\n"]
    plain, _ = converse(receiver_at(State.INITIAL), lines)
    events, _ = converse(receiver, [LINES[verb] + line for line in lines[:-1]] + lines[-1:])
    assert [event for event in events if event != EXAMPLES[verb]] == plain
    assert len(events) == len(plain) + 4


# --- Pipelined input --------------------------------------------------------------------------

SESSION: Final = b"".join(
    [
        b"HELO USC-ISIF.ARPA\r\nMAIL FROM:<Smith@Alpha.ARPA>\r\nRCPT TO:<Jones@Beta.ARPA>\r\n",
        b"DATA\r\nQUIT\r\n..x\r\n.\r\nXYZZY\r\nQUIT\r\nNOOP\r\n",
    ]
)
SESSION_OUTPUT: Final = b"".join(
    [
        b"220 BBN-UNIX.ARPA Simple Mail Transfer Service Ready\r\n250 BBN-UNIX.ARPA\r\n",
        b"250 OK\r\n250 OK\r\n354 Start mail input; end with <CRLF>.<CRLF>\r\n250 OK\r\n",
        UNRECOGNIZED,
        b"221 BBN-UNIX.ARPA Service closing transmission channel\r\n",
    ]
)
SESSION_EVENTS: Final[list[Event]] = [
    Connected(),
    EXAMPLES[Verb.HELO],
    EXAMPLES[Verb.MAIL],
    EXAMPLES[Verb.RCPT],
    Data(),
    MailData(b"QUIT\r\n.x\r\n"),
    EndOfData(ENVELOPE, 10, False),
    Rejected(Reply(500), None, b"XYZZY"),
    Quit(),
    Closed(),
]


@pytest.mark.clause("AMB-47")
def test_a_session_in_one_read() -> None:
    """2, 4.2: commands that come at once are judged in order, each with exactly one reply."""
    assert converse(Receiver(HOST), [SESSION]) == (SESSION_EVENTS, SESSION_OUTPUT)


@pytest.mark.clause("3.1-10", "AMB-46")
def test_a_session_byte_by_byte() -> None:
    """4.1.2: the same bytes one at a time are the same session, QUIT being data inside DATA."""
    assert converse(Receiver(HOST), bytewise(SESSION)) == (SESSION_EVENTS, SESSION_OUTPUT)


@pytest.mark.clause("2-02")
def test_an_owed_reply_holds_the_input_back() -> None:
    """4.3: nothing is read ahead of a reply that is owed, and no event is lost by asking."""
    receiver = receiver_at(State.READY)
    assert ask(receiver, b"NOOP\r\nXYZZY\r\nRSET\r\n") == Noop()
    for _ in range(3):
        assert receiver.next_event() is NEED_REPLY
    assert receiver.data_to_send() == b""
    receiver.accept()
    assert isinstance(receiver.next_event(), Rejected)
    assert receiver.next_event() == Rset()


def test_a_recipient_is_judged_after_its_mail() -> None:
    """4.1.1: RCPT behind a refused MAIL is out of sequence, though it came in one read."""
    receiver = receiver_at(State.READY)
    receiver.receive_data(LINES[Verb.MAIL] + LINES[Verb.RCPT])
    receiver.next_event()
    receiver.reply(452)
    assert receiver.next_event() == Rejected(Reply(503), Verb.RCPT, LINES[Verb.RCPT][:-2])


@pytest.mark.clause("AMB-48")
@pytest.mark.parametrize("code", [451, 500, 501, 503, 554])
def test_behind_a_refused_data_come_commands(code: int) -> None:
    """AMB-48: what follows DATA is mail only if 354 is the answer."""
    receiver = receiver_at(State.RCPT)
    receiver.receive_data(b"DATA\r\nNOOP\r\n.\r\n")
    assert receiver.next_event() == Data()
    receiver.reply(code, "no")
    assert receiver.next_event() == Noop()
    receiver.accept()
    assert receiver.next_event() == Rejected(Reply(500), None, b".")
    assert receiver.state is State.RCPT


@pytest.mark.clause("3.1-10", "4.1.1.DATA-01", "AMB-48")
def test_behind_an_accepted_data_comes_mail() -> None:
    """AMB-48: the same bytes behind 354 are a message."""
    receiver = receiver_at(State.RCPT)
    receiver.receive_data(b"DATA\r\nNOOP\r\n.\r\n")
    receiver.next_event()
    receiver.accept()
    assert receiver.next_event() == MailData(b"NOOP\r\n")
    assert receiver.next_event() == EndOfData(ENVELOPE, 6, False)


def test_the_last_line_of_one_read_may_be_half() -> None:
    """4.1.2: a line that is not complete waits, whatever went before it in the same read."""
    receiver = receiver_at(State.RCPT)
    events, _ = converse(receiver, [b"DATA\r\nx\r\n.\r\nNO", b"OP\r\n"])
    assert [type(event) for event in events] == [Data, MailData, EndOfData, Noop]


# --- Mail data --------------------------------------------------------------------------------


@pytest.mark.clause("4.1.1-04", "4.1.1.DATA-01", "4.4-04")
def test_mail_data_is_streamed() -> None:
    """4.5.2: each piece is given as it comes, nothing is written, and no reply is owed."""
    receiver = receiver_at(State.DATA)
    for number in range(5):
        assert ask(receiver, b"line %d\r\nhalf" % number) == MailData(b"line %d\r\nhalf" % number)
        assert receiver.next_event() is NEED_DATA
        assert receiver.reply_owed is None
    assert receiver.data_to_send() == b""
    assert receiver.envelope == ENVELOPE


@given(data=st.binary(min_size=1, max_size=2000), size=st.integers(1, 300))
def test_pieces_are_bounded_by_the_reads(data: bytes, size: int) -> None:
    """A piece is never empty, and at most four octets longer than the read that brought it."""
    receiver = receiver_at(State.DATA, attrs.evolve(WHOLE, eight_bit=Policy.PASS))
    for piece in cut(data.replace(b"\r\n.", b""), *[size] * len(data)):
        event = ask(receiver, piece)
        while isinstance(event, MailData):
            assert 0 < len(event.data) <= size + 4
            assert not event.data.endswith(b"\r")
            event = receiver.next_event()


@pytest.mark.clause("4.1.1.DATA-03", "4.5.2-02", "4.5.2-03", "AMB-38")
@pytest.mark.parametrize(
    ("wire", "data"),
    [
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\r\n"),
        (b"x\r\n.\r\n", b"x\r\n"),
        (b"..\r\n.\r\n", b".\r\n"),
        (b".x\r\n.\r\n", b"x\r\n"),
        (b"x\r\n..\r\n...y\r\n.\r\n", b"x\r\n.\r\n..y\r\n"),
        (b"a.\r\n.\r\n", b"a.\r\n"),
    ],
)
def test_transparency(wire: bytes, data: bytes) -> None:
    """4.5.2: the first period of a line is taken away, a line of one period ends the mail."""
    for pieces in ([wire], bytewise(wire), *(cut(wire, at) for at in range(len(wire)))):
        events, output = converse(receiver_at(State.DATA), pieces)
        expected: list[Event] = [MailData(data)] if data else []
        assert events == [*expected, EndOfData(ENVELOPE, len(data), False)]
        assert output == b"250 OK\r\n"


@pytest.mark.clause("4.1.1.DATA-02", "4.5.2-05", "AMB-40")
@pytest.mark.parametrize("code", range(128))
def test_every_character_is_delivered(code: int) -> None:
    """4.5.2: any of the 128, control characters and NUL too, wherever it stands in a line."""
    octet = bytes([code])
    for line in (b"a" + octet + b"b", b"a" + octet, octet + b"b" if octet != b"." else b"b"):
        wire = line + b"\r\n.\r\n"
        for pieces in ([wire], bytewise(wire)):
            events, output = converse(receiver_at(State.DATA, RFC821), pieces)
            assert events[0] == MailData(line + b"\r\n")
            assert output == b"250 OK\r\n"


@pytest.mark.clause("4.5.3-13")
@pytest.mark.parametrize("dialect", [RFC821, RFC821_LENIENT])
@pytest.mark.parametrize("line", [b"x" * 998, b"." + b"x" * 997, b"." * 998])
def test_the_longest_text_line(line: bytes, dialect: Dialect) -> None:
    """4.5.3: 1000 octets with CRLF are taken, the period that was added not counted."""
    stuffed = b"." + line if line.startswith(b".") else line
    for pieces in ([stuffed + b"\r\n.\r\n"], bytewise(stuffed + b"\r\n.\r\n")):
        events, output = converse(receiver_at(State.DATA, dialect), pieces)
        assert events == [MailData(line + b"\r\n"), EndOfData(ENVELOPE, 1000, False)]
        assert output == b"250 OK\r\n"


@pytest.mark.clause("4.1.1.DATA-03", "4.5.2-08", "G-01")
@pytest.mark.parametrize(
    "fake",
    [
        b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\n\n.\n\n",
        b"\r\n.\r\r\n", b"\r\n\x00.\r\n", b"\r\n.\x00\r\n", b"\r\n. \r\n", b"\r\r\n.\r\r\n",
        b"\x85.\x85",
    ],
)  # fmt: skip
def test_nothing_else_ends_the_mail(fake: bytes) -> None:
    """4.5.2-08: only CR LF . CR LF does; what is like it is data, and no command follows it."""
    wire = b"x" + fake + b"MAIL FROM:<>\r\n.\r\n"
    dialect = attrs.evolve(WHOLE, eight_bit=Policy.PASS)
    for pieces in ([wire], bytewise(wire), *(cut(wire, at) for at in range(len(wire)))):
        events, output = converse(receiver_at(State.DATA, dialect), pieces)
        assert [type(event) for event in events] == [MailData, EndOfData]
        assert output == b"250 OK\r\n"


@pytest.mark.clause("3.1-14")
def test_the_end_of_data_says_what_came() -> None:
    """3.1: the message, once complete, with its envelope, its size and whether it is 8-bit."""
    receiver = receiver_at(State.DATA, attrs.evolve(WHOLE, eight_bit=Policy.PASS))
    events, _ = converse(receiver, [b"M\xfcller\r\n.\r\n"])
    assert events == [MailData(b"M\xfcller\r\n"), EndOfData(ENVELOPE, 8, True)]
    for line in (Verb.MAIL, Verb.RCPT, Verb.DATA):
        converse(receiver, [LINES[line]])
    events, _ = converse(receiver, [b"x\r\n.\r\n"])
    assert events == [MailData(b"x\r\n"), EndOfData(ENVELOPE, 3, False)]


@pytest.mark.clause("4.1.1.DATA-04", "4.1.1.DATA-05")
@pytest.mark.parametrize("code", [250, 451, 452, 552, 554])
def test_after_the_message_the_buffers_are_empty(code: int) -> None:
    """4.1.1 DATA: whatever the answer, the transaction is over, and DATA is out of sequence."""
    receiver = receiver_at(State.DATA)
    assert ask(receiver, b".\r\n") == EndOfData(ENVELOPE, 0, False)
    receiver.reply(code)
    assert (receiver.state, receiver.envelope) == (State.READY, None)
    assert ask(receiver, b"DATA\r\n") == Rejected(Reply(503), Verb.DATA, b"DATA")


@pytest.mark.clause("3.1-02", "4.1.1.MAIL-01", "4.1.1.ORDER-02", "G-05")
def test_several_messages_in_one_session() -> None:
    """4.1.1 p27: a session has any number of transactions, none of which knows of another."""
    one = b"MAIL FROM:<>\r\nRCPT TO:<u%d@b.c>\r\nDATA\r\n%d\r\n.\r\n"
    events, _ = converse(receiver_at(State.READY), [one % (n, n) for n in range(3)])
    messages = [event for event in events if isinstance(event, EndOfData)]
    assert messages == [
        EndOfData(Envelope(Verb.MAIL, Path("<>"), (Path(f"<u{n}@b.c>"),)), 3, False)
        for n in range(3)
    ]


# --- Limits -----------------------------------------------------------------------------------


def limited(**limits: int) -> Dialect:
    """All of the tables, with these sizes."""
    return attrs.evolve(WHOLE, limits=Limits(**limits))


@pytest.mark.clause("3.1-08", "4.5.3-15", "4.5.3-19", "AMB-26")
def test_a_hundred_recipients_are_taken() -> None:
    """4.5.3: 100 recipients; the next is 552, and the transaction goes on with the hundred."""
    receiver = receiver_at(State.MAIL)
    lines = [b"RCPT TO:<u%d@b.c>\r\n" % number for number in range(101)]
    events, output = converse(receiver, [b"".join(lines)])
    reply = Reply(552, "Recipient storage full, try again in another transaction")
    assert events[100] == Rejected(reply, Verb.RCPT, b"RCPT TO:<u100@b.c>")
    assert output == b"250 OK\r\n" * 100 + bytes(f"{reply}\r\n", "ascii")
    assert receiver.state is State.RCPT
    assert receiver.envelope is not None
    assert len(receiver.envelope.forward_paths) == 100


def test_refused_recipients_do_not_count() -> None:
    """4.5.3: the limit is of accepted recipients; and what is malformed is 501 beyond it too."""
    receiver = receiver_at(State.MAIL, limited(recipients=1))
    for _ in range(3):
        step(receiver, Verb.RCPT, 550)
    step(receiver, Verb.RCPT, 250)
    assert ask(receiver, b"RCPT TO:<>\r\n") == Rejected(Reply(501), Verb.RCPT, b"RCPT TO:<>")
    event = ask(receiver, LINES[Verb.RCPT])
    assert isinstance(event, Rejected)
    assert event.reply.code == 552
    step(receiver, Verb.RSET, 250)
    step(receiver, Verb.MAIL, 250)
    assert ask(receiver, LINES[Verb.RCPT]) == Rcpt(JONES)


@pytest.mark.clause("4.5.3-09", "4.5.3-17", "AMB-43")
@pytest.mark.parametrize("pad", [0, 1])
@pytest.mark.parametrize("size", [1, 100, 1000])
def test_the_longest_command_line(pad: int, size: int) -> None:
    """4.5.3: 512 octets with CRLF are taken, 513 are 500, in any cut; then reading is in step."""
    line = b"VRFY " + b"x" * (505 + pad) + b"\r\n"
    receiver = receiver_at(State.READY)
    events, output = converse(receiver, cut(line + b"NOOP\r\n", *[size] * 600))
    if pad:
        assert events == [Rejected(Reply(500, "Line too long"), None, line[:511]), Noop()]
        assert output == TOO_LONG + b"250 OK\r\n"
    else:
        assert str(events[0]) == line[:-2].decode()
        assert output == b"250 <Smith@BBN-UNIX.ARPA>\r\n250 OK\r\n"


@pytest.mark.clause("4.5.3-21")
@pytest.mark.parametrize("end", [b"x\r\n", b"\r\r\n", b"\n"])
def test_an_endless_line_is_thrown_away_as_it_comes(end: bytes) -> None:
    """4.5.3-21: one reply for a line of a megabyte, and what follows it is the next command."""
    receiver = receiver_at(State.READY)
    for _ in range(1000):
        assert ask(receiver, b"x" * 1000 + b"\r") is NEED_DATA
    assert receiver.data_to_send() == b""
    events, output = converse(receiver, [end + b"QUIT\r\n"])
    assert events[0] == Rejected(Reply(500, "Line too long"), None, b"x" * 511)
    assert events[1] == Quit()
    assert output.startswith(TOO_LONG + b"221 ")


@pytest.mark.clause("4.5.3-18")
@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"HELO " + b"x." * 32 + b"y", b"501 Domain too long\r\n"),
        (b"MAIL FROM:<" + b"u" * 65 + b"@b.c>", b"501 User name too long\r\n"),
        (b"MAIL FROM:<a@" + b"x." * 32 + b"y>", b"501 Domain too long\r\n"),
        (b"MAIL FROM:<" + b"@" + b"x." * 31 + b"y,@z" * 50 + b":a@b.c>", b"501 Path too long\r\n"),
    ],
)
def test_arguments_that_are_too_long(line: bytes, reply: bytes) -> None:
    """4.5.3: user, domain and path over their limits are 501, in the RFC's words."""
    receiver = receiver_at(State.READY)
    event = ask(receiver, line + b"\r\n")
    assert isinstance(event, Rejected)
    assert event.line == line
    assert receiver.data_to_send() == reply


def test_a_reply_that_has_its_lines_is_given_alone() -> None:
    """4.2: lines beside a Reply are the caller's mistake, and nothing is written."""
    receiver = receiver_at(State.READY)
    assert ask(receiver, b"NOOP\r\n") == Noop()
    message = "^a Reply has its lines already; give it alone, or a code$"
    with pytest.raises(LocalProtocolError, match=message):
        receiver.reply(Reply(250), "OK")
    assert receiver.data_to_send() == b""
    assert receiver.reply_owed is Verb.NOOP


@pytest.mark.clause("4.5.3-20", "AMB-45")
@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 100])
def test_a_message_of_the_limit_and_of_one_octet_more(size: int) -> None:
    """4.5.3, AMB-45: over the limit it is swallowed to its end, then 552; then all is as ever."""
    reply = Reply(552, "Too much mail data")
    for wire, last in ((b"..34567\r\n.\r\n", 8), (b"..345678\r\n.\r\nNOOP\r\n", 0)):
        receiver = receiver_at(State.DATA, limited(message=8))
        events, output = converse(receiver, cut(wire, *[size] * 30))
        assert events[0] == MailData(b".34567\r\n" if last else b".345678")
        if last:
            assert events[1:] == [EndOfData(ENVELOPE, 8, False)]
            assert output == b"250 OK\r\n"
        else:
            assert events[1:] == [Rejected(reply, Verb.END_OF_DATA, b""), Noop()]
            assert output == b"552 Too much mail data\r\n250 OK\r\n"
        assert receiver.state is State.READY
        assert receiver.envelope is None


def test_a_refused_message_does_not_taint_the_next() -> None:
    """4.1.1 DATA: what was wrong with one message is forgotten with its buffers."""
    receiver = receiver_at(State.READY, limited(message=8))
    message = b"MAIL FROM:<>\r\nRCPT TO:<a@b.c>\r\nDATA\r\n%s\r\n.\r\n"
    events, _ = converse(receiver, [message % (b"x" * 20), message % b"short"])
    assert [e.reply.code for e in events if isinstance(e, Rejected)] == [552]
    ends = [event for event in events if isinstance(event, EndOfData)]
    assert [event.size for event in ends] == [7]


@pytest.mark.clause("AMB-59")
def test_a_bound_on_errors() -> None:
    """AMB-59: one error over the limit is answered 421, and the session is closed."""
    receiver = receiver_at(State.RCPT, limited(errors=2))
    events, output = converse(receiver, [b"X\r\nDATA x\r\nNOOP\r\nMAIL FROM:<>\r\nNOOP\r\n"])
    closing = Reply(421, f"{HOST} Too many errors; closing")
    assert events[3:] == [
        Rejected(closing, Verb.MAIL, b"MAIL FROM:<>"),
        Closed(cancelled=ENVELOPE),
    ]
    assert output == b"".join(
        [UNRECOGNIZED, SYNTAX, b"250 OK\r\n", b"421 BBN-UNIX.ARPA Too many errors; closing\r\n"]
    )


def test_the_refusals_of_an_application_are_no_errors() -> None:
    """AMB-59: recipients that do not exist are no fault of the session."""
    receiver = receiver_at(State.MAIL, limited(errors=1))
    for _ in range(20):
        step(receiver, Verb.RCPT, 550)
    assert receiver.state is State.MAIL


@pytest.mark.clause("4.1.1.QUIT-02", "AMB-59")
def test_no_bound_on_errors_by_default() -> None:
    """4.1.1 QUIT: the receiver does not close before QUIT, even after errors."""
    receiver = receiver_at(State.READY, RFC821)
    events, _ = converse(receiver, [b"XYZZY\r\n" * 500 + b"QUIT\r\n"])
    assert len(events) == 502
    assert events[-2:] == [Quit(), Closed()]


# --- Policies ---------------------------------------------------------------------------------

STRICT_DATA: Final = attrs.evolve(
    WHOLE, bare_newlines=Policy.REFUSE, eight_bit=Policy.REFUSE, limits=Limits(message=12)
)
TOO_MUCH: Final = "Too much mail data"
NEWLINE: Final = "Mail data has a CR or LF that is no CRLF"
EIGHT_BIT: Final = "Mail data has octets over 127"


@pytest.mark.parametrize(
    ("data", "admitted", "text"),
    [
        (b"a\nb\r\n", b"a", NEWLINE),
        (b"a\rb\r\n", b"a", NEWLINE),
        (b"a\r\r\n", b"a", NEWLINE),
        (b"a\r\n\nb\r\n", b"a\r\n", NEWLINE),
        (b"\n\r\n", b"", NEWLINE),
        (b"\r\r\n", b"", NEWLINE),
        (b"a\r\n\rb\r\n", b"a\r\n", NEWLINE),
        (b"a\xe9b\r\n", b"a", EIGHT_BIT),
        (b"\x80\r\n", b"", EIGHT_BIT),
        (b"0123456789\r\nx\r\n", b"0123456789\r\n", TOO_MUCH),
        (b"0123456789a\r\n", b"0123456789a", TOO_MUCH),
        (b"0123456789a\r\nb\r\n", b"0123456789a", TOO_MUCH),
        (b"0123456789\r\n\n\r\n", b"0123456789\r\n", TOO_MUCH),
        (b"0123456789\r\n\xe9\r\n", b"0123456789\r\n", TOO_MUCH),
        (b"a\nb\xe9\r\n", b"a", NEWLINE),
        (b"a\xe9b\n\r\n", b"a", EIGHT_BIT),
        (b"a\xe9b\ncdefghijklmnop\r\n", b"a", EIGHT_BIT),
        (b"a\nb\xe9cdefghijklmnop\r\n", b"a", NEWLINE),
        (b"0123456789\xe9\r\n", b"0123456789", EIGHT_BIT),
        (b"0123456789a\xe9\r\n", b"0123456789a", EIGHT_BIT),
        (b"0123456789ab\xe9\r\n", b"0123456789ab", TOO_MUCH),
        (b"0123456789a\n\r\n", b"0123456789a", NEWLINE),
    ],
)
def test_where_a_refused_message_stops(data: bytes, admitted: bytes, text: str) -> None:
    """AMB-36, AMB-39, AMB-45: at the first octet that is not allowed, for every cut."""
    wire = data + b".\r\n"
    code = 552 if text == TOO_MUCH else 554
    cuts = [(at, size) for at in range(len(wire)) for size in (1, 2, 3, len(wire))]
    for pieces in (bytewise(wire), *(cut(wire, *sizes) for sizes in cuts)):
        receiver = receiver_at(State.DATA, STRICT_DATA)
        events, output = converse(receiver, pieces)
        expected: list[Event] = [MailData(admitted)] if admitted else []
        assert events == [*expected, Rejected(Reply(code, text), Verb.END_OF_DATA, b"")]
        assert output == b"%d %s\r\n" % (code, text.encode())
        assert receiver.state is State.READY
        assert receiver.envelope is None


@pytest.mark.clause("AMB-36", "AMB-40")
@pytest.mark.parametrize("data", [b"a\nb\r\n", b"a\rb\r\n", b"a\r\r\n", b"\n\r\n", b"\x00\x7f\r\n"])
def test_newlines_that_pass_are_data(data: bytes) -> None:
    """4.5.2, AMB-36, AMB-40: all 128 characters are delivered, unchanged."""
    for pieces in ([data + b".\r\n"], bytewise(data + b".\r\n")):
        events, _ = converse(receiver_at(State.DATA), pieces)
        assert events == [MailData(data), EndOfData(ENVELOPE, len(data), False)]


@pytest.mark.clause("4.5.2-06", "A-03", "AMB-36", "AMB-39")
@pytest.mark.parametrize(("dialect", "refused"), [(RFC821, EIGHT_BIT), (RFC821_LENIENT, NEWLINE)])
def test_the_policies_of_the_two_dialects(dialect: Dialect, refused: str) -> None:
    """AMB-36, AMB-39: the strict one refuses octets over 127, the lenient one bare newlines."""
    receiver = receiver_at(State.DATA, dialect)
    events, _ = converse(receiver, [b"a\nb\r\n.\r\n"])
    for verb in (Verb.MAIL, Verb.RCPT, Verb.DATA):
        step(receiver, verb, 354 if verb is Verb.DATA else 250)
    more, _ = converse(receiver, [b"\xe9\r\n.\r\n"])
    rejected = [event for event in [*events, *more] if isinstance(event, Rejected)]
    assert rejected == [Rejected(Reply(554, refused), Verb.END_OF_DATA, b"")]
    assert [event.eight_bit for event in [*events, *more] if isinstance(event, EndOfData)] == [
        dialect is RFC821_LENIENT
    ]


EARLY: Final = attrs.evolve(WHOLE, early_talkers=Policy.REFUSE)
TOO_EARLY: Final = Reply(421, f"{HOST} You spoke before it was your turn; closing")
TOO_EARLY_BYTES: Final = b"421 BBN-UNIX.ARPA You spoke before it was your turn; closing\r\n"


@pytest.mark.clause("AMB-47")
@pytest.mark.parametrize("early", [b"HELO a.b\r\n", b"H", b"\r\n"])
def test_early_talkers_before_the_greeting(early: bytes) -> None:
    """AMB-47: where they are refused, a sender that does not wait for 220 gets 421."""
    receiver = Receiver(HOST, EARLY)
    assert ask(receiver, early) == Rejected(TOO_EARLY, Verb.CONNECT, b"")
    assert receiver.data_to_send() == TOO_EARLY_BYTES
    assert receiver.next_event() == Closed()


@pytest.mark.clause("AMB-47")
def test_early_talkers_behind_data() -> None:
    """AMB-47: bytes behind DATA, before 354, are 421 where early talkers are refused."""
    receiver = receiver_at(State.RCPT, EARLY)
    assert ask(receiver, b"DATA\r\nSubject: x\r\n") == Rejected(TOO_EARLY, Verb.DATA, b"DATA")
    assert receiver.data_to_send() == TOO_EARLY_BYTES
    assert receiver.next_event() == Closed(cancelled=ENVELOPE)


def test_those_who_wait_are_no_early_talkers() -> None:
    """4.3: with the same policy a session in lock-step, and even pipelined RCPT, goes well."""
    receiver = Receiver(HOST, EARLY)
    lines = [LINES[verb] for verb in (Verb.HELO, Verb.MAIL)]
    pieces = [*lines, LINES[Verb.RCPT] * 2, b"DATA\r\n", b"x\r\n.\r\nQUIT\r\n"]
    events, _ = converse(receiver, pieces)
    assert not any(isinstance(event, Rejected) for event in events)
    assert events[-2:] == [Quit(), Closed()]


@pytest.mark.parametrize("line", [b"GET / HTTP/1.1", b"get", b"POST /x HTTP/1.0", b"CONNECT h:25"])
def test_foreign_words(line: bytes) -> None:
    """A dialect may close at once on the words of another protocol; by default they are 500."""
    receiver = receiver_at(State.RCPT, attrs.evolve(WHOLE, foreign_words=HTTP_WORDS))
    reply = Reply(421, f"{HOST} This is SMTP, and you speak something else; closing")
    assert ask(receiver, line + b"\r\nHost: x\r\n\r\n") == Rejected(reply, None, line)
    assert receiver.next_event() == Closed(cancelled=ENVELOPE)
    assert receiver.data_to_send() == (
        b"421 BBN-UNIX.ARPA This is SMTP, and you speak something else; closing\r\n"
    )


@pytest.mark.parametrize("line", [b"GETS x", b"X GET", b" GET /", b"GET\t/"])
def test_words_that_are_not_foreign(line: bytes) -> None:
    """Only the first word counts, and only as a whole."""
    receiver = receiver_at(State.INITIAL, attrs.evolve(WHOLE, foreign_words=HTTP_WORDS))
    assert ask(receiver, line + b"\r\n") == Rejected(Reply(500), None, line)


# --- The end ----------------------------------------------------------------------------------


def live(state: State) -> list[Receiver]:
    """Receivers in a state: one that owes nothing, and one for each verb that may be owed."""
    receivers = [receiver_at(state)]
    for verb in sorted(ORDER[state]):
        receiver = receiver_at(state)
        if verb is not Verb.CONNECT:
            receiver.receive_data(LINES[verb])
        receiver.next_event()
        assert receiver.reply_owed is verb
        receivers.append(receiver)
    return receivers


@pytest.mark.clause("4.2.1-08", "AMB-28")
@pytest.mark.parametrize("state", LIVE_STATES)
def test_shutdown_in_every_state(state: State) -> None:
    """4.2.1: 421 at any time, in place of a reply that is owed or of none, and then the end."""
    for receiver in live(state):
        envelope = receiver.envelope
        receiver.receive_data(b"NOOP\r\n")
        receiver.shutdown()
        assert receiver.data_to_send() == NOT_AVAILABLE
        assert receiver.state is State.CLOSED
        assert receiver.reply_owed is None
        for _ in range(3):
            assert receiver.next_event() == Closed(cancelled=envelope)


def test_shutdown_in_other_words() -> None:
    """4.2.1: the text is free, but for the name at its front."""
    receiver = receiver_at(State.DATA)
    assert ask(receiver, b"half a line") == MailData(b"half a line")
    receiver.shutdown("Shutting down", "come back later")
    assert receiver.data_to_send() == (
        b"421-BBN-UNIX.ARPA Shutting down\r\n421 come back later\r\n"
    )
    assert receiver.next_event() == Closed(cancelled=ENVELOPE)


@pytest.mark.parametrize("state", [State.TURNED, State.CLOSED])
def test_no_shutdown_after_the_end(state: State) -> None:
    """A session that is over has nothing more to say."""
    receiver = receiver_at(state)
    with pytest.raises(LocalProtocolError, match=f"the session is over: it is {state}"):
        receiver.shutdown()
    assert receiver.data_to_send() == b""


@pytest.mark.parametrize("state", [*COMMAND_STATES, State.DATA])
@pytest.mark.parametrize("half", [b"", b"QUIT", b"QUIT\r", b"\r\n.\r", b"."])
def test_the_end_of_file_in_every_state(state: State, half: bytes) -> None:
    """4.1.1 QUIT: the transaction in progress is cancelled; what is not complete is no event."""
    receiver = receiver_at(state)
    envelope = receiver.envelope
    if half:
        receiver.receive_data(half)
    receiver.receive_data(b"")
    events = pull(receiver)
    assert [event for event in events if not isinstance(event, MailData)] == [
        *([Rejected(Reply(500), None, b"")] if half.startswith(b"\r\n") and
          state is not State.DATA else []),
        Closed(cancelled=envelope),
    ]  # fmt: skip
    assert receiver.state is State.CLOSED
    assert receiver.envelope is None
    assert receiver.next_event() == Closed(cancelled=envelope)


def test_the_end_of_file_before_the_greeting() -> None:
    """4.3: a peer that leaves at once is still greeted, for nothing is known to be lost yet."""
    receiver = Receiver(HOST)
    assert ask(receiver, b"") == Connected()
    receiver.accept()
    assert receiver.next_event() == Closed()


@pytest.mark.parametrize("verb", [verb for verb in WORDS if verb not in (Verb.QUIT, Verb.TURN)])
def test_the_end_of_file_while_a_reply_is_owed(verb: Verb) -> None:
    """4.2: the reply is still owed and still written, and then the session ends."""
    receiver = asked(verb)
    receiver.receive_data(b"")
    assert receiver.next_event() is NEED_REPLY
    accept(receiver)
    assert receiver.data_to_send() != b""
    envelope = receiver.envelope
    assert receiver.next_event() == Closed(cancelled=envelope)


MESSAGE: Final = b"x\r\n..\r\n.\r\n"


@pytest.mark.clause("3.1-14", "4.1.1.QUIT-04")
@pytest.mark.parametrize("at", range(len(MESSAGE)))
def test_a_message_cut_off_anywhere_is_none(at: int) -> None:
    """4.1.1 QUIT: at every octet but the last, no EndOfData is given."""
    receiver = receiver_at(State.DATA)
    for piece in (*cut(MESSAGE[:at]), b""):
        receiver.receive_data(piece)
    events = joined(pull(receiver))
    assert not any(isinstance(event, EndOfData) for event in events)
    assert events[-1] == Closed(cancelled=ENVELOPE)
    assert receiver.data_to_send() == b""


def test_a_message_that_is_complete_is_not_cancelled() -> None:
    """4.1.1 QUIT: the end of file cancels what is pending, not what is done."""
    receiver = receiver_at(State.DATA)
    receiver.receive_data(MESSAGE)
    receiver.receive_data(b"")
    events, output = converse(receiver, [])
    assert events == [MailData(b"x\r\n.\r\n"), EndOfData(ENVELOPE, 6, False), Closed()]
    assert output == b"250 OK\r\n"


@pytest.mark.clause("3.5-04", "4.1.1.QUIT-01", "4.1.1.QUIT-06", "4.1.1.ORDER-02")
@pytest.mark.parametrize("state", [State.INITIAL, State.READY, State.MAIL, State.RCPT])
def test_quit_in_every_state(state: State) -> None:
    """4.1.1 QUIT: 221, then the end; a transaction in progress is cancelled."""
    receiver = receiver_at(state)
    envelope = receiver.envelope
    assert ask(receiver, b"QUIT\r\nNOOP\r\n") == Quit()
    receiver.accept()
    assert receiver.data_to_send() == ORDINARY_REPLIES[Verb.QUIT]
    assert receiver.next_event() == Closed(cancelled=envelope)
    receiver.receive_data(b"NOOP\r\n")
    assert receiver.next_event() == Closed(cancelled=envelope)
    assert receiver.data_to_send() == b""


def test_quit_may_be_refused() -> None:
    """4.3: 500 to QUIT leaves the session where it is."""
    receiver = receiver_at(State.RCPT)
    step(receiver, Verb.QUIT, 500)
    assert receiver.state is State.RCPT
    assert receiver.envelope == ENVELOPE


@pytest.mark.clause("4.2.1-08")
@pytest.mark.parametrize("verb", Verb)
def test_421_ends_the_session_at_every_verb(verb: Verb) -> None:
    """4.2.1: as an answer to anything, and the transaction in progress is cancelled."""
    receiver = asked(verb)
    envelope = receiver.envelope
    receiver.reply(421)
    assert receiver.data_to_send() == NOT_AVAILABLE
    assert receiver.next_event() == Closed(cancelled=envelope)


# --- The envelope -----------------------------------------------------------------------------


@pytest.mark.clause("2-03", "3.1-04", "4.1.1-04")
def test_the_envelope_at_every_step() -> None:
    """4.1.1: what the buffers hold after each reply, and when they are cleared."""
    receiver = receiver_at(State.INITIAL)
    begun = Envelope(Verb.MAIL, SMITH)
    twice = Envelope(Verb.MAIL, SMITH, (JONES, JONES))
    for verb, code, envelope in [
        (Verb.HELO, 250, None),
        (Verb.MAIL, 452, None),
        (Verb.MAIL, 250, begun),
        (Verb.RCPT, 550, begun),
        (Verb.RCPT, 250, ENVELOPE),
        (Verb.VRFY, 250, ENVELOPE),
        (Verb.EXPN, 550, ENVELOPE),
        (Verb.HELP, 214, ENVELOPE),
        (Verb.NOOP, 250, ENVELOPE),
        (Verb.RSET, 500, ENVELOPE),
        (Verb.HELO, 501, ENVELOPE),
        (Verb.RCPT, 251, twice),
        (Verb.DATA, 451, twice),
        (Verb.DATA, 354, twice),
        (Verb.END_OF_DATA, 250, None),
        (Verb.SAML, 250, Envelope(Verb.SAML, Path("<@ONE,@TWO:JOE@THREE>"))),
        (Verb.RSET, 250, None),
        (Verb.SEND, 250, Envelope(Verb.SEND, Path("<EAK@MIT-MC.ARPA>"))),
        (Verb.HELO, 250, None),
        (Verb.SOML, 250, Envelope(Verb.SOML, Path("<>"))),
        (Verb.QUIT, 221, None),
    ]:
        step(receiver, verb, code)
        assert receiver.envelope == envelope, verb


def test_a_reply_in_between_changes_nothing_before_it_is_given() -> None:
    """4.2: it is the reply that moves the session, not the command."""
    receiver = asked(Verb.RCPT)
    assert receiver.state is State.MAIL
    assert receiver.envelope == Envelope(Verb.MAIL, SMITH)
    receiver.accept()
    assert receiver.envelope == ENVELOPE


RESTARTING: Final = attrs.evolve(
    RFC821,
    name="MAIL restarts (3.1)",
    order={
        **ORDER,
        **{state: ORDER[state] | {Verb.MAIL} for state in (State.MAIL, State.RCPT)},
    },
    transitions={
        **RFC821.transitions,
        (State.RCPT, Verb.MAIL, Outcome.SUCCESS): State.MAIL,
    },
)


@pytest.mark.clause("AMB-02")
def test_a_dialect_in_which_mail_restarts() -> None:
    """3.1, AMB-02: MAIL inside a transaction begins anew, and the old recipients are gone."""
    receiver = receiver_at(State.RCPT, RESTARTING)
    assert ask(receiver, b"MAIL FROM:<>\r\n") == Mail("<>")
    receiver.accept()
    assert receiver.state is State.MAIL
    assert receiver.envelope == Envelope(Verb.MAIL, Path("<>"))
    assert ask(receiver, b"DATA\r\n") == Rejected(Reply(503), Verb.DATA, b"DATA")
    assert ask(receiver, b"MAIL FROM:<Smith@Alpha.ARPA>\r\n") == Mail(SMITH)
    receiver.accept()
    assert receiver.envelope == Envelope(Verb.MAIL, SMITH)


def test_a_refused_restart_changes_nothing() -> None:
    """4.1.1 p27: there too, only a success begins anew."""
    receiver = receiver_at(State.RCPT, RESTARTING)
    ask(receiver, b"MAIL FROM:<>\r\n")
    receiver.reply(452)
    assert receiver.state is State.RCPT
    assert receiver.envelope == ENVELOPE


# --- TURN -------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [state for state in State if state is not State.TURNED])
def test_no_turning_before_turn_is_accepted(state: State) -> None:
    """3.8: the other role is to be had once TURN is answered 250."""
    message = r"^the roles are exchanged once TURN is answered 250 \(3\.8\)$"
    with pytest.raises(LocalProtocolError, match=message):
        receiver_at(state).turned()


def test_turned() -> None:
    """3.8: TURN accepted, this end waits for the greeting of the other."""
    receiver = receiver_at(State.TURNED)
    assert receiver.next_event() == receiver.next_event() == Turned()
    sender = receiver.turned()
    assert sender.dialect is receiver.dialect
    assert sender.awaiting is Verb.CONNECT


def test_bytes_behind_turn_are_not_carried_over() -> None:
    """3.8: what a peer says before the roles are exchanged is an error, never input."""
    receiver = receiver_at(State.TURNED)
    receiver.receive_data(b"2")
    assert receiver.next_event() == Turned()
    message = "^bytes behind TURN, before the roles changed$"
    with pytest.raises(RemoteProtocolError, match=message) as info:
        receiver.turned()
    assert info.value.reply == TOO_EARLY


# --- Any cut, any input -----------------------------------------------------------------------

FRAGMENTS: Final = [
    *LINES.values(), b"\r\n", b"\r", b"\n", b".", b" ", b"x", b"\xe9", b"\0", b"DATA", b"\r\n.\r\n",
    b"mail from:<>", b"RCPT TO:<>\r\n", b"y" * 600, b"GET / HTTP/1.0\r\n",
    LINES[Verb.HELO] + LINES[Verb.MAIL] + LINES[Verb.RCPT] + LINES[Verb.DATA],
]  # fmt: skip
DIALECTS: Final = [
    RFC821,
    RFC821_LENIENT,
    STRICT_DATA,
    attrs.evolve(STRICT_DATA, limits=Limits(message=12, recipients=2, errors=5)),
    attrs.evolve(RFC821_LENIENT, foreign_words=HTTP_WORDS),
]


def refuse_some(receiver: Receiver) -> None:
    """Refuse DATA when there is one recipient, and NOOP always."""
    envelope = receiver.envelope
    if receiver.reply_owed is Verb.NOOP:
        receiver.reply(500)
    elif receiver.reply_owed is Verb.DATA and envelope and len(envelope.forward_paths) == 1:
        receiver.reply(451)
    else:
        accept(receiver)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("reply", [accept, refuse_some])
@given(
    fragments=st.lists(st.sampled_from(FRAGMENTS), max_size=25),
    sizes=st.lists(st.integers(1, 40), max_size=60),
)
def test_any_cut_gives_the_same_session(
    dialect: Dialect,
    reply: Callable[[Receiver], None],
    fragments: list[bytes],
    sizes: list[int],
) -> None:
    """Chunk invariance: the same events, the same bytes, whatever the reads."""
    data = b"".join(fragments)
    whole, pieces = Receiver(HOST, dialect), Receiver(HOST, dialect)
    events, output = converse(whole, [*cut(data), b""], reply)
    assert converse(pieces, [*cut(data, *sizes), b""], reply) == (events, output)
    assert re.fullmatch(rb"(?:[245][0-9]{2} [ -~]*\r\n|354 [ -~]*\r\n)+", output)


@pytest.mark.clause("4.2-01")
@given(fragments=st.lists(st.sampled_from(FRAGMENTS), max_size=25))
def test_every_command_line_gets_one_reply(fragments: list[bytes]) -> None:
    """4.2: as many replies as events that are owed one, and one more for each refusal."""
    receiver = Receiver(HOST)
    events, output = converse(receiver, [*cut(b"".join(fragments)), b""])
    answered = [event for event in events if not isinstance(event, (MailData, Closed, Turned))]
    assert output.count(b"\r\n") == len(answered)
