"""Compare two benchmarks: which cells and trainings changed speed by more than noise explains.

Pure: two documents in, one out, nothing is measured.
"""

from __future__ import annotations

import collections
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.benchmarking.conditions import (
    SIDES,
    about_networks,
    about_warm_up,
    machine_cautions,
    machine_differences,
    no_result,
    other_settings,
    peak_differences,
    settings_differences,
    version_differences,
)
from zoo.benchmarking.drift import comparable_yardsticks, ratio_of_steps
from zoo.benchmarking.matrix import Cell
from zoo.benchmarking.noise import Rounds, ratio_interval
from zoo.errors import RecipeError, RunError
from zoo.report.shared.statistics import welch_interval

Document = Mapping[str, Any]
Row = dict[str, Any]

VERDICTS = ("slower", "faster", "no change", "not comparable")

COARSE = 0.10
"""A change that one would want to see; a cell whose noise hides it is worth a warning."""


@dataclass(frozen=True)
class _Rules:
    """What a change is measured by; see `compare`."""

    confidence: float
    threshold: float
    resamples: int
    seed: int
    other_machine: bool
    yardsticks: bool

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise RecipeError(f"confidence must lie between 0 and 1, received {self.confidence}. Change confidence.")
        if not self.threshold >= 0:
            raise RecipeError(f"threshold must be at least 0, received {self.threshold}. Change threshold.")
        if self.resamples < 100:
            raise RecipeError(f"resamples must be at least 100, received {self.resamples}. Change resamples.")

    def interval(self, old: Rounds, new: Rounds) -> tuple[float, float] | None:
        """Return the interval of the ratio of the medians, see `zoo.benchmarking.noise`."""
        return ratio_interval(old, new, confidence=self.confidence, resamples=self.resamples, seed=self.seed)

    def verdict(self, ratio: float, interval: tuple[float, float]) -> tuple[str, str | None]:
        """Return the verdict on a ratio, and why there is no change where there is none."""
        if interval[0] <= 1 <= interval[1]:
            return "no change", "within noise"
        if max(ratio, 1 / ratio) <= 1 + self.threshold:
            return "no change", f"beyond noise, but less than {self.threshold:.0%}"
        return ("slower" if ratio > 1 else "faster"), None


def compare(
    old: Document,
    new: Document,
    *,
    confidence: float = 0.99,
    threshold: float = 0.05,
    resamples: int = 2000,
    seed: int = 0,
    anyway: bool = False,
) -> dict[str, Any]:
    """Compare two benchmark documents, cell by cell and training by training.

    A change is claimed only where the interval of its ratio leaves out 1 (see `zoo.benchmarking.noise` for cells;
    Welch's on logarithms for trainings) and the ratio itself is beyond `threshold`: noise that no interval within one
    benchmark can know of, as when a machine is busier for an hour, hides in changes of a few percent.

    A machine's own drift is taken out where it can be seen: cells carry the seconds of a yardstick, fixed work timed
    between their steps, and where these explain how the steps vary, or differ between the records, steps are compared
    in units of it (see `zoo.benchmarking.drift`). The row says so.

    Args:
        old: a document as ``zoo/benchmarking/schema.json`` describes it.
        new: another.
        confidence: of the intervals, 0 to 1.
        threshold: the smallest change worth claiming: 0.05 claims ratios above 1.05 and below 1 / 1.05.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        anyway: compare records of different machines too.

    Returns:
        `old` and `new` (`command`, `date`); `confidence`, `threshold`, `anyway`; `machine_differences`,
        `version_differences` and `settings_differences`, each a list of `name`, `old`, `new`; `peaks`, the machine's
        own speed in both; `cells` and `trainings`, each with `name`, `ratio` new / old (above 1 is slower), `interval`
        (`low`, `high`, or None), `verdict` (one of `VERDICTS`) and `reason` (None where the verdict says it all); of
        cells also `seconds_ratio`, new / old of the plain seconds, `yardstick_ratio`, the same of the yardstick or
        None, and `in_yardsticks`, whether `ratio` is that of the quotients; `only_in_old` and `only_in_new`, names;
        `summary`, how often each verdict came; and
        `cautions`, what to keep in mind, in sentences.

    Raises:
        RunError: the machines differ and `anyway` is not set, or the documents have nothing in common.
        RecipeError: `confidence`, `threshold` or `resamples` is not what it must be.
    """
    machine = machine_differences(old, new)
    rules = _Rules(confidence, threshold, resamples, seed, bool(machine), comparable_yardsticks(old, new))
    if machine and not anyway:
        raise RunError(_refusal(machine))
    cells, *alone = _paired(old["cells"], new["cells"], _cell_name, lambda a, b: _compared_cells(a, b, rules))
    trainings, *others = _paired(
        old["trainings"], new["trainings"], _training_name, lambda a, b: _compared_trainings(a, b, rules)
    )
    if not cells and not trainings:
        raise RunError("The two records have no cell and no training in common. Measure both with the same options.")
    peaks = peak_differences(old, new)
    return {
        "old": {name: old[name] for name in ("command", "date")},
        "new": {name: new[name] for name in ("command", "date")},
        "confidence": confidence,
        "threshold": threshold,
        "anyway": anyway,
        "machine_differences": machine,
        "version_differences": version_differences(old, new),
        "settings_differences": settings_differences(old, new),
        "peaks": peaks,
        "cells": cells,
        "trainings": trainings,
        "only_in_old": alone[0] + others[0],
        "only_in_new": alone[1] + others[1],
        "summary": _counted([*cells, *trainings]),
        "cautions": [*machine_cautions(peaks), *_cautions(cells, trainings, rules)],
    }


