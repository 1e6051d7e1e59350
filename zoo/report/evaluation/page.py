"""An evaluation as one self-contained HTML page: no network, no other files, no fonts.

Whatever comes from a document, names above all, passes through `text` on its way into the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo.report.evaluation import sections as parts
from zoo.report.evaluation.tables import class_table, confusion_table
from zoo.report.shared.page_frame import whole_page
from zoo.report.shared.page_text import interval, number, percent, text
from zoo.spec import RunDocument

Document = Mapping[str, Any]

SECTIONS = {
    "training": "What was trained",
    "members": "Its members",
    "curves": "Curves",
    "predictions": "Predictions",
    "confusions": "Top confusions",
    "matrix": "Confusion matrix",
    "classes": "Classes",
    "ranking": "ROC and precision-recall",
    "calibration": "Calibration",
    "method": "How it was measured",
}


def page(document: Document, run: RunDocument | None, drawings: Mapping[str, str], images: np.ndarray) -> str:
    """Return the page.

    Args:
        document: what evaluation.json holds.
        run: what run.json holds, or None when only the model file is known.
        drawings: SVG elements under `curves`, `confusion`, `roc`, `precision_recall`, `calibration`; those that
            are missing are left out, with their section.
        images: the test images that the document counts from 0, uint8 (N, H, W, C).
    """
    sections = {
        "training": parts.training(document, run) if run else "",
        "members": parts.members(document),
        "curves": parts.curves(run, drawings.get("curves", "")) if run else "",
    }
    if "confusion" in document:
        sections |= {
            "predictions": parts.predictions(document, images),
            "confusions": confusion_table(document, images),
            "matrix": parts.matrix(drawings.get("confusion", "")),
            "classes": class_table(document),
            "ranking": parts.ranking(document, drawings.get("roc", ""), drawings.get("precision_recall", "")),
            "calibration": parts.calibration(document, drawings.get("calibration", "")),
        }
    sections["method"] = parts.method(document)
    return whole_page(f"{document['model']} on {document['dataset']}", _headline(document), sections, SECTIONS)


def _headline(document: Document) -> str:
    """Model, dataset, accuracy and one plain sentence; then the other numbers in a row."""
    accuracy, images = document["metrics"]["test_accuracy"], document["images"]
    wrong = images - round(accuracy * images)
    sentence = (
        f"It names {images - wrong:,} of the {images:,} test images right and "
        f'<span class="wrong-word">{wrong:,} wrong</span>.'
    )
    if "confidence_intervals" in document:
        low, high = document["confidence_intervals"]["test_accuracy"]
        sentence += (
            f" On all images of this kind its accuracy is likely between {percent(low)} and {percent(high)} (95% "
            "confidence interval)."
        )
    big = f"{100 * accuracy:.2f}"
    return (
        f'<p class="eyebrow">Evaluation on the test images of {text(document["dataset"])}</p>'
        f"<h1>{text(document['model'])}</h1>"
        f'<div class="headline"><div class="big" aria-label="accuracy {big}%">{big}<small> %</small></div>'
        f"<p>{sentence}</p></div>"
        + "".join(f'<p class="warning" role="note">{warning}</p>' for warning in _warnings(document))
        + _figures(document)
    )


def _warnings(document: Document) -> list[str]:
    warnings = []
    if document["non_finite_images"]:
        warnings.append(
            f"{document['non_finite_images']:,} images have outputs that are not finite numbers: training "
            "diverged, so there is nothing more to measure. Train again with a lower learning rate."
        )
    if document["same_data"] is False:
        warnings.append(
            f"These are not the test images that the run was measured on: {text(document['dataset'])} differs here "
            "by its digests."
        )
    if document["same_classes"] is False:
        warnings.append(
            f"The model was trained on {text(document['trained_on'])}, whose classes have other names. Class 0 is "
            "compared with class 0 here, and so on, whatever they are called."
        )
    return warnings


def _figures(document: Document) -> str:
    """The numbers that one looks for first, each with its interval."""
    if "confidence_intervals" not in document:
        return ""
    intervals = document["confidence_intervals"]
    calibration = document["calibration"]["expected_calibration_error"]
    figures = [
        ("Log-loss, nats", number(document["metrics"]["test_loss"]), interval(intervals["test_loss"])),
        ("Brier score", number(document["brier_score"]), interval(intervals["brier_score"])),
        ("F1, macro", percent(document["averages"]["f1"]), interval(intervals["macro_f1"], percent)),
        (
            "AUC, macro",
            number(document["roc"]["macro_auc"], 5),
            interval(intervals["macro_auc"], lambda v: number(v, 5)),
        ),
        (
            "Calibration error",
            percent(calibration),
            interval(intervals["expected_calibration_error"], percent),
        ),
    ]
    rows = "".join(
        f"<div><dt>{name}</dt><dd>{value}<small>{around}</small></dd></div>" for name, value, around in figures
    )
    return f'<dl class="figures">{rows}</dl>'
