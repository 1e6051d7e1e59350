"""The table of CONTRIBUTING.md is the order in which imports go, and the contract that is checked is that table."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def _layers() -> list[set[str]]:
    """The contract's rows, from the top down."""
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    return [set(re.split(r"\s*[:|]\s*", row)) for row in contract["layers"]]


def _table() -> list[set[str]]:
    """The first column of the table in CONTRIBUTING.md, files and folders without their endings."""
    section = (ROOT / "CONTRIBUTING.md").read_text().partition("## Find your way")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
    return [{name.removesuffix(".py").removesuffix("/") for name in re.findall(r"`([^`]+)`", row)} for row in rows]


def test_the_contract_is_the_table_of_contributing():
    """Row for row, so that whoever reads the one knows the other."""
    assert _layers() == _table()


def test_every_file_and_folder_of_the_package_has_its_row():
    """Nothing stands outside the order; `templates` holds no module of zoo's."""
    found = {path.stem for path in (ROOT / "zoo").glob("*.py")} | {
        path.name for path in (ROOT / "zoo").iterdir() if path.is_dir() and (path / "__init__.py").exists()
    }
    assert set().union(*_layers()) == found - {"__init__"}


def test_an_import_that_runs_upward_is_seen(tmp_path, python):
    """The check can fail: a planted import of the command line by the errors breaks the contract."""
    shutil.copytree(ROOT / "zoo", tmp_path / "zoo", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    check = ("-c", "from importlinter.cli import lint_imports_command as check; check()")
    kept = python(*check)
    assert kept.returncode == 0, kept.stdout
    with (tmp_path / "zoo" / "errors.py").open("a") as file:
        file.write("\n\ndef planted():\n    import zoo.cli\n")
    broken = python(*check)
    assert broken.returncode == 1
    assert "zoo.errors is not allowed to import zoo.cli" in broken.stdout
