"""Model files as people have them: compiled, sliced, of any layer of Keras; and as an attacker would make them."""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras.src.api_export import REGISTERED_NAMES_TO_OBJS  # what Keras looks names up in

from zoo.errors import RunError
from zoo.runs import model_config
from zoo.runs.serialization import load_model

IMAGES = np.random.default_rng(0).random((3, 28, 28, 1), dtype="float32") * 255


def _classifier(*layers: keras.layers.Layer) -> keras.Model:
    head = [keras.layers.Flatten(), keras.layers.Dense(10)]
    return keras.Sequential([keras.Input((28, 28, 1)), *layers, *head])


def _opens(model: keras.Model, path: Path, images: np.ndarray = IMAGES) -> keras.Model:
    """Save and open a model; it must come back uncompiled and compute the same."""
    model.save(path)
    opened = load_model(path)
    assert not opened.compiled
    np.testing.assert_allclose(opened.predict_on_batch(images), model.predict_on_batch(images), atol=1e-6)
    return opened


def _rewritten(path: Path, change: Callable[[dict[str, bytes]], None], model: keras.Model | None = None) -> Path:
    """Save a small model, or the one given, and have `change` change the members of the archive in place."""
    whole = path.with_name("whole.keras")
    (model or _classifier(keras.layers.ReLU(name="victim"))).save(whole)
    with zipfile.ZipFile(whole) as old:
        members = {name: old.read(name) for name in old.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as new:
        for name, content in members.items():
            new.writestr(name, content)
    return path


def _edited(path: Path, edit: Callable[[dict[str, Any]], None], model: keras.Model | None = None) -> Path:
    """Save a small model, or the one given, and have `edit` change its configuration in place."""

    def change(members: dict[str, bytes]) -> None:
        config = json.loads(members["config.json"])
        edit(config)
        members["config.json"] = json.dumps(config).encode()

    return _rewritten(path, change, model)


def _victim(config: dict[str, Any]) -> dict[str, Any]:
    return config["config"]["layers"][1]


@keras.saving.register_keras_serializable(package="elsewhere")
def own_function(values: Any) -> Any:
    """Somebody's activation, loss or metric."""
    return values * 3.0


@keras.saving.register_keras_serializable(package="elsewhere")
class OwnModel(keras.Model):
    """A subclassed model, as the guides of Keras write it."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(10)

    def call(self, inputs: Any) -> Any:
        return self.dense(keras.ops.reshape(inputs, (-1, 784)))


# Compiled


def own_loss(truth: Any, prediction: Any) -> Any:
    """A loss that is registered nowhere."""
    return keras.ops.mean(keras.ops.abs(truth - prediction))


SCHEDULE = keras.optimizers.schedules.CosineDecay(0.1, 100)
COMPILED = {
    "by names": {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
    "by objects": {
        "optimizer": keras.optimizers.SGD(SCHEDULE, momentum=0.9, nesterov=True),
        "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "metrics": [keras.metrics.SparseTopKCategoricalAccuracy(k=2)],
    },
    "with an own loss": {"optimizer": keras.optimizers.AdamW(), "loss": own_loss, "metrics": [own_function]},
    "with a scaled loss": {"optimizer": keras.optimizers.LossScaleOptimizer(keras.optimizers.RMSprop()), "loss": "mse"},
}


@pytest.mark.parametrize("how", COMPILED)
def test_a_compiled_model_is_opened_without_what_it_was_compiled_with(how, tmp_path):
    """Optimizers, schedules, losses and metrics stay in the file, somebody's own among them."""
    model = _classifier(keras.layers.Conv2D(2, 3, activation="relu"))
    model.compile(**COMPILED[how])
    _opens(model, tmp_path / "model.keras")


def test_a_trained_model_is_opened(tmp_path):
    """The optimizer's variables lie among the weights."""
    model = _classifier()
    model.compile("adam", "mse", metrics=["mae"])
    model.train_on_batch(IMAGES, np.zeros((3, 10)))
    _opens(model, tmp_path / "model.keras")


def test_compiled_networks_inside_a_network_are_opened(tmp_path):
    """As in transfer learning: Keras would compile the inner one, for which it lacks the loss."""
    inner = _classifier(keras.layers.Conv2D(2, 3))
    inner.compile("adam", own_loss)
    inputs = keras.Input((28, 28, 1))
    model = keras.Model(inputs, keras.layers.Dense(4)(keras.Sequential([inner])(inputs)))
    model.compile("sgd", "mse")
    opened = _opens(model, tmp_path / "model.keras")
    assert not any(layer.compiled for layer in opened._flatten_layers() if isinstance(layer, keras.Model))
    assert [file.name for file in tmp_path.iterdir()] == ["model.keras"]


# What networks are made of


SLICES = {
    "rows and columns": lambda x: x[:, 2:26, 2:26],
    "every other": lambda x: x[:, ::2, ::-2],
    "an ellipsis": lambda x: x[..., :1],
    "one row": lambda x: x[:, 3],
    "a new axis": lambda x: x[:, None, 4:],
}


@pytest.mark.parametrize("how", SLICES)
def test_slicing_between_layers_is_opened(how, tmp_path):
    """Keras writes the brackets as __slice__ and __ellipsis__."""
    inputs = keras.Input((28, 28, 1))
    outputs = keras.layers.Dense(10)(keras.layers.Flatten()(SLICES[how](inputs)))
    _opens(keras.Model(inputs, outputs), tmp_path / "model.keras")


def test_operations_with_arrays_are_opened(tmp_path):
    """Arrays, activations by their own classes, and functions of keras.ops between layers."""
    inputs = keras.Input((28, 28, 1))
    x = keras.ops.where(inputs > 128.0, inputs, np.full((28, 28, 1), 2.0, "float32"))
    x = keras.activations.relu(keras.ops.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)]), max_value=6)
    x = keras.src.applications.inception_resnet_v2.CustomScaleLayer(0.2)([x, x])  # in no module of public names
    x = keras.ops.concatenate([x, keras.ops.image.resize(inputs, (30, 30))], axis=-1)
    outputs = keras.layers.Dense(10)(keras.ops.reshape(keras.activations.gelu(x), (-1, 1800)))
    _opens(keras.Model(inputs, outputs), tmp_path / "model.keras")


