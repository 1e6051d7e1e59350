"""A folder in COCO's format: images, and JSON files that say what is where in them.

    annotations/instances_train2017.json   what is in the images to train on; or train.json
    annotations/instances_val2017.json     in the images to test on; or val.json, test.json
    train2017/, val2017/ or images/        the images

So T.-Y. Lin et al. laid out their own ("Microsoft COCO: Common Objects in Context", 2014). As Roboflow exports them,
train/_annotations.coco.json and valid/ or test/, with the images beside each file, they are read too. Where there are
both, test images come before validation images.

Categories become classes, in the order of their ids. Annotations of crowds (`iscrowd`) are left out, since they mark no
one object; so are boxes of which nothing lies inside the image. Images in which nothing is marked are kept. Where every
object has a segmentation there are masks; where two objects overlap, the smaller is seen. The cache keeps nothing of
it, unless `zoo data prepare NAME --data-dir FOLDER` asks for that; it then keeps boxes and masks too.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoo.data.annotated import Size, common_size, most_objects, padded, resized
from zoo.data.coco_json import Annotations, Picture
from zoo.data.dataset import Dataset, Parts, assemble, require_small
from zoo.data.progress import Announce
from zoo.data.segmentations import decode_segmentation
from zoo.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

WHAT_COCO_IS = "annotations/instances_train*.json and annotations/instances_val*.json in COCO's format"
WORDS = {"train": ("train",), "test": ("test", "val", "valid")}
PATTERNS = ("annotations/instances_{}*.json", "annotations/{}.json", "{}.json", "{}/_annotations.coco.json")
FORMATS = ("PNG", "JPEG", "MPO", "BMP", "GIF", "TIFF", "WEBP", "PPM")  # EPS would be handed to Ghostscript
GREY = ("1", "L", "LA")
ORIENTATION = 0x0112  # EXIF's tag
DEEP = ("I", "F")  # Pillow's modes that begin so hold more than 8 bits


def find_annotations(folder: Path, half: str) -> Path | None:
    """Return the JSON file of one half, "train" or "test", or None. Raises `DataError` if there are several."""
    for word in WORDS[half]:
        for pattern in PATTERNS:
            files = sorted(folder.glob(pattern.format(word)))
            if len(files) > 1:
                names = " and ".join(file.name for file in files)
                raise DataError(f"The data folder {folder} holds {names}. Leave only one of them there.")
            if files:
                return files[0]
    return None


def read_coco(
    folder: str | PathLike[str], *, name: str = "coco", side: int | None = None, announce: Announce | None = None
) -> Dataset:
    """Return a folder in COCO's format as a data set called `name`, to be handed to `zoo.train(dataset=...)`.

    `load(name, data_dir=folder)` does the same without `side`. Arguments and errors are those of `read_coco_folder`.
    """
    return assemble(name, read_coco_folder(Path(folder), announce or (lambda _: None), side=side))


def read_coco_folder(folder: Path, announce: Announce, *, side: int | None = None) -> Parts:
    """Return the images of `folder` with their boxes, and with masks where all objects have them.

    Args:
        folder: laid out as above.
        announce: gets a line of text as it begins, and for what is left out.
        side: of the square that images are resized to, pixels; None: see `zoo.data.annotated.common_size`.

    Raises:
        DataError: a file is missing, damaged or contradicts another; the message names it. Or the decoded images take
            more memory than data sets may.
    """
    halves = {half: _annotations(folder, half) for half in WORDS}
    train, test = halves.values()
    if train.class_names != test.class_names:
        raise DataError(f"{train.file} and {test.file} have other categories. Give both files the same.")
    pictures = train.pictures + test.pictures
    announce(f"Reading {len(pictures):,} images of {folder} ...")
    looked = [_look(picture) for picture in pictures]
    size, channels = common_size({found for found, _ in looked}, side), 1 if all(grey for _, grey in looked) else 3
    _drop_without_area(pictures, announce)
    masked = _have_masks(pictures, announce)
    require_small(len(pictures) * math.prod(size) * (channels + 2 * masked), f"{folder}, decoded,")
    most = max(most_objects([len(one.objects) for one in half.pictures], str(half.file)) for half in halves.values())
    arrays: dict[str, np.ndarray] = {}
    for name, half in halves.items():
        decoded = _decode(half.pictures, size, channels, most, masked)
        arrays |= {f"{name}_{part}": array for part, array in decoded.items()}
    files = {part: str(halves[part.partition("_")[0]].file) for part in arrays}
    return Parts(arrays, f"COCO's format in {folder}", files, train.class_names)


def _annotations(folder: Path, half: str) -> Annotations:
    """Return what the JSON file of one half says, its images found."""
    file = find_annotations(folder, half)
    if file is None:
        wanted = " or ".join(f"annotations/instances_{word}*.json" for word in WORDS[half])
        raise DataError(f"The data folder {folder} has no images to {half} on: it lacks {wanted}. Put it there.")
    stem = file.stem.removeprefix("instances_")
    alike = [path for word in WORDS[half] for path in sorted(folder.glob(f"{word}*"))]
    named = [file.parent, folder / stem, folder / "images" / stem, *alike, folder / "images", folder]
    places = list(dict.fromkeys(path for path in named if path.is_dir()))

    def find(name: str) -> Path:
        for place in places:
            if (place / name).is_file():
                return place / name
        looked = ", ".join(map(str, places))
        raise DataError(f"{file} lists the image {name}, which is in none of {looked}. Put it there.")

    return Annotations.read(file, find)


def _look(picture: Picture) -> tuple[Size, bool]:
    """Return the size of a picture as its annotations see it, and whether it is grey. Reads the file's header only.

    Raises `DataError` if the annotations speak of another size than the file has, upright or as the camera stored it.
    """
    with _opened(picture.path) as image:
        stored = (image.height, image.width)
        if picture.size == (0, 0):
            picture.size = stored
        if picture.size not in (stored, stored[::-1] if _lies_on_its_side(image) else stored):
            raise DataError(
                f"{picture.path} is {image.width}x{image.height} pixels large, but its annotations speak of "
                f"{picture.size[1]}x{picture.size[0]}. Bring back the image that was annotated, or correct the JSON."
            )
        if image.mode.startswith(DEEP):
            raise DataError(f"{picture.path} has more than 8 bits per pixel and channel. Save it with 8.")
        return picture.size, image.mode in GREY


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as image:
            yield image
    except DataError:
        raise
    except Exception as error:  # Pillow's decoders raise a dozen different types on damaged files
        reason = str(error).strip() or type(error).__name__
        raise DataError(f"{path} cannot be read as an image ({reason}). Save it again as PNG or JPEG.") from error


def _lies_on_its_side(image: Image.Image) -> bool:
    """Whether the camera noted (EXIF) that the picture is to be turned by a quarter."""
    return image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)


def _drop_without_area(pictures: list[Picture], announce: Announce) -> None:
    """Leave out objects of whose box nothing is left inside the image: nobody could find them."""
    dropped = 0
    for picture in pictures:
        rows = picture.rows()
        sound = np.flatnonzero((rows[:, 3:] > rows[:, 1:3]).all(axis=1))
        dropped += len(rows) - len(sound)
        picture.objects = [picture.objects[row] for row in sound]
    if dropped:
        announce(f"{dropped:,} boxes have no area inside their image, and are left out.")


def _have_masks(pictures: list[Picture], announce: Announce) -> bool:
    """Whether all objects have a segmentation. Where only some have one there are no masks, and that is announced."""
    marked = [bool(each.segmentation) for picture in pictures for each in picture.objects]
    if any(marked) and not all(marked):
        announce(f"{marked.count(False):,} of {len(marked):,} objects have no segmentation: there are boxes, no masks.")
    return bool(marked) and all(marked)


def _decode(pictures: list[Picture], size: Size, channels: int, most: int, masked: bool) -> dict[str, np.ndarray]:
    """Return the arrays of one half: images, labels, boxes, and masks and instances if there are any."""
    images = np.empty((len(pictures), *size, channels), np.uint8)
    for row, picture in zip(images, pictures, strict=True):
        with _opened(picture.path) as image:
            row[:] = resized(_plain(image, picture.size, "L" if channels == 1 else "RGB"), size)
    boxes = padded([picture.rows() for picture in pictures], most)
    arrays = {"images": images, "labels": np.array([len(picture.objects) for picture in pictures]), "boxes": boxes}
    if not masked:
        return arrays
    instances = np.stack([_instances(picture, size) for picture in pictures])
    classes = np.concatenate([np.zeros((len(boxes), 1)), boxes[..., 0] + 1], axis=1).astype(np.uint8)
    masks = classes[np.arange(len(classes))[:, None, None], instances]
    return arrays | {"masks": masks, "instances": instances}


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
