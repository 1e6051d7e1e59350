"""Residual networks: layers that learn what to add to their input (He, Zhang, Ren, Sun 2015 and 2016)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from zoo.lazy import keras
from zoo.registry import register
from zoo.spec import Counted, Paper, Recipe

RESIDUAL_LEARNING = Paper(
    title="Deep Residual Learning for Image Recognition",
    authors="K. He, X. Zhang, S. Ren, J. Sun",
    year=2015,
    venue="CVPR 2016",
    url="https://arxiv.org/abs/1512.03385",
)
IDENTITY_MAPPINGS = Paper(
    title="Identity Mappings in Deep Residual Networks",
    authors="K. He, X. Zhang, S. Ren, J. Sun",
    year=2016,
    venue="ECCV 2016",
    url="https://arxiv.org/abs/1603.05027",
)

EPSILON = 1.001e-5  # of the variance in batch normalisation, as Keras' own residual networks have it
HE = "he_normal"  # how weights start, the 2015 paper's reference 13
BIASES = (
    "Convolutions have biases, as Keras' own residual networks have them; the normalisation after each takes them away."
)
LAST_UNIT_SHRINKS = (
    "A stage shrinks its maps in its last unit, as Keras' own and TF-Slim's do, where the authors' code does so in the "
    "first of the next stage."
)
V2_BIASES = (
    "The stem's convolution and the 1x1 convolutions before a sum have biases, as Keras' own have them, with no "
    "normalisation after them."
)
FIRST_ACTIVATION = (
    "The first normalisation and rectifier come after the stem's pooling, where the paper has them after its "
    "convolution."
)
LOGITS = "The logits' weights start by Glorot's rule, where the paper's start by He's, as the convolutions do here."
V2_POOLING = (
    "Zeros are put around the stem's maps before pooling, which no rectifier has cut yet: at the border a zero wins "
    "over negative values, as in Keras' own."
)
DIGITS = "The input is a 28x28 digit by default, where the paper's is a 32x32 photograph."

RECIPE = Recipe(
    note="One-cycle Adam in bfloat16, with the digits shifted by up to a pixel; the deeper, the fewer epochs",
    learning_rate=3e-3,
    schedule="one_cycle",
    precision="mixed_bfloat16",
    shift=1,
    micro_batches=2,
)
IN_THE_3X3 = ", whose units shrink maps in their 3x3 convolution"

Builder = Callable[..., Any]
Cited = tuple[float, float] | tuple[()]
Unit = Callable[..., Any]
"""Adds one residual unit: ``unit(x, filters, strides, name)``."""


def _normalized(x: Any, name: str, *, relu: bool = True) -> Any:
    """Normalise over the batch, then cut off at zero."""
    x = keras.layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_bn")(x)
    return keras.layers.Activation("relu", name=f"{name}_relu")(x) if relu else x


def _conv(
    x: Any, filters: int, size: int, name: str, *, strides: int = 1, bias: bool = True, padding: str = "same"
) -> Any:
    """Convolve, with weights that start by He's rule."""
    options = {"padding": padding, "use_bias": bias, "kernel_initializer": HE, "name": f"{name}_conv"}
    return keras.layers.Conv2D(filters, size, strides, **options)(x)


def _basic(x: Any, filters: int, strides: int, name: str, *, project: bool) -> Any:
    """Two 3x3 convolutions beside the identity (figure 5, left).

    Where the shape changes, the identity is projected by a 1x1 convolution (option B of section 4.1), or subsampled and
    filled up with zeros (option A), which has no parameters.
    """
    layers = keras.layers
    shortcut = x
    if strides > 1 or x.shape[-1] != filters:
        if project:
            shortcut = _conv(x, filters, 1, f"{name}_0", strides=strides, bias=False)
            shortcut = _normalized(shortcut, f"{name}_0", relu=False)
        else:
            shortcut = layers.MaxPooling2D(1, strides, name=f"{name}_0_subsample")(x)
            missing = filters - x.shape[-1]
            shortcut = keras.ops.pad(shortcut, [(0, 0), (0, 0), (0, 0), (0, missing)])
    x = layers.ZeroPadding2D(1, name=f"{name}_1_pad")(x)  # on all sides, whatever the stride
    x = _conv(x, filters, 3, f"{name}_1", strides=strides, bias=False, padding="valid")
    x = _normalized(x, f"{name}_1")
    x = _conv(x, filters, 3, f"{name}_2", bias=False)
    x = _normalized(x, f"{name}_2", relu=False)
    x = layers.Add(name=f"{name}_add")([shortcut, x])
    return layers.Activation("relu", name=f"{name}_out")(x)


