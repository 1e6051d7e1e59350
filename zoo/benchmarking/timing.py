"""Time one step after warm-up, over synchronised blocks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

BLOCK_S = 0.04  # a block is at least so long: the clock, and waiting for the device, cost nothing beside it
SMALLEST_N = 12
PATIENCE = 3  # blocks in a row that were not faster than what came before
FASTER = 0.97  # of the best block so far: less is noise
SHORTEST_WARM_UP_S = 0.25
LONGEST_WARM_UP = 1.5  # times the measured time, and at least a second


@dataclass(frozen=True)
class Steady:
    """What was measured: the mean seconds of a step of each block in order, and of the yardstick after each block."""

    step_s: tuple[float, ...]
    yardstick_s: tuple[float, ...]  # empty without a yardstick
    steps_per_block: int
    warm_up_steps: int
    steady: bool  # the warm-up ended because steps had stopped getting faster, not because its time was over


def measure_steady(
    run: Callable[[int], None],
    *,
    seconds: float,
    synchronize: Callable[[], None],
    yardstick: Callable[[], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Steady:
    """Run steps until they have stopped getting faster, then time them for `seconds`.

    A device works while the host goes on, so the clock is read only after `synchronize`; blocks of steps make what
    that costs small. Nothing before the first timed block is part of the result.

    Args:
        run: starts so many steps.
        seconds: how long to measure; at least `SMALLEST_N` blocks are timed, however long they take.
        synchronize: returns once every step that was started has ended.
        yardstick: some fixed work to time after each block, never inside one. It is done twice and timed once, so that
            what a block leaves behind, threads half asleep and foreign data in caches, is over.
        clock: seconds.
    """

    def block(steps: int) -> float:
        began = clock()
        run(steps)
        synchronize()
        return clock() - began

    synchronize()
    steps, warm_up_steps, elapsed, best, patience = 1, 0, 0.0, float("inf"), 0
    while elapsed < SHORTEST_WARM_UP_S or (patience < PATIENCE and elapsed < max(LONGEST_WARM_UP * seconds, 1.0)):
        took = block(steps)
        warm_up_steps, elapsed = warm_up_steps + steps, elapsed + took
        if took < BLOCK_S:  # still looking for the length of a block
            steps *= 2
            continue
        patience = 0 if took / steps < FASTER * best else patience + 1
        best = min(best, took / steps)
    measured: list[float] = []
    yardsticks: list[float] = []
    while sum(measured) * steps < seconds or len(measured) < SMALLEST_N:
        measured.append(block(steps) / steps)
        if yardstick:
            yardstick()
            began = clock()
            yardstick()
            yardsticks.append(clock() - began)
    return Steady(tuple(measured), tuple(yardsticks), steps, warm_up_steps, patience >= PATIENCE)
