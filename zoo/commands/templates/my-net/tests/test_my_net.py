"""Runs zoo's conformance kit, the checks that every model must pass."""

from __future__ import annotations

from zoo.testing import ModelConformance


class TestMyNet(ModelConformance):
    """One test per check: it builds, its numbers are true, it trains, saves and loads."""

    model = "my_net"
