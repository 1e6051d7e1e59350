"""Average precision by pycocotools, and objects in COCO format."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

from zoo.lazy import np


def average_precision(
    truth: np.ndarray, found: np.ndarray, scores: np.ndarray, image_shape: Sequence[int]
) -> dict[str, float]:
    """Return average precisions, 0 to 1, by pycocotools; NaN where there is no object at all.

    Args:
        truth: objects (N, M, 5).
        found: objects (N, K, 5).
        scores: (N, K).
        image_shape: height and width first: pixels decide what COCO calls small.

    Returns:
        ``ap``, over overlaps from 0.5 to 0.95 and over the classes; ``ap50``, at 0.5; ``voc_ap``, at 0.5 by the 11
        points of VOC 2007.
    """
    evaluated = coco_evaluation(truth, found, scores, image_shape)
    precision = evaluated.eval["precision"][..., 0, -1]  # (overlaps, recalls, classes), all sizes, 100 boxes
    return {
        "ap": mean_precision(precision),
        "ap50": mean_precision(precision[0]),
        "voc_ap": mean_precision(precision[0, ::10]),
    }


def coco_evaluation(truth: np.ndarray, found: np.ndarray, scores: np.ndarray, image_shape: Sequence[int]) -> Any:
    """Return pycocotools' ``COCOeval`` after it has accumulated; arguments as for `average_precision`."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    height, width = image_shape[:2]
    reference = coco_truth(truth, height, width)
    classes = {category["id"] for category in reference["categories"]}
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = reference
        coco.createIndex()
        said = [row for row in coco_rows(found, height, width, scores) if row["category_id"] in classes]
        results = coco.loadRes(said) if said else COCO()
        if not said:
            results.dataset = {**reference, "annotations": []}
            results.createIndex()
        evaluated = COCOeval(coco, results, "bbox")
        evaluated.evaluate()
        evaluated.accumulate()
    return evaluated


def coco_truth(truth: np.ndarray, height: int, width: int) -> dict[str, Any]:
    """Return objects (N, M, 5) as a file of COCO's annotations."""
    return {
        "info": {},
        "images": [{"id": number, "height": height, "width": width} for number in range(len(truth))],
        "categories": [{"id": int(label), "name": str(int(label))} for label in np.unique(truth[..., 0]) if label >= 0],
        "annotations": [
            {**row, "id": number, "iscrowd": 0, "area": row["bbox"][2] * row["bbox"][3]}
            for number, row in enumerate(coco_rows(truth, height, width), start=1)
        ],
    }


def coco_rows(objects: np.ndarray, height: int, width: int, scores: np.ndarray | None = None) -> list[dict[str, Any]]:
    """Return objects as COCO writes them: x, y, width, height in pixels."""
    rows = []
    for image, place in zip(*np.nonzero(objects[..., 0] >= 0), strict=True):
        label, top, left, bottom, right = (float(value) for value in objects[image, place])
        box = [left * width, top * height, (right - left) * width, (bottom - top) * height]
        row = {"image_id": int(image), "category_id": int(label), "bbox": box}
        rows.append(row if scores is None else {**row, "score": float(scores[image, place])})
    return rows


def mean_precision(precision: np.ndarray) -> float:
    """The mean of what is defined; COCO marks a class that is nowhere by -1."""
    defined = precision[precision > -1]
    return float(defined.mean()) if defined.size else float("nan")