def _adapted() -> keras.layers.Layer:
    layer = keras.layers.Normalization()
    layer.adapt(IMAGES)
    return layer


def _less_known() -> dict[str, list[keras.layers.Layer]]:
    layers, cells = keras.layers, keras.layers.StackedRNNCells([keras.layers.GRUCell(3), keras.layers.LSTMCell(2)])
    convnext = keras.src.applications.convnext
    rows = layers.Reshape((28, 28))
    return {
        "LayerScale": [layers.Conv2D(4, 3), convnext.LayerScale(0.5, 4), convnext.StochasticDepth(0.1)],
        "augmentation": [layers.RandomFlip(), layers.RandomRotation(0.1, seed=3), layers.Rescaling(1 / 255)],
        "pipeline": [layers.Pipeline([layers.RandomZoom(0.1), layers.CenterCrop(20, 20)])],
        "normalisation": [_adapted(), layers.GroupNormalization(1), layers.UnitNormalization()],
        "spectral": [layers.SpectralNormalization(layers.Conv2D(2, 3)), layers.PReLU(), layers.LayerNormalization()],
        "recurrent": [rows, layers.Bidirectional(layers.LSTM(3, return_sequences=True)), layers.RNN(cells)],
        "patches": [layers.Conv2D(8, 7, 7), layers.Reshape((16, 8)), layers.EinsumDense("abc,cd->abd", (16, 6))],
        "scaled": [
            layers.Conv2D(1, 3, kernel_initializer=keras.initializers.HeNormal(seed=keras.random.SeedGenerator(1)))
        ],
    }


@pytest.mark.parametrize("which", _less_known())
def test_less_known_layers_are_opened(which, tmp_path):
    """Whatever Keras calls a layer, wherever in Keras it lives."""
    _opens(_classifier(*_less_known()[which]), tmp_path / "model.keras")


def test_quantized_layers_are_opened(tmp_path):
    """Keras' own quantisation writes policies, quantisers and their settings."""
    model = _classifier()
    model.quantize("int8")
    _opens(model, tmp_path / "model.keras")


