"""The joint states of a Sender and a Receiver, all of them; and that the search can fail.

tests/model_checking.py has the model and its invariants.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp821 import (
    TRANSITIONS,
    Outcome,
    Receiver,
    Sender,
    State,
    Verb,
)

from .model_checking import (
    EDGES,
    PASSING,
    Pair,
    Scope,
    Search,
    Violation,
    coverage,
    explore,
    message,
    scopes,
)
from .mutants import (
    BelievesTooSoon,
    Converts,
    DoublesDotsBehindLF,
    DoublesNoDot,
    DropsADot,
    EndsAtALoneLF,
    EndsBetweenLFs,
    EndsLinesAtCR,
    EndsWithoutCRLF,
    ForgetsToClear,
    LivesOn,
    MissesAnLF,
    Mistakes,
    Repeats,
    RepliesNever,
    RepliesTwice,
    SpeaksWhenCut,
    SwallowsReplies,
)
from .walks import WHOLE

PAGE = Path(__file__).parent.parent / "docs" / "testing.md"
NAMES = [scope.name for scope in scopes()]


@cache
def search(name: str, *, deep: bool) -> Search:
    """One of the searches; each is made once."""
    (scope,) = (scope for scope in scopes(deep=deep) if scope.name == name)
    return explore(scope)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_goes_wrong(name: str, deep: bool) -> None:
    """Every state that can be reached is reached, and the invariants hold in each."""
    found = search(name, deep=deep)
    assert found.closed
    assert found.deepest > 5
    assert found.moves > len(found.numbers)


def test_every_row_is_taken(deep: bool) -> None:
    """4.1.1, 4.4: by both ends every row of TRANSITIONS, and every class of reply that stays."""
    searches = [search(name, deep=deep) for name in NAMES]
    given: set[object] = set().union(*(found.given for found in searches))
    got: set[object] = set().union(*(found.got for found in searches))
    assert given == got == EDGES
    assert TRANSITIONS.keys() <= given
    assert f"{len(TRANSITIONS)} and {len(TRANSITIONS)} of" in coverage(searches)


def test_every_state_is_seen(deep: bool) -> None:
    """Both ends are together in each state; apart only on the way there."""
    together = set().union(*(search(name, deep=deep).seen for name in NAMES))
    assert {(state, state) for state in State} <= together


@pytest.mark.parametrize("name", ["messages", "converted", "refused"])
def test_every_message_is_said(name: str, deep: bool) -> None:
    """4.5.2: all strings of dot, CR, LF and "a" up to a length, but what may not be sent."""
    found = search(name, deep=deep)
    octets = found.scope.octets
    assert octets is not None
    sendable = [text for text in found.messages if len(text) <= octets]
    if name != "converted":
        assert len(sendable) == sum(4**size for size in range(octets + 1))
    else:  # no CR but before an LF
        assert all(text.count(b"\r") == text.count(b"\r\n") for text in sendable)
        assert len(sendable) > 3**octets


def test_the_page_has_the_numbers() -> None:
    """docs/testing.md says of the ordinary searches what they find today."""
    page = PAGE.read_text(encoding="utf-8")
    searches = [search(name, deep=False) for name in NAMES]
    for found in searches:
        assert f"\n{found}\n" in page
    assert f"\n{coverage(searches)}\n" in page


def test_a_bound_of_depth_is_told() -> None:
    """A search that stops early says so."""
    found = explore(Scope(name="short"), depth=5)
    assert (found.closed, found.deepest) == (False, 5)
    assert str(found).endswith("to depth 5")


@given(st.data())
def test_a_move_changes_nothing_before_it(data: st.DataObject) -> None:
    """States are snapshots: all moves can be made from one of them, and made again."""
    pair = Pair(Scope(name="walk", octets=3, recipients=2, turns=1))
    for _ in range(data.draw(st.integers(0, 40))):
        moves = [*pair.moves(), *pair.faults()]
        if not moves:
            break
        key = pair.key()
        first = [pair.do(move).key() for move in moves]
        assert [pair.do(move).key() for move in moves] == first
        assert pair.key() == key
        onward = [move for move in moves if move[0] not in ("cut", "shut down")]
        if not onward:
            break
        pair = pair.do(data.draw(st.sampled_from(onward)))


# --- the search can fail ------------------------------------------------------------------------

QUICK = Scope(name="quick", pieces=False, faults=False, turns=1, recipients=2)


def refutes(scope: Scope) -> str:
    """The story of the violation that a search finds."""
    with pytest.raises(Violation) as caught:
        explore(scope)
    return str(caught.value)


def test_the_quick_search_finds_nothing_by_itself() -> None:
    """What the mutants below are found with finds nothing wrong with the library."""
    assert explore(QUICK).closed


def without(row: tuple[State, Verb, Outcome]) -> dict[tuple[State, Verb, Outcome], State]:
    """The table without a row: what moves the session there stays where it is."""
    return {key: after for key, after in TRANSITIONS.items() if key != row}


@pytest.mark.parametrize("row", TRANSITIONS)
def test_a_row_that_the_sender_lacks_is_missed(row: tuple[State, Verb, Outcome]) -> None:
    """Both ends have to have each row."""
    dialect = attrs.evolve(WHOLE, transitions=without(row))
    refutes(attrs.evolve(QUICK, dialect=dialect))


# A Receiver closes on 421 without looking it up, for it may say it unasked (4.2.1).
@pytest.mark.parametrize("row", [row for row in TRANSITIONS if row[2] is not Outcome.CLOSING])
def test_a_row_that_the_receiver_lacks_is_missed(row: tuple[State, Verb, Outcome]) -> None:
    """And at the other end."""
    dialect = attrs.evolve(WHOLE, transitions=without(row))
    refutes(attrs.evolve(QUICK, receiving=dialect))


SESSION = attrs.evolve(QUICK, pieces=True, recipients=1, turns=0)
CUT = attrs.evolve(SESSION, faults=True)
MESSAGE = message("a message", octets=3, memory=0, faults=False)
LONGER = message("a longer message", octets=4, pieces=False, memory=0, faults=False)


@pytest.mark.parametrize(
    ("scope", "mutant", "what"),
    [
        (MESSAGE, DropsADot, "was never said"),
        (QUICK, RepliesTwice, "was written"),
        (QUICK, RepliesNever, "was written"),
        (MESSAGE, EndsBetweenLFs, "was never said"),
        (SESSION, EndsLinesAtCR, "before all of it had come"),
        (SESSION, MissesAnLF, "nobody can move"),
        (QUICK, ForgetsToClear, "different envelopes"),
        (CUT, LivesOn, "end of file"),
        (CUT, SpeaksWhenCut, "end of file"),
        (QUICK, Mistakes, "Rejected"),
        (MESSAGE, DoublesNoDot, "was never said"),
        (MESSAGE, DoublesDotsBehindLF, "was never said"),
        (MESSAGE, EndsWithoutCRLF, "was never said"),
        (SESSION, BelievesTooSoon, "before it was whole"),
        (QUICK, Repeats, "was written"),
        (QUICK, SwallowsReplies, "a whole reply was not read"),
    ],
)
def test_a_mutant_is_found(scope: Scope, mutant: type[Sender | Receiver], what: str) -> None:
    """Each mistake, in one of the two ends, breaks an invariant; the story leads there."""
    if issubclass(mutant, Receiver):
        story = refutes(attrs.evolve(scope, receiver=mutant))
    else:
        story = refutes(attrs.evolve(scope, sender=mutant))
    assert what in story.partition("\n")[0], story


def test_the_search_for_mutants_finds_nothing_by_itself() -> None:
    """So it is the mutant that is found; the others are within the ordinary searches."""
    assert explore(MESSAGE).closed


def test_what_no_sender_says_is_not_searched() -> None:
    """A Sender doubles each dot behind CRLF: CR LF dot LF never comes from it (test_oracle.py)."""
    assert explore(attrs.evolve(LONGER, receiver=EndsAtALoneLF)).closed


def test_a_policy_that_is_not_the_documented_one_is_found() -> None:
    """AMB-36: what a sender converts is not what was said, and is found if it should pass."""
    assert "was refused" in refutes(attrs.evolve(MESSAGE, dialect=PASSING, sender=Converts))
