"""Progress of downloads: a bar on a terminal, one line of text elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Announce = Callable[[str], None]
"""Receives a line of text when something takes time, is skipped, or was interpreted."""


def say_nothing(_line: str) -> None:
    """The default `Announce`, which ignores its line."""


@contextmanager
def fetching(description: str, total: int | None, announce: Announce) -> Iterator[Callable[[int], None]]:
    """Yield a function that takes the number of bytes fetched so far.

    On a terminal it advances a bar on stderr (which only pulses if `total` is None); elsewhere `announce` receives one
    line at the start.
    """
    if not sys.stderr.isatty():
        announce(f"{description} ...")
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(description, total=total)
        yield lambda completed: progress.update(task, completed=completed)
