"""Read what the user points at: four IDX files, an `.npz` file with four arrays, or a folder in COCO's format."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from zoo.data.coco_folder import WHAT_COCO_IS, find_annotations, read_coco_folder
from zoo.data.dataset import PARTS, Parts
from zoo.data.idx import read_idx
from zoo.data.progress import Announce
from zoo.errors import DataError

IDX_STEMS = {
    "train_images": ("train-images", "idx3"),
    "train_labels": ("train-labels", "idx1"),
    "test_images": ("t10k-images", "idx3"),
    "test_labels": ("t10k-labels", "idx1"),
}
NPZ_KEYS = {
    "train_images": "x_train",
    "train_labels": "y_train",
    "test_images": "x_test",
    "test_labels": "y_test",
}
WHAT_IS_READ = (
    "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte "
    f"(.gz too), or mnist.npz, or {WHAT_COCO_IS}"
)


def read_user_files(path: Path, name: str, announce: Announce | None = None) -> Parts:
    """Return the arrays at `path`: an `.npz` file, or a folder with four IDX files, with an `.npz` or in COCO's format.

    In a folder, IDX files come before `mnist.npz` and `<name>.npz`, and these before JSON. `announce` gets a line of
    text when something takes time or is left out. Raises `DataError`, naming the culprit, if nothing is there or it
    cannot be read.
    """
    if path.is_file():
        if path.suffix != ".npz":
            raise DataError(f"The data file {path} is not an .npz file. Give one, or a folder with {WHAT_IS_READ}.")
        return read_npz(path)
    if not path.is_dir():
        raise DataError(f"The data folder {path} does not exist. Give a folder with {WHAT_IS_READ}.")
    if any(_idx_file(path, part) for part in PARTS):
        return read_idx_folder(path)
    for npz in (path / "mnist.npz", path / f"{name}.npz"):
        if npz.is_file():
            return read_npz(npz)
    if find_annotations(path, "train") or find_annotations(path, "test"):
        return read_coco_folder(path, announce or (lambda _: None))
    content = "is empty" if not any(path.iterdir()) else "holds no file of a name that is read"
    raise DataError(f"The data folder {path} {content}. Put there {WHAT_IS_READ}.")


def read_idx_folder(folder: Path) -> Parts:
    """Return the arrays of the four IDX files in `folder`. Raises `DataError` naming a missing or bad one."""
    files = {}
    for part, (stem, kind) in IDX_STEMS.items():
        file = _idx_file(folder, part)
        if file is None:
            raise DataError(f"The folder {folder} lacks {stem}-{kind}-ubyte (or .gz). All four files are needed.")
        files[part] = file
    return Parts(
        arrays={part: read_idx(file) for part, file in files.items()},
        origin=f"IDX files in {folder}",
        files={part: str(file) for part, file in files.items()},
    )


def read_npz(path: Path) -> Parts:
    """Return the arrays x_train, y_train, x_test and y_test of the `.npz` file `path`, as Keras keeps MNIST.

    Pickled objects in it are refused. Raises `DataError`, naming the file.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [key for key in NPZ_KEYS.values() if key not in archive]
            if missing:
                raise DataError(f"{path} lacks {', '.join(missing)}. It must hold x_train, y_train, x_test and y_test.")
            arrays = {part: archive[key] for part, key in NPZ_KEYS.items()}
    except DataError:
        raise
    except (
        OSError,
        ValueError,
        EOFError,
        TypeError,
        AttributeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise DataError(f"{path} cannot be read as an .npz file ({error}). Fetch it again.") from error
    return Parts.of_one_file(arrays, file=str(path), origin=str(path))


def _idx_file(folder: Path, part: str) -> Path | None:
    stem, kind = IDX_STEMS[part]
    stems = (stem, stem.replace("t10k", "test"))
    names = [f"{one}{mark}{kind}-ubyte{zipped}" for zipped in ("", ".gz") for one in stems for mark in "-."]
    return next((folder / name for name in names if (folder / name).is_file()), None)
