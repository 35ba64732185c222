"""What a handler that overrides nothing answers, and how a command is implemented (4.5.1)."""

from __future__ import annotations

from typing import Any, Final

import pytest

from smtp821 import (
    RFC821,
    Closed,
    Command,
    Connected,
    EndOfData,
    Envelope,
    Expn,
    Handler,
    Help,
    Mail,
    MailData,
    Path,
    Receiver,
    Rejected,
    Reply,
    Turn,
    Verb,
    Vrfy,
)
from smtp821.conversation import Conversation
from smtp821.protocol.dialect import MINIMUM

from .walks import EXAMPLES, HOST, LINES

OPTIONAL: Final = (Verb.SEND, Verb.SOML, Verb.SAML, Verb.VRFY, Verb.EXPN, Verb.TURN)


def answers(handler: Handler, *lines: bytes) -> list[bytes]:
    """What is said to lines behind greeting and HELO."""
    receiver = Receiver(HOST, RFC821.offering(handler.offers()))
    conversation = Conversation(handler, receiver)
    conversation.advance()
    conversation.receive_data(LINES[Verb.HELO])
    conversation.advance()
    conversation.data_to_send()
    replies = []
    for line in lines:
        conversation.receive_data(line)
        conversation.advance()
        replies.append(conversation.data_to_send())
    return replies


def answer(handler: Handler, line: bytes) -> bytes:
    """What is said to one line behind greeting and HELO."""
    return answers(handler, line)[0]


@pytest.mark.clause("3.3-12", "3.4-01", "E-10", "AMB-21")
@pytest.mark.parametrize("verb", OPTIONAL)
def test_optional_commands_are_502(verb: Verb) -> None:
    """What need not be implemented (4.5.1), and is not, gets 502 (4.2.1)."""
    assert answer(Handler("peer"), LINES[verb]) == b"502 Command not implemented\r\n"


@pytest.mark.parametrize("verb", OPTIONAL)
def test_the_methods_themselves_say_502(verb: Verb) -> None:
    """A subclass that offers a command and defers to super() says 502 all the same."""
    method = getattr(Handler("peer"), verb.value.lower())
    assert method(EXAMPLES[verb]) == Reply(502)


@pytest.mark.clause("4.5.1-01")
@pytest.mark.parametrize("verb", sorted(MINIMUM))
def test_the_minimum_is_never_502(verb: Verb) -> None:
    """HELO, MAIL, RCPT, DATA, RSET, NOOP and QUIT are implemented by every receiver (4.5.1)."""
    assert answer(Handler("peer"), LINES[verb])[:3] not in (b"500", b"502")


@pytest.mark.clause("3.1-07")
def test_no_mailbox_is_known() -> None:
    """Without an application there are no mailboxes: 550, and so DATA is out of order (3.1)."""
    replies = answers(Handler("peer"), LINES[Verb.MAIL], LINES[Verb.RCPT], LINES[Verb.DATA])
    assert replies == [
        b"250 OK\r\n",
        b"550 No such user here\r\n",
        b"503 Bad sequence of commands\r\n",
    ]


class Everybody(Handler):
    """Knows everybody, and does nothing else."""

    def rcpt(self, command: object) -> None:
        """Accept."""


@pytest.mark.clause("4.1.1.DATA-05")
def test_a_message_that_nobody_keeps_is_not_accepted() -> None:
    """250 says that the message is safe (4.1.1 DATA); who does not keep it has not said so."""
    lines = (LINES[Verb.MAIL], LINES[Verb.RCPT], LINES[Verb.DATA], b"Hello\r\n.\r\n")
    assert answers(Everybody("peer"), *lines)[3] == b"554 No mail is kept here\r\n"


def test_ordinary_replies() -> None:
    """The rest is answered as 4.3 has it."""
    lines = (LINES[Verb.HELO], LINES[Verb.RSET], LINES[Verb.NOOP], LINES[Verb.QUIT])
    assert answers(Handler("peer"), *lines) == [
        b"250 BBN-UNIX.ARPA\r\n",
        b"250 OK\r\n",
        b"250 OK\r\n",
        b"221 BBN-UNIX.ARPA Service closing transmission channel\r\n",
    ]


class Verifying(Handler):
    """Implements VRFY."""

    def vrfy(self, command: Vrfy) -> Reply:
        """Say who it is."""
        return Reply(250, "<Smith@BBN-UNIX.ARPA>")


