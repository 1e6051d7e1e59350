"""What a recipe can ask for: augmentation, feeding, averaging, weights, selection; each does what its name says."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.errors import RecipeError
from zoo.inference import Examples
from zoo.runs.serialization import load_model
from zoo.spec import Recipe
from zoo.spec.recipe import SHORT
from zoo.tasks.classification import Classification
from zoo.training.augmentation import augment
from zoo.training.callbacks import SaveBest
from zoo.training.input_pipeline import make_feed
from zoo.training.optimizers import make_optimizer, make_schedule, swap_averages
from zoo.training.trainer import train


def _augmented(images: np.ndarray, step: int = 0, **fields) -> np.ndarray:
    return augment(tf.constant(images), tf.constant(step), Recipe(**fields)).numpy()


@pytest.fixture
def strokes() -> np.ndarray:
    """64 equal images, uint8 (64, 28, 28, 1), of a bright L in the middle: no turn and no mirror leaves it as it is."""
    images = np.zeros((64, 28, 28, 1), "uint8")
    images[:, 8:20, 12:14] = 255
    images[:, 18:20, 12:19] = 255
    return images


def test_shift_moves_the_batch_and_fills_with_black():
    """Every shifted image holds the original somewhere within reach, and nothing else."""
    image = np.zeros((1, 28, 28, 1), "uint8")
    image[0, 10:14, 12:15] = 200
    places = set()
    for step in range(60):
        moved = _augmented(image, step, shift=2)
        assert moved.sum() == image.sum()
        places.add(tuple(np.argwhere(moved[0, :, :, 0])[0] - (10, 12)))
    assert {row for row, _ in places} == {-2, -1, 0, 1, 2} == {column for _, column in places}


def _angles(images: np.ndarray) -> np.ndarray:
    """The direction, in degrees, of the inked pixels' greatest extent; (N,)."""
    angles = []
    for image in images[..., 0]:
        rows, columns = np.nonzero(image > 128)
        values, vectors = np.linalg.eigh(np.cov(columns, rows))
        x, y = vectors[:, values.argmax()]
        angles.append(np.degrees(np.arctan2(y, x)) % 180)
    return np.array(angles)


def test_rotation_turns_each_image_by_up_to_so_many_degrees():
    """A bar turns both ways, no further than asked, each image by its own angle, about the centre."""
    bars = np.zeros((200, 29, 29, 1), "uint8")
    bars[:, 13:16, 4:25] = 255
    turned = _augmented(bars, rotation=30.0)
    angles = (_angles(turned) + 90) % 180 - 90
    assert 26 < angles.max() <= 31
    assert -31 <= angles.min() < -26
    assert abs(angles.mean()) < 4
    assert len(np.unique(angles)) > 50  # the pixels tell no more apart
    rows, columns = np.nonzero(turned.mean(0)[..., 0] > 50)
    assert rows.mean() == pytest.approx(14, abs=0.3)
    assert columns.mean() == pytest.approx(14, abs=0.3)


def test_zoom_draws_larger_and_smaller(strokes):
    """The inked area spreads between the squares of the two extremes."""
    area = (_augmented(strokes, zoom=0.25) > 128).sum((1, 2, 3)) / (strokes[0] > 0).sum()
    assert 1.25 < area.max() < 1.25**2 + 0.15
    assert 0.75**2 - 0.15 < area.min() < 0.8


def test_translation_moves_each_image_by_itself():
    """By up to the share of its sides, both ways, each by its own; turned or not, as far."""
    dots = np.zeros((200, 28, 28, 1), "uint8")
    dots[:, 12:16, 12:16] = 255
    for rotation in (0.0, 40.0):
        moved = _augmented(dots, translation=0.25, rotation=rotation).astype(float)[..., 0]
        weights = moved / moved.sum((1, 2), keepdims=True)
        rows = (weights * np.arange(28)[:, None]).sum((1, 2)) - 13.5
        columns = (weights * np.arange(28)).sum((1, 2)) - 13.5
        for offsets in (rows, columns):
            assert 6 < offsets.max() < 7.1
            assert -7.1 < offsets.min() < -6
            assert abs(offsets.mean()) < 0.8
        assert abs(np.corrcoef(rows, columns)[0, 1]) < 0.3


