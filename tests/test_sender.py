"""The sender-SMTP: what it may say, and what it makes of every reply."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp821 import (
    NEED_COMMAND,
    NEED_DATA,
    ORDER,
    ORDINARY,
    RFC821,
    RFC821_LENIENT,
    TRANSITIONS,
    Closed,
    Command,
    Data,
    Dialect,
    Domain,
    Envelope,
    Helo,
    Limits,
    LocalProtocolError,
    Mail,
    Noop,
    Outcome,
    Path,
    Policy,
    Quit,
    Rcpt,
    RemoteProtocolError,
    Replied,
    Reply,
    Rset,
    Sender,
    State,
    TransactionCommand,
    Turned,
    Verb,
    Vrfy,
)

from .walks import EXAMPLES, HOST, LINES, WHOLE, answered, cut, say, sender_at

SMITH: Final = Path("<Smith@Alpha.ARPA>")
JONES: Final = Path("<Jones@Beta.ARPA>")
ENVELOPE: Final = Envelope(Verb.MAIL, SMITH, (JONES,))

# A state in which each verb can be said, or is awaited.
SAID_IN: Final = {
    **dict.fromkeys(Verb, State.READY),
    Verb.CONNECT: State.OPENING,
    Verb.HELO: State.INITIAL,
    Verb.RCPT: State.MAIL,
    Verb.DATA: State.RCPT,
    Verb.END_OF_DATA: State.DATA,
}
SPEAKING_STATES: Final = (
    State.REFUSED,
    State.INITIAL,
    State.READY,
    State.MAIL,
    State.RCPT,
    State.DATA,
)


def awaiting(verb: Verb) -> Sender:
    """A sender that has said what a verb stands for."""
    sender = sender_at(SAID_IN[verb])
    say(sender, verb)
    assert sender.awaiting is verb
    return sender


def reply_to(sender: Sender, data: bytes) -> Replied:
    """The reply that the bytes are taken for."""
    event = answered(sender, data)
    assert isinstance(event, Replied)
    return event


def refused(sender: Sender, act: Callable[[], None], message: str) -> None:
    """Show that an act is refused by the caller's fault, with nothing written or changed."""
    before = (sender.state, sender.awaiting, sender.envelope)
    with pytest.raises(LocalProtocolError, match=re.escape(message)):
        act()
    assert sender.data_to_send() == b""
    assert (sender.state, sender.awaiting, sender.envelope) == before


def send_all(sender: Sender, pieces: Iterable[bytes]) -> None:
    """Send a message in these pieces."""
    for piece in pieces:
        sender.send_data(piece)


def read_all(sender: Sender, pieces: Iterable[bytes]) -> None:
    """Read pieces of which none may make a reply."""
    for piece in pieces:
        assert answered(sender, piece) is NEED_DATA


# --- The opening ------------------------------------------------------------------------------


@pytest.mark.clause("4.3-03")
def test_the_greeting_comes_first() -> None:
    """4.3: the sender waits for the greeting before any command."""
    sender = Sender()
    assert sender.dialect is RFC821
    assert sender.next_event() is NEED_DATA
    message = "the reply to CONNECTION ESTABLISHMENT is to come first (4.3)"
    refused(sender, partial(sender.send, Helo("a.b")), message)
    event = answered(sender, b"220 BBN-UNIX.ARPA Simple Mail Transfer Service Ready\r\n")
    reply = Reply(220, "BBN-UNIX.ARPA Simple Mail Transfer Service Ready")
    assert event == Replied(Verb.CONNECT, reply, None)
    assert sender.next_event() is NEED_COMMAND
    sender.send(Helo("a.b"))
    assert sender.data_to_send() == b"HELO a.b\r\n"


def test_a_greeting_of_several_lines() -> None:
    """4.2: any reply may have several lines, the greeting too."""
    event = reply_to(Sender(), b"220-BBN-UNIX.ARPA hello\r\n220-\r\n220 ready\r\n")
    assert event.reply.lines == ("BBN-UNIX.ARPA hello", "", "ready")


@pytest.mark.clause("AMB-27")
@pytest.mark.parametrize("code", [400, 450, 500, 521, 554])
def test_after_a_refused_greeting_only_quit_is_legal(code: int) -> None:
    """AMB-27: any 4yz or 5yz but 421 refuses; the sender may say QUIT, and nothing else."""
    sender = Sender()
    assert reply_to(sender, b"%d no\r\n" % code).outcome is Outcome.FAILURE
    for verb, command in EXAMPLES.items():
        if verb is not Verb.QUIT:
            message = f"{verb} is not legal in state REFUSED; QUIT is"
            refused(sender, partial(sender.send, command), message)
    sender.send(Quit())
    reply_to(sender, b"221 bye\r\n")
    assert sender.next_event() == Closed()


def test_a_greeting_of_421_closes() -> None:
    """4.3: 421 instead of a greeting is the end, and no QUIT is needed (AMB-28)."""
    sender = Sender()
    assert reply_to(sender, b"421 no service\r\n").outcome is Outcome.CLOSING
    assert sender.next_event() == Closed()


