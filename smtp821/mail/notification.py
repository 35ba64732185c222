"""The "undeliverable mail" notification (3.6, Example 7): what an originator is told of a failure.

It is a message like any other, but that its reverse-path is null; so it can cause no other, and
about a message whose reverse-path is null there is none. Whatever peers said is quoted in the
body, made safe: 7 bits, printable, in lines that any host takes (4.5.3), and never in the header.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

import attrs

from ..protocol.errors import LocalProtocolError
from ..protocol.limits import Limits
from ..protocol.paths import NULL_PATH, Domain, Mailbox, Path
from ..protocol.replies import Code, Reply
from .trace import daytime

__all__ = ["HEADER_BOUND", "Failure", "Notification", "header_of", "undeliverable"]

HEADER_BOUND: Final = 8192
"""Octets of a message's header that are given back to its originator, unless told otherwise."""

_WIDTH: Final = (Limits().text_line or 1000) - len("\r\n")
_REPLY_LINES: Final = 32  # that are quoted of one reply: it may have a thousand
_LINE: Final = rb"[^\r]*+(?:\r(?!\n)[^\r]*+)*+\r\n"
_FIELDS = re.compile(rb"(?:[!-9;-~]++[ \t]*+:%(line)b(?:[ \t]%(line)b)*+)*+" % {b"line": _LINE})
_UNSAFE = re.compile(r"[^\t -~]")


def _leads_somewhere(_: object, __: object, path: Path) -> None:
    if path.is_null:
        raise LocalProtocolError(f"{path} is no forward-path: nothing was sent there")


@attrs.frozen
class Failure:
    """One recipient that a message has not reached, and will not reach.

    Raises LocalProtocolError for a null path.
    """

    forward_path: Path = attrs.field(validator=_leads_somewhere)
    """The recipient."""
    reason: Reply | str
    """The reply that decided; or, where there was none, what happened."""
    host: Domain | None = None
    """The host that gave the reply, if it is to be named."""


@attrs.frozen
class Notification:
    """A message to be sent to an originator, with MAIL whatever the other came by (4.1.1 DATA)."""

    forward_path: Path
    """The argument for RCPT: the reverse-path of the message that failed."""
    message: bytes
    """Header and body, in lines ended by CRLF, of at most 1000 octets with it, all of 7 bits."""
    reverse_path: Path = attrs.field(default=NULL_PATH, init=False)
    """The argument for MAIL: always null (3.6)."""


def undeliverable(
    reverse_path: Path,
    failures: Iterable[Failure],
    *,
    host: Domain,
    at: datetime,
    original: bytes = b"",
    header_bound: int = HEADER_BOUND,
    strict: bool = False,
) -> Notification | None:
    """The notification about a message that failed; None where it had a null reverse-path (3.6).

    reverse_path: of the message, as it came here.
    failures: one or more; all in one notification, or a call for each (4.1.1 DATA).
    host: the name of this host, whose SMTP the notification is from.
    at: the time, with its zone.
    original: the message, or its beginning: the lines of its header are put behind the rest, up
        to `header_bound` octets.
    strict: whether the date has the form of RFC 821 rather than of RFC 1123 (AMB-49).

    Raises LocalProtocolError for no failures, for a time without a zone, for `<Postmaster>`, which
    is no reverse-path, and for names that no line of a header can hold.
    """
    described = [*failures]
    if not described:
        raise LocalProtocolError("a notification needs a failure to speak of")
    if reverse_path.is_null:
        return None
    originator = reverse_path.mailbox
    if originator is None:
        raise LocalProtocolError(f"{reverse_path} is no reverse-path: it names no host (4.1.1)")
    header = [
        f"Date: {daytime(at, strict=strict)}",
        f"From: SMTP@{host}",
        f"To: {_address(originator)}",
        "Subject: Mail System Problem",
    ]
    if too_long := [line for line in header if len(line) > _WIDTH]:
        raise LocalProtocolError(f"{too_long[0][:80]}...: too long for a line (4.5.3)")
    lines = [*header, *(line for failure in described for line in _told(originator, failure))]
    if fields := header_of(original, header_bound):
        lines += ["", "  The header of your message:", "", *_safe(fields)]
    return Notification(reverse_path, "".join(map(_folded, lines)).encode("ascii"))


def header_of(beginning: bytes, bound: int = HEADER_BOUND) -> bytes:
    """The lines of a message's header, as they are, up to `bound` octets in whole lines.

    beginning: the message from its first octet on, in lines ended by CRLF; it may end anywhere.
    The header ends before the first line that is no field, nor the continuation of one.
    """
    fields = _FIELDS.match(beginning[: max(bound, 0)])
    return fields[0] if fields else b""


def _told(originator: Mailbox, failure: Failure) -> Iterator[str]:
    """What the originator is told of a recipient, in the words of Example 7."""
    recipient = failure.forward_path.mailbox or failure.forward_path.text[1:-1]
    yield ""
    yield f"  Sorry {originator.user}, your message to {recipient} lost."
    if isinstance(failure.reason, str):
        yield "  This happened:"
        yield from (f"   {line}" for line in _quotable(Reply(Code.LOCAL_ERROR, failure.reason)))
        return
    yield "  The reply was this:" if failure.host is None else f"  {failure.host} said this:"
    *before, last = _quotable(failure.reason)
    code = failure.reason.code
    said = "\n    ".join([*(f"{code}-{line}" for line in before), f"{code} {last}"])
    yield from f'   "{said}"'.split("\n")


def _quotable(reply: Reply) -> list[str]:
    """The text of a reply, safe, and not without end."""
    lines = reply.safe_lines(_WIDTH - len('    550 "'))
    return [*lines[:_REPLY_LINES], "..."] if len(lines) > _REPLY_LINES else lines


def _address(mailbox: Mailbox) -> str:
    """A mailbox as RFC 822 has it, which knows backslashes only between quotes."""
    if mailbox.local_part.startswith('"') or "\\" not in mailbox.local_part:
        return mailbox.text
    quoted = re.sub(r'(["\\])', r"\\\1", mailbox.user)
    return f'"{quoted}"@{mailbox.domain}'


def _safe(lines: bytes) -> list[str]:
    """The text of lines ended by CRLF; what is not printable, or not ASCII, becomes "?"."""
    return [_UNSAFE.sub("?", line) for line in lines.decode("latin-1").split("\r\n")[:-1]]


def _folded(line: str) -> str:
    """A line with its CRLF, in as many lines as it takes (4.5.3)."""
    parts = [line[at : at + _WIDTH] for at in range(0, len(line), _WIDTH)] or [""]
    return "".join(f"{part}\r\n" for part in parts)
