"""Clients and servers joined by memory: no port, no thread, no waiting.

A client of any adapter is given a Wire that ends in a Peer: bytes in, pieces out. The peer goes on
whenever the client writes or reads. Where it has nothing to say nobody else ever will, so a read
that a socket would wait for raises TimeoutError at once.
"""

from __future__ import annotations

import contextlib
import itertools
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from typing import Any, Final, Protocol, TypeVar

from .. import sockets
from ..client import AsyncClient
from ..conversation import Conversation
from ..handler import Handler
from ..protocol.commands import Verb
from ..protocol.dialect import RFC821, RFC821_LENIENT, Dialect
from ..protocol.events import Closed
from ..protocol.receiver import Receiver
from ..timeouts import Timeouts
from ..wire import READ, Wire, run

__all__ = ["Cut", "Peer", "client", "serving", "wire"]

Cut = int | Iterable[int] | None
"""Octets that are read at a time: a number, or numbers to go through again and again; None for as
many as there are."""

_ADDRESS: Final = "127.0.0.1"

C = TypeVar("C", bound=AsyncClient | sockets.Client)


class Peer(Protocol):
    """What a client talks to: the other end of a connection, without I/O."""

    def receive_data(self, data: bytes) -> None:
        """Take what the client has written; b"" is the end of file."""

    def next_piece(self) -> bytes | Awaitable[bytes | None] | None:
        """What the client reads next; None while it is to write, b"" at the end. Raises OSError."""

    def lost(self) -> Coroutine[Any, Any, object] | None:
        """Hear that the client has closed the connection; it may be said again."""


def client(
    kind: type[C],
    server: Callable[[str], Handler | Peer],
    *,
    cut: Cut = None,
    helo: str | None = "client.example",
    dialect: Dialect = RFC821,
    timeouts: Timeouts = Timeouts(),  # noqa: B008 (a frozen value)
    transcript: Callable[[str], object] | None = None,
) -> C:
    """A client whose connections all lead to a server in memory; it is yet to be opened.

    kind: the Client of `smtp821.sockets`, `.asyncio` or `.trio`, or a class made from one.
    server: called for each connection, with the address of the client: the class of a Handler, as
        for `serve`, or what `serving` gives, or a ScriptedPeer.
    cut: how the bytes are cut, for either side.
    helo, dialect, timeouts, transcript: as for the Client. Times do not matter, save that they
        are over at once when there is nothing to wait for.
    Raises ValueError for a cut of less than 1 octet.
    """
    _sizes(cut)  # not only when it connects

    async def connect(_self: object, _host: str, _port: int, _tls: ssl.SSLContext | None) -> Wire:
        made = server(f"{_ADDRESS}:0")
        return wire(_conversing(made) if isinstance(made, Handler) else made, cut=cut)

    def joined(session: type[Any]) -> Any:
        """A client of this class, but for where it connects to."""
        made = type(session.__name__, (session,), {"_connect": connect})
        return made(helo=helo, dialect=dialect, timeouts=timeouts, transcript=transcript)

    if not issubclass(kind, sockets.Client):
        return joined(kind)  # type: ignore[no-any-return]
    blocking = kind()
    blocking._session = joined(type(blocking._session))
    return blocking


def serving(
    handler: Callable[[str], Handler],
    *,
    domain: str = "server.example",
    dialect: Dialect = RFC821_LENIENT,
) -> Callable[[str], Peer]:
    """A server for `client`, where it is to have another name, or to speak another dialect.

    The parameters are those of every adapter's `serve`. TURN is answered 502: for an exchange of
    the roles either side would have to run by itself.
    """
    return lambda address: _conversing(handler(address), domain, dialect)


def wire(peer: Peer, *, cut: Cut = None) -> Wire:
    """One connection to a peer, seen from the other end; for adapters and sessions of your own.

    Raises ValueError as `client` does.
    """
    return _Wire(peer, _sizes(cut))


def _conversing(
    handler: Handler, domain: str = "server.example", dialect: Dialect = RFC821_LENIENT
) -> Peer:
    offered = dialect.offering(handler.offers() - {Verb.TURN})
    return _Conversing(Conversation(handler, Receiver(domain, offered)))


class _Conversing:
    """A Conversation as a Peer."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation

    def receive_data(self, data: bytes) -> None:
        self._conversation.receive_data(data)

    async def next_piece(self) -> bytes | None:
        while isinstance(answer := self._conversation.advance(), Awaitable):
            await self._conversation.settle(answer)
        data = self._conversation.data_to_send()
        return data or (b"" if isinstance(answer, Closed) else None)

    async def lost(self) -> None:
        self._conversation.lost()
        await self.next_piece()


class _Wire:
    """One connection, seen from the client."""

    address = _ADDRESS

    def __init__(self, peer: Peer, sizes: Iterator[int]) -> None:
        self._peer = peer
        self._sizes = sizes
        self._written: deque[bytes] = deque()  # that the peer has not read
        self._unread: bytes | None = None  # b"" at the end of file

    async def read(self, seconds: float) -> bytes:
        """What the peer says next. Raises TimeoutError if it is the client's turn."""
        data = await self.heard()
        if data is None:
            raise TimeoutError
        return data

    async def heard(self) -> bytes | None:
        """The same; None if it is the client's turn."""
        data = await self._said()
        if not data:
            return data
        size = next(self._sizes)
        self._unread = data[size:] or None
        return data[:size]

    async def write(self, data: bytes, seconds: float) -> None:
        """Let the peer read, until it has something to say."""
        at = 0
        while at < len(data):
            size = next(self._sizes)
            self._written.append(data[at : at + size])
            at += size
        await self._said()

    async def finish(self) -> None:
        """Let the peer read the end of file."""
        self._written.append(b"")

    def close(self) -> None:
        """Let the peer know. What its handler awaits then cannot be waited for."""
        if (ending := self._peer.lost()) is not None:
            run(ending)

    def shield(self) -> contextlib.AbstractContextManager[object]:
        """Nothing is awaited here but handlers."""
        return contextlib.nullcontext()

    async def _said(self) -> bytes | None:
        """Let the peer go on until it says something, or has read all."""
        while self._unread is None:
            said = self._peer.next_piece()
            self._unread = await said if isinstance(said, Awaitable) else said
            if self._unread is None:
                if not self._written:
                    break
                self._peer.receive_data(self._written.popleft())
        return self._unread


def _sizes(cut: Cut) -> Iterator[int]:
    """How many octets to read, each time."""
    sizes = [READ] if cut is None else [cut] if isinstance(cut, int) else list(cut)
    if not sizes or min(sizes) < 1:
        raise ValueError(f"one octet at a time is the least: {sizes}")
    return itertools.cycle(sizes)
