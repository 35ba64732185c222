"""A session in the role of the sender, for every adapter: what it says, and what it waits for.

Only the Wire is an adapter's own. Nothing is sent while a reply is owed, and whatever goes wrong
in the middle of a command, cancellation included, closes the connection: so no command can ever
get the reply to another.
"""

from __future__ import annotations

import contextlib
import ssl
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable
from time import monotonic
from types import TracebackType
from typing import Any, Self

import attrs

from .conversation import Conversation
from .delivery import (
    MESSAGE,
    Delivery,
    Message,
    SessionLost,
    SessionRefused,
    Source,
    deliver,
    no_session,
)
from .exchange import Exchange
from .handler import Handler
from .host import own_name
from .protocol.commands import Command, Data, Helo, Quit, Turn, Verb
from .protocol.dialect import RFC821, Dialect
from .protocol.errors import LocalProtocolError, SMTPError
from .protocol.paths import Domain, Path, excess
from .protocol.replies import Reply, Severity
from .protocol.sender import Sender
from .server import converse
from .timeouts import Timeouts
from .transcript import Transcript
from .wire import Wire

__all__ = ["AsyncClient", "Follow"]

Follow = Callable[[Path], tuple[str, int] | None]
"""Where to send to, by the path that a 551 has given: host and port, or None for nowhere."""


