"""A Sender and a Receiver joined in memory: by turns, by steps, in any cut."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp821 import (
    NEED_REPLY,
    RFC821,
    RFC821_LENIENT,
    Closed,
    Connected,
    Data,
    EndOfData,
    Envelope,
    Expn,
    Handler,
    Helo,
    LocalProtocolError,
    Mail,
    MailData,
    Noop,
    Path,
    Quit,
    Rcpt,
    Receiver,
    Rejected,
    Replied,
    Reply,
    Rset,
    Sender,
    SessionLost,
    State,
    Turn,
    Turned,
    Verb,
    Vrfy,
)
from smtp821.testing.pair import (
    DOMAIN,
    Cut,
    Host,
    Pair,
    accept,
    bytewise,
    joined,
    pieces,
    pull,
    whole,
)
from smtp821.testing.strategies import clean_mail_data
from smtp821.transcript import Transcript

SMITH = "<Smith@USC-ISIF.ARPA>"
JONES = "<Jones@BBN-UNIX.ARPA>"
GREETING = b"220 BBN-UNIX.ARPA Simple Mail Transfer Service Ready\r\n"
TURNING = RFC821.offering(Verb)


class Inbox(Handler):
    """Takes mail for Jones, and keeps it."""

    def __init__(self) -> None:
        super().__init__("test")
        self.messages: list[bytes] = []

    def rcpt(self, command: Rcpt) -> Reply | None:
        """Jones is here."""
        return None if str(command.forward_path) == JONES else Reply(550)

    def data(self, command: Data) -> None:
        """Begin a message."""
        self.messages.append(b"")

    def mail_data(self, event: MailData) -> None:
        """Go on with it."""
        self.messages[-1] += event.data

    def end_of_data(self, event: EndOfData) -> None:
        """It is kept."""


class AsyncInbox(Inbox):
    """The same, with methods that are awaited."""

    async def expn(self, command: Expn) -> Reply:
        """There is a list, unless its name is bad."""
        if command.string == "bad":
            raise ValueError(command.string)
        return Reply(250, JONES)

    async def vrfy(self, command: Vrfy) -> Reply:
        """What needs an event loop has none here."""
        await asyncio.sleep(0)
        return Reply(250, JONES)


class Broken(Inbox):
    """Raises where a message comes."""

    def mail_data(self, event: MailData) -> None:
        """Break."""
        raise RuntimeError("the disk is full")


def later(_receiver: Receiver) -> None:
    """Leave the reply owed."""


def opened(pair: Pair) -> Pair:
    """The pair, as far as HELO."""
    assert pair.command(Helo("USC-ISIF.ARPA")).code == 250
    return pair


# --- By turns ---------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [whole, bytewise, lambda size: 1 + size // 2, lambda _: 7])
def test_a_handler_is_asked(cut: Cut) -> None:
    """A message goes to a Handler, and each reply comes back, however the bytes are cut."""
    inbox = Inbox()
    pair = opened(Pair(Host(inbox), cut=cut))
    assert pair.command(Mail(SMITH)) == Reply(250)
    assert pair.command(Rcpt("<Green@BBN-UNIX.ARPA>")) == Reply(550)
    assert pair.command(Rcpt(JONES)) == Reply(250)
    assert pair.data(b"Hello\r\n.dot\r\n") == Reply(250)
    assert pair.command(Quit()).code == 221
    assert inbox.messages == [b"Hello\r\n.dot\r\n"]
    assert pair.host.failures == []


def test_the_events_of_both_sides() -> None:
    """Each end's events are kept in their order."""
    pair = opened(Pair(Host(Inbox())))
    pair.command(Mail(SMITH))
    pair.command(Rcpt(JONES))
    pair.data(b"Hello\r\n")
    pair.command(Quit())
    envelope = Envelope(Verb.MAIL, Path(SMITH), (Path(JONES),))
    assert pair.receiver_events == [
        Connected(),
        Helo("USC-ISIF.ARPA"),
        Mail(SMITH),
        Rcpt(JONES),
        Data(),
        MailData(b"Hello\r\n"),
        EndOfData(envelope, 7, False),
        Quit(),
        Closed(),
    ]
    *replied, closed = pair.sender_events
    assert closed == Closed()
    codes = [(event.verb, event.reply.code) for event in replied if isinstance(event, Replied)]
    assert codes == [
        (Verb.CONNECT, 220),
        (Verb.HELO, 250),
        (Verb.MAIL, 250),
        (Verb.RCPT, 250),
        (Verb.DATA, 354),
        (Verb.END_OF_DATA, 250),
        (Verb.QUIT, 221),
    ]


