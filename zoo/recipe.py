"""How a model is trained, as a frozen value: checked when made, overridden without surprises, plain JSON."""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zoo.errors import RecipeError, UnknownNameError, ZooError, suggestion

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
SCALINGS = ("unit", "standard", "none")
SCHEDULES = ("constant", "cosine", "one_cycle")


@dataclass(frozen=True)
class Recipe:
    """How a model is trained: data, not code.

    Every field can be overridden from the command line (``--set key=value``) and from Python
    (``zoo.train(..., key=value)``). `note` names the recipe's source, what it takes and what it reaches.
    """

    note: str = ""
    dataset: str = "mnist"
    epochs: int = 10
    batch_size: int = 128  # images per step
    optimizer: str = "adam"  # any optimizer of keras.optimizers, by its class name in lower case
    optimizer_options: Mapping[str, Any] = field(default_factory=dict)  # passed to the optimizer's class
    learning_rate: float = 1e-3  # the peak, where the schedule has one
    schedule: str = "constant"  # constant, cosine or one_cycle
    warmup: float = 0.25  # the rising share of one_cycle's steps
    label_smoothing: float = 0.0
    scaling: str = "unit"  # unit: 0..255 to 0..1; standard: mean 0 and deviation 1; none: 0..255
    shift: int = 0  # each training batch is moved by up to this many pixels, in both directions
    precision: str = "float32"
    xla: bool | None = None  # None: what is fastest here (off on a CPU, on with a GPU)
    validation_split: float = 0.0  # share of the training images held out and measured after each epoch
    shuffle: bool = True
    seed: int = 0
    model_options: Mapping[str, Any] = field(default_factory=dict)  # passed to the model's builder

    def __post_init__(self) -> None:
        _check_types(self)
        _check_plain(self)
        check_choice("precision", self.precision, PRECISIONS)
        check_choice("scaling", self.scaling, SCALINGS)
        check_choice("schedule", self.schedule, SCHEDULES)
        _check_range("epochs", self.epochs, 1, math.inf)
        _check_range("batch_size", self.batch_size, 1, math.inf)
        _check_range("learning_rate", self.learning_rate, 0, math.inf, open_end=True)
        _check_range("label_smoothing", self.label_smoothing, 0, 1, open_end=True)
        _check_range("validation_split", self.validation_split, 0, 1, open_end=True)
        _check_range("warmup", self.warmup, 0, 1)
        _check_range("shift", self.shift, 0, math.inf)
        _check_range("seed", self.seed, 0, 2**32 - 1)

    def override(self, **changes: Any) -> Recipe:
        """Return a copy with `changes` applied; nested options are merged.

        None means unchanged, except for `xla`, where it means: what is fastest here.

        `model_options` and `optimizer_options` may be given whole (a mapping) or one at a time with a dot:
        ``**{"model_options.dropout": 0.5}``.

        Raises:
            UnknownNameError: a key that no recipe has.
            RecipeError: a value of the wrong kind or outside its range.
        """
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        for key, value in changes.items():
            name, _, option = key.partition(".")
            if name not in values or (option and not isinstance(values[name], Mapping)):
                known = ", ".join(values)
                raise UnknownNameError(
                    f"'{key}' is not a field of a recipe.{suggestion(key, values)} The fields are: {known}."
                )
            if option:
                values[name] = {**values[name], option: value}
            elif isinstance(values[name], Mapping) and isinstance(value, Mapping):
                values[name] = {**values[name], **value}
            elif value is not None or name == "xla":
                values[name] = value
        return Recipe(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return every field as plain JSON values."""
        return plain(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Rebuild a recipe from `to_dict`; unknown keys are an UnknownNameError."""
        return cls().override(**values)


def plain(value: Any) -> Any:
    """Turn dataclasses, mappings, tuples and NumPy's values into what `json` writes.

    JSON has no NaN and no infinity: both become None.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy's scalars and arrays, without importing it
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def check_choice(name: str, value: str, choices: tuple[str, ...], error: type[ZooError] = RecipeError) -> None:
    if value not in choices:
        raise error(f"{name} must be one of {', '.join(choices)}, received '{value}'.{suggestion(str(value), choices)}")


def _check_types(recipe: Recipe) -> None:
    """Refuse a value of the wrong kind, and let an int stand where a float is meant."""
    hints = typing.get_type_hints(Recipe)
    for name, expected in hints.items():
        value = getattr(recipe, name)
        if expected is float and isinstance(value, int) and not isinstance(value, bool):
            object.__setattr__(recipe, name, float(value))
            continue
        accepted: tuple[type, ...] = (typing.get_origin(expected) or expected,)
        if isinstance(expected, types.UnionType):
            accepted = typing.get_args(expected)
        is_disguised_bool = isinstance(value, bool) and bool not in accepted
        if not isinstance(value, accepted) or is_disguised_bool:
            kinds = " or ".join("nothing" if kind is types.NoneType else kind.__name__ for kind in accepted)
            raise RecipeError(f"{name} must be {kinds}, received {value!r}. Change {name}.")


def _check_plain(recipe: Recipe) -> None:
    """Refuse options that a run's record could not hold."""
    for name in ("model_options", "optimizer_options"):
        value = plain(getattr(recipe, name))
        try:
            json.dumps(value)
        except (TypeError, ValueError) as error:
            raise RecipeError(f"{name} must be plain values, received {value!r}: {error}. Change {name}.") from error
        object.__setattr__(recipe, name, value)


def _check_range(name: str, value: float, low: float, high: float, *, open_end: bool = False) -> None:
    if not (low <= value < high if open_end else low <= value <= high) or math.isnan(value):
        bounds = f"at least {low:g}" if high == math.inf else f"from {low:g} to {'below ' * open_end}{high:g}"
        raise RecipeError(f"{name} must be {bounds}, received {value!r}. Change {name}.")
