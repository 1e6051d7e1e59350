"""COCO's format as tools write it: what has one meaning is read and announced, the rest is an error that helps."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from coco_samples import change, document, json_file, picture, write_folder
from PIL import Image

from zoo import data
from zoo.errors import DataError

BOTH = ("train", "val")


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    return write_folder(tmp_path_factory.mktemp("coco") / "data")


@pytest.fixture(scope="module")
def plain(written) -> data.Dataset:
    return data.read_coco(written)


@pytest.fixture
def folder(written, tmp_path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(written, tmp_path / "mine"))


def read(folder: Path) -> tuple[data.Dataset, list[str]]:
    said: list[str] = []
    return data.load("mine", data_dir=folder, announce=said.append), said


def assert_same(found: data.Dataset, wanted: data.Dataset) -> None:
    assert found.class_names == wanted.class_names
    assert found.digests == wanted.digests


def each(rows: str, **edits):
    """An edit of every row: a value, or a function of the value that stands there."""

    def edit(content):
        for row in content[rows]:
            for key, value in edits.items():
                row[key] = value(row.get(key)) if callable(value) else value

    return edit


def without(rows: str, *keys: str):
    def edit(content):
        for row in content[rows]:
            for key in keys:
                row.pop(key, None)

    return edit


# Values


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (
            each("annotations", image_id=float, category_id=float),
            "12 ids, sizes, flags or boxes are written in another",
        ),
        (each("images", width=float, height=float), "12 ids, sizes"),
        (each("images", width=str, height=lambda value: f"{value}.0"), "12 ids"),
        (each("images", id=str), "6 ids"),
        (each("annotations", image_id=str, category_id=lambda value: f" {value} "), "12 ids"),
        (each("categories", id=float), "2 ids"),
        (each("annotations", iscrowd="0"), "6 ids, sizes, flags"),
        (each("annotations", iscrowd=False), "6 ids"),
        (each("annotations", iscrowd="false"), "6 ids"),
        (each("annotations", iscrowd=0.0), "6 ids"),
        (each("annotations", bbox=lambda box: [str(value) for value in box]), "6 ids, sizes, flags or boxes"),
        (each("annotations", bbox=str), "6 ids, sizes, flags or boxes"),
        (each("annotations", iscrowd=None), None),
        (each("annotations", segmentation=[]), None),
        (each("annotations", segmentation=[[]]), None),
        (each("annotations", segmentation="[]"), None),
        (each("annotations", segmentation=None, id=7), None),  # ids of annotations are used for nothing
        (without("annotations", "id", "area", "iscrowd"), None),
        (without("images", "width", "height"), None),
        (without("images", "height"), None),
        (each("images", width=0, height=0), None),
        (each("categories", supercategory="none", color=None, keypoints=[]), None),
    ],
)
def test_a_value_in_another_form_is_what_it_means(folder, plain, edit, words):
    """The same data set, to the byte; that it was read so is said in one line for the file, with a number."""
    change(folder, edit)
    found, said = read(folder)
    assert_same(found, plain)
    assert [line for line in said[1:] if words and words in line] == said[1:]
    assert len(said) == (2 if words else 1)


def test_every_crowd_is_counted(folder, plain):
    """Whichever way it is marked; none is dropped without a word."""

    def edit(content):
        crowds = (1, "1", True, "true", 1.0)
        content["annotations"] += [
            {"image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "iscrowd": mark} for mark in crowds
        ]

    change(folder, edit)
    found, said = read(folder)
    assert_same(found, plain)
    assert any("5 crowds (iscrowd) are left out" in line for line in said)


def test_ids_may_be_names(folder, plain):
    """Of images and categories; 01 is a name, and not 1."""
    ids = {1: "cat", 3: "dog"}
    change(folder, each("categories", id=ids.get), BOTH)
    change(folder, each("annotations", category_id=ids.get, image_id=lambda number: f"0{number}"), BOTH)
    change(folder, each("images", id=lambda number: f"0{number}"), BOTH)
    change(folder, lambda content: content["images"].append({"id": 1, "file_name": "train_0.png"}))
    found, _ = read(folder)
    assert np.array_equal(found.train.boxes[:6], plain.train.boxes)
    assert (found.train.boxes[6] == -1).all()


def test_gaps_zero_and_unused_categories(folder, plain):
    """Classes follow the ids' order; one that marks nothing is a class still, as Roboflow's category 0."""
    more = [{"id": 90, "name": "unused"}, {"id": 0, "name": "pets", "supercategory": "none"}]
    change(folder, lambda content: content["categories"].extend(more), BOTH)
    found, _ = read(folder)
    assert found.class_names == ("pets", "cat", "dog", "unused")
    assert np.array_equal(
        found.train.boxes[..., 0], np.where(plain.train.boxes[..., 0] < 0, -1, plain.train.boxes[..., 0] + 1)
    )


def test_two_categories_of_one_name_are_told_apart(folder, plain):
    """Neither is merged nor lost, and it is said."""
    change(folder, lambda content: content["categories"].append({"id": 7, "name": "cat"}), BOTH)
    change(folder, lambda content: content["annotations"][0].update(category_id=7))
    found, said = read(folder)
    assert found.class_names == ("cat", "dog", "cat (7)")
    assert found.train.boxes[0, 0, 0] == 2
    assert any("1 categories have the name of another one" in line for line in said)


def test_categories_of_both_files_are_matched_by_name(folder, plain):
    """Exporters number each file for itself, and leave out what a file does not use."""

    def edit(content):
        content["categories"] = [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]
        for row in content["annotations"]:
            row["category_id"] = {1: 2, 3: 1}[row["category_id"]]

    change(folder, edit, ("val",))
    found, said = read(folder)
    assert_same(found, plain)
    assert any("2 categories are matched with those of instances_train.json by name" in line for line in said)

    def keep_dogs(content):
        content["categories"] = [{"id": 1, "name": "dog"}]
        content["annotations"] = [row for row in content["annotations"] if row["category_id"] == 1]

    change(folder, keep_dogs, ("val",))
    found, _ = read(folder)
    assert found.class_names == ("cat", "dog")
    assert set(found.test.boxes[found.test.boxes[..., 0] >= 0][:, 0]) == {1}
    change(folder, lambda content: content["categories"].append({"id": 5, "name": "cow"}), ("val",))
    with pytest.raises(DataError, match="have other categories: only the latter has 'cow'. Give both files the same"):
        read(folder)


def test_what_reaches_beyond_the_image_is_cut_off_and_said(folder):
    """Negative or too large; a pixel is rounding, and what has no area inside is left out."""

    def edit(content):
        boxes = ([-10, -5, 30, 20], [50, 50, 40, 40], [0, 0, 64.5, 64], [70, 5, 9, 9], [5, 5, 0, 9], [30, 30, -9, -9])
        for row, box in zip(content["annotations"], boxes, strict=True):
            row["bbox"] = box

    change(folder, edit)
    found, said = read(folder)
    assert found.train.boxes[0, 0, 1:].tolist() == pytest.approx([0, 0, 15 / 64, 20 / 64])
    assert found.train.boxes[1, 0, 1:].tolist() == pytest.approx([50 / 64, 50 / 64, 1, 1])
    assert found.train.object_counts.tolist() == [1, 1, 1, 0, 0, 0]
    assert any("3 boxes have no area" in line and "2 boxes reach beyond their image" in line for line in said)


def test_a_missing_box_is_that_of_its_polygons(folder, plain):
    """Flat or nested, as text or as numbers."""

    def edit(content):
        for number, row in enumerate(content["annotations"]):
            left, top, width, height = row["bbox"]
            right, bottom = left + width, top + height
            outline = [left, top, right, top, right, bottom, left, bottom]
            row["segmentation"] = (outline, [outline], [list(map(str, outline))])[number % 3]
            row["bbox"] = ([], None)[number % 2]

    change(folder, edit, BOTH)
    found, said = read(folder)
    assert np.array_equal(found.train.boxes, plain.train.boxes)
    assert found.train.masks is not None
    assert np.array_equal(found.train.masks > 0, np.abs(found.train.images[..., 0].astype(int) - 20) > 5)
    assert any("6 boxes are missing, and are taken from their polygons" in line for line in said)


@pytest.mark.parametrize("form", ["list", "floats", "text", "stringified"])
def test_run_lengths_in_any_form(folder, form):
    """As COCO writes them, with 64.0 or "64" for a size, or as one text."""
    from pycocotools import mask as coco

    def edit(content):
        for row in content["annotations"]:
            mask = np.zeros((64, 64), np.uint8, order="F")
            left, top, width, height = row["bbox"]
            mask[top : top + height, left : left + width] = 1
            packed = coco.encode(mask)
            flat = mask.ravel(order="F")
            edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [0]])))
            counts = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
            row["segmentation"] = {
                "list": {"size": [64, 64], "counts": counts},
                "floats": {"size": [64.0, 64.0], "counts": [float(count) for count in counts]},
                "text": {"size": ["64", "64"], "counts": packed["counts"].decode()},
                "stringified": json.dumps({"size": [64, 64], "counts": counts}),
            }[form]

    change(folder, edit, BOTH)
    found, _ = read(folder)
    assert found.train.masks is not None
    assert np.array_equal(found.train.masks > 0, np.abs(found.train.images[..., 0].astype(int) - 20) > 5)


# Sizes


def test_swapped_width_and_height(folder, plain):
    """Read from the file where the boxes fit into that; where they do not, it is another image."""
    wide = np.concatenate([picture(0), picture(1)], axis=1)
    Image.fromarray(wide).save(folder / "train" / "train_0.png")

    def swap(content):
        content["images"][0] |= {"width": 64, "height": 128}
        content["annotations"][0]["bbox"] = [75, 10, 24, 20]

    change(folder, swap)
    found, said = read(folder)
    assert any("1 images have their width and height swapped" in line for line in said)
    assert found.train.boxes[0, 0, 1:].tolist() == pytest.approx([10 / 64, 75 / 128, 30 / 64, 99 / 128])
    change(folder, lambda content: content["annotations"][0].update(bbox=[10, 80, 24, 20]))
    with pytest.raises(DataError, match=r"train_0\.png is 128x64 pixels large, but its annotations speak of 64x128"):
        read(folder)


# Encodings


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_every_encoding_of_json(folder, plain, encoding):
    """With a mark at the beginning, as Windows' tools write it, or without."""
    for half in BOTH:
        file = json_file(folder, half)
        file.write_text(file.read_text(encoding="utf-8"), encoding=encoding)
    found, said = read(folder)
    assert_same(found, plain)
    assert len(said) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty. Export it again"),
        (b"\xef\xbb\xbf \n", "is not valid JSON"),
        (b'{"images": []}\n{"images": []}\n', r"is not valid JSON \(Extra data"),
        (b'[{"image_id": 1, "bbox": [1, 2, 3, 4]}]', "has no list of images: it is not in COCO's format"),
        ('{"images": ["Käse"]}'.encode("latin-1"), "is not valid JSON .* in UTF-8"),
    ],
)
def test_what_is_no_coco_file_is_named(folder, content, words):
    """Empty, JSON lines, a list, another encoding."""
    json_file(folder).write_bytes(content)
    with pytest.raises(DataError, match=rf"instances_train\.json {words}"):
        read(folder)


