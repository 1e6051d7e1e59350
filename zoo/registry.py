"""The model registry: finds and builds models by name, whether built-in, registered at run time or from a plugin.

Built-ins are found by scanning ``zoo/models/``: to add a model, add a file. The names of plugins' models come from
their distributions' metadata; a plugin is imported only when one of its models is used.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fnmatch
import functools
import importlib
import pkgutil
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from zoo import tasks
from zoo.errors import DuplicateModelError, ModelError, UnknownNameError, suggestion
from zoo.lazy import keras
from zoo.plugins.discovery import PluginModel, canonical, installed
from zoo.plugins.loading import importing, load_spec
from zoo.spec import BUILT_IN, PRECISIONS, Counted, ModelSpec, Origin, Paper, Published, Recipe, spec_of
from zoo.spec.model import TaskValue
from zoo.spec.recipe import check_choice

_registered: dict[str, ModelSpec] = {}  # built-ins and models registered at run time
_loaded_plugins: dict[str, ModelSpec] = {}  # by qualified name, distribution/model


def register(
    *,
    task: str | TaskValue = "classification",
    description: str = "",
    params: int | None = None,
    trainable_params: int | None = None,
    macs: int | None = None,
    cited_macs: Iterable[Counted] = (),
    paper: Paper | None = None,
    source: str = "",
    deviations: Iterable[str] = (),
    min_size: tuple[int, int] = (1, 1),
    detector: Any = None,
    recipes: Mapping[str, Recipe] | None = None,
    published: Mapping[str, Published] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a builder function under its own name, with its facts beside it.

    The builder must take ``input_shape`` and ``num_classes`` as keyword arguments with defaults, and return
    an ordinary ``keras.Model`` with the float32 outputs that its task requires. The decorated function checks its
    arguments first: an input smaller than `min_size` is a `ModelError`.

    Args:
        task: "classification" or "segmentation", or a task of `zoo.tasks` with options, such as
            ``Detection(SSD(...))``.
        description: one line; the first line of the builder's docstring if not given.
        params: total parameters at the default input shape and number of classes.
        trainable_params: trainable parameters; `params` if not given.
        macs: multiply-accumulates of one image's forward pass, at the same defaults.
        cited_macs: counts published by others, shown for comparison.
        paper: where the architecture was published.
        source: where the numbers come from if there is no paper.
        deviations: every difference from the paper, one sentence each.
        min_size: the smallest height and width that the architecture accepts.
        detector: the detector for ``task="detection"``, as older plugins write it; now ``task=Detection(...)``.
        recipes: named ways to train it; ``default`` is what ``zoo train`` uses.
        published: what the source of a recipe claims, by the recipe's name; ``zoo reproduce`` checks it.

    Raises:
        DuplicateModelError: another builder already has this name.
        ModelError: an unknown task, the builder lacks one of the two arguments, or `published` names no recipe.
    """
    facts = {**locals()}  # the arguments, under the names of ModelSpec's fields
    facts["task"] = tasks.value_of(task, facts.pop("detector"))

    def decorate(builder: Callable[..., Any]) -> Callable[..., Any]:
        spec = spec_of(builder, origin=_origin_of(builder), **facts)

        @functools.wraps(builder)
        def checked_builder(**arguments: Any) -> Any:
            return _build_checked(spec, **arguments)

        checked_builder.zoo_spec = spec  # type: ignore[attr-defined]
        if not importing():
            _add(spec)
        return checked_builder

    return decorate


def get(name: str) -> ModelSpec:
    """Return the spec of a model, importing its plugin if it comes from one.

    Args:
        name: a model's name, or ``distribution/name`` where two plugins share one.

    Raises:
        UnknownNameError: there is no such model; the message suggests a similar name.
        DuplicateModelError: several plugins have this name; the message lists them.
        PluginError: the plugin that provides it cannot be imported.
    """
    _load_built_ins()
    if name in _registered:
        return _registered[name]
    distribution, _, model = name.rpartition("/")
    if canonical(distribution) == BUILT_IN.distribution and model in _registered:
        return _registered[model]
    candidates = installed().named(name)
    if len(candidates) == 1:
        return _load_plugin(candidates[0])
    if candidates:
        choices = ", ".join(f"'{plugin.qualified_name}'" for plugin in candidates)
        raise DuplicateModelError(f"Several plugins provide '{name}'. Ask for one of them: {choices}.")
    raise UnknownNameError(_unknown(name))


