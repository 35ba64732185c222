"""The state machine that talks to a server: sound servers pass, and each defect is found."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
import unittest
from collections.abc import Iterator
from pathlib import Path as File
from typing import Any, Final

import aiosmtpd.smtp
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from smtp821 import (
    RFC821,
    RFC821_LENIENT,
    TRANSITIONS,
    Command,
    Connected,
    Data,
    Dialect,
    EndOfData,
    Envelope,
    Handler,
    Mail,
    MailData,
    Outcome,
    Path,
    Rcpt,
    Reply,
    State,
    Turn,
    Verb,
    Vrfy,
    outcome,
    sockets,
)
from smtp821.testing.connections import (
    Connection,
    HandlerConnection,
    SocketConnection,
)
from smtp821.testing.machine import ServerMachine, server_machine
from smtp821.testing.model import Deviation, Fault, Kind, Violation

from .broken import BROKEN, HOST, Broken, Everything

TIMEOUT: Final = 20.0  # seconds that a reply may take before a test fails


def run(machine: type[ServerMachine], examples: int, steps: int = 30) -> None:
    """Run a machine, the same way each time."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


# Sound servers.


class Moody(Everything):
    """Gives every code that 4.3 has for a command, one after the other."""

    def __init__(self, peer: str) -> None:
        super().__init__(peer)
        self.turns = 0

    def choose(self, *replies: Reply | None) -> Reply | None:
        """One of these, in turn."""
        self.turns += 1
        return replies[self.turns % len(replies)]

    def mail(self, command: Mail) -> Reply | None:
        """Taken twice of six times."""
        return self.choose(None, None, Reply(451), Reply(452), Reply(552), Reply(421))

    def rcpt(self, command: Rcpt) -> Reply | None:
        """Taken, forwarded, or refused in each way."""
        moved = [Reply.forward(code, Path("<a@x>")) for code in (251, 551)]
        return self.choose(None, *moved, *map(Reply, (450, 451, 452, 550, 552, 553)))

    def data(self, command: Data) -> Reply | None:
        """Half of them go on."""
        super().data(command)
        return self.choose(None, Reply(451), Reply(554), None)

    def end_of_data(self, event: EndOfData) -> Reply | None:
        """One of five is kept."""
        answer = self.choose(None, *map(Reply, (451, 452, 552, 554)))
        return super().end_of_data(event) if answer is None else answer

    def vrfy(self, command: Vrfy) -> Reply:
        """Nobody is told."""
        answer = self.choose(*map(Reply, (550, 553, 504, 502)))
        assert answer is not None
        return answer

    def turn(self, command: Turn) -> None:
        """It fails."""
        raise OSError("it fails now and then")


class Failing(Handler):
    """Raises wherever it is asked: 451 or 421 come of it, which are legal."""

    def fail(self, _: object) -> Reply:
        """It fails."""
        raise RuntimeError("a handler that fails")

    helo = mail = rcpt = data = mail_data = end_of_data = rset = vrfy = turn = fail  # type: ignore[assignment]


class Awaited(Everything):
    """Methods that are awaited, and wait for nothing."""

    async def rcpt(self, command: Rcpt) -> Reply | None:  # type: ignore[override]
        """Everybody is known."""
        return None

    async def mail_data(self, event: MailData) -> None:  # type: ignore[override]
        """A piece of the message."""
        self.begun += event.data


@pytest.mark.parametrize("dialect", [RFC821, RFC821_LENIENT], ids=["strict", "lenient"])
@pytest.mark.parametrize("kind", [Everything, Moody, Awaited, Handler, Failing])
def test_the_receiver_is_sound(kind: type[Handler], dialect: Dialect) -> None:
    """Whatever the handler answers; and what it was given is what was sent."""

    def delivered() -> tuple[Envelope, bytes] | None:
        return kind.last if issubclass(kind, Everything) else None

    machine = server_machine(
        lambda: HandlerConnection(kind("peer"), HOST, dialect), delivered=delivered, dialect=dialect
    )
    run(machine, 20)


