"""What is saved computes in float32, in whatever precision it was trained, and is what the metrics were measured on."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.evaluation.evaluate import evaluate
from zoo.layers import L2Normalization, LocalResponseNormalization, MaxPoolingWithPositions, Unpooling
from zoo.runs import folder as saving
from zoo.runs.folder import load_run
from zoo.spec import spec_of
from zoo.training.trainer import train

HALF = ("mixed_bfloat16", "mixed_float16")
SHAPE = (8, 8, 2)
layers = keras.layers


def _under(policy: str, build):
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy(policy)
        return build()
    finally:
        keras.config.set_dtype_policy(before)


def _says_half(path: Path) -> bool:
    """Whether anything in a saved model's configuration is of half precision."""
    with zipfile.ZipFile(path) as archive:
        return "float16" in archive.read("config.json").decode()


# Copies


def _ending(x):
    return layers.Dense(3, dtype="float32")(layers.Flatten()(x))


def shared():
    images = keras.Input(SHAPE)
    conv = layers.Conv2D(2, 3, padding="same")
    x = conv(keras.ops.relu(conv(images) * 2))
    return keras.Model(images, _ending(x + keras.ops.mean(x, axis=-1, keepdims=True)))


def nested():
    hidden = [layers.BatchNormalization(), layers.Conv2D(2, 3), layers.Dropout(0.5)]
    inner = keras.Sequential([keras.Input(SHAPE), *hidden], name="inner")
    images = keras.Input(SHAPE)
    return keras.Model(images, _ending(inner(images)))


def auxiliary():
    images = keras.Input(SHAPE)
    x = layers.Conv2D(4, 3)(images)
    return keras.Model(images, [_ending(layers.Conv2D(2, 3)(x)), _ending(x)])


def of_zoo():
    images = keras.Input(SHAPE)
    maxima, positions = MaxPoolingWithPositions()(LocalResponseNormalization()(L2Normalization()(images)))
    return keras.Model(images, _ending(Unpooling((8, 8))([maxima, positions])))


def composite():
    images = keras.Input(SHAPE)
    x = layers.Reshape((16, 8))(images)
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(layers.MultiHeadAttention(2, 4)(x, x))
    return keras.Model(images, _ending(layers.TimeDistributed(layers.Dense(2))(x)))


def constants():
    """Normalization keeps its mean in the precision that it was built in."""
    own = layers.Normalization(axis=None, mean=0.1234567, variance=0.456)
    return keras.Sequential([keras.Input(SHAPE), own, layers.Flatten(), layers.Dense(3, dtype="float32")])


class Scale(layers.Layer):
    """A layer of somebody's who has not registered it."""

    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        return inputs * self.factor

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


def unregistered():
    return keras.Sequential([keras.Input(SHAPE), Scale(3.0), layers.Flatten(), layers.Dense(3, dtype="float32")])


def with_lambda():
    mine = layers.Lambda(lambda x: x * 3)
    return keras.Sequential([keras.Input(SHAPE), mine, layers.Flatten(), layers.Dense(3, dtype="float32")])


@pytest.mark.parametrize("policy", HALF)
@pytest.mark.parametrize(
    "build",
    [shared, nested, auxiliary, of_zoo, composite, constants, unregistered, with_lambda],
    ids=lambda build: build.__name__,
)
def test_a_copy_is_the_network_that_float32_would_have_built(policy, build, tmp_path):
    """The same layers, names and weights; bit for bit the outputs of the model built in float32."""
    keras.utils.set_random_seed(1)
    images = np.random.default_rng(0).random((3, *SHAPE), dtype=np.float32)
    trained, wanted = _under(policy, build), _under("float32", build)
    for variable in trained.non_trainable_variables:  # statistics that are not those of a new network
        if "seed" not in variable.path:
            variable.assign(variable.value + 0.5)
    wanted.set_weights(trained.get_weights())
    copy = saving.in_float32(trained, images)
    expected = keras.tree.flatten(wanted(images, training=False))
    for output, right in zip(keras.tree.flatten(copy(images, training=False)), expected, strict=True):
        np.testing.assert_array_equal(output, right)
    assert {layer.dtype_policy.name for layer in copy._flatten_layers()} == {"float32"}
    assert [layer.name for layer in copy.layers] == [layer.name for layer in trained.layers]
    copy.save(tmp_path / "copy.keras")
    assert not _says_half(tmp_path / "copy.keras")
    assert policy in {layer.dtype_policy.name for layer in trained._flatten_layers()}  # and is left as it was


