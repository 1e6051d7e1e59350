"""The comparison of two benchmarks, as terminal tables and as Markdown for a pull request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from zoo.report.shared.tables import Column, print_table
from zoo.report.shared.text import printable

Document = Mapping[str, Any]

CHANGED = ("slower", "faster")
HEADERS = {
    "cells": ("cell", "old ms", "new ms", "new / old", "interval", "verdict"),
    "trainings": ("training", "old s", "new s", "new / old", "interval", "verdict", "test accuracy", "failed seeds"),
}
NUMBERS = ("old ms", "new ms", "old s", "new s", "new / old")


def print_comparison(comparison: Document) -> None:
    """What ``zoo compare`` shows: a table of cells, one of trainings, and what to know about them in sentences."""
    warning = _another_machine(comparison)
    if warning:
        print(f"{printable(warning)}\n")
    for kind, headers in HEADERS.items():
        if comparison[kind]:
            columns = [Column(_header(name, comparison), "right" if name in NUMBERS else "auto") for name in headers]
            print_table(columns, [_cells(kind, row) for row in comparison[kind]])
            print()
    for sentence in (f"{_summary(comparison)}.", *_sentences(comparison)):
        print(printable(sentence))
    if warning:
        print(f"\n{printable(warning)}")  # once more: a long table has carried the first one away


def comparison_markdown(comparison: Document) -> str:
    """Return the comparison for a pull request: what changed in sight, what did not folded away."""
    lines = [f"### Benchmark: {_summary(comparison)}", ""]
    warning = _another_machine(comparison)
    if warning:
        lines += [f"> **{_escaped(warning)}**", ""]
    for kind in HEADERS:
        lines += _markdown_table(kind, _changed_first(comparison[kind]), comparison)
    lines += [f"- {_escaped(sentence)}" for sentence in _sentences(comparison)]
    unchanged = {kind: [row for row in comparison[kind] if row["verdict"] == "no change"] for kind in HEADERS}
    count = sum(map(len, unchanged.values()))
    if count:
        lines += ["", "<details>", f"<summary>{count} without a change</summary>", ""]
        for kind, rows in unchanged.items():
            lines += _markdown_table(kind, rows, comparison)
        lines += ["</details>"]
    return "\n".join(lines) + "\n"


def _changed_first(rows: Iterable[Document]) -> list[Document]:
    """What is worth looking at: slow-downs from the worst on, speed-ups from the best on, then what has no verdict."""
    shown = [row for row in rows if row["verdict"] != "no change"]
    order = ("slower", "faster", "not comparable")
    return sorted(shown, key=lambda row: (order.index(row["verdict"]), -abs((row["ratio"] or 1) - 1)))


def _markdown_table(kind: str, rows: Sequence[Document], comparison: Document) -> list[str]:
    if not rows:
        return []
    headers = [_header(name, comparison) for name in HEADERS[kind]]
    lines = [f"| {' | '.join(headers)} |", "|" + "".join("--:|" if h in NUMBERS else "---|" for h in HEADERS[kind])]
    for row in rows:
        *before, verdict = [_escaped(cell) for cell in _cells(kind, row)[:6]]
        after = [_escaped(cell) for cell in _cells(kind, row)[6:]]
        lines.append(f"| {' | '.join([*before, f'**{verdict}**' if row['verdict'] in CHANGED else verdict, *after])} |")
    return [*lines, ""]


def _header(name: str, comparison: Document) -> str:
    return f"{comparison['confidence'] * 100:g}% interval" if name == "interval" else name


def _cells(kind: str, row: Document) -> list[str]:
    """Return a row's cells as text, under the headers of its kind."""
    unit, scale = ("step_s", 1000.0) if kind == "cells" else ("training_s", 1.0)
    ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
    cells = [row["name"], *(_number(row[f"{side}_{unit}"], scale) for side in ("old", "new")), ratio]
    cells += [_interval(row["interval"]), _verdict(row)]
    return cells if kind == "cells" else [*cells, _accuracy(row["accuracy"]), _failures(row["failures"])]


def _number(value: float | None, scale: float) -> str:
    """Three digits that count, or more before the point."""
    if value is None:
        return ""
    scaled = value * scale
    return f"{scaled:,.0f}" if scaled >= 999.5 else f"{scaled:#.3g}".rstrip(".")


def _interval(interval: Mapping[str, float] | None) -> str:
    """Limits with two decimals; limits that a few wild rounds put beyond all sense are cut, not printed in full."""
    if interval is None:
        return ""
    high = "above 100" if interval["high"] > 100 else f"{interval['high']:.2f}"
    return f"{interval['low']:.2f} to {high}"


def _verdict(row: Document) -> str:
    return f"{row['verdict']}: {row['reason']}" if row["reason"] else str(row["verdict"])


def _accuracy(accuracy: Document) -> str:
    """``99.10%, then 99.02% (within chance)``."""
    if accuracy["difference"] is None:
        return ""
    means = f"{accuracy['old']:.2%}, then {accuracy['new']:.2%}"
    if accuracy["interval"] is None:
        return f"{means} (chance unknown)"
    return f"{means} ({'more than chance' if accuracy['more_than_chance'] else 'within chance'})"


def _failures(failures: Document) -> str:
    return ", then ".join(f"{failures[side]['count']} of {failures[side]['seeds']}" for side in ("old", "new"))


def _sentences(comparison: Document) -> Iterator[str]:
    """Yield what the verdicts mean, what was measured otherwise, and the cautions."""
    threshold, confidence = comparison["threshold"], comparison["confidence"]
    yield (
        f"Above 1 is slower. A change is one beyond {threshold:.0%} whose {confidence * 100:g}% interval leaves out 1; "
        "the interval takes each process for one measurement, however many steps it timed."
    )
    for side in ("old", "new"):
        names = comparison[f"only_in_{side}"]
        if names:
            yield f"Only in {side}: {'; '.join(names)}."
    if comparison["version_differences"]:
        yield f"Versions differ: {_differences(comparison['version_differences'])}."
    if comparison["settings_differences"]:
        yield f"Settings differ: {_differences(comparison['settings_differences'])}."
    yield from comparison["cautions"]


def _summary(comparison: Document) -> str:
    """``1 slower, 2 faster, 5 without a change, 1 not comparable``."""
    words = {"no change": "without a change"}
    counts = [(count, words.get(verdict, verdict)) for verdict, count in comparison["summary"].items()]
    return ", ".join(f"{count} {verdict}" for count, verdict in counts if count)


def _another_machine(comparison: Document) -> str:
    rows = comparison["machine_differences"]
    if not rows:
        return ""
    return f"NOT THE SAME MACHINE, so no difference below says anything about code: {_differences(rows)}."


def _differences(rows: Iterable[Document]) -> str:
    return "; ".join(f"{row['name']} {_value(row['old'])}, then {_value(row['new'])}" for row in rows)


def _value(value: Any) -> str:
    """A value in words; of a commit twelve characters tell it apart."""
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    if value is None:
        return "none"
    text = str(value)
    return text[:12] if len(text) == 40 and text.isalnum() else text


def _escaped(text: object) -> str:
    """Text that a cell of a Markdown table can hold; reasons quote other people's errors, so no tag gets through."""
    return printable(text).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
