"""How long to wait, in each phase of a session: RFC 1123, 5.3.2, for RFC 821 itself names no time.

One value serves both roles, since a session may change its roles (3.8). Time itself belongs to the
adapters; here are only the numbers, each with its source.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Self

import attrs

from .protocol.commands import Verb

__all__ = ["Timeouts"]


def _timeout(default: float, source: str, waits_for: str) -> Any:
    """One row of the table: seconds, where they come from, what is waited for."""

    def check(_: object, field: attrs.Attribute[float], value: float) -> None:
        if not value > 0:
            raise ValueError(f"{field.name} is to be a time over 0 seconds, not {value!r}")

    metadata = {"source": source, "waits for": waits_for}
    return attrs.field(default=default, validator=check, metadata=metadata)


@attrs.frozen(kw_only=True)
class Timeouts:
    """Seconds, over 0. A reply has to be complete within its time, however its bytes come.

    `attrs.fields(Timeouts)` has each one's source and what it is for.
    """

    opening: float = _timeout(300.0, "5.3.2 (a)", "sender: the connection, and the greeting")
    mail: float = _timeout(300.0, "5.3.2 (b)", "sender: the reply to MAIL, SEND, SOML, SAML")
    rcpt: float = _timeout(300.0, "5.3.2 (c)", "sender: the reply to RCPT")
    data: float = _timeout(120.0, "5.3.2 (d)", "sender: the reply to DATA")
    block: float = _timeout(180.0, "5.3.2 (e)", "sender: a block of mail data to be taken")
    end: float = _timeout(600.0, "5.3.2 (f)", "sender: the reply to the end of mail data")
    other: float = _timeout(300.0, "as MAIL", "sender: the reply to any other command")
    receiver: float = _timeout(300.0, "5.3.2", "receiver: the next command, or more mail data")

    @classmethod
    def all(cls, seconds: float) -> Self:
        """The same time for every phase. Raises ValueError."""
        return cls(**{field.name: seconds for field in attrs.fields(cls)})

    def reply_to(self, awaiting: Verb | None) -> float:
        """Seconds that the reply to a command may take."""
        return getattr(self, _REPLIES.get(awaiting, "other"))  # type: ignore[no-any-return]


_REPLIES: Final[Mapping[Verb | None, str]] = {
    Verb.CONNECT: "opening",
    Verb.MAIL: "mail",
    Verb.SEND: "mail",
    Verb.SOML: "mail",
    Verb.SAML: "mail",
    Verb.RCPT: "rcpt",
    Verb.DATA: "data",
    Verb.END_OF_DATA: "end",
}
