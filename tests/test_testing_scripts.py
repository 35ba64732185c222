"""smtp821.testing.scripts: peers that fail as a script says, in memory and at a port."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import smtplib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import smtp821.asyncio
import smtp821.trio
from smtp821 import (
    RFC821,
    Helo,
    Help,
    LocalProtocolError,
    Mail,
    Noop,
    Quit,
    Rcpt,
    RemoteProtocolError,
    Reply,
    SessionLost,
    SessionRefused,
    Status,
    Verb,
    Vrfy,
)
from smtp821.sockets import Client
from smtp821.testing import memory
from smtp821.testing.scripts import (
    ANYTHING,
    Script,
    ScriptedPeer,
    ScriptedServer,
    Session,
    answer,
    at,
    close,
    reset,
    say,
    say_forever,
    say_nothing,
)
from smtp821.timeouts import Timeouts

from .adapters import TIMEOUT
from .peers import Wire

HERE: Final = "<me@here.example>"
USERS: Final = ("<one@peer.example>", "<two@peer.example>")
TEXT: Final = b"Subject: hello\r\n\r\n.Hello.\r\n"
WHERE: Final = ("memory", "loopback")

GREETING: Final = b"220 peer.example Simple Mail Transfer Service Ready\r\n"
HELLO: Final = b"250 peer.example\r\n"
OKAY: Final = b"250 OK\r\n"
START: Final = b"354 Start mail input; end with <CRLF>.<CRLF>\r\n"
BYE: Final = b"221 peer.example Service closing transmission channel\r\n"
SESSION: Final = (
    b"HELO here.example\r\nMAIL FROM:<me@here.example>\r\nRCPT TO:<one@peer.example>\r\n"
    b"RCPT TO:<two@peer.example>\r\nDATA\r\n" + TEXT.replace(b".H", b"..H") + b".\r\nQUIT\r\n"
)

everywhere = pytest.mark.parametrize("where", WHERE)


@contextlib.contextmanager
def playing(where: str, script: Script, **options: Any) -> Iterator[tuple[ScriptedPeer, Client]]:
    """A peer that plays a script, and a client of it that is yet to be opened."""
    options = {"timeouts": Timeouts.all(TIMEOUT), **options, "helo": "here.example"}
    if where == "memory":
        peer = script.peer()
        yield peer, memory.client(Client, peer, **options)
        return
    with script.listening() as server:
        yield server, Client(*server.address, **options)


def play(where: str, *rules: Any, **options: Any) -> tuple[ScriptedPeer, Any]:
    """Send one message to two users; gives the peer, and each result as a code or an error."""
    with playing(where, Script(*rules), **options) as (peer, client), client:
        results = client.send(HERE, USERS, TEXT).recipients
    return peer, [result.reply.code if result.reply else type(result.error) for result in results]


def talk(peer: ScriptedPeer, data: bytes, cut: int | None = None) -> bytes:
    """What a peer answers to these bytes, without any I/O; a connection that breaks is "!"."""
    session = peer("client")
    said = bytearray()
    step = cut or len(data)
    try:
        for begin in range(0, len(data), step):
            listen(session, said)
            session.receive_data(data[begin : begin + step])
        listen(session, said)
    except ConnectionResetError:
        said += b"!"
    return bytes(said)


def listen(session: Session, said: bytearray) -> None:
    """Hear what a session says, until it waits for more."""
    while piece := session.next_piece():
        said += piece


# Scripts as values.


def test_a_script_is_a_value() -> None:
    """Scripts of the same rules are equal, and print what they are made of."""
    script = Script(at("rcpt", 2, say(452)), at("DATA", close(after=100)))
    again = Script(at(Verb.RCPT, 2, say(452)), at(Verb.DATA, close(after=100)))
    assert script.rules == again.rules
    assert script.rules != Script(at("rcpt", 2, say(451)), at("DATA", close(after=100))).rules
    assert [rule.moment for rule in script.rules] == ["RCPT", "DATA"]
    assert [rule.nth for rule in script.rules] == [2, None]
    assert "insufficient system storage" in repr(script)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        script.domain = "x"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: at("RCPT", 0, say(452)), ValueError),
        (lambda: at("RCPT", 2), ValueError),
        (lambda: say(299), LocalProtocolError),  # what would be its text?
        (lambda: say(99, "no"), LocalProtocolError),
        (lambda: say(551), LocalProtocolError),
        (lambda: say_forever(b""), ValueError),
    ],
)
def test_rules_that_are_none(make: Callable[[], object], error: type[Exception]) -> None:
    """What cannot be done is said where it is written, not when it is to be done."""
    with pytest.raises(error):
        make()


# A peer without I/O: exact bytes.


def test_the_ordinary_rest() -> None:
    """Without rules all mail is taken, for everybody, and what was said is noted."""
    peer = Script().peer()
    assert talk(peer, SESSION) == GREETING + HELLO + OKAY * 3 + START + OKAY + BYE
    assert peer.connections == 1
    assert peer.commands == [
        "HELO here.example",
        "MAIL FROM:<me@here.example>",
        "RCPT TO:<one@peer.example>",
        "RCPT TO:<two@peer.example>",
        "DATA",
        "QUIT",
    ]
    (message,) = peer.messages
    assert (message.reverse_path, message.recipients) == (
        "me@here.example",
        ["one@peer.example", "two@peer.example"],
    )
    assert message.data == TEXT
    assert message.email["Subject"] == "hello"
    assert message.email.get_content() == ".Hello.\n"
    assert str(message) == (
        f"from <me@here.example> to one@peer.example, two@peer.example: {len(TEXT)} octets"
    )


def test_commands_are_noted_as_they_came() -> None:
    """Also those that are wrong, or nothing at all, or of another protocol."""
    said = b"ehlo here\r\nmail from: me@here.example\r\nXYZZY\tx\r\nMAIL\r\n\r\n\xff\r\n"
    said += b"RCPT TO:<>\r\n"
    peer = Script(at("xyzzy", say(250))).peer()
    codes = [line[:3] for line in talk(peer, said).splitlines()]
    assert codes == [b"220", b"500", b"503", b"250", b"503", b"500", b"500", b"503"]
    assert peer.commands == [
        "ehlo here", "mail from: me@here.example", "XYZZY\tx", "MAIL", "", "\\xff", "RCPT TO:<>",
    ]  # fmt: skip


# What is answered in the session above, but for what the rules say: by the number of the reply.
ORDINARY: Final = (GREETING, HELLO, OKAY, OKAY, OKAY, START, OKAY, BYE)
FULL: Final = b"452 Requested action not taken: insufficient system storage\r\n"
GONE: Final = b"421 peer.example Service not available, closing transmission channel\r\n"

OUT_OF_ORDER: Final = b"503 Bad sequence of commands\r\n"
NO_DATA: Final = OUT_OF_ORDER + b"500 Syntax error, command unrecognized\r\n" * 4 + BYE


def replies(**changed: bytes) -> bytes:
    """The ordinary answers, with some of them changed; "r3" is the answer to the third command."""
    answers = dict(enumerate(ORDINARY)) | {int(at[1:]): said for at, said in changed.items()}
    return b"".join(answers.values())


ANSWERS: Final[tuple[tuple[tuple[Any, ...], bytes, int], ...]] = (
    # the rules, what is said then, how many messages are taken
    ((at("RCPT", 2, say(452)),), replies(r4=FULL), 1),
    ((at("RCPT", say(452)),), b"".join(ORDINARY[:3]) + FULL * 2 + NO_DATA, 0),
    ((at("HELO", say(250, "a", "b")),), replies(r1=b"250-peer.example a\r\n250 b\r\n"), 1),
    ((at("CONNECT", say(220, "Hello")),), replies(r0=b"220 peer.example Hello\r\n"), 1),
    ((at("CONNECT", say(554, "No")),), replies(r0=b"554 No\r\n"), 1),
    ((at("CONNECT", say(421)),), GONE, 0),
    ((at("CONNECT", close()),), b"", 0),
    ((at("CONNECT", close(after=0)),), GREETING, 0),
    ((at("CONNECT", reset()),), b"!", 0),
    ((at("HELO", reset(after=0)),), GREETING + HELLO + b"!", 0),
    ((at("end of data", say(452)),), replies(r6=FULL), 0),
    ((at("END OF DATA", say_nothing()),), replies(r6=b""), 1),
    ((at("END OF DATA", say_nothing(), close()),), b"".join(ORDINARY[:6]), 1),
    ((at("END OF DATA", close()),), b"".join(ORDINARY[:6]), 0),
    ((at("DATA", close(after=10)),), b"".join(ORDINARY[:6]), 0),
    ((at("DATA", reset(after=10)),), b"".join(ORDINARY[:6]) + b"!", 0),
    ((at("DATA", close(after=10_000)),), b"".join(ORDINARY), 1),
    ((at("DATA", say(354, "Go"), close(after=3)),), b"".join(ORDINARY[:5]) + b"354 Go\r\n", 0),
    ((at("MAIL", answer(), say(250, "More")),), replies(r2=OKAY + b"250 More\r\n"), 1),
    ((at("MAIL", say(b"250 yes\r\n")),), replies(r2=b"250 yes\r\n"), 1),
    ((at("MAIL", say(b"\x00\xff\r\n")),), replies(r2=b"\x00\xff\r\n"), 1),
    ((at("MAIL", say(b"")),), replies(r2=b""), 1),
    ((at("MAIL", say(354)),), b"".join(ORDINARY[:2]) + START + OUT_OF_ORDER * 2 + NO_DATA, 0),
    ((at("RCPT", 1, say(551, "gone")),), replies(r3=b"551 gone\r\n"), 1),
    ((at("RCPT", 1, say(599, "never")),), replies(r3=b"599 never\r\n"), 1),
    ((at("RCPT", 1, say(299, "so")),), replies(r3=b"299 so\r\n"), 1),
    ((at("QUIT", say(250)),), replies(r7=OKAY), 1),
    ((at("QUIT", answer(), say(421)),), replies(
        r7=BYE + b"421 Service not available, closing transmission channel\r\n"), 1),
    ((at("anything", answer(cut=1)),), b"".join(ORDINARY), 1),
    ((at(ANYTHING, 3, answer(), say(421)),), b"".join(ORDINARY[:3]) + GONE, 0),
    ((at(ANYTHING, 3, say(421), say(250)),), b"".join(ORDINARY[:2]) + GONE + OKAY, 0),
    ((at("MAIL", 1, say(451)), at("MAIL", say(452))), b"".join(ORDINARY[:2])
     + b"451 Requested action aborted: local error in processing\r\n"
     + OUT_OF_ORDER * 2 + NO_DATA, 0),
    ((at("HELP", say(214)), at("RCPT", 3, say(550))), b"".join(ORDINARY), 1),
)  # fmt: skip


@pytest.mark.parametrize(("rules", "said", "taken"), ANSWERS, ids=lambda value: str(value)[:60])
@pytest.mark.parametrize("cut", [None, 1, 7])
def test_what_is_said(rules: tuple[Any, ...], said: bytes, taken: int, cut: int | None) -> None:
    """Each rule has its effect, and no other, however the bytes of the client come."""
    peer = Script(*rules).peer()
    assert talk(peer, SESSION, cut) == said
    assert len(peer.messages) == taken
    assert all(message.data == TEXT for message in peer.messages)


@given(cuts=st.lists(st.integers(1, 40), min_size=1), row=st.sampled_from(ANSWERS))
def test_any_cut(cuts: list[int], row: tuple[tuple[Any, ...], bytes, int]) -> None:
    """What a peer says depends on what it hears, not on how that is cut."""
    rules, said, taken = row
    peer = Script(*rules).peer()
    session, heard, begin = peer("client"), bytearray(), 0
    with contextlib.suppress(ConnectionResetError):
        for cut in itertools.cycle(cuts):
            listen(session, heard)
            if begin >= len(SESSION):
                break
            session.receive_data(SESSION[begin : begin + cut])
            begin += cut
    assert heard == said.removesuffix(b"!")
    assert len(peer.messages) == taken


# What clients send, and what none should.
HEARD: Final = (
    *SESSION.splitlines(keepends=True),
    *(b"EHLO a\r\n", b"ehlo\tb\r\n", b"EHLO\r\n", b"RSET\r\n", b"VRFY a\r\n", b"TURN\r\n"),
    *(b".\r\n", b"\r\n", b".", b"\r", b"\n", b"\0", b"\xff", b"x" * 2000),
)
PLAYED: Final = (
    *(rules for rules, _, _ in ANSWERS),
    (at("EHLO", say(250)), at("RCPT", say_nothing())),
    (at("EHLO", say(b"250-a\r\n250 b\r\n")), at(ANYTHING, 7, say(250), say(b"!"))),
    (at(ANYTHING, say(250)),),
    (at(ANYTHING, say(599, "No")),),
    (at(ANYTHING, say_nothing()),),
    (at("DATA", answer(), close(after=5)),),
)


@given(
    heard=st.lists(st.sampled_from(HEARD), max_size=30).map(b"".join),
    cut=st.integers(1, 50),
    rules=st.sampled_from(PLAYED),
)
def test_whatever_is_heard(heard: bytes, cut: int, rules: tuple[Any, ...]) -> None:
    """No client can make a peer fail, or do something else by how its bytes are cut."""
    whole, pieces = Script(*rules).peer(), Script(*rules).peer()
    assert talk(whole, heard or b"\r\n") == talk(pieces, heard or b"\r\n", cut)
    assert whole.commands == pieces.commands
    assert whole.messages == pieces.messages


def test_more_than_rfc_821_is_spoken() -> None:
    """250 to EHLO stands for HELO, as often as it is said; after 421 nothing does."""
    heard = b"EHLO a\r\nMAIL FROM:<a@b>\r\n"
    peer = Script(at("EHLO", say(b"250-a\r\n250 B\r\n"))).peer()
    assert talk(peer, heard) == GREETING + b"250-a\r\n250 B\r\n" + OKAY
    assert peer.commands == ["EHLO a", "MAIL FROM:<a@b>"]
    assert talk(Script(at("EHLO", say(250), say(250))).peer(), heard) == GREETING + OKAY * 3
    assert talk(Script(at("EHLO", say(421), say(250))).peer(), heard) == GREETING + GONE + OKAY
    assert talk(Script(at("EHLO", say(502))).peer(), heard).endswith(OUT_OF_ORDER)


def test_a_cut_reply() -> None:
    """A reply in pieces is that, and bytes may be cut as well."""
    peer = Script(at("CONNECT", say(220, "Hi", cut=9)), at("HELO", say(b"250 x\r\n", cut=2))).peer()
    session = peer("client")
    session.receive_data(b"HELO here.example\r\n")
    pieces = [session.next_piece() for _ in range(8)]
    assert pieces == [b"220 peer.", b"example H", b"i\r\n", b"25", b"0 ", b"x\r", b"\n", None]


def test_a_reply_without_end() -> None:
    """It comes as long as it is asked for; when the client has gone, it ends."""
    peer = Script(at("CONNECT", say_forever(220)), at("NOOP", say_forever(b"!"))).peer()
    session = peer("client")
    assert [session.next_piece() for _ in range(1000)] == [b"220-and more\r\n"] * 1000
    session.lost()
    assert session.next_piece() == b""


def test_the_octets_before_the_end() -> None:
    """No octet more is heard than was said, wherever lines end."""
    for count in range(60):
        peer = Script(at("MAIL", close(after=count))).peer()
        hello, mail, rest = SESSION.split(b"\r\n", 2)
        talk(peer, SESSION)
        heard = [line for line in rest[:count].splitlines(keepends=True) if line[-1:] == b"\n"]
        lines = [line.rstrip().decode() for line in heard if not rest[:count].endswith(line)]
        assert peer.commands[2:] == lines
        assert peer.commands[:2] == [hello.decode(), mail.decode()]


def test_the_end_of_file() -> None:
    """A client that closes in the middle is answered for what it has said, and no more."""
    peer = Script().peer()
    session = peer("client")
    session.receive_data(SESSION[:-10])
    session.receive_data(b"")
    said = bytearray()
    listen(session, said)
    assert said == b"".join(ORDINARY[:6])
    assert peer.messages == []


def test_the_message_is_counted_anew() -> None:
    """Nothing of a message that was cut short, or refused, is in the next one."""
    first, last = SESSION.removesuffix(b"QUIT\r\n"), SESSION.removeprefix(b"HELO here.example\r\n")
    peer = Script(at("END OF DATA", 1, say(451))).peer()
    talk(peer, first + last.replace(b"hello", b"again"))
    assert [message.data for message in peer.messages] == [TEXT.replace(b"hello", b"again")]
    peer = Script().peer()
    talk(peer, first.replace(b"hello", b"he\rllo") + last)
    assert [message.data for message in peer.messages] == [TEXT]


def test_counted_over_all_connections() -> None:
    """The n-th of a kind is the n-th that the peer hears: so a second try can succeed."""
    peer = Script(at("CONNECT", 1, say(421)), at("RCPT", 2, say(450))).peer()
    assert talk(peer, SESSION) == GONE
    assert b"450 " in talk(peer, SESSION)
    assert talk(peer, SESSION) == b"".join(ORDINARY)
    assert peer.connections == 3


def test_other_rules_from_now_on() -> None:
    """`script` holds at once, counts from 1 again, and keeps name and dialect; `clear` forgets."""
    peer = Script(at("NOOP", 1, say(500)), domain="other.example", dialect=RFC821).peer()
    session = peer("client")

    def ask(line: bytes) -> bytes:
        session.receive_data(line)
        return b"".join(iter(session.next_piece, None))

    assert ask(b"NOOP\r\n").startswith(b"220 other.example ")
    assert ask(b"NOOP\r\n") == OKAY
    peer.script(at("NOOP", 1, say(b"x\r\n")))
    assert ask(b"NOOP\r\nNOOP\r\n") == b"x\r\n" + OKAY
    peer.script()
    assert ask(b"NOOP\r\nmail from:x\r\n") == OKAY + OUT_OF_ORDER
    assert (len(peer.commands), peer.connections) == (6, 1)
    peer.clear()
    assert (peer.commands, peer.messages, peer.connections) == ([], [], 0)
    assert ask(b"HELO a\r\nMAIL FROM:x\r\n").startswith(b"250 other.example\r\n501 ")


def test_an_action_of_ones_own() -> None:
    """A generator function that is given the session can say what no rule can."""

    def echo(session: Session) -> Iterator[bytes]:
        yield session.ordinary()
        yield session.ordinary()  # there is no other
        yield session.reply(Reply(250, "Again"))
        session.end(after=4)

    peer = Script(at("NOOP", echo)).peer()
    assert talk(peer, b"NOOP\r\nQUIT\r\n") == GREETING + OKAY + b"250 Again\r\n"


# What a client makes of it, over memory and at a port.

LOST: Final = SessionLost
OUTCOMES: Final[tuple[tuple[tuple[Any, ...], list[Any]], ...]] = (
    ((), [250, 250]),
    ((at("RCPT", 2, say(452)),), [250, 452]),
    ((at("DATA", close(after=10)),), [LOST, LOST]),
    ((at("DATA", close()),), [LOST, LOST]),
    ((at("MAIL", say(b"25"), close()),), [LOST, LOST]),
    ((at(ANYTHING, answer(cut=1)),), [250, 250]),
    ((at("RCPT", 1, say_forever(250)),), [RemoteProtocolError] * 2),
    ((at(ANYTHING, 4, say(421)),), [421, LOST]),
    ((at("MAIL", say(b"ok\r\n")),), [RemoteProtocolError] * 2),
    ((at("END OF DATA", say(554, "No", "never")),), [554, 554]),
    ((at("RCPT", say(b"550\r\n")),), [550, 550]),
    ((at("RCPT", reset()),), [ConnectionResetError] * 2),
)


@everywhere
@pytest.mark.parametrize(("rules", "results"), OUTCOMES, ids=lambda value: str(value)[:60])
def test_what_a_client_makes_of_it(where: str, rules: tuple[Any, ...], results: list[Any]) -> None:
    """The same script has the same outcome, over memory and at a port."""
    peer, outcome = play(where, *rules)
    assert outcome == results
    assert peer.commands[0] == "HELO here.example"


@everywhere
def test_nothing_is_said(where: str) -> None:
    """A client that waits for an answer in vain has its time for it."""
    times = attrs.evolve(Timeouts.all(TIMEOUT), mail=0.01)
    _, outcome = play(where, at("MAIL", say_nothing()), timeouts=times)
    assert outcome == [TimeoutError, TimeoutError]


@everywhere
def test_a_line_is_said_without_end(where: str) -> None:
    """A reply has to be complete within its time, even where it never stops coming."""
    times = attrs.evolve(Timeouts.all(TIMEOUT), mail=0.01)
    _, outcome = play(where, at("MAIL", say_forever(b"250-")), timeouts=times)
    assert outcome == [TimeoutError, TimeoutError]


@everywhere
def test_more_is_said_than_was_asked(where: str) -> None:
    """A reply behind the awaited one is found with it, where the two come together."""
    script = Script(at("NOOP", say(b"250 OK\r\n250 More\r\n")))
    with playing(where, script) as (_, client), client, pytest.raises(RemoteProtocolError):
        client.command(Noop())


def test_more_is_said_afterwards() -> None:
    """Where it comes by itself, it is found before the next command is sent."""
    script = Script(at("NOOP", answer(), say(250, "More")))
    with playing("memory", script) as (peer, client), client:
        assert client.command(Noop()) == Reply(250)
        with pytest.raises(RemoteProtocolError):
            client.command(Quit())
    assert peer.commands == ["HELO here.example", "NOOP"]


@everywhere
def test_the_session_is_refused(where: str) -> None:
    """A greeting of 421, or of any code that refuses."""
    for code in (421, 554):
        with playing(where, Script(at("CONNECT", say(code)))) as (_, client):
            with pytest.raises(SessionRefused) as refusal:
                client.open()
            assert refusal.value.reply.code == code


@everywhere
def test_a_second_try(where: str) -> None:
    """What fails once, and then does not, is how a queue is tested."""
    script = Script(at("CONNECT", 1, close()), at("MAIL", 1, say(451)))
    with playing(where, script) as (peer, client):
        with pytest.raises(SessionLost):
            client.open()
        statuses = []
        for _ in range(2):
            with client:
                statuses.append(client.send(HERE, USERS, TEXT).status)
        assert statuses == [Status.TEMPORARY, Status.ACCEPTED]
        assert peer.wait()[0].data == TEXT
        assert peer.connections == 3


@everywhere
def test_every_command(where: str) -> None:
    """The rest of the commands has an answer too."""
    with playing(where, Script()) as (_, client), client:
        asked = (
            Noop(),
            Help(),
            Vrfy("x"),
            Helo("a.example"),
            Mail(
                HERE,
            ),
            Rcpt(USERS[0]),
            Quit(),
        )
        assert [client.command(command).code for command in asked] == [
            250, 214, 502, 250, 250, 250, 221,
        ]  # fmt: skip


def test_clients_that_are_awaited() -> None:
    """Over memory for each event loop: the peer is the same."""

    async def send(client: Any, peer: ScriptedPeer) -> None:
        async with memory.client(client, peer, cut=1) as session:
            results = (await session.send(HERE, USERS, TEXT)).recipients
        assert [result.reply.code for result in results] == [250, 452]

    peer = Script(at("RCPT", 2, say(452)), at("RCPT", 4, say(452))).peer()
    asyncio.run(send(smtp821.asyncio.Client, peer))
    trio.run(send, smtp821.trio.Client, peer)
    assert [message.recipients for message in peer.wait(2)] == [["one@peer.example"]] * 2


# At a port.


def connect(server: ScriptedServer) -> Wire:
    """A connection."""
    return Wire(socket.create_connection(server.address, TIMEOUT))


def threads() -> list[threading.Thread]:
    """Those of scripted servers."""
    return [thread for thread in threading.enumerate() if thread.name == "smtp821 script"]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server that takes mail, of which nothing is left."""
    with Script().listening() as server:
        yield server
    assert threads() == []
    gc.collect(1)


