"""The programs in examples/ run, and do what they say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"

# For each program: what it is given, and what it prints.
RUNS = {
    "inetd.py": (
        b"HELO here.example\r\nMAIL FROM:<me@here.example>\r\nRCPT TO:<user@local.example>\r\n"
        b"VRFY user\r\nQUIT\r\n",
        b"220 local.example Simple Mail Transfer Service Ready\r\n"
        b"250 local.example\r\n"
        b"250 OK\r\n"
        b"550 No such user here\r\n"
        b"502 Command not implemented\r\n"
        b"221 local.example Service closing transmission channel\r\n",
    ),
    "asyncio_inbox.py": (
        b"",
        b"<me@here.example> Subject: number 0\n"
        b"<me@here.example> Subject: number 1\n"
        b"<me@here.example> Subject: number 2\n",
    ),
    "trio_fan_out.py": (
        b"",
        b"one: 250 OK\ntwo: 250 OK\nstrict: 550 No such user here\nsilent: no answer in time\n",
    ),
    "poll.py": (
        b"",
        b"HOSTX says TURN: 502 Command not implemented\n"
        b"ISI has received: for <Jones@ISI.ARPA>: Subject: hi\n"
        b"HOSTY has received: for <Smith@HOSTY.ARPA>: Subject: hello\n"
        b"HOSTY says TURN: 250 OK\n"
        b"still waiting: []\n",
    ),
    "catch_mail.py": (
        b"",
        b"from <me@here.example> to <user@local.example> <other@local.example>\n"
        b"Subject: hello\r\n\r\n.A line that begins with a dot.\r\n",
    ),
}


@pytest.mark.parametrize("program", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_example(program: str) -> None:
    """The program ends well, and prints exactly what is expected."""
    given, printed = RUNS[program]
    run = subprocess.run(
        [sys.executable, str(EXAMPLES / program)],
        input=given,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (run.returncode, run.stderr, run.stdout) == (0, b"", printed)