def _bottleneck(x: Any, filters: int, strides: int, name: str) -> Any:
    """1x1, 3x3 and 1x1 convolutions beside the identity (figure 5, right)."""
    layers = keras.layers
    shortcut = x
    if x.shape[-1] != 4 * filters:  # in the first unit of a stage
        shortcut = _conv(x, 4 * filters, 1, f"{name}_0", strides=strides)
        shortcut = _normalized(shortcut, f"{name}_0", relu=False)
    x = _normalized(_conv(x, filters, 1, f"{name}_1", strides=strides), f"{name}_1")
    x = _normalized(_conv(x, filters, 3, f"{name}_2"), f"{name}_2")
    x = _normalized(_conv(x, 4 * filters, 1, f"{name}_3"), f"{name}_3", relu=False)
    x = layers.Add(name=f"{name}_add")([shortcut, x])
    return layers.Activation("relu", name=f"{name}_out")(x)


def _preactivated_bottleneck(x: Any, filters: int, strides: int, name: str) -> Any:
    """The same with normalisation and rectifier before each convolution (2016, figure 4e); nothing after the sum."""
    layers = keras.layers
    ready = _normalized(x, f"{name}_preact")
    if x.shape[-1] != 4 * filters:  # in the first unit of a stage
        shortcut = _conv(ready, 4 * filters, 1, f"{name}_0", strides=strides)
    else:
        shortcut = layers.MaxPooling2D(1, strides, name=f"{name}_0_subsample")(x) if strides > 1 else x
    x = _conv(ready, filters, 1, f"{name}_1", bias=False)
    x = _normalized(x, f"{name}_1")
    x = layers.ZeroPadding2D(1, name=f"{name}_2_pad")(x)
    x = _conv(x, filters, 3, f"{name}_2", strides=strides, bias=False, padding="valid")
    x = _normalized(x, f"{name}_2")
    x = _conv(x, 4 * filters, 1, f"{name}_3")
    return layers.Add(name=f"{name}_out")([shortcut, x])


def _resnet(
    name: str,
    unit: Unit,
    depths: Sequence[int],
    filters: int,
    *,
    input_shape: tuple[int, int, int],
    num_classes: int,
    features: bool,
    photographs: bool = True,
    preactivated: bool = False,
    stem_bias: bool = True,
) -> keras.Model:
    """Build a stem, stages of residual units, and the mean over what is left of the image (table 1, section 4.2).

    Args:
        name: of the model.
        unit: adds one residual unit.
        depths: units of each stage.
        filters: of the first stage; each further one has twice as many on maps of half the size.
        input_shape: (height, width, channels).
        num_classes: number of logits.
        features: return the last map of each size instead of logits.
        photographs: the stem for large images, a 7x7 convolution and a pooling, which makes maps a quarter of the size;
            otherwise one 3x3 convolution.
        preactivated: units that begin with a normalisation: the stem has none, the end has one more.
        stem_bias: whether the stem's convolution has a bias.
    """
    layers = keras.layers
    inputs = x = layers.Input(input_shape, name="image")
    if photographs:
        x = layers.ZeroPadding2D(3, name="conv1_pad")(x)
        x = _conv(x, 64, 7, "conv1", strides=2, bias=stem_bias, padding="valid")
        x = x if preactivated else _normalized(x, "conv1")
        x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
        x = layers.MaxPooling2D(3, 2, name="pool1_pool")(x)
    else:
        x = _conv(x, filters, 3, "conv1", bias=stem_bias)
        x = _normalized(x, "conv1")
    stages, stride = {}, 4 if photographs else 1
    for stage, depth in enumerate(depths):
        # A stage's first unit makes maps smaller, but for the first stage; a preactivated one's last, but for the last.
        at, never = (depth, len(depths) - 1) if preactivated else (1, 0)
        for number in range(1, depth + 1):
            strides = 2 if number == at and stage != never else 1
            stride *= strides
            x = unit(x, filters * 2**stage, strides, f"conv{stage + 2}_block{number}")
            stages[f"stride_{stride}"] = x
    x = _normalized(x, "post") if preactivated else x
    stages[f"stride_{stride}"] = x
    if features:
        return keras.Model(inputs, stages, name=name)
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    return keras.Model(inputs, layers.Dense(num_classes, dtype="float32", name="logits")(x), name=name)


_projected, _zero_filled = (functools.partial(_basic, project=project) for project in (True, False))
DOCUMENTATION = """

Args:
    input_shape: (height, width, channels).
    num_classes: number of logits.
    features: return the last map of each size instead of logits, as ``{"stride_4": ...}``; of a network that is
        normalised before its convolutions, the smallest alone is normalised and rectified.
"""


