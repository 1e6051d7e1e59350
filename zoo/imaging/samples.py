"""Draws a grid of a dataset's samples with their labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from zoo import data
from zoo.errors import DataError
from zoo.report.shared.drawing import draw_objects
from zoo.report.shared.grid import sample_grid
from zoo.utils.files import writing


def write_samples(
    name: str,
    *,
    data_dir: str | Path | None = None,
    output: str | Path | None = None,
    seed: int = 0,
    announce: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Write a PNG grid of training images, drawn by a seeded shuffle, and say where it is.

    Raises:
        DataError: the dataset is not available, or the picture cannot be written.
    """
    dataset = data.load(name, data_dir=data_dir, announce=announce)
    chosen = np.random.default_rng(seed).permutation(len(dataset.train))[:50]
    path = Path(output) if output is not None else Path(f"{dataset.name.replace('/', '-')}-samples.png")
    shown = dataset.train.take(chosen)
    with writing(path, kind=DataError):
        if shown.labels is not None:
            sample_grid(shown.images, shown.labels, dataset.class_names, path, title=dataset.name)
        else:
            pictures = _drawn(shown, dataset.class_names)
            sample_grid(pictures, shown.object_counts, None, path, rows=3, columns=5, title=dataset.name)
    return {"dataset": dataset.name, "path": str(path.resolve()), "indices": chosen.tolist()}


def _drawn(scenes: data.Split, class_names: tuple[str, ...]) -> np.ndarray:
    """Return scenes with their boxes drawn, and each object or, where objects are not told apart, each class tinted."""
    nothing = [None] * len(scenes)
    boxes = nothing if scenes.boxes is None else scenes.boxes
    tints = scenes.instances if scenes.instances is not None else scenes.masks
    rows = zip(scenes.images, boxes, nothing if tints is None else tints, strict=True)
    return np.stack([draw_objects(image, box, class_names, mask=tint) for image, box, tint in rows])
