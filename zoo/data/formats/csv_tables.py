"""Reads images from CSV files with a label and the pixels of one image in each row, like Kaggle's MNIST.

    label,pixel0,pixel1, ...        or no header at all
    7,0,0, ...

The label column is found by its name; otherwise it is the first or the last, whichever holds consecutive integers from
0 or 1, or text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from zoo.data.dataset import require_small
from zoo.data.formats.found import Format, Found, letters
from zoo.data.progress import Announce
from zoo.errors import DataError

LABEL_NAMES = {"label", "labels", "class", "classes", "target", "targets", "category", "digit", "letter", "y"}
INDEX_NAMES = {"", "id", "index", "unnamed0", "imageid", "rowid"}
WORDS = {"train": ("train", "training"), "test": ("test", "t10k"), "validation": ("val", "valid", "validation")}
ENDS = (".csv", ".tsv")
LONGEST = 1 << 22  # characters of a line that are looked at: a million pixels take as many


@dataclass(frozen=True)
class _Form:
    """How a table is laid out: what divides its columns, whether it has a header, and which columns are what."""

    path: Path
    delimiter: str
    header: tuple[str, ...] | None
    columns: int
    label: int | None = None
    index: int | None = None

    @property
    def pixels(self) -> list[int]:
        """The columns that hold pixels."""
        return [column for column in range(self.columns) if column not in (self.label, self.index)]


def _read_path(path: Path, name: str, _announce: Announce) -> Found | None:
    if path.is_file():
        return read_tables({"train": path}, str(path)) if path.suffix.lower() in ENDS else None
    tables = find_tables(path, name)
    return read_tables(tables, f"{', '.join(file.name for file in tables.values())} in {path}") if tables else None


def find_tables(folder: Path, name: str) -> dict[str, Path]:
    """Return the tables of `folder` by what they are for: "train", "test", "validation".

    Of several sets, as EMNIST has them, the one whose files bear `name` is taken; a single table is "train", whatever
    its name. Raises `DataError` where more than one would do.
    """
    tables = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDS and path.is_file())
    found: dict[str, list[Path]] = {side: [] for side in WORDS}
    for path in tables:
        words = set(re.findall(r"[a-z0-9]+", path.stem.lower()))
        for side, known in WORDS.items():
            if words & set(known):
                found[side].append(path)
    if not found["train"] and len(tables) == 1:
        found = {"train": tables}
    return {side: _the_one(paths, name, folder) for side, paths in found.items() if paths} if found["train"] else {}


def _the_one(paths: list[Path], name: str, folder: Path) -> Path:
    named = [path for path in paths if letters(name) in letters(path.stem)]
    if len(paths) > 1 and len(named) != 1:
        listed = " and ".join(path.name for path in paths)
        raise DataError(
            f"The data folder {folder} holds {listed}. Leave only one of them there, or choose by the data set's name: "
            f"--dataset {re.sub('[-_]?(train|test|val).*', '', paths[0].stem) or 'NAME'}."
        )
    return (named if len(paths) > 1 else paths)[0]


def read_tables(files: dict[str, Path], origin: str) -> Found:
    """Return the labels and pixels of one table per side. Raises `DataError`, naming a bad one and its row."""
    arrays: dict[str, np.ndarray] = {}
    train = _with_label(_form(files["train"]))
    for side, path in files.items():
        form = train if side == "train" else _like(train, _form(path))
        arrays[f"{side}_images"], labels = _read(form)
        if labels is not None:
            arrays[f"{side}_labels"] = labels
    names = {key: str(files[key.partition("_")[0]]) for key in arrays}
    is_transposed = files["train"].name.lower().startswith("emnist")
    return Found(arrays, origin, names, transposed=is_transposed, notes=(_said(train),))


def _form(path: Path) -> _Form:
    """Look at the first rows of a table. Raises `DataError` where it is none."""
    require_small(path.stat().st_size, str(path))
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        lines = [line for _ in range(3) if (line := file.readline(LONGEST)).strip()]
    if not lines or "\0" in lines[0]:
        raise DataError(
            f"{path} is {'no table' if lines else 'empty'}. Give a CSV file: a label and pixels in each row."
        )
    delimiter = max(",;\t", key=lines[-1].count)
    first = tuple(cell.strip(' "') for cell in lines[0].strip().split(delimiter))
    form = _Form(path, delimiter, first if _is_header(first) else None, len(first))
    if len(first) < 5 or (form.header is None and sum(not _is_number(cell) for cell in first) > 1):
        raise DataError(
            f"{path} has the columns {', '.join(cell[:30] for cell in first[:6])}. A row must hold a label and all "
            "pixels of one image, as numbers. Where it names picture files, put these into arrays: "
            "np.savez('own.npz', x_train=..., y_train=...)."
        )
    if form.header is None:
        return form
    names = [letters(cell) for cell in first]
    label = next((number for number, cell in enumerate(names) if cell in LABEL_NAMES), None)
    index = next((n for n, cell in enumerate(names) if cell in INDEX_NAMES and not _is_number(first[n])), None)
    return replace(form, label=label, index=index)


def _with_label(form: _Form) -> _Form:
    """Return the form of the training images with its label's column. Raises `DataError` where there is none."""
    if form.label is None and form.index is None and not _is_square(form.columns):
        form = replace(form, label=_label_by_content(form))
    if form.label is None:
        raise DataError(
            f"{form.path} holds {form.columns} columns and no label among them. Add a column called label; "
            "or give the table that has one."
        )
    return form


