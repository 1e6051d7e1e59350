"""``zoo bench`` and ``zoo compare``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from zoo.commands.options import DATA_DIR_OPTION, DEVICE_OPTION, JSON_OPTION, Command
from zoo.commands.shared import announce, command_line, report

FORMATS = ("table", "markdown", "csv", "json", "html")
XLA = {"auto": None, "on": True, "off": False}
FILE = click.Path(path_type=Path)


def _bench_options(command: Callable[..., Any]) -> Callable[..., Any]:
    options = [
        click.option(
            "--preset", type=click.Choice(("quick", "standard", "full")), default="quick", show_default=True,
            help="How much is measured; the options below take its place where they are given.",
        ),
        click.option("--mode", "modes", type=click.Choice(("train", "infer")), multiple=True, help="May be repeated."),
        click.option(
            "--precision", "precisions", multiple=True, metavar="PRECISION",
            help="float32, mixed_bfloat16, mixed_float16; may be repeated.",
        ),
        click.option("--xla", type=click.Choice(tuple(XLA)), multiple=True, help="May be repeated."),
        click.option("--batch-size", "batch_sizes", type=int, multiple=True, help="Images per step; may be repeated."),
        DEVICE_OPTION,
        click.option("--rounds", type=int, help="Processes per cell, which take turns with the other cells'."),
        click.option("--seconds", type=float, help="Steady measurement in each process."),
        click.option("--time-budget", type=float, help="Seconds after which nothing more is started."),
        click.option("--timeout", default=300.0, show_default=True, help="Seconds that one process may take."),
        click.option("--until", type=float, help="Train until this test accuracy, as in 0.99, instead of the matrix."),
        click.option("--accuracy", is_flag=True, help="Beside the matrix, train each model to its recipe's end."),
        click.option("--recipe", default="default", show_default=True, help="For --until and --accuracy."),
        click.option("--seeds", type=int, default=1, show_default=True, help="Trainings of each model."),
        DATA_DIR_OPTION,
        click.option("--output", type=FILE, help="The record, JSON lines. [default: runs/bench-<time>.jsonl]"),
        click.option("--from", "source", type=FILE, help="Show this record; measure nothing."),
        click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True,
                     help="Of what is printed."),
        JSON_OPTION,
    ]  # fmt: skip
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(options), command)


@click.command("bench", cls=Command)
@click.argument("models", nargs=-1)
@_bench_options
@click.pass_context
def bench_command(
    ctx: click.Context, models: tuple[str, ...], source: Path | None, form: str, as_json: bool, **arguments: Any
) -> None:
    """Measure how fast MODELS train and predict: names or wildcard patterns; if none, all but those for photographs.

    Each measurement is a process of its own, and takes turns with the others. With --until, how long a model takes
    to reach a test accuracy. Exits 1 if something could not be measured; its row says why.
    """
    from zoo.benchmarking import bench, record

    form = "json" if as_json else form
    _check_use(ctx, source, models, arguments)
    if source is not None:
        _show(form, record.read(source))
        return
    arguments["xla"] = [XLA[word] for word in arguments["xla"]]
    path = arguments["output"] = record.claim(arguments["output"])
    try:
        document = bench.benchmark(*models, command=command_line(ctx), announce=announce, **arguments)
    except bench.BenchmarkInterrupted as interruption:
        announce(f"Record: {path}")
        _show(form, interruption.document)
        raise
    except BaseException:
        if not path.stat().st_size:
            path.unlink()  # nothing was measured
        raise
    announce(f"Record: {path}")
    _show(form, document)
    if not bench.all_measured(document):
        ctx.exit(1)


def _check_use(ctx: click.Context, source: Path | None, models: tuple[str, ...], arguments: dict[str, Any]) -> None:
    """Refuse options that would be passed over in silence."""
    given = {name for name in arguments if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    if source is not None and (models or given):
        raise click.UsageError("--from shows a record and measures nothing: leave the models and other options out.")
    if {"recipe", "seeds"} & given and arguments["until"] is None and not arguments["accuracy"]:
        raise click.UsageError("--recipe and --seeds are about trainings: add --until 0.99, or --accuracy.")


def _show(form: str, document: dict[str, Any]) -> None:
    from zoo.benchmarking.advice import advise
    from zoo.report.benchmark import page as benchmark_page
    from zoo.report.benchmark import tables as benchmark_tables

    if form == "csv":
        click.echo(benchmark_tables.benchmark_csv(document), nl=False)
    elif form == "markdown":
        click.echo(benchmark_tables.benchmark_markdown(document, advise(document)), nl=False)
    elif form == "html":
        click.echo(benchmark_page.benchmark_page(document, advise(document)))
    else:
        report(form == "json", document, lambda plain: benchmark_tables.print_benchmark(plain, advise(plain)))


@click.command("compare", cls=Command)
@click.argument("old", type=FILE)
@click.argument("new", type=FILE)
@click.option(
    "--fail-if-slower",
    type=float,
    metavar="RATIO",
    help="Exit 1 if a cell is slower by this, as in 1.1, or can no longer be measured.",
)
@click.option("--anyway", is_flag=True, help="Compare records of different machines too, loudly marked.")
@click.option(
    "--format", "form", type=click.Choice(("table", "markdown", "json")), default="table", show_default=True,
    help="Of what is printed.",
)  # fmt: skip
@JSON_OPTION
@click.pass_context
def compare_command(
    ctx: click.Context,
    old: Path,
    new: Path,
    fail_if_slower: float | None,
    anyway: bool,
    form: str,
    as_json: bool,
) -> None:
    """Compare two records of zoo bench: which cells changed, by how much, against noise."""
    from zoo.benchmarking import comparison, record
    from zoo.report.benchmark import comparison as text

    compared = comparison.compare(record.read(old), record.read(new), anyway=anyway)
    failures = comparison.failures(compared, fail_if_slower) if fail_if_slower is not None else []
    if form == "markdown" and not as_json:
        click.echo(text.comparison_markdown(compared), nl=False)
    else:
        report(as_json or form == "json", compared, text.print_comparison)
    for failure in failures:
        announce(failure)
    if failures:
        ctx.exit(1)
