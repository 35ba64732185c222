"""What fuzzing begins with: the dialogues of Appendix F, and the examples of the grammar."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from smtp821.testing.transcripts import Dialogue, Role

FOLDER: Final = Path(__file__).parent.parent / "data"
PRODUCTIONS: Final = ("domain", "mailbox", "path", "reverse-path", "forward-path")


@cache
def _data(name: str) -> Any:
    return json.loads((FOLDER / name).read_text("utf-8"))


def _sessions() -> Iterator[dict[str, Any]]:
    for scenario in _data("scenarios.json")["scenarios"]:
        yield from scenario["sessions"]


def client_streams() -> Iterator[bytes]:
    """What the sender-SMTP says in each scenario, and in each dialogue at a telnet window."""
    for session in _sessions():
        yield session["wire_client_bytes"].encode()
    for dialogue in _data("scenarios.json")["telnet_dialogues"]:
        lines = [line[3:] for line in dialogue["lines"] if line.startswith("C:")]
        yield "".join(f"{line}\r\n" for line in lines).encode()


def server_streams(turn: bytes) -> Iterator[bytes]:
    """What the receiver-SMTP says in each scenario, with `turn` between its replies."""
    for session in _sessions():
        replies, lines = [], []
        for line in session["server_bytes"].splitlines(keepends=True):
            lines.append(line)
            if line[3:4] != "-":
                replies.append("".join(lines).encode())
                lines = []
        yield turn.join(replies)


def transcripts() -> Iterator[bytes]:
    """Each scenario as it is printed: all of the one side, then all of the other."""
    for session in _sessions():
        said = ((Role.SENDER, "wire_client_bytes"), (Role.RECEIVER, "server_bytes"))
        yield str(Dialogue.of((role, session[key].encode()) for role, key in said)).encode()
    for session in _sessions():
        yield session["server_bytes"].encode()  # is none


def command_texts() -> Iterator[bytes]:
    """Paths and their parts, and command lines without CRLF: valid ones, and others."""
    for name, examples in _data("grammar_examples.json")["productions"].items():
        if name in PRODUCTIONS or name.startswith("command:"):
            for text in (*examples["valid"], *examples["invalid"]):
                yield text.removesuffix("\r\n").encode()
