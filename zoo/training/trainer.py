"""Training runs: `train` turns a model and a recipe into a trained model in a run folder."""

from __future__ import annotations

import shlex
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from zoo.data import Dataset
from zoo.data.progress import say_nothing
from zoo.errors import RecipeError, RunError
from zoo.execution import Executor, InProcess, Job
from zoo.report.shared.statistics import summarize
from zoo.runs.folder import find_run, model_loader, run_folder, save_model, write_run
from zoo.spec import ModelSpec, Recipe, Run, RunDocument
from zoo.spec.recipe import plain
from zoo.tasks import task_of
from zoo.training.callbacks import check_callbacks, recipe_callbacks, selected_epoch, without_saved_state
from zoo.training.checkpoint import Checkpoint
from zoo.training.checkpoint import read as read_checkpoint
from zoo.training.checkpoint import remove as remove_checkpoint
from zoo.training.devices import Placement, place
from zoo.training.interruption import TrainingInterrupted
from zoo.training.plan import Plan, cautions, check_same_data, plan_again, plan_run, refuse_changes, refuse_finished
from zoo.training.session import Session, Splits
from zoo.utils.environment import environment


def train(
    model: str | ModelSpec | keras.Model | None = None,
    *,
    dataset: str | Dataset | None = None,
    data_dir: str | Path | None = None,
    recipe: str | Recipe | None = None,
    seed: int | None = None,
    limit: int | None = None,
    device: str = "auto",
    deterministic: bool = False,
    callbacks: Iterable[keras.callbacks.Callback] = (),
    tensorboard: bool = False,
    output: str | Path | None = None,
    resume: str | Path | None = None,
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
        recipe: the name of one of the model's recipes, or a `Recipe`; ``default`` if not given.
        seed: for weights, shuffling, augmentation and dropout; the recipe's own if not given.
        limit: train on the first so many images of a seeded shuffle; the test set stays whole.
        device: auto, cpu, gpu or gpu:N.
        deterministic: the same seed gives the same bits.
        callbacks: ordinary Keras callbacks. Batch hooks run once per compiled call of many steps, a few times a second.
            Those with ``get_state()`` and ``set_state(state)`` go on where they were when a run is continued.
        tensorboard: write event files into the run folder's ``tensorboard``.
        output: the run folder; ``runs/<model>-<time>-s<seed>`` if not given.
        resume: a run folder, or its name inside ``runs/``, whose training was stopped: continue it as it was begun.
            Pass nothing else but `device`, and again what was passed as an object (model, dataset, callbacks).
        quiet: show no progress.
        announce: receives status lines, such as where data is fetched from.
        overrides: fields of the recipe, as in ``epochs=3``; see `Recipe`.

    Returns:
        The `Run`, its files written.

    Raises:
        ZooError: a name, value, file or device is invalid. See `zoo.errors`.
        TrainingInterrupted: on Ctrl-C (a KeyboardInterrupt); the state is saved, and `resume` continues from it.
    """
    began = time.perf_counter()
    loaded = dataset if isinstance(dataset, Dataset) else None
    overrides = {**overrides, "seed": seed, "dataset": None if loaded else dataset}
    checkpoint, left = None, None
    if resume is not None:
        flags = {"deterministic": deterministic, "tensorboard": tensorboard}
        left = find_run(resume)
        refuse_finished(left, overrides.get("epochs"))
        refuse_changes({**overrides, **flags, "data_dir": data_dir, "recipe": recipe, "limit": limit, "output": output})
        checkpoint = read_checkpoint(left)
        plan = plan_again(checkpoint, model)
    elif model is None:
        raise RunError("train takes a model, or a run to resume; received neither. Pass for example 'lenet5'.")
    else:
        settings = {"limit": limit, "deterministic": deterministic, "tensorboard": tensorboard}
        plan = plan_run(model, recipe, overrides, data_dir=data_dir, **settings)
    placement = place(plan.recipe, device=device, deterministic=plan.deterministic, training=plan.spec)
    where = Path(output) if output is not None else left
    with run_folder(plan.spec.name, plan.recipe.seed, where, again=resume is not None) as folder:
        execution = _Execution(plan, placement, folder, list(callbacks), began, checkpoint, announce)
        return execution.run(loaded, show=not quiet)


class _Execution:
    """Executes a plan, from the start or from a checkpoint, and writes the run folder."""

    def __init__(
        self,
        plan: Plan,
        placement: Placement,
        folder: Path,
        callbacks: list[keras.callbacks.Callback],
        began: float,
        checkpoint: Checkpoint | None,
        announce: Callable[[str], None] | None,
    ) -> None:
        self.plan, self.placement, self.folder, self.began = plan, placement, folder, began
        self.checkpoint, self.announce = checkpoint, announce or say_nothing
        tensorboard = folder / "tensorboard" if plan.tensorboard else None
        own = recipe_callbacks(plan.recipe, save=self._save_best, tensorboard=tensorboard)
        check_callbacks(callbacks, plan.recipe)
        self.callbacks = [*own, *callbacks]

    def run(self, loaded: Dataset | None, *, show: bool) -> Run:
        """Train, evaluate, and write the run."""
        data_began = time.perf_counter()
        data = self.plan.load_data(loaded, self.announce)
        recipe = self.plan.recipe.override(dataset=data.name)
        plan = self.plan
        data_s = time.perf_counter() - data_began
        session = self._session = Session(
            plan.spec,
            recipe,
            self.placement,
            data,
            limit=plan.limit,
            network=plan.network,
            keep_scaling=plan.keep_scaling,
        )
        data_s += session.timing.pop("data_s")
        preprocessing = task_of(plan.spec).preprocessing(session.splits.train.images, data.name)
        for caution in (*cautions(plan, preprocessing), *session.cautions):
            (warnings.warn if self.announce is say_nothing else self.announce)(caution)
        self.document: RunDocument = {
            **plan.to_dict(),
            "dataset": data.name,
            "recipe_values": session.recipe.to_dict(),
            "preprocessing": preprocessing.to_dict(),
            **_circumstances(plan.spec, self.placement, data, session.splits),
        }
        if self.checkpoint is not None:
            self._restore(session, data)
        session.timing["data_s"] = session.timing.get("data_s", 0.0) + data_s
        self._earlier_s = session.timing.get("total_s", 0.0)
        states = self.checkpoint.states if self.checkpoint else ()
        try:
            session.fit(self.callbacks, show=show, keep=self._write_checkpoint, states=states)
            return self._finish(session)
        except TrainingInterrupted:
            raise TrainingInterrupted(f"{_how_far(session)} {self._continue()}") from None
        except KeyboardInterrupt:  # a second Ctrl-C, or one while results are written: the last checkpoint is there
            raise TrainingInterrupted(f"Interrupted. {self._continue()}") from None

    def _restore(self, session: Session, data: Dataset) -> None:
        """Restore the checkpoint, and announce what has changed since it was written."""
        assert self.checkpoint is not None
        check_same_data(self.checkpoint, data)
        session.restore(self.checkpoint)
        then, now = self.checkpoint.document, self.document
        self.document["continued_at"] = [*then.get("continued_at", []), session.epoch]
        for name in ("tensorflow", "keras", "numpy", "cpu"):
            if then["environment"].get(name) != now["environment"][name]:
                was, is_now = then["environment"].get(name), now["environment"][name]
                self.announce(f"The run was begun with {name} {was}, and is continued with {is_now}: bits may differ.")
        for name in without_saved_state(self.callbacks):
            self.announce(f"{name} begins anew: it has no get_state() and set_state(state) to continue by.")

    def _write_checkpoint(self, session: Session) -> None:
        session.timing["total_s"] = self._earlier_s + time.perf_counter() - self.began
        session.checkpoint(self.document, self.callbacks).write(self.folder)

    def _save_best(self, _model: keras.Model) -> None:
        save_model(self._session.finished(), self.folder / "best.keras")

    def _continue(self) -> str:
        return f"Continue: zoo train --resume {shlex.quote(str(self.folder))}"

    def _finish(self, session: Session) -> Run:
        """Evaluate the trained model, write the run, and remove the checkpoint."""
        metrics = session.measure()
        session.timing["total_s"] = self._earlier_s + time.perf_counter() - self.began
        if not np.isfinite(session.history[-1]["loss"]):
            self.announce("The loss is not finite: training diverged. Try a lower --learning-rate.")
        self.document |= {
            "metrics": metrics,
            "timing": session.timing,
            "params": session.model.count_params(),
            "selected_epoch": selected_epoch(self.callbacks),
            "history": session.history,
            "run": str(self.folder),
        }
        load = model_loader(self.folder, self.document)
        run = Run(folder=self.folder, document=plain(self.document), recipe=session.recipe, load=load)
        vars(run)["model"] = session.finished()  # so that it is not read back from disk
        write_run(run)
        remove_checkpoint(self.folder)
        return run


def _how_far(session: Session) -> str:
    done = f"{session.epoch} of {session.recipe.schedule.epochs} epochs"
    if session.totals.steps:
        done += f" and {session.totals.steps} of {session.loop.steps} steps"
    return f"Stopped after {done}."


def _circumstances(spec: ModelSpec, placement: Placement, data: Dataset, splits: Splits) -> RunDocument:
    """Return the fields of ``run.json`` about device, data and environment."""
    return {
        **plain(placement),
        "class_names": data.class_names,
        "images": {name: 0 if images is None else len(images) for name, images in vars(splits).items()},
        "environment": {
            **environment(),
            "model_origin": str(spec.origin),
            "data_source": data.source,
            "data_digests": dict(data.digests),
        },
    }


def train_job(*, recipe: str | Recipe | Mapping[str, Any] | None = None, **arguments: Any) -> dict[str, Any]:
    """The job "train": like `train`, with a recipe that may be a dictionary. Returns the run's document."""
    recipe = Recipe.from_dict(recipe) if isinstance(recipe, Mapping) else recipe
    return train(recipe=recipe, **arguments).to_dict()


def train_seeds(
    model: str | ModelSpec,
    seeds: int,
    *,
    seed: int | None = None,
    output: str | Path | None = None,
    executor: Executor | None = None,
    **arguments: Any,
) -> dict[str, Any]:
    """Train `seeds` times with consecutive seeds and summarise the results.

    Args:
        seeds: number of runs, at least one.
        seed: the first seed.
        output: a folder that holds one run folder per seed, ``s<seed>``.
        executor: runs the trainings; by default one after the other in this process. Any other takes only arguments
            that can be serialised, and no `announce`.
        arguments: as for `train`.

    Returns:
        ``runs``, a list of documents, and ``summary``: mean, standard deviation and n of each metric and of
        the training time.
    """
    if seeds < 1:
        raise RecipeError(f"seeds must be at least 1, received {seeds}. Pass for example 3.")
    if seed is None:
        seed = plan_run(model, arguments.get("recipe"), {}).recipe.seed
    jobs = []
    for number in range(seed, seed + seeds):
        folder = Path(output) / f"s{number}" if output is not None else None
        jobs.append(Job("train", {"model": model, "seed": number, "output": folder, **arguments}))
    documents = [outcome.value() for outcome in (executor or InProcess()).map(jobs)]
    measured = {name: [run["metrics"][name] for run in documents] for name in documents[0]["metrics"]}
    measured["train_s"] = [run["timing"]["train_s"] for run in documents]
    return {"runs": documents, "summary": {name: summarize(values) for name, values in measured.items()}}
