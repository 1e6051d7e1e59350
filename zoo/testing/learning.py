"""Checks that the model can learn: it overfits one batch and, in a slow check, learns real digits."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from zoo import data
from zoo.data.sources.drawn_scenes import Layout, draw_scenes
from zoo.errors import DataError
from zoo.lazy import keras
from zoo.spec import ModelSpec, Recipe
from zoo.tasks import task_of
from zoo.testing.check import check
from zoo.testing.subject import batch_for, brief, build

# Adam's usual rate, then a smaller one for deep plain networks and a larger one for small saturating ones.
LEARNING_RATES = (1e-3, 1e-4, 1e-2)
STEPS = 60  # at each rate; zoo's own models need 5 to 20
FALLEN = 0.5  # the share of the first loss that a network which learns gets under

# Guessing classifies 10% of these digits. Zoo's own models reached 97.8% to 99.7% when they were trained to the end
# (two seeds each): below 90%, something is broken rather than weak.
DIGITS_FLOOR = 0.90
DIGITS_EPOCHS = 15
# Of a task's own first measure, on scenes of the same digits: random boxes come to nothing, and background alone to
# less than 0.1; the weakest of zoo's own models, yolo_v1, to 0.38 and 0.45 (two seeds).
SCENES_FLOOR = 0.25
DIGITS_BATCH = 32  # 1,437 images: with MNIST's usual 128 there would be only a dozen steps an epoch


@check()
def check_overfits_one_batch(spec: ModelSpec) -> Iterator[str]:
    """Learns one batch of eight images by heart: the loss is finite and falls to half of what it was.

    Dropout is turned off for this, since it is there to prevent exactly that.
    """
    attempts = []
    for rate in LEARNING_RATES:
        keras.utils.set_random_seed(0)
        model = build(spec)
        if not model.trainable_weights:
            yield f"give {spec.name} weights to train: all of its {len(model.weights)} weights are frozen or absent"
            return
        try:
            losses = _losses(spec, model, rate)
        except Exception as error:
            yield (
                f"make {spec.name} train: one batch raised {brief(error)} "
                "Look for stop_gradient, rounding or a comparison between weights and logits"
            )
            return
        if losses[-1] <= FALLEN * losses[0]:
            return
        attempts.append(losses)
        if not math.isfinite(losses[0]):
            break  # no learning rate mends the first step
    yield _not_learned(spec, attempts)


@check(slow=True)
def check_learns_digits(spec: ModelSpec) -> Iterator[str]:
    """Trained on scikit-learn's digits with its default recipe, it classifies 90% of the test images.

    A training that gets there ends there. Trained on scenes of them, a detector or a segmenter reaches a quarter of
    what its task measures.
    """
    from zoo.training.trainer import train

    class StopAtTheFloor(keras.callbacks.Callback):
        def on_epoch_end(self, _: int, logs: dict[str, float] | None = None) -> None:
            if (logs or {}).get("val_accuracy", 0) >= DIGITS_FLOOR:
                self.model.stop_training = True

    own = next(iter(task_of(spec).metrics), None)  # what the task measures beside the accuracy
    measure, floor = (own, SCENES_FLOOR) if own else ("accuracy", DIGITS_FLOOR)
    with tempfile.TemporaryDirectory() as folder:
        run = train(
            dataclasses.replace(spec, guard=None),
            dataset=_dataset_for(spec),
            epochs=DIGITS_EPOCHS,
            batch_size=DIGITS_BATCH,
            seed=0,
            validate_on_test=None if spec.recipe().validates else True,
            callbacks=[] if own else [StopAtTheFloor()],
            output=Path(folder) / "run",
        )
    reached = run.metrics[f"test_{measure}"]
    if not reached >= floor:
        yield (
            f"give {spec.name} a default recipe that learns: on digits it reaches {measure} {reached:.2f} in "
            f"{DIGITS_EPOCHS} epochs, where {floor:.2f} is the floor. Try another learning_rate first "
            f"(now {run.recipe.optimizer.learning_rate:g}), then optimizer, schedule and scaling"
        )


def _not_learned(spec: ModelSpec, attempts: list[list[float]]) -> str:
    """Return the instruction after all learning rates have failed; the best attempt is the one to speak of."""
    losses = min(attempts, key=lambda each: each[-1] if math.isfinite(each[-1]) else math.inf)
    if not math.isfinite(losses[-1]):
        return (
            f"keep the loss finite: on one batch it is {losses[-1]} at step {len(losses)}. Look for a division by "
            "zero, a logarithm or root of something negative, or activations that grow from layer to layer"
        )
    rates = ", ".join(f"{rate:g}" for rate in LEARNING_RATES)
    return (
        f"let {spec.name} learn: on one batch, repeated {STEPS} times, the loss went from {losses[0]:.3g} only to "
        f"{losses[-1]:.3g} (Adam, the best of the learning rates {rates}). "
        "Look for stop_gradient, frozen layers, dead activations, or a softmax before the loss"
    )


def _losses(spec: ModelSpec, model: keras.Model, rate: float) -> list[float]:
    """Train on one batch until the loss has fallen enough, is not finite, or the steps are over."""
    from zoo.training.optimizers import on_one_replica

    for layer in model._flatten_layers():
        if isinstance(layer, (keras.layers.Dropout, keras.layers.AlphaDropout, keras.layers.GaussianDropout)):
            layer.rate = 0
    images, task = batch_for(model), task_of(spec)
    split, names = task.synthetic(spec.num_classes, images, np.random.default_rng(0))
    targets = task.targets(data.Dataset("synthetic", split, split, names, "synthetic", {}), split)
    classes = len(task.output_names(names))
    task = task.for_training(Recipe(), targets, classes, image_shape=images.shape[1:], model=spec.name).for_evaluation()
    # The metric is the loss without what weight regularisation adds to it, which need not fall.
    metric = keras.metrics.MeanMetricWrapper(task.loss, name="own_loss")
    model.compile(optimizer=on_one_replica(keras.optimizers.Adam(rate)), loss=task.loss, metrics=[metric])
    losses: list[float] = []
    for _ in range(STEPS):
        losses.append(float(model.train_on_batch(images, targets, return_dict=True)["own_loss"]))
        model.reset_metrics()
        if not math.isfinite(losses[-1]) or losses[-1] <= FALLEN * losses[0]:
            break
    return losses


def _dataset_for(spec: ModelSpec) -> data.Dataset:
    """Return digits, or scenes of them where digits lack what the task learns from."""
    digits = _digits_for(spec)
    try:
        task_of(spec).targets(digits, digits.train)
    except DataError:
        return _scenes_for(spec)
    return digits


def _digits_for(spec: ModelSpec) -> data.Dataset:
    """Return digits (28x28x1), each pixel repeated where the architecture needs larger images."""
    digits = data.load("digits")
    times = max(math.ceil(need / have) for need, have in zip(spec.min_size, digits.image_shape[:2], strict=True))
    if times == 1:
        return digits

    def enlarged(split: data.Split) -> data.Split:
        return data.Split(split.images.repeat(times, axis=1).repeat(times, axis=2), split.labels)

    return dataclasses.replace(digits, train=enlarged(digits.train), test=enlarged(digits.test))


def _scenes_for(spec: ModelSpec) -> data.Dataset:
    """Return scenes of scikit-learn's digits, as large as the model's images."""
    digits = data.load("digits")
    layout = Layout(side=max(64, *spec.input_shape[:2]))
    train, test = (
        draw_scenes(split, layout, count, seed=0) for split, count in ((digits.train, 1500), (digits.test, 200))
    )
    return dataclasses.replace(digits, name="scenes", train=train, test=test)
