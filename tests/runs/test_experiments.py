"""The record of experiments: what ``zoo runs`` lists, and what ``zoo runs diff`` says of two runs."""

from __future__ import annotations

import io
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo.cli import main
from zoo.errors import RunError, UnknownNameError
from zoo.report.runs import listing as run_reports
from zoo.report.shared import tables
from zoo.report.shared.statistics import proportions_interval, welch_interval
from zoo.runs.diff import diff_runs
from zoo.runs.listing import list_runs
from zoo.spec.recipe import Recipe


def _document(accuracy: float = 0.99, *, seed: int = 0, model: str = "mlp", **changes: Any) -> dict[str, Any]:
    """A run's document; `changes` are fields of the recipe."""
    recipe = Recipe(epochs=2, seed=seed).override(**changes)
    return {
        "schema": "zoo.run/1", "model": model, "task": "classification", "dataset": recipe.data.dataset, "seed": seed,
        "recipe": "default", "recipe_values": recipe.to_dict(), "limit": None, "device": "cpu", "xla": False,
        "precision": recipe.execution.precision, "class_names": ["0"], "threads": {"intra_op": 2}, "params": 101_770,
        "environment": {"keras": "3.15.1", "data_digests": {"test_images": "a" * 64}},
        "metrics": {"test_accuracy": accuracy, "test_loss": 0.05},
        "timing": {"train_s": 9.0, "images_per_s": 60_000.0},
        "history": [{"epoch": 1, "loss": 0.2}, {"epoch": 2, "loss": 0.1}],
    }  # fmt: skip


def _write(name: str, document: Any = None, *, written: float | None = None) -> Path:
    """Write a run folder inside runs/; `written` is the modification time of its run.json."""
    folder = Path("runs") / name
    folder.mkdir(parents=True, exist_ok=True)
    text = document if isinstance(document, str) else json.dumps(_document() if document is None else document)
    (folder / "run.json").write_text(text)
    if written is not None:
        os.utime(folder / "run.json", (written, written))
    return folder


def _write_checkpoint(name: str, manifest: Any) -> Path:
    folder = Path("runs") / name
    folder.mkdir(parents=True)
    buffer = io.BytesIO()
    np.savez(buffer, manifest=np.array(json.dumps(manifest)), weights=np.zeros(3))
    (folder / "checkpoint.npz").write_bytes(buffer.getvalue())
    return folder


def _names(rows: list[dict[str, Any]]) -> list[str]:
    return [row["run"] for row in rows]


def test_a_row_holds_what_the_record_says():
    """Every fact is there under its name, and the folder as a path to go to."""
    folder = _write("a", _document(0.9912, seed=3), written=86_400)
    (row,) = list_runs()
    assert row == {
        "run": "a", "model": "mlp", "dataset": "mnist", "recipe": "default", "seed": 3, "epochs": 2,
        "test_accuracy": 0.9912, "test_loss": 0.05, "train_s": 9.0, "images_per_s": 60_000.0, "params": 101_770,
        "precision": "float32", "device": "cpu", "limit": None, "finished": "1970-01-02T00:00:00.000+00:00",
        "state": "finished", "folder": str(folder.absolute()),
    }  # fmt: skip


def test_newest_is_last_and_nested_runs_are_found():
    """The folders of --seeds are listed by their path, which names them to every command."""
    _write("b", written=300)
    _write("x/s1", written=200)
    _write("x/s0", written=100)
    assert _names(list_runs()) == ["x/s0", "x/s1", "b"]
    assert _names(list_runs("runs/x")) == ["s0", "s1"]
    assert _names(list_runs("runs/b")) == ["b"]


@pytest.mark.parametrize("column", ["test_accuracy", "test accuracy", "Test accuracy"])
def test_sorted_by_any_column_by_either_of_its_names(column):
    """The largest comes last, with reverse first; a run without a value comes last both times."""
    for name, accuracy in (("a", 0.97), ("b", 0.99), ("c", None), ("d", 0.98)):
        _write(name, _document(accuracy))
    assert _names(list_runs(sort=column)) == ["a", "d", "b", "c"]
    assert _names(list_runs(sort=column, reverse=True)) == ["b", "d", "a", "c"]


