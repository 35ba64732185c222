"""The name that a client gives in HELO when it is told none."""

from __future__ import annotations

import contextlib
import socket

from .protocol.errors import LocalProtocolError
from .protocol.limits import Limits
from .protocol.paths import Domain, excess

__all__ = ["own_name"]


def own_name(address: str, limits: Limits) -> str:
    """The name of this host, or where that cannot be sent its address (4.1.2 <dotnum>).

    address: of this end of the connection. It may take time: the system looks the name up.
    """
    for name in (socket.getfqdn(), f"[{address}]"):
        with contextlib.suppress(LocalProtocolError):
            if not excess(Domain(name), limits):
                return name
    return "localhost"
