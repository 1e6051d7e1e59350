"""Reads a JSON file in COCO's format: the list of images and their annotations."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from zoo.data.formats.annotated import MOST, Size
from zoo.data.formats.coco_values import Identity, Row, numbers, segmentation_of, short
from zoo.errors import DataError

LISTS = ("images", "annotations", "categories")
TEST_EVERY = 5  # of the images of a file that covers all, one in so many is kept to test on
CROWDS = "crowds (iscrowd) are left out, since they mark no one object"
OUTLINED = "boxes are missing, and are taken from their polygons"
OUTSIDE = "boxes have no area inside their image, and are left out"
CUT_OFF = "boxes reach beyond their image, and are cut off at its edge"
ROUNDING = 1.0  # pixels
NAMESAKES = "categories have the name of another one, and are told apart by their ids"


@dataclass(frozen=True)
class Marked:
    """One object that is marked in an image: `edges` are top, left, bottom and right in pixels of the file."""

    label: int
    edges: tuple[float, float, float, float]
    segmentation: Any
    where: str


@dataclass(frozen=True)
class Picture:
    """One image file; `size` holds a 0 where the JSON does not say it, until the file is looked at."""

    path: Path
    size: Size
    objects: tuple[Marked, ...] = ()

    def rows(self) -> np.ndarray:
        """Return the objects as float32 (m, 5), edges as shares of the sides, cut off where the image ends."""
        rows = np.array([(each.label, *each.edges) for each in self.objects], np.float32).reshape(-1, 5)
        rows[:, 1:] = np.clip(rows[:, 1:] / (self.size * 2), 0, 1)
        return rows

    def inside(self, notes: Counter[str]) -> Picture:
        """Return this without the objects of whose box nothing is inside the image: nobody could find them.

        Notes how many these are, and of how many a part lies outside.
        """
        rows = self.rows()
        inside = tuple(self.objects[row] for row in np.flatnonzero((rows[:, 3:] > rows[:, 1:3]).all(axis=1)))
        notes[OUTSIDE] += len(rows) - len(inside)
        notes[CUT_OFF] += sum(not self.holds(each) for each in inside)
        return replace(self, objects=inside)

    def holds(self, one: Marked) -> bool:
        """Whether a box lies inside the image, but for what rounding does."""
        (top, left, bottom, right), (height, width) = one.edges, self.size
        return min(top, left) >= -ROUNDING and bottom <= height + ROUNDING and right <= width + ROUNDING


@dataclass(frozen=True)
class Annotations:
    """What one JSON file says. Categories are classes in the order of their ids; crowds are left out.

    `notes` counts what was left out or read in another form than COCO's, by what is said behind the number.
    """

    file: Path
    class_names: tuple[str, ...]
    pictures: tuple[Picture, ...]
    notes: Counter[str]

    @classmethod
    def read(cls, file: Path, find: Callable[[Sequence[str]], list[Path]]) -> Annotations:
        """Return what `file` says.

        Args:
            file: in COCO's format.
            find: returns where the images of those names lie, or raises `DataError`.

        Raises:
            DataError: it cannot be read, or contradicts itself; the message names it.
        """
        document, notes = _load(file), Counter[str]()
        names = _categories(document["categories"], file, notes)
        images = _images(document["images"], file, notes)
        marked = _marked(document["annotations"], list(images), list(names), file, notes)
        _require_pixels([each for objects in marked.values() for each in objects], file)
        paths = find([name for name, _ in images.values()])
        pictures = [
            Picture(path, size, tuple(marked[number]))
            for path, (number, (_, size)) in zip(paths, images.items(), strict=True)
        ]
        return cls(file, tuple(names.values()), tuple(pictures), notes)

    def divided(self) -> tuple[Annotations, Annotations]:
        """Return a file that covers all images as two, to train and to test on: one image in five is for testing.

        Which ones is a rule, not a draw: those whose names have the smallest SHA-256, of the images in which something
        is marked and of the others. So a further image moves few of the others, if any. Raises `DataError` where fewer
        than two images have objects.
        """
        ranked = sorted(self.pictures, key=_rank)
        having, blank = ([one for one in ranked if bool(one.objects) is marked] for marked in (True, False))
        if len(having) < 2:
            raise DataError(
                f"{self.file} marks objects in {len(having)} of its images. Two are needed, one to train and one to "
                "test on."
            )
        kept = having[: max(1, len(having) // TEST_EVERY)] + blank[: len(blank) // TEST_EVERY]
        paths = {one.path for one in kept}
        train, test = (tuple(one for one in self.pictures if (one.path in paths) is tested) for tested in (False, True))
        return replace(self, pictures=train), replace(self, pictures=test, notes=Counter())

    def with_classes_of(self, other: Annotations) -> Annotations:
        """Return this with the classes of `other`, matched by their names.

        Raises `DataError` if there is one that the other file does not have.
        """
        if unknown := [name for name in self.class_names if name not in other.class_names]:
            raise DataError(
                f"{other.file} and {self.file} have other categories: only the latter has "
                f"{', '.join(map(repr, unknown[:3]))}{' ...' if len(unknown) > 3 else ''}. Give both files the same."
            )
        if self.class_names == other.class_names:
            return self
        labels = [other.class_names.index(name) for name in self.class_names]
        pictures = (
            replace(one, objects=tuple(replace(each, label=labels[each.label]) for each in one.objects))
            for one in self.pictures
        )
        notes = self.notes + Counter({f"categories are matched with those of {other.file.name} by name": len(labels)})
        return replace(self, class_names=other.class_names, pictures=tuple(pictures), notes=notes)


def _rank(picture: Picture) -> tuple[bytes, Path]:
    return hashlib.sha256(os.fsencode(picture.path.name)).digest(), picture.path


def _load(file: Path) -> dict[str, list[Any]]:
    """Return the document in a file of any of JSON's encodings, with a mark of it at the beginning or without."""
    try:
        content = file.read_bytes()
        document = json.loads(content)
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror or error}). Check the file.") from error
    except (ValueError, RecursionError) as error:
        what = f"is not valid JSON ({error})" if content.strip() else "is empty"
        raise DataError(f"{file} {what}. Export it again, as COCO detection, in UTF-8.") from error
    for key in LISTS:
        if not isinstance(document, dict) or not isinstance(document.get(key), list):
            raise DataError(f"{file} has no list of {key}: it is not in COCO's format. Export it as COCO detection.")
    return document


