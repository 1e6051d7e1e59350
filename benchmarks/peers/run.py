"""zoo against what one would take instead: Keras ``fit``, PyTorch, JAX, on the same work, taking turns.

    python benchmarks/peers/run.py --rounds 5 --record peers.json --markdown peers.md
    python benchmarks/peers/run.py mlp --batch-size 128 --precision float32 --rounds 1 --images 2000
    python benchmarks/peers/run.py --from-record peers.json --markdown peers.md

README.md beside this file says what each side is and what is equal between them.
"""

from __future__ import annotations

import argparse
import functools
import json
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import report
from group import Group
from process import Asked, WorkerError, WorkerProcess
from side import IMAGES, MODELS, PRECISIONS, SIDES

from zoo.utils.environment import environment, version
from zoo.utils.files import atomic_write

INTERRUPTED = 130


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"Any of {', '.join(MODELS)}; all if none.")
    parser.add_argument("--batch-size", type=_positive, action="append", help="May be repeated. [32 128 512]")
    parser.add_argument("--precision", choices=PRECISIONS, action="append", help="May be repeated. [both]")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES), metavar="SIDE", help=", ".join(SIDES))
    parser.add_argument("--rounds", type=_positive, default=5)
    parser.add_argument("--images", type=_positive, help=f"Of a round. [{IMAGES}]")
    parser.add_argument("--seed", type=int, default=0, help="Of the weights and of the order of images.")
    parser.add_argument("--timeout", type=float, default=1800, help="Seconds that one side may take for one round.")
    parser.add_argument("--record", type=Path, help="Written anew after each model and batch size.")
    parser.add_argument("--markdown", type=Path, help="The tables; printed if not given.")
    parser.add_argument("--from-record", type=Path, help="Measure nothing: make the tables of this record.")
    chosen = parser.parse_args(arguments)
    unknown = sorted(set(chosen.models) - set(MODELS))
    if unknown:
        parser.error(f"the sides are written for {', '.join(MODELS)}, received '{unknown[0]}'. Choose one of them.")
    chosen.models = chosen.models or list(MODELS)
    chosen.batch_size = chosen.batch_size or [32, 128, 512]
    chosen.precision = chosen.precision or list(PRECISIONS)
    return chosen


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, received {value}")
    return value


def measure(
    chosen: argparse.Namespace,
    start: Callable[[], Asked],
    announce: Callable[[str], None],
    keep: Callable[[dict[str, Any]], None],
) -> None:
    """Measure group after group.

    Args:
        chosen: as `parse` returns it.
        start: starts a worker.
        announce: receives a line for what has been done.
        keep: receives the record after each group.

    Raises:
        WorkerError: zoo cannot build a model to start from.
    """
    record = head(chosen)
    with tempfile.TemporaryDirectory(prefix="zoo-peers-") as folder:
        for model in chosen.models:
            weights = Path(folder) / f"{model}.npz"
            _write_weights(start, model, chosen.seed, weights)
            taking_part = [side for side in chosen.sides if model in SIDES[side].models]
            sides = [(side, precision) for precision in chosen.precision for side in taking_part]
            images = chosen.images or IMAGES[model]
            for batch_size in chosen.batch_size:
                group = Group(model, batch_size, images, chosen.rounds, chosen.seed, weights)
                record["rows"] += group.measure(sides, start, announce)
                keep(record)


def _write_weights(start: Callable[[], Asked], model: str, seed: int, path: Path) -> None:
    worker = start()
    try:
        worker.ask("weights", model=model, seed=seed, path=str(path))
    finally:
        worker.end()


def head(chosen: argparse.Namespace) -> dict[str, Any]:
    """Return the record before anything is measured."""
    return {
        "command": shlex.join(["python", "benchmarks/peers/run.py", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "rounds": chosen.rounds,
        "seed": chosen.seed,
        "environment": {**environment(), "torch": version("torch"), "jax": version("jax")},
        "rows": [],
    }


def write(chosen: argparse.Namespace, record: dict[str, Any]) -> None:
    """Write the record and the tables to the files that were asked for."""
    if chosen.record:
        atomic_write(chosen.record, json.dumps(record, indent=1) + "\n")
    if chosen.markdown:
        atomic_write(chosen.markdown, report.markdown(record))


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks for; return the exit code."""
    chosen = parse(arguments)
    records = [json.loads(chosen.from_record.read_text(encoding="utf-8"))] if chosen.from_record else []
    try:
        if not records:
            start = functools.partial(WorkerProcess, chosen.timeout)

            def keep(record: dict[str, Any]) -> None:
                records[:] = [record]
                write(chosen, record)

            measure(chosen, start, lambda line: print(line, file=sys.stderr, flush=True), keep)
    except KeyboardInterrupt:
        print("Interrupted. The groups that were finished are kept.", file=sys.stderr)
        return INTERRUPTED
    except WorkerError as error:
        print(f"Error: no weights to start from: {error}.", file=sys.stderr)
        return 1
    if chosen.markdown:
        atomic_write(chosen.markdown, report.markdown(records[0]))
    else:
        print(report.markdown(records[0]), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
