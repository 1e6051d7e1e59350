"""What an earlier version has written is still read: runs, checkpoints, records, plugins and model files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import zoo.layers  # noqa: F401  (registers zoo's layers with Keras)
from zoo import data
from zoo.benchmarking import record
from zoo.report import reproduction
from zoo.runs.diff import diff_runs
from zoo.runs.folder import load_run
from zoo.runs.listing import list_runs
from zoo.runs.serialization import load_model
from zoo.spec.recipe import full_names

EARLIER = Path(__file__).parent / "fixtures" / "a681213"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """The folder runs/, with the finished run and the stopped one."""
    for name in ("finished", "stopped"):
        shutil.copytree(EARLIER / name, tmp_path / "runs" / name)
    return tmp_path / "runs"


def _document(name: str) -> dict:
    return json.loads((EARLIER / name).read_text())


def test_runs_are_listed(runs, zoo):
    """The finished one with its numbers, the stopped one with how far it came."""
    then = _document("finished/run.json")
    rows = {row["run"]: row for row in list_runs(runs)}
    assert rows.keys() == {"finished", "stopped"}
    finished, stopped = rows["finished"], rows["stopped"]
    assert (finished["model"], finished["dataset"], finished["state"]) == ("speedrun", "digits", "finished")
    assert finished["test_accuracy"] == then["metrics"]["test_accuracy"]
    assert (finished["epochs"], finished["params"]) == (4, then["params"])
    assert (stopped["model"], stopped["seed"], stopped["epochs"]) == ("marathon", 3, 1)
    assert stopped["state"] != "finished"
    shown = zoo("runs").stdout
    assert "speedrun" in shown
    assert "marathon" in shown


def test_a_run_is_read_field_by_field(runs):
    """Nothing of its record is lost or turned into something else."""
    run, then = load_run("finished"), _document("finished/run.json")
    assert run.document == {**then, "run": run.document["run"]}
    assert run.metrics == then["metrics"]
    flat = full_names(then["recipe_values"])
    assert {name: run.recipe.settings()[name] for name in flat} == flat
    assert len(flat) == len(then["recipe_values"])
    assert run.model.count_params() == then["params"]


def test_a_run_is_evaluated_as_it_was(runs, zoo):
    """The same numbers, from the same weights on the same images."""
    then = _document("finished/evaluation.json")
    now = json.loads(zoo("evaluate", "finished", "--json").stdout)
    assert now["same_data"] is True
    assert now["metrics"] == pytest.approx(then["metrics"], rel=1e-3)
    assert np.abs(np.subtract(now["confusion"], then["confusion"])).sum() <= 2  # rounding differs between processors
    assert then.keys() <= now.keys()
    assert (runs / "finished" / "report.html").is_file()


def test_a_run_predicts_what_it_predicted(runs, zoo):
    """An image that the evaluation lists has the probabilities that it lists; files of such images are read right."""
    listed = _document("finished/evaluation.json")["right_predictions"][0]
    test = data.load("digits").test
    logits = load_run("finished").model(test.images[listed["image"]][None].astype("float32"))
    np.testing.assert_allclose(keras.ops.softmax(logits)[0], listed["probabilities"], atol=0.002)
    paths = [f"{number}.png" for number in range(20)]
    for number, path in enumerate(paths):
        Image.fromarray(test.images[number, :, :, 0]).save(path)
    document = json.loads(zoo("predict", "finished", *paths, "--json").stdout)
    right = [each["index"] == label for each, label in zip(document["predictions"], test.labels, strict=False)]
    assert sum(right) >= 19


def test_a_run_is_compared_with_a_new_one(runs, tiny_digits):
    """What is new in the record does not stand between them."""
    from zoo.training.trainer import train

    options = {"filters": [4, 8, 8]}
    train("speedrun", dataset=tiny_digits, epochs=1, output=runs / "new", model_options=options)
    document = diff_runs("finished", "new")
    assert document["a"]["model"] == document["b"]["model"] == "speedrun"
    fields = {each["field"] for each in document["differs"]["recipe"]}
    assert {"schedule.epochs", "data.batch_size", "validation.split"} <= fields
    assert "model.options.filters" not in fields
    assert {each["metric"] for each in document["metrics"]} >= {"test_accuracy", "train_s"}


def test_a_stopped_run_goes_on_to_its_end(runs, zoo):
    """From the middle of its second epoch, to what the earlier version reached without the stop."""
    then = _document("whole.json")
    now = json.loads(zoo("train", "--resume", "stopped", "--quiet", "--no-report", "--json").stdout)
    assert [row["epoch"] for row in now["history"]] == [1, 2, 3, 4]
    assert now["continued_at"] == [1]
    assert now["history"][0]["loss"] == pytest.approx(then["history"][0]["loss"], rel=0.01)
    for name in ("loss", "accuracy"):
        assert now["history"][1][name] == pytest.approx(then["history"][1][name], abs=0.05)
    assert now["metrics"]["test_accuracy"] == pytest.approx(then["metrics"]["test_accuracy"], abs=0.03)
    assert load_run("stopped").metrics == now["metrics"]
    assert not (runs / "stopped" / "checkpoint.npz").exists()


def test_a_benchmark_record_is_shown_and_compared(zoo):
    """In every form, and with itself: nothing is faster."""
    path = EARLIER / "bench.jsonl"
    assert len(record.read(path)["cells"]) == 4
    for form in ("table", "markdown", "csv", "html"):
        assert "mlp" in zoo("bench", "--from", path, "--format", form).stdout
    compared = json.loads(zoo("compare", path, path, "--json").stdout)
    assert [row["ratio"] for row in compared["cells"]] == pytest.approx([1.0] * 4)


def test_a_record_of_published_recipes_is_a_page():
    """As text and as a table."""
    document = _document("reproduced.json")
    assert "mlp/128-64" in reproduction.markdown(document)
    assert reproduction.findings(document)


def test_a_plugin_works_as_it_was_scaffolded(tmp_path):
    """Installed, built, and its own tests pass."""
    pytest.importorskip("hatchling", reason="builds the plugin; it comes with zoo's test extra")
    shutil.copytree(EARLIER / "my-net", "my-net")
    environment = {
        **os.environ,
        "PYTHONPATH": f"{tmp_path / 'installed'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    }

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, env=environment, check=False
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    run("-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", "installed",
        "./my-net")  # fmt: skip
    assert json.loads(run("-m", "zoo", "show", "my_net", "--json"))["params"] == 33_802
    assert " passed" in run("-m", "pytest", "my-net").splitlines()[-1]


@pytest.mark.parametrize("name", ["marathon", "segnet"])
@pytest.mark.parametrize("load", [load_model, keras.models.load_model])
def test_a_model_file_has_the_outputs_that_it_had(name, load):
    """Its layers are zoo's own; read by zoo's careful loader, and by Keras alone."""
    expected = _document("outputs.json")[name]
    image = (np.arange(28 * 28).reshape(1, 28, 28, 1) * 37 % 256).astype("float32")
    values = np.ravel(load(EARLIER / f"{name}.keras")(image))
    np.testing.assert_allclose(values[:: max(1, values.size // 23)], expected, rtol=1e-3, atol=1e-3)
