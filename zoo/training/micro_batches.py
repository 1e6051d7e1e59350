"""Micro-batches: a batch is split, and its micro-batches are computed in parallel, each on its own CPU core.

The operations of small networks are too short to be split over cores: synchronisation would take longer than the work.
So on a CPU each operation uses one core, and the gradients of the micro-batches are summed, which gives the gradient of
the batch up to rounding. This needs networks that treat each image independently; batch normalisation, for example,
would see only a micro-batch instead of the batch.

The number of threads per operation is a global setting that TensorFlow reads when it runs its first operation. It must
be set before a model is built, so it is chosen from the model's spec.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

from zoo.lazy import keras, tf
from zoo.spec import ModelSpec
from zoo.spec.recipe import Recipe

MOST = 4  # more would be too small, and make the graph large


def claim_threads(spec: ModelSpec, recipe: Recipe, cores: int) -> None:
    """Limit the threads per operation so that the micro-batches can run in parallel.

    Does nothing if TensorFlow has already run an operation in this process, or if the user has set the number with
    ``TF_NUM_INTRAOP_THREADS`` or `tf.config.threading`.

    Args:
        spec: the model to be trained; it keeps no statistics if all its declared parameters are trainable.
        recipe: `execution.micro_batches` is read.
        cores: number that this process may use.
    """
    keeps_no_statistics = spec.params is not None and spec.trainable_params == spec.params
    micro_batches = recipe.execution.micro_batches or (min(cores, MOST) if keeps_no_statistics else 1)
    chosen = os.environ.get("TF_NUM_INTRAOP_THREADS") or tf.config.threading.get_intra_op_parallelism_threads()
    if micro_batches == 1 or chosen:
        return
    with contextlib.suppress(RuntimeError):  # TensorFlow is already running
        tf.config.threading.set_intra_op_parallelism_threads(max(1, cores // micro_batches))


def side_by_side(threads: dict[str, int]) -> int:
    """Return how many operations can run in parallel."""
    return max(1, min(threads["cores"] // threads["intra_op"], threads["inter_op"], MOST))


def micro_batches_of(model: keras.Model, recipe: Recipe, most: int) -> int:
    """Return the number of micro-batches: the recipe's, or `most` if the model treats each image independently."""
    return recipe.execution.micro_batches or (most if _is_independent(model) else 1)


def _is_independent(model: keras.Model) -> bool:
    """Whether the output for an image certainly does not depend on the other images of its batch.

    It may with layers of other packages, and it does with layers that keep statistics or add to the loss.
    """
    layers = model._flatten_layers(include_self=False)
    return all(_is_known(layer) and not _keeps_statistics(layer) for layer in layers)


def _is_known(layer: Any) -> bool:
    return type(layer).__module__.startswith(("keras.", "zoo.layers.")) and layer.activity_regularizer is None


def _keeps_statistics(layer: Any) -> bool:
    """Whether training updates more than weights; the seed state of dropout does not count."""
    if isinstance(layer, keras.Model):
        return False  # its layers are checked one by one
    return any("seed" not in variable.path for variable in layer.non_trainable_variables if layer.trainable)
