"""One epoch of MNIST through zoo against Keras ``fit`` as tutorials write it: same model, batch, Adam, float32.

    python benchmarks/epoch_vs_fit.py --rounds 5 --batch-size 32

Both are warmed first and then take turns, so a change in the machine's speed hits both alike. Printed are
images per second (median, minimum and maximum of the rounds) and the ratio of the medians.

`fit` here runs with the same oneDNN kernels as zoo. Where TensorFlow leaves those off by itself (see
``zoo doctor``), a tutorial's user has a slower `fit` than this one: set ``TF_ENABLE_ONEDNN_OPTS=0`` to see it,
for both sides.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import zoo
from zoo.startup import load_tensorflow

load_tensorflow()

import keras  # noqa: E402 (only after its start-up notes are out of the way)

from zoo import registry  # noqa: E402
from zoo.environment import environment  # noqa: E402
from zoo.spec import Recipe  # noqa: E402
from zoo.training.devices import place  # noqa: E402
from zoo.training.epoch import Totals  # noqa: E402
from zoo.training.session import Session, split  # noqa: E402


def keras_epoch(name: str, data: zoo.Dataset, batch_size: int) -> Callable[[], float]:
    """Return a function that trains one epoch by ``fit`` and gives its seconds."""
    model = registry.create(name)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    images, labels = data.train.images.astype("float32") / 255, data.train.labels
    model.fit(images[: 20 * batch_size], labels[: 20 * batch_size], batch_size=batch_size, verbose=0)

    def epoch() -> float:
        began = time.perf_counter()
        model.fit(images, labels, batch_size=batch_size, verbose=0)
        return time.perf_counter() - began

    return epoch


def zoo_epoch(name: str, data: zoo.Dataset, batch_size: int) -> Callable[[], float]:
    """Return a function that trains one epoch by zoo and gives its seconds; loss and accuracy included."""
    recipe = Recipe(epochs=1, batch_size=batch_size)
    session = Session(registry.get(name), recipe, place(recipe, device="cpu"), data, split(data, recipe), network=None)
    session.fit([], show=False)
    loop = session.loop

    def epoch() -> float:
        began = time.perf_counter()
        loop.feed.begin(0)
        totals = Totals()
        while totals.steps < loop.steps:
            totals = loop.advance(totals, epoch=0)
        return time.perf_counter() - began

    return epoch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", default=["mlp", "lenet5", "simple_cnn"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=32)
    arguments = parser.parse_args()
    facts = environment()
    data = zoo.load_dataset("mnist")
    print(
        f"{facts['cpu']}, {facts['cpus_allowed']} processors; "
        f"tensorflow {facts['tensorflow']}, keras {facts['keras']}; "
        f"batch {arguments.batch_size}, float32, n = {arguments.rounds}\n"
    )
    print("| model | Keras fit, images/s | zoo, images/s | ratio of medians |\n|---|---|---|---|")
    for name in arguments.models:
        epochs = keras_epoch(name, data, arguments.batch_size), zoo_epoch(name, data, arguments.batch_size)
        seconds: tuple[list[float], list[float]] = ([], [])
        for _ in range(arguments.rounds):
            for times, epoch in zip(seconds, epochs, strict=True):
                times.append(epoch())
        speeds = [[len(data.train) / value for value in times] for times in seconds]
        cells = [f"{statistics.median(s):,.0f} ({min(s):,.0f} to {max(s):,.0f})" for s in speeds]
        ratio = statistics.median(seconds[0]) / statistics.median(seconds[1])
        print(f"| `{name}` | {cells[0]} | {cells[1]} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
