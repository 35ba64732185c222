"""smtp821.testing.memory: clients of every adapter, joined to servers without a port."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Any, Final, TypeVar

import pytest
import trio

import smtp821.asyncio
import smtp821.sockets
import smtp821.trio
from smtp821 import (
    RFC821,
    Closed,
    Data,
    EndOfData,
    Handler,
    Helo,
    Mail,
    MailData,
    Noop,
    Path,
    Quit,
    Rcpt,
    Reply,
    SessionLost,
    Status,
    Turn,
)
from smtp821.testing import memory
from smtp821.testing.memory import Cut

from .dialogue import ENVELOPE, JONES, SMITH, TEXT
from .peers import Catcher

KINDS: Final[dict[str, Any]] = {
    "sockets": smtp821.sockets.Client,
    "asyncio": smtp821.asyncio.Client,
    "trio": smtp821.trio.Client,
}
CUTS: Final[tuple[Cut, ...]] = (None, 1, 2, [1, 2, 3], [7, 1], 4096)

T = TypeVar("T")

every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
every_loop = pytest.mark.parametrize(
    "kind", [KINDS["asyncio"], KINDS["trio"]], ids=["asyncio", "trio"]
)
every_cut = pytest.mark.parametrize("cut", CUTS, ids=str)


def run(kind: Any, main: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine under what a kind of client needs."""
    if kind is smtp821.trio.Client:
        return trio.run(main)

    async def within_time() -> T:
        return await main()

    return asyncio.run(within_time())


async def of(result: Any) -> Any:
    """A result, which some clients have to be awaited for."""
    return await result if isinstance(result, Awaitable) else result


@contextlib.asynccontextmanager
async def opened(client: Any) -> AsyncIterator[Any]:
    """Within the context of a client, of whatever kind."""
    if isinstance(client, smtp821.sockets.Client):
        with client:
            yield client
    else:
        async with client:
            yield client


class Kept:
    """Makes handlers, and keeps them."""

    def __init__(self, kind: type[Catcher] = Catcher) -> None:
        self._kind = kind
        self.handlers: list[Catcher] = []

    def __call__(self, peer: str) -> Catcher:
        """Make one."""
        self.handlers.append(self._kind(peer))
        return self.handlers[-1]


@every_kind
@every_cut
def test_a_message(kind: Any, cut: Cut) -> None:
    """A message gets from a client of each adapter to a handler, however the bytes are cut."""
    kept = Kept()
    said: list[str] = []
    threads = threading.active_count()

    async def main() -> Any:
        client = memory.client(kind, kept, cut=cut, helo="ALPHA.ARPA", transcript=said.append)
        assert isinstance(client, kind)
        async with opened(client):
            delivery = await of(client.send(SMITH, [JONES], TEXT))
            assert threading.active_count() == threads
        return delivery

    delivery = run(kind, main)
    assert delivery.status is Status.ACCEPTED
    (handler,) = kept.handlers
    assert handler.peer == "127.0.0.1:0"
    assert handler.messages == [(ENVELOPE, TEXT)]
    assert handler.endings == [Closed()]
    assert said == [
        "R: 220 server.example Simple Mail Transfer Service Ready",
        "S: HELO ALPHA.ARPA",
        "R: 250 server.example",
        "S: MAIL FROM:<Smith@ALPHA.ARPA>",
        "R: 250 OK",
        "S: RCPT TO:<Jones@BETA.ARPA>",
        "R: 250 OK",
        "S: DATA",
        "R: 354 Start mail input; end with <CRLF>.<CRLF>",
        "S: Hello",
        "S: ..dot",
        "S: .",
        "R: 250 OK",
        "S: QUIT",
        "R: 221 server.example Service closing transmission channel",
    ]


@every_kind
def test_the_server_as_it_is_wanted(kind: Any) -> None:
    """`serving` says what the server is called and speaks; each opening is a connection."""
    kept = Kept()
    server = memory.serving(kept, domain="BETA.ARPA", dialect=RFC821)

    async def main() -> None:
        client = memory.client(kind, server)
        for _ in range(2):
            async with opened(client):
                assert client.greeting == Reply(220, "BETA.ARPA Simple Mail Transfer Service Ready")
                delivery = await of(client.send(SMITH, [JONES], b"\n"))
                assert delivery.status is Status.ACCEPTED

    run(kind, main)
    assert [handler.messages[0][1] for handler in kept.handlers] == [b"\r\n", b"\r\n"]


