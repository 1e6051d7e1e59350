"""The few layers that the papers need and Keras does not have. Importing them registers each with Keras."""

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
