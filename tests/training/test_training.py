"""The trainer: equal to Keras where it must be, repeatable, and honest in its record."""

from __future__ import annotations

import csv
import gc
import json
import weakref
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo import registry
from zoo.data import Dataset, Split
from zoo.errors import DeviceError, ModelError, RecipeError, RunError
from zoo.inference import Examples, Totals
from zoo.runs.folder import load_run
from zoo.spec import Recipe
from zoo.tasks.classification import Classification
from zoo.training.devices import Placement, place
from zoo.training.input_pipeline import Feed, make_feed, shuffled
from zoo.training.loop import CompiledLoop
from zoo.training.optimizers import FusedAdam, make_optimizer, make_schedule
from zoo.training.session import split, with_scaling
from zoo.training.trainer import train, train_seeds

PLAIN = Recipe(dataset="digits", epochs=1, batch_size=32, shuffle=False)


def _model(seed: int = 3, **options) -> keras.Model:
    keras.utils.set_random_seed(seed)
    return registry.create("mlp", hidden_sizes=(16,), dropout=0.0, **options)


def _feed(data: Dataset, recipe: Recipe) -> Feed:
    return make_feed(Examples(data.train.images, data.train.labels), recipe)


def _on_cpu(xla: bool = False) -> Placement:
    return place(Recipe(xla=xla), device="cpu")


def _train_by_zoo(model: keras.Model, recipe: Recipe, data: Dataset, *, xla: bool = False) -> CompiledLoop:
    full = with_scaling(model, recipe, data.train.images, name="mlp")
    steps = -(-len(data.train) // recipe.batch_size)
    optimizer = make_optimizer(recipe, total_steps=steps * recipe.epochs)
    optimizer.build(full.trainable_variables)
    task = Classification().for_training(recipe, data.train.labels, data.num_classes)
    loop = CompiledLoop(full, optimizer, task, recipe, _feed(data, recipe), _on_cpu(xla))
    loop.warm_up()
    for epoch in range(recipe.schedule.epochs):
        _run_epoch(loop, epoch)
    optimizer.finalize_variable_values(full.trainable_variables)
    return loop


def _run_epoch(loop: CompiledLoop, epoch: int) -> Totals:
    loop.feed.begin(epoch)
    totals = Totals()
    while totals.steps < loop.steps:
        totals = loop.advance(totals, epoch=epoch)
    return totals


@pytest.mark.parametrize("xla", [False, True])
def test_compiled_loop_computes_what_keras_fit_computes(tiny_digits, xla):
    """Same weights, order and optimizer: the same weights afterwards, the short last batch included."""
    ours, theirs = _model(), _model()
    _train_by_zoo(ours, PLAIN.override(epochs=2), tiny_digits, xla=xla)
    theirs.compile(keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images = tiny_digits.train.images.astype("float32") / 255
    theirs.fit(images, tiny_digits.train.labels, batch_size=32, epochs=2, shuffle=False, verbose=0)
    for mine, keras_own in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, keras_own, atol=2e-6)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight_decay": 0.01},
        {"clipnorm": 0.01},
        {"global_clipnorm": 0.01},
        {"use_ema": True, "ema_momentum": 0.5},
        {"gradient_accumulation_steps": 2},
    ],
)
def test_fused_adam_equals_keras_adam(options):
    """One kernel per variable changes the speed, not the result, whatever Keras wraps around it."""
    weights = {}
    for kind in (keras.optimizers.Adam, FusedAdam):
        variable = keras.Variable(np.linspace(-1, 1, 12, dtype="float32"))
        optimizer = kind(learning_rate=0.005, **options)
        optimizer.build([variable])
        for step in range(6):
            optimizer.apply([tf.sin(variable.value * (step + 1))], [variable])
        optimizer.finalize_variable_values([variable])
        weights[kind] = variable.numpy()
    np.testing.assert_allclose(weights[FusedAdam], weights[keras.optimizers.Adam], atol=1e-6)


