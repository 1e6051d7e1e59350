"""Compare a run's results with the published numbers and with zoo's own. No side effects."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from zoo.errors import RunError
from zoo.report.shared.statistics import summarize
from zoo.spec.claims import METRIC, Claim

CONFIDENCE = 0.99


def measure(document: Mapping[str, Any], metric: str) -> float:
    """Return what a run (the document of ``zoo train``) has measured for a claim's metric, as a fraction.

    Raises:
        RunError: the run has no such number: it ended before that epoch, or nothing was validated.
    """
    found = METRIC.fullmatch(metric)
    if metric == "test_accuracy":
        value = document["metrics"].get("test_accuracy")
    elif found and found[1]:
        value = _after_epoch(document["history"], int(found[1]))
    else:
        value = document["history"][-1].get("accuracy")
    if value is None:
        raise RunError(
            f"The run of {document['model']} with seed {document['seed']} has not measured {metric}. "
            "Let the recipe validate, or claim another metric."
        )
    return float(value)


def _after_epoch(history: Sequence[Mapping[str, Any]], epoch: int) -> float | None:
    if len(history) < epoch:
        raise RunError(
            f"The run ended after {len(history)} epochs, so there is no val_accuracy@{epoch}. Claim an earlier epoch."
        )
    return history[epoch - 1].get("val_accuracy")


def compare(claim: Claim, values: Sequence[float]) -> dict[str, Any]:
    """Compare a run's numbers with a claim.

    Args:
        claim: what was published, and what zoo expects.
        values: one share per seed; may be empty.

    Returns:
        `text`, `metric`, `kind` and `published` (a share or None); `expected` and `measured`, each with `mean`,
        `standard_deviation` and `n` (`expected` may be None; `measured` has the `values` too); and the verdicts,
        `against_publication` and `against_expectation`.
    """
    measured = {**summarize(values), "values": list(values)}
    expected = None
    if claim.mean is not None:
        expected = {"mean": claim.mean, "standard_deviation": claim.deviation, "n": claim.seeds}
    return {
        "text": claim.text,
        "metric": claim.metric,
        "kind": claim.kind,
        "published": claim.value,
        "expected": expected,
        "measured": measured,
        "against_publication": _against_publication(claim, expected, measured),
        "against_expectation": _against_expectation(expected, measured),
    }


def _against_expectation(expected: Mapping[str, Any] | None, measured: Mapping[str, Any]) -> dict[str, Any]:
    """Is the mean of this run's m seeds one that n earlier ones let expect?

    The band is the 99% prediction interval for the mean of m further values of a normal distribution, given n with
    mean x and sample deviation s: ``x ± t(0.995, n-1) s sqrt(1/n + 1/m)`` (Meeker, Hahn and Escobar, Statistical
    Intervals, 2nd edition, 2017, chapter 4). `difference` is how far the mean lies outside of it, 0 inside, in shares.
    """
    if measured["mean"] is None:
        return {"verdict": "not measured", "low": None, "high": None, "difference": None}
    if expected is None:
        return {"verdict": "no expectation yet", "low": None, "high": None, "difference": None}
    n, m = expected["n"], measured["n"]
    reach = _quantile(n - 1) * expected["standard_deviation"] * math.sqrt(1 / n + 1 / m)
    low, high = expected["mean"] - reach, expected["mean"] + reach
    difference = max(0.0, measured["mean"] - high) + min(0.0, measured["mean"] - low)
    if abs(difference) < 1e-9:  # arithmetic, not accuracy: one test image in 10,000 is 1e-4
        return {"verdict": "as expected", "low": low, "high": high, "difference": 0.0}
    return {
        "verdict": "above its band" if difference > 0 else "below its band",
        "low": low,
        "high": high,
        "difference": difference,
    }


def _against_publication(
    claim: Claim, expected: Mapping[str, Any] | None, measured: Mapping[str, Any]
) -> dict[str, Any]:
    """Does the mean of this run reach what was published? `difference` is mean minus published, as a fraction.

    A number below the published one still `agrees` with it when the text says "about" and both round to the same
    whole percent, or when the text gives the number of one training and that lies within the spread of single
    seeds (see `_reach_of_one_seed`). Where no spread is known it is `undecided`.
    """
    if claim.value is None:
        return {"verdict": "nothing published", "difference": None, "reach": None}
    if measured["mean"] is None:
        return {"verdict": "not measured", "difference": None, "reach": None}
    difference = measured["mean"] - claim.value
    reach = _reach_of_one_seed(expected, measured) if claim.kind == "exact" else None
    if difference > -1e-9:
        verdict = "reached"
    elif claim.kind == "about" and _whole_percent(measured["mean"]) == _whole_percent(claim.value):
        verdict = "agrees"
    elif claim.kind != "exact":
        verdict = "missed"
    elif reach is None:
        verdict = "undecided"
    else:
        verdict = "agrees" if -difference <= reach else "missed"
    return {"verdict": verdict, "difference": difference, "reach": reach}


def _reach_of_one_seed(expected: Mapping[str, Any] | None, measured: Mapping[str, Any]) -> float | None:
    """How far one seed's number may lie from this run's mean: half the width of its 99% prediction interval.

    ``t(0.995, d) s sqrt(1 + 1/m)`` with m seeds in this run (formula of `_against_expectation`). The deviation s
    with its d degrees of freedom is pooled from this run's seeds and from those of the expectation; without two
    seeds in either there is none, and the answer is None.
    """
    samples = [sample for sample in (expected, measured) if sample and sample["standard_deviation"] is not None]
    degrees = sum(sample["n"] - 1 for sample in samples)
    if not degrees:
        return None
    variance = sum((sample["n"] - 1) * sample["standard_deviation"] ** 2 for sample in samples) / degrees
    return _quantile(degrees) * math.sqrt(variance * (1 + 1 / measured["n"]))


def _quantile(degrees: int) -> float:
    """Student's t that `CONFIDENCE` of all values lie within, either side."""
    from scipy import stats

    return float(stats.t.ppf((1 + CONFIDENCE) / 2, degrees))


def _whole_percent(share: float) -> int:
    return math.floor(share * 100 + 0.5)