def needs_import(name: str) -> bool:
    """Whether `get` would have to import a plugin."""
    _load_built_ins()
    return name not in _registered and bool(installed().named(name))


def create(
    name: str,
    *,
    input_shape: tuple[int, ...] | None = None,
    num_classes: int | None = None,
    precision: str | None = None,
    **options: Any,
) -> Any:
    """Build a model by name.

    Args:
        name: what `list_models` lists.
        input_shape: (height, width, channels); the model's own default if not given.
        num_classes: outputs; the model's own default if not given.
        precision: float32, mixed_bfloat16 or mixed_float16; Keras' global policy if not given.
        options: further options of this builder, see ``zoo show NAME``.

    Returns:
        An uncompiled ``keras.Model`` that maps images (N, H, W, C) to its task's outputs, for a classifier float32
        logits (N, num_classes).

    Raises:
        ZooError: the name, an option or the input shape is invalid; see `get` and `ModelSpec.build`.
        DeviceError: Keras cannot start with its settings, or is set to channels_first.
    """
    return build(get(name), input_shape=input_shape, num_classes=num_classes, precision=precision, **options)


def build(spec: ModelSpec, *, precision: str | None = None, **arguments: Any) -> Any:
    """Build a spec's model under a precision policy, and leave Keras' global policy as it was."""
    if precision is not None:
        check_choice("precision", precision, PRECISIONS, ModelError)
    policy_before = keras.config.dtype_policy()
    try:
        if precision is not None:
            keras.config.set_dtype_policy(precision)
        return _build_checked(spec, **arguments)
    finally:
        keras.config.set_dtype_policy(policy_before)


def _build_checked(spec: ModelSpec, **arguments: Any) -> Any:
    """Build a spec's model, and check its outputs against its task. Raises `ModelError`."""
    model = spec.build(**arguments)
    if arguments.get("features") is not True:  # then it returns maps
        num_classes = arguments.get("num_classes") or spec.num_classes
        spec.guarded(lambda: tasks.task_of(spec).check_outputs(spec.name, model, num_classes))
    return model


def list_models(pattern: str = "*", *, task: str | None = None, exclude: str | Iterable[str] = ()) -> list[str]:
    """Return the names of all models in natural order (``vgg9`` before ``vgg11``), importing no plugin.

    Args:
        pattern: shell wildcards, as in ``"resnet*"``.
        task: only models of this task. A plugin's model counts once it has been imported: its task is not
            in its metadata.
        exclude: one or several wildcard patterns to leave out.
    """
    _load_built_ins()
    if task is not None:
        tasks.task_for(task)
    taken = _taken_names()
    names = set(_registered) | {_listed_name(plugin, taken) for plugin in _plugin_models()}
    excluded = [exclude] if isinstance(exclude, str) else list(exclude)
    return sorted(
        (
            name
            for name in names
            if fnmatch.fnmatchcase(name, pattern)
            and not any(fnmatch.fnmatchcase(name, unwanted) for unwanted in excluded)
            and (task is None or ((spec := _known(name)) is not None and spec.task == task))
        ),
        key=_natural,
    )


def built_ins() -> set[str]:
    """Return the names of zoo's own models, which no plugin can take."""
    _load_built_ins()
    return {name for name, spec in _registered.items() if spec.origin == BUILT_IN}


def describe(names: Iterable[str]) -> list[dict[str, Any]]:
    """Return the facts about each listed model as rows for JSON, without importing plugins.

    Only the name and the distribution are known of a plugin's model that has not been imported.
    """
    rows = []
    for name in names:
        spec = _known(name)
        rows.append(
            {
                "name": name,
                "task": spec.task if spec else None,
                "params": spec.params if spec else None,
                "macs": spec.macs if spec else None,
                "year": spec.paper.year if spec and spec.paper else None,
                "provider": str(spec.origin) if spec else installed().named(name)[0].provider,
                "description": spec.description if spec else None,
            }
        )
    return rows


