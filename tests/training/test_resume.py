"""Training that survives: stopped or killed at any moment, it goes on to the same bits."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import filelock
import keras
import numpy as np
import pytest

from zoo.data import Dataset
from zoo.errors import RecipeError, RunError
from zoo.runs.folder import load_run
from zoo.spec import Recipe
from zoo.spec.recipe import SHORT
from zoo.training import checkpoint
from zoo.training import loop as epoch_loop
from zoo.training.interruption import Interruption, TrainingInterrupted
from zoo.training.trainer import train

pytestmark = pytest.mark.usefixtures("ctrl_c_interrupts")


class StopAt(keras.callbacks.Callback):
    """Presses Ctrl-C, or fails, at a moment of the training."""

    def __init__(self, epoch: int, *, at_end: bool = False, fail: bool = False) -> None:
        super().__init__()
        self.epoch, self.at_end, self.fail = epoch, at_end, fail

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.now == self.epoch and not self.at_end:
            self._stop()

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch and self.at_end:
            self._stop()

    def get_state(self):
        return {}

    def set_state(self, state):
        self.epoch = -1

    def _stop(self):
        if self.fail:
            raise RuntimeError("power cut")
        signal.raise_signal(signal.SIGINT)


EVERYTHING = {
    "dataset": "digits",
    "limit": 300,
    "epochs": 6,
    "batch_size": 32,
    "learning_rate": 0.02,
    "schedule": "reduce_on_plateau",
    "plateau_patience": 1,
    "early_stopping": 3,
    "save_best": "val_accuracy",
    "validation_split": 0.25,
    "shift": 1,
    "rotation": 5.0,
    "deterministic": True,
    "model_options": {"hidden_sizes": [32], "dropout": 0.5},
}

SCENARIOS = {
    "float32": {},
    "bfloat16, streamed": {"precision": "mixed_bfloat16", "pipeline": "tf_data", "cache": False},
    "float16, averaged, one-cycle": {
        "precision": "mixed_float16",
        "weight_averaging": 0.9,
        "gradient_accumulation": 2,
        "schedule": "one_cycle",
    },
}


def _scenario(name: str, folder: Path) -> dict[str, bool]:
    """Train uninterrupted, stopped within an epoch, stopped at an epoch's end, and crashed; compare to the bit."""
    fields = {**EVERYTHING, **SCENARIOS[name]}
    never = StopAt(-1)
    whole = train("mlp", callbacks=[never], output=folder / "whole", **fields)
    same = {}
    for how, stop in {
        "within": StopAt(2),
        "at the end": StopAt(1, at_end=True),
        "crash": StopAt(3, fail=True),
    }.items():
        output = folder / how.replace(" ", "-")
        epoch_loop.SECONDS_PER_CALL = 1e-9  # single steps: Ctrl-C comes in the middle, and sums are cut everywhere
        try:
            train("mlp", callbacks=[stop], output=output, **fields)
        except (TrainingInterrupted, RuntimeError):
            epoch_loop.SECONDS_PER_CALL = 0.25
        else:
            raise AssertionError(f"{how}: it was not stopped")
        assert (checkpoint.read(output).totals["steps"] > 0) is (how == "within")
        again = train(resume=output, callbacks=[StopAt(-1)])
        same[how] = _equal(whole, again)
    return same


def _equal(one, other) -> bool:
    weights = zip(one.model.get_weights(), other.model.get_weights(), strict=True)
    timeless = [[_timeless(row) for row in run.document["history"]] for run in (one, other)]
    return (
        all((a == b).all() for a, b in weights)
        and timeless[0] == timeless[1]
        and one.metrics == other.metrics
        and one.document["selected_epoch"] == other.document["selected_epoch"]
    )


def _timeless(row: dict) -> dict:
    return {name: value for name, value in row.items() if name not in ("seconds", "images_per_s")}


