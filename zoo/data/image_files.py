"""Opens users' image files safely, for data sets and for `zoo predict`."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import ImageError, ZooError

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "JPEG2000", "GIF", "BMP", "DIB", "TIFF", "WEBP", "AVIF", "PPM", "ICO")
"""Pillow's names of the formats that are read, if the installed Pillow supports them. Its JPEG reader also reads MPO.
EPS is left out, because Pillow would pass the file to Ghostscript."""

MAX_PIXELS = 128_000_000
"""More than any camera phone's usual output; a bigger claim in a small file is a decompression bomb."""

OTHERS = (
    (4, b"ftypavi", "AVIF, damaged or too new for the installed Pillow"),
    (4, b"ftyphe", "HEIC"),
    (4, b"ftypmif1", "HEIC or AVIF"),
    (0, b"%PDF", "PDF"),
    (0, b"%!PS", "PostScript"),
    (0, b"8BPS", "Photoshop's format"),
    (0, b"<svg", "SVG"),
    (0, b"<!doctype html", "a web page"),
    (0, b"<html", "a web page"),
    (0, b"version https://git-lfs", "a pointer of Git LFS, and `git lfs pull` fetches the image"),
)
"""Signatures of other files that users mistake for images: offset, first bytes, description."""


@contextlib.contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """Open an image file, recognised by its content, not its suffix; decode it inside the block.

    Raises:
        ImageError: it cannot be opened or, inside the block, decoded; or it has more than `MAX_PIXELS`. The message
            is a sentence without its subject, the file's name: "is damaged: ...".
    """
    from PIL import Image, UnidentifiedImageError

    said: list[warnings.WarningMessage] = []
    try:
        # Pillow's warnings about odd metadata do not matter, but those that name a missing decoder do.
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            with Image.open(path, formats=_formats()) as image:
                if image.width * image.height > MAX_PIXELS:  # from the header: nothing is decoded yet
                    raise _too_big()
                yield image
    except ZooError:
        raise
    except UnidentifiedImageError:
        details = "".join(f" ({remark.message})" for remark in said)
        raise ImageError(
            f"is not an image in a format that zoo reads{_content(path)}{details}. Save it again as PNG or JPEG."
        ) from None
    except Image.DecompressionBombError:
        raise _too_big() from None
    except Exception as error:  # Pillow's decoders raise a dozen different types on damaged files
        if isinstance(error, OSError) and error.errno is not None:  # the file system's, not a decoder's
            raise ImageError(f"cannot be read: {error.strerror}. Check the file.") from error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"is damaged: {reason}. Save or copy it again.") from error


def _formats() -> list[str]:
    """Return those of `FORMATS` that the installed Pillow can open; it fails on an unknown name."""
    from PIL import Image

    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _content(path: Path) -> str:
    """Return what a file is, by its first bytes, as ": it is ...", or an empty string."""
    with path.open("rb") as file:
        begin = file.read(64).lower()
    named = (what for at, mark, what in OTHERS if begin[at:].startswith(mark.lower()))
    what = next(named, "") if begin else "empty"
    return f": it is {what}" if what else ""


def _too_big() -> ImageError:
    return ImageError(f"unpacks to more than {MAX_PIXELS // 1_000_000} million pixels. Make it smaller.")
