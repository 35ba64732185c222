"""A whole session of two messages, what a server answers, and what it has taken then."""

from __future__ import annotations

from typing import Final

from smtp821 import Envelope, Path, Verb

from .peers import BYE, DATA, GREETING, HELLO, MAIL, OKAY, RCPT, START, Exchange

SMITH: Final = "<Smith@ALPHA.ARPA>"
JONES: Final = "<Jones@BETA.ARPA>"
HELO: Final = b"HELO ALPHA.ARPA\r\n"
QUIT: Final = b"QUIT\r\n"
TEXT: Final = b"Hello\r\n.dot\r\n"
MESSAGE: Final = b"Hello\r\n..dot\r\n.\r\n"  # the same on its way (4.5.2)
ENVELOPE: Final = Envelope(Verb.MAIL, Path(SMITH), (Path(JONES),))
SESSION: Final = b"".join((HELO, MAIL, RCPT, DATA, MESSAGE, MAIL, RCPT, DATA, MESSAGE, QUIT))
ANSWERS: Final = b"".join(
    (GREETING, HELLO, OKAY, OKAY, START, OKAY, OKAY, OKAY, START, OKAY, BYE)
)  # fmt: skip
WHOLE: Final[tuple[Exchange, ...]] = ((MAIL, OKAY), (RCPT, OKAY), (DATA, START), (MESSAGE, OKAY))
"""The turns of one transaction."""
