"""Each adapter as others use it: a server in this process, and a client that is awaited.

Tests over all adapters are coroutines that are given a client; where it blocks, that is awaited
nonetheless, and blocks the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import queue
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, Protocol, Self, TypeVar

import pytest
import trio

from smtp821 import Command, Delivery, Handler, Reply
from smtp821.delivery import Source
from smtp821.sockets import Client as BlockingClient
from smtp821.timeouts import Timeouts

from .serving import TIMEOUT

ADAPTERS: Final = ("sockets", "asyncio", "trio")

every_adapter = pytest.mark.parametrize("adapter", ADAPTERS)

T = TypeVar("T")


class Client(Protocol):
    """What these tests ask of a client."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: Any) -> None: ...

    async def command(self, command: Command) -> Reply:
        """Send one command."""

    async def data(self, message: Source) -> Reply:
        """Send DATA and the message."""

    async def send(
        self, reverse_path: str, forward_paths: list[str], message: Source
    ) -> Delivery:  # fmt: skip
        """Send a message."""


class _Awaited:
    """A client that blocks, as one that is awaited."""

    def __init__(self, **options: Any) -> None:
        self._client = BlockingClient(**options)

    async def __aenter__(self) -> Self:
        self._client.open()
        return self

    async def __aexit__(self, *error: Any) -> None:
        self._client.__exit__(*error)

    async def command(self, command: Command) -> Reply:
        return self._client.command(command)

    async def data(self, message: Source) -> Reply:
        return self._client.data(message)

    async def send(self, *arguments: Any) -> Delivery:
        return self._client.send(*arguments)


def with_client(adapter: str, script: Callable[[Client], Awaitable[T]], **options: Any) -> T:
    """Open a session of a client, run a coroutine over it, and close it; gives its result."""
    options = {"timeouts": Timeouts.all(TIMEOUT), "helo": "here.example"} | options

    async def main() -> T:
        made: Any = (
            _Awaited
            if adapter == "sockets"
            else importlib.import_module(f"smtp821.{adapter}").Client
        )
        async with made(**options) as client:
            return await script(client)

    return trio.run(main) if adapter == "trio" else asyncio.run(main())


@contextlib.contextmanager
def server_of(
    adapter: str, handler: Callable[[str], Handler], **options: Any
) -> Iterator[tuple[str, int]]:
    """A server of the library in this process; gives its address. In the end it is stopped."""
    module = importlib.import_module(f"smtp821.{adapter}")
    if adapter == "sockets":
        with module.serve(handler, port=0, **options) as server:
            yield server.address
        return
    addresses: queue.SimpleQueue[Any] = queue.SimpleQueue()
    told = threading.Event()

    async def main() -> None:
        wait = asyncio.to_thread if adapter == "asyncio" else trio.to_thread.run_sync
        async with module.serve(handler, port=0, **options) as running:
            addresses.put(running.address)
            await wait(told.wait)

    def run() -> None:
        try:
            trio.run(main) if adapter == "trio" else asyncio.run(main())
        except BaseException as failure:
            addresses.put(failure)
            raise

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        address = addresses.get(timeout=TIMEOUT)
        assert isinstance(address, tuple), address
        yield address
    finally:
        told.set()
        thread.join(TIMEOUT)
        assert not thread.is_alive()
