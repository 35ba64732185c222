"""Sending a message to its recipients, in whatever way commands get to the other side.

`deliver` is the plan that every adapter's Client follows: it yields what is to be sent next and
is given the reply, and in the end it knows what became of each recipient. One bad recipient does
not sink the rest (2), and what one transaction cannot take goes in another (4.5.3, scenario 10).
"""

from __future__ import annotations

import enum
import functools
from collections.abc import AsyncIterable, Generator, Iterable, Iterator, Mapping
from typing import Any, BinaryIO, Final

import attrs

from .protocol.commands import (
    Command,
    Data,
    Mail,
    Rcpt,
    Rset,
    Saml,
    Send,
    Soml,
    TransactionCommand,
    Verb,
)
from .protocol.errors import LocalProtocolError, RemoteProtocolError, SMTPError
from .protocol.limits import Limits
from .protocol.paths import Path, excess
from .protocol.replies import Code, Reply, Severity

__all__ = [
    "CHUNK",
    "MESSAGE",
    "Delivery",
    "Message",
    "RecipientResult",
    "SessionLost",
    "SessionRefused",
    "Source",
    "Status",
    "deliver",
    "no_session",
    "status_of",
]

CHUNK: Final = 1 << 16
"""Octets of mail data that are read and written at a time."""


