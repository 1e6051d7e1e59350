"""Normalises the values in a COCO file, which tools write in different ways.

COCO's own files have integers for ids, sizes and flags, and lists of numbers. Exporters also write 1.0, "1", true, or a
list as one string. Only this module deals with that. Values that were converted or missing are counted, so that one
line can report them.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from zoo.errors import DataError

Identity = int | str
WHOLE = re.compile(r"(-?(?:0|[1-9][0-9]{0,17}))(?:\.0*)?")  # no leading zeros: as names of their own, 01 is not 1
WORDS = {"true": True, "false": False, "yes": True, "no": False, "": False}
AS_TEXT = "ids, sizes, flags or boxes are written in another form, as 1.0 or text"


def whole(value: Any) -> int | None:
    """Return the whole number that this is, as in 1, 1.0, "1" or "1.0"; None where it is none."""
    if isinstance(value, str) and (match := WHOLE.fullmatch(value.strip())):
        return int(match[1])
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def numbers(value: Any) -> list[float] | None:
    """Return a list of finite numbers, each of them or all of it written as text too; None where it is none."""
    value = unpacked(value)
    if not isinstance(value, list) or not all(map(_may_be_number, value)):
        return None
    try:
        found = [float(each) for each in value]
    except (ValueError, OverflowError):
        return None
    return found if all(map(math.isfinite, found)) else None


def _may_be_number(value: Any) -> bool:
    return isinstance(value, int | float | str) and not isinstance(value, bool)


def unpacked(value: Any) -> Any:
    """Return a list or an object that was written as text, as tables of data have it; anything else as it is."""
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def segmentation_of(value: Any) -> Any:
    """Return a segmentation, its polygons in a list even if there is but one; None where nothing is marked."""
    value = unpacked(value)
    if isinstance(value, list):
        value = [value] if numbers(value) else [polygon for polygon in value if polygon not in ([], None)]
    return value or None


@dataclass(frozen=True)
class Row:
    """One object of a COCO file: an image, a category or an annotation.

    `where` names it, for errors; `notes` counts what was read in another form than COCO's.
    """

    values: dict[str, Any]
    where: str
    notes: Counter[str] = field(repr=False)

    @classmethod
    def of(cls, value: Any, where: str, notes: Counter[str]) -> Row:
        """Return `value` as a row. Raises `DataError` if it has no keys."""
        if not isinstance(value, dict):
            raise DataError(
                f"{where} has the id None: it is {short(value)}, where COCO's format has an object. Correct it."
            )
        return cls(value, where, notes)

    def identity(self, key: str) -> Identity:
        """Return an id: a whole number, or a text that is none. Raises `DataError` for anything else."""
        value = self.values.get(key)
        found = self._whole(key)
        if found is not None:
            return found
        if isinstance(value, str) and value.strip():
            return value.strip()
        raise self.wrong(key, "a whole number or a text")

    def size(self, key: str) -> int:
        """Return a length in pixels, 0 where it is not given. Raises `DataError` if it is none."""
        found = self._whole(key) if self.values.get(key) not in (None, "") else 0
        if found is None or found < 0:
            raise self.wrong(key, "a whole number of pixels")
        return found

    def flag(self, key: str) -> bool:
        """Return a mark: 0 or 1, as text too, true or false; not set where it is not given. Raises `DataError`."""
        value = self.values.get(key)
        if value is None:
            return False
        word = str(value).strip().lower()
        number = whole(value)
        if number not in (0, 1) and word not in WORDS:
            raise self.wrong(key, "0 or 1")
        self.notes[AS_TEXT] += not isinstance(value, int) or isinstance(value, bool)
        return WORDS[word] if number is None else bool(number)

    def text(self, key: str) -> str:
        """Return a name; a number is one too. Raises `DataError` if it is empty or none."""
        value = self.values.get(key)
        number = None if isinstance(value, str) else whole(value)
        name = value if number is None else str(number)
        if not isinstance(name, str) or not name.strip():
            raise self.wrong(key, "a text")
        return name

    def numbers(self, key: str) -> list[float] | None:
        """Return a list of numbers, or None where it is something else."""
        value = self.values.get(key)
        found = numbers(value)
        parts = value if isinstance(value, list) else [value]
        self.notes[AS_TEXT] += found is not None and any(isinstance(each, str) for each in parts)
        return found

    def wrong(self, key: str, rule: str) -> DataError:
        """Return the error that says what this row has there, and what COCO's format has."""
        value = short(self.values.get(key))
        return DataError(
            f"{self.where} has the {key} {value}, where COCO's format has another value: {rule}. Correct it."
        )

    def _whole(self, key: str) -> int | None:
        value = self.values.get(key)
        found = whole(value)
        self.notes[AS_TEXT] += found is not None and not isinstance(value, int)
        return found


def short(value: Any) -> str:
    """Return a value as it would be typed, cut off where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
