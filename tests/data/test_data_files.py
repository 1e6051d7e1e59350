"""The formats: IDX, .npz, the restricted pickle reader, and what a data set is made of."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from idx_samples import write_idx

from zoo.data.dataset import ARRAYS, RawArrays, assemble
from zoo.data.formats.idx import idx_digest, read_idx
from zoo.data.formats.npy import map_npy, npy_header, write_npy
from zoo.data.formats.user_files import read_user_files
from zoo.data.sources.pickles import load_arrays
from zoo.errors import DataError

IDX_NAMES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
NPZ_NAMES = dict(zip(ARRAYS, ("x_train", "y_train", "x_test", "y_test"), strict=True))


def small_arrays(train: int = 12, test: int = 4, side: int = 28) -> dict[str, np.ndarray]:
    """Return four arrays in MNIST's form, far fewer."""
    random = np.random.default_rng(7)
    return {
        "train_images": random.integers(0, 256, (train, side, side), dtype=np.uint8),
        "train_labels": (np.arange(train) % 10).astype(np.uint8),
        "test_images": random.integers(0, 256, (test, side, side), dtype=np.uint8),
        "test_labels": (np.arange(test) % 10).astype(np.uint8),
    }


def write_idx_folder(folder: Path, arrays: dict[str, np.ndarray], names: dict[str, str] = IDX_NAMES) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for part, array in arrays.items():
        write_idx(folder / names[part], array)
    return folder


def parts_of(**changes: np.ndarray) -> RawArrays:
    return RawArrays.of_one_file(small_arrays() | changes, "a test", file="F")


# --- IDX ---


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("name", ["a-idx", "a-idx.gz"])
def test_idx_round_trip(tmp_path: Path, dtype: str, name: str) -> None:
    """An array written as IDX, gzipped or not, reads back with equal values and type."""
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    write_idx(tmp_path / name, array)
    found = read_idx(tmp_path / name)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def test_idx_digest_is_that_of_the_file(tmp_path: Path) -> None:
    """The digest of an array is the SHA-256 of the unzipped IDX file that holds it."""
    array = np.arange(6, dtype=np.int32).reshape(2, 3)
    write_idx(tmp_path / "a", array)
    assert idx_digest(array) == hashlib.sha256((tmp_path / "a").read_bytes()).hexdigest()
    assert (tmp_path / "a").read_bytes()[:12] == b"\0\0\x0c\2" + struct.pack(">2I", 2, 3)


def test_gzip_is_told_by_content_not_name(tmp_path: Path) -> None:
    """A gzipped file without .gz in its name is read all the same."""
    write_idx(tmp_path / "a.gz", np.zeros((2, 2), np.uint8))
    (tmp_path / "a.gz").rename(tmp_path / "a")
    assert read_idx(tmp_path / "a").shape == (2, 2)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "truncated"),
        (b"\0\0", "truncated"),
        (b"\0\0\x08\3\0\0\0\1", "truncated inside its IDX header"),
        (b"\0\0\x08\1\0\0\0\5abc", "truncated: its header promises 5 bytes"),
        (b"\0\0\x08\1\0\0\0\2abc", "longer than its header"),
        (b"PK\3\4rest", "not an IDX file"),
        (b"\0\0\x77\1\0\0\0\1a", "not an IDX file"),
        (b"\0\0\x08\3\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xffabc", "truncated: its header promises"),
        (gzip.compress(b"\0\0\x08\1\0\0\0\5abcde", mtime=0)[:20], "damaged gzip"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\0garbage", "damaged gzip"),
    ],
)
def test_bad_idx_names_file_and_fault(tmp_path: Path, content: bytes, words: str) -> None:
    """Whatever is wrong with an IDX file, one line names the file and the fault."""
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


# --- .npy ---


