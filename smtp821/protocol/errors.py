"""What can go wrong, and whose doing it was.

Two questions decide the class: did the program that uses this library err (Local), or the peer
at the other end of the channel (Remote)? A LocalProtocolError changes nothing and says what was
legal; after a RemoteProtocolError the channel is of no further use. The whole tree of the package:

    SMTPError
        ProtocolError
            LocalProtocolError      the caller asked for what is not legal
            RemoteProtocolError     the peer does not keep the protocol
        SessionRefused              the peer said no to the session (a Client only)
        SessionLost                 the peer, or the connection, is gone (a Client only)

and OSError, TimeoutError included, for what the system says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .replies import Reply

__all__ = ["LocalProtocolError", "ProtocolError", "RemoteProtocolError", "SMTPError"]


class SMTPError(Exception):
    """Every exception of this package that is not a plain OSError."""


class ProtocolError(SMTPError):
    """RFC 821 was not kept; see the two subclasses for who did not keep it."""


class LocalProtocolError(ProtocolError):
    """The caller asked for what the protocol does not allow; the message says what was legal.

    Nothing was written and no state has changed, so the caller may try again.
    """


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol in a way that leaves the channel unusable.

    reply: the Reply a receiver should give before it closes, or None where no reply can help
        (a sender cannot reply).
    """

    def __init__(self, message: str, reply: Reply | None = None) -> None:
        super().__init__(message)
        self.reply = reply
