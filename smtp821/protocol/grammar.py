"""Command syntax (4.1.2): the productions of the RFC as data, composed into patterns.

`BNF` holds every production by the letter, each under the line of the RFC it comes from; a name
in braces stands for another production. `AMENDED` holds the few that this project reads
otherwise (docs/rfc821-notes.md says why), `LENIENT` what a person at telnet may type as well. A
`Grammar` is such tables laid over each other; `pattern(name)` composes and compiles one
production. Repetitions are possessive wherever two readings could compete, so that matching
takes time linear in the text, whatever the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

__all__ = ["AMENDED", "BNF", "BY_THE_LETTER", "LENIENT", "LOOSE", "STRICT", "Grammar"]

# The part of each command line behind its word: what `Syntax` in commands.py matches.
_TAILS: Final[Mapping[str, str]] = {
    # HELO <SP> <domain> <CRLF>          (one or more spaces: "separated ... by one or more", p27)
    "HELO": " +({domain}){blanks}",
    # MAIL <SP> FROM:<reverse-path> <CRLF>
    "MAIL": " +(?i:FROM:){gap}({reverse-path}){blanks}",
    # RCPT <SP> TO:<forward-path> <CRLF>
    "RCPT": " +(?i:TO:){gap}({forward-path}){blanks}",
    # DATA <CRLF>
    "DATA": "{blanks}",
    # RSET <CRLF>
    "RSET": "{blanks}",
    # SEND <SP> FROM:<reverse-path> <CRLF>
    "SEND": " +(?i:FROM:){gap}({reverse-path}){blanks}",
    # SOML <SP> FROM:<reverse-path> <CRLF>
    "SOML": " +(?i:FROM:){gap}({reverse-path}){blanks}",
    # SAML <SP> FROM:<reverse-path> <CRLF>
    "SAML": " +(?i:FROM:){gap}({reverse-path}){blanks}",
    # VRFY <SP> <string> <CRLF>
    "VRFY": " +({argument}){blanks}",
    # EXPN <SP> <string> <CRLF>
    "EXPN": " +({argument}){blanks}",
    # HELP [<SP> <string>] <CRLF>
    "HELP": "(?: +({argument}))?{blanks}",
    # NOOP <CRLF>
    "NOOP": "{blanks}",
    # QUIT <CRLF>
    "QUIT": "{blanks}",
    # TURN <CRLF>
    "TURN": "{blanks}",
}

BNF: Final[Mapping[str, str]] = {
    **{f"tail:{word}": tail for word, tail in _TAILS.items()},
    **{f"command:{word}": f"(?i:{word}){{tail:{word}}}{{CRLF}}" for word in _TAILS},
    # Three places where the RFC's syntax has nothing, or <string>, and practice has more.
    "blanks": "",
    "gap": "",
    "argument": "{string}",
    # <reverse-path> ::= <path>          ("the reverse-path may be null", 4.1.1 MAIL, Example 7)
    "reverse-path": "(?:<>|{path})",
    # <forward-path> ::= <path>
    "forward-path": "{path}",
    # <path> ::= "<" [ <a-d-l> ":" ] <mailbox> ">"
    "path": "<(?:{a-d-l}:)?{mailbox}>",
    # <a-d-l> ::= <at-domain> | <at-domain> "," <a-d-l>
    "a-d-l": "{at-domain}(?:,{at-domain})*+",
    # <at-domain> ::= "@" <domain>
    "at-domain": "@{domain}",
    # <domain> ::=  <element> | <element> "." <domain>
    "domain": r"{element}(?:\.{element})*+",
    # <element> ::= <name> | "#" <number> | "[" <dotnum> "]"
    "element": r"(?:{name}|#{number}|\[{dotnum}\])",
    # <mailbox> ::= <local-part> "@" <domain>
    "mailbox": "{local-part}@{domain}",
    # <local-part> ::= <dot-string> | <quoted-string>
    "local-part": "(?:{dot-string}|{quoted-string})",
    # <name> ::= <a> <ldh-str> <let-dig>
    "name": "{a}{ldh-str}{let-dig}",
    # <ldh-str> ::= <let-dig-hyp> | <let-dig-hyp> <ldh-str>
    "ldh-str": "{let-dig-hyp}+",
    # <let-dig> ::= <a> | <d>
    "let-dig": "[A-Za-z0-9]",
    # <let-dig-hyp> ::= <a> | <d> | "-"
    "let-dig-hyp": "[A-Za-z0-9-]",
    # <dot-string> ::= <string> | <string> "." <dot-string>
    "dot-string": r"{string}(?:\.{string})*+",
    # <string> ::= <char> | <char> <string>
    "string": "{char}++",
    # <quoted-string> ::=  """ <qtext> """
    "quoted-string": '"{qtext}"',
    # <qtext> ::=  "\" <x> | "\" <x> <qtext> | <q> | <q> <qtext>
    "qtext": r"(?:{q}|\\{x})++",
    # <char> ::= <c> | "\" <x>
    "char": r"(?:{c}|\\{x})",
    # <dotnum> ::= <snum> "." <snum> "." <snum> "." <snum>
    "dotnum": r"{snum}\.{snum}\.{snum}\.{snum}",
    # <number> ::= <d> | <d> <number>
    "number": "{d}++",
    # <CRLF> ::= <CR> <LF>
    "CRLF": "{CR}{LF}",
    # <CR> ::= the carriage return character (ASCII code 13)
    "CR": r"\r",
    # <LF> ::= the line feed character (ASCII code 10)
    "LF": r"\n",
    # <SP> ::= the space character (ASCII code 32)
    "SP": " ",
    # <snum> ::= one, two, or three digits representing a decimal integer value in the range 0
    #            through 255
    "snum": "(?:25[0-5]|2[0-4]{d}|[01]?{d}{1,2})",
    # <a> ::= any one of the 52 alphabetic characters A through Z in upper case and a through z in
    #         lower case
    "a": "[A-Za-z]",
    # <c> ::= any one of the 128 ASCII characters, but not any <special> or <SP>
    "c": r"[!#-'*+\-/0-9=?A-Z^-~]",
    # <d> ::= any one of the ten digits 0 through 9
    "d": "[0-9]",
    # <q> ::= any one of the 128 ASCII characters except <CR>, <LF>, quote ("), or backslash (\)
    "q": r'[^\r\n"\\\x80-\U0010ffff]',
    # <x> ::= any one of the 128 ASCII characters (no exceptions)
    "x": r"[\x00-\x7f]",
    # <special> ::= "<" | ">" | "(" | ")" | "[" | "]" | "\" | "." | "," | ";" | ":" | "@"  """ |
    #               the control characters (ASCII codes 0 through 31 inclusive and 127)
    "special": r'[<>()\[\]\\.,;:@"\x00-\x1f\x7f]',
    # <return-path-line> ::= "Return-Path:" <SP><reverse-path><CRLF>
    "return-path-line": "(?i:Return-Path:) {reverse-path}{CRLF}",
    # <time-stamp-line> ::= "Received:" <SP> <stamp> <CRLF>
    "time-stamp-line": "(?i:Received:) {stamp}{CRLF}",
    # <stamp> ::= <from-domain> <by-domain> <opt-info> ";" <daytime>
    "stamp": "{from-domain}{by-domain}{opt-info};{daytime}",
    # <from-domain> ::= "FROM" <SP> <domain> <SP>
    "from-domain": "(?i:FROM) {domain} ",
    # <by-domain> ::= "BY" <SP> <domain> <SP>
    "by-domain": "(?i:BY) {domain} ",
    # <opt-info> ::= [<via>] [<with>] [<id>] [<for>]
    "opt-info": "(?:{via})?(?:{with})?(?:{id})?(?:{for})?",
    # <via> ::= "VIA" <SP> <link> <SP>           (the names of links are registered elsewhere)
    "via": "(?i:VIA) {string} ",
    # <with> ::= "WITH" <SP> <protocol> <SP>     (and so are those of protocols)
    "with": "(?i:WITH) {string} ",
    # <id> ::= "ID" <SP> <string> <SP>
    "id": "(?i:ID) {string} ",
    # <for> ::= "FOR" <SP> <path> <SP>
    "for": "(?i:FOR) {path} ",
    # <daytime> ::= <SP> <date> <SP> <time>
    "daytime": " {date} {time}",
    # <date> ::= <dd> <SP> <mon> <SP> <yy>
    "date": "{dd} {mon} {yy}",
    # <time> ::= <hh> ":" <mm> ":" <ss> <SP> <zone>
    "time": "{hh}:{mm}:{ss} {zone}",
    # <dd> ::= the one or two decimal integer day of the month in the range 1 to 31.
    "dd": "(?:3[01]|[12]{d}|0?[1-9])",
    # <mon> ::= "JAN" | "FEB" | "MAR" | "APR" | "MAY" | "JUN" |
    #           "JUL" | "AUG" | "SEP" | "OCT" | "NOV" | "DEC"
    "mon": "(?i:JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)",
    # <yy> ::= the two decimal integer year of the century in the range 00 to 99.
    "yy": "{d}{d}",
    # <hh> ::= the two decimal integer hour of the day in the range 00 to 24.
    "hh": "(?:2[0-4]|[01]{d})",
    # <mm> ::= the two decimal integer minute of the hour in the range 00 to 59.
    "mm": "[0-5]{d}",
    # <ss> ::= the two decimal integer second of the minute in the range 00 to 59.
    "ss": "[0-5]{d}",
    # <zone> ::= "UT" for Universal Time (the default) or other time zone designator (as in [2]).
    "zone": "(?:[A-Za-z]+|[+-]{d}{d}{d}{d})",
}

