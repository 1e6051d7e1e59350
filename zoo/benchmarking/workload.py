"""The timed workload: training steps or forward passes, on images already on the device."""

from __future__ import annotations

import os
import time
from typing import Any, Protocol

import numpy as np
import psutil
import tensorflow as tf

from zoo import registry
from zoo.benchmarking.matrix import Cell
from zoo.data import Dataset
from zoo.inference import ForwardPass, Totals
from zoo.inspection import anatomy
from zoo.spec import ModelSpec, Recipe
from zoo.tasks import task_of
from zoo.training.devices import Placement, place, synchronize
from zoo.training.session import Session, with_scaling

IMAGES, BYTES = 60_000, 2**26  # as many images as MNIST, unless they would take more than 64 MiB
COPIES = 6  # of a batch, as bytes: once as it is, once as float32, and something for the first layer


class Workload(Protocol):
    """Something that can be done over and over."""

    first_call_s: float  # tracing, compiling and the first step

    def run(self, steps: int) -> None:
        """Start so many steps; the device may still be at work when this returns."""


class Training:
    """Steps of zoo's compiled loop: Adam, gathered batches, loss and accuracy, nothing else."""

    def __init__(self, spec: ModelSpec, recipe: Recipe, placement: Placement, data: Dataset) -> None:
        session = Session(spec, recipe, placement, data)
        self.loop, self.device = session.loop, session.device
        with self.device:
            self.first_call_s = self.loop.warm_up()
            self._begin(0)

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
    """The forward pass of one batch of raw images that stays where it is, one compiled call per step."""

    def __init__(self, spec: ModelSpec, recipe: Recipe, placement: Placement, data: Dataset) -> None:
        self.device, images = tf.device(placement.tensorflow_device), data.train.images
        with self.device:
            network = registry.build(spec, precision=recipe.execution.precision)
            model = with_scaling(network, recipe, images, name=spec.name)
            self.pixels = tf.constant(images)
            began = time.perf_counter()
            self._forward = ForwardPass(model, images.shape[1:], batch=len(images), xla=placement.xla)
            self._forward(self.pixels)
            synchronize()
            self.first_call_s = time.perf_counter() - began

    def run(self, steps: int) -> None:
        with self.device:
            for _ in range(steps):
                self._forward(self.pixels)


def prepare(cell: Cell) -> tuple[Workload, ModelSpec, Placement]:
    """Build what a cell measures and run its first step.

    Raises:
        ZooError: the model cannot be built or trained, or the device is not there.
        MemoryError: the images alone would not fit.
    """
    spec = registry.get(cell.model)
    recipe = Recipe(batch_size=cell.batch_size, precision=cell.precision).override(xla=cell.xla)
    placement = place(recipe, device=cell.device, training=spec if cell.mode == "train" else None)
    kind, most = (Training, IMAGES) if cell.mode == "train" else (Inference, 1)
    workload: Workload = spec.guarded(lambda: kind(spec, recipe, placement, random_images(spec, cell.batch_size, most)))
    return workload, spec, placement


def facts(cell: Cell, spec: ModelSpec, placement: Placement) -> dict[str, Any]:
    """Return what is known of a cell beside its seconds: `origin`, `resolved`, `params`, `trainable_params`, `macs`.

    It builds the model once more: call it after the memory was looked at.
    """
    with tf.device("/CPU:0"):
        counted = spec.guarded(lambda: anatomy.dissect(registry.build(spec)))
    return {
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


def random_images(spec: ModelSpec, batch_size: int, most: int) -> Dataset:
    """Return images of noise for a model at its default shape, whole batches of them.

    Args:
        spec: its shape, number of classes and task are read.
        batch_size: at least so many.
        most: about so many, unless they would take too much memory or are fewer than a batch.

    Raises:
        MemoryError: a single batch is more than this machine can hold several copies of.
    """
    shape = spec.input_shape
    size = int(np.prod(shape))
    if batch_size * size * COPIES > psutil.virtual_memory().available:
        raise MemoryError(f"a batch of {batch_size:,} images is {batch_size * size / 2**30:,.1f} GiB before any layer")
    count = max(1, min(most, max(1, BYTES // size)) // batch_size) * batch_size
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, *shape), dtype=np.uint8)
    split, names = task_of(spec).synthetic(spec.num_classes, images, random)
    return Dataset("noise", split, split.take(slice(batch_size)), names, "drawn at random", {})


def _scales(cell: Cell) -> bool:
    """Whether the loss is scaled, so that small gradients survive half precision."""
    return cell.precision == "mixed_float16" and cell.mode == "train"
