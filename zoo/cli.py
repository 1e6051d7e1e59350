"""The command line. Commands parse arguments, call zoo and print; there is no logic here, and no TensorFlow import.

What a command reports goes to standard output, one JSON document with ``--json``; everything else (progress,
status, errors) goes to standard error. Exit codes: 0; 1 for any `ZooError`; 2 for wrong usage; 130 for Ctrl-C.
"""

from __future__ import annotations

import io
import sys

import click

from zoo import __version__
from zoo.commands.benchmark import bench_command, compare_command
from zoo.commands.data import data_group
from zoo.commands.doctor import doctor_command
from zoo.commands.evaluate import evaluate_command
from zoo.commands.models import cite_command, list_command, show_command
from zoo.commands.plugins import new_plugin_command, plugins_command
from zoo.commands.predict import predict_command
from zoo.commands.reproduce import reproduce_command
from zoo.commands.runs import runs_group
from zoo.commands.streams import Program
from zoo.commands.train import train_command


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="zoo")
def main() -> None:
    """Classic convolutional networks for TensorFlow: list them, train them, measure them."""
    for stream in (sys.stdout, sys.stderr):  # a terminal that lacks a character gets a question mark, no traceback
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


for command in (
    list_command,
    show_command,
    cite_command,
    train_command,
    reproduce_command,
    evaluate_command,
    predict_command,
    runs_group,
    bench_command,
    compare_command,
    data_group,
    plugins_command,
    new_plugin_command,
    doctor_command,
):
    main.add_command(command)


if __name__ == "__main__":
    sys.exit(main())
