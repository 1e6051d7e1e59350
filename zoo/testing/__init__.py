"""The conformance kit: checks that every model in zoo must pass.

A plugin's tests need only this class; pytest then shows one test per check:

    from zoo.testing import ModelConformance


    class TestMyNet(ModelConformance):
        model = "my_net"

Anywhere else, `check_model` runs every check and says in one error what is to be changed:

    >>> from zoo.testing import check_model
    >>> results = check_model("lenet5")  # doctest: +SKIP

Importing this package imports neither TensorFlow nor pytest.
"""

from __future__ import annotations

from zoo.registry import temporary as temporary_registry
from zoo.testing.architecture import check_builds, check_counts, check_entry_point_name, check_output
from zoo.testing.arithmetic import check_precision, check_same_seed, check_saves
from zoo.testing.backends import check_runs_without_tensorflow
from zoo.testing.check import CHECKS, Check, ConformanceError, Result, check_model
from zoo.testing.learning import check_learns_digits, check_overfits_one_batch
from zoo.testing.suite import ModelConformance
from zoo.testing.surroundings import check_leaves_global_state

__all__ = [
    "CHECKS",
    "Check",
    "ConformanceError",
    "ModelConformance",
    "Result",
    "check_builds",
    "check_counts",
    "check_entry_point_name",
    "check_learns_digits",
    "check_leaves_global_state",
    "check_model",
    "check_output",
    "check_overfits_one_batch",
    "check_precision",
    "check_runs_without_tensorflow",
    "check_same_seed",
    "check_saves",
    "temporary_registry",
]
