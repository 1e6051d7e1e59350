"""Evaluate a trained model on a dataset's test images, and write the report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from zoo.data import Dataset
from zoo.data import load as load_dataset
from zoo.errors import ModelError
from zoo.evaluation.matching import cautions_of, matched
from zoo.evaluation.subject import Model, Subject, command, open_subjects
from zoo.inference import ForwardPass
from zoo.plugins.discovery import readable_entry_points
from zoo.report.evaluation.files import write_evaluation
from zoo.spec import Run
from zoo.spec.evaluation import Evaluation
from zoo.tasks import Task
from zoo.training.devices import place
from zoo.utils.environment import environment, version
from zoo.utils.files import output_folder

VERSIONS = ("zoo", "python", "tensorflow", "keras", "numpy", "platform", "cpu")


def evaluate(
    model: Model | Sequence[Model],
    *,
    dataset: str | Dataset | None = None,
    data_dir: str | Path | None = None,
    device: str = "auto",
    output: str | Path | None = None,
    announce: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Measure a model on a test set, and write ``evaluation.json``, plots and ``report.html``.

    The model is given raw 0..255 images (N, H, W, C) as float32, as a run's own takes them. Its outputs are
    logits, or probabilities where all are at least 0 and each row sums to 1.

    Args:
        model: a `Run`, its folder, the folder's name inside ``runs/``, or the path of a ``.keras`` file; or a list
            of them, whose probabilities are averaged.
        dataset: a dataset's name or a loaded `Dataset`; if not given, the one that the run was trained on, and
            mnist for a file.
        data_dir: a folder of files to read the dataset from.
        device: auto, cpu, gpu or gpu:N.
        output: the folder to write to. By default the run folder for the run's own dataset,
            ``evaluation-<dataset>`` inside it for another, ``<name>-evaluation`` beside a file, and
            ``runs/ensemble-<time>`` for several.
        announce: receives status lines.

    Returns:
        What evaluation.json holds: `metrics` (`test_accuracy`, `test_loss` in nats), `brier_score`, `averages`,
        `per_class`, `confusion`, `roc`, `precision_recall`, `calibration`, `top_confusions`, `mistakes`,
        `confidence_intervals` (95%), `files`, and what was measured on what; `members` says how good each of several
        models is alone. Undefined values are None. The document of a run that diverged says so in
        `non_finite_images` and holds none of the numbers but `metrics`.

    Raises:
        RunError: there is no such run or file, it cannot be read safely, or the folder cannot be written.
        DataError: the dataset is not available, or its images have another shape than the model's input.
        ModelError: the model is no classifier of images, or a file's outputs are not finite numbers.
    """
    began = time.perf_counter()
    subject = open_subjects(model)
    task, recipe, data = subject.task, subject.recipe, dataset
    if not isinstance(data, Dataset):
        folder = subject.data_dir if data is None and data_dir is None else data_dir
        data = load_dataset(data or subject.default_dataset, data_dir=folder, announce=announce)
    subject, data = matched(subject, data)
    wanted = Path(output) if output is not None else subject.output_folder(data, data_dir)
    document = subject.describe(data, command=command(subject, dataset, data_dir, output))
    members, run = subject.members, subject.run
    with output_folder(wanted) as folder:
        placement = place(recipe, device=device)
        with tf.device(placement.tensorflow_device):
            evaluation, seconds = _measured(members, run, task, data)
            cautions = cautions_of(members, data)
        if announce:
            for caution in cautions:
                announce(caution)
        document |= {
            "schema": evaluation.schema,
            **evaluation.numbers,
            "members": [{**row, **alone} for row, alone in zip(document["members"], evaluation.members, strict=True)],
            "device": placement.device,
            "device_name": placement.device_name,
            "environment": _versions(),
            "folder": str(folder),
            "timing": {"evaluate_s": seconds},
        }
        record = run.document if run else None
        return write_evaluation(document, evaluation, data.test.images, folder, run=record, began=began)


def _measured(members: Sequence[Subject], run: Run | None, task: Task, data: Dataset) -> tuple[Evaluation, float]:
    """Return the task's evaluation of the test images, and the seconds of the forward passes.

    Raises:
        ModelError: a model returns numbers that are not finite, and it is no run that has a record of having diverged.
    """
    images = data.test.images
    passes = [ForwardPass(member.network, images.shape[1:]) for member in members]
    with readable_entry_points():
        evaluation = task.evaluate([each.over(images, task.batch) for each in passes], data, data.test)
    for member, lost in zip(members, evaluation.non_finite, strict=False):
        if lost and run is None:
            advice = "Name another file, or train again with a lower learning rate."
            raise ModelError(
                f"{member.path.name} returns numbers that are not finite for {lost:,} of {len(images):,} images: its "
                f"training diverged. {'Leave it out.' if len(passes) > 1 else advice}"
            )
    return evaluation, sum(each.seconds for each in passes)


def _versions() -> dict[str, Any]:
    """The software and the machine, from package metadata."""
    known = environment()
    return {name: known[name] for name in VERSIONS} | {
        "scikit-learn": version("scikit-learn"),
        "scipy": version("scipy"),
    }
