"""Synthetic scenes of handwritten digits with boxes and masks, for detectors and segmenters.

Each scene is a black canvas with one to eight MNIST digits at random positions, sizes and slight rotations, which
overlap little. Test scenes only contain digits of MNIST's test images. A scene depends only on a seed and the digits,
so scenes are generated when they are loaded (thousands per second), and are not cached.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from zoo.data.appearance import extent
from zoo.data.dataset import Dataset, Split
from zoo.data.formats.annotated import class_masks
from zoo.data.sources.source import DatasetInfo, Entry

SIDE = 28  # of a digit's image, pixels; its ink lies in 20x20 of them, within 14.2 pixels of the centre
REACH = 14.5
MOST = 8  # digits in a scene
INK = 64  # grey level from which a pixel belongs to a digit
OVERLAP = 0.15  # of the smaller of two boxes, at most
TRIES = 24  # positions that are tried for a digit; it is left out if none fits
CHUNK = 512  # digits, or scenes, that are drawn at once: they fit into a processor's cache


@dataclass(frozen=True)
class Layout:
    """How scenes are drawn.

    `side` of the canvas in pixels; `scales`, smallest and largest, relative to MNIST's size; `turn`, the largest
    rotation in degrees; `clutter`, the number of 8x8 fragments of other digits, which belong to no object.
    """

    side: int = 64
    scales: tuple[float, float] = (0.7, 1.3)
    turn: float = 15.0
    clutter: int = 0
    train: int = 12_000
    test: int = 2_000


def draw_dataset(name: str, layout: Layout, digits: Dataset, *, seed: int = 0) -> Dataset:
    """Return scenes as a `Dataset` whose splits have `boxes`, `masks` and `instances`.

    Args:
        name: the data set's name.
        layout: how scenes are drawn.
        digits: MNIST, or any digits of 28x28 pixels in one channel.
        seed: of the random scenes.
    """
    return Dataset(
        name=name,
        train=draw_scenes(digits.train, layout, layout.train, seed=[seed, 0]),
        test=draw_scenes(digits.test, layout, layout.test, seed=[seed, 1]),
        class_names=digits.class_names,
        source=f"drawn with seed {seed} from {digits.name}, {digits.source}",
        digests={f"{digits.name}_{key}": digest for key, digest in digits.digests.items()},
    )


def draw_scenes(digits: Split, layout: Layout, count: int, *, seed: int | list[int]) -> Split:
    """Draw `count` scenes.

    Returns:
        A `Split` of `images` uint8 (N, S, S, 1); `boxes` float32 (N, 8, 5), rows of (class, top, left, bottom, right)
        with edges as fractions of the side, padded with -1; `masks` uint8 (N, S, S), 0 for the
        background and class + 1 for a digit; `instances` uint8 (N, S, S), the number of the digit's row in `boxes` + 1.
    """
    labels = digits.labels
    assert labels is not None
    rng = np.random.default_rng(seed)
    side = layout.side
    scenes = _Canvas(count, side)
    if layout.clutter:
        _draw_clutter(scenes, digits, layout.clutter, rng)
    wanted = rng.integers(1, MOST + 1, count)
    padded = np.pad(digits.images[..., 0], ((0, 0), (1, 1), (1, 1)))
    for slot in range(MOST):
        rows = np.flatnonzero(wanted > slot)
        chosen = rng.integers(0, len(digits), len(rows))
        scales = rng.uniform(*layout.scales, len(rows))
        turns = np.radians(rng.uniform(-layout.turn, layout.turn, len(rows)))
        places = rng.random((len(rows), TRIES, 2))
        for start in range(0, len(rows), CHUNK):
            part = slice(start, start + CHUNK)
            patches = _patches(padded, chosen[part], scales[part], turns[part], most=layout.scales[1])
            scenes.place(rows[part], patches, labels[chosen[part]], places[part])
    masks = class_masks(scenes.boxes, scenes.instances)
    return Split(scenes.images[..., None], boxes=scenes.boxes, masks=masks, instances=scenes.instances)


class _Canvas:
    """Scenes that are being drawn."""

    def __init__(self, count: int, side: int) -> None:
        self.side = side
        self.images = np.zeros((count, side, side), np.uint8)
        self.instances = np.zeros((count, side, side), np.uint8)
        self.boxes = np.full((count, MOST, 5), -1, np.float32)
        self._used = np.zeros(count, np.int64)  # rows of `boxes` that are taken

    def place(self, rows: np.ndarray, patches: np.ndarray, labels: np.ndarray, places: np.ndarray) -> None:
        """Draw one digit into each of the scenes `rows`, which are all different, where it fits.

        Args:
            rows: (n,) numbers of scenes.
            patches: uint8 (n, P, P), the digits as they will look.
            labels: (n,) their classes.
            places: (n, tries, 2), positions to try, as fractions of the free space below and to the right of a digit.
        """
        top, bottom = extent(np.asarray((patches >= INK).any(axis=2)))
        left, right = extent(np.asarray((patches >= INK).any(axis=1)))
        sizes = np.stack([bottom - top, right - left], axis=1)  # (n, 2), pixels
        corners = np.floor(places * (self.side - sizes + 1)[:, None]).astype(np.int64)  # (n, tries, 2)
        proposed = np.concatenate([corners, corners + sizes[:, None]], axis=2)
        free = self._overlap(rows, proposed) <= OVERLAP
        fits = free.any(axis=1)
        box = proposed[np.arange(len(rows)), free.argmax(axis=1)][fits]
        rows, patches, labels = rows[fits], patches[fits], labels[fits]
        slots = self._used[rows]
        self.boxes[rows, slots, 0] = labels
        self.boxes[rows, slots, 1:] = box / self.side
        self._used[rows] += 1
        offsets = box[:, :2] - np.stack([top, left], axis=1)[fits]
        self._paint(rows, patches, offsets, slots + 1)

    def _overlap(self, rows: np.ndarray, proposed: np.ndarray) -> np.ndarray:
        """Return the largest overlap of each proposed box (n, tries, 4) with a present one, (n, tries).

        It is the area of the intersection divided by that of the smaller box.
        """
        there = self.boxes[rows][:, None, :, 1:] * self.side  # (n, 1, 8, 4)
        present = self.boxes[rows][:, None, :, 0] >= 0
        asked = proposed[:, :, None]
        low, high = np.maximum(there[..., :2], asked[..., :2]), np.minimum(there[..., 2:], asked[..., 2:])
        intersection = np.clip(high - low, 0, None).prod(axis=-1)
        areas = [(box[..., 2:] - box[..., :2]).prod(axis=-1) for box in (there, asked)]
        share = intersection / np.maximum(np.minimum(*np.broadcast_arrays(*areas)), 1)  # an absent box has no area
        return np.where(present, share, 0).max(axis=2)

    def _paint(self, rows: np.ndarray, patches: np.ndarray, offsets: np.ndarray, numbers: np.ndarray) -> None:
        """Draw patches into the images, where the brighter pixel wins, and record the pixels' instances."""
        which, y, x = np.nonzero(patches)
        values = patches[which, y, x]
        y, x = y + offsets[which, 0], x + offsets[which, 1]
        inside = (y >= 0) & (y < self.side) & (x >= 0) & (x < self.side)  # faint ink may lie outside
        which, values = which[inside], values[inside]
        target = (rows[which] * self.side + y[inside]) * self.side + x[inside]
        images, instances = self.images.reshape(-1), self.instances.reshape(-1)
        wins = values > images[target]
        images[target[wins]] = values[wins]
        owned = wins & (values >= INK)
        instances[target[owned]] = numbers[which[owned]]


