"""A Hypothesis state machine that talks to a server, and holds it against the model.

    TestMyServer = server_machine(lambda: SocketConnection("127.0.0.1", 2525)).TestCase

is a test of whatever listens there. Each rule is one thing that a sender-SMTP may say, in order or
not, well-formed or not; one thing at a time, so nothing is pipelined. What may come back is the
business of `Model`; what it does not allow is a Violation, and Hypothesis makes the session that
led to it as short as it can.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
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
    wrong_lines: ClassVar[st.SearchStrategy[bytes]] = st.one_of(
        st.sampled_from(WRONG_LINES), st.binary(max_size=40)
    ).filter(lambda line: b"\r\n" not in line)
    """Lines, without CRLF, that are no commands, or not quite."""
    messages: ClassVar[st.SearchStrategy[bytes]] = st.lists(
        st.sampled_from(MORSELS), max_size=12
    ).map(b"".join)
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
    @rule(data=st.data())
    def helo(self, data: st.DataObject) -> None:
        """HELO, the first time or again."""
        self.say(Helo(data.draw(self.domains)))

    @precondition(lambda self: self._in_commands())
    @rule(data=st.data(), command=st.sampled_from((Mail, Mail, Mail, Send, Soml, Saml)))
    def begin(self, data: st.DataObject, command: type[TransactionCommand]) -> None:
        """MAIL, or what stands in its place."""
        self.say(command(data.draw(self.reverse_paths)))

    @precondition(lambda self: self._in_commands())
    @rule(data=st.data())
    def rcpt(self, data: st.DataObject) -> None:
        """RCPT."""
        self.say(Rcpt(data.draw(self.forward_paths)))

    @precondition(lambda self: self._in_commands())
    @rule(command=st.sampled_from((Data(), Data(), Rset(), Noop(), Turn(), Help())))
    def plain(self, command: Command) -> None:
        """A command without an argument."""
        self.say(command)

    @precondition(lambda self: self._in_commands())
    @rule(data=st.data(), command=st.sampled_from((Vrfy, Expn, Help)))
    def ask(self, data: st.DataObject, command: type[Vrfy] | type[Expn] | type[Help]) -> None:
        """VRFY, EXPN or HELP with an argument."""
        self.say(command(data.draw(self.strings)))

    @precondition(lambda self: self._in_commands())
    @rule(data=st.data())
    def ehlo(self, data: st.DataObject) -> None:
        """EHLO: 500 from a server of RFC 821, HELO to others (AMB-09)."""
        self.say(b"EHLO %s\r\n" % data.draw(self.domains).encode("ascii"))

    @precondition(lambda self: self._in_commands())
    @rule(data=st.data())
    def wrong(self, data: st.DataObject) -> None:
        """A line that is no command, or has something wrong with it."""
        self.say(data.draw(self.wrong_lines) + b"\r\n")

    @precondition(lambda self: self._in_commands())
    @rule(
        data=st.data(),
        spell=st.sampled_from((bytes.lower, bytes.swapcase, bytes.title)),
        spaces=st.sampled_from((b"", b"", b" ")),
        cut=st.integers(1, 12),
    )
    def spelled(
        self, data: st.DataObject, spell: Callable[[bytes], bytes], spaces: bytes, cut: int
    ) -> None:
        """A command in another case, perhaps with spaces behind it, and in pieces (2, 4.1.1)."""
        line = bytes(data.draw(st.one_of(self._helos(), self._rcpts(), _PLAIN)))[:-2]
        word, space, argument = line.partition(b" ")
        self.say_in_pieces(spell(word) + space + argument + spaces + b"\r\n", [cut, cut])

    @precondition(lambda self: self._in_commands())
    @rule(data=st.data(), verb=st.sampled_from((Mail, Mail, Soml)), end=st.booleans())
    def transaction(self, data: st.DataObject, verb: type[TransactionCommand], end: bool) -> None:
        """A whole transaction, as far as the server takes it, with or without its mail data."""
        self.say(Helo(data.draw(self.domains)))
        self.say(verb(data.draw(self.reverse_paths)))
        for path in data.draw(st.lists(self.forward_paths, min_size=1, max_size=3)):
            self._say_if(State.MAIL, State.RCPT, said=Rcpt(path))
        self._say_if(State.RCPT, said=Data())
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

    @precondition(lambda self: self._in_commands())
    @rule()
    def quit(self) -> None:
        """QUIT; the next connection knows nothing of this one."""
        self.say(Quit())

    @rule()
    def hang_up(self) -> None:
        """Close the connection without a word; what was begun has come to nothing (4.1.1)."""
        self.meet()

    def teardown(self) -> None:
        """End the session in order, unless it is broken already."""
        try:
            if not self._broken:
                self._say_if(State.DATA, said=b"\r\n.\r\n")
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

    def _say_if(self, *states: State, said: bytes | Command) -> None:
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

    def _helos(self) -> st.SearchStrategy[Command]:
        return self.domains.map(Helo)

    def _rcpts(self) -> st.SearchStrategy[Command]:
        return self.forward_paths.map(Rcpt)


_PLAIN: Final[st.SearchStrategy[Command]] = st.sampled_from((Data(), Rset(), Noop(), Help()))


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
