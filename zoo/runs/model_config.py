"""Check what a model file's configuration may refer to, by what Keras would load for each entry.

``keras.models.load_model(compile=False)`` builds an object for every serialised one that it meets in ``config.json``,
but for what the network itself was compiled with. So each of them is looked up as Keras looks it up, and admitted only
if that ends at a layer, an operation or a value of Keras' own that a network is made of, or at something registered
under a package that the caller has named. Nothing is imported on the way: what is not there yet is not admitted.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

from zoo.errors import RunError

RUNS_CODE = {"Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}
# Arguments of a call between layers, written without a module. A __lambda__ is code, a __typespec__ in no network.
ARGUMENTS = ("__keras_tensor__", "__tensor__", "__numpy__", "__slice__", "__ellipsis__", "__bytes__")
NO_ACTIVATIONS = {"get", "serialize", "deserialize"}  # the functions of keras.activations that are something else
ADVICE = "Load it only if you trust who made it, by keras.models.load_model."
OWN_CODE = (
    "Its author's code is not in the file: if you trust it, import it in Python and load the file by "
    "keras.models.load_model; zoo.train takes the model that this returns."
)


def check_config(path: Path, config: Any, *, packages: Collection[str]) -> None:
    """Raise `RunError` if a configuration names anything but what networks are made of.

    Args:
        path: the model file, for the messages.
        config: what ``config.json`` holds, without what Keras leaves out.
        packages: packages whose registered layers and functions may be in it, besides Keras' own.
    """
    for value in _parts(config):
        if isinstance(value, dict) and "class_name" in value:
            _check_object(path, value, packages)
        elif isinstance(value, str) and ">" in value and _is_registered(value) and not _belongs(value, packages):
            raise _foreign(path, value, OWN_CODE)  # Keras takes the name for the object wherever it stands


def forget_compilation(config: Any) -> bool:
    """Remove what networks were compiled with (optimizers, losses, metrics), in place.

    Keras leaves out the outermost network's by itself.

    Returns:
        True if a network inside the network had been compiled too: what Keras would build from the file is then more
        than what is left here.
    """
    inner = False
    for value in _parts(config):
        if isinstance(value, dict) and "class_name" in value and value.pop("compile_config", None):
            inner |= value is not config
    return inner


def _parts(config: Any) -> Iterator[Any]:
    """Yield a configuration and all that is in it, however deep, each before its parts."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        yield value
        if isinstance(value, dict | list):
            waiting += reversed(list(value.values()) if isinstance(value, dict) else value)


def _check_object(path: Path, node: dict[str, Any], packages: Collection[str]) -> None:
    """Admit one serialised object, or raise `RunError`."""
    kind, module = node["class_name"], node.get("module")
    name = node.get("config") if kind == "function" else kind
    registered = name if kind == "function" else node.get("registered_name", name)
    if not (isinstance(name, str) and isinstance(registered, str | None)):
        raise _foreign(path, str(name)[:80], ADVICE)
    if name in RUNS_CODE or name.startswith("__lambda__"):
        raise _runs_code(path, name)
    if kind in ARGUMENTS:
        return
    source = f"{module}.{name}" if module and kind != "function" else name
    if _is_registered(registered):  # comes first with Keras too, whatever the module
        if not _belongs(registered, packages):
            raise _foreign(path, source, OWN_CODE)
        return
    found = _of_keras("keras.activations" if (kind, module) == ("function", "builtins") else module, name)
    if isinstance(found, type) and RUNS_CODE & {base.__name__ for base in found.__mro__}:
        raise _runs_code(path, name)
    if not (_is_activation(found, name) if kind == "function" else _is_part_of_networks(found)):
        raise _foreign(path, source, ADVICE if str(module).partition(".")[0] == "keras" else OWN_CODE)
    vocabulary = node["config"].get("vocabulary") if isinstance(node.get("config"), dict) else None
    if isinstance(vocabulary, str):
        raise RunError(f"{path} holds a {name} layer that reads the file '{vocabulary}': it is not loaded. {ADVICE}")


def _is_registered(name: str | None) -> bool:
    """Whether Keras would take what was registered under this name, by zoo, by a plugin or by the user's own code."""
    import keras

    return keras.saving.get_registered_object(name) is not None


def _belongs(registered: str | None, packages: Collection[str]) -> bool:
    package, mark, _ = (registered or "").partition(">")
    return bool(mark) and package in packages


def _of_keras(module: Any, name: str) -> Any:
    """Return what a module of Keras calls by this name; None where there is no such module or name."""
    if not isinstance(module, str) or module.partition(".")[0] != "keras":
        return None
    return vars(sys.modules[module]).get(name) if module in sys.modules else None


def _is_activation(found: Any, name: str) -> bool:
    import keras

    is_one = isinstance(found, FunctionType) and name not in NO_ACTIVATIONS
    return is_one and vars(keras.activations).get(name) is found


def _is_part_of_networks(found: Any) -> bool:
    """Whether this is a class of layers, of models, of operations between layers, or of values that layers hold."""
    import keras

    kinds = (
        keras.Operation,  # layers and models are operations
        keras.initializers.Initializer,
        keras.constraints.Constraint,
        keras.regularizers.Regularizer,
        keras.dtype_policies.DTypePolicy,
        keras.quantizers.Quantizer,
        keras.quantizers.QuantizationConfig,
        keras.random.SeedGenerator,
    )
    return isinstance(found, type) and issubclass(found, kinds)


def _runs_code(path: Path, name: str) -> RunError:
    return RunError(f"{path} holds a {name} layer, which can run any code: it is not loaded. {ADVICE}")


def _foreign(path: Path, source: str, advice: str) -> RunError:
    return RunError(
        f"{path} holds '{source}', which is neither a layer of Keras nor one of zoo or of the plugin that "
        f"provides the model: it is not loaded. {advice}"
    )