def test_a_port_of_the_loopback_interface(server: ScriptedServer) -> None:
    """Where it listens is known as soon as it is there."""
    assert server.address == (server.host, server.port) == ("127.0.0.1", server.port)
    assert len(threads()) == 1
    with connect(server) as wire:
        wire.hears(GREETING)


def test_a_client_of_the_standard_library(server: ScriptedServer) -> None:
    """It says EHLO first, and HELO if that is not taken."""
    with smtplib.SMTP(*server.address, local_hostname="here.example") as client:
        client.sendmail("me@here.example", ["one@peer.example"], "Subject: x\n\n.\n")
    assert server.commands[:2] == ["ehlo here.example", "helo here.example"]
    assert server.messages[0].data == b"Subject: x\r\n\r\n.\r\n"
    server.clear()
    server.script(at("EHLO", say(250, "peer.example", "HELP")), at("RCPT", say(550)))
    with smtplib.SMTP(*server.address, local_hostname="here.example") as client:
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            client.sendmail("me@here.example", ["one@peer.example"], "Subject: x\n\n.\n")
        assert client.esmtp_features == {"help": ""}
    assert server.commands[:2] == ["ehlo here.example", "mail FROM:<me@here.example>"]


def test_many_at_the_same_time(server: ScriptedServer) -> None:
    """One thread serves all; a client that does nothing keeps nobody waiting."""
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(connect(server)) for _ in range(20)]
        for wire in wires[1:]:
            wire.send(SESSION)
        for wire in reversed(wires[1:]):
            wire.hears(b"".join(ORDINARY))
            wire.finish()
            assert wire.rest() == b""
        wires[0].hears(GREETING)
    assert len(server.messages) == 19


