"""Folders in COCO's format: what is written there is what is trained on, and what is wrong is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from zoo import data
from zoo.data import dataset as dataset_module
from zoo.data.formats.annotated import SIDE, common_size
from zoo.data.formats.segmentations import decode_segmentation
from zoo.data.sources.drawn_scenes import Layout, draw_scenes
from zoo.errors import DataError
from zoo.tasks import task_for, task_of

IDS = (3, 1, 7, 20, 90, 4, 5, 6, 8, 2)  # of the digits 0 to 9: neither contiguous nor in order
ORDER = np.argsort(IDS)  # class of the data set -> digit


def run_lengths(mask: np.ndarray, *, compressed: bool) -> dict:
    """A mask (H, W) as COCO writes it."""
    if compressed:
        packed = coco.encode(np.asfortranarray(mask))
        return {"size": list(packed["size"]), "counts": packed["counts"].decode()}
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat])))
    return {"size": list(mask.shape), "counts": np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()}


def write_half(folder: Path, file: str, images: str, scenes: data.Split) -> None:
    """Write scenes of digits as PNG files and one JSON file, run lengths of both kinds in turns."""
    for place in (folder / images, (folder / file).parent):
        place.mkdir(parents=True, exist_ok=True)
    pictures, annotations = [], []
    for number, (image, boxes) in enumerate(zip(scenes.images, scenes.boxes, strict=True)):
        name = f"{number:04}.png"
        Image.fromarray(image[..., 0]).save(folder / images / name)
        height, width = image.shape[:2]
        pictures.append({"id": 10 * number, "file_name": name, "height": height, "width": width})
        for row, (label, top, left, bottom, right) in enumerate(boxes[boxes[:, 0] >= 0].tolist(), start=1):
            own = (scenes.instances[number] == row).astype(np.uint8)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": 10 * number,
                    "category_id": IDS[int(label)],
                    "bbox": [left * width, top * height, (right - left) * width, (bottom - top) * height],
                    "segmentation": run_lengths(own, compressed=bool(row % 2)),
                    "iscrowd": 0,
                }
            )
    categories = [{"id": number, "name": f"digit {digit}"} for digit, number in enumerate(IDS)]
    document = {"images": pictures, "annotations": annotations, "categories": categories}
    (folder / file).write_text(json.dumps(document))


def change(file: Path, edit) -> None:
    document = json.loads(file.read_text())
    edit(document)
    file.write_text(json.dumps(document))


@pytest.fixture(scope="module")
def scenes() -> tuple[data.Split, data.Split]:
    digits = data.load("digits")
    train, test = (draw_scenes(split, Layout(), 6, seed=1) for split in (digits.train, digits.test))
    return train, test


@pytest.fixture(scope="module")
def written(scenes, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("coco")
    write_half(folder, "annotations/instances_train2017.json", "train2017", scenes[0])
    write_half(folder, "annotations/instances_val2017.json", "val2017", scenes[1])
    return folder


@pytest.fixture
def folder(written, tmp_path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(written, tmp_path / "mine"))


@pytest.fixture
def train_json(folder) -> Path:
    return folder / "annotations" / "instances_train2017.json"


# What is read


def test_scenes_come_back_as_they_were_written(written, scenes):
    """Images, boxes, masks and instances to the pixel; categories in the order of their ids, by their names."""
    read = data.load("mine", data_dir=written)
    assert read.class_names == tuple(f"digit {digit}" for digit in ORDER)
    for found, given in zip((read.train, read.test), scenes, strict=True):
        assert np.array_equal(found.images, given.images)
        assert np.array_equal(found.instances, given.instances)
        assert np.array_equal(found.object_counts, given.object_counts)
        present = found.boxes[..., 0] >= 0
        assert np.array_equal(present, given.boxes[:, : found.boxes.shape[1], 0] >= 0)
        assert np.array_equal(
            ORDER[found.boxes[present][:, 0].astype(int)], given.boxes[given.boxes[..., 0] >= 0][:, 0]
        )
        assert np.allclose(found.boxes[present][:, 1:], given.boxes[given.boxes[..., 0] >= 0][:, 1:], atol=1e-6)
        assert np.array_equal(np.where(found.masks > 0, ORDER[found.masks.astype(int) - 1] + 1, 0), given.masks)
    assert (read.train.boxes.dtype, read.train.masks.dtype) == (np.float32, np.uint8)
    assert read.train.boxes.shape[1] == read.test.boxes.shape[1]


@pytest.mark.parametrize(
    ("train", "test", "images"),
    [
        ("annotations/train.json", "annotations/val.json", ("images", "images")),
        ("train.json", "test.json", ("train", "test")),
        ("train/_annotations.coco.json", "valid/_annotations.coco.json", ("train", "valid")),
    ],
)
def test_other_layouts_are_read_alike(scenes, written, tmp_path, train, test, images):
    """One folder of images, plain names, and Roboflow's exports."""
    same = (scenes[0], scenes[0]) if images[0] == images[1] else scenes
    write_half(tmp_path, train, images[0], same[0])
    write_half(tmp_path, test, images[1], same[1])
    read, wanted = data.load("mine", data_dir=tmp_path), data.load("mine", data_dir=written)
    assert read.digests["train_masks"] == wanted.digests["train_masks"]
    assert np.array_equal(read.test.images, same[1].images)


