"""What holds for all input, in any cut: the promises of the README, as properties."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from smtp821 import (
    HTTP_WORDS,
    NEED_COMMAND,
    NEED_DATA,
    ORDER,
    RFC821,
    RFC821_LENIENT,
    Closed,
    Code,
    Command,
    Connected,
    Data,
    Dialect,
    DotDecoder,
    DotEncoder,
    EndOfData,
    Event,
    Helo,
    Limits,
    LocalProtocolError,
    Mail,
    MailData,
    Noop,
    Path,
    Policy,
    Quit,
    Rcpt,
    Receiver,
    Rejected,
    RemoteProtocolError,
    Replied,
    Reply,
    Rset,
    Sender,
    State,
    Turned,
    Verb,
)
from smtp821.testing import strategies as given_by
from smtp821.testing.pair import Answer, Host, Pair, accept, joined, pull

from .driving import (
    EVERYTHING,
    HOST,
    legal_reply,
    mail_data,
    receiver_in,
    refuse_every,
    sender_in,
    serve,
    split_replies,
)

FREE = attrs.evolve(
    RFC821,
    name="everything passes",
    eight_bit=Policy.PASS,
    line_feeds=Policy.PASS,
    limits=Limits(text_line=None),
)
DIALECTS = {
    "strict": RFC821,
    "lenient": RFC821_LENIENT,
    "everything": EVERYTHING,
    "free": FREE,
    "clean": attrs.evolve(RFC821, bare_newlines=Policy.REFUSE, eight_bit=Policy.REFUSE),
    "small": attrs.evolve(FREE, limits=Limits(message=12, text_line=None)),
    "small and clean": attrs.evolve(
        RFC821, bare_newlines=Policy.REFUSE, limits=Limits(message=12, recipients=1)
    ),
    "impatient": attrs.evolve(RFC821, limits=Limits(errors=2), foreign_words=HTTP_WORDS),
}


def closing_at(n: int) -> Answer:
    """Accept, but say 421 instead of the n-th reply."""
    left = itertools.count(n, -1)

    def answer(receiver: Receiver) -> None:
        if next(left) == 1:
            receiver.shutdown()
        else:
            accept(receiver)

    return answer


ANSWERS: st.SearchStrategy[Callable[[], Answer]] = st.one_of(
    st.just(lambda: accept),
    st.integers(2, 6).map(lambda n: lambda: refuse_every(n)),
    st.integers(2, 9).map(lambda n: lambda: closing_at(n)),
)

# --- any cut of the input -----------------------------------------------------------------------


@pytest.mark.clause("4.1.1-01")
@pytest.mark.parametrize("name", DIALECTS)
@given(st.data(), given_by.client_streams(), ANSWERS)
def test_a_receiver_is_blind_to_the_cut(
    name: str, data: st.DataObject, stream: bytes, answer: Callable[[], Answer]
) -> None:
    """4.1.1: a command ends at its CRLF, and nothing else about the bytes' arrival matters."""
    dialect = DIALECTS[name]
    batches = data.draw(given_by.chunkings(stream))
    whole = serve(dialect, [[stream]] if stream else [], answer())
    assert serve(dialect, batches, answer()) == whole


@given(st.data(), st.sampled_from(list(State)), st.binary(max_size=200))
def test_a_receiver_is_blind_to_the_cut_of_any_bytes(
    data: st.DataObject, state: State, noise: bytes
) -> None:
    """The same for bytes that mean nothing, in every state that reads."""
    assume(state in (State.INITIAL, State.READY, State.MAIL, State.RCPT, State.DATA))
    seen = []
    for batches in ([[noise]] if noise else [], data.draw(given_by.chunkings(noise))):
        receiver = receiver_in(state, FREE)
        events: list[Event] = []
        for piece in itertools.chain(*batches, [b""]):
            receiver.receive_data(piece)
            events += pull(receiver) if receiver.state is not State.CLOSED else []
        seen.append((joined(events), receiver.data_to_send(), receiver.state))
    assert seen[0] == seen[1]


