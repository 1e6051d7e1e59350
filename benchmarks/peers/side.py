"""What every side of the comparison is: its name, what it is given, what it can do. Imports no framework."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

LEARNING_RATE, BETAS, EPSILON = 1e-3, (0.9, 0.999), 1e-7  # Adam as Keras has it by default
STEPS_PER_CALL = 32  # of the sides that run several steps in one call
EVALUATION_BATCH = 500

MODELS = ("mlp", "lenet5", "simple_cnn")
CONVOLUTIONAL = MODELS[1:]


@dataclass(frozen=True)
class Kind:
    """Who takes part: the module that prepares the side, which variant of it, and for which models it makes sense."""

    module: str
    variant: str
    models: tuple[str, ...] = MODELS


SIDES: Mapping[str, Kind] = {
    "keras fit": Kind("keras_side", "plain"),
    "keras fit, steps_per_execution=32": Kind("keras_side", "steps_per_execution"),
    "pytorch eager": Kind("torch_side", "eager"),
    "pytorch eager, channels_last": Kind("torch_side", "channels_last", CONVOLUTIONAL),
    "pytorch compile": Kind("torch_side", "compile"),
    "pytorch compile, channels_last": Kind("torch_side", "compile, channels_last", CONVOLUTIONAL),
    "jax": Kind("jax_side", "step"),
    "jax scan": Kind("jax_side", "scan", ("mlp",)),  # XLA computes convolutions in a loop several times slower
    "zoo": Kind("zoo_side", "compiled loop"),
}
"""Every side by its name in the tables. The same framework's sides begin with the same word."""

PRECISIONS = ("float32", "bfloat16")
IMAGES = {"mlp": 60_000, "lenet5": 20_000, "simple_cnn": 10_000}
"""Images of a round, so that a round of any model takes seconds."""


@dataclass(frozen=True)
class Work:
    """What a side trains, the same for all of them."""

    model: str
    batch_size: int
    precision: str  # float32, or bfloat16: float32 weights, bfloat16 arithmetic
    images: int  # of a round
    weights: Sequence[np.ndarray]  # to start from, as Keras keeps them: kernels (H, W, in, out) and (in, out), biases
    seed: int = 0  # of dropout and of the order within a round
    threads: int = 1  # of one operation
    options: Mapping[str, Any] = field(default_factory=dict)  # of the model's builder


@dataclass(frozen=True)
class Sums:
    """What a round reports, as ``fit`` does: sums over its images, taken while they were trained."""

    loss: float
    correct: int


class Side(Protocol):
    """One framework's way to train one model."""

    params: int  # trained and untrained

    def load(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Put the next round's images, uint8 (N, H, W, C), and labels, int64 (N,), where training reads them."""

    def train(self) -> Sums:
        """Train once over what was loaded, in an order of its own; return when the device has finished."""

    def count_correct(self, images: np.ndarray, labels: np.ndarray) -> int:
        """Return how many of these (as `load` takes them) the model gets right now, without dropout."""

    def weights(self) -> list[np.ndarray]:
        """Return the weights in the order and the layout of `Work.weights`."""


def scaled(images: np.ndarray) -> np.ndarray:
    """Return pixels 0..255 as float32 0..1, as tutorials do it once before they train."""
    return images.astype(np.float32) / 255


def draw(seed: int, number: int, images: int, available: int) -> np.ndarray:
    """Return which images a round trains on: the next so many of epochs that are each shuffled anew.

    Args:
        seed: of the shuffling; the same for every side.
        number: of the round, from 0.
        images: of a round.
        available: images of an epoch.
    """
    first, last = number * images, (number + 1) * images
    epochs = range(first // available, -(-last // available))
    orders = [np.random.default_rng([seed, epoch]).permutation(available) for epoch in epochs]
    return np.concatenate(orders)[first - epochs[0] * available :][:images]
