"""The hot loop: many steps of an epoch in one compiled call, over data that stays on the device.

Python is asked for a next step only once per call, a few times a second, so callbacks, progress and Ctrl-C
live while the steps between them cost nothing but arithmetic. Images stay uint8 until a batch is used.
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
from zoo.training.shares import shares_of

SECONDS_PER_CALL = 0.25  # how long the compiled loop keeps the host waiting


class CompiledLoop:
    """Trains and evaluates one model by compiled calls.

    Args:
        model: takes raw images (N, H, W, C).
        optimizer: built on the model's trainable variables.
        task: scores its outputs.
        recipe: its augmentation, `shares` and `seed` are read.
        feed: where the images come from.
        placement: whether XLA compiles the step, and how many operations the cores can work on at once.
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
        self.steps = -(-feed.examples // feed.batch_size)  # of an epoch
        self.shares = shares_of(model, recipe, placement.side_by_side)
        self._seconds_per_step = 0.0
        self._step = tf.function(self._train_step, jit_compile=True) if placement.xla else self._train_step
        self._compiled: dict[int, Any] = {}
        self.evaluate = CompiledEvaluation(model, task.for_evaluation(), placement.side_by_side)

    @property
    def variables(self) -> list[keras.Variable]:
        """Everything that training changes: weights, seeds of dropout, statistics, the optimizer's own."""
        return list({id(v): v for v in [*self.model.variables, *self.optimizer.variables]}.values())

    def warm_up(self) -> float:
        """Trace, compile and run every step shape once, put all variables back, and return the seconds it took."""
        started = time.perf_counter()
        before = [tf.identity(variable.value) for variable in self.variables]
        self.feed.begin(0)
        self.run(Totals(), 1, first_step=0)
        if self._is_short(self.steps - 1) and self.steps > 1:
            self.feed.begin(0, self.steps - 1)
            done = Totals(steps=self.steps - 1, examples=(self.steps - 1) * self.feed.batch_size)
            self.run(done, 1, first_step=0)
        if (
            self.recipe.validates or self.recipe.execution.precision == "float32"
        ):  # else only a copy in float32 is measured
            self.evaluate.compile(self.feed.image_shape, self.feed.targets)
        for variable, value in zip(self.variables, before, strict=True):
            variable.assign(value)
        synchronize()
        return time.perf_counter() - started

    def advance(self, done: Totals, *, epoch: int) -> Totals:
        """Train the next steps of an epoch, as many as take about `SECONDS_PER_CALL`, and return the sums with them.

        How many that are is learned from the call before, so the first is a single one. The sums do not
        depend on where an epoch is cut.

        Args:
            done: the sums of this epoch so far; `done.steps` is where it goes on.
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
        """Train `steps` steps; reading the sums back waits for the device.

        A batch's size is a constant of the compiled loop, so the short one at an epoch's end goes alone.
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
        """Return the compiled loop for one batch size, whatever the number of steps."""
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
        """One gradient step; returns the batch's summed loss and its hits."""
        batch, variables = targets.shape[0], self.model.trainable_variables
        shares = min(self.shares, batch)
        sizes = [batch * (number + 1) // shares - batch * number // shares for number in range(shares)]
        parts = zip(_split(pixels, sizes), _split(targets, sizes), strict=True)
        results = [self._gradients(*part, batch, first=number == 0) for number, part in enumerate(parts)]
        gradients, losses, correct = zip(*results, strict=True)
        self.optimizer.apply([_sum(each) for each in zip(*gradients, strict=True)], variables)
        return tf.add_n(losses), tf.add_n(correct)

    def _gradients(
        self, pixels: tf.Tensor, targets: tf.Tensor, batch: int, *, first: bool
    ) -> tuple[list[tf.Tensor | None], tf.Tensor, tf.Tensor]:
        """Return what a share of a batch adds to the gradients of the mean loss, and its summed loss and hits."""
        with fast_kernels(self.model), tf.GradientTape() as tape:
            outputs = self.model(tf.cast(pixels, tf.float32), training=True)
            loss = tf.reduce_sum(self.task.loss(targets, outputs))
            objective = loss / batch
            if self.model.losses and first:  # weight regularisation, where a model asks for it, once per batch
                objective += tf.add_n(self.model.losses)
            scaled = self.optimizer.scale_loss(objective)
        gradients = tape.gradient(scaled, [variable.value for variable in self.model.trainable_variables])
        return gradients, loss, self.task.count_correct(targets, outputs)


def _split(values: tf.Tensor, sizes: Sequence[int]) -> list[tf.Tensor]:
    """Cut a batch into parts; the whole is no cut, which a GPU has no kernel for where the values are integers."""
    return [values] if len(sizes) == 1 else tf.split(values, sizes)


def _sum(gradients: Sequence[tf.Tensor | None]) -> tf.Tensor | None:
    """Add up one variable's gradients; a variable that the loss does not depend on has none."""
    return gradients[0] if len(gradients) == 1 or gradients[0] is None else tf.add_n(gradients)
