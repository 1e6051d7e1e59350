"""The cache: damage of every kind is noticed, named and repaired; killing and racing leave it whole."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from zoo import data
from zoo.data import cache, catalog
from zoo.data.dataset import ARRAYS, RawArrays, plain_arrays
from zoo.data.formats.idx import idx_digest
from zoo.data.formats.npy import write_npy
from zoo.data.manifest import Manifest, record_of
from zoo.data.sources.mnist import MNIST
from zoo.data.sources.source import Job, Source
from zoo.errors import DataError, DigestError

# A process of its own with a small MNIST. Its source notes each fetch, and takes as long as told.
WORKER = """
import sys, time
from dataclasses import replace
from pathlib import Path
import numpy as np
from zoo import data
from zoo.data import catalog
from zoo.data.dataset import RawArrays
from zoo.data.formats.idx import idx_digest
from zoo.data.sources.mnist import MNIST
from zoo.data.sources.source import Source

notes, seconds, pixels = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
arrays = {
    "train_images": np.resize(np.arange(251, dtype=np.uint8), (30, pixels, pixels)),
    "train_labels": (np.arange(30) % 10).astype(np.uint8),
    "test_images": np.full((10, pixels, pixels), 7, np.uint8),
    "test_labels": np.arange(10, dtype=np.uint8),
}

def fetch(job):
    with notes.open("a") as file:
        file.write("fetched\\n")
    (job.scratch / "half").write_bytes(b"half a wheel")
    time.sleep(seconds)
    return RawArrays.of_one_file(arrays, "a slow source", file="F")

published = {part: idx_digest(array) for part, array in arrays.items()}
source = Source("slow", lambda: (True, ""), fetch)
catalog.CATALOG["mnist"] = replace(MNIST, sources=(source,), published=published)
print("ready", flush=True)
data.prepare("mnist", announce=lambda line: print(line, flush=True))
print(int(data.load("mnist").train.images.sum()), flush=True)
"""


def small_arrays(seed: int = 7) -> dict[str, np.ndarray]:
    random_numbers = np.random.default_rng(seed)
    return {
        "train_images": random_numbers.integers(0, 256, (12, 28, 28), dtype=np.uint8),
        "train_labels": (np.arange(12) % 10).astype(np.uint8),
        "test_images": random_numbers.integers(0, 256, (4, 28, 28), dtype=np.uint8),
        "test_labels": (np.arange(4) % 10).astype(np.uint8),
    }


@pytest.fixture(autouse=True)
def fetches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A cache of the test's own and a small MNIST; returns the list that notes each fetch."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    noted: list[str] = []

    def fetch(_: Job) -> RawArrays:
        noted.append("fetched")
        return RawArrays.of_one_file(small_arrays(), "a test", file="F")

    published = {part: idx_digest(array) for part, array in small_arrays().items()}
    source = Source("a test", lambda: (True, ""), fetch)
    monkeypatch.setitem(catalog.CATALOG, "mnist", replace(MNIST, sources=(source,), published=published))
    return noted


@pytest.fixture
def folder(fetches: list[str]) -> Path:
    """The folder of a sound cache entry."""
    path = data.prepare("mnist")
    fetches.clear()
    return path


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def assert_sound(dataset: data.Dataset) -> None:
    found = plain_arrays(dataset.train, dataset.test)
    for part, array in small_arrays().items():
        np.testing.assert_array_equal(found[part], array)


# --- a sound cache ---


def test_second_load_reads_the_cache(fetches: list[str]) -> None:
    """The first load fetches; the second reads memory-mapped, read-only arrays with the same bytes."""
    assert_sound(data.load("mnist"))
    dataset = data.load("mnist")
    assert_sound(dataset)
    assert fetches == ["fetched"]
    assert dataset.source.endswith("(from a test)")
    assert isinstance(dataset.train.images.base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        dataset.train.images[0] = 0


def test_cache_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ZOO_CACHE overrides the platform's cache folder, ~ included, and a relative one becomes absolute."""
    assert data.cache_folder() == tmp_path / "cache"
    monkeypatch.setenv("ZOO_CACHE", "~/mine")
    assert data.cache_folder() == tmp_path / "mine"
    monkeypatch.setenv("ZOO_CACHE", "mine")
    assert data.cache_folder() == Path.cwd() / "mine"
    monkeypatch.delenv("ZOO_CACHE")
    assert "cnn-zoo" in str(data.cache_folder())


