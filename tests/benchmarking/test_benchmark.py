"""Benchmarks: what is measured and what is not, failures as rows, records that read back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import benchmark_samples as samples
import jsonschema
import pytest

from zoo import registry
from zoo.benchmarking import bench, record, trainings
from zoo.benchmarking.matrix import Cell, choose, find_models
from zoo.benchmarking.timing import measure_steady
from zoo.errors import DeviceError, RecipeError, RunError, UnknownNameError
from zoo.execution import Outcome

# What is measured


def test_presets_grow():
    """Each measures more than the one before, and what is given takes its place."""
    counts = [len(choose(preset).cells(["mlp"], "cpu")) for preset in ("quick", "standard", "full")]
    assert counts == sorted(set(counts))
    cells = choose("full", modes=("train",), precisions=("float32",), xla=(None,), batch_sizes=(8, 16)).cells(
        ["mlp", "lenet5"], "cpu"
    )
    assert [(cell.model, cell.batch_size) for cell in cells] == [("mlp", 8), ("mlp", 16), ("lenet5", 8), ("lenet5", 16)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"modes": ("training",)}, "mode must be one of train, infer, received 'training'"),
        ({"precisions": ("float8",)}, "precision must be one of float32, mixed_bfloat16, mixed_float16"),
        ({"batch_sizes": (0,)}, "batch_size must be at least 1, received 0"),
        ({"rounds": 0}, "rounds must be at least 1, received 0"),
        ({"seconds": 0.0}, "seconds must be more than 0 and finite, received 0.0"),
        ({"seconds": float("inf")}, "seconds must be more than 0 and finite, received inf"),
    ],
)
def test_a_matrix_that_cannot_be_measured_is_refused(changes, words):
    """With the value, the rule and what to change, before any process starts."""
    with pytest.raises(RecipeError, match=words):
        choose("quick", **changes)


def test_models_by_pattern_each_once():
    """Names and wildcards together; what matches nothing is an error that says so."""
    assert find_models(("lenet*", "mlp", "lenet5")) == ["lenet5", "mlp"]
    assert {"mlp", "resnet20"} <= set(find_models(())) <= set(registry.list_models())
    assert not {"vgg16", "resnet50"} & set(find_models(()))
    assert find_models(("vgg1*",)) == ["vgg11", "vgg13", "vgg16", "vgg19"]
    with pytest.raises(UnknownNameError, match="No model's name matches 'vgx\\*'"):
        find_models(("vgx*",))
    with pytest.raises(UnknownNameError, match="Did you mean 'lenet5'"):
        find_models(("lenet",))


# Timing


class FakeDevice:
    """A device with a clock of its own: steps are queued at once, and done once somebody waits."""

    def __init__(self, *step_s: float) -> None:
        self.now, self.pending, self.started = 0.0, 0.0, 0
        self.step_s = step_s

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.pending += self.step_s[min(self.started, len(self.step_s) - 1)]
            self.started += 1
            self.now += 0.00005  # what the host spends on asking

    def synchronize(self) -> None:
        self.now += self.pending
        self.pending = 0.0

    def clock(self) -> float:
        return self.now


def _measure(device: FakeDevice, **changes):
    return measure_steady(
        device.run, seconds=1.0, **{"synchronize": device.synchronize, "clock": device.clock} | changes
    )


def test_the_clock_is_read_when_the_device_is_done():
    """Steps of 5 ms on a device that works while the host goes on are found to take 5 ms, not the host's moment."""
    steady = _measure(FakeDevice(0.005))
    assert steady.step_s == pytest.approx([0.00505] * len(steady.step_s))
    assert steady.steps_per_block * 0.005 >= 0.04
    assert len(steady.step_s) >= 12
    assert steady.steady


def test_this_test_can_fail():
    """Without waiting, the same device seems to take only what the host spends on asking."""
    steady = _measure(FakeDevice(0.005), synchronize=lambda: None)
    assert max(steady.step_s) < 0.0001


