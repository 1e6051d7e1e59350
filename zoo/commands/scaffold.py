"""``zoo new-plugin NAME``: a complete plugin package to begin from, whose tests pass as it is.

The template is itself such a package, called my-net, in ``templates/my-net``: what is written is that package
with the names changed.
"""

from __future__ import annotations

import importlib.util
import keyword
import os
import re
import secrets
import shlex
import shutil
import sys
import unicodedata
from importlib import metadata
from importlib.resources import files
from pathlib import Path

from zoo import __version__, registry
from zoo.errors import PluginError
from zoo.utils.files import writing

NAME_PATTERN = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
TEMPLATE = "templates/my-net"
TEMPLATE_FILES = (
    "pyproject.toml",
    "README.md",
    ".gitignore",
    ".github/workflows/ci.yml",
    "my_net/__init__.py",
    "my_net/model.py",
    "tests/test_my_net.py",
)
FOLDER_NAMES = ("build", "dist", "runs", "tests")  # what a project keeps under these names is not its package


def new_plugin(name: str, folder: str | Path = ".") -> Path:
    """Write a new plugin package into ``folder/name`` and return that path.

    Args:
        name: of the distribution, such as ``my-net``; with underscores it names the module and the model too.
        folder: where to put the package's folder; it must exist.

    Raises:
        PluginError: the name cannot be used, something of that name exists, or the folder cannot be written.
            Then nothing is left behind.
    """
    _check_form(name)
    target = Path(folder) / name
    if os.path.lexists(target):
        raise PluginError(f"{target} exists already, and nothing is ever overwritten. Choose another name or folder.")
    _check_free(name)
    # Written aside and renamed at the end, so that the package is there whole or not at all.
    unfinished = target.with_name(f".zoo-{secrets.token_hex(8)}")
    try:
        with writing(target, "Choose a folder that you may write to.", PluginError):
            unfinished.mkdir()
            for path, text in _render(name).items():
                (unfinished / path).parent.mkdir(parents=True, exist_ok=True)
                (unfinished / path).write_text(text, encoding="utf-8")
            unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


def next_steps(folder: str | Path) -> list[str]:
    """Return the commands that a new package's author types next, from installing it to testing it."""
    model = module_name(Path(folder).name)
    # With "./" pip takes a bare folder's name for a path, and for nothing on the package index.
    path = str(folder) if Path(folder).is_absolute() else f"./{Path(folder).as_posix()}"
    return [
        f"pip install --editable {shlex.quote(path + '[test]')}",
        f"zoo show {model}",
        f"zoo train {model}",
        f"pytest {shlex.quote(str(folder))}",
    ]


def module_name(name: str) -> str:
    """Return what a distribution's module and model are called: ``my_net`` for ``my-net``."""
    return name.replace("-", "_")


def _render(name: str) -> dict[str, str]:
    """Return the package's files, path to text: the template's with its names replaced by the new ones."""
    replacements = {
        "my_net": module_name(name),
        "my-net": name,
        "MyNet": "".join(word.capitalize() for word in re.split("[-_]", name)),
        "cnn-zoo>=0": f"cnn-zoo>={__version__.partition('+')[0]}",  # ">=" takes no local version
    }
    old_names = re.compile("|".join(replacements))

    def renamed(text: str) -> str:
        return old_names.sub(lambda match: replacements[match[0]], text)

    template = files("zoo.commands") / TEMPLATE
    return {renamed(path): renamed((template / path).read_text(encoding="utf-8")) for path in TEMPLATE_FILES}


def _check_form(name: str) -> None:
    if not NAME_PATTERN.fullmatch(name):
        raise PluginError(
            f"{name!r} cannot name a plugin: lower-case letters, digits, and single '-' or '_' between them, "
            f"beginning with a letter. {_try_instead(_tidied(name))}"
        )


def _check_free(name: str) -> None:
    """Refuse a name that means something else already, to Python or to zoo."""
    reason = _taken_by(name)
    if reason:
        raise PluginError(f"'{name}' cannot name a plugin: {reason}. {_try_instead(name)}")


def _taken_by(name: str) -> str:
    """Return what holds the name, or an empty string."""
    module = module_name(name)
    if keyword.iskeyword(module):
        return f"'{module}' is a keyword of Python"
    if module in FOLDER_NAMES:
        return f"projects keep a folder called '{module}' for something else"
    if module in registry.built_ins():
        return f"'{module}' is one of zoo's own models"
    if module in sys.stdlib_module_names:
        return f"'{module}' is a module of Python's standard library"
    if _is_importable(module):
        return f"'{module}' is a module that is installed here"
    if _is_installed(name):
        return f"'{name}' is a distribution that is installed here"
    return ""


def _is_importable(module: str) -> bool:
    """Find a top-level module without importing it."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # ValueError: it is imported, and has no spec
        return module in sys.modules


def _is_installed(distribution: str) -> bool:
    try:
        metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def _tidied(name: str) -> str:
    """Return the name without accents, in lower case, its words joined by hyphens: ``my-net`` for ``MyNet``."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", ascii_name)
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def _try_instead(name: str) -> str:
    """Offer the name, or my- and the name, if one of them would be taken as it is."""
    for candidate in (name, f"my-{name}"):
        if NAME_PATTERN.fullmatch(candidate) and not _taken_by(candidate):
            return f"Try '{candidate}'."
    return "Try for example 'my-net'."
