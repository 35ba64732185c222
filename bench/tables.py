"""What was found, as Markdown: a table of ratios and one of values for each measure.

A cell is the median, with the least and the most of the rounds behind it. Curves have their points,
and the straight line through them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import median

from .figures import Spread, fit, growth
from .results import Case, Measure, Run
from .targets import TARGETS, reached, reached_on_cpu

__all__ = ["cell", "curves", "grid", "number", "page", "table", "targets"]


def number(value: float) -> str:
    """A number with three digits that count."""
    value = value if abs(value) >= 1000 else float(f"{value:.3g}")
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 100:
        return f"{value:.0f}"
    if size >= 10:
        return f"{value:.1f}"
    if size >= 1:
        return f"{value:.2f}"
    return f"{value:.3g}"


def cell(value: Spread | None) -> str:
    """A median, with what it lies between if that is more than one value."""
    if value is None:
        return ""
    if value.least == value.most:
        return number(value.median)
    return f"{number(value.median)} ({number(value.least)}-{number(value.most)})"


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown; columns but the first are set to the right."""
    lines = [list(head), ["---", *("---:" for _ in head[1:])], *map(list, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def table(measure: Measure) -> str:
    """The tables of one measure, under its title."""
    parts = [f"### {measure.title}"]
    if measure.about:
        parts.append(measure.about)
    if measure.curve is not None:
        parts += [measure.curve.reason, _values(measure), _lines(measure)]
    else:
        parts.append(_values(measure))
        if measure.base:
            parts.append(_ratios(measure))
        if any(s.cpu for case in measure.cases for s in case.series) and measure.more:
            parts.append(_cpu(measure))
    notes = _notes(measure)
    return "\n\n".join([*parts, *([notes] if notes else [])])


def _rows(measure: Measure, show: Callable[[Case, str], str]) -> list[list[str]]:
    """A row for each subject that has a value anywhere."""
    rows = [[name, *(show(case, name) for case in measure.cases)] for name in measure.subjects]
    return [row for row in rows if any(row[1:])]


def _values(measure: Measure) -> str:
    def show(case: Case, subject: str) -> str:
        series = case.of(subject)
        return cell(series.spread) if series else ""

    head = [measure.unit, *(case.name for case in measure.cases)]
    return grid(head, _rows(measure, show))


def _ratios(measure: Measure) -> str:
    """How many times better than the base."""
    more = measure.more

    def show(case: Case, subject: str) -> str:
        base = case.base or measure.base
        times = case.times(subject, base) if more else case.times(base, subject)
        return cell(times)

    better = "times" if more else "times less than"
    bases = list(dict.fromkeys(case.base or measure.base for case in measure.cases))
    head = [f"{better} {', '.join(bases)}", *(case.name for case in measure.cases)]
    rows = _rows(measure, show)
    return grid(head, rows) if rows else f"({measure.base} is missing: no ratios.)"


def _cpu(measure: Measure) -> str:
    """What a unit of work costs the process that is measured, and how busy that has kept it."""
    unit = measure.unit.removesuffix("s/s").removesuffix("/s")
    counted = 1e6 if unit == "MB" else 1.0  # so many of what samples count make a unit

    def show(case: Case, subject: str) -> str:
        series = case.of(subject)
        if series is None or not series.cpu:
            return ""
        pairs = zip(series.cpu, series.values, strict=False)
        busy = median(cpu * counted * value for cpu, value in pairs)
        return f"{number(median(series.cpu) * counted * 1e6)} ({busy:.0%})"

    head = [f"us of processor per {unit} (busy)", *(case.name for case in measure.cases)]
    return grid(head, _rows(measure, show))


def _lines(measure: Measure) -> str:
    """The straight lines through the points of a curve."""
    assert measure.curve is not None
    rows = []
    for name, points in curves(measure):
        line, power = fit(points), growth(points)
        if line is None:
            continue
        rows.append(
            [
                name,
                number(line.start),
                f"{line.slope * 1000:.3g}",
                f"{line.explained:.3f}",
                "" if power is None else f"{power:.2f}",
            ]
        )
    axis = measure.curve.axis
    return grid(
        ["line", "us at 0", f"ns per 1 of {axis}", "R squared", "exponent at the end"], rows
    )


def curves(measure: Measure) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """The points of each subject of a curve."""
    for name in measure.subjects:
        points = [
            (case.x, series.spread.median)
            for case in measure.cases
            if case.x is not None and (series := case.of(name)) and series.spread
        ]
        if points:
            yield name, points


def _notes(measure: Measure) -> str:
    """What is to be known of some series."""
    found: dict[str, list[str]] = {}
    for case in measure.cases:
        for series in case.series:
            if series.note:
                found.setdefault(f"{series.subject}: {series.note}", []).append(case.name)
    return "\n".join(
        f"- {note}" + ("" if len(names) == len(measure.cases) else f" ({', '.join(names)})")
        for note, names in found.items()
    )


def targets(run: Run) -> str:
    """The targets, and what was reached of them."""
    rows = []
    for target in TARGETS:
        value = reached(target, run)
        if value is None:
            continue
        base = target.base or f"itself: {target.base_case}"
        mark = "yes" if value.median >= target.least else "**no**"
        alike = cell(reached_on_cpu(target, run))
        least = number(target.least)
        rows.append([target.what, target.subject, base, least, cell(value), mark, alike])
    if not rows:
        return ""
    head = ["target", "of", "times", "at least", "reached", "", "by processor time"]
    return grid(head, rows)


def header(run: Run) -> str:
    """Where and how it was run, and who was there."""
    machine, settings = run.machine, run.settings
    lines = [
        f"- {machine['processor']}, {machine['cores']} cores; {machine['system']}",
        f"- {machine['python']}, {machine['compiler']}; profile-guided by its flags: "
        f"{'yes' if machine['profile-guided by its flags'] else 'no'}; "
        f"`bytes.find` at {number(machine['bytes.find, MB/s'])} MB/s",
        f"- {settings['rounds']} rounds of {settings['seconds']:g} s for each sample"
        f"{', quick' if settings['quick'] else ''}; {machine['made']}; "
        f"load of the machine before: {machine['load before']}",
        "- " + ", ".join(f"{name} {version}" for name, version in run.versions.items()),
    ]
    lines += [f"- missing: {name} ({why})" for name, why in run.missing.items()]
    return "\n".join(lines)


def page(run: Run) -> str:
    """All of it."""
    parts = [header(run), *(table(measure) for measure in run.measures)]
    if not run.settings["quick"] and (found := targets(run)):
        parts.insert(1, f"### Targets\n\n{found}")
    return "\n\n".join(parts) + "\n"
