"""The targets of fuzzing, without a fuzzer: on their seeds, and on small changes of them.

And the targets themselves: each finds a reader that is broken.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smtp821 import Event, Pause, Receiver, Reply, Sender
from smtp821.protocol.events import Closed, Replied, Turned
from smtp821.protocol.replies import ReplyReader
from smtp821.testing.transcripts import Dialogue, parse

from .fuzz import __main__ as fuzzing
from .fuzz import targets
from .fuzz.targets import TARGETS, TURN, held

ATHERIS = importlib.util.find_spec("atheris") is not None

# What mutations put in: what means something to one of the readers.
_MORSELS = (
    b"\r\n", b"\r", b"\n", b"\r\n.\r\n", b"\r\n..", b".", b"\0", b"\x80", b"\xff", TURN, b" ", b"-",
    b"<", b">", b"@", b":", b",", b"\\", b'"', b"#", b"[", b"250 OK\r\n", b"250-a\r\n",
    b"421 x\r\n", b"354 go\r\n", b"QUIT\r\n", b"RSET\r\n", b"DATA\r\n", b"x" * 600,
)  # fmt: skip


@st.composite
def mutations(draw: st.DrawFn, corpus: list[bytes]) -> bytes:
    """An input with some pieces of it replaced, left out, doubled, or taken from another."""
    data = draw(st.sampled_from(corpus))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        stop = start + draw(st.sampled_from((0, 0, 1, 2, 30)))
        other = draw(st.sampled_from(corpus))
        piece = draw(
            st.one_of(
                st.sampled_from(_MORSELS),
                st.binary(max_size=4),
                st.just(data[start:stop] * 2),
                st.just(other[start : start + 40]),
            )
        )
        data = data[:start] + piece + data[stop:]
    return data


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_stands_its_seeds(name: str) -> None:
    """Each of them, and none: the empty input too."""
    corpus = list(TARGETS[name].corpus())
    assert len(corpus) > 20
    for data in (b"", *corpus):
        TARGETS[name].run(data)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_stands_small_changes(name: str) -> None:
    """What has to hold holds for inputs near the seeds."""
    target = TARGETS[name]

    @settings(max_examples=300)
    @given(mutations(list(target.corpus())))
    def stands(data: bytes) -> None:
        target.run(data)

    stands()


# Readers that are broken, each in its own way.


class Hasty(Receiver):
    """Forgets the last octet of what it is fed."""

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Take it, but for the last octet."""
        super().receive_data(bytes(data)[:-1] or data)


class Hoarding(Receiver):
    """Keeps all that it was ever fed."""

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Take it, and keep it."""
        self.kept = getattr(self, "kept", b"") + b"x" * 100_000
        super().receive_data(data)


class Talkative(Receiver):
    """Says one thing more at the end of a session."""

    def next_event(self) -> Event | Pause:
        """The next event, or two replies."""
        event = super().next_event()
        if isinstance(event, Closed):
            self.data_to_send = lambda: b"250 OK\r\n"  # type: ignore[method-assign]
        return event


class Fragile(Sender):
    """Falls over something else than it says."""

    def next_event(self) -> Replied | Turned | Closed | Pause:
        """The next event, or what is no error of a protocol."""
        event = super().next_event()
        if isinstance(event, Replied) and "-" in event.reply.text:
            raise UnicodeError("a dash")
        return event


class Impatient(Sender):
    """Has its turn when the first octet of a reply has come."""

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Read only what is long enough."""
        super().receive_data(data if len(data) != 5 else b"250 OK\r\n")


class Counting(ReplyReader):
    """Gives a reply another text, the more often it is asked."""

    asked = 0

    def next_reply(self) -> Reply | None:
        """The reply, if there is one, with the count for its text."""
        self.asked += 1
        reply = super().next_reply()
        return None if reply is None else Reply(reply.code, str(self.asked))


