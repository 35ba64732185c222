"""The server, over real connections."""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import os
import select
import socket
import threading
import tracemalloc
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from pathlib import Path as File
from typing import Any, Final

import attrs
import pytest

from smtp821 import (
    RFC821,
    RFC821_LENIENT,
    Closed,
    Command,
    Connected,
    EndOfData,
    Envelope,
    Event,
    Handler,
    LocalProtocolError,
    MailData,
    Noop,
    Path,
    Rejected,
    Reply,
    Verb,
)
from smtp821.delivery import Delivery, SessionLost, Status
from smtp821.local_handler import LocalHandler
from smtp821.local_host import LocalHost
from smtp821.maildir import Maildir
from smtp821.timeouts import Timeouts

from .adapters import (
    TIMEOUT,
    Adapter,
    Client,
    Gate,
    Server,
    after,
    linger,
    only,
    pause,
    running,
    serve,
    then,
    until,
    wait_for_sessions,
)
from .dialogue import ANSWERS, ENVELOPE, HELO, MESSAGE, QUIT, SESSION, TEXT
from .peers import (
    BYE,
    DATA,
    GREETING,
    HELLO,
    HOST,
    MAIL,
    NOT_AVAILABLE,
    OKAY,
    RCPT,
    START,
    Catcher,
    Catching,
    Wire,
    client_of,
    say,
)

FULL: Final = b"421 BETA.ARPA Too many connections, try again later\r\n"
IDLE: Final = b"421 BETA.ARPA Idle for too long, closing transmission channel\r\n"


pytestmark = pytest.mark.usefixtures("adapter")


def reached(server: Server) -> Wire:
    """A connection to a server."""
    return Wire(socket.create_connection(server.address, TIMEOUT))


def greeted(wire: Wire) -> Wire:
    """Say HELO."""
    wire.hears(GREETING)
    wire.send(HELO)
    wire.hears(HELLO)
    return wire


def choke(wire: Wire) -> None:
    """Ask for twenty megabytes of replies, and read none of them."""
    wire.send(b"NOOP\r\n" * 40)


def in_message(wire: Wire) -> Wire:
    """Go as far as the beginning of a message."""
    greeted(wire).send(MAIL + RCPT + DATA)
    wire.hears(OKAY + OKAY + START)
    return wire


class Gated(Catcher):
    """Waits, at one event, to be let through.

    at: the event it waits at; reached: set when it does.
    """

    at: type = Connected

    def __init__(self, peer: str) -> None:
        super().__init__(peer)
        self.reached, self.gate = threading.Event(), Gate()

    def _wait(self, event: Event, take: Callable[[Any], Reply | None]) -> Any:
        if not isinstance(event, self.at):
            return take(event)
        self.reached.set()
        return after(self.gate, partial(take, event))

    def connected(self, event: Connected) -> Any:
        """Wait, or not."""
        return self._wait(event, super().connected)

    def mail_data(self, event: MailData) -> Any:
        """Wait, or not."""
        return self._wait(event, super().mail_data)

    def end_of_data(self, event: EndOfData) -> Any:
        """Wait, or not."""
        return self._wait(event, super().end_of_data)


class GatedAtMessage(Gated):
    """Waits where a piece of a message comes."""

    at = MailData


class GatedAtEnd(Gated):
    """Waits where a message is complete."""

    at = EndOfData


class Talkative(Gated):
    """Has so much to say that no peer can leave it unread."""

    def noop(self, command: Noop) -> Reply:
        """Half a megabyte."""
        return Reply(250, ["x" * 500] * 1000)


def opened(handler: Catcher) -> None:
    """Let a handler through."""
    assert isinstance(handler, Gated)
    handler.gate.set()


def arrived(handler: Catcher) -> None:
    """Wait until a handler waits."""
    assert isinstance(handler, Gated)
    assert handler.reached.wait(TIMEOUT)


# A session.


@pytest.mark.clause("3.5-01", "3.5-04", "4.1.1.QUIT-01", "G-03")
def test_a_session() -> None:
    """Greeting to QUIT, to the letter (3.1, 3.5), and what the handler makes of it."""
    with Catching() as caught, caught.connect() as wire:
        in_message(wire).send(MESSAGE)
        wire.hears(OKAY)
        wire.send(QUIT)
        assert wire.rest() == BYE
        handler = caught.handler()
        assert handler.messages == [(ENVELOPE, TEXT)]
        host, port = wire.sock.getsockname()
        assert handler.peer == f"{host}:{port}"


def test_the_address() -> None:
    """Port 0 lets the system choose; the address says what it chose."""
    with Catching() as caught:
        host, port = caught.server.address
        assert host == "127.0.0.1"
        assert port > 0


def test_pipelined_input() -> None:
    """A whole session in one write is answered in order, mail data and commands apart (AMB-47)."""
    with Catching() as caught, caught.connect() as wire:
        wire.send(SESSION)
        assert wire.rest() == ANSWERS
        assert caught.handler().messages == [(ENVELOPE, TEXT)] * 2


def test_octet_by_octet() -> None:
    """A slow peer, each octet in a write of its own, is answered the same."""
    with Catching() as caught, caught.connect() as wire:
        wire.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire.hears(GREETING)
        for octet in SESSION:
            wire.send(bytes([octet]))
        assert wire.rest() == ANSWERS.removeprefix(GREETING)
        assert caught.handler().messages == [(ENVELOPE, TEXT)] * 2


