"""What the detectors make of boxes: worked by hand where that is possible, by slow loops where it is not."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from zoo.errors import ModelError
from zoo.tasks import boxes as geometry
from zoo.tasks.detectors import SSD, YoloV1, YoloV3, find_anchors
from zoo.tasks.measures.coco import average_precision

SHAPE = (64, 64, 1)
SINGLE = SSD(strides=(8, 16), scales=(0.2, 0.4, 0.6), ratios=((1.0, 2.0, 0.5),) * 2)
ANCHORED = YoloV3(strides=(16, 8), anchors=(((0.4, 0.4), (0.5, 0.2)), ((0.2, 0.2), (0.3, 0.1))))
GRID = YoloV1(stride=16)


def random_objects(images: int, objects: int, *, seed: int = 0, classes: int = 3) -> np.ndarray:
    """Objects (N, M, 5), some rows empty."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 0.6, (images, objects, 2))
    sizes = rng.uniform(0.1, 0.4, (images, objects, 2))
    labels = rng.integers(0, classes, (images, objects, 1))
    rows = np.concatenate([labels, corners, corners + sizes], axis=2).astype(np.float32)
    rows[rng.random((images, objects)) < 0.3] = -1
    rows[:, 0] = np.where(rows[:, 0] < 0, [0, 0.1, 0.1, 0.4, 0.5], rows[:, 0])
    return rows


def iou(a, b) -> float:
    """Intersection over union, as one computes it by hand."""
    height = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    width = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = height * width
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


# Geometry


def test_overlaps_by_hand():
    """Two squares of side 2 that share a square of side 1: 1 of 7; a box with itself: 1; apart: 0."""
    boxes = tf.constant([[0.0, 0.0, 2.0, 2.0]])
    others = tf.constant([[1.0, 1.0, 3.0, 3.0], [0.0, 0.0, 2.0, 2.0], [5.0, 5.0, 6.0, 6.0]])
    assert geometry.box_iou(boxes, others).numpy() == pytest.approx(np.array([[1 / 7, 1, 0]]))
    assert geometry.elementwise_iou(boxes, others).numpy() == pytest.approx([1 / 7, 1, 0])


def test_corners_and_centers_are_inverses():
    """To middle and size, and back."""
    boxes = tf.constant(random_objects(4, 3)[:, :1, 1:])
    assert geometry.to_corners(geometry.to_centers(boxes)).numpy() == pytest.approx(boxes.numpy(), abs=1e-6)


# SSD


def test_default_boxes_by_hand():
    """8x8 and 4x4 places with four boxes each; the first place's middle and sizes."""
    default = SINGLE.default_boxes(SHAPE)
    assert default.shape == ((64 + 16) * 4, 4)
    assert default[0] == pytest.approx([1 / 16, 1 / 16, 0.2, 0.2])
    assert default[1] == pytest.approx([1 / 16, 1 / 16, 0.2 / 2**0.5, 0.2 * 2**0.5])  # twice as wide as high
    assert default[3] == pytest.approx([1 / 16, 1 / 16, 0.08**0.5, 0.08**0.5])  # between this scale and the next
    assert default[-1] == pytest.approx([7 / 8, 7 / 8, 0.24**0.5, 0.24**0.5])


def test_maps_have_ratios_of_their_own_and_may_be_unpadded():
    """Two strides that do not divide 18 x 20, and a convolution without padding behind: 5 x 5, 3 x 3, 1 x 1."""
    detector = SSD(strides=(4, 8), scales=(0.2, 0.4, 0.6, 0.8), ratios=((1.0,), (1.0, 3.0), (0.5,)), unpadded=1)
    assert detector.grids((18, 20, 3)) == [(5, 5), (3, 3), (1, 1)]
    assert detector.boxes_per_place == (2, 3, 2)
    default = detector.default_boxes((18, 20, 3))
    assert default.shape == (25 * 2 + 9 * 3 + 2, 4)
    assert default[50 + 1] == pytest.approx([1 / 6, 1 / 6, 0.4 / 3**0.5, 0.4 * 3**0.5])
    assert default[-2:] == pytest.approx(
        np.array([[0.5, 0.5, 0.6 * 2**0.5, 0.6 / 2**0.5], [0.5, 0.5, *[0.48**0.5] * 2]])
    )


def test_numbers_that_do_not_fit_the_maps_are_refused():
    """Ratios for each map, and a scale more than maps."""
    with pytest.raises(ModelError, match="each of its 2 maps, .* received 3 ratios and 3 scales"):
        SSD(strides=(8, 16), scales=(0.2, 0.4, 0.6), ratios=((1.0,),) * 3)
    with pytest.raises(ModelError, match="received 2 ratios and 2 scales"):
        SSD(strides=(8, 16), scales=(0.2, 0.4), ratios=((1.0,),) * 2)


