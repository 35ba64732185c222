"""Settings and fixtures that all tests share."""

from __future__ import annotations

from collections.abc import Iterator

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
