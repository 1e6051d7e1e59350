"""Seconds to an accuracy on MNIST, by recipes that anybody can run by name.

    python benchmarks/speedrun.py --seeds 10

Each recipe is trained with every seed by ``zoo train NAME --recipe RECIPE --seeds N``: what counts are the mean test
accuracy and the mean seconds of steady training. Then ``zoo train lenet5 --recipe speedrun`` is timed as a whole
command, from the start of its process to its end, with its report and from a warm cache of images.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.utils.environment import environment
from zoo.utils.files import atomic_write

FOLDER = Path(__file__).resolve().parent
RECIPES = (("speedrun", "default", 0.99, 2.0), ("speedrun", "99.4", 0.994, 8.0), ("speedrun", "99.6", 0.996, 40.0))
"""Model, recipe, the accuracy it is for, and the seconds of training that it may take."""
WHOLE = ("lenet5", "speedrun", 0.99, 12.0)
"""The same for a whole command."""


def zoo(*words: str) -> tuple[dict[str, Any], float]:
    """Run a command with ``--json``; return its document and the seconds of its process."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "zoo", *words, "--json", "--quiet"]
        began = time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=folder)
        took = time.perf_counter() - began
    document: dict[str, Any] = json.loads(done.stdout)
    return document, took


def measure(seeds: int, processes: int) -> dict[str, Any]:
    """Train everything, and return the record."""
    rows = []
    for model, recipe, target, limit in RECIPES:
        document, _ = zoo("train", model, "--recipe", recipe, "--seeds", str(seeds), "--no-report")
        runs = document["runs"]
        rows.append(
            {
                "model": model,
                "recipe": recipe,
                "target": target,
                "limit_s": limit,
                "params": runs[0]["params"],
                "test_accuracy": [run["metrics"]["test_accuracy"] for run in runs],
                "train_s": [run["timing"]["train_s"] for run in runs],
            }
        )
        print(_row(rows[-1]), file=sys.stderr, flush=True)
    model, recipe, target, limit = WHOLE
    commands = [zoo("train", model, "--recipe", recipe, "--seed", str(seed)) for seed in range(processes)]
    whole = {
        "model": model,
        "recipe": recipe,
        "target": target,
        "limit_s": limit,
        "command_s": [took for _, took in commands],
        "train_s": [document["timing"]["train_s"] for document, _ in commands],
        "test_accuracy": [document["metrics"]["test_accuracy"] for document, _ in commands],
    }
    command = f"python benchmarks/speedrun.py --seeds {seeds} --processes {processes}"
    date = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    return {"command": command, "date": date, "environment": environment(), "rows": rows, "whole": whole}


def markdown(record: Mapping[str, Any]) -> str:
    """Return the record as a page: targets beside results."""
    facts, whole = record["environment"], record["whole"]
    took = whole["command_s"]
    count = len(record["rows"][0]["train_s"])
    lines = [
        "# Seconds to an accuracy",
        "",
        f"`{record['command']}`",
        "",
        f"{record['date']}; {facts['cpu']}, {facts['cpus_allowed']} processors; tensorflow "
        f"{facts['tensorflow']}, keras {facts['keras']}, python {facts['python']}. Not run on a GPU.",
        "",
        f"MNIST's test accuracy after the recipe's last pass, measured once, and the seconds of steady training: means "
        f"± standard deviations, n = {count} seeds. Weights are drawn, steps traced and the network measured outside "
        "those seconds.",
        "",
        "| command | parameters | accuracy | target | training | target |",
        "|---|--:|--:|--:|--:|--:|",
        *map(_row, record["rows"]),
        "",
        "The whole command, from the start of its process to its end, with its report:",
        "",
        "| command | accuracy | target | seconds, median (min to max) | of them training | target |",
        "|---|--:|--:|--:|--:|--:|",
        f"| {_command(whole)} | {_percent(whole['test_accuracy'])} | {whole['target']:.1%} | "
        f"{statistics.median(took):.1f} ({min(took):.1f} to {max(took):.1f}) | "
        f"{statistics.median(whole['train_s']):.1f} | {whole['limit_s']:g} s |",
    ]
    return "\n".join(lines) + "\n"


def _command(row: Mapping[str, Any]) -> str:
    recipe = "" if row["recipe"] == "default" else f" --recipe {row['recipe']}"
    return f"`zoo train {row['model']}{recipe}`"


def _row(row: Mapping[str, Any]) -> str:
    seconds = row["train_s"]
    took = f"{statistics.fmean(seconds):.2f} ± {statistics.stdev(seconds):.2f} s"
    accuracy = f"{_percent(row['test_accuracy'])} | {row['target']:.1%}"
    return f"| {_command(row)} | {row['params']:,} | {accuracy} | {took} | {row['limit_s']:g} s |"


def _percent(values: Sequence[float]) -> str:
    return f"{100 * statistics.fmean(values):.2f} ± {100 * statistics.stdev(values):.2f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--processes", type=int, default=5, help="of the whole command")
    arguments = parser.parse_args()
    record = measure(arguments.seeds, arguments.processes)
    atomic_write(FOLDER / "speedrun.json", json.dumps(record, indent=1) + "\n")
    atomic_write(FOLDER / "speedrun.md", markdown(record))
    print(markdown(record))


if __name__ == "__main__":
    main()