def test_every_column_sorts():
    """None holds values that cannot be compared, and each has its header."""
    _write("a", {**_document(), "seed": "seven", "limit": 100, "model": 3})
    _write("b")
    _write("c", "{")
    for column, header in run_reports.COLUMNS.items():
        assert _names(list_runs(sort=column)) == _names(list_runs(sort=header))
        assert len(list_runs(sort=column, reverse=True)) == 3


def test_unknown_column_is_refused_with_a_suggestion():
    """Also where there is no run to sort."""
    with pytest.raises(UnknownNameError, match="'acuracy'. Did you mean 'test.accuracy'.*columns are: run, model"):
        list_runs(sort="acuracy")


def test_filters():
    """By a pattern for the model, and by the dataset's name."""
    _write("a", _document(model="lenet5"))
    _write("b", _document(model="mlp", dataset="digits"))
    _write("c", "{}")
    assert _names(list_runs(model="le*")) == ["a"]
    assert _names(list_runs(dataset="digits")) == ["b"]
    assert _names(list_runs(model="le*", dataset="digits")) == []
    assert sorted(_names(list_runs())) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("manifest", "state", "epochs"),
    [
        ({"document": _document(epochs=10), "epoch": 3, "history": [{}] * 3}, "stopped after 3 of 10 epochs", 3),
        ({"document": {"recipe_values": {"epochs": 10}}, "epoch": 3}, "stopped after 3 of 10 epochs", 3),
        ({"document": {"model": "mlp"}, "epoch": 3}, "stopped after 3 epochs", 3),
        ({"document": {}}, "stopped", None),
        ({"document": None, "epoch": "x"}, "stopped", None),
        ({}, "damaged checkpoint.npz: 'document'", None),
        ([1], "damaged checkpoint.npz: list indices", None),
    ],
    ids=str,
)
def test_stopped_run_says_how_far_it_came(manifest, state, epochs):
    """From its checkpoint, whatever of it is there."""
    _write_checkpoint("a", manifest)
    (row,) = list_runs()
    assert row["state"].startswith(state)
    assert row["epochs"] == epochs
    assert row["finished"] is None
    _write("a")
    assert list_runs()[0]["state"] == "finished"


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1]", "{}", "nonsense", '{"metrics": 3}', "[" * 100_000, '{"metrics": ' + "9" * 5000 + "}"],
    ids=lambda text: text[:15],
)
def test_damaged_record_is_a_row_that_says_so(text, zoo):
    """It neither hides the other runs nor stops the list."""
    _write("a", text)
    _write("b")
    rows = {row["run"]: row for row in list_runs()}
    assert rows["a"]["state"].startswith("damaged run.json: ")
    assert rows["b"]["state"] == "finished"
    assert "damaged" in zoo("runs").stdout
    assert "damaged" in zoo("runs", "--sort", "test_accuracy", "--json").stdout


def test_values_of_another_kind_count_as_missing(zoo):
    """Numbers that are not finite, too large, or no numbers at all."""
    document = _document() | {"model": ["mlp"], "params": 10**400, "seed": True, "history": None, "timing": 7}
    document["metrics"] = {"test_accuracy": math.nan, "test_loss": "low"}
    _write("a", json.dumps(document))
    (row,) = list_runs()
    missing = ("model", "params", "seed", "epochs", "train_s", "test_accuracy", "test_loss")
    assert [row[name] for name in missing] == [None] * 7
    assert zoo("runs").exit_code == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_is_no_file_is_not_waited_for():
    """A pipe with the record's name would never answer."""
    for name, file in (("a", "run.json"), ("b", "checkpoint.npz")):
        (Path("runs") / name).mkdir(parents=True)
        os.mkfifo(Path("runs") / name / file)
    (Path("runs") / "c").mkdir()
    (Path("runs") / "c" / "checkpoint.npz").write_bytes(b"PK\x03\x04 cut off")
    assert ["damaged" in row["state"] for row in list_runs()] == [True] * 3


