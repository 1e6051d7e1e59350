"""Reads named arrays: an `.npz` file as written by Keras, MedMNIST and many scripts, or one file per array.

The arrays are recognised by their names: x_train, train_images, trainX, or X and y alone, in any case.
"""

from __future__ import annotations

import math
import re
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from zoo.data.dataset import ARRAYS, require_small
from zoo.data.formats.found import Format, Found
from zoo.data.progress import Announce
from zoo.errors import DataError

SIDES = {
    "train": ("train", "training", "tr", ""),
    "test": ("test", "testing", "te"),
    "validation": ("val", "valid", "validation", "dev"),
}
KINDS = {
    "images": ("x", "images", "image", "imgs", "img", "data", "pixels"),
    "labels": ("y", "labels", "label", "targets", "target", "classes"),
}
KERAS_NAMES = dict(zip(ARRAYS, ("x_train", "y_train", "x_test", "y_test"), strict=True))
UNREADABLE = (OSError, ValueError, EOFError, TypeError, AttributeError, MemoryError, zipfile.BadZipFile, zlib.error)
DENSEST = 1100  # bytes that one compressed byte can unpack to; deflate reaches 1032


def _arrays_by_name() -> dict[str, str]:
    """Return which array each name stands for: letters alone, side before kind and kind before side."""
    return {
        name: f"{side}_{kind}"
        for side, sides in SIDES.items()
        for kind, kinds in KINDS.items()
        for a in sides
        for b in kinds
        for name in (a + b, b + a)
    }


ARRAYS_BY_NAME = _arrays_by_name()


def read_npz(path: Path) -> Found:
    """Return the arrays of the `.npz` file `path`.

    Pickled objects in it are refused, and an array that claims another size than it has, before memory is asked for.
    Raises `DataError`, naming the file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            keys = _keys(members, path)
            for key in keys.values():
                _check_size(archive, members[key], path)
        with np.load(path, allow_pickle=False) as content:
            arrays = {which: content[key] for which, key in keys.items()}
    except DataError:
        raise
    except UNREADABLE as error:
        raise DataError(f"{path} cannot be read as an .npz file ({error}). Fetch it again.") from error
    return Found(arrays, str(path), {which: f"{keys[which]} in {path}" for which in arrays}, notes=_named(keys))


def _read_named(path: Path, name: str, _announce: Announce) -> Found | None:
    """Read an `.npz` file, or the one in a folder that is called after MNIST or the data set."""
    if path.is_file():
        return read_npz(path) if path.suffix.lower() == ".npz" else None
    _, archives = _arrays_and_archives(path)
    return next((read_npz(npz) for npz in (path / "mnist.npz", path / f"{name}.npz") if npz in archives), None)


def _read_others(path: Path, _name: str, _announce: Announce) -> Found | None:
    """Read a folder's files of an array each, or its one `.npz` file. Raises `DataError`, naming what is missing."""
    if not path.is_dir():
        return None
    files, archives = _arrays_and_archives(path)
    if not files:
        return read_npz(archives[0]) if len(archives) == 1 else None
    _check_complete(files, path)
    arrays = {which: _read_array(file) for which, file in files.items()}
    names = ", ".join(file.name for file in files.values())
    return Found(arrays, f"{names} in {path}", {which: str(file) for which, file in files.items()})


def _arrays_and_archives(folder: Path) -> tuple[dict[str, Path], list[Path]]:
    """Return the files of a single array, by which array their names say that they hold, and all other `.npz` files."""
    found = {}
    for path in sorted([*folder.glob("*.npy"), *folder.glob("*.npz")]):
        words = re.findall(r"[a-z]+", path.stem.lower())
        which = ARRAYS_BY_NAME.get("".join(words[-2:])) or ARRAYS_BY_NAME.get(_plain(path.stem))
        if which:
            found[which] = path
    return found, sorted(file for file in folder.glob("*.npz") if file not in found.values())


def _read_array(file: Path) -> np.ndarray:
    try:
        if file.suffix == ".npy":
            return np.load(file, mmap_mode="r", allow_pickle=False)
        with zipfile.ZipFile(file) as archive:
            (member,) = archive.infolist()
            _check_size(archive, member, file)
        with np.load(file, allow_pickle=False) as content:
            return content[content.files[0]]
    except UNREADABLE as error:
        raise DataError(f"{file} cannot be read as one array ({error}). Fetch it again.") from error


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


def _keys(names: Iterable[str], path: Path) -> dict[str, str]:
    """Return the file's name of each array. Raises `DataError` where one is missing, or there twice."""
    found: dict[str, str] = {}
    for name in names:
        which = ARRAYS_BY_NAME.get(_plain(name))
        if which in found:
            raise DataError(f"{path} holds {found[which]} and {name}, which mean the same. Leave one of them in it.")
        if which:
            found[which] = name
    if not found:
        known = ", ".join(list(names)[:8]) or "nothing"
        raise DataError(
            f"{path} lacks x_train, y_train, x_test, y_test; it holds {known}. Name the arrays so: "
            "a = np.load(path); np.savez('own.npz', x_train=a[...], y_train=a[...], x_test=a[...], y_test=a[...])."
        )
    _check_complete(found, path)
    return found


def _check_complete(found: Iterable[str], path: Path) -> None:
    """Raise `DataError` without training images and their labels; test images can be drawn from those."""
    if not {"train_images", "train_labels"} <= set(found):
        missing = ", ".join(name for which, name in KERAS_NAMES.items() if which not in found)
        raise DataError(f"{path} lacks {missing}. It must hold x_train, y_train, x_test and y_test.")


def _named(keys: dict[str, str]) -> tuple[str, ...]:
    """Return a note for names that zoo does not suggest itself."""
    others = [key for which, key in keys.items() if key != KERAS_NAMES.get(which)]
    return (f"read as images and labels: {', '.join(keys.values())}",) if others else ()


def _check_size(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    """Hold what an array's header claims against what the archive holds of it, and against what is read at all."""
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
        begins = file.tell()
    claimed = math.prod(shape) * dtype.itemsize
    if dtype.hasobject:
        return  # refused when it is read, in NumPy's words
    if claimed != member.file_size - begins or member.file_size > (member.compress_size + 1) * DENSEST:
        raise DataError(
            f"{path} is damaged: {member.filename} claims {claimed:,} bytes of {dtype} {shape}, and has "
            f"{member.compress_size:,} in the file. Fetch it again."
        )
    require_small(claimed, f"{member.filename} in {path}")


ARCHIVE = Format(20, _read_named, "an .npz with x_train, y_train, x_test and y_test")
OTHER_ARRAYS = Format(50, _read_others)
