"""Servers that are killed under load, or have no room: mail that was answered 250 is there.

Several clients send at once, and note the number of each message when its 250 has come; at the
n-th the server is killed, in the thread that read it. What a client was not told of may be there or
not; but what is there is whole.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from smtp821 import SMTPError, Status
from smtp821.sockets import Client
from smtp821.timeouts import Timeouts

from .black_box import every_adapter
from .serving import TIMEOUT, Peer, Serving, deliver, on_posix, peer_of, serving
from .test_cli_operation import children

CLIENTS: Final = 6
USERS: Final = ("<user@localhost>", "<other@localhost>")
LINES: Final = 1000  # of a message: enough for several writes of the file
MESSAGE: Final = re.compile(
    rb"Return-Path: <me@here\.example>\nReceived: from here\.example by localhost .+\n"
    rb"Subject: (\d+)\n\n((?:\1: and so on, to the end of the line\n)*)end of \1\n"
)


def message(number: int) -> bytes:
    """A message that says in each line which one it is."""
    line = b"%d: and so on, to the end of the line\r\n" % number
    return b"Subject: %d\r\n\r\n" % number + line * LINES + b"end of %d\r\n" % number


class Load:
    """Clients that send without an end, each message to two users, until there is no server.

    confirmed: the numbers of the messages that were answered 250.
    """

    def __init__(self, server: Serving) -> None:
        self._server = server
        self._lock = threading.Lock()
        self._number = 0
        self._plan: dict[int, Callable[[], object]] = {}
        self._over = threading.Event()
        self._failures: list[BaseException] = []
        self.confirmed: list[int] = []

    def at(self, count: int, action: Callable[[], object]) -> None:
        """When so many were confirmed, do this."""
        self._plan[count] = action

    def run(self, count: int, last: Callable[[], object]) -> None:
        """Send until so many were confirmed and this was done, which ends the server."""

        def end() -> None:
            self._over.set()
            last()

        self.at(count, end)
        threads = [threading.Thread(target=self._client, daemon=True) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIMEOUT)
            assert not thread.is_alive()
        assert not self._failures
        assert self._over.is_set()

    def _client(self) -> None:
        try:
            while not self._over.is_set():
                with contextlib.suppress(OSError, SMTPError):
                    self._session()
        except BaseException as failure:
            self._failures.append(failure)
            self._over.set()

    def _session(self) -> None:
        """Send until the connection is lost."""
        times = Timeouts.all(TIMEOUT)
        port = self._server.port
        with Client(self._server.host, port, helo="here.example", timeouts=times) as client:
            status = Status.ACCEPTED
            while status is Status.ACCEPTED:
                with self._lock:
                    self._number += 1
                    number = self._number
                status = client.send("<me@here.example>", USERS, message(number)).status
                if status is Status.ACCEPTED:
                    self._confirm(number)
            assert status is Status.TEMPORARY

    def _confirm(self, number: int) -> None:
        with self._lock:
            self.confirmed.append(number)
            if action := self._plan.get(len(self.confirmed)):
                action()


def numbers(server: Serving, mailbox: str) -> list[int]:
    """The messages in a mailbox, every one of which must be whole."""
    found = []
    for stored in server.stored(mailbox):
        match = MESSAGE.fullmatch(stored)
        assert match, stored
        assert match[2].count(b"\n") == LINES
        found.append(int(match[1]))
    return found


def nothing_is_missing(load: Load, server: Serving) -> None:
    """See that what was confirmed is there, for each user; and nothing is there twice."""
    for mailbox in ("user", "other"):
        found = numbers(server, mailbox)
        assert len(set(found)) == len(found)
        assert set(load.confirmed) <= set(found)


@on_posix()
@every_adapter
@pytest.mark.parametrize("count", [1, 20, 75])
def test_a_server_that_is_killed(adapter: str, count: int, tmp_path: Path) -> None:
    """4.1.1 DATA: kill -9 at the n-th 250; each message that was taken is whole, and there once."""
    with serving("--adapter", adapter, folder=tmp_path) as server:
        load = Load(server)
        load.run(count, server.process.kill)
        assert server.ended() == -signal.SIGKILL
        assert len(load.confirmed) >= count
        nothing_is_missing(load, server)


@on_posix()
@every_adapter
def test_workers_that_are_killed(adapter: str, tmp_path: Path) -> None:
    """4.1.1 DATA: the same with workers, killed one by one and replaced, at last all at once."""
    with serving("--adapter", adapter, "--workers", "2", folder=tmp_path) as server:
        parent = server.process.pid
        killed = children(parent)

        def kill_one() -> None:
            killed.append(children(parent)[0])
            os.kill(killed[-1], signal.SIGKILL)

        def kill_all() -> None:
            workers = children(parent)
            server.process.kill()
            for worker in workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)

        load = Load(server)
        load.at(10, kill_one)
        load.at(30, kill_one)
        load.at(50, kill_one)
        load.run(70, kill_all)
        assert server.ended() == -signal.SIGKILL
        for worker in killed[2:]:
            assert server.errors.until(f"worker {worker} has ended by itself")
        nothing_is_missing(load, server)


# No room, and nobody there.


def limit(server: Serving, name: str, count: int) -> None:
    """Set a limit of a running server."""
    resource = pytest.importorskip("resource", reason="there are no limits here")
    if not hasattr(resource, "prlimit"):
        pytest.skip("no process can limit another here")
    resource.prlimit(server.process.pid, getattr(resource, name), (count, count))


@on_posix()
@every_adapter
def test_no_descriptors(adapter: str, tmp_path: Path) -> None:
    """4.2.1: who comes meanwhile waits for a place; a message that cannot be kept is told 451."""
    failure = "smtp821: cannot take a connection: [Errno 24] Too many open files"
    with serving("--adapter", adapter, folder=tmp_path) as server, contextlib.ExitStack() as stack:
        with peer_of(server) as first:
            used = list(Path(f"/proc/{server.process.pid}/fd").iterdir())
            limit(server, "RLIMIT_NOFILE", len(used) + 4)
            peers = [stack.enter_context(Peer(server.host, server.port)) for _ in range(20)]
            server.errors.until(failure)
            first.dialogue(
                (b"MAIL FROM:<me@here.example>", 250),
                (b"RCPT TO:<user@localhost>", 250),
                (b"DATA", 451),
            )
        for peer in peers:
            assert peer.reply()[:4] == b"220 "
            peer.close()
        with peer_of(server) as peer:
            assert (
                deliver(peer, message(1), b"<user@localhost>", b"<other@localhost>")[:3] == b"250"
            )
        assert server.stop() == 0
        kept = "smtp821: a message could not be stored: [Errno 24] Too many open files: "
        printed = [line for line in server.errors.rest() if not line.startswith(kept)]
        assert set(printed) - {failure} == {"stopping: the mail in hand is finished first"}
        assert numbers(server, "user") == [1]


@on_posix()
@every_adapter
def test_no_space(adapter: str, tmp_path: Path) -> None:
    """4.3: a message that the disk does not take is told 451, and leaves nothing; others go on."""
    too_large = (b"x" * 70 + b"\r\n") * 2000
    with serving("--adapter", adapter, folder=tmp_path) as server, peer_of(server) as peer:
        limit(server, "RLIMIT_FSIZE", 100_000)
        for number in range(3):
            assert deliver(peer, too_large, b"<user@localhost>", b"<other@localhost>")[:3] == b"451"
            assert len(list(server.maildir.glob("*/*/*"))) == 2 * number
            reply = deliver(peer, message(number), b"<user@localhost>", b"<other@localhost>")
            assert reply[:3] == b"250"
        assert sorted(numbers(server, "user")) == sorted(numbers(server, "other")) == [0, 1, 2]


@on_posix()
@every_adapter
def test_peers_that_are_gone(adapter: str, tmp_path: Path) -> None:
    """Who breaks the connection before it is taken leaves no trace, and others are served."""
    with serving("--adapter", adapter, folder=tmp_path) as server:
        server.signal(signal.SIGSTOP)
        for said in (b"", b"HELO here.example\r\n") * 10:
            with socket.create_connection((server.host, server.port), TIMEOUT) as sock:
                sock.sendall(said)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        server.signal(signal.SIGCONT)
        with peer_of(server) as peer:
            peer.dialogue((b"QUIT", 221))
        assert server.stop() == 0
        assert server.errors.rest()[1:] == ["stopping: the mail in hand is finished first"]
