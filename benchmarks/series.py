"""How well, and how fast, each small model learns by its default recipe.

    python benchmarks/series.py --seeds 3
    python benchmarks/series.py --seeds 1 --dataset fashion_mnist
    python benchmarks/series.py --dataset mnist_scenes
    python benchmarks/series.py --keep runs/series

Each seed is a ``zoo train`` of its own, the models taking turns, so let nothing else run. What is trained already, by
the same recipe and options, is in the record and is not trained again: an interrupted series goes on. ``--again``
forgets it first. The test images are watched after each pass, outside the seconds that count; the pass to report is not
chosen by them.
With ``--keep`` the run folders stay, and five of them, named in `ENSEMBLE`, answer together at the end. A folder there
whose run is not in the record, such as one that was interrupted, is replaced.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo import data, registry
from zoo.errors import suggestion
from zoo.inspection import anatomy
from zoo.spec.recipe import full_names, plain
from zoo.tasks import task_of
from zoo.utils.environment import environment
from zoo.utils.files import atomic_write

FOLDER = Path(__file__).resolve().parent
TARGET = 0.99
"""The accuracy whose time is noted, after the pass that reaches it."""
MORE = (("speedrun", "small"), ("speedrun", "99.4"), ("speedrun", "99.6"))
"""Recipes that are measured beside the default ones."""
ENSEMBLE = (("marathon", 0), ("marathon", 1), ("marathon", 2), ("vgg_small", 0), ("vgg_small", 1))
"""Models, by their default recipes, and seeds whose probabilities are averaged on MNIST; chosen before it was tried."""


def work(names: Sequence[str], dataset: str) -> list[tuple[str, str]]:
    """Return the models and recipes of the series, the cheap ones first: those that the dataset has targets for."""
    own = [registry.get(name) for name in registry.built_ins()]
    small = sorted((spec for spec in own if not spec.large_input), key=lambda spec: spec.macs or 0)
    scenes = dataset.startswith("mnist_scenes")
    chosen = [spec for spec in small if spec.recipe().data.dataset.startswith("mnist_scenes") == scenes]
    named = "fashion" if dataset == "fashion_mnist" else "default"
    pairs = [(spec.name, named if named in spec.recipes else "default") for spec in chosen]
    pairs += list(MORE) if dataset == "mnist" else []
    return [pair for pair in pairs if not names or pair[0] in names]


def recipe_values(model: str, recipe: str, dataset: str) -> dict[str, Any]:
    """Return what decides a training, but for its seed and its words: the builder's options are among it."""
    spec = registry.get(model)
    values = spec.recipe(recipe).override(dataset=dataset).settings()
    values["model.options"] = {**spec.options, **values["model.options"]}
    return {name: value for name, value in values.items() if name not in ("note", "seed")}


def macs(model: str, recipe: str, dataset: str) -> int:
    """Return the multiply-accumulates of one of the dataset's images, in the network that the recipe builds."""
    spec, held = registry.get(model), data.load(dataset)
    names = task_of(spec).output_names(held.class_names)
    network = registry.build(
        spec, input_shape=held.image_shape, num_classes=len(names), **spec.recipe(recipe).model.options
    )
    return int(anatomy.count_macs(network))


