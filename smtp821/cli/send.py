"""`smtp821 send`: send a message, and say what became of each recipient."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any, BinaryIO

from ..delivery import Delivery, RecipientResult, SessionRefused, Status, status_of
from ..protocol.dialect import RFC821, RFC821_LENIENT
from ..protocol.errors import LocalProtocolError, RemoteProtocolError, SMTPError
from ..protocol.paths import Path
from ..sockets import Client
from .arguments import UsageError, path, port, seconds

__all__ = ["add_parser", "run"]

_DESCRIPTION = """\
Send one message to its recipients at one host, and print what became of each: a line with the
reply of the server, or with --json one object for all.

The message is sent as it is, header and body; only its line ends are made CRLF.
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
    add("--from", dest="reverse_path", type=path, required=True, metavar="PATH",
        help="reverse-path, to which notifications go; <> for none")  # fmt: skip
    add("--to", dest="forward_paths", type=path, required=True, metavar="PATH", action="append",
        help="a recipient; give it again for each of them")  # fmt: skip
    add("--host", default="127.0.0.1", help="the server (default: %(default)s)")
    add("--port", type=port, default=25, help="its port (default: %(default)s)")
    add("--helo", metavar="DOMAIN", help="the name of this host (default: what the system says)")
    add("--timeout", type=seconds, default=300.0, metavar="SECONDS",
        help="for the server to answer (default: 300)")  # fmt: skip
    add("--strict", action="store_true", help="RFC 821 to the letter: 7-bit, lines within 1000")
    add("--json", action="store_true", help="print one JSON object")
    add("--transcript", action="store_true", help="show what is said on standard error")
    add("message", metavar="FILE", nargs="?", default="-",
        help="the message; - is standard input (default)")  # fmt: skip
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Send the message; gives the exit status."""
    error: Exception | None = None
    try:
        with _opened(options.message) as file:
            delivery = _send(options, file)
    except LocalProtocolError as wrong:
        raise UsageError(str(wrong)) from None
    except (SMTPError, OSError) as reason:
        error = reason
        delivery = _no_session(options.forward_paths, reason)
    if options.json:
        print(json.dumps(_as_object(delivery, error), indent=2))
    else:
        _print(delivery, error, f"{options.host}:{options.port}")
    return {Status.ACCEPTED: 0, Status.PARTIAL: 1}.get(delivery.status, 2)


def _send(options: argparse.Namespace, file: BinaryIO) -> Delivery:
    client = Client(
        options.host,
        options.port,
        helo=options.helo,
        dialect=RFC821 if options.strict else RFC821_LENIENT,
        timeout=options.timeout,
        transcript=_say if options.transcript else None,
    )
    with client:
        return client.send(options.reverse_path, options.forward_paths, file)


@contextlib.contextmanager
def _opened(name: str) -> Iterator[Any]:
    """The message, with its progress shown if it is large and somebody is there to see it."""
    if name == "-":
        yield sys.stdin.buffer
        return
    with contextlib.ExitStack() as stack:
        try:
            file: Any = stack.enter_context(FilePath(name).open("rb"))
        except OSError as error:
            raise UsageError(f"cannot read {name}: {error.strerror}") from None
        size = FilePath(name).stat().st_size
        yield _Progress(file, size) if size >= _LARGE and sys.stderr.isatty() else file


class _Progress:
    """A file that says how much of it was read."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size, self._percent = file, size, -1
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        percent = 100 * self._file.tell() // self._size
        if percent != self._percent:
            self._percent = percent
            end = "\n" if not data else ""
            print(f"\r{percent:3}% of {self._size} octets", end=end, file=sys.stderr, flush=True)
        return data


def _no_session(paths: list[Path], error: Exception) -> Delivery:
    reply = error.reply if isinstance(error, SessionRefused) else None
    if reply is not None:
        status = status_of(reply)
    else:
        status = Status.PROTOCOL if isinstance(error, RemoteProtocolError) else Status.TEMPORARY
    return Delivery(tuple(RecipientResult(path, status, reply, error) for path in paths))


def _as_object(delivery: Delivery, error: Exception | None) -> dict[str, Any]:
    return {
        "outcome": delivery.status.value,
        "error": str(error) if error else None,
        "recipients": [
            {
                "path": str(result.path),
                "outcome": result.status.value,
                "code": result.reply.code if result.reply else None,
                "text": result.reply.text if result.reply else str(result.error),
                "forward_path": str(result.forward_path) if result.forward_path else None,
            }
            for result in delivery.recipients
        ],
    }


def _print(delivery: Delivery, error: Exception | None, server: str) -> None:
    if error is not None:
        _say(f"smtp821 send: no session with {server}: {error}")
    for result in delivery.recipients:
        print(f"{result.path}: {result.status}, {result.reply or result.error}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
