"""Recommend precision, XLA setting and batch size from a benchmark record, in sentences."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Document = Mapping[str, Any]
Setting = tuple[str, bool, int]
"""Precision, XLA, batch size: as they ran, whatever was asked for."""

WORDS = {"train": "training", "infer": "inference"}
NOTABLE = 0.05
"""A smaller gain is no reason for advice; `zoo.benchmarking.comparison.compare` claims none either."""


def advise(document: Document) -> list[str]:
    """Return one or two sentences for each model and mode of which several settings were measured.

    They say what was fastest, by how much against float32 without XLA at the same batch size, and which precisions and
    whether XLA did not pay. What counts is throughput: images per second, from the median step.

    One setting is faster than another only by more than 5%, with the middle halves of their blocks apart (quartiles)
    and every round's median on its own side of all of the other's. The cells of a document take turns, round by round,
    so a machine that gets slower hits them alike. This guards against overclaiming and is no test at a level of
    confidence: the fastest of many is partly the luckiest.

    Args:
        document: as ``zoo/benchmarking/schema.json`` describes it; only cells with status ok are looked at.
    """
    groups: dict[tuple[str, str, str], dict[Setting, Document]] = {}
    for cell in document["cells"]:
        if cell["status"] == "ok" and cell["step_s"]:
            group = groups.setdefault((cell["model"], cell["mode"], cell["resolved"]["device"]), {})
            group.setdefault(_setting(cell), cell)
    several = len({device for _, _, device in groups}) > 1
    advice = []
    for (model, mode, device), cells in groups.items():
        sentences = " ".join([*_fastest(cells), *_did_not_pay(cells)])
        if sentences:
            advice.append(f"{model}, {WORDS[mode]}{f' on {device}' if several else ''}: {sentences}")
    return advice


def _fastest(cells: Mapping[Setting, Document]) -> Iterator[str]:
    """Say which setting was fastest, unless it is the plain one at the only batch size, or as good as that."""
    best = max(cells, key=lambda setting: _speed(cells[setting]))
    plain: Setting = ("float32", False, best[2])
    one_batch = len({batch for _, _, batch in cells}) == 1
    faster_than_plain = plain in cells and _is_faster(cells[best], cells[plain])
    if len(cells) == 1 or (one_batch and plain in cells and not faster_than_plain):
        return
    gain = ""
    if best != plain and plain in cells:
        noise = "" if faster_than_plain else ", which noise may explain"
        name = "float32 without XLA" if best[1] else "float32"
        gain = f", {_speed(cells[best]) / _speed(cells[plain]):.2f} times {name} at that batch{noise}"
    elif best != plain:
        gain = " (float32 without XLA was not measured at that batch)"
    yield f"fastest with {_named(best, cells)}: {_speed(cells[best]):,.0f} images/s{gain}.{_tie(best, plain, cells)}"


def _tie(best: Setting, plain: Setting, cells: Mapping[Setting, Document]) -> str:
    """Say which other setting is as fast within noise, the fastest of them, or return an empty string."""
    others = [setting for setting in cells if setting not in (best, plain)]
    tied = [setting for setting in others if not _is_faster(cells[best], cells[setting])]
    if not tied:
        return ""
    return f" As fast, within noise: {_named(max(tied, key=lambda setting: _speed(cells[setting])), cells)}."


def _did_not_pay(cells: Mapping[Setting, Document]) -> Iterator[str]:
    """Say for each mixed precision, and for XLA, that it was nowhere faster, by the pair where it did best."""
    for precision in dict.fromkeys(setting[0] for setting in cells if setting[0] != "float32"):
        instead = {setting: ("float32", *setting[1:]) for setting in cells if setting[0] == precision}
        yield from _verdict(precision, instead, cells)
    without = {setting: (setting[0], False, setting[2]) for setting in cells if setting[1]}
    yield from _verdict("XLA", without, cells)


def _verdict(what: str, instead: Mapping[Setting, Setting], cells: Mapping[Setting, Document]) -> Iterator[str]:
    """Say what came of settings against what they stand instead of, unless one of them did pay."""
    pairs = [(setting, other) for setting, other in instead.items() if other in cells]
    if not pairs or any(_is_faster(cells[setting], cells[other]) for setting, other in pairs):
        return
    ratio, other = max((_speed(cells[setting]) / _speed(cells[other]), other) for setting, other in pairs)
    verdict = "did not pay" if ratio < 1 else "made no difference beyond noise"
    at_best = "at best " if len(pairs) > 1 else ""
    yield f"{what} {verdict}: {at_best}{ratio:.2f} times {_named(other, cells)}."


def _named(setting: Setting, cells: Mapping[Setting, Document]) -> str:
    """A setting in words; XLA is spoken of where some cells had it and some had not, or all had it."""
    precision, xla, batch = setting
    words = " with XLA" if xla else " without XLA" if any(other[1] for other in cells) else ""
    return f"{precision}{words} at batch {batch:,}"


def _setting(cell: Document) -> Setting:
    resolved = cell["resolved"]
    return resolved["precision"], resolved["xla"], resolved["batch_size"]


def _speed(cell: Document) -> float:
    """Images per second."""
    return float(cell["images_per_s"])


def _is_faster(cell: Document, other: Document) -> bool:
    """Whether a cell has a higher throughput than another by more than noise and 5%; see `advise`."""
    if _speed(cell) <= (1 + NOTABLE) * _speed(other):
        return False
    least, most = _throughput(cell, cell["step_s"]["q3"]), _throughput(other, other["step_s"]["q1"])
    return least > most and min(_by_round(cell)) > max(_by_round(other))


def _throughput(cell: Document, step_s: float) -> float:
    return float(cell["resolved"]["batch_size"] / step_s)


def _by_round(cell: Document) -> Sequence[float]:
    return [_throughput(cell, statistics.median(each["step_s"])) for each in cell["rounds"]]