def _categories(values: list[Any], file: Path, notes: Counter[str]) -> dict[Identity, str]:
    """Return the names of the categories by their ids, in the order of the ids."""
    rows = [Row.of(value, f"a category in {file}", notes) for value in values]
    names = {row.identity("id"): row.text("name") for row in rows}
    if len(names) < len(rows):
        raise DataError(f"{file} has two categories with one id. Give each an id of its own.")
    if not 1 <= len(names) <= MOST:
        raise DataError(f"{file} has {len(names)} categories. There must be 1 to {MOST}.")
    told_apart: dict[Identity, str] = {}
    for number in sorted(names, key=lambda number: (isinstance(number, str), number)):
        is_taken = names[number] in told_apart.values()
        told_apart[number] = f"{names[number]} ({number})" if is_taken else names[number]
        notes[NAMESAKES] += is_taken
    return told_apart


def _images(values: list[Any], file: Path, notes: Counter[str]) -> dict[Identity, tuple[str, Size]]:
    """Return the file names and sizes of the images by their ids."""
    images: dict[Identity, tuple[str, Size]] = {}
    for value in values:
        row = Row.of(value, f"an image in {file}", notes)
        number = row.identity("id")
        if number in images:
            raise DataError(f"{file} has two images with the id {number}. Give each an id of its own.")
        row = replace(row, where=f"image {number} in {file}")
        images[number] = row.text("file_name"), (row.size("height"), row.size("width"))
    if not images:
        raise DataError(f"{file} lists no images. There must be at least one.")
    return images


def _marked(
    values: list[Any], images: list[Identity], categories: list[Identity], file: Path, notes: Counter[str]
) -> dict[Identity, list[Marked]]:
    """Return the objects of each image."""
    marked: dict[Identity, list[Marked]] = {number: [] for number in images}
    labels = {number: label for label, number in enumerate(categories)}
    strays: list[str] = []
    for place, value in enumerate(values, start=1):
        row = Row.of(value, f"an annotation in {file}", notes)
        number = row.values.get("id")
        called = f"annotation {number}" if number is not None else f"annotation number {place} (without an id)"
        row = replace(row, where=f"{called} in {file}")
        image, category = row.identity("image_id"), row.identity("category_id")
        if image not in marked or category not in labels:
            strays.append(f"{row.where} is of the {_unlisted(image, category, marked)}, which the file does not list")
        elif row.flag("iscrowd"):
            notes[CROWDS] += 1
        else:
            segmentation = segmentation_of(row.values.get("segmentation"))
            marked[image].append(Marked(labels[category], _edges(row, segmentation), segmentation, row.where))
    if strays:
        others = f"; {len(strays) - 1:,} more annotations are like it" if len(strays) > 1 else ""
        raise DataError(f"{strays[0]}{others}. Add it, or remove the annotation.")
    return marked


def _unlisted(image: Identity, category: Identity, known: Collection[Identity]) -> str:
    return f"category {category}" if image in known else f"image {image}"


def _edges(row: Row, segmentation: Any) -> tuple[float, float, float, float]:
    """Return top, left, bottom and right; where there is no box but polygons, theirs."""
    if row.values.get("bbox") in (None, [], "") and isinstance(segmentation, list):
        outlines = [
            np.reshape(corners, (-1, 2)) for corners in map(numbers, segmentation) if corners and not len(corners) % 2
        ]
        if len(outlines) == len(segmentation):
            row.notes[OUTLINED] += 1
            (left, top), (right, bottom) = (edge(np.concatenate(outlines), axis=0) for edge in (np.min, np.max))
            return float(top), float(left), float(bottom), float(right)
    box = row.numbers("bbox")
    if box is None or len(box) != 4:
        what = short(row.values.get("bbox"))
        raise DataError(f"{row.where} has the bbox {what}. It must be left, top, width and height in pixels.")
    left, top, width, height = box
    return top, left, top + height, left + width


def _require_pixels(objects: list[Marked], file: Path) -> None:
    """Refuse boxes that are shares of the sides: read as pixels, all of them would lie in the first one."""
    edges = np.array([each.edges for each in objects])
    if edges.any() and edges.min() >= 0 and edges.max() <= 1:
        raise DataError(
            f"{file} has no bbox that reaches beyond the first pixel: they seem to be shares of the image's sides. "
            "Multiply them by width and height; COCO's format has pixels."
        )
