"""zoo's own networks: the best accuracy that two cores can reach in seconds, and in minutes."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.lazy import keras
from zoo.registry import register
from zoo.spec import Recipe

ONE_EPOCH = Recipe(
    note="To 99% in one epoch: 99.13 ± 0.06 % on MNIST's test images (mean and standard deviation, n = 10 seeds).",
    epochs=1,
    batch_size=64,
    optimizer_options={"beta_1": 0.8, "beta_2": 0.95},  # short memories, for a training this short
    learning_rate=0.015,
    schedule="one_cycle",
    label_smoothing=0.1,
    micro_batches=2,
)
RECIPES = {
    "default": ONE_EPOCH,
    "99.4": ONE_EPOCH.override(
        note="To 99.4% in four epochs, wider, the digits shifted by up to a pixel: 99.44 ± 0.05 % (n = 10 seeds).",
        epochs=4,
        batch_size=192,
        learning_rate=0.012,
        precision="mixed_bfloat16",
        shift=1,
        model_options={"filters": [32, 32, 64]},
    ),
    "99.6": ONE_EPOCH.override(
        note="To 99.6% in seven epochs, deeper, the digits shifted by up to a pixel: 99.61 ± 0.02 % (n = 10 seeds).",
        epochs=7,
        batch_size=128,
        learning_rate=0.01,
        precision="mixed_bfloat16",
        shift=1,
        model_options={"filters": [16, 32, 64, 64], "pooled": [2, 4]},
    ),
    "small": ONE_EPOCH.override(
        note="To 99.4% with fewer than 20,000 parameters, in twelve epochs, the digits shifted by up to a pixel: "
        "99.43 ± 0.04 % (n = 3 seeds).",
        epochs=12,
        learning_rate=0.01,
        shift=1,
        model_options={"filters": [16, 32, 36]},
    ),
}
LONG = ONE_EPOCH.override(
    note="Twenty-six epochs with rotation, zoom, translation and elastic distortion of each image: 99.75 ± 0.03 % on "
    "MNIST's test images (n = 3 seeds), in 514 ± 12 s of training on 2 CPU cores.",
    epochs=26,
    batch_size=128,
    learning_rate=0.01,
    precision="mixed_bfloat16",
    rotation=12,
    zoom=0.1,
    translation=0.08,
    elastic=0.8,
)
FASHION = LONG.override(
    note="Twenty epochs on Fashion-MNIST of a narrower network with flips, zoom and translation of each image, one "
    "view of each: 93.4 % of its test images (one seed).",
    epochs=20,
    dataset="fashion_mnist",
    rotation=0.0,
    zoom=0.05,
    translation=0.05,
    elastic=0.0,
    flip="horizontal",
    model_options={"filters": [32, 64, 128, 128], "views": False, "dropout": 0.0},
)


@register(
    task="classification",
    params=29_658,
    trainable_params=29_434,
    macs=475_840,
    source="Our own, after the networks of CIFAR-10 speed runs: few layers, normalised, for a one-cycle rate.",
    min_size=(7, 7),
    recipes=RECIPES,
)
def speedrun(
    *,
    input_shape: tuple[int, int, int] = (28, 28, 1),
    num_classes: int = 10,
    filters: Sequence[int] = (16, 32, 64),
    pooled: Sequence[int] = (1, 2),
) -> keras.Model:
    """Speedrun: a few convolutions, the first with stride 2, pooled before they are normalised, and logits.

    Pooling first leaves a quarter of the values to normalise. Where the normalisation's scale is positive, as it
    starts, the largest value stays the largest; what it is normalised by are the statistics of the largest values.

    Args:
        input_shape: (height, width, channels), at least 7x7.
        num_classes: number of logits.
        filters: of the convolutions, first to last.
        pooled: the convolutions, counted from 1, after which maps become half as large.
    """
    return _network("speedrun", input_shape, num_classes, filters, pooled)


@register(
    task="classification",
    params=559_738,
    trainable_params=558_682,
    macs=163_832_640,
    source="Our own: the speedrun's layers, three times as wide and one more, to be trained for minutes, and asked for "
    "five views of each image, as AlexNet's authors ask theirs for ten.",
    min_size=(7, 7),
    recipes={"default": LONG, "fashion": FASHION},
)
def marathon(
    *,
    input_shape: tuple[int, int, int] = (28, 28, 1),
    num_classes: int = 10,
    filters: Sequence[int] = (48, 96, 192, 192),
    pooled: Sequence[int] = (2, 4),
    views: bool = True,
    dropout: float = 0.4,
) -> keras.Model:
    """Marathon: the speedrun's layers, wider and one more, for as long as training pays; several views averaged.

    Args:
        input_shape: (height, width, channels), at least 7x7.
        num_classes: number of logits.
        filters: of the convolutions, first to last.
        pooled: the convolutions, counted from 1, after which maps become half as large.
        views: average the logits of the image and of the image moved by a pixel, up, down, left and right; not while
            it trains. Inference takes five times the arithmetic.
        dropout: fraction of the last map's values dropped before the logits.
    """
    return _network("marathon", input_shape, num_classes, filters, pooled, views=views, dropout=dropout)


def _network(
    name: str,
    input_shape: tuple[int, int, int],
    num_classes: int,
    filters: Sequence[int],
    pooled: Sequence[int],
    *,
    views: bool = False,
    dropout: float = 0.0,
) -> keras.Model:
    from zoo.layers import MeanOfViews, MovedViews

    layers = keras.layers
    model = keras.Sequential(name=name)
    model.add(layers.Input(input_shape, name="image"))
    if views:
        model.add(MovedViews(name="views"))
    for number, width in enumerate(filters, start=1):
        size, strides = (5, 2) if number == 1 else (3, 1)
        model.add(layers.Conv2D(width, size, strides, padding="same", use_bias=False, name=f"conv{number}"))
        if number in pooled:
            model.add(layers.MaxPooling2D(2, name=f"pool{number}"))
        model.add(layers.BatchNormalization(momentum=0.9, name=f"norm{number}"))
        model.add(layers.Activation("relu", name=f"relu{number}"))
    model.add(layers.Flatten(name="flatten"))
    if dropout:
        model.add(layers.Dropout(dropout, name="dropout"))
    model.add(layers.Dense(num_classes, dtype="float32", name="logits"))
    if views:
        model.add(MeanOfViews(dtype="float32", name="mean"))
    return model
