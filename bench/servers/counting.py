"""What the three servers of this library share: a handler that accepts and counts."""

from __future__ import annotations

import sys

import attrs

from smtp821 import RFC821_LENIENT, Dialect, EndOfData, Handler, MailData, Policy, Rcpt
from smtp821.handler import Answer

__all__ = ["Counting", "dialect", "port"]


class Counting(Handler):
    """Accepts all, and counts."""

    messages = 0
    octets = 0

    def rcpt(self, command: Rcpt) -> Answer:
        """Everybody is here."""
        return None

    def mail_data(self, event: MailData) -> None:
        """Count octets."""
        self.octets += len(event.data)

    def end_of_data(self, event: EndOfData) -> Answer:
        """Count the message."""
        self.messages += 1
        return None


def port() -> int:
    """The port that was asked for."""
    return int(sys.argv[1])


def dialect() -> Dialect:
    """That of `serve`, with as many recipients as one likes."""
    limits = attrs.evolve(RFC821_LENIENT.limits, recipients=None)
    policy = Policy.PASS if "lone-crs" in sys.argv[2:] else Policy.REFUSE
    return attrs.evolve(RFC821_LENIENT, limits=limits, bare_newlines=policy)