def test_elastic_bends_smoothly_and_as_far_as_asked():
    """On a ramp grey levels tell where each pixel came from: displacements up to those asked, of one piece."""
    ramp = np.zeros((300, 28, 56, 1), "uint8")
    ramp[..., 0] = 4 * np.arange(56)
    bent = _augmented(ramp, elastic=1.5).astype(float)[..., 0]
    moved = ((bent - ramp[..., 0]) / 4)[:, 8:-8, 8:-8]  # away from the edge, where black comes in
    each = np.sqrt((moved**2).mean((1, 2)))
    assert moved.std() == pytest.approx(1.5 / np.sqrt(3), rel=0.1)  # of factors between 0 and 1.5, all as likely
    assert np.quantile(each, 0.1) < 0.3
    assert np.quantile(each, 0.9) > 1.1
    assert abs(moved.mean()) < 0.1
    steps = np.diff(moved, axis=1)
    assert steps.std() < 0.3 * moved.std()  # neighbours move together,
    assert abs(np.corrcoef(moved[:, 0].ravel(), moved[:, -1].ravel())[0, 1]) < 0.3  # what is far apart does not,
    assert abs(np.corrcoef(moved[:-1].ravel(), moved[1:].ravel())[0, 1]) < 0.1  # and each image by itself


def test_hardly_bent_is_what_the_other_resampling_gives(strokes):
    """Turned, scaled and moved as without bending: both ways of resampling read the same places."""
    fields = {"rotation": 25.0, "zoom": 0.2, "translation": 0.1}
    plain = _augmented(strokes, **fields).astype(float)
    np.testing.assert_allclose(_augmented(strokes, elastic=1e-5, **fields), plain, atol=0.05)


@pytest.mark.parametrize(("flip", "axes"), [("horizontal", {2}), ("vertical", {1}), ("both", {1, 2})])
def test_flip_mirrors_about_half_of_the_images(strokes, flip, axes):
    """Each image is the original or a mirrored one, along the axes asked for and no other."""
    flipped = _augmented(strokes, flip=flip)
    kinds = {
        (): strokes[0],
        (1,): strokes[0, ::-1],
        (2,): strokes[0, :, ::-1],
        (1, 2): strokes[0, ::-1, ::-1],
    }
    counts = {name: sum((image == kind).all() for image in flipped) for name, kind in kinds.items()}
    allowed = {name for name in kinds if set(name) <= axes}
    assert sum(counts[name] for name in allowed) == len(strokes)
    assert all(counts[name] >= len(strokes) / len(allowed) / 3 for name in allowed)


def test_augmentation_follows_from_seed_and_step(strokes):
    """The same step of the same seed is the same picture; the next step, and the next seed, are others."""
    fields = {"rotation": 20.0, "zoom": 0.1, "translation": 0.1, "elastic": 1.0, "shift": 2, "flip": "both"}
    first = _augmented(strokes, 5, seed=3, **fields)
    np.testing.assert_array_equal(first, _augmented(strokes, 5, seed=3, **fields))
    assert (first != _augmented(strokes, 6, seed=3, **fields)).any()
    assert (first != _augmented(strokes, 5, seed=4, **fields)).any()
    _augmented(strokes, 0, seed=2**32 - 1, **fields)  # the greatest seed there is