def test_npy_is_what_numpy_reads(tmp_path: Path) -> None:
    """Files in the cache are ordinary .npy files that NumPy loads."""
    for array in (np.arange(60, dtype=np.uint8).reshape(3, 4, 5), np.arange(7, dtype=np.int32)):
        write_npy(tmp_path / "a.npy", array)
        np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), array)
        np.testing.assert_array_equal(map_npy(tmp_path / "a.npy", array.dtype, array.shape), array)
        assert len(npy_header(array.dtype, array.shape)) % 64 == 0


def test_every_byte_of_an_npy_header_counts(tmp_path: Path) -> None:
    """A flip of any byte of the header is noticed, padding included, never interpreted."""
    array, path = np.arange(64, dtype=np.uint8), tmp_path / "a.npy"
    write_npy(path, array)
    sound = path.read_bytes()
    for position in range(len(npy_header(array.dtype, array.shape))):
        damaged = bytearray(sound)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="damaged header"):
            map_npy(path, array.dtype, array.shape)


# --- what the user points at ---


@pytest.mark.parametrize(("mark", "end"), [("-", ""), ("-", ".gz"), (".", ""), (".", ".gz")])
@pytest.mark.parametrize("stem", ["t10k", "test"])
def test_names_of_idx_files(tmp_path: Path, mark: str, end: str, stem: str) -> None:
    """The four files are found under each of their usual names, gzipped or not."""
    arrays = small_arrays()
    names = {part: name.replace("-idx", f"{mark}idx").replace("t10k", stem) + end for part, name in IDX_NAMES.items()}
    found = read_user_files(write_idx_folder(tmp_path / "d", arrays, names), "any")
    for part in ARRAYS:
        np.testing.assert_array_equal(found.arrays[part], arrays[part])


@pytest.mark.parametrize("name", ["mnist.npz", "letters.npz"])
def test_npz_in_a_folder_or_by_itself(tmp_path: Path, name: str) -> None:
    """An .npz is found in the folder as mnist.npz or under the data set's name, or given by its own path."""
    arrays = small_arrays()
    np.savez(tmp_path / name, **{NPZ_NAMES[part]: array for part, array in arrays.items()})
    for path in (tmp_path, tmp_path / name):
        found = read_user_files(path, "letters")
        np.testing.assert_array_equal(found.arrays["test_images"], arrays["test_images"])