def test_sessions_at_once() -> None:
    """Each connection has its own session and its own handler."""
    with Catching() as caught, contextlib.ExitStack() as stack:
        wires = [stack.enter_context(caught.connect()) for _ in range(20)]
        for wire in wires:
            in_message(wire)
        for number, wire in enumerate(wires):
            wire.send(b"number %d\r\n.\r\n" % number)
            wire.hears(OKAY)
        messages = [caught.handler().messages for _ in wires]
        assert sorted(len(taken) for taken in messages) == [1] * 20
        assert {taken[0][1] for taken in messages} == {b"number %d\r\n" % n for n in range(20)}


def test_help_says_what_the_handler_offers() -> None:
    """The dialect is that of the handler (4.1.1 HELP)."""
    with Catching() as caught, caught.connect() as wire:
        greeted(wire)
        help_ = b"214 Commands: HELO MAIL RCPT DATA RSET HELP NOOP QUIT\r\n"
        assert say(wire, b"HELP\r\n") == help_
        assert say(wire, b"VRFY Smith\r\n") == b"502 Command not implemented\r\n"


def test_strict_and_lenient() -> None:
    """What people type is taken, unless the dialect is RFC 821's (AMB-08, AMB-11)."""
    for dialect, code in ((RFC821_LENIENT, b"250"), (RFC821, b"501")):
        with Catching(dialect=dialect) as caught, caught.connect() as wire:
            greeted(wire)
            assert say(wire, b"MAIL FROM: me@here\r\n")[:3] == code


