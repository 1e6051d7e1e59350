"""Data sets of TensorFlow Datasets (TFDS): those already prepared on this machine, and downloads.

TFDS is not imported until one of its data sets is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import math
import os
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from zoo.data.dataset import RawArrays, require_small, size_of
from zoo.data.progress import fetching
from zoo.data.sources.network import unreachable_because
from zoo.data.sources.source import Job, Source
from zoo.data.sources.tfds_scenes import has_annotations, read_scenes
from zoo.errors import DataError

HOST = "storage.googleapis.com"  # where TFDS keeps its facts about every data set, and MNIST itself
BATCH = 1024


def tfds_folder() -> Path:
    """Return where TFDS keeps prepared data sets: ``TFDS_DATA_DIR``, else ``~/tensorflow_datasets``."""
    override = os.environ.get("TFDS_DATA_DIR")
    return Path(override).expanduser() if override else Path.home() / "tensorflow_datasets"


def prepared_folder(name: str) -> Path | None:
    """Return the folder of `name`'s newest prepared version, or None. Only looks at the disk.

    A data set with configurations has one more folder level, and its name may include one: voc/2007. Without, it is
    found if only one configuration is prepared.
    """
    plain = list((tfds_folder() / name).glob("*/dataset_info.json"))
    with_config = list((tfds_folder() / name).glob("*/*/dataset_info.json"))
    if len({path.parent.parent for path in with_config}) > 1:
        with_config = []
    folders = [path.parent for path in plain or with_config if _version(path.parent)]
    return max(folders, key=_version, default=None)


def installed() -> bool:
    """Return whether TFDS is installed, without importing it."""
    return importlib.util.find_spec("tensorflow_datasets") is not None


def known_names() -> list[str]:
    """Return the names of all data sets that the installed TFDS knows; none where it is not installed.

    Asks no network. Raises `DataError` if TFDS is installed but cannot be imported.
    """
    if not installed():
        return []
    with _library("its list of names") as tensorflow_datasets:
        return list(tensorflow_datasets.list_builders(with_community_datasets=False))


def configurations(name: str) -> tuple[str, ...]:
    """Return the names of the configurations of the data set `name`, which TFDS must know. Asks no network."""
    with _library(name) as tensorflow_datasets:
        return tuple(tensorflow_datasets.builder_cls(name).builder_configs)


def tfds_sources(name: str, *, published_order: bool = False) -> tuple[Source, Source]:
    """Return the sources of `name`: TFDS' own folder, where it was prepared before, and its download into it."""

    def prepared() -> tuple[bool, str]:
        folder = prepared_folder(name)
        return (True, str(folder)) if folder else (False, f"no {tfds_folder() / name}")

    def read(_: Job) -> RawArrays:
        folder = prepared_folder(name)
        if folder is None:
            raise DataError(f"no {tfds_folder() / name}")
        return read_prepared(name, folder, published_order=published_order)

    def downloads() -> tuple[bool, str]:
        known = installed()
        return known, f"needs {HOST}, asked when needed" if known else "tensorflow-datasets is not installed"

    return (
        Source("prepared by TensorFlow Datasets", prepared, read),
        Source("download by TensorFlow Datasets", downloads, partial(download, name, published_order=published_order)),
    )


def read_prepared(name: str, folder: Path, *, published_order: bool = False) -> RawArrays:
    """Return the data set that TFDS prepared in `folder`. Asks no network.

    `published_order` undoes TFDS' shuffle (see `_unshuffled`). Raises `DataError` if it is neither one
    of images, all of one size, with one label each, nor one of scenes (see `tfds_scenes`), or if it is too
    large to hold in memory.
    """
    with _library(name) as tensorflow_datasets:
        return _read(tensorflow_datasets.builder_from_directory(str(folder)), name, published_order)


def download(name: str, job: Job, *, published_order: bool = False) -> RawArrays:
    """Let TFDS fetch and prepare `name`, and return it as `read_prepared` does.

    Raises `DataError` if TFDS knows no such data set and, at once instead of after minutes of retrying, if
    its host cannot be reached.
    """
    if not installed():
        raise DataError("tensorflow-datasets is not installed")
    reason = unreachable_because(HOST)
    if reason:
        raise DataError(reason)
    if name.partition("/")[0] not in known_names():
        raise DataError(f"it knows no '{name}'")
    fetching_it = fetching(f"Fetching {name} with TensorFlow Datasets", None, job.announce)
    with fetching_it, _library(name) as tensorflow_datasets:
        tensorflow_datasets.disable_progress_bar()
        builder = tensorflow_datasets.builder(name, data_dir=str(tfds_folder()))
        if not has_annotations(builder.info):
            _require_images(builder.info, name)
        require_small(builder.info.download_size or 0, f"the download of {name}")
        builder.download_and_prepare()
        return _read(builder, name, published_order)


