"""The training step's own kernels: what Keras computes, to rounding, and nothing of them left in the model."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.training.kernels import fast_kernels


def _network(**options) -> keras.Model:
    """A convolution, a normalisation with statistics of its own, and logits; the same weights each time."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    network = keras.Sequential(
        [
            layers.Input((6, 5, 2)),
            layers.Conv2D(4, 3, name="conv"),
            layers.BatchNormalization(name="norm", **options),
            layers.Activation("relu"),
            layers.Flatten(),
            layers.Dense(3, dtype="float32", name="logits"),
        ]
    )
    for number, weight in enumerate(network.get_layer("norm").weights):
        weight.assign(weight.value + 0.1 * number)
    return network


def _step(network: keras.Model, fast: bool) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
    """Return the logits, the gradients of a loss, and all weights after one pass of training."""
    random = np.random.default_rng(1)
    images = tf.constant(random.normal(3, 2, (8, 6, 5, 2)).astype("float32"))
    labels = tf.constant(random.integers(0, 3, 8))

    @tf.function(autograph=False)
    def compiled():
        with tf.GradientTape() as tape:
            if fast:
                with fast_kernels(network):
                    logits = network(images, training=True)
            else:
                logits = network(images, training=True)
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        gradients = tape.gradient(loss, [variable.value for variable in network.trainable_variables])
        return logits, gradients

    logits, gradients = compiled()
    return logits.numpy(), [each.numpy() for each in gradients], [np.asarray(each) for each in network.get_weights()]


@pytest.mark.parametrize("options", [{}, {"center": False}, {"scale": False}, {"momentum": 0.5, "epsilon": 0.1}])
def test_fused_batch_normalization_is_kerass(options):
    """Outputs, gradients, and the moving statistics, whose variance Keras divides by n."""
    for ours, kerass in zip(_step(_network(**options), True), _step(_network(**options), False), strict=True):
        for one, other in zip(ours, kerass, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_the_kernel_is_used_and_leaves_no_trace():
    """The step has the one operation; outside it the layer is what it was, and so is what it is saved as."""
    network = _network()
    before = network.get_config()

    def operations(context) -> set[str]:
        with context:
            traced = tf.function(lambda images: network(images, training=True), autograph=False)
            graph = traced.get_concrete_function(tf.TensorSpec((8, 6, 5, 2))).graph
        return {operation.type for operation in graph.get_operations()}

    assert "FusedBatchNormV3" in operations(fast_kernels(network))
    assert "FusedBatchNormV3" not in operations(tf.name_scope("plain"))
    assert "call" not in vars(network.get_layer("norm"))
    assert network.get_config() == before


@pytest.mark.parametrize(
    "change", [lambda norm: setattr(norm, "trainable", False), lambda norm: setattr(norm, "synchronized", True)]
)
def test_what_the_kernel_does_not_compute_stays_kerass(change):
    """A frozen layer normalises by its moving statistics; a synchronised one by those of all devices."""
    network = _network()
    change(network.get_layer("norm"))
    with fast_kernels(network):
        assert "call" not in vars(network.get_layer("norm"))


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_is_normalised_too(precision):
    """Statistics stay float32; outputs agree to what half precision can hold."""

    def norm() -> keras.layers.Layer:
        layer = keras.layers.BatchNormalization(dtype=precision)
        layer.build((None, 6, 5, 4))
        return layer

    model = keras.Sequential([keras.layers.Input((6, 5, 4), dtype="float32"), norm()])
    images = tf.random.stateless_normal((8, 6, 5, 4), (1, 2)) * 2 + 3
    plain = model(images, training=True)
    statistics = [np.asarray(value) for value in model.get_weights()]
    other = keras.Sequential([keras.layers.Input((6, 5, 4), dtype="float32"), norm()])
    with fast_kernels(other):
        fast = other(images, training=True)
    assert fast.dtype == plain.dtype
    np.testing.assert_allclose(tf.cast(fast, tf.float32), tf.cast(plain, tf.float32), atol=0.05)
    for ours, kerass in zip(other.get_weights(), statistics, strict=True):
        np.testing.assert_allclose(ours, kerass, rtol=1e-2)
