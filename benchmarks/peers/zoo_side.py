"""zoo's compiled loop, through zoo's own session; images stay uint8 and are scaled by the network."""

from __future__ import annotations

import numpy as np
from side import Side, Sums, Work

from zoo import registry
from zoo.data import Dataset, Split
from zoo.spec import Recipe
from zoo.utils.startup import load_tensorflow

load_tensorflow()

from zoo.inference import Examples, Resident, Totals  # noqa: E402 (only after its start-up notes are out of the way)
from zoo.training.devices import place, synchronize  # noqa: E402
from zoo.training.input_pipeline import ResidentFeed  # noqa: E402
from zoo.training.session import Session  # noqa: E402


class ZooLoop:
    """The session's compiled loop, a round being its epoch; see `side.Side`."""

    def __init__(self, work: Work) -> None:
        recipe = Recipe(
            epochs=1,
            batch_size=work.batch_size,
            precision="float32" if work.precision == "float32" else "mixed_bfloat16",
            seed=work.seed,
            model_options=work.options,
        )
        data = _blank(work.images)  # the session wants to know how much and what shape; each round brings its own
        spec = registry.get(work.model)
        placement = place(recipe, device="cpu", training=spec)
        self.session = Session(spec, recipe, placement, data)
        self.session.model.set_weights(list(work.weights))
        self.params, self._round = self.session.model.count_params(), -1

    def load(self, images: np.ndarray, labels: np.ndarray) -> None:
        self._round += 1
        feed = self.session.loop.feed
        assert isinstance(feed, ResidentFeed)  # the recipe's default
        feed.data = Resident(Examples(images, labels))

    def train(self) -> Sums:
        loop, totals = self.session.loop, Totals()
        loop.feed.begin(self._round)
        while totals.steps < loop.steps:
            totals = loop.advance(totals, epoch=self._round)
        synchronize()
        return Sums(totals.loss, totals.correct)

    def count_correct(self, images: np.ndarray, labels: np.ndarray) -> int:
        return round(self.session.loop.evaluate(Resident(Examples(images, labels))).correct)

    def weights(self) -> list[np.ndarray]:
        return list(self.session.model.get_weights())


def _blank(images: int) -> Dataset:
    """Return as many black images, in the shape of MNIST."""
    black = Split(np.zeros((images, 28, 28, 1), np.uint8), np.zeros(images, np.int64))
    classes = tuple(str(digit) for digit in range(10))
    return Dataset(name="mnist", train=black, test=black, class_names=classes, source="", digests={})


def prepare(work: Work, _variant: str) -> Side:
    """Return the side; there is one variant."""
    return ZooLoop(work)


def initial_weights(model: str, seed: int) -> list[np.ndarray]:
    """Return what every side starts from: the model's own initial weights (Glorot's rule, biases zero)."""
    import keras

    keras.utils.set_random_seed(seed)
    return list(registry.create(model, precision="float32").get_weights())
