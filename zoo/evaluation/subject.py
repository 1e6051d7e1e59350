"""The model to evaluate: a run, a model file, or an ensemble of several."""

from __future__ import annotations

import functools
import os
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.data import Dataset
from zoo.errors import DataError, ModelError, RunError
from zoo.inference import task_of_run
from zoo.runs.folder import RUNS, load_run
from zoo.runs.serialization import load_model
from zoo.spec import Recipe, Run
from zoo.tasks import Task, task_for
from zoo.tasks.classification import single_shape

DEFAULT_DATASET = "mnist"
Model = Run | str | Path
"""A run, its folder or the folder's name inside ``runs/``, or a ``.keras`` file."""


@dataclass(frozen=True)
class Subject:
    """A model to evaluate, with what is known about it."""

    name: str
    network: Any
    path: Path
    """The run folder, or the model file."""
    run: Run | None

    @property
    def members(self) -> tuple[Subject, ...]:
        """The models that are evaluated: this one."""
        return (self,)

    @functools.cached_property
    def task(self) -> Task:
        """What the model is for; a file is taken for a classifier."""
        return task_of_run(self.run) if self.run else task_for("classification")

    @property
    def num_classes(self) -> int:
        """How many classes the model tells apart."""
        if self.run is not None:
            return len(self.run.document["class_names"])
        return int((self.shape("output_shape") or (0, 0))[-1])

    def shape(self, end: str) -> tuple[Any, ...] | None:
        """Return the model's "input_shape" or "output_shape"; None where it has several, or does not know."""
        return single_shape(self.network, end)

    @property
    def recipe(self) -> Recipe:
        """How it was trained; zoo's general recipe for a file, which does not tell."""
        return self.run.recipe if self.run else Recipe()

    @property
    def default_dataset(self) -> str:
        """The dataset that it was trained on, or MNIST when only the file is known."""
        return self.run.document["dataset"] if self.run else DEFAULT_DATASET

    @property
    def data_dir(self) -> str | None:
        """The folder that the run read its dataset from; None where it has no folder of its own."""
        return self.run.document.get("data_dir") if self.run else None

    @property
    def trained_on(self) -> str | None:
        """The dataset that it was trained on; None where only the file is known."""
        return self.default_dataset if self.run else None

    def is_own(self, dataset: Dataset, data_dir: str | Path | None) -> bool:
        """Whether this is the dataset that the run was trained on, going by its name."""
        return self.run is not None and data_dir is None and dataset.name == self.default_dataset

    def output_folder(self, dataset: Dataset, data_dir: str | Path | None) -> Path:
        """Return the default output folder."""
        if self.run is None:
            return self.path.with_name(f"{self.path.stem}-evaluation")
        if self.is_own(dataset, data_dir):
            return self.path
        return self.path / f"evaluation-{dataset.name.replace('/', '-')}"

    def same_data(self, dataset: Dataset) -> bool | None:
        """Whether the test images are those of the run, by their digests; None where that is not recorded."""
        if self.run is None or dataset.name != self.default_dataset:
            return None
        environment = self.run.document.get("environment")
        recorded = environment.get("data_digests") if isinstance(environment, dict) else None
        parts = [part for part in dataset.digests if part.startswith("test_")]
        if not isinstance(recorded, dict) or not parts or not set(parts) <= set(recorded):
            return None
        return all(recorded[part] == dataset.digests[part] for part in parts)

    def same_classes(self, dataset: Dataset) -> bool | None:
        """Whether the classes have the names that the model was trained with; None where that is not known."""
        return list(self.run.document["class_names"]) == list(dataset.class_names) if self.run else None

    def describe(self, dataset: Dataset, *, command: str) -> dict[str, Any]:
        """Return which model is measured on which images, as evaluation.json says it."""
        return _describe(self, dataset, command) | {
            "run": str(self.path) if self.run else None,
            "file": None if self.run else str(self.path),
            "members": [],
        }


