"""YOLO: predicts all boxes and classes of an image on a grid, from v2 on with anchors (Redmon et al. 2016, 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.errors import ModelError
from zoo.lazy import keras
from zoo.models.backbones import VGG_SMALL, stages
from zoo.models.darknet import INCREMENTAL, NORMALISATION
from zoo.registry import register
from zoo.spec import Paper, Recipe
from zoo.tasks.detection import Detection
from zoo.tasks.detectors import YoloV1, YoloV3

YOU_ONLY_LOOK_ONCE = Paper(
    title="You Only Look Once: Unified, Real-Time Object Detection",
    authors="J. Redmon, S. Divvala, R. Girshick, A. Farhadi",
    year=2016,
    venue="CVPR 2016",
    url="https://arxiv.org/abs/1506.02640",
)
GRID = YoloV1(stride=8)
# By k-means (find_anchors) over the shapes in 3,000 training scenes of mnist_scenes, three for each map.
ANCHORED = YoloV3(
    strides=(8, 4),
    anchors=(((0.30, 0.30), (0.39, 0.28), (0.36, 0.36)), ((0.30, 0.14), (0.23, 0.19), (0.31, 0.23))),
)
# For COCO, section 2.3; there width before height, in pixels of 416.
PUBLISHED = YoloV3(
    strides=(32, 16, 8),
    anchors=tuple(
        tuple((height / 416, width / 416) for width, height in shapes)
        for shapes in (
            ((116, 90), (156, 198), (373, 326)),
            ((30, 61), (62, 45), (59, 119)),
            ((10, 13), (16, 30), (33, 23)),
        )
    ),
)
TRUNK = (
    "The backbone is vgg_small with half its filters, trained from the start; the paper's is a Darknet for ImageNet."
)


def _trunk(
    name: str, input_shape: tuple[int, int, int], backbone: str, options: Mapping[str, Any] | None
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Return the image, and the backbone's map of stride 4. Raises `ModelError` for sides that 8 does not divide."""
    if any(size % 8 for size in input_shape[:2]):
        raise ModelError(f"{name} takes images whose sides are multiples of 8, received {input_shape}.")
    image, maps = stages(backbone, options, input_shape, usual=VGG_SMALL, strides=(4,))
    return image, maps[4]


def _convolved(x: keras.KerasTensor, width: int, name: str, size: int = 3, strides: int = 1) -> keras.KerasTensor:
    """A convolution, normalised, with the leaky activation of all YOLOs."""
    layers = keras.layers
    x = layers.Conv2D(width, size, strides, padding="same", use_bias=False, name=name)(x)
    x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    return layers.LeakyReLU(0.1, name=f"{name}_leaky")(x)


@register(
    params=445_220,
    trainable_params=444_004,
    macs=62_095_360,
    paper=YOU_ONLY_LOOK_ONCE,
    task=Detection(GRID),
    deviations=(
        "A grid of cells of 8 pixels, which is 8x8 for a scene, where the paper's is 7x7 for any image.",
        "Convolutions to the end, where the paper has two dense layers, so that images may have other sizes.",
        "Batch normalisation, which came with the second version.",
        TRUNK,
        "No augmentation by scaling, moving and changing colours.",
    ),
    min_size=(32, 32),
    recipes={
        "default": Recipe(
            note="Eight epochs of one-cycle Adam: AP50 96.9 ± 0.7 %, AP 61.6 ± 3.6 % on the test scenes (n = 3 "
            "seeds), in 135 ± 13 s of training on 2 CPU cores.",
            dataset="mnist_scenes",
            epochs=8,
            batch_size=32,
            learning_rate=3e-3,
            schedule="one_cycle",
        )
    },
)
def yolo_v1(
    *,
    input_shape: tuple[int, int, int] = (64, 64, 1),
    num_classes: int = 10,
    backbone: str = "vgg_small",
    backbone_options: Mapping[str, Any] | None = None,
    width: int = 128,
) -> keras.Model:
    """YOLO, first version: each cell of a grid says two boxes and one class.

    Args:
        input_shape: (height, width, channels), at least 32x32, multiples of 8.
        num_classes: classes of objects.
        backbone: any of the zoo's classifiers that returns a map of stride 4 with ``features=True``.
        backbone_options: passed to its builder; by default vgg_small has half its filters, others as they are.
        width: filters of the convolutions behind it.
    """
    layers = keras.layers
    image, x = _trunk("yolo_v1", input_shape, backbone, backbone_options)
    x = _convolved(x, width, "cells_conv1", strides=2)
    x = _convolved(x, width, "cells_conv2")
    x = _convolved(x, width, "cells_conv3")
    cells = layers.Conv2D(GRID.boxes * 5 + num_classes, 1, dtype="float32", name="cells")(x)
    return keras.Model(image, cells, name="yolo_v1")


