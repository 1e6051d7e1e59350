"""Atomic file writes: a crash leaves either the old file or the new one, never a partial one.

The usual method on POSIX: write to a temporary file in the same folder (a rename across file systems is not atomic),
flush it to disk, rename it to the target, and flush the folder, so that the rename survives a power failure.
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
"""Prefix of temporary files. One that is left over comes from a process that was killed."""


def atomic_write(path: str | os.PathLike[str], content: bytes | str) -> Path:
    """Write `content` to `path` (text as UTF-8, line ends as given) and return the path.

    Missing parent folders are created. On failure the old file is unchanged, the temporary file is removed, and the
    OSError is passed on.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
    return Path(path)


@contextlib.contextmanager
def writing(path: Path, advice: str = "Choose another --output.", kind: type[ZooError] = RunError) -> Iterator[None]:
    """Turn an OSError while writing `path` into a `ZooError` that says why it cannot be written."""
    try:
        yield
    except OSError as error:
        raise kind(f"{path} cannot be written: {error.strerror or error}. {advice}") from error


def numbered(path: Path) -> Iterator[Path]:
    """Yield a path, then the same path with the suffixes -2, -3 and so on, for when it is taken."""
    yield path
    yield from (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))


def check_writable(folder: Path) -> None:
    """Create a folder and check that it can be written, before hours of work. Raises OSError."""
    atomic_write(folder / f"{TEMPORARY}writable", "").unlink(missing_ok=True)  # another process may have removed it


@contextlib.contextmanager
def output_folder(folder: Path) -> Iterator[Path]:
    """Create a folder and check that it can be written; remove it at the end if it is still empty.

    Raises:
        RunError: it cannot be created or written.
    """
    with writing(folder):
        check_writable(folder)
    try:
        yield folder.resolve()
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()  # fails if there is a file inside


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path with the suffix of `path`, and rename it to `path` if the block succeeds.

    For libraries that take a file name and choose the format by its suffix (Keras, matplotlib). The temporary file
    does not exist yet when the block starts. A symbolic link is followed: its target is replaced.

    Raises FileNotFoundError if the block ends without having written the file, and OSError as the
    operating system reports it; then the old file is untouched and the temporary one removed.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    # Not derived from the target's name, which may already be as long as the file system allows.
    temporary = target.with_name(f"{TEMPORARY}{secrets.token_hex(8)}{target.suffix}")
    try:
        yield temporary
        _flush_file(temporary)
        temporary.replace(target)
    except BaseException:  # Ctrl-C as well
        temporary.unlink(missing_ok=True)
        raise
    _flush_folder(target.parent)


def _flush_file(path: Path) -> None:
    """Flush a file's content to disk."""
    descriptor = os.open(path, os.O_RDWR)  # Windows flushes only files that are open for writing
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    """Flush a rename to disk, if folders can be flushed (not on Windows and some network drives)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
