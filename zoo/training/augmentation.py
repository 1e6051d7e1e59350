"""Random changes to training images, inside the compiled step; which ones follows from the seed and the step."""

from __future__ import annotations

import math

import tensorflow as tf

from zoo.spec.recipe import Recipe
from zoo.spec.sections import Augmentation


def augment(pixels: tf.Tensor, step: tf.Tensor, recipe: Recipe) -> tf.Tensor:
    """Return a batch of images changed as the recipe says; what comes in from outside is black.

    Args:
        pixels: uint8 (B, H, W, C).
        step: the number of the step in the whole run, int32 scalar.
        recipe: its `augmentation` and `seed` are read. `shift` moves the batch as a whole, which costs next to nothing;
            `rotation`, `zoom`, `translation`, `elastic` and `flip` are drawn for each image, the first four in one
            resampling.

    Returns:
        (B, H, W, C), 0..255: uint8 after a shift or a flip alone, float32 after a resampling.
    """
    by = recipe.augmentation
    seed = tf.stack([tf.constant(recipe.seed % 2**31), step])
    if by.shift:
        pixels = _shifted(pixels, by.shift, seed)
    if by.flip in ("horizontal", "both"):
        pixels = _flipped(pixels, 2, _salted(seed, 1))
    if by.flip in ("vertical", "both"):
        pixels = _flipped(pixels, 1, _salted(seed, 2))
    if by.rotation or by.zoom or by.translation or by.elastic:
        pixels = _resampled(pixels, by, _salted(seed, 3))
    return pixels


def _salted(seed: tf.Tensor, salt: int) -> tf.Tensor:
    return tf.random.fold_in(seed, salt)


def _shifted(pixels: tf.Tensor, reach: int, seed: tf.Tensor) -> tf.Tensor:
    """Move the whole batch by up to `reach` pixels both ways."""
    offset = tf.random.stateless_uniform([2], seed, 0, 2 * reach + 1, tf.int32)
    padded = tf.pad(pixels, [[0, 0], [reach, reach], [reach, reach], [0, 0]])
    height, width, channels = pixels.shape[1:]
    top, left = offset[0], offset[1]
    moved = padded[:, top : top + height, left : left + width]  # tf.slice has no kernel for uint8 on a GPU
    return tf.ensure_shape(moved, (pixels.shape[0], height, width, channels))


def _flipped(pixels: tf.Tensor, axis: int, seed: tf.Tensor) -> tf.Tensor:
    """Mirror every second image, on average, along an axis."""
    chosen = tf.random.stateless_uniform([tf.shape(pixels)[0], 1, 1, 1], seed) < 0.5
    return tf.where(chosen, tf.reverse(pixels, [axis]), pixels)


def _resampled(pixels: tf.Tensor, by: Augmentation, seed: tf.Tensor) -> tf.Tensor:
    """Rotate each image about its centre, scale, shift and distort it, by one bilinear resampling."""
    images = tf.cast(pixels, tf.float32)
    transforms = _transforms(images, by, seed)
    if by.elastic:
        return _sampled(images, _places(images, transforms) + _displacements(images, by.elastic, _salted(seed, 2)))
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.pad(transforms, [[0, 0], [0, 2]]),
        output_shape=tf.constant(images.shape[1:3].as_list()),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )


def _transforms(images: tf.Tensor, by: Augmentation, seed: tf.Tensor) -> tf.Tensor:
    """Return (B, 6): row by row the matrix that leads from a pixel of the result to its place in the source."""
    count = tf.shape(images)[0]
    height, width = images.shape[1:3]
    draws = tf.random.stateless_uniform([2, count], seed, -1.0, 1.0)
    angle = draws[0] * math.radians(by.rotation)
    scale = 1.0 + draws[1] * by.zoom  # of what is drawn: above one the image appears larger
    cosine, sine = tf.cos(angle) / scale, tf.sin(angle) / scale
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    # Where the source's middle lands in the result.
    moves = tf.random.stateless_uniform([2, count], _salted(seed, 1), -by.translation, by.translation)
    to_x, to_y = middle_x + moves[0] * width, middle_y + moves[1] * height
    return tf.stack(
        [
            cosine, -sine, middle_x - cosine * to_x + sine * to_y,
            sine, cosine, middle_y - sine * to_x - cosine * to_y,
        ],
        axis=1,
    )  # fmt: skip


def _places(images: tf.Tensor, transforms: tf.Tensor) -> tf.Tensor:
    """Return (B, H * W, 2): x and y in the source of each pixel of the result."""
    height, width = images.shape[1:3]
    x, y = tf.meshgrid(tf.range(width, dtype=tf.float32), tf.range(height, dtype=tf.float32))
    pixels = tf.stack([tf.reshape(x, [-1]), tf.reshape(y, [-1]), tf.ones(height * width)], axis=1)
    return tf.einsum("pk,bjk->bpj", pixels, tf.reshape(transforms, [-1, 2, 3]))


def _displacements(images: tf.Tensor, deviation: float, seed: tf.Tensor) -> tf.Tensor:
    """Return (B, H * W, 2) displacements: noise, smoothed by a Gaussian, of up to so many pixels standard deviation.

    After Simard, Steinkraus, Platt (2003), whose Gaussian is as wide here: 4 pixels of 29.
    """
    count = tf.shape(images)[0]
    height, width = images.shape[1:3]
    noise = tf.random.stateless_normal([count, 2, height, width], seed)
    noise *= tf.random.stateless_uniform([count, 1, 1, 1], _salted(seed, 1), 0.0, deviation)
    smooth = tf.einsum("hi,bjik,wk->bhwj", _gaussian(height), noise, _gaussian(width))
    return tf.reshape(smooth, [count, height * width, 2])


def _gaussian(size: int) -> tf.Tensor:
    """Return the (size, size) matrix that smooths a line; each result has the deviation of what comes in."""
    places = tf.range(size, dtype=tf.float32)
    weights = tf.exp(-0.5 * tf.square((places[:, None] - places[None, :]) / (size * 4 / 29)))
    return weights / tf.norm(weights, axis=1, keepdims=True)


def _sampled(images: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Return the images read at `places` (B, H * W, 2) between their pixels; outside they are black."""
    height, width, channels = images.shape[1:]
    line = width + 3  # of the images with one black pixel before them and two behind
    padded = tf.reshape(tf.pad(images, [[0, 0], [1, 2], [1, 2], [0, 0]]), [-1, (height + 3) * line, channels])
    places = tf.clip_by_value(places, -1.0, [width, height])
    corner = tf.floor(places)
    right, down = tf.split(places - corner, 2, axis=2)
    corner = tf.cast(corner, tf.int32) + 1
    index = corner[..., 1] * line + corner[..., 0]

    def read(step: int) -> tf.Tensor:
        return tf.gather(padded, index + step, batch_dims=1)

    upper = (1 - right) * read(0) + right * read(1)
    lower = (1 - right) * read(line) + right * read(line + 1)
    return tf.reshape((1 - down) * upper + down * lower, [-1, height, width, channels])
