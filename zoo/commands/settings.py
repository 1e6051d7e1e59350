"""Build a recipe from the options of ``zoo train``: a file, ``--set key=value``, one option per setting."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from zoo.commands.shared import find_model
from zoo.errors import RecipeError
from zoo.spec import Recipe, read_recipe
from zoo.spec.recipe import SETTINGS, SHORT, full_names


def train_arguments(
    name: str | None, options: Mapping[str, Any], settings: Iterable[str], config: Path | None
) -> tuple[Recipe, dict[str, Any]]:
    """Return the recipe that a training is asked for by, and the arguments of `zoo.train` that say so.

    Args:
        name: the model's; None where a run is continued.
        options: by name, those that were not given as None.
        settings: ``KEY=VALUE`` strings, which override `options`.
        config: a TOML file with the recipe that both override; None for one of the model's.

    Raises:
        ZooError: a name or a value is not what it must be.
    """
    given = full_names(parse_settings(settings))
    arguments = {key: value for key, value in options.items() if value is not None and SHORT.get(key) not in given}
    if "class_weights" in arguments:
        arguments["class_weights"] = literal(arguments["class_weights"])
    recipe = Recipe() if name is None else find_model(name).recipe(arguments.get("recipe", "default"))
    if config is not None:
        if "recipe" in arguments:
            raise click.UsageError("--recipe and --config name two recipes: leave one out.")
        recipe = arguments["recipe"] = read_recipe(config)
    overrides = {key: value for key, value in arguments.items() if key in SHORT} | given
    return recipe.override(**overrides), arguments | given


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """Return the overrides that ``KEY=VALUE`` strings mean.

    A value is read as a Python literal (``3``, ``0.5``, ``true``, ``none``, ``[512, 256]``) and is text otherwise.

    Raises:
        RecipeError: a setting without ``=``.
    """
    overrides = {}
    for setting in settings:
        key, equals, text = (word.strip() for word in setting.partition("="))
        if not equals or not key:
            raise RecipeError(f"--set takes KEY=VALUE, received '{setting}'. Write for example --set epochs=3.")
        facts = SETTINGS[name].metadata if (name := SHORT.get(key, key)) in SETTINGS else {}
        overrides[key] = text if text in facts.get("choices", ()) else literal(text)  # none is a choice of some
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
