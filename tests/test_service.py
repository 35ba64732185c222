"""Who is let in to a server, and when a session is to end because the server does."""

from __future__ import annotations

import pytest

from smtp821 import Closed, Handler, LocalProtocolError
from smtp821.service import Service

ME = "BETA.ARPA"
FULL = b"421 BETA.ARPA Too many connections, try again later\r\n"
FULL_FOR_YOU = b"421 BETA.ARPA Too many connections from your address, try again later\r\n"
STOPPING = b"421 BETA.ARPA Service not available, closing transmission channel\r\n"


def test_no_bounds() -> None:
    """Without bounds everybody comes in."""
    service = Service(Handler, ME)
    assert [service.enter("10.0.0.1") for _ in range(1000)] == [b""] * 1000
    assert service.connections == 1000


def test_the_bound_on_all() -> None:
    """One too many is told 421 (4.2.1); a place that is left is given again."""
    service = Service(Handler, ME, max_connections=2)
    assert [service.enter(host) for host in "abc"] == [b"", b"", FULL]
    service.leave("a")
    assert [service.enter(host) for host in "cd"] == [b"", FULL]
    assert service.connections == 2


def test_the_bound_on_one() -> None:
    """Each address has places of its own."""
    service = Service(Handler, ME, max_per_peer=1)
    assert [service.enter(host) for host in "abab"] == [b"", b"", FULL_FOR_YOU, FULL_FOR_YOU]
    service.leave("a")
    assert [service.enter(host) for host in "ba"] == [FULL_FOR_YOU, b""]


def test_both_bounds() -> None:
    """What holds for all is said first."""
    service = Service(Handler, ME, max_connections=2, max_per_peer=1)
    assert [service.enter(host) for host in "aabb"] == [b"", FULL_FOR_YOU, b"", FULL]


def test_nothing_is_kept_of_who_has_left() -> None:
    """A server that has seen every address of the world remembers none of them."""
    service = Service(Handler, ME, max_per_peer=1)
    for number in range(100):
        assert service.enter(f"10.0.0.{number}") == b""
        service.leave(f"10.0.0.{number}")
    assert service.connections == 0
    assert not service._inside


def test_stopping() -> None:
    """Nobody comes in any more; who is idle ends, and who has mail in hand when grace is over."""
    service = Service(Handler, ME)
    conversation = service.converse("10.0.0.1:4021")
    busy = service.converse("10.0.0.1:4022")
    for each in (conversation, busy):
        each.advance()
    busy.receive_data(b"HELO ALPHA.ARPA\r\nMAIL FROM:<Smith@ALPHA.ARPA>\r\n")
    busy.advance()
    assert not service.ends(conversation)
    assert not service.ends(busy)
    service.stopping = True
    assert service.enter("10.0.0.1") == STOPPING
    assert service.ends(conversation)
    assert not service.ends(busy)
    service.grace_is_over = True
    assert service.ends(busy)


def test_sessions_share_nothing() -> None:
    """Each has its own handler, state, and envelope."""
    service = Service(Handler, ME)
    one, two = service.converse("10.0.0.1:1"), service.converse("10.0.0.1:2")
    assert (one.handler.peer, two.handler.peer) == ("10.0.0.1:1", "10.0.0.1:2")
    for each in (one, two):
        each.advance()
    one.receive_data(b"HELO ALPHA.ARPA\r\nMAIL FROM:<Smith@ALPHA.ARPA>\r\n")
    one.advance()
    assert one.receiver.envelope is not None
    assert two.receiver.envelope is None


def test_no_handler(caplog: pytest.LogCaptureFixture) -> None:
    """A peer for whom there is no handler is sent away with 421 (4.2.1)."""

    def broken(peer: str) -> Handler:
        raise ValueError("no handler today")

    conversation = Service(broken, ME).converse("10.0.0.1:4021")
    assert conversation.advance() == Closed()
    assert conversation.data_to_send() == STOPPING
    assert "no handler today" in caplog.text


def test_a_domain_that_is_none() -> None:
    """It is refused at once."""
    with pytest.raises(LocalProtocolError, match="is not a Domain"):
        Service(Handler, "no domain")


def test_a_transcript_for_each_peer() -> None:
    """Every line comes with the address of its peer."""
    lines: list[tuple[str, str]] = []
    service = Service(Handler, ME, transcript=lambda *line: lines.append(line))
    for peer in ("10.0.0.1:1", "10.0.0.1:2"):
        conversation = service.converse(peer)
        conversation.advance()
        conversation.data_to_send()
    greeting = "R: 220 BETA.ARPA Simple Mail Transfer Service Ready"
    assert lines == [("10.0.0.1:1", greeting), ("10.0.0.1:2", greeting)]
