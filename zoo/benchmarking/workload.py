"""What is timed: a model's training steps, or its answers, on images that already lie on the device."""

from __future__ import annotations

import os
import time
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from zoo import anatomy, registry
from zoo.benchmarking.matrix import Cell
from zoo.data import Dataset, Split
from zoo.spec import ModelSpec, Recipe
from zoo.training.devices import Placement, place, synchronize
from zoo.training.epoch import Totals
from zoo.training.session import Session, split, with_scaling

IMAGES, BYTES = 60_000, 2**26  # as many images as MNIST, unless they would take more than 64 MiB


class Workload(Protocol):
    """Something that can be done over and over."""

    model: Any
    first_call_s: float  # tracing, compiling and the first step

    def run(self, steps: int) -> None:
        """Start so many steps; the device may still be at work when this returns."""


class Training:
    """Steps of zoo's compiled loop: Adam, gathered batches, loss and accuracy, nothing else."""

    def __init__(self, spec: ModelSpec, recipe: Recipe, placement: Placement, data: Dataset) -> None:
        began = time.perf_counter()
        session = Session(spec, recipe, placement, data, split(data, recipe), network=None)
        self.loop, self.model, self.device = session.loop, session.model, session.device
        with self.device:
            self.loop.warm_up()
            self._begin(0)
        self.first_call_s = time.perf_counter() - began

    def _begin(self, epoch: int) -> None:
        self.loop.feed.begin(epoch)
        self._epoch, self._done = epoch, Totals()

    def run(self, steps: int) -> None:
        with self.device:
            while steps:
                if self._done.steps == self.loop.steps:
                    self._begin(self._epoch + 1)
                count = min(steps, self.loop.steps - self._done.steps)
                first = self._epoch * self.loop.steps + self._done.steps
                self._done = self.loop.run(self._done, count, first_step=first)
                steps -= count


class Inference:
    """Answers to one batch of raw images that stays where it is, one compiled call per step."""

    def __init__(self, spec: ModelSpec, recipe: Recipe, placement: Placement, data: Dataset) -> None:
        began = time.perf_counter()
        self.device = tf.device(placement.tensorflow_device)
        with self.device:
            network = registry.build(spec, precision=recipe.precision)
            self.model = with_scaling(network, recipe, data.train, name=spec.name)
            self.pixels = tf.constant(data.train.images[: recipe.batch_size])
            answer = tf.function(self._answer, jit_compile=placement.xla, autograph=False)
            self._call = answer.get_concrete_function(tf.TensorSpec(self.pixels.shape, tf.uint8))
            self._call(self.pixels)
            synchronize()
        self.first_call_s = time.perf_counter() - began

    def _answer(self, pixels: tf.Tensor) -> tf.Tensor:
        return self.model(tf.cast(pixels, tf.float32), training=False)

    def run(self, steps: int) -> None:
        with self.device:
            for _ in range(steps):
                self._call(self.pixels)


def prepare(cell: Cell) -> tuple[Workload, dict[str, Any]]:
    """Build what a cell measures and run its first step.

    Returns:
        The workload, and what is known of it now: `origin`, `resolved`, `params`, `trainable_params`, `macs`.

    Raises:
        ZooError: the model cannot be built or trained, or the device is not there.
    """
    spec = registry.get(cell.model)
    recipe = Recipe(batch_size=cell.batch_size, precision=cell.precision).override(xla=cell.xla)
    placement = place(recipe, device=cell.device)
    kind = Training if cell.mode == "train" else Inference
    workload: Workload = spec.guarded(lambda: kind(spec, recipe, placement, random_images(spec, cell.batch_size)))
    counted = spec.guarded(lambda: anatomy.dissect(registry.build(spec)))
    return workload, {
        "origin": str(spec.origin),
        "resolved": {**resolved(placement, cell.batch_size), "onednn": onednn(), "loss_scaling": _scales(cell)},
        "params": counted.params,
        "trainable_params": counted.trainable_params,
        "macs": counted.macs,
    }


def resolved(placement: Placement, batch_size: int) -> dict[str, Any]:
    """Return what really runs, for the record."""
    return {
        "precision": placement.precision,
        "compute_dtype": placement.precision.removeprefix("mixed_"),
        "xla": placement.xla,
        "batch_size": batch_size,
        "device": placement.device,
        "device_name": placement.device_name,
        "threads": placement.threads,
    }


def onednn() -> bool:
    """Whether TensorFlow was asked to use oneDNN's kernels; zoo asks on x86 unless the user has chosen."""
    return os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "0"


def random_images(spec: ModelSpec, batch_size: int) -> Dataset:
    """Return images of noise for a model at its default shape, whole batches of them, some for each class."""
    shape = spec.input_shape
    fitting = max(1, BYTES // int(np.prod(shape)))
    count = max(1, min(IMAGES, fitting) // batch_size) * batch_size
    random = np.random.default_rng(0)
    classes = spec.num_classes
    images = random.integers(0, 256, (count, *shape), dtype=np.uint8)
    labels = random.integers(0, classes, count)
    few = Split(images[:batch_size], labels[:batch_size])
    names = tuple(str(number) for number in range(classes))
    return Dataset("noise", Split(images, labels), few, names, "drawn at random", {}, task=spec.task)


def _scales(cell: Cell) -> bool:
    """Whether the loss is scaled, so that small gradients survive half precision."""
    return cell.precision == "mixed_float16" and cell.mode == "train"
