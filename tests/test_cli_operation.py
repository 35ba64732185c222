"""How `serve` and `send` run: on each adapter, in several processes, within bounds, over TLS."""

from __future__ import annotations

import os
import signal
import smtplib
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from smtp821.__main__ import main

from .serving import TIMEOUT, Peer, Serving, deliver, on_posix, peer_of, serving

ADAPTERS: Final = ("sockets", "asyncio", "trio")
HERE: Final = Path(__file__).parent / "data" / "tls"
CERTIFICATE: Final = str(HERE / "certificate.pem")
KEY: Final = str(HERE / "key.pem")
LETTER: Final = b"Subject: hello\r\n\r\nHello.\r\n"


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> str:
    """Each of the adapters."""
    name: str = request.param
    return name


@pytest.fixture
def letter(tmp_path: Path) -> str:
    """A message in a file."""
    path = tmp_path / "letter"
    path.write_bytes(LETTER.replace(b"\r\n", b"\n"))
    return str(path)


def send(server: Serving, *arguments: str) -> int:
    """Send from here to a user there; gives the exit status."""
    to_user = ("--from", "me@here.example", "--to", "user@localhost", "--helo", "here.example")
    where = ("--host", "localhost", "--port", str(server.port))
    return main(["send", *where, *to_user, *arguments])


# Each adapter.


@on_posix()
def test_each_adapter(adapter: str, tmp_path: Path, letter: str) -> None:
    """The same server, and the same client, whatever they run on; Ctrl-C stops it in order."""
    with serving("--adapter", adapter, folder=tmp_path) as server:
        assert send(server, "--adapter", adapter, letter) == 0
        with peer_of(server) as peer:
            assert deliver(peer, LETTER, b"<user@localhost>")[:4] == b"250 "
            server.signal(signal.SIGINT)
            assert peer.reply()[:4] == b"421 "
        assert server.ended() == 0
        assert len(server.stored()) == 2
        assert server.errors.rest()[1:] == ["stopping: the mail in hand is finished first"]


@on_posix()
def test_the_mail_in_hand_is_finished(adapter: str, tmp_path: Path) -> None:
    """4.2.1: a transaction that has begun goes to its end; who comes meanwhile is told 421."""
    with serving("--adapter", adapter, folder=tmp_path) as server, peer_of(server) as busy:
        busy.dialogue((b"MAIL FROM:<me@here.example>", 250), (b"RCPT TO:<user@localhost>", 250))
        with peer_of(server) as idle:
            server.signal(signal.SIGTERM)
            assert idle.reply()[:4] == b"421 "
        with Peer(server.host, server.port) as late:
            assert late.reply()[:4] == b"421 "
        busy.dialogue((b"DATA", 354))
        assert busy.ask(LETTER + b".")[:4] == b"250 "
        assert busy.reply()[:4] == b"421 "
        busy.close()
        assert server.ended() == 0
        assert len(server.stored()) == 1


@on_posix()
@pytest.mark.parametrize("in_hand", [False, True])
def test_the_grace(adapter: str, in_hand: bool, tmp_path: Path) -> None:
    """A transaction that does not end within --grace is told 421 too."""
    arguments = ("--adapter", adapter, "--grace", "0.05")
    with serving(*arguments, folder=tmp_path) as server, peer_of(server) as busy:
        if in_hand:
            busy.dialogue((b"MAIL FROM:<me@here.example>", 250))
        server.signal(signal.SIGTERM)
        assert busy.reply()[:4] == b"421 "
        busy.close()
        assert server.ended() == 0


@on_posix()
def test_a_second_signal(adapter: str, tmp_path: Path) -> None:
    """A second signal ends it at once, be there mail in hand."""
    with serving("--adapter", adapter, folder=tmp_path) as server, peer_of(server) as busy:
        busy.dialogue((b"MAIL FROM:<me@here.example>", 250))
        server.signal(signal.SIGTERM)
        assert server.errors.until("stopping: the mail in hand is finished first")
        server.signal(signal.SIGTERM)
        assert server.ended() == -signal.SIGTERM


def test_trio_is_not_there(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    letter: str) -> None:  # fmt: skip
    """What an adapter needs is asked for only when it is chosen, and missed in one line."""
    monkeypatch.setitem(sys.modules, "trio", None)
    monkeypatch.delitem(sys.modules, "smtp821.trio", raising=False)
    arguments = ["send", "--from", "a@b", "--to", "c@d", "--adapter", "trio", letter]
    assert main(arguments) == 2
    assert capsys.readouterr().err == "smtp821 send: --adapter trio needs the package trio\n"


# Bounds.


@pytest.mark.parametrize(
    ("bound", "dialogue"),
    [
        (
            ("--recipients", "1"),
            [
                (b"MAIL FROM:<me@here.example>", 250),
                (b"RCPT TO:<user@localhost>", 250),
                (b"RCPT TO:<other@localhost>", 552),
            ],
        ),
        (
            ("--size", "10"),
            [
                (b"MAIL FROM:<me@here.example>", 250),
                (b"RCPT TO:<user@localhost>", 250),
                (b"DATA", 354),
                (b"twelve octets\r\n.", 552),
                (b"NOOP", 250),
            ],
        ),
        (("--errors", "2"), [(b"what?", 500), (b"what?", 500), (b"what?", 421)]),
    ],
)
def test_bounds(
    bound: tuple[str, str], dialogue: list[tuple[bytes, int]], adapter: str, tmp_path: Path
) -> None:
    """What is over a bound has its reply (4.5.3, RFC 5321 4.3.2)."""
    with serving("--adapter", adapter, *bound, folder=tmp_path) as server:
        for _ in range(2):  # the second session has its own count
            with peer_of(server) as peer:
                peer.dialogue(*dialogue)