def test_every_name_that_keras_would_find_is_the_thing_looked_at():
    """Names are looked up without Keras' private registry: nothing may hide behind another name there."""
    compared = 0
    for path, found in REGISTERED_NAMES_TO_OBJS.items():
        module, _, name = path.rpartition(".")
        if isinstance(found, type) and module in sys.modules:
            assert model_config._of_keras(module, name) is found, path
            compared += 1
    assert compared > 300


APPLICATIONS = {
    "ConvNeXtTiny": 32, "DenseNet121": 32, "EfficientNetB0": 32, "EfficientNetV2B0": 32, "EfficientNetV2S": 32,
    "InceptionResNetV2": 75, "InceptionV3": 75, "MobileNet": 32, "MobileNetV2": 32, "MobileNetV3Large": 32,
    "MobileNetV3Small": 32, "NASNetMobile": 32, "ResNet50": 32, "ResNet50V2": 32, "VGG16": 32, "VGG19": 32,
    "Xception": 71,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", APPLICATIONS)
def test_each_family_of_keras_applications_is_opened(name, tmp_path):
    """Built without weights, compiled, saved."""
    size = APPLICATIONS[name]
    builder = getattr(keras.applications, name)
    model = builder(weights=None, input_shape=(size, size, 3), classes=10, classifier_activation=None)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    images = np.random.default_rng(0).random((2, size, size, 3), dtype="float32") * 255
    _opens(model, tmp_path / "model.keras", images)


# What is refused


def test_a_subclassed_model_is_refused_with_the_next_step(tmp_path):
    """Its code is not in the file: who trusts it imports it."""
    model = OwnModel()
    model(IMAGES)
    model.save(tmp_path / "model.keras")
    words = r"holds 'test_model_files\.OwnModel', which is neither .* if you trust it, import it in Python and load"
    with pytest.raises(RunError, match=words):
        load_model(tmp_path / "model.keras")
    assert load_model(tmp_path / "model.keras", packages={"elsewhere"}).name == model.name


def test_an_own_activation_is_refused_by_its_name(tmp_path):
    """Registered nowhere, Keras writes it as a function of no module."""

    def steep(values: Any) -> Any:
        return values * 9.0

    _classifier(keras.layers.Activation(steep)).save(tmp_path / "model.keras")
    with pytest.raises(RunError, match=r"holds 'steep', which is neither .* import it in Python"):
        load_model(tmp_path / "model.keras")


CODE = {"class_name": "__lambda__", "config": {"value": ["4wAA", None, None]}}
UNSAFE_CALL = {"module": "keras.config", "class_name": "function", "config": "enable_unsafe_deserialization"}


def _object(module: str | None, name: str, config: Any = None, **more: Any) -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": {} if config is None else config, **more}


def _function(module: str | None, name: str) -> dict[str, Any]:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


AS_ACTIVATION = {
    "a lambda": CODE,
    "of the machine": _function("os", "system"),  # CVE-2025-1550
    "of Python": _function("builtins", "exec"),
    "fetching files": _function("keras.utils", "get_file"),  # CVE-2025-8747, CVE-2025-12060
    "fetching files, as a class": _object("keras.utils", "get_file", {"fname": "x", "origin": "file:///etc/passwd"}),
    "turning the guard off": UNSAFE_CALL,  # CVE-2025-9906
    "loading another file": _function("keras.models", "load_model"),
    "loading weights": _function("keras.saving", "load_weights"),
    "a layer that is code": _function("keras.layers", "Lambda"),
    "building from a dictionary": _function("keras.activations", "deserialize"),
    "looking up": _function("builtins", "get"),
    "a network with downloaded weights": _function("keras.applications.vgg16", "VGG16"),
    "a dataset": _function("keras.datasets.mnist", "load_data"),
    "an optimizer": _object("keras.optimizers", "Adam", {"learning_rate": 0.1}),
    "a loss": _object("keras.losses", "MeanSquaredError"),
    "a type of TensorFlow": {**_object("tensorflow", "__typespec__", []), "spec_name": "RaggedTensorSpec"},
    "somebody's function": _function("builtins", "elsewhere>own_function"),
    "somebody's function, by its name alone": _function("builtins", "own_function"),
    "somebody's function, as a value": _object("keras.activations", "elsewhere>own_function"),
    "a name that is none": _object("keras.activations", ["relu"]),
    "a function without a name": {"module": "builtins", "class_name": "function", "config": {"a": 1}},
}


@pytest.mark.parametrize("what", AS_ACTIVATION)
def test_activations_that_are_something_else_are_refused(what, tmp_path):
    """In the place where a network has a function."""
    layer = _object("keras.layers", "Activation", {"activation": AS_ACTIVATION[what], "name": "victim"})
    path = _edited(tmp_path / "model.keras", lambda config: _victim(config).update(layer))
    with pytest.raises(RunError, match=r"model\.keras holds .* it is not loaded"):
        load_model(path)


AS_LAYER = {
    "a Lambda by its home": _object("keras.src.layers.core.lambda_layer", "Lambda", {"function": CODE}),
    "a Lambda of Keras 2": {"class_name": "Lambda", "config": {"function": ["4wAA", None, None]}},  # CVE-2024-3660
    "a Lambda around a download": _object("keras.layers", "Lambda", {"function": _function("keras.utils", "get_file")}),
    "a SavedModel": _object("keras.src.export.tfsm_layer", "TFSMLayer", {"filepath": "/tmp/model"}),
    "a pickle": _object("keras.src.utils.torch_utils", "TorchModuleWrapper", {"module": "gASVAAAA"}),
    "Flax": _object("keras.src.utils.jax_layer", "FlaxLayer"),
    "a function of Keras": _object("keras.saving", "load_model", {"filepath": "/etc/passwd"}),
    "a class of Keras that is no layer": _object("keras.src.callbacks.model_checkpoint", "ModelCheckpoint"),
    "a module that is not there yet": _object("keras.src.nowhere", "Dense"),
    "a module of the machine": _object("subprocess", "Popen", {"args": "true"}),
    "no module": _object(None, "Dense", {"units": 10}),
    "the old format, without a module": {"class_name": "Dense", "config": {"units": 10}},
    "a registered class behind a layer's name": _object("keras.layers", "ReLU", registered_name="elsewhere>OwnModel"),
    "a registered class as the class": _object("keras.layers", "elsewhere>OwnModel"),
    "a registered name that is none": _object("keras.layers", "ReLU", registered_name=["elsewhere>OwnModel"]),
}


@pytest.mark.parametrize("what", AS_LAYER)
def test_layers_that_are_something_else_are_refused(what, tmp_path):
    """In the place where a network has a layer."""

    def replace(config: dict[str, Any]) -> None:
        config["config"]["layers"][1] = AS_LAYER[what]

    modules = set(sys.modules)
    with pytest.raises(RunError, match=r"model\.keras holds .* it is not loaded"):
        load_model(_edited(tmp_path / "model.keras", replace))
    assert not {name for name in set(sys.modules) - modules if name.startswith(("keras.src.nowhere", "antigravity"))}


@pytest.mark.parametrize("layer", ["StringLookup", "IntegerLookup", "TextVectorization"])
def test_a_layer_that_reads_a_file_is_refused(layer, tmp_path):
    """CVE-2025-12058: the vocabulary of a lookup may be a path, or an address."""
    reader = _object("keras.layers", layer, {"vocabulary": "/etc/passwd", "name": "victim"})
    path = _edited(tmp_path / "model.keras", lambda config: _victim(config).update(reader))
    with pytest.raises(RunError, match=rf"holds a {layer} layer that reads the file '/etc/passwd': it is not loaded"):
        load_model(path)


def test_a_registered_name_in_the_place_of_a_value_is_refused(tmp_path):
    """Keras takes the string for the object."""

    def name(config: dict[str, Any]) -> None:
        _victim(config)["config"]["extra"] = {"deep": ["elsewhere>own_function"]}

    with pytest.raises(RunError, match=r"holds 'elsewhere>own_function', which is neither"):
        load_model(_edited(tmp_path / "model.keras", name))


def _nested() -> keras.Model:
    inner = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.ReLU()], name="inner")
    return _classifier(inner)


