"""Compare two runs, or two sets of seeds: what changed in the settings, and in the results.

Read from the runs' records alone. How sure one can be of a difference in test accuracy depends on what is there: with
one run on each side, on how many test images there are; with several seeds on each side, on how far they scatter.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import RunError
from zoo.report.shared.statistics import proportions_interval, summarize, welch_interval
from zoo.runs.folder import RUNS, find_run, load_run
from zoo.runs.listing import value_at
from zoo.spec import Run

TEST_IMAGES = {"mnist": 10_000, "fashion_mnist": 10_000}
"""Test images of datasets whose size is fixed, for runs that did not record it."""

EXPERIMENT = ("model", "builder", "task", "dataset", "recipe", "limit", "images", "seed")
ENVIRONMENT = ("device", "device_name", "xla", "deterministic", "threads", "environment")
SAID_ELSEWHERE = ("note", "data.dataset", "seed")  # of a recipe: a text about it, and two fields of EXPERIMENT

CONSEQUENCES = ("builder", "recipe", "task", "images.train", "images.validation", "images.test")
"""Fields that differ because another one does."""

RATIOS = ("epochs", "params", "train_s", "images_per_s")
"""Metrics that are compared by their ratio too."""

Fields = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class _Side:
    """What stands on one side: a run, or the runs of one recipe with several seeds."""

    name: str
    folder: Path
    runs: Sequence[Run]
    unfinished: int

    @property
    def fields(self) -> Fields:
        """By section, what all runs of this side have in common; where they differ, the list of what they have."""
        every = [_fields(run) for run in self.runs]
        if len(every) == 1:
            return every[0]
        return {section: _merged([fields[section] for fields in every]) for section in every[0]}

    def measured(self, metric: str) -> list[float]:
        """The values that the runs have of a metric."""
        values = (_measures(run).get(metric) for run in self.runs)
        return [value for value in values if value is not None]

    def to_dict(self) -> dict[str, Any]:
        return {
            "run": self.name,
            "folder": str(self.folder),
            "model": self.runs[0].document["model"],
            "dataset": self.runs[0].document["dataset"],
            "runs": [run.folder.name for run in self.runs],
            "seeds": [run.document["seed"] for run in self.runs],
            "unfinished": self.unfinished,
        }


def diff_runs(a: str | Path, b: str | Path) -> dict[str, Any]:
    """Compare two runs, or two sets of seeds.

    Args:
        a: a run folder, or its name inside ``runs/``; or a folder of run folders, as ``zoo train --seeds N --output``
            makes it.
        b: another.

    Returns:
        ``a`` and ``b`` (``run``, ``folder``, ``model``, ``dataset``, ``runs``, ``seeds``, and how many are
        ``unfinished`` and left out);
        ``differs``, by section (``recipe``, ``experiment``, ``environment``) the fields that are not the same, each
        with ``field`` (nested ones with dots) and ``a`` and ``b``, missing where a run does not set it;
        ``metrics``, each with ``metric``, the summaries ``a`` and ``b`` (mean, standard_deviation, n), ``difference``
        (b - a), ``ratio`` (b / a) for sizes and times, and Welch's 95% ``interval`` of the difference where both sides
        have several seeds; ``accuracy_interval``, how sure the difference in test accuracy is, or None; and ``notes``,
        what to keep in mind, in sentences.

    Raises:
        RunError: a folder is missing, holds no finished run, or holds runs that differ in more than the seed.
    """
    left, right = _side(a), _side(b)
    fields = left.fields, right.fields
    differs = {section: _differing(fields[0][section], fields[1][section]) for section in fields[0]}
    metrics = [_compared(name, left, right) for name in _metric_names(left, right)]
    same_images = _same_test_images(*fields)
    return {
        "a": left.to_dict(),
        "b": right.to_dict(),
        "differs": differs,
        "metrics": metrics,
        "accuracy_interval": _accuracy_interval(left, right, same_images),
        "notes": _notes(left, right, differs, metrics, same_images),
    }


def _side(path: str | Path) -> _Side:
    folder = find_run(path)
    top = RUNS.resolve()
    name = folder.relative_to(top).as_posix() if folder.is_relative_to(top) and folder != top else str(folder)
    try:
        inside = [] if os.path.lexists(folder / "run.json") else sorted(folder.iterdir())
    except OSError as error:
        raise RunError(f"{folder} cannot be read: {error.strerror or error}. Name another folder.") from error
    finished = [child for child in inside if os.path.lexists(child / "run.json")]
    if not finished:
        return _Side(name, folder, [load_run(folder)], 0)
    unfinished = [child for child in inside if child not in finished and os.path.lexists(child / "checkpoint.npz")]
    runs = [load_run(child) for child in finished]
    _check_one_recipe(folder, runs)
    return _Side(name, folder, runs, len(unfinished))


def _check_one_recipe(folder: Path, runs: Sequence[Run]) -> None:
    """Refuse a folder of runs whose mean would mean nothing."""
    first = _fields(runs[0])
    for run in runs[1:]:
        fields = _fields(run)
        other = [row["field"] for part in ("recipe", "experiment") for row in _differing(first[part], fields[part])]
        other = [field for field in other if field != "seed"]
        if other:
            raise RunError(
                f"{folder} holds runs that differ in more than the seed: {runs[0].folder.name} and {run.folder.name} "
                f"in {', '.join(other)}. Name single runs, or folders that hold one recipe with several seeds."
            )


def _fields(run: Run) -> Fields:
    """Everything about a run that could be another in the next one, by section; nested fields get dotted names."""
    recipe = {name: value for name, value in run.recipe.settings().items() if name not in SAID_ELSEWHERE}
    document: Mapping[str, Any] = run.document
    experiment = {name: document[name] for name in EXPERIMENT if name in document}
    environment = {name: document[name] for name in ENVIRONMENT if name in document}
    if isinstance(environment.get("environment"), Mapping):
        environment |= environment.pop("environment")
    return {
        "recipe": dict(_flat(recipe)),
        "experiment": dict(_flat(experiment)),
        "environment": dict(_flat(environment)),
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for name, value in values.items():
        pairs += _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [(f"{prefix}{name}", value)]
    return pairs


def _merged(every: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return each field's value where all have the same, or the list of the different ones."""
    merged: dict[str, Any] = {}
    for name in dict.fromkeys(name for fields in every for name in fields):
        values: list[Any] = []
        for fields in every:
            if fields.get(name) not in values:
                values.append(fields.get(name))
        merged[name] = values if len(values) > 1 else values[0]
    return merged


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for name in dict.fromkeys([*a, *b]):
        if (name in a) != (name in b) or a[name] != b[name]:
            sides = {side: fields[name] for side, fields in (("a", a), ("b", b)) if name in fields}
            rows.append({"field": name, **sides})
    return rows