def test_the_yardstick_is_never_inside_a_block():
    """It is timed after each block, its second go alone, and what it takes is not in the steps."""
    device = FakeDevice(0.005)

    def work() -> None:
        device.now += 0.3

    steady = _measure(device, yardstick=work)
    assert steady.step_s == pytest.approx([0.00505] * len(steady.step_s))
    assert steady.yardstick_s == pytest.approx([0.3] * len(steady.step_s))
    assert _measure(FakeDevice(0.005)).yardstick_s == ()


def test_what_comes_before_the_steady_state_is_left_out():
    """Slow steps at the beginning, by and by faster ones, are warm-up: none of them is in the result."""
    steady = _measure(FakeDevice(*[0.1 * 0.9**n for n in range(36)], 0.002))
    assert max(steady.step_s) == pytest.approx(0.00205)
    assert steady.warm_up_steps >= 36


def test_a_device_that_never_settles_is_said_to_be_unsteady():
    """Always a little faster: the warm-up ends by its limit."""
    steady = _measure(FakeDevice(*[0.5 * 0.95**n for n in range(40)], 0.06))
    assert not steady.steady


@pytest.mark.usefixtures("registry_undone")
@pytest.mark.parametrize("mode", ["train", "infer"])
def test_tracing_is_never_in_the_steady_figures(mode):
    """A model whose graph takes half a second to trace: all of that is in the first call."""
    from zoo.benchmarking.worker import measure_cell

    _register_slow_to_trace()
    result = measure_cell(vars(Cell("slow_to_trace", mode, "float32", False, 16, "cpu")), seconds=0.2)
    assert result["round"]["first_call_s"] > 0.5
    assert max(result["round"]["step_s"]) < 0.4
    assert len(result["round"]["yardstick_s"]) == len(result["round"]["step_s"])
    assert min(result["round"]["yardstick_s"]) > 0
    assert result["resolved"]["batch_size"] == 16
    assert result["macs"] == 28 * 28 * 10


def _register_slow_to_trace() -> None:
    import keras

    class SlowToTrace(keras.layers.Layer):
        def call(self, inputs):
            time.sleep(0.5)  # at tracing only: the compiled step knows nothing of it
            return inputs

    @registry.register()
    def slow_to_trace(*, input_shape=(28, 28, 1), num_classes=10):
        layers = keras.layers
        return keras.Sequential(
            [layers.Input(input_shape), SlowToTrace(), layers.Flatten(), layers.Dense(num_classes, dtype="float32")]
        )


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_is_recorded_as_it_runs(precision):
    """The compute dtype, and that float16 has its loss scaled."""
    from zoo.benchmarking.worker import measure_cell

    result = measure_cell(vars(Cell("mlp", "train", precision, False, 32, "cpu")), seconds=0.05)
    assert result["resolved"]["compute_dtype"] == precision.removeprefix("mixed_")
    assert result["resolved"]["loss_scaling"] is (precision == "mixed_float16")


def test_the_peak_is_of_this_machine():
    """Positive for each dtype that was asked for, and no device's facts on a CPU."""
    from zoo.benchmarking.worker import describe_machine

    machine = describe_machine("cpu", ["float32", "bfloat16"])
    assert set(machine["peaks"]) == {"float32", "bfloat16"}
    assert min(machine["peaks"].values()) > 1e8
    assert machine["gpu"] is None


# Rounds, with processes that are made up


FACTS = {
    "origin": "cnn-zoo 0.1.0",
    "resolved": {**samples.cell()["resolved"]},
    "params": 10,
    "trainable_params": 10,
    "macs": 1_000,
}
ROUND = {name: value for name, value in samples.cell()["rounds"][0].items() if name != "round"}


