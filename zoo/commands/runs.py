"""``zoo runs``: list runs and compare two of them."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from zoo.commands.options import JSON_OPTION, ReportingGroup
from zoo.commands.shared import report
from zoo.report.runs.listing import print_run_diff, print_runs


@click.group("runs", cls=ReportingGroup, invoke_without_command=True, subcommand_metavar="[COMMAND [ARGS]...]")
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
    printer = functools.partial(print_runs, folder=arguments["folder"], sort=column, filtered=filtered)
    report(as_json, rows, printer)


@runs_group.command("diff")
@click.argument("a")
@click.argument("b")
@JSON_OPTION
def runs_diff_command(a: str, b: str, as_json: bool) -> None:
    """Compare A and B: what was changed, and what that did.

    A and B are run folders or their names inside runs/, or folders of several seeds of one recipe.
    """
    from zoo.runs.diff import diff_runs

    report(as_json, diff_runs(a, b), print_run_diff)
