"""Random changes to training images, inside the compiled step; which ones follows from the seed and the step."""

from __future__ import annotations

import math

import tensorflow as tf

from zoo.recipe import Recipe


def augment(pixels: tf.Tensor, step: tf.Tensor, recipe: Recipe) -> tf.Tensor:
    """Return a batch of images changed as the recipe says; what comes in from outside is black.

    Args:
        pixels: uint8 (B, H, W, C).
        step: the number of the step in the whole run, int32 scalar.
        recipe: `shift` moves the batch as a whole, which costs next to nothing; `rotation`, `zoom`, `translation` and
            `flip` are drawn for each image, the first three in one resampling. `seed` is read too.

    Returns:
        (B, H, W, C), 0..255: uint8 after a shift or a flip alone, float32 after a resampling.
    """
    seed = tf.stack([tf.constant(recipe.seed % 2**31), step])
    if recipe.shift:
        pixels = _shifted(pixels, recipe.shift, seed)
    if recipe.flip in ("horizontal", "both"):
        pixels = _flipped(pixels, 2, _salted(seed, 1))
    if recipe.flip in ("vertical", "both"):
        pixels = _flipped(pixels, 1, _salted(seed, 2))
    if recipe.rotation or recipe.zoom or recipe.translation:
        pixels = _resampled(pixels, recipe, _salted(seed, 3))
    return pixels


def _salted(seed: tf.Tensor, salt: int) -> tf.Tensor:
    return tf.random.fold_in(seed, salt)


def _shifted(pixels: tf.Tensor, reach: int, seed: tf.Tensor) -> tf.Tensor:
    """Move the whole batch by up to `reach` pixels both ways."""
    offset = tf.random.stateless_uniform([2], seed, 0, 2 * reach + 1, tf.int32)
    padded = tf.pad(pixels, [[0, 0], [reach, reach], [reach, reach], [0, 0]])
    height, width, channels = pixels.shape[1:]
    return tf.slice(padded, [0, offset[0], offset[1], 0], [-1, height, width, channels])


def _flipped(pixels: tf.Tensor, axis: int, seed: tf.Tensor) -> tf.Tensor:
    """Mirror every second image, on average, along an axis."""
    chosen = tf.random.stateless_uniform([tf.shape(pixels)[0], 1, 1, 1], seed) < 0.5
    return tf.where(chosen, tf.reverse(pixels, [axis]), pixels)


def _resampled(pixels: tf.Tensor, recipe: Recipe, seed: tf.Tensor) -> tf.Tensor:
    """Turn each image about its centre, scale it and move it, by one bilinear resampling."""
    count = tf.shape(pixels)[0]
    height, width = pixels.shape[1:3]
    draws = tf.random.stateless_uniform([2, count], seed, -1.0, 1.0)
    angle = draws[0] * math.radians(recipe.rotation)
    scale = 1.0 + draws[1] * recipe.zoom  # of what is drawn: above one the image appears larger
    cosine, sine = tf.cos(angle) / scale, tf.sin(angle) / scale
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    # Where the source's middle lands in the result.
    moves = tf.random.stateless_uniform([2, count], _salted(seed, 1), -recipe.translation, recipe.translation)
    to_x, to_y = middle_x + moves[0] * width, middle_y + moves[1] * height
    # Row by row of the matrix that leads from a pixel of the result to its place in the source.
    zero = tf.zeros_like(angle)
    transforms = tf.stack(
        [
            cosine, -sine, middle_x - cosine * to_x + sine * to_y,
            sine, cosine, middle_y - sine * to_x - cosine * to_y,
            zero, zero,
        ],
        axis=1,
    )  # fmt: skip
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(pixels, tf.float32),
        transforms=transforms,
        output_shape=tf.constant([height, width]),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
