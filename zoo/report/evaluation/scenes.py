"""Detection and segmentation evaluations: a page, and pictures of predictions beside the ground truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zoo.report.shared.drawing import draw_annotations
from zoo.report.shared.grid import sample_grid
from zoo.report.shared.page_frame import whole_page
from zoo.report.shared.page_text import number, percent, picture_tag, text
from zoo.spec.evaluation import Evaluation

Document = Mapping[str, Any]
SECTIONS = {"scenes": "Scenes, the worst first", "classes": "Classes", "ranking": "Precision and recall"}
SIDE = 300  # pixels of a picture on the page


@dataclass(frozen=True, eq=False)
class Scene:
    """A test image with its true and its predicted annotations drawn over it: pictures uint8 (h, w, 3)."""

    number: int
    quality: float
    truth: np.ndarray
    prediction: np.ndarray


def draw_examples(evaluation: Evaluation, images: np.ndarray) -> list[Scene]:
    """Draw an evaluation's examples over the test images, uint8 (N, H, W, C)."""
    names = evaluation.class_names
    return [
        Scene(
            number=example.image,
            quality=example.quality,
            truth=draw_annotations(images[example.image], example.truth, names),
            prediction=draw_annotations(images[example.image], example.prediction, names),
        )
        for example in evaluation.examples
    ]


def scenes_figure(document: Document, scenes: Sequence[Scene], path: Path) -> None:
    """Write the first scenes as one PNG, truth and prediction side by side. Raises OSError."""
    pairs = np.stack([picture for scene in scenes[:12] for picture in (scene.truth, scene.prediction)])
    numbers = np.repeat([scene.number for scene in scenes[:12]], 2)
    title = f"{document['model']} on {document['dataset']}: truth and prediction side by side, the worst first"
    sample_grid(pairs, numbers, None, path, rows=6, columns=4, title=title)


def scenes_page(document: Document, scenes: Sequence[Scene], drawings: Mapping[str, str]) -> str:
    """Return the page.

    Args:
        document: what evaluation.json holds.
        scenes: those to show.
        drawings: the SVG element `precision_recall`, where there are such curves.
    """
    drawing = drawings.get("precision_recall", "")
    sections = {
        "scenes": _scenes(scenes),
        "classes": _classes(document["per_class"]),
        "ranking": f'<p>At an overlap of a half.</p><div class="plot">{drawing}</div>' if drawing else "",
    }
    model, dataset = document["model"], document["dataset"]
    return whole_page(f"{model} on {dataset}", _headline(model, dataset, document), sections, SECTIONS)


def _headline(model: str, dataset: str, said: Document) -> str:
    metrics = said["metrics"]
    first, *others = said["words"].items()
    big = percent(metrics[f"test_{first[0]}"])
    rows = [(words, percent(metrics[f"test_{name}"])) for name, words in others]
    rows += [("Accuracy", percent(metrics["test_accuracy"])), ("Loss", number(metrics["test_loss"]))]
    figures = "".join(f"<div><dt>{text(name)}</dt><dd>{value}</dd></div>" for name, value in rows)
    return (
        f'<p class="eyebrow">Evaluation on the test images of {text(dataset)}</p><h1>{text(model)}</h1>'
        f'<div class="headline"><div class="big">{big[:-1]}<small> %</small></div><p>{text(first[1])}</p></div>'
        f'<dl class="figures">{figures}</dl>'
    )


def _scenes(scenes: Sequence[Scene]) -> str:
    cards = []
    for scene in scenes:
        truth = picture_tag(scene.truth, f"Test image {scene.number}: the truth", side=SIDE)
        prediction = picture_tag(scene.prediction, f"Test image {scene.number}: the prediction", side=SIDE)
        cards.append(
            f'<figure class="scene">{truth}{prediction}<figcaption>Test image {scene.number}: '
            f"{percent(scene.quality, 0)}</figcaption></figure>"
        )
    return f'<p>The truth on the left, the prediction on the right.</p><div class="scenes">{"".join(cards)}</div>'


def _classes(rows: Sequence[Document]) -> str:
    names = [name for name in rows[0] if name != "name"]
    head = "".join(f'<th scope="col"><button type="button">{text(name.upper())}</button></th>' for name in names)
    body = "".join(
        f'<tr><th scope="row" data-value="{k}">{text(row["name"])}</th>'
        + "".join(f'<td data-value="{"" if row[n] is None else row[n]}">{percent(row[n])}</td>' for n in names)
        + "</tr>"
        for k, row in enumerate(rows)
    )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Classes"><table class="classes">'
        "<caption>A click on a heading sorts.</caption>"
        f'<thead><tr><th scope="col"><button type="button">Class</button></th>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
