"""Reads and checks Keras' settings, in environment variables and ``keras.json``, before Keras is imported.

Keras reads both when it is first imported. An invalid setting stops that import half-way, which Python cannot undo, so
zoo checks first, in the same way as Keras (``keras/src/backend/config.py`` of Keras 3.15). Nothing is imported here
except the library of another backend, if one is set, to see whether it is installed.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import DeviceError

# Keras' backends and the libraries that they import. The NumPy backend uses JAX (Keras 3.15).
BACKENDS = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch", "numpy": "jax", "openvino": "openvino"}
CHOICES = {
    "floatx": ("float16", "float32", "float64"),
    "image_data_format": ("channels_last", "channels_first"),
}


@dataclass(frozen=True)
class KerasSettings:
    """The settings that Keras will start with."""

    file: Path
    """The settings file, which need not exist."""
    backend: Any
    from_environment: bool
    """Whether the backend is set by KERAS_BACKEND rather than the file."""
    image_data_format: Any
    fault: str
    """Why Keras cannot start with this file, and the next step; empty if it can."""


def read() -> KerasSettings:
    """Read the settings as Keras does: the variable overrides the file, and invalid JSON counts as empty."""
    file = _file()
    values: Any = {}
    fault = ""
    try:
        if os.path.exists(file):  # noqa: PTH110 - False where the folder may not be looked into
            values = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        pass
    except OSError as error:
        fault = f"Keras cannot read its settings, {file}: {error.strerror}. Make it readable, or delete it."
    if not isinstance(values, dict):
        kind = type(values).__name__
        fault = f"Keras cannot start: {file} holds a {kind} instead of an object. Delete it: Keras writes a new one."
        values = {}
    chosen = os.environ.get("KERAS_BACKEND")
    return KerasSettings(
        file=file,
        backend=chosen or values.get("backend", "tensorflow"),
        from_environment=bool(chosen),
        image_data_format=values.get("image_data_format", "channels_last"),
        fault=fault or _unusable(file, values),
    )


def check_keras_starts() -> None:
    """Check that Keras can be imported with its settings; call this before importing Keras or TensorFlow.

    Raises:
        DeviceError: naming the wrong setting and where it comes from.
    """
    if "keras" in sys.modules:
        return
    settings = read()
    if settings.fault:
        raise DeviceError(settings.fault)
    if settings.backend != "tensorflow" and not _is_there(settings.backend):
        raise DeviceError(_other_backend(settings.backend, settings))


def check_keras_suits() -> None:
    """Check that zoo can work with Keras' settings, unless Keras is already imported.

    Raises:
        DeviceError: naming the wrong setting and where it comes from.
    """
    if "keras" not in sys.modules:
        settings = read()
        if settings.fault:
            raise DeviceError(settings.fault)
        check_values(settings.backend, settings.image_data_format)


def check_values(backend: Any, image_data_format: Any) -> None:
    """Check that zoo can train with this backend and channel order.

    Raises:
        DeviceError: naming the wrong setting and where it comes from.
    """
    if backend != "tensorflow":
        raise DeviceError(_other_backend(backend, read()))
    check_channel_order(image_data_format)


def check_channel_order(image_data_format: Any) -> None:
    """Reject channels_first, which zoo's models do not support. Raises DeviceError, as `check_values` does."""
    if image_data_format == "channels_last":
        return
    settings = read()
    in_code = "" if image_data_format == settings.image_data_format else ", or keras.config.set_image_data_format,"
    raise DeviceError(
        f"zoo trains on channels_last images, but Keras is set to {image_data_format!r}. Change 'image_data_format' in "
        f"{settings.file}{in_code} to channels_last."
    )


@contextlib.contextmanager
def defaults() -> Iterator[None]:
    """Ignore Keras' settings: if Keras is imported in this context, it uses TensorFlow and its defaults."""
    before = {name: os.environ.get(name) for name in ("KERAS_HOME", "KERAS_BACKEND")}
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"KERAS_HOME": folder, "KERAS_BACKEND": "tensorflow"}
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                os.environ |= {} if value is None else {name: value}


def _file() -> Path:
    home = os.environ.get("KERAS_HOME")
    if home is None:
        user = os.path.expanduser("~")  # noqa: PTH111 - as Keras has it, also where there is no home
        home = os.path.join(user if os.access(user, os.W_OK) else "/tmp", ".keras")  # noqa: PTH118
    return Path(os.path.expanduser(os.path.join(home, "keras.json"))).absolute()  # noqa: PTH111, PTH118


def _unusable(file: Path, values: dict[str, Any]) -> str:
    """Return the error message for a value in the file that Keras rejects; empty if there is none."""
    remedy = "Correct it, or delete the file: Keras writes a new one."
    for name, choices in CHOICES.items():
        if name in values and values[name] not in choices:
            known = ", ".join(choices[:-1]) + " or " + choices[-1]
            return f"Keras cannot start: '{name}' in {file} must be {known}, received {values[name]!r}. {remedy}"
    if "epsilon" in values and not isinstance(values["epsilon"], float):
        return f"Keras cannot start: 'epsilon' in {file} must be a float, received {values['epsilon']!r}. {remedy}"
    return ""


def _is_there(backend: Any) -> bool:
    """Whether Keras has this backend, and the backend's library can be imported."""
    if not isinstance(backend, str) or backend not in BACKENDS:
        return False
    try:
        importlib.import_module(BACKENDS[backend])
    except Exception:  # a broken installation may raise anything
        return False
    return True


def _other_backend(backend: Any, settings: KerasSettings) -> str:
    if backend != settings.backend:  # chosen in code, or Keras was imported before the settings changed
        place = ". Set KERAS_BACKEND=tensorflow before Keras is imported."
    elif settings.from_environment:
        place = " by the environment variable KERAS_BACKEND. Set KERAS_BACKEND=tensorflow."
    else:
        place = f" by 'backend' in {settings.file}. Change it there to tensorflow, or set KERAS_BACKEND=tensorflow."
    return f"zoo trains with Keras' TensorFlow backend, but Keras is set to {backend!r}{place}"
