"""The Client, against a peer that follows a script over a real connection."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import select
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path as File
from typing import Any, Final

import attrs
import pytest

from smtp821 import (
    RFC821,
    RFC821_LENIENT,
    Handler,
    Helo,
    LocalProtocolError,
    Mail,
    Noop,
    Path,
    Quit,
    Rcpt,
    RemoteProtocolError,
    Reply,
    Rset,
    Turn,
    Verb,
)
from smtp821.delivery import (
    Delivery,
    RecipientResult,
    SessionLost,
    SessionRefused,
    Status,
)
from smtp821.timeouts import Timeouts

from .adapters import TIMEOUT, Client, source, wait_to_hear
from .peers import (
    BYE,
    DATA,
    GREETING,
    HELLO,
    MAIL,
    NOT_AVAILABLE,
    OKAY,
    OPENING,
    QUIT,
    RCPT,
    RSET,
    START,
    TRANSACTION_VERBS,
    Catcher,
    Exchange,
    Script,
    Wire,
    client_of,
    playing,
    session,
    turns,
)
from .walks import EXAMPLES, LINES

SMITH: Final = "<Smith@ALPHA.ARPA>"
JONES: Final = "<Jones@BETA.ARPA>"
BROWN: Final = "<Brown@BETA.ARPA>"
GREEN: Final = "<Green@BETA.ARPA>"
RCPT_BROWN: Final = b"RCPT TO:<Brown@BETA.ARPA>\r\n"
RCPT_GREEN: Final = b"RCPT TO:<Green@BETA.ARPA>\r\n"
TEXT: Final = b"Hello\r\n.dot\r\n"
MESSAGE: Final = b"Hello\r\n..dot\r\n.\r\n"
BEGUN: Final[tuple[Exchange, ...]] = ((MAIL, OKAY), (RCPT, OKAY), (DATA, START))
WHOLE: Final[tuple[Exchange, ...]] = (*BEGUN, (MESSAGE, OKAY))
END: Final = b"\r\n.\r\n"


pytestmark = pytest.mark.usefixtures("adapter")


@contextlib.contextmanager
def talking(*dialogue: Exchange) -> Iterator[Client]:
    """A client in a session of exactly these turns, and QUIT."""
    with playing(session(*dialogue)) as port, client_of(port) as client:
        yield client


@contextlib.contextmanager
def facing(script: Script, *dialogue: Exchange) -> Iterator[Client]:
    """A client in a session that begins with these turns, and goes on as a script has it."""
    opened = threading.Event()

    def whole(wire: Wire) -> None:
        says(wire, *OPENING)
        assert opened.wait(TIMEOUT)
        says(wire, *dialogue)
        script(wire)

    with playing(whole) as port, client_of(port) as client:
        opened.set()
        yield client


def says(wire: Wire, *dialogue: Exchange) -> None:
    """Play the peer's part in a dialogue."""
    for heard, said in dialogue:
        wire.hears(heard)
        wire.send(said)


def hears_nothing(wire: Wire) -> None:
    """See that the client closes the connection without a word."""
    assert wire.rest() == b""


def to_jones(client: Client, message: Any = TEXT) -> Delivery:
    """Send a message to Jones."""
    return client.send(SMITH, [JONES], message)


def codes(delivery: Delivery) -> list[tuple[Status, int | None]]:
    """What became of each recipient, and the code that decided."""
    return [(r.status, r.reply.code if r.reply else None) for r in delivery.recipients]


def is_over(client: Client) -> bool:
    """Whether the connection is closed, so that every command says so."""
    with pytest.raises(SessionLost, match="there is no connection"):
        client.command(Noop())
    return True


# Opening and closing (3.5).


@pytest.mark.clause("3.5-01", "G-04")
def test_a_session() -> None:
    """Greeting, HELO, QUIT (3.5); the greeting is remembered."""
    with talking() as client:
        assert client.greeting == Reply(220, "BETA.ARPA Simple Mail Transfer Service Ready")
    assert is_over(client)


@pytest.mark.clause("AMB-27")
@pytest.mark.parametrize("code", [421, 450, 521, 554])
def test_a_greeting_that_refuses(code: int) -> None:
    """A greeting that is a no ends the session: with QUIT, unless 421 has ended it (AMB-27)."""
    greeting = (b"", b"%d no\r\n" % code)
    dialogue = [greeting] if code == 421 else [greeting, QUIT]
    with playing(turns(*dialogue)) as port:
        client = client_of(port)
        with pytest.raises(SessionRefused) as refused:
            client.open()
        assert refused.value.reply == Reply(code, "no")
        assert client.greeting == Reply(code, "no")
        assert is_over(client)


@pytest.mark.clause("4.1.1.QUIT-03")
@pytest.mark.parametrize("code", [421, 451, 500, 501, 504, 550])
def test_helo_refused(code: int) -> None:
    """HELO refused: the session is refused, and left as it should be (3.5, 4.1.1 QUIT)."""
    dialogue = [OPENING[0], (OPENING[1][0], b"%d no\r\n" % code)]
    with playing(turns(*dialogue, *([] if code == 421 else [QUIT]))) as port:
        client = client_of(port)
        with pytest.raises(SessionRefused) as refused, client:
            pass
        assert refused.value.reply == Reply(code, "no")
        assert is_over(client)


