"""Plots of a benchmark: accuracy against cost, throughput against batch size.

Each function takes the document that ``zoo bench`` writes and returns a figure, or None where there is nothing to draw.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zoo.report.benchmark.columns import Document, actual
from zoo.report.runs.curves import error_limits
from zoo.report.shared.figure import BLUE, FAINT, FONT, INK, ORANGE, QUIET, new_figure, quiet_axes
from zoo.report.shared.labels import Box, Place, apart, place
from zoo.report.shared.numbers import compact
from zoo.report.shared.text import printable, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE = 6.0
"""An axis that spans more than this factor is logarithmic."""
LABEL = 9.0
COLORS = {"float32": BLUE, "mixed_bfloat16": ORANGE, "mixed_float16": INK}


class Point(NamedTuple):
    """One model in a picture: the value and its range on both axes."""

    name: str
    x: float
    x_range: tuple[float, float]
    accuracy: float
    accuracy_range: tuple[float, float]


Measured = tuple[Document, float, tuple[float, float]]
"""A training, what it cost, and from where to where that reached."""


def accuracy_by_time_figure(document: Document) -> Figure | None:
    """Draw test accuracy over the seconds of training, of the models whose trainings reached their end."""
    found = [
        (training, training["training_s"]["median"], (training["training_s"]["min"], training["training_s"]["max"]))
        for training in document["trainings"]
        if training["training_s"] is not None
    ]
    subtitle = "test accuracy; bars: its standard deviation, the range of times"
    return _accuracies(found, "Accuracy and training time", subtitle, "seconds of training (speedrun convention)")


def accuracy_by_params_figure(document: Document) -> Figure | None:
    """Draw test accuracy over the number of parameters."""
    found = [
        (training, training["params"], (training["params"], training["params"]))
        for training in document["trainings"]
        if training["params"]
    ]
    subtitle = "test accuracy; bars: its standard deviation"
    return _accuracies(found, "Accuracy and parameters", subtitle, "parameters")


def _accuracies(found: Sequence[Measured], title: str, subtitle: str, label: str) -> Figure | None:
    points = _points([entry for entry in found if entry[0]["test_accuracy"] is not None])
    if not points:
        return None
    figure = new_figure(5.6, 4.2)
    axes = figure.add_axes((0.115, 0.13, 0.85, 0.70))
    quiet_axes(axes)
    _heading(axes, title, subtitle)
    axes.set_xlabel(label, fontsize=9, fontfamily=FONT, color=QUIET, loc="left")
    _x_axis(axes, [bound for point in points for bound in point.x_range])
    heights = _accuracy_axis(axes, points)
    _draw_points(axes, points, heights)
    return figure


def _points(found: Sequence[Measured]) -> list[Point]:
    """A point for each training; the recipe is part of its name where there are several."""
    has_recipes = len({training["recipe"] for training, _, _ in found}) > 1
    points = []
    for training, x, around in found:
        name = f"{training['model']}/{training['recipe']}" if has_recipes else str(training["model"])
        mean = training["test_accuracy"]["mean"]
        deviation = training["test_accuracy"]["standard_deviation"] or 0.0
        points.append(
            Point(shorten(printable(name), 24), x, around, mean, (mean - deviation, min(1.0, mean + deviation)))
        )
    return points


def _heading(axes: Axes, title: str, subtitle: str) -> None:
    for height, text, size, color in ((1.135, title, 11, INK), (1.055, subtitle, 8.5, QUIET)):
        axes.text(0, height, text, transform=axes.transAxes, fontsize=size, fontfamily=FONT, color=color)


def _x_axis(axes: Axes, values: Sequence[float]) -> None:
    """From zero on, or logarithmic where the values differ by much."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    low, high = min(values), max(values)
    if low > 0 and high > WIDE * low:
        axes.set_xscale("log")
        axes.set_xlim(low / 1.5, high * 1.5)
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if high > 100 * low else (1.0, 2.0, 5.0), numticks=99))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.set_xlim(0, high * 1.15 if high > 0 else 1)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: compact(value)))


