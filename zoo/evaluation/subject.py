"""What is evaluated: a run, or a model file of whatever origin."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.data import Dataset
from zoo.errors import DataError, ModelError, RunError
from zoo.files import atomic_write
from zoo.spec import Recipe, Run
from zoo.training.loading import load_model
from zoo.training.saving import RUNS, load_run

DEFAULT_DATASET = "mnist"


@dataclass(frozen=True)
class Subject:
    """A model to evaluate, with what is known about it."""

    name: str
    network: Any
    place: Path
    """The run folder, or the model file."""
    run: Run | None

    @property
    def recipe(self) -> Recipe:
        """How it was trained; zoo's general recipe for a file, which does not tell."""
        return self.run.recipe if self.run else Recipe()

    @property
    def default_dataset(self) -> str:
        """The dataset that it was trained on, or MNIST when only the file is known."""
        return str(self.run.document["dataset"]) if self.run else DEFAULT_DATASET

    @property
    def data_dir(self) -> str | None:
        """The folder that the run read its dataset from; None where it has no folder of its own."""
        return self.run.document.get("data_dir") if self.run else None

    def is_own(self, dataset: Dataset, data_dir: str | Path | None) -> bool:
        """Whether this is the dataset that the run was trained on, going by its name."""
        return self.run is not None and data_dir is None and dataset.name == self.default_dataset

    def output_folder(self, dataset: Dataset, data_dir: str | Path | None) -> Path:
        """Return where the evaluation is written unless the user says otherwise."""
        if self.run is None:
            return self.place.with_name(f"{self.place.stem}-evaluation")
        if self.is_own(dataset, data_dir):
            return self.place
        return self.place / f"evaluation-{dataset.name.replace('/', '-')}"

    def same_data(self, dataset: Dataset) -> bool | None:
        """Whether the test images are those of the run, by their digests; None where that is not recorded."""
        if self.run is None or dataset.name != self.default_dataset:
            return None
        environment = self.run.document.get("environment")
        recorded = environment.get("data_digests") if isinstance(environment, dict) else None
        parts = [part for part in ("test_images", "test_labels") if part in dataset.digests]
        if not isinstance(recorded, dict) or not parts or not set(parts) <= set(recorded):
            return None
        return all(recorded[part] == dataset.digests[part] for part in parts)

    def same_classes(self, dataset: Dataset) -> bool | None:
        """Whether the classes have the names that the model was trained with; None where that is not known."""
        return list(self.run.document["class_names"]) == list(dataset.class_names) if self.run else None

    def command(self, dataset: str | Dataset | None, data_dir: str | Path | None, output: str | Path | None) -> str:
        """Return the command line that does this evaluation again."""
        words = ["zoo", "evaluate", _short(self.place)]
        name = dataset.name if isinstance(dataset, Dataset) else dataset
        if name is not None and name != self.default_dataset:
            words += ["--dataset", name]
        for option, value in (("--data-dir", data_dir), ("--output", output)):
            words += [option, str(value)] if value is not None else []
        return shlex.join(words)


def open_subject(model: Run | str | Path) -> Subject:
    """Find what the user named.

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
    return Subject(str(model.document["model"]), model.model, model.folder, model)


def check_fits(subject: Subject, dataset: Dataset) -> None:
    """Refuse a dataset whose images or labels the model cannot mean anything about.

    Raises:
        ModelError: the model does not take one image and answer with one row of numbers.
        DataError: with both shapes.
    """
    label = subject.place.name
    takes, answers = (_shape(subject.network, end) for end in ("input_shape", "output_shape"))
    if takes is None or len(takes) != 4 or answers is None or len(answers) != 2 or answers[1] is None:
        raise ModelError(
            f"{label} takes {_shown(takes)} and answers {_shown(answers)}; an evaluation needs one input of images "
            "(N, H, W, C) and one output (N, classes). Name a classifier of images."
        )
    fits = all(wanted in (None, size) for wanted, size in zip(takes[1:], dataset.image_shape, strict=True))
    if not fits or answers[1] < dataset.num_classes:
        raise DataError(
            f"{label} takes images {takes[1:]} of {answers[1]} classes, but {dataset.name} has "
            f"{dataset.image_shape} of {dataset.num_classes}. Choose a dataset of the same shape."
        )


@contextlib.contextmanager
def evaluation_folder(folder: Path) -> Iterator[Path]:
    """Make the folder and try it, before any time is spent on measuring; if nothing is written it goes again.

    Raises:
        RunError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        atomic_write(folder / ".writable", "")
        (folder / ".writable").unlink()
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        yield folder.resolve()
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()  # refuses, as it should, once there is a file inside


def unwritable(folder: Path, error: OSError) -> RunError:
    """Return the error for a folder that cannot be written."""
    return RunError(f"{folder} cannot be written: {error.strerror or error}. Choose another --output.")


def _shape(network: Any, name: str) -> tuple[Any, ...] | None:
    """The shape of a model's one input or output; None where it has several, or does not know."""
    try:
        shape = getattr(network, name)
    except (AttributeError, ValueError):
        return None
    is_one = isinstance(shape, tuple) and not any(isinstance(part, tuple | list | dict) for part in shape)
    return shape if is_one else None


def _shown(shape: tuple[Any, ...] | None) -> str:
    return "something else" if shape is None else str(shape)


def _short(place: Path) -> str:
    """A run inside runs/ by its name, what lies below this folder by its relative path."""
    if place.parent == RUNS.resolve() and place.is_dir():
        return place.name
    here = Path.cwd()
    return str(place.relative_to(here)) if place.is_relative_to(here) else str(place)
