"""asyncio: a server and a client, both called by the event loop as bytes come.

Only I/O is here. What a server says is decided by a Conversation, what a client awaits by an
Exchange, how a message is sent by the plan of `deliver`; this module moves their bytes, and knows
how long to wait for more. A handler that answers at once is called directly; a task is made only
for an answer that is awaited, and nothing more is read until it has come.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Self, cast

from .conversation import Conversation
from .delivery import MESSAGE, Delivery, Message, SessionLost, SessionRefused, Source, deliver
from .exchange import Exchange
from .handler import Handler
from .hostname import own_name
from .protocol.commands import Command, Data, Helo, Quit, Verb
from .protocol.dialect import RFC821, RFC821_LENIENT, Dialect
from .protocol.errors import LocalProtocolError, SMTPError
from .protocol.events import Closed, Turned
from .protocol.paths import Domain, Path
from .protocol.replies import Reply, Severity
from .protocol.sender import Sender
from .service import Service
from .transcript import Transcript

__all__ = ["Client", "Server", "serve"]

_log = logging.getLogger("smtp821")

_READ = 1 << 16  # octets read at a time
_LINGER = 2.0  # seconds that a peer has to read what was said last, and close


@contextlib.asynccontextmanager
async def serve(
    handler: Callable[[str], Handler],
    *,
    host: str = "127.0.0.1",
    port: int = 8025,
    domain: str,
    dialect: Dialect = RFC821_LENIENT,
    max_connections: int = 1000,
    idle_timeout: float = 300.0,
    transcript: Callable[[str, str], object] | None = None,
) -> AsyncIterator[Server]:
    """Listen, and serve every connection, as long as the context lasts; then stop.

    The parameters are those of `smtp821.sockets.serve`; methods of the handler may be async.
    Raises OSError where it cannot listen, LocalProtocolError for a domain that is none.
    """
    server = Server(Service(handler, domain, dialect, transcript), max_connections, idle_timeout)
    await server.listen(host, port)
    try:
        yield server
    finally:
        await server.stop()


class Server:
    """A server that is running; `serve` makes it."""

    def __init__(self, service: Service, max_connections: int, idle_timeout: float) -> None:
        self.service = service
        self.idle_timeout = idle_timeout
        self.buffer = memoryview(bytearray(_READ))  # for all: it is emptied as soon as filled
        self.address = ("", 0)
        """Host and port that the server listens at."""
        self._max_connections = max_connections
        self._connections: set[_Connection] = set()
        self._nobody_left = asyncio.Event()
        self._stopping = asyncio.Event()
        self._grace_is_over = False

    async def listen(self, host: str, port: int) -> None:
        """Begin to take connections. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: _Connection(self), host, port)
        self.address = self._listener.sockets[0].getsockname()[:2]

    async def wait(self) -> None:
        """Wait until no more connections are taken, because of `stop`."""
        await self._stopping.wait()

    async def stop(self, grace: float = 30.0) -> None:
        """Take no more connections, let the mail in hand finish, say 421 to the rest (4.2.1).

        grace: seconds that transactions in progress have before they are told 421 too.
        """
        self._stopping.set()
        self._listener.close()
        await self._end(grace)
        self._grace_is_over = True
        await self._end(_LINGER)
        for connection in tuple(self._connections):
            connection.abort()
        await self._end(_LINGER)

    def ends(self, conversation: Conversation) -> bool:
        """Whether a session is to be ended now."""
        return self._stopping.is_set() and (self._grace_is_over or not conversation.in_transaction)

    def admits(self, connection: _Connection) -> bool:
        """Whether there is a place for one more connection, which takes it then."""
        if self._stopping.is_set() or len(self._connections) >= self._max_connections:
            return False
        self._connections.add(connection)
        return True

    def forget(self, connection: _Connection) -> None:
        """Give the place of a connection to another."""
        self._connections.discard(connection)
        if not self._connections:
            self._nobody_left.set()

    async def _end(self, seconds: float) -> None:
        """Let all connections see that they may have to end, and give them time for it."""
        for connection in tuple(self._connections):
            connection.go()
        self._nobody_left.clear()
        if self._connections:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._nobody_left.wait()


