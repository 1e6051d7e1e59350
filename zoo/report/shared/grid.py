"""A grid of samples from a dataset, each with its label."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoo.errors import DataError
from zoo.report.shared.figure import DPI, FONT, INK, QUIET, lay_under, new_figure, save_png
from zoo.report.shared.text import display_width, printable, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TILE = 168
"""Pixels: a small image is magnified, by a whole number, to about this side."""
MARGIN = 56
GAP = 24
LABEL = 44
TITLE = 64
LABEL_SIZE, TITLE_SIZE = 9.5, 13


def sample_grid(
    images: np.ndarray,
    labels: np.ndarray | Sequence[int],
    class_names: Sequence[str] | None,
    path: str | os.PathLike[str],
    *,
    rows: int = 5,
    columns: int = 10,
    title: str | None = None,
) -> Path:
    """Write a PNG of the first `rows` * `columns` images, label above each, and return its path.

    Args:
        images: uint8 (N, H, W, C), C = 1 (grey) or 3 (RGB). Fewer than the grid holds make a smaller one.
        labels: integers (N,), indices into `class_names`; one outside of it is shown as its number.
        class_names: names to show, or None for the numbers themselves.

    Raises:
        DataError: there are no images, or they have another shape or type, or not as many labels.
        OSError: the file cannot be written.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    _check(images, labels, rows, columns)
    images, labels = images[: rows * columns], labels[: rows * columns]
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    tiles = [_magnified(image) for image in images]
    height, width = tiles[0].shape[:2]

    top = MARGIN + (TITLE if title else 0)
    sheet_height = top + rows * (LABEL + height) + (rows - 1) * GAP + MARGIN
    sheet_width = max(columns * width + (columns - 1) * GAP, _text_width(title or "", TITLE_SIZE)) + 2 * MARGIN
    sheet = np.full((sheet_height, sheet_width, 3), 255, dtype=np.uint8)
    figure = new_figure(sheet_width / DPI, sheet_height / DPI)
    for number, (tile, label) in enumerate(zip(tiles, labels, strict=True)):
        row, column = divmod(number, columns)
        y = top + row * (LABEL + height + GAP) + LABEL
        x = MARGIN + column * (width + GAP)
        sheet[y : y + height, x : x + width] = tile
        text = shorten(_label(label, class_names), max(2, width // _text_width("x", LABEL_SIZE)))
        _write(figure, text, x, y - 10, LABEL_SIZE, QUIET)
    if title:
        _write(figure, printable(title), MARGIN, MARGIN + 30, TITLE_SIZE, INK)
    lay_under(figure, sheet)  # so that every pixel of a digit stays a sharp square
    return save_png(figure, path)


def _text_width(text: str, size: float) -> int:
    """About how many pixels text takes: a character is six tenths as wide as its type is high, in points."""
    return round(0.6 * size * DPI / 72) * display_width(text)


def _write(figure: Figure, text: str, x: float, y: float, size: float, color: str) -> None:
    """Write text whose baseline starts `x` pixels from the left and `y` from the top."""
    width, height = figure.get_size_inches() * DPI
    # Without parse_math, two dollar signs in a class name would be set as a formula.
    figure.text(x / width, 1 - y / height, text, color=color, fontsize=size, fontfamily=FONT, parse_math=False)


def _check(images: np.ndarray, labels: np.ndarray, rows: int, columns: int) -> None:
    if rows < 1 or columns < 1:
        raise DataError(f"a grid needs at least one row and one column, received {rows} x {columns}.")
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or images.dtype != np.uint8:
        raise DataError(
            "a grid shows uint8 images of shape (N, H, W, 1) or (N, H, W, 3), "
            f"received {images.dtype} of shape {images.shape}."
        )
    if 0 in images.shape:
        raise DataError(f"there are no images to show: their shape is {images.shape}.")
    if labels.shape != images.shape[:1]:
        raise DataError(f"{len(images)} images need as many labels, received labels of shape {labels.shape}.")


def _magnified(image: np.ndarray) -> np.ndarray:
    """Return RGB (h, w, 3), magnified by a whole number, or reduced when it is bigger than two tiles."""
    from PIL import Image

    picture = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
    side = max(picture.shape[:2])
    if side > 2 * TILE:
        reduced = Image.fromarray(picture)
        reduced.thumbnail((2 * TILE, 2 * TILE), Image.Resampling.LANCZOS)
        return np.asarray(reduced)
    factor = max(1, round(TILE / side))
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def _label(label: object, class_names: Sequence[str] | None) -> str:
    number = int(label)  # type: ignore[call-overload]
    if class_names is None or not 0 <= number < len(class_names):
        return str(number)
    return printable(class_names[number])
