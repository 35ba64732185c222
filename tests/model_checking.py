"""All that a Sender and a Receiver can do to each other: a breadth first search of their states.

A joint state is a Sender, a Receiver, and the octets in flight both ways. From each one every move
is tried: the user of the sender says a command that the tables call legal, or an octet of mail data
(a dot, a CR, an LF, or "a", which stands for the rest), or ends the message; any number of the
octets in flight arrive; the application answers, once with each class of its row in 4.3; after TURN
both change roles; the receiver shuts down unasked; the channel is cut. After each move these have
to hold:

- nothing is answered but a command, and each by exactly the one reply that the application gave;
- a command is read as what was said, when its last octet has come, and mail data never is one, nor
  a command mail data; the mail data that is delivered is what was said, or what the policies of the
  two dialects make of it;
- where nothing is in flight both ends are in the same state, with the same envelope, and what the
  one waits for the other owes;
- at a cut nothing is delivered or answered, and what was in progress is told as it was;
- somebody can move, until both ends are closed; and that end can be reached from everywhere.

States are told apart by what can be seen of them: the properties of both ends, the octets in
flight, those that have come and completed nothing, the sizes of the last pieces in which they came,
and the mail data said. An end could remember more than it shows, and of two ways that look alike
only one is gone on with; so what does this search prove?

- Whatever an end forgets at the end of each command, reply and message, save its state and its
  envelope, cannot matter: that much is assumed, for the rest is searched.
- Within a command or a reply the last pieces are told apart, as many as `Scope.memory` says: it is
  cut up in every way into `memory` + 2 pieces, and no assumption is made for lines so short that
  these are all the ways there are.
- Within a message bounded by `octets` everything said and heard counts. A message without bound is
  told by the last two octets said, the last four heard, and all that is between: it is assumed that
  both ends look no further back, as 4.5.2 has no need to.

`python -m tests.model_checking` tells what was searched; `--depth N` goes no more than N moves,
`--deep` searches wider.
"""

from __future__ import annotations

import argparse
import copy
import enum
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import Any, Final, TypeVar

import attrs

from smtp821 import (
    NEED_COMMAND,
    NEED_DATA,
    NEED_REPLY,
    SEQUENCING,
    TRANSITIONS,
    Closed,
    Command,
    Connected,
    Data,
    Dialect,
    EndOfData,
    Expn,
    Helo,
    Help,
    Limits,
    LocalProtocolError,
    Mail,
    MailData,
    Noop,
    Outcome,
    Policy,
    Quit,
    Rcpt,
    Receiver,
    Rejected,
    RemoteProtocolError,
    Replied,
    Reply,
    Rset,
    Saml,
    Send,
    Sender,
    Soml,
    State,
    Turn,
    Turned,
    Verb,
    Vrfy,
    outcome,
)

from .walks import WHOLE

T = TypeVar("T")

ALPHABET: Final = (b".", b"\r", b"\n", b"a")

# As short as commands and replies can be: each octet is one more place where a line can be cut.
COMMANDS: Final[Mapping[Verb, Command]] = {
    command.verb: command
    for command in (
        Helo("a"), Mail("<>"), Send("<>"), Soml("<>"), Saml("<>"), Rcpt("<a@b>"), Data(), Rset(),
        Vrfy("a"), Expn("a"), Help(), Noop(), Quit(), Turn(),
    )
}  # fmt: skip


def _one_of_each_class(verb: Verb) -> tuple[int, ...]:
    """A code of each class that the row of a command has, and 421 (4.3)."""
    rows = [[code for code in codes if code != 421] for codes in SEQUENCING[verb].values()]
    firsts = [row[0] for row in rows if row]
    return (*firsts, *([554] if verb is Verb.CONNECT else []), 421)


CODES: Final[Mapping[Verb, tuple[int, ...]]] = {verb: _one_of_each_class(verb) for verb in Verb}