def test_links_neither_loop_nor_double():
    """A link to a run outside is listed; one to a run that is listed already, or back up, adds nothing."""
    _write("a")
    outside = _write("../elsewhere/run")
    (Path("runs") / "loop").symlink_to("..")
    (Path("runs") / "a" / "self").symlink_to(".")
    (Path("runs") / "best").symlink_to("a")
    (Path("runs") / "other").symlink_to(outside.resolve())
    (Path("runs") / "broken").symlink_to("nowhere")
    assert _names(list_runs()) == ["a", "other"]


def test_no_run_yet_is_a_sentence(zoo):
    """And so is nothing that matches; a file in the folder's place is an error."""
    assert list_runs() == []
    assert zoo("runs").stdout == "No run in runs/ yet. 'zoo train lenet5' makes one.\n"
    assert json.loads(zoo("runs", "--json").stdout) == []
    _write("a")
    assert zoo("runs", "--model", "zzz").stdout == "No run in runs/ matches.\n"
    Path("file").write_text("")
    with pytest.raises(RunError, match="file is no folder"):
        list_runs("file")


def test_table_in_a_pipe_has_every_column(zoo):
    """Accuracy in percent, and the header that --sort takes."""
    _write("a", _document(0.99125))
    header, row = zoo("runs").stdout.splitlines()
    assert [name for name in run_reports.COLUMNS.values() if name not in header] == []
    assert "99.12%" in row
    assert "101,770" in row


@pytest.mark.parametrize("width", [60, 80, 200])
def test_table_on_a_terminal_fits(monkeypatch, capsys, width):
    """What does not fit is left out and named; the column that it is sorted by never is."""
    for number in range(3):
        _write(f"lenet5-20261124-07510{number}-s0", _document(model="lenet5"))
    for module in (run_reports, tables):
        monkeypatch.setattr(module, "is_terminal", lambda stream: True)
    monkeypatch.setenv("COLUMNS", str(width))
    run_reports.print_runs(list_runs(), folder="runs", sort="device")
    _, *table = capsys.readouterr().out.splitlines()
    assert sum("lenet5-20261124-07510" in line and "-s0" in line for line in table) == 3, "a row is folded"
    assert all(len(line) <= width for line in table)
    assert "device" in table[0]
    assert "test accuracy" in table[0]
    assert any(line.startswith("Not shown") for line in table) == (width < 200)


def test_reason_of_the_damage_stands_below_the_table(zoo):
    """It would make the table too wide for everything else."""
    _write("a", "{")
    _, row, reason = zoo("runs").stdout.splitlines()
    assert row.endswith("damaged run.json")
    assert reason.startswith("a: damaged run.json: Expecting")


def test_diff_on_a_terminal_fits(monkeypatch, capsys):
    """Sentences are wrapped, and the intervals left out where there is no room; a wide one shows them."""
    for seed in range(3):
        _write(f"x/s{seed}", _document(0.98 + seed / 1000, seed=seed))
        _write(f"y/s{seed}", _document(0.97 + seed / 1000, seed=seed, shift=1))
    for module in (run_reports, tables):
        monkeypatch.setattr(module, "is_terminal", lambda stream: True)
    for width in (80, 120):
        monkeypatch.setenv("COLUMNS", str(width))
        run_reports.print_run_diff(diff_runs("x", "y"))
        text = capsys.readouterr().out
        assert all(len(line) <= width for line in text.splitlines())
        assert "98.10 ± 0.10 %" in text
        assert text.count("95% interval") == (1 if width == 80 else 2)


def test_option_set_to_nothing_is_not_one_that_is_not_set():
    """The first overrides the model's default, the second leaves it."""
    _write("a", _document(model_options={"dropout": None}))
    _write("b")
    assert diff_runs("a", "b")["differs"]["recipe"] == [{"field": "model.options.dropout", "a": None}]


