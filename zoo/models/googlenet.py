"""GoogLeNet: modules of parallel convolutions, wide and deep on a small budget (Szegedy and others 2014)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.errors import ModelError
from zoo.lazy import keras
from zoo.registry import register
from zoo.spec import Counted, Paper, Recipe

GOING_DEEPER = Paper(
    title="Going Deeper with Convolutions",
    authors="C. Szegedy, W. Liu, Y. Jia, P. Sermanet, S. Reed, D. Anguelov, D. Erhan, V. Vanhoucke, A. Rabinovich",
    year=2014,
    venue="CVPR 2015",
    url="https://arxiv.org/abs/1409.4842",
)

Module = Sequence[int]
"""Filters of a module: 1x1; 3x3 reduce, 3x3; 5x5 reduce, 5x5; after the pooling."""

STAGES: Sequence[Mapping[str, Module]] = (  # table 1; a pooling comes before each
    {"3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64)},
    {
        "4a": (192, 96, 208, 16, 48, 64),
        "4b": (160, 112, 224, 24, 64, 64),
        "4c": (128, 128, 256, 24, 64, 64),
        "4d": (112, 144, 288, 32, 64, 64),
        "4e": (256, 160, 320, 32, 128, 128),
    },
    {"5a": (256, 160, 320, 32, 128, 128), "5b": (384, 192, 384, 48, 128, 128)},
)
WITH_CLASSIFIER = {"4a": "aux1", "4d": "aux2"}  # section 5
SMALLEST_WITH_CLASSIFIERS = 65  # pixels, of which 5 values are left there
RECIPE = Recipe(
    note="One-cycle Adam in bfloat16, with the digits moved by up to a pixel: 99.58 ± 0.03 % on MNIST's test images "
    "(mean and standard deviation, n = 3 seeds).",
    epochs=5,
    learning_rate=3e-3,
    schedule="one_cycle",
    precision="mixed_bfloat16",
    shift=1,
    micro_batches=2,
)
DEEP = Recipe(
    note="To begin with: Adam at a small rate; at 1e-3 it stayed at chance on small digits. Not trained by us; the "
    "paper's own is SGD with momentum 0.9, the rate 4 % smaller after every 8 epochs.",
    learning_rate=1e-4,
)
DEVIATIONS = (
    "Weights start by Glorot's rule; the paper does not say how its weights start.",
    "The two classifiers in the middle are there with aux=True only, where the paper always trains with them.",
    "Local response normalisation has AlexNet's constants: the paper names the layer and not its numbers.",
    "The last pooling is the mean over whatever is left of the image, which at 224x224 is the paper's 7x7.",
)


def _convolved(x: Any, filters: int, size: int, name: str, *, strides: int = 1, normalized: bool = False) -> Any:
    layers = keras.layers
    if not normalized:
        return layers.Conv2D(filters, size, strides, padding="same", activation="relu", name=name)(x)
    x = layers.Conv2D(filters, size, strides, padding="same", use_bias=False, name=name)(x)
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.Activation("relu", name=f"{name}_relu")(x)


def _inception(x: Any, module: Module, name: str, *, normalized: bool = False) -> Any:
    """Look at three sizes at once, each large one behind a 1x1 reduction (figure 2b)."""
    layers = keras.layers
    one, reduce3, three, reduce5, five, pooled = module
    options = {"normalized": normalized}
    branches = [_convolved(x, one, 1, f"{name}_1x1", **options)]
    reduced = _convolved(x, reduce3, 1, f"{name}_3x3_reduce", **options)
    branches.append(_convolved(reduced, three, 3, f"{name}_3x3", **options))
    reduced = _convolved(x, reduce5, 1, f"{name}_5x5_reduce", **options)
    branches.append(_convolved(reduced, five, 5, f"{name}_5x5", **options))
    pool = layers.MaxPooling2D(3, 1, padding="same", name=f"{name}_pool")(x)
    branches.append(_convolved(pool, pooled, 1, f"{name}_pool_proj", **options))
    return layers.Concatenate(name=f"{name}_concat")(branches)


def _classifier(x: Any, num_classes: int, name: str) -> Any:
    """A second opinion from the middle of the network, which sends it gradients of its own (section 5)."""
    layers = keras.layers
    x = layers.AveragePooling2D(5, 3, name=f"{name}_pool")(x)
    x = _convolved(x, 128, 1, f"{name}_conv")
    x = layers.Flatten(name=f"{name}_flatten")(x)
    x = layers.Dense(1024, activation="relu", name=f"{name}_fc")(x)
    x = layers.Dropout(0.7, name=f"{name}_dropout")(x)
    return layers.Dense(num_classes, dtype="float32", name=name)(x)


@register(
    params=6_998_552,
    macs=1_582_671_872,
    cited_macs=(
        Counted(1.5e9, "Szegedy et al. 2014, section 1, as a budget"),
        Counted(1.5e9, "torchvision's documentation, with batch normalisation and 3x3 instead of 5x5"),
    ),
    paper=GOING_DEEPER,
    deviations=DEVIATIONS,
    recipes={"default": DEEP},
    min_size=(1, 1),
)
def googlenet(
    *,
    input_shape: tuple[int, int, int] = (224, 224, 3),
    num_classes: int = 1000,
    dropout: float = 0.4,
    aux: bool = False,
    features: bool = False,
) -> keras.Model:
    """GoogLeNet, the paper's table 1: a stem, nine inception modules in three stages, the mean over the image.

    Args:
        input_shape: (height, width, channels).
        num_classes: number of logits.
        dropout: fraction of values dropped before the logits.
        aux: return ``[logits, aux1, aux2]``, with the two classifiers from the middle of the network; on images of at
            least 65x65.
        features: return the last map of each stage, ``stride_4`` to ``stride_32``, instead of logits.
    """
    from zoo.layers import LocalResponseNormalization

    aux = aux and not features
    if aux and min(input_shape[:2]) < SMALLEST_WITH_CLASSIFIERS:
        need, (height, width, _) = SMALLEST_WITH_CLASSIFIERS, input_shape
        raise ModelError(
            f"googlenet with aux=True needs at least {need}x{need}, received {height}x{width}: its classifiers average "
            "windows of 5x5. Use larger images, or aux=False."
        )
    layers = keras.layers
    inputs = layers.Input(input_shape, name="image")
    x = _convolved(inputs, 64, 7, "conv1", strides=2)
    x = layers.MaxPooling2D(3, 2, padding="same", name="pool1")(x)
    x = LocalResponseNormalization(name="norm1")(x)
    x = _convolved(x, 64, 1, "conv2_reduce")
    x = _convolved(x, 192, 3, "conv2")
    x = LocalResponseNormalization(name="norm2")(x)
    stages, opinions, stride = {"stride_4": x}, [], 4
    for number, modules in enumerate(STAGES, start=2):
        x = layers.MaxPooling2D(3, 2, padding="same", name=f"pool{number}")(x)
        stride *= 2
        for name, module in modules.items():
            x = _inception(x, module, f"inception_{name}")
            if aux and name in WITH_CLASSIFIER:
                opinions.append(_classifier(x, num_classes, WITH_CLASSIFIER[name]))
        stages[f"stride_{stride}"] = x
    if features:
        return keras.Model(inputs, stages, name="googlenet")
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    logits = layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(inputs, [logits, *opinions] if aux else logits, name="googlenet")


@register(
    recipes={"default": RECIPE},
    params=115_898,
    trainable_params=114_506,
    macs=10_597_840,
    paper=GOING_DEEPER,
    deviations=(
        "One 3x3 convolution of 32 filters for a stem, where the paper's has three up to 7x7 and two poolings.",
        "Modules 3a, 3b, 4a and 4e only, with a quarter of the paper's filters.",
        "Batch normalisation after every convolution, which the paper comes before; no local response normalisation.",
        "No classifiers in the middle.",
        DEVIATIONS[0],
    ),
    min_size=(1, 1),
)
def googlenet_small(
    *,
    input_shape: tuple[int, int, int] = (28, 28, 1),
    num_classes: int = 10,
    dropout: float = 0.4,
    features: bool = False,
) -> keras.Model:
    """GoogLeNet brought down to 28x28: four inception modules with a quarter of the filters.

    Args:
        input_shape: (height, width, channels).
        num_classes: number of logits.
        dropout: fraction of values dropped before the logits.
        features: return the last map of each stage, ``stride_1`` to ``stride_4``, instead of logits.
    """
    layers = keras.layers
    inputs = layers.Input(input_shape, name="image")
    x = _convolved(inputs, 32, 3, "conv1", normalized=True)
    stages = {"stride_1": x}
    for number, names in enumerate((("3a", "3b"), ("4a", "4e")), start=1):
        x = layers.MaxPooling2D(3, 2, padding="same", name=f"pool{number}")(x)
        for name in names:
            module = [filters // 4 for filters in STAGES[number - 1][name]]
            x = _inception(x, module, f"inception_{name}", normalized=True)
        stages[f"stride_{2**number}"] = x
    if features:
        return keras.Model(inputs, stages, name="googlenet_small")
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(inputs, layers.Dense(num_classes, dtype="float32", name="logits")(x), name="googlenet_small")
