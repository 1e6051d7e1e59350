"""zoo beside its peers: the tables from a record, processes that take turns or fail, and that all train the same."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo.utils.environment import environment

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "peers"))

import report
import run
from group import Entrant, Group, rotated
from process import WorkerError, WorkerProcess
from side import SIDES, draw
from worker import Worker, answer

PEERS = Path(report.__file__).parent

# The tables


def row(side: str, precision: str = "float32", seconds: tuple[float, ...] = (1.0, 2.0, 4.0), **others: Any) -> dict:
    speeds = sorted(1000 / value for value in seconds)
    return {
        "model": "mlp",
        "batch_size": 32,
        "precision": precision,
        "side": side,
        "params": 101_770,
        "images": 1000,
        "first_call_s": 5.0,
        "seconds": list(seconds),
        "others_cpu_s": [0.0 for _ in seconds],
        "images_per_s": {"median": speeds[len(speeds) // 2], "min": speeds[0], "max": speeds[-1]},
        "train_loss": 0.1,
        "train_accuracy": 0.97,
        "test_accuracy": 0.9651,
        "status": "ok",
        "reason": None,
        **others,
    }


def record(*rows: dict) -> dict:
    facts = {**environment(), "commit": "0123456789abcdef", "modified": True, "torch": "2.13.0", "jax": "0.10.2"}
    return {"command": "python run.py", "date": "2026-11-24", "rounds": 3, "environment": facts, "rows": list(rows)}


def lines(*rows: dict) -> list[str]:
    return report.markdown(record(*rows)).splitlines()


def test_a_cell_is_the_median_with_its_range():
    """Images per second, minimum and maximum behind the median."""
    assert "| keras fit | 500 (250–1,000) |" in lines(row("keras fit"))


def test_ratios_are_of_turns_in_the_same_round():
    """The median of the rounds' own ratios, here 4, 1 and 4, where the medians of the seconds are as 2 to 1."""
    quick = row("zoo", seconds=(0.25, 2.0, 1.0))
    assert report.ratio(row("keras fit"), quick) == (4.0, 1.0, 4.0)
    assert "| zoo | 4.00 (1.00–4.00) |" in lines(row("keras fit"), quick)


def test_bfloat16_is_held_against_fit_in_float32():
    """One baseline for both precisions."""
    page = lines(row("keras fit"), row("keras fit", "bfloat16", (0.5, 1.0, 2.0)))
    assert "| side | float32, 32 | bfloat16, 32 |" in page
    assert "| keras fit | 1.00 (1.00–1.00) | 2.00 (2.00–2.00) |" in page


def test_zoo_is_held_against_the_fastest_of_each_framework():
    """Not the first, not the average: what a careful user would take."""
    page = lines(
        row("pytorch eager"),
        row("pytorch compile", seconds=(0.5, 1.0, 2.0)),
        row("jax", seconds=(0.5, 1.0, 2.0)),
        row("zoo", seconds=(0.25, 0.5, 1.0)),
    )
    assert "| the fastest of PyTorch | 2.00 (2.00–2.00), pytorch compile |" in page
    assert "| the fastest of JAX | 2.00 (2.00–2.00), jax |" in page


def test_what_failed_is_a_dash_and_a_reason():
    """A side that could not be measured neither vanishes nor stops the page."""
    failed = row("jax", status="failed", reason="ImportError: no jax", images_per_s=None, test_accuracy=None)
    page = lines(row("keras fit"), row("zoo"), failed)
    assert page.count("| jax | – |") == 4
    assert "- `jax`, float32, batch 32: ImportError: no jax" in page
    assert "| the fastest of JAX | – |" in page


def test_the_page_names_its_surroundings():
    """Command, processor, versions, the commit and that files differ from it, and the number of rounds."""
    page = report.markdown(record(row("zoo")))
    for words in ("`python run.py`", "torch 2.13.0", "jax 0.10.2", "0123456789, with changes", "n = 3 rounds"):
        assert words in page


def test_a_busy_machine_is_told():
    """Others' share of the processors' time, and a warning when it is more than a twentieth."""
    cores = environment()["cpus_allowed"]
    assert "Other processes had 0% of the processors' time meanwhile." in report.markdown(record(row("zoo")))
    busy = row("zoo", others_cpu_s=[0.7 * cores, 0.0, 0.0])
    assert "**Other processes had 10% of the processors' time meanwhile. Measure again" in report.markdown(record(busy))


def test_tables_are_made_from_a_record_without_measuring(tmp_path, monkeypatch, capsys):
    """--from-record starts no process; the page goes to standard output, or to a file."""
    monkeypatch.setattr(run, "measure", lambda *_: pytest.fail("measured"))
    path, page = tmp_path / "peers.json", tmp_path / "peers.md"
    path.write_text(json.dumps(record(row("zoo"))), encoding="utf-8")
    assert run.main(["--from-record", str(path)]) == 0
    printed = capsys.readouterr().out
    assert run.main(["--from-record", str(path), "--markdown", str(page)]) == 0
    assert page.read_text(encoding="utf-8") == printed == report.markdown(record(row("zoo")))