@given(st.data(), given_by.long_lines(), st.sampled_from([RFC821, RFC821_LENIENT]))
def test_a_receiver_is_blind_to_the_cut_of_long_lines(
    data: st.DataObject, line: bytes, dialect: Dialect
) -> None:
    """4.5.3: the length of a line is that of the line; what is shown of it is always the same."""
    limit = dialect.limits.command_line
    session = serve(dialect, data.draw(given_by.chunkings(line + b"RSET\r\n")))
    _, event, rset, _ = session.events
    assert rset == Rset()
    if len(line) > limit:
        assert event == Rejected(Reply(500, "Line too long"), None, line[: limit - 1])
    elif isinstance(event, Rejected):
        assert event.line == line[:-2]


@pytest.mark.parametrize(
    ("message", "passed", "text"),
    [
        (b"123456789012\r\n", b"123456789012", "Too much mail data"),
        (b"12345678901\r\n", b"12345678901", "Too much mail data"),
        (b"1234567890\r\n\xff", b"1234567890\r\n", "Too much mail data"),
        (b"1234567890\r\n\n", b"1234567890\r\n", "Too much mail data"),
        (b"123456789012\xff\n", b"123456789012", "Too much mail data"),
        (b"12345678901\xff\n\r\n", b"12345678901", "Mail data has octets over 127"),
        (b"12345678901\n\xff\r\n", b"12345678901", "Mail data has a CR or LF that is no CRLF"),
        (b"1234\r\xff6789012345", b"1234", "Mail data has a CR or LF that is no CRLF"),
        (b"1234\xff\r6789012345", b"1234", "Mail data has octets over 127"),
    ],
)
def test_what_comes_first_refuses_a_message(message: bytes, passed: bytes, text: str) -> None:
    """AMB-36, AMB-39, AMB-45: the first offence counts, and nothing from there on is passed."""
    wire = message + b"\r\n.\r\n"
    for size in (1, 2, 3, 5, 7, len(wire)):
        receiver = receiver_in(State.DATA, DIALECTS["small and clean"])
        events: list[Event] = []
        for at in range(0, len(wire), size):
            receiver.receive_data(wire[at : at + size])
            events += pull(receiver)
        assert mail_data(events) == passed
        assert isinstance(events[-1], Rejected)
        assert events[-1].reply.text == text


Round = Sequence[Sequence[bytes]]
Said = tuple[list[object], bytes, State, Verb | None]


def converse(rounds: Iterable[Round], choices: Iterable[int], dialect: Dialect = RFC821) -> Said:
    """A sender's session: all that happens, up to its end or an error.

    rounds: what comes from the peer while the sender waits, in batches. choices: which of the
    commands that are legal it sends.
    """
    sender = Sender(dialect)
    seen: list[object] = []
    try:
        for event in happenings(sender, rounds, iter(choices)):
            seen.append(event)
            if isinstance(event, (Closed, Turned)):
                break
    except RemoteProtocolError as error:
        seen.append(str(error))
    return seen, sender.data_to_send(), sender.state, sender.awaiting


def happenings(sender: Sender, rounds: Iterable[Round], choices: Iterator[int]) -> Iterator[object]:
    """Every event; the sender says something, if it may, at the beginning of each round."""
    for batches in rounds:
        if sender.next_event() is NEED_COMMAND:
            speak(sender, next(choices))
        for batch in batches:
            for piece in batch:
                sender.receive_data(piece)
            yield from listen(sender)
    sender.receive_data(b"")
    yield from listen(sender)


def listen(sender: Sender) -> Iterator[object]:
    """Every event that a sender has, up to the point where it pauses or is done."""
    while (event := sender.next_event()) not in (NEED_COMMAND, NEED_DATA):
        yield event
        if isinstance(event, (Closed, Turned)):
            break


def speak(sender: Sender, choice: int) -> None:
    """Send one of the legal commands, or a message where that is what is asked for."""
    if sender.state is State.DATA:
        sender.send_data(b".Hello\r\n")
        sender.end_data()
        return
    legal = sorted(ORDER[sender.state])
    examples: dict[Verb, Command] = {
        Verb.HELO: Helo("USC-ISIF.ARPA"),
        Verb.MAIL: Mail("<>"),
        Verb.RCPT: Rcpt("<Jones@BBN-UNIX.ARPA>"),
        Verb.DATA: Data(),
        Verb.RSET: Rset(),
        Verb.QUIT: Quit(),
    }
    onward = {State.INITIAL: Verb.HELO, State.READY: Verb.MAIL, State.MAIL: Verb.RCPT}
    onward[State.RCPT] = Verb.DATA
    verb = legal[choice % len(legal)] if choice % 3 == 0 else onward.get(sender.state, Verb.QUIT)
    sender.send(examples.get(verb, Noop()))


