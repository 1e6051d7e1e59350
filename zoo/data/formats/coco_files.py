"""Finds the files of a COCO folder: the JSON file of each split, and the images that it names."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

from zoo.errors import DataError

WORDS = {"train": ("train", "training"), "test": ("test", "testing", "val", "valid", "validation")}
# Without their suffix, and {} is each of the words. The first that matches counts, and COCO's own and Roboflow's before
# all others.
PATTERNS = (
    (r"annotations/instances_{}[^/]*", r"annotations/{}", r"{}", r"{}/_annotations\.coco"),
    (
        r"instances_{}[^/]*",
        r"{0}[^/]*/(annotations/)?(instances_default|result|annotations|labels)",
        r"(annotations/)?([^/]*[^/a-z])?{}([^/a-z][^/]*)?",
        r"{0}[^/]*/(annotations/)?[^/]+",
    ),
)
# Of a file that covers all images. CVAT, Label Studio, Roboflow and FiftyOne call theirs so.
LONE = (
    r"(annotations/)?(instances_default|result|annotations|_annotations\.coco|labels|instances|coco)",
    r"annotations/[^/]+",
)
DEPTH = 3  # a JSON lies in the folder, in one of its folders, or in one of theirs


def find_annotations(folder: Path, half: str) -> Path | None:
    """Return the JSON file of one half, "train" or "test", or None. Raises `DataError` if there are several.

    Where no file is called after a half, that is the one file that covers all images, for both halves.
    """
    files = [path.relative_to(folder).as_posix() for path in _json_files(folder, DEPTH)]
    found = {each: _named(folder, files, each) for each in WORDS}
    return found[half] if any(found.values()) else _first(folder, files, LONE)


def _named(folder: Path, files: Sequence[str], half: str) -> Path | None:
    for patterns in PATTERNS:
        for word in WORDS[half]:
            if found := _first(folder, files, [pattern.format(word) for pattern in patterns]):
                return found
    return None


def _first(folder: Path, files: Sequence[str], patterns: Sequence[str]) -> Path | None:
    for pattern in patterns:
        matching = sorted(file for file in files if re.fullmatch(rf"{pattern}\.json", file.lower()))
        if len(matching) > 1:
            names = " and ".join(Path(file).name for file in matching[:3])
            more = f" and {len(matching) - 3:,} more" if len(matching) > 3 else ""
            raise DataError(
                f"The data folder {folder} holds {names}{more}, and one file must say what is in the images. Leave "
                "only the one that you mean there."
            )
        if matching:
            return folder / matching[0]
    return None


def _json_files(folder: Path, depth: int) -> Iterator[Path]:
    with contextlib.suppress(PermissionError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.lower().endswith(".json") and entry.is_file():
                yield Path(entry.path)
            elif depth > 1 and entry.is_dir():
                yield from _json_files(Path(entry.path), depth - 1)


class ImageFiles:
    """The image files that a JSON file may mean: in its own folder, that of its half, `images/`, or the data folder.

    A file_name is looked up as it is written. Where nothing lies there, it was written on another system or before the
    folder was moved, and the file below these folders whose path ends most like it is taken: C:\\data\\train\\7.png is
    train/7.png. Folders of the other half do not count then, since both halves may have a 7.png.
    """

    def __init__(self, folder: Path, file: Path, half: str | None) -> None:
        """`half` is "train" or "test", or None for a `file` that covers all images."""
        self.file = file
        stem = file.stem.removeprefix("instances_")
        alike = [path for word in WORDS.get(half or "", ()) for path in sorted(folder.glob(f"{word}*"))]
        named = [file.parent, folder / stem, folder / "images" / stem, *alike, folder / "images", folder]
        self.places = list(dict.fromkeys(path for path in named if path.is_dir()))
        self.others = tuple(word for each, words in WORDS.items() if half and each != half for word in words)
        self.moved: dict[str, Path] = {}

    def find(self, names: Sequence[str]) -> list[Path]:
        """Return where these images lie, and note those that do not lie where their name says, in `moved`.

        Raises `DataError` if one is not there, could be any of several files, or if two names lead to one file.
        """
        exact = [self._exactly(name) for name in names]
        found = [path or self._like(name) for path, name in zip(exact, names, strict=True)]
        lacking = [name for name, path in zip(names, found, strict=True) if path is None]
        if lacking:
            raise self._lacks(lacking, len(names))
        paths = [path for path in found if path is not None]
        self.moved = {name: path for name, there, path in zip(names, exact, paths, strict=True) if there is None}
        owners = {path: name for name, path in zip(names, exact, strict=True) if path is not None}
        for name, path in self.moved.items():
            if owners.setdefault(path, name) != name:
                raise DataError(
                    f"{self.file} lists the images {owners[path]} and {name}, and for both there is only {path}. Keep "
                    "the folders that the images lay in."
                )
        return paths

    def _exactly(self, name: str) -> Path | None:
        return next((place / name for place in self.places if _is_file(place / name)), None)

    def _like(self, name: str) -> Path | None:
        """Return the file whose path ends most like `name`, as it is or with its %20 and the like resolved."""
        for spelling in (name, unquote(name)):
            parts = _parts(spelling)
            likeness = {path: (*_common_end(parts, path.parts), -rank) for rank, path in self._called(parts)}
            alike = sorted(path for path, own in likeness.items() if own == max(likeness.values()))
            if len(alike) > 1:
                raise DataError(
                    f"{self.file} lists the image {name}, which may be {alike[0]} or {alike[1]}. Write the folder "
                    "that it lies in before its name."
                )
            if alike:
                return alike[0]
        return None

    def _called(self, parts: Sequence[str]) -> list[tuple[int, Path]]:
        return self._files[_folded(parts[-1])] if parts else []

    @functools.cached_property
    def _files(self) -> dict[str, list[tuple[int, Path]]]:
        """All files by their names, in small letters: in which of `places`, and where."""
        files: dict[str, list[tuple[int, Path]]] = defaultdict(list)
        seen: set[str] = set()
        for rank, place in enumerate(self.places):
            for parent, folders, names in os.walk(place):
                folders[:] = [each for each in folders if not each.lower().startswith(self.others)]
                for name in names if parent not in seen else ():
                    files[_folded(name)].append((rank, Path(parent, name)))
                seen.add(parent)
        return files

    def _lacks(self, lacking: Sequence[str], total: int) -> DataError:
        looked = ", ".join(map(str, self.places))
        them = "it" if len(lacking) == 1 else "them"
        others = f"; {len(lacking):,} of its {total:,} images are missing" if len(lacking) > 1 else ""
        return DataError(
            f"{self.file} lists the image {lacking[0]}, which is in none of {looked}{others}. Put {them} there, or "
            f"take {them} out of the file."
        )


def _is_file(path: Path) -> bool:
    """Whether this is a file; what no file can be called, too long or with a zero in it, is none."""
    with contextlib.suppress(OSError, ValueError):
        return path.is_file()
    return False


def _parts(name: str) -> list[str]:
    """Return the folders and the file in a path or an address, whichever system it was written on."""
    path = name.partition("?")[0] if "://" in name else name
    return [part for part in re.split(r"[\\/]+", path) if part not in ("", ".", "..")]


def _common_end(parts: Sequence[str], others: Sequence[str]) -> tuple[int, int]:
    """Return how many parts at the end are the same but for small and capital letters, and how many entirely."""
    same = 0
    pairs = list(zip(reversed(parts), reversed(others), strict=False))
    while same < len(pairs) and _folded(pairs[same][0]) == _folded(pairs[same][1]):
        same += 1
    return same, sum(one == other for one, other in pairs[:same])


def _folded(name: str) -> str:
    """Return a name as file systems that know no capital letters see it, accents in one character (macOS has two)."""
    return unicodedata.normalize("NFC", name).casefold()