# Taking turns


class Fake:
    """A worker that writes down what it is asked, and fails at what it is told to."""

    def __init__(self, log: list[tuple[str, str]], fail: dict[str, Any]) -> None:
        self.log, self.fail, self.name, self.ended = log, fail, "", False

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        self.name = arguments.get("side", self.name)
        self.log.append((do, self.name))
        if do in self.fail.get(self.name, {}):
            raise self.fail[self.name][do]
        return {
            "prepare": {"params": 10, "first_call_s": 2.0},
            "go": {"seconds": 0.5, "others_cpu_s": 0.0, "loss": 0.1, "accuracy": 0.9},
            "accuracy": {"test_accuracy": 0.8},
            "weights": {"params": 10},
        }[do]

    def end(self) -> None:
        self.ended = True


class Team:
    """Starts fakes, and remembers them and what they did in which order."""

    def __init__(self, **fail: Any) -> None:
        self.log: list[tuple[str, str]] = []
        self.fail, self.fakes = fail, []

    def start(self, *_: Any) -> Fake:
        self.fakes.append(Fake(self.log, self.fail))
        return self.fakes[-1]

    def measure(self, rounds: int = 2) -> list[dict[str, Any]]:
        group = Group("mlp", 32, images=1000, rounds=rounds, seed=0, weights=Path("w.npz"))
        return group.measure([(name, "float32") for name in "abc"], self.start, lambda line: None)


def test_who_begins_a_round_changes():
    """Nobody is always first, or always behind the same pause."""
    entrants = [Entrant(name, "float32") for name in "abc"]
    orders = ["".join(entrant.side for entrant in rotated(entrants, number)) for number in range(4)]
    assert orders == ["abc", "bca", "cab", "abc"]
    team = Team()
    team.measure()
    assert [name for do, name in team.log if do == "go"] == list("abcbca")


def test_every_side_is_a_row_of_the_record():
    """With each round's seconds, the speeds made of them, and what was measured at the end."""
    first = Team().measure()[0]
    assert (first["side"], first["status"], first["seconds"], first["first_call_s"]) == ("a", "ok", [0.5, 0.5], 2.0)
    assert first["images_per_s"] == {"median": 2000.0, "min": 2000.0, "max": 2000.0}
    assert (first["params"], first["test_accuracy"]) == (10, 0.8)


@pytest.mark.parametrize("stage", ["prepare", "go", "accuracy"])
def test_a_side_that_fails_says_why_and_the_others_go_on(stage):
    """At whatever it fails; it is asked nothing more, and every process is ended."""
    team = Team(b={stage: WorkerError("no compiler")})
    rows = team.measure()
    assert [(row["side"], row["status"], row["reason"]) for row in rows] == [
        ("a", "ok", None),
        ("b", "failed", "no compiler"),
        ("c", "ok", None),
    ]
    asked = [do for do, name in team.log if name == "b"]
    assert asked.index(stage) == len(asked) - 1
    assert all(fake.ended for fake in team.fakes)
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows


def test_ctrl_c_ends_the_processes_and_keeps_finished_groups(tmp_path, monkeypatch):
    """Exit code 130; what was measured before is in the record."""
    team = Team()
    monkeypatch.setattr(run, "WorkerProcess", team.start)
    path = tmp_path / "peers.json"
    arguments = ["mlp", "--batch-size", "32", "--batch-size", "64", "--rounds", "1", "--sides", "zoo", "--precision"]
    real = Fake.ask

    def interrupted(self: Fake, do: str, **others: Any) -> dict[str, Any]:
        if others.get("batch_size") == 64:
            raise KeyboardInterrupt
        return real(self, do, **others)

    monkeypatch.setattr(Fake, "ask", interrupted)
    assert run.main([*arguments, "float32", "--record", str(path)]) == 130
    assert [row["batch_size"] for row in json.loads(path.read_text(encoding="utf-8"))["rows"]] == [32]
    assert all(fake.ended for fake in team.fakes)


def test_a_model_without_sides_is_refused(capsys):
    """The message says what there is."""
    with pytest.raises(SystemExit):
        run.parse(["vgg16"])
    assert "written for mlp, lenet5, simple_cnn, received 'vgg16'. Choose one" in capsys.readouterr().err


def test_rounds_go_through_shuffled_epochs():
    """The next images each time, none twice before all have been seen, and then in another order."""
    rounds = [draw(seed=3, number=number, images=40, available=100) for number in range(5)]
    seen = np.concatenate(rounds)
    assert sorted(seen[:100]) == sorted(seen[100:]) == list(range(100))
    assert list(seen[:100]) != list(seen[100:])
    assert list(draw(seed=3, number=0, images=250, available=100)[:200]) == list(seen)
    assert list(draw(seed=4, number=0, images=40, available=100)) != list(rounds[0])