def test_loss_scaling_survives_overflow(tiny_digits):
    """Under mixed_float16 a loss scale that overflows is halved and its steps are skipped; training goes on."""
    recipe = PLAIN.override(precision="mixed_float16", epochs=4)
    model = _model(precision="mixed_float16")
    full = with_scaling(model, recipe, tiny_digits.train.images, name="mlp")
    optimizer = make_optimizer(recipe, total_steps=100)
    optimizer.initial_scale = 2.0**30
    optimizer.build(full.trainable_variables)
    loop = CompiledLoop(full, optimizer, Classification(), recipe, _feed(tiny_digits, recipe), _on_cpu())
    before = [weight.copy() for weight in full.get_weights()]
    loop.feed.begin(0)
    first = loop.advance(Totals(), epoch=0)  # a single step
    assert np.isfinite(first.loss)
    assert float(optimizer.dynamic_scale.value) == 2.0**29
    for old, new in zip(before, full.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    for epoch in range(10):
        _run_epoch(loop, epoch)
    assert float(optimizer.dynamic_scale.value) < 2.0**29
    assert any((old != new).any() for old, new in zip(before, full.get_weights(), strict=True))


def test_warming_up_changes_nothing(tiny_digits):
    """Tracing and compiling run real steps, and then every variable is what it was, dropout's state too."""
    keras.utils.set_random_seed(0)
    model = registry.create("mlp", dropout=0.5)
    optimizer = make_optimizer(PLAIN, total_steps=10)
    optimizer.build(model.trainable_variables)
    before = [variable.numpy() for variable in [*model.variables, *optimizer.variables]]
    CompiledLoop(model, optimizer, Classification(), PLAIN, _feed(tiny_digits, PLAIN), _on_cpu()).warm_up()
    for old, variable in zip(before, [*model.variables, *optimizer.variables], strict=True):
        np.testing.assert_array_equal(old, variable.numpy())


@pytest.mark.parametrize(
    "changes",
    [{}, {"optimizer": "sgd"}, {"precision": "mixed_float16"}, {"weight_averaging": 0.9, "gradient_accumulation": 2}],
)
def test_a_training_that_is_over_leaves_no_weights_behind(tiny_digits, changes):
    """What was traced holds every variable it used, so it has to go: a process may train hundreds of times."""
    recipe = PLAIN.override(**changes)
    model = _model(precision=recipe.execution.precision)
    optimizer = make_optimizer(recipe, total_steps=10)
    optimizer.build(model.trainable_variables)
    loop = CompiledLoop(model, optimizer, Classification(), recipe, _feed(tiny_digits, recipe), _on_cpu())
    loop.warm_up()
    graphs = [weakref.ref(compiled.graph) for compiled in loop._compiled.values()]
    del loop, model, optimizer
    gc.collect()
    assert graphs
    assert not [graph for graph in graphs if graph() is not None]


def test_same_seed_gives_same_weights_when_deterministic(python, tmp_path):
    """Two processes, shuffling, dropout and shifting included: equal to the last bit."""
    script = (
        "import sys, numpy as np; from zoo.training.trainer import train;"
        "run = train('mlp', dataset='digits', epochs=2, seed=5, deterministic=True, output=sys.argv[1], shift=1);"
        "np.savez(sys.argv[1] + '/weights.npz', *run.model.get_weights())"
    )
    for name in ("a", "b"):
        result = python("-c", script, str(tmp_path / name))
        assert result.returncode == 0, result.stderr
    first, second = (np.load(tmp_path / name / "weights.npz") for name in ("a", "b"))
    for key in first.files:
        np.testing.assert_array_equal(first[key], second[key])


def test_order_is_a_function_of_seed_and_epoch():
    """No state in between: epoch 3 of seed 7 is always the same permutation, and unlike epoch 4's."""
    recipe = Recipe(seed=7)
    np.testing.assert_array_equal(shuffled(50, recipe, 3), shuffled(50, recipe, 3))
    assert (shuffled(50, recipe, 3) != shuffled(50, recipe, 4)).any()
    assert sorted(shuffled(50, recipe, 3)) == list(range(50))


def test_callbacks_are_ordinary_keras_callbacks(tiny_digits, tmp_path):
    """EarlyStopping in mode auto stops, and batch hooks see the running means."""

    class Watch(keras.callbacks.Callback):
        batches = 0
        epochs = 0

        def on_train_batch_end(self, batch, logs=None):
            self.batches += 1
            assert 0 <= logs["accuracy"] <= 1

        def on_epoch_end(self, epoch, logs=None):
            self.epochs += 1

    watch = Watch()
    stop = keras.callbacks.EarlyStopping("val_accuracy", patience=1, min_delta=1.0)  # nothing improves by 1
    run = train(
        "mlp", dataset=tiny_digits, epochs=9, validation_split=0.2, callbacks=[watch, stop], output=tmp_path / "run"
    )
    assert watch.epochs == len(run.document["history"]) == 2
    assert watch.batches >= 2


def test_plateau_callback_changes_the_learning_rate(tiny_digits, tmp_path):
    """The optimizer that callbacks see is the one that trains."""

    class Halve(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.optimizer.learning_rate = float(self.model.optimizer.learning_rate) / 2

    run = train(
        "mlp",
        dataset=tiny_digits,
        recipe=Recipe(epochs=3, learning_rate=0.008),
        callbacks=[Halve()],
        output=tmp_path / "run",
    )
    rates = [row["learning_rate"] for row in run.document["history"]]
    np.testing.assert_allclose(rates, [0.008, 0.004, 0.002], rtol=1e-6)


def test_model_of_ones_own_is_trained(tiny_digits, tmp_path):
    """``zoo.train`` takes any Keras model that ends in logits, batch normalisation and regularisers included."""
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(4, 3, strides=3, kernel_regularizer="l2"),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ],
        name="mine",
    )
    means = model.layers[1].moving_mean.numpy()
    run = train(model, dataset=tiny_digits, epochs=2, output=tmp_path / "run")
    assert run.document["model"] == "mine"
    assert (model.layers[1].moving_mean.numpy() != means).any()


