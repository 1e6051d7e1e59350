"""SegNet: a VGG encoder and a decoder that unpools by the positions of the maxima (Badrinarayanan et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.lazy import keras
from zoo.registry import register
from zoo.spec import Paper, Recipe

SEGNET = Paper(
    title="SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image Segmentation",
    authors="V. Badrinarayanan, A. Kendall, R. Cipolla",
    year=2017,
    venue="IEEE Transactions on Pattern Analysis and Machine Intelligence 39(12)",
    url="https://arxiv.org/abs/1511.00561",
)


@register(
    task="segmentation",
    params=147_083,
    trainable_params=146_283,
    macs=86_245_376,
    paper=SEGNET,
    deviations=(
        "Three stages of two convolutions with 16, 32 and 64 filters, where the paper's encoder is VGG16's: "
        "filters=(64, 128, 256, 512, 512) and depths=(2, 2, 3, 3, 3) are the paper's.",
        "Weights start by Glorot's rule, where the paper's start by He's, the encoder's from VGG16's for ImageNet.",
        "All classes count alike in the loss, where the paper balances them by median frequency.",
    ),
    min_size=(8, 8),
    recipes={
        "default": Recipe(
            note="Five epochs of one-cycle Adam: mean IoU 89.2 ± 0.3 % on the test scenes (n = 3 "
            "seeds), in 157 ± 11 s of training on 2 CPU cores.",
            dataset="mnist_scenes",
            epochs=5,
            batch_size=32,
            learning_rate=5e-3,
            schedule="one_cycle",
        )
    },
)
def segnet(
    *,
    input_shape: tuple[int, int, int] = (64, 64, 1),
    num_classes: int = 11,
    filters: Sequence[int] = (16, 32, 64),
    depths: Sequence[int] = (2, 2, 2),
) -> keras.Model:
    """SegNet: stages of normalised 3x3 convolutions down, the same stages mirrored up, joined by pooling positions.

    Args:
        input_shape: (height, width, channels), at least 8x8; 2 to the power of the number of stages is the least.
        num_classes: logits of each pixel, the background included.
        filters: of the stages.
        depths: convolutions of each stage.
    """
    from zoo.layers.pooling import MaxPoolingWithPositions, Unpooling

    layers = keras.layers

    def convolved(x: keras.KerasTensor, width: int, name: str) -> keras.KerasTensor:
        x = layers.Conv2D(width, 3, padding="same", use_bias=False, name=name)(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
        return layers.Activation("relu", name=f"{name}_relu")(x)

    inputs = x = layers.Input(input_shape, name="image")
    pooled = []
    for stage, (width, depth) in enumerate(zip(filters, depths, strict=True), start=1):
        for number in range(1, depth + 1):
            x = convolved(x, width, f"encoder{stage}_conv{number}")
        size = x.shape[1:3]
        x, positions = MaxPoolingWithPositions(name=f"encoder{stage}_pool")(x)
        pooled.append((size, positions))
    for stage in range(len(filters), 0, -1):
        size, positions = pooled[stage - 1]
        x = Unpooling(size, name=f"decoder{stage}_unpool")([x, positions])
        # A stage ends with as many maps as the one before it had, so that its positions fit.
        widths = [filters[stage - 1]] * (depths[stage - 1] - 1) + [filters[max(stage - 2, 0)]]
        for number, width in enumerate(widths, start=1):
            x = convolved(x, width, f"decoder{stage}_conv{number}")
    return keras.Model(inputs, layers.Conv2D(num_classes, 1, dtype="float32", name="logits")(x), name="segnet")
