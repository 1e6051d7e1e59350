"""Find the recipes that have published numbers, and select them by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from zoo import registry
from zoo.errors import UnknownNameError, suggestion
from zoo.spec import ModelSpec
from zoo.spec.claims import Published
from zoo.spec.recipe import Recipe, plain

ALWAYS_SHOWN = ("data.batch_size", "optimizer.name", "optimizer.learning_rate", "schedule.epochs", "loss.name")


@dataclass(frozen=True)
class PublishedRecipe:
    """A recipe of a model with what its source claims; its `name` is ``model/recipe``."""

    spec: ModelSpec
    recipe_name: str

    @property
    def name(self) -> str:
        return f"{self.spec.name}/{self.recipe_name}"

    @property
    def recipe(self) -> Recipe:
        return self.spec.recipe(self.recipe_name)

    @property
    def published(self) -> Published:
        return self.spec.published[self.recipe_name]

    @property
    def improved_by(self) -> list[str]:
        """The names of the recipes that reach what this one misses."""
        return [
            f"{self.spec.name}/{name}"
            for name, published in self.spec.published.items()
            if published.improves == self.recipe_name
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return what is known before any training, as plain JSON values.

        `settings` are those of the recipe that differ from a plain `Recipe`'s, and `ALWAYS_SHOWN`, by their full names.
        """
        ordinary = Recipe().settings()
        settings = {
            name: value
            for name, value in self.recipe.settings().items()
            if name in ALWAYS_SHOWN or (value != ordinary[name] and name != "note")
        }
        facts = {
            "name": self.name,
            "model": self.spec.name,
            "recipe": self.recipe_name,
            "note": self.recipe.note,
            "settings": settings,
            "improved_by": self.improved_by,
            **{field.name: getattr(self.published, field.name) for field in dataclasses.fields(Published)},
        }
        return {key: plain(value) for key, value in facts.items()}


def published_recipes() -> list[PublishedRecipe]:
    """Return the published recipes of all models that are known without importing a plugin.

    Models stand in natural order, recipes as their model's file lists them, and an improvement right below the
    recipe that it improves.
    """
    specs = (registry.get(name) for name in registry.list_models() if not registry.needs_import(name))
    return [row for spec in specs for row in _of_model(spec)]


def find(name: str, get: Callable[[str], ModelSpec] = registry.get) -> list[PublishedRecipe]:
    """Return the recipe that ``model/recipe`` names, or all published ones of the model that is named alone.

    Args:
        name: the part behind the last slash is the recipe's; a model's name may hold slashes itself.
        get: finds a model's spec by name; a plugin is imported for it.

    Raises:
        UnknownNameError: no such model or recipe, or it has no published numbers.
        PluginError: the plugin that provides the model cannot be imported.
    """
    try:
        spec = get(name)
    except UnknownNameError as error:
        model, slash, recipe = name.rpartition("/")
        if not slash:
            raise UnknownNameError(f"There is no model or published recipe '{name}'.{_closest(name)}") from error
        return [_of_name(name, model, recipe, get)]
    rows = list(_of_model(spec))
    if not rows:
        raise UnknownNameError(
            f"{spec.name} has no recipe with published numbers to compare with. "
            "'zoo reproduce --list' shows those that have."
        )
    return rows


def _of_name(name: str, model: str, recipe: str, get: Callable[[str], ModelSpec]) -> PublishedRecipe:
    try:
        spec = get(model)
    except UnknownNameError as error:
        raise UnknownNameError(f"There is no model '{model}', so no recipe '{name}'.{_closest(name)}") from error
    if recipe in spec.published:
        return PublishedRecipe(spec, recipe)
    if recipe in spec.recipes or recipe == "default":
        raise UnknownNameError(
            f"The recipe '{recipe}' of {spec.name} has no published numbers to compare with. "
            f"Train it with: zoo train {spec.name} --recipe {recipe}."
        )
    raise UnknownNameError(f"{spec.name} has no recipe '{recipe}'.{_closest(name)}")


def _closest(name: str) -> str:
    known = [known for row in published_recipes() for known in (row.name, row.spec.name)]
    return f"{suggestion(name, known)} 'zoo reproduce --list' shows all published recipes."


def _of_model(spec: ModelSpec) -> Iterator[PublishedRecipe]:
    """A model's published recipes, each followed by its improvements."""
    for name, published in spec.published.items():
        if not published.improves:
            yield PublishedRecipe(spec, name)
            for other, candidate in spec.published.items():
                if candidate.improves == name:
                    yield PublishedRecipe(spec, other)
