"""``zoo new-plugin``: which names it takes, what it writes, and that what it writes works as it is."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

import zoo as package
from zoo.commands import scaffold
from zoo.commands.scaffold import new_plugin, next_steps
from zoo.errors import PluginError

WRITTEN = {
    ".github/workflows/ci.yml",
    ".gitignore",
    "README.md",
    "my_net/__init__.py",
    "my_net/model.py",
    "pyproject.toml",
    "tests/test_my_net.py",
}


def _files(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_writes_a_whole_package(tmp_path):
    """Every file that the template has, and nothing beside the folder."""
    folder = new_plugin("my-net", tmp_path)
    assert folder == tmp_path / "my-net"
    assert set(_files(folder)) == WRITTEN
    assert [path.name for path in tmp_path.iterdir()] == ["my-net"]


def test_every_file_of_the_template_is_written():
    """A file added to the template and forgotten in the list would never reach anybody."""
    template = Path(scaffold.__file__).parent / scaffold.TEMPLATE
    found = {
        path.relative_to(template).as_posix()
        for path in template.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert found == set(scaffold.TEMPLATE_FILES)


def test_default_folder_is_the_current_one(tmp_path):
    """``zoo new-plugin my-net`` writes ./my-net."""
    assert new_plugin("my-net") == Path("my-net")
    assert (tmp_path / "my-net" / "pyproject.toml").is_file()


def test_pyproject_says_what_zoo_needs(tmp_path):
    """The entry point, a zoo that is new enough (this one is), and the tests' needs."""
    project = tomllib.loads((new_plugin("wide-net", tmp_path) / "pyproject.toml").read_text())
    assert project["project"]["name"] == "wide-net"
    assert project["project"]["entry-points"]["zoo.models"] == {"wide_net": "wide_net:wide_net"}
    assert project["project"]["dependencies"] == [f"cnn-zoo>={package.__version__}"]
    assert project["project"]["optional-dependencies"]["test"] == ["pytest>=8"]
    assert "license" not in project["project"]  # the author's to choose
    assert any(marker.startswith("slow:") for marker in project["tool"]["pytest"]["ini_options"]["markers"])


def test_version_requirement_is_one_that_pip_reads(tmp_path, monkeypatch):
    """A development version may carry a local part, which ``>=`` does not take."""
    monkeypatch.setattr(scaffold, "__version__", "0.3.0.dev1+g1234abc")
    assert '"cnn-zoo>=0.3.0.dev1"' in _files(new_plugin("my-net", tmp_path))["pyproject.toml"]


def test_another_name_is_written_everywhere(tmp_path):
    """Nothing of the template's own name stays, in no spelling, in no file name."""
    written = _files(new_plugin("deep_wide-net2", tmp_path))
    assert {"deep_wide_net2/model.py", "tests/test_deep_wide_net2.py"} < set(written)
    everything = "\n".join([*written, *written.values()])
    assert not any(old in everything for old in ("my_net", "my-net", "MyNet"))
    assert "class TestDeepWideNet2(ModelConformance)" in everything
    assert "def deep_wide_net2(" in written["deep_wide_net2/model.py"]


def test_a_name_that_contains_the_templates_is_replaced_once(tmp_path):
    """my_net to my_net_two, not to my_net_two_two."""
    written = _files(new_plugin("my-net-two", tmp_path))
    assert 'my_net_two = "my_net_two:my_net_two"' in written["pyproject.toml"]


def test_texts_name_no_machine(tmp_path):
    """The package is published as it stands: no path of the machine that wrote it."""
    everything = "\n".join(_files(new_plugin("my-net", tmp_path)).values())
    places = [tmp_path, Path.home(), Path(package.__file__).parent, sys.prefix]
    assert not any(str(place) in everything for place in places if len(str(place)) > 1)


def test_author_is_told_to_choose_a_licence_and_how_ci_finds_zoo(tmp_path):
    """What only the author can decide is said where they will look."""
    written = _files(new_plugin("my-net", tmp_path))
    assert "licence" in written["README.md"]
    assert "CNN_ZOO" in written[".github/workflows/ci.yml"]
    assert "-m slow" in written[".github/workflows/ci.yml"]


