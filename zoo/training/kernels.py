"""Faster kernels for Keras layers, used only in the training step; the model itself stays plain Keras.

A layer with a kernel here computes what Keras computes, up to rounding, with fewer and larger operations. Variables,
configuration and saved files do not change: the layer's ``call`` is replaced only while the step is traced.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf


@contextlib.contextmanager
def fast_kernels(model: keras.Model) -> Iterator[None]:
    """Use the faster kernels for the layers of `model` that have one."""
    with calls_replaced(
        [layer for layer in model._flatten_layers(include_self=False) if _suits(layer)], _fused_batch_normalization
    ):
        yield


@contextlib.contextmanager
def calls_replaced(layers: Sequence[keras.layers.Layer], call: Callable[..., Any]) -> Iterator[None]:
    """Replace the ``call`` of these layers by `call`, which takes the layer as its first argument."""
    for layer in layers:
        object.__setattr__(layer, "call", functools.partial(call, layer))  # not a tracked value
    try:
        yield
    finally:
        for layer in layers:
            object.__delattr__(layer, "call")


def _suits(layer: keras.layers.Layer) -> bool:
    """Whether this is a batch normalisation that the fused kernel can compute: float32, channels last, one device."""
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.trainable
        and layer.axis in (-1, 3)
        and layer.variable_dtype == "float32"
        and not getattr(layer, "renorm", False)
        and not layer.synchronized
        and layer.built
        and layer.input_spec.ndim == 4
    )


def _fused_batch_normalization(
    layer: keras.layers.BatchNormalization, inputs: tf.Tensor, training: bool | None = None, mask: Any = None
) -> tf.Tensor:
    """Batch normalisation in one kernel per direction, where Keras uses about ten operations (Ioffe, Szegedy 2015).

    The kernel returns the sample variance (divided by n - 1); the moving variance is updated with n, as in Keras.

    Args:
        layer: its variables are read, its moving statistics updated.
        inputs: (N, H, W, C), in the layer's precision.
        training: whether to normalise by this batch.
        mask: of the inputs.
    """
    keras_call: Callable[..., tf.Tensor] = type(layer).call
    if not training or mask is not None:
        return keras_call(layer, inputs, training=training, mask=mask)
    channels, unused = inputs.shape[-1], tf.constant([], tf.float32)
    normalized, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=layer.gamma.value if layer.scale else tf.ones([channels]),
        offset=layer.beta.value if layer.center else tf.zeros([channels]),
        mean=unused,
        variance=unused,
        epsilon=layer.epsilon,
        is_training=True,
    )
    count = tf.cast(tf.size(inputs) // channels, tf.float32)
    for moving, value in ((layer.moving_mean, mean), (layer.moving_variance, variance * (count - 1) / count)):
        moving.assign(moving.value * layer.momentum + value * (1 - layer.momentum))
    return normalized
