"""The programs in examples/ run, and do what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"

# The time in a Received line, in place of which the table has "NOW".
TIME = re.compile(rb"(?<= ; )\d+ \w+ \d+ \d\d:\d\d:\d\d [+-]\d{4}")

# For each program: its arguments, what it is given, and what it prints.
RUNS = {
    "inetd.py": (
        [],
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
        [],
        b"",
        b"<me@here.example> Subject: number 0\n"
        b"<me@here.example> Subject: number 1\n"
        b"<me@here.example> Subject: number 2\n",
    ),
    "trio_fan_out.py": (
        [],
        b"",
        b"one: 250 OK\ntwo: 250 OK\nstrict: 550 No such user here\nsilent: no answer in time\n",
    ),
    "poll.py": (
        [],
        b"",
        b"HOSTX says TURN: 502 Command not implemented\n"
        b"ISI has received: for <Jones@ISI.ARPA>: Subject: hi\n"
        b"HOSTY has received: for <Smith@HOSTY.ARPA>: Subject: hello\n"
        b"HOSTY says TURN: 250 OK\n"
        b"still waiting: []\n",
    ),
    "catch_mail.py": (
        [],
        b"",
        b"from <me@here.example> to <user@local.example> <other@local.example>\n"
        b"Subject: hello\r\n\r\n.A line that begins with a dot.\r\n",
    ),
    "relay.py": (
        ["--demo"],
        b"",
        b"Return-Path: <@USC-ISIE.ARPA:JQP@MIT-AI.ARPA>\n"
        b"Received: from USC-ISIE.ARPA by BBN-VAX.ARPA with SMTP ; NOW\n"
        b"Received: from MIT-AI.ARPA by USC-ISIE.ARPA with SMTP ; NOW\n"
        b"Date: 2 Nov 81 22:33:44\n"
        b"From: John Q. Public <JQP@MIT-AI.ARPA>\n"
        b"Subject:  The Next Meeting of the Board\n"
        b"To: Jones@BBN-Vax.ARPA\n"
        b"\n"
        b"Bill:\n"
        b"The next meeting of the board of directors will be\n"
        b"on Tuesday.\n"
        b"                                             John.\n",
    ),
}


@pytest.mark.parametrize("program", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_example(program: str) -> None:
    """The program ends well, and prints exactly what is expected."""
    arguments, given, printed = RUNS[program]
    run = subprocess.run(
        [sys.executable, str(EXAMPLES / program), *arguments],
        input=given,
        capture_output=True,
        timeout=30,
        check=False,
    )
    output = TIME.sub(b"NOW", run.stdout)
    assert (run.returncode, run.stderr, output) == (0, b"", printed)
