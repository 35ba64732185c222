"""A peer that plays a script, for tests of what sends mail: it fails in the way that you say.

A script is a few rules. Each says at what the peer does something else than usual, and what:

    Script(at("RCPT", 2, say(452)), at("DATA", close(after=100)))

All the rest is answered by a Receiver, which takes mail for everybody. What is said to the client
need not be legal: the receiver goes on as a client does that looks at the first digit (4.4). A
script is played without I/O, so the same one runs over memory (`memory.client`) and, by
`Script.listening`, at a port of the loopback interface, where one thread serves all connections.
"""

from __future__ import annotations

import errno
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final, Self

import attrs

from ..host import listen
from ..protocol.commands import Command, Helo, Verb
from ..protocol.dialect import RFC821_LENIENT, Dialect
from ..protocol.errors import LocalProtocolError
from ..protocol.events import NEED_DATA, Closed, Connected, EndOfData, MailData, Rejected
from ..protocol.receiver import Receiver
from ..protocol.replies import Code, Reply, Severity
from ..protocol.sequencing import ORDINARY
from ..protocol.session import Envelope
from .listening import Loop

if TYPE_CHECKING:
    from email.message import EmailMessage

__all__ = [
    "ANYTHING",
    "Action",
    "Message",
    "Rule",
    "Script",
    "ScriptedPeer",
    "ScriptedServer",
    "Session",
    "answer",
    "at",
    "close",
    "reset",
    "say",
    "say_forever",
    "say_nothing",
]

ANYTHING: Final = "ANYTHING"
"""For `at`: whatever is answered, be it a command, the connection, or the end of the data."""

_OFFERED: Final = (Verb.SEND, Verb.SOML, Verb.SAML, Verb.HELP)  # beside the minimum of 4.5.1


# What a script is made of.

Action = Callable[["Session"], Iterable[bytes]]
"""What a rule has the peer do: gives what is to be written, in pieces. A generator function that
is given the Session will do, where those of this module are not enough."""


@attrs.frozen
class Rule:
    """What the peer does at something that it hears; `at` makes it."""

    moment: str
    nth: int | None
    actions: tuple[Action, ...]


def at(moment: Verb | str, first: int | Action, *actions: Action) -> Rule:
    """At this, or the n-th of its kind if a number is given, do these, one after the other.

    moment: a command's word in any case, known to RFC 821 or not; "CONNECT", for the greeting;
        "END OF DATA"; or ANYTHING. They are counted from 1, over all connections.
    Raises ValueError for a number under 1, and where nothing is to be done.
    """
    nth, actions = (first, actions) if isinstance(first, int) else (None, (first, *actions))
    if nth is not None and nth < 1:
        raise ValueError(f"the first is number 1; there is no number {nth}")
    if not actions:
        raise ValueError(f"what is to be done at {moment}?")
    return Rule(_moment(moment), nth, actions)


def say(what: int | bytes, *lines: str, cut: int | None = None) -> Action:
    """Say this: a reply, of a code and lines of text, or any bytes as they are.

    The first thing that is said stands for the answer; more is said out of turn. 421 closes. After
    bytes that begin with no code the session goes on as after the ordinary answer.
    cut: octets that are written at a time, if not all at once.
    Raises LocalProtocolError for what is no code, and for one that has no standard text.
    """
    return _Say(what if isinstance(what, bytes) else Reply(what, lines), cut)


def answer(cut: int | None = None) -> Action:
    """Say what the peer says at this by itself; cut as in `say`."""
    return _Answer(cut)


def say_nothing() -> Action:
    """Do what the ordinary answer stands for, so take a message, but do not give it."""
    return _SayNothing()


def say_forever(what: int | bytes) -> Action:
    """Say a reply without end: "250-and more" for 250; or these bytes, again and again.

    Raises ValueError for no bytes.
    """
    if not what:
        raise ValueError("nothing can be said forever by say_nothing() only")
    return _SayForever(b"%d-and more\r\n" % what if isinstance(what, int) else what)


def close(after: int | None = None) -> Action:
    """Close the connection instead of answering: the client reads the end of file.

    after: answer as usual, unless there was an answer, and close once the client has sent so many
        octets more: `at("DATA", close(after=100))` is in the middle of a longer message.
    """
    return _End(after, by_reset=False)


