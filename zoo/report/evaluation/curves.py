"""Plots of an evaluation: confusion matrix, ROC, precision-recall, calibration.

Each function takes the document that ``evaluation.json`` holds and returns a figure, or None where there is
nothing to draw. Most models here are right 99 times in 100, so every scale is chosen to show the hundredth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.report.shared.figure import BLUE, FAINT, FONT, INK, ORANGE, PAPER, QUIET, new_figure, quiet_axes
from zoo.report.shared.text import printable, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Document = Mapping[str, Any]

LABELLED = 30
"""Up to this many classes a confusion matrix has names beside it and numbers in it."""

HIGHLIGHTED = 3
"""Curves that are drawn in colour and named: those of the worst classes."""

COLORS = (ORANGE, BLUE, INK)


def confusion_figure(document: Document) -> Figure:
    """Draw the confusion matrix: truth in rows, predictions in columns, mistakes in orange.

    A mistake's colour goes by the logarithm of its count, and the diagonal has a pale one of its own, so that
    9,900 right predictions do not drown a hundred wrong ones.
    """
    counts = np.array(document["confusion"])
    names = [shorten(printable(name), 14) for name in document["class_names"]]
    labelled = len(counts) <= LABELLED
    side = min(7.4, 2.2 + 0.5 * len(counts)) if labelled else 7.4
    margin = 0.42 + 0.085 * max(len(name) for name in names) if labelled else 0.6
    width, height = side + margin + 0.25, side + margin + 0.45
    figure = new_figure(width, height)
    axes = figure.add_axes((margin / width, 0.25 / height, side / width, side / height))
    axes.imshow(_shades(counts), interpolation="none", aspect="auto")
    axes.set_facecolor(PAPER)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0, labelsize=9, labelcolor=QUIET, labelfontfamily=FONT, top=True, bottom=False)
    axes.tick_params(labeltop=True, labelbottom=False)
    _confusion_labels(axes, counts, names if labelled else [])
    axes.set_xlabel("predicted", fontsize=10, fontfamily=FONT, color=INK, labelpad=8, loc="left")
    axes.xaxis.set_label_position("top")
    axes.set_ylabel("truth", fontsize=10, fontfamily=FONT, color=INK, labelpad=8, loc="top")
    return figure


def _shades(counts: np.ndarray) -> np.ndarray:
    """Return RGBA (classes, classes, 4): colour over whatever paper lies below."""
    from matplotlib.colors import to_rgb

    wrong = counts * (1 - np.eye(len(counts), dtype=counts.dtype))
    most = max(1, wrong.max())
    shades = np.zeros((*counts.shape, 4))
    shades[..., :3] = to_rgb(ORANGE)
    shades[..., 3] = np.where(wrong > 0, 0.16 + 0.84 * np.log1p(wrong) / np.log1p(most), 0)
    diagonal = np.arange(len(counts))
    recalls = counts[diagonal, diagonal] / np.maximum(1, counts.sum(axis=1))
    shades[diagonal, diagonal] = np.column_stack([np.tile(to_rgb(BLUE), (len(counts), 1)), 0.06 + 0.2 * recalls])
    return shades


def _confusion_labels(axes: Axes, counts: np.ndarray, names: Sequence[str]) -> None:
    """Names beside the matrix, and in it every count but zero; neither where they would not fit."""
    if not names:
        return
    turned = max(len(name) for name in names) > 3
    axes.set_xticks(range(len(names)), names, rotation=90 if turned else 0, parse_math=False)
    axes.set_yticks(range(len(names)), names, parse_math=False)
    edges = np.arange(len(names) + 1) - 0.5
    axes.hlines(edges, -0.5, len(names) - 0.5, color=FAINT, linewidth=0.8)
    axes.vlines(edges, -0.5, len(names) - 0.5, color=FAINT, linewidth=0.8)
    size = 9.5 if len(names) <= 12 else 7 if len(names) <= 20 else 5
    for row, column in zip(*np.nonzero(counts), strict=True):
        color = QUIET if row == column else INK
        count = f"{counts[row, column]:,}" if size > 7 else str(counts[row, column])
        axes.text(column, row, count, ha="center", va="center", fontsize=size, fontfamily=FONT, color=color)


def roc_figure(document: Document) -> Figure | None:
    """Draw the ROC curves on a logarithmic scale of false positives, from the height where they begin to differ."""
    curves = _named_curves(document, "roc")
    if not curves:
        return None
    figure, axes = _square()
    floor = 10.0 ** -math.ceil(math.log10(max(document["images"], 10)))
    lows = []
    for curve in curves:
        x = np.maximum(curve["x"], floor)
        axes.plot(x, curve["y"], drawstyle="steps-post", **curve["style"])
        lows.append(np.interp(floor * 10, curve["x"], curve["y"]))
    axes.set_xscale("log")
    axes.set_xlim(floor, 1)
    _share_axis(axes, "y", min(lows))
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    _titles(axes, "ROC, each class against the rest", "false positives, logarithmic scale", "true positives")
    _key(figure, curves, "AUC")
    return figure


def precision_recall_figure(document: Document) -> Figure | None:
    """Draw the precision-recall curves, the corner where they leave 100% enlarged."""
    curves = _named_curves(document, "precision_recall")
    if not curves:
        return None
    figure, axes = _square()
    lows, lefts = [], []
    for curve in curves:
        axes.plot(curve["x"], curve["y"], drawstyle="steps-pre", **curve["style"])
        inside = curve["x"] <= 0.99
        lows.append(curve["y"][inside].min() if inside.any() else 0.9)
        leaves = curve["x"][curve["y"] < 0.99]
        lefts.append(leaves.min() if len(leaves) else 0.95)
    _share_axis(axes, "y", min(lows))
    _share_axis(axes, "x", min(lefts))
    _titles(axes, "Precision and recall", "recall", "precision")
    _key(figure, curves, "AP")
    return figure


def calibration_figure(document: Document) -> Figure | None:
    """Draw accuracy against confidence, before and after temperature scaling, over the images in each bin."""
    from matplotlib.ticker import FuncFormatter, NullLocator

    calibration = document["calibration"]
    scaling = calibration["temperature_scaling"]
    figure = new_figure(7.2, 6.2)
    axes = figure.add_axes((0.1, 0.36, 0.86, 0.52))
    below = figure.add_axes((0.1, 0.09, 0.86, 0.18))
    series = [("as the model says", calibration["bins"], BLUE, -0.004)]
    if scaling:
        series.append(("after temperature scaling", scaling["bins"], ORANGE, 0.004))
    for each in (axes, below):
        quiet_axes(each)
        each.set_xlim(0, 1.01)
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.9, linestyle=(0, (4, 4)))
    for number, (label, bins, color, shift) in enumerate(series):
        _reliability(axes, bins, color, shift)
        middles = np.array([(b["low"] + b["high"]) / 2 for b in bins])
        width = 0.9 / len(bins) / len(series)
        below.bar(middles + (number - (len(series) - 1) / 2) * width, [b["images"] for b in bins], width, color=color)
        figure.text(0.655 if number == 0 else 0.96, 0.945, label, fontsize=9, fontfamily=FONT, color=color, ha="right")
    below.set_yscale("log")
    below.set_ylim(0.7, max(2, document["images"]) * 1.5)
    below.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    below.yaxis.set_minor_locator(NullLocator())
    axes.set_ylim(0, 1.01)
    _percent_axis(axes, "x")
    _percent_axis(axes, "y")
    _percent_axis(below, "x")
    _titles(axes, "Calibration", "", "fraction of right predictions, with 95% intervals; dashed: perfect calibration")
    below.text(
        0, 1.1, "images, logarithmic scale", transform=below.transAxes, fontsize=8.5, fontfamily=FONT, color=QUIET
    )
    below.set_xlabel("probability given to the predicted class", fontsize=9, fontfamily=FONT, color=QUIET, loc="left")
    return figure


def _reliability(axes: Axes, bins: Sequence[Document], color: str, shift: float) -> None:
    shown = [b for b in bins if b["images"]]
    x = np.array([b["confidence"] for b in shown]) + shift
    y = np.array([b["accuracy"] for b in shown])
    lows, highs = np.array([b["interval"] for b in shown]).T
    axes.vlines(x, lows, highs, color=color, linewidth=1.4, alpha=0.55)
    axes.plot(x, y, color=color, marker="o", markersize=5, linewidth=1.2, clip_on=False)


def _named_curves(document: Document, part: str) -> list[dict[str, Any]]:
    """Return the curves with how each is drawn: the worst few in colour, on top of the rest in grey."""
    x, y = ("false_positive_rate", "true_positive_rate") if part == "roc" else ("recall", "precision")
    block = document[part]
    scores = [row["auc"] for row in document["per_class"]] if part == "roc" else block["average_precision"]
    known = [k for k, curve in enumerate(block["curves"]) if curve is not None]
    ranking = sorted(known, key=lambda k: scores[k])
    worst = ranking[: HIGHLIGHTED if len(ranking) > HIGHLIGHTED else len(ranking)]
    curves = []
    for k in reversed(ranking):
        place = worst.index(k) if k in worst else None
        style = (
            {"color": QUIET, "linewidth": 0.9, "alpha": 0.55}
            if place is None
            else {"color": COLORS[place], "linewidth": 1.8}
        )
        name = shorten(printable(document["class_names"][k]), 18)
        points = {"x": np.array(block["curves"][k][x]), "y": np.array(block["curves"][k][y])}
        curves.append({**points, "style": style, "name": name, "score": scores[k], "place": place})
    return curves


def _square() -> tuple[Figure, Axes]:
    figure = new_figure(5.4, 5.2)
    axes = figure.add_axes((0.12, 0.19, 0.84, 0.67))
    quiet_axes(axes)
    return figure, axes


def _share_axis(axes: Axes, axis: str, lowest: float) -> None:
    """Begin a share's axis at a round number below `lowest`, or at 0 when that is far down."""
    starts = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)
    start = max((start for start in starts if start <= lowest - 0.001), default=0.0)
    reach = (1 - start) * 0.02
    (axes.set_ylim if axis == "y" else axes.set_xlim)(start, 1 + reach)
    _percent_axis(axes, axis)


