"""Conversation: a Receiver and its Handler, as the servers of this library drive it."""

from __future__ import annotations

from smtp821 import RFC821_LENIENT
from smtp821.service import Service

from ..servers.counting import Counting
from ..worker import answer
from .script import Feed, receiving

SERVICE = Service(Counting, "bench.example", RFC821_LENIENT)


def begin() -> Feed:
    """A session."""
    conversation = SERVICE.converse("127.0.0.1:1")
    conversation.advance()
    conversation.data_to_send()

    def feed(data: bytes) -> bytes:
        conversation.receive_data(data)
        conversation.advance()
        return conversation.data_to_send()

    return feed


if __name__ == "__main__":
    answer(receiving(begin))