def slower_than(comparison: Document, limit: float) -> list[Row]:
    """Return the cells and trainings whose verdict is slower and whose ratio is at least `limit`.

    A limit within the comparison's own threshold adds nothing to the verdict.

    Raises:
        RecipeError: `limit` is not above 1.
    """
    if not (limit > 1 and math.isfinite(limit)):
        raise RecipeError(f"The limit must be a ratio new/old above 1, as in 1.1, received {limit}. Change the limit.")
    rows = [*comparison["cells"], *comparison["trainings"]]
    return [row for row in rows if row["verdict"] == "slower" and row["ratio"] >= limit]


def failures(comparison: Document, limit: float) -> list[str]:
    """Return why a check of `limit` fails, a sentence for each reason; none if it passes.

    It fails for what `slower_than` finds, for what was measured in old and no longer is in new, and where nothing at
    all could be judged: a check that looked at nothing must not pass.

    Raises:
        RecipeError: `limit` is not above 1.
    """
    rows = [*comparison["cells"], *comparison["trainings"]]
    lines = [f"{row['name']} is {row['ratio']:.2f} times as slow as before." for row in slower_than(comparison, limit)]
    lines += [f"{row['name']} was measured in old and not in new: {row['reason']}." for row in rows if _lost(row)]
    lines += [f"{name} is missing in new." for name in comparison["only_in_old"]]
    if not lines and not any(row["interval"] for row in rows):
        lines.append("Nothing could be judged, so nothing is known to be as fast as before: measure with --rounds 5.")
    return lines


def _lost(row: Row) -> bool:
    kind = "step_s" if "old_step_s" in row else "training_s"
    return row[f"old_{kind}"] is not None and row[f"new_{kind}"] is None


def _refusal(machine: Sequence[Row]) -> str:
    what = ", ".join(f"{row['name']} is {row['old']} in old and {row['new']} in new" for row in machine)
    return (
        f"The records come from different machines: {what}. What differs between their times is not the code alone: "
        "measure both on one machine, or compare them --anyway."
    )


def _paired(
    old: Sequence[Document], new: Sequence[Document], name: Callable[[Document], str], compared: Callable[..., Row]
) -> tuple[list[Row], list[str], list[str]]:
    """Return a row for each name on both sides, and the names on one side only; of doubles the first counts."""
    before, after = ({name(entry): entry for entry in reversed(entries)} for entries in (old, new))
    order = dict.fromkeys(name(entry) for entry in [*old, *new])
    rows = [{"name": each, **compared(before[each], after[each])} for each in order if each in before and each in after]
    return rows, [each for each in order if each not in after], [each for each in order if each not in before]


def _cell_name(cell: Document) -> str:
    """All that was asked for, in words; what is alike in this is a pair."""
    requested = cell["requested"]
    device = "" if requested["device"] == "auto" else f", {requested['device']}"
    return f"{Cell(cell['model'], cell['mode'], **requested)}{device}"


def _training_name(training: Document) -> str:
    target = "its recipe's end" if training["target"] is None else f"{training['target']:.2%}"
    return f"{training['model']}/{training['recipe']} on {training['dataset']} to {target}"


def _compared_cells(old: Document, new: Document, rules: _Rules) -> Row:
    pair = dict(zip(SIDES, (old, new), strict=True))
    medians = [cell["step_s"]["median"] if cell["status"] == "ok" else None for cell in pair.values()]
    row: Row = {"model": old["model"], "mode": old["mode"], **old["requested"]}
    row |= {"old_step_s": medians[0], "new_step_s": medians[1], **_undecided(), "cautions": about_networks(pair)}
    row |= {"seconds_ratio": None, "yardstick_ratio": None, "in_yardsticks": False}
    row["rounds"] = {side: len(cell["rounds"]) for side, cell in pair.items()}
    hindrance = no_result(pair) or other_settings(pair, other_machine=rules.other_machine)
    if hindrance:
        return row | {"reason": hindrance}
    row |= ratio_of_steps(old, new, rules.interval, yardsticks=rules.yardsticks)
    interval = row["interval"]
    if interval is None:
        return row | {"reason": "one round does not tell noise from change: measure with --rounds 5"}
    row["cautions"] += about_warm_up(pair)
    return row | _decided(row["ratio"], interval, rules)


