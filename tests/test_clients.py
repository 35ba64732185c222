"""Mail programs that people use, against a running `smtp821 serve`, on each of its adapters."""

from __future__ import annotations

import asyncio
import json
import re
import smtplib
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest

from .black_box import ADAPTERS, every_adapter
from .programs import postfix, program, run
from .serving import TIMEOUT, AtTerminal, Serving, on_posix, serving

DIALOGUES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "data" / "scenarios.json").read_text("utf-8")
)["telnet_dialogues"]


@pytest.fixture(params=ADAPTERS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Serving]:
    """A server of local.example, on each adapter, that shows what is said."""
    arguments = ("--adapter", request.param, "--domain", "local.example", "--transcript")
    with serving(*arguments, folder=tmp_path) as running:
        yield running


def traced(name: bytes) -> bytes:
    """A pattern of the trace lines of a message from me@here.example, by way of a host."""
    return (
        rb"Return-Path: <me@here\.example>\n"
        rb"Received: from %s by local\.example with SMTP ; \d+ \w{3} \d{4} [\d:]{8} \+0000\n"
    ) % re.escape(name)


def test_swaks(server: Serving) -> None:
    """It says EHLO, is told 500, and says HELO; dots come through."""
    output = run(
        *(program("swaks"), "--server", f"{server.host}:{server.port}", "--helo", "here.example"),
        *("--from", "me@here.example", "--to", "user@local.example,other@local.example"),
        *("--data", "-"),
        stdin=b"Subject: hello\n\n.\n..\n.x\nend\n",
    )
    said = re.findall(r"^(?: ->|<-.|<\*\*) +(\S+)", output, re.MULTILINE)
    assert said[:5] == ["220", "EHLO", "500", "HELO", "250"]
    (stored,) = server.stored()
    message = rb"Subject: hello\n\n\.\n\.\.\n\.x\nend\n+"
    assert re.fullmatch(traced(b"here.example") + message, stored)
    assert server.stored("other") == [stored]


