"""A record of the comparison as Markdown. Pure: reads the record and nothing else."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

BUSY = 0.05  # of the processors' time; more than that for other processes, and the page warns
BASELINE = ("keras fit", "float32")
RIVALS = {"PyTorch": "pytorch", "JAX": "jax"}  # the first word of their sides

Row = Mapping[str, Any]
Cell = tuple[str, int, str]  # side, batch size, precision


class Model:
    """What the record has of one model."""

    def __init__(self, name: str, rows: Sequence[Row]) -> None:
        self.name, self.rows = name, [row for row in rows if row["model"] == name]
        self.measured: dict[Cell, Row] = {
            (row["side"], row["batch_size"], row["precision"]): row for row in self.rows if row["status"] == "ok"
        }
        self.sides = _unique(row["side"] for row in self.rows)
        batches = sorted({row["batch_size"] for row in self.rows})
        precisions = _unique(row["precision"] for row in self.rows)
        self.columns = [(batch, precision) for precision in precisions for batch in batches]

    def of(self, side: str, batch_size: int, precision: str) -> Row | None:
        return self.measured.get((side, batch_size, precision))

    def best(self, word: str, batch_size: int, precision: str) -> Row | None:
        """Return the row of the fastest side whose name begins with a word."""
        rows = [self.of(side, batch_size, precision) for side in self.sides if side.split()[0] == word]
        return max((row for row in rows if row), key=lambda row: row["images_per_s"]["median"], default=None)


def ratio(baseline: Row | None, row: Row | None) -> tuple[float, float, float] | None:
    """Return how many times as fast as the baseline: median, minimum and maximum of the rounds' own ratios."""
    if baseline is None or row is None:
        return None
    values = [base / own for base, own in zip(baseline["seconds"], row["seconds"], strict=True)]
    return statistics.median(values), min(values), max(values)


def markdown(record: Mapping[str, Any]) -> str:
    """Return the record as a page."""
    names = _unique(row["model"] for row in record["rows"])
    sections = [_model(Model(name, record["rows"])) for name in names]
    return "\n\n".join(["# zoo beside its peers", _circumstances(record), *sections]) + "\n"


def _circumstances(record: Mapping[str, Any]) -> str:
    facts = record["environment"]
    versions = ", ".join(f"{name} {facts[name]}" for name in ("tensorflow", "keras", "torch", "jax", "python"))
    features = ", ".join(facts["cpu_features"]) or "none of the features that matter here"
    return (
        f"`{record['command']}`\n\n"
        f"{record['date']}; {facts['cpu']} ({features}), {facts['cpus_allowed']} processors, "
        f"{facts['memory_gib']} GiB; {versions}; zoo {facts['zoo']}{_commit(facts)}.\n"
        f"Every side has taken its turn in each of n = {record['rounds']} rounds, after one that is not counted. "
        f"Cells are medians (minimum to maximum) of the rounds. {_quiet(record)}"
    )


def _quiet(record: Mapping[str, Any]) -> str:
    """Say how much else the machine had to do while it was measured."""
    available = sum(sum(row["seconds"]) for row in record["rows"]) * record["environment"]["cpus_allowed"]
    share = sum(sum(row["others_cpu_s"]) for row in record["rows"]) / available if available else 0.0
    text = f"Other processes had {share:.0%} of the processors' time meanwhile."
    if share <= BUSY:
        return text
    return (
        f"**{text} Measure again on a quiet machine: threads that wait for each other, PyTorch's above all, suffer.**"
    )


def _commit(facts: Mapping[str, Any]) -> str:
    if not facts["commit"]:
        return ""
    return f" ({facts['commit'][:10]}{', with changes' if facts['modified'] else ''})"


def _model(model: Model) -> str:
    first = model.rows[0]
    params = next((f"{row['params']:,} parameters, " for row in model.rows if row["params"]), "")
    parts = [f"## {model.name}", f"{params}{first['images']:,} images a round."]
    parts += ["Images per second:", _by_side(model, _speed)]
    parts += [f"Times as fast as `{BASELINE[0]}` in {BASELINE[1]} at the same batch size:", _by_side(model, _against)]
    if "zoo" in model.sides:
        rivals = {name: word for name, word in RIVALS.items() if any(s.split()[0] == word for s in model.sides)}
        cells = {f"the fastest of {name}": _against_best(model, word) for name, word in rivals.items()}
        parts += ["zoo, times as fast in the same precision as:", _table(model, "", cells)] if cells else []
    parts += ["Test accuracy, %, after the same number of images:", _by_side(model, _accuracy)]
    parts += ["Seconds that the first round took beyond a later one (tracing, compiling):", _by_side(model, _start)]
    failures = _unique(
        f"- `{row['side']}`, {row['precision']}, batch {row['batch_size']}: {row['reason']}"
        for row in model.rows
        if row["status"] != "ok"
    )
    parts += ["Not measured:", "\n".join(failures)] if failures else []
    return "\n\n".join(parts)


def _by_side(model: Model, cell: Callable[[Model, Row], str]) -> str:
    """Return a table with a line for each side; what was not measured is a dash."""

    def line(side: str) -> list[str]:
        rows = [model.of(side, *column) for column in model.columns]
        return ["–" if row is None else cell(model, row) for row in rows]

    return _table(model, "side", {side: line(side) for side in model.sides})


def _table(model: Model, corner: str, lines: Mapping[str, Sequence[str]]) -> str:
    head = [corner, *[f"{precision}, {batch}" for batch, precision in model.columns]]
    rows = [head, ["---", *["--:" for _ in model.columns]], *[[name, *cells] for name, cells in lines.items()]]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _speed(_model: Model, row: Row) -> str:
    speed = row["images_per_s"]
    return f"{speed['median']:,.0f} ({speed['min']:,.0f}–{speed['max']:,.0f})"


def _against(model: Model, row: Row) -> str:
    return _times(ratio(model.of(BASELINE[0], row["batch_size"], BASELINE[1]), row))


def _against_best(model: Model, word: str) -> list[str]:
    cells = []
    for column in model.columns:
        best = model.best(word, *column)
        text = _times(ratio(best, model.of("zoo", *column)))
        cells.append(text if best is None or text == "–" else f"{text}, {best['side']}")
    return cells


def _times(values: tuple[float, float, float] | None) -> str:
    return "–" if values is None else f"{values[0]:.2f} ({values[1]:.2f}–{values[2]:.2f})"


def _accuracy(_model: Model, row: Row) -> str:
    return f"{100 * row['test_accuracy']:.2f}"


def _start(_model: Model, row: Row) -> str:
    return f"{max(0.0, row['first_call_s'] - statistics.median(row['seconds'])):.1f}"


def _unique(values: Any) -> list[Any]:
    """Return the values in order, each once."""
    return list(dict.fromkeys(values))
