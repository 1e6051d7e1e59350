"""Keras models of one's own, as people write them: scaled or not, ending in logits or softmax, of any shape."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from zoo.data import Dataset, Split
from zoo.errors import ModelError
from zoo.evaluation.evaluate import evaluate
from zoo.evaluation.matching import caution_about_scaling, matched
from zoo.evaluation.subject import open_subject
from zoo.inference import ForwardPass
from zoo.runs.folder import load_run
from zoo.spec import Recipe, Run
from zoo.tasks.measures.probabilities import are_probabilities
from zoo.training.trainer import train

layers = keras.layers
SHAPE = (28, 28, 1)


def network(
    *first: keras.Layer, end: str | None = None, units: int = 10, shape: tuple[int, ...] = SHAPE
) -> keras.Model:
    """Return a small classifier, its weights drawn by one seed."""
    keras.utils.set_random_seed(1)
    dense = layers.Dense(units, activation=end)
    return keras.Sequential([keras.Input(shape), *first, layers.Flatten(), dense], name="mine")


def trained(model: keras.Model, data: Dataset, **options: Any) -> tuple[Run, str]:
    """Train for two epochs; return the run and everything that was said."""
    said: list[str] = []
    run = train(model, dataset=data, deterministic=True, announce=said.append, **{"epochs": 2, **options})
    return run, " ".join(said)


def adapted(images: np.ndarray) -> keras.Layer:
    layer = layers.Normalization(axis=None)
    layer.adapt(images.astype(np.float32))
    return layer


def divided() -> keras.Model:
    keras.utils.set_random_seed(1)
    image = keras.Input(SHAPE)
    return keras.Model(image, layers.Dense(10)(layers.Flatten()(image / 255)), name="mine")


def nested() -> keras.Model:
    image = keras.Input(SHAPE)
    return keras.Model(image, network(layers.Rescaling(1 / 255))(image), name="mine")


@pytest.mark.parametrize(
    "build",
    [
        lambda: network(layers.Rescaling(1 / 255)),
        lambda: network(layers.RandomContrast(0.0), layers.Rescaling(1 / 255)),
        divided,
        nested,
    ],
)
def test_a_model_that_divides_by_255_is_not_divided_again(tiny_digits: Dataset, build: Any) -> None:
    """It learns what the plain network learns by zoo's scaling, bit for bit, and this is said and recorded."""
    plain, silence = trained(network(), tiny_digits)
    run, said = trained(build(), tiny_digits)
    assert silence == ""
    assert "mine scales images itself, before its layer dense" in said
    assert "scaling='none'" in said
    assert run.recipe.data.scaling == run.document["recipe_values"]["data"]["scaling"] == "none"
    assert run.metrics["test_loss"] == pytest.approx(plain.metrics["test_loss"], rel=1e-5)


def test_other_scalings_are_seen_too(tiny_digits: Dataset) -> None:
    """Rescaling to -1..1, a Normalization adapted to raw images; one adapted to 0..1 needs zoo's scaling still."""
    images = tiny_digits.train.images
    for first, scaling in (
        (layers.Rescaling(1 / 127.5, offset=-1), "none"),
        (adapted(images), "none"),
        (adapted(images / 255), "unit"),
        (layers.Normalization(axis=None, mean=0, variance=1), "unit"),
        (layers.BatchNormalization(), "unit"),
    ):
        run, said = trained(network(first), tiny_digits, epochs=1)
        assert run.recipe.data.scaling == scaling
        assert ("scales images itself" in said) == (scaling == "none")


def test_scaling_that_was_asked_for_is_done(tiny_digits: Dataset) -> None:
    """Twice, then, with a warning; asked for as none, there is nothing to say."""
    run, said = trained(network(layers.Rescaling(1 / 255)), tiny_digits, epochs=1, scaling="unit")
    assert run.recipe.data.scaling == "unit"
    assert "scaling=unit scales them once more before it. Expect a worse model; scaling='none' leaves it out" in said
    run, said = trained(network(layers.Rescaling(1 / 255)), tiny_digits, epochs=1, recipe=Recipe(scaling="standard"))
    assert run.recipe.data.scaling == "standard"
    assert "scaling=standard scales them once more" in said
    run, said = trained(network(layers.Rescaling(1 / 255)), tiny_digits, epochs=1, scaling="none")
    assert (run.recipe.data.scaling, said) == ("none", "")


