"""U-Net: an encoder and a decoder with skip connections between them (Ronneberger, Fischer, Brox 2015)."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.lazy import keras
from zoo.registry import register
from zoo.spec import Paper, Recipe

BIOMEDICAL = Paper(
    title="U-Net: Convolutional Networks for Biomedical Image Segmentation",
    authors="O. Ronneberger, P. Fischer, T. Brox",
    year=2015,
    venue="MICCAI 2015",
    url="https://arxiv.org/abs/1505.04597",
)


@register(
    task="segmentation",
    params=117_883,
    trainable_params=117_243,
    macs=99_876_864,
    paper=BIOMEDICAL,
    deviations=(
        "Three levels of 16, 32 and 64 filters, where figure 1 has five of 64 to 1,024: filters=(64, 128, 256, 512, "
        "1024) are the paper's.",
        "Convolutions are padded, so that the mask is as large as the image and nothing is cropped on the way across; "
        "the paper's are not.",
        "Batch normalisation after every 3x3 convolution, which the paper does not have.",
        "Weights start by Glorot's rule, where the paper draws them with a deviation of the square root of 2/N, He's "
        "rule; no dropout at the end of the way down.",
        "No elastic deformations, and no weights for pixels between touching objects.",
    ),
    min_size=(8, 8),
    recipes={
        "default": Recipe(
            note="Four epochs of one-cycle Adam: mean IoU 93.5 ± 0.2 % on the test scenes (n = 3 "
            "seeds), in 119 ± 6 s of training on 2 CPU cores.",
            dataset="mnist_scenes",
            epochs=4,
            batch_size=32,
            learning_rate=5e-3,
            schedule="one_cycle",
        )
    },
)
def unet(
    *,
    input_shape: tuple[int, int, int] = (64, 64, 1),
    num_classes: int = 11,
    filters: Sequence[int] = (16, 32, 64),
) -> keras.Model:
    """U-Net: two convolutions a level, down by pooling, up by transposed convolutions beside the way down.

    Args:
        input_shape: (height, width, channels), at least 8x8.
        num_classes: logits of each pixel, the background included.
        filters: of the levels, first to deepest.
    """
    layers = keras.layers

    def twice(x: keras.KerasTensor, width: int, name: str) -> keras.KerasTensor:
        for number in (1, 2):
            x = layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"{name}_conv{number}")(x)
            x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm{number}")(x)
            x = layers.Activation("relu", name=f"{name}_relu{number}")(x)
        return x

    inputs = x = layers.Input(input_shape, name="image")
    across = []
    for level, width in enumerate(filters[:-1], start=1):
        x = twice(x, width, f"down{level}")
        across.append(x)
        x = layers.MaxPooling2D(2, padding="same", name=f"pool{level}")(x)
    x = twice(x, filters[-1], "bottom")
    for level in range(len(across), 0, -1):
        beside = across[level - 1]
        x = layers.Conv2DTranspose(filters[level - 1], 2, strides=2, name=f"up{level}_transposed")(x)
        surplus = [(0, x.shape[axis] - beside.shape[axis]) for axis in (1, 2)]  # of a size that is odd
        if any(after for _, after in surplus):
            x = layers.Cropping2D(surplus, name=f"up{level}_crop")(x)
        x = layers.Concatenate(name=f"up{level}_beside")([beside, x])
        x = twice(x, filters[level - 1], f"up{level}")
    return keras.Model(inputs, layers.Conv2D(num_classes, 1, dtype="float32", name="logits")(x), name="unet")