def test_all_is_answered_before_the_end(server: ScriptedServer) -> None:
    """A client that has said all, and half closed, is still answered."""
    with connect(server) as wire:
        wire.send(SESSION.removesuffix(b"QUIT\r\n"))
        wire.finish()
        assert wire.rest() == b"".join(ORDINARY[:7])


def test_what_comes_after_the_end(server: ScriptedServer) -> None:
    """What is said behind QUIT is read, lest the client's system calls it a broken connection."""
    with connect(server) as wire:
        wire.send(b"QUIT\r\n")
        wire.hears(GREETING + BYE)
        wire.send(b"NOOP\r\n" * 1000)
        assert wire.rest() == b""
        wire.finish()
    assert server.commands == ["QUIT"]


def test_a_client_that_breaks_off(server: ScriptedServer) -> None:
    """It is forgotten, whatever it was at; the others are served."""
    for said in (b"", b"NOOP\r\n", SESSION[:-20]):
        with connect(server) as wire:
            wire.send(said)
            wire.hears(GREETING)
            wire.reset()
    with connect(server) as wire:
        wire.send(SESSION)
        wire.hears(b"".join(ORDINARY))


def test_a_client_that_does_not_read(server: ScriptedServer) -> None:
    """What is said waits for it, in part or whole; meanwhile others are served."""
    server.script(at("HELP", say_forever(b"214-" + b"x" * (1 << 23) + b"\r\n")))
    with connect(server) as idle, connect(server) as wire:
        idle.send(b"HELP\r\n")
        idle.hears(GREETING + b"214-xxx")
        wire.send(SESSION)
        wire.hears(b"".join(ORDINARY))
        left = 1 << 24
        while left > 0:
            left -= len(idle.sock.recv(1 << 16))
        server.stop()


