"""The manifest of a cached data set, which lists its arrays with shapes and digests.

It also holds a digest of itself, so that damage to a class name is noticed like damage to a pixel.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from zoo.errors import DataError

FILE_NAME = "manifest.json"
SCHEMA = 1


@dataclass(frozen=True)
class ArrayRecord:
    """One stored array. `sha256` is that of its IDX content, header and bytes."""

    dtype: str
    shape: tuple[int, ...]
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The contents of a cache folder. `arrays` maps the name of each array to its record."""

    name: str
    origin: str
    class_names: tuple[str, ...]
    arrays: Mapping[str, ArrayRecord]

    def write(self, folder: Path) -> None:
        """Write the manifest into `folder` and wait until it is on the disk. Raises `OSError`."""
        content = {"schema": SCHEMA, **asdict(self)}
        with (folder / FILE_NAME).open("w", encoding="utf-8") as file:
            json.dump({"content": content, "sha256": _digest(content)}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Return the manifest in `folder`. Raises `DataError`, beginning with its path, if it is damaged."""
        path = folder / FILE_NAME
        try:
            document = json.loads(path.read_text("utf-8"))
            content = document["content"]
            if document["sha256"] != _digest(content):
                raise DataError(f"{path} differs from what was written")
            if content["schema"] != SCHEMA:
                raise DataError(f"{path} has schema {content['schema']}, this zoo reads {SCHEMA}")
            return cls(content["name"], content["origin"], tuple(content["class_names"]), _records(content["arrays"]))
        except FileNotFoundError as error:
            raise DataError(f"{path} is missing") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path} cannot be read ({error})") from error


def record_of(array: np.ndarray, sha256: str) -> ArrayRecord:
    """Return the record of `array`."""
    return ArrayRecord(array.dtype.str, tuple(int(length) for length in array.shape), sha256)


def _records(arrays: Mapping[str, Mapping]) -> dict[str, ArrayRecord]:
    return {
        key: ArrayRecord(record["dtype"], tuple(record["shape"]), record["sha256"]) for key, record in arrays.items()
    }


def _digest(content: Mapping) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
