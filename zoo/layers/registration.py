"""Under which names Keras knows zoo's layers.

A model file that holds one names its package, and Keras prints that name where it cannot find the layer: in a process
without zoo. So the package says what to do.
"""

from __future__ import annotations

from typing import TypeVar

from zoo.lazy import keras

Layer = TypeVar("Layer", bound=type)

PACKAGES = ("zoo", "cnn-zoo (pip install cnn-zoo, then import zoo.layers)")
"""What files up to 0.1 have, and what files are given now."""


def registered(layer: Layer) -> Layer:
    """Make a layer known to Keras, so that model files can hold it; the last of the packages is what they name."""
    for package in PACKAGES:
        keras.saving.register_keras_serializable(package=package)(layer)
    return layer