def test_the_last_word_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a peer sends behind QUIT does not take the reply from it; nor has it to wait."""
    linger(monkeypatch, 10 * TIMEOUT)
    with Catching() as caught, caught.connect() as wire:
        wire.hears(GREETING)
        wire.send(QUIT + b"NOOP\r\n" * 10_000)
        wire.hears(BYE)
        with contextlib.suppress(ConnectionError):
            wire.send(b"NOOP\r\n")
        assert wire.rest() == b""


def test_what_comes_before_the_greeting_waits() -> None:
    """A peer that talks early is answered in order, unless the dialect says otherwise (AMB-47)."""
    with Catching(Gated) as caught, caught.connect() as wire:
        handler = caught.handler()
        arrived(handler)
        wire.send(HELO + QUIT)
        opened(handler)
        assert wire.rest() == GREETING + HELLO + BYE


def test_the_transcript() -> None:
    """Every line that is said, with the peer that says it, or is told (Appendix F)."""
    lines: list[tuple[str, str]] = []
    with Catching(transcript=lambda *line: lines.append(line)) as caught:
        with caught.connect() as wire:
            greeted(wire).send(QUIT)
            wire.rest()
            peer = caught.handler().peer
        wait_for_sessions()
    assert lines == [
        (peer, "R: 220 BETA.ARPA Simple Mail Transfer Service Ready"),
        (peer, "S: HELO ALPHA.ARPA"),
        (peer, "R: 250 BETA.ARPA"),
        (peer, "S: QUIT"),
        (peer, "R: 221 BETA.ARPA Service closing transmission channel"),
    ]


# Large messages.


class Counter(Catcher):
    """Counts the octets of messages, and keeps none."""

    def __init__(self, peer: str) -> None:
        super().__init__(peer)
        self.size, self.largest = 0, 0

    def mail_data(self, event: MailData) -> None:
        """Count."""
        self.size += len(event.data)
        self.largest = max(self.largest, len(event.data))


def test_a_large_message_takes_no_memory() -> None:
    """Twenty megabytes pass through in pieces; memory is that of a piece."""
    chunk = (b"x" * 76 + b"\r\n") * 800
    count = 20_000_000 // len(chunk)
    with Catching(Counter) as caught, caught.connect() as wire:
        in_message(wire)
        handler = caught.handler()
        tracemalloc.start()
        try:
            for _ in range(count):
                wire.send(chunk)
            wire.send(b".\r\n")
            wire.hears(OKAY)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert isinstance(handler, Counter)
        assert handler.size == count * len(chunk)
        assert handler.largest <= (1 << 16) + 4
    assert peak < 2_000_000


def test_a_slow_store_slows_the_sender() -> None:
    """While a piece is not taken nothing more is read: the sender has to wait."""
    with Catching(GatedAtMessage) as caught, caught.connect() as wire:
        in_message(wire)
        handler, sent = caught.handler(), 0
        wire.send(b"x\r\n")
        arrived(handler)
        wire.sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                sent += wire.sock.send(b"x" * 1024)
        wire.sock.settimeout(TIMEOUT)
        opened(handler)
        wire.send(b"\r\n.\r\n")
        wire.hears(OKAY)
        assert [len(message) for _, message in handler.messages] == [sent + 5]


def test_a_peer_that_reads_late() -> None:
    """Twenty megabytes of replies wait for it, and come complete and in order (4.3)."""
    with Catching(Talkative) as caught, caught.connect() as wire:
        choke(wire)
        handler = caught.handler()
        opened(handler)
        wire.hears(GREETING)
        for _ in range(40):
            for _ in range(999):
                assert wire.line() == b"250-" + b"x" * 500 + b"\r\n"
            assert wire.line() == b"250 " + b"x" * 500 + b"\r\n"
        wire.send(QUIT)
        assert wire.rest() == BYE


# The bound on connections.


def test_one_connection_too_many() -> None:
    """It is told 421, and closed (4.2.1); when another is over, the next one is served."""
    with Catching(max_connections=2) as caught:
        with caught.connect() as first, caught.connect() as second:
            greeted(first)
            greeted(second)
            with caught.connect() as third:
                assert third.rest() == FULL
            assert say(first, b"NOOP\r\n") == OKAY
        wait_for_sessions()
        with caught.connect() as fourth:
            greeted(fourth)


def test_a_place_is_free_when_the_peer_sees_the_end() -> None:
    """Who has read the last word, and closes, may come again at once."""
    with Catching(max_connections=1) as caught:
        for _ in range(10):
            with caught.connect() as wire:
                wire.send(QUIT)
                assert wire.rest() == GREETING + BYE
            wait_for_sessions()


def test_who_is_turned_away_takes_no_handler() -> None:
    """The application is not asked about connections there is no place for."""
    with Catching(max_connections=1) as caught, caught.connect() as first:
        greeted(first)
        caught.handler()
        with caught.connect() as second:
            assert second.rest() == FULL
        assert caught.none_left()


def connected_from(address: str, server: Server) -> Wire:
    """A connection from one of the addresses of this host."""
    try:
        return Wire(socket.create_connection(server.address, TIMEOUT, (address, 0)))
    except OSError:
        pytest.skip(f"this host has not got the address {address}")


def test_one_connection_too_many_from_one_address() -> None:
    """It is told 421, and closed (4.2.1); others come in, and so does the next one from there."""
    crowded = b"421 BETA.ARPA Too many connections from your address, try again later\r\n"
    with Catching(max_per_peer=2, max_connections=3) as caught:
        with caught.connect() as first, caught.connect() as second:
            greeted(first)
            greeted(second)
            with caught.connect() as third:
                assert third.rest() == crowded
            with connected_from("127.0.0.2", caught.server) as other:
                greeted(other)
                with connected_from("127.0.0.3", caught.server) as one_too_many:
                    assert one_too_many.rest() == FULL
            first.send(QUIT)
            assert first.rest() == BYE
            first.sock.close()
            until(lambda: caught.server.service.connections == 1)
            with caught.connect() as fourth:
                greeted(fourth)
        wait_for_sessions()


ENDINGS: Final[dict[str, tuple[bytes, Callable[[Wire], object]]]] = {
    "QUIT": (HELO + QUIT, Wire.rest),
    "end of file": (HELO, Wire.finish),
    "end of file in a message": (HELO + MAIL + RCPT + DATA + b"Hel", Wire.finish),
    "reset": (HELO + MAIL, Wire.reset),
    "closed without reading": (HELO + MAIL, Wire.__exit__),
    "reset in the other role": (HELO + b"TURN\r\n", Wire.reset),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_place_is_given_back(ending: str) -> None:
    """However a session ends, there is a place for the next (4.2.1)."""
    said, end = ENDINGS[ending]
    with Catching(Turning, max_connections=1, max_per_peer=1) as caught:
        for _ in range(3):
            with caught.connect() as wire:
                wire.hears(GREETING)
                wire.send(said)
                end(wire)
            wait_for_sessions()


# Other bounds.

CROWDED: Final = b"552 Recipient storage full, try again in another transaction\r\n"
SEQUENCE: Final = b"503 Bad sequence of commands\r\n"
BOUNDS: Final[dict[str, tuple[dict[str, int], bytes, bytes]]] = {
    "recipients": (
        {"recipients": 2},
        MAIL + RCPT * 3 + b"RSET\r\n" + MAIL + RCPT * 2,
        OKAY * 3 + CROWDED + OKAY * 4,
    ),
    "message": (
        {"message": len(TEXT)},
        (MAIL + RCPT + DATA + MESSAGE + MAIL + RCPT + DATA + b"x" + MESSAGE) * 2,
        (OKAY * 2 + START + OKAY + OKAY * 2 + START + b"552 Too much mail data\r\n") * 2,
    ),
    "errors": (
        {"errors": 2},
        b"DATA\r\n" * 2 + b"NOOP\r\n" + b"DATA\r\n" + b"NOOP\r\n",
        SEQUENCE * 2 + OKAY + b"421 BETA.ARPA Too many errors; closing\r\n",
    ),
}


@pytest.mark.parametrize("bound", BOUNDS)
def test_bounds(bound: str) -> None:
    """What exceeds a bound is refused (4.5.3, AMB-45, AMB-59), and each session has its own."""
    limits, said, answers = BOUNDS[bound]
    dialect = attrs.evolve(RFC821_LENIENT, limits=attrs.evolve(RFC821_LENIENT.limits, **limits))
    with Catching(dialect=dialect) as caught, contextlib.ExitStack() as stack:
        wires = [stack.enter_context(caught.connect()) for _ in range(3)]
        for wire in wires:
            greeted(wire)
        for line in said.splitlines(keepends=True):  # all of them, step by step
            for wire in wires:
                with contextlib.suppress(ConnectionError):  # 421 has ended it
                    wire.send(line)
        for wire in wires:
            wire.hears(answers)
            if bound == "errors":
                assert wire.remains() == b""
            else:
                wire.send(QUIT)
                assert wire.rest() == BYE
        taken = [len(caught.handler().messages) for _ in wires]
        assert taken == [2 if bound == "message" else 0] * 3


# Time.


@pytest.mark.clause("AMB-60")
def test_an_idle_peer() -> None:
    """It is told 421, and closed (AMB-60)."""
    with Catching(timeouts=Timeouts(receiver=0.01)) as caught, caught.connect() as wire:
        assert wire.rest() == GREETING + IDLE
        assert caught.handler().endings == [Closed()]


@pytest.mark.parametrize(
    ("said", "answers", "cancelled"),
    [
        (HELO + b"NOO", HELLO, None),
        (HELO + MAIL + RCPT, HELLO + OKAY + OKAY, ENVELOPE),
        (HELO + MAIL + RCPT + DATA + b"Hel", HELLO + OKAY + OKAY + START, ENVELOPE),
    ],
)
def test_a_peer_that_falls_silent(said: bytes, answers: bytes, cancelled: Envelope | None) -> None:
    """Wherever it does; a message that has no end is none (4.1.1 QUIT)."""
    with Catching(Gated, timeouts=Timeouts(receiver=0.01)) as caught, caught.connect() as wire:
        handler = caught.handler()
        wire.send(said)
        opened(handler)
        assert wire.rest() == GREETING + answers + IDLE
        assert handler.endings == [Closed(cancelled=cancelled)]
        assert handler.messages == []


@pytest.mark.parametrize(
    ("said", "answers", "octet"),
    [(b"", b"", b"x"), (HELO, HELLO, b"N"), (HELO + MAIL + RCPT, HELLO + OKAY + OKAY, b" ")],
)
def test_a_peer_that_drips(said: bytes, answers: bytes, octet: bytes) -> None:
    """A command has to be complete within the time, however its octets come (RFC 1123, 5.3.2)."""
    with Catching(timeouts=Timeouts(receiver=0.3)) as caught, caught.connect() as wire:
        wire.send(said)
        wire.hears(GREETING + answers)
        for _ in range(500):  # a longer line would be refused as such
            wire.send(octet)
            if select.select([wire.sock], [], [], 0.01)[0]:
                break
        assert wire.remains() == IDLE
        wire.sock.close()
        wait_for_sessions()
        assert len(caught.handler().endings) == 1


def test_a_message_that_drips() -> None:
    """More mail data is all that a receiver waits for: a slow message is no silent peer (5.3.2)."""
    with Catching(timeouts=Timeouts(receiver=0.2)) as caught, caught.connect() as wire:
        in_message(wire)
        for _ in range(40):
            wire.send(b"x")
            assert not select.select([wire.sock], [], [], 0.01)[0]
        wire.send(b"\r\n.\r\n")
        wire.hears(OKAY)
        assert [text for _, text in caught.handler().messages] == [b"x" * 40 + b"\r\n"]


def test_a_peer_that_does_not_read() -> None:
    """Replies that nobody takes are no reason to wait for ever."""
    with Catching(Talkative, timeouts=Timeouts(receiver=0.01)) as caught, caught.connect() as wire:
        handler = caught.handler()
        choke(wire)
        opened(handler)
        wait_for_sessions()
        assert handler.endings == [Closed()]


# Stopping.


def test_stop_with_nobody_there() -> None:
    """Nothing is left: no thread, no port."""
    with Catching() as caught:
        assert caught.server.service.connections == 0
        caught.server.stop()
        assert running() == []
        with pytest.raises(ConnectionRefusedError):
            caught.connect()
        caught.server.stop()


@pytest.mark.clause("4.2.1-08")
def test_stop_says_421_to_the_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has no mail in hand is told at once (4.2.1)."""
    linger(monkeypatch, 0.1)
    with Catching() as caught, caught.connect() as new, caught.connect() as old:
        new.hears(GREETING)
        greeted(old).send(MAIL + b"RSET\r\n")
        old.hears(OKAY + OKAY)
        caught.server.stop()
        assert running() == []
        assert (new.rest(), old.rest()) == (NOT_AVAILABLE, NOT_AVAILABLE)
        assert [caught.handler().endings for _ in range(2)] == [[Closed()]] * 2


