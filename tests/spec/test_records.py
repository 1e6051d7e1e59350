"""What runs and evaluations write is what the published schemas say, key by key."""

from __future__ import annotations

import copy
import csv
import json
import shutil
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from zoo import data
from zoo.data.sources.drawn_scenes import Layout, draw_scenes
from zoo.errors import RunError
from zoo.evaluation.evaluate import evaluate
from zoo.runs.diff import ENVIRONMENT, EXPERIMENT
from zoo.runs.folder import NEEDED, load_run
from zoo.runs.listing import FACTS
from zoo.spec import RunDocument
from zoo.spec.run import SCHEMA
from zoo.training.checkpoint import DOCUMENT
from zoo.training.trainer import train

EARLIER = Path(__file__).parents[1] / "fixtures" / "a681213"


def _schema(name: str) -> dict[str, Any]:
    return json.loads((resources.files("zoo.spec") / f"{name}.schema.json").read_text(encoding="utf-8"))


SCHEMAS = {name: _schema(name) for name in ("run", "evaluation")}


def _problems(name: str, document: Any) -> list[str]:
    errors = jsonschema.Draft202012Validator(SCHEMAS[name]).iter_errors(document)
    return [f"{error.json_path}: {error.message[:200]}" for error in errors]


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)


@pytest.fixture(scope="module")
def scenes() -> data.Dataset:
    """32 training and 12 test scenes of scikit-learn's digits."""
    digits = data.load("digits")
    train_part, test_part = (
        draw_scenes(split, Layout(), count, seed=0) for split, count in ((digits.train, 32), (digits.test, 12))
    )
    return data.Dataset("few_scenes", train_part, test_part, digits.class_names, "drawn from digits", {})


# What is written


def test_a_run_and_its_evaluation(trained_run, tmp_path):
    """A classifier's, with validation images; history.csv has the columns of the history."""
    folder = Path(shutil.copytree(trained_run, tmp_path / "run"))
    run = _read(folder / "run.json")
    assert _problems("run", run) == []
    with (folder / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [{name: float(value) for name, value in row.items()} for row in rows] == run["history"]
    evaluate(folder)
    assert _problems("evaluation", _read(folder / "evaluation.json")) == []


@pytest.mark.parametrize("model", ["fcn", "ssd"])
def test_a_run_with_scenes_and_its_evaluation(model, scenes, tmp_path):
    """A segmenter's and a detector's."""
    run = train(model, dataset=scenes, epochs=1, batch_size=16, output=tmp_path / "run")
    assert _problems("run", _read(run.folder / "run.json")) == []
    evaluate(run, dataset=scenes)
    assert _problems("evaluation", _read(run.folder / "evaluation.json")) == []


def test_a_run_that_diverged_and_its_evaluation(tiny_digits, tmp_path):
    """Null stands for what is not finite, and most of the evaluation is missing."""
    settings = {"learning_rate": 1e30, "early_stopping": 1, "validate_on_test": True, "monitor": "loss"}
    run = train("mlp", dataset=tiny_digits, epochs=2, output=tmp_path / "run", **settings)
    document = _read(run.folder / "run.json")
    assert document["metrics"]["test_loss"] is None
    assert _problems("run", document) == []
    evaluate(run, dataset=tiny_digits)
    document = _read(run.folder / "evaluation.json")
    assert "calibration" not in document
    assert _problems("evaluation", document) == []


def test_a_run_of_a_model_of_ones_own_that_was_continued(tiny_digits, tmp_path):
    """Stopped in its second epoch, continued, and ended by early stopping."""
    import keras

    class Stop(keras.callbacks.Callback):
        armed = True

        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1 and self.armed:
                raise KeyboardInterrupt

    inputs = keras.Input((28, 28, 1))
    network = keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Flatten()(inputs)))
    settings = {"early_stopping": 1, "monitor": "val_loss", "validation_split": 0.2, "epochs": 9, "learning_rate": 1.0}
    stop = Stop()
    with pytest.raises(KeyboardInterrupt):
        train(network, dataset=tiny_digits, output=tmp_path / "run", callbacks=[stop], **settings)
    stop.armed = False
    train(network, dataset=tiny_digits, resume=tmp_path / "run", callbacks=[stop])
    document = _read(tmp_path / "run" / "run.json")
    assert document["continued_at"] == [1]
    assert document["selected_epoch"] is not None
    assert _problems("run", document) == []


