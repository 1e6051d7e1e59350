"""Detectors and segmenters at their papers' sizes: every layer counted by hand, and beside it what is printed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tensorflow as tf

from zoo import registry
from zoo.errors import ModelError
from zoo.inspection import anatomy
from zoo.layers import L2Normalization

# Channels from layer to layer of VGG16's five stages (column D of its table 1)
VGG16 = {1: (3, 64, 64), 2: (64, 128, 128), 3: (128, 256, 256, 256), 4: (256, 512, 512, 512), 5: (512, 512, 512, 512)}
VGG16_CONVOLUTIONS = 14_714_688  # of them, biases included


def counted(model) -> dict[str, int]:
    """The parameters of every layer that has some."""
    return {row.name: row.params for row in anatomy.dissect(model).layers if row.params}


def vgg16_by_hand() -> dict[str, int]:
    """3x3 convolutions with biases."""
    return {
        f"block{stage}_conv{number}": 9 * seen * filters + filters
        for stage, channels in VGG16.items()
        for number, (seen, filters) in enumerate(itertools.pairwise(channels), start=1)
    }


def test_vgg16_is_counted_as_its_paper_does():
    """What the sums below share."""
    assert sum(vgg16_by_hand().values()) == VGG16_CONVOLUTIONS


# SegNet's decoder is the encoder mirrored, each stage ending in as many maps as the stage above it has (figure 2)
SEGNET_DECODER = {
    5: (512, 512, 512, 512),
    4: (512, 512, 512, 256),
    3: (256, 256, 256, 128),
    2: (128, 128, 64),
    1: (64, 64, 64),
}


def test_segnet_at_its_papers_size():
    """CamVid's 360x480 and 11 classes; the encoder has the paper's 14.7 million parameters (section 3).

    Normalisation takes the place of biases: 4 numbers for each map, 2 of them trained. The classifier is a 1x1
    convolution behind the last decoder, as the text has it; the authors' code makes it the last 3x3 convolution.
    """
    model = registry.create(
        "segnet",
        input_shape=(360, 480, 3),
        num_classes=11,
        filters=(64, 128, 256, 512, 512),
        depths=(2, 2, 3, 3, 3),
    )
    expected, maps = {"logits": 64 * 11 + 11}, 0
    for side, stages in (("encoder", VGG16), ("decoder", SEGNET_DECODER)):
        for stage, channels in stages.items():
            for number, (seen, filters) in enumerate(itertools.pairwise(channels), start=1):
                expected[f"{side}{stage}_conv{number}"] = 9 * seen * filters
                expected[f"{side}{stage}_conv{number}_norm"] = 4 * filters
                maps += filters
    assert counted(model) == expected
    assert model.count_params() == sum(expected.values()) == 29_488_779
    assert anatomy.dissect(model).trainable_params == sum(expected.values()) - 2 * maps
    encoder = sum(params for name, params in expected.items() if name.startswith("encoder") and "norm" not in name)
    assert round(encoder / 1e6, 1) == 14.7
    assert model.output_shape == (None, 360, 480, 11)


def test_unet_at_its_papers_size():
    """Figure 1: 572x572, one channel, two classes, 64 to 1,024 filters. The paper prints no number of parameters.

    Its convolutions have biases and no normalisation, which makes 31,030,658. Ours have 4 numbers for each map of the
    3x3 convolutions instead of one; padded, they end as large as the image, where the paper's end at 388x388.
    """
    model = registry.create("unet", input_shape=(572, 572, 1), num_classes=2, filters=(64, 128, 256, 512, 1024))
    expected = {"logits": 64 * 2 + 2}
    twice = {"down1": (1, 64), "down2": (64, 128), "down3": (128, 256), "down4": (256, 512), "bottom": (512, 1024)}
    for level, width in ((4, 512), (3, 256), (2, 128), (1, 64)):
        expected[f"up{level}_transposed"] = 2 * 2 * (2 * width) * width + width
        twice[f"up{level}"] = (2 * width, width)  # half of them from the way down
    maps = 0
    for name, (seen, filters) in twice.items():
        for number, channels in ((1, seen), (2, filters)):
            expected[f"{name}_conv{number}"] = 9 * channels * filters
            expected[f"{name}_norm{number}"] = 4 * filters
            maps += filters
    assert counted(model) == expected
    assert sum(expected.values()) - 3 * maps == 31_030_658
    assert model.count_params() == 31_030_658 + 3 * maps
    assert anatomy.dissect(model).trainable_params == 31_030_658 + maps
    assert model.output_shape == (None, 572, 572, 2)


@pytest.mark.parametrize("side", [224, 500])
def test_fcn_with_the_papers_backbone(side):
    """PASCAL VOC's 21 classes on VGG16, scored at strides 4, 8 and 16.

    The paper prints 134 million (table 1): VGG16's convolutions and its two hidden dense layers as convolutions, which
    are left out here.
    """
    model = registry.create("fcn", input_shape=(side, side, 3), num_classes=21, backbone="vgg16", backbone_options={})
    expected = {f"stride_{stride}_scores": maps * 21 + 21 for stride, maps in ((4, 256), (8, 512), (16, 512))}
    expected |= {f"stride_{stride}_enlarged": 4 * 4 * 21 * 21 + 21 for stride in (4, 8)}  # twice as large
    expected["image_enlarged"] = 8 * 8 * 21 * 21 + 21  # four times
    assert counted(model) == vgg16_by_hand() | expected
    assert model.count_params() == VGG16_CONVOLUTIONS + 69_342
    dense = 7 * 7 * 512 * 4096 + 4096 + 4096 * 4096 + 4096
    assert round((VGG16_CONVOLUTIONS + dense) / 1e6) == 134
    assert model.output_shape == (None, side, side, 21)


# SSD300 behind VGG16 (figure 2): kernel side, channels in, filters, side of the maps
SSD300_CONVOLUTIONS = {
    "conv6": (3, 512, 1024, 19),
    "conv7": (1, 1024, 1024, 19),
    "conv8_1": (1, 1024, 256, 19),
    "conv8_2": (3, 256, 512, 10),
    "conv9_1": (1, 512, 128, 10),
    "conv9_2": (3, 128, 256, 5),
    "conv10_1": (1, 256, 128, 5),
    "conv10_2": (3, 128, 256, 3),
    "conv11_1": (1, 256, 128, 3),
    "conv11_2": (3, 128, 256, 1),
}
# What is said of boxes: channels in, default boxes at each place, side of the maps
SSD300_MAPS = {
    "conv4_3": (512, 4, 38),
    "conv7": (1024, 6, 19),
    "conv8_2": (512, 6, 10),
    "conv9_2": (256, 6, 5),
    "conv10_2": (256, 4, 3),
    "conv11_2": (256, 4, 1),
}


# With COCO's 90 classes as torchvision's documentation has it: 35,641,826 parameters and 34.858 * 10^9 MACs
@pytest.mark.parametrize(("classes", "params", "billions"), [(20, 26_285_486, None), (90, 35_641_826, 34.858)])
def test_ssd300_is_the_papers(classes, params, billions):
    """Every layer counted by hand; 8,732 boxes (section 3.1, table 1)."""
    model = registry.create("ssd300", num_classes=classes)
    expected = vgg16_by_hand() | {"conv4_3_norm": 512}
    sides = {f"block{stage}": side for stage, side in zip(VGG16, (300, 150, 75, 38, 19), strict=True)}
    macs = {
        f"block{stage}_conv{number}": 9 * seen * filters * sides[f"block{stage}"] ** 2
        for stage, channels in VGG16.items()
        for number, (seen, filters) in enumerate(itertools.pairwise(channels), start=1)
    }
    for name, (size, seen, filters, side) in SSD300_CONVOLUTIONS.items():
        expected[name] = size**2 * seen * filters + filters
        macs[name] = size**2 * seen * filters * side**2
    for name, (seen, count, side) in SSD300_MAPS.items():
        values = count * (4 + 1 + classes)
        expected[f"{name}_boxes"] = 9 * seen * values + values
        macs[f"{name}_boxes"] = 9 * seen * values * side**2
    assert counted(model) == expected
    assert {row.name: row.macs for row in anatomy.dissect(model).layers if row.macs} == macs
    assert sum(expected.values()) == model.count_params() == params
    assert billions in (None, round(sum(macs.values()) / 1e9, 3))
    assert model.output_shape == (None, 8732, 4 + 1 + classes)
    # VGG16 sees 196 pixels at stride 16; then pool5, conv6 (6 apart), conv8_2 ... conv11_2, and what says the boxes
    seen = 196 + 2 * (16 + 6 * 16 + 16 + 32 + 64 + 64 + 64)
    assert anatomy.dissect(model).receptive_field == seen


def test_ssd300s_default_boxes_are_the_papers():
    """Of scale 0.1 on the first map (section 3.1), then 0.2 to 0.9 in equal steps (equation 4), 8,732 in all."""
    detector = registry.get("ssd300").task_value.detector
    default = detector.default_boxes((300, 300, 3))
    assert len(default) == sum(count * side**2 for _, count, side in SSD300_MAPS.values()) == 8732
    scales = [0.1, 0.2, 0.375, 0.55, 0.725, 0.9]
    start = 0
    for scale, (_, count, side) in zip(scales, SSD300_MAPS.values(), strict=True):
        first = default[start]
        assert first == pytest.approx([0.5 / side, 0.5 / side, scale, scale])
        ratios = {round(float(width / height), 3) for _, _, height, width in default[start : start + count]}
        assert ratios == ({1, 2, 0.5} if count == 4 else {1, 2, 0.5, 3, 0.333})
        start += count * side**2


@pytest.mark.parametrize("side", [257, 304, 308, 450])
def test_ssd300_takes_other_sizes(side):
    """Its maps are as large as its detector believes, where strides leave something over."""
    model = registry.create("ssd300", input_shape=(side, side + 7, 3))
    maps = [model.get_layer(f"{name}_boxes").output.shape[1:3] for name in SSD300_MAPS]
    assert maps == registry.get("ssd300").task_value.detector.grids((side, side + 7, 3))


# Darknet-53 (table 1 of YOLO's third paper): filters of each stage, and its residual units
DARKNET53 = {64: 1, 128: 2, 256: 8, 512: 8, 1024: 4}
# YOLO behind it: stride, filters of the narrow convolutions, channels that the first of them sees
YOLO_V3_MAPS = ((32, 512, 1024), (16, 256, 256 + 512), (8, 128, 128 + 256))


def normalised(size: int, seen: int, filters: int, name: str) -> dict[str, int]:
    """A convolution without biases and its normalisation."""
    return {name: size**2 * seen * filters, f"{name}_norm": 4 * filters}


def darknet53_by_hand() -> dict[str, int]:
    """Each unit halves the filters and doubles them again; a 3x3 convolution shrinks the maps before each stage."""
    layers, seen = normalised(3, 3, 32, "stem"), 32
    for stage, (filters, units) in enumerate(DARKNET53.items(), start=1):
        layers |= normalised(3, seen, filters, f"stage{stage}_down")
        for unit in range(1, units + 1):
            layers |= normalised(1, filters, filters // 2, f"stage{stage}_unit{unit}_conv1")
            layers |= normalised(3, filters // 2, filters, f"stage{stage}_unit{unit}_conv2")
        seen = filters
    return layers


def test_darknet53_is_the_papers():
    """Every layer counted by hand; 53 layers with weights, and within 1% the 18.7 * 10^9 operations of table 2."""
    model = registry.create("darknet53")
    expected = darknet53_by_hand() | {"logits": 1024 * 1000 + 1000}
    assert counted(model) == expected
    assert sum("norm" not in name for name in expected) == 53
    assert 2 * anatomy.count_macs(model) / 1e9 == pytest.approx(18.7, rel=0.01)
    sides = {name: maps.shape[1] for name, maps in registry.create("darknet53", features=True).output.items()}
    assert sides == {"stride_2": 128, "stride_4": 64, "stride_8": 32, "stride_16": 16, "stride_32": 8}


def test_yolo_v3_416_is_the_papers():
    """Every layer counted by hand, for COCO's 80 classes; 13x13, 26x26 and 52x52 cells with three anchors each."""
    model = registry.create("yolo_v3_416")
    expected = darknet53_by_hand()
    for stride, width, seen in YOLO_V3_MAPS:
        name = f"stride_{stride}"
        if stride < 32:
            expected |= normalised(1, 2 * width, width, f"{name}_reduced")
        for number in range(1, 7):
            size, filters = (1, width) if number % 2 else (3, 2 * width)
            expected |= normalised(size, seen, filters, f"{name}_conv{number}")
            seen = filters
        expected[f"{name}_boxes"] = seen * 3 * 85 + 3 * 85
    assert counted(model) == expected
    assert model.count_params() == sum(expected.values()) == 62_001_757
    statistics = sum(params for name, params in expected.items() if "norm" in name) // 2
    assert anatomy.dissect(model).trainable_params == 62_001_757 - statistics == 61_949_149
    assert model.output_shape == (None, 3 * (13**2 + 26**2 + 52**2), 85)