@given(
    st.data(),
    st.lists(given_by.reply_streams(), max_size=8),
    st.lists(st.integers(0, 30), min_size=9, max_size=9),
)
def test_a_sender_is_blind_to_the_cut(
    data: st.DataObject, streams: list[bytes], choices: list[int]
) -> None:
    """4.2, 4.3: a reply is complete at its last CRLF; the same events, the same errors."""
    streams = [b"220 BBN-UNIX.ARPA\r\n", *streams] if choices[0] % 4 else streams
    whole: list[Round] = [[[stream]] if stream else [] for stream in streams]
    cut: list[Round] = [data.draw(given_by.chunkings(stream)) for stream in streams]
    choices *= 2
    assert converse(cut, choices) == converse(whole, choices)


# --- mail data, and its transparency ------------------------------------------------------------


def by_the_line(wire: bytes) -> tuple[bytes, bytes] | None:
    """4.5.2 to the letter: the mail data and what is behind its end, or None without an end."""
    message = b""
    lines = wire.split(b"\r\n")
    for number, line in enumerate(lines[:-1]):
        if line == b".":
            return message, b"\r\n".join(lines[number + 1 :])
        message += line.removeprefix(b".") + b"\r\n"
    return None


def decoded(parts: Iterable[bytes]) -> tuple[bytes, bytes] | None:
    """The same by the decoder: what is not yet read when the end comes is behind it."""
    decoder, message, parts = DotDecoder(), b"", iter(parts)
    for part in parts:
        message += decoder.decode(part)
        if decoder.rest is not None:
            return message, decoder.rest + b"".join(parts)
    return None


HAZARDS = [
    b"".join(letters)
    for size in range(7)
    for letters in itertools.product((b"\r", b"\n", b".", b"x"), repeat=size)
]


def test_every_short_message_is_decoded_by_the_letter() -> None:
    """4.5.2: all strings of up to six of CR, LF, dot and x, whole, in two parts, in octets."""
    for hazard in HAZARDS:
        wire = hazard + b"\r\n.\r\nNOOP\r\n"
        expected = by_the_line(wire)
        assert expected is not None
        assert decoded([wire]) == expected, hazard
        assert decoded(wire[at : at + 1] for at in range(len(wire))) == expected, hazard
        for cut in range(1, len(hazard) + 5):
            assert decoded([wire[:cut], wire[cut:]]) == expected, (hazard, cut)


@pytest.mark.clause("4.5.2-04")
def test_every_short_message_comes_back() -> None:
    """4.5.2: all of them once more, through an encoder and a decoder, in two parts."""
    for hazard in HAZARDS:
        expected = hazard if hazard.endswith(b"\r\n") or not hazard else hazard + b"\r\n"
        for cut in range(len(hazard) + 1):
            encoder = DotEncoder(Policy.PASS, Policy.PASS, None)
            wire = encoder.encode(hazard[:cut]) + encoder.encode(hazard[cut:]) + encoder.end()
            assert by_the_line(wire) == (expected, b""), (hazard, cut)


@given(st.data(), given_by.mail_data(), given_by.mail_data())
def test_mail_data_is_decoded_by_the_letter(
    data: st.DataObject, before: bytes, behind: bytes
) -> None:
    """4.5.2: any bytes, in any cut, mean what the RFC says of them line by line."""
    wire = before + b"\r\n.\r\n" + behind
    assert decoded(data.draw(given_by.pieces(wire))) == by_the_line(wire)


@given(st.data(), given_by.mail_data(), given_by.mail_data())
def test_mail_data_never_splits_a_line_end(
    data: st.DataObject, message: bytes, other: bytes
) -> None:
    """A MailData is no longer than its read and four octets, never empty, nor cut in a CRLF."""
    receiver = receiver_in(State.DATA, FREE)
    before = b""
    for part in data.draw(given_by.pieces(message + other + b"\r\n")):
        receiver.receive_data(part)
        for event in pull(receiver):
            if not isinstance(event, MailData):
                return  # the end of the message is in the message: it is over
            assert 0 < len(event.data) <= len(part) + 4
            assert not (before.endswith(b"\r") and event.data.startswith(b"\n"))
            before = event.data