def test_the_evaluation_of_several_and_of_a_file(trained_run, tiny_digits, tmp_path):
    """Of an ensemble with one class without images; and of a file, of which little is known."""
    import keras

    folder = Path(shutil.copytree(trained_run, tmp_path / "run"))
    few = tiny_digits.test.take(tiny_digits.test.labels != 3)
    missing = data.Dataset("digits", tiny_digits.train, few, tiny_digits.class_names, "all but threes", {})
    inputs = keras.Input((28, 28, 1))
    file = tmp_path / "other.keras"
    keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Flatten()(inputs))).save(file)
    for models, output in (([folder, file], "both"), (file, "file")):
        evaluate(models, dataset=missing, output=tmp_path / output)
        document = _read(tmp_path / output / "evaluation.json")
        assert document["roc"]["curves"][3] is None
        assert len(document["members"]) == (2 if output == "both" else 0)
        assert _problems("evaluation", document) == []


def test_what_an_earlier_version_has_written():
    """A training from start to end, one that was stopped and continued, an evaluation."""
    assert _problems("run", _read(EARLIER / "finished" / "run.json")) == []
    assert _problems("run", _read(EARLIER / "whole.json")) == []
    assert _problems("evaluation", _read(EARLIER / "finished" / "evaluation.json")) == []


# The schemas


@pytest.mark.parametrize(
    ("schema", "path", "value"),
    [
        ("run", ("seed",), "0"),
        ("run", ("metrics", "test_accuracy"), "high"),
        ("run", ("timing", "train_seconds"), 1.0),
        ("run", ("history", 0, "epoch"), 0),
        ("run", ("preprocessing",), {"kind": "drawing", "ground": None, "box": None, "centre": None}),
        ("run", ("note",), "mine"),
        ("evaluation", ("images",), 360.5),
        ("evaluation", ("confidence_intervals", "test_accuracy"), [0.9]),
        ("evaluation", ("calibration", "bins", 0, "interval"), 0.9),
        ("evaluation", ("worst",), []),
        ("evaluation", ("schema",), "zoo.scene_evaluation/1"),
    ],
)
def test_what_is_of_another_form_is_found(schema, path, value):
    """A wrong type, a value out of range, a key that nobody writes."""
    document = copy.deepcopy(_read(EARLIER / "finished" / f"{schema}.json"))
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert _problems(schema, document)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_missing_key_is_found(name):
    """Each that is said to be required."""
    whole = _read(EARLIER / "finished" / f"{name}.json")
    for key in SCHEMAS[name]["required"]:
        assert _problems(name, {other: value for other, value in whole.items() if other != key}), key


def _properties(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key that a schema describes, at whatever depth, with its path."""
    if isinstance(schema, dict):
        for name, part in schema.items():
            if name == "properties" and not path.endswith("/if"):
                yield from ((f"{path}/{key}", facts) for key, facts in part.items())
            yield from _properties(part, f"{path}/{name}")


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_key_is_described(name):
    """With its type; the schema itself is a valid one."""
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])
    found = list(_properties(SCHEMAS[name]))
    assert len(found) > 60
    bare = [
        path
        for path, facts in found
        if not facts.get("description") or not {"type", "enum", "const", "$ref"} & set(facts)
    ]
    assert bare == []


def test_the_code_names_the_keys_of_the_schema():
    """What mypy knows of a run, what it is read for and continued from, and what is listed and compared."""
    schema = SCHEMAS["run"]
    assert schema["$id"] == schema["properties"]["schema"]["const"] == SCHEMA
    assert list(schema["properties"]) == list(RunDocument.__annotations__)
    assert set(NEEDED) <= set(schema["required"])
    assert {*EXPERIMENT, *ENVIRONMENT, *DOCUMENT} <= set(schema["properties"])
    for path, kind in FACTS.items():
        facts = schema
        for key in path.split("."):
            facts = facts["properties"][key]
        names = {str: "string", int: "integer", float: "number"}
        assert names[kind] in facts["type"], path


# What is read


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"schema": "zoo.run/2"},
            r"run\.json is written as zoo\.run/2; this zoo reads zoo\.run/1\. Use that version\.",
        ),
        ({"class_names": "0123456789"}, r"run\.json cannot be read: it lacks class_names, or holds another type there"),
        ({"model": None, "seed": "one"}, r"it lacks model, seed, or holds another type there\. Train again"),
        (None, r"run\.json cannot be read: it holds no object\. Train again, or name another run\."),
    ],
)
def test_a_record_of_another_form_is_one_clear_line(change, words, zoo):
    """Whoever reads it, in Python or by a command."""
    folder = Path(shutil.copytree(EARLIER / "finished", "runs/a"))
    document = _read(folder / "run.json") | change if change else [1]
    (folder / "run.json").write_text(json.dumps(document))
    with pytest.raises(RunError, match=words):
        load_run("a")
    result = zoo("runs", "diff", "a", "a")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
