"""trio without a protocol: it only answers, and gives each read a time."""

from __future__ import annotations

import socket
import sys

import trio

from .answering import GREETING, Answering


async def session(sock: socket.socket) -> None:
    """One connection."""
    sock.setblocking(False)
    sock.send(GREETING)
    answering = Answering()
    while not answering.over:
        with trio.fail_after(300):
            await trio.lowlevel.wait_readable(sock)
        data = sock.recv(1 << 16)
        if not data:
            break
        if answer := answering.feed(data):
            sock.send(answer)
    trio.lowlevel.notify_closing(sock)
    sock.close()


async def main() -> None:
    """Serve until the process is ended."""
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=1024)
    listener.setblocking(False)
    async with trio.open_nursery() as nursery:
        while True:
            await trio.lowlevel.wait_readable(listener)
            nursery.start_soon(session, listener.accept()[0])


if __name__ == "__main__":
    trio.run(main)
