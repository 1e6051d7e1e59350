"""Whether ``zoo compare`` claims changes that are none, and finds one that is there.

    python benchmarks/honesty.py --repetitions 10 --output benchmarks/honesty.md

``zoo bench`` is run to its end again and again, as users do: as it is, then with steps that take 15% longer, then as it
is, and so on. Each run is compared with the last that nothing was added to: one comparison that should claim nothing,
and one that should find the slow-down. About a minute for each of the runs.

The model is a plugin in a temporary folder on the path, a LeNet-5 with one layer more, which waits in every training
step: not at all, or for 15% of the median step that the run before has found. Nothing in zoo knows of it. The
folder of the slowed one holds the same plugin with another number in it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.benchmarking.comparison import compare
from zoo.files import atomic_write

Document = Mapping[str, Any]

MODEL = "steady"
PLUGIN = '''"""A LeNet-5 whose training steps can be made longer by so many seconds, and by nothing else."""

import time

import keras
import numpy as np
import tensorflow as tf

SECONDS = {seconds}


def wait(_value):
    until = time.perf_counter() + SECONDS
    while time.perf_counter() < until:
        pass
    return np.float32(0)


class Wait(keras.layers.Layer):
    """Hands its input on, in training after a wait; gradients pass, since the wait is no part of the result."""

    def call(self, inputs, training=None):
        if not training:
            return inputs
        # It is given what this step's weights have computed, so no other step can be worked on meanwhile.
        waited = tf.numpy_function(wait, [inputs[:1, :1]], tf.float32)
        with tf.control_dependencies([waited]):
            return tf.identity(inputs)


def steady(*, input_shape=(28, 28, 1), num_classes=10):
    """A LeNet-5 with a wait in it."""
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
            Wait(),
            layers.Dense(num_classes, dtype="float32"),
        ]
    )
'''


def make_plugin(folder: Path, seconds: float) -> Path:
    """Write the plugin whose training steps wait so many seconds, with the metadata that makes it one."""
    metadata = folder / "zoo_steady-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo-steady\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[zoo.models]\n{MODEL} = zoo_steady:steady\n")
    (folder / "zoo_steady.py").write_text(PLUGIN.replace("{seconds}", repr(seconds)))
    return folder


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
    return document


def median_step(document: Document) -> float:
    """Return the seconds of the one cell's median step."""
    return float(document["cells"][0]["step_s"]["median"])


Pair = tuple[Document, Document, Document]
"""The document of the first run, of the second, and their comparison."""


def repeat(
    count: int, slow_down: float, measure: Callable[[float], Document], say: Callable[[str], None]
) -> tuple[list[Pair], list[Pair]]:
    """Measure with nothing changed and with longer steps, so many times each; return both kinds of pairs.

    Runs follow each other: unchanged, slowed, unchanged, slowed ... Each slowed one is compared with the unchanged one
    before it, and each unchanged one with the last that was.

    Args:
        count: pairs of each kind.
        slow_down: by which the second of a slowed pair takes longer. The wait follows from the run before, since on a
            machine that has become busier a wait of fixed length is a smaller share of a step.
        measure: runs the benchmark with a wait of so many seconds in each step.
        say: receives a line for each pair.
    """
    same: list[Pair] = []
    slowed: list[Pair] = []
    before = measure(0.0)
    for number in range(1, count + 1):
        for pairs, seconds in ((slowed, (slow_down - 1) * median_step(before)), (same, 0.0)):
            after = measure(seconds)
            pairs.append((before, after, compare(before, after)))
            row = pairs[-1][2]["cells"][0]
            what = "longer steps" if pairs is slowed else "the same"
            say(f"{number} of {count}, {what}: {row['verdict']}, {row['ratio']:.3f}")
        before = same[-1][1]
    return same, slowed


