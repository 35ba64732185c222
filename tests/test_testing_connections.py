"""Connections to a server under test: a function, a Handler, a socket."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest

from smtp821 import Closed, Handler, LocalProtocolError, Noop, Receiver, Reply, State
from smtp821.testing.connections import CallableConnection, HandlerConnection, SocketConnection
from smtp821.testing.pair import pull

from .adapters import TIMEOUT
from .broken import HOST, Everything
from .peers import BYE, GREETING, OKAY, Script, Wire, playing

SHORT = 0.05  # seconds to wait for what does not come


def test_a_function() -> None:
    """It is given what is said, and gives what comes."""
    receiver = Receiver(HOST)

    def feed(data: bytes) -> bytes:
        if data:
            receiver.receive_data(data)
        pull(receiver)
        return receiver.data_to_send()

    connection = CallableConnection(feed)
    assert connection.exchange(b"", awaited=True).startswith(b"220 ")
    assert connection.exchange(b"NO", awaited=False) == b""
    assert connection.exchange(b"OP\r\n", awaited=True) == OKAY
    assert connection.closed() is None
    connection.close()
    connection.close()


def test_a_function_that_tells_whether_it_is_closed() -> None:
    """Then that is known."""
    assert CallableConnection(lambda data: data, lambda: True).closed() is True


class Parting(Handler):
    """Remembers how the session ended."""

    ended: Closed | None = None

    def closed(self, event: Closed) -> None:
        """It has ended."""
        self.ended = event


def test_a_handler() -> None:
    """With the Receiver of this library before it; what it does not offer is off."""
    handler = Parting("peer")
    connection = HandlerConnection(handler, HOST)
    assert connection.exchange(b"", awaited=True).startswith(b"220 local.example ")
    assert connection.exchange(b"EXPN x\r\n", awaited=True).startswith(b"502 ")
    assert connection.closed() is False
    assert connection.exchange(b"QUIT\r\n", awaited=True).startswith(b"221 ")
    assert connection.closed() is True
    connection.close()
    assert handler.ended == Closed()


def test_a_handler_that_is_left() -> None:
    """It hears that the connection is gone, once."""
    handler = Parting("peer")
    connection = HandlerConnection(handler)
    connection.exchange(b"", awaited=True)
    connection.close()
    assert handler.ended == Closed()
    handler.ended = None
    connection.close()
    assert handler.ended is None


class Awaited(Handler):
    """One of its methods is awaited."""

    async def noop(self, command: Noop) -> Reply:
        """A text of its own."""
        return Reply(250, "awaited")


def test_a_handler_that_is_awaited() -> None:
    """As long as it waits for nothing, no event loop is needed."""
    connection = HandlerConnection(Awaited("peer"))
    connection.exchange(b"", awaited=True)
    assert connection.exchange(b"NOOP\r\n", awaited=True) == b"250 awaited\r\n"


def test_a_handler_that_turns() -> None:
    """3.8: the session is over; nobody takes the other role."""
    connection = HandlerConnection(Everything("peer"))
    connection.exchange(b"HELO x\r\n", awaited=True)
    assert connection.exchange(b"TURN\r\n", awaited=True) == OKAY
    assert connection.closed() is True
    assert connection.conversation.receiver.state is State.TURNED


@contextlib.contextmanager
def connected(script: Script, timeout: float = 20.0) -> Iterator[SocketConnection]:
    """A connection to what plays a script."""
    with playing(script) as port:
        connection = SocketConnection("127.0.0.1", port, timeout)
        try:
            yield connection
        finally:
            connection.close()
            connection.close()


def test_a_socket() -> None:
    """A reply is waited for, however it comes; what is not awaited is not."""

    def script(wire: Wire) -> None:
        wire.send(GREETING[:7])
        wire.send(GREETING[7:])
        wire.hears(b"NOOP\r\n")
        wire.send(b"250-one\r\n")
        wire.send(b"250 two\r\n")
        wire.hears(b"QUIT\r\n")
        wire.send(BYE)

    with connected(script) as connection:
        assert connection.exchange(b"", awaited=True) == GREETING
        assert connection.exchange(b"NO", awaited=False) == b""
        assert connection.exchange(b"OP\r\n", awaited=True) == b"250-one\r\n250 two\r\n"
        assert connection.exchange(b"QUIT\r\n", awaited=True) == BYE
        assert connection.closed() is True


def test_a_socket_that_says_nothing() -> None:
    """What does not come in time is missing, and the connection is open."""

    def script(wire: Wire) -> None:
        wire.rest()

    with connected(script, SHORT) as connection:
        assert connection.exchange(b"", awaited=True) == b""
        assert connection.closed() is False


def test_a_socket_that_says_too_much() -> None:
    """It is seen in the next step, if it is not there in this one."""
    too_much = threading.Event()

    def script(wire: Wire) -> None:
        wire.send(GREETING)
        wire.hears(b"NOOP\r\n")
        wire.send(OKAY)
        assert too_much.wait(TIMEOUT)
        wire.send(OKAY)
        wire.rest()

    with connected(script) as connection:
        assert connection.exchange(b"", awaited=True) == GREETING
        assert connection.exchange(b"NOOP\r\n", awaited=True) == OKAY
        assert connection.exchange(b"NO", awaited=False) == b""
        too_much.set()
        assert connection.closed() is False  # another octet came instead
        assert connection.exchange(b"", awaited=True) == OKAY


def test_a_socket_that_breaks() -> None:
    """A reset is an end; what is sent then goes nowhere."""

    def script(wire: Wire) -> None:
        wire.send(GREETING)
        wire.hears(b"NOOP\r\n")
        wire.reset()

    with connected(script) as connection:
        assert connection.exchange(b"", awaited=True) == GREETING
        assert connection.exchange(b"NOOP\r\n", awaited=True) == b""
        assert connection.closed() is True
        assert connection.exchange(b"NOOP\r\n", awaited=True) == b""


def test_nobody_listens() -> None:
    """It is an OSError, when the connection is made."""
    with playing() as port:
        pass
    with pytest.raises(OSError):
        SocketConnection("127.0.0.1", port)


def test_a_domain_that_is_none() -> None:
    """As for a Receiver."""
    with pytest.raises(LocalProtocolError):
        HandlerConnection(Everything("peer"), "no domain")