def test_run_folder_holds_everything_and_reads_back(trained_run):
    """run.json, history.csv, model.keras and curves.png; the loaded model takes raw pixels."""
    assert {path.name for path in trained_run.iterdir()} >= {"run.json", "history.csv", "model.keras", "curves.png"}
    run = load_run(trained_run)
    rows = list(csv.DictReader((trained_run / "history.csv").open()))
    assert len(rows) == 4
    assert float(rows[-1]["val_accuracy"]) == pytest.approx(run.metrics["validation_accuracy"])
    from zoo import data, evaluate

    digits = data.load("digits").test
    predicted = run.model.predict(digits.images, verbose=0).argmax(-1)
    assert (predicted == digits.labels).mean() == pytest.approx(run.metrics["test_accuracy"])
    assert evaluate(run)["metrics"]["test_loss"] == pytest.approx(run.metrics["test_loss"], rel=1e-5)


def test_saved_model_is_uncompiled(trained_run):
    """The file holds the network alone: no optimizer, whose state would triple it and whose class is zoo's own."""
    with zipfile.ZipFile(trained_run / "model.keras") as archive:
        assert b"optimizer" not in archive.read("config.json").lower()
        assert b"optimizer" not in archive.read("model.weights.h5")
    assert not load_run(trained_run).model.compiled


def test_document_has_the_fields_of_the_contract(trained_run):
    """Names that other programs rely on."""
    document = json.loads((trained_run / "run.json").read_text())
    contract = (
        "schema model dataset task seed recipe recipe_values metrics timing device precision xla threads "
        "environment history run"
    )
    assert set(contract.split()) <= set(document)
    assert {"train_s", "first_call_s", "data_s", "evaluate_s", "total_s", "images_per_s"} == set(document["timing"])
    assert document["timing"]["total_s"] >= sum(
        document["timing"][part] for part in ("train_s", "first_call_s", "data_s", "evaluate_s")
    )
    images = 4 * (1437 - round(0.1 * 1437))
    assert document["timing"]["images_per_s"] == pytest.approx(images / document["timing"]["train_s"])
    assert document["recipe_values"]["validation"]["split"] == 0.1
    assert document["run"] == str(trained_run)


