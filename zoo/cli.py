"""The command line: every command parses, calls and prints. No logic lives here, and no TensorFlow.

What a command reports goes to standard output, one JSON document with ``--json``; everything else (progress,
status, errors) goes to standard error. Exit codes: 0; 1 for any `ZooError`; 2 for wrong usage; 130 for Ctrl-C.
"""

from __future__ import annotations

import functools
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from zoo import __version__
from zoo.commands.benchmark import bench_command, compare_command
from zoo.commands.models import cite_command, list_command, show_command
from zoo.commands.options import (
    DATA_DIR_OPTION,
    DEVICE_OPTION,
    JSON_OPTION,
    Group,
    ReportingGroup,
    reproduce_options,
    train_options,
)
from zoo.commands.shared import announce, command_line, find_model
from zoo.commands.shared import report as report_result
from zoo.commands.streams import Program
from zoo.errors import ZooError
from zoo.report.models import text as show
from zoo.report.runs import listing as run_reports
from zoo.spec.recipe import Recipe
from zoo.startup import load_tensorflow

if TYPE_CHECKING:
    from zoo.spec import Run


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="zoo")
def main() -> None:
    """Classic convolutional networks for TensorFlow: list them, train them, measure them."""
    for stream in (sys.stdout, sys.stderr):  # a terminal that lacks a character gets a question mark, no traceback
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


for command in (list_command, show_command, cite_command, bench_command, compare_command):
    main.add_command(command)


@main.command("train")
@click.argument("name", required=False)
@train_options
def train_command(name: str | None, as_json: bool, report: bool, settings: tuple[str, ...], **arguments: Any) -> None:
    """Train the model NAME and write a run folder, or continue one with --resume."""
    from zoo.commands.settings import literal, parse_settings

    if name is None and arguments["resume"] is None:
        raise click.UsageError("Name a model (zoo train lenet5), or a run to continue (zoo train --resume RUN).")
    arguments = {key: value for key, value in arguments.items() if value is not None}
    if "class_weights" in arguments:
        arguments["class_weights"] = literal(arguments["class_weights"])
    overrides = {key: value for key, value in arguments.items() if key in Recipe.__dataclass_fields__} | parse_settings(
        settings
    )
    recipe = Recipe() if name is None else find_model(name).recipe(arguments.get("recipe", "default"))
    recipe.override(**overrides)  # complain before TensorFlow loads
    arguments |= overrides
    load_tensorflow()
    from zoo.training import trainer

    arguments["announce"] = None if arguments["quiet"] else announce
    if "seeds" in arguments:
        if name is None:
            raise click.UsageError("--seeds begins new runs: name a model, and leave --resume out.")
        documents = trainer.train_seeds(name, **arguments)
        pages = [_write_report(document["run"]) for document in documents["runs"] if report]
        report_result(as_json, documents, show.print_seeds)
    else:
        run = trainer.train(name, **arguments)
        pages = [_write_report(run)] if report else []
        report_result(as_json, run.to_dict(), show.print_run)
    if not as_json:
        show.print_pages(pages)


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


@main.command("reproduce")
@click.argument("recipe", required=False)
@reproduce_options
@click.pass_context
def reproduce_command(
    ctx: click.Context, recipe: str | None, list_only: bool, train_all: bool, as_json: bool, **arguments: Any
) -> None:
    """Train RECIPE (model/recipe, or a model for all of its own) and compare with what was published.

    Beside the published accuracy stand the one that zoo expects and the one of this run. A missed claim is a
    finding, not an error: the command exits 1 only if a recipe could not be trained.
    """
    from zoo import reproduction
    from zoo.report import reproduction as report

    if not (recipe or train_all or list_only):
        raise click.UsageError(
            "Name a RECIPE, such as mlp/dropout, or pass --all to train each, or --list to see them."
        )
    if recipe and train_all:
        raise click.UsageError(f"RECIPE '{recipe}' and --all exclude each other: leave one out.")
    rows = reproduction.find(recipe, find_model) if recipe else reproduction.published_recipes()
    if list_only:
        report_result(as_json, [row.to_dict() for row in rows], report.print_published)
        return
    load_tensorflow()
    arguments |= {"command": command_line(ctx), "announce": announce, "quiet": not sys.stderr.isatty()}
    document = reproduction.reproduce(rows, **arguments)
    report_result(as_json, document, report.print_reproduction)
    if any(row["error"] for row in document["rows"]):
        ctx.exit(1)


