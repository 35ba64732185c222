"""The adapters, seen from a test: the verbs of `smtp821.sockets`, whatever is behind them.

A test in a module that uses the fixture `adapter` runs once on each adapter. asyncio and trio have
an event loop in a thread of its own, for all tests; what a test calls is carried there and back,
so that the tests themselves are written once, and block.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import select
import ssl
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from pathlib import Path as File
from types import TracebackType
from typing import Any, Final, Generic, Protocol, Self, TypeVar

import pytest
import trio

import smtp821.asyncio
import smtp821.sockets
import smtp821.trio
from smtp821 import Command, Handler, Path, Reply, Verb
from smtp821.client import AsyncClient, Follow
from smtp821.delivery import Delivery, Source
from smtp821.service import Service
from smtp821.timeouts import Timeouts

TIMEOUT: Final = 30.0  # seconds that anything may take before a test fails
NAMES: Final = ("sockets", "asyncio", "trio")
DESCRIPTORS: Final = File("/proc/self/fd")

T = TypeVar("T")
Make = Callable[[str], Handler]


def only(*names: str) -> pytest.MarkDecorator:
    """A test of these adapters alone."""
    return pytest.mark.parametrize("adapter", names, indirect=True)


def until(condition: Callable[[], object]) -> None:
    """Wait for something that nobody announces."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


# What a test sees.


class Server(Protocol):
    """A server of any adapter."""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that it listens at."""

    @property
    def service(self) -> Service:
        """What its connections share."""

    def wait(self) -> None:
        """Wait until it has stopped."""

    def stop(self, grace: float = 30.0) -> None:
        """Stop it."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Client(Protocol):
    """A client of any adapter."""

    timeouts: Timeouts

    @property
    def greeting(self) -> Reply | None:
        """The reply that opened the session."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def open(self) -> None:
        """Begin the session."""

    def close(self) -> None:
        """End it."""

    def command(self, command: Command) -> Reply:
        """Send a command."""

    def data(self, message: Source) -> Reply:
        """Send DATA and a message."""

    def send(
        self,
        reverse_path: Path | str,
        forward_paths: Iterable[Path | str],
        message: Source,
        *,
        kind: Verb = Verb.MAIL,
        follow: Follow | None = None,
    ) -> Delivery:
        """Send a message to its recipients."""

    def turn(self, handler: Handler, domain: str) -> Reply:
        """Ask to exchange the roles."""


class Gate(threading.Event):
    """An event that threads, asyncio and trio can wait for."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._calls: list[Callable[[], object]] = []

    def set(self) -> None:
        """Let all through."""
        super().set()
        with self._lock:
            calls, self._calls = self._calls, []
        for call in calls:
            call()

    def when_set(self, call: Callable[[], object]) -> None:
        """Have this called, in whatever thread, once it is set."""
        with self._lock:
            if not self.is_set():
                self._calls.append(call)
                return
        call()


Waiting = Callable[[], object]
"""Something that a source of a message waits for, between two pieces."""


class Adapter(ABC):
    """One of them."""

    name: str

    def __init__(self) -> None:
        self._services: list[Service] = []
        self._descriptors = 0

    @abstractmethod
    def serve(self, make: Make, **options: Any) -> Server:
        """A server that runs."""

    @abstractmethod
    def client(self, port: int, **options: Any) -> Client:
        """A client that is not opened yet."""

    @abstractmethod
    def after(self, gate: Gate, act: Callable[[], T]) -> Any:
        """What a handler returns that waits for a gate, and then acts."""

    @abstractmethod
    def source(self, *parts: bytes | Waiting) -> Source:
        """A message in pieces, which waits between some of them."""

    @abstractmethod
    async def pause(self) -> None:
        """Let others run: there are none where a coroutine blocks."""

    @abstractmethod
    def running(self) -> list[str]:
        """What runs of this package: names of threads, or tasks."""

    @abstractmethod
    def has_heard(self, client: Client) -> bool:
        """Whether the peer has said something that a client has not read."""

    def begin(self) -> None:
        """Get ready for a test."""
        self._services.clear()
        if DESCRIPTORS.is_dir():
            gc.collect(1)
            self._descriptors = len(list(DESCRIPTORS.iterdir()))

    def wait_for_sessions(self) -> None:
        """Wait until every session of every server is over, and nothing of it is left."""
        until(lambda: not any(service.connections for service in self._services))

    def nothing_is_left(self) -> None:
        """See that nothing runs any more, and no socket was forgotten (ResourceWarning) or left."""
        gc.collect(1)
        until(lambda: not self.running())
        if DESCRIPTORS.is_dir():
            until(lambda: len(list(DESCRIPTORS.iterdir())) <= self._descriptors)

    def _began(self, service: Service) -> None:
        self._services.append(service)


