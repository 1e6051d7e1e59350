"""Show that something is being fetched: a bar where a person looks on, one plain line elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Announce = Callable[[str], None]
"""Gets a line of text when something takes time, is passed over, or was understood."""


def say_nothing(_line: str) -> None:
    """Stand for an `Announce` that was not given."""


@contextmanager
def fetching(description: str, total: int | None, announce: Announce) -> Iterator[Callable[[int], None]]:
    """Yield a function that takes the number of bytes fetched so far.

    On a terminal it moves a bar on stderr (`total` None: a bar that only pulses); elsewhere
    `announce` gets one line at the start.
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
