"""Converts labels to integers from 0: columns, one-hot rows, floats, strings, and numbers that start at 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from zoo.data.dataset import Names
from zoo.errors import DataError

SHOWN = 6  # classes named in a note before it breaks off
MOST_CLASSES = 1 << 20  # numbers beyond are taken for names, such as identities: a network has an output per class


def to_labels(
    labels: Mapping[str, np.ndarray],
    files: Mapping[str, str],
    *,
    class_names: Names | None = None,
    written: Mapping[int, str] | None = None,
) -> tuple[dict[str, np.ndarray], Names | None, list[str]]:
    """Return each array as int64 (N,) counted from 0, the classes' names, and what was done, in words.

    Whole numbers that begin at 0 count the classes. Any others, and texts, are names: the classes are those that occur,
    in order.

    Args:
        labels: one array per side of a data set; all sides share their classes.
        files: where each was read, for errors.
        class_names: of a data set whose classes are known: numbers then count these, and texts are among them.
        written: what a number stands for, where a file beside the labels says so.

    Returns:
        The names are None where the labels count from 0 already, and nothing else is known of them.

    Raises:
        DataError: with what was received, and where there is one, the line of Python that would convert it.
    """
    notes: list[str] = []
    found = {side: _in_a_row(array, files[side]) for side, array in labels.items()}
    columns = {array.shape[1] for array in found.values() if array.ndim == 2}
    if columns:
        found = _from_one_hot(found, files)
        notes += [f"one-hot labels are read as {max(columns)} classes"]
    found = {side: _numbers(array, files[side]) for side, array in found.items()}
    if any(array.dtype.kind == "U" for array in found.values()):
        return _from_texts(found, files, class_names, notes)
    for side, array in found.items():
        if array.min() < 0:
            raise DataError(
                f"{files[side]} holds the label {array.min()}. Labels count from 0 up. If it marks images without a "
                "label, leave these out: x, y = x[y >= 0], y[y >= 0]; if it names a class, add "
                f"{-array.min()} to all labels."
            )
    if class_names is not None or (columns and not written):
        names = class_names or tuple(str(number) for number in range(max(columns)))
        return found, names, notes
    return _counted(found, written or {}, notes)


def _in_a_row(array: np.ndarray, file: str) -> np.ndarray:
    """Return labels as (N,), or as rows (N, K) of what may be one-hot."""
    if array.ndim == 2 and 1 in array.shape:
        array = array.reshape(-1)
    if array.dtype.kind not in "buifUS" or array.size == 0 or array.ndim not in (1, 2):
        raise DataError(
            f"{file} holds {array.dtype} of shape {array.shape}. Labels must be whole numbers, texts or one-hot rows "
            "of shape (N,) or (N, classes), N at least 1."
        )
    return array


def _from_one_hot(labels: Mapping[str, np.ndarray], files: Mapping[str, str]) -> dict[str, np.ndarray]:
    shapes = {side: array.shape for side, array in labels.items()}
    if len({shape[1:] for shape in shapes.values()}) > 1:
        listed = ", ".join(f"{files[side]} {shape}" for side, shape in shapes.items())
        raise DataError(f"Labels have different shapes: {listed}. Give all in one form: y = y.argmax(axis=1) of rows.")
    for side, array in labels.items():
        is_one_hot = (
            array.dtype.kind in "buif" and ((array == 0) | (array == 1)).all() and (array.sum(axis=1) == 1).all()
        )
        if not is_one_hot:
            raise DataError(
                f"{files[side]} holds {array.dtype} rows of shape {array.shape} that are not one-hot, a single 1 in "
                "each. An image has one label here: y = y.argmax(axis=1) keeps the greatest of each row."
            )
    return {side: array.argmax(axis=1) for side, array in labels.items()}


def _numbers(array: np.ndarray, file: str) -> np.ndarray:
    """Return whole numbers as int64, whatever they are kept as, and anything else as text."""
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    if array.dtype.kind == "U":
        array = np.char.strip(array)
        if (array == "").any():
            row = int((array == "").argmax())
            raise DataError(f"{file} has no label in row {row + 1}. Every image needs one: add it, or leave it out.")
        try:
            array = array.astype(np.float64)
        except ValueError:
            return array
    if array.dtype.kind == "f":
        whole = np.isfinite(array) & (array == np.rint(array))
        if not whole.all():
            raise DataError(
                f"{file} holds the label {array[~whole][0]:g}. Labels must be whole numbers, or texts: "
                "y = y.astype(str) makes each value a class of its own."
            )
    return array.astype(np.int64)


def _from_texts(
    labels: Mapping[str, np.ndarray], files: Mapping[str, str], class_names: Names | None, notes: list[str]
) -> tuple[dict[str, np.ndarray], Names, list[str]]:
    texts = {side: array.astype(str) for side, array in labels.items()}
    names = class_names or tuple(np.unique(np.concatenate(list(texts.values()))).tolist())
    numbers = {name: number for number, name in enumerate(names)}
    for side, array in texts.items():
        unknown = sorted(set(array.tolist()) - set(names))
        if unknown:
            raise DataError(
                f"{files[side]} holds the label '{unknown[0]}', and the classes are {_listed(names)}. Give your data a "
                "name of its own: --dataset NAME."
            )
    counted = {side: np.array([numbers[text] for text in array.tolist()], np.int64) for side, array in texts.items()}
    return counted, names, [*notes, f"labels are texts: classes {_listed(names)}"]


def _counted(
    labels: Mapping[str, np.ndarray], written: Mapping[int, str], notes: list[str]
) -> tuple[dict[str, np.ndarray], Names | None, list[str]]:
    """Leave whole numbers that begin at 0; count others from there, so that no class is empty."""
    present = np.unique(np.concatenate(list(labels.values())))
    lowest, highest = int(present[0]), int(present[-1])
    if lowest == 0 and highest < MOST_CLASSES:
        if empty := highest + 1 - len(present):
            notes = [*notes, f"{empty:,} of {highest + 1:,} classes have no image"]
        return dict(labels), tuple(written.get(n, str(n)) for n in range(highest + 1)) if written else None, notes
    names = tuple(written.get(number, str(number)) for number in present.tolist())
    kept = f", named {_listed(names)}" if written else " that keep their numbers as names"
    shown = f"{lowest}..{highest}" if highest - lowest == len(present) - 1 else _listed(present.tolist())
    counted = {side: np.searchsorted(present, array) for side, array in labels.items()}
    return counted, names, [*notes, f"labels {shown} are read as {len(present)} classes{kept}"]


def _listed(names: Sequence[object]) -> str:
    return ", ".join(map(str, names[:SHOWN])) + (" ..." if len(names) > SHOWN else "")
