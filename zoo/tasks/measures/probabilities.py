"""Convert a classifier's outputs, logits or softmax, to probabilities."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.lazy import np
from zoo.tasks.measures.calibration import log_softmax

SUM_TOLERANCE = 1e-2
"""How far from 1 the outputs of a softmax in float32 or half precision may sum: bfloat16 rounds by up to 1/512."""


def are_probabilities(outputs: np.ndarray) -> bool:
    """Whether no output (N, classes) is negative and each row sums to 1; else they are logits."""
    sums = outputs.sum(axis=1, dtype=np.float64)
    return bool((outputs >= 0).all() and (np.abs(sums - 1) <= SUM_TOLERANCE).all())


def log_probabilities(outputs: np.ndarray) -> np.ndarray:
    """Return the logarithms of the classes' probabilities, float64 (N, classes), of finite outputs of that shape."""
    values = outputs.astype(np.float64)
    if are_probabilities(outputs):
        values = np.log(np.clip(values, _least(outputs.dtype), 1.0))
    return log_softmax(values)


def _least(dtype: np.dtype) -> float:
    """Return the value that a smaller probability counts as.

    A float32 softmax has rounded such to 0, and scikit-learn's log_loss has the same limit; a float64 mean of several
    models' probabilities is as small as they say.
    """
    known = np.finfo(dtype)
    return float(known.tiny if dtype == np.float64 else known.eps)


def non_finite(outputs: np.ndarray) -> int:
    """Return how many rows of (N, classes) hold a number that is not finite."""
    return int((~np.isfinite(outputs).all(axis=1)).sum())


def averaged(outputs: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean of several models' probabilities (Hansen, Salamon 1990); of one model, its own outputs.

    Args:
        outputs: finite, (N, classes) each, of the same images and classes.
    """
    if len(outputs) == 1:
        return outputs[0]
    mean: np.ndarray = np.mean([np.exp(log_probabilities(each)) for each in outputs], axis=0)
    return mean
