"""Keras ``fit`` on arrays as tutorials write it: scaled once beforehand, Adam, accuracy as a metric, shuffled."""

from __future__ import annotations

import numpy as np
from side import EVALUATION_BATCH, STEPS_PER_CALL, Side, Sums, Work, scaled

from zoo import registry
from zoo.utils.startup import load_tensorflow

load_tensorflow()

import keras  # noqa: E402 (only after its start-up notes are out of the way)


class KerasFit:
    """One call of ``fit`` per round; see `side.Side`."""

    def __init__(self, work: Work, steps_per_execution: int) -> None:
        keras.utils.set_random_seed(work.seed)
        precision = "float32" if work.precision == "float32" else "mixed_bfloat16"
        self.work, self.model = work, registry.create(work.model, precision=precision, **work.options)
        self.model.set_weights(list(work.weights))
        self.params = self.model.count_params()
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.model.compile("adam", loss, metrics=["accuracy"], steps_per_execution=steps_per_execution)

    def load(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = scaled(images), labels

    def train(self) -> Sums:
        means = self.model.fit(self.images, self.labels, batch_size=self.work.batch_size, verbose=0).history
        return Sums(means["loss"][0] * len(self.labels), round(means["accuracy"][0] * len(self.labels)))

    def count_correct(self, images: np.ndarray, labels: np.ndarray) -> int:
        _, accuracy = self.model.evaluate(scaled(images), labels, batch_size=EVALUATION_BATCH, verbose=0)
        return round(accuracy * len(labels))

    def weights(self) -> list[np.ndarray]:
        return list(self.model.get_weights())


def prepare(work: Work, variant: str) -> Side:
    """Return the side; `variant` is plain or steps_per_execution."""
    return KerasFit(work, STEPS_PER_CALL if variant == "steps_per_execution" else 1)
