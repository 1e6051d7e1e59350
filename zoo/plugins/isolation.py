"""Runs plugins' code in isolation: its errors, prints and changed settings do not affect zoo."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from zoo.errors import PluginError, ZooError
from zoo.lazy import keras
from zoo.plugins.discovery import PluginModel

Result = TypeVar("Result")


def guarded(action: Callable[[], Result], plugin: PluginModel, doing: str) -> Result:
    """Run `action`, which is a plugin's code, and turn whatever it raises into a `PluginError`.

    Its output goes to standard error, and the settings that it may change (warning filters, Keras' precision policy,
    float type and channel order, the current folder) are restored.

    Args:
        action: the import of a plugin, or a call of its builder.
        plugin: the plugin that the code belongs to.
        doing: names the action in the message: "failed to <doing>".

    Raises:
        PluginError: naming distribution, version, entry point, cause and the next step. SystemExit and
            KeyboardInterrupt count as causes if the code itself raised them.
        KeyboardInterrupt: the user pressed Ctrl-C.
    """
    with _keys_pressed() as pressed, _settings_kept(), _prints_to_stderr():
        try:
            return action()
        except ZooError as error:
            raise type(error)(f"{error} ('{plugin.name}' is provided by {plugin.provider}.)") from error
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and pressed:
                raise
            raise PluginError(explain(plugin, doing, error)) from error


def explain(plugin: PluginModel, doing: str, error: BaseException) -> str:
    """Return the error message: which plugin failed to do what, why, and the next step."""
    cause = _cause(error)
    return (
        f"'{plugin.name}' is provided by {plugin.provider} ({plugin.name} = {plugin.value}), which failed to {doing}: "
        f"{cause.rstrip('.')}. {_next_step(plugin, error)}"
    )


def _cause(error: BaseException) -> str:
    """Return an exception's type and message in one line, even if ``str`` fails on it."""
    try:
        words = " ".join(str(error).split())[:300]
    except Exception:
        words = ""
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def _next_step(plugin: PluginModel, error: BaseException) -> str:
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    own_package = plugin.value.partition(":")[0].partition(".")[0]
    if missing and missing.partition(".")[0] == own_package:
        return (
            f"Its metadata in {plugin.location} names a module that is not there: "
            f"reinstall it, or remove it with: pip uninstall {plugin.distribution}."
        )
    if missing:
        return f"Install what it needs ({missing}), or remove it with: pip uninstall {plugin.distribution}."
    return f"Tell its authors, or remove it with: pip uninstall {plugin.distribution}. --traceback shows more."


@contextlib.contextmanager
def _keys_pressed() -> Iterator[list[int]]:
    """Record a real Ctrl-C, to tell it from a KeyboardInterrupt that the code raises itself."""
    pressed: list[int] = []
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield pressed
        return

    def note(number: int, frame: Any) -> None:
        pressed.append(number)
        handler(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, handler)


@contextlib.contextmanager
def _settings_kept() -> Iterator[None]:
    """Restore the process-wide settings that importing or building a model must not change."""
    config = keras.config
    policy, floatx, channels = config.dtype_policy(), config.floatx(), config.image_data_format()
    folder = Path.cwd()
    with warnings.catch_warnings():
        try:
            yield
        finally:
            config.set_floatx(floatx)
            config.set_image_data_format(channels)
            config.set_dtype_policy(policy)
            with contextlib.suppress(OSError):
                os.chdir(folder)


@contextlib.contextmanager
def _prints_to_stderr() -> Iterator[None]:
    """Redirect everything that a plugin prints to stderr: standard output is for zoo's own results."""
    with contextlib.redirect_stdout(sys.stderr):
        try:
            sys.__stdout__.flush()  # type: ignore[union-attr]
            output = os.dup(1)
        except (AttributeError, OSError, ValueError):  # a closed or replaced standard output
            yield
            return
        try:
            os.dup2(2, 1)
            yield
        finally:
            os.dup2(output, 1)
            os.close(output)
