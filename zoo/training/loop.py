"""The compiled training loop: many steps per execution, without returning to Python in between.

Control returns to Python a few times a second, so that callbacks, progress and Ctrl-C work, and the steps in between
have no Python overhead. Images stay uint8 until their batch is used.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from zoo.inference import CompiledEvaluation, Totals
from zoo.spec.recipe import Recipe
from zoo.tasks import Task
from zoo.training.augmentation import augment
from zoo.training.devices import Placement, synchronize
from zoo.training.input_pipeline import Feed
from zoo.training.kernels import fast_kernels
from zoo.training.micro_batches import micro_batches_of

SECONDS_PER_CALL = 0.25  # target duration of one compiled call


class CompiledLoop:
    """Trains and evaluates one model with compiled calls.

    Args:
        model: takes raw images (N, H, W, C).
        optimizer: built on the model's trainable variables.
        task: its loss and its number of hits.
        recipe: its `augmentation`, `execution` and `seed` are read.
        feed: the source of training batches.
        placement: whether XLA compiles the step, and how many operations run in parallel.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        task: Task,
        recipe: Recipe,
        feed: Feed,
        placement: Placement,
    ) -> None:
        self.model, self.optimizer, self.task, self.recipe, self.feed = model, optimizer, task, recipe, feed
        self.steps = -(-feed.examples // feed.batch_size)  # per epoch
        self.micro_batches = micro_batches_of(model, recipe, placement.side_by_side)
        self._seconds_per_step = 0.0
        self._step = tf.function(self._train_step, jit_compile=True) if placement.xla else self._train_step
        self._compiled: dict[int, Any] = {}
        self.evaluate = CompiledEvaluation(model, task.for_evaluation(), placement.side_by_side)

    @property
    def variables(self) -> list[keras.Variable]:
        """Everything that training changes: weights, dropout seeds, statistics and the optimizer's variables."""
        return list({id(v): v for v in [*self.model.variables, *self.optimizer.variables]}.values())

    def warm_up(self) -> float:
        """Trace, compile and run every batch size once, restore all variables, and return the seconds it took."""
        started = time.perf_counter()
        before = [tf.identity(variable.value) for variable in self.variables]
        self.feed.begin(0)
        self.run(Totals(), 1, first_step=0)
        if self._is_short(self.steps - 1) and self.steps > 1:
            self.feed.begin(0, self.steps - 1)
            done = Totals(steps=self.steps - 1, examples=(self.steps - 1) * self.feed.batch_size)
            self.run(done, 1, first_step=0)
        # Without validation, a model in another precision is evaluated only as a float32 copy.
        if self.recipe.validates or self.recipe.execution.precision == "float32":
            self.evaluate.compile(self.feed.image_shape, self.feed.targets)
        for variable, value in zip(self.variables, before, strict=True):
            variable.assign(value)
        synchronize()
        return time.perf_counter() - started

    def advance(self, done: Totals, *, epoch: int) -> Totals:
        """Train as many of the next steps as take about `SECONDS_PER_CALL`, and return the epoch's updated sums.

        Their number follows from the time of the previous call; the first call trains one step. The sums do not
        depend on how an epoch is divided into calls.

        Args:
            done: the sums of this epoch so far; training continues after `done.steps` steps.
            epoch: counted from 0.
        """
        wanted = round(SECONDS_PER_CALL / self._seconds_per_step) if self._seconds_per_step else 1
        steps = min(max(1, wanted), self.steps - done.steps)
        began = time.perf_counter()
        totals = self.run(done, steps, first_step=epoch * self.steps + done.steps)
        self._seconds_per_step = (time.perf_counter() - began) / steps
        return totals

    def _is_short(self, step: int) -> bool:
        return (step + 1) * self.feed.batch_size > self.feed.examples

    def run(self, done: Totals, steps: int, *, first_step: int) -> Totals:
        """Train `steps` steps and wait for the device.

        The batch size is a constant of the compiled loop, so a smaller last batch of an epoch gets its own call.
        """
        if self._is_short(done.steps + steps - 1) and steps > 1:
            done = self.run(done, steps - 1, first_step=first_step)
            steps, first_step = 1, first_step + steps - 1
        last = min((done.steps + steps) * self.feed.batch_size, self.feed.examples)
        loss, correct = self._compiled_steps((last - done.examples) // steps)(
            tf.constant(done.loss, tf.float64),
            tf.cast(done.correct, self.task.counts_in),
            tf.constant(first_step),
            tf.constant(steps),
            *self.feed.arguments(steps),
        )
        return Totals(float(loss), float(correct), last, done.steps + steps)

    def _compiled_steps(self, batch: int) -> Any:
        """Return the compiled loop for one batch size and any number of steps."""
        if batch not in self._compiled:
            steps = tf.function(lambda *arguments: self._train_steps(*arguments, batch=batch), autograph=False)
            number = tf.TensorSpec((), tf.int32)
            sums = tf.TensorSpec((), tf.float64), tf.TensorSpec((), self.task.counts_in)
            self._compiled[batch] = steps.get_concrete_function(*sums, number, number, *self.feed.signature)
        return self._compiled[batch]

    def _train_steps(
        self, loss: tf.Tensor, correct: tf.Tensor, first_step: tf.Tensor, steps: tf.Tensor, *drawn: Any, batch: int
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Loop over the steps inside the graph."""

        def body(step: tf.Tensor, loss: tf.Tensor, correct: tf.Tensor) -> tuple[tf.Tensor, ...]:
            pixels, targets = self.feed.draw(drawn, step, batch)
            pixels, targets = (tf.ensure_shape(each, (batch, *each.shape[1:])) for each in (pixels, targets))
            pixels = augment(pixels, first_step + step, self.recipe)
            batch_loss, batch_correct = self._step(pixels, targets)
            return step + 1, loss + tf.cast(batch_loss, tf.float64), correct + batch_correct

        return tf.while_loop(lambda step, *_: step < steps, body, (tf.constant(0), loss, correct))[1:]

    def _train_step(self, pixels: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Run one gradient step and return the batch's summed loss and its number of hits."""
        batch, variables = targets.shape[0], self.model.trainable_variables
        count = min(self.micro_batches, batch)
        sizes = [batch * (number + 1) // count - batch * number // count for number in range(count)]
        micro_batches = zip(_split(pixels, sizes), _split(targets, sizes), strict=True)
        results = [self._gradients(*each, batch, first=number == 0) for number, each in enumerate(micro_batches)]
        gradients, losses, correct = zip(*results, strict=True)
        self.optimizer.apply([_sum(each) for each in zip(*gradients, strict=True)], variables)
        return tf.add_n(losses), tf.add_n(correct)

    def _gradients(
        self, pixels: tf.Tensor, targets: tf.Tensor, batch: int, *, first: bool
    ) -> tuple[list[tf.Tensor | None], tf.Tensor, tf.Tensor]:
        """Return a micro-batch's contribution to the gradients of the mean loss, its summed loss and its hits."""
        with fast_kernels(self.model), tf.GradientTape() as tape:
            outputs = self.model(tf.cast(pixels, tf.float32), training=True)
            loss = tf.reduce_sum(self.task.loss(targets, outputs))
            objective = loss / batch
            if self.model.losses and first:  # weight regularisation counts once per batch
                objective += tf.add_n(self.model.losses)
            scaled = self.optimizer.scale_loss(objective)
        gradients = tape.gradient(scaled, [variable.value for variable in self.model.trainable_variables])
        return gradients, loss, self.task.count_correct(targets, outputs)


def _split(values: tf.Tensor, sizes: Sequence[int]) -> list[tf.Tensor]:
    """Split a batch into micro-batches. One is returned as it is: a GPU has no kernel to split integers."""
    return [values] if len(sizes) == 1 else tf.split(values, sizes)


def _sum(gradients: Sequence[tf.Tensor | None]) -> tf.Tensor | None:
    """Add up one variable's gradients; None for a variable that the loss does not depend on."""
    return gradients[0] if len(gradients) == 1 or gradients[0] is None else tf.add_n(gradients)
