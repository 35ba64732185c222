"""What is asyncio's own: bytes come by calls, and what is written goes through a buffer."""

from __future__ import annotations

import contextlib
import itertools
import socket

import pytest

from smtp821.delivery import Status

from .adapters import Loop, LoopServer, linger, only, until, wait_for_sessions
from .peers import GREETING, HOST, NOT_AVAILABLE, Catcher, Catching, Wire, client_of

pytestmark = [pytest.mark.usefixtures("adapter"), only("asyncio")]


def test_replies_that_are_not_read() -> None:
    """A server does not read from a peer that does not read, and so keeps little for it."""
    with Catching() as caught:
        assert isinstance(caught.server, LoopServer)
        with Wire(socket.socket()) as wire:
            wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            wire.sock.connect(caught.server.address)
            wire.hears(GREETING)
            wire.sock.setblocking(False)
            (connection,) = caught.server.server._connections

            def is_stuck() -> bool:
                with contextlib.suppress(BlockingIOError):
                    wire.sock.send(b"HELP\r\n" * 10_000)
                return bool(connection._stuck)

            until(is_stuck)
            assert connection._transport.get_write_buffer_size() < 1 << 20
        wait_for_sessions()
        assert len(caught.handler().endings) == 1


def test_a_message_lets_others_run(adapter: Loop) -> None:
    """A source that never waits, and a peer that takes all: there are others in the loop."""
    turns = itertools.count()
    with Catching() as caught, client_of(caught.server.address[1]) as client:

        async def others() -> None:
            while True:
                next(turns)
                await adapter.pause()

        job = adapter.start(others)
        text = [b"x\r\n"] * 1000
        assert client.send("<>", ["<Jones@BETA.ARPA>"], text).status is Status.ACCEPTED
        job.cancel()
        assert next(turns) >= 1000


@pytest.mark.parametrize("passes", range(8))
def test_a_connection_that_comes_as_the_server_stops(
    passes: int, adapter: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever pass of the loop it is in then, it is told 421, or is closed: none is lost."""
    linger(monkeypatch, 0.05)

    async def stop_in_time(peer: socket.socket) -> None:
        async with adapter.serve_in_context(Catcher, port=0, domain=HOST) as server:
            await adapter.pause()
            peer.connect(server.address)
            for _ in range(passes):
                await adapter.pause()
            await server.stop(0.0)

    with Wire(socket.socket()) as wire:
        adapter.call(stop_in_time, wire.sock)
        assert wire.remains() in (b"", NOT_AVAILABLE, GREETING + NOT_AVAILABLE)
