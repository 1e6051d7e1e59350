"""``zoo doctor``: check that this machine is set up correctly and that training is fast.

Each check looks at one topic and returns a `Finding` or several. A check that fails is a finding too:
the doctor must not be what crashes on a broken machine.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click

from zoo.commands.options import JSON_OPTION, Command
from zoo.commands.shared import report
from zoo.errors import DeviceError
from zoo.report.installation import print_findings
from zoo.report.shared.text import printable
from zoo.utils import keras_settings
from zoo.utils.environment import cpu_quota, cpus_allowed, environment, version, why_no_gpu
from zoo.utils.startup import load_tensorflow

Status = Literal["ok", "note", "warning", "problem"]

MINIMUM_PYTHON = (3, 11)
MINIMUM_KERAS = (3, 15, 1)  # earlier ones run code that a malicious model file brings along
MINIMUM_TENSORFLOW = (2, 21)
LOW_DISK_GIB = 1.0
THREAD_VARIABLES = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
BF16_FEATURES = {"avx512_bf16", "amx_bf16"}


@dataclass(frozen=True)
class Finding:
    """One thing looked at: what it is, and, unless all is well, what to do."""

    topic: str
    status: Status
    value: str
    advice: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return the fields, ready for JSON."""
        return asdict(self)


def examine() -> list[Finding]:
    """Run every check, in the order of the report. Imports TensorFlow and Keras; never raises.

    TensorFlow imports Keras: where Keras is set up so that this would fail, that is one finding, and is put aside for
    the others.
    """
    with contextlib.suppress(Exception):  # the checks meet it again, and say what it is
        try:
            load_tensorflow()
        except DeviceError:
            with keras_settings.defaults():
                load_tensorflow()
    return [finding for topic, check in CHECKS.items() for finding in _guarded(topic, check)]


def summary(findings: list[Finding]) -> str:
    """Return what matters first: the problems, then the warnings, each with its remedy; or that all is well."""
    lines = []
    for status in ("problem", "warning"):
        chosen = [finding for finding in findings if finding.status == status]
        if chosen:
            lines.append(f"{len(chosen)} {status}{'s' if len(chosen) > 1 else ''}:")
            lines += [f"  {f.topic}: {f.value}{_sentence(f.advice)}" for f in chosen]
    return "\n".join(lines) or "Nothing is wrong: zoo can train here."


def _sentence(advice: str) -> str:
    return f" {advice}" if advice else ""


def _guarded(topic: str, check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    findings: list[Finding] = []
    try:
        findings.extend(check())
    except Exception as error:
        reason = printable(f"{type(error).__name__}: {error}")
        findings.append(Finding(topic, "warning", f"could not be examined ({reason})."))
    return findings


def _versions() -> Iterator[Finding]:
    python = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info < MINIMUM_PYTHON:
        yield Finding("Python", "problem", f"{python}.", "zoo needs 3.11 or later.")
    else:
        yield Finding("Python", "ok", f"{python}, {sys.executable}")
    yield _library("keras", MINIMUM_KERAS, "Earlier versions can run code hidden in a model file.")
    yield _library("tensorflow", MINIMUM_TENSORFLOW, "zoo is made for this version and later.")
    others = {name: version(name) for name in ("cnn-zoo", "numpy", "tensorflow-datasets")}
    yield Finding("other versions", "ok", ", ".join(f"{name} {found or 'none'}" for name, found in others.items()))


def _library(name: str, minimum: tuple[int, ...], reason: str) -> Finding:
    found, needed = version(name), ".".join(map(str, minimum))
    remedy = f'pip install --upgrade "{name}>={needed}"'
    if found is None and name == "tensorflow":
        found = version("tensorflow-cpu")
    if found is None:
        return Finding(name, "problem", "not installed.", f"{remedy}.")
    if _release(found) < minimum:
        return Finding(name, "problem", f"{found} is older than {needed}.", f"{reason} {remedy}.")
    return Finding(name, "ok", found)


def _release(text: str) -> tuple[int, ...]:
    """The leading numbers of a version: (3, 15, 1) of ``3.15.1rc0``."""
    numbers = []
    for part in text.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)


