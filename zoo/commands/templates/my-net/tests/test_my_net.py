"""zoo's conformance kit: whatever can be checked of any model is checked of this one."""

from __future__ import annotations

from zoo.testing import ModelConformance


class TestMyNet(ModelConformance):
    """One test per check: it builds, its numbers are true, it trains, saves and loads."""

    model = "my_net"
