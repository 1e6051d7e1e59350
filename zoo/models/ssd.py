"""SSD: classifies and adjusts default boxes at several resolutions in one forward pass (Liu et al. 2016)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.errors import ModelError
from zoo.lazy import keras
from zoo.models.backbones import VGG_SMALL, stages
from zoo.registry import register
from zoo.spec import Paper, Recipe
from zoo.tasks.detection import Detection
from zoo.tasks.detectors import SSD

SINGLE_SHOT = Paper(
    title="SSD: Single Shot MultiBox Detector",
    authors="W. Liu, D. Anguelov, D. Erhan, C. Szegedy, S. Reed, C.-Y. Fu, A. C. Berg",
    year=2016,
    venue="ECCV 2016",
    url="https://arxiv.org/abs/1512.02325",
)
DETECTOR = SSD(strides=(4, 8), scales=(0.2, 0.3, 0.42), ratios=((1.0, 0.6, 0.3),) * 2)
# Equation 4 for the five maps behind conv4_3, whose own scale is 0.1; three ratios where section 3.1 leaves two out.
FOUR, SIX = (1.0, 2.0, 1 / 2), (1.0, 2.0, 1 / 2, 3.0, 1 / 3)
SSD300 = SSD(
    strides=(8, 16, 32, 64),
    scales=(0.1, 0.2, 0.375, 0.55, 0.725, 0.9, 1.075),
    ratios=(FOUR, SIX, SIX, SIX, FOUR, FOUR),
    unpadded=2,
)
# 75 places become 38, as in the paper, not 37.
PADDED = {f"vgg{depth}": {"pool_padding": "same"} for depth in (11, 13, 16, 19)}


@register(
    params=215_944,
    trainable_params=215_240,
    macs=54_116_352,
    paper=SINGLE_SHOT,
    task=Detection(DETECTOR),
    deviations=(
        "Two maps, of strides 4 and 8, where SSD300 (ssd300) has six of strides 8 to 300: digits differ in size by two "
        "at most.",
        "Default boxes are upright, of ratios 1, 0.6 and 0.3, as digits are; the paper's are 1, 2, 3, 1/2 and 1/3.",
        "The backbone is vgg_small with half its filters, normalised and trained from the start, where the paper's is "
        "VGG16 for ImageNet.",
        "No augmentation by cropping and expanding; no scaling of the first map.",
    ),
    min_size=(32, 32),
    recipes={
        "default": Recipe(
            note="Five epochs of one-cycle Adam: AP50 98.9 ± 0.1 %, AP 81.4 ± 0.0 % on the test scenes (n = 3 "
            "seeds), in 99 ± 1 s of training on 2 CPU cores.",
            dataset="mnist_scenes",
            epochs=5,
            batch_size=32,
            learning_rate=3e-3,
            schedule="one_cycle",
        )
    },
)
def ssd(
    *,
    input_shape: tuple[int, int, int] = (64, 64, 1),
    num_classes: int = 10,
    backbone: str = "vgg_small",
    backbone_options: Mapping[str, Any] | None = None,
    extra: int = 64,
) -> keras.Model:
    """SSD: a 3x3 convolution over each of two maps says offsets and classes of all default boxes.

    Args:
        input_shape: (height, width, channels), at least 32x32, multiples of 8.
        num_classes: without the background.
        backbone: any of the zoo's classifiers that returns a map of stride 4 with ``features=True``.
        backbone_options: passed to its builder; by default vgg_small has half its filters, others as they are.
        extra: filters of the map of stride 8.
    """
    layers = keras.layers
    coarsest = DETECTOR.strides[-1]
    if any(size % coarsest for size in input_shape[:2]):
        raise ModelError(f"ssd takes images whose sides are multiples of {coarsest}, received {input_shape}.")
    image, maps = stages(backbone, backbone_options, input_shape, usual=VGG_SMALL, strides=(4,))
    fine = maps[4]
    coarse = layers.Conv2D(extra, 3, strides=2, padding="same", use_bias=False, name="extra_conv1")(fine)
    coarse = layers.BatchNormalization(momentum=0.9, name="extra_norm1")(coarse)
    coarse = layers.Activation("relu", name="extra_relu1")(coarse)
    coarse = layers.Conv2D(extra, 3, padding="same", use_bias=False, name="extra_conv2")(coarse)
    coarse = layers.BatchNormalization(momentum=0.9, name="extra_norm2")(coarse)
    coarse = layers.Activation("relu", name="extra_relu2")(coarse)
    outputs = _predicted({"stride_4": fine, "stride_8": coarse}, DETECTOR, num_classes)
    return keras.Model(image, outputs, name="ssd")


@register(
    params=26_285_486,
    macs=31_373_537_792,
    paper=SINGLE_SHOT,
    task=Detection(SSD300),
    deviations=(
        "Weights start by Glorot's rule, as the paper's added layers do; its VGG16 starts from weights for ImageNet, "
        "conv6 and conv7 from samples of those of fc6 and fc7.",
        "Scales are equation 4's, 0.2 to 0.9 in steps of 0.175; the authors' code rounds the steps down to 0.17.",
        "No augmentation by cropping, expanding and changing colours, and no recipe: it has not been trained here.",
    ),
    min_size=(257, 257),
)
def ssd300(
    *,
    input_shape: tuple[int, int, int] = (300, 300, 3),
    num_classes: int = 20,
    backbone: str = "vgg16",
    backbone_options: Mapping[str, Any] | None = None,
) -> keras.Model:
    """SSD300 as published: VGG16 and ten convolutions behind it, 8,732 default boxes on six maps.

    Args:
        input_shape: (height, width, channels), at least 257x257.
        num_classes: without the background.
        backbone: any of the zoo's classifiers that returns maps of strides 8 and 16 with ``features=True``, as many
            places as the image's side has strides, a part of one included.
        backbone_options: passed to its builder; by default VGGs pad before pooling, others are as they are.
    """
    from zoo.layers import L2Normalization

    layers = keras.layers

    def convolved(x: keras.KerasTensor, width: int, size: int, name: str, **options: Any) -> keras.KerasTensor:
        return layers.Conv2D(width, size, activation="relu", name=name, **options)(x)

    image, vgg = stages(backbone, backbone_options, input_shape, usual=PADDED, strides=(8, 16))
    maps = {"conv4_3": L2Normalization(20.0, name="conv4_3_norm")(vgg[8])}
    x = layers.MaxPooling2D(3, strides=1, padding="same", name="block5_pool")(vgg[16])
    x = convolved(x, 1024, 3, "conv6", padding="same", dilation_rate=6)
    maps["conv7"] = x = convolved(x, 1024, 1, "conv7")
    for number, (narrow, wide) in {8: (256, 512), 9: (128, 256)}.items():
        x = convolved(x, narrow, 1, f"conv{number}_1")
        x = layers.ZeroPadding2D(1, name=f"conv{number}_2_pad")(x)  # on all sides, as the authors' code does
        maps[f"conv{number}_2"] = x = convolved(x, wide, 3, f"conv{number}_2", strides=2)
    for number in (10, 11):
        x = convolved(x, 128, 1, f"conv{number}_1")
        maps[f"conv{number}_2"] = x = convolved(x, 256, 3, f"conv{number}_2")
    return keras.Model(image, _predicted(maps, SSD300, num_classes), name="ssd300")


def _predicted(maps: Mapping[str, keras.KerasTensor], detector: SSD, num_classes: int) -> keras.KerasTensor:
    """Let a 3x3 convolution over each map say offsets and logits of its default boxes: (N, P, 4 + 1 + classes)."""
    layers, values, said = keras.layers, 4 + 1 + num_classes, []
    for (name, x), count in zip(maps.items(), detector.boxes_per_place, strict=True):
        head = layers.Conv2D(count * values, 3, padding="same", dtype="float32", name=f"{name}_boxes")(x)
        said.append(layers.Reshape((-1, values), dtype="float32", name=f"{name}_rows")(head))
    return layers.Concatenate(axis=1, dtype="float32", name="boxes")(said)
