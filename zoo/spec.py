"""The frozen values that flow through zoo: what a model is, how it is trained, what a run was.

Nothing here imports TensorFlow. Every value turns into plain JSON with `to_dict` and back with `from_dict`.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.errors import ModelError, RecipeError, UnknownNameError, ZooError, suggestion

TASKS = ("classification", "detection", "segmentation")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
SCALINGS = ("unit", "standard", "none")
SCHEDULES = ("constant", "cosine", "one_cycle")


@dataclass(frozen=True)
class Paper:
    """Where an architecture was published."""

    title: str
    authors: str = ""
    year: int | None = None
    venue: str = ""
    url: str = ""

    def __str__(self) -> str:
        facts = [self.authors, f"“{self.title}”", self.venue, str(self.year or "")]
        return ", ".join(fact for fact in facts if fact)


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
        _check_choice("precision", self.precision, PRECISIONS)
        _check_choice("scaling", self.scaling, SCALINGS)
        _check_choice("schedule", self.schedule, SCHEDULES)
        _check_range("epochs", self.epochs, 1, math.inf)
        _check_range("batch_size", self.batch_size, 1, math.inf)
        _check_range("learning_rate", self.learning_rate, 0, math.inf)
        _check_range("label_smoothing", self.label_smoothing, 0, 1, open_end=True)
        _check_range("validation_split", self.validation_split, 0, 1, open_end=True)
        _check_range("warmup", self.warmup, 0, 1)
        _check_range("shift", self.shift, 0, math.inf)
        _check_range("seed", self.seed, 0, 2**32 - 1)

    def override(self, **changes: Any) -> Recipe:
        """Return a copy with `changes` applied; nested options are merged, None means unchanged.

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
        return _plain(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Rebuild a recipe from `to_dict`; unknown keys are an UnknownNameError."""
        return cls().override(**values)


@dataclass(frozen=True)
class Origin:
    """Who provides a model: zoo itself, a plugin's distribution, or code that registered it at run time."""

    distribution: str
    version: str = ""
    entry_point: str = ""  # module:attribute, for plugins

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}".strip()


BUILT_IN = Origin("cnn-zoo")


