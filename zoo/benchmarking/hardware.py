"""Measure the machine's peak throughput, and identify its GPU. Imports TensorFlow."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path
from typing import Any

import tensorflow as tf

from zoo.training.devices import Placement, synchronize

SMALLEST, LARGEST = 256, 8192  # sides of the square matrices
LONG_ENOUGH_S = 0.05
REPEATS = 7


def measure_peaks(dtypes: list[str], placement: Placement) -> dict[str, float]:
    """Return FLOP/s of a large matrix product for each dtype, the best of several.

    The matrices grow until a product takes long enough to be timed, so a slow dtype costs no minutes.

    Args:
        dtypes: float32, bfloat16 or float16.
        placement: its device is measured.
    """
    with tf.device(placement.tensorflow_device):
        return {dtype: _peak(dtype) for dtype in dtypes}


def _peak(dtype: str) -> float:
    side, seconds = SMALLEST, 0.0
    while True:
        matrix = tf.cast(tf.random.stateless_uniform((side, side), (0, 0)), dtype)
        product = tf.function(lambda left: tf.matmul(left, left), autograph=False).get_concrete_function(matrix)
        product(matrix)
        seconds = min(_timed(product, matrix) for _ in range(2))
        if seconds >= LONG_ENOUGH_S or side == LARGEST:
            break
        side *= 2
    best = min(seconds, *(_timed(product, matrix) for _ in range(REPEATS)))
    return float(2 * side**3 / best)


def _timed(product: Any, matrix: tf.Tensor) -> float:
    synchronize()
    began = time.perf_counter()
    product(matrix)
    synchronize()
    return time.perf_counter() - began


def gpu(placement: Placement) -> dict[str, str | None] | None:
    """Return the name, driver, CUDA, cuDNN and compute capability of a GPU; None for a CPU."""
    if placement.device == "cpu":
        return None
    number = int(placement.device.partition(":")[2])
    details = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[number])
    build = tf.sysconfig.get_build_info()
    capability = details.get("compute_capability")
    return {
        "name": details.get("device_name", ""),
        "driver": _driver(),
        "cuda": build.get("cuda_version"),
        "cudnn": build.get("cudnn_version"),
        "compute_capability": ".".join(map(str, capability)) if capability else None,
    }


def _driver() -> str | None:
    """The NVIDIA kernel driver's version, from the driver itself or from nvidia-smi."""
    try:
        text = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8")
    except OSError:
        command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        try:
            text = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
        except (OSError, subprocess.SubprocessError):
            return None
    found = re.search(r"\d+\.\d+(\.\d+)?", text)
    return found[0] if found else None