class _Connection(asyncio.BufferedProtocol):
    """One connection of a server: a transport, and the conversation over it."""

    _transport: asyncio.Transport
    _conversation: Conversation
    _clock: asyncio.TimerHandle

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None  # the handler at work
        self._stuck = False  # the peer does not read what is written
        self._lost = False  # there is nobody to read it
        self._heard_all = False  # the peer will say nothing more
        self._over = True  # the conversation is, or has never begun
        self._heard = self._loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the conversation, if there is a place for it."""
        self._transport = cast(asyncio.Transport, transport)
        if not self._server.admits(self):
            self._transport.write(self._server.service.full)
            self._transport.close()
            return
        host, port = transport.get_extra_info("peername")[:2]
        self._conversation = self._server.service.converse(f"{host}:{port}")
        self._over = False
        self._clock = self._loop.call_later(self._server.idle_timeout, self._look_at_the_clock)
        self.go()

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Where to read to."""
        return self._server.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Go on with what was read."""
        self._heard = self._loop.time()
        if not self._over:
            self._conversation.receive_data(bytes(self._server.buffer[:nbytes]))
            self.go()

    def eof_received(self) -> bool:
        """Go on, for replies may still be owed; the transport stays open for them."""
        self._heard_all = True
        if self._over:
            return False
        self._conversation.receive_data(b"")
        self.go()
        return True

    def pause_writing(self) -> None:
        """Read no more from a peer that does not read."""
        self._stuck = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self._stuck = False
        self._go_on_reading()

    def connection_lost(self, _error: Exception | None) -> None:
        """Let the handler hear of it, once it has done what it is at."""
        self._lost, self._stuck = True, False
        if self._over:
            self._server.forget(self)
            return
        self._clock.cancel()
        self._conversation.lost()
        self.go()

    def abort(self) -> None:
        """End the connection whatever it is at."""
        if self._task is not None:
            self._task.cancel()
        self._transport.abort()

    def go(self) -> None:
        """Go on with the conversation, as far as it goes without more bytes, or an answer."""
        try:
            self._go()
        except Exception:
            _log.exception("%s: the session was lost", self._conversation.handler.peer)
            self.abort()

    def _go(self) -> None:
        while not (self._over or self._stuck or self._task):
            pause = self._conversation.advance()
            data = self._conversation.data_to_send()
            if data and not self._lost:
                self._transport.write(data)
            if isinstance(pause, Awaitable):
                self._transport.pause_reading()
                self._task = self._loop.create_task(self._await(pause))
            elif isinstance(pause, Closed):
                self._over = True
                self._close_gently()
            elif isinstance(pause, Turned):
                self._task = self._loop.create_task(self._send_in_turn())
            elif self._server.ends(self._conversation):
                self._conversation.shutdown()
            else:
                return

    async def _await(self, answer: Awaitable[Any]) -> None:
        """Await an answer of the handler, then go on."""
        try:
            self._conversation.resume(await answer)
        except asyncio.CancelledError:
            self._conversation.fail(RuntimeError("the server has stopped"))
        except Exception as error:
            self._conversation.fail(error)
        self._task = None
        self._heard = self._loop.time()
        self._go_on_reading()

    def _go_on_reading(self) -> None:
        if not (self._stuck or self._lost or self._task):
            self._transport.resume_reading()
        self.go()

    async def _send_in_turn(self) -> None:
        """Let the handler send over a connection whose roles were exchanged (3.8)."""
        self._clock.cancel()
        try:
            async with Client._turned(self._transport, self._conversation) as client:
                answer = self._conversation.turned(client)
                if answer is not None:
                    await answer
        except SMTPError as error:
            _log.info("%s: %s", self._conversation.handler.peer, error)
        except Exception as error:
            self._conversation.fail(error)
        self._task, self._lost = None, True
        self._conversation.lost()
        self.go()

    def _look_at_the_clock(self) -> None:
        """Send a silent peer away, and come back when another could have been silent so long."""
        left = self._heard + self._server.idle_timeout - self._loop.time()
        if self._task is not None:
            left = self._server.idle_timeout  # it is not the peer who is silent
        if left > 0:
            self._clock = self._loop.call_later(left, self._look_at_the_clock)
        elif self._stuck:
            self._transport.abort()
        else:
            self._conversation.shutdown("Idle for too long, closing transmission channel")
            self.go()

    def _close_gently(self) -> None:
        """Let the peer read the last reply: a close with input unread would take it back."""
        self._clock.cancel()
        if self._lost:
            self._server.forget(self)
        elif self._transport.can_write_eof() and not self._heard_all:
            self._transport.write_eof()
            self._transport.resume_reading()
            self._loop.call_later(_LINGER, self._transport.abort)
        else:
            self._transport.close()


class Client:
    """A session with a server, in the role of the sender; one command at a time.

    host, port: the server.
    helo: the name of this host for HELO; left out, what the system says, or else its address.
    dialect: what may be sent.
    timeout: seconds to wait for anything.
    transcript: takes the text of every line that is said, if given.

    As a context manager it opens the session (greeting, HELO) and closes it (QUIT). Whatever
    goes wrong in the middle of a command, cancellation included, closes the connection, so that no
    command can get the reply to another; after that every method raises SessionLost.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 25,
        *,
        helo: str | None = None,
        dialect: Dialect = RFC821,
        timeout: float = 300.0,
        transcript: Callable[[str], object] | None = None,
    ) -> None:
        self._address = host, port
        self._helo = helo and Domain(helo).text
        self.timeout: float | None = timeout
        """Seconds to wait for anything; what is set here holds from the next command on."""
        shown = Transcript(transcript) if transcript is not None else None
        self._wire = _Wire(Exchange(Sender(dialect), shown))
        self.greeting: Reply | None = None
        """The reply that opened the session; None before."""

    @classmethod
    def _turned(cls, transport: asyncio.Transport, conversation: Conversation) -> Self:
        """A client over the connection of a conversation in which TURN was accepted (3.8).

        Raises RemoteProtocolError where the peer has spoken before its time.
        """
        receiver = conversation.receiver
        client = cls(helo=receiver.domain.text)
        client._wire = _Wire(Exchange(receiver.turned(), conversation.transcript))
        client._wire.connection_made(transport)
        transport.set_protocol(client._wire)
        return client

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Connect, wait for the greeting, and say HELO (3.5).

        Raises SessionRefused with the reply if the answer is no, SessionLost or
        RemoteProtocolError if the other side does not hold the session, OSError if there is none,
        LocalProtocolError if the session is open already.
        """
        exchange = self._wire.exchange
        if not self._wire.connected:
            self._wire = _Wire(Exchange(Sender(exchange.sender.dialect), exchange.transcript))
            async with asyncio.timeout(self.timeout):
                loop = asyncio.get_running_loop()
                await loop.create_connection(lambda: self._wire, *self._address)
        elif exchange.sender.awaiting is not Verb.CONNECT:
            raise LocalProtocolError("the session is open already")
        try:
            self.greeting = reply = await self._reply()
            if reply.severity is Severity.COMPLETED:
                reply = await self.command(Helo(self._helo or await self._own_name()))
            if reply.severity is not Severity.COMPLETED:
                raise SessionRefused(reply)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Say QUIT where that is possible, and close the connection; it never raises."""
        if self._wire.connected:
            with contextlib.suppress(SMTPError, OSError):
                await self.command(Quit())
        self._wire.close()

    async def command(self, command: Command) -> Reply:
        """Send one command and give its reply, whatever it is.

        Raises LocalProtocolError for a command that is not legal now, or at all (the session goes
        on); RemoteProtocolError, SessionLost or OSError (the connection is closed).
        """
        try:
            if notice := self._wire.overheard():
                return notice
            self._wire.exchange.send(command)
        except LocalProtocolError:
            raise
        except BaseException:
            self._wire.close()
            raise
        return await self._reply()

    async def data(self, message: Source) -> Reply:
        """Send DATA and the message; gives the reply that decided.

        Raises as `command` does, and LocalProtocolError for mail data that must not be sent, after
        which the connection is closed: a message cannot be taken back once it has begun.
        """
        reply = await self.command(Data())
        if reply.severity is not Severity.INTERMEDIATE:
            return reply
        return await self._message(Message(message))

    async def send(
        self,
        reverse_path: Path | str,
        forward_paths: Iterable[Path | str],
        message: Source,
        *,
        kind: Verb = Verb.MAIL,
    ) -> Delivery:
        """Send a message to its recipients; gives what became of each of them.

        The parameters are those of `smtp821.sockets.Client.send`.
        """
        source = Message(message)
        plan = deliver(
            reverse_path,
            forward_paths,
            kind=kind,
            limits=self._wire.exchange.sender.dialect.limits,
            repeatable=source.repeatable,
        )
        try:
            step = next(plan)
            while True:
                try:
                    if step is MESSAGE:
                        reply = await self._message(source)
                    else:
                        reply = await self.command(step)
                except (SMTPError, OSError) as error:
                    step = plan.throw(error)
                else:
                    step = plan.send(reply)
        except StopIteration as done:
            delivery: Delivery = done.value
            return delivery

    async def _message(self, message: Message) -> Reply:
        """Send the mail data, which 354 has asked for, and wait for the reply."""
        wire = self._wire
        try:
            for chunk in message.chunks():
                if notice := wire.overheard():
                    return notice
                wire.exchange.send_data(chunk)
                wire.flush()
                async with asyncio.timeout(self.timeout):
                    await wire.drained()
            if notice := wire.overheard():  # before the message is confirmed
                return notice
            wire.exchange.end_data()
        except BaseException:
            wire.close()
            raise
        return await self._reply()

    async def _reply(self) -> Reply:
        """Wait for the one reply that is awaited; whatever else comes closes the connection."""
        wire = self._wire
        try:
            async with asyncio.timeout(self.timeout):
                while (reply := wire.exchange.reply()) is None:
                    wire.flush()
                    await wire.more()
        except BaseException:
            wire.close()
            raise
        if wire.exchange.over:
            wire.close()
        return reply

    async def _own_name(self) -> str:
        limits = self._wire.exchange.sender.dialect.limits
        return await asyncio.to_thread(own_name, self._wire.address, limits)