def test_yolo_v3s_anchors_are_the_papers():
    """Section 2.3 has width before height, in pixels of 416; the first map has the largest."""
    anchors = np.array(registry.get("yolo_v3_416").task_value.detector.anchors) * 416
    assert anchors[0, 2] == pytest.approx([326, 373])  # 373x326 pixels in the paper: wider than high
    assert anchors[2, 0] == pytest.approx([13, 10])
    assert (np.diff(anchors.prod(axis=2).mean(axis=1)) < 0).all()


def test_yolo_v3_416_takes_multiples_of_32():
    """Other sides are refused in plain words."""
    assert registry.create("yolo_v3_416", input_shape=(64, 96, 3)).output_shape == (None, 3 * 6 * 21, 85)
    with pytest.raises(ModelError, match=r"multiples of 32, received \(72, 96, 3\)"):
        registry.create("yolo_v3_416", input_shape=(72, 96, 3))


def test_vgg_may_pool_what_is_left_over():
    """75 places become 37, or with the last one pooled by itself 38."""
    for padding, sides in (("valid", [300, 150, 75, 37, 18]), ("same", [300, 150, 75, 38, 19])):
        model = registry.create("vgg16", input_shape=(300, 300, 3), features=True, pool_padding=padding)
        assert [maps.shape[1] for maps in model.output.values()] == sides


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_l2_normalisation_by_hand(dtype):
    """Divided by the root of the sum of squares over channels, times 20; nothing stays nothing, and has a gradient."""
    values = np.random.default_rng(0).normal(size=(2, 3, 3, 8)).astype("float32") * 30
    values[0, 0, 0] = 0
    length = np.sqrt((values**2).sum(axis=-1, keepdims=True))
    expected = 20 * values / np.where(length > 0, length, 1)
    layer = L2Normalization(20, dtype=dtype)
    inputs = tf.constant(values)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs)
    np.testing.assert_allclose(tf.cast(outputs, "float32"), expected, rtol=1e-5 if dtype == "float32" else 0.03)
    assert outputs.dtype == layer.compute_dtype
    assert np.isfinite(tape.gradient(outputs, inputs)).all()
    assert [tuple(weight.shape) for weight in layer.trainable_weights] == [(8,)]
