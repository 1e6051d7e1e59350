"""Selects the marks on a paper that form the digit, and rejects pictures where they cannot be determined."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from zoo.errors import ImageError
from zoo.imaging.paper import NotPaperError, hull, sides

EDGE = 0.4
"""Share of full ink at which a stroke begins: nearly half-way up its antialiased edge."""

DUST = 0.03
"""Separate specks with less than this share of the biggest mark's ink are dropped."""

SOFT = 0.08
"""Share of the digit's size: how far the faint ink reaches that belongs to its strokes."""

NEAR = 0.35
"""Share of the digit's size: pieces that are no farther from it belong to it, as the bar of a broken 5 does."""

CLOSE = 0.08
"""The same for pieces as high as the digit that stand beside it: any farther off they are another digit."""

ALONG = 0.5
"""Share of the paper's shorter side: what touches its edge for so long is no digit, if there is another mark."""

EIGHT = np.ones((3, 3), dtype=bool)
"""Pixels that touch at a corner touch."""


@dataclass(frozen=True, eq=False)
class Mark:
    """A connected piece of strong ink."""

    number: int
    place: tuple[slice, slice]
    shape: np.ndarray
    """Boolean, of the size of `place`."""

    mass: float
    contact: int
    """Pixels of it at the edge of the paper."""

    @property
    def size(self) -> int:
        """Pixels: height or width, whichever is more."""
        return max(self.shape.shape)

    def surrounds(self, other: Mark) -> bool:
        """Whether the other lies within this one's height and width."""
        return all(
            ours.start < its.start and its.stop < ours.stop for ours, its in zip(self.place, other.place, strict=True)
        )

    def encloses(self, other: Mark) -> bool:
        """Whether the other lies in a hole of this one, as in a box without gaps."""
        rows, columns = (
            slice(its.start - ours.start, its.stop - ours.start)
            for ours, its in zip(self.place, other.place, strict=True)
        )
        return bool(ndimage.binary_fill_holes(self.shape)[rows, columns][other.shape].all())


def strong(ink: np.ndarray) -> np.ndarray:
    """Return where strokes are, boolean: at least `EDGE` of full ink."""
    return ink >= EDGE * np.median(ink[ink > 0.5 * ink.max()])


