"""Classification metrics from probabilities and labels: scikit-learn's, with confidence intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.lazy import np
from zoo.tasks.measures.calibration import BINS, bin_numbers, cross_entropy, reliability, temperature_scaling
from zoo.tasks.measures.intervals import (
    LEVEL,
    RESAMPLES,
    SEED,
    auc_influence,
    auc_intervals,
    basic_interval,
    f1_intervals,
    mean_auc_interval,
    percentile_interval,
    resampled_sums,
    wilson,
)

CURVE_POINTS = 200
"""Points of a curve that are kept in the document; areas are computed from all of them."""

Curves = list[Mapping[str, list[float]] | None]
"""A curve per class, or None if it is undefined."""

METHODS = {
    "test_accuracy": "Wilson 1927",
    "precision": "Wilson 1927",
    "recall": "Wilson 1927",
    "f1": "Wilson 1927 on F* (Hand et al. 2021)",
    "macro_f1": f"percentile bootstrap over images, {RESAMPLES} resamples, seed {SEED}",
    "test_loss": f"percentile bootstrap over images, {RESAMPLES} resamples, seed {SEED}",
    "brier_score": f"percentile bootstrap over images, {RESAMPLES} resamples, seed {SEED}",
    "expected_calibration_error": f"basic bootstrap over images, {RESAMPLES} resamples, seed {SEED}",
    "auc": "Newcombe 2006, method 5, on Hanley and McNeil 1982",
    "macro_auc": "DeLong et al. 1988, on the logit",
}


def score(log_probabilities: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> dict[str, Any]:
    """Return every number of an evaluation.

    Args:
        log_probabilities: float64 (N, classes), finite.
        labels: int64 (N,), 0..classes - 1.
        class_names: one per class.

    Returns:
        `metrics`, `brier_score` (Brier 1950: summed over classes, 0..2), `averages`, `per_class`, `confusion`
        (row: truth, column: prediction), `roc`, `precision_recall`, `calibration` and `confidence_intervals`.
        What is undefined, such as the precision of a class never predicted, is NaN.
    """
    probabilities = np.exp(log_probabilities)
    predicted = probabilities.argmax(axis=1)
    losses = cross_entropy(log_probabilities, labels)
    truth = labels[:, None] == np.arange(len(class_names))
    distances = ((probabilities - truth) ** 2).sum(axis=1)
    error, bins = reliability(probabilities, labels)
    draws = _resampled(probabilities, labels, losses, distances)
    roc = _roc(probabilities, truth)
    per_class = _per_class(labels, predicted, len(class_names))
    for name, row, area, interval in zip(class_names, per_class, roc["areas"], roc["intervals"], strict=True):
        row |= {"name": name, "auc": area, "auc_interval": interval}
    hits = int((predicted == labels).sum())
    return {
        "metrics": {"test_accuracy": hits / len(labels), "test_loss": float(losses.mean())},
        "brier_score": float(distances.mean()),
        "averages": {name: _mean([row[name] for row in per_class]) for name in ("precision", "recall", "f1")},
        "per_class": per_class,
        "confusion": _confusion(labels, predicted, len(class_names)),
        "roc": roc["summary"],
        "precision_recall": _precision_recall(probabilities, truth),
        "calibration": {
            "expected_calibration_error": error,
            "mean_confidence": float(probabilities.max(axis=1).mean()),
            "bins": bins,
            "temperature_scaling": temperature_scaling(log_probabilities, labels),
        },
        "confidence_intervals": {
            "level": LEVEL,
            "test_accuracy": wilson(np.array(hits), np.array(len(labels))),
            "test_loss": percentile_interval(draws["loss"]),
            "brier_score": percentile_interval(draws["brier"]),
            "macro_f1": percentile_interval(draws["macro_f1"]),
            "macro_auc": roc["macro_interval"],
            "expected_calibration_error": basic_interval(error, draws["calibration"]),
            "methods": METHODS,
        },
    }


def top_confusions(
    log_probabilities: np.ndarray, labels: np.ndarray, class_names: Sequence[str], *, limit: int = 10, examples: int = 6
) -> list[dict[str, Any]]:
    """Return the pairs of classes that are mixed up most often, with the images it was most sure about.

    Returns:
        At most `limit` mappings: `truth` and `predicted` (class numbers) with their names, `count`, `share` of
        the truth's images, and `images`, at most `examples` indices into the test set.
    """
    predicted, confidence = log_probabilities.argmax(axis=1), log_probabilities.max(axis=1)
    counts = _confusion(labels, predicted, len(class_names))
    sizes = counts.sum(axis=1)
    np.fill_diagonal(counts, 0)
    pairs = [divmod(int(cell), len(class_names)) for cell in np.argsort(-counts, axis=None, kind="stable")[:limit]]
    found = []
    for true, said in pairs:
        if counts[true, said]:
            rows = np.flatnonzero((labels == true) & (predicted == said))
            found.append(
                {
                    "truth": true,
                    "predicted": said,
                    "truth_name": class_names[true],
                    "predicted_name": class_names[said],
                    "count": int(counts[true, said]),
                    "share": float(counts[true, said] / sizes[true]),
                    "images": rows[np.argsort(-confidence[rows], kind="stable")][:examples].tolist(),
                }
            )
    return found


def sample_predictions(
    log_probabilities: np.ndarray, labels: np.ndarray, *, wrong: int = 24, right: int = 12
) -> dict[str, list[dict[str, Any]]]:
    """Return the mistakes that the model was surest about, and some images that it got right.

    Returns:
        `mistakes`, surest first, and `right`, a seeded draw: mappings of `image` (index into the test set),
        `truth`, `predicted` (class numbers), `probability` (of the prediction) and all `probabilities`.
    """
    predicted, confidence = log_probabilities.argmax(axis=1), log_probabilities.max(axis=1)
    missed = np.flatnonzero(predicted != labels)
    missed = missed[np.argsort(-confidence[missed], kind="stable")][:wrong]
    hit = np.flatnonzero(predicted == labels)
    drawn = np.sort(np.random.default_rng(SEED).permutation(hit)[:right])

    def entry(row: int) -> dict[str, Any]:
        probabilities = np.exp(log_probabilities[row])
        return {
            "image": int(row),
            "truth": int(labels[row]),
            "predicted": int(predicted[row]),
            "probability": float(probabilities.max()),
            "probabilities": np.round(probabilities, 6).tolist(),
        }

    return {"mistakes": [entry(row) for row in missed.tolist()], "right": [entry(row) for row in drawn.tolist()]}


def _confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Count (classes, classes), truth in rows. As scikit-learn's, which warns when there is one class."""
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def _per_class(labels: np.ndarray, predicted: np.ndarray, classes: int) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each class; NaN for a class never predicted, absent, or both."""
    from sklearn.metrics import precision_recall_fscore_support

    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, predicted, labels=np.arange(classes), zero_division=np.nan
    )
    images, times = (np.bincount(values, minlength=classes) for values in (labels, predicted))
    hits = np.bincount(labels[labels == predicted], minlength=classes)
    precision_intervals, recall_intervals = wilson(hits, times), wilson(hits, images)
    f1_bounds = f1_intervals(hits, images + times - hits)
    return [
        {
            "name": "",
            "images": int(images[k]),
            "predicted": int(times[k]),
            "precision": float(precision[k]),
            "precision_interval": precision_intervals[k],
            "recall": float(recall[k]),
            "recall_interval": recall_intervals[k],
            "f1": float(f1[k]),
            "f1_interval": f1_bounds[k],
        }
        for k in range(classes)
    ]


def _resampled(
    probabilities: np.ndarray, labels: np.ndarray, losses: np.ndarray, distances: np.ndarray
) -> dict[str, np.ndarray]:
    """Bootstrap what has no formula: everything that is a function of sums over images, in one sparse product."""
    from scipy.sparse import csr_array, hstack

    images, classes = probabilities.shape
    predicted, confidences = probabilities.argmax(axis=1), probabilities.max(axis=1)
    right = (predicted == labels).astype(np.float64)
    rows, ones = np.arange(images), np.ones(images)
    columns = hstack(
        [
            csr_array(np.stack([losses, distances], axis=1)),
            csr_array((right, (rows, labels)), shape=(images, classes)),
            csr_array((ones, (rows, labels)), shape=(images, classes))
            + csr_array((ones, (rows, predicted)), shape=(images, classes)),
            csr_array((confidences - right, (rows, bin_numbers(confidences))), shape=(images, BINS)),
        ]
    )
    sums = resampled_sums(columns)
    hits, both = sums[:, 2 : 2 + classes], sums[:, 2 + classes : 2 + 2 * classes]
    f1 = np.divide(2 * hits, both, out=np.full_like(hits, np.nan), where=both > 0)
    return {
        "loss": sums[:, 0] / images,
        "brier": sums[:, 1] / images,
        "macro_f1": np.nanmean(f1, axis=1),
        "calibration": np.abs(sums[:, -BINS:]).sum(axis=1) / images,
    }


def _roc(probabilities: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """One-vs-rest curves and areas; a class that no test image shows, or every one, has none."""
    from sklearn.metrics import auc, roc_auc_score, roc_curve

    images, classes = truth.shape
    positives = truth.sum(axis=0)
    usable = np.flatnonzero((positives > 0) & (positives < images))
    areas = np.full(classes, np.nan)
    curves: Curves = [None] * classes
    influences = np.zeros((images, len(usable)))
    for column, k in enumerate(usable.tolist()):
        _, influences[:, column] = auc_influence(probabilities[:, k], truth[:, k])
        false, true, _ = roc_curve(truth[:, k], probabilities[:, k])
        areas[k] = auc(false, true)
        curves[k] = _thinned("false_positive_rate", false, "true_positive_rate", true)
    some = len(usable) > 0
    return {
        "areas": areas,
        "intervals": auc_intervals(areas, positives, images - positives),
        "macro_interval": mean_auc_interval(areas[usable], influences) if some else None,
        "summary": {
            "scheme": "one class against the rest",
            "macro_auc": float(areas[usable].mean()) if some else np.nan,
            "weighted_auc": float(np.average(areas[usable], weights=positives[usable])) if some else np.nan,
            "micro_auc": float(roc_auc_score(truth.ravel(), probabilities.ravel())) if some else np.nan,
            "curves": curves,
        },
    }


def _precision_recall(probabilities: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    from sklearn.metrics import average_precision_score, precision_recall_curve

    classes = truth.shape[1]
    averages = np.full(classes, np.nan)
    curves: Curves = [None] * classes
    for k in np.flatnonzero(truth.any(axis=0)).tolist():
        averages[k] = average_precision_score(truth[:, k], probabilities[:, k])
        precision, recall, _ = precision_recall_curve(truth[:, k], probabilities[:, k], drop_intermediate=True)
        curves[k] = _thinned("recall", recall[::-1], "precision", precision[::-1])
    return {
        "average_precision": averages,
        "macro_average_precision": _mean(averages),
        "curves": curves,
    }


def _thinned(x_name: str, x: np.ndarray, y_name: str, y: np.ndarray) -> Mapping[str, list[float]]:
    """Keep at most `CURVE_POINTS` points: half of them even by number, half even by length, and both ends."""
    chosen = np.arange(len(x))
    if len(x) > CURVE_POINTS:
        length = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
        by_length = np.searchsorted(length, np.linspace(0, length[-1], CURVE_POINTS // 2))
        by_number = np.linspace(0, len(x) - 1, CURVE_POINTS // 2).astype(np.int64)
        chosen = np.unique(np.concatenate([by_length, by_number]))
    return {x_name: np.round(x[chosen], 6).tolist(), y_name: np.round(y[chosen], 6).tolist()}


def _mean(values: Sequence[float] | np.ndarray) -> float:
    """The mean of what is defined."""
    present = [value for value in values if np.isfinite(value)]
    return float(np.mean(present)) if present else np.nan
