"""A session puts a model, its data and its optimizer on a device, and fits and evaluates the model."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo import registry
from zoo.data import Dataset, Split
from zoo.errors import RecipeError
from zoo.inference import CompiledEvaluation, Examples, ForwardPass, Resident, Totals, forward
from zoo.runs.folder import in_float32
from zoo.spec import ModelSpec, Recipe, RunDocument
from zoo.tasks import Task, task_of
from zoo.training.callbacks import restore_states, states_of
from zoo.training.checkpoint import Checkpoint, names_and_values
from zoo.training.devices import Placement, synchronize
from zoo.training.display import Progress
from zoo.training.input_pipeline import make_feed
from zoo.training.interruption import Interruption, TrainingInterrupted
from zoo.training.loop import CompiledLoop
from zoo.training.optimizers import make_optimizer, swap_averages
from zoo.training.own_model import adopt


@dataclass(frozen=True)
class Splits:
    """The images to train on, those held out for validation (or None), and the test set."""

    train: Split
    validation: Split | None
    test: Split


def split(data: Dataset, recipe: Recipe, limit: int | None = None) -> Splits:
    """Choose the training images by a seeded shuffle, then hold out the recipe's fraction for validation.

    If the data set has its own validation images, all of them are used instead, whatever the fraction.

    Raises:
        RecipeError: the training or the validation images would be empty.
    """
    available = len(data.train)
    count = available if limit is None else min(limit, available)
    if count < 1:
        raise RecipeError(f"limit must be at least 1, received {limit}. Pass for example 1000.")
    own = data.validation if recipe.validation.split else None
    fraction = 0.0 if own else recipe.validation.split
    if count == available and not fraction:
        return Splits(data.train, own, data.test)
    order = np.random.default_rng([recipe.seed, available]).permutation(available)[:count]
    held_out = round(fraction * count)
    if fraction and not 1 <= held_out < count:
        raise RecipeError(
            f"validation_split {recipe.validation.split} of {count} images leaves {held_out} to validate with "
            f"and {count - held_out} to train with. Change --validation-split or --limit."
        )
    validation = data.train.take(order[:held_out]) if held_out else own
    return Splits(data.train.take(order[held_out:]), validation, data.test)


class Session:
    """A model on a device with its data, set up by a recipe; `train` runs it and benchmarks time it.

    Args:
        spec: the model's; a plugin's builder is called behind its guard.
        recipe: how to train.
        placement: device, precision and threads.
        data: the data to train and test on.
        limit: number of training images, taken from a seeded shuffle.
        network: the user's own ``keras.Model``, instead of the spec's.
        keep_scaling: scale images as the recipe says, even if the user's own network scales them itself.

    Raises:
        ZooError: recipe, model and data do not fit together.
    """

    def __init__(
        self,
        spec: ModelSpec,
        recipe: Recipe,
        placement: Placement,
        data: Dataset,
        *,
        limit: int | None = None,
        network: Any = None,
        keep_scaling: bool = False,
    ) -> None:
        self.placement = placement
        self.cautions: tuple[str, ...] = ()
        self.history: list[dict[str, float]] = []
        self.timing: dict[str, float] = {"train_s": 0.0}
        self.epoch, self.totals = 0, Totals()  # finished epochs; the sums of the current one
        self.learning_rate = 0.0  # at the start of the current epoch
        self._stopped = False  # a callback had stopped training when the checkpoint was written
        self.device = tf.device(placement.tensorflow_device)
        began = time.perf_counter()
        self.splits = split(data, recipe, limit)
        self.timing["data_s"] = time.perf_counter() - began
        task = task_of(spec)
        train, test = _examples(self.splits.train, data, task), _examples(self.splits.test, data, task)
        validation = self.splits.validation
        num_classes = len(task.output_names(data.class_names))
        keras.utils.set_random_seed(recipe.seed)
        with self.device:
            self.held_out = Resident(_examples(validation, data, task)) if validation else None
            self.test = Resident(test)
            if isinstance(network, keras.Model):
                own = adopt(network, recipe, data, keep_scaling=keep_scaling)
                network, recipe, self.cautions = own.network, own.recipe, own.cautions
            else:
                check_model_options(recipe)
                network = registry.build(
                    spec,
                    input_shape=data.image_shape,
                    num_classes=num_classes,
                    precision=recipe.execution.precision,
                    **recipe.model.options,
                )
            self.recipe = recipe
            learner = with_scaling(network, recipe, train.images, name=spec.name)
            self.model = with_one_output(learner)
            task = task.for_training(recipe, train.targets, num_classes, image_shape=data.image_shape, model=spec.name)
            feed = make_feed(train, recipe)
            steps = -(-feed.examples // feed.batch_size)
            self.optimizer = make_optimizer(recipe, total_steps=steps * recipe.schedule.epochs)
            self.optimizer.build(learner.trainable_variables)
            self.loop = CompiledLoop(learner, self.optimizer, task, recipe, feed, placement)

    def fit(
        self,
        callbacks: list[keras.callbacks.Callback],
        *,
        show: bool,
        keep: Callable[[Session], None] | None = None,
        states: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Train the remaining epochs with Keras callbacks, and record their history.

        Args:
            callbacks: called for every epoch; a compiled call of several steps counts as one batch.
            show: show progress.
            keep: called before the first epoch, after each, and on Ctrl-C, to write a checkpoint.
            states: the callbacks' states, when resuming from a checkpoint.

        Raises:
            TrainingInterrupted: on Ctrl-C, after `keep`.
        """
        with self.device, Interruption() as interruption:
            self.timing["first_call_s"] = self.timing.get("first_call_s", 0.0) + self.loop.warm_up()
            self._compile_for_callbacks()
            progress = Progress(self.loop.feed.examples) if show else None
            watchers = self._watchers([*callbacks, *([progress] if progress else [])])
            try:
                watchers.on_train_begin()
                if states:
                    restore_states(callbacks, states)
                if keep:
                    keep(self)
                while self.epoch < self.recipe.schedule.epochs and not (self.model.stop_training and self.history):
                    self._run_epoch(watchers, interruption)
                    if keep:
                        keep(self)
                    if interruption.requested:
                        raise TrainingInterrupted
                swap_averages(self.optimizer)
                watchers.on_train_end(self.history[-1])
            finally:
                if progress:
                    progress.close()
            self.timing["images_per_s"] = self.timing.pop("images") / self.timing["train_s"]

    def _run_epoch(self, watchers: keras.callbacks.CallbackList, interruption: Interruption) -> None:
        """Train one epoch, or the rest of it, and evaluate the validation images."""
        watchers.on_epoch_begin(self.epoch)
        if not self.totals.steps:
            self.learning_rate = float(self.optimizer.learning_rate)
        seconds, images = self._train_steps(watchers, interruption)
        if interruption.requested and self.totals.steps < self.loop.steps:
            return
        logs = self.totals.logs()
        swap_averages(self.optimizer)  # validation and callbacks see the averages
        if self.recipe.validates:
            logs |= self.loop.evaluate(self.test if self.held_out is None else self.held_out).logs("val_")
        logs |= {"learning_rate": self.learning_rate, "seconds": seconds, "images_per_s": images / seconds}
        self.history.append({"epoch": self.epoch + 1, **logs})
        watchers.on_epoch_end(self.epoch, logs)
        swap_averages(self.optimizer)
        self.epoch, self.totals = self.epoch + 1, Totals()

    def _train_steps(self, watchers: keras.callbacks.CallbackList, interruption: Interruption) -> tuple[float, int]:
        """Train to the end of the epoch; return the seconds and the number of images since it started or resumed."""
        self.loop.feed.begin(self.epoch, self.totals.steps)
        first = self.totals.examples
        synchronize()
        began = time.perf_counter()
        stopped = False
        while self.totals.steps < self.loop.steps and not stopped:
            watchers.on_train_batch_begin(self.totals.steps)
            self.totals = self.loop.advance(self.totals, epoch=self.epoch)
            elapsed = time.perf_counter() - began
            speed = (self.totals.examples - first) / elapsed
            live = {**self.totals.logs(), "examples": self.totals.examples, "images_per_s": speed}
            watchers.on_train_batch_end(self.totals.steps - 1, live)
            stopped = self.model.stop_training or interruption.requested
        synchronize()
        seconds, images = time.perf_counter() - began, self.totals.examples - first
        self.timing["train_s"] += seconds
        self.timing["images"] = self.timing.get("images", 0) + images
        return seconds, images

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore a checkpoint; call it before `fit`."""
        with self.device:
            checkpoint.restore(self.loop.variables)
        self.epoch, self.totals = checkpoint.epoch, Totals(**checkpoint.totals)
        self.learning_rate = checkpoint.learning_rate
        self.history, self.timing = [dict(row) for row in checkpoint.history], dict(checkpoint.timing)
        self._stopped = checkpoint.stopped

    def checkpoint(self, document: RunDocument, callbacks: Sequence[keras.callbacks.Callback]) -> Checkpoint:
        """Return the current state of the training."""
        names, values = names_and_values(self.loop.variables)
        return Checkpoint(
            document=document,
            epoch=self.epoch,
            totals=dataclasses.asdict(self.totals),
            learning_rate=self.learning_rate,
            stopped=self.model.stop_training,
            history=self.history,
            timing=self.timing,
            variables=values,
            names=names,
            states=states_of(callbacks),
        )

    def finished(self) -> keras.Model:
        """Return the model as it is saved and evaluated: in float32, with the current weights.

        A model trained in float32 is returned itself, any other as a copy, which is built once.
        """
        with self.device:
            finished = self._in_float32
            if finished is not self.model:
                finished.set_weights(self.model.get_weights())
        return finished

    @functools.cached_property
    def _in_float32(self) -> keras.Model:
        return in_float32(self.model, tf.cast(self.test.images[:1], tf.float32))

    def measure(self) -> dict[str, float]:
        """Evaluate the finished model on the validation images, if any, and on the test set."""
        metrics: dict[str, float] = {}
        began = time.perf_counter()
        model, evaluate = self.finished(), self.loop.evaluate
        with self.device:
            if model is not self.model:
                evaluate = CompiledEvaluation(model, evaluate.task, evaluate.micro_batches)
            if self.held_out is not None:
                metrics |= evaluate(self.held_out).logs("validation_")
            metrics |= evaluate(self.test).logs("test_")
            more = self.loop.task.measure(_targets_and_outputs(model, self.test, self.loop.task.batch))
            metrics |= {f"test_{name}": value for name, value in more.items()}
        self.timing["evaluate_s"] = time.perf_counter() - began
        return metrics

    def _watchers(self, callbacks: Sequence[keras.callbacks.Callback]) -> keras.callbacks.CallbackList:
        """Return Keras' callback list; its model knows if a callback had already stopped the training."""
        watchers = keras.callbacks.CallbackList(
            list(callbacks), model=self.model, epochs=self.recipe.schedule.epochs, steps=self.loop.steps, verbose=0
        )
        self.model.stop_training = self._stopped
        return watchers

    def _compile_for_callbacks(self) -> None:
        """Compile the model, as callbacks expect, and build its metrics."""
        self.model.compile(
            optimizer=self.optimizer,
            loss=self.loop.task.keras_loss(),
            metrics=self.loop.task.keras_metrics(),
            auto_scale_loss=False,
        )
        image = self.test.images[:1]
        self.model.compute_metrics(image, self.test.targets[:1], forward(self.model, image))
        self.model.reset_metrics()