def test_seeds_are_summarised(tiny_digits, tmp_path):
    """Three seeds: three documents in three folders, and a mean with its deviation."""
    document = train_seeds("mlp", 3, seed=4, dataset=tiny_digits, epochs=1, output=tmp_path / "three")
    assert [run["seed"] for run in document["runs"]] == [4, 5, 6]
    accuracies = [run["metrics"]["test_accuracy"] for run in document["runs"]]
    assert document["summary"]["test_accuracy"] == {
        "mean": pytest.approx(np.mean(accuracies)),
        "standard_deviation": pytest.approx(np.std(accuracies, ddof=1)),
        "n": 3,
    }
    assert sorted(path.name for path in (tmp_path / "three").iterdir()) == ["s4", "s5", "s6"]


def test_limit_and_validation_are_taken_from_a_seeded_shuffle(tiny_digits):
    """The limit comes first, then the validation share; no image is on both sides; the test set stays whole."""
    data = Dataset(
        name="counted",
        train=Split(np.arange(100, dtype="uint8").reshape(100, 1, 1, 1), np.zeros(100, "int64")),
        test=tiny_digits.test,
        class_names=("0",),
        source="",
        digests={},
    )
    recipe = Recipe(validation_split=0.25, seed=1)
    parts = split(data, recipe, limit=40)
    chosen, held = set(parts.train.images.ravel()), set(parts.validation.images.ravel())
    assert (len(chosen), len(held), len(chosen | held)) == (30, 10, 40)
    assert parts.test is data.test
    np.testing.assert_array_equal(split(data, recipe, limit=40).train.images, parts.train.images)
    with pytest.raises(RecipeError, match="limit must be at least 1, received 0"):
        split(data, recipe, limit=0)
    with pytest.raises(RecipeError, match="leaves 0 to validate with"):
        split(data, recipe.override(validation_split=0.01), limit=10)


def test_one_cycle_rises_to_the_peak_and_falls_to_nothing():
    """The schedule starts at a 25th, peaks after the warm-up share, and ends at zero."""
    schedule = make_schedule(Recipe(schedule="one_cycle", learning_rate=1.0, warmup=0.25), total_steps=100)
    rates = [float(schedule(step)) for step in range(101)]
    assert rates[0] == pytest.approx(1 / 25)
    assert max(range(101), key=rates.__getitem__) == 25
    assert rates[25] == pytest.approx(1.0)
    assert rates[100] == pytest.approx(0.0, abs=1e-6)


def test_any_keras_optimizer_by_name():
    """Muon, SGD with Nesterov: Keras' own classes with the recipe's options."""
    sgd = make_optimizer(Recipe(optimizer="SGD", optimizer_options={"momentum": 0.9, "nesterov": True}), total_steps=1)
    assert isinstance(sgd, keras.optimizers.SGD)
    assert sgd.nesterov
    with pytest.raises(RecipeError, match="no optimizer 'adan'. Did you mean 'adam'"):
        make_optimizer(Recipe(optimizer="adan"), total_steps=1)
    with pytest.raises(RecipeError, match="sgd refuses optimizer_options"):
        make_optimizer(Recipe(optimizer="sgd", optimizer_options={"speed": 1}), total_steps=1)


def test_gpu_that_is_not_there_is_an_error_with_a_reason(monkeypatch):
    """Never a silent fall-back to the CPU."""
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    with pytest.raises(DeviceError, match="--device gpu:1: TensorFlow sees no GPU here: .+ Use --device cpu"):
        place(Recipe(), device="gpu:1")
    with pytest.raises(DeviceError, match="device must be auto, cpu, gpu or gpu:N, received 'tpu'"):
        place(Recipe(), device="tpu")
    assert place(Recipe(), device="auto").device == "cpu"


def test_xla_is_off_on_a_cpu_unless_asked_for():
    """As resolved, not as asked for."""
    assert place(Recipe(), device="cpu").xla is False
    assert place(Recipe(xla=True), device="cpu").xla is True


def test_keras_set_up_for_another_backend_is_refused(monkeypatch):
    """The message names the setting that is in the way."""
    monkeypatch.setattr(keras.config, "image_data_format", lambda: "channels_first")
    with pytest.raises(DeviceError, match="set to 'channels_first'. Change 'image_data_format' in"):
        place(Recipe(), device="cpu")