@attrs.frozen(kw_only=True)
class Scope:
    """What is varied in a search, and how far."""

    name: str
    verbs: Set[Verb] = COMMANDS.keys()
    """The commands that are said."""
    octets: int | None = 0
    """The longest message; None for no bound, and `window` instead."""
    window: int = 1
    """How many octets of a message without bound may be in flight before another is said."""
    recipients: int = 1
    """How many recipients a transaction has at most."""
    turns: int = 0
    """How often the ends change their roles at most."""
    memory: int = 1
    """How many of the last pieces of what is not yet whole are told apart by their sizes."""
    pieces: bool = True
    """Whether octets arrive in pieces; else whatever is in flight arrives at once."""
    faults: bool = True
    """Whether the channel is cut, and the receiver shuts down, at every moment."""
    first: tuple[Verb, ...] = ()
    """What is said before the search begins, and accepted."""
    dialect: Dialect = WHOLE
    receiving: Dialect = WHOLE
    """The dialects of who sends first, and of who receives first."""
    sender: type[Sender] = Sender
    receiver: type[Receiver] = Receiver


Move = tuple[str, Any]
"""What happens: its name, and with what."""


class Violation(AssertionError):
    """An invariant does not hold; the message has the moves that lead there."""


def demand(condition: object, what: str) -> None:
    """Raise unless an invariant holds."""
    if not condition:
        raise Violation(what)


# Snapshots: an end is copied whole, without knowing what it is made of.


def _immutable(kind: type) -> bool:
    """Whether values of a type can be shared by copies: enums, attrs' frozen ones, and the like."""
    return issubclass(kind, (bytes, str, int, type(None), enum.Enum)) or attrs.has(kind)


_SHARED: dict[type, bool] = {}
_PLAIN: dict[type, bool] = {}


def clone(value: T, memo: dict[int, Any]) -> T:
    """As copy.deepcopy, but quick for objects with plain attributes, and sharing frozen values."""
    kind = type(value)
    if kind not in _SHARED:
        _SHARED[kind] = _immutable(kind)
        _PLAIN[kind] = kind.__module__.startswith(("smtp821.", __package__))
    if _SHARED[kind]:
        return value
    if id(value) in memo:
        found: T = memo[id(value)]
        return found
    if kind is list:
        memo[id(value)] = items = [clone(item, memo) for item in value]  # type: ignore[attr-defined]
        return items  # type: ignore[return-value]
    if not _PLAIN[kind]:
        return copy.deepcopy(value, memo)
    memo[id(value)] = new = kind.__new__(kind)
    for name in _slots(kind):
        if hasattr(value, name):
            setattr(new, name, clone(getattr(value, name), memo))
    for name, attribute in getattr(value, "__dict__", {}).items():
        new.__dict__[name] = clone(attribute, memo)
    return new


_SLOTS: dict[type, tuple[str, ...]] = {}


def _slots(kind: type) -> tuple[str, ...]:
    if kind not in _SLOTS:
        found = [name for base in kind.__mro__ for name in vars(base).get("__slots__", ())]
        _SLOTS[kind] = tuple(name for name in found if not name.startswith("__"))
    return _SLOTS[kind]


# The model.

Awaited = tuple[Verb | None, int, bytes]
"""A reply in flight: to what (None: unasked), its code, and its octets."""


