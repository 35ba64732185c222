"""A session in the role of the receiver, for every adapter whose code waits for bytes.

`converse` drives a Conversation over a Wire, from the greeting to the last reply being read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from time import monotonic

from .conversation import Conversation
from .protocol.events import Closed, Pause, Turned
from .service import Service
from .timeouts import Timeouts
from .wire import LINGER, Wire

__all__ = ["IDLE", "SendInTurn", "converse"]

IDLE = "Idle for too long, closing transmission channel"
"""What a peer is told that is silent for too long."""

SendInTurn = Callable[[Wire, Conversation, Timeouts], Awaitable[None]]


async def converse(
    wire: Wire,
    conversation: Conversation,
    timeouts: Timeouts,
    send_in_turn: SendInTurn,
    service: Service | None = None,
) -> None:
    """Drive a conversation to its end; the wire is still to be closed then.

    send_in_turn: lets the handler send when the roles have been exchanged.
    service: ends the session with 421 when it stops; who reads is then to be given b"".
    Raises OSError, and SMTPError where the peer did not keep the protocol in the other role.
    """
    try:
        pause = await _talk(wire, conversation, timeouts.receiver, service)
        if isinstance(pause, Turned):
            await send_in_turn(wire, conversation, timeouts)
        else:
            await _close_gently(wire)
    finally:
        conversation.lost()
        with wire.shield():
            await _end(conversation)


async def _talk(
    wire: Wire,
    conversation: Conversation,
    seconds: float,
    service: Service | None,
) -> Closed | Turned:
    """Go on until nothing more is to be said."""
    progress, deadline = -1, 0.0
    while True:
        pause = conversation.advance()
        data = conversation.data_to_send()
        if not isinstance(pause, (Pause, Closed, Turned)):
            try:
                if data:
                    await wire.write(data, seconds)
            finally:  # whether it was written or not, for the handler is at work
                await conversation.settle(pause)
            continue
        if data:
            await wire.write(data, seconds)
        if not isinstance(pause, Pause):
            return pause
        if service is not None and service.stopping and service.ends(conversation):
            conversation.shutdown()
            continue
        left = seconds
        if conversation.progress != progress:  # a command has come, not only some octets of one
            progress, deadline = conversation.progress, monotonic() + seconds
        else:
            left = deadline - monotonic()
        try:
            if left <= 0:  # for more may be there all the time
                raise TimeoutError
            data = await wire.read(left)
        except TimeoutError:
            conversation.shutdown(IDLE)
            continue
        if data or service is None or not service.stopping:
            conversation.receive_data(data)
        else:
            conversation.shutdown()


async def _end(conversation: Conversation) -> None:
    """Let the handler hear that the connection is gone."""
    while isinstance(answer := conversation.advance(), Awaitable):
        await conversation.settle(answer)


async def _close_gently(wire: Wire) -> None:
    """Let the peer read the last reply: a close with input unread would take it back."""
    with contextlib.suppress(OSError):
        await wire.finish()
        deadline = monotonic() + LINGER
        while (left := deadline - monotonic()) > 0:
            if not await wire.read(left):
                return