# The processes


def script(folder: Path, code: str) -> Path:
    path = folder / "worker.py"
    path.write_text(f"import json, sys, time\n{code}\n", encoding="utf-8")
    return path


def test_a_worker_answers_in_lines(tmp_path):
    """What it is asked for with arguments, as a value."""
    code = 'for line in sys.stdin: print(json.dumps({"status": "ok", "result": json.loads(line)}), flush=True)'
    worker = WorkerProcess(60, script(tmp_path, code))
    try:
        assert worker.ask("go", images=3) == {"do": "go", "arguments": {"images": 3}}
    finally:
        worker.end()
    assert worker.process.returncode is not None


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ('sys.exit("no such framework")', "the process ended with exit code 1: no such framework"),
        ("import os; os.abort()", "the process died of SIGABRT"),
        ("time.sleep(60)", "'go' was not done after 0.5 s, and was ended"),
        ('print(json.dumps({"status": "failed", "reason": "too large"}), flush=True)', "too large"),
    ],
)
def test_a_worker_that_does_not_answer_is_an_error_with_its_reason(tmp_path, code, reason):
    """Its last words, the signal, the time, or what it says itself."""
    worker = WorkerProcess(0.5 if "sleep" in code else 60, script(tmp_path, code))
    try:
        with pytest.raises(WorkerError) as raised:
            worker.ask("go")
    finally:
        worker.end()
    assert str(raised.value) == reason


def test_a_worker_does_not_outlive_its_parent():
    """It ends when its standard input closes, as it does whatever happens to the parent."""
    worker = WorkerProcess(60)
    try:
        worker.process.stdin.close()
        assert worker.process.wait(timeout=60) == 0
    finally:
        worker.end()


def test_what_a_worker_cannot_do_is_an_answer():
    """It stays there for the next request."""
    failed = answer(Worker(), json.dumps({"do": "accuracy", "arguments": {}}))
    assert failed["status"] == "failed"
    assert failed["reason"].startswith("AttributeError: ")


# The same work. Each side runs in a process of its own, since frameworks do not share one well; for the same reason
# this asks whether PyTorch and JAX are there without importing them.

STEPS = """
import importlib, json, sys
import numpy as np
from side import BETAS, EPSILON, SIDES, Work
name, model, options, start, data, after = json.loads(sys.argv[1])
start, data, kind = np.load(start), np.load(data), SIDES[name]
work = Work(model, 120, "float32", 120, [start[key] for key in start.files], options=options)
side = importlib.import_module(kind.module).prepare(work, kind.variant)
for step in (1, 2, 3):
    if kind.module == "torch_side":  # adds epsilon after it has corrected the bias, where Keras adds it before
        side.optimizer.param_groups[0]["eps"] = EPSILON / (1 - BETAS[1] ** step) ** 0.5
    side.load(data["images"], data["labels"])
    side.train()
np.savez(after, *side.weights())
print("parameters:", side.params)
"""


def available(name: str) -> bool:
    module = SIDES[name].module
    framework = {"torch_side": "torch", "jax_side": "jax"}.get(module)
    compiler = "compile" not in SIDES[name].variant or module != "torch_side" or shutil.which("g++")
    return bool(compiler) and (framework is None or importlib.util.find_spec(framework) is not None)


def arrays(path: str) -> list[np.ndarray]:
    with np.load(path) as stored:
        return [stored[name] for name in stored.files]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["mlp", "lenet5", "simple_cnn"])
def test_every_side_trains_the_same_network(model, tmp_path, python, tiny_digits):
    """As many parameters as zoo declares; from the same weights, the same weights after three steps, to 1e-5."""
    from zoo import registry

    start, data, after = (str(tmp_path / f"{name}.npz") for name in ("start", "data", "after"))
    np.savez(data, images=tiny_digits.train.images, labels=tiny_digits.train.labels)
    options = {"dropout": 0.0} if model == "mlp" else {}  # each draws differently

    def run_python(*arguments: str) -> str:
        done = python(*arguments, PYTHONPATH=str(PEERS))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def weights_after_steps(name: str) -> list[np.ndarray]:
        printed = run_python("-c", STEPS, json.dumps([name, model, options, start, data, after]))
        assert f"parameters: {registry.get(model).params}\n" in printed
        return arrays(after)

    # A seed that leaves no filter nearly dead: where gradients are all but zero, Adam makes rounding large.
    run_python("-c", f"from worker import Worker; Worker().weights(model={model!r}, seed=2, path={start!r})")
    expected = weights_after_steps("zoo")
    assert max(np.abs(new - old).max() for new, old in zip(expected, arrays(start), strict=True)) > 1e-3
    for name in SIDES:
        if model in SIDES[name].models and available(name):
            for weights, wanted in zip(weights_after_steps(name), expected, strict=True):
                np.testing.assert_allclose(weights, wanted, rtol=0, atol=1e-5, err_msg=name)