def test_prepare_leaves_a_sound_entry_alone(folder: Path, fetches: list[str]) -> None:
    """Preparing what is prepared fetches nothing."""
    assert data.prepare("mnist") == folder
    assert fetches == []


def test_verify_of_a_sound_entry(folder: Path) -> None:
    """Verify hashes the four files anew and finds the published digests."""
    rows = data.verify("mnist")
    assert [row.file for row in rows] == [f"{part}.npy" for part in ARRAYS]
    assert all(row.ok and row.found == row.expected for row in rows)


def test_verify_without_an_entry() -> None:
    """Verifying what is not cached says so and how to cache it."""
    with pytest.raises(DataError, match=r"'mnist' is not cached: .*zoo data prepare mnist"):
        data.verify("mnist")


def test_many_classes_are_kept(tmp_path: Path) -> None:
    """More than 256 classes survive the cache: their labels are kept in a wider type."""
    arrays = small_arrays() | {"train_labels": np.arange(12) * 100}
    names = dict(zip(ARRAYS, ("x_train", "y_train", "x_test", "y_test"), strict=True))
    np.savez(tmp_path / "many.npz", **{names[part]: array for part, array in arrays.items()})
    data.prepare("many", data_dir=tmp_path / "many.npz")
    dataset = data.load("many")
    assert dataset.num_classes == 1101
    np.testing.assert_array_equal(dataset.train.labels, np.arange(12) * 100)
    assert all(row.ok for row in data.verify("many"))


def test_scenes_cached_with_counts_for_labels_are_read() -> None:
    """A cache folder whose labels count objects, as it was always written, gives boxes, no labels, and its digests."""
    boxes = np.full((3, 2, 5), -1, np.float32)
    boxes[0, 0] = boxes[2, 0] = boxes[2, 1] = (1, 0.1, 0.2, 0.5, 0.6)
    arrays = {
        f"{side}_{kind}": array
        for side in ("train", "test")
        for kind, array in {
            "images": np.full((3, 8, 8, 3), 9, np.uint8),
            "labels": np.array([1, 0, 2], np.uint8),
            "boxes": boxes,
        }.items()
    }
    folder = cache.entry_folder("photos")
    folder.mkdir(parents=True)
    for name, array in arrays.items():
        write_npy(folder / f"{name}.npy", array)
    records = {name: record_of(array, idx_digest(array)) for name, array in arrays.items()}
    Manifest("photos", "an older zoo", ("cat", "dog"), records).write(folder)
    dataset = data.load("photos")
    assert dataset.train.labels is None
    np.testing.assert_array_equal(dataset.train.boxes, boxes)
    assert dataset.train.object_counts.tolist() == [1, 0, 2]
    assert dataset.digests == {name: idx_digest(array) for name, array in arrays.items()}
    assert all(row.ok for row in data.verify("photos"))
    written = plain_arrays(dataset.train, dataset.test)
    assert {name: idx_digest(array) for name, array in written.items()} == dataset.digests


# --- damage ---


@pytest.mark.parametrize("part", ARRAYS)
def test_any_flipped_byte_is_noticed_and_named(folder: Path, part: str, fetches: list[str]) -> None:
    """One flipped byte anywhere in a cached file, header or data, is an error naming file and repair."""
    path = folder / f"{part}.npy"
    sound = path.read_bytes()
    places = [*range(0, 128, 9), 128, len(sound) - 1, *random.Random(0).sample(range(len(sound)), 3)]
    for position in (place for place in places if place < len(sound)):
        flip(path, position)
        with pytest.raises(DigestError) as caught:
            data.load("mnist")
        message = str(caught.value)
        assert str(path) in message
        assert "zoo data prepare mnist" in message
        assert f"delete {folder}" in message
        assert "\n" not in message
        path.write_bytes(sound)
    assert fetches == []
    assert_sound(data.load("mnist"))


def damage_by_truncation(folder: Path) -> None:
    os.truncate(folder / "test_images.npy", 1000)


def damage_by_emptying(folder: Path) -> None:
    os.truncate(folder / "test_images.npy", 0)


