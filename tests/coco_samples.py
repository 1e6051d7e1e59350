"""A small folder in COCO's format for tests to spoil: dark images, a bright rectangle in each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIDE = 64
COUNTS = {"train": 6, "val": 4}
CATEGORIES = [{"id": 1, "name": "cat"}, {"id": 3, "name": "dog"}]


def picture(number: int) -> np.ndarray:
    """Image `number`, uint8 (64, 64, 3): its rectangle is 24x20 pixels, as its box says."""
    pixels = np.full((SIDE, SIDE, 3), (20, 30, 40), np.uint8)
    left = 8 + 3 * number
    pixels[10:30, left : left + 24] = (250, 180, 60) if number % 2 else (60, 200, 240)
    return pixels


def document(half: str, suffix: str = "png") -> dict[str, Any]:
    """What the JSON file of a half says."""
    numbers = range(COUNTS[half])
    size = {"width": SIDE, "height": SIDE}
    return {
        "images": [{"id": n + 1, "file_name": f"{half}_{n}.{suffix}", **size} for n in numbers],
        "annotations": [
            {
                "id": n + 1,
                "image_id": n + 1,
                "category_id": (1, 3)[n % 2],
                "bbox": [8 + 3 * n, 10, 24, 20],
                "area": 480,
                "iscrowd": 0,
            }
            for n in numbers
        ],
        "categories": CATEGORIES,
    }


def write_folder(folder: Path, suffix: str = "png", save: Callable[[np.ndarray, Path], None] | None = None) -> Path:
    """Write both halves, images by `save`, and return the folder."""
    for half, count in COUNTS.items():
        (folder / half).mkdir(parents=True)
        for number in range(count):
            path = folder / half / f"{half}_{number}.{suffix}"
            (save or (lambda pixels, where: Image.fromarray(pixels).save(where)))(picture(number), path)
        write_json(folder, half, document(half, suffix))
    return folder


def json_file(folder: Path, half: str = "train") -> Path:
    return folder / "annotations" / f"instances_{half}.json"


def write_json(folder: Path, half: str, content: dict[str, Any]) -> None:
    json_file(folder, half).parent.mkdir(exist_ok=True)
    json_file(folder, half).write_text(json.dumps(content), encoding="utf-8")


def change(folder: Path, edit: Callable[[dict[str, Any]], object], halves: tuple[str, ...] = ("train",)) -> None:
    """Let `edit` change the JSON files of these halves."""
    for half in halves:
        content = json.loads(json_file(folder, half).read_text(encoding="utf-8"))
        edit(content)
        write_json(folder, half, content)
