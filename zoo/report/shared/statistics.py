"""Summary statistics over several runs of the same experiment."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any


def summarize(values: Sequence[float | None]) -> dict[str, float | int | None]:
    """Return the mean, the sample standard deviation (None for one value) and n; missing values count out."""
    present = [value for value in values if value is not None]
    return {
        "mean": statistics.fmean(present) if present else None,
        "standard_deviation": statistics.stdev(present) if len(present) > 1 else None,
        "n": len(present),
    }


def welch_interval(a: Sequence[float], b: Sequence[float], confidence: float = 0.95) -> tuple[float, float] | None:
    """Return the interval of ``mean(b) - mean(a)`` for two samples of unequal variance, or None without spread.

    Welch's t interval, with the degrees of freedom of Welch and Satterthwaite (B. L. Welch, "The generalization of
    'Student's' problem when several different population variances are involved", Biometrika 34, 1947). None too
    where a sample has fewer than two values.
    """
    if min(len(a), len(b)) < 2:
        return None
    squares = [statistics.variance(values) / len(values) for values in (a, b)]
    if sum(squares) == 0:
        return None
    from scipy.special import stdtrit  # the quantile of Student's t; scipy.stats would take three times as long to load

    shares = [square / sum(squares) for square in squares]
    freedom = 1 / sum(share**2 / (len(values) - 1) for share, values in zip(shares, (a, b), strict=True))
    half = float(stdtrit(freedom, (1 + confidence) / 2)) * math.sqrt(sum(squares))
    difference = statistics.fmean(b) - statistics.fmean(a)
    return difference - half, difference + half


def proportions_interval(a: float, b: float, n_a: int, n_b: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval of ``b - a`` for two proportions (0..1) of `n_a` and `n_b` independent trials.

    Newcombe's hybrid of two Wilson intervals, his method 10, which holds near 0 and 1 where accuracies lie
    (R. G. Newcombe, "Interval estimation for the difference between independent proportions", Statistics in
    Medicine 17, 1998).
    """
    z = statistics.NormalDist().inv_cdf((1 + confidence) / 2)
    (low_a, high_a), (low_b, high_b) = wilson(a, n_a, z), wilson(b, n_b, z)
    return b - a - math.hypot(b - low_b, high_a - a), b - a + math.hypot(high_b - b, a - low_a)


def wilson(share: Any, n: Any, z: float) -> tuple[Any, Any]:
    """Return E. B. Wilson's score interval of a proportion of `n` trials, numbers or arrays of them.

    "Probable inference, the law of succession, and statistical inference", Journal of the American Statistical
    Association 22, 1927.

    Args:
        z: the quantile of the normal distribution that the level of confidence stands for.
    """
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * (share * (1 - share) / n + z**2 / (4 * n**2)) ** 0.5
    return middle - half, middle + half
