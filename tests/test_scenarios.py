"""Golden tests: the dialogues of Appendix F, and two from a telnet window, in both roles.

Each is replayed through a Receiver, through a Sender, and through both wired together: the bytes
on the wire, the events and the reply codes are those on paper. The telnet dialogues run in
RFC821_LENIENT. What a person typed there is in lower case and without brackets; a Sender prints
its commands in their canonical form (words in upper case, paths in brackets), so on its side
that form is compared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any, Final

import attrs
import pytest

from smtp821 import (
    COMMANDS,
    NEED_COMMAND,
    NEED_DATA,
    NEED_REPLY,
    RFC821,
    RFC821_LENIENT,
    Closed,
    Command,
    Connected,
    Dialect,
    EndOfData,
    Envelope,
    Event,
    Limits,
    LocalProtocolError,
    Mail,
    MailData,
    Pause,
    Rcpt,
    Receiver,
    Rejected,
    Replied,
    Reply,
    Rset,
    Sender,
    TransactionCommand,
    Verb,
)
from smtp821.testing.pair import Host, Pair, joined
from smtp821.testing.transcripts import Role, parse
from smtp821.transcript import Transcript

from .walks import cut

DATA: Final[dict[str, Any]] = json.loads(
    (FilePath(__file__).parent / "data" / "scenarios.json").read_text("utf-8")
)
CLASSES: Final = {cls.verb.value: cls for cls in COMMANDS}

# Scenario 10 itself has room for one recipient.
ONE_RECIPIENT: Final = attrs.evolve(RFC821, limits=Limits(recipients=1))


@attrs.frozen
class Exchange:
    """What the sender says, and what the receiver answers."""

    said: str | None
    """A command line, or None: the message, or nothing yet."""
    message: bytes | None
    """The message as it is, or None."""
    reply: Reply


@attrs.frozen
class Dialogue:
    """A session on paper."""

    name: str
    dialect: Dialect
    exchanges: tuple[Exchange, ...]
    client: bytes
    server: bytes

    @property
    def domain(self) -> str:
        """The name of the receiver: the first word of its greeting."""
        return self.exchanges[0].reply.lines[0].partition(" ")[0]


def exchanges_in(lines: list[tuple[str, str]]) -> Iterator[Exchange]:
    """The exchanges in the lines of a dialogue, each with its kind."""
    said: str | None = None
    message: list[str] | None = None
    texts: list[str] = []
    for kind, line in lines:
        if kind == "command":
            said, message = line, None
        elif kind == "data":
            said, message = None, [*(message or []), line]
        elif kind == "reply":
            texts.append(line[4:])
            if line[3] == " ":
                data = None if message is None else "".join(f"{x}\r\n" for x in message).encode()
                yield Exchange(said, data, Reply(int(line[:3]), texts))
                said, message, texts = None, None, []


def scenario(number: int, index: int, session: dict[str, Any]) -> Dialogue:
    """A session of Appendix F."""
    lines = [(line["kind"], line["line"]) for line in session["lines"]]
    return Dialogue(
        f"scenario {number}, session {index + 1}",
        ONE_RECIPIENT if number == 10 else RFC821,
        tuple(exchanges_in(lines)),
        session["wire_client_bytes"].encode(),
        session["server_bytes"].encode(),
    )


def kinds(lines: list[str]) -> Iterator[tuple[str, str]]:
    """The kind of each line of a telnet dialogue, whose lines tell only who says them."""
    in_data = False
    for who, line in ((line[:1], line[3:]) for line in lines):
        if who == "S":
            in_data = line.startswith("354")
            yield "reply", line
        elif in_data:
            yield ("end-of-data" if line == "." else "data"), line
        else:
            yield "command", line


def telnet(dialogue: dict[str, Any]) -> Dialogue:
    """A telnet dialogue; `MAIL form:` is 501 here, where Exim said 500 (4.3 lists both)."""
    lines = [
        line.replace("S: 500 unrecognized command", "S: 501 " + Reply(501).text)
        for line in dialogue["lines"]
    ]
    return Dialogue(
        f"telnet dialogue {dialogue['dialogue']}",
        RFC821_LENIENT,
        tuple(exchanges_in(list(kinds(lines)))),
        "".join(f"{line[3:]}\r\n" for line in lines if line.startswith("C:")).encode(),
        "".join(f"{line[3:]}\r\n" for line in lines if line.startswith("S:")).encode(),
    )


SCENARIOS: Final = [
    scenario(entry["scenario"], index, session)
    for entry in DATA["scenarios"]
    for index, session in enumerate(entry["sessions"])
]
TELNET: Final = [telnet(dialogue) for dialogue in DATA["telnet_dialogues"]]

# In its second session the RFC has BBN-VAX say 221 in the name of USC-ISIE.
MISNAMED: Final = next(d for d in SCENARIOS if d.name == "scenario 3, session 2")
RECEIVED: Final = [d for d in (*SCENARIOS, *TELNET) if d is not MISNAMED]

every_dialogue = pytest.mark.parametrize("dialogue", [*SCENARIOS, *TELNET], ids=lambda d: d.name)
every_received = pytest.mark.parametrize("dialogue", RECEIVED, ids=lambda d: d.name)


# --- What is expected, made without the library's parser --------------------------------------


def command_of(line: str) -> Command:
    """The command that a line of a dialogue stands for; brackets are added to a bare path."""
    word, _, argument = line.partition(" ")
    cls: Any = CLASSES[word.upper()]
    if issubclass(cls, TransactionCommand | Rcpt):
        path = argument.partition(":")[2]
        argument = path if path.startswith("<") else f"<{path}>"
    command: Command = cls(argument) if argument else cls()
    return command


def is_misspelt(exchange: Exchange) -> bool:
    """Whether this is the `MAIL form:` of the first telnet dialogue."""
    return exchange.said is not None and exchange.said.startswith("MAIL form:")


def is_one_too_many(dialogue: Dialogue, exchange: Exchange) -> bool:
    """Whether this is the second recipient of scenario 10, which the receiver itself refuses."""
    return dialogue.dialect is ONE_RECIPIENT and exchange.reply.code == 552


def expected_events(dialogue: Dialogue) -> list[Event]:
    """What a receiver tells of the dialogue."""
    events: list[Event] = [Connected()]
    envelope: Envelope | None = None
    for exchange in dialogue.exchanges[1:]:
        if exchange.message is not None:
            assert envelope is not None
            size = len(exchange.message)
            events += [MailData(exchange.message), EndOfData(envelope, size, False)]
        elif exchange.said is not None and is_misspelt(exchange):
            events.append(Rejected(exchange.reply, Verb.MAIL, exchange.said.encode()))
        elif exchange.said is not None and is_one_too_many(dialogue, exchange):
            events.append(Rejected(exchange.reply, Verb.RCPT, exchange.said.encode()))
        else:
            assert exchange.said is not None
            command = command_of(exchange.said)
            events.append(command)
            envelope = envelope_after(envelope, command, exchange.reply)
    return [*events, Closed()]


def envelope_after(envelope: Envelope | None, command: Command, reply: Reply) -> Envelope | None:
    """The envelope once a command was answered (4.1.1)."""
    if reply.code not in (250, 251):
        return envelope
    if isinstance(command, TransactionCommand):
        return Envelope(command.verb, command.reverse_path)
    if isinstance(command, Rcpt):
        assert envelope is not None
        paths = (*envelope.forward_paths, command.forward_path)
        return attrs.evolve(envelope, forward_paths=paths)
    return None if isinstance(command, Rset) else envelope


def canonical(dialogue: Dialogue) -> bytes:
    """What a Sender says in a dialogue: words in upper case, paths in brackets, no misspelling."""
    if dialogue not in TELNET:
        return dialogue.client
    text = re.sub(r"MAIL form:.*\r\n", "", dialogue.client.decode())
    for word in ("helo", "data", "quit"):
        text = re.sub(rf"(?m)^{word}\b", word.upper(), text)
    return re.sub(
        r"(?m)^(mail from|rcpt to):([^<\r]+)", lambda m: f"{m[1].upper()}:<{m[2]}>", text
    ).encode()


# --- Through a Receiver -----------------------------------------------------------------------


def serve(dialogue: Dialogue, pieces: Iterator[bytes]) -> tuple[list[Event], bytes]:
    """Let a receiver hear the dialogue, and answer as it does on paper; events and output."""
    receiver = Receiver(dialogue.domain, dialogue.dialect)
    replies = iter(dialogue.exchanges)
    events: list[Event] = []
    while not events or not isinstance(events[-1], Closed):
        event = receiver.next_event()
        if event is NEED_DATA:
            receiver.receive_data(next(pieces))
        elif event is NEED_REPLY:
            receiver.reply(next(replies).reply)
        else:
            assert not isinstance(event, Pause)
            events.append(event)
        if isinstance(event, Rejected):  # that was answered already
            next(replies)
    assert next(pieces, None) is None
    return joined(events), receiver.data_to_send()


@pytest.mark.clause(
    "3.4-03",
    "3.5-01",
    "F-01",
    "F-02",
    "F-03",
    "F-04",
    "F-05",
    "F-06",
    "F-07",
    "F-08",
    "F-09",
    "F-10",
)
@every_received
def test_a_receiver_in_one_read(dialogue: Dialogue) -> None:
    """Appendix F: exact bytes and events, where all that the sender says comes at once."""
    expected = (expected_events(dialogue), dialogue.server)
    assert serve(dialogue, cut(dialogue.client)) == expected


@every_received
def test_a_receiver_byte_by_byte(dialogue: Dialogue) -> None:
    """Appendix F: the same, where every byte comes alone."""
    bytewise = cut(dialogue.client, *[1] * len(dialogue.client))
    assert serve(dialogue, bytewise) == (expected_events(dialogue), dialogue.server)


@pytest.mark.clause("F-03")
def test_a_receiver_says_its_own_name() -> None:
    """4.2.1: where the RFC has one host say 221 in the name of another, ours puts its own first."""
    events, output = serve(MISNAMED, cut(MISNAMED.client))
    assert events == expected_events(MISNAMED)
    corrected = MISNAMED.server.replace(b"221 ", b"221 BBN-VAX.ARPA ")
    assert corrected.endswith(
        b"221 BBN-VAX.ARPA USC-ISIE.ARPA Service closing transmission channel\r\n"
    )
    assert output == corrected


@pytest.mark.clause("2-10", "AMB-11")
@pytest.mark.parametrize("dialogue", TELNET, ids=lambda d: d.name)
def test_a_strict_receiver_takes_no_bare_path(dialogue: Dialogue) -> None:
    """AMB-11: what the lenient dialect lets pass is 501 in the strict one."""
    strict = attrs.evolve(dialogue, dialect=RFC821)
    receiver = Receiver(strict.domain, strict.dialect)
    receiver.next_event()
    receiver.accept()
    bare = next(e.said for e in strict.exchanges if e.said and e.said.startswith("mail from:"))
    receiver.receive_data(b"HELO a.b\r\n" + bare.encode() + b"\r\n")
    receiver.next_event()
    receiver.accept()
    assert receiver.next_event() == Rejected(Reply(501), Verb.MAIL, bare.encode())


# --- Through a Sender -------------------------------------------------------------------------


def reply_bytes(reply: Reply) -> bytes:
    """A reply on the wire, as it stands on paper."""
    *others, last = reply.lines
    head = "".join(f"{reply.code}-{line}\r\n" for line in others)
    return f"{head}{reply.code} {last}\r\n".encode()


def speak(sender: Sender, exchange: Exchange) -> Replied:
    """Let a sender say its part; the event that the reply will make."""
    if exchange.message is not None:
        sender.send_data(exchange.message)
        sender.end_data()
        return Replied(Verb.END_OF_DATA, exchange.reply)
    if exchange.said is None:
        return Replied(Verb.CONNECT, exchange.reply)
    command = command_of(exchange.said)
    sender.send(command)
    return Replied(command.verb, exchange.reply, command)


def spoken(dialogue: Dialogue) -> list[Exchange]:
    """The exchanges that a Sender can have: all, but for the misspelling."""
    return [exchange for exchange in dialogue.exchanges if not is_misspelt(exchange)]


@pytest.mark.clause("F-01", "F-02", "F-03", "F-04", "F-05", "F-06", "F-07", "F-08", "F-09", "F-10")
@every_dialogue
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_sender(dialogue: Dialogue, size: int) -> None:
    """Appendix F: exact bytes, and each reply as an event, in one read or byte by byte."""
    dialect = RFC821_LENIENT if dialogue in TELNET else RFC821
    sender, said = Sender(dialect), b""
    for exchange in spoken(dialogue):
        expected = speak(sender, exchange)
        said += sender.data_to_send()
        reply = reply_bytes(exchange.reply)
        pieces = list(cut(reply, *[size] * len(reply)))
        for piece in pieces[:-1]:
            sender.receive_data(piece)
            assert sender.next_event() is NEED_DATA
        sender.receive_data(pieces[-1])
        assert sender.next_event() == expected
    assert sender.next_event() == Closed()
    assert said == canonical(dialogue)


@every_dialogue
def test_a_sender_says_data_in_any_cut(dialogue: Dialogue) -> None:
    """Appendix F: a message sent byte by byte is the same on the wire."""
    sender, said = Sender(dialogue.dialect if dialogue in TELNET else RFC821), b""
    for exchange in spoken(dialogue):
        if exchange.message is not None:
            for octet in cut(exchange.message, *[1] * len(exchange.message)):
                sender.send_data(octet)
            sender.end_data()
        else:
            speak(sender, exchange)
        said += sender.data_to_send()
        sender.receive_data(reply_bytes(exchange.reply))
        sender.next_event()
    assert said == canonical(dialogue)


def test_the_misspelling_cannot_be_sent() -> None:
    """4.1.2: a Sender has no way to say `MAIL form:`, or any path that is none."""
    with pytest.raises(LocalProtocolError, match="is not a Path"):
        Mail("form:c1e08@st.seiai.ed.jp")


# --- Through both -----------------------------------------------------------------------------


@every_received
@pytest.mark.parametrize("size", [1, 10_000])
def test_a_sender_and_a_receiver(dialogue: Dialogue, size: int) -> None:
    """Appendix F: wired together in memory they have the dialogue on paper, and agree on it."""
    replies = iter([exchange.reply for exchange in spoken(dialogue)])

    def answer(receiver: Receiver) -> None:
        receiver.reply(next(replies))

    rows: list[str] = []
    pair = Pair(
        Host(answer, domain=dialogue.domain, dialect=dialogue.dialect),
        Sender(RFC821_LENIENT if dialogue in TELNET else RFC821),
        cut=lambda _: size,
        transcript=Transcript(rows.append),
    )
    for exchange in spoken(dialogue):
        expected = speak(pair.sender, exchange)
        before = len(pair.sender_events)
        pair.settle()
        assert pair.sender_events[before] == expected
        assert (pair.sender.state, pair.sender.envelope) == (
            pair.receiver.state,
            pair.receiver.envelope,
        )
        if isinstance(pair.receiver_events[-1], Rejected):  # that was answered already
            next(replies)
    assert pair.sender_events[-1] == pair.receiver_events[-1] == Closed()
    wire = parse(rows)
    assert wire.said(Role.SENDER) == canonical(dialogue)
    assert wire.said(Role.RECEIVER) == b"".join(reply_bytes(e.reply) for e in spoken(dialogue))
    assert joined(pair.receiver_events) == [
        event
        for event in expected_events(dialogue)
        if not (isinstance(event, Rejected) and event.verb is Verb.MAIL)
    ]


# --- The data itself --------------------------------------------------------------------------


def test_all_the_scenarios_are_here() -> None:
    """Appendix F: ten scenarios, fourteen sessions; and two dialogues."""
    assert len(SCENARIOS) == 14
    assert len({d.name.partition(",")[0] for d in SCENARIOS}) == 10
    assert len(TELNET) == 2


@every_dialogue
def test_what_was_read_is_what_is_on_paper(dialogue: Dialogue) -> None:
    """The exchanges of these tests are the whole of what the server says."""
    assert b"".join(reply_bytes(e.reply) for e in dialogue.exchanges) == dialogue.server


@pytest.mark.clause("AMB-52")
def test_the_dots_of_appendix_f_are_stuffed() -> None:
    """AMB-52, 4.5.2: "...etc. etc. etc." is sent with four periods, and arrives with three."""
    typical = SCENARIOS[0]
    assert b"\r\n....etc. etc. etc.\r\n.\r\n" in typical.client
    events, _ = serve(typical, cut(typical.client))
    assert MailData(b"Blah blah blah...\r\n...etc. etc. etc.\r\n") in events


@pytest.mark.clause("AMB-51", "AMB-53")
def test_the_misprints_of_appendix_f() -> None:
    """AMB-51, AMB-53: "R: OK" has its 250; the mailbox that scenario 7 misspells is as printed."""
    first = next(d for d in SCENARIOS if d.name == "scenario 9, session 1")
    assert [e.reply for e in first.exchanges if e.said == "RSET"] == [Reply(250, "OK")]
    listed, _, mailed = (d for d in SCENARIOS if d.name.startswith("scenario 7"))
    assert b"<Fonebone@USC-ISIQ.ARPA>" in listed.server
    events, _ = serve(mailed, cut(mailed.client))
    assert Rcpt("<@USC-ISIE.ARPA:Fonebone@USC-ISIQA.ARPA>") in events


def test_the_values_of_the_telnet_dialogues() -> None:
    """What was typed in lower case and without brackets is read as the same values."""
    second = TELNET[1]
    events, _ = serve(second, cut(second.client))
    assert [str(event) for event in events if isinstance(event, Command)] == [
        "HELO xxx",
        "MAIL FROM:<yy@yyy.jp>",
        "RCPT TO:<c1e08@st.seiai.ed.jp>",
        "DATA",
        "QUIT",
    ]


def test_a_sender_is_never_left_waiting() -> None:
    """4.3: after each reply but the last it is the sender's turn again."""
    typical = SCENARIOS[0]
    sender = Sender()
    for exchange in typical.exchanges[:-1]:
        speak(sender, exchange)
        sender.receive_data(reply_bytes(exchange.reply))
        sender.next_event()
        assert sender.next_event() is NEED_COMMAND
