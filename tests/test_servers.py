"""The client of each adapter, and servers that other people wrote: what it says, and what arrives.

Each server is one for the module: every message has a mark of its own, by which it is found.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

import pytest

from smtp821 import Delivery, Help, Mail, Noop, Rcpt, Rset, Status, Vrfy

from .black_box import Client, every_adapter, with_client
from .programs import Postfix, free_port, listening, postfix, program

HARD: Final = (
    b"\r\n.\r\n..\r\n.x\r\n\r\n\r\n"
    + b"." * 998
    + b"\r\n"
    + b"x" * 998
    + b"\r\n From here\r\nFrom there\r\n \r\n\t\r\n.\r\n\r\n"
)
"""A body of dots, of empty lines, and of lines as long as they may be (4.5.2, 4.5.3)."""


class Server(Protocol):
    """A server that keeps what it takes for user@local.example and other@local.example."""

    port: int
    knows_nobody: bool
    """Whether it has a user "nobody"."""
    own: bytes
    """A pattern of what it puts before a message."""
    end: bytes
    """What it puts behind it."""

    def kept(self, mark: bytes, count: int) -> list[bytes]:
        """The files with this mark, once there are so many; they have the line ends they have."""


class InFolder:
    """A server that keeps each message in a file of a folder, and has it there when it says so."""

    knows_nobody = False
    own = end = b""

    def __init__(self, port: int, folder: Path) -> None:
        self.port, self._folder = port, folder

    def kept(self, mark: bytes, count: int) -> list[bytes]:
        """The files with this mark."""
        files = [path.read_bytes() for path in self._folder.iterdir()]
        return [file for file in files if mark in file]


class InSink(InFolder):
    """The one that knows everybody, and is not too exact about the end."""

    knows_nobody = True
    own = rb"(?:X-[\w-]+: .+\n)+Received: from here\.example .+\n(?:\t.+\n)+"
    end = b"\n"


class InMaildirs:
    """A Postfix, which delivers to Maildirs in its own time, and logs that it has."""

    knows_nobody = False
    own = (
        rb"Return-Path: <me@here\.example>\nX-Original-To: .+\nDelivered-To: .+\n"
        rb"Received: from here\.example .+\n(?:\t.+\n)+"
    )
    end = b""

    def __init__(self, port: int, running: Postfix) -> None:
        self.port, self._running = port, running

    def kept(self, mark: bytes, count: int) -> list[bytes]:
        """The files with this mark, once there are so many."""
        while len(found := self._found(mark)) < count:
            while (line := self._running.log.next()) is not None and "status=" not in line:
                pass
            assert line is not None, "postfix has ended"
            assert "status=sent" in line
        return found

    def _found(self, mark: bytes) -> list[bytes]:
        files = (self._running.folder / "mail").glob("*/new/*")
        return [data for data in (path.read_bytes() for path in files) if mark in data]


POSTFIX: Final = """\
virtual_mailbox_domains = local.example
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = inline:{{ user@local.example=user/, other@local.example=other/ }}
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_transport = virtual
mynetworks = 127.0.0.1
local_header_rewrite_clients =
strict_rfc821_envelopes = yes
smtpd_peername_lookup = no
"""


@contextlib.contextmanager
def running_postfix() -> Iterator[InMaildirs]:
    """A whole Postfix."""
    port = free_port()
    with postfix(POSTFIX, port) as running:
        mail = running.folder / "mail"
        mail.mkdir(mode=0o777)
        mail.chmod(0o777)
        yield InMaildirs(port, running)


@contextlib.contextmanager
def running_aiosmtpd(folder: Path) -> Iterator[InFolder]:
    """An aiosmtpd."""
    (folder / "mail").mkdir()

    def command(port: int) -> list[str]:
        keeper = ("-c", "tests.keeper.Keeper", f"{folder}/mail")
        return [sys.executable, "-m", "aiosmtpd", "-n", "-l", f"127.0.0.1:{port}", *keeper]

    with listening(command, folder) as port:
        yield InFolder(port, folder / "mail")


@contextlib.contextmanager
def running_sink(folder: Path, *options: str) -> Iterator[InSink]:
    """An smtp-sink."""
    sink = program("smtp-sink")
    (folder / "mail").mkdir()

    user = ("-u", "root") if hasattr(os, "geteuid") and os.geteuid() == 0 else ()

    def command(port: int) -> list[str]:
        return [sink, *options, *user, "-d", f"{folder}/mail/", f"127.0.0.1:{port}", "9"]

    with listening(command, folder) as port:
        yield InSink(port, folder / "mail")


@pytest.fixture(scope="module", params=["smtp-sink", "aiosmtpd", "postfix"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Each of the servers."""
    folder = tmp_path_factory.mktemp("server")
    if request.param == "postfix":
        with running_postfix() as running:
            yield running
    elif request.param == "aiosmtpd":
        with running_aiosmtpd(folder) as running:
            yield running
    else:
        with running_sink(folder) as running:
            yield running


def mark() -> bytes:
    """A head that no other message has."""
    return b"Subject: %s\r\n" % uuid.uuid4().hex.encode()


def bodies(server: Server, head: bytes, count: int) -> list[bytes]:
    """What was kept of each message with this head: what is behind it, with lines in CRLF.

    Nothing but the server's own lines may stand before it.
    """
    subject = head.strip()
    found = []
    for kept in server.kept(subject, count):
        before, _, behind = kept.replace(b"\r\n", b"\n").partition(subject + b"\n")
        assert re.fullmatch(server.own, before), before
        assert behind.endswith(server.end)
        found.append(behind.removesuffix(server.end).replace(b"\n", b"\r\n"))
    assert len(found) == count
    return found


