"""How a picture is prepared belongs to the run: measured on its training images, recorded, and done to the picture."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from zoo import data
from zoo.data.appearance import MNIST_FORM, Preprocessing, preprocessing_of
from zoo.errors import RunError
from zoo.evaluation.predict import predict
from zoo.imaging.load import load_image, prepare_digit, prepare_photo
from zoo.imaging.preparation import preparation
from zoo.inference import Predictor
from zoo.runs.folder import load_run
from zoo.spec import Run
from zoo.tasks.classification import Classification
from zoo.training.trainer import train

Form = Callable[[np.ndarray], np.ndarray]


def thin(digit: np.ndarray) -> Image.Image:
    """Return a digit of 8x8 pixels as a pen would write it."""
    large = np.asarray(Image.fromarray(digit).resize((168, 168), Image.Resampling.BICUBIC))
    return Image.fromarray(((large > 200) * 255).astype(np.uint8))


@pytest.fixture(scope="module")
def digits() -> data.Dataset:
    """Return scikit-learn's digits in MNIST's form: a box of 20 pixels, centred by mass."""
    loaded = data.load("digits")
    halves = mnist_like(loaded.train.take(slice(0, None, 2))), mnist_like(whole(loaded.test.take(slice(0, None, 4))))
    return data.Dataset("theirs", *halves, loaded.class_names, "digits", {})


def whole(split: data.Split) -> data.Split:
    """Leave out the digits that fall to pieces at so coarse a size: on paper each piece may be a digit."""
    pieces = [ndimage.label(np.asarray(thin(image[..., 0])), np.ones((3, 3)))[1] for image in split.images]
    return split.take(np.flatnonzero(np.array(pieces) == 1))


def mnist_like(split: data.Split) -> data.Split:
    """Return the digits as MNIST has them: a box of 20 pixels, the centre of mass in the middle of 28."""
    canvases = np.zeros((len(split), 28, 28, 1), np.uint8)
    for canvas, image in zip(canvases, split.images, strict=True):
        ink = np.asarray(thin(image[..., 0]))
        rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
        crop = Image.fromarray(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
        scale = 20 / max(crop.size)
        size = max(1, round(crop.width * scale)), max(1, round(crop.height * scale))
        small = np.asarray(crop.resize(size, Image.Resampling.HAMMING), float)
        top, left = (
            min(max(round(14 - small.sum(axis=1 - axis) @ np.arange(small.shape[axis]) / small.sum()), 0), 28 - length)
            for axis, length in enumerate(small.shape)
        )
        canvas[top : top + small.shape[0], left : left + small.shape[1], 0] = small
    return data.Split(canvases, split.labels)


def boxed(images: np.ndarray) -> np.ndarray:
    """Return drawings as EMNIST has them: 24 pixels long, their box in the middle."""
    found = np.zeros_like(images)
    for canvas, image in zip(found, images[..., 0], strict=True):
        rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
        crop = Image.fromarray(image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
        scale = 24 / max(crop.size)
        crop = crop.resize((round(crop.width * scale), round(crop.height * scale)), Image.Resampling.BICUBIC)
        top, left = (28 - crop.height) // 2, (28 - crop.width) // 2
        canvas[top : top + crop.height, left : left + crop.width, 0] = crop
    return found


FORMS: dict[str, tuple[Form, Preprocessing]] = {
    "as MNIST": (lambda images: images, Preprocessing("digit", "black", 20, "mass")),
    "inverted": (lambda images: 255 - images, Preprocessing("digit", "white", 20, "mass")),
    "padded to 32": (
        lambda images: np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0))),
        Preprocessing("digit", "black", 20, "mass"),
    ),
    "three equal channels": (lambda images: np.repeat(images, 3, axis=3), Preprocessing("digit", "black", 20, "mass")),
    "as EMNIST": (boxed, Preprocessing("digit", "black", 24, "box")),
}


@pytest.mark.parametrize("form", FORMS)
def test_digits_are_known_by_their_form(digits: data.Dataset, form: str) -> None:
    """Ground, box and centre are measured, whatever the data set is called; twice is once."""
    change, expected = FORMS[form]
    found = preprocessing_of(change(digits.train.images))
    assert found == expected
    assert Preprocessing.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    assert preprocessing_of(change(digits.train.images)) == found


def clothes(count: int = 200) -> np.ndarray:
    """Return filled shapes on black, scaled to one box and centred, as padded Fashion-MNIST has them."""
    random = np.random.default_rng(1)
    images = np.zeros((count, 32, 32, 1), np.uint8)
    for image in images:
        width = random.integers(6, 13)
        image[4:28, 16 - width : 16 + width] = random.integers(120, 256, (24, 2 * width, 1))
        image[16:28, 15:17] = 0
    return images


def photographs(count: int = 200, channels: int = 3) -> np.ndarray:
    """Return coarse noise, made smooth: light and dark everywhere."""
    coarse = np.random.default_rng(2).integers(0, 256, (count, 5, 5, channels), np.uint8)
    smooth = [Image.fromarray(one.squeeze()).resize((32, 32), Image.Resampling.BICUBIC) for one in coarse]
    return np.stack([np.asarray(one).reshape(32, 32, channels) for one in smooth])


def stars() -> np.ndarray:
    """Return bright points on black, anywhere."""
    random, images = np.random.default_rng(3), np.zeros((200, 40 * 40), np.uint8)
    np.put_along_axis(images, random.integers(0, 1600, (200, 30)), 255, axis=1)
    return images.reshape(200, 40, 40, 1)


@pytest.mark.parametrize(
    ("make", "ground"),
    [
        (clothes, "black"),
        (lambda: 255 - clothes(), "white"),
        (photographs, None),
        (lambda: photographs(channels=1), None),
        (stars, "black"),
        (lambda: np.zeros((9, 28, 28, 1), np.uint8), "black"),
        (lambda: np.random.default_rng(0).integers(0, 256, (50, 2, 2, 1), np.uint8), None),
    ],
)
def test_anything_else_is_a_photo(make: Callable[[], np.ndarray], ground: str | None) -> None:
    """Filled shapes, photographs, stars, nothing at all: never digits; whether the ground is plain is kept."""
    assert preprocessing_of(make()) == Preprocessing("photo", ground)


def test_digits_in_colour_or_out_of_place_are_photos(digits: data.Dataset) -> None:
    """Where channels differ, or place and size vary, MNIST's preparation would make something else of a picture."""
    images = digits.train.images
    assert preprocessing_of(np.concatenate([images, images // 2, images], axis=3)).kind == "photo"
    random = np.random.default_rng(0)
    moved = np.stack([np.roll(image, random.integers(-4, 5, 2), axis=(0, 1)) for image in images])
    assert preprocessing_of(moved).kind == "photo"


def picture(digit: np.ndarray, number: int) -> Image.Image:
    """Return a digit in dark ink on light paper, larger, and somewhere on the sheet."""
    random = np.random.default_rng(number)
    sheet = np.full((150, 190), 235, np.uint8)
    top, left = random.integers(5, 60), random.integers(5, 100)
    ink = np.asarray(Image.fromarray(digit).resize((84, 84), Image.Resampling.BICUBIC))
    sheet[top : top + 84, left : left + 84] -= ink // 4 * 3
    return Image.fromarray(sheet)


def drawn(folder: Path, test: data.Split) -> list[Path]:
    """Write the test digits as pictures."""
    folder.mkdir()
    paths = [folder / f"{number}.png" for number in range(len(test))]
    for number, path in enumerate(paths):
        picture(test.images[number, :, :, 0], number).save(path)
    return paths


def share_right(run: Run, paths: list[Path], labels: np.ndarray) -> float:
    said: list[str] = []
    document = predict(run, paths, announce=said.append)
    assert said == []
    return float(
        np.mean([one["label"] == str(label) for one, label in zip(document["predictions"], labels, strict=True)])
    )


@pytest.mark.parametrize("form", FORMS)
def test_pictures_are_read_by_a_network_trained_on_ones_own_arrays(
    digits: data.Dataset, tmp_path: Path, form: str
) -> None:
    """Dark ink on light paper, anywhere on a sheet, is read as well as the arrays are, in each of the forms."""
    change, expected = FORMS[form]
    arrays = {"x_train": change(digits.train.images), "y_train": digits.train.labels}
    np.savez(tmp_path / "own.npz", **arrays, x_test=change(digits.test.images), y_test=digits.test.labels)
    run = train("mlp", dataset="my_digits", data_dir=tmp_path / "own.npz", epochs=6, output=tmp_path / "run")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["preprocessing"] == expected.to_dict()
    right = share_right(load_run(tmp_path / "run"), drawn(tmp_path / "drawn", digits.test), digits.test.labels)
    assert right >= run.metrics["test_accuracy"] - 0.1


@pytest.mark.parametrize("form", FORMS)
def test_an_image_of_the_data_set_itself_is_left_alone(digits: data.Dataset, form: str) -> None:
    """It has the form already, on either ground."""
    change, expected = FORMS[form]
    for image in change(digits.test.images)[:10]:
        file = Image.fromarray(image.squeeze())
        np.testing.assert_array_equal(preparation(expected)(file, image.shape), image)


def test_mnists_own_form_is_prepared_as_before(digits: data.Dataset) -> None:
    """To the pixel what `prepare_digit` makes, and what a run without the field gets by its data set's name."""
    for number, digit in enumerate(digits.test.images[:10, :, :, 0]):
        wanted = prepare_digit(picture(digit, number), (28, 28, 1))
        for form in (Preprocessing("digit", "black", 20, "mass"), MNIST_FORM, Preprocessing.by_name("mnist")):
            np.testing.assert_array_equal(preparation(form)(picture(digit, number), (28, 28, 1)), wanted)
    assert preparation(Preprocessing.by_name("fashion_mnist")) is prepare_photo


def test_scikit_learns_digits_are_read_at_their_own_size(trained_run: Path, tmp_path: Path) -> None:
    """They fill the image: so must a picture. The run's own test digits, drawn on paper, are read as well as they."""
    run, test = load_run(trained_run), data.load("digits").test.take(slice(0, None, 6))
    assert run.document["preprocessing"] == {"kind": "digit", "ground": "black", "box": 28, "centre": "box"}
    right = share_right(run, drawn(tmp_path / "drawn", test), test.labels)
    assert right >= run.metrics["test_accuracy"] - 0.1


def changed(run: Path, folder: Path, **fields: object) -> Path:
    """Copy a run folder, with fields of its record changed, or left out where None."""
    shutil.copytree(run, folder)
    document = json.loads((folder / "run.json").read_text()) | fields
    (folder / "run.json").write_text(json.dumps({name: value for name, value in document.items() if value is not None}))
    return folder


def test_an_older_run_follows_its_data_sets_name(trained_run: Path, tmp_path: Path) -> None:
    """Without the field, MNIST's form for MNIST, that of digits for digits, and anything else is resized."""
    Image.fromarray(255 - data.load("digits").test.images[0, :, :, 0]).save("x.png")
    predictor, picture = Predictor.of(load_run(trained_run)), load_image("x.png")
    digits = preparation(preprocessing_of(data.load("digits").train.images, "digits"))
    for name, prepare in (("mnist", prepare_digit), ("digits", digits), ("theirs", prepare_photo)):
        older = changed(trained_run, tmp_path / name, preprocessing=None, dataset=name)
        found = predict(older, ["x.png"])["predictions"][0]["probabilities"]
        (expected,) = predictor.run([prepare(picture, (28, 28, 1))])
        assert found == expected.tolist()


@pytest.mark.parametrize("value", [{"kind": "etching"}, {"kind": "digit", "box": -3}, "digit", 7])
def test_a_record_that_makes_no_sense_is_told(trained_run: Path, tmp_path: Path, value: object) -> None:
    """One line with the file."""
    Image.new("L", (9, 9), 255).save("x.png")
    with pytest.raises(RunError, match=r"run\.json cannot be read: .*Train again, or take the field out"):
        predict(changed(trained_run, tmp_path / "run", preprocessing=value), ["x.png"])


def test_a_picture_on_the_other_ground_is_mentioned(trained_run: Path, tmp_path: Path, zoo: Callable) -> None:
    """A dark shoe on white, asked of a network that knows light ones on black: said on stderr, or as a warning."""
    run = changed(trained_run, tmp_path / "run", preprocessing={"kind": "photo", "ground": "black"})
    shoe = Image.fromarray(clothes(1)[0, :, :, 0])
    shoe.save("light on dark.png")
    Image.eval(shoe, lambda level: 255 - level).save("dark on light.png")
    Image.fromarray(photographs(1)[0]).save("photo.png")
    result = zoo("predict", run, "light on dark.png", "dark on light.png", "photo.png")
    assert result.stderr.strip() == (
        "dark on light.png: its background is light, and that of the training images dark. "
        "Invert the picture, or do not trust the prediction."
    )
    assert result.exit_code == 0
    with pytest.warns(UserWarning, match="its background is light"):
        predict(run, ["dark on light.png"])


def test_probabilities_are_not_softened_again() -> None:
    """A model that ends in softmax, as older zoo let them be trained, is as sure as it says."""
    found = Classification().read(np.array([[0.9, 0.08, 0.02]], np.float32), 3)
    assert found[0] == pytest.approx((0.9, 0.08, 0.02))


def test_mirrored_digits_are_mentioned_whatever_their_name(digits: data.Dataset) -> None:
    """The caution about flips goes by what the images look like too."""
    said: list[str] = []
    train("mlp", dataset=digits, epochs=1, limit=100, flip="horizontal", announce=said.append)
    assert "flip=horizontal mirrors digits" in " ".join(said)
