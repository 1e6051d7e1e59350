"""Time to accuracy: train each seed of each model in its own process, alternating models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo import registry
from zoo.benchmarking.record import distribution
from zoo.errors import RecipeError
from zoo.execution import Executor, Job, Outcome
from zoo.spec.recipe import Recipe

FACTS = ("origin", "dataset", "resolved", "params", "macs")


class Trainings:
    """What is trained for a benchmark, and what it came to.

    Args:
        models: names.
        until: the test accuracy at which a training ends; None: at the recipe's end.
        recipe: the recipe's name.
        seeds: trainings of each model, with seeds from 0 on.
        device: auto, cpu, gpu or gpu:N.
        overrides: fields of the recipe that are to be otherwise.
        data_dir: a folder of files to read the dataset from.
        executor: where they are trained.

    Raises:
        RecipeError: `until` is no share, fewer than one seed, or a recipe holds images out and so cannot watch the
            test images.
        UnknownNameError: a model has no such recipe.
    """

    def __init__(
        self,
        models: Sequence[str],
        *,
        until: float | None,
        recipe: str,
        seeds: int,
        device: str,
        overrides: Mapping[str, Any],
        data_dir: str | Path | None,
        executor: Executor,
    ) -> None:
        if until is not None and not 0 < until <= 1:
            raise RecipeError(f"until must be above 0 and at most 1, received {until}. Write 99% as 0.99.")
        if seeds < 1:
            raise RecipeError(f"seeds must be at least 1, received {seeds}. Pass for example 3.")
        for model in models:
            if not registry.needs_import(model):
                _check(model, registry.get(model).recipe(recipe), until)  # before anything is measured
        self.models, self.until, self.seeds, self.executor = models, until, seeds, executor
        folder = str(Path(data_dir).resolve()) if data_dir is not None else None
        self._arguments: dict[str, Any] = {
            "recipe": recipe,
            "target": until,
            "device": device,
            "overrides": dict(overrides),
            "data_dir": folder,
        }
        self._runs: dict[str, list[dict[str, Any]]] = {model: [] for model in models}
        self._facts: dict[str, dict[str, Any]] = {model: {} for model in models}
        self._problems: dict[str, Outcome] = {}

    @property
    def turns(self) -> list[tuple[str, int]]:
        """Each training, a model and a seed: the models take turns, seed by seed."""
        return [(model, seed) for seed in range(self.seeds) for model in self.models]

    def train(self, model: str, seed: int) -> str:
        """Train once, and return a line that says what came of it."""
        if model in self._problems:
            return f"{model}: not tried again"
        if seed == 0 and (problem := self._fetch(model)):
            self._problems[model] = problem
            return f"{model}: {problem.reason}"
        (outcome,) = self.executor.map([Job("time_training", {"model": model, "seed": seed, **self._arguments})])
        if outcome.status != "ok":
            self._runs[model].append(_broken(seed, outcome.reason))
            if seed == 0:
                self._problems[model] = outcome  # what cannot be trained once is not tried for every seed
            return f"{model}, seed {seed}: {outcome.status.replace('_', ' ')}: {outcome.reason}"
        self._facts[model] = {name: outcome.result[name] for name in FACTS}
        run = outcome.result["run"]
        self._runs[model].append(run)
        missed = "" if run["reached"] else ", the target was not reached"
        return f"{model}, seed {seed}: {run['test_accuracy']:.2%} in {run['training_s']:.1f} s of training{missed}"

    def _fetch(self, model: str) -> Outcome | None:
        """Have the dataset in the cache before any clock runs; return what went wrong, or None."""
        if self._arguments["data_dir"] is not None:
            return None
        (outcome,) = self.executor.map([Job("fetch", {"model": model, "recipe": self._arguments["recipe"]})])
        return None if outcome.status == "ok" else outcome

    def entries(self) -> list[dict[str, Any]]:
        """Return an entry for each model, as the document has it."""
        return [self._entry(model) for model in self.models]

    def _entry(self, model: str) -> dict[str, Any]:
        runs, facts = self._runs[model], self._facts[model]
        finished = [run for run in runs if run["error"] is None]
        reached = [run for run in finished if run["reached"]]
        problem = self._problems.get(model)
        status = problem.status if problem else "ok" if runs else "skipped"
        reason = problem.reason if problem else None if runs else "it was not trained before the time was over"
        broken = next((run["error"] for run in runs if run["error"]), None)
        if status == "ok" and broken:
            status, reason = "failed", f"a seed broke: {broken}"
        return {
            "kind": "training",
            "model": model,
            "recipe": self._arguments["recipe"],
            "target": self.until,
            **{name: facts.get(name) for name in FACTS},
            "dataset": facts.get("dataset") or "",
            "status": status,
            "reason": reason,
            "runs": runs,
            "training_s": distribution([run["training_s"] for run in reached]),
            "total_s": distribution([run["total_s"] for run in reached]),
            "test_accuracy": distribution([run["test_accuracy"] for run in finished]),
            "failures": len(runs) - len(reached),
        }


def _check(model: str, recipe: Recipe, until: float | None) -> None:
    if until is not None and (recipe.validation.split or recipe.validation.early_stopping):
        raise RecipeError(
            f"This recipe of {model} holds images out to select by, so its training cannot end by the test images. "
            "Choose another --recipe, or measure it with --accuracy."
        )


def _broken(seed: int, reason: str | None) -> dict[str, Any]:
    empty = dict.fromkeys(("epochs", "training_s", "total_s", "test_accuracy"))
    return {"seed": seed, "reached": False, **empty, "error": reason}
