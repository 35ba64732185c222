"""The benchmarks' own arithmetic, rounds, tables and records; nothing is measured here."""

from __future__ import annotations

import math
from pathlib import Path

import attrs
import pytest

from bench import bodies, tables
from bench.document import PAGE, filled
from bench.figures import Line, Sample, Spread, fit, growth, ratio, spread
from bench.results import Case, Curve, Measure, Run, Series, costs, rates, read, write
from bench.rounds import Failed, Settings, calibrated, compare
from bench.targets import TARGETS, Target, broken, reached, reached_on_cpu

ROOT = Path(__file__).parent.parent

SERVERS = Measure(
    "servers",
    "Servers",
    "messages/s",
    (
        Case(
            "many",
            (
                Series("ours", (6000.0, 12000.0, 6600.0), (1e-4, 1e-4, 1e-4), 500),
                Series("theirs", (1000.0, 2000.0, 1000.0)),
                Series("absent", note="not there"),
            ),
        ),
    ),
    "theirs",
)
SIZE = Measure(
    "size",
    "By size",
    "us a message",
    tuple(Case(str(x), (Series("ours", (100 + x * 0.002,)),), x) for x in (1000, 10_000, 100_000)),
    more=False,
    curve=Curve("octets", "Because."),
)
MACHINE = {
    "made": "2026-01-01",
    "processor": "P",
    "cores": 2,
    "system": "S",
    "python": "CPython 3.11",
    "compiler": "C",
    "profile-guided by its flags": False,
    "bytes.find, MB/s": 1500,
    "load before": 0.1,
}
SETTINGS = {"quick": False, "rounds": 3, "seconds": 1.0}
RUN = Run(MACHINE, SETTINGS, {"theirs": "1.0"}, {"absent": "not there"}, (SERVERS, SIZE))


def silent(_: str) -> None:
    """Takes a line of progress."""


