"""Benchmark documents by hand, as ``zoo bench --format json`` prints them, for tests that measure nothing."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

ENVIRONMENT = {
    "zoo": "0.1.0",
    "commit": "0123456789abcdef",
    "modified": False,
    "python": "3.11.7",
    "tensorflow": "2.21.0",
    "keras": "3.15.1",
    "numpy": "2.3.0",
    "platform": "Linux-6.1-x86_64",
    "machine": "x86_64",
    "cpu": "A CPU",
    "cpu_features": ["avx2", "avx512f", "avx512_bf16"],
    "cpus_logical": 2,
    "cpus_physical": 1,
    "cpus_allowed": 2,
    "cpu_quota": None,
    "memory_gib": 8.0,
    "onednn": True,
    "gpu": None,
    "plugins": {},
}

PEAKS = {"float32": 1.5e11, "bfloat16": 3.75e11, "float16": 1.0e11}
FACTS = {"mlp": (101_770, 101_632), "lenet5": (61_706, 416_520), "simple_cnn": (121_930, 2_528_000)}


def cell(
    model: str = "lenet5",
    mode: str = "train",
    *,
    precision: str = "float32",
    xla: bool | None = False,
    batch_size: int = 128,
    rounds: Sequence[Sequence[float]] = ((0.010, 0.011, 0.010), (0.012, 0.010, 0.011)),
    **changes: Any,
) -> dict[str, Any]:
    """A cell whose blocks took these seconds per step, round by round."""
    steps = sorted(step for blocks in rounds for step in blocks)
    median = statistics.median(steps)
    params, macs = FACTS.get(model, (1_000, 2_000))
    dtype = precision.removeprefix("mixed_")
    flops = 2 * (3 if mode == "train" else 1) * macs * batch_size / median
    quarter = statistics.quantiles(steps, n=4, method="inclusive")
    document = {
        "kind": "cell",
        "model": model,
        "origin": "cnn-zoo 0.1.0",
        "mode": mode,
        "requested": {"precision": precision, "xla": xla, "batch_size": batch_size, "device": "auto"},
        "resolved": {
            "precision": precision,
            "compute_dtype": dtype,
            "xla": bool(xla),
            "batch_size": batch_size,
            "device": "cpu",
            "device_name": "A CPU",
            "threads": {"intra_op": 2, "inter_op": 2, "cores": 2},
            "onednn": True,
            "loss_scaling": precision == "mixed_float16",
        },
        "status": "ok",
        "reason": None,
        "retried_from": None,
        "params": params,
        "trainable_params": params,
        "macs": macs,
        "first_call_s": {"median": 1.5, "n": len(rounds), "values": [1.5] * len(rounds)},
        "step_s": {
            "median": median,
            "q1": quarter[0],
            "q3": quarter[2],
            "iqr": quarter[2] - quarter[0],
            "p50": median,
            "p90": steps[-1],
            "p95": steps[-1],
            "p99": steps[-1],
            "min": steps[0],
            "max": steps[-1],
            "n": len(steps),
        },
        "images_per_s": batch_size / median,
        "flops_per_s": flops,
        "peak_share": flops / PEAKS[dtype],
        "peak_host_bytes": 900_000_000,
        "peak_device_bytes": None,
        "rounds": [
            {
                "round": number,
                "first_call_s": 1.5,
                "steps_per_block": 8,
                "warm_up_steps": 24,
                "steady": True,
                "step_s": list(blocks),
                "peak_host_bytes": 900_000_000,
                "peak_device_bytes": None,
                "load": 0.5,
            }
            for number, blocks in enumerate(rounds)
        ],
    }
    return document | changes


def failed_cell(status: str, reason: str, **facts: Any) -> dict[str, Any]:
    """A cell that came to nothing, and why."""
    empty = dict.fromkeys(
        (
            "resolved", "params", "trainable_params", "macs", "first_call_s", "step_s", "images_per_s", "flops_per_s",
            "peak_share", "peak_host_bytes", "peak_device_bytes",
        )
    )  # fmt: skip
    return cell(**facts) | empty | {"status": status, "reason": reason, "rounds": []}


def training(
    model: str = "lenet5",
    *,
    target: float | None = 0.99,
    seconds: Sequence[float | None] = (10.0, 12.0, None),
    accuracy: float = 0.991,
    **changes: Any,
) -> dict[str, Any]:
    """A model trained once per entry of `seconds`; None stands for a seed that did not reach the target."""
    reached = [value for value in seconds if value is not None]
    runs = [
        {
            "seed": seed,
            "reached": value is not None,
            "epochs": 5,
            "training_s": 15.0 if value is None else value,
            "total_s": 20.0 if value is None else value + 4,
            "test_accuracy": accuracy if value is not None else (target or 1.0) - 0.001,
            "error": None,
        }
        for seed, value in enumerate(seconds)
    ]
    params, macs = FACTS.get(model, (1_000, 2_000))
    document = {
        "kind": "training",
        "model": model,
        "origin": "cnn-zoo 0.1.0",
        "recipe": "default",
        "dataset": "mnist",
        "target": target,
        "resolved": {"precision": "float32", "xla": False, "batch_size": 128, "device": "cpu", "device_name": "A CPU"},
        "status": "ok",
        "reason": None,
        "params": params,
        "macs": macs,
        "runs": runs,
        "training_s": distribution(reached),
        "total_s": distribution([value + 4 for value in reached]),
        "test_accuracy": distribution([run["test_accuracy"] for run in runs]),
        "failures": len(seconds) - len(reached),
    }
    return document | changes


def distribution(values: Sequence[float]) -> dict[str, Any] | None:
    """What a training's runs come to; None of nothing."""
    if not values:
        return None
    return {
        "mean": statistics.fmean(values),
        "standard_deviation": statistics.stdev(values) if len(values) > 1 else None,
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "n": len(values),
    }


def document(*entries: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A whole document of these cells and trainings."""
    whole = {
        "schema": "zoo.benchmark/1",
        "command": "zoo bench lenet5 --preset quick",
        "date": "2026-11-24 20:10 UTC",
        "settings": {
            "preset": "quick",
            "rounds": 2,
            "seconds": 1.0,
            "time_budget_s": None,
            "timeout_s": 300.0,
            "seeds": None,
        },
        "environment": ENVIRONMENT,
        "peaks": [
            {"device": "cpu", "dtype": dtype, "flops_per_s": peak, "rounds": [peak, peak]}
            for dtype, peak in PEAKS.items()
        ],
        "cells": [entry for entry in entries if entry["kind"] == "cell"],
        "trainings": [entry for entry in entries if entry["kind"] == "training"],
    }
    return whole | changes
