"""Plot loss and accuracy by epoch."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import RunError
from zoo.report.shared.figure import BLUE, FONT, INK, ORANGE, QUIET, new_figure, quiet_axes, save_png
from zoo.report.shared.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MANY_EPOCHS = 25
"""Up to this many epochs each has a marker."""

ACCURACIES = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9998, 0.9999)
"""Lines of the accuracy panel when it is drawn by error: each error is about half of the one before."""

Series = dict[str, np.ndarray]


def training_curves(history: Sequence[Mapping[str, Any]], path: str | os.PathLike[str], *, title: str) -> Path:
    """Write a PNG with the loss on the left and the accuracy on the right, and return its path.

    See `draw_curves`. Raises RunError when the history holds no epoch, and OSError when the file cannot be written.
    """
    return save_png(draw_curves(history, title=title), path)


def draw_curves(history: Sequence[Mapping[str, Any]], *, title: str) -> Figure:
    """Draw the loss on the left and the accuracy on the right; an empty title leaves no room for one.

    `history` holds one mapping per epoch. ``loss``, ``accuracy``, ``val_loss`` and ``val_accuracy`` are
    drawn where they occur, over ``epoch`` (1, 2, ... when missing); values that are None or not finite
    leave a gap, and a note says where the loss stopped being a number. From 90% on, accuracy is drawn by its
    error on a logarithmic scale, since 99.0% and 99.5% differ by half of the mistakes.

    Raises:
        RunError: the history holds no epoch.
    """
    if not history:
        raise RunError("the history holds no epoch: there are no curves to draw. Train for at least one.")
    epochs = np.array([float(row.get("epoch", i + 1)) for i, row in enumerate(history)])
    height = 4.4 if title else 4.0
    figure = new_figure(11, height)
    figure.text(0.06, 0.93, printable(title), fontsize=13, fontfamily=FONT, weight="bold", color=INK, parse_math=False)
    left = figure.add_axes((0.06, 0.572 / height, 0.325, 2.904 / height))
    right = figure.add_axes((0.55, 0.572 / height, 0.325, 2.904 / height))
    _draw_loss(left, epochs, _series(history, "loss"))
    _draw_accuracy(right, epochs, _series(history, "accuracy"))
    return figure


def _series(history: Sequence[Mapping[str, Any]], name: str) -> Series:
    """The training and validation values, NaN where there is none; only those that occur at all."""
    found = {}
    for label, key in (("training", name), ("validation", f"val_{name}")):
        if any(key in row for row in history):
            found[label] = np.array([_number(row.get(key)) for row in history])
    return found


def _number(value: Any) -> float:
    return float(value) if value is not None else math.nan


def _draw_loss(axes: Axes, epochs: np.ndarray, series: Series) -> None:
    subtitle = _diverged(epochs, series)
    shown = {label: np.where(np.isfinite(values), values, np.nan) for label, values in series.items()}
    values = _finite(shown)
    # Two decades in one picture: on a linear scale all but the first epochs would lie on the floor.
    logarithmic = len(values) > 1 and values.min() > 0 and values.max() > 20 * values.min()
    _prepare(axes, epochs, "Loss", subtitle or ("logarithmic scale" if logarithmic else ""))
    if logarithmic:
        _logarithmic_loss(axes, values)
    elif len(values):
        top = values.max() + 0.08 * (values.max() - min(0.0, values.min()))
        axes.set_ylim(min(0.0, 1.08 * values.min()), top if top > 0 else 1.0)
    _draw(axes, epochs, shown, shown, "{:.4f}" if len(values) and values.max() < 100 else "{:.4g}")


def _logarithmic_loss(axes: Axes, values: np.ndarray) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    axes.set_ylim(values.min() / 1.3, values.max() * 1.3)
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=99))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _draw_accuracy(axes: Axes, epochs: np.ndarray, series: Series) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    shown = {label: np.where(np.isfinite(values), values, np.nan) for label, values in series.items()}
    values = _finite(shown)
    by_error = len(values) > 0 and values.max() >= 0.9
    scale = "; logarithmic scale of errors" if by_error else ""
    _prepare(axes, epochs, "Accuracy", _best(epochs, shown) + scale)
    if by_error:
        floor = error_limits(axes, values)
        # No mistake at all is infinitely far up: it is drawn on the upper edge.
        heights = {label: np.maximum(1 - accuracy, floor) for label, accuracy in shown.items()}
        _draw(axes, epochs, heights, shown, "{:.2%}")
        return
    if len(values):
        axes.set_ylim(max(0.0, values.min() - 0.1), min(1.0, values.max() + 0.1))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda accuracy, _: f"{100 * accuracy:.4g}%"))
    _draw(axes, epochs, shown, shown, "{:.2%}")


def error_limits(axes: Axes, values: np.ndarray) -> float:
    """Set the axis to errors between round accuracies, best at the top, and return the least error shown."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    errors = [1 - accuracy for accuracy in ACCURACIES]
    worst = min((error for error in errors if error >= 1 - values.min()), default=1.0)
    best = max((error for error in errors if error <= 1 - values.max()), default=errors[-1])
    axes.set_yscale("log")
    axes.set_ylim(worst * 1.08, best / 1.08)
    axes.yaxis.set_major_locator(FixedLocator([error for error in errors if best <= error <= worst]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda error, _: f"{100 * (1 - error):.4g}%"))
    return best