@pytest.mark.clause("4.5.2-07")
@given(st.data(), given_by.mail_data())
def test_a_message_comes_out_as_it_went_in(data: st.DataObject, message: bytes) -> None:
    """4.5.2, AMB-37: any bytes through both roles, cut anywhere on both sides."""
    sender, receiver = sender_in(State.DATA, FREE), receiver_in(State.DATA, FREE)
    for part in data.draw(given_by.pieces(message)):
        sender.send_data(part)
    sender.end_data()
    events: list[Event] = []
    for part in data.draw(given_by.pieces(sender.data_to_send())):
        assert not any(isinstance(event, EndOfData) for event in events)
        receiver.receive_data(part)
        events += pull(receiver)
    expected = message if message.endswith(b"\r\n") or not message else message + b"\r\n"
    assert mail_data(events) == expected
    assert isinstance(events[-1], EndOfData)
    assert events[-1].size == len(expected)
    assert events[-1].eight_bit is not expected.isascii()


@given(st.data(), given_by.mail_data())
def test_what_a_careful_sender_sends_is_clean(data: st.DataObject, message: bytes) -> None:
    """4.5.2, 4.5.3, AMB-36: seven bits, lines in CRLF of 1000 octets; or nothing, and an error."""
    sender = sender_in(State.DATA)
    before = b""
    for part in data.draw(given_by.pieces(message)):
        try:
            sender.send_data(part)
        except LocalProtocolError:
            assert not message.isascii() or b"\r" in message or len(message) > 998
            assert sender.state is State.DATA
            assert sender.awaiting is None
            break
        before += part
    wire = sender.data_to_send()
    assert wire.isascii()
    assert b"\r" not in wire.replace(b"\r\n", b"")
    assert b"\n" not in wire.replace(b"\r\n", b"")
    assert all(len(line.removeprefix(b".")) <= 998 for line in wire.split(b"\r\n"))
    received = DotDecoder().decode(wire + b"\r\n")
    sent = before.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    assert (sent + b"\r\n").startswith(received)
    assert len(received) >= len(sent) - 2


# --- never another exception --------------------------------------------------------------------


@given(
    st.one_of(st.binary(max_size=300), given_by.client_streams()), st.sampled_from(list(DIALECTS))
)
def test_nothing_that_comes_makes_a_receiver_raise(stream: bytes, name: str) -> None:
    """4.2: whatever a peer sends is an event, and each of these but mail data has its reply."""
    session = serve(DIALECTS[name], [[stream]] if stream else [])
    assert isinstance(session.events[-1], (Closed, Turned))
    assert session.reply_owed is None


@given(
    st.lists(st.one_of(st.binary(max_size=80), given_by.reply_streams()), max_size=6),
    st.lists(st.integers(0, 30), min_size=8, max_size=8),
)
def test_a_sender_raises_nothing_but_a_protocol_error(
    streams: list[bytes], choices: list[int]
) -> None:
    """4.2, 4.3: whatever a peer sends is an event, or RemoteProtocolError."""
    rounds: list[Round] = [[[stream]] if stream else [] for stream in (b"220 x\r\n", *streams)]
    seen, _, state, awaiting = converse(rounds, choices)
    assert all(isinstance(event, (Replied, Turned)) for event in seen[:-1])
    assert isinstance(seen[-1], (Closed, Turned, str))
    assert state is State.CLOSED or awaiting is None


@given(st.binary(max_size=80))
def test_a_broken_channel_stays_broken(noise: bytes) -> None:
    """After a RemoteProtocolError the same is raised for ever, and no command may be sent."""
    sender = Sender()
    sender.receive_data(b"2O0 ready\r\n" + noise)
    with pytest.raises(RemoteProtocolError) as first:
        sender.next_event()
    with pytest.raises(RemoteProtocolError) as second:
        sender.next_event()
    assert str(first.value) == str(second.value)
    with pytest.raises(LocalProtocolError):
        sender.send(Quit())
    assert sender.data_to_send() == b""


# --- one reply to each command ------------------------------------------------------------------

OWED_A_REPLY = (Command, Connected, EndOfData, Rejected)


@pytest.mark.clause("2-02", "4.2-01")
@given(given_by.client_streams(), ANSWERS, st.sampled_from(list(DIALECTS)))
def test_each_command_has_one_reply(stream: bytes, answer: Callable[[], Answer], name: str) -> None:
    """4.2: the greeting, and then exactly one reply for each command and each message."""
    session = serve(DIALECTS[name], [[stream]] if stream else [], answer())
    owed = [event for event in session.events if isinstance(event, OWED_A_REPLY)]
    assert len(split_replies(session.output)) == len(owed)