def _labels_in_order(feed, epoch: int, first_step: int = 0) -> list[int]:
    feed.begin(epoch, first_step)
    labels = []
    for step in range(first_step, -(-feed.examples // feed.batch_size)):
        arguments, left = feed.arguments(1), feed.examples - step * feed.batch_size
        labels += feed.draw(arguments, tf.constant(0), min(feed.batch_size, left))[1].numpy().tolist()
    return labels


STREAM_AND_END = """
import atexit
import weakref

import numpy as np

from zoo.inference import Examples
from zoo.spec import Recipe
from zoo.training.input_pipeline import StreamedFeed

held = []
atexit.register(lambda: print([iterator() for iterator in held]))  # called after what was registered later
feed = StreamedFeed(Examples(np.zeros((64, 28, 28, 1), np.uint8), np.zeros(64, np.int64)), Recipe(batch_size=32))
feed.begin(0)
feed.draw(feed.arguments(1), 0, 32)
held.append(weakref.ref(feed.arguments(0)[0]))
"""


def test_a_stream_is_let_go_before_the_interpreter_ends(python):
    """Later, an image that is being read ahead would never arrive, and the process could wait for it for ever."""
    done = python("-c", STREAM_AND_END)
    assert (done.returncode, done.stdout.strip()) == (0, "[None]"), done.stderr


@pytest.mark.parametrize("pipeline", ["resident", "tf_data"])
@pytest.mark.parametrize("extra", [{}, {"shuffle": False}, {"cache": False, "shuffle_buffer": 20, "prefetch": False}])
def test_feeds_give_every_image_once_an_epoch_and_go_on_anywhere(tiny_digits, pipeline, extra):
    """Each epoch is a permutation of its own; begun in its middle it continues as if run through."""
    if pipeline == "resident" and "cache" in extra:
        pytest.skip("what concerns tf.data alone")
    data = Examples(tiny_digits.train.images, np.arange(120))
    recipe = Recipe(batch_size=32, seed=4, pipeline=pipeline, **extra)
    through = make_feed(data, recipe)
    epochs = [_labels_in_order(through, epoch) for epoch in range(3)]
    assert all(sorted(order) == list(range(120)) for order in epochs)
    assert (epochs[0] == epochs[1]) is (extra.get("shuffle") is False)
    assert _labels_in_order(make_feed(data, recipe), 2) == epochs[2]
    assert _labels_in_order(make_feed(data, recipe), 1, first_step=2) == epochs[1][64:]


@pytest.mark.parametrize("xla", [False, True])
def test_streamed_and_resident_train_alike(tiny_digits, tmp_path, xla):
    """Shuffled by the same seed, both feeds give the same weights, the short last batch included."""
    weights = []
    for pipeline in ("resident", "tf_data"):
        fields = {"epochs": 2, "batch_size": 32, "pipeline": pipeline, "xla": xla}
        run = train("mlp", dataset=tiny_digits, recipe=Recipe(**fields), output=tmp_path / pipeline)
        weights.append(run.model.get_weights())
    for resident, streamed in zip(*weights, strict=True):
        np.testing.assert_allclose(resident, streamed, atol=1e-6)


def test_squared_error_is_that_of_one_hot_targets():
    """Summed over the classes, by hand: (0.5-1)^2 + 0.25^2."""
    task = Classification("squared_error")
    loss = task.loss(tf.constant([0], tf.int64), tf.constant([[0.5, 0.25]]))
    assert loss.numpy() == pytest.approx([0.3125])


def test_class_weights_multiply_the_loss(tiny_digits):
    """By label, or balanced: inverse frequencies that average to one over the images."""
    labels = tiny_digits.train.labels
    task = Classification().for_training(Recipe(class_weights={3: 2.5}), labels, 10)
    logits = tf.zeros((2, 10))
    assert task.loss(tf.constant([3, 4], tf.int64), logits).numpy() == pytest.approx([2.5 * np.log(10), np.log(10)])
    assert task.for_evaluation().loss(tf.constant([3], tf.int64), logits[:1]).numpy() == pytest.approx([np.log(10)])
    balanced = np.array(Classification().for_training(Recipe(class_weights="balanced"), labels, 10).class_weights)
    assert balanced[labels].mean() == pytest.approx(1.0)
    counts = np.bincount(labels, minlength=10)
    np.testing.assert_allclose(balanced * counts, np.full(10, len(labels) / 10))
    with pytest.raises(RecipeError, match="names class 12, but the labels are 0 to 9"):
        Classification().for_training(Recipe(class_weights={12: 1.0}), labels, 10)


def test_averages_are_what_is_measured_and_saved(tiny_digits, tmp_path):
    """With weight averaging, validation, the test and the saved model see the averages; training does not."""
    fields = {"epochs": 3, "learning_rate": 0.01, "validation_split": 0.2, "seed": 3}
    raw = train("mlp", dataset=tiny_digits, output=tmp_path / "raw", **fields)
    averaged = train("mlp", dataset=tiny_digits, output=tmp_path / "averaged", weight_averaging=0.9, **fields)
    losses = [[row["loss"] for row in run.document["history"]] for run in (raw, averaged)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    last = averaged.document["history"][-1]
    assert last["val_loss"] == pytest.approx(averaged.metrics["validation_loss"])
    assert last["val_loss"] != pytest.approx(raw.metrics["validation_loss"], rel=1e-3)


def test_swapping_averages_twice_changes_nothing():
    """To the bit, and an optimizer without averages says so."""
    variable = keras.Variable(np.linspace(0.1, 1, 7, dtype="float32"))
    optimizer = make_optimizer(Recipe(weight_averaging=0.9), total_steps=10)
    optimizer.build([variable])
    for _ in range(3):
        optimizer.apply([tf.sin(variable.value)], [variable])
    before = variable.numpy()
    assert swap_averages(optimizer)
    assert (variable.numpy() != before).any()
    assert swap_averages(optimizer)
    np.testing.assert_array_equal(variable.numpy(), before)
    assert not swap_averages(make_optimizer(Recipe(), total_steps=10))


def test_gradient_accumulation_is_a_larger_batch(tiny_digits, tmp_path):
    """Two batches of 20 averaged into one update give the weights of one batch of 40."""
    common = {"optimizer": "sgd", "learning_rate": 0.1, "shuffle": False, "model_options": {"dropout": 0.0}}
    small = Recipe(epochs=1, batch_size=20, gradient_accumulation=2, **common)
    large = Recipe(epochs=1, batch_size=40, **common)
    one, other = (
        train(
            "mlp", dataset=tiny_digits, recipe=recipe, output=tmp_path / str(recipe.data.batch_size)
        ).model.get_weights()
        for recipe in (small, large)
    )
    for accumulated, whole in zip(one, other, strict=True):
        np.testing.assert_allclose(accumulated, whole, atol=1e-6)
    schedule = make_schedule(Recipe(schedule="cosine", learning_rate=1.0), total_steps=50)
    accumulating = make_optimizer(
        Recipe(schedule="cosine", learning_rate=1.0, gradient_accumulation=2), total_steps=100
    )
    assert float(accumulating._learning_rate(25)) == pytest.approx(float(schedule(25)))


@pytest.mark.parametrize("optimizer", ["muon", "sgd", "rmsprop", "adamw", "lion"])
def test_optimizers_of_keras_learn(tiny_digits, tmp_path, optimizer):
    """Muon and SGD with Nesterov among them: by name, the loss falls."""
    options = {"momentum": 0.9, "nesterov": True} if optimizer == "sgd" else {}
    run = train(
        "lenet5", dataset=tiny_digits, optimizer=optimizer, optimizer_options=options, epochs=4, batch_size=20,
        learning_rate=0.002 if optimizer != "sgd" else 0.02, schedule="constant", output=tmp_path / "run",
    )  # fmt: skip
    losses = [row["loss"] for row in run.document["history"]]
    assert losses[-1] < 0.8 * losses[0]


def test_plateau_cuts_the_rate_and_early_stopping_takes_the_best_epoch(tiny_digits, tmp_path):
    """A rate far too large: it is cut, the run stops early, and the weights are the best epoch's."""
    recipe = Recipe(
        epochs=40, batch_size=20, learning_rate=0.03, schedule="reduce_on_plateau", plateau_patience=1,
        plateau_factor=0.5, early_stopping=3, save_best="val_accuracy", validation_split=0.25,
    )  # fmt: skip
    run = train("mlp", dataset=tiny_digits, recipe=recipe, output=tmp_path / "run")
    history = run.document["history"]
    rates = [row["learning_rate"] for row in history]
    assert rates[-1] < rates[0]
    assert len(history) < 40
    losses = [row["val_loss"] for row in history]
    assert run.document["selected_epoch"] == losses.index(min(losses)) + 1
    assert run.metrics["validation_loss"] == pytest.approx(min(losses), rel=1e-6)
    best = load_model(tmp_path / "run" / "best.keras")
    best.compile(metrics=["accuracy"], loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    test = tiny_digits.test
    assert best.evaluate(test.images, test.labels, verbose=0)[1] > 0.5


def test_best_is_lowest_loss_or_highest_accuracy():
    """The model is kept when it is better, not when it is as good."""
    kept: list[int] = []
    for monitor, values in (("val_loss", (3.0, 2.0, 2.0, 4.0)), ("val_accuracy", (0.1, 0.4, 0.4, 0.3))):
        callback = SaveBest(monitor, lambda model: kept.append(1))
        kept.clear()
        for epoch, value in enumerate(values):
            callback.on_epoch_end(epoch, {monitor: value})
        assert (callback.epoch, len(kept)) == (1, 2)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"early_stopping": 3}, "val_loss cannot be watched: no image is held out. Set validation_split"),
        ({"schedule": "reduce_on_plateau"}, "val_loss cannot be watched"),
        ({"save_best": "val_accuracy"}, "val_accuracy cannot be watched"),
        ({"early_stopping": 3, "validate_on_test": True}, "nothing may be selected by them"),
        ({"validate_on_test": True, "validation_split": 0.1}, "nothing may be selected by them"),
        ({"flip": "sideways"}, "flip must be one of none, horizontal, vertical, both, received 'sideways'"),
        ({"rotation": -1}, "rotation must be from 0 to 180, received -1"),
        ({"zoom": 1}, "zoom must be from 0 to below 1"),
        ({"class_weights": "even"}, "class_weights must be one of balanced, received 'even'"),
        ({"class_weights": {"a": 1}}, "must map labels"),
        ({"class_weights": {1: -1}}, "factors of at least 0, received 1: -1"),
        ({"plateau_factor": 1}, "plateau_factor must be from 0 to below 1"),
        ({"gradient_accumulation": 0}, "gradient_accumulation must be at least 1"),
        ({"loss": "hinge"}, "loss.name must be one of cross_entropy, squared_error"),
        ({"pipeline": "queue"}, "pipeline must be one of resident, tf_data"),
    ],
)
def test_what_contradicts_itself_is_refused(fields, words):
    """Before anything is loaded, with the value and the way out."""
    with pytest.raises(RecipeError, match=words):
        Recipe(**fields)


