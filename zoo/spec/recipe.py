"""How a model is trained, as a frozen value: checked when made, overridden without surprises, plain JSON."""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo.errors import RecipeError, UnknownNameError, ZooError, suggestion

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
"""Keras' dtype policies that a model may be built and trained with."""

SCALINGS = ("unit", "standard", "none")
SCHEDULES = ("constant", "cosine", "one_cycle", "reduce_on_plateau")
LOSSES = ("cross_entropy", "squared_error")
FLIPS = ("none", "horizontal", "vertical", "both")
PIPELINES = ("resident", "tf_data")
MONITORS = ("val_loss", "val_accuracy", "loss", "accuracy")


def part(
    default: Any,
    meaning: str,
    *,
    low: float | None = None,
    high: float = math.inf,
    open_end: bool = False,
    choices: tuple[str, ...] = (),
) -> Any:
    """Return a field of a recipe with what is known about it: the values it takes, and a line of help.

    Args:
        default: the value of a recipe that does not say; a mapping is copied.
        meaning: one line, shown by ``zoo train --help``.
        low: the least value; None for what is no number.
        high: the greatest value, itself excluded with `open_end`.
        choices: the words that it may be.
    """
    facts = {"meaning": meaning, "low": low, "high": high, "open_end": open_end, "choices": choices}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=default.copy, metadata=facts)
    return dataclasses.field(default=default, metadata=facts)


@dataclass(frozen=True)
class Recipe:
    """How a model is trained: data, not code.

    Every field can be overridden from the command line (``--epochs 3``, ``--set key=value``) and from Python
    (``zoo.train(..., key=value)``). `note` names the recipe's source, what it takes and what it reaches.
    """

    note: str = part("", "Where the recipe comes from, what it takes and what it reaches.")
    dataset: str = part("mnist", "mnist, digits, fashion_mnist, or a TFDS name.")
    epochs: int = part(10, "Passes over the training images.", low=1)
    batch_size: int = part(128, "Images per step.", low=1)
    # What a step does
    optimizer: str = part("adam", "Any optimizer of Keras, by its class name in any case: adam, sgd, muon ...")
    optimizer_options: Mapping[str, Any] = part({}, "Passed to the optimizer's class.")
    learning_rate: float = part(1e-3, "The peak, where the schedule has one.", low=0, open_end=True)
    schedule: str = part("constant", "How the learning rate goes on.", choices=SCHEDULES)
    warmup: float = part(0.25, "The rising share of one_cycle's steps.", low=0, high=1)
    plateau_patience: int = part(3, "reduce_on_plateau: epochs without improvement before each cut.", low=1)
    plateau_factor: float = part(
        0.1, "reduce_on_plateau: what the rate is multiplied by.", low=0, high=1, open_end=True
    )
    loss: str = part("cross_entropy", "Of the logits; squared_error is against one-hot targets.", choices=LOSSES)
    label_smoothing: float = part(0.0, "Share of each target spread over all classes.", low=0, high=1, open_end=True)
    class_weights: str | Mapping[str, Any] = part({}, "Factor of the loss by class: balanced, or {3: 2.0, 8: 1.5}.")
    weight_averaging: float = part(
        0.0, "Momentum of an exponential moving average of the weights, 0.99 for example; 0: none.",
        low=0, high=1, open_end=True,
    )  # fmt: skip
    gradient_accumulation: int = part(1, "Steps whose gradients are averaged into one update.", low=1)
    # What the images go through
    scaling: str = part("unit", "unit: 0..255 to 0..1; standard: mean 0, deviation 1; none.", choices=SCALINGS)
    shift: int = part(0, "Each batch is moved by up to this many pixels, both ways.", low=0)
    rotation: float = part(0.0, "Each image is turned by up to this many degrees, either way.", low=0, high=180)
    zoom: float = part(0.0, "Each image is drawn larger or smaller by up to this share.", low=0, high=1, open_end=True)
    translation: float = part(
        0.0, "Each image is moved by up to this share of its sides, both ways.", low=0, high=1, open_end=True
    )
    elastic: float = part(
        0.0, "Each image is bent: smooth random displacements, of up to this standard deviation in pixels.", low=0
    )
    flip: str = part("none", "Each image is mirrored at random; a mirrored digit is another sign.", choices=FLIPS)
    shuffle: bool = part(True, "Draw the order anew in each epoch.")
    pipeline: str = part(
        "resident", "resident: images stay on the device; tf_data: they are streamed to it.", choices=PIPELINES
    )
    cache: bool = part(True, "tf_data: hold the images in memory instead of reading each where it lies.")
    shuffle_buffer: int = part(0, "tf_data: images that the next one is drawn from; 0: all.", low=0)
    prefetch: bool = part(True, "tf_data: prepare batches while the device is busy.")
    # What is measured on the way, and when to stop
    validation_split: float = part(
        0.0, "Share of the training images held out, measured after each epoch.", low=0, high=1, open_end=True
    )
    validate_on_test: bool = part(False, "Watch the test images after each epoch, and select nothing by them.")
    monitor: str = part("val_loss", "What early_stopping and reduce_on_plateau watch.", choices=MONITORS)
    early_stopping: int = part(
        0, "Stop after this many epochs without improvement and keep the best epoch's weights; 0: never.", low=0
    )
    save_best: str = part(
        "none", "Also keep the best epoch's model, by this, as best.keras.", choices=("none", *MONITORS)
    )
    # How the arithmetic is done
    precision: str = part("float32", "Of the arithmetic.", choices=PRECISIONS)
    xla: bool | None = part(None, "Compile the step by XLA. None: what is fastest here (off on a CPU, on with a GPU).")
    shares: int = part(
        0,
        "Parts of a batch that are computed side by side; 0: one per core, where that changes only the time. With 2 or "
        "more each part normalises by itself.",
        low=0,
    )
    seed: int = part(0, "Of weights, order, augmentation and dropout.", low=0, high=2**32 - 1)
    model_options: Mapping[str, Any] = part({}, "Passed to the model's builder.")

    def __post_init__(self) -> None:
        _check_types(self)
        _check_plain(self)
        for field in dataclasses.fields(self):
            _check_value(field, getattr(self, field.name))
        _check_together(self)

    @property
    def validates(self) -> bool:
        """Whether something is measured after each epoch."""
        return self.validation_split > 0 or self.validate_on_test

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
            elif name.endswith("_options") and isinstance(value, Mapping):
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
        alternatives = typing.get_args(expected) if isinstance(expected, types.UnionType) else (expected,)
        accepted: tuple[type, ...] = tuple(typing.get_origin(kind) or kind for kind in alternatives)
        is_disguised_bool = isinstance(value, bool) and bool not in accepted
        if not isinstance(value, accepted) or is_disguised_bool:
            kinds = " or ".join("nothing" if kind is types.NoneType else kind.__name__ for kind in accepted)
            raise RecipeError(f"{name} must be {kinds}, received {value!r}. Change {name}.")


