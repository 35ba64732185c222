"""Classes of defect that are common in SMTP software, and how this library rules each out.

One group of tests for each: mail data, replies, commands, limits, paths.
"""

from __future__ import annotations

import itertools

import attrs
import pytest

from smtp821 import (
    NEED_COMMAND,
    NEED_DATA,
    NEED_REPLY,
    RFC821,
    RFC821_LENIENT,
    Closed,
    Code,
    Command,
    Connected,
    Data,
    Dialect,
    EndOfData,
    Helo,
    Limits,
    LocalProtocolError,
    Mail,
    Mailbox,
    MailData,
    Noop,
    Path,
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
    Verb,
    Vrfy,
)
from smtp821.testing.pair import accept, joined, pull

from .driving import HOST, codes, exchange, mail_data, receiver_in, sender_in


def received(wire: bytes, *cuts: int) -> bytes | None:
    """The message in what comes after 354, cut at some places; None while it has no end.

    Whatever stands behind the end must be answered as commands, so the last reply is NOOP's.
    """
    receiver = receiver_in(State.DATA)
    wire += b"NOOP\r\n"
    bounds = [0, *cuts, len(wire)]
    events = []
    for start, stop in itertools.pairwise(bounds):
        if wire[start:stop]:
            receiver.receive_data(wire[start:stop])
            events += pull(receiver)
    ends = [event for event in events if isinstance(event, EndOfData)]
    if not ends:
        return None
    assert events[-1] == Noop()
    assert codes(receiver.data_to_send()) == [250, 250]
    assert ends[0].size == len(mail_data(events))
    return mail_data(events)


def sent(*chunks: bytes, dialect: Dialect = RFC821) -> bytes:
    """What a Sender writes for a message in chunks, up to its end."""
    sender = sender_in(State.DATA, dialect)
    for chunk in chunks:
        sender.send_data(chunk)
    sender.end_data()
    return sender.data_to_send()


def everywhere(wire: bytes) -> set[bytes | None]:
    """The message in what comes after 354, for every cut in three pieces and for single octets."""
    size = len(wire)
    cuts = [(a, b) for a in range(size + 1) for b in range(a, size + 1)]
    return {received(wire, *cut) for cut in [(), *cuts, range(1, size)]}


# --- mail data ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        (b"a\r\n..\r\nb\r\n.\r\n", b"a\r\n.\r\nb\r\n"),
        (b"..\r\n..\r\n.\r\n", b".\r\n.\r\n"),
        (b"a\r\n...\r\n.\r\n", b"a\r\n..\r\n"),
        (b"a\r\n..b\r\n..\r\n.\r\n", b"a\r\n.b\r\n.\r\n"),
    ],
)
def test_a_doubled_dot_may_be_cut_in_two(wire: bytes, message: bytes) -> None:
    """4.5.2. Class: a doubled dot that is split over two reads ends the mail, and what follows
    runs as commands. Here the end is matched across reads, with up to four octets kept back.
    """
    assert everywhere(wire) == {message}


@pytest.mark.parametrize("message", [b"a\r\n.b\r\n", b"a\r\n.\r\n", b"a\r\n..\r\n", b".\r\n.\r\n"])
def test_a_dot_is_doubled_across_chunks(message: bytes) -> None:
    """4.5.2. Class: a dot that comes first in a chunk is not doubled, or one within a line is.
    Here the encoder knows the column, whatever the chunks.
    """
    whole = sent(message)
    for a in range(len(message) + 1):
        for b in range(a, len(message) + 1):
            assert sent(message[:a], message[a:b], message[b:]) == whole
    assert received(whole) == message


def test_a_dot_in_a_line_is_left_alone() -> None:
    """4.5.2. Class: a chunk that begins with a dot in the middle of a line has it doubled."""
    assert sent(b"a", b".b", b".", b".\r\n") == b"a.b..\r\n.\r\n"


@pytest.mark.parametrize("message", [b".\r\n", b"..\r\n", b".x\r\n", b".\r\nx\r\n"])
def test_the_first_line_is_like_any_other(message: bytes) -> None:
    """4.5.2. Class: the dot of the first line is not doubled, or not taken away again. Here both
    sides begin as if behind a CRLF, which is that of the DATA line.
    """
    assert sent(message) == b"." + message + b".\r\n"
    assert everywhere(b"." + message + b".\r\n") == {message}


