"""Ctrl-C while a model trains: heard at once, obeyed where the run can be continued from."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class TrainingInterrupted(KeyboardInterrupt):
    """The user has stopped a training; the message says where it stands and how to continue it."""


class Interruption:
    """While entered, the first Ctrl-C only sets `requested`; the second interrupts as it always does.

    Python delivers signals to the main thread alone: elsewhere nothing is changed.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: Any = None

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread() and self._interrupts():
            self._before = signal.signal(signal.SIGINT, self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    @staticmethod
    def _interrupts() -> bool:
        """Whether Ctrl-C means what it usually means, and has not been taken by the program around us."""
        return signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
