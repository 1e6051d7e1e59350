"""The result of evaluating a model: metrics, curves, and example images to show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

METRIC_LABELS = {"ap": "AP (COCO)", "ap50": "AP50", "voc_ap": "AP (VOC 2007)", "mean_iou": "Mean IoU"}
"""The names for people of what tasks measure beside loss and accuracy."""


@dataclass(frozen=True, eq=False)
class Annotations:
    """The annotations of one image: boxes, a mask, or both.

    `boxes` is (M, 5), rows of (class, top, left, bottom, right), edges as fractions of the sides; `scores` is (M,),
    0 to 1, of predicted boxes; `mask` is integers (H, W), 0 for the background.
    """

    boxes: np.ndarray | None = None
    scores: np.ndarray | None = None
    mask: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Example:
    """A test image to show, by its number, with its true and its predicted annotations; `quality` is 0 to 1."""

    image: int
    quality: float
    truth: Annotations
    prediction: Annotations


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How good a model is on a test set.

    `numbers` goes into ``evaluation.json``: `metrics`, `per_class`, curves and whatever else the task measures.
    `files` holds documents to write beside it, by file name. `non_finite` counts, for each model, the images
    whose outputs are not finite numbers: then there is little to measure. `members` says of each
    of several models what is known of it alone.
    """

    schema: str
    class_names: tuple[str, ...]
    numbers: Mapping[str, Any]
    examples: tuple[Example, ...] = ()
    files: Mapping[str, Any] = field(default_factory=dict)
    non_finite: tuple[int, ...] = ()
    members: tuple[Mapping[str, Any], ...] = ()
