"""Darknet-53: residual units of a 1x1 and a 3x3 convolution, the backbone of YOLO's third version (Redmon 2018)."""

from __future__ import annotations

from zoo.lazy import keras
from zoo.registry import register
from zoo.spec import Counted, Paper

INCREMENTAL = Paper(
    title="YOLOv3: An Incremental Improvement",
    authors="J. Redmon, A. Farhadi",
    year=2018,
    venue="arXiv 1804.02767",
    url="https://arxiv.org/abs/1804.02767",
)
NORMALISATION = (
    "Batch normalisation adds Keras' 1e-3 to the variance, where the authors' code adds 1e-6 to the deviation."
)
STAGES = {64: 1, 128: 2, 256: 8, 512: 8, 1024: 4}  # table 1: filters, and how many residual units


def _convolved(x: keras.KerasTensor, filters: int, size: int, name: str, strides: int = 1) -> keras.KerasTensor:
    """A convolution, normalised, with a leaky activation; zeros on all sides, whatever the stride."""
    layers = keras.layers
    if strides > 1:
        x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    padding = "valid" if strides > 1 else "same"
    x = layers.Conv2D(filters, size, strides, padding=padding, use_bias=False, name=name)(x)
    x = layers.BatchNormalization(name=f"{name}_norm")(x)
    return layers.LeakyReLU(0.1, name=f"{name}_leaky")(x)


@register(
    params=41_645_640,
    trainable_params=41_609_928,
    macs=9_285_115_904,
    cited_macs=(Counted(18.7e9 / 2, "the paper's table 2, where one is two operations"),),
    paper=INCREMENTAL,
    deviations=(
        "Weights start by Glorot's rule; the paper says nothing of it.",
        NORMALISATION,
    ),
)
def darknet53(
    *,
    input_shape: tuple[int, int, int] = (256, 256, 3),
    num_classes: int = 1000,
    features: bool = False,
) -> keras.Model:
    """Darknet-53, of the paper's table 1: 23 residual units in five stages, 52 convolutions and the logits.

    Args:
        input_shape: (height, width, channels).
        num_classes: number of logits.
        features: return the last map of each stage, ``stride_2`` to ``stride_32``, instead of logits.
    """
    layers = keras.layers
    inputs = layers.Input(input_shape, name="image")
    x = _convolved(inputs, 32, 3, "stem")
    stages = {}
    for stage, (filters, units) in enumerate(STAGES.items(), start=1):
        x = _convolved(x, filters, 3, f"stage{stage}_down", strides=2)
        for unit in range(1, units + 1):
            name = f"stage{stage}_unit{unit}"
            added = _convolved(x, filters // 2, 1, f"{name}_conv1")
            added = _convolved(added, filters, 3, f"{name}_conv2")
            x = layers.Add(name=f"{name}_add")([x, added])
        stages[f"stride_{2**stage}"] = x
    if features:
        return keras.Model(inputs, stages, name="darknet53")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(num_classes, dtype="float32", name="logits")(x), name="darknet53")