def _accuracy_axis(axes: Axes, points: Sequence[Point]) -> list[tuple[float, float, float]]:
    """Set the axis, by errors from 90% on as in the curves of a run, and return low, mean and high of each point."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    triples = [(point.accuracy_range[0], point.accuracy, point.accuracy_range[1]) for point in points]
    values = np.array(triples)
    if values[:, 1].min() >= 0.9:
        floor = error_limits(axes, np.clip(values, 0.5, 1 - 1e-4))
        return [(max(1 - low, floor), max(1 - mean, floor), max(1 - high, floor)) for low, mean, high in triples]
    axes.set_ylim(max(0.0, values.min() - 0.06), min(1.0, values.max() + 0.06))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda accuracy, _: f"{100 * accuracy:.4g}%"))
    return triples


def _draw_points(axes: Axes, points: Sequence[Point], heights: Sequence[tuple[float, float, float]]) -> None:
    """The ranges thin, the marks above them, the names where nothing else is."""
    for point, (low, middle, high) in zip(points, heights, strict=True):
        axes.plot([point.x, point.x], [low, high], color=BLUE, linewidth=1.2, alpha=0.5)
        axes.plot(point.x_range, [middle, middle], color=BLUE, linewidth=1.2, alpha=0.5)
        axes.plot([point.x], [middle], color=BLUE, marker="o", markersize=6, linestyle="none", clip_on=False)
    places = _places(axes, points, heights)
    for point, height, spot in zip(points, heights, places, strict=True):
        axes.annotate(
            point.name,
            (point.x, height[1]),
            xytext=(spot.x, spot.y),
            textcoords="offset points",
            ha=spot.align,
            va="center",
            fontsize=LABEL,
            fontfamily=FONT,
            color=INK,
            parse_math=False,
            arrowprops={"arrowstyle": "-", "color": QUIET, "linewidth": 0.6, "shrinkB": 4} if spot.line else None,
        )


def _places(axes: Axes, points: Sequence[Point], heights: Sequence[tuple[float, float, float]]) -> list[Place]:
    """Where the names go: not on each other, nor on a mark or range."""
    to_points = 72 / axes.figure.dpi

    def spot(x: float, y: float) -> tuple[float, float]:
        across, up = axes.transData.transform((x, y))
        return to_points * float(across), to_points * float(up)

    spots, bars = [], []
    for point, (low, middle, high) in zip(points, heights, strict=True):
        spots.append(spot(point.x, middle))
        for one, other in (
            (spot(point.x, low), spot(point.x, high)),
            (spot(point.x_range[0], middle), spot(point.x_range[1], middle)),
        ):
            bars.append(Box(one[0] - 1, min(one[1], other[1]) - 1, other[0] + 1, max(one[1], other[1]) + 1))
    frame = axes.get_window_extent()
    area = Box(*(to_points * float(edge) for edge in (frame.x0, frame.y0, frame.x1, frame.y1)))
    return place(spots, [point.name for point in points], area, LABEL, bars)


# Throughput

Line = tuple[str, bool, dict[int, float]]
"""Precision, XLA, and images/s by batch size."""


def throughput_figure(document: Document) -> Figure | None:
    """Draw images/s over the batch size: a panel for each model and mode, a line for each precision and XLA.

    All panels have the same two logarithmic scales, so that models can be compared. Only what was measured with
    several batch sizes is drawn.
    """
    panels = _panels(document["cells"])
    if not panels:
        return None
    models = list(dict.fromkeys(model for model, _ in panels))
    modes = list(dict.fromkeys(mode for _, mode in panels))
    columns = 2
    spots = {panel: number for number, panel in enumerate(panels)}
    if len(modes) == 2:  # side by side, even where one is missing
        spots = {(model, mode): 2 * models.index(model) + modes.index(mode) for model, mode in panels}
    rows = 1 + max(spots.values()) // columns
    height = 0.35 + 2.45 * rows
    figure = new_figure(11, height)
    speeds = [speed for lines in panels.values() for _, _, line in lines for speed in line.values()]
    sizes = sorted({size for lines in panels.values() for _, _, line in lines for size in line})
    for (model, mode), number in spots.items():
        row, column = divmod(number, columns)
        bottom = height - 2.45 * (row + 1) + 0.42
        axes = figure.add_axes((0.06 + 0.5 * column, bottom / height, 0.325, 1.62 / height))
        _scales(axes, sizes, speeds, is_last=number + columns not in spots.values())
        _panel_title(axes, model, mode)
        _draw_lines(axes, panels[model, mode])
    return figure


def _panels(cells: Sequence[Document]) -> dict[tuple[str, str], list[Line]]:
    """The lines of each model and mode; a batch that took another's place counts only where it was not asked for."""
    found: dict[tuple[str, str], dict[tuple[str, bool], dict[int, float]]] = {}
    for cell in sorted(cells, key=lambda cell: cell["retried_from"] is None):
        if cell["images_per_s"] is None:
            continue
        lines = found.setdefault((cell["model"], cell["mode"]), {})
        line = lines.setdefault((actual("precision")(cell), bool(actual("xla")(cell))), {})
        line[actual("batch_size")(cell)] = cell["images_per_s"]
    panels = {
        panel: [(precision, xla, line) for (precision, xla), line in lines.items() if len(line) > 1]
        for panel, lines in found.items()
    }
    order = dict.fromkeys((cell["model"], cell["mode"]) for cell in cells)
    return {panel: panels[panel] for panel in order if panels.get(panel)}


