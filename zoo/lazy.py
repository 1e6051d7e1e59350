"""Keras and TensorFlow, imported when first used: ``from zoo.lazy import keras`` costs nothing.

Listing models imports every model file, and importing TensorFlow takes seconds. The usual lazy loader puts a
stand-in into ``sys.modules``, where TensorFlow's own import of Keras trips over it (TensorFlow 2.21: Keras is
then left half-loaded for the whole process). These two stand-ins stay here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

__all__ = ["keras", "tf"]


class _Lazy:
    """Stands for a module; the first attribute asked of it imports the module."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)


if not TYPE_CHECKING:
    keras = _Lazy("keras")
    tf = _Lazy("tensorflow")
