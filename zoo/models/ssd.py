"""SSD: default boxes at several resolutions, each classified and moved in one pass (Liu et al. 2016)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo import registry
from zoo.errors import ModelError
from zoo.lazy import keras
from zoo.registry import register
from zoo.spec import Paper, Recipe
from zoo.tasks.detectors import SSD

SINGLE_SHOT = Paper(
    title="SSD: Single Shot MultiBox Detector",
    authors="W. Liu, D. Anguelov, D. Erhan, C. Szegedy, S. Reed, C.-Y. Fu, A. C. Berg",
    year=2016,
    venue="ECCV 2016",
    url="https://arxiv.org/abs/1512.02325",
)
DETECTOR = SSD(strides=(4, 8), scales=(0.2, 0.3, 0.42), ratios=(1.0, 0.6, 0.3))
SMALL = {"filters": [16, 32, 64]}


@register(
    task="detection",
    params=215_944,
    trainable_params=215_240,
    macs=54_116_352,
    paper=SINGLE_SHOT,
    detector=DETECTOR,
    deviations=(
        "Two maps, of strides 4 and 8, where SSD300 has six of strides 8 to 300: digits differ in size by two at most.",
        "Default boxes are upright, of ratios 1, 0.6 and 0.3, as digits are; the paper's are 1, 2, 3, 1/2 and 1/3.",
        "The backbone is vgg_small with half its filters, normalised and trained from the start, where the paper's is "
        "VGG16 for ImageNet.",
        "No augmentation by cropping and expanding; no scaling of the first map.",
    ),
    min_size=(32, 32),
    recipes={
        "default": Recipe(
            note="Five passes of one-cycle Adam: AP50 98.9 %, AP 81.4 % on the test scenes, in 120 s of training on 2 "
            "CPU cores (one seed).",
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
    backbone_options: Mapping[str, Any] = SMALL,
    extra: int = 64,
) -> keras.Model:
    """SSD: a 3x3 convolution over each of two maps says offsets and classes of all default boxes.

    Args:
        input_shape: (height, width, channels), at least 32x32, multiples of 8.
        num_classes: without the background.
        backbone: any of the zoo's classifiers that returns a map of stride 4 with ``features=True``.
        backbone_options: passed to its builder.
        extra: filters of the map of stride 8.
    """
    layers = keras.layers
    coarsest = DETECTOR.strides[-1]
    if any(size % coarsest for size in input_shape[:2]):
        raise ModelError(f"ssd takes images whose sides are multiples of {coarsest}, received {input_shape}.")
    trunk = registry.get(backbone).build(input_shape=input_shape, features=True, **backbone_options)
    fine = trunk.output["stride_4"]
    coarse = layers.Conv2D(extra, 3, strides=2, padding="same", use_bias=False, name="extra_conv1")(fine)
    coarse = layers.BatchNormalization(momentum=0.9, name="extra_norm1")(coarse)
    coarse = layers.Activation("relu", name="extra_relu1")(coarse)
    coarse = layers.Conv2D(extra, 3, padding="same", use_bias=False, name="extra_conv2")(coarse)
    coarse = layers.BatchNormalization(momentum=0.9, name="extra_norm2")(coarse)
    coarse = layers.Activation("relu", name="extra_relu2")(coarse)
    said = []
    for stride, maps in zip(DETECTOR.strides, (fine, coarse), strict=True):
        values = 4 + 1 + num_classes
        head = layers.Conv2D(DETECTOR.boxes_per_place * values, 3, padding="same", name=f"stride_{stride}_boxes")(maps)
        said.append(layers.Reshape((-1, values), name=f"stride_{stride}_rows")(head))
    outputs = layers.Concatenate(axis=1, dtype="float32", name="boxes")(said)
    return keras.Model(trunk.inputs, outputs, name="ssd")
