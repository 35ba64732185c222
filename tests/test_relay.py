"""examples/relay.py: mail goes by its route, once, whatever becomes of the process (3.6)."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path as File
from typing import Any, Final

import pytest

from examples import relay as program
from smtp821 import NULL_PATH, Data, Domain, EndOfData, Handler, Mail, MailData, Path, Quit, Rcpt
from smtp821.protocol.events import Closed
from smtp821.sockets import serve

from .adapters import only
from .peers import (
    BYE,
    GREETING,
    HELLO,
    NOT_AVAILABLE,
    OKAY,
    START,
    Catching,
    Exchange,
    Script,
    Wire,
    playing,
    turns,
)
from .serving import ENVIRONMENT, TIMEOUT, Peer, Serving, on_posix

pytestmark = on_posix()

COMMAND: Final = (sys.executable, program.__file__, "--port", "0")
SCENARIOS: Final[dict[int, Any]] = {
    scenario["scenario"]: scenario["sessions"]
    for scenario in json.loads(
        (File(__file__).parent / "data" / "scenarios.json").read_text("utf-8")
    )["scenarios"]
}
EMPTY: Final = "relay: the queue is empty"
TIME: Final = rb"\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}"
TEXT: Final = b"Subject: hello\r\n\r\nHello.\r\n"
AT_ONCE: Final = ("--delay", "0.001")


# A relay, those who give it mail, and the hosts it sends it to.


@contextlib.contextmanager
def relaying(
    domain: str, folder: File, *arguments: str, routes: Mapping[str, int] | None = None
) -> Iterator[Serving]:
    """A relay in a process of its own; in the end it is stopped, if it still runs.

    folder: for its queue and its mail; routes: the ports of other hosts.
    """
    ways = [f"--route={name}=127.0.0.1:{port}" for name, port in (routes or {}).items()]
    process = subprocess.Popen(
        [*COMMAND, "--domain", domain, "--folder", str(folder), *ways, *arguments],
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    server = Serving(process, folder / "mail")
    try:
        server.begin()
        yield server
        if process.poll() is None:
            assert server.stop() == 0  # its sessions end well
    finally:
        process.kill()
        server.ended()
        server.output.close()
        server.errors.close()


@contextlib.contextmanager
def refusing() -> Iterator[int]:
    """A port at which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def done(server: Serving) -> list[str]:
    """What a relay says until its queue is empty, which it says last."""
    *lines, _ = server.errors.until(EMPTY)
    return [line.removeprefix("relay: ") for line in lines]


def submit(
    server: Serving,
    reverse_path: str,
    *forward_paths: str,
    text: bytes = TEXT,
    answer: bytes = b"250",
) -> None:
    """Hand a message to a relay."""
    with Peer(server.host, server.port) as peer:
        assert peer.reply()[:4] == b"220 "
        peer.dialogue((b"HELO MIT-AI.ARPA", 250), (str(Mail(reverse_path)).encode(), 250))
        peer.dialogue(*((str(Rcpt(path)).encode(), 250) for path in forward_paths))
        peer.dialogue((b"DATA", 354))
        assert peer.ask(text.replace(b"\r\n.", b"\r\n..") + b".")[:3] == answer
        peer.dialogue((b"QUIT", 221))


def stamp(sender: str, receiver: str) -> bytes:
    """The pattern of a time stamp line."""
    return b"Received: from %b by %b with SMTP ; %b\r\n" % (
        re.escape(sender.encode()), re.escape(receiver.encode()), TIME,
    )  # fmt: skip


def at_next_host(relay: str, *steps: Exchange | Callable[[Wire], None]) -> Script:
    """A session at the next host of a relay, behind HELO and up to QUIT."""

    def script(wire: Wire) -> None:
        hello = f"HELO {relay}\r\n".encode(), HELLO
        for step in ((b"", GREETING), hello, *steps, (b"QUIT\r\n", BYE)):
            if callable(step):
                step(wire)
            else:
                wire.hears(step[0])
                wire.send(step[1])
        assert wire.rest() == b""

    return script


def mail(path: str) -> Exchange:
    """MAIL, which is answered 250."""
    return bytes(Mail(path)), OKAY


