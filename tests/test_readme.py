"""What the README and CONTRIBUTING print works as printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from zoo import data, registry

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def _blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def _mnist() -> None:
    """MNIST in the cache, or a reason to skip: README's first block has put it there."""
    if not data.where("mnist")[0].available:
        pytest.skip("MNIST is not in the cache: run 'zoo data prepare mnist' first")


def _run(*command: str) -> str:
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": _path()}, timeout=600
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def _path() -> str:
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def test_the_first_two_blocks_are_the_set_up():
    """What .ci/run types: install and train, then install what tests need and run them."""
    install, tests = _blocks("bash")[:2]
    assert install.split("\n")[1] == "zoo train lenet5"
    assert tests.split("\n")[1] == "python -m pytest"


@pytest.mark.usefixtures("_mnist")
@pytest.mark.parametrize("block", [block for block in _blocks("bash")[2:] if "pip install" not in block])
def test_commands_run_as_printed(block):
    """Every further block of commands exits 0, typed one after the other in one folder."""
    _run("bash", "-euo", "pipefail", "-c", block)


@pytest.mark.usefixtures("_mnist")
@pytest.mark.parametrize("block", _blocks("python"))
def test_python_runs_as_printed(block):
    """The Python examples run."""
    _run(sys.executable, "-c", block)


@pytest.mark.usefixtures("registry_undone")
def test_the_example_of_contributing_is_a_correct_model():
    """The one-file model builds, and its declared facts are the measured ones."""
    from zoo.anatomy import dissect

    for block in _blocks("python", CONTRIBUTING):
        exec(block, {"__name__": "zoo_contributing_example"})
    spec, measured = registry.get("linear"), dissect(registry.create("linear"))
    assert (measured.params, measured.macs) == (spec.params, spec.macs)


def test_the_plugin_section_is_the_example_package():
    """The README shows the package that is installed and trained by the tests, to the letter."""
    example = ROOT / "examples" / "zoo-network-in-network"
    assert (example / "zoo_network_in_network.py").read_text() in _blocks("python")
    assert _blocks("toml")[0] in (example / "pyproject.toml").read_text()


def test_completion_is_as_described():
    """The variable that the README names makes click print a script."""
    assert "_zoo_completion" in _run("bash", "-c", "_ZOO_COMPLETE=bash_source zoo")


def test_every_built_in_is_in_the_table():
    """A model that the README does not show is a model that nobody finds."""
    shown = README.replace("`", "")
    missing = [name for name in registry.built_ins() if f"| {name} |" not in shown]
    assert not missing


def test_the_measured_tables_are_those_of_the_records():
    """What README says of speed comes from the committed records; python benchmarks/tables.py brings it up to date."""
    checked = subprocess.run([sys.executable, str(ROOT / "benchmarks" / "tables.py"), "--check"], check=False)
    assert checked.returncode == 0
