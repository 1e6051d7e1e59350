"""One measurement in a process of its own: its memory is really free afterwards, and nothing before it matters.

The parent writes a request, one line of JSON, to this process's standard input and keeps the pipe open; whatever
happens to the parent, this process ends when the pipe closes. The answer goes to a file, since a model's code may
print what it likes.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.errors import ZooError
from zoo.files import atomic_write
from zoo.spec.recipe import plain

# The folder that this zoo was imported from comes last on the path, in case nothing else leads to it.
START = "import sys; sys.path.append(sys.argv[2]); from zoo.benchmarking.process import main; main(sys.argv[1])"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # Keras prints some errors in bold
EXHAUSTED = ("RESOURCE_EXHAUSTED", "ResourceExhausted", "out of memory", "OutOfMemory")


def call(request: Mapping[str, Any], *, timeout: float) -> dict[str, Any]:
    """Have a process of its own do what a request says, and wait for it.

    Args:
        request: `do` names a function of `zoo.benchmarking.worker`, and `arguments` are its arguments.
        timeout: seconds after which the process is killed.

    Returns:
        `status` (ok, out_of_memory, timed_out or failed), `reason` (None if ok) and `result` (None if not).
    """
    with tempfile.TemporaryDirectory(prefix="zoo-bench-") as folder:
        answer, noise = Path(folder) / "answer.json", Path(folder) / "stderr"
        with noise.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", START, str(answer), str(Path(__file__).parents[2])],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2")},
                start_new_session=True,  # Ctrl-C reaches the parent alone, which then ends the whole group
            )
        try:
            assert process.stdin is not None
            _send(process.stdin, request)
            process.wait(timeout=timeout)
        except subprocess.TimeoutExpired:
            return _outcome("timed_out", f"it was not done after {timeout:g} s, and was ended")
        finally:
            _end(process)
        if answer.exists():
            document: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
            return document
        return _died(process.returncode, _end_of(noise))


def _send(pipe: Any, request: Mapping[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):  # it died at once: its exit code says how
        pipe.write(json.dumps(plain(request)).encode() + b"\n")
        pipe.flush()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and whatever it has started, if it still runs."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


def _outcome(status: str, reason: str | None, result: Any = None) -> dict[str, Any]:
    return {"status": status, "reason": reason, "result": result}


def _died(code: int, stderr: str) -> dict[str, Any]:
    """Say of a process that left no answer how it ended."""
    if code == -signal.SIGKILL:
        return _outcome("out_of_memory", "the system killed the process, as it does when memory runs out")
    if code < 0:
        return _outcome("failed", f"the process died of {signal.Signals(-code).name}")
    last = stderr.strip().rpartition("\n")[2][:300]
    return _outcome("failed", f"the process ended with exit code {code}{': ' + last if last else ''}")


def _end_of(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4_000))
        return file.read().decode(errors="replace")


def _answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """Do what the request says; any error is an answer too."""
    try:
        from zoo.startup import load_tensorflow

        load_tensorflow()
        from zoo.benchmarking import worker as work

        return _outcome("ok", None, getattr(work, request["do"])(**request["arguments"]))
    except BaseException as error:  # a model's code may raise what it likes, SystemExit too
        reason = " ".join(COLOURS.sub("", str(error)).split())[:500]
        if _is_out_of_memory(error):
            return _outcome("out_of_memory", reason or "memory ran out")
        return _outcome("failed", reason if isinstance(error, ZooError) else f"{type(error).__name__}: {reason}")


def _is_out_of_memory(error: BaseException | None) -> bool:
    """Whether memory ran out, be it behind the error of a guard."""
    while error is not None:
        words = f"{type(error).__name__} {error}"
        if isinstance(error, MemoryError) or any(word in words for word in EXHAUSTED):
            return True
        error = error.__cause__
    return False


def main(answer: str) -> None:
    """Read one request, write its answer to the file, and end without asking anybody."""
    path = Path(answer)
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, args=(path.parent,), daemon=True).start()
    atomic_write(path, json.dumps(plain(_answer(request))))
    os._exit(0)  # threads and exit hooks of a plugin do not get another word


def _end_with_parent(folder: Path) -> None:
    """Wait for the pipe to close; then nobody is left to take the answer, or to tidy up."""
    sys.stdin.read()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)