class Remembering(HandlerConnection):
    """Knows what came last."""

    came = b""

    def exchange(self, data: bytes, *, awaited: bool) -> bytes:
        """As always."""
        self.came = super().exchange(data, awaited=awaited)
        return self.came


def test_every_edge_is_walked() -> None:
    """The machine takes each transition of the tables, but for those of 421."""
    edges: set[tuple[State, Verb, Outcome]] = set()

    class Watched(ServerMachine):
        connections = 0

        def connect(self) -> Connection:
            self.connections += 1
            kind = Moody if self.connections % 2 else Everything
            self.last = Remembering(kind("peer"), HOST)
            return self.last

        def say(self, said: bytes | Command, *, again: bool = True) -> None:
            before, last = self.model.state, self.last
            super().say(said, again=again)
            word = bytes(said)[:4].upper()
            verb = {State.OPENING: Verb.CONNECT, State.DATA: Verb.END_OF_DATA}.get(before)
            if verb is None and word in RFC821.syntaxes:
                verb = RFC821.syntaxes[word].verb
            if verb is not None and last.came:
                edges.add((before, verb, outcome(verb, int(last.came[:3]))))

    run(Watched, 100, 50)
    wanted = {edge for edge in TRANSITIONS if edge[2] is not Outcome.CLOSING}
    refused = {
        (State.OPENING, Verb.CONNECT, Outcome.FAILURE),
        (State.REFUSED, Verb.QUIT, Outcome.SUCCESS),
    }
    assert wanted - edges == refused  # 554 is no greeting of RFC 821


def test_a_server_over_sockets_is_sound() -> None:
    """A real server of this library, on a port of the system's choice."""
    with sockets.serve(Everything, port=0, domain=HOST, dialect=RFC821) as server:
        machine = server_machine(
            lambda: SocketConnection(*server.address, TIMEOUT), delivered=lambda: Everything.last
        )
        run(machine, 10, 20)


# A server of another make. It speaks RFC 5321, and what that asks for or allows, or a server of
# today leaves out, is tolerated by name.

BARE: Final = re.compile(rb"[\r\n]")
OTHERS: Final = (
    Deviation(Verb.QUIT, [221], "RFC 5321 has free texts", kind=Kind.TEXT),
    Deviation(Verb.VRFY, [252], "RFC 5321 3.5.3: not verified, but it will be tried"),
    Deviation(Verb.HELP, [250], "any success will do for clients (4.4)"),
    Deviation(Verb.MAIL, [501, 553], "does not know all forms of a mailbox"),
    Deviation(Verb.RCPT, [501], "does not know all forms of a mailbox"),
    Deviation(Verb.HELO, [250], "takes any name (AMB-08)", fault=Fault.MALFORMED),
    Deviation(Verb.MAIL, [250, 553], "takes more mailboxes than there are", fault=Fault.MALFORMED),
    Deviation(Verb.RCPT, [250], "takes more mailboxes than there are", fault=Fault.MALFORMED),
)