# Names of images


@pytest.mark.parametrize(
    "spelling",
    [
        "train\\{}",
        "C:\\data\\photos\\train\\{}",
        "/home/me/photos/train/{}",
        "./{}",
        "../images/{}",
        "file:///C:/data/{}",
        "https://example.org/upload/1/{}?token=7",
        "/data/local-files/?d=photos%5Ctrain%5C{}",
        "TRAIN/{}",
        "s3://[bucket/upload/{}",
        "a/folder/that/was/here/{}",
    ],
)
def test_an_image_is_found_by_the_end_of_its_name(folder, plain, spelling):
    """Written on another system or before the folder was moved; what was found so is said, with an example."""
    change(folder, each("images", file_name=spelling.format))
    found, said = read(folder)
    assert_same(found, plain)
    if spelling != "./{}":
        assert any("6 images were found by the end of their file_name" in line for line in said)
        assert any("is 'train/train_0.png'" in line for line in said)


@pytest.mark.parametrize(
    ("spelling", "lies"),
    [
        ("my%20cat.png", "my cat.png"),
        ("100%.png", "100%.png"),
        ("cat.JPG", "cat.jpg"),
        ("ka\u0308se.png", "k\u00e4se.png"),
        ("x.png", "deep/er/x.png"),
        ("{0}.png", "{0}.png"),
        ("a\\b.png", "a/b.png"),
    ],
)
def test_other_spellings_of_a_name(folder, plain, spelling, lies):
    """Codes of an address, capital letters, accents in two characters, a folder that is not mentioned."""
    target = folder / "train" / lies
    target.parent.mkdir(parents=True, exist_ok=True)
    (folder / "train" / "train_0.png").rename(target)
    change(folder, lambda content: content["images"][0].update(file_name=spelling))
    assert_same(read(folder)[0], plain)


