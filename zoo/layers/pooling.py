"""Max pooling that remembers where each maximum was, and the unpooling that puts values back there.

Badrinarayanan, Kendall, Cipolla 2017 ("SegNet", section 3.1) store the location of the maximum in each 2x2 window,
which takes 2 bits, and use it to upsample without learning to. Both layers are a reshape and a few of `keras.ops`, so
they run under any backend, under XLA and in half precision.
"""

from __future__ import annotations

from typing import Any

from zoo.layers.registration import registered
from zoo.lazy import keras

SIZE = 2  # of a window, pixels


@registered
class MaxPoolingWithPositions(keras.layers.Layer):
    """Max pooling over windows of 2x2 that do not overlap; a row or column that is left over is dropped.

    It returns the maxima (N, H // 2, W // 2, C), and in int32 of the same shape where in its window each was: 0 to 3,
    row by row; the first of several.
    """

    def call(self, inputs: Any) -> tuple[Any, Any]:
        """Return maxima and positions."""
        ops = keras.ops
        height, width, channels = inputs.shape[1] // SIZE, inputs.shape[2] // SIZE, inputs.shape[3]
        whole = inputs[:, : height * SIZE, : width * SIZE]
        rows = ops.reshape(whole, (-1, height, SIZE, width, SIZE, channels))
        windows = ops.reshape(ops.transpose(rows, (0, 1, 3, 2, 4, 5)), (-1, height, width, SIZE * SIZE, channels))
        return ops.max(windows, axis=3), ops.cast(ops.argmax(windows, axis=3), "int32")

    def compute_output_spec(self, inputs: Any) -> tuple[Any, Any]:
        """Shapes and types of maxima and positions."""
        batch, height, width, channels = inputs.shape
        shape = (batch, height // SIZE, width // SIZE, channels)
        return keras.KerasTensor(shape, dtype=inputs.dtype), keras.KerasTensor(shape, dtype="int32")


@registered
class Unpooling(keras.layers.Layer):
    """Puts each value where its maximum was, and zero everywhere else: (N, h, w, C) to (N, H, W, C).

    Args:
        size: (H, W) of what was pooled: 2h or 2h + 1, and the same of w.
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
        """Shape and type of the maps."""
        values = inputs[0]
        return keras.KerasTensor((values.shape[0], *self.size, values.shape[3]), dtype=values.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the size beside what every layer has."""
        return {**super().get_config(), "size": self.size}