# --- Every reply to everything ----------------------------------------------------------------


def unexpected(verb: Verb, code: int) -> bool:
    """Whether the diagrams of 4.4 call a reply an error: 3yz, or 2yz to DATA."""
    return code // 100 == (2 if verb is Verb.DATA else 3)


@pytest.mark.clause("4.3-07", "4.4-01", "4.4-02", "4.4-03", "E-02", "AMB-30")
@pytest.mark.parametrize("verb", Verb)
def test_every_code_has_its_outcome(verb: Verb) -> None:
    """4.4: the first digit decides, in the table of 4.3 or not, and the state follows."""
    for code in range(200, 600):
        if unexpected(verb, code):
            continue
        sender = awaiting(verb)
        state, envelope = sender.state, sender.envelope
        event = reply_to(sender, b"%d text\r\n" % code)
        assert event == Replied(verb, Reply(code, "text"), EXAMPLES.get(verb))
        result = {2: "S", 3: "I", 4: "F", 5: "F"}[code // 100] if code != 421 else "421"
        assert event.outcome.value == result
        assert sender.state is TRANSITIONS.get((state, verb, event.outcome), state)
        assert sender.awaiting is None
        ends = {State.CLOSED: Closed(None, envelope), State.TURNED: Turned()}
        assert sender.next_event() == ends.get(sender.state, NEED_COMMAND)


@pytest.mark.clause("4.4-01", "4.4-02", "AMB-32")
@pytest.mark.parametrize("verb", Verb)
def test_every_unexpected_code_ends_the_session(verb: Verb) -> None:
    """4.4, AMB-32: 3yz, and 2yz to DATA, are errors of the peer, raised again and again."""
    for code in filter(lambda code: unexpected(verb, code), range(200, 600)):
        sender = awaiting(verb)
        message = f"a reply {code} to {verb}, which has no such answer"
        with pytest.raises(RemoteProtocolError, match=message) as first:
            answered(sender, b"%d text\r\n" % code)
        with pytest.raises(RemoteProtocolError) as second:
            sender.next_event()
        assert second.value is first.value
        assert first.value.reply is None
        assert sender.state is State.CLOSED
        assert sender.envelope is None


def test_an_error_that_is_raised_again_does_not_grow() -> None:
    """Whoever goes on asking a broken sender keeps nothing of how often it was told so."""
    sender = Sender()
    sender.receive_data(b"2O0 ready\r\n")
    lengths = []
    for _ in range(5):
        with pytest.raises(RemoteProtocolError) as raised:
            sender.next_event()
        lengths.append(len(list(traceback.walk_tb(raised.value.__traceback__))))
    assert len(set(lengths[1:])) == 1


@pytest.mark.clause("AMB-32")
def test_an_unexpected_354_begins_no_data() -> None:
    """AMB-32: 354 to anything but DATA does not ask for mail data."""
    sender = awaiting(Verb.RCPT)
    with pytest.raises(RemoteProtocolError):
        answered(sender, b"354 go\r\n")
    refused(sender, partial(sender.send_data, b"x"), "not legal in state CLOSED; nothing is")


@pytest.mark.clause("2-06", "4.2-03")
@pytest.mark.parametrize("text", [b"OK", b"", b"500 Error", b"\xff\x00", b"ERROR 421"])
def test_the_text_of_a_reply_means_nothing(text: bytes) -> None:
    """4.2: the number decides, the text is for people."""
    sender = awaiting(Verb.RCPT)
    assert reply_to(sender, b"250 " + text + b"\r\n").outcome is Outcome.SUCCESS
    assert sender.state is State.RCPT


@pytest.mark.clause("3.2-04", "3.2-05")
def test_251_and_551_tell_a_path() -> None:
    """3.2: 251 is a success, 551 a failure, and both say which path to use."""
    sender = awaiting(Verb.RCPT)
    event = reply_to(sender, b"551 User not local; please try <a@b.c>\r\n")
    assert (event.outcome, event.reply.forward_path) == (Outcome.FAILURE, Path("<a@b.c>"))
    say(sender, Verb.RCPT)
    event = reply_to(sender, b"251 User not local; will forward to <a@b.c>\r\n")
    assert (event.outcome, event.reply.forward_path) == (Outcome.SUCCESS, Path("<a@b.c>"))
    assert sender.envelope == ENVELOPE  # as it was sent


@pytest.mark.clause("4.2-06")
@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("size", [1, 1000])
def test_any_reply_may_have_several_lines(verb: Verb, size: int) -> None:
    """4.2: "to any command", be it a success, a refusal, or the notice of closing."""
    for code in (ORDINARY[verb], 550, 421):
        sender = awaiting(verb)
        *pieces, last = cut(b"%d-first\r\n%d-\r\n%d last\r\n" % (code, code, code), *[size] * 99)
        read_all(sender, pieces)
        assert reply_to(sender, last).reply == Reply(code, ("first", "", "last"))


def test_a_reply_byte_by_byte() -> None:
    """4.2: nothing is a reply before its last line has its CRLF."""
    sender, data = awaiting(Verb.MAIL), b"250-first\r\n250 last\r\n"
    read_all(sender, cut(data[:-1], *[1] * len(data)))
    assert reply_to(sender, data[-1:]).reply == Reply(250, ("first", "last"))


@pytest.mark.clause("4.2-04")
@given(
    lines=st.lists(st.from_regex(rb"[ -~]{0,80}", fullmatch=True), min_size=1, max_size=5),
    sizes=st.lists(st.integers(1, 30), max_size=30),
)
def test_a_reply_in_any_cut(lines: list[bytes], sizes: list[int]) -> None:
    """Chunk invariance: a reply of any lines is the same, whatever the reads."""
    sender = awaiting(Verb.HELP)
    data = b"".join(b"214-%s\r\n" % line for line in lines) + b"214 end\r\n"
    events = [answered(sender, piece) for piece in cut(data, *sizes)]
    assert set(events[:-1]) <= {NEED_DATA}
    text = (*(line.decode() for line in lines), "end")
    assert events[-1] == Replied(Verb.HELP, Reply(214, text), EXAMPLES[Verb.HELP])


# --- What may be said -------------------------------------------------------------------------


@pytest.mark.parametrize("verb", [verb for verb in Verb if verb in EXAMPLES])
def test_each_command_on_the_wire(verb: Verb) -> None:
    """4.1.2: exactly one line, and then its reply is awaited."""
    sender = sender_at(SAID_IN[verb])
    sender.send(EXAMPLES[verb])
    assert sender.data_to_send() == LINES[verb]
    assert sender.data_to_send() == b""
    assert sender.awaiting is verb
    assert sender.next_event() is NEED_DATA


@pytest.mark.clause("3.1-16", "AMB-06")
@pytest.mark.parametrize("state", [*SPEAKING_STATES, State.TURNED, State.CLOSED])
def test_what_is_not_legal_is_refused(state: State) -> None:
    """4.1.1 p27: an illegal call names what is legal, writes nothing and changes nothing."""
    sender = sender_at(state)
    legal = ", ".join(sorted(verb.value for verb in ORDER[state])) or "nothing"
    for verb in EXAMPLES.keys() - ORDER[state]:
        message = f"{verb} is not legal in state {state}; {legal} is"
        refused(sender, partial(sender.send, EXAMPLES[verb]), message)
    if state is not State.DATA:
        message = f"END OF DATA is not legal in state {state}; {legal} is"
        refused(sender, partial(sender.send_data, b"x"), message)
        refused(sender, sender.end_data, message)


@pytest.mark.clause("2-02", "4.3-01")
@pytest.mark.parametrize("verb", Verb)
def test_one_thing_at_a_time(verb: Verb) -> None:
    """4.3: while a reply is awaited nothing can be said, be it legal afterwards or not."""
    sender = awaiting(verb)
    message = f"the reply to {verb} is to come first (4.3)"
    for command in EXAMPLES.values():
        refused(sender, partial(sender.send, command), message)
    refused(sender, partial(sender.send_data, b"x"), message)
    refused(sender, sender.end_data, message)
    assert sender.next_event() is NEED_DATA


def test_mail_data_only_after_354() -> None:
    """4.4: after a refused DATA there is no mail data to be sent."""
    sender = awaiting(Verb.DATA)
    reply_to(sender, b"451 later\r\n")
    message = "END OF DATA is not legal in state RCPT"
    refused(sender, partial(sender.send_data, b"x"), message)
    refused(sender, sender.end_data, message)


# --- Forged commands --------------------------------------------------------------------------


def forged(base: type[Command], text: str, *arguments: str) -> Command:
    """A command whose text is another than its value."""
    return type("Forged", (base,), {"__str__": lambda _: text})(*arguments)  # type: ignore[no-any-return]


@pytest.mark.clause("AMB-12")
@pytest.mark.parametrize(
    ("base", "text", "message"),
    [
        (Noop, "NOOP\r\nQUIT", "only printable ASCII"),
        (Noop, "NOOP\n", "only printable ASCII"),
        (Noop, "NOOP\r", "only printable ASCII"),
        (Noop, "NOOP\0", "only printable ASCII"),
        (Noop, "N\u00d6\u00d6P", "only printable ASCII"),
        (Noop, "NOOP\u2028", "only printable ASCII"),
        (Noop, "NOOP\x7f", "only printable ASCII"),
        (Noop, "", "is not what NOOP looks like"),
        (Noop, "noop", "is not what NOOP looks like"),
        (Noop, "QUIT", "is not what NOOP looks like"),
        (Noop, "XYZZY", "is not what NOOP looks like"),
        (Noop, "NOOPX", "NOOPX: Syntax error"),
        (Noop, "NOOP now", "NOOP now: Syntax error"),
        (Data, "MAIL FROM:<a@b.c>", "is not what DATA looks like"),
        (Rset, "RSET" + " " * 507, "at most 512 octets"),
        (Noop, "NOOP  ", "is written 'NOOP'"),
    ],
)
def test_a_forged_command_is_refused(base: type[Command], text: str, message: str) -> None:
    """4.1.2: no command can put anything on the wire that is not one command of its verb."""
    sender = sender_at(State.READY)
    refused(sender, partial(sender.send, forged(base, text)), message)


@pytest.mark.parametrize("path", ["<a@b.c>\r\nRCPT TO:<x@y.z>", "<a@b.c> <x@y.z>", "a@b.c", "<>"])
def test_a_path_that_was_forced_in_is_refused(path: str) -> None:
    """4.1.2: what is sent is read first, as a receiver would read it."""
    sender, command = sender_at(State.MAIL), Rcpt(JONES)
    object.__setattr__(command, "forward_path", path)
    with pytest.raises(LocalProtocolError):
        sender.send(command)
    assert sender.data_to_send() == b""
    sender.send(Rcpt(JONES))


@pytest.mark.parametrize(
    "thing",
    [None, "NOOP", b"NOOP\r\n", 250, Noop, Verb.NOOP, Command(), TransactionCommand("<a@b.c>")],
)
def test_what_is_no_command_is_refused(thing: Any) -> None:
    """Only the fourteen commands can be sent."""
    sender = sender_at(State.READY)
    refused(sender, partial(sender.send, thing), "is no command")


@given(text=st.text(alphabet=st.sampled_from('MAILFRO: <>a@b.c\r\n\0\u00e9\\"'), max_size=40))
def test_nothing_but_a_command_reaches_the_wire(text: str) -> None:
    """Whatever the text of a command, what is written is one line that a receiver accepts."""
    sender, command = sender_at(State.READY), forged(Mail, text, "<a@b.c>")
    try:
        sender.send(command)
    except LocalProtocolError:
        assert sender.data_to_send() == b""
    else:
        assert re.fullmatch(rb"MAIL +FROM:<[ -~]*> *\r\n", sender.data_to_send())


# --- Sizes as ceilings ------------------------------------------------------------------------

HOSTS: Final = ",".join(["@" + "h" * 62] * 3)


@pytest.mark.clause("4.5.3-02", "4.5.3-04", "4.5.3-06", "4.5.3-08", "4.5.3-10", "AMB-41")
@pytest.mark.parametrize(
    ("state", "largest", "too_large", "message"),
    [
        (
            State.MAIL,
            Rcpt(f"<{'u' * 64}@b.c>"),
            Rcpt(f"<{'u' * 65}@b.c>"),
            "User name too long",
        ),
        (
            State.READY,
            Mail(f"<u@{'d' * 61}.cc>"),
            Mail(f"<u@{'d' * 62}.cc>"),
            "Domain too long",
        ),
        (
            State.INITIAL,
            Helo(f"{'d' * 61}.cc"),
            Helo(f"{'d' * 62}.cc"),
            "Domain too long",
        ),
        (
            State.MAIL,
            Rcpt(f"<{HOSTS}:{'u' * 8}@{'d' * 53}>"),  # 256 with its brackets (AMB-41)
            Rcpt(f"<{HOSTS}:{'u' * 9}@{'d' * 53}>"),
            "Path too long",
        ),
        (
            State.READY,
            Vrfy("x" * 505),
            Vrfy("x" * 506),
            "a command line has at most 512 octets",
        ),
    ],
)
def test_sizes_of_commands(
    state: State, largest: Command, too_large: Command, message: str
) -> None:
    """4.5.3: user 64, domain 64, path 256, line 512 are sent; one more is refused."""
    sender = sender_at(state)
    refused(sender, partial(sender.send, too_large), message)
    sender.send(largest)
    assert sender.data_to_send() == bytes(largest)


def test_the_path_of_these_tests_has_256_characters() -> None:
    """4.5.3, AMB-41: counted without its brackets."""
    assert len(f"{HOSTS}:{'u' * 10}@{'d' * 53}") == 256


@pytest.mark.clause("4.5.3-16")
def test_a_hundred_recipients_and_no_more() -> None:
    """4.5.3: the hundred that were accepted are all; those that were refused do not count."""
    sender = sender_at(State.MAIL)
    for number in range(100):
        sender.send(Rcpt(f"<u{number}@b.c>"))
        reply_to(sender, b"550 no\r\n")
        sender.send(Rcpt(f"<u{number}@b.c>"))
        reply_to(sender, b"250 OK\r\n")
    sender.data_to_send()
    message = (
        "100 recipients is all that one transaction may have (4.5.3); send the message to the rest "
        "in another"
    )
    refused(sender, partial(sender.send, Rcpt("<one-more@b.c>")), message)
    sender.send(Data())
    assert sender.envelope is not None
    assert len(sender.envelope.forward_paths) == 100


def test_the_limit_of_recipients_is_the_dialects() -> None:
    """4.5.3: another number, or none, where a dialect has it so."""
    one = sender_at(State.RCPT, attrs.evolve(WHOLE, limits=Limits(recipients=1)))
    refused(one, partial(one.send, Rcpt(JONES)), "1 recipients is all")
    many = sender_at(State.MAIL, attrs.evolve(WHOLE, limits=Limits(recipients=None)))
    for _ in range(101):
        many.send(Rcpt(JONES))
        reply_to(many, b"250 OK\r\n")


@pytest.mark.clause("4.5.3-14", "AMB-44")
@pytest.mark.parametrize("line", [b"x" * 998, b"." + b"x" * 997, b"." * 998])
@pytest.mark.parametrize("size", [1, 7, 500, 2000])
def test_the_longest_text_line(line: bytes, size: int) -> None:
    """4.5.3, AMB-44: 1000 octets with CRLF, the doubled dot not counted; 1001 are refused."""
    sender = sender_at(State.DATA)
    send_all(sender, cut(line + b"\r\n", *[size] * 1000))
    stuffed = b"." + line if line.startswith(b".") else line
    assert sender.data_to_send() == stuffed + b"\r\n"
    with pytest.raises(LocalProtocolError, match="a line of over 1000 octets"):
        send_all(sender, cut(line + b"x\r\n", *[size] * 1000))
    assert sender.state is State.DATA


# --- Mail data --------------------------------------------------------------------------------


@pytest.mark.clause("3.1-12", "AMB-37")
@pytest.mark.parametrize(
    ("data", "wire"),
    [
        (b"", b".\r\n"),
        (b"x", b"x\r\n.\r\n"),
        (b"x\r\n", b"x\r\n.\r\n"),
        (b"\r\n", b"\r\n.\r\n"),
        (b".", b"..\r\n.\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b"..x\r\n.\r\n", b"...x\r\n..\r\n.\r\n"),
        (b"a\n.b\n", b"a\r\n..b\r\n.\r\n"),
        (b"a\r\n\r\n", b"a\r\n\r\n.\r\n"),
    ],
)
def test_mail_data_on_the_wire(data: bytes, wire: bytes) -> None:
    """4.5.2, AMB-36, AMB-37: dots doubled, lines in CRLF, the end found once, for every cut."""
    for pieces in ([data], cut(data, *[1] * len(data))):
        sender = sender_at(State.DATA)
        written = b""
        for piece in pieces:
            sender.send_data(piece)
            written += sender.data_to_send()
            assert sender.next_event() is NEED_COMMAND
        sender.end_data()
        assert written + sender.data_to_send() == wire
        assert sender.awaiting is Verb.END_OF_DATA


@given(
    data=st.lists(st.sampled_from([b".", b"\r\n", b"\n", b"x", b".."])).map(b"".join),
    sizes=st.lists(st.integers(1, 5), max_size=40),
)
def test_mail_data_in_any_cut(data: bytes, sizes: list[int]) -> None:
    """4.5.2: what is written is the message in CRLF, stuffed line by line, and a lone dot."""
    sender = sender_at(State.DATA)
    send_all(sender, cut(data, *sizes))
    sender.end_data()
    lines = data.replace(b"\r\n", b"\n").removesuffix(b"\n").split(b"\n") if data else []
    stuffed = [b"." + line if line.startswith(b".") else line for line in lines]
    assert sender.data_to_send() == b"".join(line + b"\r\n" for line in [*stuffed, b"."])


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_mail_data_in_any_form(kind: type) -> None:
    """bytes, bytearray and memoryview mean the same, and may be used again."""
    sender = sender_at(State.DATA)
    sender.send_data(kind(b".x"))
    assert sender.data_to_send() == b"..x"


@pytest.mark.clause("AMB-36", "AMB-39")
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a\rb", "a CR without its LF, at about offset 1"),
        (b"M\xc3\xbcller", "an octet with its high bit set (4.5.2), at about offset 1"),
    ],
)
def test_mail_data_that_must_not_be_sent(data: bytes, message: str) -> None:
    """AMB-36, AMB-39: a lone CR and 8-bit data are refused, with nothing written."""
    sender = sender_at(State.DATA)
    refused(sender, partial(sender.send_data, data), message)
    sender.send_data(b"x\r")
    assert sender.data_to_send() == b"x"
    refused(sender, sender.end_data, "ends in a CR without its LF")


