"""The subject of a check: a model's spec, the models built from it, and a batch for them."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from zoo import registry
from zoo.errors import ModelError, ZooError
from zoo.lazy import keras
from zoo.spec import ModelSpec, spec_of

Subject = str | Callable[..., Any] | ModelSpec

BATCH = 8


def spec_from(model: Subject) -> ModelSpec:
    """Return the spec of a registered name, of ``"module:builder"``, of a builder, or the spec itself.

    Raises:
        ZooError: there is no such name, or it is not a builder.
    """
    if isinstance(model, ModelSpec):
        return model
    if isinstance(model, str):
        return spec_of(_imported(model)) if ":" in model else registry.get(model)
    if callable(model):
        return spec_of(model)
    raise ModelError(f"Pass a model's name, 'module:builder', a builder or a ModelSpec; received {model!r}.")


def build(spec: ModelSpec, *, precision: str | None = None, **arguments: Any) -> keras.Model:
    """Call the builder directly, and check that it returns an ordinary Keras model with known shapes.

    zoo's argument checks and the guard around plugins are bypassed: they would hide errors from the author.

    Raises:
        ModelError: an instruction that names the builder and the arguments.
    """
    call = spelled(spec, precision=precision, **arguments)
    policy_before = keras.config.dtype_policy()
    try:
        if precision is not None:
            keras.config.set_dtype_policy(precision)
        model = spec.builder(**arguments)
    except (Exception, SystemExit) as error:
        raise ModelError(f"make {call} build: it raised {brief(error)}") from error
    finally:
        keras.config.set_dtype_policy(policy_before)
    if not isinstance(model, keras.Model):
        raise ModelError(f"return a keras.Model from {call}: it returned {_described(model)}")
    if not model.built or not getattr(model, "inputs", None):
        raise ModelError(
            f"begin {spec.name} with keras.Input(input_shape), as a functional or Sequential model: "
            f"what {call} returned does not know its shapes"
        )
    return model


def spelled(spec: ModelSpec, *, precision: str | None = None, **arguments: Any) -> str:
    """Return a builder's call as its author would write it."""
    given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    under = f" under {precision}" if precision not in (None, "float32") else ""
    return f"{spec.name}({given}){under}"


def brief(error: BaseException) -> str:
    """Return an error as one line: its kind, unless it is zoo's own, and the beginning of its text."""
    kind = "" if isinstance(error, ZooError) else f"{type(error).__name__}: "
    return kind + " ".join(str(error).split())[:300]


def default_classes(spec: ModelSpec) -> int:
    """Return the number of classes that the builder has by default."""
    return int(inspect.signature(spec.builder).parameters["num_classes"].default)


def batch_for(model: keras.Model) -> np.ndarray:
    """Return `BATCH` images (N, H, W, C), float32 in 0..1, the same every time.

    Each is a coarse pattern of its own: far from the others, so that any network can tell them apart.
    """
    height, width, channels = model.input_shape[1:]
    rng = np.random.default_rng(0)
    coarse = rng.random((BATCH, min(4, height), min(4, width), channels), dtype=np.float32)
    rows = np.arange(height) * coarse.shape[1] // height
    columns = np.arange(width) * coarse.shape[2] // width
    return coarse[:, rows][:, :, columns]


def outputs_of(model: keras.Model, images: np.ndarray) -> list[np.ndarray]:
    """Return a model's outputs in inference as arrays, one per output."""
    return [keras.ops.convert_to_numpy(output) for output in keras.tree.flatten(model(images, training=False))]


def import_path(spec: ModelSpec) -> str | None:
    """Return ``module:builder`` if another process would find the same builder there, else None."""
    if spec.origin.entry_point:
        return spec.origin.entry_point.partition("[")[0].strip()
    module = getattr(spec.builder, "__module__", None)
    path = f"{module}:{getattr(spec.builder, '__qualname__', '<none>')}"
    if module in (None, "__main__") or "<" in path:  # notebooks, functions inside functions, lambdas
        return None
    try:
        found = _imported(path)
    except ZooError:
        return None
    return path if inspect.unwrap(found) is inspect.unwrap(spec.builder) else None


def _imported(path: str) -> Callable[..., Any]:
    """Import ``module:builder``; raises ModelError."""
    module, _, attribute = path.partition(":")
    try:
        found = functools.reduce(getattr, attribute.split("."), importlib.import_module(module))
    except (Exception, SystemExit) as error:
        raise ModelError(f"'{path}' cannot be imported: {brief(error)}. Give a 'package.module:builder'.") from error
    if not callable(found):
        raise ModelError(f"'{path}' is a {type(found).__name__}, not a builder. Name a function.")
    return found


def _described(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__module__}.{type(value).__qualname__}"