def _compared_trainings(old: Document, new: Document, rules: _Rules) -> Row:
    """Compare the steady training's seconds of the seeds that reached the target, and all seeds' test accuracy.

    The ratio is that of the geometric means, whose interval Welch's on logarithms is.
    """
    pair = dict(zip(SIDES, (old, new), strict=True))
    reached = [
        [run["training_s"] for run in each["runs"] if run["reached"] and run["training_s"]] for each in (old, new)
    ]
    logarithms = [[math.log(value) for value in values] for values in reached]
    means = [math.exp(statistics.fmean(values)) if values else None for values in logarithms]
    row: Row = {name: old[name] for name in ("model", "recipe", "dataset", "target")}
    row |= {"old_training_s": means[0], "new_training_s": means[1], **_undecided(), "cautions": about_networks(pair)}
    row["accuracy"] = _compared_accuracy(old, new, rules)
    row["failures"] = {side: {"count": each["failures"], "seeds": len(each["runs"])} for side, each in pair.items()}
    hindrance = no_result(pair) or other_settings(pair, other_machine=rules.other_machine)
    if hindrance:
        return row | {"reason": hindrance}
    if means[0] is None or means[1] is None:
        lacking = " and ".join(side for side, mean in zip(SIDES, means, strict=True) if mean is None)
        return row | {"reason": f"no seed reached the target in {lacking}"}
    row["ratio"] = means[1] / means[0]
    interval = welch_interval(logarithms[0], logarithms[1], rules.confidence)
    if interval is None:
        return row | {"reason": "it takes two seeds that reached the target on each side: measure with --seeds 3"}
    if any(each["failures"] for each in pair.values()):
        row["cautions"].append("Only the seeds that reached the target are in the seconds.")
    return row | _decided(row["ratio"], (math.exp(interval[0]), math.exp(interval[1])), rules)


def _compared_accuracy(old: Document, new: Document, rules: _Rules) -> Row:
    """Means over all seeds that ended, 0 to 1; `difference` is new - old, with Welch's interval."""
    values = [[run["test_accuracy"] for run in side["runs"] if run["test_accuracy"] is not None] for side in (old, new)]
    means = [statistics.fmean(side) if side else None for side in values]
    interval = welch_interval(values[0], values[1], rules.confidence)
    return {
        **dict(zip(SIDES, means, strict=True)),
        "difference": means[1] - means[0] if means[0] is not None and means[1] is not None else None,
        "interval": None if interval is None else {"low": interval[0], "high": interval[1]},
        "more_than_chance": interval is not None and not interval[0] <= 0 <= interval[1],
    }


def _undecided() -> Row:
    return {"ratio": None, "interval": None, "verdict": "not comparable", "reason": None}


def _decided(ratio: float, interval: tuple[float, float], rules: _Rules) -> Row:
    verdict, reason = rules.verdict(ratio, interval)
    return {"interval": {"low": interval[0], "high": interval[1]}, "verdict": verdict, "reason": reason}


def _cautions(cells: Sequence[Row], trainings: Sequence[Row], rules: _Rules) -> list[str]:
    """Return what holds for single rows, and what for the table as a whole."""
    lines = [f"{row['name']}: {caution}" for row in [*cells, *trainings] for caution in row["cautions"]]
    moved = [row["yardstick_ratio"] for row in cells if row["in_yardsticks"]]
    if moved:
        lines.append(
            f"{len(moved)} of {len(cells)} cells are compared in units of the yardstick measured between their steps "
            f"(it took {min(moved):.2f} to {max(moved):.2f} times as long in new), so new / old is not the quotient of "
            "the milliseconds beside it: what the machine itself lost or gained is left out."
        )
    judged = [row for row in cells if row["interval"]]
    coarse = [row for row in judged if row["verdict"] == "no change" and _half_width(row) > COARSE]
    if coarse:
        lines.append(
            f"{len(coarse)} of {len(judged)} cells are too noisy to show a change of {COARSE:.0%}, which is no proof "
            "that there is none: measure with more rounds (--rounds 5 or more), on a machine with nothing else to do."
        )
    by_chance = len(judged) * (1 - rules.confidence)
    if by_chance >= 0.5:
        lines.append(
            f"With {len(judged)} cells, each at {rules.confidence:.0%}, about {by_chance:.0f} may lie outside its "
            "interval by chance: measure again what has changed."
        )
    return lines


def _half_width(row: Row) -> float:
    """Half of the interval, as a share of its middle on the logarithmic scale."""
    return math.sqrt(row["interval"]["high"] / row["interval"]["low"]) - 1


def _counted(rows: Iterable[Row]) -> dict[str, int]:
    found = collections.Counter(row["verdict"] for row in rows)
    return {verdict: found[verdict] for verdict in VERDICTS}
