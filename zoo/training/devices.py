"""Where and how the arithmetic runs: device, precision, XLA, threads. As resolved, not as asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from zoo.errors import DeviceError
from zoo.lazy import keras, tf
from zoo.spec import ModelSpec, Recipe
from zoo.training.shares import claim_threads, side_by_side
from zoo.utils.environment import cpus_allowed, why_no_gpu
from zoo.utils.keras_settings import check_values


@dataclass(frozen=True)
class Placement:
    """What a run really uses."""

    device: str  # cpu, or gpu:N
    device_name: str  # the processor's own name
    precision: str
    xla: bool
    deterministic: bool
    threads: dict[str, int]
    side_by_side: int  # operations that the cores can work on at once; on a GPU they follow each other

    @property
    def tensorflow_device(self) -> str:
        return f"/{self.device.upper()}" if ":" in self.device else "/CPU:0"


def place(
    recipe: Recipe, *, device: str = "auto", deterministic: bool = False, training: ModelSpec | None = None
) -> Placement:
    """Resolve a recipe's precision and XLA, and the device asked for, on this machine.

    Args:
        recipe: its `execution` is read.
        device: auto, cpu, gpu or gpu:N.
        deterministic: same seed, same bits; turns XLA off unless the recipe insists.
        training: the model that will be trained, so that threads can be laid out for it while they still can.

    Raises:
        DeviceError: the GPU asked for is not there (the message says why), or Keras is set up in a way that
            zoo cannot train with.
    """
    check_keras()
    resolved = _resolve(device)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    on_gpu = resolved.startswith("gpu")
    xla = recipe.execution.xla
    if xla is None:
        xla = on_gpu and not deterministic
    if training and not on_gpu and not xla:
        claim_threads(training, recipe, cpus_allowed())
    return Placement(
        device=resolved,
        device_name=_processor_name(resolved),
        precision=recipe.execution.precision,
        xla=xla,
        deterministic=deterministic,
        threads=threads(),
        side_by_side=1 if on_gpu or xla else side_by_side(threads()),
    )


def check_keras() -> None:
    """Refuse a Keras that is configured for another backend or channel order.

    Raises:
        DeviceError: with the setting that is in the way, and where it is.
    """
    check_values(keras.config.backend(), keras.config.image_data_format())


def threads() -> dict[str, int]:
    """Return the thread pools' sizes: one operation's (intra), between operations (inter), and the cores."""
    cores = cpus_allowed()
    return {
        "intra_op": tf.config.threading.get_intra_op_parallelism_threads() or cores,
        "inter_op": tf.config.threading.get_inter_op_parallelism_threads() or cores,
        "cores": cores,
    }


def synchronize() -> None:
    """Wait until every device has finished what it was given, so that a clock read next is true."""
    tf.test.experimental.sync_devices()


def _resolve(device: str) -> str:
    if not re.fullmatch(r"auto|cpu|gpu(:\d+)?", device):
        raise DeviceError(f"device must be auto, cpu, gpu or gpu:N, received '{device}'. Choose one of them.")
    if device == "cpu":
        return "cpu"
    gpus = tf.config.list_physical_devices("GPU")
    number = int(device.partition(":")[2] or 0)
    if device == "auto" and not gpus:
        return "cpu"
    if not gpus:
        raise DeviceError(f"--device {device}: TensorFlow sees no GPU here: {why_no_gpu()} Use --device cpu.")
    if number >= len(gpus):
        raise DeviceError(f"--device {device}: TensorFlow sees {len(gpus)} GPU(s), numbered from 0. Use gpu:0.")
    _grow_memory(gpus)
    return f"gpu:{number}"


def _grow_memory(gpus: list[Any]) -> None:
    """Take GPU memory as needed instead of all at once; possible only before the first use."""
    for gpu in gpus:
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:  # TensorFlow is already running: whoever started it has chosen
            return


def _processor_name(device: str) -> str:
    if device == "cpu":
        from zoo.utils.environment import environment

        return str(environment().get("cpu", ""))
    gpu = tf.config.list_physical_devices("GPU")[int(device.partition(":")[2])]
    return str(tf.config.experimental.get_device_details(gpu).get("device_name", ""))