def test_hostile_names_do_not_reach_the_terminal(zoo):
    """Escape sequences and newlines from a record or a folder's name become question marks."""
    nasty = "\x1b[2Jmlp\n\ud800"
    _write("a\x1b[31m", _document(model=nasty))
    _write("b", _document(model_options={nasty: nasty}))
    for text in (zoo("runs").stdout, zoo("runs", "diff", "a\x1b[31m", "b").stdout):
        assert "\x1b" not in text
        assert "?[2Jmlp??" in text
    assert len(zoo("runs").stdout.splitlines()) == 3


def test_neither_command_imports_tensorflow(python):
    """They read records, so they answer at once."""
    _write("a")
    _write_checkpoint("c", {"document": {}, "epoch": 1})
    for seed in range(3):
        _write(f"x/s{seed}", _document(0.98 + seed / 1000, seed=seed))
        _write(f"y/s{seed}", _document(0.97 + seed / 1000, seed=seed))
    for arguments in (["runs"], ["runs", "diff", "a", "x/s0"], ["runs", "diff", "x", "y"]):
        code = f"import sys, zoo.cli; zoo.cli.main({arguments}, standalone_mode=False); print(sorted(sys.modules))"
        result = python("-c", code)
        assert result.returncode == 0, result.stderr
        modules = result.stdout.splitlines()[-1]
        assert "'zoo.runs.listing'" in modules
        assert not [name for name in ("tensorflow", "keras", "matplotlib", "rich") if f"'{name}'" in modules]


def test_diff_names_the_fields_that_differ():
    """Nested options by dotted names, and an option that one run does not set is missing there."""
    second = _document(0.992, learning_rate=0.01, model_options={"dropout": 0.5})
    second |= {"limit": 100, "threads": {"intra_op": 4}}
    _write("a")
    _write("b", second)
    differs = diff_runs("a", "b")["differs"]
    assert differs["recipe"] == [
        {"field": "optimizer.learning_rate", "a": 1e-3, "b": 0.01},
        {"field": "model.options.dropout", "b": 0.5},
    ]
    assert differs["experiment"] == [{"field": "limit", "a": None, "b": 100}]
    assert differs["environment"] == [{"field": "threads.intra_op", "a": 2, "b": 4}]


def test_records_with_and_without_sections_are_compared():
    """The same settings do not differ, and what does differ is named by its section on both sides."""
    old = json.loads((Path(__file__).parents[1] / "fixtures" / "run-flat-recipe.json").read_text())
    recipe = Recipe.from_dict(old["recipe_values"])
    _write("old", old)
    _write("new", old | {"recipe_values": recipe.to_dict()})
    _write("other", old | {"recipe_values": recipe.override(learning_rate=0.1, loss="squared_error").to_dict()})
    assert diff_runs("old", "new")["differs"]["recipe"] == []
    assert diff_runs("old", "other")["differs"]["recipe"] == [
        {"field": "optimizer.learning_rate", "a": 0.05, "b": 0.1},
        {"field": "loss.name", "a": "cross_entropy", "b": "squared_error"},
    ]


def test_diff_gives_each_metric_with_difference_and_ratio():
    """Ratios for sizes and times; the best validation accuracy where one was measured."""
    second = _document(0.992)
    second["timing"] = {"train_s": 18.0, "images_per_s": 30_000}
    second["history"] = [{"val_accuracy": 0.9}, {"val_accuracy": 0.95}, {"val_accuracy": 0.94}]
    _write("a", _document(0.99))
    _write("b", second)
    rows = {row["metric"]: row for row in diff_runs("a", "b")["metrics"]}
    assert rows["test_accuracy"]["difference"] == pytest.approx(0.002)
    assert rows["test_accuracy"]["a"] == {"mean": 0.99, "standard_deviation": None, "n": 1}
    assert rows["train_s"]["ratio"] == 2
    assert rows["images_per_s"]["ratio"] == 0.5
    assert rows["epochs"]["difference"] == 1
    assert rows["best_validation_accuracy"]["b"]["mean"] == 0.95
    assert rows["best_validation_accuracy"]["a"]["mean"] is None


