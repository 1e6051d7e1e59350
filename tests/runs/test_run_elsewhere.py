"""A run as a value: copied, pickled, and handed from one process to another."""

from __future__ import annotations

import copy
import json
import pickle

import keras
import numpy as np
import pytest

from zoo.runs.folder import load_run
from zoo.spec import Run
from zoo.training.trainer import train

WAYS = {
    "pickle": lambda run: pickle.loads(pickle.dumps(run)),
    "oldest pickle": lambda run: pickle.loads(pickle.dumps(run, protocol=2)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


def _own() -> keras.Model:
    layers = [keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
    return keras.Sequential(layers, name="mine")


@pytest.fixture(scope="module", params=["registered", "own", "read"])
def run(request, tiny_digits, tmp_path_factory) -> Run:
    """Fresh from training, of zoo's model and of one's own, and read from its folder."""
    folder = tmp_path_factory.mktemp("runs") / request.param
    finished = train(_own() if request.param == "own" else "mlp", dataset=tiny_digits, epochs=1, output=folder)
    return load_run(folder) if request.param == "read" else finished


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_is_the_same_run(run, way, tiny_digits):
    """Its folder, its record, its recipe; its model is read from the folder and predicts the same."""
    images = tiny_digits.test.images.astype("float32")
    expected = run.model.predict(images, verbose=0)
    other = WAYS[way](run)
    assert other == run
    assert other.metrics == run.metrics
    assert other.recipe == run.recipe
    assert other.model is not run.model
    np.testing.assert_array_equal(other.model.predict(images, verbose=0), expected)


def test_what_is_sent_holds_no_weights(run):
    """Some kilobytes, whatever the size of the model, which is on the disk already."""
    weights = sum(array.nbytes for array in run.model.get_weights())
    assert len(pickle.dumps(run)) < 20_000 < weights


POOL = """
import json, multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor

import zoo

def job(seed):
    return zoo.train("mlp", dataset="digits", limit=100, epochs=1, seed=seed)

if __name__ == "__main__":
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        runs = list(pool.map(job, [1, 2]))
    print(json.dumps([[run.document["seed"], run.model.count_params()] for run in runs]))
"""


@pytest.mark.slow
def test_runs_come_back_from_a_process_pool(python, tmp_path):
    """Trained there, asked here."""
    (tmp_path / "pool.py").write_text(POOL)
    done = python("pool.py")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [[1, 101_770], [2, 101_770]]
