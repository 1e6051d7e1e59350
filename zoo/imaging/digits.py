"""Prepares a picture of a handwritten digit like the digits of MNIST.

The form is described on the MNIST page (LeCun, Cortes, Burges, "The MNIST database of handwritten
digits"): bright ink on black, "size normalized to fit in a 20x20 pixel box while preserving their aspect
ratio", with the grey levels that antialiasing gives, and "centered in a 28x28 image by computing the
center of mass of the pixels, and translating the image so as to position this point at the center". In the
published images the centre of mass lies within half a pixel of index 14, so the translation was by whole
pixels; here it is too.

Photographs need further steps first: find the paper and its lighting (`paper`), remove printed lines (`rules`), find
the ink (`ink`), and choose the strokes of the digit (`strokes`).
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from zoo.imaging.ink import digit_ink
from zoo.imaging.modes import flatten
from zoo.imaging.strokes import EDGE, extent, stroke_thickness

BOX = 20 / 28
"""The box that the digit fits into, as a share of the picture's side."""

WORKING_SIDE = 512
"""Pixels: bigger pictures are reduced to this first. 25 times the box leaves nothing to gain."""

THINNEST, WANTED = 1.2, 2.0
"""Pixels in the result: strokes thinner than the first are drawn as thick as the second.

MNIST's strokes are 2 to 4 pixels thick. A fine pen on a big canvas would end as a faint grey trace.
"""


def prepare_digit(image: Image.Image, image_shape: tuple[int, int, int] = (28, 28, 1)) -> np.ndarray:
    """Return the digit in `image` as MNIST has it: uint8 (28, 28, 1), bright ink on black.

    Dark ink on light paper is inverted; what lies around the paper, printed lines, uneven light and specks are left
    out; and the digit is scaled into a 20x20 box and centred by its mass. Another `image_shape`
    (H, W, C) scales box and centre with it, and repeats the grey values in each channel.

    A picture that already has this form, a digit of MNIST itself or a result of this function, is returned
    untouched: preparing twice is preparing once.

    Raises:
        ImageError: every pixel is the same, nothing stands out from the background, what does is a solid shape or
            only straight lines, or there are several digits.
    """
    height, width, channels = image_shape
    plain = flatten(image)
    if plain.mode == "L" and _is_prepared(np.asarray(plain), height, width):
        digit = np.asarray(plain)
    else:
        plain.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.BOX)
        ink = _thick_enough(digit_ink(_contrasting(plain)), _box_side(height, width))
        digit = _centred(_scaled(ink, _box_side(height, width)), height, width)
    return np.repeat(digit[:, :, None], channels, axis=2)


def _is_prepared(grey: np.ndarray, height: int, width: int) -> bool:
    """Whether a picture (uint8) has MNIST's form: size, black surround, bright ink, extent and centre."""
    if grey.shape != (height, width) or grey.max() < 200 or np.median(grey[_frame(grey)]) > 0:
        return False
    rows, columns = extent(grey > 0)
    crop = grey[rows, columns].astype(np.float64)
    box = _box_side(height, width)
    if not 0.8 * box <= max(crop.shape) <= box:
        return False
    top, left = _position(crop, height, width)
    return abs(top - rows.start) <= 1 and abs(left - columns.start) <= 1


def _contrasting(image: Image.Image) -> np.ndarray:
    """Return one channel, float64 (H, W), 0..255: grey, unless ink and paper differ mostly in colour.

    Yellow on white hardly shows in grey, red on green not at all; in one of red, green and blue they do.
    """
    grey = np.asarray(image.convert("L"), dtype=np.float64)
    if image.mode == "L":
        return grey
    channels = [np.asarray(band, dtype=np.float64) for band in image.split()]
    best = max(channels, key=_contrast)
    return best if _contrast(best) > 2 * _contrast(grey) else grey


def _contrast(channel: np.ndarray) -> float:
    low, high = np.percentile(channel, [0.5, 99.5])
    return float(high - low)


def _frame(grey: np.ndarray) -> np.ndarray:
    """The border as a boolean mask: 4% of the shorter side thick, one pixel at least."""
    thickness = max(1, round(0.04 * min(grey.shape)))
    mask = np.ones(grey.shape, dtype=bool)
    mask[thickness:-thickness, thickness:-thickness] = False
    return mask


def _thick_enough(ink: np.ndarray, box: int) -> np.ndarray:
    """Thicken strokes that would end thinner than `THINNEST` pixels."""
    strokes = ink >= EDGE
    rows, columns = extent(strokes)
    scale = box / max(rows.stop - rows.start, columns.stop - columns.start)
    thickness = stroke_thickness(strokes)
    if thickness * scale >= THINNEST:
        return ink
    growth = round(WANTED / scale - thickness)
    return ndimage.grey_dilation(np.pad(ink, growth), size=(growth + 1, growth + 1))


def _scaled(ink: np.ndarray, box: int) -> np.ndarray:
    """Return the inked part scaled to fit the box, float64, its brightest pixel at 255."""
    rows, columns = extent(ink >= EDGE)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    scale = box / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    crop = Image.fromarray(ink[rows, columns].astype(np.float32))
    scaled = np.asarray(crop.resize(size, Image.Resampling.HAMMING), dtype=np.float64)
    return np.clip(scaled / scaled.max(), 0, 1) * 255


def _centred(digit: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the digit on black, uint8 (height, width), its centre of mass in the middle."""
    top, left = _position(digit, height, width)
    canvas = np.zeros((height, width), dtype=np.uint8)
    canvas[top : top + digit.shape[0], left : left + digit.shape[1]] = np.rint(digit)
    return canvas


def _position(digit: np.ndarray, height: int, width: int) -> tuple[int, int]:
    """Where the digit's corner goes: centre of mass at (height / 2, width / 2), but nothing cut off."""
    mass = digit.sum()
    row = (digit.sum(axis=1) @ np.arange(digit.shape[0])) / mass
    column = (digit.sum(axis=0) @ np.arange(digit.shape[1])) / mass
    top = min(max(round(height / 2 - row), 0), height - digit.shape[0])
    left = min(max(round(width / 2 - column), 0), width - digit.shape[1])
    return top, left


def _box_side(height: int, width: int) -> int:
    return max(1, round(BOX * min(height, width)))
