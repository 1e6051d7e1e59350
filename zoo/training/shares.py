"""How a batch is divided into micro-batches, which go through the network side by side, each on a core of its own.

The operations of small networks are too short for two cores to work on one together: to wake and to wait for each other
takes longer than the work. Those of a micro-batch are long enough. So on a CPU an operation keeps to one core, and the
gradients of the micro-batches are added up, which is the gradient of the batch to rounding. That holds for networks in
which no image knows of the others in its batch; batch normalisation, for one, would see a part instead of the whole.

How many threads an operation may use is one number for the whole process, and TensorFlow reads it once, when it runs
its first operation: before a model is built, so it is the model's spec that is asked, not the model.
"""

from __future__ import annotations

import os
from typing import Any

from zoo.lazy import keras, tf
from zoo.spec import ModelSpec
from zoo.spec.recipe import Recipe

MOST = 4  # micro-batches; beyond that they become small, and the graph large


def claim_threads(spec: ModelSpec, recipe: Recipe, cores: int) -> None:
    """Give each operation as many threads as leave the other cores to the other micro-batches, where that still can be.

    It is not once TensorFlow has run an operation in this process, and not where the user has chosen: by
    ``TF_NUM_INTRAOP_THREADS`` or `tf.config.threading`.

    Args:
        spec: the model that will be trained; one whose declared parameters are all trainable keeps no statistics.
        recipe: `execution.micro_batches` is read.
        cores: that this process may use.
    """
    keeps_none = spec.params is not None and spec.trainable_params == spec.params
    shares = recipe.execution.micro_batches or (min(cores, MOST) if keeps_none else 1)
    chosen = os.environ.get("TF_NUM_INTRAOP_THREADS") or tf.config.threading.get_intra_op_parallelism_threads()
    if shares == 1 or chosen:
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(max(1, cores // shares))
    except RuntimeError:  # TensorFlow is already running
        return


def side_by_side(threads: dict[str, int]) -> int:
    """Return how many single operations the cores can work on at once."""
    return max(1, min(threads["cores"] // threads["intra_op"], threads["inter_op"], MOST))


def shares_of(model: keras.Model, recipe: Recipe, most: int) -> int:
    """Return the number of micro-batches: what the recipe says, or `most` where that changes nothing."""
    return recipe.execution.micro_batches or (most if _images_are_alone(model) else 1)


def _images_are_alone(model: keras.Model) -> bool:
    """Whether no image's result can depend on another image of its batch, as far as that can be known.

    Layers from elsewhere may do anything; layers of Keras that keep statistics, or add to the loss, do.
    """
    layers = model._flatten_layers(include_self=False)
    return all(_is_known(layer) and not _keeps_statistics(layer) for layer in layers)


def _is_known(layer: Any) -> bool:
    return type(layer).__module__.startswith(("keras.", "zoo.layers.")) and layer.activity_regularizer is None


def _keeps_statistics(layer: Any) -> bool:
    """Whether training changes more of it than weights; the counter that dropout draws from is none."""
    if isinstance(layer, keras.Model):
        return False  # its layers are asked themselves
    return any("seed" not in variable.path for variable in layer.non_trainable_variables if layer.trainable)
