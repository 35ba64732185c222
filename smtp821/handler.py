"""The contract between an adapter and an application.

A Handler has one method for each event, named as the event is (`Mail` -> `mail`, `EndOfData` ->
`end_of_data`), and answers it with a Reply, or with None for the ordinary one. Override what you
implement: what is left alone does what RFC 821 asks of a host that does not implement it.
"""

from __future__ import annotations

from collections.abc import Awaitable
from functools import lru_cache
from typing import Any

from .protocol.commands import (
    USAGE,
    Data,
    Expn,
    Helo,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    Saml,
    Send,
    Soml,
    Turn,
    Verb,
    Vrfy,
)
from .protocol.dialect import MINIMUM
from .protocol.events import Closed, Connected, EndOfData, MailData, Rejected
from .protocol.replies import Code, Reply

__all__ = ["Answer", "Handler"]

Answer = Reply | None | Awaitable[Reply | None]
"""What a method returns; the Awaitable (an `async def`) only under asyncio and trio."""


class Handler:
    """Answers for one session; every connection gets its own.

    peer: the address of the host at the other end, for people ("127.0.0.1:4021").

    A method that raises is answered 451, or 421 where 4.3 has no 451 for the command; the
    exception is logged. A message during which `mail_data` raised is answered 451 at its end.
    """

    def __init__(self, peer: str) -> None:
        self.peer = peer

    def offers(self) -> frozenset[Verb]:
        """The commands that are implemented: the minimum of 4.5.1, HELP, and what is overridden.

        The others are answered 502, without any method being called.
        """
        return _offered_by(type(self))  # type: ignore[arg-type]  # classes have a hash

    # One method for each event. None means: the ordinary reply (Receiver.accept).

    def connected(self, event: Connected) -> Answer:
        """The connection is made: 220, or 421 to send the peer away."""
        return None

    def helo(self, command: Helo) -> Answer:
        """The peer names itself; any transaction is over."""
        return None

    def mail(self, command: Mail) -> Answer:
        """A transaction begins: 250, or 451, 452, 552."""
        return None

    def rcpt(self, command: Rcpt) -> Answer:
        """A recipient: 250 or 251 to accept, 450, 451, 452, 550, 551, 552 or 553 to refuse."""
        return Reply(Code.MAILBOX_UNAVAILABLE, "No such user here")

    def data(self, command: Data) -> Answer:
        """The message is to follow: 354, or 451, 554."""
        return None

    def mail_data(self, event: MailData) -> Awaitable[None] | None:
        """A piece of the message. No more is read from the peer until this returns."""
        return None

    def end_of_data(self, event: EndOfData) -> Answer:
        """The message is complete: 250 once it is safe, or 451, 452, 552, 554."""
        return Reply(Code.TRANSACTION_FAILED, "No mail is kept here")

    def rset(self, command: Rset) -> Answer:
        """The transaction in progress, if any, is aborted."""
        return None

    def send(self, command: Send) -> Answer:
        """As mail, for delivery to terminals (3.4)."""
        return Reply(Code.NOT_IMPLEMENTED)

    def soml(self, command: Soml) -> Answer:
        """As mail, for delivery to a terminal or else the mailbox (3.4)."""
        return Reply(Code.NOT_IMPLEMENTED)

    def saml(self, command: Saml) -> Answer:
        """As mail, for delivery to terminals and mailboxes (3.4)."""
        return Reply(Code.NOT_IMPLEMENTED)

    def vrfy(self, command: Vrfy) -> Answer:
        """Who is this user? 250 "Full Name <mailbox>", or 251, 550, 551, 553 (3.3)."""
        return Reply(Code.NOT_IMPLEMENTED)

    def expn(self, command: Expn) -> Answer:
        """Who is on this list? 250 with a mailbox a line, or 550 (3.3)."""
        return Reply(Code.NOT_IMPLEMENTED)

    def help(self, command: Help) -> Answer:
        """214: without a topic the commands there are, else the syntax of the one (AMB-23)."""
        if command.string is None:
            return None
        topic = command.string.upper()
        if topic in self.offers():
            return Reply(Code.HELP_MESSAGE, USAGE[Verb(topic)])
        return Reply(Code.PARAMETER_NOT_IMPLEMENTED, "No help on that")

    def noop(self, command: Noop) -> Answer:
        """Nothing is asked for."""
        return None

    def quit(self, command: Quit) -> Answer:
        """The peer takes its leave."""
        return None

    def turn(self, command: Turn) -> Answer:
        """The peer asks to change roles: 250, after which `turned` is called, or 502 (3.8)."""
        return Reply(Code.NOT_IMPLEMENTED)

    def turned(self, client: Any) -> Awaitable[None] | None:
        """The roles are changed: `client` (the adapter's Client) may send; then it is closed."""
        return None

    # Events that are answered already, or have no answer.

    def rejected(self, event: Rejected) -> Awaitable[None] | None:
        """The protocol refused something by itself; of a message (END_OF_DATA) all is to go."""
        return None

    def closed(self, event: Closed) -> Awaitable[None] | None:
        """The session is over, in whatever way; called once, and last."""
        return None


@lru_cache
def _offered_by(kind: type[Handler]) -> frozenset[Verb]:
    """The commands that a class of handlers implements."""
    optional = set(Verb) - MINIMUM - {Verb.CONNECT, Verb.END_OF_DATA, Verb.HELP}
    overridden = {verb for verb in optional if _overrides(kind, verb.value.lower())}
    return MINIMUM | overridden | {Verb.HELP}


def _overrides(kind: type[Handler], name: str) -> bool:
    return getattr(kind, name) is not getattr(Handler, name)
