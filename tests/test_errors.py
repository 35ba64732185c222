"""The tree of errors: who erred, and what a handler of exceptions can rely on."""

from __future__ import annotations

import pytest

from smtp821 import (
    NEED_COMMAND,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
    Reply,
    SessionLost,
    SessionRefused,
    SMTPError,
    State,
    namespace,
)

from .walks import answered, sender_at

# Each error, and the one above it.
TREE = {
    SMTPError: Exception,
    ProtocolError: SMTPError,
    LocalProtocolError: ProtocolError,
    RemoteProtocolError: ProtocolError,
    SessionRefused: SMTPError,
    SessionLost: SMTPError,
}


@pytest.mark.parametrize("error", TREE)
def test_the_tree(error: type[Exception]) -> None:
    """One class is caught by exactly those above it; no error of the package is an OSError."""
    assert error.__bases__ == (TREE[error],)


def test_every_error_stands_in_the_tree() -> None:
    """The public namespace has no other exception."""
    public = (getattr(namespace, name) for name in namespace.__all__)
    found = [each for each in public if isinstance(each, type) and issubclass(each, Exception)]
    assert set(found) == set(TREE)


@pytest.mark.parametrize("reply", [None, Reply(421, "a.b closing")])
def test_a_remote_error_may_have_a_reply(reply: Reply | None) -> None:
    """The reply that a receiver should give before it closes, if one can help."""
    error = RemoteProtocolError("out of turn", reply)
    assert (str(error), error.reply) == ("out of turn", reply)
    assert RemoteProtocolError("out of turn").reply is None


def test_whose_doing_it_was() -> None:
    """4.3: a word too many of ours is Local and changes nothing; of the peer's it is Remote."""
    sender = sender_at(State.READY)
    with pytest.raises(LocalProtocolError):
        sender.end_data()
    assert sender.next_event() is NEED_COMMAND
    with pytest.raises(RemoteProtocolError):
        answered(sender, b"250 OK\r\n")
    assert sender.state is State.CLOSED
