"""The sender-SMTP (client): commands out, replies in, one at a time (4.3).

What is awaited is one reply; a reply that nothing awaits, or bytes behind the awaited one, mean
that the two ends are out of step, and end the session (421 excepted: a notice of closing). What
is sent is first read as a receiver of the same dialect would read it, so nothing else can reach
the wire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .channel import Channel, as_bytes
from .commands import COMMANDS, Command, Rcpt, TransactionCommand, Verb
from .dialect import RFC821, Dialect
from .dots import DotEncoder
from .errors import LocalProtocolError, RemoteProtocolError
from .events import NEED_COMMAND, NEED_DATA, Closed, Pause, Replied, Turned
from .limits import FLOOR
from .paths import excess
from .replies import Code, ReplyReader
from .sequencing import Outcome, State, outcome

if TYPE_CHECKING:
    from .receiver import Receiver

__all__ = ["Sender"]

# A member of an enum costs a call to look up on Python 3.11.
_DATA, _END_OF_DATA = Verb.DATA, Verb.END_OF_DATA
_ERROR = Outcome.ERROR
_CLOSED, _TURNED = State.CLOSED, State.TURNED


class Sender(Channel):
    """One session in the role of the sender.

    dialect: the tables, sizes and policies to obey.
    """

    def __init__(self, dialect: Dialect = RFC821) -> None:
        super().__init__(dialect, dialect.limits.reply_line)
        self._replies = ReplyReader(self._input, dialect.limits)
        self.awaiting: Verb | None = Verb.CONNECT
        """What is yet to be answered: a command, CONNECT (the greeting), END_OF_DATA, or None; to
        be read, not to be changed."""
        self._command: Command | None = None
        self._encoder: DotEncoder | None = None
        self._unanswered: Verb | None = None  # at the end of the session
        self._failure: RemoteProtocolError | None = None

    def send(self, command: Command) -> None:
        """Send a command; its line is in `data_to_send`.

        Raises LocalProtocolError for a command that is out of sequence, or that the dialect does
        not allow on the wire; RemoteProtocolError if the peer has spoken out of turn.
        """
        line = self._line(command)
        self._may_speak(command.verb)
        if isinstance(command, Rcpt) and self.session.recipients == self._dialect.limits.recipients:
            raise LocalProtocolError(
                f"{self.session.recipients} recipients is all that one transaction may have "
                "(4.5.3); send the message to the rest in another"
            )
        self._output.append(line)
        self.awaiting, self._command = command.verb, command

    def send_data(self, chunk: bytes | bytearray | memoryview) -> None:
        """Send a chunk of the message, in any cut; dots are doubled here (4.5.2).

        Raises LocalProtocolError when no mail data is asked for, or for data that the dialect
        does not allow. That chunk is not sent then; a message that cannot be sent whole is ended
        by closing the channel, never by `end_data`.
        """
        data = as_bytes(chunk)
        self._may_speak(_END_OF_DATA)
        assert self._encoder is not None
        self._output.append(self._encoder.encode(data))

    def end_data(self) -> None:
        """Send the end of mail data; the message is confirmed by the reply to it (4.1.1 DATA).

        A CRLF is put at the end of a message that has none. Raises LocalProtocolError.
        """
        self._may_speak(_END_OF_DATA)
        assert self._encoder is not None
        self._output.append(self._encoder.end())
        self.awaiting, self._command = Verb.END_OF_DATA, None

    def next_event(self) -> Replied | Turned | Closed | Pause:
        """The next event, or whose turn it is: NEED_DATA or NEED_COMMAND.

        Raises RemoteProtocolError when the peer does not keep the protocol; the command in
        flight then counts as a temporary failure, and every later call raises the same.
        """
        if self._failure is not None:  # without where it was raised before, which would add up
            raise self._failure.with_traceback(None)
        try:
            return self._next_event()
        except RemoteProtocolError as error:
            self._failure = error
            self._end()
            raise

    def turned(self, domain: str) -> Receiver:
        """The receiver that this end becomes by TURN; it greets first (3.8).

        domain: the name of this host. Raises LocalProtocolError unless TURN was accepted,
        RemoteProtocolError where the peer has spoken before its time.
        """
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        if self.state is not State.TURNED:
            raise LocalProtocolError("the roles are exchanged once TURN is answered 250 (3.8)")
        if self._replies.begun():
            raise RemoteProtocolError("bytes behind the reply to TURN, before the roles change")
        from .receiver import Receiver  # here, for each of the two roles makes the other

        return Receiver(domain, self.dialect)

    def _next_event(self) -> Replied | Turned | Closed | Pause:
        if self.session.state is _CLOSED:
            return self._over()
        reply = self._replies.next_reply()
        verb = self.awaiting
        if reply is None:
            return self._without_reply()
        if verb is None and reply.code != Code.NOT_AVAILABLE:
            raise RemoteProtocolError(f"a reply {reply.code} that nothing awaits")
        command, self._command = self._command, None
        if verb is None:
            self._end()
            return Replied(None, reply)
        if outcome(verb, reply.code) is _ERROR:
            raise RemoteProtocolError(f"a reply {reply.code} to {verb}, which has no such answer")
        self.awaiting = None
        self.session.advance(verb, reply.code, command)
        if verb is _DATA and self.session.state is State.DATA:
            self._encoder = DotEncoder(
                self.dialect.line_feeds, self.dialect.eight_bit, self.dialect.limits.text_line
            )
        return Replied(verb, reply, command)

    def _without_reply(self) -> Turned | Closed | Pause:
        if self.session.state is _TURNED:
            if self._replies.begun():
                raise RemoteProtocolError("bytes behind the reply to TURN, before the roles change")
            return Turned()
        if self._end_of_file:
            self._end()
            return self._over()
        return NEED_COMMAND if self.awaiting is None else NEED_DATA

    def _over(self) -> Closed:
        return Closed(self._unanswered, self.session.cancelled)

    def _end(self) -> None:
        """The session is over; what is unanswered stays so."""
        self._unanswered, self.awaiting = self.awaiting, None
        self.session.close()

    def _may_speak(self, verb: Verb) -> None:
        """Raise unless it is the sender's turn, and the time for this."""
        if self.awaiting is not None:
            raise LocalProtocolError(f"the reply to {self.awaiting} is to come first (4.3)")
        if verb not in self._dialect.order[self.session.state]:
            legal = ", ".join(sorted(self.dialect.order[self.state])) or "nothing"
            raise LocalProtocolError(f"{verb} is not legal in state {self.state}; {legal} is")
        if self._replies.begun():
            raise RemoteProtocolError("the peer has spoken out of turn, behind its last reply")

    def _line(self, command: Command) -> bytes:
        """The line of a command, once it has been read as a receiver would read it."""
        if not isinstance(command, COMMANDS):
            raise LocalProtocolError(f"{command!a} is no command; Mail(...) and the like are")
        text, limits = str(command), self._dialect.limits
        if not (text.isascii() and text.isprintable()):
            raise LocalProtocolError(f"only printable ASCII may be sent in a command: {text!a}")
        if len(text) > limits.command_line - 2:
            raise LocalProtocolError(f"a command line has at most {limits.command_line} octets")
        line = text.encode("ascii")
        syntax = self._dialect.syntaxes.get(line[:4])
        if syntax is None or syntax.verb is not command.verb:
            raise LocalProtocolError(f"{text} is not what {command.verb} looks like (4.1.2)")
        read = syntax.parse(line[4:], limits)
        if isinstance(read, str):
            raise LocalProtocolError(f"{text}: {read}")
        if str(read) != text:
            raise LocalProtocolError(f"{text!a} is written {str(read)!a} (4.1.2)")
        if len(text) > FLOOR and isinstance(read, (TransactionCommand, Rcpt)):
            path = read.forward_path if isinstance(read, Rcpt) else read.reverse_path
            if too_long := excess(path, limits, sent=True):
                raise LocalProtocolError(f"{text}: {too_long} (4.5.3)")
        return line + b"\r\n"
