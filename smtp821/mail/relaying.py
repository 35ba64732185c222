"""Relaying (3.6): where a message goes from here, and what its paths are on the way.

A relay takes its own name off the front of the forward-path, and puts it at the front of the
reverse-path; so the way that is left and the way back change together, host by host. Nothing is
looked up and nothing is sent: paths come in, and paths and the name of the next host come out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from ..protocol.errors import LocalProtocolError
from ..protocol.limits import Limits
from ..protocol.paths import Domain, Path, excess

__all__ = ["Relayed", "relay"]

_LIMITS: Final = Limits()


@attrs.frozen
class Relayed:
    """What becomes of a message for one recipient at this host."""

    next_host: Domain | None
    """The host to send it to, by name; None: it has arrived, and is delivered here."""
    forward_path: Path
    """The argument for RCPT there; here, whose mailbox it is for."""
    reverse_path: Path
    """The argument for MAIL there; here, what the return path line says."""


def relay(
    forward_path: Path,
    reverse_path: Path,
    names: Sequence[Domain],
    *,
    sending_as: Domain | None = None,
    limits: Limits = _LIMITS,
) -> Relayed:
    """The next host for a recipient, and both paths as they are to be sent to it (3.6).

    forward_path, reverse_path: as they came, in RCPT and MAIL.
    names: all that this host is called, in any case of letters, its official name first.
    sending_as: what it is called where the next host is, if that is another name (4.1.1 MAIL).
    limits: the sizes (4.5.3) of what is sent.

    The first host of the route is the next one, but for this host itself, whose name is taken off;
    where no route is left the mailbox tells. Mail for a mailbox here, and for `<Postmaster>`, is
    for delivery, and its reverse-path stays as it came (Example 8). A null reverse-path stays null.

    Raises LocalProtocolError for a path that RCPT or MAIL cannot have, and for a host without a
    name.
    """
    if not names:
        raise LocalProtocolError("a relay needs a name, to put it into reverse-paths (3.6)")
    if forward_path.is_null:
        raise LocalProtocolError(f"{forward_path} is no forward-path: it leads nowhere (4.1.1)")
    if reverse_path.is_postmaster:
        raise LocalProtocolError(f"{reverse_path} is no reverse-path: it names no host (4.1.1)")
    forward_path = _without_front(forward_path, names)
    next_host = _next_host(forward_path)
    if next_host is None or next_host in names:
        return Relayed(None, forward_path, reverse_path)
    return Relayed(next_host, forward_path, _way_back(reverse_path, sending_as or names[0], limits))


def _without_front(path: Path, names: Sequence[Domain]) -> Path:
    """The path from this host on; it may be on the route twice in a row, by two of its names."""
    mailbox, route = path.mailbox, path.route
    passed = 0
    while passed < len(route) and route[passed] in names:
        passed += 1
    return path if mailbox is None or not passed else Path.of(mailbox, *route[passed:])


def _next_host(path: Path) -> Domain | None:
    if path.route:
        return path.route[0]
    return None if path.mailbox is None else path.mailbox.domain


def _way_back(path: Path, name: Domain, limits: Limits) -> Path:
    """The reverse-path with a name at its front.

    Where it would be too long to be sent (4.5.3) the older hosts are left out: the mailbox is the
    address, and the route only a way to it (3.6), which this host can find anew; its own name it
    adds in any case. Only where even that is too long the mailbox stands alone.
    """
    if path.mailbox is None:
        return path
    alone = Path.of(path.mailbox)
    ways = (Path.of(path.mailbox, name, *path.route), Path.of(path.mailbox, name))
    return next((way for way in ways if not excess(way, limits, sent=True)), alone)
