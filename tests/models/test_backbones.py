"""Detectors and segmenters on other backbones than their own, and what they answer in half precision."""

from __future__ import annotations

import keras
import pytest
from built_in_models import SCENES

from zoo import registry
from zoo.errors import ModelError

SMALL_BACKBONES = ("alexnet_small", "googlenet_small", "resnet20", "densenet_bc_small", "vgg_small")
HEADS = ("ssd", "yolo_v1", "yolo_v3")


@pytest.mark.parametrize("backbone", [*SMALL_BACKBONES, "darknet53", "resnet18"])
@pytest.mark.parametrize("head", HEADS)
def test_detectors_take_any_classifier_with_a_map_of_stride_four(head, backbone):
    """No name of a layer is used twice, and the boxes are those of the detector's own backbone."""
    usual = registry.create(head, input_shape=(64, 64, 3))
    assert registry.create(head, input_shape=(64, 64, 3), backbone=backbone).output_shape == usual.output_shape


@pytest.mark.parametrize("backbone", [*SMALL_BACKBONES, "alexnet", "zfnet", "googlenet", "resnet18"])
@pytest.mark.parametrize("size", [(96, 96), (100, 71), (67, 130)])
def test_fcn_is_as_large_as_its_image(backbone, size):
    """Backbones round sizes up, down, or lose a border to convolutions without padding."""
    model = registry.create("fcn", input_shape=(*size, 1), num_classes=4, backbone=backbone)
    assert model.output_shape == (None, *size, 4)


@pytest.mark.parametrize(
    ("head", "backbone", "complaint"),
    [
        ("fcn", "lenet5", "lenet5 does not return its maps"),
        ("ssd", "zfnet", "zfnet has maps of strides 2, 8, 16, and 4 is wanted"),
        ("yolo_v1", "alexnet", "a map of 22x22 at stride 4, where 24x24 is wanted for images of 96x96"),
    ],
)
def test_a_backbone_that_does_not_fit_is_refused(head, backbone, complaint):
    with pytest.raises(ModelError, match=complaint):
        registry.create(head, input_shape=(96, 96, 1), backbone=backbone)


def test_options_belong_to_their_backbone():
    """Nobody asked resnet20 for filters, so it is not given vgg_small's; what is given counts."""
    usual, given = registry.create("fcn"), registry.create("fcn", backbone_options={"filters": [8, 8, 8]})
    assert given.count_params() < usual.count_params()
    assert registry.create("fcn", backbone_options={}).count_params() > usual.count_params()


@pytest.mark.parametrize("name", SCENES)
def test_what_is_answered_is_computed_in_float32(name):
    """A logit of 10 in bfloat16 is one of two that lie 1/16 apart, and a cast at the end brings nothing back."""
    model = registry.create(name, precision="mixed_bfloat16")
    assert any(layer.compute_dtype == "bfloat16" for layer in model.layers)
    behind = [model.operations[-1]]
    while behind:
        layer = behind.pop()
        assert layer.compute_dtype == "float32", layer.name
        if not isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense)):
            behind += [
                tensor._keras_history.operation for node in layer._inbound_nodes for tensor in node.input_tensors
            ]