def rcpt(path: str, reply: bytes = OKAY) -> Exchange:
    """RCPT, and its answer."""
    return bytes(Rcpt(path)), reply


def data(pattern: bytes, reply: bytes = OKAY) -> Callable[[Wire], None]:
    """DATA and the message, which is to match a pattern, and its answer."""

    def take(wire: Wire) -> None:
        wire.hears(b"DATA\r\n")
        wire.send(START)
        message = wire.until(b"\r\n.\r\n")
        assert re.fullmatch(pattern + rb"\.\r\n", message), message
        wire.send(reply)

    return take


RESET: Final[Exchange] = (b"RSET\r\n", OKAY)
STAMPED: Final = stamp("MIT-AI.ARPA", "HOSTY.ARPA") + re.escape(TEXT)
BUSY: Final = b"450 Requested mail action not taken: mailbox unavailable\r\n"
NO_SUCH_USER: Final = b"550 No Such User\r\n"


# Appendix F.


@pytest.mark.clause("1-02", "3.6-08", "3.6-09")
def test_scenario_3(tmp_path: File) -> None:
    """Both sessions of the relay host, byte for byte but for the form of the time."""
    source, destination = SCENARIOS[3]
    lines = destination["wire_client_bytes"].encode().splitlines(keepends=True)
    assert (lines[0], lines[3], lines[4][:10]) == (
        b"HELO USC-ISIE.ARPA\r\n", b"DATA\r\n", b"Received: ",
    )  # fmt: skip
    text = stamp("MIT-AI.ARPA", "USC-ISIE.ARPA") + re.escape(b"".join(lines[5:-2]))
    script = at_next_host("USC-ISIE.ARPA", (lines[1], OKAY), (lines[2], OKAY), data(text))
    with (
        playing(script) as port,
        relaying("USC-ISIE.ARPA", tmp_path, routes={"BBN-VAX.ARPA": port}) as server,
        Peer(server.host, server.port) as peer,
    ):
        assert done(server) == []
        peer.send(source["wire_client_bytes"].encode())
        replies = b"".join(peer.reply() for _ in source["server_bytes"].splitlines())
        assert replies == source["server_bytes"].encode()
        assert done(server) == ["<Jones@BBN-VAX.ARPA>: accepted, 250 OK"]


@pytest.mark.clause("4.1.1.DATA-07")
@only("sockets")
@pytest.mark.usefixtures("adapter")
def test_scenario_7(tmp_path: File) -> None:
    """One message to seven mailboxes at as many hosts; to one of them by a second relay."""
    names = ["MIT-MC", "USC-ISIQA", "MIT-AI", "FOO-UNIX", "BAR-UNIX", "BBN-UNIX"]
    with Catching() as hosts:
        port = hosts.server.address[1]
        vax = {"ISI-VAXA.ARPA": port}
        with relaying("USC-ISIF.ARPA", tmp_path / "isif", routes=vax) as second:
            table = tmp_path / "hosts.toml"
            ports = {f"{name}.ARPA": port for name in names} | {"usc-isif.arpa": second.port}
            table.write_text("".join(f'"{h}" = "127.0.0.1:{p}"\n' for h, p in ports.items()))
            with relaying("USC-ISIE.ARPA", tmp_path / "isie", "--table", str(table)) as first:
                session = SCENARIOS[7][2]
                done(first)
                done(second)
                with Peer(first.host, first.port) as peer:
                    peer.send(session["wire_client_bytes"].encode())
                    replies = b"".join(peer.reply() for _ in session["server_bytes"].splitlines())
                    assert replies == session["server_bytes"].encode()
                assert len(done(first)) == 7
                assert done(second) == ["<Q-Smith@ISI-VAXA.ARPA>: accepted, 250 OK"]
        taken = [message for _ in range(7) for message in hosts.handler().messages]
        assert hosts.none_left()
    (last,) = (
        each for each in taken if each[0].forward_paths[0] == Path("<Q-Smith@ISI-VAXA.ARPA>")
    )
    assert last[0].reverse_path.text == (
        "<@USC-ISIF.ARPA,@USC-ISIE.ARPA:Account.Person@SU-SCORE.ARPA>"
    )
    text = stamp("SU-SCORE.ARPA", "USC-ISIE.ARPA") + re.escape(
        b"Blah blah blah...\r\n...etc. etc. etc.\r\n"
    )
    assert re.fullmatch(stamp("USC-ISIE.ARPA", "USC-ISIF.ARPA") + text, last[1])
    taken.remove(last)
    for envelope, message in taken:
        assert envelope.reverse_path.text == "<@USC-ISIE.ARPA:Account.Person@SU-SCORE.ARPA>"
        assert re.fullmatch(text, message)
    assert sorted(str(path) for envelope, _ in taken for path in envelope.forward_paths) == [
        "<ABC@MIT-MC.ARPA>", "<Fonebone@USC-ISIQA.ARPA>", "<XYZ@MIT-AI.ARPA>",
        "<fred@BBN-UNIX.ARPA>", "<joe@FOO-UNIX.ARPA>", "<xyz@BAR-UNIX.ARPA>",
    ]  # fmt: skip


