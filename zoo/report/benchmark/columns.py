"""The columns of benchmark tables, shared by terminal, Markdown and HTML."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from zoo.report.shared.numbers import mean_and_deviation, significant

Document = Mapping[str, Any]

MIB = 2**20


class Item(NamedTuple):
    """What a table shows of an entry in one column, and the value that sorting goes by (None: there is none)."""

    text: str
    value: float | str | None


@dataclass(frozen=True)
class Field:
    """One column.

    Args:
        header: short, with the unit.
        item: what an entry has in it.
        right: it holds numbers.
        said: how it reads in a sentence, with ``{}`` for the value, when all entries agree; then the column is
            left out. Empty: the column always stands.
        optional: it is left out when no entry has a value.
        named: it helps to tell entries apart, so that each part of a table too wide for its terminal repeats it.
    """

    header: str
    item: Callable[[Document], Item]
    right: bool = True
    said: str = ""
    optional: bool = False
    named: bool = False


@dataclass(frozen=True)
class Table:
    """The columns that are worth their place, a row for each entry, and what holds for all rows, in words."""

    fields: tuple[Field, ...]
    rows: tuple[tuple[Item, ...], ...]
    in_common: tuple[str, ...]

    @property
    def headers(self) -> list[str]:
        """The columns' headers."""
        return [field.header for field in self.fields]


def cell_table(document: Document) -> Table:
    """Return a row for each cell, those that failed included."""
    return _table(CELL_FIELDS, document["cells"])


def training_table(document: Document) -> Table:
    """Return a row for each training."""
    return _table(TRAINING_FIELDS, document["trainings"])


def _table(fields: Sequence[Field], entries: Sequence[Document]) -> Table:
    kept, in_common = [], []
    for field in fields:
        present = {item.text for item in map(field.item, entries) if item.value is not None}
        if field.said and len(present) == 1:
            in_common.append(field.said.format(*present))
        elif present or not (field.said or field.optional):
            kept.append(field)
    rows = tuple(tuple(field.item(entry) for field in kept) for entry in entries)
    return Table(tuple(kept), rows, tuple(in_common))


def status(entry: Document) -> str:
    """Return what became of an entry, in words."""
    return str(entry["status"]).replace("_", " ")


def actual(name: str) -> Callable[[Document], Any]:
    """Return a function that reads one setting of an entry: as it ran, or else as it was asked for."""

    def read(entry: Document) -> Any:
        settings = entry["resolved"] or entry.get("requested") or {}
        return settings.get(name)

    return read


def threads(settings: Document) -> str | None:
    """Return the threads of a resolved cell or training, as in "intra-op 2, inter-op 2, cores 2"."""
    counts = settings.get("threads") or {}
    return ", ".join(f"{name.replace('_', '-')} {count}" for name, count in counts.items()) or None


def _number(read: Callable[[Document], float | None], form: Callable[[Any], str]) -> Callable[[Document], Item]:
    def item(entry: Document) -> Item:
        value = read(entry)
        return Item("" if value is None else form(value), value)

    return item


def _word(read: Callable[[Document], Any]) -> Callable[[Document], Item]:
    """Text, and switches as on and off."""

    def item(entry: Document) -> Item:
        value = read(entry)
        word = {None: "", True: "on", False: "off"}[value] if value is None or isinstance(value, bool) else str(value)
        return Item(word, word or None)

    return item


def _known(name: str) -> Callable[[Document], Any]:
    """A setting as it ran; what was only asked for says nothing about a device."""
    return lambda entry: (entry["resolved"] or {}).get(name)


def _batch(cell: Document) -> Item:
    """The batch that was measured, and the one asked for where memory ran out."""
    size = actual("batch_size")(cell)
    retried = cell.get("retried_from")
    return Item(f"{size:,} (of {retried:,})" if retried is not None else f"{size:,}" if size else "", size)


def _step(name: str, digits: int = 3) -> Callable[[Document], Item]:
    """A statistic of the step, in milliseconds."""
    return _number(
        lambda cell: cell["step_s"] and 1000 * cell["step_s"][name], lambda value: significant(value, digits)
    )


def _mebibytes(name: str) -> Callable[[Document], Item]:
    return _number(lambda cell: None if cell[name] is None else cell[name] / MIB, "{:,.0f}".format)


def _scaled(name: str, factor: float) -> Callable[[Document], Item]:
    return _number(lambda entry: None if entry[name] is None else factor * entry[name], significant)


def _whole(read: Callable[[Document], int | None]) -> Callable[[Document], Item]:
    return _number(read, "{:,}".format)


def _origin(entry: Document) -> Any:
    return entry["origin"]


