"""Sizes (4.5.3): the numbers, where they come from, and what they may be set to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs
import pytest

from smtp821 import Limits

# name: (default, floor, source, reply beyond it, whether None is allowed)
TABLE: Final[Mapping[str, tuple[int | None, int, str, int | None, bool]]] = {
    "user": (64, 64, "4.5.3", 501, False),
    "domain": (64, 64, "4.5.3", 501, False),
    "path": (256, 256, "4.5.3", 501, False),
    "command_line": (512, 512, "4.5.3", 500, False),
    "reply_line": (512, 512, "4.5.3", None, False),
    "text_line": (1000, 1000, "4.5.3", None, True),
    "recipients": (100, 1, "4.5.3", 552, True),  # Appendix F, scenario 10 has one
    "message": (None, 1, "4.5.3", 552, True),
    "reply_lines": (1024, 1, "memory", None, False),
    "errors": (None, 1, "RFC 5321 4.3.2", 421, True),
}
NAMES: Final = list(TABLE)


def with_limit(name: str, value: int | None) -> Limits:
    """The limits with one of them set."""
    numbers: dict[str, Any] = {name: value}
    return Limits(**numbers)


def test_the_table_is_complete() -> None:
    """4.5.3: every limit stands in the table above."""
    assert [field.name for field in attrs.fields(Limits)] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_default(name: str) -> None:
    """4.5.3: the numbers of the RFC, and no limit where it has none."""
    assert getattr(Limits(), name) == TABLE[name][0]


@pytest.mark.parametrize("name", NAMES)
def test_metadata(name: str) -> None:
    """4.5.3: each limit says where it comes from, what it counts and what is replied."""
    metadata = getattr(attrs.fields(Limits), name).metadata
    assert set(metadata) == {"source", "counts", "reply"}
    assert (metadata["source"], metadata["reply"]) == TABLE[name][2:4]
    assert metadata["counts"]


@pytest.mark.clause("4.5.3-02")
@pytest.mark.parametrize("name", NAMES)
def test_floor(name: str) -> None:
    """4.5.3: "at least these sizes" are to be received, so that no limit can be lower."""
    floor = TABLE[name][1]
    assert getattr(with_limit(name, floor), name) == floor
    with pytest.raises(ValueError, match=f"{name} cannot be {floor - 1}: .* asks for {floor}"):
        with_limit(name, floor - 1)


@pytest.mark.clause("4.5.3-01")
@pytest.mark.parametrize("name", NAMES)
def test_may_be_raised(name: str) -> None:
    """4.5.3: "techniques which impose no limits" are allowed for."""
    assert getattr(with_limit(name, 1_000_000), name) == 1_000_000


@pytest.mark.clause("4.5.3-01")
@pytest.mark.parametrize("name", NAMES)
def test_none(name: str) -> None:
    """4.5.3: a limit may be left out where memory is not at risk."""
    if TABLE[name][4]:
        assert getattr(with_limit(name, None), name) is None
    else:
        with pytest.raises(ValueError, match=f"{name} cannot be None"):
            with_limit(name, None)


@pytest.mark.parametrize("value", [0, -1])
@pytest.mark.parametrize("name", NAMES)
def test_no_limit_is_zero(name: str, value: int) -> None:
    """A limit that nothing is within is none."""
    with pytest.raises(ValueError, match=f"{name} cannot be {value}"):
        with_limit(name, value)


def test_evolve_is_checked() -> None:
    """Limits made from others are held to the same floors."""
    assert attrs.evolve(Limits(), path=300) == with_limit("path", 300)
    with pytest.raises(ValueError, match="path cannot be 255"):
        attrs.evolve(Limits(), path=255)


def test_limits_are_values() -> None:
    """Limits are frozen, are compared by their numbers, and can be keys."""
    assert Limits() == Limits()
    assert hash(Limits()) == hash(Limits())
    assert Limits(user=65) != Limits()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Limits().user = 128  # type: ignore[misc]
    with pytest.raises(TypeError):
        Limits(128)  # type: ignore[call-arg]
