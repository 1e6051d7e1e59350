"""Data as people have them: tables, other names of arrays and files, other ranges, shapes and labels."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from idx_samples import write_idx
from PIL import Image

from zoo import data
from zoo.data.formats.idx import idx_digest
from zoo.errors import DataError

RNG = np.random.default_rng(5)
X, U = RNG.integers(0, 256, (30, 28, 28), np.uint8), RNG.integers(0, 256, (10, 28, 28), np.uint8)
X[0, 0, 0], U[0, 0, 0], X[0, 0, 1], U[0, 0, 1] = 255, 255, 0, 0
Y, V = np.arange(30) % 5, np.arange(10) % 5
IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
HEADER = "label," + ",".join(f"pixel{number}" for number in range(784))


def save(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


def loaded(path: Path, name: str = "own") -> tuple[data.Dataset, str]:
    """Return the data set and what was said about it, in one line at most."""
    said: list[str] = []
    dataset = data.load(name, data_dir=path, announce=said.append)
    assert len(said) <= 1
    return dataset, "".join(said)


def is_whole(dataset: data.Dataset) -> bool:
    """Whether it holds exactly the images and labels above, and digests of what it holds."""
    same = [
        np.array_equal(found, wanted)
        for found, wanted in (
            (dataset.train.images[..., 0], X),
            (dataset.test.images[..., 0], U),
            (dataset.train.labels, Y),
            (dataset.test.labels, V),
        )
    ]
    return all(same) and dataset.digests["train_images"] == idx_digest(X)


# --- images ---


@pytest.mark.parametrize(
    ("convert", "words"),
    [
        (lambda a: a / 255, "pixels in 0..1 are read as 0..255"),
        (lambda a: (a / 255).astype(np.float32), "pixels in 0..1"),
        (lambda a: (a / 255).astype(np.float16), "pixels in 0..1"),
        (lambda a: a.astype(np.float32), "float32 pixels are read as 0..255"),
        (lambda a: (a / 127.5 - 1).astype(np.float32), "pixels in -1..1"),
        (lambda a: a / 256, "stored as n/256, are read as n"),
        (lambda a: a.astype(np.uint16) * 257, "pixels of 16 bits are read as 8"),
        (lambda a: a.astype(np.int64), "int64 pixels are read as 0..255"),
        (lambda a: a.reshape(len(a), -1), "rows of 784 pixels are read as 28x28"),
        (lambda a: a[:, None], "channels, which come first, are put last"),
        (lambda a: (a / 255)[:, None].reshape(len(a), -1), "28x28; pixels in 0..1"),
    ],
)
def test_images_in_other_forms_are_the_same_images(tmp_path: Path, convert: Callable, words: str) -> None:
    """Floats, 16 bits, flat rows and channels first become the very bytes that they were made of, and this is said."""
    dataset, said = loaded(save(tmp_path / "a.npz", x_train=convert(X), y_train=Y, x_test=convert(U), y_test=V))
    assert is_whole(dataset)
    assert words in said
    assert words in dataset.source


def test_black_and_white(tmp_path: Path) -> None:
    """Truth values are black and white, not 0 and 1 of 255."""
    dataset, said = loaded(save(tmp_path / "a.npz", x_train=X > 127, y_train=Y, x_test=U > 127, y_test=V))
    assert np.unique(dataset.train.images).tolist() == [0, 255]
    assert "black and white" in said


def test_color_with_channels_first(tmp_path: Path) -> None:
    """As PyTorch keeps images: channels go last, and nothing else is exchanged."""
    color, other = RNG.integers(0, 256, (30, 10, 12, 3), np.uint8), RNG.integers(0, 256, (10, 10, 12, 3), np.uint8)
    first = {"x_train": color.transpose(0, 3, 1, 2), "x_test": other.transpose(0, 3, 1, 2)}
    dataset, _ = loaded(save(tmp_path / "a.npz", **first, y_train=Y, y_test=V))
    np.testing.assert_array_equal(dataset.train.images, color)
    np.testing.assert_array_equal(dataset.test.images, other)


@pytest.mark.parametrize(
    ("convert", "words"),
    [
        (lambda a: ((a / 255 - 0.13) / 0.31).astype(np.float32), "If they were standardised"),
        (lambda a: a / 255 * 16, r"holds float64 of 0\.\.16"),
        (lambda a: a.astype(np.uint16) * 16, r"holds uint16 of 0\.\.4080"),
        (lambda a: np.where(a == 255, np.nan, a), "values that are not finite"),
        (lambda a: a[:, :12, :16].reshape(len(a), -1), "8x8 in 3 colours, but in which order"),
        (lambda a: a[:, :3, :4].reshape(len(a), -1), None),
        (lambda a: a[:, :5, :4].reshape(len(a), -1), "which are no square"),
    ],
)
def test_images_that_may_mean_several_things_come_with_the_line_that_converts_them(
    tmp_path: Path, convert: Callable, words: str | None
) -> None:
    """The error says what was found, and its Python, run on those images, gives some that are read."""
    arrays = {"x_train": convert(X), "y_train": Y, "x_test": convert(U), "y_test": V}
    path = save(tmp_path / "a.npz", **arrays)
    if words is None:  # rows of 12 pixels: 2x2 in colour
        words = "2x2 in 3 colours"
    with pytest.raises(DataError, match=words) as caught:
        data.load("own", data_dir=path)
    assert str(path) in str(caught.value)
    line = re.search(r"x = (np\.nan_to_num\(x\)|\S.*?\)(?= if |, or|, with|\.$))", str(caught.value))
    assert line, str(caught.value)
    for key in ("x_train", "x_test"):
        arrays[key] = eval(line[1], {"np": np, "x": arrays[key], "height": 4, "width": 5})
    assert len(data.load("own", data_dir=save(tmp_path / "b.npz", **arrays)).train) == 30


def test_halves_of_different_ranges(tmp_path: Path) -> None:
    """Training images in 0..1 beside test images in 0..255 are not all taken for the latter."""
    path = save(tmp_path / "a.npz", x_train=X / 255, y_train=Y, x_test=U.astype(float), y_test=V)
    with pytest.raises(DataError, match="values up to 1, others up to 255. Bring all images to one range"):
        data.load("own", data_dir=path)


# --- labels ---


@pytest.mark.parametrize(
    ("convert", "names", "words"),
    [
        (lambda a: np.eye(5)[a], "01234", "one-hot labels are read as 5 classes"),
        (lambda a: np.eye(5, dtype=bool)[a], "01234", "one-hot"),
        (lambda a: a + 1, "12345", r"labels 1..5 are read as 5 classes that keep their numbers as names"),
        (lambda a: a * 3 + 7, ("7", "10", "13", "16", "19"), "labels 7, 10, 13, 16, 19 are read as 5 classes"),
        (lambda a: np.array([*"abcde"])[a], "abcde", "labels are texts: classes a, b, c, d, e"),
        (lambda a: np.array([b"cat", b"dog", b"eel", b"fox", b"gnu"])[a], ("cat", "dog", "eel", "fox", "gnu"), "texts"),
        (lambda a: a.astype(np.float32), "01234", ""),
        (lambda a: a.astype(str), "01234", ""),
        (lambda a: a[:, None], "01234", ""),
    ],
)
def test_labels_in_other_forms(tmp_path: Path, convert: Callable, names: str, words: str) -> None:
    """They count from 0, no class is empty, and the classes are called what the labels were."""
    dataset, said = loaded(save(tmp_path / "a.npz", x_train=X, y_train=convert(Y), x_test=U, y_test=convert(V)))
    assert is_whole(dataset)
    assert dataset.class_names == tuple(names)
    assert words in said


def test_a_class_without_images_is_mentioned(tmp_path: Path) -> None:
    """Numbers from 0 count the classes; that some of them do not occur is said, and changes nothing."""
    dataset, said = loaded(save(tmp_path / "a.npz", x_train=X, y_train=Y * 2, x_test=U, y_test=V * 2))
    assert dataset.num_classes == 9
    assert "4 of 9 classes have no image" in said


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (Y - 1, r"holds the label -1.*leave these out: x, y = x\[y >= 0\], y\[y >= 0\]"),
        (Y + 0.5, r"holds the label 0.5. Labels must be whole numbers, or texts: y = y.astype\(str\)"),
        (np.eye(5)[Y] + np.eye(5)[0], r"are not one-hot.*y = y.argmax\(axis=1\)"),
        (np.array(["a", " "] * 15), "has no label in row 2"),
    ],
)
def test_labels_that_mean_nothing_are_refused_with_the_next_step(
    tmp_path: Path, labels: np.ndarray, words: str
) -> None:
    """Negative numbers, fractions, several labels for an image, none: one line with what to do."""
    with pytest.raises(DataError, match=words):
        data.load("own", data_dir=save(tmp_path / "a.npz", x_train=X, y_train=labels, x_test=U, y_test=labels[:10]))


def test_labels_of_known_classes_are_not_counted_anew(tmp_path: Path) -> None:
    """For a data set whose classes zoo knows, numbers and texts mean those classes, whichever occur."""
    numbers = save(tmp_path / "a.npz", x_train=X, y_train=Y + 2, x_test=U, y_test=V + 2)
    assert data.load("fashion_mnist", data_dir=numbers).train.labels.tolist() == (Y + 2).tolist()
    texts = {"y_train": np.array(["Coat", "Bag"] * 15), "y_test": np.array(["Dress"] * 10)}
    dataset = data.load("fashion_mnist", data_dir=save(tmp_path / "b.npz", x_train=X, x_test=U, **texts))
    assert dataset.train.labels[:2].tolist() == [4, 8]
    assert dataset.test.labels[0] == 3
    texts["y_test"] = np.array(["Hat"] * 10)
    with pytest.raises(DataError, match=r"the label 'Hat', and the classes are T-shirt/top.*--dataset NAME"):
        data.load("fashion_mnist", data_dir=save(tmp_path / "c.npz", x_train=X, x_test=U, **texts))


# --- arrays by name ---


@pytest.mark.parametrize(
    "names",
    [
        ("X_train", "Y_train", "X_test", "Y_test"),
        ("train_x", "train_y", "test_x", "test_y"),
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("trainX", "trainY", "testX", "testY"),
        ("train_data", "train_labels", "test_data", "test_labels"),
    ],
)
def test_other_names_of_the_arrays(tmp_path: Path, names: tuple[str, ...]) -> None:
    """The usual ways to call the four arrays are understood, and it is said which were read."""
    dataset, said = loaded(save(tmp_path / "a.npz", **dict(zip(names, (X, Y, U, V), strict=True))))
    assert is_whole(dataset)
    assert f"read as images and labels: {', '.join(names)}" in said


def test_files_of_one_array_each(tmp_path: Path) -> None:
    """Four .npy files, or four .npz files as Kuzushiji-49 has them, are one data set."""
    for key, array in {"x_train": X, "y_train": Y, "x_test": U, "y_test": V}.items():
        np.save(tmp_path / f"{key}.npy", array)
    assert is_whole(loaded(tmp_path)[0])
    (tmp_path / "k49").mkdir()
    for key, array in {"train-imgs": X, "train-labels": Y, "test-imgs": U, "test-labels": V}.items():
        np.savez_compressed(tmp_path / "k49" / f"k49-{key}.npz", array)
    assert is_whole(loaded(tmp_path / "k49")[0])


def medmnist(path: Path) -> Path:
    arrays = {"train_images": X, "train_labels": Y[:, None], "test_images": U, "test_labels": V[:, None]}
    return save(path, **arrays, val_images=X[:7], val_labels=Y[:7, None])


def test_medmnist_keeps_its_validation_images_apart(tmp_path: Path) -> None:
    """They are neither trained nor tested on; the cache keeps them too, and verifies them."""
    dataset, said = loaded(medmnist(tmp_path / "a.npz"))
    assert is_whole(dataset)
    assert len(dataset.validation) == 7
    assert "its 7 validation images are used where validation_split asks for some" in said
    assert next(iter(dataset.tf_dataset("validation", batch_size=9)))[1].shape == (7,)


def test_medmnist_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prepared once, all six arrays come back, are hashed, and a damaged one is noticed."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    folder = data.prepare("cells", data_dir=medmnist(tmp_path / "a.npz"))
    dataset = data.load("cells")
    assert is_whole(dataset)
    np.testing.assert_array_equal(dataset.validation.images[..., 0], X[:7])
    assert "validation_labels" in dataset.digests
    assert [row.ok for row in data.verify("cells")] == [True] * 6
    damaged = bytearray((folder / "validation_images.npy").read_bytes())
    damaged[-1] ^= 1
    (folder / "validation_images.npy").write_bytes(damaged)
    assert [row.file for row in data.verify("cells") if not row.ok] == ["validation_images.npy"]


def test_validation_images_stand_in_for_held_out_ones(tmp_path: Path) -> None:
    """Where a recipe validates, on these; the training images stay whole, or as many as the limit says."""
    from zoo.spec.recipe import Recipe
    from zoo.training.session import split

    dataset, _ = loaded(medmnist(tmp_path / "a.npz"))
    sizes = [
        (len(parts.train), len(parts.validation) if parts.validation else 0, len(parts.test))
        for parts in (
            split(dataset, Recipe()),
            split(dataset, Recipe(validation_split=0.1)),
            split(dataset, Recipe(validation_split=0.5), limit=20),
        )
    ]
    assert sizes == [(30, 0, 10), (30, 7, 10), (20, 7, 10)]


@pytest.mark.parametrize("names", [("images", "labels"), ("X", "y"), ("x_train", "y_train"), ("data", "target")])
def test_without_test_images_a_fifth_is_set_aside(tmp_path: Path, names: tuple[str, str]) -> None:
    """The same one each time, of each class alike; nothing is in both, nothing is lost, and it is said."""
    path = save(tmp_path / "a.npz", **dict(zip(names, (X, Y), strict=True)))
    dataset, said = loaded(path)
    again, _ = loaded(path)
    assert (len(dataset.train), len(dataset.test)) == (24, 6)
    assert sorted(set(dataset.test.labels.tolist())) == [0, 1, 2, 3, 4]
    both = np.concatenate([dataset.train.images, dataset.test.images])
    assert len(np.unique(both, axis=0)) == 30
    assert dataset.digests == again.digests
    for text in (said, dataset.source):
        assert "no test images, so a fifth of each class, drawn by seed 0, is set aside as such" in text


def test_a_class_of_one_image_is_trained_on(tmp_path: Path) -> None:
    """An only image of its class is never the one that is set aside."""
    labels = np.array([0] * 4 + [1] + [2] * 4 + [3])
    dataset, _ = loaded(save(tmp_path / "a.npz", x=U, y=labels))
    assert set(dataset.train.labels.tolist()) == {0, 1, 2, 3}
    with pytest.raises(DataError, match="no class has two images"):
        data.load("own", data_dir=save(tmp_path / "b.npz", x=U, y=np.arange(10)))


def test_names_that_say_nothing(tmp_path: Path) -> None:
    """Arrays without such names are listed, and the error shows how they are named."""
    np.savez(tmp_path / "a.npz", X, Y, U, V)
    with pytest.raises(DataError, match=r"it holds arr_0, arr_1, arr_2, arr_3. Name the arrays so: .*x_train=a\["):
        data.load("own", data_dir=tmp_path / "a.npz")
    path = save(tmp_path / "b.npz", x_train=X, X_train=X, y_train=Y)
    with pytest.raises(DataError, match="holds x_train and X_train, which mean the same"):
        data.load("own", data_dir=path)


@pytest.mark.parametrize("shape", [(10**9, 28, 28), (5 * 2**30,), (-1, 28, 28)])
def test_an_array_that_claims_more_than_it_has(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """A header of 730 GiB is an error that names the array, before memory is asked for."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for key in ("x_train", "y_train", "x_test", "y_test"):
            archive.writestr(f"{key}.npy", header.getvalue() + b"few")
    with pytest.raises(DataError, match=r"x_train.npy claims .* bytes of uint8"):
        data.load("own", data_dir=tmp_path / "a.npz")


