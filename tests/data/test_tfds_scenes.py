"""Data sets of TFDS with boxes and masks, as TFDS stores voc and oxford_iiit_pet, written here and read again."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from zoo import data
from zoo.data import dataset as dataset_module
from zoo.data.formats.annotated import SIDE
from zoo.data.sources import tfds
from zoo.errors import DataError, UnknownNameError
from zoo.tasks import task_for

CLASSES = ("aeroplane", "bicycle", "bird")
BREEDS = ("Abyssinian", "beagle")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home, a cache and a folder of TFDS of the test's own, and no network."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.setattr(tfds, "unreachable_because", lambda host: f"{host} cannot be reached (a test)")
    return tmp_path


def store(name: str, features: dict, splits: dict[str, list[dict]], config: str | None = None) -> None:
    """Prepare a data set as TFDS does."""
    import tensorflow_datasets
    from tensorflow_datasets.core.utils import gcs_utils

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gcs_utils, "_is_gcs_disabled", True)
        tensorflow_datasets.dataset_builders.store_as_tfds_dataset(
            name=name,
            config=config,
            version="5.0.0",
            data_dir=os.environ["TFDS_DATA_DIR"],
            features=tensorflow_datasets.features.FeaturesDict(features),
            split_datasets={split: list(enumerate(rows)) for split, rows in splits.items()},
            disable_shuffling=True,
        )


def photo(height: int, width: int, box: tuple[float, ...], value: int = 255) -> np.ndarray:
    """A black photograph in which one box, in shares, is bright."""
    image = np.zeros((height, width, 3), np.uint8)
    top, left, bottom, right = (round(edge * side) for edge, side in zip(box, (height, width) * 2, strict=True))
    image[top:bottom, left:right] = value
    return image


def marked(label: int, box: tuple[float, ...], *, difficult: bool = False) -> dict:
    from tensorflow_datasets.public_api import features

    return {
        "label": label,
        "bbox": features.BBox(*box),
        "pose": 0,
        "is_truncated": False,
        "is_difficult": difficult,
    }


def seen(name: str, image: np.ndarray, *objects: dict) -> dict:
    labels = sorted({each["label"] for each in objects})
    return {
        "image": image,
        "image/filename": name,
        "objects": list(objects),
        "labels": labels,
        "labels_no_difficult": labels,
    }


ONE, TWO, SMALL = (0.25, 0.5, 0.75, 0.75), (0.0, 0.0, 0.5, 0.25), (0.5, 0.5, 0.6, 0.6)


@pytest.fixture
def voc() -> None:
    """voc/2007 with the features that TFDS has for it: four photographs to train on, one to test on."""
    from tensorflow_datasets.public_api import features

    classes = features.ClassLabel(names=CLASSES)
    train = [
        seen("a.jpg", photo(100, 80, ONE), marked(2, ONE)),
        seen("b.jpg", photo(60, 200, TWO), marked(0, TWO), marked(1, ONE), marked(1, SMALL, difficult=True)),
        seen("c.jpg", photo(60, 90, TWO)),
        seen("d.jpg", photo(90, 90, ONE), marked(1, ONE)),
    ]
    store(
        "voc",
        {
            "image": features.Image(),
            "image/filename": features.Text(),
            "objects": features.Sequence(
                {
                    "label": classes,
                    "bbox": features.BBoxFeature(),
                    "pose": features.ClassLabel(names=("frontal", "rear")),
                    "is_truncated": np.bool_,
                    "is_difficult": np.bool_,
                }
            ),
            "labels": features.Sequence(classes),
            "labels_no_difficult": features.Sequence(classes),
        },
        {"train": train, "validation": train[:1], "test": [seen("e.jpg", photo(70, 50, ONE), marked(2, ONE))]},
        config="2007",
    )


@pytest.fixture
def pets() -> None:
    """oxford_iiit_pet with the features that TFDS has for it; its trimaps are 1 inside, 3 around, 2 outside."""
    from tensorflow_datasets.public_api import features

    def pet(height: int, width: int) -> dict:
        trimap = np.full((height, width, 1), 2, np.uint8)
        trimap[height // 4 :, : width // 2] = 3
        trimap[height // 2 :, : width // 4] = 1
        return {
            "image": photo(height, width, (0.5, 0, 1, 0.25)),
            "label": 1,
            "species": 0,
            "file_name": "a.jpg",
            "segmentation_mask": trimap,
            "head_bbox": features.BBox(0.0, 0.0, 0.0, 0.0),
        }

    store(
        "oxford_iiit_pet",
        {
            "image": features.Image(encoding_format="jpeg"),
            "label": features.ClassLabel(names=BREEDS),
            "species": features.ClassLabel(names=("Cat", "Dog")),
            "file_name": features.Text(),
            "segmentation_mask": features.Image(shape=(None, None, 1), use_colormap=True),
            "head_bbox": features.BBoxFeature(),
        },
        {"train": [pet(80, 120), pet(100, 60), pet(64, 64)], "test": [pet(90, 90)]},
    )


@pytest.mark.usefixtures("voc")
def test_voc_becomes_scenes(home: Path) -> None:
    """One size, the boxes that were stored, nothing difficult; and the same again from the cache."""
    read = data.load("voc/2007")
    assert read.image_shape == (SIDE, SIDE, 3)
    assert read.class_names == CLASSES
    assert read.train.object_counts.tolist() == [1, 2, 0, 1]
    assert read.train.boxes[:, :, 0].tolist() == [[2, -1], [0, 1], [-1, -1], [1, -1]]
    assert np.allclose(read.train.boxes[0, 0, 1:], ONE)
    assert np.allclose(read.train.boxes[1, :, 1:], (TWO, ONE))
    assert read.test.boxes.shape == (1, 2, 5)
    assert read.train.masks is None
    top, left, bottom, right = (round(edge * SIDE) for edge in ONE)
    assert read.train.images[0, top + 4 : bottom - 4, left + 4 : right - 4].mean() > 240
    assert read.train.images[0, : top - 4].mean() < 15
    assert (home / "cache" / "voc.2007" / "train_boxes.npy").is_file()
    again = data.load("voc/2007")
    assert again.source.startswith("cache")
    assert np.array_equal(again.train.boxes, read.train.boxes)
    (info,) = [info for info in data.list_datasets() if info.name == "voc/2007"]
    assert (info.cached, info.image_shape, info.num_classes) == (True, (SIDE, SIDE, 3), 3)
    assert all(row.ok for row in data.verify("voc/2007"))
    with pytest.raises(DataError, match="voc/2007 has no masks"):
        task_for("segmentation").targets(read, read.train)
    with pytest.raises(DataError, match="voc/2007 says what is where in its images"):
        task_for("classification").targets(read, read.train)


@pytest.mark.usefixtures("pets")
def test_pets_become_masks() -> None:
    """The pet is the first class, its undecided border the second, all else background; no boxes."""
    read = data.load("oxford_iiit_pet")
    assert read.class_names == ("pet", "border")
    assert read.image_shape == (SIDE, SIDE, 3)
    assert read.train.boxes is None
    assert read.train.object_counts.tolist() == [1, 1, 1]
    wanted = np.zeros((SIDE, SIDE), np.uint8)
    wanted[SIDE // 4 :, : SIDE // 2] = 2
    wanted[SIDE // 2 :, : SIDE // 4] = 1
    for mask in (*read.train.masks, *read.test.masks):
        assert (mask == wanted).mean() > 0.97
        assert mask[SIDE // 4 + 3 :, : SIDE // 2 - 3].all()  # between 1 and 3 lies no 2: numbers are not averaged
    assert np.array_equal(data.load("oxford_iiit_pet").test.masks, read.test.masks)
    with pytest.raises(DataError, match="oxford_iiit_pet has no boxes"):
        task_for("detection").targets(read, read.train)
    with pytest.raises(DataError, match="oxford_iiit_pet says what is where in its images"):
        task_for("classification").targets(read, read.train)


@pytest.mark.usefixtures("voc", "pets")
@pytest.mark.parametrize(("model", "name"), [("ssd", "voc/2007"), ("fcn", "oxford_iiit_pet")])
def test_they_are_shown_and_trained_on_by_their_names(zoo, model: str, name: str) -> None:
    """From the command line to a picture, a run and its evaluation."""
    shown = zoo("data", "show", name)
    assert shown.exit_code == 0, shown.stderr
    assert Path(f"{name.replace('/', '-')}-samples.png").is_file()
    trained = zoo("train", model, "--dataset", name, "--epochs", "1", "--batch-size", "2", "--output", "run", "--json")
    assert trained.exit_code == 0, trained.stderr
    document = json.loads(trained.stdout)
    assert document["dataset"] == name
    assert np.isfinite(document["history"][0]["loss"])
    assert Path("run/report.html").is_file()
    refused = zoo("train", "mlp", "--dataset", name, "--output", "no")
    assert refused.exit_code == 1
    assert refused.stderr.splitlines()[-1].startswith(f"Error: {name} says what is where in its images")


@pytest.mark.usefixtures("voc")
def test_drawn_boxes_are_seen_in_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `zoo data show` lays into its grid is coloured where the box is, and grey elsewhere."""
    from zoo.imaging import samples

    drawn: list[np.ndarray] = []
    monkeypatch.setattr(samples, "sample_grid", lambda images, *_, **__: drawn.extend(images))
    chosen = samples.write_samples("voc/2007")["indices"]
    coloured = [bool((np.ptp(picture.astype(int), axis=-1) > 40).any()) for picture in drawn]
    counts = data.load("voc/2007").train.object_counts
    assert coloured == [bool(counts[row]) for row in chosen]


