"""How good a finished model is at finding places in images: measured, drawn over the images, and written down."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from zoo import registry
from zoo.data import Dataset
from zoo.errors import DataError, ModelError
from zoo.evaluation.subject import Ensemble, Subject, unwritable
from zoo.files import atomic_write
from zoo.report.evaluation.scenes import Scene, write_scene_report
from zoo.spec.recipe import plain
from zoo.tasks import task_for
from zoo.tasks.task import SceneTask
from zoo.training.loop import answers_of

SHOWN = 24  # scenes: half of them the worst, half as they come


def scene_task(subject: Subject | Ensemble) -> type[SceneTask] | None:
    """Return the task of what is evaluated if its answers are places in the image; None for a classifier, or a file.

    Raises:
        ModelError: several models are to answer together, and one is no classifier.
    """
    tasks = [task_for(member.run.document["task"]) for member in subject.members if member.run is not None]
    ours = [task for task in tasks if issubclass(task, SceneTask)]
    if ours and len(subject.members) > 1:
        raise ModelError("Only classifiers' answers can be averaged. Name one model, or classifiers alone.")
    return ours[0] if ours else None


def _task_of(subject: Subject, kind: type[SceneTask], data: Dataset) -> SceneTask:
    """Return the task of a run's model, with what reads its outputs.

    Raises:
        ModelError: it is no run of a registered model, so nobody knows how to read its outputs.
        DataError: the images have another shape than the model takes, or other classes than it tells apart.
    """
    if subject.run is None:
        raise ModelError(f"{subject.name} is a file of its own: name its run, which says how its answers are read.")
    takes = tuple(subject.network.input_shape[1:])
    if takes != data.image_shape:
        raise DataError(
            f"{subject.place.name} takes images {takes}, but {data.name} has {data.image_shape}. Use others."
        )
    learned = subject.run.document["class_names"]
    if len(learned) != data.num_classes:
        raise DataError(
            f"{subject.place.name} tells {len(learned)} classes apart, but {data.name} has {data.num_classes}. "
            "Use others."
        )
    spec = registry.get(subject.run.document["model"])
    return kind.of(
        subject.recipe, np.zeros(0), len(kind.named(data.class_names)), spec=spec, image_shape=data.image_shape
    )


class _Scored:
    """What is added up while the outputs pass by."""

    def __init__(self, task: SceneTask) -> None:
        self.task = task
        self.answers: list[Any] = []
        self._loss, self._correct = 0.0, 0.0

    def watch(self, targets: np.ndarray, outputs: Iterator[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield targets and outputs, batch by batch, and keep what they come to."""
        for batch in outputs:
            own = targets[len(self.answers) :][: len(batch)]
            self._loss += float(tf.reduce_sum(self.task.loss(tf.constant(own), tf.constant(batch))))
            self._correct += float(self.task.count_correct(tf.constant(own), tf.constant(batch)))
            self.answers += self.task.read(batch)
            yield own, batch

    def metrics(self) -> dict[str, float]:
        """Return the means, as a training has them."""
        count = len(self.answers)
        return {"test_accuracy": self._correct / count, "test_loss": self._loss / count}


def measure_scenes(subject: Subject, kind: type[SceneTask], data: Dataset, folder: Path) -> dict[str, Any]:
    """Measure, write every file but the document, and return what is to be said of it.

    Returns:
        `metrics` (``test_accuracy``, ``test_loss`` and the task's own), `per_class`, `worst` (numbers of test images,
        the worst answered first), `files`.

    Raises:
        RunError: a file cannot be written.
    """
    began = time.perf_counter()
    task, names = _task_of(subject, kind, data), kind.named(data.class_names)
    targets = task.targets(data, data.test)
    scored = _Scored(task.plain())
    own = task.measure(scored.watch(targets, answers_of(subject.network, data.test.images)))
    answers, seconds = scored.answers, time.perf_counter() - began
    qualities = np.array([task.quality(target, answer) for target, answer in zip(targets, answers, strict=True)])
    order = np.argsort(qualities, kind="stable")
    documents = task.files(targets, answers)
    said: dict[str, Any] = {
        "metrics": {**scored.metrics(), **{f"test_{name}": value for name, value in own.items()}},
        "words": task.words,
        **task.details(targets, answers, names),
        "class_names": names,
        "timing": {"evaluate_s": seconds},
        "worst": [{"image": int(row), "quality": float(qualities[row])} for row in order[:SHOWN]],
    }
    scenes = [
        Scene(
            number=int(row),
            quality=float(qualities[row]),
            truth=task.draw(data.test.images[row], targets[row], names, target=True),
            answer=task.draw(data.test.images[row], answers[row], names),
        )
        for row in _shown(order)
    ]
    try:
        for name, content in documents.items():
            atomic_write(folder / name, json.dumps(plain(content), allow_nan=False) + "\n")
        drawn = write_scene_report(subject.name, data.name, said, scenes, folder)
    except OSError as error:
        raise unwritable(folder, error) from error
    return {**said, "files": [*documents, *drawn]}


def _shown(order: np.ndarray) -> Sequence[int]:
    """The worst, then some drawn evenly from all others."""
    worst, rest = order[: SHOWN // 2], np.sort(order[SHOWN // 2 :])
    return [*worst.tolist(), *rest[:: max(1, len(rest) // (SHOWN // 2))][: SHOWN // 2].tolist()]