LONG_LINE: Final = b"x" * 5000 + b"\r\n.\r\n"


@pytest.mark.parametrize(
    ("dialect", "data", "wire"),
    [
        (RFC821_LENIENT, b"\xe9\n", b"\xe9\r\n.\r\n"),
        (attrs.evolve(WHOLE, line_feeds=Policy.PASS), b"a\nb\r", b"a\nb\r\r\n.\r\n"),
        (attrs.evolve(WHOLE, line_feeds=Policy.REFUSE), b"a\r\n", b"a\r\n.\r\n"),
        (attrs.evolve(RFC821, limits=Limits(text_line=None)), b"x" * 5000, LONG_LINE),
    ],
)
def test_the_policies_of_the_dialect(dialect: Dialect, data: bytes, wire: bytes) -> None:
    """AMB-36, AMB-39: what the dialect lets pass is sent as it is."""
    sender = sender_at(State.DATA, dialect)
    sender.send_data(data)
    sender.end_data()
    assert sender.data_to_send() == wire


def test_two_messages_in_one_session() -> None:
    """4.1.1 DATA: nothing of one message is in the next, not even the middle of its line."""
    sender = sender_at(State.DATA)
    for _ in range(2):
        sender.send_data(b".x")
        sender.end_data()
        assert sender.data_to_send() == b"..x\r\n.\r\n"
        reply_to(sender, b"250 OK\r\n")
        for verb, code in ((Verb.MAIL, 250), (Verb.RCPT, 250), (Verb.DATA, 354)):
            say(sender, verb)
            reply_to(sender, b"%d text\r\n" % code)