def test_user_folder_errors_name_the_culprit(tmp_path: Path) -> None:
    """A missing, empty, unhelpful or incomplete folder, and a file of another kind, are each named."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "readme.txt").write_text("hello")
    write_idx_folder(tmp_path / "three", small_arrays())
    (tmp_path / "three" / IDX_NAMES["test_labels"]).unlink()
    for path, words in [
        (tmp_path / "nowhere", "does not exist"),
        (tmp_path / "empty", "is empty"),
        (tmp_path / "other", "holds no file of a name that is read"),
        (tmp_path / "other" / "readme.txt", "is not an .npz file"),
        (tmp_path / "three", "lacks t10k-labels-idx1-ubyte"),
    ]:
        with pytest.raises(DataError, match=words) as caught:
            read_user_files(path, "mnist")
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_bad_npz_is_named(tmp_path: Path) -> None:
    """A truncated .npz, one without the four arrays, and one with pickled objects are refused by name."""
    path = tmp_path / "mnist.npz"
    np.savez(path, x_train=np.zeros(3))
    with pytest.raises(DataError, match="lacks y_train, x_test, y_test"):
        read_user_files(path, "mnist")
    arrays = {NPZ_NAMES[part]: array for part, array in small_arrays().items()}
    np.savez(path, **arrays | {"x_train": np.array([{}], dtype=object)})
    with pytest.raises(DataError, match=r"cannot be read as an \.npz file"):
        read_user_files(path, "mnist")
    for content in (path.read_bytes()[:-200], b"not a zip", b""):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"cannot be read as an \.npz file") as caught:
            read_user_files(path, "mnist")
        assert str(path) in str(caught.value)


def test_npz_with_a_broken_member(tmp_path: Path) -> None:
    """An .npz whose member is no array is refused by name."""
    path = tmp_path / "mnist.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name in NPZ_NAMES.values():
            archive.writestr(f"{name}.npy", b"\x93NUMPY garbage")
    with pytest.raises(DataError, match=r"mnist\.npz"):
        read_user_files(path, "mnist")


# --- what a data set is ---


def test_assembled_dataset() -> None:
    """Gray images get their channel, labels become int64, and class names count up to the highest label."""
    dataset = assemble("letters", parts_of())
    assert dataset.train.images.shape == (12, 28, 28, 1)
    assert dataset.train.images.dtype == np.uint8
    assert dataset.train.labels.dtype == np.int64
    assert dataset.image_shape == (28, 28, 1)
    assert dataset.class_names == tuple("0123456789")
    assert (dataset.num_classes, len(dataset.train), len(dataset.test)) == (10, 12, 4)
    assert dataset.digests["train_images"] == idx_digest(small_arrays()["train_images"])


def test_color_and_label_columns() -> None:
    """Images of three channels keep them, and a column of labels, as CIFAR has it, becomes a list."""
    random = np.random.default_rng(0)
    dataset = assemble(
        "color",
        parts_of(
            train_images=random.integers(0, 256, (12, 8, 9, 3), dtype=np.uint8),
            test_images=random.integers(0, 256, (4, 8, 9, 3), dtype=np.uint8),
            train_labels=np.zeros((12, 1), np.int64),
        ),
    )
    assert dataset.image_shape == (8, 9, 3)
    assert dataset.train.labels.shape == (12,)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train_labels": np.zeros(11, np.uint8)}, "11 labels and train_images in F 12 images"),
        ({"train_labels": np.full(12, -1)}, "label -1"),
        ({"train_labels": np.zeros(12, np.float32)}, "Labels must be whole numbers"),
        ({"train_images": np.zeros((12, 28, 28), np.float32)}, "Images must be uint8"),
        ({"train_images": np.zeros((12, 784), np.uint8)}, "Images must be uint8"),
        ({"test_images": np.zeros((0, 28, 28), np.uint8)}, "test_images in F"),
        ({"test_images": np.zeros((4, 8, 8), np.uint8)}, "one size"),
    ],
)
def test_impossible_data_is_refused(changes: dict[str, np.ndarray], words: str) -> None:
    """Arrays that do not fit together, or are no images and labels, are refused with the file's name."""
    with pytest.raises(DataError, match=words):
        assemble("letters", parts_of(**changes))


def test_label_beyond_the_classes() -> None:
    """A label that no class name belongs to is refused."""
    with pytest.raises(DataError, match="label 9, but only 2 classes"):
        assemble("letters", parts_of(), ("a", "b"))


def test_tf_dataset_batches_and_shuffles() -> None:
    """The tf.data form has the same images and labels, in order or shuffled by a seed."""
    dataset = assemble("letters", parts_of())
    batches = list(dataset.tf_dataset("train", batch_size=5).as_numpy_iterator())
    assert [len(labels) for _, labels in batches] == [5, 5, 2]
    np.testing.assert_array_equal(np.concatenate([images for images, _ in batches]), dataset.train.images)
    orders = [
        np.concatenate([y for _, y in dataset.tf_dataset(batch_size=5, shuffle_seed=3).as_numpy_iterator()])
        for _ in range(2)
    ]
    np.testing.assert_array_equal(orders[0], orders[1])
    assert sorted(orders[0]) == sorted(dataset.train.labels)
    with pytest.raises(DataError, match="no split 'validation'"):
        dataset.tf_dataset("validation", batch_size=2)


# --- the pickle reader ---


def python_2_pickle(values: np.ndarray, code: str) -> bytes:
    """Return the pickle of one array as Python 2 and NumPy 1 wrote it: protocol 2, bytes as BINSTRING."""
    content = values.tobytes()
    shape = b"(" + b"".join(b"J" + struct.pack("<i", length) for length in values.shape) + b"t"
    return (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01"
        + shape
        + b"cnumpy\ndtype\nU\x02"
        + code.encode()
        + b"K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + struct.pack("<i", len(content))
        + content
        + b"tb"
    )


