"""ZFNet: AlexNet with smaller kernels and strides in its first layers (Zeiler, Fergus 2013)."""

from __future__ import annotations

from typing import Any

from zoo.lazy import keras
from zoo.models.alexnet import DEEP
from zoo.registry import register
from zoo.spec import Paper

VISUALIZING = Paper(
    title="Visualizing and Understanding Convolutional Networks",
    authors="M. D. Zeiler, R. Fergus",
    year=2013,
    venue="ECCV 2014",
    url="https://arxiv.org/abs/1311.2901",
)


@register(
    recipes={"default": DEEP},  # the paper trains as AlexNet's did
    params=62_357_608,
    macs=1_168_032_896,
    paper=VISUALIZING,
    deviations=(
        "Local response normalisation has AlexNet's constants: the paper's contrast normalisation is named, not given.",
        "Paddings are those that give the map sizes of the paper's figure 3: 110, 55, 26, 13 and 6.",
        "Weights start by Glorot's rule, where the paper says 0.01.",
        "Filters whose root mean square exceeds 0.1 are not scaled back to it during training, as the paper's are.",
    ),
    min_size=(63, 63),
)
def zfnet(
    *,
    input_shape: tuple[int, int, int] = (224, 224, 3),
    num_classes: int = 1000,
    dropout: float = 0.5,
    features: bool = False,
) -> keras.Model:
    """ZFNet: AlexNet with a 7x7 kernel and stride 2 in front, no groups (paper, figure 3).

    Args:
        input_shape: (height, width, channels), at least 63x63.
        num_classes: number of logits.
        dropout: fraction of units dropped after each of the two hidden dense layers.
        features: return the last map before each pooling, ``stride_2`` to ``stride_16``, instead of logits.
    """
    from zoo.layers import LocalResponseNormalization

    layers = keras.layers

    def pool(x: Any, name: str) -> Any:
        return layers.MaxPooling2D(3, 2, name=name)(x)

    inputs = layers.Input(input_shape, name="image")
    x = layers.ZeroPadding2D(1, name="conv1_pad")(inputs)
    x = layers.Conv2D(96, 7, 2, activation="relu", name="conv1")(x)
    stages = {"stride_2": x}
    x = layers.ZeroPadding2D(((0, 1), (0, 1)), name="pool1_pad")(x)
    x = LocalResponseNormalization(name="norm1")(pool(x, "pool1"))
    x = layers.Conv2D(256, 5, 2, activation="relu", name="conv2")(x)
    stages["stride_8"] = x
    x = layers.ZeroPadding2D(((0, 1), (0, 1)), name="pool2_pad")(x)
    x = LocalResponseNormalization(name="norm2")(pool(x, "pool2"))
    for number, filters in ((3, 384), (4, 384), (5, 256)):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"conv{number}")(x)
    stages["stride_16"] = x
    if features:
        return keras.Model(inputs, stages, name="zfnet")
    x = layers.Flatten(name="flatten")(pool(x, "pool5"))
    for number in (6, 7):
        x = layers.Dense(4096, activation="relu", name=f"fc{number}")(x)
        x = layers.Dropout(dropout, name=f"dropout{number}")(x)
    return keras.Model(inputs, layers.Dense(num_classes, dtype="float32", name="logits")(x), name="zfnet")
