"""What a server needs for each of its connections, whatever adapter it runs on: who comes in, who
answers, and when a session is to end because the server does.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from typing import Final

from .conversation import Conversation
from .handler import Handler
from .protocol.dialect import RFC821_LENIENT, Dialect
from .protocol.events import Connected
from .protocol.paths import Domain
from .protocol.receiver import Receiver
from .protocol.replies import Code, Reply
from .transcript import Transcript

__all__ = ["GRACE", "Service"]

GRACE: Final = 30.0
"""Seconds that mail in hand has when a server stops, if nothing else is said."""

_log = logging.getLogger("smtp821")


class Service:
    """An application at a host.

    handler: makes the Handler of a connection from the peer's address.
    domain: the official name of the host, for its greeting.
    dialect: what is spoken, of which each connection offers what its handler does.
    max_connections, max_per_peer: how many at once, in all and from one address, if bounded.
    transcript: takes the peer's address and the text of every line that is said, if given.

    Raises LocalProtocolError for a domain that is none. Threads may share it, but for `enter` and
    `leave`, which are to be called by one at a time.
    """

    def __init__(
        self,
        handler: Callable[[str], Handler],
        domain: str,
        dialect: Dialect = RFC821_LENIENT,
        *,
        max_connections: int | None = None,
        max_per_peer: int | None = None,
        transcript: Callable[[str, str], object] | None = None,
    ) -> None:
        self._handler = handler
        self._domain = Domain(domain).text
        self._dialect = dialect
        self._offering = cache(dialect.offering)  # a dialect takes some making
        self._max_connections = max_connections
        self._max_per_peer = max_per_peer
        self._transcript = transcript
        self._inside: Counter[str] = Counter()
        self.connections = 0
        """How many are inside."""
        self.stopping = False
        """Whether no session is begun any more, and no transaction."""
        self.grace_is_over = False
        """Whether none is finished either."""

    def enter(self, host: str) -> bytes:
        """Let a connection from an address in; or, if there is no place, what it is to be told.

        b"" if it is in; `leave` is to be called for it then.
        """
        if self.stopping:
            return self._refusal()  # service not available
        if self._max_connections is not None and self.connections >= self._max_connections:
            return self.full
        if self._max_per_peer is not None and self._inside[host] >= self._max_per_peer:
            return self._refusal("Too many connections from your address, try again later")
        self.connections += 1
        self._inside[host] += 1
        return b""

    @property
    def full(self) -> bytes:
        """What a connection is told for which there is no place."""
        return self._refusal("Too many connections, try again later")

    def leave(self, host: str) -> None:
        """Give the place of a connection that was in to another."""
        self.connections -= 1
        self._inside[host] -= 1
        if not self._inside[host]:
            del self._inside[host]

    def converse(self, peer: str) -> Conversation:
        """Begin the conversation with a peer; without a handler for it, it will be sent away."""
        try:
            handler = self._handler(peer)
            offered = handler.offers()
        except Exception as error:
            _log.error("there is no handler for %s", peer, exc_info=error)
            handler, offered = _Unavailable(peer), frozenset()
        receiver = Receiver(self._domain, self._offering(offered))
        if self._transcript is None:
            return Conversation(handler, receiver)
        return Conversation(handler, receiver, Transcript(partial(self._transcript, peer)))

    def ends(self, conversation: Conversation) -> bool:
        """Whether a session is to be ended now, for the service stops (4.2.1)."""
        return self.stopping and (self.grace_is_over or not conversation.in_transaction)

    def _refusal(self, *lines: str) -> bytes:
        """421, and why."""
        receiver = Receiver(self._domain, self._dialect)
        receiver.shutdown(*lines)
        return receiver.data_to_send()


class _Unavailable(Handler):
    """Answers where the application has no handler."""

    def connected(self, event: Connected) -> Reply:
        """Send the peer away."""
        return Reply(Code.NOT_AVAILABLE)
