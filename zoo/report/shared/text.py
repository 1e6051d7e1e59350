"""Text helpers: replace control characters, pad and cut text to terminal columns."""

from __future__ import annotations

import unicodedata


def printable(text: object) -> str:
    """Return `text` on one line, with control characters as ``?``.

    Names of files, classes and plugins come from other people: an escape sequence in one must not
    reach the reader's terminal.
    """
    value = str(text)
    return value if value.isprintable() else "".join(c if c.isprintable() else "?" for c in value)


def display_width(text: str) -> int:
    """Return the number of terminal columns that `text` takes (East Asian wide characters take two)."""
    if text.isascii():
        return len(text)
    return sum(_character_width(character) for character in text)


def pad(text: str, width: int, align: str = "left") -> str:
    """Return `text` filled with spaces to `width` columns; `align` is ``left`` or ``right``."""
    spaces = " " * max(0, width - display_width(text))
    return spaces + text if align == "right" else text + spaces


def shorten(text: str, width: int) -> str:
    """Return `text` cut to `width` columns, its end replaced by an ellipsis when it is longer."""
    if display_width(text) <= width:
        return text
    kept = ""
    for character in text:
        if display_width(kept + character) > width - 1:
            break
        kept += character
    return kept.rstrip() + "…"


def _character_width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