@every_adapter
def test_a_hard_message(server: Server, adapter: str) -> None:
    """2, 4.5.2: of three recipients one is refused; the others get the message to the octet."""
    head, said = mark(), list[str]()
    paths = ["<user@local.example>", "<nobody@local.example>", "<other@local.example>"]

    async def script(client: Client) -> Delivery:
        return await client.send("<me@here.example>", paths, head + HARD)

    delivery = with_client(adapter, script, port=server.port, transcript=said.append)
    accepted, refused = Status.ACCEPTED, Status.PERMANENT
    statuses = [recipient.status for recipient in delivery.recipients]
    assert statuses == [accepted, accepted if server.knows_nobody else refused, accepted]
    if not server.knows_nobody:
        reply = delivery.recipients[1].reply
        assert reply is not None
        assert reply.code == 550
    copies = 2 if isinstance(server, InMaildirs) else 1
    assert bodies(server, head, copies) == [HARD] * copies
    codes = [line[3:6] for line in said if line.startswith("R: ") and line[6] == " "]
    rcpt = "250" if server.knows_nobody else "550"
    assert codes == ["220", "250", "250", "250", rcpt, "250", "354", "250", "221"]
    assert said[-2] == "S: QUIT"


@every_adapter
def test_many_messages(server: Server, adapter: str) -> None:
    """3.1: fifty messages over one connection, each of them is there."""
    head = mark()

    async def script(client: Client) -> None:
        for number in range(50):
            message = head + b"\r\nThis is %d.\r\n" % number
            delivery = await client.send("<me@here.example>", ["<user@local.example>"], message)
            assert delivery.status is Status.ACCEPTED

    with_client(adapter, script, port=server.port)
    expected = [b"\r\nThis is %d.\r\n" % number for number in range(50)]
    assert sorted(bodies(server, head, 50)) == sorted(expected)


@every_adapter
def test_a_large_message(server: Server, adapter: str) -> None:
    """4.5.2: two million octets, a quarter of whose lines begin with a dot."""
    head = mark()
    lines = b"\r\n" + (b"." + b"x" * 77 + b"\r\n" + (b"y" * 78 + b"\r\n") * 3) * 6250

    async def script(client: Client) -> Delivery:
        return await client.send("<me@here.example>", ["<user@local.example>"], head + lines)

    assert with_client(adapter, script, port=server.port).status is Status.ACCEPTED
    assert bodies(server, head, 1) == [lines]


@every_adapter
def test_other_commands(server: Server, adapter: str) -> None:
    """4.1.1: what is no transaction is answered, and a transaction that was aborted leaves none."""
    head = mark()

    async def script(client: Client) -> list[int]:
        commands = (
            Noop(),
            Mail("<you@here.example>"),
            Rcpt("<user@local.example>"),
            Rset(),
            Vrfy("user"),
            Help(),
        )
        codes = [(await client.command(command)).code for command in commands]
        await client.send("<me@here.example>", ["<user@local.example>"], head + b"\r\nend\r\n")
        return codes

    *codes, verified, helped = with_client(adapter, script, port=server.port)
    assert codes == [250, 250, 250, 250]
    assert verified in (250, 252)
    assert helped in (214, 250, 500, 502)
    assert bodies(server, head, 1) == [b"\r\nend\r\n"]


@every_adapter
@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        (("-f", "RCPT"), Status.PERMANENT, 500),
        (("-r", "RCPT"), Status.TEMPORARY, 450),
        (("-f", "DATA"), Status.PERMANENT, 500),
        (("-r", "."), Status.TEMPORARY, 450),
        (("-r", "MAIL"), Status.TEMPORARY, 450),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_a_server_that_refuses(
    options: tuple[str, ...], status: Status, code: int, adapter: str, tmp_path: Path
) -> None:
    """4.3, Appendix E: what is refused, wherever that is, is so for all recipients; then QUIT."""
    said: list[str] = []

    async def script(client: Client) -> Delivery:
        paths = ["<user@local.example>", "<other@local.example>"]
        return await client.send("<me@here.example>", paths, mark())

    with running_sink(tmp_path, *options) as sink:
        delivery = with_client(adapter, script, port=sink.port, transcript=said.append)
    found = [(one.status, one.reply and one.reply.code) for one in delivery.recipients]
    assert found == [(status, code)] * 2
    assert said[-2:] == ["S: QUIT", "R: 221 Bye"]


@every_adapter
@pytest.mark.parametrize(
    ("options", "reply"),
    [(("-q", "RCPT"), None), (("-Q", "RCPT"), 421), (("-q", "."), None), (("-Q", "."), 421)],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_a_server_that_hangs_up(
    options: tuple[str, ...], reply: int | None, adapter: str, tmp_path: Path
) -> None:
    """4.3: a connection that ends without an answer, or with 421, is a temporary failure."""

    async def script(client: Client) -> Delivery:
        return await client.send("<me@here.example>", ["<user@local.example>"], mark())

    with running_sink(tmp_path, *options) as sink:
        (found,) = with_client(adapter, script, port=sink.port).recipients
    assert (found.status, found.reply and found.reply.code) == (Status.TEMPORARY, reply)
