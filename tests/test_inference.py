"""The one forward pass outside training, and `Predictor`: a finished model with its preprocessing and its task."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import zoo as package
from zoo import registry
from zoo.errors import ModelError
from zoo.evaluation.predict import predict
from zoo.inference import PIXELS_AT_ONCE, ForwardPass, Predictor
from zoo.runs.folder import load_run
from zoo.spec.evaluation import METRIC_LABELS, Evaluation
from zoo.tasks import task_for, task_of
from zoo.tasks.detection import Detection

SOURCES = {path: path.read_text(encoding="utf-8") for path in Path(package.__file__).parent.rglob("*.py")}


def _where(pattern: str) -> set[str]:
    root = Path(package.__file__).parent
    return {path.relative_to(root).as_posix() for path, text in SOURCES.items() if re.search(pattern, text)}


def test_there_is_one_forward_pass():
    """Models are called for inference in one place; the others do not use what comes out of it.

    `anatomy` counts a traced layer's operations, the conformance kit runs under any backend, and a copy of a model in
    float32 is tried before it is trusted.
    """
    others = {"inspection/anatomy.py", "testing/subject.py", "runs/folder.py"}
    assert _where(r"training=False") - others == {"inference.py"}
    assert _where(r"\bforward\(") >= {"inference.py"}


def test_tasks_are_told_apart_in_their_own_folder_alone():
    """No other module asks which task it has."""
    wrong = _where(
        r"task\w* [=!]= [\"'](classification|detection|segmentation)|isinstance\([^)]*(Detection|Segmentation)"
    )
    assert {path for path in wrong if not path.startswith("tasks/")} == set()


def test_a_forward_pass_gives_the_models_outputs_in_order():
    """Batch by batch, the last one smaller, for images on the host or on the device."""
    model = registry.create("mlp")
    images = np.random.default_rng(0).integers(0, 256, (7, 28, 28, 1), dtype=np.uint8)
    expected = model(images.astype(np.float32), training=False).numpy()
    forward = ForwardPass(model, (28, 28, 1))
    for source in (images, tf.constant(images)):
        batches = list(forward.over(source, 3))
        assert [len(batch) for batch in batches] == [3, 3, 1]
        np.testing.assert_allclose(np.concatenate(batches), expected, rtol=1e-4, atol=1e-3)  # of some hundreds
    assert forward.seconds > 0


def test_large_images_come_in_smaller_batches():
    """What fits the memory as digits would not as photographs."""
    side = 1000
    images = np.zeros((5, side, side, 1), np.uint8)
    batches = list(ForwardPass(lambda pixels, training: pixels[:, 0, 0], images.shape[1:]).over(images, 500))
    assert {len(batch) for batch in batches} == {PIXELS_AT_ONCE // side**2, 1}


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda pixels, training: tf.linalg.matmul(pixels, tf.zeros((5, 5))), r"cannot be run on images of shape \(4"),
        (lambda pixels, training: tf.reduce_sum(pixels, axis=0), "returns an array of shape .* for 3 images"),
    ],
)
def test_a_model_that_fails_is_told(model, words):
    """In one line, when it is compiled or when its outputs are not a row for each image."""
    with pytest.raises(ModelError, match=words):
        list(ForwardPass(model, (4, 4, 1)).over(np.zeros((3, 4, 4, 1), np.uint8), 10))


def test_a_predictor_is_what_predict_uses(trained_run, tmp_path):
    """Prepare, run, describe: the same as the document of `predict`."""
    picture = Image.new("L", (60, 60), 255)
    picture.paste(0, (28, 10, 32, 50))
    picture.save(tmp_path / "one.png")
    predictor = Predictor.of(load_run(trained_run))
    image = predictor.prepare(picture)
    assert (image.shape, image.dtype) == ((28, 28, 1), np.uint8)
    described = predictor.describe(predictor.run([image])[0])
    (expected,) = predict(trained_run, [tmp_path / "one.png"])["predictions"]
    assert described == {name: value for name, value in expected.items() if name != "path"}
    assert sum(described["probabilities"]) == pytest.approx(1)


def test_non_maximum_suppression_is_part_of_a_graph():
    """An exported detector can end in boxes: compiled, it finds what it finds step by step."""
    task = task_of(registry.get("ssd")).for_training(
        registry.get("ssd").recipe(), np.zeros(0), 10, image_shape=(64, 64, 1), model="ssd"
    )
    shape = task.detector.output_shape((64, 64, 1), 10)
    outputs = np.random.default_rng(0).normal(0, 2, (2, *shape)).astype(np.float32)
    objects, scores = tf.function(task.find, input_signature=[tf.TensorSpec((None, *shape))])(outputs)
    assert (objects.shape, scores.shape) == ((2, 100, 5), (2, 100))
    for found, sure, (expected, surely) in zip(objects, scores, task.read(outputs, 10), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)
        np.testing.assert_allclose(sure, surely, atol=1e-6)
    assert ((objects[..., 0] >= 0).numpy().sum(axis=1) > 0).all()


def test_an_evaluation_is_a_frozen_value():
    """Of numbers and examples; nothing is drawn, and nothing can be set afterwards."""
    task = task_for("segmentation").for_training(
        registry.get("fcn").recipe(), np.zeros(0), 3, image_shape=(8, 8, 1), model="fcn"
    )
    split, names = task.synthetic(3, np.zeros((4, 8, 8, 1), np.uint8), np.random.default_rng(0))
    data = package.data.Dataset("noise", split, split, names, "drawn", {})
    perfect = 20 * np.eye(3, dtype=np.float32)[split.masks]
    evaluation = task.evaluate([iter([perfect[:3], perfect[3:]])], data, split)
    assert isinstance(evaluation, Evaluation)
    assert evaluation.numbers["metrics"]["test_mean_iou"] == pytest.approx(1)
    assert evaluation.numbers["metrics"]["test_accuracy"] == pytest.approx(1)
    assert [example.quality for example in evaluation.examples] == [1.0] * 4
    np.testing.assert_array_equal(evaluation.examples[0].truth.mask, evaluation.examples[0].prediction.mask)
    with pytest.raises(dataclasses.FrozenInstanceError):
        evaluation.numbers = {}


def test_tasks_draw_nothing(python):
    """They do not even import what draws."""
    code = "import sys, zoo.tasks as t; [t.task_for(n) for n in ('classification', 'detection', 'segmentation')]"
    assert python("-c", f"{code}; print({{'PIL', 'matplotlib'}} & set(sys.modules))").stdout.strip() == "set()"


def test_every_metric_of_a_task_has_a_name_for_people():
    """And no other has."""
    measured = {name for task in ("classification", "detection", "segmentation") for name in task_for(task).metrics}
    assert measured == set(METRIC_LABELS)


def test_a_detector_is_part_of_the_task():
    """``task=Detection(SSD(...))``; what older plugins write, a name and a detector, means the same."""
    detector = registry.get("ssd").task_value.detector

    def boxes(*, input_shape=(64, 64, 1), num_classes=10):
        return registry.create("ssd", input_shape=input_shape, num_classes=num_classes)

    with registry.temporary():
        new = package.register(task=Detection(detector))(boxes).zoo_spec
    with registry.temporary():
        old = package.register(task="detection", detector=detector)(boxes).zoo_spec
    assert (new.task, old.task) == ("detection", "detection")
    assert task_of(new) == task_of(old) == Detection(detector)
    assert new.to_dict()["detector"] == registry.get("ssd").to_dict()["detector"]
    with pytest.raises(ModelError, match="classification finds none. Leave it out"):
        package.register(detector=detector)
