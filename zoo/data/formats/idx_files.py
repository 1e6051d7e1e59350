"""Finds IDX files by their usual names: MNIST's four, EMNIST's and QMNIST's, in a folder or its subfolders.

train-images-idx3-ubyte, t10k-labels-idx1-ubyte.gz ...      as published
emnist-letters-train-images-idx3-ubyte.gz ...               EMNIST: Cohen et al., arXiv:1702.05373, 2017
qmnist-train-labels-idx2-int.gz ...                         QMNIST: Yadav, Bottou, arXiv:1905.10498, 2019
MNIST/raw/, FashionMNIST/raw/                               below the root that torchvision is given
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from zoo.data import dataset
from zoo.data.dataset import ARRAYS
from zoo.data.formats.found import Format, Found, letters
from zoo.data.formats.idx import read_idx
from zoo.data.progress import Announce
from zoo.errors import DataError

STEMS = {
    "train_images": ("train-images", "idx3"),
    "train_labels": ("train-labels", "idx1"),
    "test_images": ("t10k-images", "idx3"),
    "test_labels": ("t10k-labels", "idx1"),
}
NAME = re.compile(
    r"(?P<set>(?:.*[-_.])?)(?P<side>train|t10k|test)-(?P<kind>images|labels)[-.]idx\d-(?:ubyte|int)(?P<zipped>\.gz)?"
)
DEPTH = 2  # folders below the one that was named: MNIST/raw


def _read_here(path: Path, name: str, _announce: Announce) -> Found | None:
    if path.is_file() and NAME.fullmatch(path.name):
        raise DataError(
            f"The data file {path} is not an .npz file. It is one of MNIST's four: give the folder that holds them, "
            f"{path.parent}."
        )
    return read_idx_folder(path, name) if path.is_dir() and _sets(path) else None


def _read_below(path: Path, name: str, _announce: Announce) -> Found | None:
    """Read the folder below `path` that holds IDX files.

    Of several the one that is called `name` is taken, as FashionMNIST is for fashion_mnist. Raises `DataError` where
    that leaves a choice.
    """
    folders = [folder for folder in _below(path, DEPTH) if _sets(folder)] if path.is_dir() else []
    if not folders:
        return None
    named = [folder for folder in folders if letters(name) in map(letters, folder.relative_to(path).parts)]
    if len(folders) > 1 and len(named) != 1:
        listed = " and ".join(str(folder) for folder in folders)
        raise DataError(f"There are IDX files in {listed}. Choose one: --data-dir {folders[0]}.")
    folder = (named or folders)[0]
    found = read_idx_folder(folder, name)
    return replace(found, notes=(f"found in {folder.relative_to(path)}", *found.notes))


def read_idx_folder(folder: Path, name: str = "") -> Found:
    """Return the arrays of the four IDX files in `folder`.

    Of several sets, as EMNIST has them, the one called `name` is taken. Raises `DataError` naming a missing or a bad
    file.
    """
    sets = _sets(folder)
    chosen = _chosen(sets, name, folder)
    files = sets.get(chosen, {})
    for key in ARRAYS:
        if key not in files:
            stem, kind = STEMS[key]
            stem = stem.replace("t10k", "test") if chosen else stem
            raise DataError(
                f"The folder {folder} lacks {chosen}{stem}-{kind}-ubyte (or .gz). All four files are needed."
            )
    arrays = {key: read_idx(files[key], most=dataset.LARGEST_BYTES) for key in ARRAYS}
    notes: list[str] = []
    for key in ("train_labels", "test_labels"):
        if arrays[key].ndim == 2:
            arrays[key] = arrays[key][:, 0]
            notes = ["of QMNIST's eight numbers per label the first, the digit, is read"]
    return Found(
        arrays,
        origin=f"{chosen.rstrip('-_.') + ', ' if chosen else ''}IDX files in {folder}",
        files={key: str(files[key]) for key in ARRAYS},
        written=_written(folder / f"{chosen}mapping.txt"),
        transposed=chosen.startswith("emnist"),
        notes=tuple(notes),
    )


def _below(path: Path, depth: int) -> Iterator[Path]:
    for folder in sorted(path.iterdir()) if depth else ():
        if folder.is_dir() and not folder.name.startswith("."):
            yield folder
            yield from _below(folder, depth - 1)


def _sets(folder: Path) -> dict[str, dict[str, Path]]:
    """Return the IDX files in `folder` by what stands before train and test in their names, then by array.

    Where a file is there twice, the unzipped one counts, and then t10k before test.
    """
    sets: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir(), key=lambda path: (path.name.endswith(".gz"), path.name)):
        match = NAME.fullmatch(path.name)
        if match and path.is_file():
            side = "train" if match["side"] == "train" else "test"
            sets.setdefault(match["set"], {}).setdefault(f"{side}_{match['kind']}", path)
    return sets


def _chosen(sets: dict[str, dict[str, Path]], name: str, folder: Path) -> str:
    if "" in sets or not sets:
        return ""
    named = [one for one in sets if letters(name) in (letters(one), letters(one).removeprefix("emnist"))]
    if len(sets) > 1 and len(named) != 1:
        listed = ", ".join(one.rstrip("-_.") for one in sets)
        raise DataError(
            f"The data folder {folder} holds {listed}. Choose one by the data set's name: "
            f"--dataset {next(iter(sets)).rstrip('-_.')}."
        )
    return (named if len(sets) > 1 else list(sets))[0]


def _written(mapping: Path) -> dict[int, str]:
    """Return what EMNIST's labels stand for: each line of its mapping file is a label and its characters' codes."""
    if not mapping.is_file():
        return {}
    try:
        rows = [[int(number) for number in line.split()] for line in mapping.read_text("utf-8").splitlines() if line]
        return {label: "".join(map(chr, codes)) for label, *codes in rows}
    except (OSError, ValueError, OverflowError) as error:
        raise DataError(f"{mapping} cannot be read ({error}). Fetch it again, or take it away.") from error


IDX = Format(
    10,
    _read_here,
    "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte (.gz too)",
)
IDX_BELOW = Format(70, _read_below)