def test_folder_with_a_run_is_not_overwritten(trained_run):
    """A finished run is never lost to a repeated command."""
    with pytest.raises(RunError, match="holds a run already. Choose another --output"):
        train("mlp", dataset="digits", epochs=1, output=trained_run)


def test_failed_run_leaves_no_folder(tmp_path):
    """Nothing was written: nothing stays."""
    with pytest.raises(RecipeError):
        train("mlp", dataset="digits", limit=-1, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda folder: (folder / "run.json").unlink(), "holds no run.json"),
        (lambda folder: (folder / "run.json").write_text("{"), r"run\.json cannot be read"),
        (lambda folder: (folder / "model.keras").unlink(), r"model\.keras is missing"),
        (lambda folder: (folder / "model.keras").write_bytes(b"PK"), r"model\.keras cannot be read as a Keras model"),
    ],
)
def test_damaged_run_is_named(trained_run, tmp_path, break_it, words):
    """One clear error for every way a run folder can be incomplete."""
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(trained_run, copy)
    break_it(copy)
    with pytest.raises(RunError, match=words):
        _ = load_run(copy).model


def test_run_is_found_by_name_and_suggested(tmp_path):
    """The name of a folder inside runs/ is enough; a slip of the finger is noticed."""
    (tmp_path / "runs" / "lenet5-x").mkdir(parents=True)
    with pytest.raises(RunError, match=r"no run 'lenet5-y'\. Did you mean 'lenet5-x'"):
        load_run("lenet5-y")


def _own_model(size: int = 28, classes: int = 10) -> keras.Model:
    return keras.Sequential(
        [keras.Input((size, size, 1)), keras.layers.Flatten(), keras.layers.Dense(classes)], name="mine"
    )


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        (_own_model(classes=5), {}, r"ends in \(None, 5\), but digits has images \(28, 28, 1\) of 10 classes"),
        (_own_model(size=32), {}, r"mine takes images \(32, 32, 1\)"),
        (_own_model(), {"precision": "mixed_bfloat16"}, "mine is built already, in float32: it cannot be trained in"),
        (_own_model(), {"model_options": {"dropout": 0.1}}, "it takes no model_options"),
        ("mlp", {"model_options": {"num_classes": 5}}, "'num_classes' is no model option of a recipe"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_words(model, options, words, tiny_digits):
    """A model of one's own that does not fit the data, or is asked to be what it is not."""
    with pytest.raises((ModelError, RecipeError), match=words):
        train(model, dataset=tiny_digits, epochs=1, **options)


def test_diverged_run_is_plain_json_and_says_so(tiny_digits, tmp_path):
    """A loss that is not finite is null in the record, and announced with the way out."""
    said: list[str] = []
    run = train("mlp", dataset=tiny_digits, epochs=2, learning_rate=1e30, output=tmp_path / "run", announce=said.append)
    assert run.metrics["test_loss"] is None
    assert json.loads((tmp_path / "run" / "run.json").read_text())["metrics"]["test_loss"] is None
    assert any("Try a lower --learning-rate" in line for line in said)


def test_numpy_values_are_written_as_numbers(tiny_digits, tmp_path):
    """Options that were computed are recorded like those that were typed."""
    options = {"hidden_sizes": np.array([16]), "dropout": np.float32(0.5)}
    run = train("mlp", dataset=tiny_digits, epochs=1, model_options=options, output=tmp_path / "run")
    assert load_run(tmp_path / "run").recipe.model.options == {"hidden_sizes": [16], "dropout": 0.5}
    assert run.recipe == load_run(tmp_path / "run").recipe


def test_folder_of_the_users_is_left_alone(tmp_path):
    """A run that fails removes the folder that it made, and no other."""
    (tmp_path / "mine").mkdir()
    with pytest.raises(RecipeError):
        train("mlp", dataset="digits", limit=0, output=tmp_path / "mine")
    assert (tmp_path / "mine").is_dir()


def test_seeds_begin_with_the_recipes_own(tiny_digits, tmp_path):
    """Without --seed, the first of several runs is the run that one alone would be."""
    recipe = Recipe(epochs=1, seed=7)
    document = train_seeds("mlp", 1, recipe=recipe, dataset=tiny_digits, output=tmp_path / "one")
    assert [run["seed"] for run in document["runs"]] == [7]