def test_stopped_in_the_middle(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """All connections are closed; to stop again does nothing."""
    monkeypatch.setattr("smtp821.testing.listening._GRACE", 0.0)
    with connect(server) as wire:
        wire.hears(GREETING)
        server.stop()
        assert wire.remains() == b""
        assert threads() == []
        server.stop()
    with pytest.raises(ConnectionRefusedError):
        connect(server)


def test_who_is_about_to_leave(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client whose message was just taken is still answered when the server stops."""
    monkeypatch.setattr("smtp821.testing.listening._GRACE", TIMEOUT)
    with connect(server) as wire:
        wire.send(SESSION.removesuffix(b"QUIT\r\n"))
        server.wait(timeout=TIMEOUT)
        stopping = threading.Thread(target=server.stop, daemon=True)
        stopping.start()
        wire.send(b"QUIT\r\n")
        wire.hears(b"".join(ORDINARY))
        wire.finish()
        assert wire.rest() == b""
        stopping.join(TIMEOUT)
        assert threads() == []


def test_an_action_that_fails() -> None:
    """The test hears of it when the server is stopped, once; the client finds it gone."""

    def fail(session: Session) -> Iterator[bytes]:
        raise LookupError("for the test")

    server = Script(at("NOOP", fail)).listening()
    with connect(server) as wire:
        wire.send(b"NOOP\r\n")
        assert wire.remains() in (GREETING, b"")
    with pytest.raises(LookupError, match="for the test"):
        server.stop()
    server.stop()
    with pytest.raises(LookupError):
        talk(Script(at("NOOP", fail)).peer(), b"NOOP\r\n")


# Waiting.


def test_waiting_for_messages(server: ScriptedServer) -> None:
    """`wait` gives the messages as soon as there are so many."""
    got: list[list[bytes]] = []

    def wait() -> None:
        got.append([message.data for message in server.wait(2, TIMEOUT)])

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    for _ in range(2):
        with connect(server) as wire:
            wire.send(SESSION)
            wire.hears(b"".join(ORDINARY))
    waiting.join(TIMEOUT)
    assert got == [[TEXT, TEXT]]
    assert len(server.wait()) == 2  # at least one


def test_waiting_in_vain() -> None:
    """What has come instead is in the error."""
    peer = Script().peer()
    with pytest.raises(AssertionError) as nothing:
        peer.wait(timeout=0.01)
    assert str(nothing.value) == "0 of 1 messages came in 0.01 seconds\nno command was heard"
    talk(peer, SESSION)
    talk(peer, b"NOOP\r\n")
    with pytest.raises(AssertionError) as one:
        peer.wait(2, 0.01)
    assert str(one.value).splitlines() == [
        "1 of 2 messages came in 0.01 seconds",
        f"  from <me@here.example> to one@peer.example, two@peer.example: {len(TEXT)} octets",
        "the last commands were",
        "  RCPT TO:<one@peer.example>",
        "  RCPT TO:<two@peer.example>",
        "  DATA",
        "  QUIT",
        "  NOOP",
    ]
