"""Max pooling that also returns the positions of the maxima, and unpooling that uses them.

Badrinarayanan, Kendall, Cipolla 2017 ("SegNet", section 3.1) store the position of the maximum in each 2x2 window,
which takes 2 bits, and use it to upsample without learned weights. Both layers use only `keras.ops`, so they run under
any backend, under XLA and in half precision.
"""

from __future__ import annotations

from typing import Any

from zoo.layers.registration import registered
from zoo.lazy import keras

SIZE = 2  # side of a window, pixels


@registered
class MaxPoolingWithPositions(keras.layers.Layer):
    """Max pooling over 2x2 windows that do not overlap; an odd last row or column is dropped.

    Returns the maxima (N, H // 2, W // 2, C), and as int32 of the same shape the position of each in its window: 0 to
    3, row by row; the first one if several are equal.
    """

    def call(self, inputs: Any) -> tuple[Any, Any]:
        """Return the maxima and their positions."""
        ops = keras.ops
        height, width, channels = inputs.shape[1] // SIZE, inputs.shape[2] // SIZE, inputs.shape[3]
        whole = inputs[:, : height * SIZE, : width * SIZE]
        rows = ops.reshape(whole, (-1, height, SIZE, width, SIZE, channels))
        windows = ops.reshape(ops.transpose(rows, (0, 1, 3, 2, 4, 5)), (-1, height, width, SIZE * SIZE, channels))
        return ops.max(windows, axis=3), ops.cast(ops.argmax(windows, axis=3), "int32")

    def compute_output_spec(self, inputs: Any) -> tuple[Any, Any]:
        """Return the specs of maxima and positions."""
        batch, height, width, channels = inputs.shape
        shape = (batch, height // SIZE, width // SIZE, channels)
        return keras.KerasTensor(shape, dtype=inputs.dtype), keras.KerasTensor(shape, dtype="int32")


@registered
class Unpooling(keras.layers.Layer):
    """Puts each value where its maximum was, and zero everywhere else: (N, h, w, C) to (N, H, W, C).

    Args:
        size: (H, W) before pooling: 2h or 2h + 1, and 2w or 2w + 1.
    """

    def __init__(self, size: tuple[int, int], **kwargs: Any):
        super().__init__(**kwargs)
        self.size = tuple(size)

    def call(self, inputs: tuple[Any, Any]) -> Any:
        """Return the sparse maps.

        Args:
            inputs: values (N, h, w, C), and the positions of `MaxPoolingWithPositions`, of the same shape.
        """
        ops, (values, positions) = keras.ops, inputs
        height, width, channels = values.shape[1:]
        chosen = ops.one_hot(positions, SIZE * SIZE, axis=3, dtype=values.dtype)  # (N, h, w, 4, C)
        windows = ops.reshape(ops.expand_dims(values, 3) * chosen, (-1, height, width, SIZE, SIZE, channels))
        maps = ops.reshape(ops.transpose(windows, (0, 1, 3, 2, 4, 5)), (-1, height * SIZE, width * SIZE, channels))
        left = [(0, 0), (0, self.size[0] - height * SIZE), (0, self.size[1] - width * SIZE), (0, 0)]
        return ops.pad(maps, left) if any(after for _, after in left) else maps

    def compute_output_spec(self, inputs: tuple[Any, Any]) -> Any:
        """Return the spec of the maps."""
        values = inputs[0]
        return keras.KerasTensor((values.shape[0], *self.size, values.shape[3]), dtype=values.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the layer's configuration."""
        return {**super().get_config(), "size": self.size}
