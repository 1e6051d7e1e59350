"""``--set key=value``: text from a command line to typed overrides of a recipe."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

from zoo.errors import RecipeError


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """Return the overrides that ``KEY=VALUE`` strings mean.

    A value is read as a Python literal (``3``, ``0.5``, ``true``, ``none``, ``[512, 256]``) and is text otherwise.

    Raises:
        RecipeError: a setting without ``=``.
    """
    overrides = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            raise RecipeError(f"--set takes KEY=VALUE, received '{setting}'. Write for example --set epochs=3.")
        overrides[key.strip()] = literal(value.strip())
    return overrides


def literal(text: str) -> Any:
    """Return what a text means as a Python literal, or the text itself."""
    words = {"true": True, "false": False, "none": None, "null": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