class Pair:
    """A joint state, and what has to be known of the past to judge the next move.

    to_receiver, to_sender: octets in flight. begun_*: those that arrived and completed nothing,
    and pieces_* the sizes in which they came last. replies: those in flight. said: the mail data
    of the message in hand, undelivered: what of it the receiver has not given, as it should.
    """

    __slots__ = (
        "begun_r", "begun_s", "closing", "pieces_r", "pieces_s", "receiver", "replies", "said",
        "scope", "sender", "to_receiver", "to_sender", "turns", "undelivered",
    )  # fmt: skip

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.turns = 0
        self.closing = False  # the receiver shut down unasked
        self._open(scope.sender(scope.dialect), scope.receiver("b", scope.receiving))
        for verb in scope.first:
            self._pass(verb)

    def _open(self, sender: Sender, receiver: Receiver) -> None:
        self.sender, self.receiver = sender, receiver
        self.to_receiver = self.to_sender = self.begun_r = self.begun_s = b""
        self.pieces_r: tuple[int, ...] = ()
        self.pieces_s: tuple[int, ...] = ()
        self.replies: tuple[Awaited, ...] = ()
        self._begin_message()
        demand(receiver.next_event() == Connected(), "the greeting is owed first (4.3)")
        demand(receiver.next_event() is NEED_REPLY, "the greeting is owed first (4.3)")

    def _begin_message(self) -> None:
        self.said = b""
        self.undelivered = b""

    def _pass(self, verb: Verb) -> None:
        """Have something said, and accepted, at once."""
        if verb is not Verb.CONNECT:
            self.say(verb)
            self.arrive_at_receiver(len(self.to_receiver))
        self.answer(CODES[verb][0])
        self.arrive_at_sender(len(self.to_sender))

    def copy(self) -> Pair:
        """The same, sharing both ends until one of them is to move."""
        other = object.__new__(Pair)
        for name in Pair.__slots__:
            setattr(other, name, getattr(self, name))
        return other

    def key(self) -> tuple[object, ...]:
        """What tells this state from others."""
        if self.scope.octets is None:
            message: tuple[object, ...] = (self.said[-2:], bool(self.said), self.begun_r[-4:])
        else:
            message = (self.said, self.begun_r)
        sender, receiver = self.sender, self.receiver
        return (
            sender.state, receiver.state, sender.awaiting, receiver.reply_owed,
            sender.envelope, receiver.envelope, self.to_receiver, self.to_sender,
            message, self.undelivered, self.begun_s, self.pieces_r, self.pieces_s,
            self.replies, self.closing, self.turns,
        )  # fmt: skip

    # What can be done.

    def moves(self) -> Iterator[Move]:
        """Every move but faults."""
        if self.to_receiver:
            for size in self._sizes(self.to_receiver):
                yield "to receiver", size
        if self.to_sender:
            for size in self._sizes(self.to_sender):
                yield "to sender", size
        if self.receiver.reply_owed is not None:
            for code in CODES[self.receiver.reply_owed]:
                if code in self.scope.receiving.codes[self.receiver.reply_owed]:
                    yield "answer", code
        if self.sender.awaiting is None and not self.begun_s:
            yield from self._sayings()
        if self.sender.state is self.receiver.state is State.TURNED:
            yield "turn", None

    def faults(self) -> Iterator[Move]:
        """What can go wrong at any moment."""
        if self.scope.faults and self.sender.state is not State.TURNED:
            yield "cut", None
            if self.receiver.state not in (State.CLOSED, State.TURNED):
                yield "shut down", None

    def over(self) -> bool:
        """Whether both ends are closed, and nothing is left to arrive."""
        return self.sender.state is self.receiver.state is State.CLOSED and not self.to_sender

    def _sizes(self, flight: bytes) -> Iterable[int]:
        return range(1, len(flight) + 1) if self.scope.pieces else (len(flight),)

    def _sayings(self) -> Iterator[Move]:
        if self.sender.state is State.DATA:
            if self._has_room():
                for octet in ALPHABET:
                    yield "data", octet
            yield "end", None
            return
        for verb in self.scope.dialect.order[self.sender.state] & self.scope.verbs:
            if verb is Verb.RCPT and self._recipients() == self.scope.recipients:
                continue
            if verb is Verb.TURN and self.turns == self.scope.turns:
                continue
            yield "say", verb

    def _has_room(self) -> bool:
        if self.scope.octets is None:
            return len(self.to_receiver) < self.scope.window
        unfinished = self.said[-1:] == b"\r" and self.scope.dialect.line_feeds is Policy.CONVERT
        return len(self.said) < self.scope.octets or unfinished

    def _recipients(self) -> int:
        envelope = self.sender.envelope
        return len(envelope.forward_paths) if envelope else 0

    # Doing it.

    def do(self, move: Move) -> Pair:
        """The state after a move; raises Violation where an invariant does not hold then."""
        name, what = move
        act, ends = _ACTS[name]
        after = self.copy()
        if "r" in ends:
            after.receiver = clone(self.receiver, {})
        if "s" in ends:
            after.sender = clone(self.sender, {})
        act(after, what)
        if name != "cut":
            after.check()
        return after

    def say(self, verb: Verb) -> None:
        """The user says a command."""
        self.sender.send(COMMANDS[verb])
        line = self.sender.data_to_send()
        demand(line == bytes(COMMANDS[verb]), f"{verb} was written {line!r}")
        self._send(line)

    def _send(self, data: bytes) -> None:
        if self.receiver.state is State.CLOSED:
            self._ignored(data)
        else:
            self.to_receiver += data

    def _ignored(self, data: bytes) -> None:
        """What arrives at a receiver that is closed."""
        receiver = clone(self.receiver, {})
        if data:
            receiver.receive_data(data)
        demand(isinstance(receiver.next_event(), Closed), "a closed receiver reads on")
        demand(receiver.data_to_send() == b"", "a closed receiver speaks on")

    def say_data(self, octet: bytes) -> None:
        """The user says an octet of mail data."""
        policy, before = self.scope.dialect.line_feeds, self.said
        lone_cr = before[-1:] == b"\r" and octet != b"\n"
        lone_lf = octet == b"\n" and before[-1:] != b"\r"
        refused = policy is Policy.CONVERT and lone_cr
        try:
            self.sender.send_data(octet)
        except LocalProtocolError:
            demand(refused, "mail data was refused")
            demand(self.sender.data_to_send() == b"", "refused mail data was written")
            return
        demand(not refused, "a lone CR was sent (AMB-36)")
        self._send(self.sender.data_to_send())
        self._will_be_read(b"\r\n" if lone_lf and policy is Policy.CONVERT else octet)
        self.said += octet

    def _will_be_read(self, data: bytes) -> None:
        if self.receiver.state is not State.CLOSED:
            self.undelivered += data

    def _text(self) -> bytes:
        """What was said of the message, as it is to be read."""
        if self.scope.dialect.line_feeds is Policy.PASS:
            return self.said
        return self.said.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")

    def _message(self) -> bytes:
        """The whole message, as it is to be read."""
        text = self._text()
        return text if text.endswith(b"\r\n") or not text else text + b"\r\n"  # AMB-37

    def _offence(self) -> int:
        """Where the receiver's policies end the message (AMB-36), or -1."""
        text = self._message()
        if self.scope.receiving.bare_newlines is Policy.REFUSE:
            for at, octet in enumerate(text):
                pair = text[at : at + 2] if octet == 13 else text[max(at - 1, 0) : at + 1]
                if octet in b"\r\n" and pair != b"\r\n":
                    return at
        return -1

    def end_data(self, _: None) -> None:
        """The user ends the message."""
        refused = self.scope.dialect.line_feeds is Policy.CONVERT and self.said[-1:] == b"\r"
        try:
            self.sender.end_data()
        except LocalProtocolError:
            demand(refused, "the end of mail data was refused")
            demand(self.sender.data_to_send() == b"", "a refused end was written")
            return
        demand(not refused, "a final CR was sent (AMB-36)")
        self._send(self.sender.data_to_send())
        self._will_be_read(self._message()[len(self._text()) :])

    def arrive_at_receiver(self, size: int) -> None:
        """A piece arrives at the receiver, which reads it."""
        piece, self.to_receiver = self.to_receiver[:size], self.to_receiver[size:]
        before = self.receiver.state
        self.begun_r += piece
        self.pieces_r = self._remember(self.pieces_r, size)
        self.receiver.receive_data(piece)
        while (event := self.receiver.next_event()) is not NEED_DATA:
            if event is NEED_REPLY:
                break
            self._read(event, before)
        output = self.receiver.data_to_send()
        if output:
            self._answered_by_itself(output)

    def _remember(self, pieces: tuple[int, ...], size: int) -> tuple[int, ...]:
        kept = min(size, 5) if self.scope.octets is None else size
        return (*pieces, kept)[-self.scope.memory :] if self.scope.memory else ()

    def _read(self, event: object, before: State) -> None:
        if isinstance(event, MailData):
            demand(before is State.DATA, "a command was read as mail data")
            demand(self.undelivered.startswith(event.data), f"{event.data!r} was never said")
            self.undelivered = self.undelivered[len(event.data) :]
            return
        demand(self.to_receiver == b"", f"{event} before all of it had come")
        self.begun_r, self.pieces_r = b"", ()
        if isinstance(event, Rejected):
            demand(self._is_refused_message(event), f"{event}")
            self.undelivered = b""
            return
        if isinstance(event, EndOfData):
            demand(before is State.DATA, "a command was read as the end of mail data")
            demand(self.undelivered == b"", f"{self.undelivered!r} was not delivered")
            demand(event.envelope == self.sender.envelope, "a message with another envelope")
            demand(event.size == len(self._message()), f"{event.size} octets")
            demand(self._offence() < 0, "a message that the policies refuse was delivered")
        else:
            demand(before is not State.DATA, f"mail data was read as {event}")
            awaited = self.sender.awaiting
            demand(awaited is not None and event == COMMANDS[awaited], f"{event} was never said")
        demand(getattr(event, "verb", None) is self.sender.awaiting, "another end was said")

    def _is_refused_message(self, event: Rejected) -> bool:
        """Whether this is what the policies make of the message, and what was before is given."""
        whose = event.verb is Verb.END_OF_DATA is self.sender.awaiting
        delivered = len(self._message()) - len(self.undelivered)
        return whose and event.reply.code == 554 and delivered == self._offence()

    def _answered_by_itself(self, output: bytes) -> None:
        """The receiver has judged alone; only a message can be so bad."""
        demand(self._offence() >= 0, f"{output!r} was answered to nothing")
        demand(output.startswith(b"554 ") and output.count(b"\r\n") == 1, f"{output!r}")
        self.to_sender += output
        self.replies += ((Verb.END_OF_DATA, 554, output),)

    def answer(self, code: int) -> None:
        """The application answers."""
        verb = self.receiver.reply_owed
        name = str(self.receiver.domain)
        lines = (name, name) if verb in (Verb.HELP, Verb.EXPN) else (name,)
        head = "".join(f"{code}-{line}\r\n" for line in lines[:-1])
        self.receiver.reply(Reply(code, lines))
        self._reply(verb, code, f"{head}{code} {name}\r\n".encode())

    def _reply(self, verb: Verb | None, code: int, expected: bytes) -> None:
        output = self.receiver.data_to_send()
        demand(output == expected, f"{code} to {verb} was written {output!r}")
        demand(self.receiver.reply_owed is None, "a reply was given, and one is owed still")
        self.to_sender += output
        self.replies += ((verb, code, output),)

    def shut_down(self, _: None) -> None:
        """The receiver says 421, and reads no more."""
        name = str(self.receiver.domain)
        self.receiver.shutdown(name)
        self._reply(None, 421, f"421 {name}\r\n".encode())
        self._ignored(self.to_receiver)
        self.to_receiver = self.begun_r = self.undelivered = b""
        self.pieces_r = ()
        self.closing = True

    def arrive_at_sender(self, size: int) -> None:
        """A piece arrives at the sender, which reads it."""
        piece, self.to_sender = self.to_sender[:size], self.to_sender[size:]
        self.begun_s += piece
        self.pieces_s = self._remember(self.pieces_s, size)
        self.sender.receive_data(piece)
        while (event := self.sender.next_event()) not in (NEED_DATA, NEED_COMMAND):
            if isinstance(event, (Closed, Turned)):
                break
            demand(isinstance(event, Replied), f"the sender was given {event}")
            assert isinstance(event, Replied)
            self._replied(event)
        demand(self.sender.data_to_send() == b"", "the sender speaks of itself")
        whole = self.replies and self.begun_s.startswith(self.replies[0][2])
        demand(not whole, "a whole reply was not read")
        if self.begun_s and self.sender.awaiting is None:
            self._may_not_speak()

    def _may_not_speak(self) -> None:
        """A 421 that nobody asked for has begun; what is said now would cross it."""
        try:
            self.say_data(b"a") if self.sender.state is State.DATA else self.say(Verb.QUIT)
        except RemoteProtocolError:
            demand(self.sender.data_to_send() == b"", "it was written nevertheless")
        else:
            raise Violation("something was said in the midst of a reply")

    def _replied(self, event: Replied) -> None:
        demand(self.replies, f"{event} was never given")
        (verb, code, wire), *rest = self.replies
        demand(self.begun_s.startswith(wire), "a reply was read before it was whole")
        unasked = self.closing and not rest  # to whatever is in flight, or to nothing
        demand(event.verb is verb or unasked, f"{event} answers {verb}")
        demand(event.reply.code == code, f"{event} was {code}")
        self.replies = tuple(rest)
        self.begun_s = self.begun_s[len(wire) :]
        self.pieces_s = ()
        if event.verb is Verb.DATA or event.verb is Verb.END_OF_DATA:
            self._begin_message()

    def turn(self, _: None) -> None:
        """Both ends change their roles (3.8)."""
        name = "ab"[self.turns % 2]
        receiver, sender = self.sender.turned(name), self.receiver.turned()
        self.turns += 1
        self._open(sender, receiver)

    def cut(self, _: None) -> None:
        """The channel is cut: both read an end of file, and what is in flight is lost."""
        awaiting, said = self.sender.awaiting, self.sender.envelope
        if self.sender.state is not State.CLOSED:
            self.sender.receive_data(b"")
            demand(self.sender.next_event() == Closed(awaiting, said), "the sender's end of file")
        demand(self.sender.state is State.CLOSED, "the sender lives on")
        if self.receiver.state is not State.CLOSED:
            self._cut_receiver()

    def _cut_receiver(self) -> None:
        receiver, owed = self.receiver, self.receiver.reply_owed
        receiver.receive_data(b"")
        if owed is not None:  # what was heard whole is done, though nobody hears the answer
            demand(receiver.next_event() is NEED_REPLY, f"{owed} came to nothing")
            self.answer(CODES[owed][0])
        if receiver.state is State.TURNED:
            return
        heard = receiver.envelope
        if receiver.state is not State.CLOSED:
            demand(receiver.next_event() == Closed(None, heard), "the receiver's end of file")
        demand(isinstance(receiver.next_event(), Closed), "the receiver lives on")
        demand(receiver.data_to_send() == b"", "the receiver speaks to nobody")

    def check(self) -> None:
        """What holds of every state by itself."""
        if self.to_receiver or self.to_sender or self.begun_s:
            return
        sender, receiver = self.sender, self.receiver
        if self.begun_r and receiver.state is not State.DATA:
            return
        demand(
            sender.state is receiver.state, f"the sender is {sender.state}, not {receiver.state}"
        )
        demand(sender.envelope == receiver.envelope, "the ends have different envelopes")
        demand(sender.awaiting is receiver.reply_owed, f"{sender.awaiting} is not owed")