AMENDED: Final[Mapping[str, str]] = {
    # AMB-12: spaces before the CRLF of a command are passed over.
    "blanks": " *",
    # 3.3: "the argument ... is a character string", which nothing restricts further.
    "argument": "{text}",
    "text": "[!-~](?:[ -~]*[!-~])?",
    # AMB-15: RFC 1123 5.2.7 has every receiver take <Postmaster>, in any case.
    "forward-path": "(?:{path}|<(?i:Postmaster)>)",
    "any-path": "(?:{reverse-path}|{forward-path})",
    # AMB-13: 3.7 itself has UK, which <name> cannot derive; RFC 1123 2.1 lets a digit come first.
    "name": "{let-dig}(?:{let-dig-hyp}{0,61}{let-dig})?",
    # But digits and dots alone are an address that lost its brackets, not a name.
    "domain": r"(?![0-9.]++(?![A-Za-z0-9.\-#\[])){element}(?:\.{element})*+",
    # AMB-16: no control character in a path, quoted or not: CR and LF would end the line.
    "q": r"[ !#-\[\]-~]",
    "x": "[ -~]",
    # AMB-50: Example 10 shows FOR without brackets.
    "for": "(?i:FOR) (?:{path}|{mailbox}) ",
    # AMB-49: RFC 1123 5.2.14 has years of four digits.
    "yy": "{d}{d}(?:{d}{d})?",
}