def _measures(run: Run) -> dict[str, float]:
    """Every number that a run is judged by."""
    metrics, history = run.document["metrics"], run.document.get("history")
    measures = {name: value_at(metrics, name, kind=float) for name in metrics} if isinstance(metrics, Mapping) else {}
    if isinstance(history, list):
        accuracies = [value_at(epoch, "val_accuracy", kind=float) for epoch in history]
        measures["best_validation_accuracy"] = max((value for value in accuracies if value is not None), default=None)
        measures["epochs"] = len(history)
    measures["params"] = value_at(run.document, "params", kind=int)
    for name in ("train_s", "images_per_s"):
        measures[name] = value_at(run.document, "timing", name, kind=float)
    return {name: value for name, value in measures.items() if value is not None}


def _metric_names(a: _Side, b: _Side) -> list[str]:
    """Return every metric that either side has, the test set's accuracy first."""
    names = dict.fromkeys(name for side in (a, b) for run in side.runs for name in _measures(run))
    order = ["test_accuracy", "test_loss", "validation_accuracy", "validation_loss"]
    last = ["best_validation_accuracy", *RATIOS]
    return [*(n for n in order if n in names), *(n for n in names if n not in order + last),
            *(n for n in last if n in names)]  # fmt: skip


def _compared(metric: str, a: _Side, b: _Side) -> dict[str, Any]:
    values = a.measured(metric), b.measured(metric)
    means = [summarize(side) for side in values]
    left, right = means[0]["mean"], means[1]["mean"]
    difference = right - left if left is not None and right is not None else None
    ratio = right / left if left and right is not None and metric in RATIOS else None
    interval = welch_interval(*values)
    return {
        "metric": metric,
        "a": means[0],
        "b": means[1],
        "difference": difference,
        "ratio": ratio,
        "interval": {"low": interval[0], "high": interval[1]} if interval else None,
    }