class FakeProcesses:
    """Answers like the processes that measure; `reactions` says what becomes of a model."""

    def __init__(self, **reactions) -> None:
        self.timeout, self.reactions, self.measured, self.asked = 300.0, reactions, [], []

    def map(self, jobs):
        return (self.carry_out(job.do, json.loads(job.to_json())["arguments"]) for job in jobs)

    def carry_out(self, do, arguments):
        self.asked.append((do, arguments))
        if do == "describe_machine":
            peaks = dict.fromkeys(arguments["dtypes"], 1e11)
            return _ok({"device": "cpu", "gpu": None, "onednn": True, "peaks": peaks})
        if do == "fetch":
            return _ok(None)
        cell = Cell(**arguments["cell"]) if do == "measure_cell" else None
        name = cell.model if cell else arguments["model"]
        self.measured.append((name, cell.batch_size) if cell else (name, arguments["seed"]))
        reaction = self.reactions.get(name)
        if reaction is not None:
            return reaction(cell.batch_size if cell else arguments["seed"])
        if cell:
            resolved = {**FACTS["resolved"], "batch_size": cell.batch_size}
            return _ok({**FACTS, "resolved": resolved, "round": ROUND})
        return _ok(_trained(arguments["seed"]))


def _ok(result):
    return Outcome("ok", result=result)


def _bad(status, reason):
    return Outcome(status, reason)


def _trained(seed, reached=True):
    run = {"seed": seed, "reached": reached, "epochs": 3, "training_s": 2.0 + seed, "total_s": 9.0 + seed}
    run |= {"test_accuracy": 0.99, "error": None}
    return {**FACTS, "dataset": "mnist", "run": run}


@pytest.fixture
def processes(monkeypatch):
    """Put made-up processes in place of the real ones."""

    def install(**reactions):
        fake = FakeProcesses(**reactions)
        monkeypatch.setattr(bench, "Subprocesses", lambda timeout: fake)
        return fake

    return install


QUICK = {"modes": ["train"], "precisions": ["float32"]}


def test_cells_take_turns_and_none_is_always_first(processes):
    """Each round begins one cell later than the one before."""
    fake = processes()
    bench.benchmark("mlp", "lenet5", "simple_cnn", rounds=3, **QUICK)
    first, second, third = (fake.measured[start : start + 3] for start in (0, 3, 6))
    assert [name for name, _ in first] == ["mlp", "lenet5", "simple_cnn"]
    assert [name for name, _ in second] == ["lenet5", "simple_cnn", "mlp"]
    assert [name for name, _ in third] == ["simple_cnn", "mlp", "lenet5"]


def test_the_document_is_what_the_schema_says(processes):
    """Cells and trainings, measured and not."""
    processes(
        mlp=lambda batch: _bad("failed", "ModelError: no."),
        lenet5=lambda batch: _bad("out_of_memory", "too much") if batch > 32 else _ok({**_trained(0), "round": ROUND}),
    )
    document = bench.benchmark("mlp", "lenet5", "simple_cnn", **QUICK, accuracy=True, seeds=2, time_budget=1e9)
    jsonschema.validate(document, record.schema())
    jsonschema.validate(samples.document(samples.cell(), samples.training()), record.schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document | {"cells": [{**document["cells"][0], "status": "fine"}]}, record.schema())


def test_the_sums_are_right():
    """By hand: 128 images in a median of 10.5 ms; 6 operations per MAC and image; quantiles between the values."""
    rounds = [{**ROUND, "round": 0, "step_s": [0.010, 0.011, 0.010, 0.013, 0.012]}]
    peaks = [{"device": "cpu", "dtype": "float32", "flops_per_s": 1e9, "rounds": [1e9]}]
    facts = {**FACTS, "resolved": {**FACTS["resolved"], "batch_size": 128}}
    cell = Cell("mlp", "train", "float32", None, 128, "auto")
    entry = record.cell_entry(cell, facts, rounds, status="ok", reason=None, retried_from=None, peaks=peaks)
    assert entry["images_per_s"] == pytest.approx(128 / 0.011)
    assert entry["flops_per_s"] == pytest.approx(6 * 1_000 * 128 / 0.011)
    assert entry["peak_share"] == pytest.approx(6 * 1_000 * 128 / 0.011 / 1e9)
    expected = {"q1": 0.010, "q3": 0.012, "iqr": 0.002, "p50": 0.011, "p90": 0.0126, "p99": 0.01296, "n": 5}
    assert {name: entry["step_s"][name] for name in expected} == pytest.approx(expected)


