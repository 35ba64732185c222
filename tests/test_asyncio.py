"""The adapter for asyncio: a server and a client, over loopback connections."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Final

import pytest

from smtp821 import (
    Closed,
    Data,
    Envelope,
    Handler,
    LocalProtocolError,
    Mail,
    Noop,
    Path,
    Quit,
    Rcpt,
    Reply,
    SessionLost,
    SessionRefused,
    Turn,
    Verb,
)
from smtp821.asyncio import Client, Server, serve
from smtp821.delivery import Status
from smtp821.timeouts import Timeouts

from .adapters import TIMEOUT
from .peers import (
    BYE,
    DATA,
    GREETING,
    HELLO,
    HOST,
    MAIL,
    NOT_AVAILABLE,
    OKAY,
    RCPT,
    START,
    Catcher,
)

HELO: Final = b"HELO ALPHA.ARPA\r\n"
QUIT: Final = b"QUIT\r\n"
MESSAGE: Final = b"Hello\r\n..dot\r\n.\r\n"
TEXT: Final = b"Hello\r\n.dot\r\n"
ENVELOPE: Final = Envelope(Verb.MAIL, Path("<Smith@ALPHA.ARPA>"), (Path("<Jones@BETA.ARPA>"),))
SESSION: Final = b"".join((HELO, MAIL, RCPT, DATA, MESSAGE, MAIL, RCPT, DATA, MESSAGE, QUIT))
ANSWERS: Final = b"".join(
    (GREETING, HELLO, OKAY, OKAY, START, OKAY, OKAY, OKAY, START, OKAY, BYE)
)  # fmt: skip

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def run(test: Coroutine[Any, Any, None]) -> None:
    """Run a test in an event loop of its own, in which nothing may be left at the end."""

    async def bounded() -> None:
        async with asyncio.timeout(TIMEOUT):
            await test
        await settled()

    asyncio.run(bounded())


async def settled() -> None:
    """Wait until no other task runs."""
    async with asyncio.timeout(TIMEOUT):
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0)


class Catching:
    """A server whose handlers are kept."""

    def __init__(self, make: Callable[[str], Catcher] = Catcher, **options: Any) -> None:
        self.handlers: list[Catcher] = []
        self._make = make
        self.context = serve(self._handler, port=0, domain=HOST, **options)

    def _handler(self, peer: str) -> Catcher:
        self.handlers.append(self._make(peer))
        return self.handlers[-1]

    async def over(self) -> None:
        """Wait until every handler was told of the end of its session."""
        async with asyncio.timeout(TIMEOUT):
            while not all(handler.endings for handler in self.handlers):
                await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def connected(server: Server) -> AsyncIterator[Streams]:
    """A connection to the server."""
    reader, writer = await asyncio.open_connection(*server.address)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def hear(reader: asyncio.StreamReader, expected: bytes) -> None:
    """See that exactly these bytes come next."""
    assert await reader.readexactly(len(expected)) == expected


# --- the server ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 7, len(SESSION)])
def test_a_session_in_any_cut(size: int) -> None:
    """4.2: the same replies and messages, however the bytes come."""

    async def test() -> None:
        catching = Catching()
        async with catching.context as server, connected(server) as (reader, writer):
            for at in range(0, len(SESSION), size):
                writer.write(SESSION[at : at + size])
                await writer.drain()
                await asyncio.sleep(0)
            assert await reader.read() == ANSWERS
        (handler,) = catching.handlers
        assert handler.messages == [(ENVELOPE, TEXT)] * 2
        assert handler.endings == [Closed()]

    run(test())


class Slow(Catcher):
    """Answers when it is told to."""

    def __init__(self, peer: str) -> None:
        super().__init__(peer)
        self.asked = asyncio.Event()
        self.told = asyncio.Event()

    async def mail(self, command: Mail) -> Reply | None:
        """Wait to be told."""
        self.asked.set()
        await self.told.wait()
        return None

    async def mail_data(self, event: Any) -> None:  # type: ignore[override]
        """Take the piece, in its own time."""
        await asyncio.sleep(0)
        self.events.append(event)

    async def closed(self, event: Closed) -> None:  # type: ignore[override]
        """Remember it, in its own time."""
        await asyncio.sleep(0)
        self.events.append(event)


def test_an_answer_that_is_awaited() -> None:
    """4.3: what stands behind a command waits until it is answered; then all goes on in order."""

    async def test() -> None:
        catching = Catching(Slow)
        async with catching.context as server, connected(server) as (reader, writer):
            writer.write(SESSION)
            await hear(reader, GREETING + HELLO)
            (handler,) = catching.handlers
            assert isinstance(handler, Slow)
            await handler.asked.wait()
            assert handler.messages == []
            handler.told.set()
            assert await reader.read() == ANSWERS[len(GREETING + HELLO) :]
            await catching.over()
            assert handler.messages == [(ENVELOPE, TEXT)] * 2

    run(test())


@pytest.mark.parametrize("later", [False, True])
def test_a_handler_that_raises(later: bool, caplog: pytest.LogCaptureFixture) -> None:
    """451 at once or when awaited, in the log why; the session goes on."""

    class Failing(Catcher):
        def mail(self, command: Mail) -> Any:
            if not later:
                raise ValueError("no more mail")
            return self.fail()

        async def fail(self) -> None:
            await asyncio.sleep(0)
            raise ValueError("no more mail")

    async def test() -> None:
        async with Catching(Failing).context as server, connected(server) as (reader, writer):
            writer.write(HELO + MAIL + QUIT)
            error = b"451 Requested action aborted: local error in processing\r\n"
            assert await reader.read() == GREETING + HELLO + error + BYE

    run(test())
    assert "no more mail" in caplog.text


def test_one_connection_too_many() -> None:
    """4.2.1: where there is no place the peer is told 421; a place that was left is given again."""

    async def test() -> None:
        catching = Catching(max_connections=1)
        async with catching.context as server:
            async with connected(server) as (first, writer):
                await hear(first, GREETING)
                async with connected(server) as (second, _):
                    full = b"421 BETA.ARPA Too many connections, try again later\r\n"
                    assert await second.read() == full
                writer.write(QUIT)
                assert await first.read() == BYE
            await catching.over()
            async with connected(server) as (third, _):
                while not (line := await third.readline()).startswith(b"2"):
                    raise AssertionError(line)

    run(test())


def test_an_idle_peer() -> None:
    """AMB-60: a peer that is silent is told 421, and the transaction is cancelled (4.1.1 QUIT)."""

    async def test() -> None:
        catching = Catching(timeouts=Timeouts(receiver=0.05))
        async with catching.context as server, connected(server) as (reader, writer):
            writer.write(HELO + MAIL)
            idle = b"421 BETA.ARPA Idle for too long, closing transmission channel\r\n"
            assert await reader.read() == GREETING + HELLO + OKAY + idle
            await catching.over()
            cancelled = Envelope(Verb.MAIL, Path("<Smith@ALPHA.ARPA>"))
            assert catching.handlers[0].endings == [Closed(cancelled=cancelled)]

    run(test())


@pytest.mark.parametrize("grace", [TIMEOUT, 0.0])
def test_stop(grace: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """4.2.1: 421 to those who are idle, and to the rest once their mail is in, or grace is over."""
    monkeypatch.setattr("smtp821.asyncio.LINGER", 0.2)

    async def test() -> None:
        catching = Catching()
        async with (
            catching.context as server,
            connected(server) as (idle, _),
            connected(server) as (busy, writer),
        ):
            await hear(idle, GREETING)
            writer.write(HELO + MAIL + RCPT + DATA)
            await hear(busy, GREETING + HELLO + OKAY + OKAY + START)
            stopping = asyncio.create_task(server.stop(grace))
            assert await idle.read() == NOT_AVAILABLE
            if grace:
                writer.write(MESSAGE)
                await hear(busy, OKAY)
            assert await busy.read() == NOT_AVAILABLE
            await stopping
            with pytest.raises(OSError):
                await asyncio.open_connection(*server.address)
        assert [len(handler.messages) for handler in catching.handlers] == [0, int(bool(grace))]

    run(test())


@pytest.mark.parametrize("make", [Catcher, Slow])
def test_a_drop_at_every_octet(make: Callable[[str], Catcher]) -> None:
    """4.1.1 QUIT: what was complete stays, the rest is nothing; each handler is told once."""

    async def test() -> None:
        catching = Catching(make)
        async with catching.context as server:
            for size in range(len(SESSION)):
                async with connected(server) as (_, writer):
                    writer.write(SESSION[:size])
                while len(catching.handlers) <= size:
                    await asyncio.sleep(0)
                if isinstance(handler := catching.handlers[size], Slow):
                    handler.told.set()
            await catching.over()
        for size, handler in enumerate(catching.handlers):
            whole = SESSION[:size].count(b"\r\n.\r\n")
            # A peer that is gone may not be heard to its last word.
            assert handler.messages in [[(ENVELOPE, TEXT)] * count for count in range(whole + 1)]
            assert len(handler.endings) == 1
            assert handler.events[-1] is handler.endings[0]

    run(test())


def test_a_peer_that_does_not_read() -> None:
    """A server does not read from a peer that does not read, and so keeps little for it."""

    async def test() -> None:
        catching = Catching()
        async with catching.context as server:
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, server.address)
            reader, writer = await asyncio.open_connection(sock=sock, limit=4096)
            await hear(reader, GREETING)
            with contextlib.suppress(TimeoutError):
                while True:
                    writer.write((b"HELP" + b" " * 100 + b"\r\n") * 1_000)
                    async with asyncio.timeout(0.2):
                        await writer.drain()
            (connection,) = server._connections
            assert connection._transport.get_write_buffer_size() < 1 << 20
            answered = 0
            writer.write(QUIT)
            while line := await reader.readline():
                answered += line.startswith(b"214")
            writer.close()
            assert answered % 1_000 == 0
            assert answered >= 1_000

    run(test())


# --- the client ---------------------------------------------------------------------------------

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def playing(script: Script) -> AsyncIterator[Client]:
    """A client, and a server that follows a script; what goes wrong there fails the test."""
    played: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await script(reader, writer)
            played.set_result(None)
        except BaseException as failure:
            played.set_exception(failure)
        finally:
            writer.close()

    async with await asyncio.start_server(play, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield Client("127.0.0.1", port, helo="ALPHA.ARPA", timeouts=Timeouts.all(TIMEOUT))
        await played


def turns(*dialogue: tuple[bytes, bytes]) -> Script:
    """A script of exactly these turns."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for heard, said in dialogue:
            await hear(reader, heard)
            writer.write(said)
            await writer.drain()
        assert await reader.read() == b""

    return script


