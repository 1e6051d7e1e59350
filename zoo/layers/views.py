"""Test-time augmentation as two layers: one makes several views of each image, the other averages their predictions.

Krizhevsky, Sutskever, Hinton 2012 (section 4.1) average a network's predictions for ten crops of each test image. Here
the views are the image itself and the image shifted by a pixel up, down, left and right. In training both layers
return their inputs: training costs nothing extra, inference takes five times as long.
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
    """Concatenates shifted views of a batch: (N, H, W, C) to (5 N, H, W, C), view by view.

    Borders are padded with zeros: black for pixels from 0 to 1, the mean for standardised ones.
    """

    batch_factor = len(MOVES)  # outputs per image, in inference

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return the views, or in training only the images."""
        if training:
            return inputs
        height, width = inputs.shape[1:3]
        framed = keras.ops.pad(inputs, ((0, 0), (1, 1), (1, 1), (0, 0)))
        views = [framed[:, 1 - down : 1 - down + height, 1 - right : 1 - right + width] for down, right in MOVES]
        return keras.ops.concatenate(views, axis=0)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the images' shape; the batch size depends on the mode."""
        return (None, *input_shape[1:])


@registered
class MeanOfViews(keras.layers.Layer):
    """Averages the logits of the views of `MovedViews`: (5 N, classes) to (N, classes)."""

    batch_factor = Fraction(1, len(MOVES))

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return the means, or in training the logits unchanged."""
        if training:
            return inputs
        return keras.ops.mean(keras.ops.reshape(inputs, (len(MOVES), -1, inputs.shape[1])), axis=0)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the logits' shape; the batch size depends on the mode."""
        return (None, *input_shape[1:])
