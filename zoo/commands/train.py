"""``zoo train``: train a model, or continue a run that was stopped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.commands.options import Command, train_options
from zoo.commands.shared import announce
from zoo.commands.shared import report as report_result
from zoo.errors import ZooError
from zoo.report.runs.text import print_pages, print_run, print_seeds
from zoo.spec.config import recipe_toml
from zoo.utils.startup import load_tensorflow

if TYPE_CHECKING:
    from zoo.spec import Run


@click.command("train", cls=Command)
@click.argument("name", required=False)
@train_options
def train_command(
    name: str | None,
    as_json: bool,
    report: bool,
    settings: tuple[str, ...],
    config: Path | None,
    print_config: bool,
    **arguments: Any,
) -> None:
    """Train the model NAME and write a run folder, or continue one with --resume."""
    from zoo.commands.settings import train_arguments

    if name is None and (print_config or arguments["resume"] is None):
        raise click.UsageError("Name a model (zoo train lenet5), or a run to continue (zoo train --resume RUN).")
    recipe, arguments = train_arguments(name, arguments, settings, config)  # complains before TensorFlow loads
    if print_config:
        report_result(as_json, recipe, lambda _: click.echo(recipe_toml(recipe), nl=False))
        return
    load_tensorflow()
    from zoo.training import trainer

    arguments["announce"] = None if arguments["quiet"] else announce
    if "seeds" in arguments:
        if name is None:
            raise click.UsageError("--seeds begins new runs: name a model, and leave --resume out.")
        documents = trainer.train_seeds(name, **arguments)
        pages = [_write_report(document["run"]) for document in documents["runs"] if report]
        report_result(as_json, documents, print_seeds)
    else:
        run = trainer.train(name, **arguments)
        pages = [_write_report(run)] if report else []
        report_result(as_json, run.to_dict(), print_run)
    if not as_json:
        print_pages(pages)


def _write_report(run: Run | str) -> str | None:
    """Evaluate a finished run; what goes wrong here is said, and takes nothing from the run."""
    from zoo.evaluation.evaluate import evaluate

    try:
        document = evaluate(run)
    except Exception as error:  # the run is finished and written: nothing may make it look failed
        what = str(error) if isinstance(error, ZooError) else f"{type(error).__name__}: {error}"
        announce(f"No report: {what}")
        return None
    return str(Path(document["folder"]) / "report.html")
