"""AlexNet, the network that began the deep learning decade (Krizhevsky, Sutskever, Hinton 2012)."""

from __future__ import annotations

from typing import Any

from zoo.lazy import keras
from zoo.registry import register
from zoo.spec import Counted, Paper, Recipe

IMAGENET_CLASSIFICATION = Paper(
    title="ImageNet Classification with Deep Convolutional Neural Networks",
    authors="A. Krizhevsky, I. Sutskever, G. E. Hinton",
    year=2012,
    venue="Advances in Neural Information Processing Systems 25",
    url="https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks",
)

DEEP = Recipe(
    note="To begin with: Adam at a small rate. Not trained by us; the paper's own is SGD at 0.01 with momentum 0.9 and "
    "batches of 128.",
    learning_rate=1e-4,
)


@register(
    recipes={"default": DEEP},
    params=60_965_224,
    macs=724_406_816,
    cited_macs=(
        Counted(
            0.71e9,
            "torchvision's documentation, of the one-column variant: 64, 192, 384, 256 and 256 filters, no groups, "
            "on 224x224",
        ),
    ),
    paper=IMAGENET_CLASSIFICATION,
    deviations=(
        "The input is 227x227 by default, where the paper says 224x224: only then do 55x55 maps come out of an "
        "unpadded 11x11 kernel with stride 4, as its figure 2 has them.",
        "The two halves of convolutions 2, 4 and 5 are groups of one convolution, where the paper's lie on two GPUs.",
    ),
    min_size=(67, 67),
)
def alexnet(
    *,
    input_shape: tuple[int, int, int] = (227, 227, 3),
    num_classes: int = 1000,
    dropout: float = 0.5,
    features: bool = False,
) -> keras.Model:
    """AlexNet: five convolutions, three overlapping poolings, three dense layers (paper, figure 2).

    Args:
        input_shape: (height, width, channels), at least 67x67.
        num_classes: number of logits.
        dropout: fraction of units dropped after each of the two hidden dense layers (section 4.2).
        features: return the last map before each pooling, ``stride_4`` to ``stride_16``, instead of logits.
    """
    from zoo.layers import LocalResponseNormalization

    layers = keras.layers

    def start(bias: str = "zeros") -> dict[str, Any]:
        """Section 5: weights with a deviation of 0.01, each layer's drawn anew; some biases of 1."""
        return {"kernel_initializer": keras.initializers.RandomNormal(stddev=0.01), "bias_initializer": bias}

    def conv(x: Any, filters: int, size: int, name: str, **options: Any) -> Any:
        return layers.Conv2D(filters, size, padding="same", activation="relu", name=name, **options)(x)

    inputs = layers.Input(input_shape, name="image")
    x = layers.Conv2D(96, 11, 4, activation="relu", name="conv1", **start())(inputs)
    x = LocalResponseNormalization(name="norm1")(x)  # section 3.3: after the first two convolutions
    stages = {"stride_4": x}
    x = layers.MaxPooling2D(3, 2, name="pool1")(x)  # overlapping, section 3.4
    x = conv(x, 256, 5, "conv2", groups=2, **start("ones"))
    x = LocalResponseNormalization(name="norm2")(x)
    stages["stride_8"] = x
    x = layers.MaxPooling2D(3, 2, name="pool2")(x)
    x = conv(x, 384, 3, "conv3", **start())
    x = conv(x, 384, 3, "conv4", groups=2, **start("ones"))
    x = conv(x, 256, 3, "conv5", groups=2, **start("ones"))
    stages["stride_16"] = x
    if features:
        return keras.Model(inputs, stages, name="alexnet")
    x = layers.MaxPooling2D(3, 2, name="pool5")(x)
    x = layers.Flatten(name="flatten")(x)
    for number in (6, 7):
        x = layers.Dense(4096, activation="relu", name=f"fc{number}", **start("ones"))(x)
        x = layers.Dropout(dropout, name=f"dropout{number}")(x)
    logits = layers.Dense(num_classes, dtype="float32", name="logits", **start())(x)
    return keras.Model(inputs, logits, name="alexnet")


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
            note="One-cycle Adam with the digits moved by up to a pixel: 99.35 ± 0.08 % on MNIST's test images (mean "
            "and standard deviation, n = 3 seeds).",
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
    features: bool = False,
) -> keras.Model:
    """AlexNet brought down to 28x28: five convolutions, overlapping pooling, three dense layers.

    Args:
        input_shape: (height, width, channels).
        num_classes: number of logits.
        dropout: fraction of units dropped after each of the two hidden dense layers (paper, section 4.2).
        features: return the last map before each pooling, ``stride_2`` to ``stride_8``, instead of logits.
    """
    layers = keras.layers

    def conv(x: Any, filters: int, size: int, name: str, strides: int = 1) -> Any:
        return layers.Conv2D(filters, size, strides, padding="same", activation="relu", name=name)(x)

    def pool(x: Any, name: str) -> Any:
        return layers.MaxPooling2D(3, 2, padding="same", name=name)(x)  # overlapping, section 3.4

    # Convolutions: the paper's 96, 256, 384, 384, 256 filters (section 3.5), divided by four
    inputs = layers.Input(input_shape, name="image")
    x = conv(inputs, 24, 5, "conv1", strides=2)
    stages = {"stride_2": x}
    x = conv(pool(x, "pool1"), 64, 5, "conv2")
    stages["stride_4"] = x
    x = conv(pool(x, "pool2"), 96, 3, "conv3")
    x = conv(x, 96, 3, "conv4")
    x = conv(x, 64, 3, "conv5")
    stages["stride_8"] = x
    if features:
        return keras.Model(inputs, stages, name="alexnet_small")
    # Dense layers: the paper's 4,096 units, divided by sixteen
    x = layers.Flatten(name="flatten")(pool(x, "pool5"))
    for number in (6, 7):
        x = layers.Dense(256, activation="relu", name=f"fc{number}")(x)
        x = layers.Dropout(dropout, name=f"dropout{number}")(x)
    logits = layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="alexnet_small")
