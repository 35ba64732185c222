"""The plan that sends a message, here without any connection: steps out, replies in."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path as File
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp821 import (
    Command,
    Data,
    Limits,
    LocalProtocolError,
    Mail,
    Path,
    Rcpt,
    RemoteProtocolError,
    Replied,
    Reply,
    Sender,
    State,
    Verb,
)
from smtp821.delivery import (
    CHUNK,
    MESSAGE,
    Delivery,
    Message,
    RecipientResult,
    SessionLost,
    SessionRefused,
    Status,
    Step,
    deliver,
    status_of,
)

from .walks import sender_at

ONE, TWO, THREE = (Path(f"<{user}@Beta.ARPA>") for user in ("One", "Two", "Three"))
MAIL, DATA, RSET = "MAIL FROM:<Smith@Alpha.ARPA>", "DATA", "RSET"
RCPT_ONE, RCPT_TWO, RCPT_THREE = (f"RCPT TO:{path}" for path in (ONE, TWO, THREE))
LOST: Final = SessionLost("gone", Verb.RCPT)

Plan = Generator[Step, Reply, Delivery]
Answer = int | Reply | Exception


def plan_for(*paths: Path | str, repeatable: bool = True, **options: Any) -> Plan:
    """The plan for a message from Smith."""
    options = {"limits": Limits()} | options
    return deliver("<Smith@Alpha.ARPA>", paths, repeatable=repeatable, **options)


def answered(plan: Plan, answer: Answer) -> Step:
    """Give the plan an answer; its next step."""
    if isinstance(answer, Exception):
        return plan.throw(answer)
    return plan.send(answer if isinstance(answer, Reply) else Reply(answer, "text"))


def follow(plan: Plan, *answers: Answer) -> tuple[list[str], Delivery]:
    """The steps of the plan, each answered in turn, and what came of them; it has no others."""
    steps, at = [next(plan)], 0
    try:
        while True:
            answer = answers[at]
            at += 1
            steps.append(answered(plan, answer))
    except StopIteration as done:
        assert at == len(answers)
        return ["MESSAGE" if step is MESSAGE else str(step) for step in steps], done.value


def statuses(delivery: Delivery) -> list[tuple[Path, Status, int | None]]:
    """What became of each recipient, and the code that decided."""
    return [(r.path, r.status, r.reply.code if r.reply else None) for r in delivery.recipients]


# One transaction.


@pytest.mark.clause("3.1-01")
def test_one_recipient() -> None:
    """The three steps of a transaction, in order (3.1)."""
    steps, delivery = follow(plan_for(ONE), 250, 250, 354, Reply(250, "queued as 7"))
    assert steps == [MAIL, RCPT_ONE, DATA, "MESSAGE"]
    accepted = RecipientResult(ONE, Status.ACCEPTED, Reply(250, "queued as 7"))
    assert delivery == Delivery((accepted,))
    assert delivery.status is Status.ACCEPTED


@pytest.mark.clause("2-04")
def test_one_copy_for_all() -> None:
    """The message is sent once for all of its recipients at a host (2)."""
    steps, delivery = follow(plan_for(ONE, TWO, THREE), 250, 250, 250, 250, 354, 250)
    assert steps == [MAIL, RCPT_ONE, RCPT_TWO, RCPT_THREE, DATA, "MESSAGE"]
    assert delivery.status is Status.ACCEPTED


def test_a_bad_recipient_does_not_sink_the_rest() -> None:
    """Each recipient has an outcome of its own (2, 3.1), in the order they were given."""
    steps, delivery = follow(plan_for(ONE, TWO, THREE), 250, 550, 250, 450, 354, 250)
    assert steps == [MAIL, RCPT_ONE, RCPT_TWO, RCPT_THREE, DATA, "MESSAGE"]
    assert statuses(delivery) == [
        (ONE, Status.PERMANENT, 550),
        (TWO, Status.ACCEPTED, 250),
        (THREE, Status.TEMPORARY, 450),
    ]
    assert delivery.status is Status.PARTIAL


def test_the_same_recipient_twice() -> None:
    """Who is given twice is asked for twice, and has two results."""
    steps, delivery = follow(plan_for(ONE, ONE), 250, 250, 550, 354, 250)
    assert steps[1:3] == [RCPT_ONE, RCPT_ONE]
    assert [status for _, status, _ in statuses(delivery)] == [Status.ACCEPTED, Status.PERMANENT]


@pytest.mark.clause("3.2-05")
def test_forwarding() -> None:
    """251 is an acceptance, 551 a refusal; both tell where the user is (3.2)."""
    far = Path("<Jones@USC-ISI.ARPA>")
    will, gone = Reply.forward(251, far), Reply.forward(551, far)
    steps, delivery = follow(plan_for(ONE, TWO), 250, will, gone, 354, 250)
    assert steps[-1] == "MESSAGE"
    assert delivery.recipients == (
        RecipientResult(ONE, Status.ACCEPTED, will),
        RecipientResult(TWO, Status.PERMANENT, gone),
    )
    assert [result.forward_path for result in delivery.recipients] == [far, far]


def test_251_and_a_message_that_is_refused() -> None:
    """What decides is the reply to the message; that the user is elsewhere no longer matters."""
    will = Reply.forward(251, Path("<Jones@USC-ISI.ARPA>"))
    _, delivery = follow(plan_for(ONE), 250, will, 354, 554)
    assert statuses(delivery) == [(ONE, Status.PERMANENT, 554)]
    assert delivery.recipients[0].forward_path is None


def test_251_that_names_no_path() -> None:
    """Without a path a 251 says no more than 250 does."""
    _, delivery = follow(plan_for(ONE), 250, Reply(251, "will do"), 354, 250)
    assert statuses(delivery) == [(ONE, Status.ACCEPTED, 250)]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (421, Status.TEMPORARY),
        (451, Status.TEMPORARY),
        (452, Status.TEMPORARY),
        (552, Status.PERMANENT),
        (500, Status.PERMANENT),
    ],
)
def test_mail_refused(code: int, status: Status) -> None:
    """MAIL refused: nobody gets the message, and nothing more is said (3.1)."""
    steps, delivery = follow(plan_for(ONE, TWO), code)
    assert steps == [MAIL]
    assert statuses(delivery) == [(ONE, status, code), (TWO, status, code)]
    assert delivery.status is status


def test_everybody_refused() -> None:
    """Without a recipient there is no DATA (3.1); the transaction is aborted (Example 2)."""
    steps, delivery = follow(plan_for(ONE, TWO), 250, 550, 451, 250)
    assert steps == [MAIL, RCPT_ONE, RCPT_TWO, RSET]
    assert statuses(delivery) == [(ONE, Status.PERMANENT, 550), (TWO, Status.TEMPORARY, 451)]
    assert delivery.status is Status.TEMPORARY


@pytest.mark.parametrize(
    ("code", "status"), [(451, Status.TEMPORARY), (554, Status.PERMANENT), (503, Status.PERMANENT)]
)
def test_data_refused(code: int, status: Status) -> None:
    """DATA refused: those who were accepted do not get it, and the transaction is aborted."""
    steps, delivery = follow(plan_for(ONE, TWO), 250, 250, 550, code, 250)
    assert steps == [MAIL, RCPT_ONE, RCPT_TWO, DATA, RSET]
    assert statuses(delivery) == [(ONE, status, code), (TWO, Status.PERMANENT, 550)]


@pytest.mark.parametrize(
    ("code", "status"),
    [(451, Status.TEMPORARY), (452, Status.TEMPORARY), (552, Status.PERMANENT)],
)
def test_message_refused(code: int, status: Status) -> None:
    """The reply to the message counts for all who were accepted (4.1.1 DATA)."""
    steps, delivery = follow(plan_for(ONE, TWO, THREE), 250, 250, 450, 250, 354, code)
    assert steps[-1] == "MESSAGE"
    assert statuses(delivery) == [
        (ONE, status, code),
        (TWO, Status.TEMPORARY, 450),
        (THREE, status, code),
    ]


@pytest.mark.parametrize("kind", [Verb.MAIL, Verb.SEND, Verb.SOML, Verb.SAML])
def test_kinds_of_delivery(kind: Verb) -> None:
    """SEND, SOML and SAML stand in the place of MAIL (3.4)."""
    steps, _ = follow(plan_for(ONE, kind=kind), 250, 250, 354, 250)
    assert steps[0] == f"{kind.value} FROM:<Smith@Alpha.ARPA>"


# More than one transaction.


@pytest.mark.clause("AMB-26")
def test_recipient_storage_full() -> None:
    """552 behind an accepted recipient: the rest in another transaction (4.5.3, scenario 10)."""
    steps, delivery = follow(
        plan_for(ONE, TWO, THREE), 250, 250, 552, 354, 250, 250, 250, 552, 354, 250, 250, 550, 250
    )
    assert steps == [
        *(MAIL, RCPT_ONE, RCPT_TWO, DATA, "MESSAGE"),
        *(MAIL, RCPT_TWO, RCPT_THREE, DATA, "MESSAGE"),
        *(MAIL, RCPT_THREE, RSET),
    ]
    assert statuses(delivery) == [
        (ONE, Status.ACCEPTED, 250),
        (TWO, Status.ACCEPTED, 250),
        (THREE, Status.PERMANENT, 550),
    ]


def test_552_to_the_first_recipient() -> None:
    """A 552 with nobody accepted is a refusal: to try again would change nothing."""
    steps, delivery = follow(plan_for(ONE, TWO), 250, 552, 250, 354, 250)
    assert steps == [MAIL, RCPT_ONE, RCPT_TWO, DATA, "MESSAGE"]
    assert statuses(delivery) == [(ONE, Status.PERMANENT, 552), (TWO, Status.ACCEPTED, 250)]


def test_552_and_a_message_that_can_be_sent_only_once() -> None:
    """Whoever does not fit into the one transaction there can be is refused."""
    steps, delivery = follow(plan_for(ONE, TWO, repeatable=False), 250, 250, 552, 354, 250)
    assert steps == [MAIL, RCPT_ONE, RCPT_TWO, DATA, "MESSAGE"]
    assert statuses(delivery) == [(ONE, Status.ACCEPTED, 250), (TWO, Status.PERMANENT, 552)]


def test_one_transaction_at_a_time_can_hold_so_many() -> None:
    """More recipients than one transaction may have go in several (4.5.3)."""
    plan = plan_for(ONE, TWO, THREE, limits=Limits(recipients=2))
    steps, delivery = follow(plan, 250, 250, 250, 354, 250, 250, 250, 354, 250)
    assert steps == [
        *(MAIL, RCPT_ONE, RCPT_TWO, DATA, "MESSAGE"),
        *(MAIL, RCPT_THREE, DATA, "MESSAGE"),
    ]
    assert delivery.status is Status.ACCEPTED


def test_no_limit_to_recipients() -> None:
    """Where the dialect has none, one transaction does for all."""
    paths = [f"<u{n}@b>" for n in range(150)]
    plan = plan_for(*paths, limits=Limits(recipients=None), repeatable=False)
    steps, delivery = follow(plan, *[250] * 151, 354, 250)
    assert (len(steps), delivery.status) == (153, Status.ACCEPTED)


def test_a_refused_transaction_does_not_end_the_others() -> None:
    """Each transaction is tried; what decided for one does not for the next."""
    plan = plan_for(ONE, TWO, limits=Limits(recipients=1))
    steps, delivery = follow(plan, 452, 250, 250, 354, 250)
    assert steps == [MAIL, MAIL, RCPT_TWO, DATA, "MESSAGE"]
    assert statuses(delivery) == [(ONE, Status.TEMPORARY, 452), (TWO, Status.ACCEPTED, 250)]


def test_nobody_in_one_transaction() -> None:
    """A transaction that is aborted for want of recipients makes room for the next (3.1)."""
    plan = plan_for(ONE, TWO, limits=Limits(recipients=1))
    steps, delivery = follow(plan, 250, 550, 250, 250, 250, 354, 250)
    assert steps == [MAIL, RCPT_ONE, RSET, MAIL, RCPT_TWO, DATA, "MESSAGE"]
    assert statuses(delivery) == [(ONE, Status.PERMANENT, 550), (TWO, Status.ACCEPTED, 250)]


# What can never be sent.


@pytest.mark.parametrize(
    ("reverse", "forward", "options", "message"),
    [
        ("Smith@Alpha.ARPA", ["<a@b>"], {}, "is not a Path"),
        ("<Postmaster>", ["<a@b>"], {}, "reverse-path"),
        ("<>", ["<a@b>", "<>"], {}, "forward-path"),
        ("<>", ["<a@b>", "<a@b>\r\nDATA"], {}, "is not a Path"),
        ("<>", [], {}, "needs a recipient"),
        ("<>", ["<a@b>"], {"kind": Verb.RCPT}, "begins no transaction"),
        ("<>", ["<a@b>", f"<{'u' * 65}@b>"], {}, "User name too long"),
        (f"<{'u' * 65}@b>", ["<a@b>"], {}, "User name too long"),
        ("<>", [f"<a@{'b' * 60}.ARPA>"], {}, "Domain too long"),
        ("<>", [f"<{','.join(['@relay.ARPA'] * 25)}:a@b>"], {}, "Path too long"),
        ("<>", ["<a@b>", "<c@d>"], {"limits": Limits(recipients=1)}, "cannot be sent twice"),
    ],
)
def test_refused_before_anything_is_sent(
    reverse: str, forward: list[str], options: dict[str, Any], message: str
) -> None:
    """All is looked at first, so that what the caller got wrong leaves the session as it was."""
    settings: dict[str, Any] = {"limits": Limits(), "repeatable": False, **options}
    with pytest.raises(LocalProtocolError, match=message):
        next(deliver(reverse, forward, **settings))


def test_paths_may_come_from_anywhere() -> None:
    """Paths are given as values or as text, in any iterable; it is read once."""
    paths: Iterator[Path | str] = iter([ONE, str(TWO)])
    plan = deliver(Path("<>"), paths, limits=Limits(), repeatable=False)
    steps, delivery = follow(plan, 250, 250, 250, 354, 250)
    assert steps[:3] == ["MAIL FROM:<>", RCPT_ONE, RCPT_TWO]
    assert [result.path for result in delivery.recipients] == [ONE, TWO]


# When the connection is lost.

ERRORS: Final[list[tuple[Exception, Status]]] = [
    (SessionLost("gone", Verb.MAIL), Status.TEMPORARY),
    (TimeoutError("silence"), Status.TEMPORARY),
    (ConnectionResetError("reset"), Status.TEMPORARY),
    (RemoteProtocolError("nonsense"), Status.PROTOCOL),
]


@pytest.mark.clause("4.1.1.QUIT-05")
@pytest.mark.parametrize(("error", "status"), ERRORS)
@pytest.mark.parametrize("replies", range(5))
def test_lost_at_any_step(replies: int, error: Exception, status: Status) -> None:
    """Whenever it is lost, nobody who has not been accepted counts as that (4.1.1 QUIT)."""
    _, delivery = follow(plan_for(ONE, TWO), *[250, 250, 250, 354][:replies], error)
    assert delivery.recipients == (
        RecipientResult(ONE, status, error=error),
        RecipientResult(TWO, status, error=error),
    )
    assert delivery.status is status
    assert delivery.recipients[0].forward_path is None


@pytest.mark.parametrize(("error", "status"), ERRORS)
@pytest.mark.parametrize("replies", [(), (250,), (250, 354)])
def test_what_is_known_of_a_recipient_stays(
    replies: tuple[int, ...], error: Exception, status: Status
) -> None:
    """Who was refused was refused, whatever becomes of the connection later."""
    _, delivery = follow(plan_for(ONE, TWO), 250, 550, *replies, error)
    assert delivery.recipients == (
        RecipientResult(ONE, Status.PERMANENT, Reply(550, "text")),
        RecipientResult(TWO, status, error=error),
    )


def test_lost_behind_a_transaction() -> None:
    """Who has the message has it, though the next transaction fails."""
    plan = plan_for(ONE, TWO, limits=Limits(recipients=1))
    _, delivery = follow(plan, 250, 250, 354, 250, LOST)
    assert delivery.recipients == (
        RecipientResult(ONE, Status.ACCEPTED, Reply(250, "text")),
        RecipientResult(TWO, Status.TEMPORARY, error=LOST),
    )
    assert delivery.status is Status.PARTIAL


def test_421_to_one_recipient() -> None:
    """421 decides for the one it answers; the rest is lost with the connection."""
    _, delivery = follow(plan_for(ONE, TWO, THREE), 250, 250, 421, LOST)
    assert delivery.recipients == (
        RecipientResult(ONE, Status.TEMPORARY, error=LOST),
        RecipientResult(TWO, Status.TEMPORARY, Reply(421, "text")),
        RecipientResult(THREE, Status.TEMPORARY, error=LOST),
    )


@pytest.mark.parametrize("answer", [LOST, TimeoutError(), Reply(421), Reply(500)])
def test_an_abort_that_fails_decides_nothing(answer: Answer) -> None:
    """What becomes of RSET says nothing about those who were refused before it."""
    steps, delivery = follow(plan_for(ONE), 250, 550, answer)
    assert steps[-1] == RSET
    assert statuses(delivery) == [(ONE, Status.PERMANENT, 550)]
    steps, delivery = follow(plan_for(ONE), 250, 250, 421, answer)
    assert statuses(delivery) == [(ONE, Status.TEMPORARY, 421)]


def test_a_transaction_that_cannot_be_aborted_is_the_last() -> None:
    """If RSET is refused no other transaction can begin; who is left is told why."""
    plan = plan_for(ONE, TWO, limits=Limits(recipients=1))
    _, delivery = follow(plan, 250, 550, 502)
    assert statuses(delivery) == [(ONE, Status.PERMANENT, 550), (TWO, Status.TEMPORARY, None)]
    error = delivery.recipients[1].error
    assert isinstance(error, SessionLost)
    assert (error.awaiting, str(error)) == (
        Verb.RSET,
        "the transaction could not be aborted: 502 text",
    )


def test_the_callers_mistake_is_the_callers() -> None:
    """A LocalProtocolError, and what is no failure of the connection, ends the plan as it is."""
    for error in (LocalProtocolError("a lone CR"), ValueError("of the program's own")):
        with pytest.raises(type(error)):
            follow(plan_for(ONE), 250, 250, 354, error)


# Whatever the other side does.

STRANGE: Final = (200, 250, 251, 299, 354, 399, 421, 450, 452, 500, 550, 551, 552, 554, 599)


@st.composite
def answers(draw: st.DrawFn, step: Step) -> int | Exception:
    """An answer to a step: the one it wants, another, or none."""
    if draw(st.integers(0, 30)) == 0:
        return draw(st.sampled_from((LOST, TimeoutError(), ConnectionResetError())))
    if draw(st.booleans()):
        return 354 if isinstance(step, Data) else 250
    return draw(st.sampled_from(STRANGE))


def taken_step(sender: Sender, step: Step, answer: int | Exception) -> Reply | Exception:
    """What comes of a step, by a Sender; it must be legal."""
    if sender.state is State.CLOSED:
        return LOST
    if isinstance(step, Command):
        sender.send(step)
    else:
        sender.end_data()
    if isinstance(answer, Exception):
        return answer
    sender.receive_data(b"%d text\r\n" % answer)
    try:
        event = sender.next_event()
    except RemoteProtocolError as error:
        return error
    assert isinstance(event, Replied)
    return event.reply


def receivers(history: list[tuple[Step, Reply | Exception]]) -> set[Path]:
    """Who has the message: accepted by RCPT, in a transaction whose message was accepted."""
    pending, having = set[Path](), set[Path]()
    for step, reply in history:
        completed = isinstance(reply, Reply) and reply.code < 300
        if isinstance(step, Rcpt) and completed:
            pending.add(step.forward_path)
        elif not isinstance(step, Command) and completed:
            having |= pending
        elif isinstance(step, Mail):
            pending.clear()
    return having


@given(st.data(), st.integers(1, 6), st.sampled_from((1, 2, 3, None)), st.booleans())
def test_any_answers(data: st.DataObject, count: int, limit: int | None, once: bool) -> None:
    """Every step is legal, everybody has a result, and only who has the message is ACCEPTED."""
    paths = [Path(f"<u{n}@Beta.ARPA>") for n in range(count)]
    repeatable = not once or (limit is not None and limit < count)
    plan = plan_for(*paths, limits=Limits(recipients=limit), repeatable=repeatable)
    sender, step = sender_at(State.READY), next(plan)
    history: list[tuple[Step, Reply | Exception]] = []
    delivery: Delivery | None = None
    while delivery is None:
        history.append((step, taken_step(sender, step, data.draw(answers(step)))))
        try:
            step = answered(plan, history[-1][1])
        except StopIteration as done:
            delivery = done.value
    assert [result.path for result in delivery.recipients] == paths
    accepted = {r.path for r in delivery.recipients if r.status is Status.ACCEPTED}
    assert accepted == receivers(history)
    assert all((r.reply is None) != (r.error is None) for r in delivery.recipients)
    assert repeatable or [step for step, _ in history].count(MESSAGE) <= 1


# What became of it, in a word.


@pytest.mark.parametrize(
    ("found", "status"),
    [
        ([Status.ACCEPTED], Status.ACCEPTED),
        ([Status.ACCEPTED, Status.ACCEPTED], Status.ACCEPTED),
        ([Status.ACCEPTED, Status.PERMANENT], Status.PARTIAL),
        ([Status.TEMPORARY, Status.ACCEPTED], Status.PARTIAL),
        ([Status.PROTOCOL, Status.ACCEPTED], Status.PARTIAL),
        ([Status.PERMANENT, Status.PERMANENT], Status.PERMANENT),
        ([Status.PERMANENT, Status.TEMPORARY], Status.TEMPORARY),
        ([Status.PERMANENT, Status.TEMPORARY, Status.PROTOCOL], Status.PROTOCOL),
    ],
)
def test_status_of_a_delivery(found: list[Status], status: Status) -> None:
    """All accepted, some, or why none: a broken peer before what may pass before what will not."""
    assert Delivery(tuple(RecipientResult(ONE, s) for s in found)).status is status


@pytest.mark.clause("E-04", "E-06")
@pytest.mark.parametrize(
    ("code", "status"),
    [
        (250, Status.ACCEPTED),
        (299, Status.ACCEPTED),
        (354, Status.PROTOCOL),
        (421, Status.TEMPORARY),
        (499, Status.TEMPORARY),
        (550, Status.PERMANENT),
        (599, Status.PERMANENT),
    ],
)
def test_status_of_a_reply(code: int, status: Status) -> None:
    """The first digit says it (Appendix E)."""
    assert status_of(Reply(code, "text")) is status


def test_errors_say_what_happened() -> None:
    """The two errors of a session tell what was said, and what was not answered."""
    refused = SessionRefused(Reply(554, "No mail here"))
    assert (refused.reply.code, str(refused)) == (554, "the session was refused: 554 No mail here")
    assert SessionLost("gone").awaiting is None
    assert SessionLost("gone", Verb.DATA).awaiting is Verb.DATA


# The message.

TEXT: Final = b"0123456789" * (CHUNK // 4)  # more than two chunks


def pipe(data: bytes) -> io.BufferedReader:
    """A file that cannot be read again: the end of a pipe, with a message in it."""
    reader, writer = os.pipe()
    os.write(writer, data)
    os.close(writer)
    return open(reader, "rb")  # noqa: PTH123 (a descriptor)


def pieces() -> Iterator[bytes]:
    """A message as a generator."""
    yield b"one, "
    yield b""
    yield b"two"


REPEATABLE: Final[dict[str, Callable[[], Any]]] = {
    "bytes": lambda: TEXT,
    "bytearray": lambda: bytearray(TEXT),
    "memoryview": lambda: memoryview(TEXT),
    "file": lambda: io.BytesIO(TEXT),
    "list": lambda: [TEXT[:7], b"", TEXT[7:]],
    "tuple": lambda: (TEXT,),
    "empty": list,
}


@pytest.mark.parametrize("name", REPEATABLE)
def test_messages_that_can_be_read_again(name: str) -> None:
    """Bytes, files with a position and collections give the same every time."""
    message = Message(REPEATABLE[name]())
    assert message.repeatable
    whole = b"" if name == "empty" else TEXT
    assert [b"".join(message.chunks()) for _ in range(2)] == [whole, whole]


@pytest.mark.parametrize("name", ["bytes", "bytearray", "memoryview", "file"])
def test_messages_come_in_chunks(name: str) -> None:
    """Nothing is read whole: a chunk has a bounded size, whatever the message's."""
    sizes = [len(chunk) for chunk in Message(REPEATABLE[name]()).chunks()]
    assert sizes == [CHUNK, CHUNK, len(TEXT) - 2 * CHUNK]


def test_a_generator_is_read_once() -> None:
    """An iterator is what it gives, once."""
    message = Message(pieces())
    assert not message.repeatable
    assert list(message.chunks()) == [b"one, ", b"", b"two"]


def test_a_file_is_read_from_where_it_stands() -> None:
    """What was read of a file before is not sent, the second time neither."""
    file = io.BytesIO(b"envelope\nmessage\n")
    file.readline()
    message = Message(file)
    assert [b"".join(message.chunks()) for _ in range(2)] == [b"message\n", b"message\n"]


def test_a_file_on_disk(tmp_path: File) -> None:
    """A file is read from the disk as it is sent."""
    (tmp_path / "message").write_bytes(TEXT)
    with (tmp_path / "message").open("rb") as file:
        assert b"".join(Message(file).chunks()) == TEXT


def test_a_pipe_is_read_once() -> None:
    """A file without a position is sent as it comes, once."""
    with pipe(b"message\n") as file:
        message = Message(file)
        assert not message.repeatable
        assert b"".join(message.chunks()) == b"message\n"
