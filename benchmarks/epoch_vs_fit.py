"""One epoch of MNIST through zoo against Keras ``fit`` as tutorials write it: same model, batch, Adam, float32.

    python benchmarks/epoch_vs_fit.py --rounds 5 --batch-size 32

Both are warmed first and then take turns, so a change in the machine's speed hits both alike. Printed are
images per second (median, minimum and maximum of the rounds) and the rounds' ratios likewise.

`fit` here runs with the same oneDNN kernels as zoo. Where TensorFlow leaves those off by itself (see
``zoo doctor``), a tutorial's user has a slower `fit` than this one: set ``TF_ENABLE_ONEDNN_OPTS=0`` to see it,
for both sides.
"""

from __future__ import annotations

import argparse
import time

import turns

import zoo
from zoo.startup import load_tensorflow

load_tensorflow()

import keras  # noqa: E402 (only after its start-up notes are out of the way)

from zoo import registry  # noqa: E402
from zoo.spec import Recipe  # noqa: E402


def keras_epoch(name: str, data: zoo.Dataset, batch_size: int) -> turns.Epoch:
    """Return an epoch by ``fit`` on arrays, warmed up."""
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", default=["mlp", "lenet5", "simple_cnn"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=32)
    arguments = parser.parse_args()
    data = zoo.load_dataset("mnist")
    print(f"{turns.circumstances()}; batch {arguments.batch_size}, float32, n = {arguments.rounds}\n")
    print("| model | Keras fit, images/s | zoo, images/s | times as fast |\n|---|---|---|---|")
    for name in arguments.models:
        epochs = {
            "fit": keras_epoch(name, data, arguments.batch_size),
            "zoo": turns.zoo_epoch(name, data, Recipe(epochs=1, batch_size=arguments.batch_size)),
        }
        seconds = turns.take_turns(epochs, arguments.rounds)
        cells = [turns.speed(len(data.train), seconds[side]) for side in epochs]
        print(f"| `{name}` | {cells[0]} | {cells[1]} | {turns.ratio(seconds['fit'], seconds['zoo'])} |", flush=True)


if __name__ == "__main__":
    main()
