"""``zoo data``: list, download, verify and show datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from zoo.commands.options import DATA_DIR_OPTION, JSON_OPTION, Group
from zoo.commands.shared import announce, report
from zoo.report.datasets.text import print_datasets, print_prepared, print_samples, print_verification


@click.group("data", cls=Group)
def data_group() -> None:
    """List, fetch, check and look at datasets."""


@data_group.command("list")
@JSON_OPTION
def data_list_command(as_json: bool) -> None:
    """List the datasets that zoo knows by name."""
    from zoo import data

    report(as_json, data.list_datasets(), print_datasets)


@data_group.command("prepare")
@click.argument("name", default="mnist")
@DATA_DIR_OPTION
@JSON_OPTION
def data_prepare_command(name: str, data_dir: Path | None, as_json: bool) -> None:
    """Fetch the dataset NAME, check it, and keep it in the cache."""
    from zoo import data

    folder = data.prepare(name, data_dir=data_dir, announce=announce)
    report(as_json, {"name": name, "folder": str(folder)}, print_prepared)


@data_group.command("verify")
@click.argument("name", default="mnist")
@JSON_OPTION
@click.pass_context
def data_verify_command(ctx: click.Context, name: str, as_json: bool) -> None:
    """Hash the cached files of the dataset NAME again; exits 1 if one is not what it should be."""
    from zoo import data

    rows = data.verify(name)
    report(as_json, rows, print_verification)
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

    report(as_json, samples.write_samples(name, announce=announce, **arguments), print_samples)