@pytest.mark.parametrize(
    ("line", "text"),
    [(b"..", b"."), (b".x", b"x"), (b"..x", b".x"), (b". ", b" "), (b".\0", b"\0")],
)
def test_any_leading_dot_is_taken_away(line: bytes, text: bytes) -> None:
    """4.5.2. Class: only a doubled dot is undone, and ".x" is kept. Here the first dot goes from
    every line that has more, as the RFC says.
    """
    assert everywhere(line + b"\r\n.\r\n") == {text + b"\r\n"}
    assert everywhere(b"a\r\n" + line + b"\r\n.\r\n") == {b"a\r\n" + text + b"\r\n"}


@pytest.mark.parametrize("message", [b"a", b"a\r\nb", b".", b"a\r\n."])
def test_a_message_without_a_last_line_end_ends(message: bytes) -> None:
    """AMB-37. Class: a message without CRLF at its end swallows the terminator, and both sides
    wait for ever. Here the sender ends the line first.
    """
    wire = sent(message)
    assert wire.endswith(b"\r\n.\r\n")
    assert received(wire) == message + b"\r\n"


def test_an_empty_message_ends() -> None:
    """AMB-38. Class: an empty message never ends, or gets a blank line. Here the CRLF of the DATA
    line counts, so the terminator may come first.
    """
    assert sent() == sent(b"") == b".\r\n"
    assert everywhere(b".\r\n") == {b""}
    assert everywhere(b"\r\n.\r\n") == {b"\r\n"}


@pytest.mark.clause("4.5.2-08")
@pytest.mark.parametrize(
    ("wire", "message"),
    [
        (b"a\r\r\n.\r\n", b"a\r\r\n"),  # the end is found, and no CR is lost
        (b"a\r\r\r\n.\r\n", b"a\r\r\r\n"),
        (b"a\r\n.\r\r\nb\r\n.\r\n", b"a\r\n\r\r\nb\r\n"),  # no end: the line is dot and CR
        (b"a\r\n.\r\n", b"a\r\n"),
        (b"a\n.\r\nb\r\n.\r\n", b"a\n.\r\nb\r\n"),  # only CRLF begins the last line ...
        (b"a\r.\r\nb\r\n.\r\n", b"a\r.\r\nb\r\n"),
        (b"a\r\n.\nb\r\n.\r\n", b"a\r\n\nb\r\n"),  # ... and ends it
        (b"a\r\n.\rb\r\n.\r\n", b"a\r\n\rb\r\n"),
        (b"a\n.\nb\r\n.\r\n", b"a\n.\nb\r\n"),
        (b"a\r.\rb\r\n.\r\n", b"a\r.\rb\r\n"),
        (b"a\r\0\n.\r\nb\r\n.\r\n", b"a\r\0\n.\r\nb\r\n"),
        (b"a\r\n\0.\r\nb\r\n.\r\n", b"a\r\n\0.\r\nb\r\n"),
        (b"a\r\n.\0\r\nb\r\n.\r\n", b"a\r\n\0\r\nb\r\n"),
        (b"a\r\n. \r\nb\r\n.\r\n", b"a\r\n \r\nb\r\n"),
    ],
)
def test_only_the_terminator_ends_mail(wire: bytes, message: bytes) -> None:
    """4.5.2, AMB-36. Class: CR CR LF before the last dot hides the end or loses a CR, CR LF dot CR
    CR LF or dot LF ends the mail early. Here CR LF dot CR LF is matched whole, nothing is skipped,
    and a lone CR or LF is data.
    """
    assert everywhere(wire) == {message}


SMUGGLED = b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nforged\r\n.\r\nNOOP\r\n"


@pytest.mark.parametrize(
    "end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\r\n.\r\r\n"]
)
def test_no_other_end_lets_commands_in(end: bytes) -> None:
    """4.5.2. Class: what one side takes for the end of mail, the other takes for mail, so that the
    rest is a second message. Here a message is refused whole where line ends are in doubt, and
    nothing in it is ever a command.
    """
    receiver = receiver_in(State.DATA, RFC821_LENIENT)
    events, output = exchange(receiver, b"text" + end + SMUGGLED)
    (refused, noop) = [event for event in events if not isinstance(event, MailData)]
    assert isinstance(refused, Rejected)
    assert (refused.verb, refused.reply.code) == (Verb.END_OF_DATA, 554)
    assert noop == Noop()
    assert codes(output) == [554, 250]