def test_nobody_listens() -> None:
    """Where there is no server there is an OSError."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(OSError):
        client_of(port).open()


@pytest.mark.parametrize("step", [0, 1])
def test_the_opening_is_cut_short(step: int) -> None:
    """A server that hangs up before it has greeted, or answered HELO, holds no session."""

    def script(wire: Wire) -> None:
        says(wire, *OPENING[:step])
        wire.hears(OPENING[step][0])
        wire.send(OPENING[step][1][:5])

    with playing(script) as port:
        client = client_of(port)
        with pytest.raises(SessionLost, match="the other side closed the connection") as lost:
            client.open()
        assert lost.value.awaiting is (Verb.CONNECT, Verb.HELO)[step]
        assert is_over(client)


@pytest.mark.parametrize("greeting", [b"hello\r\n", b"220_hello\r\n", b"354 go\r\n", b"999 x\r\n"])
def test_a_greeting_that_is_none(greeting: bytes) -> None:
    """What is no reply, or none to a connection, is a RemoteProtocolError."""
    with playing(turns((b"", greeting))) as port:
        client = client_of(port)
        with pytest.raises(RemoteProtocolError):
            client.open()
        assert is_over(client)


@pytest.mark.parametrize("step", [0, 1])
def test_a_reply_too_many_in_the_opening(step: int) -> None:
    """A reply that nothing has asked for must not answer what comes next."""
    dialogue = list(OPENING[: step + 1])
    dialogue[step] = (dialogue[step][0], dialogue[step][1] + OKAY)
    awaits = pytest.raises(RemoteProtocolError, match="that nothing awaits")
    with playing(turns(*dialogue)) as port, awaits:
        client_of(port).open()


def test_a_server_that_greets_and_closes() -> None:
    """220 and 421 in one go: there is no session."""
    with playing(turns((b"", GREETING + NOT_AVAILABLE))) as port:
        client = client_of(port)
        with pytest.raises(SessionLost):
            client.open()
        assert client.greeting is not None
        assert client.greeting.code == 220


def test_close_never_raises() -> None:
    """Whatever the peer does at QUIT, and however often it is closed."""
    for answer in (b"", b"500 what?\r\n", b"garbage\r\n", BYE + BYE, NOT_AVAILABLE):
        with playing(turns(*OPENING, (b"QUIT\r\n", answer))) as port:
            client = client_of(port)
            client.open()
            if not answer:
                client.timeouts = Timeouts.all(0.01)
            client.close()
            client.close()
            assert is_over(client)
    client_of(25).close()


def test_close_when_the_peer_is_gone() -> None:
    """A QUIT that cannot be said is not said."""
    with facing(Wire.reset) as client:
        wait_to_hear(client)
        client.close()
        assert is_over(client)


@pytest.mark.clause("4.1.1.QUIT-03")
def test_quit_is_said_whatever_happens() -> None:
    """A program that fails in the middle of a session leaves it in order (4.1.1 QUIT)."""
    with playing(session((MAIL, OKAY))) as port:
        client = client_of(port)
        with contextlib.suppress(ZeroDivisionError), client:
            client.command(Mail(SMITH))
            raise ZeroDivisionError
        assert is_over(client)


@pytest.mark.clause("4.1.1.QUIT-06")
def test_a_command_behind_quit() -> None:
    """QUIT is the last command (4.1.1)."""
    with playing(session()) as port, client_of(port) as client:
        assert client.command(Quit()).code == 221
        assert is_over(client)


def test_opened_twice() -> None:
    """A session that is open is not opened; one that is over is, anew."""
    with playing(session(), session((b"NOOP\r\n", OKAY))) as port:
        client = client_of(port)
        with client, pytest.raises(LocalProtocolError, match="open already"):
            client.open()
        with client:
            assert client.command(Noop()) == Reply(250, "OK")


# HELO.


@pytest.mark.clause("3.5-02", "4.1.1.HELO-01")
@pytest.mark.parametrize(
    ("own", "name"),
    [
        ("host.example", b"host.example"),
        ("no domain", b"[127.0.0.1]"),
        ("", b"[127.0.0.1]"),
        ("under_score.example", b"[127.0.0.1]"),
        (f"{'x' * 60}.example", b"[127.0.0.1]"),
    ],
)
def test_the_name_of_this_host(monkeypatch: pytest.MonkeyPatch, own: str, name: bytes) -> None:
    """Left out it is what the system says, or where that is no domain (3.7) the address."""
    monkeypatch.setattr(socket, "getfqdn", lambda: own)
    dialogue = (OPENING[0], (b"HELO " + name + b"\r\n", HELLO), QUIT)
    with playing(turns(*dialogue)) as port, client_of(port, helo=None):
        pass


def test_a_host_without_a_name_or_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses of IPv6 cannot be written (4.1.2 <dotnum>); something has to be said."""
    monkeypatch.setattr(socket, "getfqdn", lambda: "no domain")
    script = turns(OPENING[0], (b"HELO localhost\r\n", HELLO), QUIT)
    with playing(script) as port:
        monkeypatch.setattr(socket.socket, "getsockname", lambda sock: ("::1", 4021, 0, 0))
        with client_of(port, helo=None):
            pass


@pytest.mark.clause("3.5-02")
def test_a_helo_that_is_no_domain() -> None:
    """It is refused at once, before there is a connection."""
    with pytest.raises(LocalProtocolError, match="is not a Domain"):
        client_of(25, helo="no domain")


def test_a_helo_that_is_too_long() -> None:
    """What the dialect does not allow on the wire is not sent (4.5.3); nothing stays open."""
    with playing(turns(OPENING[0], QUIT)) as port:
        client = client_of(port, helo=f"{'x' * 60}.example")
        with pytest.raises(LocalProtocolError, match="Domain too long"):
            client.open()
        assert is_over(client)


# What became of each recipient.


def test_a_message() -> None:
    """One transaction, to the letter (3.1, 4.5.2)."""
    with talking(*WHOLE) as client:
        delivery = to_jones(client)
    accepted = RecipientResult(Path(JONES), Status.ACCEPTED, Reply(250, "OK"))
    assert delivery == Delivery((accepted,))


def test_two_messages() -> None:
    """A session is good for any number of them."""
    with talking(*WHOLE, *WHOLE) as client:
        assert [to_jones(client).status for _ in range(2)] == [Status.ACCEPTED] * 2


def test_each_recipient_has_an_outcome() -> None:
    """Accepted, refused for good or for now, forwarded or moved (3.1, 3.2): each its own."""
    far = b"<far@USC-ISI.ARPA>"
    dialogue = [
        (MAIL, OKAY),
        (b"RCPT TO:<a@b>\r\n", OKAY),
        (b"RCPT TO:<c@b>\r\n", b"550 No such user here\r\n"),
        (b"RCPT TO:<d@b>\r\n", b"450 busy\r\n"),
        (b"RCPT TO:<e@b>\r\n", b"251 User not local; will forward to %s\r\n" % far),
        (b"RCPT TO:<f@b>\r\n", b"551 User not local; please try %s\r\n" % far),
        (DATA, START),
        (MESSAGE, b"250 queued\r\n"),
    ]
    with talking(*dialogue) as client:
        delivery = client.send(SMITH, [f"<{user}@b>" for user in "acdef"], TEXT)
    assert delivery.status is Status.PARTIAL
    assert codes(delivery) == [
        (Status.ACCEPTED, 250),
        (Status.PERMANENT, 550),
        (Status.TEMPORARY, 450),
        (Status.ACCEPTED, 251),
        (Status.PERMANENT, 551),
    ]
    assert delivery.recipients[0].reply == Reply(250, "queued")
    assert [r.forward_path for r in delivery.recipients[3:]] == [Path(far.decode())] * 2


