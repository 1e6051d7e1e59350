"""Runs zoo's conformance kit on Network in Network, and tests what the kit does not cover."""

from __future__ import annotations

import pytest

import zoo
from zoo.testing import ModelConformance


class TestNetworkInNetwork(ModelConformance):
    """One test per check: it builds, its numbers are true, it trains, saves and loads."""

    model = "nin"


@pytest.mark.parametrize("num_classes", [10, 7])
def test_averages_one_map_per_class(num_classes):
    """The paper's idea in place of dense layers: the last block has a map per class, and nothing follows it."""
    *_, maps, average = zoo.create("nin", num_classes=num_classes).layers
    assert maps.output.shape[-1] == num_classes
    assert average.count_params() == 0
