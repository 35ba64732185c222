"""Count the calls that a command costs: `python docs/calls.py` writes docs/calls.md anew.

Time depends on the machine, the number of calls does not. A test holds the committed page against
what is counted, so that whoever adds a call to the way of every command sees it, and says why.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import smtp821
from smtp821 import (
    NEED_DATA,
    RFC821_LENIENT,
    Closed,
    Data,
    Handler,
    Helo,
    Mail,
    MailData,
    Noop,
    Quit,
    Rcpt,
    Receiver,
    Sender,
)
from smtp821.conversation import Conversation

PAGE = Path(__file__).with_name("calls.md")
PACKAGE = str(Path(smtp821.__file__).parent)
GENERATED = "<attrs generated"

_PAGE = """\
# What a command costs, in calls

Counted by `python docs/calls.py`; not to be edited. Each table has the functions of this package
that run for one command and its reply, in their order, those that attrs has made among them; what
C does (searching bytes, matching a pattern, dictionaries) is not in it. A handler that answers at
once, with the ordinary reply, is asked.

{tables}
"""

SESSION = (
    ("HELO", b"HELO here.example\r\n"),
    ("NOOP", b"NOOP\r\n"),
    ("MAIL", b"MAIL FROM:<me@here.example>\r\n"),
    ("RCPT", b"RCPT TO:<user@local.example>\r\n"),
    ("DATA", b"DATA\r\n"),
    ("a message in one read", b"Subject: hello\r\n\r\nHello.\r\n.\r\n"),
    ("QUIT", b"QUIT\r\n"),
)


class Taking(Handler):
    """Takes all mail."""

    def rcpt(self, command: Rcpt) -> None:
        """Everybody is known here."""

    def mail_data(self, event: MailData) -> None:
        """It is kept nowhere."""

    def end_of_data(self, event: object) -> None:
        """It is taken."""


def page() -> str:
    """The whole page, in Markdown."""
    parts = (
        ("A Receiver: `receive_data`, `next_event`, `accept`, `data_to_send`", _receiver),
        ("A Conversation: the same with its handler, as a server drives it", _conversation),
        ("A Sender: `send`, `data_to_send`, `receive_data`, `next_event`", _sender),
    )
    for _, rows in parts:
        list(rows())  # what is made only once is made now
    return _PAGE.format(tables="\n".join(_table(title, list(rows())) for title, rows in parts))


def calls_of(work: Callable[[], object]) -> list[str]:
    """The functions of this package that run, in their order."""
    found: list[str] = []

    def look(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith((PACKAGE, GENERATED)):
            found.append(code.co_qualname)

    sys.setprofile(look)
    try:
        work()
    finally:
        sys.setprofile(None)
    return found


def _table(title: str, rows: list[tuple[str, list[str]]]) -> str:
    lines = [f"## {title}\n", "| | calls | which |", "| --- | --- | --- |"]
    lines += [f"| {name} | {len(calls)} | {' '.join(calls)} |" for name, calls in rows]
    return "\n".join(lines) + "\n"


def _receiver() -> Iterator[tuple[str, list[str]]]:
    receiver = Receiver("local.example", RFC821_LENIENT)

    def go(data: bytes) -> None:
        receiver.receive_data(data)
        while (event := receiver.next_event()) is not NEED_DATA and not isinstance(event, Closed):
            if not isinstance(event, MailData):
                receiver.accept()
        receiver.data_to_send()

    receiver.next_event()
    receiver.accept()
    return _rows(go)


def _conversation() -> Iterator[tuple[str, list[str]]]:
    conversation = Conversation(Taking("peer"), Receiver("local.example", RFC821_LENIENT))

    def go(data: bytes) -> None:
        conversation.receive_data(data)
        conversation.advance()
        conversation.data_to_send()

    conversation.advance()
    return _rows(go)


def _rows(go: Callable[[bytes], None]) -> Iterator[tuple[str, list[str]]]:
    """The rows of a session."""
    for name, data in SESSION:
        yield name, calls_of(lambda data=data: go(data))  # type: ignore[misc]


def _sender() -> Iterator[tuple[str, list[str]]]:
    sender = Sender()

    def go(say: Callable[[], None], reply: bytes) -> None:
        say()
        sender.data_to_send()
        sender.receive_data(reply)
        sender.next_event()
        sender.next_event()

    def message() -> None:
        sender.send_data(b"Subject: hello\r\n\r\nHello.\r\n")
        sender.end_data()

    commands = [Helo("a.b"), Noop(), Mail("<me@a.b>"), Rcpt("<user@c.d>"), Data()]
    steps: list[tuple[str, Callable[[], None], bytes]] = [
        (command.verb.value, lambda command=command: sender.send(command), b"250 OK\r\n")  # type: ignore[misc]
        for command in commands[:-1]
    ]
    steps.append(("DATA", lambda: sender.send(commands[-1]), b"354 go\r\n"))
    steps.append(("a message in one read", message, b"250 OK\r\n"))
    go(lambda: None, b"220 ready\r\n")
    for name, say, reply in [*steps, ("QUIT", lambda: sender.send(Quit()), b"221 bye\r\n")]:
        yield name, calls_of(lambda say=say, reply=reply: go(say, reply))  # type: ignore[misc]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