def stopping(caught: Catching, grace: float = TIMEOUT) -> threading.Thread:
    """A thread that stops the server, which takes no connections any more."""
    thread = threading.Thread(target=caught.server.stop, args=(grace,))
    thread.start()
    told = b""
    while told != NOT_AVAILABLE:  # it may come in before the server stops, and is told then
        with caught.connect() as wire:
            told = wire.rest().removeprefix(GREETING)
    return thread


NEXT: Final = MAIL + RCPT + DATA + MESSAGE


@pytest.mark.parametrize(
    ("before", "answered", "behind", "answers"),
    [
        (MAIL, OKAY, RCPT + DATA + MESSAGE, OKAY + START + OKAY),
        (MAIL + RCPT, OKAY + OKAY, DATA + MESSAGE, START + OKAY),
        (MAIL + RCPT + DATA, OKAY + OKAY + START, MESSAGE, OKAY),
        (MAIL + RCPT + DATA + MESSAGE[:9], OKAY + OKAY + START, MESSAGE[9:], OKAY),
        (MAIL + RCPT + DATA, OKAY + OKAY + START, MESSAGE + NEXT, OKAY * 3 + START + OKAY),
        (MAIL + RCPT, OKAY + OKAY, b"RSET\r\n", OKAY),
        (MAIL, OKAY, HELO, HELLO),
    ],
)
def test_stop_lets_mail_in_hand_finish(
    before: bytes, answered: bytes, behind: bytes, answers: bytes
) -> None:
    """A transaction goes on to its end, and is answered; then 421 (4.2.1)."""
    with Catching() as caught, caught.connect() as wire:
        greeted(wire).send(before)
        wire.hears(answered)
        with caught.connect() as idle:
            idle.hears(GREETING)
            thread = stopping(caught)
            assert idle.rest() == NOT_AVAILABLE
        wire.send(behind)
        assert wire.rest() == answers + NOT_AVAILABLE
        wire.sock.close()
        thread.join(TIMEOUT)
        assert running() == []
        taken = caught.handler().messages
        assert taken == [(ENVELOPE, TEXT)] * behind.count(b"\r\n.\r\n")


def test_stop_waits_for_the_handler() -> None:
    """A message that is being stored when the server stops is stored, and answered 250."""
    with Catching(GatedAtEnd) as caught, caught.connect() as wire:
        in_message(wire).send(MESSAGE)
        handler = caught.handler()
        arrived(handler)
        thread = stopping(caught)
        opened(handler)
        assert wire.rest() == OKAY + NOT_AVAILABLE
        wire.sock.close()
        thread.join(TIMEOUT)
        assert handler.messages == [(ENVELOPE, TEXT)]


