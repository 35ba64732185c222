"""A receiver-SMTP as the RFC tells it: three buffers, a line at a time, a reply to each command.

`Receiver.hear` takes one octet. What the receiver would ask its host it asks `application`, which
gives a reply code. `happened` has all that came of it, `codes` the replies in their order.

    ("asked", command, argument)            the application decided
    ("refused", command or None, line, code)    the protocol decided
    ("text", mail data)                     of a message that came to its end
    ("message", kind, reverse-path, forward-paths, octets, 8-bit or not)
    ("turned",)                             TURN was accepted
    ("closed", transaction or None)         what was in progress and is cancelled
"""

from __future__ import annotations

from collections.abc import Callable

from .commands import (
    END_OF_DATA,
    GREETING,
    TAKING_A_REVERSE_PATH,
    TAKING_NOTHING,
    Sizes,
    argument_of,
    code_of,
)


class Receiver:
    """One session.

    application: (command, argument) -> reply code. off: commands that are not implemented.
    recipients, octets, errors: the most of each, None for any number.
    """

    def __init__(
        self,
        application: Callable[[str, str], int],
        *,
        lenient: bool = False,
        off: tuple[str, ...] = ("TURN",),
        recipients: int | None = 100,
        octets: int | None = None,
        errors: int | None = None,
    ) -> None:
        self.application = application
        self.lenient = lenient
        self.off = off
        self.most_recipients = recipients
        self.most_octets = octets
        self.most_errors = errors
        self.errors = 0
        self.sizes = Sizes(lenient=lenient)
        self.happened: list[tuple[object, ...]] = []
        self.codes: list[int] = []
        self.line = ""
        self.said_hello = False
        self.kind = ""
        self.reverse_path: str | None = None  # 4.1.1: "distinct buffers are provided"
        self.forward_paths: list[str] = []
        self.mail_data = ""
        self.in_data = False
        self.turned = False
        self.closed = False
        # 4.3: "a receiver will send a 220 reply when the connection is completed"
        code = self.ask(GREETING, "")
        self.reply(code)
        if code == 421:
            self.close()

    def hear(self, octet: int) -> None:
        """One octet from the sender. 4.1.2: no action is taken until CRLF is received."""
        if self.closed or self.turned:
            return
        self.line += chr(octet)
        if self.line[-2:] != "\r\n":
            return
        line = self.line[:-2]
        self.line = ""
        if self.in_data:
            self.hear_text(line)
        else:
            self.hear_command(line)

    def hear_no_more(self) -> None:
        """The channel is closed. 4.1.1 QUIT: "act as if a RSET command had been received"."""
        if not self.closed and not self.turned:
            self.close()

    def shut_down(self) -> None:
        """The service must shut down (4.2.1)."""
        if not self.closed and not self.turned:
            self.reply(421)
            self.close()

    def where(self) -> str:
        """Where the session stands, in a word."""
        if self.closed:
            return "CLOSED"
        if self.turned:
            return "TURNED"
        if self.in_data:
            return "DATA"
        if self.forward_paths != []:
            return "RCPT"
        if self.reverse_path is not None:
            return "MAIL"
        if self.said_hello:
            return "READY"
        return "INITIAL"

    def transaction(self) -> tuple[str, str, list[str]] | None:
        """What the buffers hold."""
        if self.reverse_path is None:
            return None
        return self.kind, self.reverse_path, list(self.forward_paths)

    # Commands (4.1.1), each in the state that the replies before it made.

    def hear_command(self, line: str) -> None:
        """The checks in the order of AMB-01."""
        if len(line) + 2 > self.sizes.command_line:  # 4.5.3: "500 Line too long"
            self.refuse(None, line, 500)
            return
        word = code_of(line)
        if word is None:  # 4.2.1: "500 Syntax error, command unrecognized"
            self.refuse(None, line, 500)
            return
        if word in self.off:  # 4.2.1: "502 Command not implemented"
            self.refuse(word, line, 502)
            return
        argument = argument_of(word, line, lenient=self.lenient)
        if argument is None and word in TAKING_NOTHING:
            self.refuse(word, line, 501)
            return
        if not self.in_order(word):  # 4.1.1 p27: "a 503 failure reply must be returned"
            self.refuse(word, line, 503)
            return
        if argument is None:  # 4.2.1: "501 Syntax error in parameters or arguments"
            self.refuse(word, line, 501)
            return
        if self.sizes.exceeded(word, argument, sent=False):  # 4.5.3: "501 Path too long"
            self.refuse(word, line, 501)
            return
        if word == "RCPT" and len(self.forward_paths) == self.most_recipients:
            self.refuse(word, line, 552)  # 4.5.3: "552 Too many recipients"
            return
        code = self.ask(word, argument)
        self.reply(code)
        if code == 421:
            self.close()
        else:
            self.obey(word, argument, code)

    def in_order(self, word: str) -> bool:
        """4.1.1 p27: the restrictions on the order in which commands may be used."""
        if word in TAKING_A_REVERSE_PATH:
            return self.said_hello and self.reverse_path is None  # AMB-02, AMB-03
        if word == "RCPT":
            return self.reverse_path is not None
        if word == "DATA":
            return self.forward_paths != []  # AMB-06
        if word == "TURN":
            return self.said_hello and self.reverse_path is None  # AMB-25
        return True  # HELO, RSET, NOOP, HELP, EXPN, VRFY, QUIT (AMB-04, AMB-05)

    def obey(self, word: str, argument: str, code: int) -> None:
        """What a command does once it is answered."""
        if word == "HELO" and code == 250:
            self.said_hello = True  # "no transaction in progress and all ... buffers are cleared"
            self.clear()
        if word in TAKING_A_REVERSE_PATH and code == 250:
            self.clear()
            self.kind = word
            self.reverse_path = argument
        if word == "RCPT" and code in [250, 251]:
            self.forward_paths.append(argument)
        if word == "DATA" and code == 354:
            self.in_data = True
        if word == "RSET" and code == 250:
            self.clear()
        if word == "QUIT" and code == 221:
            self.close()
        if word == "TURN" and code == 250:
            self.turned = True
            self.happened.append(("turned",))

    def clear(self) -> None:
        """All buffers are cleared."""
        self.kind = ""
        self.reverse_path = None
        self.forward_paths = []
        self.mail_data = ""

    # Mail data (4.1.1 DATA, 4.5.2).

    def hear_text(self, line: str) -> None:
        """4.5.2: "When a line of mail text is received by the receiver-SMTP it checks the line"."""
        if line == ".":
            self.in_data = False
            self.end_of_data()
        elif line[:1] == ".":
            self.mail_data += line[1:] + "\r\n"
        else:
            self.mail_data += line + "\r\n"

    def end_of_data(self) -> None:
        """4.1.1 DATA: "the receiver must now process the stored mail transaction information"."""
        code = self.offence()
        if self.mail_data != "":
            self.happened.append(("text", self.mail_data))
        if code != 0:
            self.refuse(END_OF_DATA, "", code)
        else:
            size, eight_bit = len(self.mail_data), any(ord(c) > 127 for c in self.mail_data)
            transaction = self.transaction()
            code = self.ask(END_OF_DATA, "")
            self.happened.append(("message", transaction, size, eight_bit))
            self.reply(code)
            if code == 421:
                self.close()
        self.clear()  # "on the completion of this command these buffers are cleared"

    def offence(self) -> int:
        """The code that the first offence in the mail data has earned; what is before it stays."""
        data = self.mail_data
        for at, character in enumerate(data):
            code = 0
            if at == self.most_octets:
                code = 552  # 4.5.3: "552 Too much mail data"
            elif ord(character) > 127 and not self.lenient:
                code = 554  # 4.5.2: "the high order bits cleared to zero" (AMB-39)
            elif character == "\r" and data[at + 1 : at + 2] != "\n" and self.lenient:
                code = 554  # AMB-36
            elif character == "\n" and (at == 0 or data[at - 1] != "\r") and self.lenient:
                code = 554
            if code != 0:
                self.mail_data = data[:at]
                if data[at - 1 : at + 1] == "\r\n":
                    self.mail_data = data[: at - 1]  # what is passed on has whole line ends
                return code
        return 0

    # Replies (4.2).

    def ask(self, word: str, argument: str) -> int:
        """Let the application decide."""
        self.happened.append(("asked", word, argument))
        return self.application(word, argument)

    def refuse(self, word: str | None, line: str, code: int) -> None:
        """Decide without it. AMB-59: one error too many closes the channel."""
        self.errors += 1
        if self.most_errors is not None and self.errors > self.most_errors:
            code = 421
        shown = line[: self.sizes.command_line - 1]
        self.happened.append(("refused", word, shown, code))
        self.reply(code)
        if code == 421:
            self.close()

    def reply(self, code: int) -> None:
        """4.2: "Every command must generate exactly one reply"."""
        self.codes.append(code)

    def close(self) -> None:
        """The channel is closed, and a pending transaction is cancelled (4.1.1 QUIT)."""
        self.happened.append(("closed", self.transaction()))
        self.closed = True
        self.in_data = False
        self.clear()