def test_python_is_warned(tiny_digits: Dataset) -> None:
    """Without announce, the words come as a Python warning."""
    with pytest.warns(UserWarning, match="scales images itself"):
        train(network(layers.Rescaling(1 / 255)), dataset=tiny_digits, epochs=1)


def softmax_layer() -> keras.Model:
    keras.utils.set_random_seed(1)
    end = [layers.Flatten(), layers.Dense(10), layers.Softmax()]
    return keras.Sequential([keras.Input(SHAPE), *end], name="mine")


def softmax_operation() -> keras.Model:
    keras.utils.set_random_seed(1)
    image = keras.Input(SHAPE)
    return keras.Model(image, keras.ops.softmax(layers.Dense(10)(layers.Flatten()(image))), name="mine")


@pytest.mark.parametrize("build", [lambda: network(end="softmax"), softmax_layer, softmax_operation])
def test_softmax_at_the_end_has_the_loss_of_its_logits(tiny_digits: Dataset, build: Any) -> None:
    """The same network without it learns the same, and means the same by its probabilities."""
    plain, _ = trained(network(), tiny_digits)
    run, said = trained(build(), tiny_digits)
    assert "mine ends in probabilities" in said
    assert run.metrics["test_loss"] == pytest.approx(plain.metrics["test_loss"], rel=1e-3)
    document = evaluate(run.folder, dataset=tiny_digits)
    assert document["metrics"]["test_loss"] == pytest.approx(run.metrics["test_loss"], rel=1e-4)
    images = tiny_digits.test.images.astype(np.float32)
    logits = [np.asarray(load_run(one.folder).model(images, training=False)) for one in (run, plain)]
    mine, theirs = (keras.ops.convert_to_numpy(keras.ops.softmax(keras.ops.array(one))) for one in logits)
    np.testing.assert_allclose(mine, theirs, atol=1e-4)


def test_the_users_own_object_stays_as_it_was(tiny_digits: Dataset) -> None:
    """It is trained, still ends in softmax, and is compiled as its owner compiled it."""
    model = network(layers.Rescaling(1 / 255), end="softmax")
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    before = model.get_weights()
    run, _ = trained(model, tiny_digits)
    assert type(model.optimizer).__name__ == "SGD"
    assert not np.array_equal(before[0], model.get_weights()[0])
    outputs = model.predict(tiny_digits.test.images.astype(np.float32), verbose=0)
    np.testing.assert_allclose(outputs.sum(axis=1), 1, atol=1e-5)
    assert (outputs.argmax(axis=1) == tiny_digits.test.labels).mean() == pytest.approx(run.metrics["test_accuracy"])


@pytest.mark.parametrize(
    "build",
    [
        lambda: network(shape=(28, 28)),
        lambda: network(shape=(784,)),
        lambda: keras.Sequential([layers.Flatten(), layers.Dense(10)], name="mine"),
        lambda: keras.Model(
            image := keras.Input(SHAPE), {"digit": layers.Dense(10)(layers.Flatten()(image))}, name="mine"
        ),
    ],
)
def test_inputs_and_outputs_of_other_forms(tiny_digits: Dataset, build: Any) -> None:
    """(28, 28), 784 numbers, a Sequential without an Input, a named output: trained, saved, and read back."""
    run, said = trained(build(), tiny_digits, epochs=1)
    assert said == ""
    model = load_run(run.folder).model
    assert model.input_shape == (None, *SHAPE)
    images = tiny_digits.test.images.astype(np.float32)
    accuracy = (np.asarray(model(images, training=False)).argmax(axis=1) == tiny_digits.test.labels).mean()
    assert accuracy == pytest.approx(run.metrics["test_accuracy"])


