"""The files that an evaluation leaves for people: its plots as PNG, and one HTML page that holds everything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.files import atomic_write
from zoo.report.evaluation import curves as evaluation_plots
from zoo.report.evaluation import predictions as prediction_plots
from zoo.report.evaluation.page import page
from zoo.report.runs.curves import draw_curves
from zoo.report.shared.figure import save_png, svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Document = Mapping[str, Any]


Draw = Callable[[Document, np.ndarray], "Figure | None"]

DRAWN: dict[str, tuple[Draw, str]] = {
    "confusion": (
        lambda document, _: evaluation_plots.confusion_figure(document),
        "Confusion matrix: truth in rows, predictions in columns",
    ),
    "roc": (lambda document, _: evaluation_plots.roc_figure(document), "ROC curve of each class against the rest"),
    "precision_recall": (
        lambda document, _: evaluation_plots.precision_recall_figure(document),
        "Precision-recall curve of each class",
    ),
    "calibration": (
        lambda document, _: evaluation_plots.calibration_figure(document),
        "Share of right answers against confidence, in bins",
    ),
    "mistakes": (prediction_plots.mistakes_figure, ""),
    "predictions": (prediction_plots.predictions_figure, ""),
}
"""How each plot is drawn, and what the page says of it to those who cannot see; those without are HTML there."""


@dataclass
class Plots:
    """What was drawn: the names of the PNG files, and some of the drawings again as SVG for the page."""

    files: list[str] = field(default_factory=list)
    drawings: dict[str, str] = field(default_factory=dict)


def write_plots(document: Document, images: np.ndarray, folder: Path) -> Plots:
    """Write every plot of an evaluation that there is something to draw for.

    Args:
        document: what evaluation.json holds.
        images: the test images, uint8 (N, H, W, C).
        folder: where the PNGs go: confusion, roc, precision_recall, calibration, mistakes, predictions.

    Raises:
        OSError: a file cannot be written.
    """
    plots = Plots()
    # One after the other, so that one figure is held at a time.
    for name, (draw, description) in DRAWN.items():
        figure = draw(document, images) if "confusion" in document else None  # a run that diverged has none
        if figure is None:
            (folder / f"{name}.png").unlink(missing_ok=True)  # of an earlier evaluation: it would tell another story
            continue
        save_png(figure, folder / f"{name}.png")
        plots.files.append(f"{name}.png")
        if description:
            plots.drawings[name] = svg(figure, description=description)
    return plots


def write_page(document: Document, run: Document | None, plots: Plots, images: np.ndarray, path: Path) -> None:
    """Write the page.

    Args:
        document: what evaluation.json holds.
        run: what the run's run.json holds, or None for a model file.
        plots: from `write_plots`.
        images: the test images, uint8 (N, H, W, C).
        path: the HTML file.

    Raises:
        OSError: the file cannot be written.
    """
    drawings = dict(plots.drawings)
    if run and run.get("history"):
        figure = draw_curves(run["history"], title="")
        drawings["curves"] = svg(figure, description="Loss and accuracy over the epochs of training")
    atomic_write(path, page(document, run, drawings, images))
