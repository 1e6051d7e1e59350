"""Importing zoo and listing models must not import TensorFlow; this is proved, and so is the proof."""

from __future__ import annotations

import json

import pytest

HEAVY = ("tensorflow", "keras", "keras.src", "matplotlib", "sklearn", "tensorflow_datasets", "rich", "PIL")
REPORT = "; import sys, json; print(json.dumps(sorted(sys.modules)))"


def _imported(python, code: str) -> set[str]:
    result = python("-c", code + REPORT)
    assert result.returncode == 0, result.stderr
    return set(json.loads(result.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "code",
    [
        "import zoo; zoo.list_models()",
        "import zoo; zoo.get('lenet5').to_dict()",
        "import zoo.cli; zoo.cli.main(['list'], standalone_mode=False)",
        "import zoo.cli; zoo.cli.main(['--help'], standalone_mode=False)",
        "import zoo.data; zoo.data.list_datasets()",
        "import zoo.benchmarking.bench",
    ],
)
def test_nothing_heavy_is_imported(python, code):
    """None of the heavy packages is in sys.modules afterwards."""
    assert not _imported(python, code) & set(HEAVY)


def test_this_test_can_fail(python):
    """The same measurement does see a heavy import where there is one."""
    assert "keras.src" in _imported(python, "import zoo; zoo.create('mlp')")
    assert "matplotlib" in _imported(python, "import matplotlib")


def test_keras_is_whole_whoever_imports_first(python):
    """Listing models and then importing TensorFlow leaves Keras usable, in either order."""
    for first, second in (("import tensorflow", "import keras"), ("import keras", "import tensorflow")):
        code = f"import zoo; zoo.list_models(); {first}; {second}; keras.config.backend(); zoo.create('mlp')"
        assert python("-c", code).returncode == 0


def test_tensorflow_loads_out_of_the_collectors_sight(python):
    """What it makes stays to the end: the collector need not look through it, and works on all that comes after."""
    load = "import gc; from zoo.utils.startup import load_tensorflow; load_tensorflow()"
    collects, frozen = python("-c", f"{load}; print(gc.isenabled(), gc.get_freeze_count())").stdout.split()
    assert collects == "True"
    assert int(frozen) > 100_000