# --- Out of step ------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [*SPEAKING_STATES, State.TURNED])
@pytest.mark.parametrize("code", [220, 250, 354, 450, 554])
def test_a_reply_that_nothing_awaits(state: State, code: int) -> None:
    """4.3: the two ends are out of step, so the session is over; it is raised for ever."""
    sender = sender_at(state)
    sender.receive_data(b"%d text\r\n" % code)
    with pytest.raises(RemoteProtocolError, match=f"a reply {code} that nothing awaits") as first:
        sender.next_event()
    for _ in range(3):
        with pytest.raises(RemoteProtocolError) as again:
            sender.next_event()
        assert again.value is first.value
    assert sender.state is State.CLOSED
    refused(sender, partial(sender.send, Quit()), "not legal in state CLOSED; nothing is")


@pytest.mark.clause("AMB-28")
@pytest.mark.parametrize("state", [*SPEAKING_STATES, State.TURNED])
def test_421_may_come_unasked(state: State) -> None:
    """AMB-28: a notice of closing answers nothing, and is the end."""
    sender = sender_at(state)
    envelope = sender.envelope
    event = reply_to(sender, b"421 BBN-UNIX.ARPA Shutting down\r\n")
    assert event == Replied(None, Reply(421, "BBN-UNIX.ARPA Shutting down"), None)
    assert event.outcome is Outcome.CLOSING
    for _ in range(3):
        assert sender.next_event() == Closed(None, envelope)
    assert sender.envelope is None


