"""Decodes COCO's segmentations, polygons or run lengths, to masks with pycocotools."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from zoo.data.formats.annotated import Size, resized_mask
from zoo.data.formats.coco_values import numbers, short, whole
from zoo.errors import DataError


def decode_segmentation(segmentation: Any, found: Size, size: Size, where: str) -> np.ndarray:
    """Return which pixels belong to an object: uint8 (H, W), 0 or 1.

    Args:
        segmentation: a list of polygons [x, y, x, y ...] in pixels, or ``{"size": [h, w], "counts": ...}`` with run
            lengths as a list or as COCO's compressed text.
        found: height and width of the image file.
        size: (H, W), what the image is resized to.
        where: names the annotation, for errors.

    Raises:
        DataError: it is none of these, or does not fit the image.
    """
    from pycocotools import mask as coco

    if isinstance(segmentation, list):
        outlines = [_outline(polygon, found, size, where) for polygon in segmentation]
        return coco.decode(coco.merge(coco.frPyObjects(outlines, *size)))
    runs = _runs(segmentation, where)
    if numbers(segmentation.get("size")) != list(found) or sum(runs) != math.prod(found) or min(runs) < 0:
        raise DataError(
            f"{where} has run lengths of {sum(runs):,} pixels and the size {segmentation.get('size')!r}; its image is "
            f"{list(found)} (height, width). Export it again."
        )
    return resized_mask(coco.decode(coco.frPyObjects({"size": list(found), "counts": runs}, *found)), size)


def _outline(polygon: Any, found: Size, size: Size, where: str) -> list[float]:
    """Return a polygon in pixels of the resized image; what lies outside of the image is cut off."""
    corners = numbers(polygon)
    if corners is None or len(corners) < 6 or len(corners) % 2:
        raise DataError(f"{where} has the polygon {short(polygon)}. It must be x, y of at least three corners.")
    (height, width), (new_height, new_width) = found, size
    inside = np.clip(np.reshape(corners, (-1, 2)), 0, (width, height))
    return (inside * (new_width / width, new_height / height)).ravel().tolist()


def _runs(segmentation: Any, where: str) -> list[int]:
    """Return run lengths: pixels outside and inside of the object in turns, column by column."""
    counts = segmentation.get("counts") if isinstance(segmentation, dict) else None
    if isinstance(counts, str) and counts:
        return _unpacked(counts)
    runs = [whole(count) for count in counts] if isinstance(counts, list) else []
    if not runs or None in runs:
        raise DataError(f"{where} has the segmentation {short(segmentation)}. It must be polygons or run lengths.")
    return [run for run in runs if run is not None]


def _unpacked(text: str) -> list[int]:
    """Return the run lengths in COCO's compressed text.

    A character holds five bits, the lowest first, and whether more follow; from the fourth run on the number is the
    difference to the run two before. pycocotools reads this too, but takes no notice of a text that ends too soon.
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (1 << shift) if bits & 16 else 0
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs or [-1]
