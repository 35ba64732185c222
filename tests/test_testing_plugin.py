"""smtp821.testing.plugin: what the fixtures give to tests of other projects.

Each test here is a run of pytest over a project of its own, in which warnings are errors.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from importlib.metadata import entry_points

import pytest

pytest_plugins = ["pytester"]

SENDING = """
import smtplib

def send(server, to="you@far.example", subject="Welcome"):
    with smtplib.SMTP(server.host, server.port) as client:
        client.sendmail("me@here.example", [to], f"Subject: {subject}\\n\\nHello.\\n")
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with a function that sends mail."""
    pytester.makepyfile(sending=SENDING)
    return pytester


def passes(project: pytest.Pytester, tests: str, count: int = 1) -> None:
    """Run tests in this process, all of which pass without a warning or a trace."""
    project.makepyfile(tests)
    before = threading.active_count()
    result = project.runpytest_inprocess("-W", "error", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=count)
    assert threading.active_count() == before


def test_the_entry_point() -> None:
    """pytest finds the plugin by its own means."""
    (found,) = entry_points(group="pytest11", name="smtp821")
    assert found.value == "smtp821.testing.plugin"


def test_mail_is_caught(project: pytest.Pytester) -> None:
    """Three lines are a test; each message has its envelope, its octets, and a parsed form."""
    passes(
        project,
        """
        from sending import send

        def test_welcome(smtp821_server):
            send(smtp821_server)
            (message,) = smtp821_server.messages
            assert message.reverse_path == "me@here.example"
            assert message.recipients == ["you@far.example"]
            assert message.data == b"Subject: Welcome\\r\\n\\r\\nHello.\\r\\n"
            assert message.email["Subject"] == "Welcome"
            assert message.email.get_content() == "Hello.\\n"
        """,
    )


def test_each_test_has_its_own(project: pytest.Pytester) -> None:
    """A server begins with nothing, and its port is closed when the test is over."""
    passes(
        project,
        """
        import socket
        import threading
        import pytest
        from sending import send

        addresses = []

        @pytest.mark.parametrize("number", range(3))
        def test_one(smtp821_server, number):
            assert threading.active_count() == active + 1
            assert smtp821_server.address == (smtp821_server.host, smtp821_server.port)
            assert smtp821_server.messages == []
            send(smtp821_server)
            assert len(smtp821_server.messages) == 1
            addresses.append(smtp821_server.address)

        def test_nothing_is_left():
            assert threading.active_count() == active
            for address in addresses:
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection(address, 10)

        active = threading.active_count()
        """,
        4,
    )


def test_waiting(project: pytest.Pytester) -> None:
    """Mail that is sent by another thread is waited for, and found missing with an account."""
    passes(
        project,
        """
        import threading
        import pytest
        from sending import send

        def test_wait(smtp821_server):
            threads = [threading.Thread(target=send, args=[smtp821_server]) for _ in range(3)]
            for thread in threads:
                thread.start()
            assert len(smtp821_server.wait(3, timeout=30)) == 3
            for thread in threads:
                thread.join()
            smtp821_server.clear()
            with pytest.raises(AssertionError, match="0 of 1 messages came in 0.01 seconds"):
                smtp821_server.wait(timeout=0.01)
        """,
    )


def test_failures(project: pytest.Pytester) -> None:
    """`script` has the server fail in whatever way."""
    passes(
        project,
        """
        import smtplib
        import pytest
        from sending import send
        from smtp821.testing.scripts import at, close, say

        def test_a_full_disk(smtp821_server):
            smtp821_server.script(at("RCPT", say(452)), at("DATA", close()))
            with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
                send(smtp821_server)
            assert refused.value.recipients["you@far.example"][0] == 452
            smtp821_server.script()
            send(smtp821_server)
            assert len(smtp821_server.messages) == 1
        """,
    )


def test_in_memory(project: pytest.Pytester) -> None:
    """The same without a port, for clients of this library."""
    passes(
        project,
        """
        import threading
        from smtp821.sockets import Client
        from smtp821.testing import memory

        def test_welcome(smtp821_memory):
            with memory.client(Client, smtp821_memory) as client:
                client.send("<me@here.example>", ["<you@far.example>"], b"Hello.")
            assert threading.active_count() == active
            assert smtp821_memory.messages[0].data == b"Hello.\\r\\n"

        active = threading.active_count()
        """,
    )


def test_a_connection_that_is_left_open(project: pytest.Pytester) -> None:
    """A client that never says QUIT does not keep the test from ending."""
    passes(
        project,
        """
        import smtplib
        import pytest

        @pytest.fixture
        def client():
            client = smtplib.SMTP()
            yield client
            with pytest.raises(smtplib.SMTPServerDisconnected):
                client.noop()

        def test_left_open(client, smtp821_server):
            assert client.connect(smtp821_server.host, smtp821_server.port)[0] == 220
        """,
    )


def test_an_action_that_fails(project: pytest.Pytester) -> None:
    """What goes wrong in the thread of the server is an error of the test."""
    project.makepyfile(
        """
        import smtplib
        import pytest
        from sending import send
        from smtp821.testing.scripts import at

        def fail(session):
            raise LookupError("in an action")

        def test_it(smtp821_server):
            smtp821_server.script(at("MAIL", fail))
            with pytest.raises(smtplib.SMTPServerDisconnected):
                send(smtp821_server)
        """
    )
    result = project.runpytest_inprocess("-W", "error", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*LookupError: in an action"])


def test_who_does_not_ask_is_not_disturbed(project: pytest.Pytester) -> None:
    """Only the fixtures are there: no adapter is loaded, and nothing begun, until one is used."""
    project.makepyfile(
        """
        import sys
        import threading

        def test_before():
            assert "smtp821.testing.plugin" in sys.modules
            foreign = {"asyncio", "hypothesis", "trio", "smtp821.sockets", "smtp821.host"}
            assert not foreign & sys.modules.keys()
            assert not {name for name in sys.modules if name.startswith("smtp821.testing.s")}
            assert threading.active_count() == 1

        def test_server(smtp821_server):
            assert not {"asyncio", "hypothesis", "trio"} & sys.modules.keys()

        def test_memory(smtp821_memory):
            assert not {"asyncio", "hypothesis", "trio"} & sys.modules.keys()
        """
    )
    command = [sys.executable, "-m", "pytest", "-W", "error", "-p", "no:hypothesispytest"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "3 passed" in run.stdout, run.stdout + run.stderr
    command.insert(-2, "--fixtures")
    listed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    for line in ("smtp821_server*takes all mail.", "smtp821_memory*"):
        name, _, text = line.partition("*")
        assert name in listed.stdout
        assert text in listed.stdout
