"""Where the time of a training step goes, beside what arithmetic and memory would allow.

    python benchmarks/floors.py --output benchmarks/floors.md

For every model and batch size, in a process of its own: seconds per step as zoo trains, then the same steps under
TensorFlow's profiler, whose record of every operation on every thread is added up by kind. Two floors stand beside
them: the step's multiplications at the rate of a large matrix product on this machine, and the bytes that Adam has to
move at the rate of a large copy.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import turns

from zoo.utils.files import atomic_write

CELLS = tuple((model, batch) for model in ("mlp", "lenet5", "simple_cnn") for batch in (32, 128))
OPERATIONS_PER_MAC = 6  # a multiplication and an addition, forward, by the weights, and by the inputs
BYTES_PER_PARAMETER = 7 * 4  # gradient, weight and two moments are read, the last three written
STRETCHES, STRETCH_S = 5, 1.0
COPIED = 2**28  # bytes, several times the caches

KINDS = {
    "convolutions": r"Conv2D$|FusedConv2D$",
    "their gradients": r"Conv2DBackprop",
    "matrix products": r"MatMul",
    "pooling": r"Pool$",
    "its gradient": r"PoolGrad",
    "gradients of biases": r"BiasAddGrad",
    "Adam": r"ApplyAdam",
    "drawing the batch": r"Gather|Cast$|Slice$",
}
"""How the table calls what the operations' types match; the rest are other operations."""


def measure_machine(precision: str) -> dict[str, float]:
    """Return the FLOP/s of a large matrix product in that precision, and the bytes per second of a large copy."""
    from zoo.benchmarking.hardware import measure_peaks
    from zoo.spec.recipe import Recipe
    from zoo.training.devices import place

    dtype = precision.removeprefix("mixed_")
    peaks = measure_peaks([dtype], place(Recipe(), device="cpu"))
    return {"flops_per_s": peaks[dtype], "bytes_per_s": copied_per_second()}


def measure_cell(precision: str, model: str, batch_size: int) -> dict[str, Any]:
    """Return seconds per step, and microseconds of each operation's type in a step."""
    from zoo.benchmarking.matrix import Cell
    from zoo.benchmarking.workload import facts, prepare
    from zoo.training.devices import threads

    cell = Cell(model, "train", precision, False, batch_size, "cpu")
    workload, spec, placement = prepare(cell)
    workload.run(50)
    steps = max(10, round(STRETCH_S / timed(workload, 50)))
    seconds = [timed(workload, steps) for _ in range(STRETCHES)]
    kinds, profiled = profile(workload, min(steps, 300))
    known = facts(cell, spec, placement)
    return {"seconds": seconds, "profiled_s": profiled, "types": kinds, "threads": threads()} | {
        key: known[key] for key in ("params", "macs")
    }


def timed(workload: Any, steps: int) -> float:
    """Return the seconds of a step."""
    began = time.perf_counter()
    workload.run(steps)
    return (time.perf_counter() - began) / steps


def profile(workload: Any, steps: int) -> tuple[dict[str, list[float]], float]:
    """Return microseconds and calls per step by type of operation, and the seconds of a step while it was recorded."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        took = timed(workload, steps)
        tf.profiler.experimental.stop()
        (record,) = Path(folder).rglob("*.xplane.pb")
        spent, calls = add_up(record)
    return {kind: [spent[kind] / steps, calls[kind] / steps] for kind in spent}, took


def add_up(record: Path) -> tuple[Counter[str], Counter[str]]:
    """Return the microseconds and the calls of every type of operation in a profile; their names end in ``:Type``."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace()
    space.ParseFromString(record.read_bytes())
    spent: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    for plane in space.planes:
        if not plane.name.startswith("/host:CPU"):
            continue
        for line in plane.lines:
            for event in line.events:
                match = re.fullmatch(r"[\w/.-]+:(_?[A-Z]\w*)", plane.event_metadata[event.metadata_id].name)
                if match:
                    spent[match[1]] += event.duration_ps / 1e6
                    calls[match[1]] += 1
    return spent, calls


