"""Loads a model spec from a plugin's entry point."""

from __future__ import annotations

import dataclasses
import functools
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from zoo.errors import PluginError
from zoo.plugins.discovery import PluginModel
from zoo.plugins.isolation import guarded
from zoo.spec import ModelSpec, Origin, spec_of

_importing: list[str] = []


def importing() -> bool:
    """Whether a plugin is being imported; its builders are then not registered as run-time models."""
    return bool(_importing)


def load_spec(plugin: PluginModel) -> ModelSpec:
    """Import a plugin's builder and return its spec, named as the entry point.

    A builder that does not carry ``@zoo.register`` gets default metadata.

    Raises:
        PluginError: the entry point is malformed, its module cannot be imported, or it is not a builder function.
    """
    if plugin.fault:
        raise PluginError(
            f"'{plugin.name}' is provided by {plugin.provider}, but {plugin.fault}. "
            f"Tell its authors, or remove it with: pip uninstall {plugin.distribution}."
        )
    spec = guarded(lambda: import_spec(plugin), plugin, "import")
    return dataclasses.replace(spec, guard=lambda build: guarded(build, plugin, "build its model"))


def import_spec(plugin: PluginModel) -> ModelSpec:
    """Import a plugin's builder without a guard, for `load_spec` and for checks in a subprocess."""
    module_name, _, path = plugin.value.partition("[")[0].strip().partition(":")
    with _noted(plugin.name):
        module = importlib.import_module(module_name)
    builder: Any = functools.reduce(getattr, path.split("."), module)
    if not callable(builder):
        raise TypeError(f"{plugin.value} is a {type(builder).__name__}, not a builder function")
    origin = Origin(plugin.distribution, plugin.version, plugin.value)
    return dataclasses.replace(spec_of(builder), name=plugin.name, origin=origin)


@contextmanager
def _noted(name: str) -> Iterator[None]:
    _importing.append(name)
    try:
        yield
    finally:
        _importing.pop()
