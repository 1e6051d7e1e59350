"""Reads a folder in COCO's format: images, and JSON files with their annotations.

    annotations/instances_train2017.json   what is in the images to train on; or train.json
    annotations/instances_val2017.json     in the images to test on; or val.json, test.json
    train2017/, val2017/ or images/        the images

So T.-Y. Lin et al. laid out their own ("Microsoft COCO: Common Objects in Context", 2014). As Roboflow exports them,
train/_annotations.coco.json and valid/ or test/, with the images beside each file, they are read too, and so is any one
JSON file that is called after its half or lies in a folder that is; `coco_files` has the list. Where there are
both, test images come before validation images. One file that covers all images (CVAT's instances_default.json, Label
Studio's result.json, annotations.json) is divided: a fifth of its images is kept to test on. Which ones depends on
their names alone, so frames of one video would be in both halves: divide those yourself, into two files.

Categories become classes, in the order of their ids in the training file; those of the other file are matched by name.
Annotations of crowds (`iscrowd`) are left out, since they mark no one object; so are boxes of which nothing lies inside
the image, and what reaches beyond it is cut off. Images in which nothing is marked are kept. Where every object has a
segmentation there are masks; where two objects overlap, the smaller is seen. What tools write otherwise than COCO does
is read where it has one meaning (`coco_values`). Whatever is left out, cut off or read so is announced.

Boxes are in pixels of the image as it is stored: COCO's own tools take no notice of the turn that a camera has noted
(EXIF). Only where the JSON's width and height are those of the turned image, its author's tool did, and so does zoo;
TIFF files, which Pillow turns by itself, are seen turned. Width and height that are swapped without such a note are
those of the file, if every box fits into that.

The cache keeps nothing of all this, unless `zoo data prepare NAME --data-dir FOLDER` asks for that; it then keeps boxes
and masks too.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np

from zoo.data.dataset import Dataset, RawArrays, assemble, require_small
from zoo.data.formats.annotated import common_size, most_objects
from zoo.data.formats.coco_files import WORDS, ImageFiles, find_annotations
from zoo.data.formats.coco_json import Annotations, Picture
from zoo.data.formats.coco_pixels import decode, look
from zoo.data.formats.found import Format
from zoo.data.progress import Announce, say_nothing
from zoo.errors import DataError

WANTED = {
    "train": "annotations/instances_train*.json",
    "test": "annotations/instances_val*.json or annotations/instances_test*.json",
}


def read_coco(
    folder: str | PathLike[str], *, name: str = "coco", side: int | None = None, announce: Announce | None = None
) -> Dataset:
    """Return a folder in COCO's format as a data set called `name`, to be handed to `zoo.train(dataset=...)`.

    `load(name, data_dir=folder)` does the same without `side`. Arguments and errors are those of `read_coco_folder`.
    """
    return assemble(name, read_coco_folder(Path(folder), announce or say_nothing, side=side))


def read_coco_folder(folder: Path, announce: Announce, *, side: int | None = None) -> RawArrays:
    """Return the images of `folder` with their boxes, and with masks where all objects have them.

    Args:
        folder: laid out as above.
        announce: gets a line of text as it begins, and for what is left out.
        side: of the square that images are resized to, pixels; None: see `zoo.data.formats.annotated.common_size`.

    Raises:
        DataError: a file is missing, damaged or contradicts another; the message names it. Or the decoded images take
            more memory than data sets may.
    """
    halves = _halves(folder, announce)
    announce(f"Reading {sum(len(half.pictures) for half in halves.values()):,} images of {folder} ...")
    halves, grey = _looked(halves, announce)
    every = [picture for half in halves.values() for picture in half.pictures]
    size, channels = common_size({picture.size for picture in every}, side), 1 if grey else 3
    masked = _have_masks(every, announce)
    require_small(len(every) * math.prod(size) * (channels + 2 * masked), f"{folder}, decoded,")
    most = max(most_objects([len(one.objects) for one in half.pictures], str(half.file)) for half in halves.values())
    arrays: dict[str, np.ndarray] = {}
    for name, half in halves.items():
        decoded = decode(half.pictures, size, channels, most, masked)
        arrays |= {f"{name}_{key}": array for key, array in decoded.items()}
    files = {key: str(halves[key.partition("_")[0]].file) for key in arrays}
    return RawArrays(arrays, f"COCO's format in {folder}", files, halves["train"].class_names)


def _halves(folder: Path, announce: Announce) -> dict[str, Annotations]:
    """Return what there is to train on and to test on, with the same classes."""
    files = {name: find_annotations(folder, name) for name in WORDS}
    found = [file for file in files.values() if file is not None]
    for name, file in files.items():
        if file is None:
            instead = f", or move {found[0]} to {folder / 'annotations.json'}, which is divided" if found else ""
            raise DataError(
                f"The data folder {folder} has no images to {name} on: it lacks {WANTED[name]}. Put it there{instead}."
            )
    if found[0] == found[1]:
        train, test = _annotations(folder, found[0], None).divided()
        announce(
            f"{train.file} covers all images: {len(train.pictures):,} are to train on, {len(test.pictures):,} to test "
            "on, by their names. To choose them, write two files, instances_train.json and instances_val.json."
        )
        return {"train": train, "test": test}
    train, test = (_annotations(folder, file, name) for name, file in zip(files, found, strict=True))
    return {"train": train, "test": test.with_classes_of(train)}


def _annotations(folder: Path, file: Path, half: str | None) -> Annotations:
    """Return what a JSON file says, its images found; what lay elsewhere than their names say is noted."""
    images = ImageFiles(folder, file, half)
    read = Annotations.read(file, images.find)
    if images.moved:
        name, path = next(iter(images.moved.items()))
        lies = str(path.relative_to(folder))
        read.notes[f"images were found by the end of their file_name ({name!r} is {lies!r})"] = len(images.moved)
    return read


def _looked(halves: dict[str, Annotations], announce: Announce) -> tuple[dict[str, Annotations], bool]:
    """Return the halves with the sizes of their images and the objects inside, and whether all images are grey.

    Says in one line for each file what was left out, and what was read in another form than COCO's.
    """
    looked: dict[str, Annotations] = {}
    grey = True
    for name, half in halves.items():
        looks = [look(picture) for picture in half.pictures]
        notes = half.notes + Counter(each.note for each in looks if each.note)
        pictures = [each.picture.inside(notes) for each in looks]
        if said := [f"{count:,} {what}" for what, count in notes.items() if count]:
            announce(f"{half.file}: {'; '.join(said)}.")
        looked[name] = replace(half, pictures=tuple(pictures), notes=notes)
        grey = grey and all(each.is_grey for each in looks)
    return looked, grey


def _have_masks(pictures: list[Picture], announce: Announce) -> bool:
    """Whether all objects have a segmentation. Where only some have one there are no masks, and that is announced."""
    marked = [bool(each.segmentation) for picture in pictures for each in picture.objects]
    if any(marked) and not all(marked):
        announce(f"{marked.count(False):,} of {len(marked):,} objects have no segmentation: there are boxes, no masks.")
    return bool(marked) and all(marked)


def _read(path: Path, _name: str, announce: Announce) -> RawArrays | None:
    is_coco = path.is_dir() and (find_annotations(path, "train") or find_annotations(path, "test"))
    return read_coco_folder(path, announce) if is_coco else None


COCO = Format(
    30,
    _read,
    "annotations/instances_train*.json and annotations/instances_val*.json in COCO's format, or one annotations.json",
)
