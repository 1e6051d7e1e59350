"""``zoo reproduce``: train published recipes again and compare the results."""

from __future__ import annotations

import sys
from typing import Any

import click

from zoo.commands.options import Command, reproduce_options
from zoo.commands.shared import announce, command_line, find_model, report
from zoo.utils.startup import load_tensorflow


@click.command("reproduce", cls=Command)
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
    from zoo.report.reproduction import print_published, print_reproduction

    if not (recipe or train_all or list_only):
        raise click.UsageError(
            "Name a RECIPE, such as mlp/dropout, or pass --all to train each, or --list to see them."
        )
    if recipe and train_all:
        raise click.UsageError(f"RECIPE '{recipe}' and --all exclude each other: leave one out.")
    rows = reproduction.find(recipe, find_model) if recipe else reproduction.published_recipes()
    if list_only:
        report(as_json, [row.to_dict() for row in rows], print_published)
        return
    load_tensorflow()
    arguments |= {"command": command_line(ctx), "announce": announce, "quiet": not sys.stderr.isatty()}
    document = reproduction.reproduce(rows, **arguments)
    report(as_json, document, print_reproduction)
    if any(row["error"] for row in document["rows"]):
        ctx.exit(1)