@pytest.mark.parametrize("message", [b"a\nb\n", b"a\r\nb\n", b"a\n", b"\n", b"\n.\n", b"a\n.b"])
def test_a_lone_line_feed_never_leaves(message: bytes) -> None:
    """AMB-36. Class: lines in LF are sent as they are, with their dots not doubled. Here they are
    made CRLF before dots are looked for.
    """
    wire = sent(message)
    assert b"\n" not in wire.replace(b"\r\n", b"")
    text = message.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    assert received(wire) == text.removesuffix(b"\r\n") + b"\r\n"


@pytest.mark.parametrize("message", [b"a\rb", b"a\r", b"\r", b"a\r\r\n"])
def test_a_lone_carriage_return_never_leaves(message: bytes) -> None:
    """AMB-36. Class: a lone CR goes out, and the next host sees a line end in it. Here it is an
    error for the caller, before anything of its chunk is sent.
    """
    with pytest.raises(LocalProtocolError, match="CR without its LF"):
        sent(message)


@pytest.mark.clause("4.5.2-07")
@pytest.mark.parametrize(
    "message", [b"a\r\n", b"a\r\n\r\n", b"\r\n", b"\r\n\r\na\r\n\r\n\r\n", b"a\r\n \r\n"]
)
def test_line_ends_are_as_they_were(message: bytes) -> None:
    """4.5.2-07. Class: CRLF becomes LF, a blank line is added at the end, or the last CRLF is
    dropped. Here a message is octets, and comes out as it went in.
    """
    assert sent(message) == message + b".\r\n"
    assert everywhere(message + b".\r\n") == {message}


@pytest.mark.clause("4.5.2-06")
def test_a_high_bit_is_never_stripped() -> None:
    """AMB-39. Class: octets over 127 lose their high bit, and 8D 8A becomes a line end. Here they
    are data, or the message is refused.
    """
    data = b"caf\xc3\xa9 \x8d\x8a.\x8d\x8a\r\n"
    (event, end), output = exchange(receiver_in(State.DATA, RFC821_LENIENT), data + b".\r\n")
    assert event == MailData(data)
    assert isinstance(end, EndOfData)
    assert end.eight_bit
    assert output == b"250 OK\r\n"
    _, output = exchange(receiver_in(State.DATA), data + b".\r\n")
    assert output == b"554 Mail data has octets over 127\r\n"


# --- replies, as a sender reads them ------------------------------------------------------------


def test_every_reply_of_a_read_is_seen() -> None:
    """4.3. Class: one reply is taken from each read; the second stays behind, and answers the next
    command. Here it is an error before the next command can be sent.
    """
    sender = sender_in(State.READY)
    sender.send(Noop())
    sender.receive_data(b"250 one\r\n250 two\r\n")
    assert sender.next_event() == Replied(Verb.NOOP, Reply(250, "one"), Noop())
    with pytest.raises(RemoteProtocolError, match="nothing awaits"):
        sender.next_event()
    with pytest.raises(LocalProtocolError):
        sender.send(Mail("<>"))


@pytest.mark.parametrize("noise", [b"250 two\r\n", b"250-two\r\n", b"2", b"\r", b"\r\n"])
def test_nothing_is_sent_while_something_is_unread(noise: bytes) -> None:
    """4.3. Class: bytes that came behind a reply are carried over to the next. Here a command
    cannot be sent while there are any, whether or not events were pulled.
    """
    sender = sender_in(State.READY)
    sender.send(Noop())
    sender.receive_data(b"250 one\r\n" + noise)
    sender.next_event()
    with pytest.raises(RemoteProtocolError):
        sender.send(Noop())
    assert sender.data_to_send() == bytes(Noop())


def test_an_unsolicited_reply_answers_nothing() -> None:
    """4.3. Class: a reply that nobody asked for is kept, and answers the next command."""
    sender = sender_in(State.READY)
    sender.receive_data(b"250 OK\r\n")
    with pytest.raises(RemoteProtocolError, match="a reply 250 that nothing awaits"):
        sender.next_event()
    assert sender.state is State.CLOSED


def test_success_is_not_taken_from_before_the_message() -> None:
    """4.1.1 DATA. Class: 354 and 250 come in one write, and the 250 counts as the answer to the
    mail data, which is then refused unseen. Here it is an error, and no message was confirmed.
    """
    sender = sender_in(State.RCPT)
    sender.send(Data())
    sender.receive_data(b"354 go\r\n250 OK\r\n")
    assert sender.next_event() == Replied(Verb.DATA, Reply(354, "go"), Data())
    with pytest.raises(RemoteProtocolError):
        sender.send_data(b"Hello\r\n")
    with pytest.raises(RemoteProtocolError):
        sender.next_event()
    assert sender.state is State.CLOSED


