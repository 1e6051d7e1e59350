"""Detection and segmentation, end to end: training, measuring, drawing, and what each refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from built_in_models import LARGE_SCENES, SCENES
from PIL import Image

import zoo as package
from zoo import data, register, registry
from zoo.data.sources.drawn_scenes import Layout, draw_scenes
from zoo.errors import DataError, ModelError, RecipeError
from zoo.evaluation.evaluate import evaluate
from zoo.evaluation.predict import predict
from zoo.layers import MaxPoolingWithPositions, Unpooling
from zoo.report.shared.drawing import COLORS, draw_objects
from zoo.spec import TASKS, Recipe
from zoo.tasks import task_for, task_of
from zoo.tasks.detectors import YoloV1
from zoo.training.trainer import train

CHEAP = ["fcn", "ssd"]


@pytest.fixture(scope="module")
def scenes() -> data.Dataset:
    """64 training and 24 test scenes of scikit-learn's digits."""
    digits = data.load("digits")
    train_part, test_part = (
        draw_scenes(split, Layout(), count, seed=0) for split, count in ((digits.train, 64), (digits.test, 24))
    )
    return data.Dataset("few_scenes", train_part, test_part, digits.class_names, "drawn from digits", {})


@pytest.fixture(scope="module", params=CHEAP)
def run(request, scenes, tmp_path_factory):
    """A run of a segmenter and one of a detector, hardly trained."""
    folder = tmp_path_factory.mktemp("runs") / request.param
    return train(request.param, dataset=scenes, epochs=2, batch_size=32, output=folder)


def _slow_unless_cheap(names):
    return [name if name in CHEAP else pytest.param(name, marks=pytest.mark.slow) for name in names]


# Models


@pytest.mark.parametrize("name", [*SCENES, *LARGE_SCENES])
def test_the_smallest_image_is_the_smallest(name):
    """The declared minimum builds, and its outputs are what the task demands; one pixel less is refused."""
    spec = registry.get(name)
    height, width = spec.min_size
    model = registry.create(name, input_shape=(height, width, 1))
    task_of(spec).check_outputs(spec.name, model, spec.num_classes)
    with pytest.raises(ModelError, match=f"{name} needs at least {height}x{width}"):
        registry.create(name, input_shape=(height - 1, width, 1))


@pytest.mark.parametrize("name", ["fcn", "segnet", "unet"])
def test_masks_are_as_large_as_odd_images(name):
    """Sides that no power of two divides lose nothing."""
    assert registry.create(name, input_shape=(37, 45, 3), num_classes=4).output_shape == (None, 37, 45, 4)


@pytest.mark.parametrize("name", ["ssd", "yolo_v1", "yolo_v3"])
def test_detectors_refuse_sides_that_their_grid_does_not_divide(name):
    """In plain words, with the number."""
    with pytest.raises(ModelError, match="multiples of 8"):
        registry.create(name, input_shape=(68, 64, 1))


@pytest.mark.parametrize("name", _slow_unless_cheap(SCENES))
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_every_model_trains_a_step(name, precision, scenes, tmp_path):
    """A finite loss that is measured, and weights that move; the task's own measures lie between 0 and 1."""
    done = train(name, dataset=scenes, epochs=1, batch_size=32, precision=precision, output=tmp_path / "run")
    assert np.isfinite(done.document["history"][0]["loss"])
    for measure in task_for(done.document["task"]).metrics:
        assert 0 <= done.metrics[f"test_{measure}"] <= 1


def test_training_reads_the_masks_that_there_are(scenes, tmp_path):
    """What is learned is seen in the loss: after some passes it is far below that of guessing, log 11."""
    done = train("fcn", dataset=scenes, epochs=12, batch_size=16, output=tmp_path / "run")
    losses = [row["loss"] for row in done.document["history"]]
    assert losses[-1] < 0.5 * losses[0]
    assert losses[-1] < np.log(11) / 3


