"""The hot loop: whole stretches of an epoch as one compiled call over data that stays on the device.

Python is asked for a next step only once per chunk, a few times a second, so callbacks, progress and Ctrl-C
live while the steps between them cost nothing but arithmetic. Images stay uint8 until a batch is used.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from zoo.recipe import Recipe
from zoo.tasks.classification import Classification
from zoo.training.augmentation import augment
from zoo.training.devices import synchronize
from zoo.training.feeds import Feed, Resident
from zoo.training.kernels import fast_kernels

SECONDS_PER_CHUNK = 0.25  # how long the compiled loop keeps the host waiting
EVALUATION_BATCH = 500


@dataclass(frozen=True)
class Totals:
    """Sums over the examples so far."""

    loss: float = 0.0
    correct: int = 0
    examples: int = 0
    steps: int = 0

    def logs(self, prefix: str = "") -> dict[str, float]:
        """Return the means under the names that Keras' callbacks know."""
        return {f"{prefix}loss": self.loss / self.examples, f"{prefix}accuracy": self.correct / self.examples}


class CompiledEvaluation:
    """Sums a model's loss and hits over a split, by compiled calls and without training.

    Args:
        model: takes raw images (N, H, W, C) and ends in float32 logits.
        task: scores the logits.
    """

    def __init__(self, model: keras.Model, task: Classification) -> None:
        self.model, self.task = model, task
        self._score: Any = None

    def __call__(self, data: Resident) -> Totals:
        self.compile(data.images.shape[1:])
        loss, correct = 0.0, 0
        for start in range(0, len(data), EVALUATION_BATCH):
            rows = slice(start, start + EVALUATION_BATCH)
            batch_loss, batch_correct = self._score(data.images[rows], data.labels[rows])
            loss, correct = loss + float(batch_loss), correct + int(batch_correct)
        return Totals(loss, correct, len(data))

    def compile(self, image_shape: Sequence[int]) -> None:
        """Trace the evaluation of one batch of any size, once."""
        if self._score is None:
            self._score = tf.function(self._score_batch, autograph=False).get_concrete_function(
                tf.TensorSpec((None, *image_shape), tf.uint8), tf.TensorSpec((None,), tf.int64)
            )

    def _score_batch(self, pixels: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        logits = self.model(tf.cast(pixels, tf.float32), training=False)
        return tf.reduce_sum(self.task.loss(labels, logits)), self.task.count_correct(labels, logits)


class CompiledLoop:
    """Trains and evaluates one model by compiled calls.

    Args:
        model: takes raw images (N, H, W, C) and ends in float32 logits.
        optimizer: built on the model's trainable variables.
        task: scores the logits.
        recipe: its augmentation and `seed` are read.
        feed: where the images come from.
        xla: compile the step by XLA.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        task: Classification,
        recipe: Recipe,
        feed: Feed,
        *,
        xla: bool,
    ) -> None:
        self.model, self.optimizer, self.task, self.recipe, self.feed = model, optimizer, task, recipe, feed
        self.xla = xla
        self.steps = -(-feed.examples // feed.batch_size)  # of an epoch
        self._seconds_per_step = 0.0
        self._step = tf.function(self._train_step, jit_compile=True) if xla else self._train_step
        self._compiled: dict[int, Any] = {}
        self.evaluate = CompiledEvaluation(model, task.plain())

    @property
    def variables(self) -> list[keras.Variable]:
        """Everything that training changes: weights, seeds of dropout, statistics, the optimizer's own."""
        return list({id(v): v for v in [*self.model.variables, *self.optimizer.variables]}.values())

    def warm_up(self) -> float:
        """Trace, compile and run every step shape once, put all variables back, and return the seconds it took."""
        started = time.perf_counter()
        before = [tf.identity(variable.value) for variable in self.variables]
        short = self.feed.examples % self.feed.batch_size
        self.feed.begin(0)
        self.run(Totals(), 1, first_step=0)
        if short and self.steps > 1:
            self.feed.begin(0, self.steps - 1)
            self.run(Totals(steps=self.steps - 1, examples=self.feed.examples - short), 1, first_step=0)
        self.evaluate.compile(self.feed.image_shape)
        for variable, value in zip(self.variables, before, strict=True):
            variable.assign(value)
        synchronize()
        return time.perf_counter() - started

    def advance(self, done: Totals, *, epoch: int) -> Totals:
        """Train the next stretch of an epoch, about `SECONDS_PER_CHUNK` long, and return the sums with it.

        How many steps that is, is learned from the stretch before, so the first is a single one. The sums do not
        depend on where an epoch is cut.

        Args:
            done: the sums of this epoch so far; `done.steps` is where it goes on.
            epoch: counted from 0.
        """
        wanted = round(SECONDS_PER_CHUNK / self._seconds_per_step) if self._seconds_per_step else 1
        steps = min(max(1, wanted), self.steps - done.steps)
        if self.xla and self._is_short(done.steps + steps - 1) and steps > 1:
            steps -= 1  # XLA compiles one shape at a time: the short batch at the end goes alone
        began = time.perf_counter()
        totals = self.run(done, steps, first_step=epoch * self.steps + done.steps)
        self._seconds_per_step = (time.perf_counter() - began) / steps
        return totals

    def _is_short(self, step: int) -> bool:
        return (step + 1) * self.feed.batch_size > self.feed.examples

    def run(self, done: Totals, steps: int, *, first_step: int) -> Totals:
        """Train `steps` steps; reading the sums back waits for the device."""
        last = min((done.steps + steps) * self.feed.batch_size, self.feed.examples)
        batch = min(self.feed.batch_size, last - done.examples) if self.xla else self.feed.batch_size
        loss, correct = self._chunk_function(batch)(
            tf.constant(done.loss, tf.float64),
            tf.constant(done.correct),
            tf.constant(first_step),
            tf.constant(steps),
            *self.feed.arguments(steps),
        )
        return Totals(float(loss), int(correct), last, done.steps + steps)

    def _chunk_function(self, batch: int) -> Any:
        """Return the compiled loop for one batch size, whatever the number of steps."""
        if batch not in self._compiled:
            chunk = tf.function(lambda *arguments: self._train_chunk(*arguments, batch=batch), autograph=False)
            scalar = tf.TensorSpec((), tf.int32)
            self._compiled[batch] = chunk.get_concrete_function(
                tf.TensorSpec((), tf.float64), scalar, scalar, scalar, *self.feed.signature
            )
        return self._compiled[batch]

    def _train_chunk(
        self, loss: tf.Tensor, correct: tf.Tensor, first_step: tf.Tensor, steps: tf.Tensor, *drawn: Any, batch: int
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Loop over the steps inside the graph; an epoch's last batch may be short unless XLA compiles it."""

        def body(step: tf.Tensor, loss: tf.Tensor, correct: tf.Tensor) -> tuple[tf.Tensor, ...]:
            pixels, labels = self.feed.draw(drawn, step)
            if self.xla:
                pixels, labels = tf.ensure_shape(pixels, (batch, *pixels.shape[1:])), tf.ensure_shape(labels, (batch,))
            pixels = augment(pixels, first_step + step, self.recipe)
            batch_loss, batch_correct = self._step(pixels, labels)
            return step + 1, loss + tf.cast(batch_loss, tf.float64), correct + batch_correct

        return tf.while_loop(lambda step, *_: step < steps, body, (tf.constant(0), loss, correct))[1:]

    def _train_step(self, pixels: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """One gradient step; returns the batch's summed loss and its hits."""
        variables = self.model.trainable_variables
        with fast_kernels(self.model), tf.GradientTape() as tape:
            logits = self.model(tf.cast(pixels, tf.float32), training=True)
            losses = self.task.loss(labels, logits)
            objective = tf.reduce_mean(losses)
            if self.model.losses:  # weight regularisation, where a model asks for it
                objective += tf.add_n(self.model.losses)
            scaled = self.optimizer.scale_loss(objective)
        gradients = tape.gradient(scaled, [variable.value for variable in variables])
        self.optimizer.apply(gradients, variables)
        return tf.reduce_sum(losses), self.task.count_correct(labels, logits)