def test_two_images_of_one_name_in_two_folders(folder, plain):
    """Each is its own where the folders are written, whatever stands before them; else it is asked for."""
    for number, place in ((0, "a"), (1, "b")):
        (folder / "train" / place).mkdir()
        (folder / "train" / f"train_{number}.png").rename(folder / "train" / place / "cat.png")

    def name(*names):
        def edit(content):
            for row, given in zip(content["images"], names, strict=False):
                row["file_name"] = given

        return edit

    for names in (("a/cat.png", "b/cat.png"), ("a\\cat.png", "D:\\x\\b\\cat.png")):
        change(folder, name(*names))
        assert_same(read(folder)[0], plain)
    change(folder, name("cat.png", "b/cat.png"))
    with pytest.raises(
        DataError, match=r"lists the image cat\.png, which may be .*a/cat\.png or .*b/cat\.png. Write the"
    ):
        read(folder)
    shutil.rmtree(folder / "train" / "a")
    change(folder, name("a/cat.png", "b/cat.png"))
    with pytest.raises(DataError, match=r"lists the images b/cat\.png and a/cat\.png, and for both there is only"):
        read(folder)


def test_an_image_of_the_other_half_is_not_taken(folder):
    """Both halves may have a 7.png: one that is missing here is not found there."""
    (folder / "train" / "7.png").write_bytes((folder / "train" / "train_0.png").read_bytes())
    change(folder, lambda content: content["images"][0].update(file_name="C:\\photos\\7.png"), ("val",))
    with pytest.raises(DataError, match=r"instances_val\.json lists the image C:\\photos\\7\.png, which is in none of"):
        read(folder)


