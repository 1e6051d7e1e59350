"""Files are written whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from zoo.utils.files import atomic_path, atomic_write


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_text_is_written_as_utf8_with_its_own_line_ends(tmp_path: Path) -> None:
    """Text arrives as UTF-8, byte for byte, on every platform."""
    atomic_write(tmp_path / "a.txt", "é\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xa9\n"


def test_an_existing_file_is_replaced_and_nothing_else_stays(tmp_path: Path) -> None:
    """The new content replaces the old, and no temporary file is left beside it."""
    path = tmp_path / "run.json"
    path.write_text("old")
    assert atomic_write(path, b"new") == path
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["run.json"]


def test_missing_folders_are_made(tmp_path: Path) -> None:
    """A path in a folder that does not exist yet is no error."""
    assert atomic_write(tmp_path / "a" / "b" / "c.txt", "x").read_text() == "x"


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_failing_writer_leaves_the_old_file(tmp_path: Path, failure: type[BaseException]) -> None:
    """When the block raises, Ctrl-C included, the old file stays and the half-written one goes."""
    path = tmp_path / "model.keras"
    path.write_text("old")

    def write_half() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise failure

    with pytest.raises(failure):
        write_half()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["model.keras"]


def test_a_failing_rename_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that refuses the rename costs the new content, not the old."""
    path = tmp_path / "history.csv"
    path.write_text("old")

    def refuse(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="No space left"):
        atomic_write(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["history.csv"]


def test_a_writer_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    """A block that never makes the file raises FileNotFoundError instead of passing in silence."""
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a.png"):
        pass


def test_the_temporary_path_has_the_suffix_and_the_folder(tmp_path: Path) -> None:
    """Savers that choose the format by the suffix get the right one, on the same file system."""
    with atomic_path(tmp_path / "model.keras") as temporary:
        assert temporary.suffix == ".keras"
        assert temporary.parent == tmp_path.resolve()
        assert not temporary.exists()
        temporary.write_text("x")


def test_the_longest_file_name_works(tmp_path: Path) -> None:
    """The temporary name is short, so a name of 255 characters can still be written."""
    assert atomic_write(tmp_path / ("n" * 251 + ".txt"), "x").read_text() == "x"


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions and links")
def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    """A written file is as readable as one written plainly, not private like a temporary file."""
    plain = tmp_path / "plain"
    plain.write_text("x")
    atomic = atomic_write(tmp_path / "atomic", "x")
    assert stat.S_IMODE(atomic.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions and links")
def test_a_symbolic_link_stays_a_link(tmp_path: Path) -> None:
    """Writing through a link replaces its target."""
    (tmp_path / "target").write_text("old")
    link = tmp_path / "link"
    link.symlink_to("target")
    atomic_write(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "target").read_text() == "new"