def test_watching_without_selecting_is_allowed():
    """The test images may be looked at after each epoch, and the training loss may select."""
    assert Recipe(validate_on_test=True, early_stopping=2, monitor="loss").validates


def test_users_plateau_and_a_schedule_are_refused_together(tiny_digits, tmp_path):
    """Keras would raise a TypeError in the middle of training."""
    with pytest.raises(
        RecipeError, match="ReduceLROnPlateau sets the learning rate, but the recipe's schedule 'cosine'"
    ):
        train(
            "mlp", dataset=tiny_digits, schedule="cosine", callbacks=[keras.callbacks.ReduceLROnPlateau("loss")],
            output=tmp_path / "run",
        )  # fmt: skip
    assert not (tmp_path / "run").exists()


def test_flipping_digits_warns(tiny_digits, tmp_path):
    """Said once, in words, wherever it can be heard."""
    said: list[str] = []
    train("mlp", dataset=tiny_digits, epochs=1, flip="both", output=tmp_path / "a", announce=said.append)
    assert any("a mirrored 2 is not a 2" in line for line in said)
    with pytest.warns(UserWarning, match="a 6 upside down is a 9"):
        train("mlp", dataset=tiny_digits, epochs=1, flip="vertical", output=tmp_path / "b")


def test_test_images_can_be_watched(tiny_digits, tmp_path):
    """As some tutorials do: the last epoch's val_accuracy is the test accuracy, and no validation metric is claimed."""
    run = train("mlp", dataset=tiny_digits, epochs=2, validate_on_test=True, output=tmp_path / "run")
    assert run.document["history"][-1]["val_accuracy"] == run.metrics["test_accuracy"]
    assert "validation_accuracy" not in run.metrics
    assert run.document["images"] == {"train": 120, "validation": 0, "test": 60}


