"""A Conversation: what an adapter does between its reads and writes, here without any adapter."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp821 import (
    ADDITIONS,
    NEED_DATA,
    RFC821,
    SEQUENCING,
    Closed,
    Connected,
    EndOfData,
    Envelope,
    Handler,
    Limits,
    MailData,
    Path,
    Receiver,
    Rejected,
    Reply,
    State,
    Turned,
    Verb,
)
from smtp821.conversation import Conversation
from smtp821.testing.strategies import chunkings
from smtp821.transcript import Transcript

from .driving import codes
from .walks import EXAMPLES, HOST, LINES

HELO: Final = LINES[Verb.HELO]
TRANSACTION: Final = (LINES[Verb.MAIL], LINES[Verb.RCPT], LINES[Verb.DATA])
MESSAGE: Final = b"Hello\r\n..\r\n.\r\n"
LOCAL_ERROR: Final = b"451 Requested action aborted: local error in processing\r\n"
NOT_AVAILABLE: Final = b"421 BBN-UNIX.ARPA Service not available, closing transmission channel\r\n"
ENVELOPE: Final = Envelope(Verb.MAIL, Path("<Smith@Alpha.ARPA>"), (Path("<Jones@Beta.ARPA>"),))

# The method of each event, and what brings a session to it.
WAYS: Final[dict[str, tuple[bytes, ...]]] = {
    "connected": (),
    "helo": (HELO,),
    "mail": (HELO, LINES[Verb.MAIL]),
    "rcpt": (HELO, *TRANSACTION[:2]),
    "data": (HELO, *TRANSACTION),
    "mail_data": (HELO, *TRANSACTION, MESSAGE),
    "end_of_data": (HELO, *TRANSACTION, MESSAGE),
    **{
        verb.value.lower(): (HELO, LINES[verb])
        for verb in Verb
        if verb not in (Verb.CONNECT, Verb.HELO, Verb.MAIL, Verb.RCPT, Verb.DATA, Verb.END_OF_DATA)
    },
    "rejected": (HELO, b"EHLO x\r\n"),
    "closed": (HELO, b""),
}
ANSWERED: Final = tuple(name for name in WAYS if name not in ("mail_data", "rejected", "closed"))
METHODS: Final = (*WAYS, "turned")


class Spy(Handler):
    """Answers everything in the ordinary way, or as it is told, and remembers all it was asked.

    acts: what a method does, or gives, instead.
    """

    def __init__(self, **acts: Any) -> None:
        super().__init__("peer")
        self.acts = acts
        self.calls: list[tuple[str, object]] = []

    def _called(self, name: str, event: object) -> Any:
        self.calls.append((name, event))
        act = self.acts.get(name)
        if isinstance(act, BaseException):
            raise act
        if callable(act):
            return act(event)
        if act is None and name in ("vrfy", "expn"):
            return Reply(250, "<Smith@BBN-UNIX.ARPA>")
        return act

    @property
    def names(self) -> list[str]:
        """The methods that were called, in order."""
        return [name for name, _ in self.calls]


def _spied(name: str) -> Callable[[Spy, object], Any]:
    return lambda self, event: self._called(name, event)


for _name in METHODS:
    setattr(Spy, _name, _spied(_name))


def conversation(handler: Handler, **changes: Any) -> Conversation:
    """A conversation that offers what the handler does."""
    dialect = attrs.evolve(RFC821, **changes).offering(handler.offers())
    return Conversation(handler, Receiver(HOST, dialect))


def said(talk: Conversation, *inputs: bytes) -> bytes:
    """What is said to inputs, each advanced over."""
    talk.advance()
    output = talk.data_to_send()
    for data in inputs:
        talk.receive_data(data)
        talk.advance()
        output += talk.data_to_send()
    return output


def code_of(name: str) -> int:
    """The code for a failure of a method: 451, or 421 where 4.3 has no 451 for its command."""
    verb = {"connected": Verb.CONNECT, "end_of_data": Verb.END_OF_DATA}.get(name)
    verb = verb or Verb(name.upper())
    row = {code for codes in SEQUENCING[verb].values() for code in codes}
    return 451 if 451 in row | ADDITIONS.get(verb, {}).keys() else 421


# Every event meets its method.


def test_a_session() -> None:
    """Each event is shown to the method of its name, in the order of the session."""
    spy = Spy()
    output = said(conversation(spy), HELO, *TRANSACTION, MESSAGE, b"EHLO x\r\n", b"QUIT\r\n")
    assert codes(output) == [220, 250, 250, 250, 354, 250, 500, 221]
    assert spy.calls == [
        ("connected", Connected()),
        ("helo", EXAMPLES[Verb.HELO]),
        ("mail", EXAMPLES[Verb.MAIL]),
        ("rcpt", EXAMPLES[Verb.RCPT]),
        ("data", EXAMPLES[Verb.DATA]),
        ("mail_data", MailData(b"Hello\r\n.\r\n")),
        ("end_of_data", EndOfData(ENVELOPE, 10, False)),
        ("rejected", Rejected(Reply(500), None, b"EHLO x")),
        ("quit", EXAMPLES[Verb.QUIT]),
        ("closed", Closed()),
    ]


@pytest.mark.parametrize("name", WAYS)
def test_every_method_is_reached(name: str) -> None:
    """There is no event without its method."""
    spy = Spy()
    said(conversation(spy), *WAYS[name])
    assert spy.names.count(name) == 1


@pytest.mark.parametrize("name", ANSWERED)
def test_a_reply_is_given_as_it_is(name: str) -> None:
    """A method that returns a Reply decides."""
    output = said(conversation(Spy(**{name: Reply(421, "Not today")})), *WAYS[name])
    assert output.endswith(b"421 BBN-UNIX.ARPA Not today\r\n")


def test_pipelined_input_is_answered_in_order() -> None:
    """All that came in one read is answered, in order, before anything more is asked for (4.3)."""
    spy = Spy()
    data = b"".join((HELO, *TRANSACTION, MESSAGE, *TRANSACTION, MESSAGE, b"QUIT\r\n"))
    output = said(conversation(spy), data)
    assert codes(output) == [220, 250, 250, 250, 354, 250, 250, 250, 354, 250, 221]
    assert spy.names.count("end_of_data") == 2


def test_nothing_is_read_ahead_of_an_answer() -> None:
    """What follows DATA is commands if the handler refuses DATA (AMB-48)."""
    spy = Spy(data=Reply(451))
    output = said(conversation(spy), b"".join((HELO, *TRANSACTION, b"NOOP\r\n")))
    assert codes(output) == [220, 250, 250, 250, 451, 250]
    assert spy.names[-2:] == ["data", "noop"]


# A handler that fails.


@pytest.mark.parametrize("name", ANSWERED)
def test_a_method_that_raises(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is answered 451, or 421 where 4.3 has no 451 for the command; the reason is logged."""
    error = ValueError("the disk is on fire")
    spy = Spy(**{name: error})
    output = said(conversation(spy), *WAYS[name])
    expected = LOCAL_ERROR if code_of(name) == 451 else NOT_AVAILABLE
    assert output.endswith(expected)
    assert b"fire" not in output
    assert [record.exc_info and record.exc_info[1] for record in caplog.records] == [error]
    assert ("closed" in spy.names) == (code_of(name) == 421)


