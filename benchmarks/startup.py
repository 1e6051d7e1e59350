"""How long the command takes to answer, and what a thousand plugins add to it.

    python benchmarks/startup.py --rounds 15

Whole processes, taking turns; medians with minimum and maximum. The plugins are a thousand distributions with
one entry point each, in a temporary folder on the path; the output goes to a pipe. ``zoo show`` is the first of these
that needs TensorFlow: nearly all of its time is the import.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMANDS = {
    'python -c "import click"': [sys.executable, "-c", "import click"],
    "zoo --help": [sys.executable, "-m", "zoo", "--help"],
    "zoo list": [sys.executable, "-m", "zoo", "list"],
    "zoo show mlp": [sys.executable, "-m", "zoo", "show", "mlp"],
}


def seconds(command: list[str], path: str = "") -> float:
    """Run a command with `path` on the import path, and return its wall time."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path})
    return time.perf_counter() - began


def make_plugins(folder: Path, count: int) -> None:
    """Write the metadata of `count` distributions; listing needs no more of them."""
    for number in range(count):
        metadata = folder / f"zoo_p{number}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: zoo-p{number}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[zoo.models]\nmodel{number} = zoo_p{number}:model\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--plugins", type=int, default=1000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_plugins(Path(folder), arguments.plugins)
        runs = {name: (command, "") for name, command in COMMANDS.items()}
        runs[f"zoo list, {arguments.plugins:,} plugins"] = (COMMANDS["zoo list"], folder)
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(arguments.rounds + 1):
            for name, (command, path) in runs.items():
                times[name].append(seconds(command, path))
    print(
        f"n = {arguments.rounds}, after one round to warm up\n\n| command | seconds, median (min to max) |\n|---|---|"
    )
    for name, values in times.items():
        values = values[1:]
        print(f"| `{name}` | {statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f}) |")


if __name__ == "__main__":
    main()