# Mail for this host.


@pytest.mark.clause("4.1.1.DATA-08")
def test_mail_for_this_host(tmp_path: File) -> None:
    """It goes into Maildirs by all its names, with the lines of 4.1.1 DATA before it."""
    with relaying("HOSTY.ARPA", tmp_path, "--alias", "Y") as server:
        done(server)
        submit(
            server,
            "<@HOSTX.ARPA:JOE@HOSTW.ARPA>",
            "<Sam@HostY.arpa>",
            "<@HOSTY.ARPA:Bob@Y>",
            "<Postmaster>",
            "<Sam@HostY.arpa>",  # twice named is once a recipient
        )
        paths = ("Sam@HostY.arpa", "Bob@Y", "Postmaster")
        assert done(server) == [f"<{path}>: accepted, in the mailbox" for path in paths]
        for user in ("sam", "bob", "postmaster"):
            (message,) = server.stored(user)
            assert re.fullmatch(
                b"Return-Path: <@HOSTX.ARPA:JOE@HOSTW.ARPA>\n"
                + STAMPED.replace(b"\r\n", b"\n").replace(re.escape(b"\r\n"), rb"\n"),
                message,
            )


@pytest.mark.clause("3.6-07", "4.1.1-03")
def test_a_mailbox_that_cannot_be(tmp_path: File) -> None:
    """A name that no folder can have is refused, here; elsewhere it may be one (4.1.1 RCPT)."""
    user = b"!" * 100
    with relaying("HOSTY.ARPA", tmp_path) as server, Peer(server.host, server.port) as peer:
        peer.reply()
        peer.dialogue((b"HELO x", 250), (b"MAIL FROM:<>", 250))
        peer.dialogue((b"RCPT TO:<%b@hosty.arpa>" % user, 553), (b"RCPT TO:<%b@x>" % user, 250))


@pytest.mark.clause("4.5.2-07")
@only("sockets")
@pytest.mark.usefixtures("adapter")
def test_a_large_message(tmp_path: File) -> None:
    """It comes out as it went in, wherever it was cut."""
    lines = b"".join(b"%d: %b\r\n" % (n, b"x" * (n % 97)) for n in range(40_000))
    text = b"Subject: large\r\n\r\n" + lines
    assert len(text) > 2 * program.IN_MEMORY
    with (
        Catching() as hosts,
        relaying("A", tmp_path, routes={"B": hosts.server.address[1]}) as server,
    ):
        done(server)
        submit(server, "<>", "<joe@A>", "<joe@B>", text=text)
        done(server)
        ((_, message),) = hosts.handler().messages
        assert message.endswith(b"\r\n" + text)
        (kept,) = server.stored("joe")
        assert kept == b"Return-Path: <>\n" + message.replace(b"\r\n", b"\n")


# Another attempt, or none.