# --- tables ---


def table(path: Path, labels: np.ndarray, images: np.ndarray, header: str = "", *, last: bool = False) -> Path:
    """Write a CSV file: a label and the pixels in each row."""
    path.parent.mkdir(exist_ok=True)
    cells = [labels.astype(str)[:, None], images.reshape(len(images), -1).astype(str)]
    rows = np.concatenate(cells[::-1] if last else cells, axis=1)
    lines = ([header] if header else []) + [",".join(row) for row in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


def dark(images: np.ndarray) -> np.ndarray:
    """Return the images with a black first and last pixel, as MNIST has them."""
    images = images.copy()
    images[:, 0, 0] = images[:, -1, -1] = 0
    return images


def test_kaggle_s_training_table_alone(tmp_path: Path) -> None:
    """label,pixel0,... is read, and without test images a fifth is set aside."""
    dataset, said = loaded(table(tmp_path / "train.csv", Y, X, HEADER))
    assert dataset.image_shape == (28, 28, 1)
    assert (len(dataset.train), len(dataset.test)) == (24, 6)
    assert "column 'label' of train.csv is the label" in said
    assert "no test images" in said
    position = next(i for i in range(30) if (X[i] == dataset.train.images[0, ..., 0]).all())
    assert dataset.train.labels[0] == Y[position]


def test_kaggle_s_test_table_has_no_labels(tmp_path: Path) -> None:
    """It cannot be tested on: it is said that it was not used."""
    table(tmp_path / "train.csv", Y, X, HEADER)
    rows = [",".join(map(str, row)) for row in U.reshape(10, -1)]
    (tmp_path / "test.csv").write_text("\n".join([HEADER.removeprefix("label,"), *rows]))
    (tmp_path / "sample_submission.csv").write_text("ImageId,Label\n1,0\n")
    dataset, said = loaded(tmp_path)
    assert (len(dataset.train), len(dataset.test)) == (24, 6)
    assert "test.csv is not used, since it has no labels" in said


@pytest.mark.parametrize(
    ("names", "header", "last"),
    [
        (("mnist_train.csv", "mnist_test.csv"), "", False),
        (("train.csv", "test.csv"), "", True),
        (("train.csv", "test.csv"), HEADER, False),
        (("train.csv", "test.csv"), HEADER.removeprefix("label,") + ",class", True),
        (("sign_mnist_train.csv", "sign_mnist_test.csv"), "label," + ",".join(map(str, range(784))), False),
    ],
)
def test_a_pair_of_tables(tmp_path: Path, names: tuple[str, str], header: str, last: bool) -> None:
    """With and without a header, the label first or last: found by its name or by what it holds."""
    for name, labels, images in zip(names, (Y, V), (X, U), strict=True):
        table(tmp_path / name, labels, dark(images), header, last=last)
    dataset, said = loaded(tmp_path)
    np.testing.assert_array_equal(dataset.train.images[..., 0], dark(X))
    np.testing.assert_array_equal(dataset.test.images[..., 0], dark(U))
    assert (dataset.train.labels.tolist(), dataset.test.labels.tolist()) == (Y.tolist(), V.tolist())
    assert "is the label" in said


def test_tables_of_other_kinds(tmp_path: Path) -> None:
    """Texts for labels, floats for pixels, other sides, semicolons, a byte order mark, pandas' own index."""
    texts, _ = loaded(table(tmp_path / "a" / "train.csv", np.array([*"vwxyz"])[Y], dark(X)))
    assert texts.class_names == tuple("vwxyz")
    floats, said = loaded(table(tmp_path / "b" / "train.csv", Y, (X / 255).round(4), HEADER))
    assert "pixels in 0..1 are read as 0..255" in said
    assert np.isin(floats.train.images[..., 0], X).all()
    small, _ = loaded(table(tmp_path / "c" / "train.csv", Y, X[:, :9, :9], "label" + ",p" * 81))
    assert small.image_shape == (9, 9, 1)
    path = table(tmp_path / "d" / "train.csv", Y, X, HEADER)
    path.write_text(path.read_text().replace(",", ";"), encoding="utf-8-sig")
    assert loaded(path)[0].image_shape == (28, 28, 1)
    indexed = [
        f"{i}{',' if i else ''}{line}" for i, line in enumerate(path.read_text("utf-8-sig").replace(";", ",").split())
    ]
    path.write_text(
        "\n".join([f",{HEADER}", *(f"{i},{line[len(str(i)) + 1 :]}" for i, line in enumerate(indexed) if i)])
    )
    assert loaded(path)[0].train.labels.tolist() == loaded(tmp_path / "b")[0].train.labels.tolist()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("image,label\na.png,1\n", "has the columns image, label. A row must hold a label and all pixels"),
        ("label,a,b,c,d\n1,2,3,4\n1,2\n", "cannot be read as a table"),
        ("label,a,b,c,d\n1,2,,4,5\n", "could not convert string '' .* at row 0, column 3"),
        ("9,8,7,6,200\n8,7,6,5,100\n", "does not say which column is the label"),
        ("a,b,c,d,e,f,g,h,i\n1,2,3,4,5,6,7,8,9\n", "9 columns and no label among them. Add a column called label"),
    ],
)
def test_bad_tables_are_named(tmp_path: Path, content: str, words: str) -> None:
    """What is no table of labels and pixels is one line, with the file's name."""
    (tmp_path / "train.csv").write_text(content)
    with pytest.raises(DataError, match=words) as caught:
        data.load("own", data_dir=tmp_path)
    assert str(tmp_path / "train.csv") in str(caught.value)
    assert "\n" not in str(caught.value)


