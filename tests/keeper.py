"""A controller of aiosmtpd that keeps mail in a folder, for tests of the client."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Self

from aiosmtpd.smtp import SMTP, Envelope, Session


class Keeper:
    """Keeps each message in a file, to the octet, and knows nobody of the name of "nobody"."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    @classmethod
    def from_cli(cls, parser: ArgumentParser, folder: str) -> Self:
        """How `python -m aiosmtpd -c` makes it."""
        return cls(Path(folder))

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[Any]
    ) -> str:
        """Judge a recipient."""
        if address.startswith("nobody@"):
            return "550 No such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Keep a message."""
        content = envelope.content
        assert isinstance(content, bytes)
        self._count += 1
        (self._folder / str(self._count)).write_bytes(content)
        return "250 OK"
