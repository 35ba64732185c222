"""`smtp821 serve`: a receiver-SMTP for the users of one host."""

from __future__ import annotations

import argparse
import logging
import queue
import signal
import sys
import threading
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..local_handler import LocalHandler, Store
from ..local_host import LocalHost
from ..maildir import Maildir
from ..protocol.dialect import RFC821, RFC821_LENIENT
from ..sockets import Server
from ..sockets import serve as serve_sockets
from ..terminal import Terminal
from ..timeouts import Timeouts
from .arguments import UsageError, count, domain, file, host, port, seconds
from .output import address, reason, say, show

__all__ = ["Discard", "add_parser"]

_DESCRIPTION = """\
Receive mail by RFC 821, and keep it in a Maildir for each local mailbox. A message is answered
250 only when it is safe on the disk.

Without a configuration, mail is accepted for any user at --domain, and refused (550) for any
other host. EHLO is answered 500, for extensions came later; clients then say HELO.
"""

_EPILOG = """\
the configuration (TOML; every part may be left out):
  domain = "local.example"
  [mailboxes]            # user = full name; others at the domain are unknown
  user = "A. User"
  [lists]                # name = members; delivered to those who are local
  friends = ["user@local.example", "x@far.example"]
  [forwards]             # where a user is now, and whether mail is taken (251) or not (551)
  jones = { path = "<jones@far.example>", reply = 551 }

The first line on standard output is the address the server listens at. Ctrl-C, or SIGTERM, lets
the mail in hand finish, says 421 to the rest, and ends; a second one ends at once.

exit status:
  0  it was told to stop
  2  it could not begin; a line on standard error says why

example:
  smtp821 serve --domain local.example --maildir mail --transcript
"""


def add_parser(commands: Any) -> None:
    """Add the command to the parser of the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "serve",
        help="receive mail",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--host", type=host, default="127.0.0.1", help="address to listen at (default: %(default)s)"
    )
    add("--port", type=port, default=8025, help="port; 0 picks one (default: %(default)s)")
    add("--domain", type=domain, help="the name of this host (default: localhost)")
    store = parser.add_mutually_exclusive_group()
    store.add_argument(
        "--maildir",
        metavar="DIR",
        type=file,
        default=Path("mail"),
        help="folder of the Maildirs, one for each user (default: ./mail)",
    )
    store.add_argument(
        "--discard", action="store_true", help="accept and count mail, and keep nothing of it"
    )
    add("--config", metavar="FILE", type=file, help="who is here (TOML, see below)")
    add(
        "--strict",
        action="store_true",
        help="RFC 821 to the letter; else also what people type and today's mailers send",
    )
    add(
        "--terminal",
        action="store_true",
        help="show the mail of SEND, SOML and SAML here; else they are answered 502",
    )
    add("--transcript", action="store_true", help="show what is said, S: sender, R: receiver")
    add(
        "--connections",
        metavar="N",
        type=count,
        default=100,
        help="at most N at once (default: 100)",
    )
    add(
        "--idle",
        metavar="SECONDS",
        type=seconds,
        default=300.0,
        help="say 421 to a peer that is silent for so long (default: 300)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until told to stop."""
    logging.basicConfig(format="smtp821: %(message)s", level=logging.WARNING)
    users = _local_host(options.config, options.domain)
    store: Store = Discard() if options.discard else _maildir(options.maildir)
    dialogue = _Dialogue()
    with dialogue.lock:  # the address is to be the first line
        server = _server(options, users, store, dialogue)
        signalled = _signalled()
        show(address(*server.address))
    where = "kept nowhere" if options.discard else f"kept in {options.maildir}"
    say(f"smtp821 {__version__}: {users.domain} takes mail, which is {where}; Ctrl-C stops it")
    signalled.get()
    say("stopping: the mail in hand is finished first")
    server.stop()
    if isinstance(store, Discard):
        say(f"{store.messages} messages, {store.octets} octets")
    return 0


def _local_host(config: Path | None, domain: str | None) -> LocalHost:
    try:
        settings = tomllib.loads(config.read_text("utf-8")) if config else {}
        return LocalHost.from_config(settings, domain)
    except OSError as error:
        raise UsageError(f"cannot read {config}: {reason(error)}") from None
    except ValueError as error:  # of the TOML, its encoding, or what it says
        raise UsageError(f"{config}: {error}") from None


def _maildir(folder: Path) -> Maildir:
    """The Maildirs in a folder, after a try that keeps nothing."""
    maildir = Maildir(folder)
    try:
        maildir.begin(["postmaster"], b"").abort()
    except OSError as error:
        in_the_way = isinstance(error, FileExistsError)
        why = f"{error.filename} is no folder" if in_the_way else reason(error)
        raise UsageError(f"cannot keep mail in {folder}: {why}") from None
    return maildir


def _server(
    options: argparse.Namespace, users: LocalHost, store: Store, dialogue: _Dialogue
) -> Server:
    terminal = Terminal(sys.stdout) if options.terminal else None

    def handler(peer: str) -> LocalHandler:
        return LocalHandler(peer, users, store, terminal=terminal, strict=options.strict)

    try:
        return serve_sockets(
            handler,
            host=options.host,
            port=options.port,
            domain=users.domain.text,
            dialect=RFC821 if options.strict else RFC821_LENIENT,
            max_connections=options.connections,
            timeouts=Timeouts(receiver=options.idle),
            transcript=dialogue.line if options.transcript else None,
        )
    except OSError as error:
        why = reason(error).partition(" (while ")[0]  # what the socket module adds says nothing new
        where = address(options.host, options.port)
        raise UsageError(f"cannot listen at {where}: {why}") from None


def _signalled() -> queue.SimpleQueue[int]:
    """Gives the first SIGINT or SIGTERM; a second one ends the program at once."""
    signals = (signal.SIGINT, signal.SIGTERM)
    told: queue.SimpleQueue[int] = queue.SimpleQueue()  # a handler may put, whatever it interrupts

    def tell(number: int, _: object) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_DFL)
        told.put(number)

    for each in signals:
        signal.signal(each, tell)
    return told


class _Dialogue:
    """Shows what is said; a line with the peer's address comes before it when that changes."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._peer = ""

    def line(self, peer: str, line: str) -> None:
        """Show one line."""
        with self.lock:
            if peer != self._peer:
                show(f"-- {peer}")
            self._peer = peer
            show(line)


class Discard:
    """A store that counts messages and keeps nothing of them."""

    def __init__(self) -> None:
        self.messages = 0
        self.octets = 0
        self._lock = threading.Lock()

    def can_keep(self, mailbox: str) -> bool:
        """There is nothing to be kept."""
        return True

    def begin(self, mailboxes: Sequence[str], head: bytes) -> DiscardedDraft:
        """Begin a message."""
        return DiscardedDraft(self._count)

    def _count(self, octets: int) -> None:
        with self._lock:
            self.messages += 1
            self.octets += octets


class DiscardedDraft:
    """A message that is counted when it is complete."""

    def __init__(self, count: Callable[[int], None]) -> None:
        self._count = count
        self._octets = 0

    def write(self, data: bytes) -> None:
        """Count mail data."""
        self._octets += len(data)

    def commit(self) -> None:
        """Count the message."""
        self._count(self._octets)

    def abort(self) -> None:
        """Count nothing."""
