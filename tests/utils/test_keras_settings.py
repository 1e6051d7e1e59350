"""Keras set up for something else: one sentence with the setting and its place, and never half an import."""

from __future__ import annotations

import json
import os
from pathlib import Path

import keras
import pytest

import zoo as package
from zoo.commands import doctor
from zoo.errors import DeviceError
from zoo.training.devices import check_keras
from zoo.utils import keras_settings

OLD = '{"image_dim_ordering": "th", "epsilon": 1e-07, "floatx": "float32", "backend": "theano"}'


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A KERAS_HOME of this test's own, with no backend chosen beside it."""
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path


# What is said


FILES = {
    OLD: "is set to 'theano' by 'backend' in {file}. Change it there to tensorflow, or set KERAS_BACKEND=tensorflow.",
    '{"backend": "cntk"}': "is set to 'cntk' by 'backend' in {file}.",
    '{"backend": 5}': "is set to 5 by 'backend' in {file}.",
    '{"image_data_format": "channels_first"}': "'channels_first'. Change 'image_data_format' in {file} to",
    '{"image_data_format": "th"}': "'image_data_format' in {file} must be channels_last or channels_first, received",
    '{"floatx": "float8"}': "'floatx' in {file} must be float16, float32 or float64, received 'float8'. Correct it, or",
    '{"floatx": ["float32"]}': "'floatx' in {file} must be float16, float32 or float64, received ['float32'].",
    '{"epsilon": 1}': "'epsilon' in {file} must be a float, received 1.",
    "[1]": "{file} holds a list instead of an object. Delete it: Keras writes a new one.",
    '"theano"': "{file} holds a str instead of an object.",
}


@pytest.mark.parametrize("content", FILES)
def test_a_settings_file_that_does_not_suit_is_one_sentence(content, home, python):
    """Settings of Keras 1 and 2, of other backends, and broken by hand."""
    (home / "keras.json").write_text(content)
    result = python("-m", "zoo", "show", "mlp")
    assert result.returncode == 1
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert FILES[content].format(file=home / "keras.json") in result.stderr


