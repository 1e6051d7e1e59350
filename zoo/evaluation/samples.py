"""A picture of a dataset: a grid of samples with their labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from zoo import data
from zoo.errors import DataError
from zoo.report.grid import sample_grid
from zoo.report.objects import draw_objects


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
    path = Path(output) if output is not None else Path(f"{dataset.name}-samples.png")
    shown = dataset.train.take(chosen)
    try:
        if shown.boxes is None:
            sample_grid(shown.images, shown.labels, dataset.class_names, path, title=dataset.name)
        else:
            pictures = [
                draw_objects(image, boxes, dataset.class_names, mask=mask)
                for image, boxes, mask in zip(shown.images, shown.boxes, shown.instances, strict=True)  # type: ignore[arg-type]
            ]
            sample_grid(np.stack(pictures), shown.labels, None, path, rows=3, columns=5, title=dataset.name)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}. Choose another --output.") from error
    return {"dataset": dataset.name, "path": str(path.resolve()), "indices": chosen.tolist()}
