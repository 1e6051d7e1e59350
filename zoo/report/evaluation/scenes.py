"""The files that an evaluation of scenes leaves for people: answers drawn beside the truth, curves, and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zoo.files import atomic_write
from zoo.report.evaluation import curves as evaluation_plots
from zoo.report.shared.figure import save_png, svg
from zoo.report.shared.grid import sample_grid
from zoo.report.shared.page_frame import whole_page
from zoo.report.shared.page_text import number, percent, picture_tag, text

Document = Mapping[str, Any]
SECTIONS = {"scenes": "Scenes, the worst first", "classes": "Classes", "ranking": "Precision and recall"}
SIDE = 300  # pixels of a picture on the page


@dataclass(frozen=True)
class Scene:
    """A test image as it is and as the model has it: pictures uint8 (h, w, 3), its number, and 0 to 1 how good."""

    number: int
    quality: float
    truth: np.ndarray
    answer: np.ndarray


def write_scene_report(model: str, dataset: str, said: Document, scenes: Sequence[Scene], folder: Path) -> list[str]:
    """Write ``scenes.png``, ``precision_recall.png`` where there are curves, and ``report.html``; return their names.

    Args:
        model: its name.
        dataset: its name.
        said: what the evaluation's document holds.
        scenes: those to show.
        folder: where to write.

    Raises:
        OSError: a file cannot be written.
    """
    pairs = np.stack([picture for scene in scenes[:12] for picture in (scene.truth, scene.answer)])
    numbers = np.repeat([scene.number for scene in scenes[:12]], 2)
    title = f"{model} on {dataset}: truth and answer side by side, the worst first"
    sample_grid(pairs, numbers, None, folder / "scenes.png", rows=6, columns=4, title=title)
    files, drawing = ["scenes.png"], ""
    figure = evaluation_plots.precision_recall_figure(said) if "precision_recall" in said else None
    if figure is not None:
        save_png(figure, folder / "precision_recall.png")
        drawing = svg(figure, description="Precision-recall curve of each class")
        files.append("precision_recall.png")
    atomic_write(folder / "report.html", _page(model, dataset, said, scenes, drawing))
    return [*files, "report.html"]


def _page(model: str, dataset: str, said: Document, scenes: Sequence[Scene], drawing: str) -> str:
    sections = {
        "scenes": _scenes(scenes),
        "classes": _classes(said["per_class"]),
        "ranking": f'<p>At an overlap of a half.</p><div class="plot">{drawing}</div>' if drawing else "",
    }
    return whole_page(f"{model} on {dataset}", _headline(model, dataset, said), sections, SECTIONS)


def _headline(model: str, dataset: str, said: Document) -> str:
    metrics = said["metrics"]
    first, *others = said["words"].items()
    big = percent(metrics[f"test_{first[0]}"])
    rows = [(words, percent(metrics[f"test_{name}"])) for name, words in others]
    rows += [("Accuracy", percent(metrics["test_accuracy"])), ("Loss", number(metrics["test_loss"]))]
    figures = "".join(f"<div><dt>{text(name)}</dt><dd>{value}</dd></div>" for name, value in rows)
    return (
        f'<p class="eyebrow">Evaluation on the test images of {text(dataset)}</p><h1>{text(model)}</h1>'
        f'<div class="answer"><div class="big">{big[:-1]}<small> %</small></div><p>{text(first[1])}</p></div>'
        f'<dl class="figures">{figures}</dl>'
    )


def _scenes(scenes: Sequence[Scene]) -> str:
    cards = []
    for scene in scenes:
        truth = picture_tag(scene.truth, f"Test image {scene.number}: the truth", side=SIDE)
        answer = picture_tag(scene.answer, f"Test image {scene.number}: the answer", side=SIDE)
        cards.append(
            f'<figure class="scene">{truth}{answer}<figcaption>Test image {scene.number}: '
            f"{percent(scene.quality, 0)}</figcaption></figure>"
        )
    return f'<p>The truth on the left, the answer on the right.</p><div class="scenes">{"".join(cards)}</div>'


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
