"""VGG: nothing but 3x3 convolutions, deeper and deeper (Simonyan, Zisserman 2014)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from zoo.lazy import keras
from zoo.registry import register
from zoo.spec import Counted, Paper, Recipe

VERY_DEEP = Paper(
    title="Very Deep Convolutional Networks for Large-Scale Image Recognition",
    authors="K. Simonyan, A. Zisserman",
    year=2014,
    venue="ICLR 2015",
    url="https://arxiv.org/abs/1409.1556",
)

WIDTHS = (64, 128, 256, 512, 512)  # table 1
START = (
    "Weights start by Glorot's rule, which section 3.1 names as possible, where the paper draws those of its "
    "shallowest network with a variance of 0.01 and begins the deeper ones with its layers."
)
RECIPE = Recipe(
    note="One-cycle Adam in bfloat16, with rotation, zoom, translation and elastic distortion of each image: "
    "99.64 ± 0.05 % on MNIST's test images (mean and standard deviation, n = 3 seeds).",
    epochs=8,
    learning_rate=4e-3,
    schedule="one_cycle",
    label_smoothing=0.1,
    precision="mixed_bfloat16",
    rotation=10,
    zoom=0.1,
    translation=0.07,
    elastic=0.8,
    micro_batches=2,
)
DEEP = Recipe(
    note="To begin with: Adam at a small rate. Not trained by us; the paper's own is SGD at 0.01 with momentum 0.9 and "
    "batches of 256.",
    learning_rate=1e-4,
)
Builder = Callable[..., Any]


def _vgg(
    name: str,
    depths: Sequence[int],
    widths: Sequence[int],
    dense_sizes: Sequence[int],
    *,
    input_shape: tuple[int, int, int],
    num_classes: int,
    dropout: float,
    features: bool,
    normalized: bool = False,
    pool_padding: str = "valid",
) -> keras.Model:
    """Build stages of 3x3 convolutions that end in a pooling, then dense layers.

    Args:
        name: of the model.
        depths: convolutions of each stage.
        widths: their filters.
        dense_sizes: units of the hidden dense layers.
        input_shape: (height, width, channels).
        num_classes: number of logits.
        dropout: fraction of units dropped after each hidden dense layer.
        features: return the stages' last maps instead of logits.
        normalized: batch normalisation after every convolution.
        pool_padding: "valid" drops a row or column that a pooling leaves over, "same" pools it by itself.
    """
    layers = keras.layers
    inputs = x = layers.Input(input_shape, name="image")
    stages = {}
    for block, (depth, width) in enumerate(zip(depths, widths, strict=True), start=1):
        for number in range(1, depth + 1):
            label = f"block{block}_conv{number}"
            if normalized:
                x = layers.Conv2D(width, 3, padding="same", use_bias=False, name=label)(x)
                x = layers.BatchNormalization(momentum=0.9, name=f"{label}_bn")(x)
                x = layers.Activation("relu", name=f"{label}_relu")(x)
            else:
                x = layers.Conv2D(width, 3, padding="same", activation="relu", name=label)(x)
        stages[f"stride_{2 ** (block - 1)}"] = x
        x = layers.MaxPooling2D(2, padding=pool_padding, name=f"block{block}_pool")(x)
    if features:
        return keras.Model(inputs, stages, name=name)
    x = layers.Flatten(name="flatten")(x)
    for number, units in enumerate(dense_sizes, start=1):
        x = layers.Dense(units, activation="relu", name=f"fc{number}")(x)
        x = layers.Dropout(dropout, name=f"dropout{number}")(x)
    return keras.Model(inputs, layers.Dense(num_classes, dtype="float32", name="logits")(x), name=name)


def _column(name: str, column: str, depths: Sequence[int], *, counted: float, **facts: Any) -> Builder:
    """Register one column of the paper's table 1: so many convolutions in each of five stages.

    `counted` are the multiply-accumulates in torchvision's documentation of the same network.
    """
    cited = (Counted(counted, "torchvision's documentation"),)

    def builder(
        *,
        input_shape: tuple[int, int, int] = (224, 224, 3),
        num_classes: int = 1000,
        dropout: float = 0.5,
        features: bool = False,
        pool_padding: str = "valid",
    ) -> keras.Model:
        size: dict[str, Any] = {"input_shape": input_shape, "num_classes": num_classes, "pool_padding": pool_padding}
        return _vgg(name, depths, WIDTHS, (4096, 4096), **size, dropout=dropout, features=features)

    builder.__name__ = builder.__qualname__ = name
    builder.__doc__ = f"""VGG-{name[3:]}, column {column} of the paper's table 1: {sum(depths)} convolutions.

    Args:
        input_shape: (height, width, channels), at least 32x32.
        num_classes: number of logits.
        dropout: fraction of units dropped after each of the two hidden dense layers (section 3.1).
        features: return the last map of each stage, ``stride_1`` to ``stride_16``, instead of logits.
        pool_padding: "valid" drops a row or column that a pooling leaves over, "same" pools it by itself.
    """
    recipes = {"default": DEEP}
    return register(
        paper=VERY_DEEP, deviations=(START,), recipes=recipes, min_size=(32, 32), cited_macs=cited, **facts
    )(builder)


vgg11 = _column("vgg11", "A", (1, 1, 2, 2, 2), params=132_863_336, macs=7_609_090_048, counted=7.61e9)
vgg13 = _column("vgg13", "B", (2, 2, 2, 2, 2), params=133_047_848, macs=11_308_466_176, counted=11.31e9)
vgg16 = _column("vgg16", "D", (2, 2, 3, 3, 3), params=138_357_544, macs=15_470_264_320, counted=15.47e9)
vgg19 = _column("vgg19", "E", (2, 2, 4, 4, 4), params=143_667_240, macs=19_632_062_464, counted=19.63e9)


@register(
    recipes={"default": RECIPE},
    params=436_650,
    trainable_params=435_754,
    macs=29_275_904,
    paper=VERY_DEEP,
    deviations=(
        "Three stages of two convolutions with 32, 64 and 128 filters, where the paper's smallest has five stages.",
        "Batch normalisation after every convolution, which the paper comes before.",
        "One hidden dense layer of 128 units, where the paper has two of 4,096.",
        "Weights start by Glorot's rule.",
    ),
    min_size=(8, 8),
)
def vgg_small(
    *,
    input_shape: tuple[int, int, int] = (28, 28, 1),
    num_classes: int = 10,
    filters: Sequence[int] = (32, 64, 128),
    dropout: float = 0.5,
    features: bool = False,
) -> keras.Model:
    """VGG for small images: three stages of two 3x3 convolutions each, normalised.

    Args:
        input_shape: (height, width, channels), at least 8x8.
        num_classes: number of logits.
        filters: of the stages.
        dropout: fraction of units dropped after the hidden dense layer.
        features: return the last map of each stage, ``stride_1`` to ``stride_4``, instead of logits.
    """
    size: dict[str, Any] = {"input_shape": input_shape, "num_classes": num_classes, "features": features}
    return _vgg("vgg_small", [2] * len(filters), filters, (128,), **size, dropout=dropout, normalized=True)
