"""For pytest: a server that catches mail, in a test that asks for it.

    def test_welcome(smtp821_server):
        welcome("new@user.example", port=smtp821_server.port)
        assert smtp821_server.messages[0].email["Subject"] == "Welcome"

pytest loads this module wherever smtp821 is installed; what it needs is loaded by the first test
that asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .scripts import ScriptedPeer, ScriptedServer

__all__ = ["smtp821_memory", "smtp821_server"]


@pytest.fixture
def smtp821_server() -> Iterator[ScriptedServer]:
    """An SMTP server at a free port of the loopback interface, which takes all mail.

    `.host`, `.port`: where it listens. `.messages`, `.commands`, `.connections`: what has come.
    `.wait(count)`: waits for messages. `.clear()`: forgets them. `.script(*rules)`: has it fail in
    the way that rules of `smtp821.testing.scripts` say. It stops when the test is over.
    """
    from .scripts import Script

    with Script().listening() as server:
        yield server


@pytest.fixture
def smtp821_memory() -> ScriptedPeer:
    """The same without a port, for `smtp821.testing.memory.client`."""
    from .scripts import Script

    return Script().peer()