def test_next_steps_are_commands_in_order(tmp_path):
    """Install, look, train, test; the path as pip and the shell take it."""
    assert next_steps(Path("my-net")) == [
        "pip install --editable './my-net[test]'",
        "zoo show my_net",
        "zoo train my_net",
        "pytest my-net",
    ]
    assert next_steps(tmp_path / "a b" / "my-net")[0] == f"pip install --editable '{tmp_path}/a b/my-net[test]'"


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_never_overwrites(kind, tmp_path):
    """Whatever has the name already is named, and left as it was."""
    target = tmp_path / "my-net"
    if kind == "folder":
        target.mkdir()
        (target / "mine.txt").write_text("mine")
    elif kind == "file":
        target.write_text("mine")
    else:
        target.symlink_to("nowhere")
    with pytest.raises(PluginError, match="my-net exists already, and nothing is ever overwritten. Choose another"):
        new_plugin("my-net", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["my-net"]
    assert kind != "folder" or _files(target) == {"mine.txt": "mine"}


@pytest.mark.parametrize(
    ("name", "candidate"),
    [
        ("My Net", "my-net"),
        ("MyNet", "my-net"),
        ("3d-net", "my-3d-net"),
        ("-net", "net"),
        ("net-", "net"),
        ("deep--net", "deep-net"),
        ("deep-_net", "deep-net"),
        ("../net", "net"),
        ("deep/net", "deep-net"),
        ("net.py", "net-py"),
        ("net\n", "net"),
        ("réseau", "reseau"),
        ("class!", "my-class"),
        ("", "my-net"),
        ("网络", "my-net"),
    ],
)
def test_malformed_name_is_refused_with_one_that_works(name, candidate, tmp_path):
    """The rule, and a name that follows it."""
    with pytest.raises(PluginError) as refusal:
        new_plugin(name, tmp_path)
    words = str(refusal.value)
    assert words.startswith(f"{name!r} cannot name a plugin: lower-case letters, digits")
    assert "\n" not in words
    assert f"'{candidate}'." in words
    assert list(tmp_path.iterdir()) == []
    assert new_plugin(candidate, tmp_path).is_dir()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("class", "'class' is a keyword of Python"),
        ("lenet5", "'lenet5' is one of zoo's own models"),
        ("simple-cnn", "'simple_cnn' is one of zoo's own models"),
        ("json", "'json' is a module of Python's standard library"),
        ("zoo", "'zoo' is a module that is installed here"),
        ("numpy", "'numpy' is a module that is installed here"),
        ("test", "'test' is a module"),
        ("tests", "projects keep a folder called 'tests' for something else"),
        ("runs", "projects keep a folder called 'runs' for something else"),
        ("cnn-zoo", "'cnn-zoo' is a distribution that is installed here"),
        ("scikit_learn", "'scikit_learn' is a distribution that is installed here"),
    ],
)
def test_taken_name_is_refused_with_a_free_one(name, reason, tmp_path):
    """Who has it, and what to call it instead; the one offered works."""
    with pytest.raises(PluginError) as refusal:
        new_plugin(name, tmp_path)
    words = str(refusal.value)
    assert words.startswith(f"'{name}' cannot name a plugin: {reason}")
    assert words.endswith(f"Try 'my-{name}'.")
    assert list(tmp_path.iterdir()) == []
    assert new_plugin(f"my-{name}", tmp_path).is_dir()


def test_failure_half_way_leaves_nothing(tmp_path, monkeypatch):
    """The disk is full at the third file: no half package, nothing temporary."""
    written = []

    def write_until_full(path, *_, **__):
        written.append(path)
        if len(written) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", write_until_full)
    with pytest.raises(PluginError, match="my-net cannot be written: No space left on device. Choose a folder"):
        new_plugin("my-net", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_interrupt_half_way_leaves_nothing(tmp_path, monkeypatch):
    """Ctrl-C passes through, once the unfinished folder is gone."""

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", interrupted)
    with pytest.raises(KeyboardInterrupt):
        new_plugin("my-net", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_missing_folder_is_named(tmp_path):
    """Folders above the package are not made up."""
    with pytest.raises(PluginError, match="nowhere/my-net cannot be written: No such file or directory"):
        new_plugin("my-net", tmp_path / "nowhere")


@pytest.fixture
def with_plugin(tmp_path: Path) -> Callable[..., str]:
    """Run Python where a new plugin is installed, in a folder of its own on the path, and return its output."""
    pytest.importorskip("hatchling", reason="builds the plugin; it comes with zoo's test extra")
    new_plugin("my-net")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed"), "ZOO_PLUGINS": ""}

    def run(*arguments: str) -> str:
        result = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, env=environment, check=False, timeout=600
        )
        assert result.returncode == 0, result.stderr + result.stdout
        return result.stdout

    run("-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", "installed",
        "./my-net")  # fmt: skip
    return run


def test_new_plugin_works_untouched(with_plugin, tmp_path):
    """Installed, listed, and its own tests pass as they were written (the slow one aside)."""
    assert "my-net 0.1.0" in with_plugin("-m", "zoo", "list", "my_net")
    (entry,) = importlib.metadata.Distribution.discover(path=[str(tmp_path / "installed")])
    assert entry.requires == [f"cnn-zoo>={package.__version__}", "pytest>=8; extra == 'test'"]
    summary = with_plugin("-m", "pytest", "my-net").splitlines()[-1]
    assert " passed" in summary
    assert "failed" not in summary
