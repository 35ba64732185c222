"""TLS from the first octet on, in both roles: the same sessions, and what only TLS can do wrong."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import pytest

import smtp821.sockets
from smtp821 import Closed, MailData, Noop, RemoteProtocolError, Reply
from smtp821.delivery import Delivery, SessionLost, Status
from smtp821.timeouts import Timeouts

from .adapters import (
    TIMEOUT,
    Client,
    Gate,
    after,
    linger,
    only,
    running,
    source,
    then,
    tls_contexts,
    wait_for_sessions,
    wait_to_hear,
)
from .dialogue import ANSWERS, ENVELOPE, HELO, JONES, MESSAGE, SESSION, SMITH, TEXT, WHOLE
from .peers import (
    DATA,
    GREETING,
    HELLO,
    MAIL,
    NOT_AVAILABLE,
    OKAY,
    OPENING,
    RCPT,
    START,
    Catcher,
    Catching,
    Exchange,
    Wire,
    client_of,
    playing,
    session,
)

pytestmark = pytest.mark.usefixtures("adapter")

SERVER, TRUSTING = tls_contexts()
DOUBTING: Final = ssl.create_default_context()


def catching(make: Callable[[str], Catcher] = Catcher, **options: Any) -> Catching:
    """A server that speaks TLS."""
    return Catching(make, tls=SERVER, **options)


def greeted(wire: Wire) -> Wire:
    """Say HELO."""
    wire.hears(GREETING)
    wire.send(HELO)
    wire.hears(HELLO)
    return wire


# The server.


@pytest.mark.parametrize("size", [1, 7, len(SESSION)])
def test_a_session_in_any_cut(size: int) -> None:
    """The same replies and messages as without TLS, in whatever records they come (4.2)."""
    with catching() as caught, caught.connect(TRUSTING) as wire:
        wire.hears(GREETING)
        for at in range(0, len(SESSION), size):
            wire.send(SESSION[at : at + size])
        assert GREETING + wire.rest() == ANSWERS
        assert caught.handler().messages == [(ENVELOPE, TEXT)] * 2


def test_what_comes_with_the_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that talks before the greeting is answered in order, nothing is lost (AMB-47)."""
    with catching() as caught:
        for _ in range(10):
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = TRUSTING.wrap_bio(incoming, outgoing, server_hostname="localhost")
            with socket.create_connection(caught.server.address, TIMEOUT) as sock:
                while True:
                    try:
                        tls.do_handshake()
                        break
                    except ssl.SSLWantReadError:
                        sock.sendall(outgoing.read())
                        incoming.write(sock.recv(1 << 16))
                tls.write(SESSION)  # in one segment with the end of the handshake
                sock.sendall(outgoing.read())
                heard = b""
                while heard != ANSWERS:
                    try:
                        heard += tls.read(1 << 16)
                    except ssl.SSLWantReadError:
                        data = sock.recv(1 << 16)
                        assert data, heard
                        incoming.write(data)
            assert caught.handler().messages == [(ENVELOPE, TEXT)] * 2


def test_a_large_message() -> None:
    """Megabytes pass through, in pieces of a bounded size, and wait for a store that is slow."""

    class Slow(Catcher):
        def mail_data(self, event: MailData) -> Any:
            sizes.append(len(event.data))
            return after(gate, lambda: None)

    sizes: list[int] = []
    gate = Gate()
    chunk = (b"x" * 76 + b"\r\n") * 800
    with catching(Slow) as caught, caught.connect(TRUSTING) as wire:
        greeted(wire).send(MAIL + RCPT + DATA)
        wire.hears(OKAY + OKAY + START)
        threading.Timer(0.0, gate.set).start()
        for _ in range(80):
            wire.send(chunk)
        wire.send(b".\r\n")
        wire.hears(OKAY)
    assert sum(sizes) == 80 * len(chunk)
    assert max(sizes) <= (1 << 16) + 4


@pytest.mark.parametrize("first", [b"", b"\x16", b"\x16\x03\x01\x02\x00", b"HELO there\r\n"])
@pytest.mark.parametrize("end", [Wire.finish, Wire.reset])
def test_a_peer_without_a_handshake(first: bytes, end: Callable[[Wire], object]) -> None:
    """Who hangs up in it, or speaks in the clear, has no session; the next one is served."""
    with catching() as caught:
        with caught.connect() as wire:
            wire.send(first)
            end(wire)
            if end is Wire.finish:
                assert GREETING not in wire.remains()
        with caught.connect(TRUSTING) as wire:
            greeted(wire)
        wait_for_sessions()
        caught.handler()
        assert caught.none_left()


