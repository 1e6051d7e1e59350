"""The plan of a training run: its model, recipe and data, for a new run or one that is resumed."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from zoo import registry
from zoo.data import Dataset
from zoo.data import load as load_dataset
from zoo.data.appearance import Preprocessing
from zoo.errors import RecipeError, RunError
from zoo.runs.folder import load_run
from zoo.spec import ModelSpec, Origin, Recipe, RunDocument
from zoo.spec.recipe import full_names
from zoo.spec.run import SCHEMA
from zoo.tasks import task_for
from zoo.training.checkpoint import FILE, Checkpoint

OWN = Origin("yours")


@dataclass(frozen=True)
class Plan:
    """Everything that is needed to start a run.

    `network` is the user's own ``keras.Model``, or None to build the spec's. `recipe_name` is "custom" for a `Recipe`
    object. `keep_scaling`: scale images as the recipe says, even if the network scales them itself. `class_names` are
    those of the original run, if this one resumes it.
    """

    spec: ModelSpec
    recipe: Recipe
    recipe_name: str = "default"
    network: Any = None
    limit: int | None = None
    data_dir: str | None = None
    deterministic: bool = False
    tensorboard: bool = False
    keep_scaling: bool = False
    class_names: tuple[str, ...] = ()

    def load_data(self, dataset: Dataset | None, announce: Callable[[str], None] | None) -> Dataset:
        """Return the data to train on: `dataset` if given, else the recipe's."""
        data = dataset or load_dataset(self.recipe.data.dataset, data_dir=self.data_dir, announce=announce)
        return data.with_classes_of(self.class_names) if self.class_names else data

    def to_dict(self) -> RunDocument:
        """Return the fields of ``run.json`` and of a checkpoint that describe model, recipe and data."""
        return {
            "schema": SCHEMA,
            "model": self.spec.name,
            "builder": f"{self.spec.builder.__module__}:{self.spec.builder.__qualname__}",
            "task": self.spec.task,
            "dataset": self.recipe.data.dataset,
            "data_dir": self.data_dir,
            "seed": self.recipe.seed,
            "recipe": self.recipe_name,
            "recipe_values": self.recipe.to_dict(),
            "limit": self.limit,
            "tensorboard": self.tensorboard,
        }


def plan_run(
    model: str | ModelSpec | keras.Model,
    recipe: str | Recipe | None,
    overrides: Mapping[str, Any],
    *,
    data_dir: str | Path | None = None,
    **settings: Any,
) -> Plan:
    """Return the plan of a new run.

    Args:
        model: a registered name, a spec, or a network of the user's own.
        recipe: the name of one of the model's recipes, or a `Recipe`; ``default`` if not given.
        overrides: recipe settings to change.
        data_dir: a folder of files to read the dataset from.
        settings: further fields of the `Plan`.

    Raises:
        ZooError: a name is unknown or a value is invalid.
    """
    spec = spec_of_model(model)
    name = recipe if isinstance(recipe, str) else "default" if recipe is None else "custom"
    chosen = recipe if isinstance(recipe, Recipe) else spec.recipe(name)
    return Plan(
        spec=spec,
        recipe=chosen.override(**overrides),
        recipe_name=name,
        network=model if isinstance(model, keras.Model) else None,
        data_dir=str(Path(data_dir).resolve()) if data_dir is not None else None,
        keep_scaling=full_names(overrides).get("data.scaling") is not None
        or chosen.data.scaling != Recipe().data.scaling,
        **settings,
    )


def plan_again(checkpoint: Checkpoint, model: str | ModelSpec | keras.Model | None) -> Plan:
    """Return the plan of a run that is resumed.

    Args:
        checkpoint: the run's checkpoint.
        model: None for the run's model; a user's own network must be passed again.

    Raises:
        RunError: the run trains another model.
    """
    document = checkpoint.document
    name = document["model"]
    if model is None and document["environment"].get("model_origin") == str(OWN):
        raise RunError(f"The run trains {name}, a model of your own. Pass it: zoo.train(model, resume=...).")
    spec = spec_of_model(name if model is None else model)
    if spec.name != name:
        raise RunError(f"The run trains {name}, not {spec.name}. Leave the name out, or name its run.")
    return Plan(
        spec=spec,
        recipe=Recipe.from_dict(document["recipe_values"]),
        recipe_name=document["recipe"],
        network=model if isinstance(model, keras.Model) else None,
        limit=document["limit"],
        data_dir=document["data_dir"],
        deterministic=document["deterministic"],
        tensorboard=document["tensorboard"],
        keep_scaling=True,
        class_names=tuple(document["class_names"]),
    )