def damage_by_growth(folder: Path) -> None:
    with (folder / "test_images.npy").open("ab") as file:
        file.write(b"more")


def damage_by_loss(folder: Path) -> None:
    (folder / "test_images.npy").unlink()


def damage_by_a_folder(folder: Path) -> None:
    (folder / "test_images.npy").unlink()
    (folder / "test_images.npy").mkdir()


def damage_by_another_array(folder: Path) -> None:
    np.save(folder / "test_images.npy", np.zeros((4, 28, 28), np.uint8))


DAMAGES = [
    damage_by_truncation,
    damage_by_emptying,
    damage_by_growth,
    damage_by_loss,
    damage_by_a_folder,
    damage_by_another_array,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_is_named_verified_and_repaired(folder: Path, damage, fetches: list[str]) -> None:
    """However a file is damaged, load names it, verify shows it, and prepare replaces it."""
    damage(folder)
    with pytest.raises(DigestError, match=r"test_images\.npy"):
        data.load("mnist")
    assert [row.file for row in data.verify("mnist") if not row.ok] == ["test_images.npy"]
    said: list[str] = []
    data.prepare("mnist", announce=said.append)
    assert any("test_images.npy" in line and "fetched again" in line for line in said)
    assert fetches == ["fetched"]
    assert_sound(data.load("mnist"))
    assert all(row.ok for row in data.verify("mnist"))


def forget_class_names(folder: Path) -> None:
    path = folder / "manifest.json"
    document = json.loads(path.read_text())
    document["content"]["class_names"][0] = "zero"
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "manifest.json").unlink(),
        lambda folder: (folder / "manifest.json").write_text(""),
        lambda folder: (folder / "manifest.json").write_text("[]"),
        lambda folder: (folder / "manifest.json").write_bytes(b"\xff\xfe"),
        lambda folder: os.truncate(folder / "manifest.json", 300),
        forget_class_names,
    ],
)
def test_damaged_manifest_is_named_and_repaired(folder: Path, damage) -> None:
    """A manifest that is gone, cut, garbled or changed in one word is damage like any other."""
    damage(folder)
    with pytest.raises(DigestError, match=r"manifest\.json .*zoo data prepare mnist"):
        data.load("mnist")
    assert [(row.file, row.ok) for row in data.verify("mnist")] == [("manifest.json", False)]
    assert isinstance(data.list_datasets(), list)
    data.prepare("mnist")
    assert_sound(data.load("mnist"))


def test_consistent_forgery_of_mnist_is_noticed(folder: Path, tmp_path: Path) -> None:
    """Other data with a manifest that fits them are not MNIST: the published digests decide."""
    names = dict(zip(ARRAYS, ("x_train", "y_train", "x_test", "y_test"), strict=True))
    arrays = small_arrays(seed=1)
    np.savez(tmp_path / "other.npz", **{names[part]: array for part, array in arrays.items()})
    forged = data.prepare("other", data_dir=tmp_path / "other.npz")
    shutil.rmtree(folder)
    forged.rename(folder)
    with pytest.raises(DigestError, match=r"train_images\.npy is damaged"):
        data.load("mnist")


def test_damaged_user_data_are_noticed(tmp_path: Path) -> None:
    """Data without published digests answer to those recorded when they were cached."""
    names = dict(zip(ARRAYS, ("x_train", "y_train", "x_test", "y_test"), strict=True))
    np.savez(tmp_path / "a.npz", **{names[part]: array for part, array in small_arrays().items()})
    folder = data.prepare("letters", data_dir=tmp_path / "a.npz")
    flip(folder / "train_labels.npy", 130)
    with pytest.raises(DigestError, match=r"train_labels\.npy is damaged"):
        data.load("letters")
    (folder / "manifest.json").write_text("{}")
    (info,) = [info for info in data.list_datasets() if info.name == "letters"]
    assert "damaged" in info.description