def test_stop_and_a_peer_that_hangs_up(adapter: Adapter) -> None:
    """A transaction that will never finish is not waited for."""
    with Catching() as caught, caught.connect() as wire:
        in_message(wire)
        thread = stopping(caught)
        wire.finish()
        thread.join(TIMEOUT)
        assert not thread.is_alive()
        if adapter.name == "asyncio":  # which knows who has hung up from who is woken up
            assert wire.rest() == b""
        else:
            assert wire.rest() == NOT_AVAILABLE
        assert caught.handler().endings == [Closed(cancelled=ENVELOPE)]


def test_the_grace_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that does not finish in time is told 421, and comes to nothing."""
    linger(monkeypatch, 0.1)
    with Catching() as caught, caught.connect() as wire:
        in_message(wire).send(b"Hello\r\n")
        caught.server.stop(grace=0.0)
        assert running() == []
        assert wire.rest() == NOT_AVAILABLE
        assert caught.handler().messages == []


def test_the_grace_is_over_while_the_handler_is_busy() -> None:
    """Once it is, nothing more is read of a message, be it here already."""
    with Catching(GatedAtMessage) as caught, caught.connect() as wire:
        in_message(wire).send(b"one\r\n")
        handler = caught.handler()
        arrived(handler)
        wire.send(b"two\r\n.\r\n")
        thread = stopping(caught, grace=0.0)
        caught.server.service.grace_is_over = True
        opened(handler)
        assert wire.rest() == NOT_AVAILABLE
        wire.sock.close()
        thread.join(TIMEOUT)
        assert handler.events[-2:] == [MailData(b"one"), Closed(cancelled=ENVELOPE)]


def test_the_grace_is_over_and_the_peer_talks_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that never stops to send is stopped all the same, and told why."""
    linger(monkeypatch, 0.1)
    with Catching() as caught, caught.connect() as wire:
        in_message(wire)
        failed = threading.Event()

        def talk() -> None:
            with contextlib.suppress(OSError):
                for line in itertools.repeat(b"x" * 70 + b"\r\n"):
                    wire.send(line)
            failed.set()

        talker = threading.Thread(target=talk)
        talker.start()
        caught.server.stop(grace=0.0)
        assert running() == []
        talker.join(TIMEOUT)
        assert failed.is_set()
        assert wire.line() == NOT_AVAILABLE


def test_stop_and_a_peer_that_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that takes no reply cannot keep the server from stopping."""
    linger(monkeypatch, 0.1)
    with Catching(Talkative) as caught, caught.connect() as wire:
        handler = caught.handler()
        choke(wire)
        opened(handler)
        wire.hears(GREETING)
        caught.server.stop(grace=0.0)
        wait_for_sessions()
        assert handler.endings == [Closed()]


@pytest.mark.parametrize("behind", [b"", b"NOOP\r\n"])
def test_a_peer_that_stays(monkeypatch: pytest.MonkeyPatch, behind: bytes) -> None:
    """A peer that does not close, or talks on, behind the last word is given a moment only."""
    linger(monkeypatch, 0.05)
    with Catching() as caught, caught.connect() as wire:
        wire.send(QUIT)
        assert wire.rest() == GREETING + BYE
        with contextlib.suppress(ConnectionError):
            while behind and caught.server.service.connections:
                wire.send(behind)
        wait_for_sessions()
        assert len(caught.handler().endings) == 1


def test_a_listener_of_ones_own() -> None:
    """A socket that listens already is served, who has connected before too, and closed."""
    listener = socket.create_server(("127.0.0.1", 0))
    early = Wire(socket.create_connection(listener.getsockname(), TIMEOUT))
    with Catching(listener=listener) as caught, early:
        assert caught.server.address == early.sock.getpeername()
        greeted(early)
        with caught.connect() as wire:
            greeted(wire)
    assert not is_listening(caught.server)


def is_listening(server: Server) -> bool:
    """Whether anybody takes a connection there."""
    with contextlib.suppress(ConnectionRefusedError):
        socket.create_connection(server.address, TIMEOUT).close()
        return True
    return False


def test_wait() -> None:
    """`wait` lasts until somebody stops the server."""
    with Catching() as caught:
        waiting = threading.Thread(target=caught.server.wait)
        waiting.start()
        assert waiting.is_alive()
        caught.server.stop()
        waiting.join(TIMEOUT)
        assert not waiting.is_alive()


def test_the_port_can_be_had_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is started again, where one has just stopped, can listen."""
    linger(monkeypatch, 0.1)
    with Catching() as caught, caught.connect() as wire:
        greeted(wire)
        caught.server.stop()
        port = caught.server.address[1]
        with serve(Catcher, port=port, domain=HOST) as again:
            assert again.address[1] == port


# Peers that break off.


@pytest.mark.clause("4.1.1.QUIT-04")
@pytest.mark.parametrize("drop", [Wire.reset, Wire.__exit__])
def test_a_break_at_every_octet(tmp_path: File, drop: Callable[[Wire], object]) -> None:
    """What was answered 250 is kept, and nothing of a message that was not complete (4.1.1)."""
    store = Maildir(tmp_path)
    make = partial(LocalHandler, host=LocalHost.from_config({}, HOST), store=store)
    new = tmp_path / "jones" / "new"
    with serve(make, port=0, domain=HOST) as server:
        kept = 0
        for size in range(len(SESSION) + 1):
            with reached(server) as wire:
                wire.send(SESSION[:size])
                if confirmed := answered(SESSION[:size]):
                    wire.hears(ANSWERS[: len(ANSWERS_TO_ONE) if confirmed == 1 else -len(BYE)])
                drop(wire)
            kept += confirmed
        wait_for_sessions()
        assert len(list(new.iterdir())) == kept
    texts = {path.read_bytes().split(b"\n", 2)[2] for path in new.iterdir()}
    assert texts == {TEXT.replace(b"\r\n", b"\n")}
    assert list((tmp_path / "jones" / "tmp").iterdir()) == []


