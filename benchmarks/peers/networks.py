"""zoo's models once more, as layers that the PyTorch and the JAX side build from. Imports no framework.

The tests hold them against zoo's own: as many parameters, and the same weights after the same steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Convolution:
    """Square convolution with bias and stride 1; `padded` keeps the size."""

    channels_in: int
    channels: int
    size: int
    activation: str
    padded: bool = False


@dataclass(frozen=True)
class Pool:
    """The average or the maximum of 2x2 pixels; an odd last row or column is left out."""

    kind: str


@dataclass(frozen=True)
class Flatten:
    """Pixels (height, width, channels) as one row, in this order."""

    height: int
    width: int
    channels: int

    @property
    def size(self) -> int:
        return self.height * self.width * self.channels


@dataclass(frozen=True)
class Dense:
    """Fully connected with bias; the last one gives the logits and has no activation."""

    units_in: int
    units: int
    activation: str = ""


@dataclass(frozen=True)
class Dropout:
    """Leaves out that share of the inputs in training and scales the others up."""

    share: float


Layer = Convolution | Pool | Flatten | Dense | Dropout


def mlp(*, dropout: float = 0.2) -> tuple[Layer, ...]:
    """784-128-10 with dropout."""
    middle = (Dropout(dropout),) if dropout else ()
    return (Flatten(28, 28, 1), Dense(784, 128, "relu"), *middle, Dense(128, 10))


def lenet5() -> tuple[Layer, ...]:
    """LeNet-5 with tanh and average pooling."""
    flat = Flatten(5, 5, 16)
    return (
        Convolution(1, 6, 5, "tanh", padded=True),
        Pool("average"),
        Convolution(6, 16, 5, "tanh"),
        Pool("average"),
        flat,
        Dense(flat.size, 120, "tanh"),
        Dense(120, 84, "tanh"),
        Dense(84, 10),
    )


def simple_cnn() -> tuple[Layer, ...]:
    """Two 3x3 convolutions with max pooling, a dense layer of 64."""
    flat = Flatten(5, 5, 64)
    return (
        Convolution(1, 32, 3, "relu"),
        Pool("max"),
        Convolution(32, 64, 3, "relu"),
        Pool("max"),
        flat,
        Dense(flat.size, 64, "relu"),
        Dense(64, 10),
    )


NETWORKS: dict[str, Callable[..., tuple[Layer, ...]]] = {"mlp": mlp, "lenet5": lenet5, "simple_cnn": simple_cnn}


def kernels(layers: tuple[Layer, ...]) -> list[tuple[int, int, int, int]]:
    """Return the shape (height, width, in, out) of each layer's kernel, as if a dense layer were a convolution.

    A dense layer behind `Flatten` covers all its pixels: frameworks differ in the order in which they flatten them.
    """
    shapes, flat = [], None
    for layer in layers:
        if isinstance(layer, Convolution):
            shapes.append((layer.size, layer.size, layer.channels_in, layer.channels))
        elif isinstance(layer, Dense):
            height, width, channels = (flat.height, flat.width, flat.channels) if flat else (1, 1, layer.units_in)
            shapes.append((height, width, channels, layer.units))
        flat = layer if isinstance(layer, Flatten) else None
    return shapes