@contextlib.contextmanager
def other_server(handler: object) -> Iterator[tuple[str, int]]:
    """An aiosmtpd, in a thread of its own; gives its address."""
    loop = asyncio.new_event_loop()

    def make() -> aiosmtpd.smtp.SMTP:
        return aiosmtpd.smtp.SMTP(handler, hostname=HOST, loop=loop)

    server = loop.run_until_complete(loop.create_server(make, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[:2]
    finally:
        asyncio.run_coroutine_threadsafe(_ended(server), loop).result(TIMEOUT)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(TIMEOUT)
        loop.close()


async def _ended(server: asyncio.Server) -> None:
    """Close a server, and wait for those that it serves."""
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def test_a_server_of_another_make_is_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    """An aiosmtpd over a socket, with the deviations above, and no others.

    It is told not to close after some unknown commands; and lines are left out of which servers
    that read them leniently make two.
    """
    monkeypatch.setattr(aiosmtpd.smtp, "BOGUS_LIMIT", 10**6)

    class Taking:
        message = b""

        async def handle_DATA(self, _: object, __: object, envelope: Any) -> str:
            Taking.message = envelope.original_content
            return "250 OK"

    with other_server(Taking()) as address:
        machine = server_machine(
            lambda: SocketConnection(*address, TIMEOUT),
            delivered=lambda: (None, Taking.message),
            tolerated=OTHERS,
        )

        class WithoutBareNewlines(machine):  # type: ignore[misc, valid-type]
            wrong_lines = tuple(x for x in ServerMachine.wrong_lines if not BARE.search(x))
            noise = ServerMachine.noise.map(lambda octets: BARE.sub(b"", octets))

        run(WithoutBareNewlines, 12, 20)


# Broken servers.


@pytest.mark.parametrize("defect", BROKEN)
def test_a_defect_is_found(defect: str) -> None:
    """Each of these servers does one thing wrong, and the Violation says what."""
    connect, kinds = BROKEN[defect]
    machine = server_machine(connect, delivered=lambda: Everything.last)
    with pytest.raises(Violation) as caught:
        run(machine, 400)
    assert caught.value.kind in kinds


# The machine itself.


def test_a_machine_needs_a_server() -> None:
    """The one method that is to be overridden."""
    machine = ServerMachine()
    with pytest.raises(NotImplementedError):
        machine.meet()
    machine.teardown()
    assert machine.delivered() is None


class Busy(Handler):
    """Sends everybody away."""

    def connected(self, event: Connected) -> Reply:
        """421, as the greeting."""
        return Reply(421)


def test_a_server_that_is_busy_is_sound() -> None:
    """4.3: 421 is a greeting too; another connection is made by and by."""
    run(server_machine(lambda: HandlerConnection(Busy("peer"), HOST)), 5)


def test_a_session_may_end_at_any_piece() -> None:
    """AMB-28: a 421 in the middle of a line, or of mail data, ends the session, and it goes on."""

    def tired(self: Broken, said: bytes, came: bytes) -> bytes:
        receiver = self.server.conversation.receiver
        if came or said.endswith(b"\n") or not said:
            return came
        receiver.shutdown("tired")
        return self.server.exchange(b"", awaited=False)

    run(server_machine(lambda: Broken(speak=tired)), 20)


def test_a_test_case_is_made() -> None:
    """What a test module of users has: a class for unittest, or pytest."""
    machine = server_machine(lambda: HandlerConnection(Everything("peer"), HOST))
    case = machine.TestCase
    case.settings = settings(max_examples=2, deadline=None, database=None, derandomize=True)
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    assert result.testsRun == 1
    assert result.wasSuccessful()


def test_what_the_documentation_says() -> None:
    """The Python blocks of its section run, and the deviations there are those above."""
    page = (File(__file__).parent.parent / "docs" / "testing-kit.md").read_text("utf-8")
    section = page.partition("## A server, held against a model")[2].partition("\n## ")[0]
    socket, handler, model, today = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    names: dict[str, Any] = {}
    for block in (socket, handler, today):
        exec(compile(block, "testing-kit.md", "exec"), names)
    assert [(d.verb, d.codes, d.fault, d.kind) for d in names["TODAY"]] == [
        (d.verb, d.codes, d.fault, d.kind) for d in OTHERS
    ]
    names["TestInbox"].settings = settings(
        max_examples=5, deadline=None, database=None, derandomize=True
    )
    names["TestInbox"]("runTest").debug()
    with pytest.raises(Violation) as caught:
        exec(compile(model, "testing-kit.md", "exec"), names)
    assert caught.value.kind is Kind.CODE