def _patches(
    padded: np.ndarray, chosen: np.ndarray, scales: np.ndarray, turns: np.ndarray, *, most: float
) -> np.ndarray:
    """Return digits scaled and rotated about their centre, by bilinear interpolation: uint8 (n, P, P).

    Args:
        padded: uint8 (D, 30, 30), the digits with a black frame of one pixel.
        chosen: (n,) indices of the digits.
        scales: (n,) scale factors.
        turns: (n,) rotations in radians.
        most: the largest scale, which determines P.
    """
    half = math.ceil(REACH * most)
    offsets = np.arange(0.5 - half, half, dtype=np.float32)  # of pixel centres: scale 1 leaves a digit unchanged
    cosine = (np.cos(turns) / scales).astype(np.float32)[:, None, None]
    sine = (np.sin(turns) / scales).astype(np.float32)[:, None, None]
    middle = np.float32((SIDE - 1) / 2 + 1)
    y = np.clip(middle + cosine * offsets[:, None] - sine * offsets[None, :], 0, SIDE + 0.999)
    x = np.clip(middle + sine * offsets[:, None] + cosine * offsets[None, :], 0, SIDE + 0.999)
    row, column = y.astype(np.int32), x.astype(np.int32)
    down, across = y - row, x - column
    flat, wide = padded.reshape(-1), SIDE + 2
    corner = (chosen.astype(np.int64)[:, None, None] * wide + row) * wide + column
    upper = flat[corner] * (1 - across) + flat[corner + 1] * across
    lower = flat[corner + wide] * (1 - across) + flat[corner + wide + 1] * across
    return np.rint(upper * (1 - down) + lower * down).astype(np.uint8)


def _draw_clutter(scenes: _Canvas, digits: Split, fragments: int, rng: np.random.Generator) -> None:
    """Draw fragments of 8x8 pixels that belong to no object, like the cluttered MNIST of Mnih et al. 2014."""
    size = 8
    count, side = scenes.images.shape[:2]
    rows = np.arange(count)
    for _ in range(fragments):
        chosen = rng.integers(0, len(digits), count)
        corners = rng.integers(4, SIDE - 4 - size + 1, (count, 2))
        window = np.arange(size)
        y, x = corners[:, 0, None, None] + window[:, None], corners[:, 1, None, None] + window
        fragment = digits.images[..., 0][chosen[:, None, None], y, x]
        to = rng.integers(0, side - size + 1, (count, 2))
        y, x = to[:, 0, None, None] + window[:, None], to[:, 1, None, None] + window
        place = rows[:, None, None], y, x
        scenes.images[place] = np.maximum(scenes.images[place], fragment)


def _entry(name: str, layout: Layout) -> Entry:
    clutter = f", among {layout.clutter} fragments" if layout.clutter else ""
    info = DatasetInfo(
        name=name,
        description=f"Scenes of 1 to {MOST} digits of MNIST{clutter}, with boxes and masks",
        num_classes=10,
        image_shape=(layout.side, layout.side, 1),
        train_size=layout.train,
        test_size=layout.test,
        needs_network=True,
    )
    return Entry(info, base="mnist", derive=partial(draw_dataset, name, layout))


SCENES = _entry("mnist_scenes", Layout())
CLUTTERED_SCENES = _entry("mnist_scenes_cluttered", Layout(clutter=6))
LARGE_SCENES = _entry("mnist_scenes_large", Layout(side=128, scales=(0.8, 2.2), train=6_000, test=1_000))
