"""YOLOv3: anchors, and cross-entropy losses (Redmon, Farhadi 2018)."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.lazy import np, tf
from zoo.tasks import boxes as geometry
from zoo.tasks.detectors.detector import SIZE_LIMIT, Detector


@dataclass(frozen=True)
class YoloV3(Detector):
    """Anchors at several resolutions with a logistic objectness (Redmon, Farhadi 2018, "YOLOv3", section 2).

    The anchor whose shape fits an object best is responsible for it, in the cell of the object's middle. Boxes that
    overlap an object by more than `ignored` without being responsible for it have no loss for finding something.

    Args:
        strides: pixels of a cell, for each map.
        anchors: for each map its anchors (height, width), as fractions of the image's sides, found by k-means.
        ignored: see above.
    """

    strides: tuple[int, ...]
    anchors: tuple[tuple[tuple[float, float], ...], ...]
    ignored: float = 0.5

    def places(self, image_shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the corner of each box's cell, the size of that cell, and the box's anchor, each (P, 2)."""
        corners, cells, anchors = [], [], []
        for stride, shapes in zip(self.strides, self.anchors, strict=True):
            grid = np.array([image_shape[0] // stride, image_shape[1] // stride])
            corner = geometry.grid_centers(*grid) - 0.5 / grid
            shape = (*grid, len(shapes), 2)
            corners.append(np.broadcast_to(corner[:, :, None], shape).reshape(-1, 2))
            cells.append(np.broadcast_to(1 / grid, shape).reshape(-1, 2))
            anchors.append(np.broadcast_to(np.array(shapes), shape).reshape(-1, 2))
        every = [np.concatenate(part).astype(np.float32) for part in (corners, cells, anchors)]
        return every[0], every[1], every[2]

    def output_shape(self, image_shape: tuple[int, ...], num_classes: int) -> tuple[int, ...]:
        """For each anchor of each cell (y, x, height, width), the objectness, and the classes, as logits."""
        return (len(self.places(image_shape)[0]), 5 + num_classes)

    def boxes(self, outputs: tf.Tensor, image_shape: tuple[int, ...]) -> tf.Tensor:
        """Return the boxes (N, P, 4) decoded from outputs (N, P, 4 ...)."""
        corner, cell, anchor = self.places(image_shape)
        centers = corner + tf.sigmoid(outputs[..., :2]) * cell
        sizes = anchor * tf.exp(tf.clip_by_value(outputs[..., 2:4], -SIZE_LIMIT, SIZE_LIMIT))
        return geometry.to_corners(tf.concat([centers, sizes], axis=-1))

    def encode(self, boxes: tf.Tensor, image_shape: tuple[int, ...]) -> tf.Tensor:
        """Return the target of each anchor (..., P, 4) for boxes (..., P, 4): fractions of the cell, log sizes.

        The first two are what the sigmoid should give; they lie in 0 to 1 for the cell that holds the box's center.
        """
        corner, cell, anchor = self.places(image_shape)
        wanted = geometry.to_centers(boxes)
        grown = tf.math.log(tf.maximum(wanted[..., 2:], geometry.TINY) / anchor)
        return tf.concat([(wanted[..., :2] - corner) / cell, grown], axis=-1)

    def assign(self, objects: tf.Tensor, image_shape: tuple[int, ...]) -> tuple[tf.Tensor, tf.Tensor]:
        """Return for each anchor the row of the object that it is responsible for (N, P), and whether there is one."""
        corner, cell, anchor = self.places(image_shape)
        present = objects[..., 0] >= 0
        wanted = geometry.to_centers(objects[..., 1:])[:, None]  # (N, 1, M, 4)
        shared = tf.reduce_prod(tf.minimum(wanted[..., 2:], anchor[:, None]), axis=-1)
        alike = shared / (tf.reduce_prod(wanted[..., 2:], axis=-1) + tf.reduce_prod(anchor, axis=-1)[:, None] - shared)
        away = (wanted[..., :2] - corner[:, None]) / cell[:, None]
        holds = tf.reduce_all((away >= 0) & (away < 1), axis=-1) & present[:, None]  # (N, P, M)
        alike = tf.where(holds, alike, -1.0)
        best = tf.argmax(alike, axis=1, output_type=tf.int32)  # (N, M)
        claims = tf.one_hot(best, tf.shape(alike)[1], axis=1) * tf.cast(present[:, None], tf.float32)
        row = tf.argmax(claims * (alike + 2.0), axis=2, output_type=tf.int32)
        return row, tf.reduce_max(claims, axis=2) > 0

    def loss(self, objects: tf.Tensor, outputs: tf.Tensor, image_shape: tuple[int, ...]) -> tf.Tensor:
        """Return cross-entropies of objectness, classes and centers, and squared errors of the sizes' logarithms.

        As in the authors' code, small boxes weigh more: by 2 minus the fraction of the image that they cover.
        """
        row, responsible = self.assign(objects, image_shape)
        own = tf.gather(objects, row, batch_dims=1)
        weight = tf.cast(responsible, tf.float32)
        target = self.encode(own[..., 1:], image_shape)
        entropy = tf.nn.sigmoid_cross_entropy_with_logits
        middle = entropy(labels=tf.clip_by_value(target[..., :2], 0.0, 1.0), logits=outputs[..., :2])
        size = 0.5 * tf.square(outputs[..., 2:4] - target[..., 2:])
        small = 2.0 - geometry.area(own[..., 1:])
        placed = weight * small * tf.reduce_sum(middle + size, axis=-1)
        there = objects[..., 0] >= 0
        overlap = geometry.box_iou(tf.stop_gradient(self.boxes(outputs, image_shape)), objects[..., 1:])
        near = tf.reduce_max(tf.where(there[:, None], overlap, 0.0), axis=2) > self.ignored
        counted = responsible | ~near
        objectness = tf.where(counted, entropy(labels=weight, logits=outputs[..., 4]), 0.0)
        labels = tf.one_hot(tf.cast(own[..., 0], tf.int32), outputs.shape[-1] - 5)
        named = weight * tf.reduce_sum(entropy(labels=labels, logits=outputs[..., 5:]), axis=-1)
        return tf.reduce_sum(placed + objectness + named, axis=1)

    def decode(self, outputs: tf.Tensor, image_shape: tuple[int, ...]) -> tuple[tf.Tensor, tf.Tensor]:
        """Every box; its score for a class is its objectness times the class's own probability."""
        return self.boxes(outputs, image_shape), tf.sigmoid(outputs[..., 4:5]) * tf.sigmoid(outputs[..., 5:])


def find_anchors(boxes: np.ndarray, count: int, *, seed: int = 0) -> np.ndarray:
    """Return the heights and widths (count, 2) that objects' shapes gather around, smallest first.

    By k-means with 1 - intersection over union for a distance (Redmon, Farhadi 2017, "YOLO9000", section 2).

    Args:
        boxes: objects (N, M, 5), edges as fractions of the sides.
        count: anchors.
        seed: of the shapes that it starts from.
    """
    shapes = (boxes[..., 3:] - boxes[..., 1:3])[boxes[..., 0] >= 0].astype(np.float64)
    anchors = np.random.default_rng(seed).permutation(shapes)[:count]
    for _ in range(300):
        shared = np.minimum(shapes[:, None], anchors).prod(axis=-1)
        alike = shared / (shapes.prod(axis=-1)[:, None] + anchors.prod(axis=-1) - shared)
        nearest = alike.argmax(axis=1)
        moved = np.stack(
            [np.median(shapes[nearest == k], axis=0) if (nearest == k).any() else anchors[k] for k in range(count)]
        )
        if np.allclose(moved, anchors):
            break
        anchors = moved
    return anchors[np.argsort(anchors.prod(axis=1))]