def test_what_was_stopped_goes_on_to_the_same_bits(python, tmp_path):
    """In every precision and both feeds; dropout, plateau, early stopping, averages and augmentation included."""
    result = python(__file__, str(tmp_path))
    assert result.returncode == 0, result.stderr
    outcomes = json.loads(result.stdout)
    assert set(outcomes) == set(SCENARIOS)
    for name, same in outcomes.items():
        assert same == {"within": True, "at the end": True, "crash": True}, name


@pytest.fixture
def stopped(tiny_digits, tmp_path) -> Path:
    """The folder of an mlp stopped at the end of its first epoch."""
    with pytest.raises(TrainingInterrupted):
        train("mlp", dataset=tiny_digits, epochs=3, callbacks=[StopAt(0)], output=tmp_path / "stopped")
    return tmp_path / "stopped"


def test_ctrl_c_saves_and_says_how_to_continue(tiny_digits, tmp_path, monkeypatch):
    """The message names the command; the folder holds the checkpoint and nothing half-made."""
    monkeypatch.setattr(epoch_loop, "SECONDS_PER_CALL", 1e-9)
    folder = tmp_path / "with a space"
    with pytest.raises(TrainingInterrupted) as stop:
        train("lenet5", dataset=tiny_digits, epochs=3, batch_size=20, callbacks=[StopAt(1)], output=folder)
    assert str(stop.value).startswith("Stopped after 1 of 3 epochs and 1 of 6 steps. ")
    assert str(stop.value).endswith(f"Continue: zoo train --resume '{folder}'")
    assert [path.name for path in folder.iterdir()] == ["checkpoint.npz"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_stopped_run_is_not_trained_over(stopped, tiny_digits):
    """The same --output without --resume would lose what was trained."""
    with pytest.raises(RunError, match="holds a run that was stopped. Continue it by --resume, or choose another"):
        train("mlp", dataset=tiny_digits, epochs=3, output=stopped)
    assert checkpoint.read(stopped).epoch == 1


def test_ctrl_c_while_results_are_written_says_how_to_continue(tiny_digits, tmp_path, monkeypatch):
    """Nothing is left to train; the rest is done by the same command."""
    from zoo.training import trainer

    def interrupted(run):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "write_run", interrupted)
        with pytest.raises(TrainingInterrupted, match=r"^Interrupted\. Continue: zoo train --resume"):
            train("mlp", dataset=tiny_digits, epochs=2, weight_averaging=0.9, output=tmp_path / "run")
    whole = train("mlp", dataset=tiny_digits, epochs=2, weight_averaging=0.9, output=tmp_path / "whole")
    again = train(resume=tmp_path / "run", dataset=tiny_digits)
    assert again.metrics["test_loss"] == pytest.approx(whole.metrics["test_loss"], rel=1e-4)
    assert len(again.document["history"]) == 2


