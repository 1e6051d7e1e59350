"""Lazy imports of Keras, TensorFlow and NumPy, and of a package's own names.

``from zoo.lazy import keras`` costs nothing, and `exports` lets a package export names without importing their
modules. Listing models imports every model file, and importing TensorFlow takes seconds.

`importlib.util.LazyLoader` puts a placeholder into ``sys.modules``, which breaks TensorFlow's own import of Keras
(TensorFlow 2.21: Keras then stays half-loaded for the whole process). The placeholders here stay in this module.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from zoo.utils.keras_settings import check_keras_starts

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf

__all__ = ["exports", "keras", "np", "tf"]


class _Lazy:
    """Placeholder for a module, which is imported, after `check`, when an attribute is first read."""

    def __init__(self, name: str, check: Callable[[], None] | None = None) -> None:
        self._name, self._check = name, check

    def __getattr__(self, attribute: str) -> Any:
        if self._check is not None:
            self._check()
        return getattr(importlib.import_module(self._name), attribute)


def exports(package: str, homes: Mapping[str, str], *, needing_keras: Collection[str] = ()) -> Callable[[str], Any]:
    """Return a ``__getattr__`` (PEP 562) for a package that exports names of other modules.

    Args:
        package: the package's name, for the error message.
        homes: name to ``module:attribute``.
        needing_keras: names whose modules import Keras or TensorFlow at import.
    """

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        if name in needing_keras:
            check_keras_starts()
        module, _, attribute = homes[name].partition(":")
        return getattr(importlib.import_module(module), attribute)

    return find


if not TYPE_CHECKING:
    keras = _Lazy("keras", check_keras_starts)
    np = _Lazy("numpy")
    tf = _Lazy("tensorflow", check_keras_starts)  # which imports Keras
