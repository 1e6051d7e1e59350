"""Normalisation across channels: local response normalisation (AlexNet, GoogLeNet) and L2 normalisation (SSD)."""

from __future__ import annotations

from typing import Any

from zoo.layers.registration import registered
from zoo.lazy import keras

TINY = 1e-6  # added under the root: where all activations are zero, the gradient still fits into float16


@registered
class LocalResponseNormalization(keras.layers.Layer):
    """Divides each activation by a power of its neighbours' energy across channels.

    ``b[c] = a[c] / (bias + alpha * sum of a[j]^2 over j from c - radius to c + radius) ^ beta``, as in section 3.3 of
    Krizhevsky, Sutskever, Hinton 2012. Unlike Caffe's, the sum is not divided by the number of neighbours: Caffe's
    alpha is that many times as large. Sums and powers are computed in float32 whatever the layer's precision.

    Args:
        radius: neighbours on each side; the paper's n = 5 is a radius of 2.
        bias: the paper's k.
        alpha: weight of the energy.
        beta: the power.
    """

    def __init__(self, radius: int = 2, bias: float = 2.0, alpha: float = 1e-4, beta: float = 0.75, **kwargs: Any):
        super().__init__(**kwargs)
        self.radius, self.bias, self.alpha, self.beta = radius, bias, alpha, beta

    def call(self, inputs: Any) -> Any:
        """Return the normalised activations, shape and dtype of `inputs` (N, H, W, C)."""
        values = keras.ops.cast(inputs, "float32")
        channels = values.shape[-1]
        padded = keras.ops.pad(keras.ops.square(values), [(0, 0)] * 3 + [(self.radius, self.radius)])
        energy = sum(padded[..., start : start + channels] for start in range(2 * self.radius + 1))
        return keras.ops.cast(values * (self.bias + self.alpha * energy) ** -self.beta, inputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape stays."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the layer's configuration."""
        numbers = {"radius": self.radius, "bias": self.bias, "alpha": self.alpha, "beta": self.beta}
        return {**super().get_config(), **numbers}


@registered
class L2Normalization(keras.layers.Layer):
    """Scales the channels at each position to unit length, then multiplies each channel by a learned factor.

    ``b[c] = factor[c] * a[c] / sqrt(sum of a[j]^2 over all channels j)``: Liu, Rabinovich, Berg 2015 ("ParseNet",
    section 3.3). Computed in float32 whatever the layer's precision.

    Args:
        factor: initial factor of every channel; 20 in Liu et al. 2016 ("SSD", section 3.1).
    """

    def __init__(self, factor: float = 20.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the factors, one per channel."""
        start = keras.initializers.Constant(self.factor)
        self.factors = self.add_weight(shape=(input_shape[-1],), initializer=start, autocast=False, name="factors")

    def call(self, inputs: Any) -> Any:
        """Return the normalised activations, shape and dtype of `inputs` (N, H, W, C)."""
        values = keras.ops.cast(inputs, "float32")
        energy = keras.ops.sum(keras.ops.square(values), axis=-1, keepdims=True)
        return keras.ops.cast(values * keras.ops.rsqrt(energy + TINY) * self.factors, inputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape stays."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the layer's configuration."""
        return {**super().get_config(), "factor": self.factor}