def _known(name: str) -> ModelSpec | None:
    """Return a listed model's spec, or None if its plugin has not been imported."""
    _load_built_ins()
    if name in _registered:
        return _registered[name]
    return _loaded_plugins.get(installed().named(name)[0].qualified_name)


@contextlib.contextmanager
def temporary() -> Iterator[None]:
    """Unregister, on leaving, all models that were registered inside."""
    _load_built_ins()
    before = dict(_registered)
    try:
        yield
    finally:
        _registered.clear()
        _registered.update(before)


@functools.cache
def _load_built_ins() -> None:
    """Import every module of ``zoo/models/``; each registers its builders. They import Keras lazily."""
    for module in pkgutil.iter_modules([str(Path(__file__).with_name("models"))]):
        importlib.import_module(f"zoo.models.{module.name}")


def _add(spec: ModelSpec) -> None:
    if spec.origin != BUILT_IN:
        _load_built_ins()  # their names are reserved
        if any(_is_entry_of(plugin, spec) for plugin in _plugin_models()):
            return  # the user has imported a plugin's module; its entry point provides the model
    held = _registered.get(spec.name)
    if held is not None and _import_path(held) != _import_path(spec):
        raise DuplicateModelError(
            f"A model named '{spec.name}' is already registered by {_import_path(held)}. "
            f"Rename the one in {spec.builder.__module__}."
        )
    _registered[spec.name] = spec


def _is_entry_of(plugin: PluginModel, spec: ModelSpec) -> bool:
    """Whether an entry point provides this builder, possibly re-exported by its package."""
    same_package = plugin.value.startswith((f"{spec.origin.distribution}:", f"{spec.origin.distribution}."))
    return plugin.value == _import_path(spec) or (plugin.name == spec.name and same_package)


def _import_path(spec: ModelSpec) -> str:
    return f"{spec.builder.__module__}:{spec.builder.__qualname__}"


def _origin_of(builder: Callable[..., Any]) -> Origin:
    package = builder.__module__.partition(".")[0]
    return BUILT_IN if builder.__module__.startswith("zoo.models.") else Origin(package)


def _plugin_models() -> list[PluginModel]:
    """Return the well-formed entry points."""
    return [plugin for plugin in installed().models if not plugin.fault]


def _taken_names() -> set[str]:
    """Return the names that do not identify one plugin: those of registered models, and those of several plugins."""
    counts = Counter(plugin.name for plugin in _plugin_models())
    return {name for name, count in counts.items() if count > 1} | set(_registered)


def _listed_name(plugin: PluginModel, taken: set[str]) -> str:
    return plugin.qualified_name if plugin.name in taken else plugin.name


def _load_plugin(plugin: PluginModel) -> ModelSpec:
    """Import a plugin's builder once, and return its spec under its listed name."""
    key = plugin.qualified_name
    if key not in _loaded_plugins:
        _loaded_plugins[key] = dataclasses.replace(load_spec(plugin), name=_listed_name(plugin, _taken_names()))
    return _loaded_plugins[key]


def _unknown(name: str) -> str:
    """Return the error message, which suggests a name that differs in punctuation or case, or else the closest."""
    names = list_models()
    folded = {re.sub(r"[-_. ]", "", known).lower(): known for known in names}
    meant = folded.get(re.sub(r"[-_. ]", "", name).lower())
    hint = f" Did you mean '{meant}'?" if meant else suggestion(name, names)
    unread = [f"{broken.distribution} in {broken.location} ({broken.cause})" for broken in installed().unreadable]
    warning = f" Not known are the models of {', '.join(unread)}: its metadata cannot be read." if unread else ""
    return f"There is no model '{name}'.{hint}{warning} 'zoo list' shows all of them."


def _natural(name: str) -> list[tuple[int, int | str]]:
    """Sort key that reads digits as numbers."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", name) if part]