@pytest.mark.clause("E-04")
def test_another_attempt(tmp_path: File) -> None:
    """A lost connection, and 4yz at any place: the same again later (Appendix E)."""
    paths = mail("<@HOSTY.ARPA:JOE@HOSTW.ARPA>"), rcpt("<SAM@HOSTZ.ARPA>")
    scripts = [
        turns((b"", NOT_AVAILABLE)),
        lambda wire: wire.send(GREETING[:10]),
        at_next_host("HOSTY.ARPA", paths[0], rcpt("<SAM@HOSTZ.ARPA>", BUSY), RESET),
        at_next_host("HOSTY.ARPA", *paths, data(STAMPED, b"451 a\r\n")),
        at_next_host("HOSTY.ARPA", *paths, data(STAMPED)),
    ]
    with (
        playing(*scripts) as port,
        relaying("HOSTY.ARPA", tmp_path, *AT_ONCE, routes={"HOSTZ.ARPA": port}) as server,
    ):
        done(server)
        submit(server, "<JOE@HOSTW.ARPA>", "<SAM@HOSTZ.ARPA>")
        results = [line.removeprefix("<SAM@HOSTZ.ARPA>: ") for line in done(server)]
        assert results[1].startswith("temporary, ")
        del results[1]
        assert results == [
            "temporary, " + NOT_AVAILABLE.decode().strip(),
            "temporary, " + BUSY.decode().strip(),
            "temporary, 451 a",
            "accepted, 250 OK",
        ]


def test_each_recipient_by_itself(tmp_path: File) -> None:
    """Who has the message does not get it again when another is tried again."""
    opening = mail("<@HOSTY.ARPA:JOE@HOSTW.ARPA>")
    scripts = [
        at_next_host("HOSTY.ARPA", opening, rcpt("<A@Z>"), rcpt("<B@Z>", BUSY), data(STAMPED)),
        at_next_host("HOSTY.ARPA", opening, rcpt("<B@Z>"), data(STAMPED)),
    ]
    with (
        playing(*scripts) as port,
        relaying("HOSTY.ARPA", tmp_path, *AT_ONCE, routes={"Z": port}) as server,
    ):
        done(server)
        submit(server, "<JOE@HOSTW.ARPA>", "<A@Z>", "<B@Z>")
        assert done(server) == [
            "<A@Z>: accepted, 250 OK",
            f"<B@Z>: temporary, {BUSY.decode().strip()}",
            "<B@Z>: accepted, 250 OK",
        ]


def notification(*lines: bytes) -> bytes:
    """The pattern of a notification of HOSTY to JOE, with these patterns of lines in it."""
    return b"".join(
        line + rb"\r\n"
        for line in (
            b"Date: " + TIME,
            rb"From: SMTP@HOSTY\.ARPA",
            rb"To: JOE@HOSTW\.ARPA",
            b"Subject: Mail System Problem",
            *lines,
            b"",
            b"  The header of your message:",
            b"",
            stamp("MIT-AI.ARPA", "HOSTY.ARPA").removesuffix(b"\r\n"),
            b"Subject: hello",
        )
    )


@pytest.mark.clause("3.6-10", "3.6-11", "4.1.1.DATA-11", "E-06")
def test_example_7(tmp_path: File) -> None:
    """5yz: JOE at HOSTW is told, by HOSTX, with a null reverse-path (3.6)."""
    told = notification(
        b"",
        rb"  Sorry JOE, your message to SAM@HOSTZ\.ARPA lost\.",
        rb"  HOSTZ\.ARPA said this:",
        b'   "550 No Such User"',
        b"",
        rb"  Sorry JOE, your message to BOB@HOSTZ\.ARPA lost\.",
        rb"  HOSTZ\.ARPA said this:",
        b'   "554-so',
        b'    554 there"',
    )
    refuses = at_next_host(
        "HOSTY.ARPA",
        mail("<@HOSTY.ARPA,@HOSTX.ARPA:JOE@HOSTW.ARPA>"),
        rcpt("<SAM@HOSTZ.ARPA>", NO_SUCH_USER),
        rcpt("<BOB@HOSTZ.ARPA>", b"554-so\r\n554 there\r\n"),
        RESET,
    )
    takes = at_next_host("HOSTY.ARPA", mail("<>"), rcpt("<@HOSTX.ARPA:JOE@HOSTW.ARPA>"), data(told))
    with (
        playing(refuses) as z,
        playing(takes) as x,
        relaying("HOSTY.ARPA", tmp_path, routes={"HOSTZ.ARPA": z, "HOSTX.ARPA": x}) as server,
    ):
        done(server)
        to = ("<@HOSTY.ARPA:SAM@HOSTZ.ARPA>", "<BOB@HOSTZ.ARPA>")
        submit(server, "<@HOSTX.ARPA:JOE@HOSTW.ARPA>", *to)
        assert done(server) == [
            "<SAM@HOSTZ.ARPA>: permanent, 550 No Such User",
            "<BOB@HOSTZ.ARPA>: permanent, 554 so there",
            "<@HOSTX.ARPA:JOE@HOSTW.ARPA>: accepted, 250 OK",
        ]


