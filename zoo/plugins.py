"""Which distributions offer models, read from their metadata alone: nothing is imported to list a name.

An entry point of the group ``zoo.models`` is kept as text until its model is asked for. Every distribution's
metadata is read under its own guard, so a corrupt one costs its own models and nobody else's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import metadata

GROUP = "zoo.models"
NAME_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
VALUE_PATTERN = re.compile(r"[\w.]+:[\w.]+")


@dataclass(frozen=True)
class PluginModel:
    """One line of a plugin's entry points: a model's name and where its builder is."""

    name: str
    value: str  # module:attribute
    distribution: str
    version: str
    location: str  # the folder that the distribution is installed in

    @property
    def qualified_name(self) -> str:
        return f"{self.distribution}/{self.name}"

    @property
    def provider(self) -> str:
        return f"{self.distribution} {self.version}"

    @property
    def fault(self) -> str:
        """What is wrong with the entry point as written, or an empty string."""
        if not NAME_PATTERN.fullmatch(self.name):
            return f"'{self.name}' is not a valid model name (letters, digits, '_', '-' and '.')"
        if not VALUE_PATTERN.fullmatch(self.value):
            return f"'{self.value}' is not of the form module:builder"
        return ""


@dataclass(frozen=True)
class UnreadableDistribution:
    """A distribution whose metadata cannot be read; it offers nothing, and breaks nothing."""

    location: str
    cause: str


def canonical(distribution: str) -> str:
    """Return a distribution's name as packaging tools compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def discover() -> tuple[PluginModel, ...]:
    """Return every entry point that `ZOO_PLUGINS` admits, sorted; ``none`` admits nothing.

    ``ZOO_PLUGINS`` unset or empty admits all; otherwise it is a comma-separated list of distributions.
    """
    wanted = os.environ.get("ZOO_PLUGINS", "").strip()
    found, _ = scan()
    if not wanted:
        return found
    admitted = {canonical(name.strip()) for name in wanted.split(",")} - {"none", ""}
    return tuple(plugin for plugin in found if canonical(plugin.distribution) in admitted)


@cache
def scan() -> tuple[tuple[PluginModel, ...], tuple[UnreadableDistribution, ...]]:
    """Read the entry points of all installed distributions, each under its own guard.

    The same distribution met twice (an editable install beside stale metadata) counts once: the first on
    the import path is the one that Python would import.
    """
    models: list[PluginModel] = []
    unreadable: list[UnreadableDistribution] = []
    seen: set[str] = set()
    for distribution in _distributions():
        location = _location(distribution)
        try:
            text = distribution.read_text("entry_points.txt")
            if not text or GROUP not in text:
                continue
            name = distribution.metadata["Name"]
            if not name:
                raise ValueError("its metadata has no name")
            if canonical(name) in seen:
                continue
            seen.add(canonical(name))
            version = distribution.metadata["Version"] or "(no version)"
            models += [
                PluginModel(entry.name, entry.value, name, version, location)
                for entry in distribution.entry_points
                if entry.group == GROUP
            ]
        except Exception as error:
            unreadable.append(UnreadableDistribution(location, f"{type(error).__name__}: {error}"))
    return tuple(sorted(models, key=lambda plugin: (plugin.name, plugin.distribution))), tuple(unreadable)


def _distributions() -> Iterator[metadata.Distribution]:
    """Yield what can be yielded: a broken finder ends the walk instead of ending the program."""
    walk = iter(metadata.distributions())
    while True:
        try:
            yield next(walk)
        except StopIteration:
            return
        except Exception:
            return


def _location(distribution: metadata.Distribution) -> str:
    try:
        return str(distribution.locate_file(""))
    except Exception:
        return "(unknown folder)"
