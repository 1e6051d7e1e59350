"""Loads data sets by name, and decides where each comes from.

The order is the same for all: the user's files, then the cache, then the sources of its entry. The user's files come
before the cache because a user who names a folder means that folder: if it is empty, silently training on cached data
would be wrong.
"""

from __future__ import annotations

import re
import tempfile
from contextlib import suppress
from dataclasses import replace
from os import PathLike
from pathlib import Path

from zoo.data import cache
from zoo.data.dataset import Dataset
from zoo.data.formats.user_files import read_user_files
from zoo.data.manifest import Manifest
from zoo.data.progress import Announce, say_nothing
from zoo.data.scanning import values_in
from zoo.data.sources.source import DatasetInfo, Entry, Job, SourceStatus, accept, fetch_first
from zoo.data.sources.tfds import configurations, known_names, prepared_folder, tfds_sources
from zoo.errors import DataError, DigestError, UnknownNameError, suggestion


def _sort_key(entry: Entry) -> tuple[bool, int, bool, str]:
    """Sort derived data sets last, large ones and the default first."""
    return entry.derive is not None, -entry.info.train_size, entry.name != "mnist", entry.name


CATALOG = {entry.name: entry for entry in sorted(values_in("zoo.data.sources", Entry), key=_sort_key)}
# A name becomes a folder in the cache, so it is a word without dots or leading dashes; or, for a data set of TFDS and
# its configuration, two words with a slash between them.
NAME_RULE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(/[A-Za-z0-9][A-Za-z0-9_-]*)?")


def load(
    name: str = "mnist", *, data_dir: str | PathLike[str] | None = None, announce: Announce | None = None
) -> Dataset:
    """Return the data set `name`, verified.

    `data_dir` is a folder with IDX files, arrays or tables, an `.npz` or `.csv` file, or a folder of images in COCO's
    format (see `zoo.data.formats`); with it, `name` may be any word, and the data is cached only if it is the published
    data of `name`. Fetched data is always cached, including boxes and masks; if the cache cannot be written, the data
    set is kept in memory. `announce` receives a line of text when something takes time, is skipped or cannot be cached,
    and about how the user's files were interpreted. Derived data sets, such as scenes from MNIST, are generated anew.

    Raises `DigestError` if cached bytes, or files given as MNIST, are not the published ones; `UnknownNameError` if
    there is no data set `name`; `DataError` if no source has it, with the reason of each.
    """
    tell = announce or say_nothing
    entry = _entry(name)
    if entry.derive is not None:
        return entry.derive(load(entry.base, data_dir=data_dir, announce=announce))
    if data_dir is not None:
        return _from_user(entry, Path(data_dir), tell)
    try:
        return _read_cached(entry) or _obtain(entry, tell)
    except DigestError as damage:
        return _read_again(entry, tell, damage)


def prepare(name: str, *, data_dir: str | PathLike[str] | None = None, announce: Announce | None = None) -> Path:
    """Put the data set `name` into the cache, verified, and return its folder there.

    A valid cache entry is left as it is; a damaged one is replaced. With `data_dir`, those files replace the cached
    data set. Raises the errors of `load`, and `DataError` if the cache cannot be written.
    """
    tell = announce or say_nothing
    entry = _kept(name)
    if data_dir is None and not cache.entry_folder(entry.name).exists():
        _require_known(entry)
    with cache.locked(entry.name, tell) as staging:
        if data_dir is not None:
            cache.write(_user_dataset(entry, Path(data_dir), tell, strict=True), staging)
        elif not _is_sound(entry, tell):
            cache.write(_fetch(entry, Job(tell, staging)), staging)
    return cache.entry_folder(entry.name)


def verify(name: str) -> list[cache.VerifyRow]:
    """Verify the hashes of the cached files of `name`. Raises `DataError` if none are cached."""
    entry = _kept(name)
    return cache.verify(entry.name, entry.published)


def where(name: str) -> list[SourceStatus]:
    """Return every source of `name`, in the order in which they are tried, and whether it has the data.

    Only looks at the disk: nothing is fetched, imported or hashed.
    """
    entry = _kept(name)
    folder = cache.entry_folder(entry.name)
    cached = SourceStatus("cache", folder.exists(), str(folder) if folder.exists() else f"no {folder}")
    given = SourceStatus("--data-dir", False, "used where it is given")
    rest = (SourceStatus(source.name, *source.status()) for source in entry.sources)
    return [cached, given, *rest]


def list_datasets() -> list[DatasetInfo]:
    """Return the data sets of the catalog, then any others in the cache."""
    cached = cache.cached_names()
    catalog = [replace(entry.info, cached=_kept(name).name in cached) for name, entry in CATALOG.items()]
    return catalog + [_cached_info(name) for name in cached if name not in CATALOG]


def _kept(name: str) -> Entry:
    """Return the entry whose files are cached: that of `name`, or of the data set that it is derived from."""
    entry = _entry(name)
    return entry if entry.derive is None else _kept(entry.base)


