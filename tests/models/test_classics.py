"""The published networks: parameters, MACs and outputs against Keras' own, and against sums by hand from the papers."""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np
import pytest
from built_in_models import LARGE, SMALL

from zoo import load_run, register, registry
from zoo.errors import ModelError, RecipeError
from zoo.inspection import anatomy
from zoo.layers import LocalResponseNormalization
from zoo.tasks.classification import Classification
from zoo.training.trainer import train


class Printed(NamedTuple):
    """What others print of a network: parameters with 1,000 classes, or with the paper's."""

    twin: str = ""
    """Its class in keras.applications"""
    params: int | None = None
    """All parameters, in Keras' documentation"""
    trainable: int | None = None
    """Trainable parameters, in torchvision's documentation (version 0.21)"""
    paper: tuple[float, int] | None = None
    """Millions of trainable parameters in its paper, and to how many decimals"""


PRINTED = {
    "alexnet": Printed(paper=(60, -1)),  # abstract
    "vgg11": Printed(trainable=132_863_336),
    "vgg13": Printed(trainable=133_047_848),
    "vgg16": Printed("VGG16", 138_357_544, 138_357_544),
    "vgg19": Printed("VGG19", 143_667_240, 143_667_240),
    "resnet18": Printed(trainable=11_689_512),
    "resnet34": Printed(trainable=21_797_672),
    "resnet50": Printed("ResNet50", 25_636_712),
    "resnet101": Printed("ResNet101", 44_707_176),
    "resnet152": Printed("ResNet152", 60_419_944),
    "resnet50_v2": Printed("ResNet50V2", 25_613_800),
    "resnet101_v2": Printed("ResNet101V2", 44_675_560),
    "resnet152_v2": Printed("ResNet152V2", 60_380_648),
    "resnet20": Printed(paper=(0.27, 2)),  # these five: table 6
    "resnet32": Printed(paper=(0.46, 2)),
    "resnet44": Printed(paper=(0.66, 2)),
    "resnet56": Printed(paper=(0.85, 2)),
    "resnet110": Printed(paper=(1.7, 1)),
    "densenet121": Printed("DenseNet121", 8_062_504, 7_978_856),
    "densenet169": Printed("DenseNet169", 14_307_880, 14_149_480),
    "densenet201": Printed("DenseNet201", 20_242_984, 20_013_928),
}


@pytest.mark.parametrize("name", PRINTED)
def test_parameters_are_those_that_others_print(name):
    """The conformance kit holds the declared numbers against the built models; here they meet the literature."""
    printed, spec = PRINTED[name], registry.get(name)
    assert printed.params in (None, spec.params)
    assert printed.trainable in (None, spec.trainable_params)
    if printed.paper:
        millions, decimals = printed.paper
        assert round(spec.trainable_params / 1e6, decimals) == millions