def drift(documents: Sequence[Document]) -> dict[str, float]:
    """Return whether a round's peak tells of the same round's steps: would dividing by it take noise away?

    Standard deviations over all rounds, of natural logarithms: of the rounds' median `steps`; of the `peaks` (matrix
    products in the same round); of the steps `corrected`, that is times the peak; and the `correlation` of the time of
    a product with that of a step. For documents of one and the same model only.
    """
    steps, products = [], []
    for document in documents:
        peak = next(each for each in document["peaks"] if each["dtype"] == "float32")
        for each in document["cells"][0]["rounds"]:
            steps.append(math.log(statistics.median(each["step_s"])))
            products.append(-math.log(peak["rounds"][each["round"]]))
    corrected = [step - product for step, product in zip(steps, products, strict=True)]
    spread = {"steps": statistics.stdev(steps), "peaks": statistics.stdev(products)}
    correlation = statistics.correlation(steps, products) if min(spread.values()) > 0 else 0.0
    return {**spread, "corrected": statistics.stdev(corrected), "correlation": correlation}


def markdown(
    same: Sequence[Pair],
    slowed: Sequence[Pair],
    arguments: argparse.Namespace,
) -> str:
    """Return the result as a section: the counts that matter, the surroundings, every repetition, the drift."""
    quiet = sum(row[2]["cells"][0]["verdict"] == "no change" for row in same)
    found = sum(row[2]["cells"][0]["verdict"] == "slower" for row in slowed)
    facts = same[0][0]["environment"]
    change = f"{arguments.slow_down - 1:.0%}"
    lines = [
        "## Whether `zoo compare` can be believed",
        "",
        f"`python benchmarks/honesty.py --repetitions {arguments.repetitions} --rounds {arguments.rounds} --seconds "
        f"{arguments.seconds:g}`",
        "",
        f"{facts['cpu']}, {facts['cpus_allowed']} processors; tensorflow {facts['tensorflow']}, keras "
        f"{facts['keras']}, python {facts['python']}; a LeNet-5, training, batch {arguments.batch_size}, "
        f"{same[0][0]['date']} to {same[-1][1]['date']}. Unchanged and slowed runs took turns; each is compared "
        "with the unchanged one before it.",
        "",
        f"- Nothing changed: {quiet} of {len(same)} times no change was claimed.",
        f"- Steps made {change} longer: {found} of {len(slowed)} times it was found to be slower.",
        "",
        "| second run | old ms | new ms | new / old | 99% interval | machine, new / old | verdict |",
        "|---|--:|--:|--:|---|--:|---|",
        *(_line("the same", result) for result in same),
        *(_line(f"{change} longer steps", result) for result in slowed),
        "",
    ]
    alike = [same[0][0], *(new for _, new, _ in same)]
    if sum(len(document["cells"][0]["rounds"]) for document in alike) > 2:
        lines += [_drift_in_words(drift(alike), len(alike))]
    return "\n".join(lines)


def _line(what: str, result: Pair) -> str:
    row, peaks = result[2]["cells"][0], result[2]["peaks"]
    interval = f"{row['interval']['low']:.3f} to {row['interval']['high']:.3f}" if row["interval"] else ""
    machine = next((f"{peak['ratio']:.2f}" for peak in peaks if peak["dtype"] == "float32"), "")
    steps = f"{row['old_step_s'] * 1e3:.2f} | {row['new_step_s'] * 1e3:.2f}"
    return f"| {what} | {steps} | {row['ratio']:.3f} | {interval} | {machine} | {row['verdict']} |"


def _drift_in_words(spread: Mapping[str, float], documents: int) -> str:
    return (
        f"Over the rounds of the {documents} unslowed runs the median step varies by {spread['steps']:.1%} (standard "
        f"deviation of logarithms), the machine's peak by {spread['peaks']:.1%}, with a correlation of "
        f"{spread['correlation']:.2f}. Divided by its round's peak, the step would vary by {spread['corrected']:.1%}."
    )


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--repetitions", type=int, default=10, help="pairs of runs of each kind")
    parser.add_argument("--slow-down", type=float, default=1.15, help="the ratio to inject")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--output", type=Path, help="a file for the result, Markdown")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    arguments = parse(words)

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    def measure(seconds: float) -> Document:
        with tempfile.TemporaryDirectory() as folder:
            return bench(make_plugin(Path(folder), seconds), arguments)

    unchanged, changed = repeat(arguments.repetitions, arguments.slow_down, measure, say)
    result = markdown(unchanged, changed, arguments)
    print(result)
    if arguments.output:
        atomic_write(arguments.output, result + "\n")


if __name__ == "__main__":
    main()