# --- IDX files under other names, in other places ---


def idx_folder(folder: Path, names: tuple[str, ...], *arrays: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(names, arrays, strict=True):
        write_idx(folder / name, np.ascontiguousarray(array))
    return folder


def emnist(folder: Path, kind: str, first: int) -> Path:
    """Write EMNIST's four files, whose images are transposed."""
    names = tuple(f"emnist-{kind}-{name.replace('t10k', 'test')}.gz" for name in IDX)
    turned = X.transpose(0, 2, 1), (Y + first).astype(np.uint8), U.transpose(0, 2, 1), (V + first).astype(np.uint8)
    return idx_folder(folder, names, *turned)


def test_emnist(tmp_path: Path) -> None:
    """Its names are found, its images set upright, and its labels, which begin at 1, counted from 0."""
    folder = emnist(tmp_path, "letters", 1)
    dataset, said = loaded(folder)
    assert is_whole(dataset)
    assert dataset.class_names == ("1", "2", "3", "4", "5")
    assert "rows and columns, which EMNIST's files exchange, are put right" in said
    assert "labels 1..5 are read as 5 classes" in said
    lines = [f"{number} {64 + number} {96 + number}" for number in range(1, 27)]
    (folder / "emnist-letters-mapping.txt").write_text("\n".join(lines))
    assert loaded(folder)[0].class_names == ("Aa", "Bb", "Cc", "Dd", "Ee")


def test_one_of_several_sets_is_chosen_by_name(tmp_path: Path) -> None:
    """Where EMNIST's sets lie in one folder, the data set's name says which."""
    emnist(tmp_path, "balanced", 0)
    emnist(tmp_path, "letters", 1)
    assert loaded(tmp_path, "emnist-letters")[0].class_names[0] == "1"
    assert loaded(tmp_path, "emnist_balanced")[0].class_names[0] == "0"
    with pytest.raises(DataError, match=r"holds emnist-balanced, emnist-letters. Choose .*: --dataset emnist-balanced"):
        loaded(tmp_path)


def test_torchvision_s_root(tmp_path: Path) -> None:
    """The folder that torchvision was given: the files lie in MNIST/raw; of several the one of that name is read."""
    arrays = X, Y.astype(np.uint8), U, V.astype(np.uint8)
    idx_folder(tmp_path / "MNIST" / "raw", IDX, *arrays)
    dataset, said = loaded(tmp_path)
    assert is_whole(dataset)
    assert "found in MNIST/raw" in said
    idx_folder(tmp_path / "FashionMNIST" / "raw", IDX, 255 - X, *arrays[1:])
    assert loaded(tmp_path / "FashionMNIST")[0].train.images[0, 0, 0, 0] == 0
    assert data.load("fashion_mnist", data_dir=tmp_path).train.images[0, 0, 0, 0] == 0
    with pytest.raises(DataError, match=r"There are IDX files in .*FashionMNIST/raw and .*MNIST/raw. Choose one"):
        loaded(tmp_path)


def test_qmnist(tmp_path: Path) -> None:
    """Eight numbers stand for each label, the digit first."""
    names = tuple(
        f"qmnist-{name.replace('t10k', 'test').replace('labels-idx1-ubyte', 'labels-idx2-int')}" for name in IDX
    )
    rows = [np.stack([labels] + [labels + 7] * 7, axis=1).astype(np.int32) for labels in (Y, V)]
    dataset, said = loaded(idx_folder(tmp_path, names, X, rows[0], U, rows[1]))
    assert is_whole(dataset)
    assert "of QMNIST's eight numbers per label the first, the digit, is read" in said


# --- what is not read ---


def pictures(folder: Path, *sides: str) -> Path:
    for side in sides:
        for label in ("cat", "dog"):
            (folder / side / label).mkdir(parents=True)
            for number in range(5):
                Image.fromarray(X[number]).save(folder / side / label / f"{number}.png")
    return folder


@pytest.mark.parametrize("sides", [("train", "test"), ("",)])
def test_pictures_by_class_come_with_the_line_that_converts_them(tmp_path: Path, sides: tuple[str, ...]) -> None:
    """Folders of pictures are not read yet; the line in the error, run as it stands, writes what is."""
    pictures(tmp_path / "pets", *sides)
    with pytest.raises(DataError, match=r"in folders by class \(cat, dog\): such are not read yet") as caught:
        data.load("pets", data_dir=tmp_path / "pets")
    exec(str(caught.value).partition("give own.npz: ")[2], {})  # it works in the test's own folder
    dataset, _ = loaded(Path("own.npz"))
    assert len(dataset.train) + len(dataset.test) == 10 * len(sides)
    assert set(dataset.train.labels.tolist()) == {0, 1}
    assert (dataset.train.images[0, ..., 0] == X).all(axis=(1, 2)).any()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.pt", r"import torch; x, y = torch.load\('.*a.pt'\)"),
        ("a.mat", r"scipy.io.loadmat\('.*a.mat'\)"),
        ("a.parquet", "pandas.read_parquet"),
        ("a.csv.gz", "Unpack it"),
        ("train-images-idx3-ubyte", "give the folder that holds them"),
    ],
)
def test_files_of_other_programs(tmp_path: Path, name: str, words: str) -> None:
    """The error holds the Python that opens them, or says what to unpack."""
    (tmp_path / name).write_bytes(b"something")
    with pytest.raises(DataError, match=words):
        data.load("own", data_dir=tmp_path / name)


