"""Handlers that raise, in each of their methods, on each adapter, at once and when awaited.

On the wire it is 451, or 421 where 4.3 has no 451 for the command, in the standard words, and never
a word of what was raised; the log has that. After 451 the session goes on, after 421 it is closed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from smtp821 import (
    Code,
    Command,
    Event,
    Handler,
    LocalProtocolError,
    MailData,
    RemoteProtocolError,
    Reply,
    Verb,
)

from .adapters import Adapter, pause, wait_for_sessions
from .dialogue import HELO, MESSAGE, QUIT
from .driving import EVERYTHING
from .peers import (
    BYE,
    DATA,
    GREETING,
    HELLO,
    MAIL,
    NOT_AVAILABLE,
    OKAY,
    RCPT,
    RSET,
    START,
    Catcher,
    Catching,
)
from .walks import LINES

pytestmark = pytest.mark.usefixtures("adapter")

NOOP: Final = b"NOOP\r\n"
ERROR: Final = b"451 Requested action aborted: local error in processing\r\n"
HOSTILE: Final = "Traceback (most recent call last):\r\n250 not today"
NEEDS_LOOP: Final = "what is awaited needs smtp821.asyncio or smtp821.trio"

Turn = tuple[bytes, bytes]
"""What is said, and what is answered if nothing fails."""

CONNECT: Final[Turn] = (b"", GREETING)
READY: Final[tuple[Turn, ...]] = (CONNECT, (HELO, HELLO))
IN_DATA: Final[tuple[Turn, ...]] = (*READY, (MAIL, OKAY), (RCPT, OKAY), (DATA, START))

# The method, what comes before it, and the command that it answers.
METHODS: Final[dict[str, tuple[tuple[Turn, ...], Verb, bytes]]] = {
    "connected": ((), Verb.CONNECT, b""),
    "helo": (READY[:1], Verb.HELO, HELO),
    "mail": (READY, Verb.MAIL, MAIL),
    "rcpt": (IN_DATA[:3], Verb.RCPT, RCPT),
    "data": (IN_DATA[:4], Verb.DATA, DATA),
    "mail_data": (IN_DATA, Verb.END_OF_DATA, MESSAGE),
    "end_of_data": (IN_DATA, Verb.END_OF_DATA, MESSAGE),
    "rset": (IN_DATA[:4], Verb.RSET, RSET),
    **{
        verb.value.lower(): (READY, verb, LINES[verb])
        for verb in (Verb.SEND, Verb.SOML, Verb.SAML, Verb.VRFY, Verb.EXPN, Verb.HELP)
    },
    "noop": (READY, Verb.NOOP, NOOP),
    "quit": (READY, Verb.QUIT, QUIT),
    "turn": (READY, Verb.TURN, b"TURN\r\n"),
}
"""But for `rejected` and `closed`, which answer nothing, and `turned`, in test_server.py."""


class Able(Catcher):
    """Implements all that there is."""

    def send(self, command: Command) -> None:
        """Take it."""

    soml = saml = turn = send

    def vrfy(self, command: Command) -> Reply:
        """Somebody."""
        return Reply(250, "<Smith@BETA.ARPA>")

    expn = vrfy


def failing(method: str, error: Exception, *, later: bool) -> type[Catcher]:
    """A handler that raises there, the first time at once or when awaited; then it is well."""

    def fail(self: Catcher, event: Event) -> Any:
        answer = getattr(super(kind, self), method)(event)
        if getattr(self, "failed", False):
            return answer
        self.failed = True  # type: ignore[attr-defined]
        if later:
            return fail_later()
        raise error

    async def fail_later() -> None:
        await pause()
        raise error

    kind = type("Failing", (Able,), {method: fail})
    return kind


def session(make: Callable[[str], Catcher], said: bytes) -> tuple[bytes, Catcher]:
    """All that is answered to what is said, and the handler, whose session is over."""
    with Catching(make) as caught:
        with caught.connect() as wire:
            wire.send(said)
            answers = wire.rest()
        wait_for_sessions()
        return answers, caught.handler()


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log says was raised."""
    return [str(record.exc_info[1]) for record in caplog.records if record.exc_info]