@main.command("evaluate")
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

    Each is a run folder, its name inside runs/, or a .keras file that takes raw 0..255 images. Several answer
    together, as an ensemble: their probabilities are averaged.
    """
    load_tensorflow()
    from zoo.evaluation.evaluate import evaluate

    report_result(as_json, evaluate(models, announce=announce, **arguments), show.print_evaluation)


@main.command("predict")
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

    report_result(as_json, predict(run, images, output=output, announce=announce), show.print_predictions)


@main.group("runs", cls=ReportingGroup, invoke_without_command=True, subcommand_metavar="[COMMAND [ARGS]...]")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Look for runs here and anywhere below.",
)
@click.option("--sort", default="finished", show_default=True, help="A column's name; the largest comes last.")
@click.option("--reverse", is_flag=True, help="The largest first.")
@click.option("--model", default="*", help="Only runs of models whose names match this pattern.")
@click.option("--dataset", help="Only runs on this dataset.")
@JSON_OPTION
@click.pass_context
def runs_group(ctx: click.Context, as_json: bool, **arguments: Any) -> None:
    """List the runs, the newest last; or compare two of them."""
    if ctx.invoked_subcommand:
        given = [name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]
        if given:
            raise click.UsageError(f"Options for {ctx.invoked_subcommand} are written after it.", ctx)
        return
    from zoo.runs.listing import column_named, list_runs

    rows = list_runs(**arguments)
    filtered = arguments["model"] != "*" or arguments["dataset"] is not None
    column = column_named(arguments["sort"])
    printer = functools.partial(run_reports.print_runs, folder=arguments["folder"], sort=column, filtered=filtered)
    report_result(as_json, rows, printer)


@runs_group.command("diff")
@click.argument("a")
@click.argument("b")
@JSON_OPTION
def runs_diff_command(a: str, b: str, as_json: bool) -> None:
    """Compare A and B: what was changed, and what that did.

    A and B are run folders or their names inside runs/, or folders of several seeds of one recipe.
    """
    from zoo.runs.diff import diff_runs

    report_result(as_json, diff_runs(a, b), run_reports.print_run_diff)


@main.group("data", cls=Group)
def data_group() -> None:
    """List, fetch, check and look at datasets."""


@data_group.command("list")
@JSON_OPTION
def data_list_command(as_json: bool) -> None:
    """List the datasets that zoo knows by name."""
    from zoo import data

    report_result(as_json, data.list_datasets(), show.print_datasets)


@data_group.command("prepare")
@click.argument("name", default="mnist")
@DATA_DIR_OPTION
@JSON_OPTION
def data_prepare_command(name: str, data_dir: Path | None, as_json: bool) -> None:
    """Fetch the dataset NAME, check it, and keep it in the cache."""
    from zoo import data

    folder = data.prepare(name, data_dir=data_dir, announce=announce)
    report_result(as_json, {"name": name, "folder": str(folder)}, show.print_prepared)


@data_group.command("verify")
@click.argument("name", default="mnist")
@JSON_OPTION
@click.pass_context
def data_verify_command(ctx: click.Context, name: str, as_json: bool) -> None:
    """Hash the cached files of the dataset NAME again; exits 1 if one is not what it should be."""
    from zoo import data

    rows = data.verify(name)
    report_result(as_json, rows, show.print_verification)
    if not all(row.ok for row in rows):
        ctx.exit(1)


@data_group.command("show")
@click.argument("name", default="mnist")
@DATA_DIR_OPTION
@click.option("--output", type=click.Path(path_type=Path), help="The PNG to write. [default: <name>-samples.png]")
@click.option("--seed", default=0, show_default=True, help="Which samples.")
@JSON_OPTION
def data_show_command(name: str, as_json: bool, **arguments: Any) -> None:
    """Write a grid of sample images of the dataset NAME, with their labels, as a PNG."""
    from zoo.imaging import samples

    report_result(as_json, samples.write_samples(name, announce=announce, **arguments), show.print_samples)


@main.command("plugins")
@click.option("--check", is_flag=True, help="Import each plugin, in a process of its own with a time-out.")
@click.option("--timeout", default=60.0, show_default=True, help="Seconds that one plugin's import may take.")
@JSON_OPTION
def plugins_command(check: bool, timeout: float, as_json: bool) -> None:
    """List the installed plugins, their models, and what is wrong with them."""
    from zoo import registry
    from zoo.plugins.status import survey

    rows = survey(built_ins=registry.built_ins(), zoo_version=__version__, check=check, timeout=timeout)
    report_result(as_json, rows, show.print_plugins)


@main.command("new-plugin")
@click.argument("name")
@JSON_OPTION
def new_plugin_command(name: str, as_json: bool) -> None:
    """Write a complete plugin package into a new folder NAME."""
    from zoo.commands import scaffold

    folder = scaffold.new_plugin(name)
    document = {"folder": str(folder), "next_steps": scaffold.next_steps(folder)}
    report_result(as_json, document, show.print_scaffold)


@main.command("doctor")
@JSON_OPTION
def doctor_command(as_json: bool) -> None:
    """Look at this machine: versions, devices, threads, data, and what is wrong."""
    from zoo.commands import doctor

    findings = doctor.examine()
    document = {"summary": doctor.summary(findings), "findings": findings}
    report_result(as_json, document, show.print_findings)


if __name__ == "__main__":
    sys.exit(main())