# The layers that ours calls otherwise: everything else has Keras' names
RENAMED = {"predictions": "logits"}


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Copy layer by layer, by name."""
    ours = {layer.name: layer for layer in target.layers if layer.weights}
    theirs = {RENAMED.get(layer.name, layer.name): layer for layer in source.layers if layer.weights}
    assert set(ours) == set(theirs)
    for name, layer in theirs.items():
        ours[name].set_weights(layer.get_weights())


def draw_statistics(model: keras.Model) -> None:
    """Give every normalisation weights and statistics of its own: those it starts with would hide half of it."""
    random = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, printed in PRINTED.items() if printed.twin])
def test_the_network_is_keras_own(name):
    """As many parameters and MACs, and with the same weights the same outputs, to 1e-4 of the largest."""
    twin = getattr(keras.applications, PRINTED[name].twin)(weights=None, classifier_activation=None)
    ours = registry.create(name)
    assert ours.count_params() == twin.count_params() == PRINTED[name].params == registry.get(name).params
    assert anatomy.count_macs(ours) == anatomy.count_macs(twin) == registry.get(name).macs
    draw_statistics(twin)
    copy_weights(twin, ours)
    images = np.random.default_rng(0).random((2, 224, 224, 3), dtype="float32")
    expected = np.asarray(twin(images, training=False))
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(ours(images, training=False), expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["resnet50", "resnet50_v2", "densenet121"])
def test_small_copies_of_the_network_are_keras_own(name):
    """The same on 64x64 images in a second, so that the long tests are seldom needed."""
    options = {"input_shape": (64, 64, 3), "weights": None, "classes": 10, "classifier_activation": None}
    twin = getattr(keras.applications, PRINTED[name].twin)(**options)
    ours = registry.create(name, input_shape=(64, 64, 3), num_classes=10)
    assert ours.count_params() == twin.count_params()
    draw_statistics(twin)
    copy_weights(twin, ours)
    images = np.random.default_rng(0).random((2, 64, 64, 3), dtype="float32")
    expected = np.asarray(twin(images, training=False))
    np.testing.assert_allclose(ours(images, training=False), expected, rtol=0, atol=1e-4 * np.abs(expected).max())


# AlexNet, by hand from section 3.5: kernel side, channels that a kernel sees, filters, side of the maps
ALEXNET_CONVOLUTIONS = {
    "conv1": (11, 3, 96, 55),
    "conv2": (5, 48, 256, 27),
    "conv3": (3, 256, 384, 13),
    "conv4": (3, 192, 384, 13),
    "conv5": (3, 192, 256, 13),
}
ALEXNET_DENSE = {"fc6": (6 * 6 * 256, 4096), "fc7": (4096, 4096), "logits": (4096, 1000)}


def alexnet_by_hand() -> dict[str, tuple[int, int]]:
    """Parameters and MACs of each layer that has some."""
    counts = {}
    for name, (size, seen, filters, side) in ALEXNET_CONVOLUTIONS.items():
        weights = size**2 * seen * filters
        counts[name] = (weights + filters, weights * side**2)
    for name, (inputs, units) in ALEXNET_DENSE.items():
        counts[name] = (inputs * units + units, inputs * units)
    return counts


def test_local_response_normalisation_is_the_papers():
    """Section 3.3's formula, written as the paper has it, one value at a time."""
    values = np.random.default_rng(0).normal(size=(1, 2, 2, 7)).astype("float32") * 30
    expected = np.empty_like(values)
    for i in range(7):
        neighbours = values[..., max(0, i - 2) : min(6, i + 2) + 1]
        expected[..., i] = values[..., i] / (2 + 1e-4 * (neighbours**2).sum(axis=-1)) ** 0.75
    np.testing.assert_allclose(LocalResponseNormalization()(values), expected, rtol=1e-5)


# GoogLeNet, the paper's table 1: side of the maps, channels in, the six numbers of a module, and what the table prints
# for parameters and for operations, in thousands and in millions
GOOGLENET_MODULES = {
    "3a": (28, 192, (64, 96, 128, 16, 32, 32), 159, 128),
    "3b": (28, 256, (128, 128, 192, 32, 96, 64), 380, 304),
    "4a": (14, 480, (192, 96, 208, 16, 48, 64), 364, 73),
    "4b": (14, 512, (160, 112, 224, 24, 64, 64), 437, 88),
    "4c": (14, 512, (128, 128, 256, 24, 64, 64), 463, 100),
    "4d": (14, 512, (112, 144, 288, 32, 64, 64), 580, 119),
    "4e": (14, 528, (256, 160, 320, 32, 128, 128), 840, 170),
    "5a": (7, 832, (256, 160, 320, 32, 128, 128), 1072, 54),
    "5b": (7, 832, (384, 192, 384, 48, 128, 128), 1388, 71),
}


def googlenet_by_hand() -> dict[str, tuple[int, int]]:
    """Parameters and MACs of each layer that has some."""
    counts = {
        "conv1": (7 * 7 * 3 * 64 + 64, 7 * 7 * 3 * 64 * 112**2),
        "conv2_reduce": (64 * 64 + 64, 64 * 64 * 56**2),
        "conv2": (3 * 3 * 64 * 192 + 192, 3 * 3 * 64 * 192 * 56**2),
        "logits": (1024 * 1000 + 1000, 1024 * 1000),
    }
    for name, (side, seen, (one, reduce3, three, reduce5, five, pooled), *_) in GOOGLENET_MODULES.items():
        kernels = {
            "1x1": (1, seen, one),
            "3x3_reduce": (1, seen, reduce3),
            "3x3": (3, reduce3, three),
            "5x5_reduce": (1, seen, reduce5),
            "5x5": (5, reduce5, five),
            "pool_proj": (1, seen, pooled),
        }
        for branch, (size, channels, filters) in kernels.items():
            weights = size**2 * channels * filters
            counts[f"inception_{name}_{branch}"] = (weights + filters, weights * side**2)
    return counts


