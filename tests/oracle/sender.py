"""A sender-SMTP as the RFC tells it: one command, then its reply, and what the first digit says.

`Sender.hear` takes one octet. `say`, `text` and `end` are what a user does; each gives the faults
that were found, "local" or "remote", and does nothing if there are any. `happened` has what came of
the replies:

    ("replied", command or None, code, lines)    None: a 421 that nobody asked for
    ("turned",)                                 TURN was accepted
    ("closed", unanswered command or None, transaction or None)
    ("broken",)                                 the receiver does not keep the protocol
"""

from __future__ import annotations

from .commands import (
    END_OF_DATA,
    GREETING,
    TAKING_A_REVERSE_PATH,
    Sizes,
    argument_of,
    code_of,
)
from .paths import D


class Sender:
    """One session. recipients: the most that a transaction may have (4.5.3)."""

    def __init__(self, *, lenient: bool = False, recipients: int = 100) -> None:
        self.lenient = lenient
        self.most_recipients = recipients
        self.sizes = Sizes(lenient=lenient)
        self.happened: list[tuple[object, ...]] = []
        self.written = ""
        self.waiting_for: str | None = GREETING  # 4.3: "should wait for this greeting message"
        self.argument = ""
        self.line = ""
        self.lines: list[str] = []  # of a reply that is not complete
        self.greeted = False
        self.unwelcome = False
        self.said_hello = False
        self.kind = ""
        self.reverse_path: str | None = None
        self.forward_paths: list[str] = []
        self.in_data = False
        self.mail_data = ""
        self.turned = False
        self.closed = False
        self.broken = False

    def where(self) -> str:
        """Where the session stands, in a word."""
        if self.closed:
            return "CLOSED"
        if self.turned:
            return "TURNED"
        if self.unwelcome:
            return "REFUSED"
        if not self.greeted:
            return "OPENING"
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
        """What the buffers hold (4.1.1)."""
        if self.reverse_path is None:
            return None
        return self.kind, self.reverse_path, list(self.forward_paths)

    # What a user does.

    def say(self, line: str) -> set[str]:
        """A command, without CRLF."""
        word = code_of(line)
        if word is None:
            return {"local"}
        faults = self.faults_of(word)
        argument = argument_of(word, line, lenient=self.lenient)
        if argument is None or len(line) + 2 > self.sizes.command_line:
            return faults | {"local"}
        if self.sizes.exceeded(word, argument, sent=True):  # 4.5.3: "must not send ... larger"
            return faults | {"local"}
        if word == "RCPT" and len(self.forward_paths) == self.most_recipients:
            return faults | {"local"}
        if faults == set():
            self.written += line + "\r\n"
            self.waiting_for = word
            self.argument = argument
        return faults

    def text(self, data: str) -> set[str]:
        """A piece of the mail text; it is written when it has come to its end."""
        faults = self.faults_of(END_OF_DATA)
        if not self.may_be_sent(self.mail_data + data):
            faults = faults | {"local"}
        if faults == set():
            self.mail_data += data
        return faults

    def end(self) -> set[str]:
        """The end of mail data; 4.5.2: "if it is a period, one additional period is inserted"."""
        faults = self.faults_of(END_OF_DATA)
        if self.mail_data[-1:] == "\r":
            faults = faults | {"local"}  # AMB-36
        if faults == set():
            self.written += self.on_the_wire() + ".\r\n"
            self.mail_data = ""
            self.waiting_for = END_OF_DATA
        return faults

    def on_the_wire(self) -> str:
        """The mail text as it is transmitted, each line with its CRLF."""
        lines = self.with_line_ends(self.mail_data).split("\r\n")
        if lines[-1] == "":
            lines = lines[:-1]  # AMB-37: a CRLF is added only where there is none
        wire = ""
        for line in lines:
            if line[:1] == ".":
                wire += "."
            wire += line + "\r\n"
        return wire

    def with_line_ends(self, data: str) -> str:
        """AMB-36: a lone LF is meant as a CRLF."""
        result = ""
        for character in data:
            if character == "\n" and result[-1:] != "\r":
                result += "\r"
            result += character
        return result

    def may_be_sent(self, data: str) -> bool:
        """Whether this is mail text, or may become it with more behind it."""
        if not self.lenient and any(ord(character) > 127 for character in data):
            return False  # 4.5.2: "the high order bits cleared to zero"
        lines = self.with_line_ends(data).split("\r\n")
        if lines[-1][-1:] == "\r":
            lines[-1] = lines[-1][:-1]  # its LF may follow
        for line in lines:
            if "\r" in line:
                return False  # AMB-36
            if len(line) + 2 > 1000 and not self.lenient:
                return False  # 4.5.3 text line
        return True

    def faults_of(self, word: str) -> set[str]:
        """What speaks against this command now."""
        faults = set()
        if self.waiting_for is not None:
            faults.add("local")  # 4.3: "the sender must wait for this response"
        elif not self.in_order(word):
            faults.add("local")
        if self.line != "" or self.lines != []:
            faults.add("remote")  # it spoke, and it was not its turn
        return faults

    def in_order(self, word: str) -> bool:
        """4.1.1 p27: the restrictions on the order in which commands may be used."""
        if self.closed or self.turned:
            return False
        if self.unwelcome:
            return word == "QUIT"  # AMB-27
        if self.in_data:
            return word == END_OF_DATA
        if word == END_OF_DATA:
            return False
        if word in [*TAKING_A_REVERSE_PATH, "TURN"]:
            return self.said_hello and self.reverse_path is None
        if word == "RCPT":
            return self.reverse_path is not None
        if word == "DATA":
            return self.forward_paths != []
        return True

    # What the receiver says.

    def hear(self, octet: int) -> None:
        """One octet."""
        if self.closed:
            return
        self.line += chr(octet)
        if self.turned:
            self.fail()  # 3.8: the next to speak is this end
            return
        if self.line[-2:] == "\r\n":
            line = self.line[:-2]
            self.line = ""
            self.hear_line(line)

    def hear_no_more(self) -> None:
        """4.1.1 QUIT: "act as if the command in progress had received a temporary error"."""
        if not self.closed and not self.turned:
            self.close(self.waiting_for)

    def hear_line(self, line: str) -> None:
        """Appendix E p50: the code, then "-" or a space, then text."""
        if len(line) + 2 > 512:  # 4.5.3 reply line
            self.fail()
            return
        code = line[:3]
        if len(code) < 3 or code[0] not in "2345" or code[1] not in D or code[2] not in D:
            self.fail()  # AMB-30
            return
        if line[3:4] not in ["", " ", "-"]:  # AMB-33: a bare code will do
            self.fail()
            return
        if "\r" in line or "\n" in line:
            self.fail()
            return
        if self.lines != [] and self.lines[0][:3] != code:
            self.fail()  # AMB-34
            return
        self.lines.append(line)
        if line[3:4] != "-":
            count = len(self.lines)
            self.lines = []
            self.hear_reply(int(code), count)
        elif len(self.lines) == 1024:
            self.fail()  # memory has to have a bound

    def hear_reply(self, code: int, lines: int) -> None:
        """4.4: the state diagrams, in which only the first digit is used."""
        word = self.waiting_for
        if word is None and code != 421:
            self.fail()
            return
        if word is None:
            self.happened.append(("replied", None, code, lines))
            self.close(None)
            return
        digit = code // 100
        if word == "DATA" and digit == 2:
            self.fail()  # "1,2" leads to E
            return
        if word != "DATA" and digit == 3:
            self.fail()  # "1,3" leads to E
            return
        self.happened.append(("replied", word, code, lines))
        self.waiting_for = None
        if code == 421:
            self.close(None)
        else:
            self.learn(word, digit)

    def learn(self, word: str, digit: int) -> None:
        """What a reply does to the session: as at the other end."""
        if word == GREETING:
            if digit == 2:
                self.greeted = True
            else:
                self.unwelcome = True  # AMB-27
        if word == "HELO" and digit == 2:
            self.said_hello = True
            self.clear()
        if word in TAKING_A_REVERSE_PATH and digit == 2:
            self.clear()
            self.kind = word
            self.reverse_path = self.argument
        if word == "RCPT" and digit == 2:
            self.forward_paths.append(self.argument)
        if word == "DATA" and digit == 3:
            self.in_data = True
        if word == END_OF_DATA:
            self.in_data = False
            self.clear()
        if word == "RSET" and digit == 2:
            self.clear()
        if word == "QUIT" and digit == 2:
            self.close(None)
        if word == "TURN" and digit == 2:
            self.turned = True
            self.happened.append(("turned",))

    def clear(self) -> None:
        """All buffers are cleared."""
        self.kind = ""
        self.reverse_path = None
        self.forward_paths = []

    def fail(self) -> None:
        """The receiver does not keep the protocol; nothing it says can be trusted from here on."""
        self.happened.append(("broken",))
        self.broken = True
        self.closed = True
        self.clear()

    def close(self, unanswered: str | None) -> None:
        """The session is over."""
        self.happened.append(("closed", unanswered, self.transaction()))
        self.closed = True
        self.in_data = False
        self.clear()