ANSWERS_TO_ONE: Final = GREETING + HELLO + OKAY + OKAY + START + OKAY


def answered(said: bytes) -> int:
    """How many messages are complete."""
    return said.count(b"\r\n.\r\n")


def test_a_drop_at_every_octet(tmp_path: File) -> None:
    """Wherever a session breaks off, complete messages are kept, and nothing of others."""
    store = Maildir(tmp_path)
    host = LocalHost.from_config({}, HOST)
    make = partial(LocalHandler, host=host, store=store)
    whole = [at + 5 for at in range(len(SESSION)) if SESSION[at : at + 5] == b"\r\n.\r\n"]
    new, kept = tmp_path / "jones" / "new", 0
    with serve(make, port=0, domain=HOST) as server:
        for size in range(len(SESSION) + 1):
            with reached(server) as wire:
                wire.send(SESSION[:size])
                wire.finish()
                answers = wire.rest()
            assert ANSWERS.startswith(answers)
            kept += sum(end <= size for end in whole)
            assert len(list(new.iterdir()) if new.is_dir() else []) == kept
        wait_for_sessions()
    texts = {path.read_bytes().split(b"\n", 2)[2] for path in new.iterdir()}
    assert texts == {TEXT.replace(b"\r\n", b"\n")}
    assert list((tmp_path / "jones" / "tmp").iterdir()) == []


@pytest.mark.parametrize("size", [0, 3, len(HELO + MAIL), len(HELO + MAIL + RCPT + DATA) + 3])
def test_a_reset(size: int) -> None:
    """A connection that breaks is the end of its session, and of nothing else."""
    with Catching() as caught:
        with caught.connect() as wire:
            wire.hears(GREETING)
            wire.send(SESSION[:size])
            wire.hears(ANSWERS[len(GREETING) :][: len(answers_to(SESSION[:size]))])
            wire.reset()
        handler = caught.handler()
        wait_for_sessions()
        assert len(handler.endings) == 1
        assert handler.events[-1] == handler.endings[0]
        assert handler.messages == []
        with caught.connect() as wire:
            greeted(wire)


def answers_to(said: bytes) -> bytes:
    """The answers, behind the greeting, to the whole lines of the beginning of a session."""
    lines = said.count(b"\r\n")
    return b"".join((HELLO, OKAY, OKAY, START)[:lines])


def test_a_reset_before_the_answer() -> None:
    """A reply that can no longer be written is not: the message is stored, as 250 had said."""
    with Catching(GatedAtEnd) as caught:
        with caught.connect() as wire:
            in_message(wire).send(MESSAGE)
            handler = caught.handler()
            arrived(handler)
            wire.reset()
        opened(handler)
        wait_for_sessions()
        assert len(handler.messages) == 1
        assert handler.endings == [Closed()]


# Handlers that go wrong.


class Never(Awaitable[None]):
    """Something to wait for that never comes."""

    def __await__(self) -> Generator[Never, None, None]:
        """Wait for it."""
        yield self


class Asynchronous(Handler):
    """Answers later, for which there is no event loop here."""

    async def helo(self, command: Command) -> None:
        """Answer later."""
        await Never()

    def send(self, command: Command) -> None:
        """Be offered."""

    def rejected(self, event: Rejected) -> Never:
        """Give something else to wait for."""
        return Never()

    async def closed(self, event: Closed) -> None:
        """Take it in without waiting, which needs no loop."""


@only("sockets")  # event loops await them
def test_async_methods_are_refused(caplog: pytest.LogCaptureFixture) -> None:
    """They are a handler's mistake here, answered as any other, and the log says what to do."""
    with serve(Asynchronous, port=0, domain=HOST) as server, reached(server) as wire:
        wire.send(MAIL.replace(b"MAIL", b"SEND") + HELO)
        wire.hears(GREETING + b"503 Bad sequence of commands\r\n")
        assert wire.rest() == NOT_AVAILABLE
    assert len(caplog.records) == 2
    assert "what is awaited needs smtp821.asyncio or smtp821.trio" in caplog.text


def no_handler(peer: str) -> Handler:
    """There is none."""
    raise ValueError("no handler today")


class Unsure(Handler):
    """Does not know what it offers."""

    def offers(self) -> frozenset[Verb]:
        """Fail."""
        raise ValueError("no handler today")


@pytest.mark.parametrize("make", [no_handler, Unsure])
def test_a_handler_that_cannot_be_made(
    make: Callable[[str], Handler], caplog: pytest.LogCaptureFixture
) -> None:
    """The peer is told 421 (4.2.1), the log why; and the server goes on."""
    with serve(make, port=0, domain=HOST) as server:
        for _ in range(2):
            with reached(server) as wire:
                assert wire.rest() == NOT_AVAILABLE
    assert [r.exc_info and str(r.exc_info[1]) for r in caplog.records] == ["no handler today"] * 2


def test_a_transcript_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """What goes wrong outside of the protocol ends one session, in order, and is logged."""

    def fail(peer: str, line: str) -> None:
        raise ValueError("no paper")

    with Catching(transcript=fail) as caught:
        with caught.connect() as wire:
            assert wire.rest() == b""
        wait_for_sessions()
        assert caught.handler().endings == [Closed()]
    assert "no paper" in caplog.text


@pytest.mark.parametrize("ending", ENDINGS)
def test_closed_is_called_once(ending: str) -> None:
    """However a session ends, its handler is told once, and nothing behind that."""
    said, end = ENDINGS[ending]
    with Catching(Turning) as caught:
        with caught.connect() as wire:
            wire.hears(GREETING)
            wire.send(said)
            end(wire)
        handler = caught.handler()
        wait_for_sessions()
        assert len(handler.endings) == 1
        assert handler.events[-1] is handler.endings[0]