@pytest.mark.parametrize(
    ("name", "attribute", "broken", "error"),
    [
        ("receiver", "Receiver", Hasty, AssertionError),
        ("receiver", "Receiver", Hoarding, AssertionError),
        ("receiver", "Receiver", Talkative, AssertionError),
        ("sender", "Sender", Fragile, UnicodeError),
        ("sender", "Sender", Impatient, AssertionError),
        ("replies", "ReplyReader", Counting, AssertionError),
        ("paths", "Domain", lambda text: text.lower(), AssertionError),
        ("paths", "Path", lambda text: text, AssertionError),
        ("transcripts", "parse", lambda text: Dialogue(parse(text).lines[1:]), AssertionError),
        ("oracle", "Receiver", Hasty, AssertionError),
    ],
)
def test_a_target_finds_what_is_broken(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    attribute: str,
    broken: Callable[..., object],
    error: type[Exception],
) -> None:
    """With a reader that is broken, one of the seeds is enough."""
    monkeypatch.setattr(targets, attribute, broken)
    with pytest.raises(error):
        _run_all(name)


def _run_all(name: str) -> None:
    for data in TARGETS[name].corpus():
        TARGETS[name].run(data)


def test_what_is_held() -> None:
    """Octets and characters, wherever they are, once each."""

    class Holding:
        __slots__ = ("one", "others")
        one: bytes
        others: list[object]

    text = "x" * 1000
    holding = Holding()
    holding.one, holding.others = bytes(500), [text, (text,), {b"k" * 7: holding}]
    assert held(holding) == 1507
    assert held(Receiver("x")) < 2000


# The runner.


def test_the_runner_runs_one_input(tmp_path: Path) -> None:
    """An input that failed can be looked at alone, without atheris."""
    file = tmp_path / "input"
    file.write_bytes(next(iter(TARGETS["paths"].corpus())))
    assert fuzzing.main(["paths", "--run", str(file)]) == 0


def test_the_runner_needs_atheris(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without it, it says how to get it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert fuzzing.main(["paths"]) == 2
    assert capsys.readouterr().err == fuzzing.MISSING + "\n"


LOG = "#123 NEW cov: 1\nstat::number_of_executed_units: 4567\nstat::new_units_added: 1\n"


@pytest.mark.parametrize(("crash", "status"), [(False, 0), (True, 1)])
def test_the_runner_says_what_it_did(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    crash: bool,
    status: int,
) -> None:
    """How many executions, what is new, and what failed, in a line for each target."""

    def pretend(target: str, *options: str) -> str:
        Path(options[-1], "found").write_bytes(b"")
        if crash:
            Path(tmp_path, f"{target}-crash-1").write_bytes(b"")
        return LOG

    monkeypatch.setattr(fuzzing, "FINDINGS", tmp_path)
    monkeypatch.setattr(fuzzing, "_atheris", pretend)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    assert fuzzing.main(["replies", "--seconds", "3"]) == status
    seeds = len(list(TARGETS["replies"].corpus()))
    line, *rest = capsys.readouterr().out.splitlines()
    assert line == (
        f"replies: 4,567 executions in 3 s, from {seeds} seeds; "
        f"1 inputs with new coverage; {status} failures"
    )
    assert ("replies-crash-1" in "".join(rest)) is crash


def test_the_runner_says_if_nothing_ran(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A search that never began is a failure, and shows why."""
    monkeypatch.setattr(fuzzing, "FINDINGS", tmp_path)
    monkeypatch.setattr(fuzzing, "_atheris", lambda *arguments: "no such thing")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    assert fuzzing.main(["all"]) == 1
    assert capsys.readouterr().out.count("no such thing") == len(TARGETS)


@pytest.mark.skipif(not ATHERIS, reason="needs atheris, which the extra `fuzz` brings")
def test_a_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second of the real thing."""
    monkeypatch.setattr(fuzzing, "FINDINGS", tmp_path)
    result = fuzzing.search("paths", 1)
    assert result.executions > 0, result.log
    assert result.failures == ()
