"""The cache of data sets: decoded arrays on disk, memory-mapped, and verified by hash at every load.

    <cache folder>/mnist/           train_images.npy, train_labels.npy, test_images.npy, test_labels.npy,
                                    manifest.json
    <cache folder>/voc.2007/        the same for voc/2007, with boxes: train_boxes.npy, test_boxes.npy;
                                    here labels are numbers of objects per image. Masks, instances and
                                    validation images likewise, if a data set has them
    <cache folder>/mnist.lock       held while one process fetches; the others wait
    <cache folder>/.staging/mnist/  temporary folder of that process; the next process that takes the
                                    lock removes leftovers

A finished data set is moved into place by one rename, so it is complete or absent. If a process is killed, the system
releases its lock, and at most a staging folder is left over.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo.data.dataset import ARRAYS, Dataset, plain_arrays, split_of
from zoo.data.formats.idx import idx_digest
from zoo.data.formats.npy import map_npy, write_npy
from zoo.data.manifest import FILE_NAME, Manifest, record_of
from zoo.errors import DataError, DigestError


class CacheError(DataError):
    """The cache folder cannot be written: no permission, no space, or no folder."""


@dataclass(frozen=True)
class VerifyRow:
    """The check of one cached file: `found` is its digest, or a description of the damage."""

    file: str
    expected: str
    found: str
    ok: bool


def cache_folder() -> Path:
    """Return the folder that holds all cached data sets: ``ZOO_CACHE``, or the platform's cache folder."""
    override = os.environ.get("ZOO_CACHE")
    if override:
        return Path(override).expanduser().absolute()
    import platformdirs

    return platformdirs.user_cache_path("cnn-zoo")


def entry_folder(name: str) -> Path:
    """Return the folder in which the data set `name` is, or would be, cached."""
    return cache_folder() / _file_name(name)


def cached_names() -> list[str]:
    """Return the names of all data sets in the cache, sorted."""
    return sorted(path.parent.name.replace(".", "/") for path in cache_folder().glob(f"[!.]*/{FILE_NAME}"))


def _file_name(name: str) -> str:
    """Return a data set's name on disk. Names may contain a slash, but no dot."""
    return name.replace("/", ".")


def read(name: str, published: Mapping[str, str]) -> Dataset | None:
    """Return the cached data set `name` after verifying its hashes, or None if it is not cached.

    The digests must match `published`, or, where that has none, those recorded when the data set was written. Images
    are read-only memory maps. Raises `DigestError`, naming the file and the repair, for any damage.
    """
    folder = entry_folder(name)
    if not folder.exists():
        return None
    try:
        manifest = Manifest.read(folder)
        arrays = {key: _verified(folder, key, manifest, published) for key in _array_names(manifest)}
    except DataError as error:
        raise DigestError(
            f"{error}. It will not be used; repair it with: zoo data prepare {name} (or delete {folder})."
        ) from error
    return Dataset(
        name=name,
        train=split_of(arrays, "train"),
        test=split_of(arrays, "test"),
        class_names=manifest.class_names,
        source=f"cache {folder} (from {manifest.origin})",
        digests={key: _expected(key, manifest, published) for key in arrays},
        validation=split_of(arrays, "validation") if "validation_images" in arrays else None,
    )


def verify(name: str, published: Mapping[str, str]) -> list[VerifyRow]:
    """Hash each cached file of `name` and return expected and actual digests.

    Raises `DataError` if nothing is cached under this name.
    """
    folder = entry_folder(name)
    if not folder.exists():
        raise DataError(f"'{name}' is not cached: there is no {folder}. Fetch it with: zoo data prepare {name}.")
    try:
        manifest = Manifest.read(folder)
    except DataError as error:
        return [VerifyRow(FILE_NAME, "a readable manifest", _without_path(error, folder / FILE_NAME), False)]
    return [_verify_row(folder, key, manifest, published) for key in _array_names(manifest)]