@pytest.mark.parametrize(("accuracy", "verdict"), [(0.9905, False), (0.995, True), (0.985, True)])
def test_single_runs_are_told_from_chance_by_the_test_images(zoo, accuracy, verdict):
    """Half a tenth of a point on 10,000 images is nothing, half a point is something; one seed is said to be one."""
    _write("a", _document(0.99))
    _write("b", _document(accuracy, epochs=3))
    document = diff_runs("a", "b")
    interval = document["accuracy_interval"]
    assert interval["more_than_chance"] is verdict
    assert interval["test_images"] == {"a": 10_000, "b": 10_000, "same": True}
    assert interval["low"] < accuracy - 0.99 < interval["high"]
    text = zoo("runs", "diff", "a", "b").stdout
    assert "independent binomials" in text
    assert ("may explain" in text) is not verdict
    assert "One seed each does not separate the recipe from the seed" in text


def test_recorded_number_of_test_images_counts_most():
    """And without any number nothing is said about chance."""
    documents = [_document(0.95, dataset="mine"), _document(0.97, dataset="mine", epochs=3)]
    for name, document in zip("ab", documents, strict=True):
        _write(name, document)
        _write(name * 2, document | {"images": {"train": 900, "test": 100}})
    assert diff_runs("a", "b")["accuracy_interval"] is None
    assert any("not recorded" in note for note in diff_runs("a", "b")["notes"])
    assert diff_runs("aa", "bb")["accuracy_interval"]["test_images"]["a"] == 100