# What the system has not got.


def test_a_port_that_is_taken() -> None:
    """There is an OSError, and nothing is left of the attempt."""
    in_use = pytest.raises(OSError, match="in use")
    with socket.create_server(("127.0.0.1", 0)) as taken, in_use:
        serve(Catcher, port=taken.getsockname()[1], domain=HOST)


@only("sockets", "trio")  # asyncio resolves it by itself
@pytest.mark.parametrize(("host", "family"), [("::1", "AF_INET6"), ("127.0.0.1", "AF_INET")])
def test_families(monkeypatch: pytest.MonkeyPatch, host: str, family: str) -> None:
    """An address with colons is one of IPv6, which not every host has."""
    asked: list[tuple[object, str]] = []

    def create_server(address: object, *, family: socket.AddressFamily, backlog: int) -> None:
        asked.append((address, family.name))
        raise OSError("not here")

    monkeypatch.setattr(socket, "create_server", create_server)
    with pytest.raises(OSError, match="not here"):
        serve(Catcher, host=host, port=0, domain=HOST)
    assert asked == [((host, 0), family)]


def test_a_domain_that_is_none() -> None:
    """It is refused before anything is opened."""
    with pytest.raises(LocalProtocolError, match="is not a Domain"):
        serve(Catcher, port=0, domain="no domain")


def test_no_descriptors_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A connection that cannot be taken now is taken when it can."""
    real, failures = socket.socket.accept, iter([errno.EMFILE, errno.ECONNABORTED])

    def accept(sock: socket.socket) -> Any:
        if number := next(failures, None):
            raise OSError(number, os.strerror(number))
        return real(sock)

    with Catching() as caught:
        monkeypatch.setattr(socket.socket, "accept", accept)
        with caught.connect() as wire:
            greeted(wire)
    assert "cannot take a connection: [Errno" in caplog.text


@only("sockets")  # an event loop needs none
def test_no_threads_left(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A connection that can have no thread is told 421; the next one may fare better."""
    real, failures = threading.Thread.start, iter([True])

    def start(thread: threading.Thread) -> None:
        if thread.name == "smtp821 connection" and next(failures, False):
            raise RuntimeError("can't start new thread")
        real(thread)

    with Catching(max_connections=1) as caught:
        monkeypatch.setattr(threading.Thread, "start", start)
        with caught.connect() as wire:
            assert wire.rest() == FULL
        with caught.connect() as wire:
            greeted(wire)
    assert "can't start new thread" in caplog.text


# With the Client, and TURN (3.8).


def test_the_client_and_the_server() -> None:
    """What one sends the other receives, dots and all."""
    with Catching() as caught:
        with client_of(caught.server.address[1]) as client:
            delivery = client.send("<Smith@ALPHA.ARPA>", ["<Jones@BETA.ARPA>"], TEXT)
        assert delivery.status is Status.ACCEPTED
        assert caught.handler().messages == [(ENVELOPE, TEXT)]


class Turning(Catcher):
    """Has mail for whoever asks for it by TURN."""

    def __init__(self, peer: str) -> None:
        super().__init__(peer)
        self.delivery: Any = None

    def turn(self, command: Command) -> None:
        """Agree."""

    def turned(self, client: Client) -> Any:
        """Send what there is."""
        return then(client.send("<Jones@BETA.ARPA>", ["<Smith@ALPHA.ARPA>"], TEXT), self._sent)

    def _sent(self, delivery: Delivery) -> None:
        self.delivery = delivery


def test_turn() -> None:
    """The client asks for its mail; the roles are exchanged, and it receives (3.8)."""
    lines: list[str] = []
    receiving = Catcher("the server")
    with Catching(Turning, transcript=lambda peer, line: lines.append(line)) as caught:
        with client_of(caught.server.address[1]) as client:
            assert client.turn(receiving, "ALPHA.ARPA") == Reply(250, "OK")
        wait_for_sessions()
        handler = caught.handler()
    assert isinstance(handler, Turning)
    assert handler.delivery.status is Status.ACCEPTED
    back = Envelope(Verb.MAIL, Path("<Jones@BETA.ARPA>"), (Path("<Smith@ALPHA.ARPA>"),))
    assert receiving.messages == [(back, TEXT)]
    assert (len(handler.endings), len(receiving.endings)) == (1, 1)
    assert lines[4:8] == [
        "R: 250 OK",
        "R: 220 ALPHA.ARPA Simple Mail Transfer Service Ready",
        "S: HELO BETA.ARPA",
        "R: 250 ALPHA.ARPA",
    ]
    assert lines[-2:] == [
        "S: QUIT",
        "R: 221 ALPHA.ARPA Service closing transmission channel",
    ]


class TurningBack(Turning):
    """Sends what there is, then has the roles exchanged again, and receives."""

    def __init__(self, peer: str) -> None:
        super().__init__(peer)
        self.back = Catcher(peer)

    def turned(self, client: Client) -> Any:
        """Send, and ask to turn back."""
        sent = client.send("<Jones@BETA.ARPA>", ["<Smith@ALPHA.ARPA>"], TEXT)
        return then(sent, partial(self._turn_back, client))

    def _turn_back(self, client: Client, delivery: Delivery) -> Any:
        self.delivery = delivery
        return client.turn(self.back, HOST)


