"""AlexNet, the network that began the deep learning decade (Krizhevsky, Sutskever, Hinton 2012)."""

from __future__ import annotations

from zoo.lazy import keras
from zoo.registry import register
from zoo.spec import Paper, Recipe

IMAGENET_CLASSIFICATION = Paper(
    title="ImageNet Classification with Deep Convolutional Neural Networks",
    authors="A. Krizhevsky, I. Sutskever, G. E. Hinton",
    year=2012,
    venue="Advances in Neural Information Processing Systems 25",
    url="https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks",
)


@register(
    task="classification",
    params=367_034,
    macs=5_229_408,
    paper=IMAGENET_CLASSIFICATION,
    deviations=(
        "Every convolution has a quarter of the paper's filters, the dense layers a sixteenth of its units.",
        "The first kernel is 5x5 with stride 2, where the paper's is 11x11 with stride 4.",
        "Poolings pad to keep small maps alive (28 to 14, 7, 4, 2), where the paper's do not.",
        "No local response normalisation.",
        "Convolutions 2, 4 and 5 see all channels, where the paper splits them over two GPUs.",
        "Biases start at zero and weights by Glorot's rule, where the paper draws weights with a deviation of "
        "0.01 and starts some biases at one.",
    ),
    recipes={
        "default": Recipe(
            note="One-cycle Adam with the digits moved by up to a pixel: 99.32 ± 0.07 % on MNIST's test images (mean "
            "and standard deviation, n = 3 seeds), in 179 s of training on 2 CPU cores (n = 1).",
            epochs=6,
            learning_rate=2e-3,
            schedule="one_cycle",
            shift=1,
        )
    },
)
def alexnet_small(
    *,
    input_shape: tuple[int, int, int] = (28, 28, 1),
    num_classes: int = 10,
    dropout: float = 0.5,
) -> keras.Model:
    """AlexNet brought down to 28x28: five convolutions, overlapping pooling, three dense layers.

    Args:
        input_shape: (height, width, channels).
        num_classes: number of logits.
        dropout: share of units dropped after each of the two hidden dense layers (paper, section 4.2).
    """
    layers = keras.layers

    def conv(filters: int, size: int, name: str, strides: int = 1) -> keras.layers.Layer:
        return layers.Conv2D(filters, size, strides, padding="same", activation="relu", name=name)

    def pool(name: str) -> keras.layers.Layer:
        return layers.MaxPooling2D(3, 2, padding="same", name=name)  # overlapping, section 3.4

    return keras.Sequential(
        [
            layers.Input(input_shape, name="image"),
            # Convolutions: the paper's 96, 256, 384, 384, 256 filters (section 3.5), divided by four
            conv(24, 5, "conv1", strides=2),
            pool("pool1"),
            conv(64, 5, "conv2"),
            pool("pool2"),
            conv(96, 3, "conv3"),
            conv(96, 3, "conv4"),
            conv(64, 3, "conv5"),
            pool("pool5"),
            # Dense layers: the paper's 4,096 units, divided by sixteen
            layers.Flatten(name="flatten"),
            layers.Dense(256, activation="relu", name="fc6"),
            layers.Dropout(dropout, name="dropout6"),
            layers.Dense(256, activation="relu", name="fc7"),
            layers.Dropout(dropout, name="dropout7"),
            layers.Dense(num_classes, dtype="float32", name="logits"),
        ],
        name="alexnet_small",
    )
