"""What a client does between its writes and its reads.

An Exchange is a Sender that is asked for one reply at a time. `client` hands it what is to be sent,
writes `data_to_send`, and passes on what it reads until `reply` has the answer.
"""

from __future__ import annotations

from .conversation import Conversation
from .delivery import SessionLost
from .handler import Handler
from .protocol.commands import Command
from .protocol.events import Closed, Pause, Replied, Turned
from .protocol.receiver import Receiver
from .protocol.replies import Reply
from .protocol.sender import Sender
from .transcript import Transcript

__all__ = ["Exchange"]


class Exchange:
    """One session of a client.

    sender: the protocol's side.
    transcript: is shown what is said, if given.
    """

    def __init__(self, sender: Sender, transcript: Transcript | None = None) -> None:
        self.sender = sender
        self.transcript = transcript
        self.over = False
        """Whether the connection is to be closed: nothing more can be said."""

    def send(self, command: Command) -> None:
        """Send a command. Raises LocalProtocolError, RemoteProtocolError as Sender does."""
        self.sender.send(command)

    def send_data(self, chunk: bytes | memoryview) -> None:
        """Send a chunk of the message. Raises as Sender does."""
        self.sender.send_data(chunk)

    def end_data(self) -> None:
        """Send the end of the message. Raises as Sender does."""
        self.sender.end_data()

    def turned(self, handler: Handler, domain: str) -> Conversation:
        """The conversation that the session becomes by TURN, offering what the handler does (3.8).

        Raises as `Sender.turned` does.
        """
        receiver = self.sender.turned(domain)
        dialect = receiver.dialect.offering(handler.offers())
        return Conversation(handler, Receiver(domain, dialect), self.transcript)

    def receive_data(self, data: bytes) -> None:
        """Take what came from the peer; b"" is the end of file."""
        if self.transcript is not None:
            self.transcript.receiver(data)
        self.sender.receive_data(data)

    def data_to_send(self) -> bytes:
        """What is to be written to the peer now."""
        data = self.sender.data_to_send()
        if self.transcript is not None:
            self.transcript.sender(data)
        return data

    def reply(self) -> Reply | None:
        """The reply that is awaited, or None while it is not complete.

        Raises SessionLost if the other side has gone, RemoteProtocolError if it does not keep the
        protocol; the session is over then.
        """
        event = self.sender.next_event()
        if isinstance(event, Pause):
            return None
        if not isinstance(event, Replied):
            awaiting = event.awaiting if isinstance(event, Closed) else None
            raise SessionLost("the other side closed the connection", awaiting)
        # What stands behind the reply tells whether the two ends are in step.
        self.over = not isinstance(self.sender.next_event(), (Pause, Turned))
        return event.reply

    def overheard(self) -> Reply | None:
        """A 421 that the other side said unasked (AMB-28); the session is over then.

        None if it said nothing, or the beginning of something, to which the sender has no answer
        but to raise. Raises SessionLost if it has gone, RemoteProtocolError if it said anything
        else.
        """
        event = self.sender.next_event()
        if isinstance(event, Closed):
            raise SessionLost("the other side closed the connection", event.awaiting)
        if not isinstance(event, Replied):
            return None
        self.over = True
        return event.reply
