"""The text output of ``zoo plugins``, ``zoo new-plugin`` and ``zoo doctor``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.report.shared.tables import print_table

Document = Mapping[str, Any]


def print_plugins(rows: Sequence[Document]) -> None:
    """What ``zoo plugins`` shows."""
    if not rows:
        print("No plugin is installed. 'zoo new-plugin NAME' begins one.")
        return
    names = ("distribution", "version", "model", "status", "location")
    print_table(names, [tuple(row[name] for name in names) for row in rows])
    for row in rows:
        if row["reason"]:
            print(f"\n{row['distribution']} {row['model']}".rstrip() + f": {row['reason']}")


def print_scaffold(document: Document) -> None:
    """What ``zoo new-plugin`` ends with."""
    print(f"Wrote {document['folder']}. Next:")
    for step in document["next_steps"]:
        print(f"  {step}")


def print_findings(document: Document) -> None:
    """What ``zoo doctor`` shows: first what is wrong."""
    print(document["summary"] + "\n")
    for finding in document["findings"]:
        print(f"{finding['status']:8} {finding['topic'] + ':':22} {finding['value']}")
        if finding["advice"]:
            print(f"{'':8} {'':22} {finding['advice']}")
