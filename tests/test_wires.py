"""What the Wires of the adapters meet seldom: sockets that only seem ready, or that are full."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import trio

from smtp821 import asyncio as on_asyncio
from smtp821 import sockets as on_sockets
from smtp821 import trio as on_trio
from smtp821.wire import READ, run

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """The two ends of a connection."""
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def fill(wire: Any) -> None:
    """Write until nothing more is taken."""
    while wire._send(bytes(READ)):
        pass


def test_a_socket_that_only_seemed_readable(ends: Ends) -> None:
    """Blocking sockets: it is waited for again, and no session is lost by it."""
    wire = on_sockets._Wire(ends[0])
    answers = iter([True, False])
    wire._readable = lambda seconds: next(answers)
    with pytest.raises(TimeoutError):
        run(wire.read(1.0))
    ends[1].send(b"220 ready\r\n")
    wire._readable = lambda seconds: True
    assert run(wire.read(1.0)) == b"220 ready\r\n"


def test_a_socket_that_only_seemed_readable_on_trio(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    """trio: the same."""
    looks = []

    async def wait_readable(sock: socket.socket) -> None:
        looks.append(sock)
        if len(looks) == 2:
            ends[1].send(b"220 ready\r\n")
        await trio.lowlevel.checkpoint()

    async def read() -> bytes:
        wire = on_trio._Wire(ends[0])
        monkeypatch.setattr(trio.lowlevel, "wait_readable", wait_readable)
        return await wire.read(60.0)

    assert trio.run(read) == b"220 ready\r\n"
    assert looks == [ends[0]] * 2


@pytest.mark.parametrize("adapter", [on_sockets, on_trio])
def test_a_socket_that_is_full(adapter: Any, ends: Ends) -> None:
    """Nothing is written then, and that is no error."""
    wire = adapter._Wire(ends[0])
    fill(wire)
    assert wire._send(b"x") == 0


def test_a_system_without_poll(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocking sockets: `select` does instead, for reading and for writing."""
    monkeypatch.delattr(select, "poll")
    readable = on_sockets._waiting_for(ends[0], reading=True)
    writable = on_sockets._waiting_for(ends[0], reading=False)
    assert not readable(0)
    assert writable(0)
    ends[1].send(b"x")
    assert readable(60.0)
    ends[0].setblocking(False)
    fill(on_sockets._Wire(ends[0]))
    assert not writable(0)


def test_the_stream_below_tls_is_the_one_that_it_was_given() -> None:
    """trio: waiting for room, and closing, are left to it."""

    async def use() -> list[str]:
        calls = []

        class Stream:
            async def wait_send_all_might_not_block(self) -> None:
                calls.append("wait")

            async def aclose(self) -> None:
                calls.append("close")

        below = on_trio._Below(Stream())  # type: ignore[arg-type]
        await below.wait_send_all_might_not_block()
        await below.aclose()
        return calls

    assert trio.run(use) == ["wait", "close"]


class Transport(asyncio.Transport):
    """Remembers whether it reads."""

    reads = True

    def pause_reading(self) -> None:
        """Read no more."""
        self.reads = False

    def resume_reading(self) -> None:
        """Read on."""
        self.reads = True


def test_what_nobody_reads_stops_the_reading() -> None:
    """asyncio: more than one read is not gathered; once it is read, reading goes on."""

    async def gather() -> tuple[list[bool], bytes]:
        wire, transport = on_asyncio._Wire(), Transport()
        wire.connection_made(transport)
        reads = []
        for size in (READ, 1):
            wire.get_buffer(-1)[:size] = b"x" * size
            wire.buffer_updated(size)
            reads.append(transport.reads)
        data = await wire.read(60.0)
        waiting = asyncio.ensure_future(wire.read(60.0))
        await asyncio.sleep(0)
        reads.append(transport.reads)
        wire.get_buffer(-1)[:1] = b"y"
        wire.buffer_updated(1)
        return reads, data + await waiting

    reads, data = asyncio.run(gather())
    assert reads == [True, False, True]
    assert data == b"x" * (READ + 1) + b"y"
