"""The notes around benchmark tables: machine, method, failures, caveats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from zoo.report.benchmark.columns import Document, Table, actual, percent, status
from zoo.report.shared.numbers import significant

NAMED = 4
"""A sentence names so many cells, and counts the others."""

CELL_LEGEND = (
    "step ms is the median over n blocks of steps, each ended with the device synchronised; IQR (the middle half) and "
    "p50 to p99 are in ms too. first s is tracing, compiling and the first step, which no other number contains.",
    "host MiB is the largest resident set, TensorFlow itself included. FLOP/s count 2 per multiply-accumulate (MAC) "
    "and three forward passes for a training step; % of peak is their share of what a large matrix product of the same "
    "type reaches on this machine.",
)
TRAINING_LEGEND = (
    "training s (speedrun): seconds of training only; compiling and evaluation are outside the clock.",
    "total s (MLPerf): seconds from data to target, that is from before the data is touched until the target (or the "
    "recipe's end) is reached, compiling and evaluation included.",
    "Each as median, and mean ± standard deviation (least–most) over the seeds that reached the target; test accuracy "
    "as mean ± standard deviation (seeds) over all that finished.",
)


VERSIONS = {"zoo": "zoo", "tensorflow": "TensorFlow", "keras": "Keras", "numpy": "NumPy", "python": "Python"}
GPU = {"driver": "driver", "cuda": "CUDA", "cudnn": "cuDNN", "compute_capability": "compute capability"}


def machine(document: Document) -> str:
    """Return the machine and its software in one line."""
    return "; ".join([hardware(document), str(document["environment"]["platform"]), versions(document)])


def versions(document: Document) -> str:
    """Return the versions of what was measured."""
    known = document["environment"]
    return ", ".join(f"{title} {known[key]}" for key, title in VERSIONS.items() if known.get(key))


def hardware(document: Document) -> str:
    """Return processor, memory and GPU."""
    known = document["environment"]
    cpus = known["cpus_allowed"]
    parts = [f"{known['cpu']} ({cpus} CPU{'s' if cpus != 1 else ''}), {known['memory_gib']} GiB"]
    gpu = known["gpu"]
    if gpu is not None:
        details = [f"{name} {gpu[key]}" for key, name in GPU.items() if gpu[key]]
        parts.append(f"{gpu['name']} ({', '.join(details)})" if details else gpu["name"])
    return "; ".join(parts)


def commit(document: Document) -> str:
    """Return the commit that was measured, or nothing where none is known."""
    known = document["environment"]
    return f"{known['commit'][:12]}{' with changes' if known.get('modified') else ''}" if known["commit"] else ""


def peaks(document: Document) -> str:
    """Return what a matrix product reached, or nothing when that was not measured."""
    found: dict[str, list[str]] = {}
    for peak in document["peaks"]:
        found.setdefault(peak["device"], []).append(f"{peak['dtype']} {significant(peak['flops_per_s'] / 1e9)}")
    devices = [f"{device}: {', '.join(speeds)} GFLOP/s" for device, speeds in found.items()]
    return f"Peak of a large matrix product on {'; '.join(devices)}." if devices else ""


def procedure(document: Document) -> str:
    """Return how much was measured of each cell, or nothing where there is none."""
    if not document["cells"]:
        return ""
    settings = document["settings"]
    rounds, seconds = settings["rounds"], settings["seconds"]
    times = f"{rounds} round{'s' if rounds != 1 else ''} of {seconds:g} s"
    budget = settings["time_budget_s"]
    limit = f" The whole had a budget of {budget:g} s." if budget is not None else ""
    return (
        f"Preset {settings['preset']}: each cell was measured in {times}, each in a process of its own, in turns with "
        f"the other cells.{limit}"
    )


def in_common(table: Table) -> str:
    """Return what holds for every row of a table, or nothing."""
    return f"In all rows: {'; '.join(table.in_common)}." if table.in_common and table.rows else ""


def cell_name(cell: Document) -> str:
    """Return a cell as it was asked for: "lenet5, train, float32, XLA, batch 128"."""
    asked = cell["requested"]
    xla = {None: "", True: ", XLA", False: ", no XLA"}[asked["xla"]]
    return f"{cell['model']}, {cell['mode']}, {asked['precision']}{xla}, batch {asked['batch_size']:,}"


def training_name(training: Document) -> str:
    """Return a training as it was asked for: "lenet5, recipe default, to 99%"."""
    end = "its end" if training["target"] is None else percent(training["target"])
    return f"{training['model']}, recipe {training['recipe']}, to {end}"


def failures(document: Document) -> list[str]:
    """Return a sentence for each cell and training that is not whole: what happened, and why."""
    named = [(cell_name(cell), cell) for cell in document["cells"]]
    named += [(f"training of {training_name(training)}", training) for training in document["trainings"]]
    return [
        f"{name}: {status(entry)}: {entry['reason'] or 'no reason is recorded'}"
        for name, entry in named
        if entry["status"] != "ok"
    ]


def notes(document: Document) -> list[str]:
    """Return what to be careful with: smaller batches, unsteady or disturbed rounds, missed targets."""
    return [
        *_cut_short(document),
        *_retried(document["cells"]),
        *_resolved_otherwise(document["cells"]),
        *_unsteady(document["cells"]),
        *_loaded(document),
        *_missed(document["trainings"]),
    ]


def _cut_short(document: Document) -> Iterator[str]:
    """Time budgets and Ctrl-C leave less measured than was asked for, of which no single row tells."""
    rounds, seeds = document["settings"]["rounds"], document["settings"]["seeds"] or 0
    measured = [cell for cell in document["cells"] if cell["status"] == "ok"]
    fewer = [len(cell["rounds"]) for cell in measured if len(cell["rounds"]) < rounds]
    if fewer:
        yield f"{len(fewer)} of {len(measured)} cells were measured in fewer than {rounds} rounds (least {min(fewer)})."
    for training in document["trainings"]:
        if training["status"] == "ok" and len(training["runs"]) < seeds:
            yield f"{training_name(training)}: only {len(training['runs'])} of {seeds} seeds were trained."


def _retried(cells: Sequence[Document]) -> Iterator[str]:
    for cell in cells:
        if cell["retried_from"] is not None and cell["rounds"]:
            size = actual("batch_size")(cell)
            yield f"{cell_name(cell)}: ran out of memory; measured with batch {size:,} instead."


def _resolved_otherwise(cells: Sequence[Document]) -> Iterator[str]:
    """Whatever ran differently from what was asked for; the batch has its own sentence."""
    for cell in cells:
        asked, ran = cell["requested"], cell["resolved"]
        if ran is None:
            continue
        if asked["precision"] != ran["precision"]:
            yield f"{cell_name(cell)}: what ran is {ran['precision']}."
        if asked["xla"] is not None and asked["xla"] != ran["xla"]:
            yield f"{cell_name(cell)}: what ran is {'with' if ran['xla'] else 'without'} XLA."


def _unsteady(cells: Sequence[Document]) -> Iterator[str]:
    found = []
    for cell in cells:
        restless = sum(not each["steady"] for each in cell["rounds"])
        if restless:
            found.append(f"{cell_name(cell)} ({restless} of {len(cell['rounds'])} rounds)")
    if found:
        yield f"Steps were still getting faster when the warm-up reached its limit: {_listed(found)}."


def _loaded(document: Document) -> Iterator[str]:
    cpus = document["environment"]["cpus_allowed"]
    loads = [each["load"] for cell in document["cells"] for each in cell["rounds"] if each["load"] is not None]
    high = [load for load in loads if load > cpus]
    if high:
        yield (
            f"{len(high)} of {len(loads)} rounds began with a load average above the {cpus} CPUs (up to "
            f"{max(high):.1f}): other programs may have taken their time."
        )


def _missed(trainings: Sequence[Document]) -> Iterator[str]:
    for training in trainings:
        if training["failures"] and training["runs"]:
            count = f"{training['failures']} of {len(training['runs'])} seeds"
            goal = "broke" if training["target"] is None else "did not reach the target"
            yield f"{training_name(training)}: {count} {goal}; they are not in its seconds."


def _listed(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return "; ".join(names[:NAMED]) + (f"; and {more} more" if more > 0 else "")
