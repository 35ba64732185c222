"""A peer that never stops sending, and never says anything: its time is over all the same."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from smtp821 import Closed, Handler, Receiver
from smtp821.client import AsyncClient
from smtp821.conversation import Conversation
from smtp821.server import IDLE, converse
from smtp821.timeouts import Timeouts
from smtp821.wire import Wire, run

MOST = 1000  # reads; with the clock below a time of 10 seconds takes a few


class Flooded:
    """A Wire from which octets can be read at all times, but no line end."""

    address = "127.0.0.1"

    def __init__(self) -> None:
        self.written = b""
        self.reads = 0
        self.closed = False

    async def read(self, seconds: float) -> bytes:
        """More of the line; the end of file once the other side has finished."""
        self.reads += 1
        assert self.reads < MOST
        return b"" if self.closed else b"250-"

    async def heard(self) -> bytes | None:
        """As `read`."""
        return await self.read(0.0)

    async def write(self, data: bytes, seconds: float) -> None:
        """Keep it."""
        self.written += data

    async def finish(self) -> None:
        """Let the peer close."""
        self.closed = True

    def close(self) -> None:
        """Close it."""
        self.closed = True

    def shield(self) -> contextlib.AbstractContextManager[object]:
        """Nothing is cancelled."""
        return contextlib.nullcontext()


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by a second whenever it is looked at."""
    now = iter(range(10**6))
    for module in ("client", "server"):
        monkeypatch.setattr(f"smtp821.{module}.monotonic", lambda: next(now))


class Client(AsyncClient):
    """A client of a Wire that is there already."""

    wire: Wire

    async def _connect(self, host: str, port: int, tls: ssl.SSLContext | None) -> Wire:
        return self.wire

    async def _in_thread(self, function: Callable[..., str], *arguments: Any) -> str:
        return function(*arguments)


def test_a_reply_line_without_end() -> None:
    """RFC 1123 5.3.2: a reply has to be complete in its time, however much of it comes."""
    client = Client(helo="a.example", timeouts=Timeouts.all(10))
    client.wire = wire = Flooded()
    with pytest.raises(TimeoutError, match="no greeting in 10 seconds"):
        run(client.open())
    assert wire.closed
    assert 5 < wire.reads < 15


def test_a_command_line_without_end() -> None:
    """RFC 1123 5.3.2: a client has its time for the next command, whatever it sends meanwhile."""
    ended: list[Closed] = []

    class Listening(Handler):
        def closed(self, event: Closed) -> None:
            ended.append(event)

    async def in_turn(*_: object) -> None:
        raise AssertionError

    wire = Flooded()
    conversation = Conversation(Listening("peer"), Receiver("a.example"))
    run(converse(wire, conversation, Timeouts.all(10), in_turn))
    assert wire.written.endswith(f"\r\n421 a.example {IDLE}\r\n".encode())
    assert ended == [Closed()]
    assert 5 < wire.reads < 15