@pytest.mark.slow
@pytest.mark.parametrize(("name", "by_hand"), [("alexnet", alexnet_by_hand()), ("googlenet", googlenet_by_hand())])
def test_every_layer_is_as_the_paper_has_it(name, by_hand):
    """Every layer counted by hand; their sums are what is declared."""
    rows = anatomy.dissect(registry.create(name)).layers
    assert {row.name: (row.params, row.macs) for row in rows if row.params} == by_hand
    spec = registry.get(name)
    assert tuple(map(sum, zip(*by_hand.values(), strict=True))) == (spec.params, spec.macs)


# Where the table prints something else than its own six numbers give, by more than 2%: what they give
GOOGLENET_MISPRINTS = {"4c": (498, 100), "5a": (1018, 51)}


def test_googlenets_table_agrees_with_itself():
    """The paper's thousands are of 1,024, its millions of 10^6, and two of its rows are misprints."""
    differing = {}
    for name, (
        side,
        seen,
        (one, reduce3, three, reduce5, five, pooled),
        params,
        operations,
    ) in GOOGLENET_MODULES.items():
        weights = seen * (one + reduce3 + reduce5 + pooled) + 9 * reduce3 * three + 25 * reduce5 * five
        ours = round(weights / 1024), round(weights * side**2 / 1e6)
        if abs(ours[0] / params - 1) > 0.02 or abs(ours[1] / operations - 1) > 0.02:
            differing[name] = ours
    assert differing == GOOGLENET_MISPRINTS


@pytest.mark.parametrize("name", [name for name in SMALL if "features" in registry.get(name).options])
def test_features_are_the_stages_maps(name):
    """A dictionary of maps, named by how many pixels of the image one of their values stands for."""
    model = registry.create(name, features=True)
    assert isinstance(model.output, dict)
    for key, maps in model.output.items():
        stride = int(key.removeprefix("stride_"))
        assert maps.shape[1] in (28 // stride, -(-28 // stride))  # with or without padding
    strides = [int(key.removeprefix("stride_")) for key in model.output]
    assert strides == sorted(strides)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in LARGE if "features" in registry.get(name).options])
def test_features_of_the_large_are_the_stages_maps(name):
    """The same, where the paper's paddings may make a map smaller by a value or two."""
    model = registry.create(name, features=True)
    side = registry.get(name).input_shape[0]
    for key, maps in model.output.items():
        assert abs(maps.shape[1] - side / int(key.removeprefix("stride_"))) <= 2, key


def test_models_that_return_features_are_not_trained(tiny_digits):
    """There are no classes to train for."""
    with pytest.raises(RecipeError, match="with features=True a model returns maps, not classes"):
        train("vgg_small", dataset=tiny_digits, model_options={"features": True}, epochs=1)


def test_auxiliary_outputs_count_in_training_alone(tiny_digits, tmp_path, registry_undone):
    """The loss is the first output's and 0.3 of the others'; the model that comes out answers once."""
    labels = np.array([1, 0])
    outputs = [np.array([[0.0, 2.0], [1.0, 0.0]], "float32"), np.array([[3.0, 0.0], [0.0, 1.0]], "float32")]
    one, other = (np.log(np.exp(each).sum(axis=1)) - each[[0, 1], labels] for each in outputs)
    task = Classification()
    np.testing.assert_allclose(task.loss(labels, outputs), one + 0.3 * other, rtol=1e-5)
    np.testing.assert_allclose(task.for_evaluation().loss(labels, outputs), one, rtol=1e-5)
    assert int(task.count_correct(labels, outputs)) == 2

    @register(task="classification")
    def two_headed(*, input_shape=(28, 28, 1), num_classes=10):
        inputs = keras.Input(input_shape)
        x = keras.layers.Flatten()(inputs)
        heads = [keras.layers.Dense(num_classes, name=name)(x) for name in ("logits", "aux")]
        return keras.Model(inputs, heads)

    run = train("two_headed", dataset=tiny_digits, epochs=10, learning_rate=0.01, output=tmp_path / "run")
    assert run.model.output_shape == (None, 10)
    assert run.metrics["test_accuracy"] > 0.5
    first, last = (run.document["history"][number]["loss"] for number in (0, -1))
    assert last < first
    loaded = load_run(tmp_path / "run").model
    assert loaded.output_shape == (None, 10)