def test_every_method_is_here() -> None:
    """Whatever a handler has is in one of these tests."""
    methods = {name for name in vars(Handler) if not name.startswith("_")}
    assert methods == {*METHODS, "rejected", "closed", "turned", "offers"}


@pytest.mark.parametrize("later", [False, True], ids=["at once", "when awaited"])
@pytest.mark.parametrize("method", METHODS)
def test_a_method_that_raises(
    method: str, later: bool, adapter: Adapter, caplog: pytest.LogCaptureFixture
) -> None:
    """4.2.1, 4.3: 451 and the session goes on, or 421 and it is closed; octet for octet."""
    before, verb, line = METHODS[method]
    error = ValueError(HOSTILE)
    goes_on = Code.LOCAL_ERROR in EVERYTHING.codes[verb]
    asked = b"".join(said for said, _ in before) + line
    answered = b"".join(answer for _, answer in before) + (ERROR if goes_on else NOT_AVAILABLE)
    if goes_on:
        asked += RSET + MAIL + RCPT + DATA + MESSAGE + QUIT
        answered += OKAY + OKAY + OKAY + START + OKAY + BYE
    answers, handler = session(failing(method, error, later=later), asked)
    assert answers == answered
    assert len(handler.endings) == 1
    assert logged(caplog) == [NEEDS_LOOP if later and adapter.name == "sockets" else HOSTILE]


@pytest.mark.parametrize("later", [False, True], ids=["at once", "when awaited"])
@pytest.mark.parametrize("method", ["rejected", "closed"])
def test_a_method_without_an_answer_that_raises(
    method: str, later: bool, adapter: Adapter, caplog: pytest.LogCaptureFixture
) -> None:
    """4.2: what was answered already stays, and the session goes on; the log says why."""
    error = ValueError(HOSTILE)
    asked = HELO + b"what?\r\n" + MAIL + RCPT + DATA + MESSAGE + QUIT
    answers, handler = session(failing(method, error, later=later), asked)
    unrecognized = b"500 Syntax error, command unrecognized\r\n"
    assert answers == GREETING + HELLO + unrecognized + OKAY + OKAY + START + OKAY + BYE
    assert len(handler.messages) == len(handler.endings) == 1
    assert logged(caplog) == [NEEDS_LOOP if later and adapter.name == "sockets" else HOSTILE]


def test_a_message_that_was_taken_only_in_part() -> None:
    """4.1.1 DATA: a handler that could not take a piece is not told that the message is whole."""
    kind = failing("mail_data", OSError(28, "No space left on device"), later=False)
    asked = b"".join(said for said, _ in IN_DATA) + MESSAGE + QUIT
    answers, handler = session(kind, asked)
    assert answers.endswith(START + ERROR + BYE)
    assert handler.messages == []
    assert sum(isinstance(event, MailData) for event in handler.events) == 1


@pytest.mark.parametrize(
    "error",
    [
        OSError(5, HOSTILE),
        TimeoutError(HOSTILE),
        ConnectionResetError(HOSTILE),
        EOFError(),
        KeyError(HOSTILE),
        StopIteration(HOSTILE),
        LocalProtocolError(HOSTILE),
        RemoteProtocolError(HOSTILE, Reply(221)),
        ExceptionGroup(HOSTILE, [ValueError()]),
        RecursionError(),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize(("method", "answer"), [("mail", ERROR), ("noop", NOT_AVAILABLE)])
def test_whatever_is_raised(method: str, answer: bytes, error: Exception) -> None:
    """4.3: what it is makes no difference, be it what the adapter itself goes by."""
    for later in (False, True):
        kind = failing(method, error, later=later)
        answers, handler = session(kind, HELO + LINES[Verb(method.upper())] + QUIT)
        assert answers in (GREETING + HELLO + answer + BYE, GREETING + HELLO + answer)
        assert answers.endswith(BYE) is (answer is ERROR)
        assert len(handler.endings) == 1