# Each move, what does it, and whether the sender or the receiver takes part.
_ACTS: Final[Mapping[str, tuple[Callable[[Pair, Any], None], str]]] = {
    "say": (Pair.say, "s"),
    "data": (Pair.say_data, "s"),
    "end": (Pair.end_data, "s"),
    "to receiver": (Pair.arrive_at_receiver, "r"),
    "answer": (Pair.answer, "r"),
    "to sender": (Pair.arrive_at_sender, "s"),
    "turn": (Pair.turn, ""),
    "shut down": (Pair.shut_down, "r"),
    "cut": (Pair.cut, "rs"),
}


# The search.

Edge = tuple[State, Verb, Outcome]

EDGES: Final[frozenset[Edge]] = frozenset(
    (state, verb, outcome(verb, code))
    for state, verbs in WHOLE.order.items()
    for verb in verbs
    for code in CODES[verb]
)
"""Every answer that there is to be seen: state, command, and what the reply means."""


@attrs.define
class Search:
    """A search, and what it has found so far."""

    scope: Scope
    depth: int | None = None
    """How many moves to go at most; None for all."""
    moves: int = 0
    arrivals: int = 0
    """How many of the moves were pieces arriving."""
    deepest: int = 0
    """How many moves from the beginning the last state is."""
    closed: bool = True
    """Whether every state was gone on from, rather than left at the bound of depth."""
    seen: set[tuple[State, State]] = attrs.Factory(set)
    """The states of sender and receiver that were seen together."""
    given: set[Edge] = attrs.Factory(set)
    """Where the receiver answered."""
    got: set[Edge] = attrs.Factory(set)
    """Where the sender was answered."""
    messages: set[bytes] = attrs.Factory(set)
    """The mail data that was said of whole messages, where `octets` bounds them."""

    numbers: dict[tuple[object, ...], int] = attrs.Factory(dict)
    """The states, by what tells them apart."""
    origins: list[tuple[int, Move]] = attrs.Factory(list)
    """From which state each was reached first, and how."""
    before: list[list[int]] = attrs.Factory(list)
    """From which states each is reached without a fault."""
    ends: list[int] = attrs.Factory(list)
    """Where nothing is left to be done, or was left undone at the bound."""
    queue: deque[tuple[int, int, Pair]] = attrs.Factory(deque)
    """What is to be gone on from: number, distance, state."""

    def run(self) -> Search:
        """Search; raises Violation, with the moves that lead there, if an invariant fails."""
        self._reach(Pair(self.scope), -1, ("begin", None), 0)
        while self.queue:
            self._go_on(*self.queue.popleft())
        self._all_can_end()
        return self

    def _go_on(self, number: int, distance: int, pair: Pair) -> None:
        self.deepest = distance
        self.seen.add((pair.sender.state, pair.receiver.state))
        if distance == self.depth:
            self.closed = False
            self.ends.append(number)
            return
        moves = list(pair.moves())
        if pair.over():
            self.ends.append(number)
        elif not moves:
            raise Violation(self._story("nobody can move", number))
        for move in moves:
            after = self._do(pair, move, number)
            self._note(pair, move, after)
            self.before[self._reach(after, number, move, distance + 1)].append(number)
        for move in pair.faults():
            after = self._do(pair, move, number)
            if move[0] != "cut":
                self._reach(after, number, move, distance + 1)

    def _do(self, pair: Pair, move: Move, number: int) -> Pair:
        self.moves += 1
        try:
            return pair.do(move)
        except Exception as error:
            raise Violation(self._story(f"{error} at: {_words(move)}", number)) from error

    def _reach(self, pair: Pair, origin: int, move: Move, distance: int) -> int:
        """The number of a state, which is put in the queue if it is new."""
        key = pair.key()
        number = self.numbers.get(key)
        if number is None:
            number = self.numbers[key] = len(self.origins)
            self.origins.append((origin, move))
            self.before.append([])
            self.queue.append((number, distance, pair))
        return number

    def _note(self, pair: Pair, move: Move, after: Pair) -> None:
        """Remember what a move covers."""
        name, what = move
        self.arrivals += name in ("to receiver", "to sender")
        owed, awaiting = pair.receiver.reply_owed, pair.sender.awaiting
        if name == "answer" and owed is not None:
            self.given.add((pair.receiver.state, owed, outcome(owed, what)))
        elif name == "to sender" and awaiting and len(after.replies) < len(pair.replies):
            code = pair.replies[0][1]
            self.got.add((pair.sender.state, awaiting, outcome(awaiting, code)))
        elif name == "end" and after.sender.awaiting and self.scope.octets is not None:
            self.messages.add(pair.said)

    def _all_can_end(self) -> None:
        """From everywhere the end can be reached, if nothing goes wrong."""
        good, queue = set(self.ends), deque(self.ends)
        while queue:
            for number in self.before[queue.popleft()]:
                if number not in good:
                    good.add(number)
                    queue.append(number)
        for number in range(len(self.origins)):
            if number not in good:
                raise Violation(self._story("there is no way to the end", number))

    def _story(self, what: str, number: int) -> str:
        """What went wrong, behind the moves that led there."""
        moves: list[str] = []
        while number > 0:
            number, move = self.origins[number]
            moves.append(_words(move))
        return "\n  ".join([what, *reversed(moves)])

    def __str__(self) -> str:
        bound = "all" if self.closed else f"to depth {self.depth}"
        return (
            f"{self.scope.name}: {len(self.numbers):,} states, {self.moves:,} moves of which"
            f" {self.arrivals:,} arrivals, up to {self.deepest} in a row; {bound}"
            + (f"; {len(self.messages):,} messages" if len(self.messages) > 1 else "")
        )


