"""The input pipeline: training images held on the device, or streamed to it by ``tf.data``.

Both feeds pass the compiled loop its inputs for some steps (`arguments`), and draw each batch from them inside the
graph (`draw`). The order of images depends only on seed and epoch, so that a run can resume anywhere.
"""

from __future__ import annotations

import math
import weakref
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from zoo.inference import Examples, Resident
from zoo.spec.recipe import Recipe


class Feed(Protocol):
    """A source of training batches for the compiled loop."""

    examples: int  # per epoch
    batch_size: int
    image_shape: tuple[int, ...]
    targets: tf.TensorSpec  # shape and type of all targets

    @property
    def signature(self) -> tuple[Any, ...]:
        """The specs of what `arguments` returns, for tracing."""

    def begin(self, epoch: int, first_step: int = 0) -> None:
        """Move to a step of an epoch, both counted from 0."""

    def arguments(self, steps: int) -> tuple[Any, ...]:
        """Return the graph's inputs for the next `steps` steps, and advance past them."""

    def draw(self, arguments: tuple[Any, ...], step: tf.Tensor, batch: int, /) -> tuple[tf.Tensor, tf.Tensor]:
        """Return, inside the graph, a batch of static size: uint8 images (B, H, W, C) and their targets (B, ...)."""


class ResidentFeed:
    """Gathers batches from images held on the device: the fast way, for data that fits there."""

    def __init__(self, examples: Examples, recipe: Recipe) -> None:
        self.data, self.recipe = Resident(examples), recipe
        self.examples, self.batch_size, self.image_shape = (
            len(examples),
            recipe.data.batch_size,
            examples.images.shape[1:],
        )
        self.targets = tf.TensorSpec(self.data.targets.shape, self.data.targets.dtype)
        self.signature = (
            tf.TensorSpec(self.data.images.shape, tf.uint8),
            self.targets,
            tf.TensorSpec((self.examples,), tf.int64),
            tf.TensorSpec((), tf.int32),
        )

    def begin(self, epoch: int, first_step: int = 0) -> None:
        order = shuffled(self.examples, self.recipe, epoch)
        self._order, self._step = tf.constant(order, tf.int64), first_step  # a GPU keeps int32 on the host

    def arguments(self, steps: int) -> tuple[Any, ...]:
        first, self._step = self._step, self._step + steps
        return self.data.images, self.data.targets, self._order, tf.constant(first)

    def draw(self, arguments: tuple[Any, ...], step: tf.Tensor, batch: int, /) -> tuple[tf.Tensor, tf.Tensor]:
        images, targets, order, first = arguments
        rows = tf.slice(order, [(first + step) * self.batch_size], [batch])
        return _gathered(images, rows), _gathered(targets, rows)


