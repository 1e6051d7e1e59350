"""Reads the user's own images, a file or a folder in any supported format.

Each format has a module in this folder, whose `Format` is found by scanning: to add one, add a file. For unsupported
files the error says how to convert them.
"""

from __future__ import annotations

from pathlib import Path

from zoo.data.dataset import Names, RawArrays
from zoo.data.formats.found import Format, Found
from zoo.data.progress import Announce, say_nothing
from zoo.data.scanning import values_in
from zoo.errors import DataError

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
    single arrays, and IDX files in folders below it: the `order` of their formats. What is there in another form than
    zoo's own is converted where it can be meant in one way only (`zoo.data.formats.found`).

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
        found = _read(path, name, tell)
    except OSError as error:
        raise DataError(f"{error.filename or path} cannot be read ({error.strerror or error}). Check it.") from error
    return found.understood(class_names, tell) if isinstance(found, Found) else found


def _read(path: Path, name: str, announce: Announce) -> RawArrays:
    formats = sorted(values_in("zoo.data.formats", Format), key=lambda each: each.order)
    is_read = ", or ".join(each.what for each in formats if each.what)
    if not path.is_file() and not path.is_dir():
        raise DataError(f"The data folder {path} does not exist. Give a folder with {is_read}.")
    for each in formats:
        found = each.read(path, name, announce)
        if found is not None:
            return found
    if path.is_file():
        raise DataError(f"The data file {path} is not an .npz file. {_way_out(path, is_read)}")
    content = "is empty" if not any(path.iterdir()) else "holds no file of a name that is read"
    raise DataError(f"The data folder {path} {content}. Put there {is_read}.")


def _way_out(file: Path, is_read: str) -> str:
    """Say how a file that is not read becomes one that is."""
    suffix = file.suffix.lower()
    if suffix in PACKED:
        return "Unpack it, and give what was in it."
    line = CONVERSIONS.get(ALIKE.get(suffix, suffix))
    if line:
        return (
            f"Convert it in Python, with the names that your arrays have: {line.format(path=str(file))}; "
            "import numpy as np; np.savez('own.npz', x_train=x, y_train=y)."
        )
    return f"Give one, or a folder with {is_read}."
