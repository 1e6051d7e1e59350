"""FCN: segmentation by upsampling and adding class scores of several resolutions (Long et al. 2015)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.errors import ModelError
from zoo.lazy import keras
from zoo.models.backbones import VGG_SMALL, stages
from zoo.registry import register
from zoo.spec import Paper, Recipe

FULLY_CONVOLUTIONAL = Paper(
    title="Fully Convolutional Networks for Semantic Segmentation",
    authors="J. Long, E. Shelhamer, T. Darrell",
    year=2015,
    venue="CVPR 2015",
    url="https://arxiv.org/abs/1411.4038",
)
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
        "Transposed convolutions start at random, where the paper's start as bilinear interpolation and the last stays "
        "that; so do the scores of the finer maps, where the paper's start at zero.",
    ),
    min_size=(8, 8),
    recipes={
        "default": Recipe(
            note="Five epochs of one-cycle Adam: mean IoU 90.3 ± 0.2 % on the test scenes (n = 3 "
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
    backbone_options: Mapping[str, Any] | None = None,
) -> keras.Model:
    """FCN-8s: class scores at three resolutions of a classifier, the coarse ones enlarged and added to the finer.

    Args:
        input_shape: (height, width, channels), as large as the backbone needs.
        num_classes: logits of each pixel, the background included.
        backbone: any of the zoo's classifiers that returns its stages with ``features=True``.
        backbone_options: passed to its builder; by default vgg_small has half its filters, others as they are.
    """
    layers = keras.layers
    image, maps = stages(backbone, backbone_options, input_shape, usual=VGG_SMALL)
    if len(maps) < FUSED:
        raise ModelError(f"fcn scores {FUSED} stages of its backbone; {backbone} returns fewer. Choose another.")
    x: Any = None
    coarser = max(maps)
    for stride in sorted(maps, reverse=True)[:FUSED]:
        name = f"stride_{stride}"
        scores = layers.Conv2D(num_classes, 1, dtype="float32", name=f"{name}_scores")(maps[stride])
        if x is not None:
            enlarged = _enlarged(x, coarser // stride, scores.shape, name)
            scores = layers.Add(dtype="float32", name=f"{name}_sum")([scores, enlarged])
        x, coarser = scores, stride
    if x.shape[1:3] != input_shape[:2]:
        x = _enlarged(x, coarser, image.shape, "image")
    return keras.Model(image, layers.Activation("linear", dtype="float32", name="logits")(x), name="fcn")


def _enlarged(x: keras.KerasTensor, factor: int, like: Sequence[int], name: str) -> keras.KerasTensor:
    """Enlarge score maps by a transposed convolution, and fit them to the height and width of `like`.

    Where a size is no multiple of the stride, a backbone rounds it down, and a border is missing, or up, and one is
    too many.
    """
    layers, exact = keras.layers, {"dtype": "float32"}
    options = {"strides": factor, "padding": "same", **exact}
    x = layers.Conv2DTranspose(x.shape[3], 2 * factor, name=f"{name}_enlarged", **options)(x)
    missing = [like[axis] - x.shape[axis] for axis in (1, 2)]
    if max(missing) > 0:
        x = layers.ZeroPadding2D([(0, max(0, each)) for each in missing], name=f"{name}_padded", **exact)(x)
    if min(missing) < 0:
        x = layers.Cropping2D([(0, max(0, -each)) for each in missing], name=f"{name}_cropped", **exact)(x)
    return x