class Subclassed(keras.Model):
    """As PyTorch's users write their first Keras model."""

    def __init__(self) -> None:
        super().__init__()
        self.flatten, self.dense = layers.Flatten(), layers.Dense(10)

    def call(self, inputs: Any) -> Any:
        """Return logits."""
        return self.dense(self.flatten(inputs))


def two_outputs(*, named: bool) -> keras.Model:
    image = keras.Input(SHAPE)
    flat = layers.Flatten()(image)
    ends = layers.Dense(10)(flat), layers.Dense(3)(flat)
    return keras.Model(image, dict(zip("ab", ends, strict=True)) if named else list(ends), name="mine")


def two_inputs() -> keras.Model:
    image, other = keras.Input(SHAPE), keras.Input((3,))
    return keras.Model([image, other], layers.Dense(10)(layers.Flatten()(image)), name="mine")


def frozen() -> keras.Model:
    model = network()
    for layer in model.layers:
        layer.trainable = False
    return model


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (Subclassed, r"subclass of keras.Model without a graph of layers.*inputs = keras.Input\(\(28, 28, 1\)\)"),
        (lambda: two_outputs(named=False), r"mine has 1 input\(s\) and 2 output\(s\)"),
        (lambda: two_outputs(named=True), r"mine has 1 input\(s\) and 2 output\(s\)"),
        (two_inputs, r"mine has 2 input\(s\) and 1 output\(s\)"),
        (lambda: network(end="sigmoid"), r"mine ends in sigmoid.*keras.layers.Dense\(10\) without an activation"),
        (
            lambda: keras.Sequential([keras.Input(SHAPE), layers.Conv2D(10, 3)], name="mine"),
            r"ends in \(None, 26, 26, 10\).*End it in keras.layers.Flatten\(\) and keras.layers.Dense\(10\)",
        ),
        (lambda: network(shape=(100,)), r"mine takes images \(100,\) and ends in"),
        (
            lambda: keras.Sequential([layers.Conv2D(4, 30), layers.Flatten(), layers.Dense(10)], name="mine"),
            r"mine cannot be built for images \(28, 28, 1\): .*Begin it with keras.Input",
        ),
        (frozen, "mine has no weights that are trained"),
    ],
)
def test_what_cannot_be_trained_says_what_to_change(tiny_digits: Dataset, build: Any, words: str) -> None:
    """A ModelError with what was received and the next step, before a step is taken."""
    with pytest.raises(ModelError, match=words):
        train(build(), dataset=tiny_digits, epochs=1)


def test_the_graph_of_a_subclass_is_trained(tiny_digits: Dataset) -> None:
    """The line that the error gives works as it stands."""
    with pytest.raises(ModelError) as caught:
        train(Subclassed(), dataset=tiny_digits, epochs=1)
    scope: dict[str, Any] = {"keras": keras, "model": Subclassed()}
    lines = re.search(r"(inputs = .*?); (model = .*\))\.$", str(caught.value))
    assert lines
    exec("\n".join(lines.groups()), scope)
    run, _ = trained(scope["model"], tiny_digits, epochs=1)
    assert load_run(run.folder).model.count_params() == 7850


def test_one_unit_for_two_classes(tiny_digits: Dataset) -> None:
    """A single sigmoid is the one form that this loss does not take: two logits say the same."""
    kept = [Split(split.images, split.labels % 2) for split in (tiny_digits.train, tiny_digits.test)]
    parity = Dataset("parity", *kept, ("even", "odd"), "digits", {})
    with pytest.raises(ModelError, match=r"ends in \(None, 1\).*Two classes take two logits.*keras.layers.Dense\(2\)"):
        train(network(end="sigmoid", units=1), dataset=parity, epochs=1)
    run, _ = trained(network(units=2), parity, epochs=1)
    assert set(run.metrics) == {"test_loss", "test_accuracy"}


@keras.saving.register_keras_serializable("elsewhere")
class Own(keras.layers.Layer):
    """A layer that zoo does not know."""

    def call(self, inputs: Any) -> Any:
        """Change nothing."""
        return inputs