LENIENT: Final[Mapping[str, str]] = {
    # AMB-12, AMB-10: blanks before the CRLF and behind the colon of FROM: and TO:.
    "blanks": "[ \t]*",
    "gap": "[ \t]*",
    # AMB-11: a path without its brackets.
    "reverse-path": "(?:<>|{path}|{mailbox})",
    "forward-path": "(?:{path}|<(?i:Postmaster)>|{mailbox})",
    # AMB-08: any word for a host name.
    "tail:HELO": " +([!-~]+){blanks}",
    # AMB-07: RFC 5321 lets NOOP have an argument, which means nothing.
    "tail:NOOP": "(?: +{text})?{blanks}",
}

_REFERENCE = re.compile(r"\{([A-Za-z][A-Za-z:-]*)\}")


class Grammar:
    """Productions to compose patterns from: tables like `BNF`, a later one over an earlier."""

    def __init__(self, *tables: Mapping[str, str]) -> None:
        self._productions = {name: text for table in tables for name, text in table.items()}
        self._patterns: dict[str, re.Pattern[str]] = {}

    def expand(self, text: str) -> str:
        """Put the patterns of productions in the place of their names in braces.

        text: a regular expression in which `{domain}` stands for the production <domain>.
        Raises KeyError for a name that is no production.
        """
        return _REFERENCE.sub(lambda match: self.expand(self._productions[match[1]]), text)

    def pattern(self, name: str) -> re.Pattern[str]:
        """The compiled pattern of one production, to be used with `fullmatch`.

        name: as in 4.1.2 without the brackets ("a-d-l"), or "command:MAIL" for a whole line.
        Raises KeyError for a name that is no production.
        """
        if name not in self._patterns:
            text = self.expand(self._productions[name])
            self._patterns[name] = re.compile(text, re.ASCII)  # U+017F is no "s" in any case
        return self._patterns[name]


BY_THE_LETTER: Final = Grammar(BNF)
STRICT: Final = Grammar(BNF, AMENDED)
LOOSE: Final = Grammar(BNF, AMENDED, LENIENT)