def copied_per_second() -> float:
    """Return the bytes, read and written, that two threads together can copy per second: the best of several."""
    sources = [np.ones(COPIED // 8) for _ in range(2)]
    targets = [np.zeros(COPIED // 8) for _ in range(2)]
    best = 0.0
    with ThreadPoolExecutor(2) as pool:
        for _ in range(5):
            began = time.perf_counter()
            list(pool.map(np.copyto, targets, sources))
            best = max(best, 2 * 2 * COPIED / (time.perf_counter() - began))
    return best


def row(model: str, batch: int, found: Mapping[str, Any], machine: Mapping[str, float]) -> str:
    """One line: measured, the two floors, and what share of the measured time they are."""
    step = statistics.median(found["seconds"])
    arithmetic = OPERATIONS_PER_MAC * found["macs"] * batch / machine["flops_per_s"]
    memory = BYTES_PER_PARAMETER * found["params"] / machine["bytes_per_s"]
    spread = f"{1e6 * min(found['seconds']):,.0f} to {1e6 * max(found['seconds']):,.0f}"
    cells = [f"{1e6 * step:,.0f} ({spread})", f"{1e6 * arithmetic:,.0f}", f"{1e6 * memory:,.0f}"]
    cells += [f"{(arithmetic + memory) / step:.0%}", f"{batch / step:,.0f}"]
    return f"| {model} | {batch} | {' | '.join(cells)} |"


def shares(found: Mapping[str, Any], cores: int) -> dict[str, float]:
    """Return the share of all cores' time in a step that each kind takes; what is left over, no operation ran."""
    total = found["profiled_s"] * 1e6 * cores
    spent = dict.fromkeys([*KINDS, "other operations"], 0.0)
    for name, (microseconds, _) in found["types"].items():
        kind = next((kind for kind, pattern in KINDS.items() if re.search(pattern, name)), "other operations")
        spent[kind] += microseconds / total
    return spent | {"no operation": 1 - sum(spent.values())}


def largest(found: Mapping[str, Any], count: int = 6) -> str:
    """Return the types that take longest, in words: microseconds of all cores and calls in a step."""
    ranked = sorted(found["types"].items(), key=lambda item: -item[1][0])[:count]
    return ", ".join(f"{name} {microseconds:,.0f} ({calls:.0f})" for name, (microseconds, calls) in ranked)


def page(cells: Mapping[tuple[str, int], Mapping[str, Any]], machine: Mapping[str, float], precision: str) -> list[str]:
    """Return the lines of the page."""
    cores = next(iter(cells.values()))["threads"]["cores"]
    columns = [f"{model}, {batch}" for model, batch in cells]
    kinds = {cell: shares(found, cores) for cell, found in cells.items()}
    names: Iterable[str] = next(iter(kinds.values()))
    slower = [found["profiled_s"] / statistics.median(found["seconds"]) for found in cells.values()]
    return [
        "# Where a step's time goes",
        "",
        f"`python benchmarks/floors.py{'' if precision == 'float32' else f' --precision {precision}'}`",
        "",
        f"{turns.circumstances()}; training, {precision}; medians (minimum to maximum) of {STRETCHES} stretches of "
        f"about {STRETCH_S:g} s. A large matrix product reaches {machine['flops_per_s'] / 1e9:,.0f} GFLOP/s, and two "
        f"threads copy {machine['bytes_per_s'] / 1e9:,.1f} GB/s, read and written.",
        "",
        "| model | batch | µs per step | arithmetic | memory | floors of measured | images/s |",
        "|---|--:|--:|--:|--:|--:|--:|",
        *(row(*cell, found, machine) for cell, found in cells.items()),
        "",
        f"The floors: {OPERATIONS_PER_MAC} operations per multiply-accumulate, and {BYTES_PER_PARAMETER} bytes per "
        "parameter, which small networks keep in the cache.",
        "",
        f"Shares of {cores} cores' time while the profiler recorded, which made steps {min(slower):.2f} to "
        f"{max(slower):.2f} times as long:",
        "",
        f"| | {' | '.join(columns)} |",
        "|---|" + "--:|" * len(columns),
        *(f"| {name} | {' | '.join(f'{kinds[cell][name]:.0%}' for cell in cells)} |" for name in names),
        "",
        "The longest operations, in microseconds of all cores per step, and how often one is called:",
        "",
        *(f"- `{model}`, {batch}: {largest(found)}." for (model, batch), found in cells.items()),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--precision", default="float32", choices=("float32", "mixed_bfloat16"))
    parser.add_argument("--output", type=Path, help="a file for the page, Markdown")
    parser.add_argument(turns.WORKER, type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        measure = measure_machine if len(arguments.worker) == 1 else measure_cell
        print(json.dumps(measure(*arguments.worker)))
        return
    machine = turns.ask(__file__, [arguments.precision])
    cells = {cell: turns.ask(__file__, [arguments.precision, *cell]) for cell in CELLS}
    lines = page(cells, machine, arguments.precision)
    print("\n".join(lines))
    if arguments.output:
        atomic_write(arguments.output, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