def reset(after: int | None = None) -> Action:
    """As `close`, but the connection breaks, as when a host has crashed."""
    return _End(after, by_reset=True)


@attrs.frozen
class _Say:
    what: Reply | bytes
    cut: int | None

    def __call__(self, session: Session) -> Iterator[bytes]:
        if isinstance(self.what, Reply):
            return _pieces(session.reply(self.what), self.cut)
        code = self.what[:3]
        session.go_on(int(code) if code.isdigit() else None)
        return _pieces(self.what, self.cut)


@attrs.frozen
class _Answer:
    cut: int | None = None

    def __call__(self, session: Session) -> Iterator[bytes]:
        return _pieces(session.ordinary(), self.cut)


@attrs.frozen
class _SayNothing:
    def __call__(self, session: Session) -> Iterable[bytes]:
        session.go_on()
        return ()


@attrs.frozen
class _SayForever:
    what: bytes

    def __call__(self, session: Session) -> Iterator[bytes]:
        session.go_on()
        return itertools.repeat(self.what)


@attrs.frozen
class _End:
    after: int | None
    by_reset: bool

    def __call__(self, session: Session) -> Iterator[bytes]:
        if self.after is not None:
            yield session.ordinary()
        session.end(self.after or 0, by_reset=self.by_reset)


def _pieces(data: bytes, size: int | None) -> Iterator[bytes]:
    step = size or len(data) or 1
    return (data[at : at + step] for at in range(0, len(data), step))


def _moment(what: Verb | str) -> str:
    return (what.name.replace("_", " ") if isinstance(what, Verb) else what).upper()


@attrs.frozen(init=False)
class Script:
    """Rules, of which at each moment the first that fits is followed.

    domain: the name of the peer. dialect: what it takes; mail data with a lone CR or LF, for
    example, is refused by RFC821_LENIENT.
    """

    rules: tuple[Rule, ...]
    domain: str
    dialect: Dialect

    def __init__(
        self, *rules: Rule, domain: str = "peer.example", dialect: Dialect = RFC821_LENIENT
    ) -> None:
        self.__attrs_init__(rules, domain, dialect.offering(_OFFERED))

    def peer(self) -> ScriptedPeer:
        """A peer that plays this, for `memory.client`."""
        return ScriptedPeer(self)

    def listening(self) -> ScriptedServer:
        """A peer that plays this at a port; use it as a context manager, or stop it."""
        return ScriptedServer(self)


# Who plays it.


@attrs.frozen
class Message:
    """A message that was taken."""

    envelope: Envelope
    """Whom it is from and for, as values of this library."""
    data: bytes
    """The mail data, lines in CRLF, transparency undone."""

    @property
    def reverse_path(self) -> str:
        """Whom it is from, without brackets: "me@here.example"; "" for the null path."""
        return self.envelope.reverse_path.text[1:-1]

    @property
    def recipients(self) -> list[str]:
        """Whom it is for, without brackets: those that were accepted, in their order."""
        return [path.text[1:-1] for path in self.envelope.forward_paths]

    @property
    def email(self) -> EmailMessage:
        """The mail data as the standard library reads it, lines in LF."""
        from email import message_from_bytes, policy

        return message_from_bytes(self.data.replace(b"\r\n", b"\n"), policy=policy.default)

    def __str__(self) -> str:
        people = f"from <{self.reverse_path}> to {', '.join(self.recipients)}"
        return f"{people}: {len(self.data)} octets"