def test_spread_and_ratio() -> None:
    """A ratio is taken within each round, and is not that of the medians."""
    assert spread([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)
    assert ratio([6.0, 12.0, 6.6], [1.0, 2.0, 1.0]) == Spread(6.0, 6.0, 6.6)
    assert ratio([], [1.0]) is None
    assert ratio([1.0], [0.0]) is None


def test_samples() -> None:
    """Rates and costs of a sample."""
    sample = Sample(100, 2.0, 0.5)
    assert (sample.rate, sample.cost, sample.cpu_cost) == (50.0, 0.02, 0.005)
    assert Sample(100, 2.0).cpu_cost is None
    assert rates("x", [sample]) == Series("x", (50.0,), (0.005,), 100)
    assert costs("x", [sample]).values == (20_000.0,)


def test_lines_through_points() -> None:
    """A line is found again, whatever its points span."""
    line = fit([(x, 5 + 3 * x) for x in (1.0, 10.0, 1000.0)])
    assert line is not None
    assert attrs.astuple(line) == pytest.approx((5.0, 3.0, 1.0))
    assert fit([(1.0, 2.0)]) is None
    assert fit([(1.0, 2.0), (2.0, 0.0)]) is None
    assert fit([(1.0, 2.0), (2.0, 2.0)]) == Line(2.0, 0.0, 1.0)


@pytest.mark.parametrize("power", [0, 1, 2])
def test_growth(power: int) -> None:
    """The exponent of a curve at its end."""
    points = [(float(x), 7.0 * x**power) for x in (1, 2, 4, 8, 16)]
    assert growth(points) == pytest.approx(power)
    assert growth(points[:1]) is None


def test_calibration_and_rounds() -> None:
    """Each job is warmed up, then takes turns with the others; one that fails is left out."""
    turns: list[tuple[str, int]] = []

    def job(name: str, each: float) -> object:
        def work(count: int) -> Sample:
            turns.append((name, count))
            return Sample(count, count * each)

        return work

    def broken(_: int) -> Sample:
        raise Failed("it broke")

    assert calibrated(job("a", 1e-3), 1.0) == 1000  # type: ignore[arg-type]
    assert calibrated(job("a", 1e-3), 1.0, most=70) == 70  # type: ignore[arg-type]
    assert calibrated(job("a", 5.0), 1.0, least=3) == 3  # type: ignore[arg-type]
    turns.clear()
    settings = Settings(rounds=3, seconds=1.0, say=silent)
    jobs = {"a": job("a", 0.01), "broken": broken, "b": job("b", 0.1)}
    outcomes = compare(jobs, settings, "what")  # type: ignore[arg-type]
    assert turns[-6:] == [("a", 100), ("b", 10)] * 3
    assert [len(outcome.samples) for outcome in outcomes.values()] == [3, 0, 3]
    assert outcomes["broken"].failure == "it broke"


def test_results_as_json(tmp_path: Path) -> None:
    """What is written is read again."""
    write(RUN, tmp_path / "results.json")
    assert read(tmp_path / "results.json") == RUN


def test_numbers() -> None:
    """Three digits that count."""
    shown = [tables.number(value) for value in (12345.6, 123.4, 12.34, 1.234, 0.1234, 0.0, 99.99)]
    assert shown == ["12,346", "123", "12.3", "1.23", "0.123", "0", "100"]


def test_a_table() -> None:
    """Values, ratios to the base, time on the processor; and who was missing."""
    text = tables.table(SERVERS)
    assert "| ours | 6,600 (6,000-12,000) |" in text
    assert "| ours | 6.00 (6.00-6.60) |" in text
    assert "| ours | 100 (66%) |" in text
    assert "absent |" not in text
    assert "- absent: not there" in text


def test_a_curve() -> None:
    """Points, and the line through them."""
    text = tables.table(SIZE)
    assert "| ours | 102 | 120 | 300 |" in text
    assert "| ours | 100 | 2 | 1.000 |" in text


def test_targets() -> None:
    """More is better, or less; of two subjects, or of one in two cases."""
    assert reached(Target("t", "servers", "many", "ours", "theirs", 6), RUN) == Spread(6, 6, 6.6)
    assert reached(Target("t", "servers", "many", "ours", "absent", 6), RUN) is None
    assert reached_on_cpu(Target("t", "servers", "many", "ours", "ours", 1), RUN) == Spread(1, 1, 1)
    assert reached_on_cpu(Target("t", "servers", "many", "ours", "theirs", 1), RUN) is None
    assert reached(Target("t", "nothing", "many", "ours", "theirs", 6), RUN) is None
    itself = reached(Target("t", "size", "-1", "ours", "", 1, "1000"), RUN)
    assert itself is not None
    assert math.isclose(itself.median, 102 / 300)
    assert len({(t.measure, t.case, t.subject, t.base, t.base_case) for t in TARGETS}) == len(
        TARGETS
    )


def test_what_is_broken() -> None:
    """This library has values everywhere; a peer, or what a program needs, may be missing."""

    def run(note: str) -> Run:
        case = Case("76", (Series("Receiver", note=note), Series("theirs", note="why")))
        return attrs.evolve(RUN, measures=(Measure("decoding", "D", "MB/s", (case,)),))

    assert broken(RUN) == []
    assert broken(run("uvloop is missing")) == []
    assert broken(run("it broke")) == ["decoding, 76, Receiver: it broke"]
    assert broken(attrs.evolve(RUN, missing={"idle, all of it": "no"})) == ["idle, all of it: no"]


def test_the_page_is_filled() -> None:
    """What stands between the markers is replaced, the rest is kept; twice gives the same."""
    page = "A\n<!-- bench: servers -->\nold\n<!-- end -->\nB\n<!-- bench: idle -->\n<!-- end -->\n"
    new = filled(page, RUN, "plots")
    assert new.startswith("A\n<!-- bench: servers -->\n\n### Servers\n")
    assert "old" not in new
    assert "![Servers](plots/servers.svg)" in new
    assert new.endswith("<!-- end -->\nB\n<!-- bench: idle -->\n<!-- end -->\n")
    assert filled(new, RUN, "plots") == new
    assert "CPython 3.11" in filled("<!-- bench: machine -->\n<!-- end -->", RUN, "")


def test_the_page_has_a_place_for_every_target() -> None:
    """Each measure that has a target has its markers in the documentation."""
    page = (ROOT / PAGE).read_text(encoding="utf-8")
    for name in {"machine", "targets", *(target.measure for target in TARGETS)}:
        assert f"<!-- bench: {name} -->" in page, name


@pytest.mark.parametrize("kind", bodies.KINDS)
def test_bodies(kind: str) -> None:
    """Whole lines, no line that is a dot alone on the wire, and not less than what is asked for."""
    message, wire = bodies.message(kind, 5000), bodies.wire(kind, 5000)
    for data in (message, wire):
        assert 5000 <= len(data) < 6000
        assert data.endswith(b"\r\n")
    assert b"." not in wire.split(b"\r\n")
    undone = (b"\r\n" + wire).replace(b"\r\n.", b"\r\n")[2:]
    assert undone.startswith(message[: len(undone)])
