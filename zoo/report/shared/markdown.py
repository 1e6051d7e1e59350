"""GitHub-flavoured Markdown: tables and escaped text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from zoo.report.shared.text import printable

MARKUP = re.compile(r"[\\`*\[\]<>|~&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
"""What means something within a line; an underscore inside a word does not."""


def plain_text(value: object) -> str:
    """Return `value` as text of a line or of a table's cell: what looks like markup is shown, not obeyed."""
    return MARKUP.sub(r"\\\g<0>", printable(value))


def code(value: object) -> str:
    """Return `value` as a code span, whatever backticks it holds. Not for tables, where a pipe would end the cell."""
    text = printable(value)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[bool]) -> list[str]:
    """Return the lines of a table.

    Args:
        headers: of the columns.
        rows: as many texts each.
        right: whether a column stands on the right.
    """
    lines = [headers, *rows]
    texts = [f"| {' | '.join(plain_text(cell) for cell in line)} |" for line in lines]
    rule = "".join("---:|" if is_right else "---|" for is_right in right)
    return [texts[0], f"|{rule}", *texts[1:]]