class Calls:
    """Pickles as a call of `function`."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.call


def test_pickled_arrays_are_read() -> None:
    """Arrays pickled by Python 2 and by Python 3 are read, in nested tuples."""
    images, labels = np.arange(6, dtype="<f4").reshape(2, 3), np.arange(2, dtype="<i8")
    old = b"\x80\x02" + python_2_pickle(images, "f4") + python_2_pickle(labels, "i8") + b"\x86\x85."
    ((found_images, found_labels),) = load_arrays(io.BytesIO(old))
    np.testing.assert_array_equal(found_images, images)
    np.testing.assert_array_equal(found_labels, labels)
    found = load_arrays(io.BytesIO(pickle.dumps((images, (labels,)), protocol=3)))
    np.testing.assert_array_equal(found[0], images)
    np.testing.assert_array_equal(found[1][0], labels)


@pytest.mark.parametrize("protocol", range(6))
def test_hostile_pickles_run_nothing(tmp_path: Path, protocol: int) -> None:
    """A pickle that calls os.system, eval or anything else is refused before it runs a thing."""
    witness = tmp_path / "ran"
    hostile = [
        Calls(os.system, f"touch {witness}"),
        Calls(eval, f"open({str(witness)!r}, 'w')"),
        Calls(open, str(witness), "w"),
        Calls(getattr, "text", "upper"),
        (np.zeros(2, np.float32), Calls(os.system, f"touch {witness}")),
    ]
    for value in hostile:
        with pytest.raises(DataError, match="refused"):
            load_arrays(io.BytesIO(pickle.dumps(value, protocol)))
    assert not witness.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04\x8c\x05numpy\x8c\x10core.os.system.xx\x93.",  # a nested attribute
        b"\x80\x04\x8c\x05numpy\x8c\x0fndarray.tofile\x00\x93.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"cnumpy.core.multiarray\nscalar\n.",
        b"cnumpy\nndarray\n(J\xff\xff\xff\x7ftR.",  # a call of ndarray itself, for memory
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\nK\x00tR.",
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00tR.",  # no arguments enough
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00K\x00tR.",  # no state
        b"Pexternal\n.",
        b"(lp0\n.",
        b"K\x01.",
        b"garbage",
        b"",
    ],
)
def test_strange_pickles_are_refused(content: bytes) -> None:
    """Other names, other calls, persistent references, other values and plain garbage are all refused."""
    with pytest.raises(DataError, match="pickle"):
        load_arrays(io.BytesIO(content))


def test_object_arrays_are_refused() -> None:
    """An array of Python objects is refused: its elements could be anything."""
    with pytest.raises(DataError, match="pickle"):
        load_arrays(io.BytesIO(pickle.dumps(np.array([{}, 1], dtype=object), protocol=3)))


def test_shape_must_fit_the_bytes() -> None:
    """A shape that would take terabytes, or a negative one, is refused before memory is asked for."""
    for length in (2**31 - 1, -1, 7):
        lying = bytearray(b"\x80\x02" + python_2_pickle(np.zeros((2, 3), "<f4"), "f4") + b".")
        place = lying.index(b"J" + struct.pack("<i", 2)) + 1
        lying[place : place + 4] = struct.pack("<i", length)
        with pytest.raises(DataError, match="must be exactly those of the shape"):
            load_arrays(io.BytesIO(bytes(lying)))


def test_package_imports_nothing_heavy() -> None:
    """Importing zoo.data brings in none of TensorFlow, TFDS, scikit-learn, Pillow, rich, matplotlib."""
    script = (
        "import sys, zoo.data\n"
        "heavy = 'tensorflow tensorflow_datasets keras.src sklearn PIL rich filelock matplotlib'\n"
        "print([name for name in heavy.split() if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
