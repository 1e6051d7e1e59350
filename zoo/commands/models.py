"""``zoo list``, ``zoo show`` and ``zoo cite``: list models and describe one."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.commands.options import JSON_OPTION, Command
from zoo.commands.shared import announce, find_model, report
from zoo.errors import ImageError, ModelError
from zoo.report.models import text as show
from zoo.report.models.bibtex import bibtex
from zoo.report.shared.figure import check_kind, save_picture
from zoo.spec.recipe import plain
from zoo.utils.startup import load_tensorflow


@click.command("list", cls=Command)
@click.argument("pattern", default="*")
@click.option("--task", help="Only models of this task.")
@click.option("--exclude", multiple=True, help="Leave out names that match this pattern; may be repeated.")
@JSON_OPTION
def list_command(pattern: str, task: str | None, exclude: tuple[str, ...], as_json: bool) -> None:
    """List the models whose names match PATTERN (shell wildcards)."""
    from zoo import registry

    document = registry.describe(registry.list_models(pattern, task=task, exclude=exclude))
    report(as_json, document, show.print_models)


@click.command("show", cls=Command)
@click.argument("name")
@click.option(
    "--picture", type=click.Path(path_type=Path), metavar="FILE", help="Draw the network into FILE, a .png or .svg."
)
@JSON_OPTION
def show_command(name: str, picture: Path | None, as_json: bool) -> None:
    """Show a model's facts, recipes and layers."""
    from zoo import registry
    from zoo.inspection import anatomy

    spec = find_model(name)
    if picture is not None:
        check_kind(picture)
    load_tensorflow()
    model = registry.build(spec)
    document = {**spec.to_dict(), "anatomy": spec.guarded(lambda: anatomy.dissect(model))}
    if picture is not None:
        from zoo.report.models.diagram import architecture_figure

        try:
            save_picture(architecture_figure(plain(document)), picture)
        except OSError as error:
            raise ImageError(f"{picture} cannot be written: {error.strerror}. Name another file.") from error
    report(as_json, document, show.print_model)
    if picture is not None:
        announce(f"Picture: {picture}")


@click.command("cite", cls=Command)
@click.argument("name")
@JSON_OPTION
def cite_command(name: str, as_json: bool) -> None:
    """Print the paper of a model as BibTeX."""
    spec = find_model(name)
    if spec.paper is None:
        source = f" It comes from: {spec.source}" if spec.source else ""
        raise ModelError(f"{name} was published in no paper that it names.{source} Cite that, or zoo itself.")
    paper = plain(spec.paper)
    document = {"model": name, "paper": paper, "bibtex": bibtex(paper)}
    report(as_json, document, lambda document: click.echo(document["bibtex"]))