def _examples(split: Split, data: Dataset, task: Task) -> Examples:
    return Examples(split.images, task.targets(data, split))


def _targets_and_outputs(model: keras.Model, examples: Resident, batch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield targets and outputs, batch by batch."""
    first = 0
    for outputs in ForwardPass(model, examples.images.shape[1:]).over(examples.images, batch):
        yield examples.targets[first : first + len(outputs)].numpy(), outputs
        first += len(outputs)


def check_model_options(recipe: Recipe) -> None:
    """Raise `RecipeError` for a model option that a recipe cannot set."""
    if recipe.model.options.get("features") is True:
        raise RecipeError("with features=True a model returns maps, not classes: it cannot be trained. Remove it.")
    for name in ("input_shape", "num_classes", "precision", "spec"):
        if name in recipe.model.options:
            raise RecipeError(
                f"'{name}' is no model option of a recipe: it follows from the dataset and the precision. Remove it."
            )


def with_scaling(network: keras.Model, recipe: Recipe, images: np.ndarray, *, name: str) -> keras.Model:
    """Put the recipe's scaling in front of a network, so that the saved model takes raw 0..255 images."""
    if recipe.data.scaling == "none":
        return network
    if recipe.data.scaling == "unit":
        scaling = keras.layers.Rescaling(1 / 255, dtype="float32", name="scaling")
    else:
        pixels = images[:10_000].astype("float32")
        scaling = keras.layers.Normalization(
            axis=None, mean=float(pixels.mean()), variance=float(pixels.var()), dtype="float32", name="scaling"
        )
    inputs = keras.Input(images.shape[1:], name="image")
    return keras.Model(inputs, network(scaling(inputs)), name=name.replace("/", "-"))  # Keras refuses the slash


def with_one_output(learner: keras.Model) -> keras.Model:
    """Return the model without its auxiliary outputs, which only training needs."""
    if len(learner.outputs) == 1:
        return learner
    return keras.Model(learner.inputs, learner.outputs[0], name=learner.name)