@dataclass(frozen=True)
class Ensemble:
    """Several models whose predictions are averaged."""

    members: tuple[Subject, ...]

    @property
    def task(self) -> Task:
        """What all are for. Raises `ModelError` where they differ."""
        kinds = {type(member.task) for member in self.members}
        if len(kinds) > 1:
            raise ModelError("Only classifiers' predictions can be averaged. Name one model, or classifiers alone.")
        return self.members[0].task

    @property
    def name(self) -> str:
        """How many of what."""
        names = {member.name for member in self.members}
        return f"ensemble of {len(self.members)} {names.pop() if len(names) == 1 else 'models'}"

    @property
    def run(self) -> None:
        """No one run made it."""
        return None

    @property
    def path(self) -> None:
        """It lies in no one place."""
        return None

    @property
    def recipe(self) -> Recipe:
        """The first member's: on which device one is measured, all are."""
        return self.members[0].recipe

    @property
    def default_dataset(self) -> str:
        """The dataset that all were trained on. Raises `DataError` where they differ."""
        names = sorted({member.default_dataset for member in self.members})
        if len(names) > 1:
            raise DataError(f"The models were trained on {', '.join(names)}. Choose one with --dataset.")
        return names[0]

    @property
    def data_dir(self) -> str | None:
        """The folder that all read their dataset from; None where they do not agree."""
        folders = {member.data_dir for member in self.members}
        return folders.pop() if len(folders) == 1 else None

    @property
    def trained_on(self) -> str | None:
        """The dataset that all were trained on; None where they differ, or it is not known of one."""
        names = {member.trained_on for member in self.members}
        return names.pop() if len(names) == 1 else None

    def output_folder(self, _dataset: Dataset, _data_dir: str | Path | None) -> Path:
        """Return the default output folder."""
        return RUNS / f"ensemble-{time.strftime('%Y%m%d-%H%M%S')}"

    def same_data(self, dataset: Dataset) -> bool | None:
        """Whether the test images are those of every run; None where that is not recorded of one."""
        return _all([member.same_data(dataset) for member in self.members])

    def same_classes(self, dataset: Dataset) -> bool | None:
        """Whether the classes have the names that every model was trained with; None where that is not known."""
        return _all([member.same_classes(dataset) for member in self.members])

    def describe(self, dataset: Dataset, *, command: str) -> dict[str, Any]:
        """Return which models are measured on which images, as evaluation.json says it."""
        rows = [{"model": member.name, "place": str(member.path)} for member in self.members]
        return _describe(self, dataset, command) | {"members": rows}


def _describe(subject: Subject | Ensemble, dataset: Dataset, command: str) -> dict[str, Any]:
    return {
        "schema": "",  # of the task's evaluation, which is not known yet
        "run": None,
        "file": None,
        "model": subject.name,
        "trained_on": subject.trained_on,
        "dataset": dataset.name,
        "data_source": dataset.source,
        "same_data": subject.same_data(dataset),
        "same_classes": subject.same_classes(dataset),
        "images": len(dataset.test),
        "input": "raw 0..255 images, float32",
        "command": command,
    }


def command(
    subject: Subject | Ensemble, dataset: str | Dataset | None, data_dir: str | Path | None, output: str | Path | None
) -> str:
    """Return the command line that does an evaluation again."""
    words = ["zoo", "evaluate", *(_short(member.path) for member in subject.members)]
    name = dataset.name if isinstance(dataset, Dataset) else dataset
    if name is not None and any(name != member.default_dataset for member in subject.members):
        words += ["--dataset", name]
    for option, value in (("--data-dir", data_dir), ("--output", output)):
        words += [option, str(value)] if value is not None else []
    return shlex.join(words)


def open_subjects(models: Model | Sequence[Model]) -> Subject | Ensemble:
    """Find what the user named: one model, or several whose predictions are averaged.

    Raises:
        RunError: nothing is named, one does not exist or cannot be read safely, or is named twice.
    """
    if isinstance(models, Run | str | Path):
        return open_subject(models)
    members = tuple(open_subject(model) for model in models)
    if not members:
        raise RunError("No model is named. Name a run, or several to average their probabilities.")
    paths = [member.path for member in members]
    for path in paths:
        if paths.count(path) > 1:
            raise RunError(f"{path.name} is named twice: it would only repeat itself. Name each model once.")
    return members[0] if len(members) == 1 else Ensemble(members)


def open_subject(model: Model) -> Subject:
    """Find one model.

    Args:
        model: a `Run`, a run folder, its name inside ``runs/``, or the path of a ``.keras`` file.

    Raises:
        RunError: there is no such run or file, or it cannot be read safely.
    """
    if not isinstance(model, Run):
        path = Path(model)
        is_folder = os.path.isdir(path) or os.path.isdir(RUNS / path)  # noqa: PTH112 (see find_run)
        if not is_folder and (path.suffix == ".keras" or os.path.isfile(path)):  # noqa: PTH113
            path = path.absolute()
            network = load_model(path)
            return Subject(str(network.name), network, path, None)
        model = load_run(path)
    return Subject(model.document["model"], model.model, model.folder, model)


def _all(known: Sequence[bool | None]) -> bool | None:
    """Whether all are true: False as soon as one is not, None where one is not known."""
    return False if False in known else None if None in known else True


def _short(path: Path) -> str:
    """A run inside runs/ by its name, what lies below this folder by its relative path."""
    if path.parent == RUNS.resolve() and path.is_dir():
        return path.name
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
