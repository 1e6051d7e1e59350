"""The example in ``examples/``: installed from its own pyproject, listed, shown and trained like any other model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "zoo-network-in-network"


@pytest.fixture(scope="module")
def with_example(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Run Python where the example is installed, in a folder of its own on the path, and return its output."""
    pytest.importorskip("hatchling", reason="builds the example; it comes with zoo's test extra")
    installed = tmp_path_factory.mktemp("installed")
    environment = {**os.environ, "PYTHONPATH": str(installed), "ZOO_PLUGINS": ""}

    def run(*arguments: str | Path, timeout: float = 300) -> str:
        result = subprocess.run(
            [sys.executable, *map(str, arguments)],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
            timeout=timeout,
        )
        assert result.returncode == 0, result.stderr + result.stdout
        return result.stdout

    run("-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", installed,
        EXAMPLE)  # fmt: skip
    return run


def test_is_listed_with_its_distribution(with_example):
    """By name alone: of a plugin's model that nobody has asked for, zoo knows who provides it."""
    (row,) = json.loads(with_example("-m", "zoo", "list", "nin", "--json"))
    assert row["name"] == "nin"
    assert "zoo-network-in-network 0.1.0" in row["provider"]


def test_show_has_the_paper_and_every_layer(with_example):
    """Its facts are the counted ones, and its origin is its own."""
    document = json.loads(with_example("-m", "zoo", "show", "nin", "--json"))
    assert document["paper"]["title"] == "Network In Network"
    assert document["origin"]["distribution"] == "zoo-network-in-network"
    assert (document["params"], document["macs"]) == (
        document["anatomy"]["params"],
        document["anatomy"]["macs"],
    )
    assert [layer["kind"] for layer in document["anatomy"]["layers"]][-2:] == ["Conv2D", "GlobalAveragePooling2D"]


def test_trains_as_a_built_in_does(with_example):
    """A short run through plain ``zoo train``, recorded with where the model came from."""
    document = json.loads(
        with_example("-m", "zoo", "train", "nin", "--dataset", "digits", "--limit", "1000", "--epochs", "1", "--json")
    )
    assert document["model"] == "nin"
    assert document["environment"]["model_origin"] == "zoo-network-in-network 0.1.0"
    assert document["params"] == 49_602
    assert 0 <= document["metrics"]["test_accuracy"] <= 1


def test_files_shown_in_readmes_stay_short():
    """They are read whole, as the first plugin that somebody sees."""
    assert len((EXAMPLE / "zoo_network_in_network.py").read_text().splitlines()) <= 70
    assert len((EXAMPLE / "pyproject.toml").read_text().splitlines()) <= 25


def test_passes_its_own_tests(with_example):
    """The conformance kit, run as the example's author runs it; pytest's cache stays out of the checkout."""
    assert " passed" in with_example("-m", "pytest", EXAMPLE, "-p", "no:cacheprovider")


@pytest.mark.slow
def test_reaches_99_percent_on_mnist(with_example):
    """Its own recipe, all of MNIST."""
    document = json.loads(with_example("-m", "zoo", "train", "nin", "--quiet", "--json", timeout=1800))
    assert document["dataset"] == "mnist"
    assert document["metrics"]["test_accuracy"] >= 0.99
