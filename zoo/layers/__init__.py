"""Layers that the papers use and Keras lacks. Importing this package registers them with Keras."""

from zoo.layers.normalization import L2Normalization, LocalResponseNormalization
from zoo.layers.pooling import MaxPoolingWithPositions, Unpooling
from zoo.layers.registration import PACKAGES
from zoo.layers.views import MeanOfViews, MovedViews

__all__ = [
    "PACKAGES",
    "L2Normalization",
    "LocalResponseNormalization",
    "MaxPoolingWithPositions",
    "MeanOfViews",
    "MovedViews",
    "Unpooling",
]
