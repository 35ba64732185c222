"""twisted.mail: its protocol, with a transport that keeps what is written."""

from __future__ import annotations

from twisted.internet.testing import StringTransport

from ..servers.twisted import Factory
from ..worker import answer
from .script import Feed, receiving


def begin() -> Feed:
    """A session."""
    factory = Factory()
    factory.noisy = False
    protocol = factory.buildProtocol(None)
    protocol.setTimeout(None)
    protocol.timeout = None
    transport = StringTransport()
    protocol.makeConnection(transport)

    def feed(data: bytes) -> bytes:
        transport.clear()
        protocol.dataReceived(data)
        out: bytes = transport.value()
        return out

    return feed


if __name__ == "__main__":
    answer(receiving(begin))