@pytest.mark.clause("4.1.1.DATA-10")
def test_some_have_it(tmp_path: File) -> None:
    """Kept for one and refused for another: 250, and a notification of the other (4.1.1 DATA)."""
    told = notification(
        b"",
        rb"  Sorry JOE, your message to SAM@HOSTZ\.ARPA lost\.",
        rb"  HOSTZ\.ARPA said this:",
        b'   "550 No Such User"',
    )
    opening = mail("<@HOSTY.ARPA:JOE@HOSTW.ARPA>")
    refuses = at_next_host("HOSTY.ARPA", opening, rcpt("<SAM@HOSTZ.ARPA>", NO_SUCH_USER), RESET)
    takes = at_next_host("HOSTY.ARPA", mail("<>"), rcpt("<JOE@HOSTW.ARPA>"), data(told))
    with playing(refuses) as z, playing(takes) as w:
        routes = {"HOSTZ.ARPA": z, "HOSTW.ARPA": w}
        with relaying("HOSTY.ARPA", tmp_path, routes=routes) as server:
            done(server)
            submit(server, "<JOE@HOSTW.ARPA>", "<BOB@HOSTY.ARPA>", "<SAM@HOSTZ.ARPA>")
            assert sorted(done(server)) == [
                "<BOB@HOSTY.ARPA>: accepted, in the mailbox",
                "<JOE@HOSTW.ARPA>: accepted, 250 OK",
                "<SAM@HOSTZ.ARPA>: permanent, 550 No Such User",
            ]
            assert len(server.stored("bob")) == 1


@pytest.mark.clause("3.6-10")
def test_giving_up(tmp_path: File) -> None:
    """What could not be sent for too long has failed, and its originator is told so (3.6)."""
    told = notification(
        b"",
        rb"  Sorry JOE, your message to SAM@HOSTZ\.ARPA lost\.",
        b"  This happened:",
        rb"   .*refused.* \(given up after 0 seconds\)",
        *(b"", rb"  Sorry JOE, your message to BOB@HOSTV\.ARPA lost\."),
        rb"  HOSTV\.ARPA said this:",
        b'   "450 later"',
    )
    failures = told.index(rb"\r\n\r\n  Sorry JOE, your message to BOB")
    rest = told.index(rb"\r\n\r\n  The header")
    one = told[:failures] + told[rest:]
    other = told[: told.index(rb"\r\n\r\n  Sorry")] + told[failures:]
    refuses = at_next_host(
        "HOSTY.ARPA", mail("<@HOSTY.ARPA:JOE@HOSTW.ARPA>"),
        rcpt("<BOB@HOSTV.ARPA>", b"450 later\r\n"), RESET,
    )  # fmt: skip
    either = b"(?:%b|%b)" % (one, other)
    session = at_next_host("HOSTY.ARPA", mail("<>"), rcpt("<JOE@HOSTW.ARPA>"), data(either))
    with refusing() as z, playing(refuses) as v, playing(session, session) as w:
        routes = {"HOSTZ.ARPA": z, "HOSTV.ARPA": v, "HOSTW.ARPA": w}
        with relaying("HOSTY.ARPA", tmp_path, "--give-up", "0", routes=routes) as server:
            done(server)
            submit(server, "<JOE@HOSTW.ARPA>", "<SAM@HOSTZ.ARPA>", "<BOB@HOSTV.ARPA>")
            results = sorted(done(server))
            assert results[0] == "<BOB@HOSTV.ARPA>: temporary, 450 later"
            assert results[1:3] == ["<JOE@HOSTW.ARPA>: accepted, 250 OK"] * 2