class _Wire(asyncio.Protocol):
    """The connection of a client: what comes goes into the exchange, and wakes who waits."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self._transport: asyncio.Transport | None = None
        self._ended = False  # the other side has said all it will say
        self._unread = 0  # octets that came since somebody looked
        self._news = asyncio.Event()
        self._free = asyncio.Event()  # to write
        self._free.set()

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._transport is not None

    @property
    def address(self) -> str:
        """The address of this end."""
        return str(self._connected().get_extra_info("sockname")[0])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Take what came; too much that nobody awaits stops the reading."""
        self.exchange.receive_data(data)
        self._unread += len(data)
        if self._unread > _READ:
            self._connected().pause_reading()
        self._news.set()

    def eof_received(self) -> bool:
        """The other side has said all."""
        self._end()
        return True

    def connection_lost(self, _error: Exception | None) -> None:
        """The connection is gone, and whoever waits is to see it."""
        self._transport = None
        self._free.set()
        self._end()

    def pause_writing(self) -> None:
        """The other side does not read fast enough."""
        self._free.clear()

    def resume_writing(self) -> None:
        """The other side has read."""
        self._free.set()

    def flush(self) -> None:
        """Write what is to be sent."""
        if data := self.exchange.data_to_send():
            self._connected().write(data)

    async def drained(self) -> None:
        """Wait until more can be written."""
        await self._free.wait()

    async def more(self) -> None:
        """Wait until more has come."""
        self._unread = 0
        self._connected().resume_reading()
        await self._news.wait()
        self._news.clear()

    def overheard(self) -> Reply | None:
        """The 421 that the other side said out of turn, if it did. Raises as Exchange does."""
        notice = self.exchange.overheard() if self._news.is_set() else None
        self._news.clear()
        if notice is not None:
            self.close()
            return notice
        self._connected()
        return None

    def close(self) -> None:
        """Close the connection."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self.exchange.receive_data(b"")
        self._news.set()

    def _connected(self) -> asyncio.Transport:
        if self._transport is None:
            raise SessionLost("there is no connection")
        return self._transport