def test_missing_images_are_counted(folder):
    """One or all of them."""
    (folder / "train" / "train_0.png").unlink()
    with pytest.raises(
        DataError, match=r"lists the image train_0\.png, which is in none of [^;]*train\S*, \S*mine\. Put it there"
    ):
        read(folder)
    (folder / "train" / "train_4.png").unlink()
    with pytest.raises(
        DataError, match=r"lists the image train_0\.png, .*; 2 of its 6 images are missing. Put them there"
    ):
        read(folder)
    change(folder, each("images", file_name=f"{'x' * 300}.png"))
    with pytest.raises(DataError, match=r"lists the image x+\.png, .*; 6 of its 6 images are missing"):
        read(folder)


# Layouts


@pytest.mark.parametrize(
    ("train", "val"),
    [
        ("annotations/instances_Train.json", "annotations/instances_Val.json"),
        ("instances_train.json", "instances_val.json"),
        ("train/annotations/instances_default.json", "val/annotations/instances_default.json"),
        ("train/result.json", "val/result.json"),
        ("train/annotations.json", "val/labels.json"),
        ("train/coco_export.json", "val/coco_export.json"),
        ("annotations/annotations_train.json", "annotations/annotations_val.json"),
        ("my-train-v2.json", "my-validation-v2.json"),
        ("training.json", "testing.json"),
        ("train/_annotations.coco.json", "val/_annotations.coco.json"),
    ],
)
def test_names_that_tools_give_their_files(folder, plain, train, val):
    """CVAT's, Label Studio's, Roboflow's, and any that is called after its half or lies in its folder."""
    for half, name in (("train", train), ("val", val)):
        content = json_file(folder, half).read_bytes()
        json_file(folder, half).unlink()
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    assert_same(read(folder)[0], plain)


