"""Choose file names for the pictures of `zoo predict`: unique, and never those of an input image."""

from __future__ import annotations

import itertools
import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

LONGEST = 255  # bytes: what file systems take as a name


def picture_paths(images: Sequence[str | os.PathLike[str]], model: str, folder: Path) -> list[Path]:
    """Return where the picture of each image goes, in their order: ``<name>-<model>.png`` in `folder`.

    Images of one name get as much of what is before and behind it as tells them apart: a/cat.png and b/cat.png become
    a-cat and b-cat, cat.png and cat.jpg become cat-png and cat-jpg. What this leaves alike, or what would be one of the
    images itself, gets a number behind it. Names that differ only by small and capital letters count as one, since many
    file systems see one file. An image that is given twice has one picture. What an earlier call has drawn is replaced.
    """
    files = [_file(image) for image in images]
    shown = {file: Path(os.path.abspath(image)) for file, image in zip(files, images, strict=True)}  # noqa: PTH100
    taken = {_same(os.path.realpath(file)) for file in shown}
    pictures: dict[Path, Path] = {}
    for file, label in zip(shown, _labels(list(shown.values())), strict=True):
        names = (folder / name for name in _names(label, model.replace("/", "-")))
        pictures[file] = next(path for path in names if _same(os.path.realpath(path)) not in taken)
        taken.add(_same(os.path.realpath(pictures[file])))
    return [pictures[file] for file in files]


def _file(image: str | os.PathLike[str]) -> Path:
    """Return a path that is the same for every way to the same file, but for links that give it another name."""
    path = Path(image)
    return path.parent.resolve() / path.name


def _labels(paths: Sequence[Path]) -> list[str]:
    """Return what each of several files is called: its stem, and what tells it from the others of that stem."""
    alike: dict[str, list[int]] = defaultdict(list)
    for row, path in enumerate(paths):
        alike[_same(path.stem)].append(row)
    groups = ((rows, _told_apart([paths[row] for row in rows])) for rows in alike.values())
    labels = {row: label for rows, found in groups for row, label in zip(rows, found, strict=True)}
    return [labels[row] for row in range(len(paths))]


def _told_apart(paths: Sequence[Path]) -> list[str]:
    deepest = max(len(path.parts) for path in paths)
    for folders, with_suffix in itertools.product(range(deepest - 1), (False, True)):
        labels = [_label(path, folders, with_suffix=with_suffix) for path in paths]
        if len(set(map(_same, labels))) == len(paths):
            return labels
    return [path.stem for path in paths]


def _label(path: Path, folders: int, *, with_suffix: bool) -> str:
    before = path.parts[1:-1][-folders:] if folders else ()
    return "-".join((*before, path.stem, *([path.suffix[1:]] if with_suffix and path.suffix else ())))


def _names(label: str, model: str) -> Iterator[str]:
    """Yield names that a picture may have, the best first; a leading dot would hide it."""
    begin = label.lstrip(".") or "image"
    for number in itertools.count(1):
        tail = f"-{model}{'' if number == 1 else f'-{number}'}.png"
        room = LONGEST - len(os.fsencode(tail))
        is_short = len(os.fsencode(begin)) <= room
        yield (begin if is_short else os.fsencode(begin)[:room].decode("utf-8", "ignore")) + tail


def _same(name: str) -> str:
    """Return a text that is the same for names that may be one file's: on macOS and Windows these are more than one."""
    return unicodedata.normalize("NFC", name).casefold()