EVIL = {"optimizer": _object("keras.optimizers", "Adam"), "loss": CODE, "metrics": [UNSAFE_CALL]}


@pytest.mark.parametrize("depth", ["outer", "inner"])
def test_code_among_what_a_network_was_compiled_with_is_never_built(depth, tmp_path):
    """Of the outermost network Keras leaves it out; of one inside it does not, so zoo does."""

    def compiled(config: dict[str, Any]) -> None:
        (config if depth == "outer" else _victim(config))["compile_config"] = EVIL

    opened = load_model(_edited(tmp_path / "model.keras", compiled, _nested()))
    assert not opened.compiled
    assert not opened.get_layer("inner").compiled
    assert keras.src.saving.serialization_lib.in_safe_mode() is not False


def _in_a_layers_own(config: dict[str, Any]) -> None:
    _victim(config)["config"]["compile_config"] = EVIL


def _in_the_networks_own(config: dict[str, Any]) -> None:
    config["config"]["compile_config"] = EVIL


def _without_a_class(config: dict[str, Any]) -> None:
    _victim(config)["config"]["extra"] = {"compile_config": EVIL}


def _to_be_built(config: dict[str, Any]) -> None:
    _victim(config)["build_config"] = {"input_shape": [None, 28, 28, 1], "compile_config": EVIL}


