"""`smtp821 serve`: a receiver-SMTP for the users of one host."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import ssl
import sys
import threading
import tomllib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from .. import __version__
from ..host import listen
from ..local_handler import LocalHandler, Store
from ..local_host import LocalHost
from ..maildir import Maildir
from ..protocol.dialect import RFC821, RFC821_LENIENT
from ..service import GRACE
from ..terminal import Terminal
from ..timeouts import Timeouts
from .adapters import ADAPTERS, handler_class, serve
from .arguments import UsageError, count, domain, file, host, port, seconds
from .output import address, reason, say, show
from .workers import Signalled, catch_signals, supervise

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
the mail in hand finish, says 421 to the rest, and ends; a second one ends at once. The processes
of --workers accept at the same socket; one that ends by itself is replaced.

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
    add("--host", type=host, default="127.0.0.1",
        help="address to listen at (default: %(default)s)")  # fmt: skip
    add("--port", type=port, default=8025, help="port; 0 picks one (default: %(default)s)")
    add("--domain", type=domain, help="the name of this host (default: localhost)")
    store = parser.add_mutually_exclusive_group()
    store.add_argument("--maildir", metavar="DIR", type=file, default=Path("mail"),
        help="folder of the Maildirs, one for each user (default: ./mail)")  # fmt: skip
    store.add_argument("--discard", action="store_true",
        help="accept and count mail, and keep nothing of it")  # fmt: skip
    add("--config", metavar="FILE", type=file, help="who is here (TOML, see below)")
    add("--strict", action="store_true",
        help="RFC 821 to the letter; else also what people and today's mailers send")  # fmt: skip
    add("--terminal", action="store_true",
        help="show the mail of SEND, SOML and SAML here; else they are answered 502")  # fmt: skip
    add("--transcript", action="store_true", help="show what is said, S: sender, R: receiver")
    _add_bounds(parser.add_argument_group("bounds"))
    _add_operation(parser.add_argument_group("how it runs"))
    parser.set_defaults(run=run)


def _add_bounds(group: Any) -> None:
    add = group.add_argument
    add("--connections", metavar="N", type=count,
        help="at most N at once, in each worker (default: 100; asyncio, trio: 1000)")  # fmt: skip
    add("--per-peer", metavar="N", type=count, help="at most N at once from one address")
    add("--recipients", metavar="N", type=count,
        help="at most N in one transaction; one more is answered 552")  # fmt: skip
    add("--size", metavar="OCTETS", type=count,
        help="of a message; a larger one is answered 552 (default: any size)")  # fmt: skip
    add("--errors", metavar="N", type=count,
        help="say 421 after N refused commands in one session (default: never)")  # fmt: skip
    add("--idle", metavar="SECONDS", type=seconds, default=300.0,
        help="say 421 to a peer that is silent for so long (default: 300)")  # fmt: skip


def _add_operation(group: Any) -> None:
    add = group.add_argument
    add("--adapter", choices=ADAPTERS, default="sockets",
        help="threads, or an event loop (default: sockets)")  # fmt: skip
    add("--workers", metavar="N", type=count, default=1,
        help="processes that share the port (default: 1)")  # fmt: skip
    add("--grace", metavar="SECONDS", type=seconds, default=GRACE,
        help="for the mail in hand, when told to stop (default: 30)")  # fmt: skip
    add("--tls-certificate", metavar="FILE", type=file,
        help="speak TLS from the first octet on, with this chain (PEM)")  # fmt: skip
    add("--tls-key", metavar="FILE", type=file, help="its key, if it is in a file of its own")


def run(options: argparse.Namespace) -> int:
    """Serve until told to stop."""
    logging.basicConfig(format="smtp821: %(message)s", level=logging.WARNING)
    users = _local_host(options.config, options.domain)
    tls = _tls(options)
    store: Store = Discard() if options.discard else _maildir(options.maildir)
    listener = _listener(options)
    dialogue = _Dialogue()
    settings = _settings(options, users, dialogue) | {"listener": listener, "tls": tls}
    handler = _handler(options, users, store)

    def begun() -> None:
        show(address(*listener.getsockname()[:2]))
        where = "kept nowhere" if options.discard else f"kept in {options.maildir}"
        say(f"smtp821 {__version__}: {users.domain} takes mail, which is {where}; Ctrl-C stops it")

    def stopping() -> None:
        say("stopping: the mail in hand is finished first")

    def work(signalled: Signalled, told: Callable[[], object]) -> int:
        """Serve, in this process, until told to stop."""

        def wait() -> None:
            signalled.get()
            told()

        serve(options.adapter, handler, settings, wait, options.grace)
        if isinstance(store, Discard):
            say(f"{store.messages} messages, {store.octets} octets")
        return 0

    if options.workers > 1:
        if not hasattr(os, "fork"):
            raise UsageError("--workers needs a system that can fork")
        worker = partial(work, told=lambda: None)
        return supervise(options.workers, worker, begun, stopping)
    signalled = catch_signals(signal.SIGINT, signal.SIGTERM)
    begun()
    return work(signalled, stopping)


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


def _tls(options: argparse.Namespace) -> ssl.SSLContext | None:
    if options.tls_certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(options.tls_certificate, options.tls_key)
    except OSError as error:
        raise UsageError(f"cannot use {options.tls_certificate}: {reason(error)}") from None
    return context


def _listener(options: argparse.Namespace) -> socket.socket:
    where = options.host, options.port
    try:
        return listen(*where)
    except OSError as error:
        why = reason(error).partition(" (while ")[0]  # what the socket module adds says nothing new
        raise UsageError(f"cannot listen at {address(*where)}: {why}") from None


def _settings(options: argparse.Namespace, users: LocalHost, dialogue: _Dialogue) -> dict[str, Any]:
    """What the adapter is to keep to."""
    dialect = RFC821 if options.strict else RFC821_LENIENT
    wanted = {"recipients": options.recipients, "message": options.size, "errors": options.errors}
    bounds = {name: bound for name, bound in wanted.items() if bound is not None}
    settings = {
        "domain": users.domain.text,
        "dialect": attrs.evolve(dialect, limits=attrs.evolve(dialect.limits, **bounds)),
        "max_per_peer": options.per_peer,
        "timeouts": Timeouts(receiver=options.idle),
        "transcript": dialogue.line if options.transcript else None,
    }
    if options.connections is not None:
        settings["max_connections"] = options.connections
    return settings


def _handler(
    options: argparse.Namespace, users: LocalHost, store: Store
) -> Callable[[str], LocalHandler]:
    terminal = Terminal(sys.stdout) if options.terminal else None
    made = LocalHandler if options.discard else handler_class(options.adapter)
    return partial(made, host=users, store=store, terminal=terminal, strict=options.strict)


class _Dialogue:
    """Shows what is said; a line with the peer's address comes before it when that changes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._peer = ""

    def line(self, peer: str, line: str) -> None:
        """Show one line."""
        with self._lock:
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
