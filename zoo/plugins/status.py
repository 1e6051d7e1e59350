"""The report of ``zoo plugins``: which distribution provides which models, and whether they can be imported."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import metadata

from packaging.requirements import Requirement

from zoo.errors import PluginError, UnknownNameError
from zoo.plugins.discovery import PluginModel, canonical, installed
from zoo.plugins.isolation import explain
from zoo.plugins.loading import import_spec
from zoo.utils.environment import cpus_allowed


@dataclass(frozen=True)
class PluginStatus:
    """One model of one distribution.

    `status` is ``ok``, ``broken``, ``shadowed`` (by a built-in of the same name), ``duplicate`` (another plugin has
    the name, too), ``needs another zoo``, or ``not checked``; `reason` explains it.
    """

    distribution: str
    version: str
    model: str
    entry_point: str
    location: str
    status: str
    reason: str = ""


def survey(
    *, built_ins: Collection[str], zoo_version: str, check: bool = False, timeout: float = 60
) -> list[PluginStatus]:
    """Return a row per entry point, and one per distribution whose metadata cannot be read.

    Args:
        built_ins: names that plugins cannot take.
        zoo_version: zoo's version, to compare with a plugin's requirements.
        check: import each in a subprocess.
        timeout: seconds after which such an import counts as broken.
    """
    found = installed()
    counts = Counter(plugin.name for plugin in found.models if not plugin.fault)
    rows = [_from_metadata(plugin, built_ins, counts, zoo_version) for plugin in found.models]
    if check:
        with ThreadPoolExecutor(max_workers=cpus_allowed()) as workers:
            rows = list(workers.map(lambda row: _checked(row, timeout), rows))
    unreadable = [
        PluginStatus(broken.distribution, "", "", "", broken.location, "broken", f"unreadable metadata: {broken.cause}")
        for broken in found.unreadable
    ]
    return rows + unreadable


def _from_metadata(
    plugin: PluginModel, built_ins: Collection[str], counts: Counter[str], zoo_version: str
) -> PluginStatus:
    """Return the status that follows from metadata, without importing anything."""
    status, reason = "not checked", ""
    if plugin.fault:
        status, reason = "broken", plugin.fault
    elif needs := _other_zoo(plugin, zoo_version):
        status, reason = "needs another zoo", f"it requires {needs}, this is {zoo_version}"
    elif plugin.name in built_ins:
        status, reason = "shadowed", f"zoo has a {plugin.name} of its own; ask for {plugin.qualified_name}"
    elif counts[plugin.name] > 1:
        status, reason = "duplicate", f"several plugins provide {plugin.name}; ask for {plugin.qualified_name}"
    return PluginStatus(plugin.distribution, plugin.version, plugin.name, plugin.value, plugin.location, status, reason)


def _other_zoo(plugin: PluginModel, zoo_version: str) -> str:
    """Return the plugin's requirement on cnn-zoo if this zoo does not meet it, else an empty string."""
    try:
        requirements = metadata.distribution(plugin.distribution).requires or []
        for text in requirements:
            requirement = Requirement(text)
            if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
                continue
            if canonical(requirement.name) == "cnn-zoo" and not requirement.specifier.contains(
                zoo_version, prereleases=True
            ):
                return str(requirement)
    except Exception:
        return ""  # unreadable requirements are pip's concern
    return ""


def _checked(row: PluginStatus, timeout: float) -> PluginStatus:
    """Import one entry point in a subprocess, which may crash, hang or exit without harm."""
    if row.status == "broken":
        return row
    command = [sys.executable, "-P", "-m", "zoo.plugins.status", f"{row.distribution}/{row.model}"]
    try:
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False, env=_quiet()
        )
    except subprocess.TimeoutExpired:
        return replace(row, status="broken", reason=f"its import did not end within {timeout:g} s")
    last = result.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    if result.returncode == 0 and last == "imported":
        return row if row.status in ("shadowed", "duplicate", "needs another zoo") else replace(row, status="ok")
    if not last.startswith("Error: "):
        last = f"its import ended the process with exit code {result.returncode}"
    return replace(row, status="broken", reason=last.removeprefix("Error: "))


def _quiet() -> dict[str, str]:
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}


def check_one(name: str) -> None:
    """Import the entry point ``distribution/model``; `_checked` runs this in a subprocess."""
    candidates = installed().named(name)
    if not candidates:
        raise UnknownNameError(f"There is no plugin '{name}'. 'zoo plugins' lists them.")
    plugin = candidates[0]
    try:
        import_spec(plugin)
    except BaseException as error:
        raise PluginError(explain(plugin, "import", error)) from error


if __name__ == "__main__":
    try:
        check_one(sys.argv[1])
        verdict = "imported"
    except (PluginError, UnknownNameError) as refusal:
        verdict = f"Error: {refusal}"
    sys.stderr.write(f"\n{verdict}\n")  # the last line, since the plugin may print anything before it
    sys.stderr.flush()
    os._exit(0 if verdict == "imported" else 1)  # without the plugin's threads and exit hooks