def test_other_test_images_are_pointed_out():
    """Another dataset, or other bytes of the same one."""
    _write("a")
    _write("b", _document(dataset="fashion_mnist"))
    other = _document()
    other["environment"]["data_digests"]["test_images"] = "b" * 64
    _write("c", other)
    for name in "bc":
        document = diff_runs("a", name)
        assert document["accuracy_interval"]["test_images"]["same"] is False
        assert any("test images are not the same" in note for note in document["notes"])


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (_document(0.992, seed=1), "only the seed differs: what the accuracies differ by is chance"),
        (_document(), "Nothing differs but the time"),
        (_document(0.992), "Nothing that is recorded differs, and the metrics do"),
        (_document() | {"device": "gpu"}, "only the environment differs"),
        (_document(seed=1) | {"device": "gpu"}, "only the seed and the environment differ"),
        (_document(epochs=3, shift=1), "augmentation.shift, schedule.epochs differ at once"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_can_be_concluded_is_said(second, words):
    """In one sentence, by what differs."""
    _write("a")
    _write("b", second)
    assert words in diff_runs("a", "b")["notes"][0]


def test_one_change_is_not_called_several():
    """A builder that comes with its model, and fewer images that come with a limit, are consequences."""
    _write("a", _document() | {"builder": "m:a", "images": {"train": 60_000, "test": 10_000}})
    _write("b", _document(model="net") | {"builder": "m:b", "images": {"train": 60_000, "test": 10_000}})
    _write("c", _document() | {"builder": "m:a", "limit": 100, "images": {"train": 100, "test": 10_000}})
    for name in "bc":
        assert not any("at once" in note for note in diff_runs("a", name)["notes"])


def test_sets_of_seeds_are_compared_by_their_means(zoo):
    """Means, deviations and n on each side, and Welch's interval; unfinished seeds are left out and said to be."""
    for seed, (left, right) in enumerate([(0.981, 0.990), (0.982, 0.991), (0.983, 0.992)]):
        _write(f"x/s{seed}", _document(left, seed=seed))
        _write(f"y/s{seed}", _document(right, seed=seed, shift=1))
    _write_checkpoint("y/s3", {"document": {}, "epoch": 1})
    document = diff_runs("x", "y")
    assert document["differs"]["recipe"] == [{"field": "augmentation.shift", "a": 0, "b": 1}]
    assert document["differs"]["experiment"] == []
    row = document["metrics"][0]
    assert (row["metric"], row["a"]["n"], row["b"]["n"]) == ("test_accuracy", 3, 3)
    assert row["b"]["mean"] == pytest.approx(0.991)
    assert document["accuracy_interval"]["more_than_chance"]
    assert document["notes"] == ["y holds 1 unfinished besides, left out."]
    text = zoo("runs", "diff", "x", "y").stdout
    assert "98.20 ± 0.10 %" in text
    assert "Welch's t, from 3 and 3 seeds" in text


def test_one_run_against_several_seeds_gets_no_interval():
    """Which is said."""
    _write("a")
    for seed in range(2):
        _write(f"x/s{seed}", _document(0.98 + seed / 100, seed=seed))
    document = diff_runs("a", "x")
    assert document["accuracy_interval"] is None
    assert any("several seeds on both sides" in note for note in document["notes"])


def test_folder_of_different_experiments_is_no_set_of_seeds():
    """Their mean would mean nothing; the error names two of them and a field."""
    _write("x/a")
    _write("x/b", _document(epochs=9))
    _write("c")
    with pytest.raises(RunError, match="more than the seed: a and b in schedule.epochs"):
        diff_runs("x", "c")


def test_seed_that_is_there_twice_is_pointed_out():
    """Copies of one run are not several measurements."""
    for name in ("x/s0", "x/copy", "y/s0"):
        _write(name)
    _write("y/s1", _document(0.98, seed=1))
    assert any("a seed twice" in note for note in diff_runs("x", "y")["notes"])


def test_intervals_are_those_of_the_literature():
    """Newcombe's own example, 56/70 - 48/80: 0.0524 to 0.3339 (his table II, method 10); Welch's as SciPy has it."""
    assert proportions_interval(48 / 80, 56 / 70, 80, 70) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert proportions_interval(1, 1, 100, 100) == pytest.approx((-0.0370, 0.0370), abs=5e-5)
    from scipy import stats

    a, b = [0.981, 0.984, 0.982], [0.99, 0.9915, 0.9905, 0.9902]
    expected = stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    assert welch_interval(a, b) == pytest.approx((expected.low, expected.high))
    assert welch_interval([0.9, 0.9], [0.9, 0.9]) is None
    assert welch_interval([0.9], [0.9, 0.8]) is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["runs", "--sort", "sate"], "No column is called 'sate'. Did you mean 'state'?"),
        (["runs", "--folder", "file"], "file is no folder"),
        (["runs", "diff", "a", "nowhere"], "There is no run 'nowhere'."),
        (["runs", "diff", "a", "empty"], "holds no run.json"),
        (["runs", "diff", "a", "damaged"], "run.json cannot be read"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_one_line_of_the_group_too(zoo, arguments, words):
    """Exit 1 and no traceback, unless it is asked for on either level."""
    _write("a")
    _write("damaged", "{")
    (Path("runs") / "empty").mkdir()
    Path("file").write_text("")
    result = zoo(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert words in result.stderr
    for asked in ([*arguments, "--traceback"], ["runs", "--traceback", *arguments[1:]]):
        with pytest.raises((RunError, UnknownNameError)):
            zoo(*asked)


def test_options_of_the_list_are_refused_before_diff(zoo):
    """Else --json there would be swallowed without a word."""
    _write("a")
    result = zoo("runs", "--json", "diff", "a", "a")
    assert result.exit_code == 2
    assert "written after it" in result.stderr
    assert zoo("runs", "diff", "a", "a", "--json").exit_code == 0
    assert zoo("runs", "nonsense").exit_code == 2
    assert "diff" in main.commands["runs"].commands


def test_a_run_that_zoo_wrote_is_read(zoo, trained_run, tmp_path):
    """Listed with its numbers, and no different from itself."""
    expected = json.loads((trained_run / "run.json").read_text())
    (row,) = json.loads(zoo("runs", "--folder", trained_run.parent, "--json").stdout)
    assert row["run"] == "mlp"
    assert row["test_accuracy"] == expected["metrics"]["test_accuracy"]
    assert row["epochs"] == 4
    document = json.loads(zoo("runs", "diff", trained_run, trained_run, "--json").stdout)
    assert document["differs"] == {"recipe": [], "experiment": [], "environment": []}
    assert document["notes"][0] == "A and B are the same folder."
