"""What only event loops have: answers that are awaited, messages too, and cancellation."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from concurrent.futures import CancelledError
from functools import partial
from typing import Any, Final, TypeVar

import pytest

from smtp821 import (
    Event,
    LocalProtocolError,
    MailData,
    Noop,
    Reply,
    SessionLost,
    Verb,
)
from smtp821.client import AsyncClient
from smtp821.delivery import Delivery, Status

from .adapters import (
    TIMEOUT,
    Adapter,
    Gate,
    Loop,
    LoopClient,
    LoopServer,
    after,
    linger,
    only,
    pause,
    running,
    tls_contexts,
    wait_for_sessions,
)
from .dialogue import ANSWERS, ENVELOPE, HELO, JONES, MESSAGE, QUIT, SESSION, SMITH, TEXT, WHOLE
from .peers import (
    BYE,
    DATA,
    GREETING,
    HELLO,
    HOST,
    MAIL,
    NOT_AVAILABLE,
    OKAY,
    OPENING,
    RCPT,
    START,
    Catcher,
    Catching,
    Exchange,
    Wire,
    client_of,
    playing,
    session,
)

pytestmark = [pytest.mark.usefixtures("adapter"), only("asyncio", "trio")]

T = TypeVar("T")


@pytest.fixture(name="loop")
def _loop(adapter: Adapter) -> Loop:
    """The adapter, which has an event loop."""
    assert isinstance(adapter, Loop)
    return adapter


def session_of(port: int, **options: Any) -> AsyncClient:
    """A client as the event loop has it."""
    facade = client_of(port, **options)
    assert isinstance(facade, LoopClient)
    return facade.session


# Handlers.


def delayed(name: str) -> Any:
    """A method that answers as Catcher's does, after a while."""

    async def method(self: Catcher, event: Any) -> Any:
        await pause()
        return getattr(super(Later, self), name)(event)

    return method


class Later(Catcher):
    """Takes its time with everything."""


for _name in (
    *("connected", "helo", "mail", "rcpt", "data", "mail_data", "end_of_data", "rset"),
    *("noop", "help", "quit", "rejected", "closed"),
):
    setattr(Later, _name, delayed(_name))


@pytest.mark.parametrize("size", [1, 7, len(SESSION)])
def test_answers_that_are_awaited(size: int) -> None:
    """Replies and events are those of a handler that answers at once, in any cut (4.2, 4.3)."""
    strange = b"VRFY Smith\r\nNOOP\r\nHELP\r\n"
    said = HELO + strange + SESSION.removeprefix(HELO)
    results = []
    for make in (Catcher, Later):
        with Catching(make) as caught, caught.connect() as wire:
            for at in range(0, len(said), size):
                wire.send(said[at : at + size])
            answers = wire.rest()
            wire.sock.close()
            wait_for_sessions()
            handler = caught.handler()
            assert handler.messages == [(ENVELOPE, TEXT)] * 2
            others = [event for event in handler.events if not isinstance(event, MailData)]
            results.append((answers, others))
    assert results[0] == results[1]


class GatedAt(Catcher):
    """Waits for a gate at one method.

    method: its name.
    """

    method = ""

    def __init__(self, peer: str) -> None:
        super().__init__(peer)
        self.reached, self.gate = Gate(), Gate()

    def __getattribute__(self, name: str) -> Any:
        if name != type(self).method:
            return super().__getattribute__(name)
        return partial(self._wait, super().__getattribute__(name))

    def _wait(self, method: Callable[[Event], object], event: Event) -> Any:
        self.reached.set()
        return after(self.gate, partial(method, event))


def gated_at(name: str) -> type[GatedAt]:
    """A GatedAt of this method."""
    return type("GatedAt", (GatedAt,), {"method": name})


ANSWERED: Final[dict[str, bytes]] = {
    "connected": b"",
    "helo": GREETING,
    "mail": GREETING + HELLO,
    "rcpt": GREETING + HELLO + OKAY,
    "data": GREETING + HELLO + OKAY + OKAY,
    "mail_data": GREETING + HELLO + OKAY + OKAY + START,
    "end_of_data": GREETING + HELLO + OKAY + OKAY + START,
    "quit": ANSWERS.removesuffix(BYE),
    "closed": ANSWERS,
}
"""What a peer has heard while a method of the handler waits."""


