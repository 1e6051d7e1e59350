"""``zoo predict``: run a trained model on image files."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.commands.options import JSON_OPTION, Command
from zoo.commands.shared import announce, report
from zoo.report.evaluation.text import print_predictions
from zoo.utils.startup import load_tensorflow


@click.command("predict", cls=Command)
@click.argument("run")
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), help="Draw boxes or masks into this folder. [default: here]")
@JSON_OPTION
def predict_command(run: str, images: tuple[Path, ...], output: Path | None, as_json: bool) -> None:
    """Say what the model of RUN sees in each of IMAGES (PNG, JPEG ... of any size and polarity).

    What a detector or a segmenter finds is also drawn, into <image>-<model>.png.
    """
    load_tensorflow()
    from zoo.evaluation.predict import predict

    report(as_json, predict(run, images, output=output, announce=announce), print_predictions)
