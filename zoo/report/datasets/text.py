"""The text output of ``zoo data``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.report.shared.tables import print_table

Document = Mapping[str, Any]


def print_datasets(datasets: Sequence[Document]) -> None:
    """What ``zoo data list`` shows."""
    rows = [
        (
            d["name"],
            d["train_size"],
            d["test_size"],
            "x".join(map(str, d["image_shape"])),
            d["num_classes"],
            d["description"],
        )
        for d in datasets
    ]
    print_table(["name", "train", "test", "image", "classes", "what it is"], rows)
    print(
        "\nAny TFDS dataset of images with labels or boxes loads by its TFDS name; IDX and COCO folders by --data-dir."
    )


def print_prepared(document: Document) -> None:
    """What ``zoo data prepare`` ends with."""
    print(f"{document['name']} is ready in {document['folder']}")


def print_verification(rows: Sequence[Document]) -> None:
    """What ``zoo data verify`` shows."""
    print_table(
        ["file", "sha256", "state"],
        [(row["file"], row["found"], "ok" if row["ok"] else f"should be {row['expected']}") for row in rows],
    )


def print_samples(document: Document) -> None:
    """What ``zoo data show`` ends with."""
    print(f"Wrote {document['path']}")
