"""Converts images to uint8: floats, 16 bits, flat rows, channels first.

Only unambiguous images are converted, and the conversion is reported. For others the error contains the line of Python
that converts them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from zoo.errors import DataError

CHANNELS = (1, 3, 4)  # grey, RGB, RGBA: what a side of an image hardly ever measures
ROWS = 1000  # images converted at once, so that they are not held twice as floats
SLACK = 1e-3  # by which floats may leave 0..1 or -1..1, as resampling makes them

Convert = Callable[[np.ndarray], np.ndarray]
Range = tuple[Convert | None, str]
"""How values become 0..255, None where they are; and what is said about it."""


def to_pixels(
    images: Mapping[str, np.ndarray], files: Mapping[str, str], *, transposed: bool = False
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return each array as uint8 (N, H, W) or (N, H, W, C), and what was done to them, in words.

    Args:
        images: one array per side of a data set, of numbers in any of the forms that are understood.
        files: where each was read, for errors.
        transposed: whether rows and columns are exchanged in them.

    Raises:
        DataError: with the form received, and the line of Python that would convert it.
    """
    notes: list[str] = []
    found: dict[str, np.ndarray] = {}
    for side, array in images.items():
        found[side], note = _in_order(array, files[side])
        notes += [note]
    ranges = _ranges(found, files)
    for side, array in found.items():
        convert, note = ranges[side]
        found[side] = array if convert is None else _converted(array, convert)
        notes += [note]
    if transposed:
        found = {side: np.ascontiguousarray(np.swapaxes(array, 1, 2)) for side, array in found.items()}
        notes += ["rows and columns, which EMNIST's files exchange, are put right"]
    return found, [note for note in dict.fromkeys(notes) if note]


def _in_order(array: np.ndarray, file: str) -> tuple[np.ndarray, str]:
    """Return images as (N, H, W) or (N, H, W, C), and what that took."""
    if array.dtype.kind not in "buif":
        raise DataError(f"{file} holds {array.dtype} of shape {array.shape}. Images must be numbers: give the pixels.")
    if array.size == 0 or array.ndim not in (2, 3, 4):
        raise DataError(
            f"{file} holds {array.dtype} of shape {array.shape}. Images must have the shape (N, height, width) or "
            f"(N, height, width, channels), N at least 1."
        )
    if array.ndim == 2:
        return _unflattened(array, file)
    if array.ndim == 4 and array.shape[3] not in (*CHANNELS, 2) and array.shape[1] in CHANNELS:
        return np.moveaxis(array, 1, 3), "channels, which come first, are put last"
    return array, ""


def _unflattened(array: np.ndarray, file: str) -> tuple[np.ndarray, str]:
    count, pixels = array.shape
    side = math.isqrt(pixels)
    if side * side == pixels and side > 1:
        return array.reshape(count, side, side), f"rows of {pixels:,} pixels are read as {side}x{side}"
    third = math.isqrt(pixels // 3)
    if third * third * 3 == pixels and third > 1:
        raise DataError(
            f"{file} holds rows of {pixels:,} pixels: {third}x{third} in 3 colours, but in which order? Convert them: "
            f"x = x.reshape(-1, {third}, {third}, 3) if each pixel's colours stand together, or "
            f"x = x.reshape(-1, 3, {third}, {third}).transpose(0, 2, 3, 1) if all of one colour do, as in CIFAR's."
        )
    raise DataError(
        f"{file} holds rows of {pixels:,} pixels, which are no square. Convert them: "
        "x = x.reshape(-1, height, width), with the height and width that your images have."
    )


def _ranges(images: Mapping[str, np.ndarray], files: Mapping[str, str]) -> dict[str, Range]:
    """Say of each side what its values mean. Sides of one type are judged together: a test set may hold no white."""
    bounds = {side: _bounds(array) for side, array in images.items()}
    ranges: dict[str, Range] = {}
    for side, array in images.items():
        alike = [other for other in images if images[other].dtype == array.dtype]
        low, high = (min(bounds[one][0] for one in alike), max(bounds[one][1] for one in alike))
        ranges[side] = _range(array, low, high, files[side])
        if high > 2 and 0 < bounds[side][1] <= 1 and low >= 0 and array.dtype != np.uint8:
            raise DataError(
                f"{files[side]} holds values up to {bounds[side][1]:g}, others up to {high:g}. Bring all images to one "
                "range: x = (x * 255).round().astype('uint8') for those in 0..1."
            )
    return ranges


def _bounds(array: np.ndarray) -> tuple[float, float]:
    return float(array.min()), float(array.max())


def _range(array: np.ndarray, low: float, high: float, file: str) -> Range:
    """Say what values of `low` to `high` mean. Raises `DataError` where that is open."""
    is_float = array.dtype.kind == "f"
    if not math.isfinite(low + high):
        raise DataError(
            f"{file} holds values that are not finite. Convert them: x = np.nan_to_num(x), or leave them out."
        )
    if array.dtype == np.uint8 and high != 1:
        return None, ""
    if low >= 0 and high <= 1 and not is_float:
        return (lambda part: part.astype(np.uint8) * np.uint8(255)), "0 and 1 are read as black and white"
    if is_float and low >= -SLACK and high <= 1 + SLACK:
        if high < 1 and _are_whole(array, 256):  # as mnist.pkl.gz holds them
            return _times(256), "pixels, stored as n/256, are read as n"
        return _times(255), "pixels in 0..1 are read as 0..255"
    if is_float and -1 - SLACK <= low <= -1 + 0.01 and high <= 1 + SLACK:
        return (lambda part: _rounded((part.astype(np.float64) + 1) * 127.5)), "pixels in -1..1 are read as 0..255"
    if low >= 0 and 127 < high <= 255.5:
        return _times(1), f"{array.dtype} pixels are read as 0..255"
    if low >= 0 and 32767 < high <= 65535 and not is_float:
        return (lambda part: _rounded(part / 257)), "pixels of 16 bits are read as 8"
    raise _unclear(array, low, high, file)


def _unclear(array: np.ndarray, low: float, high: float, file: str) -> DataError:
    known = "Values are understood in 0..1, -1..1, 0..255 and 16 bits"
    holds = f"{file} holds {array.dtype} of {low:g}..{high:g}"
    if low < 0:
        return DataError(
            f"{holds}. {known}. If they were standardised, undo that (x * deviation + mean), or stretch training and "
            f"test images alike: x = ((x - ({low:.6g})) * {255 / (high - low):.6g}).clip(0, 255).astype('uint8')."
        )
    white = 2 ** math.ceil(math.log2(high + 1)) - 1 if high > 255 else high
    return DataError(
        f"{holds}. {known}. Say what is white; if it is {white:g}: x = (x * (255 / {white:g})).round().astype('uint8')."
    )


def _are_whole(array: np.ndarray, factor: int) -> bool:
    sample = array[:ROWS].astype(np.float64) * factor
    return bool((sample == np.rint(sample)).all())


def _times(factor: int) -> Convert:
    return lambda part: _rounded(part * part.dtype.type(factor) if part.dtype.kind == "f" else part)


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _converted(array: np.ndarray, convert: Convert) -> np.ndarray:
    found = np.empty(array.shape, np.uint8)
    for start in range(0, len(array), ROWS):
        found[start : start + ROWS] = convert(array[start : start + ROWS])
    return found
