"""Checks and decodes the images of a COCO file, with the boxes and masks of their objects."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoo.data.formats.annotated import Size, class_masks, padded, resized
from zoo.data.formats.coco_json import Picture
from zoo.data.formats.segmentations import decode_segmentation
from zoo.data.image_files import open_image
from zoo.errors import DataError, ImageError

if TYPE_CHECKING:
    from PIL import Image

GREY = ("1", "L", "LA", "La")
DEEP = ("I", "F")  # Pillow's modes that begin so hold more than 8 bits
ORIENTATION = 0x0112  # EXIF's tag
ON_ITS_SIDE = (5, 6, 7, 8)  # its values that ask for a turn by a quarter

UPRIGHT = "images are turned as their camera noted (EXIF), since their width and height are given so"
STORED = "images are read as they are stored and not as their camera noted (EXIF), as COCO's own tools do"
TURNED = "TIFF images are turned as they note, as Pillow opens them"
SWAPPED = "images have their width and height swapped; those of the files are taken"


@dataclass(frozen=True)
class Look:
    """What the header of an image file says: the picture with its size, whether it is grey, and what to tell of it."""

    picture: Picture
    is_grey: bool
    note: str


def look(picture: Picture) -> Look:
    """Return the size of a picture as its annotations see it, from the file's header.

    Raises `DataError` if the annotations speak of another size than the file has, upright or as the camera stored it;
    if it cannot be opened, or has more than 8 bits.
    """
    with _opened(picture.path) as image:
        stored = replace(picture, size=(image.height, image.width))
        turn = _orientation(image)
        if image.mode.startswith(DEEP):
            raise DataError(
                f"{picture.path} has more than 8 bits per pixel and channel (Pillow's mode {image.mode}). Save it with "
                "8: only you know which of its values is white."
            )
        is_grey, is_tiff = image.mode in GREY, image.format == "TIFF"
    if 0 in picture.size or picture.size == stored.size:
        return Look(stored, is_grey, "" if turn == 1 else TURNED if is_tiff else STORED)
    if picture.size == stored.size[::-1]:
        if turn in ON_ITS_SIDE and not is_tiff:
            return Look(picture, is_grey, UPRIGHT)
        if turn == 1 and all(stored.holds(one) for one in picture.objects):
            return Look(stored, is_grey, SWAPPED)
    raise DataError(
        f"{picture.path} is {stored.size[1]}x{stored.size[0]} pixels large, but its annotations speak of "
        f"{picture.size[1]}x{picture.size[0]}. Bring back the image that was annotated, or correct the JSON."
    )


def decode(pictures: Sequence[Picture], size: Size, channels: int, most: int, masked: bool) -> dict[str, np.ndarray]:
    """Return the arrays of one half: images, boxes, and masks and instances if there are any."""
    images = np.empty((len(pictures), *size, channels), np.uint8)
    for row, picture in zip(images, pictures, strict=True):
        with _opened(picture.path) as image:
            row[:] = resized(_plain(image, picture.size, "L" if channels == 1 else "RGB"), size)
    boxes = padded([picture.rows() for picture in pictures], most)
    arrays = {"images": images, "boxes": boxes}
    if not masked:
        return arrays
    instances = np.stack([_instances(picture, size) for picture in pictures])
    return arrays | {"masks": class_masks(boxes, instances), "instances": instances}


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with open_image(path) as image:
            yield image
    except ImageError as error:
        raise DataError(f"{path} cannot be read as an image because it {error}") from error


def _orientation(image: Image.Image) -> int:
    """Return how the camera was held, by its note (EXIF): 1, upright, to 8; 1 too where it cannot be read."""
    with contextlib.suppress(Exception):  # broken EXIF: the picture is fine
        return int(image.getexif().get(ORIENTATION, 1))
    return 1


def _plain(image: Image.Image, size: Size, mode: str) -> Image.Image:
    """Return a picture as its annotations see it, in the mode L or RGB; what is transparent lies over white."""
    from PIL import Image, ImageOps

    if (image.height, image.width) != size:
        image = ImageOps.exif_transpose(image)
    if image.has_transparency_data:
        layered = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered)
    return image.convert(mode)


def _instances(picture: Picture, size: Size) -> np.ndarray:
    """Return the number of the object that each pixel belongs to, uint8 (H, W): of several, the smallest."""
    masks = [decode_segmentation(each.segmentation, picture.size, size, each.where) for each in picture.objects]
    numbers = np.zeros(size, np.uint8)
    for row in sorted(range(len(masks)), key=lambda row: -int(masks[row].sum())):
        numbers[masks[row] > 0] = row + 1
    return numbers
