"""The callbacks that a recipe needs, and the state of each that a checkpoint must hold.

Most are Keras' own. A user's callback resumes exactly if it has two methods: ``get_state()``, which returns a mapping
of plain values and arrays, and ``set_state(state)``, which is called after ``on_train_begin``.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from zoo.errors import RecipeError, RunError
from zoo.spec.recipe import Recipe

# The attributes that Keras' callbacks change while they run, and reset in `on_train_begin`.
KERAS_STATE: dict[type[keras.callbacks.Callback], tuple[str, ...]] = {
    keras.callbacks.EarlyStopping: ("wait", "stopped_epoch", "best", "best_weights", "best_epoch"),
    keras.callbacks.ReduceLROnPlateau: ("wait", "best", "cooldown_counter"),
    keras.callbacks.ModelCheckpoint: ("best", "epochs_since_last_save"),
}
STATELESS = (
    keras.callbacks.History,
    keras.callbacks.TerminateOnNaN,
    keras.callbacks.CSVLogger,
    keras.callbacks.TensorBoard,
    keras.callbacks.LearningRateScheduler,
)


class SaveBest(keras.callbacks.Callback):
    """Saves the model of the best epoch so far.

    Keras' ModelCheckpoint writes in place and includes the optimizer; this one replaces the file atomically.

    Args:
        monitor: a name in the logs; a loss is minimised, anything else maximised.
        save: writes the model.
    """

    def __init__(self, monitor: str, save: Callable[[keras.Model], None]) -> None:
        super().__init__()
        self.monitor, self._save = monitor, save
        self.best: float | None = None
        self.epoch: int | None = None

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        value = (logs or {})[self.monitor]
        sign = 1 if self.monitor.endswith("loss") else -1
        if self.best is None or sign * value < sign * self.best:
            self.best, self.epoch = value, epoch
            self._save(self.model)

    def get_state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"best": self.best, "epoch": self.epoch}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore a state that `get_state` returned."""
        self.best, self.epoch = state["best"], state["epoch"]


def recipe_callbacks(
    recipe: Recipe, *, save: Callable[[keras.Model], None], tensorboard: Path | None = None
) -> list[keras.callbacks.Callback]:
    """Return the callbacks that a recipe's settings ask for.

    Args:
        recipe: `schedule` and `validation` are read.
        save: writes the best model.
        tensorboard: the folder for TensorBoard's event files; None turns it off.

    Raises:
        RecipeError: `tensorboard` is given but TensorBoard is not installed.
    """
    schedule, validation = recipe.schedule, recipe.validation
    callbacks: list[keras.callbacks.Callback] = []
    if schedule.name == "reduce_on_plateau":
        callbacks.append(
            keras.callbacks.ReduceLROnPlateau(
                validation.monitor, factor=schedule.plateau_factor, patience=schedule.plateau_patience
            )
        )
    if validation.early_stopping:
        callbacks.append(
            keras.callbacks.EarlyStopping(
                validation.monitor, patience=validation.early_stopping, restore_best_weights=True
            )
        )
    if validation.save_best != "none":
        callbacks.append(SaveBest(validation.save_best, save))
    if tensorboard is not None:
        if importlib.util.find_spec("tensorboard") is None:
            raise RecipeError("TensorBoard is not installed. Install it: python -m pip install 'cnn-zoo[tensorboard]'.")
        callbacks.append(keras.callbacks.TensorBoard(str(tensorboard), write_graph=False))
    return callbacks


def check_callbacks(callbacks: Sequence[keras.callbacks.Callback], recipe: Recipe) -> None:
    """Reject a user's callback that conflicts with the recipe.

    Raises:
        RecipeError: it sets the learning rate, which already follows a schedule.
    """
    for callback in callbacks:
        sets_rate = isinstance(callback, keras.callbacks.ReduceLROnPlateau | keras.callbacks.LearningRateScheduler)
        if sets_rate and recipe.schedule.name in ("cosine", "one_cycle"):
            raise RecipeError(
                f"{type(callback).__name__} sets the learning rate, but the recipe's schedule '{recipe.schedule.name}' "
                "does so already. Set schedule='constant'."
            )


def selected_epoch(callbacks: Sequence[keras.callbacks.Callback]) -> int | None:
    """Return the epoch, counted from 1, whose weights early stopping restored; None if it restored none."""
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.EarlyStopping) and callback.best_weights is not None:
            return int(callback.best_epoch) + 1
    return None


def without_saved_state(callbacks: Sequence[keras.callbacks.Callback]) -> list[str]:
    """Return the names of the callbacks whose state cannot be saved."""
    return [
        type(callback).__name__
        for callback in callbacks
        if not hasattr(callback, "get_state") and not isinstance(callback, (*KERAS_STATE, *STATELESS))
    ]


def states_of(callbacks: Sequence[keras.callbacks.Callback]) -> list[dict[str, Any]]:
    """Return the state of each callback, in order."""
    return [{"callback": _name(callback), "state": _state_of(callback)} for callback in callbacks]


def restore_states(callbacks: Sequence[keras.callbacks.Callback], states: Sequence[Mapping[str, Any]]) -> None:
    """Restore the states that `states_of` returned; call it after ``on_train_begin``.

    Raises:
        RunError: the states belong to other callbacks.
    """
    now, then = [_name(callback) for callback in callbacks], [state["callback"] for state in states]
    if now != then:
        raise RunError(
            f"The run was trained with the callbacks {', '.join(then) or 'none'}, and is continued with "
            f"{', '.join(now) or 'none'}. Pass the same ones in the same order."
        )
    for callback, state in zip(callbacks, states, strict=True):
        if hasattr(callback, "set_state"):
            callback.set_state(state["state"])
        else:
            vars(callback).update(state["state"])


def _name(callback: keras.callbacks.Callback) -> str:
    return type(callback).__name__


def _state_of(callback: keras.callbacks.Callback) -> dict[str, Any]:
    if hasattr(callback, "get_state"):
        return dict(callback.get_state())
    for kind, names in KERAS_STATE.items():
        if isinstance(callback, kind):
            return {name: getattr(callback, name) for name in names if hasattr(callback, name)}
    return {}
