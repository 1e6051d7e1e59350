"""How cost grows: with the number of images, the batch, the parameters, and the plugins that are installed.

    python benchmarks/growth.py --output benchmarks/growth.md

Each point of training is a process of its own, so that its peak of memory is its own; within it an epoch is timed
several times after one to warm up. The points of a table take turns with each other, round by round. Images are noise
of MNIST's shape; streamed ones lie in a file that is mapped into memory, as zoo's own cache is.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import startup
import turns

from zoo.utils.files import atomic_write

SIZES = (10_000, 60_000, 200_000, 600_000)
BATCHES = (8, 32, 128, 512, 2048)
WIDTHS = (32, 128, 512, 2048, 8192)
PLUGINS = (0, 10, 100, 1_000, 10_000)


def worker(request: Mapping[str, Any]) -> dict[str, Any]:
    """In a process of its own: train epochs; return their seconds, the peak of memory, and what is its own at the end.

    Its own is what no file lies behind: pages of a mapped file, which the system takes back when it needs them, are in
    the peak. Both in MiB.
    """
    import resource

    import psutil

    from zoo.data import Dataset, Split
    from zoo.spec.recipe import Recipe

    images, labels = np.load(request["images"], mmap_mode="r"), np.load(request["labels"])
    few = Split(np.array(images[:500]), labels[:500])
    classes = tuple(str(digit) for digit in range(10))
    data = Dataset("noise", Split(images, labels), few, classes, "drawn at random", {})
    recipe = Recipe(
        batch_size=request["batch_size"],
        pipeline=request["pipeline"],
        cache=False,
        model_options={"hidden_sizes": [request["width"]], "dropout": 0.0},
    )
    epoch = turns.zoo_epoch("mlp", data, recipe)
    seconds = [epoch() for _ in range(request["epochs"])]
    held = psutil.Process().memory_info()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return {"seconds": seconds, "mib": peak, "own_mib": (held.rss - held.shared) / 2**20}


def make_images(folder: Path, count: int) -> dict[str, str]:
    """Write so many images of noise and their labels, and return where they are."""
    random = np.random.default_rng(0)
    paths = {name: str(folder / f"{name}-{count}.npy") for name in ("images", "labels")}
    np.save(paths["images"], random.integers(0, 256, (count, 28, 28, 1), dtype=np.uint8))
    np.save(paths["labels"], random.integers(0, 10, count))
    return paths


def in_turns(points: Mapping[Any, Mapping[str, Any]], rounds: int) -> dict[Any, dict[str, list[float]]]:
    """Measure every point once per round; return its seconds of an epoch and what it held of memory."""
    found: dict[Any, dict[str, list[float]]] = {name: {"seconds": [], "mib": [], "own_mib": []} for name in points}
    for _ in range(rounds):
        for name, request in points.items():
            answer = turns.ask(__file__, request)
            found[name]["seconds"] += answer["seconds"]
            for kind in ("mib", "own_mib"):
                found[name][kind].append(answer[kind])
            print(f"{name}: {statistics.median(answer['seconds']):.3f} s", file=sys.stderr, flush=True)
    return found


def spread(values: Sequence[float], scale: float = 1.0, digits: int = 2) -> str:
    """Return median (minimum to maximum), each times `scale`."""
    shown = [scale * value for value in (statistics.median(values), min(values), max(values))]
    return f"{shown[0]:,.{digits}f} ({shown[1]:,.{digits}f} to {shown[2]:,.{digits}f})"


def by_images(folder: Path, arguments: argparse.Namespace) -> list[str]:
    """A table over the number of images, resident and streamed."""
    points = {
        (count, pipeline): {**make_images(folder, count), "pipeline": pipeline, "batch_size": 128, "width": 128}
        | {"epochs": arguments.epochs}
        for count in SIZES
        for pipeline in ("resident", "tf_data")
    }
    found = in_turns(points, arguments.rounds)
    rows = []
    for count in SIZES:
        sides = [found[count, pipeline] for pipeline in ("resident", "tf_data")]
        cells = [spread(side["seconds"], 1e6 / count) for side in sides]
        cells += [f"{statistics.median(side[kind]):,.0f}" for kind in ("mib", "own_mib") for side in sides]
        rows.append(f"| {count:,} | {count * 784 / 2**20:,.0f} | {' | '.join(cells)} |")
    return [
        "| images | MiB of images | µs per image, resident | streamed | peak MiB, resident | streamed | "
        "own MiB, resident | streamed |",
        "|" + "--:|" * 8,
        *rows,
        "",
        "The peak counts the pages of the mapped file that have been read, which the system takes back when it needs "
        "them; the process's own memory at the end does not.",
    ]


def by_setting(folder: Path, setting: str, values: Sequence[int], arguments: argparse.Namespace) -> list[str]:
    """A table over the batch size, or over the width of the hidden layer."""
    usual = {"pipeline": "resident", "batch_size": 128, "width": 128, "epochs": arguments.epochs}
    files = make_images(folder, 20_000)
    found = in_turns({value: {**usual, **files, setting: value} for value in values}, arguments.rounds)
    rows = []
    for value in values:
        params = f" | {795 * value + 10:,}" if setting == "width" else ""
        rows.append(f"| {value:,}{params} | {spread(found[value]['seconds'], 1e6 / 20_000)} |")
    header = "| hidden units | parameters | µs per image |" if setting == "width" else "| batch | µs per image |"
    return [header, "|" + "--:|" * (header.count("|") - 1), *rows]


def by_plugins(arguments: argparse.Namespace) -> list[str]:
    """A table over the entry points that are installed, each in a distribution of its own."""
    times: dict[int, list[float]] = {count: [] for count in PLUGINS}
    with tempfile.TemporaryDirectory() as folder:
        for count in PLUGINS:
            (Path(folder) / str(count)).mkdir()
            startup.make_plugins(Path(folder) / str(count), count)
        for number in range(arguments.rounds + 1):
            for count in PLUGINS:
                took = startup.seconds(startup.COMMANDS["zoo list"], str(Path(folder) / str(count)))
                times[count] += [took] if number else []
    rows = [f"| {count:,} | {spread(values, digits=3)} |" for count, values in times.items()]
    return ["| plugins | seconds of `zoo list` |", "|--:|--:|", *rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="processes of each point")
    parser.add_argument("--epochs", type=int, default=3, help="epochs in each process, after one to warm up")
    parser.add_argument("--output", type=Path, help="a file for the tables, Markdown")
    parser.add_argument(turns.WORKER, type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(worker(arguments.worker)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sections = {
            "With the number of images": by_images(folder, arguments),
            "With the batch": by_setting(folder, "batch_size", BATCHES, arguments),
            "With the parameters": by_setting(folder, "width", WIDTHS, arguments),
            "With the plugins that are installed": by_plugins(arguments),
        }
    lines = ["# How cost grows", "", f"`python benchmarks/growth.py --rounds {arguments.rounds}`", ""]
    lines += [
        f"{turns.circumstances()}. `mlp`, float32, batch 128 and 128 hidden units unless the table says otherwise; "
        f"medians (minimum to maximum) over {arguments.rounds} processes of {arguments.epochs} epochs each.",
    ]
    for title, table in sections.items():
        lines += ["", f"## {title}", "", *table]
    print("\n".join(lines))
    if arguments.output:
        atomic_write(arguments.output, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
