"""Whether zoo's fast path ends where plain Keras ends: final test accuracies by the same recipe, over several seeds.

    python benchmarks/agreement.py --output benchmarks/agreement.md

Both sides build the same network from the same seed and train it by the same Adam, schedule, batch size and number of
passes over MNIST: Keras by `compile` and `fit` on arrays, as tutorials write it, zoo by its compiled loop. Nothing here
is timed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import turns

import zoo
from zoo.utils.files import atomic_write
from zoo.utils.startup import load_tensorflow

load_tensorflow()

import keras  # noqa: E402 (only after its start-up notes are out of the way)

from zoo import registry  # noqa: E402
from zoo.spec import Recipe  # noqa: E402
from zoo.training.devices import place  # noqa: E402
from zoo.training.optimizers import make_schedule  # noqa: E402
from zoo.training.session import Session  # noqa: E402

MODELS = ("mlp", "lenet5", "simple_cnn")
ROWS = [(batch, precision) for precision in ("float32", "mixed_bfloat16") for batch in (32, 128)]
ALLOWED = 0.15  # points


def by_keras(name: str, recipe: Recipe, data: zoo.Dataset) -> float:
    """Return the test accuracy, in percent, after plain Keras in float32 has followed the recipe."""
    keras.utils.set_random_seed(recipe.seed)
    model = registry.create(name)
    steps = -(-len(data.train) // recipe.data.batch_size)
    schedule = make_schedule(recipe, total_steps=steps * recipe.schedule.epochs)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(schedule), loss, metrics=["accuracy"])
    images = data.train.images.astype("float32") / 255
    model.fit(images, data.train.labels, batch_size=recipe.data.batch_size, epochs=recipe.schedule.epochs, verbose=0)
    return 100 * float(model.evaluate(data.test.images.astype("float32") / 255, data.test.labels, verbose=0)[1])


def by_zoo(name: str, recipe: Recipe, data: zoo.Dataset) -> float:
    """Return the same after zoo's loop has."""
    keras.utils.set_random_seed(recipe.seed)
    spec = registry.get(name)
    session = Session(spec, recipe, place(recipe, device="cpu", training=spec), data)
    session.fit([], show=False)
    return 100 * session.measure()["test_accuracy"]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--output", type=Path, help="a file for the result, Markdown")
    arguments = parser.parse_args()
    data = zoo.load_dataset("mnist")
    place(Recipe(), device="cpu", training=registry.get("mlp"))  # threads as zoo lays them out, before anything runs
    lines, worst = [], 0.0
    for name in MODELS:
        plain: dict[int, list[float]] = {}
        for batch, precision in ROWS:
            recipes = [
                Recipe(epochs=arguments.epochs, batch_size=batch, schedule="one_cycle", seed=seed)
                for seed in range(arguments.seeds)
            ]
            if batch not in plain:
                plain[batch] = [by_keras(name, recipe, data) for recipe in recipes]
            ours = [by_zoo(name, recipe.override(precision=precision), data) for recipe in recipes]
            difference = statistics.fmean(ours) - statistics.fmean(plain[batch])
            worst = max(worst, abs(difference))
            cells = [f"{statistics.fmean(each):.2f} ± {statistics.stdev(each):.2f}" for each in (plain[batch], ours)]
            lines.append(f"| {name} | {batch} | {precision} | {cells[0]} | {cells[1]} | {difference:+.2f} |")
            print(lines[-1], file=sys.stderr, flush=True)
    page = [
        "# Whether zoo's fast path ends where plain Keras ends",
        "",
        f"`python benchmarks/agreement.py --seeds {arguments.seeds} --epochs {arguments.epochs}`",
        "",
        f"{turns.circumstances()}. {time.strftime('%Y-%m-%d')}. Test accuracy on MNIST in percent after "
        f"{arguments.epochs} passes with a one-cycle rate up to 0.001: mean ± standard deviation, n = "
        f"{arguments.seeds} seeds. Keras in float32. The largest difference is {worst:.2f} points; up to "
        f"{ALLOWED} are allowed.",
        "",
        "| model | batch | zoo in | Keras `fit` | zoo | difference, points |",
        "|---|--:|---|--:|--:|--:|",
        *lines,
    ]
    print("\n".join(page))
    if arguments.output:
        atomic_write(arguments.output, "\n".join(page) + "\n")
    if worst > ALLOWED:
        sys.exit(f"The accuracies differ by {worst:.2f} points.")


if __name__ == "__main__":
    main()
