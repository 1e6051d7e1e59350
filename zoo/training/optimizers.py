"""From a recipe to a Keras optimizer, with Adam's update as one kernel per variable.

Keras' own Adam issues about ten small operations per variable. On networks of this size the overhead of
starting an operation is most of its cost, so the update itself runs as TensorFlow's fused kernel; all that
Keras wraps around it (clipping, weight decay, averaging, accumulation, loss scaling) stays Keras' own.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from zoo.errors import RecipeError, suggestion
from zoo.spec import Recipe


class FusedAdam(keras.optimizers.Adam):
    """Keras' Adam with its update step done by one ``ResourceApplyAdam`` per variable.

    The arithmetic is Kingma & Ba's as Keras writes it; results agree to float32 rounding. Without `amsgrad`,
    which the kernel does not know.
    """

    def _backend_update_step(self, grads: list[Any], trainable_variables: list[Any], learning_rate: Any) -> None:
        # The step counts from one. These three scalars are the same for every variable: compute them once.
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
        total_steps: batches of the whole run, over which the schedule stretches.

    Raises:
        RecipeError: Keras has no such optimizer, or it refuses the options.
    """
    asked, options = recipe.optimizer, dict[str, Any]()
    if asked.weight_averaging:
        options |= {"use_ema": True, "ema_momentum": asked.weight_averaging}
    if asked.gradient_accumulation > 1:
        options["gradient_accumulation_steps"] = asked.gradient_accumulation
        total_steps //= asked.gradient_accumulation
    options |= asked.options
    optimizer_class = _optimizer_class(asked.name)
    if optimizer_class is keras.optimizers.Adam and not options.get("amsgrad"):
        optimizer_class = FusedAdam
    try:
        optimizer = optimizer_class(learning_rate=make_schedule(recipe, total_steps=total_steps), **options)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"{asked.name} refuses optimizer_options {options!r}: {error}") from error
    optimizer = on_one_replica(optimizer)
    if recipe.execution.precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def on_one_replica(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Return the optimizer, no longer adding gradients up over replicas, of which zoo's training has one.

    For that sum TensorFlow registers a gradient of its own for as long as the process lives, and with it the traced
    step and every variable that the step uses: each training of a process would leave its weights behind.
    """
    optimizer._all_reduce_sum_gradients = _unchanged
    return optimizer


def _unchanged(gradients_and_variables: list[Any]) -> list[Any]:
    return gradients_and_variables


def make_schedule(recipe: Recipe, *, total_steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Return the learning rate over updates: a number if only a callback changes it, else a Keras schedule.

    ``one_cycle`` rises linearly from a 25th of the peak over `warmup` of the steps and falls to zero along a
    cosine (after Smith & Topin 2018, "Super-Convergence"); ``cosine`` only falls.
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
    """Exchange the weights with their moving averages, where the optimizer keeps some; twice changes nothing.

    Returns:
        Whether it keeps some.
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
    """Find an optimizer of Keras by its class name, in any case."""
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
