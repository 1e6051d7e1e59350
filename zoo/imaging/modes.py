"""Whatever Pillow opens, as plain 8-bit grey or RGB."""

from __future__ import annotations

import numpy as np
from PIL import Image

WHITE, BLACK = (255, 255, 255, 255), (0, 0, 0, 255)


def flatten(image: Image.Image) -> Image.Image:
    """Return `image` in mode ``L`` or ``RGB``, whatever its mode is.

    16 and 32 bits are brought down to 8, palettes and CMYK become colours, and what is transparent is
    laid over white (over black when all that can be seen is white, as with chalk on nothing).
    """
    if image.mode == "1":
        return image.convert("L")
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_to_8_bits(np.asarray(image, dtype=np.float64)))
    if image.has_transparency_data:
        return _opaque(image)
    return image.copy() if image.mode == "L" else _grey_if_grey(image.convert("RGB"))


def _to_8_bits(values: np.ndarray) -> np.ndarray:
    """Scale grey values of 16 or 32 bits, or floats, to 0..255.

    The range is guessed from the values, since such files do not record it: 0..1, 0..255, 0..65535, and
    anything else from its own least to its own greatest value.
    """
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 65535:
        values = (values / 2 - low / 2) / max(high / 2 - low / 2, 1e-30) * 255  # halves: no overflow
    elif high > 255:
        values = values / 257
    elif high <= 1:
        values = values * 255
    return np.rint(values).astype(np.uint8)


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
