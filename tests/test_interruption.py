"""Servers that are cancelled, and sockets that fail, at each place where that can be.

A server in an event loop is cancelled at the n-th step of its tasks, and the n-th await of its
handler, for every n that there is; a client's awaits are those of test_async.py. What blocks has no
cancellation: there an exception comes out of the n-th call of a socket, as KeyboardInterrupt does
in the thread of a client, or as what the system says in that of a server's connection. Afterwards
the connection is closed, the handler has heard of it, and nothing is left: no task, no thread and
no descriptor (the fixture looks for them), nor a ResourceWarning, which is an error here.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any, Final

import pytest
import trio

from smtp821 import Event, Noop, Reply, SessionLost
from smtp821.delivery import Status

from .adapters import (
    Adapter,
    Job,
    Loop,
    LoopServer,
    linger,
    only,
    pause,
    running,
    wait_for_sessions,
)
from .dialogue import ANSWERS, ENVELOPE, JONES, QUIT, SESSION, SMITH, TEXT, WHOLE
from .peers import NOT_AVAILABLE, OPENING, Catcher, Catching, Wire, client_of
from .peers import QUIT as LEAVING

pytestmark = pytest.mark.usefixtures("adapter")

Count = Callable[[str, int], None]
MOST: Final = 500  # places in a session; there are far fewer


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Peers read at once what was said last."""
    linger(monkeypatch, 0.05)


def is_in_order(answers: bytes, handler: Catcher) -> None:
    """See that a session was one up to where it ended, and that its handler knows.

    Messages are whole; each 250 that was heard is of one that was taken.
    """
    assert answers.removesuffix(NOT_AVAILABLE) in [ANSWERS[:at] for at in range(len(ANSWERS) + 1)]
    assert handler.messages == [(ENVELOPE, TEXT)] * len(handler.messages)
    assert answers.count(MESSAGE_TAKEN) <= len(handler.messages) <= 2
    assert len(handler.endings) == 1
    assert handler.events[-1] is handler.endings[0]


MESSAGE_TAKEN: Final = b"".join(said for _, said in WHOLE[2:])  # 354 and then 250


class Nth:
    """Acts when it is called for the n-th time.

    act: what is called then.
    """

    act: Callable[[], object]

    def __init__(self, n: int) -> None:
        self._left = n

    def __call__(self) -> None:
        """Count it."""
        self._left -= 1
        if self._left == 0:
            self.act()

    @property
    def has_acted(self) -> bool:
        """Whether it was called so often."""
        return self._left <= 0


def in_turns(wire: Wire) -> bytes:
    """Hold a session in turns, as far as it goes; all that was answered."""
    answers = b""
    with contextlib.suppress(ConnectionError):
        for said, answer in (*OPENING, *WHOLE, *WHOLE, LEAVING):
            wire.send(said)
            left = len(answer)
            while left and (data := wire.sock.recv(left)):
                answers, left = answers + data, left - len(data)
    return answers + wire.remains()


# A server is cancelled.


class Waiting(Catcher):
    """Does as Catcher, and then awaits something, each time it is called.

    step: is told of it.
    """

    step: Nth

    async def _wait(self, answer: Reply | None) -> Reply | None:
        self.step()
        await pause()
        return answer


def awaited(name: str) -> Any:
    """A method that does as Catcher's, and then awaits something."""

    def method(self: Waiting, event: Event) -> Any:
        return self._wait(getattr(super(Waiting, self), name)(event))

    return method


for _name in (
    *("connected", "helo", "mail", "rcpt", "data", "mail_data", "end_of_data", "quit", "closed"),
):
    setattr(Waiting, _name, awaited(_name))


def is_cancelled(caught: Catching, job: Job[None]) -> None:
    """See that a server has ended by an exception that propagates, and left nothing."""
    with pytest.raises(CancelledError):
        job.result()
    assert running() == []
    assert caught.server.service.connections == 0


@only("asyncio", "trio")
def test_a_server_at_every_await_of_its_handler(adapter: Adapter, count: Count) -> None:
    """4.1.1: what is awaited is cancelled, and the handler is told of the end all the same."""
    for last in range(1, MOST):
        step = Nth(last)

        def make(peer: str, step: Nth = step) -> Waiting:
            handler = Waiting(peer)
            handler.step = step
            return handler

        caught = Catching(make)
        assert isinstance(caught.server, LoopServer)
        job = caught.server.job
        step.act = job.cancel_soon
        with caught.connect() as wire:
            wire.send(SESSION)
            answers = wire.remains()
        if not step.has_acted:
            caught.server.stop(grace=0.0)
            assert answers == ANSWERS
            break
        is_cancelled(caught, job)
        is_in_order(answers, caught.handler())
    assert last == 15  # one for each event of the session, and one behind them
    count(f"awaits of a handler at which smtp821.{adapter.name} was cancelled", last - 1)


@only("asyncio", "trio")
def test_a_server_between_any_two_turns(adapter: Adapter, count: Count) -> None:
    """4.1.1: where it waits for the peer, in whatever state the session is."""
    turns = (*OPENING, *WHOLE, *WHOLE)
    for heard in range(len(turns) + 1):
        caught = Catching()
        assert isinstance(caught.server, LoopServer)
        with caught.connect() as wire:
            for said, answer in turns[:heard]:
                wire.send(said)
                wire.hears(answer)
            if heard == len(turns):
                wire.send(QUIT)  # and it may be on its way when it is cancelled
            caught.server.job.cancel()
            rest = wire.remains()
        is_cancelled(caught, caught.server.job)
        if heard:
            answers = b"".join(answer for _, answer in turns[:heard])
            is_in_order(answers + rest, caught.handler())
        count(f"turns between which smtp821.{adapter.name} was cancelled", 1)


