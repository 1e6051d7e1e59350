"""A recipe's Keras optimizer and learning rate schedule, with Adam's update as one kernel per variable.

Keras' Adam runs about ten small operations per variable. In small networks the overhead of starting them is most of
their cost, so the update runs as TensorFlow's fused kernel; everything around it (clipping, weight decay, averaging,
accumulation, loss scaling) is Keras'.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from zoo.errors import RecipeError, suggestion
from zoo.spec import Recipe


class FusedAdam(keras.optimizers.Adam):
    """Keras' Adam with one ``ResourceApplyAdam`` per variable as its update step.

    Results agree with Keras' Adam to float32 rounding. The kernel does not support `amsgrad`.
    """

    def _backend_update_step(self, grads: list[Any], trainable_variables: list[Any], learning_rate: Any) -> None:
        # Steps count from one. The powers are the same for every variable, so compute them once.
        step = tf.cast(self.iterations + 1, tf.float32)
        self._beta_powers = tf.pow(self.beta_1, step), tf.pow(self.beta_2, step)
        super()._backend_update_step(grads, trainable_variables, learning_rate)

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        beta_1_power, beta_2_power = self._beta_powers
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.cast(beta_1_power, variable.dtype),
            beta2_power=tf.cast(beta_2_power, variable.dtype),
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=tf.cast(self.beta_1, variable.dtype),
            beta2=tf.cast(self.beta_2, variable.dtype),
            epsilon=tf.cast(self.epsilon, variable.dtype),
            grad=tf.cast(gradient, variable.dtype),
        )


def make_optimizer(recipe: Recipe, *, total_steps: int) -> keras.optimizers.Optimizer:
    """Return the recipe's optimizer with its schedule, wrapped in dynamic loss scaling for mixed_float16.

    Args:
        recipe: its `optimizer`, `schedule` and precision are read.
        total_steps: number of steps in the whole run, the length of the schedule.

    Raises:
        RecipeError: Keras has no such optimizer, or it rejects the options.
    """
    settings, options = recipe.optimizer, dict[str, Any]()
    if settings.weight_averaging:
        options |= {"use_ema": True, "ema_momentum": settings.weight_averaging}
    if settings.gradient_accumulation > 1:
        options["gradient_accumulation_steps"] = settings.gradient_accumulation
        total_steps //= settings.gradient_accumulation
    options |= settings.options
    optimizer_class = _optimizer_class(settings.name)
    if optimizer_class is keras.optimizers.Adam and not options.get("amsgrad"):
        optimizer_class = FusedAdam
    try:
        optimizer = optimizer_class(learning_rate=make_schedule(recipe, total_steps=total_steps), **options)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"{settings.name} refuses optimizer_options {options!r}: {error}") from error
    optimizer = on_one_replica(optimizer)
    if recipe.execution.precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def on_one_replica(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Return the optimizer without its sum of gradients over replicas: zoo trains on one.

    For that sum TensorFlow registers a custom gradient until the process ends, which keeps the traced step and all its
    variables alive: every training in a process would leak its weights.
    """
    optimizer._all_reduce_sum_gradients = _unchanged
    return optimizer


def _unchanged(gradients_and_variables: list[Any]) -> list[Any]:
    return gradients_and_variables


def make_schedule(recipe: Recipe, *, total_steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Return the learning rate: a number if it is constant or set by a callback, else a Keras schedule.

    ``one_cycle`` rises linearly from a 25th of the peak for a fraction `warmup` of the steps, then falls to zero along
    a cosine (after Smith & Topin 2018, "Super-Convergence"); ``cosine`` only falls.
    """
    peak = recipe.optimizer.learning_rate
    if recipe.schedule.name in ("constant", "reduce_on_plateau"):
        return peak
    if recipe.schedule.name == "cosine":
        return keras.optimizers.schedules.CosineDecay(peak, decay_steps=max(1, total_steps))
    warmup_steps = max(1, round(recipe.schedule.warmup * total_steps))
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=peak / 25,
        warmup_target=peak,
        warmup_steps=warmup_steps,
        decay_steps=max(1, total_steps - warmup_steps),
    )


def swap_averages(optimizer: keras.optimizers.Optimizer) -> bool:
    """Swap the weights with their moving averages, if the optimizer keeps any; a second call swaps them back.

    Returns:
        Whether the optimizer keeps averages.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)  # within loss scaling
    if not getattr(inner, "use_ema", False):
        return False
    for variable, average in zip(inner._trainable_variables, inner._model_variables_moving_average, strict=True):
        value = tf.identity(variable.value)
        variable.assign(average.value)
        average.assign(value)
    return True


def _optimizer_class(name: str) -> type[keras.optimizers.Optimizer]:
    """Return Keras' optimizer class of this name, ignoring case."""
    wrappers = {"optimizer", "lossscaleoptimizer"}
    classes = {
        key.lower(): value
        for key, value in vars(keras.optimizers).items()
        if isinstance(value, type) and issubclass(value, keras.optimizers.Optimizer) and key.lower() not in wrappers
    }
    if name.lower() not in classes:
        raise RecipeError(
            f"Keras has no optimizer '{name}'.{suggestion(name, classes)} It has: {', '.join(sorted(classes))}."
        )
    return classes[name.lower()]
