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
    """There is no model, recipe, dataset or option of this name."""


class DuplicateModelError(ZooError, ValueError):
    """Two builders were registered under one name."""


class PluginError(ZooError):
    """A plugin cannot be read or imported, or does not provide what its entry point declares."""


class ModelError(ZooError, ValueError):
    """A model cannot be built as requested (input too small, wrong number of classes)."""


class RecipeError(ZooError, ValueError):
    """A recipe has an invalid value or combination of values."""


class DataError(ZooError):
    """A dataset could not be found, fetched or read."""


class DigestError(DataError):
    """Data does not match its published SHA-256; it is never used."""


class DeviceError(ZooError):
    """The requested device or precision is not available here."""


class RunError(ZooError):
    """A run folder cannot be written, read or continued."""


class ImageError(ZooError):
    """An image file cannot be read, or has a suffix of no format that can be written."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the closest of `known`, or an empty string."""
    matches = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)
    return f" Did you mean '{matches[0]}'?" if matches else ""
