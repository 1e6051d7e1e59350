"""The few layers that the papers need and Keras does not have. Importing them registers each with Keras."""

from zoo.layers.normalization import LocalResponseNormalization
from zoo.layers.pooling import MaxPoolingWithPositions, Unpooling
from zoo.layers.views import MeanOfViews, MovedViews

__all__ = ["LocalResponseNormalization", "MaxPoolingWithPositions", "MeanOfViews", "MovedViews", "Unpooling"]
