"""A Sender and a Receiver joined in memory: no port, no thread, and every octet at your word.

A `Host` is the receiver's end: a Receiver and what answers for it, a Handler or a function. A
`Pair` joins it to a Sender. What one end says is in flight until it is carried to the other, in
whatever pieces are chosen; each end reads what arrives at once. All of it is deterministic.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, Final

from ..conversation import Conversation
from ..delivery import SessionLost
from ..handler import Handler
from ..protocol.commands import COMMANDS, Command, Data, Verb
from ..protocol.dialect import RFC821, Dialect
from ..protocol.errors import LocalProtocolError
from ..protocol.events import NEED_REPLY, Closed, Event, MailData, Pause, Replied, Turned
from ..protocol.receiver import Receiver
from ..protocol.replies import Reply, Severity
from ..protocol.sender import Sender
from ..transcript import Transcript
from ..wire import run

__all__ = [
    "DOMAIN",
    "Answer",
    "Cut",
    "Host",
    "Pair",
    "accept",
    "bytewise",
    "joined",
    "pieces",
    "pull",
    "whole",
]

DOMAIN: Final = "BBN-UNIX.ARPA"
"""The name of a receiver, where nothing else is said."""

Answer = Callable[[Receiver], object]
"""What answers in the place of a Handler: called while a reply is owed, it gives it, or not yet."""

Cut = Callable[[int], int]
"""How many octets arrive together, of so many in flight: one at least; more than all are all."""


def whole(size: int) -> int:
    """All at once."""
    return size


def bytewise(_size: int) -> int:
    """Every octet by itself."""
    return 1


def pieces(data: bytes, cut: Cut) -> Iterator[bytes]:
    """Data in the pieces that a cut makes. Raises ValueError for one that takes nothing."""
    at = 0
    while at < len(data):
        size = _checked(cut(len(data) - at))
        yield data[at : at + size]
        at += size


def _checked(size: int) -> int:
    if size < 1:
        raise ValueError(f"a cut takes one octet or more, not {size}")
    return size


def accept(receiver: Receiver) -> None:
    """Give the ordinary reply to anything; VRFY and EXPN get a mailbox (3.3)."""
    if receiver.reply_owed in (Verb.VRFY, Verb.EXPN):
        receiver.reply(250, f"<Smith@{receiver.domain}>")
    else:
        receiver.accept()


def pull(receiver: Receiver, answer: Answer = accept) -> list[Event]:
    """Every event there is, each answered, until more data is needed or the session is over.

    It ends too where `answer` leaves a reply owed.
    """
    events: list[Event] = []
    while not (events and isinstance(events[-1], (Closed, Turned))):
        event = receiver.next_event()
        if not isinstance(event, Pause):
            events.append(event)
            continue
        if event is NEED_REPLY:
            answer(receiver)
        if event is not NEED_REPLY or receiver.reply_owed is not None:
            break
    return events


def joined(events: Iterable[Event]) -> list[Event]:
    """The events with adjacent pieces of mail data made one: the same for any cut of the input."""
    result: list[Event] = []
    for event in events:
        before = result[-1] if result else None
        if isinstance(event, MailData) and isinstance(before, MailData):
            result[-1] = MailData(before.data + event.data)
        else:
            result.append(event)
    return result


class Host:
    """The receiver's end: what the peer says in, what it is told out.

    answer: a Handler; or a function that is called whenever a reply is owed.
    domain, dialect: those of the Receiver. With a Handler it offers what the Handler does.

    An async method of a Handler may await what needs no event loop. Raises LocalProtocolError for
    a domain that is none, and whatever a function raises; what a Handler raises is answered as in
    a server (451, or 421), and kept in `failures`.
    """

    def __init__(
        self, answer: Handler | Answer = accept, *, domain: str = DOMAIN, dialect: Dialect = RFC821
    ) -> None:
        self.events: list[Event] = []
        """What has happened; with a Handler, what it was shown."""
        self.failures: list[Exception] = []
        """What the methods of the Handler have raised."""
        self._answer = answer
        self._conversation: Conversation | None = None
        if isinstance(answer, Handler):
            witness = _Witness(answer, self.events, self.failures)
            self.receiver = Receiver(domain, dialect.offering(witness.offers()))
            self._conversation = Conversation(witness, self.receiver)
        else:
            self.receiver = Receiver(domain, dialect)
        self._over = False

    def __call__(self, data: bytes) -> bytes:
        """Take bytes from the peer (b"" is the end of file), and give those for the peer.

        The first call gives the greeting too.
        """
        self.receiver.receive_data(data)
        return self.said()

    def said(self) -> bytes:
        """Let everything that has come be answered; gives what is said to the peer."""
        if self._conversation is not None:
            self._converse(self._conversation)
        elif not self._over and not isinstance(self._answer, Handler):
            events = pull(self.receiver, self._answer)
            self._over = bool(events) and isinstance(events[-1], (Closed, Turned))
            self.events += events
        return self.receiver.data_to_send()

    @staticmethod
    def _converse(conversation: Conversation) -> None:
        while isinstance(answer := conversation.advance(), Awaitable):
            run(conversation.settle(answer))


class _Witness(Handler):
    """Stands before a Handler, and keeps what it is shown and what it raises."""

    def __init__(self, handler: Handler, events: list[Event], failures: list[Exception]) -> None:
        super().__init__(handler.peer)
        self._handler, self._events, self._failures = handler, events, failures

    def offers(self) -> frozenset[Verb]:
        """What the Handler does."""
        return self._handler.offers()

    def show(self, name: str, event: Event) -> Any:
        """Show an event to the Handler; gives its answer."""
        self._events.append(event)
        try:
            answer = getattr(self._handler, name)(event)
        except Exception as error:
            self._failures.append(error)
            raise
        return self._awaited(answer) if isinstance(answer, Awaitable) else answer

    async def _awaited(self, answer: Awaitable[Any]) -> Any:
        try:
            return await answer
        except Exception as error:
            self._failures.append(error)
            raise


def _showing(name: str) -> Callable[[_Witness, Event], Any]:
    return lambda witness, event: witness.show(name, event)


for _name in (
    *(command.verb.value.lower() for command in COMMANDS),
    *("connected", "mail_data", "end_of_data", "rejected", "closed"),
):
    setattr(_Witness, _name, _showing(_name))


class Pair:
    """A Sender and a Host, and the bytes in flight between them.

    host, sender: the two ends; left out, ones that accept and speak all of RFC821.
    cut: in which pieces bytes arrive, where they are not carried by hand.
    transcript: is shown what each end says, if given.

    `command` and `data` go through a session turn by turn. For less than a turn, talk to
    `pair.sender`, and call `step`, or `carry_commands` and `carry_replies`.
    """

    def __init__(
        self,
        host: Host | None = None,
        sender: Sender | None = None,
        *,
        cut: Cut = whole,
        transcript: Transcript | None = None,
    ) -> None:
        self.host = Host() if host is None else host
        self.sender = Sender() if sender is None else sender
        self.sender_events: list[Replied | Turned | Closed] = []
        """What has happened at the sender's end."""
        self._cut = cut
        self._transcript = Transcript(lambda _line: None) if transcript is None else transcript
        self._commands = bytearray()
        self._replies = bytearray()

    @property
    def receiver(self) -> Receiver:
        """The Receiver of the host."""
        return self.host.receiver

    @property
    def receiver_events(self) -> list[Event]:
        """What has happened at the receiver's end (`Host.events`)."""
        return self.host.events

    # Turn by turn.

    def command(self, command: Command) -> Reply:
        """Send a command, and give its reply, or the 421 that came before it.

        Raises LocalProtocolError as Sender.send does, and where the host leaves the reply owed;
        SessionLost where the session is over without one.
        """
        self.settle()
        self.sender.send(command)
        return self._reply()

    def data(self, message: bytes) -> Reply:
        """Send DATA and a message; gives the reply that decided. Raises as `command` does."""
        reply = self.command(Data())
        if reply.severity is not Severity.INTERMEDIATE:
            return reply
        self.sender.send_data(message)
        self.sender.end_data()
        return self._reply()

    def _reply(self) -> Reply:
        awaiting, before = self.sender.awaiting, len(self.sender_events)
        self.settle()
        for event in self.sender_events[before:]:
            if isinstance(event, Replied):
                return event.reply
        if self.sender.awaiting is None:
            raise SessionLost("the session is over", awaiting)
        raise LocalProtocolError(f"the host leaves the reply to {awaiting} owed")

    # Step by step.

    @property
    def commands(self) -> bytes:
        """What is in flight to the receiver: command lines and mail data."""
        return bytes(self._commands)

    @property
    def replies(self) -> bytes:
        """What is in flight to the sender."""
        return bytes(self._replies)

    def poll(self) -> None:
        """Let both ends read all that has arrived; what they say is in flight then.

        Raises RemoteProtocolError where the host has not kept the protocol.
        """
        said = self.host.said()
        self._transcript.receiver(said)
        self._replies += said
        self._listen()
        said = self.sender.data_to_send()
        self._transcript.sender(said)
        self._commands += said

    def carry_commands(self, octets: int | None = None) -> None:
        """Let so many octets arrive at the receiver, or all that are in flight to it."""
        self.poll()
        self._carry(self._commands, octets, self.receiver)

    def carry_replies(self, octets: int | None = None) -> None:
        """Let so many octets arrive at the sender, or all that are in flight to it."""
        self.poll()
        self._carry(self._replies, octets, self.sender)

    def _carry(self, flight: bytearray, octets: int | None, to: Receiver | Sender) -> None:
        if data := bytes(flight[:octets]):
            del flight[:octets]
            to.receive_data(data)
            self.poll()

    def step(self) -> bool:
        """Let one piece arrive, at the receiver if there is one for it; False if none was there."""
        self.poll()
        flight, to = (
            (self._commands, self.receiver) if self._commands else (self._replies, self.sender)
        )
        if not flight:
            return False
        self._carry(flight, _checked(self._cut(len(flight))), to)
        return True

    def settle(self) -> None:
        """Take steps until nothing is in flight."""
        while self.step():
            pass

    def close(self) -> None:
        """Break the connection: what is in flight is lost, and both ends come to its end.

        To be called once; raises LocalProtocolError after that.
        """
        self.sender.receive_data(b"")
        self.receiver.receive_data(b"")
        self.poll()
        self._commands.clear()
        self._replies.clear()

    def turned(self, answer: Handler | Answer = accept, *, domain: str = DOMAIN) -> Pair:
        """The pair of the same two ends in each other's role, once TURN was accepted (3.8).

        answer, domain: of the end that was the sender. Raises as `Receiver.turned` and
        `Sender.turned` do.
        """
        receiver = self.sender.turned(domain)
        host = Host(answer, domain=domain, dialect=receiver.dialect)
        return Pair(host, self.receiver.turned(), cut=self._cut, transcript=self._transcript)

    def _listen(self) -> None:
        """Have the sender read what has arrived."""
        while not self._sender_is_over():
            event = self.sender.next_event()
            if isinstance(event, Pause):
                break
            self.sender_events.append(event)

    def _sender_is_over(self) -> bool:
        return bool(self.sender_events) and isinstance(self.sender_events[-1], (Closed, Turned))
