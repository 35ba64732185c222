"""Many connections at once, which say nothing, and mail that goes through beside them."""

from __future__ import annotations

import socket
import struct
import sys

import pytest

from smtp821 import Handler

from .black_box import every_adapter, server_of


def places(listener: socket.socket) -> int:
    """How many connections may wait to be accepted, as Linux tells it (struct tcp_info)."""
    info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
    return int(struct.unpack("=28xI", info)[0])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the backlog")
@every_adapter
def test_the_backlog_of_a_listener(adapter: str) -> None:
    """A listener that is given keeps its places for those who wait: else they try for seconds."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        before = places(listener)
        with listener.dup() as same, server_of(adapter, Handler, domain="a.b", listener=listener):
            assert places(same) == before