def _devices() -> Iterator[Finding]:
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    for number, gpu in enumerate(gpus):
        details = tf.config.experimental.get_device_details(gpu)
        yield Finding(f"gpu:{number}", "ok", str(details.get("device_name", gpu.name)))
    reason = why_no_gpu()
    if reason:
        # Without a driver there is no GPU to use; anything else stands in the way of one that may be there.
        expected = "no NVIDIA driver" in reason or sys.platform == "darwin"
        yield Finding("GPU", "note" if expected else "warning", f"none: {reason}")


def _threads() -> Iterator[Finding]:
    import tensorflow as tf

    facts, threading = environment(), tf.config.threading
    intra, inter = threading.get_intra_op_parallelism_threads(), threading.get_inter_op_parallelism_threads()
    pools = f"intra-op {intra or 'automatic'}, inter-op {inter or 'automatic'}"
    yield Finding("CPU", "ok", f"{facts['cpu']}, {cpus_allowed()} of {facts['cpus_logical']} processors; {pools}")
    quota = cpu_quota()
    if quota is not None and quota < cpus_allowed():
        advice = f"Set TF_NUM_INTRAOP_THREADS={max(1, int(quota))}: more threads than that are only throttled."
        yield Finding("CPU quota", "warning", f"the container may use {quota:g} cores' worth of time.", advice)
    for name in THREAD_VARIABLES:
        if name in os.environ:
            yield _thread_variable(name, os.environ[name])


def _thread_variable(name: str, value: str) -> Finding:
    if value.isdecimal() and 0 < int(value) < cpus_allowed():
        advice = f"Unset it to use all {cpus_allowed()} processors."
        return Finding(name, "warning", f"{value} threads at most.", advice)
    return Finding(name, "note", f"'{printable(value)}'")


def _onednn() -> Iterator[Finding]:
    from tensorflow.python.util import _pywrap_util_port  # no public way to ask

    enabled, asked = _pywrap_util_port.IsMklEnabled(), os.environ.get("TF_ENABLE_ONEDNN_OPTS")
    if enabled:
        yield Finding("oneDNN", "ok", "on" if asked is None else f"on (TF_ENABLE_ONEDNN_OPTS={printable(asked)})")
    elif asked is not None:
        advice = "Unset it, or set it to 1: convolutions are slower without oneDNN."
        yield Finding("oneDNN", "warning", f"off, because TF_ENABLE_ONEDNN_OPTS is '{printable(asked)}'.", advice)
    elif environment()["machine"].lower() in ("x86_64", "amd64"):
        # TensorFlow's own default, DefaultOneDnnPolicy in tensorflow/core/util/port.cc.
        value = "off: by itself TensorFlow turns it on only for AVX512_VNNI, AVX512_BF16, AVX_VNNI or AMX."
        yield Finding("oneDNN", "warning", value, "Set TF_ENABLE_ONEDNN_OPTS=1 and compare the training time.")
    else:
        yield Finding("oneDNN", "note", "off, TensorFlow's default on this processor.")


def _bfloat16() -> Iterator[Finding]:
    features = environment()["cpu_features"]
    found = [feature for feature in features if feature in BF16_FEATURES]
    if found:
        yield Finding("bfloat16", "ok", f"the processor computes in it ({', '.join(found)}): mixed_bfloat16 pays")
        return
    value = "the processor has neither AVX512_BF16 nor AMX: on the CPU mixed_bfloat16 does not pay."
    yield Finding("bfloat16", "note", value)


def _keras_settings() -> Iterator[Finding]:
    settings = keras_settings.read()
    if settings.fault:
        value, _, advice = settings.fault.partition(". ")
        yield Finding("Keras settings", "problem", f"{printable(value)}.", advice)
    file, backend, order = settings.file, settings.backend, settings.image_data_format
    if backend != "tensorflow":
        where = "KERAS_BACKEND" if settings.from_environment else str(file)
        remedy = "Set KERAS_BACKEND=tensorflow."
        if not settings.from_environment:
            remedy = f"Set 'backend' to tensorflow in {file}."
        yield Finding("Keras backend", "problem", f"'{printable(backend)}' by {where}; zoo needs tensorflow.", remedy)
    else:
        yield Finding("Keras backend", "ok", "tensorflow")
    if order != "channels_last" and not settings.fault:
        remedy = f"Set 'image_data_format' to channels_last in {file}."
        yield Finding(
            "Keras channel order", "problem", f"'{printable(order)}' by {file}; zoo trains on channels_last.", remedy
        )


