"""`smtp821 serve`: its arguments and configuration, what it says and keeps, and how it ends."""

from __future__ import annotations

import errno
import os
import re
import signal
import smtplib
import socket
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from smtp821.__main__ import main
from smtp821.local_host import LocalHost

from .serving import (
    ENVIRONMENT,
    SMTP821,
    TIMEOUT,
    Peer,
    Serving,
    deliver,
    on_posix,
    peer_of,
    serving,
)

MESSAGE = b"Subject: hello\r\n\r\nHello.\r\n"
KEPT = MESSAGE.replace(b"\r\n", b"\n")
CONFIG = """\
domain = "local.example"
[mailboxes]
user = "A. User"
other = "Another User"
[lists]
friends = ["user@local.example", "other@local.example", "x@far.example"]
[forwards]
jones = { path = "<jones@far.example>", reply = 551 }
green = { path = "<green@far.example>", reply = 251 }
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Serving]:
    """A server of local.example, with nothing configured."""
    with serving("--domain", "local.example", folder=tmp_path) as running:
        yield running


@pytest.fixture
def configured(tmp_path: Path) -> Iterator[Serving]:
    """A server with the configuration above."""
    (tmp_path / "host.toml").write_text(CONFIG)
    with serving("--config", "host.toml", folder=tmp_path) as running:
        yield running


def ended(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit status, output and errors of a command that ends by itself."""
    try:
        status: object = main(arguments)
    except SystemExit as end:
        status = end.code
    assert isinstance(status, int)
    return (status, *capsys.readouterr())


# Help.