def test_mail_refused() -> None:
    """MAIL refused: nothing more of the transaction is said."""
    with talking((MAIL, b"552 full\r\n")) as client:
        assert codes(to_jones(client)) == [(Status.PERMANENT, 552)]


def test_everybody_refused() -> None:
    """Without recipients no message is sent; the transaction is aborted (3.1, scenario 2)."""
    with talking((MAIL, OKAY), (RCPT, b"550 no\r\n"), (RSET, OKAY)) as client:
        assert codes(to_jones(client)) == [(Status.PERMANENT, 550)]


@pytest.mark.parametrize(
    ("code", "status"), [(451, Status.TEMPORARY), (554, Status.PERMANENT), (503, Status.PERMANENT)]
)
def test_data_refused(code: int, status: Status) -> None:
    """DATA refused: the message is not sent, and the next one can be (3.1)."""
    dialogue = [(MAIL, OKAY), (RCPT, OKAY), (DATA, b"%d no\r\n" % code), (RSET, OKAY), *WHOLE]
    with talking(*dialogue) as client:
        assert codes(to_jones(client)) == [(status, code)]
        assert to_jones(client).status is Status.ACCEPTED


@pytest.mark.parametrize(
    ("code", "status"), [(451, Status.TEMPORARY), (452, Status.TEMPORARY), (554, Status.PERMANENT)]
)
def test_the_message_refused(code: int, status: Status) -> None:
    """The reply to the end of the message decides for all (4.1.1 DATA); the session goes on."""
    with talking(*BEGUN, (MESSAGE, b"%d no\r\n" % code), *WHOLE) as client:
        assert codes(to_jones(client)) == [(status, code)]
        assert to_jones(client).status is Status.ACCEPTED


def test_recipient_storage_full() -> None:
    """552 at RCPT: the rest goes in another transaction (4.5.3, Appendix F scenario 10)."""
    dialogue = [
        *((MAIL, OKAY), (RCPT, OKAY), (RCPT_BROWN, b"552 full\r\n"), (DATA, START)),
        *((MESSAGE, OKAY), (MAIL, OKAY), (RCPT_BROWN, OKAY), (RCPT_GREEN, OKAY), (DATA, START)),
        (MESSAGE, OKAY),
    ]
    with talking(*dialogue) as client:
        delivery = client.send(SMITH, [JONES, BROWN, GREEN], TEXT)
    assert codes(delivery) == [(Status.ACCEPTED, 250)] * 3


@pytest.mark.clause("4.5.3-16")
def test_over_a_hundred_recipients() -> None:
    """More than one transaction may have (4.5.3) go in several, each with the whole message."""
    users = [b"RCPT TO:<u%d@b>\r\n" % n for n in range(230)]
    dialogue: list[Exchange] = []
    for start in (0, 100, 200):
        dialogue += [(MAIL, OKAY), *((user, OKAY) for user in users[start : start + 100])]
        dialogue += [(DATA, START), (MESSAGE, OKAY)]
    with talking(*dialogue) as client:
        delivery = client.send(SMITH, [f"<u{n}@b>" for n in range(230)], io.BytesIO(TEXT))
    assert codes(delivery) == [(Status.ACCEPTED, 250)] * 230


def test_over_a_hundred_recipients_and_one_reading() -> None:
    """A message that can be read only once cannot be sent twice: that is said before anything."""
    with talking(*WHOLE) as client:
        with pytest.raises(LocalProtocolError, match="cannot be sent twice"):
            client.send(SMITH, [f"<u{n}@b>" for n in range(101)], iter([TEXT]))
        assert to_jones(client, iter([TEXT])).status is Status.ACCEPTED


def test_552_and_one_reading() -> None:
    """Whoever did not fit in the one transaction is refused."""
    dialogue = [(MAIL, OKAY), (RCPT, OKAY), (RCPT_BROWN, b"552 full\r\n"), (DATA, START)]
    with talking(*dialogue, (MESSAGE, OKAY)) as client:
        delivery = client.send(SMITH, [JONES, BROWN], iter([TEXT]))
    assert codes(delivery) == [(Status.ACCEPTED, 250), (Status.PERMANENT, 552)]


@pytest.mark.clause("3.4-01")
@pytest.mark.parametrize("kind", TRANSACTION_VERBS)
def test_kinds_of_delivery(kind: Verb) -> None:
    """SEND, SOML and SAML stand in the place of MAIL (3.4)."""
    opening = MAIL.replace(b"MAIL", kind.encode())
    with talking((opening, OKAY), *WHOLE[1:]) as client:
        delivery = client.send(Path(SMITH), (Path(JONES),), TEXT, kind=kind)
    assert delivery.status is Status.ACCEPTED


@pytest.mark.parametrize(
    ("reverse", "forward", "message"),
    [
        ("Smith", [JONES], "is not a Path"),
        ("<>", [], "needs a recipient"),
        ("<>", [JONES, "<a@b>\r\nRSET"], "is not a Path"),
        ("<>", [JONES, f"<{'u' * 65}@b>"], "User name too long"),
    ],
)
def test_what_must_not_be_sent(reverse: str, forward: list[str], message: str) -> None:
    """All is looked at before anything is said; the session is as it was."""
    with talking(*WHOLE) as client:
        with pytest.raises(LocalProtocolError, match=message):
            client.send(reverse, forward, TEXT)
        assert to_jones(client).status is Status.ACCEPTED


# Where the message comes from.


def pieces() -> Iterator[bytes]:
    """The message as a generator."""
    yield b"Hel"
    yield b""
    yield b"lo\r"
    yield b"\n.dot\r\n"


