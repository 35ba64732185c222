"""CPython's smtpd, which was in the standard library up to 3.11."""

from __future__ import annotations

import sys
import warnings
from typing import Any

warnings.simplefilter("ignore", DeprecationWarning)

import asyncore  # noqa: E402
import smtpd  # noqa: E402


class Counting(smtpd.SMTPServer):
    """Accepts all, and counts."""

    messages = 0
    octets = 0

    def process_message(self, peer: Any, mailfrom: Any, rcpttos: Any, data: Any, **_: Any) -> None:
        """Count the message."""
        self.messages += 1
        self.octets += len(data)


if __name__ == "__main__":
    server = Counting(("127.0.0.1", int(sys.argv[1])), ("", 0), data_size_limit=0)
    server.listen(1024)  # asyncore asks for five
    asyncore.loop(use_poll=True)
