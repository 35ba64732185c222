"""The tables of 4.3 and 4.4: equal to the RFC's, and walked edge by edge by both roles at once."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp821 import (
    ADDITIONS,
    NEED_COMMAND,
    ORDER,
    ORDINARY,
    RFC821,
    SEQUENCING,
    TRANSITIONS,
    Closed,
    Code,
    Outcome,
    Receiver,
    Replied,
    Sender,
    State,
    Turned,
    Verb,
    outcome,
)
from smtp821.protocol.sequencing import MOVES, TRANSACTION_VERBS, Effect, moves

from .walks import EXAMPLES, HOST, LINES, WHOLE, answered, say, step

Step = tuple[Verb, int]

DATA: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "data" / "sequencing.json").read_text("utf-8")
)
NO_ARGUMENT: Final = (Verb.DATA, Verb.RSET, Verb.NOOP, Verb.QUIT, Verb.TURN)

# Independent of the tables: what is legal where, by 4.1.1 p27 and the AMB rows in the notes.
ANY_TIME: Final = "HELO RSET VRFY EXPN HELP NOOP QUIT"
EXPECTED_ORDER: Final = {
    "OPENING": "CONNECTION-ESTABLISHMENT",
    "REFUSED": "QUIT",  # AMB-29
    "INITIAL": ANY_TIME,  # AMB-03, AMB-04, AMB-05
    "READY": f"{ANY_TIME} MAIL SEND SOML SAML TURN",
    "MAIL": f"{ANY_TIME} RCPT",  # AMB-02, AMB-06, AMB-25
    "RCPT": f"{ANY_TIME} RCPT DATA",
    "DATA": "END-OF-DATA",  # AMB-46
    "TURNED": "",
    "CLOSED": "",
}
STATE_NAMES: Final = {
    "INITIAL(no HELO)": State.INITIAL,
    "READY": State.READY,
    "MAIL(no recipients)": State.MAIL,
    "RCPT(>=1 accepted)": State.RCPT,
}
STATED: Final = [
    (STATE_NAMES[name], Verb(word), str(expected))
    for name, row in DATA["state_command_expectation"].items()
    if name in STATE_NAMES
    for word, expected in row.items()
]


def verb_named(key: str) -> Verb:
    """The verb of a row in the data."""
    return Verb.END_OF_DATA if key == "DATA.end-of-data" else Verb(key)


def expected_after(state: State, verb: Verb, result: Outcome) -> State:
    """Where a session stands after a reply, in the words of 4.1.1 and 4.4 rather than a table."""
    success = result is Outcome.SUCCESS
    if result is Outcome.CLOSING or (verb is Verb.QUIT and success):
        return State.CLOSED
    if verb is Verb.CONNECT:
        return {Outcome.SUCCESS: State.INITIAL, Outcome.FAILURE: State.REFUSED}.get(result, state)
    if verb is Verb.END_OF_DATA:  # "the buffers are cleared", whether it succeeds or fails
        return State.READY if result in (Outcome.SUCCESS, Outcome.FAILURE) else state
    if verb is Verb.DATA:
        return State.DATA if result is Outcome.INTERMEDIATE else state
    if not success or (verb is Verb.RSET and state is State.INITIAL):
        return state
    moves = {Verb.HELO: State.READY, Verb.RSET: State.READY, Verb.RCPT: State.RCPT}
    moves |= dict.fromkeys((Verb.MAIL, Verb.SEND, Verb.SOML, Verb.SAML), State.MAIL)
    moves[Verb.TURN] = State.TURNED
    return moves.get(verb, state)


def ways(target: State) -> list[Step]:
    """The shortest way from the opening to a state, found in the tables."""
    queue: deque[tuple[State, list[Step]]] = deque([(State.OPENING, [])])
    seen = {State.OPENING}
    while queue:
        state, way = queue.popleft()
        if state is target:
            return way
        for verb in sorted(ORDER[state]):
            for code in sorted(WHOLE.codes[verb]):
                after = TRANSITIONS.get((state, verb, outcome(verb, code)), state)
                if after not in seen:
                    seen.add(after)
                    queue.append((after, [*way, (verb, code)]))
    raise AssertionError(f"{target} cannot be reached")


def walk(steps: Iterable[Step]) -> tuple[Receiver, Sender]:
    """Take both roles along a way, each on its own, and compare them after every step."""
    receiver, sender = Receiver(HOST, WHOLE), Sender(WHOLE)
    for verb, code in steps:
        before = receiver.state
        assert say(sender, verb) == (b"" if verb is Verb.CONNECT else LINES[verb])
        written = step(receiver, verb, code)
        assert re.fullmatch(rb"%d [ -~]+\r\n" % code, written)
        event = answered(sender, written)
        assert isinstance(event, Replied)
        assert (event.verb, event.reply.code, event.command) == (verb, code, EXAMPLES.get(verb))
        assert event.outcome is outcome(verb, code)
        assert receiver.state is sender.state is expected_after(before, verb, event.outcome)
        assert receiver.envelope == sender.envelope
    return receiver, sender


# --- 4.3: the table ---------------------------------------------------------------------------


def test_the_rows_are_those_of_the_rfc() -> None:
    """4.3 p37, p38: a row for each command, for the greeting and for the end of data."""
    assert {verb_named(key) for key in DATA["table"]} == SEQUENCING.keys() == set(Verb)


@pytest.mark.clause("3.3-09", "3.3-10", "4.2.1-06", "4.3-06")
@pytest.mark.parametrize("key", DATA["table"])
def test_each_row_is_that_of_the_rfc(key: str) -> None:
    """4.3 p37, p38: the codes of each row, in their classes and their order."""
    row = {name: tuple(codes) for name, codes in DATA["table"][key].items() if codes}
    assert {class_.value: codes for class_, codes in SEQUENCING[verb_named(key)].items()} == row


@pytest.mark.clause("4.3-08", "E-03")
def test_the_preliminary_class_is_not_used() -> None:
    """4.3: "P" codes are not used in SMTP, and no Outcome stands for them."""
    assert all(row["P"] == [] for row in DATA["table"].values())
    assert {member.value for member in Outcome} == {"I", "S", "F", "E", "421"}


@pytest.mark.clause("4.2.2-01", "AMB-30")
def test_the_rows_use_the_whole_vocabulary() -> None:
    """4.2.2: the codes of the rows are the 21 of the list, each used somewhere."""
    used = {code for row in SEQUENCING.values() for codes in row.values() for code in codes}
    assert used == {int(code) for code in DATA["codes"]} == set(Code)


@pytest.mark.clause("4.2.1-08", "4.3-06", "AMB-03")
def test_the_additions_are_those_that_the_text_forces() -> None:
    """4.1.1 p27 (503), 4.2.1 (421) and AMB-07 (501), where the rows leave them out."""
    forced = {Verb(name): {503} for name in ("MAIL", "SEND", "SOML", "SAML")}
    for key, row in DATA["table"].items():
        verb, listed = verb_named(key), {code for codes in row.values() for code in codes}
        missing = {421} | ({501} if verb in NO_ARGUMENT else set())
        if missing - listed:
            forced.setdefault(verb, set()).update(missing - listed)
    assert {verb: set(codes) for verb, codes in ADDITIONS.items()} == forced


@pytest.mark.parametrize("verb", ADDITIONS)
def test_each_addition_has_its_reason(verb: Verb) -> None:
    """Each code that is added names the section that demands it, and is not in the row."""
    listed = {code for codes in SEQUENCING[verb].values() for code in codes}
    for code, reason in ADDITIONS[verb].items():
        assert re.match(r"\d\.\d\.\d( p\d\d)?: \w", reason)
        assert code not in listed


@pytest.mark.clause("AMB-22")
@pytest.mark.parametrize("verb", Verb)
def test_the_ordinary_reply_is_the_first_success(verb: Verb) -> None:
    """4.3: the first code under S, or 354; but 214 rather than 211 for HELP (AMB-22)."""
    others = {Verb.CONNECT: 220, Verb.DATA: 354, Verb.HELP: 214, Verb.QUIT: 221}
    assert ORDINARY[verb] == others.get(verb, 250)


@pytest.mark.clause("3.4-06")
@pytest.mark.parametrize("verb", [Verb.SEND, Verb.SOML, Verb.SAML])
def test_the_transaction_verbs_have_the_replies_of_mail(verb: Verb) -> None:
    """3.4: the codes of MAIL, and 502, for it need not be implemented."""
    assert RFC821.codes[verb] == RFC821.codes[Verb.MAIL] | {Code.NOT_IMPLEMENTED}
    for code in RFC821.codes[Verb.MAIL]:
        assert RFC821.row_class(verb, code) is RFC821.row_class(Verb.MAIL, code)


# --- 4.1.1: the order -------------------------------------------------------------------------


def test_the_states_are_those_of_the_rfc() -> None:
    """The states in the data, and REFUSED (AMB-27) and TURNED (3.8)."""
    names = {str(name).partition("(")[0] for name in DATA["receiver_states"]} - {"GREETING"}
    assert names | {"OPENING", "REFUSED", "TURNED"} == {state.value for state in State}


@pytest.mark.clause(
    "3.1-16",
    "4.1.1.HELO-04",
    "4.1.1.HELO-05",
    "4.1.1.RSET-02",
    "4.1.1.NOOP-01",
    "4.1.1.ORDER-03",
    "AMB-02",
    "AMB-03",
    "AMB-04",
    "AMB-05",
    "AMB-06",
)
@pytest.mark.parametrize("state", State)
def test_what_is_legal_in_each_state(state: State) -> None:
    """4.1.1 p27 with the recommended choices: what is not legal is out of sequence."""
    assert {verb.value.replace(" ", "-") for verb in ORDER[state]} == set(
        EXPECTED_ORDER[state].split()
    )


@pytest.mark.parametrize(("state", "verb", "expected"), STATED)
def test_the_order_is_what_is_expected_of_a_receiver(
    state: State, verb: Verb, expected: str
) -> None:
    """4.1.1: where 503 is expected the command is out of order, and nowhere else."""
    assert (verb in ORDER[state]) is ("503" not in expected)


@pytest.mark.parametrize(("state", "verb", "expected"), STATED)
def test_a_success_leads_where_it_is_expected(state: State, verb: Verb, expected: str) -> None:
    """4.1.1: RCPT leads to recipients, RSET and HELO clear, QUIT closes."""
    after = TRANSITIONS.get((state, verb, outcome(verb, ORDINARY[verb])), state)
    if "->" in expected:
        assert after.value == expected.partition("-> ")[2]
    elif "clears" in expected:
        assert after is State.READY
    elif "221" in expected:
        assert after is State.CLOSED
    elif verb not in ORDER[state] or verb in (Verb.NOOP, Verb.VRFY, Verb.EXPN, Verb.HELP):
        assert after is state


@pytest.mark.clause("4.3-07")
@pytest.mark.parametrize("state", State)
def test_each_transition_is_the_expected_one(state: State) -> None:
    """4.1.1, 4.2.1, 4.4: every legal verb, with every outcome that it can have."""
    for verb in ORDER[state]:
        for result in {outcome(verb, code) for code in range(200, 600)}:
            after = TRANSITIONS.get((state, verb, result), state)
            assert after is expected_after(state, verb, result), (verb, result)


def test_only_what_moves_is_listed() -> None:
    """4.1.1: "must stay in the same state" is the default, so no row says it."""
    for (state, verb, result), after in TRANSITIONS.items():
        assert verb in ORDER[state]
        assert after is not state
        assert result is not Outcome.ERROR


def test_each_move_and_its_effect() -> None:
    """4.1.1: which replies do something, where they lead, and what they do to the buffers."""
    helo_rset = (Verb.HELO, Verb.RSET)
    expected = {
        (State.OPENING, Verb.CONNECT, 2): (State.INITIAL, None),
        (State.OPENING, Verb.CONNECT, 4): (State.REFUSED, None),
        (State.OPENING, Verb.CONNECT, 5): (State.REFUSED, None),
        (State.INITIAL, Verb.HELO, 2): (State.READY, None),
        (State.READY, Verb.TURN, 2): (State.TURNED, None),
        **{(State.READY, verb, 2): (State.MAIL, Effect.BEGIN) for verb in TRANSACTION_VERBS},
        (State.MAIL, Verb.RCPT, 2): (State.RCPT, Effect.ADD),
        (State.RCPT, Verb.RCPT, 2): (State.RCPT, Effect.ADD),
        **{(State.MAIL, verb, 2): (State.READY, Effect.CLEAR) for verb in helo_rset},
        **{(State.RCPT, verb, 2): (State.READY, Effect.CLEAR) for verb in helo_rset},
        (State.RCPT, Verb.DATA, 3): (State.DATA, None),
        **{(State.DATA, Verb.END_OF_DATA, d): (State.READY, Effect.CLEAR) for d in (2, 4, 5)},
        **{(s, Verb.QUIT, 2): (State.CLOSED, Effect.CLOSE) for s in State if Verb.QUIT in ORDER[s]},
        **{(s, v, 421): (State.CLOSED, Effect.CLOSE) for s in State for v in ORDER[s]},
    }
    for table in (MOVES, moves(TRANSITIONS)):
        assert expected == {row: move for row, move in table.items() if row[1] in ORDER[row[0]]}
        assert {state for state, _, _ in table} == {state for state in State if ORDER[state]}


@pytest.mark.clause("3.4-01")
def test_the_transaction_verbs_take_the_place_of_mail() -> None:
    """3.4: SEND, SOML and SAML are legal where MAIL is, and lead where it leads."""
    assert {verb.value for verb in TRANSACTION_VERBS} == {"MAIL", "SEND", "SOML", "SAML"}
    for state, verbs in ORDER.items():
        assert not verbs & {*TRANSACTION_VERBS} or verbs >= {*TRANSACTION_VERBS}, state


# --- 4.4: outcomes ----------------------------------------------------------------------------


@pytest.mark.clause("4.4-01", "4.4-02", "4.4-03", "E-02", "AMB-31")
@pytest.mark.parametrize("verb", Verb)
def test_the_outcome_of_every_code(verb: Verb) -> None:
    """4.4: the first digit decides, whether or not 4.3 lists the code; 421 closes."""
    diagrams = DATA["state_diagrams"]
    diagram, wait = ("data", "W1") if verb is Verb.DATA else ("simple", "W")
    digits = diagrams[diagram]["transitions"][wait]
    for code in range(200, 600):
        expected = digits[str(code)[0]].replace("send data -> W2", "I")
        assert outcome(verb, code).value == ("421" if code == 421 else expected), code


@pytest.mark.clause("4.4-03")
def test_the_end_of_data_is_like_a_simple_command() -> None:
    """4.4 p40: W2 of the DATA diagram is the W of the others."""
    diagrams = DATA["state_diagrams"]
    assert diagrams["data"]["transitions"]["W2"] == diagrams["simple"]["transitions"]["W"]


# --- every edge, in both roles ----------------------------------------------------------------


@pytest.mark.parametrize("state", State)
def test_every_state_is_reached(state: State) -> None:
    """A generated way leads from the opening to each state, in both roles."""
    receiver, sender = walk(ways(state))
    assert receiver.state is sender.state is state


@pytest.mark.parametrize(
    ("state", "verb", "code"),
    [
        (state, verb, code)
        for state in State
        for verb in sorted(ORDER[state])
        for code in sorted(WHOLE.codes[verb])
    ],
)
def test_every_legal_reply_in_every_state(state: State, verb: Verb, code: int) -> None:
    """4.3, 4.4: each edge, and each reply that moves nothing, is the same in both roles."""
    receiver, sender = walk([*ways(state), (verb, code)])
    if receiver.state is State.CLOSED:
        assert isinstance(receiver.next_event(), Closed)
        assert receiver.next_event() == sender.next_event()
    elif receiver.state is State.TURNED:
        assert receiver.next_event() == sender.next_event() == Turned()
    else:
        assert sender.next_event() is NEED_COMMAND


def test_every_edge_is_reached() -> None:
    """The replies of the test above are the outcomes of every edge in the table, and no fewer."""
    walked = {
        (state, verb, outcome(verb, code))
        for state in State
        for verb in ORDER[state]
        for code in WHOLE.codes[verb]
    }
    assert TRANSITIONS.keys() <= walked


@pytest.mark.clause("AMB-27")
def test_one_edge_needs_more_than_rfc_821() -> None:
    """AMB-27: RFC 821 knows only 421 for a greeting that refuses, so REFUSED has no way in."""
    walked = {
        (state, verb, outcome(verb, code))
        for state in State
        for verb in ORDER[state]
        for code in RFC821.codes[verb]
    }
    assert TRANSITIONS.keys() - walked == {(State.OPENING, Verb.CONNECT, Outcome.FAILURE)}


@given(choices=st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), max_size=30))
def test_any_walk_is_the_same_in_both_roles(choices: list[tuple[int, int]]) -> None:
    """Any way through the tables gives both roles one state and one envelope at every step."""
    state, steps = State.OPENING, []
    for which_verb, which_code in choices:
        verbs = sorted(ORDER[state])
        if not verbs:
            break
        verb = verbs[which_verb % len(verbs)]
        codes = sorted(WHOLE.codes[verb])
        code = codes[which_code % len(codes)]
        steps.append((verb, code))
        state = expected_after(state, verb, outcome(verb, code))
    receiver, _ = walk(steps)
    assert receiver.state is state
