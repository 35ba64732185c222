"""The BNF of 4.1.2 as a recursive descent: a method for each production, under its own line.

`Parser(text)` reads by the letter, `Parser(text, amended=True)` as this project reads it. A method
moves over what it derives and gives True, or gives False wherever it stands then; so no production
is ever tried twice, which is enough, for 4.1.2 needs no more than one character of foresight.
"""

from __future__ import annotations

A = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
D = "0123456789"
SP = " "
CONTROLS = "".join(chr(code) for code in range(32)) + chr(127)
SPECIAL = '<>()[]\\.,;:@"' + CONTROLS  # AMB-17: "@" and the quote are two of them
ASCII = "".join(chr(code) for code in range(128))


def upper(text: str) -> str:
    """The text with the 26 letters of ASCII, and nothing else, in upper case (4.1.2)."""
    return "".join(chr(ord(c) - 32) if c in A[26:] else c for c in text)


class Parser:
    """A text, and how far it was read."""

    def __init__(self, text: str, *, amended: bool = False) -> None:
        self.text = text
        self.amended = amended
        self.at = 0
        self.users: list[str] = []
        self.domains: list[str] = []

    # What every production is made of.

    def peek(self) -> str:
        """The next character, or "" at the end."""
        return self.text[self.at : self.at + 1]

    def literal(self, character: str) -> bool:
        """One character, given."""
        if self.peek() != character:
            return False
        self.at += 1
        return True

    def one_of(self, characters: str) -> bool:
        """One character out of many."""
        if self.peek() == "" or self.peek() not in characters:
            return False
        self.at += 1
        return True

    def ended(self) -> bool:
        """Whether all was read."""
        return self.at == len(self.text)

    # The productions, in the order of the RFC.

    def reverse_path(self) -> bool:
        """<reverse-path> ::= <path>; it may be null (3.6, 4.1.1 MAIL, AMB-14)."""
        if self.text[self.at : self.at + 2] == "<>":
            self.at += 2
            return True
        return self.path()

    def forward_path(self) -> bool:
        """<forward-path> ::= <path>; and <Postmaster>, in any case of letters (AMB-15)."""
        if self.amended and upper(self.text[self.at : self.at + 12]) == "<POSTMASTER>":
            self.at += 12
            return True
        return self.path()

    def path(self) -> bool:
        """<path> ::= "<" [ <a-d-l> ":" ] <mailbox> ">"."""
        if not self.literal("<"):
            return False
        if self.peek() == "@":
            if not self.a_d_l():
                return False
            if not self.literal(":"):
                return False
        if not self.mailbox():
            return False
        return self.literal(">")

    def a_d_l(self) -> bool:
        """<a-d-l> ::= <at-domain> | <at-domain> "," <a-d-l>."""
        if not self.at_domain():
            return False
        if self.peek() == ",":
            self.at += 1
            return self.a_d_l()
        return True

    def at_domain(self) -> bool:
        """<at-domain> ::= "@" <domain>."""
        return self.literal("@") and self.domain()

    def domain(self) -> bool:
        """<domain> ::= <element> | <element> "." <domain>."""
        start = self.at
        if not self.elements():
            return False
        text = self.text[start : self.at]
        self.domains.append(text)
        lost_its_brackets = all(c in D + "." for c in text)
        return not (self.amended and lost_its_brackets)  # AMB-13

    def elements(self) -> bool:
        """<domain> again, without what is said of it as a whole."""
        if not self.element():
            return False
        if self.peek() == ".":
            self.at += 1
            return self.elements()
        return True

    def element(self) -> bool:
        """<element> ::= <name> | "#" <number> | "[" <dotnum> "]"."""
        if self.peek() == "#":
            self.at += 1
            return self.number()
        if self.peek() == "[":
            self.at += 1
            return self.dotnum() and self.literal("]")
        return self.name()

    def mailbox(self) -> bool:
        """<mailbox> ::= <local-part> "@" <domain>."""
        start = self.at
        if not self.local_part():
            return False
        self.users.append(self.text[start : self.at])
        return self.literal("@") and self.domain()

    def local_part(self) -> bool:
        """<local-part> ::= <dot-string> | <quoted-string>."""
        if self.peek() == '"':
            return self.quoted_string()
        return self.dot_string()

    def name(self) -> bool:
        """<name> ::= <a> <ldh-str> <let-dig>; by AMB-13 one to 63 of them, a digit first or not."""
        start = self.at
        while self.one_of(A + D + "-"):
            pass
        text = self.text[start : self.at]
        if text == "":
            return False
        if text[-1] == "-":
            return False
        if self.amended:
            return text[0] != "-" and len(text) <= 63
        return text[0] in A and len(text) >= 3

    def dot_string(self) -> bool:
        """<dot-string> ::= <string> | <string> "." <dot-string>."""
        if not self.string():
            return False
        if self.peek() == ".":
            self.at += 1
            return self.dot_string()
        return True

    def string(self) -> bool:
        """<string> ::= <char> | <char> <string>."""
        if not self.char():
            return False
        while self.peek() != "" and (self.peek() == "\\" or self.is_c()):
            if not self.char():
                return False
        return True

    def quoted_string(self) -> bool:
        '''<quoted-string> ::= """ <qtext> """.'''
        return self.literal('"') and self.qtext() and self.literal('"')

    def qtext(self) -> bool:
        r"""<qtext> ::= "\" <x> | "\" <x> <qtext> | <q> | <q> <qtext>."""
        count = 0
        while self.peek() != "" and self.peek() != '"':
            if self.peek() == "\\":
                self.at += 1
                if not self.x():
                    return False
            elif not self.q():
                return False
            count += 1
        return count > 0

    def char(self) -> bool:
        r"""<char> ::= <c> | "\" <x>."""
        if self.peek() == "\\":
            self.at += 1
            return self.x()
        if not self.is_c():
            return False
        self.at += 1
        return True

    def dotnum(self) -> bool:
        """<dotnum> ::= <snum> "." <snum> "." <snum> "." <snum>."""
        for number in range(4):
            if number > 0 and not self.literal("."):
                return False
            if not self.snum():
                return False
        return True

    def number(self) -> bool:
        """<number> ::= <d> | <d> <number>."""
        if not self.one_of(D):
            return False
        while self.one_of(D):
            pass
        return True

    def snum(self) -> bool:
        """<snum> ::= one, two, or three digits representing a decimal integer, 0 through 255."""
        start = self.at
        while self.at - start < 3 and self.one_of(D):
            pass
        digits = self.text[start : self.at]
        if digits == "":
            return False
        return int(digits) <= 255

    def is_c(self) -> bool:
        """<c> ::= any one of the 128 ASCII characters, but not any <special> or <SP>."""
        character = self.peek()
        if character == "" or character not in ASCII:
            return False
        return character not in SPECIAL and character != SP

    def q(self) -> bool:
        """<q> ::= any one of the 128 ASCII characters except <CR>, <LF>, quote, or backslash."""
        if self.amended and self.peek() in CONTROLS:
            return False  # AMB-16
        if self.peek() in '\r\n"\\':
            return False
        return self.one_of(ASCII)

    def x(self) -> bool:
        """<x> ::= any one of the 128 ASCII characters (no exceptions; by AMB-16: no controls)."""
        if self.amended and self.peek() in CONTROLS:
            return False
        return self.one_of(ASCII)


def derives(production: str, text: str, *, amended: bool = False) -> bool:
    """Whether the production ("path", "a-d-l") derives the text, and all of it."""
    parser = Parser(text, amended=amended)
    method = getattr(parser, production.replace("-", "_"))
    return method() is True and parser.ended()


def parts(path: str) -> tuple[list[str], list[str]]:
    """The users and the domains in a path that was derived, as they are written."""
    parser = Parser(path, amended=True)
    if not parser.reverse_path():
        parser = Parser(path, amended=True)
        parser.forward_path()
    return parser.users, parser.domains
