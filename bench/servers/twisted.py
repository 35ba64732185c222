"""twisted.mail: a delivery that takes everybody, and a message that counts its lines."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from twisted.internet import defer, reactor
from twisted.mail import smtp
from zope.interface import implementer


@implementer(smtp.IMessage)
class Message:
    """A message that is counted."""

    octets = 0

    def lineReceived(self, line: bytes) -> None:
        """Count octets."""
        self.octets += len(line) + 2

    def eomReceived(self) -> Any:
        """It is complete."""
        return defer.succeed(None)

    def connectionLost(self) -> None:
        """It will not be complete."""


@implementer(smtp.IMessageDelivery)
class Delivery:
    """Accepts all."""

    def receivedHeader(self, helo: Any, origin: Any, recipients: Any) -> bytes:
        """No trace line: the others write none."""
        return b""

    def validateFrom(self, helo: Any, origin: Any) -> Any:
        """Everybody may send."""
        return origin

    def validateTo(self, user: Any) -> Callable[[], Message]:
        """Everybody is here."""
        return Message


class Factory(smtp.SMTPFactory):
    """Makes the sessions."""

    def buildProtocol(self, addr: Any) -> Any:
        """A session, with its delivery."""
        protocol = super().buildProtocol(addr)
        protocol.delivery = Delivery()
        return protocol


if __name__ == "__main__":
    reactor.listenTCP(int(sys.argv[1]), Factory(), backlog=1024, interface="127.0.0.1")
    reactor.run()
