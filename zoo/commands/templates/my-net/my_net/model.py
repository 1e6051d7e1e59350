"""The architecture: a function that returns a Keras model, decorated with the model's facts.

This is a small working network after a real paper. Replace it by yours; the tests then recompute every declared number
and tell you what to correct.
"""

from __future__ import annotations

import zoo
from zoo.lazy import keras  # imported on first use, so that `zoo list` stays fast


@zoo.register(
    params=33_802,
    macs=609_344,
    paper=zoo.Paper(
        title="Striving for Simplicity: The All Convolutional Net",
        authors="J. T. Springenberg, A. Dosovitskiy, T. Brox, M. Riedmiller",
        year=2014,
        venue="arXiv 1412.6806",
        url="https://arxiv.org/abs/1412.6806",
    ),
    deviations=(
        "Three convolutions of 16, 32 and 64 filters, where the paper's All-CNN-C has nine, most of 96 or 192.",
        "Every convolution has stride 2, the first a 5x5 kernel; in All-CNN-C two have, and none is larger than 3x3.",
        "A dense layer on the flattened maps gives the logits, where the paper averages one map per class.",
        "No dropout.",
    ),
    recipes={
        "default": zoo.Recipe(
            note="One-cycle Adam with the digits moved by up to a pixel: 99.14 ± 0.08 % on MNIST's test images "
            "(mean and standard deviation, n = 3 seeds).",
            epochs=5,
            learning_rate=5e-3,
            schedule="one_cycle",
            shift=1,
        )
    },
)
def my_net(*, input_shape: tuple[int, int, int] = (28, 28, 1), num_classes: int = 10) -> keras.Model:
    """Three convolutions that stride instead of pooling, then one dense layer.

    Args:
        input_shape: (height, width, channels).
        num_classes: number of logits.
    """
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input(input_shape, name="image"),
            layers.Conv2D(16, 5, strides=2, padding="same", activation="relu", name="conv1"),
            layers.Conv2D(32, 3, strides=2, padding="same", activation="relu", name="conv2"),
            layers.Conv2D(64, 3, strides=2, padding="same", activation="relu", name="conv3"),
            layers.Flatten(name="flatten"),
            # Logits, in float32 under mixed precision too: a softmax belongs to the loss.
            layers.Dense(num_classes, dtype="float32", name="logits"),
        ],
        name="my_net",
    )