def test_images_of_many_sizes_become_one(folder, train_json):
    """Squares of the documented side, with colours where one has any; boxes and masks go with their image."""
    photo = np.zeros((100, 300, 3), np.uint8)
    photo[20:60, 30:150] = (255, 0, 0)
    Image.fromarray(photo).save(folder / "train2017" / "photo.jpg", quality=95)

    def add(document):
        document["images"].append({"id": 5, "file_name": "photo.jpg"})
        outline = [30, 20, 150, 20, 150, 60, 30, 60]
        document["annotations"].append(
            {"id": 900, "image_id": 5, "category_id": 90, "bbox": [30, 20, 120, 40], "segmentation": [outline]}
        )

    change(train_json, add)
    read = data.load("mine", data_dir=folder)
    assert read.image_shape == (SIDE, SIDE, 3)
    top, left, bottom, right = read.train.boxes[-1, 0, 1:]
    assert (top, left, bottom, right) == pytest.approx((0.2, 0.1, 0.6, 0.5))
    y, x = np.nonzero(read.train.masks[-1])
    edges = np.array([y.min(), x.min(), y.max() + 1, x.max() + 1]) / SIDE
    assert edges == pytest.approx([0.2, 0.1, 0.6, 0.5], abs=1 / SIDE)
    assert set(np.unique(read.train.masks[-1])) == {0, read.class_names.index("digit 4") + 1}
    inside = read.train.images[-1, int(0.25 * SIDE) : int(0.55 * SIDE), int(0.15 * SIDE) : int(0.45 * SIDE)]
    assert inside[..., 0].mean() > 200
    assert inside[..., 1:].mean() < 50


@pytest.mark.parametrize(
    ("sizes", "wanted"),
    [
        ([(64, 96)], (64, 96)),
        ([(64, 96), (96, 64)], (SIDE, SIDE)),
        ([(60, 64)], (SIDE, SIDE)),
        ([(480, 640)], (480, 640)),
        ([(300, 300)], (300, 300)),
        ([(300, 304)], (SIDE, SIDE)),
        ([(480, 648)], (SIDE, SIDE)),
        ([], (SIDE, SIDE)),
    ],
)
def test_the_size_of_images(sizes, wanted):
    """Their own if all have one that fits; a square otherwise."""
    assert common_size(sizes) == wanted


def test_the_side_can_be_chosen(folder):
    """From Python, for networks that take larger images, or smaller ones."""
    read = data.read_coco(folder, name="mine", side=40)
    assert (read.name, read.image_shape) == ("mine", (40, 40, 1))
    assert read.train.instances.shape[1:] == read.test.masks.shape[1:] == (40, 40)
    assert np.array_equal(read.train.boxes, data.load("mine", data_dir=folder).train.boxes)