def _words(move: Move) -> str:
    name, what = move
    return name if what is None else f"{name} {what!s}"


def explore(scope: Scope, depth: int | None = None) -> Search:
    """Search all that can happen, to a number of moves, or to the end. Raises Violation."""
    return Search(scope, depth).run()


# What is searched.

_UP_TO_DATA: Final = (Verb.CONNECT, Verb.HELO, Verb.MAIL, Verb.RCPT, Verb.DATA)
PASSING: Final = attrs.evolve(WHOLE, line_feeds=Policy.PASS, limits=Limits(text_line=None))
CONVERTING: Final = attrs.evolve(PASSING, line_feeds=Policy.CONVERT)
REFUSING: Final = attrs.evolve(PASSING, bare_newlines=Policy.REFUSE)


def message(name: str, *, octets: int | None, **others: Any) -> Scope:
    """A search of one message, from 354 to the end of the session."""
    verbs = frozenset({Verb.QUIT})
    settings = {"dialect": PASSING, "receiving": PASSING, **others}
    return Scope(name=name, octets=octets, verbs=verbs, first=_UP_TO_DATA, **settings)


# What it takes to deliver a message, and to change roles; and the shortest commands.
_EXCHANGE: Final = {Verb.HELO, Verb.MAIL, Verb.RCPT, Verb.DATA, Verb.TURN, Verb.QUIT}
_SHORTEST: Final = {Verb.HELO, Verb.NOOP, Verb.RSET, Verb.TURN, Verb.QUIT}


