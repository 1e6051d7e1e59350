"""Network in Network for zoo (Lin, Chen, Yan 2013): convolutions followed by a small perceptron at each position."""

from __future__ import annotations

import zoo
from zoo.lazy import keras


@zoo.register(
    params=49_602,
    macs=1_925_504,
    paper=zoo.Paper(
        title="Network In Network",
        authors="M. Lin, Q. Chen, S. Yan",
        year=2013,
        venue="arXiv 1312.4400",
        url="https://arxiv.org/abs/1312.4400",
    ),
    deviations=(
        "16 to 48 maps per layer, a sixth to a quarter of the authors' CIFAR-10 network, and with them dropout of a "
        "quarter instead of a half; the paper too takes fewer maps for MNIST, and does not say how many.",
        "The first convolution has stride 2, where the authors' has 1: the digits fill their image.",
        "The maps that are averaged are linear, where the authors' pass a ReLU.",
        "Weights start by He's rule, where the paper sets their scale by hand.",
    ),
    recipes={
        "default": zoo.Recipe(
            note="One-cycle Adam with the digits moved by up to a pixel: 99.26 ± 0.11 % on MNIST's test images "
            "(mean and standard deviation, n = 3 seeds).",
            epochs=8,
            learning_rate=5e-3,
            schedule="one_cycle",
            shift=1,
        )
    },
)
def nin(
    *, input_shape: tuple[int, int, int] = (28, 28, 1), num_classes: int = 10, dropout: float = 0.25
) -> keras.Model:
    """Network in Network: three convolutions, a two-layer perceptron on each position after every one of them.

    Args:
        input_shape: (height, width, channels).
        num_classes: number of logits; the last block has a map for each, and its average is the logit.
        dropout: fraction of the maps' values dropped after the first two blocks.
    """
    layers = keras.layers

    def mlpconv(filters: tuple[int, int, int], size: int, name: str, strides: int = 1, last: str = "relu") -> list:
        """A convolution and a perceptron of two layers, written as 1x1 convolutions (section 3.1)."""
        options = {"padding": "same", "kernel_initializer": "he_normal"}
        return [
            layers.Conv2D(filters[0], size, strides, activation="relu", name=f"{name}_conv", **options),
            layers.Conv2D(filters[1], 1, activation="relu", name=f"{name}_mlp1", **options),
            layers.Conv2D(filters[2], 1, activation=last, name=f"{name}_mlp2", **options),
        ]

    blocks = [
        *mlpconv((32, 24, 16), 5, "block1", strides=2),
        layers.MaxPooling2D(3, 2, padding="same", name="pool1"),
        layers.Dropout(dropout, name="dropout1"),
        *mlpconv((48, 48, 48), 5, "block2"),
        layers.MaxPooling2D(3, 2, padding="same", name="pool2"),
        layers.Dropout(dropout, name="dropout2"),
        *mlpconv((48, 48, num_classes), 3, "block3", last="linear"),
    ]
    average = layers.GlobalAveragePooling2D(dtype="float32", name="logits")  # section 3.2
    return keras.Sequential([layers.Input(input_shape, name="image"), *blocks, average], name="nin")
