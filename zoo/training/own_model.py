"""Adapts a user's own Keras model for training: raw images in, logits out.

Users' models differ: with or without `Rescaling`, ending in logits or softmax, for inputs of (28, 28, 1), (28, 28) or
784 values. Where possible this is found out by running the model on a few images; if a model cannot be trained as it
is, the error says what to change. The user's object is not modified, but its layers are shared.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from zoo import registry
from zoo.data import Dataset
from zoo.errors import ModelError, RecipeError, ZooError
from zoo.inference import forward
from zoo.runs.model_config import RUNS_CODE
from zoo.spec.recipe import Recipe
from zoo.tasks.measures.probabilities import are_probabilities
from zoo.training.kernels import calls_replaced

SHRINKS = 16
"""Factor by which the standard deviation must fall before the first weights, for a model to count as scaling its
images itself; Rescaling(1/255) and standardisation are far above it."""

LEAST = 1e-7
"""Probabilities are clipped from below to this, as in Keras' cross-entropy."""

SHOWN = 16  # number of noise images


@dataclass(frozen=True)
class OwnModel:
    """A user's model, ready to be trained.

    `network` maps images of the data set's shape to logits (N, classes). `recipe` is the run's, without scaling if the
    model scales images itself. `cautions` describe what was found and changed, in a sentence or two each.
    """

    network: keras.Model
    recipe: Recipe
    cautions: tuple[str, ...]


def adopt(network: keras.Model, recipe: Recipe, data: Dataset, *, keep_scaling: bool = False) -> OwnModel:
    """Check a user's own model against the data and the recipe, and adapt it for training.

    Args:
        network: a functional model with one input and one output, or a Sequential, built or not.
        recipe: how it is to be trained.
        data: the data to train on.
        keep_scaling: keep the recipe's scaling, because the user asked for it or a run is resumed.

    Raises:
        ModelError: its inputs or outputs do not fit the images or classes, or it cannot be saved.
        RecipeError: the recipe sets model options or a precision, which a built model cannot change.
    """
    graph = _as_graph(network, data)
    _check_shapes(graph, data)
    _check_recipe(graph, recipe)
    layer, shrinks, outputs = _shown_noise(graph, data)
    recipe, cautions = _scaling(graph.name, layer if shrinks else None, recipe, keep_scaling)
    ends = _end_of(graph)
    if recipe.loss.name == "cross_entropy" and "sigmoid" in ends:
        raise ModelError(
            f"{graph.name} ends in {ends}, which answers for each class alone; an image has one class here. End it in "
            f"keras.layers.Dense({data.num_classes}) without an activation."
        )
    if recipe.loss.name == "cross_entropy" and (ends == "softmax" or are_probabilities(outputs)):
        graph = _with_logarithm(graph)
        cautions.append(
            f"{graph.name} ends in probabilities, as softmax gives them: it is trained on their logarithms, which are "
            "logits, and what is saved ends in these. Leave the softmax out to be free of this."
        )
    if recipe.loss.name == "cross_entropy" and ends == "relu":
        cautions.append(
            f"{graph.name} ends in relu, which cuts logits off at 0. Expect a worse model; end it in "
            f"keras.layers.Dense({data.num_classes}) without an activation."
        )
    cautions += _foreign_layers(graph)
    return OwnModel(with_image_input(graph, data.image_shape), recipe, tuple(cautions))


def _scaling(name: str, layer: str | None, recipe: Recipe, keep: bool) -> tuple[Recipe, list[str]]:
    """Return the recipe, without its scaling if the model scales images before `layer` and `keep` is not set."""
    if layer is None or recipe.data.scaling == "none":
        return recipe, []
    if keep:
        return recipe, [
            f"{name} scales images itself, and scaling={recipe.data.scaling} scales them once more before it. "
            "Expect a worse model; scaling='none' leaves it out."
        ]
    return recipe.override(scaling="none"), [
        f"{name} scales images itself, before its layer {layer}: zoo's own scaling is left out (scaling='none'). "
        f"Pass scaling='{recipe.data.scaling}' to have both."
    ]


def _as_graph(network: keras.Model, data: Dataset) -> keras.Model:
    """Return the network as a functional model of its own layers, with one input and one output."""
    if isinstance(network, keras.Sequential) and not network.built:
        try:
            network.build((None, *data.image_shape))
        except Exception as error:
            raise ModelError(
                f"{network.name} cannot be built for images {data.image_shape}: {_in_brief(error)} "
                f"Begin it with keras.Input({data.image_shape})."
            ) from error
    inputs, outputs = getattr(network, "inputs", None), getattr(network, "outputs", None)
    if not inputs or not outputs:
        raise ModelError(
            f"{network.name} is a subclass of keras.Model without a graph of layers: its file could not be read back. "
            f"Give its graph: inputs = keras.Input({data.image_shape}); "
            "model = keras.Model(inputs, model.call(inputs))."
        )
    if len(inputs) > 1 or len(outputs) > 1:
        raise ModelError(
            f"{network.name} has {len(inputs)} input(s) and {len(outputs)} output(s). It is trained with one of each: "
            "images, and one number for each class. Give for example keras.Model(model.inputs[0], model.outputs[0])."
        )
    return keras.Model(inputs[0], outputs[0], name=network.name)