@pytest.mark.parametrize("hide", [_in_a_layers_own, _in_the_networks_own, _without_a_class, _to_be_built])
def test_the_key_compile_config_hides_nothing_elsewhere(hide, tmp_path):
    """Only beside a class name does it mean what a network was compiled with."""
    with pytest.raises(RunError, match="which can run any code|which is neither a layer of Keras"):
        load_model(_edited(tmp_path / "model.keras", hide, _nested()))


DEEP = b'{"class_name": "Dense", "config": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize("content", [b"[]", b'"model"', b"{}", b'{"a": 1}', b"null", DEEP])
def test_a_configuration_of_no_model_is_one_clear_line(content, tmp_path):
    """JSON, but nothing that a model could be built from, or nested beyond Python's limit."""
    path = _rewritten(tmp_path / "model.keras", lambda members: members.update({"config.json": content}))
    with pytest.raises(RunError, match=r"cannot be read as a Keras model|not a keras\.Model"):
        load_model(path)


def test_a_layer_is_no_model(tmp_path):
    """Keras would return it."""

    def only_a_layer(config: dict[str, Any]) -> None:
        layer = _victim(config)
        config.clear()
        config.update(layer)

    with pytest.raises(RunError, match=r"holds a ReLU, not a keras\.Model"):
        load_model(_edited(tmp_path / "model.keras", only_a_layer))


@pytest.mark.parametrize("member", ["assets/layers/text/vocabulary.txt", "model.weights.npz", "model.weights.json"])
def test_other_members_that_some_keras_may_write_are_refused(member, tmp_path):
    """Vocabularies of text, and weights in other containers: no network of images has them."""
    path = _rewritten(tmp_path / "model.keras", lambda members: members.update({member: b"a"}))
    with pytest.raises(RunError, match=f"holds '{member}'"):
        load_model(path)


def test_weights_kept_in_another_file_are_refused(tmp_path):
    """HDF5 can keep a dataset's bytes outside the file."""

    def add(members: dict[str, bytes]) -> None:
        weights = tmp_path / "weights.h5"
        weights.write_bytes(members["model.weights.h5"])
        with h5py.File(weights, "a") as file:
            file.create_dataset("outside", (4,), "u1", external=[("/etc/hostname", 0, 4)])
        members["model.weights.h5"] = weights.read_bytes()

    with pytest.raises(RunError, match=r"weights kept in another file \('outside'\)"):
        load_model(_rewritten(tmp_path / "model.keras", add))


def test_a_file_of_keras_2_says_so(tmp_path):
    """Its functional models name modules that Keras 3 no longer has."""

    def age(members: dict[str, bytes]) -> None:
        members["config.json"] = members["config.json"].replace(b'"keras"', b'"keras.src.engine.sequential"', 1)
        members["metadata.json"] = b'{"keras_version": "2.15.0"}'

    with pytest.raises(RunError, match=r"was saved by Keras 2\.15\.0, and Keras 3 reads only some of such files"):
        load_model(_rewritten(tmp_path / "model.keras", age))


def test_what_keras_refuses_is_told_by_its_cause(tmp_path):
    """The last words of Keras' message are the reason; the first are the whole configuration."""
    path = _edited(tmp_path / "model.keras", lambda config: _victim(config)["config"].update(colour="red"))
    with pytest.raises(RunError, match=r"cannot be read as a Keras model: .*colour"):
        load_model(path)
