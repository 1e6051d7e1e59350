"""The run folder: its files, and how they are written and read.

``run.json`` is the whole document, ``history.csv`` a row per epoch, ``model.keras`` the trained model, which
takes raw 0..255 images, and ``curves.png`` its course. Every file is either the old one or the new one.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import io
import json
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import filelock

from zoo import registry
from zoo.errors import RunError, UnknownNameError, suggestion
from zoo.report.runs.curves import training_curves
from zoo.runs.serialization import load_model
from zoo.spec import Recipe, Run, RunDocument
from zoo.spec.run import SCHEMA
from zoo.utils.files import TEMPORARY, atomic_path, atomic_write, check_writable, numbered, writing

RUNS = Path("runs")
NEEDED = {
    "model": str,
    "task": str,
    "dataset": str,
    "seed": int,
    "recipe_values": dict,
    "class_names": list,
    "metrics": dict,
}
"""The keys that a run cannot be read without, and what they hold."""


@contextlib.contextmanager
def run_folder(model: str, seed: int, output: Path | None, *, again: bool = False) -> Iterator[Path]:
    """Give a folder for a run to one process at a time.

    If the run fails before it has written anything, a folder made for it goes again.

    Args:
        again: `output` is the folder of a run that is continued. The other arguments and the errors are those of
            `new_run_folder`.

    Raises:
        RunError: another process trains in it.
    """
    was_there = output is not None and os.path.isdir(output)  # noqa: PTH112 (see find_run)
    folder = output if again and output is not None else new_run_folder(model, seed, output)
    lock = filelock.FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise RunError(f"Another process is training in {folder}. Wait for it, or choose another folder.") from None
    except OSError as error:
        raise RunError(f"{folder} cannot be written: {error.strerror or error}. Change its permissions.") from error
    for left in folder.glob(f"{TEMPORARY}*"):  # what a process that was killed was writing
        left.unlink()
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):
            (folder / ".lock").unlink()  # before the release, while nobody else can hold it
        lock.release()
        with contextlib.suppress(OSError):
            if not was_there:
                folder.rmdir()  # refuses, as it should, once there is a file inside


def new_run_folder(model: str, seed: int, output: Path | None) -> Path:
    """Make an empty folder for a run, before any time is spent on training.

    Args:
        output: the folder to use; by default ``runs/<model>-<time>-s<seed>``.

    Raises:
        RunError: the folder holds a run already, or cannot be made or written.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S")
    wanted = output or RUNS / f"{model.replace('/', '-')}-{stamp}-s{seed}"
    if output is not None and os.path.exists(output / "run.json"):  # noqa: PTH110 (see find_run)
        raise RunError(f"{output} holds a run already. Choose another --output.")
    if output is not None and os.path.exists(output / "checkpoint.npz"):  # noqa: PTH110
        raise RunError(f"{output} holds a run that was stopped. Continue it by --resume, or choose another --output.")
    for folder in numbered(wanted):
        with writing(folder):
            try:
                folder.mkdir(parents=True, exist_ok=output is not None)
            except FileExistsError:
                if output is not None:
                    raise RunError(f"{output} is a file, not a folder. Choose another --output.") from None
                continue
            check_writable(folder)
        return folder.resolve()
    raise AssertionError("unreachable: numbers do not end")


def write_run(run: Run) -> None:
    """Write every file of a finished run, its model among them.

    Raises:
        RunError: the folder has gone or the disk is full.
    """
    with writing(run.folder, "Free some space or choose another --output."):
        save_model(run.model, run.folder / "model.keras")
        atomic_write(run.folder / "history.csv", _history_csv(run.document["history"]))
        title = f"{run.document['model']} on {run.document['dataset']}, seed {run.document['seed']}"
        training_curves(run.document["history"], run.folder / "curves.png", title=title)
        atomic_write(run.folder / "run.json", json.dumps(run.document, indent=2, allow_nan=False) + "\n")


def save_model(model: Any, path: Path) -> None:
    """Write a model without its optimizer, all of it or nothing. Raises OSError."""
    with atomic_path(path) as temporary:
        _uncompiled(model).save(temporary)


