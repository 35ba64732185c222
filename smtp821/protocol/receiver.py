"""The receiver-SMTP (server): bytes in, events out, exactly one reply for each command (4.2).

Nothing is read ahead of a reply that is owed, for the bytes behind DATA are mail or commands
depending on that reply; so pipelined input is judged in order, each command in the state that the
replies before it made. What the protocol can judge alone (500, 501, 502, 503, and sizes) it
answers itself and reports as Rejected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from .channel import Channel
from .commands import Command, Verb
from .dialect import RFC821, Dialect
from .dots import DotDecoder, Policy, bare_newline, eight_bit
from .errors import LocalProtocolError, RemoteProtocolError
from .events import (
    NEED_DATA,
    NEED_REPLY,
    Closed,
    Connected,
    EndOfData,
    Event,
    MailData,
    Pause,
    Rejected,
    Turned,
)
from .paths import Domain
from .replies import Code, Reply
from .sender import Sender
from .sequencing import ORDINARY, State

__all__ = ["Receiver"]

# A member of an enum costs a call to look up on Python 3.11.
_RCPT, _DATA = Verb.RCPT, Verb.DATA

_BLANKS = b" \t"
_FORWARD_CODES = (Code.WILL_FORWARD, Code.NOT_LOCAL)
_NAMED_CODES = (Code.SERVICE_READY, Code.CLOSING_CHANNEL, Code.NOT_AVAILABLE)

# Replies that the receiver gives of itself; those of 4.5.3 in its words.
_TOO_LONG = Reply(Code.UNRECOGNIZED, "Line too long")
_TOO_MANY_RECIPIENTS = Reply(
    Code.STORAGE_EXCEEDED, "Recipient storage full, try again in another transaction"
)
_TOO_MUCH_DATA = Reply(Code.STORAGE_EXCEEDED, "Too much mail data")
_EIGHT_BIT = Reply(Code.TRANSACTION_FAILED, "Mail data has octets over 127")
_BARE_NEWLINE = Reply(Code.TRANSACTION_FAILED, "Mail data has a CR or LF that is no CRLF")
_TOO_EARLY = Reply(Code.NOT_AVAILABLE, "You spoke before it was your turn; closing")
_TOO_MANY_ERRORS = Reply(Code.NOT_AVAILABLE, "Too many errors; closing")
_FOREIGN = Reply(Code.NOT_AVAILABLE, "This is SMTP, and you speak something else; closing")


class Receiver(Channel):
    """One session in the role of the receiver.

    domain: the official name of this host, the first word of its greeting.
    dialect: the tables, sizes and policies to obey.

    Raises LocalProtocolError for a domain that is none.
    """

    def __init__(self, domain: str, dialect: Dialect = RFC821) -> None:
        super().__init__(dialect, dialect.limits.command_line)
        self.domain = Domain(domain)
        self._ordinary = _ordinary_replies(dialect, self.domain.text)
        self.owed: Connected | Command | EndOfData | None = None
        """The event that is owed a reply, or None; to be read, not to be changed."""
        self._decoder = DotDecoder()
        self._size = 0  # octets of mail data
        self._eight_bit = False
        self._refusal: Reply | None = None  # of the message that is coming in
        self._errors = 0

    @property
    def reply_owed(self) -> Verb | None:
        """What is owed a reply: a command, CONNECT (the greeting), END_OF_DATA, or None."""
        return self.owed.verb if self.owed is not None else None

    def next_event(self) -> Event | Pause:
        """The next event, or whose turn it is: NEED_DATA, or NEED_REPLY.

        What a peer sends never raises: it is an event, be it Rejected. After the end Closed is
        given for ever.
        """
        if self.owed is not None:
            return NEED_REPLY
        return _READERS[self.session.state](self)

    def reply(self, code: int | Reply, *lines: str) -> None:
        """Give the reply that is owed; 421 closes, and `shutdown` says it unasked (4.2.1).

        code: a Reply, or a code and its lines of text; without lines, the standard text.
        220, 221, 421, and 250 to HELO are made to begin with this host's name.
        Raises LocalProtocolError when nothing is owed a reply, for a code that 4.3 does not have
        for the command, and for 251 or 551 without a path.
        """
        owed = self.owed
        if owed is None:
            raise LocalProtocolError("no reply is owed; every command gets exactly one (4.2)")
        number = code.code if isinstance(code, Reply) else code
        legal = self._dialect.codes[owed.verb]
        if number not in legal:
            codes = ", ".join(map(str, sorted(legal)))
            raise LocalProtocolError(f"{number} is no reply to {owed.verb}; {codes} are (4.3)")
        if isinstance(code, Reply) and lines:
            raise LocalProtocolError("a Reply has its lines already; give it alone, or a code")
        reply = code if isinstance(code, Reply) else Reply(code, lines)
        if reply.code in _FORWARD_CODES and reply.forward_path is None:
            raise LocalProtocolError(f"{reply.code} carries a path: Reply.forward(...) (3.2)")
        self._answer(owed.verb, reply, owed)

    def accept(self, *lines: str) -> None:
        """Give the ordinary reply: 250, or 220, 354, 214, 221 where that is the success (4.3).

        lines: the text, instead of the standard one. Raises LocalProtocolError when nothing is
        owed a reply, and for VRFY and EXPN, whose success has to name a mailbox (3.3).
        """
        owed = self.owed
        if owed is None:
            raise LocalProtocolError("no reply is owed; every command gets exactly one (4.2)")
        verb = owed.verb
        wire = None if lines else self._ordinary.get(verb)
        if wire is None:
            self.reply(ORDINARY[verb], *(lines or self._ordinary_text(verb)))
        else:
            self.owed = None
            self._output.append(wire)
            self.session.advance(verb, ORDINARY[verb], owed)

    def shutdown(self, *lines: str) -> None:
        """Say 421 and close, whether or not a reply is owed (4.2.1).

        Raises LocalProtocolError when the session is over.
        """
        if not self._dialect.order[self.state]:
            raise LocalProtocolError(f"the session is over: it is {self.state}")
        self._answer(None, Reply(Code.NOT_AVAILABLE, lines))

    def turned(self) -> Sender:
        """The sender that this end becomes by TURN; it waits for the greeting (3.8).

        Raises LocalProtocolError unless TURN was accepted, RemoteProtocolError where the peer
        has spoken before its time: what it said is never carried over.
        """
        if self.state is not State.TURNED:
            raise LocalProtocolError("the roles are exchanged once TURN is answered 250 (3.8)")
        if self._input.waits():
            reply = self._named(Verb.TURN, _TOO_EARLY)
            raise RemoteProtocolError("bytes behind TURN, before the roles changed", reply)
        return Sender(self._dialect)

    # Reading: one method for the states in which the same things can come.

    def _open(self) -> Event:
        if self._spoken_early():
            return self._reject(Verb.CONNECT, b"", _TOO_EARLY)
        self.owed = Connected()
        return self.owed

    def _turn(self) -> Event:
        return Turned()

    def _over(self) -> Closed:
        return Closed(cancelled=self.session.cancelled)

    def _next_command(self) -> Event | Pause:
        """Judge the next line, in the order of AMB-01: each check presumes those before it."""
        line = self._input.next_line()
        if line is None:
            return self._starve() if self._end_of_file else NEED_DATA
        dialect = self._dialect
        limits = dialect.limits
        if len(line) > limits.command_line - 2:
            return self._reject(None, line, _TOO_LONG)
        syntax = dialect.syntaxes.get(line[:4].upper())
        if syntax is None or (len(line) > 4 and line[4] not in _BLANKS):
            foreign = line.partition(b" ")[0].upper() in dialect.foreign_words
            return self._reject(None, line, _FOREIGN if foreign else Reply(Code.UNRECOGNIZED))
        verb = syntax.verb
        if verb in dialect.off:
            return self._reject(verb, line, Reply(Code.NOT_IMPLEMENTED))
        command = syntax.parse(line[4:], limits)
        in_sequence = verb in dialect.order[self.session.state]
        if isinstance(command, str) and (in_sequence or not syntax.takes_argument):
            return self._reject(verb, line, Reply(Code.ARGUMENT_SYNTAX, command))
        if isinstance(command, str) or not in_sequence:
            return self._reject(verb, line, Reply(Code.BAD_SEQUENCE))
        if verb is _RCPT and self.session.recipients == limits.recipients:
            return self._reject(verb, line, _TOO_MANY_RECIPIENTS)
        if verb is _DATA and self._spoken_early():
            return self._reject(verb, line, _TOO_EARLY)
        self.owed = command
        return command

    def _next_mail_data(self) -> Event | Pause:
        while self._decoder.rest is None:
            read = self._input.take()
            if not read:
                return self._starve() if self._end_of_file else NEED_DATA
            data = self._admit(self._decoder.decode(read))
            if data:
                self._size += len(data)
                return MailData(data)
        self._input.give_back(self._decoder.rest)
        refusal, size, has_eight_bit = self._refusal, self._size, self._eight_bit
        self._decoder = DotDecoder()
        self._size, self._eight_bit, self._refusal = 0, False, None
        if refusal is not None:
            return self._reject(Verb.END_OF_DATA, b"", refusal)
        envelope = self.envelope
        assert envelope is not None
        self.owed = owed = EndOfData(envelope, size, has_eight_bit)
        return owed

    def _admit(self, data: bytes) -> bytes:
        """As much of the mail data as is within the policies; from there on it is swallowed.

        Where it stops is a matter of the data alone, not of how it was cut up; never in a CRLF.
        """
        if self._refusal is not None:
            return b""
        dialect, stop = self._dialect, len(data)
        if dialect.limits.message is not None and self._size + stop > dialect.limits.message:
            stop = dialect.limits.message - self._size
            self._refusal = _TOO_MUCH_DATA
        if not data.isascii():
            at = eight_bit(data)
            self._eight_bit = True
            if dialect.eight_bit is Policy.REFUSE and at < stop:
                stop = at
                self._refusal = _EIGHT_BIT
        if dialect.bare_newlines is Policy.REFUSE and -1 < (at := bare_newline(data)) < stop:
            stop = at
            self._refusal = _BARE_NEWLINE
        if data[stop - 1 : stop + 1] == b"\r\n":
            stop -= 1
        return data[:stop]

    def _starve(self) -> Closed:
        """There is nothing to read, and this was all (4.1.1 QUIT)."""
        self.session.close()
        return self._over()

    def _spoken_early(self) -> bool:
        """Whether bytes are here that should have waited for a reply, and that matters."""
        return self._dialect.early_talkers is Policy.REFUSE and self._input.waits()

    # Answering.

    def _ordinary_text(self, verb: Verb) -> tuple[str, ...]:
        if verb in (Verb.VRFY, Verb.EXPN):
            raise LocalProtocolError(f"{verb} succeeds with mailboxes: reply(250, ...) (3.3)")
        if verb is Verb.HELP:
            words = (syntax.verb for syntax in self._dialect.syntaxes.values())
            return ("Commands: " + " ".join(w for w in words if w not in self._dialect.off),)
        return ()

    def _reject(self, verb: Verb | None, line: bytes, reply: Reply) -> Rejected:
        """Answer without the application; one error too many is answered 421 (AMB-59)."""
        self._errors += 1
        errors = self._dialect.limits.errors
        if errors is not None and self._errors > errors:
            reply = _TOO_MANY_ERRORS
        return Rejected(self._answer(verb, reply), verb, line)

    def _answer(self, verb: Verb | None, reply: Reply, owed: object = None) -> Reply:
        """Write a reply, and let it have its effect; gives it as it was written.

        verb: what is answered, if it has a name.
        """
        reply = self._named(verb, reply)
        self._settle(verb, reply.code, reply.to_bytes(self._dialect.limits), owed)
        return reply

    def _settle(self, verb: Verb | None, code: int, wire: bytes, owed: object) -> None:
        self.owed = None
        self._output.append(wire)
        if code == 421:
            self.session.close()
        elif verb is not None:
            self.session.advance(verb, code, owed)

    def _named(self, verb: Verb | None, reply: Reply) -> Reply:
        """The reply with this host's name before its text, where the RFC wants it (4.2.1, 3.5)."""
        if reply.code not in _NAMED_CODES and not (verb is Verb.HELO and reply.code == Code.OKAY):
            return reply
        return _with_name(reply, self.domain)


def _with_name(reply: Reply, domain: Domain) -> Reply:
    first, *others = reply.lines
    if first.partition(" ")[0].lower() == domain.text.lower():
        return reply
    return Reply(reply.code, (f"{domain} {first}", *others))


@lru_cache
def _ordinary_replies(dialect: Dialect, domain: str) -> Mapping[Verb, bytes]:
    """The ordinary replies that say always the same, as they go over the channel."""
    replies = {
        verb: Reply(code, domain) if verb is Verb.HELO else Reply(code)
        for verb, code in ORDINARY.items()
        if code in dialect.codes[verb] and verb not in (Verb.VRFY, Verb.EXPN, Verb.HELP)
    }
    name = Domain(domain)
    return {
        verb: (_with_name(reply, name) if reply.code in _NAMED_CODES else reply).to_bytes(
            dialect.limits
        )
        for verb, reply in replies.items()
    }


_READERS: Mapping[State, Callable[[Receiver], Event | Pause]] = {
    **dict.fromkeys(State, Receiver._next_command),
    State.OPENING: Receiver._open,
    State.DATA: Receiver._next_mail_data,
    State.TURNED: Receiver._turn,
    State.CLOSED: Receiver._over,
}
