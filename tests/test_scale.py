"""Many connections at once, which say nothing, and mail that goes through beside them."""

from __future__ import annotations

import contextlib
import signal
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from smtp821 import Handler, Status
from smtp821.sockets import Client
from smtp821.timeouts import Timeouts

from .black_box import every_adapter, server_of
from .serving import TIMEOUT, Serving, on_posix, serving

SPARE: Final = 200  # descriptors for all else
BATCH: Final = 500  # connections that wait to be accepted: fewer than the backlog of `serve`
MESSAGES: Final = 20
GREETING: Final = b"220 localhost Simple Mail Transfer Service Ready\r\n"
FAREWELL: Final = b"421 localhost Service not available, closing transmission channel\r\n"


@contextlib.contextmanager
def descriptors(count: int) -> Iterator[None]:
    """Room for so many connections, in this process and those that it begins; or skip the test."""
    resource = pytest.importorskip("resource", reason="there are no limits of descriptors here")
    kind, wanted = resource.RLIMIT_NOFILE, count + SPARE
    before = soft, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"the system allows {hard} descriptors, and {wanted} are needed")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(kind, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(kind, before)


@contextlib.contextmanager
def idle(server: Serving, count: int) -> Iterator[list[socket.socket]]:
    """So many connections, each of which has heard the greeting."""
    with contextlib.ExitStack() as stack:
        held: list[socket.socket] = []
        while len(held) < count:
            batch = [
                stack.enter_context(connected(server)) for _ in range(min(BATCH, count - len(held)))
            ]
            for sock in batch:
                hears(sock, GREETING)
            held += batch
        yield held


def connected(server: Serving) -> socket.socket:
    """A connection."""
    return socket.create_connection((server.host, server.port), TIMEOUT)


def hears(sock: socket.socket, text: bytes) -> None:
    """See that this comes next."""
    data = b""
    while len(data) < len(text) and (piece := sock.recv(len(text) - len(data))):
        data += piece
    assert data == text


def send(server: Serving) -> None:
    """Send some messages over a connection, for which the place is the last."""
    times = Timeouts.all(TIMEOUT)
    with Client(server.host, server.port, helo="here.example", timeouts=times) as client:
        for number in range(MESSAGES):
            message = b"Subject: %d\r\n\r\nend\r\n" % number
            delivery = client.send("<me@here.example>", ["<user@localhost>"], message)
            assert delivery.status is Status.ACCEPTED
        with connected(server) as one_too_many:
            hears(one_too_many, b"421 localhost Too many connections")


def each_hears_its_end(held: Sequence[socket.socket]) -> None:
    """Each connection is told 421, and that is all; it closes then, as it should."""
    for sock in held:
        hears(sock, FAREWELL)
        assert sock.recv(1) == b""
        sock.close()


@on_posix()
@pytest.mark.parametrize("adapter", ["asyncio", "trio"])
@pytest.mark.parametrize("count", [1000, 5000])
def test_idle_connections(count: int, adapter: str, tmp_path: Path) -> None:
    """4.2.1: mail goes through beside thousands that say nothing; all are told 421 in the end."""
    arguments = ("--adapter", adapter, "--connections", str(count + 1))
    with (
        descriptors(count),
        serving(*arguments, folder=tmp_path) as server,
        idle(server, count) as held,
    ):
        send(server)
        assert len(server.stored()) == MESSAGES
        server.signal(signal.SIGTERM)
        each_hears_its_end(held)
        assert server.ended() == 0


def places(listener: socket.socket) -> int:
    """How many connections may wait to be accepted, as Linux tells it (struct tcp_info)."""
    info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
    return int(struct.unpack("=28xI", info)[0])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the backlog")
@every_adapter
def test_the_backlog_of_a_listener(adapter: str) -> None:
    """A listener that is given keeps its places for those who wait: else they try for seconds."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        before = places(listener)
        with listener.dup() as same, server_of(adapter, Handler, domain="a.b", listener=listener):
            assert places(same) == before
