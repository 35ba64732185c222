"""Receiver, asked for its events as an adapter does; each is accepted.

With the option `lenient` it looks for bare CRs and LFs; else it speaks RFC 821 to the letter.
"""

from __future__ import annotations

from smtp821 import NEED_DATA, NEED_REPLY, RFC821, RFC821_LENIENT, Receiver

from ..worker import answer
from .script import Feed, option, receiving

DIALECT = RFC821_LENIENT if option("lenient") else RFC821


def begin() -> Feed:
    """A session."""
    receiver = Receiver("bench.example", DIALECT)

    def feed(data: bytes) -> bytes:
        if data:
            receiver.receive_data(data)
        while (event := receiver.next_event()) is not NEED_DATA:
            if event is NEED_REPLY:
                receiver.accept()
        return receiver.data_to_send()

    feed(b"")
    return feed


if __name__ == "__main__":
    answer(receiving(begin))