class AsyncClient(ABC):
    """A session with a server, in the role of the sender; one command at a time.

    host, port: the server.
    helo: the name of this host for HELO; left out, what the system says, or else its address.
    dialect: what may be sent.
    timeouts: how long to wait in each phase.
    tls: speaks TLS from the first octet on, if given.
    transcript: takes the text of every line that is said, if given.

    As a context manager it opens the session (greeting, HELO) and closes it (QUIT). Whatever
    goes wrong in the middle of a command, cancellation included, closes the connection; after
    that every method raises SessionLost, until the session is opened again.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 25,
        *,
        helo: str | None = None,
        dialect: Dialect = RFC821,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 (a frozen value)
        tls: ssl.SSLContext | None = None,
        transcript: Callable[[str], object] | None = None,
    ) -> None:
        self._address = host, port
        self._helo = helo and Domain(helo).text
        self._tls = tls
        self.timeouts = timeouts
        """How long to wait; what is set here holds from the next command on."""
        shown = Transcript(transcript) if transcript is not None else None
        self._exchange = Exchange(Sender(dialect), shown)
        self._wire: Wire | None = None
        self.greeting: Reply | None = None
        """The reply that opened the session; None before."""

    @classmethod
    def _turned(cls, wire: Wire, conversation: Conversation, timeouts: Timeouts) -> Self:
        """A client over the connection of a conversation in which TURN was accepted (3.8).

        Raises RemoteProtocolError where the peer has spoken before its time.
        """
        receiver = conversation.receiver
        client = cls(helo=receiver.domain.text, timeouts=timeouts)
        client._exchange = Exchange(receiver.turned(), conversation.transcript)
        client._wire = wire
        return client

    @classmethod
    async def _send_in_turn(
        cls, wire: Wire, conversation: Conversation, timeouts: Timeouts
    ) -> None:
        """Let the handler of a conversation send, now that the roles are exchanged (3.8)."""
        async with cls._turned(wire, conversation, timeouts) as client:
            if answer := conversation.turned(client):
                await conversation.settle(answer)

    # What is an adapter's own.

    @abstractmethod
    async def _connect(self, host: str, port: int, tls: ssl.SSLContext | None) -> Wire:
        """A connection to a server, within the time for opening. Raises OSError."""

    @abstractmethod
    async def _in_thread(self, function: Callable[..., str], *arguments: Any) -> str:
        """What a function gives that may take its time."""

    # The session.

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None or isinstance(error, Exception):
            await self.close()
        else:  # cancelled, or interrupted: there is no time for a QUIT
            self._abandon()

    async def open(self) -> None:
        """Connect, wait for the greeting, and say HELO (3.5).

        Raises SessionRefused with the reply if the answer is no, SessionLost or
        RemoteProtocolError if the other side does not hold the session, OSError if there is none,
        LocalProtocolError if the session is open already.
        """
        if self._wire is None:
            self._wire = await self._connect(*self._address, self._tls)
            self._exchange = Exchange(Sender(self._dialect), self._exchange.transcript)
        elif self._exchange.sender.awaiting is not Verb.CONNECT:
            raise LocalProtocolError("the session is open already")
        try:
            self.greeting = reply = await self._reply()
            if reply.severity is Severity.COMPLETED:
                reply = await self.command(Helo(self._helo or await self._own_name()))
            if reply.severity is not Severity.COMPLETED:
                raise SessionRefused(reply)
        except Exception:
            await self.close()
            raise
        except BaseException:
            self._abandon()
            raise

    async def close(self) -> None:
        """Say QUIT where that is possible, and close the connection; it never raises."""
        try:
            if self._wire is not None:
                with contextlib.suppress(SMTPError, OSError):
                    await self.command(Quit())
        finally:
            self._abandon()

    async def command(self, command: Command) -> Reply:
        """Send one command and give its reply, whatever it is.

        Raises LocalProtocolError for a command that is not legal now, or at all (the session goes
        on); RemoteProtocolError, SessionLost or OSError (the connection is closed).
        """
        try:
            if notice := await self._overheard():
                return notice
            self._exchange.send(command)
        except LocalProtocolError:
            raise
        except BaseException:
            self._abandon()
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
        message: Source | Message,
        *,
        kind: Verb = Verb.MAIL,
        follow: Follow | None = None,
    ) -> Delivery:
        """Send a message to its recipients; gives what became of each of them.

        reverse_path, forward_paths: Paths, or their texts with brackets.
        message: bytes, a binary file, or an iterable of bytes (an async one too, if there is an
            event loop); it is never read whole.
        kind: MAIL, or SEND, SOML, SAML (3.4).
        follow: asked, if given, where to send to a recipient who has moved (551 with a path, 3.2);
            what comes of that is the result then. It is followed once, and no further.
        Raises LocalProtocolError for what must not be sent; what the other side does, a lost
        connection included, is in the result.
        """
        source = message if isinstance(message, Message) else Message(message)
        if follow is not None and not source.repeatable:
            raise LocalProtocolError("a message that can be read only once cannot follow anybody")
        delivery = await self._deliver(reverse_path, forward_paths, source, kind)
        if follow is None:
            return delivery
        results = list(delivery.recipients)
        for at, result in enumerate(results):
            path = result.moved_to
            if path is None or excess(path, self._dialect.limits, sent=True):
                continue
            if (address := follow(path)) is not None:
                there = await self._send_there(address, reverse_path, path, source, kind)
                results[at] = attrs.evolve(there.recipients[0], path=result.path)
        return Delivery(tuple(results))

    async def turn(self, handler: Handler, domain: str) -> Reply:
        """Ask to exchange the roles; if the answer is 250, receive until the other side quits.

        handler: answers as in a server; domain: the name of this host (3.8).
        Raises as `command` does.
        """
        name = Domain(domain).text  # before anything is sent
        reply = await self.command(Turn())
        if self._wire is not None and reply.severity is Severity.COMPLETED:
            wire, self._wire = self._wire, None
            try:
                conversation = self._exchange.turned(handler, name)
                await converse(wire, conversation, self.timeouts, self._send_in_turn)
            finally:
                wire.close()
        return reply

    # What the verbs are made of.

    @property
    def _dialect(self) -> Dialect:
        return self._exchange.sender.dialect

    async def _deliver(
        self,
        reverse_path: Path | str,
        forward_paths: Iterable[Path | str],
        source: Message,
        kind: Verb,
    ) -> Delivery:
        """Follow the plan of `deliver`."""
        plan = deliver(
            reverse_path,
            forward_paths,
            kind=kind,
            limits=self._dialect.limits,
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

    async def _send_there(
        self,
        address: tuple[str, int],
        reverse_path: Path | str,
        path: Path,
        message: Message,
        kind: Verb,
    ) -> Delivery:
        """Send to one recipient at another server, or at this one by another path."""
        if address == self._address:
            return await self.send(reverse_path, [path], message, kind=kind)
        there = type(self)(
            *address, helo=self._helo, dialect=self._dialect, timeouts=self.timeouts, tls=self._tls
        )
        there._exchange.transcript = self._exchange.transcript
        try:
            async with there:
                return await there.send(reverse_path, [path], message, kind=kind)
        except LocalProtocolError:
            raise
        except (SMTPError, OSError) as error:
            return no_session([path], error)

    async def _message(self, message: Message) -> Reply:
        """Send the mail data, which 354 has asked for, and wait for the reply."""
        try:
            if notice := await self._stream(message):
                return notice
        except BaseException:
            self._abandon()
            raise
        return await self._reply()

    async def _stream(self, message: Message) -> Reply | None:
        """Send the mail data and its end; gives the 421 that cut it short, if one did."""
        if message.small is not None:
            return await self._end_data(message.small)
        try:
            if message.asynchronous is not None:
                async with _closed_at_the_end(message.asynchronous) as pieces:
                    async for awaited in pieces:
                        await self._block(awaited)
            else:
                for chunk in message.chunks():
                    await self._block(chunk)
        except OSError:
            with contextlib.suppress(OSError, SessionLost):
                if notice := await self._overheard():  # why it was not taken
                    return notice
            raise
        return await self._end_data()

    async def _end_data(self, rest: bytes | memoryview = b"") -> Reply | None:
        """Have the rest of the mail data and its end go together; gives a 421 that has come."""
        if notice := await self._overheard():  # before the message is confirmed
            return notice
        self._exchange.send_data(rest)
        self._exchange.end_data()
        return None

    async def _block(self, chunk: bytes | memoryview) -> None:
        """Send a piece of the mail data."""
        self._exchange.send_data(chunk)
        if data := self._exchange.data_to_send():
            seconds = self.timeouts.block
            try:
                await self._connected().write(data, seconds)
            except TimeoutError:
                raise TimeoutError(f"no mail data taken in {seconds:g} seconds") from None

    async def _reply(self) -> Reply:
        """Wait for the one reply that is awaited; whatever else comes closes the connection."""
        exchange = self._exchange
        awaiting = exchange.sender.awaiting
        seconds = self.timeouts.reply_to(awaiting)
        deadline = monotonic() + seconds
        try:
            wire = self._connected()
            if data := exchange.data_to_send():
                await wire.write(data, seconds)
            exchange.receive_data(await wire.read(seconds))
            while (reply := exchange.reply()) is None:
                if (left := deadline - monotonic()) <= 0:  # for more may be there all the time
                    raise TimeoutError
                exchange.receive_data(await wire.read(left))
        except TimeoutError:
            self._abandon()
            what = "greeting" if awaiting is Verb.CONNECT else f"reply to {awaiting}"
            raise TimeoutError(f"no {what} in {seconds:g} seconds") from None
        except BaseException:
            self._abandon()
            raise
        if exchange.over:
            self._abandon()
        return reply

    async def _overheard(self) -> Reply | None:
        """Read what the other side has said out of turn, without waiting; the 421, if it is one."""
        data = await self._connected().heard()
        if data is None:
            return None
        self._exchange.receive_data(data)
        notice = self._exchange.overheard()
        if notice is not None:
            self._abandon()
        return notice

    def _connected(self) -> Wire:
        if self._wire is None:
            raise SessionLost("there is no connection")
        return self._wire

    def _abandon(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    async def _own_name(self) -> str:
        return await self._in_thread(own_name, self._connected().address, self._dialect.limits)


@contextlib.asynccontextmanager
async def _closed_at_the_end(source: AsyncIterable[bytes]) -> AsyncIterator[AsyncIterator[bytes]]:
    """The pieces of a source; a generator that is left in the middle is not left open."""
    pieces = aiter(source)
    try:
        yield pieces
    finally:
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()
