"""The least that a server can do: it answers, and looks at nothing that it is told.

It knows two things: a line that is DATA, and the end of mail data. Everything else is answered 250.
What an event loop, or a thread for each connection, costs without any protocol is measured with it.
"""

from __future__ import annotations

from typing import Final

__all__ = ["GREETING", "Answering"]

GREETING: Final = b"220 bare\r\n"

_END: Final = b"\r\n.\r\n"
_REPLIES: Final = {b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n", b"EHLO": b"500 no\r\n"}


class Answering:
    """One session. over: it was told QUIT."""

    def __init__(self) -> None:
        self.over = False
        self._rest = b""
        self._in_data = False

    def feed(self, data: bytes) -> bytes:
        """What is answered to what was read."""
        data = self._rest + data
        out = b""
        while data and not self.over:
            if self._in_data:
                end = data.find(_END)
                if end < 0:
                    data = data[-4:]
                    break
                data, self._in_data = data[end + len(_END) :], False
                out += b"250 OK\r\n"
            else:
                line, found, rest = data.partition(b"\r\n")
                if not found:
                    break
                verb = line[:4].upper()
                self._in_data = verb == b"DATA"
                self.over = verb == b"QUIT"
                # the line break before mail data belongs to the first line's dot
                data = b"\r\n" + rest if self._in_data else rest
                out += _REPLIES.get(verb, b"250 OK\r\n")
        self._rest = data
        return out
