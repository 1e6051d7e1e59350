"""Format numbers for people: significant digits only, no exponents."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def significant(value: float, digits: int = 3) -> str:
    """Return `value` with so many significant digits: 0.0123, 1.23, 12.3, 1,234 (integer digits are never dropped)."""
    rounded = float(f"{value:.{digits}g}")
    if not math.isfinite(rounded) or rounded == 0:
        return f"{rounded:g}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    return f"{value:,.{decimals}f}"


def mean_and_deviation(
    summary: Mapping[str, Any], show: Callable[[float], str], show_deviation: Callable[[float], str] | None = None
) -> str:
    """Return ``97.76 ± 0.16``, the numbers as `show` writes them; the mean alone where there is no deviation."""
    mean, deviation = show(summary["mean"]), summary["standard_deviation"]
    return mean if deviation is None else f"{mean} ± {(show_deviation or show)(deviation)}"


def compact(value: float) -> str:
    """Return `value` with up to three significant digits and a unit: 500, 61.7k, 2.5M."""
    rounded = float(f"{value:.3g}")
    for size, unit in UNITS:
        if abs(rounded) >= size:
            return f"{rounded / size:.3g}{unit}"
    return f"{rounded:g}"


def number(value: float | None) -> str:
    """Return `value` with four decimals; None, which stands for NaN and infinity in JSON, in words."""
    return "not finite" if value is None else f"{value:.4f}"


def share(value: float | None) -> str:
    """Return a fraction as a percentage, or a dash for None."""
    return "–" if value is None else f"{value:.2%}"
