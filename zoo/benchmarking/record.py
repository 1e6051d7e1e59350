"""The record of a benchmark: assembled from its rounds, written as JSON lines, read back."""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from zoo.benchmarking.matrix import Cell
from zoo.errors import RunError
from zoo.report.shared.statistics import summarize
from zoo.spec.recipe import plain
from zoo.utils.files import atomic_write, numbered, writing

SCHEMA = "zoo.benchmark/1"
FLOPS_PER_MAC = {"infer": 2, "train": 6}
"""A MAC is two operations; a training step goes forward once and backward twice (by weights and by inputs)."""
FACTS = ("origin", "resolved", "params", "trainable_params", "macs")
MEASURED = (
    "first_call_s",
    "step_s",
    "images_per_s",
    "flops_per_s",
    "peak_share",
    "peak_host_bytes",
    "peak_device_bytes",
)


def claim(path: Path | None) -> Path:
    """Make the empty file that a record will be written to, so that nobody else's is lost.

    Args:
        path: where the user wants it; None: ``runs/bench-<time>.jsonl``, with a number if that is taken.

    Raises:
        RunError: the file is there already, or cannot be made.
    """
    stem = time.strftime("bench-%Y%m%d-%H%M%S")
    names = (name.with_name(f"{name.name}.jsonl") for name in numbered(Path("runs") / stem))
    for candidate in [path] if path is not None else names:
        try:
            candidate.parent.mkdir(parents=True, exist_ok=True)
            candidate.touch(exist_ok=False)
        except FileExistsError as error:
            if path is None and candidate.exists():
                continue
            reason = "exists already" if candidate.exists() else f"cannot be written: {error.strerror}"
            raise RunError(f"{candidate} {reason}. Choose another --output.") from None
        except OSError as error:
            raise RunError(f"{candidate} cannot be written: {error.strerror or error}. Choose another file.") from error
        return candidate
    raise AssertionError("unreachable: names do not end")


