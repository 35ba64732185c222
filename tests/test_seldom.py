"""What adapters meet seldom: connections lost as they are taken, clocks that ring too early."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from typing import Any

import pytest

from smtp821 import Handler, Helo, LocalProtocolError, Reply, Verb
from smtp821 import asyncio as on_asyncio
from smtp821 import server as session
from smtp821.asyncio import serve
from smtp821.sockets import Client
from smtp821.testing.scripts import Script, at, say
from smtp821.wire import run

DOMAIN = "BETA.ARPA"
GREETING = b"220 BETA.ARPA Simple Mail Transfer Service Ready\r\n"


async def greeted(server: on_asyncio.Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that has heard the greeting."""
    reader, writer = await asyncio.open_connection(*server.address)
    assert await reader.readline() == GREETING
    return reader, writer


async def unheard(server: on_asyncio.Server) -> None:
    """Connect, and see the connection end without a word."""
    reader, writer = await asyncio.open_connection(*server.address)
    assert await reader.read() == b""
    writer.close()


def test_others_run_between_two_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """asyncio takes those that wait together, but not more at once than it says."""
    monkeypatch.setattr(on_asyncio, "_AT_ONCE", 1)

    async def main() -> None:
        async with serve(Handler, port=0, domain=DOMAIN) as server:
            for _, writer in await asyncio.gather(*(greeted(server) for _ in range(3))):
                writer.close()

    asyncio.run(main())


def test_a_loop_without_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows a loop may have none for sockets; connections are taken all the same."""

    def add_reader(*_: object) -> None:
        raise NotImplementedError

    async def main() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "add_reader", add_reader)
        async with serve(Handler, port=0, domain=DOMAIN) as server:
            _, writer = await greeted(server)
            writer.close()

    asyncio.run(main())


def test_a_connection_that_is_lost_as_it_is_taken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is written to the log, and the server goes on."""
    caplog.set_level(logging.INFO, "smtp821")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        take = loop.connect_accepted_socket

        async def lose(_make: Any, sock: socket.socket) -> None:
            sock.close()
            monkeypatch.setattr(loop, "connect_accepted_socket", take)
            raise ConnectionResetError("gone")

        monkeypatch.setattr(loop, "connect_accepted_socket", lose)
        async with serve(Handler, port=0, domain=DOMAIN) as server:
            await unheard(server)
            _, writer = await greeted(server)
            writer.close()

    asyncio.run(main())
    assert "a connection was lost at once: gone" in caplog.messages


def test_a_handshake_after_which_there_is_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop says so with None, where the peer has gone meanwhile: no session begins."""

    async def start_tls(transport: asyncio.Transport, *_: object, **__: object) -> None:
        transport.close()

    async def main() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "start_tls", start_tls)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        async with serve(Handler, port=0, domain=DOMAIN, tls=tls) as server:
            await unheard(server)

    asyncio.run(main())


class Busy(Handler):
    """Takes its time over HELO, and over its turn to send."""

    def __init__(self, peer: str) -> None:
        super().__init__(peer)
        self.at_work, self.may_go_on = asyncio.Event(), asyncio.Event()

    async def _work(self) -> None:
        self.at_work.set()
        await self.may_go_on.wait()

    async def helo(self, _: Helo) -> None:
        """Wait."""
        await self._work()

    def offers(self) -> frozenset[Verb]:
        """TURN too."""
        return super().offers() | {Verb.TURN}

    def turn(self, _: object) -> Reply:
        """Take the turn."""
        return Reply(250)

    async def turned(self, _: object) -> None:
        """Wait."""
        await self._work()


def test_a_clock_that_rings_while_the_handler_is_at_work() -> None:
    """It is not the peer who is silent; the time begins again."""

    async def main() -> None:
        handlers: list[Busy] = []

        def make(peer: str) -> Busy:
            handlers.append(Busy(peer))
            return handlers[-1]

        async with serve(make, port=0, domain=DOMAIN) as server:
            reader, writer = await greeted(server)
            writer.write(b"HELO ALPHA.ARPA\r\n")
            await handlers[0].at_work.wait()
            (connection,) = server._connections
            connection._heard = -1e9  # long ago
            connection._look_at_the_clock()
            handlers[0].may_go_on.set()
            assert await reader.readline() == b"250 BETA.ARPA\r\n"
            writer.close()

    asyncio.run(main())


def test_a_server_that_stops_while_its_handler_sends(caplog: pytest.LogCaptureFixture) -> None:
    """3.8: the handler is interrupted, and the connection closed."""

    async def main() -> None:
        handlers: list[Busy] = []

        def make(peer: str) -> Busy:
            handlers.append(Busy(peer))
            handlers[-1].may_go_on.set()
            return handlers[-1]

        async with serve(make, port=0, domain=DOMAIN) as server:
            reader, writer = await greeted(server)
            writer.write(b"HELO ALPHA.ARPA\r\n")
            assert await reader.readline() == b"250 BETA.ARPA\r\n"
            handlers[0].at_work.clear()
            handlers[0].may_go_on.clear()
            writer.write(b"TURN\r\n")
            assert await reader.readline() == b"250 OK\r\n"
            writer.write(b"220 ALPHA.ARPA\r\n")
            assert await reader.readline() == b"HELO BETA.ARPA\r\n"
            writer.write(b"250 ALPHA.ARPA\r\n")
            await handlers[0].at_work.wait()
            (connection,) = server._connections
            connection.abort()
            assert await reader.read() == b""
            writer.close()

    asyncio.run(main())
    assert "handler failed at Turned" in caplog.messages


def test_a_clock_that_rings_too_early() -> None:
    """asyncio's client sets it for what is awaited now, which may take longer."""

    async def main() -> None:
        wire, loop = on_asyncio._Wire(), asyncio.get_running_loop()
        wire._reader, wire._until = loop.create_future(), loop.time() + 60.0
        wire._ring()
        assert wire._clock is not None
        assert wire._clock.when() == wire._until
        assert not wire._reader.done()
        wire._stop_clock()
        wire._reader.set_result(None)  # it has come just now
        wire._until = loop.time()
        wire._ring()
        await wire._reader

    asyncio.run(main())


def test_a_message_that_cannot_follow() -> None:
    """What must not be sent raises at the other server too, where it is sent at last (3.2)."""
    moved = Script(at("RCPT", say(551, "User not local; please try <Jones@GAMMA.ARPA>")))
    with (
        moved.listening() as first,
        Script().listening() as second,
        Client(*first.address, helo="ALPHA.ARPA") as client,
        pytest.raises(LocalProtocolError, match="a CR without its LF"),
    ):
        client.send("<>", ["<Jones@BETA.ARPA>"], b"a\rb", follow=lambda _: second.address)
    assert second.messages == []


def test_a_peer_that_never_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session whose last word was said waits for the peer's end, and no longer than that."""
    monkeypatch.setattr(session, "LINGER", 0.0)
    calls = []

    class Wire:
        async def finish(self) -> None:
            calls.append("finish")

    run(session._close_gently(Wire()))  # type: ignore[arg-type]
    assert calls == ["finish"]
