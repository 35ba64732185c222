"""Receivers and Senders with a mistake each, that a search or a comparison has to find.

They spoil what goes in or comes out, by what is public; each is the library but for one thing.
"""

from __future__ import annotations

import attrs

from smtp821 import (
    RFC821,
    Closed,
    Command,
    Dialect,
    Event,
    MailData,
    Pause,
    Policy,
    Receiver,
    Rejected,
    Replied,
    Reply,
    Sender,
    State,
    Turned,
    Verb,
)


class DropsADot(Receiver):
    """Takes a dot away where there is none to take."""

    def next_event(self) -> Event | Pause:
        """The event, mail data spoilt."""
        event = super().next_event()
        if isinstance(event, MailData) and event.data.startswith(b"a."):
            return MailData(b"a" + event.data[2:])
        return event


class RepliesTwice(Receiver):
    """Says everything twice."""

    def data_to_send(self) -> bytes:
        """The replies, doubled."""
        return super().data_to_send() * 2


class RepliesNever(Receiver):
    """Says nothing."""

    def data_to_send(self) -> bytes:
        """What is to be sent, thrown away."""
        super().data_to_send()
        return b""


class EndsAtALoneLF(Receiver):
    """Takes CR LF dot LF for the end of mail data."""

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Read with another end."""
        super().receive_data(bytes(data).replace(b"\r\n.\n", b"\r\n.\r\n"))


class EndsBetweenLFs(Receiver):
    """Takes LF dot LF for the end of mail data."""

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Read with another end."""
        super().receive_data(bytes(data).replace(b"\n.\n", b"\r\n.\r\n"))


class EndsLinesAtCR(Receiver):
    """Takes a CR for the end of a command."""

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Read a CR at the end of a piece as CRLF."""
        whole = bytes(data)
        if self.state is not State.DATA and whole.endswith(b"\r"):
            whole += b"\n"
        super().receive_data(whole)


class MissesAnLF(Receiver):
    """Reads an LF that comes by itself as a blank."""

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Read something else."""
        super().receive_data(b" " if bytes(data) == b"\n" else data)


class ForgetsToClear(Receiver):
    """Shows the envelope of the message that is over."""

    last = None

    @property
    def envelope(self):  # type: ignore[no-untyped-def]
        """The envelope in hand, or the last one."""
        found = super().envelope
        if found is not None:
            self.last = found
        return self.last


class LivesOn(Receiver):
    """Does not notice the end of file."""

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Read on."""
        if data:
            super().receive_data(data)


class SpeaksWhenCut(Receiver):
    """Reads what it had begun to read as a command, at the end of file."""

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Read the rest as a line."""
        if not data:
            super().receive_data(b"\r\n")
        super().receive_data(data)


class DoublesNoDot(Sender):
    """Leaves dots as they are."""

    def data_to_send(self) -> bytes:
        """What is to be sent, undoubled."""
        return super().data_to_send().replace(b"..", b".")


class DoublesDotsBehindLF(Sender):
    """Doubles a dot that is first behind an LF, too."""

    at = b""

    def send_data(self, chunk: bytes | bytearray | memoryview) -> None:
        """Say a dot more."""
        data = bytes(chunk)
        super().send_data(b".." if data == b"." and self.at == b"a\n" else data)
        self.at = (self.at + data)[-2:]


class EndsWithoutCRLF(Sender):
    """Says nothing but a dot at the end."""

    def data_to_send(self) -> bytes:
        """What is to be sent, but for the CRLF before the end."""
        data = super().data_to_send()
        return data[2:] if data == b"\r\n.\r\n" else data


class BelievesTooSoon(Sender):
    """Takes a code for a whole reply."""

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Put an end to what has none."""
        whole = bytes(data)
        super().receive_data(whole + b"\r\n" if whole[-1:].isdigit() and len(whole) == 3 else whole)


class Repeats(Sender):
    """Says each command twice."""

    said = False

    def send(self, command: Command) -> None:
        """Say it, and let it be said again."""
        super().send(command)
        self.said = True

    def data_to_send(self) -> bytes:
        """What is to be sent, commands doubled."""
        data = super().data_to_send()
        times, self.said = 1 + self.said, False
        return data * times


class SwallowsReplies(Sender):
    """Gives no 250 to the end of a message."""

    def next_event(self) -> Replied | Turned | Closed | Pause:
        """The event behind it."""
        event = super().next_event()
        swallowed = isinstance(event, Replied) and event.verb is Verb.END_OF_DATA
        return super().next_event() if swallowed else event


class Mistakes(Receiver):
    """Calls a refused command something else."""

    def next_event(self) -> Event | Pause:
        """Every NOOP rejected."""
        event = super().next_event()
        return Rejected(Reply(500), None, b"NOOP") if isinstance(event, Command) else event


class Converts(Sender):
    """Converts, whatever its dialect says."""

    def __init__(self, dialect: Dialect = RFC821) -> None:
        super().__init__(attrs.evolve(dialect, line_feeds=Policy.CONVERT))
