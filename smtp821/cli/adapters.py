"""The adapters, as the commands use them: each call blocks until all is done.

An adapter is imported when it is asked for, so that trio need not be there for the others.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Final

from ..delivery import Delivery
from ..handler import Handler
from ..local_handler import LocalHandler
from ..protocol.events import EndOfData
from ..protocol.replies import Reply
from .arguments import UsageError

__all__ = ["ADAPTERS", "handler_class", "send", "serve"]

ADAPTERS: Final = ("sockets", "asyncio", "trio")

Made = Callable[[str], Handler]


def serve(
    adapter: str,
    handler: Made,
    options: dict[str, Any],
    told: Callable[[], object],
    grace: float,
) -> None:
    """Serve until `told` returns, then stop.

    options: for the `serve` of the adapter.
    told: blocks until it is time to stop.
    grace: seconds that the mail in hand has then.
    """
    module = _module(adapter)
    if adapter == "sockets":
        with module.serve(handler, **options) as server:
            told()
            server.stop(grace)
    elif adapter == "asyncio":
        asyncio.run(_serve(module.serve(handler, **options), asyncio.to_thread, told, grace))
    else:
        trio = importlib.import_module("trio")
        in_thread = trio.to_thread.run_sync
        trio.run(_serve, module.serve(handler, **options), in_thread, told, grace)


def send(adapter: str, options: dict[str, Any], deliver: Callable[[Any], Any]) -> Delivery:
    """Open a session, send what there is, and close it.

    options: for the Client; deliver: calls its `send`. Raises as they do.
    """
    client = _module(adapter).Client(**options)
    if adapter == "sockets":
        with client:
            return deliver(client)  # type: ignore[no-any-return]
    if adapter == "asyncio":
        return asyncio.run(_send(client, deliver))
    trio = importlib.import_module("trio")
    return trio.run(_send, client, deliver)  # type: ignore[no-any-return]


def handler_class(adapter: str) -> type[LocalHandler]:
    """The handler of local users; its disk is waited for in a thread where there is a loop."""
    if adapter == "sockets":
        return LocalHandler
    if adapter == "asyncio":
        return _in_loop(_in_thread)
    return _in_loop(importlib.import_module("trio").to_thread.run_sync)


async def _serve(
    serving: AbstractAsyncContextManager[Any],
    in_thread: Callable[[Callable[[], object]], Any],
    told: Callable[[], object],
    grace: float,
) -> None:
    async with serving as server:
        await in_thread(told)
        await server.stop(grace)


async def _send(client: Any, deliver: Callable[[Any], Any]) -> Delivery:
    async with client:
        return await deliver(client)  # type: ignore[no-any-return]


async def _in_thread(function: Callable[[], Reply | None]) -> Reply | None:
    """What a function gives that takes its time; it is never left alone with what it does."""
    work = asyncio.ensure_future(asyncio.to_thread(function))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise


def _in_loop(in_thread: Callable[[Callable[[], Reply | None]], Any]) -> type[LocalHandler]:
    """A LocalHandler that makes messages safe in a thread: others are not kept waiting."""

    class InThread(LocalHandler):
        """One session of a host with local users, in an event loop."""

        async def end_of_data(self, event: EndOfData) -> Reply | None:  # type: ignore[override]
            """Make the message safe, or say that it is not."""
            reply: Reply | None = await in_thread(partial(super().end_of_data, event))
            return reply

    return InThread


def _module(adapter: str) -> Any:
    """The module of an adapter. Raises UsageError where trio is not there."""
    try:
        return importlib.import_module(f"smtp821.{adapter}")
    except ModuleNotFoundError as missing:
        raise UsageError(f"--adapter {adapter} needs the package {missing.name}") from None