def refuse_finished(folder: Path, epochs: int | None = None) -> None:
    """Reject a finished run, and say how to train for more epochs instead.

    The learning rate schedule, weight averages and optimizer state end with a run. Training further is a new run with
    a record of its own.

    Args:
        folder: a run folder.
        epochs: number of epochs requested, if any.

    Raises:
        RunError: the run is finished.
    """
    if (folder / FILE).exists() or not (folder / "run.json").exists():
        return
    document = load_run(folder).document
    done = len(document.get("history", ()))
    asked = f"{epochs} epochs cannot be asked of it" if epochs else "it takes no more"
    data = {name: document.get(name) for name in ("dataset", "data_dir")}
    data = {name: value for name, value in data.items() if value not in (None, Recipe().data.dataset)}
    options = {**data, "epochs": epochs or 2 * done}
    ways = []
    if document.get("environment", {}).get("model_origin") != str(OWN):
        named = {} if document.get("recipe") in ("default", "custom", None) else {"recipe": document["recipe"]}
        pairs = [(f"--{name.replace('_', '-')}", str(value)) for name, value in {**named, **options}.items()]
        ways.append(f"train anew: {shlex.join(['zoo', 'train', document['model'], *itertools.chain(*pairs)])}")
    if task_for(document["task"]).takes_own_models:
        arguments = ", ".join(f"{name}={value!r}" for name, value in options.items())
        ways.append(
            "go on from its weights, with an optimizer and a schedule that begin anew, in Python: "
            f"zoo.train(zoo.load_run({str(folder)!r}).model, scaling='none', {arguments})"
        )
    raise RunError(
        f"{folder} is finished: there is nothing to continue. Its schedule ended with its {done} epochs, so {asked}. "
        f"Instead, {'; or '.join(ways)}"
    )


def refuse_changes(given: Mapping[str, Any]) -> None:
    """Raise `RecipeError` for options that cannot be changed when a run is resumed."""
    changed = [name for name, value in given.items() if value not in (None, False)]
    if changed:
        raise RecipeError(
            f"A run is continued as it was begun: {', '.join(changed)} cannot be given with resume. "
            "Leave it out, or train anew."
        )


def check_same_data(checkpoint: Checkpoint, data: Dataset) -> None:
    """Check that a resumed run gets the data that it was started with.

    Raises:
        RunError: naming the array that differs.
    """
    then = checkpoint.document["environment"].get("data_digests", {})
    for array, digest in data.digests.items():
        if array in then and then[array] != digest:
            raise RunError(
                f"The run was begun with other data: {data.name}'s {array.replace('_', ' ')} have changed "
                f"(SHA-256 {digest}, then {then[array]}). Bring the same files back, or train anew."
            )


def cautions(plan: Plan, preprocessing: Preprocessing) -> list[str]:
    """Return warnings to show before training starts."""
    if plan.recipe.augmentation.flip == "none" or preprocessing.kind != "digit":
        return []
    return [
        f"flip={plan.recipe.augmentation.flip} mirrors digits: a mirrored 2 is not a 2, and a 6 upside down is a 9. "
        "Expect a worse model."
    ]


def spec_of_model(model: str | ModelSpec | keras.Model) -> ModelSpec:
    """Return the spec of a model name; for a user's own model, one that holds only its name."""
    if isinstance(model, ModelSpec):
        return model
    if isinstance(model, str):
        return registry.get(model)
    if isinstance(model, keras.Model):
        return ModelSpec(name=model.name, builder=type(model), origin=OWN)
    raise RunError(f"train takes a model's name, a ModelSpec or a keras.Model, received {model!r}. Pass one of them.")
