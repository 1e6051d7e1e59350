"""Opening model files: Keras' own layers load; code, links and anything foreign is refused before Keras sees it."""

from __future__ import annotations

import json
import shutil
import stat
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from built_in_models import EVERY

from zoo import registry
from zoo.errors import RunError
from zoo.runs.serialization import load_model


def _model(*layers: keras.layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((28, 28, 1)), *layers, keras.layers.Flatten(), keras.layers.Dense(10)])


def _saved(path: Path, *layers: keras.layers.Layer) -> Path:
    _model(*layers).save(path)
    return path


def _rewritten(source: Path, target: Path, change) -> Path:
    """Copy an archive, giving each member to ``change(name, bytes)``."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return target


@pytest.mark.parametrize("name", EVERY)
def test_every_built_in_is_admitted(name, tmp_path):
    """The allow-list has room for what zoo itself saves."""
    registry.create(name).save(tmp_path / "model.keras")
    assert load_model(tmp_path / "model.keras").name == name


def test_what_networks_are_made_of_is_admitted(tmp_path):
    """Operators between layers, normalisation, regularisers, constraints, activations by object, nested models."""
    layers = keras.layers
    inputs = keras.Input((28, 28, 1))
    x = layers.Conv2D(4, 3, activation=keras.activations.gelu, kernel_regularizer="l2", name="c")(inputs)
    x = layers.BatchNormalization()(keras.ops.relu(x) + x)
    x = layers.Dense(3, kernel_constraint=keras.constraints.MaxNorm(2.0))(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, keras.Sequential([keras.Input((3,)), layers.Activation("tanh")])(x))
    model.save(tmp_path / "model.keras")
    images = np.random.default_rng(0).random((2, 28, 28, 1), dtype="float32")
    loaded = load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.predict_on_batch(images), model.predict_on_batch(images), atol=1e-6)


def test_lambda_is_refused_even_around_a_built_in(tmp_path):
    """Keras' safe mode lets this one through."""
    path = _saved(tmp_path / "model.keras", keras.layers.Lambda(keras.ops.abs))
    with pytest.raises(RunError, match=r"model\.keras holds a Lambda layer, which can run any code: it is not loaded"):
        load_model(path)


def test_lambda_deep_inside_is_found(tmp_path):
    """In a model in a wrapper in a model."""
    inner = keras.Sequential([keras.Input((28, 1)), keras.layers.Lambda(keras.ops.abs)])
    path = _saved(tmp_path / "model.keras", keras.layers.TimeDistributed(inner))
    with pytest.raises(RunError, match="holds a Lambda layer"):
        load_model(path)


def test_unknown_class_is_refused_and_nothing_is_imported(tmp_path):
    """A configuration that names a module of the machine is not followed."""
    source = _saved(tmp_path / "whole.keras", keras.layers.ReLU())

    def change(name, content):
        return content.replace(b'"keras.layers", "class_name": "ReLU"', b'"antigravity", "class_name": "ReLU"')

    path = _rewritten(source, tmp_path / "model.keras", change)
    with pytest.raises(RunError, match="holds 'antigravity.ReLU', which is neither a layer of Keras nor one of zoo"):
        load_model(path)


def test_registered_layer_needs_its_package_to_be_named(tmp_path):
    """A plugin's own layers load with the plugin's model, and not by themselves."""

    @keras.saving.register_keras_serializable(package="zoo_foreign")
    class Doubled(keras.layers.Layer):
        def call(self, inputs):
            return inputs * 2

    path = _saved(tmp_path / "model.keras", Doubled())
    with pytest.raises(RunError, match="Doubled', which is neither"):
        load_model(path)
    assert load_model(path, packages={"zoo_foreign"}).layers[0].name == "doubled"


@pytest.mark.parametrize("name", ["../escape.py", "/etc/passwd", "extra.py"])
def test_member_that_no_model_needs_is_refused(name, tmp_path):
    """A path that leaves the archive, or code beside the model."""
    path = _saved(tmp_path / "model.keras")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, "print('hello')")
    with pytest.raises(RunError, match=f"holds '{name}', which no Keras model needs"):
        load_model(path)


def test_symbolic_link_inside_is_refused(tmp_path):
    """A member that is a link instead of the weights."""
    source = _saved(tmp_path / "whole.keras")
    link = zipfile.ZipInfo("model.weights.h5")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(tmp_path / "model.keras", "w") as new:
        for name in ("metadata.json", "config.json"):
            new.writestr(name, old.read(name))
        new.writestr(link, "/etc/passwd")
    with pytest.raises(RunError, match=r"holds 'model\.weights\.h5', which no Keras model needs"):
        load_model(tmp_path / "model.keras")


def test_weights_that_point_elsewhere_are_refused(tmp_path):
    """HDF5's external links read other files of the machine."""
    source = _saved(tmp_path / "whole.keras")

    def change(name, content):
        if name != "model.weights.h5":
            return content
        (tmp_path / "w.h5").write_bytes(content)
        with h5py.File(tmp_path / "w.h5", "a") as file:
            file["elsewhere"] = h5py.ExternalLink("/etc/hostname", "/")
        return (tmp_path / "w.h5").read_bytes()

    with pytest.raises(RunError, match=r"weights that point elsewhere \('elsewhere'\)"):
        load_model(_rewritten(source, tmp_path / "model.keras", change))


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def _scramble_config(path: Path) -> None:
    shutil.copy(path, path.with_name("copy.zip"))
    _rewritten(path.with_name("copy.zip"), path, lambda name, data: b"{" if name == "config.json" else data)


def _lose_config(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({}))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_truncate, "cannot be read as a Keras model"),
        (_flip, "is damaged: the checksum|cannot be read as a Keras model"),
        (_scramble_config, "cannot be read as a Keras model"),
        (_lose_config, r"lacks config\.json, model\.weights\.h5"),
        (lambda path: path.write_text("hello"), "cannot be read as a Keras model"),
        (lambda path: path.unlink(), "is missing"),
    ],
)
def test_damaged_file_is_one_clear_line(damage, words, tmp_path):
    """Truncated, flipped, scrambled, incomplete, foreign, missing."""
    path = _saved(tmp_path / "model.keras")
    damage(path)
    with pytest.raises(RunError, match=words) as caught:
        load_model(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_other_kinds_of_file_are_refused(tmp_path):
    """Folders, .h5 files and links are not .keras files."""
    (tmp_path / "folder.keras").mkdir()
    (tmp_path / "model.h5").write_bytes(b"\x89HDF")
    (tmp_path / "link.keras").symlink_to(_saved(tmp_path / "model.keras"))
    for name, words in (
        ("folder.keras", "not a .keras file"),
        ("model.h5", "not a .keras"),
        ("link.keras", "symbolic"),
    ):
        with pytest.raises(RunError, match=words):
            load_model(tmp_path / name)
