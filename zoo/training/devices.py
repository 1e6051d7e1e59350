"""Choice of device, precision, XLA and threads for a run, resolved for this machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from zoo.errors import DeviceError
from zoo.lazy import keras, tf
from zoo.spec import ModelSpec, Recipe
from zoo.training.micro_batches import claim_threads, side_by_side
from zoo.utils.environment import cpus_allowed, why_no_gpu
from zoo.utils.keras_settings import check_values


@dataclass(frozen=True)
class Placement:
    """The device and settings that a run actually uses."""

    device: str  # cpu, or gpu:N
    device_name: str  # as the processor reports it
    precision: str
    xla: bool
    deterministic: bool
    threads: dict[str, int]
    side_by_side: int  # operations that run in parallel; 1 on a GPU

    @property
    def tensorflow_device(self) -> str:
        return f"/{self.device.upper()}" if ":" in self.device else "/CPU:0"


def place(
    recipe: Recipe, *, device: str = "auto", deterministic: bool = False, training: ModelSpec | None = None
) -> Placement:
    """Resolve the device, and the recipe's precision and XLA, on this machine.

    Args:
        recipe: its `execution` is read.
        device: auto, cpu, gpu or gpu:N.
        deterministic: same seed, same bits; turns XLA off unless the recipe turns it on.
        training: the model to be trained, so that the thread pools can be sized for it before TensorFlow starts.

    Raises:
        DeviceError: the requested GPU is not available (the message says why), or zoo cannot train with Keras'
            settings.
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
    """Reject a Keras that is configured for another backend or channel order.

    Raises:
        DeviceError: naming the wrong setting and where it comes from.
    """
    check_values(keras.config.backend(), keras.config.image_data_format())


def threads() -> dict[str, int]:
    """Return the sizes of TensorFlow's thread pools, within (intra) and between (inter) operations, and the cores."""
    cores = cpus_allowed()
    return {
        "intra_op": tf.config.threading.get_intra_op_parallelism_threads() or cores,
        "inter_op": tf.config.threading.get_inter_op_parallelism_threads() or cores,
        "cores": cores,
    }


def synchronize() -> None:
    """Wait until every device has finished its work, before reading a clock."""
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
    """Let TensorFlow allocate GPU memory as needed; possible only before the first use."""
    for gpu in gpus:
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:  # TensorFlow is already running
            return


def _processor_name(device: str) -> str:
    if device == "cpu":
        from zoo.utils.environment import environment

        return str(environment().get("cpu", ""))
    gpu = tf.config.list_physical_devices("GPU")[int(device.partition(":")[2])]
    return str(tf.config.experimental.get_device_details(gpu).get("device_name", ""))
