"""Recipes as TOML files: a table for each section, a key for each setting.

TOML has no null. Where a setting may be without a value, and inside options, ``"none"`` stands for that, as with
``--set``, and the text none is written in quotes of its own: ``"'none'"``.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from zoo.errors import RecipeError, UnknownNameError
from zoo.spec.recipe import SETTINGS, Recipe, full_names

TEXT_NONE = re.compile("'+none'+")


def read_recipe(path: str | Path) -> Recipe:
    """Return the recipe that a TOML file holds; settings that it does not name have their defaults.

    Args:
        path: of the file. Settings stand in tables, one for each section, or under their short names at the top.

    Raises:
        RecipeError: the file cannot be read, is no TOML, or holds a value that its setting cannot have.
        UnknownNameError: it names a section or a setting that no recipe has.
    """
    import tomllib  # takes longer to import than a listing may wait for

    try:
        document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(
            f"{path} cannot be read: {error.strerror or error}. Name a TOML file; "
            "'zoo train NAME --print-config' prints one."
        ) from error
    except ValueError as error:  # of TOML, or of UTF-8
        raise RecipeError(f"{path} is no TOML file: {error}. Write settings as key = value.") from error
    values: dict[str, Any] = {}
    for key, value in document.items():
        for name, each in full_names({key: value}).items():
            if name in values:
                raise RecipeError(f"{path} sets {name} twice, by its short name too. Remove one of the two.")
            values[name] = _replaced(each, _read_text) if _may_be_none(name) else each
    try:
        return Recipe(**values)
    except (RecipeError, UnknownNameError) as error:
        raise type(error)(f"{path}: {error}") from error


def recipe_toml(recipe: Recipe) -> str:
    """Return a recipe as the text of a TOML file that `read_recipe` reads, with what each setting means."""
    lines, table = ["# zoo train NAME --config FILE trains by this recipe."], ""
    for name, value in recipe.settings().items():
        section, _, key = name.rpartition(".")
        if section != table:
            lines += ["", f"[{section}]"]
            table = section
        written = _replaced(value, _write_text) if _may_be_none(name) else value
        lines += [f"# {_comment(SETTINGS[name])}", f"{key} = {_toml(written)}"]
    return "\n".join(lines) + "\n"


def _may_be_none(name: str) -> bool:
    return name in SETTINGS and bool(re.search("None|Mapping", str(SETTINGS[name].type)))


def _replaced(value: Any, replace: Callable[[Any], Any]) -> Any:
    """Return a value with what is in it, at any depth, replaced."""
    if isinstance(value, Mapping):
        return {key: _replaced(item, replace) for key, item in value.items()}
    return [_replaced(item, replace) for item in value] if isinstance(value, list) else replace(value)


def _write_text(value: Any) -> Any:
    if value is None:
        return "none"
    return f"'{value}'" if value == "none" or (isinstance(value, str) and TEXT_NONE.fullmatch(value)) else value


def _read_text(value: Any) -> Any:
    if value == "none":
        return None
    return value[1:-1] if isinstance(value, str) and TEXT_NONE.fullmatch(value) else value


def _comment(field: dataclasses.Field[Any]) -> str:
    meaning, choices = field.metadata["meaning"], field.metadata["choices"]
    listed = all(choice in meaning for choice in choices)
    return meaning if listed else f"{meaning} One of {', '.join(choices)}."


def _toml(value: Any) -> str:
    """Return a plain value as TOML writes it, on one line."""
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{_key(key)} = {_toml(item)}" for key, item in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        escaped = json.dumps(value, ensure_ascii=False)
        return "".join(sign if sign.isprintable() else f"\\U{ord(sign):08X}" for sign in escaped)
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _key(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else _toml(text)