def pipe(data: bytes) -> io.BufferedReader:
    """The end of a pipe with the message in it: a file that has no position."""
    reader, writer = os.pipe()
    os.write(writer, data)
    os.close(writer)
    return open(reader, "rb")  # noqa: PTH123 (a descriptor)


SOURCES: Final[dict[str, Callable[[], Any]]] = {
    "bytes": lambda: TEXT,
    "bytearray": lambda: bytearray(TEXT),
    "memoryview": lambda: memoryview(b"#" + TEXT + b"#")[1:-1],
    "file": lambda: io.BytesIO(TEXT),
    "generator": pieces,
    "list": lambda: list(pieces()),
    "views": lambda: [memoryview(TEXT), bytearray()],
    "lone LF": lambda: TEXT.replace(b"\r\n", b"\n"),
    "no last CRLF": lambda: TEXT[:-2],
}


@pytest.mark.parametrize("source", SOURCES)
def test_sources(source: str) -> None:
    """Bytes of any kind, a file, chunks in any cut: it is the same message on the wire (4.5.2)."""
    with talking(*WHOLE) as client:
        assert to_jones(client, SOURCES[source]()).status is Status.ACCEPTED


def test_an_unseekable_file() -> None:
    """A pipe is sent as it comes."""
    with talking(*WHOLE) as client, pipe(TEXT) as file:
        assert to_jones(client, file).status is Status.ACCEPTED


def test_a_file_on_disk(tmp_path: File) -> None:
    """A file is sent from where it stands, in every transaction."""
    (tmp_path / "message").write_bytes(b"not this\n" + TEXT)
    first = ((MAIL, OKAY), (RCPT, OKAY), (RCPT_BROWN, b"552 full\r\n"), *WHOLE[2:])
    second = ((MAIL, OKAY), (RCPT_BROWN, OKAY), *WHOLE[2:])
    with talking(*first, *second) as client, (tmp_path / "message").open("rb") as file:
        file.readline()
        assert client.send(SMITH, [JONES, BROWN], file).status is Status.ACCEPTED


@pytest.mark.clause("AMB-38")
@pytest.mark.parametrize(
    ("message", "wire"), [(b"", b".\r\n"), (b".", b"..\r\n.\r\n"), (b"\r\n", b"\r\n.\r\n")]
)
def test_small_messages(message: bytes, wire: bytes) -> None:
    """An empty message ends at once (AMB-38); a dot alone is doubled (4.5.2)."""
    with talking(*BEGUN, (wire, OKAY)) as client:
        assert to_jones(client, message).status is Status.ACCEPTED


def swallow(wire: Wire) -> int:
    """Read a message to its end, and keep nothing of it; how many octets it had."""
    size, tail = 0, b""
    while not tail.endswith(END):
        data = wire.sock.recv(1 << 16)
        assert data
        size += len(data)
        tail = (tail + data)[-len(END) :]
    return size


def test_a_large_message_takes_no_memory() -> None:
    """Twenty megabytes are streamed: memory is that of a chunk, not of the message."""
    chunk = (b"x" * 76 + b"\r\n") * 800
    count = 20_000_000 // len(chunk)
    sizes: list[int] = []

    def script(wire: Wire) -> None:
        sizes.append(swallow(wire))
        wire.send(OKAY)
        turns(QUIT)(wire)

    with facing(script, *BEGUN) as client:
        tracemalloc.start()
        try:
            delivery = to_jones(client, itertools.repeat(chunk, count))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert delivery.status is Status.ACCEPTED
    assert sizes == [count * len(chunk) + len(END) - 2]
    assert peak < 2_000_000


def test_a_peer_that_reads_late() -> None:
    """The client waits until there is room, as often as it takes, and nothing is lost."""
    chunk, begun = (b"x" * 76 + b"\r\n") * 100_000, threading.Event()
    sizes: list[int] = []

    def script(wire: Wire) -> None:
        assert begun.wait(TIMEOUT)
        sizes.append(swallow(wire))
        wire.send(OKAY)
        turns(QUIT)(wire)

    def chunks() -> Iterator[bytes]:
        begun.set()
        yield from (chunk, chunk)

    with facing(script, *BEGUN) as client:
        assert to_jones(client, chunks()).status is Status.ACCEPTED
    assert sizes == [2 * len(chunk) + len(END) - 2]


# Replies that are none, or one too many.

EXTRA: Final[dict[str, tuple[Exchange, ...]]] = {
    "to MAIL": ((MAIL, OKAY + OKAY),),
    "to RCPT": ((MAIL, OKAY), (RCPT, OKAY + b"550 no\r\n")),
    "to DATA": (*BEGUN[:2], (DATA, START + OKAY)),
    "to DATA, in part": (*BEGUN[:2], (DATA, START + b"25")),
    "to DATA, a lone CRLF": (*BEGUN[:2], (DATA, START + b"\r\n")),
    "to the message": (*BEGUN, (MESSAGE, OKAY + b"554 no\r\n")),
}
WRONG: Final[dict[str, tuple[Exchange, ...]]] = {
    "no reply": ((MAIL, b"what?\r\n"),),
    "no code": ((MAIL, b"25 OK\r\n"),),
    "no separator": ((MAIL, b"250OK\r\n"),),
    "a code of no class": ((MAIL, b"650 OK\r\n"),),
    "a code of a message for MAIL": ((MAIL, START),),
    "success for DATA": (*BEGUN[:2], (DATA, OKAY)),
    "354 for a message": (*BEGUN, (MESSAGE, START)),
    "two codes in one reply": ((MAIL, b"250-one\r\n550 two\r\n"),),
    "a line that is too long": ((MAIL, b"250 " + b"x" * 600 + b"\r\n"),),
}


@pytest.mark.parametrize("case", [*EXTRA, *WRONG])
def test_a_peer_that_does_not_keep_the_protocol(case: str) -> None:
    """Nobody counts as accepted, whatever else was said; the connection is of no further use."""
    dialogue = (EXTRA | WRONG)[case]
    with facing(hears_nothing, *dialogue) as client:
        (result,) = to_jones(client).recipients
        assert result.status is Status.PROTOCOL
        assert isinstance(result.error, RemoteProtocolError)
        assert result.reply is None
        assert is_over(client)


