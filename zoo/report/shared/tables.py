"""Tables: drawn by rich on a terminal, plain aligned columns everywhere else.

Plain columns are what a pipe, a log and a diff want. They also never import rich, whose table of 1,000
rows costs about a third of a second.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Literal

from zoo.report.shared.text import display_width, pad, printable

Align = Literal["auto", "left", "right"]


@dataclass(frozen=True)
class Column:
    """One column: its header, and how its cells stand. ``auto`` puts numbers on the right."""

    header: str
    align: Align = "auto"


def print_table(
    columns: Sequence[Column | str],
    rows: Sequence[Sequence[object]],
    *,
    title: str | None = None,
    file: IO[str] | None = None,
) -> None:
    """Print `rows` under `columns` to `file` (standard output by default).

    Integers get thousands separators, floats six significant digits, None an empty cell; strings are
    shown as they are, control characters aside. Raises ValueError when a row has another length than
    `columns`.
    """
    stream = file if file is not None else sys.stdout
    titled = [Column(column) if isinstance(column, str) else column for column in columns]
    for number, row in enumerate(rows):
        if len(row) != len(columns):
            raise ValueError(f"row {number} has {len(row)} cells, the table has {len(columns)} columns")
    aligns = [_alignment(column, [row[i] for row in rows]) for i, column in enumerate(titled)]
    headers = [printable(column.header) for column in titled]
    cells = [[format_cell(value) for value in row] for row in rows]
    if is_terminal(stream):
        _print_rich(headers, aligns, cells, title, stream)
    else:
        _print_plain(headers, aligns, cells, title, stream)


def format_cell(value: object) -> str:
    """Return the text of one cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    return printable(value)


def _alignment(column: Column, values: list[object]) -> str:
    if column.align != "auto":
        return column.align
    present = [value for value in values if value is not None]
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in present)
    return "right" if present and numeric else "left"


def is_terminal(stream: IO[str]) -> bool:
    """Whether `stream` is a terminal that tables can be drawn on."""
    try:
        return stream.isatty() and os.environ.get("TERM") != "dumb"
    except (AttributeError, ValueError):  # a stand-in without isatty, or a closed stream
        return False


def _print_plain(
    headers: list[str], aligns: list[str], cells: list[list[str]], title: str | None, stream: IO[str]
) -> None:
    lines = [headers, *cells]
    widths = [max(display_width(line[i]) for line in lines) for i in range(len(headers))]
    text = [printable(title)] if title else []
    for line in lines:
        padded = [pad(cell, width, align) for cell, width, align in zip(line, widths, aligns, strict=True)]
        text.append("  ".join(padded).rstrip())
    stream.write(_encodable("\n".join(text) + "\n", stream))


def _encodable(text: str, stream: IO[str]) -> str:
    """Replace what the stream's encoding lacks, so that a class named in Greek cannot end an ASCII log."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


def _print_rich(
    headers: list[str], aligns: list[str], cells: list[list[str]], title: str | None, stream: IO[str]
) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Text, not str: rich would read "[red]" in somebody's class name as markup.
    table = Table(title=Text(printable(title)) if title else None, title_justify="left", box=box.SIMPLE_HEAD)
    for header, align in zip(headers, aligns, strict=True):
        table.add_column(Text(header), justify="right" if align == "right" else "left", overflow="fold")
    for row in cells:
        table.add_row(*[Text(cell) for cell in row])
    Console(file=stream).print(table)
