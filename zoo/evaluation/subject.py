"""What is evaluated: a run, a model file of whatever origin, or several of them together."""

from __future__ import annotations

import contextlib
import os
import shlex
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from zoo.data import Dataset
from zoo.errors import DataError, ModelError, RunError
from zoo.evaluation.outputs import Outputs, compute_outputs
from zoo.files import atomic_write
from zoo.runs.folder import RUNS, load_run
from zoo.runs.serialization import load_model
from zoo.spec import Recipe, Run
from zoo.training.own_model import takes_reshaped, with_image_input

DEFAULT_DATASET = "mnist"
LOOKED_AT = 500  # test images that a file of unknown origin is tried on before it is measured
Model = Run | str | Path
"""A run, its folder or the folder's name inside ``runs/``, or a ``.keras`` file."""


@dataclass(frozen=True)
class Subject:
    """A model to evaluate, with what is known about it."""

    name: str
    network: Any
    place: Path
    """The run folder, or the model file."""
    run: Run | None

    @property
    def members(self) -> tuple[Subject, ...]:
        """The models that answer: this one."""
        return (self,)

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

    @property
    def trained_on(self) -> str | None:
        """The dataset that it was trained on; None where only the file is known."""
        return self.default_dataset if self.run else None

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
        parts = [part for part in dataset.digests if part.startswith("test_")]
        if not isinstance(recorded, dict) or not parts or not set(parts) <= set(recorded):
            return None
        return all(recorded[part] == dataset.digests[part] for part in parts)

    def same_classes(self, dataset: Dataset) -> bool | None:
        """Whether the classes have the names that the model was trained with; None where that is not known."""
        return list(self.run.document["class_names"]) == list(dataset.class_names) if self.run else None


@dataclass(frozen=True)
class Ensemble:
    """Several models that answer together: their probabilities are averaged."""

    members: tuple[Subject, ...]

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
    def place(self) -> None:
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
        """Return where the evaluation is written unless the user says otherwise."""
        return RUNS / f"ensemble-{time.strftime('%Y%m%d-%H%M%S')}"

    def same_data(self, dataset: Dataset) -> bool | None:
        """Whether the test images are those of every run; None where that is not recorded of one."""
        return _all([member.same_data(dataset) for member in self.members])

    def same_classes(self, dataset: Dataset) -> bool | None:
        """Whether the classes have the names that every model was trained with; None where that is not known."""
        return _all([member.same_classes(dataset) for member in self.members])


def command(
    subject: Subject | Ensemble, dataset: str | Dataset | None, data_dir: str | Path | None, output: str | Path | None
) -> str:
    """Return the command line that does an evaluation again."""
    words = ["zoo", "evaluate", *(_short(member.place) for member in subject.members)]
    name = dataset.name if isinstance(dataset, Dataset) else dataset
    if name is not None and any(name != member.default_dataset for member in subject.members):
        words += ["--dataset", name]
    for option, value in (("--data-dir", data_dir), ("--output", output)):
        words += [option, str(value)] if value is not None else []
    return shlex.join(words)


def open_subjects(models: Model | Sequence[Model]) -> Subject | Ensemble:
    """Find what the user named: one model, or several that answer together.

    Raises:
        RunError: nothing is named, one does not exist or cannot be read safely, or is named twice.
    """
    if isinstance(models, Run | str | Path):
        return open_subject(models)
    members = tuple(open_subject(model) for model in models)
    if not members:
        raise RunError("No model is named. Name a run, or several to average their probabilities.")
    places = [member.place for member in members]
    for place in places:
        if places.count(place) > 1:
            raise RunError(f"{place.name} is named twice: it would only repeat itself. Name each model once.")
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
    return Subject(str(model.document["model"]), model.model, model.folder, model)


def for_images_of(subject: Subject | Ensemble, dataset: Dataset) -> Subject | Ensemble:
    """Return the models with an input (N, H, W, C), where they take the same numbers as (N, H, W) or in one row."""
    if isinstance(subject, Ensemble):
        return Ensemble(tuple(_for_images_of(member, dataset) for member in subject.members))
    return _for_images_of(subject, dataset)


def _for_images_of(member: Subject, dataset: Dataset) -> Subject:
    takes = _shape(member.network, "input_shape")
    if takes is None or not takes_reshaped(takes[1:], dataset.image_shape):
        return member
    return replace(member, network=with_image_input(member.network, dataset.image_shape))


def check_fits(subject: Subject | Ensemble, dataset: Dataset) -> None:
    """Refuse a dataset whose images or labels the model cannot mean anything about.

    Raises:
        ModelError: the model does not take one image and answer with one row of numbers.
        DataError: with both shapes.
    """
    for member in subject.members:
        _check_fits(member, dataset)
    answers = [member.network.output_shape[1] for member in subject.members]
    if len(set(answers)) > 1:
        raise ModelError(
            f"The models tell apart {', '.join(map(str, answers))} classes, so their answers cannot be averaged. "
            "Name models of the same classes."
        )


def with_classes_of(subject: Subject | Ensemble, dataset: Dataset) -> Dataset:
    """Return the dataset with its labels counted as the model counts classes, where it has all of the dataset's.

    So a few images of one's own, in which some classes do not occur, are measured by the classes' names.
    """
    known = [_class_names(member, dataset) for member in subject.members]
    return dataset.with_classes_of(known[0]) if all(names == known[0] for names in known) else dataset


def _class_names(member: Subject, dataset: Dataset) -> tuple[str, ...]:
    """The classes that the model was trained with; of a file, which names none, those that numbers for names count."""
    if member.run is not None:
        return tuple(member.run.document["class_names"])
    numbers = [int(name) for name in dataset.class_names if name.isdecimal()]
    is_counted = len(numbers) == dataset.num_classes and max(numbers) < member.network.output_shape[1]
    return tuple(map(str, range(max(numbers) + 1))) if is_counted else dataset.class_names


def caution_about_scaling(member: Subject, dataset: Dataset) -> str | None:
    """Say so if a file of unknown origin does far better on pixels in 0..1 than on the raw ones that it is given."""
    if member.run is not None:
        return None
    few = dataset.test.take(slice(LOOKED_AT))
    raw, unit = (
        compute_outputs(lambda images, training, by=by: member.network(images * by, training=training), few.images)
        for by in (1.0, 1 / 255)
    )
    if raw.non_finite or unit.non_finite:
        return None
    (raw_hits, raw_loss), (unit_hits, unit_loss) = (_hits_and_loss(outputs, few.labels) for outputs in (raw, unit))
    if unit_hits < raw_hits or unit_loss > raw_loss / 2:
        return None
    return (
        f"{member.place.name} takes raw 0..255 images here, and does better on 0..1: of {len(few)} test images "
        f"{unit_hits:.1%} right instead of {raw_hits:.1%}, a loss of {unit_loss:.3g} instead of {raw_loss:.3g}. If it "
        "was trained on images divided by 255, save it with keras.layers.Rescaling(1 / 255) in front."
    )


def _hits_and_loss(outputs: Outputs, labels: np.ndarray) -> tuple[float, float]:
    chosen = outputs.log_probabilities()
    return float((chosen.argmax(axis=1) == labels).mean()), float(-chosen[np.arange(len(labels)), labels].mean())


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


def _check_fits(member: Subject, dataset: Dataset) -> None:
    label = member.place.name
    takes, answers = (_shape(member.network, end) for end in ("input_shape", "output_shape"))
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


def _all(answers: Sequence[bool | None]) -> bool | None:
    """Whether all are true: False as soon as one is not, None where one is not known."""
    return False if False in answers else None if None in answers else True


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
