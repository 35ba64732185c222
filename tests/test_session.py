"""One session without bytes or role: its state, its envelope, and when each is cleared."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp821 import (
    ORDER,
    RFC821,
    Envelope,
    Mail,
    Outcome,
    Path,
    Rcpt,
    Saml,
    Send,
    Soml,
    State,
    TransactionCommand,
    Verb,
    outcome,
)
from smtp821.protocol.session import Session

from .walks import EXAMPLES, WAYS, WHOLE

SMITH = Path("<Smith@Alpha.ARPA>")
JONES = Path("<Jones@Beta.ARPA>")
BROWN = Path("<Brown@Beta.ARPA>")
IN_TRANSACTION = (State.MAIL, State.RCPT, State.DATA)


def session_in(state: State) -> Session:
    """A session that was led to a state."""
    session = Session(WHOLE)
    for verb, code in WAYS[state]:
        session.advance(verb, code, EXAMPLES.get(verb))
    assert session.state is state
    return session


def test_a_session_begins_at_the_opening() -> None:
    """4.3: nothing is said yet but that a greeting is owed."""
    session = Session(RFC821)
    assert session.state is State.OPENING
    assert session.envelope is None
    assert session.recipients == 0
    assert session.cancelled is None
    assert session.dialect is RFC821


@pytest.mark.parametrize(
    ("state", "verb"), [(state, verb) for state in State for verb in sorted(ORDER[state])]
)
def test_every_code_moves_as_the_table_says(state: State, verb: Verb) -> None:
    """4.4: any code from 200 to 599 has the effect of its first digit (421: closes)."""
    for code in range(200, 600):
        session = session_in(state)
        session.advance(verb, code, EXAMPLES.get(verb))
        expected = WHOLE.transitions.get((state, verb, outcome(verb, code)), state)
        assert session.state is expected, code
        assert (session.envelope is not None) is (expected in IN_TRANSACTION), code


@pytest.mark.clause(
    "3.1-04", "3.4-04", "4.1.1.MAIL-01", "4.1.1.SEND-01", "4.1.1.SOML-01", "4.1.1.SAML-01"
)
@pytest.mark.parametrize("kind", [Mail, Send, Soml, Saml])
@pytest.mark.parametrize("text", ["<Smith@Alpha.ARPA>", "<@ONE,@TWO:JOE@THREE>", "<>"])
def test_a_transaction_begins_with_its_kind_and_reverse_path(
    kind: type[TransactionCommand], text: str
) -> None:
    """4.1.1 MAIL, 3.4: the reverse-path buffer is filled, that of recipients is empty."""
    session = session_in(State.READY)
    session.advance(kind.verb, 250, kind(text))
    envelope = session.envelope
    assert envelope == Envelope(kind.verb, Path(text), ())
    assert str(envelope.reverse_path) == text


@pytest.mark.clause("3.1-06", "4.1.1.RCPT-01")
def test_recipients_are_appended_in_their_order() -> None:
    """4.1.1 RCPT: each that succeeds, with 250 or 251, is appended; no other is."""
    session = session_in(State.MAIL)
    for code, path in [(250, BROWN), (550, SMITH), (251, JONES), (450, SMITH), (250, JONES)]:
        session.advance(Verb.RCPT, code, Rcpt(path))
    assert session.recipients == 3
    assert session.envelope == Envelope(Verb.MAIL, SMITH, (BROWN, JONES, JONES))


def test_an_envelope_that_was_taken_does_not_change() -> None:
    """An Envelope is a value: later recipients are in the next one only."""
    session = session_in(State.RCPT)
    before = session.envelope
    session.advance(Verb.RCPT, 250, Rcpt(BROWN))
    assert before == Envelope(Verb.MAIL, SMITH, (JONES,))
    assert session.envelope == Envelope(Verb.MAIL, SMITH, (JONES, BROWN))


@pytest.mark.clause("4.1.1.HELO-03", "4.1.1.RSET-01", "AMB-54")
@pytest.mark.parametrize("state", [State.MAIL, State.RCPT])
@pytest.mark.parametrize("verb", [Verb.HELO, Verb.RSET])
def test_helo_and_rset_clear_the_buffers(state: State, verb: Verb) -> None:
    """4.1.1 HELO, RSET: the transaction is gone, and nothing of it is in the next."""
    session = session_in(state)
    session.advance(verb, 250, EXAMPLES[verb])
    assert session.state is State.READY
    assert session.envelope is None
    assert session.recipients == 0
    session.advance(Verb.MAIL, 250, Mail("<>"))
    assert session.envelope == Envelope(Verb.MAIL, Path("<>"), ())


@pytest.mark.clause("4.1.1.HELO-06", "AMB-55")
@pytest.mark.parametrize("state", [State.MAIL, State.RCPT])
@pytest.mark.parametrize("code", [500, 501, 504])
def test_a_refused_helo_or_rset_clears_nothing(state: State, code: int) -> None:
    """4.1.1 p27, AMB-55: the session stays in the same state, its buffers too."""
    session = session_in(state)
    before = session.envelope
    session.advance(Verb.HELO, code, EXAMPLES[Verb.HELO])
    session.advance(Verb.RSET, code, EXAMPLES[Verb.RSET])
    assert session.state is state
    assert session.envelope == before


@pytest.mark.clause("4.1.1.VRFY-02", "4.1.1.EXPN-02", "4.1.1.HELP-02", "4.1.1.NOOP-02")
@pytest.mark.parametrize("state", [State.MAIL, State.RCPT])
@pytest.mark.parametrize("verb", [Verb.VRFY, Verb.EXPN, Verb.HELP, Verb.NOOP])
def test_inquiries_touch_no_buffer(state: State, verb: Verb) -> None:
    """4.1.1 VRFY, EXPN, HELP, NOOP: "has no effect on" the three buffers."""
    session = session_in(state)
    before = session.envelope
    session.advance(verb, 250, EXAMPLES[verb])
    assert session.state is state
    assert session.envelope == before


@pytest.mark.parametrize("code", [250, 552, 554, 451, 452])
def test_the_end_of_data_clears_the_buffers(code: int) -> None:
    """4.1.1 DATA: "on completion of the mail data", whether it succeeds or fails."""
    session = session_in(State.DATA)
    session.advance(Verb.END_OF_DATA, code)
    assert session.state is State.READY
    assert session.envelope is None
    assert session.cancelled is None


@pytest.mark.clause("4.1.1.QUIT-04")
@pytest.mark.parametrize("state", State)
def test_closing_reports_what_was_cut_short(state: State) -> None:
    """4.1.1 QUIT: an early end cancels the transaction in progress, and only that."""
    session = session_in(state)
    in_progress = session.envelope
    session.close()
    assert session.state is State.CLOSED
    assert session.envelope is None
    assert session.cancelled == in_progress
    assert (in_progress is not None) is (state in IN_TRANSACTION)


@pytest.mark.parametrize(("verb", "code"), [(Verb.QUIT, 221), (Verb.NOOP, 421), (Verb.RCPT, 421)])
def test_a_reply_that_closes_cancels(verb: Verb, code: int) -> None:
    """4.1.1 QUIT, 4.2.1: 221 to QUIT and 421 to anything end the transaction in progress."""
    session = session_in(State.RCPT)
    session.advance(verb, code, EXAMPLES[verb])
    assert session.state is State.CLOSED
    assert session.cancelled == Envelope(Verb.MAIL, SMITH, (JONES,))


def test_closing_twice_forgets_nothing() -> None:
    """What the end cut short stays known, however often the session is closed."""
    session = session_in(State.MAIL)
    session.close()
    session.close()
    assert session.cancelled == Envelope(Verb.MAIL, SMITH, ())


def test_a_dialect_may_restart_transactions() -> None:
    """3.1, AMB-02: where MAIL may come in a transaction, it begins anew."""
    legal = {**ORDER, State.RCPT: ORDER[State.RCPT] | {Verb.MAIL}}
    moves = {**WHOLE.transitions, (State.RCPT, Verb.MAIL, Outcome.SUCCESS): State.MAIL}
    session = Session(attrs.evolve(RFC821, order=legal, transitions=moves))
    for verb, code in WAYS[State.RCPT]:
        session.advance(verb, code, EXAMPLES.get(verb))
    session.advance(Verb.MAIL, 250, Mail("<>"))
    assert session.state is State.MAIL
    assert session.envelope == Envelope(Verb.MAIL, Path("<>"), ())
    assert session.recipients == 0


@given(codes=st.lists(st.sampled_from([250, 251, 450, 550, 552]), max_size=50))
def test_the_envelope_has_just_the_accepted_recipients(codes: list[int]) -> None:
    """4.1.1 RCPT: whenever it is looked at, it has those that were accepted so far."""
    session, accepted = session_in(State.MAIL), []
    for number, code in enumerate(codes):
        path = Path(f"<u{number}@Beta.ARPA>")
        session.advance(Verb.RCPT, code, Rcpt(path))
        accepted += [path] if code < 300 else []
        if number % 3 == 0:
            assert session.envelope == Envelope(Verb.MAIL, SMITH, tuple(accepted))
    assert session.recipients == len(accepted)
    assert session.envelope == Envelope(Verb.MAIL, SMITH, tuple(accepted))