def test_a_cancelled_wait_mixes_nothing_up() -> None:
    """4.3. Class: a call is cancelled while it waits, and the next command gets its reply. Here
    the reply is still owed to the first command, and no other can be sent before it came.
    """
    sender = sender_in(State.READY)
    sender.send(Vrfy("Smith"))
    assert sender.next_event() is NEED_DATA
    for command in (Noop(), Rset(), Quit(), Vrfy("Smith")):
        with pytest.raises(LocalProtocolError, match="the reply to VRFY is to come first"):
            sender.send(command)
    sender.receive_data(b"550 no\r\n")
    event = sender.next_event()
    assert isinstance(event, Replied)
    assert event.command == Vrfy("Smith")
    sender.send(Noop())


def test_a_reply_cut_short_is_no_reply() -> None:
    """4.1.1 QUIT. Class: what came before the connection broke counts as the answer. Here the
    command stays unanswered, which is a temporary failure.
    """
    for start in (b"250 O", b"250 OK", b"250 OK\r", b"250 OK\n", b"250-OK\r\n", b""):
        sender = sender_in(State.READY)
        sender.send(Mail("<>"))
        if start:
            sender.receive_data(start)
        sender.receive_data(b"")
        assert sender.next_event() == Closed(awaiting=Verb.MAIL)


@pytest.mark.parametrize("code", [421, 450, 451, 452, 500, 501, 503, 552, 599])
def test_any_refusal_of_mail_is_an_answer(code: int) -> None:
    """4.4. Class: 421, 500 or 501 to MAIL kills the session as a violation of the protocol. Here
    the first digit decides, and only 421 closes.
    """
    sender = sender_in(State.READY)
    sender.send(Mail("<>"))
    sender.receive_data(b"%d no\r\n" % code)
    event = sender.next_event()
    assert isinstance(event, Replied)
    assert event.reply == Reply(code, "no")
    if code == Code.NOT_AVAILABLE:
        assert sender.next_event() == Closed()
    else:
        assert sender.state is State.READY
        sender.send(Mail("<a@b>"))


@pytest.mark.parametrize("code", [250, 251, 450, 451, 452, 500, 550, 552, 554, 599])
def test_any_answer_to_the_message_is_one(code: int) -> None:
    """4.4. Class: anything but 250 behind the mail data is a violation. Here the message has
    failed, the transaction is over, and the session goes on.
    """
    sender = sender_in(State.DATA)
    sender.end_data()
    sender.receive_data(b"%d so\r\n" % code)
    event = sender.next_event()
    assert event == Replied(Verb.END_OF_DATA, Reply(code, "so"))
    assert sender.state is State.READY
    assert sender.envelope is None
    sender.send(Mail("<>"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b"caf\xe9", "caf\N{REPLACEMENT CHARACTER}"),
        (b"\xff\xfe", "\N{REPLACEMENT CHARACTER}" * 2),
        (b"\x1b[2J", "\N{REPLACEMENT CHARACTER}[2J"),
        (b"a\0b", "a\N{REPLACEMENT CHARACTER}b"),
        (b"a\tb", "a\tb"),
    ],
)
def test_strange_text_is_shown_harmlessly(text: bytes, shown: str) -> None:
    """4.2. Class: text that is not ASCII raises a decoding error out of the core. Here the number
    decides, and what cannot be shown is replaced.
    """
    sender = Sender()
    sender.receive_data(b"220 " + text + b"\r\n")
    assert sender.next_event() == Replied(Verb.CONNECT, Reply(220, shown))


@pytest.mark.parametrize(
    ("wire", "reply"),
    [
        (b"250\r\n", Reply(250, "")),
        (b"250 \r\n", Reply(250, "")),
        (b"250-\r\n250\r\n", Reply(250, ["", ""])),
        (b"250-a\r\n250\r\n", Reply(250, ["a", ""])),
    ],
)
def test_a_code_alone_is_a_reply(wire: bytes, reply: Reply) -> None:
    """AMB-33. Class: a code without the blank and text is never complete, and the sender waits for
    ever.
    """
    sender = sender_in(State.READY)
    sender.send(Noop())
    sender.receive_data(wire)
    assert sender.next_event() == Replied(Verb.NOOP, reply, Noop())


