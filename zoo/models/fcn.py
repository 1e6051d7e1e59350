"""FCN: a classifier's maps, scored and laid over each other at their own resolutions (Long et al. 2015)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo import registry
from zoo.errors import ModelError
from zoo.lazy import keras
from zoo.registry import register
from zoo.spec import Paper, Recipe

FULLY_CONVOLUTIONAL = Paper(
    title="Fully Convolutional Networks for Semantic Segmentation",
    authors="J. Long, E. Shelhamer, T. Darrell",
    year=2015,
    venue="CVPR 2015",
    url="https://arxiv.org/abs/1411.4038",
)
SMALL = {"filters": [16, 32, 64]}
FUSED = 3  # maps that are scored, as in the paper's FCN-8s


@register(
    task="segmentation",
    params=77_623,
    trainable_params=77_175,
    macs=42_078_208,
    paper=FULLY_CONVOLUTIONAL,
    deviations=(
        "The backbone is vgg_small with half its filters, scored at strides 1, 2 and 4; the paper's is VGG16, scored "
        "at 8, 16 and 32: backbone='vgg16', backbone_options={} comes near, at 4, 8 and 16.",
        "The backbone's dense layers are left out, where the paper turns them into convolutions.",
        "It is trained in one go and from the start, where the paper fine-tunes FCN-32s, then 16s, then 8s.",
        "Transposed convolutions start at random, where the paper's start as bilinear interpolation.",
    ),
    min_size=(8, 8),
    recipes={
        "default": Recipe(
            note="Five passes of one-cycle Adam: mean IoU 90.3 ± 0.2 % on the test scenes (n = 3 "
            "seeds), in 84 ± 9 s of training on 2 CPU cores.",
            dataset="mnist_scenes",
            epochs=5,
            batch_size=32,
            learning_rate=5e-3,
            schedule="one_cycle",
        )
    },
)
def fcn(
    *,
    input_shape: tuple[int, int, int] = (64, 64, 1),
    num_classes: int = 11,
    backbone: str = "vgg_small",
    backbone_options: Mapping[str, Any] = SMALL,
) -> keras.Model:
    """FCN-8s: class scores at three resolutions of a classifier, the coarse ones enlarged and added to the finer.

    Args:
        input_shape: (height, width, channels), as large as the backbone needs.
        num_classes: logits of each pixel, the background included.
        backbone: any of the zoo's classifiers that returns its stages with ``features=True``.
        backbone_options: passed to its builder.
    """
    layers = keras.layers
    trunk = registry.get(backbone).build(input_shape=input_shape, features=True, **backbone_options)
    if not isinstance(trunk.output, dict) or len(trunk.output) < FUSED:
        raise ModelError(f"fcn scores {FUSED} stages of its backbone; {backbone} returns fewer. Choose another.")
    stages = sorted(trunk.output.items(), key=lambda item: int(item[0].removeprefix("stride_")))[-FUSED:]
    x: Any = None
    for name, maps in reversed(stages):
        scores = layers.Conv2D(num_classes, 1, name=f"{name}_scores")(maps)
        x = scores if x is None else layers.Add(name=f"{name}_sum")([scores, _enlarged(x, scores, name)])
    if x.shape[1:3] != input_shape[:2]:
        x = _enlarged(x, trunk.inputs[0], "image")
    logits = layers.Activation("linear", dtype="float32", name="logits")(x)
    return keras.Model(trunk.inputs, logits, name="fcn")


def _enlarged(x: keras.KerasTensor, like: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Enlarge score maps to the size of others, by a transposed convolution."""
    layers = keras.layers
    factor = round(like.shape[1] / x.shape[1])
    x = layers.Conv2DTranspose(x.shape[3], 2 * factor, strides=factor, padding="same", name=f"{name}_enlarged")(x)
    missing = [(0, like.shape[axis] - x.shape[axis]) for axis in (1, 2)]
    return layers.ZeroPadding2D(missing, name=f"{name}_padded")(x) if any(after for _, after in missing) else x
