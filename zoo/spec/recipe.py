"""`Recipe`: how a model is trained, as a validated frozen value that converts to and from JSON."""

from __future__ import annotations

import dataclasses
import inspect
import operator
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo.errors import RecipeError, UnknownNameError, suggestion
from zoo.spec.sections import PRECISIONS, Augmentation, Data, Execution, Loss, Model, Optimizer, Schedule, Validation
from zoo.spec.settings import Section, check_choice, check_settings, plain, setting

__all__ = ["PRECISIONS", "SECTIONS", "SETTINGS", "SHORT", "Recipe", "check_choice", "full_names", "plain"]


@dataclass(frozen=True, init=False)
class Recipe:
    """How a model is trained: data, not code.

    Settings lie in sections and are read there: ``recipe.optimizer.learning_rate``. Each can be given with its section,
    as in ``Recipe(optimizer={"name": "sgd", "learning_rate": 0.1})``, or by its short name, as in
    ``Recipe(optimizer="sgd", learning_rate=0.1)``, and overridden from the command line (``--learning-rate 0.1``,
    ``--set optimizer.learning_rate=0.1``), from a file (``--config``) and from Python
    (``zoo.train(..., learning_rate=0.1)``). `note` names the recipe's source, what it takes and what it reaches.

    Raises:
        UnknownNameError: a name that is no setting's.
        RecipeError: a value of the wrong type or outside its range, or settings that contradict each other.
    """

    note: str = setting("", "Where the recipe comes from, what it takes and what it reaches.")
    seed: int = setting(0, "Seed of initial weights, order, augmentation and dropout.", low=0, high=2**32 - 1)
    data: Data = dataclasses.field(default_factory=Data)
    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)
    model: Model = dataclasses.field(default_factory=Model)
    optimizer: Optimizer = dataclasses.field(default_factory=Optimizer)
    schedule: Schedule = dataclasses.field(default_factory=Schedule)
    loss: Loss = dataclasses.field(default_factory=Loss)
    validation: Validation = dataclasses.field(default_factory=Validation)
    execution: Execution = dataclasses.field(default_factory=Execution)

    def __init__(self, **settings: Any) -> None:
        given = full_names(settings)
        for name, value in given.items():
            if name not in SETTINGS:
                raise _unknown(name, value)
        for field in dataclasses.fields(self):
            value = given.get(field.name, field.default)
            if field.name in SECTIONS:
                start = f"{field.name}."
                inside = {name.removeprefix(start): given[name] for name in given if name.startswith(start)}
                value = SECTIONS[field.name](**inside)
            object.__setattr__(self, field.name, value)
        check_settings(self)
        _check_together(self)

    if not TYPE_CHECKING:  # a type checker finds a name that is no setting's

        def __getattr__(self, name: str) -> Any:
            """Return a setting by its short name; `optimizer`, `schedule` and `loss` are sections."""
            if name not in SHORT or name in SECTIONS:
                raise AttributeError(f"'Recipe' object has no attribute '{name}'")
            return operator.attrgetter(SHORT[name])(self)

    @property
    def validates(self) -> bool:
        """Whether something is measured after each epoch."""
        return self.validation.split > 0 or self.validation.on_test

    def settings(self) -> dict[str, Any]:
        """Return every setting's value by its full name, as in ``optimizer.learning_rate``."""
        return {name: operator.attrgetter(name)(self) for name in SETTINGS}

    def override(self, **changes: Any) -> Recipe:
        """Return a copy with `changes` applied; options are merged into those that there are.

        None means unchanged, except for `xla`, where it means: what is fastest here.

        A change is named by its short name (``learning_rate=0.1``), its full name
        (``**{"optimizer.learning_rate": 0.1}``) or with its section (``optimizer={"learning_rate": 0.1}``); a single
        option with a dot: ``**{"model_options.dropout": 0.5}``. A section that is no mapping but a value of its own
        takes the whole place of the recipe's.

        Raises:
            UnknownNameError: a name that is no setting's.
            RecipeError: a value of the wrong type or outside its range.
        """
        values = self.settings() | full_names({k: v for k, v in changes.items() if isinstance(v, Section)})
        for name, value in full_names({k: v for k, v in changes.items() if not isinstance(v, Section)}).items():
            whole = ".".join(name.split(".")[:2])
            option = name.removeprefix(whole).removeprefix(".")
            if option and isinstance(values.get(whole), Mapping):
                values[whole] = {**values[whole], option: value}
            elif name.endswith(".options") and isinstance(value, Mapping):
                values[name] = {**values[name], **value}
            elif value is not None or name == "execution.xla" or name not in SETTINGS:
                values[name] = value
        return Recipe(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return every setting as plain JSON values, section by section."""
        return plain(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Rebuild a recipe from `to_dict`, or from settings by their short names, as older records have them.

        Raises:
            UnknownNameError: a name that is no setting's.
        """
        return cls().override(**values)


SECTIONS: dict[str, type[Section]] = {
    name: kind for name, kind in typing.get_type_hints(Recipe).items() if issubclass(kind, Section)
}
"""The sections by name, in their order."""

SETTINGS: dict[str, dataclasses.Field[Any]] = {f.name: f for f in dataclasses.fields(Recipe) if f.metadata} | {
    f"{section}.{field.name}": field for section, kind in SECTIONS.items() for field in dataclasses.fields(kind)
}
"""What is known about each setting, by its full name."""

SHORT = {short: name for name, field in SETTINGS.items() for short in field.metadata["short"] or (field.name,)}
"""The settings' full names by their short ones: those of options of the command line, and of older records."""


def full_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings by their full names, however they were named; what is no setting keeps its name.

    Args:
        values: by full name (``optimizer.learning_rate``), by short name (``learning_rate``), or by section, as a
            mapping or a `Section`. Single options stand behind a dot, as in ``model_options.dropout``. What is named by
            itself overrides what stands in a section.
    """
    whole, single = {}, {}
    for key, value in values.items():
        name, dot, rest = key.partition(".")
        if key in SECTIONS and isinstance(value, Mapping | Section):
            inside = value if isinstance(value, Mapping) else vars(value)
            whole.update({f"{key}.{inner}": item for inner, item in inside.items()})
        elif dot and name in SECTIONS:
            single[key] = value
        else:
            single[SHORT.get(name, name) + dot + rest] = value
    return whole | single


def _unknown(name: str, value: Any) -> RecipeError | UnknownNameError:
    """Return the error for a name that is no setting's, or for a section's without a setting."""
    section = name.partition(".")[0]
    known = ", ".join(key for key in SETTINGS if section not in SECTIONS or key.startswith(f"{section}."))
    if name == section and name in SECTIONS:
        return RecipeError(f"{name} is a section of a recipe, received {value!r}. Name a setting in it: {known}.")
    near = suggestion(name, [*SETTINGS, *SHORT, *SECTIONS])
    return UnknownNameError(f"'{name}' is not a setting of a recipe.{near} The settings are: {known}.")


def _check_together(recipe: Recipe) -> None:
    """Refuse settings that contradict each other."""
    validation = recipe.validation
    watched = {validation.save_best}
    if validation.early_stopping or recipe.schedule.name == "reduce_on_plateau":
        watched.add(validation.monitor)
    missing = sorted(name for name in watched if name.startswith("val_"))
    if missing and not recipe.validates:
        raise RecipeError(
            f"{' and '.join(missing)} cannot be watched: no image is held out. "
            "Set validation_split, for example to 0.1, or watch loss."
        )
    if validation.on_test and (missing or validation.split):
        raise RecipeError(
            "validate_on_test only watches the test images: nothing may be selected by them. "
            "Use validation_split instead of it."
        )


_GENERAL = Recipe()
Recipe.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # for help() and the completion of notebooks
    [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=operator.attrgetter(path)(_GENERAL))
        for name, path in ({section: section for section in SECTIONS} | SHORT).items()
    ]
)
