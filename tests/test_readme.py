"""What the README, the documentation and CONTRIBUTING print works as printed.

A page's ``bash`` and ``python`` blocks are executed, one after the other in one folder. Blocks in ``sh`` and ``py`` are
not: they take minutes, need a network, or hold a name that stands for something else. Of zoo's commands in them, the
command and its options must exist.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import click
import pytest

import zoo
from zoo import data, registry
from zoo.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
PAGES = {"README.md": README} | {
    page.relative_to(ROOT).as_posix(): page.read_text() for page in sorted((ROOT / "docs").rglob("*.md"))
}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _blocks(language: str, text: str = README) -> list[str]:
    return [block for kind, block in BLOCK.findall(text) if kind == language]


def _examples(page: str) -> list[tuple[str, str]]:
    """Return a page's executable blocks: (language, text); those that install packages are .ci/run's and the user's."""
    found = [(kind, block) for kind, block in BLOCK.findall(PAGES[page]) if kind in ("bash", "python")]
    if page == "README.md":
        found = found[2:]  # .ci/run executes these
    return [(kind, block) for kind, block in found if "pip install" not in block]


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
@pytest.mark.parametrize("page", [page for page in PAGES if _examples(page)])
def test_examples_run_as_printed(page):
    """Every further block exits 0, typed one after the other in one folder."""
    for kind, block in _examples(page):
        _run("bash", "-euo", "pipefail", "-c", block) if kind == "bash" else _run(sys.executable, "-c", block)


def test_the_readme_and_each_guide_have_examples_that_run():
    """So that none is emptied unseen: how many blocks of each page are executed."""
    counts = {page: len(_examples(page)) for page in PAGES if _examples(page)}
    assert counts == {
        "README.md": 1,
        "docs/how-to/benchmark.md": 1,
        "docs/how-to/compare-runs.md": 4,
        "docs/how-to/keras.md": 4,
        "docs/how-to/own-data.md": 3,
        "docs/how-to/plugin.md": 3,
        "docs/how-to/recipe.md": 3,
        "docs/how-to/reproduce.md": 1,
        "docs/tutorial.md": 6,
    }


def _commands_not_run() -> list[str]:
    texts = [*PAGES.values(), CONTRIBUTING]
    blocks = [block.replace("\\\n", " ") for text in texts for block in _blocks("sh", text)]
    lines = (line for block in blocks for line in block.splitlines())
    return sorted({line for line in lines if line.startswith("zoo ")})


@pytest.mark.parametrize("line", _commands_not_run())
def test_commands_that_are_not_run_exist(line):
    """The command, and each option that it is given."""
    command, context = main, click.Context(main)
    words = shlex.split(line, comments=True)[1:]
    while isinstance(command, click.Group) and words and (inner := command.get_command(context, words[0])):
        command, context, words = inner, click.Context(inner, parent=context), words[1:]
    assert command is not main, line
    known = {option for each in command.get_params(context) for option in (*each.opts, *each.secondary_opts)}
    unknown = [word for word in words if word.startswith("-") and word.partition("=")[0] not in known]
    assert not unknown


@pytest.mark.usefixtures("registry_undone")
def test_the_example_of_contributing_is_a_correct_model():
    """The one-file model builds, and its declared facts are the measured ones."""
    from zoo.inspection.anatomy import dissect

    for block in _blocks("python", CONTRIBUTING):
        exec(block, {"__name__": "zoo_contributing_example"})
    spec, measured = registry.get("linear"), dissect(registry.create("linear"))
    assert (measured.params, measured.macs) == (spec.params, spec.macs)


def test_the_plugin_section_is_the_example_package():
    """The guide shows the package that is installed and trained by the tests, to the letter."""
    example, page = ROOT / "examples" / "zoo-network-in-network", PAGES["docs/how-to/plugin.md"]
    assert (example / "zoo_network_in_network.py").read_text() in _blocks("python", page)
    assert _blocks("toml", page)[0] in (example / "pyproject.toml").read_text()


def _tables() -> ModuleType:
    """benchmarks/tables.py as a module."""
    spec = importlib.util.spec_from_file_location("zoo_benchmark_tables", ROOT / "benchmarks" / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_completion_is_as_described():
    """The variable that the page of the command line names makes click print a script."""
    assert "_ZOO_COMPLETE=bash_source zoo" in PAGES["docs/reference/command-line.md"]
    assert "_zoo_completion" in _run("bash", "-c", "_ZOO_COMPLETE=bash_source zoo")


def test_every_built_in_is_in_the_table():
    """A model that the page of models does not show is a model that nobody finds."""
    shown = PAGES["docs/reference/models.md"].replace("`", "")
    missing = [name for name in registry.built_ins() if f"| {name} |" not in shown]
    assert not missing


def test_the_measured_tables_are_those_of_the_records():
    """All measured tables come from the committed records; python benchmarks/tables.py brings them up to date."""
    checked = subprocess.run([sys.executable, str(ROOT / "benchmarks" / "tables.py"), "--check"], check=False)
    assert checked.returncode == 0


@pytest.mark.parametrize(
    ("page", "table"),
    [
        ("README.md", "speed"),
        ("README.md", "headline"),
        ("docs/reference/models.md", "series"),
        ("docs/reference/models.md", "scenes"),
        ("docs/reference/models.md", "photographs"),
        ("docs/reference/speed.md", "peers"),
        ("docs/reference/speed.md", "speed"),
    ],
)
def test_a_changed_table_is_noticed(page, table, monkeypatch):
    """Wherever it lives: one digit changed between its markers, and the check fails."""
    tables = _tables()
    start, stop = re.search(rf"<!-- table: {table} -->\n.*?<!-- end -->", PAGES[page], re.DOTALL).span()
    inside = PAGES[page][start:stop]
    digit = re.search(r"\d", inside)[0]
    changed = PAGES[page][:start] + inside.replace(digit, str((int(digit) + 1) % 10), 1) + PAGES[page][stop:]
    monkeypatch.setattr(tables, "_held", lambda path: changed if path == ROOT / page else path.read_text())
    assert tables.stale().keys() == {ROOT / page}


def test_a_table_without_a_place_is_an_error():
    """A page that has lost its markers is held against nothing, and says so."""
    with pytest.raises(SystemExit, match="The table 'series' has 0 places in its page"):
        _tables().with_tables("No table here.", {"series": ["| a |"]})


def test_links_lead_to_files():
    """Of the README, which MkDocs does not read."""
    targets = re.findall(r"\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"", README)
    paths = {markdown or picture for markdown, picture in targets}
    assert len(paths) > 20
    for path in paths:
        assert (ROOT / path).is_file(), path


def test_the_first_screen_of_the_readme_has_a_picture():
    """Before the first block of commands."""
    assert "](docs/pictures/" in README.partition("```bash")[0]


def test_pictures_are_small_and_used():
    """Each is shown by a page, and a page stays quick to load."""
    shown = "\n".join(PAGES.values())
    for picture in sorted((ROOT / "docs" / "pictures").iterdir()):
        assert picture.stat().st_size < 150_000, picture.name
        assert f"pictures/{picture.name}" in shown, picture.name
        assert picture.name in CONTRIBUTING, f"CONTRIBUTING does not say how {picture.name} is made"


def test_the_citation_is_of_this_version():
    """CITATION.cff names the version and the licence that the package has."""
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {zoo.__version__}\n" in citation
    assert "\nlicense: Apache-2.0\n" in citation
