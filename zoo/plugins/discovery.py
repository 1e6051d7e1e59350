"""Finds plugins by the metadata of installed distributions, without importing them.

An entry point of the group ``zoo.models`` is kept as text until its model is used. Errors in one distribution's
metadata are caught, so that a corrupt one affects only its own models.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

GROUP = "zoo.models"
NAME_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
VALUE_PATTERN = re.compile(r"\w+(\.\w+)*:\w+(\.\w+)*( *\[.*\])?")
METADATA_FOLDER = re.compile(r"(?P<name>.+?)(-(?P<version>[^-]+))?(-py[\d.]+)?\.(dist|egg)-info")


@dataclass(frozen=True)
class PluginModel:
    """One entry point of a plugin: a model's name and the import path of its builder."""

    name: str
    value: str  # module:attribute
    distribution: str  # normalised, as in zoo-foo
    version: str
    location: str  # the folder that the distribution is installed in

    @property
    def qualified_name(self) -> str:
        return f"{self.distribution}/{self.name}"

    @property
    def provider(self) -> str:
        return f"{self.distribution} {self.version}".strip()

    @property
    def fault(self) -> str:
        """What is wrong with the entry point as written, or an empty string."""
        if not NAME_PATTERN.fullmatch(self.name):
            return f"'{self.name}' is not a valid model name: letters, digits, '_', '-' and '.'"
        if not VALUE_PATTERN.fullmatch(self.value):
            return f"its entry point '{self.value}' is not of the form module:builder"
        return ""


@dataclass(frozen=True)
class Unreadable:
    """A distribution whose metadata cannot be read."""

    distribution: str
    location: str
    cause: str


@dataclass(frozen=True)
class Installed:
    """All plugin models among the installed distributions."""

    models: tuple[PluginModel, ...]
    unreadable: tuple[Unreadable, ...]

    def named(self, name: str) -> list[PluginModel]:
        """Return the models called ``name`` or ``distribution/name``; malformed ones only if there is no other."""
        found = self._by_name.get(name)
        if found is None:
            distribution, _, model = name.rpartition("/")
            found = [p for p in self._by_name.get(model, []) if p.distribution == canonical(distribution)]
        return [plugin for plugin in found if not plugin.fault] or found

    @cached_property
    def _by_name(self) -> dict[str, list[PluginModel]]:
        by_name: dict[str, list[PluginModel]] = {}
        for plugin in self.models:
            by_name.setdefault(plugin.name, []).append(plugin)
        return by_name


def canonical(distribution: str) -> str:
    """Return a distribution's normalised name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def installed() -> Installed:
    """Return the entry points that ``ZOO_PLUGINS`` allows, read once per process.

    ``ZOO_PLUGINS`` unset or empty allows all, ``none`` allows none; otherwise it is a comma-separated list of
    distributions.
    """
    return _admitted(os.environ.get("ZOO_PLUGINS", "").strip())


@cache
def _admitted(wanted: str) -> Installed:
    if wanted == "none":  # do not even read the metadata
        return Installed((), ())
    everything = _scan()
    if not wanted:
        return everything
    admitted = {canonical(name.strip()) for name in wanted.split(",")}
    return Installed(
        tuple(plugin for plugin in everything.models if plugin.distribution in admitted),
        tuple(broken for broken in everything.unreadable if broken.distribution in admitted),
    )


@cache
def _scan() -> Installed:
    """Read the entry points of all installed distributions, catching the errors of each.

    A distribution found twice (an editable install beside stale metadata, say) counts once: Python imports the first
    on the import path. A name that one distribution declares twice counts once, too.
    """
    models: dict[tuple[str, str], PluginModel] = {}
    unreadable: list[Unreadable] = []
    seen: set[str] = set()
    for distribution in _distributions():
        name, version, location = "(unknown)", "", "(unknown folder)"
        try:
            name, version, location = _identity(distribution)
            if name in seen:
                continue
            seen.add(name)
            text = distribution.read_text("entry_points.txt")
            if not text or GROUP not in text:
                continue
            for entry in distribution.entry_points:
                if entry.group == GROUP:
                    plugin = PluginModel(entry.name, entry.value, name, version, location)
                    models.setdefault((plugin.name, name), plugin)
        except Exception as error:
            unreadable.append(Unreadable(name, location, f"{type(error).__name__}: {error}"))
    return Installed(tuple(models[key] for key in sorted(models)), tuple(unreadable))


def _identity(distribution: metadata.Distribution) -> tuple[str, str, str]:
    """Return name, version and folder, from the name of the metadata folder if there is one.

    Parsing a thousand METADATA files for their names takes ten times as long.
    """
    folder = getattr(distribution, "_path", None)
    found = METADATA_FOLDER.fullmatch(Path(str(folder)).name) if folder is not None else None
    if found:
        return canonical(found["name"]), found["version"] or "", str(Path(str(folder)).parent)
    name = distribution.metadata["Name"]
    if not name:
        raise ValueError("its metadata has no name")
    return canonical(name), distribution.metadata["Version"] or "", str(distribution.locate_file(""))


def _distributions() -> Iterator[metadata.Distribution]:
    """Yield the distributions; an error in a finder ends the iteration, not the program."""
    try:
        yield from metadata.distributions()
    except Exception:
        return


@contextlib.contextmanager
def readable_entry_points() -> Iterator[None]:
    """Keep other libraries working if a distribution's metadata is corrupt.

    ``importlib.metadata.entry_points()`` raises if a single distribution cannot be read, and libraries call it at
    unexpected times (scikit-learn, through narwhals, when it checks an array). If it raises, it is replaced within this
    context by a version that skips what cannot be read.
    """
    original = metadata.entry_points
    try:
        original()
    except Exception:
        metadata.entry_points = _readable_entry_points  # type: ignore[assignment]
    try:
        yield
    finally:
        metadata.entry_points = original


def _readable_entry_points(**selected: Any) -> metadata.EntryPoints:
    points: list[metadata.EntryPoint] = []
    for distribution in metadata.distributions():
        with contextlib.suppress(Exception):
            points += distribution.entry_points
    return metadata.EntryPoints(points).select(**selected)
