"""Estimate the machine's drift between two benchmarks, and correct step times for it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping
from typing import Any

from zoo.benchmarking.noise import Rounds

Document = Mapping[str, Any]
Interval = Callable[[Rounds, Rounds], tuple[float, float] | None]

SAME_YARDSTICK = ("python", "tensorflow", "numpy", "platform", "onednn")
"""What of the environment the yardstick's own seconds depend on, beside the machine and its threads."""


def comparable_yardsticks(old: Document, new: Document) -> bool:
    """Whether a yardstick takes equally long in both documents unless the machine is slower: same software, no GPU.

    On a GPU it would measure the time to start a kernel, which says nothing of long ones.
    """
    sides = [[side["environment"].get(name) for name in SAME_YARDSTICK] for side in (old, new)]
    return sides[0] == sides[1] and not any(side["environment"]["gpu"] for side in (old, new))


def ratio_of_steps(old: Document, new: Document, interval: Interval, *, yardsticks: bool) -> dict[str, Any]:
    """Return the ratio of two cells' steps, in plain seconds or in yardsticks, whichever tells more.

    Quotients do where they vary less between the rounds of one side than seconds, and where the yardstick itself
    differs between the sides, whatever it did within them. Elsewhere dividing would only add the yardstick's noise to
    that of steps which do not follow it.

    Args:
        old: a cell that was measured.
        new: another.
        interval: of the ratio of two medians.
        yardsticks: whether those of the two are comparable.

    Returns:
        `ratio` new / old and its `interval` (low, high, or None), `in_yardsticks`, whether it is that of quotients,
        `seconds_ratio`, and `yardstick_ratio` (None where there is no comparable yardstick).
    """
    steps = _both(old, new, "step_s")
    ratio = _ratio_of_medians(steps)
    row = {"ratio": ratio, "interval": interval(*steps), "in_yardsticks": False}
    row |= {"seconds_ratio": ratio, "yardstick_ratio": None}
    beside = _both(old, new, "yardstick_s")
    if not yardsticks or not all(values for side in beside for values in side):
        return row
    row["yardstick_ratio"] = _ratio_of_medians(beside)
    quotients = (_quotients(steps[0], beside[0]), _quotients(steps[1], beside[1]))
    limits = interval(*beside)
    moved = limits is not None and not limits[0] <= 1 <= limits[1]
    if moved or _spread(quotients) < _spread(steps):
        row |= {"ratio": _ratio_of_medians(quotients), "interval": interval(*quotients), "in_yardsticks": True}
    return row


def _both(old: Document, new: Document, name: str) -> tuple[Rounds, Rounds]:
    """The blocks of both cells, round by round; empty where an older record has none."""
    before, after = ([each.get(name) or [] for each in cell["rounds"]] for cell in (old, new))
    return before, after


def _quotients(steps: Rounds, yardsticks: Rounds) -> Rounds:
    """Steps in units of the yardstick of their round: its median, since a single one is as noisy as it is short."""
    units = [statistics.median(values) for values in yardsticks]
    return [[step / unit for step in values] for values, unit in zip(steps, units, strict=True)]


def _ratio_of_medians(sides: tuple[Rounds, Rounds]) -> float:
    old, new = (statistics.median([value for values in rounds for value in values]) for rounds in sides)
    return float(new / old)


def _spread(sides: tuple[Rounds, Rounds]) -> float:
    """The standard deviation of the rounds' logarithms about the mean of their own side."""
    centred: list[float] = []
    for rounds in sides:
        logarithms = [math.log(statistics.median(values)) for values in rounds]
        mean = statistics.fmean(logarithms)
        centred += [value - mean for value in logarithms]
    return math.sqrt(sum(value**2 for value in centred) / max(len(centred) - len(sides), 1))
