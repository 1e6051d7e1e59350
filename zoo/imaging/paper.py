"""Finds the paper in a picture of a digit, and estimates its lighting.

A photograph of a digit also shows the desk, the frame of a cell or the black bars of a screen. The paper differs from
these: it is one even area that surrounds strokes. So the picture is divided into even areas, areas under the same
lighting are merged, and each is yielded as possible paper, starting with the one that surrounds most of the picture.
An area that a sheet lies on is skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from zoo.errors import ImageError

SIDE = 128
"""Pixels: areas are looked for in a picture reduced to this. Noise, texture and most printed lines are gone by then."""

LINE = 5
"""Pixels of the reduced picture: the side of the median filter that takes away lines up to half as wide."""

STEP = 0.1
"""Share of the picture's contrast: where grey changes by more within 3 pixels, one area ends."""

LEVEL = 0.15
"""Share of the picture's contrast: by no more than this do areas of one paper differ from the light on it."""

SMALLEST, PIECE = 0.02, 0.001
"""Shares of the picture: smaller areas are no paper, and not even a piece of one."""

SHEET = 0.1
"""Share of the picture: a smaller area that lies on another one is no sheet."""

TILE = 8
"""Pixels of the reduced picture: the side of the tiles in which light is measured once more, for shadows and stains."""

SAMPLE = 2000
"""Pixels: as many of an area, more or less, say how light falls on it."""


class NotPaperError(ImageError):
    """The area is not paper, or there is no digit on it."""


class Paper(NamedTuple):
    """One even area of a picture (H, W), and everything that it surrounds."""

    inside: np.ndarray
    """Boolean (H, W): the convex hull of the area."""

    even: np.ndarray
    """Boolean (H, W): the area itself."""

    light: np.ndarray
    """Grey levels (H, W), float64: what the paper would look like with nothing on it."""


class _Area(NamedTuple):
    mask: np.ndarray
    hull: np.ndarray


def find_papers(grey: np.ndarray) -> Iterator[Paper]:
    """Yield the possible papers in a grey picture (H, W), 0..255, the one that surrounds most first."""
    small = _reduced(grey)
    areas = [_Area(mask, hull(mask)) for mask in _areas(small)]
    for area in sorted(areas, key=_prominence, reverse=True):
        if any(_lies_on(area, sheet) for sheet in areas if sheet is not area):
            continue
        inside, even = (np.asarray(Image.fromarray(mask).resize(grey.shape[::-1])) for mask in (area.hull, area.mask))
        yield Paper(inside, even, _light(small, area.mask, grey.shape) + _unevenness(small, area.mask, grey.shape))


def _reduced(grey: np.ndarray) -> np.ndarray:
    scale = min(1.0, SIDE / max(grey.shape))
    height, width = (max(1, round(side * scale)) for side in grey.shape)
    small = Image.fromarray(grey.astype(np.float32)).resize((width, height), Image.Resampling.BOX)
    return ndimage.median_filter(np.asarray(small, dtype=np.float64), LINE, mode="nearest")


def _areas(small: np.ndarray) -> list[np.ndarray]:
    """Return masks of even areas, those in one light joined; the picture's edge if nothing is even."""
    if min(small.shape) < LINE:
        return [np.ones(small.shape, dtype=bool)]
    contrast = float(np.ptp(small))
    steps = ndimage.maximum_filter(small, 3) - ndimage.minimum_filter(small, 3)
    texture = min(2 * float(np.median(steps)), 2 * STEP * contrast)
    regions, count = ndimage.label(steps <= max(STEP * contrast, texture))
    sizes = np.bincount(regions.ravel(), minlength=count + 1)[1:] / small.size
    left = [int(number) for number in 1 + np.argsort(-sizes) if sizes[number - 1] >= PIECE]
    areas = []
    while left and sizes[left[0] - 1] >= SMALLEST:
        joined = [left.pop(0)]
        area = np.zeros(small.shape, dtype=bool)
        while joined:
            area |= np.isin(regions, joined)
            differences = ndimage.median(np.abs(small - _light(small, area)), regions, left) if left else []
            joined = [number for number, by in zip(left, differences, strict=True) if by <= LEVEL * contrast]
            left = [number for number in left if number not in joined]
        areas.append(area)
    edge = np.ones(small.shape, dtype=bool)
    edge[1:-1, 1:-1] = False
    return areas or [edge]


def _prominence(area: _Area) -> float:
    """Return an area's share of the picture, and of its edge, and its hull's share of the picture, all added."""
    mask = area.mask
    edge = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    return float(mask.mean() + area.hull.mean() + edge.mean())


