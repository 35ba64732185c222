"""Settings and fixtures that all tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings

from . import adapters

settings.register_profile(
    "default",
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=2000)
settings.register_profile(  # for each of many mutants: few examples, and always the same
    "mutation",
    settings.get_profile("default"),
    max_examples=30,
    phases=[Phase.explicit, Phase.generate],
    derandomize=True,
    database=None,
)
settings.load_profile("default")

_COUNTED = pytest.StashKey[dict[str, int]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of a run that takes its time."""
    parser.addoption("--deep", action="store_true", help="try all, however long it takes")


def pytest_configure(config: pytest.Config) -> None:
    """A deep run tries many examples of what cannot be listed."""
    config.stash[_COUNTED] = {}
    if config.getoption("--deep"):
        settings.load_profile("thorough")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how much was tried, for docs/testing.md."""
    if counted := config.stash[_COUNTED]:
        terminalreporter.section("counted")
        for what, number in counted.items():
            terminalreporter.line(f"{number:>12,}  {what}")


@pytest.fixture(scope="session")
def deep(pytestconfig: pytest.Config) -> bool:
    """Whether all is to be tried, rather than a sample."""
    return bool(pytestconfig.getoption("--deep"))


@pytest.fixture(scope="session")
def count(pytestconfig: pytest.Config) -> Callable[[str, int], None]:
    """Add to what the summary says was tried: what it is, and how many."""
    counted = pytestconfig.stash[_COUNTED]

    def add(what: str, number: int) -> None:
        counted[what] = counted.get(what, 0) + number

    return add


@pytest.fixture(scope="session")
def _event_loops() -> Iterator[None]:
    """The event loops of the adapters end when the tests do."""
    yield
    adapters.end()


@pytest.fixture(params=adapters.NAMES)
def adapter(request: pytest.FixtureRequest, _event_loops: None) -> Iterator[adapters.Adapter]:
    """Each adapter in turn, of which nothing may be left when a test is over."""
    chosen = adapters.choose(request.param)
    yield chosen
    chosen.nothing_is_left()
