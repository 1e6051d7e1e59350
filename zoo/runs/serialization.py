"""Load a model file from an untrusted source.

Keras' `safe_mode` is not enough: it loads a Lambda around a built-in function, and takes ``.h5`` files, folders and
remote addresses. So before Keras sees a file, it must be a plain zip archive of the three members that Keras
writes, its configuration may name nothing but what networks are made of (`zoo.runs.model_config`), and its
weights may point to no other file.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from zoo.errors import RunError
from zoo.runs.model_config import ADVICE, check_config, forget_compilation

MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}
KERAS_2 = (
    "It was saved by Keras {version}, and Keras 3 reads only some of such files: build the network in Keras 3, give it "
    "the weights, and save it again."
)


def load_model(path: Path, *, packages: Collection[str] = ()) -> Any:
    """Read a ``.keras`` file after looking at everything in it that could run code.

    What the model was compiled with (optimizer, loss, metrics) is left out.

    Args:
        path: an existing ``.keras`` file; a link to one is not followed.
        packages: top-level packages whose registered layers may be in it, besides Keras' own and zoo's.

    Returns:
        The ``keras.Model``, not compiled.

    Raises:
        RunError: the file is missing, damaged, no Keras archive, or names something outside the allow-list.
    """
    config, version = _checked_archive(path)
    try:
        return _load_checked(path, config, packages)
    except RunError as error:
        if re.fullmatch(r"2[.\d]+", version):
            raise RunError(f"{error} {KERAS_2.format(version=version)}") from error
        raise


def _load_checked(path: Path, config: Any, packages: Collection[str]) -> Any:
    """Look at the configuration, then let Keras open the archive."""
    from zoo.layers import PACKAGES  # importing them registers zoo's layers, so that Keras finds them
    from zoo.lazy import keras

    inner_compiled = forget_compilation(config)
    check_config(path, config, packages={*PACKAGES, *packages})
    try:
        with _archive_of(path, config) if inner_compiled else contextlib.nullcontext(path) as archive:
            model = keras.models.load_model(archive, compile=False, safe_mode=True)
    except Exception as error:
        raise _unreadable(path, error) from error
    if not isinstance(model, keras.Model):
        kind = type(model).__name__
        raise RunError(f"{path} holds a {kind}, not a keras.Model. Name a file that a model was saved to.")
    return model


def _checked_archive(path: Path) -> tuple[Any, str]:
    """Raise `RunError` unless `path` is an archive that Keras may open.

    Returns:
        Its configuration, which is yet to be looked at, and the version of Keras that wrote it.
    """
    if path.is_symlink():
        raise RunError(f"{path} is a symbolic link. Name the file itself.")
    if not path.exists():
        raise RunError(f"{path} is missing. Train again, or name another run.")
    if path.suffix != ".keras" or not path.is_file():
        raise RunError(f"{path} is not a .keras file. Name a file that zoo or Keras 3 has saved.")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive)
            metadata, config = (json.loads(archive.read(name)) for name in ("metadata.json", "config.json"))
            with archive.open("model.weights.h5") as weights:
                _check_links(path, weights)
    except RunError:
        raise
    except Exception as error:  # zipfile, zlib, json and h5py each have errors of their own
        raise _unreadable(path, error) from error
    return config, str(metadata.get("keras_version", "")) if isinstance(metadata, dict) else ""


@contextlib.contextmanager
def _archive_of(path: Path, config: Any) -> Iterator[Path]:
    """A copy of the archive that lasts for a moment and holds another configuration."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "model.keras"
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w") as new:
            new.writestr("config.json", json.dumps(config))
            for name in MEMBERS - {"config.json"}:
                with old.open(name) as source, new.open(name, "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target)
        yield copy


def _check_members(path: Path, archive: zipfile.ZipFile) -> None:
    """Only what Keras writes, and plain files."""
    names = [member.filename for member in archive.infolist()]
    unexpected = [
        member.filename
        for member in archive.infolist()
        if member.filename not in MEMBERS or stat.S_ISLNK(member.external_attr >> 16)
    ]
    if unexpected or len(set(names)) != len(names):
        culprit = unexpected[0] if unexpected else "a name twice"
        raise RunError(f"{path} holds '{culprit}', which no Keras model needs: it is not opened. {ADVICE}")
    missing = MEMBERS - set(names)
    if missing:
        raise RunError(f"{path} lacks {', '.join(sorted(missing))}: it is no Keras model. Name another file.")
    damaged = archive.testzip()
    if damaged:
        raise RunError(f"{path} is damaged: the checksum of {damaged} is wrong. Train again, or name another run.")


def _check_links(path: Path, weights: Any) -> None:
    """HDF5 can point into other files of the machine; weights have no reason to."""
    import h5py

    def visit(group: Any) -> None:
        for name in group:
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink | h5py.SoftLink):
                raise RunError(f"{path} holds weights that point elsewhere ('{name}'): it is not opened. {ADVICE}")
            item = group[name]
            if isinstance(item, h5py.Group):
                visit(item)
            elif item.external or item.is_virtual:
                raise RunError(f"{path} holds weights kept in another file ('{name}'): it is not opened. {ADVICE}")

    with h5py.File(weights, "r") as file:
        visit(file)


def _unreadable(path: Path, error: Exception) -> RunError:
    words = str(error).rpartition("Exception encountered: ")[2]  # what Keras puts before it is the whole configuration
    cause = " ".join(words.split())[:200] or type(error).__name__
    return RunError(f"{path} cannot be read as a Keras model: {cause}. Train again, or name another run.")
