"""Training progress: a live bar on a terminal, one line of text per epoch elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

import keras


class Progress(keras.callbacks.Callback):
    """Shows epoch, bar, loss, accuracy, images per second and the time left.

    Args:
        examples: training images per epoch.
        file: where to write, standard error by default; a live bar if it is a terminal.
    """

    def __init__(self, examples: int, file: TextIO | None = None) -> None:
        super().__init__()
        self.examples = examples
        self.file = file or sys.stderr
        self._bar: Any = None
        self._task: Any = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._total = self.examples * self.params["epochs"]
        self._first: int | None = None  # images trained on before the run was resumed
        self._began = time.perf_counter()
        if self.file.isatty():
            self._open_bar()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Update the bar, once per compiled call; `logs` holds the epoch's means and number of images so far."""
        logs = logs or {}
        if self._bar is not None:
            self._bar.update(
                self._task,
                completed=logs["examples"],
                loss=f"{logs['loss']:.4f}",
                accuracy=f"{logs['accuracy']:.2%}",
                speed=f"{logs['images_per_s']:,.0f}",
                left=self._left(self._done + logs["examples"]),
            )

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._done = self.examples * epoch
        self._first = self._done if self._first is None else self._first
        if self._bar is not None:
            self._bar.reset(self._task, description=f"epoch {epoch + 1}/{self.params['epochs']}")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        parts = [f"epoch {epoch + 1}/{self.params['epochs']}"]
        parts += [f"loss {logs['loss']:.4f}", f"accuracy {logs['accuracy']:.2%}"]
        if "val_accuracy" in logs:
            parts += [f"val loss {logs['val_loss']:.4f}", f"val accuracy {logs['val_accuracy']:.2%}"]
        parts += [f"{logs['images_per_s']:,.0f} images/s", f"{logs['seconds']:.1f} s"]
        line = "  ".join(parts)
        if self._bar is not None:
            self._bar.console.print(line, highlight=False)
        else:
            print(line, file=self.file, flush=True)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.close()

    def close(self) -> None:
        """Stop the bar and restore the terminal; safe to call twice, and after an interruption."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _open_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("loss {task.fields[loss]}  accuracy {task.fields[accuracy]}"),
            TextColumn("{task.fields[speed]} images/s  {task.fields[left]} left"),
            console=Console(file=self.file),
            transient=True,
        )
        self._task = self._bar.add_task("", total=self.examples, loss="  –   ", accuracy="  –   ", speed="–", left="–")
        self._bar.start()

    def _left(self, done: float) -> str:
        seconds = (time.perf_counter() - self._began) * (self._total - done) / max(done - (self._first or 0), 1)
        minutes, seconds = divmod(round(seconds), 60)
        return f"{minutes}:{seconds:02d}"
