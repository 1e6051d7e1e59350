"""`ModelSpec`: everything that is known about a model before it is built."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from zoo.errors import ModelError, UnknownNameError, ZooError, suggestion
from zoo.lazy import keras
from zoo.spec.claims import Counted, Published
from zoo.spec.recipe import Recipe, plain
from zoo.utils.keras_settings import check_channel_order

TASKS = ("classification", "detection", "segmentation")
"""What zoo's own models are for; `zoo.tasks` says what each means."""


class TaskValue(Protocol):
    """What a model's outputs mean, as ``@register(task=...)`` takes it; see `zoo.tasks`."""

    name: ClassVar[str]


LARGEST_SMALL_SIDE = 100  # pixels; larger images are photographs


@dataclass(frozen=True)
class Paper:
    """Where an architecture was published."""

    title: str
    authors: str = ""
    year: int | None = None
    venue: str = ""
    url: str = ""


@dataclass(frozen=True)
class Origin:
    """Who provides a model: zoo itself, a plugin's distribution, or code that registered it at run time."""

    distribution: str
    version: str = ""
    entry_point: str = ""  # module:attribute, for plugins

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}".strip()


BUILT_IN = Origin("cnn-zoo")
"""The origin of the models that zoo itself provides."""


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
    cited_macs: tuple[Counted, ...] = ()  # what others count for it
    paper: Paper | None = None
    source: str = ""
    deviations: tuple[str, ...] = ()
    min_size: tuple[int, int] = (1, 1)  # the smallest height and width that the architecture takes
    task_value: TaskValue | None = None  # what its outputs mean, where the name of its task does not say it all
    recipes: Mapping[str, Recipe] = field(default_factory=dict)
    published: Mapping[str, Published] = field(default_factory=dict)  # by recipe name: what its source claims
    origin: Origin = BUILT_IN
    guard: Callable[[Callable[[], Any]], Any] | None = field(default=None, repr=False, compare=False)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The builder's default input shape, (height, width, channels)."""
        return tuple(inspect.signature(self.builder).parameters["input_shape"].default)

    @property
    def num_classes(self) -> int:
        """The builder's default number of classes."""
        return int(inspect.signature(self.builder).parameters["num_classes"].default)

    @property
    def large_input(self) -> bool:
        """Whether its images are large by default: then a step, or a build, may take seconds."""
        return max(self.input_shape[:2]) > LARGEST_SMALL_SIDE

    @property
    def options(self) -> dict[str, Any]:
        """The builder's options with their defaults, input shape and number of classes aside."""
        parameters = inspect.signature(self.builder).parameters.values()
        collecting = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        named = (p for p in parameters if p.kind not in collecting)
        return {p.name: p.default for p in named if p.name not in ("input_shape", "num_classes")}

    @property
    def _takes_any_option(self) -> bool:
        parameters = inspect.signature(self.builder).parameters.values()
        return any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)

    def build(
        self, *, input_shape: tuple[int, ...] | None = None, num_classes: int | None = None, **options: Any
    ) -> Any:
        """Build the model: an ordinary ``keras.Model`` from images (N, H, W, C), its outputs as the builder made them.

        `zoo.registry.build` holds these to what the task demands.

        Raises:
            ModelError: an input shape or number of classes that this architecture cannot take.
            UnknownNameError: an option that the builder does not have.
        """
        for option in options:
            if option not in self.options and not self._takes_any_option:
                known = ", ".join(self.options) or "none"
                raise UnknownNameError(
                    f"{self.name} has no option '{option}'.{suggestion(option, self.options)} Its options are: {known}."
                )
        shape = _check_input_shape(self.name, input_shape or self.input_shape, self.min_size)
        arguments: dict[str, Any] = {"input_shape": shape, **options}
        if num_classes is not None:
            arguments["num_classes"] = _check_num_classes(self.name, num_classes)
        try:
            return self.guarded(lambda: self._call_builder(arguments))
        except ZooError:
            raise
        except Exception as error:
            given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
            cause = str(error).strip().partition("\n")[0]
            raise ModelError(
                f"{self.name} cannot be built with {given}: {type(error).__name__}: {cause.rstrip('.')}. "
                "Change the arguments, or see --traceback."
            ) from error

    def guarded(self, action: Callable[[], Any]) -> Any:
        """Run `action`, which is or calls the builder's code: a plugin's behind its guard, zoo's own as it is."""
        return action() if self.guard is None else self.guard(action)

    def _call_builder(self, arguments: dict[str, Any]) -> Any:
        """Call the builder, which promises a ``keras.Model``."""
        check_channel_order(keras.config.image_data_format())
        model = self.builder(**arguments)
        if not isinstance(model, keras.Model):
            raise ModelError(
                f"The builder of {self.name} returned {type(model).__name__}, not a keras.Model. Return the model."
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
            f.name: plain(getattr(self, f.name)) for f in dataclasses.fields(self) if f.name not in ("builder", "guard")
        }
        facts["detector"] = (facts.pop("task_value") or {}).get("detector")
        facts |= {"input_shape": plain(self.input_shape), "num_classes": self.num_classes}
        facts["options"] = {name: _plain_or_text(value) for name, value in self.options.items()}
        facts["builder"] = f"{self.builder.__module__}:{self.builder.__qualname__}"
        return facts


def _plain_or_text(value: Any) -> Any:
    """Return an option's default as JSON holds it, or as Python writes it where JSON cannot."""
    try:
        json.dumps(plain(value))
    except (TypeError, ValueError):
        return repr(value)
    return plain(value)


def spec_of(builder: Callable[..., Any], **facts: Any) -> ModelSpec:
    """Return a builder's spec: the one that ``@zoo.register`` left on it, or one made of `facts`.

    Args:
        builder: of the model.
        facts: fields of `ModelSpec`; `task` may be a value of `zoo.tasks`.

    Raises:
        ModelError: a builder without the two arguments that every builder takes, or published
            numbers of a recipe that is not there.
    """
    registered: ModelSpec | None = getattr(builder, "zoo_spec", None)
    if registered is not None:
        return registered
    name = getattr(builder, "__name__", type(builder).__name__)
    _check_signature(name, builder)
    documentation = (inspect.getdoc(builder) or "").partition("\n")[0]
    if not isinstance(facts.get("task", ""), str):
        facts |= {"task": facts["task"].name, "task_value": facts["task"]}
    facts = {"description": documentation, **{key: value for key, value in facts.items() if value not in (None, "")}}
    for name_of_fact, kind in (("cited_macs", tuple), ("deviations", tuple), ("recipes", dict), ("published", dict)):
        facts[name_of_fact] = kind(facts.get(name_of_fact) or ())
    facts.setdefault("trainable_params", facts.get("params"))
    _check_published(name, facts.get("recipes", {}), facts.get("published", {}))
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


def _check_published(name: str, recipes: Mapping[str, Recipe], published: Mapping[str, Published]) -> None:
    """Published numbers belong to a recipe, and an improvement to a published one that is none itself."""
    originals = [recipe for recipe, facts in published.items() if not facts.improves]
    for recipe, facts in published.items():
        if recipe not in recipes:
            raise ModelError(
                f"{name} has published numbers for '{recipe}', which is none of its recipes: "
                f"{', '.join(recipes) or 'it has none'}. Add the recipe, or rename one of the two."
            )
        if facts.improves and facts.improves not in originals:
            raise ModelError(
                f"The recipe '{recipe}' of {name} improves '{facts.improves}', which is no published recipe that "
                f"stands for itself. Those are: {', '.join(originals) or 'none'}."
            )


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
