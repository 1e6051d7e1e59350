"""Handle standard output and standard error that are closed, full or no longer read."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import Any

import click

from zoo.commands.options import Group


class Program(Group):
    """The whole command line: it does its work whatever its streams are, and then says if its output was lost.

    What cannot be written to standard error is dropped, for there is nobody to tell. What cannot be written to standard
    output ends in one line and exit code 1, where the command itself went well; a reader that has gone (``| head``)
    wants no line.
    """

    def main(self, *args: Any, **kwargs: Any) -> Any:
        with _standard_streams() as output:
            try:
                return super().main(*args, **kwargs)
            except SystemExit as end:
                sys.stdout.flush()
                lost = output.error if output else None
                if lost is None or end.code:
                    raise
                if lost.errno != errno.EPIPE:
                    click.echo(
                        f"Error: Standard output cannot be written: {lost.strerror}. Send it elsewhere; what the "
                        "command has trained or written is kept.",
                        err=True,
                    )
                sys.exit(1)


class _Stream(io.FileIO):
    """A descriptor that takes all that is written to it: what it cannot pass on is lost, and `error` says why."""

    error: OSError | None = None

    def write(self, data: Any) -> int:
        if self.error is None:
            try:
                return super().write(data)
            except OSError as error:
                self.error = error
        return len(data)


@contextlib.contextmanager
def _standard_streams() -> Iterator[_Stream | None]:
    """Replace both streams by ones that never fail, and give standard output's; None where it is no file.

    A descriptor that is closed gets one that cannot be written instead: no file that is opened later may take its
    number, and with it what libraries print.
    """
    while (descriptor := os.open(os.devnull, os.O_RDONLY)) <= 2:
        pass
    os.close(descriptor)
    before = sys.stdout, sys.stderr
    output, sys.stdout = _unfailing(sys.stdout, 1)
    _, sys.stderr = _unfailing(sys.stderr, 2)
    try:
        yield output
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdout, sys.stderr = before


def _unfailing(stream: Any, number: int) -> tuple[_Stream | None, Any]:
    """Return a stream like this one, and its descriptor; what is not a plain file stays as it is.

    Args:
        stream: None where Python found its descriptor closed.
        number: that descriptor.
    """
    options: dict[str, Any] = {"encoding": "utf-8", "line_buffering": number == 2}
    is_buffered = True
    if stream is not None:
        is_buffered = hasattr(getattr(stream, "buffer", None), "raw")  # python -u does without
        below = stream.buffer.raw if is_buffered else getattr(stream, "buffer", None)
        if type(stream) is not io.TextIOWrapper or not isinstance(below, io.FileIO):
            return None, stream
        stream.flush()
        number = stream.fileno()
        options = {name: getattr(stream, name) for name in ("encoding", "line_buffering", "write_through")}
    raw = _Stream(number, "w", closefd=False)
    buffer: Any = io.BufferedWriter(raw) if is_buffered else raw
    return raw, io.TextIOWrapper(buffer, errors="replace", **options)
