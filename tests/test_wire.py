"""Coroutines that block are run without an event loop."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from smtp821.wire import run


class Suspends:
    """Something to wait for that needs a loop; it remembers what it was thrown."""

    thrown: BaseException | None = None

    def __await__(self) -> Generator[None, None, str]:
        """Suspend, once."""
        try:
            yield
        except TypeError as error:
            self.thrown = error
        return "went on"


async def answer(value: int) -> int:
    """A coroutine that never suspends."""
    return value


def test_what_never_suspends_is_a_call() -> None:
    """Its value is given, through any number of awaits."""

    async def add() -> int:
        return await answer(1) + await answer(2)

    assert run(add()) == 3


def test_what_it_raises_comes_out() -> None:
    """As it is, interruptions too."""

    async def fail(error: BaseException) -> None:
        raise error

    for error in (ValueError("no"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as raised:
            run(fail(error))
        assert raised.value is error


def test_what_suspends_is_told_so() -> None:
    """It is thrown a TypeError where it waits, each time."""
    first, second = Suspends(), Suspends()

    async def wait() -> list[str]:
        return [await first, await second]

    assert run(wait()) == ["went on", "went on"]
    for each in (first, second):
        assert str(each.thrown) == "what is awaited needs smtp821.asyncio or smtp821.trio"


def test_what_suspends_and_does_not_go_on() -> None:
    """The TypeError comes out."""

    class Stuck:
        def __await__(self) -> Generator[None, None, None]:
            yield

    async def wait() -> None:
        await Stuck()

    with pytest.raises(TypeError, match="what is awaited needs"):
        run(wait())
