"""The command as a user types it: what it prints, what it refuses and how, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from PIL import Image

from zoo.cli import main


def _commands(group: click.Group, prefix: tuple[str, ...] = ()):
    for name, command in group.commands.items():
        yield (*prefix, name)
        if isinstance(command, click.Group):
            yield from _commands(command, (*prefix, name))


@pytest.mark.parametrize("command", [(), *_commands(main)], ids=" ".join)
def test_every_command_has_help(zoo, command):
    """Every command says what it does, and every option what it means."""
    result = zoo(*command, "--help")
    assert result.exit_code == 0
    target = main
    for name in command:
        target = target.commands[name]
    assert target.help
    assert all(option.help for option in target.params if isinstance(option, click.Option))


@pytest.mark.parametrize("command", [c for c in _commands(main) if c not in {("data",)}], ids=" ".join)
def test_every_command_reports_json(command):
    """--json is on each."""
    target = main
    for name in command:
        target = target.commands[name]
    assert any("--json" in option.opts for option in target.params)


def test_list_names_every_model(zoo):
    """Plain columns where there is no terminal; JSON with the same facts."""
    lines = zoo("list").stdout.splitlines()
    assert lines[0].split()[:4] == ["name", "task", "params", "MACs"]
    assert any(line.startswith("lenet5") and "61,706" in line and "1998" in line for line in lines)
    rows = json.loads(zoo("list", "--json", "le*").stdout)
    assert [(row["name"], row["params"], row["macs"]) for row in rows] == [("lenet5", 61706, 416520)]
    assert "No model matches" in zoo("list", "zzz").stdout


def test_show_has_facts_and_layer_table(zoo):
    """The paper, every deviation, and a row per layer with output, parameters and MACs."""
    text = zoo("show", "lenet5").stdout
    assert "Gradient-Based Learning" in text
    assert "radial basis functions" in text
    assert any(
        line.split() == ["c3", "Conv2D", "10", "x", "10", "x", "16", "2,416", "240,000"] for line in text.splitlines()
    )
    document = json.loads(zoo("show", "lenet5", "--json").stdout)
    assert document["anatomy"]["macs"] == document["macs"] == 416_520


def test_train_prints_one_json_document(zoo, tmp_path):
    """stdout holds the document and nothing else; progress goes to stderr."""
    result = zoo("train", "mlp", "--dataset", "digits", "--epochs", 1, "--seed", 3, "--json", "--output", "run",
                 "--set", "model_options.hidden_sizes=[32]", "--set", "scaling=standard")  # fmt: skip
    document = json.loads(result.stdout)
    assert document["seed"] == 3
    assert document["recipe_values"]["model"]["options"] == {"hidden_sizes": [32]}
    assert document["params"] == 784 * 32 + 32 + 330
    assert "epoch 1/1" in result.stderr
    assert Path(document["run"]) == tmp_path / "run"


def test_train_for_a_person_ends_with_the_accuracy_the_folder_and_the_report(zoo, tmp_path):
    """The last lines are what one wants to know."""
    lines = zoo("train", "mlp", "--dataset", "digits", "--epochs", 1, "--quiet").stdout.splitlines()
    assert any(line.startswith("Test accuracy") and line.count("%") for line in lines)
    (folder,) = (tmp_path / "runs").iterdir()
    assert lines[-2].split()[-1] == str(folder)
    assert folder.name.startswith("mlp-")
    assert folder.name.endswith("-s0")
    assert lines[-1].split()[-1] == str(folder / "report.html")
    assert (folder / "report.html").stat().st_size > 10_000
    assert zoo("train", "mlp", "--dataset", "digits", "--epochs", 1, "--no-report", "--output", "plain").exit_code == 0
    assert not (tmp_path / "plain" / "report.html").exists()


def test_report_that_fails_takes_nothing_from_the_run(zoo, tmp_path, monkeypatch):
    """The run is there, the error is said, and the exit code is that of the training."""
    from zoo.errors import RunError
    from zoo.evaluation import evaluate as metrics

    def full(run):
        raise RunError("No space left.")

    monkeypatch.setattr(metrics, "evaluate", full)
    result = zoo("train", "mlp", "--dataset", "digits", "--epochs", 1, "--output", "run")
    assert result.exit_code == 0
    assert "No report: No space left." in result.stderr
    assert (tmp_path / "run" / "run.json").exists()


def test_settings_are_fields_of_the_recipe_and_nothing_else(zoo):
    """--set reaches no argument of Python's train."""
    for setting in ("callbacks=1", "output=x", "resume=y"):
        result = zoo("train", "mlp", "--set", setting)
        assert result.exit_code == 1
        assert f"'{setting.partition('=')[0]}' is not a setting of a recipe" in result.stderr