def test_out_of_memory_is_tried_again_with_half_the_batch(processes):
    """Until it fits; the next round starts from there, and the row is flagged."""

    def fits_24(batch):
        resolved = {**FACTS["resolved"], "batch_size": batch}
        return _bad("out_of_memory", "no") if batch > 24 else _ok({**FACTS, "resolved": resolved, "round": ROUND})

    fake = processes(mlp=fits_24)
    (cell,) = bench.benchmark("mlp", batch_sizes=[64], rounds=2, **QUICK)["cells"]
    assert [batch for _, batch in fake.measured] == [64, 32, 16, 16]
    assert (cell["status"], cell["retried_from"], cell["resolved"]["batch_size"]) == ("ok", 64, 16)
    assert cell["requested"]["batch_size"] == 64


def test_what_never_fits_is_a_row_that_says_so(processes):
    """Down to a single image, and then no further."""
    processes(mlp=lambda batch: _bad("out_of_memory", "OOM when allocating"))
    document = bench.benchmark("mlp", "lenet5", batch_sizes=[4], rounds=1, **QUICK)
    bad, good = document["cells"]
    assert (bad["status"], bad["reason"], bad["step_s"]) == ("out_of_memory", "OOM when allocating", None)
    assert good["status"] == "ok"
    assert not bench.all_measured(document)


def test_what_failed_once_is_not_tried_again(processes):
    """Its row keeps the reason; the rest goes on."""
    fake = processes(mlp=lambda batch: _bad("timed_out", "it was not done after 300 s, and was ended"))
    document = bench.benchmark("mlp", "lenet5", rounds=3, **QUICK)
    assert [name for name, _ in fake.measured].count("mlp") == 1
    assert [cell["status"] for cell in document["cells"]] == ["timed_out", "ok"]
    assert len(document["cells"][1]["rounds"]) == 3


def test_a_spent_time_budget_leaves_rows_that_say_so(processes, monkeypatch):
    """What is left is skipped, which is no failure."""
    processes()
    seconds = iter(range(0, 1_000, 10))
    monkeypatch.setattr(bench.time, "monotonic", lambda: next(seconds))
    document = bench.benchmark("mlp", "lenet5", "simple_cnn", rounds=1, time_budget=25, **QUICK)
    assert [cell["status"] for cell in document["cells"]] == ["ok", "ok", "skipped"]
    assert document["cells"][2]["reason"] == "it was not measured before the time was over"
    assert bench.all_measured(document)


def test_ctrl_c_keeps_what_is_done(processes, tmp_path):
    """The record holds it, and so does what is raised."""

    def interrupted(batch):
        raise KeyboardInterrupt

    processes(lenet5=interrupted)
    with pytest.raises(bench.BenchmarkInterrupted, match="What was measured is kept") as caught:
        bench.benchmark("mlp", "lenet5", rounds=1, output=tmp_path / "r.jsonl", **QUICK)
    assert [cell["status"] for cell in caught.value.document["cells"]] == ["ok", "skipped"]
    assert record.read(tmp_path / "r.jsonl") == caught.value.document


def test_a_machine_that_cannot_be_measured_is_an_error(processes, monkeypatch):
    """For example a GPU that is not there: nothing can be measured, so there is no row to put it in."""
    monkeypatch.setattr(processes(), "carry_out", lambda *_: _bad("failed", "TensorFlow sees no GPU here."))
    with pytest.raises(DeviceError, match="cannot be measured: TensorFlow sees no GPU here"):
        bench.benchmark("mlp", device="gpu")


def test_a_machine_that_fails_once_later_takes_nothing_away(processes, monkeypatch):
    """The peaks of the other rounds have to do, and it is said."""
    fake, looks, said = processes(), [], []
    carry_out = fake.carry_out

    def fails_second(do, arguments):
        looks.append(do)
        if looks.count("describe_machine") == 2 and do == "describe_machine":
            return _bad("timed_out", "it was busy")
        return carry_out(do, arguments)

    monkeypatch.setattr(fake, "carry_out", fails_second)
    document = bench.benchmark("mlp", rounds=3, announce=said.append, **QUICK)
    assert len(document["cells"][0]["rounds"]) == 3
    assert len(document["peaks"][0]["rounds"]) == 2
    assert any("it was busy" in line for line in said)