@pytest.mark.parametrize(
    "wire",
    [b"250 a\n250 b\r\n", b"250-a\n250 b\r\n", b"250 a\rb\r\n", b"250 a\r\r\n", b"\n250 a\r\n"],
)
def test_a_lone_line_feed_ends_no_reply(wire: bytes) -> None:
    """4.2. Class: LF ends a reply line in one program and not in the next. Here only CRLF does,
    and a reply with a lone CR or LF in it is an error.
    """
    sender = sender_in(State.READY)
    sender.send(Noop())
    sender.receive_data(wire)
    with pytest.raises(RemoteProtocolError, match="malformed"):
        sender.next_event()


def test_a_lone_line_feed_completes_no_reply() -> None:
    """4.2: neither does it make one complete."""
    sender = sender_in(State.READY)
    sender.send(Noop())
    sender.receive_data(b"250 OK\n")
    assert sender.next_event() is NEED_DATA


def test_a_reply_line_has_a_bound() -> None:
    """4.5.3. Class: a reply line without end takes memory without end; test_bounds.py has more.
    Here 512 octets are read, and 513 are an error, whatever the reads.
    """
    for size, cut in ((512, 1), (512, 600), (513, 1), (513, 600)):
        sender = Sender()
        wire = b"220 " + b"x" * (size - 6) + b"\r\n"
        for at in range(0, size, cut):
            sender.receive_data(wire[at : at + cut])
        if size == 512:
            assert sender.next_event() == Replied(Verb.CONNECT, Reply(220, "x" * 506))
        else:
            with pytest.raises(RemoteProtocolError, match="over 512 octets"):
                sender.next_event()


# --- replies, as an application gives them ------------------------------------------------------


@pytest.mark.parametrize("code", [0, 99, 199, 200, 252, 299, 354, 521, 555, 600, 2500, -250])
def test_no_illegal_code_can_be_sent(code: int) -> None:
    """4.2.2, 4.3. Class: replies are strings, so any number can be sent. Here the table says which
    may answer what, and another one changes nothing.
    """
    receiver = receiver_in(State.READY)
    receiver.receive_data(b"MAIL FROM:<>\r\n")
    receiver.next_event()
    with pytest.raises(LocalProtocolError):
        receiver.reply(code, "text")
    assert receiver.data_to_send() == b""
    assert receiver.reply_owed is Verb.MAIL
    assert receiver.next_event() is NEED_REPLY


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        ("a\r\nb", b"250-a\r\n250 b\r\n"),
        ("a\nb\rc", b"250-a\r\n250-b\r\n250 c\r\n"),
        ("a\r\n250 b\r\n", b"250-a\r\n250-250 b\r\n250 \r\n"),
        ("a\0\x1b\x7fé\u2028\x85", b"250 a??????\r\n"),
        ("", b"250 \r\n"),
        ("x" * 507, b"250-" + b"x" * 506 + b"\r\n250 x\r\n"),
    ],
)
def test_a_line_break_makes_no_second_reply(text: str, wire: bytes) -> None:
    """4.2. Class: a line break in the text becomes a second reply, which answers the next command.
    Here it makes a reply of several lines, and other controls are replaced.
    """
    receiver = receiver_in(State.READY)
    receiver.receive_data(b"NOOP\r\n")
    receiver.next_event()
    receiver.reply(250, text)
    assert receiver.data_to_send() == wire


def test_no_command_goes_unanswered() -> None:
    """4.2. Class: the application answers nothing, or twice. Here nothing more is read before the
    reply, and there is none without a command.
    """
    receiver = receiver_in(State.READY)
    receiver.receive_data(b"NOOP\r\nRSET\r\n")
    assert receiver.next_event() == Noop()
    for _ in range(3):
        assert receiver.next_event() is NEED_REPLY
    receiver.accept()
    with pytest.raises(LocalProtocolError, match="exactly one"):
        receiver.accept()
    with pytest.raises(LocalProtocolError, match="exactly one"):
        receiver.reply(250)
    assert receiver.data_to_send() == b"250 OK\r\n"
    assert receiver.next_event() == Rset()


# --- commands -----------------------------------------------------------------------------------