@pytest.mark.clause("AMB-28")
@pytest.mark.parametrize("verb", Verb)
def test_421_at_every_step(verb: Verb) -> None:
    """4.2.1, AMB-28: 421 to anything is its answer, and the end of the session."""
    sender = awaiting(verb)
    envelope = sender.envelope
    event = reply_to(sender, b"421 later\r\n250 OK\r\nwhatever")
    assert (event.verb, event.outcome) == (verb, Outcome.CLOSING)
    assert sender.next_event() == Closed(None, envelope)
    refused(sender, partial(sender.send, Quit()), "not legal in state CLOSED; nothing is")


OUT_OF_TURN: Final = r"^the peer has spoken out of turn, behind its last reply$"


@pytest.mark.parametrize("behind", [b"250 OK\r\n", b"250-OK\r\n", b"2", b"\r", b"rubbish"])
@pytest.mark.parametrize("verb", [verb for verb in Verb if verb not in (Verb.QUIT, Verb.TURN)])
def test_bytes_behind_a_reply(verb: Verb, behind: bytes) -> None:
    """4.3: what stands behind the awaited reply never answers what is said next."""
    sender = awaiting(verb)
    code = {Verb.CONNECT: 220, Verb.DATA: 354}.get(verb, 250)
    reply_to(sender, b"%d text\r\n" % code + behind)
    state, envelope = sender.state, sender.envelope
    for command in (EXAMPLES[legal] for legal in ORDER[state] if legal in EXAMPLES):
        with pytest.raises(RemoteProtocolError, match=OUT_OF_TURN):
            sender.send(command)
    if state is State.DATA:
        with pytest.raises(RemoteProtocolError, match=OUT_OF_TURN):
            sender.end_data()
    assert sender.data_to_send() == b""
    assert (sender.state, sender.awaiting, sender.envelope) == (state, None, envelope)