def _like(train: _Form, form: _Form) -> _Form:
    """Return the form of further images: their label, if they have one, stands where the training images have it."""
    is_alike = form.header is None and form.columns == train.columns
    return replace(form, label=train.label, index=train.index) if is_alike else form


def _is_header(cells: tuple[str, ...]) -> bool:
    """Names; or numbers that count the columns, as pandas writes them."""
    if (
        any(cell.lower() in LABEL_NAMES for cell in cells)
        or sum(not _is_number(cell) for cell in cells) > len(cells) / 2
    ):
        return True
    counted = [cell for cell in cells if cell.isdecimal()]
    return len(counted) > 4 and counted == [str(int(counted[0]) + step) for step in range(len(counted))]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _is_square(count: int) -> bool:
    return round(count**0.5) ** 2 == count


def _label_by_content(form: _Form) -> int:
    """Return which of the first and the last column holds labels. Raises `DataError` unless exactly one does."""
    ends = (0, form.columns - 1)
    fit = [column for column, cells in zip(ends, _load(form, list(ends), str).T, strict=True) if _are_labels(cells)]
    if len(fit) == 1:
        return fit[0]
    what = "both hold" if fit else "neither holds"
    raise DataError(
        f"{form.path} does not say which column is the label: of the first and the last {what} whole numbers from 0 "
        "or 1 up. Name it in a first line: label,pixel0,pixel1,..."
    )


def _are_labels(cells: np.ndarray) -> bool:
    present = set(cells.tolist())
    if not all(_is_number(cell) for cell in present):
        return True
    numbers = sorted(map(float, present))
    begins = numbers[0]
    return (
        begins in (0, 1) and 1 < len(numbers) <= len(cells) / 2 and numbers == [begins + n for n in range(len(numbers))]
    )


def _said(train: _Form) -> str:
    assert train.label is not None
    name = f"'{train.header[train.label]}'" if train.header else str(train.label + 1)
    return f"column {name} of {train.path.name} is the label"


def _read(form: _Form) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the pixels (N, D), uint8 where all are such, and the labels as text."""
    try:
        pixels = _load(form, form.pixels, np.uint8)
    except DataError:
        pixels = _load(form, form.pixels, np.float32)
        if (pixels == np.rint(pixels)).all() and np.abs(pixels).max() < 2**24:
            pixels = pixels.astype(np.int32)
    labels = None if form.label is None else _load(form, [form.label], str)[:, 0]
    return pixels, labels


def _load(form: _Form, columns: list[int], dtype: type) -> np.ndarray:
    """Return some columns, (N, len(columns)). Raises `DataError` with the row where it cannot be read."""
    try:
        return np.loadtxt(
            form.path,
            dtype=dtype,
            delimiter=form.delimiter,
            skiprows=int(form.header is not None),
            usecols=columns if len(columns) < form.columns else None,
            quotechar='"',
            comments=None,
            encoding="utf-8-sig",
            ndmin=2,
        )
    except (OSError, ValueError, MemoryError) as error:
        reason = str(error).partition("; use")[0].rstrip(".")
        raise DataError(
            f"{form.path} cannot be read as a table ({reason}). Every row needs a label and as many numbers as the "
            "others."
        ) from error


TABLES = Format(40, _read_path, "train.csv and test.csv with a label and the pixels of an image per row")
