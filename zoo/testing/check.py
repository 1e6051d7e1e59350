"""The `check` decorator of the conformance kit, and how checks are run on a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from zoo.errors import ZooError
from zoo.spec import ModelSpec
from zoo.testing.state import kept
from zoo.testing.subject import Subject, brief, spec_from


class ConformanceError(ZooError, AssertionError):
    """A model fails checks; the text lists what to change, one instruction per line."""


class Skipped(Exception):  # noqa: N818 - not an error: the check does not apply here
    """Raised by a check that cannot run here; its text is the reason."""


@dataclass(frozen=True)
class Result:
    """The result of one check; `reason` says why it was skipped or what to change, one instruction per line."""

    check: str
    status: Literal["passed", "failed", "skipped"]
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.check}: {self.status}{f' ({self.reason})' if self.reason else ''}"


@dataclass(frozen=True)
class Check:
    """A check that every model in zoo must pass.

    `instructions` yields what to change in a model; the check passes if it yields nothing.
    """

    name: str
    instructions: Callable[[ModelSpec], Iterator[str]]
    slow: bool

    def run(self, spec: ModelSpec) -> Result:
        """Run the check and return its result. Whatever the model's code raises becomes an instruction."""
        with kept():
            try:
                faults = list(self.instructions(spec))
            except Skipped as reason:
                return Result(self.name, "skipped", str(reason))
            except (Exception, SystemExit) as error:
                faults = [_unexpected(spec, error)]
        return Result(self.name, "failed" if faults else "passed", "\n".join(faults))


CHECKS: dict[str, Check] = {}
"""The checks by name, in the order in which they run."""


def check(*, slow: bool = False) -> Callable[[Callable[[ModelSpec], Iterator[str]]], Callable[[Subject], Result]]:
    """Turn a generator of instructions, named ``check_<name>``, into a check, and add it to `CHECKS`.

    The decorated function takes the same models as `check_model`, returns a `Result` (passed or skipped), and raises
    `ConformanceError` if there is anything to change.
    """

    def decorate(instructions: Callable[[ModelSpec], Iterator[str]]) -> Callable[[Subject], Result]:
        made = Check(instructions.__name__.removeprefix("check_"), instructions, slow)
        CHECKS[made.name] = made

        def run(model: Subject) -> Result:
            spec = _resolved(model)
            result = made.run(spec)
            if result.status == "failed":
                raise ConformanceError(_report(spec, [result]))
            return result

        # Not functools.wraps: help() shall show what callers pass and get, not the generator inside.
        run.__name__, run.__qualname__ = instructions.__name__, instructions.__qualname__
        run.__module__, run.__doc__ = instructions.__module__, instructions.__doc__
        return run

    return decorate


def check_model(name_or_builder: Subject, *, slow: bool = False) -> list[Result]:
    """Run every check on one model.

    Changes made by a check or by the model's code (to the states of ``random`` and ``numpy.random``, Keras' settings,
    warning filters, environment variables, the current folder) are undone.

    Args:
        name_or_builder: a model's name (``distribution/name`` too), ``"module:builder"``, a builder or a
            `ModelSpec`.
        slow: also train it on scikit-learn's digits, and check that it reaches a minimum accuracy.

    Returns:
        One `Result` per check, each passed, or skipped with its reason.

    Raises:
        ConformanceError: at least one check failed. The text has every failed check's instructions.
    """
    spec = _resolved(name_or_builder)
    results = [
        Result(each.name, "skipped", "slow: ask for it with slow=True") if each.slow and not slow else each.run(spec)
        for each in CHECKS.values()
    ]
    failed = [result for result in results if result.status == "failed"]
    if failed:
        raise ConformanceError(_report(spec, failed))
    return results


def _resolved(model: Subject) -> ModelSpec:
    try:
        return spec_from(model)
    except ZooError as error:
        raise ConformanceError(str(error)) from error


def _report(spec: ModelSpec, failed: list[Result]) -> str:
    """Return the error's text: a line per instruction, with the checks that ask for it.

    A model that does not build at all fails nearly every check by the same words; they are said once.
    """
    askers: dict[str, list[str]] = {}
    for result in failed:
        for instruction in result.reason.splitlines():
            askers.setdefault(instruction, []).append(result.check)
    lines = [f"- {instruction} [{', '.join(checks)}]" for instruction, checks in askers.items()]
    return "\n".join([f"{spec.name} does not conform. To change:", *lines])


def _unexpected(spec: ModelSpec, error: BaseException) -> str:
    """Return a line for what no check foresaw. What zoo itself raises is an instruction already."""
    return brief(error) if isinstance(error, ZooError) else f"make {spec.name} run: it raised {brief(error)}"