@pytest.mark.clause("4.2-01")
@given(given_by.client_streams(), st.sampled_from([RFC821, RFC821_LENIENT, EVERYTHING]))
def test_each_line_has_one_reply(stream: bytes, dialect: Dialect) -> None:
    """4.2: where DATA, QUIT and TURN are refused, so that all lines are commands, they count."""
    refusals = {Verb.DATA: 451, Verb.QUIT: 500, Verb.TURN: 502}

    def answer(receiver: Receiver) -> None:
        assert receiver.reply_owed is not None
        if receiver.reply_owed in refusals:
            receiver.reply(refusals[receiver.reply_owed])
        else:
            accept(receiver)

    session = serve(dialect, [[stream]] if stream else [], answer)
    assert len(split_replies(session.output)) == 1 + stream.count(b"\r\n")


# --- nothing but SMTP is written ----------------------------------------------------------------


@pytest.mark.clause("4.2-02")
@given(
    given_by.client_streams(), st.lists(given_by.any_text(), min_size=1, max_size=3), st.booleans()
)
def test_a_receiver_writes_replies_whatever_the_application_says(
    stream: bytes, texts: list[str], in_the_end: bool
) -> None:
    """4.2: the whole output is legal replies, one for each event that is owed one."""
    receiver = Receiver(HOST, EVERYTHING)
    receiver.receive_data(b"HELO x\r\nMAIL FROM:<>\r\n" + stream)
    events = pull(receiver, lambda receiver: receiver.accept(*texts))
    if in_the_end and receiver.state not in (State.CLOSED, State.TURNED):
        receiver.shutdown(*texts)
        events.append(Connected())  # in the place of what is answered unasked
    replies = split_replies(receiver.data_to_send())
    assert len(replies) == sum(isinstance(event, OWED_A_REPLY) for event in events)


@given(given_by.replies(), st.sampled_from(Verb))
def test_a_reply_that_is_written_is_read_again(reply: Reply, verb: Verb) -> None:
    """4.2, Appendix E: code and text come through, line by line."""
    sender = Sender()
    sender.receive_data(reply.to_bytes(RFC821.limits))
    if reply.code == Code.START_MAIL_INPUT:
        with pytest.raises(RemoteProtocolError):
            sender.next_event()
    else:
        assert sender.next_event() == Replied(Verb.CONNECT, reply)


def by_the_letter(wire: bytes) -> tuple[int, list[bytes]] | str | None:
    """4.2, Appendix E: the first reply in what came, what is wrong with it, or None."""
    texts: list[bytes] = []
    code = b""
    for line in wire.split(b"\r\n")[:-1]:
        number, mark, text = line[:3], line[3:4], line[4:]
        if len(line) > 510 or b"\r" in line or b"\n" in line:
            return "a line too long, or not of text"
        if not (number.isdigit() and number[:1] in b"2345" and len(number) == 3):
            return "no code"
        if mark not in (b"", b" ", b"-") or (code and number != code):
            return "no separator, or another code"
        code = number
        texts.append(text)
        if mark != b"-":
            return int(code), texts
        if len(texts) == 1024:
            return "too many lines"
    return None


def read_as_expected(
    parts: Iterable[bytes], expected: tuple[int, list[bytes]] | str | None
) -> None:
    """Check that a sender reads what is expected as its greeting."""
    sender = Sender()
    for part in parts:
        sender.receive_data(part)
    if isinstance(expected, str) or (expected and 300 <= expected[0] < 400):
        with pytest.raises(RemoteProtocolError):
            sender.next_event()
    elif expected is None:
        assert sender.next_event() is NEED_DATA
    else:
        code, texts = expected
        event = sender.next_event()
        assert isinstance(event, Replied)
        assert event.reply.code == code
        shown = [re.sub("[\t\N{REPLACEMENT CHARACTER}]", "?", line) for line in event.reply.lines]
        assert shown == [safe(text.decode("latin-1")) for text in texts]


