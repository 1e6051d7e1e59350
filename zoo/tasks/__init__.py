"""What a task means to all others: what a model is held against, its loss, its metrics. The one place of choice."""

from __future__ import annotations

from zoo.errors import ModelError
from zoo.spec import TASKS
from zoo.spec.recipe import check_choice
from zoo.tasks.classification import Classification
from zoo.tasks.detection import Detection
from zoo.tasks.segmentation import Segmentation
from zoo.tasks.task import Task

__all__ = ["TASKS", "Task", "task_for"]

_KINDS: dict[str, type[Task]] = dict(zip(TASKS, (Classification, Detection, Segmentation), strict=True))


def task_for(name: str) -> type[Task]:
    """Return what the task of that name means. Raises `ModelError` for a name that is none."""
    check_choice("task", name, TASKS, ModelError)
    return _KINDS[name]