STATUS = Field(
    "status",
    lambda entry: Item(status(entry), None if entry["status"] == "ok" else status(entry)),
    False,
    optional=True,
)
WHERE = (
    Field("device", _word(_known("device")), False, "device {}"),
    Field("device name", _word(_known("device_name")), False, "{}"),
    Field("threads", _word(lambda entry: threads(entry["resolved"] or {})), False, "threads {}"),
)
SIZE = (
    Field("params", _whole(lambda entry: entry["params"])),
    Field("MACs", _whole(lambda entry: entry["macs"])),
)
CELL_FIELDS = (
    Field("model", _word(lambda cell: cell["model"]), False, named=True),
    Field("mode", _word(lambda cell: cell["mode"]), False, "mode {}", named=True),
    Field("precision", _word(actual("precision")), False, "{}", named=True),
    Field("XLA", _word(actual("xla")), False, "XLA {}", named=True),
    Field("batch", _batch, True, "batch {}", named=True),
    STATUS,
    Field("images/s", _number(lambda cell: cell["images_per_s"], significant)),
    Field("step ms", _step("median")),
    Field("IQR", _step("iqr", 2)),
    *(Field(name, _step(name)) for name in ("p50", "p90", "p95", "p99")),
    Field("n", _whole(lambda cell: cell["step_s"] and int(cell["step_s"]["n"]))),
    Field("first s", _number(lambda cell: cell["first_call_s"] and cell["first_call_s"]["median"], significant)),
    Field("host MiB", _mebibytes("peak_host_bytes")),
    Field("device MiB", _mebibytes("peak_device_bytes"), optional=True),
    *SIZE,
    Field("GFLOP/s", _scaled("flops_per_s", 1e-9)),
    Field("% of peak", _scaled("peak_share", 100)),
    *WHERE,
    Field("oneDNN", _word(_known("onednn")), False, "oneDNN {}"),
    Field("from", _word(_origin), False, "from {}"),
)


def _accuracy(training: Document) -> Item:
    """Mean ± standard deviation (n), in percent."""
    found = training["test_accuracy"]
    if found is None:
        return Item("", None)
    text = mean_and_deviation(found, lambda share: f"{100 * share:.2f}")
    return Item(f"{text} ({found['n']})", found["mean"])


def _range(name: str) -> Callable[[Document], Item]:
    """Mean ± standard deviation (least–most), in seconds."""

    def item(training: Document) -> Item:
        found = training[name]
        if found is None:
            return Item("", None)
        text = mean_and_deviation(found, significant, lambda seconds: significant(seconds, 2))
        return Item(f"{text} ({significant(found['min'])}–{significant(found['max'])})", found["mean"])

    return item


def _median(name: str) -> Callable[[Document], Item]:
    return _number(lambda training: training[name] and training[name]["median"], significant)


def _target(training: Document) -> Item:
    target = training["target"]
    return Item("its end" if target is None else percent(target), 1.0 if target is None else target)


def percent(share: float) -> str:
    """Return a target accuracy as it was asked for: 0.99 as 99%, 0.995 as 99.5%."""
    return f"{100 * share:.6g}%"


def _seeds(training: Document) -> Item:
    runs = training["runs"]
    reached = sum(run["reached"] for run in runs)
    return Item(f"{reached} of {len(runs)}" if runs else "", reached if runs else None)


def _epochs(training: Document) -> Item:
    epochs = sorted(run["epochs"] for run in training["runs"] if run["epochs"] is not None)
    if not epochs:
        return Item("", None)
    return Item(str(epochs[0]) if epochs[0] == epochs[-1] else f"{epochs[0]}–{epochs[-1]}", epochs[-1])


TRAINING_FIELDS = (
    Field("model", _word(lambda training: training["model"]), False, named=True),
    Field("recipe", _word(lambda training: training["recipe"]), False, named=True),
    STATUS,
    Field("target", _target, named=True),
    Field("test accuracy %", _accuracy),
    Field("training s (speedrun)", _median("training_s")),
    Field("mean ± sd (range)", _range("training_s")),
    Field("total s (MLPerf)", _median("total_s")),
    Field("mean ± sd (range)", _range("total_s")),
    Field("seeds", _seeds),
    Field("epochs", _epochs),
    *SIZE,
    Field("dataset", _word(lambda training: training["dataset"]), False, "dataset {}"),
    Field("precision", _word(_known("precision")), False, "{}"),
    Field("XLA", _word(_known("xla")), False, "XLA {}"),
    Field("batch", _whole(_known("batch_size")), True, "batch {}"),
    *WHERE,
    Field("from", _word(_origin), False, "from {}"),
)
