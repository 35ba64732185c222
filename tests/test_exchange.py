"""An Exchange: which reply is the awaited one, and when nothing more can be said."""

from __future__ import annotations

import pytest

from smtp821 import (  # fmt: skip
    Handler,
    Helo,
    LocalProtocolError,
    Mail,
    Noop,
    RemoteProtocolError,
    Reply,
    Sender,
    SessionLost,
    Turn,
    Verb,
)
from smtp821.exchange import Exchange
from smtp821.transcript import Transcript

GREETING = b"220 BETA.ARPA ready\r\n"
HELLO = b"250 BETA.ARPA\r\n"
NOT_NOW = b"421 not now\r\n"


def opened() -> Exchange:
    """An exchange behind greeting and HELO."""
    exchange = Exchange(Sender())
    exchange.receive_data(GREETING)
    assert exchange.reply() == Reply(220, "BETA.ARPA ready")
    exchange.send(Helo("ALPHA.ARPA"))
    assert exchange.data_to_send() == b"HELO ALPHA.ARPA\r\n"
    exchange.receive_data(HELLO)
    assert exchange.reply() == Reply(250, "BETA.ARPA")
    assert not exchange.over
    return exchange


def test_a_reply_in_pieces() -> None:
    """None, as long as it is not complete."""
    exchange = opened()
    exchange.send(Noop())
    for octet in b"250-one\r\n250 two\r":
        assert exchange.reply() is None
        exchange.receive_data(bytes([octet]))
    assert exchange.reply() is None
    exchange.receive_data(b"\n")
    assert exchange.reply() == Reply(250, ["one", "two"])
    assert not exchange.over


@pytest.mark.parametrize("behind", [NOT_NOW, b"", b"250 OK\r\n"])
def test_over_behind_a_reply(behind: bytes) -> None:
    """What stands behind the awaited reply ends it: a notice, the end of file, a reply too many."""
    exchange = opened()
    exchange.send(Noop())
    exchange.receive_data(b"250 OK\r\n" + behind)
    if not behind:
        exchange.receive_data(b"")
    if behind == b"250 OK\r\n":
        with pytest.raises(RemoteProtocolError, match="that nothing awaits"):
            exchange.reply()
        return
    assert exchange.reply() == Reply(250, "OK")
    assert exchange.over


def test_421_is_the_end() -> None:
    """A reply of 421 is given, and ends the session (4.2.1)."""
    exchange = opened()
    exchange.send(Mail("<>"))
    exchange.receive_data(NOT_NOW)
    assert exchange.reply() == Reply(421, "not now")
    assert exchange.over


def test_turn_is_not_the_end() -> None:
    """Behind an accepted TURN the connection is needed: it goes on in the other role (3.8)."""
    exchange = opened()
    exchange.send(Turn())
    exchange.receive_data(b"250 OK\r\n")
    assert exchange.reply() == Reply(250, "OK")
    assert not exchange.over
    conversation = exchange.turned(Handler("peer"), "ALPHA.ARPA")
    conversation.advance()
    assert conversation.data_to_send() == b"220 ALPHA.ARPA Simple Mail Transfer Service Ready\r\n"


@pytest.mark.parametrize("said", [b"", b"250", b"250-OK\r\n"])
def test_the_other_side_is_gone(said: bytes) -> None:
    """A reply without its end is none: SessionLost, with what was awaited."""
    exchange = opened()
    exchange.send(Mail("<>"))
    exchange.receive_data(said or b"2")
    exchange.receive_data(b"")
    with pytest.raises(SessionLost) as lost:
        exchange.reply()
    assert lost.value.awaiting is Verb.MAIL


def test_nothing_overheard() -> None:
    """Silence, and the beginning of something, are no notice."""
    exchange = opened()
    assert exchange.overheard() is None
    exchange.receive_data(b"42")
    assert exchange.overheard() is None
    assert not exchange.over
    with pytest.raises(RemoteProtocolError, match="out of turn"):
        exchange.send(Noop())


def test_a_notice_overheard() -> None:
    """421 that nobody asked for is a notice of closing (AMB-28)."""
    exchange = opened()
    exchange.receive_data(NOT_NOW)
    assert exchange.overheard() == Reply(421, "not now")
    assert exchange.over


def test_the_end_overheard() -> None:
    """Who has gone in silence is found gone."""
    exchange = opened()
    exchange.receive_data(b"")
    with pytest.raises(SessionLost) as lost:
        exchange.overheard()
    assert lost.value.awaiting is None


def test_anything_else_overheard() -> None:
    """A reply that nothing has asked for is the peer's error."""
    exchange = opened()
    exchange.receive_data(b"250 OK\r\n")
    with pytest.raises(RemoteProtocolError, match="that nothing awaits"):
        exchange.overheard()


def test_turned_without_turn() -> None:
    """The roles are exchanged by TURN, and by nothing else."""
    with pytest.raises(LocalProtocolError):
        opened().turned(Handler("peer"), "ALPHA.ARPA")


def test_the_transcript() -> None:
    """What is said is shown, each side as what it is."""
    lines: list[str] = []
    exchange = Exchange(Sender(), Transcript(lines.append))
    exchange.receive_data(GREETING)
    exchange.reply()
    exchange.send(Helo("ALPHA.ARPA"))
    exchange.data_to_send()
    assert lines == ["R: 220 BETA.ARPA ready", "S: HELO ALPHA.ARPA"]
