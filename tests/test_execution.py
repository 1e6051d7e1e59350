"""Jobs: carried out here or in processes of their own, with the same results; what goes wrong is an outcome."""

from __future__ import annotations

import pkgutil

import pytest

from zoo.errors import RunError, UnknownNameError
from zoo.execution import JOBS, InProcess, Job, Subprocesses
from zoo.spec import Recipe
from zoo.training import trainer
from zoo.training.trainer import train_seeds

HOW = {"recipe": Recipe(dataset="digits", epochs=1, shares=1), "limit": 200, "deterministic": True}


def test_every_job_is_a_function():
    """A name that leads nowhere would be found out only in another process."""
    assert all(callable(pkgutil.resolve_name(place)) for place in JOBS.values())


def test_here_jobs_wait_until_they_are_asked_for(monkeypatch):
    """In order, one at a time, so that whoever asks may stop; an error is an outcome, and can be raised."""
    done = []

    def job(**arguments):
        done.append(arguments["seed"])
        if arguments["seed"] == 1:
            raise UnknownNameError("There is no seed 1.")
        return arguments["seed"] * 10

    monkeypatch.setattr(trainer, "train_job", job)
    outcomes = InProcess().map(Job("train", {"seed": seed}) for seed in range(3))
    first = next(outcomes)
    assert (first.value(), done) == (0, [0])
    second = next(outcomes)
    assert (second.status, second.reason, done) == ("failed", "There is no seed 1.", [0, 1])
    with pytest.raises(UnknownNameError, match="There is no seed 1."):
        second.value()
    assert next(outcomes).value() == 20


def test_here_ctrl_c_passes_through(monkeypatch):
    """It is no failure of the job."""

    def interrupted(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "train_job", interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(InProcess().map([Job("train", {})]))


def test_seeds_are_the_same_wherever_they_are_trained(tmp_path):
    """In processes of their own: the same numbers, in order, and the run folders where they were to be."""
    here = train_seeds("mlp", 2, seed=5, output=tmp_path / "here", **HOW)
    there = train_seeds("mlp", 2, seed=5, output=tmp_path / "there", executor=Subprocesses(120), **HOW)
    assert [run["seed"] for run in there["runs"]] == [5, 6]
    for one, other in zip(here["runs"], there["runs"], strict=True):
        assert other["metrics"] == pytest.approx(one["metrics"], rel=1e-3)
        assert (other["recipe"], other["recipe_values"]) == (one["recipe"], one["recipe_values"])
    assert (tmp_path / "there" / "s6" / "model.keras").is_file()


def test_an_error_elsewhere_comes_back_in_words(tmp_path):
    """Those of zoo's own errors, without their kind."""
    (outcome,) = Subprocesses(120).map([Job("train", {"model": "lenet6", "output": tmp_path / "run"})])
    assert outcome.status == "failed"
    assert "There is no model 'lenet6'. Did you mean 'lenet5'?" in outcome.reason
    with pytest.raises(RunError, match="There is no model 'lenet6'"):
        outcome.value()


def test_what_is_no_plain_data_stays_here(tiny_digits):
    """A dataset, a callback: refused before a process starts."""
    for name, value in (("dataset", tiny_digits), ("callbacks", [object()]), ("announce", print)):
        with pytest.raises(RunError, match="cannot be sent to another process. Pass names, numbers and recipes"):
            train_seeds("mlp", 1, seed=0, executor=Subprocesses(120), **{name: value})
