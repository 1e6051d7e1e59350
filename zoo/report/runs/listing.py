"""Text for ``zoo runs``: the table of runs, and two runs side by side."""

from __future__ import annotations

import functools
import json
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from zoo.report.shared.numbers import mean_and_deviation
from zoo.report.shared.tables import Column, format_cell, is_terminal, print_table
from zoo.report.shared.text import display_width, printable

Document = Mapping[str, Any]

COLUMNS = {
    "run": "run",
    "model": "model",
    "dataset": "dataset",
    "recipe": "recipe",
    "seed": "seed",
    "epochs": "epochs",
    "test_accuracy": "test accuracy",
    "test_loss": "test loss",
    "train_s": "train s",
    "images_per_s": "images/s",
    "params": "parameters",
    "precision": "precision",
    "device": "device",
    "limit": "limit",
    "finished": "finished",
    "state": "state",
}
"""The columns of the table of runs: name in JSON, and header."""

FIRST_TO_GO = ("params", "limit", "device", "precision", "recipe", "images_per_s", "test_loss", "dataset", "seed",
               "epochs", "train_s", "finished", "model")  # fmt: skip
"""The columns that a narrow terminal goes without, one after the other until the rest fits."""

FORMATS: Mapping[str, Callable[[Any], str]] = {
    "test_accuracy": "{:.2%}".format,
    "test_loss": "{:.4f}".format,
    "train_s": "{:,.1f}".format,
    "images_per_s": "{:,.0f}".format,
    "seed": str,
    "state": lambda state: state.partition(":")[0],  # why a record is damaged stands below the table
    "finished": lambda moment: f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M}",
}


def print_runs(rows: Sequence[Document], *, folder: object, sort: str = "finished", filtered: bool = False) -> None:
    """What ``zoo runs`` shows: on a terminal as many columns as fit, elsewhere all of them.

    Args:
        rows: from `zoo.runs.listing.list_runs`.
        folder: where they were looked for.
        sort: the column that they are sorted by, which is always shown, the date aside.
        filtered: only some of the runs were asked for.
    """
    if not rows:
        empty = "matches" if filtered else "yet. 'zoo train lenet5' makes one"
        print(printable(f"No run in {folder}/ {empty}."))
        return
    cells = {name: [_cell(name, row[name]) for row in rows] for name in COLUMNS}
    names = list(COLUMNS)
    if is_terminal(sys.stdout):
        names = _fitting(cells, keep=sort, width=_width())
    numbers = [name for name in names if name in FORMATS and name not in ("finished", "state")]
    columns = [Column(COLUMNS[name], "right" if name in numbers else "auto") for name in names]
    print_table(columns, list(zip(*[cells[name] for name in names], strict=True)))
    absent = [COLUMNS[name] for name in COLUMNS if name not in names and any(cell is not None for cell in cells[name])]
    if "state" in absent and all(row["state"] == "finished" for row in rows):
        absent.remove("state")
    for row in rows:
        if row["state"] != _cell("state", row["state"]):
            print(_wrapped(f"{row['run']}: {row['state']}"))
    if absent:
        print(_wrapped(f"Not shown for want of width: {', '.join(absent)}. A pipe and --json have them all."))


def _cell(name: str, value: Any) -> Any:
    """Return what the table shows of a value; integers are left to the table."""
    return FORMATS[name](value) if value is not None and name in FORMATS else value


def _fitting(cells: Mapping[str, Sequence[Any]], *, keep: str, width: int) -> list[str]:
    """Return the columns that a terminal of `width` has room for."""
    names = [name for name in COLUMNS if any(cell is not None for cell in cells[name])]
    if all(state == "finished" for state in cells["state"]) and keep != "state":
        names.remove("state")

    def needed(name: str) -> int:
        return 3 + max(display_width(text) for text in [COLUMNS[name], *map(format_cell, cells[name])])

    for name in FIRST_TO_GO:
        if sum(map(needed, names)) < width:
            break
        if name in names and (name != keep or keep == "finished"):
            names.remove(name)
    return names


