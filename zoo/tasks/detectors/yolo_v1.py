"""YOLOv1: a grid of cells, and squared errors throughout (Redmon et al. 2016)."""

from __future__ import annotations

from dataclasses import InitVar, dataclass

from zoo.lazy import np, tf
from zoo.tasks import boxes as geometry
from zoo.tasks.detectors.detector import Detector


@dataclass(frozen=True)
class YoloV1(Detector):
    """A grid whose cells each predict one class and a few boxes (Redmon et al. 2016, "You Only Look Once", section 2).

    All losses are squared errors: of the centers, of the square roots of the sizes, of the confidence against the
    reached overlap, and of the classes. Only the box that overlaps an object most is responsible for it.

    Args:
        stride: pixels of a cell.
        boxes: of each cell (the paper's B).
        lambda_coord: weight of the loss of centers and sizes.
        lambda_noobj: weight of the confidence where there is no object.
        place: what `lambda_coord` was called before.
        nothing: what `lambda_noobj` was called before.
    """

    stride: int
    boxes: int = 2
    lambda_coord: float = 5.0
    lambda_noobj: float = 0.5
    place: InitVar[float | None] = None
    nothing: InitVar[float | None] = None

    def __post_init__(self, place: float | None, nothing: float | None) -> None:
        for name, value in (("lambda_coord", place), ("lambda_noobj", nothing)):
            if value is not None:
                object.__setattr__(self, name, value)

    def output_shape(self, image_shape: tuple[int, ...], num_classes: int) -> tuple[int, ...]:
        """For each cell (y, x, square roots of height and width, confidence) of each box, then the classes."""
        return (image_shape[0] // self.stride, image_shape[1] // self.stride, self.boxes * 5 + num_classes)

    def _read(self, outputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Return each cell's boxes (N, S, S, B, 4: center in the cell, roots of sizes), confidences and classes."""
        height, width = outputs.shape[1:3]
        predicted = tf.reshape(outputs[..., : self.boxes * 5], (-1, height, width, self.boxes, 5))
        return predicted[..., :4], predicted[..., 4], outputs[..., self.boxes * 5 :]

    def _corners(self, predicted: tf.Tensor) -> tf.Tensor:
        height, width = predicted.shape[1:3]
        corner = geometry.grid_centers(height, width) - 0.5 / np.array([height, width], np.float32)
        centers = corner[:, :, None] + predicted[..., :2] / np.array([height, width], np.float32)
        return geometry.to_corners(tf.concat([centers, tf.square(predicted[..., 2:])], axis=-1))

    def encode(self, objects: tf.Tensor, grid: tuple[int, int]) -> tuple[tf.Tensor, tf.Tensor]:
        """Return for each cell whether an object's center lies in it (N, S, S), and that object's row (N, S, S, 5)."""
        height, width = grid
        centers = geometry.to_centers(objects[..., 1:])[..., :2]
        y = tf.clip_by_value(tf.cast(centers[..., 0] * height, tf.int32), 0, height - 1)
        x = tf.clip_by_value(tf.cast(centers[..., 1] * width, tf.int32), 0, width - 1)
        present = objects[..., 0] >= 0
        there = tf.one_hot(tf.where(present, y * width + x, -1), height * width)  # (N, M, cells)
        row = tf.argmax(there, axis=1, output_type=tf.int32)
        owned = tf.reduce_max(there, axis=1) > 0
        own = tf.gather(objects, row, batch_dims=1)
        return tf.reshape(owned, (-1, height, width)), tf.reshape(own, (-1, height, width, 5))

    def loss(self, objects: tf.Tensor, outputs: tf.Tensor, image_shape: tuple[int, ...]) -> tf.Tensor:
        """Return the paper's sum of squared errors."""
        del image_shape
        predicted, confidence, classes = self._read(outputs)
        height, width = outputs.shape[1:3]
        owned, own = self.encode(objects, (height, width))
        corners = tf.stop_gradient(self._corners(predicted))
        overlap = geometry.elementwise_iou(corners, own[..., None, 1:])  # (N, S, S, B)
        # Where no box overlaps, the nearest one is responsible (as in the authors' code).
        distance = tf.reduce_sum(tf.square(corners - own[..., None, 1:]), axis=-1)
        score = tf.where(tf.reduce_max(overlap, axis=-1, keepdims=True) > 0, overlap, -distance)
        chosen = tf.one_hot(tf.argmax(score, axis=-1), self.boxes)
        responsible = chosen * tf.cast(owned, tf.float32)[..., None]  # (N, S, S, B)
        wanted = geometry.to_centers(own[..., 1:])
        scale = np.array([height, width], np.float32)
        inside = wanted[..., :2] * scale - tf.floor(tf.minimum(wanted[..., :2] * scale, scale - 1e-3))
        target = tf.concat([inside, tf.sqrt(tf.maximum(wanted[..., 2:], geometry.TINY))], axis=-1)[..., None, :]
        placed = responsible * tf.reduce_sum(tf.square(predicted - target), axis=-1)
        sure = responsible * tf.square(confidence - overlap)
        unsure = (1 - responsible) * tf.square(confidence)
        label = tf.one_hot(tf.cast(own[..., 0], tf.int32), classes.shape[-1])
        named = tf.cast(owned, tf.float32) * tf.reduce_sum(tf.square(classes - label), axis=-1)
        boxes = self.lambda_coord * placed + sure + self.lambda_noobj * unsure
        return tf.reduce_sum(boxes, axis=(1, 2, 3)) + tf.reduce_sum(named, axis=(1, 2))

    def decode(self, outputs: tf.Tensor, image_shape: tuple[int, ...]) -> tuple[tf.Tensor, tf.Tensor]:
        """Every box of every cell; its score for a class is its confidence times the cell's (equation 1)."""
        del image_shape
        predicted, confidence, classes = self._read(outputs)
        places = outputs.shape[1] * outputs.shape[2] * self.boxes
        scores = tf.clip_by_value(confidence[..., None], 0.0, 1.0) * tf.clip_by_value(classes[..., None, :], 0.0, 1.0)
        return (
            tf.reshape(self._corners(predicted), (-1, places, 4)),
            tf.reshape(scores, (-1, places, classes.shape[-1])),
        )
