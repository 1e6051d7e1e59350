"""Loads image files of any size, mode and orientation as 8-bit grey or RGB pictures.

`load_image` reads a file; `prepare_photo` resizes it to a model's input shape. Digits need more preparation, see
`zoo.imaging.digits`.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps

from zoo.data.image_files import open_image
from zoo.errors import ImageError
from zoo.imaging.digits import prepare_digit
from zoo.imaging.modes import flatten, join_bytes, lower_bytes
from zoo.report.shared.text import printable

__all__ = ["load_image", "prepare_digit", "prepare_photo"]

DARK = 64
"""Upper bytes of colours of 16 bits that are all below this may be what is left of 10, 12 or 14 bits."""


def load_image(path: str | os.PathLike[str]) -> Image.Image:
    """Read one image file.

    The camera's orientation (EXIF) is applied, an animation gives its first frame, and the result has mode ``L`` or
    ``RGB`` (8 bits, no palette, no transparency), see `flatten`.

    Raises:
        ImageError: the file does not exist, is not an image, is damaged, or has more pixels than
            `zoo.data.image_files.MAX_PIXELS`.
    """
    path = Path(path)
    _check_file(path)
    try:
        return flatten(_loaded(path))
    except ImageError as error:
        raise ImageError(printable(f"{path} {error}")) from error


def prepare_photo(image: Image.Image, image_shape: tuple[int, int, int]) -> np.ndarray:
    """Return `image` resized to `image_shape` (H, W, C), uint8: grey for C = 1, RGB for C = 3.

    Bilinear, antialiased; the whole picture is kept, so another aspect ratio is squeezed. Raises
    ImageError for another number of channels.
    """
    height, width, channels = image_shape
    if channels not in (1, 3):
        raise ImageError(
            f"the model takes images of {channels} channels, an image file gives 1 (grey) or 3 (RGB). "
            "Call the model from Python with arrays of its own."
        )
    plain = flatten(image).convert("L" if channels == 1 else "RGB")
    resized = plain.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.uint8).reshape(height, width, channels)


def _loaded(path: Path) -> Image.Image:
    """Return a file's pixels with the camera's orientation applied."""
    with open_image(path) as image:
        image.load()
        upper = _upright(image)
    if upper.mode not in ("RGB", "RGBA") or any(np.asarray(band).max() >= DARK for band in upper.split()[:3]):
        return upper
    with open_image(path) as image:
        if not isinstance(image, ImageFile.ImageFile) or not lower_bytes(image):
            return upper
        image.load()
        return join_bytes(upper, _upright(image))


def _check_file(path: Path) -> None:
    """Raise `ImageError` for a path that cannot be opened as a file; reading a pipe, for example, would never end."""
    name = printable(path)
    try:
        status = path.stat()
    except FileNotFoundError:
        raise ImageError(f"{name}: there is no such file. Check the path.") from None
    except (OSError, ValueError) as error:
        raise ImageError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    if stat.S_ISDIR(status.st_mode):
        raise ImageError(f"{name} is a folder, not an image. Name the image files in it.")
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(f"{name} is a pipe or a device, not an image file. Save the image to a file.")
    if status.st_size == 0:
        raise ImageError(f"{name} is empty. Save or copy it again.")
    if not os.access(path, os.R_OK):
        raise ImageError(f"{name} cannot be read: permission denied. Change its permissions.")


def _upright(image: Image.Image) -> Image.Image:
    with contextlib.suppress(Exception):  # broken EXIF: the picture is fine, its turn is unknown
        return ImageOps.exif_transpose(image)
    return image
