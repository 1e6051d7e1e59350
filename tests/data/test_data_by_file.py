"""To add a data set or a file format is to add one file: copied into the package, it is found, used and named."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo import data
from zoo.data import cache, catalog
from zoo.data.dataset import RawArrays
from zoo.data.formats.found import Format
from zoo.data.formats.idx import idx_digest
from zoo.data.scanning import values_in
from zoo.data.sources.source import DatasetInfo, Entry, Job, Source
from zoo.errors import DataError

SOURCE = '''
"""A published data set."""

import numpy as np

from zoo.data.dataset import RawArrays
from zoo.data.sources.source import DatasetInfo, Entry, Source


def fetch(_):
    images, labels = np.arange(64, dtype=np.uint8).reshape(4, 4, 4), np.array([0, 1, 0, 1])
    arrays = {"train_images": images, "train_labels": labels, "test_images": images, "test_labels": labels}
    return RawArrays.of_one_file(arrays, "an archive")


KITTENS = Entry(
    info=DatasetInfo("kittens", "Kittens", 2, (4, 4, 1), 4, 4, needs_network=False),
    sources=(Source("an archive", lambda: (True, ""), fetch),),
    class_names=("awake", "asleep"),
)
'''

FORMAT = '''
"""Images as text: a line for each, a label and then its pixels in hexadecimal."""

import numpy as np

from zoo.data.formats.found import Format, Found


def read(path, name, announce):
    file = path / "images.hex"
    if not file.exists():
        return None
    rows = [line.split() for line in file.read_text().splitlines()]
    arrays = {
        "train_images": np.array([np.frombuffer(bytes.fromhex(pixels), np.uint8) for _, pixels in rows]),
        "train_labels": np.array([label for label, _ in rows]),
    }
    return Found(arrays, str(file), dict.fromkeys(arrays, str(file)))


HEX = Format(15, read, "images.hex with a label and pixels per line")
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of zoo, from which the processes of this test import, and a cache of its own."""
    shutil.copytree(Path(zoo.__file__).parent, tmp_path / "zoo", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "zoo"


def test_a_data_set_is_added_by_a_file(package: Path, python) -> None:
    """It is listed and loaded by its name, and suggested to who misspells it."""
    (package / "data" / "sources" / "kittens.py").write_text(SOURCE)
    code = """
from zoo import data
print([info.name for info in data.list_datasets()])
print(data.load("kittens").class_names, data.load("kittens").train.images.shape)
try:
    data.load("kitens", data_dir=None)
except data.catalog.UnknownNameError as error:
    print(error)
"""
    result = python("-c", code)
    assert result.returncode == 0, result.stderr
    listed, loaded, suggested = result.stdout.splitlines()
    assert "'kittens'" in listed
    assert loaded == "('awake', 'asleep') (4, 4, 4, 1)"
    assert "Did you mean 'kittens'?" in suggested


def test_a_file_format_is_added_by_a_file(package: Path, python, tmp_path: Path) -> None:
    """Its files are read, before those of formats with a higher order, and a folder of nothing is told of them."""
    (package / "data" / "formats" / "hexadecimal.py").write_text(FORMAT)
    for folder in ("given", "empty"):
        (tmp_path / folder).mkdir()
    lines = [f"{name} {bytes([value, 255, 0, value]).hex()}" for value in (3, 4) for name in ("cat", "dog") * 3]
    (tmp_path / "given" / "images.hex").write_text("\n".join(lines))
    np.savez(tmp_path / "given" / "own.npz", x_train=np.zeros((4, 2, 2)))
    code = """
import sys
from zoo import data
own = data.load("own", data_dir=sys.argv[1] + "/given")
print(own.class_names, own.train.images.shape, len(own.test), own.train.images[0, 0, :, 0])
try:
    data.load("own", data_dir=sys.argv[1] + "/empty")
except data.catalog.DataError as error:
    print(error)
"""
    result = python("-c", code, str(tmp_path))
    assert result.returncode == 0, result.stderr
    read, refused = result.stdout.splitlines()
    assert read == "('cat', 'dog') (9, 2, 2, 1) 3 [  3 255]"
    assert "is empty" in refused
    assert refused.index("train-images-idx3-ubyte") < refused.index("images.hex with") < refused.index("an .npz with")


def test_formats_are_asked_in_one_order() -> None:
    """No two have the same place: the names of modules do not say what is read from a folder of several kinds."""
    orders = [each.order for each in values_in("zoo.data.formats", Format)]
    assert len(orders) >= 6
    assert len(set(orders)) == len(orders)


def test_no_two_data_sets_have_one_name() -> None:
    """Or one would stand in the place of the other."""
    assert len(values_in("zoo.data.sources", Entry)) == len(catalog.CATALOG)


# --- derived data sets ---


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """A cache of the test's own; the catalog holds `plain` with these arrays, and `dark`, which is made from it."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    images, labels = np.full((4, 8, 8), 200, np.uint8), np.arange(4, dtype=np.uint8)
    arrays = {"train_images": images, "train_labels": labels, "test_images": images, "test_labels": labels}

    def fetch(_: Job) -> RawArrays:
        return RawArrays.of_one_file(arrays, "a test", file="F")

    def darkened(plain: data.Dataset) -> data.Dataset:
        train, test = (replace(split, images=split.images // 2) for split in (plain.train, plain.test))
        return replace(plain, name="dark", train=train, test=test, source=f"made from {plain.source}")

    info = DatasetInfo("plain", "Plain", 4, (8, 8, 1), 4, 4, needs_network=False)
    published = {name: idx_digest(array) for name, array in arrays.items()}
    plain = Entry(info, (Source("a test", lambda: (True, "here"), fetch),), published)
    dark = Entry(replace(info, name="dark"), base="plain", derive=darkened)
    monkeypatch.setattr(catalog, "CATALOG", {"plain": plain, "dark": dark})
    return arrays


def test_a_derived_data_set_is_made_anew(base: dict[str, np.ndarray]) -> None:
    """Its base is fetched and kept; of its own nothing is."""
    for _ in range(2):
        dataset = data.load("dark")
        assert (dataset.name, dataset.train.images.max()) == ("dark", 100)
        assert dataset.source == f"made from cache {cache.entry_folder('plain')} (from a test)"
        assert cache.cached_names() == ["plain"]


def test_the_files_of_a_derived_data_set_are_those_of_its_base(base: dict[str, np.ndarray]) -> None:
    """Preparing, verifying and listing it, and asking where it is, speak of the base."""
    assert not any(info.cached for info in data.list_datasets())
    assert data.where("dark") == data.where("plain")
    with pytest.raises(DataError, match="'plain' is not cached"):
        data.verify("dark")
    assert data.prepare("dark") == cache.entry_folder("plain")
    assert [(info.name, info.cached) for info in data.list_datasets()] == [("plain", True), ("dark", True)]
    assert [row.found for row in data.verify("dark")] == [idx_digest(array) for array in base.values()]


def test_files_of_a_users_own_stand_for_the_base(base: dict[str, np.ndarray], tmp_path: Path) -> None:
    """`data_dir` holds what it is derived from."""
    images = np.full((4, 8, 8), 50, np.uint8)
    np.savez(tmp_path / "own.npz", x_train=images, y_train=np.arange(4), x_test=images, y_test=np.arange(4))
    assert data.load("dark", data_dir=tmp_path / "own.npz").test.images.max() == 25
