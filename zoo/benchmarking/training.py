"""Time one training: until the test accuracy reaches a target, or to the end of the recipe."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import keras

from zoo import registry
from zoo.benchmarking.workload import resolved
from zoo.data import load as load_dataset
from zoo.inspection import anatomy
from zoo.spec import Recipe
from zoo.training.callbacks import recipe_callbacks
from zoo.training.devices import place
from zoo.training.plan import plan_run
from zoo.training.session import Session


class StopAtTarget(keras.callbacks.Callback):
    """Ends the training after the epoch in which the test images reach an accuracy, and notes when that was."""

    def __init__(self, target: float) -> None:
        super().__init__()
        self.target = target
        self.reached_at: float | None = None

    def on_epoch_end(self, _epoch: int, logs: Mapping[str, float] | None = None) -> None:
        if (logs or {})["val_accuracy"] >= self.target:
            self.reached_at = time.perf_counter()
            self.model.stop_training = True


def train_once(
    model: str,
    recipe: str,
    *,
    seed: int,
    target: float | None,
    device: str,
    overrides: Mapping[str, Any],
    data_dir: str | None = None,
) -> dict[str, Any]:
    """Train a model by one of its recipes and return what that took.

    Args:
        model: a registered name.
        recipe: one of its recipes.
        seed: of everything.
        target: test accuracy (0 to 1) at which the training ends, looked at after each epoch; None: it goes to
            the recipe's end, and the test images are touched once.
        device: auto, cpu, gpu or gpu:N.
        overrides: fields of the recipe that are to be otherwise.
        data_dir: a folder of files to read the dataset from.

    Returns:
        `origin`, `dataset`, `resolved`, `params`, `macs`, and `run`: `seed`, `reached`, `epochs`, `training_s`
        (steady training only), `total_s` (from before the data is touched, until the target or the end, compiling
        and evaluation included), `test_accuracy`.

    Raises:
        ZooError: a name or a value is not what it must be; a recipe that holds images out cannot watch the test.
    """
    watched = {} if target is None else {"validate_on_test": True}
    plan = plan_run(model, recipe, {**overrides, **watched, "seed": seed}, data_dir=data_dir)
    placement = place(plan.recipe, device=device, training=plan.spec)
    began = time.perf_counter()
    data = load_dataset(plan.recipe.data.dataset, data_dir=data_dir)
    session = Session(plan.spec, plan.recipe, placement, data)
    stop = [] if target is None else [StopAtTarget(target)]
    session.fit([*_own_callbacks(plan.recipe), *stop], show=False)
    reached_at = stop[0].reached_at if stop else None
    accuracy = session.history[-1]["val_accuracy"] if stop else session.measure()["test_accuracy"]
    ended = reached_at if reached_at is not None else time.perf_counter()
    return {
        "origin": str(plan.spec.origin),
        "dataset": data.name,
        "resolved": resolved(placement, plan.recipe.data.batch_size),
        "params": session.model.count_params(),
        "macs": anatomy.count_macs(registry.build(plan.spec, **_shape(plan.recipe, data))),
        "run": {
            "seed": seed,
            "reached": target is None or reached_at is not None,
            "epochs": len(session.history),
            "training_s": session.timing["train_s"],
            "total_s": ended - began,
            "test_accuracy": accuracy,
            "error": None,
        },
    }


def _own_callbacks(recipe: Recipe) -> list[keras.callbacks.Callback]:
    """What the recipe asks for; the best model is not kept, since nobody would look at it."""
    return recipe_callbacks(recipe, save=lambda _model: None)


def _shape(recipe: Recipe, data: Any) -> dict[str, Any]:
    return {"input_shape": data.image_shape, "num_classes": data.num_classes, **recipe.model.options}