@pytest.mark.parametrize(
    "word",
    [
        *("--host", "--port", "--domain", "--maildir", "--discard", "--config", "--strict"),
        *("--terminal", "--transcript", "--connections", "--idle", "127.0.0.1", "8025"),
        *("550", "EHLO", "421", "Ctrl-C", "502", "[mailboxes]", "[lists]", "[forwards]"),
    ],
)
def test_help_tells(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every option, the defaults, the configuration, and how it ends."""
    status, output, errors = ended(["serve", "--help"], capsys)
    assert (status, errors) == (0, "")
    assert word in output


def test_the_configuration_in_the_help_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    """What --help shows can be copied into a file."""
    _, output, _ = ended(["serve", "--help"], capsys)
    shown = output.partition("left out):\n")[2].partition("\n\n")[0]
    host = LocalHost.from_config(tomllib.loads(shown))
    assert str(host.domain) == "local.example"
    assert host.mailboxes == {"user": "A. User"}
    assert host.lists.keys() == {"friends"}
    assert host.forwards.keys() == {"jones"}


def test_the_help_of_all(capsys: pytest.CaptureFixture[str]) -> None:
    """`smtp821 --help` names the commands, and where there is more."""
    status, output, _ = ended(["--help"], capsys)
    assert status == 0
    assert re.search(r"^ +serve +receive mail$", output, re.MULTILINE)
    assert re.search(r"^ +send +send mail$", output, re.MULTILINE)
    assert "'smtp821 serve --help'" in output


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`smtp821 --version` is name and number."""
    status, output, _ = ended(["--version"], capsys)
    assert status == 0
    assert re.fullmatch(r"smtp821 \d+\.\d+\.\d+\n", output)


def test_the_script() -> None:
    """`smtp821` is the same as `python -m smtp821`."""
    (script,) = entry_points(group="console_scripts", name="smtp821")
    assert script.load() is main


# Errors of use: one line on standard error, status 2, nothing on standard output.


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--port", "65536"], "argument --port: a port is a number from 0 to 65535, not '65536'"),
        (["--port", "9" * 9999], "argument --port: a port is a number from 0 to 65535, not '999"),
        (["--port", "smtp"], "argument --port: a port is a number from 0 to 65535, not 'smtp'"),
        (["--connections", "0"], "argument --connections: a number over 0 is needed, not '0'"),
        (["--idle", "never"], "argument --idle: a time in seconds is needed, not 'never'"),
        (["--idle", "nan"], "argument --idle: a time in seconds is needed, not 'nan'"),
        (["--idle", "1e30"], "argument --idle: a time in seconds is needed, not '1e30'"),
        (["--host", ""], "argument --host: '' is not the name of a host"),
        (["--host", "a..b"], "argument --host: 'a..b' is not the name of a host"),
        (["--domain", ""], "argument --domain: '' is not a Domain; one looks like "),
        (["--domain", "a\nb"], r"argument --domain: 'a\nb' is not a Domain; one looks like "),
        (["--config", ""], "argument --config: a path is needed, not ''"),
        (["--maildir", ""], "argument --maildir: a path is needed, not ''"),
        (
            ["--maildir", "a", "--discard"],
            "argument --discard: not allowed with ",
        ),
    ],
)
def test_wrong_arguments(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong value is said in one line, with where to read more."""
    status, output, errors = ended(["serve", *arguments], capsys)
    assert (status, output) == (2, "")
    assert errors.startswith(f"smtp821 serve: {line}")
    assert errors.endswith(" (see smtp821 serve --help)\n")
    assert errors.count("\n") == 1


def test_arguments_that_there_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    """Even with a line end in them, they are said in one line."""
    status, _, errors = ended(["serve", "one\ntwo"], capsys)
    assert status == 2
    assert errors == "smtp821: unrecognized arguments: one two (see smtp821 --help)\n"


PATHS = 'has paths like "<user@host>", not'


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ("domain =", "Invalid value (at "),
        ("domian = 'a.b'", "there is no setting domian"),
        ("domain = 5", "5 is not a Domain; one looks like "),
        ("domain = 'a b'", "'a b' is not a Domain; one looks like "),
        ("mailboxes = 3", '[mailboxes] is a table, user = "Full Name"'),
        ("mailboxes = { user = 3 }", '[mailboxes] is a table, user = "Full Name"'),
        ("lists = { all = 'a@b' }", '[lists] is a table, user = ["user@host", ...]'),
        ("lists = { all = [3] }", f"[lists] {PATHS} 3"),
        ("lists = { all = [''] }", f"[lists] {PATHS} ''"),
        ("lists = { all = ['a b'] }", "'<a b>' is not a Path; one looks like "),
        ("forwards = { jones = '<a@b>' }", "[forwards] is a table, user = { path = "),
        ("forwards.jones = { path = '<a@b>' }", "[forwards] jones = { path = "),
        ("forwards.jones = { path = '<a@b>', reply = 250 }", "[forwards] jones = { path = "),
        ("forwards.jones = { path = '<>', reply = 251 }", f"[forwards] {PATHS} '<>'"),
        ("forwards.jones = { path = 5, reply = 251 }", f"[forwards] {PATHS} 5"),
    ],
)
def test_a_wrong_configuration(
    config: str, line: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file, and what is wrong in it."""
    (here / "host.toml").write_text(config)
    status, output, errors = ended(["serve", "--port", "0", "--config", "host.toml"], capsys)
    assert (status, output) == (2, "")
    assert errors.startswith(f"smtp821 serve: host.toml: {line}")
    assert errors.count("\n") == 1


def test_a_configuration_that_is_no_text(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """TOML is UTF-8; other octets are one line, too."""
    (here / "host.toml").write_bytes(b"\xff\xfe")
    status, output, errors = ended(["serve", "--port", "0", "--config", "host.toml"], capsys)
    assert (status, output) == (2, "")
    assert re.fullmatch(r"smtp821 serve: host\.toml: .*utf-8.*\n", errors)


@pytest.mark.parametrize(
    ("name", "why"),
    [("missing.toml", os.strerror(errno.ENOENT)), (".", os.strerror(errno.EISDIR))],
)
def test_a_configuration_that_cannot_be_read(
    name: str, why: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No file, or no file of that kind."""
    result = ended(["serve", "--port", "0", "--config", name], capsys)
    assert result == (2, "", f"smtp821 serve: cannot read {name}: {why}\n")


@pytest.mark.parametrize("folder", ["file", "file/mail"])
def test_a_maildir_that_is_no_folder(
    folder: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is found at once, not by the first message."""
    (here / "file").touch()
    result = ended(["serve", "--port", "0", "--maildir", folder], capsys)
    assert result == (2, "", f"smtp821 serve: cannot keep mail in {folder}: file is no folder\n")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_a_maildir_that_cannot_be_written(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor is there any use in one that is read only."""
    (here / "mail").mkdir(mode=0o500)
    result = ended(["serve", "--port", "0"], capsys)
    why = os.strerror(errno.EACCES)
    assert result == (2, "", f"smtp821 serve: cannot keep mail in mail: {why}\n")


def test_a_port_in_use(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The address is in the line, and the reason once."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = ended(["serve", "--port", str(port)], capsys)
    why = os.strerror(errno.EADDRINUSE)
    assert result == (2, "", f"smtp821 serve: cannot listen at 127.0.0.1:{port}: {why}\n")


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        ([], "127.0.0.1:8025"),
        (["--host", "::1", "--port", "25"], "[::1]:25"),
        (["--host", "mail.example"], "mail.example:8025"),
    ],
)
def test_where_it_listens(
    arguments: list[str],
    where: str,
    here: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """127.0.0.1:8025 if nothing is said, and what was said in a line of trouble."""

    def taken(*_: object, **__: object) -> None:
        raise OSError(errno.EACCES, "No (while attempting to bind on address ('x', 1))")

    monkeypatch.setattr(socket, "create_server", taken)
    result = ended(["serve", *arguments], capsys)
    assert result == (2, "", f"smtp821 serve: cannot listen at {where}: No\n")


# What it prints.


def test_the_first_line_is_the_address(server: Serving) -> None:
    """Standard output begins with host and port; the rest is for people, on standard error."""
    assert re.fullmatch(r"127\.0\.0\.1:[1-9]\d+", server.first_line)
    assert server.stop() == 0
    assert server.output.rest() == []
    assert server.errors.rest() == [
        "smtp821 0.1.0: local.example takes mail, which is kept in mail; Ctrl-C stops it",
        "stopping: the mail in hand is finished first",
    ]


def test_an_address_of_ip_6(tmp_path: Path) -> None:
    """The address is in brackets, so that the port is told from it."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with serving("--host", "::1", folder=tmp_path) as server, peer_of(server):
        assert re.fullmatch(r"\[::1\]:[1-9]\d+", server.first_line)


def test_a_transcript(tmp_path: Path) -> None:
    """The dialogue as Appendix F has it, as it happens, behind the address."""
    with serving("--domain", "b.example", "--transcript", folder=tmp_path) as server:
        with peer_of(server) as peer:
            assert deliver(peer, MESSAGE + b"..\r\n", b"<user@b.example>") == b"250 OK\r\n"
            before_the_end = server.output.until("R: 250 OK")
            peer.dialogue((b"\x1b[2J", 500), (b"QUIT", 221))
        server.stop()
        assert before_the_end[0].startswith("-- 127.0.0.1:")
        assert [*before_the_end[1:], *server.output.rest()] == [
            "R: 220 b.example Simple Mail Transfer Service Ready",
            "S: HELO here.example",
            "R: 250 b.example",
            "S: MAIL FROM:<me@here.example>",
            "R: 250 OK",
            "S: RCPT TO:<user@b.example>",
            "R: 250 OK",
            "S: DATA",
            "R: 354 Start mail input; end with <CRLF>.<CRLF>",
            "S: Subject: hello",
            "S: ",
            "S: Hello.",
            "S: ..",
            "S: .",
            "R: 250 OK",
            r"S: \x1b[2J",
            "R: 500 Syntax error, command unrecognized",
            "S: QUIT",
            "R: 221 b.example Service closing transmission channel",
        ]


def test_a_transcript_of_two(tmp_path: Path) -> None:
    """A line with the address of the peer comes where another one speaks."""
    with serving("--transcript", folder=tmp_path) as server:
        with peer_of(server) as one, peer_of(server) as two:
            one.dialogue((b"NOOP", 250), (b"QUIT", 221))
            two.dialogue((b"NOOP", 250), (b"QUIT", 221))
        server.stop()
        lines = server.output.rest()
    marks = [line for line in lines if line.startswith("-- ")]
    assert len(marks) == 4
    assert marks[:2] == marks[2:]
    assert lines.index(marks[0]) == 0


@on_posix()
def test_output_that_nobody_reads(tmp_path: Path) -> None:
    """A reader of standard output that goes away stops neither the server nor a session."""
    command = [*SMTP821, "serve", "--port", "0", "--transcript", "--domain", "local.example"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            host, _, port = process.stdout.readline().decode().rpartition(":")
            process.stdout.close()
            with Peer(host, int(port)) as peer:
                peer.reply()
                peer.dialogue((b"HELO here.example", 250))
                assert deliver(peer, MESSAGE, b"<user@local.example>") == b"250 OK\r\n"
            process.terminate()
            assert process.wait(TIMEOUT) == 0
            assert process.stderr is not None
            errors = process.stderr.read().decode()
        finally:
            process.kill()
    assert errors.count("\n") == 3
    assert f"\nsmtp821: standard output: {os.strerror(errno.EPIPE)}\n" in errors


# Whom it takes mail for.


def test_without_a_configuration(server: Serving) -> None:
    """Any user at its domain, postmaster without one, and 550 for other domains."""
    with peer_of(server) as peer:
        peer.dialogue(
            (b"MAIL FROM:<me@here.example>", 250),
            (b"RCPT TO:<user@local.example>", 250),
            (b"RCPT TO:<Any.Body@LOCAL.example>", 250),
            (b"RCPT TO:<Postmaster>", 250),
            (b"RCPT TO:<user@far.example>", 550),
            (b"RCPT TO:<@far.example:user@local.example>", 550),
        )


def test_the_domain_is_localhost(tmp_path: Path) -> None:
    """If nobody says another."""
    with serving(folder=tmp_path) as server, peer_of(server, hello=False) as peer:
        assert peer.ask(b"HELO here.example") == b"250 localhost\r\n"
        peer.dialogue((b"MAIL FROM:<>", 250), (b"RCPT TO:<user@localhost>", 250))


def test_with_a_configuration(configured: Serving) -> None:
    """Those who have a mailbox, lists, and where users are now (3.2)."""
    with peer_of(configured) as peer:
        peer.dialogue((b"MAIL FROM:<me@here.example>", 250))
        for path, reply in {
            b"<user@local.example>": b"250 OK",
            b"<friends@local.example>": b"250 OK",
            b"<nobody@local.example>": b"550 No such user here",
            b"<user@far.example>": b"550 That host is not here, and I do not relay",
            b"<jones@local.example>": b"551 User not local; please try <jones@far.example>",
            b"<green@local.example>": b"251 User not local; will forward to <green@far.example>",
        }.items():
            assert (path, peer.ask(b"RCPT TO:" + path)) == (path, reply + b"\r\n")


def test_who_is_here(configured: Serving) -> None:
    """VRFY and EXPN answer from the configuration (3.3)."""
    with peer_of(configured) as peer:
        assert peer.ask(b"VRFY user") == b"250 A. User <user@local.example>\r\n"
        assert peer.ask(b"VRFY jones")[:4] == b"551 "
        assert peer.ask(b"EXPN friends") == (
            b"250-A. User <user@local.example>\r\n"
            b"250-Another User <other@local.example>\r\n"
            b"250 <x@far.example>\r\n"
        )


def test_the_command_line_names_the_domain(tmp_path: Path) -> None:
    """--domain stands above the domain of the configuration."""
    (tmp_path / "host.toml").write_text(CONFIG)
    arguments = ("--config", "host.toml", "--domain", "other.example")
    with serving(*arguments, folder=tmp_path) as server, peer_of(server, hello=False) as peer:
        assert peer.ask(b"HELO here.example") == b"250 other.example\r\n"


# What it keeps.

TRACE = (
    rb"Return-Path: <me@here\.example>\n"
    rb"Received: from here\.example by local\.example with SMTP ; "
    rb"\d{1,2} [A-Z][a-z][a-z] \d{4} \d\d:\d\d:\d\d \+0000\n"
)


def test_a_stored_message(server: Serving) -> None:
    """Return path and time stamp, then the message, dots undone, lines ended by LF."""
    with peer_of(server) as peer:
        message = MESSAGE + b"..\r\n...\r\n\xff\x00\r\n"
        assert deliver(peer, message, b"<user@local.example>") == b"250 OK\r\n"
        (stored,) = server.stored()
    assert re.fullmatch(TRACE + re.escape(KEPT + b".\n..\n\xff\x00\n"), stored)


def test_the_trace_lines_of_strict(tmp_path: Path) -> None:
    """With --strict the time stamp has the form of RFC 821."""
    with serving("--strict", folder=tmp_path) as server, peer_of(server) as peer:
        assert deliver(peer, MESSAGE, b"<user@localhost>") == b"250 OK\r\n"
        (stored,) = server.stored()
    stamp = rb"Received: from here\.example by localhost with SMTP ; "
    stamp += rb"\d{1,2} [A-Z]{3} \d\d \d\d:\d\d:\d\d UT\n"
    assert re.fullmatch(rb"Return-Path: <.*>\n" + stamp + re.escape(KEPT), stored)


def test_a_list(configured: Serving) -> None:
    """Each local member gets the message once; what is forwarded waits in its mailbox."""
    with peer_of(configured) as peer:
        peer.dialogue((b"MAIL FROM:<me@here.example>", 250))
        peer.dialogue((b"RCPT TO:<friends@local.example>", 250))
        peer.dialogue((b"RCPT TO:<user@local.example>", 250))
        peer.dialogue((b"RCPT TO:<green@local.example>", 251), (b"DATA", 354))
        assert peer.ask(MESSAGE + b".") == b"250 OK\r\n"
    (stored,) = configured.stored("user")
    assert configured.stored("other") == configured.stored("green") == [stored]
    assert configured.stored("x") == configured.stored("friends") == []


def test_a_folder_for_the_mail(tmp_path: Path) -> None:
    """--maildir says where; a mailbox has the folders tmp, new and cur there."""
    with serving("--maildir", "deep/down", folder=tmp_path) as server, peer_of(server) as peer:
        assert deliver(peer, MESSAGE, b"<A/B@localhost>") == b"250 OK\r\n"
    folder = tmp_path / "deep" / "down" / "a%2Fb"
    assert sorted(path.name for path in folder.iterdir()) == ["cur", "new", "tmp"]
    assert [len(list((folder / name).iterdir())) for name in ("cur", "new", "tmp")] == [0, 1, 0]


def test_nothing_is_kept(tmp_path: Path) -> None:
    """--discard accepts and counts."""
    with serving("--discard", folder=tmp_path) as server:
        with peer_of(server) as peer:
            for _ in range(3):
                assert deliver(peer, MESSAGE, b"<user@localhost>") == b"250 OK\r\n"
        assert server.stop() == 0
        assert server.errors.rest()[-1] == f"3 messages, {3 * len(MESSAGE)} octets"
    assert list(tmp_path.iterdir()) == []


@on_posix()
@pytest.mark.parametrize("rounds", range(3))
def test_what_was_answered_250_is_there(rounds: int, tmp_path: Path) -> None:
    """SIGKILL with ten sessions under way loses no message that was answered, and halves none."""
    enough = 40 * (rounds + 1)
    with serving(folder=tmp_path) as server:
        sent, answered = flood(server, sessions=10, enough=enough)
        bodies = [stored.partition(b"\n\n")[2] for stored in server.stored()]
    assert enough <= len(answered) <= len(bodies)
    assert len(bodies) == len(set(bodies))
    assert answered <= set(bodies) <= sent


def flood(server: Serving, sessions: int, enough: int) -> tuple[set[bytes], set[bytes]]:
    """Send until `enough` messages were answered, then kill; gives those sent and answered."""
    sent: set[bytes] = set()
    answered: set[bytes] = set()

    def session(number: int) -> None:
        with peer_of(server) as peer:
            for count in range(1000):
                body = b"%d.%d\n" % (number, count) * 100
                sent.add(body)
                wire = b"\r\n" + body.replace(b"\n", b"\r\n")
                if deliver(peer, wire, b"<user@localhost>") != b"250 OK\r\n":
                    return
                answered.add(body)
                if len(answered) >= enough:
                    server.process.kill()

    def until_the_end(number: int) -> None:
        try:
            session(number)
        except (OSError, AssertionError):  # the server is dead, as it should be
            assert server.ended() == -signal.SIGKILL

    threads = [threading.Thread(target=until_the_end, args=(n,)) for n in range(sessions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    return sent, answered


# What it speaks.


def test_lenient(server: Serving) -> None:
    """What people type is taken; EHLO is no command, a lone LF no line end."""
    with peer_of(server, hello=False) as peer:
        peer.dialogue(
            (b"EHLO here.example", 500),
            (b"helo my_own_machine ", 250),
            (b"mail from: me@here.example", 250),
            (b"rcpt to:user@local.example", 250),
            (b"data", 354),
            (b"one\ntwo\r\n.", 554),
        )
    assert server.stored() == []


def test_strict(tmp_path: Path) -> None:
    """RFC 821 to the letter with --strict."""
    with serving("--strict", folder=tmp_path) as server, peer_of(server, hello=False) as peer:
        peer.dialogue(
            (b"HELO my_own_machine", 501),
            (b"HELO here.example", 250),
            (b"MAIL FROM: me@here.example", 501),
            (b"MAIL FROM:me@here.example", 501),
            (b"MAIL FROM:<me@here.example>", 250),
            (b"RCPT TO:<user@localhost>", 250),
            (b"DATA", 354),
            (b"\xff\r\n.", 554),
        )
    assert server.stored() == []


def test_no_terminal(server: Serving) -> None:
    """Nobody is active without --terminal: 502."""
    with peer_of(server) as peer:
        for word in (b"SEND", b"SOML", b"SAML"):
            peer.dialogue((word + b" FROM:<me@here.example>", 502))


@pytest.mark.parametrize(("word", "kept"), [(b"SEND", 0), (b"SOML", 0), (b"SAML", 1)])
def test_a_terminal(word: bytes, kept: int, tmp_path: Path) -> None:
    """With --terminal the message is shown where it runs, and by SAML kept too (3.4)."""
    with serving("--terminal", folder=tmp_path) as server:
        with peer_of(server) as peer:
            peer.dialogue((word + b" FROM:<me@here.example>", 250))
            peer.dialogue((b"RCPT TO:<user@localhost>", 250), (b"DATA", 354))
            peer.dialogue((b"Hello.\r\n\x1b[2J\r\n.", 250))
        server.stop()
        shown = server.output.rest()
        stored = server.stored()
    assert shown[:2] == ["Message for user", "Return-Path: <me@here.example>"]
    assert shown[2].startswith("Received: from here.example by localhost with SMTP ; ")
    assert shown[3:] == ["Hello.", "?[2J", ""]
    assert [message.splitlines()[2:] for message in stored] == [[b"Hello.", b"\x1b[2J"]] * kept


def test_mail_is_not_shown(tmp_path: Path) -> None:
    """MAIL goes to the mailbox alone, terminal or not."""
    with serving("--terminal", folder=tmp_path) as server:
        with peer_of(server) as peer:
            assert deliver(peer, MESSAGE, b"<user@localhost>") == b"250 OK\r\n"
        server.stop()
        assert server.output.rest() == []
        assert len(server.stored()) == 1


def test_a_peer_that_says_nothing(tmp_path: Path) -> None:
    """--idle is for how long it may be silent; then 421, and the end."""
    with serving("--idle", "0.1", folder=tmp_path) as server, peer_of(server) as peer:
        assert peer.reply()[:4] == b"421 "
        assert peer.reply() == b""


def test_too_many_connections(tmp_path: Path) -> None:
    """--connections is how many there may be at once; one more is told 421."""
    with serving("--connections", "1", folder=tmp_path) as server, peer_of(server) as first:
        with Peer(server.host, server.port) as second:
            assert second.reply()[:4] == b"421 "
            assert second.reply() == b""
        first.dialogue((b"NOOP", 250), (b"QUIT", 221))


# How it ends.


@on_posix()
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_mail_in_hand_is_finished(number: int, server: Serving) -> None:
    """Ctrl-C and SIGTERM: who is idle is told 421, a transaction may end, nothing is lost."""
    with peer_of(server) as idle, peer_of(server) as busy:
        busy.dialogue((b"MAIL FROM:<me@here.example>", 250))
        busy.dialogue((b"RCPT TO:<user@local.example>", 250), (b"DATA", 354))
        server.signal(number)
        assert idle.reply()[:4] == b"421 "
        assert idle.reply() == b""
        assert server.process.poll() is None
        assert busy.ask(MESSAGE + b".") == b"250 OK\r\n"
        assert busy.reply()[:4] == b"421 "
        assert busy.reply() == b""
    assert server.ended() == 0
    assert len(server.stored()) == 1
    assert server.errors.rest()[1:] == ["stopping: the mail in hand is finished first"]


@on_posix()
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_at_once(number: int, server: Serving) -> None:
    """Whatever is in hand then, there are no last words."""
    with peer_of(server) as busy:
        busy.dialogue((b"MAIL FROM:<me@here.example>", 250))
        server.signal(signal.SIGINT)
        server.errors.until("stopping: the mail in hand is finished first")
        server.signal(number)
        assert server.ended() == -number
    assert server.errors.rest() == []


@on_posix()
def test_no_connection_is_taken_behind_the_end(server: Serving) -> None:
    """While the mail in hand is finished, nobody new is let in: they are told 421 (4.2.1)."""
    with peer_of(server) as busy:
        busy.dialogue((b"MAIL FROM:<me@here.example>", 250))
        with peer_of(server) as idle:
            server.signal(signal.SIGTERM)
            assert idle.reply()[:4] == b"421 "
        with Peer(server.host, server.port) as late:
            assert late.reply()[:4] == b"421 "
        busy.dialogue((b"RSET", 250))
    assert server.ended() == 0


def test_smtplib_sees_the_end(server: Serving) -> None:
    """A client between two messages gets the 421, not a broken connection."""
    with smtplib.SMTP(server.host, server.port, timeout=TIMEOUT) as client:
        client.helo("here.example")
        server.signal(signal.SIGTERM)
        assert server.ended() == 0
        code, text = client.getreply()
    assert (code, text[:13]) == (421, b"local.example")


def test_it_can_be_started_by_name() -> None:
    """The script stands beside the interpreter, and says the version."""
    script = Path(sys.executable).with_name("smtp821")
    if not script.exists():
        pytest.skip(f"no script {script.name} beside the interpreter")
    result = subprocess.run([script, "--version"], capture_output=True, timeout=TIMEOUT, check=True)
    assert result.stdout.startswith(b"smtp821 ")