class _Suspended(Awaitable[None]):
    """Something to wait for that needs an event loop."""

    def __await__(self) -> Generator[object, None, None]:
        yield self


# Blocking sockets: the verbs are there, and a thread is what waits.


class Sockets(Adapter):
    """smtp821.sockets."""

    name = "sockets"

    def serve(self, make: Make, **options: Any) -> Server:
        """A server that runs."""
        server = smtp821.sockets.serve(make, **options)
        self._began(server.service)
        return server

    def client(self, port: int, **options: Any) -> Client:
        """A client that is not opened yet."""
        return smtp821.sockets.Client(port=port, **options)

    def after(self, gate: Gate, act: Callable[[], T]) -> T:
        """Wait, and act."""
        assert gate.wait(TIMEOUT)
        return act()

    def source(self, *parts: bytes | Waiting) -> Iterator[bytes]:
        """A generator."""
        for part in parts:
            if isinstance(part, bytes):
                yield part
            else:
                part()

    async def pause(self) -> None:
        """Suspend, as none may here."""
        await _Suspended()

    def running(self) -> list[str]:
        """The threads."""
        return [t.name for t in threading.enumerate() if t.name.startswith("smtp821")]

    def has_heard(self, client: Client) -> bool:
        """Look at the socket."""
        assert isinstance(client, smtp821.sockets.Client)
        wire: Any = client._session._wire
        return bool(select.select([wire._sock], [], [], 0)[0])

    def wait_for_sessions(self) -> None:
        """Wait for the threads too, which close the sockets."""
        super().wait_for_sessions()
        until(lambda: "smtp821 connection" not in self.running())


# Event loops.


class Job(Generic[T]):
    """A coroutine that an event loop runs; `cancel` cancels it there."""

    def __init__(self, cancel: Callable[[], object]) -> None:
        self._cancel = cancel
        self.future: Future[T] = Future()

    def cancel_soon(self) -> None:
        """Cancel it, from whatever thread."""
        self._cancel()

    def cancel(self) -> None:
        """Cancel it, and wait until it has ended in whatever way."""
        self._cancel()
        wait([self.future], TIMEOUT)
        assert self.future.done()

    def result(self) -> T:
        """What came of it, once it has ended. Raises what it raised, and CancelledError."""
        wait([self.future], TIMEOUT)
        assert self.future.done()
        return self.future.result()


