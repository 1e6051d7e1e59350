"""Write an evaluation's files: its JSON record, plots as PNG, and one HTML page."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.report.evaluation import curves, predictions
from zoo.report.evaluation.page import page
from zoo.report.evaluation.scenes import draw_examples, scenes_figure, scenes_page
from zoo.report.runs.curves import draw_curves
from zoo.report.shared.figure import save_png, svg
from zoo.spec import RunDocument
from zoo.spec.evaluation import Evaluation
from zoo.spec.recipe import plain
from zoo.utils.files import atomic_write, writing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Document = Mapping[str, Any]
Draw = Callable[[Document, np.ndarray], "Figure | None"]
FILE = "evaluation.json"

DRAWN: dict[str, tuple[str, Draw, str]] = {
    "confusion": (
        "confusion",
        lambda document, _: curves.confusion_figure(document),
        "Confusion matrix: truth in rows, predictions in columns",
    ),
    "roc": ("roc", lambda document, _: curves.roc_figure(document), "ROC curve of each class against the rest"),
    "precision_recall": (
        "precision_recall",
        lambda document, _: curves.precision_recall_figure(document),
        "Precision-recall curve of each class",
    ),
    "calibration": (
        "calibration",
        lambda document, _: curves.calibration_figure(document),
        "Share of right predictions against confidence, in bins",
    ),
    "mistakes": ("mistakes", predictions.mistakes_figure, ""),
    "predictions": ("right_predictions", predictions.predictions_figure, ""),
}
"""By file name: the key of the document that a plot is drawn from, how, and what the page says of it to those who
cannot see; those without are HTML there."""


def write_evaluation(
    document: Mapping[str, Any],
    evaluation: Evaluation,
    images: np.ndarray,
    folder: Path,
    *,
    run: RunDocument | None,
    began: float,
) -> dict[str, Any]:
    """Write every file of an evaluation, the document last, and return it with `files` and its total time.

    Args:
        document: what evaluation.json is to hold; what is not finite becomes None.
        evaluation: examples to draw, and further documents.
        images: the test images, uint8 (N, H, W, C).
        folder: where to write.
        run: what the run's run.json holds, or None for a model file.
        began: when the evaluation did, by `time.perf_counter`.

    Raises:
        RunError: a file cannot be written.
    """
    written: dict[str, Any] = plain(document)
    with writing(folder):
        for name, content in evaluation.files.items():
            atomic_write(folder / name, json.dumps(plain(content), allow_nan=False) + "\n")
        files, drawings = [*evaluation.files], {}
        # One after the other, so that one figure is held at a time.
        for name, (key, draw, description) in DRAWN.items():
            figure = draw(written, images) if key in written else None
            if figure is None:
                (folder / f"{name}.png").unlink(
                    missing_ok=True
                )  # of an earlier evaluation: it would tell another story
                continue
            save_png(figure, folder / f"{name}.png")
            files.append(f"{name}.png")
            if description:
                drawings[name] = svg(figure, description=description)
        examples = draw_examples(evaluation, images)
        if examples:
            scenes_figure(written, examples, folder / "scenes.png")
            files.append("scenes.png")
        if run and run.get("history"):
            curve = draw_curves(run["history"], title="")
            drawings["curves"] = svg(curve, description="Loss and accuracy over the epochs of training")
        written["files"] = [*files, "report.html", FILE]
        written["timing"]["total_s"] = time.perf_counter() - began
        html = scenes_page(written, examples, drawings) if examples else page(written, run, drawings, images)
        atomic_write(folder / "report.html", html)
        text = json.dumps(written, indent=2, allow_nan=False, ensure_ascii=False)
        atomic_write(folder / FILE, _numbers_on_one_line(text) + "\n")
    return written


def _numbers_on_one_line(text: str) -> str:
    """Join the lines of each list of plain numbers. Within strings JSON has no line ends, so none is touched."""
    return re.sub(r"\[\n[-+.\deE,\s]+\]", lambda match: " ".join(match[0].split()), text)
