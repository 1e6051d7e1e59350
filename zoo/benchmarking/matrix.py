"""The benchmark matrix: for each model, the combinations of mode, precision, XLA and batch size."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from zoo import registry
from zoo.errors import RecipeError, UnknownNameError
from zoo.spec.recipe import PRECISIONS, check_choice

MODES = ("train", "infer")


@dataclass(frozen=True)
class Cell:
    """One entry of the matrix, as asked for. `xla` None means: what is fastest on the device."""

    model: str
    mode: str
    precision: str
    xla: bool | None
    batch_size: int
    device: str

    def __str__(self) -> str:
        xla = {None: "", True: ", XLA", False: ", no XLA"}[self.xla]
        return f"{self.model}, {self.mode}, {self.precision}{xla}, batch {self.batch_size}"


@dataclass(frozen=True)
class Matrix:
    """The axes, and how much is measured of each cell: `rounds` processes, in each `seconds` of steady steps."""

    modes: tuple[str, ...] = MODES
    precisions: tuple[str, ...] = ("float32",)
    xla: tuple[bool | None, ...] = (None,)
    batch_sizes: tuple[int, ...] = (128,)
    rounds: int = 2
    seconds: float = 1.0

    def __post_init__(self) -> None:
        for mode in self.modes:
            check_choice("mode", mode, MODES)
        for precision in self.precisions:
            check_choice("precision", precision, PRECISIONS)
        for name, values in (("batch_size", self.batch_sizes), ("rounds", (self.rounds,))):
            for value in values:
                if value < 1:
                    raise RecipeError(f"{name} must be at least 1, received {value}. Change {name}.")
        check_positive("seconds", self.seconds)

    def cells(self, models: Iterable[str], device: str) -> list[Cell]:
        """Return every combination, model by model."""
        axes = itertools.product(models, self.modes, self.precisions, self.xla, self.batch_sizes)
        return [Cell(*values, device=device) for values in axes]


def check_positive(name: str, value: float) -> None:
    """Raise `RecipeError` for a number of seconds that cannot pass."""
    if not (value > 0 and math.isfinite(value)):
        raise RecipeError(f"{name} must be more than 0 and finite, received {value}. Change {name}.")


PRESETS = {
    "quick": Matrix(precisions=("float32", "mixed_bfloat16")),
    "standard": Matrix(precisions=("float32", "mixed_bfloat16"), batch_sizes=(32, 128, 512), rounds=3),
    "full": Matrix(precisions=PRECISIONS, xla=(False, True), batch_sizes=(1, 32, 128, 512, 2048), rounds=5, seconds=2),
}
"""How much is measured unless the user says otherwise. quick takes about 15 s per model, mode and round of both."""


def choose(preset: str, **changes: object) -> Matrix:
    """Return a preset with those of `changes` that are not None or empty.

    Raises:
        RecipeError: there is no such preset, or a value is not what it must be.
    """
    check_choice("preset", preset, tuple(PRESETS))
    given = {name: value for name, value in changes.items() if value not in (None, (), [])}
    return replace(PRESETS[preset], **given)  # type: ignore[arg-type]


def find_models(patterns: Sequence[str]) -> list[str]:
    """Return the models that names and wildcard patterns mean, each once.

    Without a pattern: all but those known to take photographs, of which a single cell may take minutes.

    No plugin is imported: one that is broken gets its row in the result, and the others are measured.

    Raises:
        UnknownNameError: a name or pattern that no model has.
    """
    if not patterns:
        return [
            name for name in registry.list_models() if registry.needs_import(name) or not registry.get(name).large_input
        ]
    return list(dict.fromkeys(name for pattern in patterns for name in _matching(pattern)))


def _matching(pattern: str) -> Iterator[str]:
    found = registry.list_models(pattern)
    if found:
        yield from found
    elif registry.needs_import(pattern):
        yield pattern
    elif any(character in pattern for character in "*?["):
        raise UnknownNameError(f"No model's name matches '{pattern}'. 'zoo list' shows all of them.")
    else:
        yield registry.get(pattern).name
