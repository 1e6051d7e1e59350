"""Tasks: targets, loss, metrics, predictions. The only code that depends on which task it is.

A task is a file in this folder that defines a `Task`; it is found by scanning.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from zoo.errors import ModelError
from zoo.spec.model import ModelSpec, TaskValue
from zoo.spec.recipe import check_choice
from zoo.tasks.task import Task

__all__ = ["Task", "task_for", "task_of", "value_of"]


def task_for(name: str) -> Task:
    """Return the task of that name. Raises `ModelError` for a name that is none."""
    check_choice("task", name, tuple(_kinds()), ModelError)
    return _kinds()[name]()


def value_of(task: str | TaskValue, detector: Any = None) -> Task:
    """Return the task that a model is registered with.

    Args:
        task: a `Task`, or the name of one.
        detector: of ``"detection"``, a `zoo.tasks.detectors.Detector`; it can be part of the value instead.

    Raises:
        ModelError: there is no such task, or a detector is given to one that has none.
    """
    value = task if isinstance(task, Task) else task_for(str(task))
    if detector is None:
        return value
    if not hasattr(value, "detector"):
        raise ModelError(
            f"A detector reads boxes, and {value.name} finds none. Leave it out, or pass task='detection'."
        )
    return dataclasses.replace(value, detector=detector)  # type: ignore[type-var]


def task_of(spec: ModelSpec) -> Task:
    """Return what a model is for: the task that it was registered with, or the one that its spec names."""
    return value_of(spec.task_value or spec.task)


@functools.cache
def _kinds() -> Mapping[str, type[Task]]:
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    values = [value for module in modules for value in vars(module).values() if isinstance(value, type)]
    return {value.name: value for value in values if issubclass(value, Task) and "name" in vars(value)}
