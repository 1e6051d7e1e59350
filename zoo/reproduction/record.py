"""Train published recipes, and save the record of results as it grows."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from zoo.errors import RecipeError, RunError, ZooError
from zoo.execution import InProcess, Job
from zoo.report import reproduction as report
from zoo.report.shared.statistics import summarize
from zoo.reproduction.recipes import PublishedRecipe
from zoo.reproduction.verdicts import compare, measure
from zoo.utils.environment import environment
from zoo.utils.files import atomic_write, check_writable, writing

SCHEMA = "zoo.reproduction/1"

EXPECTATION_SEED = 100
"""Expectations are measured with seeds from here on, so that no user's run (seeds 0, 1, 2 ...) compares with itself."""


def reproduce(
    recipes: Sequence[PublishedRecipe],
    *,
    seeds: int = 1,
    seed: int = 0,
    device: str = "auto",
    deterministic: bool = False,
    data_dir: str | Path | None = None,
    output: str | Path | None = None,
    record: str | Path | None = None,
    markdown: str | Path | None = None,
    command: str = "",
    quiet: bool = True,
    announce: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Train published recipes unchanged, and compare the results with the published and expected numbers.

    A recipe that fails leaves its error in its row, and the others go on.

    Args:
        recipes: as `published_recipes` or `find` return them.
        seeds: trainings of each recipe, with consecutive seeds.
        seed: the first of them.
        device: auto, cpu, gpu or gpu:N.
        deterministic: the same seed gives the same bits.
        data_dir: a folder of files to read the dataset from.
        output: the folder of the run folders, ``<model>-<recipe>-s<seed>``; ``runs/reproduce-<time>-s<seed>``
            if not given.
        record: a JSON file that the document is written to, after each recipe anew.
        markdown: a file for the same as a page, likewise.
        command: the command line that asks for this, for the record.
        quiet: show no progress within a training.
        announce: receives a line for each finished training.

    Returns:
        The document ``zoo.reproduction/1``: `command`, `date`, `environment`, `device`, `seeds`, `rows` with one
        entry per recipe, `remaining` (recipes not trained yet) and `within_expectation`: whether every
        expected mean was measured and lies in its band, None where nothing was expected.

    Raises:
        RecipeError: fewer than one seed.
        RunError: `output`, `record` or `markdown` cannot be written.
        ZooError: no recipe could be trained at all; the first one's error.
    """
    if seeds < 1:
        raise RecipeError(f"seeds must be at least 1, received {seeds}. Pass for example 3.")
    from zoo.runs.folder import run_folder

    forms = ((record, _json), (markdown, report.markdown))
    files: dict[Path, Any] = {Path(path): form for path, form in forms if path is not None}
    for path in files:
        _check_writable(path)
    # How every recipe is trained: nothing of the recipe itself may change, or the comparison would be unfair.
    how = {"device": device, "deterministic": deterministic, "data_dir": data_dir, "quiet": quiet, "announce": announce}
    numbers = range(seed, seed + seeds)
    document = _new_document(recipes, numbers, command)
    errors = []
    with run_folder("reproduce", seed, Path(output) if output is not None else None) as folder_of_runs:
        for recipe in recipes:
            documents, error = _train(recipe, numbers, folder_of_runs, how)
            errors += [error] if error else []
            _add(document, recipe, documents, error)
            if document["device"]:  # something has been measured: there is a result to keep
                _write(document, files)
    if errors and not document["device"]:
        raise errors[0]
    return document


def _new_document(recipes: Sequence[PublishedRecipe], seeds: range, command: str) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "command": command,
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "environment": environment(),
        "device": None,
        "seeds": list(seeds),
        "for_expectations": seeds.start >= EXPECTATION_SEED,
        "within_expectation": None,
        "rows": [],
        "remaining": [recipe.name for recipe in recipes],
    }


def _train(
    recipe: PublishedRecipe, seeds: range, folder: Path, how: dict[str, Any]
) -> tuple[list[dict[str, Any]], Exception | None]:
    """Train a recipe once per seed. An error ends it, and comes back beside the documents of the seeds before."""
    say = how["announce"] or (lambda _line: None)
    how = {"model": recipe.spec.name, "recipe": recipe.recipe_name, **how}
    place = f"{recipe.name.replace('/', '-')}-s"
    jobs = (Job("train", {**how, "seed": seed, "output": folder / f"{place}{seed}"}) for seed in seeds)
    documents: list[dict[str, Any]] = []
    for seed, outcome in zip(seeds, InProcess().map(jobs), strict=True):
        try:
            document = outcome.value()
        except Exception as error:  # whatever it is, the other recipes' results are not lost by it
            say(f"{recipe.name}, seed {seed}: {_told(error)}")
            return documents, error
        documents.append(document)
        accuracy, seconds = document["metrics"]["test_accuracy"], document["timing"]["train_s"]
        say(f"{recipe.name}, seed {seed}: test accuracy {accuracy:.2%}, {seconds:.1f} s of training")
    return documents, None


def _add(
    document: dict[str, Any], recipe: PublishedRecipe, runs: Sequence[dict[str, Any]], error: Exception | None
) -> None:
    """Add a trained recipe's row to the document, and update the summary of all rows."""
    document["rows"].append(_row(recipe, runs, error))
    document["remaining"].remove(recipe.name)
    if runs and not document["device"]:
        document["device"] = {key: runs[0][key] for key in ("device", "device_name", "threads", "deterministic")}
    claims = [claim for each in document["rows"] for claim in each["claims"] if claim["expected"]]
    verdicts = {claim["against_expectation"]["verdict"] for claim in claims}
    document["within_expectation"] = verdicts == {"as expected"} if verdicts else None


def _row(recipe: PublishedRecipe, runs: Sequence[dict[str, Any]], error: Exception | None) -> dict[str, Any]:
    """What one recipe came to: its facts, each claim with its verdicts, and the runs behind them."""
    claims = []
    for claim in recipe.published.claims:
        try:
            values, problem = [measure(run, claim.metric) for run in runs], None
        except RunError as missing:
            values, problem = [], str(missing)
        claims.append({**compare(claim, values), "problem": problem})
    row: dict[str, Any] = {
        **recipe.to_dict(),
        "claims": claims,
        "train_s": summarize([run["timing"]["train_s"] for run in runs]),
        "runs": [
            {
                "seed": run["seed"],
                "epochs": len(run["history"]),
                "train_s": run["timing"]["train_s"],
                "folder": Path(run["run"]).name,
            }
            for run in runs
        ],
        "error": _told(error) if error else None,
    }
    return row


def _told(error: Exception) -> str:
    """An error as one line; what zoo did not raise on purpose carries its kind."""
    first_line = str(error).strip().partition("\n")[0]
    return first_line if isinstance(error, ZooError) else f"{type(error).__name__}: {first_line}"


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _check_writable(path: Path) -> None:
    """Fail before hours of training, not after."""
    with writing(path, "Choose another file."):
        if path.is_dir():
            raise IsADirectoryError(21, "it is a folder")
        check_writable(path.parent)


def _write(document: dict[str, Any], files: dict[Path, Callable[[dict[str, Any]], str]]) -> None:
    for path, form in files.items():
        with writing(path, "Free some space."):
            atomic_write(path, form(document))
