"""What a task means to the trainer: its loss and its metrics. The one place where a task is chosen."""

from __future__ import annotations

from zoo.errors import ModelError
from zoo.tasks.classification import Classification

_TASKS = {"classification": Classification}


def task_for(name: str) -> type[Classification]:
    """Return the class that scores this task's logits; made without arguments, it scores them plainly.

    Raises:
        ModelError: zoo cannot train this task.
    """
    if name not in _TASKS:
        raise ModelError(f"zoo trains {', '.join(_TASKS)}, received a model of task '{name}'. Use its own trainer.")
    return _TASKS[name]
