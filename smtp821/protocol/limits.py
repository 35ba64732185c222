"""Sizes (4.5.3): how large an object may be, each number with its source.

RFC 821 gives floors for receiving and ceilings for sending ("must be able to receive objects of
at least these sizes, but must not send objects larger"). One set of numbers serves both: what is
within them is always taken, what exceeds them is never sent, and what exceeds them on arrival is
answered with a reply, never with a lost session.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

__all__ = ["FLOOR", "Limits"]

FLOOR: Final = 64
"""Characters of the smallest object that 4.5.3 bounds: what is no longer exceeds nothing."""


def _limit(default: int | None, source: str, counts: str, reply: int | None, floor: int = 1) -> Any:
    """One row of the table: number, where it comes from, what it counts, the reply beyond it."""

    def check(_: object, field: attrs.Attribute[int | None], value: int | None) -> None:
        if value is None and field.name not in OPTIONAL:
            raise ValueError(f"{field.name} cannot be None: without it memory has no bound")
        if value is not None and value < floor:
            raise ValueError(f"{field.name} cannot be {value}: {source} asks for {floor} or more")

    metadata = {"source": source, "counts": counts, "reply": reply}
    return attrs.field(default=default, validator=check, metadata=metadata)


# What may be None, for no limit: the size of these costs the protocol no memory.
OPTIONAL = frozenset({"text_line", "recipients", "message", "errors"})


@attrs.frozen(kw_only=True)
class Limits:
    """The bounds of a dialect. `attrs.fields(Limits)` has each one's source, unit and reply.

    Numbers may be raised; below the floors of 4.5.3 they may not be set (ValueError), with
    one exception: `recipients`, which scenario 10 of Appendix F itself sets to one.
    """

    user: int = _limit(
        FLOOR, "4.5.3", "characters of a local part as sent, quotes included", 501, FLOOR
    )
    domain: int = _limit(
        FLOOR, "4.5.3", "characters of a domain or number, '#' included", 501, FLOOR
    )
    path: int = _limit(256, "4.5.3", "characters of a path without its brackets", 501, 256)
    command_line: int = _limit(512, "4.5.3", "octets of a command line with CRLF", 500, 512)
    reply_line: int = _limit(512, "4.5.3", "octets of a reply line with code and CRLF", None, 512)
    text_line: int | None = _limit(
        1000,
        "4.5.3",
        "octets of a line of mail data with CRLF, the doubled dot not counted",
        None,
        1000,
    )
    recipients: int | None = _limit(100, "4.5.3", "accepted recipients of one transaction", 552)
    message: int | None = _limit(None, "4.5.3", "octets of mail data, transparency undone", 552)
    reply_lines: int = _limit(1024, "memory", "lines of one reply", None)
    errors: int | None = _limit(None, "RFC 5321 4.3.2", "commands refused in one session", 421)
