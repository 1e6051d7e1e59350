"""Registers zoo's layers with Keras, so that model files can hold them.

A model file names the package of each registered layer, and Keras prints that name if it cannot find the layer, in a
process that has not imported zoo. So the package name says what to do.
"""

from __future__ import annotations

from typing import TypeVar

from zoo.lazy import keras

Layer = TypeVar("Layer", bound=type)

PACKAGES = ("zoo", "cnn-zoo (pip install cnn-zoo, then import zoo.layers)")
"""The package names in files up to version 0.1, and in newer ones."""


def registered(layer: Layer) -> Layer:
    """Register a layer class under all package names; new files get the last one."""
    for package in PACKAGES:
        keras.saving.register_keras_serializable(package=package)(layer)
    return layer
