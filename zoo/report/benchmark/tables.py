"""The results of ``zoo bench`` as terminal tables, Markdown and CSV."""

from __future__ import annotations

import csv
import io
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from zoo.report.benchmark import sentences
from zoo.report.benchmark.columns import Document, Table, cell_table, threads, training_table
from zoo.report.shared import markdown
from zoo.report.shared.tables import Column, is_terminal, print_table
from zoo.report.shared.text import display_width, printable

ADVICE = "What was fastest here"
NOTHING = "Nothing was measured."

DISTRIBUTION = ("mean", "standard_deviation", "median", "min", "max", "n")
CSV_COLUMNS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("kind", "model", "origin", "mode", "recipe", "dataset", "target"), ()),
    "requested": ("precision", "xla", "batch_size", "device"),
    "resolved": (
        "precision", "compute_dtype", "xla", "batch_size", "device", "device_name", "threads", "onednn", "loss_scaling",
    ),
    **dict.fromkeys(("status", "reason", "retried_from", "params", "trainable_params", "macs"), ()),
    "first_call_s": ("median", "n"),
    "step_s": ("median", "q1", "q3", "iqr", "p50", "p90", "p95", "p99", "min", "max", "n"),
    **dict.fromkeys(("images_per_s", "flops_per_s", "peak_share", "peak_host_bytes", "peak_device_bytes"), ()),
    **dict.fromkeys(("rounds", "runs", "failures"), ()),
    **dict.fromkeys(("training_s", "total_s", "test_accuracy"), DISTRIBUTION),
}  # fmt: skip
"""The document's names, and what of each object gets a column of its own."""


def print_benchmark(document: Document, advice: Sequence[str] = ()) -> None:
    """Print what ``zoo bench`` ends with: the tables, what they do not say, and advice, each piece a sentence.

    A table too wide for the terminal is printed in parts, each of which names its rows.
    """
    tables = list(_tables(document))
    for table, legend in tables:
        for part in _parts(table, _width()):
            print_table(
                [Column(table.fields[i].header, "right" if table.fields[i].right else "left") for i in part],
                [[row[i].text for i in part] for row in table.rows],
            )
        if not is_terminal(sys.stdout):  # where a table ends in an empty line of its own
            print()
        _say(sentences.in_common(table), *legend)
        print()
    _say(*([] if tables else [NOTHING]))
    _say(sentences.machine(document), sentences.peaks(document), sentences.procedure(document))
    for title, lines in _sections(document, advice):
        print(f"\n{title}:")
        _say(*(f"- {line}" for line in lines))


def _tables(document: Document) -> Iterator[tuple[Table, Sequence[str]]]:
    """The tables that have rows, each with what its headers mean."""
    for table, legend in (
        (cell_table(document), sentences.CELL_LEGEND),
        (training_table(document), sentences.TRAINING_LEGEND),
    ):
        if table.rows:
            yield table, legend


def _sections(document: Document, advice: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
    """Lists of sentences under a title each; those that would be empty are left out."""
    for title, lines in (
        ("Not measured", sentences.failures(document)),
        ("Mind", sentences.notes(document)),
        (ADVICE, advice),
    ):
        if lines:
            yield title, lines


def _parts(table: Table, width: int) -> list[list[int]]:
    """Return the columns of each part: as many as fit into `width`, after those that name the rows."""
    needs = [
        3 + max(display_width(text) for text in (field.header, *(row[i].text for row in table.rows)))
        for i, field in enumerate(table.fields)
    ]
    names = [i for i, field in enumerate(table.fields) if field.named]
    room = width - 1 - sum(needs[i] for i in names)
    parts: list[list[int]] = [[]]
    for i in range(len(needs)):
        if i in names:
            continue
        if parts[-1] and sum(needs[j] for j in [*parts[-1], i]) > room:
            parts.append([])
        parts[-1].append(i)
    return [[*names, *part] for part in parts]


def _say(*lines: str) -> None:
    """Print each line that is not empty, wrapped on a terminal."""
    for line in filter(None, lines):
        indent = "  " if line.startswith("- ") else ""
        print(textwrap.fill(printable(line), _width(), subsequent_indent=indent, break_on_hyphens=False))


def _width() -> int:
    """Return the columns of the terminal; a pipe has as many as one likes."""
    return shutil.get_terminal_size().columns if is_terminal(sys.stdout) else 10_000


def benchmark_markdown(document: Document, advice: Sequence[str] = ()) -> str:
    """Return the same as Markdown, for a README or a pull request; it has no heading."""
    command = f"{markdown.code(document['command'])}, " if document["command"] else ""
    blocks = [
        [f"{command}{markdown.plain_text(document['date'])}, on {markdown.plain_text(sentences.machine(document))}."]
    ]
    for table, legend in _tables(document):
        rows = [[item.text for item in row] for row in table.rows]
        blocks.append(markdown.table(table.headers, rows, right=[field.right for field in table.fields]))
        blocks += [[markdown.plain_text(line)] for line in (sentences.in_common(table), " ".join(legend)) if line]
    if len(blocks) == 1:
        blocks.append([NOTHING])
    how = " ".join(filter(None, (sentences.procedure(document), sentences.peaks(document))))
    blocks.append([markdown.plain_text(how)])
    for title, lines in _sections(document, advice):
        blocks += [[f"**{title}**"], [f"- {markdown.plain_text(line)}" for line in lines]]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def benchmark_csv(document: Document) -> str:
    """Return a row for each cell and each training.

    The columns are always the same: names of the document, joined by underscores where one object lies in another.
    Units are the document's; what an entry has no value for is empty, and of rounds and runs there is the number.
    """
    header = [f"{name}_{part}" if part else name for name, parts in CSV_COLUMNS.items() for part in parts or ("",)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for entry in (*document["cells"], *document["trainings"]):
        writer.writerow(_csv_value(value) for value in _flat(entry))
    return text.getvalue()


def _flat(entry: Document) -> Iterator[Any]:
    for name, parts in CSV_COLUMNS.items():
        value = entry.get(name)
        if name == "resolved" and value is not None:
            value = {**value, "threads": threads(value)}
        if parts:
            yield from ((value or {}).get(part) for part in parts)
        else:
            yield len(value) if isinstance(value, list) else value


def _csv_value(value: Any) -> Any:
    """Text on one line without control characters, truth in small letters, and numbers in full."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return printable(value) if isinstance(value, str) else value
