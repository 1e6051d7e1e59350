"""Worker processes as the benchmark sees them: started, asked, ended."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Protocol

WORKER = Path(__file__).with_name("worker.py")


class WorkerError(Exception):
    """A side did not do what it was asked for; the message says why."""


class Asked(Protocol):
    """What does the work of one side."""

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Have it do something and return what it answers.

        Raises:
            WorkerError: it answers with a reason, not in time, or not at all.
        """

    def end(self) -> None:
        """End it, whatever it is doing."""


class WorkerProcess:
    """A process of `worker.py`; see `Asked`.

    Args:
        timeout: seconds that an answer may take.
        script: what to run instead of `worker.py`.
    """

    def __init__(self, timeout: float, script: Path = WORKER) -> None:
        self._timeout, self._folder = timeout, tempfile.TemporaryDirectory(prefix="zoo-peers-")
        self._ended = False
        self._noise = Path(self._folder.name) / "stderr"
        with self._noise.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, str(script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, **_variables(self._folder.name)},
                start_new_session=True,  # Ctrl-C reaches the parent alone, which then ends the whole group
            )

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it has died: that there is no answer is seen below
            self.process.stdin.write(json.dumps({"do": do, "arguments": arguments}).encode() + b"\n")
            self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], self._timeout)[0]:
            self.end()
            raise WorkerError(f"'{do}' was not done after {self._timeout:g} s, and was ended")
        line = self.process.stdout.readline()
        if not line:
            raise WorkerError(self._death())
        answer: dict[str, Any] = json.loads(line)
        if answer["status"] != "ok":
            raise WorkerError(answer["reason"])
        result: dict[str, Any] = answer["result"]
        return result

    def end(self) -> None:
        if self._ended:  # its number may be another's by now
            return
        self._ended = True
        with contextlib.suppress(ProcessLookupError):  # it has ended, and nothing that it started is left
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._folder.cleanup()

    def _death(self) -> str:
        """Say how the process ended."""
        code = self.process.wait()
        if code < 0:
            return f"the process died of {signal.Signals(-code).name}"
        last = self._noise.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2][:300]
        return f"the process ended with exit code {code}{': ' + last if last else ''}"


def _variables(folder: str) -> dict[str, str]:
    """Return what a worker's environment has beside the parent's."""
    return {
        "CUDA_VISIBLE_DEVICES": "-1",  # all on the processor
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
        "TORCHINDUCTOR_CACHE_DIR": str(Path(folder) / "inductor"),  # else a second run would find it all compiled
        "TORCHINDUCTOR_COMPILE_THREADS": "1",  # no processes of its own
    }