@pytest.mark.clause("3.6-12")
def test_no_notification_about_a_notification(tmp_path: File) -> None:
    """Nobody is told that a message with a null reverse-path has failed (3.6)."""
    refuses = at_next_host("HOSTY.ARPA", mail("<>"), rcpt("<SAM@Z>", NO_SUCH_USER), RESET)
    with playing(refuses) as port, relaying("HOSTY.ARPA", tmp_path, routes={"Z": port}) as server:
        done(server)
        submit(server, "<>", "<SAM@Z>")
        assert done(server) == [
            "a notification could not be delivered: it is dropped",
            "<SAM@Z>: permanent, 550 No Such User",
        ]


def test_an_originator_here(tmp_path: File) -> None:
    """The notification is put into a mailbox as any other mail."""
    refuses = at_next_host(
        "HOSTY.ARPA", mail("<@HOSTY.ARPA:JOE@Y>"), rcpt("<SAM@Z>", NO_SUCH_USER), RESET
    )
    arguments = ("--alias", "Y")
    with (
        playing(refuses) as port,
        relaying("HOSTY.ARPA", tmp_path, *arguments, routes={"Z": port}) as server,
    ):
        done(server)
        submit(server, "<JOE@Y>", "<SAM@Z>")
        done(server)
        (message,) = server.stored("joe")
        assert message.startswith(b"Return-Path: <>\nDate: ")
        assert b'\n  Z said this:\n   "550 No Such User"\n' in message


@pytest.mark.parametrize(("hosts", "answer"), [(29, b"250"), (30, b"554")])
def test_a_loop(tmp_path: File, hosts: int, answer: bytes) -> None:
    """A message that has been at more than 30 hosts with this one will see them all again."""
    text = b"received: from x by y ; z\r\n" * hosts + TEXT
    with relaying("HOSTY.ARPA", tmp_path) as server:
        submit(server, "<a@b>", "<joe@HOSTY.ARPA>", text=text, answer=answer)


# Stopping, and beginning again.


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping(tmp_path: File, number: int) -> None:
    """It ends with 0; what is in the queue is sent when it runs again."""
    with (
        refusing() as port,
        relaying("HOSTY.ARPA", tmp_path, *AT_ONCE, routes={"Z": port}) as server,
    ):
        done(server)
        submit(server, "<JOE@HOSTW.ARPA>", "<SAM@Z>")
        assert (server.errors.next() or "").startswith("relay: <SAM@Z>: temporary, ")
        server.signal(number)
        assert server.ended() == 0
        assert server.output.rest() == []
    paths = mail("<@HOSTY.ARPA:JOE@HOSTW.ARPA>"), rcpt("<SAM@Z>")
    session = at_next_host("HOSTY.ARPA", *paths, data(STAMPED))
    with playing(session) as port, relaying("HOSTY.ARPA", tmp_path, routes={"Z": port}) as server:
        assert done(server) == ["<SAM@Z>: accepted, 250 OK"]


def test_two_on_one_queue(tmp_path: File) -> None:
    """The second one does not begin: everything would be sent twice."""
    with relaying("HOSTY.ARPA", tmp_path) as server:
        done(server)
        other = subprocess.run(
            [*COMMAND, "--folder", str(tmp_path)],
            capture_output=True, timeout=TIMEOUT, check=False,
        )  # fmt: skip
        assert (other.returncode, other.stdout) == (2, b"")
        assert other.stderr == b"relay: cannot begin: database is locked\n"