def _panel_title(axes: Axes, model: str, mode: str) -> None:
    words = {"train": "training", "infer": "inference"}.get(mode, mode)
    axes.text(
        0, 1.1, shorten(printable(model), 30), transform=axes.transAxes, fontsize=11, fontfamily=FONT, color=INK,
        parse_math=False,
    )  # fmt: skip
    axes.text(
        1, 1.1, f"{words}, images/s", transform=axes.transAxes, fontsize=8.5, fontfamily=FONT, color=QUIET, ha="right"
    )


def _scales(axes: Axes, sizes: Sequence[int], speeds: Sequence[float], *, is_last: bool) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

    quiet_axes(axes)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(sizes[0] / 1.1, sizes[-1] * 1.1)
    axes.set_ylim(min(speeds) / 1.35, max(speeds) * 1.35)
    decades = math.log10(max(speeds) / min(speeds))
    subs = (1.0,) if decades > 2.2 else (1.0, 3.0) if decades > 0.9 else (1.0, 2.0, 3.0, 5.0, 7.0)
    axes.yaxis.set_major_locator(LogLocator(subs=subs, numticks=99))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(FixedLocator(_ticks(sizes)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: compact(value)))
    if is_last:
        axes.set_xlabel("batch size", fontsize=9, fontfamily=FONT, color=QUIET, loc="left")


def _ticks(sizes: Sequence[int]) -> list[float]:
    """Every size that was measured, as far as its number has room beside the one before."""
    least = math.log10(sizes[-1] / sizes[0]) / 9
    ticks: list[float] = []
    for size in sizes:
        if not ticks or math.log10(size / ticks[-1]) >= least:
            ticks.append(float(size))
    return ticks


def _draw_lines(axes: Axes, lines: Sequence[Line]) -> None:
    """The lines, and at the right end of each what it is."""
    to_share = axes.transData + axes.transAxes.inverted()
    ends = []
    for precision, xla, line in lines:
        sizes = sorted(line)
        style: dict[str, Any] = {"linestyle": "--" if xla else "-", "color": COLORS.get(precision, QUIET)}
        speeds = [line[size] for size in sizes]
        axes.plot(sizes, speeds, linewidth=1.7, marker="o", markersize=4, clip_on=False, **style)
        ends.append(tuple(float(share) for share in to_share.transform((sizes[-1], speeds[-1]))))
    heights = apart([y for _, y in ends], least=0.105, low=-0.1, high=1.1)
    for (precision, xla, _), (x, y), height in zip(lines, ends, heights, strict=True):
        color = COLORS.get(precision, QUIET)
        axes.plot([x + 0.015, 1.03], [y, height], transform=axes.transAxes, color=FAINT, linewidth=0.9, clip_on=False)
        name = f"{precision.removeprefix('mixed_')}{', XLA' if xla else ''}"
        axes.text(
            1.04, height, shorten(printable(name), 16), transform=axes.transAxes, va="center", fontsize=LABEL,
            fontfamily=FONT, color=color, parse_math=False,
        )  # fmt: skip