@pytest.mark.usefixtures("pets")
def test_too_many_photographs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before they are read, with what they would take."""
    monkeypatch.setattr(dataset_module, "LARGEST_BYTES", 1000)
    with pytest.raises(DataError, match=r"oxford_iiit_pet, resized, takes .* GiB"):
        data.load("oxford_iiit_pet")


def test_a_mask_of_other_values_is_refused() -> None:
    """Nobody knows what a 7 would mean."""
    from tensorflow_datasets.public_api import features

    example = {"image": photo(64, 64, ONE), "segmentation_mask": np.full((64, 64, 1), 7, np.uint8)}
    kinds = {"image": features.Image(), "segmentation_mask": features.Image(shape=(None, None, 1))}
    store("oxford_iiit_pet", kinds, {"train": [example], "test": [example]})
    with pytest.raises(DataError, match="oxford_iiit_pet has a mask with the value 7"):
        data.load("oxford_iiit_pet")


def test_names_with_a_slash(home: Path) -> None:
    """A data set and its configuration; what TFDS does not know is said before anything is made on the disk."""
    with pytest.raises(DataError, match=r"storage\.googleapis\.com cannot be reached"):
        data.load("voc/2012")
    assert not (home / "cache" / "voc").exists()
    with pytest.raises(
        UnknownNameError, match="voc of TensorFlow Datasets has no configuration '2013'. It has 2007, 20"
    ):
        data.load("voc/2013")
    with pytest.raises(UnknownNameError, match="kmnist of TensorFlow Datasets has no configuration 'x'. It has none"):
        data.load("kmnist/x")
    for name in ("voc/", "/voc", "voc/2007/x", "voc/..", "voc//2007", "voc\\2007", "a/.b"):
        with pytest.raises(UnknownNameError, match="No dataset is called"):
            data.load(name)