class ScriptedPeer:
    """What plays a script to its clients, one after the other or at the same time, and listens.

    It is called with the address of a client for each connection, and gives the Session for it, as
    `memory.client` wants it. Threads may share it.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self._changed = threading.Condition()
        self._counts: Counter[str] = Counter()
        self._commands: list[str] = []
        self._messages: list[Message] = []
        self._connections = 0

    def __call__(self, address: str) -> Session:
        """Begin the session with a client."""
        with self._changed:
            self._connections += 1
        return Session(self, Receiver(self._script.domain, self._script.dialect))

    @property
    def connections(self) -> int:
        """How many there were."""
        return self._connections

    @property
    def commands(self) -> list[str]:
        """The command lines that were heard, as they came, without CRLF."""
        with self._changed:
            return self._commands.copy()

    @property
    def messages(self) -> list[Message]:
        """The messages that were taken, in the order in which they came."""
        with self._changed:
            return self._messages.copy()

    def script(self, *rules: Rule) -> None:
        """Follow these rules from now on, and count anew; without any, just take mail."""
        with self._changed:
            setting = self._script
            self._script = Script(*rules, domain=setting.domain, dialect=setting.dialect)
            self._counts.clear()

    def wait(self, count: int = 1, timeout: float = 5.0) -> list[Message]:
        """Wait until so many messages were taken, in all; gives them.

        timeout: in seconds. Raises AssertionError, which says what has come, when they are over.
        """
        with self._changed:
            enough = self._changed.wait_for(lambda: len(self._messages) >= count, timeout)
            if not enough:
                raise AssertionError(self._account(count, timeout))
            return self._messages.copy()

    def clear(self) -> None:
        """Forget what was heard so far."""
        with self._changed:
            self._commands.clear()
            self._messages.clear()
            self._connections = 0

    def _account(self, count: int, timeout: float) -> str:
        """What has come, where more was waited for."""
        lines = [f"{len(self._messages)} of {count} messages came in {timeout:g} seconds"]
        lines += [f"  {message}" for message in self._messages]
        lines += ["the last commands were"] if self._commands else ["no command was heard"]
        lines += [f"  {command}" for command in self._commands[-5:]]
        return "\n".join(lines)

    # What the sessions tell.

    def _actions(self, moment: str) -> tuple[Action, ...]:
        """Count this, and say what is to be done."""
        with self._changed:
            self._counts.update((moment, ANYTHING))
            for rule in self._script.rules:
                fits = rule.moment in (moment, ANYTHING)
                if fits and rule.nth in (None, self._counts[rule.moment]):
                    return rule.actions
            return (_Answer(),)

    def _hear(self, command: str) -> None:
        with self._changed:
            self._commands.append(command)

    def _take(self, message: Message) -> None:
        with self._changed:
            self._messages.append(message)
            self._changed.notify_all()


class Session:
    """A script that is played to one client, without I/O: bytes in, pieces out.

    Actions have `ordinary`, `reply`, `go_on` and `end`.
    """

    def __init__(self, peer: ScriptedPeer, receiver: Receiver) -> None:
        self._peer = peer
        self._receiver = receiver
        self._unread = bytearray()
        self._heard_all = False  # the client will say nothing more
        self._line = b""  # that the receiver was given last
        self._asked: Command | Connected | EndOfData | Rejected = Connected()
        self._mail_data: list[bytes] = []
        self._saying: Iterator[bytes] = iter(())
        self._left: int | None = None  # octets to be heard before the end, if that is near
        self._by_reset = False

    def receive_data(self, data: bytes) -> None:
        """Take what came from the client, in any cut; b"" is the end of file."""
        self._unread += data
        self._heard_all = not data

    def next_piece(self) -> bytes | None:
        """What is to be written next; None while the client is to speak, b"" at the end.

        Raises ConnectionResetError where the connection is to break.
        """
        while True:
            for piece in self._saying:
                if piece:
                    return piece
            if self._left == 0:
                break
            if not self._advance():
                return None
        if self._by_reset:
            raise ConnectionResetError(errno.ECONNRESET, "the peer has reset the connection")
        return b""

    def lost(self) -> None:
        """The connection is gone: nothing more is said."""
        self._saying, self._left = iter(()), 0

    # What actions do.

    def ordinary(self) -> bytes:
        """Answer as usual; gives what that is, b"" if there was an answer."""
        if self._receiver.reply_owed is not None:
            self._receiver.accept()
            self._keep_message()
        return self._receiver.data_to_send()

    def reply(self, reply: Reply) -> bytes:
        """Answer in this way, legal or not; gives the bytes."""
        self._receiver.data_to_send()  # what it has said by itself
        try:
            if reply.code == Code.NOT_AVAILABLE:
                self._receiver.shutdown(*reply.lines)
            else:
                self._settle(reply)
        except LocalProtocolError:
            self.go_on(reply.code)
            return reply.to_bytes(self._receiver.dialect.limits)
        return self._receiver.data_to_send()

    def go_on(self, code: int | None = None) -> None:
        """Go on as after the ordinary answer, or another like this one, without giving it."""
        owed = self._receiver.reply_owed
        if owed is not None:
            code = code or ORDINARY[owed]
            legal = self._receiver.dialect.codes[owed] - {Code.NOT_AVAILABLE}
            alike = [one for one in legal if one // 100 == code // 100]
            refusing = [one for one in legal if one >= Code.MAILBOX_BUSY]
            self._settle(Reply(min(alike or refusing or legal), "-"))
        elif self._said_hello(code):
            self._receiver.receive_data(b"HELO client\r\n")
            if isinstance(self._receiver.next_event(), Helo):  # not where 421 was said before
                self._receiver.accept()
        self._receiver.data_to_send()

    def end(self, after: int = 0, *, by_reset: bool = False) -> None:
        """Close the connection, or reset it, when the client has sent so many octets more."""
        self._left, self._by_reset = after, by_reset

    # How it goes on.

    def _advance(self) -> bool:
        """Let one thing happen; whether one could."""
        event = self._receiver.next_event()
        if event is NEED_DATA:
            return self._feed()
        if isinstance(event, MailData):
            self._mail_data.append(event.data)
        elif isinstance(event, Closed):
            self._left = 0
        else:
            assert isinstance(event, (Command, Connected, EndOfData, Rejected))
            self._asked = event
            if not isinstance(event, EndOfData):
                self._mail_data.clear()
            self._saying = self._perform(self._peer._actions(self._hear()))
        return True

    def _feed(self) -> bool:
        """Give the receiver one line more, or as much of it as there is: so none waits in it."""
        if not self._unread:
            if self._heard_all:
                self._receiver.receive_data(b"")
            return self._heard_all
        end = self._unread.find(b"\n") + 1 or len(self._unread)
        if self._left is not None:
            end = min(end, self._left)
            self._left -= end
        data = bytes(self._unread[:end])
        del self._unread[:end]
        self._line = data if self._line.endswith(b"\n") else self._line + data
        self._receiver.receive_data(data)
        return True

    def _hear(self) -> str:
        """Note a command; gives the moment that has come."""
        asked, verb = self._asked, self._asked.verb
        if verb in (Verb.CONNECT, Verb.END_OF_DATA):
            return _moment(verb)
        line = asked.line if isinstance(asked, Rejected) else self._line.removesuffix(b"\r\n")
        text = line.decode("ascii", "backslashreplace")
        self._peer._hear(text)
        return _moment(verb or text.partition(" ")[0].partition("\t")[0])

    def _perform(self, actions: Iterable[Action]) -> Iterator[bytes]:
        for action in actions:
            yield from action(self)
            if self._left == 0:
                return
        self.go_on()

    def _said_hello(self, code: int | None) -> bool:
        """Whether a client that speaks more than RFC 821 was told that the peer does too."""
        hello = self._line[:4].upper() == b"EHLO" and isinstance(self._asked, Rejected)
        return hello and code is not None and code // 100 == Severity.COMPLETED

    def _settle(self, reply: Reply) -> None:
        self._receiver.reply(reply)
        if reply.severity is Severity.COMPLETED:
            self._keep_message()

    def _keep_message(self) -> None:
        if isinstance(self._asked, EndOfData):
            self._peer._take(Message(self._asked.envelope, b"".join(self._mail_data)))


# At a port.


class ScriptedServer(ScriptedPeer):
    """A peer that listens on the loopback interface, from when it is made until it is stopped.

    The system chooses the port. As a context manager it stops at the end.
    """

    def __init__(self, script: Script) -> None:
        super().__init__(script)
        listener = listen("127.0.0.1", 0)
        self.address: tuple[str, int] = listener.getsockname()[:2]
        """Host and port that it listens at."""
        self.host, self.port = self.address
        self._loop = Loop(self, listener)

    def stop(self) -> None:
        """Listen no more, and close all connections that do not end by themselves in a moment.

        Raises what went wrong in an action.
        """
        self._loop.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
