"""The built-ins as parameters of tests: those for photographs, and the deepest, are large, and their tests are slow."""

from __future__ import annotations

import pytest

from zoo import registry
from zoo.spec import ModelSpec


def _is_small(spec: ModelSpec) -> bool:
    return not spec.large_input and (spec.macs or 0) < 50e6


CLASSIFIERS = sorted(name for name in registry.built_ins() if registry.get(name).task == "classification")
_OF_SCENES = sorted(set(registry.built_ins()) - set(CLASSIFIERS))
SCENES = [name for name in _OF_SCENES if not registry.get(name).large_input]
"""Detectors and segmenters that learn scenes of digits."""
LARGE_SCENES = sorted(set(_OF_SCENES) - set(SCENES))
"""Those at their papers' sizes."""
SMALL = [name for name in CLASSIFIERS if _is_small(registry.get(name))]
LARGE = sorted(set(CLASSIFIERS) - set(SMALL))
EVERY = [*SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)]
QUICK = [name if (registry.get(name).macs or 0) < 6e6 else pytest.param(name, marks=pytest.mark.slow) for name in SMALL]
"""The small ones to train a step; in the slow tests those that take seconds for it too."""
