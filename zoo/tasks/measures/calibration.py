"""Calibration: reliability bins, expected calibration error, temperature scaling."""

from __future__ import annotations

from typing import Any

from zoo.lazy import np
from zoo.tasks.measures.intervals import wilson

BINS = 15
"""As Guo et al. (2017) have it."""

TEMPERATURES = (0.05, 20.0)
"""Between these a temperature is looked for: with no mistake to learn from, any smaller one would be better."""

SPLIT_SEED = 0


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Return log-probabilities for finite logits, both float64 (N, classes); big logits do not overflow."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def cross_entropy(log_probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return each image's -log p(truth) in nats, float64 (N,)."""
    return -log_probabilities[np.arange(len(labels)), labels]


def bin_numbers(confidences: np.ndarray) -> np.ndarray:
    """Return the bin (0..14) of each confidence: bin m holds those above m/15 and up to (m + 1)/15."""
    return np.clip(np.ceil(confidences * BINS).astype(np.int64) - 1, 0, BINS - 1)


def reliability(probabilities: np.ndarray, labels: np.ndarray) -> tuple[float, list[dict[str, Any]]]:
    """Return the expected calibration error and the bins that it is made of.

    The error is the mean, over images, of the distance between a bin's accuracy and its mean confidence; the
    confidence is the probability of the predicted class (Guo et al. 2017, "On calibration of modern neural
    networks", equation 3).

    Args:
        probabilities: float64 (N, classes).
        labels: int64 (N,).

    Returns:
        The error in 0..1, and one mapping per bin: `low`, `high`, `images`, and where there are any
        `confidence`, `accuracy` and its 95% `interval` (Wilson), else None.
    """
    confidences, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    numbers = bin_numbers(confidences)
    images = np.bincount(numbers, minlength=BINS)
    hits = np.bincount(numbers, weights=right, minlength=BINS)
    sums = np.bincount(numbers, weights=confidences, minlength=BINS)
    intervals = wilson(hits, images)
    bins = [
        {
            "low": m / BINS,
            "high": (m + 1) / BINS,
            "images": int(images[m]),
            "confidence": float(sums[m] / images[m]) if images[m] else None,
            "accuracy": float(hits[m] / images[m]) if images[m] else None,
            "interval": intervals[m].tolist() if images[m] else None,
        }
        for m in range(BINS)
    ]
    return float(np.abs(sums - hits).sum() / len(labels)), bins


def fit_temperature(log_probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature that the logits are divided by for the least cross-entropy (Guo et al. 2017, 4.2)."""
    from scipy.optimize import minimize_scalar

    def loss(logarithm: float) -> float:
        return float(cross_entropy(log_softmax(log_probabilities / np.exp(logarithm)), labels).mean())

    return float(np.exp(minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded").x))


def temperature_scaling(log_probabilities: np.ndarray, labels: np.ndarray) -> dict[str, Any] | None:
    """Say what temperature scaling would do, never fitting and measuring it on the same images.

    The images are split in two by a seeded shuffle. Each half is scaled by the temperature that was fitted on
    the other, and what comes out is measured on all of them.

    Args:
        log_probabilities: float64 (N, classes).
        labels: int64 (N,).

    Returns:
        `temperatures` (above 1: the model was too sure of itself), cross-entropy in nats and calibration error
        before and after, `bins` after; None when there are fewer than two images.
    """
    if len(labels) < 2:
        return None
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    scaled, temperatures = np.empty_like(log_probabilities), []
    for fitted, measured in (halves, halves[::-1]):
        temperatures.append(fit_temperature(log_probabilities[fitted], labels[fitted]))
        scaled[measured] = log_softmax(log_probabilities[measured] / temperatures[-1])
    before, _ = reliability(np.exp(log_probabilities), labels)
    after, bins = reliability(np.exp(scaled), labels)
    return {
        "temperatures": temperatures,
        "split_seed": SPLIT_SEED,
        "log_loss_before": float(cross_entropy(log_probabilities, labels).mean()),
        "log_loss_after": float(cross_entropy(scaled, labels).mean()),
        "expected_calibration_error_before": before,
        "expected_calibration_error_after": after,
        "bins": bins,
    }
