"""Converts any image mode of Pillow to 8-bit grey or RGB."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from PIL import Image, ImageFile

WHITE, BLACK = (255, 255, 255, 255), (0, 0, 0, 255)

DEPTHS = (8, 10, 12, 14, 16)
"""Bits per value that cameras and scanners have. Files of 16 bits hold any of them, and do not say which."""

ROUNDING = 1.02
"""Floats go beyond their range by so much when a picture was resized or sharpened."""

LOWER_BYTES = {
    "RGB;16B": "RGB;16L",
    "RGB;16L": "RGB;16B",
    "RGB;16N": "RGB;16B" if sys.byteorder == "little" else "RGB;16L",
    "RGBA;16B": "RGBA;16L",
    "RGBA;16L": "RGBA;16B",
    "RGBA;16N": "RGBA;16B" if sys.byteorder == "little" else "RGBA;16L",
}
"""Of colours of 16 bits Pillow keeps the upper byte. Read in the other order of bytes, they give the lower one."""


def flatten(image: Image.Image) -> Image.Image:
    """Return `image` in mode ``L`` or ``RGB``, whatever its mode is.

    10 to 32 bits are brought down to 8, palettes and CMYK become colours, and what is transparent is
    laid over white (over black when all that can be seen is white, as with chalk on nothing).
    """
    if image.mode == "1":
        return image.convert("L")
    if image.mode.startswith(("I", "F")):
        rounding = ROUNDING if image.mode.startswith("F") else 1.0
        return Image.fromarray(_to_8_bits(np.asarray(image, dtype=np.float64), rounding))
    if image.has_transparency_data:
        return _opaque(image)
    return image.copy() if image.mode == "L" else _grey_if_grey(image.convert("RGB"))


def lower_bytes(image: ImageFile.ImageFile) -> bool:
    """Have a file that was opened, but not loaded, give the lower bytes of its colours of 16 bits.

    Returns whether it will; any other file is left as it is.
    """
    tiles: list[Any] = []
    for tile in image.tile:
        codec, extents, offset, arguments = tile
        mode, *others = arguments if isinstance(arguments, tuple) else (arguments,)
        if mode not in LOWER_BYTES:
            return False
        changed = (LOWER_BYTES[mode], *others) if isinstance(arguments, tuple) else LOWER_BYTES[mode]
        tiles.append(getattr(type(tile), "_make", tuple)((codec, extents, offset, changed)))  # named since Pillow 11.1
    image.tile = tiles
    return bool(tiles)


def join_bytes(upper: Image.Image, lower: Image.Image) -> Image.Image:
    """Return colours of 10 to 16 bits, of which Pillow has read the bytes one by one, in 8 bits."""
    values = np.asarray(upper, dtype=np.float64) * 256 + np.asarray(lower)
    parts = [values[:, :, :3], values[:, :, 3:]]  # opacity may have another depth than colour
    return Image.fromarray(
        np.concatenate([_to_8_bits(part) if part.size else part for part in parts], axis=2).astype(np.uint8)
    )


def _to_8_bits(values: np.ndarray, rounding: float = 1.0) -> np.ndarray:
    """Scale values of up to 16 bits, of 32 bits, or floats, to 0..255.

    The range is taken from the values, since such files do not record it: 0..1, or the least of `DEPTHS` that holds the
    greatest of them. So no picture is cut off, and a dark one of 16 bits whose values fill less than a quarter of their
    range comes out brighter by a power of 4, as if exposed for longer. What is outside of 0..65535 goes from its own
    least to its own greatest value.
    """
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 65535 * rounding:
        values = (values / 2 - low / 2) / max(high / 2 - low / 2, 1e-30)  # halves: no overflow
    else:
        values = values / next(
            greatest for greatest in (1, *(2**bits - 1 for bits in DEPTHS)) if high <= greatest * rounding
        )
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


def _opaque(image: Image.Image) -> Image.Image:
    layered = image.convert("RGBA")
    over_white = Image.alpha_composite(Image.new("RGBA", layered.size, WHITE), layered).convert("RGB")
    if all(band.getextrema() == (255, 255) for band in over_white.split()):
        over_black = Image.alpha_composite(Image.new("RGBA", layered.size, BLACK), layered)
        return _grey_if_grey(over_black.convert("RGB"))
    return _grey_if_grey(over_white)


def _grey_if_grey(image: Image.Image) -> Image.Image:
    """Most drawings are grey and saved as RGB; one channel says it all."""
    red, green, blue = image.split()
    return red if red.tobytes() == green.tobytes() == blue.tobytes() else image