def in_float32(model: Any, example: Any) -> Any:
    """Return the same network computing in float32, with weights of its own; the model itself where it does already.

    Half precision is how a recipe trains, on hardware that is fast at it. What comes out of it is for everybody: a
    file whose layers say bfloat16 is refused by TFLite and onnxruntime. The weights are float32 in either case.

    Args:
        model: built, of Keras' layers or others; the classes of its layers need not be registered. One that cannot be
            made again from its own configuration is returned as it is, with a warning.
        example: one or more of the images that it takes, to try the copy with.
    """
    import keras

    if not any(layer.compute_dtype in ("bfloat16", "float16") for layer in model._flatten_layers()):
        return model
    plain = _uncompiled(model)
    classes = {type(layer).__name__: type(layer) for layer in plain._flatten_layers()}
    policy_before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("float32")  # for layers that do not say
        config = _config_in_float32(keras.saving.serialize_keras_object(plain))
        copy = keras.saving.deserialize_keras_object(config, custom_objects=classes, safe_mode=False)  # our own config
        copy.set_weights(plain.get_weights())
        copy(example, training=False)  # a Lambda, for one, may miss what its function finds around it
    except Exception as error:  # whatever a foreign layer raises: what was trained must not be lost
        cause = " ".join(str(error).split())[:200]
        warnings.warn(
            f"{model.name} is measured and saved in the precision that it was trained in, since no copy of it in "
            f"float32 can be made: {type(error).__name__}: {cause}",
            stacklevel=2,
        )
        return model
    finally:
        keras.config.set_dtype_policy(policy_before)
    return copy


def _config_in_float32(config: Any, *, is_dtype: bool = False) -> Any:
    """Return a serialised model with every half precision in it replaced, be it a policy's or a tensor's.

    Args:
        config: any part of it.
        is_dtype: whether this part says nothing but a dtype.
    """
    if isinstance(config, dict):
        return {key: _config_in_float32(item, is_dtype=is_dtype or "dtype" in str(key)) for key, item in config.items()}
    if isinstance(config, list):
        return [_config_in_float32(item, is_dtype=is_dtype) for item in config]
    if isinstance(config, str) and is_dtype:
        return re.sub(r"(mixed_)?b?float16$", "float32", config)  # also "int8_from_mixed_bfloat16"
    return config


def _uncompiled(model: Any) -> Any:
    """Return the same network, weights shared, without the optimizer that training has compiled into it."""
    import keras

    if not model.compiled:
        return model
    if getattr(model, "inputs", None):
        return keras.Model(model.input, model.output, name=model.name)
    raise RunError(f"{model.name} has no symbolic inputs, so it cannot be saved. Build it as a functional model.")


def load_run(path: str | Path) -> Run:
    """Read a run folder.

    Args:
        path: the folder, or its name inside ``runs/``.

    Returns:
        The `Run`; its `model` is read from ``model.keras`` when first asked for.

    Raises:
        RunError: there is no such folder, or it does not hold a finished run.
    """
    folder = find_run(path)
    file = folder / "run.json"
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        _check_form(document, file)
        recipe = Recipe.from_dict(document["recipe_values"])
    except FileNotFoundError:
        if (folder / "checkpoint.npz").exists():
            raise RunError(f"{folder} is not finished. Continue it: zoo train --resume {folder}") from None
        raise RunError(f"{folder} holds no run.json: no finished run. Train again, or name another folder.") from None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise RunError(f"{file} cannot be read: {error}. Train again, or name another run.") from error
    return Run(folder=folder, document=document, recipe=recipe, load=model_loader(folder, document))


def _check_form(document: Any, file: Path) -> None:
    """Refuse what another version has written, or nobody.

    Raises:
        RunError: it is written by another schema.
        ValueError: a key that is needed is not there.
    """
    if not isinstance(document, dict):
        raise ValueError("it holds no object")
    if document.get("schema", SCHEMA) != SCHEMA:
        raise RunError(f"{file} is written as {document['schema']}; this zoo reads {SCHEMA}. Use that version.")
    missing = [name for name, kind in NEEDED.items() if not isinstance(document.get(name), kind)]
    if missing:
        raise ValueError(f"it lacks {', '.join(missing)}, or holds another type there")


def model_loader(folder: Path, document: RunDocument) -> Callable[[], Any]:
    """Return what reads a run's model when it is asked for: a value that can be sent to another process."""
    return functools.partial(_load_own_model, folder, document["model"])


def _load_own_model(folder: Path, name: str) -> Any:
    """Read a run's model; the layers of a plugin are there once its model has been asked for.

    Nothing is imported because the run's document says so: it may come from anybody, an installed plugin does not.
    """
    packages = set()
    with contextlib.suppress(UnknownNameError):  # then a network of Keras' own layers still loads
        packages.add(registry.get(name).builder.__module__.partition(".")[0])
    return load_model(folder / "model.keras", packages=packages)


def find_run(path: str | Path) -> Path:
    """Return the folder that `path` names: a path, or a name inside ``runs/``."""
    for folder in (Path(path), RUNS / path):
        if os.path.isdir(folder):  # noqa: PTH112 (Path.is_dir raises for a name too long, or under a locked parent)
            return folder.resolve()
    known = [folder.name for folder in RUNS.iterdir() if folder.is_dir()] if RUNS.is_dir() else []
    raise RunError(f"There is no run '{path}'.{suggestion(str(path), known)} Runs are kept in {RUNS}/.")


def _history_csv(history: Sequence[Mapping[str, Any]]) -> str:
    """One row per epoch; the header holds every name that any epoch has."""
    names = list(dict.fromkeys(name for row in history for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()
