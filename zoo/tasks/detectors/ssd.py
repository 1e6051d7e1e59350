"""SSD: default boxes, matched by overlap, with hard negative mining (Liu et al. 2016)."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.errors import ModelError
from zoo.lazy import np, tf
from zoo.tasks import boxes as geometry
from zoo.tasks.detectors.detector import SIZE_LIMIT, Detector


@dataclass(frozen=True)
class SSD(Detector):
    """Default boxes at several resolutions, each classified and moved (Liu et al. 2016, "SSD", sections 2.1 and 2.2).

    Args:
        strides: pixels between the middles of default boxes, for each map whose convolutions are padded: it has as
            many places as the image's side has strides, a part of one included.
        scales: of the default boxes of each map, as shares of the image's sides; the last is that of a map that
            would follow.
        ratios: width to height, for each map. For the ratio 1 there is a second box, between this map's scale and the
            next.
        unpadded: maps that follow those of `strides`, each by a 3x3 convolution without padding: two places less by
            side.
        matched: a default box and an object that overlap by at least this are taken for each other.
        negatives: background boxes that count in the loss for each box that is matched: those that are most wrong.
        variances: the offsets of centers, and the logarithms of sizes, are divided by these (from the authors' code).

    Raises:
        ModelError: not as many ratios as maps, or not one scale more.
    """

    strides: tuple[int, ...]
    scales: tuple[float, ...]
    ratios: tuple[tuple[float, ...], ...]
    unpadded: int = 0
    matched: float = 0.5
    negatives: int = 3
    variances: tuple[float, float] = (0.1, 0.2)

    def __post_init__(self) -> None:
        maps = len(self.strides) + self.unpadded
        if len(self.ratios) != maps or len(self.scales) != maps + 1:
            raise ModelError(
                f"SSD takes a tuple of ratios for each of its {maps} maps, and a scale more than maps; received "
                f"{len(self.ratios)} ratios and {len(self.scales)} scales. Change them, or strides and unpadded."
            )

    @property
    def boxes_per_place(self) -> tuple[int, ...]:
        """Default boxes around each place, for each map."""
        return tuple(len(ratios) + 1 for ratios in self.ratios)

    def grids(self, image_shape: tuple[int, ...]) -> list[tuple[int, int]]:
        """Return the height and width of each map, in places."""
        height, width = image_shape[:2]
        grids = [(-(-height // stride), -(-width // stride)) for stride in self.strides]
        for _ in range(self.unpadded):
            grids.append((grids[-1][0] - 2, grids[-1][1] - 2))
        return grids

    def default_boxes(self, image_shape: tuple[int, ...]) -> np.ndarray:
        """Return the default boxes (P, 4) by center and size (y, x, height, width), map by map, float32."""
        maps = []
        for number, grid in enumerate(self.grids(image_shape)):
            scale, following = self.scales[number], self.scales[number + 1]
            sizes = [(scale / np.sqrt(ratio), scale * np.sqrt(ratio)) for ratio in self.ratios[number]]
            sizes.append((np.sqrt(scale * following),) * 2)
            centers = geometry.grid_centers(*grid)[:, :, None]
            shape = (*centers.shape[:2], len(sizes), 2)
            both = np.concatenate([np.broadcast_to(centers, shape), np.broadcast_to(np.array(sizes), shape)], axis=-1)
            maps.append(both.reshape(-1, 4))
        return np.concatenate(maps).astype(np.float32)

    def output_shape(self, image_shape: tuple[int, ...], num_classes: int) -> tuple[int, ...]:
        """For each default box four offsets, then a logit for the background and one for each class."""
        return (len(self.default_boxes(image_shape)), 4 + 1 + num_classes)

    def encode(self, boxes: tf.Tensor, image_shape: tuple[int, ...]) -> tf.Tensor:
        """Return the offsets (..., P, 4) that lead from the default boxes to boxes (..., P, 4)."""
        default, wanted = tf.constant(self.default_boxes(image_shape)), geometry.to_centers(boxes)
        moved = (wanted[..., :2] - default[:, :2]) / default[:, 2:] / self.variances[0]
        grown = tf.math.log(tf.maximum(wanted[..., 2:], geometry.TINY) / default[:, 2:]) / self.variances[1]
        return tf.concat([moved, grown], axis=-1)

    def decode_offsets(self, offsets: tf.Tensor, image_shape: tuple[int, ...]) -> tf.Tensor:
        """Return the boxes (..., P, 4) that offsets (..., P, 4) lead to: the inverse of `encode`."""
        default = tf.constant(self.default_boxes(image_shape))
        centers = default[:, :2] + offsets[..., :2] * self.variances[0] * default[:, 2:]
        grown = tf.clip_by_value(offsets[..., 2:] * self.variances[1], -SIZE_LIMIT, SIZE_LIMIT)
        return geometry.to_corners(tf.concat([centers, tf.exp(grown) * default[:, 2:]], axis=-1))

    def match(self, objects: tf.Tensor, image_shape: tuple[int, ...]) -> tuple[tf.Tensor, tf.Tensor]:
        """Return for each default box the row of its object (N, P), and whether it has one.

        Each object first gets the default box that overlaps it most; then every box whose best overlap is `matched`.
        """
        default = geometry.to_corners(tf.constant(self.default_boxes(image_shape)))
        present = objects[..., 0] >= 0
        overlap = tf.where(present[:, None], geometry.box_iou(default[None], objects[..., 1:]), -1.0)  # (N, P, M)
        best = tf.argmax(overlap, axis=1, output_type=tf.int32)  # (N, M)
        claims = tf.one_hot(best, tf.shape(overlap)[1], axis=1) * tf.cast(present[:, None], tf.float32)  # (N, P, M)
        claimed = tf.reduce_max(claims, axis=2) > 0
        # Two objects may want one box: it goes to the one that it overlaps more.
        row = tf.argmax(tf.where(claims > 0, overlap + 2.0, overlap), axis=2, output_type=tf.int32)
        return row, claimed | (tf.reduce_max(overlap, axis=2) >= self.matched)

    def loss(self, objects: tf.Tensor, outputs: tf.Tensor, image_shape: tuple[int, ...]) -> tf.Tensor:
        """Return smooth L1 of the matched boxes' offsets and cross-entropy of the classes, over the matched boxes."""
        row, matched = self.match(objects, image_shape)
        matched_count = tf.reduce_sum(tf.cast(matched, tf.float32), axis=1)
        own = tf.gather(objects, row, batch_dims=1)  # (N, P, 5)
        difference = tf.abs(outputs[..., :4] - self.encode(own[..., 1:], image_shape))
        smooth = tf.where(difference < 1, 0.5 * tf.square(difference), difference - 0.5)
        placed = tf.reduce_sum(tf.where(matched, tf.reduce_sum(smooth, axis=-1), 0.0), axis=1)
        labels = tf.where(matched, tf.cast(own[..., 0], tf.int32) + 1, 0)
        wrong = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=outputs[..., 4:])
        counts = matched | self.hardest(wrong, matched)
        classified = tf.reduce_sum(tf.where(counts, wrong, 0.0), axis=1)
        return (placed + classified) / tf.maximum(matched_count, 1.0)

    def hardest(self, wrong: tf.Tensor, matched: tf.Tensor) -> tf.Tensor:
        """Return which unmatched boxes count: the most wrong, so many for each matched one (section 2.2).

        Args:
            wrong: (N, P), the loss of each box.
            matched: (N, P), whether it has an object.
        """
        wrong = tf.where(matched, -1.0, tf.stop_gradient(wrong))
        order = tf.argsort(wrong, axis=1, direction="DESCENDING")
        rank = tf.argsort(order, axis=1)
        wanted = self.negatives * tf.reduce_sum(tf.cast(matched, tf.int32), axis=1, keepdims=True)
        return (rank < tf.maximum(wanted, self.negatives)) & ~matched

    def decode(self, outputs: tf.Tensor, image_shape: tuple[int, ...]) -> tuple[tf.Tensor, tf.Tensor]:
        """The default boxes, moved, and their classes' probabilities without the background's."""
        return self.decode_offsets(outputs[..., :4], image_shape), tf.nn.softmax(outputs[..., 4:])[..., 1:]
