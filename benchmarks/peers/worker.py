"""One side in a process of its own: a request per line on standard input, an answer per line on standard output.

    {"do": "prepare", "arguments": {"side": "jax", "model": "mlp", ...}}  ->  {"status": "ok", "result": {...}}

Whatever frameworks print goes to standard error. The process ends when its standard input closes, in the middle of
whatever it does, so it cannot outlive the one that asks.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import sys
import threading
import time
from typing import Any, TextIO

import numpy as np
import psutil
from side import SIDES, Side, Work, draw

import zoo
from zoo.utils.environment import cpus_allowed


class Worker:
    """Answers the requests: its public methods are what can be asked for."""

    def __init__(self) -> None:
        self._round = 0

    def weights(self, *, model: str, seed: int, path: str) -> dict[str, Any]:
        """Write the model's initial weights to `path`, for every side to start from."""
        arrays = importlib.import_module("zoo_side").initial_weights(model, seed)
        np.savez(path, *arrays)
        return {"params": sum(array.size for array in arrays)}

    def prepare(
        self, *, side: str, model: str, batch_size: int, precision: str, images: int, weights: str, seed: int
    ) -> dict[str, Any]:
        """Build the model, hold it against zoo's, and train a first round, in which everything compiles."""
        with np.load(weights) as stored:
            arrays = [stored[name] for name in stored.files]
        kind, self._data = SIDES[side], zoo.load_dataset("mnist")
        work = Work(model, batch_size, precision, images, arrays, seed, cpus_allowed())
        self._work = work
        self._side: Side = importlib.import_module(kind.module).prepare(work, kind.variant)
        declared = zoo.get(model).params
        if self._side.params != declared:
            raise ValueError(f"{side} has {self._side.params:,} parameters where zoo's {model} has {declared:,}")
        first = self.go()
        return {"params": self._side.params, "first_call_s": first["seconds"]}

    def go(self) -> dict[str, Any]:
        """Train on the next images; the clock stops when the device has finished.

        `others_cpu_s` is the processors' time that went elsewhere meanwhile: a busy machine shows in it.
        """
        train, images = self._data.train, self._work.images
        rows = draw(self._work.seed, self._round, images, len(train))
        self._round += 1
        self._side.load(train.images[rows], train.labels[rows])
        others, began = _others_cpu_seconds(), time.perf_counter()
        sums = self._side.train()
        seconds, others = time.perf_counter() - began, max(0.0, _others_cpu_seconds() - others)
        means = {"loss": sums.loss / images, "accuracy": sums.correct / images}
        return {"seconds": seconds, "others_cpu_s": others, **means}

    def accuracy(self) -> dict[str, Any]:
        """Measure what has been trained on all test images."""
        test = self._data.test
        return {"test_accuracy": self._side.count_correct(test.images, test.labels) / len(test)}


def _others_cpu_seconds() -> float:
    """Return the time that the machine's processors have worked for anything but this process."""
    times = psutil.cpu_times()._asdict()
    left_out = ("idle", "iowait", "guest", "guest_nice")  # Linux counts a guest's time as its host's too
    return sum(value for name, value in times.items() if name not in left_out) - time.process_time()


def answer(worker: Worker, line: str) -> dict[str, Any]:
    """Do what a line asks for; any error is an answer too."""
    try:
        request = json.loads(line)
        result = getattr(worker, request["do"])(**request["arguments"])
        return {"status": "ok", "result": result}
    except BaseException as error:  # a framework may raise what it likes
        reason = " ".join(str(error).split())[:300]
        return {"status": "failed", "reason": f"{type(error).__name__}: {reason}"}


def _read(lines: queue.Queue[str]) -> None:
    """Pass requests on, and end the process when there will be no more."""
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)


def main(answers: TextIO) -> None:
    """Answer requests until standard input closes."""
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    worker = Worker()
    while True:
        print(json.dumps(answer(worker, lines.get())), file=answers, flush=True)


if __name__ == "__main__":
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a framework prints is no answer
    main(own)
