"""Compare the conditions of two benchmarks: machine, versions, settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Document = Mapping[str, Any]

SIDES = ("old", "new")

MACHINE = ("machine", "cpu", "cpu_features", "cpus_allowed", "cpu_quota")
VERSIONS = ("zoo", "commit", "modified", "python", "tensorflow", "keras", "numpy", "platform")
GPU_MACHINE = ("name", "compute_capability")
GPU_VERSIONS = ("driver", "cuda", "cudnn")
SETTINGS = ("preset", "rounds", "seconds")
"""Those that say how much was measured; a budget that ran out shows as skipped cells."""

RESOLVED = ("precision", "compute_dtype", "xla", "batch_size", "device", "onednn", "loss_scaling")
OF_THE_MACHINE = ("device_name", "threads")
"""What a cell ran with that follows from the machine, so that it may differ where two machines are compared anyway."""

SAME_MEMORY = 0.05
"""Relative: a kernel keeps a little more or less of the same memory to itself."""

NOTABLE_PEAK = 1.1
"""By how many times the machine's own speed must differ between two records to be worth a warning."""


def machine_differences(old: Document, new: Document) -> list[dict[str, Any]]:
    """Return what makes the two another machine, each with `name`, `old` and `new`."""
    sides = [{name: side["environment"].get(name) for name in MACHINE} for side in (old, new)]
    for fields, side in zip(sides, (old, new), strict=True):
        fields["cpu_features"] = sorted(fields["cpu_features"] or [])
        fields |= _of_gpu(side, GPU_MACHINE)
    rows = _differing(*sides)
    memory = [side["environment"]["memory_gib"] for side in (old, new)]
    if abs(memory[0] - memory[1]) > SAME_MEMORY * max(memory):
        rows.append({"name": "memory_gib", "old": memory[0], "new": memory[1]})
    return rows


def version_differences(old: Document, new: Document) -> list[dict[str, Any]]:
    """Return which software differs: zoo and its commit, Python, TensorFlow, the operating system, drivers, plugins.

    The platform counts here, since it names the kernel's version, and that of the C library.
    """
    sides = [
        {name: side["environment"].get(name) for name in VERSIONS}
        | _of_gpu(side, GPU_VERSIONS)
        | {f"plugin {name}": version for name, version in side["environment"]["plugins"].items()}
        for side in (old, new)
    ]
    return _differing(*sides)


def settings_differences(old: Document, new: Document) -> list[dict[str, Any]]:
    """Return what was asked for otherwise: how much was measured, and whether oneDNN's kernels were to be used."""
    sides = [
        {name: side["settings"][name] for name in SETTINGS} | {"onednn": side["environment"]["onednn"]}
        for side in (old, new)
    ]
    return _differing(*sides)


def peak_differences(old: Document, new: Document) -> list[dict[str, Any]]:
    """Return each matrix product that both measured: `device`, `dtype`, FLOP/s `old` and `new`, `ratio` new / old."""
    before = {(peak["device"], peak["dtype"]): peak["flops_per_s"] for peak in old["peaks"]}
    rows = []
    for peak in new["peaks"]:
        reached = before.get((peak["device"], peak["dtype"]))
        if reached and peak["flops_per_s"]:
            sides = {"old": reached, "new": peak["flops_per_s"], "ratio": peak["flops_per_s"] / reached}
            rows.append({"device": peak["device"], "dtype": peak["dtype"], **sides})
    return rows


def machine_cautions(peaks: list[dict[str, Any]]) -> list[str]:
    """Say where the machine itself was faster or slower.

    The ratios of steps are not divided by that. A peak is the best of several large products in a process of its own,
    taken once per round: it misses what slows down a step some seconds later, and a step that waits for memory or for
    other threads does not follow it. The yardstick is for that, see `zoo.benchmarking.drift`.
    """
    cautions = []
    for peak in peaks:
        ratio = peak["ratio"]
        if max(ratio, 1 / ratio) > NOTABLE_PEAK:
            how = f"{ratio - 1:.0%} faster" if ratio > 1 else f"{1 - ratio:.0%} slower"
            cautions.append(
                f"The machine itself was {how} in new ({peak['dtype']} matrix products on {peak['device']}: "
                f"{peak['old'] / 1e9:,.0f}, then {peak['new'] / 1e9:,.0f} GFLOP/s): changes of that size say nothing "
                "about the models. Measure both again, one right after the other."
            )
    return cautions


def no_result(pair: Mapping[str, Document]) -> str:
    """Say which side has nothing to compare, or return an empty string."""
    reasons = [
        f"{side}: {each['status'].replace('_', ' ')}" + (f" ({each['reason']})" if each["reason"] else "")
        for side, each in pair.items()
        if each["status"] != "ok"
    ]
    return "; ".join(reasons)


def other_settings(pair: Mapping[str, Document], *, other_machine: bool) -> str:
    """Say what ran otherwise although the same was asked for, or return an empty string."""
    old, new = (each["resolved"] or {} for each in pair.values())
    names = RESOLVED if other_machine else RESOLVED + OF_THE_MACHINE
    reasons = [f"{name} was {old.get(name)}, then {new.get(name)}" for name in names if old.get(name) != new.get(name)]
    retried = [side for side, each in pair.items() if each.get("retried_from")]
    if reasons and retried:
        reasons.append(f"memory ran out in {' and '.join(retried)}")
    return "; ".join(reasons)


def about_networks(pair: Mapping[str, Document]) -> list[str]:
    """Say so where the two sides measured two networks, as after a change of the model."""
    old, new = pair.values()
    changed = [
        f"{old[name]:,}, then {new[name]:,} {words}"
        for name, words in (("params", "parameters"), ("macs", "MACs"))
        if old[name] is not None and new[name] is not None and old[name] != new[name]
    ]
    return [f"The network itself changed: {'; '.join(changed)}."] if changed else []


def about_warm_up(pair: Mapping[str, Document]) -> list[str]:
    """Say so where a cell was timed before its steps had stopped getting faster."""
    unsteady = [side for side, cell in pair.items() if not all(each["steady"] for each in cell["rounds"])]
    return [f"In {' and '.join(unsteady)} steps were still getting faster when the timing began."] if unsteady else []


def _of_gpu(side: Document, names: tuple[str, ...]) -> dict[str, Any]:
    gpu = side["environment"]["gpu"] or {}
    return {f"gpu {name}": gpu.get(name) for name in names}


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[dict[str, Any]]:
    names = dict.fromkeys([*old, *new])
    sides = ((name, old.get(name), new.get(name)) for name in names)
    return [{"name": name, "old": before, "new": after} for name, before, after in sides if before != after]
