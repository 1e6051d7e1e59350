"""JAX: a compiled step that gathers its batch and donates its state, called singly or scanned over 32 steps.

What could be written in several ways is written in the one that was fastest on a CPU: batches gathered inside the
step, pooling by reshaping instead of ``reduce_window``, dropout by JAX's default generator.
"""

from __future__ import annotations

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # read when JAX is imported

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from networks import NETWORKS, Convolution, Dense, Dropout, Flatten, Layer, Pool
from side import BETAS, EPSILON, EVALUATION_BATCH, LEARNING_RATE, STEPS_PER_CALL, Side, Sums, Work, scaled

ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh, "": lambda values: values}
State = dict[str, Any]  # arrays, or lists of one array per weight
Logits = Callable[[list[jax.Array], jax.Array, jax.Array | None], jax.Array]


class JaxLoop:
    """A loop of compiled calls of one or of several steps; see `side.Side`."""

    def __init__(self, work: Work, *, steps_per_call: int) -> None:
        self.work, self.params = work, sum(array.size for array in work.weights)
        self._rows_per_call = steps_per_call * work.batch_size
        self._order = np.random.default_rng(work.seed)
        layers = NETWORKS[work.model](**work.options)
        dtype = jnp.float32 if work.precision == "float32" else jnp.bfloat16
        logits = partial(_logits, layers, dtype)
        self._state = _initial_state(work)
        self._steps = jax.jit(partial(_steps, logits), donate_argnums=0)
        self._classes = jax.jit(lambda weights, images: jnp.argmax(logits(weights, images, None), axis=-1))

    def load(self, images: np.ndarray, labels: np.ndarray) -> None:
        self._images, self._labels = jnp.asarray(scaled(images)), jnp.asarray(labels.astype(np.int32))

    def train(self) -> Sums:
        self._state |= {"loss": jnp.zeros(()), "correct": jnp.zeros((), jnp.int32)}
        batch = self.work.batch_size
        order = self._order.permutation(len(self._labels)).astype(np.int32)
        full = len(order) // batch * batch
        for start in range(0, full, self._rows_per_call):
            rows = order[start : min(start + self._rows_per_call, full)]
            self._state = self._steps(self._state, self._images, self._labels, rows.reshape(-1, batch))
        if full < len(order):
            self._state = self._steps(self._state, self._images, self._labels, order[None, full:])
        jax.block_until_ready(self._state)
        return Sums(float(self._state["loss"]), int(self._state["correct"]))

    def count_correct(self, images: np.ndarray, labels: np.ndarray) -> int:
        starts = range(0, len(images), EVALUATION_BATCH)
        batches = (scaled(images[start : start + EVALUATION_BATCH]) for start in starts)
        classes = np.concatenate([self._classes(self._state["weights"], batch) for batch in batches])
        return int((classes == labels).sum())

    def weights(self) -> list[np.ndarray]:
        return [np.asarray(array) for array in self._state["weights"]]


def _initial_state(work: Work) -> State:
    weights = [jnp.array(array) for array in work.weights]
    return {
        "weights": weights,
        "means": [jnp.zeros_like(array) for array in weights],
        "squares": [jnp.zeros_like(array) for array in weights],
        "step": jnp.zeros((), jnp.int32),
        "key": jax.random.key(work.seed),
    }


def _steps(logits: Logits, state: State, images: jax.Array, labels: jax.Array, rows: jax.Array) -> State:
    """Train on batches that `rows` (steps, batch) picks; a single step is not put into a loop."""
    if len(rows) == 1:
        return _step(logits, state, images[rows[0]], labels[rows[0]])

    def body(state: State, rows: jax.Array) -> tuple[State, None]:
        return _step(logits, state, images[rows], labels[rows]), None

    return lax.scan(body, state, rows)[0]


def _step(logits: Logits, state: State, images: jax.Array, labels: jax.Array) -> State:
    """One update by Adam as Keras writes it: the bias of both moments is put into the rate, epsilon is added after."""
    key, used = jax.random.split(state["key"])

    def objective(weights: list[jax.Array]) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        scores = logits(weights, images, used)
        losses = -jnp.take_along_axis(jax.nn.log_softmax(scores), labels[:, None], axis=1)
        return losses.mean(), (losses.sum(), (scores.argmax(axis=-1) == labels).sum(dtype=jnp.int32))

    gradients, (loss, correct) = jax.grad(objective, has_aux=True)(state["weights"])
    step = state["step"] + 1
    powers = [beta ** step.astype(jnp.float32) for beta in BETAS]
    rate = LEARNING_RATE * jnp.sqrt(1 - powers[1]) / (1 - powers[0])
    means = [mean + (new - mean) * (1 - BETAS[0]) for mean, new in zip(state["means"], gradients, strict=True)]
    squares = [old + (new**2 - old) * (1 - BETAS[1]) for old, new in zip(state["squares"], gradients, strict=True)]
    weights = [
        weight - rate * mean / (jnp.sqrt(square) + EPSILON)
        for weight, mean, square in zip(state["weights"], means, squares, strict=True)
    ]
    sums = {"loss": state["loss"] + loss, "correct": state["correct"] + correct}
    return {"weights": weights, "means": means, "squares": squares, "step": step, "key": key, **sums}


def _logits(
    layers: tuple[Layer, ...], dtype: jnp.dtype, weights: list[jax.Array], images: jax.Array, key: jax.Array | None
) -> jax.Array:
    """Return float32 logits; the last layer is computed in float32, as zoo's is. Without a key nothing is dropped."""
    left, values = iter(weights), images.astype(dtype)
    for layer in layers:
        match layer:
            case Convolution() | Dense():
                precision = jnp.float32 if layer is layers[-1] else dtype
                kernel, bias = (next(left).astype(precision) for _ in range(2))
                multiplied = _multiply(layer, values.astype(precision), kernel)
                values = ACTIVATIONS[layer.activation](multiplied + bias)
            case Pool():
                values = _pool(values, jnp.mean if layer.kind == "average" else jnp.max)
            case Flatten():
                values = values.reshape(len(values), -1)
            case Dropout() if key is not None:
                kept = jax.random.bernoulli(key, 1 - layer.share, values.shape)
                values = jnp.where(kept, values / (1 - layer.share), 0)
    return values


def _multiply(layer: Convolution | Dense, values: jax.Array, kernel: jax.Array) -> jax.Array:
    if isinstance(layer, Dense):
        return values @ kernel
    padding = "SAME" if layer.padded else "VALID"
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(values, kernel, (1, 1), padding, dimension_numbers=layout)


def _pool(values: jax.Array, reduce: Callable[..., jax.Array]) -> jax.Array:
    images, height, width, channels = values.shape
    even = values[:, : height // 2 * 2, : width // 2 * 2]
    return reduce(even.reshape(images, height // 2, 2, width // 2, 2, channels), axis=(2, 4))


def prepare(work: Work, variant: str) -> Side:
    """Return the side; `variant` is step or scan."""
    return JaxLoop(work, steps_per_call=STEPS_PER_CALL if variant == "scan" else 1)