def test_354_and_250_in_one_write() -> None:
    """4.3: a 250 that was there before the message was sent does not confirm it."""
    sender = awaiting(Verb.DATA)
    reply_to(sender, b"354 go\r\n250 OK\r\n")
    with pytest.raises(RemoteProtocolError, match=OUT_OF_TURN):
        sender.send_data(b"x")
    with pytest.raises(RemoteProtocolError, match="a reply 250 that nothing awaits"):
        sender.next_event()
    assert sender.data_to_send() == b""


@pytest.mark.clause("4.4-04")
def test_250_in_the_middle_of_the_message() -> None:
    """4.4: a reply between the lines of the data is out of turn, and confirms nothing."""
    sender = sender_at(State.DATA)
    sender.send_data(b"x\r\n")
    sender.receive_data(b"250 OK\r\n")
    with pytest.raises(RemoteProtocolError, match=OUT_OF_TURN):
        sender.end_data()
    with pytest.raises(RemoteProtocolError, match="that nothing awaits"):
        sender.next_event()
    assert sender.state is State.CLOSED


@pytest.mark.clause("4.3-08", "E-15")
@pytest.mark.parametrize(
    "data",
    [
        b"25 OK\r\n", b"2500 OK\r\n", b"abc\r\n", b"250_OK\r\n", b"150 OK\r\n", b"600 OK\r\n",
        b"\r\n", b" 250 OK\r\n", b"250-a\r\n251 b\r\n", b"250 a\nb\r\n",
        b"250 " + b"x" * 507 + b"\r\n", b"250-x\r\n" * 1024 + b"250 x\r\n",
    ],
)  # fmt: skip
def test_a_malformed_reply(data: bytes) -> None:
    """E-15: no result, no further use of the connection; the same in one read and bytewise."""
    for pieces in ([data], cut(data, *[1] * len(data))):
        sender = awaiting(Verb.MAIL)
        with pytest.raises(RemoteProtocolError) as first:
            read_all(sender, pieces)
        with pytest.raises(RemoteProtocolError) as again:
            sender.next_event()
        assert again.value is first.value
        assert sender.state is State.CLOSED
        refused(sender, partial(sender.send, Rset()), "nothing is")


