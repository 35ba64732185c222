"""A Hypothesis state machine that talks to a server, and holds it against the model.

    TestMyServer = server_machine(lambda: SocketConnection("127.0.0.1", 2525)).TestCase

is a test of whatever listens there. Each rule is one thing that a sender-SMTP may say, in order or
not, well-formed or not; one thing at a time, so nothing is pipelined. What may come back is the
business of `Model`; what it does not allow is a Violation, and Hypothesis makes the session that
led to it as short as it can.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from ..protocol.commands import (
    Command,
    Data,
    Expn,
    Helo,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    Saml,
    Send,
    Soml,
    TransactionCommand,
    Turn,
    Vrfy,
)
from ..protocol.dialect import RFC821, Dialect
from ..protocol.dots import DotEncoder, Policy
from ..protocol.sequencing import State
from ..protocol.session import Envelope
from .connections import Connection
from .model import Deviation, Model

__all__ = ["ServerMachine", "server_machine"]

Delivered = tuple[Envelope | None, bytes]
"""A message as a server delivered it: its envelope, or None, and the mail data."""

_CLOSING: Final = re.compile(rb"^(?:221|421) ", re.MULTILINE)
_DOT_ALONE: Final = re.compile(rb"\r\n\.(?=\r\n)")

# What is said where a Command stands for it: valid by the strict grammar, of every form in 4.1.2.
DOMAINS: Final = ("USC-ISIF.ARPA", "x", "3com.example", "#4", "[10.0.0.27]", "A.#1.[1.2.3.4]")
MAILBOXES: Final = (
    "Smith@USC-ISIF.ARPA",
    "a.b@x",
    '"A. User"@local.example',
    "Joe\\,Smith@local.example",
    '"\\""@x',
    "user@[10.0.0.27]",
)
ROUTES: Final = ("", "", "", "@ONE:", "@ONE,@TWO:")
STRINGS: Final = ("Smith", "Example-People", "<Smith@x>", "a b", "@", "MAIL", "HELP")

# Line after line that is no command, or one with something wrong; and what is wrong only to some.
WRONG_LINES: Final = (
    b"", b" ", b".", b"..", b"250 OK", b"\0", b"\r", b"\n", b"\xff\xfe", b"NOPE", b"HEL", b"QUITE",
    b"NOOP\0", b"QUIT\r", b"RSET\n", b"DATA\n.", b"EHLO", b"EHLO x", b" NOOP", b"HELO", b"HELO ",
    b"HELO a b", b"HELO -", b"HELO x..y", b"HELO [1.2.3]", b"HELO [1.2.3.256]", b"HELO 10.0.0.27",
    b"HELO x\x80", b"MAIL", b"MAIL FROM:", b"MAIL TO:<a@b>", b"MAIL FROM:a@b", b"MAIL FROM: <a@b>",
    b"MAIL FROM:<a@b", b"MAIL FROM:<a b@c>", b"MAIL FROM:<a@b> SIZE=1", b"MAIL FROM:<a@b>\xe9",
    b"MAIL FROM:<a@b>\nRCPT TO:<c@d>", b"MAILFROM:<a@b>", b"RCPT", b"RCPT TO:", b"RCPT TO:<>",
    b"RCPT TO:<@a:>", b"RCPT TO:<a>", b"RCPT TO:<a@b", b"RCPT TO:<a@@b>", b"RCPT FROM:<a@b>",
    b"RCPT TO:<a@b>\rRCPT TO:<c@d>", b"RCPT TO:<a..b@c>", b"RCPT TO:<" + b"u" * 65 + b"@x>",
    b"RCPT TO:<" + b"@x," * 99 + b"@x:a@b>", b"DATA now", b"DATA ", b"RSET now", b"NOOP now",
    b"QUIT now", b"TURN now", b"VRFY", b"EXPN", b"VRFY \xc3\xa9", b"SEND FROM:", b"SOML", b"SAML x",
    b"VRFY " + b"x" * 505, b"VRFY " + b"x" * 506, b"HELP " + b"x" * 600, b"x" * 1100,
)  # fmt: skip

# Mail data: every hazard of dots and line ends (4.5.2), and what looks like a command or an end.
MORSELS: Final = (
    b"\r\n", b"\r\n", b"\r\n.", b"\r\n..", b"\r", b"\n", b".", b"..", b"a", b"Hello", b"\r\n.\n",
    b"\n.\r\n", b"\n.\n", b"\r.\r", b"\r\n.\r", b"\r\r\n.\r\n", b"\n\r", b"\0", b"\x7f", b" ",
    b"\x8d\x8a.", b"\xff", b"\r\nQUIT\r\n", b"\r\nRSET\r\n", b"\n.\nNOOP\r\n", b"Subject: x\r\n",
    b"x" * 70,
)  # fmt: skip


# Where something is said: where the session stands, or in one of the states of 4.1.1.
PLACES: Final[st.SearchStrategy[State | None]] = st.sampled_from(
    (None, None, State.READY, State.MAIL, State.RCPT)
)


class ServerMachine(RuleBasedStateMachine):
    """Sessions with a server; a subclass says how to connect, and may change what is said.

    One connection after the other: behind QUIT, 421 and TURN, and whenever this end hangs up,
    the next is made. At the end of a run the session is brought to its end by QUIT.
    """

    dialect: ClassVar[Dialect] = RFC821
    """What a server has to take is what its grammar derives."""
    tolerated: ClassVar[tuple[Deviation, ...]] = ()
    """What the server may do besides."""

    # What is said: texts, as attributes, so that a subclass can leave out what its server cannot.
    domains: ClassVar[st.SearchStrategy[str]] = st.sampled_from(DOMAINS)
    """The argument of HELO, and of EHLO."""
    reverse_paths: ClassVar[st.SearchStrategy[str]] = st.one_of(
        st.just("<>"),
        st.builds("<{}{}>".format, st.sampled_from(ROUTES), st.sampled_from(MAILBOXES)),
    )
    """The argument of MAIL, SEND, SOML and SAML, brackets included."""
    forward_paths: ClassVar[st.SearchStrategy[str]] = st.one_of(
        st.just("<Postmaster>"),
        st.builds("<{}{}>".format, st.sampled_from(ROUTES), st.sampled_from(MAILBOXES)),
    )
    """The argument of RCPT, brackets included."""
    strings: ClassVar[st.SearchStrategy[str]] = st.sampled_from(STRINGS)
    """The argument of VRFY, EXPN and HELP."""
    wrong_lines: ClassVar[Sequence[bytes]] = WRONG_LINES
    """Lines, without CRLF, that are no commands, or not quite."""
    noise: ClassVar[st.SearchStrategy[bytes]] = st.binary(max_size=40)
    """Octets that are said as a line, unless there is a CRLF in them."""
    messages: ClassVar[st.SearchStrategy[bytes]] = st.builds(
        lambda first, morsels: first + b"".join(morsels),
        st.sampled_from((b"", b"", b".", b"..", b".x")),
        st.lists(st.sampled_from(MORSELS), max_size=12),
    )
    """Mail data before its dots are doubled."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model(self.dialect, self.tolerated)
        """Where the session stands, and what may come."""
        self._connection: Connection | None = None
        self._broken = True  # nothing has been said yet

    def connect(self) -> Connection:
        """Make a connection to the server under test. To be overridden."""
        raise NotImplementedError("say how to connect, or use server_machine(connect)")

    def delivered(self) -> Delivered | None:
        """The message that the server delivered last, if that can be told; it is compared.

        Called behind each 250 to the end of mail data.
        """
        return None

    # The rules. First what is no mail data.

    @initialize()
    def meet(self) -> None:
        """Connect, and hear the greeting."""
        self._hang_up()
        self.model = Model(self.dialect, self.tolerated)
        self._connection = self.connect()
        self.say(b"", again=False)

    @precondition(lambda self: self._in_commands())
    @rule(data=st.data(), at=PLACES, kind=st.sampled_from((Helo, Mail, Mail, Rcpt, Data, Data)))
    def needed(self, data: st.DataObject, at: State | None, kind: type[Command]) -> None:
        """What moves a transaction on."""
        self._go(data, at)
        self.say(data.draw(self._some(kind)))

    @precondition(lambda self: self._in_commands())
    @rule(
        data=st.data(),
        at=PLACES,
        kinds=st.lists(
            st.sampled_from((Send, Soml, Saml, Vrfy, Expn, Help, Turn, Rset, Noop)),
            min_size=1,
            max_size=6,
        ),
    )
    def others(self, data: st.DataObject, at: State | None, kinds: list[type[Command]]) -> None:
        """What is optional, or changes little."""
        for kind in kinds:
            self._go(data, at)
            self.say(data.draw(self._some(kind)))

    @precondition(lambda self: self._in_commands())
    @rule(data=st.data(), at=PLACES, in_sequence=st.booleans())
    def wrong(self, data: st.DataObject, at: State | None, in_sequence: bool) -> None:
        """Lines that are no commands, or have something wrong with them."""
        self._go(data, at)
        words = {verb.encode() for verb in self.dialect.order[self.model.state]}
        lines = [line for line in self.wrong_lines if not in_sequence or line[:4] in words]
        chosen = st.sampled_from(lines or self.wrong_lines)
        for line in data.draw(st.lists(chosen, min_size=1, max_size=12, unique=True)):
            if self._in_commands():
                self.say(line + b"\r\n")

    @precondition(lambda self: self._in_commands())
    @rule(data=st.data())
    def babble(self, data: st.DataObject) -> None:
        """A line of any octets, or EHLO: 500, or to others a HELO (AMB-09)."""
        ehlo = self.domains.map(lambda domain: b"EHLO " + domain.encode("ascii"))
        noise = self.noise.filter(lambda octets: b"\r\n" not in octets)
        self.say(data.draw(st.one_of(noise, ehlo)) + b"\r\n")

    @precondition(lambda self: self._in_commands())
    @rule(
        data=st.data(),
        at=PLACES,
        kind=st.sampled_from((Helo, Mail, Rcpt, Data, Rset, Noop, Help)),
        spell=st.sampled_from((bytes.lower, bytes.swapcase, bytes.title)),
        spaces=st.sampled_from((b"", b"", b" ")),
        cut=st.integers(1, 12),
    )
    def spelled(
        self,
        data: st.DataObject,
        at: State | None,
        kind: type[Command],
        spell: Callable[[bytes], bytes],
        spaces: bytes,
        cut: int,
    ) -> None:
        """A command in another case, perhaps with spaces behind it, and in pieces (2, 4.1.1)."""
        self._go(data, at)
        word, space, argument = bytes(data.draw(self._some(kind)))[:-2].partition(b" ")
        self.say_in_pieces(spell(word) + space + argument + spaces + b"\r\n", [cut, cut])

    @precondition(lambda self: self._in_commands())
    @rule(
        data=st.data(),
        at=st.sampled_from((State.MAIL, State.RCPT)),
        how=st.sampled_from((Rset, Helo, Mail)),
        then=st.sampled_from((Rcpt, Data, Mail)),
    )
    def start_over(
        self, data: st.DataObject, at: State, how: type[Command], then: type[Command]
    ) -> None:
        """End a transaction half-way, and say something whose answer tells whether it has ended."""
        self._go(data, at)
        self.say(data.draw(self._some(how)))
        self.say(data.draw(self._some(then)))

    @precondition(lambda self: self._in_commands())
    @rule(data=st.data(), end=st.booleans())
    def transaction(self, data: st.DataObject, end: bool) -> None:
        """A transaction with some recipients, as far as the server takes it."""
        self._go(data, State.RCPT)
        for path in data.draw(st.lists(self.forward_paths, max_size=2)):
            self._say_in(State.MAIL, State.RCPT, said=Rcpt(path))
        self._say_in(State.RCPT, said=Data())
        if end and self._in_data():
            self.message(data)

    # Then mail data.

    @precondition(lambda self: self._in_data())
    @rule(data=st.data())
    def message(self, data: st.DataObject) -> None:
        """Mail data with its dots doubled, and its end, in pieces."""
        encoder = DotEncoder(Policy.PASS, Policy.PASS, None)
        wire = encoder.encode(data.draw(self.messages)) + encoder.end()
        self.say_in_pieces(wire, data.draw(st.lists(st.integers(1, 40), max_size=4)))

    @precondition(lambda self: self._in_data())
    @rule(data=st.data())
    def undoubled(self, data: st.DataObject) -> None:
        """Mail data as no sender writes it: a dot that begins a line is taken away (4.5.2)."""
        message = b"\r\n" + data.draw(self.messages) + b"\r\n"
        wire = _DOT_ALONE.sub(b"\r\n.x", message)[2:] + b".\r\n"
        self.say_in_pieces(wire, data.draw(st.lists(st.integers(1, 40), max_size=4)))

    # Then ends.

    @precondition(lambda self: self._in_commands() and self.model.state is not State.INITIAL)
    @rule()
    def quit(self) -> None:
        """QUIT; the next connection knows nothing of this one."""
        self.say(Quit())

    @precondition(lambda self: self.model.state is not State.INITIAL)
    @rule()
    def hang_up(self) -> None:
        """Close the connection without a word; what was begun has come to nothing (4.1.1)."""
        self.meet()

    def teardown(self) -> None:
        """End the session in order, unless it is broken already."""
        try:
            if not self._broken:
                self._say_in(State.DATA, said=b"\r\n.\r\n")
                self.say(Quit(), again=False)
        finally:
            self._hang_up()

    # How things are said.

    def say(self, said: bytes | Command, *, again: bool = True) -> None:
        """Say one thing, and see that what comes is legal; where the session is over, nothing.

        said: as for `Model.expect`. again: whether to connect anew where the session is over.
        Raises Violation.
        """
        if self._connection is None or self._is_over():
            return
        self._broken, said = True, bytes(said)
        awaited = bool(self.model.expect(said))
        came = self._connection.exchange(said, awaited=awaited)
        matters = (awaited and not came) or _CLOSING.search(came)
        before = self.model.accepted
        self.model.observe(said, came, self._connection.closed() if matters else None)
        if self.model.accepted is not before and (delivered := self.delivered()) is not None:
            self.model.observe_delivery(*delivered)
        self._broken = False
        if again and self._is_over():
            self.meet()

    def say_in_pieces(self, said: bytes, sizes: Iterable[int]) -> None:
        """Say one thing in pieces of these sizes, and the rest in one; stop where it is over."""
        model = self.model
        for size in sizes:
            if len(said) > size and self.model is model:
                self.say(said[:size])
                said = said[size:]
        if self.model is model:
            self.say(said)

    def _say_in(self, *states: State, said: bytes | Command) -> None:
        if self.model.state in states:
            self.say(said)

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _in_commands(self) -> bool:
        return not self._in_data() and not self._is_over()

    def _in_data(self) -> bool:
        return self.model.state is State.DATA

    def _is_over(self) -> bool:
        return not self.dialect.order[self.model.state]

    def _go(self, data: st.DataObject, at: State | None) -> None:
        """Bring the session into a state, if the server lets it come there; None: as it is."""
        if at is None or at is self.model.state:
            return
        self.say(data.draw(self._some(Helo)))
        if at is not State.READY:
            self._say_in(State.READY, said=data.draw(self._some(Mail)))
        if at is State.RCPT:
            self._say_in(State.MAIL, said=data.draw(self._some(Rcpt)))

    def _some(self, kind: type[Command]) -> st.SearchStrategy[Command]:
        """Commands of one kind."""
        if kind is Helo:
            return self.domains.map(Helo)
        if kind is Rcpt:
            return self.forward_paths.map(Rcpt)
        if issubclass(kind, TransactionCommand):
            return self.reverse_paths.map(kind)
        if kind in (Vrfy, Expn):
            return self.strings.map(kind)
        if kind is Help:
            return st.one_of(st.none(), self.strings).map(Help)
        return st.just(kind())


def server_machine(
    connect: Callable[[], Connection],
    *,
    delivered: Callable[[], Delivered | None] = lambda: None,
    dialect: Dialect = RFC821,
    tolerated: Iterable[Deviation] = (),
) -> type[ServerMachine]:
    """A ServerMachine for one server; its `TestCase` is a test for unittest or pytest.

    connect: makes a connection. delivered: gives the message that the server delivered last, if
    it can tell. dialect, tolerated: as for `Model`.
    """
    deviations = tuple(tolerated)
    attributes = {
        "__doc__": "Sessions with a server.",
        "dialect": dialect,
        "tolerated": deviations,
        "connect": lambda self: connect(),
        "delivered": lambda self: delivered(),
    }
    return type("ServerUnderTest", (ServerMachine,), attributes)
