"""Prepares a user's picture for a run's model, in the same way as the run's training images."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from PIL import Image

from zoo.data.appearance import Preprocessing, ground_of, has_form
from zoo.imaging.digits import BOX, prepare_digit
from zoo.imaging.load import prepare_photo
from zoo.imaging.modes import flatten

Shape = tuple[int, int, int]
Prepare = Callable[[Image.Image, Shape], np.ndarray]


def preparation(preprocessing: Preprocessing) -> Prepare:
    """Return the function that brings an opened image to a model's shape (H, W, C), uint8.

    It raises `ImageError` as `prepare_digit` and `prepare_photo` do.
    """
    if preprocessing.kind == "photo":
        return prepare_photo
    return functools.partial(_prepare_drawing, preprocessing)


def caution_of(preprocessing: Preprocessing, image: np.ndarray) -> str | None:
    """Say so if a prepared image, uint8 (H, W, C), is light where the training images are dark, or the other way."""
    words = {"black": "dark", "white": "light"}
    ground = ground_of(image)
    if preprocessing.kind != "photo" or not ground or not preprocessing.ground or ground == preprocessing.ground:
        return None
    return (
        f"its background is {words[ground]}, and that of the training images {words[preprocessing.ground]}. "
        "Invert the picture, or do not trust the prediction."
    )


def _prepare_drawing(preprocessing: Preprocessing, image: Image.Image, image_shape: Shape) -> np.ndarray:
    """Return the drawing in `image` as the training images have theirs: box, centre and ground.

    A picture that has all that, such as a training image, is returned untouched.
    """
    height, width, channels = image_shape
    box = preprocessing.box or round(BOX * min(height, width))
    side = round(box / BOX)  # of an image in MNIST's form with such a box
    is_mnist_form = (side, side) == (height, width) and preprocessing.centre != "box"
    plain = flatten(image)
    if not (is_mnist_form and preprocessing.ground == "black") and plain.size == (width, height) and plain.mode == "L":
        pixels = np.asarray(plain)[:, :, None]
        if has_form(pixels, preprocessing):
            return np.repeat(pixels, channels, axis=2)
    drawing = prepare_digit(image, (side, side, 1))[:, :, 0]
    if not is_mnist_form:
        drawing = _placed(drawing, height, width, by_mass=preprocessing.centre != "box")
    if preprocessing.ground == "white":
        drawing = 255 - drawing
    return np.repeat(drawing[:, :, None], channels, axis=2)


def _placed(drawing: np.ndarray, height: int, width: int, *, by_mass: bool) -> np.ndarray:
    """Return the ink of a drawing on black, uint8 (height, width), its centre in the middle, nothing cut off."""
    rows, columns = (np.flatnonzero((drawing > 0).any(axis=axis)) for axis in (1, 0))
    crop = drawing[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1][:height, :width]
    starts = []
    for axis, length in enumerate((height, width)):
        weights = crop.sum(axis=1 - axis, dtype=np.float64)
        middle = weights @ np.arange(len(weights)) / weights.sum() if by_mass else len(weights) / 2
        starts.append(min(max(round(length / 2 - middle), 0), length - len(weights)))
    canvas = np.zeros((height, width), dtype=np.uint8)
    canvas[starts[0] : starts[0] + crop.shape[0], starts[1] : starts[1] + crop.shape[1]] = crop
    return canvas