@pytest.mark.slow
def test_googlenets_auxiliary_classifiers_are_the_papers():
    """Figure 3: averaged to 4x4, 128 filters, 1,024 units; behind 4a (512 maps) and 4d (528)."""
    model = registry.create("googlenet", aux=True)
    assert [output.shape for output in model.outputs] == [(None, 1000)] * 3
    for name, seen in (("aux1", 512), ("aux2", 528)):
        assert model.get_layer(f"{name}_pool").output.shape == (None, 4, 4, seen)
        assert model.get_layer(f"{name}_conv").count_params() == seen * 128 + 128
        assert model.get_layer(f"{name}_fc").count_params() == 4 * 4 * 128 * 1024 + 1024


def test_receptive_fields_are_those_of_a_sum_by_hand():
    """LeNet-5: 5, pooled 6, then 5 at twice the stride 14; what follows is dense."""
    assert anatomy.dissect(registry.create("lenet5")).receptive_field == 14
    small = registry.create("vgg16", input_shape=(32, 32, 3), num_classes=2)
    assert anatomy.dissect(small).receptive_field == 196  # 1 + 2 * (2*1 + 2*2 + 3*4 + 3*8 + 3*16) + 1 + 2 + 4 + 8
    assert anatomy.dissect(registry.create("googlenet", input_shape=(64, 64, 3))).receptive_field == 715  # by 5b's 5x5
    inputs = keras.Input((16, 16, 1))
    enlarged = keras.layers.Conv2D(2, 3)(keras.layers.UpSampling2D()(inputs))
    assert anatomy.dissect(keras.Model(inputs, enlarged)).receptive_field is None


@pytest.mark.parametrize("name", [name for name in sorted(registry.built_ins()) if registry.get(name).cited_macs])
def test_cited_macs_are_near_ours(name):
    """What others count differs by no more than their variant: strides in another layer are 6% (ResNet-50)."""
    spec = registry.get(name)
    for cited in spec.cited_macs:
        assert abs(cited.macs / spec.macs - 1) < 0.07, cited


def test_a_saved_network_with_a_layer_of_zoos_opens_in_another_process(python, tmp_path):
    """Keras finds the class by its registered name, which nobody has imported there."""
    small = registry.create("googlenet", input_shape=(32, 32, 3), num_classes=2)
    small.save(tmp_path / "model.keras")
    load = "import sys; from pathlib import Path; from zoo.runs.serialization import load_model"
    result = python("-c", f"{load}; print(load_model(Path(sys.argv[1])).name)", tmp_path / "model.keras")
    assert result.stdout.strip() == "googlenet", result.stderr


def test_layers_that_share_a_rule_draw_apart():
    """AlexNet's dense layers do not begin with the same numbers."""
    model = registry.create("alexnet", input_shape=(67, 67, 1), num_classes=2)
    first, second = (np.asarray(model.get_layer(name).kernel) for name in ("fc6", "fc7"))
    assert not np.array_equal(first[:10, :10], second[:10, :10])
    assert first.std() == pytest.approx(0.01, rel=0.05)
    assert (np.asarray(model.get_layer("fc6").bias) == 1).all()


def test_a_classifier_that_returns_a_dictionary_is_refused(registry_undone):
    """Nobody could tell which of its outputs is the answer; a list's is the first."""

    @register(task="classification")
    def named_heads(*, input_shape=(28, 28, 1), num_classes=10):
        inputs = keras.Input(input_shape)
        x = keras.layers.Flatten()(inputs)
        return keras.Model(inputs, {name: keras.layers.Dense(num_classes)(x) for name in ("coarse", "fine")})

    with pytest.raises(ModelError, match="its output is a dictionary of coarse, fine"):
        registry.create("named_heads")
