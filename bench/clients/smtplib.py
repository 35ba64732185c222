"""CPython's smtplib."""

from __future__ import annotations

import smtplib

from ..worker import answer
from .sending import HOST, MESSAGE, RECIPIENT, SENDER, port


def one(count: int) -> int:
    """Send over one connection."""
    with smtplib.SMTP(HOST, port(), local_hostname="load.example") as client:
        for _ in range(count):
            client.sendmail(SENDER, [RECIPIENT], MESSAGE)
    return count


if __name__ == "__main__":
    answer({"1": one})
