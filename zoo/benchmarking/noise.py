"""The uncertainty of a ratio of two medians, each measured in a few processes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import numpy as np

from zoo.report.shared.statistics import welch_interval

Rounds = Sequence[Sequence[float]]
"""The seconds of a step in each block, round by round; a round is one process."""


def ratio_interval(
    old: Rounds, new: Rounds, *, confidence: float, resamples: int, seed: int
) -> tuple[float, float] | None:
    """Return the interval of ``median(new) / median(old)``, or None where either side has fewer than two rounds.

    Blocks of one process are no independent measurements: they share its memory layout and whatever else the machine
    did just then, so an interval from all blocks alike is far too narrow. The independent unit is the
    process (T. Kalibera, R. Jones, "Rigorous benchmarking in reasonable time", ISMM 2013). Two intervals respect
    that, and this is the union of both, from the lower of the lows to the higher of the highs:

    - A bootstrap in two levels: rounds are drawn with replacement, then blocks within each (A. C. Davison, D. V.
      Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8). It assumes no distribution and is about
      the very ratio that is reported, but is too narrow with few rounds, as intervals from few clusters are (A. C.
      Cameron, J. B. Gelbach, D. L. Miller, "Bootstrap-based improvements for inference with clustered errors",
      Review of Economics and Statistics 90, 2008).
    - Welch's t interval on the logarithms of the rounds' medians, whose quantile grows as the rounds get few. It takes
      those logarithms for normally distributed.

    Either alone errs where its assumption fails; their union claims a change only when both do. Where rounds do not
    differ at all there is no t interval, and the bootstrap's alone counts.

    Args:
        old: what is compared with.
        new: what is compared.
        confidence: of each interval, 0 to 1.
        resamples: of the bootstrap.
        seed: of the bootstrap; the same input gives the same interval.
    """
    if min(len(old), len(new)) < 2:
        return None
    random = np.random.default_rng(seed)
    ratios = _medians(new, resamples, random) / _medians(old, resamples, random)
    low, high = (float(end) for end in np.quantile(ratios, [(1 - confidence) / 2, (1 + confidence) / 2]))
    by_rounds = welch_interval(_logarithms(old), _logarithms(new), confidence)
    if by_rounds is None:
        return low, high
    return min(low, _exponential(by_rounds[0])), max(high, _exponential(by_rounds[1]))


def _medians(rounds: Rounds, resamples: int, random: np.random.Generator) -> np.ndarray:
    """Return the medians of samples drawn in two levels, as many rounds as there are and as many blocks from each."""
    blocks = np.concatenate([np.asarray(values, dtype=np.float64) for values in rounds])
    counts = np.array([len(values) for values in rounds])
    starts = np.cumsum(counts) - counts
    drawn = random.integers(len(rounds), size=(resamples, len(rounds)))
    size = round(statistics.median(counts.tolist()))  # rounds are of equal length in seconds, so nearly so in blocks
    inside = random.random((resamples, len(rounds), size)) * counts[drawn][..., None]
    places = starts[drawn][..., None] + inside.astype(np.int64)
    medians: np.ndarray = np.median(blocks[places].reshape(resamples, -1), axis=1)
    return medians


def _logarithms(rounds: Rounds) -> list[float]:
    return [math.log(statistics.median(values)) for values in rounds]


def _exponential(value: float) -> float:
    """The exponential, held within what a float can be: two wildly different rounds give limits beyond that."""
    return math.exp(min(max(value, -700.0), 700.0))
