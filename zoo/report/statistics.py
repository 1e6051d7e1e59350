"""Numbers about numbers: what several runs of the same thing amount to."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def summarize(values: Sequence[float | None]) -> dict[str, float | int | None]:
    """Return the mean, the sample standard deviation (None for one value) and n; missing values count out."""
    present = [value for value in values if value is not None]
    return {
        "mean": statistics.fmean(present) if present else None,
        "standard_deviation": statistics.stdev(present) if len(present) > 1 else None,
        "n": len(present),
    }