def test_a_function_answers() -> None:
    """In the place of a Handler a function gives each reply; every event is seen."""
    pair = opened(Pair())
    assert pair.command(Vrfy("Smith")) == Reply(250, "<Smith@BBN-UNIX.ARPA>")
    assert pair.command(Noop()) == Reply(250)
    assert pair.receiver_events == [Connected(), Helo("USC-ISIF.ARPA"), Vrfy("Smith"), Noop()]
    assert (pair.sender.state, pair.receiver.state) == (State.READY, State.READY)


def test_the_parties_can_be_chosen() -> None:
    """The name of the receiver, and what each end speaks."""
    pair = Pair(Host(domain="BETA.ARPA", dialect=RFC821_LENIENT), Sender(RFC821_LENIENT))
    pair.settle()
    assert pair.receiver.domain.text == "BETA.ARPA"
    assert pair.sender.dialect is pair.receiver.dialect is RFC821_LENIENT
    with pytest.raises(LocalProtocolError):
        Host(domain="no domain")


def test_what_a_handler_does_not_offer_is_502() -> None:
    """4.5.1: the Receiver offers what the Handler does, whatever the dialect does."""
    pair = opened(Pair(Host(Inbox(), dialect=TURNING)))
    assert pair.command(Expn("list")).code == 502
    assert pair.receiver_events[-1] == Rejected(Reply(502), Verb.EXPN, b"EXPN list")


def test_async_methods_are_awaited() -> None:
    """They may await what needs no event loop; what they raise is kept, and answered 421."""
    pair = opened(Pair(Host(AsyncInbox())))
    assert pair.command(Expn("list")) == Reply(250, JONES)
    assert pair.command(Expn("bad")).code == 421
    (failure,) = pair.host.failures
    assert isinstance(failure, ValueError)


def test_what_needs_an_event_loop_fails() -> None:
    """There is none; the method is thrown a TypeError."""
    pair = opened(Pair(Host(AsyncInbox())))
    assert pair.command(Vrfy("Jones")).code == 421
    (failure,) = pair.host.failures
    assert isinstance(failure, TypeError)


def test_what_a_handler_raises_is_kept() -> None:
    """A message that could not be taken is answered 451, as in a server; the error is at hand."""
    pair = opened(Pair(Host(Broken())))
    pair.command(Mail(SMITH))
    pair.command(Rcpt(JONES))
    assert pair.data(b"Hello\r\n") == Reply(451)
    assert pair.command(Noop()) == Reply(250)
    assert [str(failure) for failure in pair.host.failures] == ["the disk is full"]


def test_what_a_function_raises_comes_through() -> None:
    """A function is part of the test: what it raises ends the test."""

    def fail(_receiver: Receiver) -> None:
        raise AssertionError("not this")

    with pytest.raises(AssertionError, match="not this"):
        Pair(Host(fail)).settle()


def test_data_that_is_refused() -> None:
    """Where DATA is answered with a refusal, no message is sent."""
    codes = iter([220, 250, 250, 250, 554])
    pair = opened(Pair(Host(lambda receiver: receiver.reply(next(codes)))))
    pair.command(Mail(SMITH))
    pair.command(Rcpt(JONES))
    assert pair.data(b"Hello\r\n") == Reply(554)
    assert pair.receiver_events[-1] == Data()


def test_an_illegal_command_raises() -> None:
    """What the Sender does not send changes nothing."""
    pair = opened(Pair())
    with pytest.raises(LocalProtocolError):
        pair.command(Data())
    assert pair.command(Noop()) == Reply(250)


def test_a_reply_that_is_left_owed() -> None:
    """The host's silence is the caller's affair; the reply can still be given."""
    pair = Pair(Host(later))
    pair.settle()
    pair.receiver.accept()
    pair.settle()
    with pytest.raises(LocalProtocolError, match="leaves the reply to HELO owed"):
        pair.command(Helo("USC-ISIF.ARPA"))
    pair.receiver.accept()
    pair.settle()
    assert pair.sender.state is State.READY


