"""`smtp821 send`: what it sends, what it says became of it, and its exit status."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from smtp821 import EndOfData, Handler, Helo, Mail, MailData, Rcpt, Reply
from smtp821 import Path as MailPath
from smtp821.__main__ import main
from smtp821.sockets import serve

from .serving import ENVIRONMENT, SMTP821, TIMEOUT, AtTerminal, on_posix

REPLIES: Final = {
    "<good@b.example>": None,
    "<moved@b.example>": Reply.forward(251, MailPath("<new@c.example>")),
    "<gone@b.example>": Reply.forward(551, MailPath("<new@c.example>")),
    "<busy@b.example>": Reply(450, "Try again"),
    "<bad@b.example>": Reply(550, ["No such user", "here"]),
}
FROM: Final = ("--from", "<me@a.example>")


class Site:
    """A server in this process, and what it was told. port: where it listens."""

    port: int

    def __init__(self) -> None:
        self.names: list[str] = []
        self.reverse_paths: list[str] = []
        self.messages: list[bytes] = []
        self.verdict: Reply | None = None

    def handler(self, peer: str) -> Handler:
        """The handler of a session."""
        return _Session(peer, self)

    def arguments(self, *users: str) -> list[str]:
        """The command that sends to these users from `<me@a.example>`."""
        to = [word for user in users for word in ("--to", f"<{user}@b.example>")]
        return ["send", *FROM, *to, "--port", str(self.port), "--helo", "a.example"]


class _Session(Handler):
    def __init__(self, peer: str, site: Site) -> None:
        super().__init__(peer)
        self._site = site
        self._message = bytearray()

    def helo(self, command: Helo) -> None:
        self._site.names.append(str(command.domain))

    def mail(self, command: Mail) -> None:
        self._site.reverse_paths.append(str(command.reverse_path))

    def rcpt(self, command: Rcpt) -> Reply | None:
        return REPLIES[str(command.forward_path)]

    def mail_data(self, event: MailData) -> None:
        self._message += event.data

    def end_of_data(self, event: EndOfData) -> Reply | None:
        self._site.messages.append(bytes(self._message))
        return self._site.verdict


@pytest.fixture
def site() -> Iterator[Site]:
    """A server of b.example, whose users are those of REPLIES."""
    site = Site()
    with serve(site.handler, port=0, domain="b.example") as server:
        site.port = server.address[1]
        yield site


@pytest.fixture
def letter(tmp_path: Path) -> Path:
    """A short message in a file."""
    path = tmp_path / "letter"
    path.write_bytes(b"Subject: hello\n\n.dot\nend\n")
    return path


@contextlib.contextmanager
def scripted(*replies: bytes) -> Iterator[int]:
    """A server that says these things, one at once and one to each line; then it closes."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(TIMEOUT)

    def converse() -> None:
        sock, _ = listener.accept()
        with sock, sock.makefile("rb") as lines, contextlib.suppress(OSError):
            sock.settimeout(TIMEOUT)
            for reply in replies:
                sock.sendall(reply)
                lines.readline()

    thread = threading.Thread(target=converse)
    with listener:
        thread.start()
        yield listener.getsockname()[1]
        thread.join(TIMEOUT)


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port where nobody listens, nor will."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def sent(arguments: list[str], stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """The command in a process of its own."""
    return subprocess.run(
        [*SMTP821, *arguments],
        input=stdin,
        capture_output=True,
        timeout=TIMEOUT,
        env=ENVIRONMENT,
        check=False,
    )


def ended(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit status, output and errors of a command in this process."""
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
        *("--to", "--from", "--host", "--port", "--helo", "--timeout", "--strict", "--json"),
        *("--transcript", "FILE", "standard input", "exit status", "outcome", "accepted"),
        *("partial", "temporary", "permanent", "protocol", "forward_path", "127.0.0.1", "25"),
    ],
)
def test_help_tells(
    word: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every option, the exit status, and the object of --json."""
    monkeypatch.setenv("COLUMNS", "100")
    status, output, errors = ended(["send", "--help"], capsys)
    assert (status, errors) == (0, "")
    assert word in output


# What is sent.

LONG: Final = b"y" * 200_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"Subject: x\n\nHello.\n", b"Subject: x\r\n\r\nHello.\r\n"),
        (b"one\r\ntwo\r\n", b"one\r\ntwo\r\n"),
        (b"no line end", b"no line end\r\n"),
        (b".\n..\n.x\n", b".\r\n..\r\n.x\r\n"),
        (b"\x00\x7f\xff\n", b"\x00\x7f\xff\r\n"),
        (b"", b""),
        (b"x" * 65535 + b"\r\n.\n" + LONG, b"x" * 65535 + b"\r\n.\r\n" + LONG + b"\r\n"),
    ],
    ids=["lf", "crlf", "no end", "dots", "octets", "empty", "long"],
)
def test_a_message(content: bytes, message: bytes, site: Site, tmp_path: Path) -> None:
    """The file as it is, but for its line ends, which are CRLF on the way."""
    (tmp_path / "letter").write_bytes(content)
    assert main([*site.arguments("good"), str(tmp_path / "letter")]) == 0
    assert site.messages == [message]
    assert (site.names, site.reverse_paths) == (["a.example"], ["<me@a.example>"])


@pytest.mark.parametrize("name", [[], ["-"]])
def test_standard_input(name: list[str], site: Site) -> None:
    """It is what is sent if there is no file, or "-"."""
    result = sent([*site.arguments("good"), *name], b"Subject: x\n\nHello.\n")
    assert result.stdout.splitlines() == [b"<good@b.example>: accepted, 250 OK"]
    assert (result.returncode, result.stderr) == (0, b"")
    assert site.messages == [b"Subject: x\r\n\r\nHello.\r\n"]


def test_brackets_may_be_left_out(site: Site, letter: Path) -> None:
    """Of both paths; the null reverse-path is `<>`."""
    arguments = ["--to", "good@b.example", "--port", str(site.port), str(letter)]
    assert main(["send", "--from", "me@a.example", *arguments]) == 0
    assert main(["send", "--from", "<>", *arguments]) == 0
    assert site.reverse_paths == ["<me@a.example>", "<>"]


def test_the_name_of_the_system(site: Site, letter: Path) -> None:
    """Without --helo a name is found."""
    arguments = ["--to", "<good@b.example>", "--port", str(site.port), str(letter)]
    assert main(["send", *FROM, *arguments]) == 0
    (name,) = site.names
    assert name != ""


def test_a_transcript(site: Site, letter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--transcript shows the dialogue on standard error; the result is where it always is."""
    arguments = [*site.arguments("good", "bad"), "--transcript", str(letter)]
    status, output, errors = ended(arguments, capsys)
    assert status == 1
    assert output.splitlines() == [
        "<good@b.example>: accepted, 250 OK",
        "<bad@b.example>: permanent, 550 No such user here",
    ]
    assert errors.splitlines() == [
        "R: 220 b.example Simple Mail Transfer Service Ready",
        "S: HELO a.example",
        "R: 250 b.example",
        "S: MAIL FROM:<me@a.example>",
        "R: 250 OK",
        "S: RCPT TO:<good@b.example>",
        "R: 250 OK",
        "S: RCPT TO:<bad@b.example>",
        "R: 550-No such user",
        "R: 550 here",
        "S: DATA",
        "R: 354 Start mail input; end with <CRLF>.<CRLF>",
        "S: Subject: hello",
        "S: ",
        "S: ..dot",
        "S: end",
        "S: .",
        "R: 250 OK",
        "S: QUIT",
        "R: 221 b.example Service closing transmission channel",
    ]


# What became of it.

GOOD = "<good@b.example>: accepted, 250 OK\n"
MOVED = "<moved@b.example>: accepted, 251 User not local; will forward to <new@c.example>\n"
GONE = "<gone@b.example>: permanent, 551 User not local; please try <new@c.example>\n"
BUSY = "<busy@b.example>: temporary, 450 Try again\n"
BAD = "<bad@b.example>: permanent, 550 No such user here\n"


@pytest.mark.parametrize(
    ("users", "lines", "outcome", "status"),
    [
        ("good", GOOD, "accepted", 0),
        ("good moved", GOOD + MOVED, "accepted", 0),
        ("bad good", BAD + GOOD, "partial", 1),
        ("good busy", GOOD + BUSY, "partial", 1),
        ("busy", BUSY, "temporary", 2),
        ("bad busy", BAD + BUSY, "temporary", 2),
        ("bad", BAD, "permanent", 2),
        ("gone bad", GONE + BAD, "permanent", 2),
    ],
)
def test_outcomes(
    users: str,
    lines: str,
    outcome: str,
    status: int,
    site: Site,
    letter: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A line for each recipient in their order; the same in one object; and in the status."""
    arguments = [*site.arguments(*users.split()), str(letter)]
    assert ended(arguments, capsys) == (status, lines, "")
    again, output, errors = ended([*arguments, "--json"], capsys)
    result = json.loads(output)
    assert (again, errors) == (status, "")
    assert (result["outcome"], result["error"]) == (outcome, None)
    assert lines == "".join(map(line_of, result["recipients"]))


def line_of(recipient: dict[str, Any]) -> str:
    """The line that says the same as an object."""
    text = recipient["text"].replace("\n", " ")
    return f"{recipient['path']}: {recipient['outcome']}, {recipient['code']} {text}\n"


def test_the_object(site: Site, letter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All that is in the object of --json, with the paths of 251 and 551."""
    arguments = [*site.arguments("good", "gone", "bad"), str(letter), "--json"]
    status, output, _ = ended(arguments, capsys)
    assert status == 1
    fields = ("path", "outcome", "code", "text", "forward_path")
    assert json.loads(output) == {
        "outcome": "partial",
        "error": None,
        "recipients": [
            dict(zip(fields, values, strict=True))
            for values in (
                ("<good@b.example>", "accepted", 250, "OK", None),
                (
                    *("<gone@b.example>", "permanent", 551),
                    *("User not local; please try <new@c.example>", "<new@c.example>"),
                ),
                ("<bad@b.example>", "permanent", 550, "No such user\nhere", None),
            )
        ],
    }


@pytest.mark.parametrize(("code", "outcome"), [(452, "temporary"), (554, "permanent")])
def test_a_message_that_is_refused(
    code: int, outcome: str, site: Site, letter: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The reply to the end of the message is that of all who were accepted."""
    site.verdict = Reply(code, "No")
    result = ended([*site.arguments("good", "moved"), str(letter)], capsys)
    lines = f"<good@b.example>: {outcome}, {code} No\n<moved@b.example>: {outcome}, {code} No\n"
    assert result == (2, lines, "")


@pytest.mark.parametrize(
    ("replies", "outcome", "said"),
    [
        ([b"421 b.example busy\r\n"], "temporary", "421 b.example busy"),
        ([b"554 b.example no mail\r\n"], "permanent", "554 b.example no mail"),
        ([b"220 b.example\r\n", b"550 you?\r\n", b"221 bye\r\n"], "permanent", "550 you?"),
    ],
)
def test_a_session_that_is_refused(
    replies: list[bytes],
    outcome: str,
    said: str,
    letter: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """There is no session; the reply says what that means for the recipient."""
    with scripted(*replies) as port:
        arguments = ["send", *FROM, "--to", "u@b.example", "--port", str(port), str(letter)]
        result = ended(arguments, capsys)
    why = f"smtp821 send: no session with 127.0.0.1:{port}: the session was refused: {said}\n"
    assert result == (2, f"<u@b.example>: {outcome}, {said}\n", why)


@pytest.mark.parametrize(
    ("replies", "outcome"),
    [
        ([], "temporary"),
        ([b"SSH-2.0-OpenSSH_9.2\r\n"], "protocol"),
        ([b"220 b.example\r\n", b"hello\r\n"], "protocol"),
        ([b"220 b.example\r\n", b"250 b\r\n", b"250 OK\r\n"], "temporary"),
        ([b"220 b.example\r\n", b"250 b\r\n", b"250 OK\r\n", b"250\rOK\r\n"], "protocol"),
        ([b"220 b.example\r\n", b"250 b\r\n", b"250 OK\r\n250 OK\r\n"], "protocol"),
    ],
)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_server_that_breaks_off(
    replies: list[bytes],
    outcome: str,
    form: list[str],
    letter: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A connection that ends is temporary; what is no SMTP is `protocol`; nothing is accepted."""
    with scripted(*replies) as port:
        arguments = ["send", *FROM, "--to", "u@b.example", "--port", str(port), str(letter)]
        status, output, errors = ended([*arguments, *form], capsys)
    assert status == 2
    if form:
        assert json.loads(output)["outcome"] == outcome
        assert errors == ""
    else:
        assert output.startswith(f"<u@b.example>: {outcome}, ")
        assert output.count("\n") == 1
        assert errors.count("\n") == (len(replies) < 3)


def test_nobody_listens(deaf_port: int, letter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No session: one line that says why, and a line for the recipient."""
    port, why = deaf_port, os.strerror(errno.ECONNREFUSED)
    arguments = ["send", *FROM, "--to", "u@b.example", "--port", str(port), str(letter)]
    assert ended(arguments, capsys) == (
        2,
        f"<u@b.example>: temporary, {why}\n",
        f"smtp821 send: no session with 127.0.0.1:{port}: {why}\n",
    )
    status, output, errors = ended([*arguments, "--json"], capsys)
    assert (status, errors) == (2, "")
    assert json.loads(output) == {
        "outcome": "temporary",
        "error": why,
        "recipients": [
            {
                "path": "<u@b.example>",
                "outcome": "temporary",
                "code": None,
                "text": why,
                "forward_path": None,
            }
        ],
    }


def test_a_host_that_nobody_knows(
    letter: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host is in the line, and the reason without its number."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    arguments = ["send", *FROM, "--to", "u@b.example", "--host", "no.example", str(letter)]
    assert ended(arguments, capsys) == (
        2,
        "<u@b.example>: temporary, Name or service not known\n",
        "smtp821 send: no session with no.example:25: Name or service not known\n",
    )


def test_a_server_that_says_nothing(letter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--timeout is how long it is waited for."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        arguments = ["send", *FROM, "--to", "u@b.example", "--port", port, "--timeout", "0.1"]
        assert ended([*arguments, str(letter)], capsys) == (
            2,
            "<u@b.example>: temporary, no greeting in 0.1 seconds\n",
            f"smtp821 send: no session with 127.0.0.1:{port}: no greeting in 0.1 seconds\n",
        )


# Errors of use: one line on standard error, status 2, nothing on standard output.


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--to", "a b"], "argument --to: '<a b>' is not a Path; one looks like "),
        (["--to", "user"], "argument --to: '<user>' is not a Path; one looks like "),
        (["--to", "a\n@b"], r"argument --to: '<a\n@b>' is not a Path; one looks like "),
        (["--to", "ü@b"], r"argument --to: '<\xfc@b>' is not a Path; one looks like "),
        (["--to", "<>"], "argument --to: '<>' leads to nobody"),
        (["--to", "a@b", "--from", "<"], "argument --from: '<' is not a Path; one looks like "),
        (["--to", "a@b", "--from", "Postmaster"], "argument --from: 'Postmaster' has no host"),
        ([], "the following arguments are required: --to"),
        (["--to", "a@b", "--host", ""], "argument --host: '' is not the name of a host"),
        (["--to", "a@b", "--host", "a" * 300], "argument --host: 'aaaa"),
        (["--to", "a@b", "--port", "-1"], "argument --port: a port is a number from 0 to 65535"),
        (["--to", "a@b", "--helo", ""], "argument --helo: '' is not a Domain; one looks like "),
        (["--to", "a@b", "--timeout", "0"], "argument --timeout: a time in seconds is needed, "),
        (["--to", "a@b", "--timeout", "1e99"], "argument --timeout: a time in seconds is needed"),
    ],
)
def test_wrong_arguments(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong value is said in one line, with where to read more."""
    status, output, errors = ended(["send", *FROM, *arguments], capsys)
    assert (status, output) == (2, "")
    assert errors.startswith(f"smtp821 send: {line}")
    assert errors.endswith(" (see smtp821 send --help)\n")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(("name", "number"), [("missing", errno.ENOENT), (".", errno.EISDIR)])
def test_a_file_that_cannot_be_opened(
    name: str,
    number: int,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is found before anything is said to the server."""
    monkeypatch.chdir(tmp_path)
    result = ended([*site.arguments("good"), name], capsys)
    assert result == (2, "", f"smtp821 send: cannot read {name}: {os.strerror(number)}\n")
    assert site.names == []


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no file that opens but fails")
def test_a_file_that_cannot_be_read(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """If reading fails half-way, it is the file's fault, and no half of a message is delivered."""
    result = ended([*site.arguments("good"), "/proc/self/mem"], capsys)
    why = os.strerror(errno.EIO)
    assert result == (2, "", f"smtp821 send: cannot read /proc/self/mem: {why}\n")
    assert site.messages == []


@on_posix()
def test_standard_input_that_is_closed(site: Site) -> None:
    """`<&-` in a shell."""
    command = ["sh", "-c", 'exec "$@" <&-', "sh", *SMTP821, *site.arguments("good")]
    result = subprocess.run(
        command, capture_output=True, timeout=TIMEOUT, env=ENVIRONMENT, check=False
    )
    why = os.strerror(errno.EBADF).encode()
    assert result.stderr == b"smtp821 send: cannot read standard input: " + why + b"\n"
    assert (result.returncode, result.stdout) == (2, b"")


@pytest.mark.parametrize(
    ("content", "strict", "what"),
    [
        (b"a\rb\n", [], "a CR without its LF"),
        (b"\xff\n", ["--strict"], "an octet with its high bit set (4.5.2)"),
        (b"x" * 999 + b"\n", ["--strict"], "a line of over 1000 octets (4.5.3)"),
    ],
)
def test_a_message_that_must_not_be_sent(
    content: bytes,
    strict: list[str],
    what: str,
    site: Site,
    letter: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is an error of use, and the server does not get it."""
    letter.write_bytes(content)
    status, output, errors = ended([*site.arguments("good"), *strict, str(letter)], capsys)
    assert (status, output) == (2, "")
    assert re.fullmatch(
        rf"smtp821 send: mail data has {re.escape(what)}, at about offset \d+\n", errors
    )
    assert site.messages == []


# Where it prints.

LARGE: Final = b"x" * 70 + b"\n"


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file of over a megabyte."""
    path = tmp_path / "large"
    path.write_bytes(LARGE * 30_000)
    return path


def percentages(shown: bytes) -> list[int]:
    """What a line of progress went through."""
    line = rb"(?:\r *\d+% of 2130000 octets)+"
    assert re.fullmatch(line, shown), shown[-100:]
    return [int(text) for text in re.findall(rb"\r *(\d+)%", shown)]


@on_posix()
@pytest.mark.parametrize("source", ["large", "- < large"])
def test_progress(source: str, site: Site, large: Path) -> None:
    """Who sends a large file at a terminal sees how far it is, in a line that ends."""
    shell = ["sh", "-c", f'exec "$@" {source}', "sh", *SMTP821, *site.arguments("good", "bad")]
    with AtTerminal(shell, large.parent) as program:
        shown = program.rest()
        assert program.process.wait(TIMEOUT) == 1
    progress, _, lines = shown.partition(b"\r\n")
    assert lines == (GOOD + BAD).replace("\n", "\r\n").encode()
    steps = percentages(progress)
    assert steps == sorted(set(steps))
    assert len(steps) > 20
    assert steps[-1] == 100
    assert site.messages == [LARGE.replace(b"\n", b"\r\n") * 30_000]


@on_posix()
def test_progress_that_ends_early(large: Path) -> None:
    """What went wrong stands on a line of its own."""
    replies = (b"220 b\r\n", b"250 b\r\n", b"250 OK\r\n", b"250 OK\r\n", b"354 go\r\n")
    with scripted(*replies) as port:
        arguments = ["send", *FROM, "--to", "u@b.example", "--port", str(port), "large"]
        with AtTerminal([*SMTP821, *arguments], large.parent) as program:
            progress, _, lines = program.rest().partition(b"\r\n")
            assert program.process.wait(TIMEOUT) == 2
    assert percentages(progress)[-1] < 100
    assert re.fullmatch(rb"<u@b\.example>: temporary, [^\r\n]+\r\n", lines)


@on_posix()
@pytest.mark.parametrize("case", ["small", "transcript", "pipe"])
def test_no_progress(case: str, site: Site, letter: Path, large: Path) -> None:
    """Of a small file, of one whose size nobody knows, and where the dialogue is shown."""
    source = {"small": "letter", "transcript": "--transcript large", "pipe": "< pipe"}[case]
    arguments = site.arguments("good")
    script = f'mkfifo pipe; cat large > pipe & exec "$@" {source}'
    script = script if case == "pipe" else f'exec "$@" {source}'
    with AtTerminal(["sh", "-c", script, "sh", *SMTP821, *arguments], large.parent) as program:
        shown = program.rest()
        assert program.process.wait(TIMEOUT) == 0
    assert b"%" not in shown
    assert shown.endswith(GOOD.replace("\n", "\r\n").encode())


def test_progress_is_for_terminals(site: Site, large: Path) -> None:
    """Where standard error is no terminal there is none."""
    result = sent([*site.arguments("good"), str(large)])
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.splitlines() == [b"<good@b.example>: accepted, 250 OK"]


@on_posix()
def test_a_message_that_is_typed(site: Site, tmp_path: Path) -> None:
    """At a terminal, one Ctrl-D at the beginning of a line is the end of the message."""
    with AtTerminal([*SMTP821, *site.arguments("good")], tmp_path) as program:
        program.type("Hello.")
        program.until(rb"Hello\.\r\n")
        program.type_control("D")
        assert GOOD.strip().encode() in program.rest()
        assert program.process.wait(TIMEOUT) == 0
    assert site.messages == [b"Hello.\r\n"]


@on_posix()
@pytest.mark.parametrize("option", [[], ["--json"], ["--transcript"]])
def test_output_that_nobody_reads(option: list[str], site: Site, letter: Path) -> None:
    """The message is sent and the exit status says so; no traceback."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        result = subprocess.run(
            [*SMTP821, *site.arguments("good", "bad"), *option, str(letter)],
            stdout=writing,
            stderr=writing if option == ["--transcript"] else subprocess.PIPE,
            timeout=TIMEOUT,
            env=ENVIRONMENT,
            check=False,
        )
    finally:
        os.close(writing)
    assert result.returncode == 1
    why = f"smtp821: standard output: {os.strerror(errno.EPIPE)}\n"
    assert result.stderr in (None, why.encode())
    assert len(site.messages) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_output_that_finds_no_room(site: Site, letter: Path) -> None:
    """A full disk: one line, and the exit status of the delivery."""
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            [*SMTP821, *site.arguments("good"), str(letter)],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=TIMEOUT,
            env=ENVIRONMENT,
            check=False,
        )
    why = f"smtp821: standard output: {os.strerror(errno.ENOSPC)}\n"
    assert (result.returncode, result.stderr) == (0, why.encode())


def test_a_reply_that_the_terminal_cannot_show(letter: Path) -> None:
    """A reply with other octets than ASCII does no harm where only ASCII can be printed."""
    with scripted(b"554 caf\xe9\r\n") as port:
        arguments = ["send", *FROM, "--to", "u@b.example", "--port", str(port), str(letter)]
        result = subprocess.run(
            [*SMTP821, *arguments],
            capture_output=True,
            timeout=TIMEOUT,
            env={**ENVIRONMENT, "PYTHONIOENCODING": "ascii"},
            check=False,
        )
    assert result.returncode == 2
    assert result.stdout.splitlines() == [rb"<u@b.example>: permanent, 554 caf\ufffd"]


@on_posix()
def test_an_interrupt(tmp_path: Path, letter: Path) -> None:
    """Ctrl-C, while the server is waited for: one word, status 130."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT)
        port = str(listener.getsockname()[1])
        arguments = ["send", *FROM, "--to", "u@b.example", "--port", port, str(letter)]
        with AtTerminal([*SMTP821, *arguments], tmp_path) as program:
            sock, _ = listener.accept()
            with sock:
                sock.sendall(b"220 b.example\r\n")
                assert sock.recv(100).startswith(b"HELO ")
                program.process.send_signal(signal.SIGINT)
                assert program.rest() == b"smtp821 send: interrupted\r\n"
                assert program.process.wait(TIMEOUT) == 130
