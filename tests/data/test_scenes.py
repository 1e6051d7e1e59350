"""Scenes of digits: what is drawn is what the boxes and masks say, and follows from the seed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from zoo import data
from zoo.data.sources.drawn_scenes import INK, OVERLAP, Layout, draw_dataset, draw_scenes
from zoo.errors import DataError


@pytest.fixture(scope="module")
def digits() -> data.Dataset:
    return data.load("digits")


@pytest.fixture(scope="module")
def scenes(digits) -> data.Split:
    return draw_scenes(digits.train, Layout(), 200, seed=3)


def _shares(boxes: np.ndarray) -> np.ndarray:
    """The intersection's share of the smaller box, for each pair (M, M) of boxes (M, 4)."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    both = np.clip(high - low, 0, None).prod(axis=-1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=-1)
    return both / np.minimum(area[:, None], area)


def test_scenes_have_the_shapes_and_types_that_are_promised(scenes):
    """Images, boxes, masks and instances, and no one label; objects are counted."""
    assert scenes.labels is None
    assert (scenes.images.shape, scenes.images.dtype) == ((200, 64, 64, 1), np.uint8)
    assert (scenes.boxes.shape, scenes.boxes.dtype) == ((200, 8, 5), np.float32)
    assert scenes.masks.shape == scenes.instances.shape == (200, 64, 64)
    present = scenes.boxes[..., 0] >= 0
    assert np.array_equal(scenes.object_counts, present.sum(axis=1))
    assert scenes.object_counts.min() >= 1
    assert set(np.unique(scenes.object_counts)) >= {1, 2, 3, 4}
    assert (scenes.boxes[~present] == -1).all()


def test_boxes_lie_within_the_image_and_overlap_little(scenes):
    """Edges are in order and between 0 and 1; no two boxes share more than the limit."""
    for row in scenes.boxes:
        boxes = row[row[:, 0] >= 0, 1:]
        assert (boxes >= 0).all()
        assert (boxes <= 1).all()
        assert (boxes[:, :2] < boxes[:, 2:]).all()
        shares = _shares(boxes)
        np.fill_diagonal(shares, 0)
        assert shares.max() <= OVERLAP + 1e-6


def test_boxes_fit_the_ink_of_their_instance(scenes):
    """A digit that nothing covers fills its box to every edge; its pixels have its class, all others none."""
    alone = np.flatnonzero(scenes.object_counts == 1)
    assert len(alone) > 5
    for row in alone:
        y, x = np.nonzero(scenes.images[row, ..., 0] >= INK)
        edges = np.array([y.min(), x.min(), y.max() + 1, x.max() + 1]) / 64
        assert scenes.boxes[row, 0, 1:] == pytest.approx(edges)
        assert np.array_equal(scenes.instances[row] > 0, scenes.images[row, ..., 0] >= INK)
    for row in range(50):
        labels = np.concatenate([[0], scenes.boxes[row, :, 0] + 1])
        assert np.array_equal(scenes.masks[row], labels[scenes.instances[row]])
        found = np.unique(scenes.instances[row])
        assert set(found) == set(range(scenes.object_counts[row] + 1))


def test_a_digit_is_drawn_as_it_is(digits):
    """At its own size and upright, a scene's digit is the dataset's, pixel for pixel."""
    one = data.Split(digits.train.images[:1], digits.train.labels[:1])
    scenes = draw_scenes(one, Layout(scales=(1.0, 1.0), turn=0.0), 20, seed=0)
    row = int(np.flatnonzero(scenes.object_counts == 1)[0])
    y, x = np.nonzero(one.images[0, ..., 0] >= INK)
    digit = one.images[0, y.min() : y.max() + 1, x.min() : x.max() + 1, 0]
    top, left, bottom, right = np.rint(scenes.boxes[row, 0, 1:] * 64).astype(int)
    assert np.array_equal(scenes.images[row, top:bottom, left:right, 0], digit)


def test_scenes_follow_from_the_seed(digits):
    """The same seed draws the same scenes, another seed others; test scenes show test digits alone."""
    layout = dataclasses.replace(Layout(), train=20, test=10)
    one, same, other = (draw_dataset("few", layout, digits, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(one.train.images, same.train.images)
    assert np.array_equal(one.test.boxes, same.test.boxes)
    assert not np.array_equal(one.train.images, other.train.images)
    blank = data.Split(np.zeros_like(digits.train.images), digits.train.labels)
    tested = draw_dataset("few", layout, dataclasses.replace(digits, train=blank), seed=0)
    assert np.array_equal(tested.test.images, one.test.images)


def test_clutter_belongs_to_nobody(digits):
    """There is ink outside of every instance, and none of it has a class."""
    scenes = draw_scenes(digits.train, Layout(clutter=6), 50, seed=0)
    stray = (scenes.images[..., 0] >= INK) & (scenes.instances == 0)
    assert stray.any(axis=(1, 2)).mean() > 0.9
    assert (scenes.masks[stray] == 0).all()


def test_scenes_are_listed_and_loaded_by_name(monkeypatch, digits):
    """They are in the catalog, and drawn from MNIST wherever that comes from."""
    names = {info.name for info in data.list_datasets()}
    assert names >= {"mnist_scenes", "mnist_scenes_cluttered", "mnist_scenes_large"}
    with pytest.raises(DataError):
        data.load("mnist_scenes", data_dir="/nonexistent")


def test_taking_rows_takes_everything(scenes):
    """What is known of an image goes with it."""
    few = scenes.take(np.array([5, 7]))
    assert np.array_equal(few.boxes, scenes.boxes[[5, 7]])
    assert np.array_equal(few.masks, scenes.masks[[5, 7]])
    assert np.array_equal(few.instances, scenes.instances[[5, 7]])
    assert few.labels is None
    assert data.Split(scenes.images).take(slice(3)).boxes is None


def test_a_split_is_as_long_as_its_images(scenes, digits):
    """Whatever is known of them; masks alone count as one object each."""
    bare = data.Split(scenes.images)
    assert (len(bare), len(scenes), len(digits.test)) == (200, 200, 360)
    masked = data.Split(scenes.images, masks=scenes.masks)
    assert masked.object_counts.tolist() == [1] * 200


def test_scenes_are_batched_with_what_is_in_them(scenes):
    """A pipeline of scenes gives their boxes and masks where images with labels give these."""
    made = data.Dataset("scenes", scenes, scenes, tuple("0123456789"), "drawn", {})
    images, targets = next(made.tf_dataset("test", batch_size=7).as_numpy_iterator())
    assert np.array_equal(images, scenes.images[:7])
    assert set(targets) == {"boxes", "masks", "instances"}
    assert np.array_equal(targets["boxes"], scenes.boxes[:7])
