"""Options that several commands share, options made from recipe settings, and error handling."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from zoo.errors import ZooError
from zoo.report.shared.text import printable
from zoo.spec.recipe import SETTINGS, SHORT

JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
DEVICE_OPTION = click.option("--device", default="auto", help="auto, cpu, gpu or gpu:N.", show_default=True)
DATA_DIR_OPTION = click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Read the dataset from this folder or file (IDX files, .npz, .csv, or images with COCO's annotations).",
)


class Command(click.Command):
    """A command that turns a ZooError into one line, in this one place, and offers the traceback."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(
            click.Option(["--traceback"], is_flag=True, expose_value=False, help="Show where an error came from.")
        )

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ZooError as error:
            if ctx.traceback_wanted:  # type: ignore[attr-defined]
                raise
            lines = (printable(line) for line in str(error).splitlines())
            click.echo("Error: " + "\n".join(lines), err=True)
            ctx.exit(1)
        except KeyboardInterrupt as interruption:
            click.echo(str(interruption) or "Interrupted.", err=True)
            ctx.exit(130)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the options that override a recipe apart from the others, section by section."""
        records: dict[str, list[tuple[str, str]]] = {"Options": []}
        for option in self.get_params(ctx):
            if isinstance(option, click.Option) and (record := option.get_help_record(ctx)):
                records.setdefault(getattr(option, "heading", "Options"), []).append(record)
        for heading, rows in records.items():
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        above = getattr(ctx.parent, "traceback_wanted", False)
        ctx.traceback_wanted = above or "--traceback" in args  # type: ignore[attr-defined]
        return super().parse_args(ctx, args)


class Group(click.Group):
    command_class = Command
    group_class = type


class ReportingGroup(Command, Group):
    """A group that is a command too: called by its bare name it reports, and its errors are one line like any."""


class RecipeOption(click.Option):
    """An option that overrides a setting of the recipe; help shows these apart, section by section."""

    heading = "Recipe"

    @classmethod
    def of(cls, name: str) -> RecipeOption:
        """Return the option of the setting of that full name, made from what the recipe knows about it."""
        field, names = SETTINGS[name], [short for short, full in SHORT.items() if full == name]
        flags, meaning = ["--" + short.replace("_", "-") for short in names], field.metadata["meaning"]
        choices = "|".join(field.metadata["choices"]) or None
        if "bool" in str(field.type):
            option = cls([f"{flags[0]}/--no-{flags[0][2:]}", names[0]], default=None, help=meaning)
        else:
            kind = {"int": int, "float": float}.get(str(field.type), str)
            option = cls([*flags, names[0]], type=kind, metavar=choices, help=meaning)
        if "." in name:
            option.heading = f"Recipe, {name.partition('.')[0]}"
        return option


NOT_OPTIONS = ("note", "model.options", "optimizer.options")  # what a recipe is not called by, and what takes --set


def train_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of ``train``: where and how much, then one for each setting of a recipe."""
    options = [
        DATA_DIR_OPTION,
        click.option("--recipe", help="One of the model's recipes. [default: default]"),
        click.option(
            "--config", type=click.Path(path_type=Path), metavar="FILE", help="Train by the recipe in this TOML file."
        ),
        click.option("--print-config", is_flag=True, help="Print the recipe as such a file, and train nothing."),
        DEVICE_OPTION,
        click.option("--seeds", type=int, help="Train this many times, with consecutive seeds, and summarise."),
        click.option("--deterministic", is_flag=True, help="The same seed gives the same bits; slower."),
        click.option("--limit", type=int, help="Train on the first N images of a seeded shuffle."),
        click.option(
            "--output", type=click.Path(path_type=Path), help="The run folder. [default: runs/<model>-<time>-s<seed>]"
        ),
        click.option("--resume", metavar="RUN", help="Continue a run that was stopped, as it was begun."),
        click.option("--tensorboard", is_flag=True, help="Write event files for TensorBoard into the run folder."),
        click.option("--report/--no-report", default=True, help="End with the evaluation in full. [default: on]"),
        click.option(
            "--set", "settings", multiple=True, metavar="KEY=VALUE",
            help="Override any setting of the recipe, model.options.KEY included; may be repeated.",
        ),
        click.option("--quiet", is_flag=True, help="Show no progress."),
        JSON_OPTION,
    ]  # fmt: skip
    wrapped = functools.reduce(lambda inner, option: option(inner), reversed(options), command)
    names = [name for name in SETTINGS if name not in NOT_OPTIONS]
    own: list[click.Parameter] = vars(wrapped).setdefault("__click_params__", [])
    own[:0] = [RecipeOption.of(name) for name in reversed(names)]
    return wrapped


def reproduce_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of ``reproduce``: none overrides a recipe, or the comparison would be unfair."""
    path = click.Path(path_type=Path)
    options = [
        click.option("--list", "list_only", is_flag=True, help="Show the recipes and what is published for them."),
        click.option("--all", "train_all", is_flag=True, help="Train every published recipe of the known models."),
        click.option("--seeds", default=1, show_default=True, help="Trainings of each, with consecutive seeds."),
        click.option("--seed", default=0, show_default=True, help="The first seed; expectations come from 100 on."),
        click.option("--record", type=path, help="Write the result to this JSON file, after each recipe anew."),
        click.option("--markdown", type=path, help="Write it as a page to this file, likewise."),
        click.option("--output", type=path, help="Folder of the run folders. [default: runs/reproduce-<time>-s<seed>]"),
        DEVICE_OPTION,
        click.option("--deterministic", is_flag=True, help="The same seed gives the same bits; slower."),
        DATA_DIR_OPTION,
        JSON_OPTION,
    ]
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(options), command)