def _prepare(axes: Axes, epochs: np.ndarray, heading: str, subtitle: str) -> None:
    quiet_axes(axes)
    axes.text(0, 1.11, heading, transform=axes.transAxes, fontsize=11, fontfamily=FONT, color=INK)
    axes.text(0, 1.04, subtitle, transform=axes.transAxes, fontsize=8.5, fontfamily=FONT, color=QUIET)
    axes.set_xlabel("epoch", fontsize=9, fontfamily=FONT, color=QUIET, loc="left")
    first, last = epochs.min(), epochs.max()
    space = max(0.5 if len(epochs) < 10 else 0.0, 0.02 * (last - first))
    axes.set_xlim(first - space, last + space)
    ticks = _epoch_ticks(epochs)
    axes.set_xticks(ticks, [f"{epoch:g}" for epoch in ticks])


def _epoch_ticks(epochs: np.ndarray) -> list[float]:
    """Every epoch when they are few; else the first, and round numbers after it."""
    from matplotlib.ticker import MaxNLocator

    if len(epochs) <= 10:
        return [float(epoch) for epoch in epochs]
    first, last = float(epochs.min()), float(epochs.max())
    rounds = MaxNLocator(nbins=8, integer=True, steps=[1, 2, 5, 10]).tick_values(first, last)
    step = rounds[1] - rounds[0]
    return [first, *(float(tick) for tick in rounds if first + step / 2 <= tick <= last)]


def _draw(axes: Axes, epochs: np.ndarray, heights: Series, values: Series, form: str) -> None:
    """Draw the lines, and at the right end of each its name and last value."""
    marker = "o" if len(epochs) <= MANY_EPOCHS else ""
    ends: list[tuple[float, str, str]] = []
    for label, height in heights.items():
        color = ORANGE if label == "validation" else BLUE
        alone = _alone(height) if not marker else np.zeros(0, dtype=int)
        axes.plot(
            epochs,
            height,
            color=color,
            linewidth=1.8,
            marker=marker,
            markersize=4.5,
            linestyle="-",
            clip_on=False,
        )
        axes.plot(epochs[alone], height[alone], color=color, marker="o", markersize=3, linestyle="none")
        present = np.flatnonzero(np.isfinite(height))
        if len(present):
            last = present[-1]
            ends.append((float(height[last]), f"{label} {form.format(values[label][last])}", color))
    if not ends:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "nothing to draw", transform=axes.transAxes, ha="center", color=QUIET, fontfamily=FONT)
    for (_, text, color), y in zip(ends, _apart(axes, [end[0] for end in ends]), strict=True):
        axes.text(1.02, y, text, transform=axes.transAxes, va="center", fontsize=9, fontfamily=FONT, color=color)


def _alone(height: np.ndarray) -> np.ndarray:
    """Points with gaps on both sides, which a line without markers would not show."""
    present = np.concatenate([[False], np.isfinite(height), [False]])
    return np.flatnonzero(present[1:-1] & ~present[:-2] & ~present[2:])


def _apart(axes: Axes, heights: list[float], least: float = 0.075) -> list[float]:
    """Return the heights as fractions of the axes, moved apart where two labels would overlap."""
    to_share = axes.transData + axes.transAxes.inverted()
    shares = [float(to_share.transform((0.0, height))[1]) for height in heights]
    if len(shares) == 2 and abs(shares[0] - shares[1]) < least:
        middle = min(max(sum(shares) / 2, least / 2), 1 - least / 2)
        upper = middle + least / 2, middle - least / 2
        return list(upper if shares[0] >= shares[1] else upper[::-1])
    return shares


def _finite(series: Series) -> np.ndarray:
    values = np.concatenate(list(series.values())) if series else np.zeros(0)
    return values[np.isfinite(values)]


def _diverged(epochs: np.ndarray, series: Series) -> str:
    bad = ~np.isfinite(series.get("training", np.zeros(0)))
    if not bad.any():
        return ""
    first = bad.argmax()
    epoch = f"{epochs[first]:g}"
    return f"not a finite number from epoch {epoch} on" if bad[first:].all() else f"not finite at epoch {epoch}"


def _best(epochs: np.ndarray, shown: Series) -> str:
    """Name the best epoch, of validation where there is one."""
    for label in ("validation", "training"):
        values = shown.get(label)
        if values is not None and np.isfinite(values).any():
            best = int(np.nanargmax(values))
            return f"best {label} accuracy {values[best]:.2%}, epoch {epochs[best]:g}"
    return ""
