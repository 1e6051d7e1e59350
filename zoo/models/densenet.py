"""DenseNet: each layer takes the maps of all previous layers (Huang, Liu, van der Maaten, Weinberger 2017)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from zoo.lazy import keras
from zoo.registry import register
from zoo.spec import Counted, Paper, Recipe

DENSELY_CONNECTED = Paper(
    title="Densely Connected Convolutional Networks",
    authors="G. Huang, Z. Liu, L. van der Maaten, K. Q. Weinberger",
    year=2017,
    venue="CVPR 2017",
    url="https://arxiv.org/abs/1608.06993",
)

EPSILON = 1.001e-5  # of the variance in batch normalisation, as Keras' own dense networks have it
COMPRESSION = 0.5  # fraction of the maps that a transition keeps (section 3, "DenseNet-BC")
BOTTLENECK = 4  # maps of a 1x1 convolution, in growth rates
HE = "he_normal"  # how weights start, as section 4.2 says
LOGITS = "The logits' weights start by Glorot's rule, where the paper's start by He's, as the convolutions do here."
RECIPE = Recipe(
    note="One-cycle Adam in bfloat16, with the digits moved by up to a pixel: 99.55 ± 0.02 % on MNIST's test images "
    "(mean and standard deviation, n = 3 seeds).",
    epochs=5,
    learning_rate=3e-3,
    schedule="one_cycle",
    precision="mixed_bfloat16",
    shift=1,
    micro_batches=2,
)
Builder = Callable[..., Any]


def _normalized(x: Any, prefix: str) -> Any:
    """Normalise over the batch, then cut off at zero: what the paper's composite function begins with."""
    x = keras.layers.BatchNormalization(epsilon=EPSILON, name=f"{prefix}bn")(x)
    return keras.layers.Activation("relu", name=f"{prefix}relu")(x)


def _conv(x: Any, filters: int, size: int, name: str, *, strides: int = 1, padding: str = "same") -> Any:
    """Convolve, with weights that start by He's rule."""
    options = {"padding": padding, "use_bias": False, "kernel_initializer": HE, "name": f"{name}_conv"}
    return keras.layers.Conv2D(filters, size, strides, **options)(x)


def _densenet(
    name: str,
    depths: Sequence[int],
    growth_rate: int,
    *,
    input_shape: tuple[int, int, int],
    num_classes: int,
    features: bool,
    stem: int,
    photographs: bool = True,
) -> keras.Model:
    """Build dense blocks with transitions between them that halve maps and their size (table 1).

    Args:
        name: of the model.
        depths: layers of each dense block.
        growth_rate: maps that each layer adds, the paper's k.
        input_shape: (height, width, channels).
        num_classes: number of logits.
        features: return the blocks' last maps instead of logits, the smallest normalised and rectified.
        stem: filters of the first convolution.
        photographs: the stem for large images, a 7x7 convolution and a pooling, which makes maps a quarter of the size;
            otherwise one 3x3 convolution with stride 2.
    """
    layers = keras.layers
    inputs = x = layers.Input(input_shape, name="image")
    if photographs:
        x = layers.ZeroPadding2D(3, name="conv1_pad")(x)
        x = _normalized(_conv(x, stem, 7, "conv1", strides=2, padding="valid"), "conv1_")
        x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
        x = layers.MaxPooling2D(3, 2, name="pool1")(x)
    else:
        x = _conv(x, stem, 3, "conv1", strides=2)
    stages, stride = {}, 4 if photographs else 2
    for block, depth in enumerate(depths, start=2):
        if block > 2:
            x = _conv(_normalized(x, f"pool{block - 1}_"), int(x.shape[-1] * COMPRESSION), 1, f"pool{block - 1}")
            x = layers.AveragePooling2D(2, name=f"pool{block - 1}_pool")(x)
            stride *= 2
        for number in range(1, depth + 1):
            label = f"conv{block}_block{number}"
            new = _conv(_normalized(x, f"{label}_0_"), BOTTLENECK * growth_rate, 1, f"{label}_1")
            new = _conv(_normalized(new, f"{label}_1_"), growth_rate, 3, f"{label}_2")
            x = layers.Concatenate(name=f"{label}_concat")([x, new])
        stages[f"stride_{stride}"] = x
    x = _normalized(x, "")
    stages[f"stride_{stride}"] = x
    if features:
        return keras.Model(inputs, stages, name=name)
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    return keras.Model(inputs, layers.Dense(num_classes, dtype="float32", name="logits")(x), name=name)


def _column(name: str, depths: Sequence[int], *, counted: float, **facts: Any) -> Builder:
    """Register one column of the paper's table 1: four dense blocks, k = 32.

    `counted` are the multiply-accumulates in torchvision's documentation of the same network.
    """
    cited = (Counted(counted, "torchvision's documentation"),)

    def builder(
        *, input_shape: tuple[int, int, int] = (224, 224, 3), num_classes: int = 1000, features: bool = False
    ) -> keras.Model:
        size: dict[str, Any] = {"input_shape": input_shape, "num_classes": num_classes, "features": features}
        return _densenet(name, depths, 32, **size, stem=64)

    builder.__name__ = builder.__qualname__ = name
    builder.__doc__ = f"""DenseNet-{name[8:]}, of the paper's table 1: dense blocks of {depths} layers, k = 32.

    Args:
        input_shape: (height, width, channels), at least 32x32.
        num_classes: number of logits.
        features: return the last map of each dense block, ``stride_4`` to ``stride_32``, instead of logits; the
            smallest is normalised and rectified, the others are not.
    """
    return register(paper=DENSELY_CONNECTED, deviations=(LOGITS,), min_size=(32, 32), cited_macs=cited, **facts)(
        builder
    )


densenet121 = _column(
    "densenet121", (6, 12, 24, 16), params=8_062_504, trainable_params=7_978_856, macs=2_834_161_664, counted=2.83e9
)
densenet169 = _column(
    "densenet169", (6, 12, 32, 32), params=14_307_880, trainable_params=14_149_480, macs=3_359_843_328, counted=3.36e9
)
densenet201 = _column(
    "densenet201", (6, 12, 48, 32), params=20_242_984, trainable_params=20_013_928, macs=4_291_365_888, counted=4.29e9
)


@register(
    recipes={"default": RECIPE},
    params=105_190,
    trainable_params=102_298,
    macs=8_183_340,
    paper=DENSELY_CONNECTED,
    deviations=(
        LOGITS,
        "The first convolution has stride 2, where the paper's for small images has 1: a quarter of the arithmetic.",
        "The input is a 28x28 digit by default, where the paper's is a 32x32 photograph.",
        "Three blocks of four layers, where the paper's smallest has sixteen in each.",
    ),
    min_size=(8, 8),
)
def densenet_bc_small(
    *,
    input_shape: tuple[int, int, int] = (28, 28, 1),
    num_classes: int = 10,
    depth: int = 4,
    growth_rate: int = 12,
    features: bool = False,
) -> keras.Model:
    """DenseNet-BC for small images: three dense blocks, k = 12 (section 4.2).

    Args:
        input_shape: (height, width, channels).
        num_classes: number of logits.
        depth: layers of each dense block.
        growth_rate: maps that each layer adds, the paper's k.
        features: return the last map of each dense block, ``stride_2`` to ``stride_8``, instead of logits.
    """
    size: dict[str, Any] = {"input_shape": input_shape, "num_classes": num_classes, "features": features}
    depths = (depth,) * 3
    return _densenet("densenet_bc_small", depths, growth_rate, **size, stem=2 * growth_rate, photographs=False)
