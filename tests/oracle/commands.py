"""Command lines (4.1.2 p27 to p29), their replies (4.3), and sizes (4.5.3), typed out."""

from __future__ import annotations

from .paths import Parser, derives, parts, upper

GREETING = "CONNECTION ESTABLISHMENT"
END_OF_DATA = "END OF DATA"

# 4.1.2 p29.
TAKING_A_REVERSE_PATH = ["MAIL", "SEND", "SOML", "SAML"]
TAKING_NOTHING = ["DATA", "RSET", "NOOP", "QUIT", "TURN"]
WORDS = ["HELO", "MAIL", "RCPT", "DATA", "RSET", "SEND", "SOML", "SAML", "VRFY", "EXPN", "HELP"]
WORDS += ["NOOP", "QUIT", "TURN"]

# 4.3 p37 and p38. The replies to DATA stand in two rows, before the data and after it.
CODES: dict[str, list[int]] = {
    GREETING: [220, 421],
    "HELO": [250, 500, 501, 504, 421],
    "MAIL": [250, 552, 451, 452, 500, 501, 421],
    "RCPT": [250, 251, 550, 551, 552, 553, 450, 451, 452, 500, 501, 503, 421],
    "DATA": [354, 451, 554, 500, 501, 503, 421],
    END_OF_DATA: [250, 552, 554, 451, 452],
    "RSET": [250, 500, 501, 504, 421],
    "SEND": [250, 552, 451, 452, 500, 501, 502, 421],
    "SOML": [250, 552, 451, 452, 500, 501, 502, 421],
    "SAML": [250, 552, 451, 452, 500, 501, 502, 421],
    "VRFY": [250, 251, 550, 551, 553, 500, 501, 502, 504, 421],
    "EXPN": [250, 550, 500, 501, 502, 504, 421],
    "HELP": [211, 214, 500, 501, 502, 504, 421],
    "NOOP": [250, 500, 421],
    "QUIT": [221, 500],
    "TURN": [250, 502, 500, 503],
}


def may_answer(code: int, word: str) -> bool:
    """Whether a reply code may be given to a command, by 4.3 and by what the text adds to it."""
    if code == 421:  # 4.3: "may be given to any command if the SMTP-receiver knows ..."
        return True
    if code == 503 and word in TAKING_A_REVERSE_PATH:  # 4.1.1 p27: "commands ... out of order"
        return True
    if code == 501 and word in TAKING_NOTHING:  # 4.2.1: an argument where there is none (AMB-07)
        return True
    return code in CODES[word]


class Sizes:
    """The numbers of 4.5.3 p42, or the roomier ones of the lenient dialect."""

    def __init__(self, *, lenient: bool) -> None:
        if lenient:
            self.user, self.domain, self.path, self.command_line = 128, 255, 448, 1024
        else:
            self.user, self.domain, self.path, self.command_line = 64, 64, 256, 512

    def exceeded(self, word: str, argument: str, *, sent: bool) -> bool:
        """Whether the domain or the path of a command, or a part of it, is too large."""
        if word == "HELO":
            return len(argument) > self.domain
        if word != "RCPT" and word not in TAKING_A_REVERSE_PATH:
            return False
        # AMB-41: the brackets count in what is sent, not in what arrives.
        length = len(argument) if sent else len(argument) - 2
        if length > self.path:
            return True
        users, domains = parts(argument)
        for user in users:  # AMB-42: as it is written
            if len(user) > self.user:
                return True
        return any(len(domain) > self.domain for domain in domains)


def code_of(line: str) -> str | None:
    """The command that a line names, or None: four letters, then a blank or the end (4.1.1)."""
    word = upper(line[:4])
    if word not in WORDS:
        return None
    if line[4:5] not in ["", " ", "\t"]:  # a TAB ends the word too (AMB-12)
        return None
    return word


def argument_of(word: str, line: str, *, lenient: bool) -> str | None:
    """The argument of a command of the line, "" where it takes none, None where it is wrong."""
    rest = line[4:]
    blanks = " \t" if lenient else " "  # before the CRLF (AMB-12)
    while rest != "" and rest[-1] in blanks:
        rest = rest[:-1]
    if rest == "":
        return "" if word in [*TAKING_NOTHING, "HELP"] else None
    if rest[0] != " ":
        return None
    while rest[0] == " ":  # "separated by one or more spaces", p27
        rest = rest[1:]
    if word == "HELO":
        return _host(rest, lenient=lenient)
    if word in TAKING_A_REVERSE_PATH:
        return _reverse_path(rest, lenient=lenient)
    if word == "RCPT":
        return _forward_path(rest, lenient=lenient)
    if word in ["VRFY", "EXPN", "HELP"]:
        return rest if _is_text(rest) else None
    if word == "NOOP" and lenient and _is_text(rest):  # AMB-07
        return ""
    return None


def _is_text(text: str) -> bool:
    """A character string, which nothing restricts further (3.3); not with controls in it."""
    if text[0] == "\t":
        return False
    return all(32 <= ord(character) <= 126 for character in text)


def _host(text: str, *, lenient: bool) -> str | None:
    """HELO <SP> <domain>; lenient: any word (AMB-08)."""
    if lenient:
        return text if all(33 <= ord(character) <= 126 for character in text) else None
    return text if derives("domain", text, amended=True) else None


def _without_word(word: str, text: str, *, lenient: bool) -> str | None:
    """What stands behind FROM: or TO:, which may be written in any case (p27)."""
    if upper(text[: len(word)]) != word:
        return None
    text = text[len(word) :]
    while lenient and text[:1] in [" ", "\t"]:  # AMB-10
        text = text[1:]
    return text


def _reverse_path(text: str, *, lenient: bool) -> str | None:
    """MAIL <SP> FROM:<reverse-path>; lenient: without brackets too (AMB-11)."""
    path = _without_word("FROM:", text, lenient=lenient)
    if path is None:
        return None
    if derives("reverse-path", path, amended=True):
        return path
    return _bracketed(path) if lenient else None


def _forward_path(text: str, *, lenient: bool) -> str | None:
    """RCPT <SP> TO:<forward-path>; lenient: without brackets too (AMB-11)."""
    path = _without_word("TO:", text, lenient=lenient)
    if path is None:
        return None
    if derives("forward-path", path, amended=True):
        return path
    return _bracketed(path) if lenient else None


def _bracketed(mailbox: str) -> str | None:
    parser = Parser(mailbox, amended=True)
    return f"<{mailbox}>" if parser.mailbox() and parser.ended() else None
