"""Starts TensorFlow quickly, and without the log messages that its native code prints.

Importing TensorFlow creates some 700,000 objects that live as long as the process. Python's garbage collector would
traverse them again and again, so it is turned off during the import, and the objects are frozen.

Until logging is initialised, TensorFlow's native libraries write every message to file descriptor 2, whatever
TF_CPP_MIN_LOG_LEVEL is. So their output while TensorFlow loads and finds its devices is held back, and only other
messages are passed on.
"""

from __future__ import annotations

import contextlib
import gc
import os
import re
import sys
from collections.abc import Iterator

from zoo.utils.keras_settings import check_keras_suits

NOTES = re.compile(
    rb"^(WARNING: All log messages before absl::InitializeLog"
    rb"|[IWE]\d{4} \d\d:\d\d:\S+ +\d+ (port|cudart_stub|cuda_platform|cuda_executor|cpu_feature_guard|gpu_device)\.cc"
    rb"|To enable the following instructions: )"
)


def load_tensorflow() -> None:
    """Import TensorFlow and find its devices, without its start-up messages.

    Commands call this after they have checked their arguments.

    Raises:
        DeviceError: zoo cannot work with the settings of Keras, which TensorFlow imports.
    """
    check_keras_suits()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _notes_removed(), _nothing_collected():
        import tensorflow as tf

        tf.config.list_physical_devices()


@contextlib.contextmanager
def _nothing_collected() -> Iterator[None]:
    """Turn the garbage collector off, then exclude the objects created so far from collection for good."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collects:
            gc.enable()


@contextlib.contextmanager
def _notes_removed() -> Iterator[None]:
    """Capture file descriptor 2, then pass on every line except the known messages."""
    try:
        terminal = os.dup(2)
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):  # standard error is closed
        yield
        return
    import tempfile  # here, so that commands without TensorFlow start faster

    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            held.seek(0)
            with contextlib.suppress(OSError):  # standard error is full, or nobody reads it any more
                for line in held:
                    if not NOTES.match(line):
                        os.write(2, line)