def _percent_axis(axes: Axes, axis: str) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    chosen = axes.yaxis if axis == "y" else axes.xaxis
    chosen.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    chosen.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g}%"))


def _titles(axes: Axes, heading: str, below: str, upright: str) -> None:
    axes.text(0, 1.11, heading, transform=axes.transAxes, fontsize=11, fontfamily=FONT, color=INK)
    axes.text(0, 1.04, upright, transform=axes.transAxes, fontsize=8.5, fontfamily=FONT, color=QUIET)
    axes.set_xlabel(below, fontsize=9, fontfamily=FONT, color=QUIET, loc="left")


def _key(figure: Figure, curves: Sequence[Document], score: str) -> None:
    """Name the coloured curves below the plot, worst first, two in a row."""
    named = sorted((curve for curve in curves if curve["place"] is not None), key=lambda curve: curve["place"])
    rest = len(curves) - len(named)
    lines = [(f"{curve['name']}: {score} {curve['score']:.4f}", curve["style"]["color"]) for curve in named]
    lines += [(f"{rest} more class{'es' if rest > 1 else ''}", QUIET)] if rest else []
    for number, (text, color) in enumerate(lines):
        x, y = 0.12 + 0.44 * (number % 2), 0.065 - 0.04 * (number // 2)
        figure.text(x, y, text, fontsize=8.5, fontfamily=FONT, color=color, parse_math=False)
