"""95% confidence intervals of metrics on a test set.

Proportions get Wilson's interval, F1 one derived from it, AUC Newcombe's: these keep their width where the estimate
is perfect, unlike the textbook's normal interval. What has no such formula gets a bootstrap over the images.
"""

from __future__ import annotations

from zoo.lazy import np
from zoo.report.shared import statistics

LEVEL = 0.95
Z = 1.959963984540054
"""The standard normal distribution's 97.5th percentile."""

RESAMPLES = 1000
SEED = 0

CELLS_AT_ONCE = 4_000_000
"""Images times resamples held in memory at a time (32 MB)."""


def wilson(successes: np.ndarray, trials: np.ndarray) -> np.ndarray:
    """Return Wilson's intervals (..., 2) of proportions, NaN without trials; see `zoo.report.shared.statistics`.

    Args:
        successes: counts, any shape.
        trials: counts, the same shape.
    """
    n = np.where(np.asarray(trials) > 0, trials, np.nan).astype(np.float64)
    share = np.asarray(successes) / n
    low, high = statistics.wilson(share, n, Z)
    low, high = np.where(share == 0, 0.0, low), np.where(share == 1, 1.0, high)
    return np.stack([low + 0 * n, high + 0 * n], axis=-1)


def f1_intervals(hits: np.ndarray, either: np.ndarray) -> np.ndarray:
    """Return the intervals (..., 2) of F1 scores, NaN where a class neither occurs nor is predicted.

    F1 = 2s / (1 + s), where s is the share of hits among the images that show the class or are taken for it
    (Hand, Christen and Kirielle 2021, "F*: an interpretable transformation of the F-measure"). That share gets
    Wilson's interval. A bootstrap would have no width for a class without mistakes.

    Args:
        hits: images of the class that are named right, any shape.
        either: images that show the class, or are taken for it, or both; the same shape.
    """
    share = wilson(hits, either)
    return 2 * share / (1 + share)


def auc_intervals(areas: np.ndarray, positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """Return the intervals (..., 2) of areas under ROC curves, NaN where an area is.

    Method 5 of Newcombe (2006), "Confidence intervals for an effect size measure based on the Mann-Whitney
    statistic, part 2": the areas that differ from the estimate by no more than `Z` of their own standard
    errors, those by Hanley and McNeil (1982), with both group sizes in their formula replaced by their mean.

    Args:
        areas: estimates in 0..1, any shape.
        positives: images of the class, the same shape.
        negatives: images of the other classes, the same shape.
    """
    areas = np.asarray(areas, dtype=np.float64)
    low = _lower_area(areas, positives, negatives)
    return np.stack([low, 1 - _lower_area(1 - areas, positives, negatives)], axis=-1)


def _lower_area(areas: np.ndarray, positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """Bisect for the area below the estimate that is `Z` of its own standard errors away from it."""
    low, high = np.zeros_like(areas), areas.copy()
    size = (np.asarray(positives) + np.asarray(negatives)) / 2
    pairs = np.maximum(np.asarray(positives, dtype=np.float64) * negatives, 1)
    for _ in range(60):
        area = (low + high) / 2
        spread = 1 + (size - 1) * ((1 - area) / (2 - area) + area / (1 + area))
        near = areas - area < Z * np.sqrt(area * (1 - area) * spread / pairs)
        low, high = np.where(near, low, area), np.where(near, area, high)
    return low + 0 * areas


def mean_auc_interval(areas: np.ndarray, influences: np.ndarray) -> np.ndarray | None:
    """Return the interval (2,) of the mean of several classes' areas, or None where no image tells its spread.

    The variance is that of DeLong, DeLong and Clarke-Pearson (1988), "Comparing the areas under two or more
    correlated ROC curves", which knows that all areas come from the same images; the interval is symmetric
    for the area's logit.

    Args:
        areas: estimates (classes,).
        influences: how each image moves each area, (N, classes), from `auc_influence`.
    """
    area = float(areas.mean())
    error = float(np.sqrt(np.mean(influences.mean(axis=1) ** 2) / len(influences)))
    if not 0 < area < 1 or error == 0:
        return None
    logit, reach = np.log(area / (1 - area)), Z * error / (area * (1 - area))
    return 1 / (1 + np.exp(-(logit + np.array([-reach, reach]))))


def auc_influence(scores: np.ndarray, is_positive: np.ndarray) -> tuple[float, np.ndarray]:
    """Return a class's area under the ROC curve, and how each image moves it.

    The midrank method of Sun and Xu (2014), "Fast implementation of DeLong's algorithm".

    Args:
        scores: the class's probabilities (N,).
        is_positive: which images show the class, bool (N,), some of both kinds.

    Returns:
        The area, and float64 (N,): each image's structural component less the area, over its group's share.
    """
    from scipy.stats import rankdata

    positive, negative = scores[is_positive], scores[~is_positive]
    ranks = rankdata(scores)
    above = (ranks[is_positive] - rankdata(positive)) / len(negative)
    below = 1 - (ranks[~is_positive] - rankdata(negative)) / len(positive)
    area = float(above.mean())
    influence = np.empty(len(scores))
    influence[is_positive] = (above - area) * len(scores) / len(positive)
    influence[~is_positive] = (below - area) * len(scores) / len(negative)
    return area, influence


def resampled_sums(columns: np.ndarray, *, resamples: int = RESAMPLES, seed: int = SEED) -> np.ndarray:
    """Resample the images with replacement and return each draw's sums (resamples, columns).

    The bootstrap of Efron (1979), for every statistic that is a function of sums over images.

    Args:
        columns: what is summed, a sparse or dense array (N, columns).
        resamples: how often.
        seed: of the draws.
    """
    from scipy.sparse import csr_array

    transposed = csr_array(columns).T.tocsr()
    images = columns.shape[0]
    generator = np.random.default_rng(seed)
    sums = np.empty((resamples, columns.shape[1]))
    step = max(1, CELLS_AT_ONCE // images)
    for start in range(0, resamples, step):
        draws = min(step, resamples - start)
        cells = generator.integers(0, images, size=(images, draws)) * draws + np.arange(draws)
        times = np.bincount(cells.ravel(), minlength=images * draws).reshape(images, draws).astype(np.float64)
        sums[start : start + draws] = (transposed @ times).T
    return sums


def percentile_interval(draws: np.ndarray) -> np.ndarray:
    """Return the middle 95% of each column of `draws` (resamples, ...) as (..., 2), undefined draws left out."""
    draws = np.asarray(draws)
    interval = np.full((*draws.shape[1:], 2), np.nan)
    some = np.isfinite(draws).any(axis=0)
    edges = [100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2]
    interval[some] = np.moveaxis(np.nanpercentile(draws[:, some], edges, axis=0), 0, -1)
    return interval


def basic_interval(estimate: float, draws: np.ndarray) -> np.ndarray:
    """Return the interval (2,) of something that is at least 0 and that a resample overstates.

    The basic bootstrap (Davison and Hinkley 1997, section 5.2.1): as far as the draws lie above the estimate,
    the estimate itself is taken to lie above the truth.
    """
    low, high = percentile_interval(draws)
    return np.maximum(0.0, 2 * estimate - np.array([high, low]))
