"""Checkpoints: the state of a training run in one file, written after every epoch and read to resume.

``checkpoint.npz`` holds every variable as an array, and the rest as JSON text under `manifest`. It is replaced by a
rename, so a process killed at any moment leaves either the old file or the new one, never a partial one.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from zoo.errors import RunError
from zoo.spec import RunDocument
from zoo.spec.recipe import plain
from zoo.utils.files import atomic_write, writing

SCHEMA = "zoo.checkpoint/1"
FILE = "checkpoint.npz"
DOCUMENT = {"model", "recipe", "recipe_values", "limit", "data_dir", "deterministic", "tensorboard", "environment"}
TOTALS = {"loss", "correct", "examples", "steps"}
ARRAY = "array:"  # prefix of an array's name in the manifest


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training run, from which it resumes exactly.

    `document` holds the fields of ``run.json`` that are known before training. `epoch` epochs are finished; `totals`
    (`loss`, `correct`, `examples`, `steps`) are the sums of the next one so far, and `learning_rate` is its initial
    learning rate. `variables` are those of the compiled loop, in order; `states` those of the callbacks.
    """

    document: RunDocument
    epoch: int
    totals: Mapping[str, Any]
    learning_rate: float
    stopped: bool  # a callback has stopped the training
    history: Sequence[Mapping[str, Any]]
    timing: Mapping[str, float]
    variables: Sequence[np.ndarray] = field(repr=False)
    names: Sequence[str] = field(repr=False)
    states: Sequence[Mapping[str, Any]] = field(repr=False)

    def write(self, folder: Path) -> None:
        """Write this to `folder`, replacing the previous checkpoint.

        Raises:
            RunError: the folder is gone or cannot be written; the previous checkpoint is kept.
        """
        arrays = {f"variable/{number}": array for number, array in enumerate(self.variables)}
        manifest = {
            "schema": SCHEMA,
            "document": plain(self.document),
            "epoch": self.epoch,
            "totals": self.totals,
            "learning_rate": self.learning_rate,
            "stopped": self.stopped,
            "history": self.history,  # not by `plain`: a loss of NaN must stay NaN
            "timing": self.timing,
            "names": list(self.names),
            "states": _without_arrays(self.states, "state", arrays),
        }
        content = io.BytesIO()
        np.savez(content, manifest=np.array(json.dumps(manifest)), **arrays)  # type: ignore[arg-type]
        if not os.path.isdir(folder):  # noqa: PTH112 (atomic_write would create it and hide that it was deleted)
            raise RunError(f"{folder} has vanished while the model was trained. Train again with another --output.")
        last = f"The checkpoint before stays: --resume {folder}" if (folder / FILE).exists() else "Train again"
        with writing(folder / FILE, f"{last} once there is space."):
            atomic_write(folder / FILE, content.getvalue())

    def restore(self, variables: Sequence[keras.Variable]) -> None:
        """Assign the saved values to the variables.

        Raises:
            RunError: the checkpoint belongs to another model.
        """
        there = [(name, array.shape) for name, array in zip(self.names, self.variables, strict=True)]
        here = [(variable.path, tuple(variable.shape)) for variable in variables]
        # Keras numbers layers and seeds in order of creation ("seed_generator_3"), so only shapes can be compared.
        for (name, shape), (path, wanted) in zip(there, here, strict=False):
            if shape != wanted:
                raise RunError(
                    f"The checkpoint is of another model: {path} is {wanted}, in the checkpoint {name} is {shape}. "
                    "Continue the run that it came from, or train again."
                )
        if len(there) != len(here):
            raise RunError(
                f"The checkpoint is of another model: it holds {len(there)} variables, this one has {len(here)}. "
                "Continue the run that it came from, or train again."
            )
        for variable, value in zip(variables, self.variables, strict=True):
            variable.assign(value)


def names_and_values(variables: Sequence[keras.Variable]) -> tuple[list[str], list[np.ndarray]]:
    """Return the variables' paths and copies of their values as NumPy arrays (bfloat16 as float32, exactly)."""
    values = [variable.value.numpy() for variable in variables]
    exact = [np.array(value if value.dtype.isbuiltin else value.astype(np.float32)) for value in values]
    return [variable.path for variable in variables], exact


def read(folder: Path) -> Checkpoint:
    """Read the checkpoint of a run folder, without unpickling anything.

    Raises:
        RunError: the run is finished, it was stopped before its first checkpoint, or the file is not a checkpoint.
    """
    path = folder / FILE
    if not path.exists() and (folder / "run.json").exists():
        raise RunError(f"{folder} is finished: there is nothing to continue. Train again with another --output.")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            manifest = json.loads(str(arrays["manifest"]))
            if manifest["schema"] != SCHEMA:
                raise RunError(f"{path} is written as {manifest['schema']}; this zoo reads {SCHEMA}. Use that version.")
            missing = (DOCUMENT - set(manifest["document"])) | (TOTALS ^ set(manifest["totals"]))
            if missing:
                raise ValueError(f"it lacks, or should not have, {', '.join(sorted(missing))}")
            return Checkpoint(
                document=manifest["document"],
                epoch=int(manifest["epoch"]),
                totals=manifest["totals"],
                learning_rate=float(manifest["learning_rate"]),
                stopped=bool(manifest["stopped"]),
                history=manifest["history"],
                timing=manifest["timing"],
                variables=[arrays[f"variable/{number}"] for number in range(len(manifest["names"]))],
                names=manifest["names"],
                states=_with_arrays(manifest["states"], arrays),
            )
    except FileNotFoundError:
        raise RunError(
            f"{folder} holds no {FILE}: it was stopped before its training began. Train again with another --output."
        ) from None
    except (OSError, ValueError, LookupError, TypeError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} cannot be read as a checkpoint: {error}. Train again with another --output.") from error


def remove(folder: Path) -> None:
    """Remove the checkpoint of a finished run."""
    (folder / FILE).unlink(missing_ok=True)


def _without_arrays(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """Move each array in `value` to `arrays`, and put its name where it was."""
    if isinstance(value, Mapping):
        return {str(key): _without_arrays(item, f"{name}/{key}", arrays) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_arrays(item, f"{name}/{number}", arrays) for number, item in enumerate(value)]
    if isinstance(value, np.ndarray) or keras.ops.is_tensor(value):
        arrays[name] = np.asarray(value)
        return ARRAY + name
    return value.item() if isinstance(value, np.generic) else value


def _with_arrays(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Undo `_without_arrays`."""
    if isinstance(value, dict):
        return {key: _with_arrays(item, arrays) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_arrays(item, arrays) for item in value]
    if isinstance(value, str) and value.startswith(ARRAY):
        return arrays[value.removeprefix(ARRAY)]
    return value
