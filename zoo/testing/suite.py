"""The pytest class: one test per check, named after it.

pytest is only in zoo's ``test`` extra, so nothing here imports it before pytest itself has called.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from zoo.errors import ZooError
from zoo.testing import architecture, arithmetic, backends, learning, surroundings  # noqa: F401 - each adds its checks
from zoo.testing.check import CHECKS, Check
from zoo.testing.subject import Subject, spec_from

if TYPE_CHECKING:
    import pytest

SLOW_MARKER = "slow: takes minutes; leave out with -m 'not slow'"


class ModelConformance:
    """Subclass it under a name that begins with ``Test``, and set `model`, or `models` for several.

    Each is what `check_model` takes. Every check becomes a test, ``test_<check>[<model>]``, skipped with its
    reason where it cannot be made; the one that trains on digits is marked ``slow``. The marker needs no entry
    in your pytest configuration.
    """

    model: ClassVar[Subject | None] = None
    models: ClassVar[Sequence[Subject]] = ()

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Give each test the class's models; pytest calls this while it collects."""
        import pytest

        made_of: Check | None = getattr(metafunc.function, "conformance_check", None)
        if made_of is None:
            return  # a test of the subclass's own
        # Declared here, so that --strict-markers accepts it in a project that never heard of it.
        metafunc.config.addinivalue_line("markers", SLOW_MARKER)
        marks = [pytest.mark.slow] if made_of.slow else []
        cases = [pytest.param(subject, id=_label(subject), marks=marks) for subject in _subjects(metafunc.cls)]
        metafunc.parametrize("subject", cases)


def _test_of(made_of: Check) -> Callable[[Any, Subject], None]:
    def test(_: ModelConformance, subject: Subject) -> None:
        import pytest

        try:
            result = made_of.run(spec_from(subject))
        except ZooError as error:  # the subject is no model
            pytest.fail(str(error), pytrace=False)
        if result.status == "failed":
            pytest.fail(result.reason, pytrace=False)  # the kit's own frames would say nothing
        if result.status == "skipped":
            pytest.skip(result.reason)

    test.__name__, test.__doc__ = f"test_{made_of.name}", made_of.instructions.__doc__
    test.conformance_check = made_of  # type: ignore[attr-defined]
    return test


def _subjects(suite: Any) -> list[Subject]:
    """Return what a subclass asks to be checked; asks for it where there is nothing."""
    subjects = [*([] if suite.model is None else [suite.model]), *suite.models]
    if not subjects:
        raise TypeError(f'{suite.__name__} has no model to check. Set model = "my_net" in the class.')
    return subjects


def _label(subject: Subject) -> str:
    if isinstance(subject, str):
        return subject
    return str(getattr(subject, "name", getattr(subject, "__name__", type(subject).__name__)))


for _check in CHECKS.values():
    setattr(ModelConformance, f"test_{_check.name}", _test_of(_check))
