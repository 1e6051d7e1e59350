"""Checks that building a model does not change process-wide settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from zoo.spec import ModelSpec
from zoo.testing.check import check
from zoo.testing.state import kept, random_states, seed_generators, settings
from zoo.testing.subject import build


@check()
def check_leaves_global_state(spec: ModelSpec) -> Iterator[str]:
    """Building changes no precision policy, warning filter or environment variable, and seeds nothing.

    Keras draws the seeds of initializers from ``random``, so drawing is allowed. Setting a seed is not: it
    would take the choice from the user, and make every model built afterwards the same.
    """
    with kept():  # what the builder imports may change settings; that is not building
        build(spec)
    before = settings()
    _build_alone(spec)
    after = settings()
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield f"leave {name} alone: building {spec.name} {_change(name, before, after)}"
    endings = []
    for seed in (1, 2):
        seed_generators(seed)
        _build_alone(spec)
        endings.append(random_states())
    for name in endings[0]:
        if endings[0][name] == endings[1][name]:
            yield (
                f"set no seed inside the builder: after building {spec.name}, `{name}` is in the same state "
                "whatever it was before, so a user's own seed has no effect"
            )


def _build_alone(spec: ModelSpec) -> None:
    """Call the builder itself: zoo's ways of building put settings back."""
    spec.builder()


def _change(name: str, before: dict[str, Any], after: dict[str, Any]) -> str:
    """Say what became of a setting; never an environment variable's value, which may be a secret."""
    if name.startswith("os.environ"):
        return "removes it" if name not in after else "changes it" if name in before else "sets it"
    if name == "warnings.filters":
        return f"leaves {len(after[name])} filters where there were {len(before[name])}"
    return f"leaves it as {after[name]!r} where it was {before[name]!r}"