def _mnist() -> Iterator[Finding]:
    from zoo.data import where

    sources = where("mnist")
    first = next((source for source in sources if source.available), None)
    if first is not None:
        yield Finding("MNIST", "ok", f"comes from {first.source} ({first.detail})")
        return
    answers = "; ".join(f"{source.source}: {source.detail}" for source in sources)
    yield Finding("MNIST", "problem", f"no source can give it. {answers}.", "Pass your files with --data-dir.")


def _name() -> Iterator[Finding]:
    """Look for other packages that install something called `zoo`, as the one named zoo on PyPI does."""
    import zoo

    here = Path(__file__).resolve().parent.parent
    imported = Path(zoo.__file__ or "").resolve().parent
    rivals = [name for name in _claimants() if name.lower().replace("_", "-") != "cnn-zoo"]
    if imported != here:
        advice = "Uninstall the other one, or put cnn-zoo first on the path."
        yield Finding("the name zoo", "problem", f"'import zoo' finds {imported}, not {here}.", advice)
    if rivals:
        names = ", ".join(printable(name) for name in rivals)
        advice = f"Their files overwrite each other. pip uninstall {names}; pip install --force-reinstall cnn-zoo."
        yield Finding("the name zoo", "problem", f"also installed by {names}.", advice)
    elif imported == here:
        yield Finding("the name zoo", "ok", f"cnn-zoo's alone, {here}")


def _claimants() -> list[str]:
    """Names of the installed distributions that hold a module or package `zoo`; corrupt ones are passed over."""
    names = set()
    for distribution in importlib.metadata.distributions():
        try:
            name = distribution.metadata["Name"]
            files = distribution.read_text("top_level.txt") or distribution.read_text("RECORD") or ""
            if name and any(line.split(",")[0] in ("zoo", "zoo.py", "zoo/__init__.py") for line in files.splitlines()):
                names.add(name)
        except Exception:  # broken, which is not what is looked for here
            continue
    return sorted(names)


def _disk() -> Iterator[Finding]:
    from zoo.data import cache_folder

    for topic, folder in (("disk, cache", cache_folder()), ("disk, current folder", Path.cwd())):
        existing = next(place for place in (folder, *folder.parents) if place.exists())
        free = shutil.disk_usage(existing).free / 2**30
        if not os.access(existing, os.W_OK):
            advice = "Set ZOO_CACHE to another folder." if "cache" in topic else "Pass --output FOLDER when training."
            yield Finding(topic, "warning", f"{existing} cannot be written.", advice)
        elif free < LOW_DISK_GIB:
            yield Finding(topic, "warning", f"{free:.2f} GiB free in {folder}.", "Make room before training.")
        else:
            yield Finding(topic, "ok", f"{free:,.0f} GiB free in {folder}")


def _pip() -> Iterator[Finding]:
    found = version("pip")
    if found:
        yield Finding("pip", "ok", found)
    else:
        advice = "Without it MNIST cannot come from the package index; add pip, or use --data-dir."
        yield Finding("pip", "note", "not in this environment.", advice)


CHECKS: dict[str, Callable[[], Iterator[Finding]]] = {
    "versions": _versions,
    "the name zoo": _name,
    "Keras settings": _keras_settings,
    "devices": _devices,
    "threads": _threads,
    "oneDNN": _onednn,
    "bfloat16": _bfloat16,
    "MNIST": _mnist,
    "disk": _disk,
    "pip": _pip,
}


@click.command("doctor", cls=Command)
@JSON_OPTION
def doctor_command(as_json: bool) -> None:
    """Look at this machine: versions, devices, threads, data, and what is wrong."""
    findings = examine()
    report(as_json, {"summary": summary(findings), "findings": findings}, print_findings)
