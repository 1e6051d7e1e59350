"""The jobs of a benchmark; each returns JSON-serializable values. Imports TensorFlow."""

from __future__ import annotations

import os
import resource
import sys
from typing import Any

import tensorflow as tf

from zoo import registry
from zoo.benchmarking import hardware
from zoo.benchmarking.matrix import Cell
from zoo.benchmarking.timing import measure_steady
from zoo.benchmarking.workload import facts, onednn, prepare
from zoo.benchmarking.yardstick import yardstick
from zoo.data import prepare as prepare_dataset
from zoo.spec import Recipe
from zoo.training.devices import place, synchronize


def describe_machine(device: str, dtypes: list[str]) -> dict[str, Any]:
    """Return the resolved `device`, the `gpu` or None, `onednn`, and `peaks`: FLOP/s of a matrix product by dtype."""
    placement = place(Recipe(), device=device)
    return {
        "device": placement.device,
        "gpu": hardware.gpu(placement),
        "onednn": onednn(),
        "peaks": hardware.measure_peaks(dtypes, placement),
    }


def measure_cell(cell: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Measure one cell for so many seconds; return its facts, and under `round` what was measured."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    asked = Cell(**cell)
    workload, spec, placement = prepare(asked)
    _forget_peak_device_bytes(placement.device)
    with tf.device(placement.tensorflow_device):
        beside = yardstick()
    steady = measure_steady(workload.run, seconds=seconds, synchronize=synchronize, yardstick=beside)
    measured = {
        "first_call_s": workload.first_call_s,
        "steps_per_block": steady.steps_per_block,
        "warm_up_steps": steady.warm_up_steps,
        "steady": steady.steady,
        "step_s": steady.step_s,
        "yardstick_s": steady.yardstick_s,
        "peak_host_bytes": _peak_host_bytes(),
        "peak_device_bytes": _peak_device_bytes(placement.device),
        "load": load,
    }
    return {**facts(asked, spec, placement), "round": measured}


def fetch(model: str, recipe: str) -> None:
    """Put the dataset of a model's recipe into the cache, so that no training's clock sees the network."""
    prepare_dataset(registry.get(model).recipe(recipe).data.dataset)


def _peak_host_bytes() -> int:
    """The largest resident set of this process so far; Linux counts in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _peak_device_bytes(device: str) -> int | None:
    """The most memory that TensorFlow has held on a GPU at once; it keeps no count for the CPU."""
    if device == "cpu":
        return None
    return int(tf.config.experimental.get_memory_info(device.upper())["peak"])


def _forget_peak_device_bytes(device: str) -> None:
    """Begin to count anew: what building and the first step held is not what a step needs."""
    if device != "cpu":
        tf.config.experimental.reset_memory_stats(device.upper())
