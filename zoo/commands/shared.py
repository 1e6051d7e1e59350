"""Helpers that commands share: find a model, print results and progress, quote the command line."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from typing import Any

import click
from click.core import ParameterSource

from zoo.spec import ModelSpec
from zoo.spec.recipe import plain
from zoo.utils.startup import load_tensorflow

NOT_OF_THE_COMMAND = ("output", "data_dir", "as_json", "form")


def find_model(name: str) -> ModelSpec:
    """Return a model's spec. A plugin brings Keras along, and Keras TensorFlow: that is loaded quietly first."""
    from zoo import registry

    if registry.needs_import(name):
        load_tensorflow()
    return registry.get(name)


def announce(line: str) -> None:
    """Print a status line to standard error."""
    click.echo(line, err=True)


def report(as_json: bool, document: Any, printer: Callable[[Any], None]) -> None:
    """Print a result for a machine or for a person."""
    document = plain(document)
    if as_json:
        click.echo(json.dumps(document, indent=2, allow_nan=False))
    else:
        printer(document)


def command_line(ctx: click.Context) -> str:
    """The command as one would type it to get the same result: where it is kept and how it is shown left out."""
    words = ["zoo", ctx.info_name or ""]
    for parameter in ctx.command.params:
        name = parameter.name or ""
        value = ctx.params.get(name)
        given = ctx.get_parameter_source(name) not in (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)
        if value in (None, False, ()) or not given or name in NOT_OF_THE_COMMAND:
            continue
        for each in value if isinstance(value, tuple) else (value,):
            option = [] if isinstance(parameter, click.Argument) else [parameter.opts[0]]
            words += option if each is True else [*option, str(each)]
    return shlex.join(words)