@register(
    params=360_938,
    trainable_params=359_274,
    macs=73_080_832,
    paper=INCREMENTAL,
    task=Detection(ANCHORED),
    deviations=(
        "Two maps, of strides 8 and 4, where the paper has three of 32, 16 and 8 (yolo_v3_416).",
        TRUNK,
        "Anchors are those of the scenes of digits, found as the paper finds COCO's.",
        "No training at several sizes, and no augmentation.",
    ),
    min_size=(32, 32),
    recipes={
        "default": Recipe(
            note="Six epochs of one-cycle Adam: AP50 98.9 ± 0.1 %, AP 71.7 ± 1.6 % on the test scenes (n = 3 "
            "seeds), in 140 ± 3 s of training on 2 CPU cores.",
            dataset="mnist_scenes",
            epochs=6,
            batch_size=32,
            learning_rate=3e-3,
            schedule="one_cycle",
        )
    },
)
def yolo_v3(
    *,
    input_shape: tuple[int, int, int] = (64, 64, 1),
    num_classes: int = 10,
    backbone: str = "vgg_small",
    backbone_options: Mapping[str, Any] | None = None,
    width: int = 64,
) -> keras.Model:
    """YOLO, third version: anchors at two resolutions, the fine one beside the coarse one enlarged.

    Args:
        input_shape: (height, width, channels), at least 32x32, multiples of 8.
        num_classes: classes of objects.
        backbone: any of the zoo's classifiers that returns a map of stride 4 with ``features=True``.
        backbone_options: passed to its builder; by default vgg_small has half its filters, others as they are.
        width: filters of the convolutions behind it.
    """
    layers = keras.layers
    image, fine = _trunk("yolo_v3", input_shape, backbone, backbone_options)
    coarse = _convolved(fine, width, "coarse_conv1", strides=2)
    coarse = _convolved(coarse, 2 * width, "coarse_conv2")
    coarse = _convolved(coarse, width, "coarse_conv3", size=1)
    up = layers.UpSampling2D(2, name="fine_up")(_convolved(coarse, width // 2, "fine_reduced", size=1))
    fine = layers.Concatenate(name="fine_beside")([fine, up])
    fine = _convolved(fine, width, "fine_conv1", size=1)
    said = [
        _predicted(_convolved(x, 2 * width, f"stride_{stride}_conv"), stride, len(anchors), num_classes)
        for stride, anchors, x in zip(ANCHORED.strides, ANCHORED.anchors, (coarse, fine), strict=True)
    ]
    outputs = layers.Concatenate(axis=1, dtype="float32", name="boxes")(said)
    return keras.Model(image, outputs, name="yolo_v3")


def _predicted(x: keras.KerasTensor, stride: int, anchors: int, num_classes: int) -> keras.KerasTensor:
    """Let a 1x1 convolution say boxes, objectness and classes for each anchor of each cell: (N, P, 5 + classes)."""
    layers, values = keras.layers, 5 + num_classes
    head = layers.Conv2D(anchors * values, 1, dtype="float32", name=f"stride_{stride}_boxes")(x)
    return layers.Reshape((-1, values), dtype="float32", name=f"stride_{stride}_rows")(head)


@register(
    params=62_001_757,
    trainable_params=61_949_149,
    macs=32_932_037_632,
    paper=INCREMENTAL,
    task=Detection(PUBLISHED),
    deviations=(
        "Weights start by Glorot's rule, where the paper's backbone starts from weights for ImageNet.",
        NORMALISATION,
        "Behind the backbone its statistics forget faster, by a tenth a step.",
        "No training at several sizes, no augmentation and no recipe: it has not been trained here.",
    ),
    min_size=(32, 32),
)
def yolo_v3_416(
    *,
    input_shape: tuple[int, int, int] = (416, 416, 3),
    num_classes: int = 80,
    backbone: str = "darknet53",
    backbone_options: Mapping[str, Any] | None = None,
) -> keras.Model:
    """YOLO, third version as published: Darknet-53, three maps with three of COCO's anchors each, 10,647 boxes.

    Args:
        input_shape: (height, width, channels), multiples of 32.
        num_classes: classes of objects.
        backbone: any of the zoo's classifiers that returns maps of strides 8, 16 and 32 with ``features=True``.
        backbone_options: passed to its builder.
    """
    layers, coarsest = keras.layers, max(PUBLISHED.strides)
    if any(size % coarsest for size in input_shape[:2]):
        raise ModelError(f"yolo_v3_416 takes images whose sides are multiples of {coarsest}, received {input_shape}.")
    image, trunk = stages(backbone, backbone_options, input_shape, usual={}, strides=PUBLISHED.strides)
    said, x = [], None
    for stride, width, anchors in zip(PUBLISHED.strides, (512, 256, 128), PUBLISHED.anchors, strict=True):
        name, maps = f"stride_{stride}", trunk[stride]
        if x is not None:
            up = layers.UpSampling2D(2, name=f"{name}_up")(_convolved(x, width, f"{name}_reduced", size=1))
            maps = layers.Concatenate(name=f"{name}_beside")([up, maps])
        x = maps
        for number in (1, 3):
            x = _convolved(x, width, f"{name}_conv{number}", size=1)
            x = _convolved(x, 2 * width, f"{name}_conv{number + 1}")
        x = _convolved(x, width, f"{name}_conv5", size=1)
        said.append(_predicted(_convolved(x, 2 * width, f"{name}_conv6"), stride, len(anchors), num_classes))
    outputs = layers.Concatenate(axis=1, dtype="float32", name="boxes")(said)
    return keras.Model(image, outputs, name="yolo_v3_416")
