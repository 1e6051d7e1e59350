"""The hot loop: whole stretches of an epoch as one compiled call over data that stays on the device.

Python is asked for a next step only once per chunk, a few times a second, so callbacks, progress and Ctrl-C
live while the steps between them cost nothing but arithmetic. Images stay uint8 until a batch is used.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.data import Split
from zoo.spec import Recipe
from zoo.tasks.classification import Classification
from zoo.training.devices import synchronize

SECONDS_PER_CHUNK = 0.25  # how long the compiled loop keeps the host waiting
EVALUATION_BATCH = 500


@dataclass(frozen=True)
class Totals:
    """Sums over examples; they add up across chunks."""

    loss: float = 0.0
    correct: int = 0
    examples: int = 0
    steps: int = 0

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            self.loss + other.loss,
            self.correct + other.correct,
            self.examples + other.examples,
            self.steps + other.steps,
        )

    def logs(self, prefix: str = "") -> dict[str, float]:
        """Return the means under the names that Keras' callbacks know."""
        return {f"{prefix}loss": self.loss / self.examples, f"{prefix}accuracy": self.correct / self.examples}


class Resident:
    """A split's images (uint8) and labels, held on the device for the length of a run."""

    def __init__(self, split: Split) -> None:
        self.images = tf.constant(np.ascontiguousarray(split.images))
        self.labels = tf.constant(np.ascontiguousarray(split.labels))

    def __len__(self) -> int:
        return int(self.images.shape[0])


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
        self.compile(data)
        loss, correct = 0.0, 0
        for start in range(0, len(data), EVALUATION_BATCH):
            rows = slice(start, start + EVALUATION_BATCH)
            batch_loss, batch_correct = self._score(data.images[rows], data.labels[rows])
            loss, correct = loss + float(batch_loss), correct + int(batch_correct)
        return Totals(loss, correct, len(data))

    def compile(self, data: Resident) -> None:
        """Trace the evaluation of one batch of any size, once."""
        if self._score is None:
            self._score = tf.function(self._score_batch, autograph=False).get_concrete_function(
                tf.TensorSpec((None, *data.images.shape[1:]), tf.uint8), tf.TensorSpec((None,), tf.int64)
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
        recipe: `batch_size`, `shift` and `seed` are read.
        xla: compile the step by XLA.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        task: Classification,
        recipe: Recipe,
        *,
        xla: bool,
    ) -> None:
        self.model, self.optimizer, self.task, self.recipe, self.xla = model, optimizer, task, recipe, xla
        self._seconds_per_step = 0.0
        self._step = tf.function(self._train_step, jit_compile=True) if xla else self._train_step
        self._compiled: dict[int, Any] = {}
        self.evaluate = CompiledEvaluation(model, task.plain())

    def warm_up(self, data: Resident, *, examples: int) -> float:
        """Trace, compile and run every step shape once, put all variables back, and return the seconds it took.

        Args:
            examples: of an epoch; its last batch may have a shape of its own.
        """
        started = time.perf_counter()
        variables = [v.value for v in {id(v): v for v in self.model.variables + self.optimizer.variables}.values()]
        before = [tf.identity(variable) for variable in variables]
        sizes = {min(self.recipe.batch_size, examples), examples % self.recipe.batch_size} - {0}
        for size in sizes:
            self._run(data, np.arange(size, dtype=np.int32), first_step=0)
        self.evaluate.compile(data)
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
        synchronize()
        return time.perf_counter() - started

    def chunks(self, order: np.ndarray) -> Iterator[np.ndarray]:
        """Cut an epoch's order into stretches of whole batches, each about `SECONDS_PER_CHUNK` long.

        How long a stretch may be is learned from the one before, so the first is a single step.
        """
        start = 0
        while start < len(order):
            steps = round(SECONDS_PER_CHUNK / self._seconds_per_step) if self._seconds_per_step else 1
            stop = start + self.recipe.batch_size * max(1, steps)
            yield order[start:stop]
            start = stop

    def train(self, data: Resident, order: np.ndarray, *, first_step: int) -> Totals:
        """Train over `order` (indices into `data`) in one compiled call; `first_step` numbers its first batch."""
        began = time.perf_counter()
        totals = self._run(data, order, first_step=first_step)
        self._seconds_per_step = (time.perf_counter() - began) / totals.steps
        return totals

    def _run(self, data: Resident, order: np.ndarray, *, first_step: int) -> Totals:
        """Train over `order`; reading the sums back waits for the device."""
        batch = self.recipe.batch_size
        whole = len(order) // batch * batch
        if self.xla and 0 < whole < len(order):  # XLA compiles one shape at a time
            head = self._run(data, order[:whole], first_step=first_step)
            return head + self._run(data, order[whole:], first_step=first_step + head.steps)
        steps = -(-len(order) // batch)
        run = self._chunk_function(data, min(batch, len(order)) if self.xla else batch)
        loss, correct = run(data.images, data.labels, tf.constant(order), tf.constant(first_step))
        return Totals(float(loss), int(correct), len(order), steps)

    def _chunk_function(self, data: Resident, batch: int) -> Any:
        """Return the compiled loop for one batch size, whatever the number of steps."""
        if batch not in self._compiled:
            chunk = tf.function(lambda *arguments: self._train_chunk(*arguments, batch=batch), autograph=False)
            self._compiled[batch] = chunk.get_concrete_function(
                tf.TensorSpec(data.images.shape, tf.uint8),
                tf.TensorSpec(data.labels.shape, tf.int64),
                tf.TensorSpec((None,), tf.int32),
                tf.TensorSpec((), tf.int32),
            )
        return self._compiled[batch]

    def _train_chunk(
        self, images: tf.Tensor, labels: tf.Tensor, order: tf.Tensor, first_step: tf.Tensor, *, batch: int
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Loop over the batches of `order` inside the graph; the last may be short unless XLA compiles it."""
        steps = -(-tf.shape(order)[0] // batch)

        def body(step: tf.Tensor, loss: tf.Tensor, correct: tf.Tensor) -> tuple[tf.Tensor, ...]:
            start = step * batch
            rows = tf.slice(order, [start], [batch]) if self.xla else order[start : start + batch]
            pixels = self._augment(tf.gather(images, rows), first_step + step)
            batch_loss, batch_correct = self._step(pixels, tf.gather(labels, rows))
            return step + 1, loss + tf.cast(batch_loss, tf.float64), correct + batch_correct

        start = (tf.constant(0), tf.constant(0.0, tf.float64), tf.constant(0))
        return tf.while_loop(lambda step, *_: step < steps, body, start)[1:]

    def _train_step(self, pixels: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """One gradient step; returns the batch's summed loss and its hits."""
        variables = self.model.trainable_variables
        with tf.GradientTape() as tape:
            logits = self.model(tf.cast(pixels, tf.float32), training=True)
            losses = self.task.loss(labels, logits)
            objective = tf.reduce_mean(losses)
            if self.model.losses:  # weight regularisation, where a model asks for it
                objective += tf.add_n(self.model.losses)
            scaled = self.optimizer.scale_loss(objective)
        gradients = tape.gradient(scaled, [variable.value for variable in variables])
        self.optimizer.apply(gradients, variables)
        return tf.reduce_sum(losses), self.task.count_correct(labels, logits)

    def _augment(self, pixels: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        """Move the whole batch by a few pixels, filling with black; which way follows from seed and step."""
        reach = self.recipe.shift
        if not reach:
            return pixels
        offset = tf.random.stateless_uniform([2], [self.recipe.seed, step], 0, 2 * reach + 1, tf.int32)
        padded = tf.pad(pixels, [[0, 0], [reach, reach], [reach, reach], [0, 0]])
        height, width, channels = pixels.shape[1:]
        return tf.slice(padded, [0, offset[0], offset[1], 0], [-1, height, width, channels])


def shuffled(examples: int, recipe: Recipe, epoch: int) -> np.ndarray:
    """Return the order of an epoch's examples: a function of seed and epoch, with no state between."""
    if not recipe.shuffle:
        return np.arange(examples, dtype=np.int32)
    return np.random.default_rng([recipe.seed, epoch]).permutation(examples).astype(np.int32)
