"""What the tests share: a folder of their own to work in, small data, and the command as a user runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from zoo import registry
from zoo.cli import main
from zoo.utils.startup import load_tensorflow

collect_ignore = ["fixtures"]  # plugins there have tests of their own, for where they are installed


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Run a single file in this process: others would only have to start."""
    return 0 if len(config.args) == 1 and ".py" in config.args[0] else None


def pytest_sessionstart(session: pytest.Session) -> None:
    """Load TensorFlow as the command does, in each process that runs tests, not in the one that shares them out."""
    if session.config.getoption("dist") == "no":
        load_tensorflow()


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test works in an empty folder, so that runs/ is its own."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def zoo() -> Callable[..., Result]:
    """Run the command line in this process: ``zoo("train", "mlp")``; `.stdout` and `.stderr` are apart."""

    def run(*arguments: str | Path) -> Result:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
def python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Python in a process of its own: ``python("-c", "import zoo")``."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, **environment},
            check=False,
            timeout=300,
        )

    return run


@pytest.fixture
def ctrl_c_interrupts() -> Iterator[None]:
    """Ctrl-C does what it does at a prompt, in this process and those that it starts.

    What a shell starts in the background ignores it, as do its children, and as do parallel test workers.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def registry_undone() -> Iterator[None]:
    """Whatever the test registers is gone afterwards."""
    with registry.temporary():
        yield


@pytest.fixture(scope="session")
def tiny_digits() -> Any:
    """120 training and 60 test images of scikit-learn's digits: enough to train a step on."""
    from zoo import data

    digits = data.load("digits")
    return data.Dataset(
        name="digits",
        train=data.Split(digits.train.images[:120], digits.train.labels[:120]),
        test=data.Split(digits.test.images[:60], digits.test.labels[:60]),
        class_names=digits.class_names,
        source="the first images of digits",
        digests={},
    )


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of an mlp trained for a moment on digits."""
    from zoo.training.trainer import train

    folder = tmp_path_factory.mktemp("runs") / "mlp"
    return train("mlp", dataset="digits", epochs=4, output=folder, validation_split=0.1).folder