def test_a_recipient_is_judged_in_the_state_that_mail_made() -> None:
    """4.1.1 p27. Class: of commands that come together the second is judged before the answer to
    the first is known. Here nothing is read ahead of an owed reply.
    """
    lines = b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\nNOOP\r\n"
    receiver = receiver_in(State.READY)
    receiver.receive_data(lines)
    assert receiver.next_event() == Mail("<a@b>")
    receiver.reply(451)
    events = joined(pull(receiver))
    assert [getattr(event, "verb", None) for event in events] == [
        Verb.RCPT,
        Verb.DATA,
        None,  # the dot is a command here, and unknown
        Verb.NOOP,
    ]
    assert codes(receiver.data_to_send()) == [451, 503, 503, 500, 250]
    _, output = exchange(receiver, lines)
    assert codes(output) == [250, 250, 354, 250, 250]


ADDRESSES = (
    "<a@b>\r\nRCPT TO:<c@d>",
    "<a@b>\nDATA",
    "<a@b\r\n>",
    "<a\r@b>",
    "<a@b>\0",
    "<\u00e9@b>",
    "<a@b> SIZE=1",
    "<a@b",
    "a@b>",
    "<a@b><c@d>",
    '<"a\r\nQUIT\r\n"@b>',
    "<a\\\n@b>",
    "<Po\u017ftmaster>",
    "",
    " <a@b>",
    "<a@b>\u2028",
    "a@b>,<c@d",
)


@pytest.mark.parametrize("text", ADDRESSES)
def test_an_address_makes_no_second_command(text: str) -> None:
    """4.1.2. Class: addresses are concatenated into commands, so CR LF in one makes another. Here
    only text of the grammar becomes a value, and only values are sent.
    """
    for make in (Mail, Rcpt, Path, Mailbox):
        with pytest.raises(LocalProtocolError):
            make(text)


@pytest.mark.parametrize("text", ["a@b>\r\nDATA", "a@b>,<c@d", "a@b> SIZE=1", "a b@c", "<a@b>"])
def test_a_path_is_not_put_together_of_anything(text: str) -> None:
    """3.6, 4.1.2: neither is a path that is made of its parts."""
    with pytest.raises(LocalProtocolError):
        Path.of(text)
    with pytest.raises(LocalProtocolError):
        Path.of(text, "ONE", "TWO")
    with pytest.raises(LocalProtocolError):
        Path.of("JOE@THREE", text)


@pytest.mark.parametrize("text", ["a\r\nb", "a\nb", "a\0", "\u00e9", "", " ", "a\x7f", "x" * 600])
def test_no_argument_makes_a_second_command(text: str) -> None:
    """4.1.2: the same for host names and strings; what is too long is refused when it is sent."""
    for state, make in ((State.INITIAL, Helo), (State.READY, Vrfy)):
        sender = sender_in(state)
        with pytest.raises(LocalProtocolError):
            sender.send(make(text))
        assert sender.data_to_send() == b""


# --- limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("read", [1, 2, 100, 511, 512, 513, 1024, 5000])
def test_limits_do_not_depend_on_the_read(read: int) -> None:
    """4.5.3. Class: a line may be as long as a read is, or a little longer. Here 512 octets are
    within the limit and 513 are not, however they come.
    """
    stream = b"".join(b"HELP " + b"x" * (size - 7) + b"\r\n" for size in (511, 512, 513, 514))
    receiver = receiver_in(State.READY)
    output = b""
    for at in range(0, len(stream), read):
        _, some = exchange(receiver, stream[at : at + read])
        output += some
    assert codes(output) == [214, 214, 500, 500]


@pytest.mark.parametrize("read", [1, 2, 3, 7, 1000])
def test_the_limit_of_a_message_does_not_depend_on_the_read(read: int) -> None:
    """4.5.3, AMB-45. Class: an oversized message is kept before it is refused, or its rest runs as
    commands. Here what is over the limit is swallowed to the end, then answered once.
    """
    small = attrs.evolve(RFC821, limits=Limits(message=10))
    for message, code in ((b"12345678\r\n", 250), (b"123456789\r\n", 552), (b"QUIT\r\n" * 9, 552)):
        receiver = receiver_in(State.DATA, small)
        stream = message + b".\r\nNOOP\r\n"
        events, output = [], b""
        for at in range(0, len(stream), read):
            receiver.receive_data(stream[at : at + read])
            events += pull(receiver)
            output += receiver.data_to_send()
        assert mail_data(events) == message[: 10 if code == 250 or b"QUIT" in message else 9]
        assert codes(output) == [code, 250]
        receiver.receive_data(b"MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\nnext\r\n.\r\n")
        assert mail_data(pull(receiver)) == b"next\r\n"
        assert codes(receiver.data_to_send()) == [250, 250, 354, 250]