@pytest.mark.parametrize("name", ["timeout", "time_budget"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_limits_that_cannot_pass_are_refused(processes, name, value):
    """Before anything is measured."""
    fake = processes()
    with pytest.raises(RecipeError, match=f"{name} must be more than 0 and finite"):
        bench.benchmark("mlp", **{name: value})
    assert not fake.measured


def test_what_is_asked_for_twice_is_measured_once(processes):
    """Repeated options name the same cell."""
    processes()
    document = bench.benchmark("mlp", modes=["infer", "infer"], precisions=["float32"], batch_sizes=[8, 8], rounds=1)
    assert len(document["cells"]) == 1


def test_halving_has_an_end(processes):
    """A batch far too large is given up after eight halvings."""
    fake = processes(mlp=lambda batch: _bad("out_of_memory", "no"))
    (cell,) = bench.benchmark("mlp", batch_sizes=[2**40], rounds=1, **QUICK)["cells"]
    assert [batch for _, batch in fake.measured] == [2**exponent for exponent in range(40, 31, -1)]
    assert (cell["status"], cell["retried_from"]) == ("out_of_memory", 2**40)


def test_a_batch_larger_than_the_memory_is_not_even_drawn():
    """The images alone would fill the machine, and take others down with them."""
    from zoo.benchmarking.worker import measure_cell

    with pytest.raises(MemoryError, match="a batch of 1,000,000,000,000 images is"):
        measure_cell(vars(Cell("mlp", "infer", "float32", False, 10**12, "cpu")), seconds=0.1)


# Trainings


def test_seeds_that_do_not_reach_the_target_are_failures(processes):
    """They are counted, and stay out of the distribution of times."""
    processes(mlp=lambda seed: _ok(_trained(seed, reached=seed != 1)))
    (entry,) = bench.benchmark("mlp", until=0.99, seeds=3)["trainings"]
    assert entry["failures"] == 1
    assert entry["training_s"]["mean"] == pytest.approx(3.0)
    assert entry["total_s"]["n"] == 2
    assert entry["test_accuracy"]["n"] == 3


def test_models_take_turns_seed_by_seed(processes):
    """So that a machine that gets slower hits all alike."""
    fake = processes()
    bench.benchmark("mlp", "lenet5", until=0.9, seeds=2)
    assert fake.measured == [("mlp", 0), ("lenet5", 0), ("mlp", 1), ("lenet5", 1)]


def test_a_model_that_cannot_be_trained_is_a_row(processes):
    """It is not tried for every seed, and a seed that breaks later is told too."""
    fake = processes(
        mlp=lambda seed: _bad("failed", "no"),
        lenet5=lambda seed: _ok(_trained(seed)) if not seed else _bad("failed", "x"),
    )
    mlp, lenet5 = bench.benchmark("mlp", "lenet5", until=0.9, seeds=3)["trainings"]
    assert (mlp["status"], mlp["reason"], mlp["failures"]) == ("failed", "no", 1)
    assert (lenet5["status"], lenet5["reason"], lenet5["failures"]) == ("failed", "a seed broke: x", 2)
    assert [name for name, _ in fake.measured].count("mlp") == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"until": 99}, "until must be above 0 and at most 1, received 99. Write 99% as 0.99"),
        ({"until": 0.9, "seeds": 0}, "seeds must be at least 1, received 0"),
        ({"until": 0.9, "modes": ["train"]}, "mode means nothing to it"),
        ({"until": 0.9, "accuracy": True}, "accuracy means nothing to it"),
        ({"until": 0.9, "precisions": ["float32", "mixed_bfloat16"]}, "Choose one"),
        ({"until": 0.9, "recipe": "128-64"}, "This recipe of mlp holds images out"),
    ],
)
def test_a_target_that_means_nothing_is_refused(processes, changes, words):
    """Before anything is measured."""
    processes()
    with pytest.raises(RecipeError, match=words):
        bench.benchmark("mlp", **changes)


