"""One model on one device with its data: what a run fits and measures."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo import registry
from zoo.data import Dataset, Split
from zoo.errors import ModelError, RecipeError
from zoo.spec import ModelSpec, Recipe
from zoo.tasks import task_for
from zoo.training.devices import Placement, synchronize
from zoo.training.display import Progress
from zoo.training.epoch import CompiledLoop, Resident, Totals, shuffled
from zoo.training.optimizers import make_optimizer


@dataclass(frozen=True)
class Parts:
    """The images to train on, those held out for validation (or None), and the test set."""

    train: Split
    validation: Split | None
    test: Split


def split(data: Dataset, recipe: Recipe, limit: int | None = None) -> Parts:
    """Choose the training images by a seeded shuffle, then hold out the recipe's validation share.

    Raises:
        RecipeError: fewer than one image would be left on either side.
    """
    available = len(data.train)
    count = available if limit is None else min(limit, available)
    if count < 1:
        raise RecipeError(f"limit must be at least 1, received {limit}. Pass for example 1000.")
    if count == available and not recipe.validation_split:
        return Parts(data.train, None, data.test)
    order = np.random.default_rng([recipe.seed, available]).permutation(available)[:count]
    held_out = round(recipe.validation_split * count)
    if recipe.validation_split and not 1 <= held_out < count:
        raise RecipeError(
            f"validation_split {recipe.validation_split} of {count} images leaves {held_out} to validate with "
            f"and {count - held_out} to train with. Change --validation-split or --limit."
        )
    validation = _take(data.train, order[:held_out]) if held_out else None
    return Parts(_take(data.train, order[held_out:]), validation, data.test)


def _take(split: Split, rows: np.ndarray) -> Split:
    return Split(split.images[rows], split.labels[rows])


class Session:
    """One model on one device with its data: what `train` drives."""

    def __init__(
        self, spec: ModelSpec, recipe: Recipe, placement: Placement, data: Dataset, parts: Parts, network: Any
    ) -> None:
        self.recipe, self.placement = recipe, placement
        self.history: list[dict[str, float]] = []
        self.timing: dict[str, float] = {}
        self.device = tf.device(placement.tensorflow_device)
        keras.utils.set_random_seed(recipe.seed)
        with self.device:
            self.parts = {name: Resident(part) for name, part in vars(parts).items() if part is not None}
            if isinstance(network, keras.Model):
                check_own_model(network, recipe, data)
            else:
                check_model_options(recipe)
                network = registry.build(
                    spec,
                    input_shape=data.image_shape,
                    num_classes=data.num_classes,
                    precision=recipe.precision,
                    **recipe.model_options,
                )
            self.model = with_scaling(network, recipe, parts.train, name=spec.name)
            self.task = task_for(spec.task).of(recipe, parts.train.labels, data.num_classes)
            self.steps = -(-len(parts.train) // recipe.batch_size)
            self.optimizer = make_optimizer(recipe, total_steps=self.steps * recipe.epochs)
            self.optimizer.build(self.model.trainable_variables)
            self.loop = CompiledLoop(self.model, self.optimizer, self.task, recipe, xla=placement.xla)

    def fit(self, callbacks: list[keras.callbacks.Callback], *, show: bool) -> None:
        """Run the epochs under an ordinary Keras callback list, and keep their record."""
        with self.device:
            train = self.parts["train"]
            self.timing["first_call_s"] = self.loop.warm_up(train, examples=len(train))
            self._compile_for_callbacks()
            progress = Progress(len(train)) if show else None
            watchers = keras.callbacks.CallbackList(
                [*callbacks, *([progress] if progress else [])],
                model=self.model,
                epochs=self.recipe.epochs,
                steps=self.steps,
                verbose=0,
            )
            self.model.stop_training = False
            self.timing["train_s"] = 0.0
            self._images_trained = 0
            try:
                watchers.on_train_begin()
                for epoch in range(self.recipe.epochs):
                    watchers.on_epoch_begin(epoch)
                    logs = self.train_epoch(epoch, watchers)
                    watchers.on_epoch_end(epoch, logs)
                    if self.model.stop_training:
                        break
                self.optimizer.finalize_variable_values(self.model.trainable_variables)
                watchers.on_train_end(logs)
            finally:
                if progress:
                    progress.close()
            self.timing["images_per_s"] = self._images_trained / self.timing["train_s"]

    def train_epoch(self, epoch: int, watchers: keras.callbacks.CallbackList) -> dict[str, float]:
        """Train once over the data, then measure the validation images."""
        train = self.parts["train"]
        sums = Totals()
        rate = float(keras.ops.convert_to_numpy(self.optimizer.learning_rate))
        synchronize()
        began = time.perf_counter()
        for chunk in self.loop.chunks(shuffled(len(train), self.recipe, epoch)):
            watchers.on_train_batch_begin(sums.steps)
            sums += self.loop.train(train, chunk, first_step=epoch * self.steps + sums.steps)
            elapsed = time.perf_counter() - began
            live = {**sums.logs(), "examples": sums.examples, "images_per_s": sums.examples / elapsed}
            watchers.on_train_batch_end(sums.steps - 1, live)
            if self.model.stop_training:
                break
        synchronize()
        seconds = time.perf_counter() - began
        self.timing["train_s"] += seconds
        self._images_trained += sums.examples
        logs = sums.logs()
        if "validation" in self.parts:
            logs |= self.loop.evaluate(self.parts["validation"]).logs("val_")
        logs |= {"learning_rate": rate, "seconds": seconds, "images_per_s": sums.examples / seconds}
        self.history.append({"epoch": epoch + 1, **logs})
        return logs

    def measure(self) -> dict[str, float]:
        """Measure the finished model: on validation where there is one, and once on the test set."""
        metrics: dict[str, float] = {}
        began = time.perf_counter()
        with self.device:
            for part, prefix in (("validation", "validation_"), ("test", "test_")):
                if part in self.parts:
                    metrics |= self.loop.evaluate(self.parts[part]).logs(prefix)
        self.timing["evaluate_s"] = time.perf_counter() - began
        return metrics

    def _compile_for_callbacks(self) -> None:
        """Give callbacks the compiled model they expect, metric names included."""
        self.model.compile(
            optimizer=self.optimizer,
            loss=self.task.keras_loss(),
            metrics=self.task.keras_metrics(),
            auto_scale_loss=False,
        )
        test = self.parts["test"]
        logits = self.model(tf.cast(test.images[:1], tf.float32), training=False)
        self.model.compute_metrics(test.images[:1], test.labels[:1], logits)
        self.model.reset_metrics()


def check_model_options(recipe: Recipe) -> None:
    """Raise `RecipeError` for a model option that is decided elsewhere."""
    for name in ("input_shape", "num_classes", "precision", "spec"):
        if name in recipe.model_options:
            raise RecipeError(
                f"'{name}' is no model option of a recipe: it follows from the dataset and the precision. Remove it."
            )


def check_own_model(network: keras.Model, recipe: Recipe, data: Dataset) -> None:
    """Hold a user's own model against the data and the recipe.

    Raises:
        ModelError: its input or output does not fit the images or classes.
        RecipeError: the recipe asks for options, or a precision, that an already built model cannot be given.
    """
    takes, gives = tuple(network.input_shape[1:]), network.output_shape
    fits = all(size in (None, wanted) for size, wanted in zip(takes, data.image_shape, strict=False))
    if len(takes) != 3 or not fits or len(gives) != 2 or (gives[1] or 0) < data.num_classes:
        raise ModelError(
            f"{network.name} takes images {takes} and ends in {gives}, but {data.name} has images "
            f"{data.image_shape} of {data.num_classes} classes. Build it for that shape and as many logits."
        )
    if recipe.model_options:
        raise RecipeError(f"{network.name} is built already: it takes no model_options. Remove them.")
    policies = {layer.dtype_policy.name for layer in network._flatten_layers(include_self=False)}
    if recipe.precision != "float32" and recipe.precision not in policies:
        raise RecipeError(
            f"{network.name} is built already, in {', '.join(sorted(policies))}: it cannot be trained in "
            f"{recipe.precision}. Build it under that policy."
        )


def with_scaling(network: keras.Model, recipe: Recipe, images: Split, *, name: str) -> keras.Model:
    """Put the recipe's scaling in front of a network, so that what is saved takes raw 0..255 images."""
    if recipe.scaling == "none":
        return network
    if recipe.scaling == "unit":
        scaling = keras.layers.Rescaling(1 / 255, dtype="float32", name="scaling")
    else:
        pixels = images.images[:10_000].astype("float32")
        scaling = keras.layers.Normalization(
            axis=None, mean=float(pixels.mean()), variance=float(pixels.var()), dtype="float32", name="scaling"
        )
    inputs = keras.Input(images.images.shape[1:], name="image")
    return keras.Model(inputs, network(scaling(inputs)), name=name.replace("/", "-"))  # Keras refuses the slash
