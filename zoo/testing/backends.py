"""Checks, in a subprocess, that the model runs without TensorFlow, under Keras' other backends.

Keras' NumPy backend imports JAX (Keras 3.15), so no backend works with NumPy alone.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.spec import ModelSpec
from zoo.testing.check import Skipped, check
from zoo.testing.subject import batch_for, brief, build, import_path, outputs_of, spec_from

BACKENDS = ("jax", "torch")  # tried in this order
SECONDS = 600  # a hanging process must not hang the tests
TOLERANCE = 1e-3  # of the largest output: sums in another order differ by about 1e-6


@check()
def check_runs_without_tensorflow(spec: ModelSpec) -> Iterator[str]:
    """Built under JAX or PyTorch with TensorFlow blocked, and given the same weights, it computes the same."""
    path = import_path(spec)
    if path is None:
        raise Skipped(f"{spec.name} was defined where another process cannot import it; put it into a module")
    backend = next((name for name in BACKENDS if importlib.util.find_spec(name)), None)
    if backend is None:
        raise Skipped("neither jax nor torch is installed; one of them is enough: pip install jax")
    model = build(spec)
    images = batch_for(model)
    expected = outputs_of(model, images)
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "images.npz", images)
        np.savez(Path(folder) / "weights.npz", *model.get_weights())
        verdict = _run_elsewhere(Path(folder), path, backend)
        if "error" in verdict:
            yield _instruction(spec, backend, verdict)
            return
        outputs = _arrays(Path(folder) / "outputs.npz")
    for here, there in zip(expected, outputs, strict=True):
        apart = float(np.abs(here - there).max())
        if not apart <= TOLERANCE * max(1.0, float(np.abs(here).max())):
            yield (
                f"compute the same under every backend: with the same weights and images, {spec.name}'s outputs "
                f"differ by up to {apart:.2g} between TensorFlow and {backend}"
            )


def _run_elsewhere(folder: Path, path: str, backend: str) -> dict[str, str]:
    """Run this module in a subprocess and return its verdict, which has ``error`` if the model failed."""
    (folder / "job.json").write_text(json.dumps({"builder": path, "search": sys.path}))
    environment = {"KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu", "KERAS_TORCH_DEVICE": "cpu"}
    # Each operation is compiled and run once: optimising what is compiled would take most of the time.
    environment["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0"
    try:
        result = subprocess.run(
            [sys.executable, "-c", _child_code(), str(folder)],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=SECONDS,
            env={**os.environ, **environment},
        )
    except subprocess.TimeoutExpired:
        return {"error": f"it did not end within {SECONDS} s"}
    verdict = folder / "verdict.json"
    if verdict.exists():
        return dict(json.loads(verdict.read_text()))
    last = result.stderr.strip().rpartition("\n")[2]
    return {"error": f"exit code {result.returncode}: {last}"}


def _child_code() -> str:
    """The other process takes this one's search path first, to find zoo and the builder where they are here."""
    return (
        "import json, pathlib, sys; "
        "sys.path[:] = json.loads((pathlib.Path(sys.argv[1]) / 'job.json').read_text())['search']; "
        "from zoo.testing import backends; backends.answer(pathlib.Path(sys.argv[1]))"
    )


def _instruction(spec: ModelSpec, backend: str, verdict: dict[str, str]) -> str:
    if verdict.get("missing", "").partition(".")[0] == "tensorflow":
        return f"use keras.layers and keras.ops instead of TensorFlow: {spec.name} imports {verdict['missing']}"
    return (
        f"make {spec.name} run under KERAS_BACKEND={backend}, with keras.layers and keras.ops only: {verdict['error']}"
    )


def answer(folder: Path) -> None:
    """Build and run the job's model without TensorFlow, and write outputs and a verdict beside it.

    Runs in the other process. The verdict is a file, because the builder may print what it likes.
    """
    sys.meta_path.insert(0, _NoTensorFlow())
    verdict: dict[str, str] = {}
    try:
        path = json.loads((folder / "job.json").read_text())["builder"]
        model = build(spec_from(path))
        model.set_weights(_arrays(folder / "weights.npz"))
        np.savez(folder / "outputs.npz", *outputs_of(model, _arrays(folder / "images.npz")[0]))
    except (Exception, SystemExit) as error:
        cause = error.__cause__ or error  # zoo's own words around it would be about this process
        verdict = {"error": brief(cause)}
        if isinstance(cause, ModuleNotFoundError):
            verdict["missing"] = cause.name or ""
    (folder / "verdict.json").write_text(json.dumps(verdict))


class _NoTensorFlow:
    """An import finder that blocks TensorFlow."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> None:  # noqa: ARG002
        if name.partition(".")[0] == "tensorflow":
            raise ModuleNotFoundError(f"No module named '{name}' (blocked for this check)", name=name)


def _arrays(file: Path) -> list[np.ndarray]:
    """Read arrays in the order in which they were saved."""
    with np.load(file) as saved:
        return [saved[f"arr_{number}"] for number in range(len(saved.files))]
