"""``zoo evaluate``: evaluate trained models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from zoo.commands.options import DATA_DIR_OPTION, DEVICE_OPTION, JSON_OPTION, Command
from zoo.commands.shared import announce, report
from zoo.report.evaluation.text import print_evaluation
from zoo.utils.startup import load_tensorflow


@click.command("evaluate", cls=Command)
@click.argument("models", nargs=-1, required=True)
@click.option(
    "--dataset", help="Measure on this dataset. [default: the one it was trained on; mnist for a .keras file]"
)
@DATA_DIR_OPTION
@DEVICE_OPTION
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Write to this folder. [default: the run folder; for another dataset, evaluation-<dataset> in it; "
    "for a .keras file, <name>-evaluation beside it; for several, runs/ensemble-<time>]",
)
@JSON_OPTION
def evaluate_command(models: tuple[str, ...], as_json: bool, **arguments: Any) -> None:
    """Measure MODELS on a test set and write numbers, plots and a page.

    Each is a run folder, its name inside runs/, or a .keras file that takes raw 0..255 images. Of several, the
    probabilities are averaged, as an ensemble.
    """
    load_tensorflow()
    from zoo.evaluation.evaluate import evaluate

    report(as_json, evaluate(models, announce=announce, **arguments), print_evaluation)
