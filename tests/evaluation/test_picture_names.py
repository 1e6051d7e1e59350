"""What `zoo predict` draws into: a picture for each image, under a name that can be foreseen, never over an image."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import tensorflow as tf
from PIL import Image

from zoo import registry
from zoo.evaluation.predict import predict
from zoo.spec import Recipe, Run
from zoo.tasks import task_of

SHAPE = (64, 64, 1)


class Blind:
    """A detector that sees nothing."""

    input_shape = (None, *SHAPE)

    def __call__(self, batch: tf.Tensor, training: bool) -> tf.Tensor:
        shape = task_of(registry.get("ssd")).detector.output_shape(SHAPE, 10)
        return tf.zeros((tf.shape(batch)[0], *shape))


def draw(*paths: str | Path, output: str | Path = "out") -> list[str]:
    """Predict on images, made where they are not there, each of a grey of its own; return their pictures.

    Asserts that each picture is that of its own image, and that no image was touched.
    """
    greys = {os.path.realpath(path): 20 + 10 * number for number, path in enumerate(paths)}
    for path, grey in greys.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (64, 64), grey).save(path, "PNG")
    before = {path: Path(path).read_bytes() for path in greys}
    document = {"model": "ssd", "task": "detection", "dataset": "mnist_scenes", "class_names": list("0123456789")}
    run = Run(folder=Path("run"), document=document, recipe=Recipe(), load=Blind)
    found = predict(run, paths, output=output)["predictions"]
    assert [one["path"] for one in found] == [os.fspath(path) for path in paths]
    for one in found:
        with Image.open(one["picture"]) as picture:
            assert picture.convert("L").getpixel((5, 5)) == pytest.approx(greys[os.path.realpath(one["path"])], abs=1)
    assert {path: Path(path).read_bytes() for path in greys} == before
    return [os.path.relpath(one["picture"], output) for one in found]


def test_one_image_has_its_stem():
    """As ever; a picture of an earlier call is replaced."""
    assert draw("a/cat.png") == ["cat-ssd.png"]
    assert draw("b/cat.jpg", "dog.png") == ["cat-ssd.png", "dog-ssd.png"]
    assert sorted(path.name for path in Path("out").iterdir()) == ["cat-ssd.png", "dog-ssd.png"]


@pytest.mark.parametrize(
    ("paths", "wanted"),
    [
        (("a/cat.png", "b/cat.png"), ("a-cat", "b-cat")),
        (("cat.png", "cat.jpg", "dog.png"), ("cat-png", "cat-jpg", "dog")),
        (("a/cat.png", "b/cat.png", "a/cat.jpg"), ("a-cat-png", "b-cat-png", "a-cat-jpg")),
        (("x/a/cat.png", "y/a/cat.png"), ("x-a-cat", "y-a-cat")),
        (("cat.png", "cat"), ("cat-png", "cat")),
        (("a/cat.png", "b/Cat.png"), ("a-cat", "b-Cat")),
        (("a/k\u00e4se.png", "b/ka\u0308se.png"), ("a-k\u00e4se", "b-ka\u0308se")),
    ],
)
def test_images_of_one_name_are_told_apart(paths, wanted):
    """By what is before and behind it, in whichever order they are given."""
    assert draw(*paths) == [f"{name}-ssd.png" for name in wanted]
    assert draw(*reversed(paths)) == [f"{name}-ssd.png" for name in reversed(wanted)]


def test_an_image_that_is_given_twice_has_one_picture():
    """However it is written; but where a link leads elsewhere, so do the dots behind it."""
    Path("b/deep").mkdir(parents=True)
    assert draw("a/cat.png", "./a/cat.png", "b/../a/cat.png", "a/dog.png") == [*["cat-ssd.png"] * 3, "dog-ssd.png"]
    Path("link").symlink_to("b/deep")
    assert draw("cat.png", "link/../cat.png") == ["cat-ssd.png", "cat-ssd-2.png"]


def test_what_paths_leave_alike_is_numbered():
    """Names that differ by their capital letters alone, on whichever file system, and folders with dashes."""
    assert draw("a/cat.png", "a/Cat.png", "a/CAT.png") == ["cat-ssd.png", "Cat-ssd-2.png", "CAT-ssd-3.png"]
    assert draw("x-y/cat.png", "y/cat.png", "x-y-cat.png") == ["x-y-cat-ssd.png", "y-cat-ssd.png", "x-y-cat-ssd-2.png"]


def test_no_image_is_drawn_over():
    """Not one of the same call, whatever it is called, and not by a link."""
    assert draw("a.png", "a-ssd.png", output=".") == ["a-ssd-2.png", "a-ssd-ssd.png"]
    assert draw("in/a.png", "out/A-ssd.png", "out/a-ssd-2.png") == ["a-ssd-3.png", "A-ssd-ssd.png", "a-ssd-2-ssd.png"]
    Path("other").mkdir()
    Path("other/b-ssd.png").symlink_to("../in/b.png")
    assert draw("in/b.png", output="other") == ["b-ssd-2.png"]


@pytest.mark.parametrize("stem", ["\u732b" * 83, "x" * 251, "a" + "\u00e4" * 125])
def test_a_long_name_is_cut_to_what_file_systems_take(stem):
    """255 bytes, between characters; two that are cut alike are numbered."""
    first, second = draw(f"a/{stem}.png", f"a/{stem[:-1]}b.png")
    assert first.endswith("-ssd.png")
    assert stem.startswith(first.removesuffix("-ssd.png"))
    assert 250 < len(os.fsencode(first)) <= 255
    assert first != second


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        (".hidden.png", "hidden"),
        ("..png", "image"),
        ("-x.png", "-x"),
        ("a.b.c.png", "a.b.c"),
        ("100% \u732b.png", "100% \u732b"),
    ],
)
def test_other_names(name, wanted):
    """A dot before a name would hide the picture."""
    assert draw(f"a/{name}") == [f"{wanted}-ssd.png"]
