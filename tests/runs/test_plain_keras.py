"""Model files that hold zoo's own layers, opened by Keras alone: what it says, and what makes it succeed."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

import zoo.layers
from zoo.runs.serialization import load_model

layers = zoo.layers
IMAGES = np.random.default_rng(0).random((2, 12, 12, 3), dtype="float32")
LOAD = """
import json, sys, keras
said = {}
for path in sys.argv[1:]:
    try:
        keras.models.load_model(path)
        said[path] = "opened"
    except Exception as error:
        said[path] = str(error)
print(json.dumps([said, "zoo" in sys.modules]))
"""


def _unpooled() -> keras.Model:
    inputs = keras.Input((12, 12, 3))
    return keras.Model(inputs, layers.Unpooling((12, 12))(layers.MaxPoolingWithPositions()(inputs)))


def _viewed() -> keras.Model:
    inputs = keras.Input((12, 12, 3))
    logits = keras.layers.Dense(4)(keras.layers.Flatten()(layers.MovedViews()(inputs)))
    return keras.Model(inputs, layers.MeanOfViews()(logits))


def _of(layer: keras.layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((12, 12, 3)), layer])


MODELS = {
    "LocalResponseNormalization": lambda: _of(layers.LocalResponseNormalization(1, 1.0, 0.1, 0.5)),
    "L2Normalization": lambda: _of(layers.L2Normalization(7.0)),
    "MaxPoolingWithPositions": _unpooled,
    "MovedViews": _viewed,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, np.ndarray]]:
    """A model with each of zoo's layers, saved, and what it computes."""
    folder, saved = tmp_path_factory.mktemp("models"), {}
    for name, build in MODELS.items():
        model = build()
        model.save(folder / f"{name}.keras")
        saved[name] = (folder / f"{name}.keras", model.predict_on_batch(IMAGES))
    return saved


def _as_0_1_had_it(path: Path, old: Path) -> Path:
    """The same file under the package that zoo's layers were registered with until 0.1."""
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(old, "w") as copy:
        for name in archive.namelist():
            content = archive.read(name)
            if name == "config.json":
                now = f'"registered_name": "{layers.PACKAGES[-1]}>'.encode()
                assert now in content
                content = content.replace(now, b'"registered_name": "zoo>')
            copy.writestr(name, content)
    return old


def test_keras_alone_names_what_to_install(files, python):
    """The error of a process that has never heard of zoo, for each layer: the package, and the import."""
    result = python("-c", LOAD, *(str(path) for path, _ in files.values()), PYTHONPATH="")
    said, zoo_was_imported = json.loads(result.stdout.splitlines()[-1])
    assert not zoo_was_imported
    for name, (path, _) in files.items():
        assert f"Could not locate class '{name}'" in said[str(path)]
        assert f"'cnn-zoo (pip install cnn-zoo, then import zoo.layers)>{name}'" in said[str(path)]


def test_keras_opens_them_once_zoos_layers_are_imported(files, python):
    """One import, in a process that uses nothing else of zoo; the files of 0.1 too."""
    old = [_as_0_1_had_it(path, path.with_name(f"old-{path.name}")) for path, _ in files.values()]
    paths = [str(path) for path, _ in files.values()] + [str(path) for path in old]
    result = python("-c", f"import zoo.layers\n{LOAD}", *paths)
    assert set(json.loads(result.stdout.splitlines()[-1])[0].values()) == {"opened"}


@pytest.mark.parametrize("name", MODELS)
def test_zoo_opens_files_of_either_name(name, files, tmp_path):
    """What a run folder of 0.1 holds, and what one holds now, computes the same."""
    path, expected = files[name]
    for file in (path, _as_0_1_had_it(path, tmp_path / "old.keras")):
        np.testing.assert_allclose(load_model(file).predict_on_batch(IMAGES), expected, atol=1e-6)


def test_every_layer_of_zoo_is_registered_under_both_names():
    """None is forgotten when one is added."""
    own = [getattr(layers, name) for name in layers.__all__ if isinstance(getattr(layers, name), type)]
    assert len(own) == 6
    for layer in own:
        assert keras.saving.get_registered_name(layer) == f"{layers.PACKAGES[-1]}>{layer.__name__}"
        assert keras.saving.get_registered_object(f"zoo>{layer.__name__}") is layer
