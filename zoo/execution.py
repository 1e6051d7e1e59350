"""Run jobs: in this process one after the other, or each in its own process.

A `Job` names a function of `JOBS` and its arguments. Where these are plain data (names, numbers, a `Recipe`), another
process can carry it out, or another machine: whatever has an `Executor`'s `map`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pkgutil
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from zoo.errors import RunError, ZooError
from zoo.spec.recipe import Recipe, plain
from zoo.utils.files import atomic_write
from zoo.utils.startup import load_tensorflow

JOBS = {
    "train": "zoo.training.trainer:train_job",
    "fetch": "zoo.benchmarking.worker:fetch",
    "describe_machine": "zoo.benchmarking.worker:describe_machine",
    "measure_cell": "zoo.benchmarking.worker:measure_cell",
    "time_training": "zoo.benchmarking.training:train_once",
}
"""Each job's function: it takes keyword arguments and returns plain values."""

# The folder that this zoo was imported from comes last on the path, in case nothing else leads to it.
START = "import sys; sys.path.append(sys.argv[2]); from zoo.execution import main; main(sys.argv[1])"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # Keras prints some errors in bold
EXHAUSTED = ("RESOURCE_EXHAUSTED", "ResourceExhausted", "out of memory", "OutOfMemory")


@dataclass(frozen=True)
class Job:
    """What to do: a name in `JOBS`, and the function's arguments, plain data unless the job stays in this process."""

    do: str
    arguments: Mapping[str, Any]

    def run(self) -> Any:
        """Run the job in this process."""
        return pkgutil.resolve_name(JOBS[self.do])(**self.arguments)

    def to_json(self) -> str:
        """Return the job as one line. Raises `RunError` for an argument that is no plain data."""
        return json.dumps({"do": self.do, "arguments": self.arguments}, default=_plain_argument)


@dataclass(frozen=True)
class Outcome:
    """The outcome of a job: `status` (ok, out_of_memory, timed_out or failed), and its `result` or the `reason`."""

    status: str
    reason: str | None = None
    result: Any = None
    error: BaseException | None = None  # where the job ran in this process

    def value(self) -> Any:
        """Return the result, or raise what went wrong: a `RunError` if it did so in another process."""
        if self.status != "ok":
            raise self.error or RunError(str(self.reason))
        return self.result


class Executor(Protocol):
    """Runs jobs."""

    def map(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """Yield an outcome for each job, in order. The executor may run jobs ahead."""
        ...


class InProcess:
    """Runs jobs in this process, each when its outcome is requested; arguments may be any objects."""

    def map(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """Yield an outcome for each job; Ctrl-C passes through."""
        return (_outcome_of(job.run, Exception) for job in jobs)


@dataclass(frozen=True)
class Subprocesses:
    """Runs each job in its own process, so that its memory is freed afterwards and jobs cannot affect each other.

    The job goes to the process's standard input, whose pipe stays open: whatever happens to the parent, the process
    ends when the pipe closes. The outcome comes back in a file, since a model's code may print what it likes.
    """

    timeout: float  # seconds after which a process is killed

    def map(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """Yield an outcome for each job, one process at a time. Raises `RunError` for a job that is no plain data."""
        return (self._carry_out(job.to_json()) for job in jobs)

    def _carry_out(self, job: str) -> Outcome:
        with tempfile.TemporaryDirectory(prefix="zoo-job-") as folder:
            answer, noise = Path(folder) / "answer.json", Path(folder) / "stderr"
            with noise.open("wb") as stderr:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-c", START, str(answer), str(Path(__file__).parents[1])],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=stderr,
                    env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2")},
                    start_new_session=True,  # Ctrl-C reaches the parent alone, which then ends the whole group
                )
            pipe = process.stdin
            assert pipe is not None
            try:
                with contextlib.suppress(BrokenPipeError):  # it died at once: its exit code says how
                    pipe.write(job.encode() + b"\n")
                    pipe.flush()
                process.wait(timeout=self.timeout)
            except subprocess.TimeoutExpired:
                return Outcome("timed_out", f"it was not done after {self.timeout:g} s, and was ended")
            finally:
                if process.poll() is None:  # with whatever it has started
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
            if answer.exists():
                return Outcome(**json.loads(answer.read_text(encoding="utf-8")))
            return _died(process.returncode, noise)


def _plain_argument(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Recipe) or hasattr(value, "tolist"):  # NumPy's scalars and arrays
        return plain(value)
    raise RunError(
        f"A {type(value).__name__} cannot be sent to another process. "
        "Pass names, numbers and recipes, or stay in this process."
    )


def _died(code: int, noise: Path) -> Outcome:
    """Describe how a process without a result ended; `noise` is what it wrote to standard error."""
    if code == -signal.SIGKILL:
        return Outcome("out_of_memory", "the system killed the process, as it does when memory runs out")
    if code < 0:
        return Outcome("failed", f"the process died of {signal.Signals(-code).name}")
    with noise.open("rb") as file:
        file.seek(max(0, noise.stat().st_size - 4_000))
        last = file.read().decode(errors="replace").strip().rpartition("\n")[2][:300]
    return Outcome("failed", f"the process ended with exit code {code}{': ' + last if last else ''}")


def _outcome_of(work: Callable[[], Any], caught: type[BaseException]) -> Outcome:
    """Run `work`; an error of type `caught` becomes a failed outcome."""
    try:
        return Outcome("ok", result=work())
    except caught as error:
        reason = " ".join(COLOURS.sub("", str(error)).split())[:500]
        if _is_out_of_memory(error):
            return Outcome("out_of_memory", reason or "memory ran out", error=error)
        reason = reason if isinstance(error, ZooError) else f"{type(error).__name__}: {reason}"
        return Outcome("failed", reason, error=error)


def _is_out_of_memory(error: BaseException | None) -> bool:
    """Whether the error, or one of its causes, is out of memory."""
    while error is not None:
        words = f"{type(error).__name__} {error}"
        if isinstance(error, MemoryError) or any(word in words for word in EXHAUSTED):
            return True
        error = error.__cause__
    return False


def main(answer: str) -> None:
    """Entry point of a job process: read one job, write its outcome to the file `answer`, and exit at once."""
    path = Path(answer)
    job = Job(**json.loads(sys.stdin.readline()))
    threading.Thread(target=_end_with_parent, args=(path.parent,), daemon=True).start()

    def work() -> Any:
        load_tensorflow()
        return job.run()

    outcome = _outcome_of(work, BaseException)  # a model's code may raise what it likes, SystemExit too
    atomic_write(path, json.dumps(plain(dataclasses.replace(outcome, error=None))))
    os._exit(0)  # skip threads and exit hooks of plugins


def _end_with_parent(folder: Path) -> None:
    """Exit when the pipe closes: the parent is gone, so remove its temporary folder too."""
    sys.stdin.read()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)