def test_settings_of_the_step_hold_for_trainings_too(processes):
    """A training to a target in half precision is one in half precision."""
    fake = processes()
    bench.benchmark("mlp", until=0.9, precisions=["mixed_bfloat16"], batch_sizes=[64])
    overrides = next(arguments["overrides"] for do, arguments in fake.asked if do == "time_training")
    assert overrides == {"precision": "mixed_bfloat16", "batch_size": 64}


def test_a_real_training_ends_when_its_target_is_reached():
    """Both clocks: the training's own seconds are part of the whole."""
    from zoo.benchmarking.training import train_once

    arguments = {"seed": 3, "device": "cpu", "overrides": {"dataset": "digits", "schedule": "constant"}}
    result = train_once("mlp", "default", target=0.5, **arguments)
    run = result["run"]
    assert run["reached"]
    assert run["test_accuracy"] >= 0.5
    assert run["epochs"] < 12
    assert 0 < run["training_s"] < run["total_s"]
    missed = train_once("mlp", "default", target=1.0, **{**arguments, "overrides": {"dataset": "digits", "epochs": 1}})
    assert not missed["run"]["reached"]
    assert trainings.distribution([1.0])["standard_deviation"] is None


# Records


def test_a_record_reads_back_as_it_was(tmp_path):
    """As JSON lines and as one document."""
    document = samples.document(samples.cell(), samples.failed_cell("failed", "no"), samples.training())
    record.write(document, tmp_path / "r.jsonl")
    assert record.read(tmp_path / "r.jsonl") == document
    (tmp_path / "r.json").write_text(json.dumps(document, indent=1))
    assert record.read(tmp_path / "r.json") == document
    kinds = [json.loads(line).get("kind") for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert kinds == [None, "cell", "cell", "training"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is no benchmark record: it is empty"),
        ("a,b", "is no benchmark record: line 1 is no JSON"),
        ("[]", "is no benchmark record: it holds something else than objects"),
        ("[" * 200_000, "is no benchmark record"),
        ('{"schema": "zoo.benchmark/9"}', "is written as zoo.benchmark/9; this zoo reads zoo.benchmark/1"),
        ('{"schema": "zoo.benchmark/1"}', "is no benchmark record: 'command' is a required property"),
        ('{"cells": []}\n{"kind": "peak"}', "is no benchmark record: it holds a line of kind 'peak'"),
        ('{"schema": NaN}', "is no benchmark record: line 1 is no JSON: it holds NaN"),
        (b"\xff\xfe\x00", "cannot be read: it is no text"),
    ],
)
def test_what_is_no_record_is_refused(tmp_path, content, words):
    """One line, whatever is in the file."""
    path = tmp_path / "r.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(RunError, match=words):
        record.read(path)


@pytest.mark.parametrize("damage", ["delete", "null", "text"])
def test_any_damaged_field_is_refused(tmp_path, damage):
    """Whichever name of a cell is missing, or holds something else, the record is no record; and it says where."""
    whole = samples.document(samples.cell())
    for name in ("model", "mode", "requested", "status", "rounds", "peak_share"):
        cell = dict(whole["cells"][0])
        cell.pop(name) if damage == "delete" else cell.update({name: None if damage == "null" else "x"})
        if (damage, name) in {("null", "peak_share"), ("text", "model")}:
            continue  # these may be so
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(whole | {"cells": [cell]}))
        with pytest.raises(RunError, match=r"is no benchmark record: \['cells'\]\[0\]"):
            record.read(path)


def test_a_record_that_is_not_there_or_cannot_be_written_is_an_error(tmp_path):
    """The second before anything is measured."""
    with pytest.raises(RunError, match="cannot be read: No such file"):
        record.read(tmp_path / "r.jsonl")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        record.claim(tmp_path / "file" / "r.jsonl")