def test_tensorboard_writes_events_or_says_how_to_install_it(tiny_digits, tmp_path, monkeypatch):
    """Where the package is missing, one clear error before any training."""
    import importlib.util

    if importlib.util.find_spec("tensorboard"):
        train("mlp", dataset=tiny_digits, epochs=1, tensorboard=True, output=tmp_path / "run")
        assert list((tmp_path / "run" / "tensorboard").rglob("events.*"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=r"Install it: python -m pip install 'cnn-zoo\[tensorboard\]'"):
        train("mlp", dataset=tiny_digits, epochs=1, tensorboard=True, output=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_every_setting_of_a_recipe_is_an_option(zoo):
    """The command line is made from the recipe: nothing can be forgotten."""
    text = zoo("train", "--help").stdout
    for name in SHORT:
        if name not in ("note", "model_options", "optimizer_options"):
            assert f"--{name.replace('_', '-')}" in text


def test_options_reach_the_recipe(zoo, tmp_path):
    """Typed on the command line, found in the record."""
    result = zoo(
        "train", "mlp", "--dataset", "digits", "--limit", "100", "--epochs", "1", "--rotation", "10", "--zoom", "0.1",
        "--class-weights", "{3: 2.0}", "--pipeline", "tf_data", "--no-cache", "--optimizer", "sgd", "--no-report",
        "--set", "optimizer_options.nesterov=true", "--set", "optimizer_options.momentum=0.9", "--json",
        "--output", tmp_path / "run",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    import json

    values = json.loads(result.stdout)["recipe_values"]
    augmentation, data = values["augmentation"], values["data"]
    assert (augmentation["rotation"], augmentation["zoom"]) == (10.0, 0.1)
    assert (data["cache"], data["pipeline"]) == (False, "tf_data")
    assert values["loss"]["class_weights"] == {"3": 2.0}
    assert values["optimizer"]["options"] == {"nesterov": True, "momentum": 0.9}
