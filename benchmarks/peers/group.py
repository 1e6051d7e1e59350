"""One model at one batch size: every side in every precision, taking turns in rounds. Imports no framework."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from process import Asked, WorkerError

REST_S = 0.1  # between turns: threads of the one before may still be spinning for work

Announce = Callable[[str], None]
Start = Callable[[], Asked]


@dataclass
class Entrant:
    """A side in one precision, and what it has done so far."""

    side: str
    precision: str
    worker: Asked | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    turns: list[dict[str, float]] = field(default_factory=list)
    reason: str | None = None  # why it is out, if it is

    def __str__(self) -> str:
        return f"{self.side}, {self.precision}"


@dataclass(frozen=True)
class Group:
    """What a group trains, and how often.

    Attributes:
        images: of a round, and of the first one, which is not counted.
        weights: a file with the weights that every side starts from.
    """

    model: str
    batch_size: int
    images: int
    rounds: int
    seed: int
    weights: Path

    def measure(self, sides: Sequence[tuple[str, str]], start: Start, announce: Announce) -> list[dict[str, Any]]:
        """Return one row of the record for each (side, precision); one that fails says why, and the others go on.

        Args:
            sides: who takes part.
            start: starts a process.
            announce: receives a line for what has been done.
        """
        entrants = [Entrant(side, precision) for side, precision in sides]
        try:
            for entrant in entrants:
                self._attempt(entrant, lambda entrant: self._prepare(entrant, start), announce)
            for number in range(self.rounds):
                for entrant in rotated(entrants, number):
                    time.sleep(REST_S)
                    self._attempt(entrant, _take_turn, announce)
            for entrant in entrants:
                self._attempt(entrant, _measure_accuracy, announce)
        finally:
            for entrant in entrants:
                if entrant.worker is not None:
                    entrant.worker.end()
        return [self._row(entrant) for entrant in entrants]

    def _attempt(self, entrant: Entrant, do: Callable[[Entrant], str], announce: Announce) -> None:
        """Have an entrant that is still in do something, and put it out if it fails."""
        if entrant.reason is not None:
            return
        try:
            outcome = do(entrant)
        except WorkerError as error:
            entrant.reason = outcome = str(error)
        announce(f"{self.model}, batch {self.batch_size}, {entrant}: {outcome}")

    def _prepare(self, entrant: Entrant, start: Start) -> str:
        entrant.worker = start()
        entrant.facts = entrant.worker.ask(
            "prepare",
            side=entrant.side,
            precision=entrant.precision,
            model=self.model,
            batch_size=self.batch_size,
            images=self.images,
            weights=str(self.weights),
            seed=self.seed,
        )
        return f"ready after a first round of {entrant.facts['first_call_s']:.1f} s"

    def _row(self, entrant: Entrant) -> dict[str, Any]:
        seconds = [turn["seconds"] for turn in entrant.turns]
        speeds = [self.images / value for value in seconds]
        complete = entrant.reason is None
        return {
            "model": self.model,
            "batch_size": self.batch_size,
            "precision": entrant.precision,
            "side": entrant.side,
            "params": entrant.facts.get("params"),
            "images": self.images,
            "first_call_s": entrant.facts.get("first_call_s"),
            "seconds": seconds,
            "others_cpu_s": [turn["others_cpu_s"] for turn in entrant.turns],
            "images_per_s": _spread(speeds) if complete else None,
            "train_loss": entrant.turns[-1]["loss"] if complete else None,
            "train_accuracy": entrant.turns[-1]["accuracy"] if complete else None,
            "test_accuracy": entrant.facts.get("test_accuracy"),
            "status": "ok" if complete else "failed",
            "reason": entrant.reason,
        }


def rotated(entrants: Sequence[Entrant], number: int) -> list[Entrant]:
    """Return the order of a round: the one who began the last round is at the end of this one."""
    first = number % len(entrants)
    return [*entrants[first:], *entrants[:first]]


def _take_turn(entrant: Entrant) -> str:
    assert entrant.worker is not None
    entrant.turns.append(entrant.worker.ask("go"))
    return f"{entrant.turns[-1]['seconds']:.2f} s, loss {entrant.turns[-1]['loss']:.3f}"


def _measure_accuracy(entrant: Entrant) -> str:
    assert entrant.worker is not None
    entrant.facts |= entrant.worker.ask("accuracy")
    return f"{entrant.facts['test_accuracy']:.2%} of the test images"


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}
