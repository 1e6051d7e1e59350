"""Writing files so that a crash leaves the old file or the new one, never half of either.

The recipe is the usual one for POSIX: write under a temporary name in the same folder (a rename across
file systems is not atomic), flush it to the disk, rename it over the target, and flush the folder, so
that the rename itself survives a power cut.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from zoo.errors import RunError, ZooError

TEMPORARY = ".zoo-"
"""How the names of files begin that are not whole yet. One that stays behind is from a process that was killed."""


def atomic_write(path: str | os.PathLike[str], content: bytes | str) -> Path:
    """Write `content` to `path` (text as UTF-8, line ends as given) and return the path.

    Missing parent folders are made. When anything fails, the old file is left as it was, nothing
    temporary stays behind, and the OSError is passed on.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
    return Path(path)


@contextlib.contextmanager
def writing(path: Path, advice: str = "Choose another --output.", kind: type[ZooError] = RunError) -> Iterator[None]:
    """Let a block write `path`; an OSError becomes one of zoo's that says what cannot be written, and why."""
    try:
        yield
    except OSError as error:
        raise kind(f"{path} cannot be written: {error.strerror or error}. {advice}") from error


def numbered(path: Path) -> Iterator[Path]:
    """Yield a path, then the same with numbers, since two may ask for it within one second."""
    yield path
    yield from (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))


def check_writable(folder: Path) -> None:
    """Make a folder and write to it for a moment, to find out before hours of work. Raises OSError."""
    atomic_write(folder / f"{TEMPORARY}writable", "").unlink(missing_ok=True)  # another process may be at it too


@contextlib.contextmanager
def output_folder(folder: Path) -> Iterator[Path]:
    """Make a folder and try it, before any time is spent on what is written there; if nothing is, it goes again.

    Raises:
        RunError: it cannot be made or written.
    """
    with writing(folder):
        check_writable(folder)
    try:
        yield folder.resolve()
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()  # refuses, as it should, once there is a file inside


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path with the suffix of `path`; rename it to `path` when the block succeeds.

    For libraries that insist on a file name, and choose the format by its suffix (Keras, matplotlib).
    The temporary file does not exist yet when the block starts. A symbolic link is followed: its target
    is replaced, and the link stays a link.

    Raises FileNotFoundError if the block ends without having written the file, and OSError as the
    operating system reports it; then the old file is untouched and the temporary one removed.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    # Short, so that a target whose name is as long as the file system allows still gets a temporary one.
    temporary = target.with_name(f"{TEMPORARY}{secrets.token_hex(8)}{target.suffix}")
    try:
        yield temporary
        _flush_file(temporary)
        temporary.replace(target)
    except BaseException:  # Ctrl-C as well: no litter, whatever the reason
        temporary.unlink(missing_ok=True)
        raise
    _flush_folder(target.parent)


def _flush_file(path: Path) -> None:
    """Ask the operating system to put the file's content on the disk."""
    descriptor = os.open(path, os.O_RDWR)  # Windows flushes only files that are open for writing
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    """Put a rename on the disk too, where folders can be flushed (Windows and some network drives cannot)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