@pytest.mark.parametrize("name", ["mail", "send", "soml", "saml", "rcpt", "data", "end_of_data"])
def test_a_method_that_raised_leaves_the_session_usable(name: str) -> None:
    """Behind a 451 the next command is answered as ever."""
    spy = Spy(**{name: ValueError("once")})
    talk = conversation(spy)
    assert codes(said(talk, *WAYS[name]))[-1] == 451
    spy.acts.clear()
    output = said(talk, b"RSET\r\n", *TRANSACTION, MESSAGE)
    assert codes(output) == [250, 250, 250, 354, 250]


@pytest.mark.parametrize("name", ["rejected", "closed"])
def test_what_owes_no_reply_may_raise(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """An exception in a method that is only told something is logged, and changes nothing."""
    quiet, loud = Spy(), Spy(**{name: ValueError("loud")})
    assert said(conversation(loud), *WAYS[name]) == said(conversation(quiet), *WAYS[name])
    assert loud.calls == quiet.calls
    assert len(caplog.records) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
def test_what_is_no_failure_of_the_handler_passes(error: BaseException) -> None:
    """Only an Exception is answered; what is to end the program ends it."""
    with pytest.raises(type(error)):
        conversation(Spy(connected=error)).advance()


def test_a_message_that_cannot_be_taken() -> None:
    """If mail_data raises, the rest is swallowed and 451 given at its end; then all goes on."""
    spy = Spy(mail_data=OSError(28, "no space"))
    talk = conversation(spy)
    output = said(talk, HELO, *TRANSACTION, b"one\r\n", b"QUIT\r\n", b"two\r\n", b".\r\nNOOP\r\n")
    assert codes(output) == [220, 250, 250, 250, 354, 451, 250]
    assert spy.names[-4:] == ["data", "mail_data", "rejected", "noop"]
    assert spy.calls[-2][1] == Rejected(Reply(451), Verb.END_OF_DATA, b"")
    spy.acts.clear()
    assert codes(said(talk, *TRANSACTION, MESSAGE, b"QUIT\r\n")) == [250, 250, 354, 250, 221]
    assert spy.names[-3:] == ["end_of_data", "quit", "closed"]


@given(st.data())
def test_a_failed_message_ends_where_it_ends(data: st.DataObject) -> None:
    """Where mail_data fails, and how the rest is cut up, makes no difference (4.5.2)."""
    stream = b"".join((HELO, *TRANSACTION, b"a\r\n..\r\n.b\r\n", b"QUIT\r\n.\r\nNOOP\r\n"))
    spy = Spy(mail_data=ValueError("no"))
    talk = conversation(spy)
    pieces = [b"".join(batch) for batch in data.draw(chunkings(stream))]
    output = said(talk, *pieces)
    assert codes(output) == [220, 250, 250, 250, 354, 451, 250]
    assert spy.names.count("mail_data") == 1
    assert "end_of_data" not in spy.names


def test_a_failed_message_that_the_protocol_refuses_too() -> None:
    """The reply is the protocol's (552, 4.5.3); it is told once, and the next message is taken."""
    spy = Spy(mail_data=ValueError("no"))
    talk = conversation(spy, limits=Limits(message=10))
    output = said(talk, HELO, *TRANSACTION, b"one\r\n", b"two, three, four\r\n.\r\n")
    assert codes(output)[-1] == 552
    assert spy.names[-2:] == ["mail_data", "rejected"]
    spy.acts.clear()
    assert codes(said(talk, *TRANSACTION, b"one\r\n.\r\n"))[-1] == 250


def test_a_failed_message_that_is_cut_short() -> None:
    """If the peer is gone before the end, the session is over, and that is all (4.1.1 QUIT)."""
    spy = Spy(mail_data=ValueError("no"))
    said(conversation(spy), HELO, *TRANSACTION, b"one", b"two\r\n", b"")
    assert spy.calls[-2:] == [
        ("mail_data", MailData(b"one")),
        ("closed", Closed(cancelled=ENVELOPE)),
    ]


# Answers that are none.


ILLEGAL: Final[dict[str, Reply]] = {
    "connected": Reply(250),
    "helo": Reply(550),
    "mail": Reply(550),
    "rcpt": Reply(354),
    "data": Reply(250),
    "end_of_data": Reply(354),
    "rset": Reply(451),
    "send": Reply(550),
    "soml": Reply(251, "User not local; will forward to <a@b.c>"),
    "saml": Reply(220),
    "vrfy": Reply(252, "Cannot verify"),
    "expn": Reply(251, "<a@b.c>"),
    "help": Reply(250),
    "noop": Reply(221),
    "quit": Reply(250),
    "turn": Reply(220),
}


@pytest.mark.parametrize("name", ANSWERED)
def test_an_illegal_reply(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """A code that 4.3 does not have for the command is the handler's mistake: 451, or else 421."""
    output = said(conversation(Spy(**{name: ILLEGAL[name]})), *WAYS[name])
    assert codes(output)[-1] == code_of(name)
    assert "4.3" in caplog.text


@pytest.mark.parametrize("name", ANSWERED)
@pytest.mark.parametrize("wrong", [250, "250 OK", (250, "OK"), [250], True, b"250"])
def test_an_answer_that_is_no_reply(
    name: str, wrong: object, caplog: pytest.LogCaptureFixture
) -> None:
    """A handler answers with a Reply or None; anything else is its mistake, and is logged."""
    output = said(conversation(Spy(**{name: wrong})), *WAYS[name])
    assert codes(output)[-1] == code_of(name)
    assert f"a Reply or None, not {wrong!r}" in caplog.text


def test_251_without_a_path() -> None:
    """251 and 551 carry a path (3.2); without one they are the handler's mistake."""
    assert codes(said(conversation(Spy(rcpt=Reply(251, "Over there"))), *WAYS["rcpt"]))[-1] == 451
    forward = Reply.forward(251, Path("<a@b.c>"))
    assert codes(said(conversation(Spy(rcpt=forward)), *WAYS["rcpt"]))[-1] == 251


@pytest.mark.parametrize("name", ["vrfy", "expn"])
def test_success_without_a_mailbox(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """VRFY and EXPN have no ordinary reply: their success names mailboxes (3.3)."""
    spy = Spy(**{name: lambda event: None})
    assert said(conversation(spy), *WAYS[name]).endswith(NOT_AVAILABLE)
    assert "succeeds with mailboxes" in caplog.text


@pytest.mark.parametrize("name", ["mail_data", "rejected", "closed"])
def test_what_owes_no_reply_may_return_anything(name: str) -> None:
    """An answer where none is asked for is no reply to anything."""
    quiet, loud = Spy(), Spy(**{name: Reply(554)})
    assert said(conversation(loud), *WAYS[name]) == said(conversation(quiet), *WAYS[name])


# Handlers that are awaited.


async def later(answer: object) -> object:
    """Give an answer, as a coroutine."""
    if isinstance(answer, Exception):
        raise answer
    return answer


def run(talk: Conversation, answer: Awaitable[Any]) -> None:
    """What an adapter does with an Awaitable, here with an event loop for it alone."""

    async def wait() -> object:
        return await answer

    try:
        talk.resume(asyncio.run(wait()))
    except ValueError as error:
        talk.fail(error)


def advanced(talk: Conversation) -> object:
    """Advance, and await whatever there is to await."""
    while isinstance(pause := talk.advance(), Awaitable):
        run(talk, pause)
    return pause


@pytest.mark.parametrize("name", [*ANSWERED, "mail_data", "rejected", "closed"])
@pytest.mark.parametrize("answer", [None, Reply(421), ValueError("no")])
def test_awaited_is_as_good_as_returned(name: str, answer: Any) -> None:
    """An async method is answered for as a plain one that gives, or raises, the same."""
    if name in ("vrfy", "expn") and answer is None:
        answer = Reply(250, "<a@b.c>")
    plain, awaited = Spy(**{name: answer}), Spy(**{name: lambda event: later(answer)})
    output = said(conversation(plain), *WAYS[name])
    talk = conversation(awaited)
    assert advanced(talk) is not None
    for data in WAYS[name]:
        talk.receive_data(data)
        advanced(talk)
    assert talk.data_to_send() == output
    assert awaited.calls == plain.calls


def test_nothing_happens_while_an_answer_is_awaited() -> None:
    """The next event waits for the answer: mail is not read faster than it is taken."""
    spy = Spy(mail_data=lambda event: later(None))
    talk = conversation(spy)
    said(talk, HELO, *TRANSACTION)
    talk.receive_data(MESSAGE)
    pending = talk.advance()
    assert isinstance(pending, Awaitable)
    assert spy.names[-1] == "mail_data"
    assert talk.data_to_send() == b""
    run(talk, pending)
    assert talk.advance() is NEED_DATA
    assert talk.data_to_send() == b"250 OK\r\n"


def test_an_answer_that_comes_too_late() -> None:
    """Once the session is over, the answer of a handler, or its failure, is no longer said."""
    for late in (Conversation.resume, Conversation.fail):
        spy = Spy(noop=lambda event: later(None))
        talk = conversation(spy)
        said(talk, HELO)
        talk.receive_data(b"NOOP\r\n")
        pending = talk.advance()
        talk.shutdown()
        asyncio.run(pending)  # type: ignore[arg-type]
        late(talk, ValueError("late"))
        assert isinstance(talk.advance(), Closed)
        assert talk.data_to_send() == NOT_AVAILABLE
        assert spy.names[-1] == "closed"


# The end of a session.

ENDINGS: Final[dict[str, tuple[tuple[bytes, ...], Callable[[Conversation], object]]]] = {
    "QUIT": ((b"QUIT\r\n",), said),
    "end of file": ((b"",), said),
    "end of file in a transaction": ((LINES[Verb.MAIL], b""), said),
    "end of file in a message": ((*TRANSACTION, b"Hello", b""), said),
    "421 of a handler": ((b"NOOP\r\n",), said),
    "shutdown": ((), Conversation.shutdown),
    "shutdown in a message": ((*TRANSACTION, b"Hello"), Conversation.shutdown),
    "the connection breaks": ((), Conversation.lost),
    "it breaks in a message": ((*TRANSACTION, b"Hello"), Conversation.lost),
    "TURN": ((b"TURN\r\n",), Conversation.lost),
    "TURN, and the handler fails": ((b"TURN\r\n",), lambda talk: talk.turned(None)),
}
"""Inputs behind HELO, and what is done then."""


@pytest.mark.parametrize("ending", ENDINGS)
def test_closed_is_called_once_and_last(ending: str) -> None:
    """However a session ends, its handler is told so, once, and nothing more."""
    spy = Spy(noop=Reply(421), turned=ValueError("no"))
    talk = conversation(spy)
    inputs, end = ENDINGS[ending]
    said(talk, HELO, *inputs)
    end(talk)
    for _ in range(2):
        talk.lost()
        assert isinstance(talk.advance(), Closed)
    assert spy.names.count("closed") == 1
    assert spy.names[-1] == "closed"


def test_closed_says_what_came_to_nothing() -> None:
    """The transaction in progress is cancelled; those before are not (4.1.1 QUIT)."""
    spy = Spy()
    talk = conversation(spy)
    said(talk, HELO, *TRANSACTION, MESSAGE, *TRANSACTION, b"Hel", b"")
    assert spy.calls[-1] == ("closed", Closed(cancelled=ENVELOPE))
    assert spy.names.count("end_of_data") == 1


def test_shutdown() -> None:
    """421 may be said at any time (4.2.1); behind it nothing is."""
    talk = conversation(Spy())
    said(talk, HELO, *TRANSACTION, b"Hello\r\n")
    talk.shutdown("Going home")
    assert isinstance(talk.advance(), Closed)
    assert talk.data_to_send() == b"421 BBN-UNIX.ARPA Going home\r\n"
    talk.receive_data(b".\r\nNOOP\r\n")
    assert isinstance(talk.advance(), Closed)
    assert talk.data_to_send() == b""


def test_lost_says_nothing() -> None:
    """To a peer that is gone there is nothing to say."""
    talk = conversation(Spy())
    talk.advance()
    talk.lost()
    assert isinstance(talk.advance(), Closed)
    assert talk.data_to_send() == b""


@pytest.mark.parametrize(
    ("inputs", "state", "in_hand"),
    [
        ((), State.INITIAL, False),
        ((HELO,), State.READY, False),
        ((HELO, TRANSACTION[0]), State.MAIL, True),
        ((HELO, *TRANSACTION[:2]), State.RCPT, True),
        ((HELO, *TRANSACTION), State.DATA, True),
        ((HELO, *TRANSACTION, b"Hello\r\n"), State.DATA, True),
        ((HELO, *TRANSACTION, MESSAGE), State.READY, False),
        ((HELO, *TRANSACTION[:2], b"RSET\r\n"), State.READY, False),
        ((HELO, TRANSACTION[0], b"QUIT\r\n"), State.CLOSED, False),
    ],
)
def test_mail_in_hand(inputs: tuple[bytes, ...], state: State, in_hand: bool) -> None:
    """What a server that stops lets finish: from MAIL to the reply to the message."""
    talk = conversation(Spy())
    said(talk, *inputs)
    assert (talk.receiver.state, talk.in_transaction) == (state, in_hand)


# TURN (3.8).


def test_turn() -> None:
    """TURN accepted: the adapter is told, brings a client, and the handler is given it."""
    spy = Spy()
    talk = conversation(spy)
    assert codes(said(talk, HELO, b"TURN\r\n")) == [220, 250, 250]
    assert talk.advance() == Turned()
    client = object()
    assert talk.turned(client) is None
    assert spy.calls[-1] == ("turned", client)
    talk.lost()
    assert isinstance(talk.advance(), Closed)
    assert spy.names[-2:] == ["turned", "closed"]


def test_turned_may_be_awaited() -> None:
    """An async `turned` is the adapter's to await."""
    talk = conversation(Spy(turned=lambda client: later(None)))
    said(talk, HELO, b"TURN\r\n")
    pending = talk.turned(object())
    assert isinstance(pending, Awaitable)
    run(talk, pending)
    talk.lost()
    assert isinstance(talk.advance(), Closed)


def test_turned_may_raise(caplog: pytest.LogCaptureFixture) -> None:
    """What `turned` raises is logged; there is nobody to say it to."""
    talk = conversation(Spy(turned=ValueError("cannot send")))
    said(talk, HELO, b"TURN\r\n")
    assert talk.turned(object()) is None
    assert "handler failed at Turned" in caplog.text
    assert talk.data_to_send() == b""


# The transcript.


def test_the_transcript_has_both_sides() -> None:
    """What is read and what is to be written is shown, line by line, in its order."""
    lines: list[str] = []
    talk = Conversation(Spy(), Receiver(HOST), Transcript(lines.append))
    said(talk, HELO, b"NOOP\r", b"\nQUIT\r\n")
    assert lines == [
        "R: 220 BBN-UNIX.ARPA Simple Mail Transfer Service Ready",
        "S: HELO USC-ISIF.ARPA",
        "R: 250 BBN-UNIX.ARPA",
        "S: NOOP",
        "S: QUIT",
        "R: 250 OK",
        "R: 221 BBN-UNIX.ARPA Service closing transmission channel",
    ]