OPENING: Final = ((b"", GREETING), (HELO, HELLO))


def test_a_message_to_several() -> None:
    """2: each recipient has its own outcome; the message is sent once, dots doubled (4.5.2)."""
    script = turns(
        *OPENING,
        (MAIL, OKAY),
        (RCPT, OKAY),
        (b"RCPT TO:<x@BETA.ARPA>\r\n", b"550 No such user here\r\n"),
        (DATA, START),
        (MESSAGE, OKAY),
        (QUIT, BYE),
    )

    async def test() -> None:
        async with playing(script) as client, client:
            paths = ["<Jones@BETA.ARPA>", "<x@BETA.ARPA>"]
            delivery = await client.send("<Smith@ALPHA.ARPA>", paths, iter([b"Hel", b"lo\n.dot"]))
        assert [result.status for result in delivery.recipients] == [
            Status.ACCEPTED,
            Status.PERMANENT,
        ]
        assert delivery.recipients[1].reply == Reply(550, "No such user here")

    run(test())


# Where the other side goes away, or out of step: what it does, and what it is to mean.
ENDS: Final = {
    "behind MAIL": ((*OPENING, (MAIL, b"")), Status.TEMPORARY),
    "in a reply": ((*OPENING, (MAIL, b"250 O")), Status.TEMPORARY),
    "behind the message": (
        (*OPENING, (MAIL, OKAY), (RCPT, OKAY), (DATA, START), (MESSAGE, b"")),
        Status.TEMPORARY,
    ),
    "354 and 250 at once": (
        (*OPENING, (MAIL, OKAY), (RCPT, OKAY), (DATA, START + OKAY)),
        Status.PROTOCOL,
    ),
    "a reply too many": ((*OPENING, (MAIL, OKAY + OKAY)), Status.PROTOCOL),
    "421 to RCPT": ((*OPENING, (MAIL, OKAY), (RCPT, NOT_AVAILABLE)), Status.TEMPORARY),
    "421 unasked": ((*OPENING, (MAIL, OKAY + NOT_AVAILABLE)), Status.TEMPORARY),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_server_that_fails(end: str) -> None:
    """4.1.1 QUIT: never a success, and no later command gets a reply."""
    dialogue, status = ENDS[end]

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for heard, said in dialogue:
            await hear(reader, heard)
            writer.write(said)
            await writer.drain()
        if status is Status.PROTOCOL:
            await reader.read()

    async def test() -> None:
        async with playing(script) as client:
            await client.open()
            delivery = await client.send("<Smith@ALPHA.ARPA>", ["<Jones@BETA.ARPA>"], TEXT)
            assert delivery.status is status
            with pytest.raises((SessionLost, LocalProtocolError)):
                await client.command(Noop())
            await client.close()

    run(test())


@pytest.mark.parametrize("how", ["cancelled", "timed out"])
def test_a_command_in_flight_that_ends(how: str) -> None:
    """A command that is cancelled or times out closes the connection: its reply is nobody's."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING)
        await hear(reader, HELO)
        writer.write(HELLO)
        await hear(reader, b"NOOP\r\n")
        assert await reader.read() == b""

    async def test() -> None:
        async with playing(script) as client:
            await client.open()
            if how == "cancelled":
                task = asyncio.create_task(client.command(Noop()))
                await asyncio.sleep(0.01)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            else:
                client.timeouts = Timeouts.all(0.01)
                with pytest.raises(TimeoutError):
                    await client.command(Noop())
            with pytest.raises(SessionLost):
                await client.command(Noop())

    run(test())


@pytest.mark.parametrize(
    ("dialogue", "code"),
    [
        (((b"", b"554 No mail here\r\n"), (QUIT, BYE)), 554),
        (((b"", NOT_AVAILABLE),), 421),
        (((b"", GREETING), (HELO, b"501 Who?\r\n"), (QUIT, BYE)), 501),
    ],
)
def test_a_session_that_is_refused(dialogue: tuple[tuple[bytes, bytes], ...], code: int) -> None:
    """AMB-27, 3.5: the reply is in the exception; QUIT is said where it can be."""

    async def test() -> None:
        async with playing(turns(*dialogue)) as client:
            with pytest.raises(SessionRefused) as caught:
                await client.open()
            assert caught.value.reply.code == code

    run(test())


def test_single_commands() -> None:
    """4.1.1: each command can be sent by itself, and an illegal one changes nothing."""

    async def test() -> None:
        catching = Catching()
        async with (
            catching.context as server,
            Client(*server.address, helo="ALPHA.ARPA") as client,
        ):
            with pytest.raises(LocalProtocolError, match="RCPT is not legal"):
                await client.command(Rcpt("<Jones@BETA.ARPA>"))
            with pytest.raises(LocalProtocolError, match="open already"):
                await client.open()
            assert (await client.command(Mail("<Smith@ALPHA.ARPA>"))).code == 250
            with pytest.raises(LocalProtocolError, match="TURN is not legal"):
                await client.command(Turn())
            assert (await client.command(Rcpt("<Jones@BETA.ARPA>"))).code == 250
            assert await client.data(bytearray(TEXT)) == Reply(250, "OK")
            with pytest.raises(LocalProtocolError, match="DATA is not legal"):
                await client.command(Data())
            assert (await client.command(Quit())).code == 221
        assert catching.handlers[0].messages == [(ENVELOPE, TEXT)]

    run(test())


def test_data_that_must_not_be_sent() -> None:
    """4.5.2: the connection is closed without the end of mail data, so there is no message."""

    async def test() -> None:
        catching = Catching()
        async with catching.context as server:
            async with Client(*server.address, helo="ALPHA.ARPA") as client:
                with pytest.raises(LocalProtocolError, match="high bit"):
                    await client.send("<>", ["<Jones@BETA.ARPA>"], [b"Hello\r\n", b"\xff"])
            await catching.over()
        assert catching.handlers[0].messages == []

    run(test())


def test_a_large_message() -> None:
    """20 MB go through both ends, chunk by chunk, with a handler that takes its time."""
    chunk = b"x" * 62 + b"\r\n"

    class Counting(Catcher):
        size = 0

        async def mail_data(self, event: Any) -> None:  # type: ignore[override]
            await asyncio.sleep(0)
            self.size += len(event.data)

    async def test() -> None:
        catching = Catching(Counting)
        async with catching.context as server:
            async with Client(*server.address, helo="ALPHA.ARPA") as client:
                chunks = (chunk * 1024 for _ in range(320))
                delivery = await client.send("<>", ["<Jones@BETA.ARPA>"], chunks)
            assert delivery.status is Status.ACCEPTED
        (handler,) = catching.handlers
        assert isinstance(handler, Counting)
        assert handler.size == 320 * 65536

    run(test())


def test_turn() -> None:
    """3.8: a server whose handler allows it becomes the sender, over the same connection."""
    sent: list[Status] = []

    class Turning(Catcher):
        def turn(self, command: Turn) -> None:
            """It may."""

        async def turned(self, client: Any) -> None:
            delivery = await client.send("<Jones@BETA.ARPA>", ["<Smith@ALPHA.ARPA>"], TEXT)
            sent.append(delivery.status)

    async def test() -> None:
        catching = Catching(Turning)
        async with catching.context as server, connected(server) as (reader, writer):
            writer.write(HELO + b"TURN\r\n")
            await hear(reader, GREETING + HELLO + OKAY)
            greeting = b"220 ALPHA.ARPA Ready\r\n"
            steps = [
                (greeting, b"HELO BETA.ARPA\r\n"),
                (OKAY, b"MAIL FROM:<Jones@BETA.ARPA>\r\n"),
                (OKAY, b"RCPT TO:<Smith@ALPHA.ARPA>\r\n"),
                (OKAY, DATA),
                (START, MESSAGE),
                (OKAY, QUIT),
                (BYE, b""),
            ]
            for said, heard in steps:
                writer.write(said)
                await hear(reader, heard)
            assert await reader.read() == b""
            await catching.over()
        assert sent == [Status.ACCEPTED]

    run(test())


def test_defaults() -> None:
    """A handler that overrides nothing knows no recipient (550), and implements the minimum."""

    async def test() -> None:
        async with (
            serve(Handler, port=0, domain=HOST) as server,
            Client(*server.address) as client,
        ):
            delivery = await client.send("<>", ["<Jones@BETA.ARPA>"], TEXT)
        assert delivery.recipients[0].reply == Reply(550, "No such user here")

    run(test())


def test_what_cannot_be_served() -> None:
    """A port that is taken is an OSError; a domain that is none is the caller's mistake."""

    async def test() -> None:
        async with serve(Handler, port=0, domain=HOST) as server:
            with pytest.raises(OSError):
                async with serve(Handler, port=server.address[1], domain=HOST):
                    pass
        with pytest.raises(LocalProtocolError):
            async with serve(Handler, port=0, domain="no domain"):
                pass

    run(test())
