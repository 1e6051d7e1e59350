"""How good a finished model is on a dataset's test images: measured, drawn and written down."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.data import Dataset
from zoo.data import load as load_dataset
from zoo.environment import environment, version
from zoo.errors import ModelError
from zoo.evaluation.matching import caution_about_scaling, check_fits, for_images_of, with_classes_of
from zoo.evaluation.outputs import Outputs, averaged, compute_outputs
from zoo.evaluation.scenes import measure_scenes, scene_task
from zoo.evaluation.scores import sample_predictions, score, top_confusions
from zoo.evaluation.subject import Ensemble, Model, Subject, command, evaluation_folder, open_subjects, unwritable
from zoo.files import atomic_write
from zoo.plugins.discovery import readable_entry_points
from zoo.report.evaluation.files import write_page, write_plots
from zoo.spec.recipe import plain
from zoo.training.devices import place

SCHEMA, SCENE_SCHEMA = "zoo.evaluation/2", "zoo.scene_evaluation/1"
FILE = "evaluation.json"
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
    task = scene_task(subject)
    data = dataset
    if not isinstance(data, Dataset):
        folder = subject.data_dir if data is None and data_dir is None else data_dir
        data = load_dataset(data or subject.default_dataset, data_dir=folder, announce=announce)
    if task is None:
        subject = for_images_of(subject, data)
        check_fits(subject, data)
        data = with_classes_of(subject, data)
    wanted = Path(output) if output is not None else subject.output_folder(data, data_dir)
    with evaluation_folder(wanted) as folder:
        placement = place(subject.recipe, device=device)
        circumstances = {
            "device": placement.device,
            "device_name": placement.device_name,
            "environment": _versions(),
            "command": command(subject, dataset, data_dir, output),
            "folder": str(folder),
        }
        what = _what(subject, data, announce or _say_nothing)
        if task is not None:
            with tf.device(placement.tensorflow_device):
                measured = measure_scenes(subject.members[0], task, data, folder)
            document = plain({"schema": SCENE_SCHEMA, **what, **measured, **circumstances})
            document["files"].append(FILE)
            document["timing"]["total_s"] = time.perf_counter() - began
            return _write_document(document, folder)
        with tf.device(placement.tensorflow_device):
            answers = [compute_outputs(member.network, data.test.images) for member in subject.members]
            cautions = [caution_about_scaling(member, data) for member in subject.members]
        for caution in filter(None, cautions):
            (announce or _say_nothing)(caution)
        outputs = _together(subject, answers)
        with readable_entry_points():
            measured = _measured(subject, data, outputs)
        document = {
            "schema": SCHEMA,
            **what,
            "class_names": _class_names(data, outputs),
            "outputs": outputs.kind,
            "non_finite_images": outputs.non_finite,
            "members": _members(subject, answers, data.test.labels),
            **measured,
            **circumstances,
            "timing": {"evaluate_s": outputs.seconds},
        }
        return _write(plain(document), subject, data, folder, began)


def _together(subject: Subject | Ensemble, answers: Sequence[Outputs]) -> Outputs:
    """The answer to each image; several models' answers can only be averaged if all are finite."""
    for member, answer in zip(subject.members, answers, strict=True):
        if len(answers) > 1 and answer.non_finite:
            raise ModelError(f"{_says_nothing(member, answer)} Leave it out.")
    return averaged(answers)


def _says_nothing(member: Subject, answer: Outputs) -> str:
    return (
        f"{member.place.name} answers {answer.non_finite:,} of {len(answer.values):,} images with numbers that are "
        "not finite: its training diverged."
    )


def _members(subject: Subject | Ensemble, answers: Sequence[Outputs], labels: np.ndarray) -> list[dict[str, Any]]:
    """How good each of several models is alone."""
    if len(answers) == 1:
        return []
    return [
        {
            "model": member.name,
            "place": str(member.place),
            "test_accuracy": float((answer.values.argmax(axis=1) == labels).mean()),
        }
        for member, answer in zip(subject.members, answers, strict=True)
    ]


def _what(subject: Subject | Ensemble, data: Dataset, tell: Callable[[str], None]) -> dict[str, Any]:
    """Which model was measured on which images."""
    same_data = subject.same_data(data)
    if same_data is False:
        tell(f"These test images of {data.name} are not the ones that the run was measured on: their digests differ.")
    return {
        "run": str(subject.place) if subject.run else None,
        "file": None if subject.run or len(subject.members) > 1 else str(subject.place),
        "model": subject.name,
        "trained_on": subject.trained_on,
        "dataset": data.name,
        "data_source": data.source,
        "same_data": same_data,
        "same_classes": subject.same_classes(data),
        "images": len(data.test),
        "input": "raw 0..255 images, float32",
    }


def _class_names(data: Dataset, outputs: Outputs) -> list[str]:
    """The dataset's, and numbers for outputs beyond them."""
    return [*data.class_names, *(f"output {k}" for k in range(data.num_classes, outputs.values.shape[1]))]


def _measured(subject: Subject | Ensemble, data: Dataset, outputs: Outputs) -> dict[str, Any]:
    """The numbers; of a run that diverged only its accuracy, counted as in training."""
    labels, names = data.test.labels, _class_names(data, outputs)
    if outputs.non_finite:
        if subject.run is None:
            blame = _says_nothing(subject.members[0], outputs)
            raise ModelError(f"{blame} Name another file, or train again with a lower learning rate.")
        predicted = np.nan_to_num(outputs.values, nan=-np.inf).argmax(axis=1)
        return {"metrics": {"test_accuracy": float((predicted == labels).mean()), "test_loss": None}}
    log_probabilities = outputs.log_probabilities()
    samples = sample_predictions(log_probabilities, labels)
    return {
        **score(log_probabilities, labels, names),
        "top_confusions": top_confusions(log_probabilities, labels, names),
        "mistakes": samples["mistakes"],
        "right_predictions": samples["right"],
    }


def _versions() -> dict[str, Any]:
    """The software and the machine, from package metadata."""
    known = environment()
    return {name: known[name] for name in VERSIONS} | {
        "scikit-learn": version("scikit-learn"),
        "scipy": version("scipy"),
    }


def _write(
    document: dict[str, Any], subject: Subject | Ensemble, data: Dataset, folder: Path, began: float
) -> dict[str, Any]:
    """Write every file, the document last, and return it."""
    run = subject.run.to_dict() if subject.run else None
    try:
        plots = write_plots(document, data.test.images, folder)
        document["files"] = [*plots.files, "report.html", FILE]
        document["timing"]["total_s"] = time.perf_counter() - began
        write_page(document, run, plots, data.test.images, folder / "report.html")
    except OSError as error:
        raise unwritable(folder, error) from error
    return _write_document(document, folder)


def _write_document(document: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Write the document, and return it."""
    text = json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False)
    try:
        atomic_write(folder / FILE, _numbers_on_one_line(text) + "\n")
    except OSError as error:
        raise unwritable(folder, error) from error
    return document


def _numbers_on_one_line(text: str) -> str:
    """Join the lines of each list of plain numbers. Within strings JSON has no line ends, so none is touched."""
    return re.sub(r"\[\n[-+.\deE,\s]+\]", lambda match: " ".join(match[0].split()), text)


def _say_nothing(_: str) -> None:
    return