def test_a_photo_on_its_side_is_read_as_it_was_annotated(folder, train_json):
    """A camera's note (EXIF) is heeded where the annotations' size says that their author's tool heeded it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = np.zeros((64, 32), np.uint8)
    stored[:32] = 255
    Image.fromarray(stored).save(folder / "train2017" / "phone.jpg", exif=exif)
    for size, bright in (((64, 32), np.s_[:60]), ((32, 64), np.s_[:, 68:])):
        change(
            train_json,
            lambda document, size=size: document["images"].append(
                {"id": size[0], "file_name": "phone.jpg", "height": size[0], "width": size[1]}
            ),
        )
        image = data.load("mine", data_dir=folder).train.images[-1, ..., 0]
        assert image[bright].mean() > 240
        assert image.mean() < 140


def test_crowds_and_empty_boxes_are_left_out_and_empty_images_kept(folder, train_json):
    """A crowd marks no one object; what lies outside of the image cannot be found, which is said."""
    before = data.load("mine", data_dir=folder)

    def spoil(document):
        first = document["images"][0]["id"]
        document["annotations"] = [row for row in document["annotations"] if row["image_id"] != first]
        own = {"image_id": first, "category_id": 1, "segmentation": [[0, 0, 9, 0, 9, 9]]}
        document["annotations"].append({**own, "id": 901, "bbox": [0, 0, 9, 9], "iscrowd": 1})
        document["annotations"].append({**own, "id": 902, "bbox": [70, 0, 9, 9]})
        document["annotations"].append({**own, "id": 903, "bbox": [5, 5, 0, 9]})

    change(train_json, spoil)
    said: list[str] = []
    after = data.load("mine", data_dir=folder, announce=said.append)
    assert len(after.train) == len(before.train)
    assert after.train.object_counts[0] == 0
    assert (after.train.boxes[0] == -1).all()
    assert not after.train.masks[0].any()
    assert np.array_equal(after.train.masks[1:], before.train.masks[1:])
    assert any("2 boxes have no area" in line for line in said)


def test_of_two_objects_that_overlap_the_smaller_is_seen(folder, train_json):
    """Whatever their order."""

    def overlap(document):
        first = document["images"][0]["id"]
        document["annotations"] = [row for row in document["annotations"] if row["image_id"] != first]
        for number, (category, side) in enumerate(((1, 10), (2, 40), (3, 20))):
            square = {"bbox": [0, 0, side, side], "segmentation": [[0, 0, side, 0, side, side, 0, side]]}
            document["annotations"].append({"id": 900 + number, "image_id": first, "category_id": category, **square})

    change(train_json, overlap)
    instances = data.load("mine", data_dir=folder).train.instances[0]
    assert (instances[5, 5], instances[15, 15], instances[30, 30], instances[50, 50]) == (1, 3, 2, 0)


@pytest.mark.parametrize("everywhere", [True, False])
def test_without_segmentations_there_are_boxes_alone(folder, train_json, everywhere):
    """None at all is common; where only some have one, that is said. A segmenter then has nothing to learn from."""

    def strip(document):
        for row in document["annotations"] if everywhere else document["annotations"][:2]:
            row["segmentation"] = []

    change(train_json, strip)
    if everywhere:
        change(folder / "annotations" / "instances_val2017.json", strip)
    said: list[str] = []
    read = data.load("mine", data_dir=folder, announce=said.append)
    assert read.train.boxes is not None
    assert read.train.masks is None
    assert any("objects have no segmentation" in line for line in said) is not everywhere
    with pytest.raises(DataError, match="mine has no masks"):
        task_for("segmentation").targets(read, read.train)


def test_run_lengths_are_those_of_pycocotools():
    """Compressed text of any mask is decoded as pycocotools does, to the pixel."""
    rng = np.random.default_rng(0)
    for _ in range(30):
        mask = (rng.random((int(rng.integers(8, 300)), int(rng.integers(8, 300)))) < rng.random() ** 3).astype(np.uint8)
        for compressed in (True, False):
            packed = run_lengths(mask, compressed=compressed)
            assert np.array_equal(decode_segmentation(packed, mask.shape, mask.shape, "one"), mask)


# The cache, the tasks and the commands


def test_the_cache_keeps_boxes_and_masks(folder, monkeypatch, tmp_path):
    """Prepared once, it loads without the folder; a flipped byte in a mask is noticed like one in a pixel."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    given = data.load("mine", data_dir=folder)
    assert not (tmp_path / "cache").exists()
    place = data.prepare("mine", data_dir=folder)
    kept = data.load("mine")
    for side in ("train", "test"):
        for part in ("images", "labels", "boxes", "masks", "instances"):
            assert np.array_equal(getattr(getattr(kept, side), part), getattr(getattr(given, side), part)), part
    assert kept.class_names == given.class_names
    assert kept.digests == given.digests
    assert {"train_boxes.npy", "test_masks.npy"} <= {row.file for row in data.verify("mine")}
    content = bytearray((place / "test_masks.npy").read_bytes())
    content[-1] ^= 1
    (place / "test_masks.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"test_masks\.npy is damaged"):
        data.load("mine")


def test_every_task_takes_what_is_its_own(written, tiny_digits):
    """A classifier has no one label for an image; a detector and a segmenter have theirs."""
    read = data.load("mine", data_dir=written)
    with pytest.raises(DataError, match="mine says what is where in its images, and has no one label for each"):
        task_for("classification").targets(read, read.train)
    assert task_for("detection").targets(read, read.train) is read.train.boxes
    assert task_for("segmentation").targets(read, read.train) is read.train.masks


def test_a_folder_is_trained_on_by_its_path(zoo, folder, train_json):
    """From the command line to a run and its evaluation, an image without objects among the others."""
    change(
        train_json,
        lambda document: document.update(annotations=[row for row in document["annotations"] if row["image_id"] != 0]),
    )
    command = ("train", "ssd", "--dataset", "mine", "--data-dir", folder, "--epochs", "1", "--batch-size", "3")
    trained = zoo(*command, "--no-report", "--output", "run", "--json")
    assert trained.exit_code == 0, trained.stderr
    document = json.loads(trained.stdout)
    assert document["dataset"] == "mine"
    assert np.isfinite(document["history"][0]["loss"])
    assert document["class_names"] == [f"digit {digit}" for digit in ORDER]
    evaluated = zoo("evaluate", "run", "--json")
    assert evaluated.exit_code == 0, evaluated.stderr
    assert json.loads(evaluated.stdout)["metrics"]["test_ap50"] == pytest.approx(document["metrics"]["test_ap50"])
    refused = zoo("train", "mlp", "--dataset", "mine", "--data-dir", folder, "--output", "no")
    assert refused.exit_code == 1
    assert refused.stderr.splitlines()[-1].startswith("Error: mine says what is where in its images")
    for file in folder.glob("annotations/*.json"):
        change(file, lambda document: document["categories"].append({"id": 100, "name": "one more"}))
    refused = zoo("evaluate", "run")
    assert refused.stderr.splitlines()[-1] == "Error: run tells 10 classes apart, but mine has 11. Use others."


def test_the_commands_of_the_guide_are_as_typed(zoo, written):
    """Those for one's own photographs; an epoch over six images each."""
    guide = (Path(__file__).parents[2] / "docs" / "how-to" / "photographs.md").read_text(encoding="utf-8")
    commands = [line.split() for line in guide.splitlines() if line.startswith("zoo ") and " --data-dir FOLDER" in line]
    assert len(commands) == 3
    for number, (_, *words) in enumerate(commands):
        short = ["--epochs", "1", "--batch-size", "6", "--no-report", "--output", str(number)] * (words[0] == "train")
        result = zoo(*(str(written) if word == "FOLDER" else word for word in words), *short)
        assert result.exit_code == 0, result.stderr
    assert Path("my_photos-samples.png").is_file()


def test_an_image_without_objects_misses_none():
    """A detector's accuracy on it is 1, whatever it says there."""
    from zoo import registry
    from zoo.spec.recipe import Recipe

    task = task_of(registry.get("ssd")).for_training(Recipe(), np.zeros(0), 10, image_shape=(64, 64, 1))
    outputs = np.zeros((2, *task.detector.output_shape((64, 64, 1), 10)), np.float32)
    objects = np.full((2, 3, 5), -1, np.float32)
    assert float(task.count_correct(objects, outputs)) == 2
    objects[0, 0] = (4, 0.1, 0.1, 0.4, 0.3)
    assert float(task.count_correct(objects, outputs)) == 1


# What is refused


def both(document, rows: str, **values) -> None:
    document[rows][0] |= values


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda d: both(d, "annotations", image_id=77), r"annotation 1 in .*train2017\.json is of the image 77, which"),
        (lambda d: both(d, "annotations", category_id=77), r"annotation 1 in .* is of the category 77, which the file"),
        (lambda d: both(d, "annotations", bbox=[1, 2, 3]), r"annotation 1 in .* has the bbox \[1, 2, 3\]"),
        (lambda d: both(d, "annotations", bbox=[1, 2, 3, float("nan")]), r"annotation 1 .* bbox .*nan"),
        (lambda d: both(d, "annotations", segmentation=[[1, 2, 3, 4]]), r"annotation 1 .* polygon \[1, 2, 3, 4\]"),
        (lambda d: both(d, "annotations", segmentation=[[1, 2, 3, 4, 5, float("inf")]]), "annotation 1 .* polygon"),
        (lambda d: both(d, "annotations", segmentation="somewhere"), "annotation 1 .* segmentation 'somewhere'"),
        (
            lambda d: both(d, "annotations", segmentation={"size": [64, 64], "counts": [64]}),
            "annotation 1 .* run lengths of 64 pixels .* its image is \\[64, 64\\]",
        ),
        (
            lambda d: both(d, "annotations", segmentation={"size": [64, 64], "counts": "2"}),
            "annotation 1 .* run lengths of 2 pixels",
        ),
        (
            lambda d: both(d, "annotations", segmentation={"size": [32, 128], "counts": [4096]}),
            r"the size \[32, 128\]; its image is \[64, 64\]",
        ),
        (lambda d: d["annotations"].append(7), r"an annotation in .* has the id None"),
        (
            lambda d: both(d, "images", file_name="gone.png"),
            r"lists the image gone\.png, which is in none of .*train2017",
        ),
        (lambda d: both(d, "images", height=65), r"0000\.png is 64x64 pixels large, .* speak of 64x65"),
        (lambda d: both(d, "images", id=10), "two images with the id 10"),
        (lambda d: d.update(images=[]), "lists no images"),
        (lambda d: d.pop("annotations"), "has no list of annotations"),
        (lambda d: d.update(categories=[]), "has 0 categories"),
        (lambda d: both(d, "categories", id=1), "two categories with one id"),
        (lambda d: both(d, "categories", name="cat"), "have other categories"),
        (lambda d: d.update(annotations=[]), r"instances_train2017\.json names no object at all"),
        (
            lambda d: d.update(annotations=[{**d["annotations"][0], "id": number} for number in range(256)]),
            r"instances_train2017\.json has an image with 256 objects. At most 255 are read",
        ),
    ],
)
def test_what_contradicts_itself_is_named(folder, train_json, edit, words):
    """One line that says which file, which annotation, and what to do."""
    change(train_json, edit)
    with pytest.raises(DataError, match=words) as caught:
        data.load("mine", data_dir=folder)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_read_is_named(folder, train_json, monkeypatch):
    """Damaged JSON, what is no picture, a picture that ends too soon, 16 bits, too much, half of it, two of a kind."""
    image = folder / "train2017" / "0000.png"
    sound, document = image.read_bytes(), train_json.read_text()
    image.write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"0000\.png cannot be read as an image .* Save it again"):
        data.load("mine", data_dir=folder)
    image.write_bytes(sound[:-60])
    with pytest.raises(DataError, match=r"0000\.png cannot be read as an image"):
        data.load("mine", data_dir=folder)
    Image.fromarray(np.zeros((64, 64), np.uint16)).save(image)
    with pytest.raises(DataError, match=r"0000\.png has more than 8 bits"):
        data.load("mine", data_dir=folder)
    image.write_bytes(sound)
    train_json.write_text(document[:-9])
    with pytest.raises(DataError, match=r"instances_train2017\.json is not valid JSON"):
        data.load("mine", data_dir=folder)
    train_json.write_text("[]")
    with pytest.raises(DataError, match="has no list of images: it is not in COCO's format"):
        data.load("mine", data_dir=folder)
    train_json.write_text(document)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset_module, "LARGEST_BYTES", 1000)
        with pytest.raises(DataError, match=r"mine, decoded, takes .* GiB"):
            data.load("mine", data_dir=folder)
    with pytest.raises(DataError, match=r"holds boxes or masks, and mnist is .* --dataset NAME"):
        data.load("mnist", data_dir=folder)
    shutil.copy(train_json, train_json.with_name("instances_train2014.json"))
    with pytest.raises(DataError, match=r"holds instances_train2014\.json and instances_train2017\.json"):
        data.load("mine", data_dir=folder)
    for file in folder.glob("annotations/*train*"):
        file.unlink()
    with pytest.raises(DataError, match=r"has no images to train on: it lacks annotations/instances_train"):
        data.load("mine", data_dir=folder)