def test_seeds_are_tabled(zoo):
    """Two seeds: two rows, and their mean with its deviation and n."""
    result = zoo("train", "mlp", "--dataset", "digits", "--epochs", 1, "--seeds", 2, "--quiet")
    assert "±" in result.stdout
    assert "n = 2" in result.stdout


def test_evaluate_and_predict_a_run(zoo, trained_run, tmp_path):
    """A run's folder is all that is needed to measure it again and to ask it about a picture."""
    document = json.loads(zoo("evaluate", trained_run, "--json").stdout)
    expected = json.loads((trained_run / "run.json").read_text())["metrics"]
    assert document["metrics"]["test_accuracy"] == pytest.approx(expected["test_accuracy"])
    from zoo import data

    digit = data.load("digits").test
    Image.fromarray(255 - digit.images[0, :, :, 0]).resize((90, 90)).convert("RGB").save("ink on paper.jpg")
    text = zoo("predict", trained_run, "ink on paper.jpg").stdout
    assert "ink on paper.jpg" in text
    assert sum("%" in line for line in text.splitlines()) == 11
    document = json.loads(zoo("predict", trained_run, "ink on paper.jpg", "--json").stdout)
    assert len(document["predictions"][0]["probabilities"]) == 10
    assert sum(document["predictions"][0]["probabilities"]) == pytest.approx(1)


def test_data_show_writes_and_names_a_picture(zoo):
    """The grid is a PNG that opens."""
    path = zoo("data", "show", "digits").stdout.split(maxsplit=1)[1].strip()
    assert Image.open(path).format == "PNG"


def test_data_list_prepare_verify(zoo, monkeypatch, tmp_path):
    """The three words of a dataset's life."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    assert {row["name"] for row in json.loads(zoo("data", "list", "--json").stdout)} >= {"mnist", "digits"}
    assert str(tmp_path / "cache") in zoo("data", "prepare", "digits").stdout
    assert "ok" in zoo("data", "verify", "digits").stdout


def test_doctor_says_what_is_wrong_first(zoo):
    """The summary stands above the findings."""
    document = json.loads(zoo("doctor", "--json").stdout)
    assert document["findings"]
    assert zoo("doctor").stdout.startswith(document["summary"][:40])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "lenet"], "There is no model 'lenet'. Did you mean 'lenet5'?"),
        (["show", "LeNet"], "Did you mean 'lenet5'?"),
        (["train", "mlp", "--dataset", "mnits"], "No dataset is called 'mnits'. Did you mean 'mnist'?"),
        (["train", "mlp", "--recipe", "fast"], "mlp has no recipe 'fast'."),
        (["train", "mlp", "--set", "epoch=3"], "'epoch' is not a setting of a recipe. Did you mean 'epochs'?"),
        (["train", "mlp", "--set", "model_options.width=3"], "mlp has no option 'width'."),
        (["train", "mlp", "--dataset", "digits", "--device", "gpu"], "TensorFlow sees no GPU here"),
        (["train", "mlp", "--precision", "fp16"], "precision must be one of float32"),
        (["train", "mlp", "--data-dir", "empty"], "empty"),
        (["train", "mlp", "--dataset", "digits", "--output", "file/run"], "file"),
        (["train", "mlp", "--dataset", "digits", "--epochs", "0"], "epochs must be at least 1, received 0"),
        (["train", "mlp", "--dataset", "digits", "--seeds", "0"], "seeds must be at least 1, received 0"),
        (["evaluate", "nowhere"], "There is no run 'nowhere'."),
        (["predict", "RUN", "truncated.png"], "truncated.png"),
        (["predict", "RUN", "text.png"], "text.png"),
        (["predict", "RUN", "missing.png"], "missing.png"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistake_is_one_clear_line(zoo, arguments, words, trained_run, tmp_path):
    """Exit 1, one line that names the culprit, no traceback, nothing on stdout."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "text.png").write_text("not a picture")
    Image.effect_noise((64, 64), 50).save(tmp_path / "whole.png")
    (tmp_path / "truncated.png").write_bytes((tmp_path / "whole.png").read_bytes()[:700])
    result = zoo(*[str(trained_run) if argument == "RUN" else argument for argument in arguments])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert words in result.stderr
    assert result.stderr.rstrip()[-1] in ".?"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that not even the superuser may write")
