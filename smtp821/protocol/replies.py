"""Replies (4.2, Appendix E): the 21 codes as a table, the value, and both directions of the wire.

Sending is strict: text is made safe, so that whatever an application says becomes a well-formed
reply of the same code. Receiving takes any code from 200 to 599 (a sender goes by the first
digit, Appendix E) and refuses what is malformed.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final

import attrs

from .errors import LocalProtocolError, RemoteProtocolError
from .grammar import STRICT
from .limits import Limits
from .lines import LineReader
from .paths import Path, trusted

__all__ = ["STANDARD_TEXTS", "Category", "Code", "Reply", "ReplyReader", "Severity"]


class Code(enum.IntEnum):
    """The vocabulary of 4.2.2; nothing else may be sent."""

    SYSTEM_STATUS = 211
    HELP_MESSAGE = 214
    SERVICE_READY = 220
    CLOSING_CHANNEL = 221
    OKAY = 250
    WILL_FORWARD = 251
    START_MAIL_INPUT = 354
    NOT_AVAILABLE = 421
    MAILBOX_BUSY = 450
    LOCAL_ERROR = 451
    INSUFFICIENT_STORAGE = 452
    UNRECOGNIZED = 500
    ARGUMENT_SYNTAX = 501
    NOT_IMPLEMENTED = 502
    BAD_SEQUENCE = 503
    PARAMETER_NOT_IMPLEMENTED = 504
    MAILBOX_UNAVAILABLE = 550
    NOT_LOCAL = 551
    STORAGE_EXCEEDED = 552
    NAME_NOT_ALLOWED = 553
    TRANSACTION_FAILED = 554


# The texts of 4.2.1 and the scenarios. "{domain}": the text begins with the receiver's name;
# "{forward-path}": the text carries a path (3.2). Only the code has meaning (Appendix E).
STANDARD_TEXTS: Final[Mapping[int, str]] = {
    Code.SYSTEM_STATUS: "System status",
    Code.HELP_MESSAGE: "Help message",
    Code.SERVICE_READY: "{domain} Simple Mail Transfer Service Ready",
    Code.CLOSING_CHANNEL: "{domain} Service closing transmission channel",
    Code.OKAY: "OK",
    Code.WILL_FORWARD: "User not local; will forward to {forward-path}",
    Code.START_MAIL_INPUT: "Start mail input; end with <CRLF>.<CRLF>",
    Code.NOT_AVAILABLE: "{domain} Service not available, closing transmission channel",
    Code.MAILBOX_BUSY: "Requested mail action not taken: mailbox unavailable",
    Code.LOCAL_ERROR: "Requested action aborted: local error in processing",
    Code.INSUFFICIENT_STORAGE: "Requested action not taken: insufficient system storage",
    Code.UNRECOGNIZED: "Syntax error, command unrecognized",
    Code.ARGUMENT_SYNTAX: "Syntax error in parameters or arguments",
    Code.NOT_IMPLEMENTED: "Command not implemented",
    Code.BAD_SEQUENCE: "Bad sequence of commands",
    Code.PARAMETER_NOT_IMPLEMENTED: "Command parameter not implemented",
    Code.MAILBOX_UNAVAILABLE: "Requested action not taken: mailbox unavailable",
    Code.NOT_LOCAL: "User not local; please try {forward-path}",
    Code.STORAGE_EXCEEDED: "Requested mail action aborted: exceeded storage allocation",
    Code.NAME_NOT_ALLOWED: "Requested action not taken: mailbox name not allowed",
    Code.TRANSACTION_FAILED: "Transaction failed",
}


class Severity(enum.IntEnum):
    """What the first digit says (Appendix E): all that a sender needs to know."""

    COMPLETED = 2
    INTERMEDIATE = 3
    TRANSIENT = 4
    PERMANENT = 5


_SEVERITIES: Final = {severity.value: severity for severity in Severity}


class Category(enum.IntEnum):
    """What the second digit says (Appendix E)."""

    SYNTAX = 0
    INFORMATION = 1
    CONNECTION = 2
    UNSPECIFIED_3 = 3
    UNSPECIFIED_4 = 4
    MAIL_SYSTEM = 5


_set = object.__setattr__

_UNSAFE = re.compile(r"[^ -~]")
_LINE_ENDS = re.compile(r"\r\n|\r|\n")
_UNPRINTABLE = re.compile(r"[^\t -~]")
_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])([^\r\n]*+))?")


@cache
def _path_pattern() -> re.Pattern[str]:
    """A path in a text; made when it is needed.

    Behind a backslash no path begins: else every "<" in "<a\\<a\\<a" would be one to read on from.
    """
    return re.compile(r"(?<!\\)" + STRICT.expand("{path}"))


def _is_safe(line: str, width: int) -> bool:
    """Whether a line may go over the channel as it is; most do."""
    return len(line) <= width and line.isascii() and line.isprintable()


def _lines(value: str | Iterable[str]) -> tuple[str, ...]:
    lines = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
    if not all(isinstance(line, str) for line in lines):
        raise LocalProtocolError(f"the text of a reply is lines of str, not {lines!a}")
    return lines


@attrs.frozen
class Reply:
    """One reply to one command (4.2).

    code: 200 to 599; those of `Code` are the ones that may be sent.
    lines: the text, a line each, without code and CRLF; a str is one line. Left out, it is the
        standard text of 4.2.1.

    Raises LocalProtocolError for another code, for lines that are not str, and where there is
    neither text nor a standard.
    """

    code: int = attrs.field()
    lines: tuple[str, ...] = attrs.field(default=(), converter=_lines)

    @code.validator
    def _check_code(self, _: object, code: int) -> None:
        if not (isinstance(code, int) and 200 <= code <= 599):
            raise LocalProtocolError(f"{code!r} is no reply code; 200 to 599 are (Appendix E)")

    def __attrs_post_init__(self) -> None:
        if not self.lines:
            text = STANDARD_TEXTS.get(self.code)
            if text is None:
                raise LocalProtocolError(f"{self.code} has no standard text; give it one")
            if "{forward-path}" in text:
                raise LocalProtocolError(f"{self.code} carries a forward-path; see Reply.forward")
            object.__setattr__(self, "lines", (text.removeprefix("{domain} "),))

    @classmethod
    def forward(cls, code: int, path: Path) -> Reply:
        """251 or 551 with the forward-path to use instead (3.2).

        Raises LocalProtocolError for another code, and for a path without a mailbox.
        """
        if path.mailbox is None:
            raise LocalProtocolError(f"{path} leads to no mailbox that a sender could try (3.2)")
        text = STANDARD_TEXTS.get(code, "")
        if "{forward-path}" not in text:
            raise LocalProtocolError(f"{code} carries no forward-path; 251 and 551 do (3.2)")
        return cls(code, text.replace("{forward-path}", str(path)))

    @property
    def text(self) -> str:
        """The lines as one text, with LF between them."""
        return "\n".join(self.lines)

    @property
    def severity(self) -> Severity:
        """What the first digit says."""
        return _SEVERITIES[self.code // 100]

    @property
    def category(self) -> Category | None:
        """What the second digit says; None for 6 to 9, which Appendix E does not have."""
        digit = self.code // 10 % 10
        return Category(digit) if digit <= Category.MAIL_SYSTEM else None

    @property
    def forward_path(self) -> Path | None:
        """The first path in the text of a 251 or 551 (3.2); None if there is none."""
        if self.code not in (Code.WILL_FORWARD, Code.NOT_LOCAL):
            return None
        found = _path_pattern().search(self.text)
        return trusted(Path, "text", found[0]) if found else None

    def safe_lines(self, width: int) -> list[str]:
        """The text as it may go over the channel, in lines of at most `width` characters.

        Line ends make new lines, other control characters and what is not ASCII become "?", and
        long lines are continued on the next; so one reply stays one reply.
        """
        if len(self.lines) == 1 and _is_safe(self.lines[0], width):
            return [self.lines[0]]
        safe: list[str] = []
        for line in self.lines:
            for raw in _LINE_ENDS.split(line):
                part = _UNSAFE.sub("?", raw)
                safe += [part[at : at + width] for at in range(0, len(part), width)] or [""]
        return safe

    def to_bytes(self, limits: Limits) -> bytes:
        """The reply as it goes over the channel, each line with its CRLF (Appendix E).

        Lines over the number allowed are left out.
        """
        width = limits.reply_line - len("250 \r\n")
        lines = self.safe_lines(width)[: limits.reply_lines]
        head = "".join(f"{self.code}-{line}\r\n" for line in lines[:-1])
        return f"{head}{self.code} {lines[-1]}\r\n".encode("ascii")

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


def _read(code: int, lines: tuple[str, ...]) -> Reply:
    """A Reply without the checks that the reader has already done."""
    reply = trusted(Reply, "code", code)
    _set(reply, "lines", lines)
    return reply


class ReplyReader:
    """Replies out of lines, in any chunking; holds at most `reply_lines` lines of `reply_line`."""

    __slots__ = ("_code", "_input", "_limits", "_texts")

    def __init__(self, lines: LineReader, limits: Limits) -> None:
        self._input = lines
        self._limits = limits
        self._code = 0  # of the multi-line reply that is being read
        self._texts: list[str] = []

    def begun(self) -> bool:
        """Whether a reply has begun and not ended."""
        return self._code != 0 or self._input.waits()

    def next_reply(self) -> Reply | None:
        """The next reply, or None while it is not complete.

        Text octets that cannot be shown (control characters but TAB, octets above 126) are
        replaced by U+FFFD. Raises RemoteProtocolError for a malformed reply (Appendix E).
        """
        while (line := self._input.next_line()) is not None:
            code, more, text = self._parse(line)
            self._texts.append(text)
            if not more:
                lines = tuple(self._texts)
                self._code = 0
                self._texts.clear()
                return _read(code, lines)
            if len(self._texts) >= self._limits.reply_lines:
                raise RemoteProtocolError(f"a reply of over {self._limits.reply_lines} lines")
            self._code = code
        return None

    def _parse(self, line: bytes) -> tuple[int, bool, str]:
        """The code, whether more lines follow, and the text; a bare code will do (AMB-33)."""
        if len(line) > self._limits.reply_line - 2:
            raise RemoteProtocolError(f"a reply line of over {self._limits.reply_line} octets")
        match = _LINE.fullmatch(line)
        if match is None:
            raise RemoteProtocolError(f"a malformed reply line: {line[:40]!r}")
        code = int(match[1])
        if self._code and code != self._code:
            raise RemoteProtocolError(f"code {code} inside a reply of code {self._code} (AMB-34)")
        text = (match[3] or b"").decode("latin-1")
        if not _is_safe(text, len(text)):
            text = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)
        return code, match[2] == b"-", text