def test_ssd_decodes_what_it_encodes():
    """decode(encode(boxes)) is the identity."""
    places = len(SINGLE.default_boxes(SHAPE))
    boxes = tf.constant(random_objects(2, places, seed=1)[..., 1:])
    boxes = tf.where(boxes < 0, 0.3, boxes) + tf.constant([0.0, 0.0, 0.05, 0.05])
    again = SINGLE.decode_offsets(SINGLE.encode(boxes, SHAPE), SHAPE)
    assert again.numpy() == pytest.approx(boxes.numpy(), abs=1e-5)


def test_ssd_matches_as_a_loop_does():
    """Each object's best box, and every box that overlaps its best object by a half."""
    objects = random_objects(6, 4, seed=2)
    row, matched = (part.numpy() for part in SINGLE.match(tf.constant(objects), SHAPE))
    default = geometry.to_corners(tf.constant(SINGLE.default_boxes(SHAPE))).numpy()
    for image in range(len(objects)):
        present = [k for k in range(4) if objects[image, k, 0] >= 0]
        overlap = np.array([[iou(box, objects[image, k, 1:]) for k in present] for box in default])
        wanted = {}
        for place, shares in enumerate(overlap):
            if shares.max() >= 0.5:
                wanted[place] = present[int(shares.argmax())]
        best = overlap.argmax(axis=0)
        for place in np.unique(best):  # each object's best box is its own; a contested one goes to the better fit
            rivals = [k for k, mine in enumerate(best) if mine == place]
            wanted[int(place)] = present[max(rivals, key=lambda k: overlap[place, k])]
        assert {place: int(row[image, place]) for place in np.flatnonzero(matched[image])} == wanted


def test_an_object_that_fits_no_box_well_is_matched_all_the_same():
    """One far narrower than every default box still gets its best one."""
    narrow = np.full((1, 2, 5), -1, np.float32)
    narrow[0, 0] = [1, 0.1, 0.5, 0.9, 0.52]
    row, matched = SINGLE.match(tf.constant(narrow), SHAPE)
    assert int(tf.reduce_sum(tf.cast(matched, tf.int32))) == 1
    assert int(row[0, int(tf.argmax(matched[0]))]) == 0


def test_hard_negatives_by_hand():
    """One matched box: the three worst of the others count; of two, six, or as many as there are."""
    wrong = tf.constant([[9.0, 1.0, 5.0, 2.0, 4.0, 3.0]])
    one = tf.constant([[True, False, False, False, False, False]])
    assert SINGLE.hardest(wrong, one).numpy().tolist() == [[False, False, True, False, True, True]]
    two = tf.constant([[True, True, False, False, False, False]])
    assert SINGLE.hardest(wrong, two).numpy().tolist() == [[False, False, True, True, True, True]]


def test_ssd_loss_by_hand():
    """Outputs that say exactly what is there, and are sure of it, cost next to nothing; silence costs much."""
    objects = random_objects(3, 4, seed=4)
    row, matched = SINGLE.match(tf.constant(objects), SHAPE)
    own = tf.gather(tf.constant(objects), row, batch_dims=1)
    labels = tf.where(matched, tf.cast(own[..., 0], tf.int32) + 1, 0)
    perfect = tf.concat([SINGLE.encode(own[..., 1:], SHAPE), 30.0 * tf.one_hot(labels, 4)], axis=-1)
    assert SINGLE.loss(tf.constant(objects), perfect, SHAPE).numpy() == pytest.approx(0, abs=1e-4)
    nothing = tf.zeros_like(perfect)
    # All logits alike: every box that counts, the matched and three times as many, costs log 4.
    confidence = 4 * np.log(4)
    difference = np.abs(SINGLE.encode(own[..., 1:], SHAPE).numpy())
    smooth = np.where(difference < 1, difference**2 / 2, difference - 0.5).sum(axis=-1)
    count = matched.numpy().sum(axis=1)
    placed = np.where(matched.numpy(), smooth, 0).sum(axis=1) / count
    assert SINGLE.loss(tf.constant(objects), nothing, SHAPE).numpy() == pytest.approx(placed + confidence, rel=1e-5)


# YOLO