def _lies_on(desk: _Area, sheet: _Area) -> bool:
    """Whether an area is a sheet that lies on another: large, four-sided, and all but surrounded by the other.

    The other may show again on the sheet, since ink can be as dark as the desk.
    """
    size = sheet.hull.sum()
    if size < SHEET * sheet.hull.size or sheet.mask.sum() < 0.5 * size:
        return False
    if (desk.hull & sheet.hull).sum() < 0.9 * size or (desk.mask & sheet.hull).sum() > 0.35 * size:
        return False
    long, short = sides(sheet.mask)
    return bool(size >= 0.87 * long * short and short >= 0.4 * long)


def _light(small: np.ndarray, area: np.ndarray, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Return a smooth surface of a shape (H, W) through the pixels of an area, whatever stands on it left out.

    Of the second degree, which a lamp on one side and the dark corners of a lens are; a plane or a level where the area
    is too small to say how it goes on outside.
    """
    found = np.nonzero(area)
    reach = min(np.ptp(each) / max(side, SIDE // 4) for each, side in zip(found, small.shape, strict=True))
    degree = 2 if reach > 0.5 else 1 if reach > 0.2 else 0
    step = max(1, len(found[0]) // SAMPLE)
    chosen = tuple(each[::step] for each in found)
    terms, values = _terms(small.shape, degree)[:, chosen[0], chosen[1]], small[chosen]
    kept = np.ones(len(values), dtype=bool)
    for _ in range(4):
        weights = np.linalg.pinv(terms[:, kept] @ terms[:, kept].T) @ (terms[:, kept] @ values[kept])
        residual = np.abs(values - weights @ terms)
        kept = residual <= max(1.0, 3 * 1.4826 * float(np.median(residual)))
    return np.tensordot(weights, _terms(shape or small.shape, degree), axes=1)


def _terms(shape: tuple[int, ...], degree: int) -> np.ndarray:
    """Return the terms of a polynomial in row and column, each from -1 to 1: (terms, H, W)."""
    rows, columns = (np.linspace(-1, 1, 2 * side + 1)[1::2] for side in shape)
    powers = [(row, column) for row in range(degree + 1) for column in range(degree + 1 - row)]
    return np.stack([rows[:, None] ** row * columns**column for row, column in powers])


def _unevenness(small: np.ndarray, area: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return how the paper differs from that surface, shadows and stains, as another smooth one of a shape (H, W).

    It goes through the medians of an area's pixels in tiles; far from the area it is nothing.
    """
    spare = [(0, -side % TILE) for side in small.shape]
    difference = np.pad(np.where(area, small - _light(small, area), np.nan), spare, constant_values=np.nan)
    rows, columns = (side // TILE for side in difference.shape)
    tiles = difference.reshape(rows, TILE, columns, TILE).swapaxes(1, 2).reshape(rows, columns, -1)
    count = np.isfinite(tiles).sum(axis=2)
    weight = np.where(count > TILE, count / TILE**2, 0)
    medians = np.zeros(weight.shape)
    medians[weight > 0] = np.nanmedian(tiles[weight > 0], axis=1)
    near = ndimage.gaussian_filter(weight, 1, mode="constant")
    smooth = ndimage.gaussian_filter(medians * weight, 1, mode="constant") / np.maximum(near, 0.05)
    places = [(np.arange(full) + 0.5) * side / full / TILE - 0.5 for full, side in zip(shape, small.shape, strict=True)]
    return ndimage.map_coordinates(smooth, np.meshgrid(*places, indexing="ij"), order=1, mode="nearest")


def hull(mask: np.ndarray) -> np.ndarray:
    """Return the convex hull of a mask, as a mask."""
    convex = _convex(mask)
    if convex is None:
        return mask
    inside = np.ones(mask.shape, dtype=bool)
    rows, columns = np.ogrid[: mask.shape[0], : mask.shape[1]]
    for down, right, offset in convex.equations:
        inside &= down * rows + right * columns + offset <= 1e-9
    return inside


def sides(mask: np.ndarray) -> tuple[float, float]:
    """Return the sides of the smallest rectangle, turned as it may be, around a mask: the longer one first."""
    convex = _convex(mask)
    if convex is None:
        return float(mask.sum()), 1.0
    corners = convex.points[convex.vertices]
    edges = np.diff(corners, axis=0, append=corners[:1])
    angles = np.arctan2(edges[:, 1], edges[:, 0])
    turned = np.array([[np.cos(angles), np.sin(angles)], [-np.sin(angles), np.cos(angles)]])
    spans = np.ptp(np.einsum("pi,kia->pka", corners, turned), axis=0) + 1
    short, long = np.sort(spans[:, spans.prod(axis=0).argmin()])
    return float(long), float(short)


def _convex(mask: np.ndarray) -> ConvexHull | None:
    """Return the hull of a mask's pixels, None if they lie on one line."""
    try:
        return ConvexHull(np.argwhere(mask))
    except (QhullError, ValueError):
        return None
