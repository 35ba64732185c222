"""What was found, as pictures: bars of ratios, and curves with their lines.

    python -m bench.plots RESULTS.json FOLDER

It needs matplotlib, so it is run by the Python of the peers' environment; it prints the files that
it has written. An SVG of the same results is the same to the octet.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt

from .figures import fit
from .results import Measure, read
from .tables import curves, number

OURS = ("smtp821", "Receiver", "Sender", "Conversation", "Dot", "lenient")
BLUES = ("#0b3c6f", "#1f65a8", "#4a90d0", "#87b8e5", "#b5d4f0")
GREYS = ("#b5552b", "#8a8a8a", "#5f5f5f", "#adadad", "#c9c9c9", "#404040", "#777777")


def colours(names: list[str]) -> dict[str, str]:
    """Blue for this library, others for others."""
    ours = [name for name in names if name.startswith(OURS)]
    rest = [name for name in names if name not in ours]
    return {name: BLUES[i % len(BLUES)] for i, name in enumerate(ours)} | {
        name: GREYS[i % len(GREYS)] for i, name in enumerate(rest)
    }


def bars(measure: Measure, file: Path) -> None:
    """A group of bars for each case, with what the rounds lie between."""
    names = measure.subjects
    colour = colours(names)
    size = (max(7.0, 1.2 + 0.16 * len(names) * len(measure.cases)), 4.2)
    figure, axes = plt.subplots(figsize=size, layout="constrained")
    width = 0.84 / len(names)
    for at, name in enumerate(names):
        places, medians, below, above = [], [], [], []
        for column, case in enumerate(measure.cases):
            series = case.of(name)
            if series is None or (value := series.spread) is None:
                continue
            places.append(column + (at - (len(names) - 1) / 2) * width)
            medians.append(value.median)
            below.append(value.median - value.least)
            above.append(value.most - value.median)
        if places:
            axes.bar(places, medians, width, yerr=(below, above), label=name, color=colour[name],
                     error_kw={"lw": 0.7, "ecolor": "#222222"})  # fmt: skip
    axes.set_xticks(range(len(measure.cases)), [c.name.replace(", ", ",\n") for c in measure.cases])
    axes.set_yscale("log")
    axes.set_ylabel(f"{measure.unit} ({'more' if measure.more else 'less'} is better)")
    finish(figure, axes, measure.title, file, columns=4)


def lines(measure: Measure, file: Path) -> None:
    """The points of a curve, and the straight line through them."""
    assert measure.curve is not None
    figure, axes = plt.subplots(figsize=(7.0, 4.2), layout="constrained")
    colour = colours(measure.subjects)
    for name, points in curves(measure):
        xs, ys = zip(*points, strict=True)
        line = fit(points)
        label = name
        if line is not None:
            label = f"{name}: {number(line.start)} us + {number(line.slope * 1000)} ns x"
            fine = [xs[0] * (xs[-1] / xs[0]) ** (i / 60) for i in range(61)]
            drawn = [line.start + line.slope * x for x in fine]
            axes.plot(fine, drawn, color=colour[name], lw=0.8, alpha=0.7)
        axes.plot(xs, ys, "o", ms=4, color=colour[name], label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(measure.curve.axis)
    axes.set_ylabel(measure.unit)
    finish(figure, axes, measure.title, file, columns=2)


def finish(figure: Any, axes: Any, title: str, file: Path, columns: int) -> None:
    """Title, legend, file."""
    axes.set_title(title, fontsize=10)
    axes.grid(axis="y", lw=0.3)
    figure.legend(fontsize=7, ncols=columns, loc="outside lower center")
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)
    print(file)


def main(results: str, folder: str) -> None:
    """Draw all that can be drawn."""
    mpl.rcParams["svg.hashsalt"] = "smtp821"
    mpl.rcParams["svg.fonttype"] = "none"
    mpl.rcParams["font.size"] = 8
    for measure in read(Path(results)).measures:
        if not any(case.of(name) for case in measure.cases for name in measure.subjects):
            continue
        draw = bars if measure.curve is None else lines
        draw(measure, Path(folder) / f"{measure.name}.svg")


if __name__ == "__main__":
    main(*sys.argv[1:3])