class Steps(trio.abc.Instrument):
    """Counts the steps of the tasks of smtp821, each of them up to a checkpoint."""

    def __init__(self, step: Nth) -> None:
        self._step = step

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """One of them has come to a checkpoint, or its end."""
        if task.name.startswith("smtp821.trio."):
            self._step()


@only("trio")
def test_a_server_at_every_checkpoint(adapter: Loop, count: Count) -> None:
    """4.1.1: whichever of its tasks waits for whatever; a listener and a connection are two."""

    async def instrument(steps: Steps) -> None:
        trio.lowlevel.add_instrument(steps)

    async def remove(steps: Steps) -> None:
        trio.lowlevel.remove_instrument(steps)

    for last in range(1, MOST):
        step = Nth(last)
        caught = Catching()
        assert isinstance(caught.server, LoopServer)
        job = caught.server.job
        step.act = job.cancel_soon
        steps = Steps(step)
        adapter.call(instrument, steps)
        with caught.connect() as wire:
            answers = in_turns(wire)
        adapter.call(remove, steps)
        if not step.has_acted:
            caught.server.stop(grace=0.0)
            assert answers == ANSWERS
            break
        is_cancelled(caught, job)
        if not caught.none_left():
            is_in_order(answers, caught.handler())
    assert last > 10
    count(f"checkpoints at which smtp821.{adapter.name} was cancelled", last - 1)


# A socket fails.


class Interruption(BaseException):
    """As KeyboardInterrupt, but no test runner minds it."""


class Failing:
    """Raises at the n-th call of a socket, or behind it, in threads of one name."""

    def __init__(
        self, patch: pytest.MonkeyPatch, n: int, thread: str, error: BaseException, *, behind: bool
    ) -> None:
        self._thread, self._error, self._behind = thread, error, behind
        self._step = Nth(n)
        self._step.act = self._fail
        for name in ("recv", "send", "shutdown"):
            method = getattr(socket.socket, name)
            patch.setattr(socket.socket, name, self._counting(method), raising=False)
        patch.setattr(select, "poll", lambda make=select.poll: _Poll(make(), self))

    @property
    def has_failed(self) -> bool:
        """Whether there were so many calls."""
        return self._step.has_acted

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call it, and count that."""
        if threading.current_thread().name != self._thread:
            return function(*arguments)
        if not self._behind:
            self._step()
        result = function(*arguments)
        if self._behind:
            self._step()
        return result

    def _counting(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments: self.call(function, *arguments)

    def _fail(self) -> None:
        raise self._error


class _Poll:
    """A poll object whose waits are calls of a socket."""

    def __init__(self, poll: Any, failing: Failing) -> None:
        self._poll, self._failing = poll, failing

    def register(self, *arguments: Any) -> None:
        """Look at a socket too."""
        self._poll.register(*arguments)

    def poll(self, *arguments: Any) -> Any:
        """Wait."""
        return self._failing.call(self._poll.poll, *arguments)


@only("sockets")
@pytest.mark.parametrize("behind", [False, True], ids=["instead of the call", "behind the call"])
def test_a_client_at_every_call(behind: bool, count: Count) -> None:
    """4.1.1: the exception propagates, the connection is closed, and no reply is mistaken."""
    for last in range(1, MOST):
        said: list[Any] = []
        with Catching() as caught, pytest.MonkeyPatch.context() as patch:
            client = client_of(caught.server.address[1])
            thread = threading.current_thread().name
            failing = Failing(patch, last, thread, Interruption(), behind=behind)
            with contextlib.suppress(Interruption), client:
                said.append(client.command(Noop()))
                said.append(client.send(SMITH, [JONES], [TEXT]))
                said.append(client.send(SMITH, [JONES], TEXT))
                said.append("over")
            interrupted = failing.has_failed
            for _ in range(2):
                with pytest.raises(SessionLost):
                    client.command(Noop())
            handler = caught.handler()
            wait_for_sessions()
            assert len(handler.endings) == 1
            assert handler.messages == [(ENVELOPE, TEXT)] * len(handler.messages)
            assert said[:1] == [Reply(250, "OK")][: len(said)]
            statuses = [delivery.status for delivery in said[1:3]]
            assert statuses == [Status.ACCEPTED] * len(statuses)
            assert len(statuses) <= len(handler.messages)
        if not interrupted:
            assert said[-1] == "over"
            break
    assert last > 15
    where = "behind which" if behind else "instead of which"
    count(f"calls of a socket {where} a client was interrupted", last - 1)


@only("sockets")
@pytest.mark.parametrize("error", [OSError(errno.EIO, "broken"), ConnectionResetError()], ids=str)
def test_a_server_at_every_call(error: OSError, count: Count) -> None:
    """A socket that fails is the end of its session, and of nothing else."""
    for last in range(1, MOST):
        with Catching() as caught, pytest.MonkeyPatch.context() as patch:
            failing = Failing(patch, last, "smtp821 connection", error, behind=False)
            with caught.connect() as wire:
                answers = in_turns(wire)
            wait_for_sessions()
            is_in_order(answers, caught.handler())
            assert caught.server.service.connections == 0
            failed = failing.has_failed
            patch.undo()
            if not failed:
                assert answers == ANSWERS
                break
            with caught.connect() as wire:
                assert in_turns(wire) == ANSWERS
    assert last > 15
    count("calls of a socket that failed in a server", last - 1)
