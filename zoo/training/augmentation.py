"""Data augmentation inside the compiled training step, reproducible from the seed and the step number."""

from __future__ import annotations

import math

import tensorflow as tf

from zoo.spec.recipe import Recipe
from zoo.spec.sections import Augmentation


def augment(pixels: tf.Tensor, step: tf.Tensor, recipe: Recipe) -> tf.Tensor:
    """Augment a batch of images as the recipe says; pixels from beyond the edges are black.

    Args:
        pixels: uint8 (B, H, W, C).
        step: step number, counted over the whole run, int32 scalar.
        recipe: its `augmentation` and `seed` are read. `shift` moves the whole batch at once, which costs almost
            nothing; `rotation`, `zoom`, `translation`, `elastic` and `flip` are drawn per image, and the first four
            share one resampling.

    Returns:
        (B, H, W, C), 0..255: uint8 after shifts and flips only, float32 after resampling.
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
    """Shift the whole batch by up to `reach` pixels along each axis."""
    offset = tf.random.stateless_uniform([2], seed, 0, 2 * reach + 1, tf.int32)
    padded = tf.pad(pixels, [[0, 0], [reach, reach], [reach, reach], [0, 0]])
    height, width, channels = pixels.shape[1:]
    top, left = offset[0], offset[1]
    shifted = padded[:, top : top + height, left : left + width]  # tf.slice has no kernel for uint8 on a GPU
    return tf.ensure_shape(shifted, (pixels.shape[0], height, width, channels))


def _flipped(pixels: tf.Tensor, axis: int, seed: tf.Tensor) -> tf.Tensor:
    """Flip each image along an axis with probability 0.5."""
    chosen = tf.random.stateless_uniform([tf.shape(pixels)[0], 1, 1, 1], seed) < 0.5
    return tf.where(chosen, tf.reverse(pixels, [axis]), pixels)


def _resampled(pixels: tf.Tensor, by: Augmentation, seed: tf.Tensor) -> tf.Tensor:
    """Rotate, zoom, translate and distort each image with one bilinear resampling."""
    images = tf.cast(pixels, tf.float32)
    transforms = _transforms(images, by, seed)
    if by.elastic:
        return _sampled(images, _coordinates(images, transforms) + _displacements(images, by.elastic, _salted(seed, 2)))
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.pad(transforms, [[0, 0], [0, 2]]),
        output_shape=tf.constant(images.shape[1:3].as_list()),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )


def _transforms(images: tf.Tensor, by: Augmentation, seed: tf.Tensor) -> tf.Tensor:
    """Return (B, 6): the affine matrix, row by row, that maps a pixel of the result to source coordinates."""
    count = tf.shape(images)[0]
    height, width = images.shape[1:3]
    draws = tf.random.stateless_uniform([2, count], seed, -1.0, 1.0)
    angle = draws[0] * math.radians(by.rotation)
    scale = 1.0 + draws[1] * by.zoom  # above one enlarges the image
    cosine, sine = tf.cos(angle) / scale, tf.sin(angle) / scale
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    # Where the centre of the source lands in the result.
    offsets = tf.random.stateless_uniform([2, count], _salted(seed, 1), -by.translation, by.translation)
    to_x, to_y = middle_x + offsets[0] * width, middle_y + offsets[1] * height
    return tf.stack(
        [
            cosine, -sine, middle_x - cosine * to_x + sine * to_y,
            sine, cosine, middle_y - sine * to_x - cosine * to_y,
        ],
        axis=1,
    )  # fmt: skip


def _coordinates(images: tf.Tensor, transforms: tf.Tensor) -> tf.Tensor:
    """Return (B, H * W, 2): the source coordinates x and y of each pixel of the result."""
    height, width = images.shape[1:3]
    x, y = tf.meshgrid(tf.range(width, dtype=tf.float32), tf.range(height, dtype=tf.float32))
    pixels = tf.stack([tf.reshape(x, [-1]), tf.reshape(y, [-1]), tf.ones(height * width)], axis=1)
    return tf.einsum("pk,bjk->bpj", pixels, tf.reshape(transforms, [-1, 2, 3]))


def _displacements(images: tf.Tensor, deviation: float, seed: tf.Tensor) -> tf.Tensor:
    """Return (B, H * W, 2) displacements: smoothed noise with a standard deviation of up to `deviation` pixels.

    After Simard, Steinkraus, Platt (2003), with their width of the Gaussian: 4 pixels of 29.
    """
    count = tf.shape(images)[0]
    height, width = images.shape[1:3]
    noise = tf.random.stateless_normal([count, 2, height, width], seed)
    noise *= tf.random.stateless_uniform([count, 1, 1, 1], _salted(seed, 1), 0.0, deviation)
    smooth = tf.einsum("hi,bjik,wk->bhwj", _gaussian(height), noise, _gaussian(width))
    return tf.reshape(smooth, [count, height * width, 2])


def _gaussian(size: int) -> tf.Tensor:
    """Return the (size, size) matrix that smooths white noise along one axis and keeps its standard deviation."""
    positions = tf.range(size, dtype=tf.float32)
    weights = tf.exp(-0.5 * tf.square((positions[:, None] - positions[None, :]) / (size * 4 / 29)))
    return weights / tf.norm(weights, axis=1, keepdims=True)


def _sampled(images: tf.Tensor, coordinates: tf.Tensor) -> tf.Tensor:
    """Sample the images at `coordinates` (B, H * W, 2) by bilinear interpolation; outside they are black."""
    height, width, channels = images.shape[1:]
    line = width + 3  # one black pixel of padding before, two after
    padded = tf.reshape(tf.pad(images, [[0, 0], [1, 2], [1, 2], [0, 0]]), [-1, (height + 3) * line, channels])
    coordinates = tf.clip_by_value(coordinates, -1.0, [width, height])
    corner = tf.floor(coordinates)
    right, down = tf.split(coordinates - corner, 2, axis=2)
    corner = tf.cast(corner, tf.int32) + 1
    index = corner[..., 1] * line + corner[..., 0]

    def read(step: int) -> tf.Tensor:
        return tf.gather(padded, index + step, batch_dims=1)

    upper = (1 - right) * read(0) + right * read(1)
    lower = (1 - right) * read(line) + right * read(line + 1)
    return tf.reshape((1 - down) * upper + down * lower, [-1, height, width, channels])
