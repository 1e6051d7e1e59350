"""Whether ``zoo compare`` claims changes that are none, and finds one that is there.

    python benchmarks/honesty.py --repetitions 10 --output benchmarks/honesty.md

``zoo bench`` is run to its end again and again, as users do: as it is, then with steps that take 15% longer, then as it
is, and so on. Each run is compared with the last that nothing was added to: one comparison that should claim nothing,
and one that should find the slow-down. About a minute for each of the runs.

The model is a plugin in a temporary folder on the path, a LeNet-5 with one layer more, which in every training step
does some turns of work that nobody needs: none, or as many as should make a step 15% longer than the run before has
found. Nothing in zoo knows of it. The folder of the slowed one holds the same plugin with another number in it. What a
turn costs is measured first, in one process in which steps with and without the work take turns.

The work is TensorFlow's own, as slower code is. A wait instead lets cores fall asleep: a step grew by up to twice the
wait that it was given.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from zoo.benchmarking.comparison import compare
from zoo.utils.files import atomic_write

Document = Mapping[str, Any]

MODEL = "steady"
PLUGIN = '''"""A LeNet-5 whose training steps can be made longer by so many turns of work, and by nothing else."""

import keras
import tensorflow as tf

TURNS = {turns}


class Work(keras.layers.Layer):
    """Hands its input on, in training after some work; gradients pass, since the work is no part of the result."""

    def build(self, input_shape):
        turns = keras.initializers.Constant(TURNS)
        self.turns = self.add_weight(shape=(), dtype="int32", initializer=turns, trainable=False, name="turns")

    def call(self, inputs, training=None):
        if not training:
            return inputs

        def turn(done, values):
            for _ in range(8):
                values = tf.tanh(values)
            return done + 1, values

        # It works on what this step's weights have computed, so no other step can be worked on meanwhile.
        start = (0, tf.stop_gradient(inputs))
        _, worked = tf.while_loop(lambda done, _: done < self.turns.value, turn, start, parallel_iterations=1)
        with tf.control_dependencies([worked]):
            return tf.identity(inputs)


def steady(*, input_shape=(28, 28, 1), num_classes=10):
    """A LeNet-5 with work in it."""
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input(input_shape),
            layers.Conv2D(6, 5, padding="same", activation="tanh"),
            layers.AveragePooling2D(2),
            layers.Conv2D(16, 5, activation="tanh"),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(120, activation="tanh"),
            layers.Dense(84, activation="tanh"),
            Work(),
            layers.Dense(num_classes, dtype="float32"),
        ]
    )
'''


def make_plugin(folder: Path, turns: int) -> Path:
    """Write the plugin whose training steps do so many turns of work, with the metadata that makes it one."""
    metadata = folder / "zoo_steady-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo-steady\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[zoo.models]\n{MODEL} = zoo_steady:steady\n")
    (folder / "zoo_steady.py").write_text(PLUGIN.replace("{turns}", str(turns)))
    return folder


def seconds_per_turn(batch_size: int, slow_down: float, *, pairs: int = 80, steps: int = 12) -> float:
    """Return by how many seconds each turn of work makes a step longer.

    Blocks of steps with and without the work alternate in this process, so the machine is the same for both.

    Args:
        batch_size: of the steps.
        slow_down: the ratio that the work is for: in a second pass it is near that.
        pairs: of blocks, in each of two passes.
        steps: of a block.
    """
    with tempfile.TemporaryDirectory() as folder:
        sys.path.insert(0, str(make_plugin(Path(folder), 0)))
        from zoo.benchmarking.matrix import Cell
        from zoo.benchmarking.workload import prepare
        from zoo.training.devices import synchronize

        workload: Any = prepare(Cell(MODEL, "train", "float32", False, batch_size, "cpu"))[0]
        (variable,) = (each for each in workload.loop.model.variables if each.path.endswith("/turns"))

    def step_s(turns: int) -> float:
        variable.assign(turns)
        began = time.perf_counter()
        workload.run(steps)
        synchronize()
        return (time.perf_counter() - began) / steps

    turns = 10
    for _ in range(2):
        measured = [(step_s(0), step_s(turns)) for _ in range(pairs)]
        plain = statistics.median(without for without, _ in measured)
        per_turn = statistics.median(with_work - without for without, with_work in measured) / turns
        turns = max(1, round((slow_down - 1) * plain / per_turn))
    return per_turn


def bench(plugin: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run ``zoo bench`` on the plugin's model in a process of its own and return its document."""
    command = [sys.executable, "-m", "zoo", "bench", MODEL, "--mode", "train", "--precision", "float32", "--xla", "off"]
    command += ["--batch-size", str(arguments.batch_size), "--rounds", str(arguments.rounds)]
    command += ["--seconds", str(arguments.seconds), "--device", "cpu", "--format", "json"]
    path = os.pathsep.join(filter(None, [str(plugin), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory() as scratch:
        command += ["--output", str(Path(scratch) / "record.jsonl")]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path})
    if done.returncode:
        raise SystemExit(f"zoo bench ended with exit code {done.returncode}: {done.stdout[-2000:]}")
    document: dict[str, Any] = json.loads(done.stdout)
    if arguments.documents:
        arguments.documents.mkdir(parents=True, exist_ok=True)
        (arguments.documents / f"{time.time():.0f}.json").write_text(done.stdout)
    return document


def median_step(document: Document) -> float:
    """Return the seconds of the one cell's median step."""
    return float(document["cells"][0]["step_s"]["median"])


Pair = tuple[Document, Document, Document]
"""The document of the first run, of the second, and their comparison."""


def repeat(
    count: int, slow_down: float, turn_s: float, measure: Callable[[int], Document], say: Callable[[str], None]
) -> tuple[list[Pair], list[Pair]]:
    """Measure with nothing changed and with longer steps, so many times each; return both kinds of pairs.

    Runs follow each other: unchanged, slowed, unchanged, slowed ... Each slowed one is compared with the unchanged one
    before it, and each unchanged one with the last that was.

    Args:
        count: pairs of each kind.
        slow_down: by which the second of a slowed pair takes longer.
        turn_s: seconds by which a turn of work makes a step longer.
        measure: runs the benchmark with so many turns of work in each step.
        say: receives a line for each pair.
    """
    same: list[Pair] = []
    slowed: list[Pair] = []
    before = measure(0)
    for number in range(1, count + 1):
        for pairs, turns in ((slowed, round((slow_down - 1) * median_step(before) / turn_s)), (same, 0)):
            after = measure(turns)
            pairs.append((before, after, compare(before, after)))
            row = pairs[-1][2]["cells"][0]
            what = "longer steps" if pairs is slowed else "the same"
            say(f"{number} of {count}, {what}: {row['verdict']}, {row['ratio']:.3f}")
        before = same[-1][1]
    return same, slowed


def drift(documents: Sequence[Document]) -> dict[str, float]:
    """Return what the yardstick tells of the steps of the same round: does dividing by it take noise away?

    Standard deviations over all rounds, of natural logarithms: of the rounds' median `steps`; of their median
    `yardsticks`; of the `quotients`; and the `correlation` of the first two. For documents of one and the same model.
    """
    rounds = [each for document in documents for each in document["cells"][0]["rounds"]]
    steps, yardsticks = ([math.log(statistics.median(r[name])) for r in rounds] for name in ("step_s", "yardstick_s"))
    quotients = [step - yardstick for step, yardstick in zip(steps, yardsticks, strict=True)]
    spread = {"steps": statistics.stdev(steps), "yardsticks": statistics.stdev(yardsticks)}
    correlation = statistics.correlation(steps, yardsticks) if min(spread.values()) > 0 else 0.0
    return {**spread, "quotients": statistics.stdev(quotients), "correlation": correlation}


def markdown(
    same: Sequence[Pair],
    slowed: Sequence[Pair],
    turn_s: float,
    arguments: argparse.Namespace,
) -> str:
    """Return the result as a section: the counts that matter, the surroundings, every repetition, the drift."""
    quiet = sum(row[2]["cells"][0]["verdict"] == "no change" for row in same)
    found = sum(row[2]["cells"][0]["verdict"] == "slower" for row in slowed)
    facts = same[0][0]["environment"]
    change = f"{arguments.slow_down - 1:.0%}"
    lines = [
        "# Whether `zoo compare` can be believed",
        "",
        f"`python benchmarks/honesty.py --repetitions {arguments.repetitions} --rounds {arguments.rounds} --seconds "
        f"{arguments.seconds:g}`",
        "",
        f"{facts['cpu']}, {facts['cpus_allowed']} processors; tensorflow {facts['tensorflow']}, keras "
        f"{facts['keras']}, python {facts['python']}; a LeNet-5, training, batch {arguments.batch_size}, "
        f"{same[0][0]['date']} to {same[-1][1]['date']}. Unchanged and slowed runs took turns; each is compared "
        f"with the unchanged one before it. Each turn of work made a step {turn_s * 1e6:.0f} microseconds longer.",
        "",
        f"- Nothing changed: {quiet} of {len(same)} times no change was claimed.",
        f"- Steps made {change} longer: {found} of {len(slowed)} times it was found to be slower.",
        "",
        "| second run | old ms | new ms | milliseconds, new / old | yardstick, new / old | compared in | new / old | "
        "99% interval | verdict |",
        "|---|--:|--:|--:|--:|---|--:|---|---|",
        *(_line("the same", result) for result in same),
        *(_line(f"{change} longer steps", result) for result in slowed),
        "",
    ]
    alike = [same[0][0], *(new for _, new, _ in same)]
    if sum(len(document["cells"][0]["rounds"]) for document in alike) > 2:
        lines += [_drift_in_words(drift(alike), len(alike))]
    return "\n".join(lines)


def _line(what: str, result: Pair) -> str:
    row = result[2]["cells"][0]
    interval = f"{row['interval']['low']:.3f} to {row['interval']['high']:.3f}" if row["interval"] else ""
    yardstick = "" if row["yardstick_ratio"] is None else f"{row['yardstick_ratio']:.3f}"
    unit = "yardsticks" if row["in_yardsticks"] else "milliseconds"
    plain = f"{row['old_step_s'] * 1e3:.2f} | {row['new_step_s'] * 1e3:.2f} | {row['seconds_ratio']:.3f} | {yardstick}"
    return f"| {what} | {plain} | {unit} | {row['ratio']:.3f} | {interval} | {row['verdict']} |"


def _drift_in_words(spread: Mapping[str, float], documents: int) -> str:
    return (
        f"Over the rounds of the {documents} unslowed runs the median step varies by {spread['steps']:.1%} (standard "
        f"deviation of logarithms), the yardstick between the steps by {spread['yardsticks']:.1%}, with a correlation "
        f"of {spread['correlation']:.2f}; their quotient varies by {spread['quotients']:.1%}."
    )


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--repetitions", type=int, default=10, help="pairs of runs of each kind")
    parser.add_argument("--slow-down", type=float, default=1.15, help="the ratio to inject")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of timed steps in each round of a run")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--documents", type=Path, help="a folder in which every run's document is kept")
    parser.add_argument("--output", type=Path, help="a file for the result, Markdown")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    arguments = parse(words)

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    def measure(turns: int) -> Document:
        with tempfile.TemporaryDirectory() as folder:
            return bench(make_plugin(Path(folder), turns), arguments)

    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        turn_s = process.submit(seconds_per_turn, arguments.batch_size, arguments.slow_down).result()
    unchanged, changed = repeat(arguments.repetitions, arguments.slow_down, turn_s, measure, say)
    result = markdown(unchanged, changed, turn_s, arguments)
    print(result)
    if arguments.output:
        atomic_write(arguments.output, result + "\n")


if __name__ == "__main__":
    main()
