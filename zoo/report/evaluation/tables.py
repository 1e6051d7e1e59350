"""The tables of the evaluation page: per-class metrics and the most frequent confusions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo.report.shared.page_text import interval, number, percent, picture_tag, text

Document = Mapping[str, Any]

LONG = 25
"""A table of more classes than this scrolls within itself."""
LEFT = ' style="text-align:left"'


def class_table(document: Document) -> str:
    """Return a row per class: precision, recall and F1 with their intervals, AUC and average precision."""
    names = ("Class", "Images", "Precision", "Recall", "F1", "AUC", "Average precision")
    head = "".join(f'<th scope="col"><button type="button">{name}</button></th>' for name in names)
    averages = document["precision_recall"]["average_precision"]
    rows = []
    for k, (row, average) in enumerate(zip(document["per_class"], averages, strict=True)):
        cells = [
            f'<th scope="row" data-value="{k}">{text(row["name"])}</th>',
            _cell(row["images"], f"{row['images']:,}"),
            *(
                _cell(row[name], percent(row[name]), interval(row[f"{name}_interval"], percent))
                for name in ("precision", "recall", "f1")
            ),
            _cell(row["auc"], number(row["auc"], 5), interval(row["auc_interval"], lambda value: number(value, 5))),
            _cell(average, number(average, 5)),
        ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return (
        "<p>Precision is the share of the predictions of a class that are right, recall the share of its images that "
        "are found. Below each stands its 95% interval: where two intervals overlap widely, the classes "
        "may well be equally hard.</p>"
        f'<div class="scroll{" tall" if len(rows) > LONG else ""}" tabindex="0" role="region" aria-label="Classes">'
        '<table class="classes"><caption>A click on a heading sorts.</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def confusion_table(document: Document, images: np.ndarray) -> str:
    """Return a row per pair of classes, with the pictures that the model was surest about; nothing if all is right."""
    pairs = document["top_confusions"]
    if not pairs:
        return "<p>There is none: every test image is named right.</p>"
    most = pairs[0]["count"]
    rows = []
    for pair in pairs:
        truth, said = text(pair["truth_name"]), text(pair["predicted_name"])
        thumbs = "".join(
            picture_tag(images[i], f"{pair['truth_name']} taken for {pair['predicted_name']}", side=60)
            for i in pair["images"]
        )
        rows.append(
            f'<tr><th scope="row" class="pair-name">{truth} <span class="to">taken for</span> {said}</th>'
            f'<td>{pair["count"]:,}</td><td class="meter-cell"><span class="meter">'
            f'<i style="width:{100 * pair["count"] / most:.0f}%"></i></span>{percent(pair["share"])} of {truth}</td>'
            f'<td class="thumbs">{thumbs}</td></tr>'
        )
    heads = ("Classes", "Times", "Share of the class", "Surest of them")
    head = "".join(
        f'<th scope="col"{style}>{name}</th>' for name, style in zip(heads, ("", "", LEFT, LEFT), strict=True)
    )
    wrong = sum(sum(row) - row[k] for k, row in enumerate(document["confusion"]))
    covered = sum(pair["count"] for pair in pairs)
    return (
        f"<p>These {len(pairs)} pairs account for {covered:,} of the {wrong:,} mistakes.</p>"
        '<div class="scroll" tabindex="0" role="region" aria-label="Top confusions">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(value: Any, shown: str, below: str = "") -> str:
    sorting = "" if value is None else f"{value:.8g}"
    return f'<td data-value="{sorting}">{shown}{f"<small>{below}</small>" if below else ""}</td>'