class Loop(Adapter):
    """An adapter with an event loop, which runs in a thread of its own."""

    serve_in_context: Callable[..., contextlib.AbstractAsyncContextManager[Any]]
    client_class: type[AsyncClient]

    def __init__(self) -> None:
        super().__init__()
        self._ready = threading.Event()
        name = f"loop of {type(self).__name__}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        assert self._ready.wait(TIMEOUT)

    def serve(self, make: Make, **options: Any) -> LoopServer:
        """A server that runs."""
        ready: Future[Any] = Future()

        async def hold() -> None:
            async with self.serve_in_context(make, **options) as server:
                ready.set_result(server)
                await server.wait()

        job = self.start(hold)
        wait([ready, job.future], TIMEOUT, FIRST_COMPLETED)
        if not ready.done():
            job.result()
        server = ready.result(0)
        self._began(server.service)
        return LoopServer(self, server, job)

    def client(self, port: int, **options: Any) -> LoopClient:
        """A client that is not opened yet."""
        return LoopClient(self, self.client_class(port=port, **options))

    async def after(self, gate: Gate, act: Callable[[], T]) -> Any:
        """Wait, and act."""
        await self.pass_gate(gate)
        return act()

    async def source(self, *parts: bytes | Waiting) -> AsyncIterator[bytes]:
        """An async generator; what blocks does so in a thread."""
        for part in parts:
            if isinstance(part, bytes):
                yield part
            else:
                await self.in_thread(part)

    def call(self, function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """What an async function gives."""
        return self.start(function, *arguments).result()

    @abstractmethod
    def start(self, function: Callable[..., Awaitable[T]], *arguments: Any) -> Job[T]:
        """Run an async function."""

    @abstractmethod
    def end(self) -> None:
        """End the loop, and its thread."""

    @abstractmethod
    async def pass_gate(self, gate: Gate) -> None:
        """Wait for a gate."""

    @abstractmethod
    async def in_thread(self, function: Callable[[], object]) -> None:
        """Call what blocks."""

    @abstractmethod
    def cancel_here(self) -> None:
        """Cancel the Job that calls this."""

    @abstractmethod
    def _run(self) -> None:
        """Run the loop, until `end` is called."""


class LoopServer:
    """A server in an event loop."""

    def __init__(self, loop: Loop, server: Any, job: Job[None]) -> None:
        self.server, self.job = server, job
        self._loop = loop

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that it listens at."""
        address: tuple[str, int] = self.server.address
        return address

    @property
    def service(self) -> Service:
        """What its connections share."""
        service: Service = self.server.service
        return service

    def wait(self) -> None:
        """Wait until it has stopped."""
        self._loop.call(self.server.wait)

    def stop(self, grace: float = 30.0) -> None:
        """Stop it, and see its context end."""
        self._loop.call(self.server.stop, grace)
        self.job.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class LoopClient:
    """A client in an event loop."""

    def __init__(self, loop: Loop, session: AsyncClient) -> None:
        self.session = session
        self._loop = loop

    @property
    def greeting(self) -> Reply | None:
        """The reply that opened the session."""
        return self.session.greeting

    @property
    def timeouts(self) -> Timeouts:
        """How long to wait."""
        return self.session.timeouts

    @timeouts.setter
    def timeouts(self, timeouts: Timeouts) -> None:
        self.session.timeouts = timeouts

    def __enter__(self) -> Self:
        self._loop.call(self.session.__aenter__)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call(self.session.__aexit__, kind, error, traceback)

    def open(self) -> None:
        """Begin the session."""
        self._loop.call(self.session.open)

    def close(self) -> None:
        """End it."""
        self._loop.call(self.session.close)

    def command(self, command: Command) -> Reply:
        """Send a command."""
        return self._loop.call(self.session.command, command)

    def data(self, message: Source) -> Reply:
        """Send DATA and a message."""
        return self._loop.call(self.session.data, message)

    def send(
        self,
        reverse_path: Path | str,
        forward_paths: Iterable[Path | str],
        message: Source,
        *,
        kind: Verb = Verb.MAIL,
        follow: Follow | None = None,
    ) -> Delivery:
        """Send a message to its recipients."""

        async def send() -> Delivery:
            envelope = reverse_path, forward_paths
            return await self.session.send(*envelope, message, kind=kind, follow=follow)

        return self._loop.call(send)

    def turn(self, handler: Handler, domain: str) -> Reply:
        """Ask to exchange the roles."""
        return self._loop.call(self.session.turn, handler, domain)


class Asyncio(Loop):
    """smtp821.asyncio."""

    name = "asyncio"
    serve_in_context = staticmethod(smtp821.asyncio.serve)
    client_class = smtp821.asyncio.Client

    def start(self, function: Callable[..., Awaitable[T]], *arguments: Any) -> Job[T]:
        """Run an async function as a task."""
        tasks: list[asyncio.Task[None]] = []

        def cancel() -> None:
            tasks[0].cancel()

        job: Job[T] = Job(lambda: self._loop.call_soon_threadsafe(cancel))

        async def run() -> None:
            try:
                result = await function(*arguments)
            except asyncio.CancelledError:
                job.future.set_exception(CancelledError())
            except BaseException as error:
                job.future.set_exception(error)
            else:
                job.future.set_result(result)

        def begin() -> None:
            tasks.append(self._loop.create_task(run(), name=f"{function}"))

        self._loop.call_soon_threadsafe(begin)
        return job

    async def pass_gate(self, gate: Gate) -> None:
        """Wait for a gate."""
        loop = asyncio.get_running_loop()
        event = asyncio.Event()
        gate.when_set(lambda: loop.call_soon_threadsafe(event.set))
        await event.wait()

    async def in_thread(self, function: Callable[[], object]) -> None:
        """Call what blocks."""
        await asyncio.to_thread(function)

    async def pause(self) -> None:
        """Let others run."""
        await asyncio.sleep(0)

    def cancel_here(self) -> None:
        """Cancel the task."""
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    def running(self) -> list[str]:
        """The tasks, but for those of the loop itself; and what went wrong where nobody waits."""

        async def names() -> list[str]:
            idle = (self._main, asyncio.current_task())
            return [str(task) for task in asyncio.all_tasks() if task not in idle]

        return self.call(names) + self._failures

    def has_heard(self, client: Client) -> bool:
        """Look into what the wire keeps."""
        assert isinstance(client, LoopClient)
        wire: Any = client.session._wire
        return bool(wire._unread or wire._ended)

    def begin(self) -> None:
        """Forget what went wrong before."""
        super().begin()
        self._failures.clear()

    def end(self) -> None:
        """End the loop."""
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(TIMEOUT)

    def _run(self) -> None:
        asyncio.run(self._idle())

    async def _idle(self) -> None:
        self._failures: list[str] = []
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(lambda _, context: self._failures.append(str(context)))
        self._main = asyncio.current_task()
        self._ending = asyncio.Event()
        self._ready.set()
        await self._ending.wait()


class Trio(Loop):
    """smtp821.trio."""

    name = "trio"
    serve_in_context = staticmethod(smtp821.trio.serve)
    client_class = smtp821.trio.Client

    def start(self, function: Callable[..., Awaitable[T]], *arguments: Any) -> Job[T]:
        """Run an async function as a child of the one nursery."""
        scope = trio.CancelScope()
        job: Job[T] = Job(lambda: self._token.run_sync_soon(scope.cancel))

        async def run() -> None:
            self._scopes[trio.lowlevel.current_task()] = scope
            try:
                with scope:
                    job.future.set_result(await function(*arguments))
            except trio.Cancelled:  # all is over
                raise
            except BaseException as error:
                job.future.set_exception(error)
            finally:
                del self._scopes[trio.lowlevel.current_task()]
                if not job.future.done():
                    job.future.set_exception(CancelledError())

        self._token.run_sync_soon(self._nursery.start_soon, run)
        return job

    async def pass_gate(self, gate: Gate) -> None:
        """Wait for a gate."""
        event = trio.Event()
        gate.when_set(lambda: self._token.run_sync_soon(event.set))
        await event.wait()

    async def in_thread(self, function: Callable[[], object]) -> None:
        """Call what blocks."""
        await trio.to_thread.run_sync(function, abandon_on_cancel=True)

    async def pause(self) -> None:
        """Let others run."""
        await trio.lowlevel.checkpoint()

    def cancel_here(self) -> None:
        """Cancel the scope of the task."""
        self._scopes[trio.lowlevel.current_task()].cancel()

    def running(self) -> list[str]:
        """The tasks in the nursery."""

        async def names() -> list[str]:
            here = trio.lowlevel.current_task()
            return [task.name for task in self._nursery.child_tasks if task is not here]

        return self.call(names)

    def has_heard(self, client: Client) -> bool:
        """Look at the socket."""
        assert isinstance(client, LoopClient)
        wire: Any = client.session._wire
        return bool(select.select([wire._socket], [], [], 0)[0])

    def end(self) -> None:
        """End the loop."""
        self._token.run_sync_soon(self._ending.set)
        self._thread.join(TIMEOUT)

    def _run(self) -> None:
        trio.run(self._idle)

    async def _idle(self) -> None:
        self._scopes: dict[trio.lowlevel.Task, trio.CancelScope] = {}
        self._token = trio.lowlevel.current_trio_token()
        self._ending = trio.Event()
        async with trio.open_nursery() as self._nursery:
            self._ready.set()
            await self._ending.wait()
            self._nursery.cancel_scope.cancel()


# The one in use, and its verbs.

_KINDS: Final[dict[str, type[Adapter]]] = {"sockets": Sockets, "asyncio": Asyncio, "trio": Trio}
_begun: dict[str, Adapter] = {}
_current: list[Adapter] = []


def choose(name: str) -> Adapter:
    """Use an adapter from now on."""
    if name not in _begun:
        _begun[name] = _KINDS[name]()
    _current[:] = [_begun[name]]
    current().begin()
    return current()


def end() -> None:
    """End the event loops."""
    for adapter in _begun.values():
        if isinstance(adapter, Loop):
            adapter.end()


def current() -> Adapter:
    """The adapter in use."""
    return _current[0]


def serve(make: Make, **options: Any) -> Server:
    """A server that runs; the options are those of every adapter's `serve`."""
    return current().serve(make, **options)


def client(port: int, **options: Any) -> Client:
    """A client that is not opened yet; the options are those of every adapter's Client."""
    return current().client(port, **options)


def after(gate: Gate, act: Callable[[], object]) -> Any:
    """Wait for a gate, then act: what a handler is to return for that."""
    return current().after(gate, act)


def then(answer: T | Awaitable[T], act: Callable[[T], Any]) -> Any:
    """Act on an answer, now or when it has come: what a handler is to return for that."""

    async def later(answer: Awaitable[T]) -> Any:
        result = act(await answer)
        return await result if isinstance(result, Awaitable) else result

    return later(answer) if isinstance(answer, Awaitable) else act(answer)


async def pause() -> None:
    """Let others run, in an async method of a handler."""
    await current().pause()


def source(*parts: bytes | Waiting) -> Any:
    """A message in pieces, which waits between some of them."""
    return current().source(*parts)


def running() -> list[str]:
    """What runs of this package."""
    return current().running()


def wait_for_sessions() -> None:
    """Wait until every session is over."""
    current().wait_for_sessions()


def nothing_is_left() -> None:
    """See that nothing runs any more, and no socket was forgotten or left."""
    current().nothing_is_left()


def wait_to_hear(client: Client) -> None:
    """Wait until the peer has said something that a client has not read."""
    until(lambda: current().has_heard(client))


def linger(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Give peers this time to read what was said last."""
    for module in ("server", "sockets", "asyncio", "trio"):
        monkeypatch.setattr(f"smtp821.{module}.LINGER", seconds)


def tls_contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What a server of localhost needs for TLS, and a client that trusts it."""
    folder = File(__file__).parent / "data" / "tls"
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return server, ssl.create_default_context(cafile=folder / "certificate.pem")
