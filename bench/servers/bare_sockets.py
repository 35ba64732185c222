"""A thread for each connection, without a protocol: it only answers, and gives each read a time."""

from __future__ import annotations

import socket
import sys
import threading

from .answering import GREETING, Answering


def session(sock: socket.socket) -> None:
    """One connection."""
    sock.settimeout(300)
    sock.send(GREETING)
    answering = Answering()
    while not answering.over and (data := sock.recv(1 << 16)):
        if answer := answering.feed(data):
            sock.send(answer)
    sock.close()


def main() -> None:
    """Serve until the process is ended."""
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=1024)
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=session, args=(sock,), daemon=True).start()


if __name__ == "__main__":
    main()