def test_354_and_250_in_one_write() -> None:
    """A 250 that came before the message is no answer to it; not a line of it is sent."""
    with facing(hears_nothing, *BEGUN[:2], (DATA, START + OKAY)) as client:
        assert to_jones(client).status is Status.PROTOCOL


def test_421_behind_a_reply() -> None:
    """A notice of closing behind the reply takes nothing back (AMB-28)."""
    with facing(hears_nothing, *BEGUN, (MESSAGE, OKAY + NOT_AVAILABLE)) as client:
        assert codes(to_jones(client)) == [(Status.ACCEPTED, 250)]
        assert is_over(client)


def test_a_reply_in_part_behind_a_reply() -> None:
    """What stands behind a reply must not become the next one."""
    with facing(hears_nothing, *BEGUN, (MESSAGE, OKAY + b"25")) as client:
        assert codes(to_jones(client)) == [(Status.ACCEPTED, 250)]
        with pytest.raises(RemoteProtocolError, match="out of turn"):
            client.command(Noop())
        assert is_over(client)


def test_a_reply_that_comes_late() -> None:
    """A reply that nothing has asked for does not answer the next command."""
    go_on = threading.Event()

    def script(wire: Wire) -> None:
        assert go_on.wait(TIMEOUT)
        wire.send(b"250 for nothing\r\n")
        hears_nothing(wire)

    with facing(script, (b"NOOP\r\n", OKAY)) as client:
        client.command(Noop())
        go_on.set()
        wait_to_hear(client)
        with pytest.raises(RemoteProtocolError, match="that nothing awaits"):
            client.command(Mail(SMITH))
        assert is_over(client)


def test_a_notice_between_commands() -> None:
    """421 that nobody has asked for is the answer to whatever is asked next (4.2.1)."""

    def script(wire: Wire) -> None:
        wire.send(b"421 idle\r\n")
        hears_nothing(wire)

    with facing(script) as client:
        wait_to_hear(client)
        assert client.command(Noop()) == Reply(421, "idle")
        assert is_over(client)


def test_a_message_behind_a_notice() -> None:
    """A message for which there is no session any more has failed for now (4.1.1 QUIT)."""
    with facing(lambda wire: wire.send(b"421 idle\r\n")) as client:
        wait_to_hear(client)
        assert codes(to_jones(client)) == [(Status.TEMPORARY, 421)]


def test_hung_up_between_commands() -> None:
    """A connection that was closed is found closed before anything is said."""
    with facing(lambda wire: None) as client:
        wait_to_hear(client)
        with pytest.raises(SessionLost) as lost:
            client.command(Noop())
        assert lost.value.awaiting is None
        assert is_over(client)


# The connection is lost.

STEPS: Final = {
    "MAIL": WHOLE[:1],
    "the first RCPT": WHOLE[:2],
    "the second RCPT": (*WHOLE[:2], (RCPT_BROWN, OKAY)),
    "DATA": (*WHOLE[:2], (RCPT_BROWN, OKAY), (DATA, START)),
    "the message": (*WHOLE[:2], (RCPT_BROWN, OKAY), (DATA, START), (MESSAGE, OKAY)),
}


def dropping(last: Exchange, said: bytes, drop: Callable[[Wire], object]) -> Script:
    """A script that hears one thing more, says something or nothing, and is gone."""

    def script(wire: Wire) -> None:
        wire.hears(last[0])
        wire.send(said)
        drop(wire)

    return script


@pytest.mark.clause("4.1.1.QUIT-05")
@pytest.mark.parametrize("drop", [Wire.finish, Wire.reset])
@pytest.mark.parametrize("step", STEPS)
def test_dropped_at_any_step(step: str, drop: Callable[[Wire], object]) -> None:
    """Unanswered is not accepted: a temporary failure, with its reason (4.1.1 QUIT)."""
    *before, last = STEPS[step]
    with facing(dropping(last, b"", drop), *before) as client:
        delivery = client.send(SMITH, [JONES, BROWN], TEXT)
        assert codes(delivery) == [(Status.TEMPORARY, None)] * 2
        assert isinstance(delivery.recipients[0].error, SessionLost | OSError)
        assert is_over(client)


@pytest.mark.parametrize(
    "said", [b"2", b"250", b"250 OK", b"250 OK\r", b"250-OK\r\n", b"250-a\r\n25"]
)
@pytest.mark.parametrize("step", STEPS)
def test_a_reply_that_is_cut_off(step: str, said: bytes) -> None:
    """A reply without its end is none (4.2)."""
    *before, last = STEPS[step]
    with facing(dropping(last, said, Wire.finish), *before) as client:
        (result, _) = client.send(SMITH, [JONES, BROWN], TEXT).recipients
        assert (result.status, result.reply) == (Status.TEMPORARY, None)
        assert isinstance(result.error, SessionLost)
        assert result.error.awaiting in (Verb.MAIL, Verb.RCPT, Verb.DATA, Verb.END_OF_DATA)


@pytest.mark.parametrize("behind", [b"", OKAY, b"garbage"])
@pytest.mark.parametrize("verb", [Verb.NOOP, Verb.RSET, Verb.VRFY, Verb.HELP, Verb.QUIT, Verb.TURN])
def test_421_to_any_command(verb: Verb, behind: bytes) -> None:
    """It is the answer, and the end of the session; what stands behind it is nobody's (AMB-28)."""
    command = EXAMPLES[verb]

    def script(wire: Wire) -> None:
        wire.hears(bytes(command))
        wire.send(NOT_AVAILABLE + behind)
        assert wire.remains() == b""

    with facing(script) as client:
        assert client.command(command).code == 421
        assert is_over(client)


@pytest.mark.clause("AMB-28")
@pytest.mark.parametrize("step", STEPS)
def test_421_at_any_step(step: str) -> None:
    """421 is a temporary failure, and the end of the session; QUIT is not said (AMB-28)."""
    *before, last = STEPS[step]

    def script(wire: Wire) -> None:
        wire.hears(last[0])
        wire.send(NOT_AVAILABLE)
        hears_nothing(wire)

    with facing(script, *before) as client:
        delivery = client.send(SMITH, [JONES, BROWN], TEXT)
        assert {result.status for result in delivery.recipients} == {Status.TEMPORARY}
        assert 421 in {code for _, code in codes(delivery)}
        assert is_over(client)


