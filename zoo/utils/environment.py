"""Describes the machine and the software versions for records, and explains why TensorFlow sees no GPU.

`environment` never imports TensorFlow: versions come from package metadata, so it is cheap enough for every record.
`why_no_gpu` imports it when called.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

CPU_FEATURES = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx_vnni",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
)
"""CPU features that determine the speed of convolutions and bfloat16, as named in /proc/cpuinfo."""

CUDA_LIBRARIES = {
    "libcudart.so.12": "nvidia-cuda-runtime-cu12",
    "libcublas.so.12": "nvidia-cublas-cu12",
    "libcudnn.so.9": "nvidia-cudnn-cu12",
    "libcufft.so.11": "nvidia-cufft-cu12",
    "libcusolver.so.11": "nvidia-cusolver-cu12",
    "libcusparse.so.12": "nvidia-cusparse-cu12",
}
"""Libraries that TensorFlow 2.21 loads for a GPU, and the packages of ``tensorflow[and-cuda]`` with them."""


def environment() -> dict[str, Any]:
    """Return a description of machine and software to store with a result, ready for JSON.

    ``zoo``, ``tensorflow``, ``keras``, ``numpy`` and ``python`` are versions (None: not installed);
    ``commit`` is zoo's git commit and ``modified`` whether files differ from it (both None outside a
    checkout); ``cpu`` is the processor's model name, ``cpu_features`` those of `CPU_FEATURES` it has;
    ``cpus_logical``, ``cpus_physical`` and ``cpus_allowed`` are counts, ``cpu_quota`` the number of
    cores' worth of time that a container may use (None: no limit); ``memory_gib`` is the total in GiB.
    """
    commit, modified = _commit()
    flags = _cpuinfo().get("flags", "").split()
    return {
        "zoo": version("cnn-zoo"),
        "commit": commit,
        "modified": modified,
        "python": platform.python_version(),
        "tensorflow": version("tensorflow") or version("tensorflow-cpu"),
        "keras": version("keras"),
        "numpy": version("numpy"),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu": cpu_name(),
        "cpu_features": [feature for feature in CPU_FEATURES if feature in flags],
        "cpus_logical": os.cpu_count(),
        "cpus_physical": _physical_cores(),
        "cpus_allowed": cpus_allowed(),
        "cpu_quota": cpu_quota(),
        "memory_gib": _memory_gib(),
    }


def version(distribution: str) -> str | None:
    """Return the installed version of a distribution without importing it, or None."""
    try:
        return importlib.metadata.version(distribution) or None
    except Exception:  # not installed, or corrupt metadata
        return None


def cpu_name() -> str:
    """Return the processor's model name, e.g. ``Intel(R) Xeon(R) Platinum 8481C``."""
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def cpus_allowed() -> int:
    """Return how many logical processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_quota(root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> float | None:
    """Return the cores' worth of time per period that the cgroup allows, or None when there is no limit.

    The lowest limit of the cgroup and its parents counts. Version 2 keeps ``<quota> <period>`` in ``cpu.max``, version
    1 in two files under the ``cpu`` controller (Linux kernel, Documentation/admin-guide/cgroup-v2.rst).
    """
    limits = []
    for line in _read(membership).splitlines():
        _, controllers, name = [*line.split(":", 2), "", ""][:3]
        if controllers == "" or "cpu" in controllers.split(","):
            top = root / controllers if controllers else root
            folder = top / name.lstrip("/")
            limits += [_folder_quota(level) for level in (folder, *folder.parents) if level.is_relative_to(top)]
    return min((limit for limit in limits if limit is not None), default=None)


def why_no_gpu() -> str:
    """Return one sentence that says why TensorFlow sees no GPU, or an empty string when it sees one.

    Imports TensorFlow. The sentence names the remedy where there is one.
    """
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        hidden = not tf.config.get_visible_devices("GPU")
        return "tf.config.set_visible_devices has hidden every GPU from this process." if hidden else ""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.split(",")[0].strip() in ("", "-1", "NoDevFiles"):
        return f"CUDA_VISIBLE_DEVICES is '{visible}', which hides every GPU; unset it."
    if not tf.test.is_built_with_cuda():
        return _built_without_cuda()
    if not has_nvidia_driver():
        return "no NVIDIA driver is loaded (/proc/driver/nvidia/version and libcuda.so.1 are both missing)."
    missing = missing_cuda_libraries()
    if missing:
        return (
            f"the NVIDIA driver is there, but CUDA libraries are missing ({', '.join(missing)}); "
            "install them with: pip install 'cnn-zoo[gpu]'."
        )
    if visible is not None:
        return f"CUDA_VISIBLE_DEVICES is '{visible}', which names no GPU that TensorFlow can use."
    return (
        "the driver and the CUDA libraries are there, and TensorFlow does not say more; "
        "look for its warnings at the import (TF_CPP_MIN_LOG_LEVEL=0), and compare nvidia-smi."
    )


def has_nvidia_driver() -> bool:
    """Return whether the NVIDIA kernel driver is loaded, or at least its user-space library can be."""
    return Path("/proc/driver/nvidia/version").exists() or _loads("libcuda.so.1")


def missing_cuda_libraries() -> list[str]:
    """Return the names of `CUDA_LIBRARIES` that neither a pip package nor the system provides."""
    return [name for name, package in CUDA_LIBRARIES.items() if version(package) is None and not _loads(name)]


def _built_without_cuda() -> str:
    if sys.platform == "win32":
        return "TensorFlow for Windows has no GPU support since 2.11; use WSL2."
    if sys.platform == "darwin":
        return "TensorFlow for macOS is built without CUDA, which Apple's machines do not have."
    package = "tensorflow-cpu" if version("tensorflow-cpu") else "this build of TensorFlow"
    return f"{package} is built without CUDA; install one that has it: pip install 'cnn-zoo[gpu]'."


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


@functools.cache
def _cpuinfo() -> dict[str, str]:
    """Return the first processor's entries in /proc/cpuinfo; empty if there is no such file."""
    first = _read(Path("/proc/cpuinfo")).partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _folder_quota(folder: Path) -> float | None:
    quota, period = [*_read(folder / "cpu.max").split(), "", ""][:2]  # version 2
    if not quota:
        quota, period = (
            _read(folder / "cpu.cfs_quota_us").strip(),
            _read(folder / "cpu.cfs_period_us").strip(),
        )
    with contextlib.suppress(ValueError, ZeroDivisionError):  # "max" in version 2
        if int(quota) > 0:  # -1 in version 1: no limit
            return int(quota) / int(period)
    return None


def _physical_cores() -> int | None:
    import psutil

    return psutil.cpu_count(logical=False)


def _memory_gib() -> float:
    import psutil

    return round(psutil.virtual_memory().total / 2**30, 1)


@functools.cache
def _commit() -> tuple[str | None, bool | None]:
    """Return zoo's git commit, and whether files differ from it; (None, None) outside of zoo's own checkout.

    A virtual environment may lie inside the checkout of another project.
    """
    checkout = Path(__file__).resolve().parents[2]
    if not (checkout / ".git").exists():
        return None, None
    commit = _git(checkout, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return None, None
    changes = _git(checkout, "status", "--porcelain", "--untracked-files=no")
    return commit, None if changes is None else bool(changes)


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):  # no git, no commit yet, or a checkout of another user
        return None
    return done.stdout.strip()