def test_a_record_never_takes_anothers_place(tmp_path, monkeypatch):
    """A file that is there is refused, and records of one second have different names."""
    (tmp_path / "notes.txt").write_text("precious")
    with pytest.raises(RunError, match="exists already. Choose another --output"):
        record.claim(tmp_path / "notes.txt")
    monkeypatch.setattr(record.time, "strftime", lambda form: "bench-1")
    assert [record.claim(None).name for _ in range(3)] == ["bench-1.jsonl", "bench-1-2.jsonl", "bench-1-3.jsonl"]


# The command, with real processes


PLUGINS = {
    "explodes": "import keras\nkeras.does_not_exist",
    "hangs": "import time\ntime.sleep(600)",
    "dies": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)",
    "hungry": """
        import keras

        class Hungry(keras.layers.Layer):
            def call(self, inputs):
                import tensorflow as tf
                rows = tf.shape(inputs, out_type="int64")[0]
                many = tf.tile(tf.reshape(inputs, [-1])[:1], [tf.where(rows > 16, 10**14, 1)])
                return inputs + tf.reduce_sum(many)

            def compute_output_shape(self, shape):
                return shape

        def hungry(*, input_shape=(28, 28, 1), num_classes=10):
            layers = keras.layers
            return keras.Sequential(
                [layers.Input(input_shape), Hungry(), layers.Flatten(), layers.Dense(num_classes, dtype="float32")]
            )
    """,
}


@pytest.fixture
def plugins_path(tmp_path) -> Path:
    """A folder with those plugins, to be put on the path."""
    from textwrap import dedent

    site = tmp_path / "site"
    for name, code in PLUGINS.items():
        metadata = site / f"zoo_{name}-1.0.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: zoo-{name}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[zoo.models]\n{name} = zoo_{name}:{name}\n")
        (site / f"zoo_{name}.py").write_text(dedent(code))
    return site