@every_kind
def test_a_name_of_its_own(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a name for HELO the client says that of the system, as always."""
    monkeypatch.setattr(socket, "getfqdn", lambda: "own.example")
    names: list[str] = []

    class Listening(Handler):
        def helo(self, command: Helo) -> None:
            names.append(str(command.domain))

    async def main() -> None:
        for name in ("client.example", "here.example", None):
            options: dict[str, Any] = {} if name == "client.example" else {"helo": name}
            async with opened(memory.client(kind, Listening, **options)):
                pass

    run(kind, main)
    assert names == ["client.example", "here.example", "own.example"]


@every_kind
def test_the_roles_stay(kind: Any) -> None:
    """3.8: TURN is 502 in memory, even where the handler has it."""

    class Turning(Handler):
        def turn(self, command: Turn) -> Reply | None:
            return None

    async def main() -> Any:
        async with opened(memory.client(kind, Turning)) as client:
            return await of(client.turn(Handler("peer"), "here.example"))

    assert run(kind, main) == Reply(502)


class Moved(Catcher):
    """Knows where a recipient is now."""

    def rcpt(self, command: Rcpt) -> Reply | None:
        """551, but there 250."""
        if command.forward_path == Path(JONES):
            return Reply.forward(551, Path("<Jones@C.ARPA>"))
        return super().rcpt(command)


@every_kind
def test_whoever_moves_is_followed(kind: Any) -> None:
    """3.2: whatever the address that a 551 leads to, the server is the one in memory."""
    kept = Kept(Moved)

    async def main() -> Any:
        async with opened(memory.client(kind, kept)) as client:
            return await of(
                client.send(SMITH, [JONES], TEXT, follow=lambda _: ("elsewhere.example", 25))
            )

    assert run(kind, main).status is Status.ACCEPTED
    assert [len(handler.messages) for handler in kept.handlers] == [0, 1]


# What a server in memory does not do by itself: go on, and wait.


class Silent:
    """A peer that says a greeting, and nothing more."""

    def __init__(self, address: str) -> None:
        self._pieces: list[bytes | None] = [b"220 si", None, b"lent\r\n"]
        self.heard: list[bytes] = []
        self.is_lost = 0

    def receive_data(self, data: bytes) -> None:
        """Take it."""
        self.heard.append(data)

    def next_piece(self) -> bytes | None:
        """The greeting, of which the end waits for something to be heard."""
        return self._pieces.pop(0) if self._pieces else None

    def lost(self) -> None:
        """The client has gone."""
        self.is_lost += 1


@every_kind
def test_nothing_to_wait_for(kind: Any) -> None:
    """What will never come is not waited for: time is up at once, whatever the time is."""
    made: list[Silent] = []

    def server(address: str) -> Silent:
        made.append(Silent(address))
        return made[-1]

    async def main() -> None:
        with pytest.raises(TimeoutError, match="no greeting in 300 seconds"):
            async with opened(memory.client(kind, server)):
                pass

    run(kind, main)
    assert (made[0].heard, made[0].is_lost) == ([], 1)


def test_a_wire() -> None:
    """The two ends take turns at a wire; its cut holds for both of them."""
    peer = Silent("")
    wire = memory.wire(peer, cut=[1, 2])

    async def main() -> None:
        assert wire.address == "127.0.0.1"
        assert [await wire.heard() for _ in range(5)] == [b"2", b"20", b" ", b"si", None]
        with wire.shield():
            await wire.write(b"HELO\r\n", 1.0)
        assert peer.heard == []  # it has to speak first
        assert await wire.read(1.0) + await wire.read(1.0) == b"len"
        await wire.finish()
        assert [await wire.heard() for _ in range(3)] == [b"t", b"\r\n", None]
        wire.close()
        wire.close()

    asyncio.run(main())
    assert peer.heard == [b"H", b"EL", b"O", b"\r\n", b""]
    assert peer.is_lost == 2


def test_the_end_of_file() -> None:
    """Who has closed is read so for ever, by a wire to a Conversation too."""

    async def main() -> None:
        wire = memory.wire(memory.serving(Handler)("peer"))
        await wire.write(b"QUIT\r\nNOOP\r\n", 1.0)
        assert (await wire.read(1.0)).endswith(b"Ready\r\n")
        assert (await wire.read(1.0)).startswith(b"221 ")
        assert [await wire.read(1.0) for _ in range(2)] == [b"", b""]
        wire.close()

    asyncio.run(main())


@pytest.mark.parametrize("cut", [0, -1, [], [2, 0]])
def test_a_cut_that_is_none(cut: Cut) -> None:
    """A read of no octets would be the end of file."""
    with pytest.raises(ValueError, match="one octet at a time is the least"):
        memory.client(smtp821.sockets.Client, Handler, cut=cut)


def test_a_message_is_handed_over_as_it_comes() -> None:
    """The handler has each chunk before the next one is asked for: none of it accumulates."""
    kept = Kept()
    had: list[int] = []

    def chunks() -> Iterator[bytes]:
        for _ in range(50):
            events = kept.handlers[0].events
            had.append(sum(len(event.data) for event in events if isinstance(event, MailData)))
            yield b"x" * 70 + b"\r\n"

    with memory.client(smtp821.sockets.Client, kept) as client:
        assert client.send(SMITH, [JONES], chunks()).status is Status.ACCEPTED
    assert all(0 <= 72 * at - got <= 4 for at, got in enumerate(had))


# Handlers that are awaited.


async def checkpoint(kind: Any) -> None:
    """Let others run."""
    await (asyncio.sleep(0) if kind is smtp821.asyncio.Client else trio.lowlevel.checkpoint())


@every_loop
@every_cut
def test_an_async_handler(kind: Any, cut: Cut) -> None:
    """Its methods are awaited in the task of the client, by each event loop."""
    done: list[str] = []

    class Slow(Handler):
        async def rcpt(self, command: Rcpt) -> Reply | None:
            await checkpoint(kind)
            return Reply(251, f"will forward to {command.forward_path}")

        async def end_of_data(self, event: EndOfData) -> Reply | None:
            await checkpoint(kind)
            done.append("end_of_data")
            return None

        async def closed(self, event: Closed) -> None:
            await checkpoint(kind)
            done.append("closed")

    async def main() -> Any:
        async with opened(memory.client(kind, Slow, cut=cut)) as client:
            return await of(client.send(SMITH, [JONES], TEXT))

    (result,) = run(kind, main).recipients
    assert (result.status, result.reply.code) == (Status.ACCEPTED, 251)
    assert done == ["end_of_data", "closed"]


class Waiting(Awaitable[None]):
    """Something that only an event loop can wait for."""

    def __await__(self) -> Generator[object, None, None]:
        yield self


def test_an_async_handler_where_there_is_no_loop(caplog: pytest.LogCaptureFixture) -> None:
    """As with `smtp821.sockets.serve`: a method that suspends itself has failed, 451."""

    class Slow(Catcher):
        async def mail(self, command: Mail) -> Reply | None:
            await Waiting()
            raise AssertionError

    with memory.client(smtp821.sockets.Client, Slow) as client:
        assert client.command(Mail(SMITH)) == Reply(451)
    assert "handler failed at Mail" in caplog.text


@every_kind
def test_a_connection_that_breaks(kind: Any) -> None:
    """What interrupts the client closes the connection, and the handler hears of it once."""
    kept = Kept()

    async def main() -> None:
        async with opened(memory.client(kind, kept)) as client:
            await of(client.command(Mail(SMITH)))
            await of(client.command(Rcpt(JONES)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(kind, main)
    assert kept.handlers[0].endings == [Closed(cancelled=ENVELOPE)]


@every_loop
def test_an_ending_that_cannot_be_awaited(kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Where the connection breaks nobody can wait for `closed`: it is told so."""

    class Slow(Catcher):
        async def closed(self, event: Closed) -> None:  # type: ignore[override]
            super().closed(event)
            await checkpoint(kind)
            raise AssertionError

    kept = Kept(Slow)

    async def main() -> None:
        async with opened(memory.client(kind, kept)):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(kind, main)
    assert kept.handlers[0].endings == [Closed()]
    assert "needs smtp821.asyncio or smtp821.trio" in caplog.text


@every_loop
def test_cancelled_while_the_handler_is_awaited(kind: Any) -> None:
    """The client's cancellation ends the await of the handler, and the connection."""
    kept: list[Handler] = []
    scopes: list[Any] = []
    ended: list[Closed] = []

    class Endless(Handler):
        def __init__(self, peer: str) -> None:
            super().__init__(peer)
            kept.append(self)

        async def data(self, command: Data) -> Reply | None:
            scopes[0].cancel()
            await (asyncio.Event().wait() if kind is smtp821.asyncio.Client else trio.sleep(60))
            raise AssertionError

        def rcpt(self, command: Rcpt) -> Reply | None:
            return None

        def closed(self, event: Closed) -> None:
            ended.append(event)

    async def send(client: Any) -> None:
        async with client:
            await client.send(SMITH, [JONES], TEXT)

    async def main() -> None:
        client = memory.client(kind, Endless)
        if kind is smtp821.trio.Client:
            with trio.CancelScope() as scope:
                scopes.append(scope)
                await send(client)
            assert scope.cancelled_caught
        else:
            scopes.append(asyncio.ensure_future(send(client)))
            with pytest.raises(asyncio.CancelledError):
                await scopes[0]
        with pytest.raises(SessionLost):
            await client.command(Noop())

    run(kind, main)
    assert ended == [Closed(cancelled=ENVELOPE)]
    assert len(kept) == 1


@every_kind
def test_a_handler_that_cannot_be_made(kind: Any) -> None:
    """What making it raises is for the test to see."""

    def make(peer: str) -> Handler:
        raise LookupError(peer)

    async def main() -> None:
        with pytest.raises(LookupError, match=r"127\.0\.0\.1:0"):
            await of(memory.client(kind, make).open())

    run(kind, main)


@every_kind
def test_commands_one_by_one(kind: Any) -> None:
    """Each verb of a client works over memory; after QUIT the session is over."""

    async def main() -> None:
        client = memory.client(kind, Catcher)
        await of(client.open())
        assert await of(client.command(Mail(SMITH))) == Reply(250)
        assert await of(client.command(Rcpt(JONES))) == Reply(250)
        assert await of(client.data(TEXT)) == Reply(250)
        assert (await of(client.command(Quit()))).code == 221
        with pytest.raises(SessionLost):
            await of(client.command(Noop()))
        await of(client.close())

    run(kind, main)