@pytest.mark.parametrize("first", [b"", b"\x16\x03\x01\x02\x00"])
def test_a_peer_that_never_ends_its_handshake(first: bytes) -> None:
    """It has as long as any other silent peer, and is told nothing it could not read."""
    with catching(timeouts=Timeouts(receiver=0.05)) as caught, caught.connect() as wire:
        wire.send(first)
        assert wire.remains() == b""
        wait_for_sessions()
        assert caught.none_left()


def test_a_peer_that_does_not_trust() -> None:
    """It ends the handshake; the server goes on."""
    with catching() as caught:
        with pytest.raises(ssl.SSLCertVerificationError):
            caught.connect(DOUBTING)
        wait_for_sessions()
        with caught.connect(TRUSTING) as wire:
            greeted(wire)


def test_one_connection_too_many() -> None:
    """It is closed without a handshake, in which it could be told why."""
    with catching(max_connections=1) as caught:
        with caught.connect(TRUSTING) as first:
            greeted(first)
            with pytest.raises(OSError):
                caught.connect(TRUSTING)
            with caught.connect() as wire:
                assert wire.rest() == b""
            first.send(b"NOOP\r\n")
            first.hears(OKAY)
        wait_for_sessions()
        with caught.connect(TRUSTING) as wire:
            greeted(wire)


def test_an_idle_peer() -> None:
    """It is told 421, and closed (AMB-60)."""
    idle = b"421 BETA.ARPA Idle for too long, closing transmission channel\r\n"
    with catching(timeouts=Timeouts(receiver=0.5)) as caught, caught.connect(TRUSTING) as wire:
        assert wire.rest() == GREETING + idle
        assert caught.handler().endings == [Closed()]


def unwrap(wire: Wire) -> None:
    """Say goodbye as TLS has it."""
    assert isinstance(wire.sock, ssl.SSLSocket)
    with contextlib.suppress(OSError):
        wire.sock.unwrap()


@pytest.mark.parametrize("end", [Wire.finish, Wire.reset, unwrap])
@pytest.mark.parametrize("size", [0, 3, 20, len(HELO + MAIL + RCPT + DATA) + 3])
def test_a_peer_that_goes_away(size: int, end: Callable[[Wire], object]) -> None:
    """With or without a goodbye: the session is over, and the handler told once, and last."""
    with catching() as caught:
        with caught.connect(TRUSTING) as wire:
            wire.hears(GREETING)
            wire.send(SESSION[:size])
            end(wire)
        handler = caught.handler()
        wait_for_sessions()
        assert len(handler.endings) == 1
        assert handler.events[-1] is handler.endings[0]
        assert handler.messages == []
        with caught.connect(TRUSTING) as wire:
            greeted(wire)


def test_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """421 to the idle at once, to others when their mail is in (4.2.1); then all is over."""
    linger(monkeypatch, 0.2)
    with catching() as caught:
        with caught.connect(TRUSTING) as idle, caught.connect(TRUSTING) as busy:
            greeted(idle)
            greeted(busy).send(MAIL + RCPT + DATA)
            busy.hears(OKAY + OKAY + START)
            stopper = threading.Thread(target=caught.server.stop, args=(TIMEOUT,))
            stopper.start()
            assert idle.rest() == NOT_AVAILABLE
            with pytest.raises(OSError):
                caught.connect(TRUSTING)
            busy.send(MESSAGE)
            assert busy.rest() == OKAY + NOT_AVAILABLE
        stopper.join(TIMEOUT)
        assert not stopper.is_alive()
        assert running() == []