def test_yolo_v1_by_hand():
    """One object in a grid of 4x4: the cell of its middle says where it is; perfect outputs cost nothing."""
    objects = np.full((1, 2, 5), -1, np.float32)
    objects[0, 0] = [2, 0.30, 0.55, 0.50, 0.85]  # middle (0.4, 0.7): cell (1, 2), 0.6 and 0.8 within it
    outputs = np.zeros((1, 4, 4, 2 * 5 + 3), np.float32)
    outputs[0, 1, 2, :5] = [0.6, 0.8, 0.2**0.5, 0.3**0.5, 1]
    outputs[0, 1, 2, 10 + 2] = 1
    assert GRID.loss(tf.constant(objects), tf.constant(outputs), SHAPE).numpy() == pytest.approx([0], abs=1e-6)
    boxes, scores = (part.numpy() for part in GRID.decode(tf.constant(outputs), SHAPE))
    best = int(scores[0, :, 2].argmax())
    assert best == (1 * 4 + 2) * 2
    assert boxes[0, best] == pytest.approx(objects[0, 0, 1:], abs=1e-5)
    assert scores[0, best] == pytest.approx([0, 0, 1])
    # The paper's weights: places count five times, confidence without an object half.
    moved = outputs.copy()
    moved[0, 1, 2, 0] += 0.1
    overlap = iou([0.325, 0.55, 0.525, 0.85], objects[0, 0, 1:])
    expected = 5 * 0.01 + (1 - overlap) ** 2
    assert GRID.loss(tf.constant(objects), tf.constant(moved), SHAPE).numpy() == pytest.approx([expected], rel=1e-3)
    ghost = outputs.copy()
    ghost[0, 0, 0, 4] = 0.4
    assert GRID.loss(tf.constant(objects), tf.constant(ghost), SHAPE).numpy() == pytest.approx([0.5 * 0.16], rel=1e-4)


def test_yolo_v3_decodes_what_it_encodes():
    """For boxes whose middle lies in the cell, what should be said leads back to the box."""
    corner, cell, anchor = ANCHORED.places(SHAPE)
    rng = np.random.default_rng(0)
    centers = corner + cell * rng.uniform(0.05, 0.95, corner.shape)
    sizes = anchor * rng.uniform(0.6, 1.6, anchor.shape)
    boxes = np.concatenate([centers - sizes / 2, centers + sizes / 2], axis=1).astype(np.float32)
    said = ANCHORED.encode(tf.constant(boxes), SHAPE).numpy()
    logits = np.concatenate([np.log(said[:, :2] / (1 - said[:, :2])), said[:, 2:]], axis=1)[None]
    assert ANCHORED.boxes(tf.constant(logits), SHAPE).numpy()[0] == pytest.approx(boxes, abs=1e-5)


def test_yolo_v3_assigns_as_a_loop_does():
    """Of the cells that hold an object's middle, on whatever map, the one whose anchor is most like it in shape."""
    objects = random_objects(6, 3, seed=5)
    row, answers = (part.numpy() for part in ANCHORED.assign(tf.constant(objects), SHAPE))
    corner, cell, anchor = ANCHORED.places(SHAPE)
    for image in range(len(objects)):
        wanted = {}
        for k, (label, top, left, bottom, right) in enumerate(objects[image]):
            if label < 0:
                continue
            middle, size = np.array([(top + bottom) / 2, (left + right) / 2]), np.array([bottom - top, right - left])
            inside = ((middle - corner) / cell >= 0).all(axis=1) & ((middle - corner) / cell < 1).all(axis=1)
            shared = np.minimum(size, anchor).prod(axis=1)
            alike = np.where(inside, shared / (size.prod() + anchor.prod(axis=1) - shared), -1)
            place = int(alike.argmax())
            if place not in wanted or alike[place] > wanted[place][1]:
                wanted[place] = (k, alike[place])
        found = {int(place): int(row[image, place]) for place in np.flatnonzero(answers[image])}
        assert found == {place: k for place, (k, _) in wanted.items()}


def test_anchors_are_the_shapes_that_there_are():
    """Three shapes, each with some noise, are found again."""
    rng = np.random.default_rng(0)
    shapes = np.array([[0.1, 0.1], [0.3, 0.1], [0.4, 0.4]])
    sizes = np.repeat(shapes, 200, axis=0) * rng.uniform(0.95, 1.05, (600, 2))
    boxes = np.concatenate([np.zeros((600, 1)), np.zeros((600, 2)), sizes], axis=1)[:, None]
    assert find_anchors(boxes, 3, seed=1) == pytest.approx(shapes, rel=0.02)


# Average precision


def test_average_precision_by_hand():
    """Perfect answers reach 1; with one of two objects missed, the curve ends at a recall of a half."""
    truth = np.full((2, 2, 5), -1, np.float32)
    truth[0, 0] = [0, 0.1, 0.1, 0.4, 0.4]
    truth[1, 0] = [0, 0.5, 0.5, 0.9, 0.9]
    found = truth.copy()
    scores = np.array([[0.9, 0.0], [0.8, 0.0]], np.float32)
    assert average_precision(truth, found, scores, SHAPE) == pytest.approx({"ap": 1, "ap50": 1, "voc_ap": 1})
    found[1] = -1
    half = average_precision(truth, found, scores, SHAPE)
    assert half["ap50"] == pytest.approx(51 / 101)  # recalls 0, 0.01 ... 0.5 of COCO's 101
    assert half["voc_ap"] == pytest.approx(6 / 11)
    assert np.isnan(average_precision(np.full((1, 1, 5), -1.0), found[:1], scores[:1], SHAPE)["ap"])
    nothing = np.full((2, 2, 5), -1, np.float32)
    assert average_precision(truth, nothing, scores, SHAPE)["ap"] == 0