def test_callback_that_stops_at_once_leaves_a_run(tiny_digits, tmp_path):
    """The least that is trained is one stretch of steps: there is a loss to report."""

    class Stop(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.model.stop_training = True

    run = train("mlp", dataset=tiny_digits, epochs=5, callbacks=[Stop()], output=tmp_path / "run")
    assert len(run.document["history"]) == 1


def test_second_ctrl_c_interrupts_at_once():
    """The first is heard and obeyed later, the second does not wait."""
    with Interruption() as interruption:
        signal.raise_signal(signal.SIGINT)
        assert interruption.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


ENDED = """
import json, os, signal, sys
import keras, zoo
from zoo.training.interruption import TrainingInterrupted

class Send(keras.callbacks.Callback):
    def __init__(self, number):
        super().__init__()
        self.number = number

    def on_train_batch_end(self, batch, logs=None):
        os.kill(os.getpid(), self.number)

said = {}
for name, state in json.loads(sys.argv[1]):
    number = getattr(signal, name)
    usual = signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL  # whatever the tests began with
    signal.signal(number, signal.SIG_IGN if state == "ignored" else usual)
    output = f"{name}-{state}"
    try:
        zoo.train("mlp", dataset="digits", limit=100, epochs=2, callbacks=[Send(number)], output=output)
    except TrainingInterrupted as error:
        said[output] = str(error)
print(json.dumps(said))
"""


def test_whatever_asks_a_process_to_end_is_heard_like_ctrl_c(python):
    """A scheduler that stops a job, a terminal that is closed: what was trained is saved; nohup is respected."""
    heard = [("SIGINT", "usual"), ("SIGTERM", "usual"), ("SIGHUP", "usual")]
    done = python("-c", ENDED, json.dumps([*heard, ("SIGHUP", "ignored")]))
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said.keys() == {"-".join(each) for each in heard}
    for output, words in said.items():
        assert words.startswith("Stopped after 1 of 2 epochs. Continue: zoo train --resume"), output
        assert checkpoint.read(Path(output)).epoch == 1
    assert Path("SIGHUP-ignored/run.json").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_the_program_has_taken_stays_its_own(number):
    """Notebooks and schedulers have handlers of their own; afterwards all are as they were."""
    heard = []
    before = signal.signal(number, lambda *_: heard.append(number))
    own = signal.getsignal(number)
    try:
        with Interruption() as interruption:
            signal.raise_signal(number)
        assert not interruption.requested
        assert heard == [number]
        assert signal.getsignal(number) is own
    finally:
        signal.signal(number, before)


def test_continued_run_is_a_finished_run(stopped, tiny_digits):
    """Its record says where it was continued; the checkpoint and litter are gone; it is not continued twice."""
    (stopped / ".zoo-0123.npz").write_bytes(b"half a checkp")
    with pytest.raises(RunError, match="is not finished. Continue it: zoo train --resume"):
        load_run(stopped)
    run = train(resume=stopped, dataset=tiny_digits, callbacks=[StopAt(-1)])
    assert len(run.document["history"]) == 3
    assert run.document["continued_at"] == [1]
    assert {path.name for path in stopped.iterdir()} == {"run.json", "history.csv", "model.keras", "curves.png"}
    assert load_run(stopped).metrics == run.metrics
    with pytest.raises(RunError, match=r"is finished: there is nothing to continue"):
        train(resume=stopped)


@pytest.fixture(scope="module")
def finished(tiny_digits, tmp_path_factory):
    """Runs by name: of a recipe, and of a model of one's own."""
    folder = tmp_path_factory.mktemp("finished")
    layers = [keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
    own = keras.Sequential(layers, name="own")
    options = {"epochs": 2, "dataset": tiny_digits}
    return {
        "default": train("mlp", output=folder / "default", **options),
        "named": train("mlp", recipe="dropout", output=folder / "named", **options),
        "own": train(own, output=folder / "own", **options),
    }


ANEW = "train anew: zoo train mlp {}--dataset digits --epochs {}; or "
FURTHER = (
    "go on from its weights, with an optimizer and a schedule that begin anew, in Python: "
    "zoo.train(zoo.load_run('{folder}').model, scaling='none', dataset='digits', epochs={epochs})"
)


@pytest.mark.parametrize(
    ("name", "epochs", "asked", "ways"),
    [
        ("default", 20, "so 20 epochs cannot be asked of it", ANEW.format("", 20) + FURTHER),
        ("default", None, "so it takes no more", ANEW.format("", 4) + FURTHER),
        ("named", 3, "so 3 epochs cannot be asked of it", ANEW.format("--recipe dropout ", 3) + FURTHER),
        ("own", 5, "so 5 epochs cannot be asked of it", FURTHER),
    ],
)
def test_more_epochs_than_a_run_had_are_another_training(finished, zoo, name, epochs, asked, ways):
    """The error says what was asked, why it cannot be, and how to get it, from either side."""
    folder = finished[name].folder
    ways = ways.format(folder=folder, epochs=epochs or 4)
    words = (
        f"{folder} is finished: there is nothing to continue. Its schedule ended with its 2 epochs, {asked}. Instead, "
    )
    result = zoo("train", "--resume", folder, *(["--epochs", str(epochs)] if epochs else []))
    assert result.exit_code == 1
    assert result.stderr == f"Error: {words}{ways}\n"
    with pytest.raises(RunError) as error:
        train(resume=folder, epochs=epochs)
    assert str(error.value) == words + ways


@pytest.mark.parametrize("name", ["default", "own"])
def test_going_on_from_a_runs_weights_works_as_the_error_says(finished, name, tiny_digits, tmp_path):
    """The line from the error, run; and what it begins with are the weights that the run ended with."""
    first = []

    class Note(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            first[:] = self.model.get_weights()

    before = [array.copy() for array in load_run(finished[name].folder).model.get_weights()]
    run = train(
        load_run(finished[name].folder).model,
        scaling="none",
        dataset=tiny_digits,
        epochs=1,
        callbacks=[Note()],
        output=tmp_path / "further",
    )
    assert run.folder != finished[name].folder
    for mine, was in zip(first, before, strict=True):
        np.testing.assert_array_equal(mine, was)


def test_checkpoint_from_before_recipes_had_sections_is_continued(stopped, tiny_digits):
    """Its settings have short names, as they were written then."""
    arrays = _unpack(stopped)
    manifest = json.loads(str(arrays["manifest"]))
    settings = Recipe.from_dict(manifest["document"]["recipe_values"]).settings()
    flat = {short: settings[name] for short, name in SHORT.items() if short != "micro_batches"}
    manifest["document"]["recipe_values"] = flat
    np.savez(stopped / checkpoint.FILE, **{**arrays, "manifest": np.array(json.dumps(manifest))})
    run = train(resume=stopped, dataset=tiny_digits, callbacks=[StopAt(-1)])
    assert len(run.document["history"]) == 3
    assert run.recipe.settings() == settings == load_run(stopped).recipe.settings()


def test_checkpoint_of_another_model_is_refused(stopped, tiny_digits, tmp_path):
    """By name, and by its variables where the name is the same."""
    with pytest.raises(RunError, match="The run trains mlp, not lenet5"):
        train("lenet5", dataset=tiny_digits, resume=stopped)
    other = tmp_path / "other"
    with pytest.raises(TrainingInterrupted):
        train(
            "mlp", dataset=tiny_digits, epochs=3, callbacks=[StopAt(1)], output=other,
            model_options={"hidden_sizes": [16]},
        )  # fmt: skip
    foreign, manifest = _unpack(other), _unpack(stopped)["manifest"]
    np.savez(stopped / checkpoint.FILE, **{**foreign, "manifest": manifest})
    with pytest.raises(
        RunError, match=r"of another model: .*kernel is \(784, 128\), in the checkpoint .* is \(784, 16\)"
    ):
        train(resume=stopped, dataset=tiny_digits, callbacks=[StopAt(-1)])


def _unpack(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / checkpoint.FILE) as arrays:
        return dict(arrays)


def _rewrite(folder: Path, **changes) -> None:
    arrays = _unpack(folder)
    manifest = {**json.loads(str(arrays["manifest"])), **changes}
    np.savez(folder / checkpoint.FILE, **{**arrays, "manifest": np.array(json.dumps(manifest))})


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:5000]), "cannot be read as a checkpoint"),
        (lambda path: path.write_bytes(b""), "cannot be read as a checkpoint"),
        (lambda path: path.write_text("weights"), "cannot be read as a checkpoint"),
        (lambda path: np.savez(path, weights=np.ones(3)), "cannot be read as a checkpoint"),
        (lambda path: np.savez(path, manifest=np.array({"a": 1}, dtype=object)), "cannot be read as a checkpoint"),
        (lambda path: _rewrite(path.parent, schema="zoo.checkpoint/9"), "this zoo reads zoo.checkpoint/1"),
        (lambda path: _rewrite(path.parent, document={"model": "mlp"}), "cannot be read as a checkpoint: it lacks"),
        (lambda path: _rewrite(path.parent, totals={"x": 1}), "cannot be read as a checkpoint: it lacks"),
        (lambda path: _rewrite(path.parent, names=["a"]), r"holds 1 variables, this one has \d+"),
        (lambda path: path.unlink(), "stopped before its training began"),
    ],
)
def test_damaged_checkpoint_is_one_clear_error(stopped, tiny_digits, break_it, words):
    """Truncated, empty, something else, objects to unpickle, of another version, or missing."""
    break_it(stopped / checkpoint.FILE)
    with pytest.raises(RunError, match=words):
        train(resume=stopped, dataset=tiny_digits, callbacks=[StopAt(-1)])