def command(*words: str) -> dict[str, Any]:
    """Run a command of zoo in a process of its own, away from any folder of ours, and return its JSON."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "zoo", *words], stdout=subprocess.PIPE, text=True, check=True, cwd=folder
        )
    return dict(json.loads(done.stdout))


def run_folder(kept: Path, model: str, recipe: str, seed: int) -> Path:
    return kept.resolve() / f"{model}-{recipe}-s{seed}"


def train(model: str, recipe: str, dataset: str, seed: int, kept: Path | None) -> dict[str, Any]:
    """Train once and return the row of the record."""
    words = ["train", model, "--recipe", recipe, "--dataset", dataset, "--seed", str(seed)]
    words += ["--set", "validate_on_test=true", "--no-report", "--json", "--quiet"]
    if kept:
        folder = run_folder(kept, model, recipe, seed)
        shutil.rmtree(folder, ignore_errors=True)
        words += ["--output", str(folder)]
    run = command(*words)
    return {
        "model": model,
        "recipe": recipe,
        "seed": seed,
        "params": run["params"],
        "macs": macs(model, recipe, dataset),
        **run["metrics"],
        "train_s": run["timing"]["train_s"],
        "seconds_to_target": seconds_to(TARGET, run["history"]),
        **{name: run["environment"][name] for name in ("cpu", "commit", "tensorflow", "keras")},
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "recipe_values": recipe_values(model, recipe, dataset),
    }


def seconds_to(target: float, history: Sequence[Mapping[str, float]]) -> float | None:
    """Return the seconds of training until the end of the pass after which the test images reach the target."""
    seconds = 0.0
    for epoch in history:
        seconds += epoch["seconds"]
        if epoch["val_accuracy"] >= target:
            return seconds
    return None


def latencies(models: Sequence[str]) -> dict[str, Any]:
    """Return the seconds of one image, by `zoo bench`: median, quartiles and n."""
    words = ["bench", *models, "--mode", "infer", "--batch-size", "1", "--precision", "float32"]
    said = command(*words, "--rounds", "3", "--seconds", "0.5", "--format", "json")
    return {cell["model"]: cell["step_s"] for cell in said["cells"]}


def ensemble(kept: Path) -> dict[str, Any] | None:
    """Return what the members reach together; None where one of them was not kept."""
    folders = [run_folder(kept, model, "default", seed) for model, seed in ENSEMBLE]
    if not all((folder / "model.keras").is_file() for folder in folders):
        return None
    with tempfile.TemporaryDirectory() as output:
        said = command("evaluate", *map(str, folders), "--output", output, "--json")
    return {"members": ENSEMBLE, **said["metrics"]}


def missing(rows: Sequence[Mapping[str, Any]], pairs: Sequence[tuple[str, str]], dataset: str, seeds: int) -> Iterator:
    """Yield model, recipe and seed of each training that the record lacks, seed by seed."""
    for seed in range(seeds):
        for model, recipe in pairs:
            wanted = recipe_values(model, recipe, dataset)
            known = [row for row in rows if (row["model"], row["recipe"], row["seed"]) == (model, recipe, seed)]
            if not any(full_names(row["recipe_values"]) == plain(wanted) for row in known):
                yield model, recipe, seed


def write(path: Path, record: Mapping[str, Any]) -> None:
    atomic_write(path, json.dumps(record, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("models", nargs="*", metavar="MODEL", help="All small ones if none.")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--record", type=Path, help="[benchmarks/series-<dataset>.json]")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="Where run folders stay.")
    parser.add_argument("--again", action="store_true", help="Forget what the record holds of these models.")
    arguments = parser.parse_args()
    path = arguments.record or FOLDER / f"series-{arguments.dataset.replace('_', '-')}.json"
    known = {model for model, _ in work([], arguments.dataset)}
    for model in arguments.models:
        if model not in known:
            parser.error(f"{model} is not in the series of {arguments.dataset}.{suggestion(model, known)}")
    pairs = work(arguments.models, arguments.dataset)
    held = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    again = pairs if arguments.again else []
    rows = [row for row in held.get("rows", []) if (row["model"], row["recipe"]) not in again]
    record = {"dataset": arguments.dataset, "environment": environment(), "rows": rows}
    record |= {"latency": held.get("latency", {}), "ensemble": held.get("ensemble")}
    for model, recipe, seed in list(missing(rows, pairs, arguments.dataset, arguments.seeds)):
        row = train(model, recipe, arguments.dataset, seed, arguments.keep)
        rows[:] = [
            other for other in rows if [other[key] for key in ("model", "recipe", "seed")] != [model, recipe, seed]
        ]
        rows.append(row)
        write(path, record)
        measures = {name: value for name, value in row.items() if name.startswith("test_") and name != "test_loss"}
        told = ", ".join(f"{name} {value:.2%}" for name, value in measures.items()) + f" after {row['train_s']:.1f} s"
        print(f"{model}, {recipe}, seed {seed}: {told}", file=sys.stderr, flush=True)
    if arguments.dataset == "mnist":
        if arguments.keep:
            record["ensemble"] = ensemble(arguments.keep) or record["ensemble"]
            write(path, record)
        record["latency"] |= latencies(sorted({model for model, _ in pairs}))
        write(path, record)


if __name__ == "__main__":
    main()
