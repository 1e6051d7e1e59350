"""Read what the user points at: a file or a folder with images in any of the forms that people keep them in.

IDX files, `.npz` and `.npy` arrays, tables of labels and pixels, or a folder in COCO's format: each has a module of its
own, this one decides which it is. For what is not read the error says how to convert it.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

from zoo.data.dataset import RawArrays
from zoo.data.formats.archives import find_arrays, read_arrays, read_npz
from zoo.data.formats.class_labels import Names
from zoo.data.formats.coco_folder import WHAT_COCO_IS, find_annotations, read_coco_folder
from zoo.data.formats.csv_tables import ENDS as TABLES
from zoo.data.formats.csv_tables import find_tables, read_tables
from zoo.data.formats.found import Found
from zoo.data.formats.idx_files import NAME as IDX_NAME
from zoo.data.formats.idx_files import find_idx_folder, read_idx_folder
from zoo.data.progress import Announce, say_nothing
from zoo.errors import DataError

WHAT_IS_READ = (
    "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte "
    "(.gz too), or an .npz with x_train, y_train, x_test and y_test, or train.csv and test.csv with a label and the "
    f"pixels of an image per row, or {WHAT_COCO_IS}"
)
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
LOOKED_AT = 50  # entries of a folder, before it is said to hold no pictures
CONVERSIONS = {
    ".pt": "import torch; x, y = torch.load({path!r})[:2]",
    ".mat": "import scipy.io; a = scipy.io.loadmat({path!r}); x, y = a['images'], a['labels']",
    ".parquet": "import pandas; a = pandas.read_parquet({path!r}); "
    "x, y = a.drop(columns='label').to_numpy(), a['label']",
    ".pkl": "import pickle; x, y = pickle.load(open({path!r}, 'rb'))",
    ".h5": "import h5py; a = h5py.File({path!r}); x, y = a['images'][:], a['labels'][:]",
    ".arff": "import scipy.io.arff, pandas; a = pandas.DataFrame(scipy.io.arff.loadarff({path!r})[0]); "
    "x, y = a.iloc[:, :-1].to_numpy(), a.iloc[:, -1].astype(str)",
    ".npy": "import numpy as np; x, y = np.load({path!r}), np.load('labels.npy')",
}
ALIKE = {".pth": ".pt", ".pickle": ".pkl", ".hdf5": ".h5"}
PACKED = (".zip", ".gz", ".tar", ".tgz", ".bz2", ".xz", ".7z", ".rar")


def read_user_files(
    path: Path, name: str, announce: Announce | None = None, *, class_names: Names | None = None
) -> RawArrays:
    """Return what lies at `path`, images as uint8 and labels as numbers from 0.

    In a folder, IDX files come before `mnist.npz` and `<name>.npz`, these before JSON in COCO's format, then tables,
    single arrays, and IDX files in folders below it. What is there in another form than zoo's own is converted where it
    can be meant in one way only (`zoo.data.formats.found`).

    Args:
        path: a file or a folder.
        name: of the data set; chooses among several in one folder.
        announce: gets a line of text when something takes time, is left out, or was understood and converted.
        class_names: of a data set whose classes are known: labels count or name these.

    Raises:
        DataError: nothing is there, it cannot be read, or it can be meant in several ways; the message names the file
            and the next step.
    """
    tell = announce or say_nothing
    try:
        found = _read_file(path) if path.is_file() else _read_folder(path, name, tell)
    except OSError as error:
        raise DataError(f"{error.filename or path} cannot be read ({error.strerror or error}). Check it.") from error
    return found.understood(class_names, tell) if isinstance(found, Found) else found


def _read_file(path: Path) -> Found:
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return read_npz(path)
    if suffix in TABLES:
        return read_tables({"train": path}, str(path))
    says = f"The data file {path} is not an .npz file"
    if IDX_NAME.fullmatch(path.name):
        raise DataError(f"{says}. It is one of MNIST's four: give the folder that holds them, {path.parent}.")
    if suffix in PACKED:
        raise DataError(f"{says}. Unpack it, and give what was in it.")
    line = CONVERSIONS.get(ALIKE.get(suffix, suffix))
    if line:
        raise DataError(
            f"{says}. Convert it in Python, with the names that your arrays have: {line.format(path=str(path))}; "
            "import numpy as np; np.savez('own.npz', x_train=x, y_train=y)."
        )
    raise DataError(f"{says}. Give one, or a folder with {WHAT_IS_READ}.")


def _read_folder(path: Path, name: str, announce: Announce) -> Found | RawArrays:
    if not path.is_dir():
        raise DataError(f"The data folder {path} does not exist. Give a folder with {WHAT_IS_READ}.")
    if find_idx_folder(path, name, deep=False):
        return read_idx_folder(path, name)
    arrays = find_arrays(path)
    archives = sorted(file for file in path.glob("*.npz") if file not in arrays.values())
    for npz in (path / "mnist.npz", path / f"{name}.npz"):
        if npz in archives:
            return read_npz(npz)
    if find_annotations(path, "train") or find_annotations(path, "test"):
        return read_coco_folder(path, announce)
    if tables := find_tables(path, name):
        return read_tables(tables, f"{', '.join(file.name for file in tables.values())} in {path}")
    if arrays:
        return read_arrays(path)
    if len(archives) == 1:
        return read_npz(archives[0])
    _refuse_pictures(path)
    if folder := find_idx_folder(path, name):
        found = read_idx_folder(folder, name)
        return replace(found, notes=(f"found in {folder.relative_to(path)}", *found.notes))
    content = "is empty" if not any(path.iterdir()) else "holds no file of a name that is read"
    raise DataError(f"The data folder {path} {content}. Put there {WHAT_IS_READ}.")


def _refuse_pictures(path: Path) -> None:
    """Say of pictures in folders, one for each class, how they become arrays."""
    sides = {folder.name.lower(): folder for folder in path.iterdir() if folder.is_dir()}
    train = next((sides[word] for word in ("train", "training") if word in sides), None)
    test = next((sides[word] for word in ("test", "val", "valid", "validation") if word in sides), None)
    classes = [folder.name for folder in sorted((train or path).iterdir()) if _holds_pictures(folder)]
    if not classes and not _holds_pictures(path):
        return
    if not classes:
        raise DataError(
            f"The data folder {path} holds pictures and does not say what they show. Put them into arrays, each with a "
            "label: np.savez('own.npz', x_train=..., y_train=...)."
        )
    halves = {"train": train or path} | ({"test": test} if train and test else {})
    read = "lambda folder: map(np.stack, zip(*keras.utils.image_dataset_from_directory(folder, image_size=(28, 28), "
    read += "color_mode='grayscale', batch_size=None, shuffle=False).as_numpy_iterator()))"
    steps = [f"x_{side}, y_{side} = read({str(folder)!r})" for side, folder in halves.items()]
    named = ", ".join(f"x_{side}=x_{side}, y_{side}=y_{side}" for side in halves)
    raise DataError(
        f"The data folder {path} holds pictures in folders by class ({', '.join(classes[:5])}): such are not read yet. "
        "Put them into arrays, in the size and colours that you want, and give own.npz: "
        f"import keras, numpy as np; read = {read}; {'; '.join(steps)}; np.savez('own.npz', {named})"
    )


def _holds_pictures(folder: Path) -> bool:
    return folder.is_dir() and any(file.suffix.lower() in PICTURES for file in islice(folder.iterdir(), LOOKED_AT))