def extent(mask: np.ndarray) -> tuple[slice, slice]:
    """Return the rows and the columns between the first and the last True."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def stroke_thickness(strokes: np.ndarray) -> float:
    """Return how thick the strokes of a mask are on average, in pixels, at least 1."""
    # Across a stroke t pixels thick the distances to its edge are 1, 2, ... 2, 1: they average (t + 2) / 4.
    shape = np.pad(strokes[extent(strokes)], 1)
    return max(1.0, 4 * float(ndimage.distance_transform_edt(shape)[shape].mean()) - 2)


def only_digit(ink: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return the ink (H, W) of the digit alone, its darkest strokes at 1, from all ink on the paper `inside`.

    Raises:
        ImageError: there are several digits.
        NotPaperError: what there is has no form of strokes.
    """
    paper = extent(inside)
    shorter = min(side.stop - side.start for side in paper)
    edge = inside & ~ndimage.binary_erosion(inside, EIGHT, iterations=1 + shorter // 200)
    pieces, marks = _marks(ink, edge)
    for _ in range(2):
        outside = [mark for mark in marks if _is_outside(mark, marks, pieces, shorter)]
        if not outside or len(outside) == len(marks):
            break
        # Whatever is darker than the digit hides its fainter strokes: look again without that.
        rest = np.isin(pieces, [mark.number for mark in marks if mark not in outside])
        gone = np.isin(pieces, [mark.number for mark in outside])
        gone = ndimage.binary_dilation(gone, EIGHT, iterations=2 + shorter // 100) & ~rest
        ink = np.where(gone, 0, ink)
        pieces, marks = _marks(ink, edge)
    digit = _joined(max(marks, key=lambda mark: _weight(mark, paper)), marks, pieces)
    strokes = np.isin(pieces, [mark.number for mark in digit])
    _check_form(strokes, shorter, at_edge=any(mark.contact for mark in digit))
    reach = max(2, round(SOFT * max(mark.size for mark in digit)))
    soft = ndimage.binary_dilation(strokes, EIGHT, iterations=reach) & ((pieces == 0) | strokes)
    ink = np.where(soft, ink, 0.0)
    full = np.percentile(ink[ink > 0.5 * ink.max()], 90)
    return _unstained(np.clip(ink / full, 0, 1), strokes)


def _marks(ink: np.ndarray, edge: np.ndarray) -> tuple[np.ndarray, list[Mark]]:
    """Return the number of the piece at each pixel, and all pieces but dust."""
    pieces, count = ndimage.label(strong(ink), EIGHT)
    mass = ndimage.sum_labels(ink, pieces, np.arange(1, count + 1))
    places = ndimage.find_objects(pieces)
    marks = []
    for index in np.flatnonzero(mass >= DUST * mass.max()):
        place, number = places[index], int(index) + 1
        shape = pieces[place] == number
        marks.append(Mark(number, place, shape, float(mass[index]), int((shape & edge[place]).sum())))
    return pieces, marks


def _is_outside(mark: Mark, marks: list[Mark], pieces: np.ndarray, paper: int) -> bool:
    """Whether a mark is what the digit stands in or lies on: a box around another mark, or something along the edge."""
    others = [other for other in marks if other is not mark and other.size > 0.1 * paper]
    if mark.contact > ALONG * paper:
        return bool(others)
    return mark.shape.mean() < 0.35 and any(
        mark.surrounds(other)
        and other.size > (0.3 if mark.encloses(other) else 0.45) * mark.size  # a broken 3 may surround its own piece
        and not (pieces[other.place] == mark.number).any()
        for other in others
    )


def _weight(mark: Mark, paper: tuple[slice, slice]) -> float:
    """Return a mark's ink, less of it the farther it lies from the middle of the paper and if it touches the edge."""
    away = max(
        abs(ours.start + ours.stop - its.start - its.stop) / (its.stop - its.start)
        for ours, its in zip(mark.place, paper, strict=True)
    )
    return mark.mass * (1 - 0.5 * min(1.0, away)) * (0.25 if mark.contact else 1.0)


def _joined(main: Mark, marks: list[Mark], pieces: np.ndarray) -> list[Mark]:
    """Return the marks that make up the digit, from its main one on, the nearest first."""
    digit, left = [main], [mark for mark in marks if mark is not main]
    while left:
        strokes = np.isin(pieces, [mark.number for mark in digit])
        distance = ndimage.distance_transform_edt(~strokes)
        gaps = [float(distance[mark.place][mark.shape].min()) for mark in left]
        mark = left.pop(nearest := int(np.argmin(gaps)))
        rows, columns = extent(strokes)
        height, width = rows.stop - rows.start, columns.stop - columns.start
        gap = gaps[nearest] / max(height, width, mark.size)
        beside = mark.place[1].start >= columns.stop or mark.place[1].stop <= columns.start
        another = beside and gap > CLOSE and 0.6 < mark.shape.shape[0] / height < 1 / 0.6
        if gap <= (CLOSE if mark.contact and not main.contact else NEAR) and not another:
            digit.append(mark)
        elif mark.size > 0.6 * max(height, width) and mark.mass > 0.12 * main.mass and not mark.contact:
            raise ImageError("more than one digit found. Crop the picture to one, with some paper around it.")
    return digit


def _check_form(strokes: np.ndarray, paper: int, *, at_edge: bool) -> None:
    """Refuse what is solid: the sheet itself, or a thumb that reaches into the picture."""
    shape = np.pad(strokes[extent(strokes)], 1)
    height, width = (side - 2 for side in shape.shape)
    size = max(height, width)
    if size < 8:
        if paper < 100:
            return
        raise NotPaperError(f"no digit found: what stands out is {size} pixels large. Photograph it from nearer by.")
    if height < 0.25 * width:
        raise NotPaperError("no digit found: what stands out lies flat. Photograph the digit upright.")
    thickest = 2 * float(ndimage.distance_transform_cdt(shape, "chessboard").max())
    around = hull(shape)
    long, short = sides(around)
    four_sided = around.sum() > 0.92 * long * short and short > 0.4 * long and shape.sum() > 0.5 * around.sum()
    if thickest > (0.25 if four_sided else 0.5 if at_edge else 0.65) * size:
        raise NotPaperError(
            "no digit found: what stands out is a solid shape, not strokes. Photograph the digit from nearer by."
        )


def _unstained(ink: np.ndarray, strokes: np.ndarray) -> np.ndarray:
    """Take from the ink (H, W), 0..1, what is faint and wider than any stroke: a stain, the rest of a shadow."""
    size = 2 * int(ndimage.distance_transform_cdt(np.pad(strokes, 1), "chessboard").max()) + 1
    stain = ndimage.grey_opening(np.minimum(ink, EDGE), size=(size, size))
    return np.clip((ink - stain) / (1 - stain), 0, 1)