class StreamedFeed:
    """Reads batches with a ``tf.data`` pipeline on the host: shuffle, batch, read, prefetch.

    Indices are shuffled, not images: an image is read only when its batch is made, from disk if it is cached there, so
    the images need not fit into memory. A full shuffle takes 4 bytes per image and gives the same order as the resident
    feed. Only a shuffle buffer smaller than the data set is left to ``tf.data``, at about 400 bytes per element.

    One iterator runs through all epochs. To start at another step the pipeline is rebuilt from there, which gives the
    same order. The iterator is released before the interpreter shuts down: during shutdown no call into Python
    returns, and releasing an iterator would wait for the pending ones forever.
    """

    def __init__(self, examples: Examples, recipe: Recipe) -> None:
        self.recipe, self._targets = recipe, examples.targets
        on_disk = isinstance(examples.images, np.memmap)
        self._images = np.array(examples.images) if recipe.data.cache and on_disk else examples.images
        self.examples, self.batch_size, self.image_shape = (
            len(examples),
            recipe.data.batch_size,
            examples.images.shape[1:],
        )
        self.targets = tf.TensorSpec(examples.targets.shape, tf.as_dtype(examples.targets.dtype))
        self._steps = -(-self.examples // self.batch_size)
        self._position = -1
        self._iterators: list[Any] = []  # at most one
        weakref.finalize(self, self._iterators.clear)
        self._order = (-1, np.zeros(0, np.int32))  # an epoch and its shuffled indices
        with tf.device("/CPU:0"):
            self.signature = (tf.data.IteratorSpec(self._positions(0).map(self._read).element_spec),)

    def begin(self, epoch: int, first_step: int = 0) -> None:
        wanted = epoch * self._steps + first_step
        if wanted != self._position:
            with tf.device("/CPU:0"):
                batches = self._positions(wanted).map(self._read)
                if self.recipe.data.prefetch:
                    batches = batches.prefetch(tf.data.AUTOTUNE)
                self._iterators[:] = [iter(batches)]
            self._position = wanted

    def arguments(self, steps: int) -> tuple[Any, ...]:
        self._position += steps
        return tuple(self._iterators)

    def draw(self, arguments: tuple[Any, ...], _step: tf.Tensor, _batch: int, /) -> tuple[tf.Tensor, tf.Tensor]:
        (iterator,) = arguments
        images, targets = iterator.get_next()
        return images, targets

    def _positions(self, first: int) -> tf.data.Dataset:
        """Return the indices of each batch, through all epochs, without the `first` batches."""
        buffer = self.recipe.data.shuffle_buffer
        if self.recipe.data.shuffle and 0 < buffer < self.examples:
            positions = tf.data.Dataset.range(self.examples)
            positions = positions.shuffle(buffer, seed=self.recipe.seed % 2**31)
            return positions.batch(self.batch_size).repeat().skip(first)
        steps = tf.data.Dataset.range(first, tf.int64.max)
        return steps.map(lambda step: tf.numpy_function(self._rows, [step], tf.int32, stateful=False))

    def _rows(self, step: np.int64) -> np.ndarray:
        """Return the indices of batch number `step`, counted over all epochs."""
        epoch, step_of_epoch = divmod(int(step), self._steps)
        order = self._order
        if order[0] != epoch:
            order = self._order = (epoch, shuffled(self.examples, self.recipe, epoch))
        return order[1][step_of_epoch * self.batch_size :][: self.batch_size]

    def _read(self, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Read one batch's images and targets inside the pipeline."""
        images, targets = tf.numpy_function(
            lambda rows: (self._images[rows], self._targets[rows]),
            [rows],
            [tf.uint8, self.targets.dtype],
            stateful=False,
        )
        shapes = (None, *self.image_shape), (None, *self.targets.shape[1:])
        return tf.ensure_shape(images, shapes[0]), tf.ensure_shape(targets, shapes[1])


WORDS = {8: tf.int64, 4: tf.float32, 2: tf.float16}  # by size in bytes; gathering only copies


def _gathered(values: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Gather rows of a tensor on its own device.

    TensorFlow cannot gather uint8 on a GPU: each step would copy all images to the host. So images are gathered as
    wider types, if their size in bytes is divisible by one.
    """
    size = math.prod(values.shape[1:])
    word = next((word for word in WORDS if size % word == 0), None)
    if values.dtype != tf.uint8 or word is None:
        return tf.gather(values, rows)
    words = tf.bitcast(tf.reshape(values, (-1, size // word, word)), WORDS[word])
    return tf.reshape(tf.bitcast(tf.gather(words, rows), tf.uint8), (-1, *values.shape[1:]))


def make_feed(examples: Examples, recipe: Recipe) -> Feed:
    """Return the feed that the recipe names."""
    return ResidentFeed(examples, recipe) if recipe.data.pipeline == "resident" else StreamedFeed(examples, recipe)


def shuffled(examples: int, recipe: Recipe, epoch: int) -> np.ndarray:
    """Return the order of an epoch's examples, which depends only on seed and epoch."""
    if not recipe.data.shuffle:
        return np.arange(examples, dtype=np.int32)
    return np.random.default_rng([recipe.seed, epoch]).permutation(examples).astype(np.int32)