def safe(text: str) -> str:
    """A text with a "?" for whatever is not printable ASCII."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)


@pytest.mark.clause("4.2-07", "E-12")
@given(st.data(), given_by.reply_streams())
def test_a_reply_is_read_by_the_letter(data: st.DataObject, wire: bytes) -> None:
    """4.2, Appendix E, AMB-33, AMB-34: any bytes, in any cut, as the first reply of a session."""
    read_as_expected(data.draw(given_by.pieces(wire)), by_the_letter(wire))


@pytest.mark.parametrize("wire", given_by.ODD_REPLIES)
def test_an_odd_reply_is_read_by_the_letter(wire: bytes) -> None:
    """The same for each that is odd, whole and in single octets."""
    read_as_expected([wire], by_the_letter(wire))
    read_as_expected((wire[at : at + 1] for at in range(len(wire))), by_the_letter(wire))


@given(st.data(), st.lists(given_by.replies(), min_size=1, max_size=5))
def test_one_reply_leaves_nothing_to_the_next(data: st.DataObject, replies: list[Reply]) -> None:
    """4.2: replies in a row are each what they were, whatever their codes and lines."""
    sender = sender_in(State.READY)
    for reply in replies:
        assume(reply.code not in (Code.NOT_AVAILABLE, Code.START_MAIL_INPUT))
        sender.send(Noop())
        for part in data.draw(given_by.pieces(reply.to_bytes(RFC821.limits))):
            assert sender.next_event() is NEED_DATA
            sender.receive_data(part)
        assert sender.next_event() == Replied(Verb.NOOP, reply, Noop())
        assert sender.next_event() is NEED_COMMAND


WHERE = {
    Verb.HELO: State.INITIAL,
    Verb.RCPT: State.MAIL,
    Verb.DATA: State.RCPT,
}


def at_its_place(verb: Verb) -> Sender:
    """A Sender that may send a command."""
    return sender_in(WHERE.get(verb, State.READY), EVERYTHING)


# --- values, lines, and values again ------------------------------------------------------------


def read(line: bytes, verb: Verb, dialect: Dialect) -> object:
    """What a Receiver that may be told so makes of a line."""
    state = State.READY if verb is Verb.HELO else WHERE.get(verb, State.READY)
    receiver = receiver_in(state, dialect)
    receiver.receive_data(line)
    return receiver.next_event()


@pytest.mark.clause("2-07", "4.1.2-04")
@given(given_by.commands(), st.sampled_from([EVERYTHING, RFC821_LENIENT.offering(Verb)]))
def test_a_command_reads_back_as_itself(command: Command, dialect: Dialect) -> None:
    """2, 4.1.2: what goes out comes in: the same value, and the same text byte for byte."""
    event = read(bytes(command), command.verb, dialect)
    assert event == command
    assert type(event) is type(command)
    assert str(event) == str(command)


@given(given_by.commands())
def test_a_command_goes_out_as_it_is_printed(command: Command) -> None:
    """4.1.1: `bytes` of a command is what a Sender writes."""
    sender = at_its_place(command.verb)
    sender.send(command)
    assert sender.data_to_send() == bytes(command)


@given(given_by.valid_lines())
def test_a_valid_line_is_a_command_in_strict_and_lenient(line: bytes) -> None:
    """4.1.2: leniency adds readings, and changes none."""
    verb = Verb(line[:4].decode("ascii").upper())
    event = read(line, verb, EVERYTHING)
    assert isinstance(event, Command)
    assert read(line, verb, RFC821_LENIENT.offering(Verb)) == event


@given(given_by.paths())
def test_a_path_is_its_parts(path: Path) -> None:
    """3.6: the route and the mailbox, put together again, are the path as it was written."""
    assert path.mailbox is not None
    assert str(Path.of(path.mailbox, *path.route)) == str(path)


# --- both roles at once -------------------------------------------------------------------------


def later(_receiver: Receiver) -> None:
    """Leave the reply owed: it is given by a rule of its own."""


class Linked(RuleBasedStateMachine):
    """A Sender and a Receiver that hear all that the other says, and what both are sure of."""

    def __init__(self) -> None:
        super().__init__()
        self.begin(Pair(Host(later, dialect=EVERYTHING), Sender(EVERYTHING)))

    def begin(self, pair: Pair) -> None:
        """A new session."""
        self.pair = pair
        self.sent, self.begun = b"", 0
        pair.poll()

    @property
    def sender(self) -> Sender:
        """The sender's end."""
        return self.pair.sender

    @property
    def receiver(self) -> Receiver:
        """The receiver's end."""
        return self.pair.receiver

    @precondition(lambda self: self.receiver.state in (State.CLOSED, State.TURNED))
    @rule()
    def go_on(self) -> None:
        """Begin again where the session is over, in the other roles where they were turned."""
        assert type(self.pair.receiver_events[-1]) is type(self.pair.sender_events[-1])
        if self.receiver.state is State.TURNED:
            assert isinstance(self.pair.receiver_events[-1], Turned)
            self.begin(self.pair.turned(later))
        else:
            assert isinstance(self.pair.receiver_events[-1], Closed)
            self.begin(Pair(Host(later, dialect=EVERYTHING), Sender(EVERYTHING)))

    @precondition(lambda self: self.sender.next_event() is NEED_COMMAND)
    @rule(command=given_by.commands())
    def say(self, command: Command) -> None:
        """Send a command, if it is legal."""
        if command.verb not in ORDER[self.sender.state]:
            with pytest.raises(LocalProtocolError):
                self.sender.send(command)
            self.pair.poll()
            assert self.pair.commands == b""
            return
        self.sender.send(command)
        self.pair.carry_commands()
        event = self.pair.receiver_events[-1]
        if not isinstance(event, Rejected):
            assert event == command
            assert self.receiver.reply_owed is command.verb

    @precondition(lambda self: self.sender.next_event() is NEED_COMMAND)
    @rule(data=st.data())
    def say_what_comes_next(self, data: st.DataObject) -> None:
        """Send a command that leads on, as most do."""
        onward: dict[State, st.SearchStrategy[Command]] = {
            State.INITIAL: given_by.domains().map(Helo),
            State.READY: given_by.reverse_paths().map(Mail),
            State.MAIL: given_by.forward_paths().map(Rcpt),
            State.RCPT: st.one_of(st.just(Data()), given_by.forward_paths().map(Rcpt)),
            State.REFUSED: st.just(Quit()),
        }
        if self.sender.state is not State.DATA:
            self.say(data.draw(onward[self.sender.state]))

    @precondition(lambda self: self.sender.state is State.DATA and self.sender.awaiting is None)
    @rule(data=st.data(), end=st.booleans())
    def send_mail_data(self, data: st.DataObject, end: bool) -> None:
        """Send a line of the message, or the last one."""
        message = data.draw(st.sampled_from([b".\r\n", b"..x\r\n", b"Hello\r\n", b".", b"\n"]))
        if not self.sent:
            self.begun = len(self.pair.receiver_events)
        self.sender.send_data(message)
        self.sent += message
        if end:
            self.sender.end_data()
        self.pair.carry_commands()
        if end:
            *pieces, event = self.pair.receiver_events[self.begun :]
            assert isinstance(event, EndOfData)
            assert event.envelope == self.sender.envelope
            sent = self.sent.replace(b"\r\n", b"\n").removesuffix(b"\n") + b"\n"
            assert mail_data(pieces) == sent.replace(b"\n", b"\r\n")
            self.sent = b""

    @precondition(lambda self: self.receiver.reply_owed is not None)
    @rule(data=st.data(), refused=st.integers(0, 2))
    def answer(self, data: st.DataObject, refused: int) -> None:
        """Reply with a success, or with any legal code."""
        verb = self.receiver.reply_owed
        assert verb is not None
        if refused == 0:
            code = data.draw(st.sampled_from(sorted(EVERYTHING.codes[verb])))
            self.receiver.reply(legal_reply(code))
        else:
            accept(self.receiver)
        self.listen()

    @precondition(lambda self: self.receiver.state not in (State.CLOSED, State.TURNED))
    @rule(chance=st.integers(0, 7))
    def shut_down(self, chance: int) -> None:
        """Close with 421, sometimes, at whatever time."""
        if chance == 0:
            self.receiver.shutdown()
            self.listen()

    def listen(self) -> None:
        """Have the Sender read what the Receiver said."""
        before = len(self.pair.sender_events)
        self.pair.carry_replies()
        replied, *over = self.pair.sender_events[before:]
        assert isinstance(replied, Replied)
        assert len(over) == (self.sender.state in (State.CLOSED, State.TURNED))

    @invariant()
    def agree(self) -> None:
        """4.3, 4.4: where nothing is in flight, both know the same."""
        self.pair.settle()
        if self.sender.awaiting is None:
            assert self.sender.state is self.receiver.state
            assert self.sender.envelope == self.receiver.envelope
            assert self.receiver.reply_owed is None


TestLinked = Linked.TestCase
