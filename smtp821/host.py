"""This host: its name, and where it listens."""

from __future__ import annotations

import contextlib
import socket

from .protocol.errors import LocalProtocolError
from .protocol.limits import Limits
from .protocol.paths import Domain, excess

__all__ = ["listen", "own_name"]

_BACKLOG = 1024  # connections that may wait; with fewer, those that come in hundreds try again


def own_name(address: str, limits: Limits) -> str:
    """The name of this host, or where that cannot be sent its address (4.1.2 <dotnum>).

    address: of this end of the connection. It may take time: the system looks the name up.
    """
    for name in (socket.getfqdn(), f"[{address}]"):
        with contextlib.suppress(LocalProtocolError):
            if not excess(Domain(name), limits):
                return name
    return "localhost"


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; an address with colons is one of IPv6. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)
