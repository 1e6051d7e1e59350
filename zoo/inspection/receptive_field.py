"""How much of an image one value of a network's last convolution depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from zoo.lazy import keras

CONVOLUTIONS = ("Conv2D", "DepthwiseConv2D", "SeparableConv2D")
POOLINGS = ("MaxPooling2D", "AveragePooling2D")
POINTWISE = (
    "Activation", "Add", "AlphaDropout", "Average", "BatchNormalization", "Concatenate", "Cropping2D", "Dropout", "ELU",
    "GaussianDropout", "GaussianNoise", "L2Normalization", "LayerNormalization", "LeakyReLU",
    "LocalResponseNormalization", "Maximum", "MeanOfViews", "Minimum", "MovedViews", "Multiply", "Normalization", "Pad",
    "PReLU", "ReLU", "Relu", "Rescaling", "Softmax", "SpatialDropout2D", "Subtract", "ZeroPadding2D",
)  # fmt: skip
"""Classes of Keras and of zoo whose values look at one position of each input, or move positions as a whole."""


@dataclass(frozen=True)
class Sight:
    """What one value of a map sees of the image, and how far apart neighbouring values look: pixels, high and wide."""

    size: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)


def receptive_field(model: keras.Model) -> int | None:
    """Return how many pixels by side one value of the last convolution depends on, padding counted as image.

    It follows the widest path through the graph (Araujo, Norris, Sim, "Computing Receptive Fields of Convolutional
    Neural Networks", Distill 2019). None where there is no convolution, or one comes after a layer that is not
    understood in these terms, such as one that makes maps larger.
    """
    functional = getattr(model, "_functional", model) or model  # a Sequential holds its graph inside
    sights: dict[int, Sight | None] = {}
    widest: tuple[int, int] = (0, 0)
    for depth in sorted(getattr(functional, "_nodes_by_depth", ()), reverse=True):
        for node in functional._nodes_by_depth[depth]:
            parents = [sights.get(id(parent)) for parent in node.parent_nodes]
            known = [parent for parent in parents if parent is not None]
            kind = type(node.operation).__name__
            if kind == "InputLayer":
                sights[id(node)] = Sight()
                continue
            sights[id(node)] = sight = (
                _seen(node.operation, kind, known) if known and len(known) == len(parents) else None
            )
            if kind in CONVOLUTIONS:
                if sight is None:
                    return None
                widest = max(widest[0], sight.size[0]), max(widest[1], sight.size[1])
    return max(widest) or None


def _seen(operation: Any, kind: str, parents: list[Sight]) -> Sight | None:
    """What a value sees whose inputs see that much; of several inputs the widest counts."""
    size, stride = (
        tuple(map(max, zip(*each, strict=True))) for each in zip(*((p.size, p.stride) for p in parents), strict=True)
    )
    if kind in POINTWISE:
        return Sight(size, stride)
    if kind not in CONVOLUTIONS + POOLINGS:
        return None
    window = operation.kernel_size if kind in CONVOLUTIONS else operation.pool_size
    dilation = getattr(operation, "dilation_rate", (1, 1))
    grown = (s + (w - 1) * d * step for s, w, d, step in zip(size, window, dilation, stride, strict=True))
    return Sight(tuple(grown), tuple(step * by for step, by in zip(stride, operation.strides, strict=True)))