# --- The end ----------------------------------------------------------------------------------


@pytest.mark.clause("4.1.1.QUIT-05")
@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("half", [b"", b"2", b"250 OK", b"250 OK\r", b"250-OK\r\n", b"354 go"])
def test_the_end_of_file_is_never_a_result(verb: Verb, half: bytes) -> None:
    """4.1.1 QUIT: what was not answered counts as a temporary failure, never as a success."""
    sender = awaiting(verb)
    envelope = sender.envelope
    for piece in cut(half):
        assert answered(sender, piece) is NEED_DATA
    sender.receive_data(b"")
    for _ in range(3):
        assert sender.next_event() == Closed(verb, envelope)
    assert (sender.state, sender.awaiting, sender.envelope) == (State.CLOSED, None, None)


@pytest.mark.parametrize("state", SPEAKING_STATES)
def test_the_end_of_file_between_commands(state: State) -> None:
    """4.1.1 QUIT: nothing is unanswered, but a transaction in progress comes to nothing."""
    sender = sender_at(state)
    envelope = sender.envelope
    assert answered(sender, b"") == Closed(None, envelope)
    assert sender.envelope is None
    refused(sender, partial(sender.send, Noop()), "not legal in state CLOSED; nothing is")


def test_the_end_of_file_behind_a_reply() -> None:
    """4.1.1 QUIT: a reply that is complete counts, though the channel closes behind it."""
    sender = awaiting(Verb.END_OF_DATA)
    sender.receive_data(b"250 OK\r\n")
    sender.receive_data(b"")
    event = sender.next_event()
    assert isinstance(event, Replied)
    assert (event.verb, event.outcome) == (Verb.END_OF_DATA, Outcome.SUCCESS)
    assert sender.next_event() == Closed(None, None)


def test_what_is_said_after_an_unseen_end_of_file_is_unanswered() -> None:
    """4.1.1 QUIT: the end is told by next_event, also of what was said in the meantime."""
    sender = sender_at(State.READY)
    sender.receive_data(b"")
    sender.send(Noop())
    assert sender.next_event() == Closed(Verb.NOOP)


@pytest.mark.clause("4.1.1.QUIT-06")
@pytest.mark.parametrize("state", [state for state in SPEAKING_STATES if state is not State.DATA])
def test_quit_in_every_state(state: State) -> None:
    """4.1.1 QUIT: 221 is the end, and bytes behind it are not read."""
    sender = sender_at(state)
    envelope = sender.envelope
    sender.send(Quit())
    assert sender.data_to_send() == b"QUIT\r\n"
    reply_to(sender, b"221 bye\r\nrubbish\r\n")
    assert sender.next_event() == Closed(None, envelope)


# --- Errors that keep a session usable --------------------------------------------------------


@pytest.mark.parametrize("code", [450, 451, 452, 500, 501, 503, 550, 552, 599])
def test_after_a_refused_mail_the_session_goes_on(code: int) -> None:
    """4.3, 4.4: 500 and 501 to MAIL too are failures of the command, not of the session."""
    sender = awaiting(Verb.MAIL)
    assert reply_to(sender, b"%d no\r\n" % code).outcome is Outcome.FAILURE
    assert (sender.state, sender.envelope) == (State.READY, None)
    say(sender, Verb.MAIL)
    assert reply_to(sender, b"250 OK\r\n").outcome is Outcome.SUCCESS
    assert sender.state is State.MAIL