def test_what_was_known_before_stays() -> None:
    """Who was refused was refused, though the connection is lost later."""
    dialogue = [(MAIL, OKAY), (RCPT, b"550 no\r\n"), (RCPT_BROWN, OKAY)]
    with facing(dropping((DATA, b""), b"", Wire.finish), *dialogue) as client:
        delivery = client.send(SMITH, [JONES, BROWN], TEXT)
    assert codes(delivery) == [(Status.PERMANENT, 550), (Status.TEMPORARY, None)]


def test_who_has_the_message_has_it() -> None:
    """A connection that is lost in the second transaction takes nothing from the first."""
    dialogue = [(MAIL, OKAY), (RCPT, OKAY), (RCPT_BROWN, b"552 full\r\n"), *WHOLE[2:]]
    with facing(dropping((MAIL, b""), b"", Wire.reset), *dialogue) as client:
        delivery = client.send(SMITH, [JONES, BROWN], TEXT)
    assert codes(delivery) == [(Status.ACCEPTED, 250), (Status.TEMPORARY, None)]


# In the middle of a message.


class Interrupted:
    """A message in two pieces, between which the peer says, or does, something.

    act: what it does; rest: all that it hears then.
    """

    def __init__(self, act: Callable[[Wire], object]) -> None:
        self._act = act
        self._acted = threading.Event()
        self.rest: bytes | None = None

    def script(self, wire: Wire) -> None:
        """The peer's part, from behind 354."""
        wire.hears(b"one\r\n")
        self._act(wire)
        self._acted.set()
        with contextlib.suppress(OSError):
            self.rest = wire.rest()

    def sent_by(self, client: Client) -> Delivery:
        """What becomes of the message."""

        def wait() -> None:
            assert self._acted.wait(TIMEOUT)
            wait_to_hear(client)

        return to_jones(client, source(b"one\r\n", wait, b"two\r\n"))


def says_421(wire: Wire) -> None:
    """Say that the service is closing."""
    wire.send(NOT_AVAILABLE)


def says_421_and_closes(wire: Wire) -> None:
    """Say that the service is closing, and close it."""
    wire.send(NOT_AVAILABLE)
    wire.finish()


@pytest.mark.parametrize("act", [says_421, says_421_and_closes])
def test_421_in_the_middle_of_a_message(act: Callable[[Wire], object]) -> None:
    """The end of the message is not sent behind a 421, so that it can never count as taken."""
    message = Interrupted(act)
    with facing(message.script, *BEGUN) as client:
        delivery = message.sent_by(client)
        assert codes(delivery) == [(Status.TEMPORARY, 421)]
        assert is_over(client)
    assert message.rest == b"two\r\n"


@pytest.mark.parametrize("said", [b"250 OK\r\n", b"554 no\r\n", b"what?\r\n", b"25"])
def test_a_reply_in_the_middle_of_a_message(said: bytes) -> None:
    """No reply is due yet: whatever it is, it is no answer to the message."""
    message = Interrupted(lambda wire: wire.send(said))
    with facing(message.script, *BEGUN) as client:
        (result,) = message.sent_by(client).recipients
        assert result.status is Status.PROTOCOL
        assert is_over(client)
    assert message.rest == b"two\r\n"


def test_hung_up_in_the_middle_of_a_message() -> None:
    """A peer that has closed its side cannot answer: the message is not ended."""
    message = Interrupted(Wire.finish)
    with facing(message.script, *BEGUN) as client:
        (result,) = message.sent_by(client).recipients
        assert result.status is Status.TEMPORARY
        assert isinstance(result.error, SessionLost)
    assert message.rest == b"two\r\n"


def test_reset_in_the_middle_of_a_message() -> None:
    """A message that can no longer be written has failed for now."""
    with facing(Wire.reset, *BEGUN) as client:
        (result,) = to_jones(client, itertools.repeat(b"x" * 70 + b"\r\n")).recipients
        assert (result.status, result.reply) == (Status.TEMPORARY, None)
        assert isinstance(result.error, OSError)
        assert is_over(client)


def test_421_in_the_middle_of_a_large_message() -> None:
    """Where writing fails, what the peer said before it went is still heard."""
    with facing(says_421, *BEGUN, (b"x" * 70 + b"\r\n", b"")) as client:
        endless = itertools.repeat((b"x" * 70 + b"\r\n") * 1000)
        assert codes(to_jones(client, endless)) == [(Status.TEMPORARY, 421)]
        assert is_over(client)


# Time.


def test_a_server_that_does_not_greet() -> None:
    """Opening takes no longer than the timeout."""
    with playing(hears_nothing) as port:
        client = client_of(port, timeouts=Timeouts.all(0.05))
        with pytest.raises(TimeoutError):
            client.open()
        assert is_over(client)


def test_a_reply_that_does_not_come() -> None:
    """The connection is closed, so that no later command can get the reply to this one."""

    def script(wire: Wire) -> None:
        wire.hears(b"VRFY Smith\r\n")
        hears_nothing(wire)

    with facing(script, (b"NOOP\r\n", OKAY)) as client:
        client.command(Noop())
        client.timeouts = Timeouts.all(0.01)
        with pytest.raises(TimeoutError):
            client.command(EXAMPLES[Verb.VRFY])
        assert is_over(client)
        client.timeouts = Timeouts.all(TIMEOUT)
        assert codes(to_jones(client)) == [(Status.TEMPORARY, None)]


@pytest.mark.clause("AMB-60")
@pytest.mark.parametrize(
    ("phase", "step"),
    [
        ("mail", "MAIL"),
        ("rcpt", "the first RCPT"),
        ("rcpt", "the second RCPT"),
        ("data", "DATA"),
        ("end", "the message"),
    ],
)
def test_silence_at_any_step(phase: str, step: str) -> None:
    """A message that is not confirmed in time has failed for now, and is not accepted."""
    *before, last = STEPS[step]

    def script(wire: Wire) -> None:
        wire.hears(last[0])
        hears_nothing(wire)

    with facing(script, *before) as client:
        client.timeouts = attrs.evolve(client.timeouts, **{phase: 0.01})
        delivery = client.send(SMITH, [JONES, BROWN], TEXT)
        assert {result.status for result in delivery.recipients} == {Status.TEMPORARY}
        error = delivery.recipients[0].error
        assert isinstance(error, TimeoutError)
        assert str(error).endswith("in 0.01 seconds")
        assert is_over(client)


