"""What both roles share: bytes that came and were not read, bytes to send, and the session."""

from __future__ import annotations

from .dialect import Dialect
from .errors import LocalProtocolError
from .lines import LineReader
from .sequencing import State
from .session import Envelope, Session

__all__ = ["Channel", "as_bytes"]


_CLOSED = State.CLOSED


class Channel:
    """One end of a transmission channel; Receiver and Sender are the two that there are."""

    def __init__(self, dialect: Dialect, line_limit: int) -> None:
        self._dialect = dialect
        self.session = Session(dialect)
        """State and envelope; to be read, not to be changed."""
        self._input = LineReader(line_limit)
        self._output: list[bytes] = []
        self._end_of_file = False

    @property
    def dialect(self) -> Dialect:
        """What is spoken."""
        return self._dialect

    @property
    def state(self) -> State:
        """Where the session stands."""
        return self.session.state

    @property
    def envelope(self) -> Envelope | None:
        """The envelope of the transaction in progress, or None."""
        return self.session.envelope

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Take what came from the peer, in any cut; b"" is the end of file.

        Raises LocalProtocolError after the end of file, and for what is not bytes.
        """
        if not isinstance(data, bytes):
            data = as_bytes(data)
        if self._end_of_file:
            raise LocalProtocolError('receive_data(b"") was the end of file; nothing follows it')
        if not data:
            self._end_of_file = True
        elif self.session.state is not _CLOSED:  # nothing that follows QUIT or 421 is read
            self._input.feed(data)

    def data_to_send(self) -> bytes:
        """What is to be sent to the peer, each octet once; b"" if there is nothing.

        Send it whenever `next_event` gives NEED_DATA, and before the channel is closed.
        """
        output = self._output
        if len(output) == 1:
            return output.pop()
        data = b"".join(output)
        output.clear()
        return data


def as_bytes(data: bytes | bytearray | memoryview) -> bytes:
    """The bytes, which nobody else can change. Raises LocalProtocolError for anything else."""
    if isinstance(data, bytes):
        return data
    if isinstance(data, (bytearray, memoryview)):
        return bytes(data)
    raise LocalProtocolError(f"bytes, a bytearray or a memoryview is needed, not {data!a}")
