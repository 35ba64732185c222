"""One session: its state, its envelope, and the rules of its dialect. No bytes, no role."""

from __future__ import annotations

from typing import Any

import attrs

from .commands import Verb
from .dialect import Dialect
from .paths import Path
from .sequencing import Effect, State

__all__ = ["Envelope", "Session"]


@attrs.frozen
class Envelope:
    """What a transaction says of its message: the buffers of 4.1.1, but for the mail data."""

    kind: Verb
    """MAIL, SEND, SOML or SAML: to mailboxes, to terminals, to one of them, to both (3.4)."""
    reverse_path: Path
    """Where notifications go; null for a message that wants none."""
    forward_paths: tuple[Path, ...] = ()
    """Where the message goes: the recipients that were accepted, in their order."""


_BEGIN, _ADD, _CLOSE = Effect.BEGIN, Effect.ADD, Effect.CLOSE


class Session:
    """Where a session stands, for either role.

    dialect: the tables to obey.
    """

    __slots__ = ("_begun", "_forward_paths", "cancelled", "dialect", "state")

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.state = State.OPENING
        self.cancelled: Envelope | None = None  # what the end of the session cut short
        self._begun: tuple[Verb, Path] | None = None  # the kind of transaction, and from whom
        self._forward_paths: list[Path] = []

    @property
    def recipients(self) -> int:
        """How many recipients the transaction in progress has."""
        return len(self._forward_paths)

    @property
    def envelope(self) -> Envelope | None:
        """The envelope of the transaction in progress, or None."""
        if self._begun is None:
            return None
        return Envelope(*self._begun, tuple(self._forward_paths))

    def advance(self, verb: Verb, code: int, command: Any = None) -> None:
        """Let a reply have its effect on the state and the envelope.

        verb: what is answered; command: the command itself, where it is one.
        """
        move = self.dialect.moves.get((self.state, verb, code if code == 421 else code // 100))
        if move is None:
            return
        after, effect = move
        if effect is _ADD:
            self._forward_paths.append(command.forward_path)
        elif effect is _CLOSE:
            self.close()
        elif effect is not None:
            self._clear()
            if effect is _BEGIN:
                self._begun = verb, command.reverse_path
        self.state = after

    def close(self) -> None:
        """End the session here; a transaction in progress is cancelled (4.1.1 QUIT)."""
        if self.state is not State.CLOSED:
            self.cancelled = self.envelope
        self._clear()
        self.state = State.CLOSED

    def _clear(self) -> None:
        self._begun = None
        self._forward_paths.clear()
