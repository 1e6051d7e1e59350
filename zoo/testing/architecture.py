"""Checks that the model builds, has its task's outputs, and has the size that its spec declares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from zoo.errors import ModelError, ZooError
from zoo.inspection import anatomy
from zoo.lazy import keras
from zoo.plugins.discovery import installed
from zoo.spec import ModelSpec
from zoo.tasks import task_of
from zoo.testing.check import Skipped, check
from zoo.testing.subject import batch_for, build, default_classes, import_path, outputs_of, spelled

OTHER_CLASSES = 7


@check()
def check_builds(spec: ModelSpec) -> Iterator[str]:
    """Builds with its defaults, and with another height, width, number of channels and number of classes."""
    if any(have < need for have, need in zip(spec.input_shape[:2], spec.min_size, strict=True)):
        yield f"declare a min_size that the default input_shape has: {spec.min_size} is more than {spec.input_shape}"
    yield from _wrong_shapes(spec, build(spec), spec.input_shape, default_classes(spec), spelled(spec))
    shape, other = _other_shape(spec)
    arguments: dict[str, Any] = {"input_shape": shape, "num_classes": OTHER_CLASSES}
    yield from _wrong_shapes(spec, other, shape, OTHER_CLASSES, spelled(spec, **arguments))


@check()
def check_counts(spec: ModelSpec) -> Iterator[str]:
    """Declares its parameters, trainable parameters and multiply-accumulates, and has exactly those."""
    measured = anatomy.dissect(build(spec))
    facts = {"params": measured.params, "trainable_params": measured.trainable_params, "macs": measured.macs}
    if measured.trainable_params == measured.params and spec.trainable_params == spec.params:
        del facts["trainable_params"]  # the registry takes it from params
    missing = [f"{name}={value:_}" for name, value in facts.items() if getattr(spec, name) is None]
    if missing:
        yield f"declare {', '.join(missing)} in @zoo.register(...): that is what the built model has"
    words = {"params": "parameters", "trainable_params": "trainable parameters", "macs": "multiply-accumulates"}
    for name, value in facts.items():
        declared = getattr(spec, name)
        if declared is not None and declared != value:
            yield f"declare {name}={value:_}: the built model has {value:,} {words[name]}, the spec says {declared:,}"


@check()
def check_output(spec: ModelSpec) -> Iterator[str]:
    """It ends as its task demands; in logits, where those are meant: no softmax, no activation."""
    model, task = build(spec), task_of(spec)
    try:
        task.check_outputs(spec.name, model, default_classes(spec))
    except ModelError as error:
        yield str(error)
        return
    if not task.ends_in_logits:
        return
    logits = outputs_of(model, batch_for(model))[0]
    activation = _final_activation(model)
    if logits.shape[-1] != 1 and (logits >= 0).all() and np.allclose(logits.sum(axis=-1), 1, atol=1e-3):
        yield f"end {spec.name} in logits: its outputs sum to one, so remove the final softmax"
    elif activation != "linear":
        yield f"end {spec.name} in logits: remove activation='{activation}' from the last layer"


@check()
def check_entry_point_name(spec: ModelSpec) -> Iterator[str]:
    """A plugin's entry point has the name of its builder: the same word in pyproject.toml and in the code."""
    path = import_path(spec)
    entries = {spec.name: path} if spec.origin.entry_point else _entry_points(path)
    if not entries:
        raise Skipped(f"{spec.name} is not from an entry point")
    function = getattr(spec.builder, "__name__", "")
    for key, value in entries.items():
        if key != function:
            yield (
                f'name the entry point as its builder, {function} = "{value}" in pyproject.toml: there it is {key}, '
                f"and the function is {function}"
            )


def _entry_points(path: str | None) -> dict[str, str]:
    """Return the entry points that name this builder: key to value."""
    return {plugin.name: plugin.value for plugin in installed().models if plugin.value == path}


def _other_shape(spec: ModelSpec) -> tuple[tuple[int, int, int], keras.Model]:
    """Build with another input shape, one that is not square; return both.

    An architecture may refuse a size that does not fit its grid, if it says so by a ModelError: twice its own
    size then fits.
    """
    height, width = (max(pair) for pair in zip(spec.input_shape[:2], spec.min_size, strict=True))
    near, twice = (height + 4, width + 8, 3), (2 * height, 4 * width, 3)
    try:
        return near, build(spec, input_shape=near, num_classes=OTHER_CLASSES)
    except ModelError as refusal:
        if not isinstance(refusal.__cause__, ZooError):
            raise
    return twice, build(spec, input_shape=twice, num_classes=OTHER_CLASSES)


def _wrong_shapes(
    spec: ModelSpec, model: keras.Model, shape: tuple[int, ...], num_classes: int, call: str
) -> Iterator[str]:
    if model.input_shape != (None, *shape):
        yield f"use input_shape: {call} takes {model.input_shape}, where (None, {', '.join(map(str, shape))}) is meant"
    try:
        task_of(spec).check_outputs(spec.name, model, num_classes)
    except ModelError as error:
        yield f"use num_classes: {call} does not end as it should. {error}"


def _final_activation(model: keras.Model) -> str:
    """Return the name of the last layer's activation; a layer without one counts as linear."""
    last = model.layers[-1]
    while isinstance(last, keras.Model) and last.layers:
        last = last.layers[-1]
    if isinstance(last, keras.layers.Softmax):
        return "softmax"
    return getattr(getattr(last, "activation", None), "__name__", "linear")