def _check_plain(recipe: Recipe) -> None:
    """Refuse options that a run's record could not hold."""
    for name in ("model_options", "optimizer_options", "class_weights"):
        value = plain(getattr(recipe, name))
        try:
            json.dumps(value)
        except (TypeError, ValueError) as error:
            raise RecipeError(f"{name} must be plain values, received {value!r}: {error}. Change {name}.") from error
        object.__setattr__(recipe, name, value)


def _check_value(field: dataclasses.Field[Any], value: Any) -> None:
    """Hold one field's value against its choices and its range."""
    facts = field.metadata
    if facts["choices"]:
        check_choice(field.name, value, facts["choices"])
    if facts["low"] is not None:
        _check_range(field.name, value, facts["low"], facts["high"], open_end=facts["open_end"])


def _check_together(recipe: Recipe) -> None:
    """Refuse fields that contradict each other, and weights that are none."""
    watched = {recipe.save_best}
    if recipe.early_stopping or recipe.schedule == "reduce_on_plateau":
        watched.add(recipe.monitor)
    missing = sorted(name for name in watched if name.startswith("val_"))
    if missing and not recipe.validates:
        raise RecipeError(
            f"{' and '.join(missing)} cannot be watched: no image is held out. "
            "Set validation_split, for example to 0.1, or watch loss."
        )
    if recipe.validate_on_test and (missing or recipe.validation_split):
        raise RecipeError(
            "validate_on_test only watches the test images: nothing may be selected by them. "
            "Use validation_split instead of it."
        )
    if isinstance(recipe.class_weights, str):
        check_choice("class_weights", recipe.class_weights, ("balanced",))
        return
    for label, weight in recipe.class_weights.items():
        if not label.isdecimal() or isinstance(weight, bool) or not isinstance(weight, int | float) or weight < 0:
            raise RecipeError(
                f"class_weights must map labels (0, 1, ...) to factors of at least 0, received {label}: {weight!r}. "
                "Write for example {3: 2.0}."
            )


def _check_range(name: str, value: float, low: float, high: float, *, open_end: bool = False) -> None:
    if not (low <= value < high if open_end else low <= value <= high) or math.isnan(value):
        bounds = f"at least {low:g}" if high == math.inf else f"from {low:g} to {'below ' * open_end}{high:g}"
        raise RecipeError(f"{name} must be {bounds}, received {value!r}. Change {name}.")