def test_weights_in_half_precision_and_quantised_ones_keep_their_values():
    """bfloat16 fits float32 exactly; int8 stays what it is."""

    def build():
        halves = [layers.Flatten(), layers.Dense(16, dtype="bfloat16"), layers.Dense(3, dtype="mixed_bfloat16")]
        return keras.Sequential([keras.Input(SHAPE), *halves])

    model = _under("mixed_bfloat16", build)
    model.layers[2].quantize("int8")
    images = np.ones((1, *SHAPE), np.float32)
    model(images)
    copy = saving.in_float32(model, images)
    assert [layer.dtype_policy.name for layer in copy.layers] == ["float32", "float32", "int8_from_float32"]
    for mine, own in zip(copy.weights, model.weights, strict=True):
        assert np.array_equal(np.asarray(mine), np.asarray(own).astype(mine.dtype))


def test_float32_is_not_copied():
    """What most recipes train costs nothing."""
    model = _under("float32", shared)
    assert saving.in_float32(model, np.ones((1, *SHAPE), np.float32)) is model


# Runs


@pytest.fixture(scope="module", params=HALF)
def run(request, tiny_digits, tmp_path_factory):
    """A run in half precision of a model with batch normalisation, and its trained model's own weights."""
    weights: list[np.ndarray] = []

    class Note(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            weights[:] = self.model.get_weights()

    finished = train(
        spec_of(small),
        dataset=tiny_digits,
        precision=request.param,
        epochs=3,
        batch_size=40,
        validation_split=0.25,
        save_best="val_loss",
        callbacks=[Note()],
        output=tmp_path_factory.mktemp("runs") / request.param,
    )
    return finished, weights


def small(*, input_shape=(28, 28, 1), num_classes=10):
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Conv2D(4, 5, strides=3),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(num_classes, dtype="float32"),
        ],
        name="small",
    )


def test_a_run_in_half_precision_is_saved_in_float32(run):
    """The last and the best epoch's model; the record still says how it was trained."""
    finished, weights = run
    for name in ("model.keras", "best.keras"):
        assert not _says_half(finished.folder / name), name
    assert finished.document["precision"].startswith("mixed_")
    for saved, trained in zip(load_run(finished.folder).model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(saved, trained)


def test_the_metrics_are_those_of_the_model_that_is_saved(run, tiny_digits):
    """Measured again, in this process or from the file, the run gives the numbers of its record."""
    finished, _ = run
    images = tiny_digits.test.images.astype("float32")
    read = load_run(finished.folder)
    np.testing.assert_array_equal(finished.model.predict(images, verbose=0), read.model.predict(images, verbose=0))
    measured = evaluate(read, dataset=tiny_digits, output=finished.folder / "again")["metrics"]
    assert measured["test_accuracy"] == finished.metrics["test_accuracy"]
    assert measured["test_loss"] == pytest.approx(finished.metrics["test_loss"], rel=1e-6)


def test_a_saved_run_converts_to_tflite(run):
    """Whose converter knows no bfloat16."""
    finished, _ = run
    model = keras.models.load_model(finished.folder / "model.keras")
    assert len(tf.lite.TFLiteConverter.from_keras_model(model).convert()) > 1000


def test_a_model_of_ones_own_in_half_precision_stays_as_it_is_and_is_saved_in_float32(tiny_digits, tmp_path):
    """The object that was passed goes on in its own precision."""
    mine = _under("mixed_bfloat16", small)
    finished = train(mine, dataset=tiny_digits, precision="mixed_bfloat16", epochs=1, output=tmp_path / "run")
    assert not _says_half(tmp_path / "run" / "model.keras")
    assert mine.layers[0].compute_dtype == "bfloat16"
    assert finished.model is not mine
    for saved, trained in zip(finished.model.get_weights(), mine.get_weights(), strict=True):
        np.testing.assert_array_equal(saved, trained)


def test_a_model_that_cannot_be_copied_is_not_lost(tiny_digits, tmp_path):
    """Its function misses what was around it when it was written down: it is saved as it was trained."""
    factor = [2.0]

    def build():
        mine = layers.Lambda(lambda x: tf.multiply(x, factor[0]))
        return keras.Sequential([keras.Input((28, 28, 1)), mine, layers.Flatten(), layers.Dense(10, dtype="float32")])

    network = _under("mixed_bfloat16", build)
    with pytest.warns(UserWarning, match="saved in the precision that it was trained in, since no copy"):
        finished = train(network, dataset=tiny_digits, precision="mixed_bfloat16", epochs=1, output=tmp_path / "run")
    assert np.isfinite(finished.metrics["test_loss"])
    assert _says_half(tmp_path / "run" / "model.keras")


def test_a_run_that_was_saved_in_half_precision_is_still_read(run, tmp_path, tiny_digits):
    """As the first zoo wrote it."""
    finished, _ = run
    folder = tmp_path / "earlier"
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(finished.to_dict()))
    model = _under(finished.document["precision"], small)
    model.save(folder / "model.keras")
    images = tiny_digits.test.images.astype("float32")
    read = load_run(folder).model
    assert read.layers[0].compute_dtype == model.layers[0].compute_dtype != "float32"
    np.testing.assert_array_equal(read.predict(images, verbose=0), model.predict(images, verbose=0))