def test_pictures_without_classes(tmp_path: Path) -> None:
    """Nothing says what they show."""
    Image.fromarray(X[0]).save(tmp_path / "0.png")
    with pytest.raises(DataError, match="holds pictures and does not say what they show"):
        data.load("own", data_dir=tmp_path)


# --- labels keep their meaning ---


def test_labels_are_counted_as_a_model_counts_them() -> None:
    """Brought to more classes, or the same in another order, a label names what it named."""
    split = data.Split(X[..., None], Y)
    dataset = data.Dataset(
        "own", split, split, tuple("13579"), "a test", {"train_labels": idx_digest(Y.astype(np.uint8))}
    )
    digits = dataset.with_classes_of([*"0123456789"])
    assert digits.train.labels.tolist() == (Y * 2 + 1).tolist()
    assert digits.digests["train_labels"] == idx_digest((Y * 2 + 1).astype(np.uint8))
    assert dataset.with_classes_of([*"97531"]).test.labels.tolist() == (4 - Y).tolist()
    assert dataset.with_classes_of([*"abcde"]) is dataset


def test_a_few_digits_of_ones_own_are_evaluated_by_their_names(tmp_path: Path, trained_run: Path) -> None:
    """Test images without a 0 lose nothing: their classes are the model's, by name."""
    from zoo.evaluation.evaluate import evaluate

    digits = data.load("digits")
    kept = digits.test.labels >= 4
    few = digits.test.images[kept][:40, ..., 0], digits.test.labels[kept][:40]
    path = save(tmp_path / "few.npz", x_train=few[0], y_train=few[1], x_test=few[0], y_test=few[1])
    document = evaluate(trained_run, dataset="few", data_dir=path, output=tmp_path / "out")
    assert document["metrics"]["test_accuracy"] > 0.5
    assert document["same_classes"] is True