def test_a_421_that_came_first() -> None:
    """A notice of closing is the answer to whatever was asked (AMB-28)."""
    pair = opened(Pair())
    pair.sender.send(Noop())
    pair.receiver.shutdown()
    pair.settle()
    assert pair.sender.state is pair.receiver.state is State.CLOSED
    reply, closed = pair.sender_events[-2:]
    assert isinstance(reply, Replied)
    assert reply.reply.code == 421
    assert closed == Closed()
    assert pair.step() is False


def test_a_session_that_ends_without_a_reply() -> None:
    """Where nobody is there any more, there is no reply."""

    def cut(size: int) -> int:
        if pair.sender.awaiting is Verb.NOOP:
            pair.close()
        return size

    pair = Pair(cut=cut)
    opened(pair)
    with pytest.raises(SessionLost):
        pair.command(Noop())
    assert pair.sender_events[-1] == Closed(Verb.NOOP)


# --- By steps ---------------------------------------------------------------------------------


def test_the_greeting_is_in_flight_first() -> None:
    """Nothing has arrived before it is carried."""
    pair = Pair()
    assert (pair.commands, pair.replies) == (b"", b"")
    pair.poll()
    assert (pair.commands, pair.replies) == (b"", GREETING)
    assert pair.sender_events == []
    assert pair.step() is True
    assert pair.sender.state is State.INITIAL
    assert pair.step() is False


def test_octets_arrive_as_they_are_carried() -> None:
    """So many at a time, in either direction; what was not carried stays in flight."""
    pair = Pair()
    pair.carry_replies(3)
    assert pair.replies == GREETING[3:]
    pair.carry_replies()
    pair.sender.send(Noop())
    pair.carry_commands(4)
    assert pair.commands == b"\r\n"
    assert pair.receiver_events == [Connected()]
    pair.carry_commands(1)
    assert pair.receiver_events == [Connected()]
    pair.carry_commands(1)
    assert pair.receiver_events == [Connected(), Noop()]
    assert pair.replies == b"250 OK\r\n"
    pair.carry_replies(7)
    assert len(pair.sender_events) == 1
    pair.carry_replies(1)
    pair.carry_commands()
    pair.carry_replies()
    assert pair.sender_events[-1] == Replied(Verb.NOOP, Reply(250), Noop())


def test_commands_arrive_before_replies() -> None:
    """Where bytes are in flight both ways, the receiver's come first."""
    pair = Pair()
    pair.settle()
    pair.sender.send(Noop())
    pair.receiver.shutdown()
    pair.poll()
    assert (pair.commands, pair.replies[:4]) == (b"NOOP\r\n", b"421 ")
    pair.step()
    assert (pair.commands, pair.replies[:4]) == (b"", b"421 ")


def test_a_cut_is_asked_with_what_is_in_flight() -> None:
    """It is told how many octets there are; of more than there are, all arrive."""
    sizes: list[int] = []

    def cut(size: int) -> int:
        sizes.append(size)
        return 20

    pair = Pair(cut=cut)
    pair.settle()
    assert sizes == [54, 34, 14]
    assert sizes[0] == len(GREETING)


@pytest.mark.parametrize("size", [0, -1])
def test_a_cut_takes_something(size: int) -> None:
    """Else nothing would ever arrive."""
    with pytest.raises(ValueError, match=f"one octet or more, not {size}"):
        Pair(cut=lambda _: size).settle()
    with pytest.raises(ValueError, match=f"one octet or more, not {size}"):
        list(pieces(b"x", lambda _: size))