@pytest.mark.clause("4.1.1.HELP-01", "4.1.2-06")
def test_help_lists_what_is_implemented() -> None:
    """HELP without a topic: 214, and the commands that are not answered 502 (4.1.1 HELP)."""
    minimum = b"214 Commands: HELO MAIL RCPT DATA RSET HELP NOOP QUIT\r\n"
    assert answer(Handler("peer"), b"HELP\r\n") == minimum
    more = b"214 Commands: HELO MAIL RCPT DATA RSET VRFY HELP NOOP QUIT\r\n"
    assert answer(Verifying("peer"), b"HELP\r\n") == more


@pytest.mark.clause("4.1.1.HELP-01", "4.2.1-05", "E-10", "AMB-22", "AMB-23")
@pytest.mark.parametrize(
    ("topic", "reply"),
    [
        ("MAIL", b"214 MAIL FROM:<reverse-path>\r\n"),
        ("rcpt", b"214 RCPT TO:<forward-path>\r\n"),
        ("HELP", b"214 HELP [<string>]\r\n"),
        ("VRFY", b"504 No help on that\r\n"),
        ("sendmail", b"504 No help on that\r\n"),
        ("END OF DATA", b"504 No help on that\r\n"),
    ],
)
def test_help_on_a_topic(topic: str, reply: bytes) -> None:
    """HELP on a command: its syntax; on what is not implemented, or no command: 504 (AMB-23)."""
    assert answer(Handler("peer"), b"HELP %s\r\n" % topic.encode()) == reply


def test_what_is_overridden_is_offered() -> None:
    """Whoever overrides an optional method implements the command, and that alone."""
    assert Handler("peer").offers() == MINIMUM | {Verb.HELP}
    assert Verifying("peer").offers() == MINIMUM | {Verb.HELP, Verb.VRFY}
    assert answer(Verifying("peer"), b"VRFY Smith\r\n") == b"250 <Smith@BBN-UNIX.ARPA>\r\n"
    assert answer(Verifying("peer"), b"EXPN People\r\n") == b"502 Command not implemented\r\n"


@pytest.mark.parametrize("verb", OPTIONAL)
def test_each_optional_command_can_be_implemented(verb: Verb) -> None:
    """Overriding the method named as the command is all it takes."""
    cls = type("Overriding", (Handler,), {verb.value.lower(): lambda self, command: None})
    assert cls("peer").offers() == MINIMUM | {Verb.HELP, verb}


def test_inherited_methods_count() -> None:
    """A method is overridden wherever in the line of classes that was done."""

    class Further(Verifying):
        """Adds EXPN to VRFY."""

        def expn(self, command: Expn) -> Reply:
            """Nobody."""
            return Reply(550)

    assert Further("peer").offers() == MINIMUM | {Verb.HELP, Verb.VRFY, Verb.EXPN}


def test_the_peer_is_known() -> None:
    """A handler is told who is at the other end."""
    assert Handler("127.0.0.1:4021").peer == "127.0.0.1:4021"


ENVELOPE: Final = Envelope(Verb.MAIL, Path("<>"), (Path("<Jones@Beta.ARPA>"),))
ORDINARY: Final[dict[str, Any]] = {
    "connected": Connected(),
    "helo": EXAMPLES[Verb.HELO],
    "mail": Mail("<>"),
    "data": EXAMPLES[Verb.DATA],
    "mail_data": MailData(b"Hello\r\n"),
    "rset": EXAMPLES[Verb.RSET],
    "help": Help(),
    "noop": EXAMPLES[Verb.NOOP],
    "quit": EXAMPLES[Verb.QUIT],
    "rejected": Rejected(Reply(500), None, b"EHLO x"),
    "closed": Closed(),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_none_is_the_ordinary_answer(name: str) -> None:
    """Methods that nobody overrides leave the answer to the protocol."""
    assert getattr(Handler("peer"), name)(ORDINARY[name]) is None


def test_the_answers_that_refuse() -> None:
    """What a host without mailboxes, terminals and users must say by the RFC (3.1, 4.1.1)."""
    handler = Handler("peer")
    assert handler.rcpt(EXAMPLES[Verb.RCPT]) == Reply(550, "No such user here")  # type: ignore[arg-type]
    assert handler.end_of_data(EndOfData(ENVELOPE, 7, False)) == Reply(554, "No mail is kept here")
    assert handler.turn(Turn()) == Reply(502)
    assert handler.turned(object()) is None


def test_there_is_a_method_for_every_command() -> None:
    """One method per command, of its name; nobody has to look for another."""
    commands: list[type[Command]] = [type(command) for command in EXAMPLES.values()]
    assert len(commands) == 14
    assert all(callable(getattr(Handler, cls.verb.value.lower())) for cls in commands)
