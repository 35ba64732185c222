"""The name of this host, for HELO (4.1.1)."""

from __future__ import annotations

import socket

import pytest

from smtp821 import RFC821
from smtp821.host import own_name


@pytest.mark.parametrize(
    ("name", "address", "expected"),
    [
        ("host.example", "10.0.0.1", "host.example"),
        ("no domain", "10.0.0.1", "[10.0.0.1]"),
        ("", "10.0.0.1", "[10.0.0.1]"),
        (f"{'x' * 60}.example", "10.0.0.1", "[10.0.0.1]"),
        ("no domain", "::1", "localhost"),
        ("", "", "localhost"),
    ],
)
def test_own_name(name: str, address: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system says; else the address, as a <dotnum>; else something that can be said."""
    monkeypatch.setattr(socket, "getfqdn", lambda: name)
    assert own_name(address, RFC821.limits) == expected
