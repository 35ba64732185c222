"""Appendix F over real connections: what each adapter says and hears is what is on paper.

First a server of the library is played against octet by octet, with a handler that answers as on
paper; then its client speaks to it; then `smtp821 serve` gives the answers that it has itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any, Final

import pytest

from smtp821 import (
    Delivery,
    EndOfData,
    Handler,
    MailData,
    Rejected,
    Reply,
    Status,
)

from .black_box import Client, every_adapter, server_of, with_client
from .serving import Peer, serving
from .test_scenarios import (
    MISNAMED,
    RECEIVED,
    SCENARIOS,
    TELNET,
    Dialogue,
    command_of,
    reply_bytes,
)
from .walks import cut


class OnPaper(Handler):
    """Answers with the replies of a dialogue, in their order; what the protocol refuses has one."""

    def __init__(self, peer: str, replies: Iterator[Reply], messages: list[bytes]) -> None:
        super().__init__(peer)
        self._replies, self._messages, self._message = replies, messages, b""

    _answer: Any = lambda self, _event: next(self._replies)
    connected = helo = mail = rcpt = data = rset = send = soml = saml = vrfy = expn = _answer
    quit = _answer

    def mail_data(self, event: MailData) -> None:
        """Take a piece of the message."""
        self._message += event.data

    def end_of_data(self, event: EndOfData) -> Reply:
        """Take the message."""
        self._messages.append(self._message)
        self._message = b""
        return next(self._replies)

    def rejected(self, event: Rejected) -> None:
        """Go over the reply that was given already."""
        assert event.reply == next(self._replies)


def said_by_client(dialogue: Dialogue) -> Iterator[bytes]:
    """What the client says on paper, cut where it waits for a reply."""
    rest = dialogue.client
    for exchange in dialogue.exchanges[1:]:
        end = b"\r\n" if exchange.message is None else b"\r\n.\r\n"
        said, _, rest = rest.partition(end)
        yield said + end
    assert rest == b""


def replies_of(dialogue: Dialogue) -> list[bytes]:
    """What the server says on paper; but no server says 221 in the name of another (4.2.1)."""
    replies = [reply_bytes(exchange.reply) for exchange in dialogue.exchanges]
    if dialogue is MISNAMED:
        replies[-1] = replies[-1].replace(b"221 ", b"221 BBN-VAX.ARPA ")
    return replies


def messages_of(dialogue: Dialogue) -> list[bytes]:
    """The messages of a dialogue, without the dots that are added for the way."""
    return [exchange.message for exchange in dialogue.exchanges if exchange.message is not None]


def converse(peer: Peer, said: Iterator[bytes], *, bytewise: bool = False) -> list[bytes]:
    """The replies to what is said, one after the other, up to the end of file."""
    heard = [peer.reply()]
    for part in said:
        for piece in cut(part, *[1] * len(part) * bytewise):
            peer.send(piece)
        heard.append(peer.reply())
    assert peer.reply() == b""
    return heard


every_session = pytest.mark.parametrize("dialogue", [*RECEIVED, MISNAMED], ids=lambda d: d.name)
every_scenario = pytest.mark.parametrize("dialogue", SCENARIOS, ids=lambda d: d.name)


# --- The server of each adapter ---------------------------------------------------------------


@pytest.mark.clause("1-01", "A-02")
@every_adapter
@every_session
@pytest.mark.parametrize("bytewise", [False, True], ids=["at once", "by the octet"])
def test_a_server(dialogue: Dialogue, adapter: str, bytewise: bool) -> None:
    """Appendix F: every reply to the octet, in its place; and the messages without added dots."""
    messages: list[bytes] = []
    replies = iter([exchange.reply for exchange in dialogue.exchanges])
    options: dict[str, Any] = {"domain": dialogue.domain, "dialect": dialogue.dialect}
    with (
        server_of(adapter, lambda peer: OnPaper(peer, replies, messages), **options) as address,
        Peer(*address) as peer,
    ):
        heard = converse(peer, said_by_client(dialogue), bytewise=bytewise)
    assert heard == replies_of(dialogue)
    assert messages == messages_of(dialogue)
    assert next(replies, None) is None


# --- The client of each adapter ---------------------------------------------------------------


def shown(dialogue: Dialogue) -> list[str]:
    """The lines of a dialogue as a transcript shows them."""
    lines = []
    said = [b"", *said_by_client(dialogue)]
    for ours, theirs in zip(said, replies_of(dialogue), strict=True):
        lines += [f"S: {line}" for line in ours.decode().split("\r\n")[:-1]]
        lines += [f"R: {line}" for line in theirs.decode().split("\r\n")[:-1]]
    return lines


@pytest.mark.clause("A-02")
@every_adapter
@every_scenario
def test_a_client_and_a_server(dialogue: Dialogue, adapter: str) -> None:
    """Appendix F: command by command, both have the dialogue on paper, line by line."""
    lines: list[str] = []
    messages: list[bytes] = []
    replies = iter([exchange.reply for exchange in dialogue.exchanges])
    options: dict[str, Any] = {"domain": dialogue.domain, "dialect": dialogue.dialect}

    async def script(client: Client) -> None:
        for exchange in dialogue.exchanges[2:-1]:
            if exchange.said == "DATA":
                continue
            if exchange.message is not None:
                reply = await client.data(exchange.message)
            else:
                assert exchange.said is not None
                reply = await client.command(command_of(exchange.said))
            assert reply == exchange.reply

    helo = dialogue.exchanges[1].said
    assert helo is not None
    with server_of(adapter, lambda peer: OnPaper(peer, replies, messages), **options) as address:
        with_client(
            adapter, script, port=address[1], helo=helo.split()[1], transcript=lines.append
        )  # fmt: skip
    assert lines == shown(dialogue)
    assert messages == messages_of(dialogue)


@every_adapter
@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        ("scenario 1, session 1", [Status.ACCEPTED, Status.PERMANENT, Status.ACCEPTED]),
        ("scenario 3, session 1", [Status.ACCEPTED]),
        ("scenario 7, session 3", [Status.ACCEPTED] * 7),
        ("scenario 8, session 1", [Status.ACCEPTED]),
        ("scenario 10, session 1", [Status.ACCEPTED, Status.ACCEPTED]),
    ],
)
def test_send_by_itself(name: str, statuses: list[Status], adapter: str) -> None:
    """Appendix F: told a message and its recipients, a client comes to say what is on paper."""
    dialogue = next(d for d in SCENARIOS if d.name == name)
    lines: list[str] = []
    messages: list[bytes] = []
    replies = iter([exchange.reply for exchange in dialogue.exchanges])
    options: dict[str, Any] = {"domain": dialogue.domain, "dialect": dialogue.dialect}
    said = dialogue.client.decode()
    recipients = list(dict.fromkeys(re.findall(r"(?m)^RCPT TO:(\S+)\r", said)))

    async def script(client: Client) -> Delivery:
        sender = re.findall(r"(?m)^MAIL FROM:(\S+)\r", said)[0]
        return await client.send(sender, recipients, messages_of(dialogue)[0])

    with server_of(adapter, lambda peer: OnPaper(peer, replies, messages), **options) as address:
        helo = said.split()[1]
        transcript = lines.append
        delivery = with_client(adapter, script, port=address[1], helo=helo, transcript=transcript)
    assert lines == shown(dialogue)
    assert [recipient.status for recipient in delivery.recipients] == statuses
    moved = [one.forward_path for one in delivery.recipients if one.forward_path is not None]
    assert [str(path) for path in moved] == ["<Jones@USC-ISI.ARPA>"] * name.startswith("scenario 8")


# --- `smtp821 serve` on each adapter ----------------------------------------------------------

CONFIGURATIONS: Final = {
    "scenario 1, session 1": '[mailboxes]\nJones = ""\nBrown = ""\n',
    "scenario 2, session 1": '[mailboxes]\nJones = ""\n',
    "scenario 4, session 1": '[mailboxes]\n"Admin.MRC" = "Mark Crispin"\n',
    "scenario 6, session 1": '[mailboxes]\n"Admin.MRC" = "Mark Crispin"\n',
    "scenario 7, session 1": '[lists]\nExample-People = ["ABC@MIT-MC.ARPA", "XYZ@MIT-AI.ARPA"]\n',
    "scenario 8, session 1": '[forwards]\nfred = { path = "Jones@USC-ISI.ARPA", reply = 251 }\n',
    "scenario 9, session 1": '[forwards]\nfred = { path = "Jones@USC-ISI.ARPA", reply = 251 }\n',
    "scenario 9, session 2": '[mailboxes]\nJones = ""\n',
    "scenario 10, session 1": '[mailboxes]\nfabry = ""\neric = ""\n',
}
IN_OTHER_WORDS: Final = {"scenario 4", "scenario 6", "scenario 7"}  # of VRFY, SOML and EXPN


@every_adapter
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_serve(name: str, adapter: str, tmp_path: FilePath) -> None:
    """Appendix F: `serve --strict` has the same codes, and the same words but for three replies."""
    dialogue = next(d for d in SCENARIOS if d.name == name)
    (tmp_path / "host.toml").write_text(CONFIGURATIONS[name])
    bounds = ("--recipients", "1") if name.startswith("scenario 10") else ()
    arguments = ("--adapter", adapter, "--strict", "--config", "host.toml", "--terminal", *bounds)
    with (
        serving(*arguments, "--domain", dialogue.domain, folder=tmp_path) as server,
        Peer(server.host, server.port) as peer,
    ):
        heard = converse(peer, said_by_client(dialogue))
    if name.partition(",")[0] in IN_OTHER_WORDS:
        codes = [reply_bytes(exchange.reply)[:3] for exchange in dialogue.exchanges]
        assert [reply[:3] for reply in heard] == codes
    else:
        assert heard == replies_of(dialogue)


@every_adapter
@pytest.mark.parametrize("dialogue", TELNET, ids=lambda d: d.name)
def test_serve_to_people(dialogue: Dialogue, adapter: str, tmp_path: FilePath) -> None:
    """Two dialogues from a telnet window: their codes, and the message, to the octet.

    4.3 has 500 and 501 for the misspelt MAIL; here it is 501. Every octet comes by itself.
    """
    domain = "st.seiai.ed.jp"
    with serving("--adapter", adapter, "--domain", domain, folder=tmp_path) as server:
        with Peer(server.host, server.port) as peer:
            heard = converse(peer, said_by_client(dialogue), bytewise=True)
        (stored,) = server.stored("c1e08")
    expected = {
        "220": f"220 {domain} Simple Mail Transfer Service Ready\r\n",
        "HELO": f"250 {domain}\r\n",
        "250": "250 OK\r\n",
        "501": "501 Syntax error in parameters or arguments\r\n",
        "354": "354 Start mail input; end with <CRLF>.<CRLF>\r\n",
        "221": f"221 {domain} Service closing transmission channel\r\n",
    }
    codes = [str(int(exchange.reply.code)) for exchange in dialogue.exchanges]
    codes[1] = "HELO"
    assert b"".join(heard).decode() == "".join(expected[code] for code in codes)
    (message,) = messages_of(dialogue)
    assert re.fullmatch(
        rb"Return-Path: <\S+@\S+>\nReceived: from \S+ by st\.seiai\.ed\.jp with SMTP ; .+\n"
        + re.escape(message.replace(b"\r\n", b"\n")),
        stored,
    )