def schema() -> dict[str, Any]:
    """Return the JSON schema of the document, as published beside this module."""
    text = (resources.files("zoo.benchmarking") / "schema.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


def cell_entry(
    cell: Cell,
    facts: Mapping[str, Any],
    rounds: Sequence[Mapping[str, Any]],
    *,
    status: str,
    reason: str | None,
    retried_from: int | None,
    peaks: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return a cell's entry: its facts, and what its rounds amount to.

    Args:
        cell: as asked for.
        facts: what the processes found out about it; empty if none got that far.
        rounds: what each process measured.
        status: ok once a round was measured and none failed.
        reason: one line, where it is not ok.
        retried_from: the batch size that ran out of memory, if a smaller one was measured instead.
        peaks: of the machine, for the share.
    """
    asked = dataclasses.asdict(cell)
    entry: dict[str, Any] = {
        "kind": "cell",
        "model": asked.pop("model"),
        "mode": asked.pop("mode"),
        "requested": asked,
        **{name: facts.get(name) for name in FACTS},
        "status": status,
        "reason": reason,
        "retried_from": retried_from,
        **dict.fromkeys(MEASURED),
        "rounds": list(rounds),
    }
    return entry | (_measured(entry, rounds, peaks) if rounds else {})


def _measured(
    entry: Mapping[str, Any], rounds: Sequence[Mapping[str, Any]], peaks: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Pool the rounds: all their blocks count alike."""
    first_calls = [each["first_call_s"] for each in rounds]
    steps = [step for each in rounds for step in each["step_s"]]
    resolved, median = entry["resolved"], statistics.median(steps)
    flops = FLOPS_PER_MAC[entry["mode"]] * entry["macs"] * resolved["batch_size"] / median
    peak = peak_of(peaks, resolved["device"], resolved["compute_dtype"])
    return {
        "first_call_s": {"median": statistics.median(first_calls), "n": len(first_calls), "values": first_calls},
        "step_s": _spread(steps),
        "images_per_s": resolved["batch_size"] / median,
        "flops_per_s": flops,
        "peak_share": flops / peak if peak else None,
        "peak_host_bytes": _largest(each["peak_host_bytes"] for each in rounds),
        "peak_device_bytes": _largest(each["peak_device_bytes"] for each in rounds),
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    """Quantiles by linear interpolation between the values."""
    ordered = sorted(values)
    cuts = {f"p{p}": _quantile(ordered, p / 100) for p in (25, 50, 75, 90, 95, 99)}
    q1, q3 = cuts.pop("p25"), cuts.pop("p75")
    ends = {"min": ordered[0], "max": ordered[-1], "n": len(ordered)}
    return {"median": cuts["p50"], "q1": q1, "q3": q3, "iqr": q3 - q1, **cuts, **ends}


def _quantile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def _largest(values: Any) -> int | None:
    return max((value for value in values if value is not None), default=None)


def peak_of(peaks: Sequence[Mapping[str, Any]], device: str, dtype: str) -> float | None:
    """Return the FLOP/s that a matrix product of this dtype reached on the device, or None."""
    found = (peak["flops_per_s"] for peak in peaks if peak["device"] == device and peak["dtype"] == dtype)
    return next(found, None)


def distribution(values: Sequence[float]) -> dict[str, Any] | None:
    """Return mean, standard deviation (None of one), median, range and n; None of no values."""
    if not values:
        return None
    return {
        **summarize(values),
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
    }


def write(document: Mapping[str, Any], path: Path) -> None:
    """Write the document as JSON lines: what holds for all of it first, then a line per cell and per training.

    Raises:
        RunError: the file cannot be written.
    """
    head = {name: value for name, value in document.items() if name not in ("cells", "trainings")}
    lines = [head, *document["cells"], *document["trainings"]]
    with writing(path, "Choose another file."):
        atomic_write(path, "".join(json.dumps(plain(line), allow_nan=False) + "\n" for line in lines))


def read(path: Path) -> dict[str, Any]:
    """Return the document of a record: JSON lines as `write` wrote them, or one JSON document.

    Raises:
        RunError: the file is not there, or is no record.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise RunError(f"{path} cannot be read: {reason}. Name the record of a benchmark.") from error
    try:
        document = _parsed(text)
        if document.get("schema") != SCHEMA and "schema" in document:
            raise RunError(f"{path} is written as {document['schema']}; this zoo reads {SCHEMA}. Use that version.")
        _validate(document)
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} is no benchmark record: {error}. Write one with: zoo bench --output FILE.") from error
    return document


def _validate(document: Mapping[str, Any]) -> None:
    """Hold a document against the schema.

    Raises:
        ValueError: saying in one line what is wrong, and where.
    """
    import jsonschema  # its import takes longer than any command that needs no record

    errors = jsonschema.Draft202012Validator(schema()).iter_errors(document)
    worst = jsonschema.exceptions.best_match(errors)
    if worst is not None:
        where = "".join(f"[{part!r}]" for part in worst.absolute_path)
        raise ValueError(f"{where} {worst.message[:200]}".strip())


def _parsed(text: str) -> dict[str, Any]:
    """Read both forms: they begin with an object, and only lines go on after it.

    Raises:
        ValueError: the text is something else.
    """
    try:
        values = [_json(text)]
    except ValueError:
        lines = text.splitlines()
        values = [_json(line, f"line {number} is ") for number, line in enumerate(lines, start=1) if line.strip()]
    if not values or not all(isinstance(value, dict) for value in values):
        raise ValueError("it is empty" if not values else "it holds something else than objects")
    head: dict[str, Any] = {"cells": [], "trainings": [], **values[0]}
    for value in values[1:]:
        if value.get("kind") not in ("cell", "training"):
            raise ValueError(f"it holds a line of kind {value.get('kind')!r}")
        head[f"{value['kind']}s"].append(value)
    return head


def _json(text: str, what: str = "it is ") -> Any:
    def refuse(word: str) -> None:
        raise ValueError(f"{what}no JSON: it holds {word}")

    try:
        return json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise ValueError(f"{what}no JSON ({error.msg})") from error
