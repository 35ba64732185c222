"""The command line: `smtp821 serve` receives mail, `smtp821 send` sends it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from . import __version__
from .cli import send, serve
from .cli.arguments import Parser, UsageError
from .cli.output import finish, say

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit status. An error of use is one line on stderr, and 2."""
    parser = Parser(
        prog="smtp821",
        description="RFC 821 (SMTP, August 1982): a server that takes mail, a client that sends it",
        epilog="'smtp821 serve --help' and 'smtp821 send --help' say more.",
    )
    parser.add_argument("--version", action="version", version=f"smtp821 {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="serve|send")
    serve.add_parser(commands)
    send.add_parser(commands)
    try:
        options = parser.parse_args(arguments)
        return _run(options)
    finally:
        finish()


def _run(options: argparse.Namespace) -> int:
    try:
        status: int = options.run(options)
    except UsageError as error:
        line = " ".join(str(error).splitlines())
        say(f"smtp821 {options.command}: {line}")
        return 2
    except KeyboardInterrupt:
        say(f"smtp821 {options.command}: interrupted")
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
