"""How good a finished model is on a dataset's test images."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from zoo.data import Dataset
from zoo.data import load as load_dataset
from zoo.errors import DataError
from zoo.spec import Run
from zoo.tasks import task_for
from zoo.training.devices import place
from zoo.training.epoch import CompiledEvaluation
from zoo.training.feeds import Resident
from zoo.training.saving import load_run

SCHEMA = "zoo.evaluation/1"


def evaluate(
    run: Run | str | Path,
    *,
    dataset: str | Dataset | None = None,
    data_dir: str | Path | None = None,
    device: str = "auto",
    announce: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Measure a run's model on a test set.

    Args:
        run: a `Run`, its folder, or the folder's name inside ``runs/``.
        dataset: a dataset's name or a loaded `Dataset`; the one it was trained on if not given.
        data_dir: a folder of files to read the dataset from.
        device: auto, cpu, gpu or gpu:N.
        announce: receives status lines.

    Returns:
        A JSON-able document: `metrics` (`test_accuracy`, `test_loss` in nats), `images`, and what was measured
        on what.

    Raises:
        RunError: there is no such run, or its model cannot be read.
        DataError: the dataset is not available, or its images have another shape than the model's input.
    """
    run = run if isinstance(run, Run) else load_run(run)
    if not isinstance(dataset, Dataset):
        dataset = load_dataset(dataset or run.document["dataset"], data_dir=data_dir, announce=announce)
    check_fits(run, dataset)
    placement = place(run.recipe, device=device)
    with tf.device(placement.tensorflow_device):
        score = CompiledEvaluation(run.model, task_for(run.document["task"])())
        test = Resident(dataset.test)
        score.compile(dataset.image_shape)
        began = time.perf_counter()
        totals = score(test)
    return {
        "schema": SCHEMA,
        "run": str(run.folder),
        "model": run.document["model"],
        "dataset": dataset.name,
        "data_source": dataset.source,
        "images": totals.examples,
        "metrics": totals.logs("test_"),
        "timing": {"evaluate_s": time.perf_counter() - began},
        "device": placement.device,
    }


def check_fits(run: Run, dataset: Dataset) -> None:
    """Refuse a dataset whose images or labels the model cannot mean anything about.

    Raises:
        DataError: with both shapes.
    """
    wanted, outputs = tuple(run.model.input_shape[1:]), run.model.output_shape[-1]
    if wanted != dataset.image_shape or outputs < dataset.num_classes:
        raise DataError(
            f"{run.folder.name} takes images {wanted} of {outputs} classes, but {dataset.name} has "
            f"{dataset.image_shape} of {dataset.num_classes}. Choose a dataset of the same shape."
        )
