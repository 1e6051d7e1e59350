"""The text that ``zoo train`` prints when it has finished."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.report.shared.numbers import mean_and_deviation, number, share
from zoo.report.shared.tables import Column, print_table
from zoo.report.shared.text import printable
from zoo.spec import RunDocument
from zoo.spec.evaluation import METRIC_LABELS

Document = Mapping[str, Any]


def print_run(run: RunDocument) -> None:
    """What ``zoo train`` ends with."""
    metrics, timing = run["metrics"], run["timing"]
    print()
    print(f"Test accuracy  {metrics['test_accuracy']:.2%}   (loss {number(metrics['test_loss'])})")
    for name, label in METRIC_LABELS.items():
        if f"test_{name}" in metrics:
            print(f"{label:15}{share(metrics[f'test_{name}'])}")
    if "validation_accuracy" in metrics:
        print(f"Validation     {metrics['validation_accuracy']:.2%}   (loss {number(metrics['validation_loss'])})")
    print(
        f"Training       {timing['train_s']:.1f} s at {timing['images_per_s']:,.0f} images/s"
        f"   ({timing['total_s']:.1f} s in all: data {timing['data_s']:.1f}, "
        f"compiling {timing['first_call_s']:.1f}, evaluation {timing['evaluate_s']:.1f})"
    )
    processor = f"{run['device']} ({run['device_name']})"
    print(f"On             {processor}, {run['precision']}, XLA {'on' if run['xla'] else 'off'}")
    print(f"Run folder     {run['run']}")


def print_pages(pages: Sequence[str | None]) -> None:
    """Where ``zoo train`` has left its reports."""
    for page in pages:
        if page is not None:
            print(f"Report         {printable(page)}")


def print_seeds(document: Document) -> None:
    """What ``zoo train --seeds N`` ends with."""
    rows = [
        (run["seed"], f"{run['metrics']['test_accuracy']:.2%}", f"{run['timing']['train_s']:.1f}", run["run"])
        for run in document["runs"]
    ]
    print()
    print_table(["seed", Column("test accuracy", "right"), Column("train s", "right"), "run folder"], rows)
    accuracy, seconds = document["summary"]["test_accuracy"], document["summary"]["train_s"]
    print(f"\nTest accuracy  {_mean(accuracy, 100)} %   training {_mean(seconds)} s")
    print(f"               (mean ± standard deviation, n = {accuracy['n']})")


def _mean(summary: Document, scale: float = 1) -> str:
    if summary["mean"] is None:
        return "not finite"
    return mean_and_deviation(summary, lambda value: f"{value * scale:.2f}")