def test_coco_s_own_names_come_first(folder, plain):
    """Beside them lie captions, key points, and results of one's own, as in COCO's folder."""
    for name in (
        "annotations/captions_train.json",
        "annotations/person_keypoints_val.json",
        "test/results.json",
        "x.json",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("[]")
    assert_same(read(folder)[0], plain)


def test_several_files_of_one_half_are_named(folder):
    """Not all of a hundred."""
    for half in BOTH:
        json_file(folder, half).unlink()
    for number in range(100):
        (folder / "train" / f"labels_{number:02}.json").write_text("{}")
    with pytest.raises(DataError, match=r"holds labels_00\.json and labels_01\.json and labels_02\.json and 97 more"):
        read(folder)


LONE = (
    "annotations/instances_default.json",
    "result.json",
    "annotations.json",
    "_annotations.coco.json",
    "labels.json",
    "annotations/my_export.json",
)


def lone(folder: Path, name: str, *, images: str = "images", more: int = 0) -> None:
    """Write one file for all images, which lie in one folder."""
    shutil.rmtree(folder / "annotations")
    (folder / images).mkdir(parents=True)
    (folder / name).parent.mkdir(exist_ok=True)
    whole = document("train")
    for number in range(6, 6 + more):
        whole["images"].append({"id": number + 1, "file_name": f"train_{number}.png"})
        whole["annotations"].append({"image_id": number + 1, "category_id": 1, "bbox": [1, 2, 20, 20]})
        shutil.copy(folder / "train" / "train_0.png", folder / "train" / f"train_{number}.png")
    for row in whole["images"]:
        (folder / "train" / row["file_name"]).rename(folder / images / row["file_name"])
    shutil.rmtree(folder / "val")
    (folder / "train").rmdir()
    (folder / name).write_text(json.dumps(whole))


@pytest.mark.parametrize("name", LONE)
def test_one_file_for_all_images_is_divided(folder, plain, name):
    """One image in five is kept to test on; each is in one half, and what was done is said with the next step."""
    lone(folder, name)
    found, said = read(folder)
    assert (len(found.train), len(found.test)) == (5, 1)
    both = np.concatenate([found.train.images, found.test.images])
    wanted = sorted(picture(number).tobytes() for number in range(6))
    assert sorted(image.tobytes() for image in both) == wanted
    assert any(
        "covers all images: 5 are to train on, 1 to test on" in line and "instances_val.json" in line for line in said
    )
    assert_same(read(folder)[0], found)


def test_a_division_hangs_on_names_alone(folder):
    """Other ids, another order, and another folder change nothing; images that come to it move few of the others."""
    lone(folder, "result.json", more=24)
    first, _ = read(folder)
    assert (len(first.train), len(first.test)) == (24, 6)
    content = json.loads((folder / "result.json").read_text())
    tested = {image.tobytes() for image in first.test.images}
    for row in content["images"] + content["annotations"]:
        key = "image_id" if "image_id" in row else "id"
        row[key] = 1000 - row[key]
        row["file_name"] = f"D:\\elsewhere\\{row.get('file_name')}"
    content["images"].reverse()
    (folder / "result.json").write_text(json.dumps(content))
    assert {image.tobytes() for image in read(folder)[0].test.images} == tested


def test_images_without_objects_are_divided_too(folder):
    """Among the images to test on there is always one with an object."""
    lone(folder, "result.json", more=24)
    content = json.loads((folder / "result.json").read_text())
    content["annotations"] = content["annotations"][:2]
    (folder / "result.json").write_text(json.dumps(content))
    found, _ = read(folder)
    assert (found.train.object_counts.sum(), found.test.object_counts.sum(), len(found.test)) == (1, 1, 6)
    content["annotations"] = content["annotations"][:1]
    (folder / "result.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"result\.json marks objects in 1 of its images. Two are needed"):
        read(folder)


def test_a_half_that_is_missing_says_both_next_steps(folder):
    """A file that is called after a half is not divided in silence."""
    json_file(folder, "val").unlink()
    with pytest.raises(
        DataError, match=r"has no images to test on: it lacks annotations/instances_val.* or move .*train"
    ):
        read(folder)
    json_file(folder).rename(folder / "annotations.json")
    assert [len(half) for half in (read(folder)[0].train, read(folder)[0].test)] == [5, 1]


# What is refused


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (each("annotations", iscrowd="maybe"), "annotation 1 .* has the iscrowd 'maybe', .*: 0 or 1. Correct it"),
        (each("annotations", bbox=["1", "2", "wide", "4"]), r"has the bbox \['1', '2', 'wide', '4'\]. It must be left"),
        (each("annotations", bbox=["1", "2", "NaN", "4"]), "has the bbox .*'NaN'"),
        (each("annotations", bbox=[True, 2, 3, 4]), "has the bbox .*True"),
        (each("annotations", bbox=[0.1, 0.2, 0.3, 0.4]), "no bbox that reaches beyond the first pixel.* Multiply them"),
        (each("annotations", image_id=1.5), "has the image_id 1.5, .*: a whole number or a text"),
        (each("annotations", image_id=77), r"annotation 1 .* of the image 77, .*; 5 more annotations are like it. Add"),
        (each("annotations", category_id=None), "has the category_id None"),
        (
            without("annotations", "id", "image_id"),
            r"annotation number 1 \(without an id\) in .* has the image_id None",
        ),
        (each("images", width=64.5), "image 1 .* has the width 64.5, .*: a whole number of pixels"),
        (each("images", width=-64), "image 1 .* has the width -64"),
        (each("images", file_name=""), "image 1 .* has the file_name ''"),
        (lambda content: content["images"].append({"id": "1.0", "file_name": "x.png"}), "two images with the id 1"),
        (each("categories", name=None), "a category in .* has the name None"),
    ],
)
def test_what_has_no_one_meaning_is_refused(folder, edit, words):
    """With the value received, the rule and the next step, in one line."""
    change(folder, edit)
    with pytest.raises(DataError, match=words) as caught:
        read(folder)
    assert "instances_train.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_as_tools_write_it_is_trained_on(zoo, folder):
    """All at once, from the command line."""
    lone(folder, "annotations/instances_default.json", images="images/default")
    file = folder / "annotations" / "instances_default.json"
    content = json.loads(file.read_text())
    each("annotations", image_id=float, category_id=str, iscrowd="0", bbox=str)(content)
    each("images", file_name="C:\\cvat\\default\\{}".format, width=str, height=float)(content)
    file.write_text(json.dumps(content), encoding="utf-8-sig")
    command = ("train", "ssd", "--dataset", "mine", "--data-dir", folder, "--epochs", "1", "--batch-size", "5")
    trained = zoo(*command, "--no-report", "--output", "run", "--json")
    assert trained.exit_code == 0, trained.stderr
    assert json.loads(trained.stdout)["class_names"] == ["cat", "dog"]
    assert "covers all images" in trained.stderr