def test_sessions_share_nothing() -> None:
    """4.5.3. Class: limits, or what they count, are shared between sessions. Here a dialect is a
    frozen value, and all that changes belongs to one session.
    """
    dialect = attrs.evolve(RFC821, limits=Limits(recipients=1, errors=1))
    one, other = receiver_in(State.RCPT, dialect), receiver_in(State.MAIL, dialect)
    assert codes(exchange(one, b"RCPT TO:<c@d>\r\n")[1]) == [552]
    assert codes(exchange(other, b"RCPT TO:<c@d>\r\n")[1]) == [250]
    assert codes(exchange(one, b"XYZZY\r\n")[1]) == [421]
    assert codes(exchange(other, b"XYZZY\r\n")[1]) == [500]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        dialect.limits.recipients = 2  # type: ignore[misc]


# --- paths --------------------------------------------------------------------------------------


def told(line: bytes, dialect: Dialect = RFC821) -> Command | int:
    """The path command a Receiver makes of a line, or the code it refuses it with."""
    state = State.MAIL if line.startswith(b"RCPT") else State.READY
    receiver = receiver_in(state, dialect)
    receiver.receive_data(line + b"\r\n")
    event = receiver.next_event()
    assert isinstance(event, (Command, Rejected))
    return event.reply.code if isinstance(event, Rejected) else event


@pytest.mark.clause("AMB-58")
def test_a_source_route_is_kept() -> None:
    """3.6. Class: source routes are accepted and dropped, so that nobody can relay by them. Here a
    path keeps its text, and gives its hosts and its mailbox.
    """
    command = told(b"RCPT TO:<@ONE,@TWO:JOE@THREE>")
    assert isinstance(command, Rcpt)
    path = command.forward_path
    assert [str(host) for host in path.route] == ["ONE", "TWO"]
    assert str(path.mailbox) == "JOE@THREE"
    sender = sender_in(State.MAIL)
    sender.send(command)
    assert sender.data_to_send() == b"RCPT TO:<@ONE,@TWO:JOE@THREE>\r\n"


def test_quotes_belong_to_a_mailbox() -> None:
    """4.1.2. Class: quoted strings are unquoted where they are read, and written without quotes,
    so that another mailbox, or two, come out. Here the text stays, and the user is asked for.
    """
    for text in ('"a b"@x', '"a@b"@x', '"a\\"b"@x', '"<a>,<b>"@x', '" "@x'):
        command = told(f"RCPT TO:<{text}>".encode())
        assert isinstance(command, Rcpt)
        assert str(command) == f"RCPT TO:<{text}>"
        assert str(command.forward_path.mailbox) == text
    assert Mailbox('"a@b"@x').local_part == '"a@b"'
    assert Mailbox('"a@b"@x').user == "a@b"
    assert str(Mailbox('"a@b"@x').domain) == "x"


@pytest.mark.clause("4.1.2-29")
def test_quoted_pairs_need_no_quotes() -> None:
    """4.1.2, example Joe\\,Smith. Class: a quoted pair outside quotes is refused, or crashes the
    parser.
    """
    command = told(rb"RCPT TO:<Joe\,Smith@x>")
    assert isinstance(command, Rcpt)
    assert command.forward_path.mailbox is not None
    assert command.forward_path.mailbox.user == "Joe,Smith"
    for local in (rb"\@", rb"\<\>", rb"\"", rb"\\", rb"a\ b", rb"\.\."):
        assert isinstance(told(b"RCPT TO:<" + local + b"@x>"), Rcpt)
    assert told(b"RCPT TO:<a\\@x>") == 501
    assert told(b"RCPT TO:<\\") == 501


@pytest.mark.clause("3.6-13", "AMB-14", "AMB-15")
def test_null_and_postmaster_are_two_things() -> None:
    """3.6, AMB-14, AMB-15. Class: "<>" and "<Postmaster>" are taken for one another, or "<>" is
    accepted as a recipient. Here "<>" is for MAIL only, and "<Postmaster>" for RCPT only.
    """
    null, postmaster = told(b"MAIL FROM:<>"), told(b"RCPT TO:<postMaster>")
    assert isinstance(null, Mail)
    assert null.reverse_path.is_null
    assert not null.reverse_path.is_postmaster
    assert isinstance(postmaster, Rcpt)
    assert postmaster.forward_path.is_postmaster
    assert not postmaster.forward_path.is_null
    assert postmaster == Rcpt("<Postmaster>")
    for dialect in (RFC821, RFC821_LENIENT):
        assert told(b"RCPT TO:<>", dialect) == 501
        assert told(b"MAIL FROM:<Postmaster>", dialect) == 501
    for wrong in (lambda: Rcpt("<>"), lambda: Mail("<Postmaster>")):
        with pytest.raises(LocalProtocolError):
            wrong()


