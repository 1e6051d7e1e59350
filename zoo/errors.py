"""Every error that zoo raises on purpose, in one tree.

A message says what was received, which rule it broke, and what to do next.
The command line prints it as one line, ``Error: <what>. <what to do>.``, and exits 1.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ZooError(Exception):
    """Base class: catch this to catch everything that zoo raises on purpose."""


class UnknownNameError(ZooError, LookupError):
    """A model, recipe, dataset or option name that nothing has."""


class DuplicateModelError(ZooError, ValueError):
    """Two builders were registered under one name."""


class PluginError(ZooError):
    """A plugin could not be read, imported, or did not provide what its entry point promises."""


class ModelError(ZooError, ValueError):
    """A builder cannot make what it was asked for (input too small, wrong number of classes)."""


class RecipeError(ZooError, ValueError):
    """A recipe holds a value, or a combination of values, that cannot be trained with."""


class DataError(ZooError):
    """A dataset could not be found, fetched or read."""


class DigestError(DataError):
    """Bytes differ from the published SHA-256. They are never trained on."""


class DeviceError(ZooError):
    """The requested device or precision is not available here."""


class RunError(ZooError):
    """A run folder cannot be written, read or continued."""


class ImageError(ZooError):
    """An image file cannot be read as an image, or has the name of no kind that can be written."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the closest of `known`, or an empty string."""
    matches = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)
    return f" Did you mean '{matches[0]}'?" if matches else ""