def print_run_diff(document: Document) -> None:
    """What ``zoo runs diff`` shows: what was changed, the numbers, and how sure they are."""
    for side in ("a", "b"):
        print(printable(f"{side.upper()}  {_described(document[side])}"))
    rows = [
        (section, row["field"], _value(row, "a"), _value(row, "b"))
        for section, fields in document["differs"].items()
        for row in fields
    ]
    if rows:
        print()
        print_table(["what differs", "field", "A", "B"], rows)
    print()
    right = [Column(name, "right") for name in ("A", "B", "B - A", "95% interval", "B / A")]
    means = any(row[side]["n"] > 1 for row in document["metrics"] for side in ("a", "b"))
    has_intervals = any(row["interval"] for row in document["metrics"]) and _width() >= 100
    if not has_intervals:
        del right[3]
    print_table(["metric", *right], [_metric_cells(row, has_intervals) for row in document["metrics"]])
    if means:
        print("(mean ± standard deviation)")
    for sentence in (*_certainty(document), *document["notes"]):
        print("\n" + _wrapped(sentence))


def _wrapped(sentence: str) -> str:
    return textwrap.fill(printable(sentence), _width(), break_long_words=False, break_on_hyphens=False)


def _width() -> int:
    """Return the columns of the terminal; a pipe has as many as one likes."""
    return shutil.get_terminal_size().columns if is_terminal(sys.stdout) else 10_000


def _described(side: Document) -> str:
    several = len(side["seeds"]) > 1
    seeds = f"{len(side['seeds'])} seeds: " if several else "seed "
    return f"{side['run']}   {side['model']} on {side['dataset']}, {seeds}{', '.join(map(str, side['seeds']))}"


def _value(row: Document, side: str) -> str:
    """Return a field's value as a person writes it; digests are cut, since twelve characters tell them apart."""
    if side not in row:
        return "not set"
    value = row[side]
    if isinstance(value, str):
        return f"{value[:12]}…" if re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", value) else value
    return "none" if value is None else json.dumps(value, ensure_ascii=False)


def _metric_cells(row: Document, has_intervals: bool) -> list[str]:
    name = row["metric"]
    interval = row["interval"]
    between = f"{_difference(name, interval['low'])} to {_difference(name, interval['high'])}" if interval else ""
    cells = [
        name.replace("_", " "),
        _measured(name, row["a"]),
        _measured(name, row["b"]),
        "" if row["difference"] is None else _difference(name, row["difference"]),
        between,
        "" if row["ratio"] is None else f"{row['ratio']:.2f}",
    ]
    if not has_intervals:
        del cells[4]
    return cells


def _measured(name: str, summary: Document) -> str:
    """Return a mean in the metric's own unit, with the standard deviation where there are several."""
    if summary["mean"] is None:
        return "not finite" if name == "test_loss" else ""
    if name in ("epochs", "params") and not summary["standard_deviation"]:
        return _number(name, summary["mean"])
    text = mean_and_deviation(summary, functools.partial(_number, name))
    return text + (" %" if name.endswith("accuracy") else "")


def _difference(name: str, value: float) -> str:
    sign = "-" if value < 0 else "+" if value > 0 else ""
    return sign + _number(name, abs(value))


def _number(name: str, value: float) -> str:
    if name.endswith("accuracy"):
        return f"{value * 100:.2f}"
    if name.endswith("_s"):
        return f"{value:,.0f}" if name.startswith("images") else f"{value:,.2f}"
    return f"{value:,.0f}" if float(value).is_integer() and not name.endswith("loss") else f"{value:.4f}"


def _certainty(document: Document) -> list[str]:
    """Return the sentence about the difference in test accuracy."""
    interval = document["accuracy_interval"]
    if interval is None:
        return []
    row = next(row for row in document["metrics"] if row["metric"] == "test_accuracy")
    low, high = (_difference("accuracy", interval[end]) for end in ("low", "high"))
    by_seeds = interval["method"] == "Welch's t"
    if by_seeds:
        found = f"Welch's t, from {row['a']['n']} and {row['b']['n']} seeds"
    else:
        counts = sorted({interval["test_images"]["a"], interval["test_images"]["b"]})
        found = f"from {' and '.join(f'{count:,}' for count in counts)} test images, as independent binomials"
        if interval["test_images"]["same"]:
            found += "; both saw the same ones, which makes it rather too wide"
    chance = "the choice of seeds" if by_seeds else "the choice of test images"
    verdict = f"more than {chance} explains" if interval["more_than_chance"] else f"{chance} may explain it"
    difference = _difference("accuracy", row["difference"])
    return [f"Test accuracy: {difference} points, 95% interval {low} to {high} ({found}): {verdict}."]
