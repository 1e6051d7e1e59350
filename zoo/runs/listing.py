"""List the runs in a folder, from the records they wrote.

Nothing here opens a model. A folder with a ``run.json`` is a finished run; one with a ``checkpoint.npz`` alone was
stopped. Both files may be damaged, from another version or from somebody else: what cannot be read is None, and the
row says so in its `state`.
"""

from __future__ import annotations

import fnmatch
import json
import math
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from zoo.errors import RunError, UnknownNameError, suggestion
from zoo.report.runs.listing import COLUMNS
from zoo.runs.folder import RUNS

FACTS: Mapping[str, type] = {
    "model": str,
    "dataset": str,
    "recipe": str,
    "seed": int,
    "metrics.test_accuracy": float,
    "metrics.test_loss": float,
    "timing.train_s": float,
    "timing.images_per_s": float,
    "params": int,
    "precision": str,
    "device": str,
    "limit": int,
}
"""Where a run's document holds each fact of a row, the last part being the column, and of which kind it is."""


def list_runs(
    folder: str | Path = RUNS,
    *,
    sort: str = "finished",
    reverse: bool = False,
    model: str = "*",
    dataset: str | None = None,
) -> list[dict[str, Any]]:
    """Return one row per run in `folder` and anywhere below it.

    Args:
        folder: where to look; one that does not exist holds no run.
        sort: a column, by its name here or by its header in the table; the largest comes last, as does the newest.
        reverse: the largest first. Rows without a value come last either way.
        model: only runs of models whose names match this pattern (shell wildcards).
        dataset: only runs on this dataset.

    Returns:
        Plain values, None where the record holds nothing: ``run`` (the folder's name relative to `folder`), ``model``,
        ``dataset``, ``recipe``, ``seed``, ``epochs`` (those trained), ``test_accuracy`` (0..1), ``test_loss``,
        ``train_s`` (seconds), ``images_per_s``, ``params``, ``precision``, ``device``, ``limit``, ``finished`` (when
        ``run.json`` was written, in UTC), ``state`` and ``folder`` (the absolute path).

    Raises:
        UnknownNameError: no column is called `sort`.
        RunError: `folder` is a file.
    """
    column = column_named(sort)
    top = Path(folder)
    if os.path.lexists(top) and not os.path.isdir(top):  # noqa: PTH112 (Path.is_dir raises for a name too long)
        raise RunError(f"{top} is no folder, so it holds no runs. Name the folder that run folders are in.")
    rows = [_row(path, top) for path in _run_folders(top)]
    rows = [
        row
        for row in rows
        if (model == "*" or fnmatch.fnmatchcase(row["model"] or "", model)) and dataset in (None, row["dataset"])
    ]
    present = sorted((row for row in rows if row[column] is not None), key=lambda row: row[column], reverse=reverse)
    return present + [row for row in rows if row[column] is None]


def column_named(name: str) -> str:
    """Return the column that `name` means: its name, or its header, in any case."""
    names = {spelling: column for column, header in COLUMNS.items() for spelling in (header, column)}
    if name.lower() not in names:
        known = ", ".join(COLUMNS)
        raise UnknownNameError(f"No column is called '{name}'.{suggestion(name, names)} The columns are: {known}.")
    return names[name.lower()]


def _run_folders(top: Path) -> Iterator[Path]:
    """Give every run folder in and below `top`, once each.

    A link is followed for one step, to a run folder, and not further: so neither a loop nor a link to the root of the
    disk leads astray.
    """
    links, seen = [], set()
    for place, folders, files in os.walk(top):  # walks into no link, and past what it may not read
        folders.sort()
        links += [Path(place, name) for name in folders if Path(place, name).is_symlink()]
        if {"run.json", "checkpoint.npz"} & set(files):
            seen.add(os.path.realpath(place))
            yield Path(place)
    for link in links:
        target = os.path.realpath(link)
        if target not in seen and any(os.path.isfile(link / name) for name in ("run.json", "checkpoint.npz")):  # noqa: PTH113
            seen.add(target)
            yield link


def _row(folder: Path, top: Path) -> dict[str, Any]:
    """Return what the record of one run says."""
    finished = None
    if os.path.lexists(folder / "run.json"):
        document, history, state = _read_record(folder / "run.json")
        try:
            written = (folder / "run.json").stat().st_mtime
            finished = datetime.fromtimestamp(written, UTC).isoformat(timespec="milliseconds")
        except (OSError, OverflowError, ValueError):  # gone meanwhile, or a year that no calendar has
            pass
    else:
        document, history, state = _read_checkpoint(folder / "checkpoint.npz")
    name = folder.relative_to(top).as_posix()
    facts = {
        "run": folder.resolve().name if name == "." else name,
        "epochs": len(history) if isinstance(history, list) else None,
        "finished": finished,
        "state": state,
        **{place.split(".")[-1]: value_at(document, *place.split("."), kind=kind) for place, kind in FACTS.items()},
    }
    return {column: facts[column] for column in COLUMNS} | {"folder": str(folder.absolute())}


def _read_record(path: Path) -> tuple[Any, Any, str]:
    """Return a finished run's document, its history, and its state."""
    try:
        if not path.is_file():
            raise ValueError("it is no file")
        document = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict) or not isinstance(document.get("metrics"), dict):
            raise ValueError("it lacks metrics")
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        return {}, None, f"damaged run.json: {reason}"
    return document, document.get("history"), "finished"


def _read_checkpoint(path: Path) -> tuple[Any, Any, str]:
    """Return a stopped run's document, its history so far, and its state, from the checkpoint's manifest."""
    import numpy as np

    try:
        if not path.is_file():
            raise ValueError("it is no file")
        with np.load(path, allow_pickle=False) as archive:  # reads the one member that is asked for
            manifest = json.loads(str(archive["manifest"][()]))
        document = manifest["document"]
    except Exception as error:  # whatever zipfile, zlib, NumPy or json think of a half-written or foreign file
        return {}, None, f"damaged checkpoint.npz: {error or type(error).__name__}"
    done = value_at(manifest, "epoch", kind=int)
    planned = value_at(document, "recipe_values", "schedule", "epochs", kind=int)
    if planned is None:  # as settings were recorded before they had sections
        planned = value_at(document, "recipe_values", "epochs", kind=int)
    if done is None:
        return document, manifest.get("history"), "stopped"
    epochs = f"{done} epochs" if planned is None else f"{done} of {planned} epochs"
    history = manifest.get("history")
    return document, history if isinstance(history, list) else [None] * done, f"stopped after {epochs}"


def value_at(document: Any, *path: str, kind: type) -> Any:
    """Return the value at `path` inside nested mappings, or None where it is missing, of another kind or not finite.

    Where a float is meant an int is one too; a bool is neither.
    """
    value: Any = document
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    is_one = isinstance(value, kind) or (kind is float and isinstance(value, int))
    if isinstance(value, bool) or not is_one:
        return None
    try:
        return value if kind is str or math.isfinite(value) else None
    except OverflowError:  # an integer that no float can hold measures nothing
        return None
