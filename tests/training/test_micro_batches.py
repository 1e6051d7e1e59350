"""Batches split into micro-batches: the same gradients as Keras, and only for models where that holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo import registry
from zoo.data import Split
from zoo.inference import Examples, Totals
from zoo.spec import Recipe
from zoo.training.devices import place
from zoo.training.input_pipeline import ResidentFeed
from zoo.training.loop import CompiledLoop
from zoo.training.micro_batches import micro_batches_of, side_by_side
from zoo.training.optimizers import make_optimizer
from zoo.training.session import split, with_scaling


def _loop(name: str, data, micro_batches: int, **options) -> CompiledLoop:
    """The compiled loop of a model with the same weights each time, its batches split into this many micro-batches."""
    from zoo.tasks.classification import Classification

    keras.utils.set_random_seed(0)
    recipe = Recipe(
        micro_batches=micro_batches, batch_size=50, optimizer="sgd", learning_rate=1.0, model_options=options
    )
    parts = split(data, recipe)
    network = registry.create(name, **options)
    model = with_scaling(network, recipe, parts.train.images, name=name)
    optimizer = make_optimizer(recipe, total_steps=10)
    optimizer.build(model.trainable_variables)
    feed = ResidentFeed(Examples(parts.train.images, parts.train.labels), recipe)
    return CompiledLoop(model, optimizer, Classification(), recipe, feed, place(recipe, device="cpu"))


@pytest.mark.parametrize("name", ["mlp", "lenet5", "simple_cnn"])
@pytest.mark.parametrize("micro_batches", [1, 2, 3])
def test_gradients_are_kerass(name, micro_batches, tiny_digits):
    """The gradients of one batch by Keras' own model, loss and tape, to 1e-5 in float32."""
    options = {"dropout": 0.0} if name == "mlp" else {}
    loop = _loop(name, tiny_digits, micro_batches, **options)
    pixels, labels = tf.constant(tiny_digits.train.images[:50]), tf.constant(tiny_digits.train.labels[:50])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with tf.GradientTape() as tape:
        value = loss(labels, loop.model(tf.cast(pixels, tf.float32), training=True))
    expected = tape.gradient(value, [variable.value for variable in loop.model.trainable_variables])
    before = [np.asarray(variable) for variable in loop.model.trainable_variables]
    summed, correct = tf.function(loop._train_step, autograph=False)(pixels, labels)
    assert float(summed) == pytest.approx(50 * float(value), rel=1e-5)
    assert 0 <= int(correct) <= 50
    for old, new, gradient in zip(before, loop.model.trainable_variables, expected, strict=True):
        np.testing.assert_allclose(old - np.asarray(new), gradient, rtol=1e-4, atol=1e-5)


def test_a_batch_smaller_than_its_shares_is_trained(tiny_digits):
    """An epoch's last batch may be a single image."""
    data = tiny_digits
    single = Split(data.train.images[:51], data.train.labels[:51])
    loop = _loop("lenet5", type(data)(data.name, single, data.test, data.class_names, data.source, {}), 4)
    loop.warm_up()
    loop.feed.begin(0)
    done = loop.run(Totals(), 2, first_step=0)
    assert (done.examples, done.steps) == (51, 2)
    assert np.isfinite(done.loss)


def _model(*layers) -> keras.Model:
    return keras.Sequential([keras.layers.Input((8, 8, 1)), *layers, keras.layers.Flatten(), keras.layers.Dense(10)])


class _Foreign(keras.layers.Layer):
    """A layer of somebody else's: nobody knows what it does with a batch."""

    def call(self, inputs):
        return inputs - tf.reduce_mean(inputs, axis=0)


@pytest.mark.parametrize(
    ("layer", "micro_batches"),
    [
        (keras.layers.Conv2D(2, 3), 2),
        (keras.layers.Dropout(0.5), 2),
        (keras.layers.LayerNormalization(), 2),
        (keras.layers.BatchNormalization(), 1),
        (keras.layers.Conv2D(2, 3, activity_regularizer="l2"), 1),
        (_Foreign(), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_models_that_treat_images_independently_are_split(layer, micro_batches):
    """A number of micro-batches in the recipe overrides this."""
    model = _model(layer)
    assert micro_batches_of(model, Recipe(), 2) == micro_batches
    assert micro_batches_of(keras.Sequential([keras.layers.Input((8, 8, 1)), model]), Recipe(), 2) == micro_batches
    assert micro_batches_of(model, Recipe(micro_batches=3), 2) == 3


@pytest.mark.parametrize(
    ("threads", "expected"),
    [
        ({"cores": 2, "intra_op": 1, "inter_op": 2}, 2),
        ({"cores": 2, "intra_op": 2, "inter_op": 2}, 1),
        ({"cores": 16, "intra_op": 4, "inter_op": 16}, 4),
        ({"cores": 16, "intra_op": 1, "inter_op": 16}, 4),
        ({"cores": 2, "intra_op": 1, "inter_op": 1}, 1),
    ],
)
def test_as_many_micro_batches_as_run_in_parallel(threads, expected):
    """The cores divided by the threads per operation, at most four."""
    assert side_by_side(threads) == expected


PROGRAM = """
import json, sys
import tensorflow as tf
from zoo import registry
from zoo.spec.recipe import Recipe
from zoo.training.devices import place
if sys.argv[2] == "running":
    tf.constant(1) + 1
spec = registry.get(sys.argv[1])
recipe = Recipe(micro_batches=int(sys.argv[3]))
placement = place(recipe, device="cpu", training=spec)
print(json.dumps([placement.threads, placement.side_by_side]))
"""


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="takes two cores")
@pytest.mark.parametrize(
    ("model", "state", "micro_batches", "chosen", "intra_op"),
    [
        ("lenet5", "fresh", 0, {}, "shared"),
        ("lenet5", "running", 0, {}, "all"),
        ("lenet5", "fresh", 1, {}, "all"),
        ("lenet5", "fresh", 0, {"TF_NUM_INTRAOP_THREADS": "2"}, "two"),
    ],
)
def test_threads_are_laid_out_before_tensorflow_runs(model, state, micro_batches, chosen, intra_op):
    """In a fresh process; not if TensorFlow is running, with one micro-batch, or if the user has set the number."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **chosen}
    command = [sys.executable, "-c", PROGRAM, model, state, str(micro_batches)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    threads, together = json.loads(done.stdout)
    cores = threads["cores"]
    wanted = {"shared": max(1, cores // min(cores, 4)), "all": cores, "two": 2}[intra_op]
    assert threads["intra_op"] == wanted
    assert together == max(1, min(cores // wanted, 4))
