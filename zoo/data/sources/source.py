"""What a data set can come from, and the rule by which one of several sources is taken."""

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
    """What a source is given to work with: somebody to tell, and an empty folder to work in."""

    announce: Announce
    scratch: Path


@dataclass(frozen=True)
class SourceStatus:
    """Whether a source has the data, as far as one can tell without asking the network."""

    source: str
    available: bool
    detail: str


@dataclass(frozen=True)
class Source:
    """One place that a data set can come from.

    `status` is cheap: no network, nothing imported. `fetch` returns the arrays or raises `DataError`.
    """

    name: str
    status: Callable[[], tuple[bool, str]]
    fetch: Callable[[Job], RawArrays]


@dataclass(frozen=True)
class DatasetInfo:
    """The facts of a data set that `zoo data list` shows. Sizes of 0 mean: not known before it is read."""

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
    """A data set of the catalog: its facts, its sources in the order they are tried, its published digests.

    `only_published`: the user's own files, too, must be the published data. A derived data set has
    no sources but a `base`, another's name, and `derive`, which makes it from that; the cache keeps the base alone.
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
    """Return `raw` as a checked `Dataset`. Raises `DigestError` if they are not the published bytes."""
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

    Raises `DataError` listing every source and what it said; `refused` are the lines of those that the
    caller tried already. A copy with wrong bytes is announced and passed over.
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
    """Return a source that reads a file or folder of this machine, where there is one."""

    def status() -> tuple[bool, str]:
        return path().exists(), f"{path()}" if path().exists() else f"no {path()}"

    def fetch(_: Job) -> RawArrays:
        if not path().exists():
            raise DataError(f"no {path()}")
        return read(path())

    return Source(name, status, fetch)