def test_pieces() -> None:
    """A cut of bytes that are at hand."""
    assert list(pieces(b"abcde", lambda size: size // 2 + 1)) == [b"abc", b"de"]
    assert list(pieces(b"abc", bytewise)) == [b"a", b"b", b"c"]
    assert list(pieces(b"abc", whole)) == [b"abc"]
    assert list(pieces(b"", bytewise)) == []


def test_a_broken_connection() -> None:
    """What is in flight is lost, and both ends know that it is over."""
    pair = opened(Pair())
    pair.command(Mail(SMITH))
    pair.command(Rcpt(JONES))
    pair.sender.send(Data())
    pair.carry_commands()
    pair.close()
    envelope = Envelope(Verb.MAIL, Path(SMITH), (Path(JONES),))
    assert pair.receiver_events[-1] == Closed(None, envelope)
    assert pair.sender_events[-1] == Closed(Verb.DATA, envelope)
    assert (pair.commands, pair.replies) == (b"", b"")
    with pytest.raises(LocalProtocolError):
        pair.close()


def test_the_transcript_is_shown_what_is_said() -> None:
    """Line by line, as it is said, in the form of Appendix F."""
    rows: list[str] = []
    pair = opened(Pair(transcript=Transcript(rows.append)))
    pair.command(Quit())
    assert rows == [
        "R: 220 BBN-UNIX.ARPA Simple Mail Transfer Service Ready",
        "S: HELO USC-ISIF.ARPA",
        "R: 250 BBN-UNIX.ARPA",
        "S: QUIT",
        "R: 221 BBN-UNIX.ARPA Service closing transmission channel",
    ]


# --- TURN -------------------------------------------------------------------------------------


def test_the_roles_are_exchanged() -> None:
    """3.8: a pair of the same ends in each other's role, from the greeting on."""
    rows: list[str] = []
    first = Pair(
        Host(dialect=TURNING), Sender(TURNING), cut=bytewise, transcript=Transcript(rows.append)
    )
    opened(first)
    with pytest.raises(LocalProtocolError):
        first.turned()
    assert first.command(Turn()) == Reply(250)
    assert first.receiver_events[-1] == first.sender_events[-1] == Turned()
    first.settle()
    second = first.turned(Inbox(), domain="USC-ISIF.ARPA")
    assert second.command(Helo(DOMAIN)) == Reply(250, "USC-ISIF.ARPA")
    assert rows[-3:] == [
        "R: 220 USC-ISIF.ARPA Simple Mail Transfer Service Ready",
        "S: HELO BBN-UNIX.ARPA",
        "R: 250 USC-ISIF.ARPA",
    ]


# --- The parts --------------------------------------------------------------------------------


def test_a_host_by_itself() -> None:
    """Bytes in, bytes out; the greeting comes with the first call."""
    host = Host(Inbox())
    assert host(b"NO") == GREETING
    assert host(b"OP\r\n") == b"250 OK\r\n"
    assert host(b"QUIT\r\nNOOP\r\n").startswith(b"221 ")
    assert host(b"") == b""
    assert host.events == [Connected(), Noop(), Quit(), Closed()]


def test_accept_gives_the_ordinary_reply() -> None:
    """And a mailbox, where that is what is asked for."""
    host = Host(accept)
    host.said()
    assert host(b"EXPN x\r\n") == b"250 <Smith@BBN-UNIX.ARPA>\r\n"
    assert host(b"NOOP\r\n") == b"250 OK\r\n"


def test_pull_gives_what_there_is() -> None:
    """Every event up to where bytes are needed, a reply is left owed, or all is over."""
    receiver = Receiver(DOMAIN)
    receiver.receive_data(b"NOOP\r\nRSET\r\n")
    assert pull(receiver, later) == [Connected()]
    assert receiver.next_event() is NEED_REPLY
    assert pull(receiver) == [Noop(), Rset()]
    receiver.receive_data(b"QUIT\r\nNOOP\r\n")
    assert pull(receiver) == [Quit(), Closed()]


@given(st.lists(st.sampled_from([MailData(b"a"), MailData(b"b\r\n"), Noop(), Closed()])))
def test_joined_keeps_what_there_is(events: list[Noop | MailData | Closed]) -> None:
    """Only pieces of mail data that stand side by side become one."""
    result = joined(events)
    for pair in itertools.pairwise(result):
        assert not all(isinstance(event, MailData) for event in pair)

    def flat(of: list[object]) -> list[object]:
        return [
            part
            for event in of
            for part in (list(event.data) if isinstance(event, MailData) else [event])
        ]

    assert flat(list(result)) == flat(list(events))


@given(clean_mail_data(), st.lists(st.integers(1, 40), min_size=1))
def test_a_message_arrives_in_any_cut(message: bytes, sizes: list[int]) -> None:
    """4.5.2: it is what was sent, whatever its dots, and whatever pieces it comes in."""
    inbox = Inbox()
    turn = iter(sizes * 10_000)
    pair = opened(Pair(Host(inbox), cut=lambda _: next(turn)))
    pair.command(Mail(SMITH))
    pair.command(Rcpt(JONES))
    assert pair.data(message) == Reply(250)
    assert inbox.messages == [message]
