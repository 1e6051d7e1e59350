"""Which part of an "optimised" training makes it faster: each alone against the plain one, and all together.

    python benchmarks/configurations.py simple_cnn mlp --rounds 5 --images 20000

The plain configuration is Keras ``fit`` over a ``tf.data`` pipeline as tutorials write it: pixels scaled in a `map`,
a shuffle buffer of 1,000, batches; no cache, no prefetch, float32, no XLA. Tutorials then add parts and call the
result 30% faster. "Autotuning off" is no part of any tutorial: an epoch of `fit` often ends late, at about 1.28, 2.56
or 5.11 s, the moments at which the pipeline's autotuner wakes, whose period doubles from 10 ms on; without it an epoch
ends when its work is done.

Here every configuration is warmed up, one epoch long, and takes its turn in each round; printed are images per second
and how many times as fast as the plain configuration of the same round: median (minimum to maximum). zoo's rows train
the same network by its compiled loop; their pixels are scaled by the network itself.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from dataclasses import dataclass

import turns

import zoo
from zoo.utils.startup import load_tensorflow

load_tensorflow()

import keras  # noqa: E402 (only after its start-up notes are out of the way)
import tensorflow as tf  # noqa: E402

from zoo import registry  # noqa: E402
from zoo.spec import Recipe  # noqa: E402


@dataclass(frozen=True)
class Fit:
    """How ``fit`` is fed and compiled."""

    precision: str = "float32"
    xla: bool = False
    cache: bool = False
    shuffle_buffer: int = 1_000
    prefetch: bool = False
    autotune: bool = True


def fit_epoch(name: str, data: zoo.Dataset, batch_size: int, how: Fit) -> turns.Epoch:
    """Return an epoch by ``fit`` on a pipeline, warmed up by one (which fills the cache)."""
    model = registry.create(name, precision=how.precision)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"], jit_compile=how.xla)
    images = tf.data.Dataset.from_tensor_slices((data.train.images, data.train.labels))
    images = images.map(lambda pixels, label: (tf.cast(pixels, tf.float32) / 255.0, label))
    images = images.cache() if how.cache else images
    batches = images.shuffle(how.shuffle_buffer).batch(batch_size)
    batches = batches.prefetch(tf.data.AUTOTUNE) if how.prefetch else batches
    if not how.autotune:
        options = tf.data.Options()
        options.autotune.enabled = False
        batches = batches.with_options(options)
    model.fit(batches, verbose=0)

    def epoch() -> float:
        began = time.perf_counter()
        model.fit(batches, verbose=0)
        return time.perf_counter() - began

    return epoch


def configurations(images: int, batch_size: int) -> dict[str, Fit | Recipe]:
    """Return what is measured, the plain one first."""
    plain = Fit()
    zoo_plain = Recipe(
        epochs=1, batch_size=batch_size, pipeline="tf_data", cache=False, prefetch=False, shuffle_buffer=1_000
    )
    resident = Recipe(epochs=1, batch_size=batch_size)
    half = {"precision": "mixed_bfloat16"}
    fed = {"cache": True, "shuffle_buffer": images, "prefetch": True}
    change = dataclasses.replace
    return {
        "fit, plain": plain,
        "fit + mixed_bfloat16": change(plain, **half),
        "fit + XLA": change(plain, xla=True),
        "fit + cache": change(plain, cache=True),
        "fit + shuffle buffer of all images": change(plain, shuffle_buffer=images),
        "fit + prefetch": change(plain, prefetch=True),
        "fit + autotuning off": change(plain, autotune=False),
        "fit + cache, shuffle buffer, prefetch": change(plain, **fed),
        "fit + all of these": change(plain, **half, xla=True, **fed),
        "fit + all of these but XLA": change(plain, **half, **fed),
        "fit + all of these but XLA, autotuning off": change(plain, **half, **fed, autotune=False),
        "zoo, streamed plainly": zoo_plain,
        "zoo, streamed + cache, shuffle buffer, prefetch": zoo_plain.override(**fed),
        "zoo, resident loop (its default)": resident,
        "zoo, resident loop + XLA": resident.override(xla=True),
        "zoo, resident loop + mixed_bfloat16": resident.override(**half),
        "zoo, resident loop + mixed_bfloat16 + XLA": resident.override(**half, xla=True),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", default=["simple_cnn", "mlp"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=20_000, help="The first so many of MNIST.")
    parser.add_argument("--batch-size", type=int, default=128)
    arguments = parser.parse_args()
    mnist = zoo.load_dataset("mnist")
    first = zoo.data.Split(mnist.train.images[: arguments.images], mnist.train.labels[: arguments.images])
    data = dataclasses.replace(mnist, train=first)
    for name in arguments.models:
        epochs = {
            label: fit_epoch(name, data, arguments.batch_size, how)
            if isinstance(how, Fit)
            else turns.zoo_epoch(name, data, how)
            for label, how in configurations(len(first), arguments.batch_size).items()
        }
        seconds = turns.take_turns(epochs, arguments.rounds)
        print(
            f"\n`{name}`, {len(first):,} images, batch {arguments.batch_size}, n = {arguments.rounds} rounds; "
            f"{turns.circumstances()}\n\n| configuration | images/s | times as fast as the plain one |\n|---|---|---|"
        )
        for label, values in seconds.items():
            cells = turns.speed(len(first), values), turns.ratio(seconds["fit, plain"], values)
            print(f"| {label} | {cells[0]} | {cells[1]} |", flush=True)


if __name__ == "__main__":
    main()