def _bench(*arguments: str, path: Path | None = None) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(path)} if path else None
    return subprocess.Popen(
        [sys.executable, "-m", "zoo", "bench", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def test_failures_are_rows_and_the_rest_finish(plugins_path):
    """A plugin that cannot be imported, one that hangs, one that kills its process, one that eats all memory."""
    options = ("--mode", "infer", "--precision", "float32", "--rounds", "1", "--seconds", "0.05")
    running = _bench("mlp", *PLUGINS, *options, "--batch-size", "32", "--timeout", "25", "--json", path=plugins_path)
    out, err = running.communicate(timeout=300)
    assert running.returncode == 1, err
    document = json.loads(out)
    jsonschema.validate(document, record.schema())
    cells = {cell["model"]: cell for cell in document["cells"]}
    assert {name: cell["status"] for name, cell in cells.items()} == {
        "mlp": "ok", "explodes": "failed", "hangs": "timed_out", "dies": "failed", "hungry": "ok",
    }  # fmt: skip
    assert "'explodes' is provided by zoo-explodes 1.0" in cells["explodes"]["reason"]
    assert "not done after 25 s" in cells["hangs"]["reason"]
    assert cells["dies"]["reason"] == "the process died of SIGSEGV"
    assert (cells["hungry"]["retried_from"], cells["hungry"]["resolved"]["batch_size"]) == (32, 16)
    assert document["environment"]["plugins"] == {"zoo-hungry": "1.0"}
    assert len(list(Path("runs").glob("bench-*.jsonl"))) == 1


@pytest.mark.usefixtures("ctrl_c_interrupts")
def test_ctrl_c_ends_the_processes_and_prints_what_is_done():
    """Exit 130, a table with the cells that are done, and no process left behind."""
    running = _bench("mlp", "lenet5", "--mode", "infer", "--rounds", "50", "--seconds", "0.05")
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith("[2/"):
            break
    running.send_signal(signal.SIGINT)
    out, _ = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "mlp" in out
    (path,) = Path("runs").glob("bench-*.jsonl")
    assert sum(len(cell["rounds"]) for cell in record.read(path)["cells"]) >= 2
    assert "zoo.execution" not in _processes_here()


def test_a_killed_benchmark_leaves_no_process_behind():
    """What measures ends when the pipe from its parent closes."""
    running = _bench("mlp", "--mode", "train", "--rounds", "1", "--seconds", "120")
    for _ in range(200):
        if "zoo.execution" in _processes_here():
            break
        time.sleep(0.1)
    running.kill()
    running.communicate()
    for _ in range(300):
        if "zoo.execution" not in _processes_here():
            return
        time.sleep(0.1)
    raise AssertionError(_processes_here())


def _processes_here() -> str:
    """The command lines of the processes that work in this folder."""
    import psutil

    lines = []
    for each in psutil.process_iter():
        try:
            if each.cwd() == str(Path.cwd()) and each.status() != psutil.STATUS_ZOMBIE:
                lines.append(" ".join(each.cmdline()))
        except psutil.Error:
            continue
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("mlp", "--from", "r.jsonl"), "--from shows a record and measures nothing"),
        (("mlp", "--seeds", "3"), "--recipe and --seeds are about trainings"),
    ],
)
def test_options_that_would_be_passed_over_are_refused(zoo, arguments, words):
    """Wrong usage, exit 2."""
    result = zoo("bench", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr


def test_what_measured_nothing_leaves_no_record(zoo, processes, monkeypatch):
    """No file for a device that is not there."""
    monkeypatch.setattr(processes(), "carry_out", lambda *_: _bad("failed", "TensorFlow sees no GPU here."))
    assert zoo("bench", "mlp", "--device", "gpu").exit_code == 1
    assert not list(Path("runs").glob("*"))


@pytest.mark.parametrize("form", ["table", "markdown", "csv", "json", "html"])
def test_a_record_is_shown_in_any_form(zoo, tmp_path, form):
    """Without measuring anything."""
    record.write(samples.document(samples.cell(), samples.training()), tmp_path / "r.jsonl")
    result = zoo("bench", "--from", tmp_path / "r.jsonl", "--format", form)
    assert result.exit_code == 0
    assert "lenet5" in result.stdout


def test_compare_tells_slower_by_its_exit_code(zoo, tmp_path):
    """1 where a cell is slower by the ratio that was named, 0 where it is not."""
    rounds = [[0.0100 + 0.0001 * n + 0.00005 * k for k in range(12)] for n in range(5)]
    slower = [[1.3 * step for step in blocks] for blocks in rounds]
    for name, steps in (("old", rounds), ("new", slower)):
        record.write(samples.document(samples.cell(rounds=steps)), tmp_path / f"{name}.jsonl")
    assert zoo("compare", tmp_path / "old.jsonl", tmp_path / "old.jsonl", "--fail-if-slower", "1.1").exit_code == 0
    assert zoo("compare", tmp_path / "old.jsonl", tmp_path / "new.jsonl", "--fail-if-slower", "1.5").exit_code == 0
    result = zoo("compare", tmp_path / "old.jsonl", tmp_path / "new.jsonl", "--fail-if-slower", "1.1")
    assert result.exit_code == 1
    assert "slower" in result.stdout


def test_compare_does_not_pass_what_it_could_not_judge(zoo, tmp_path):
    """A cell that can no longer be measured fails the check, and so does a comparison that judged nothing."""
    rounds = [[0.0100 + 0.0001 * n + 0.00005 * k for k in range(12)] for n in range(5)]
    cells = {
        "good": samples.cell(rounds=rounds),
        "lost": samples.failed_cell("failed", "it broke"),
        "single": samples.cell(rounds=rounds[:1]),
    }
    for name, cell in cells.items():
        record.write(samples.document(cell), tmp_path / f"{name}.jsonl")
    lost = zoo("compare", tmp_path / "good.jsonl", tmp_path / "lost.jsonl", "--fail-if-slower", "1.1")
    assert (lost.exit_code, "was measured in old and not in new" in lost.stderr) == (1, True)
    single = zoo("compare", tmp_path / "single.jsonl", tmp_path / "single.jsonl", "--fail-if-slower", "1.1")
    assert (single.exit_code, "Nothing could be judged" in single.stderr) == (1, True)
