"""The model of a server: what may be said to each thing, and what is a Violation."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs
import pytest

from smtp821 import (
    RFC821,
    RFC821_LENIENT,
    Code,
    Command,
    Data,
    Dialect,
    Envelope,
    Helo,
    Help,
    Mail,
    Noop,
    Path,
    Quit,
    Rcpt,
    Rset,
    Send,
    Soml,
    State,
    Turn,
    Verb,
    Vrfy,
)
from smtp821.testing.model import Deviation, Fault, Kind, Model, Violation

from .walks import HOST, LINES, WAYS, WHOLE, receiver_at, step

JONES = "<Jones@Beta.ARPA>"
ENVELOPE = Envelope(Verb.MAIL, Path("<Smith@Alpha.ARPA>"), (Path(JONES),))  # that of `walks`
OTHERS = Envelope(Verb.MAIL, Path("<>"), (Path(JONES), Path("<a@b>")))
SYNTAX = {500, 501, 504}  # what refuses a valid command for what it looks like


def model_at(state: State, dialect: Dialect = WHOLE, tolerated: Iterable[Deviation] = ()) -> Model:
    """A model that has come into a state, by the way of `walks`."""
    model = Model(dialect, tolerated)
    for verb, code in WAYS[state]:
        model.observe(b"" if verb is Verb.CONNECT else LINES[verb], said(verb, code))
    assert model.state is state
    return model


def where(model: Model) -> State:
    """The state, which a type checker does not remember from line to line."""
    return model.state


def said(verb: Verb, code: int) -> bytes:
    """A reply on the wire, with what its text has to have."""
    text = "text"
    if code in (220, 221, 421) or (verb is Verb.HELO and code == 250):
        text = f"{HOST} text"
    if code in (251, 551) or (verb in (Verb.VRFY, Verb.EXPN) and code == 250):
        text = f"A. User {JONES}"
    return f"{code} {text}\r\n".encode()


def violation(observe: Callable[[], object]) -> Violation:
    """The Violation that comes of it."""
    with pytest.raises(Violation) as caught:
        observe()
    return caught.value


# What a command without a fault may be answered.

STATES = [state for state in State if WHOLE.order[state] and state is not State.REFUSED]
EDGES = [
    (state, verb, code)
    for state in STATES
    for verb in WHOLE.codes
    if verb in WHOLE.order[state]
    for code in sorted(WHOLE.codes[verb])
]
STRINGS = (Verb.VRFY, Verb.EXPN, Verb.HELP)
OPTIONAL = (Verb.SEND, Verb.SOML, Verb.SAML, Verb.TURN)


def is_legal(verb: Verb, code: int) -> bool:
    """Whether a code answers a valid command in its time, and not its syntax or the order."""
    if verb in STRINGS or code not in {*SYNTAX, 503}:
        return True
    return verb in OPTIONAL and code == 500


@pytest.mark.parametrize(("state", "verb", "code"), EDGES)
def test_it_goes_where_a_receiver_goes(state: State, verb: Verb, code: int) -> None:
    """Each code of 4.3 for each command of each state: the model has the Receiver's state then.

    The same for the envelope. What refuses a valid command for its syntax is a Violation.
    """
    model, receiver = model_at(state), receiver_at(state)
    line = b"" if verb is Verb.CONNECT else LINES[verb]
    came = step(receiver, verb, code)
    if verb in (Verb.VRFY, Verb.EXPN) and code == 250:
        came = said(verb, code)
    assert (code in model.expect(line)) is is_legal(verb, code)
    if is_legal(verb, code):
        reply = model.observe(line, came)
        assert reply is not None
        assert reply.code == code
        assert model.state is receiver.state
        assert model.envelope == receiver.envelope
    else:
        found = violation(lambda: model.observe(line, came))
        assert (found.kind, found.section) == (Kind.CODE, "4.3")
        assert model.state is state


LEGAL: list[tuple[State, bytes | Command, set[int]]] = [
    (State.OPENING, b"", {220, 421, 554}),
    (State.INITIAL, Helo("x"), {250}),
    (State.READY, Mail("<>"), {250, 451, 452, 552}),
    (State.READY, Send("<>"), {250, 451, 452, 552, 500, 502}),
    (State.MAIL, Rcpt("<a@b>"), {250, 251, 450, 451, 452, 550, 551, 552, 553}),
    (State.RCPT, Data(), {354, 451, 554}),
    (State.DATA, b".\r\n", {250, 451, 452, 552, 554}),
    (State.RCPT, Rset(), {250}),
    (State.RCPT, Noop(), {250}),
    (State.RCPT, Quit(), {221}),
    (State.READY, Turn(), {250, 500, 502}),
    (State.INITIAL, Vrfy("a b"), {250, 251, 500, 501, 502, 504, 550, 551, 553}),
    (State.INITIAL, Help(), {211, 214, 500, 501, 502, 504}),
    # out of sequence: 4.1.1, AMB-02, AMB-06
    (State.INITIAL, Mail("<>"), {503}),
    (State.INITIAL, Soml("<>"), {500, 502, 503}),
    (State.INITIAL, Turn(), {500, 502, 503}),
    (State.READY, Rcpt("<a@b>"), {503}),
    (State.READY, Data(), {503, 554}),
    (State.MAIL, Data(), {503, 554}),
    (State.MAIL, Mail("<>"), {250, 451, 452, 552, 503}),
    (State.RCPT, Send("<>"), {250, 451, 452, 552, 500, 502, 503}),
    (State.REFUSED, Noop(), {503}),
    (State.REFUSED, Quit(), {221}),
    # no command: 4.2.1, AMB-09, AMB-56, AMB-57
    (State.READY, b"\r\n", {500}),
    (State.READY, b"NOPE\r\n", {500}),
    (State.READY, b"\xff\r\n", {500, 501}),
    (State.READY, b"NOOPS\r\n", {500, 501, 504}),
    (State.READY, b"MAILFROM:<a@b>\r\n", {500, 501}),
    (State.READY, b"RCPTS\r\n", {500, 501, 503, 550, 553}),
    (State.READY, b"EHLO x\r\n", {250, 500, 502}),
    (State.READY, b"ehlo\r\n", {500, 501, 502, 504}),
    # arguments: 4.1.2, AMB-07, AMB-10 to AMB-12, and both faults at once, AMB-01
    (State.READY, b"HELO a b\r\n", {500, 501, 504}),
    (State.READY, b"HELO a_b\r\n", {250, 500, 501, 504}),
    (State.READY, b"MAIL FROM:\r\n", {500, 501}),
    (State.READY, b"MAIL FROM: a@b\t\r\n", {250, 451, 452, 500, 501, 552}),
    (State.INITIAL, b"MAIL FROM:\r\n", {500, 501, 503}),
    (State.INITIAL, b"MAIL FROM: <a@b>\r\n", {500, 501, 503}),
    (State.MAIL, b"MAIL FROM: <a@b>\r\n", {250, 451, 452, 500, 501, 503, 552}),
    (State.MAIL, b"RCPT TO:<>\r\n", {500, 501, 550, 553}),
    (State.MAIL, b"DATA now\r\n", {500, 501, 503, 504, 554}),
    (State.RCPT, b"DATA\t\r\n", {354, 451, 500, 501, 504, 554}),
    (State.RCPT, b"DATA\r\r\n", {500, 501, 504}),
    (State.READY, b"NOOP now\r\n", {250, 500, 501, 504}),
    (State.READY, b"RSET now\r\n", {500, 501, 504}),
    (State.READY, b"SAML x\r\n", {500, 501, 502}),
    (State.READY, b"HELO x\nHELO y\r\n", {500, 501, 504}),
    # sizes: 4.5.3
    (State.READY, b"x" * 511 + b"\r\n", {500}),
    (State.READY, b"VRFY " + b"x" * 505 + b"\r\n", {250, 251, 500, 501, 502, 504, 550, 551, 553}),
    (State.READY, b"NOOP \r\n", {250, 500, 501, 504}),
    (State.READY, b"HELP " + b"x" * 600 + b"\r\n", {211, 214, 500, 501, 502, 504}),
    (State.MAIL, b"RCPT TO:<" + b"u" * 65 + b"@x>\r\n",
     {250, 251, 450, 451, 452, 500, 501, 550, 551, 552, 553}),
]  # fmt: skip


@pytest.mark.parametrize(("state", "what", "codes"), LEGAL)
def test_legal_codes(state: State, what: bytes | Command, codes: set[int]) -> None:
    """These codes, 421, and no others."""
    model = model_at(state)
    assert model.expect(what) == codes | {421}
    assert model.state is state


def test_a_lenient_dialect_has_to_take_more() -> None:
    """What the grammar of the dialect derives may not be refused for its syntax."""
    strict, lenient = model_at(State.READY, RFC821), model_at(State.READY, RFC821_LENIENT)
    line = b"MAIL FROM: a@b\r\n"
    assert strict.expect(line) - lenient.expect(line) == {500, 501}
    lenient.observe(line, b"250 OK\r\n")
    assert lenient.envelope == Envelope(Verb.MAIL, Path("<a@b>"))


# Pieces.


def test_no_reply_is_owed_to_a_piece_of_a_line() -> None:
    """4.1.1: a command ends with CRLF, and is answered then."""
    model = model_at(State.READY)
    for piece in (b"NO", b"OP", b"\r"):
        assert model.expect(piece) == set()
        assert model.observe(piece, b"") is None
    assert model.expect(b"\n") == {250, 421}
    reply = model.observe(b"\n", b"250 OK\r\n")
    assert reply is not None
    assert reply.code == Code.OKAY


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_no_reply_is_owed_to_a_piece_of_mail_data(size: int) -> None:
    """4.5.2: only CRLF.CRLF ends mail data, and what is delivered has its dots taken away."""
    model = model_at(State.DATA)
    wire = b"..a\r\n.b\r\n..\r\n\n.\n.\r\r\nQUIT\r\n.\r\n"
    for at in range(0, len(wire) - 1, size):
        assert model.observe(wire[at : min(at + size, len(wire) - 1)], b"") is None
    assert where(model) is State.DATA
    model.observe(b"\n", b"250 OK\r\n")
    assert where(model) is State.READY
    assert model.envelope is None
    message = b".a\r\nb\r\n.\r\n\n.\n.\r\r\nQUIT\r\n"
    assert model.accepted == (ENVELOPE, message)


def test_an_empty_message() -> None:
    """AMB-38: the CRLF of the DATA line counts."""
    model = model_at(State.DATA)
    model.observe(b".\r\n", b"250 OK\r\n")
    assert model.accepted is not None
    assert model.accepted[1] == b""


@pytest.mark.parametrize("code", [451, 554])
def test_a_refused_message_is_not_accepted(code: int) -> None:
    """Only 250 takes a message (4.1.1 DATA)."""
    model = model_at(State.DATA)
    model.observe(b".\r\n", b"%d no\r\n" % code)
    assert where(model) is State.READY
    assert model.accepted is None


@pytest.mark.parametrize(
    ("state", "what"),
    [
        (State.OPENING, b"HELO x\r\n"),
        (State.READY, b"NOOP\r\nNOOP\r\n"),
        (State.READY, b"NOOP\r\nN"),
        (State.DATA, b".\r\nNOOP\r\n"),
        (State.CLOSED, b""),
        (State.TURNED, b"NOOP\r\n"),
    ],
)
def test_one_thing_at_a_time(state: State, what: bytes) -> None:
    """What the model cannot judge is an error of who uses it."""
    model = model_at(state)
    with pytest.raises(ValueError):
        model.expect(what)
    with pytest.raises(ValueError):
        model.observe(what, b"")


# What moves.


def test_mail_in_a_transaction_begins_another() -> None:
    """AMB-02: answered 250 it has no recipients; answered 503 nothing has changed."""
    model = model_at(State.RCPT)
    model.observe(Mail("<>"), b"503 no\r\n")
    assert where(model) is State.RCPT
    model.observe(Mail("<>"), b"250 OK\r\n")
    assert where(model) is State.MAIL
    assert model.envelope == Envelope(Verb.MAIL, Path("<>"))
    assert model.expect(Data()) == {421, 503, 554}


def test_ehlo_is_helo_if_it_is_taken() -> None:
    """AMB-09: a server with extensions answers 250, and the session begins."""
    model = model_at(State.INITIAL)
    model.observe(b"EHLO x\r\n", b"250-BBN-UNIX.ARPA hello\r\n250 SIZE\r\n")
    assert where(model) is State.READY


def test_order_of_recipients() -> None:
    """4.1.1 RCPT: those that were accepted, as they came."""
    model = model_at(State.MAIL)
    for path, code in (("<b@x>", 250), ("<c@x>", 550), ("<a@x>", 250)):
        model.observe(Rcpt(path), b"%d text\r\n" % code)
    assert model.envelope is not None
    assert model.envelope.forward_paths == (Path("<b@x>"), Path("<a@x>"))


@pytest.mark.parametrize("state", STATES)
def test_421_may_come_at_any_time(state: State) -> None:
    """AMB-28: as the reply, behind the reply, and unasked."""
    notice = b"421 BBN-UNIX.ARPA closing\r\n"
    for before in (b"", said(Verb.CONNECT, 220)) if state is State.OPENING else (b"",):
        model = model_at(state)
        model.observe(b"", before + notice, closed=True)
        assert where(model) is State.CLOSED
        assert model.envelope is None
    if state not in (State.OPENING, State.DATA):
        model = model_at(state)
        reply = model.observe(Noop(), b"250 OK\r\n" + notice)
        assert reply is not None
        assert reply.code == 421
        assert where(model) is State.CLOSED


def test_421_to_what_is_no_command() -> None:
    """4.2.1: to any command, or what should have been one."""
    model = model_at(State.READY)
    model.observe(b"GET / HTTP/1.1\r\n", b"421 BBN-UNIX.ARPA closing\r\n")
    assert where(model) is State.CLOSED


def test_a_refusal_of_what_is_no_command_changes_nothing() -> None:
    """4.1.1: it stays in the same state."""
    model = model_at(State.RCPT)
    model.observe(b"NOPE\r\n", b"500 what?\r\n")
    assert where(model) is State.RCPT
    assert model.envelope is not None


# Violations.

OK = b"250 OK\r\n"
BYE = b"221 BBN-UNIX.ARPA bye\r\n"
WRONG: list[tuple[State, bytes | Command, bytes, bool | None, Kind, str]] = [
    (State.READY, Noop(), b"", None, Kind.NO_REPLY, "4.2"),
    (State.READY, Noop(), b"", False, Kind.NO_REPLY, "4.2"),
    (State.READY, Noop(), b"", True, Kind.LOST, "4.2"),
    (State.READY, Noop(), OK, True, Kind.LOST, "4.1.1"),
    (State.READY, Noop(), OK + OK, None, Kind.SECOND_REPLY, "4.2"),
    (State.READY, Noop(), OK + OK + b"421 BBN-UNIX.ARPA\r\n", None, Kind.SECOND_REPLY, "4.2"),
    (State.READY, Noop(), b"421 BBN-UNIX.ARPA\r\n" * 2, None, Kind.SECOND_REPLY, "4.2"),
    (State.READY, b"", OK, None, Kind.UNASKED, "4.2"),
    (State.READY, b"NOOP", OK, None, Kind.UNASKED, "4.2"),
    (State.DATA, b"a\r\n", OK, None, Kind.UNASKED, "4.2"),
    (State.DATA, b"\n.\n", OK, None, Kind.UNASKED, "4.2"),
    (State.READY, b"NOOP", b"", True, Kind.LOST, "4.1.1"),
    (State.READY, Quit(), BYE, False, Kind.OPEN, "4.1.1"),
    (State.READY, Noop(), b"421 BBN-UNIX.ARPA\r\n", False, Kind.OPEN, "4.1.1"),
    *(
        (State.READY, Noop(), came, None, Kind.MALFORMED, "Appendix E")
        for came in (
            b"250", b"250 OK", b"250 OK\n", b"250-OK\r\n", b"250-OK\r\n251 OK\r\n", b"OK\r\n",
            b"\r\n", b"250_OK\r\n", b"2500 OK\r\n", b"150 OK\r\n", b"600 OK\r\n", b"250 \xe9\r\n",
            b"250 a\nb\r\n", b"250 a\r250 b\r\n", b" 250 OK\r\n", b"250 " + b"x" * 507 + b"\r\n",
            OK + b"250", b"250-a\r\nb\r\n250 c\r\n",
        )
    ),
    (State.OPENING, b"", OK, None, Kind.CODE, "4.3"),
    (State.READY, Noop(), b"500 no\r\n", None, Kind.CODE, "4.3"),
    (State.READY, Rcpt("<a@b>"), OK, None, Kind.CODE, "4.1.1"),
    (State.READY, b"RCPT TO:\r\n", OK, None, Kind.CODE, "4.1.1, 4.1.2"),
    (State.READY, b"NOPE\r\n", OK, None, Kind.CODE, "4.2.1"),
    (State.MAIL, Data(), b"354 go\r\n", None, Kind.CODE, "4.1.1"),
    (State.READY, Helo("x"), b"250 OK\r\n", None, Kind.TEXT, "3.5"),
    (State.READY, Helo("x"), b"250 a..b\r\n", None, Kind.TEXT, "3.5"),
    (State.OPENING, b"", b"220\r\n", None, Kind.TEXT, "3.5"),
    (State.OPENING, b"", b"220 ...\r\n", None, Kind.TEXT, "3.5"),
    (State.READY, Quit(), b"221 bye\r\n", None, Kind.TEXT, "3.5"),
    (State.READY, b"", b"421 closing\r\n", None, Kind.TEXT, "3.5"),
    (State.MAIL, Rcpt("<a@b>"), b"251 elsewhere\r\n", None, Kind.TEXT, "3.2"),
    (State.MAIL, Rcpt("<a@b>"), b"551 elsewhere\r\n", None, Kind.TEXT, "3.2"),
    (State.READY, Vrfy("a"), b"250 A. User\r\n", None, Kind.TEXT, "3.3"),
    (State.READY, Vrfy("a"), b"250-<a@b>\r\n250 A. User\r\n", None, Kind.TEXT, "3.3"),
]  # fmt: skip


@pytest.mark.parametrize(("state", "what", "came", "closed", "kind", "section"), WRONG)
def test_violations(
    state: State, what: bytes | Command, came: bytes, closed: bool | None, kind: Kind, section: str
) -> None:
    """Each is found, says what it is, and leaves the model as it was."""
    model = model_at(state)
    before = (model.state, model.envelope, model.host, model.accepted)
    found = violation(lambda: model.observe(what, came, closed))
    assert (found.kind, found.section, found.asked) == (kind, section, bytes(what))
    assert found.came in came
    assert found.expected
    assert (model.state, model.envelope, model.host, model.accepted) == before


def test_what_a_violation_says() -> None:
    """In one line: what, by which section, what was said, what was legal and what came."""
    model = model_at(State.READY)
    found = violation(lambda: model.observe(b"NOOP\r\n", b"220 x\r\n"))
    assert str(found) == (
        "a code that is not legal here (4.3): to b'NOOP\\r\\n' expected 250, 421 in state READY; "
        "came b'220 x\\r\\n'"
    )
    long = violation(lambda: model.observe(b"x" * 300 + b"\r\n", b""))
    assert f"to {b'x' * 200!r}... expected" in str(long)


def test_sound_replies_are_no_violations() -> None:
    """Appendix E, AMB-33: several lines, no text, control characters, 512 octets."""
    model = model_at(State.READY)
    replies = (
        b"250\r\n", b"250 \r\n", b"250-\r\n250\r\n", b"250-a\r\n250-b\r\n250 c\r\n",
        b"250 a\tb\0\r\n", b"250 " + b"x" * 506 + b"\r\n",
    )  # fmt: skip
    for came in replies:
        assert model.observe(Noop(), came) is not None


def test_the_name_is_that_of_the_greeting() -> None:
    """4.1.1 HELO: the receiver names itself in the greeting, and the same in the reply."""
    model = Model()
    model.observe(b"", b"220 Beta.ARPA ready\r\n")
    assert str(model.host) == "Beta.ARPA"
    model.observe(Helo("x"), b"250 BETA.ARPA hello\r\n")
    found = violation(lambda: model.observe(Helo("x"), b"250 Gamma.ARPA hello\r\n"))
    assert found.expected == "a text that begins with Beta.ARPA"


# Deliveries.


def accepting(data: bytes = b"a\r\n") -> Model:
    """A model of a server that has taken a message."""
    model = model_at(State.DATA)
    model.observe(data + b".\r\n", OK)
    return model


def test_a_delivery_is_what_was_sent() -> None:
    """The message, and the envelope if it is told."""
    accepting().observe_delivery(ENVELOPE, b"a\r\n")
    accepting().observe_delivery(None, b"a\r\n")


@pytest.mark.parametrize("data", [b"", b"a\n", b"a", b".a\r\n", b"a\r\n\r\n"])
def test_another_message(data: bytes) -> None:
    """A line end that was converted, a dot that was left, a line more."""
    found = violation(lambda: accepting().observe_delivery(None, data))
    assert (found.kind, found.section, found.came) == (Kind.DELIVERY, "4.5.2", data)


def test_another_envelope() -> None:
    """Other recipients than those that were accepted."""
    found = violation(lambda: accepting().observe_delivery(OTHERS, b"a\r\n"))
    assert (found.kind, found.section) == (Kind.DELIVERY, "3.1")


def test_a_message_from_nowhere() -> None:
    """Nothing was accepted, so nothing can be delivered."""
    found = violation(lambda: model_at(State.DATA).observe_delivery(None, b""))
    assert found.kind is Kind.DELIVERY


# What is tolerated.


def test_a_code_is_tolerated_for_its_fault_alone() -> None:
    """A success needs every fault to be passed over."""
    taken = Deviation(Verb.MAIL, [250], "any address", fault=Fault.MALFORMED)
    line = b"MAIL FROM:<a\r\n"
    assert model_at(State.READY, RFC821, [taken]).expect(line) == {250, 421, 500, 501}
    assert 250 not in model_at(State.INITIAL, RFC821, [taken]).expect(line)
    assert 250 not in model_at(State.READY, RFC821).expect(line)


def test_a_code_without_a_fault_is_tolerated_where_a_fault_may_be_passed_over() -> None:
    """A 252 to VRFY (AMB-21), also where the line is long, and not where it is malformed."""
    verified = Deviation(Verb.VRFY, [252], "RFC 1123 5.2.3")
    model = model_at(State.READY, RFC821, [verified])
    assert 252 in model.expect(Vrfy("a"))
    assert 252 in model.expect(b"VRFY " + b"x" * 600 + b"\r\n")
    assert 252 not in model.expect(b"VRFY\r\n")
    model.observe(Vrfy("a"), b"252 perhaps\r\n")


def test_a_text_is_tolerated() -> None:
    """A 221 without a name, and no other reply."""
    bye = Deviation(Verb.QUIT, [221], "says no name", kind=Kind.TEXT)
    model = model_at(State.READY, RFC821, [bye])
    model.observe(Quit(), b"221 Bye\r\n")
    assert where(model) is State.CLOSED
    model = model_at(State.READY, RFC821, [bye])
    assert violation(lambda: model.observe(Quit(), b"421 Bye\r\n")).kind is Kind.TEXT


def test_a_code_for_what_is_no_command() -> None:
    """The verb of a Deviation is None then."""
    unknown = Deviation(None, [502], "not implemented", fault=Fault.UNKNOWN)
    assert model_at(State.READY, RFC821, [unknown]).expect(b"NOPE\r\n") == {421, 500, 502}


def test_commands_taken_out_of_sequence_lead_where_they_always_do() -> None:
    """A server that needs no HELO, no MAIL and no RCPT, if that is tolerated."""
    out_of_order = [
        Deviation(verb, [code], "taken at any time", fault=Fault.OUT_OF_ORDER)
        for verb, code in ((Verb.MAIL, 250), (Verb.RCPT, 250), (Verb.DATA, 354))
    ]
    model = model_at(State.INITIAL, RFC821, out_of_order)
    model.observe(Mail("<>"), OK)
    assert where(model) is State.MAIL
    model.observe(Data(), b"354 go\r\n")
    assert where(model) is State.DATA
    assert model.expect(b".\r\n") == {421, 451, 452, 552, 554}  # AMB-06: to nobody
    model.observe(b".\r\n", b"554 no recipients\r\n")
    model.observe(Rcpt("<a@b>"), OK)
    assert where(model) is State.RCPT
    assert model.envelope is None  # from whom is not known
    model.observe(Data(), b"354 go\r\n")
    model.observe(b".\r\n", OK)
    assert model.accepted == (None, b"")
    model.observe_delivery(OTHERS, b"")


def test_what_nobody_can_read_leaves_the_envelope_unknown() -> None:
    """A malformed path that is taken: the transaction goes on, with nothing to compare."""
    junk = [
        Deviation(verb, [250], "any address", fault=Fault.MALFORMED)
        for verb in (Verb.MAIL, Verb.RCPT)
    ]
    model = model_at(State.READY, RFC821, junk)
    model.observe(b"MAIL FROM:<a\r\n", OK)
    assert (model.state, model.envelope) == (State.MAIL, None)
    model.observe(Rset(), OK)
    model.observe(Mail("<>"), OK)
    model.observe(b"RCPT TO:<a\r\n", OK)
    assert (model.state, model.envelope) == (State.RCPT, None)


def test_a_success_that_leads_nowhere_changes_nothing() -> None:
    """A command that has no transition of success has none out of sequence either."""
    odd = attrs.evolve(RFC821, transitions={
        edge: after for edge, after in RFC821.transitions.items() if edge[1] is not Verb.RCPT
    })  # fmt: skip
    taken = Deviation(Verb.RCPT, [250], "taken at any time", fault=Fault.OUT_OF_ORDER)
    model = model_at(State.READY, odd, [taken])
    model.observe(Rcpt("<a@b>"), OK)
    assert where(model) is State.READY


def test_every_fault_has_its_section() -> None:
    """And every section is one of the RFC."""
    assert {fault.section for fault in Fault} == {"3.1", "4.1.1", "4.1.2", "4.2.1", "4.5.3"}
