"""Counts a built model's layers, output shapes, parameters and multiply-accumulates (MACs).

MACs are counted from the static shapes of the convolutions, matrix products and einsums in the traced inference graph
of one image, so this works for any model, a plugin's too. One MAC is a multiplication and an addition; the number of
FLOPs is twice as large.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from zoo.inspection.receptive_field import receptive_field
from zoo.lazy import keras, tf


@dataclass(frozen=True)
class LayerFacts:
    """One row of the layer table. `macs` is for one image; `window` is a kernel's or a pooling's height and width."""

    name: str
    kind: str
    output_shape: tuple[int | None, ...]
    params: int
    macs: int
    window: tuple[int, ...] = ()


@dataclass(frozen=True)
class Anatomy:
    """A model's layer table and its sums; `macs` is for one image's forward pass.

    `receptive_field` is that of the last convolution, its side in pixels; None if it cannot be determined.
    """

    layers: tuple[LayerFacts, ...]
    params: int
    trainable_params: int
    macs: int
    receptive_field: int | None = None


def dissect(model: keras.Model) -> Anatomy:
    """Count a built model's parameters and MACs, layer by layer.

    A layer that the model uses several times has no MACs of its own in the table; the sum has them.

    Args:
        model: images (N, H, W, C) to anything.
    """
    layers, views = [], Fraction(1)  # views per image; a layer that makes or averages views has a `batch_factor`
    for layer in _in_order(model):
        if isinstance(layer, keras.layers.InputLayer):
            continue
        layers.append(
            LayerFacts(
                name=layer.name,
                kind=type(layer).__name__,
                output_shape=_output_shape(layer),
                params=layer.count_params(),
                macs=int(_layer_macs(layer) * views),
                window=_window(layer),
            )
        )
        views *= getattr(layer, "batch_factor", 1)
    return Anatomy(
        layers=tuple(layers),
        params=model.count_params(),
        trainable_params=sum(math.prod(weight.shape) for weight in model.trainable_weights),
        macs=count_macs(model),
        receptive_field=receptive_field(model),
    )


def count_macs(model: keras.Model) -> int:
    """Return the multiply-accumulates of one image's forward pass."""
    return _trace_and_count(model, model.inputs if len(model.inputs) > 1 else model.inputs[0])


def _in_order(model: keras.Model) -> list[Any]:
    """Return a model's layers in the order of the data flow, one branch after the other.

    Keras orders them by distance from the output, which interleaves branches.
    """
    graph = getattr(model, "_functional", model) or model  # a Sequential holds its graph inside
    nodes = [
        operation._inbound_nodes[index]
        for operation, index, _ in (output._keras_history for output in getattr(graph, "outputs", ()))
    ]
    passed: dict[int, Any] = {}
    begun: set[int] = set()
    pending = nodes[::-1]
    while pending:
        node = pending[-1]
        if id(node) in begun:
            pending.pop()
            passed.setdefault(id(node.operation), node.operation)
        else:
            begun.add(id(node))
            pending += [parent for parent in reversed(node.parent_nodes) if id(parent) not in begun]
    layers = {id(layer): layer for layer in model.layers}
    return [*(layers[key] for key in passed if key in layers), *(layers[key] for key in layers if key not in passed)]


def _layer_macs(layer: Any) -> int:
    try:
        return _trace_and_count(layer, layer.input)
    except (AttributeError, ValueError, TypeError):  # a layer that is shared, or takes several arguments
        return 0


def _window(layer: Any) -> tuple[int, ...]:
    """Return height and width of a convolution's or pooling's window; empty for other layers."""
    window = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
    return tuple(window) if isinstance(window, tuple | list) else ()


def _output_shape(layer: Any) -> tuple[int | None, ...]:
    """Return the shape of the layer's (first) output without the batch axis."""
    try:
        return tuple(keras.tree.flatten(layer.output)[0].shape[1:])
    except (AttributeError, ValueError):
        return ()


def _trace_and_count(layer: Any, inputs: Any) -> int:
    """Trace a layer or model on the given symbolic inputs at batch 1, and add up its operations' MACs."""
    specs = keras.tree.map_structure(lambda t: tf.TensorSpec((1, *t.shape[1:]), t.dtype), inputs)
    traced = tf.function(lambda images: layer(images, training=False), autograph=False)
    return sum(
        _MACS[operation.type](operation)
        for operation in _operations(traced.get_concrete_function(specs).graph)
        if operation.type in _MACS
    )


def _operations(graph: Any) -> Iterator[Any]:
    """Yield a graph's operations and those of the functions it holds (Keras compiles some layers apart)."""
    yield from graph.get_operations()
    for function in graph._functions.values():
        yield from _operations(function.graph)


def _elements(tensor: Any) -> int:
    return math.prod(int(size) for size in tensor.shape)


def _convolution(operation: Any) -> int:
    """Every output element takes one MAC per element of its (grouped) kernel: height x width x channels in."""
    kernel = operation.inputs[1].shape
    return _elements(_gathered(operation.outputs[0])) * math.prod(int(size) for size in kernel[:-1])


def _gathered(outputs: Any) -> Any:
    """Return a convolution's outputs; for a dilated one, those after BatchToSpaceND, which drops the padding."""
    gathering = [consumer for consumer in outputs.consumers() if consumer.type == "BatchToSpaceND"]
    return gathering[0].outputs[0] if gathering else outputs


def _depthwise_convolution(operation: Any) -> int:
    kernel = operation.inputs[1].shape  # (height, width, channels, multiplier)
    return _elements(_gathered(operation.outputs[0])) * int(kernel[0]) * int(kernel[1])


def _transposed_convolution(operation: Any) -> int:
    """Every input element contributes to one kernel's worth of outputs."""
    kernel = operation.inputs[1].shape  # (height, width, channels out, channels in)
    return _elements(operation.inputs[2]) * math.prod(int(size) for size in kernel[:-1])


def _matrix_product(operation: Any) -> int:
    left = operation.inputs[0].shape
    transposed = any(operation.get_attr(name) for name in ("transpose_a", "adj_x") if name in operation.node_def.attr)
    return _elements(operation.outputs[0]) * int(left[-2] if transposed else left[-1])


def _einsum(operation: Any) -> int:
    """The product of all index sizes."""
    terms = operation.get_attr("equation").decode().partition("->")[0].split(",")
    sizes: dict[str, int] = {}
    for term, tensor in zip(terms, operation.inputs, strict=True):
        if "..." in term:
            return 0 if len(terms) < 2 else _elements(operation.outputs[0]) * int(tensor.shape[-1])
        sizes |= {index: int(size) for index, size in zip(term, tensor.shape, strict=True)}
    return math.prod(sizes.values()) if len(terms) > 1 else 0


_MACS = {
    "Conv2D": _convolution,
    "Conv3D": _convolution,
    "DepthwiseConv2dNative": _depthwise_convolution,
    "Conv2DBackpropInput": _transposed_convolution,
    "MatMul": _matrix_product,
    "BatchMatMul": _matrix_product,
    "BatchMatMulV2": _matrix_product,
    "BatchMatMulV3": _matrix_product,
    "Einsum": _einsum,
}
