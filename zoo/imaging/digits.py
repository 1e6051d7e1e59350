"""A picture of a handwritten digit, brought to the form that MNIST's own digits have.

The form is described on the MNIST page (LeCun, Cortes, Burges, "The MNIST database of handwritten
digits"): bright ink on black, "size normalized to fit in a 20x20 pixel box while preserving their aspect
ratio", with the grey levels that antialiasing gives, and "centered in a 28x28 image by computing the
center of mass of the pixels, and translating the image so as to position this point at the center". In the
published images the centre of mass lies within half a pixel of index 14, so the translation was by whole
pixels; here it is too.

The steps before that are ours, since MNIST's scanned forms had no need of them: which side is ink, what is
background, and which specks are dust.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from zoo.errors import ImageError
from zoo.imaging.modes import flatten

BOX = 20 / 28
"""The box that the digit fits into, as a share of the picture's side."""

WORKING_SIDE = 512
"""Pixels: bigger pictures are reduced to this first. 25 times the box leaves nothing to gain."""

EDGE = 0.4
"""Share of full ink at which a stroke begins: nearly half-way up its antialiased edge."""

DUST = 0.03
"""Separate specks with less than this share of the biggest stroke's ink are dropped."""

THINNEST, WANTED = 1.2, 2.0
"""Pixels in the result: strokes thinner than the first are drawn as thick as the second.

MNIST's strokes are 2 to 4 pixels thick. A fine pen on a big canvas would end as a faint grey trace.
"""


def prepare_digit(image: Image.Image, image_shape: tuple[int, int, int] = (28, 28, 1)) -> np.ndarray:
    """Return the digit in `image` as MNIST has it: uint8 (28, 28, 1), bright ink on black.

    Dark ink on light paper is inverted, an even or evenly slanting background is taken away, specks are
    dropped, and the digit is scaled into a 20x20 box and centred by its mass. Another `image_shape`
    (H, W, C) scales box and centre with it, and repeats the grey values in each channel.

    A picture that already has this form, a digit of MNIST itself or a result of this function, is returned
    untouched: preparing twice is preparing once.

    Raises:
        ImageError: every pixel is the same, or nothing stands out from the background.
    """
    height, width, channels = image_shape
    plain = flatten(image)
    if plain.mode == "L" and _is_prepared(np.asarray(plain), height, width):
        digit = np.asarray(plain)
    else:
        plain.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.BOX)
        ink = _thick_enough(_only_strokes(_ink(_contrasting(plain))), _box_side(height, width))
        digit = _centred(_scaled(ink, _box_side(height, width)), height, width)
    return np.repeat(digit[:, :, None], channels, axis=2)


def _is_prepared(grey: np.ndarray, height: int, width: int) -> bool:
    """Whether a picture (uint8) has MNIST's form: size, black surround, bright ink, extent and centre."""
    if grey.shape != (height, width) or grey.max() < 200 or np.median(grey[_frame(grey)]) > 0:
        return False
    rows, columns = _extent(grey > 0)
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


def _ink(grey: np.ndarray) -> np.ndarray:
    """Return how much ink each pixel holds, (H, W), 0 for the background, in grey levels.

    The border is taken for background. Ink is what differs from it, to whichever side differs more.
    """
    if grey.min() == grey.max():
        raise ImageError("no digit found: every pixel is the same. Draw a digit on a plain background.")
    background, noise = _background(grey)
    difference = grey - background
    bright, dark = np.clip(difference, 0, None), np.clip(-difference, 0, None)
    ink = bright if np.square(bright).sum() >= np.square(dark).sum() else dark
    if ink.max() < max(8.0, 6 * noise):
        raise ImageError(
            "no digit found: nothing stands out from the background "
            f"(at most {ink.max():.0f} of 255 grey levels). Draw it with more contrast."
        )
    return np.clip(ink - 3 * noise, 0, None)


def _background(grey: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the background (H, W) and its noise (a standard deviation), both in grey levels.

    The background is a plane through the border's pixels, since light rarely falls evenly on paper; pixels
    far from the rest are left out, in case the digit reaches the border. The noise is 1.4826 times the
    median absolute deviation, which is the standard deviation of normal noise.
    """
    frame = _frame(grey)
    rows, columns = np.nonzero(frame)
    values = grey[frame]
    middle, spread = np.median(values), _spread(values)
    if spread == 0:
        return np.full(grey.shape, middle), 0.0
    height, width = grey.shape
    plane = np.stack([np.ones(len(values)), rows / height, columns / width], axis=1)
    residual = values - middle
    for _ in range(3):
        kept = np.abs(residual) <= 3 * spread + 1
        weights, *_ = np.linalg.lstsq(plane[kept], values[kept], rcond=None)
        residual = values - plane @ weights
        spread = _spread(residual)
    slope = weights[1] * np.arange(height)[:, None] / height + weights[2] * np.arange(width) / width
    return weights[0] + slope, spread


def _spread(values: np.ndarray) -> float:
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def _frame(grey: np.ndarray) -> np.ndarray:
    """The border as a boolean mask: 4% of the shorter side thick, one pixel at least."""
    thickness = max(1, round(0.04 * min(grey.shape)))
    mask = np.ones(grey.shape, dtype=bool)
    mask[thickness:-thickness, thickness:-thickness] = False
    return mask


def _only_strokes(ink: np.ndarray) -> np.ndarray:
    """Return the ink without dust, its darkest strokes at 1.0.

    A stroke is a connected piece of strong ink together with the faint ink that touches it.
    """
    strong = ink >= EDGE * np.percentile(ink[ink > 0.5 * ink.max()], 50)
    pieces, count = ndimage.label(strong, structure=np.ones((3, 3)))
    mass = ndimage.sum_labels(ink, pieces, np.arange(1, count + 1))
    kept = np.isin(pieces, 1 + np.flatnonzero(mass >= DUST * mass.max()))
    ink = np.where(ndimage.binary_propagation(kept, mask=ink > 0), ink, 0.0)
    full = np.percentile(ink[ink > 0.5 * ink.max()], 90)
    return np.clip(ink / full, 0, 1)


def _thick_enough(ink: np.ndarray, box: int) -> np.ndarray:
    """Thicken strokes that would end thinner than `THINNEST` pixels."""
    strokes = ink >= EDGE
    rows, columns = _extent(strokes)
    scale = box / max(rows.stop - rows.start, columns.stop - columns.start)
    # Across a stroke t pixels thick the distances to its edge are 1, 2, ... 2, 1: they average (t + 2) / 4.
    distance = ndimage.distance_transform_edt(np.pad(strokes, 1))[1:-1, 1:-1]
    thickness = max(1.0, 4 * float(distance[strokes].mean()) - 2)
    if thickness * scale >= THINNEST:
        return ink
    growth = round(WANTED / scale - thickness)
    return ndimage.grey_dilation(np.pad(ink, growth), size=(growth + 1, growth + 1))


def _scaled(ink: np.ndarray, box: int) -> np.ndarray:
    """Return the inked part scaled to fit the box, float64, its brightest pixel at 255."""
    rows, columns = _extent(ink >= EDGE)
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


def _extent(mask: np.ndarray) -> tuple[slice, slice]:
    """The rows and the columns between the first and the last True."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