def _of_table_1(name: str, unit: Unit, depths: Sequence[int], *, counted: Cited = (), **facts: Any) -> Builder:
    """Register a network for photographs: four stages, the first with 64 filters (2015, table 1).

    `counted` are the multiply-accumulates in that table, and in torchvision's documentation.
    """
    sources = ("He et al. 2015, table 1", f"torchvision's documentation{IN_THE_3X3 if unit is _bottleneck else ''}")
    cited = [Counted(macs, source) for macs, source in zip(counted, sources, strict=False)]
    biased, v2 = unit is not _projected, unit is _preactivated_bottleneck

    def builder(
        *, input_shape: tuple[int, int, int] = (224, 224, 3), num_classes: int = 1000, features: bool = False
    ) -> keras.Model:
        size: dict[str, Any] = {"input_shape": input_shape, "num_classes": num_classes, "features": features}
        return _resnet(name, unit, depths, 64, **size, preactivated=v2, stem_bias=biased)

    what = "normalised before each convolution, so that the identity stays one" if v2 else "of the paper's table 1"
    units = "bottleneck units" if biased else "units of two 3x3 convolutions"
    builder.__name__ = builder.__qualname__ = name
    builder.__doc__ = f"ResNet-{name[6:].removesuffix('_v2')}, {what}: {sum(depths)} {units}.{DOCUMENTATION}"
    own = (LAST_UNIT_SHRINKS, V2_BIASES, FIRST_ACTIVATION, V2_POOLING) if v2 else (BIASES,) if biased else ()
    paper = IDENTITY_MAPPINGS if v2 else RESIDUAL_LEARNING
    return register(paper=paper, deviations=(*own, LOGITS), cited_macs=cited, **facts)(builder)


def _of_section_4_2(name: str, depth: int, *, epochs: int, reached: str, **facts: Any) -> Builder:
    """Register a network for small images: three stages of `depth` units, the first with 16 filters.

    `reached` is the accuracy on MNIST's test images in percent, mean and standard deviation of three seeds.
    """

    def builder(
        *, input_shape: tuple[int, int, int] = (28, 28, 1), num_classes: int = 10, features: bool = False
    ) -> keras.Model:
        size: dict[str, Any] = {"input_shape": input_shape, "num_classes": num_classes, "features": features}
        return _resnet(name, _zero_filled, (depth,) * 3, 16, **size, photographs=False, stem_bias=False)

    builder.__name__ = builder.__qualname__ = name
    builder.__doc__ = (
        f"ResNet-{name[6:]}, of the paper's section 4.2: three stages of {depth} units for small images, and no "
        f"parameter in a shortcut.{DOCUMENTATION}"
    )
    note = f"{RECIPE.note}: {reached} % on MNIST's test images (mean and standard deviation, n = 3 seeds)."
    recipes = {"default": RECIPE.override(epochs=epochs, note=note)}
    return register(paper=RESIDUAL_LEARNING, deviations=(DIGITS, LOGITS), recipes=recipes, **facts)(builder)


resnet18 = _of_table_1(
    "resnet18",
    _projected,
    (2, 2, 2, 2),
    params=11_699_112,
    trainable_params=11_689_512,
    macs=1_814_073_344,
    counted=(1.8e9, 1.81e9),
)
resnet34 = _of_table_1(
    "resnet34",
    _projected,
    (3, 4, 6, 3),
    params=21_814_696,
    trainable_params=21_797_672,
    macs=3_663_761_408,
    counted=(3.6e9, 3.66e9),
)
resnet50 = _of_table_1(
    "resnet50",
    _bottleneck,
    (3, 4, 6, 3),
    params=25_636_712,
    trainable_params=25_583_592,
    macs=3_857_973_248,
    counted=(3.8e9, 4.09e9),
)
resnet101 = _of_table_1(
    "resnet101",
    _bottleneck,
    (3, 4, 23, 3),
    params=44_707_176,
    trainable_params=44_601_832,
    macs=7_570_194_432,
    counted=(7.6e9, 7.8e9),
)
resnet152 = _of_table_1(
    "resnet152",
    _bottleneck,
    (3, 8, 36, 3),
    params=60_419_944,
    trainable_params=60_268_520,
    macs=11_282_415_616,
    counted=(11.3e9, 11.51e9),
)
resnet50_v2 = _of_table_1(
    "resnet50_v2",
    _preactivated_bottleneck,
    (3, 4, 6, 3),
    params=25_613_800,
    trainable_params=25_568_360,
    macs=3_482_255_360,
)
resnet101_v2 = _of_table_1(
    "resnet101_v2",
    _preactivated_bottleneck,
    (3, 4, 23, 3),
    params=44_675_560,
    trainable_params=44_577_896,
    macs=7_194_476_544,
)
resnet152_v2 = _of_table_1(
    "resnet152_v2",
    _preactivated_bottleneck,
    (3, 8, 36, 3),
    params=60_380_648,
    trainable_params=60_236_904,
    macs=10_906_697_728,
)

resnet20 = _of_section_4_2(
    "resnet20", 3, epochs=4, params=270_810, trainable_params=269_434, macs=30_821_248, reached="99.60 ± 0.04"
)
resnet32 = _of_section_4_2(
    "resnet32", 5, epochs=3, params=466_138, trainable_params=463_866, macs=52_497_280, reached="99.56 ± 0.07"
)
resnet44 = _of_section_4_2(
    "resnet44", 7, epochs=2, params=661_466, trainable_params=658_298, macs=74_173_312, reached="99.47 ± 0.02"
)
resnet56 = _of_section_4_2(
    "resnet56", 9, epochs=2, params=856_794, trainable_params=852_730, macs=95_849_344, reached="99.50 ± 0.04"
)
resnet110 = _of_section_4_2(
    "resnet110", 18, epochs=1, params=1_735_770, trainable_params=1_727_674, macs=193_391_488, reached="99.15 ± 0.09"
)
