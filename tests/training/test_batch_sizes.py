"""Sets of images that no batch divides: whatever is left over is trained and measured like everything else."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo import inference
from zoo.data import Dataset, Split
from zoo.inference import EVALUATION_BATCH, CompiledEvaluation, Examples, Resident
from zoo.layers import MeanOfViews, MovedViews
from zoo.spec import ModelSpec, Recipe, spec_of
from zoo.tasks import task_of
from zoo.tasks.detection import Detection
from zoo.tasks.detectors import YoloV1
from zoo.training import trainer
from zoo.training.devices import place
from zoo.training.interruption import TrainingInterrupted
from zoo.training.session import Session
from zoo.training.trainer import train

SIZES = (1, 2, 3, 499, 500, 501, 502, 503, 999, 1001)
SHARES = (1, 2, 3, 4)


def classifier(*, input_shape=(8, 8, 1), num_classes=3):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(input_shape),
            MovedViews(),  # which, like MeanOfViews, reshapes by the batch
            layers.Conv2D(6, 5, activation="relu"),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(num_classes, dtype="float32"),
            MeanOfViews(),
        ],
        name="small",
    )


def detector(*, input_shape=(16, 16, 1), num_classes=2):
    layers = keras.layers
    hidden = [layers.Conv2D(4, 3, padding="same", activation="relu"), layers.MaxPooling2D(8)]
    return keras.Sequential([keras.Input(input_shape), *hidden, layers.Conv2D(10 + num_classes, 1, dtype="float32")])


def segmenter(*, input_shape=(8, 8, 1), num_classes=3):
    layers = keras.layers
    hidden = layers.Conv2D(4, 3, padding="same", activation="relu")
    return keras.Sequential([keras.Input(input_shape), hidden, layers.Conv2D(num_classes, 1, dtype="float32")])


SPECS = {
    "classification": spec_of(classifier),
    "detection": spec_of(detector, task=Detection(YoloV1(stride=8))),
    "segmentation": spec_of(segmenter, task="segmentation"),
}


def _images(spec: ModelSpec, count: int, seed: int) -> Split:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, *spec.input_shape), dtype=np.uint8)
    return task_of(spec).synthetic(spec.num_classes, images, rng)[0]


def _examples(spec: ModelSpec, split: Split) -> Examples:
    names = tuple(map(str, range(spec.num_classes)))
    return Examples(split.images, task_of(spec).targets(Dataset("noise", split, split, names, "drawn", {}), split))


def _data(spec: ModelSpec, train_images: int, test_images: int) -> Dataset:
    classes = spec.num_classes - (spec.task == "segmentation")  # the background is none of the data's
    names = tuple(map(str, range(classes)))
    return Dataset("noise", _images(spec, train_images, 0), _images(spec, test_images, 1), names, "drawn", {})


def _session(spec: ModelSpec, shares: int) -> Session:
    data = _data(spec, 8, max(SIZES))
    placement = dataclasses.replace(place(Recipe(), device="cpu"), side_by_side=shares)
    data = dataclasses.replace(data, validation=_images(spec, max(SIZES), 2))
    return Session(spec, Recipe(validation_split=0.5), placement, data)


def _first(images: Resident, count: int) -> Resident:
    few = object.__new__(Resident)
    few.images, few.targets = images.images[:count], images.targets[:count]
    return few


@pytest.mark.parametrize("shares", SHARES)
@pytest.mark.parametrize("task", SPECS)
def test_any_number_of_images_is_measured_as_in_one_pass(task, shares):
    """Test and validation images alike; nothing is left out, counted twice or computed as an empty share."""
    session = _session(SPECS[task], shares)
    test, held_out, measured = session.test, session.held_out, session.loop.task.for_evaluation()
    for count, other in zip(SIZES, reversed(SIZES), strict=True):
        session.test, session.held_out = _first(test, count), _first(held_out, other)
        metrics = session.measure()
        for name, part in (("test", session.test), ("validation", session.held_out)):
            outputs = session.model(tf.cast(part.images, tf.float32), training=False)
            loss = float(tf.reduce_mean(measured.loss(part.targets, outputs)))
            accuracy = float(measured.count_correct(part.targets, outputs)) / len(part)
            assert metrics[f"{name}_loss"] == pytest.approx(loss, rel=1e-4), (name, len(part))
            assert metrics[f"{name}_accuracy"] == pytest.approx(accuracy, abs=1e-6), (name, len(part))


@pytest.mark.parametrize("shares", SHARES)
def test_no_share_of_any_batch_is_empty(shares):
    """As seen from inside the graph: the sizes of the shares that the model is given, batch by batch."""
    sizes: list[int] = []

    class Scale(keras.layers.Layer):
        def call(self, inputs):
            tf.numpy_function(lambda rows: sizes.append(int(rows)), [tf.shape(inputs)[0]], [], stateful=True)
            return inputs * 1.0

    spec = SPECS["classification"]
    layers = [keras.Input((8, 8, 1)), Scale(), keras.layers.Flatten(), keras.layers.Dense(3, dtype="float32")]
    evaluate = CompiledEvaluation(keras.Sequential(layers), _task(spec), shares)
    whole = Resident(_examples(spec, _images(spec, max(SIZES), 1)))
    for count in SIZES:
        sizes.clear()
        assert evaluate(_first(whole, count)).examples == count
        batches = [min(EVALUATION_BATCH, count - start) for start in range(0, count, EVALUATION_BATCH)]
        assert len(sizes) == sum(min(shares, batch) for batch in batches), count
        assert min(sizes) >= 1
        assert sum(sizes) == count


def _task(spec: ModelSpec):
    data = _data(spec, 4, 1)
    return task_of(spec).for_training(Recipe(), data.train.labels, 3, image_shape=data.image_shape)


@pytest.fixture
def four_shares(monkeypatch):
    """A machine whose cores work on four operations at once, and batches of four: few images leave one over."""

    def on_four(*arguments, **options):
        return dataclasses.replace(place(*arguments, **options), side_by_side=4)

    monkeypatch.setattr(trainer, "place", on_four)
    monkeypatch.setattr(inference, "EVALUATION_BATCH", 4)


@pytest.mark.usefixtures("four_shares")
@pytest.mark.parametrize("pipeline", ["resident", "tf_data"])
@pytest.mark.parametrize("task", SPECS)
def test_sets_that_no_batch_divides_are_trained_and_measured(task, pipeline, tmp_path):
    """A last batch of one image in training, in validation and in the test, with updates over several batches."""
    spec = SPECS[task]
    options = {"batch_size": 4, "gradient_accumulation": 2, "validation_split": 0.2, "pipeline": pipeline}
    run = train(spec, dataset=_data(spec, 11, 5), epochs=2, output=tmp_path / "run", **options)
    assert run.document["images"] == {"train": 9, "validation": 2, "test": 5}
    assert np.isfinite([*run.metrics.values()]).all()
    assert len(run.document["history"]) == 2


@pytest.mark.usefixtures("four_shares")
@pytest.mark.parametrize("task", SPECS)
def test_one_image_of_each_is_enough(task, tmp_path):
    """One to train on, one to validate with and one to test with."""
    spec = SPECS[task]
    run = train(spec, dataset=_data(spec, 2, 1), epochs=1, validation_split=0.5, output=tmp_path / "run")
    assert run.document["images"] == {"train": 1, "validation": 1, "test": 1}
    assert (tmp_path / "run" / "model.keras").exists()


@pytest.mark.usefixtures("four_shares")
@pytest.mark.parametrize("task", SPECS)
def test_a_run_stopped_before_it_was_measured_is_resumed(task, tmp_path, monkeypatch):
    """The checkpoint that an earlier zoo left behind, when measuring failed, is continued to the end."""
    spec, data = SPECS[task], _data(SPECS[task], 9, 6)

    def fail(_session):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Session, "measure", fail)
        with pytest.raises(TrainingInterrupted, match="Continue: zoo train --resume"):
            train(spec, dataset=data, epochs=1, output=tmp_path / "run")
    run = train(spec, dataset=data, resume=tmp_path / "run")
    assert run.document["images"]["test"] == 6
    assert np.isfinite(run.metrics["test_loss"])
