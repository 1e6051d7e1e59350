"""Ctrl-C and its like while a model trains: heard at once, obeyed where the run can be continued from."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class TrainingInterrupted(KeyboardInterrupt):
    """The user has stopped a training; the message says where it stands and how to continue it."""


# What each does where nobody has decided otherwise. A signal that is ignored, as Ctrl-C in the background and the
# closing of a terminal under nohup, stays ignored; one that the program around us has taken stays its own.
USUAL = {
    "SIGINT": signal.default_int_handler,  # Ctrl-C
    "SIGTERM": signal.SIG_DFL,  # the machine or its scheduler wants the process to end
    "SIGHUP": signal.SIG_DFL,  # the terminal was closed; Windows has no such signal
}


class Interruption:
    """While entered, the first signal to stop only sets `requested`; the second interrupts as Ctrl-C always does.

    Python delivers signals to the main thread alone: elsewhere nothing is changed.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            known = {getattr(signal, name): usual for name, usual in USUAL.items() if hasattr(signal, name)}
            for number, usual in known.items():
                if signal.getsignal(number) == usual:
                    self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
