"""Sources of data sets, catalog entries, and the rule by which a source is chosen."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zoo.data.dataset import Dataset, Names, RawArrays, assemble
from zoo.data.progress import Announce
from zoo.errors import DataError, DigestError


@dataclass(frozen=True)
class Job:
    """What a source needs to fetch data: a function for status lines, and an empty folder."""

    announce: Announce
    scratch: Path


@dataclass(frozen=True)
class SourceStatus:
    """Whether a source seems to have the data, determined without network access."""

    source: str
    available: bool
    detail: str


@dataclass(frozen=True)
class Source:
    """A source of a data set.

    `status` is cheap: no network access, no imports. `fetch` returns the arrays or raises `DataError`.
    """

    name: str
    status: Callable[[], tuple[bool, str]]
    fetch: Callable[[Job], RawArrays]


@dataclass(frozen=True)
class DatasetInfo:
    """The facts about a data set that `zoo data list` shows. A size of 0 is not known before the data is read."""

    name: str
    description: str
    num_classes: int = 0
    image_shape: tuple[int, int, int] = (0, 0, 0)
    train_size: int = 0
    test_size: int = 0
    needs_network: bool = False
    license: str = ""
    url: str = ""
    cached: bool = False


@dataclass(frozen=True)
class Entry:
    """A data set of the catalog: its facts, its sources in the order in which they are tried, its published digests.

    `only_published`: the user's own files must be the published data, too. A derived data set has no sources but a
    `base`, the name of another data set, and a function `derive` that generates it; only the base is cached.
    """

    info: DatasetInfo
    sources: Sequence[Source] = ()
    published: Mapping[str, str] = field(default_factory=dict)
    class_names: Names | None = None
    only_published: bool = False
    base: str = ""
    derive: Callable[[Dataset], Dataset] | None = None

    @property
    def name(self) -> str:
        """The name in the catalog."""
        return self.info.name


def accept(entry: Entry, raw: RawArrays) -> Dataset:
    """Return `raw` as a verified `Dataset`. Raises `DigestError` if it is not the published data."""
    dataset = assemble(entry.name, raw, entry.class_names)
    for key, expected in entry.published.items():
        if dataset.digests[key] != expected:
            raise DigestError(
                f"{raw.files[key]} is not {entry.name}: its SHA-256 is {dataset.digests[key]}, "
                f"published is {expected}. It was not used."
            )
    return dataset


def fetch_first(entry: Entry, job: Job, refused: Sequence[str] = ()) -> Dataset:
    """Return the data set from the first source of `entry` that has it, verified.

    Raises `DataError` listing every source and its error; `refused` are the lines for sources that the caller has
    already tried. A copy with a wrong digest is announced and skipped.
    """
    said = list(refused)
    for source in entry.sources:
        try:
            return accept(entry, source.fetch(job))
        except DigestError as error:
            job.announce(f"Passed over: {error}")
            said.append(f"{source.name}: {error}")
        except (DataError, OSError) as error:
            said.append(f"{source.name}: {error}")
    raise DataError(
        f"'{entry.name}' could not be had from any source. Connect to the network and try again, or give "
        "your own files with --data-dir.\n" + "\n".join(f"  {line}" for line in said)
    )


def keras_folder() -> Path:
    """Return where Keras keeps downloaded data sets: ``$KERAS_HOME/datasets``, else ``~/.keras/datasets``."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "datasets"


def local_source(name: str, path: Callable[[], Path], read: Callable[[Path], RawArrays]) -> Source:
    """Return a source that reads a local file or folder, if it exists."""

    def status() -> tuple[bool, str]:
        return path().exists(), f"{path()}" if path().exists() else f"no {path()}"

    def fetch(_: Job) -> RawArrays:
        if not path().exists():
            raise DataError(f"no {path()}")
        return read(path())

    return Source(name, status, fetch)