def _entry(name: str) -> Entry:
    """Return the entry of `name`; a new one for TFDS, if it is not in the catalog."""
    if name in CATALOG:
        return CATALOG[name]
    if not NAME_RULE.fullmatch(name):
        raise _unknown(name, [])
    sources = tfds_sources(name) if name.partition("/")[0].isidentifier() else ()
    return Entry(DatasetInfo(name, "from TensorFlow Datasets", needs_network=True), sources)


def _unknown(name: str, others: list[str]) -> UnknownNameError:
    known = [*CATALOG, *(cached for cached in cache.cached_names() if cached not in CATALOG)]
    return UnknownNameError(
        f"No dataset is called '{name}'.{suggestion(name, [*known, *others])} "
        f"Known are {', '.join(known)}, and datasets of TensorFlow Datasets by their names, as in cifar10 "
        "or voc/2007; to read your own files, add --data-dir FOLDER to a name of your choice."
    )


def _read_cached(entry: Entry) -> Dataset | None:
    dataset = cache.read(entry.name, entry.published)
    # Class names in the catalog take precedence over those in the cache.
    return replace(dataset, class_names=entry.class_names) if dataset and entry.class_names else dataset


def _obtain(entry: Entry, tell: Announce) -> Dataset:
    """Fetch a data set and cache it, unless another process does so while this one waits for the lock.

    If the cache cannot be written, return the data as fetched.
    """
    _require_known(entry)
    fetched = None
    try:
        with cache.locked(entry.name, tell) as staging:
            if cached := _read_cached(entry):
                return cached
            fetched = _fetch(entry, Job(tell, staging))
            cache.write(fetched, staging)
            return _read_cached(entry) or fetched
    except cache.CacheError as error:
        tell(f"{error} {entry.name} is held in memory for this run only.")
    if fetched is not None:
        return fetched
    with tempfile.TemporaryDirectory(prefix="zoo-") as scratch:
        return _fetch(entry, Job(tell, Path(scratch)))


def _read_again(entry: Entry, tell: Announce, damage: DigestError) -> Dataset:
    """Read a seemingly damaged cache entry again under the lock, so that no other process is replacing it."""
    try:
        with cache.locked(entry.name, tell):
            dataset = _read_cached(entry)
    except cache.CacheError:
        raise damage from None
    if dataset is None:
        raise damage
    return dataset


def _is_sound(entry: Entry, tell: Announce) -> bool:
    try:
        return _read_cached(entry) is not None
    except DigestError as error:
        tell(f"{error} It is fetched again now.")
        return False


def _require_known(entry: Entry) -> None:
    """Raise `UnknownNameError` if no source knows the name, before a lock or folder is created for it."""
    if entry.name not in CATALOG and prepared_folder(entry.name) is None:
        names = known_names()
        base, _, configuration = entry.name.partition("/")
        if base not in names:
            raise _unknown(entry.name, names)
        if configuration and configuration not in (there := configurations(base)):
            raise UnknownNameError(
                f"{base} of TensorFlow Datasets has no configuration '{configuration}'. It has "
                f"{', '.join(there) or 'none: leave it out'}."
            )


def _fetch(entry: Entry, job: Job) -> Dataset:
    folder = cache.entry_folder(entry.name)
    cached = f"{folder} is damaged" if folder.exists() else f"no {folder}"
    return fetch_first(entry, job, refused=(f"cache: {cached}", "--data-dir: not given"))


def _from_user(entry: Entry, path: Path, tell: Announce) -> Dataset:
    dataset = _user_dataset(entry, path, tell, strict=False)
    changed = [key for key, expected in entry.published.items() if dataset.digests[key] != expected]
    if changed:
        tell(f"{path} is not the published {entry.name}; its digests are recorded and it is used as it is.")
    elif entry.published and not cache.entry_folder(entry.name).exists():
        # The same bytes as from any other source: next time --data-dir is not needed.
        with suppress(cache.CacheError), cache.locked(entry.name, tell) as staging:
            cache.write(dataset, staging)
            tell(f"{entry.name} is now in the cache; --data-dir is not needed any more.")
    return dataset


def _user_dataset(entry: Entry, path: Path, tell: Announce, *, strict: bool) -> Dataset:
    """Read the user's files. `strict`: they must match the published digests of `entry`, if there are any."""
    path = path.expanduser().absolute()
    raw = read_user_files(path, entry.name, tell, class_names=entry.class_names)
    must_match = strict or entry.only_published
    try:
        return accept(entry if must_match else replace(entry, published={}), raw)
    except DigestError as error:
        raise DigestError(
            f"{error} To load other data than {entry.name} give it a name of its own: --dataset NAME --data-dir {path}."
        ) from error


def _cached_info(name: str) -> DatasetInfo:
    """Return the facts in the manifest of a cached data set; damaged ones are listed, too."""
    try:
        manifest = Manifest.read(cache.entry_folder(name))
    except DataError:
        return DatasetInfo(name, "damaged; run zoo data verify", cached=True)
    height, width, *channels = manifest.arrays["train_images"].shape[1:]
    return DatasetInfo(
        name=name,
        description=f"from {manifest.origin}",
        num_classes=len(manifest.class_names),
        image_shape=(height, width, channels[0] if channels else 1),
        train_size=manifest.arrays["train_images"].shape[0],
        test_size=manifest.arrays["test_images"].shape[0],
        cached=True,
    )