def _read(builder: Any, name: str, published_order: bool) -> RawArrays:
    train, test = _splits(builder.info, name)
    if has_annotations(builder.info):
        return read_scenes(builder, name, {"train": train, "test": test})
    image_key, label_key = _require_images(builder.info, name)
    arrays: dict[str, np.ndarray] = {}
    for side, split in (("train", train), ("test", test)):
        images, labels = _collect(builder, split, image_key, label_key, name)
        if published_order:
            images, labels = _unshuffled(images, split), _unshuffled(labels, split)
        arrays |= {f"{side}_images": images, f"{side}_labels": labels}
    whole = f"TensorFlow Datasets {builder.info.full_name}"
    return RawArrays.of_one_file(arrays, whole, class_names=tuple(builder.info.features[label_key].names))


def _collect(builder: Any, split: str, image_key: str, label_key: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return all images and labels of `split`, in stored order, filled into one array each."""
    import tensorflow_datasets

    count = builder.info.splits[split].num_examples
    one_shape = None not in builder.info.features[image_key].shape
    stream = builder.as_dataset(split=split, shuffle_files=False).batch(BATCH if one_shape else 1)
    images, labels = np.empty((0,), np.uint8), np.empty((count,), np.int64)
    filled = 0
    for batch in tensorflow_datasets.as_numpy(stream):
        found, more = batch[image_key], batch[label_key]
        if filled == 0:
            require_small(count * math.prod(found.shape[1:]), f"split '{split}' of {name}")
            images = np.empty((count, *found.shape[1:]), found.dtype)
        if found.shape[1:] != images.shape[1:]:
            raise DataError(
                f"Image {filled} in split '{split}' of {name} is {size_of(found)}, the first is "
                f"{size_of(images)}. Images must all have one size; resize them and give them with --data-dir."
            )
        images[filled : filled + len(found)] = found
        labels[filled : filled + len(more)] = more
        filled += len(found)
    return images[:filled], labels[:filled]


def _unshuffled(shuffled: np.ndarray, split: str) -> np.ndarray:
    """Return the examples in the order of the files they were made from.

    TFDS stores examples sorted by md5(split name + key) (tensorflow_datasets/core/hashing.py), and for
    MNIST and Fashion-MNIST the key is the example's number in the published files. The digests tell
    afterwards whether this still holds.
    """
    keys = range(len(shuffled))
    order = sorted(keys, key=lambda key: hashlib.md5(f"{split}{key}".encode(), usedforsecurity=False).digest())
    original = np.empty_like(shuffled)
    original[order] = shuffled
    return original


def _require_images(info: Any, name: str) -> tuple[str, str]:
    """Return the names of the one image and the one class label in each example, or raise `DataError`."""
    import tensorflow_datasets

    features: Mapping[str, Any] = info.features or {}
    images = [key for key, kind in features.items() if isinstance(kind, tensorflow_datasets.features.Image)]
    labels = [key for key, kind in features.items() if isinstance(kind, tensorflow_datasets.features.ClassLabel)]
    # Where there are several, the pair that TFDS itself calls input and target is meant.
    for key in info.supervised_keys or ():
        images = [key] if key in images else images
        labels = [key] if key in labels else labels
    if len(images) != 1 or len(labels) != 1:
        raise DataError(
            f"{name} is not an image-classification dataset: its examples hold "
            f"{', '.join(sorted(features)) or 'nothing'}. One image and one class label are needed, or an image and "
            "objects with boxes."
        )
    return images[0], labels[0]


def _splits(info: Any, name: str) -> tuple[str, str]:
    """Return the split to train on and the one to test on: "test", or "validation" where there is none."""
    held_out = next((split for split in ("test", "validation") if split in info.splits), None)
    if "train" not in info.splits or held_out is None:
        raise DataError(
            f"{name} has the splits {', '.join(info.splits)}. A split 'train' and a 'test' or 'validation' are needed."
        )
    return "train", held_out


def _version(folder: Path) -> tuple[int, ...]:
    numbers = folder.name.split(".")
    return tuple(int(number) for number in numbers) if all(number.isdigit() for number in numbers) else ()


@contextlib.contextmanager
def _library(name: str) -> Iterator[Any]:
    """Import TFDS, and turn whatever it raises into one line. Ctrl-C is no `Exception` and passes.

    What TFDS prints goes to stderr: stdout belongs to results.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            import tensorflow_datasets

            yield tensorflow_datasets
    except DataError:
        raise
    except Exception as error:
        first_line = (str(error).strip().splitlines() or [""])[0]
        raise DataError(f"TensorFlow Datasets could not read {name} ({type(error).__name__}: {first_line})") from error