def test_the_grace_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that does not finish in time is told 421, and comes to nothing."""
    linger(monkeypatch, 0.5)
    with catching() as caught, caught.connect(TRUSTING) as wire:
        greeted(wire).send(MAIL + RCPT + DATA + b"Hello\r\n")
        wire.hears(OKAY + OKAY + START)
        caught.server.stop(grace=0.0)
        assert running() == []
        assert wire.rest() == NOT_AVAILABLE
        assert caught.handler().messages == []


@pytest.mark.parametrize("first", [b"", b"\x16\x03\x01\x02\x00"])
def test_stop_in_the_middle_of_a_handshake(first: bytes) -> None:
    """Who has not even begun is not waited for."""
    with catching() as caught, caught.connect() as wire:
        wire.send(first)
        with caught.connect(TRUSTING) as served:
            served.hears(GREETING)  # so the other one is in its handshake
        stopper = threading.Thread(target=caught.server.stop, args=(10 * TIMEOUT,))
        stopper.start()
        stopper.join(TIMEOUT)
        assert not stopper.is_alive()
        assert running() == []
        assert GREETING not in wire.remains()
        caught.handler()
        assert caught.none_left()


# The client.


def secured(port: int, **options: Any) -> Client:
    """A client that speaks TLS."""
    return client_of(port, **{"tls": TRUSTING} | options)


def says(data: bytes, wire: Wire) -> None:
    """Say something, and wait for the client to close."""
    wire.send(data)
    wire.remains()


def to_jones(client: Client, message: Any = TEXT) -> Delivery:
    """Send a message to Jones."""
    return client.send(SMITH, [JONES], message)


def test_messages() -> None:
    """Two transactions, to the letter (3.1, 4.5.2)."""
    with playing(session(*WHOLE, *WHOLE), tls=SERVER) as port, secured(port) as client:
        assert [to_jones(client).status for _ in range(2)] == [Status.ACCEPTED] * 2


def test_a_client_and_a_server() -> None:
    """Megabytes from the one to the other."""
    text = (b"x" * 76 + b"\r\n") * 50_000
    with catching() as caught:
        with secured(caught.server.address[1]) as client:
            assert to_jones(client, text).status is Status.ACCEPTED
            assert to_jones(client).status is Status.ACCEPTED
        assert caught.handler().messages == [(ENVELOPE, text), (ENVELOPE, TEXT)]


def test_a_server_that_is_not_trusted() -> None:
    """The certificate is checked: there is an OSError, and no session (nothing is left, either)."""
    with catching() as caught:
        client = secured(caught.server.address[1], tls=DOUBTING)
        with pytest.raises(ssl.SSLCertVerificationError):
            client.open()
        with pytest.raises(SessionLost, match="there is no connection"):
            client.command(Noop())


def test_a_server_with_another_name() -> None:
    """The name that the client was given has to be in the certificate."""
    with catching() as caught:
        client = secured(caught.server.address[1], host="127.0.0.2")
        with pytest.raises(OSError):
            client.open()


def test_a_server_that_speaks_in_the_clear() -> None:
    """There is no handshake with it."""
    with playing(partial(says, GREETING)) as port:
        client = secured(port)
        with pytest.raises(OSError):
            client.open()
        with pytest.raises(SessionLost, match="there is no connection"):
            client.command(Noop())


@pytest.mark.parametrize("drop", [Wire.finish, Wire.reset])
def test_a_server_that_hangs_up_in_the_handshake(drop: Callable[[Wire], object]) -> None:
    """There is an OSError."""
    with playing(drop) as port, pytest.raises(OSError):
        secured(port).open()


def test_a_server_that_does_not_shake_hands() -> None:
    """Opening takes no longer than its time (RFC 1123, 5.3.2 (a))."""
    with playing(Wire.remains) as port, pytest.raises(TimeoutError):
        secured(port, timeouts=Timeouts.all(0.05)).open()


def test_a_server_that_does_not_greet() -> None:
    """Nor does the greeting; a handshake is none."""
    with playing(Wire.remains, tls=SERVER) as port:
        client = secured(port)
        client.timeouts = Timeouts(opening=0.5)
        with pytest.raises(TimeoutError, match=r"no greeting in 0\.5 seconds"):
            client.open()


@contextlib.contextmanager
def facing(script: Callable[[Wire], object], *dialogue: Exchange) -> Iterator[Client]:
    """A client in a session that begins with these turns, and goes on as a script has it."""
    opened = threading.Event()

    def whole(wire: Wire) -> None:
        for heard, said in (*OPENING, *dialogue):
            wire.hears(heard)
            wire.send(said)
        assert opened.wait(TIMEOUT)
        script(wire)

    with playing(whole, tls=SERVER) as port, secured(port) as client:
        opened.set()
        yield client


def test_a_notice_between_commands() -> None:
    """421 that nobody has asked for is the answer to whatever is asked next (4.2.1)."""
    with facing(partial(says, b"421 idle\r\n")) as client:
        wait_to_hear(client)
        assert client.command(Noop()) == Reply(421, "idle")
        with pytest.raises(SessionLost, match="there is no connection"):
            client.command(Noop())


def test_a_reply_that_nothing_awaits() -> None:
    """It does not answer the next command."""
    with facing(partial(says, OKAY)) as client:
        wait_to_hear(client)
        with pytest.raises(RemoteProtocolError, match="that nothing awaits"):
            client.command(Noop())
        with pytest.raises(SessionLost, match="there is no connection"):
            client.command(Noop())


@pytest.mark.parametrize("end", [Wire.finish, Wire.reset, unwrap])
def test_a_server_that_hangs_up_between_commands(end: Callable[[Wire], object]) -> None:
    """With or without a goodbye: it is found gone, whatever the error."""
    with facing(end) as client:
        wait_to_hear(client)
        with pytest.raises((SessionLost, OSError)):
            client.command(Noop())
        with pytest.raises(SessionLost, match="there is no connection"):
            client.command(Noop())


@pytest.mark.parametrize("end", [Wire.finish, Wire.reset, unwrap])
def test_a_server_that_hangs_up_in_a_reply(end: Callable[[Wire], object]) -> None:
    """Unanswered is not accepted."""

    def script(wire: Wire) -> None:
        wire.hears(MESSAGE)
        wire.send(b"250 O")
        end(wire)

    with facing(script, *WHOLE[:3]) as client:
        (result,) = to_jones(client).recipients
        assert (result.status, result.reply) == (Status.TEMPORARY, None)


def test_a_server_that_is_silent() -> None:
    """The connection is closed when the time is over, without waiting for a goodbye."""
    with facing(Wire.remains) as client:
        client.timeouts = Timeouts.all(0.05)
        with pytest.raises(TimeoutError, match=r"no reply to NOOP in 0\.05 seconds"):
            client.command(Noop())
        with pytest.raises(SessionLost, match="there is no connection"):
            client.command(Noop())


def test_421_in_the_middle_of_a_message() -> None:
    """The end of the message is not sent behind it."""
    said = threading.Event()

    def script(wire: Wire) -> None:
        wire.hears(b"one\r\n")
        wire.send(NOT_AVAILABLE)
        said.set()
        rests.append(wire.remains())

    def wait() -> None:
        assert said.wait(TIMEOUT)
        wait_to_hear(client)

    rests: list[bytes] = []
    with facing(script, *WHOLE[:3]) as client:
        (result,) = to_jones(client, source(b"one\r\n", wait, b"two\r\n")).recipients
        assert (result.status, result.reply and result.reply.code) == (Status.TEMPORARY, 421)
    assert rests == [b"two\r\n"]


# TURN (3.8).


class Turning(Catcher):
    """Has mail for whoever asks for it by TURN."""

    status: Status | None = None

    def turn(self, command: object) -> None:
        """Agree."""

    def turned(self, client: Client) -> Any:
        """Send what there is."""
        return then(client.send(JONES, [SMITH], TEXT), self._sent)

    def _sent(self, delivery: Delivery) -> None:
        self.status = delivery.status


def test_turn() -> None:
    """The roles are exchanged over the same connection, which stays as secret as it was (3.8)."""
    receiving = Catcher("the server")
    with catching(Turning) as caught:
        with secured(caught.server.address[1]) as client:
            assert client.turn(receiving, "ALPHA.ARPA") == Reply(250, "OK")
        wait_for_sessions()
        handler = caught.handler()
    assert isinstance(handler, Turning)
    assert handler.status is Status.ACCEPTED
    assert [text for _, text in receiving.messages] == [TEXT]
    assert (len(handler.endings), len(receiving.endings)) == (1, 1)


def test_stop_in_the_other_role(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that stops does not wait for a peer that has become the receiver."""
    linger(monkeypatch, 0.2)
    with catching(Turning) as caught, caught.connect(TRUSTING) as wire:
        greeted(wire).send(b"TURN\r\n")
        wire.hears(OKAY)
        stopper = threading.Thread(target=caught.server.stop, args=(10 * TIMEOUT,))
        stopper.start()
        assert wire.remains() == b""
        stopper.join(TIMEOUT)
        assert not stopper.is_alive()
        assert caught.handler().endings == [Closed()]


@only("sockets")  # where ssl takes a socket over, and may forget it
def test_a_peer_that_is_gone_before_tls_begins() -> None:
    """It is an OSError, and no socket stays open (a ResourceWarning is an error here)."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = Wire(socket.create_connection(listener.getsockname(), TIMEOUT))
        sock = listener.accept()[0]
    peer.reset()
    assert select.select([sock], [], [], TIMEOUT)[0]
    wire = smtp821.sockets._Wire(sock)
    with pytest.raises(ConnectionResetError):
        wire.secure(SERVER, TIMEOUT)
    assert sock.fileno() == -1
