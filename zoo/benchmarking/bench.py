"""Run a benchmark: the cells take turns in rounds, each cell in its own process."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.benchmarking import matrix, record
from zoo.benchmarking.matrix import Cell, Matrix
from zoo.benchmarking.trainings import Trainings
from zoo.errors import DeviceError, RecipeError
from zoo.execution import Job, Subprocesses
from zoo.spec.recipe import plain
from zoo.utils.environment import environment

TIMEOUT_S = 300.0
MOST_HALVINGS = 8  # of a batch that does not fit


class BenchmarkInterrupted(KeyboardInterrupt):
    """Ctrl-C was pressed; `document` holds what was measured until then."""

    def __init__(self, document: dict[str, Any]) -> None:
        super().__init__("Interrupted. What was measured is kept.")
        self.document = document


def benchmark(
    *models: str,
    preset: str = "quick",
    modes: Sequence[str] = (),
    precisions: Sequence[str] = (),
    xla: Sequence[bool | None] = (),
    batch_sizes: Sequence[int] = (),
    device: str = "auto",
    rounds: int | None = None,
    seconds: float | None = None,
    time_budget: float | None = None,
    timeout: float = TIMEOUT_S,
    until: float | None = None,
    accuracy: bool = False,
    recipe: str = "default",
    seeds: int = 1,
    data_dir: str | Path | None = None,
    output: str | Path | None = None,
    command: str = "",
    announce: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Measure models over a matrix of settings, or how long they take to an accuracy.

    Each measurement is a process of its own. In each round every cell has its turn, so that a machine that gets
    slower hits all alike; blocks of steps are timed with the device synchronised, after the steps have stopped
    getting faster. A cell that fails is an entry that says why, and the others go on; one that runs out of memory is
    tried again with half the batch.

    Args:
        models: names or wildcard patterns; all models if none.
        preset: quick, standard or full; what is given below takes its place.
        modes: train, infer.
        precisions: float32, mixed_bfloat16, mixed_float16.
        xla: True, False, None (what is fastest on the device).
        batch_sizes: images per step.
        device: auto, cpu, gpu or gpu:N.
        rounds: processes per cell.
        seconds: steady measurement in each.
        time_budget: seconds after which no further process is started; what is left is skipped.
        timeout: seconds that one process may take.
        until: a test accuracy (0 to 1): instead of the matrix, train each model until it is reached.
        accuracy: beside the matrix, train each model to its recipe's end.
        recipe: what is trained by for `until` and `accuracy`.
        seeds: trainings of each model.
        data_dir: a folder of files to read the dataset from, for trainings.
        output: a file for the record, JSON lines, written anew after each process; what is there is replaced.
        command: the command line that asks for this, for the record.
        announce: receives a line for each process.

    Returns:
        The document that ``zoo/benchmarking/schema.json`` describes.

    Raises:
        ZooError: a name or value is not what it must be, or the record cannot be written.
        BenchmarkInterrupted: Ctrl-C (a KeyboardInterrupt); it carries the document, and the record is written.
    """
    names = matrix.find_models(models)
    axes = {"modes": modes, "precisions": precisions, "xla": xla, "batch_sizes": batch_sizes}
    given = {name: tuple(dict.fromkeys(values)) for name, values in axes.items()}
    chosen = matrix.choose(preset, **given, rounds=rounds, seconds=seconds)
    matrix.check_positive("timeout", timeout)
    if time_budget is not None:
        matrix.check_positive("time_budget", time_budget)
    executor = Subprocesses(timeout)
    trainings = Trainings(
        names if until is not None or accuracy else [],
        until=until,
        recipe=recipe,
        seeds=seeds,
        device=device,
        overrides=_overrides(given, accuracy, rounds, seconds) if until is not None else {},
        data_dir=data_dir,
        executor=executor,
    )
    cells = [] if until is not None else chosen.cells(names, device)
    bench = Bench(chosen, cells, trainings, preset, time_budget, executor, command, announce or (lambda _line: None))
    return bench.run(device, Path(output) if output is not None else None)


def _overrides(
    given: Mapping[str, tuple[Any, ...]], accuracy: bool, rounds: int | None, seconds: float | None
) -> dict[str, Any]:
    """Return what the matrix's options mean for trainings to a target, each of which is done in one way.

    Raises:
        RecipeError: an option that means nothing to them.
    """
    meaningless = {"mode": given["modes"], "accuracy": accuracy, "rounds": rounds, "seconds": seconds}
    for name, value in meaningless.items():
        if value:
            raise RecipeError(
                f"until trains models instead of measuring steps: {name} means nothing to it. Leave it out."
            )
    overrides: dict[str, Any] = {}
    for name, field in (("precisions", "precision"), ("xla", "xla"), ("batch_sizes", "batch_size")):
        if len(given[name]) > 1:
            raise RecipeError(f"until trains a model in one way, received {field} {given[name]}. Choose one.")
        if given[name]:
            overrides[field] = given[name][0]
    return overrides


