"""One session: its state, its envelope, and the rules of its dialect. No bytes, no role."""

from __future__ import annotations

import attrs

from .commands import Rcpt, TransactionCommand, Verb
from .dialect import Dialect
from .paths import Path
from .sequencing import Outcome, State, outcome

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


# The states in which the buffers of 4.1.1 hold something.
_TRANSACTION = frozenset({State.MAIL, State.RCPT, State.DATA})


class Session:
    """Where a session stands, for either role.

    dialect: the tables to obey.
    """

    __slots__ = ("_envelope", "_forward_paths", "cancelled", "dialect", "state")

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.state = State.OPENING
        self.cancelled: Envelope | None = None  # what the end of the session cut short
        self._envelope: Envelope | None = None
        self._forward_paths: list[Path] = []

    @property
    def recipients(self) -> int:
        """How many recipients the transaction in progress has."""
        return len(self._forward_paths)

    @property
    def envelope(self) -> Envelope | None:
        """The envelope of the transaction in progress, or None."""
        if self._envelope and len(self._envelope.forward_paths) != len(self._forward_paths):
            self._envelope = attrs.evolve(self._envelope, forward_paths=tuple(self._forward_paths))
        return self._envelope

    def permits(self, verb: Verb) -> bool:
        """Whether the command is in sequence (4.1.1 p27)."""
        return verb in self.dialect.order[self.state]

    def advance(self, verb: Verb, code: int, command: object = None) -> None:
        """Let a reply have its effect on the state and the envelope.

        verb: what is answered; command: the command itself, where it is one.
        """
        result = outcome(verb, code)
        after = self.dialect.transitions.get((self.state, verb, result), self.state)
        if after is State.CLOSED:
            self.close()
        elif after not in _TRANSACTION:
            self._clear()
        elif result is Outcome.SUCCESS:
            if isinstance(command, Rcpt):
                self._forward_paths.append(command.forward_path)
            elif isinstance(command, TransactionCommand):
                self._clear()
                self._envelope = Envelope(verb, command.reverse_path)
        self.state = after

    def close(self) -> None:
        """End the session here; a transaction in progress is cancelled (4.1.1 QUIT)."""
        if self.state is not State.CLOSED:
            self.cancelled = self.envelope
        self._clear()
        self.state = State.CLOSED

    def _clear(self) -> None:
        self._envelope = None
        self._forward_paths.clear()
