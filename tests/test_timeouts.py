"""The times of RFC 1123, 5.3.2, and which of them a command waits."""

from __future__ import annotations

import attrs
import pytest

from smtp821 import Timeouts, Verb

# RFC 1123, 5.3.2: minutes, as the text has them.
MINUTES = {"opening": 5, "mail": 5, "rcpt": 5, "data": 2, "block": 3, "end": 10, "receiver": 5}


@pytest.mark.clause("AMB-60")
@pytest.mark.parametrize("phase", MINUTES)
def test_the_defaults(phase: str) -> None:
    """Each default is the minimum that RFC 1123 asks for."""
    assert getattr(Timeouts(), phase) == 60 * MINUTES[phase]


def test_every_time_has_its_source() -> None:
    """The table says where each number comes from, and what it is for."""
    names = [field.name for field in attrs.fields(Timeouts)]
    assert set(names) == {*MINUTES, "other"}
    for field in attrs.fields(Timeouts):
        assert set(field.metadata) == {"source", "waits for"}


EXPECTED = {
    Verb.CONNECT: "opening",
    Verb.MAIL: "mail",
    Verb.SEND: "mail",
    Verb.SOML: "mail",
    Verb.SAML: "mail",
    Verb.RCPT: "rcpt",
    Verb.DATA: "data",
    Verb.END_OF_DATA: "end",
}


@pytest.mark.parametrize("verb", [*Verb, None])
def test_the_time_of_each_reply(verb: Verb | None) -> None:
    """Every command waits its own time; those that RFC 1123 does not name wait `other`."""
    phases = [field.name for field in attrs.fields(Timeouts)]
    times = Timeouts(**{phase: float(at) for at, phase in enumerate(phases, 1)})
    expected = EXPECTED.get(verb, "other") if verb is not None else "other"
    assert times.reply_to(verb) == getattr(times, expected)


def test_all() -> None:
    """One time for every phase."""
    assert set(attrs.astuple(Timeouts.all(1.5))) == {1.5}


@pytest.mark.parametrize("seconds", [0, -1, 0.0, float("nan")])
def test_no_time_at_all(seconds: float) -> None:
    """A time is over 0: with none nothing could ever be awaited."""
    with pytest.raises(ValueError, match="mail is to be a time over 0 seconds"):
        Timeouts(mail=seconds)
    with pytest.raises(ValueError, match="over 0 seconds"):
        Timeouts.all(seconds)