def test_a_stopped_training_goes_on(scenes, tmp_path):
    """Bit for bit, as a classifier's does."""

    class Stop(keras.callbacks.Callback):
        armed = False

        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1 and self.armed:
                raise KeyboardInterrupt

    stop = Stop()

    settings = {"dataset": scenes, "epochs": 2, "batch_size": 32, "deterministic": True}
    whole = train("fcn", output=tmp_path / "whole", callbacks=[stop], **settings)
    stop.armed = True
    with pytest.raises(KeyboardInterrupt):
        train("fcn", output=tmp_path / "cut", callbacks=[stop], **settings)
    stop.armed = False
    again = train("fcn", resume=tmp_path / "cut", dataset=scenes, callbacks=[stop])
    for one, other in zip(whole.model.get_weights(), again.model.get_weights(), strict=True):
        assert np.array_equal(one, other)


# What becomes of a run


def test_an_evaluation_says_what_the_training_said(run, scenes):
    """Numbers, files and page; the worst scene comes first."""
    document = evaluate(run, dataset=scenes)
    for name, value in run.metrics.items():
        assert document["metrics"][name] == pytest.approx(value, rel=1e-4, abs=1e-6, nan_ok=True), name
    assert all((run.folder / name).is_file() for name in document["files"])
    qualities = [row["quality"] for row in document["worst"]]
    assert qualities == sorted(qualities)
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    assert "Scenes, the worst first" in page
    assert json.loads((run.folder / "evaluation.json").read_text()) == document


def test_average_precision_is_pycocotools_on_the_saved_files(scenes, tmp_path, capsys):
    """Run by hand on truth.json and predictions.json it gives the same number, for answers that are right in part."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    spec = registry.get("ssd")
    task = task_of(spec).for_training(Recipe(), np.zeros(0), 10, image_shape=(64, 64, 1), model="ssd")
    objects, rng = scenes.test.boxes, np.random.default_rng(0)
    row, matched = task.detector.match(tf.constant(objects), (64, 64, 1))
    own = tf.gather(tf.constant(objects), row, batch_dims=1)
    labels = np.where(matched, own[..., 0] + 1, 0).astype(int)
    offsets = task.detector.encode(own[..., 1:], (64, 64, 1)).numpy() + rng.normal(0, 0.5, (*labels.shape, 4))
    logits = 4 * np.eye(11)[labels] + rng.normal(0, 1, (*labels.shape, 11))
    outputs = np.concatenate([offsets, logits], axis=-1).astype(np.float32)
    measured = task.measure([(objects[:10], outputs[:10]), (objects[10:], outputs[10:])])
    for name, content in task.files(objects, task.read(outputs, 10)).items():
        (tmp_path / name).write_text(json.dumps(content))
    truth = COCO(str(tmp_path / "truth.json"))
    by_hand = COCOeval(truth, truth.loadRes(str(tmp_path / "predictions.json")), "bbox")
    by_hand.evaluate()
    by_hand.accumulate()
    by_hand.summarize()
    capsys.readouterr()
    assert 0.2 < measured["ap"] < measured["ap50"] <= 1
    assert measured["ap"] == pytest.approx(by_hand.stats[0], abs=1e-6)
    assert measured["ap50"] == pytest.approx(by_hand.stats[1], abs=1e-6)


def test_predict_draws_what_it_finds(run, scenes, tmp_path):
    """A picture in the folder that was asked for, larger than the image, and places in the file's own pixels."""
    image = Image.fromarray(scenes.test.images[0, ..., 0]).resize((128, 96))
    image.save(tmp_path / "scene.png")
    document = predict(run, [tmp_path / "scene.png"], output=tmp_path / "drawn")
    (found,) = document["predictions"]
    assert found["picture"] == str(tmp_path / "drawn" / f"scene-{run.document['model']}.png")
    with Image.open(found["picture"]) as picture:
        assert (picture.size, picture.mode) == ((256, 256), "RGB")
    for place in found.get("objects", ()):
        left, top, right, bottom = place["box"]
        assert 0 <= left < right <= 128
        assert 0 <= top < bottom <= 96
    if "pixels" in found:
        assert sum(found["pixels"].values()) == 64 * 64


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_the_surest_of_several_boxes_is_seen(order):
    """One place, two answers: the frame has the colour of the class with the greater score, in whatever order."""
    boxes, scores = np.array([[3, 0.25, 0.25, 0.75, 0.75], [5, 0.25, 0.25, 0.75, 0.75]])[order], np.array([0.9, 0.5])
    picture = draw_objects(np.zeros((64, 64, 1), np.uint8), boxes, list("0123456789"), scores=scores[order])
    assert tuple(picture[128, 64]) == COLORS[3]


