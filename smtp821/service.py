"""What a server needs for each of its connections, whatever adapter it runs on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache, partial

from .conversation import Conversation
from .handler import Handler
from .protocol.dialect import Dialect
from .protocol.events import Connected
from .protocol.paths import Domain
from .protocol.receiver import Receiver
from .protocol.replies import Code, Reply
from .transcript import Transcript

__all__ = ["Service"]

_log = logging.getLogger("smtp821")


class Service:
    """An application at a host.

    handler: makes the Handler of a connection from the peer's address.
    domain: the official name of the host, for its greeting.
    dialect: what is spoken, of which each connection offers what its handler does.
    transcript: takes the peer's address and the text of every line that is said, if given.

    Raises LocalProtocolError for a domain that is none.
    """

    def __init__(
        self,
        handler: Callable[[str], Handler],
        domain: str,
        dialect: Dialect,
        transcript: Callable[[str, str], object] | None = None,
    ) -> None:
        self._handler = handler
        self._domain = Domain(domain).text
        self._offering = cache(dialect.offering)  # a dialect takes some making
        self._transcript = transcript
        full = Receiver(domain, dialect)
        full.shutdown("Too many connections, try again later")
        self.full = full.data_to_send()
        """What a connection is told for which there is no place."""

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


class _Unavailable(Handler):
    """Answers where the application has no handler."""

    def connected(self, event: Connected) -> Reply:
        """Send the peer away."""
        return Reply(Code.NOT_AVAILABLE)
