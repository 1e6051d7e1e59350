"""Reads, compares and restores process-wide settings that building a model must not change."""

from __future__ import annotations

import contextlib
import os
import random
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from zoo.lazy import keras

# How to say each setting, and how Keras reads it. The setters have the same names with "set_" before them.
KERAS_SETTINGS = ("dtype_policy", "floatx", "epsilon", "image_data_format")


def settings() -> dict[str, Any]:
    """Return the settings by the name that an author would look for."""
    found: dict[str, Any] = {f"keras.config.{name}": _keras_setting(name) for name in KERAS_SETTINGS}
    found |= {f"os.environ[{name!r}]": value for name, value in os.environ.items()}
    return found | {"warnings.filters": list(warnings.filters), "the current folder": str(Path.cwd())}


def random_states() -> dict[str, Any]:
    """Return the states of ``random`` and ``numpy.random``, which ``keras.utils.set_random_seed`` also seeds."""
    return {"random": random.getstate(), "numpy.random": _comparable(np.random.get_state())}


def seed_generators(seed: int) -> None:
    """Seed the same two generators."""
    random.seed(seed)
    np.random.seed(seed)


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Restore all of these settings on leaving."""
    keras_settings = {name: getattr(keras.config, name)() for name in KERAS_SETTINGS}
    environment, folder = dict(os.environ), Path.cwd()
    python_state, numpy_state = random.getstate(), np.random.get_state()
    with warnings.catch_warnings():
        # Where warnings are errors, what Keras and TensorFlow deprecate inside themselves is not the model's fault.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"(keras|tensorflow)\b")
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)
            os.chdir(folder)
            if os.environ != environment:
                os.environ.clear()
                os.environ.update(environment)
            for name, value in keras_settings.items():
                getattr(keras.config, f"set_{name}")(value)


def _keras_setting(name: str) -> Any:
    value = getattr(keras.config, name)()
    return getattr(value, "name", value)


def _comparable(state: Any) -> tuple[Any, ...]:
    """NumPy's legacy state holds an array, which does not compare to a single truth."""
    return tuple(part.tobytes() if isinstance(part, np.ndarray) else part for part in state)