def test_the_commands_speak_of_every_task(zoo, run, scenes, tmp_path):
    """evaluate's and predict's text name the task's own measures and the picture."""
    Image.fromarray(scenes.test.images[0, ..., 0]).save("scene.png")
    result = zoo("predict", run.folder, "scene.png")
    assert result.exit_code == 0, result.stderr
    assert f"drawn in scene-{run.document['model']}.png" in result.stdout
    result = zoo("show", run.document["model"])
    assert result.exit_code == 0
    assert f"task:            {run.document['task']}" in result.stdout


def test_masks_are_measured_as_a_loop_would(run, scenes):
    """Mean IoU, from the model's own answers, over classes that are there or are said to be."""
    if run.document["task"] != "segmentation":
        pytest.skip("it finds boxes")
    said = run.model.predict(scenes.test.images, verbose=0).argmax(axis=-1)
    shares = []
    for label in range(11):
        here, there = said == label, scenes.test.masks == label
        if (here | there).any():
            shares.append((here & there).sum() / (here | there).sum())
    assert run.metrics["test_mean_iou"] == pytest.approx(np.mean(shares), abs=1e-5)


# Pooling with positions


@pytest.mark.parametrize("size", [(6, 8), (7, 5)])
def test_unpooling_is_a_loop(size):
    """Each maximum goes back to where it was, all else is zero; an odd row or column stays empty."""
    maps = np.random.default_rng(0).normal(size=(2, *size, 3)).astype(np.float32)
    pooled, positions = MaxPoolingWithPositions()(maps)
    expected = np.zeros_like(maps)
    for n in range(2):
        for y in range(size[0] // 2):
            for x in range(size[1] // 2):
                for c in range(3):
                    window = maps[n, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2, c]
                    down, right = np.unravel_index(window.argmax(), (2, 2))
                    assert float(pooled[n, y, x, c]) == window.max()
                    expected[n, 2 * y + down, 2 * x + right, c] = window.max()
    assert np.array_equal(Unpooling(size)([pooled, positions]), expected)


# What is refused


def test_data_must_say_what_the_task_needs(scenes, tiny_digits, tmp_path):
    """No masks, no boxes, several objects: one sentence each."""
    with pytest.raises(DataError, match="digits has no masks"):
        train("unet", dataset=tiny_digits, output=tmp_path / "a")
    with pytest.raises(DataError, match="digits has no boxes"):
        train("yolo_v1", dataset=tiny_digits, output=tmp_path / "b")
    with pytest.raises(DataError, match="few_scenes says what is where in its images, and has no one label for each"):
        train("mlp", dataset=scenes, output=tmp_path / "c")


def test_recipes_cannot_move_images_from_under_their_boxes(scenes, tmp_path):
    """Shifts and turns are for classifiers."""
    with pytest.raises(RecipeError, match=r"ssd finds boxes: a recipe for it cannot have shift, rotation"):
        train("ssd", dataset=scenes, shift=1, rotation=5, output=tmp_path / "a")
    with pytest.raises(RecipeError, match=r"ssd finds boxes: a recipe for it cannot have zoom, translation, flip"):
        train("ssd", dataset=scenes, zoom=0.1, translation=0.1, flip="both", output=tmp_path / "c")
    with pytest.raises(RecipeError, match=r"unet masks pixels: a recipe for it cannot have translation"):
        train("unet", dataset=scenes, translation=0.1, output=tmp_path / "d")
    with pytest.raises(RecipeError, match=r"unet masks pixels: a recipe for it cannot have loss"):
        train("unet", dataset=scenes, loss="squared_error", output=tmp_path / "b")


def test_several_detectors_cannot_be_averaged(run, scenes, tmp_path):
    """Only classifiers' probabilities can be averaged."""
    other = train(run.document["model"], dataset=scenes, epochs=1, seed=1, output=tmp_path / "other")
    with pytest.raises(ModelError, match="Only classifiers' predictions can be averaged"):
        evaluate([run, other], dataset=scenes)


# Plugins and the house


def tiny_segmenter(*, input_shape=(64, 64, 1), num_classes=11):
    """A tiny segmenter: one convolution."""
    inputs = keras.Input(input_shape)
    return keras.Model(inputs, keras.layers.Conv2D(num_classes, 3, padding="same", dtype="float32")(inputs))


def tiny_detector(*, input_shape=(64, 64, 1), num_classes=10):
    """A tiny detector: one convolution to a grid."""
    inputs = keras.Input(input_shape)
    return keras.Model(inputs, keras.layers.Conv2D(10 + num_classes, 16, strides=16, dtype="float32")(inputs))


@pytest.mark.parametrize(
    ("builder", "facts"),
    [(tiny_segmenter, {"task": "segmentation"}), (tiny_detector, {"task": "detection", "detector": YoloV1(stride=16)})],
)
def test_anybodys_model_of_any_task_trains(builder, facts, scenes, tmp_path):
    """A builder registered by somebody else is trained, measured and benchmarked like the zoo's own."""
    with registry.temporary():
        register(**facts)(builder)
        done = train(builder.__name__, dataset=scenes, epochs=1, batch_size=32, output=tmp_path / "run")
        document = evaluate(done, dataset=scenes)
    assert document["metrics"]["test_accuracy"] == pytest.approx(done.metrics["test_accuracy"], rel=1e-4)


def test_a_model_that_does_not_end_as_its_task_demands_is_refused():
    """What is wrong is named: no detector, another shape, half precision."""
    with registry.temporary():
        register(task="detection")(tiny_detector)
        with pytest.raises(ModelError, match="tiny_detector names no detector"):
            registry.create("tiny_detector")
    with registry.temporary():
        register(task="detection", detector=YoloV1(stride=8))(tiny_detector)
        with pytest.raises(ModelError, match=r"must end in float32 numbers of shape \(None, 8, 8, 20\)"):
            registry.create("tiny_detector")
    with registry.temporary():
        register(task="segmentation")(tiny_detector)
        with pytest.raises(ModelError, match="one for each pixel and class"):
            registry.create("tiny_detector")


def test_tasks_are_told_apart_in_one_place():
    """No line outside of zoo/tasks compares a task with a name."""
    folder = Path(package.__file__).parent
    guilty = [
        f"{path.relative_to(folder)}: {line.strip()}"
        for path in folder.rglob("*.py")
        if path.parent != folder / "tasks"
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(rf"""task\w*\W*\s*(==|!=|in)\s*[("']+({"|".join(TASKS)})""", line)
    ]
    assert guilty == []


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
def test_eight_scenes_can_be_learned_by_heart(name, scenes, tmp_path):
    """Trained and measured on the same eight, a detector finds everything, a segmenter masks nearly every pixel."""
    few = scenes.train.take(slice(8))
    same = data.Dataset("eight", few, few, scenes.class_names, "the first eight", {})
    measure, floor, epochs, rate = {
        "detection": ("ap50", 1.0, 400, 3e-3),
        "segmentation": ("mean_iou", 0.98, 800, 1e-2),
    }[registry.get(name).task]
    fields = {"epochs": epochs, "batch_size": 8, "schedule": "one_cycle", "learning_rate": rate}
    done = train(name, dataset=same, output=tmp_path / "run", **fields)
    assert done.metrics[f"test_{measure}"] >= floor - 1e-9