@pytest.mark.parametrize(
    "argument",
    ["--domain=a b", "--route=x", "--route=a b=x:25", "--route=x=:25", "--table=nowhere.toml"],
)
def test_wrong_arguments(argument: str) -> None:
    """They are told of, without a traceback."""
    run = subprocess.run(
        [*COMMAND, argument],
        capture_output=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip
    assert run.returncode == 2
    assert b"error: argument --" in run.stderr
    assert b"Traceback" not in run.stderr


# Killed between any two steps of a delivery to a mailbox.


class Killed(BaseException):
    """The process is no more."""


class Steps:
    """What touches the disk in a delivery, counted; behind one of the steps all ends.

    last: the step that is done last, from 1; None: none is.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, last: int | None) -> None:
        self.taken = 0
        self._last = last
        for owner, name in (
            (program.Mailboxes, "stage"), (program.Mailboxes, "show"), (program.Queue, "staged"),
            (program.Queue, "record"), (os, "fsync"), (File, "rename"),
        ):  # fmt: skip
            monkeypatch.setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any) -> Any:
            self._take()
            result = function(*arguments)
            self._take()
            return result

        return step

    def _take(self) -> None:
        self.taken += 1
        if self.taken == self._last:
            raise Killed


def everything_delivered(folder: File, monkeypatch: pytest.MonkeyPatch, last: int | None) -> int:
    """Run a courier until the queue is empty, or until it is killed; gives the steps it took."""
    mailboxes = program.Mailboxes(folder / "mail")
    host = program.Host([Domain("HOSTY.ARPA")])
    queue = program.Queue(folder / "queue.sqlite", host)
    if last is not None:
        queue.add(NULL_PATH, [Path("<joe@HOSTY.ARPA>"), Path("<sam@HOSTY.ARPA>")], [TEXT])
    courier = program.Courier(host, queue, mailboxes)
    with monkeypatch.context() as patch:
        steps = Steps(patch, last)
        if last is not None:
            with contextlib.suppress(Killed):
                courier.run()
        else:
            courier.start()
            assert queue.wait_until_empty(TIMEOUT)
            queue.stop()
            courier.join(TIMEOUT)
    queue.close()
    return steps.taken


STEPS: Final = 46  # that a whole delivery takes


@pytest.mark.parametrize("read", [False, True])
@pytest.mark.parametrize("last", range(1, STEPS + 1))
def test_killed_behind_a_step(
    tmp_path: File, monkeypatch: pytest.MonkeyPatch, last: int, read: bool
) -> None:
    """Whichever it was: after another run each has the message once, even if they moved it."""
    assert everything_delivered(tmp_path, monkeypatch, last) == last
    if read:
        for file in tmp_path.glob("mail/*/new/*"):
            file.rename(file.parent.parent / "cur" / file.name)
    left = everything_delivered(tmp_path, monkeypatch, None)
    assert (left == 0) == (last == STEPS)
    for user in ("joe", "sam"):
        (file,) = [*tmp_path.glob(f"mail/{user}/new/*"), *tmp_path.glob(f"mail/{user}/cur/*")]
        assert file.read_bytes() == b"Return-Path: <>\n" + TEXT.replace(b"\r\n", b"\n")
    assert list(tmp_path.glob("mail/.staged/*")) == []


# Killed in the middle of work.


class Recording(Handler):
    """A session at the next host, which takes everything."""

    def __init__(self, peer: str, field: Field) -> None:
        super().__init__(peer)
        self._field = field
        self._message = b""
        field.begun()

    def mail(self, command: Mail) -> None:
        """A moment."""
        self._field.moment("mail")

    def rcpt(self, command: Rcpt) -> None:
        """A moment."""
        self._field.moment("rcpt")

    def data(self, command: Data) -> None:
        """A moment."""
        self._message = b""
        self._field.moment("data")

    def mail_data(self, event: MailData) -> None:
        """A moment."""
        self._message += event.data
        self._field.moment("mail data")

    def end_of_data(self, event: EndOfData) -> None:
        """The message is taken; a moment, before the 250."""
        self._field.taken(self._message)
        self._field.moment("end of data")

    def quit(self, command: Quit) -> None:
        """A moment, behind the 250 and what the relay did with it."""
        self._field.settled()
        self._field.moment("quit")

    def closed(self, event: Closed) -> None:
        """The session is over."""
        self._field.over()


class Field:
    """Messages that go through a relay, which is killed now and then.

    answered: those that it has answered 250; arrived: those that the next host has taken, in the
    order in which it did; in_doubt: those it may have taken without the relay knowing.
    """

    def __init__(self) -> None:
        self.answered: list[bytes] = []
        self.arrived: list[bytes] = []
        self.in_doubt: list[bytes] = []
        self._changed = threading.Condition()
        self.most_sessions = 0  # that there were at a time
        self._sessions = 0  # that are open at the next host
        self._unsettled: list[bytes] = []  # the message that was taken in one, if any
        self._numbers = itertools.count(1)
        self._victim: subprocess.Popen[str] | None = None
        self._when: tuple[str, int] = "", 0

    def moment(self, name: str) -> None:
        """Something happens: it may be what the relay was to be killed at."""
        with self._changed:
            when, left = self._when
            if name != when or self._victim is None:
                return
            self._when = when, left - 1
            if left == 1:
                self._victim.kill()
                self._victim.wait(TIMEOUT)

    def begun(self) -> None:
        """A session is opened at the next host."""
        with self._changed:
            self._sessions += 1
            self.most_sessions = max(self.most_sessions, self._sessions)

    def over(self) -> None:
        """A session is over there."""
        with self._changed:
            self._sessions -= 1
            self._changed.notify_all()

    def taken(self, message: bytes) -> None:
        """The next host has a message."""
        with self._changed:
            self._unsettled = numbers_in(message)
            self.arrived += self._unsettled

    def settled(self) -> None:
        """And the relay knows it for certain: it goes on."""
        with self._changed:
            self._unsettled = []

    def kill(self, server: Serving, name: str, count: int) -> None:
        """Keep a relay busy, kill it when something has happened so many times."""
        with self._changed:
            self._victim, self._when = server.process, (name, count)
        with ThreadPoolExecutor(2) as pool:
            for sender in [pool.submit(self._send, server) for _ in range(2)]:
                sender.result()
        assert server.ended() == -signal.SIGKILL
        with self._changed:
            assert self._changed.wait_for(lambda: self._sessions == 0, TIMEOUT)
            self._victim = None
            self.in_doubt += self._unsettled
            self._unsettled = []

    def _send(self, server: Serving) -> None:
        """Send messages until no more are taken; each goes to the next host, and to a mailbox."""
        with contextlib.suppress(OSError):
            while True:
                number = b"%d" % next(self._numbers)
                with Peer(server.host, server.port) as peer:
                    peer.reply()
                    for line in (
                        b"HELO x", b"MAIL FROM:<a@b>", b"RCPT TO:<c@Z>", b"RCPT TO:<d@Y>", b"DATA",
                    ):  # fmt: skip
                        peer.ask(line)
                    peer.send(b"Number: %b\r\n" % number)
                    self.moment("half")
                    peer.send(b"\r\n%b\r\n.\r\n" % (b"x" * 70_000))
                    self.moment("end")
                    if peer.reply() != OKAY:
                        return
                    self.answered.append(number)
                self.moment("answered")


def numbers_in(*messages: bytes) -> list[bytes]:
    """The numbers of messages."""
    return [re.findall(rb"(?m)^Number: (\d+)", message)[0] for message in messages]


def test_killed_at_many_moments(tmp_path: File) -> None:
    """Whatever was answered 250 arrives once; but for what the next host took unseen."""
    field = Field()
    moments = [("mail", 1), ("mail", 3), ("rcpt", 2), ("data", 1), ("mail data", 1)]
    moments += [("mail data", 5), ("end of data", 1), ("end of data", 2), ("end of data", 4)]
    moments += [("quit", 1), ("quit", 3), ("half", 1), ("half", 4), ("end", 1), ("end", 5)]
    moments += [("answered", 1), ("answered", 2), ("answered", 7)]
    with serve(lambda peer: Recording(peer, field), port=0, domain="Z") as server:
        routes = {"Z": server.address[1]}
        for name, count in moments:
            with relaying("Y", tmp_path, *AT_ONCE, routes=routes) as relay:
                field.kill(relay, name, count)
        with relaying("Y", tmp_path, *AT_ONCE, routes=routes) as relay:
            done(relay)
            kept = numbers_in(*relay.stored("d"))
    assert len(set(kept)) == len(kept)
    assert set(field.answered) <= set(kept)
    assert set(field.arrived) == set(kept)
    again = Counter(field.arrived) - Counter(kept)
    assert again <= Counter(field.in_doubt)
    assert field.most_sessions == 1
    assert len(field.answered) > len(moments)
