"""zoo: classic convolutional networks for TensorFlow and Keras 3, to train, measure and extend.

Examples:
    >>> import zoo
    >>> zoo.list_models("lenet*")
    ['lenet5']
    >>> run = zoo.train("lenet5")  # doctest: +SKIP
    >>> run.metrics["test_accuracy"]  # doctest: +SKIP
    0.9917

Importing zoo imports neither TensorFlow nor Keras: each name below loads what it needs when first used.
"""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

from zoo.lazy import exports

if TYPE_CHECKING:
    from zoo.benchmarking.bench import benchmark
    from zoo.data import Dataset
    from zoo.data import load as load_dataset
    from zoo.errors import ZooError
    from zoo.evaluation.evaluate import evaluate
    from zoo.registry import create, get, list_models, register
    from zoo.runs.folder import load_run
    from zoo.spec import ModelSpec, Paper, Recipe, Run
    from zoo.training.trainer import train

__version__ = "0.1.0"

__all__ = [
    "Dataset",
    "ModelSpec",
    "Paper",
    "Recipe",
    "Run",
    "ZooError",
    "benchmark",
    "create",
    "evaluate",
    "get",
    "list_models",
    "load_dataset",
    "load_run",
    "register",
    "train",
]

# TensorFlow turns its oneDNN kernels on by itself only on some processors. On the others they are there all
# the same, and convolutions train about twice as fast with them. It reads this once, when it is imported.
if platform.machine().lower() in ("x86_64", "amd64"):
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

__getattr__ = exports(
    __name__,
    {
        "Dataset": "zoo.data:Dataset",
        "ModelSpec": "zoo.spec:ModelSpec",
        "Paper": "zoo.spec:Paper",
        "Recipe": "zoo.spec:Recipe",
        "Run": "zoo.spec:Run",
        "ZooError": "zoo.errors:ZooError",
        "benchmark": "zoo.benchmarking.bench:benchmark",
        "create": "zoo.registry:create",
        "evaluate": "zoo.evaluation.evaluate:evaluate",
        "get": "zoo.registry:get",
        "list_models": "zoo.registry:list_models",
        "load_dataset": "zoo.data:load",
        "load_run": "zoo.runs.folder:load_run",
        "register": "zoo.registry:register",
        "train": "zoo.training.trainer:train",
    },
    needing_keras={"evaluate", "train"},
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
