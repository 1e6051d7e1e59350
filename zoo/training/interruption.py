"""Graceful interruption: Ctrl-C and similar signals stop training at a step from which it can resume."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class TrainingInterrupted(KeyboardInterrupt):
    """The user has interrupted training; the message says how far it got and how to continue."""


# The default handlers. Only these are replaced: a signal that is ignored (Ctrl-C in the background, SIGHUP under
# nohup) stays ignored, and a handler that the calling program has installed stays in place.
DEFAULT_HANDLERS = {
    "SIGINT": signal.default_int_handler,  # Ctrl-C
    "SIGTERM": signal.SIG_DFL,  # the system or a job scheduler ends the process
    "SIGHUP": signal.SIG_DFL,  # the terminal was closed; Windows has no such signal
}


class Interruption:
    """A context in which the first signal only sets `requested`, and the second raises KeyboardInterrupt.

    Python delivers signals to the main thread only; in other threads this does nothing.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            for name, default in DEFAULT_HANDLERS.items():
                number = getattr(signal, name, None)
                if number is not None and signal.getsignal(number) == default:
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