def test_folder_that_vanishes_is_named(tiny_digits, tmp_path):
    """It is not made again behind the user's back."""

    class Delete(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            shutil.rmtree(tmp_path / "run")

    with pytest.raises(RunError, match=r"run has vanished while the model was trained. Train again"):
        train("mlp", dataset=tiny_digits, epochs=2, callbacks=[Delete()], output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_full_disk_leaves_the_last_checkpoint(tiny_digits, tmp_path, monkeypatch):
    """The error says so, and what was saved before continues to the end."""
    write, calls = checkpoint.atomic_write, []

    def full_after_two(path, content):
        calls.append(path)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(checkpoint, "atomic_write", full_after_two)
    words = r"cannot be written: No space left on device. The checkpoint before stays: --resume"
    with pytest.raises(RunError, match=words):
        train("mlp", dataset=tiny_digits, epochs=4, output=tmp_path / "run")
    assert checkpoint.read(tmp_path / "run").epoch == 1
    assert len(train(resume=tmp_path / "run", dataset=tiny_digits).document["history"]) == 4


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folder_without_permission_is_named(stopped, tiny_digits):
    """A checkpoint that cannot be followed by another is refused before training."""
    stopped.chmod(0o500)
    try:
        with pytest.raises(RunError, match="cannot be written: Permission denied"):
            train(resume=stopped, dataset=tiny_digits, callbacks=[StopAt(-1)])
    finally:
        stopped.chmod(0o700)


def test_two_processes_cannot_continue_one_run(stopped, tiny_digits):
    """The second is told to wait."""
    with filelock.FileLock(stopped / ".lock"), pytest.raises(RunError, match="Another process is training in"):
        train(resume=stopped, dataset=tiny_digits)


def test_what_a_run_was_begun_with_cannot_be_changed(stopped, zoo):
    """Neither from Python nor from the command line."""
    with pytest.raises(RecipeError, match="epochs, seed cannot be given with resume"):
        train(resume=stopped, epochs=9, seed=1)
    result = zoo("train", "--resume", stopped, "--batch-size", "3")
    assert result.exit_code == 1
    assert "Error: A run is continued as it was begun: batch_size cannot be given with resume." in result.stderr
    assert zoo("train").exit_code == 2
    assert "There is no run 'nowhere'" in zoo("train", "--resume", "nowhere").stderr


def test_other_data_is_refused(stopped, tiny_digits):
    """The digests of what the run was begun with are in its checkpoint."""
    document = json.loads(str(_unpack(stopped)["manifest"]))["document"]
    document["environment"]["data_digests"] = {"train_images": "0" * 64}
    _rewrite(stopped, document=document)
    other = Dataset(**{**vars(tiny_digits), "digests": {"train_images": "1" * 64}})
    with pytest.raises(RunError, match="begun with other data: digits's train images have changed"):
        train(resume=stopped, dataset=other, callbacks=[StopAt(-1)])


def test_users_callbacks_take_part_by_two_methods(tiny_digits, tmp_path):
    """State of any shape comes back after on_train_begin; a callback without the methods is named."""

    class Count(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.epochs, self.losses = 0, np.zeros(0)

        def on_epoch_end(self, epoch, logs=None):
            self.epochs, self.losses = self.epochs + 1, np.append(self.losses, logs["loss"])

        def get_state(self):
            return {"epochs": self.epochs, "nested": [{"losses": self.losses}]}

        def set_state(self, state):
            self.epochs, self.losses = state["epochs"], state["nested"][0]["losses"]

    class Forget(keras.callbacks.Callback):
        pass

    with pytest.raises(TrainingInterrupted):
        train("mlp", dataset=tiny_digits, epochs=3, callbacks=[Count(), Forget(), StopAt(1)], output=tmp_path / "run")
    with pytest.raises(RunError, match="with the callbacks Count, Forget, StopAt, and is continued with none"):
        train(resume=tmp_path / "run", dataset=tiny_digits)
    count, said = Count(), []
    run = train(
        resume=tmp_path / "run", dataset=tiny_digits, callbacks=[count, Forget(), StopAt(-1)], announce=said.append
    )
    assert count.epochs == 3
    assert count.losses == pytest.approx([row["loss"] for row in run.document["history"]])
    assert said == ["Forget begins anew: it has no get_state() and set_state(state) to continue by."]


def test_model_of_ones_own_is_passed_again(tiny_digits, tmp_path):
    """Without it the error says how; with it the run goes on."""

    def mine() -> keras.Model:
        layers = [keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
        return keras.Sequential(layers, name="mine")

    with pytest.raises(TrainingInterrupted):
        train(mine(), dataset=tiny_digits, epochs=2, callbacks=[StopAt(0)], output=tmp_path / "run")
    with pytest.raises(RunError, match=r"a model of your own. Pass it: zoo.train\(model, resume=...\)"):
        train(resume=tmp_path / "run", dataset=tiny_digits)
    run = train(mine(), resume=tmp_path / "run", dataset=tiny_digits, callbacks=[StopAt(-1)])
    assert len(run.document["history"]) == 2


KILLED = (
    "train", "simple_cnn", "--dataset", "digits", "--epochs", "24", "--batch-size", "32", "--deterministic",
    "--learning-rate", "0.01", "--schedule", "reduce_on_plateau", "--plateau-patience", "1", "--plateau-factor", "0.5",
    "--early-stopping", "2", "--validation-split", "0.2", "--set", "model_options.dropout=0.5", "--no-report",
    "--quiet",
)  # fmt: skip
KILLS = 10  # for each precision


def _zoo(*arguments: str | Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "zoo", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _wait_for(path: Path) -> float:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.002)
    return time.monotonic()


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_killed_at_any_moment_it_goes_on_to_the_same_bits(tmp_path, precision):
    """kill -9 at random moments, from the first checkpoint to the last file: resumed, the weights are equal."""
    arguments = (*KILLED, "--precision", precision)
    process = _zoo(*arguments, "--output", tmp_path / "whole")
    began = _wait_for(tmp_path / "whole" / checkpoint.FILE)
    lasts = _wait_for(tmp_path / "whole" / "run.json") - began
    assert process.wait() == 0
    whole = load_run(tmp_path / "whole")
    history = whole.document["history"]
    assert len({row["learning_rate"] for row in history}) > 1, "the plateau was never reached"
    assert len(history) < 24, "it did not stop early"
    assert whole.document["selected_epoch"] < len(history), "it did not stop early"
    moments, reached = random.Random(precision), set()
    for number in range(KILLS):
        folder = tmp_path / str(number)
        process = _zoo(*arguments, "--output", folder)
        _wait_for(folder / checkpoint.FILE)
        time.sleep(moments.uniform(0, lasts))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if (folder / checkpoint.FILE).exists():
            reached.add(checkpoint.read(folder).epoch)
            continued = _zoo("train", "--resume", folder, "--no-report", "--quiet")
            assert continued.wait() == 0, continued.stderr.read().decode()
        assert _equal(whole, load_run(folder)), f"kill {number} changed the result"
    assert len(reached) > 3, f"the kills came at the same moments: {reached}"


if __name__ == "__main__":
    print(json.dumps({name: _scenario(name, Path(sys.argv[1]) / str(i)) for i, name in enumerate(SCENARIOS)}))