def test_replaced_while_being_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damage that is gone at a second look, under the lock, was another process at work: no error."""
    real, looks = cache.read, []

    def once_damaged(name: str, published: dict[str, str]) -> data.Dataset | None:
        looks.append(name)
        if len(looks) == 1:
            raise DigestError("seen half way through a replacement")
        return real(name, published)

    monkeypatch.setattr(catalog.cache, "read", once_damaged)
    assert_sound(data.load("mnist"))
    assert len(looks) == 2


# --- a cache that cannot be written ---


def test_unwritable_cache_is_said_and_survived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no cache can be made, load says so and goes on from memory; prepare is an error."""
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "file" / "cache"))
    said: list[str] = []
    assert_sound(data.load("mnist", announce=said.append))
    assert "cannot be written" in said[0]
    assert "ZOO_CACHE" in said[0]
    assert "for this run only" in said[0]
    with pytest.raises(DataError, match=r"cache folder .* cannot be written \(.*\)\. Make room there") as caught:
        data.prepare("mnist")
    assert "\n" not in str(caught.value)


def test_full_disk_is_said_and_survived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fetches: list[str]) -> None:
    """A disk that fills up while writing costs the cache, not the run, and nothing half written stays."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "write_npy", full)
    said: list[str] = []
    assert_sound(data.load("mnist", announce=said.append))
    assert "No space left on device" in said[0]
    assert fetches == ["fetched"]
    with pytest.raises(DataError, match="No space left on device"):
        data.prepare("mnist")
    assert not (tmp_path / "cache" / "mnist").exists()
    assert list((tmp_path / "cache" / ".staging").iterdir()) == []


# --- processes ---


def start(notes: Path, seconds: float = 0.0, pixels: int = 28) -> subprocess.Popen:
    arguments = [sys.executable, "-c", WORKER, str(notes), str(seconds), str(pixels)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_at_once_fetch_once(tmp_path: Path) -> None:
    """Two processes on an empty cache both succeed, with equal data, and only one of them fetches."""
    workers = [start(tmp_path / "notes", seconds=1.0) for _ in range(2)]
    outputs = [worker.communicate(timeout=120) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], outputs
    assert (tmp_path / "notes").read_text() == "fetched\n"
    assert outputs[0][0].splitlines()[-1] == outputs[1][0].splitlines()[-1]
    assert any("waiting for it" in output for output, _ in outputs)


def test_killed_at_any_time_and_again(tmp_path: Path) -> None:
    """Killed with -9 at whatever moment, the cache is empty or whole, and the next prepare succeeds."""
    moments = random.Random(1)
    for _ in range(6):
        worker = start(tmp_path / "notes", seconds=0.05, pixels=700)
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
        time.sleep(moments.uniform(0.0, 0.2))
        worker.send_signal(signal.SIGKILL)
        worker.communicate()
    last = start(tmp_path / "notes", pixels=700)
    output, errors = last.communicate(timeout=120)
    assert last.returncode == 0, errors
    assert output.splitlines()[-1].isdigit()
    assert list((tmp_path / "cache" / ".staging").iterdir()) == []


def test_leftovers_of_a_killed_process_are_cleared(tmp_path: Path) -> None:
    """What a killed process left in its staging folder is gone after the next prepare."""
    worker = start(tmp_path / "notes", seconds=600)
    shelf = tmp_path / "cache" / ".staging" / "mnist"
    while not list(shelf.glob("*/half")) and worker.poll() is None:
        time.sleep(0.02)
    worker.kill()
    worker.communicate()
    assert list(shelf.glob("*/half"))
    data.prepare("mnist")
    assert not shelf.exists()
    assert_sound(data.load("mnist"))


def test_killed_between_the_two_renames(folder: Path, tmp_path: Path, fetches: list[str]) -> None:
    """With the old entry moved away and the new one not yet there, the next load simply fetches."""
    staging = tmp_path / "cache" / ".staging" / "mnist" / "killed"
    staging.mkdir(parents=True)
    folder.rename(staging / "old")
    assert_sound(data.load("mnist"))
    assert fetches == ["fetched"]
    assert not staging.exists()


def test_leftovers_that_resist_are_not_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fetches: list[str]
) -> None:
    """A leftover that cannot be removed, as an orphaned pip still writes into it, stops nothing."""
    leftover = tmp_path / "cache" / ".staging" / "mnist" / "killed" / "new"
    leftover.mkdir(parents=True)
    monkeypatch.setattr(cache.shutil, "rmtree", lambda *_, **__: None)
    data.prepare("mnist")
    assert leftover.exists()
    assert_sound(data.load("mnist"))
