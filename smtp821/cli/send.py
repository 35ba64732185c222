"""`smtp821 send`: send a message, and say what became of each recipient."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import ssl
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

from ..delivery import Delivery, Status, no_session
from ..protocol.dialect import RFC821, RFC821_LENIENT
from ..protocol.errors import LocalProtocolError, SMTPError
from ..protocol.paths import Path
from ..timeouts import Timeouts
from .adapters import ADAPTERS, send
from .arguments import UsageError, domain, file, forward_path, host, port, reverse_path, seconds
from .output import address, reason, say, show

__all__ = ["add_parser", "run"]

_DESCRIPTION = """\
Send one message to its recipients at one host, and print what became of each: a line with the
reply of the server, or with --json one object for all.

The message is sent as it is, header and body; only its line ends are made CRLF. At a terminal,
how far it is shows if it is large.
"""

_EPILOG = """\
exit status:
  0  accepted for all recipients
  1  accepted for some
  2  accepted for none, or there was no session, or the command was wrong

the object of --json:
  outcome     accepted, partial, temporary (try again later), permanent, or protocol (the server
              does not keep the protocol)
  error       why there was no session, or null
  recipients  a list of: path, outcome, code, text, forward_path (where the recipient is now, by
              a reply 251 or 551, or null)

example:
  smtp821 send --from '<me@here.example>' --to '<user@local.example>' --port 8025 message.txt
"""

_LARGE = 1 << 20  # octets from which on progress is shown


def add_parser(commands: Any) -> None:
    """Add the command to the parser of the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "send",
        help="send mail",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--from", dest="reverse_path", type=reverse_path, required=True, metavar="PATH",
        help="reverse-path, to which notifications go; <> for none")  # fmt: skip
    add("--to", dest="forward_paths", type=forward_path, required=True, metavar="PATH",
        action="append", help="a recipient; give it again for each of them")  # fmt: skip
    add("--host", type=host, default="127.0.0.1", help="the server (default: %(default)s)")
    add("--port", type=port, default=25, help="its port (default: %(default)s)")
    add("--helo", type=domain, metavar="DOMAIN",
        help="the name of this host (default: what the system says)")  # fmt: skip
    add("--timeout", type=seconds, metavar="SECONDS",
        help="for the server to answer (default: 2 to 10 minutes, as RFC 1123 has it)")  # fmt: skip
    add("--adapter", choices=ADAPTERS, default="sockets",
        help="what the session runs on (default: %(default)s)")  # fmt: skip
    add("--follow", action="store_true",
        help="where a recipient has moved (551), send to the host of the new path")  # fmt: skip
    add("--tls", action="store_true", help="speak TLS from the first octet on")
    add("--tls-ca", metavar="FILE", type=file,
        help="trust these certificates (PEM), instead of the system's")  # fmt: skip
    add("--strict", action="store_true", help="RFC 821 to the letter: 7-bit, lines within 1000")
    add("--json", action="store_true", help="print one JSON object")
    add("--transcript", action="store_true", help="show what is said on standard error")
    add("message", metavar="FILE", nargs="?", default="-",
        help="the message; - is standard input (default)")  # fmt: skip
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Send the message; gives the exit status."""
    problem: Exception | None = None
    try:
        with contextlib.closing(_File(options.message, quiet=options.transcript)) as message:
            delivery = _send(options, message)
    except LocalProtocolError as wrong:
        raise UsageError(str(wrong)) from None
    except (SMTPError, OSError) as error:
        problem = error
        delivery = no_session(options.forward_paths, error)
    if options.json:
        show(json.dumps(_as_object(delivery, problem), indent=2))
    else:
        _print(delivery, problem, address(options.host, options.port))
    return {Status.ACCEPTED: 0, Status.PARTIAL: 1}.get(delivery.status, 2)


def _send(options: argparse.Namespace, message: Any) -> Delivery:
    settings = {
        "host": options.host,
        "port": options.port,
        "helo": options.helo,
        "dialect": RFC821 if options.strict else RFC821_LENIENT,
        "timeouts": Timeouts.all(options.timeout) if options.timeout else Timeouts(),
        "tls": _tls(options),
        "transcript": say if options.transcript else None,
    }
    follow = partial(_host_of, port=options.port) if options.follow else None

    def deliver(client: Any) -> Any:
        return client.send(options.reverse_path, options.forward_paths, message, follow=follow)

    return send(options.adapter, settings, deliver)


def _host_of(path: Path, port: int) -> tuple[str, int] | None:
    """Where a recipient is to be found: the first host of the path, at the same port (3.6)."""
    hosts = [*path.route, *([path.mailbox.domain] if path.mailbox else [])]
    name = hosts[0].text.strip("[]") if hosts else ""
    return None if not name or name.startswith("#") else (name, port)


def _tls(options: argparse.Namespace) -> ssl.SSLContext | None:
    try:
        return ssl.create_default_context(cafile=options.tls_ca) if options.tls else None
    except OSError as error:
        raise UsageError(f"cannot use {options.tls_ca}: {reason(error)}") from None


class _File:
    """The message as a binary file: the part of one that `Client.send` needs.

    If it is large and somebody is there to see it, it shows how much of it was read. Raises
    UsageError where it cannot be read.
    """

    def __init__(self, name: str, *, quiet: bool) -> None:
        self._name = "standard input" if name == "-" else name
        source = 0 if name == "-" else name
        with self._reading():
            self._file = open(source, "rb", buffering=0, closefd=name != "-")  # noqa: SIM115
        self.seekable, self.tell, self.seek = self._file.seekable, self._file.tell, self._file.seek
        self._size = os.fstat(self._file.fileno()).st_size
        self._watched = not quiet and self._size >= _LARGE and sys.stderr.isatty()
        self._percent = -1

    def read(self, size: int) -> bytes:
        """What comes next, of at most this size, as soon as it is there; b"" at the end."""
        with self._reading():
            data = self._file.read(size)
        if self._watched:
            self._show_progress()
        return data

    def close(self) -> None:
        """Close the file, and end the line of the progress."""
        self._file.close()
        if self._percent >= 0:
            say("")

    def _show_progress(self) -> None:
        percent = 100 * self.tell() // self._size
        if percent != self._percent:
            self._percent = percent
            say(f"\r{percent:3}% of {self._size} octets", end="")

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UsageError(f"cannot read {self._name}: {reason(error)}") from None


def _as_object(delivery: Delivery, problem: Exception | None) -> dict[str, Any]:
    return {
        "outcome": delivery.status.value,
        "error": reason(problem) if problem else None,
        "recipients": [
            {
                "path": str(result.path),
                "outcome": result.status.value,
                "code": result.reply.code if result.reply else None,
                "text": result.reply.text if result.reply else reason(result.error),
                "forward_path": str(result.forward_path) if result.forward_path else None,
            }
            for result in delivery.recipients
        ],
    }


def _print(delivery: Delivery, problem: Exception | None, server: str) -> None:
    if problem is not None:
        say(f"smtp821 send: no session with {server}: {reason(problem)}")
    for result in delivery.recipients:
        said = str(result.reply) if result.reply else reason(result.error)
        show(f"{result.path}: {result.status}, {' '.join(said.splitlines())}")
