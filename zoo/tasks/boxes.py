"""Boxes as tensors (..., 4): top, left, bottom, right, as fractions of the image's height and width."""

from __future__ import annotations

from zoo.lazy import np, tf

TINY = 1e-9


def area(boxes: tf.Tensor) -> tf.Tensor:
    """Return the areas (...)."""
    return tf.maximum(boxes[..., 2] - boxes[..., 0], 0.0) * tf.maximum(boxes[..., 3] - boxes[..., 1], 0.0)


def box_iou(boxes: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Return intersection over union of every box (..., P, 4) with every other (..., M, 4): (..., P, M)."""
    ours, theirs = boxes[..., :, None, :], others[..., None, :, :]
    shared = tf.concat(
        [tf.maximum(ours[..., :2], theirs[..., :2]), tf.minimum(ours[..., 2:], theirs[..., 2:])], axis=-1
    )
    intersection = area(shared)
    return intersection / (area(ours) + area(theirs) - intersection + TINY)


def elementwise_iou(boxes: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Return intersection over union of boxes (..., 4) with the others at the same index: (...)."""
    shared = tf.concat(
        [tf.maximum(boxes[..., :2], others[..., :2]), tf.minimum(boxes[..., 2:], others[..., 2:])], axis=-1
    )
    intersection = area(shared)
    return intersection / (area(boxes) + area(others) - intersection + TINY)


def to_centers(boxes: tf.Tensor) -> tf.Tensor:
    """Return (center y, center x, height, width)."""
    return tf.concat([(boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]], axis=-1)


def to_corners(boxes: tf.Tensor) -> tf.Tensor:
    """Return (top, left, bottom, right) of boxes by center and size."""
    return tf.concat([boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2], axis=-1)


def grid_centers(height: int, width: int) -> np.ndarray:
    """Return the centers of a grid's cells, (height, width, 2), y and x as fractions of the sides, float32."""
    y, x = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
    return np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1).astype(np.float32)
