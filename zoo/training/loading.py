"""Opening a model file that may have come from anybody.

Keras' `safe_mode` is not enough: it loads a Lambda around a built-in function, and takes ``.h5`` files, folders and
remote addresses. So before Keras sees a file, it must be a plain zip archive of the three members that Keras
writes, its configuration may name nothing but known layers, and its weights may point to no other file.
"""

from __future__ import annotations

import json
import stat
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from zoo.errors import RunError

MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}
RUNS_CODE = {"Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}
# What a network's configuration is made of, by the module that Keras writes beside each name.
LAYER_MODULES = ("keras.layers", "keras.src.layers", "keras", "keras.models", "keras.src.models")
VALUE_MODULES = (
    "keras.activations",
    "keras.constraints",
    "keras.dtype_policies",
    "keras.initializers",
    "keras.quantizers",
    "keras.regularizers",
    "keras.src.ops",  # arithmetic between layers, one class per operation
)
ADVICE = "Load it only if you trust who made it, by keras.models.load_model."


def load_model(path: Path, *, packages: Collection[str] = ()) -> Any:
    """Read a ``.keras`` file after looking at everything in it that could run code.

    Args:
        path: an existing ``.keras`` file; a link to one is not followed.
        packages: top-level packages whose registered layers may be in it, besides Keras' own and zoo's.

    Returns:
        The ``keras.Model``, not compiled.

    Raises:
        RunError: the file is missing, damaged, no Keras archive, or names something outside the allow-list.
    """
    check_model_file(path, packages={"zoo", *packages})
    import keras

    import zoo.layers  # noqa: F401 - Keras finds zoo's layers once they are registered

    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        raise _unreadable(path, error) from error


def check_model_file(path: Path, *, packages: Collection[str]) -> None:
    """Raise `RunError` unless `path` is an archive that Keras may open; see `load_model`."""
    if path.is_symlink():
        raise RunError(f"{path} is a symbolic link. Name the file itself.")
    if not path.exists():
        raise RunError(f"{path} is missing. Train again, or name another run.")
    if path.suffix != ".keras" or not path.is_file():
        raise RunError(f"{path} is not a .keras file. Name a file that zoo or Keras 3 has saved.")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive)
            config = json.loads(archive.read("config.json"))
            with archive.open("model.weights.h5") as weights:
                _check_links(path, weights)
    except RunError:
        raise
    except Exception as error:  # zipfile, zlib, json and h5py each have errors of their own
        raise _unreadable(path, error) from error
    for node in _nodes(config):
        _check_node(path, node, packages)


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


def _nodes(config: Any) -> Iterator[dict[str, Any]]:
    """Yield every serialised object in a configuration, however deep."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield config
        for value in config.values():
            yield from _nodes(value)
    elif isinstance(config, list):
        for value in config:
            yield from _nodes(value)


def _check_node(path: Path, node: dict[str, Any], packages: Collection[str]) -> None:
    """Admit Keras' own layers but those that run code, values such as initializers, and registered layers."""
    name, module, registered = str(node["class_name"]), str(node.get("module") or ""), node.get("registered_name")
    owner = str(registered or "").partition(">")
    if name in RUNS_CODE or name.startswith("__lambda__"):
        raise RunError(f"{path} holds a {name} layer, which can run any code: it is not loaded. {ADVICE}")
    is_tensor = name in ("__keras_tensor__", "__tensor__", "__numpy__", "__ellipsis__")
    is_function = name == "function" and module == "builtins"  # Keras' own by name: relu, tanh ...
    is_value = module.startswith(VALUE_MODULES)
    is_layer = module.startswith(LAYER_MODULES) and not owner[1] and _is_public(name)
    is_registered = bool(owner[1]) and owner[0] in packages
    if not (is_tensor or is_function or is_value or is_layer or is_registered):
        source = f"{module}.{name}" if module else name
        raise RunError(
            f"{path} holds '{source}', which is neither a layer of Keras nor one of zoo or of the plugin that "
            f"provides the model: it is not loaded. {ADVICE}"
        )


def _is_public(name: str) -> bool:
    import keras

    kinds = (keras.Layer, keras.Model, keras.dtype_policies.DTypePolicy)
    found = [getattr(place, name, None) for place in (keras.layers, keras.models, keras)]
    found += [keras.src.models.functional.Functional] if name == "Functional" else []
    return any(isinstance(item, type) and issubclass(item, kinds) for item in found)


def _unreadable(path: Path, error: Exception) -> RunError:
    cause = " ".join(str(error).split())[:200] or type(error).__name__
    return RunError(f"{path} cannot be read as a Keras model: {cause}. Train again, or name another run.")
