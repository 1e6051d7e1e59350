"""Computes a network's receptive field: the part of the image that one value of its last convolution depends on."""

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
"""Layer classes of Keras and zoo that work on each position alone, or shift all positions together."""


@dataclass(frozen=True)
class Field:
    """The receptive field of one value of a map, and the stride between neighbours: (height, width) in image pixels."""

    size: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)


def receptive_field(model: keras.Model) -> int | None:
    """Return the side, in pixels, of the last convolution's receptive field, padding included.

    It follows the widest path through the graph (Araujo, Norris, Sim, "Computing Receptive Fields of Convolutional
    Neural Networks", Distill 2019). None if there is no convolution, or if one follows a layer without a fixed
    receptive field, such as upsampling.
    """
    functional = getattr(model, "_functional", model) or model  # a Sequential holds its graph inside
    fields: dict[int, Field | None] = {}
    widest: tuple[int, int] = (0, 0)
    for depth in sorted(getattr(functional, "_nodes_by_depth", ()), reverse=True):
        for node in functional._nodes_by_depth[depth]:
            parents = [fields.get(id(parent)) for parent in node.parent_nodes]
            known = [parent for parent in parents if parent is not None]
            kind = type(node.operation).__name__
            if kind == "InputLayer":
                fields[id(node)] = Field()
                continue
            is_known = known and len(known) == len(parents)
            fields[id(node)] = field = _field_after(node.operation, kind, known) if is_known else None
            if kind in CONVOLUTIONS:
                if field is None:
                    return None
                widest = max(widest[0], field.size[0]), max(widest[1], field.size[1])
    return max(widest) or None


def _field_after(operation: Any, kind: str, parents: list[Field]) -> Field | None:
    """Return the receptive field after an operation; the widest of several inputs counts."""
    size, stride = (
        tuple(map(max, zip(*each, strict=True))) for each in zip(*((p.size, p.stride) for p in parents), strict=True)
    )
    if kind in POINTWISE:
        return Field(size, stride)
    if kind not in CONVOLUTIONS + POOLINGS:
        return None
    window = operation.kernel_size if kind in CONVOLUTIONS else operation.pool_size
    dilation = getattr(operation, "dilation_rate", (1, 1))
    grown = (s + (w - 1) * d * step for s, w, d, step in zip(size, window, dilation, stride, strict=True))
    return Field(tuple(grown), tuple(step * by for step, by in zip(stride, operation.strides, strict=True)))