class SessionRefused(SMTPError):
    """The other side did not open the session: its greeting, or its answer to HELO, was a no.

    reply: what it said.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"the session was refused: {reply}")
        self.reply = reply


class SessionLost(SMTPError):
    """The connection ended before its time; a temporary failure (4.1.1 QUIT).

    awaiting: what was sent and not answered, or None.
    """

    def __init__(self, message: str, awaiting: Verb | None = None) -> None:
        super().__init__(message)
        self.awaiting = awaiting


class Status(enum.StrEnum):
    """What became of a recipient, or of a whole delivery."""

    ACCEPTED = "accepted"
    """The other side has taken responsibility."""
    PARTIAL = "partial"
    """Of a delivery: for some recipients, not for all."""
    TEMPORARY = "temporary"
    """Not now: a 4yz reply, or the connection was lost. Try again later (Appendix E)."""
    PERMANENT = "permanent"
    """No: a 5yz reply. Do not try the same again (Appendix E)."""
    PROTOCOL = "protocol"
    """The other side does not keep the protocol."""


@attrs.frozen
class RecipientResult:
    """What became of one recipient."""

    path: Path
    """Its forward-path, as given."""
    status: Status
    """In a word; never PARTIAL."""
    reply: Reply | None = None
    """The reply that decided: to RCPT if it was refused there, or 251 with the path that the
    other side forwards to, else to the end of the message; None if none came."""
    error: Exception | None = None
    """Why no reply came."""

    @property
    def forward_path(self) -> Path | None:
        """Where the recipient is now, if the reply was 251 (it forwards) or 551 (3.2)."""
        return self.reply.forward_path if self.reply is not None else None

    @property
    def moved_to(self) -> Path | None:
        """Where the message is still to be sent, if the reply was 551 (3.2)."""
        moved = self.reply is not None and self.reply.code == Code.NOT_LOCAL
        return self.forward_path if moved else None


@attrs.frozen
class Delivery:
    """What became of a message: a result for each recipient, in the order they were given."""

    recipients: tuple[RecipientResult, ...]

    @property
    def status(self) -> Status:
        """All accepted, some, or the gravest of the reasons why none was."""
        found = {result.status for result in self.recipients}
        if Status.ACCEPTED in found:
            return Status.ACCEPTED if len(found) == 1 else Status.PARTIAL
        return next(s for s in (Status.PROTOCOL, Status.TEMPORARY, Status.PERMANENT) if s in found)


class _TheMessage(enum.Enum):
    """What a plan yields where mail data is to be sent, up to its end."""

    MESSAGE = "message"


MESSAGE: Final = _TheMessage.MESSAGE

_KINDS: Final[dict[Verb, type[TransactionCommand]]] = {
    Verb.MAIL: Mail,
    Verb.SEND: Send,
    Verb.SOML: Soml,
    Verb.SAML: Saml,
}

Step = Command | _TheMessage

_STATUS: Final[Mapping[Severity, Status]] = {
    Severity.COMPLETED: Status.ACCEPTED,
    Severity.INTERMEDIATE: Status.PROTOCOL,
    Severity.TRANSIENT: Status.TEMPORARY,
    Severity.PERMANENT: Status.PERMANENT,
}


def deliver(
    reverse_path: Path | str,
    forward_paths: Iterable[Path | str],
    *,
    kind: Verb = Verb.MAIL,
    limits: Limits,
    repeatable: bool,
) -> Generator[Step, Reply, Delivery]:
    """The plan for one message: yields a Command, or MESSAGE, and takes the reply to it.

    limits: the longest path, and the most recipients in one transaction (4.5.3).
    repeatable: whether the message can be sent more than once.
    An exception thrown in (SMTPError, OSError) settles the recipients that are still open, and
    ends the plan. Raises LocalProtocolError for what can never be sent.
    """
    paths = [Path(path) if isinstance(path, str) else path for path in forward_paths]
    if kind not in _KINDS:
        raise LocalProtocolError(f"{kind} begins no transaction; {', '.join(_KINDS)} do (3.4)")
    opening = _KINDS[kind](reverse_path)
    commands = [Rcpt(path) for path in paths]  # all are looked at before any is sent
    for path in (opening.reverse_path, *paths):
        if too_long := excess(path, limits, sent=True):
            raise LocalProtocolError(f"{path}: {too_long} (4.5.3)")
    if not commands:
        raise LocalProtocolError("a message needs a recipient (3.1)")
    if limits.recipients is not None and len(paths) > limits.recipients and not repeatable:
        raise LocalProtocolError(
            f"{len(paths)} recipients take more than one transaction of {limits.recipients}, and "
            "a message that can be read only once cannot be sent twice"
        )
    results: dict[int, RecipientResult] = {}
    try:
        while left := [at for at in range(len(paths)) if at not in results]:
            batch = {at: commands[at] for at in left[: limits.recipients]}
            yield from _transaction(opening, batch, repeatable, results)
    except LocalProtocolError:
        raise
    except (SMTPError, OSError) as error:
        status = Status.PROTOCOL if isinstance(error, RemoteProtocolError) else Status.TEMPORARY
        for at, path in enumerate(paths):
            results.setdefault(at, RecipientResult(path, status, error=error))
    return Delivery(tuple(results[at] for at in range(len(paths))))


def _transaction(
    opening: TransactionCommand,
    batch: Mapping[int, Rcpt],
    repeatable: bool,
    results: dict[int, RecipientResult],
) -> Generator[Step, Reply, None]:
    """One transaction; it settles some of its recipients, one at least, each once that is known.

    Not settled are those from a 552 on, if others were accepted before (scenario 10).
    """
    reply = yield opening
    if reply.severity is not Severity.COMPLETED:
        results.update((at, _result(rcpt, reply)) for at, rcpt in batch.items())
        return
    accepted: dict[int, Reply] = {}
    for at, rcpt in batch.items():
        reply = yield rcpt
        if reply.severity is Severity.COMPLETED:
            accepted[at] = reply
        elif reply.code == Code.STORAGE_EXCEEDED and accepted and repeatable:
            break
        else:
            results[at] = _result(rcpt, reply)
    if accepted:
        reply = yield Data()
    begun = accepted and reply.severity is Severity.INTERMEDIATE
    if begun:
        reply = yield MESSAGE
    for at, first in accepted.items():
        forwarded = first.forward_path and reply.severity is Severity.COMPLETED
        results[at] = _result(batch[at], first if forwarded else reply)
    if not begun:  # there is nothing to send, or nobody who takes it
        reply = yield Rset()
        if reply.severity is not Severity.COMPLETED:
            raise SessionLost(f"the transaction could not be aborted: {reply}", Verb.RSET)


def status_of(reply: Reply) -> Status:
    """What a final reply means for those it is about (Appendix E)."""
    return _STATUS[reply.severity]


def no_session(paths: Iterable[Path], error: Exception) -> Delivery:
    """What became of a message for which there was no session: an SMTPError, or an OSError."""
    reply = error.reply if isinstance(error, SessionRefused) else None
    if reply is not None:
        status = status_of(reply)
    else:
        status = Status.PROTOCOL if isinstance(error, RemoteProtocolError) else Status.TEMPORARY
    return Delivery(tuple(RecipientResult(path, status, reply, error) for path in paths))


def _result(rcpt: Rcpt, reply: Reply) -> RecipientResult:
    return RecipientResult(rcpt.forward_path, status_of(reply), reply)


Source = bytes | bytearray | memoryview | BinaryIO | Iterable[bytes] | AsyncIterable[bytes]


class Message:
    """The data of a message, to be read a chunk at a time.

    source: bytes; or a binary file, read from where it stands; or chunks of bytes.
    repeatable: whether it can be read more than once.
    asynchronous: the source, if its chunks are to be awaited; `chunks` is for all others.
    small: the whole of it, if it is one chunk that is here already.
    """

    def __init__(self, source: Source) -> None:
        self._source: Any = source
        self._start: int | None = None
        self.asynchronous = source if isinstance(source, AsyncIterable) else None
        self.small: memoryview | None = None
        if isinstance(source, (bytes, bytearray, memoryview)):
            self._source = memoryview(source)
            self.small = self._source if len(self._source) <= CHUNK else None
            self.repeatable = True
        elif hasattr(source, "read"):
            file: Any = source
            self.repeatable = file.seekable()
            self._start = file.tell() if self.repeatable else None
        elif isinstance(source, AsyncIterable):
            self.repeatable = aiter(source) is not source
        else:
            self.repeatable = iter(source) is not source

    def chunks(self) -> Iterator[bytes | memoryview]:
        """The whole message, in chunks; from its beginning each time, if it is repeatable."""
        source = self._source
        if isinstance(source, memoryview):
            return (source[at : at + CHUNK] for at in range(0, len(source), CHUNK))
        if not hasattr(source, "read"):
            return iter(source)
        if self._start is not None:
            source.seek(self._start)
        return iter(functools.partial(source.read, CHUNK), b"")