def _check_shapes(graph: keras.Model, data: Dataset) -> None:
    takes, gives = tuple(graph.input_shape[1:]), tuple(graph.output_shape)
    fits = len(takes) == 3 and all(size in (None, wanted) for size, wanted in zip(takes, data.image_shape, strict=True))
    if (fits or takes_reshaped(takes, data.image_shape)) and len(gives) == 2 and (gives[1] or 0) >= data.num_classes:
        if not graph.trainable_variables:
            raise ModelError(f"{graph.name} has no weights that are trained. Set trainable = True on its layers.")
        return
    step = "Build it for that shape and as many logits."
    if len(gives) > 2:
        step = f"End it in keras.layers.Flatten() and keras.layers.Dense({data.num_classes})."
    elif gives[-1] == 1 and data.num_classes == 2:
        step = "Two classes take two logits: end it in keras.layers.Dense(2), without sigmoid."
    raise ModelError(
        f"{graph.name} takes images {takes} and ends in {gives}, but {data.name} has images "
        f"{data.image_shape} of {data.num_classes} classes. {step}"
    )


def takes_reshaped(takes: tuple[int | None, ...], image_shape: tuple[int, int, int]) -> bool:
    """Whether a model's input is a reshaped image: flat, or without its single channel."""
    return takes == (math.prod(image_shape),) or (image_shape[2] == 1 and takes == image_shape[:2])


def with_image_input(graph: keras.Model, image_shape: tuple[int, int, int]) -> keras.Model:
    """Return the model with an input of (N, H, W, C), reshaped to its own if that differs."""
    if len(graph.input_shape) == 4:
        return graph
    image = keras.Input(image_shape, name="image")
    return keras.Model(image, graph(keras.layers.Reshape(graph.input_shape[1:])(image)), name=graph.name)


def _check_recipe(graph: keras.Model, recipe: Recipe) -> None:
    if recipe.model.options:
        raise RecipeError(f"{graph.name} is built already: it takes no model_options. Remove them.")
    policies = {layer.dtype_policy.name for layer in graph._flatten_layers(include_self=False)}
    if recipe.execution.precision != "float32" and recipe.execution.precision not in policies:
        raise RecipeError(
            f"{graph.name} is built already, in {', '.join(sorted(policies))}: it cannot be trained in "
            f"{recipe.execution.precision}. Build it under that policy."
        )


def _shown_noise(graph: keras.Model, data: Dataset) -> tuple[str, bool, np.ndarray]:
    """Run the model on noise of 0..255, to see whether it scales images and what it returns.

    This works however the scaling is written: as Rescaling, Normalization or arithmetic, in one graph or several.

    Returns:
        The first layer with weights; whether its input is already scaled down; and the outputs (N, classes).

    Raises:
        ModelError: the model fails.
    """
    shape = data.image_shape if len(graph.input_shape) == 4 else graph.input_shape[1:]
    noise = np.random.default_rng(0).uniform(0, 255, (SHOWN, *shape)).astype(np.float32)
    reached: list[tuple[str, np.ndarray]] = []
    try:
        with _watched(graph, reached):
            outputs = _as_array(forward(graph, noise))
    except Exception as error:
        raise ModelError(
            f"{graph.name} fails on images {data.image_shape}: {type(error).__name__}: {_in_brief(error)} "
            "Call it on a few of them yourself, and mend that first."
        ) from error
    layer, values = reached[0] if reached else ("", noise)
    return layer, float(values.std()) * SHRINKS < float(noise.std()), outputs


@contextlib.contextmanager
def _watched(graph: keras.Model, reached: list[tuple[str, np.ndarray]]) -> Iterator[None]:
    """Record the input of each layer with weights. A Normalization has only statistics, so it does not count."""

    def watch(layer: keras.Layer, *arguments: Any, **options: Any) -> Any:
        inputs = [*arguments, *options.values()][0]
        reached.append((layer.name, _as_array(inputs[0] if isinstance(inputs, list | tuple) else inputs)))
        return type(layer).call(layer, *arguments, **options)

    layers = [
        layer
        for layer in graph._flatten_layers(include_self=False)
        if layer._trainable_variables and not isinstance(layer, keras.layers.Normalization)
    ]
    with calls_replaced(layers, watch):
        yield


def _as_array(tensor: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))


def _end_of(graph: keras.Model) -> str:
    """Return the name of the model's last activation, or else of its last operation."""
    operation = graph.outputs[0]._keras_history.operation
    while isinstance(operation, keras.Model) and operation.outputs:
        operation = operation.outputs[0]._keras_history.operation
    activation = getattr(operation, "activation", None)
    return str(getattr(activation, "__name__", type(operation).__name__)).lower()


def _with_logarithm(graph: keras.Model) -> keras.Model:
    """Return a model whose outputs are the log-probabilities; softmax maps them back to the probabilities."""
    probabilities = keras.ops.cast(graph.outputs[0], "float32")
    logits = keras.ops.log(keras.ops.maximum(probabilities, LEAST))
    return keras.Model(graph.inputs[0], logits, name=graph.name)


def _foreign_layers(graph: keras.Model) -> list[str]:
    """Warn about layers that come neither from Keras, nor from zoo, nor from the plugin that has this model."""
    known = {"keras", "zoo"}
    with contextlib.suppress(ZooError):
        known.add(registry.get(graph.name).builder.__module__.partition(".")[0])
    layers = [type(layer) for layer in graph._flatten_layers(include_self=False)]
    foreign = {kind.__name__ for kind in layers if kind.__module__.partition(".")[0] not in known}
    foreign |= {kind.__name__ for kind in layers if kind.__name__ in RUNS_CODE}
    if not foreign:
        return []
    return [
        f"{graph.name} holds {', '.join(sorted(foreign))}, which zoo does not load from a file, since any code could "
        "run: evaluate and predict with the run that zoo.train returns, or open model.keras by keras.models.load_model."
    ]


def _in_brief(error: Exception) -> str:
    """Return an error's message in one line, without Keras' colour codes."""
    words = " ".join(re.sub(r"\x1b\[\d*m", "", str(error)).split())
    return (words[:200] or type(error).__name__).rstrip(".") + "."