def test_connections(adapter: str, tmp_path: Path) -> None:
    """One too many, in all or from one address, is told 421 (4.2.1)."""
    for bound in ("--connections", "--per-peer"):
        with (
            serving("--adapter", adapter, bound, "1", folder=tmp_path) as server,
            peer_of(server),
            Peer(server.host, server.port) as late,
        ):
            assert late.reply()[:34] == b"421 localhost Too many connections"
            assert late.reply() == b""


# TLS.


def test_tls(adapter: str, tmp_path: Path, letter: str) -> None:
    """TLS from the first octet on; neither protocol nor result changes."""
    tls = ("--tls-certificate", CERTIFICATE, "--tls-key", KEY)
    with serving("--adapter", adapter, *tls, folder=tmp_path) as server:
        assert send(server, "--adapter", adapter, "--tls", "--tls-ca", CERTIFICATE, letter) == 0
        trust = ssl.create_default_context(cafile=CERTIFICATE)
        with smtplib.SMTP_SSL("localhost", server.port, "me", context=trust) as client:
            client.sendmail("me@here.example", "user@localhost", LETTER)
        assert send(server, "--adapter", adapter, "--tls", letter) == 2  # nobody vouches for it
        assert len(server.stored()) == 2


@pytest.mark.parametrize("command", ["serve", "send"])
def test_a_certificate_that_is_none(
    command: str, letter: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """It is said before anything begins; no folder is made."""
    monkeypatch.chdir(tmp_path)
    paths = ["--from", "a@b", "--to", "c@d", "--tls", "--tls-ca", letter, letter]
    arguments = {"serve": ["--port", "0", "--tls-certificate", letter], "send": paths}[command]
    assert main([command, *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"smtp821 {command}: cannot use {letter}: ")
    assert [path.name for path in tmp_path.iterdir()] == ["letter"]


# Workers.


def children(process: int) -> list[int]:
    """The processes that a process has begun."""
    task = Path(f"/proc/{process}/task/{process}/children")
    if not task.exists():
        pytest.skip("the system does not say which processes a process has begun")
    return [int(child) for child in task.read_text("ascii").split()]


@on_posix()
def test_workers(adapter: str, tmp_path: Path) -> None:
    """Several processes take mail at one port; each finishes what it has in hand."""
    with serving("--adapter", adapter, "--workers", "3", folder=tmp_path) as server:
        assert len(children(server.process.pid)) == 3
        peers = [Peer(server.host, server.port) for _ in range(12)]
        for peer in peers:
            assert peer.reply()[:4] == b"220 "
            peer.dialogue(
                (b"HELO here.example", 250),
                (b"MAIL FROM:<me@here.example>", 250),
                (b"RCPT TO:<user@localhost>", 250),
            )
        server.signal(signal.SIGTERM)
        assert server.errors.until("stopping: the mail in hand is finished first")
        for peer in peers:
            peer.dialogue((b"DATA", 354))
            assert peer.ask(LETTER + b".")[:4] == b"250 "
            assert peer.reply()[:4] == b"421 "
            peer.close()
        assert server.ended() == 0
        assert len(server.stored()) == 12


@on_posix()
def test_workers_and_a_second_signal(tmp_path: Path) -> None:
    """A second signal ends them all at once."""
    with serving("--workers", "2", folder=tmp_path) as server, peer_of(server) as busy:
        busy.dialogue((b"MAIL FROM:<me@here.example>", 250))
        server.signal(signal.SIGINT)
        assert server.errors.until("stopping: the mail in hand is finished first")
        server.signal(signal.SIGINT)
        assert server.ended() == 0
        assert busy.reply() == b""


@on_posix()
def test_workers_that_are_slow_and_a_second_signal(tmp_path: Path) -> None:
    """It ends them also where the first has not reached them yet."""
    with serving("--workers", "2", folder=tmp_path) as server:
        for worker in children(server.process.pid):
            os.kill(worker, signal.SIGSTOP)
        server.signal(signal.SIGTERM)
        assert server.errors.until("stopping: the mail in hand is finished first")
        server.signal(signal.SIGTERM)
        assert server.ended() == 0


@on_posix()
def test_a_worker_whose_parent_is_killed(tmp_path: Path) -> None:
    """It does not serve on by itself: it stops as if it had been told."""
    with serving("--workers", "2", folder=tmp_path) as server, peer_of(server) as peer:
        server.process.kill()
        assert peer.reply()[:4] == b"421 "


@on_posix()
def test_a_worker_that_is_killed(tmp_path: Path) -> None:
    """Another takes its place."""
    with serving("--workers", "2", folder=tmp_path) as server:
        first = children(server.process.pid)
        for worker in first:
            os.kill(worker, signal.SIGKILL)
            assert server.errors.until(f"worker {worker} has ended by itself")
        with peer_of(server) as peer:
            assert deliver(peer, LETTER, b"<user@localhost>")[:4] == b"250 "
        assert not set(first) & set(children(server.process.pid))
        assert server.stop() == 0


@on_posix()
def test_a_worker_that_cannot_go_on() -> None:
    """All is given up, with status 1."""
    program = (
        "from smtp821.cli.workers import supervise\n"
        "def work(signalled):\n"
        "    raise OSError('no disk')\n"
        "print(supervise(2, work, lambda: None, lambda: None))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=TIMEOUT, check=True
    )
    assert run.stdout == "1\n"
    assert "OSError('no disk')" in run.stderr
