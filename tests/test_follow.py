"""Recipients who have moved: 551 with their new path is followed if that was asked for (3.2)."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from pathlib import Path as File
from typing import Any, Final

import pytest

from smtp821 import LocalProtocolError, Path, Reply
from smtp821.__main__ import main
from smtp821.delivery import RecipientResult, Status

from .peers import (  # fmt: skip
    DATA,
    MAIL,
    OKAY,
    OPENING,
    QUIT,
    RCPT,
    RSET,
    START,
    Exchange,
    client_of,
    playing,
    session,
    turns,
)

pytestmark = pytest.mark.usefixtures("adapter")

SMITH: Final = "<Smith@ALPHA.ARPA>"
JONES: Final = Path("<Jones@BETA.ARPA>")
MOVED: Final = Path("<Jones@GAMMA.ARPA>")
TEXT: Final = b"Hello\r\n"
END: Final = b"Hello\r\n.\r\n"
SAYS_551: Final = (RCPT, b"551 User not local; please try <Jones@GAMMA.ARPA>\r\n")
HERE: Final[tuple[Exchange, ...]] = ((MAIL, OKAY), SAYS_551, (RSET, OKAY))
THERE: Final[tuple[Exchange, ...]] = (
    (MAIL, OKAY),
    (b"RCPT TO:<Jones@GAMMA.ARPA>\r\n", OKAY),
    (DATA, START),
    (END, b"250 taken there\r\n"),
)


@pytest.mark.clause("3.2-04")
def test_it_is_not_followed_unasked() -> None:
    """What was said is the result, with the new path for the caller to use."""
    with playing(session(*HERE)) as port, client_of(port) as client:
        (result,) = client.send(SMITH, [JONES], TEXT).recipients
    assert (result.status, result.moved_to) == (Status.PERMANENT, MOVED)


@pytest.mark.clause("3.2-04")
@pytest.mark.parametrize("source", [bytes, io.BytesIO, lambda text: [text]])
def test_it_is_followed(source: Callable[[bytes], Any]) -> None:
    """Another session, to where the caller says, whose answer is the result."""
    asked = []
    with (
        playing(session(*THERE)) as elsewhere,
        playing(session(*HERE)) as port,
        client_of(port) as client,
    ):

        def follow(path: Path) -> tuple[str, int]:
            asked.append(path)
            return "127.0.0.1", elsewhere

        delivery = client.send(SMITH, [JONES], source(TEXT), follow=follow)
    assert asked == [MOVED]
    taken = RecipientResult(JONES, Status.ACCEPTED, Reply(250, "taken there"))
    assert delivery.recipients == (taken,)


def test_the_same_host_by_another_path() -> None:
    """It needs no other session."""
    with playing(session(*HERE, *THERE)) as port, client_of(port) as client:
        delivery = client.send(SMITH, [JONES], TEXT, follow=lambda path: ("127.0.0.1", port))
    assert delivery.status is Status.ACCEPTED


def test_no_further_than_once() -> None:
    """Two hosts that send to each other do not keep a client going."""
    again = ((MAIL, OKAY), (THERE[1][0], SAYS_551[1]), (RSET, OKAY))
    with playing(session(*HERE, *again)) as port, client_of(port) as client:
        delivery = client.send(SMITH, [JONES], TEXT, follow=lambda path: ("127.0.0.1", port))
    assert delivery.status is Status.PERMANENT
    assert delivery.recipients[0].path == JONES


@pytest.mark.parametrize(
    ("opening", "status", "code"),
    [
        ([(b"", b"554 no\r\n"), QUIT], Status.PERMANENT, 554),
        ([(b"", b"421 not now\r\n")], Status.TEMPORARY, 421),
        ([(b"", b"what?\r\n")], Status.PROTOCOL, None),
        ([OPENING[0], (OPENING[1][0], b"")], Status.TEMPORARY, None),
    ],
)
def test_there_is_no_session_there(
    opening: list[Exchange], status: Status, code: int | None
) -> None:
    """That is the result then."""
    *before, last = opening

    def script(wire: Any) -> None:
        if last[1]:
            turns(*opening)(wire)
            return
        for heard, said in before:
            wire.hears(heard)
            wire.send(said)
        wire.hears(last[0])

    with (
        playing(script) as elsewhere,
        playing(session(*HERE)) as port,
        client_of(port) as client,
    ):
        delivery = client.send(SMITH, [JONES], TEXT, follow=lambda path: ("127.0.0.1", elsewhere))
    (result,) = delivery.recipients
    assert (result.status, result.reply and result.reply.code) == (status, code)


@pytest.mark.parametrize("said", [b"551 gone\r\n", b"551 <%s@b>\r\n" % (b"x" * 65)])
def test_a_551_that_leads_nowhere(said: bytes) -> None:
    """Without a path, or with one that cannot be sent, there is nothing to follow."""
    dialogue = ((MAIL, OKAY), (RCPT, said), (RSET, OKAY))
    with playing(session(*dialogue)) as port, client_of(port) as client:
        delivery = client.send(SMITH, [JONES], TEXT, follow=lambda path: ("127.0.0.1", port))
    assert delivery.status is Status.PERMANENT


def test_who_declines_to_follow() -> None:
    """The caller may say no to a path."""
    with playing(session(*HERE)) as port, client_of(port) as client:
        delivery = client.send(SMITH, [JONES], TEXT, follow=lambda path: None)
    assert delivery.status is Status.PERMANENT


def test_a_251_is_not_followed() -> None:
    """The receiver forwards by itself (3.2); nothing is sent twice."""
    forwards = (RCPT, b"251 User not local; will forward to <Jones@GAMMA.ARPA>\r\n")
    dialogue = ((MAIL, OKAY), forwards, (DATA, START), (END, OKAY))
    with playing(session(*dialogue)) as port, client_of(port) as client:
        delivery = client.send(SMITH, [JONES], TEXT, follow=lambda path: ("127.0.0.1", port))
    assert delivery.status is Status.ACCEPTED
    assert delivery.recipients[0].forward_path == MOVED
    assert delivery.recipients[0].moved_to is None


def test_a_message_that_can_be_read_only_once() -> None:
    """It could not be sent again: that is said before anything is sent."""
    with playing(session()) as port, client_of(port) as client:
        once = itertools.repeat(TEXT, 1)
        with pytest.raises(LocalProtocolError, match="cannot follow"):
            client.send(SMITH, [JONES], once, follow=lambda path: None)


def test_the_command_line(tmp_path: File, capsys: pytest.CaptureFixture[str]) -> None:
    """`send --follow` goes to the host of the new path, at the same port."""
    letter = tmp_path / "letter"
    letter.write_bytes(TEXT)
    moved = b"551 please try <Jones@[127.0.0.1]>\r\n"
    here = ((MAIL, OKAY), (RCPT, moved), (RSET, OKAY))
    there = (THERE[0], (b"RCPT TO:<Jones@[127.0.0.1]>\r\n", OKAY), *THERE[2:])
    with playing(session(*here, *there)) as port:
        arguments = ["--from", SMITH, "--to", JONES.text, "--helo", "ALPHA.ARPA", "--follow"]
        assert main(["send", *arguments, "--port", str(port), str(letter)]) == 0
    assert capsys.readouterr().out == "<Jones@BETA.ARPA>: accepted, 250 taken there\n"