def scopes(*, deep: bool = False) -> list[Scope]:
    """The searches of an ordinary run, or wider ones."""
    wider = int(deep)
    return [
        Scope(name="sessions", recipients=1 + wider, memory=1 + wider),
        Scope(
            name="roles",
            verbs=COMMANDS.keys() if deep else _EXCHANGE,
            turns=2,
            octets=1,
            recipients=2,
            memory=wider,
        ),
        Scope(name="cuts", first=_UP_TO_DATA[:2], verbs=_SHORTEST, turns=1, memory=99),
        message("messages", octets=4 + wider, faults=deep),
        message("converted", octets=3 + 2 * wider, dialect=CONVERTING, faults=deep),
        message("refused", octets=3 + wider, receiving=REFUSING, memory=0, faults=deep),
        message("endless", octets=None, window=1 + wider, memory=wider),
    ]


def coverage(searches: Iterable[Search]) -> str:
    """How much of the tables was seen, in words."""
    given: set[Edge] = set().union(*(search.given for search in searches))
    got: set[Edge] = set().union(*(search.got for search in searches))
    rows = TRANSITIONS.keys()
    return (
        f"{len(rows & given)} and {len(rows & got)} of {len(rows)} rows of TRANSITIONS taken by a"
        f" receiver and by a sender; {len(EDGES & given)} and {len(EDGES & got)} of {len(EDGES)}"
        " answers given and got"
    )


def main() -> None:
    """Search, and say what was found."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.model_checking", description=main.__doc__
    )
    parser.add_argument("--depth", type=int, help="how many moves to go at most")
    parser.add_argument("--deep", action="store_true", help="search wider")
    options = parser.parse_args()
    searches = []
    for scope in scopes(deep=options.deep):
        searches.append(explore(scope, options.depth))
        print(searches[-1], flush=True)
    print(coverage(searches))


if __name__ == "__main__":
    main()
