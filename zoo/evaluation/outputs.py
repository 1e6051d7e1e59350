"""From a model and images to probabilities: one compiled pass, then float64."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.errors import ModelError
from zoo.evaluation.calibration import log_softmax
from zoo.training.loop import EVALUATION_BATCH

SUM_TOLERANCE = 1e-2
"""How far from 1 the outputs of a softmax in float32 or half precision may sum: bfloat16 rounds by up to 1/512."""

LEAST = {"float32": float(np.finfo(np.float32).eps), "float64": float(np.finfo(np.float64).tiny)}
"""By their type: a probability below this counts as it. A float32 softmax has rounded such to 0, and scikit-learn's
log_loss has the same limit; a float64 mean of several models' probabilities is as small as they say."""


@dataclass(frozen=True)
class Outputs:
    """What a model answered: `values` (N, classes), and the seconds of the pass without tracing.

    They are float32, a mean over several models float64.
    """

    values: np.ndarray
    seconds: float

    @property
    def kind(self) -> str:
        """``probabilities`` when no output is negative and each row sums to 1, else ``logits``."""
        sums = self.values.sum(axis=1, dtype=np.float64)
        are_shares = (self.values >= 0).all() and (np.abs(sums - 1) <= SUM_TOLERANCE).all()
        return "probabilities" if are_shares else "logits"

    @property
    def non_finite(self) -> int:
        """The number of images that were answered with something that is not a finite number."""
        return int((~np.isfinite(self.values).all(axis=1)).sum())

    def log_probabilities(self) -> np.ndarray:
        """Return the logarithms of the classes' probabilities, float64 (N, classes)."""
        values = self.values.astype(np.float64)
        if self.kind == "probabilities":
            values = np.log(np.clip(values, LEAST[self.values.dtype.name], 1.0))
        return log_softmax(values)


def compute_outputs(model: Any, images: np.ndarray) -> Outputs:
    """Ask the model about every image, by compiled calls.

    Args:
        model: takes raw 0..255 images (N, H, W, C) as float32.
        images: uint8 (N, H, W, C).

    Raises:
        ModelError: the model does not take these images, or does not answer each with one row of numbers.
    """
    call = tf.function(lambda pixels: model(tf.cast(pixels, tf.float32), training=False), autograph=False)
    try:
        compiled = call.get_concrete_function(tf.TensorSpec((None, *images.shape[1:]), tf.uint8))
        began = time.perf_counter()
        batches = [
            np.asarray(compiled(tf.constant(images[start : start + EVALUATION_BATCH])), dtype=np.float32)
            for start in range(0, len(images), EVALUATION_BATCH)
        ]
    except Exception as error:
        cause = str(error).strip().partition("\n")[0][:200]
        raise ModelError(
            f"The model cannot be asked about images of shape {images.shape[1:]}: {type(error).__name__}: "
            f"{cause.rstrip('.')}. Choose a dataset whose images it takes."
        ) from error
    return Outputs(np.concatenate(batches), time.perf_counter() - began)


def averaged(answers: Sequence[Outputs]) -> Outputs:
    """Return the mean of several models' probabilities (Hansen, Salamon 1990); of one model, its own outputs.

    Args:
        answers: finite, about the same images and classes.
    """
    if len(answers) == 1:
        return answers[0]
    mean = np.mean([np.exp(answer.log_probabilities()) for answer in answers], axis=0)
    return Outputs(mean, sum(answer.seconds for answer in answers))
