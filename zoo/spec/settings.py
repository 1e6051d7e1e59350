"""Settings and sections of settings: validated frozen values that convert to JSON."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo.errors import RecipeError, ZooError, suggestion


def setting(
    default: Any,
    meaning: str,
    *,
    low: float | None = None,
    high: float = math.inf,
    open_end: bool = False,
    choices: tuple[str, ...] = (),
    short: tuple[str, ...] = (),
) -> Any:
    """Return a dataclass field with what is known about a setting: its range or choices, and a line of help.

    Args:
        default: its value where none is given; a mapping is copied.
        meaning: one line, for ``zoo train --help`` and ``--print-config``.
        low: smallest value; None if the setting is not a number.
        high: largest value, which `open_end` excludes.
        choices: allowed strings.
        short: the setting's short names, used without its section; by default its own name.
    """
    facts = {"meaning": meaning, "low": low, "high": high, "open_end": open_end, "choices": choices, "short": short}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=default.copy, metadata=facts)
    return dataclasses.field(default=default, metadata=facts)


@dataclass(frozen=True)
class Section:
    """A group of settings. A section is named like its class, in lower case."""

    def __post_init__(self) -> None:
        check_settings(self, f"{type(self).__name__.lower()}.")


def check_settings(holder: Any, prefix: str = "") -> None:
    """Check the settings of a dataclass and put them into the form in which they are kept.

    An int becomes a float where one is meant, and a mapping plain JSON values.

    Args:
        holder: the dataclass; what in it is no setting is left alone.
        prefix: what stands before the settings' names in errors.

    Raises:
        RecipeError: a value of the wrong type, outside its range or choices, or one that JSON cannot hold.
    """
    kinds = _kinds(holder.__class__)
    for field in dataclasses.fields(holder):
        if field.metadata:
            value = _checked(prefix + field.name, getattr(holder, field.name), kinds[field.name], field.metadata)
            object.__setattr__(holder, field.name, value)


@functools.cache
def _kinds(holder: type) -> dict[str, Any]:
    return typing.get_type_hints(holder)


def _checked(name: str, value: Any, kind: Any, facts: Mapping[str, Any]) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    alternatives = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    accepted: tuple[type, ...] = tuple(typing.get_origin(each) or each for each in alternatives)
    is_disguised_bool = isinstance(value, bool) and bool not in accepted
    if not isinstance(value, accepted) or is_disguised_bool:
        kinds = " or ".join("nothing" if each is types.NoneType else each.__name__ for each in accepted)
        raise RecipeError(f"{name} must be {kinds}, received {value!r}. Change {name}.")
    if isinstance(value, Mapping):
        value = plain(value)
        try:
            json.dumps(value)
        except (TypeError, ValueError) as error:
            raise RecipeError(f"{name} must be plain values, received {value!r}: {error}. Change {name}.") from error
    if facts["choices"]:
        check_choice(name, value, facts["choices"])
    if facts["low"] is not None:
        _check_range(name, value, facts["low"], facts["high"], open_end=facts["open_end"])
    return value


def _check_range(name: str, value: float, low: float, high: float, *, open_end: bool) -> None:
    if not (low <= value < high if open_end else low <= value <= high) or math.isnan(value):
        bounds = f"at least {low:g}" if high == math.inf else f"from {low:g} to {'below ' * open_end}{high:g}"
        raise RecipeError(f"{name} must be {bounds}, received {value!r}. Change {name}.")


def check_choice(name: str, value: str, choices: tuple[str, ...], error: type[ZooError] = RecipeError) -> None:
    if value not in choices:
        raise error(f"{name} must be one of {', '.join(choices)}, received '{value}'.{suggestion(str(value), choices)}")


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