@dataclasses.dataclass
class Measured:
    """What is known of a cell so far."""

    cell: Cell
    batch_size: int  # that fits
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    rounds: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    status: str = "skipped"
    reason: str | None = "it was not measured before the time was over"

    def entry(self, peaks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return this as the document has it."""
        retried = self.cell.batch_size if self.batch_size != self.cell.batch_size else None
        return record.cell_entry(
            self.cell,
            self.facts,
            self.rounds,
            status=self.status,
            reason=self.reason,
            retried_from=retried,
            peaks=peaks,
        )


class Bench:
    """One benchmark, from its first process to its document."""

    def __init__(
        self,
        chosen: Matrix,
        cells: Sequence[Cell],
        trainings: Trainings,
        preset: str,
        time_budget: float | None,
        executor: Subprocesses,
        command: str,
        announce: Callable[[str], None],
    ) -> None:
        self.matrix, self.trainings, self.announce, self.executor = chosen, trainings, announce, executor
        self.cells = [Measured(cell, cell.batch_size) for cell in cells]
        self.peaks: dict[str, list[float]] = {}
        self.machine: dict[str, Any] = {"device": "cpu", "gpu": None, "onednn": True}
        self._ends = time.monotonic() + time_budget if time_budget is not None else None
        self._head = {
            "schema": record.SCHEMA,
            "command": command,
            "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
            "settings": {
                "preset": preset,
                "rounds": chosen.rounds,
                "seconds": chosen.seconds,
                "time_budget_s": time_budget,
                "timeout_s": executor.timeout,
                "seeds": trainings.seeds if trainings.models else None,
            },
        }

    def run(self, device: str, path: Path | None) -> dict[str, Any]:
        """Do it all; see `benchmark`."""
        try:
            self._look_at_machine(device)
            total = self.matrix.rounds * len(self.cells) + len(self.trainings.turns)
            for number, line in enumerate(self._turns(device), start=1):
                self._keep(path)
                self.announce(f"[{number}/{total}] {line}")
        except KeyboardInterrupt:
            self._keep(path)
            raise BenchmarkInterrupted(self.document()) from None
        self._keep(path)
        return self.document()

    def _turns(self, device: str) -> Iterator[str]:
        """Measure in rounds, the cells' order moved on by one each time; yield a line for each process."""
        for number in range(self.matrix.rounds if self.cells else 0):
            if number and self._in_time():
                self._look_again(device)
            first = number % len(self.cells)
            for measured in self.cells[first:] + self.cells[:first]:
                if not self._in_time():
                    return
                yield self._measure(measured, number)
        for model, seed in self.trainings.turns:
            if not self._in_time():
                return
            yield self.trainings.train(model, seed)

    def _in_time(self) -> bool:
        return self._ends is None or time.monotonic() < self._ends

    def _look_at_machine(self, device: str) -> None:
        """Measure the peaks once more.

        Raises:
            DeviceError: the device is not there, or TensorFlow does not run at all.
        """
        dtypes = sorted({measured.cell.precision.removeprefix("mixed_") for measured in self.cells}, reverse=True)
        (outcome,) = self.executor.map([Job("describe_machine", {"device": device, "dtypes": dtypes})])
        if outcome.status != "ok":
            raise DeviceError(f"This machine cannot be measured: {str(outcome.reason).rstrip('.')}. See zoo doctor.")
        self.machine = {name: outcome.result[name] for name in self.machine}
        for dtype, peak in outcome.result["peaks"].items():
            self.peaks.setdefault(dtype, []).append(peak)

    def _look_again(self, device: str) -> None:
        """Measure the peaks in a later round too; where that fails once, the others have to do."""
        try:
            self._look_at_machine(device)
        except DeviceError as error:
            self.announce(str(error))

    def _measure(self, measured: Measured, number: int) -> str:
        """Measure one round of a cell, with half the batch as often as memory runs out."""
        if measured.status not in ("ok", "skipped"):
            return f"{measured.cell}: not tried again"
        while True:
            cell = dataclasses.replace(measured.cell, batch_size=measured.batch_size)
            job = Job("measure_cell", {"cell": dataclasses.asdict(cell), "seconds": self.matrix.seconds})
            (outcome,) = self.executor.map([job])
            measured.status, measured.reason = outcome.status, outcome.reason
            smallest = max(1, measured.cell.batch_size >> MOST_HALVINGS)
            if outcome.status != "out_of_memory" or measured.batch_size <= smallest or not self._in_time():
                break
            measured.batch_size //= 2
            measured.rounds.clear()  # of a batch that fitted once and no longer does
            self.announce(f"{cell}: out of memory, trying batch {measured.batch_size}")
        if outcome.status != "ok":
            return f"{cell}: {outcome.status.replace('_', ' ')}: {outcome.reason}"
        result = outcome.result
        measured.facts = {name: result[name] for name in record.FACTS}
        measured.rounds.append({"round": number, **result["round"]})
        speed = measured.batch_size / statistics.median(result["round"]["step_s"])
        return f"{cell}: {speed:,.0f} images/s"

    def _keep(self, path: Path | None) -> None:
        if path is not None:
            record.write(self.document(), path)

    def document(self) -> dict[str, Any]:
        """Return what is known now."""
        device = self.machine["device"]
        peaks = [
            {"device": device, "dtype": dtype, "flops_per_s": statistics.median(values), "rounds": list(values)}
            for dtype, values in self.peaks.items()
        ]
        cells = [measured.entry(peaks) for measured in self.cells]
        trainings = self.trainings.entries()
        facts = {name: value for name, value in self.machine.items() if name != "device"}
        surroundings = {**environment(), **facts, "plugins": _plugins([*cells, *trainings])}
        document = {**self._head, "environment": surroundings, "peaks": peaks, "cells": cells, "trainings": trainings}
        result: dict[str, Any] = plain(document)
        return result


def _plugins(entries: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The distributions whose models were measured, zoo's own aside, with their versions."""
    origins = {str(entry["origin"]) for entry in entries if entry["origin"]}
    pairs = (origin.partition(" ")[::2] for origin in sorted(origins))
    return {name: version for name, version in pairs if name != "cnn-zoo"}


def all_measured(document: Mapping[str, Any]) -> bool:
    """Whether nothing failed; what the user's own time budget left out is no failure."""
    entries = [*document["cells"], *document["trainings"]]
    return all(entry["status"] in ("ok", "skipped") for entry in entries)