def reached(caught: Catching) -> GatedAt:
    """The next handler, which waits."""
    handler = caught.handler()
    assert isinstance(handler, GatedAt)
    assert handler.reached.wait(TIMEOUT)
    return handler


@pytest.mark.parametrize("method", ANSWERED)
def test_the_peer_goes_away_while_an_answer_is_awaited(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What was begun is ended, and the handler told once, and last; that is no error."""
    with Catching(gated_at(method)) as caught:
        with caught.connect() as wire:
            wire.send(SESSION)
            handler = reached(caught)
            wire.hears(ANSWERED[method])
            wire.reset()
        handler.gate.set()
        wait_for_sessions()
        assert len(handler.endings) == 1
        assert handler.events[-1] is handler.endings[0]
    assert caplog.records == []


@pytest.mark.parametrize("how", ["stopped", "cancelled", "cancelled while stopping"])
@pytest.mark.parametrize("method", ANSWERED)
def test_the_server_ends_while_an_answer_is_awaited(
    method: str, how: str, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not wait for ever: what is awaited is cancelled, and the handler told once."""
    linger(monkeypatch, 0.05)
    caught = Catching(gated_at(method))
    assert isinstance(caught.server, LoopServer)
    with caught.connect() as wire:
        wire.send(SESSION)
        handler = reached(caught)
        if how == "stopped":
            caught.server.stop(grace=0.0)
        else:
            if how == "cancelled while stopping":
                stopping = loop.start(caught.server.server.stop, TIMEOUT)
            caught.server.job.cancel()
            if how == "cancelled while stopping":
                stopping.result()
        assert running() == []
        assert wire.remains() in (ANSWERED[method], ANSWERED[method] + NOT_AVAILABLE)
    if method != "closed":
        assert len(handler.endings) == 1
        assert handler.events[-1] is handler.endings[0]


def test_the_context_is_cancelled(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions of every age end with it, each handler is told once, and nothing is left."""
    linger(monkeypatch, 0.05)
    caught = Catching()
    assert isinstance(caught.server, LoopServer)
    beginnings = (b"", HELO, HELO + MAIL, HELO + MAIL + RCPT + DATA, SESSION.removesuffix(QUIT))
    wires = [caught.connect() for _ in beginnings]
    for wire, said in zip(wires, beginnings, strict=True):
        wire.send(said)
        wire.hears(ANSWERS[: len(ANSWERS) - len(BYE)] if said == SESSION[:-6] else GREETING)
    caught.server.job.cancel()
    assert running() == []
    handlers = [caught.handler() for _ in wires]
    assert [len(handler.endings) for handler in handlers] == [1] * len(wires)
    assert sorted(len(handler.messages) for handler in handlers) == [0, 0, 0, 0, 2]
    for wire in wires:
        wire.sock.close()


class Interruption(BaseException):
    """As KeyboardInterrupt, but no event loop minds it."""


@pytest.mark.parametrize(
    "error",
    [ZeroDivisionError("one"), ExceptionGroup("two", [ValueError()]), Interruption("three")],
)
@pytest.mark.parametrize("connected", [False, True])
def test_the_body_of_the_context_fails(
    error: BaseException, connected: bool, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it raises comes out as it is, once the server has stopped."""
    linger(monkeypatch, 0.05)
    ports: list[int] = []
    here, go_on = Gate(), Gate()

    async def body() -> None:
        async with loop.serve_in_context(Catcher, port=0, domain=HOST) as server:
            ports.append(server.address[1])
            here.set()
            await loop.pass_gate(go_on)
            raise error

    job = loop.start(body)
    assert here.wait(TIMEOUT)
    if connected:
        with client_of(ports[0]):
            go_on.set()
            with pytest.raises(type(error)) as caught:
                job.result()
    else:
        go_on.set()
        with pytest.raises(type(error)) as caught:
            job.result()
    assert caught.value is error
    assert running() == []


# Messages.


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    """A message in pieces."""
    for part in parts:
        await pause()
        yield part


class Repeatable:
    """A message that can be read again."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return chunks(b"Hel", b"", b"lo\r", b"\n.dot\r\n")


@pytest.mark.parametrize(
    "message",
    [lambda: chunks(b"Hel", b"", b"lo\r", b"\n.dot\r\n"), Repeatable, lambda: chunks(TEXT)],
)
def test_messages_that_are_awaited(message: Callable[[], Any]) -> None:
    """Chunks that come with time, in any cut: it is the same message on the wire (4.5.2)."""
    with playing(session(*WHOLE)) as port, client_of(port) as client:
        assert client.send(SMITH, [JONES], message()).status is Status.ACCEPTED


def test_a_message_that_is_awaited_twice() -> None:
    """What can be read again goes to any number of recipients (4.5.3), what cannot does not."""
    users = [b"RCPT TO:<u%d@b>\r\n" % n for n in range(101)]
    end = ((DATA, START), (MESSAGE, OKAY))
    first = ((MAIL, OKAY), *((user, OKAY) for user in users[:100]), *end)
    second = ((MAIL, OKAY), (users[100], OKAY), *end)
    paths = [f"<u{n}@b>" for n in range(101)]
    with playing(session(*first, *second)) as port, client_of(port) as client:
        with pytest.raises(LocalProtocolError, match="cannot be sent twice"):
            client.send(SMITH, paths, chunks(TEXT))
        assert client.send(SMITH, paths, Repeatable()).status is Status.ACCEPTED


async def failing(error: Exception) -> AsyncIterator[bytes]:
    """A message of which only the beginning can be had."""
    yield b"one\r\n"
    await pause()
    raise error


@pytest.mark.parametrize("error", [ZeroDivisionError(), OSError(5, "Input/output error")])
def test_a_message_that_cannot_be_had(error: Exception) -> None:
    """Half a message is never ended: an OSError is a temporary failure, others are the caller's."""
    rests: list[bytes] = []

    def script(wire: Wire) -> None:
        for heard, said in (*OPENING, *WHOLE[:3]):
            wire.hears(heard)
            wire.send(said)
        rests.append(wire.rest())

    with playing(script) as port, client_of(port) as client:
        if isinstance(error, OSError):
            (result,) = client.send(SMITH, [JONES], failing(error)).recipients
            assert (result.status, result.error) == (Status.TEMPORARY, error)
        else:
            with pytest.raises(ZeroDivisionError):
                client.send(SMITH, [JONES], failing(error))
        assert_over(client)
    assert rests == [b"one\r\n"]


def test_a_message_that_is_left_in_the_middle() -> None:
    """A generator of what must not be sent is closed at once, not when it is found forgotten."""
    left: list[str] = []

    async def message() -> AsyncIterator[bytes]:
        try:
            yield b"lone\rCR\r\n"
        finally:
            left.append("closed")

    def script(wire: Wire) -> None:
        for heard, said in (*OPENING, *WHOLE[:3]):
            wire.hears(heard)
            wire.send(said)
        assert wire.rest() == b""

    pieces = message()
    with playing(script) as port, client_of(port) as client:
        with pytest.raises(LocalProtocolError, match="a CR without its LF"):
            client.send(SMITH, [JONES], pieces)
        assert left == ["closed"]
        assert_over(client)


def assert_over(client: Any) -> None:
    """See that no command can be sent, nor get a reply."""
    with pytest.raises(SessionLost, match="there is no connection"):
        client.command(Noop())


# Several at once.


def test_sessions_that_go_on_at_once(loop: Loop) -> None:
    """Two sessions between the same loop and itself, step by step, each with its own replies."""
    go_on = Gate()

    async def message(number: int) -> AsyncIterator[bytes]:
        yield b"number "
        arrived[number].set()
        await loop.pass_gate(go_on)
        yield b"%d\r\n" % number

    async def send(number: int, port: int) -> Delivery:
        async with session_of(port) as client:
            return await client.send(SMITH, [JONES], message(number))

    with Catching(Later) as caught:
        port = caught.server.address[1]
        arrived = [Gate() for _ in range(5)]
        jobs = [loop.start(send, number, port) for number in range(5)]
        for gate in arrived:
            assert gate.wait(TIMEOUT)
        go_on.set()
        assert [job.result().status for job in jobs] == [Status.ACCEPTED] * 5
        wait_for_sessions()
        taken = sorted(text for _ in jobs for _, text in caught.handler().messages)
        assert taken == [b"number %d\r\n" % number for number in range(5)]


# Cancellation.


class Counted(Awaitable[T]):
    """A coroutine that is told, and cancelled at once, when it suspends for the nth time.

    count: how often it has.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, T], last: int, cancel: Callable[[], None]):
        self._coroutine, self._last, self._cancel = coroutine, last, cancel
        self.count = 0

    def __await__(self) -> Generator[Any, Any, T]:
        step = partial(self._coroutine.send, None)
        while True:
            try:
                awaited = step()
            except StopIteration as done:
                result: T = done.value
                return result
            self.count += 1
            if self.count == self._last:
                self._cancel()
            try:
                value = yield awaited
            except BaseException as error:
                step = partial(self._coroutine.throw, error)
            else:
                step = partial(self._coroutine.send, value)


@pytest.mark.parametrize("tls", [False, True], ids=["", "tls"])
def test_cancelled_at_every_await(tls: bool, loop: Loop, count: Callable[[str, int], None]) -> None:
    """Wherever a session is cancelled its connection is closed, and no reply is ever mistaken."""
    total = 0
    secured, trusting = tls_contexts() if tls else (None, None)
    for last in range(1, 200):
        with Catching(Later, tls=secured) as caught:
            client = session_of(caught.server.address[1], helo=None, tls=trusting)
            said: list[Verb | None] = []

            async def talk(client: AsyncClient = client, said: list[Any] = said) -> None:
                async with client:
                    said.append(await client.command(Noop()))
                    said.append(await client.send(SMITH, [JONES], chunks(b"Hel", b"lo\r\n")))
                    said.append(await client.send(SMITH, [JONES], [b"Hello\r\n"] * 3))

            async def counted(talk: Any = talk, last: int = last) -> int:
                task = Counted(talk(), last, loop.cancel_here)
                await task
                return task.count

            job = loop.start(counted)
            try:
                total = job.result()
            except CancelledError:
                total = 0
            for _ in range(2):
                with pytest.raises(SessionLost):
                    loop.call(client.command, Noop())
            loop.call(client.close)
            assert [getattr(a, "status", a) for a in said] == [
                *[Reply(250, "OK")][: len(said)],
                *[Status.ACCEPTED] * (len(said) - 1),
            ]
            wait_for_sessions()
            if not caught.none_left():
                handler = caught.handler()
                assert len(handler.endings) == 1
                whole = [text for _, text in handler.messages]
                assert whole in (sent[:n] for sent in (SENT,) for n in range(3))
                assert len(whole) >= len(said) - 1
        if total:
            break
    assert 10 < total == last - 1  # wherever it was cancelled, that was raised
    where = f"smtp821.{loop.name}" + (" over TLS" if tls else "")
    count(f"awaits of a client of {where} that were cancelled", total)


SENT: Final = [b"Hello\r\n", b"Hello\r\n" * 3]

STEPS: Final[dict[str, tuple[Exchange, ...]]] = {
    "the greeting": ((b"", b""),),
    "HELO": (OPENING[0], (HELO, b"")),
    "MAIL": (*OPENING, (MAIL, b"")),
    "RCPT": (*OPENING, *WHOLE[:1], (RCPT, b"250 O")),
    "DATA": (*OPENING, *WHOLE[:2], (DATA, b"")),
    "the message": (*OPENING, *WHOLE[:3], (MESSAGE, b"250-OK\r\n")),
    "QUIT": (*OPENING, *WHOLE, (QUIT, b"221")),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_command_in_flight_is_cancelled(step: str, loop: Loop) -> None:
    """The peer hears nothing more; no later command gets the reply that was on its way."""
    heard = Gate()

    def script(wire: Wire) -> None:
        for hears, says in STEPS[step]:
            wire.hears(hears)
            wire.send(says)
        heard.set()
        assert wire.remains() == b""

    async def talk() -> None:
        async with client:
            await client.send(SMITH, [JONES], TEXT)

    with playing(script) as port:
        client = session_of(port)
        job = loop.start(talk)
        assert heard.wait(TIMEOUT)
        job.cancel()
        with pytest.raises(CancelledError):
            job.result()
        with pytest.raises(SessionLost, match="there is no connection"):
            loop.call(client.command, Noop())


@pytest.mark.parametrize("endless", [False, True])
def test_a_message_in_flight_is_cancelled(endless: bool, loop: Loop) -> None:
    """A message that waits for its source, or for the peer to read, never gets an end (4.1.1)."""
    heard, cancelled = Gate(), Gate()
    rests: list[bytes] = []

    def script(wire: Wire) -> None:
        for hears, says in (*OPENING, *WHOLE[:3]):
            wire.hears(hears)
            wire.send(says)
        wire.hears(b"one\r\n")
        heard.set()
        assert cancelled.wait(TIMEOUT)
        with contextlib.suppress(ConnectionError):
            rests.append(wire.rest())

    class Message:
        begun = False

        def __aiter__(self) -> Message:
            return self

        async def __anext__(self) -> bytes:
            if self.begun and not endless:
                await loop.pass_gate(Gate())
            self.begun = True
            return b"one\r\n"

    with playing(script) as port:
        client = session_of(port)
        loop.call(client.open)
        job = loop.start(client.send, SMITH, [JONES], Message())
        assert heard.wait(TIMEOUT)
        job.cancel()
        cancelled.set()
        with pytest.raises(CancelledError):
            job.result()
        with pytest.raises(SessionLost, match="there is no connection"):
            loop.call(client.command, Noop())
    assert not any(rest.endswith(b"\r\n.\r\n") for rest in rests)


def test_the_lookup_of_a_name_is_cancelled(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system takes long to say what this host is called; the connection is closed."""
    asked, answered = Gate(), Gate()

    def getfqdn() -> str:
        asked.set()
        assert answered.wait(TIMEOUT)
        return "host.example"

    monkeypatch.setattr("socket.getfqdn", getfqdn)

    def script(wire: Wire) -> None:
        wire.send(GREETING)
        assert wire.remains() == b""

    with playing(script) as port:
        client = session_of(port, helo=None)
        job = loop.start(client.open)
        assert asked.wait(TIMEOUT)
        job.cancel()
        with pytest.raises(CancelledError):
            job.result()
        with pytest.raises(SessionLost, match="there is no connection"):
            loop.call(client.command, Noop())
    answered.set()


def test_turn_is_cancelled(loop: Loop) -> None:
    """In the other role too: the connection is closed, and the handler told once (3.8)."""
    handler, heard = Later("the peer"), Gate()

    def script(wire: Wire) -> None:
        for hears, says in (*OPENING, (b"TURN\r\n", OKAY)):
            wire.hears(hears)
            wire.send(says)
        wire.hears(b"220 ALPHA.ARPA Simple Mail Transfer Service Ready\r\n")
        wire.send(b"HELO BETA.ARPA\r\n" + MAIL)
        wire.hears(b"250 ALPHA.ARPA\r\n" + OKAY)
        heard.set()
        assert wire.remains() == b""

    with playing(script) as port:
        client = session_of(port)
        loop.call(client.open)
        job = loop.start(client.turn, handler, "ALPHA.ARPA")
        assert heard.wait(TIMEOUT)
        job.cancel()
        with pytest.raises(CancelledError):
            job.result()
        with pytest.raises(SessionLost, match="there is no connection"):
            loop.call(client.command, Noop())
    assert len(handler.endings) == 1
    assert handler.events[-1] is handler.endings[0]


def test_a_client_that_sends_in_turn_is_cancelled(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server whose context is cancelled while its handler sends (3.8)."""
    linger(monkeypatch, 0.05)

    class Turning(Catcher):
        def turn(self, command: Any) -> None:
            """Agree."""

        async def turned(self, client: AsyncClient) -> None:
            await client.command(Noop())

    caught = Catching(Turning)
    assert isinstance(caught.server, LoopServer)
    with caught.connect() as wire:
        wire.hears(GREETING)
        wire.send(HELO + b"TURN\r\n")
        wire.hears(HELLO + OKAY)
        wire.send(GREETING)
        wire.hears(b"HELO BETA.ARPA\r\n")
        wire.send(OKAY)
        wire.hears(b"NOOP\r\n")
        caught.server.job.cancel()
        assert running() == []
        assert wire.remains() == b""
    assert len(caught.handler().endings) == 1
