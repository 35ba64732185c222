"""What `next_event` gives besides commands: everything else that can happen in a session."""

from __future__ import annotations

import enum
from typing import ClassVar

import attrs

from .commands import Command, Verb
from .replies import Reply
from .sequencing import Outcome, outcome
from .session import Envelope

__all__ = [
    "NEED_COMMAND",
    "NEED_DATA",
    "NEED_REPLY",
    "Closed",
    "Connected",
    "EndOfData",
    "Event",
    "MailData",
    "Pause",
    "Rejected",
    "Replied",
    "Turned",
]


class Pause(enum.Enum):
    """No event: whose turn it is."""

    NEED_DATA = "send what data_to_send() gives, then feed receive_data() from the peer"
    NEED_REPLY = "a reply is owed: reply() or accept()"
    NEED_COMMAND = "the next command is yours: send(), or send_data() and end_data()"


NEED_DATA = Pause.NEED_DATA
NEED_REPLY = Pause.NEED_REPLY
NEED_COMMAND = Pause.NEED_COMMAND


@attrs.frozen
class Connected:
    """Receiver: the connection is made, and the greeting is owed (4.3)."""

    verb: ClassVar[Verb] = Verb.CONNECT


@attrs.frozen
class MailData:
    """Receiver: a piece of the message, transparency undone; no reply is owed (4.5.2)."""

    data: bytes
    """Never empty, never cut between a CR and its LF, no longer than one read and 4 octets."""


@attrs.frozen
class EndOfData:
    """Receiver: the message is complete, and its reply is owed (4.1.1 DATA).

    250 says that the message is safe; so it is given once the message is stored.
    """

    verb: ClassVar[Verb] = Verb.END_OF_DATA

    envelope: Envelope
    """Whom the message is from, and for whom it was accepted."""
    size: int
    """Octets of mail data, transparency undone."""
    eight_bit: bool
    """Whether an octet had its high bit set (only where the dialect lets them pass)."""


@attrs.frozen
class Rejected:
    """Receiver: what came was judged without the application, and is answered already."""

    reply: Reply
    """The reply that was given."""
    verb: Verb | None
    """The command; None where it was not recognised."""
    line: bytes
    """What came, without CRLF, cut to the limit of a line; b"" for a refused message."""


@attrs.frozen
class Replied:
    """Sender: the reply to what was sent, or (verb None) a 421 that came unasked (AMB-28)."""

    verb: Verb | None
    """What is answered: a command, or CONNECT (the greeting), or END_OF_DATA."""
    reply: Reply
    command: Command | None = None
    """The command that is answered, where it is one."""

    @property
    def outcome(self) -> Outcome:
        """What it means by the first digit (4.4)."""
        return Outcome.CLOSING if self.verb is None else outcome(self.verb, self.reply.code)


@attrs.frozen
class Turned:
    """Both: TURN was accepted; `turned()` gives the other role, for the same channel (3.8)."""


@attrs.frozen
class Closed:
    """Both: the session is over, and nothing more can be said."""

    awaiting: Verb | None = None
    """Sender: what was sent and never answered; it counts as a temporary failure (4.1.1 QUIT)."""
    cancelled: Envelope | None = None
    """The transaction that was in progress and has come to nothing (4.1.1 QUIT)."""


Event = Command | Connected | MailData | EndOfData | Rejected | Replied | Turned | Closed
