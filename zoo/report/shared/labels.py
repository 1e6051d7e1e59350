"""Place plot labels so that they do not overlap: next to points, or stacked at the edge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from zoo.report.shared.text import display_width

WIDTH_OF_A_LETTER = 0.62
"""Of the type's size; the widest of the fonts that a page may be shown in."""
MARK = 5.0
"""Points around a mark that no label may cover."""
DISTANCES = (9.0, 17.0, 28.0, 42.0, 60.0, 84.0)
FAR = 10.0
"""From this distance on a label needs a line to its point."""
BEADS = 7
"""A line is taken for so many small squares."""
PASSES = 4


class Box(NamedTuple):
    """A rectangle, in points."""

    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: Box) -> float:
        """Return the area that both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(0.0, width) * max(0.0, height)


class Place(NamedTuple):
    """Where a label stands, from its point: an offset in points, which end of it is there, and what it covers."""

    x: float
    y: float
    align: str
    box: Box
    line: tuple[Box, ...]  # to the point, where one is needed


def place(
    points: Sequence[tuple[float, float]],
    texts: Sequence[str],
    area: Box,
    size: float,
    obstacles: Sequence[Box] = (),
) -> list[Place]:
    """Return a position for each point's label, avoiding marks and other labels if there is room.

    Args:
        points: in points of 1/72 inch.
        texts: a label each.
        area: what the labels must stay within.
        size: of the type, in points.
        obstacles: what else no text may cover, though a line may.
    """
    marks = [Box(x - MARK, y - MARK, x + MARK, y + MARK) for x, y in points]
    places: dict[int, Place] = {}
    for _ in range(PASSES):  # the later ones let those that came first make room
        before = dict(places)
        for number, (point, text) in enumerate(zip(points, texts, strict=True)):
            taken = [box for other, put in places.items() if other != number for box in (put.box, *put.line)]
            others = [*taken, *marks[:number], *marks[number + 1 :]]
            solid = [*others, *obstacles, marks[number]]
            if number not in places or _cost(places[number], solid, others, area) > 0:
                costs = {put: _cost(put, solid, others, area) for put in _candidates(point, text, size)}
                places[number] = min(costs, key=costs.__getitem__)  # the first of equals
        if places == before:
            break
    return [places[number] for number in range(len(points))]


def _cost(candidate: Place, below_text: Sequence[Box], below_line: Sequence[Box], area: Box) -> float:
    """What the label and its line would cover; nothing is worse than to be cut off."""
    box = candidate.box
    outside = (box.right - box.left) * (box.top - box.bottom) - box.overlap(area)
    covered = sum(box.overlap(other) for other in below_text)
    crossed = sum(bead.overlap(other) for bead in candidate.line for other in below_line)
    return round(10 * max(0.0, outside) + covered + 4 * crossed, 6)


def _candidates(point: tuple[float, float], text: str, size: float) -> Iterator[Place]:
    """Right of the point, left, above, below, then the corners; near ones first."""
    width, height = display_width(text) * WIDTH_OF_A_LETTER * size, 1.25 * size
    for distance in DISTANCES:
        slant = 0.75 * distance
        for x, y, align in (
            (distance, 0.0, "left"),
            (-distance, 0.0, "right"),
            (0.0, distance + 2, "center"),
            (0.0, -distance - 2, "center"),
            (slant, slant, "left"),
            (slant, -slant, "left"),
            (-slant, slant, "right"),
            (-slant, -slant, "right"),
            (slant / 2, distance, "left"),
            (slant / 2, -distance, "left"),
            (-slant / 2, distance, "right"),
            (-slant / 2, -distance, "right"),
        ):
            start = point[0] + x - width * {"left": 0.0, "center": 0.5, "right": 1.0}[align]
            middle = point[1] + y
            box = Box(start, middle - height / 2, start + width, middle + height / 2)
            yield Place(x, y, align, box, _line(point, x, y) if distance > FAR else ())


def _line(point: tuple[float, float], x: float, y: float) -> tuple[Box, ...]:
    """The line from a point to an offset from it, without its ends."""
    centres = [(point[0] + x * bead / BEADS, point[1] + y * bead / BEADS) for bead in range(1, BEADS)]
    return tuple(Box(left - 1.5, bottom - 1.5, left + 1.5, bottom + 1.5) for left, bottom in centres)


def apart(heights: Sequence[float], least: float, low: float = 0.0, high: float = 1.0) -> list[float]:
    """Return the heights moved as little as it takes to be `least` apart, in their order, between `low` and `high`.

    Where there is no room for all of them they share what there is.
    """
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    least = min(least, (high - low) / max(1, len(heights) - 1))
    moved = list(heights)
    floor = low
    for i in order:
        moved[i] = floor = max(moved[i], floor)
        floor += least
    ceiling = high
    for i in reversed(order):
        moved[i] = ceiling = min(moved[i], ceiling)
        ceiling -= least
    return moved