def test_swaks_is_told_no(server: Serving) -> None:
    """A recipient elsewhere gets 550, which it shows and reports."""
    result = subprocess.run(
        [
            *(program("swaks"), "--server", f"{server.host}:{server.port}"),
            *("--from", "me@here.example", "--to", "user@far.example"),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert result.returncode == 24  # "all RCPT were rejected"
    assert b"<** 550 That host is not here, and I do not relay" in result.stdout
    assert server.stored() == []


@on_posix()
@every_adapter
@pytest.mark.parametrize("dialogue", DIALOGUES, ids=lambda dialogue: dialogue["source"])
def test_telnet(dialogue: dict[str, Any], adapter: str, tmp_path: Path) -> None:
    """A person at telnet: the same codes, but for the misspelt MAIL (501, which 4.3 lists too)."""
    telnet, domain = program("telnet"), "st.seiai.ed.jp"
    with serving("--adapter", adapter, "--domain", domain, folder=tmp_path) as server:
        with AtTerminal([telnet, server.host, str(server.port)], tmp_path) as terminal:
            codes = list(typed(terminal, dialogue["lines"]))
            terminal.until(rb"Connection closed by foreign host\.\r\n")
            terminal.rest()
        (stored,) = server.stored("c1e08")
    shown = [line[3:6] for line in dialogue["lines"] if line.startswith("S: ")]
    assert codes == ["501" if code == "500" else code for code in shown]
    body = re.escape(letter(dialogue["lines"]))
    stamp = rb"Received: from \S+ by st\.seiai\.ed\.jp with SMTP ; .+\n"
    assert re.fullmatch(rb"Return-Path: <\S+@\S+>\n" + stamp + body, stored)


def typed(terminal: AtTerminal, lines: Sequence[str]) -> Iterator[str]:
    """Go through a dialogue: type what the client says, wait for each reply; gives the codes."""
    for line in lines:
        if line.startswith("C: "):
            terminal.type(line[3:])
        else:
            found = terminal.until(rb"(?:^|\n)\d{3} [^\r\n]*\r\n")
            yield found.split(b"\n")[-2][:3].decode()


def letter(lines: Sequence[str]) -> bytes:
    """What is said between "data" and the dot."""
    said = [line[3:] for line in lines if line.startswith("C: ")]
    return "".join(f"{line}\n" for line in said[said.index("data") + 1 : said.index(".")]).encode()


def test_msmtp(server: Serving) -> None:
    """It falls back to HELO, and what it is given arrives behind the fields it adds."""
    message = b"Subject: hello\nFrom: me@here.example\nDate: now\n\n.\n..\nFrom me\n\xc3\xa9\nend\n"
    run(
        *(program("msmtp"), "--file=/dev/null", f"--host={server.host}", f"--port={server.port}"),
        *("--domain=here.example", "--from=me@here.example", "--add-missing-date-header=off"),
        *("user@local.example", "other@local.example"),
        stdin=message,
    )
    (stored,) = server.stored()
    assert server.stored("other") == [stored]
    added = rb"(?:Message-ID: .+\n)?"
    assert re.fullmatch(traced(b"here.example") + added + re.escape(message), stored)


def test_smtplib(server: Serving) -> None:
    """Python's own client: three messages in a session, one recipient refused, 8-bit data."""
    message = b"Subject: hello\r\n\r\n.\r\n..\r\n\xc3\xa9\r\n" + b"x" * 2000 + b"\r\n"
    recipients = ["user@local.example", "user@far.example", "other@local.example"]
    with smtplib.SMTP(server.host, server.port, "here.example", timeout=TIMEOUT) as client:
        for _ in range(3):
            refused = client.sendmail("me@here.example", recipients, message)
            assert {who: code for who, (code, _) in refused.items()} == {"user@far.example": 550}
        assert client.verify("user")[0] == 250
        assert client.noop()[0] == 250
    stored = server.stored()
    assert len(stored) == 3
    assert server.stored("other") == stored
    body = re.escape(message.replace(b"\r\n", b"\n"))
    assert all(re.fullmatch(traced(b"here.example") + body, one) for one in stored)


def test_aiosmtplib(server: Serving) -> None:
    """3.1: an asyncio client, whose sessions run side by side; in each one recipient is refused."""
    message = b"Subject: hello\r\n\r\n.\r\n..\r\n\xc3\xa9\r\n" + b"x" * 2000 + b"\r\n"
    recipients = ["user@local.example", "user@far.example", "other@local.example"]

    async def session(number: int) -> None:
        async with aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            local_hostname="here.example",
            timeout=TIMEOUT,
            start_tls=False,
        ) as one:
            for _ in range(3):
                marked = b"X-Session: %d\r\n" % number + message
                refused, said = await one.sendmail("me@here.example", recipients, marked)
                assert {who: reply.code for who, reply in refused.items()} == {recipients[1]: 550}
                assert said == "OK"
            assert (await one.noop()).code == 250

    async def sessions() -> None:
        await asyncio.gather(*map(session, range(5)))

    asyncio.run(sessions())
    stored = server.stored()
    assert sorted(server.stored("other")) == sorted(stored)
    body = rb"X-Session: (\d)\n" + re.escape(message.replace(b"\r\n", b"\n"))
    found = [re.fullmatch(traced(b"here.example") + body, one) for one in stored]
    assert sorted(match[1] for match in found if match) == sorted(
        [b"0", b"1", b"2", b"3", b"4"] * 3
    )


@every_adapter
@pytest.mark.parametrize("sessions", ["each its own", "for many"])
def test_smtp_source(adapter: str, sessions: str, tmp_path: Path) -> None:
    """Ten sessions at once and 200 messages: each is there, once, to the octet."""
    source = program("smtp-source")
    together = ("-d",) if sessions == "for many" else ()
    with serving("--adapter", adapter, "--domain", "local.example", folder=tmp_path) as server:
        run(
            *(source, *together, "-s", "10", "-m", "200", "-M", "here.example", "-S", "hello"),
            *("-f", "me@here.example", "-t", "user@local.example"),
            f"{server.host}:{server.port}",
        )
        stored = server.stored()
    pattern = re.compile(
        traced(b"here.example") + rb"From: <me@here\.example>\nTo: <user@local\.example>\n"
        rb"Date: .+\nMessage-Id: <(.+)@here\.example>\nSubject: hello\n\n"
        rb"La de da de da 1\.\nLa de da de da 2\.\nLa de da de da 3\.\nLa de da de da 4\.\n"
    )
    found = [pattern.fullmatch(message) for message in stored]
    assert all(found)
    assert len(found) == len({match[1] for match in found if match}) == 200


@every_adapter
def test_smtp_source_with_a_file(adapter: str, tmp_path: Path) -> None:
    """Long mail with dots, to two recipients each, is the same to the octet."""
    source = program("smtp-source")
    message = b"Subject: hello\n\n" + b".\n..\n.x\n" + (b"." * 70 + b"\n") * 5000
    (tmp_path / "message").write_bytes(message)
    with serving("--adapter", adapter, "--domain", "local.example", folder=tmp_path) as server:
        run(
            *(source, "-s", "5", "-m", "20", "-M", "here.example", "-F", f"{tmp_path}/message"),
            *("-f", "me@here.example", "-t", "user@local.example", "-r", "2"),
            f"{server.host}:{server.port}",
        )
        mailboxes = [server.stored(path.name) for path in server.maildir.iterdir()]
    whole = re.compile(traced(b"here.example") + re.escape(message) + rb"\n")  # it adds a line end
    assert sorted(map(len, mailboxes)) == [0, 20, 20]  # postmaster has none
    assert all(whole.fullmatch(one) for messages in mailboxes for one in messages)


@on_posix()
@every_adapter
def test_postfix(adapter: str, tmp_path: Path) -> None:
    """It relays a message, and brings back to its author what could not be delivered."""
    (tmp_path / "host.toml").write_text('domain = "local.example"\nmailboxes = { user = "" }\n')
    arguments = ("--adapter", adapter, "--config", "host.toml", "--transcript")
    message = b"From: me@here.example\nSubject: hello\n\n.\n..\nend\n"
    with (
        serving(*arguments, folder=tmp_path) as server,
        postfix(f"relayhost = [{server.host}]:{server.port}\n") as relay,
    ):
        relay.submit("me@here.example", "user@local.example", message)
        said = server.output.until("S: .")
        assert "R: 250 OK" in server.output.until("R: 250 OK")
        relay.submit("user@local.example", "nobody@local.example", message)
        refused = server.output.until("S: .")
        server.output.until("R: 250 OK")
        first, second = server.stored()
    hello = [line for line in said if "LO relay.example" in line or line.startswith("R: 500 ")]
    assert [line[:7] for line in hello] == ["S: EHLO", "R: 500 ", "S: HELO"]
    assert re.fullmatch(
        traced(b"relay.example") + rb"Received: by relay\.example \(Postfix[^\0]+?\n(?!\t)"
        rb"From: me@here\.example\nSubject: hello\n(?:[\w-]+: .+\n)+\n\.\n\.\.\nend\n",
        first,
    )
    assert "R: 550 No such user here" in refused
    assert "S: MAIL FROM:<>" in refused
    assert second.startswith(b"Return-Path: <>\n")
    assert b"550 No such user here" in second
