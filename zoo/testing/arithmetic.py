"""Checks that outputs agree across precisions, with the same seed, and after saving and loading."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from zoo.lazy import keras
from zoo.spec import PRECISIONS, ModelSpec
from zoo.testing.check import check
from zoo.testing.subject import batch_for, brief, build, outputs_of, spelled


@check()
def check_precision(spec: ModelSpec) -> Iterator[str]:
    """Runs under mixed_bfloat16 and mixed_float16, and still ends in float32 logits."""
    for precision in PRECISIONS:
        model = build(spec, precision=precision)
        try:
            outputs = outputs_of(model, batch_for(model))
        except Exception as error:
            yield f"make {spelled(spec, precision=precision)} run: {brief(error)}"
            continue
        for output in outputs:
            if output.dtype != np.float32:
                yield f'give the last layer dtype="float32": under {precision} the output is {output.dtype}'


@check()
def check_same_seed(spec: ModelSpec) -> Iterator[str]:
    """The same seed, set by ``keras.utils.set_random_seed``, gives the same weights twice."""
    twins = []
    for _ in range(2):
        keras.utils.set_random_seed(1)
        twins.append(build(spec))
    for one, other in zip(twins[0].weights, twins[1].weights, strict=True):
        if not np.array_equal(keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(other)):
            yield (
                f"draw {one.path} by Keras' own initializers: built twice after keras.utils.set_random_seed(1), "
                f"{spec.name} has different weights there"
            )
            return  # one is enough to find the cause


@check()
def check_saves(spec: ModelSpec) -> Iterator[str]:
    """Saved as ``.keras`` and loaded again in safe mode, it computes the same outputs."""
    model = build(spec)
    images = batch_for(model)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.keras"
        try:
            model.save(file)
            again = keras.models.load_model(file, safe_mode=True)
        except Exception as error:
            yield (
                "use Keras' own layers, or custom ones under @keras.saving.register_keras_serializable() with a "
                f"get_config, and no Lambda: saved, {spec.name} does not load: {brief(error)}"
            )
            return
    for before, after in zip(outputs_of(model, images), outputs_of(again, images), strict=True):
        if not np.allclose(before, after, rtol=1e-5, atol=1e-6, equal_nan=True):
            yield (
                f"make get_config of {spec.name}'s custom layers return all that their outputs depend on: saved and "
                f"loaded, the outputs differ by up to {np.abs(before - after).max():.2g}"
            )