def drips(wire: Wire) -> None:
    """Say a reply that has no end, octet by octet, until the client closes the connection."""
    with contextlib.suppress(ConnectionError):
        for octet in itertools.chain(b"250-", itertools.repeat(ord("x"))):
            wire.send(bytes([octet]))
            if select.select([wire.sock], [], [], 0.01)[0]:
                assert wire.remains() == b""
                return


@pytest.mark.parametrize("step", STEPS)
def test_a_reply_that_drips(step: str) -> None:
    """It has to be complete within its time, however its octets come (RFC 1123, 5.3.2)."""
    *before, last = STEPS[step]

    def script(wire: Wire) -> None:
        wire.hears(last[0])
        drips(wire)

    with facing(script, *before) as client:
        client.timeouts = Timeouts.all(0.2)
        delivery = client.send(SMITH, [JONES, BROWN], TEXT)
        assert {result.status for result in delivery.recipients} == {Status.TEMPORARY}
        assert isinstance(delivery.recipients[0].error, TimeoutError)
        assert is_over(client)


@pytest.mark.parametrize("step", [0, 1])
def test_an_opening_that_drips(step: int) -> None:
    """The greeting too, and the reply to HELO."""

    def script(wire: Wire) -> None:
        says(wire, *OPENING[:step])
        wire.hears(OPENING[step][0])
        drips(wire)

    with playing(script) as port:
        client = client_of(port, timeouts=Timeouts.all(0.2))
        with pytest.raises(TimeoutError, match=r"in 0\.2 seconds"):
            client.open()
        assert is_over(client)


def test_a_peer_that_does_not_read() -> None:
    """A message that cannot be written in time has failed for now; its end is never sent.

    No more of it is asked for than there is room for on the way.
    """
    given_up = threading.Event()
    tails: list[bytes] = []
    line, count = b"x" * 998 + b"\r\n", itertools.count()

    def script(wire: Wire) -> None:
        says(wire, *OPENING, *BEGUN)
        assert given_up.wait(TIMEOUT)
        tails.append(wire.rest()[-len(END) :])

    with playing(script) as port, client_of(port) as client:
        client.timeouts = Timeouts.all(0.2)
        (result,) = to_jones(client, (line for _ in count)).recipients
        given_up.set()
        assert result.status is Status.TEMPORARY
        assert isinstance(result.error, TimeoutError)
        assert is_over(client)
        assert next(count) * len(line) < 1 << 26
    assert tails != [END]


# What the program does wrong.


@pytest.mark.parametrize(
    "message",
    [b"lone\rCR\r\n", b"ends in CR\r", b"caf\xe9\r\n", b"x" * 999 + b"\r\n", "text", [b"a", 5]],
)
def test_mail_data_that_must_not_be_sent(message: Any) -> None:
    """The message cannot be taken back, nor completed: the connection is closed without its end."""
    rests: list[bytes] = []
    with facing(lambda wire: rests.append(wire.rest()), *BEGUN) as client:
        with pytest.raises(LocalProtocolError):
            to_jones(client, message)
        assert is_over(client)
    assert not rests[0].endswith(b".\r\n")


def test_mail_data_that_another_dialect_allows() -> None:
    """Octets over 127, and long lines, are the dialect's to allow (4.5.2, 4.5.3)."""
    message = b"caf\xe9 " + b"x" * 2000 + b"\r\n"
    script = session(*BEGUN, (message + b".\r\n", OKAY))
    with playing(script) as port, client_of(port, dialect=RFC821_LENIENT) as client:
        assert to_jones(client, message).status is Status.ACCEPTED


def broken(error: BaseException) -> Iterator[bytes]:
    """A message that cannot be had."""
    yield b"one\r\n"
    raise error


@pytest.mark.parametrize("error", [ZeroDivisionError(), KeyboardInterrupt()])
def test_a_source_that_fails(error: BaseException) -> None:
    """Half a message is never ended; what went wrong is the caller's to see."""
    rests: list[bytes] = []
    with facing(lambda wire: rests.append(wire.rest()), *BEGUN) as client:
        with pytest.raises(type(error)):
            to_jones(client, broken(error))
        assert is_over(client)
    assert rests == [b"one\r\n"]


def test_a_file_that_cannot_be_read() -> None:
    """An OSError of the file is why there was no reply: a temporary failure."""
    rests: list[bytes] = []
    with facing(lambda wire: rests.append(wire.rest()), *BEGUN) as client:
        (result,) = to_jones(client, broken(OSError(5, "Input/output error"))).recipients
        assert result.status is Status.TEMPORARY
        assert str(result.error) == "[Errno 5] Input/output error"
    assert rests == [b"one\r\n"]


# Each command singly.


@pytest.mark.clause("4.2-04")
def test_single_commands() -> None:
    """Every command can be sent by itself, and its reply is given, whatever it is."""
    verbs = (Verb.HELO, Verb.VRFY, Verb.EXPN, Verb.HELP, Verb.NOOP, Verb.MAIL, Verb.RCPT, Verb.RSET)
    replies = [Reply(250), Reply(551, "<a@b>"), Reply(250, ["<a@b>", "<c@d>"]), Reply(214, "Help")]
    replies += [Reply(500), Reply(250), Reply(450), Reply(250)]
    dialogue = [
        (LINES[verb], reply.to_bytes(RFC821.limits))
        for verb, reply in zip(verbs, replies, strict=True)
    ]
    with talking(*dialogue) as client:
        assert [client.command(EXAMPLES[verb]) for verb in verbs] == replies


def test_the_message_singly() -> None:
    """DATA and the message are one call, for it is one answer that counts."""
    with talking(*WHOLE) as client:
        client.command(Mail(SMITH))
        client.command(Rcpt(JONES))
        assert client.data(TEXT) == Reply(250, "OK")


