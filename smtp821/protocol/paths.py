"""Domains, mailboxes and paths (4.1.2), as values that keep their text.

A value is its text, checked once; its parts are cut out of that text when asked for. So what came
in goes out byte for byte, and equality follows 2 and 4.1.2: domains without regard to case, local
parts to the letter. Raw text is compared: `Joe\\,Smith@x` and `"Joe,Smith"@x` are two texts, and
`Mailbox.user` tells that they name one user.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import attrs

from .errors import LocalProtocolError
from .grammar import STRICT
from .limits import Limits

__all__ = ["NULL_PATH", "POSTMASTER", "Domain", "Mailbox", "Path", "excess"]

T = TypeVar("T")

_new, _set = object.__new__, object.__setattr__

_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)


def maker(cls: type[T], field: str) -> Callable[[object], T]:
    """Makes frozen values of one field without the check that the parser has already done."""
    put = getattr(cls, field).__set__

    def make(value: object) -> T:
        self = _new(cls)
        put(self, value)
        return self

    return make


def trusted(cls: type[T], field: str, value: object) -> T:
    """One such value."""
    self = _new(cls)
    _set(self, field, value)
    return self


def _checked(production: str, example: str) -> Any:
    """The validator of a text field: it must be derivable from the production."""

    def check(instance: object, _: object, text: object) -> None:
        if not isinstance(text, str) or not STRICT.pattern(production).fullmatch(text):
            name = type(instance).__name__
            raise LocalProtocolError(f"{text!a} is not a {name}; one looks like {example}")

    return check


@attrs.frozen
class Domain:
    """The name of a host: "USC-ISIF.ARPA", "#123" or "[123.255.37.2]" (3.7, 4.1.2 <domain>).

    Raises LocalProtocolError for any other text.
    """

    text: str = attrs.field(
        eq=str.lower, validator=_checked("domain", '"USC-ISIF.ARPA", "#123" or "[10.0.0.27]"')
    )

    def __str__(self) -> str:
        return self.text


def _key(mailbox: str) -> str:
    """What two mailboxes, or two paths, are compared by: their text with domains in lower case.

    `<Postmaster>`, the one user whose case means nothing (AMB-15), is a domain here: without "@".
    """
    local, _, domain = mailbox.rpartition("@")
    return f"{local}@{domain.lower()}"


@attrs.frozen
class Mailbox:
    """A user at a host: "Smith@USC-ISIF.ARPA" (4.1.2 <mailbox>).

    Raises LocalProtocolError for any other text.
    """

    text: str = attrs.field(
        eq=_key, validator=_checked("mailbox", '"Smith@USC-ISIF.ARPA" or "\\"A. User\\"@a.b"')
    )

    @property
    def local_part(self) -> str:
        """What stands before the "@", as it was written, quotes and backslashes included."""
        return self.text.rpartition("@")[0]

    @property
    def domain(self) -> Domain:
        """What stands behind the "@"."""
        return trusted(Domain, "text", self.text.rpartition("@")[2])

    @property
    def user(self) -> str:
        """The name of the user, quotes and backslashes undone: "Joe\\,Smith" is "Joe,Smith"."""
        local = self.local_part
        if local.startswith('"'):
            local = local[1:-1]
        return _QUOTED_PAIR.sub(r"\1", local)

    def __str__(self) -> str:
        return self.text


def _path_key(path: str) -> str:
    route, colon, mailbox = path.partition(":") if path.startswith("<@") else ("", "", path)
    return f"{route.lower()}{colon}{_key(mailbox)}"


@attrs.frozen
class Path:
    """A reverse-path or forward-path, brackets included (4.1.2 <path>).

    "<Smith@USC-ISIF.ARPA>", with a source route "<@ONE,@TWO:JOE@THREE>" (3.6), the null
    reverse-path "<>" (3.6), or "<Postmaster>". Raises LocalProtocolError for any other text.
    """

    text: str = attrs.field(
        eq=_path_key,
        validator=_checked("any-path", '"<Smith@USC-ISIF.ARPA>" or "<@ONE,@TWO:JOE@THREE>"'),
    )

    @classmethod
    def of(cls, mailbox: Mailbox | str, *route: Domain | str) -> Path:
        """The path to a mailbox, by way of the hosts of a route, the nearest first (3.6).

        Raises LocalProtocolError for texts that are no mailbox, or no domain.
        """
        if isinstance(mailbox, str):
            mailbox = Mailbox(mailbox)
        hosts = [Domain(host) if isinstance(host, str) else host for host in route]
        way = ",".join(f"@{host}" for host in hosts)
        return cls(f"<{way}:{mailbox}>" if way else f"<{mailbox}>")

    @property
    def route(self) -> tuple[Domain, ...]:
        """The hosts to pass on the way, the nearest first; () where there are none."""
        if not self.text.startswith("<@"):
            return ()
        hosts = self.text[2 : self.text.index(":")].split(",@")
        return tuple(trusted(Domain, "text", host) for host in hosts)

    @property
    def mailbox(self) -> Mailbox | None:
        """The mailbox at the end of the way; None in "<>" and "<Postmaster>"."""
        inner = self.text[1:-1]
        if inner.startswith("@"):
            inner = inner.partition(":")[2]
        return trusted(Mailbox, "text", inner) if "@" in inner else None

    @property
    def is_null(self) -> bool:
        """Whether this is "<>", the reverse-path of a notification (3.6)."""
        return self.text == "<>"

    @property
    def is_postmaster(self) -> bool:
        """Whether this is "<Postmaster>", the one path without a domain (RFC 1123 5.2.7)."""
        return self.mailbox is None and not self.is_null

    def __str__(self) -> str:
        return self.text


NULL_PATH: Final = trusted(Path, "text", "<>")
POSTMASTER: Final = trusted(Path, "text", "<Postmaster>")


def excess(value: Path | Domain, limits: Limits, *, sent: bool = False) -> str | None:
    """Which size of 4.5.3 the value exceeds, in words for a reply ("Path too long"), or None.

    sent: whether it is to be sent; the brackets of a path count only then.
    """
    text = value.text
    if len(text) <= limits.user and len(text) <= limits.domain:  # whatever its parts are
        return None
    if isinstance(value, Domain):
        return "Domain too long" if len(text) > limits.domain else None
    if len(text) - (0 if sent else 2) > limits.path:  # AMB-41
        return "Path too long"
    mailbox = value.mailbox
    if mailbox is not None and len(mailbox.local_part) > limits.user:
        return "User name too long"
    domains = (*value.route, mailbox.domain) if mailbox is not None else value.route
    if any(len(domain.text) > limits.domain for domain in domains):
        return "Domain too long"
    return None