@contextmanager
def locked(name: str, announce: Callable[[str], None]) -> Iterator[Path]:
    """Hold the lock of `name` and yield an empty staging folder, removed afterwards.

    Waits, and says so, while another process holds the lock. Raises `CacheError` if the cache folder
    cannot be written.
    """
    import filelock

    with _as_cache_error():
        cache_folder().mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(cache_folder() / f"{_file_name(name)}.lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            announce(f"Another process is preparing {name}; waiting for it ...")
            lock.acquire()
    try:
        with _as_cache_error():
            shelf, staging = _fresh_staging(name)
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)
            with suppress(OSError):
                shelf.rmdir()
    finally:
        lock.release()


def _fresh_staging(name: str) -> tuple[Path, Path]:
    """Return the staging folder of `name` and a new folder in it, after removing leftovers of killed processes.

    A killed process may have left a pip that is still writing, so its folder is never used again.
    """
    shelf = cache_folder() / ".staging" / _file_name(name)
    shelf.mkdir(parents=True, exist_ok=True)
    for leftover in shelf.iterdir():
        shutil.rmtree(leftover, ignore_errors=True)
    return shelf, Path(tempfile.mkdtemp(dir=shelf))


def write(dataset: Dataset, staging: Path) -> None:
    """Write `dataset` to `staging`, then replace the cached data set of its name.

    Call it only while holding the lock. Raises `CacheError` if the disk is full or cannot be written; the previous
    data set then stays, unless it has already been moved away.
    """
    fresh, folder = staging / "new", entry_folder(dataset.name)
    arrays = plain_arrays(dataset.train, dataset.test, dataset.validation)
    records = {key: record_of(array, dataset.digests[key]) for key, array in arrays.items()}
    with _as_cache_error():
        fresh.mkdir()
        for key, array in arrays.items():
            write_npy(fresh / f"{key}.npy", array)
        Manifest(dataset.name, dataset.source, dataset.class_names, records).write(fresh)
        _sync_folder(fresh)
        if folder.exists():
            folder.rename(staging / "old")
        fresh.rename(folder)
        _sync_folder(folder.parent)


@contextmanager
def _as_cache_error() -> Iterator[None]:
    try:
        yield
    except (OSError, NotImplementedError) as error:  # the latter: a file system without locks
        reason = getattr(error, "strerror", None) or error
        raise CacheError(
            f"The cache folder {cache_folder()} cannot be written ({reason}). "
            "Make room there, or set ZOO_CACHE to a folder that can be written."
        ) from error


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open folders, and its renames do not need this
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _array_names(manifest: Manifest) -> list[str]:
    """Return the four arrays of every data set, then any others of this one."""
    return [*ARRAYS, *(key for key in manifest.arrays if key not in ARRAYS)]


def _open(folder: Path, key: str, manifest: Manifest) -> np.ndarray:
    record = manifest.arrays[key]
    return map_npy(folder / f"{key}.npy", np.dtype(record.dtype), record.shape)


def _expected(key: str, manifest: Manifest, published: Mapping[str, str]) -> str:
    return published.get(key) or manifest.arrays[key].sha256


def _verified(folder: Path, key: str, manifest: Manifest, published: Mapping[str, str]) -> np.ndarray:
    array, expected = _open(folder, key, manifest), _expected(key, manifest, published)
    found = idx_digest(array)
    if found != expected:
        raise DataError(f"{folder / key}.npy is damaged: its SHA-256 is {found}, expected {expected}")
    return array


def _verify_row(folder: Path, key: str, manifest: Manifest, published: Mapping[str, str]) -> VerifyRow:
    file, expected = f"{key}.npy", _expected(key, manifest, published)
    try:
        found = idx_digest(_open(folder, key, manifest))
    except DataError as error:
        return VerifyRow(file, expected, _without_path(error, folder / file), False)
    return VerifyRow(file, expected, found, found == expected)


def _without_path(error: DataError, path: Path) -> str:
    return str(error).removeprefix(str(path)).strip()
