"""Pictures of predictions: the most confident mistakes, and samples with their predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.report.shared.figure import BLUE, DPI, FAINT, FONT, INK, ORANGE, QUIET, lay_under, new_figure
from zoo.report.shared.text import printable, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Document = Mapping[str, Any]

COLUMNS = 6
BARS = 10
"""Classes that a sample's bars show; of more, the likeliest."""
BAR_PITCH, BAR_WIDTH = 0.125, 0.65
"""Inches."""


def picture(image: np.ndarray) -> np.ndarray:
    """Return an image of any number of channels as one that can be shown, uint8 (H, W, 1) or (H, W, 3)."""
    return image if image.shape[2] in (1, 3) else image[..., : 3 if image.shape[2] > 3 else 1]


def percent(probability: float) -> str:
    """Return a probability as text that never rounds to certainty, of one thing or the other."""
    if 0.9995 <= probability < 1:
        return "> 99.9%"
    return "< 0.1%" if probability < 0.0005 else f"{100 * probability:.1f}%"


def likeliest(probabilities: Sequence[float], truth: int, count: int = BARS) -> list[int]:
    """Return the classes to show: all in their order when they fit, else the likeliest and the truth."""
    if len(probabilities) <= count:
        return list(range(len(probabilities)))
    ranking = sorted(range(len(probabilities)), key=lambda k: (-probabilities[k], k))
    shown = ranking[:count]
    return shown if truth in shown else [*shown[:-1], truth]


def mistakes_figure(document: Document, images: np.ndarray) -> Figure | None:
    """Draw the mistakes that the model was surest about: picture, truth, prediction and both probabilities."""
    mistakes = document["mistakes"]
    if not mistakes:
        return None
    columns = min(COLUMNS, len(mistakes))
    rows = -(-len(mistakes) // columns)
    board = _Board(max(1.65 * columns + 0.2, 4.6), 1.85 * rows + 0.65, "The mistakes it was surest about")
    for number, mistake in enumerate(mistakes):
        row, column = divmod(number, columns)
        left, top = 0.3 + 1.65 * column, 0.7 + 1.85 * row
        board.show(images[mistake["image"]], left, top, 1.25)
        truth, said = (shorten(_name(document, mistake[key]), 9) for key in ("truth", "predicted"))
        sure, true = percent(mistake["probability"]), percent(mistake["probabilities"][mistake["truth"]])
        board.write(f"{said}  {sure}", left, top + 1.4, 7.5, ORANGE)
        board.write(f"truth {truth}  {true}", left, top + 1.55, 7.5, QUIET)
    return board.finished()


def predictions_figure(document: Document, images: np.ndarray, *, count: int = 8) -> Figure:
    """Draw samples with the probability of each class, wrong ones first, then as many that are right."""
    samples = [*document["mistakes"][:count], *document["right_predictions"][:count]]
    columns = min(4, len(samples))
    rows = -(-len(samples) // columns)
    pitch = max(1.3, BAR_PITCH * len(likeliest(samples[0]["probabilities"], 0))) + 0.55
    board = _Board(max(3.0 * columns + 0.2, 4.6), pitch * rows + 0.6, "Predictions, wrong ones first")
    for number, sample in enumerate(samples):
        row, column = divmod(number, columns)
        left, top = 0.3 + 3.0 * column, 0.95 + pitch * row
        is_right = sample["truth"] == sample["predicted"]
        truth, said = (shorten(_name(document, sample[key]), 12) for key in ("truth", "predicted"))
        heading = f"{said}, right" if is_right else f"{said}, but it is {truth}"
        board.write(heading, left, top - 0.1, 9, BLUE if is_right else ORANGE)
        board.show(images[sample["image"]], left, top, 1.1)
        _bars(board, document, sample, left + 1.6, top)
    return board.finished()


def _bars(board: _Board, document: Document, sample: Document, left: float, top: float) -> None:
    """One bar per class: the truth's in blue, a wrong prediction's in orange."""
    for row, k in enumerate(likeliest(sample["probabilities"], sample["truth"])):
        value, y = sample["probabilities"][k], top + BAR_PITCH * (row + 0.5)
        color = BLUE if k == sample["truth"] else ORANGE if k == sample["predicted"] else QUIET
        board.line(left, left + BAR_WIDTH, y, FAINT)
        board.line(left, left + BAR_WIDTH * value, y, color)
        board.write(shorten(_name(document, k), 8), left - 0.06, y + 0.03, 6.5, QUIET, align="right")
        if value >= 0.005:
            board.write(percent(value), left + BAR_WIDTH + 0.05, y + 0.03, 6, color)


class _Board:
    """A sheet of paper on which pictures, words and lines are placed in inches from its upper left corner.

    The pictures become one image of the figure's own pixels, and the lines one collection: an axes for each
    would take seconds.
    """

    def __init__(self, width: float, height: float, title: str) -> None:
        self.figure = new_figure(width, height)
        self.width, self.height = width, height
        self.sheet = np.full((round(height * DPI), round(width * DPI), 3), 255, dtype=np.uint8)
        self.lines: list[tuple[tuple[float, float], tuple[float, float]]] = []
        self.colors: list[str] = []
        self.figure.text(0.3 / width, 1 - 0.35 / height, title, fontsize=13, fontfamily=FONT, weight="bold", color=INK)

    def show(self, image: np.ndarray, left: float, top: float, side: float) -> None:
        """Place an image in a square of `side`; a small one is magnified by a whole number, so that it stays sharp."""
        from PIL import Image

        pixels = round(side * DPI)
        shown = np.repeat(picture(image), 3 if picture(image).shape[2] == 1 else 1, axis=2)
        factor = pixels // max(shown.shape[:2])
        if factor:
            shown = shown.repeat(factor, axis=0).repeat(factor, axis=1)
        else:
            reduced = Image.fromarray(shown)
            reduced.thumbnail((pixels, pixels), Image.Resampling.LANCZOS)
            shown = np.asarray(reduced)
        y, x = round(top * DPI), round(left * DPI)
        self.sheet[y : y + shown.shape[0], x : x + shown.shape[1]] = shown

    def write(self, text: str, left: float, baseline: float, size: float, color: str, align: str = "left") -> None:
        """Place a line of text, its baseline so far from the top."""
        self.figure.text(
            left / self.width, 1 - baseline / self.height, text,
            fontsize=size, fontfamily=FONT, color=color, ha=align, parse_math=False,
        )  # fmt: skip

    def line(self, left: float, right: float, y: float, color: str) -> None:
        """Place a thick horizontal line."""
        height = 1 - y / self.height
        self.lines.append(((left / self.width, height), (right / self.width, height)))
        self.colors.append(color)

    def finished(self) -> Figure:
        """Return the figure with everything in its place."""
        from matplotlib.collections import LineCollection

        lay_under(self.figure, self.sheet)
        lines = LineCollection(
            self.lines, colors=self.colors, linewidths=4.5, capstyle="butt", transform=self.figure.transFigure
        )
        self.figure.add_artist(lines)
        return self.figure


def _name(document: Document, k: int) -> str:
    return printable(document["class_names"][k])
