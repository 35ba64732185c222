"""What every adapter does between its reads and its writes, once.

A Conversation is a Receiver and the Handler that answers for it. An adapter reads bytes, calls
`advance`, writes bytes, and waits for what `advance` gave back; whatever is not I/O is here.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Mapping
from typing import Any, Final

from .handler import Handler
from .protocol.commands import COMMANDS, Verb
from .protocol.errors import LocalProtocolError
from .protocol.events import Closed, Connected, EndOfData, Event, MailData, Pause, Rejected, Turned
from .protocol.receiver import Receiver
from .protocol.replies import Code, Reply
from .protocol.sequencing import IN_TRANSACTION, State
from .transcript import Transcript

__all__ = ["Conversation"]

_log = logging.getLogger("smtp821")

_DATA = State.DATA  # a member of an enum costs a call to look up on Python 3.11


class Conversation:
    """One session of a server.

    handler: answers.
    receiver: the protocol's side; its dialect should offer what the handler does, and no more
        (`Dialect.offering(handler.offers())`).
    transcript: is shown what is said, if given.
    """

    def __init__(
        self, handler: Handler, receiver: Receiver, transcript: Transcript | None = None
    ) -> None:
        self.handler = handler
        self.receiver = receiver
        self.transcript = transcript
        self._asked: Event | None = None  # what the handler was shown last
        self._message_failed = False  # a part of the message in hand was not taken
        self._lost = False
        self._over = False
        self.progress = 0
        """Changes with each event, and with more of a message: not with octets of a command."""

    @property
    def in_transaction(self) -> bool:
        """Whether mail is in hand, which a server that stops lets finish."""
        return self.receiver.state in IN_TRANSACTION

    def receive_data(self, data: bytes) -> None:
        """Take what came from the peer; b"" is the end of file."""
        if self.transcript is not None:
            self.transcript.sender(data)
        if self.receiver.session.state is _DATA:
            self.progress += 1
        self.receiver.receive_data(data)

    def data_to_send(self) -> bytes:
        """What is to be written to the peer now."""
        data = self.receiver.data_to_send()
        if self.transcript is not None:
            self.transcript.receiver(data)
        return data

    def shutdown(self, *lines: str) -> None:
        """Say 421 and end the session (4.2.1); `advance` then gives Closed."""
        self.receiver.shutdown(*lines)

    def lost(self) -> None:
        """The connection is gone, or has served in the other role; `advance` then gives Closed."""
        self._lost = True
        if self.receiver.state not in (State.CLOSED, State.TURNED):
            self.receiver.shutdown()
            self.receiver.data_to_send()

    def advance(self) -> Pause | Closed | Turned | Awaitable[Any]:
        """Let events meet the handler, until bytes are needed or the session is over.

        An Awaitable is a handler's that is to be awaited: let `settle` do that, and call again.
        Turned: give the adapter's Client to `turned`, and once it is closed call `lost`.
        """
        receiver = self.receiver
        while True:
            event = receiver.next_event()
            if self._message_failed:
                event = self._after_failure(event)
            if isinstance(event, Pause):
                return event
            if isinstance(event, Turned):
                if not self._lost:
                    return event
                event = Closed()
            if isinstance(event, Closed):
                if self._over:
                    return event
                self._over = True
            self._asked = event
            self.progress += 1
            try:
                answer = getattr(self.handler, _METHODS[type(event)])(event)
            except Exception as error:
                self.fail(error)
                continue
            if answer is not None and isinstance(answer, Awaitable):
                return answer
            self.resume(answer)

    def turned(self, client: Any) -> Awaitable[Any] | None:
        """Let the handler send, now that the roles are exchanged (3.8).

        An Awaitable is to be awaited, as one of `advance` is.
        """
        self._asked = Turned()
        try:
            return self.handler.turned(client)
        except Exception as error:
            self.fail(error)
            return None

    async def settle(self, answer: Awaitable[Any]) -> None:
        """Await an answer of the handler, and go on with it, or without it if it raises."""
        try:
            self.resume(await answer)
        except Exception as error:
            self.fail(error)

    def resume(self, answer: object) -> None:
        """Go on with the answer of the handler, which is to be a Reply or None."""
        receiver = self.receiver
        if receiver.owed is None:  # it was not asked for a reply, or the session is over
            return
        try:
            if answer is None:
                receiver.accept()
            elif isinstance(answer, Reply):
                receiver.reply(answer)
            else:
                raise LocalProtocolError(f"a handler answers with a Reply or None, not {answer!r}")
        except LocalProtocolError as error:
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """Go on without the handler's answer: it raised (451, or else 421)."""
        _log.error("handler failed at %s", type(self._asked).__name__, exc_info=error)
        owed = self.receiver.reply_owed
        if isinstance(self._asked, MailData):
            self._message_failed = True
        elif owed is not None:
            legal = self.receiver.dialect.codes[owed]
            code = Code.LOCAL_ERROR if Code.LOCAL_ERROR in legal else Code.NOT_AVAILABLE
            self.receiver.reply(code)

    def _after_failure(self, event: Event | Pause) -> Event | Pause:
        """Swallow the rest of a message that the handler could not take, then answer 451."""
        while isinstance(event, MailData):
            event = self.receiver.next_event()
        if isinstance(event, EndOfData):
            reply = Reply(Code.LOCAL_ERROR)
            self.receiver.reply(reply)
            event = Rejected(reply, Verb.END_OF_DATA, b"")
        if not isinstance(event, Pause):
            self._message_failed = False
        return event


# The method of a handler for each event.
_METHODS: Final[Mapping[type, str]] = {
    **{command: command.verb.value.lower() for command in COMMANDS},
    Connected: "connected",
    MailData: "mail_data",
    EndOfData: "end_of_data",
    Rejected: "rejected",
    Closed: "closed",
}
