"""Sequencing of commands and replies (4.3) and the state diagrams (4.4), as tables.

Role-blind: a receiver and a sender obey the same rows, so they cannot disagree about where a
session stands, and TURN is a change of role over the same table. `TRANSITIONS` lists only what
moves, for 4.1.1 says of everything else that one "must stay in the same state".
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

from .commands import Verb

__all__ = [
    "ADDITIONS",
    "IN_TRANSACTION",
    "MOVES",
    "ORDER",
    "ORDINARY",
    "SEQUENCING",
    "TRANSACTION_VERBS",
    "TRANSITIONS",
    "Effect",
    "Move",
    "Outcome",
    "State",
    "moves",
    "outcome",
]


class State(enum.StrEnum):
    """Where a session stands."""

    OPENING = "OPENING"
    """The connection is made; the greeting is owed."""
    REFUSED = "REFUSED"
    """The greeting was a refusal other than 421; only QUIT is left (RFC 5321 3.1)."""
    INITIAL = "INITIAL"
    """Greeted; HELO is to come (4.1.1)."""
    READY = "READY"
    """No transaction is in progress."""
    MAIL = "MAIL"
    """A transaction has its reverse-path."""
    RCPT = "RCPT"
    """A transaction has a recipient or more."""
    DATA = "DATA"
    """After 354: what comes is mail data, up to its end."""
    TURNED = "TURNED"
    """The roles were exchanged; this session is over, another begins (3.8)."""
    CLOSED = "CLOSED"
    """Nothing more will be said."""


class Outcome(enum.StrEnum):
    """What a reply means for the session: the classes of 4.3 and 4.4."""

    INTERMEDIATE = "I"
    SUCCESS = "S"
    FAILURE = "F"
    ERROR = "E"
    CLOSING = "421"
    """A failure after which the channel is closed (4.2.1)."""


I, S, F, E = Outcome.INTERMEDIATE, Outcome.SUCCESS, Outcome.FAILURE, Outcome.ERROR  # noqa: E741

# 4.3 to the letter, p37 and p38. "P" is not used, and 421 is implied in every row.
SEQUENCING: Final[Mapping[Verb, Mapping[Outcome, tuple[int, ...]]]] = {
    Verb.CONNECT: {S: (220,), F: (421,)},
    Verb.HELO: {S: (250,), E: (500, 501, 504, 421)},
    Verb.MAIL: {S: (250,), F: (552, 451, 452), E: (500, 501, 421)},
    Verb.RCPT: {
        S: (250, 251),
        F: (550, 551, 552, 553, 450, 451, 452),
        E: (500, 501, 503, 421),
    },
    Verb.DATA: {I: (354,), F: (451, 554), E: (500, 501, 503, 421)},
    Verb.END_OF_DATA: {S: (250,), F: (552, 554, 451, 452)},
    Verb.RSET: {S: (250,), E: (500, 501, 504, 421)},
    Verb.SEND: {S: (250,), F: (552, 451, 452), E: (500, 501, 502, 421)},
    Verb.SOML: {S: (250,), F: (552, 451, 452), E: (500, 501, 502, 421)},
    Verb.SAML: {S: (250,), F: (552, 451, 452), E: (500, 501, 502, 421)},
    Verb.VRFY: {S: (250, 251), F: (550, 551, 553), E: (500, 501, 502, 504, 421)},
    Verb.EXPN: {S: (250,), F: (550,), E: (500, 501, 502, 504, 421)},
    Verb.HELP: {S: (211, 214), E: (500, 501, 502, 504, 421)},
    Verb.NOOP: {S: (250,), E: (500, 421)},
    Verb.QUIT: {S: (221,), E: (500,)},
    Verb.TURN: {S: (250,), F: (502,), E: (500, 503)},
}

# Codes that the text of the RFC demands and the rows of 4.3 leave out.
ADDITIONS: Final[Mapping[Verb, Mapping[int, str]]] = {
    Verb.MAIL: {503: "4.1.1 p27: commands of a transaction out of order"},
    Verb.SEND: {503: "4.1.1 p27: commands of a transaction out of order"},
    Verb.SOML: {503: "4.1.1 p27: commands of a transaction out of order"},
    Verb.SAML: {503: "4.1.1 p27: commands of a transaction out of order"},
    Verb.END_OF_DATA: {421: "4.2.1: a reply to any command"},
    Verb.NOOP: {501: "4.2.1: an argument where there is none (AMB-07)"},
    Verb.QUIT: {
        421: "4.2.1: a reply to any command",
        501: "4.2.1: an argument where there is none (AMB-07)",
    },
    Verb.TURN: {
        421: "4.2.1: a reply to any command",
        501: "4.2.1: an argument where there is none (AMB-07)",
    },
}

# The code of the ordinary reply: the first success of each row, or its way there.
ORDINARY: Final[Mapping[Verb, int]] = {
    **{verb: (row.get(S) or row[I])[0] for verb, row in SEQUENCING.items()},
    Verb.HELP: 214,  # rather than 211 (AMB-22)
}

# SEND, SOML and SAML stand in the place of MAIL (3.4).
TRANSACTION_VERBS: Final = (Verb.MAIL, Verb.SEND, Verb.SOML, Verb.SAML)

# Legal at any time in a session (4.1.1 p27; RSET by AMB-05, before HELO by AMB-04).
_ANY_TIME = frozenset({Verb.HELO, Verb.RSET, Verb.VRFY, Verb.EXPN, Verb.HELP, Verb.NOOP, Verb.QUIT})

# Which commands are legal in a state; any other is out of sequence, 503 (4.1.1 p27).
ORDER: Final[Mapping[State, frozenset[Verb]]] = {
    State.OPENING: frozenset({Verb.CONNECT}),
    State.REFUSED: frozenset({Verb.QUIT}),
    State.INITIAL: _ANY_TIME,
    State.READY: _ANY_TIME | {*TRANSACTION_VERBS, Verb.TURN},
    State.MAIL: _ANY_TIME | {Verb.RCPT},
    State.RCPT: _ANY_TIME | {Verb.RCPT, Verb.DATA},
    State.DATA: frozenset({Verb.END_OF_DATA}),
    State.TURNED: frozenset(),
    State.CLOSED: frozenset(),
}

TRANSITIONS: Final[Mapping[tuple[State, Verb, Outcome], State]] = {
    (State.OPENING, Verb.CONNECT, S): State.INITIAL,
    (State.OPENING, Verb.CONNECT, F): State.REFUSED,
    (State.INITIAL, Verb.HELO, S): State.READY,
    **{(State.READY, verb, S): State.MAIL for verb in TRANSACTION_VERBS},
    (State.MAIL, Verb.RCPT, S): State.RCPT,
    (State.RCPT, Verb.DATA, I): State.DATA,
    (State.DATA, Verb.END_OF_DATA, S): State.READY,
    (State.DATA, Verb.END_OF_DATA, F): State.READY,  # the buffers are cleared (4.1.1 DATA)
    (State.MAIL, Verb.HELO, S): State.READY,  # AMB-54
    (State.RCPT, Verb.HELO, S): State.READY,
    (State.MAIL, Verb.RSET, S): State.READY,
    (State.RCPT, Verb.RSET, S): State.READY,
    (State.READY, Verb.TURN, S): State.TURNED,
    **{(state, Verb.QUIT, S): State.CLOSED for state in State if Verb.QUIT in ORDER[state]},
    **{
        (state, verb, Outcome.CLOSING): State.CLOSED  # 421 may answer any command (4.2.1)
        for state, verbs in ORDER.items()
        for verb in Verb
        if verb in verbs
    },
}

# 4.4: the first digit decides, and only DATA waits for a 3yz.
_BY_DIGIT: Final = {2: S, 3: E, 4: F, 5: F}
_BY_DIGIT_AFTER_DATA: Final = {2: E, 3: I, 4: F, 5: F}


def outcome(verb: Verb, code: int) -> Outcome:
    """What a reply code from 200 to 599 means as the answer to a command (4.4).

    By the first digit, listed or not; `Dialect.row_class` gives the class of the table in 4.3,
    which files 500 to 504 under E where 4.4 says F (AMB-31).
    """
    if code == 421:
        return Outcome.CLOSING
    return (_BY_DIGIT_AFTER_DATA if verb is Verb.DATA else _BY_DIGIT)[code // 100]


class Effect(enum.Enum):
    """What a reply does to the buffers of a transaction (4.1.1)."""

    BEGIN = "cleared, and the reverse-path is put in"
    ADD = "a forward-path is added"
    CLEAR = "cleared"
    CLOSE = "the session ends, and with it what is in them"


Move = tuple[State, Effect | None]

# The states in which the buffers of 4.1.1 hold something.
IN_TRANSACTION: Final = frozenset({State.MAIL, State.RCPT, State.DATA})


def moves(
    transitions: Mapping[tuple[State, Verb, Outcome], State],
) -> Mapping[tuple[State, Verb, int], Move]:
    """The table by the first digit of a reply, or 421 itself: what any reply leads to, and does.

    A reply that is not in it leaves everything as it is.
    """
    found: dict[tuple[State, Verb, int], Move] = {}
    for state in State:
        for verb in Verb:
            for digit in (2, 3, 4, 5, 421):
                result = outcome(verb, digit if digit == 421 else digit * 100)
                after = transitions.get((state, verb, result), state)
                effect = _effect(state, verb, result, after)
                if effect is not None or after is not state:
                    found[state, verb, digit] = after, effect
    return found


def _effect(before: State, verb: Verb, result: Outcome, after: State) -> Effect | None:
    if after is State.CLOSED:
        return Effect.CLOSE if before is not after else None
    if after not in IN_TRANSACTION:
        return Effect.CLEAR if before in IN_TRANSACTION else None
    if result is not S:
        return None
    if verb is Verb.RCPT:
        return Effect.ADD
    return Effect.BEGIN if verb in TRANSACTION_VERBS else None


MOVES: Final = moves(TRANSITIONS)