def _accuracy_interval(a: _Side, b: _Side, same_images: bool | None) -> dict[str, Any] | None:
    """Return the 95% interval of the difference in test accuracy, how it was found, and whether 0 lies outside.

    One run on each side: by chance of the test images, which are taken for two independent samples. Since the images
    are the same ones, the two accuracies tend to move together, and the interval is wider than it need be. Several
    seeds on each side: by the scatter of the seeds.
    """
    values = a.measured("test_accuracy"), b.measured("test_accuracy")
    counts: tuple[int | None, int | None] = (None, None)
    if len(a.runs) == len(b.runs) == 1:
        method, interval = "independent binomials", None
        counts = _test_images(a.runs[0]), _test_images(b.runs[0])
        shares = [value for side in values for value in side if 0 <= value <= 1]
        if counts[0] and counts[1] and len(shares) == 2:
            interval = proportions_interval(shares[0], shares[1], counts[0], counts[1])
    else:
        method, interval = "Welch's t", welch_interval(*values)
    if interval is None:
        return None
    return {
        "method": method,
        "confidence": 0.95,
        "low": interval[0],
        "high": interval[1],
        "more_than_chance": interval[0] > 0 or interval[1] < 0,
        "test_images": {"a": counts[0], "b": counts[1], "same": same_images},
    }


def _test_images(run: Run) -> int | None:
    """Return how many images a run's test accuracy was measured on, or None where that is not known."""
    recorded = value_at(run.document, "images", "test", kind=int)
    count: int | None = recorded or TEST_IMAGES.get(value_at(run.document, "dataset", kind=str))
    return count if count and count > 0 else None


def _same_test_images(a: Fields, b: Fields) -> bool | None:
    """Return whether both were measured on the same test images, by their digests; None where that is not known."""
    digests = [
        {name: value for name, value in fields["environment"].items() if name.startswith("data_digests.test")}
        for fields in (a, b)
    ]
    if a["experiment"].get("dataset") != b["experiment"].get("dataset"):
        return False
    return digests[0] == digests[1] if all(digests) else None


def _notes(
    a: _Side, b: _Side, differs: Mapping[str, list[Any]], metrics: Sequence[Mapping[str, Any]], same_images: bool | None
) -> list[str]:
    """Return what a reader should keep in mind, in sentences."""
    changed = [row["field"] for part in ("recipe", "experiment") for row in differs[part] if row["field"] != "seed"]
    seed = any(row["field"] == "seed" for row in differs["experiment"])
    notes = []
    if a.folder == b.folder:
        return ["A and B are the same folder."]
    if not changed:
        notes.append(_when_nothing_was_changed(seed, bool(differs["environment"]), metrics))
    causes = [field for field in changed if field not in CONSEQUENCES]
    if len(causes) > 1:
        notes.append(f"{', '.join(causes)} differ at once: these runs cannot tell their effects apart.")
    if same_images is False:
        notes.append("The test images are not the same, so the accuracies are those of two different questions.")
    if len(a.runs) == len(b.runs) == 1:
        if changed:
            notes.append("One seed each does not separate the recipe from the seed: train both with --seeds 3.")
        if not all(_test_images(side.runs[0]) for side in (a, b)):
            notes.append("How many test images there were is not recorded, so nothing is said about chance.")
    elif min(len(a.runs), len(b.runs)) < 2:
        notes.append("An interval for the difference takes several seeds on both sides: train both with --seeds 3.")
    for side in (a, b):
        seeds = [run.document["seed"] for run in side.runs]
        if side.unfinished:
            notes.append(f"{side.name} holds {side.unfinished} unfinished besides, left out.")
        if any(seeds.count(number) > 1 for number in seeds):
            notes.append(f"{side.name} holds a seed twice: the two are no independent measurements.")
    return notes


def _when_nothing_was_changed(seed: bool, environment: bool, metrics: Sequence[Mapping[str, Any]]) -> str:
    if seed:
        what = "the seed and the environment differ" if environment else "the seed differs"
        return f"Recipe and data are the same, only {what}: what the accuracies differ by is chance."
    if environment:
        return "Recipe, data and seed are the same: only the environment differs."
    times = ("train_s", "images_per_s")
    if any(row["difference"] for row in metrics if row["metric"] not in times):
        return (
            "Nothing that is recorded differs, and the metrics do: without --deterministic the same seed does not give "
            "the same bits."
        )
    return "Nothing differs but the time that it took."
