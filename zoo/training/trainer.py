"""The run: from a model and a recipe to a trained network, its record and its folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from zoo import registry
from zoo.data import Dataset
from zoo.data import load as load_dataset
from zoo.environment import environment
from zoo.errors import RecipeError, RunError
from zoo.recipe import plain
from zoo.report.statistics import summarize
from zoo.spec import ModelSpec, Origin, Recipe, Run
from zoo.training.devices import Placement, place
from zoo.training.saving import run_folder, write_run
from zoo.training.session import Session, split

SCHEMA = "zoo.run/1"


def train(
    model: str | ModelSpec | keras.Model,
    *,
    dataset: str | Dataset | None = None,
    data_dir: str | Path | None = None,
    recipe: str | Recipe = "default",
    seed: int | None = None,
    limit: int | None = None,
    device: str = "auto",
    deterministic: bool = False,
    callbacks: Iterable[keras.callbacks.Callback] = (),
    output: str | Path | None = None,
    quiet: bool = True,
    announce: Callable[[str], None] | None = None,
    **overrides: Any,
) -> Run:
    """Train a model and write its run folder.

    Args:
        model: a registered name, a spec, or a ``keras.Model`` of your own: images (N, H, W, C) scaled as the
            recipe says to logits (N, classes).
        dataset: a dataset's name or a loaded `Dataset`; the recipe's own if not given.
        data_dir: a folder of files to read the dataset from.
        recipe: the name of one of the model's recipes, or a `Recipe`.
        seed: of weights, order, augmentation and dropout; the recipe's own if not given.
        limit: train on the first so many images of a seeded shuffle; the test set stays whole.
        device: auto, cpu, gpu or gpu:N.
        deterministic: the same seed gives the same bits.
        callbacks: ordinary Keras callbacks. Batch hooks run once per chunk of steps, a few times a second.
        output: the run folder; ``runs/<model>-<time>-s<seed>`` if not given.
        quiet: show no progress.
        announce: receives status lines, such as where data is fetched from.
        overrides: fields of the recipe, as in ``epochs=3``; see `Recipe`.

    Returns:
        The `Run`, its files written.

    Raises:
        ZooError: a name, value, file or device is not what it must be. See `zoo.errors`.
    """
    began = time.perf_counter()
    spec = _spec_of(model)
    chosen = spec.recipe(recipe) if isinstance(recipe, str) else recipe
    overrides = {**overrides, "seed": seed}
    if isinstance(dataset, str):
        overrides["dataset"] = dataset
    chosen = chosen.override(**overrides)
    placement = place(chosen, device=device, deterministic=deterministic)
    with run_folder(spec.name, chosen.seed, Path(output) if output is not None else None) as folder:
        data_began = time.perf_counter()
        if isinstance(dataset, Dataset):
            data = dataset
        else:
            data = load_dataset(chosen.dataset, data_dir=data_dir, announce=announce)
        chosen = chosen.override(dataset=data.name)
        parts = split(data, chosen, limit)
        data_s = time.perf_counter() - data_began
        session = Session(spec, chosen, placement, data, parts, network=model)
        session.fit(list(callbacks), show=not quiet)
        metrics = session.measure()
        session.timing |= {"data_s": data_s, "total_s": time.perf_counter() - began}
        if not np.isfinite(session.history[-1]["loss"]) and announce is not None:
            announce("The loss is not finite: training diverged. Try a lower --learning-rate.")
        document = {
            **_identity(spec, chosen, recipe, limit),
            **_circumstances(spec, placement, data),
            "metrics": metrics,
            "timing": session.timing,
            "params": session.model.count_params(),
            "history": session.history,
            "run": str(folder),
        }
        run = Run(folder=folder, document=plain(document), recipe=chosen, load=lambda: session.model)
        write_run(run, session.model)
    return run


def _identity(spec: ModelSpec, chosen: Recipe, recipe: str | Recipe, limit: int | None) -> dict[str, Any]:
    """What was trained, and how: enough to do it again."""
    return {
        "schema": SCHEMA,
        "model": spec.name,
        "builder": f"{spec.builder.__module__}:{spec.builder.__qualname__}",
        "task": spec.task,
        "dataset": chosen.dataset,
        "seed": chosen.seed,
        "recipe": recipe if isinstance(recipe, str) else "custom",
        "recipe_values": chosen,
        "limit": limit,
    }


def _circumstances(spec: ModelSpec, placement: Placement, data: Dataset) -> dict[str, Any]:
    """On what it ran, with which data."""
    return {
        **plain(placement),
        "class_names": data.class_names,
        "environment": {
            **environment(),
            "model_origin": str(spec.origin),
            "data_source": data.source,
            "data_digests": data.digests,
        },
    }


def train_seeds(
    model: str | ModelSpec, seeds: int, *, seed: int | None = None, output: str | Path | None = None, **arguments: Any
) -> dict[str, Any]:
    """Train `seeds` times with consecutive seeds and summarise.

    Args:
        seeds: how many runs, at least one.
        seed: the first of them.
        output: a folder that holds one run folder per seed, ``s<seed>``.
        arguments: as for `train`.

    Returns:
        ``runs``, a list of documents, and ``summary``: mean, standard deviation and n of each metric and of
        the training time.
    """
    if seeds < 1:
        raise RecipeError(f"seeds must be at least 1, received {seeds}. Pass for example 3.")
    if seed is None:
        recipe = arguments.get("recipe", "default")
        seed = (_spec_of(model).recipe(recipe) if isinstance(recipe, str) else recipe).seed
    documents = []
    for number in range(seed, seed + seeds):
        folder = Path(output) / f"s{number}" if output is not None else None
        documents.append(train(model, seed=number, output=folder, **arguments).to_dict())
    measured = {name: [run["metrics"][name] for run in documents] for name in documents[0]["metrics"]}
    measured["train_s"] = [run["timing"]["train_s"] for run in documents]
    return {"runs": documents, "summary": {name: summarize(values) for name, values in measured.items()}}


def _spec_of(model: str | ModelSpec | keras.Model) -> ModelSpec:
    """Return the spec of a name; a model of the user's own gets one with its name alone."""
    if isinstance(model, ModelSpec):
        return model
    if isinstance(model, str):
        return registry.get(model)
    if isinstance(model, keras.Model):
        return ModelSpec(name=model.name, builder=type(model), origin=Origin("yours"))
    raise RunError(f"train takes a model's name, a ModelSpec or a keras.Model, received {model!r}. Pass one of them.")
