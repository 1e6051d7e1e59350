"""Every built-in, beyond what the conformance kit checks: layer table, smallest input, a step in each precision."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from built_in_models import EVERY, QUICK

from zoo import registry
from zoo.errors import ModelError, UnknownNameError
from zoo.inspection import anatomy
from zoo.spec import PRECISIONS
from zoo.training.trainer import train


@pytest.mark.parametrize("name", EVERY)
def test_layer_table_adds_up(name):
    """The rows of the layer table sum to the declared parameters and MACs."""
    spec, layers = registry.get(name), anatomy.dissect(registry.create(name)).layers
    assert sum(layer.params for layer in layers) == spec.params
    assert sum(layer.macs for layer in layers) == spec.macs


@pytest.mark.parametrize("name", EVERY)
def test_smallest_input_is_the_smallest(name):
    """The declared minimum builds; one pixel less is refused in plain words."""
    height, width = registry.get(name).min_size
    assert registry.create(name, input_shape=(height, width, 1), num_classes=10).output_shape == (None, 10)
    if height > 1:
        words = f"{name} needs at least {height}x{width}, received {height - 1}x{width}"
        with pytest.raises(ModelError, match=words):
            registry.create(name, input_shape=(height - 1, width, 1))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", QUICK)
def test_trains_a_step_in_every_precision(name, precision, tiny_digits, tmp_path):
    """Two steps on digits: finite loss, float32 logits, weights in float32 and moved."""
    run = train(name, dataset=tiny_digits, precision=precision, epochs=1, batch_size=64, output=tmp_path / "run")
    assert np.isfinite(run.document["history"][0]["loss"])
    assert run.document["precision"] == precision
    assert keras.backend.standardize_dtype(run.model(tiny_digits.test.images[:1].astype("float32")).dtype) == "float32"
    assert {weight.dtype for weight in run.model.trainable_weights} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"


def test_options_change_the_architecture():
    """The modern LeNet and a wider perceptron are a matter of arguments."""
    modern = registry.create("lenet5", activation="relu", pooling="max")
    assert modern.count_params() == 61_706
    assert isinstance(modern.get_layer("s2"), keras.layers.MaxPooling2D)
    assert registry.create("mlp", hidden_sizes=(512,), dropout=0).count_params() == 407_050


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_dilated_convolutions_count_what_they_give(padding):
    """So many MACs for each value that comes out, whatever TensorFlow computes beside it."""
    inputs = keras.Input((19, 17, 3))
    options = {"dilation_rate": 6, "padding": padding}
    height, width = {"same": (19, 17), "valid": (7, 5)}[padding]
    plain = keras.Model(inputs, keras.layers.Conv2D(4, 3, **options)(inputs))
    assert anatomy.count_macs(plain) == height * width * 4 * 9 * 3
    depthwise = keras.Model(inputs, keras.layers.DepthwiseConv2D(3, **options)(inputs))
    assert anatomy.count_macs(depthwise) == height * width * 3 * 9


def test_marathon_answers_for_five_views_and_trains_on_one():
    """Its logits are the mean of those of the image and of the image moved; its layer table counts each view."""
    options = {"filters": [4, 8], "pooled": [2], "dropout": 0.0}
    model, plain = (registry.create("marathon", views=views, **options) for views in (True, False))
    plain.set_weights(model.get_weights())
    images = np.zeros((3, 28, 28, 1), "float32")
    images[:, 4:24, 4:24] = np.random.default_rng(0).random((3, 20, 20, 1))
    moves = [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)]
    views = [np.array(plain(np.roll(images, move, (1, 2)), training=False)) for move in moves]
    np.testing.assert_allclose(np.array(model(images, training=False)), np.mean(views, axis=0), atol=1e-5)
    in_training = [np.array(each(images, training=True)) for each in (model, plain)]
    np.testing.assert_allclose(*in_training, atol=1e-5)
    facts = anatomy.dissect(model)
    assert facts.macs == sum(layer.macs for layer in facts.layers) == 5 * anatomy.count_macs(plain)


def test_the_layer_table_follows_each_branch_to_its_end():
    """An inception module stands as in table 1 of its paper, 1x1, 3x3, 5x5, pooling, not mixed by distance."""
    names = [row.name for row in anatomy.dissect(registry.create("googlenet", input_shape=(96, 96, 3))).layers]
    first = names.index("inception_3a_1x1")
    branches = ["1x1", "3x3_reduce", "3x3", "5x5_reduce", "5x5", "pool", "pool_proj", "concat"]
    assert [name.removeprefix("inception_3a_") for name in names[first : first + 8]] == branches
    two_maps = registry.create("yolo_v3")
    names = [row.name for row in anatomy.dissect(two_maps).layers]
    assert names.index("stride_8_rows") < names.index("fine_up")
    assert sorted(names) == sorted(layer.name for layer in two_maps.layers[1:])  # the image is no row


def test_the_layer_table_has_layers_whose_order_is_unknown():
    """A subclass of `keras.Model` has layers and no graph of them."""

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = keras.layers.Flatten(), keras.layers.Dense(3)

        def call(self, images):
            return self.second(self.first(images))

    own = Own()
    own(np.zeros((1, 4, 4, 1), "float32"))
    assert [type(layer).__name__ for layer in anatomy._in_order(own)] == ["Flatten", "Dense"]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"dropuot": 0.5}, UnknownNameError, "simple_cnn has no option 'dropuot'. Did you mean 'dropout'"),
        ({"num_classes": 0}, ModelError, "num_classes as a positive integer; received 0"),
        ({"input_shape": (28, 28)}, ModelError, r"three positive integers; received \(28, 28\)"),
        ({"precision": "float8"}, ModelError, "precision must be one of .* received 'float8'"),
        ({"filters": "many"}, ModelError, "simple_cnn cannot be built with .*filters='many'"),
    ],
)
def test_impossible_arguments_are_refused(arguments, error, words):
    """Every refusal names the model, the rule and what was received."""
    with pytest.raises(error, match=words):
        registry.create("simple_cnn", **arguments)


def test_builder_called_by_itself_checks_too():
    """``from zoo.models.lenet import lenet5`` gives the same words as the registry."""
    from zoo.models.lenet import lenet5

    with pytest.raises(ModelError, match="lenet5 needs at least 12x12, received 8x8"):
        lenet5(input_shape=(8, 8, 1))
    with pytest.raises(ModelError, match="pooling must be average or max, received 'min'"):
        lenet5(pooling="min")