def test_unwritable_output_is_named(zoo):
    """A folder without write permission is found out before training."""
    result = zoo("train", "mlp", "--dataset", "digits", "--output", "/proc/run")
    assert result.exit_code == 1
    assert "/proc/run cannot be written" in result.stderr


def test_traceback_is_there_for_who_asks(zoo):
    """--traceback raises what the line above would have said."""
    with pytest.raises(LookupError, match="no model 'lenet'"):
        zoo("train", "lenet", "--traceback")


def test_tensorflows_start_up_notes_are_kept_off_the_terminal(python):
    """A quiet training says nothing on stderr, where TensorFlow's native code would fill a page."""
    result = python("-m", "zoo", "train", "mlp", "--dataset", "digits", "--epochs", "1", "--quiet")
    assert result.returncode == 0
    assert result.stderr == ""


def test_wrong_usage_exits_with_two(zoo):
    """As every command line does."""
    assert zoo("train").exit_code == 2
    assert zoo("train", "mlp", "--nonsense").exit_code == 2


def test_ctrl_c_exits_with_130(zoo, monkeypatch):
    """No traceback, no half-written run."""
    from zoo.training import trainer

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "train", interrupted)
    result = zoo("train", "mlp")
    assert result.exit_code == 130
    assert "Interrupted." in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.usefixtures("registry_undone")
def test_recipe_keeps_its_own_xla(zoo):
    """An option that was not given overrides nothing."""
    from zoo.registry import register
    from zoo.spec import Recipe

    @register(recipes={"default": Recipe(dataset="digits", epochs=1, xla=True)})
    def compiled(*, input_shape=(28, 28, 1), num_classes=10):
        import keras

        layers = keras.layers
        return keras.Sequential([layers.Input(input_shape), layers.Flatten(), layers.Dense(num_classes)])

    assert json.loads(zoo("train", "compiled", "--quiet", "--json").stdout)["xla"] is True
    assert json.loads(zoo("train", "compiled", "--no-xla", "--quiet", "--json").stdout)["xla"] is False


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "mlp", "--set", "model_options.num_classes=5", "--dataset", "digits"], "is no model option"),
        (["train", "mlp", "--set", "model_options.hidden_sizes={64, 32}"], "must be plain values"),
        (["train", "mlp", "--set", "model_options.dropout={[]: 1}"], "cannot be built"),
        (["train", "mlp", "--dataset", "digits", "--output", "x" * 300], "cannot be written: File name too long"),
        (["train", "mlp", "--learning-rate", "inf"], "learning_rate must be"),
        (["evaluate", "x" * 300], "There is no run"),
        (["list", "--task", "nonsense"], "task must be one of"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else "",
)
def test_odd_values_are_one_clear_line_too(zoo, arguments, words):
    """What a hostile reviewer typed."""
    result = zoo(*arguments)
    assert result.exit_code == 1
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_diverged_run_evaluates_to_valid_json(zoo):
    """NaN is no JSON."""
    zoo("train", "mlp", "--dataset", "digits", "--epochs", 2, "--learning-rate", "1e30", "--quiet", "--output", "run")
    document = json.loads(zoo("evaluate", "run", "--json").stdout, parse_constant=pytest.fail)
    assert document["metrics"]["test_loss"] is None


def test_terminal_that_knows_only_ascii_is_no_reason_to_fail(python):
    """Characters that it lacks become question marks."""
    result = python("-m", "zoo", "show", "lenet5", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert result.returncode == 0, result.stderr
    assert "?Gradient-Based Learning" in result.stdout