@pytest.mark.parametrize("code", [450, 451, 452, 500, 550, 552, 554])
def test_after_a_refused_message_the_session_goes_on(code: int) -> None:
    """4.1.1 DATA: any 4yz or 5yz refuses the message, and the next may be sent."""
    sender = awaiting(Verb.END_OF_DATA)
    assert reply_to(sender, b"%d no\r\n" % code).outcome is Outcome.FAILURE
    assert (sender.state, sender.envelope) == (State.READY, None)
    assert say(sender, Verb.MAIL) == LINES[Verb.MAIL]


def test_one_refused_recipient_does_not_sink_the_rest() -> None:
    """2, 3.1: each recipient has an answer of its own."""
    sender = sender_at(State.MAIL)
    outcomes = []
    for number, code in enumerate([250, 550, 251, 452, 250]):
        sender.send(Rcpt(f"<u{number}@b.c>"))
        outcomes.append(reply_to(sender, b"%d text\r\n" % code).outcome.value)
    assert outcomes == ["S", "F", "S", "F", "S"]
    assert sender.envelope == Envelope(
        Verb.MAIL, SMITH, tuple(Path(f"<u{number}@b.c>") for number in (0, 2, 4))
    )


def test_the_envelope_at_every_step() -> None:
    """4.1.1: the sender knows what the buffers of the receiver hold."""
    sender = sender_at(State.INITIAL)
    begun = Envelope(Verb.MAIL, SMITH)
    for verb, code, envelope in [
        (Verb.HELO, 250, None),
        (Verb.MAIL, 250, begun),
        (Verb.RCPT, 550, begun),
        (Verb.RCPT, 250, ENVELOPE),
        (Verb.NOOP, 250, ENVELOPE),
        (Verb.RSET, 504, ENVELOPE),
        (Verb.DATA, 554, ENVELOPE),
        (Verb.DATA, 354, ENVELOPE),
        (Verb.END_OF_DATA, 250, None),
        (Verb.SOML, 250, Envelope(Verb.SOML, Path("<>"))),
        (Verb.RSET, 250, None),
        (Verb.MAIL, 250, begun),
        (Verb.HELO, 250, None),
    ]:
        say(sender, verb)
        reply_to(sender, b"%d text\r\n" % code)
        assert sender.envelope == envelope, verb


@pytest.mark.clause("AMB-02")
def test_a_dialect_in_which_mail_restarts() -> None:
    """3.1, AMB-02: where the dialect has it so, MAIL may be sent inside a transaction."""
    order = {**ORDER, State.RCPT: ORDER[State.RCPT] | {Verb.MAIL}}
    moves = {**TRANSITIONS, (State.RCPT, Verb.MAIL, Outcome.SUCCESS): State.MAIL}
    sender = sender_at(State.RCPT, attrs.evolve(RFC821, order=order, transitions=moves))
    sender.send(Mail("<>"))
    reply_to(sender, b"250 OK\r\n")
    assert (sender.state, sender.envelope) == (State.MAIL, Envelope(Verb.MAIL, Path("<>")))


# --- TURN -------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [state for state in State if state is not State.TURNED])
@pytest.mark.parametrize("half", [b"", b"25"])
def test_no_turning_before_turn_is_accepted(state: State, half: bytes) -> None:
    """3.8: the other role is to be had once TURN is answered 250, whatever was read so far."""
    sender = sender_at(state)
    if half and state is not State.CLOSED:
        sender.receive_data(half)
    with pytest.raises(LocalProtocolError) as caught:
        sender.turned(HOST)
    assert str(caught.value) == "the roles are exchanged once TURN is answered 250 (3.8)"


def test_turned() -> None:
    """3.8: TURN accepted, this end becomes a receiver of the same dialect, and greets."""
    sender = sender_at(State.TURNED)
    assert sender.next_event() == sender.next_event() == Turned()
    receiver = sender.turned(HOST)
    assert receiver.dialect is sender.dialect
    assert receiver.domain == Domain(HOST)
    assert receiver.state is State.OPENING
    with pytest.raises(LocalProtocolError, match="is not a Domain"):
        sender.turned("two words")


BEHIND_TURN: Final = "bytes behind the reply to TURN, before the roles change"


@pytest.mark.parametrize(
    ("early", "told"),
    [
        (b"2", BEHIND_TURN),
        (b"220 BBN-UNIX.ARPA\r\n", "a reply 220 that nothing awaits"),
        (b"\r\n", "a malformed reply line: b''"),
    ],
)
@pytest.mark.parametrize("asked", [False, True])
def test_bytes_behind_the_reply_to_turn(early: bytes, told: str, asked: bool) -> None:
    """3.8: what a peer says before the roles are exchanged is an error, never carried over."""
    sender = sender_at(State.TURNED)
    sender.receive_data(early)
    if asked:
        with pytest.raises(RemoteProtocolError) as caught:
            sender.next_event()
        assert str(caught.value) == told
    with pytest.raises(RemoteProtocolError) as caught:
        sender.turned(HOST)
    assert str(caught.value) == (told if asked else BEHIND_TURN)
