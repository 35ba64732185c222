"""Delivery to the terminal (3.4): whole messages, and nothing that does things to a terminal."""

from __future__ import annotations

import io
import threading
from typing import Final

import pytest

from smtp821.terminal import Terminal

HEAD: Final = b"Return-Path: <>\r\n"


def show(stream: io.TextIOBase, *data: bytes, mailboxes: tuple[str, ...] = ("smith",)) -> None:
    """Show a message."""
    draft = Terminal(stream).begin(mailboxes, HEAD)  # type: ignore[arg-type]
    for piece in data:
        draft.write(piece)
    draft.commit()


def shown(*data: bytes, mailboxes: tuple[str, ...] = ("smith",)) -> str:
    """What is shown of a message."""
    stream = io.StringIO()
    show(stream, *data, mailboxes=mailboxes)
    return stream.getvalue()


def test_a_message() -> None:
    """It is said whom it is for; then the message, and an empty line."""
    text = shown(b"Subject: x\r\n\r\n", b".dot\r\n", mailboxes=("smith", "jones"))
    assert text == "Message for smith, jones\nReturn-Path: <>\nSubject: x\n\n.dot\n\n"


def test_nothing_is_shown_before_the_end() -> None:
    """A message that is cut short, or refused, is never seen."""
    stream = io.StringIO()
    draft = Terminal(stream).begin(["smith"], HEAD)
    draft.write(b"Hello\r\n")
    assert stream.getvalue() == ""
    draft.abort()
    draft.abort()
    assert stream.getvalue() == ""


def test_abort_behind_commit_changes_nothing() -> None:
    """What is shown is shown."""
    stream = io.StringIO()
    draft = Terminal(stream).begin(["smith"], HEAD)
    draft.commit()
    draft.abort()
    assert stream.getvalue() == "Message for smith\nReturn-Path: <>\n\n"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\x1b[2J\x07", "?[2J?"),
        (b"bare\rCR", "bare?CR"),
        (b"a\tb\nc", "a\tb\nc"),
        (b"\0\x7f\x9b\xff", "????"),
        (b"caf\xc3\xa9", "caf??"),
        (bytes(range(0x20, 0x7F)), bytes(range(0x20, 0x7F)).decode()),
    ],
)
def test_what_could_do_things_to_a_terminal(data: bytes, text: str) -> None:
    """Everything but printable ASCII, TAB and line ends is a question mark."""
    assert shown(data) == f"Message for smith\nReturn-Path: <>\n{text}\n"


def test_hostile_names() -> None:
    """The names of users are not trusted either."""
    assert shown(mailboxes=("\x1b[2J", "caf\xe9")).startswith("Message for ?[2J, caf??\n")


def test_any_encoding_will_do() -> None:
    """A terminal that knows ASCII alone shows every message."""
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding="ascii")
    show(stream, b"caf\xc3\xa9\r\n")
    assert buffer.getvalue() == b"Message for smith\nReturn-Path: <>\ncaf??\n\n"
    stream.close()


def test_a_large_message() -> None:
    """A message that is too large for memory waits on the disk, and is shown as any other."""
    line = b"0123456789" * 7 + b"\r\n"
    text = shown(*[line * 1000] * 40)
    assert (
        text == "Message for smith\nReturn-Path: <>\n" + (line.decode()[:-2] + "\n") * 40_000 + "\n"
    )


class Gone(io.StringIO):
    """A terminal that has been hung up."""

    def write(self, text: str) -> int:
        """Nobody is there."""
        raise BrokenPipeError("hung up")


def test_a_terminal_that_is_gone() -> None:
    """What cannot be shown is an OSError, which decides the reply to SEND (3.4)."""
    draft = Terminal(Gone()).begin(["smith"], HEAD)
    with pytest.raises(BrokenPipeError):
        draft.commit()
    draft.abort()


class Busy(io.StringIO):
    """A terminal at which another message comes while the first is being shown."""

    other: threading.Thread | None = None

    def write(self, text: str) -> int:
        """Write; in the middle of the first text, let the other message come."""
        super().write(text[:5])
        if (other := self.other) is not None:
            self.other = None
            other.start()
            other.join(0.05)  # which it uses, if it can
        super().write(text[5:])
        return len(text)


def test_messages_do_not_mix() -> None:
    """Of messages that come at once each is shown whole."""
    stream = Busy()
    terminal = Terminal(stream)
    first, second = (terminal.begin([name], b"") for name in ("smith", "jones"))
    other = stream.other = threading.Thread(target=second.commit)
    first.commit()
    other.join()
    assert stream.getvalue() == "Message for smith\n\nMessage for jones\n\n"


def test_everybody_can_be_shown_mail() -> None:
    """There is one terminal, and everybody is at it."""
    assert Terminal(io.StringIO()).can_keep("x" * 1000)
