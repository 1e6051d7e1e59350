"""Converts annotated photographs of different sizes to arrays: images of one size, boxes and masks.

A network is trained on images of one size. Images that already have one size, which networks accept, are unchanged; all
others are resized to a square of `SIDE` pixels, whatever their aspect ratio, as in `zoo predict`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from zoo.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

Size = tuple[int, int]  # height and width, pixels
SIDE = 128  # pixels: twice that of the scenes of digits, which two processor cores learn in a few minutes
LARGEST = 640  # pixels: the largest side that stays as it is
STEP = 8  # sides that detectors divide into cells are multiples of this,
SSD_SIDE = 300  # but for those of SSD at its published size
MOST = 255  # objects in an image, and classes that masks tell apart: they are numbered in uint8, 0 is nobody


def common_size(sizes: Collection[Size], side: int | None = None) -> Size:
    """Return the height and width that images of these sizes are brought to: their own, or a square.

    Args:
        sizes: of the images.
        side: of the square, pixels. None: they keep their size if all have the same, its sides are multiples of `STEP`
            or both `SSD_SIDE`, and neither is greater than `LARGEST`; else `SIDE`.
    """
    if side is None and len(set(sizes)) == 1:
        height, width = next(iter(sizes))
        is_divisible = height % STEP == width % STEP == 0 or height == width == SSD_SIDE
        if is_divisible and max(height, width) <= LARGEST:
            return height, width
    return (side or SIDE,) * 2


def resized(image: Image.Image, size: Size) -> np.ndarray:
    """Return an image of mode L or RGB as uint8 (H, W, 1) or (H, W, 3): bilinear, antialiased."""
    from PIL import Image

    height, width = size
    pixels = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), dtype=np.uint8)
    return pixels.reshape(height, width, -1)


def resized_mask(mask: np.ndarray, size: Size) -> np.ndarray:
    """Return a mask uint8 (h, w) as uint8 (H, W): each pixel takes the number of the nearest."""
    from PIL import Image

    height, width = size
    return np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))


def padded(objects: Sequence[np.ndarray] | np.ndarray, most: int) -> np.ndarray:
    """Return the objects of N images, each (m, 5), as one float32 (N, `most`, 5), rows of -1 behind the last."""
    boxes = np.full((len(objects), most, 5), -1, np.float32)
    for rows, found in zip(boxes, objects, strict=True):
        rows[: len(found)] = found
    return boxes


def class_masks(boxes: np.ndarray, instances: np.ndarray) -> np.ndarray:
    """Return the class of each pixel counted from 1, uint8 (N, H, W); 0 is the background.

    Args:
        boxes: float32 (N, M, 5), the class first.
        instances: uint8 (N, H, W), rows of `boxes` counted from 1.
    """
    classes = np.concatenate([np.zeros((len(boxes), 1)), boxes[..., 0] + 1], axis=1).astype(np.uint8)
    return classes[np.arange(len(classes))[:, None, None], instances]


def most_objects(counts: Sequence[int], where: str) -> int:
    """Return how many rows each image needs, at least one. Raises `DataError` for more objects than can be numbered."""
    most = max(1, *counts)
    if most > MOST:
        raise DataError(
            f"{where} has an image with {most} objects. At most {MOST} are read; take some out, or the image."
        )
    return most