@pytest.mark.clause("4.1.2-31")
@pytest.mark.parametrize(
    ("domain", "legal"),
    [
        (b"#123", True),
        (b"[1.2.3.4]", True),
        (b"[255.255.255.255]", True),
        (b"[0.0.0.0]", True),
        (b"a.#1.[1.2.3.4]", True),
        (b"#", False),
        (b"#1x", False),
        (b"#-1", False),
        (b"[256.1.1.1]", False),
        (b"[1.2.3]", False),
        (b"[1.2.3.4.5]", False),
        (b"[1.2.3.1000]", False),
        (b"[1.2.3.4", False),
        (b"[]", False),
        (b"[::1]", False),
        (b"1.2.3.4", False),
    ],
)
def test_numbers_are_domains(domain: bytes, legal: bool) -> None:
    """3.7, 4.1.2. Class: #123 and [1.2.3.4] are refused, or anything in brackets is accepted."""
    result = told(b"RCPT TO:<a@" + domain + b">")
    if legal:
        assert isinstance(result, Rcpt)
        assert result.forward_path.mailbox is not None
        assert bytes(str(result.forward_path.mailbox.domain), "ascii") == domain
    else:
        assert result == 501


@pytest.mark.parametrize(
    "path",
    [
        b"<u@x",
        b"u@x>",
        b"< u @ x >",
        b"< u@x>",
        b"<u@x >",
        b"<<u@x>>",
        b"<u@x>>",
        b"<u@x> junk",
        b"<u@x><v@y>",
        b"<u@x>,<v@y>",
        b"<u@x,v@y>",
        b"<u>",
        b"<@x>",
        b"<u@>",
        b"<u@@x>",
        b"<u@x@y>",
        b"<u@x.>",
        b"<u@.x>",
        b"<u@x..y>",
        b"<.u@x>",
        b"<u.@x>",
        b"<u..v@x>",
        b"<u v@x>",
        b'<"u@x>',
        b'<u"v"@x>',
        b'<""@x>',
        b"<@a:>",
        b"<@a u@x>",
        b"<@a,b:u@x>",
        b"<a:u@x>",
        b"<u@x(comment)>",
        b"Smith <u@x>",
        b"<u@x_y>",
        b"<u@-x>",
        b"<u@x->",
        b"<\xc3\xa9@x>",
        b"<u@\xe9>",
        b"<u\0@x>",
        b"<u\r@x>",
        b"<u\n@x>",
        b"",
        b"<",
        b">",
    ],
)
@pytest.mark.parametrize("command", [b"MAIL FROM:", b"RCPT TO:"])
@pytest.mark.parametrize("dialect", [RFC821, RFC821_LENIENT])
def test_junk_is_no_path(path: bytes, command: bytes, dialect: Dialect) -> None:
    """4.1.2. Class: junk is searched for an address and accepted. Here the whole line is matched
    by the grammar, and what does not match is 501; also where leniency wants no brackets.
    """
    assert told(command + path, dialect) == 501


def test_brackets_may_be_left_out_only_where_that_is_wanted() -> None:
    """AMB-10, AMB-11: leniency is these readings, and they give the same values."""
    for line in (b"RCPT TO:u@x", b"RCPT TO: <u@x>", b"RCPT TO:<u@x>\t", b"rcpt to:\tu@x "):
        assert told(line.upper().replace(b"U@X", b"u@x")) == 501
        assert told(line.upper().replace(b"U@X", b"u@x"), RFC821_LENIENT) == Rcpt("<u@x>")


def test_the_greeting_comes_first() -> None:
    """4.3. Class: a sender speaks before it was greeted, and takes the greeting for a reply."""
    sender = Sender()
    with pytest.raises(LocalProtocolError):
        sender.send(Helo("x"))
    assert sender.awaiting is Verb.CONNECT
    receiver = Receiver(HOST)
    assert receiver.next_event() == Connected()
    accept(receiver)
    sender.receive_data(receiver.data_to_send())
    assert isinstance(sender.next_event(), Replied)
    assert sender.next_event() is NEED_COMMAND
