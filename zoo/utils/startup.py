"""Starting TensorFlow from the command line: quickly, and without the page of notes that its native code prints.

Importing it makes some 700,000 objects that live as long as the process. Python's collector would look through
them again and again, while they are made and when the process ends: it is kept from that.

Until a program has set up its logging, TensorFlow's native libraries write every note to file descriptor 2,
whatever TF_CPP_MIN_LOG_LEVEL says. Here what they write while TensorFlow loads and looks for devices is kept
back, and what is not one of those notes is passed on.
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
    """Import TensorFlow and find its devices, keeping its start-up notes off the terminal.

    A command calls this once it knows that its arguments make sense.

    Raises:
        DeviceError: Keras, which TensorFlow imports, is set up in a way that zoo cannot work with.
    """
    check_keras_suits()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _notes_removed(), _nothing_collected():
        import tensorflow as tf

        tf.config.list_physical_devices()


@contextlib.contextmanager
def _nothing_collected() -> Iterator[None]:
    """Hold Python's cyclic collector back, and keep what has been made out of its sight for good."""
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
    """Hold file descriptor 2 back, then pass on every line that is not one of the known notes."""
    try:
        terminal = os.dup(2)
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):  # standard error is closed: there is nothing to keep tidy
        yield
        return
    import tempfile  # only here: commands that need no TensorFlow do not wait for it

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
