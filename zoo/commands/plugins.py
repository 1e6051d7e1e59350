"""``zoo plugins`` and ``zoo new-plugin``: list plugins, and create one."""

from __future__ import annotations

import click

from zoo import __version__
from zoo.commands.options import JSON_OPTION, Command
from zoo.commands.shared import report
from zoo.report.installation import print_plugins, print_scaffold


@click.command("plugins", cls=Command)
@click.option("--check", is_flag=True, help="Import each plugin, in a process of its own with a time-out.")
@click.option("--timeout", default=60.0, show_default=True, help="Seconds that one plugin's import may take.")
@JSON_OPTION
def plugins_command(check: bool, timeout: float, as_json: bool) -> None:
    """List the installed plugins, their models, and what is wrong with them."""
    from zoo import registry
    from zoo.plugins.status import survey

    rows = survey(built_ins=registry.built_ins(), zoo_version=__version__, check=check, timeout=timeout)
    report(as_json, rows, print_plugins)


@click.command("new-plugin", cls=Command)
@click.argument("name")
@JSON_OPTION
def new_plugin_command(name: str, as_json: bool) -> None:
    """Write a complete plugin package into a new folder NAME."""
    from zoo.commands import scaffold

    folder = scaffold.new_plugin(name)
    document = {"folder": str(folder), "next_steps": scaffold.next_steps(folder)}
    report(as_json, document, print_scaffold)
