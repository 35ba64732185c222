"""The application behind `smtp821 serve`: mail for local users, into stores.

`LocalHandler` answers a session as a `LocalHost` judges, puts the trace lines before the message
(4.1.1 DATA), and says 250 when every store it goes to has made it safe.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from .handler import Handler
from .local_host import LocalHost
from .mail.trace import TimeStamp, return_path_line
from .protocol.commands import (
    Data,
    Expn,
    Helo,
    Mail,
    Rcpt,
    Saml,
    Send,
    Soml,
    TransactionCommand,
    Verb,
    Vrfy,
)
from .protocol.errors import LocalProtocolError
from .protocol.events import Closed, EndOfData, MailData, Rejected
from .protocol.paths import Domain, Path
from .protocol.replies import Code, Reply

__all__ = ["Draft", "LocalHandler", "Store"]

_log = logging.getLogger("smtp821")


class Draft(Protocol):
    """A message that is being taken in."""

    def write(self, data: bytes) -> None:
        """Add mail data, with its lines ended by CRLF; never cut inside a CRLF."""

    def commit(self) -> None:
        """Make it safe: after this, and only then, 250 is said. Raises OSError."""

    def abort(self) -> None:
        """Drop it."""


class Store(Protocol):
    """Where messages go."""

    def can_keep(self, mailbox: str) -> bool:
        """Whether mail for a local mailbox can be kept; if not, RCPT is answered 553."""

    def begin(self, mailboxes: Sequence[str], head: bytes) -> Draft:
        """Begin a message for local mailboxes, with its trace lines. Raises OSError."""


class LocalHandler(Handler):
    """One session of a host with local users.

    store: keeps the mail; terminal: shows it to active users, or None where nobody is (3.4).
    strict: whether trace lines have the form of RFC 821 rather than of RFC 1123.
    clock: gives the time, with its zone.
    """

    def __init__(
        self,
        peer: str,
        host: LocalHost,
        store: Store,
        *,
        terminal: Store | None = None,
        strict: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now().astimezone(),
    ) -> None:
        super().__init__(peer)
        self._host = host
        self._store = store
        self._terminal = terminal
        self._strict = strict
        self._clock = clock
        self._sender = _literal(peer)
        self._opening: TransactionCommand = Mail("<>")
        self._recipients: list[Path] = []
        self._drafts: list[Draft] = []
        self._failure: OSError | None = None

    def offers(self) -> frozenset[Verb]:
        """All but TURN; SEND, SOML and SAML only where there is a terminal."""
        without = set() if self._terminal is not None else {Verb.SEND, Verb.SOML, Verb.SAML}
        return super().offers() - without

    def helo(self, command: Helo) -> None:
        """Remember the name, for the time stamp line."""
        try:
            self._sender = Domain(command.domain.text)
        except LocalProtocolError:  # the lenient dialect takes any word
            self._sender = _literal(self.peer)

    def mail(self, command: Mail) -> Reply | None:
        """Begin a transaction."""
        return self._begin(command)

    def send(self, command: Send) -> Reply | None:
        """Begin a transaction."""
        return self._begin(command)

    def soml(self, command: Soml) -> Reply | None:
        """Begin a transaction."""
        return self._begin(command)

    def saml(self, command: Saml) -> Reply | None:
        """Begin a transaction."""
        return self._begin(command)

    def rcpt(self, command: Rcpt) -> Reply:
        """Judge a recipient."""
        reply = self._host.judge(command.forward_path)
        if reply.code < 300:
            if not all(map(self._store.can_keep, self._host.mailboxes_of(command.forward_path))):
                return Reply(Code.NAME_NOT_ALLOWED)
            self._recipients.append(command.forward_path)
        return reply

    def vrfy(self, command: Vrfy) -> Reply:
        """Say who a user is."""
        return self._host.verify(command.string)

    def expn(self, command: Expn) -> Reply:
        """Say who is on a list."""
        return self._host.expand(command.string)

    def data(self, command: Data) -> Reply | None:
        """Begin the message, behind its trace lines."""
        mailboxes = [name for path in self._recipients for name in self._host.mailboxes_of(path)]
        head = return_path_line(self._opening.reverse_path) + self._time_stamp()
        self._abort(None)
        try:
            for store in self._stores():
                self._drafts.append(store.begin(list(dict.fromkeys(mailboxes)), head))
        except OSError as error:
            self._abort(error)
            return Reply(Code.LOCAL_ERROR)
        return None

    def mail_data(self, event: MailData) -> None:
        """Write a piece of the message."""
        try:
            for draft in self._drafts:
                draft.write(event.data)
        except OSError as error:
            self._abort(error)

    def end_of_data(self, event: EndOfData) -> Reply | None:
        """Make the message safe, or say that it is not."""
        try:
            self._commit()
        except OSError as error:
            self._abort(error)
        if self._failure is None:
            return None
        full = self._failure.errno in (errno.ENOSPC, errno.EDQUOT)
        return Reply(Code.INSUFFICIENT_STORAGE if full else Code.LOCAL_ERROR)

    def rejected(self, event: Rejected) -> None:
        """Drop a message that the protocol refused."""
        self._abort(None)

    def closed(self, event: Closed) -> None:
        """Drop a message that was cut short (4.1.1 QUIT)."""
        self._abort(None)

    def _begin(self, command: TransactionCommand) -> Reply | None:
        if command.verb is not Verb.MAIL and self._terminal is None:
            return Reply(Code.NOT_IMPLEMENTED)
        self._opening = command
        self._recipients.clear()
        return None

    def _commit(self) -> None:
        """Deliver the message. The first store decides: what is in the mailbox is delivered, be
        the terminal gone or not (3.4). Raises OSError.
        """
        if self._drafts:
            self._drafts[0].commit()
        for draft in self._drafts[1:]:
            try:
                draft.commit()
            except Exception as error:  # of whatever kind: the message is delivered
                _log.error("a message could not be shown: %s", error)
                draft.abort()
        self._drafts.clear()

    def _stores(self) -> list[Store]:
        """To the terminal, to the mailbox, or to both: by the kind of the transaction (3.4)."""
        verb = self._opening.verb
        to_mailbox = verb in (Verb.MAIL, Verb.SAML)
        stores = [self._store] if to_mailbox else []
        if verb is not Verb.MAIL and self._terminal is not None:
            stores.append(self._terminal)
        return stores

    def _time_stamp(self) -> bytes:
        stamp = TimeStamp(
            from_domain=self._sender,
            by_domain=self._host.domain,
            at=self._clock(),
            protocol="SMTP",
        )
        return stamp.line(strict=self._strict)

    def _abort(self, failure: OSError | None) -> None:
        if failure is not None:
            _log.error("a message could not be stored: %s", failure)
        self._failure = failure
        for draft in self._drafts:
            draft.abort()
        self._drafts.clear()


def _literal(peer: str) -> Domain:
    """The host at an address, "10.0.0.27:4021", as a domain (4.1.2 <dotnum>)."""
    try:
        return Domain(f"[{peer.rpartition(':')[0]}]")
    except LocalProtocolError:
        return Domain("unknown")
