"""Several views of an image, their predictions averaged: what is otherwise done around a network, as two layers of it.

Krizhevsky, Sutskever, Hinton 2012 (section 4.1) average a network's predictions for ten crops of each test image. Here
the views are the image itself and the image moved by a pixel, up, down, left and right. While a network trains, both
layers hand on what they are given: training costs what it costs without them, inference five times as much.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from zoo.layers.registration import registered
from zoo.lazy import keras

MOVES = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))
"""Rows and columns, in pixels."""


@registered
class MovedViews(keras.layers.Layer):
    """Puts the views of a batch under one another: (N, H, W, C) to (5 N, H, W, C), view by view.

    Zeros come in at the border: black where pixels run from 0 to 1, and the mean where they are standardised.
    """

    batch_factor = len(MOVES)  # images out for one in, in inference

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return the views, or in training the images alone."""
        if training:
            return inputs
        height, width = inputs.shape[1:3]
        framed = keras.ops.pad(inputs, ((0, 0), (1, 1), (1, 1), (0, 0)))
        views = [framed[:, 1 - down : 1 - down + height, 1 - right : 1 - right + width] for down, right in MOVES]
        return keras.ops.concatenate(views, axis=0)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The images' shape; how many there are is not known beforehand."""
        return (None, *input_shape[1:])


@registered
class MeanOfViews(keras.layers.Layer):
    """Averages the logits of the views of `MovedViews`: (5 N, classes) to (N, classes)."""

    batch_factor = Fraction(1, len(MOVES))

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return the means, or in training the logits as they are."""
        if training:
            return inputs
        return keras.ops.mean(keras.ops.reshape(inputs, (len(MOVES), -1, inputs.shape[1])), axis=0)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The logits' shape; how many there are is not known beforehand."""
        return (None, *input_shape[1:])