COMMANDS = [
    ("train", "mlp", "--limit", "100", "--epochs", "1"),
    ("train", "--resume", "nowhere"),
    ("evaluate", "mlp.keras"),
    ("predict", "mlp", "digit.png"),
    ("reproduce", "mlp/dropout"),
    ("bench", "mlp", "--rounds", "1", "--seconds", "0.1"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_that_needs_keras_names_the_variable(command, home, python):
    """PyTorch is asked for, and not there; nor need the run or the picture be."""
    result = python("-m", "zoo", *command, KERAS_BACKEND="torch")
    assert result.returncode == 1
    words = "Keras is set to 'torch' by the environment variable KERAS_BACKEND. Set KERAS_BACKEND=tensorflow."
    assert words in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", [("list", "mlp*"), ("cite", "lenet5"), ("data", "list"), ("runs",)], ids=" ".join)
def test_a_command_that_needs_no_keras_does_not_care(command, home, python):
    """Nothing of Keras is imported for them."""
    assert python("-m", "zoo", *command, KERAS_BACKEND="theano").returncode == 0


PYTHON = """
import os, sys, zoo
build = lambda: zoo.get("vgg16").build()
for call in (lambda: zoo.create("mlp"), lambda: zoo.train("mlp"), lambda: zoo.evaluate("run"), build):
    try:
        call()
    except zoo.ZooError as error:
        print(type(error).__name__, error)
print([name for name in sys.modules if name.startswith(("keras", "tensorflow"))])
os.environ["KERAS_BACKEND"] = "tensorflow"
print(zoo.create("mlp").name)
"""


def test_from_python_it_is_an_error_of_zoo_and_can_be_set_right(home, python):
    """Nothing is left half imported: with the setting corrected, the same process goes on."""
    result = python("-c", PYTHON, KERAS_BACKEND="torch")
    *errors, modules, created = result.stdout.splitlines()
    assert len(errors) == 4
    for error in errors:
        assert error.startswith("DeviceError zoo trains with Keras' TensorFlow backend, but Keras is set to 'torch' by")
    assert (modules, created) == ("[]", "mlp")


def test_a_backend_that_is_there_but_broken_counts_as_missing(home, python, tmp_path):
    """A JAX that cannot be imported, as without its own libraries."""
    (tmp_path / "site" / "jax").mkdir(parents=True)
    (tmp_path / "site" / "jax" / "__init__.py").write_text("raise ImportError('no jaxlib')")
    search = os.pathsep.join([str(tmp_path / "site"), str(Path(package.__file__).parents[1])])
    code = "import zoo\ntry:\n    zoo.create('mlp')\nexcept zoo.ZooError as error:\n    print(error)"
    result = python("-c", code, KERAS_BACKEND="jax", PYTHONPATH=search)
    assert "but Keras is set to 'jax' by the environment variable KERAS_BACKEND" in result.stdout


def test_another_backend_that_is_there_still_builds_models(home, python):
    """Builders are of Keras alone; only training and measuring need TensorFlow."""
    pytest.importorskip("jax")
    code = "import zoo; print(zoo.create('lenet5').name); import keras; print(keras.config.backend())"
    assert python("-c", code, KERAS_BACKEND="jax").stdout.splitlines() == ["lenet5", "jax"]


def test_settings_made_in_code_are_told_from_those_written(home):
    """Keras runs here already: what it is set to counts, and the file is not the only place named."""
    check_keras()
    keras.config.set_image_data_format("channels_first")
    try:
        for refused in (check_keras, lambda: package.create("lenet5")):
            with pytest.raises(DeviceError, match=r", or keras\.config\.set_image_data_format, to channels_last\.$"):
                refused()
    finally:
        keras.config.set_image_data_format("channels_last")
    with pytest.raises(DeviceError, match=r"'jax'\. Set KERAS_BACKEND=tensorflow before Keras is imported\.$"):
        keras_settings.check_values("jax", "channels_last")


# What is read


@pytest.mark.parametrize(
    ("variable", "content", "backend"),
    [
        (None, None, "tensorflow"),
        (None, '{"backend": "jax"}', "jax"),
        ("torch", '{"backend": "jax"}', "torch"),
        ("", '{"backend": "jax"}', "jax"),
        ("tensorflow", OLD, "tensorflow"),
        (None, "{broken", "tensorflow"),
        (None, "", "tensorflow"),
        (None, b"\xff\xfe{", "tensorflow"),
    ],
)
def test_the_backend_is_read_as_keras_reads_it(variable, content, backend, home, monkeypatch):
    """The variable first, if it is not empty; a file that is no JSON counts as none."""
    if variable is not None:
        monkeypatch.setenv("KERAS_BACKEND", variable)
    if content is not None:
        (home / "keras.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    settings = keras_settings.read()
    assert (settings.backend, settings.fault) == (backend, "")
    assert settings.from_environment == bool(variable)


@pytest.mark.parametrize(("variable", "place"), [(None, "~/.keras"), ("", "."), ("~/other", "~/other"), ("sub", "sub")])
def test_the_file_is_looked_for_where_keras_looks(variable, place, tmp_path, monkeypatch):
    """KERAS_HOME, even empty or with a tilde, before the home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    if variable is None:
        monkeypatch.delenv("KERAS_HOME", raising=False)
    else:
        monkeypatch.setenv("KERAS_HOME", variable)
    assert keras_settings.read().file == (Path(place).expanduser() / "keras.json").absolute()


def test_a_folder_in_the_files_place_is_a_fault(home):
    """Keras could not open it either."""
    (home / "keras.json").mkdir()
    assert f"cannot read its settings, {home / 'keras.json'}" in keras_settings.read().fault


def test_reading_writes_nothing(home):
    """Keras writes its settings when it starts; looking at them does not."""
    keras_settings.read()
    assert not list(home.iterdir())


# The doctor


@pytest.mark.parametrize(("content", "topic"), [(OLD, "Keras backend"), ("[1]", "Keras settings")])
def test_the_doctor_names_it_and_examines_everything_else(content, topic, home, python):
    """TensorFlow imports Keras, which could not start: for the other checks the setting is put aside."""
    (home / "keras.json").write_text(content)
    result = python("-m", "zoo", "doctor", "--json")
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert [finding["topic"] for finding in document["findings"] if finding["status"] == "problem"] == [topic]
    assert str(home / "keras.json") in document["summary"]
    assert {"CPU", "oneDNN", "MNIST"} <= {finding["topic"] for finding in document["findings"]}
    assert "could not be examined" not in result.stdout
    assert [file.name for file in home.iterdir()] == ["keras.json"]
    assert (home / "keras.json").read_text() == content


def test_the_doctor_puts_the_settings_back(home, monkeypatch):
    """What is put aside for an import is as it was afterwards, whether it was set or not."""
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with keras_settings.defaults():
        assert os.environ["KERAS_BACKEND"] == "tensorflow"
        assert os.environ["KERAS_HOME"] != str(home)
    assert (os.environ["KERAS_BACKEND"], os.environ["KERAS_HOME"]) == ("jax", str(home))
    monkeypatch.delenv("KERAS_BACKEND")
    with keras_settings.defaults():
        pass
    assert "KERAS_BACKEND" not in os.environ


def test_an_empty_variable_is_not_blamed_by_the_doctor(home, monkeypatch):
    """The file chooses then, and is named."""
    monkeypatch.setenv("KERAS_BACKEND", "")
    (home / "keras.json").write_text('{"backend": "jax"}')
    finding = next(finding for finding in doctor._keras_settings() if finding.topic == "Keras backend")
    assert str(home / "keras.json") in finding.value