def test_turn_and_turn_back() -> None:
    """The roles can be exchanged any number of times over one connection (3.8)."""
    receiving = TurningBackAgain("the server")
    with Catching(TurningBack) as caught:
        with client_of(caught.server.address[1]) as client:
            assert client.turn(receiving, "ALPHA.ARPA") == Reply(250, "OK")
            with pytest.raises(SessionLost, match="there is no connection"):
                client.command(Noop())
        wait_for_sessions()
        handler = caught.handler()
    assert isinstance(handler, TurningBack)
    assert handler.delivery.status is Status.ACCEPTED
    assert receiving.delivery.status is Status.ACCEPTED
    assert [text for _, text in receiving.messages] == [TEXT]
    assert [text for _, text in handler.back.messages] == [b"back\r\n"]
    endings = [len(each.endings) for each in (handler, handler.back, receiving)]
    assert endings == [1, 1, 1]


class TurningBackAgain(Turning):
    """Agrees to be the sender again, and sends something else."""

    def turned(self, client: Client) -> Any:
        """Send what there is."""
        answer = client.send("<Smith@ALPHA.ARPA>", ["<Jones@BETA.ARPA>"], b"back\r\n")
        return then(answer, self._sent)


def turned_to(caught: Catching) -> Wire:
    """A connection whose server has become the sender."""
    wire = greeted(caught.connect())
    assert say(wire, b"TURN\r\n") == OKAY
    return wire


def test_turn_to_the_letter() -> None:
    """Behind 250 the server waits for the greeting, and says HELO by its own name (3.8)."""
    with Catching(Turning) as caught, turned_to(caught) as wire:
        dialogue = [
            (b"220 ALPHA.ARPA\r\n", b"HELO BETA.ARPA\r\n"),
            (b"250 ALPHA.ARPA\r\n", b"MAIL FROM:<Jones@BETA.ARPA>\r\n"),
            (b"250 OK\r\n", b"RCPT TO:<Smith@ALPHA.ARPA>\r\n"),
            (b"550 no\r\n", b"RSET\r\n"),
            (b"250 OK\r\n", b"QUIT\r\n"),
        ]
        for said, heard in dialogue:
            wire.send(said)
            wire.hears(heard)
        wire.send(BYE)
        assert wire.rest() == b""
        wait_for_sessions()
        handler = caught.handler()
        assert isinstance(handler, Turning)
        assert handler.delivery.recipients[0].reply == Reply(550, "no")
        assert handler.endings == [Closed()]


class TurningBadly(Turning):
    """Agrees to TURN, and then fails."""

    def turned(self, client: Client) -> None:
        """Fail."""
        raise ValueError("nothing to send")


class TurningBadlyLater(Turning):
    """Agrees to TURN, and then fails, or needs an event loop for that."""

    def turned(self, client: Client) -> Any:
        """Fail, after a while."""
        return self._fail()

    async def _fail(self) -> None:
        await pause()
        raise ValueError("nothing to send")


@pytest.mark.parametrize("make", [TurningBadly, TurningBadlyLater])
def test_turn_and_a_handler_that_fails(
    make: type[Catcher], caplog: pytest.LogCaptureFixture, adapter: Adapter
) -> None:
    """The session is left in order: QUIT, then the end; and the log says why."""
    with Catching(make) as caught, turned_to(caught) as wire:
        wire.send(b"220 ALPHA.ARPA\r\n")
        assert wire.line() == b"HELO BETA.ARPA\r\n"
        wire.send(b"250 ALPHA.ARPA\r\n")
        assert wire.line() == QUIT
        wire.send(BYE)
        assert wire.rest() == b""
        wait_for_sessions()
        assert len(caught.handler().endings) == 1
    blocks = make is TurningBadlyLater and adapter.name == "sockets"
    assert ("what is awaited needs" if blocks else "nothing to send") in caplog.text


@pytest.mark.parametrize(
    "said", [b"", b"421 not now\r\n", b"what?\r\n", b"220 ALPHA.ARPA\r\n250 too many\r\n"]
)
def test_turn_and_a_peer_that_does_not_serve(said: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A peer that does not keep its new role ends the session, and nothing else."""
    caplog.set_level(logging.INFO, "smtp821")
    with Catching(Turning) as caught:
        with turned_to(caught) as wire:
            wire.send(said)
            wire.finish()
            wire.rest()
        wait_for_sessions()
        handler = caught.handler()
        assert isinstance(handler, Turning)
        assert handler.delivery is None
        assert handler.endings == [Closed()]
        assert len(caplog.records) == 1
        assert caplog.records[0].exc_info is None
        with caught.connect() as wire:
            greeted(wire)


def test_turn_and_a_peer_that_speaks_too_early() -> None:
    """What stands behind TURN, before the roles are exchanged, is never carried over (3.8)."""
    with Catching(Turning) as caught, caught.connect() as wire:
        greeted(wire).send(b"TURN\r\n220 ALPHA.ARPA\r\n")
        assert wire.rest() == OKAY
        wait_for_sessions()
        assert caught.handler().endings == [Closed()]


class GatedTurning(Gated, Turning):
    """Waits before it greets, and agrees to TURN."""


def test_turn_and_a_peer_that_falls_silent() -> None:
    """Time is limited in the other role too."""
    with Catching(GatedTurning, timeouts=Timeouts.all(0.01)) as caught, caught.connect() as wire:
        wire.send(HELO + b"TURN\r\n")
        handler = caught.handler()
        opened(handler)
        assert wire.rest() == GREETING + HELLO + OKAY
        wait_for_sessions()
        assert handler.endings == [Closed()]


def test_stop_in_the_other_role(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that stops does not wait for a peer that has become the receiver."""
    linger(monkeypatch, 0.1)
    with Catching(Turning) as caught, turned_to(caught) as wire:
        caught.server.stop()
        assert running() == []
        assert wire.rest() == b""
        assert caught.handler().endings == [Closed()]
