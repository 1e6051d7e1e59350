"""The compiled forward pass outside training, for evaluation, prediction and benchmarks.

`Predictor` is a finished model together with its preprocessing and its task: what ``zoo predict`` and everything that
serves predictions stand on.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from zoo import registry
from zoo.data.appearance import PHOTO, Preprocessing
from zoo.errors import ModelError
from zoo.imaging.preparation import caution_of, preparation
from zoo.spec import Recipe, Run
from zoo.tasks import Task, task_for, task_of

EVALUATION_BATCH = 500
PIXELS_AT_ONCE = 2_000_000  # of the images in one call: activations of large ones take far more memory than they do


def forward(model: Any, pixels: tf.Tensor) -> Any:
    """Return a model's outputs for raw 0..255 images (N, H, W, C) of any type."""
    return model(tf.cast(pixels, tf.float32), training=False)


class ForwardPass:
    """A model's compiled forward pass; `seconds` is what its calls took, tracing aside.

    Args:
        model: takes raw 0..255 images (N, H, W, C), float32, and has one output.
        image_shape: (H, W, C).
        batch: the number of images of each call; None for any.
        xla: compile by XLA.

    Raises:
        ModelError: the model does not take images of this shape.
    """

    def __init__(
        self, model: Any, image_shape: Sequence[int], *, batch: int | None = None, xla: bool | None = None
    ) -> None:
        self.seconds = 0.0
        call = tf.function(functools.partial(forward, model), jit_compile=xla, autograph=False)
        with _explained(image_shape):
            self._call = call.get_concrete_function(tf.TensorSpec((batch, *image_shape), tf.uint8))
        self._image_shape = tuple(image_shape)

    def __call__(self, pixels: tf.Tensor) -> Any:
        """Return the outputs for uint8 images that lie on the device; they may still be computed."""
        return self._call(pixels)

    def over(self, images: np.ndarray | tf.Tensor, batch: int) -> Iterator[np.ndarray]:
        """Yield the outputs for uint8 images (N, H, W, C), batch by batch: all of them may not fit the memory.

        Args:
            images: on the host or the device.
            batch: how many are computed at once; of large images fewer.
        """
        height, width, _ = self._image_shape
        batch = max(1, min(batch, PIXELS_AT_ONCE // (height * width)))
        for start in range(0, len(images), batch):
            began = time.perf_counter()
            with _explained(self._image_shape):
                pixels = tf.convert_to_tensor(images[start : start + batch])
                outputs = np.asarray(self._call(pixels))
            self.seconds += time.perf_counter() - began
            if outputs.shape[:1] != (len(pixels),):
                raise ModelError(
                    f"The model returns an array of shape {outputs.shape} for {len(pixels)} images, where the first "
                    f"number must be {len(pixels)}. Return one row for each image."
                )
            yield outputs


@contextlib.contextmanager
def _explained(image_shape: Sequence[int]) -> Iterator[None]:
    """Say in one line which images a model does not take; to run out of memory is another matter."""
    try:
        yield
    except (ModelError, MemoryError, tf.errors.ResourceExhaustedError):
        raise
    except Exception as error:
        cause = str(error).strip().partition("\n")[0][:200]
        raise ModelError(
            f"The model cannot be run on images of shape {tuple(image_shape)}: {type(error).__name__}: "
            f"{cause.rstrip('.')}. Choose a dataset whose images it takes."
        ) from error


@dataclass(frozen=True, eq=False)
class Examples:
    """Images, uint8 (N, H, W, C), and what a model's outputs for them are compared with, (N, ...)."""

    images: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.images)


class Resident:
    """Examples held on the device: `images` uint8, `targets` int64 labels or what their task has."""

    def __init__(self, examples: Examples) -> None:
        self.images = tf.constant(np.ascontiguousarray(examples.images))
        self.targets = tf.constant(np.ascontiguousarray(examples.targets))

    def __len__(self) -> int:
        return int(self.images.shape[0])


@dataclass(frozen=True)
class Totals:
    """Sums over the examples so far."""

    loss: float = 0.0
    correct: float = 0.0
    examples: int = 0
    steps: int = 0

    def logs(self, prefix: str = "") -> dict[str, float]:
        """Return the means under the names that Keras' callbacks know."""
        return {f"{prefix}loss": self.loss / self.examples, f"{prefix}accuracy": self.correct / self.examples}


class CompiledEvaluation:
    """Sums a model's loss and hits over examples, by compiled calls and without training.

    Args:
        model: takes raw images (N, H, W, C).
        task: scores its outputs.
        micro_batches: parts of a batch that are computed side by side; a batch of fewer images has fewer.
    """

    def __init__(self, model: Any, task: Task, micro_batches: int = 1) -> None:
        self.model, self.task, self.micro_batches = model, task, micro_batches
        self._compiled: dict[int, Any] = {}  # by the number of micro-batches

    def __call__(self, data: Resident) -> Totals:
        loss, correct = 0.0, 0.0
        for start in range(0, len(data), EVALUATION_BATCH):
            rows = slice(start, min(start + EVALUATION_BATCH, len(data)))
            score_batch = self._compiled_for(rows.stop - start, data.images.shape[1:], data.targets)
            batch_loss, batch_correct = score_batch(data.images[rows], data.targets[rows])
            loss, correct = loss + float(batch_loss), correct + float(batch_correct)
        return Totals(loss, correct, len(data))

    def compile(self, image_shape: Sequence[int], targets: tf.TensorSpec | tf.Tensor) -> None:
        """Trace the evaluation of a full batch; of `targets` shape and type count, N aside."""
        self._compiled_for(EVALUATION_BATCH, image_shape, targets)

    def _compiled_for(self, images: int, image_shape: Sequence[int], targets: tf.TensorSpec | tf.Tensor) -> Any:
        """Return what scores a batch of so many images: in as many micro-batches as get at least one image each.

        Most kernels refuse an empty one. What is traced for a number of them takes any batch that fills them.
        """
        parts = min(self.micro_batches, images)
        if parts not in self._compiled:
            score_batch = tf.function(functools.partial(self._score_batch, parts=parts), autograph=False)
            self._compiled[parts] = score_batch.get_concrete_function(
                tf.TensorSpec((None, *image_shape), tf.uint8), tf.TensorSpec((None, *targets.shape[1:]), targets.dtype)
            )
        return self._compiled[parts]

    def _score_batch(self, pixels: tf.Tensor, targets: tf.Tensor, *, parts: int) -> tuple[tf.Tensor, tf.Tensor]:
        ends = [tf.shape(targets)[0] * number // parts for number in range(parts + 1)]
        sums = [self._score(pixels[a:b], targets[a:b]) for a, b in itertools.pairwise(ends)]
        loss, correct = (tf.add_n(each) for each in zip(*sums, strict=True))
        return loss, correct

    def _score(self, pixels: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        outputs = forward(self.model, pixels)
        return tf.reduce_sum(self.task.loss(targets, outputs)), self.task.count_correct(targets, outputs)


@dataclass(frozen=True)
class Predictor:
    """A finished model and what it takes to use it on pictures.

    `prepare` brings an opened picture to the model's input, `run` computes its outputs, `describe` returns predictions
    as plain values. Reading files and drawing are elsewhere.

    Args:
        model: takes raw 0..255 images (N, H, W, C), float32.
        task: reads its outputs.
        class_names: of the outputs.
        image_shape: (H, W, C) that the model takes.
        preprocessing: how a picture is prepared, as it was measured on the training images.
    """

    model: Any
    task: Task
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    preprocessing: Preprocessing = PHOTO

    @classmethod
    def of(cls, run: Run) -> Predictor:
        """Return the predictor of a finished run."""
        task = task_of_run(run)
        height, width, channels = run.model.input_shape[1:]
        return cls(
            run.model,
            task,
            task.output_names(run.document["class_names"]),
            (height, width, channels),
            run.preprocessing,
        )

    def prepare(self, picture: Image.Image) -> np.ndarray:
        """Return an opened picture as the model's input, uint8 (H, W, C). Raises `ImageError` if it shows nothing."""
        return preparation(self.preprocessing)(picture, self.image_shape)

    def caution(self, image: np.ndarray) -> str | None:
        """Return a warning if a prepared image is light where the training images are dark, or the other way."""
        return caution_of(self.preprocessing, image)

    def run(self, images: Sequence[np.ndarray]) -> list[Any]:
        """Return the prediction for each prepared image, as `describe` and the task take it.

        Raises:
            ModelError: the model's outputs are not what its task reads.
        """
        if not images:
            return []
        outputs = self._forward_pass.over(np.stack(images), self.task.batch)
        return [found for batch in outputs for found in self.task.read(batch, len(self.class_names))]

    def describe(self, prediction: Any, picture_size: tuple[int, int] | None = None) -> dict[str, Any]:
        """Return a prediction as plain values.

        Args:
            prediction: from `run`.
            picture_size: (width, height) of the picture, in whose pixels positions are given; the model's if not given.
        """
        height, width, channels = self.image_shape
        width, height = picture_size or (width, height)
        return self.task.describe(prediction, self.class_names, (height, width, channels))

    @functools.cached_property
    def _forward_pass(self) -> ForwardPass:
        return ForwardPass(self.model, self.image_shape)


def task_of_run(run: Run) -> Task:
    """Return the task of a run's model, as finished models are measured."""
    document = run.document
    task = task_for(document["task"])
    if not task.takes_own_models:
        task = task_of(registry.get(document["model"]))
    classes = len(task.output_names(document["class_names"]))
    shape = tuple(run.model.input_shape[1:])
    return task.for_training(
        Recipe(), np.zeros(0), classes, image_shape=shape, model=document["model"]
    ).for_evaluation()
