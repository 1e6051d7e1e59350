"""Read a JSON file in COCO's format: which images there are, and what is marked in each."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from zoo.data.annotated import MOST, Size
from zoo.errors import DataError

LISTS = ("images", "annotations", "categories")


@dataclass(frozen=True)
class Marked:
    """One object that is marked in an image: `edges` are top, left, bottom and right in pixels of the file."""

    label: int
    edges: tuple[float, float, float, float]
    segmentation: Any
    where: str


@dataclass
class Picture:
    """One image file; `size` is (0, 0) where the JSON does not say it, until the file is looked at."""

    path: Path
    size: Size
    objects: list[Marked] = field(default_factory=list)

    def rows(self) -> np.ndarray:
        """Return the objects as float32 (m, 5), edges as shares of the sides, cut off where the image ends."""
        rows = np.array([(each.label, *each.edges) for each in self.objects], np.float32).reshape(-1, 5)
        rows[:, 1:] = np.clip(rows[:, 1:] / (self.size * 2), 0, 1)
        return rows


@dataclass(frozen=True)
class Annotations:
    """What one JSON file says. Categories are classes in the order of their ids; crowds are left out."""

    file: Path
    class_names: tuple[str, ...]
    pictures: list[Picture]

    @classmethod
    def read(cls, file: Path, find: Callable[[str], Path]) -> Annotations:
        """Return what `file` says.

        Args:
            file: in COCO's format.
            find: returns where the image of that name lies, or raises `DataError`.

        Raises:
            DataError: it cannot be read, or contradicts itself; the message names it.
        """
        document = _load(file)
        names = _categories(document["categories"], file)
        labels = {category: label for label, category in enumerate(names)}
        pictures: dict[int | str, Picture] = {}
        for row in document["images"]:
            number = _value(row, "id", (int, str), f"an image in {file}")
            if number in pictures:
                raise DataError(f"{file} has two images with the id {number}. Give each an id of its own.")
            name = _value(row, "file_name", str, f"image {number} in {file}")
            pictures[number] = Picture(find(name), _size(row, f"image {number} in {file}"))
        if not pictures:
            raise DataError(f"{file} lists no images. There must be at least one.")
        for row in document["annotations"]:
            where = f"annotation {_value(row, 'id', (int, str), f'an annotation in {file}')} in {file}"
            picture = _listed(pictures, _value(row, "image_id", (int, str), where), "image", where)
            label = _listed(labels, _value(row, "category_id", int, where), "category", where)
            if not row.get("iscrowd"):
                picture.objects.append(Marked(label, _edges(row.get("bbox"), where), row.get("segmentation"), where))
        return cls(file, tuple(names.values()), list(pictures.values()))


def _load(file: Path) -> dict[str, list[Any]]:
    try:
        document = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror or error}). Check the file.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is not valid JSON ({error}). Export it again.") from error
    for key in LISTS:
        if not isinstance(document, dict) or not isinstance(document.get(key), list):
            raise DataError(f"{file} has no list of {key}: it is not in COCO's format. Export it as COCO detection.")
    return document


def _categories(rows: list[Any], file: Path) -> dict[int, str]:
    """Return the names of the categories by their ids, in the order of the ids."""
    where = f"a category in {file}"
    names = {_value(row, "id", int, where): _value(row, "name", str, where) for row in rows}
    if len(names) < len(rows):
        raise DataError(f"{file} has two categories with one id. Give each an id of its own.")
    if not 1 <= len(names) <= MOST:
        raise DataError(f"{file} has {len(names)} categories. There must be 1 to {MOST}.")
    return dict(sorted(names.items()))


def _value(row: Any, key: str, kind: type | tuple[type, ...], where: str) -> Any:
    value = row.get(key) if isinstance(row, dict) else None
    if not isinstance(value, kind):
        raise DataError(f"{where} has the {key} {value!r}, where COCO's format has another value. Correct it.")
    return value


def _listed(known: dict[Any, Any], number: int | str, what: str, where: str) -> Any:
    if number not in known:
        raise DataError(f"{where} is of the {what} {number}, which the file does not list. Add it, or remove this one.")
    return known[number]


def _size(row: dict[str, Any], where: str) -> Size:
    if row.get("height") is None and row.get("width") is None:
        return 0, 0
    return _value(row, "height", int, where), _value(row, "width", int, where)


def _edges(box: Any, where: str) -> tuple[float, float, float, float]:
    if not is_numbers(box) or len(box) != 4:
        raise DataError(f"{where} has the bbox {box!r}. It must be left, top, width and height in pixels.")
    left, top, width, height = (float(value) for value in box)
    return top, left, top + height, left + width


def is_numbers(values: Any) -> bool:
    """Whether this is a list of finite numbers."""
    return isinstance(values, list) and all(isinstance(value, int | float) and math.isfinite(value) for value in values)
