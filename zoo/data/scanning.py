"""Finds values of a type in all modules of a package, so that adding one takes only a new file."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TypeVar

T = TypeVar("T")


def values_in(package: str, kind: type[T]) -> list[T]:
    """Return each value of type `kind` in the modules of a package, in the order of module names.

    Imports every module, so none of them may import heavy libraries.
    """
    folder = importlib.import_module(package).__path__
    modules = [importlib.import_module(f"{package}.{module.name}") for module in pkgutil.iter_modules(folder)]
    found = [value for module in modules for value in vars(module).values() if isinstance(value, kind)]
    return list({id(value): value for value in found}.values())  # modules may import each other's
