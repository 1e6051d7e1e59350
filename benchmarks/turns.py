"""What the benchmarks here share: epochs as functions, and rounds in which they take turns."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import zoo
from zoo import registry
from zoo.spec import Recipe
from zoo.utils.environment import environment

WORKER = "--worker"
Epoch = Callable[[], float]
"""Trains one epoch and returns its seconds."""


def zoo_epoch(name: str, data: zoo.Dataset, recipe: Recipe) -> Epoch:
    """Return an epoch of zoo's compiled loop, warmed up; loss and accuracy included."""
    from zoo.inference import Totals
    from zoo.training.devices import place
    from zoo.training.session import Session

    spec = registry.get(name)
    placement = place(recipe, device="cpu", training=spec)
    session = Session(spec, recipe, placement, data)
    loop = session.loop
    loop.warm_up()
    number = -1

    def epoch() -> float:
        nonlocal number
        number += 1
        began = time.perf_counter()
        loop.feed.begin(number)
        totals = Totals()
        while totals.steps < loop.steps:
            totals = loop.advance(totals, epoch=0)
        return time.perf_counter() - began

    epoch()  # fills caches
    return epoch


def ask(script: str, request: Any) -> dict[str, Any]:
    """Run a script anew with `WORKER` and a request, and return its answer: the last line that it prints, JSON."""
    command = [sys.executable, script, WORKER, json.dumps(request)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def take_turns(epochs: Mapping[str, Epoch], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of every epoch, round by round: a change in the machine's speed hits all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in epochs}
    for _ in range(rounds):
        for name, epoch in epochs.items():
            seconds[name].append(epoch())
    return seconds


def speed(images: int, seconds: list[float]) -> str:
    """Return images per second as median (minimum to maximum)."""
    values = [images / value for value in seconds]
    return f"{statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def ratio(baseline: list[float], seconds: list[float]) -> str:
    """Return how many times as fast, by the median of the rounds' own ratios, with their range."""
    values = [base / value for base, value in zip(baseline, seconds, strict=True)]
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def circumstances() -> str:
    """Return the machine and the versions in one line."""
    facts = environment()
    features = ", ".join(name for name in facts["cpu_features"] if name in ("avx2", "avx512f", "avx512_bf16"))
    return (
        f"{facts['cpu']} ({features}), {facts['cpus_allowed']} processors; "
        f"tensorflow {facts['tensorflow']}, keras {facts['keras']}, python {facts['python']}"
    )