@dataclass(frozen=True)
class ModelSpec:
    """Everything zoo knows about a model without building it.

    `params`, `trainable_params` and `macs` are declared for the default input shape and number of classes;
    the test-suite recomputes each of them. `macs` counts multiply-accumulates of one image's forward pass.
    """

    name: str
    builder: Callable[..., Any] = field(repr=False, compare=False)
    task: str = "classification"
    description: str = ""
    params: int | None = None
    trainable_params: int | None = None
    macs: int | None = None
    paper: Paper | None = None
    source: str = ""
    deviations: tuple[str, ...] = ()
    min_size: tuple[int, int] = (1, 1)  # the smallest height and width that the architecture takes
    recipes: Mapping[str, Recipe] = field(default_factory=dict)
    origin: Origin = BUILT_IN
    guard: Callable[[Callable[[], Any]], Any] | None = field(default=None, repr=False, compare=False)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The builder's default input shape, (height, width, channels)."""
        return tuple(inspect.signature(self.builder).parameters["input_shape"].default)

    @property
    def options(self) -> dict[str, Any]:
        """The builder's options with their defaults, input shape and number of classes aside."""
        parameters = inspect.signature(self.builder).parameters.values()
        return {p.name: p.default for p in parameters if p.name not in ("input_shape", "num_classes")}

    def build(
        self, *, input_shape: tuple[int, ...] | None = None, num_classes: int | None = None, **options: Any
    ) -> Any:
        """Build the model: an ordinary ``keras.Model`` from images (N, H, W, C) to float32 logits (N, classes).

        Raises:
            ModelError: an input shape or number of classes that this architecture cannot take.
            UnknownNameError: an option that the builder does not have.
        """
        for option in options:
            if option not in self.options:
                known = ", ".join(self.options) or "none"
                raise UnknownNameError(
                    f"{self.name} has no option '{option}'.{suggestion(option, self.options)} Its options are: {known}."
                )
        shape = _check_input_shape(self.name, input_shape or self.input_shape, self.min_size)
        arguments: dict[str, Any] = {"input_shape": shape, **options}
        if num_classes is not None:
            arguments["num_classes"] = _check_num_classes(self.name, num_classes)
        if self.guard is not None:  # a plugin's builder, which may do anything
            return self.guard(lambda: self._build_and_check(arguments))
        try:
            return self._build_and_check(arguments)
        except ZooError:
            raise
        except Exception as error:
            given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
            cause = str(error).strip().partition("\n")[0]
            raise ModelError(
                f"{self.name} cannot be built with {given}: {type(error).__name__}: {cause} "
                "Change the arguments, or see --traceback."
            ) from error

    def _build_and_check(self, arguments: dict[str, Any]) -> Any:
        """Call the builder, and hold what it returns to its promise."""
        import keras

        model = self.builder(**arguments)
        if not isinstance(model, keras.Model):
            raise ModelError(
                f"The builder of {self.name} returned {type(model).__name__}, not a keras.Model. Return the model."
            )
        if self.task == "classification":
            default = inspect.signature(self.builder).parameters["num_classes"].default
            wanted = (None, arguments.get("num_classes", default))
            if model.output_shape != wanted or keras.backend.standardize_dtype(model.outputs[0].dtype) != "float32":
                raise ModelError(
                    f"{self.name} must end in float32 logits of shape {wanted}, but its output is "
                    f"{model.outputs[0].dtype} of shape {model.output_shape}. "
                    'End it with Dense(num_classes, dtype="float32").'
                )
        return model

    def recipe(self, name: str = "default") -> Recipe:
        """Return the recipe of that name. A model without a `default` gets zoo's general one.

        Raises:
            UnknownNameError: this model has no such recipe.
        """
        if name in self.recipes:
            return self.recipes[name]
        if name == "default":
            return Recipe(note="zoo's general recipe: this model declares none of its own.")
        known = sorted({"default", *self.recipes})
        raise UnknownNameError(
            f"{self.name} has no recipe '{name}'.{suggestion(name, known)} Its recipes are: {', '.join(known)}."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as plain JSON values; the builder becomes its import path."""
        facts = {
            f.name: _plain(getattr(self, f.name))
            for f in dataclasses.fields(self)
            if f.name not in ("builder", "guard")
        }
        facts["options"] = _plain(self.options)
        facts["builder"] = f"{self.builder.__module__}:{self.builder.__qualname__}"
        return facts


def spec_of(builder: Callable[..., Any], **facts: Any) -> ModelSpec:
    """Return a builder's spec: the one that ``@zoo.register`` left on it, or one made of `facts`.

    Raises:
        ModelError: an unknown task, or a builder without the two arguments that every builder takes.
    """
    registered: ModelSpec | None = getattr(builder, "zoo_spec", None)
    if registered is not None:
        return registered
    name = getattr(builder, "__name__", type(builder).__name__)
    _check_choice("task", facts.get("task", "classification"), TASKS, ModelError)
    _check_signature(name, builder)
    documentation = (inspect.getdoc(builder) or "").partition("\n")[0]
    facts = {"description": documentation, **{key: value for key, value in facts.items() if value not in (None, "")}}
    facts.setdefault("trainable_params", facts.get("params"))
    return ModelSpec(name=name, builder=builder, **facts)


def _check_signature(name: str, builder: Callable[..., Any]) -> None:
    """A builder takes ``input_shape`` and ``num_classes`` by keyword, with defaults."""
    parameters = inspect.signature(builder).parameters
    missing = [
        wanted
        for wanted in ("input_shape", "num_classes")
        if wanted not in parameters
        or parameters[wanted].default is inspect.Parameter.empty
        or parameters[wanted].kind is inspect.Parameter.POSITIONAL_ONLY
    ]
    if missing:
        raise ModelError(
            f"The builder '{name}' lacks the keyword argument {' and '.join(missing)} with a default. "
            f"Define it as: def {name}(*, input_shape=(28, 28, 1), num_classes=10)."
        )


@dataclass(frozen=True)
class Run:
    """One finished training: where it is kept, what it measured, and the model that came out.

    `document` is what ``zoo train --json`` prints and what ``run.json`` holds.
    """

    folder: Path
    document: Mapping[str, Any]
    recipe: Recipe
    load: Callable[[], Any] = field(repr=False, compare=False)

    @functools.cached_property
    def model(self) -> Any:
        """The trained ``keras.Model``: raw images (N, H, W, C) in 0..255 to float32 logits (N, classes)."""
        return self.load()

    @property
    def metrics(self) -> Mapping[str, float]:
        """Test and validation metrics: `test_accuracy`, `test_loss`, `validation_accuracy` ..."""
        metrics: Mapping[str, float] = self.document["metrics"]
        return metrics

    def to_dict(self) -> dict[str, Any]:
        """Return the document as plain JSON values."""
        plain: dict[str, Any] = _plain(self.document)
        return plain


def _check_input_shape(name: str, shape: Any, min_size: tuple[int, int]) -> tuple[int, ...]:
    """Return `shape` as (height, width, channels) once the architecture is known to take it."""
    is_sequence = isinstance(shape, list | tuple)
    if not is_sequence or len(shape) != 3 or not all(isinstance(n, int) and n > 0 for n in shape):
        raise ModelError(
            f"{name} takes an input_shape of (height, width, channels), three positive integers; "
            f"received {shape!r}. Pass for example input_shape=(28, 28, 1)."
        )
    height, width, _ = shape
    if height < min_size[0] or width < min_size[1]:
        raise ModelError(
            f"{name} needs at least {min_size[0]}x{min_size[1]}, received {height}x{width}. "
            "Use larger images or a smaller architecture."
        )
    return tuple(shape)


def _check_num_classes(name: str, num_classes: Any) -> int:
    if not isinstance(num_classes, int) or isinstance(num_classes, bool) or num_classes < 1:
        raise ModelError(
            f"{name} takes num_classes as a positive integer; received {num_classes!r}. "
            "Pass for example num_classes=10."
        )
    return num_classes


def _plain(value: Any) -> Any:
    """Turn dataclasses, mappings and tuples into what `json` writes."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


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


def _check_choice(name: str, value: str, choices: tuple[str, ...], error: type[ZooError] = RecipeError) -> None:
    if value not in choices:
        raise error(f"{name} must be one of {', '.join(choices)}, received '{value}'.{suggestion(str(value), choices)}")


def _check_range(name: str, value: float, low: float, high: float, *, open_end: bool = False) -> None:
    if not (low <= value < high if open_end else low <= value <= high) or math.isnan(value):
        bounds = f"at least {low:g}" if high == math.inf else f"from {low:g} to {'below ' * open_end}{high:g}"
        raise RecipeError(f"{name} must be {bounds}, received {value!r}. Change {name}.")
