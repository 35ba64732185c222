"""What the clients share: where they send, what they send, and who has how much of it."""

from __future__ import annotations

import sys
from typing import Final

__all__ = ["HELLO", "HOST", "MESSAGE", "QUIT", "RECIPIENT", "SENDER", "TRANSACTION", "port"]
__all__ += ["shares"]

HOST: Final = "127.0.0.1"
SENDER: Final = "from@load.example"
RECIPIENT: Final = "to@bench.example"
MESSAGE: Final = b"Subject: bench\r\n\r\n" + (b"x" * 62 + b"\r\n") * 16

# The same as bytes, for those that have no protocol.
HELLO: Final = b"HELO load.example\r\n"
TRANSACTION: Final = (
    f"MAIL FROM:<{SENDER}>\r\n".encode(),
    f"RCPT TO:<{RECIPIENT}>\r\n".encode(),
    b"DATA\r\n",
    MESSAGE + b".\r\n",
)
QUIT: Final = b"QUIT\r\n"


def port() -> int:
    """The port that was asked for."""
    return int(sys.argv[1])


def shares(count: int, connections: int) -> list[int]:
    """How many messages each connection sends; those with none are left out."""
    each, more = divmod(count, connections)
    return [n for i in range(connections) if (n := each + (i < more))]