def test_data_that_is_refused() -> None:
    """If the answer to DATA is a no, that is the answer; nothing of the message is sent."""
    with talking(*BEGUN[:2], (DATA, b"451 no\r\n"), (RSET, OKAY)) as client:
        client.command(Mail(SMITH))
        client.command(Rcpt(JONES))
        assert client.data(TEXT) == Reply(451, "no")
        assert client.command(Rset()) == Reply(250, "OK")


def test_a_command_out_of_order() -> None:
    """It is not sent (4.1.1), and the session goes on."""
    with talking((b"NOOP\r\n", OKAY)) as client:
        with pytest.raises(LocalProtocolError, match="RCPT is not legal in state READY"):
            client.command(Rcpt(JONES))
        with pytest.raises(LocalProtocolError, match="DATA is not legal"):
            client.data(TEXT)
        assert client.command(Noop()) == Reply(250, "OK")


def test_a_command_that_the_dialect_has_not_room_for() -> None:
    """Sizes over those of 4.5.3 are not sent, and the session goes on."""
    with talking((b"NOOP\r\n", OKAY)) as client:
        with pytest.raises(LocalProtocolError, match="Domain too long"):
            client.command(Helo(f"{'x' * 60}.example"))
        assert client.command(Noop()) == Reply(250, "OK")


def test_a_session_that_was_never_opened() -> None:
    """There is nothing to send anything over."""
    client = client_of(25)
    assert is_over(client)
    assert codes(to_jones(client)) == [(Status.TEMPORARY, None)]


@pytest.mark.clause("4.1.1.HELO-01")
def test_the_transcript() -> None:
    """What is said, by both, as it is said (Appendix F)."""
    lines: list[str] = []
    with playing(session(*WHOLE)) as port, client_of(port, transcript=lines.append) as client:
        to_jones(client)
    assert lines == [
        "R: 220 BETA.ARPA Simple Mail Transfer Service Ready",
        "S: HELO ALPHA.ARPA",
        "R: 250 BETA.ARPA",
        "S: MAIL FROM:<Smith@ALPHA.ARPA>",
        "R: 250 OK",
        "S: RCPT TO:<Jones@BETA.ARPA>",
        "R: 250 OK",
        "S: DATA",
        "R: 354 Start mail input; end with <CRLF>.<CRLF>",
        "S: Hello",
        "S: ..dot",
        "S: .",
        "R: 250 OK",
        "S: QUIT",
        "R: 221 BETA.ARPA Service closing transmission channel",
    ]


# TURN (3.8).

ALPHA_GREETING: Final = b"220 ALPHA.ARPA Simple Mail Transfer Service Ready\r\n"


def test_turn_refused() -> None:
    """502 to TURN: the roles are as they were."""
    with talking((b"TURN\r\n", b"502 no\r\n"), *WHOLE) as client:
        assert client.turn(Handler("peer"), "ALPHA.ARPA") == Reply(502, "no")
        assert to_jones(client).status is Status.ACCEPTED


def turned(wire: Wire) -> None:
    """The peer's part as a sender, behind its 250 to TURN."""
    wire.hears(ALPHA_GREETING)
    dialogue = [
        (b"HELO BETA.ARPA\r\n", b"250 ALPHA.ARPA\r\n"),
        (b"HELP\r\n", b"214 Commands: HELO MAIL RCPT DATA RSET HELP NOOP QUIT\r\n"),
        (b"VRFY Smith\r\n", b"502 Command not implemented\r\n"),
        (b"MAIL FROM:<Jones@BETA.ARPA>\r\n", OKAY),
        (b"RCPT TO:<Smith@ALPHA.ARPA>\r\n", OKAY),
        (DATA, START),
        (MESSAGE, OKAY),
        (b"QUIT\r\n", b"221 ALPHA.ARPA Service closing transmission channel\r\n"),
    ]
    for said, heard in dialogue:
        wire.send(said)
        wire.hears(heard)
    assert wire.rest() == b""


def test_turn() -> None:
    """250 to TURN: the client greets, and receives what the other side has (3.8)."""
    handler = Catcher("peer")
    with facing(turned, (b"TURN\r\n", OKAY)) as client:
        assert client.turn(handler, "ALPHA.ARPA") == Reply(250, "OK")
        assert is_over(client)
    ((envelope, message),) = handler.messages
    assert (envelope.forward_paths, message) == ((Path(SMITH),), TEXT)
    assert len(handler.endings) == 1


@pytest.mark.parametrize("drop", [Wire.finish, Wire.reset])
def test_turn_and_nothing_behind_it(drop: Callable[[Wire], object]) -> None:
    """A peer that goes away in its new role ends the session, and the handler is told."""
    handler = Catcher("peer")
    script = dropping((ALPHA_GREETING, b""), b"HELO BETA.ARPA\r\nMA", drop)
    with facing(script, (b"TURN\r\n", OKAY)) as client:
        with contextlib.suppress(ConnectionError):
            client.turn(handler, "ALPHA.ARPA")
        assert is_over(client)
    assert len(handler.endings) == 1


@pytest.mark.parametrize("behind", [b"HELO BETA.ARPA\r\n", b"250 OK\r\n", b"H"])
def test_turn_and_a_peer_that_speaks_too_early(behind: bytes) -> None:
    """In its new role the peer waits for the greeting (3.8); else nothing it says is read."""
    handler = Catcher("peer")
    with facing(hears_nothing, (b"TURN\r\n", OKAY + behind)) as client:
        with pytest.raises(RemoteProtocolError):
            client.turn(handler, "ALPHA.ARPA")
        assert is_over(client)
    assert handler.events == []


def test_turn_with_a_name_that_is_none() -> None:
    """It is refused before TURN is sent, and the session goes on."""
    with talking((b"NOOP\r\n", OKAY)) as client:
        with pytest.raises(LocalProtocolError, match="is not a Domain"):
            client.turn(Handler("peer"), "no domain")
        assert client.command(Noop()) == Reply(250, "OK")


def test_a_turn_that_is_only_a_command() -> None:
    """Sent as a single command, TURN leaves nothing that could be sent behind it."""
    with facing(hears_nothing, (b"TURN\r\n", OKAY)) as client:
        assert client.command(Turn()) == Reply(250, "OK")
        with pytest.raises(LocalProtocolError, match="TURNED"):
            client.command(Noop())