def test_layers_that_zoo_will_not_load_are_named_before_the_training(tiny_digits: Dataset) -> None:
    """The run can be used at once; that its file is not opened is said beforehand."""
    for layer, name in ((Own(), "Own"), (layers.Lambda(lambda x: x), "Lambda")):
        _, said = trained(network(layer), tiny_digits, epochs=1)
        assert f"mine holds {name}, which zoo does not load from a file" in said


def test_relu_at_the_end_is_mentioned(tiny_digits: Dataset) -> None:
    """Logits cut off at 0 are trained, with a word."""
    _, said = trained(network(end="relu"), tiny_digits, epochs=1)
    assert "mine ends in relu, which cuts logits off at 0" in said


class Fragile(keras.layers.Layer):
    """A layer that is built, and fails once it is asked."""

    def call(self, inputs: Any) -> Any:
        """Raise, unless it is only traced."""
        if hasattr(inputs, "numpy"):
            raise ValueError("no such luck")
        return inputs


def test_a_model_that_fails_is_told_so(tiny_digits: Dataset) -> None:
    """Whatever goes wrong inside is a ModelError that names it."""
    with pytest.raises(ModelError, match=r"mine fails on images \(28, 28, 1\): ValueError: .*no such luck"):
        train(network(Fragile()), dataset=tiny_digits, epochs=1)


def test_softmax_in_bfloat16_is_known_as_such() -> None:
    """Its probabilities are rounded, and sum to 1 within a few thousandths: they are no logits."""
    draw = keras.initializers.RandomNormal(stddev=0.3, seed=1)
    dense = layers.Dense(60, activation="softmax", kernel_initializer=draw, dtype="mixed_bfloat16")
    model = keras.Sequential([keras.Input(SHAPE), layers.Rescaling(1 / 255), layers.Flatten(), dense])
    images = np.random.default_rng(0).integers(0, 256, (500, *SHAPE), np.uint8)
    (outputs,) = ForwardPass(model, SHAPE).over(images, 500)
    outputs = outputs.astype(np.float32)
    assert np.abs(outputs.sum(axis=1) - 1).max() > 1e-3
    assert are_probabilities(outputs)


# --- files ---


def fitted(path: Path, model: keras.Model, data: Dataset, scale: float) -> Path:
    """Train by Keras itself, on pixels times `scale`, as tutorials do, and save."""
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=model.layers[-1].activation is None))
    images = (data.train.images * scale).astype(np.float32).reshape(-1, *model.input_shape[1:])
    model.fit(images, data.train.labels, epochs=30, verbose=0)
    keras.Model(model.inputs, model.outputs, name=model.name).save(path)  # not compiled
    return path


def test_a_file_that_was_trained_on_unit_images_is_noticed(tiny_digits: Dataset, tmp_path: Path) -> None:
    """It is measured on raw pixels, as it is given; that it does better on 0..1 is said. One that divides is silent."""
    said: list[str] = []
    file = fitted(tmp_path / "unit.keras", network(end="softmax", shape=(28, 28)), tiny_digits, 1 / 255)
    document = evaluate(file, dataset=tiny_digits, announce=said.append)
    assert document["outputs"] == "probabilities"
    assert "unit.keras takes raw 0..255 images here, and does better on 0..1: of 60 test images" in " ".join(said)
    file = fitted(tmp_path / "raw.keras", network(layers.Rescaling(1 / 255)), tiny_digits, 1)
    assert caution_about_scaling(open_subject(file), tiny_digits) is None


def test_a_file_that_takes_flat_images_is_evaluated(tiny_digits: Dataset, tmp_path: Path) -> None:
    """784 numbers are the image's own, in order."""
    model = network(layers.Rescaling(1 / 255), shape=(784,))
    model.save(tmp_path / "flat.keras")
    subject, _ = matched(open_subject(tmp_path / "flat.keras"), tiny_digits)
    images = tiny_digits.test.images.astype(np.float32)
    outputs = model.predict(images.reshape(-1, 784), verbose=0)
    np.testing.assert_allclose(subject.network.predict(images, verbose=0), outputs, atol=1e-4)
